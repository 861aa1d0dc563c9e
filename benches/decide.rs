//! The decision alone: the default policy against the same rules written by hand in Rust.
//!
//! One line, two tenders, two pieces of evidence. Both sides answer the same order and their
//! answers are compared before anything is measured. `cargo bench --bench decide`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a benchmark may panic to fail")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use requite::decision::explain::Silent;
use requite::decision::{Purpose, decide, intake};
use requite::domain::request::{Claim, Evidence, Fraction, Line, Money, Order, Request, Tender};
use requite::domain::time::Timestamp;
use requite::domain::words::{LiableParty, OrderStage, Outcome, RequestType};
use requite::engine::admit::admit;
use requite::engine::open;
use requite::policy::bundle::{Bundle, BundleFile};

fn bundle() -> Bundle {
    let file = |path: &str| BundleFile {
        path: path.to_owned(),
        bytes: std::fs::read(format!("{}/policies/standard/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap(),
    };
    Bundle::new(["standard.policy.yaml", "standard.cases.yaml", "calendars/cn.yaml"].map(file).to_vec()).unwrap()
}

fn request() -> Request<'static> {
    let cny = |units| Some(Money { currency: "CNY", units, nanos: 0 });
    let at = |text| Timestamp::parse(text);
    let piece = |kind| Evidence { id: kind, kind, ..Evidence::default() };
    let order = Order {
        id: "order-1",
        placed_at: at("2026-03-02T10:00:00+08:00"),
        times: vec![("promised_at", at("2026-03-05T18:00:00+08:00").unwrap())],
        lines: vec![Line {
            id: "line-1",
            product_type: "boosting",
            stage: Some(OrderStage::InProgress),
            paid: cny(200),
            completed: Some(Fraction { numerator: 3, denominator: 8 }),
            ..Line::default()
        }],
        tenders: vec![
            Tender { id: "t1", method: "alipay", paid: cny(150), ..Tender::default() },
            Tender { id: "t2", method: "balance", paid: cny(50), ..Tender::default() },
        ],
        ..Order::default()
    };
    let claim = Claim {
        request_type: Some(RequestType::Refund),
        reason: "late_delivery",
        liable_party: Some(LiableParty::Platform),
        channel: "app",
        requested_at: at("2026-03-06T10:00:00+08:00"),
        evidence: vec![piece("order_record"), piece("promised_time_record")],
        ..Claim::default()
    };
    Request { order, claim }
}

fn benchmark(criterion: &mut Criterion) {
    let (engine, _activator) = open(admit(&bundle()).unwrap());
    let request = request();
    let snapshot = engine.current();
    let plan = snapshot.plan("").unwrap();
    let facts = intake(plan, &request, Purpose::Decision).unwrap();
    let order = by_hand::order();

    let decision = decide(plan, &facts, &mut Silent);
    let answer = by_hand::decide(&order).unwrap();
    assert_eq!(decision.outcome, Outcome::ApprovedPartial);
    assert_eq!(decision.refund.minor(), answer.refund);
    assert_eq!(decision.tenders.iter().map(|tender| tender.amount.minor()).collect::<Vec<_>>(), answer.tenders);

    let mut group = criterion.benchmark_group("decide");
    group.bench_function("plan", |bencher| {
        bencher.iter(|| {
            let snapshot = engine.current();
            let plan = snapshot.plan("").unwrap();
            decide(plan, black_box(&facts), &mut Silent)
        });
    });
    group.bench_function("by_hand", |bencher| bencher.iter(|| by_hand::decide(black_box(&order))));
    group.bench_function("intake", |bencher| bencher.iter(|| intake(plan, black_box(&request), Purpose::Decision)));
    group.finish();
}

/// The same rules as a careful programmer would write them for this one policy: enums, integers,
/// no policy data. It answers with amounts, dates and a reason, as the plan does.
mod by_hand {
    use jiff::civil::Date;
    use requite::domain::words::{LiableParty, OrderStage, RequestType};

    #[expect(dead_code, reason = "the order of the benchmark has one reason")]
    pub(crate) enum Reason {
        NoLongerNeeded,
        LateDelivery,
    }

    pub(crate) struct Order {
        pub(crate) stage: OrderStage,
        pub(crate) request_type: RequestType,
        pub(crate) official_channel: Option<bool>,
        pub(crate) reason: Option<Reason>,
        pub(crate) liable: LiableParty,
        pub(crate) placed_at: i64,
        pub(crate) promised_at: i64,
        pub(crate) delay: i64,
        pub(crate) requested_at: i64,
        pub(crate) paid: i64,
        pub(crate) refunded: i64,
        pub(crate) completed: (i64, i64),
        pub(crate) cost: i64,
        pub(crate) tenders: Vec<(i64, i64)>,
        pub(crate) evidence: Vec<u8>,
    }

    #[derive(Debug)]
    #[expect(dead_code, reason = "an answer that nobody reads costs as much")]
    pub(crate) struct Answer {
        pub(crate) refund: i64,
        pub(crate) deduction: i64,
        pub(crate) tenders: Vec<i64>,
        pub(crate) payout: (Date, Date),
    }

    pub(crate) fn order() -> Order {
        Order {
            stage: OrderStage::InProgress,
            request_type: RequestType::Refund,
            official_channel: Some(true),
            reason: Some(Reason::LateDelivery),
            liable: LiableParty::Platform,
            placed_at: 1_772_416_800,
            promised_at: 1_772_704_800,
            delay: 0,
            requested_at: 1_772_762_400,
            paid: 20_000,
            refunded: 0,
            completed: (3, 8),
            cost: 0,
            tenders: vec![(15_000, 0), (5_000, 0)],
            evidence: vec![0, 1],
        }
    }

    pub(crate) fn decide(order: &Order) -> Result<Answer, &'static str> {
        let has = |kind: u8| order.evidence.contains(&kind);
        match order.stage {
            OrderStage::Unpaid => return Err("order_not_paid"),
            OrderStage::Cancelled => return Err("order_cancelled"),
            OrderStage::Refunded => return Err("already_refunded"),
            OrderStage::Completed => return Err("order_completed"),
            OrderStage::Redeemed => return Err("order_redeemed"),
            OrderStage::NotStarted | OrderStage::InProgress | OrderStage::Delivered => {}
        }
        match order.official_channel {
            None => return Err("fact_missing"),
            Some(false) => return Err("channel_not_allowed"),
            Some(true) => {}
        }
        match order.request_type {
            RequestType::Refund => {}
            RequestType::AfterSalesAppeal => return Err("wrong_request_type"),
            RequestType::Dispute => return Err("review_required"),
        }
        let base = order.paid - order.refunded;
        if order.stage == OrderStage::NotStarted {
            if order.requested_at - order.placed_at <= 86_400 {
                return Ok(answer(order, base, 0, 0, (1, 3)));
            }
            return if order.reason.is_some() { Ok(answer(order, base, 0, 2, (1, 3))) } else { Err("reason_required") };
        }
        let Some(reason) = &order.reason else { return Err("reason_required") };
        let late = order.requested_at - (order.promised_at + order.delay);
        let liable = match reason {
            Reason::NoLongerNeeded => LiableParty::Customer,
            Reason::LateDelivery if late <= 0 => LiableParty::Customer,
            Reason::LateDelivery => order.liable,
        };
        let (done, all) = order.completed;
        let share = (order.paid * done * 2 + all) / (all * 2);
        let deduction = match liable {
            LiableParty::Platform | LiableParty::Merchant => {
                if !(has(0) && has(1)) {
                    return Err("evidence_missing");
                }
                share
            }
            LiableParty::Customer => {
                if !(has(4) || has(5)) {
                    return Err("evidence_missing");
                }
                share.max(order.cost).min(order.paid)
            }
            LiableParty::ThirdParty | LiableParty::ForceMajeure | LiableParty::Shared | LiableParty::Undetermined => {
                return Err("liability_undetermined");
            }
        };
        let deduction = deduction.min(base);
        if deduction == base {
            return Err("nothing_refundable");
        }
        Ok(answer(order, base - deduction, deduction, 2, (3, 5)))
    }

    fn answer(order: &Order, refund: i64, deduction: i64, review: i32, payout: (i32, i32)) -> Answer {
        let start = jiff::Timestamp::from_second(order.requested_at)
            .unwrap()
            .to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(8)))
            .date();
        let payout = (business_days_after(start, review / 2 + payout.0), business_days_after(start, review + payout.1));
        Answer { refund, deduction, tenders: tenders(order, refund), payout }
    }

    fn business_days_after(mut day: Date, mut days: i32) -> Date {
        while days > 0 {
            day = day.tomorrow().unwrap();
            if !matches!(day.weekday(), jiff::civil::Weekday::Saturday | jiff::civil::Weekday::Sunday) {
                days -= 1;
            }
        }
        day
    }

    fn tenders(order: &Order, refund: i64) -> Vec<i64> {
        let total: i64 = order.tenders.iter().map(|(paid, _)| paid).sum();
        let mut parts: Vec<(usize, i64, i64)> = order
            .tenders
            .iter()
            .enumerate()
            .map(|(at, (paid, _))| (at, refund * paid / total, refund * paid % total))
            .collect();
        let mut spare = refund - parts.iter().map(|(_, part, _)| part).sum::<i64>();
        parts.sort_by_key(|&(_, _, rest)| std::cmp::Reverse(rest));
        for part in &mut parts {
            if spare > 0 {
                part.1 += 1;
                spare -= 1;
            }
        }
        parts.sort_by_key(|&(at, ..)| at);
        parts.iter().zip(&order.tenders).map(|(&(_, part, _), &(paid, refunded))| part.min(paid - refunded)).collect()
    }
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
