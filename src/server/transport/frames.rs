//! Frames that carry no call: pings, settings, window updates, priorities, resets, unknown ones.
//!
//! Each costs the server as much as a small part of a call, and no limit on calls sees them. So a
//! connection may send so many for each call, and some more as time passes; one that sends more is closed.
//! The frames are counted by their heads as they are read, and their payloads are skipped.
//!
//! The library refuses headers above their bound by itself, and tells nobody. So their length is added up here,
//! over the frames that they come in, and each list that is too long is recorded once.

use std::io;
use std::time::Instant;

use crate::server::limits::{
    CONTROL_FRAMES_MAX, CONTROL_FRAMES_PER_CALL, CONTROL_FRAMES_PER_SECOND, HEADER_LIST_BYTES_MAX,
};
use crate::telemetry::event::HeadersRefused;
use crate::telemetry::labels::Listener;

/// The head of a frame: its length in three bytes, its type, its flags, its stream in four.
const HEAD_BYTES: usize = 9;

/// The type of a frame with a part of a message.
const DATA: u8 = 0;

/// The type of a frame that begins a call, or ends its request.
const HEADERS: u8 = 1;

/// The type of a frame that continues such a one. The library bounds how many there are.
const CONTINUATION: u8 = 9;

/// The bound on the headers of a call.
const HEADER_BYTES_MAX: usize = HEADER_LIST_BYTES_MAX as usize;

/// Counts the frames of one connection that carry no call.
#[derive(Debug)]
pub(crate) struct ControlFrames {
    /// The bytes of a head read so far.
    head: [u8; HEAD_BYTES],
    head_bytes: usize,
    /// Bytes of the payload that are to come.
    payload: usize,
    listener: Listener,
    /// Bytes of the headers that came last, over all their frames.
    headers: usize,
    /// Frames that may still be sent.
    allowed: i64,
    refilled_at: Instant,
}

impl ControlFrames {
    /// For a connection whose preface has been read.
    pub(crate) const fn new(listener: Listener, now: Instant) -> Self {
        Self {
            head: [0; HEAD_BYTES],
            head_bytes: 0,
            payload: 0,
            listener,
            headers: 0,
            allowed: CONTROL_FRAMES_MAX,
            refilled_at: now,
        }
    }

    /// Takes bytes into account that were read; an error where there were too many such frames. The clock is
    /// only looked at then.
    pub(crate) fn read(&mut self, mut bytes: &[u8], now: impl FnOnce() -> Instant) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.payload != 0 {
                let skipped = self.payload.min(bytes.len());
                self.payload -= skipped;
                bytes = bytes.get(skipped..).unwrap_or_default();
                continue;
            }
            let (now, later) = bytes.split_at(bytes.len().min(HEAD_BYTES - self.head_bytes));
            if let Some(room) = self.head.get_mut(self.head_bytes..self.head_bytes + now.len()) {
                room.copy_from_slice(now);
            }
            self.head_bytes += now.len();
            bytes = later;
            if self.head_bytes == HEAD_BYTES {
                self.head_bytes = 0;
                self.begin_frame();
            }
        }
        if self.allowed < 0 { self.refill(now()) } else { Ok(()) }
    }

    fn begin_frame(&mut self) {
        let [a, b, c, kind, ..] = self.head;
        self.payload = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        match kind {
            HEADERS => {
                self.allowed = (self.allowed + CONTROL_FRAMES_PER_CALL).min(CONTROL_FRAMES_MAX);
                self.headers = 0;
                self.add_headers(self.payload);
            }
            CONTINUATION => self.add_headers(self.payload),
            DATA => {}
            _ => self.allowed -= 1,
        }
    }

    /// Adds headers that are to come. They are refused as they arrive, so they are too long as soon as that is seen.
    fn add_headers(&mut self, bytes: usize) {
        let before = self.headers;
        self.headers = before.saturating_add(bytes);
        if before <= HEADER_BYTES_MAX && HEADER_BYTES_MAX < self.headers {
            HeadersRefused { listener: self.listener }.record();
        }
    }

    fn refill(&mut self, now: Instant) -> io::Result<()> {
        let elapsed = now.saturating_duration_since(self.refilled_at);
        self.refilled_at = now;
        let millis = i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX);
        let more = millis.saturating_mul(CONTROL_FRAMES_PER_SECOND) / 1_000;
        self.allowed = self.allowed.saturating_add(more).min(CONTROL_FRAMES_MAX);
        if self.allowed < 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "too many frames without calls"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn frame(kind: u8, payload: usize) -> Vec<u8> {
        let [_, a, b, c] = u32::try_from(payload).unwrap().to_be_bytes();
        let mut frame = vec![a, b, c, kind, 0, 0, 0, 0, 1];
        frame.resize(HEAD_BYTES + payload, 0xff);
        frame
    }

    /// Frames of a connection that are accepted, sent in pieces of so many bytes.
    fn accepted(frames: &[u8], piece: usize) -> bool {
        let begun = Instant::now();
        let mut counted = ControlFrames::new(Listener::Data, begun);
        frames.chunks(piece).all(|bytes| counted.read(bytes, || begun).is_ok())
    }

    #[test]
    fn floods_of_frames_without_calls_end_the_connection() {
        let max = usize::try_from(CONTROL_FRAMES_MAX).unwrap();
        for kind in [2, 3, 4, 6, 8, 0xee] {
            for piece in [1, 7, 9, 4_096] {
                assert!(accepted(&frame(kind, 8).repeat(max), piece), "{kind} in pieces of {piece}");
                assert!(!accepted(&frame(kind, 8).repeat(max + 1), piece), "{kind} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn calls_bring_frames_of_their_own_and_data_counts_for_nothing() {
        let per_call = usize::try_from(CONTROL_FRAMES_PER_CALL).unwrap();
        let call = [frame(HEADERS, 40), frame(DATA, 700), frame(DATA, 0), frame(8, 4).repeat(per_call)].concat();
        assert!(accepted(&call.repeat(5_000), 16_384));
    }

    #[test]
    fn time_allows_for_more() {
        let begun = Instant::now();
        let mut counted = ControlFrames::new(Listener::Data, begun);
        let second = frame(6, 8).repeat(usize::try_from(CONTROL_FRAMES_PER_SECOND).unwrap());
        for second_of in 1..100 {
            assert!(counted.read(&second, || begun + Duration::from_secs(second_of)).is_ok());
        }
    }

    #[test]
    fn headers_that_are_too_long_are_seen_over_all_their_frames() {
        let headers = |frames: &[Vec<u8>]| {
            let mut counted = ControlFrames::new(Listener::Data, Instant::now());
            counted.read(&frames.concat(), Instant::now).unwrap();
            counted.headers
        };
        assert_eq!(headers(&[frame(HEADERS, 5_000), frame(CONTINUATION, 5_000)]), 10_000);
        assert_eq!(headers(&[frame(HEADERS, 5_000), frame(CONTINUATION, 5_000), frame(HEADERS, 7)]), 7);
    }
}
