//! The messages as they go over the wire, generated from `proto/`.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::wildcard_enum_match_arm,
    reason = "generated code; the proto files carry the documentation"
)]

mod generated {
    include!(concat!(env!("OUT_DIR"), "/protos.rs"));
}

pub use generated::google::r#type::{Date, Fraction, Money};
pub use generated::requite::v1::*;

/// The descriptors of all messages and services, without comments.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The descriptors of the data service and what it needs, with comments, for reflection.
pub const DATA_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/data.bin"));

/// The descriptors of the admin service and what it needs, with comments, for reflection.
pub const ADMIN_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/admin.bin"));

/// The size of a request as a message, in bytes.
#[must_use]
pub fn message_bytes(request: &EvaluateRefundRequest) -> usize {
    prost::Message::encoded_len(request)
}
