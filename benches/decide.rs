//! The decision alone: the standard policy against the same rules written by hand in Rust, and tables of
//! every size.
//!
//! `decide`: one line, two tenders, two pieces of evidence. Both sides answer a few thousand orders alike,
//! field by field, before anything is measured. `growth`: the last rule of a table decides; beside it a
//! linear scan of plain structs. `cargo bench --bench decide`, or `-- decide` for one group.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a benchmark may panic to fail"
)]

#[path = "by_hand/mod.rs"]
mod by_hand;
mod tables;

use std::cell::OnceCell;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use requite::decision::explain::Silent;
use requite::decision::{Purpose, decide, intake};
use requite::domain::decision::{DateWindow, Decision, DeductionSource, EvidenceProblem, EvidenceVerdict, RuleRef};
use requite::domain::request::{Claim, Evidence, Fraction, Line, Money, Order, PromisedActual, Request, Tender};
use requite::domain::time::{Day, Timestamp};
use requite::domain::words::{LiableParty, OrderStage, Outcome, RefundMethod, RequestType};
use requite::engine::admit::admit;
use requite::engine::open;
use requite::plan::Plan;
use requite::policy::bundle::{Bundle, BundleFile};

const DIGITS: [&str; 4] = ["0", "1", "2", "3"];

fn bundle() -> Bundle {
    let file = |path: &str| BundleFile {
        path: path.to_owned(),
        bytes: std::fs::read(format!("{}/policies/standard/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap(),
    };
    Bundle::new(["standard.policy.yaml", "standard.cases.yaml", "calendars/cn.yaml"].map(file).to_vec()).unwrap()
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn cny(minor: i64) -> Option<Money<'static>> {
    Some(Money { currency: "CNY", units: minor / 100, nanos: (minor % 100) as i32 * 10_000_000 })
}

/// The order that is measured: a quarter to four eighths late, by two tenders, with its two records.
fn request() -> Request<'static> {
    let piece = |kind| Evidence { id: kind, kind, ..Evidence::default() };
    let order = Order {
        id: "order-1",
        placed_at: Some(at("2026-03-02T10:00:00+08:00")),
        times: vec![("promised_at", at("2026-03-05T18:00:00+08:00"))],
        lines: vec![Line {
            id: "line-1",
            product_type: "boosting",
            stage: Some(OrderStage::InProgress),
            paid: cny(20_000),
            completed: Some(Fraction { numerator: 3, denominator: 8 }),
            ..Line::default()
        }],
        tenders: vec![
            Tender { id: "t1", method: "alipay", paid: cny(15_000), ..Tender::default() },
            Tender { id: "t2", method: "balance", paid: cny(5_000), ..Tender::default() },
        ],
        ..Order::default()
    };
    let claim = Claim {
        request_type: Some(RequestType::Refund),
        reason: "late_delivery",
        liable_party: Some(LiableParty::Platform),
        channel: "app",
        requested_at: Some(at("2026-03-06T10:00:00+08:00")),
        evidence: vec![piece("order_record"), piece("promised_time_record")],
        ..Claim::default()
    };
    Request { order, claim }
}

/// The same order for the function written by hand. What it does not know does not stand in the requests compared.
fn plain<'a>(request: &Request<'a>) -> by_hand::Order<'a> {
    use by_hand::{Channel, Kind, Paid, Piece, Reason};
    let Request { order, claim } = request;
    let line = &order.lines[0];
    let minor = |money: Option<Money<'_>>| money.map(|money| money.units * 100 + i64::from(money.nanos) / 10_000_000);
    let paid = |paid, refunded| Paid { paid: minor(paid).unwrap(), refunded: minor(refunded).unwrap_or(0) };
    let nanos = |at: Timestamp| i64::try_from(at.nanos()).unwrap();
    let time = |wanted: &str| order.times.iter().find(|(name, _)| *name == wanted).map(|(_, at)| nanos(*at));
    let kind = |kind| match kind {
        "order_record" => Kind::OrderRecord,
        "promised_time_record" => Kind::PromisedTimeRecord,
        "time_commitment_record" => Kind::TimeCommitmentRecord,
        "delivery_record" => Kind::DeliveryRecord,
        "chat_record" => Kind::ChatRecord,
        "status_change_screenshot" => Kind::StatusChangeScreenshot,
        "payment_voucher" => Kind::PaymentVoucher,
        "actual_item" => Kind::ActualItem,
        "description_difference" => Kind::DescriptionDifference,
        _ => Kind::ProgressRecord,
    };
    by_hand::Order {
        stage: line.stage,
        request_type: claim.request_type,
        channel: match claim.channel {
            "" => None,
            "web" | "app" | "mini_program" => Some(Channel::Official),
            _ => Some(Channel::Other),
        },
        reason: match claim.reason {
            "" => None,
            "no_longer_needed" => Some(Reason::NoLongerNeeded),
            "ordered_by_mistake" => Some(Reason::OrderedByMistake),
            "late_delivery" => Some(Reason::LateDelivery),
            "service_interrupted" => Some(Reason::ServiceInterrupted),
            "not_as_described" => Some(Reason::NotAsDescribed),
            "core_promise_unmet" => Some(Reason::CorePromiseUnmet),
            _ => Some(Reason::Other),
        },
        claimed_liable: claim.liable_party,
        placed_at: order.placed_at.map(nanos),
        promised_at: time("promised_at"),
        agreed_delivery_at: time("agreed_delivery_at"),
        delay: order.customer_caused_delay.map_or(0, |delay| i64::try_from(delay.nanos()).unwrap()),
        requested_at: nanos(claim.requested_at.unwrap()),
        line: paid(line.paid, line.refunded),
        completed: line.completed.map(|completed| (completed.numerator, completed.denominator)),
        declared_cost: minor(line.declared_cost),
        text: claim.text,
        compares: claim.promised_actual.iter().any(|pair| !pair.promised.is_empty() && !pair.actual.is_empty()),
        tenders: order.tenders.iter().map(|tender| paid(tender.paid, tender.refunded)).collect(),
        evidence: claim
            .evidence
            .iter()
            .map(|piece| Piece {
                kind: kind(piece.kind),
                of_this_order: piece.order_id.is_empty() || piece.order_id == order.id,
                media_type: piece.media_type,
                has_committed_at: piece.fields.iter().any(|(name, value)| *name == "committed_at" && !value.is_empty()),
            })
            .collect(),
    }
}

