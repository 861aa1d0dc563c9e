//! How one line is decided, and those that one rule decides together.

use std::collections::BTreeSet;

use requite::domain::request::Request;
use requite::domain::words::{DeductionKind, Outcome, ReasonCode};

use crate::ast::{Action, Policy, Rule};
use crate::facts::{Fault, Holds, Scene, Taken, hundredths};
use crate::number::Rat;
use crate::proofs::lacks;

/// Whether deductions are taken from the price, and earlier refunds from the result.
pub const PRICE_FIRST: bool = false;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExpectedLine {
    pub line: usize,
    pub outcome: Outcome,
    pub codes: Vec<ReasonCode>,
    /// The rule; `None` is `otherwise`.
    pub rule: Option<usize>,
    pub base: i64,
    pub refund: i64,
    pub deductions: Vec<(DeductionKind, i64)>,
    pub compensations: Vec<(&'static str, i64)>,
    pub amounts_due: Vec<(&'static str, i64)>,
    pub missing: BTreeSet<String>,
}

/// A line as it is decided.
#[derive(Clone, Debug)]
pub struct Decided {
    pub shown: ExpectedLine,
    /// What goes back of the price in all, now and before; `None` where no amount was worked out.
    pub gives: Option<i64>,
}

/// Shares by weight: whole parts first, then one each by the largest rest, the first of equals; what finds no room is
/// offered again.
pub fn spread(amount: i64, shares: &[(i64, i64)]) -> Vec<i64> {
    let mut parts = vec![0; shares.len()];
    let mut left = amount.min(shares.iter().map(|(_, room)| room).sum());
    while 0 < left {
        let has_room = |place: usize, parts: &[i64]| parts[place] < shares[place].1;
        let weighted = (0..shares.len()).any(|place| has_room(place, &parts) && 0 < shares[place].0);
        let weight = |place: usize| if weighted { i128::from(shares[place].0) } else { 1 };
        let open: Vec<usize> =
            (0..shares.len()).filter(|place| has_room(*place, &parts) && 0 < weight(*place)).collect();
        let all: i128 = open.iter().map(|place| weight(*place)).sum();
        let exact = |place: usize| Rat::new(i128::from(left) * weight(place), all);
        let mut spare = i128::from(left) - open.iter().map(|place| exact(*place).floor()).sum::<i128>();
        let mut by_rest: Vec<usize> = open.clone();
        // A stable sort keeps the earlier of equals first.
        by_rest.sort_by(|a, b| {
            let rest = |place: usize| exact(place).minus(Rat::whole(exact(place).floor()));
            rest(*b).cmp(&rest(*a))
        });
        let mut offers: Vec<(usize, i64)> = Vec::new();
        for place in by_rest {
            let more = i128::from(0 < spare);
            spare -= more;
            offers.push((place, i64::try_from(exact(place).floor() + more).unwrap()));
        }
        for (place, offer) in offers {
            let taken = offer.min(shares[place].1 - parts[place]);
            parts[place] += taken;
            left -= taken;
        }
    }
    parts
}

pub fn sorted(mut codes: Vec<ReasonCode>) -> Vec<ReasonCode> {
    codes.sort();
    codes.dedup();
    codes
}

/// The rule, or `otherwise`.
pub fn verdict(policy: &Policy, rule: Option<usize>) -> &Rule {
    rule.map_or(&policy.otherwise, |rule| policy.rule(rule))
}

fn undecided(line: usize, rule: Option<usize>, outcome: Outcome, codes: Vec<ReasonCode>) -> Decided {
    let shown = ExpectedLine {
        line,
        outcome,
        codes: sorted(codes),
        rule,
        base: 0,
        refund: 0,
        deductions: Vec::new(),
        compensations: Vec::new(),
        amounts_due: Vec::new(),
        missing: BTreeSet::new(),
    };
    Decided { shown, gives: None }
}

fn faulty(line: usize, rule: Option<usize>, fault: Fault) -> Decided {
    let code = match fault {
        Fault::NotComputable => ReasonCode::NotComputable,
        Fault::NotCovered => ReasonCode::CalendarNotCovered,
    };
    undecided(line, rule, Outcome::ManualReview, vec![code])
}

/// The outcome of a line with an amount.
pub fn answer(refund: i64, held_back: i64) -> (Outcome, Vec<ReasonCode>) {
    if refund == 0 {
        (Outcome::Denied, vec![ReasonCode::NothingRefundable])
    } else if held_back == 0 {
        (Outcome::ApprovedFull, Vec::new())
    } else {
        (Outcome::ApprovedPartial, vec![ReasonCode::DeductionsApplied])
    }
}

/// What the tests of the rules say of a line.
#[derive(Clone, Debug)]
pub enum Found {
    /// A rule that refunds decides it.
    Refunds(usize),
    /// It is decided without an amount.
    Settled(Decided),
}

/// What each layer says of a line, then what the policy itself does; a layer that says nothing is left out, and what
/// stands below a layer that replaces too.
pub fn find(policy: &Policy, request: &Request<'static>, place: usize) -> Vec<Found> {
    let scene = Scene::new(policy, request, &request.order.lines[place]);
    let mut found = Vec::new();
    let mut first = 0;
    for layer in &policy.layers {
        let matched = first_match(policy, request, place, &scene, first..first + layer.rules.len());
        first += layer.rules.len();
        let decides = matched.is_some();
        found.extend(matched);
        if decides && !layer.improve {
            return found;
        }
    }
    let own = first_match(policy, request, place, &scene, first..first + policy.rules.len());
    found.push(own.unwrap_or_else(|| acted(policy, request, place, None)));
    found
}

fn first_match(
    policy: &Policy,
    request: &Request<'static>,
    place: usize,
    scene: &Scene<'_>,
    rules: std::ops::Range<usize>,
) -> Option<Found> {
    for at in rules {
        let rule = policy.rule(at);
        match scene.holds(&rule.when) {
            Holds::No => {}
            Holds::Yes => return Some(acted(policy, request, place, Some(at))),
            Holds::Faulty(fault) => return Some(Found::Settled(faulty(place, Some(at), fault))),
            Holds::Missing => {
                let mut codes = lacks(policy, request, &rule.require);
                codes.push(ReasonCode::FactMissing);
                let mut line = undecided(place, Some(at), Outcome::MoreInfoRequired, codes);
                scene.missing_of(&rule.when, &mut line.shown.missing);
                return Some(Found::Settled(line));
            }
        }
    }
    None
}

/// What a rule does that matched.
fn acted(policy: &Policy, request: &Request<'static>, place: usize, rule: Option<usize>) -> Found {
    let verdict = verdict(policy, rule);
    let lacking = lacks(policy, request, &verdict.require);
    Found::Settled(match &verdict.action {
        Action::Refund(_) => return Found::Refunds(rule.expect("`otherwise` never refunds")),
        Action::Deny(codes) => undecided(place, rule, Outcome::Denied, codes.clone()),
        Action::Ask(codes) => undecided(place, rule, Outcome::MoreInfoRequired, codes.clone()),
        Action::Review(codes) if lacking.is_empty() => undecided(place, rule, Outcome::ManualReview, codes.clone()),
        Action::Review(_) => undecided(place, rule, Outcome::MoreInfoRequired, lacking),
    })
}

/// The better of two decisions on a line, the lower one where they are equal.
pub fn better(above: Decided, below: Decided) -> Decided {
    let rank = |line: &Decided| {
        let money = if PRICE_FIRST { line.gives.unwrap_or(0) } else { line.shown.refund };
        let approves = if PRICE_FIRST {
            0 < money
        } else {
            matches!(line.shown.outcome, Outcome::ApprovedFull | Outcome::ApprovedPartial)
        };
        let kind = match line.shown.outcome {
            _ if approves => 3,
            Outcome::ApprovedFull | Outcome::ApprovedPartial => 3,
            Outcome::MoreInfoRequired => 2,
            Outcome::ManualReview => 1,
            Outcome::Denied => 0,
        };
        (money, kind)
    };
    if rank(&below) < rank(&above) { above } else { below }
}

/// What is known of a line while deductions are taken from it. `None`: it is not known, for want of a fact.
struct Open<'p> {
    place: usize,
    scene: Scene<'p>,
    refunded: i64,
    base: i64,
    left: Option<i64>,
    previous: Option<i64>,
    taken: Vec<(DeductionKind, i64)>,
}

fn exact(amount: Option<i64>) -> Option<Rat> {
    amount.map(|amount| Rat::whole(i128::from(amount)))
}

/// Takes the steps of a rule from these of its lines: all of them where a step is of the whole order, else one.
pub fn refund(policy: &Policy, request: &Request<'static>, rule: usize, places: &[usize]) -> Vec<Decided> {
    let verdict = policy.rule(rule);
    let Action::Refund(steps) = &verdict.action else { panic!("it refunds") };
    let mut lines: Vec<Open<'_>> = places
        .iter()
        .map(|&place| {
            let line = &request.order.lines[place];
            let (price, refunded) = (hundredths(line.paid).unwrap(), hundredths(line.refunded).unwrap_or(0));
            let left = Some(if PRICE_FIRST { price } else { price - refunded });
            let scene = Scene::new(policy, request, line);
            let base = price - refunded;
            let refunded = if PRICE_FIRST { refunded } else { 0 };
            Open { place, scene, refunded, base, left, previous: Some(0), taken: Vec::new() }
        })
        .collect();
    let mut missing = BTreeSet::new();
    let mut fault = None;
    for step in steps {
        let groups: Vec<Vec<usize>> = match step.whole_order {
            true => vec![(0..lines.len()).collect()],
            false => (0..lines.len()).map(|at| vec![at]).collect(),
        };
        for group in groups {
            let left: Option<i64> = group.iter().map(|&at| lines[at].left).sum();
            let previous: Option<i64> = group.iter().map(|&at| lines[at].previous).sum();
            let scene = &mut lines[group[0]].scene;
            (scene.remaining, scene.previous) = (exact(left), exact(previous));
            let parts: Vec<Option<i64>> = match scene.step(step, &mut missing) {
                Ok(Taken::Nothing) => continue,
                Ok(Taken::Unknown) => vec![None; group.len()],
                Ok(Taken::Amount(amount)) if step.whole_order => {
                    let share = |&at: &usize| {
                        let left = lines[at].left.unwrap();
                        (left, (left - lines[at].refunded).max(0))
                    };
                    let shares: Vec<(i64, i64)> = group.iter().map(share).collect();
                    spread(amount, &shares).into_iter().map(Some).collect()
                }
                Ok(Taken::Amount(amount)) => vec![Some(amount)],
                Err(wrong) => {
                    fault = fault.or(Some(wrong));
                    vec![None; group.len()]
                }
            };
            for (&at, part) in group.iter().zip(parts) {
                let line = &mut lines[at];
                line.left = line.left.zip(part).map(|(left, part)| left - part);
                line.previous = part;
                line.taken.extend(part.map(|part| (step.kind, part)));
            }
        }
    }
    let lacking = lacks(policy, request, &verdict.require);
    let decided = lines.into_iter().map(|mut line| {
        let (place, rule) = (line.place, Some(rule));
        // Amounts beside the refund come after it, each line's on its own: they are worked out where it is known.
        let (mut missing, mut fault) = (missing.clone(), fault);
        let mut beside = [Vec::new(), Vec::new()];
        line.scene.remaining = exact(line.left);
        for (extras, amounts) in [&verdict.compensate, &verdict.amount_due].into_iter().zip(&mut beside) {
            let is_known = missing.is_empty() && fault.is_none();
            for extra in extras.iter().filter(|_| is_known) {
                match line.scene.extra(extra, &mut missing) {
                    Ok(Taken::Amount(amount)) if amount != 0 => amounts.push((extra.name, amount)),
                    Ok(Taken::Amount(_) | Taken::Nothing | Taken::Unknown) => {}
                    Err(wrong) => fault = fault.or(Some(wrong)),
                }
            }
        }
        let [compensations, amounts_due] = beside;
        if let Some(fault) = fault {
            return faulty(place, rule, fault);
        }
        if !missing.is_empty() {
            let codes = lacking.iter().copied().chain([ReasonCode::FactMissing]).collect();
            let mut asked = undecided(place, rule, Outcome::MoreInfoRequired, codes);
            asked.shown.missing = missing;
            return asked;
        }
        if !lacking.is_empty() {
            return undecided(place, rule, Outcome::MoreInfoRequired, lacking.clone());
        }
        let left = line.left.expect("nothing is missing");
        let refund = (left - line.refunded).max(0);
        // Each deduction shows what of it is held back of what had not gone back before.
        let mut rest = line.base - refund;
        let mut deductions = Vec::new();
        for (kind, taken) in line.taken {
            let shown = taken.min(rest);
            rest -= shown;
            deductions.extend((shown != 0).then_some((kind, shown)));
        }
        let (outcome, codes) = answer(refund, line.base - refund);
        let mut decided = undecided(place, rule, outcome, codes);
        decided.shown =
            ExpectedLine { base: line.base, refund, deductions, compensations, amounts_due, ..decided.shown };
        decided.gives = Some(left);
        decided
    });
    decided.collect()
}
