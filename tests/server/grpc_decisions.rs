//! The standard policy over gRPC: the answers callers get, and what they hear of bad requests.

use std::collections::BTreeSet;
use std::path::Path;

use prost_types::{Duration, Timestamp};
use requite::api::pb;
use requite::api::pb::batch_item::Answer;
use requite::api::pb::refund_policy_service_client::RefundPolicyServiceClient;
use requite::engine::admit::{Admission, admit};
use requite::policy::bundle::{Bundle, BundleFile};
use requite::server::ServerConfig;
use requite::source::directory;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::grpc::{Running, start_with};
use crate::support::samples::{completed, late, without_promised_time};

/// A policy with everything that the standard one leaves out: a currency without decimals, inputs,
/// tags and sub-stages.
const WIDE_POLICY: &str = r#"
policy: wide
version: "1"
timezone: UTC
currencies: [CNY, JPY]
languages: [en]
channels: [web]
product_types: [course]
tags: [final_sale]
sub_stages: [sealed]
inputs:
  grade: { type: enum, values: [gold, silver] }
  seats: { type: count, scope: line }
reasons:
  late: { label: { en: Late } }
evidence:
  kinds:
    receipt: { label: { en: Receipt } }
rules:
  - id: all
    when: { request_type: refund }
    refund: full
otherwise:
  manual_review: NO_MATCHING_RULE
"#;

struct Served {
    server: Running,
    client: RefundPolicyServiceClient<Channel>,
}

async fn serve(admission: Admission) -> Served {
    let server = start_with(ServerConfig::default(), admission).await;
    let client = RefundPolicyServiceClient::new(server.channel().await);
    Served { server, client }
}

async fn serve_standard() -> Served {
    let bundle = directory::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/standard")).unwrap();
    serve(admit(&bundle).unwrap()).await
}

async fn serve_wide() -> Served {
    let file = BundleFile { path: "wide.policy.yaml".into(), bytes: WIDE_POLICY.as_bytes().to_vec() };
    serve(admit(&Bundle::new(vec![file]).unwrap()).unwrap()).await
}

impl Served {
    async fn decide(&mut self, request: pb::EvaluateRefundRequest) -> pb::EvaluateRefundResponse {
        self.client.evaluate_refund(request).await.unwrap().into_inner()
    }

    async fn refuse(&mut self, request: pb::EvaluateRefundRequest) -> Status {
        self.client.evaluate_refund(request).await.unwrap_err()
    }

    /// The fields that keep this request from being decided.
    async fn bad_fields(&mut self, request: pb::EvaluateRefundRequest) -> Vec<String> {
        fields(&self.refuse(request).await)
    }
}

/// The fields that a status names; each with a text.
fn fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = status.get_error_details();
    let violations = &details.bad_request().unwrap().field_violations;
    assert!(violations.iter().all(|violation| !violation.description.is_empty()), "{violations:?}");
    violations.iter().map(|violation| violation.field.clone()).collect()
}

fn cny(units: i64, nanos: i32) -> Option<pb::Money> {
    money("CNY", units, nanos)
}

fn money(currency: &str, units: i64, nanos: i32) -> Option<pb::Money> {
    Some(pb::Money { currency_code: currency.to_owned(), units, nanos })
}

fn order(request: &mut pb::EvaluateRefundRequest) -> &mut pb::Order {
    request.order.as_mut().unwrap()
}

fn line(request: &mut pb::EvaluateRefundRequest) -> &mut pb::OrderLine {
    &mut order(request).lines[0]
}

fn tender(request: &mut pb::EvaluateRefundRequest) -> &mut pb::Tender {
    &mut order(request).tenders[0]
}

fn claim(request: &mut pb::EvaluateRefundRequest) -> &mut pb::Claim {
    request.claim.as_mut().unwrap()
}

fn slugs(steps: &[pb::NextStep]) -> Vec<&str> {
    steps.iter().map(|step| step.action.as_str()).collect()
}

