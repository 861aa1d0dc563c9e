//! How much is held back from the lines that one rule decides.
//!
//! Steps run in the order the rule lists them, each on what the last one left; a step for the
//! whole order runs once and is spread over the lines. Nothing here knows why a claim is eligible.

use smallvec::SmallVec;

use crate::decision::explain::Recorder;
use crate::decision::line::{Held, Line, MissingFacts};
use crate::decision::machine::{Fault, run};
use crate::domain::allocate::{Share, allocate};
use crate::domain::decision::{Deduction, DeductionSource, RuleRef};
use crate::domain::exact::{Exact, Rounding, RoundingMode};
use crate::domain::facts::Value;
use crate::domain::money::{Amount, Currency};
use crate::plan::formula::Formula;
use crate::plan::rule::{Extra, Rounded, Step, StepAmount, StepScope};

/// What was held back from a line.
pub type Deductions = SmallVec<[Deduction; 2]>;

/// Why there is no amount.
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
    /// What is left of its refundable base.
    pub left: Amount,
    /// What the step before took.
    previous: Amount,
    /// What was held back so far.
    pub deductions: Deductions,
}

impl Taken {
    /// A line of which nothing is held back yet.
    pub fn new(base: Amount) -> Self {
        Self { left: base, previous: Amount::ZERO, deductions: Deductions::new() }
    }

    fn take(&mut self, step: &Step, source: DeductionSource, amount: Amount) {
        if !amount.is_zero() {
            self.deductions.push(Deduction { kind: step.kind, source, base: self.left, amount });
        }
        self.left = self.left.less(amount);
        self.previous = amount;
    }
}

/// Takes the steps from one line.
pub fn deduct<R: Recorder>(
    steps: &[Step],
    rule: RuleRef,
    currency: &Currency,
    line: &mut Line<'_, '_, '_, R>,
) -> Result<Deductions, NoAmount> {
    let mut taken = Taken::new(line.facts.refundable());
    let mut missing = MissingFacts::new();
    for (place, step) in steps.iter().enumerate() {
        let source = source(rule, place);
        if let Some(amount) = step_amount(step, source, currency, taken.left, taken.previous, line, &mut missing)? {
            taken.take(step, source, amount);
        }
    }
    if missing.is_empty() { Ok(taken.deductions) } else { Err(NoAmount::Missing(missing)) }
}

