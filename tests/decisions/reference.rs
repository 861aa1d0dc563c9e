//! The published guide once more, as slow and plain as it can be said, checked against the machine.
//!
//! Nothing here uses the plan or the machine: the rules of the guide (R1 to R25) are written down
//! straight, over the request, with fractions of 128 bits. Both must agree on the outcome, the
//! refund, and the primary reason of tens of thousands of random claims.
//!
//! `REQUITE_REFERENCE_CASES=1000000 cargo test --release --test decisions reference` takes its time.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use requite::domain::request::{Evidence, Line, Refundability, Request, Tender};
use requite::domain::words::LiableParty::{self, Customer, Merchant, Platform};
use requite::domain::words::Outcome::{self, ApprovedFull, ApprovedPartial, Denied, ManualReview, MoreInfoRequired};
use requite::domain::words::ReasonCode::{self, *};
use requite::domain::words::{OrderStage, RequestType};

use crate::support::decide::{HOUR, STANDARD, decided, minor, requests};

/// What the guide says of a claim.
#[derive(PartialEq, Debug)]
struct Answer {
    outcome: Outcome,
    refund: i128,
    primary: Option<ReasonCode>,
}

/// What it says of one line. Amounts are hundredths.
#[derive(Clone, Debug)]
struct LineAnswer {
    outcome: Outcome,
    codes: Vec<ReasonCode>,
    refund: i128,
    held_back: i128,
    refunded_before: i128,
    /// A refund rule decides, and nothing is left.
    spent: bool,
    /// A refund rule decides.
    refunding: bool,
}

fn answer(request: &Request<'_>) -> Answer {
    let claim = &request.claim;
    let covered = |line: &&Line<'_>| claim.line_ids.is_empty() || claim.line_ids.contains(&line.id);
    let mut lines: Vec<LineAnswer> =
        request.order.lines.iter().filter(covered).map(|line| of_line(request, line)).collect();
    keep_coupons(&request.order.tenders, &mut lines);
    let mut refund: i128 = lines.iter().map(|line| line.refund).sum();
    if claim.requested_amount.is_some() {
        refund = refund.min(i128::from(minor(claim.requested_amount)));
    }
    // A line of which nothing is left has no say, unless all are such.
    let has_a_say = |line: &&LineAnswer| !line.spent || lines.iter().all(|line| line.spent);
    let counted: Vec<&LineAnswer> = lines.iter().filter(has_a_say).collect();
    let any = |outcome: Outcome| counted.iter().any(|line| line.outcome == outcome);
    let all = |outcome: Outcome| counted.iter().all(|line| line.outcome == outcome);
    let mut outcome = if any(ManualReview) {
        ManualReview
    } else if any(MoreInfoRequired) {
        MoreInfoRequired
    } else if all(Denied) {
        Denied
    } else if all(ApprovedFull) {
        ApprovedFull
    } else {
        ApprovedPartial
    };
    let mut codes: Vec<ReasonCode> = counted.iter().flat_map(|line| line.codes.iter().copied()).collect();
    if 0 < refund && codes.contains(&NothingRefundable) {
        codes.retain(|code| *code != NothingRefundable);
        codes.push(DeductionsApplied);
    }
    // What was asked for and does not come out is said, where a refund rule decides.
    let short = claim.requested_amount.is_some_and(|asked| refund < i128::from(minor(Some(asked))));
    if short && outcome == ApprovedFull {
        outcome = ApprovedPartial;
    }
    if short && !any(ManualReview) && !any(MoreInfoRequired) && lines.iter().any(|line| line.refunding) {
        codes.push(RequestedAmountNotReached);
    }
    // Reason codes are declared in order of precedence.
    Answer { outcome, refund, primary: codes.into_iter().min() }
}

