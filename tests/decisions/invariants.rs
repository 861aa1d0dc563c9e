//! What always holds of a decision, whatever the claim: the ten invariants, on random claims under
//! the standard policy, and figures of published policies that must come out to the cent.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::select;
use requite::decision::explain::Recorder;
use requite::decision::{Purpose, decide, intake};
use requite::domain::decision::{Decision, Deduction, DeductionSource, LineDecision, ReasonCodes, RuleRef};
use requite::domain::facts::{FactId, Value};
use requite::domain::money::Amount;
use requite::domain::ratio::Ratio;
use requite::domain::request::{Claim, Fraction, InputValue, Line, Order, Refundability, Request, Tender};
use requite::domain::time::Elapsed;
use requite::domain::words::{LiableParty, OrderStage, Outcome, ReasonCode, RequestType};
use requite::plan::Plan;
use requite::plan::rule::Action;
use requite::plan::test::Answer;
use requite::policy::bundle::BundleFile;

use crate::support::decide::{
    HOUR, KINDS, STANDARD, admission, after, bad_piece, cny, complete_requests, decided, every_piece, good_piece,
    inline, left_of, minor, money, pay, placed, requests, standard,
};

const CASES: u32 = 400;

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) }
}

const fn is_approved(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::ApprovedFull | Outcome::ApprovedPartial)
}

/// Whether an amount was worked out for a line: its rule refunds, and nothing was missing.
fn has_amount(plan: &Plan, line: &LineDecision) -> bool {
    let refunds = match line.rule {
        RuleRef::Rule(place) => matches!(plan.rules[place as usize].effect.action, Action::Refund(_)),
        RuleRef::Otherwise => false,
    };
    refunds && !matches!(line.outcome, Outcome::MoreInfoRequired | Outcome::ManualReview)
}

/// What is left of a line, in hundredths.
fn base(line: &Line<'_>) -> i64 {
    minor(line.paid) - minor(line.refunded)
}

fn refund_of(plan: &Plan, request: &Request<'_>) -> i64 {
    decided(plan, request).refund.minor()
}

fn has_coupon(request: &Request<'_>) -> bool {
    request.order.tenders.iter().any(|tender| tender.refundability == Refundability::NotRefundable)
}

