//! A candidate is asked about live requests: its figures are exact, and no caller notices.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use prost::Message as _;
use requite::api::pb;
use requite::api::pb::batch_item::Answer;
use requite::api::pb::refund_policy_service_client::RefundPolicyServiceClient;
use requite::domain::time::Timestamp;
use requite::domain::words::{Outcome, ReasonCode};
use requite::engine::Activator;
use requite::engine::admit::{Admission, admit};
use requite::engine::candidate::{Candidate, Sampled, Staging};
use requite::engine::snapshot::Snapshot;
use requite::engine::status::{CandidateReport, KnownGood, Revision};
use requite::policy::bundle::{Bundle, BundleFile};
use requite::server::{ServerConfig, evaluate};
use requite::telemetry::labels::ReloadTrigger;
use tokio::time::{Instant, sleep};
use tonic::transport::Channel;

use crate::support::grpc::{PATIENCE, Running, start_with};
use crate::support::samples::{completed, late};

type Client = RefundPolicyServiceClient<Channel>;

/// The standard policy without its cases, with these texts replaced.
fn standard(replacements: &[(&str, &str)]) -> Admission {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/standard");
    let mut text = fs::read_to_string(folder.join("standard.policy.yaml")).unwrap();
    for (before, after) in replacements {
        assert!(text.contains(before), "{before}");
        text = text.replace(before, after);
    }
    let calendar = fs::read(folder.join("calendars/cn.yaml")).unwrap();
    let file = |path: &str, bytes| BundleFile { path: path.to_owned(), bytes };
    let files = vec![file("standard.policy.yaml", text.into_bytes()), file("calendars/cn.yaml", calendar)];
    admit(&Bundle::new(files).unwrap()).unwrap()
}

/// A candidate that holds back half of what the standard policy does.
fn milder() -> Admission {
    standard(&[("\"paid * completed_share\"", "\"paid * completed_share / 2\"")])
}

/// Stops without notice: nobody else is to be told.
fn server_config() -> ServerConfig {
    ServerConfig { stop_notice: Duration::ZERO, ..ServerConfig::default() }
}

fn candidate(admission: Admission, sample_per_thousand: u16) -> Arc<Candidate> {
    let staging = Staging { at: moment(1_000), actor: "ann".into(), over: admission.digest, sample_per_thousand };
    Arc::new(Candidate::new(admission, staging))
}

fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_unix(seconds, 0).unwrap()
}

fn report(candidate: &Candidate, activator: &Activator, generation: u64) -> CandidateReport {
    let in_force = Revision {
        digest: activator.digest(),
        semantic: None,
        generation,
        activated_at: moment(900),
        trigger: ReloadTrigger::Start,
        actor: String::new(),
        reason: String::new(),
        known_good: KnownGood::NotYet,
    };
    candidate.report(moment(1_060), &in_force)
}

/// The report once the candidate was asked about so many requests, in whatever way that ended.
async fn once_asked(candidate: &Candidate, running: &Running, requests: u64) -> CandidateReport {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let report = report(candidate, &running.activator, 1);
        if report.compared + report.not_comparable + report.failed + report.shed == requests {
            return report;
        }
        assert!(Instant::now() < deadline, "{requests} requests are checked against it, got {report:#?}");
        sleep(Duration::from_millis(2)).await;
    }
}

fn of_order(mut request: pb::EvaluateRefundRequest, order_id: &str) -> pb::EvaluateRefundRequest {
    request.order.as_mut().unwrap().order_id = order_id.to_owned();
    request
}