fn undecided(outcome: Outcome, codes: &[ReasonCode]) -> LineAnswer {
    LineAnswer {
        outcome,
        codes: codes.to_vec(),
        refund: 0,
        held_back: 0,
        refunded_before: 0,
        spent: false,
        refunding: false,
    }
}

fn deny(codes: &[ReasonCode]) -> LineAnswer {
    undecided(Denied, codes)
}

fn ask(codes: &[ReasonCode]) -> LineAnswer {
    undecided(MoreInfoRequired, codes)
}

/// To a person, once the claim lacks nothing.
fn review(lacks: &[ReasonCode], code: ReasonCode) -> LineAnswer {
    if lacks.is_empty() { undecided(ManualReview, &[code]) } else { ask(lacks) }
}

/// What is left of the price, less a deduction.
fn refund(line: &Line<'_>, lacks: &[ReasonCode], deduction: i128) -> LineAnswer {
    if !lacks.is_empty() {
        return ask(lacks);
    }
    let refunded_before = i128::from(minor(line.refunded));
    let base = i128::from(minor(line.paid)) - refunded_before;
    let held_back = deduction.min(base);
    let refunding = LineAnswer { refunding: true, ..deny(&[]) };
    let mut answer = LineAnswer { refund: base - held_back, held_back, refunded_before, spent: base == 0, ..refunding };
    settle(&mut answer);
    if base == 0 && 0 < minor(line.paid) {
        answer.codes = vec![AlreadyRefunded];
    }
    answer
}

/// All of it, a part of it, or nothing at all.
fn settle(line: &mut LineAnswer) {
    (line.outcome, line.codes) = match (line.refund, line.held_back) {
        (0, _) => (Denied, vec![NothingRefundable]),
        (_, 0) => (ApprovedFull, Vec::new()),
        (_, _) => (ApprovedPartial, vec![DeductionsApplied]),
    };
}

fn of_line(request: &Request<'_>, line: &Line<'_>) -> LineAnswer {
    let claim = &request.claim;
    let Some(stage) = line.stage else { return ask(&[FactMissing]) };
    // Orders without money in them.
    match stage {
        OrderStage::Unpaid => return deny(&[OrderNotPaid]),
        OrderStage::Cancelled => return deny(&[OrderCancelled]),
        OrderStage::Refunded => return deny(&[AlreadyRefunded]),
        OrderStage::NotStarted
        | OrderStage::InProgress
        | OrderStage::Delivered
        | OrderStage::Completed
        | OrderStage::Redeemed => {}
    }
    // R9, R11: what is finished has no refund entry.
    let finished = match stage {
        OrderStage::Completed => Some(OrderCompleted),
        OrderStage::Redeemed => Some(OrderRedeemed),
        OrderStage::Unpaid
        | OrderStage::NotStarted
        | OrderStage::InProgress
        | OrderStage::Delivered
        | OrderStage::Cancelled
        | OrderStage::Refunded => None,
    };
    if let Some(finished) = finished {
        match claim.request_type {
            None => return ask(&[FactMissing]),
            Some(RequestType::Refund) => return deny(&[finished, WrongRequestType]),
            Some(RequestType::AfterSalesAppeal | RequestType::Dispute) => {}
        }
    }
    // R12: official channels only.
    match claim.channel {
        "" => return ask(&[FactMissing]),
        "web" | "app" | "mini_program" => {}
        _ => return deny(&[ChannelNotAllowed]),
    }
    if let Some(finished) = finished {
        return appeal(request, finished);
    }
    match claim.request_type {
        None => return ask(&[FactMissing]),
        // R11 read backwards: what is not finished has the refund entry.
        Some(RequestType::AfterSalesAppeal) => return deny(&[WrongRequestType]),
        // R23.
        Some(RequestType::Dispute) => return review(&lacks(request, Reason::NotAsked, Proof::None), ReviewRequired),
        Some(RequestType::Refund) => {}
    }
    if stage == OrderStage::NotStarted {
        let Some(placed_at) = request.order.placed_at else { return ask(&[FactMissing]) };
        let age = claim.requested_at.unwrap().nanos() - placed_at.nanos();
        // R3: 24 hours, the last nanosecond included.
        let lacking = if age <= 24 * HOUR { Vec::new() } else { lacks(request, Reason::Asked, Proof::OfReason) };
        // R1, R4.
        return refund(line, &lacking, 0);
    }
    in_progress(request, line)
}

