//! One HTTP/2 connection of the generator, and one call on it: as little as gRPC needs, so that its
//! own cost stays small beside that of the server.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::client::{Connection as Http2, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::CONNECT_TIMEOUT;
use crate::load::record::{Code, Fault};

/// Bytes that the server may send before we have read them. The generator reads everything at once; the server must not
/// wait for it.
const WINDOW_BYTES: u32 = 16 * 1024 * 1024;

/// An answer at most, in bytes: above a batch of a thousand decisions with everything explained.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Digests that are remembered for a connection; a reload under load makes a few in turn.
const GENERATIONS_MAX: usize = 4_096;

/// A connection, or the place of one that broke.
#[derive(Default)]
pub(super) struct Connection {
    sender: RefCell<Option<SendRequest<Bytes>>>,
    /// Calls begun and not ended.
    open: Cell<usize>,
    /// The digest of each generation: there is one process at the other end, so there is only one.
    digests: RefCell<HashMap<u64, Bytes>>,
}

/// Room of a connection for another call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Room {
    Free,
    /// As many calls are open as the server allows.
    Full,
    /// There is no connection.
    Gone,
}

/// The part of a connection that moves bytes; to be polled until it ends.
pub(super) type Mover = Http2<TcpStream, Bytes>;

/// Makes the TCP connection and says hello.
pub(super) async fn connect(addr: &str) -> io::Result<(SendRequest<Bytes>, Mover)> {
    let late =
        || io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()));
    timeout(CONNECT_TIMEOUT, hello(addr)).await.unwrap_or_else(|_elapsed| Err(late()))
}

async fn hello(addr: &str) -> io::Result<(SendRequest<Bytes>, Mover)> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES).enable_push(false);
    builder.handshake(stream).await.map_err(io::Error::other)
}

/// A call as every call begins: path, deadline, and what gRPC wants.
pub(super) fn head(addr: &str, method: &str, deadline: Duration) -> Result<Request<()>, http::Error> {
    Request::post(format!("http://{addr}/requite.v1.RefundPolicyService/{method}"))
        .version(http::Version::HTTP_2)
        .header("te", "trailers")
        .header("content-type", "application/grpc")
        .header("user-agent", concat!("requite-bench/", env!("CARGO_PKG_VERSION")))
        // Milliseconds with at most eight digits: more than a day.
        .header("grpc-timeout", format!("{}m", deadline.as_millis().clamp(1, 99_999_999)))
        .body(())
}

impl Connection {
    /// Takes a new connection for the one that was here.
    pub(super) fn opened(&self, sender: SendRequest<Bytes>) {
        self.digests.borrow_mut().clear();
        self.sender.replace(Some(sender));
    }

    /// There is no connection any more.
    pub(super) fn closed(&self) {
        self.sender.replace(None);
    }

    pub(super) fn room(&self) -> Room {
        let mut sender = self.sender.borrow_mut();
        let Some(ready) = sender.as_mut() else { return Room::Gone };
        if ready.current_max_send_streams() <= self.open.get() {
            return Room::Full;
        }
        match ready.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => Room::Free,
            Poll::Pending => Room::Full,
            Poll::Ready(Err(_)) => {
                // Whoever polls the connection learns why, and makes a new one.
                *sender = None;
                Room::Gone
            }
        }
    }

    /// Begins a call and sends all of it.
    pub(super) fn begin(&self, head: Request<()>, frame: Bytes) -> Result<ResponseFuture, h2::Error> {
        let mut sender = self.sender.borrow_mut();
        let sender = sender.as_mut().ok_or_else(|| h2::Error::from(Reason::REFUSED_STREAM))?;
        let (response, mut stream) = sender.send_request(head, false)?;
        stream.send_data(frame, true)?;
        self.open.set(self.open.get() + 1);
        Ok(response)
    }

    /// A call has ended, whichever way.
    pub(super) fn ended(&self) {
        self.open.set(self.open.get().saturating_sub(1));
    }

    /// Returns true if a generation has the digest that it always had on this connection.
    pub(super) fn is_generation(&self, generation: u64, digest: &[u8]) -> bool {
        let mut digests = self.digests.borrow_mut();
        if let Some(known) = digests.get(&generation) {
            return known == digest;
        }
        if digests.len() < GENERATIONS_MAX {
            digests.insert(generation, Bytes::copy_from_slice(digest));
        }
        true
    }
}

