//! How one line is decided, and those that one rule decides together.

use std::collections::{BTreeMap, BTreeSet};

use requite::domain::request::{EarlierAmount, Request};
use requite::domain::words::{AmountKind, DeductionKind, Outcome, ReasonCode};

use super::ast::{Action, Extra, Policy, Rule};
use super::facts::{Fault, Holds, Scene, Taken};
use super::number::Rat;
use super::order::{claimed, gone, is_about_components, returned};
use super::proofs::lacks;
use super::requests::hundredths;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExpectedLine {
    pub line: usize,
    pub outcome: Outcome,
    pub codes: Vec<ReasonCode>,
    /// The rule; `None` is `otherwise`.
    pub rule: Option<usize>,
    pub base: i64,
    pub refund: i64,
    /// Each with the name of the amount of the order that it is.
    pub deductions: Vec<(DeductionKind, Option<&'static str>, i64)>,
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
    /// Whether it is only tried for a rule that refunds.
    pub is_tried: bool,
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
    Decided { shown, gives: None, is_tried: false }
}

fn faulty(line: usize, rule: Option<usize>, fault: Fault) -> Decided {
    let code = match fault {
        Fault::NotComputable => ReasonCode::NotComputable,
        Fault::NotCovered => ReasonCode::CalendarNotCovered,
    };
    undecided(line, rule, Outcome::ManualReview, vec![code])
}

/// The outcome of a line with an amount, of which something was left.
pub fn answer(refund: i64, held_back: i64) -> (Outcome, Vec<ReasonCode>) {
    if refund == 0 {
        (Outcome::Denied, vec![ReasonCode::NothingRefundable])
    } else if held_back == 0 {
        (Outcome::ApprovedFull, Vec::new())
    } else {
        (Outcome::ApprovedPartial, vec![ReasonCode::DeductionsApplied])
    }
}

/// A line under a rule that refunds, where no amount is asked for: nothing goes back of the line itself.
pub fn without_amount(policy: &Policy, request: &Request<'_>, place: usize, rule: usize) -> Decided {
    let lacking = lacks(policy, request, &policy.rule(rule).require);
    if !lacking.is_empty() {
        return undecided(place, Some(rule), Outcome::MoreInfoRequired, lacking);
    }
    Decided { gives: Some(0), is_tried: true, ..undecided(place, Some(rule), Outcome::Denied, Vec::new()) }
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

/// The better of two decisions on a line, the lower one where they are equal. What counts is what goes back of the line
/// in all: what of it went back before is no matter of either.
pub fn better(above: Decided, below: Decided) -> Decided {
    let rank = |line: &Decided| {
        let money = line.gives.unwrap_or(0);
        let kind = match line.shown.outcome {
            _ if 0 < money || line.is_tried => 3,
            Outcome::ApprovedFull | Outcome::ApprovedPartial => 3,
            Outcome::MoreInfoRequired => 2,
            Outcome::ManualReview => 1,
            Outcome::Denied => 0,
        };
        (money, kind)
    };
    if rank(&below) < rank(&above) { above } else { below }
}

/// A deduction as it was taken: its kind, the amount of the order that it is, and how much.
type Taking = (DeductionKind, Option<&'static str>, i64);

/// A line while an amount is worked out for it.
struct Open<'p> {
    place: usize,
    rule: usize,
    scene: Scene<'p>,
    price: i64,
    refunded: i64,
    /// The same with what tenders kept of it.
    gone: i64,
    /// What the deductions left of the price; `None` where a fact is missing.
    left: Option<i64>,
    previous: Option<i64>,
    taken: Vec<Taking>,
    missing: BTreeSet<String>,
    fault: Option<Fault>,
    /// What the claim lacks of what the rule demands.
    lacking: Vec<ReasonCode>,
    /// The amounts of the order that it carries, each as what.
    carried: Vec<(&'static str, As, i64)>,
    given: Vec<(&'static str, i64)>,
    owed: Vec<(&'static str, i64)>,
}

/// As what an amount of the order is carried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum As {
    Deduction(DeductionKind),
    Compensation,
    AmountDue,
}

fn exact(amount: Option<i64>) -> Option<Rat> {
    amount.map(|amount| Rat::whole(i128::from(amount)))
}

impl Open<'_> {
    /// What could still go back of it.
    fn room(&self) -> i64 {
        (self.left.unwrap_or(0) - self.gone).max(0)
    }

    /// Whether an amount is worked out for it.
    fn has_amount(&self) -> bool {
        self.missing.is_empty() && self.fault.is_none() && self.lacking.is_empty()
    }

    fn decided(self) -> Decided {
        let (place, rule) = (self.place, Some(self.rule));
        if let Some(fault) = self.fault {
            return faulty(place, rule, fault);
        }
        if !self.missing.is_empty() {
            let codes = self.lacking.iter().copied().chain([ReasonCode::FactMissing]).collect();
            let mut asked = undecided(place, rule, Outcome::MoreInfoRequired, codes);
            asked.shown.missing = self.missing;
            return asked;
        }
        if !self.lacking.is_empty() {
            return undecided(place, rule, Outcome::MoreInfoRequired, self.lacking);
        }
        let base = self.price - self.refunded;
        let refund = (self.left.unwrap() - self.refunded).max(0);
        // What is held back of what had not gone back before: the last deductions come too late.
        let mut rest = base - refund;
        let mut deductions = Vec::new();
        for (kind, name, taken) in self.taken {
            let shown = taken.min(rest);
            rest -= shown;
            deductions.extend((shown != 0).then_some((kind, name, shown)));
        }
        let (outcome, codes) = match (base, self.price) {
            (0, 0) => (Outcome::Denied, vec![ReasonCode::NothingRefundable]),
            (0, _) => (Outcome::Denied, vec![ReasonCode::AlreadyRefunded]),
            _ => answer(refund, base - refund),
        };
        let mut decided = undecided(place, rule, outcome, codes);
        let (compensations, amounts_due) = (self.given, self.owed);
        decided.shown = ExpectedLine { base, refund, deductions, compensations, amounts_due, ..decided.shown };
        decided.gives = self.left;
        decided
    }
}

/// What earlier answers said of a line by name.
fn said_on(request: &Request<'_>, place: usize, name: &str, what: AmountKind) -> i64 {
    let line = &request.order.lines[place];
    let of_it = |entry: &&EarlierAmount<'_>| (entry.name, entry.line_id, entry.what) == (name, line.id, Some(what));
    request.order.earlier.iter().filter(of_it).map(|entry| hundredths(entry.amount).unwrap()).sum()
}

/// What of it counts. No more can be held back of a line, by all names together, than has not
/// gone back: the amounts of the order are held back one after the other.
pub fn earlier_on(policy: &Policy, request: &Request<'_>, place: usize, name: &str, what: AmountKind) -> i64 {
    let line = &request.order.lines[place];
    let sum = |name: &str| said_on(request, place, name, what);
    if what != AmountKind::Deduction {
        return sum(name);
    }
    let is_claimed = !is_about_components(request) && claimed(request).contains(&place);
    let settled = if is_claimed { gone(policy, request, place).0 } else { returned(policy, request, place) };
    let mut left = hundredths(line.paid).unwrap() - settled;
    for amount in policy.order_amounts.iter().take_while(|amount| amount.name != name) {
        left = (left - sum(amount.name)).max(0);
    }
    sum(name).min(left)
}

/// Works out the amounts of these lines, each with the rule that refunds it.
pub fn amounts(policy: &Policy, request: &Request<'static>, found: &[(usize, usize)]) -> Vec<Decided> {
    // Who is asked about or reviewed has no share of the amounts of the order: tried again without them. A line that
    // cannot be worked out with its share is not paid without it, and one that lacks a fact has none.
    let mut out: BTreeSet<usize> = BTreeSet::new();
    let mut stay: BTreeMap<usize, Decided> = BTreeMap::new();
    loop {
        let lines = worked_out(policy, request, found, &out);
        let falls = |line: &Open<'_>| !line.has_amount() && !out.contains(&line.place);
        if !lines.iter().any(falls) || policy.order_amounts.is_empty() {
            let decided = lines.into_iter().map(|line| match stay.remove(&line.place) {
                Some(fallen) if line.fault.is_some() || line.missing.is_empty() => fallen,
                Some(_) | None => line.decided(),
            });
            return decided.collect();
        }
        let fallen: Vec<Open<'_>> = lines.into_iter().filter(falls).collect();
        for line in fallen {
            out.insert(line.place);
            stay.insert(line.place, line.decided());
        }
    }
}

fn worked_out<'p>(
    policy: &'p Policy,
    request: &Request<'static>,
    found: &[(usize, usize)],
    out: &BTreeSet<usize>,
) -> Vec<Open<'p>> {
    let open = |&(place, rule): &(usize, usize)| {
        let line = &request.order.lines[place];
        let price = hundredths(line.paid).unwrap();
        Open {
            place,
            rule,
            scene: Scene::new(policy, request, line),
            price,
            refunded: hundredths(line.refunded).unwrap_or(0),
            gone: gone(policy, request, place).0,
            left: Some(price),
            previous: Some(0),
            taken: Vec::new(),
            missing: BTreeSet::new(),
            fault: None,
            lacking: lacks(policy, request, &policy.rule(rule).require),
            carried: Vec::new(),
            given: Vec::new(),
            owed: Vec::new(),
        }
    };
    let mut lines: Vec<Open<'p>> = found.iter().map(open).collect();
    let rules: BTreeSet<usize> = found.iter().map(|(_, rule)| *rule).collect();
    for rule in rules {
        let places: Vec<usize> = (0..lines.len()).filter(|&at| lines[at].rule == rule).collect();
        steps(policy, rule, &mut lines, &places);
    }
    for line in lines.iter_mut().filter(|line| line.fault.is_none()) {
        carry(policy, line);
    }
    let taken: Vec<i64> =
        policy.order_amounts.iter().map(|amount| take(policy, request, amount, &mut lines, out)).collect();
    for line in &mut lines {
        beside(policy, request, line);
    }
    for (amount, taken) in policy.order_amounts.iter().zip(taken) {
        for what in [AmountKind::Compensation, AmountKind::AmountDue] {
            give(policy, request, amount, what, taken, &mut lines, out);
        }
    }
    lines
}

/// Takes the steps of a rule from its lines. An amount of the whole order makes one fate of them.
fn steps(policy: &Policy, rule: usize, lines: &mut [Open<'_>], places: &[usize]) {
    let verdict = policy.rule(rule);
    let Action::Refund(steps) = &verdict.action else { panic!("it refunds") };
    let together = verdict.is_shared();
    let mut faults: Vec<(usize, Fault)> = Vec::new();
    for (nth, step) in steps.iter().enumerate() {
        let groups: Vec<Vec<usize>> = match step.whole_order {
            true => vec![places.to_vec()],
            false => places.iter().map(|&at| vec![at]).collect(),
        };
        for group in groups {
            let left: Option<i64> = group.iter().map(|&at| lines[at].left).sum();
            let previous: Option<i64> = group.iter().map(|&at| lines[at].previous).sum();
            let scene = &mut lines[group[0]].scene;
            (scene.remaining, scene.previous) = (exact(left), exact(previous));
            let mut missing = BTreeSet::new();
            let taken = scene.step(step, &mut missing);
            let parts: Vec<Option<i64>> = match taken {
                Ok(Taken::Nothing) => continue,
                Ok(Taken::Amount(amount)) if step.whole_order => {
                    let shares: Vec<(i64, i64)> =
                        group.iter().map(|&at| (lines[at].left.unwrap(), lines[at].room())).collect();
                    spread(amount, &shares).into_iter().map(Some).collect()
                }
                Ok(Taken::Amount(amount)) => vec![Some(amount)],
                Ok(Taken::Unknown) | Err(_) => vec![None; group.len()],
            };
            faults.extend(taken.as_ref().err().map(|fault| (nth, *fault)));
            for (&at, part) in group.iter().zip(parts) {
                let line = &mut lines[at];
                line.left = line.left.zip(part).map(|(left, part)| left - part);
                line.previous = part;
                line.taken.extend(part.map(|part| (step.kind, None, part)));
                line.missing.extend(missing.iter().cloned());
                line.fault = line.fault.or(taken.as_ref().err().copied());
            }
        }
    }
    if together {
        let missing: BTreeSet<String> = places.iter().flat_map(|&at| lines[at].missing.clone()).collect();
        // The first step that has one; of two in the same step, what cannot be computed.
        let first = faults.iter().min_by_key(|(nth, fault)| (*nth, *fault == Fault::NotCovered));
        let fault = first.map(|(_, fault)| *fault);
        for &at in places {
            lines[at].missing.clone_from(&missing);
            lines[at].fault = fault;
        }
    }
}

/// Notes what a line carries of the order, in the order in which its rule says so; what is missing is missing, and the
/// first fault ends it.
fn carry(policy: &Policy, line: &mut Open<'_>) {
    let verdict = policy.rule(line.rule);
    let deductions = verdict.carries.iter().map(|it| (it.name, As::Deduction(it.kind), it.when.as_slice()));
    let given = verdict.compensate_order.iter().map(|name| (*name, As::Compensation, [].as_slice()));
    let owed = verdict.order_due.iter().map(|name| (*name, As::AmountDue, [].as_slice()));
    for (name, what, when) in deductions.chain(given).chain(owed) {
        let amount = policy.order_amounts.iter().find(|amount| amount.name == name).unwrap();
        let worth = match line.scene.holds(when) {
            Holds::No => continue,
            Holds::Yes => line.scene.extra(amount, &mut line.missing),
            Holds::Faulty(fault) => Err(fault),
            Holds::Missing => {
                line.scene.missing_of(when, &mut line.missing);
                continue;
            }
        };
        match worth {
            Ok(Taken::Amount(amount)) => line.carried.push((name, what, amount)),
            Ok(Taken::Nothing | Taken::Unknown) => {}
            Err(fault) => {
                line.fault = Some(fault);
                return;
            }
        }
    }
}

/// Takes an amount of the order from the lines that carry it; what it comes to is said, with what was taken of it before.
fn take(policy: &Policy, request: &Request<'_>, amount: &Extra, lines: &mut [Open<'_>], out: &BTreeSet<usize>) -> i64 {
    let decided: Vec<usize> =
        lines.iter().filter(|line| line.has_amount() && !out.contains(&line.place)).map(|line| line.place).collect();
    let elsewhere: i64 = (0..request.order.lines.len())
        .filter(|place| !decided.contains(place))
        .map(|place| earlier_on(policy, request, place, amount.name, AmountKind::Deduction))
        .sum();
    let mut carriers: Vec<(usize, DeductionKind)> = Vec::new();
    let mut whole = None;
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| decided.contains(&line.place)) {
        for (name, what, worth) in &line.carried {
            if let (true, As::Deduction(kind)) = (*name == amount.name, *what) {
                carriers.push((at, kind));
                whole = Some(*worth);
            }
        }
    }
    let Some(whole) = whole else { return elsewhere };
    // What was asked for on top is paid as well.
    let asked: i64 = (0..request.order.lines.len())
        .map(|place| earlier_on(policy, request, place, amount.name, AmountKind::AmountDue))
        .sum();
    // Each keeps what was taken from it before; what then lacks is spread.
    let before = |line: &Open<'_>| said_on(request, line.place, amount.name, AmountKind::Deduction);
    let mut parts: Vec<i64> = carriers.iter().map(|&(at, _)| before(&lines[at]).min(lines[at].room())).collect();
    let lacks = (whole - elsewhere - asked - parts.iter().sum::<i64>()).max(0);
    let rooms: Vec<i64> =
        carriers.iter().zip(&parts).map(|(&(at, _), kept)| (lines[at].room() - kept).max(0)).collect();
    let shares: Vec<(i64, i64)> = rooms.iter().map(|room| (*room, *room)).collect();
    for (part, more) in parts.iter_mut().zip(spread(lacks, &shares)) {
        *part += more;
    }
    for (&(at, kind), part) in carriers.iter().zip(&parts) {
        lines[at].left = lines[at].left.map(|left| left - part);
        lines[at].taken.push((kind, Some(amount.name), *part));
    }
    elsewhere + parts.iter().sum::<i64>()
}

