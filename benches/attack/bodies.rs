//! Bodies that never end, and bodies in the smallest frames.
//!
//! Figures: at most 256 MiB, given back; honest callers are not delayed; reading a body takes time
//! in proportion to its size.

use std::time::Duration;

use hyper::body::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::arena::raw::{DATA, END_HEADERS, HEADERS, call_headers, frame, greet, listen};
use crate::arena::wire::{BATCH, Connection, EVALUATE, EVIDENCE, framed, head};
use crate::arena::{ATTACKER, Arena};

const STREAMS: u32 = 120;

/// Most of a body, and then a byte now and then.
pub(crate) async fn endless(arena: &Arena) -> Result<(), String> {
    let (end, mut tasks) = (arena.end(), JoinSet::new());
    for place in 0..arena.choose(6, 16) {
        let data = arena.server.data;
        tasks.spawn(async move {
            while Instant::now() < end {
                let Ok(stream) = greet(ATTACKER, data, &[]).await else {
                    sleep(Duration::from_millis(100)).await;
                    continue;
                };
                let (path, size) = [(EVALUATE, 64 * 1024), (EVIDENCE, 1024 * 1024), (BATCH, 1024 * 1024)][place % 3];
                let _ = timeout_at(end, trickle(stream, path, size)).await;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Bodies that claim so many bytes and never have the last.
async fn trickle(stream: TcpStream, path: &'static str, size: usize) {
    let (reader, mut writer) = stream.into_split();
    let writing = async {
        for place in 0..STREAMS {
            let stream = 2 * place + 1;
            let claim = [&[0][..], &u32::try_from(size).unwrap().to_be_bytes()].concat();
            let bytes =
                [frame(HEADERS, END_HEADERS, stream, &call_headers(path)), frame(DATA, 0, stream, &claim)].concat();
            if writer.write_all(&bytes).await.is_err() {
                return;
            }
        }
        // As far as the windows of streams and connection reach by themselves, and then drop by drop.
        let part = vec![b'x'; 15 * 1024];
        let mut left = size - 1024;
        while part.len() < left {
            left -= part.len();
            for place in 0..STREAMS {
                if writer.write_all(&frame(DATA, 0, 2 * place + 1, &part)).await.is_err() {
                    return;
                }
            }
            sleep(Duration::from_millis(20)).await;
        }
        loop {
            for place in 0..STREAMS {
                if writer.write_all(&frame(DATA, 0, 2 * place + 1, b"x")).await.is_err() {
                    return;
                }
            }
            sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::select! { () = writing => {}, _ = listen(reader) => {} }
}

/// Calls that begin and send nothing more.
pub(crate) async fn stopped(arena: &Arena) -> Result<(), String> {
    let end = arena.end();
    let mut connections = Vec::new();
    for _ in 0..arena.choose(8, 32) {
        let connection = Connection::open(ATTACKER, arena.server.data).await?;
        let mut calls = Vec::new();
        for _ in 0..STREAMS {
            // Some claim 1 MiB and stop at once, which a server must not take at its word.
            match connection.begin(head(EVIDENCE), Bytes::from_static(&[0, 0, 0x0f, 0xff, 0xff, 1])).await {
                Ok(call) => calls.push(call),
                Err(_refused) => break,
            }
        }
        connections.push((connection, calls));
    }
    tokio::time::sleep_until(end).await;
    Ok(())
}

/// A body in frames of 16 bytes: four times the body must not take much more than four times the work.
pub(crate) async fn tiny_frames(arena: &Arena) -> Result<(), String> {
    let mut costs = Vec::new();
    for size in [200_000_usize, 800_000] {
        let before = arena.server.cpu();
        for _ in 0..2 {
            let mut stream = greet(ATTACKER, arena.server.data, &[]).await?;
            let body = framed(&vec![0xff; size].into());
            let mut bytes = frame(HEADERS, END_HEADERS, 1, &call_headers(EVIDENCE));
            let parts = body.chunks(16).count();
            for (place, part) in body.chunks(16).enumerate() {
                bytes.extend(frame(DATA, u8::from(place + 1 == parts), 1, part));
            }
            // The server may refuse it before the end.
            let (reader, mut writer) = stream.split();
            let sending = async {
                let _ = writer.write_all(&bytes).await;
                sleep(Duration::from_secs(3)).await;
            };
            let answered = async {
                let mut reader = reader;
                let mut head = [0; 9];
                let mut payload = Vec::new();
                while tokio::io::AsyncReadExt::read_exact(&mut reader, &mut head).await.is_ok() {
                    payload
                        .resize(usize::from(head[2]) + 256 * usize::from(head[1]) + 65_536 * usize::from(head[0]), 0);
                    if tokio::io::AsyncReadExt::read_exact(&mut reader, &mut payload).await.is_err() {
                        break;
                    }
                    // Trailers, or the end of the stream.
                    if (head[3] == HEADERS && head[4] & 1 == 1) || head[3] == 3 || head[3] == 7 {
                        break;
                    }
                }
            };
            tokio::select! { () = sending => {}, () = answered => {} }
        }
        costs.push((arena.server.cpu() - before).as_secs_f64() * 1_000.0);
    }
    let (small, large) = (costs[0].max(1.0), costs[1]);
    arena.note(format!(
        "bodies of 0.2 and 0.8 MB in frames of 16 bytes: {small:.0} and {large:.0} ms of processor time"
    ));
    if 100.0 < large && 8.0 < large / small {
        arena.broken(format!("four times the body takes {:.1} times the processor time", large / small));
    }
    Ok(())
}