/// R10: what is finished can be appealed where a core promise was not kept.
fn appeal(request: &Request<'_>, finished: ReasonCode) -> LineAnswer {
    match (request.claim.reason, request.claim.request_type) {
        ("", _) => ask(&[ReasonRequired]),
        ("core_promise_unmet" | "not_as_described", _) => {
            review(&lacks(request, Reason::Asked, Proof::OfReason), ReviewRequired)
        }
        (_, Some(RequestType::Dispute)) => review(&lacks(request, Reason::NotAsked, Proof::None), ReviewRequired),
        (_, _) => deny(&[finished, ReasonNotAllowed]),
    }
}

fn in_progress(request: &Request<'_>, line: &Line<'_>) -> LineAnswer {
    let claim = &request.claim;
    // R7, R14.
    if claim.reason.is_empty() {
        return ask(&[ReasonRequired]);
    }
    let time = |name: &str| request.order.times.iter().find(|(known, _)| *known == name).map(|(_, at)| at.nanos());
    // R17: what was agreed on later counts.
    let agreed = time("agreed_delivery_at");
    let mut liable = claim.liable_party.unwrap_or(match claim.reason {
        "no_longer_needed" | "ordered_by_mistake" => Customer,
        "late_delivery" | "service_interrupted" => Platform,
        "not_as_described" | "core_promise_unmet" => Merchant,
        _ => LiableParty::Undetermined,
    });
    match claim.reason {
        "late_delivery" => {
            let Some(due) = agreed.or(time("promised_at")) else {
                return ask(&[lacks(request, Reason::NotAsked, Proof::None), vec![FactMissing]].concat());
            };
            // R8: the customer's own delay does not count.
            let delay = request.order.customer_caused_delay.map_or(0, |delay| delay.nanos());
            if claim.requested_at.unwrap().nanos() <= due + delay {
                liable = Customer;
            }
        }
        "no_longer_needed" | "ordered_by_mistake" if matches!(liable, Platform | Merchant) => liable = Customer,
        _ => {}
    }
    let paid = i128::from(minor(line.paid));
    let done = line.completed.map(|share| (i128::from(share.numerator), i128::from(share.denominator)));
    let cost = line.declared_cost.map(|cost| i128::from(minor(Some(cost))));
    let (lacking, deduction) = match liable {
        // R5, R15, R16, R17.
        Platform | Merchant => {
            let proof = match (claim.reason, agreed) {
                ("late_delivery", Some(_)) => Proof::OfAgreedDelay,
                (_, _) => Proof::OfReason,
            };
            (lacks(request, Reason::Asked, proof), done.map(|(done, all)| half_up(paid * done, all)))
        }
        // R6: the cost, but never less than the share that is done, and never more than the price.
        Customer => {
            let share = done.map(|(done, all)| half_up(paid * done, all));
            let held = share.zip(cost).map(|(share, cost)| share.max(cost).min(paid));
            (lacks(request, Reason::Asked, Proof::OfCancellation), held)
        }
        LiableParty::ThirdParty | LiableParty::ForceMajeure | LiableParty::Shared | LiableParty::Undetermined => {
            return review(&lacks(request, Reason::NotAsked, Proof::None), LiabilityUndetermined);
        }
    };
    match deduction {
        Some(deduction) => refund(line, &lacking, deduction),
        None => ask(&[lacking, vec![FactMissing]].concat()),
    }
}

/// `a / b` as a whole number; a half goes up.
fn half_up(a: i128, b: i128) -> i128 {
    (2 * a + b) / (2 * b)
}

