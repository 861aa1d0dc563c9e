//! HTTP/2 by hand, for what no library lets one send.

use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::arena::wire::connect;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// `SETTINGS_INITIAL_WINDOW_SIZE`.
pub(crate) const INITIAL_WINDOW: u16 = 4;

/// A frame as it goes over the wire.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A header, literal and not to be remembered.
pub(crate) fn header(name: &str, value: &str) -> Vec<u8> {
    let mut block = vec![0];
    for text in [name, value] {
        integer(text.len(), &mut block);
        block.extend_from_slice(text.as_bytes());
    }
    block
}

/// An integer with a prefix of seven bits.
fn integer(mut value: usize, into: &mut Vec<u8>) {
    if value < 127 {
        into.push(value as u8);
        return;
    }
    into.push(127);
    value -= 127;
    while 128 <= value {
        into.push((value % 128 + 128) as u8);
        value /= 128;
    }
    into.push(value as u8);
}

/// The headers of a call.
pub(crate) fn call_headers(path: &str) -> Vec<u8> {
    [
        header(":method", "POST"),
        header(":scheme", "http"),
        header(":path", path),
        header(":authority", "localhost"),
        header("content-type", "application/grpc"),
        header("te", "trailers"),
    ]
    .concat()
}

/// The payload of SETTINGS.
pub(crate) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    values.iter().flat_map(|(key, value)| [&key.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect()
}

/// A connection that has said hello with these settings.
pub(crate) async fn greet(from: IpAddr, to: SocketAddr, values: &[(u16, u32)]) -> Result<TcpStream, String> {
    let mut stream = connect(from, to).await?;
    let hello = [PREFACE, &frame(SETTINGS, 0, 0, &settings(values))].concat();
    stream.write_all(&hello).await.map_err(|error| error.to_string())?;
    Ok(stream)
}

/// What a server sent until it closed the connection.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Heard {
    pub(crate) frames: u64,
    pub(crate) said_goaway: bool,
    pub(crate) bytes: u64,
}

/// Reads frames until the connection ends.
pub(crate) async fn listen(mut from: impl tokio::io::AsyncRead + Unpin) -> Heard {
    let mut heard = Heard::default();
    let mut head = [0; 9];
    while from.read_exact(&mut head).await.is_ok() {
        let length = u64::from(u32::from_be_bytes([0, head[0], head[1], head[2]]));
        heard.frames += 1;
        heard.bytes += 9 + length;
        heard.said_goaway |= head[3] == GOAWAY;
        let mut payload = (&mut from).take(length);
        if tokio::io::copy(&mut payload, &mut tokio::io::sink()).await.is_err() {
            break;
        }
    }
    heard
}
