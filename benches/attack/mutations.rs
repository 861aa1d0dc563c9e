//! Mutated messages: valid requests with bytes changed, cut, doubled and mixed, by seed.
//!
//! Figures: statuses 0, 3, 5, 8 and 9 only, each within 10 s; the server lives; honest callers are
//! not delayed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use prost::Message as _;
use requite::api::json::request_from_json;
use requite::api::pb::{BatchEvaluateRefundRequest, ValidateEvidenceRequest};
use tokio::task::JoinSet;

use crate::arena::wire::{BATCH, Connection, EVALUATE, EVIDENCE};
use crate::arena::{ATTACKER, Arena, Seeded};

const STATUSES: [i32; 5] = [0, 3, 5, 8, 9];
const DEADLINE: Duration = Duration::from_secs(10);
const CONNECTIONS: u64 = 4;

pub(crate) async fn all(arena: &Arena) -> Result<(), String> {
    let seeds = Arc::new(seeds()?);
    let count = arena.choose(2_000, 200_000) / CONNECTIONS;
    let mut tasks = JoinSet::new();
    for worker in 0..CONNECTIONS {
        let (seeds, data) = (Arc::clone(&seeds), arena.server.data);
        let mut seeded = Seeded(arena.seed.wrapping_mul(CONNECTIONS) + worker);
        tasks.spawn(async move {
            let mut connection = Connection::open(ATTACKER, data).await?;
            let (mut statuses, mut wrong) = (BTreeMap::<i32, u64>::new(), Vec::new());
            for place in 0..count {
                let (path, message) = mutate(&seeds, &mut seeded);
                match connection.call(path, &message, DEADLINE).await {
                    Ok(reply) => {
                        let code = reply.grpc.unwrap_or(-1);
                        *statuses.entry(code).or_default() += 1;
                        if !STATUSES.contains(&code) {
                            wrong.push(format!("worker {worker}, message {place} to {path}: {code} {}", reply.text));
                        }
                    }
                    Err(error) => {
                        wrong.push(format!("worker {worker}, message {place} to {path}: {error}"));
                        connection = Connection::open(ATTACKER, data).await?;
                    }
                }
                if 20 < wrong.len() {
                    break;
                }
            }
            Ok::<_, String>((statuses, wrong))
        });
    }
    let mut all = BTreeMap::<i32, u64>::new();
    while let Some(ended) = tasks.join_next().await {
        let (statuses, wrong) = ended.map_err(|error| error.to_string())??;
        for (code, count) in statuses {
            *all.entry(code).or_default() += count;
        }
        for what in wrong {
            arena.broken(format!("seed {}, {what}", arena.seed));
        }
    }
    arena.note(format!("seed {}: {all:?} by status", arena.seed));
    Ok(())
}

/// The requests that come with the standard policy, as calls of each method.
fn seeds() -> Result<Vec<(&'static str, Vec<u8>)>, String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/standard/requests");
    let mut paths: Vec<_> =
        fs::read_dir(dir).map_err(|error| error.to_string())?.flatten().map(|it| it.path()).collect();
    paths.sort();
    let mut seeds = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let request = request_from_json(&text).map_err(|error| format!("{}: {error:?}", path.display()))?;
        let (order, claim) = (request.order.clone(), request.claim.clone());
        seeds.push((EVIDENCE, ValidateEvidenceRequest { order, claim, ..Default::default() }.encode_to_vec()));
        seeds.push((BATCH, BatchEvaluateRefundRequest { requests: vec![request.clone(); 3] }.encode_to_vec()));
        seeds.push((EVALUATE, request.encode_to_vec()));
    }
    Ok(seeds)
}

fn mutate(seeds: &[(&'static str, Vec<u8>)], seeded: &mut Seeded) -> (&'static str, Bytes) {
    let (path, message) = &seeds[seeded.below(seeds.len())];
    let mut message = message.clone();
    for _ in 0..=seeded.below(4) {
        let length = message.len();
        let (at, other) = (seeded.below(length + 1), seeded.below(length + 1));
        let (from, to) = (at.min(other), at.max(other).min(at.min(other) + 64));
        match seeded.below(8) {
            0 if at < length => message[at] ^= 1 << seeded.below(8),
            1 if at < length => message[at] = seeded.next() as u8,
            2 => drop(message.drain(from..to)),
            3 => {
                let part = message[from..to].to_vec();
                message.splice(from..from, part);
            }
            4 => message.truncate(at),
            5 => {
                let bytes: Vec<u8> = (0..seeded.below(12)).map(|_| seeded.next() as u8).collect();
                message.splice(at..at, bytes);
            }
            6 if at < length => message[at] = [0, 0x7f, 0x80, 0xff][seeded.below(4)],
            _ => {
                let (_, donor) = &seeds[seeded.below(seeds.len())];
                let begin = seeded.below(donor.len());
                let end = (begin + seeded.below(40)).min(donor.len());
                message.splice(at..at, donor[begin..end].iter().copied());
            }
        }
    }
    (path, message.into())
}
