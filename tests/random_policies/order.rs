//! How an order is decided.

use requite::domain::request::{Line, Refundability, Request};
use requite::domain::words::{DeductionKind, Outcome, ReasonCode, RefundMethod};

use crate::ast::{Action, Back, Demand, Policy, TenderOrder};
use crate::facts::hundredths;
use crate::lines::{Decided, ExpectedLine, Found, answer, better, find, refund, sorted, spread, verdict};
use crate::number::{Mode, Rat};
use crate::proofs::{Proofs, is_vague, material, proofs};
use crate::windows::{Days, later, span};

/// A decision, as far as it is compared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expected {
    pub outcome: Outcome,
    pub codes: Vec<ReasonCode>,
    pub refund: i64,
    pub lines: Vec<ExpectedLine>,
    /// What each component could come to, and what goes back of it.
    pub components: Vec<(i64, i64)>,
    /// What goes back to each tender, and when.
    pub tenders: Vec<(i64, Option<Days>)>,
    pub proofs: Proofs,
    /// The pieces of evidence that do not count.
    pub rejected: Vec<(usize, ReasonCode)>,
    pub vague: bool,
    pub next: Vec<&'static str>,
    pub method: RefundMethod,
    pub review: Option<Days>,
    pub payout: Option<Days>,
}

/// What goes back of a component: what it could come to, and the refund.
pub fn component(policy: &Policy, request: &Request<'_>, place: usize, lines: &[ExpectedLine]) -> (i64, i64) {
    let component = &request.order.components[place];
    let (cost, earlier) = (hundredths(component.paid).unwrap(), hundredths(component.refunded).unwrap_or(0));
    let belongs = |line: usize| component.line_id.is_empty() || request.order.lines[line].id == component.line_id;
    let approved: Vec<&ExpectedLine> = lines.iter().filter(|line| belongs(line.line) && line.base != 0).collect();
    let Some(first) = approved.first() else { return (0, 0) };
    let own = first.rule.and_then(|rule| policy.rule(rule).components.iter().find(|(name, _)| *name == component.name));
    let usual = policy.components.iter().find(|(name, _)| *name == component.name);
    let back = own.or(usual).unwrap().1;
    let (mut paid, mut gone, mut claimed) = (0, 0, 0);
    for (at, line) in request.order.lines.iter().enumerate().filter(|(at, _)| belongs(*at)) {
        let (line_paid, line_refunded) = (hundredths(line.paid).unwrap(), hundredths(line.refunded).unwrap_or(0));
        let is_claimed = lines.iter().any(|line| line.line == at);
        paid += line_paid;
        gone += line_refunded + lines.iter().filter(|line| line.line == at).map(|line| line.refund).sum::<i64>();
        claimed += if is_claimed { line_paid } else { line_refunded };
    }
    let left = cost - earlier;
    let up_to = |part: i64| {
        let share = Rat::new(i128::from(cost) * i128::from(part), i128::from(paid)).rounded(Rat::ONE, Mode::HalfUp);
        (i64::try_from(share.n).unwrap() - earlier).clamp(0, left)
    };
    let whole = if claimed == paid { left } else { 0 };
    match back {
        Back::Never => (whole, 0),
        Back::Always => (left, left),
        Back::WhenFull if gone == paid => (left, left),
        Back::WhenFull => (whole, 0),
        Back::InProportion => (up_to(claimed), up_to(gone).min(up_to(claimed))),
    }
}

/// A part of the refund: a line or a component.
pub struct Part {
    pub refund: i64,
    pub earlier: i64,
}

/// What to take from each part so that it comes to `amount`, by what goes back of it.
pub fn taken(amount: i64, parts: &[Part]) -> Vec<i64> {
    let shares: Vec<(i64, i64)> = parts.iter().map(|part| (part.refund, part.refund)).collect();
    spread(amount, &shares)
}

