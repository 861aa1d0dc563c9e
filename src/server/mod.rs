//! The gRPC services: the only place that knows tonic and prost.

pub mod pb;
