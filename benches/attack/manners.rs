//! Manners: what is no gRPC, or no HTTP/2, gets the answer that the protocol has for it.
//!
//! Figures: never OK, never UNKNOWN, never a call that hangs; the connection of anything that is not
//! HTTP/2 is closed within 6 s. On the data listener and on that of admins.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::body::Bytes;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::arena::wire::{Connection, EVALUATE, Reply, STATUS, connect, encoded, field, framed, head, honest_request};
use crate::arena::{ATTACKER, Arena};

const DEADLINE: Duration = Duration::from_secs(5);

/// What an answer may be.
#[derive(Clone, Copy)]
enum Expected {
    /// One of these statuses of gRPC.
    Grpc(&'static [i32]),
    /// This status of HTTP, or a status of gRPC that is neither OK nor UNKNOWN.
    Http(u16),
    /// OK: it is odd, and allowed.
    Fine,
    /// Anything but OK, the connection or the stream given up included.
    Refused,
}

struct Case {
    name: &'static str,
    change: fn(&mut http::Request<()>),
    body: Bytes,
    expected: Expected,
}

fn set(head: &mut http::Request<()>, name: &'static str, value: &str) {
    head.headers_mut().insert(name, value.parse().unwrap());
}

/// Requests to a method that would answer `message`.
fn cases(message: &Bytes) -> Vec<Case> {
    use Expected::{Fine, Grpc, Http, Refused};
    let good = framed(message);
    let with = |first: &[u8]| -> Bytes { [first, message].concat().into() };
    let length = u32::try_from(message.len()).unwrap();
    let claimed = |flag: u8, length: u32| with(&[&[flag][..], &length.to_be_bytes()].concat());
    let case = |name, change, body, expected| Case { name, change, body, expected };
    vec![
        case("as it should be", |_| {}, good.clone(), Fine),
        case("content type text/plain", |head| set(head, "content-type", "text/plain"), good.clone(), Http(415)),
        case(
            "content type application/json",
            |head| set(head, "content-type", "application/json"),
            good.clone(),
            Http(415),
        ),
        case(
            "content type application/grpcx",
            |head| set(head, "content-type", "application/grpcx"),
            good.clone(),
            Http(415),
        ),
        case(
            "no content type",
            |head| {
                head.headers_mut().remove("content-type");
            },
            good.clone(),
            Http(415),
        ),
        case(
            "content type application/grpc+proto",
            |head| set(head, "content-type", "application/grpc+proto"),
            good.clone(),
            Fine,
        ),
        case(
            "content type application/grpc; a=b",
            |head| set(head, "content-type", "application/grpc; a=b"),
            good.clone(),
            Fine,
        ),
        case("method GET", |head| *head.method_mut() = http::Method::GET, good.clone(), Http(405)),
        case("method PUT", |head| *head.method_mut() = http::Method::PUT, good.clone(), Http(405)),
        case("two messages", |_| {}, [&good[..], &good[..]].concat().into(), Grpc(&[3, 12, 13])),
        case("no message", |_| {}, Bytes::new(), Grpc(&[3, 12, 13])),
        case("half a prefix", |_| {}, Bytes::from_static(&[0, 0, 0]), Grpc(&[3, 13])),
        case("a prefix that claims more than comes", |_| {}, claimed(0, length + 1), Grpc(&[3, 13])),
        case("a prefix that claims 4 GiB", |_| {}, claimed(0, u32::MAX), Grpc(&[8])),
        case("a byte after the message", |_| {}, [&good[..], b"x"].concat().into(), Grpc(&[3, 12, 13])),
        case("compressed without saying how", |_| {}, claimed(1, length), Grpc(&[3, 12, 13])),
        case(
            "compressed in an unknown way",
            |head| set(head, "grpc-encoding", "lzma"),
            claimed(1, length),
            Grpc(&[12]),
        ),
        case("a prefix with an unknown flag", |_| {}, claimed(7, length), Grpc(&[3, 12, 13])),
        case("a timeout that is none", |head| set(head, "grpc-timeout", "soon"), good.clone(), Grpc(&[3, 13])),
        case("a timeout without a unit", |head| set(head, "grpc-timeout", "100"), good.clone(), Grpc(&[3, 13])),
        case("a timeout of nine digits", |head| set(head, "grpc-timeout", "123456789S"), good.clone(), Grpc(&[3, 13])),
        case("a timeout below zero", |head| set(head, "grpc-timeout", "-1S"), good.clone(), Grpc(&[3, 13])),
        case("headers of 16 KiB", |head| set(head, "x-large", &"y".repeat(16 * 1024)), good.clone(), Refused),
        case(
            "a method that is not there",
            |head| *head.uri_mut() = "http://a/requite.v1.RefundPolicyService/Nothing".parse().unwrap(),
            good.clone(),
            Grpc(&[12]),
        ),
        case(
            "a service that is not there",
            |head| *head.uri_mut() = "http://a/a.B/C".parse().unwrap(),
            good.clone(),
            Grpc(&[12]),
        ),
        case("no path", |head| *head.uri_mut() = "http://a/".parse().unwrap(), good.clone(), Grpc(&[12])),
        case("bytes that are no message", |_| {}, framed(&Bytes::from_static(&[0xff; 40])), Grpc(&[3])),
    ]
}

/// Messages of EvaluateRefund that the wire format forbids.
fn bad_messages() -> Vec<(&'static str, Bytes)> {
    let varint = |number: u32| vec![(number << 3) as u8, 1];
    let fixed = |number: u32| [&[(number << 3 | 5) as u8][..], &[1, 2, 3, 4]].concat();
    let order = |inner: &[u8]| -> Bytes { [&honest_request().encode_to_vec()[..], &field(6, inner)].concat().into() };
    vec![
        ("the map `times` as a varint", order(&varint(4))),
        ("the map `times` as four bytes", order(&fixed(4))),
        ("the map `inputs` as a varint", order(&varint(10))),
        ("`lines` as a varint", order(&varint(6))),
        ("a text that is no UTF-8", field(1, &[0xff, 0xfe]).into()),
        ("a length beyond the end", Bytes::from_static(&[0x3a, 0x7f, 1])),
        ("a group that ends and never began", Bytes::from_static(&[0xfc, 0x3f])),
        ("field number zero", Bytes::from_static(&[0x02, 0x00])),
        (
            "a varint of eleven bytes",
            Bytes::from_static(&[0x20, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ),
    ]
}

pub(crate) async fn all(arena: &Arena) -> Result<(), String> {
    let honest = encoded(&honest_request());
    for case in cases(&honest) {
        let outcome = ask(arena.server.data, EVALUATE, None, &case).await;
        judge(arena, "data", &case, outcome);
    }
    for case in cases(&Bytes::new()) {
        let outcome = ask(arena.server.admin, STATUS, Some(&arena.server.token), &case).await;
        judge(arena, "admin", &case, outcome);
    }
    for (name, message) in bad_messages() {
        let connection = Connection::open(ATTACKER, arena.server.data).await?;
        match connection.call(EVALUATE, &message, DEADLINE).await {
            Ok(reply) if reply.grpc == Some(3) => {}
            Ok(reply) => arena.broken(format!("data: {name} got status {:?} {}", reply.grpc, reply.text)),
            Err(error) => arena.broken(format!("data: {name}: {error}")),
        }
    }
    strangers(arena).await?;
    no_credentials(arena).await
}

async fn ask(to: SocketAddr, path: &str, token: Option<&str>, case: &Case) -> Result<Reply, String> {
    let connection = Connection::open(ATTACKER, to).await?;
    let mut head = head(path);
    if let Some(token) = token {
        set(&mut head, "authorization", &format!("Bearer {token}"));
    }
    (case.change)(&mut head);
    connection.request(head, case.body.clone(), DEADLINE).await
}

fn judge(arena: &Arena, listener: &str, case: &Case, outcome: Result<Reply, String>) {
    let name = case.name;
    let reply = match outcome {
        Ok(reply) => reply,
        Err(error) if matches!(case.expected, Expected::Refused) && !error.starts_with("no answer") => return,
        Err(error) => {
            arena.broken(format!("{listener}: {name}: {error}"));
            return;
        }
    };
    let is = |codes: &[i32]| reply.http == 200 && reply.grpc.is_some_and(|code| codes.contains(&code));
    let right = match case.expected {
        Expected::Fine => is(&[0]),
        Expected::Grpc(codes) => is(codes),
        Expected::Http(status) => reply.http == status || reply.grpc.is_some_and(|code| code != 0 && code != 2),
        Expected::Refused => reply.http != 200 || reply.grpc.is_some_and(|code| code != 0),
    };
    if !right {
        arena.broken(format!("{listener}: {name} got HTTP {} and status {:?} {}", reply.http, reply.grpc, reply.text));
    }
}

/// Peers that speak something else.
async fn strangers(arena: &Arena) -> Result<(), String> {
    let tls: &[u8] = &[22, 3, 1, 0, 5, 1, 0, 0, 1, 0];
    let words: [(&str, &[u8]); 4] = [
        ("HTTP/1", b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"),
        ("the hello of TLS", tls),
        ("garbage", &[0xa5; 4_096]),
        ("an upgrade to h2c", b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n"),
    ];
    for (listener, address) in [("data", arena.server.data), ("admin", arena.server.admin)] {
        for (name, bytes) in words {
            let mut stream = connect(ATTACKER, address).await?;
            // It may close before everything is written.
            let _ = stream.write_all(bytes).await;
            let mut answer = Vec::new();
            let closed = timeout(Duration::from_secs(6), stream.read_to_end(&mut answer)).await;
            if closed.is_err() {
                arena.broken(format!("{listener}: {name} is not closed within 6 s"));
            }
        }
    }
    let mut stream = connect(ATTACKER, arena.server.pages).await?;
    let _ = stream.write_all(&[0xa5; 4_096]).await;
    if timeout(Duration::from_secs(12), stream.read_to_end(&mut Vec::new())).await.is_err() {
        arena.broken("pages: garbage is not closed within 12 s");
    }
    Ok(())
}

/// Admins without a token, with another one, in another way.
async fn no_credentials(arena: &Arena) -> Result<(), String> {
    let token = &arena.server.token;
    let values = [
        None,
        Some("Bearer ".to_owned()),
        Some(format!("Bearer {}", "a".repeat(32))),
        Some(format!("Basic {token}")),
        Some(token.clone()),
        Some(format!("Bearer {token}x")),
        Some(format!("Bearer {}", &token[1..])),
    ];
    for value in values {
        let connection = Connection::open(ATTACKER, arena.server.admin).await?;
        let mut head = head(STATUS);
        if let Some(value) = &value {
            set(&mut head, "authorization", value);
        }
        match connection.request(head, framed(&Bytes::new()), DEADLINE).await {
            Ok(reply) if reply.grpc == Some(16) => {}
            other => arena.broken(format!("admin: credentials that are none: {other:?}")),
        }
    }
    Ok(())
}