proptest! {
    #![proptest_config(config())]

    // 1.
    #[test]
    fn refund_and_deductions_come_to_the_base(request in requests()) {
        let decision = decided(&STANDARD, &request);
        for line in &decision.lines {
            let held_back: i64 = line.deductions.iter().map(|deduction| deduction.amount.minor()).sum();
            prop_assert_eq!(line.refund.minor() + held_back, line.base.minor());
            prop_assert!(0 <= line.refund.minor());
            prop_assert!(line.deductions.iter().all(|deduction| 0 < deduction.amount.minor()));
            let expected = if has_amount(&STANDARD, line) { base(&request.order.lines[usize::from(line.line)]) } else { 0 };
            prop_assert_eq!(line.base.minor(), expected);
            // Each deduction is taken from what the one before it left: of the price, and after that of the refund.
            let (of_rules, by_engine): (Vec<&Deduction>, Vec<&Deduction>) = line.deductions.iter()
                .partition(|deduction| matches!(deduction.source, DeductionSource::Step { .. }));
            let mut left = Amount::from_minor(minor(request.order.lines[usize::from(line.line)].paid));
            for deduction in of_rules {
                prop_assert_eq!(deduction.base, left);
                left = left.less(deduction.amount);
            }
            let mut left = line.refund.plus(Amount::sum(by_engine.iter().map(|deduction| deduction.amount)));
            for deduction in by_engine {
                prop_assert_eq!(deduction.base, left);
                left = left.less(deduction.amount);
            }
        }
        let of_lines: i64 = decision.lines.iter().map(|line| line.refund.minor()).sum();
        prop_assert_eq!(decision.refund.minor(), of_lines);
    }

    // 2.
    #[test]
    fn no_part_gets_more_than_was_paid_for_it(request in requests()) {
        let decision = decided(&STANDARD, &request);
        for line in &decision.lines {
            prop_assert!(line.refund.minor() <= base(&request.order.lines[usize::from(line.line)]));
        }
        let of_tenders: i64 = decision.tenders.iter().map(|tender| tender.amount.minor()).sum();
        prop_assert_eq!(decision.refund.minor(), of_tenders);
        for (tender, back) in request.order.tenders.iter().zip(&decision.tenders) {
            let room = match tender.refundability {
                Refundability::Refundable => minor(tender.paid) - minor(tender.refunded),
                Refundability::NotRefundable => 0,
            };
            prop_assert!(0 <= back.amount.minor() && back.amount.minor() <= room);
        }
        if let Some(asked) = request.claim.requested_amount {
            prop_assert!(decision.refund.minor() <= minor(Some(asked)));
        }
    }

    // 3.
    #[test]
    fn a_fee_is_a_multiple_of_its_increment_or_a_bound(paid in 1..=1_000_000i64, hours in 0..192i64) {
        let fee = rail(paid, i128::from(hours) * HOUR).0;
        prop_assert!(fee % 50 == 0 || fee == paid, "{}", fee);
        prop_assert!(200.min(paid) <= fee && fee <= paid);
    }

    // 4.
    #[test]
    fn a_decision_depends_on_the_request_and_the_policy_alone(request in requests()) {
        let first = decided(&STANDARD, &request);
        prop_assert_eq!(&first, &decided(&STANDARD, &request.clone()));
        prop_assert_eq!(&first, &decided(&OTHER_STANDARD, &request));
    }

    // 5.
    #[test]
    fn claims_in_sequence_come_to_one_claim_on_everything(
        (request, parts) in (complete_requests(), prop::collection::vec((0..32u8, 1..=60i64), 0..5)),
    ) {
        let mut order = Request { claim: Claim { requested_amount: None, line_ids: Vec::new(), ..request.claim.clone() }, ..request };
        if has_coupon(&order) {
            // An earlier refund of which the coupon kept no share is not one that the machine would have given.
            order.order.lines.iter_mut().for_each(|line| line.refunded = None);
            order.order.tenders.iter_mut().for_each(|tender| tender.refunded = None);
        }
        let whole = decided(&STANDARD, &order);
        let decided_at_all = whole.lines.iter().all(|line| has_amount(&STANDARD, line));
        let paid: i64 = order.order.lines.iter().map(|line| minor(line.paid)).sum();
        let refunded = |order: &Order<'_>| order.lines.iter().map(|line| minor(line.refunded)).sum::<i64>();
        let before = refunded(&order.order);
        let room: i64 = order.order.tenders.iter().filter(|tender| tender.refundability == Refundability::Refundable)
            .map(|tender| minor(tender.paid) - minor(tender.refunded)).sum();
        let coupon = has_coupon(&order);
        let mut claims = 0;
        for (mask, share) in parts {
            let all: Vec<&'static str> = order.order.lines.iter().map(|line| line.id).collect();
            let line_ids: Vec<&'static str> =
                all.iter().enumerate().filter(|(place, _)| mask >> place & 1 == 1).map(|(_, id)| *id).collect();
            let asked = i64::try_from(i128::from(paid) * i128::from(share) / 100).unwrap();
            let asked = asked.min(left_of(&order.order.lines, &line_ids)).max(1);
            let part = Request {
                claim: Claim { line_ids, requested_amount: Some(cny(asked)), ..order.claim.clone() },
                ..order.clone()
            };
            feed_back(&mut order, &decided(&STANDARD, &part));
            claims += 1;
        }
        let closing = decided(&STANDARD, &order);
        feed_back(&mut order, &closing);
        claims += 1;
        let sequence = refunded(&order.order) - before;
        prop_assert!(before + sequence <= paid);
        let whole = whole.refund.minor();
        if coupon {
            // The share of a coupon is rounded down once in each claim.
            prop_assert!(sequence <= whole + claims, "{} instead of {}", sequence, whole);
            prop_assert!(sequence <= room);
        } else if decided_at_all {
            // The closing claim returns exactly what is left.
            prop_assert_eq!(sequence, whole);
        }
    }

    // 5, where everything goes back: the other tenders get back exactly what they paid.
    #[test]
    fn the_closing_refund_returns_exactly_the_remainder(
        (request, parts) in (complete_requests(), prop::collection::vec((0..32u8, 1..=60i64), 0..5)),
    ) {
        let mut order = request;
        order.claim = Claim { requested_amount: None, line_ids: Vec::new(), requested_at: Some(placed()), ..order.claim };
        order.order.lines.iter_mut().for_each(|line| { line.stage = Some(OrderStage::NotStarted); line.refunded = None; });
        order.order.tenders.iter_mut().for_each(|tender| tender.refunded = None);
        let paid: i64 = order.order.lines.iter().map(|line| minor(line.paid)).sum();
        let coupons: i64 = order.order.tenders.iter().filter(|tender| tender.refundability == Refundability::NotRefundable)
            .map(|tender| minor(tender.paid)).sum();
        for (mask, share) in parts {
            let lines = order.order.lines.iter().enumerate();
            let line_ids: Vec<&'static str> =
                lines.filter(|(place, _)| mask >> place & 1 == 1).map(|(_, line)| line.id).collect();
            let asked = i64::try_from(i128::from(paid) * i128::from(share) / 100).unwrap();
            let asked = asked.min(left_of(&order.order.lines, &line_ids)).max(1);
            let part = Request {
                claim: Claim { line_ids, requested_amount: Some(cny(asked)), ..order.claim.clone() },
                ..order.clone()
            };
            feed_back(&mut order, &decided(&STANDARD, &part));
        }
        let closing = decided(&STANDARD, &order);
        feed_back(&mut order, &closing);
        let refunded: i64 = order.order.lines.iter().map(|line| minor(line.refunded)).sum();
        prop_assert_eq!(refunded, paid - coupons);
        prop_assert_eq!(refund_of(&STANDARD, &order), 0, "and nothing after that");
    }

    // 6.
    #[test]
    fn more_progress_never_raises_the_refund(request in complete_requests(), line in 0..5usize, more in 1..=1_000i64) {
        let mut further = request.clone();
        let line = line % further.order.lines.len();
        let line = &mut further.order.lines[line];
        let Fraction { numerator, denominator } = line.completed.unwrap();
        line.completed = Some(Fraction { numerator: (numerator + more).min(denominator), denominator });
        prop_assert!(refund_of(&STANDARD, &further) <= refund_of(&STANDARD, &request));
    }

    #[test]
    fn more_declared_cost_never_raises_the_refund(request in complete_requests(), line in 0..5usize, more in 1..=10_0000i64) {
        let mut dearer = request.clone();
        let line = line % dearer.order.lines.len();
        let line = &mut dearer.order.lines[line];
        line.declared_cost = Some(cny(minor(line.declared_cost) + more));
        prop_assert!(refund_of(&STANDARD, &dearer) <= refund_of(&STANDARD, &request));
    }

    #[test]
    fn more_earlier_refunds_never_raise_the_refund(request in complete_requests(), line in 0..5usize, more in 1..=10_0000i64) {
        let mut emptier = request.clone();
        let line = line % emptier.order.lines.len();
        let line = &mut emptier.order.lines[line];
        line.refunded = Some(cny((minor(line.refunded) + more).min(minor(line.paid))));
        let left = left_of(&emptier.order.lines, &emptier.claim.line_ids);
        // No more can be asked for than is left.
        emptier.claim.requested_amount = emptier.claim.requested_amount.filter(|asked| minor(Some(*asked)) <= left || left == 0);
        let weights: Vec<_> = request.order.tenders.iter().map(|tender| (minor(tender.paid).max(1), tender.refundability)).collect();
        let mut request = request;
        request.claim.requested_amount = emptier.claim.requested_amount;
        if !weights.is_empty() {
            request.order.tenders = pay(&request.order.lines, &weights);
            emptier.order.tenders = pay(&emptier.order.lines, &weights);
        }
        prop_assert!(refund_of(&STANDARD, &emptier) <= refund_of(&STANDARD, &request));
    }

    // 7. With all evidence there: what must be proved differs between the two.
    #[test]
    fn who_is_not_at_fault_never_gets_less(
        request in complete_requests(),
        other in select(vec![LiableParty::Platform, LiableParty::Merchant]),
    ) {
        let of = |party| {
            let claim = Claim { liable_party: Some(party), ..request.claim.clone() };
            refund_of(&STANDARD, &Request { claim, ..request.clone() })
        };
        prop_assert!(of(LiableParty::Customer) <= of(other));
    }

    // 8.
    #[test]
    fn a_good_piece_of_evidence_never_hurts(request in requests(), kind in select(&KINDS[..])) {
        let before = decided(&STANDARD, &request);
        let mut request = request;
        request.claim.evidence.push(good_piece("one-more", kind));
        let with_it = decided(&STANDARD, &request);
        prop_assert!(before.refund <= with_it.refund);
        if is_approved(before.outcome) {
            prop_assert_eq!(with_it.outcome, before.outcome);
        }
    }

    #[test]
    fn a_bad_piece_of_evidence_never_helps(request in requests(), kind in select(&KINDS[..])) {
        let before = decided(&STANDARD, &request);
        let mut request = request;
        request.claim.evidence.push(bad_piece("one-more", kind));
        let with_it = decided(&STANDARD, &request);
        prop_assert_eq!(with_it.refund, before.refund);
        prop_assert_eq!(with_it.outcome, before.outcome);
    }

    // 9.
    #[test]
    fn each_line_meets_the_first_rule_without_a_no(request in requests()) {
        let facts = intake(&STANDARD, &request, Purpose::Decision).unwrap();
        let mut heard = Heard::default();
        let decision = decide(&STANDARD, &facts, &mut heard);
        prop_assert_eq!(decision.lines.len(), heard.lines.len());
        for line in &decision.lines {
            let answers = &heard.lines[&line.line];
            let last = match line.rule {
                RuleRef::Rule(place) => place as usize + 1,
                RuleRef::Otherwise => STANDARD.rules.len(),
            };
            for place in 0..last {
                let said_no = answers.iter().any(|(rule, answer)| *rule as usize == place && *answer == Answer::No);
                let decides = line.rule == RuleRef::Rule(u32::try_from(place).unwrap());
                prop_assert_eq!(said_no, !decides, "rule {}", place);
            }
            prop_assert!(answers.iter().all(|(rule, _)| (*rule as usize) < last), "a rule was tried after the deciding one");
        }
    }

    // What a decision says must fit together.
    #[test]
    fn an_answer_agrees_with_its_lines(request in requests()) {
        let decision = decided(&STANDARD, &request);
        // A line of which nothing is left has no say beside others.
        let spent = |line: &&LineDecision| has_amount(&STANDARD, line) && line.base == Amount::ZERO;
        let mut outcomes: Vec<Outcome> =
            decision.lines.iter().filter(|line| !spent(line)).map(|line| line.outcome).collect();
        if outcomes.is_empty() {
            outcomes = decision.lines.iter().map(|line| line.outcome).collect();
        }
        match decision.outcome {
            Outcome::ApprovedFull => prop_assert!(outcomes.iter().all(|outcome| *outcome == Outcome::ApprovedFull)),
            Outcome::ApprovedPartial => prop_assert!(outcomes.iter().all(|outcome| is_approved(*outcome) || *outcome == Outcome::Denied)),
            Outcome::Denied => prop_assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Denied)),
            Outcome::MoreInfoRequired => prop_assert!(!outcomes.contains(&Outcome::ManualReview)),
            Outcome::ManualReview => prop_assert!(outcomes.contains(&Outcome::ManualReview)),
        }
        prop_assert_eq!(decision.reason_codes.is_empty(), decision.outcome == Outcome::ApprovedFull);
        prop_assert_eq!(decision.payout.is_some(), is_approved(decision.outcome));
        if decision.outcome == Outcome::Denied {
            prop_assert_eq!(decision.refund, Amount::ZERO);
            prop_assert!(!decision.next_steps.is_empty(), "R22, R23: a denial names what can be done");
        }
        if is_approved(decision.outcome) {
            prop_assert!(Amount::ZERO < decision.refund);
            prop_assert!(!decision.reason_codes.contains(ReasonCode::NothingRefundable));
        }
        let short = request.claim.requested_amount.is_some_and(|asked| decision.refund.minor() < minor(Some(asked)));
        let refunding = decision.lines.iter().any(|line| has_amount(&STANDARD, line));
        let answered = is_approved(decision.outcome) || decision.outcome == Outcome::Denied;
        prop_assert_eq!(
            decision.reason_codes.contains(ReasonCode::RequestedAmountNotReached),
            short && refunding && answered
        );
    }

    // R13, and what is asked for is no matter of the policy.
    #[test]
    fn the_refund_itself_costs_nothing(request in requests()) {
        for line in &decided(&STANDARD, &request).lines {
            for deduction in &line.deductions {
                prop_assert_ne!(deduction.kind.as_str(), "processing_fee");
                if let DeductionSource::RequestedAmount = deduction.source {
                    prop_assert!(request.claim.requested_amount.is_some());
                }
            }
        }
    }
}

