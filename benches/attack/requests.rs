//! Hostile requests: what is small on the wire and large in memory, or long to work on.
//!
//! Figures: one request costs at most 32 MiB, any number of them 256 MiB; an honest caller's p99 is
//! at most 20 ms above his p99 alone; a server of 1 GiB survives them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::body::Bytes;
use prost::Message as _;
use requite::api::pb::{BatchEvaluateRefundRequest, EvaluateRefundRequest, Evidence, ValidateEvidenceRequest};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::arena::wire::{BATCH, Connection, EVALUATE, EVIDENCE, field, honest_request, large_request, repeated};
use crate::arena::{ATTACKER, Arena};

/// Statuses that a hostile request may get: an answer, a bad message, too much.
const STATUSES: [i32; 3] = [0, 3, 8];

/// How long the answer to one may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Just below what one evaluation may have, and what a batch or evidence may.
const SMALL: usize = 260_000;
const LARGE: usize = 1_000_000;

const ORDER: u32 = 6;
const CLAIM: u32 = 7;
const ORDER_OF_EVIDENCE: u32 = 4;
const CLAIM_OF_EVIDENCE: u32 = 5;
const ITEM: u32 = 1;

/// Repeated fields of an order and of a claim.
const IN_ORDER: [(&str, u32); 6] =
    [("times", 4), ("lines", 6), ("tenders", 7), ("components", 8), ("tags", 9), ("inputs", 10)];
const IN_CLAIM: [(&str, u32); 3] = [("promised_actual", 5), ("evidence", 6), ("line_ids", 10)];

/// One hostile message.
#[derive(Clone)]
pub(crate) struct Hostile {
    pub(crate) name: String,
    pub(crate) path: &'static str,
    pub(crate) message: Bytes,
}

/// All of them.
pub(crate) fn hostile() -> Vec<Hostile> {
    let mut all = Vec::new();
    let mut add = |name: String, path, message: Vec<u8>| all.push(Hostile { name, path, message: message.into() });
    for (of, fields) in [("order", &IN_ORDER[..]), ("claim", &IN_CLAIM[..])] {
        let (whole, of_evidence) = if of == "order" { (ORDER, ORDER_OF_EVIDENCE) } else { (CLAIM, CLAIM_OF_EVIDENCE) };
        for (name, number) in fields {
            add(format!("260 KB of {name}"), EVALUATE, field(whole, &repeated(*number, &[], SMALL)));
            add(format!("1 MB of {name}"), EVIDENCE, field(of_evidence, &repeated(*number, &[], LARGE)));
            let item = field(whole, &repeated(*number, &[], LARGE));
            add(format!("a batch item of 1 MB of {name}"), BATCH, field(ITEM, &item));
        }
    }
    let many = |item: &[u8]| repeated(ITEM, item, LARGE);
    add("empty items".into(), BATCH, many(&[]));
    add("1 000 items of 1 KB of lines".into(), BATCH, field(ITEM, &field(ORDER, &repeated(6, &[], 980))).repeat(1_000));
    add(
        "1 000 items of 1 KB of evidence".into(),
        BATCH,
        field(ITEM, &field(CLAIM, &repeated(6, &[], 980))).repeat(1_000),
    );
    add("fields of one evidence".into(), EVIDENCE, field(CLAIM_OF_EVIDENCE, &field(6, &repeated(9, &[], LARGE))));
    add("inputs of one line".into(), BATCH, field(ITEM, &field(ORDER, &field(6, &repeated(11, &[], LARGE)))));
    add("one order many times".into(), EVALUATE, repeated(ORDER, &[], SMALL));
    add("long ids".into(), EVALUATE, field(1, &vec![b'i'; SMALL]));
    add("text without end".into(), EVIDENCE, field(CLAIM_OF_EVIDENCE, &field(4, "很多".repeat(LARGE / 6).as_bytes())));
    // Groups of a field that nobody knows, one in another.
    let groups = [[0xfb, 0x3f].repeat(SMALL / 4), [0xfc, 0x3f].repeat(SMALL / 4)].concat();
    add("deep unknown groups".into(), EVALUATE, groups);
    add("unknown fields".into(), EVALUATE, field(1_000, &[]).repeat(SMALL / 4));
    add("256 lines, explained".into(), EVALUATE, trimmed_large().encode_to_vec());
    let explained = vec![trimmed_large(); (LARGE / trimmed_large().encoded_len()).min(1_000)];
    add(
        "a batch of 256 lines each, explained".into(),
        BATCH,
        BatchEvaluateRefundRequest { requests: explained }.encode_to_vec(),
    );
    let mut plain = honest_request();
    plain.explain = requite::api::pb::ExplainLevel::Full.into();
    let plain = vec![plain; LARGE / honest_request().encoded_len().max(1_000)];
    add("a batch of 1 MB, explained".into(), BATCH, BatchEvaluateRefundRequest { requests: plain }.encode_to_vec());
    add("evidence of every kind of field".into(), EVIDENCE, much_evidence().encode_to_vec());
    all
}

