//! The bounds of what one connection, one message or one call may take from this process.
//!
//! Every bound has a unit in its name and a reason. The bounds of messages are in `api::limits`, those of what a
//! request may say in `domain::limits`.

use std::time::Duration;

/// Upper bound for deciding items of a batch before other calls get their turn on the thread.
pub const BATCH_TURN_TIME_MAX: Duration = Duration::from_millis(1);

/// Upper bound for a call to keep a thread that answers others before it yields; longer holds are counted.
pub const THREAD_HELD_MAX: Duration = Duration::from_millis(5);

/// Lines times rules that a decision with an explanation may have to be made on the thread that answers other
/// calls: all of them are looked at and told, so more would take milliseconds.
pub const EXPLAINED_TESTS_INLINE_MAX: usize = 2 * 1024;

/// A request that has to be decoded, in bytes, to be read on the thread that answers other calls. Nearly all are
/// read where they lie, and not decoded.
pub const DECODED_BYTES_INLINE_MAX: usize = 16 * 1024;

/// Calls of unusual size answered at once, on threads of their own: large material, and long explanations. As many
/// as there are threads for other calls, but at most this many: each has a decoded message, …
pub const HEAVY_CALLS_AT_ONCE_MAX: usize = 4;

/// … and at least this many, so that a long one does not keep all others waiting.
pub const HEAVY_CALLS_AT_ONCE_MIN: usize = 2;

/// Batches decided at once. They hold their answers while other calls get their turns.
pub const BATCHES_AT_ONCE_MAX: usize = 4;

/// Streams open at once on one connection: enough for a busy client, and the factor of everything
/// that a stream may hold.
pub const CONCURRENT_STREAMS_MAX: u32 = 128;

/// Calls of one connection that are answered before their answers are sent and others get the thread: enough for one
/// write to carry many, few enough for the others not to wait for long.
pub const CALLS_PER_TURN: usize = 32;

/// Bytes of a connection that are read in one turn: several times what so many calls take. A peer that sends
/// faster than it is read would otherwise have the thread for as long as it sends.
pub const READ_BYTES_PER_TURN: usize = 64 * 1024;

/// Tasks that run on a thread before it polls its sockets and timers. One turn of a connection is up to half a
/// millisecond of work: with the usual 61, infrequent callers would wait for all of them.
pub const EVENT_INTERVAL: u32 = 8;

/// Streams that the peer reset before they were looked at, until the connection is given up: the
/// bound against rapid reset.
pub const PENDING_RESET_STREAMS_MAX: usize = 20;

/// Streams that we reset because of the peer's mistakes, until the connection is given up. Without
/// it, malformed HEADERS make one connection grow without end.
pub const LOCAL_ERROR_RESETS_MAX: usize = 1_024;

/// The headers of one call, in bytes as HTTP/2 counts them.
pub const HEADER_LIST_BYTES_MAX: u32 = 8 * 1024;

/// Bytes that a peer may send on one stream before they are read.
pub const STREAM_WINDOW_BYTES: u32 = 64 * 1024;

/// Bytes that a peer may send on one connection before they are read.
pub const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// Bytes that all calls of callers may hold at once while they wait: for the rest of a request, or for
/// a reader of the answer. A message that comes in one piece does not wait.
pub const HELD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A connection may hold [`HELD_BYTES_MAX`] divided by this, times the square of the part that is free:
/// 11 MiB where it is alone. Beside a hundred that take what they may, a new one may hold 20 KiB.
pub const HELD_BYTES_DIVISOR: usize = 4;

/// All connections of one peer leave so much of [`HELD_BYTES_MAX`] to others: one of so many parts. Beside a quarter that
/// is free a new connection may hold 1 MiB, and beside what 400 connections hold in any case still the largest request for one
/// decision.
pub const LEFT_BY_PEER_DIVISOR: usize = 4;

/// Bytes that a connection may always hold: one call that waits, and its answer. With the connections
/// that there may be, this is the other part of what all hold at once.
pub const HELD_BYTES_ALWAYS: usize = 16 * 1024;

/// An answer is handed to the HTTP/2 layer in slices of so many bytes; a usual one is one slice.
pub const ANSWER_SLICE_BYTES: usize = 16 * 1024;

/// Bytes of one answer handed to the HTTP/2 layer before its peer took any of them: as many as a peer takes by default,
/// so that such an answer is sent at once, and its call needs no task of its own. It is held anyway until it is sent.
pub const ANSWER_BUFFER_BYTES: usize = 64 * 1024;

/// Time after a call's deadline in which its answer may still be sent, so that a caller who waited until
/// the deadline hears that it has passed.
pub const SEND_GRACE: Duration = Duration::from_secs(1);

/// Interval for checking a connection: whether it sends, whether it is idle, its age. Bytes that were
/// handed over and are not sent after one to two intervals close it.
pub const CONNECTION_CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// Timeout of a write: time in which a connection accepts no bytes.
pub const WRITE_STALL_MAX: Duration = Duration::from_secs(10);

