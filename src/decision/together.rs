//! Lines from which something is taken together: by a step of the whole order, or as an amount of the order that their
//! rules carry.
//!
//! An amount of the order is worked out once. It is taken last: from what all other steps have left of the lines.

use smallvec::SmallVec;

use crate::decision::beside::{beside, with_beside};
use crate::decision::claim::{Claim, unmet};
use crate::decision::decided::{Decided, effect_of, is_refunding, refunded};
use crate::decision::deduct::{
    Deductions, NoAmount, StepResult, Taken, deduct_together, extra_amount, source, step_amount,
};
use crate::decision::explain::Recorder;
use crate::decision::line::{Line, MissingFacts, TestResult};
use crate::decision::machine::Fault;
use crate::domain::allocate::{Share, allocate};
use crate::domain::decision::{ExtraAmount, LineDecision, RuleRef};
use crate::domain::facts::LineFacts;
use crate::domain::money::Amount;
use crate::domain::words::AmountKind;
use crate::plan::rule::{Action, Extra, RuleEffect, Step};

/// A line while amounts are taken from it.
struct SharedLine<'p, 'f, 'a> {
    place: u16,
    rule: RuleRef,
    effect: &'p RuleEffect,
    facts: &'f LineFacts<'a>,
    taken: Taken,
    /// The amounts of the order that it carries.
    carried: SmallVec<[Carried; 2]>,
    /// Reason why there will be no amount; then it takes no part in what is shared.
    failed: Option<NoAmount>,
    /// True if the claim brings all that its rule demands.
    complete: bool,
}

/// An amount of the order, as a line carries it.
#[derive(Clone, Copy)]
struct Carried {
    /// Place of the amount in the plan.
    order_amount: u16,
    /// As what: the step of the rule, or an amount beside the refund, by its place in the rule.
    what: AmountKind,
    at: u16,
    /// Amount that it comes to.
    amount: Amount,
}

impl SharedLine<'_, '_, '_> {
    /// Returns true if it will have an amount.
    fn takes_part(&self) -> bool {
        self.complete && self.failed.is_none()
    }

    fn carries(&self, order_amount: u16, what: AmountKind) -> Option<Carried> {
        let carried = self.carried.iter().copied();
        carried.filter(|_| self.takes_part()).find(|it| (it.order_amount, it.what) == (order_amount, what))
    }
}

fn steps(effect: &RuleEffect) -> &[Step] {
    match &effect.action {
        Action::Refund(steps) => steps,
        Action::Deny(_) | Action::Ask(_) | Action::Review(_) => &[],
    }
}

/// Decides these lines by their rules and adds them to those that are `decided` already.
///
/// A formula may have no result on what an amount of the order left of a line. Then the line takes no part in what is
/// shared, and all is shared anew without it; each time there is one line less, so this ends.
#[inline(never)]
pub fn decide_together<R: Recorder>(
    claim: &Claim<'_, '_, '_>,
    shared: &[(u16, RuleRef)],
    decided: &mut Decided,
    recorder: &mut R,
) {
    let mut without = Decided::new();
    loop {
        let (mut lines, dropped) = share(claim, shared, decided, &without, recorder);
        if dropped.is_empty() {
            decided.append(&mut lines);
            break;
        }
        without.extend(dropped);
    }
    decided.sort_by_key(|line| line.line);
}

/// Shares what is shared, without the lines that are decided otherwise. Returns the decisions, and those of lines that
/// took part and have no amount all the same.
fn share<R: Recorder>(
    claim: &Claim<'_, '_, '_>,
    shared: &[(u16, RuleRef)],
    decided: &[LineDecision],
    without: &[LineDecision],
    recorder: &mut R,
) -> (Decided, Decided) {
    let mut lines: Vec<SharedLine<'_, '_, '_>> = shared.iter().filter_map(|line| begin(claim, *line)).collect();
    own_steps(claim, &mut lines, recorder);
    for line in lines.iter_mut().filter(|line| !matches!(line.failed, Some(NoAmount::Faulty(_)))) {
        line.failed = prepare(claim, line, recorder).err();
        if without.iter().any(|other| other.line == line.place) {
            line.failed = Some(NoAmount::Faulty(Fault::NotComputable));
        }
    }
    let amounts = (0u16..).zip(&claim.plan.order_amounts);
    let held_back: SmallVec<[Amount; 4]> = amounts
        .clone()
        .map(|(order_amount, written)| take(claim, order_amount, written, &mut lines, decided, recorder))
        .collect();
    let gifts = amounts.zip(held_back).flat_map(|((order_amount, written), held_back)| {
        [(AmountKind::Compensation, Amount::ZERO), (AmountKind::AmountDue, held_back)]
            .map(|(what, paid)| gift(claim, order_amount, written, what, paid, &lines))
    });
    let gifts: Vec<Gift> = gifts.flatten().collect();
    let (mut results, mut dropped) = (Decided::new(), Decided::new());
    for line in lines {
        let takes_part = line.takes_part();
        let SharedLine { place, rule, facts, taken, failed, .. } = line;
        if let Some(known) = without.iter().find(|known| known.line == place) {
            results.push(known.clone());
            continue;
        }
        let deducted: Result<Deductions, NoAmount> = failed.map_or(Ok(taken.deductions), Err);
        let environment = &mut Line::new(claim.plan, claim.currency, facts, recorder);
        let mut line = refunded(claim, place, rule, deducted, environment);
        if is_refunding(claim.plan, &line) {
            gifts.iter().filter(|gift| gift.line == place).for_each(|gift| gift.give(&mut line));
        } else if takes_part {
            dropped.push(line.clone());
        }
        results.push(line);
    }
    (results, dropped)
}

