//! The standard policy as a careful programmer would write it for this one policy: enums, integers,
//! no policy data, nothing on the heap.
//!
//! It answers everything that the plan answers for an order of one line without components and coupons:
//! outcome, reasons, amounts for each tender, evidence, next steps, dates, who is liable, what is missing.

use requite::domain::time::{Date, Day};
use requite::domain::words::{DeductionKind, LiableParty, OrderStage, Outcome, ReasonCode, RequestType};
use smallvec::{SmallVec, smallvec};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Channel {
    Official,
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reason {
    NoLongerNeeded,
    OrderedByMistake,
    LateDelivery,
    ServiceInterrupted,
    NotAsDescribed,
    CorePromiseUnmet,
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    OrderRecord,
    PromisedTimeRecord,
    TimeCommitmentRecord,
    DeliveryRecord,
    ChatRecord,
    StatusChangeScreenshot,
    PaymentVoucher,
    ActualItem,
    DescriptionDifference,
    ProgressRecord,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Piece<'a> {
    pub(crate) kind: Kind,
    pub(crate) of_this_order: bool,
    pub(crate) media_type: &'a str,
    pub(crate) has_committed_at: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Paid {
    pub(crate) paid: i64,
    pub(crate) refunded: i64,
}

/// An order and the claim on it; moments in nanoseconds, amounts in hundredths.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Order<'a> {
    pub(crate) stage: Option<OrderStage>,
    pub(crate) request_type: Option<RequestType>,
    pub(crate) channel: Option<Channel>,
    pub(crate) reason: Option<Reason>,
    pub(crate) claimed_liable: Option<LiableParty>,
    pub(crate) placed_at: Option<i64>,
    pub(crate) promised_at: Option<i64>,
    pub(crate) agreed_delivery_at: Option<i64>,
    pub(crate) delay: i64,
    pub(crate) requested_at: i64,
    pub(crate) line: Paid,
    pub(crate) completed: Option<(i64, i64)>,
    pub(crate) declared_cost: Option<i64>,
    pub(crate) text: &'a str,
    pub(crate) compares: bool,
    pub(crate) tenders: SmallVec<[Paid; 2]>,
    pub(crate) evidence: SmallVec<[Piece<'a>; 2]>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Problem {
    AnotherOrder,
    MediaType,
    Field,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Sufficient,
    Insufficient,
    NotRequired,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Evidence {
    pub(crate) verdict: Verdict,
    pub(crate) satisfied_by: SmallVec<[u16; 4]>,
    pub(crate) missing: SmallVec<[u64; 4]>,
    pub(crate) rejected: SmallVec<[(u16, Problem); 1]>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Deduction {
    pub(crate) kind: DeductionKind,
    pub(crate) base: i64,
    pub(crate) amount: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    Supplement,
    Restate,
    KeepRecords,
    StayReachable,
    CheckStatus,
    RefundRequest,
    Appeal,
    Complaint,
    Hotline,
}

pub(crate) type Window = (Date, Date);
pub(crate) type Codes = SmallVec<[ReasonCode; 4]>;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    pub(crate) codes: Codes,
    pub(crate) rule: &'static str,
    pub(crate) liable: Option<LiableParty>,
    pub(crate) base: i64,
    pub(crate) refund: i64,
    pub(crate) deduction: Option<Deduction>,
    pub(crate) missing_facts: SmallVec<[&'static str; 2]>,
    pub(crate) tenders: SmallVec<[(i64, Option<Window>); 2]>,
    pub(crate) evidence: Evidence,
    pub(crate) next_steps: SmallVec<[Step; 4]>,
    pub(crate) review: Option<Window>,
    pub(crate) payout: Option<Window>,
}

/// The business days of the years that the calendar covers, one bit each.
pub(crate) struct Calendar {
    pub(crate) first: i32,
    pub(crate) days: i32,
    pub(crate) worked: Vec<u64>,
}

impl Calendar {
    fn after(&self, day: i32, count: u32) -> Option<i32> {
        let mut at = day - self.first;
        let mut left = count;
        while 0 < left {
            at += 1;
            if at < 0 || self.days <= at {
                return None;
            }
            left -= (self.worked[at as usize / 64] >> (at % 64) & 1) as u32;
        }
        Some(self.first + at)
    }

    fn window(&self, (from, to): (i32, i32), (min, max): (u32, u32)) -> Option<(i32, i32)> {
        Some((self.after(from, min)?, self.after(to, max)?))
    }
}

/// What a rule asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proof {
    None,
    Alternatives(&'static [u64]),
}

const fn set(kinds: &[Kind]) -> u64 {
    let mut set = 0;
    let mut at = 0;
    while at < kinds.len() {
        set |= 1 << kinds[at] as u64;
        at += 1;
    }
    set
}

const CANCELLATION: &[u64] = &[set(&[Kind::ChatRecord]), set(&[Kind::StatusChangeScreenshot])];
const LATE: &[u64] = &[set(&[Kind::OrderRecord, Kind::PromisedTimeRecord])];
const AGREED_DELAY: &[u64] = &[set(&[Kind::OrderRecord, Kind::TimeCommitmentRecord])];
const DESCRIPTION: &[u64] = &[set(&[Kind::ActualItem, Kind::DescriptionDifference])];
const PROMISE: &[u64] = &[
    set(&[Kind::OrderRecord, Kind::DeliveryRecord]),
    set(&[Kind::OrderRecord, Kind::ActualItem]),
    set(&[Kind::OrderRecord, Kind::ProgressRecord]),
];
const INTERRUPTION: &[u64] =
    &[set(&[Kind::OrderRecord]), set(&[Kind::ChatRecord]), set(&[Kind::StatusChangeScreenshot])];

impl Reason {
    fn usual_liable(self) -> LiableParty {
        match self {
            Self::NoLongerNeeded | Self::OrderedByMistake => LiableParty::Customer,
            Self::LateDelivery | Self::ServiceInterrupted => LiableParty::Platform,
            Self::NotAsDescribed | Self::CorePromiseUnmet => LiableParty::Merchant,
            Self::Other => LiableParty::Undetermined,
        }
    }

    fn proof(self) -> Proof {
        Proof::Alternatives(match self {
            Self::NoLongerNeeded | Self::OrderedByMistake | Self::Other => CANCELLATION,
            Self::LateDelivery => LATE,
            Self::ServiceInterrupted => INTERRUPTION,
            Self::NotAsDescribed => DESCRIPTION,
            Self::CorePromiseUnmet => PROMISE,
        })
    }
}

/// What a rule of the policy comes to, before it is answered.
struct Ruling {
    rule: &'static str,
    action: Action,
    asks_reason: bool,
    asks_clear_text: bool,
    proof: Proof,
    next: &'static [Step],
    review: Option<(u32, u32)>,
    payout: Option<(u32, u32)>,
}

enum Action {
    Deny(Codes),
    Ask(Codes),
    Review(ReasonCode),
    Refund(Held),
    Missing(&'static str),
}

/// What a refund holds back.
enum Held {
    Nothing,
    Completed,
    Cost,
}

fn ruling(rule: &'static str, action: Action) -> Ruling {
    Ruling {
        rule,
        action,
        asks_reason: false,
        asks_clear_text: false,
        proof: Proof::None,
        next: &[],
        review: None,
        payout: None,
    }
}

fn liable(order: &Order<'_>) -> Result<Option<LiableParty>, &'static str> {
    let due = order.agreed_delivery_at.or(order.promised_at);
    let late = due.map(|due| 0 < order.requested_at - (due + order.delay));
    let claimed = order.claimed_liable.or(order.reason.map(Reason::usual_liable));
    let blamed = matches!(claimed, Some(LiableParty::Platform | LiableParty::Merchant));
    match (order.reason, late) {
        (Some(Reason::LateDelivery), Some(false)) => Ok(Some(LiableParty::Customer)),
        (Some(Reason::LateDelivery), None) => Err("promised_at"),
        (None, Some(false) | None) => Err("reason"),
        (None, Some(true)) if claimed.is_none() || blamed => Err("reason"),
        (Some(Reason::NoLongerNeeded | Reason::OrderedByMistake), _) if blamed => Ok(Some(LiableParty::Customer)),
        (_, _) => Ok(claimed),
    }
}

fn rule(order: &Order<'_>, liable: Result<Option<LiableParty>, &'static str>) -> Ruling {
    let denied = |rule, codes: &[ReasonCode]| ruling(rule, Action::Deny(Codes::from_slice(codes)));
    let checked = |ruling| Ruling { next: &[Step::CheckStatus], ..ruling };
    let Some(stage) = order.stage else { return checked(ruling("unpaid", Action::Missing("stage"))) };
    let finished = match stage {
        OrderStage::Unpaid => return checked(denied("unpaid", &[ReasonCode::OrderNotPaid])),
        OrderStage::Cancelled => return checked(denied("cancelled", &[ReasonCode::OrderCancelled])),
        OrderStage::Refunded => return checked(denied("already-refunded", &[ReasonCode::AlreadyRefunded])),
        OrderStage::Completed => Some(("completed", ReasonCode::OrderCompleted, "completed-other-appeal")),
        OrderStage::Redeemed => Some(("redeemed", ReasonCode::OrderRedeemed, "redeemed-other-appeal")),
        OrderStage::NotStarted | OrderStage::InProgress | OrderStage::Delivered => None,
    };
    if let Some((name, code, _)) = finished {
        match order.request_type {
            None => {
                return Ruling { next: &[Step::Appeal], ..ruling(name, Action::Missing("request_type")) };
            }
            Some(RequestType::Refund) => {
                return Ruling { next: &[Step::Appeal], ..denied(name, &[code, ReasonCode::WrongRequestType]) };
            }
            Some(RequestType::AfterSalesAppeal | RequestType::Dispute) => {}
        }
    }
    match order.channel {
        None => return ruling("unofficial-channel", Action::Missing("channel")),
        Some(Channel::Other) => return denied("unofficial-channel", &[ReasonCode::ChannelNotAllowed]),
        Some(Channel::Official) => {}
    }
    if let Some((_, code, other)) = finished {
        match (order.reason, order.request_type) {
            (None, _) => {
                return ruling("completed-appeal-without-reason", Action::Ask(smallvec![ReasonCode::ReasonRequired]));
            }
            (Some(reason @ (Reason::CorePromiseUnmet | Reason::NotAsDescribed)), _) => {
                return Ruling {
                    asks_clear_text: true,
                    proof: reason.proof(),
                    next: &[Step::Complaint],
                    review: Some((1, 2)),
                    ..ruling("completed-core-promise", Action::Review(ReasonCode::ReviewRequired))
                };
            }
            (Some(_), Some(RequestType::AfterSalesAppeal)) => {
                return denied(other, &[code, ReasonCode::ReasonNotAllowed]);
            }
            (Some(_), Some(RequestType::Refund | RequestType::Dispute) | None) => {}
        }
    }
    match order.request_type {
        None => {
            return Ruling {
                next: &[Step::RefundRequest],
                ..ruling("appeal-too-early", Action::Missing("request_type"))
            };
        }
        Some(RequestType::AfterSalesAppeal) => {
            return Ruling {
                next: &[Step::RefundRequest],
                ..denied("appeal-too-early", &[ReasonCode::WrongRequestType])
            };
        }
        Some(RequestType::Dispute) => {
            return Ruling {
                asks_clear_text: true,
                next: &[Step::Complaint, Step::Hotline],
                review: Some((1, 2)),
                ..ruling("dispute", Action::Review(ReasonCode::ReviewRequired))
            };
        }
        Some(RequestType::Refund) => {}
    }
    let of_reason = order.reason.map_or(Proof::None, Reason::proof);
    if stage == OrderStage::NotStarted {
        let Some(placed_at) = order.placed_at else {
            let missing = ruling("not-started-no-reason", Action::Missing("placed_at"));
            return Ruling { payout: Some((1, 3)), ..missing };
        };
        if order.requested_at - placed_at <= 24 * 3_600_000_000_000 {
            return Ruling { payout: Some((1, 3)), ..ruling("not-started-no-reason", Action::Refund(Held::Nothing)) };
        }
        return Ruling {
            rule: "not-started",
            action: Action::Refund(Held::Nothing),
            asks_reason: true,
            asks_clear_text: true,
            proof: of_reason,
            next: &[],
            review: Some((1, 2)),
            payout: Some((1, 3)),
        };
    }
    let Some(reason) = order.reason else {
        return ruling("in-progress-no-reason", Action::Ask(smallvec![ReasonCode::ReasonRequired]));
    };
    let undetermined =
        |action| Ruling { asks_clear_text: true, review: Some((1, 2)), ..ruling("in-progress-undetermined", action) };
    let refund = |rule, held, proof| Ruling {
        rule,
        action: Action::Refund(held),
        asks_reason: true,
        asks_clear_text: true,
        proof,
        next: &[],
        review: Some((1, 2)),
        payout: Some((3, 5)),
    };
    match liable {
        Err(fact) => undetermined(Action::Missing(fact)),
        Ok(None) => undetermined(Action::Missing("claimed_liable")),
        Ok(Some(LiableParty::Customer)) => {
            refund("in-progress-customer-liable", Held::Cost, Proof::Alternatives(CANCELLATION))
        }
        Ok(Some(LiableParty::Platform | LiableParty::Merchant)) => {
            if reason == Reason::LateDelivery && order.agreed_delivery_at.is_some() {
                refund("in-progress-agreed-delay", Held::Completed, Proof::Alternatives(AGREED_DELAY))
            } else {
                refund("in-progress-platform-liable", Held::Completed, of_reason)
            }
        }
        Ok(Some(
            LiableParty::Shared | LiableParty::Undetermined | LiableParty::ThirdParty | LiableParty::ForceMajeure,
        )) => undetermined(Action::Review(ReasonCode::LiabilityUndetermined)),
    }
}

const VAGUE: [&str; 4] = ["不好用", "不满意", "很差", "bad quality"];
const CHECKABLE: [&str; 3] = ["订单号", "承诺", "约定"];

fn is_vague(order: &Order<'_>) -> bool {
    !order.text.is_empty()
        && !order.compares
        && VAGUE.iter().any(|phrase| order.text.contains(phrase))
        && !order.text.chars().any(|letter| letter.is_ascii_digit())
        && !CHECKABLE.iter().any(|word| order.text.contains(word))
}

fn problem(piece: &Piece<'_>) -> Option<Problem> {
    if !piece.of_this_order {
        return Some(Problem::AnotherOrder);
    }
    match piece.kind {
        Kind::StatusChangeScreenshot => {
            let said = !piece.media_type.is_empty();
            (said && !piece.media_type.trim_start().starts_with("image/")).then_some(Problem::MediaType)
        }
        Kind::TimeCommitmentRecord => (!piece.has_committed_at).then_some(Problem::Field),
        Kind::OrderRecord
        | Kind::PromisedTimeRecord
        | Kind::DeliveryRecord
        | Kind::ChatRecord
        | Kind::PaymentVoucher
        | Kind::ActualItem
        | Kind::DescriptionDifference
        | Kind::ProgressRecord => None,
    }
}

fn evidence(order: &Order<'_>, proof: Proof) -> Evidence {
    let mut report = Evidence {
        verdict: Verdict::NotRequired,
        satisfied_by: SmallVec::new(),
        missing: SmallVec::new(),
        rejected: SmallVec::new(),
    };
    let Proof::Alternatives(alternatives) = proof else { return report };
    let (mut kinds, mut good) = (0u64, 0u64);
    for (at, piece) in order.evidence.iter().enumerate() {
        match problem(piece) {
            None => {
                kinds |= 1 << piece.kind as u64;
                good |= 1 << at;
            }
            Some(problem) => report.rejected.push((at as u16, problem)),
        }
    }
    match alternatives.iter().find(|set| *set & kinds == **set) {
        Some(used) => {
            report.verdict = Verdict::Sufficient;
            let pieces = order.evidence.iter().enumerate();
            let counts = pieces.filter(|(at, piece)| good >> at & 1 == 1 && used >> piece.kind as u64 & 1 == 1);
            report.satisfied_by.extend(counts.map(|(at, _)| at as u16));
        }
        None => {
            report.verdict = Verdict::Insufficient;
            let mut missing: SmallVec<[u64; 4]> = alternatives.iter().map(|set| set & !kinds).collect();
            missing.sort_by_key(|set| set.count_ones());
            for set in missing {
                if !report.missing.iter().any(|kept| kept & set == *kept) {
                    report.missing.push(set);
                }
            }
        }
    }
    report
}

/// A part of a price, rounded half up.
fn part(price: i64, (done, all): (i64, i64)) -> i64 {
    let (price, done, all) = (i128::from(price), i128::from(done), i128::from(all));
    match i64::try_from(price * done * 2 + all) {
        Ok(twice) => twice / (all as i64 * 2),
        Err(_) => ((price * done * 2 + all) / (all * 2)) as i64,
    }
}

fn tenders(refund: i64, tenders: &[Paid]) -> SmallVec<[i64; 4]> {
    let room = |tender: &Paid| tender.paid - tender.refunded;
    let mut parts: SmallVec<[i64; 4]> = tenders.iter().map(|_| 0).collect();
    let mut left = refund;
    // What does not fit into a tender is offered to the others again.
    while 0 < left {
        let open = |at: usize, parts: &[i64]| parts[at] < room(&tenders[at]);
        let total: i64 = (0..tenders.len()).filter(|at| open(*at, &parts)).map(|at| tenders[at].paid).sum();
        if total == 0 {
            break;
        }
        let mut offers: SmallVec<[(usize, i64, i64); 4]> = SmallVec::new();
        for at in (0..tenders.len()).filter(|at| open(*at, &parts)) {
            let product = i128::from(left) * i128::from(tenders[at].paid);
            let (whole, rest) = match i64::try_from(product) {
                Ok(product) => (product / total, product % total),
                Err(_) => ((product / i128::from(total)) as i64, (product % i128::from(total)) as i64),
            };
            offers.push((at, whole, rest));
        }
        let mut spare = left - offers.iter().map(|(_, whole, _)| whole).sum::<i64>();
        offers.sort_by_key(|(_, _, rest)| std::cmp::Reverse(*rest));
        for (at, whole, _) in offers {
            let offered = whole + i64::from(0 < spare);
            spare -= i64::from(0 < spare);
            let taken = offered.min(room(&tenders[at]) - parts[at]);
            parts[at] += taken;
            left -= taken;
        }
    }
    parts
}

fn dates((from, to): (i32, i32)) -> Window {
    (Day::from_number(from).date().unwrap(), Day::from_number(to).date().unwrap())
}

/// Decides the order.
pub(crate) fn decide(order: &Order<'_>, calendar: &Calendar) -> Answer {
    let liable = liable(order);
    let Ruling { rule, action, asks_reason, asks_clear_text, proof, next, review, payout } = rule(order, liable);
    let evidence = evidence(order, proof);
    let mut lacking = Codes::new();
    if asks_reason && order.reason.is_none() {
        lacking.push(ReasonCode::ReasonRequired);
    }
    if asks_clear_text && is_vague(order) {
        lacking.push(ReasonCode::ReasonTooVague);
    }
    if evidence.verdict == Verdict::Insufficient {
        lacking.push(ReasonCode::EvidenceMissing);
        if !evidence.rejected.is_empty() {
            lacking.push(ReasonCode::EvidenceInvalid);
        }
    }
    let base = order.line.paid - order.line.refunded;
    let mut missing_facts = SmallVec::<[&'static str; 2]>::new();
    let mut amounts = (0, 0, None);
    let mut missing = |facts: &[&'static str], mut codes: Codes| {
        missing_facts.extend_from_slice(facts);
        codes.push(ReasonCode::FactMissing);
        (Outcome::MoreInfoRequired, codes)
    };
    let (outcome, codes) = match action {
        Action::Deny(codes) => (Outcome::Denied, codes),
        Action::Ask(codes) => (Outcome::MoreInfoRequired, codes),
        Action::Missing(fact) => missing(&[fact], lacking),
        Action::Review(code) if lacking.is_empty() => (Outcome::ManualReview, smallvec![code]),
        Action::Review(_) => (Outcome::MoreInfoRequired, lacking),
        Action::Refund(held) => {
            let deduction = match (held, order.completed, order.declared_cost) {
                (Held::Nothing, ..) => Ok(None),
                (Held::Completed, Some(completed), _) => {
                    Ok(Some((DeductionKind::ConsumedValue, part(order.line.paid, completed))))
                }
                (Held::Cost, Some(completed), Some(cost)) => {
                    let cost = part(order.line.paid, completed).max(cost).min(order.line.paid);
                    Ok(Some((DeductionKind::CostRecovery, cost)))
                }
                (Held::Cost, Some(_), None) => Err(&["declared_cost"][..]),
                (Held::Cost, None, None) => Err(&["declared_cost", "completed_share"][..]),
                (Held::Completed | Held::Cost, None, _) => Err(&["completed_share"][..]),
            };
            match deduction {
                Err(facts) => missing(facts, lacking),
                Ok(_) if !lacking.is_empty() => (Outcome::MoreInfoRequired, lacking),
                Ok(deduction) => {
                    let deduction = deduction.map(|(kind, amount)| Deduction {
                        kind,
                        base: order.line.paid,
                        amount: amount.min(base),
                    });
                    let deduction = deduction.filter(|deduction| deduction.amount != 0);
                    let refund = base - deduction.map_or(0, |deduction| deduction.amount);
                    amounts = (base, refund, deduction);
                    match (refund, deduction) {
                        (0, _) => (Outcome::Denied, smallvec![ReasonCode::NothingRefundable]),
                        (_, None) => (Outcome::ApprovedFull, Codes::new()),
                        (_, Some(_)) => (Outcome::ApprovedPartial, smallvec![ReasonCode::DeductionsApplied]),
                    }
                }
            }
        }
    };
    let (base, refund, deduction) = amounts;
    // China has kept one offset since 1991.
    let today = (order.requested_at.div_euclid(1_000_000_000) + 8 * 3_600).div_euclid(86_400) as i32;
    let review = review.filter(|_| outcome != Outcome::MoreInfoRequired);
    let is_reviewed = review.is_some();
    let reviewed = review.and_then(|window| calendar.window((today, today), window));
    let approved = matches!(outcome, Outcome::ApprovedFull | Outcome::ApprovedPartial);
    let payout =
        payout.filter(|_| approved).and_then(|window| calendar.window(reviewed.unwrap_or((today, today)), window));
    let payout = payout.map(dates);
    let mut next_steps: SmallVec<[Step; 4]> = SmallVec::from_slice(next);
    let mut then = |step| {
        if !next_steps.contains(&step) {
            next_steps.push(step);
        }
    };
    for code in &codes {
        if matches!(code, ReasonCode::ReasonRequired | ReasonCode::ReasonTooVague) {
            then(Step::Restate);
        }
    }
    for code in &codes {
        if matches!(code, ReasonCode::EvidenceMissing | ReasonCode::EvidenceInvalid | ReasonCode::FactMissing) {
            then(Step::Supplement);
        }
    }
    if outcome == Outcome::MoreInfoRequired {
        then(Step::KeepRecords);
    }
    if is_reviewed || outcome == Outcome::ManualReview {
        then(Step::StayReachable);
    }
    if outcome == Outcome::Denied {
        [Step::Supplement, Step::Complaint, Step::Hotline].into_iter().for_each(then);
    }
    let tenders = tenders(refund, &order.tenders);
    Answer {
        outcome,
        codes,
        rule,
        liable: liable.ok().flatten(),
        base,
        refund,
        deduction,
        missing_facts,
        tenders: tenders.into_iter().map(|amount| (amount, payout.filter(|_| amount != 0))).collect(),
        evidence,
        next_steps,
        review: reviewed.map(dates),
        payout,
    }
}