static OTHER_STANDARD: LazyLock<Plan> = LazyLock::new(standard);

/// Notes what went back, as a caller would in its books.
fn feed_back(request: &mut Request<'static>, decision: &Decision) {
    for line in &decision.lines {
        let of = &mut request.order.lines[usize::from(line.line)];
        of.refunded = Some(cny(minor(of.refunded) + line.refund.minor()));
    }
    for (of, tender) in request.order.tenders.iter_mut().zip(&decision.tenders) {
        of.refunded = Some(cny(minor(of.refunded) + tender.amount.minor()));
    }
}

/// The answers of tests, by line.
#[derive(Default)]
struct Heard {
    line: u16,
    lines: BTreeMap<u16, Vec<(u32, Answer)>>,
}

impl Recorder for Heard {
    const NEAR_MISSES_MAX: usize = usize::MAX;

    fn line(&mut self, line: u16) {
        self.line = line;
        self.lines.entry(line).or_default();
    }
    fn fact(&mut self, _fact: FactId, _value: Option<Value>) {}
    fn test(&mut self, rule: u32, _test: u16, answer: Answer) {
        self.lines.entry(self.line).or_default().push((rule, answer));
    }
    fn deduction(&mut self, _source: DeductionSource, _exact: Ratio, _taken: Amount) {}
}