/// What the plan decided, in the form of the function written by hand; stops where that has no room for it.
fn as_answer(plan: &Plan, decision: &Decision) -> by_hand::Answer {
    use by_hand::{Deduction, Problem, Step, Verdict};
    let [line] = decision.lines.as_slice() else { panic!("one line is claimed") };
    assert!(decision.components.is_empty() && line.compensations.is_empty() && line.amounts_due.is_empty());
    assert_eq!((decision.method, decision.refund), (RefundMethod::OriginalPayment, line.refund));
    assert_eq!(decision.reason_codes, line.reason_codes);
    let window = |window| match window {
        DateWindow::Dates { earliest, latest } => (earliest, latest),
        DateWindow::BeyondCalendar => panic!("the calendar covers the order"),
    };
    let rule = match line.rule {
        RuleRef::Rule(place) => &plan.rules[place as usize],
        RuleRef::Otherwise => panic!("a rule decides"),
    };
    let evidence = by_hand::Evidence {
        verdict: match decision.evidence.verdict {
            EvidenceVerdict::Sufficient => Verdict::Sufficient,
            EvidenceVerdict::Insufficient => Verdict::Insufficient,
            EvidenceVerdict::NotRequired => Verdict::NotRequired,
        },
        satisfied_by: decision.evidence.satisfied_by.iter().copied().collect(),
        missing: decision.evidence.missing.iter().copied().collect(),
        rejected: decision
            .evidence
            .rejected
            .iter()
            .map(|rejected| {
                let problem = match rejected.problem {
                    EvidenceProblem::AnotherOrder => Problem::AnotherOrder,
                    EvidenceProblem::MediaTypeNotAllowed => Problem::MediaType,
                    EvidenceProblem::FieldMissing(_) => Problem::Field,
                    EvidenceProblem::MediaTypeMissing
                    | EvidenceProblem::TooLarge
                    | EvidenceProblem::TooLargeTogether
                    | EvidenceProblem::CaptureTimeMissing
                    | EvidenceProblem::CapturedTooEarly
                    | EvidenceProblem::CapturedTooLate
                    | EvidenceProblem::Expired => panic!("the policy has no such condition: {rejected:?}"),
                };
                (rejected.evidence, problem)
            })
            .collect(),
    };
    assert!(line.deductions.len() <= 1);
    by_hand::Answer {
        outcome: decision.outcome,
        codes: decision.reason_codes.iter().collect(),
        rule: rule.id.clone().leak(),
        liable: line.liable,
        base: line.base.minor(),
        refund: line.refund.minor(),
        deduction: line.deductions.first().map(|deduction| {
            assert_eq!(deduction.source, DeductionSource::Step { rule: line.rule, step: 0, tier: None });
            Deduction { kind: deduction.kind, base: deduction.base.minor(), amount: deduction.amount.minor() }
        }),
        missing_facts: line.missing_facts.iter().map(|fact| &*plan.fact(*fact).unwrap().name.clone().leak()).collect(),
        tenders: decision.tenders.iter().map(|it| (it.amount.minor(), it.payout.map(window))).collect(),
        evidence,
        next_steps: decision
            .next_steps
            .iter()
            .map(|step| match plan.next_steps[usize::from(*step)].slug.as_str() {
                "supplement_evidence" => Step::Supplement,
                "restate_reason" => Step::Restate,
                "keep_records" => Step::KeepRecords,
                "stay_reachable" => Step::StayReachable,
                "check_order_status" => Step::CheckStatus,
                "refund_request" => Step::RefundRequest,
                "after_sales_appeal" => Step::Appeal,
                "complaint" => Step::Complaint,
                _ => Step::Hotline,
            })
            .collect(),
        review: decision.review.map(window),
        payout: decision.payout.map(window),
    }
}