/// Decides each claimed line.
fn lines(policy: &Policy, request: &Request<'static>, places: &[usize]) -> Vec<Decided> {
    let mut lines: Vec<Decided> = Vec::new();
    let mut open: Vec<(usize, Vec<usize>)> = Vec::new();
    for &place in places {
        let found = find(policy, request, place);
        match found.as_slice() {
            [Found::Refunds(rule)] => {
                let Action::Refund(steps) = &policy.rule(*rule).action else { panic!("it refunds") };
                let together = steps.iter().any(|step| step.whole_order);
                match open.iter_mut().find(|(of, _)| together && of == rule) {
                    Some((_, places)) => places.push(place),
                    None => open.push((*rule, vec![place])),
                }
            }
            _ => {
                // Each on its own, from the lowest up.
                let decide = |found: Found| match found {
                    Found::Refunds(rule) => refund(policy, request, rule, &[place]).remove(0),
                    Found::Settled(line) => line,
                };
                lines.extend(found.into_iter().map(decide).rev().reduce(|below, above| better(above, below)));
            }
        }
    }
    for (rule, places) in open {
        lines.extend(refund(policy, request, rule, &places));
    }
    lines.sort_by_key(|line| line.shown.line);
    lines
}

/// Decides a request.
pub fn decide(policy: &Policy, request: &Request<'static>) -> Expected {
    let order = &request.order;
    let claimed = |line: &Line<'_>| request.claim.line_ids.is_empty() || request.claim.line_ids.contains(&line.id);
    let places: Vec<usize> = (0..order.lines.len()).filter(|&place| claimed(&order.lines[place])).collect();
    let decided = lines(policy, request, &places);
    let with_base: Vec<usize> =
        decided.iter().filter(|line| line.shown.base != 0).map(|line| line.shown.line).collect();
    let mut lines: Vec<ExpectedLine> = decided.into_iter().map(|line| line.shown).collect();

    let mut components: Vec<(i64, i64)> =
        (0..order.components.len()).map(|place| component(policy, request, place, &lines)).collect();
    let mut kept: Vec<i64> = components.iter().map(|(base, refund)| base - refund).collect();

    // Tenders that take nothing back hold back their share.
    let dead = |tender: &requite::domain::request::Tender<'_>| {
        tender.refundability == Refundability::NotRefundable || policy.not_refundable.contains(&tender.method)
    };
    let paid_with = |dead_ones: bool| -> i64 {
        order
            .tenders
            .iter()
            .filter(|tender| dead(tender) == dead_ones)
            .map(|tender| hundredths(tender.paid).unwrap())
            .sum()
    };
    let parts = |lines: &[ExpectedLine], components: &[(i64, i64)]| -> Vec<Part> {
        let of_lines = lines.iter().map(|line| Part {
            refund: line.refund,
            earlier: hundredths(order.lines[line.line].refunded).unwrap_or(0),
        });
        let of_components = components.iter().zip(&order.components).map(|((_, refund), component)| Part {
            refund: *refund,
            earlier: hundredths(component.refunded).unwrap_or(0),
        });
        of_lines.chain(of_components).collect()
    };
    let lost = paid_with(true);
    if lost != 0 {
        let parts = parts(&lines, &components);
        let all = i128::from(lost + paid_with(false));
        let share = |part: &Part| {
            let share = Rat::new(i128::from(part.refund + part.earlier) * i128::from(lost), all).floor();
            i64::try_from(share).unwrap().min(part.refund)
        };
        let room: i64 = order
            .tenders
            .iter()
            .filter(|tender| !dead(tender))
            .map(|tender| hundredths(tender.paid).unwrap() - hundredths(tender.refunded).unwrap_or(0))
            .sum();
        let mut taken: Vec<i64> = parts.iter().map(share).collect();
        let left: Vec<(i64, i64)> =
            parts.iter().zip(&taken).map(|(part, kept)| (part.refund - kept, part.refund - kept)).collect();
        let over = (left.iter().map(|(left, _)| left).sum::<i64>() - room).max(0);
        for (kept, more) in taken.iter_mut().zip(spread(over, &left)) {
            *kept += more;
        }
        for (line, taken) in lines.iter_mut().zip(&taken) {
            if *taken != 0 {
                line.refund -= taken;
                line.deductions.push((DeductionKind::NonRefundableComponent, *taken));
            }
            if matches!(line.outcome, Outcome::ApprovedFull | Outcome::ApprovedPartial) {
                (line.outcome, line.codes) = answer(line.refund, line.base - line.refund);
            }
        }
        for (place, taken) in taken[lines.len()..].iter().enumerate() {
            components[place].1 -= taken;
            kept[place] += taken;
        }
    }

    // What was not asked for.
    if let Some(asked) = hundredths(request.claim.requested_amount) {
        let parts = parts(&lines, &components);
        let refund: i64 = parts.iter().map(|part| part.refund).sum();
        let taken = taken((refund - asked).max(0), &parts);
        for (line, taken) in lines.iter_mut().zip(&taken).filter(|(_, taken)| **taken != 0) {
            line.refund -= taken;
            line.deductions.push((DeductionKind::NotRequested, *taken));
        }
        for (component, taken) in components.iter_mut().zip(&taken[lines.len()..]) {
            component.1 -= taken;
        }
    }

    let refund =
        lines.iter().map(|line| line.refund).sum::<i64>() + components.iter().map(|(_, refund)| refund).sum::<i64>();
    let any = |outcome: Outcome| lines.iter().any(|line| line.outcome == outcome);
    let all = |outcome: Outcome| lines.iter().all(|line| line.outcome == outcome);
    let mut codes: Vec<ReasonCode> = lines.iter().flat_map(|line| line.codes.clone()).collect();
    let keeps = kept.iter().any(|kept| *kept != 0);
    let outcome = if any(Outcome::ManualReview) {
        Outcome::ManualReview
    } else if any(Outcome::MoreInfoRequired) {
        Outcome::MoreInfoRequired
    } else if all(Outcome::Denied) && components.iter().all(|(_, refund)| *refund == 0) {
        Outcome::Denied
    } else if all(Outcome::ApprovedFull) && !keeps {
        Outcome::ApprovedFull
    } else {
        codes.extend(keeps.then_some(ReasonCode::DeductionsApplied));
        Outcome::ApprovedPartial
    };
    let codes = sorted(codes);
    let paying: Vec<&ExpectedLine> = lines.iter().filter(|line| with_base.contains(&line.line)).collect();
    let (review, payouts) = windows(policy, request, &lines, &paying);
    let tenders: Vec<(i64, Option<Days>)> = tenders(policy, request, refund)
        .into_iter()
        .zip(payouts)
        .map(|(amount, days)| (amount, days.filter(|_| amount != 0)))
        .collect();
    let is_approved = matches!(outcome, Outcome::ApprovedFull | Outcome::ApprovedPartial);
    let payout = tenders.iter().fold(None, |all, (_, days)| later(all, *days)).filter(|_| is_approved);
    let proofs = proofs(policy, request, &lines);
    // What nobody asks for is not looked at.
    let rejected = if proofs == Proofs::NotRequired { Vec::new() } else { material(policy, request).1 };
    let clear = |line: &ExpectedLine| verdict(policy, line.rule).require.contains(&Demand::ClearText);
    Expected {
        outcome,
        refund,
        components,
        tenders,
        proofs,
        rejected,
        vague: lines.iter().any(clear) && is_vague(policy, request),
        next: next(policy, &lines, outcome, &codes),
        codes,
        method: method(policy, &paying),
        review,
        payout,
        lines,
    }
}