// 10.
#[test]
fn a_snapshot_keeps_its_digest_while_another_is_put_in_force() {
    let with_version = |version: &str| {
        let text = format!(
            "policy: shop\nversion: \"{version}\"\ntimezone: UTC\ncurrencies: [CNY]\nrules: []\notherwise: {{ deny: NO_MATCHING_RULE }}\n"
        );
        admission(vec![BundleFile { path: "shop.policy.yaml".to_owned(), bytes: text.into_bytes() }])
    };
    let (first, second) = (with_version("1"), with_version("2"));
    let digests = (first.digest, second.digest);
    let (engine, mut activator) = requite::engine::open(first);
    let held = engine.current();
    activator.activate(&held, second).unwrap();
    assert_eq!((held.digest, held.plan("").unwrap().version.as_str()), (digests.0, "1"));
    let now = engine.current();
    assert_eq!((now.digest, now.plan("").unwrap().version.as_str()), (digests.1, "2"));
    assert_ne!(digests.0, digests.1);
}

#[test]
fn a_coupon_claimed_in_parts_gives_no_more_than_at_once() {
    let tender = |id, paid, refundability| Tender { id, paid: Some(cny(paid)), refundability, ..Tender::default() };
    let mut request = not_started(&[10_000]);
    request.order.tenders =
        vec![tender("card", 8_000, Refundability::Refundable), tender("coupon", 2_000, Refundability::NotRefundable)];
    assert_eq!(refund_of(&STANDARD, &request), 8_000);
    for (asked, expected) in [(Some(3_000), 3_000), (None, 5_000), (None, 0)] {
        request.claim.requested_amount = asked.map(cny);
        let decision = decided(&STANDARD, &request);
        assert_eq!(decision.refund.minor(), expected);
        assert_eq!(decision.tenders[1].amount, Amount::ZERO);
        feed_back(&mut request, &decision);
    }
}