#[derive(PartialEq)]
enum Reason {
    Asked,
    NotAsked,
}

enum Proof {
    None,
    OfReason,
    OfCancellation,
    OfAgreedDelay,
}

/// What the claim lacks.
fn lacks(request: &Request<'_>, reason: Reason, proof: Proof) -> Vec<ReasonCode> {
    let claim = &request.claim;
    let mut lacking = Vec::new();
    if reason == Reason::Asked && claim.reason.is_empty() {
        lacking.push(ReasonRequired);
    }
    if is_vague(request) {
        lacking.push(ReasonTooVague);
    }
    let good = |piece: &&Evidence<'_>| {
        let own = piece.order_id.is_empty() || request.order.id.is_empty() || piece.order_id == request.order.id;
        own && match piece.kind {
            "status_change_screenshot" => piece.media_type.is_empty() || piece.media_type.starts_with("image/"),
            "time_commitment_record" => {
                piece.fields.iter().any(|(name, value)| *name == "committed_at" && !value.trim().is_empty())
            }
            _ => true,
        }
    };
    let has = |kind: &str| claim.evidence.iter().filter(good).any(|piece| piece.kind == kind);
    let cancellation = || has("chat_record") || has("status_change_screenshot");
    let enough = match (proof, claim.reason) {
        (Proof::None, _) => true,
        (Proof::OfCancellation, _) => cancellation(),
        (Proof::OfAgreedDelay, _) => has("order_record") && has("time_commitment_record"),
        (Proof::OfReason, "late_delivery") => has("order_record") && has("promised_time_record"),
        (Proof::OfReason, "service_interrupted") => cancellation() || has("order_record"),
        (Proof::OfReason, "not_as_described") => has("actual_item") && has("description_difference"),
        (Proof::OfReason, "core_promise_unmet") => {
            has("order_record") && (has("progress_record") || has("delivery_record") || has("actual_item"))
        }
        (Proof::OfReason, "") => true,
        (Proof::OfReason, _) => cancellation(),
    };
    if !enough {
        lacking.push(EvidenceMissing);
        if claim.evidence.iter().any(|piece| !good(&piece)) {
            lacking.push(EvidenceInvalid);
        }
    }
    lacking
}

/// R18: nothing but a phrase that says nothing.
fn is_vague(request: &Request<'_>) -> bool {
    const VAGUE: [&str; 14] = [
        "不好用",
        "不满意",
        "不喜欢",
        "太差了",
        "很差",
        "体验差",
        "体验不好",
        "不想要了",
        "没意思",
        "notsatisfied",
        "dissatisfied",
        "badquality",
        "donotlikeit",
        "dontlikeit",
    ];
    const CHECKABLE: [&str; 9] =
        ["订单号", "承诺", "约定", "描述为", "截图", "段位", "promised", "agreed", "described"];
    let said = |text: &str| !text.trim().is_empty();
    if request.claim.promised_actual.iter().any(|pair| said(pair.promised) && said(pair.actual)) {
        return false;
    }
    let plain: String = request.claim.text.chars().map(plain).filter(|letter| letter.is_alphanumeric()).collect();
    VAGUE.iter().any(|phrase| plain.contains(phrase))
        && !plain.contains(|letter: char| letter.is_ascii_digit())
        && !CHECKABLE.iter().any(|word| plain.contains(word))
}

/// A letter without width, case or tradition, as far as the texts here need it.
fn plain(letter: char) -> char {
    let narrow = match u32::from(letter) {
        wide @ 0xff01..=0xff5e => char::from_u32(wide - 0xfee0).unwrap(),
        _ => letter,
    };
    match narrow {
        '滿' => '满',
        other => other.to_ascii_lowercase(),
    }
}