fn begin<'p, 'f, 'a>(claim: &Claim<'p, 'f, 'a>, (place, rule): (u16, RuleRef)) -> Option<SharedLine<'p, 'f, 'a>> {
    let (facts, effect) = (claim.facts.lines.get(usize::from(place))?, effect_of(claim.plan, rule));
    let (taken, complete) = (Taken::new(facts), unmet(claim, effect).is_empty());
    Some(SharedLine { place, rule, effect, facts, taken, carried: SmallVec::new(), failed: None, complete })
}

/// Takes what each rule takes from its own lines.
fn own_steps<R: Recorder>(claim: &Claim<'_, '_, '_>, lines: &mut [SharedLine<'_, '_, '_>], recorder: &mut R) {
    let mut rules: SmallVec<[RuleRef; 4]> = SmallVec::new();
    lines.iter().for_each(|line| {
        if !rules.contains(&line.rule) {
            rules.push(line.rule);
        }
    });
    for rule in rules {
        let mut of_rule: Vec<&mut SharedLine<'_, '_, '_>> = lines.iter_mut().filter(|line| line.rule == rule).collect();
        let mut taken: Vec<Taken> = of_rule.iter().map(|line| line.taken.clone()).collect();
        let steps = steps(effect_of(claim.plan, rule));
        let outcome = deduct_together(steps, rule, &mut taken, |at, step, source, standing, missing| {
            let Some(line) = of_rule.get(at) else { return Ok(StepResult::NotTaken) };
            recorder.line(line.place);
            let mut line = Line::new(claim.plan, claim.currency, line.facts, recorder);
            step_amount(step, source, claim.currency, standing, &mut line, missing)
        });
        for (line, taken) in of_rule.iter_mut().zip(taken) {
            for deduction in &taken.deductions {
                recorder.part(line.place, deduction.source, deduction.amount);
            }
            (line.taken, line.failed) = (taken, outcome.clone().err());
        }
    }
}

/// Notes what a line carries. Fails where a fact is missing for that, for what was taken before, or for what is given
/// beside the refund: so nothing is spread over a line that then has no amount.
fn prepare<R: Recorder>(
    claim: &Claim<'_, '_, '_>,
    line: &mut SharedLine<'_, '_, '_>,
    recorder: &mut R,
) -> Result<(), NoAmount> {
    let mut environment = Line::new(claim.plan, claim.currency, line.facts, recorder);
    environment.standing.left = Some(line.taken.left);
    let mut missing = match line.failed.take() {
        Some(NoAmount::Missing(missing)) => missing,
        Some(NoAmount::Faulty(fault)) => return Err(fault.into()),
        None => MissingFacts::new(),
    };
    for (at, step) in (0u16..).zip(steps(line.effect)) {
        let Some(order_amount) = step.order_amount else { continue };
        match environment.holds(&step.tests) {
            TestResult::No => continue,
            TestResult::Yes => {}
            TestResult::Faulty(fault) => return Err(fault.into()),
            TestResult::Missing => {
                environment.missing_in_tests(&step.tests, &mut missing);
                continue;
            }
        }
        let carried = carry(claim, order_amount, AmountKind::Deduction, at, &mut environment, &mut missing)?;
        line.carried.extend(carried);
    }
    let beside_it =
        [(&line.effect.compensations, AmountKind::Compensation), (&line.effect.amounts_due, AmountKind::AmountDue)];
    for (extras, what) in beside_it {
        for (at, extra) in (0u16..).zip(extras) {
            let Some(order_amount) = extra.order_amount else { continue };
            line.carried.extend(carry(claim, order_amount, what, at, &mut environment, &mut missing)?);
        }
    }
    if !missing.is_empty() {
        return Err(with_beside(NoAmount::Missing(missing), claim, line.place, line.effect, &mut environment));
    }
    match beside(claim, line.place, line.effect, &mut environment) {
        Err(NoAmount::Missing(missing)) => Err(NoAmount::Missing(missing)),
        // A fault may be of what is left by now; it shows when all is taken.
        Ok(_) | Err(NoAmount::Faulty(_)) => Ok(()),
    }
}

