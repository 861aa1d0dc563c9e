//! Claims that follow each other on one order, and what always holds of their answers.

use std::collections::BTreeMap;

use requite::domain::request::{EarlierAmount, Money, Refundability, Request, Tender};
use requite::domain::words::{AmountKind, Outcome};

use super::ast::{Action, ORDER_AMOUNTS, Policy, REASONS, Rule, TenderOrder};
use super::lines::ExpectedLine;
use super::number::Chance;
use super::order::{Expected, ExpectedComponent, about, belonging, claimed, is_about_components};
use super::requests::{Customer, at, cny, hundredths};

/// Whether some version of a policy names a fact that a refund changes: then a second claim is on other facts.
pub fn looks_at_refunds(versions: &[Policy]) -> bool {
    Policy::files(versions).iter().any(|(_, text)| {
        text.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'))
            .any(|word| word == "refunded" || word == "refundable")
    })
}

/// Another claim on the same order: on other lines and components, for another reason, later.
pub fn next_claim(chance: &mut Chance, policy: &Policy, request: &mut Request<'static>) {
    let mut customer = Customer { chance, policy };
    let claim = &mut request.claim;
    claim.line_ids = customer.line_ids(&request.order.lines);
    claim.components = customer.claimed_components(&request.order.components);
    claim.requested_amount = customer.chance.percent(20).then(|| cny(customer.cents().max(1)));
    if customer.chance.percent(25) {
        claim.reason = customer.chance.pick(REASONS);
    }
    if customer.chance.percent(20) {
        let later = claim.requested_at.unwrap().nanos() + customer.length().abs();
        claim.requested_at = Some(at(later));
    }
}

/// Notes in an order what went back of it, as a careful caller does with an answer.
pub fn note_answer(request: &mut Request<'static>, expected: &Expected) {
    let add = |money: &mut Option<Money<'static>>, amount: i64| {
        if amount != 0 {
            *money = Some(cny(hundredths(*money).unwrap_or(0) + amount));
        }
    };
    let order = &mut request.order;
    for line in &expected.lines {
        add(&mut order.lines[line.line].refunded, line.refund);
        let line_id = order.lines[line.line].id;
        for (_, name, amount) in &line.deductions {
            // What a line holds back in all: the newest answer takes the place of those before it.
            let Some(name) = *name else { continue };
            let what = Some(AmountKind::Deduction);
            order.earlier.retain(|entry| (entry.name, entry.line_id, entry.what) != (name, line_id, what));
            order.earlier.push(EarlierAmount { name, line_id, amount: Some(cny(*amount)), what });
        }
        for (amounts, what) in
            [(&line.compensations, AmountKind::Compensation), (&line.amounts_due, AmountKind::AmountDue)]
        {
            for &(name, amount) in amounts {
                let entry = EarlierAmount { name, line_id, amount: Some(cny(amount)), what: Some(what) };
                order.earlier.push(entry);
            }
        }
    }
    for (component, said) in order.components.iter_mut().zip(&expected.components) {
        add(&mut component.refunded, said.refund);
    }
    for (tender, (amount, _)) in order.tenders.iter_mut().zip(&expected.tenders) {
        add(&mut tender.refunded, *amount);
    }
}

/// What always holds of an answer, whatever the policy: what is said to be wrong, or nothing.
pub fn broken(policy: &Policy, request: &Request<'_>, said: &Expected) -> Option<String> {
    let order = &request.order;
    for line in &said.lines {
        let of = &order.lines[line.line];
        let left = hundredths(of.paid).unwrap() - hundredths(of.refunded).unwrap_or(0);
        let held_back: i64 = line.deductions.iter().map(|(_, _, amount)| amount).sum();
        if line.base != 0 && line.base != left {
            return Some(format!("the base of line {} is not what is left of it", line.line));
        }
        if line.refund + held_back != line.base {
            return Some(format!("line {} does not add up", line.line));
        }
        if line.refund < 0 || left < line.refund || line.deductions.iter().any(|(_, _, amount)| *amount <= 0) {
            return Some(format!("line {} is out of its bounds", line.line));
        }
    }
    for place in 0..order.components.len() {
        if let Some(broken) = broken_component(policy, request, said, place) {
            return Some(format!("component {} {broken}", order.components[place].name));
        }
    }
    for (tender, (amount, _)) in order.tenders.iter().zip(&said.tenders) {
        let is_dead =
            tender.refundability == Refundability::NotRefundable || policy.not_refundable.contains(&tender.method);
        let left = hundredths(tender.paid).unwrap() - hundredths(tender.refunded).unwrap_or(0);
        if *amount < 0 || left < *amount || (is_dead && *amount != 0) {
            return Some(format!("tender {} is out of its bounds", tender.id));
        }
    }
    let of_lines: i64 = said.lines.iter().map(|line| line.refund).sum();
    let of_components: i64 = said.components.iter().map(|component| component.refund).sum();
    let of_tenders: i64 = said.tenders.iter().map(|(amount, _)| amount).sum();
    if (of_lines + of_components, of_tenders) != (said.refund, said.refund) {
        return Some("the parts do not sum to the refund".to_owned());
    }
    let asked = hundredths(request.claim.requested_amount);
    asked.is_some_and(|asked| asked < said.refund).then(|| "more goes back than was asked for".to_owned())
}