#[tokio::test]
async fn late_by_the_platform_with_both_records_gives_back_what_was_not_done() {
    let mut served = serve_standard().await;
    let response = served.decide(late()).await;
    assert_eq!(response.outcome(), pb::Outcome::ApprovedPartial);
    assert_eq!(response.refund, cny(125, 0));
    assert_eq!(response.request_id, "r-1");
    assert_eq!(response.reason_codes, [pb::ReasonCode::DeductionsApplied as i32]);
    let [deduction] = response.deductions.as_slice() else { panic!("{:?}", response.deductions) };
    assert_eq!(deduction.kind(), pb::DeductionKind::ConsumedValue);
    assert_eq!((deduction.base.clone(), deduction.amount.clone()), (cny(200, 0), cny(75, 0)));
    let [line] = response.lines.as_slice() else { panic!("{:?}", response.lines) };
    assert_eq!(line.liable_party(), pb::LiableParty::Platform);
    let [tender] = response.tenders.as_slice() else { panic!("{:?}", response.tenders) };
    assert_eq!((tender.tender_id.as_str(), tender.amount.clone()), ("t-1", cny(125, 0)));
    assert_eq!(response.evidence.as_ref().unwrap().satisfied_by, ["e-1", "e-2"]);
    assert!(response.review.is_some() && response.payout.is_some());
    assert_eq!(response.explanation, None);
    served.server.stop().await;
}

#[tokio::test]
async fn late_without_the_promised_time_asks_for_that_record() {
    let mut served = serve_standard().await;
    let response = served.decide(without_promised_time()).await;
    assert_eq!(response.outcome(), pb::Outcome::MoreInfoRequired);
    assert_eq!(response.reason_code(), pb::ReasonCode::EvidenceMissing);
    assert_eq!(response.refund, cny(0, 0));
    let report = response.evidence.unwrap();
    assert_eq!(report.verdict(), pb::EvidenceVerdict::Insufficient);
    assert_eq!(
        report.missing.iter().map(|missing| missing.kinds.clone()).collect::<Vec<_>>(),
        [["promised_time_record"]]
    );
    assert_eq!(slugs(&response.next_steps), ["supplement_evidence", "keep_records"]);
    assert_eq!(response.payout, None);
    served.server.stop().await;
}

#[tokio::test]
async fn a_finished_order_is_denied_and_shown_the_appeal_first() {
    let mut served = serve_standard().await;
    let response = served.decide(completed()).await;
    assert_eq!(response.outcome(), pb::Outcome::Denied);
    assert_eq!(response.reason_code(), pb::ReasonCode::OrderCompleted);
    assert!(response.reason_codes().any(|code| code == pb::ReasonCode::WrongRequestType));
    assert_eq!(response.refund, cny(0, 0));
    let steps = slugs(&response.next_steps);
    assert_eq!(steps[0], "after_sales_appeal");
    assert!(steps.contains(&"complaint") && steps.contains(&"consumer_hotline_12315"), "{steps:?}");
    served.server.stop().await;
}

#[tokio::test]
async fn a_retry_gets_the_same_id_and_another_order_another() {
    let mut served = serve_standard().await;
    let first = served.decide(late()).await;
    assert_eq!(served.decide(late()).await, first);
    let mut another = late();
    order(&mut another).order_id = "o-2".into();
    let second = served.decide(another).await;
    assert_eq!((first.decision_id.len(), second.decision_id.len()), (32, 32));
    assert_ne!(first.decision_id, second.decision_id);
    assert_eq!(first.refund, second.refund);
    served.server.stop().await;
}

#[tokio::test]
async fn every_answer_names_its_policy() {
    let mut served = serve_standard().await;
    let info = served.client.get_server_info(pb::GetServerInfoRequest {}).await.unwrap().into_inner();
    assert_eq!((info.default_policy_id.as_str(), info.generation), ("standard", 1));
    let policy = info.policies[0].policy.clone().unwrap();
    assert_eq!((policy.policy_id.as_str(), policy.version.as_str()), ("standard", "2026-11-01"));
    assert_eq!((policy.generation, &policy.digest), (1, &info.digest));
    assert!(policy.digest.starts_with("blake3:") && policy.digest.len() == "blake3:".len() + 64, "{}", policy.digest);
    for request in [late(), without_promised_time(), completed()] {
        assert_eq!(served.decide(request).await.policy, Some(policy.clone()));
    }
    served.server.stop().await;
}

