//! How much is held back from a line.
//!
//! Steps run in the order the rule lists them, each on what the last one left. Nothing here
//! knows why a claim is eligible.

use smallvec::SmallVec;

use crate::decision::explain::Recorder;
use crate::decision::line::{Held, Line, MissingFacts};
use crate::decision::machine::{Fault, run};
use crate::domain::decision::{Deduction, DeductionSource, RuleRef};
use crate::domain::exact::{Exact, Rounding, RoundingMode};
use crate::domain::facts::Value;
use crate::domain::money::{Amount, Currency};
use crate::plan::formula::Formula;
use crate::plan::rule::{Rounded, Step, StepAmount};

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

/// Takes the steps from `base`, in order; each between nothing and what is left.
pub fn deduct<R: Recorder>(
    steps: &[Step],
    rule: RuleRef,
    base: Amount,
    currency: &Currency,
    line: &mut Line<'_, '_, '_, R>,
) -> Result<Deductions, NoAmount> {
    let mut deductions = Deductions::new();
    let mut left = base;
    let mut missing = MissingFacts::new();
    line.previous = Exact::ZERO;
    for (place, step) in steps.iter().enumerate() {
        line.remaining = currency.nanos(left);
        let exact = match amount(step, line, &mut missing)? {
            Some(exact) => exact,
            None => continue,
        };
        let taken = bounded(exact, step, currency, left, line, &mut missing)?;
        let source = DeductionSource::Step { rule, step: u16::try_from(place).unwrap_or(u16::MAX) };
        line.recorder.deduction(source, exact, taken);
        line.previous = currency.nanos(taken);
        if !taken.is_zero() {
            deductions.push(Deduction { kind: step.kind, source, base: left, amount: taken });
        }
        left = left.less(taken);
    }
    if missing.is_empty() { Ok(deductions) } else { Err(NoAmount::Missing(missing)) }
}

/// The amount of a step before bounds and rounding; `None` where it is not taken, or a fact is
/// missing and noted.
fn amount<R: Recorder>(
    step: &Step,
    line: &mut Line<'_, '_, '_, R>,
    missing: &mut MissingFacts,
) -> Result<Option<Exact>, Fault> {
    match line.holds(&step.tests) {
        Held::Yes => {}
        Held::No => return Ok(None),
        Held::Faulty(fault) => return Err(fault),
        Held::Missing => {
            line.missing_in_tests(&step.tests, missing);
            return Ok(None);
        }
    }
    match &step.amount {
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

/// Rounds first, then bounds: a floor of 2.00 is 2.00 whatever the step of the rounding is.
fn bounded<R: Recorder>(
    exact: Exact,
    step: &Step,
    currency: &Currency,
    left: Amount,
    line: &mut Line<'_, '_, '_, R>,
    missing: &mut MissingFacts,
) -> Result<Amount, Fault> {
    let minor = Exact::whole(i128::from(currency.nanos_per_minor()));
    let to_minor_unit = Rounding { increment: minor, mode: RoundingMode::HalfUp };
    let rounding = match step.rounding {
        None => to_minor_unit,
        Some(rounding) if rounding.increment.is_zero() => Rounding { increment: minor, ..rounding },
        Some(rounding) => rounding,
    };
    let mut amount = match step.rounded {
        Rounded::Deduction => exact.round(rounding)?,
        Rounded::Refund => {
            let whole = currency.nanos(left);
            whole.minus(whole.minus(exact)?.round(rounding)?)?
        }
    };
    if let Some(low) = &step.at_least
        && let Some(low) = number(low, line, missing)?
    {
        amount = amount.max(low.round(to_minor_unit)?);
    }
    if let Some(high) = &step.at_most
        && let Some(high) = number(high, line, missing)?
    {
        amount = amount.min(high.round(to_minor_unit)?);
    }
    Ok(currency.from_nanos(amount.max(Exact::ZERO).min(currency.nanos(left)))?)
}
