//! Claims that follow each other on one order, and what always holds of their answers.

use requite::domain::request::{EarlierAmount, Money, Refundability, Request, Tender};
use requite::domain::words::{AmountKind, Outcome};

use crate::ast::{Policy, REASONS, TenderOrder};
use crate::lines::ExpectedLine;
use crate::number::Chance;
use crate::order::Expected;
use crate::requests::{Customer, at, cny, hundredths};

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
    for (component, (_, refund)) in order.components.iter_mut().zip(&expected.components) {
        add(&mut component.refunded, *refund);
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
    for (component, (base, refund)) in order.components.iter().zip(&said.components) {
        let left = hundredths(component.paid).unwrap() - hundredths(component.refunded).unwrap_or(0);
        if *refund < 0 || base < refund || left < *base {
            return Some(format!("component {} is out of its bounds", component.name));
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
    let of_components: i64 = said.components.iter().map(|(_, refund)| refund).sum();
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

/// What of an answer must not depend on the order in which a request is written: everything, named by ids, but the
/// method, which is that of the first line. Where an amount is spread over lines, a cent may fall to another of them, and
/// what follows from it differs; then it is what was asked for and found of proofs and words.
pub fn unordered(policy: &Policy, request: &Request<'_>, said: &Expected) -> String {
    let order = &request.order;
    let mut rejected: Vec<_> =
        said.rejected.iter().map(|(place, code)| (request.claim.evidence[*place].id, *code)).collect();
    rejected.sort_unstable();
    let mut next = said.next.clone();
    next.sort_unstable();
    let found = format!("{:?} {rejected:?} {} {next:?}", said.proofs, said.vague);
    let is_dead = |tender: &Tender<'_>| {
        tender.refundability == Refundability::NotRefundable || policy.not_refundable.contains(&tender.method)
    };
    let rules = policy.rule_names().len();
    let shares = (0..rules).any(|rule| policy.rule(rule).is_shared());
    if shares || order.tenders.iter().any(is_dead) || request.claim.requested_amount.is_some() {
        return if shares { format!("{:?} {rejected:?} {}", said.proofs, said.vague) } else { found };
    }
    let mut lines: Vec<_> = said
        .lines
        .iter()
        .map(|line| (order.lines[line.line].id, format!("{:?}", ExpectedLine { line: 0, ..line.clone() })))
        .collect();
    lines.sort_unstable();
    let amounts = (said.refund, &said.components, said.review, said.payout);
    format!("{found} {:?} {:?} {amounts:?} {lines:?}", said.outcome, said.codes)
}
