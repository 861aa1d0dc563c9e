//! The bounds of one message, one status and one call, which callers meet.
//!
//! Every bound has a unit in its name and a reason. The bounds of what a request may say are in
//! `domain::limits`, those of connections and of the process in `server::limits`.

use std::time::Duration;

/// A request for one decision, in bytes: 256 lines that are claimed one by one and 2048 earlier amounts have 195 KiB where
/// ids have 36 bytes, names 20 and amounts all their digits. So an order of any size that is allowed can be asked about
/// again. What calls hold while they wait is bounded by the server, and what is decoded by counts.
pub const EVALUATION_MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// A question what this server is, or a call of a method that is not known, in bytes.
pub const INFO_MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// A request about evidence, or for many decisions, in bytes: room for `EVIDENCE_MAX` pieces with their fields.
pub const MATERIAL_MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// A request about health or reflection, in bytes: a name. The library reserves the claimed length
/// before the first byte of the message arrives, so this is what a liar can make a stream reserve.
pub const SMALL_MESSAGE_BYTES_MAX: usize = 4 * 1024;

/// Fields in one message, in every part of it: as many as a message of [`MATERIAL_MESSAGE_BYTES_MAX`] can have.
/// A larger one is of files, and has few.
pub const MESSAGE_FIELDS_MAX: usize = MATERIAL_MESSAGE_BYTES_MAX / 2;

/// Messages within messages of a request. Ours have five; the rest is room for fields that are not known.
pub const MESSAGE_DEPTH_MAX: usize = 16;

/// Requests in one batch. They are decided one after another on one thread.
pub const BATCH_ITEMS_MAX: usize = 1_000;

/// An answer, in bytes: what clients of gRPC take unless they are told otherwise. It also bounds what an
/// answer that nobody reads holds.
pub const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Watches of health and streams of reflection open at once on one connection: a client needs one of each. They may stay
/// open without an end, and each holds some 10 KiB.
pub const OPEN_ENDED_CALLS_MAX: usize = 4;

/// A frame of a message is small below so many bytes: to receive it costs more than what it carries.
pub const SMALL_FRAME_BYTES: usize = 256;

/// Small frames of one message: clients send frames of kilobytes, and now and then the rest of a window.
pub const SMALL_FRAMES_MAX: u32 = 256;

/// Delay until a call that was refused for lack of room may be made again.
pub const OVERLOADED_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Texts of field violations in one status, in bytes. Statuses travel in headers, and many clients
/// accept no more than 8 KiB of them; base64 takes a third on top, the message its own share.
pub const VIOLATION_BYTES_MAX: usize = 3 * 1024;

/// One text within a status, in bytes.
pub const STATUS_TEXT_BYTES_MAX: usize = 256;

const _: () = assert!(EVALUATION_MESSAGE_BYTES_MAX <= MATERIAL_MESSAGE_BYTES_MAX, "evidence needs more room");