async fn asked(client: &mut Client, request: &pb::EvaluateRefundRequest) -> pb::EvaluateRefundResponse {
    client.evaluate_refund(request.clone()).await.unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn differences_are_told_by_rule_by_reason_and_in_money() {
    let mut running = start_with(server_config(), standard(&[])).await;
    let mut client = Client::new(running.channel().await);
    let staged = candidate(milder(), 1_000);
    running.activator.stage(Some(Arc::clone(&staged)));
    // 125.00 of 200.00 go back in force, and 162.50 by the candidate; a finished order gets nothing by both.
    for n in 0..6 {
        asked(&mut client, &of_order(late(), &format!("late-{n}"))).await;
        asked(&mut client, &of_order(completed(), &format!("completed-{n}"))).await;
    }
    let report = once_asked(&staged, &running, 12).await;
    assert_eq!((report.compared, report.different, report.shed, report.failed), (12, 6, 0, 0));
    let [money] = report.money.as_slice() else { panic!("one currency, got {:?}", report.money) };
    assert_eq!(money.currency.code, "CNY");
    assert_eq!((money.live, money.candidate, money.above, money.below), (75_000, 97_500, 22_500, 0));
    let [rule] = report.by_rule.as_slice() else { panic!("one rule, got {:?}", report.by_rule) };
    assert_eq!((rule.policy.as_str(), rule.lines, rule.difference[0].1), ("standard", 6, 22_500));
    assert_eq!(
        (rule.live.as_str(), rule.candidate.as_str()),
        ("in-progress-platform-liable", "in-progress-platform-liable")
    );
    let [reason] = report.by_reason.as_slice() else { panic!("one reason, got {:?}", report.by_reason) };
    assert_eq!(reason.live, (Outcome::ApprovedPartial, Some(ReasonCode::DeductionsApplied)));
    assert_eq!((reason.candidate, reason.requests), (reason.live, 6));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renamed_rule_is_a_difference_without_money() {
    let mut running = start_with(server_config(), standard(&[])).await;
    let mut client = Client::new(running.channel().await);
    let renamed = [("  - id: in-progress-platform-liable\n", "  - id: late\n")];
    let staged = candidate(standard(&renamed), 1_000);
    running.activator.stage(Some(Arc::clone(&staged)));
    asked(&mut client, &late()).await;
    let report = once_asked(&staged, &running, 1).await;
    assert_eq!(report.different, 1);
    assert_eq!((report.by_rule[0].candidate.as_str(), report.by_rule[0].difference[0].1), ("late", 0));
    assert_eq!((report.money[0].above, report.money[0].below), (0, 0));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_outcome_is_told_with_both_reasons_and_what_it_costs() {
    let mut running = start_with(server_config(), standard(&[])).await;
    let mut client = Client::new(running.channel().await);
    // No rule of the candidate speaks of what a platform is liable for.
    let narrower = [(
        "liable: [platform, merchant] }\n    refund:\n      deduct:",
        "liable: force_majeure }\n    refund:\n      deduct:",
    )];
    let staged = candidate(standard(&narrower), 1_000);
    running.activator.stage(Some(Arc::clone(&staged)));
    asked(&mut client, &late()).await;
    let report = once_asked(&staged, &running, 1).await;
    let [reason] = report.by_reason.as_slice() else { panic!("one reason, got {:?}", report.by_reason) };
    assert_eq!(reason.live, (Outcome::ApprovedPartial, Some(ReasonCode::DeductionsApplied)));
    assert_eq!(reason.candidate, (Outcome::ManualReview, Some(ReasonCode::NoMatchingRule)));
    assert_eq!(report.by_rule[0].candidate, "otherwise");
    assert_eq!((report.money[0].above, report.money[0].below), (0, 12_500));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_the_same_bytes_with_a_candidate_and_without() {
    let mut running = start_with(server_config(), standard(&[])).await;
    let mut client = Client::new(running.channel().await);
    let explained = pb::EvaluateRefundRequest { explain: pb::ExplainLevel::Full.into(), ..late() };
    let requests = [late(), completed(), explained];
    let mut before = Vec::new();
    for request in &requests {
        before.push(asked(&mut client, request).await.encode_to_vec());
    }
    let staged = candidate(milder(), 1_000);
    running.activator.stage(Some(Arc::clone(&staged)));
    for (request, before) in requests.iter().zip(&before) {
        assert_eq!(&asked(&mut client, request).await.encode_to_vec(), before);
    }
    once_asked(&staged, &running, 3).await;
    running.activator.stage(None);
    for (request, before) in requests.iter().zip(&before) {
        assert_eq!(&asked(&mut client, request).await.encode_to_vec(), before);
    }
    assert_eq!(report(&staged, &running.activator, 1).compared, 3);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_was_decided_is_held_against_the_candidate() {
    let mut running = start_with(server_config(), standard(&[])).await;
    let mut client = Client::new(running.channel().await);
    // The candidate knows no order that runs late.
    let staged = candidate(standard(&[("late_delivery", "too_late")]), 1_000);
    running.activator.stage(Some(Arc::clone(&staged)));
    let digest = running.activator.digest().to_string();
    asked(&mut client, &pb::EvaluateRefundRequest { policy_digest: digest, min_generation: 1, ..late() }).await;
    client.evaluate_refund(pb::EvaluateRefundRequest::default()).await.unwrap_err();
    let report = once_asked(&staged, &running, 1).await;
    assert_eq!((report.not_comparable, report.compared), (1, 0));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn items_of_a_batch_are_sampled_one_by_one() {
    let mut running = start_with(server_config(), standard(&[])).await;
    let mut client = Client::new(running.channel().await);
    let staged = candidate(milder(), 300);
    running.activator.stage(Some(Arc::clone(&staged)));
    let mut requests: Vec<_> = (0..200).map(|n| of_order(late(), &format!("o-{n}"))).collect();
    let sampled =
        requests.iter().filter(|request| staged.samples(&request.order.as_ref().unwrap().order_id, "") == Sampled::Yes);
    let sampled = u64::try_from(sampled.count()).unwrap();
    assert!((30..90).contains(&sampled), "about 60, got {sampled}");
    requests.push(pb::EvaluateRefundRequest::default());
    let batch = client.batch_evaluate_refund(pb::BatchEvaluateRefundRequest { requests }).await.unwrap().into_inner();
    assert!(matches!(batch.items[200].answer, Some(Answer::Error(_))));
    let report = once_asked(&staged, &running, sampled).await;
    assert_eq!((report.compared, report.different, report.shed), (sampled, sampled, 0));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_may_be_discarded_and_replaced_under_load() {
    let mut running = start_with(server_config(), standard(&[])).await;
    let expected = evaluate(&Snapshot::new(standard(&[]), 1), &late()).unwrap();
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (addr, expected) = (running.addr.to_string(), expected.clone());
            tokio::spawn(async move {
                let mut client = Client::new(requite::client::connect(&addr).await.unwrap());
                for _ in 0..200 {
                    assert_eq!(asked(&mut client, &late()).await, expected);
                }
            })
        })
        .collect();
    let mut gone = Vec::new();
    while !callers.iter().all(tokio::task::JoinHandle::is_finished) {
        let staged = candidate(milder(), 1_000);
        running.activator.stage(Some(Arc::clone(&staged)));
        sleep(Duration::from_millis(20)).await;
        gone.push(staged);
        if gone.len() % 3 == 0 {
            running.activator.stage(None);
        }
    }
    for caller in callers {
        caller.await.unwrap();
    }
    running.activator.stage(None);
    let deadline = Instant::now() + PATIENCE;
    while gone.iter().any(|candidate| Arc::strong_count(candidate) > 1) {
        assert!(Instant::now() < deadline, "nothing holds a candidate that is gone");
        sleep(Duration::from_millis(5)).await;
    }
    for staged in &gone {
        let report = report(staged, &running.activator, 1);
        assert_eq!((report.failed, report.not_comparable), (0, 0));
        assert_eq!(report.compared, report.different);
        let each = i128::from(report.compared);
        assert!(report.money.iter().all(|money| money.above == 3_750 * each && money.live == 12_500 * each));
    }
    assert!(gone.iter().any(|staged| report(staged, &running.activator, 1).compared > 0));
    running.stop().await;
}

/// Paid in hundredths, parts of it, parts done, who is liable, how far it is, whether a third is asked for.
type Order = (i64, u64, u64, usize, usize, bool);

/// Orders as they may come.
fn orders() -> impl Strategy<Value = Vec<pb::EvaluateRefundRequest>> {
    let order = (1_i64..2_000_000, 1_u64..=60, 0_u64..=60, 0_usize..3, 0_usize..4, prop::bool::ANY);
    prop::collection::vec(order, 1..12).prop_map(|orders| {
        let request = |(n, (fen, denominator, numerator, liable, stage, asks)): (usize, Order)| {
            let money = |fen: i64| {
                let nanos = i32::try_from(fen % 100).unwrap() * 10_000_000;
                pb::Money { currency_code: "CNY".into(), units: fen / 100, nanos }
            };
            let numerator = numerator.min(denominator);
            let mut request = of_order(late(), &format!("o-{n}"));
            let claim = request.claim.as_mut().unwrap();
            claim.set_liable_party(
                [pb::LiableParty::Platform, pb::LiableParty::Merchant, pb::LiableParty::Customer][liable],
            );
            claim.requested_amount = asks.then(|| money((fen / 3).max(1)));
            let order = request.order.as_mut().unwrap();
            order.tenders[0].paid = Some(money(fen));
            let line = &mut order.lines[0];
            line.paid = Some(money(fen));
            line.completed = Some(pb::Fraction {
                numerator: numerator.try_into().unwrap(),
                denominator: denominator.try_into().unwrap(),
            });
            line.set_stage(
                [
                    pb::OrderStage::InProgress,
                    pb::OrderStage::NotStarted,
                    pb::OrderStage::Delivered,
                    pb::OrderStage::Completed,
                ][stage],
            );
            request
        };
        orders.into_iter().enumerate().map(request).collect()
    })
}

fn fen(money: Option<&pb::Money>) -> i128 {
    let money = money.unwrap();
    i128::from(money.units) * 100 + i128::from(money.nanos) / 10_000_000
}

#[test]
fn the_sum_of_money_is_that_of_the_answers_for_any_orders() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // Each case has a server of its own, and together they must differ somewhere.
    let differed = Cell::new(0);
    TestRunner::new(Config { cases: 24, ..Config::default() })
        .run(&orders(), |requests| {
            runtime.block_on(async {
                let mut running = start_with(server_config(), standard(&[])).await;
                let mut client = Client::new(running.channel().await);
                let staged = candidate(milder(), 1_000);
                running.activator.stage(Some(Arc::clone(&staged)));
                let own = Snapshot::new(milder(), 1);
                let (mut live_sum, mut own_sum, mut by_rule) = (0, 0, BTreeMap::<(String, String), i128>::new());
                for request in &requests {
                    let live = asked(&mut client, request).await;
                    let own = evaluate(&own, request).unwrap();
                    live_sum += fen(live.refund.as_ref());
                    own_sum += fen(own.refund.as_ref());
                    for (before, after) in live.lines.iter().zip(&own.lines) {
                        let difference = fen(after.refund.as_ref()) - fen(before.refund.as_ref());
                        if difference != 0 || before.rule_id != after.rule_id {
                            *by_rule.entry((before.rule_id.clone(), after.rule_id.clone())).or_default() += difference;
                        }
                    }
                }
                let report = once_asked(&staged, &running, u64::try_from(requests.len()).unwrap()).await;
                assert_eq!(report.compared, u64::try_from(requests.len()).unwrap(), "{report:#?}");
                let [money] = report.money.as_slice() else { panic!("one currency, got {:?}", report.money) };
                assert_eq!((money.live, money.candidate), (live_sum, own_sum));
                assert_eq!(money.above - money.below, own_sum - live_sum);
                let told: BTreeMap<_, _> = report
                    .by_rule
                    .iter()
                    .map(|row| {
                        ((row.live.clone(), row.candidate.clone()), row.difference.iter().map(|(_, sum)| sum).sum())
                    })
                    .collect();
                assert_eq!(told, by_rule);
                assert_eq!(report.by_reason.iter().map(|row| row.requests).sum::<u64>(), report.different);
                differed.set(differed.get() + report.different);
                running.stop().await;
            });
            Ok(())
        })
        .unwrap();
    assert!(differed.get() > 0, "some order is decided otherwise");
}
