//! Tests of the thread for candidates, when all goes well and when nothing does.

use std::sync::mpsc::{Sender, channel};

use prost::Message as _;

use super::*;
use crate::api::json;
use crate::domain::money::{Amount, Currency};
use crate::domain::time::Timestamp;
use crate::domain::words::Outcome;
use crate::engine::admit::{Admission, admit};
use crate::engine::candidate::{FAILURES_MAX, Staging};
use crate::engine::status::{CandidateReport, KnownGood, Revision};
use crate::engine::{Activator, open};
use crate::policy::bundle::{Bundle, BundleFile};
use crate::server::data::evaluation;
use crate::server::wire::samples;
use crate::source::embedded;
use crate::telemetry::labels::ReloadTrigger;

const PATIENCE: Duration = Duration::from_secs(20);

fn admission(content: &str) -> Admission {
    let files = vec![BundleFile { path: "guide.policy.yaml".into(), bytes: content.into() }];
    Admission {
        digest: Bundle::new(files).unwrap().digest(),
        default_policy: "guide".into(),
        plans: vec![samples::plan()],
        warnings: Vec::new(),
        stricter_errors: Vec::new(),
        cases_passed: 0,
    }
}

fn candidate(content: &str) -> Arc<Candidate> {
    let admission = admission(content);
    let staging = Staging { at: now(), actor: String::new(), over: admission.digest, sample_per_thousand: 1_000 };
    Arc::new(Candidate::new(admission, staging))
}

fn now() -> Timestamp {
    Timestamp::from_unix(1_000, 0).unwrap()
}

fn report(candidate: &Candidate) -> CandidateReport {
    let in_force = Revision {
        digest: candidate.digest(),
        semantic: None,
        generation: 1,
        activated_at: now(),
        trigger: ReloadTrigger::Start,
        actor: String::new(),
        reason: String::new(),
        known_good: KnownGood::NotYet,
    };
    candidate.report(now(), &in_force)
}

/// A standard order of 200.00, three eighths done, 16 hours late.
const STANDARD: &str = r#"{
    "order": {
        "orderId": "o-1", "placedAt": "2026-03-02T10:00:00+08:00", "paidAt": "2026-03-02T10:01:00+08:00",
        "times": { "promised_at": "2026-03-05T18:00:00+08:00" },
        "lines": [{
            "lineId": "l-1", "productType": "boosting", "stage": "ORDER_STAGE_IN_PROGRESS",
            "paid": { "currencyCode": "CNY", "units": "200" }, "completed": { "numerator": "3", "denominator": "8" }
        }]
    },
    "claim": {
        "requestType": "REQUEST_TYPE_REFUND", "reason": "late_delivery", "liableParty": "LIABLE_PARTY_PLATFORM",
        "evidence": [
            { "evidenceId": "e-1", "kind": "order_record" }, { "evidenceId": "e-2", "kind": "promised_time_record" }
        ],
        "channel": "app", "requestedAt": "2026-03-06T10:00:00+08:00"
    }
}"#;

/// The policies that come with the program, and a request that they decide.
fn standard() -> (Snapshot, pb::EvaluateRefundRequest) {
    let admission = admit(&embedded::read().unwrap()).unwrap();
    (Snapshot::new(admission, 1), json::request_from_json(STANDARD).unwrap())
}

fn request() -> pb::EvaluateRefundRequest {
    pb::EvaluateRefundRequest {
        order: Some(samples::order()),
        claim: Some(samples::claim()),
        ..pb::EvaluateRefundRequest::default()
    }
}

