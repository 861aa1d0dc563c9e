//! Slow peers: a byte of a request now and then, an answer read byte by byte.
//!
//! Figures: the probe of an orchestrator is answered, admins get in, and callers are not delayed.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::arena::raw::PREFACE;
use crate::arena::wire::connect;
use crate::arena::{ATTACKER, Arena};

/// Heads that never end, and pages read byte by byte.
pub(crate) async fn pages(arena: &Arena) -> Result<(), String> {
    let head = format!("GET /metrics HTTP/1.1\r\nhost: a\r\nx-long: {}\r\n\r\n", "y".repeat(4_000));
    drip(arena, arena.server.pages, arena.choose(150, 500), head.into_bytes()).await
}

/// A preface that never ends.
pub(crate) async fn admin(arena: &Arena) -> Result<(), String> {
    drip(arena, arena.server.admin, arena.choose(150, 500), PREFACE.to_vec()).await
}

/// The same where callers are.
pub(crate) async fn data(arena: &Arena) -> Result<(), String> {
    drip(arena, arena.server.data, arena.choose(1_500, 3_000), PREFACE.to_vec()).await
}

async fn drip(arena: &Arena, to: SocketAddr, count: usize, words: Vec<u8>) -> Result<(), String> {
    let (end, mut tasks) = (arena.end(), JoinSet::new());
    for place in 0..count {
        let words = words.clone();
        tasks.spawn(async move {
            while Instant::now() < end {
                if let Ok(mut stream) = connect(ATTACKER, to).await {
                    let work = async {
                        if place % 2 == 0 {
                            for byte in &words {
                                if stream.write_all(&[*byte]).await.is_err() {
                                    return;
                                }
                                sleep(Duration::from_millis(700)).await;
                            }
                        } else if stream.write_all(&words).await.is_err() {
                            return;
                        }
                        let mut byte = [0];
                        while stream.read(&mut byte).await.is_ok_and(|count| 0 < count) {
                            sleep(Duration::from_millis(500)).await;
                        }
                    };
                    let _ = timeout_at(end, work).await;
                }
                let _ = timeout_at(end, sleep(Duration::from_millis(300))).await;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| error.to_string())?;
    }
    Ok(())
}