/// 256 lines in less than 64 KiB.
pub(crate) fn trimmed_large() -> EvaluateRefundRequest {
    let mut request = large_request();
    let order = request.order.as_mut().unwrap();
    while 64_000 < order.encoded_len() {
        order.lines.pop();
    }
    request
}

/// As much evidence as may be, each piece with as many fields as fit.
fn much_evidence() -> ValidateEvidenceRequest {
    let request = honest_request();
    let mut claim = request.claim.unwrap();
    let piece = |place: usize| Evidence {
        evidence_id: format!("e{place}"),
        kind: "order_record".into(),
        fields: (0..128).map(|name| (format!("field-{name}"), "a value of some length".into())).collect(),
        ..Evidence::default()
    };
    claim.evidence = (0..200).map(piece).collect();
    ValidateEvidenceRequest { claim: Some(claim), order: request.order, ..ValidateEvidenceRequest::default() }
}

/// Each alone, one after another.
pub(crate) async fn one(arena: &Arena) -> Result<(), String> {
    let connection = Connection::open(ATTACKER, arena.server.data).await?;
    let mut worst = (0, String::new());
    for hostile in hostile() {
        let before = arena.server.resident_kib();
        arena.server.reset_peak();
        let began = Instant::now();
        judge(arena, &hostile, connection.call(hostile.path, &hostile.message, DEADLINE).await);
        let grown = arena.server.peak_kib().saturating_sub(before);
        if worst.0 < grown {
            worst = (grown, format!("`{}` + {} MiB, {} ms", hostile.name, grown / 1024, began.elapsed().as_millis()));
        }
        if 32 * 1024 < grown {
            arena.broken(format!(
                "`{}` takes {} MiB in {} ms",
                hostile.name,
                grown / 1024,
                began.elapsed().as_millis()
            ));
        }
        if arena.server.has_ended() {
            return Err(format!("`{}` ends the server", hostile.name));
        }
    }
    arena.note(format!("the worst: {}", worst.1));
    Ok(())
}

/// All of them at once, over several connections.
pub(crate) async fn many(arena: &Arena) -> Result<(), String> {
    let hostile = Arc::new(hostile());
    let (end, mut tasks) = (arena.end(), JoinSet::new());
    let answered = Arc::new(AtomicUsize::new(0));
    for _ in 0..4 {
        let connection = Arc::new(Connection::open(ATTACKER, arena.server.data).await?);
        for first in 0..8 {
            let (connection, hostile, answered) =
                (Arc::clone(&connection), Arc::clone(&hostile), Arc::clone(&answered));
            tasks.spawn(async move {
                let mut wrong = Vec::new();
                for hostile in hostile.iter().cycle().skip(first * 5) {
                    if end <= Instant::now() || !connection.is_open() {
                        break;
                    }
                    let outcome = connection.call(hostile.path, &hostile.message, DEADLINE).await;
                    answered.fetch_add(1, Ordering::Relaxed);
                    wrong.push((hostile.clone(), outcome));
                    // A proper caller that was refused waits a little; this one hardly does.
                    tokio::task::yield_now().await;
                    wrong.retain(|(_, outcome)| !is_fine(outcome));
                }
                wrong
            });
        }
    }
    while let Some(wrong) = tasks.join_next().await {
        for (hostile, outcome) in wrong.map_err(|error| error.to_string())? {
            judge(arena, &hostile, outcome);
        }
    }
    arena.note(format!("{} hostile requests were answered", answered.load(Ordering::Relaxed)));
    Ok(())
}

fn is_fine(outcome: &Result<crate::arena::wire::Reply, String>) -> bool {
    outcome.as_ref().is_ok_and(|reply| reply.grpc.is_some_and(|code| STATUSES.contains(&code)))
}

fn judge(arena: &Arena, hostile: &Hostile, outcome: Result<crate::arena::wire::Reply, String>) {
    match outcome {
        Ok(reply) if reply.grpc.is_some_and(|code| STATUSES.contains(&code)) => {}
        Ok(reply) => arena.broken(format!("`{}` got status {:?} {}", hostile.name, reply.grpc, reply.text)),
        Err(error) => arena.broken(format!("`{}`: {error}", hostile.name)),
    }
}
