//! What a request costs the server, beside a gRPC handler that decides nothing.
//!
//! Servers run as processes of their own and take turns under the same closed loop: requite, a
//! no-op handler on the accept loop of requite, and one on the library's own server. A no-op
//! handler gets the same request message and sends an answer of the same size. What counts is
//! processor time of the server per request, as a ratio within one run; latency stands beside it.
//!
//! `cargo bench --bench roundtrip`; `-- --output json` for programs, `-- --quick` to see that it runs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark may panic to fail"
)]

mod load;
mod report;
mod servers;

use std::time::Duration;

use requite::api::json;
use requite::api::pb::{BatchEvaluateRefundRequest, EvaluateRefundRequest, ExplainLevel};

use crate::load::{Call, Sample, Shape, framed};
use crate::report::Row;
use crate::servers::{Child, Role};

/// Connections and streams on each.
const SHAPES: [Shape; 3] = [
    Shape { connections: 8, streams: 32 },
    Shape { connections: 1, streams: 16 },
    Shape { connections: 64, streams: 1 },
];

/// Calls of a batch go over few streams: each holds a hundred decisions.
const BATCH_SHAPE: Shape = Shape { connections: 2, streams: 4 };
const BATCH_ITEMS: usize = 100;

/// How long each server is under load, and how often.
#[derive(Clone, Copy)]
struct Effort {
    rounds: usize,
    warm_up: Duration,
    measured: Duration,
}

const FULL: Effort = Effort { rounds: 7, warm_up: Duration::from_millis(300), measured: Duration::from_millis(1_200) };
const QUICK: Effort = Effort { rounds: 1, warm_up: Duration::from_millis(50), measured: Duration::from_millis(200) };

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(role) = arguments.first().and_then(|first| Role::from_argument(first)) {
        servers::run(role);
        return;
    }
    let given = |wanted: &str| arguments.iter().any(|argument| argument == wanted);
    // `cargo bench` says so; `cargo test --benches` only wants to see that it runs.
    let effort = if given("--quick") || !given("--bench") { QUICK } else { FULL };
    let json = arguments.windows(2).any(|pair| pair == ["--output", "json"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let rows = runtime.block_on(measure(effort));
    if json { report::print_json(&rows) } else { report::print(&rows) }
}

async fn measure(effort: Effort) -> Vec<Row> {
    let single = Call::new("/requite.v1.RefundPolicyService/EvaluateRefund", framed(&request()));
    let batch = BatchEvaluateRefundRequest { requests: vec![request(); BATCH_ITEMS] };
    let batch = Call::new("/requite.v1.RefundPolicyService/BatchEvaluateRefund", framed(&batch));
    let children: Vec<Child> = Role::ALL.into_iter().map(Child::start).collect();
    let mut rows = Vec::new();
    for shape in SHAPES {
        let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); children.len()];
        for round in 0..effort.rounds {
            // Each goes first as often as the others.
            for turn in 0..children.len() {
                let place = (round + turn) % children.len();
                samples[place].push(sample(&children[place], shape, &single, effort).await);
            }
        }
        rows.extend(report::rows(shape, &Role::ALL, samples));
    }
    let mut samples = Vec::new();
    for _ in 0..effort.rounds {
        let single = sample(&children[0], BATCH_SHAPE, &single, effort).await;
        samples.push((single, sample(&children[0], BATCH_SHAPE, &batch, effort).await));
    }
    rows.push(report::batch_row(BATCH_SHAPE, BATCH_ITEMS, &samples));
    rows.extend(children.iter().map(|child| report::memory_row(child.role, child.resident_kib())));
    rows
}

async fn sample(child: &Child, shape: Shape, call: &Call, effort: Effort) -> Sample {
    load::run(child.address, shape, call, effort.warm_up, effort.measured, || child.cpu()).await
}

/// One line, one tender, two pieces of evidence: what a caller in a hurry sends.
pub(crate) fn request() -> EvaluateRefundRequest {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/policies/standard/requests/platform-late-partial.json");
    let mut request = json::request_from_json(&std::fs::read_to_string(path).unwrap()).unwrap();
    request.explain = ExplainLevel::None.into();
    request
}
