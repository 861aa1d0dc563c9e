//! Reading the message of a call: its pieces are joined once, and what must wait for more is paid for
//! from the budget of bytes.
//!
//! A message that comes in one piece, as nearly all do, is taken as it is and costs the budget nothing.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use hyper::body::{Body as HttpBody, Bytes};

use crate::api::errors::Failure;
use crate::api::limits::{SMALL_FRAME_BYTES, SMALL_FRAMES_MAX};
use crate::server::limits::WAITING_CALL_BYTES;
use crate::server::transport::budget::{Account, Exhausted, Reservation};
use crate::server::transport::unary::MESSAGE_PREFIX_BYTES;
use crate::telemetry::labels::BufferKind;

/// A message with its prefix, whole. What it holds of the budget is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Message {
    /// The prefix and the message.
    pub(crate) bytes: Bytes,
    held: Option<Reservation>,
}

impl Message {
    /// Bytes of it for which nothing is held of the budget: one that came in one piece had to wait for nothing.
    pub(crate) fn unpaid_bytes(&self) -> usize {
        if self.held.is_some() { 0 } else { self.bytes.len() }
    }
}

/// The message of a call while it is read.
#[derive(Debug)]
pub(crate) struct MessageReader {
    account: Arc<Account>,
    /// Bytes of prefix and message, at most.
    bytes_max: usize,
    /// All there is, as long as it came in one piece and nothing had to wait.
    first: Bytes,
    joined: Vec<u8>,
    small_frames: u32,
    held: Option<Reservation>,
}

/// Reads a body to its end: one message of at most so many bytes, with its prefix.
pub(crate) async fn read<B>(
    body: Pin<&mut B>,
    message_bytes_max: usize,
    account: &Arc<Account>,
) -> Result<Message, Failure>
where
    B: HttpBody<Data = Bytes>,
{
    let (mut body, mut reader) = (body, MessageReader::new(message_bytes_max, account));
    while let Some(data) = reader.next(body.as_mut()).await? {
        reader.push(data)?;
    }
    reader.finish()
}

impl MessageReader {
    /// Nothing is read yet.
    pub(crate) fn new(message_bytes_max: usize, account: &Arc<Account>) -> Self {
        Self {
            account: Arc::clone(account),
            bytes_max: message_bytes_max.saturating_add(MESSAGE_PREFIX_BYTES),
            first: Bytes::new(),
            joined: Vec::new(),
            small_frames: 0,
            held: None,
        }
    }