/// Takes the steps from all lines of a rule, those of the whole order among them. `with` runs
/// something on one of the lines; the facts of the whole order are the same on each.
pub fn deduct_together(
    steps: &[Step],
    rule: RuleRef,
    lines: &mut [Taken],
    mut with: impl FnMut(usize, &Step, DeductionSource, Amount, Amount, &mut MissingFacts) -> Result<Option<Amount>, Fault>,
) -> Result<(), NoAmount> {
    let mut missing = MissingFacts::new();
    for (place, step) in steps.iter().enumerate() {
        let source = source(rule, place);
        match step.scope {
            StepScope::Line => {
                for (at, taken) in lines.iter_mut().enumerate() {
                    if let Some(amount) = with(at, step, source, taken.left, taken.previous, &mut missing)? {
                        taken.take(step, source, amount);
                    }
                }
            }
            StepScope::Order => {
                let left = Amount::sum(lines.iter().map(|taken| taken.left));
                let previous = Amount::sum(lines.iter().map(|taken| taken.previous));
                let Some(amount) = with(0, step, source, left, previous, &mut missing)? else { continue };
                let shares: SmallVec<[Share; 4]> =
                    lines.iter().map(|taken| Share { weight: taken.left, capacity: taken.left }).collect();
                for (taken, part) in lines.iter_mut().zip(allocate(amount, &shares)) {
                    taken.take(step, source, part);
                }
            }
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(NoAmount::Missing(missing)) }
}

fn source(rule: RuleRef, step: usize) -> DeductionSource {
    DeductionSource::Step { rule, step: u16::try_from(step).unwrap_or(u16::MAX) }
}

/// What one step takes of what is left; `None` where it is not taken, or a fact is missing and noted.
pub fn step_amount<R: Recorder>(
    step: &Step,
    source: DeductionSource,
    currency: &Currency,
    left: Amount,
    previous: Amount,
    line: &mut Line<'_, '_, '_, R>,
    missing: &mut MissingFacts,
) -> Result<Option<Amount>, Fault> {
    line.remaining = currency.nanos(left);
    line.previous = currency.nanos(previous);
    match line.holds(&step.tests) {
        Held::Yes => {}
        Held::No => return Ok(None),
        Held::Faulty(fault) => return Err(fault),
        Held::Missing => {
            line.missing_in_tests(&step.tests, missing);
            return Ok(None);
        }
    }
    let Some(exact) = exact_amount(&step.amount, line, missing)? else { return Ok(None) };
    let rounded = match step.rounded {
        Rounded::Deduction => exact.round(rounding(step.rounding, currency))?,
        Rounded::Refund => {
            let whole = currency.nanos(left);
            whole.minus(whole.minus(exact)?.round(rounding(step.rounding, currency))?)?
        }
    };
    let bounded = bounded(rounded, step.at_least.as_ref(), step.at_most.as_ref(), currency, line, missing)?;
    let taken = currency.from_nanos(bounded.min(currency.nanos(left)))?;
    line.recorder.deduction(source, exact, taken);
    Ok(Some(taken))
}

/// What is given or owed beside the refund; `None` where it is not, or a fact is missing and noted.
pub fn extra_amount<R: Recorder>(
    extra: &Extra,
    currency: &Currency,
    line: &mut Line<'_, '_, '_, R>,
    missing: &mut MissingFacts,
) -> Result<Option<Amount>, Fault> {
    match line.holds(&extra.tests) {
        Held::Yes => {}
        Held::No => return Ok(None),
        Held::Faulty(fault) => return Err(fault),
        Held::Missing => {
            line.missing_in_tests(&extra.tests, missing);
            return Ok(None);
        }
    }
    let Some(exact) = number(&extra.amount, line, missing)? else { return Ok(None) };
    let rounded = exact.round(rounding(extra.rounding, currency))?;
    let bounded = bounded(rounded, extra.at_least.as_ref(), extra.at_most.as_ref(), currency, line, missing)?;
    Ok(Some(currency.from_nanos(bounded)?))
}

/// The amount of a step before bounds and rounding; `None` where a fact is missing and noted.
fn exact_amount<R: Recorder>(
    amount: &StepAmount,
    line: &mut Line<'_, '_, '_, R>,
    missing: &mut MissingFacts,
) -> Result<Option<Exact>, Fault> {
    match amount {
        StepAmount::Formula(formula) => number(formula, line, missing),
        StepAmount::Tiers { on, tiers, of } => {
            let (on, base) = match of {
                Some(of) => (number(on, line, missing)?, number(of, line, missing)?),
                None => (number(on, line, missing)?, Some(Exact::ONE)),
            };
            let (Some(on), Some(base)) = (on, base) else { return Ok(None) };
            // The checker leaves no number without a tier.
            let (_, tier) = tiers.iter().find(|(interval, _)| interval.contains(on)).ok_or(Fault::NotComputable)?;
            let Some(tier) = number(tier, line, missing)? else { return Ok(None) };
            Ok(Some(tier.times(base)?))
        }
    }
}

/// The result of a formula; `None` where a fact is missing and noted.
fn number<R: Recorder>(
    formula: &Formula,
    line: &mut Line<'_, '_, '_, R>,
    missing: &mut MissingFacts,
) -> Result<Option<Exact>, Fault> {
    match run(formula, line.plan, line)? {
        Some(Value::Quantity(number)) => Ok(Some(number)),
        Some(Value::Flag(_) | Value::Word(_) | Value::Set(_) | Value::Text) => Err(Fault::NotComputable),
        None => {
            line.missing_in_formula(formula, missing);
            Ok(None)
        }
    }
}

fn to_minor_unit(currency: &Currency) -> Rounding {
    Rounding { increment: Exact::whole(i128::from(currency.nanos_per_minor())), mode: RoundingMode::HalfUp }
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
/// below zero.
fn bounded<R: Recorder>(
    mut amount: Exact,
    at_least: Option<&Formula>,
    at_most: Option<&Formula>,
    currency: &Currency,
    line: &mut Line<'_, '_, '_, R>,
    missing: &mut MissingFacts,
) -> Result<Exact, Fault> {
    if let Some(low) = at_least
        && let Some(low) = number(low, line, missing)?
    {
        amount = amount.max(low.round(to_minor_unit(currency))?);
    }
    if let Some(high) = at_most
        && let Some(high) = number(high, line, missing)?
    {
        amount = amount.min(high.round(to_minor_unit(currency))?);
    }
    Ok(amount.max(Exact::ZERO))
}