#[tokio::test]
async fn a_pin_that_holds_is_kept_and_another_is_refused() {
    let mut served = serve_standard().await;
    let digest = served.decide(late()).await.policy.unwrap().digest;
    let pinned = |policy_digest: &str, min_generation| pb::EvaluateRefundRequest {
        policy_digest: policy_digest.to_owned(),
        min_generation,
        ..late()
    };
    assert_eq!(served.decide(pinned(&digest, 1)).await.refund, cny(125, 0));
    for request in [pinned("blake3:00", 0), pinned(&digest, 2)] {
        let status = served.refuse(request).await;
        assert_eq!(status.code(), Code::FailedPrecondition);
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "POLICY_REVISION_NOT_AVAILABLE");
        assert_eq!(details.error_info().unwrap().metadata["digest"], digest);
    }
    let elsewhere = pb::EvaluateRefundRequest { policy_id: "elsewhere".into(), ..late() };
    assert_eq!(served.refuse(elsewhere).await.code(), Code::NotFound);
    served.server.stop().await;
}

type Spoil = fn(&mut pb::EvaluateRefundRequest);

/// Spoils one thing after the other; exactly the field that is named must be found bad.
async fn each_is_named(served: &mut Served, good: fn() -> pb::EvaluateRefundRequest, mistakes: &[(&str, Spoil)]) {
    served.decide(good()).await;
    for (field, spoil) in mistakes {
        let mut request = good();
        spoil(&mut request);
        assert_eq!(served.bad_fields(request).await, [*field]);
    }
}

#[tokio::test]
async fn every_bad_amount_is_named() {
    let mut served = serve_standard().await;
    let mistakes: &[(&str, Spoil)] = &[
        ("order.tenders[0].paid.currency_code", |request| tender(request).paid = money("USD", 200, 0)),
        ("order.lines[0].list_price.currency_code", |request| line(request).list_price = money("", 200, 0)),
        ("order.lines[0].paid", |request| line(request).paid = cny(-200, 0)),
        ("order.lines[0].paid", |request| line(request).paid = None),
        ("order.lines[0].declared_cost", |request| line(request).declared_cost = cny(0, -10_000_000)),
        ("order.lines[0].paid", |request| line(request).paid = cny(200, 1)),
        ("order.lines[0].paid", |request| line(request).paid = cny(200, 5_000_000)),
        ("order.lines[0].paid", |request| line(request).paid = cny(200, -10_000_000)),
        ("order.lines[0].paid", |request| line(request).paid = cny(200, 1_000_000_000)),
        ("order.lines[0].paid", |request| line(request).paid = cny(i64::MAX, 0)),
        ("order.lines[0].refunded", |request| line(request).refunded = cny(201, 0)),
        ("order.tenders[0].paid", |request| tender(request).paid = None),
        ("order.tenders[0].refunded", |request| tender(request).refunded = cny(200, 10_000_000)),
        ("order.tenders", |request| tender(request).paid = cny(199, 990_000_000)),
        ("order.tenders", |request| line(request).refunded = cny(1, 0)),
        ("claim.requested_amount", |request| claim(request).requested_amount = cny(-1, 0)),
        ("claim.requested_amount", |request| claim(request).requested_amount = cny(0, 0)),
        ("claim.requested_amount.currency_code", |request| claim(request).requested_amount = money("EUR", 1, 0)),
    ];
    each_is_named(&mut served, late, mistakes).await;
    served.server.stop().await;
}

