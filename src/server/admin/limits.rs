//! The bounds of what admins may take from this process. Every bound has a unit in its name and a reason.

use std::time::Duration;

use crate::domain::limits::BUNDLE_BYTES_MAX;

/// A request without files, in bytes: many times the longest digest and reason.
pub const SMALL_CALL_BYTES_MAX: usize = 64 * 1024;

/// A request with files, in bytes: a whole bundle, and room for its paths and what frames them.
pub const LARGE_CALL_BYTES_MAX: usize = BUNDLE_BYTES_MAX + 1024 * 1024;

/// Calls with messages above [`SMALL_CALL_BYTES_MAX`] at once, in or out. Each may hold its bundle
/// three times: as bytes, as a message, and as files.
pub const LARGE_CALLS_MAX: usize = 2;

/// Bytes that calls of admins may hold at once while they wait, for the rest of a request or for a reader of
/// the answer. Those above [`SMALL_CALL_BYTES_MAX`] are bounded by [`LARGE_CALLS_MAX`] instead.
pub const ADMIN_HELD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A connection of an admin may hold [`ADMIN_HELD_BYTES_MAX`] divided by this, times the square of the part
/// that is free.
pub const ADMIN_HELD_BYTES_DIVISOR: usize = 4;

/// Time that a connection of an admin may stay before anybody on it has authenticated.
pub const AUTHENTICATION_TIME_MAX: Duration = Duration::from_secs(10);

/// Connections of admins open at once: people and their tools, not traffic. Half of them may be of those
/// who have not shown who they are, and half of these of one peer.
pub const ADMIN_CONNECTIONS_MAX: usize = 256;

/// Streams open at once on one connection of an admin.
pub const ADMIN_STREAMS_MAX: u32 = 16;

/// Window of one stream of an admin, in bytes, before any is read: a bundle should not take a round trip
/// for every few kilobytes.
pub const ADMIN_STREAM_WINDOW_BYTES: u32 = 1024 * 1024;

/// Streams of `WatchPolicyStatus` at once.
pub const WATCHERS_MAX: usize = 32;

/// Time that a call of an admin may take, whatever its deadline: a large bundle comes slowly, and
/// takes its time to be checked and rehearsed, perhaps after another one.
pub const ADMIN_CALL_TIME_MAX: Duration = Duration::from_secs(60);

/// Interval for reading the files of credentials and TLS again: a token that is taken away should
/// not work for long.
pub const REREAD_INTERVAL: Duration = Duration::from_secs(2);

/// The largest file of credentials, in bytes: a few thousand lines.
pub const CREDENTIALS_BYTES_MAX: usize = 256 * 1024;

/// The largest file of TLS, in bytes: every public root there is fits.
pub const TLS_FILE_BYTES_MAX: usize = 1024 * 1024;

/// The shortest token, in characters: nobody guesses that many random ones.
pub const TOKEN_CHARS_MIN: usize = 32;

/// Different characters that a token has at least: 32 random hex digits have fewer once in twenty million times.
pub const TOKEN_DISTINCT_CHARS_MIN: usize = 8;

/// The longest run of one character in a token: 64 random hex digits have a longer one once in a billion times.
pub const TOKEN_RUN_CHARS_MAX: usize = 8;

/// The longest token, in characters: it must fit into the headers of a call.
pub const TOKEN_CHARS_MAX: usize = 1_024;

/// The longest name of an admin, in bytes: one of a certificate fits.
pub const NAME_BYTES_MAX: usize = 256;

/// Largest reason of a change, in bytes; it goes into the log.
pub const REASON_BYTES_MAX: usize = 256;

/// Failed authentications that are written into the log in one [`MENTION_WINDOW`], and reads of one admin by one method; all
/// are counted.
pub const MENTIONS_MAX: u32 = 10;

/// See [`MENTIONS_MAX`].
pub const MENTION_WINDOW: Duration = Duration::from_secs(10);

/// A rejection within the details of a status, in bytes. Statuses travel in headers, and many
/// clients accept no more than 8 KiB of them; base64 takes a third on top.
pub const REJECTION_BYTES_MAX: usize = 4 * 1024;

const _: () = assert!(SMALL_CALL_BYTES_MAX < LARGE_CALL_BYTES_MAX, "files need more room");
const _: () = assert!(BUNDLE_BYTES_MAX < LARGE_CALL_BYTES_MAX, "every bundle can be sent");
