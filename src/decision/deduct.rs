//! Deductions from the lines that one rule decides.
//!
//! Steps run in the order the rule lists them, each on what the last one left; a step for the
//! whole order runs once and is spread over the lines. Nothing here knows why a claim is eligible.

use std::num::NonZeroU16;

use smallvec::SmallVec;

use crate::decision::explain::Recorder;
use crate::decision::line::{Line, MissingFacts, Remaining, TestResult};
use crate::decision::machine::{Environment as _, Fault, carried, run};
use crate::domain::allocate::{Share, allocate};
use crate::domain::decision::{Deduction, DeductionSource, RuleRef};
use crate::domain::facts::{LineFacts, Value};
use crate::domain::money::{Amount, Currency};
use crate::domain::ratio::{Ratio, Rounding, RoundingMode, SmallRatio};
use crate::plan::formula::Formula;
use crate::plan::rule::{Extra, Rounded, Step, StepAmount, StepScope};

/// Deductions from a line.
pub type Deductions = SmallVec<[Deduction; 2]>;

/// Reason why there is no amount.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NoAmount {
    /// These facts are missing.
    Missing(MissingFacts),
    /// A formula has no result.
    Faulty(Fault),
}

impl From<Fault> for NoAmount {
    fn from(fault: Fault) -> Self {
        Self::Faulty(fault)
    }
}

/// A line from which something is held back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Taken {
    /// Rest of its price.
    pub left: Amount,
    /// Part of it that is gone already: what went back earlier, and what tenders kept of that.
    gone: Amount,
    /// Amount of the step before.
    previous: Amount,
    /// Knowledge of the two above: where a fact is missing, the amount of a step is not known.
    known: Known,
    /// Deductions so far.
    pub deductions: Deductions,
}

/// Knowledge of what earlier steps took.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Known {
    Yes,
    No,
}

/// Result of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StepResult {
    /// It is not taken.
    NotTaken,
    /// A fact is missing and noted.
    Unknown,
    /// It takes this much.
    Takes(Amount, DeductionSource),
}

impl Taken {
    /// A line of which nothing is held back yet: all of its price is left. What went back of it earlier is taken from
    /// the result.
    #[inline]
    pub fn new(facts: &LineFacts<'_>) -> Self {
        let (left, gone) = (facts.paid, facts.gone);
        Self { left, gone, previous: Amount::ZERO, known: Known::Yes, deductions: Deductions::new() }
    }

    /// Refund that is still possible: an amount of several lines is taken where there is something to take it from.
    pub fn room(&self) -> Amount {
        self.left.less(self.gone)
    }

    /// Takes an amount for a step.
    #[inline]
    pub fn take(&mut self, step: &Step, source: DeductionSource, amount: Amount) {
        if !amount.is_zero() {
            self.deductions.push(Deduction { kind: step.kind, source, base: self.left, amount });
        }
        self.left = self.left.less(amount);
        self.previous = amount;
    }

    fn standing(&self) -> Remaining {
        match self.known {
            Known::Yes => Remaining { left: Some(self.left), previous: Some(self.previous) },
            Known::No => Remaining { left: None, previous: None },
        }
    }
}

/// Takes the steps from one line.
#[inline]
pub fn deduct<R: Recorder>(
    steps: &[Step],
    rule: RuleRef,
    currency: &Currency,
    line: &mut Line<'_, '_, '_, R>,
) -> Result<Deductions, NoAmount> {
    let mut taken = Taken::new(line.facts);
    let mut missing = MissingFacts::new();
    for (place, step) in steps.iter().enumerate() {
        let source = source(rule, place);
        match step_amount(step, source, currency, taken.standing(), line, &mut missing)? {
            StepResult::Takes(amount, source) => taken.take(step, source, amount),
            StepResult::Unknown => taken.known = Known::No,
            StepResult::NotTaken => {}
        }
    }
    if missing.is_empty() { Ok(taken.deductions) } else { Err(NoAmount::Missing(missing)) }
}