/// A dear line needs proof of the damage, a cheap one proof of the purchase; there is none.
fn without_proof(prices: &[i64]) -> Decision {
    let head = "evidence:\n  kinds: { photo: {}, video: {}, invoice: {}, chat: {} }\n  requirements: { damage: { any_of: \
                [photo, video] }, purchase: { any_of: [invoice, chat] } }\n";
    let rules = "  - id: dear\n    when: { paid: \"> 50.00\" }\n    require: damage\n    refund: full\n  - id: cheap\n    require: \
                 purchase\n    refund: full\n";
    let plan = inline("CNY", head, rules);
    decided(&plan, &not_started(prices))
}

#[test]
fn what_is_missing_does_not_depend_on_the_order_of_lines() {
    let (first, second) = (without_proof(&[10_000, 2_000, 10_000]), without_proof(&[2_000, 10_000, 10_000]));
    assert_eq!((first.evidence.missing.len(), &first.evidence), (4, &second.evidence));
    // Two lines that need the same are one need.
    assert_eq!(without_proof(&[10_000, 10_000]).evidence, without_proof(&[10_000]).evidence);
}

/// An order of these prices that was just placed.
fn not_started(prices: &[i64]) -> Request<'static> {
    let lines = prices.iter().zip(crate::support::decide::LINE_IDS);
    let line = |(paid, id): (&i64, &'static str)| Line {
        id,
        stage: Some(OrderStage::NotStarted),
        paid: Some(cny(*paid)),
        ..Line::default()
    };
    Request {
        order: Order { placed_at: Some(placed()), lines: lines.map(line).collect(), ..Order::default() },
        claim: Claim {
            request_type: Some(RequestType::Refund),
            channel: "app",
            requested_at: Some(placed()),
            ..Claim::default()
        },
    }
}

