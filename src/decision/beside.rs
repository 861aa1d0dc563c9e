//! Compensations and amounts due: given or asked for in addition to a refund.

use smallvec::SmallVec;

use crate::decision::claim::Claim;
use crate::decision::deduct::{NoAmount, extra_amount};
use crate::decision::explain::Recorder;
use crate::decision::line::{Line, MissingFacts, Remaining};
use crate::decision::machine::Fault;
use crate::domain::decision::ExtraAmount;
use crate::domain::words::AmountKind;
use crate::plan::rule::{Extra, RuleEffect};

type Beside = (SmallVec<[ExtraAmount; 1]>, SmallVec<[ExtraAmount; 1]>);

/// Amounts that a rule gives and asks for on a line beside its refund.
#[inline]
pub fn beside<R: Recorder>(
    claim: &Claim<'_, '_, '_>,
    place: u16,
    effect: &RuleEffect,
    line: &mut Line<'_, '_, '_, R>,
) -> Result<Beside, NoAmount> {
    if effect.compensations.is_empty() && effect.amounts_due.is_empty() {
        return Ok((SmallVec::new(), SmallVec::new()));
    }
    let mut missing = MissingFacts::new();
    let compensations = extras(&effect.compensations, AmountKind::Compensation, (claim, place), line, &mut missing)?;
    let amounts_due = extras(&effect.amounts_due, AmountKind::AmountDue, (claim, place), line, &mut missing)?;
    if missing.is_empty() { Ok((compensations, amounts_due)) } else { Err(NoAmount::Missing(missing)) }
}

/// Where facts are missing for what is taken: those that are missing for what is given beside it too, so that all can be
/// sent at once. A fault there comes before missing facts, as everywhere.
#[inline(never)]
pub fn with_beside<R: Recorder>(
    no_amount: NoAmount,
    claim: &Claim<'_, '_, '_>,
    place: u16,
    effect: &RuleEffect,
    line: &mut Line<'_, '_, '_, R>,
) -> NoAmount {
    let NoAmount::Missing(mut missing) = no_amount else { return no_amount };
    line.standing = Remaining { left: None, previous: None };
    match beside(claim, place, effect, line) {
        Ok(_) => {}
        Err(NoAmount::Missing(more)) => {
            more.into_iter().for_each(|fact| {
                if !missing.contains(&fact) {
                    missing.push(fact)
                }
            });
        }
        Err(faulty @ NoAmount::Faulty(_)) => return faulty,
    }
    NoAmount::Missing(missing)
}

/// Amounts given or owed beside a refund; facts that are missing for them are noted.
fn extras<R: Recorder>(
    extras: &[Extra],
    what: AmountKind,
    (claim, place): (&Claim<'_, '_, '_>, u16),
    line: &mut Line<'_, '_, '_, R>,
    missing: &mut MissingFacts,
) -> Result<SmallVec<[ExtraAmount; 1]>, Fault> {
    let mut amounts = SmallVec::new();
    // What is carried is given once, when all lines are decided.
    let own = (0u16..).zip(extras).filter(|(_, extra)| extra.order_amount.is_none());
    for (at, extra) in own {
        let Some(amount) = extra_amount(extra, claim.currency, line, missing)? else { continue };
        let amount = amount.less(claim.earlier(&extra.name, what, |of| of == place));
        if !amount.is_zero() {
            amounts.push(ExtraAmount { place: at, amount });
        }
    }
    Ok(amounts)
}