/// The next steps: those of the rules, then those of the policy.
fn next(policy: &Policy, lines: &[ExpectedLine], outcome: Outcome, codes: &[ReasonCode]) -> Vec<&'static str> {
    let has = |wanted: &[ReasonCode]| wanted.iter().any(|code| codes.contains(code));
    let mut all: Vec<&'static str> = lines.iter().flat_map(|line| verdict(policy, line.rule).next.clone()).collect();
    if has(&[ReasonCode::ReasonRequired, ReasonCode::ReasonTooVague]) {
        all.extend(policy.routes.restate);
    }
    if has(&[ReasonCode::EvidenceMissing, ReasonCode::FactMissing]) {
        all.extend(policy.routes.supplement);
    }
    if outcome == Outcome::Denied {
        all.extend(&policy.routes.denied);
    }
    let mut once = Vec::new();
    for step in all {
        if !once.contains(&step) {
            once.push(step);
        }
    }
    once
}

/// The way the money goes back: that of the first line of which something could.
fn method(policy: &Policy, paying: &[&ExpectedLine]) -> RefundMethod {
    let first = paying.first().and_then(|line| verdict(policy, line.rule).method);
    first.unwrap_or(RefundMethod::OriginalPayment)
}

/// When a reviewer will have looked, and when the money is there by each tender.
fn windows(
    policy: &Policy,
    request: &Request<'_>,
    lines: &[ExpectedLine],
    paying: &[&ExpectedLine],
) -> (Option<Days>, Vec<Option<Days>>) {
    let now = request.claim.requested_at.unwrap().nanos();
    let today = (now + policy.zone_hours * HOUR).div_euclid(24 * HOUR);
    let today = Days::Between(today, today);
    let review_of = |line: &ExpectedLine| verdict(policy, line.rule).review.map(|window| span(today, window));
    let mut review = None;
    for line in lines.iter().filter(|line| line.outcome != Outcome::MoreInfoRequired) {
        review = later(review, review_of(line));
    }
    let methods: Vec<&str> = match request.order.tenders.as_slice() {
        [] => vec![""],
        tenders => tenders.iter().map(|tender| tender.method).collect(),
    };
    let of_method = |method: &str| {
        let mut payout = None;
        for line in paying {
            let Some(own) = &verdict(policy, line.rule).payout else { continue };
            let special = own.by_method.iter().find(|(name, _)| *name == method).map(|(_, window)| *window);
            payout = later(payout, Some(span(review_of(line).unwrap_or(today), special.unwrap_or(own.window))));
        }
        payout
    };
    (review, methods.into_iter().map(of_method).collect())
}

