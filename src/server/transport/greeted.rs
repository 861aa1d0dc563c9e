//! The bytes of one connection that has said that it speaks HTTP/2, on their way to and from its HTTP/2 layer.
//!
//! What is read is bounded by the pace of the connection and looked at for its frames. What is written must
//! find room in time, and is put together: the HTTP/2 layer writes the head of a long answer and the rest of it
//! one after the other, or, where it is told that parts can be written together, every answer by itself. Here, small
//! answers are sent together, and a long one takes one write.

use std::future::Future as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::server::limits::WRITE_STALL_MAX;
use crate::server::overload::Reading;
use crate::server::transport::frames::ControlFrames;
use crate::telemetry::labels::Listener;

/// The HTTP/2 connection preface.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// So many bytes at most wait for what is written after them: the head of a long answer takes 1 024 and its headers.
const HELD_BYTES_MAX: usize = 2 * 1024;

/// Waits for the preface, and gives the connection back as if it were unread. The HTTP/2 layer
/// itself waits for it for ever, without keepalive.
pub(crate) async fn greeted<S: AsyncRead + Unpin>(
    mut stream: S,
    reading: Reading,
    listener: Listener,
) -> io::Result<Greeted<S>> {
    let mut preface = [0; PREFACE.len()];
    stream.read_exact(&mut preface).await?;
    if preface != *PREFACE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let control_frames = ControlFrames::new(listener, Instant::now());
    Ok(Greeted { unread: PREFACE, reading, control_frames, stream, held: BytesMut::new(), stall: None })
}

/// A connection whose preface has been seen.
#[derive(Debug)]
pub(crate) struct Greeted<S> {
    /// The rest of the preface that is still to be replayed.
    unread: &'static [u8],
    reading: Reading,
    control_frames: ControlFrames,
    stream: S,
    /// Bytes that were taken and are not written: until others follow, or all are to be written.
    held: BytesMut,
    /// Since a write found no room.
    stall: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncWrite + Unpin> Greeted<S> {
    /// Writes what is held and then as much of `bytes` as there is room for, which is none where they are empty. Says
    /// how much of `bytes` that was, at the latest when all that was held is written.
    fn write(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            let stream = Pin::new(&mut self.stream);
            let written = match (self.held.is_empty(), bytes.is_empty()) {
                (true, true) => return Poll::Ready(Ok(0)),
                (true, false) => stream.poll_write(cx, bytes),
                (false, true) => stream.poll_write(cx, &self.held),
                (false, false) => stream.poll_write_vectored(cx, &[IoSlice::new(&self.held), IoSlice::new(bytes)]),
            };
            let written = ready!(self.in_time(written, cx))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_held = written.min(self.held.len());
            self.held.advance(of_held);
            if self.held.is_empty() && of_held < written {
                self.held.clear();
                return Poll::Ready(Ok(written - of_held));
            }
        }
    }

    /// Writes all that is held.
    fn write_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(&[], cx).map_ok(|_none| ())
    }

    /// Returns the result of a write; an error where none found room for too long.
    fn in_time<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(WRITE_STALL_MAX)));
        stall.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Greeted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.reading.allowed() == 0 {
            return Poll::Pending;
        }
        if self.unread.is_empty() {
            let before = into.filled().len();
            let polled = Pin::new(&mut self.stream).poll_read(cx, into);
            let read = into.filled().get(before..).unwrap_or_default();
            self.reading.took(read.len());
            return match self.control_frames.read(read, Instant::now) {
                Ok(()) => polled,
                Err(error) => Poll::Ready(Err(error)),
            };
        }
        let (now, later) = self.unread.split_at(self.unread.len().min(into.remaining()));
        into.put_slice(now);
        self.unread = later;
        Poll::Ready(Ok(()))
    }
}

/// Not vectored: so the HTTP/2 layer puts small answers together before it writes.
impl<S: AsyncWrite + Unpin> AsyncWrite for Greeted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.held.is_empty() && bytes.len() <= HELD_BYTES_MAX {
            self.held.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        self.write(bytes, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.write_held(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.write_held(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncWriteExt as _, duplex};

    use super::*;
    use crate::server::overload::Pace;

    /// Takes so many bytes at most with each write, and notes how many it took; every second time there is no room.
    #[derive(Debug)]
    struct Narrow {
        room: usize,
        writes: Vec<usize>,
        written: Vec<u8>,
        full: bool,
    }

    impl AsyncWrite for Narrow {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.full = !self.full && self.room != usize::MAX;
            if self.full {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let count = bytes.len().min(self.room);
            self.written.extend_from_slice(&bytes[..count]);
            self.writes.push(count);
            Poll::Ready(Ok(count))
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            parts: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
            self.poll_write(cx, &bytes)
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn greeted_with<S>(stream: S) -> Greeted<S> {
        let control_frames = ControlFrames::new(Listener::Data, Instant::now());
        let reading = Pace::new(None).reading();
        Greeted { unread: PREFACE, reading, control_frames, stream, held: BytesMut::new(), stall: None }
    }

    /// Writes these parts one after the other, flushes, and returns the stream.
    async fn written(room: usize, parts: &[&[u8]]) -> Narrow {
        let mut greeted = greeted_with(Narrow { room, writes: Vec::new(), written: Vec::new(), full: false });
        for part in parts {
            greeted.write_all(part).await.unwrap();
        }
        greeted.flush().await.unwrap();
        assert!(greeted.held.is_empty());
        greeted.stream
    }

    #[tokio::test]
    async fn the_head_of_a_long_answer_is_written_with_the_rest() {
        let (head, rest) = (vec![1; 1_100], vec![2; 60_000]);
        let stream = written(usize::MAX, &[&head, &rest]).await;
        assert_eq!(stream.writes, [61_100]);
        assert_eq!(stream.written, [head, rest].concat());
    }

    #[tokio::test]
    async fn a_small_answer_is_written_when_there_is_no_more_to_say() {
        assert_eq!(written(usize::MAX, &[&[7; 500]]).await.writes, [500]);
    }

    #[tokio::test]
    async fn nothing_is_lost_or_written_twice_where_there_is_little_room() {
        let sizes = [0, 1, 700, HELD_BYTES_MAX - 1, HELD_BYTES_MAX, HELD_BYTES_MAX + 1, 9_000];
        for room in [13, 699, HELD_BYTES_MAX, HELD_BYTES_MAX + 5, 100_000] {
            for (first, second) in sizes.iter().flat_map(|first| sizes.iter().map(move |second| (first, second))) {
                let parts = [vec![1; *first], vec![2; *second], vec![3; 40]];
                let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
                assert_eq!(written(room, &parts).await.written, parts.concat(), "{room}: {first}, {second}");
            }
        }
    }

    #[tokio::test]
    async fn a_shutdown_writes_what_is_held() {
        let (near, mut far) = duplex(4_096);
        let mut greeted = greeted_with(near);
        greeted.write_all(b"goodbye").await.unwrap();
        poll_fn(|cx| Pin::new(&mut greeted).poll_shutdown(cx)).await.unwrap();
        let mut read = Vec::new();
        far.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"goodbye");
    }
}