/// An amount of the order on a line; `None` where a fact is missing and noted.
fn carry<R: Recorder>(
    claim: &Claim<'_, '_, '_>,
    order_amount: u16,
    what: AmountKind,
    at: u16,
    environment: &mut Line<'_, '_, '_, R>,
    missing: &mut MissingFacts,
) -> Result<Option<Carried>, Fault> {
    let Some(written) = claim.plan.order_amounts.get(usize::from(order_amount)) else { return Ok(None) };
    let amount = extra_amount(written, claim.currency, environment, missing)?;
    Ok(amount.map(|amount| Carried { order_amount, what, at, amount }))
}

/// Takes an amount of the order from the lines that carry it. Returns what is held back of it in all, before and now.
///
/// What was taken before stays taken: each line keeps its own as far as it has not gone back since, and what was taken
/// from lines that are not decided now, or asked for as an amount due, counts for all. What then lacks is spread by what
/// can still go back of each.
fn take<R: Recorder>(
    claim: &Claim<'_, '_, '_>,
    order_amount: u16,
    written: &Extra,
    lines: &mut [SharedLine<'_, '_, '_>],
    decided: &[LineDecision],
    recorder: &mut R,
) -> Amount {
    let elsewhere = claim.earlier(&written.name, AmountKind::Deduction, |place| {
        let shared = lines.iter().any(|line| line.place == place && line.takes_part());
        let alone = decided.iter().any(|line| line.line == place && is_refunding(claim.plan, line));
        !shared && !alone
    });
    let mut carriers: Vec<(&mut SharedLine<'_, '_, '_>, Carried)> = lines
        .iter_mut()
        .filter_map(|line| line.carries(order_amount, AmountKind::Deduction).map(|it| (line, it)))
        .collect();
    let Some(whole) = carriers.first().map(|(_, carried)| carried.amount) else { return elsewhere };
    let asked = claim.earlier(&written.name, AmountKind::AmountDue, |_| true);
    let kept: Vec<Amount> =
        carriers.iter().map(|(line, _)| claim.held_back(&written.name, line.place).min(line.taken.room())).collect();
    let lacking = whole.less(elsewhere).less(asked).less(Amount::sum(kept.iter().copied()));
    let shares: SmallVec<[Share; 4]> = carriers
        .iter()
        .zip(&kept)
        .map(|((line, _), kept)| line.taken.room().less(*kept))
        .map(|room| Share { weight: room, capacity: room })
        .collect();
    let parts = allocate(lacking, shares.iter().copied());
    let mut held_back = elsewhere;
    for (((line, carried), kept), part) in carriers.iter_mut().zip(&kept).zip(parts) {
        let Some(step) = steps(line.effect).get(usize::from(carried.at)) else { continue };
        let (source, amount) = (source(line.rule, usize::from(carried.at)), kept.plus(part));
        held_back = held_back.plus(amount);
        recorder.line(line.place);
        recorder.deduction(source, claim.currency.nanos(whole), amount);
        line.taken.take(step, source, amount);
    }
    held_back
}

/// An amount of the order that is given or asked for on a line.
struct Gift {
    line: u16,
    what: AmountKind,
    extra: ExtraAmount,
}

impl Gift {
    fn give(&self, line: &mut LineDecision) {
        let list = match self.what {
            AmountKind::AmountDue => &mut line.amounts_due,
            AmountKind::Compensation | AmountKind::Deduction => &mut line.compensations,
        };
        let at = list.partition_point(|other| other.place < self.extra.place);
        list.insert(at, self.extra);
    }
}

/// Amount of the order that is given or asked for on the lines that carry it: less all that was before, and less
/// what of it is `paid` otherwise, spread by what goes back of each.
fn gift(
    claim: &Claim<'_, '_, '_>,
    order_amount: u16,
    written: &Extra,
    what: AmountKind,
    paid: Amount,
    lines: &[SharedLine<'_, '_, '_>],
) -> Vec<Gift> {
    let carriers: Vec<(&SharedLine<'_, '_, '_>, Carried)> =
        lines.iter().filter_map(|line| line.carries(order_amount, what).map(|it| (line, it))).collect();
    let Some(whole) = carriers.first().map(|(_, carried)| carried.amount) else { return Vec::new() };
    let given = whole.less(claim.earlier(&written.name, what, |_| true)).less(paid);
    let shares: SmallVec<[Share; 4]> =
        carriers.iter().map(|(line, _)| Share { weight: line.taken.left, capacity: given }).collect();
    let parts = allocate(given, shares.iter().copied());
    let gifts = carriers.iter().zip(parts).filter(|(_, part)| !part.is_zero());
    gifts
        .map(|((line, carried), amount)| Gift {
            line: line.place,
            what,
            extra: ExtraAmount { place: carried.at, amount },
        })
        .collect()
}