const HOUR: i128 = 3_600_000_000_000;

/// The answer where no version governs the order; `None` where this version does.
pub fn not_in_force(policy: &Policy, request: &Request<'static>) -> Option<Outcome> {
    let effective = policy.effective?;
    let at = match effective.by {
        "placed_at" => request.order.placed_at,
        _ => request.order.paid_at,
    };
    match at.map(|at| at.nanos()) {
        None => Some(Outcome::MoreInfoRequired),
        Some(at) if at < effective.from || effective.until.is_some_and(|until| until <= at) => {
            Some(Outcome::ManualReview)
        }
        Some(_) => None,
    }
}

pub fn tenders(policy: &Policy, request: &Request<'_>, refund: i64) -> Vec<i64> {
    let tenders = &request.order.tenders;
    if tenders.is_empty() {
        return vec![refund];
    }
    let rank = |place: usize| -> usize {
        match policy.tender_order {
            TenderOrder::Proportional => 0,
            TenderOrder::FirstPaidFirst => place,
            TenderOrder::LastPaidFirst => tenders.len() - place,
            TenderOrder::ByPriority(methods) => {
                methods.iter().position(|method| *method == tenders[place].method).unwrap_or(methods.len())
            }
        }
    };
    let mut ranks: Vec<usize> = (0..tenders.len()).map(rank).collect();
    ranks.sort_unstable();
    ranks.dedup();
    let mut back = vec![0; tenders.len()];
    let mut left = refund;
    for wanted in ranks {
        let group: Vec<usize> = (0..tenders.len()).filter(|place| rank(*place) == wanted).collect();
        let share = |&place: &usize| {
            let tender = &tenders[place];
            let paid = hundredths(tender.paid).unwrap();
            let dead =
                tender.refundability == Refundability::NotRefundable || policy.not_refundable.contains(&tender.method);
            let room = if dead { 0 } else { paid - hundredths(tender.refunded).unwrap_or(0) };
            (if room == 0 { 0 } else { paid }, room)
        };
        let shares: Vec<(i64, i64)> = group.iter().map(share).collect();
        for (&place, part) in group.iter().zip(spread(left, &shares)) {
            back[place] = part;
            left -= part;
        }
    }
    back
}
