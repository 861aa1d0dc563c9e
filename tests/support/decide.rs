//! Plans, and random claims on random orders, for the tests that decide.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::select;
use requite::decision::explain::Silent;
use requite::decision::{Purpose, decide, intake};
use requite::domain::decision::Decision;
use requite::domain::request::{
    Claim, Evidence, Fraction, Line, Money, Order, PromisedActual, Refundability, Request, Tender,
};
use requite::domain::time::{Elapsed, Timestamp};
use requite::domain::words::{LiableParty, OrderStage, RequestType};
use requite::engine::admit::{Admission, admit};
use requite::plan::Plan;
use requite::policy::bundle::{Bundle, BundleFile};
use requite::policy::diagnostic::{Colour, render};

/// The plan of the standard policy.
pub static STANDARD: LazyLock<Plan> = LazyLock::new(standard);

/// The standard policy, compiled anew.
pub fn standard() -> Plan {
    let file = |path: &str| {
        let source = format!("{}/policies/standard/{path}", env!("CARGO_MANIFEST_DIR"));
        BundleFile { path: path.to_owned(), bytes: std::fs::read(source).unwrap() }
    };
    only_plan(admission(vec![file("standard.policy.yaml"), file("calendars/cn.yaml")]))
}

/// The plan of a policy of these rules, in this currency; `head` holds further keys.
pub fn inline(currency: &str, head: &str, rules: &str) -> Plan {
    let text = format!(
        "policy: inline\nversion: \"1\"\ntimezone: UTC\ncurrencies: [{currency}]\nchannels: [app]\n{head}rules:\n{rules}otherwise: {{ deny: NO_MATCHING_RULE }}\n"
    );
    only_plan(admission(vec![BundleFile { path: "inline.policy.yaml".to_owned(), bytes: text.into_bytes() }]))
}

/// A bundle of these files, admitted.
pub fn admission(files: Vec<BundleFile>) -> Admission {
    let bundle = Bundle::new(files).unwrap();
    admit(&bundle).unwrap_or_else(|rejection| panic!("{}", render(&rejection.diagnostics, &bundle, Colour::Off)))
}

fn only_plan(mut admission: Admission) -> Plan {
    admission.plans.remove(0)
}

/// The decision on a request without mistakes.
pub fn decided(plan: &Plan, request: &Request<'_>) -> Decision {
    let facts = intake(plan, request, Purpose::Decision).unwrap_or_else(|bad| panic!("{bad:?}\n{request:#?}"));
    decide(plan, &facts, &mut Silent)
}

/// So many hundredths of a CNY.
pub fn cny(minor: i64) -> Money<'static> {
    money("CNY", minor)
}

/// So many hundredths of a currency.
pub fn money(currency: &'static str, minor: i64) -> Money<'static> {
    Money { currency, units: minor / 100, nanos: i32::try_from(minor % 100).unwrap() * 10_000_000 }
}

/// How many hundredths.
pub fn minor(money: Option<Money<'_>>) -> i64 {
    money.map_or(0, |money| money.units * 100 + i64::from(money.nanos) / 10_000_000)
}

pub const LINE_IDS: [&str; 5] = ["line-1", "line-2", "line-3", "line-4", "line-5"];
const TENDER_IDS: [&str; 4] = ["tender-1", "tender-2", "tender-3", "tender-4"];
const EVIDENCE_IDS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

/// The kinds of evidence of the standard policy.
pub const KINDS: [&str; 10] = [
    "order_record",
    "promised_time_record",
    "time_commitment_record",
    "delivery_record",
    "chat_record",
    "status_change_screenshot",
    "payment_voucher",
    "actual_item",
    "description_difference",
    "progress_record",
];

/// The reasons of the standard policy.
pub const REASONS: [&str; 7] = [
    "no_longer_needed",
    "ordered_by_mistake",
    "late_delivery",
    "service_interrupted",
    "not_as_described",
    "core_promise_unmet",
    "other",
];

const TEXTS: [&str; 14] = [
    "",
    "",
    "代练期间平台无法登录",
    "the service stopped in the middle",
    "不好用",
    "真的 不 滿 意!!",
    "不\u{200d}好\u{200b}用。",
    "不好用,订单号 A7",
    "很差 ３ 次",
    "承诺黄金段位,不满意",
    "Dissatisfied",
    "ＢＡＤ ｑｕａｌｉｔｙ",
    "I don't like it",
    "bad quality, not what was agreed",
];

/// When every order is placed.
pub fn placed() -> Timestamp {
    Timestamp::parse("2026-03-02T10:00:00+08:00").unwrap()
}

pub const HOUR: i128 = 3_600_000_000_000;

/// A moment so many nanoseconds after another.
pub fn after(moment: Timestamp, nanos: i128) -> Timestamp {
    Timestamp::from_nanos(moment.nanos() + nanos).unwrap()
}

/// A good piece of evidence.
pub fn good_piece(id: &'static str, kind: &'static str) -> Evidence<'static> {
    let fields = if kind == "time_commitment_record" { vec![("committed_at", "2026-03-06")] } else { Vec::new() };
    Evidence { id, kind, media_type: "image/png", fields, ..Evidence::default() }
}