    /// The next piece; `None` at the end. What must wait for it is paid for.
    pub(crate) async fn next<B>(&mut self, mut body: Pin<&mut B>) -> Result<Option<Bytes>, Failure>
    where
        B: HttpBody<Data = Bytes>,
    {
        poll_fn(|cx| {
            loop {
                if body.is_end_stream() {
                    return Poll::Ready(Ok(None));
                }
                match body.as_mut().poll_frame(cx) {
                    Poll::Pending => {
                        return match self.wait() {
                            Ok(()) => Poll::Pending,
                            Err(Exhausted) => Poll::Ready(Err(Failure::Overloaded)),
                        };
                    }
                    Poll::Ready(None) => return Poll::Ready(Ok(None)),
                    Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(Failure::MessageBrokenOff)),
                    Poll::Ready(Some(Ok(frame))) => {
                        if let Ok(data) = frame.into_data() {
                            return Poll::Ready(Ok(Some(data)));
                        }
                    }
                }
            }
        })
        .await
    }

    /// From now on another account pays for all of it.
    pub(crate) fn charge(&mut self, account: &Arc<Account>) {
        self.account = Arc::clone(account);
        self.held = None;
    }

    /// Adds a piece.
    pub(crate) fn push(&mut self, data: Bytes) -> Result<(), Failure> {
        let length = self.len().saturating_add(data.len());
        if self.bytes_max < length {
            return Err(Failure::MessageTooLarge);
        }
        if self.len() == 0 {
            self.first = data;
        } else {
            // The piece before was not the last.
            self.count_frame(data.len())?;
            self.join(length);
            self.joined.extend_from_slice(&data);
        }
        if self.bytes_max < self.claimed() { Err(Failure::MessageTooLarge) } else { Ok(()) }
    }

    /// All of it. Whether it is cut short is seen by those who read it.
    pub(crate) fn finish(self) -> Result<Message, Failure> {
        if (1..self.len()).contains(&self.claimed()) {
            return Err(Failure::MoreThanOneMessage);
        }
        let Self { first, joined, held, .. } = self;
        let bytes = if joined.is_empty() { first } else { Bytes::from(joined) };
        Ok(Message { bytes, held })
    }

    /// Bytes read so far.
    pub(crate) fn len(&self) -> usize {
        self.first.len() + self.joined.len()
    }

    /// The length that the message claims in its prefix, the prefix included; 0 before it is there.
    fn claimed(&self) -> usize {
        let bytes: &[u8] = if self.joined.is_empty() { &self.first } else { &self.joined };
        match bytes {
            [_, a, b, c, d, ..] => {
                let length = u32::from_be_bytes([*a, *b, *c, *d]);
                usize::try_from(length).unwrap_or(usize::MAX).saturating_add(MESSAGE_PREFIX_BYTES)
            }
            _ => 0,
        }
    }

    /// Refuses a message that comes in crumbs: each costs more to receive than a whole call.
    fn count_frame(&mut self, bytes: usize) -> Result<(), Failure> {
        self.small_frames += u32::from(bytes < SMALL_FRAME_BYTES);
        if SMALL_FRAMES_MAX < self.small_frames { Err(Failure::TooManyFrames) } else { Ok(()) }
    }

    /// Makes room for so many bytes in one piece. Where it must grow, it doubles, but not above what is claimed.
    fn join(&mut self, length: usize) {
        if self.joined.capacity() < length {
            let room = length.max(self.claimed().min(2 * self.len()));
            self.joined.reserve_exact(room.saturating_sub(self.joined.len()));
        }
        self.joined.extend_from_slice(&std::mem::take(&mut self.first));
    }

    /// Pays for what must wait. It is copied: a few bytes of a frame keep the whole buffer that the
    /// frame was received in.
    fn wait(&mut self) -> Result<(), Exhausted> {
        if !self.first.is_empty() {
            self.join(self.first.len());
        }
        let wanted = WAITING_CALL_BYTES.saturating_add(self.joined.capacity());
        match &mut self.held {
            Some(held) if wanted <= held.bytes() => Ok(()),
            Some(held) => held.grow(wanted - held.bytes()),
            None => {
                self.held = Some(self.account.reserve(BufferKind::Requests, wanted)?);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::pin::pin;
    use std::task::Context;

    use hyper::body::Frame;

    use super::*;
    use crate::server::limits::HELD_BYTES_ALWAYS;
    use crate::server::transport::budget::ByteBudget;

    /// Pieces as they come; an empty one stands for a wait.
    struct Arriving(VecDeque<Bytes>);

    impl HttpBody for Arriving {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.0.pop_front() {
                Some(piece) if piece.is_empty() => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                piece => Poll::Ready(piece.map(|piece| Ok(Frame::data(piece)))),
            }
        }
    }

    async fn read_pieces(pieces: Vec<Vec<u8>>, max: usize, budget: usize) -> Result<Vec<u8>, Failure> {
        let account = ByteBudget::new(budget, 1).account();
        let body = Arriving(pieces.into_iter().map(Bytes::from).collect());
        let message = read(pin!(body), max, &account).await?;
        assert_eq!(account.held() != 0, message.held.is_some());
        Ok(message.bytes.to_vec())
    }

    const WAIT: Vec<u8> = Vec::new();

    #[tokio::test]
    async fn pieces_are_joined_whatever_they_are() {
        let whole = [&[0, 0, 0, 0, 6][..], b"abcdef"].concat();
        for at in 1..whole.len() {
            let (before, after) = (whole[..at].to_vec(), whole[at..].to_vec());
            let no_wait = read_pieces(vec![before.clone(), after.clone()], 6, 10).await;
            assert_eq!(no_wait.as_ref(), Ok(&whole), "without a wait nothing is paid");
            assert_eq!(read_pieces(vec![WAIT, before, WAIT, after], 6, 1 << 20).await.as_ref(), Ok(&whole));
        }
        assert_eq!(read_pieces(vec![whole.clone()], 6, 0).await, Ok(whole.clone()));
        assert_eq!(read_pieces(vec![whole], 5, 0).await, Err(Failure::MessageTooLarge));
    }

    #[tokio::test]
    async fn what_waits_is_paid_for_or_refused() {
        let cut = [&[0, 0, 0, 200, 0][..], &[1; HELD_BYTES_ALWAYS]].concat();
        let pieces = vec![cut, WAIT, vec![1]];
        assert_eq!(read_pieces(pieces.clone(), 51_200, 100).await, Err(Failure::Overloaded));
        assert_eq!(read_pieces(pieces, 51_199, 1 << 20).await, Err(Failure::MessageTooLarge));
    }

    #[tokio::test]
    async fn one_message_is_one_message() {
        let two = vec![0, 0, 0, 0, 1, 7, 0, 0, 0, 0, 1, 7];
        assert_eq!(read_pieces(vec![two.clone()], 99, 0).await, Err(Failure::MoreThanOneMessage));
        let (before, after) = (two[..6].to_vec(), two[6..].to_vec());
        assert_eq!(read_pieces(vec![before, WAIT, after], 99, 1 << 20).await, Err(Failure::MoreThanOneMessage));
        assert_eq!(read_pieces(vec![vec![0, 0, 0, 0, 0, 0]], 99, 0).await, Err(Failure::MoreThanOneMessage));
        assert!(read_pieces(vec![vec![0, 0, 0, 0, 0]], 99, 0).await.is_ok());
        assert!(read_pieces(vec![vec![0, 0, 0, 0, 2, 7]], 99, 0).await.is_ok(), "it is cut short, not two");
    }

    #[tokio::test]
    async fn crumbs_are_refused() {
        let crumbs = |count: usize| [vec![vec![0, 0, 1, 0, 0]], vec![vec![7]; count]].concat();
        let most = usize::try_from(SMALL_FRAMES_MAX).unwrap();
        assert!(read_pieces(crumbs(most), 1 << 16, 1 << 20).await.is_ok());
        assert_eq!(read_pieces(crumbs(most + 1), 1 << 16, 1 << 20).await, Err(Failure::TooManyFrames));
    }

    #[test]
    fn room_grows_by_doubling_and_never_above_what_is_claimed() {
        let account = ByteBudget::new(1 << 30, 1).account();
        let mut reader = MessageReader::new(1 << 20, &account);
        reader.push(Bytes::from_static(&[0, 0, 16, 0, 0])).unwrap();
        let piece = Bytes::from(vec![7; 1_000]);
        let mut capacities = Vec::new();
        while reader.len() + piece.len() <= 5 + (1 << 20) {
            reader.push(piece.clone()).unwrap();
            capacities.push(reader.joined.capacity());
        }
        assert_eq!(*capacities.iter().max().unwrap(), 5 + (1 << 20));
        capacities.dedup();
        assert!(capacities.len() < 16, "{capacities:?}");
    }
}
