//! Answers that nobody reads: windows of zero, windows of one byte, a peer that does not read TCP.
//!
//! Figures: at most 256 MiB, whatever is held; honest callers are not delayed; SIGTERM ends the
//! process within 15 s while the answers wait.

use std::time::Duration;

use prost::Message as _;
use requite::server::pb::{BatchEvaluateRefundRequest, ExplainLevel};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::arena::raw::{INITIAL_WINDOW, WINDOW_UPDATE, frame, greet, listen, whole_call};
use crate::arena::wire::{BATCH, EVALUATE, framed, honest_request};
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

/// Many calls with large answers, then many batches, until the time is over.
async fn held_until(arena: &Arena, deafness: Deafness, end: Instant) -> Result<(), String> {
    let window = match deafness {
        Deafness::WindowOfZero => 0,
        Deafness::WindowOfOne => 1,
        Deafness::SocketUnread => 0x7fff_ffff,
    };
    let large = framed(&trimmed_large().encode_to_vec().into());
    let mut plain = honest_request();
    plain.explain = ExplainLevel::Full.into();
    let items = 1_000_000 / plain.encoded_len();
    let batch = framed(&BatchEvaluateRefundRequest { requests: vec![plain; items.min(1_000)] }.encode_to_vec().into());
    let mut tasks = JoinSet::new();
    for place in 0..arena.choose(4, 16) {
        let (data, large, batch) = (arena.server.data, large.clone(), batch.clone());
        tasks.spawn(async move {
            let mut sent = 0;
            while Instant::now() < end {
                let Ok(stream) = greet(ATTACKER, data, &[(INITIAL_WINDOW, window)]).await else {
                    sleep(Duration::from_millis(100)).await;
                    continue;
                };
                let (path, body) = if place % 2 == 0 { (EVALUATE, &large) } else { (BATCH, &batch) };
                sent += timeout_at(end, ask(stream, path, body, deafness)).await.unwrap_or(STREAMS);
            }
            sent
        });
    }
    let mut sent = 0;
    while let Some(count) = tasks.join_next().await {
        sent += count.map_err(|error| error.to_string())?;
    }
    arena.note(format!("about {sent} calls whose answers were not read"));
    Ok(())
}

/// Calls on every stream; stays until the server closes the connection.
async fn ask(stream: TcpStream, path: &'static str, body: &[u8], deafness: Deafness) -> u32 {
    let (reader, mut writer) = stream.into_split();
    let mut sent = 0;
    let writing = async {
        for place in 0..STREAMS {
            if writer.write_all(&whole_call(path, 2 * place + 1, body)).await.is_err() {
                return;
            }
            sent += 1;
        }
        loop {
            sleep(Duration::from_millis(200)).await;
            let updates = match deafness {
                Deafness::WindowOfOne => {
                    (0..STREAMS).flat_map(|place| frame(WINDOW_UPDATE, 0, 2 * place + 1, &[0, 0, 0, 1])).collect()
                }
                // Only to see whether the connection is still there.
                Deafness::WindowOfZero | Deafness::SocketUnread => frame(0xfe, 0, 0, &[]),
            };
            if writer.write_all(&updates).await.is_err() {
                return;
            }
        }
    };
    match deafness {
        Deafness::SocketUnread => writing.await,
        Deafness::WindowOfZero | Deafness::WindowOfOne => {
            tokio::select! { () = writing => {}, _ = listen(reader) => {} }
        }
    }
    sent
}