#[test]
fn the_largest_amounts_do_not_overflow() {
    let mut request = not_started(&[1_000_000_000_000_000; 5]);
    assert_eq!(refund_of(&STANDARD, &request), 5_000_000_000_000_000);
    request.claim.reason = "service_interrupted";
    request.claim.evidence = every_piece();
    let progress = |denominator: i64| {
        let mut request = request.clone();
        for line in &mut request.order.lines {
            line.stage = Some(OrderStage::InProgress);
            line.completed = Some(Fraction { numerator: denominator - 1, denominator });
        }
        decided(&STANDARD, &request)
    };
    let nearly_done = progress(1_000_000_007);
    assert_eq!((nearly_done.outcome, nearly_done.refund.minor()), (Outcome::ApprovedPartial, 5_000_000));
    // Past 127 bits there is no exact figure, so a person decides.
    let too_fine = progress(i64::MAX);
    assert_eq!((too_fine.outcome, too_fine.refund), (Outcome::ManualReview, Amount::ZERO));
    assert_eq!(too_fine.reason_codes, ReasonCodes::of(&[ReasonCode::NotComputable]));
}

// ---- figures of published policies, to the cent ----

/// Refund and deduction of a line under an inline policy.
fn figures(plan: &Plan, request: &Request<'_>) -> (i64, i64) {
    let line = &decided(plan, request).lines[0];
    (line.base.minor() - line.refund.minor(), line.refund.minor())
}