/// The policy's calendar, day by day.
fn calendar(plan: &Plan) -> by_hand::Calendar {
    let day = |text: &str| Day::of(text.parse().unwrap()).number();
    let (first, last) = (day("2024-01-01"), day("2026-12-31"));
    let worked = |number| plan.calendar.as_ref().unwrap().is_business_day(Day::from_number(number)).unwrap();
    let mut words = vec![0u64; usize::try_from(last - first).unwrap() / 64 + 1];
    for number in (first..=last).filter(|number| worked(*number)) {
        words[usize::try_from(number - first).unwrap() / 64] |= 1 << ((number - first) % 64);
    }
    by_hand::Calendar { first, days: last - first + 1, worked: words }
}

/// Orders at every turn of the policy.
fn variants() -> Vec<Request<'static>> {
    let mut all = vec![request()];
    let vary = |all: &mut Vec<Request<'static>>, changes: &[&dyn Fn(&mut Request<'static>)]| {
        for before in std::mem::take(all) {
            all.push(before.clone());
            for change in changes {
                let mut after = before.clone();
                change(&mut after);
                all.push(after);
            }
        }
    };
    let stage = |stage| move |of: &mut Request<'static>| of.order.lines[0].stage = stage;
    let stages: Vec<_> = OrderStage::ALL.iter().map(|word| stage(Some(*word))).chain([stage(None)]).collect();
    vary(&mut all, &stages.iter().map(|change| change as &dyn Fn(&mut Request<'static>)).collect::<Vec<_>>());
    vary(
        &mut all,
        &[
            &|of| of.claim.reason = "",
            &|of| of.claim.reason = "no_longer_needed",
            &|of| of.claim.reason = "core_promise_unmet",
            &|of| of.claim.reason = "service_interrupted",
        ],
    );
    vary(&mut all, &[&|of| of.claim.liable_party = None, &|of| of.claim.liable_party = Some(LiableParty::Shared)]);
    vary(
        &mut all,
        &[
            &|of| of.claim.request_type = Some(RequestType::AfterSalesAppeal),
            &|of| of.claim.request_type = Some(RequestType::Dispute),
            &|of| of.claim.request_type = None,
            &|of| of.claim.channel = "phone",
            &|of| of.claim.channel = "",
            &|of| of.order.times.clear(),
            &|of| of.order.times.push(("agreed_delivery_at", at("2026-03-05T20:00:00+08:00"))),
            &|of| of.order.times[0].1 = at("2026-03-07T18:00:00+08:00"),
            &|of| of.order.placed_at = Some(at("2026-03-05T10:00:00+08:00")),
            &|of| of.order.placed_at = None,
        ],
    );
    vary(
        &mut all,
        &[
            &|of| of.claim.evidence.clear(),
            &|of| of.claim.evidence[0].order_id = "another",
            &|of| {
                let kinds = ["chat_record", "status_change_screenshot", "progress_record", "time_commitment_record"];
                let more = kinds.into_iter().zip(DIGITS).map(|(kind, id)| Evidence { id, kind, ..Evidence::default() });
                of.claim.evidence.extend(more);
                of.claim.evidence[3].media_type = "text/plain";
            },
            &|of| of.claim.text = "很差",
            &|of| {
                of.claim.text = "很差";
                of.claim.promised_actual = vec![PromisedActual { subject: "rank", promised: "gold", actual: "iron" }];
            },
            &|of| of.order.lines[0].declared_cost = cny(9_999),
            &|of| of.order.lines[0].completed = None,
            &|of| of.order.lines[0].completed = Some(Fraction { numerator: 7, denominator: 7 }),
            &|of| {
                of.order.lines[0].declared_cost = cny(1);
                of.order.lines[0].completed = Some(Fraction { numerator: 1, denominator: 3 });
                of.order.lines[0].refunded = cny(14_000);
                of.order.tenders[0].refunded = cny(14_000);
            },
            // Before the days off of October, and the working Saturday after them.
            &|of| of.claim.requested_at = Some(at("2026-09-29T23:59:59+08:00")),
        ],
    );
    all
}

fn decision_alone(criterion: &mut Criterion) {
    let (engine, _activator) = open(admit(&bundle()).unwrap());
    let request = request();
    let snapshot = engine.current();
    let plan = snapshot.plan("").unwrap();
    let calendar = calendar(plan);

    let variants = variants();
    let mut outcomes = std::collections::BTreeMap::<Outcome, usize>::new();
    for request in &variants {
        let facts = intake(plan, request, Purpose::Decision).unwrap_or_else(|bad| panic!("{bad:?}"));
        let decision = decide(plan, &facts, &mut Silent);
        assert_eq!(by_hand::decide(&plain(request), &calendar), as_answer(plan, &decision), "{request:#?}");
        *outcomes.entry(decision.outcome).or_default() += 1;
    }
    assert!(Outcome::ALL.iter().all(|outcome| outcomes.contains_key(outcome)), "{outcomes:?}");

    let facts = intake(plan, &request, Purpose::Decision).unwrap();
    let order = plain(&request);
    assert_eq!(decide(plan, &facts, &mut Silent).outcome, Outcome::ApprovedPartial);
    let mut group = criterion.benchmark_group("decide");
    group.bench_function("plan", |bencher| {
        bencher.iter(|| {
            let snapshot = engine.current();
            let plan = snapshot.plan("").unwrap();
            decide(plan, black_box(&facts), &mut Silent)
        });
    });
    group.bench_function("by_hand", |bencher| bencher.iter(|| by_hand::decide(black_box(&order), &calendar)));
    group.bench_function("intake", |bencher| bencher.iter(|| intake(plan, black_box(&request), Purpose::Decision)));
    group.finish();
}

fn table(size: usize) -> Plan {
    let text = tables::policy(&tables::rows(size));
    let file = BundleFile { path: "table.policy.yaml".to_owned(), bytes: text.into_bytes() };
    admit(&Bundle::new(vec![file]).unwrap()).unwrap().plans.remove(0)
}

/// The claim on an order of a table.
fn asked<'a>(asked: &tables::Asked, product: &'a str, reason: &'a str) -> Request<'a> {
    let placed = at("2026-03-02T10:00:00Z");
    let requested = placed.nanos() + i128::from(asked.age_hours) * 3_600_000_000_000;
    let line = Line {
        product_type: product,
        stage: Some(OrderStage::Delivered),
        paid: cny(i64::try_from(asked.price_units).unwrap() * 100),
        completed: Some(Fraction {
            numerator: i64::try_from(asked.share_hundredths).unwrap(),
            denominator: i64::try_from(tables::SHARE_HUNDREDTHS).unwrap(),
        }),
        ..Line::default()
    };
    Request {
        order: Order { id: "o", placed_at: Some(placed), lines: vec![line], ..Order::default() },
        claim: Claim {
            request_type: Some(RequestType::Refund),
            reason,
            channel: "app",
            requested_at: Timestamp::from_nanos(requested),
            ..Claim::default()
        },
    }
}

fn growth(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("growth");
    for size in tables::SIZES {
        let rows = tables::rows(size);
        let last = rows.last().unwrap();
        let order = last.asked();
        let (product, reason) = (tables::product(order.product), tables::reason(order.reason));
        let request = asked(&order, &product, &reason);
        let plan = OnceCell::new();
        group.bench_with_input(BenchmarkId::new("plan", size), &request, |bencher, request| {
            // Only where it is asked for: the largest takes a while to be read.
            let plan = plan.get_or_init(|| table(size));
            let facts = intake(plan, request, Purpose::Decision).unwrap_or_else(|bad| panic!("{bad:?}"));
            let decision = decide(plan, &facts, &mut Silent);
            assert_eq!(decision.lines[0].rule, RuleRef::Rule(u32::try_from(size).unwrap() - 1));
            let held_back = i64::try_from(order.price_units * last.percent).unwrap();
            assert_eq!(decision.refund.minor() + held_back, i64::try_from(order.price_units).unwrap() * 100);
            bencher.iter(|| decide(plan, black_box(&facts), &mut Silent));
        });
        group.bench_with_input(BenchmarkId::new("linear", size), &order, |bencher, order| {
            bencher.iter(|| rows.iter().find(|row| row.decides(black_box(order))).map(|row| row.percent));
        });
    }
    group.finish();
}

criterion_group!(benches, decision_alone, growth);
criterion_main!(benches);
