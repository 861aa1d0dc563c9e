//! Connections that are held: whoever holds the places must not keep others out.
//!
//! Figures: newcomers are served, the probe of an orchestrator is answered and an admin gets in while
//! one peer, or many, hold all the connections they can; silent connections are closed within 6 s;
//! 10 000 idle ones take at most 300 MiB.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use crate::arena::raw::{PREFACE, SETTINGS, frame};
use crate::arena::wire::connect;
use crate::arena::{ATTACKER, Arena};

/// What a held connection has said.
type Hello = &'static [u8];

const NOTHING: Hello = b"";
/// The first bytes of a client of TLS that says no more.
const TLS_HELLO: Hello = &[22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
const HALF_A_PREFACE: Hello = b"PRI * HTTP/2.0\r\n\r\nS";
const HALF_A_HEAD: Hello = b"GET /metrics HTTP/1.1\r\nhost: a\r\nx: ";

/// One peer holds the data listener.
pub(crate) async fn one_peer(arena: &Arena) -> Result<(), String> {
    hold(arena, arena.server.data, arena.choose(1_500, 3_000), 1, greeting()).await
}

/// Many peers do.
pub(crate) async fn many_peers(arena: &Arena) -> Result<(), String> {
    hold(arena, arena.server.data, arena.choose(1_500, 3_000), 200, greeting()).await
}

/// The pages, with half a request.
pub(crate) async fn pages(arena: &Arena) -> Result<(), String> {
    hold(arena, arena.server.pages, arena.choose(300, 1_000), 1, HALF_A_HEAD.to_vec()).await
}

/// The pages, by many peers.
pub(crate) async fn pages_many_peers(arena: &Arena) -> Result<(), String> {
    hold(arena, arena.server.pages, arena.choose(300, 1_000), 100, NOTHING.to_vec()).await
}

/// The admins' listener.
pub(crate) async fn admin(arena: &Arena) -> Result<(), String> {
    hold(arena, arena.server.admin, arena.choose(300, 1_000), 1, greeting()).await
}

/// The admins' listener, by many peers.
pub(crate) async fn admin_many_peers(arena: &Arena) -> Result<(), String> {
    hold(arena, arena.server.admin, arena.choose(300, 1_000), 100, greeting()).await
}

/// Many that say nothing, or not enough: all are closed within 6 s.
pub(crate) async fn silent(arena: &Arena) -> Result<(), String> {
    let mut tasks = JoinSet::new();
    for hello in [NOTHING, TLS_HELLO, HALF_A_PREFACE] {
        for _ in 0..arena.choose(20, 200) {
            let data = arena.server.data;
            tasks.spawn(async move {
                let Ok(mut stream) = connect(ATTACKER, data).await else { return true };
                let _ = stream.write_all(hello).await;
                timeout(Duration::from_secs(6), closed(&mut stream)).await.is_ok()
            });
        }
    }
    let mut stay = 0;
    while let Some(ended) = tasks.join_next().await {
        stay += usize::from(!ended.map_err(|error| error.to_string())?);
    }
    if 0 < stay {
        arena.broken(format!("{stay} silent connections are there after 6 s"));
    }
    Ok(())
}

/// Idle connections from many peers, as callers keep them.
pub(crate) async fn idle(arena: &Arena) -> Result<(), String> {
    // The server takes at most half of its descriptors, and has as many as this program; honest callers
    // are among them.
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let wanted = arena.choose(900, 10_000).min((descriptors / 2).saturating_sub(100) as usize);
    let before = arena.server.resident_kib();
    let mut connections = Vec::new();
    for place in 0..wanted {
        let Ok(mut stream) = connect(peer(place, 200), arena.server.data).await else { break };
        if stream.write_all(&greeting()).await.is_err() {
            break;
        }
        connections.push(stream);
    }
    sleep(Duration::from_secs(2)).await;
    let grown = arena.server.resident_kib().saturating_sub(before);
    let mut open = 0;
    for stream in &mut connections {
        open += usize::from(is_open(stream));
    }
    arena.note(format!("{open} of {wanted} idle connections are open and take {} MiB", grown / 1024));
    if open < wanted {
        arena.broken(format!("only {open} of {wanted} idle connections are open"));
    }
    if 0 < open && 30 * 1024 < grown && 300 * 1024 * open as u64 / 10_000 < grown {
        arena.broken(format!("{open} idle connections take {} MiB: more than 300 for 10 000", grown / 1024));
    }
    Ok(())
}

/// Holds as many connections as it gets, and takes each again that it loses.
async fn hold(arena: &Arena, to: SocketAddr, count: usize, peers: usize, hello: Vec<u8>) -> Result<(), String> {
    // The places are taken first; the time counts from then.
    let taken = Instant::now() + Duration::from_millis(count as u64);
    let end = taken + arena.lasts;
    let held = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for place in 0..count {
        let (hello, held) = (hello.clone(), Arc::clone(&held));
        tasks.spawn(async move {
            // One after another: what the backlog has no room for waits for a second.
            sleep_until(taken - Duration::from_millis((count - place) as u64)).await;
            while Instant::now() < end {
                if let Ok(mut stream) = connect(peer(place, peers), to).await
                    && stream.write_all(&hello).await.is_ok()
                {
                    held.fetch_add(1, Ordering::Relaxed);
                    let _ = timeout_at(end, closed(&mut stream)).await;
                    held.fetch_sub(1, Ordering::Relaxed);
                }
                // Lost, or not had: again, but not at once.
                sleep_until((Instant::now() + Duration::from_millis(500)).min(end)).await;
            }
        });
    }
    sleep_until(taken + arena.lasts / 2).await;
    arena.note(format!("{} connections held at half time", held.load(Ordering::Relaxed)));
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// The attacker, as the given number of peers.
fn peer(place: usize, peers: usize) -> IpAddr {
    if peers <= 1 {
        return ATTACKER;
    }
    let place = place % peers;
    IpAddr::V4(Ipv4Addr::new(127, 0, 1 + (place / 250) as u8, 1 + (place % 250) as u8))
}

/// A proper beginning of HTTP/2.
fn greeting() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()
}

/// Reads until the peer closes.
async fn closed(stream: &mut TcpStream) {
    let mut into = [0; 256];
    while stream.read(&mut into).await.is_ok_and(|count| 0 < count) {}
}

/// Whether the peer has not closed it yet.
fn is_open(stream: &TcpStream) -> bool {
    let mut into = [0; 256];
    loop {
        match stream.try_read(&mut into) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
        }
    }
}