#[tokio::test]
async fn every_bad_number_moment_and_word_is_named() {
    let mut served = serve_standard().await;
    const FAR: Timestamp = Timestamp { seconds: 253_402_300_800, nanos: 0 };
    const TORN: Timestamp = Timestamp { seconds: 0, nanos: 1_000_000_000 };
    let mistakes: &[(&str, Spoil)] = &[
        ("order.lines[0].completed.denominator", |request| {
            line(request).completed = Some(pb::Fraction { numerator: 0, denominator: 0 });
        }),
        ("order.lines[0].completed.denominator", |request| {
            line(request).completed = Some(pb::Fraction { numerator: 3, denominator: -8 });
        }),
        ("order.lines[0].completed.numerator", |request| {
            line(request).completed = Some(pb::Fraction { numerator: -1, denominator: 8 });
        }),
        ("order.lines[0].completed", |request| {
            line(request).completed = Some(pb::Fraction { numerator: 9, denominator: 8 });
        }),
        ("order.placed_at", |request| order(request).placed_at = Some(FAR)),
        ("order.paid_at", |request| order(request).paid_at = Some(TORN)),
        ("order.times[\"promised_at\"]", |request| {
            order(request).times.insert("promised_at".into(), Timestamp { seconds: i64::MIN, nanos: 0 });
        }),
        ("claim.requested_at", |request| claim(request).requested_at = Some(FAR)),
        ("claim.requested_at", |request| claim(request).requested_at = None),
        ("claim.evidence[1].captured_at", |request| claim(request).evidence[1].captured_at = Some(TORN)),
        ("order.customer_caused_delay", |request| {
            order(request).customer_caused_delay = Some(Duration { seconds: -1, nanos: 0 });
        }),
        ("order.customer_caused_delay", |request| {
            order(request).customer_caused_delay = Some(Duration { seconds: 1, nanos: -1 });
        }),
        ("order.lines[0].stage", |request| line(request).stage = 99),
        ("claim.request_type", |request| claim(request).request_type = -1),
        ("claim.liable_party", |request| claim(request).liable_party = 8),
        ("explain", |request| request.explain = 3),
        ("language", |request| request.language = "fr".into()),
        ("request_id", |request| request.request_id = "x".repeat(257)),
        ("claim.evidence[0].size_bytes", |request| claim(request).evidence[0].size_bytes = -1),
        ("claim.evidence[0].sha256", |request| claim(request).evidence[0].sha256 = "abc".into()),
    ];
    each_is_named(&mut served, late, mistakes).await;
    served.server.stop().await;
}

#[tokio::test]
async fn every_undeclared_slug_is_named() {
    let mut served = serve_standard().await;
    let mistakes: &[(&str, Spoil)] = &[
        ("order.lines[0].product_type", |request| line(request).product_type = "groceries".into()),
        ("order.lines[0].sub_stage", |request| line(request).sub_stage = "sealed".into()),
        ("order.lines[0].tags[0]", |request| line(request).tags = vec!["final_sale".into()]),
        ("order.tags[0]", |request| order(request).tags = vec!["final_sale".into()]),
        ("order.times[\"shipped_at\"]", |request| {
            order(request).times.insert("shipped_at".into(), Timestamp { seconds: 0, nanos: 0 });
        }),
        ("order.inputs[\"grade\"]", |request| {
            order(request).inputs.insert("grade".into(), text("gold"));
        }),
        ("order.lines[0].inputs[\"seats\"]", |request| {
            line(request).inputs.insert("seats".into(), text("1"));
        }),
        ("order.components[0].name", |request| {
            order(request).components =
                vec![pb::Component { name: "shipping".into(), paid: cny(0, 0), ..Default::default() }];
        }),
        ("claim.reason", |request| claim(request).reason = "boredom".into()),
        ("claim.channel", |request| claim(request).channel = "fax".into()),
        ("claim.evidence[0].kind", |request| claim(request).evidence[0].kind = "horoscope".into()),
        ("claim.evidence[1].kind", |request| claim(request).evidence[1].kind = String::new()),
    ];
    each_is_named(&mut served, late, mistakes).await;
    served.server.stop().await;
}

fn text(text: &str) -> pb::FactValue {
    pb::FactValue { kind: Some(pb::fact_value::Kind::Text(text.to_owned())) }
}

#[tokio::test]
async fn every_part_that_is_missing_or_stands_twice_is_named() {
    let mut served = serve_standard().await;
    let mistakes: &[(&str, Spoil)] = &[
        ("order", |request| request.order = None),
        ("claim", |request| request.claim = None),
        ("order.lines", |request| order(request).lines.clear()),
        ("order.lines[1].line_id", |request| {
            let mut twin = line(request).clone();
            twin.paid = cny(0, 0);
            order(request).lines.push(twin);
        }),
        ("order.tenders[1].tender_id", |request| {
            let mut twin = tender(request).clone();
            twin.paid = cny(0, 0);
            order(request).tenders.push(twin);
        }),
        ("claim.evidence[1].evidence_id", |request| claim(request).evidence[1].evidence_id = "e-1".into()),
        ("claim.line_ids[0]", |request| claim(request).line_ids = vec!["l-2".into()]),
        ("claim.line_ids[1]", |request| claim(request).line_ids = vec!["l-1".into(), "l-1".into()]),
    ];
    each_is_named(&mut served, late, mistakes).await;
    served.server.stop().await;
}