/// Whether an answer is one that a caller acts on: nothing is paid out before the order is decided.
pub fn is_decided(said: &Expected) -> bool {
    !matches!(said.outcome, Outcome::ManualReview | Outcome::MoreInfoRequired)
}

/// Whether the amount asked for was a bound: then asking again asks for more.
pub fn is_bounded(request: &Request<'_>, said: &Expected) -> bool {
    hundredths(request.claim.requested_amount).is_some_and(|asked| asked <= said.refund)
}

/// What a second answer gives on top of the first.
pub fn gives_more(said: &Expected) -> bool {
    said.refund != 0 || said.lines.iter().any(|line| !line.compensations.is_empty() || !line.amounts_due.is_empty())
}

/// The same request with its lines, tenders and pieces of evidence written in another order. Tenders stay where the
/// policy itself looks at their order.
pub fn permuted(chance: &mut Chance, policy: &Policy, request: &Request<'static>) -> Request<'static> {
    let mut other = request.clone();
    chance.shuffle(&mut other.order.lines);
    chance.shuffle(&mut other.claim.evidence);
    chance.shuffle(&mut other.claim.line_ids);
    if !matches!(policy.tender_order, TenderOrder::FirstPaidFirst | TenderOrder::LastPaidFirst) {
        chance.shuffle(&mut other.order.tenders);
    }
    other
}

/// What does not hold of a component: earlier refunds, refund and what is held back are its price, as far as the claim
/// is about it, where a rule that refunds decides one of its lines; otherwise it has no amounts.
fn broken_component(policy: &Policy, request: &Request<'_>, said: &Expected, place: usize) -> Option<String> {
    let component = &request.order.components[place];
    let ExpectedComponent { base, refund, held_back } = said.components[place];
    let left = hundredths(component.paid).unwrap() - hundredths(component.refunded).unwrap_or(0);
    if refund < 0 || held_back < 0 || left < base {
        return Some("is out of its bounds".to_owned());
    }
    if refund + held_back != base {
        return Some("does not add up".to_owned());
    }
    let named = &request.claim.components;
    let is_named = named.is_empty() || named.contains(&component.name);
    let alone = is_about_components(request);
    let claimed = claimed(request);
    let belonging = belonging(request, place);
    let refunds = |line: &&ExpectedLine| {
        let by_rule = line.rule.is_some_and(|rule| matches!(policy.rule(rule).action, Action::Refund(_)));
        let open = matches!(line.outcome, Outcome::ManualReview | Outcome::MoreInfoRequired);
        belonging.contains(&line.line) && by_rule && !open
    };
    // Of a claim on components alone no line is shown, unless no rule of theirs refunds.
    let is_decided =
        is_named && if alone { said.lines.is_empty() } else { said.lines.iter().any(|line| refunds(&line)) };
    let about = about(policy, request, place, |line| alone || claimed.contains(&line));
    let all_claimed = belonging.iter().all(|line| claimed.contains(line));
    if !is_decided && base != 0 {
        return Some("has amounts although no rule that refunds decides any of its lines".to_owned());
    }
    if is_decided && !alone && base != about && base != left {
        return Some(format!("has a base of {base}, but the claim is about {about}"));
    }
    (is_decided && !alone && all_claimed && base != left)
        .then(|| format!("has a base of {base}, but all of it, {left}, is claimed"))
}

/// How two answers on a request that is written in two orders differ, where they must not. All is named by ids. The
/// method is that of the first line, and next steps may come in another order. Where an amount is spread over lines, a
/// cent may fall to another of them: then what hangs on that is compared as far as it can be told.
pub fn differ(
    (policy, request, said): (&Policy, &Request<'_>, &Expected),
    (other, otherwise): (&Request<'_>, &Expected),
) -> Option<String> {
    let is_dead = |tender: &Tender<'_>| {
        tender.refundability == Refundability::NotRefundable || policy.not_refundable.contains(&tender.method)
    };
    let rules = policy.rule_names().len();
    let shares = (0..rules).any(|rule| policy.rule(rule).is_shared());
    let spread = request.order.tenders.iter().any(is_dead) || request.claim.requested_amount.is_some();
    let same = |what: &str, a: String, b: String| (a != b).then(|| format!("{what} {a}, or {b}"));
    let found = same("found", found(request, said), found(other, otherwise));
    let of_lines = same("lines are", fate_of_lines(request, said), fate_of_lines(other, otherwise));
    if !shares && !spread {
        return found.or(of_lines).or_else(|| same("the order is", whole(request, said), whole(other, otherwise)));
    }
    if !shares {
        return found.or(of_lines);
    }
    // Whether anything of a rule looks at what is left of a line, of which a cent may be another line's.
    if (0..rules).any(|rule| rounds_the_rest(policy.rule(rule))) || names_the_rest(policy) {
        return same("words", words(request, said), words(other, otherwise));
    }
    let close = || {
        let cents = i64::try_from(2 * request.order.lines.len() * (STEPS_MAX + ORDER_AMOUNTS.len())).unwrap();
        let refunds = |request: &Request<'_>, said: &Expected| -> BTreeMap<String, i64> {
            said.lines.iter().map(|line| (request.order.lines[line.line].id.to_owned(), line.refund)).collect()
        };
        let (ours, theirs) = (refunds(request, said), refunds(other, otherwise));
        let far = ours.iter().find(|(id, refund)| cents < (theirs[*id] - **refund).abs());
        far.filter(|_| !spread).map(|(id, refund)| format!("{refund} of line {id} go back, or {}", theirs[id]))
    };
    same("words", words(request, said), words(other, otherwise)).or(of_lines).or_else(close)
}

/// The most deductions that a random rule has, each of which may be spread.
const STEPS_MAX: usize = 3;

/// Whether a formula of a policy names what earlier deductions left or took.
fn names_the_rest(policy: &Policy) -> bool {
    let files = Policy::files(std::slice::from_ref(policy));
    files.iter().any(|(_, text)| text.contains("remaining") || text.contains("previous"))
}

/// Whether a rule rounds what a deduction leaves.
fn rounds_the_rest(rule: &Rule) -> bool {
    let Action::Refund(steps) = &rule.action else { return false };
    steps.iter().any(|step| step.round.is_some_and(|(_, _, of_refund)| of_refund))
}

/// What was asked for and found of proofs and words.
fn words(request: &Request<'_>, said: &Expected) -> String {
    let mut rejected: Vec<_> =
        said.rejected.iter().map(|(place, code)| (request.claim.evidence[*place].id, *code)).collect();
    rejected.sort_unstable();
    format!("{:?} {rejected:?} {}", said.proofs, said.vague)
}

/// The same, and what can be done next.
fn found(request: &Request<'_>, said: &Expected) -> String {
    let mut next = said.next.clone();
    next.sort_unstable();
    format!("{} {next:?}", words(request, said))
}

/// What decides each line, and what it lacks: whatever is spread over it.
fn fate_of_lines(request: &Request<'_>, said: &Expected) -> String {
    let mut lines: Vec<_> = said
        .lines
        .iter()
        .map(|line| {
            let is_open = matches!(line.outcome, Outcome::ManualReview | Outcome::MoreInfoRequired);
            let why = is_open.then_some((line.outcome, &line.codes));
            (request.order.lines[line.line].id, format!("{:?} {} {why:?} {:?}", line.rule, line.base, line.missing))
        })
        .collect();
    lines.sort_unstable();
    format!("{lines:?} {:?}", said.review)
}

/// Everything else.
fn whole(request: &Request<'_>, said: &Expected) -> String {
    let mut lines: Vec<_> = said
        .lines
        .iter()
        .map(|line| (request.order.lines[line.line].id, format!("{:?}", ExpectedLine { line: 0, ..line.clone() })))
        .collect();
    lines.sort_unstable();
    let amounts = (said.refund, &said.components, said.payout);
    format!("{:?} {:?} {amounts:?} {lines:?}", said.outcome, said.codes)
}