/// A piece of evidence that does not count.
pub fn bad_piece(id: &'static str, kind: &'static str) -> Evidence<'static> {
    match kind {
        "status_change_screenshot" => Evidence { media_type: "text/plain", ..good_piece(id, kind) },
        "time_commitment_record" => Evidence { fields: vec![("committed_at", "  ")], ..good_piece(id, kind) },
        _ => Evidence { order_id: "another-order", ..good_piece(id, kind) },
    }
}

/// One good piece of each kind.
pub fn every_piece() -> Vec<Evidence<'static>> {
    KINDS.iter().zip(EVIDENCE_IDS).map(|(kind, id)| good_piece(id, kind)).collect()
}

fn evidence() -> impl Strategy<Value = Vec<Evidence<'static>>> {
    let piece = (select(&KINDS[..]), prop::bool::weighted(0.75));
    let some = prop::collection::vec(piece, 0..6).prop_map(|pieces| {
        let pieces = pieces.into_iter().zip(EVIDENCE_IDS);
        pieces.map(|((kind, good), id)| if good { good_piece(id, kind) } else { bad_piece(id, kind) }).collect()
    });
    prop_oneof![3 => some, 2 => Just(every_piece()), 1 => Just(Vec::new())]
}

/// An amount in hundredths: tiny, usual, or huge.
pub fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![1 => Just(1i64), 3 => 1..=100i64, 4 => 1..=100_000i64, 1 => Just(20_000i64), 1 => 1..=100_000_000_000_000i64]
}

fn percent(amount: i64, percent: i64) -> i64 {
    i64::try_from(i128::from(amount) * i128::from(percent) / 100).unwrap()
}

fn stage() -> impl Strategy<Value = Option<OrderStage>> {
    prop_oneof![
        4 => Just(Some(OrderStage::NotStarted)),
        8 => Just(Some(OrderStage::InProgress)),
        2 => Just(Some(OrderStage::Delivered)),
        4 => select(OrderStage::ALL).prop_map(Some),
        1 => Just(None),
    ]
}

fn completed() -> impl Strategy<Value = Option<Fraction>> {
    let share = |most: i64| {
        (0..=most, 1..=most).prop_map(|(done, all)| Some(Fraction { numerator: done.min(all), denominator: all }))
    };
    prop_oneof![6 => share(100), 1 => share(1_000_000_007), 1 => Just(None)]
}

fn line() -> impl Strategy<Value = Line<'static>> {
    let refunded = prop::option::weighted(0.4, prop_oneof![4 => 0..=100i64, 1 => Just(100i64)]);
    let cost = prop::option::weighted(0.8, 0..=200i64);
    (amount(), stage(), refunded, completed(), cost).prop_map(|(paid, stage, refunded, completed, cost)| Line {
        product_type: "boosting",
        stage,
        paid: Some(cny(paid)),
        refunded: refunded.map(|share| cny(percent(paid, share))),
        completed,
        declared_cost: cost.map(|share| cny(percent(paid, share))),
        ..Line::default()
    })
}