/// Bytes that a call that waits for its message holds besides the message: its headers, its
/// stream, its task and timer.
pub const WAITING_CALL_BYTES: usize = 8 * 1024;

/// Upper bound for reading the rest of a request that its answer did not need. Bytes under way arrive sooner; a
/// stream that goes on is reset.
pub const REST_OF_BODY_TIME_MAX: Duration = Duration::from_secs(1);

/// Interval of the keepalive pings on a connection.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// Timeout for the answer to a ping.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Timeout for the HTTP/2 preface of a new connection. HTTP/2 itself has no such bound: a silent
/// connection would stay for ever.
pub const FIRST_BYTES_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections open at once, unless configured otherwise. An idle one holds some 18 KiB.
pub const CONNECTIONS_MAX: usize = 4_096;

/// Maximum age of a connection, unless configured otherwise: long enough to cost nothing, short enough
/// for callers to find new replicas.
pub const CONNECTION_AGE_MAX: Duration = Duration::from_secs(3_600);

/// Idle timeout of a connection without a call, unless configured otherwise.
pub const CONNECTION_IDLE_MAX: Duration = Duration::from_secs(900);

/// When the server stops: time left for a connection to send its HTTP/2 preface.
pub const GREETING_GRACE: Duration = Duration::from_millis(100);

/// Time for calls to finish on a connection that is closed because of its age: any call ends sooner.
pub const CONNECTION_AGE_GRACE: Duration = Duration::from_secs(12);

/// Timeout for a connection without calls to close once it was told to.
pub const CONNECTION_CLOSING_MAX: Duration = Duration::from_secs(1);

/// Frames without a call (pings, settings, window updates, resets, unknown ones) that a connection may send
/// at a stretch.
pub const CONTROL_FRAMES_MAX: i64 = 1_000;

/// Such frames that come with each call at most: clients send a few, for windows and to measure.
pub const CONTROL_FRAMES_PER_CALL: i64 = 16;

/// Such frames that a connection may send in each second beside.
pub const CONTROL_FRAMES_PER_SECOND: i64 = 200;

/// When crowded: age from which a connection without any request yet is closed before all others; a younger
/// one is closed after them. An honest caller sends a request after a round trip.
pub const CROWDED_SILENT_MIN: Duration = Duration::from_millis(500);

/// When crowded: minimum idle time of a connection that is closed to make room.
pub const CROWDED_IDLE_MIN: Duration = Duration::from_secs(1);

/// When crowded: minimum time without an answer after which a connection with open calls is closed to make
/// room. Any call is answered sooner, except those that watch.
pub const CROWDED_UNANSWERED_MIN: Duration = Duration::from_secs(11);

/// When crowded: timeout for closing a connection that makes room. A peer that opens connections by the
/// thousand must not fill the places with closing ones.
pub const CROWDED_CLOSING_MAX: Duration = Duration::from_millis(20);

/// When crowded: a peer's connections are closed before all others while it has more unused ones than the
/// places divided by this. Between peers that have fewer, only their use counts: a client with hundreds of
/// addresses must not make the few that open several connections at once look like the worst.
pub const CROWDED_SHARE_DIVISOR: usize = 8;

/// When crowded: connections closed at once, of many, to make room.
pub const CROWDED_CLOSED_AT_ONCE: usize = 64;

/// When crowded: interval for scanning many connections for some to close. A scan of 4 096 takes less
/// than a tenth of it.
pub const CROWDED_SCAN_INTERVAL: Duration = Duration::from_millis(2);

/// Number of open connections up to which each new one starts a scan: otherwise those that are turned
/// away use up the scans that would find room.
pub const CROWDED_SCANNED_FREELY_MAX: usize = 512;

/// Upper bound for the time of a call, whatever its deadline: a peer that sends its request byte
/// by byte must not hold a stream for hours.
pub const CALL_TIME_MAX: Duration = Duration::from_secs(10);

/// Time after NOT_SERVING in which new connections are accepted, so that load balancers notice.
pub const STOP_NOTICE: Duration = Duration::from_millis(200);

/// Time for calls in progress to finish after GOAWAY.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

/// From the signal to the end, whatever hangs and whatever is configured.
pub const STOP_TIME_MAX: Duration = Duration::from_secs(15);

/// The pause after `accept` failed for lack of descriptors: the error stays until one is freed,
/// and asking again at once would only burn the processor.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const _: () = assert!(STREAM_WINDOW_BYTES <= CONNECTION_WINDOW_BYTES, "a stream is part of a connection");
const _: () = assert!(
    STOP_NOTICE.as_millis() + DRAIN_TIME_MAX.as_millis() < STOP_TIME_MAX.as_millis(),
    "notice and drain must fit into the time for stopping"
);