/// Takes the steps from all lines of a rule, those of the whole order among them. `with` runs
/// something on one of the lines; the facts of the whole order are the same on each. The first step with a fault ends it
/// for all lines.
pub fn deduct_together(
    steps: &[Step],
    rule: RuleRef,
    lines: &mut [Taken],
    mut with: impl FnMut(usize, &Step, DeductionSource, Remaining, &mut MissingFacts) -> Result<StepResult, Fault>,
) -> Result<(), NoAmount> {
    let mut missing = MissingFacts::new();
    for (place, step) in steps.iter().enumerate() {
        let source = source(rule, place);
        match step.scope {
            // What is carried is taken once all lines of all rules have come so far.
            StepScope::Line | StepScope::Order if step.order_amount.is_some() => {}
            StepScope::Line => {
                // Of faults in the same step the same counts, whatever the order of the lines.
                let mut fault: Option<Fault> = None;
                for (at, taken) in lines.iter_mut().enumerate() {
                    match with(at, step, source, taken.standing(), &mut missing) {
                        Ok(StepResult::Takes(amount, source)) => taken.take(step, source, amount),
                        Ok(StepResult::Unknown) => taken.known = Known::No,
                        Ok(StepResult::NotTaken) => {}
                        Err(other) => fault = Some(fault.map_or(other, |fault| fault.min(other))),
                    }
                }
                if let Some(fault) = fault {
                    return Err(fault.into());
                }
            }
            StepScope::Order => {
                let known = lines.iter().all(|taken| taken.known == Known::Yes);
                let sum = |of: fn(&Taken) -> Amount| known.then(|| Amount::sum(lines.iter().map(of)));
                let standing = Remaining { left: sum(|taken| taken.left), previous: sum(|taken| taken.previous) };
                let (amount, source) = match with(0, step, source, standing, &mut missing)? {
                    StepResult::Takes(amount, source) => (amount, source),
                    StepResult::NotTaken => continue,
                    StepResult::Unknown => {
                        lines.iter_mut().for_each(|taken| taken.known = Known::No);
                        continue;
                    }
                };
                let shares: SmallVec<[Share; 4]> =
                    lines.iter().map(|taken| Share { weight: taken.left, capacity: taken.room() }).collect();
                for (taken, part) in lines.iter_mut().zip(allocate(amount, shares.iter().copied())) {
                    taken.take(step, source, part);
                }
            }
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(NoAmount::Missing(missing)) }
}

/// The step of a rule at a place.
pub fn source(rule: RuleRef, step: usize) -> DeductionSource {
    DeductionSource::Step { rule, step: u16::try_from(step).unwrap_or(u16::MAX), tier: None }
}

/// The same with the tier that it goes by.
const fn by_tier(source: DeductionSource, tier: Option<NonZeroU16>) -> DeductionSource {
    match source {
        DeductionSource::Step { rule, step, tier: _ } => DeductionSource::Step { rule, step, tier },
        DeductionSource::Component | DeductionSource::NonRefundableTender | DeductionSource::RequestedAmount => source,
    }
}

/// Amount that one step takes of what is left. Where that is not known, the step is still looked at, so that the facts
/// that it lacks itself are noted too.
pub fn step_amount<R: Recorder>(
    step: &Step,
    source: DeductionSource,
    currency: &Currency,
    standing: Remaining,
    line: &mut Line<'_, '_, '_, R>,
    missing: &mut MissingFacts,
) -> Result<StepResult, Fault> {
    line.standing = standing;
    match line.holds(&step.tests) {
        TestResult::Yes => {}
        TestResult::No => return Ok(StepResult::NotTaken),
        TestResult::Faulty(fault) => return Err(fault),
        TestResult::Missing => {
            line.missing_in_tests(&step.tests, missing);
            return Ok(StepResult::Unknown);
        }
    }
    if let Some((short, taken)) = taken_plainly(step, currency, line) {
        line.recorder.deduction(source, short.into(), taken);
        return Ok(StepResult::Takes(taken, source));
    }
    let Some((exact, tier)) = exact_amount(&step.amount, line, missing)? else { return Ok(StepResult::Unknown) };
    let source = by_tier(source, tier);
    let (rounding, remaining) = (rounding(step.rounding, currency), line.remaining());
    let rounded = match (step.rounded, remaining) {
        (Rounded::Deduction, _) | (Rounded::Refund, None) => exact.round(rounding)?,
        (Rounded::Refund, Some(left)) => left.minus(left.minus(exact)?.round(rounding)?)?,
    };
    let bounded = bounded(rounded, step.at_least.as_ref(), step.at_most.as_ref(), currency, line, missing)?;
    let (Some(bounded), Some(left)) = (bounded, remaining) else { return Ok(StepResult::Unknown) };
    let taken = currency.from_nanos(bounded.min(left))?;
    line.recorder.deduction(source, exact, taken);
    Ok(StepResult::Takes(taken, source))
}

/// Amount of most steps, exactly and as it is taken: a formula, rounded to the minor unit, without bounds of its
/// own, where numbers of 64 bits do. `None` for any other, which takes the long way.
#[inline]
fn taken_plainly<R: Recorder>(
    step: &Step,
    currency: &Currency,
    line: &mut Line<'_, '_, '_, R>,
) -> Option<(SmallRatio, Amount)> {
    let Step { amount: StepAmount::Formula(formula), at_least: None, at_most: None, rounding: None, .. } = step else {
        return None;
    };
    if step.rounded == Rounded::Refund {
        return None;
    }
    let left = line.standing.left?;
    let exact = carried(formula, line)?;
    let minor = exact.rounded(currency.nanos_per_minor(), TO_MINOR_UNIT)?;
    Some((exact, Amount::from_minor(minor.max(0)).min(left)))
}

/// Holds deductions that come to `taken` within what is left to refund: where earlier refunds were larger than the
/// deductions leave room for, the last deductions come too late. Returns what is held back.
#[inline]
pub fn within(base: Amount, taken: Amount, deductions: &mut Deductions) -> Amount {
    let mut over = taken.less(base);
    while !over.is_zero() {
        let Some(last) = deductions.last_mut() else { break };
        let cut = last.amount.min(over);
        (last.amount, over) = (last.amount.less(cut), over.less(cut));
        if last.amount.is_zero() {
            deductions.pop();
        }
    }
    taken.min(base)
}

/// Amount given or owed beside the refund, or amount of the order, before what was given earlier; `None`
/// where it is not given, or a fact is missing and noted.
pub fn extra_amount<R: Recorder>(
    extra: &Extra,
    currency: &Currency,
    line: &mut Line<'_, '_, '_, R>,
    missing: &mut MissingFacts,
) -> Result<Option<Amount>, Fault> {
    match line.holds(&extra.tests) {
        TestResult::Yes => {}
        TestResult::No => return Ok(None),
        TestResult::Faulty(fault) => return Err(fault),
        TestResult::Missing => {
            line.missing_in_tests(&extra.tests, missing);
            return Ok(None);
        }
    }
    let Some(exact) = number(&extra.amount, line, missing)? else { return Ok(None) };
    let rounded = exact.round(rounding(extra.rounding, currency))?;
    let bounded = bounded(rounded, extra.at_least.as_ref(), extra.at_most.as_ref(), currency, line, missing)?;
    bounded.map(|bounded| currency.from_nanos(bounded)).transpose().map_err(Fault::from)
}

/// The amount of a step before bounds and rounding, and the tier that it goes by, counted from one; `None` where a fact
/// is missing and noted.
fn exact_amount<R: Recorder>(
    amount: &StepAmount,
    line: &mut Line<'_, '_, '_, R>,
    missing: &mut MissingFacts,
) -> Result<Option<(Ratio, Option<NonZeroU16>)>, Fault> {
    match amount {
        StepAmount::Formula(formula) => Ok(number(formula, line, missing)?.map(|exact| (exact, None))),
        StepAmount::Tiers { on, tiers, of } => {
            let (on, base) = match of {
                Some(of) => (number(on, line, missing)?, number(of, line, missing)?),
                None => (number(on, line, missing)?, Some(Ratio::ONE)),
            };
            let (Some(on), Some(base)) = (on, base) else { return Ok(None) };
            // The checker leaves no number without a tier.
            let found = tiers.iter().zip(1_u16..).find(|(tier, _)| tier.range.contains(on));
            let (tier, place) = found.ok_or(Fault::NotComputable)?;
            let Some(value) = number(&tier.value, line, missing)? else { return Ok(None) };
            Ok(Some((value.times(base)?, NonZeroU16::new(place))))
        }
    }
}

/// The result of a formula; `None` where a fact is missing and noted.
fn number<R: Recorder>(
    formula: &Formula,
    line: &mut Line<'_, '_, '_, R>,
    missing: &mut MissingFacts,
) -> Result<Option<Ratio>, Fault> {
    match run(formula, line.plan, line)? {
        Some(Value::Quantity(number)) => Ok(Some(number)),
        Some(Value::Flag(_) | Value::Word(_) | Value::Set(_) | Value::Text) => Err(Fault::NotComputable),
        None => {
            line.missing_in_formula(formula, missing);
            Ok(None)
        }
    }
}

/// Rounding of amounts to the minor unit where a policy does not say.
const TO_MINOR_UNIT: RoundingMode = RoundingMode::HalfUp;

fn to_minor_unit(currency: &Currency) -> Rounding {
    Rounding { increment: Ratio::whole(i128::from(currency.nanos_per_minor())), mode: TO_MINOR_UNIT }
}

/// The rounding of a step; without an increment of its own, to the currency's minor unit.
fn rounding(own: Option<Rounding>, currency: &Currency) -> Rounding {
    let usual = to_minor_unit(currency);
    match own {
        None => usual,
        Some(own) if own.increment.is_zero() => Rounding { increment: usual.increment, ..own },
        Some(own) => own,
    }
}

/// Bounds come after rounding: a floor of 2.00 is 2.00 whatever the step of the rounding is. Never
/// below zero; `None` where a fact is missing and noted.
fn bounded<R: Recorder>(
    amount: Ratio,
    at_least: Option<&Formula>,
    at_most: Option<&Formula>,
    currency: &Currency,
    line: &mut Line<'_, '_, '_, R>,
    missing: &mut MissingFacts,
) -> Result<Option<Ratio>, Fault> {
    let mut bounded = Some(amount);
    if let Some(low) = at_least {
        let low = number(low, line, missing)?.map(|low| low.round(to_minor_unit(currency))).transpose()?;
        bounded = bounded.zip(low).map(|(amount, low)| amount.max(low));
    }
    if let Some(high) = at_most {
        let high = number(high, line, missing)?.map(|high| high.round(to_minor_unit(currency))).transpose()?;
        bounded = bounded.zip(high).map(|(amount, high)| amount.min(high));
    }
    Ok(bounded.map(|amount| amount.max(Ratio::ZERO)))
}
