//! Answers that nobody reads: windows of zero, windows of one byte, a peer that does not read TCP.
//!
//! Figures: at most 256 MiB, whatever is held; honest callers are not delayed; SIGTERM ends the
//! process within 15 s while the answers wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::body::Bytes;
use prost::Message as _;
use requite::api::pb::{BatchEvaluateRefundRequest, ExplainLevel};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::arena::wire::{BATCH, Connection, EVALUATE, framed, head, honest_request};
use crate::arena::{ATTACKER, Arena};
use crate::requests::trimmed_large;

const STREAMS: u32 = 120;

/// SIGTERM ends the process within this.
const ENDS_WITHIN: Duration = Duration::from_secs(15);

/// How a peer does not read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deafness {
    /// Streams may not send a byte.
    WindowOfZero,
    /// Streams may send a byte now and then.
    WindowOfOne,
    /// Everything may be sent, and nothing is taken from the socket.
    SocketUnread,
}

pub(crate) async fn window_zero(arena: &Arena) -> Result<(), String> {
    held(arena, Deafness::WindowOfZero).await
}

pub(crate) async fn window_one(arena: &Arena) -> Result<(), String> {
    held(arena, Deafness::WindowOfOne).await
}

pub(crate) async fn socket_unread(arena: &Arena) -> Result<(), String> {
    held(arena, Deafness::SocketUnread).await
}

/// SIGTERM at half time: the process ends within 15 s.
pub(crate) async fn stop(arena: &Arena) -> Result<(), String> {
    let stopping = async {
        sleep(arena.lasts / 2).await;
        let began = Instant::now();
        arena.server.terminate();
        // The attack goes on for as long as it lasts; a server that is gone refuses its connections.
        let end = began + ENDS_WITHIN;
        while !arena.server.has_ended() && Instant::now() < end {
            sleep(Duration::from_millis(20)).await;
        }
        if arena.server.has_ended() {
            arena.note(format!("SIGTERM ended it after {} ms", began.elapsed().as_millis()));
        } else {
            arena.broken(format!("SIGTERM does not end it within {} s", ENDS_WITHIN.as_secs()));
        }
    };
    // Answers are held until well after the signal.
    let holding = held_until(arena, Deafness::WindowOfZero, arena.end() + ENDS_WITHIN);
    tokio::select! { () = stopping => Ok(()), ended = holding => ended }
}

async fn held(arena: &Arena, deafness: Deafness) -> Result<(), String> {
    held_until(arena, deafness, arena.end()).await
}

/// Many calls with large answers, many batches, and some of evidence, until the time is over.
async fn held_until(arena: &Arena, deafness: Deafness, end: Instant) -> Result<(), String> {
    let large = framed(&trimmed_large().encode_to_vec().into());
    let mut plain = honest_request();
    plain.explain = ExplainLevel::Full.into();
    let items = (1_000_000 / plain.encoded_len()).min(1_000);
    let batch = framed(&BatchEvaluateRefundRequest { requests: vec![plain; items] }.encode_to_vec().into());
    let mut tasks = JoinSet::new();
    for place in 0..arena.choose(6, 16) {
        let (data, large, batch) = (arena.server.data, large.clone(), batch.clone());
        tasks.spawn(async move {
            let mut sent = 0;
            while Instant::now() < end {
                let (path, body) = if place % 2 == 0 { (EVALUATE, &large) } else { (BATCH, &batch) };
                let connection = Connection::open_with_window(ATTACKER, data, deafness.window()).await;
                if let Ok(connection) = connection {
                    sent += ask(Arc::new(connection), path, body, deafness, end).await;
                }
                sleep(Duration::from_millis(20)).await;
            }
            sent
        });
    }
    let mut sent = 0;
    while let Some(count) = tasks.join_next().await {
        sent += count.map_err(|error| error.to_string())?;
    }
    arena.note(format!("{sent} calls whose answers were not read"));
    Ok(())
}

/// Calls on every stream, again and again; until the end, or until the server closes the connection.
async fn ask(connection: Arc<Connection>, path: &'static str, body: &Bytes, deafness: Deafness, end: Instant) -> usize {
    let sent = Arc::new(AtomicUsize::new(0));
    let mut calls = JoinSet::new();
    for _ in 0..STREAMS {
        let (connection, body, sent) = (Arc::clone(&connection), body.clone(), Arc::clone(&sent));
        calls.spawn(async move {
            while let Ok(call) = connection.begin(head(path), body.clone(), 64 * 1024).await {
                sent.fetch_add(1, Ordering::Relaxed);
                let answer = call.end();
                match deafness {
                    Deafness::WindowOfOne => sip(answer).await,
                    // Kept, and not read. A server that has enough of it resets the stream, and gets another call.
                    Deafness::WindowOfZero | Deafness::SocketUnread => {
                        if let Ok(answer) = answer.await {
                            let mut body = answer.into_body();
                            let _ = body.data().await;
                        }
                    }
                }
                sleep(Duration::from_millis(100)).await;
            }
        });
    }
    if deafness == Deafness::SocketUnread {
        // What has been asked by now is answered into the socket.
        sleep(Duration::from_millis(500)).await;
        connection.fall_silent();
    }
    let _ = timeout_at(end, async { while calls.join_next().await.is_some() {} }).await;
    sent.load(Ordering::Relaxed)
}

/// Takes an answer a byte at a time.
async fn sip(answer: h2::client::ResponseFuture) {
    let Ok(answer) = answer.await else { return };
    let mut body = answer.into_body();
    while let Some(Ok(data)) = body.data().await {
        sleep(Duration::from_millis(200)).await;
        if body.flow_control().release_capacity(data.len()).is_err() {
            return;
        }
    }
}

impl Deafness {
    const fn window(self) -> u32 {
        match self {
            Self::WindowOfZero => 0,
            Self::WindowOfOne => 1,
            Self::SocketUnread => 0x7fff_ffff,
        }
    }
}
