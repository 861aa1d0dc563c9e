//! A log that nobody reads: standard error is a pipe, it is full, and the server goes on.
//!
//! Figures: no call is delayed; SIGTERM ends the process within 15 s, a second one at once, whatever
//! hangs.

use std::time::Duration;

use hyper::body::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, sleep};

use crate::arena::wire::{Connection, EVALUATE, STATUS, WATCH, connect, encoded, framed, head, honest_request};
use crate::arena::{ATTACKER, Arena};

/// How long a call may take while the log is full.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
const ENDS_WITHIN: Duration = Duration::from_secs(15);
const ENDS_AT_ONCE: Duration = Duration::from_secs(2);

/// One SIGTERM, while a watcher and a body that never ends hang on.
pub(crate) async fn once(arena: &Arena) -> Result<(), String> {
    fill(arena).await?;
    let _hung = hang(arena).await?;
    let began = Instant::now();
    arena.server.terminate();
    ended(arena, ENDS_WITHIN, "SIGTERM", began);
    Ok(())
}

/// A second SIGTERM one second after the first.
pub(crate) async fn twice(arena: &Arena) -> Result<(), String> {
    fill(arena).await?;
    let _hung = hang(arena).await?;
    arena.server.terminate();
    sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    arena.server.terminate();
    ended(arena, ENDS_AT_ONCE, "a second SIGTERM", began);
    Ok(())
}

fn ended(arena: &Arena, bound: Duration, what: &str, began: Instant) {
    match tokio::task::block_in_place(|| arena.server.ended_within(bound)) {
        Some(code) => arena.note(format!("{what} ended it after {} ms with {code}", began.elapsed().as_millis())),
        None => arena.broken(format!("{what} does not end it within {} s", bound.as_secs())),
    }
}

/// Whatever leaves lines: garbage instead of HTTP/2, wrong tokens, bad requests.
async fn fill(arena: &Arena) -> Result<(), String> {
    let end = Instant::now() + arena.choose(Duration::from_secs(3), arena.lasts);
    let honest = encoded(&honest_request());
    let (mut calls, mut slowest) = (0, Duration::ZERO);
    while Instant::now() < end {
        for _ in 0..50 {
            if let Ok(mut stream) = connect(ATTACKER, arena.server.data).await {
                // It is closed at once.
                let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: a-peer-that-is-lost\r\n\r\n").await;
            }
        }
        if let Ok(admin) = Connection::open(ATTACKER, arena.server.admin).await {
            for _ in 0..20 {
                // Refused, and recorded.
                let _ = admin.admin_call(STATUS, "no-such-token", &Bytes::new(), ANSWERS_WITHIN).await;
            }
        }
        let began = Instant::now();
        let connection = Connection::open(ATTACKER, arena.server.data).await?;
        match connection.call(EVALUATE, &honest, ANSWERS_WITHIN).await {
            Ok(reply) if reply.grpc == Some(0) => {}
            Ok(reply) => arena.broken(format!("a call beside it got status {:?} {}", reply.grpc, reply.text)),
            Err(error) => {
                arena.broken(format!("a call beside it: {error}"));
                return Ok(());
            }
        }
        slowest = slowest.max(began.elapsed());
        calls += 1;
    }
    arena.note(format!("{calls} calls while the log was unread, the slowest {} ms", slowest.as_millis()));
    Ok(())
}

/// What does not end by itself.
async fn hang(arena: &Arena) -> Result<impl Sized, String> {
    let Ok(connection) = Connection::open(ATTACKER, arena.server.data).await else { return Ok(None) };
    let watcher = connection.begin(head(WATCH), framed(&Bytes::new()), 64).await?;
    let body = connection.begin(head(EVALUATE), Bytes::from_static(&[0, 0, 0, 1, 0, 1]), 64).await?;
    sleep(Duration::from_millis(100)).await;
    Ok(Some((connection, watcher, body)))
}