/// Works out a line's own amounts beside the refund. Where a fact is missing for what is taken, nobody knows what remains.
fn beside(policy: &Policy, request: &Request<'_>, line: &mut Open<'_>) {
    let verdict = policy.rule(line.rule);
    line.scene.remaining = exact(line.left).filter(|_| line.missing.is_empty());
    for (extras, what) in
        [(&verdict.compensate, AmountKind::Compensation), (&verdict.amount_due, AmountKind::AmountDue)]
    {
        for extra in extras {
            if line.fault.is_some() {
                return;
            }
            match line.scene.extra(extra, &mut line.missing) {
                Ok(Taken::Amount(amount)) => {
                    let amount = (amount - earlier_on(policy, request, line.place, extra.name, what)).max(0);
                    let list = if what == AmountKind::Compensation { &mut line.given } else { &mut line.owed };
                    list.extend((amount != 0).then_some((extra.name, amount)));
                }
                Ok(Taken::Nothing | Taken::Unknown) => {}
                Err(fault) => line.fault = Some(fault),
            }
        }
    }
}

/// Gives, or asks for, an amount of the order beside the refund: less all that was of its name before. What is held back
/// of it is not asked for on top.
fn give(
    policy: &Policy,
    request: &Request<'_>,
    amount: &Extra,
    what: AmountKind,
    taken: i64,
    lines: &mut [Open<'_>],
    out: &BTreeSet<usize>,
) {
    let carried = if what == AmountKind::Compensation { As::Compensation } else { As::AmountDue };
    let mut carriers: Vec<usize> = Vec::new();
    let mut whole = None;
    for (at, line) in lines.iter().enumerate() {
        if line.has_amount() && !out.contains(&line.place) {
            for (_, _, worth) in line.carried.iter().filter(|(name, is, _)| *name == amount.name && *is == carried) {
                carriers.push(at);
                whole = Some(*worth);
            }
        }
    }
    let Some(whole) = whole else { return };
    let before: i64 =
        (0..request.order.lines.len()).map(|place| earlier_on(policy, request, place, amount.name, what)).sum();
    let before = if what == AmountKind::AmountDue { before + taken } else { before };
    let shares: Vec<(i64, i64)> = carriers.iter().map(|&at| (lines[at].left.unwrap(), i64::MAX / 1_000)).collect();
    for (&at, part) in carriers.iter().zip(spread((whole - before).max(0), &shares)) {
        let list = if what == AmountKind::Compensation { &mut lines[at].given } else { &mut lines[at].owed };
        list.extend((part != 0).then_some((amount.name, part)));
    }
}
