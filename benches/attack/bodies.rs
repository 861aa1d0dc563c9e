//! Bodies that never end, and bodies in small frames.
//!
//! Figures: at most 256 MiB, given back; honest callers are not delayed; reading a body takes time
//! in proportion to its size.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::arena::wire::{BATCH, Connection, EVALUATE, EVIDENCE, framed, head};
use crate::arena::{ATTACKER, Arena};

const STREAMS: usize = 120;

/// A frame of DATA, in bytes: below this the library gives a connection up soon.
const FRAME: usize = 256;

/// Most of a body, and then a byte now and then.
pub(crate) async fn endless(arena: &Arena) -> Result<(), String> {
    let (end, mut tasks) = (arena.end(), JoinSet::new());
    for place in 0..arena.choose(6, 16) {
        let data = arena.server.data;
        tasks.spawn(async move {
            let (path, size) = [(EVALUATE, 256 * 1024), (EVIDENCE, 1024 * 1024), (BATCH, 1024 * 1024)][place % 3];
            while Instant::now() < end {
                if let Ok(connection) = Connection::open(ATTACKER, data).await {
                    let _ = timeout_at(end, trickle(Arc::new(connection), path, size)).await;
                }
                // Lost, or not had: again, but not at once.
                sleep(Duration::from_millis(100)).await;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Bodies that claim so many bytes and never have the last; until the server gives up the connection.
async fn trickle(connection: Arc<Connection>, path: &'static str, size: usize) {
    let mut calls = JoinSet::new();
    // As the body of a message of an unknown field: nothing in it is wrong before its end.
    let most: Bytes = framed(&vec![0; size].into()).slice(..size - 1024);
    for _ in 0..STREAMS {
        let (connection, most) = (Arc::clone(&connection), most.clone());
        calls.spawn(async move {
            // A call that the server ends is made again.
            while let Ok(mut call) = connection.begin(head(path), most.clone(), 16 * 1024).await {
                while call.send(Bytes::from_static(b"x")).await.is_ok() {
                    sleep(Duration::from_millis(300)).await;
                }
                sleep(Duration::from_millis(100)).await;
            }
        });
    }
    while calls.join_next().await.is_some() {}
}

/// Calls that claim 1 MiB, and send nothing more: a server must not take them at their word.
pub(crate) async fn stopped(arena: &Arena) -> Result<(), String> {
    let (end, mut held) = (arena.end(), Vec::new());
    for _ in 0..arena.choose(8, 32) {
        let connection = Connection::open(ATTACKER, arena.server.data).await?;
        let mut calls = Vec::new();
        for _ in 0..STREAMS {
            let begun = connection.begin(head(EVIDENCE), Bytes::from_static(&[0, 0, 0x0f, 0xff, 0xff, 1]), 6);
            match timeout(Duration::from_secs(1), begun).await {
                Ok(Ok(call)) => calls.push(call),
                Ok(Err(_)) | Err(_) => break,
            }
        }
        held.push((connection, calls));
    }
    arena.note(format!("{} calls begun", held.iter().map(|(_, calls)| calls.len()).sum::<usize>()));
    tokio::time::sleep_until(end).await;
    Ok(())
}

/// A body in small frames: four times the body must not take much more than four times the work.
pub(crate) async fn tiny_frames(arena: &Arena) -> Result<(), String> {
    let (mut costs, mut given_up) = (Vec::new(), 0);
    for size in [250_000, 1_000_000] {
        let before = arena.server.cpu();
        for _ in 0..arena.choose(1, 4) {
            let connection = Connection::open(ATTACKER, arena.server.data).await?;
            let body = framed(&vec![0; size].into());
            let work = async { connection.begin(head(EVIDENCE), body, FRAME).await?.finish().await };
            match timeout(Duration::from_secs(60), work).await {
                Ok(Ok(reply)) if reply.grpc.is_some_and(|code| code == 3 || code == 8) => {}
                Ok(Ok(reply)) => arena.broken(format!("{size} bytes got status {:?} {}", reply.grpc, reply.text)),
                // The server may have had enough of such frames, and close the connection.
                Ok(Err(_closed)) => given_up += 1,
                Err(_elapsed) => arena.broken(format!("{size} bytes: no answer in 60 s")),
            }
        }
        costs.push((arena.server.cpu() - before).as_secs_f64() * 1_000.0);
    }
    if 0 < given_up {
        arena.note(format!("{given_up} connections were given up for their frames"));
    }
    let (small, large) = (costs[0].max(1.0), costs[1]);
    arena.note(format!(
        "bodies of 0.25 and 1 MB in frames of 256 bytes: {small:.0} and {large:.0} ms of processor time"
    ));
    if 100.0 < large && 8.0 < large / small {
        arena.broken(format!("four times the body takes {:.1} times the processor time", large / small));
    }
    Ok(())
}