/// Waits for an answer and reads all of it.
pub(super) async fn receive(response: ResponseFuture) -> Result<Bytes, Fault> {
    let response = response.await.map_err(|error| fault(&error))?;
    let status = response.status();
    // A call that failed at once has its status among the headers.
    ended(response.headers())?;
    let mut body = response.into_body();
    let bytes = read(&mut body).await?;
    match body.trailers().await.map_err(|error| fault(&error))? {
        Some(trailers) => ended(&trailers)?,
        None if status.is_success() => return Err(Fault::Unreadable),
        // Something else than a gRPC server, such as a proxy without one behind it.
        None => return Err(Fault::Status(Code::of(if status.is_server_error() { 14 } else { 2 }))),
    }
    Ok(bytes)
}

async fn read(body: &mut RecvStream) -> Result<Bytes, Fault> {
    let Some(first) = body.data().await else { return Ok(Bytes::new()) };
    let first = first.map_err(|error| fault(&error))?;
    release(body, first.len())?;
    let Some(second) = body.data().await else { return Ok(first) };
    // Small answers come whole; only large ones are put together.
    let mut whole = BytesMut::from(first);
    let mut next = Some(second);
    while let Some(bytes) = next {
        let bytes = bytes.map_err(|error| fault(&error))?;
        release(body, bytes.len())?;
        if ANSWER_BYTES_MAX < whole.len() + bytes.len() {
            return Err(Fault::Unreadable);
        }
        whole.extend_from_slice(&bytes);
        next = body.data().await;
    }
    Ok(whole.freeze())
}

fn release(body: &mut RecvStream, bytes: usize) -> Result<(), Fault> {
    body.flow_control().release_capacity(bytes).map_err(|error| fault(&error))
}

/// Goes on where no status says that the call failed.
fn ended(headers: &HeaderMap) -> Result<(), Fault> {
    match headers.get("grpc-status").map(http::HeaderValue::as_bytes) {
        None | Some(b"0") => Ok(()),
        Some(number) => {
            let number = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
            Err(Fault::Status(Code::of(number.unwrap_or(2))))
        }
    }
}

/// Translates the end of a stream into the codes of gRPC.
fn fault(error: &h2::Error) -> Fault {
    match error.reason() {
        Some(Reason::REFUSED_STREAM) => Fault::Status(Code::of(14)),
        Some(Reason::CANCEL) => Fault::Status(Code::of(1)),
        Some(Reason::ENHANCE_YOUR_CALM) => Fault::Status(Code::of(8)),
        Some(_) if error.is_reset() => Fault::Status(Code::of(13)),
        Some(_) | None => Fault::ConnectionLost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_by_its_number() {
        let mut headers = HeaderMap::new();
        assert_eq!(ended(&headers), Ok(()));
        for (number, expected) in [("0", Ok(())), ("14", Err("UNAVAILABLE")), ("x", Err("UNKNOWN"))] {
            headers.insert("grpc-status", number.parse().unwrap());
            assert_eq!(ended(&headers).map_err(Fault::name), expected);
        }
    }

    #[test]
    fn a_generation_keeps_its_digest() {
        let connection = Connection::default();
        assert!(connection.is_generation(1, b"a"));
        assert!(connection.is_generation(2, b"b"));
        assert!(connection.is_generation(1, b"a"));
        assert!(!connection.is_generation(2, b"a"));
        assert_eq!(connection.room(), Room::Gone);
    }
}
