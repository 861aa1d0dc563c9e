//! Floods of HTTP/2 frames: whatever is cheap to send and may cost the server more.
//!
//! Figures: at most 16 MiB; an honest caller's p99 at most doubles; a connection is given up with
//! GOAWAY, or is served within bounds.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::arena::raw::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, INITIAL_WINDOW, PING, PRIORITY, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, call_headers, frame, greet, header, listen, settings,
};
use crate::arena::wire::EVALUATE;
use crate::arena::{ATTACKER, Arena};

/// Frames for the next stream of a flood; the first is 1.
type Frames = fn(stream: u32) -> Vec<u8>;

/// Frames that are written together.
const AT_ONCE: u32 = 200;

/// Streams until a connection has no numbers left.
const STREAMS_MAX: u32 = 0x3fff_0000;

pub(crate) async fn rapid_reset(arena: &Arena) -> Result<(), String> {
    flood(arena, |stream| {
        let open = frame(HEADERS, END_HEADERS, stream, &call_headers(EVALUATE));
        [open, frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
    })
    .await
}

/// Streams that break the rules, so that the server is the one that resets.
pub(crate) async fn made_you_reset(arena: &Arena) -> Result<(), String> {
    flood(arena, |stream| {
        let open = frame(HEADERS, END_HEADERS, stream, &call_headers(EVALUATE));
        // A window that grows by nothing is an error of the stream.
        [open, frame(WINDOW_UPDATE, 0, stream, &[0, 0, 0, 0])].concat()
    })
    .await
}

pub(crate) async fn continuation(arena: &Arena) -> Result<(), String> {
    flood(arena, |stream| {
        if stream == 1 {
            frame(HEADERS, 0, 1, &call_headers(EVALUATE))
        } else {
            frame(CONTINUATION, 0, 1, &header("x", &"y".repeat(1_000)))
        }
    })
    .await
}

pub(crate) async fn empty_continuation(arena: &Arena) -> Result<(), String> {
    flood(arena, |stream| {
        if stream == 1 { frame(HEADERS, 0, 1, &call_headers(EVALUATE)) } else { frame(CONTINUATION, 0, 1, &[]) }
    })
    .await
}

pub(crate) async fn empty_data(arena: &Arena) -> Result<(), String> {
    flood(arena, |stream| {
        if stream == 1 { frame(HEADERS, END_HEADERS, 1, &call_headers(EVALUATE)) } else { frame(DATA, 0, 1, &[]) }
    })
    .await
}

/// DATA that is nothing but padding.
pub(crate) async fn padding(arena: &Arena) -> Result<(), String> {
    flood(arena, |stream| {
        if stream == 1 {
            return frame(HEADERS, END_HEADERS, 1, &call_headers(EVALUATE));
        }
        let mut padded = vec![0; 201];
        padded[0] = 200;
        frame(DATA, 8, 1, &padded)
    })
    .await
}

pub(crate) async fn malformed_headers(arena: &Arena) -> Result<(), String> {
    flood(arena, |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &header("connection", "x"))).await
}

/// Header lists above the limit.
pub(crate) async fn large_headers(arena: &Arena) -> Result<(), String> {
    flood(arena, |stream| {
        let block = [call_headers(EVALUATE), header("x", &"y".repeat(12_000))].concat();
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)
    })
    .await
}

/// One long header in the table of the peer, and then a reference of one byte to it, again and again.
pub(crate) async fn header_bomb(arena: &Arena) -> Result<(), String> {
    flood(arena, |stream| {
        let mut block = call_headers(EVALUATE);
        if stream == 1 {
            let mut remembered = header("x", &"y".repeat(3_900));
            remembered[0] = 0x40;
            block.extend(remembered);
        } else {
            // Index 62 is the first of the table that grows.
            block.extend([0x80 | 62].repeat(8_000));
        }
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)
    })
    .await
}

pub(crate) async fn ping(arena: &Arena) -> Result<(), String> {
    flood(arena, |_| frame(PING, 0, 0, b"12345678")).await
}

pub(crate) async fn settings_frames(arena: &Arena) -> Result<(), String> {
    flood(arena, |stream| frame(SETTINGS, 0, 0, &settings(&[(INITIAL_WINDOW, 1_000 + stream % 1_000)]))).await
}

pub(crate) async fn priority(arena: &Arena) -> Result<(), String> {
    flood(arena, |stream| frame(PRIORITY, 0, stream, &[0, 0, 0, 0, 16])).await
}

pub(crate) async fn window_update(arena: &Arena) -> Result<(), String> {
    flood(arena, |_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])).await
}

pub(crate) async fn unknown_frames(arena: &Arena) -> Result<(), String> {
    flood(arena, |_| frame(0xaa, 0xff, 0, &[0; 64])).await
}

/// Calls of a method that is not there, as fast as they go.
pub(crate) async fn unknown_method(arena: &Arena) -> Result<(), String> {
    flood(arena, |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &call_headers("/a.B/C"))).await
}

/// New connections all the time, each given up at once.
pub(crate) async fn churn(arena: &Arena) -> Result<(), String> {
    let (end, mut tasks) = (arena.end(), JoinSet::new());
    for _ in 0..4 {
        let data = arena.server.data;
        tasks.spawn(async move {
            let mut made = 0_u32;
            while Instant::now() < end {
                made += u32::from(greet(ATTACKER, data, &[]).await.is_ok());
                // The system has so many ports only.
                sleep(Duration::from_millis(2)).await;
            }
            made
        });
    }
    let made: u32 = tasks.join_all().await.into_iter().sum();
    arena.note(format!("{made} connections were made and given up"));
    Ok(())
}

/// Frames over a few connections for as long as it lasts; each connection that is lost is made again.
async fn flood(arena: &Arena, frames: Frames) -> Result<(), String> {
    let (end, mut tasks) = (arena.end(), JoinSet::new());
    for _ in 0..2 {
        let data = arena.server.data;
        tasks.spawn(async move {
            let (mut sent, mut lost, mut goaway) = (0_u64, 0_u64, 0_u64);
            while Instant::now() < end {
                let Ok(stream) = greet(ATTACKER, data, &[]).await else {
                    sleep(Duration::from_millis(50)).await;
                    continue;
                };
                let (reader, mut writer) = stream.into_split();
                let heard = tokio::spawn(listen(reader));
                let mut next = 0;
                while Instant::now() < end && next < STREAMS_MAX {
                    let bytes: Vec<u8> = (next..next + AT_ONCE).flat_map(|place| frames(2 * place + 1)).collect();
                    next += AT_ONCE;
                    match timeout_at(end, writer.write_all(&bytes)).await {
                        Ok(Ok(())) => sent += u64::from(AT_ONCE),
                        Ok(Err(_)) => {
                            lost += 1;
                            break;
                        }
                        Err(_elapsed) => break,
                    }
                }
                drop(writer);
                let listening = heard.abort_handle();
                let heard = timeout_at(end.max(Instant::now() + Duration::from_millis(200)), heard).await;
                listening.abort();
                goaway += u64::from(heard.is_ok_and(|heard| heard.is_ok_and(|heard| heard.said_goaway)));
                sleep(Duration::from_millis(5)).await;
            }
            (sent, lost, goaway)
        });
    }
    let (mut sent, mut lost, mut goaway) = (0, 0, 0);
    for (more_sent, more_lost, more_goaway) in tasks.join_all().await {
        sent += more_sent;
        lost += more_lost;
        goaway += more_goaway;
    }
    arena.note(format!("{sent} frames or pairs of them, {lost} connections lost, {goaway} with GOAWAY"));
    Ok(())
}