static RAIL: LazyLock<Plan> = LazyLock::new(|| {
    inline(
        "CNY",
        "times: [departs_at]\n",
        r#"  - id: ticket
    refund:
      deduct:
        - kind: cancellation_fee
          when: { until(departs_at): "< 8d" }
          tiers: { on: until(departs_at), steps: { ">= 8d": 0%, "[48h..8d)": 5%, "[24h..48h)": 10%, "< 24h": 20% } }
          of: paid
          round: { to: 0.50, mode: half_up }
          at_least: 2.00
          at_most: paid
"#,
    )
});

fn rail(price: i64, before: i128) -> (i64, i64) {
    let mut request = not_started(&[price]);
    request.order.times = vec![("departs_at", after(placed(), before))];
    figures(&RAIL, &request)
}

#[test]
fn rail_fees_come_out_to_the_cent() {
    for (price, hours_before, fee, refund) in [
        (55_300, "200", 0, 55_300),
        (55_300, "100", 2_750, 52_550),
        (55_300, "47.99", 5_550, 49_750),
        (55_300, "23.99", 11_050, 44_250),
        (10_500, "50", 550, 9_950),
        (10_490, "50", 500, 9_990),
        (200, "30", 200, 0),
        (2_450, "30", 250, 2_200),
    ] {
        let (whole, hundredths) = hours_before.split_once('.').unwrap_or((hours_before, "0"));
        let hundredths = whole.parse::<i128>().unwrap() * 100 + hundredths.parse::<i128>().unwrap();
        assert_eq!(rail(price, hundredths * HOUR / 100), (fee, refund), "{price}, {hours_before} hours before");
    }
    // The edges belong to the cheaper tier.
    for (before, fee) in [
        (192 * HOUR, 0),
        (192 * HOUR - 1, 500),
        (48 * HOUR, 500),
        (48 * HOUR - 1, 1_000),
        (24 * HOUR, 1_000),
        (24 * HOUR - 1, 2_000),
        (-HOUR, 2_000),
    ] {
        assert_eq!(rail(10_000, before).0, fee, "{before} ns before");
    }
}

#[test]
fn prepaid_cards_round_the_refund() {
    let plan = inline(
        "CNY",
        "inputs:\n  remaining_days: { type: count }\n  term: { type: count }\n",
        r#"  - id: time-card
    refund:
      deduct:
        - { kind: consumed_value, amount: "paid * (1 - remaining_days / term)", round: { of: refund } }
"#,
    );
    for (paid, remaining_days, term, deduction, refund) in [
        (120_000, "100", "365", 87_123, 32_877),
        (99_900, "1", "365", 99_626, 274),
        (10_0000, "1", "3", 66_667, 33_333),
    ] {
        let mut request = not_started(&[paid]);
        request.order.inputs =
            vec![("remaining_days", InputValue::Decimal(remaining_days)), ("term", InputValue::Decimal(term))];
        assert_eq!(figures(&plan, &request), (deduction, refund), "{remaining_days} of {term} days");
    }
}

#[test]
fn late_and_damaged_returns_come_out_to_the_cent() {
    let plan = inline(
        "USD",
        "inputs:\n  late: { type: duration, default: 0s }\n  damage: { type: ratio, default: 0 }\n",
        r#"  - id: damaged
    when: { damage: "> 0" }
    refund:
      deduct:
        - { kind: diminished_value, amount: "paid * min(damage, 50%)" }
  - id: late
    refund:
      deduct:
        - kind: restocking_fee
          of: paid
          tiers: { on: late, steps: { "<= 30d": 20%, "> 30d": 100% } }
"#,
    );
    let days = |days: i64| InputValue::Duration(Elapsed::from_seconds(days * 86_400, 0).unwrap());
    for (input, fee, refund) in [
        (("late", days(30)), 1_200, 4_799),
        (("late", days(31)), 5_999, 0),
        (("damage", InputValue::Decimal("0.5")), 3_000, 2_999),
        (("damage", InputValue::Decimal("0.9")), 3_000, 2_999),
    ] {
        let mut request = not_started(&[5_999]);
        request.order.lines[0].paid = Some(money("USD", 5_999));
        request.order.inputs = vec![input];
        assert_eq!(figures(&plan, &request), (fee, refund), "{input:?}");
    }
}