/// A course for 3000 yen.
fn course() -> pb::EvaluateRefundRequest {
    let mut request = late();
    let line = line(&mut request);
    line.product_type = "course".into();
    line.sub_stage = "sealed".into();
    line.tags = vec!["final_sale".into()];
    line.paid = money("JPY", 3_000, 0);
    tender(&mut request).paid = money("JPY", 3_000, 0);
    order(&mut request).inputs.insert("grade".into(), text("gold"));
    let claim = claim(&mut request);
    claim.reason = "late".into();
    claim.channel = "web".into();
    claim.evidence.clear();
    request
}

#[tokio::test]
async fn a_currency_without_decimals_takes_none() {
    let mut served = serve_wide().await;
    assert_eq!(served.decide(course()).await.refund, money("JPY", 3_000, 0));
    let mistakes: &[(&str, Spoil)] = &[
        ("order.lines[0].paid", |request| line(request).paid = money("JPY", 3_000, 500_000_000)),
        ("order.lines[0].paid", |request| line(request).paid = money("JPY", 3_000, 10_000_000)),
        ("order.tenders[0].paid.currency_code", |request| tender(request).paid = money("CNY", 3_000, 0)),
        ("order.lines[0].list_price.currency_code", |request| line(request).list_price = money("CNY", 3_000, 0)),
    ];
    each_is_named(&mut served, course, mistakes).await;
    served.server.stop().await;
}

#[tokio::test]
async fn values_of_inputs_are_held_against_their_declarations() {
    let mut served = serve_wide().await;
    let mistakes: &[(&str, Spoil)] = &[
        ("order.inputs[\"grade\"]", |request| {
            order(request).inputs.insert("grade".into(), text("bronze"));
        }),
        ("order.inputs[\"grade\"]", |request| {
            order(request).inputs.insert("grade".into(), decimal("1"));
        }),
        ("order.inputs[\"grade\"]", |request| {
            order(request).inputs.insert("grade".into(), pb::FactValue { kind: None });
        }),
        ("order.lines[0].inputs[\"seats\"]", |request| {
            line(request).inputs.insert("seats".into(), decimal("-1"));
        }),
        ("order.lines[0].inputs[\"seats\"]", |request| {
            line(request).inputs.insert("seats".into(), decimal("10.5"));
        }),
        ("order.lines[0].sub_stage", |request| line(request).sub_stage = "opened".into()),
        ("order.lines[0].tags[1]", |request| line(request).tags.push("gift".into())),
    ];
    each_is_named(&mut served, course, mistakes).await;
    served.server.stop().await;
}

fn decimal(text: &str) -> pb::FactValue {
    pb::FactValue { kind: Some(pb::fact_value::Kind::Decimal(text.to_owned())) }
}

#[tokio::test]
async fn all_mistakes_of_a_request_are_named_at_once() {
    let mut served = serve_standard().await;
    let mut request = late();
    request.language = "fr".into();
    order(&mut request).placed_at = Some(Timestamp { seconds: 0, nanos: -1 });
    let spoilt = line(&mut request);
    spoilt.paid = cny(200, -1);
    spoilt.stage = 99;
    spoilt.completed = Some(pb::Fraction { numerator: 3, denominator: 0 });
    spoilt.product_type = "groceries".into();
    tender(&mut request).paid = money("USD", 200, 0);
    let spoilt = claim(&mut request);
    spoilt.requested_at = None;
    spoilt.reason = "boredom".into();
    spoilt.evidence[0].kind = "horoscope".into();
    let found = served.bad_fields(request).await;
    let expected = [
        "claim.evidence[0].kind",
        "claim.reason",
        "claim.requested_at",
        "language",
        "order.lines[0].completed.denominator",
        "order.lines[0].paid",
        "order.lines[0].product_type",
        "order.lines[0].stage",
        "order.placed_at",
        "order.tenders[0].paid.currency_code",
    ];
    let sorted: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    assert_eq!(sorted.into_iter().collect::<Vec<_>>(), expected);
    assert_eq!(found.len(), expected.len(), "each is named once: {found:?}");
    served.server.stop().await;
}