/// What a coupon paid never becomes cash: its share of what goes back is kept, and in all no more
/// goes back than the other tenders paid.
fn keep_coupons(tenders: &[Tender<'_>], lines: &mut [LineAnswer]) {
    let paid: i128 = tenders.iter().map(|tender| i128::from(minor(tender.paid))).sum();
    let coupons = tenders.iter().filter(|tender| tender.refundability == Refundability::NotRefundable);
    let coupons: i128 = coupons.map(|tender| i128::from(minor(tender.paid))).sum();
    if coupons == 0 {
        return;
    }
    let room: i128 = tenders
        .iter()
        .filter(|tender| tender.refundability == Refundability::Refundable)
        .map(|tender| i128::from(minor(tender.paid) - minor(tender.refunded)))
        .sum();
    let own = |line: &LineAnswer| ((line.refund + line.refunded_before) * coupons / paid).min(line.refund);
    let mut kept: Vec<i128> = lines.iter().map(own).collect();
    let left: Vec<i128> = lines.iter().zip(&kept).map(|(line, kept)| line.refund - kept).collect();
    let over = (left.iter().sum::<i128>() - room).max(0);
    for (kept, more) in kept.iter_mut().zip(spread(over, &left, &left)) {
        *kept += more;
    }
    for (line, part) in lines.iter_mut().zip(kept) {
        line.refund -= part;
        line.held_back += part;
        if matches!(line.outcome, ApprovedFull | ApprovedPartial) {
            settle(line);
        }
    }
}

/// An amount by weight, the largest remainders rounded up, nobody above what they can take; what
/// does not fit is spread over the others again.
fn spread(amount: i128, weights: &[i128], most: &[i128]) -> Vec<i128> {
    let mut parts = vec![0; weights.len()];
    let mut left = amount;
    while 0 < left {
        let open: Vec<usize> = (0..weights.len()).filter(|&at| parts[at] < most[at]).collect();
        let total: i128 = open.iter().map(|&at| weights[at]).sum();
        let mut by_remainder = open.clone();
        by_remainder.sort_by_key(|&at| -(left * weights[at] % total));
        let rounded_down: i128 = open.iter().map(|&at| left * weights[at] / total).sum();
        let spare = usize::try_from(left - rounded_down).unwrap();
        let offered = left;
        for (rank, &at) in by_remainder.iter().enumerate() {
            let offer = offered * weights[at] / total + i128::from(rank < spare);
            let taken = offer.min(most[at] - parts[at]);
            parts[at] += taken;
            left -= taken;
        }
    }
    parts
}

#[test]
fn the_machine_agrees_with_the_guide() {
    let cases = std::env::var("REQUITE_REFERENCE_CASES").ok().map_or(20_000, |text| text.parse().unwrap());
    let mut seen = std::collections::BTreeMap::new();
    let seen_by = std::cell::RefCell::new(&mut seen);
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(cases) });
    let result = runner.run(&requests(), |request| {
        let decision = decided(&STANDARD, &request);
        let got = Answer {
            outcome: decision.outcome,
            refund: i128::from(decision.refund.minor()),
            primary: decision.reason_codes.first(),
        };
        *seen_by.borrow_mut().entry(got.outcome).or_insert(0u32) += 1;
        prop_assert_eq!(got, answer(&request));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    // The claims would prove little if they all ended alike.
    for outcome in Outcome::ALL {
        let count = seen.get(outcome).copied().unwrap_or(0);
        assert!(cases / 50 < count, "only {count} of {cases} claims came out as {outcome}: {seen:?}");
    }
}

#[test]
fn the_reference_knows_the_examples_of_the_guide() {
    assert_eq!(half_up(20_000 * 3, 8), 7_500);
    assert_eq!(half_up(1, 2), 1);
    assert_eq!(spread(100, &[1, 1, 1], &[100, 100, 100]), [34, 33, 33]);
    assert_eq!(spread(100, &[1, 1], &[10, 200]), [10, 90]);
}