fn said(minor: i64) -> Observed {
    Observed {
        policy: "guide".into(),
        currency: Currency::iso("CNY").unwrap(),
        outcome: (Outcome::ApprovedFull, None),
        refund: Amount::from_minor(minor),
        lines: Vec::new(),
    }
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "timed out waiting until {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

struct Running {
    engine: Engine,
    activator: Activator,
    shadow: Shadow,
    thread: ShadowThread,
}

fn running(
    evaluate: impl Fn(&Snapshot, &pb::EvaluateRefundRequest) -> Option<Observed> + Send + 'static,
    load: Load,
) -> Running {
    let (engine, activator) = open(admission("live"));
    let (shadow, thread) = start_with(engine.clone(), evaluate, move || load).unwrap();
    Running { engine, activator, shadow, thread }
}

/// The same with a candidate.
fn running_with(
    candidate: &Arc<Candidate>,
    evaluate: impl Fn(&Snapshot, &pb::EvaluateRefundRequest) -> Option<Observed> + Send + 'static,
    load: Load,
) -> Running {
    let mut running = running(evaluate, load);
    running.activator.stage(Some(Arc::clone(candidate)));
    running
}

/// An evaluation that hangs in the first request until the test lets it go.
fn hanging() -> (Sender<()>, impl Fn(&Snapshot, &pb::EvaluateRefundRequest) -> Option<Observed> + Send + 'static) {
    let (go, gone) = channel();
    (go, move |_: &Snapshot, _: &pb::EvaluateRefundRequest| {
        // Nothing is ever sent: the end of the sender lets go.
        let _ = gone.recv();
        Some(said(100))
    })
}

impl Running {
    fn offer(&self) {
        let (request, message) = (request(), request().encode_to_vec());
        let order_id = request.order.as_ref().map_or("", |order| order.order_id.as_str());
        let answered = Answered { order_id, request_id: &request.request_id, message: &message };
        self.shadow.offer(&self.engine.current(), answered);
    }

    /// Ends the thread, which must not take long.
    fn end(mut self) {
        self.thread.tell_to_stop();
        let thread = self.thread.thread.take().unwrap();
        until("the thread has ended", || thread.is_finished());
        thread.join().unwrap();
    }
}

#[test]
fn what_was_answered_is_what_is_observed() {
    let (snapshot, request) = standard();
    let answer = evaluation::answer(&snapshot, &request).unwrap();
    let observed = observe(&snapshot, &request).unwrap();
    let refund = answer.response.refund.unwrap();
    let summary = answer.summary;
    assert_eq!(observed.outcome, (summary.outcome, summary.reason_codes.first()));
    assert_eq!(observed.currency.code, refund.currency_code);
    assert_eq!(observed.currency.units_and_nanos(observed.refund), (refund.units, refund.nanos));
    let rules: Vec<_> = observed.lines.iter().map(|(_, rule, _)| rule.clone()).collect();
    assert_eq!(rules, answer.response.lines.iter().map(|line| line.rule_id.clone()).collect::<Vec<_>>());
}

#[test]
fn pins_and_languages_do_not_keep_a_candidate_from_being_asked() {
    let (snapshot, request) = standard();
    let pinned = pb::EvaluateRefundRequest {
        policy_digest: "blake3:00".into(),
        min_generation: 9,
        language: "xx".into(),
        ..request.clone()
    };
    assert_eq!(observe(&snapshot, &pinned), observe(&snapshot, &request));
    assert!(observe(&snapshot, &pinned).is_some());
    let elsewhere = pb::EvaluateRefundRequest { policy_id: "other".into(), ..request.clone() };
    assert_eq!(observe(&snapshot, &elsewhere), None);
}

#[test]
fn a_candidate_that_panics_is_counted_and_given_up() {
    // A candidate is known by its generation.
    let evaluate = |snapshot: &Snapshot, _: &_| {
        assert!(snapshot.generation != 0, "told to");
        Some(said(100))
    };
    let broken = candidate("broken");
    let running = running_with(&broken, evaluate, Load::Calm);
    for sent in 1..=FAILURES_MAX + 10 {
        running.offer();
        until("it was asked", || broken.is_given_up() || report(&broken).failed == sent);
    }
    until("the rest is shed", || report(&broken).shed == 10);
    assert_eq!(report(&broken).failed, FAILURES_MAX);
    assert_eq!(report(&broken).compared, 0);
    running.end();
}

#[test]
fn what_the_candidate_cannot_read_is_not_compared() {
    let narrow = candidate("narrow");
    let running = running_with(&narrow, |snapshot, _| (snapshot.generation != 0).then(|| said(100)), Load::Calm);
    running.offer();
    until("it was asked", || report(&narrow).not_comparable == 1);
    assert_eq!(report(&narrow).compared, 0);
    running.end();
}

#[test]
fn a_full_queue_sheds_and_holds_no_more_than_its_bounds() {
    let (go, evaluate) = hanging();
    let slow = candidate("slow");
    let running = running_with(&slow, evaluate, Load::Calm);
    running.offer();
    until("it hangs", || running.shadow.shared.queued_bytes.load(Ordering::Relaxed) == 0);
    for _ in 0..3 * QUEUE_MAX {
        running.offer();
    }
    assert_eq!(report(&slow).shed, 2 * QUEUE_MAX as u64);
    let queued = running.shadow.shared.queued_bytes.load(Ordering::Relaxed);
    assert_eq!(queued, QUEUE_MAX * request().encoded_len());
    drop(go);
    until("all that waited was asked", || report(&slow).compared == QUEUE_MAX as u64 + 1);
    assert_eq!(running.shadow.shared.queued_bytes.load(Ordering::Relaxed), 0);
    running.end();
}

#[test]
fn large_requests_are_bounded_by_their_bytes() {
    let (go, evaluate) = hanging();
    let slow = candidate("slow");
    let running = running_with(&slow, evaluate, Load::Calm);
    let large = pb::EvaluateRefundRequest { request_id: "x".repeat(60_000), ..request() };
    let message = large.encode_to_vec();
    let answered = Answered { order_id: "", request_id: &large.request_id, message: &message };
    (0..100).for_each(|_| running.shadow.offer(&running.engine.current(), answered));
    let fitting =
        QUEUE_BYTES_MAX / pb::EvaluateRefundRequest { request_id: "x".repeat(60_000), ..request() }.encoded_len();
    // The thread may have taken one, or not yet.
    let shed = usize::try_from(report(&slow).shed).unwrap();
    assert!((99 - fitting..=100 - fitting).contains(&shed), "{shed} of 100 shed where {fitting} fit");
    drop(go);
    running.end();
}

#[test]
fn while_the_service_is_busy_everything_is_shed() {
    let candidate = candidate("patient");
    let running = running_with(&candidate, |_, _| panic!("is not asked"), Load::Busy);
    for _ in 0..10 {
        running.offer();
    }
    until("all are shed", || report(&candidate).shed == 10);
    assert_eq!(report(&candidate).failed, 0);
    running.end();
}

#[test]
fn what_waits_for_a_discarded_candidate_is_dropped() {
    let (go, evaluate) = hanging();
    let (first, second) = (candidate("first"), candidate("second"));
    let mut running = running_with(&first, evaluate, Load::Calm);
    running.offer();
    until("it hangs", || running.shadow.shared.queued_bytes.load(Ordering::Relaxed) == 0);
    for _ in 0..5 {
        running.offer();
    }
    let before = running.activator.stage(Some(Arc::clone(&second))).unwrap();
    assert!(Arc::ptr_eq(&before, &first));
    drop(before);
    running.offer();
    drop(go);
    until("the second is asked", || report(&second).compared == 1);
    // The one that was being asked, and none of those that waited; nothing holds it any more.
    assert_eq!(report(&first).compared, 1);
    assert_eq!(Arc::strong_count(&first), 1);
    running.activator.stage(None);
    running.offer();
    assert!(running.engine.candidate().is_none());
    running.end();
}

#[test]
fn the_thread_ends_whatever_it_is_at() {
    let idle = running(|_, _| Some(said(1)), Load::Calm);
    idle.end();
    for load in [Load::Calm, Load::Busy] {
        let at_work = running_with(&candidate("staged"), |_, _| Some(said(1)), load);
        at_work.offer();
        at_work.end();
    }
}