#[tokio::test]
async fn evidence_is_assessed_before_the_claim_is_filed() {
    let mut served = serve_standard().await;
    let of = |request: pb::EvaluateRefundRequest| pb::ValidateEvidenceRequest {
        request_id: "v-1".into(),
        order: Some(pb::Order { order_id: "o-1".into(), ..pb::Order::default() }),
        claim: request.claim,
        language: "en".into(),
        ..pb::ValidateEvidenceRequest::default()
    };
    let good = served.client.validate_evidence(of(late())).await.unwrap().into_inner();
    assert_eq!(good.request_id, "v-1");
    assert_eq!(good.reason_code(), pb::ReasonCode::Unspecified);
    assert_eq!(good.evidence.unwrap().verdict(), pb::EvidenceVerdict::Sufficient);
    assert_eq!(good.policy.unwrap().policy_id, "standard");

    let mut vague = without_promised_time();
    claim(&mut vague).text = "太差了，不满意".into();
    claim(&mut vague).evidence[0].order_id = "o-2".into();
    let bad = served.client.validate_evidence(of(vague)).await.unwrap().into_inner();
    let report = bad.evidence.unwrap();
    assert_eq!(report.verdict(), pb::EvidenceVerdict::Insufficient);
    assert_eq!(report.rejected[0].evidence_id, "e-1");
    assert_eq!(report.missing[0].kinds, ["order_record", "promised_time_record"]);
    assert_eq!(report.missing[0].labels, ["Order record", "Record of the promised delivery time"]);
    let finding = &report.text_findings[0];
    assert_eq!((finding.phrase.as_str(), finding.start_byte, finding.end_byte), ("太差了", 0, 9));
    assert!(bad.reason_codes.contains(&(pb::ReasonCode::ReasonTooVague as i32)), "{:?}", bad.reason_codes);

    let empty = pb::ValidateEvidenceRequest::default();
    assert_eq!(fields(&served.client.validate_evidence(empty).await.unwrap_err()), ["claim"]);
    served.server.stop().await;
}

#[tokio::test]
async fn a_bad_item_of_a_batch_does_not_spoil_the_good_ones() {
    let mut served = serve_standard().await;
    let mut bad = late();
    line(&mut bad).paid = cny(-1, 0);
    claim(&mut bad).reason = "boredom".into();
    let requests = vec![late(), bad, completed()];
    let batch = served.client.batch_evaluate_refund(pb::BatchEvaluateRefundRequest { requests }).await.unwrap();
    let pb::BatchEvaluateRefundResponse { items, generation, digest } = batch.into_inner();
    let answers: Vec<_> = items.into_iter().map(|item| item.answer.unwrap()).collect();
    let [Answer::Response(first), Answer::Error(error), Answer::Response(last)] = answers.as_slice() else {
        panic!("{answers:?}")
    };
    assert_eq!(*first, served.decide(late()).await);
    assert_eq!(last.outcome(), pb::Outcome::Denied);
    assert_eq!(error.code, Code::InvalidArgument as i32);
    let found: Vec<_> = error.field_violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(found, ["claim.reason", "order.lines[0].paid"]);
    let policy = first.policy.as_ref().unwrap();
    assert_eq!((policy.generation, &policy.digest), (generation, &digest));
    served.server.stop().await;
}

#[tokio::test]
async fn labels_come_in_the_language_asked_for() {
    let mut served = serve_standard().await;
    for (language, step, kind) in [
        ("", "补充材料", "承诺交付时间记录"),
        ("zh", "补充材料", "承诺交付时间记录"),
        ("en", "Add the missing material", "Record of the promised delivery time"),
    ] {
        let request = pb::EvaluateRefundRequest { language: language.into(), ..without_promised_time() };
        let response = served.decide(request).await;
        assert_eq!(response.next_steps[0].label, step, "{language}");
        assert_eq!(response.evidence.unwrap().missing[0].labels, [kind], "{language}");
    }
    served.server.stop().await;
}

#[tokio::test]
async fn an_explanation_comes_when_it_is_asked_for() {
    let mut served = serve_standard().await;
    let mut request = late();
    request.set_explain(pb::ExplainLevel::Full);
    let explained = served.decide(request).await;
    let plain = served.decide(late()).await;
    assert_eq!(explained.decision_id, plain.decision_id);
    let explanation = explained.explanation.unwrap();
    let line = &explanation.lines[0];
    assert_eq!(line.rule_id, "in-progress-platform-liable");
    let lateness = line.facts.iter().find(|fact| fact.name == "lateness").unwrap();
    assert_eq!((lateness.value.as_str(), lateness.missing), ("16h", false));
    assert_eq!(line.deductions[0].exact, "75.00");
    assert!(!line.near_misses.is_empty());
    served.server.stop().await;
}
