//! The decision on one line, once its rule is known: what goes back, or why no amount was worked out.

use smallvec::SmallVec;

use crate::decision::beside::beside;
use crate::decision::claim::{Claim, unmet};
use crate::decision::deduct::{Deductions, NoAmount, within};
use crate::decision::explain::Recorder;
use crate::decision::line::{Line, MissingFacts};
use crate::decision::machine::Fault;
use crate::domain::decision::{LineDecision, ReasonCodes, RuleRef};
use crate::domain::facts::Value;
use crate::domain::money::Amount;
use crate::domain::words::{LiableParty, Outcome, ReasonCode};
use crate::plan::Plan;
use crate::plan::rule::{Action, RuleEffect};

/// The decisions on lines. One is large to move, so each is put here where it is made.
pub type Decided = SmallVec<[LineDecision; 1]>;

/// The decision on a line of which its rule has taken what it takes.
pub fn refunded<R: Recorder>(
    claim: &Claim<'_, '_, '_>,
    place: u16,
    rule: RuleRef,
    deducted: Result<Deductions, NoAmount>,
    line: &mut Line<'_, '_, '_, R>,
) -> LineDecision {
    let effect = effect_of(claim.plan, rule);
    let lacking = unmet(claim, effect);
    let liable = liable(line);
    let mut deductions = match deducted {
        Ok(deductions) => deductions,
        Err(no_amount) => return without_amount(no_amount, place, rule, lacking, liable),
    };
    // What goes back of the line in all, before and now.
    let taken = Amount::sum(deductions.iter().map(|deduction| deduction.amount));
    let due = line.facts.paid.less(taken);
    line.standing.left = Some(due);
    let (compensations, amounts_due) = match beside(claim, place, effect, line) {
        Ok(beside) => beside,
        Err(no_amount) => return without_amount(no_amount, place, rule, lacking, liable),
    };
    if !lacking.is_empty() {
        return undecided(place, rule, Outcome::MoreInfoRequired, lacking, liable);
    }
    let base = line.facts.refundable();
    let held_back = within(base, taken, &mut deductions);
    let refund = base.less(held_back);
    let (outcome, reason_codes) = match (base.is_zero(), line.facts.paid.is_zero()) {
        (true, false) => (Outcome::Denied, ReasonCodes::of(&[ReasonCode::AlreadyRefunded])),
        (true, true) | (false, _) => approved(refund, held_back),
    };
    LineDecision {
        line: place,
        outcome,
        reason_codes,
        rule,
        liable,
        base,
        refund,
        due,
        deductions,
        compensations,
        amounts_due,
        missing_facts: MissingFacts::new(),
    }
}

/// The decision on a line whose amount could not be worked out.
fn without_amount(
    no_amount: NoAmount,
    place: u16,
    rule: RuleRef,
    mut lacking: ReasonCodes,
    liable: Option<LiableParty>,
) -> LineDecision {
    match no_amount {
        // A fault is for a person, whatever the claim still lacks.
        NoAmount::Faulty(fault) => {
            undecided(place, rule, Outcome::ManualReview, ReasonCodes::of(&[fault_code(fault)]), liable)
        }
        NoAmount::Missing(missing) => {
            lacking.insert(ReasonCode::FactMissing);
            let undecided = undecided(place, rule, Outcome::MoreInfoRequired, lacking, liable);
            LineDecision { missing_facts: missing, ..undecided }
        }
    }
}

/// A line for which no amount was worked out.
pub fn undecided(
    line: u16,
    rule: RuleRef,
    outcome: Outcome,
    reason_codes: ReasonCodes,
    liable: Option<LiableParty>,
) -> LineDecision {
    LineDecision {
        line,
        outcome,
        reason_codes,
        rule,
        liable,
        base: Amount::ZERO,
        refund: Amount::ZERO,
        due: Amount::ZERO,
        deductions: SmallVec::new(),
        compensations: SmallVec::new(),
        amounts_due: SmallVec::new(),
        missing_facts: MissingFacts::new(),
    }
}

/// The answer for an amount: all of it, a part of it, or nothing.
pub fn approved(refund: Amount, held_back: Amount) -> (Outcome, ReasonCodes) {
    match (refund.is_zero(), held_back.is_zero()) {
        (true, _) => (Outcome::Denied, ReasonCodes::of(&[ReasonCode::NothingRefundable])),
        (false, true) => (Outcome::ApprovedFull, ReasonCodes::default()),
        (false, false) => (Outcome::ApprovedPartial, ReasonCodes::of(&[ReasonCode::DeductionsApplied])),
    }
}

/// Returns true if a refunding rule decided a line and everything that it needs was there, even if nothing is left of the line.
#[inline]
pub fn is_refunding(plan: &Plan, line: &LineDecision) -> bool {
    let decided = match line.outcome {
        Outcome::ApprovedFull | Outcome::ApprovedPartial | Outcome::Denied => true,
        Outcome::MoreInfoRequired | Outcome::ManualReview => false,
    };
    decided && matches!(effect_of(plan, line.rule).action, Action::Refund(_))
}

/// Effect of a rule, or of the policy's `otherwise`.
#[inline]
pub fn effect_of(plan: &Plan, rule: RuleRef) -> &RuleEffect {
    plan.effect(rule)
}

/// The reason code of a fault.
pub fn fault_code(fault: Fault) -> ReasonCode {
    match fault {
        Fault::NotComputable => ReasonCode::NotComputable,
        Fault::BeyondCalendar => ReasonCode::CalendarNotCovered,
    }
}

/// Liable party, as far as the facts say so.
pub fn liable<R: Recorder>(line: &mut Line<'_, '_, '_, R>) -> Option<LiableParty> {
    match line.value(line.plan.liable) {
        Ok(Some(Value::Word(word))) => LiableParty::from_index(*word),
        Ok(Some(Value::Flag(_) | Value::Set(_) | Value::Quantity(_) | Value::Text) | None) | Err(_) => None,
    }
}