#[test]
fn withdrawal_from_a_service_pays_for_what_was_provided() {
    let plan = inline(
        "EUR",
        "",
        "  - id: withdrawal\n    refund:\n      deduct:\n        - { kind: consumed_value, amount: paid * completed_share }\n",
    );
    for (price, numerator, denominator, deduction, refund) in
        [(10_0000, 45, 365, 12_329, 87_671), (9_900, 1, 3, 3_300, 6_600)]
    {
        let mut request = not_started(&[price]);
        request.order.lines[0].paid = Some(money("EUR", price));
        request.order.lines[0].completed = Some(Fraction { numerator, denominator });
        assert_eq!(figures(&plan, &request), (deduction, refund), "{numerator} of {denominator}");
    }
}

#[test]
fn the_figures_of_the_guide_come_out_to_the_cent() {
    let (merchant, customer) = (LiableParty::Merchant, LiableParty::Customer);
    for (paid, (numerator, denominator), party, cost, deduction, refund) in [
        (20_000, (3, 8), merchant, None, 7_500, 12_500),
        (20_000, (3, 8), customer, Some(6_000), 7_500, 12_500),
        (20_000, (3, 8), customer, Some(9_000), 9_000, 11_000),
        (20_000, (0, 1), merchant, None, 0, 20_000),
        (20_000, (1, 1), merchant, None, 20_000, 0),
        (1, (1, 2), merchant, None, 1, 0),
        (19_999, (3_333, 10_000), merchant, None, 6_666, 13_333),
        (20_000, (1, 10), customer, Some(25_000), 20_000, 0),
    ] {
        let mut request = not_started(&[paid]);
        request.order.lines[0] = Line {
            stage: Some(OrderStage::InProgress),
            completed: Some(Fraction { numerator, denominator }),
            declared_cost: cost.map(cny),
            ..request.order.lines[0].clone()
        };
        request.claim.reason = "service_interrupted";
        request.claim.liable_party = Some(party);
        request.claim.evidence = every_piece();
        assert_eq!(figures(&STANDARD, &request), (deduction, refund), "{numerator}/{denominator} of {paid}");
    }
}

#[test]
fn a_moment_or_an_input_that_is_sent_twice_is_a_bad_field() {
    // No message can hold one twice, but those who use the library can.
    let plan = inline("CNY", "inputs: { gift: { type: flag } }\n", "  - id: any\n    refund: full\n");
    let line = Line { id: "a", paid: Some(cny(100)), ..Line::default() };
    let twice = Order {
        id: "o-1",
        placed_at: Some(placed()),
        times: vec![("delivered_at", after(placed(), HOUR)), ("delivered_at", after(placed(), HOUR))],
        inputs: vec![("gift", InputValue::Flag(true)), ("gift", InputValue::Flag(true))],
        lines: vec![line],
        ..Order::default()
    };
    let claim = Claim { requested_at: Some(after(placed(), HOUR)), ..Claim::default() };
    let bad = intake(&plan, &Request { order: twice, claim }, Purpose::Decision).unwrap_err();
    let twice: Vec<&str> =
        bad.iter().filter(|bad| bad.problem == "stands twice").map(|bad| bad.field.as_str()).collect();
    assert_eq!(twice, ["order.times[\"delivered_at\"]", "order.inputs[\"gift\"]"], "{bad:?}");
}