fn lines() -> impl Strategy<Value = Vec<Line<'static>>> {
    let many = prop::collection::vec(line(), 2..=5);
    // The lines of one order are mostly at the same stage.
    let alike = (prop::collection::vec(line(), 2..=5), stage()).prop_map(|(mut lines, stage)| {
        lines.iter_mut().for_each(|line| line.stage = stage);
        lines
    });
    prop_oneof![3 => line().prop_map(|line| vec![line]), 1 => many, 2 => alike].prop_map(|mut lines| {
        lines.iter_mut().zip(LINE_IDS).for_each(|(line, id)| line.id = id);
        lines
    })
}

/// Tenders that paid for the lines, by weight; what went back earlier went to those that take money.
pub fn pay(lines: &[Line<'_>], weights: &[(i64, Refundability)]) -> Vec<Tender<'static>> {
    let sum = |of: fn(&Line<'_>) -> i64| lines.iter().map(of).sum::<i64>();
    let (paid, mut refunded) = (sum(|line| minor(line.paid)), sum(|line| minor(line.refunded)));
    let total: i128 = weights.iter().map(|(weight, _)| i128::from(*weight)).sum();
    let mut left = paid;
    let mut amounts: Vec<i64> = Vec::new();
    for (place, (weight, _)) in weights.iter().enumerate() {
        let share = i64::try_from(i128::from(paid) * i128::from(*weight) / total).unwrap();
        let share = if place + 1 == weights.len() { left } else { share };
        left -= share;
        amounts.push(share);
    }
    let mut back = vec![0; amounts.len()];
    for wanted in [Refundability::Refundable, Refundability::NotRefundable] {
        for (place, _) in weights.iter().enumerate().filter(|(_, (_, refundability))| *refundability == wanted) {
            back[place] = refunded.min(amounts[place]);
            refunded -= back[place];
        }
    }
    weights
        .iter()
        .enumerate()
        .map(|(place, (_, refundability))| Tender {
            id: TENDER_IDS[place],
            method: "card",
            paid: Some(cny(amounts[place])),
            refunded: Some(cny(back[place])),
            refundability: *refundability,
        })
        .collect()
}

fn weights() -> impl Strategy<Value = Vec<(i64, Refundability)>> {
    let refundability = prop_oneof![3 => Just(Refundability::Refundable), 1 => Just(Refundability::NotRefundable)];
    prop_oneof![2 => Just(Vec::new()), 3 => prop::collection::vec((1..=100i64, refundability), 1..=4)]
}

/// The moments of an order, and the delay that the customer caused.
#[derive(Clone, Debug)]
struct Times {
    placed_at: Option<Timestamp>,
    requested_at: Timestamp,
    promised_at: Option<Timestamp>,
    agreed_at: Option<Timestamp>,
    delay: Option<i128>,
}

fn times() -> impl Strategy<Value = Times> {
    let second = 1_000_000_000i128;
    let day = 24 * HOUR;
    let requested = prop_oneof![
        2 => select(vec![0, day - 1, day, day + 1]),
        1 => 0..day,
        3 => (0..60 * 24 * 3_600i64).prop_map(move |seconds| i128::from(seconds) * second),
    ];
    let delay = prop::option::weighted(0.3, select(vec![0, HOUR, 3 * day]));
    // What was promised, counted back from the request: at its edges, late, or not late.
    let due = || prop_oneof![1 => select(vec![-1, 0, 1]), 2 => 1..20 * day, 1 => -5 * day..0];
    let placed_at = prop::bool::weighted(0.95);
    (requested, placed_at, delay, prop::option::weighted(0.85, due()), prop::option::weighted(0.25, due())).prop_map(
        |(requested, placed_known, delay, promised, agreed)| {
            let requested_at = after(placed(), requested);
            let back = |nanos: i128| after(requested_at, -nanos - delay.unwrap_or(0));
            Times {
                placed_at: placed_known.then(placed),
                requested_at,
                promised_at: promised.map(back),
                agreed_at: agreed.map(back),
                delay,
            }
        },
    )
}

fn claim() -> impl Strategy<Value = Claim<'static>> {
    let request_type = prop_oneof![
        12 => Just(Some(RequestType::Refund)),
        3 => select(RequestType::ALL).prop_map(Some),
        1 => Just(None),
    ];
    let reason = prop_oneof![6 => select(&REASONS[..]), 1 => Just("")];
    let liable = prop::option::weighted(0.6, select(LiableParty::ALL));
    let channel = prop_oneof![
        12 => select(vec!["web", "app", "mini_program"]),
        2 => select(vec!["phone", "in_store", "third_party", "private_contact"]),
        1 => Just(""),
    ];
    let pair = select(vec![("", ""), ("", ""), ("", ""), ("钻石", "黄金"), ("钻石", " ")]);
    (request_type, reason, liable, channel, select(&TEXTS[..]), pair, evidence()).prop_map(
        |(request_type, reason, liable_party, channel, text, (promised, actual), evidence)| Claim {
            request_type,
            reason,
            liable_party,
            text,
            promised_actual: match promised {
                "" => Vec::new(),
                _ => vec![PromisedActual { subject: "段位", promised, actual }],
            },
            evidence,
            channel,
            ..Claim::default()
        },
    )
}

/// What is left to refund of the lines with these ids, in hundredths; of all lines where there are none.
pub fn left_of(lines: &[Line<'_>], line_ids: &[&str]) -> i64 {
    let claimed = lines.iter().filter(|line| line_ids.is_empty() || line_ids.contains(&line.id));
    claimed.map(|line| minor(line.paid) - minor(line.refunded)).sum()
}

/// Random claims on random orders, without mistakes, in the words of the standard policy.
pub fn requests() -> impl Strategy<Value = Request<'static>> {
    let requested = prop::option::weighted(0.2, 1..=150i64);
    let covered = prop::collection::vec(prop::bool::ANY, 5);
    (lines(), weights(), times(), claim(), requested, prop::option::weighted(0.3, covered)).prop_map(
        |(lines, weights, times, claim, requested, covered)| {
            let paid: i64 = lines.iter().map(|line| minor(line.paid)).sum();
            let covered = covered.unwrap_or_default();
            let line_ids: Vec<&'static str> =
                lines.iter().zip(&covered).filter(|(_, covered)| **covered).map(|(line, _)| line.id).collect();
            // More than is left of what the claim is about would be refused.
            let left = left_of(&lines, &line_ids);
            let moments = [("promised_at", times.promised_at), ("agreed_delivery_at", times.agreed_at)];
            Request {
                order: Order {
                    id: "order-1",
                    placed_at: times.placed_at,
                    paid_at: times.placed_at,
                    times: moments.into_iter().filter_map(|(name, at)| Some((name, at?))).collect(),
                    customer_caused_delay: times
                        .delay
                        .map(|nanos| Elapsed::from_seconds(i64::try_from(nanos / 1_000_000_000).unwrap(), 0).unwrap()),
                    tenders: pay(&lines, &weights),
                    lines,
                    ..Order::default()
                },
                claim: Claim {
                    requested_at: Some(times.requested_at),
                    requested_amount: requested.map(|share| cny(percent(paid, share).min(left).max(1))),
                    line_ids,
                    ..claim
                },
            }
        },
    )
}

/// Random claims that get as far as an amount on most of their lines: nothing is missing from
/// them, and every piece of evidence is there.
pub fn complete_requests() -> impl Strategy<Value = Request<'static>> {
    let stage = select(vec![OrderStage::NotStarted, OrderStage::InProgress, OrderStage::Delivered]);
    (requests(), stage, select(&REASONS[..]), 0..=100i64).prop_map(|(mut request, stage, reason, cost)| {
        for line in &mut request.order.lines {
            line.stage = Some(stage);
            line.completed = line.completed.or(Some(Fraction { numerator: 1, denominator: 3 }));
            line.declared_cost = line.declared_cost.or(Some(cny(percent(minor(line.paid), cost))));
        }
        request.order.placed_at = Some(placed());
        if request.order.times.iter().all(|(name, _)| *name != "promised_at") {
            request.order.times.push(("promised_at", placed()));
        }
        request.claim = Claim {
            request_type: Some(RequestType::Refund),
            reason,
            text: "",
            evidence: every_piece(),
            channel: "app",
            ..request.claim
        };
        request
    })
}
