//! The lines of a claim: which rule decides each, and what that says.

use smallvec::{SmallVec, smallvec};

use crate::decision::beside::with_beside;
use crate::decision::claim::{Claim, unmet};
use crate::decision::decided::{Decided, effect_of, fault_code, liable, refunded, undecided};
use crate::decision::deduct::deduct;
use crate::decision::explain::Recorder;
use crate::decision::line::{Line, MissingFacts};
use crate::decision::search::{Found, search};
use crate::decision::together::decide_together;
use crate::domain::decision::{LineDecision, ReasonCodes, RuleRef};
use crate::domain::facts::{Coverage, LineFacts, Value};
use crate::domain::words::{Outcome, ReasonCode};
use crate::plan::Plan;
use crate::plan::rule::{Action, LayerPower};

/// Actions on a line whose rule is found.
enum Evaluated {
    /// It is decided, and its decision is added to the others.
    Alone,
    /// It is to be refunded by this rule, less what that takes from all of its lines together.
    Together(RuleRef),
}

/// Finds the rule of a line and follows it.
fn line<R: Recorder>(
    claim: &Claim<'_, '_, '_>,
    place: u16,
    facts: &LineFacts<'_>,
    recorder: &mut R,
    decided: &mut Decided,
) -> Evaluated {
    let plan = claim.plan;
    let mut line = Line::new(plan, claim.currency, facts, recorder);
    if let Some((outcome, codes, missing)) = not_governed(plan, &mut line) {
        let undecided = undecided(place, RuleRef::Otherwise, outcome, codes, None);
        decided.push(LineDecision { missing_facts: missing, ..undecided });
        return Evaluated::Alone;
    }
    evaluate_line(claim, place, 0, &mut line, decided)
}

/// Finds the rule of a line from a place of the policy on, and follows it. A rule of a layer that
/// may only improve is checked against what the policy below it decides, and the better one counts.
fn evaluate_line<R: Recorder>(
    claim: &Claim<'_, '_, '_>,
    place: u16,
    from: u32,
    line: &mut Line<'_, '_, '_, R>,
    decided: &mut Decided,
) -> Evaluated {
    let found = search(claim.plan, from, line);
    match layer_below(claim.plan, found) {
        None => apply_rule(claim, place, found, line, decided),
        Some(below) => better_of_layers(claim, place, found, below, line, decided),
    }
}

/// Decision that was found above, or that of the policy below it where that is better.
#[inline(never)]
fn better_of_layers<R: Recorder>(
    claim: &Claim<'_, '_, '_>,
    place: u16,
    found: Found,
    below: u32,
    line: &mut Line<'_, '_, '_, R>,
    decided: &mut Decided,
) -> Evaluated {
    if let together @ Evaluated::Together(_) = apply_rule(claim, place, found, line, decided) {
        return together;
    }
    let above = decided.pop();
    // Each layer is left behind for good, so this ends after as many steps as there are layers.
    let apply_rule = evaluate_line(claim, place, below, line, decided);
    if let (Evaluated::Alone, Some(above), Some(other)) = (&apply_rule, above, decided.last_mut())
        && better(&above, other)
    {
        *other = above;
    }
    apply_rule
}

/// Does what was found.
#[inline]
fn apply_rule<R: Recorder>(
    claim: &Claim<'_, '_, '_>,
    place: u16,
    found: Found,
    line: &mut Line<'_, '_, '_, R>,
    decided: &mut Decided,
) -> Evaluated {
    match found {
        Found::Rule(rule) => return apply_effect(claim, place, RuleRef::Rule(rule), line, decided),
        Found::Otherwise => return apply_effect(claim, place, RuleRef::Otherwise, line, decided),
        Found::Missing(rule) => decided.push(unknown(claim, place, rule, line)),
        Found::Faulty(rule, fault) => {
            let codes = ReasonCodes::of(&[fault_code(fault)]);
            decided.push(undecided(place, RuleRef::Rule(rule), Outcome::ManualReview, codes, liable(line)));
        }
    }
    Evaluated::Alone
}

/// The first rule below the layer of a rule, where that layer may only improve.
fn layer_below(plan: &Plan, found: Found) -> Option<u32> {
    let rule = match found {
        Found::Rule(rule) | Found::Missing(rule) | Found::Faulty(rule, _) => rule,
        Found::Otherwise => return None,
    };
    let layer = plan.rules.get(rule as usize)?.layer.as_ref()?;
    match layer.power {
        LayerPower::Improve => Some(layer.below),
        LayerPower::Replace => None,
    }
}

/// Returns true if the first decision is better for the customer: more money, or else a better answer. What of the money went
/// back before is no matter, so that the same claim is decided by the same rule again.
fn better(first: &LineDecision, second: &LineDecision) -> bool {
    let rank = |line: &LineDecision| match line.outcome {
        _ if !line.due.is_zero() => 3,
        Outcome::ApprovedFull | Outcome::ApprovedPartial => 3,
        Outcome::MoreInfoRequired => 2,
        Outcome::ManualReview => 1,
        Outcome::Denied => 0,
    };
    (second.due, rank(second)) < (first.due, rank(first))
}

/// A line whose rule would decide if facts were not missing: says which, and what else the rule
/// demands, so that everything can be sent at once.
fn unknown<R: Recorder>(
    claim: &Claim<'_, '_, '_>,
    place: u16,
    rule: u32,
    line: &mut Line<'_, '_, '_, R>,
) -> LineDecision {
    let mut missing = MissingFacts::new();
    let mut codes = ReasonCodes::default();
    if let Some(rule) = claim.plan.rules.get(rule as usize) {
        line.missing_in_tests(&rule.tests, &mut missing);
        codes = unmet(claim, &rule.effect);
    }
    codes.insert(ReasonCode::FactMissing);
    let undecided = undecided(place, RuleRef::Rule(rule), Outcome::MoreInfoRequired, codes, liable(line));
    LineDecision { missing_facts: missing, ..undecided }
}

/// Decision on an order that the policy does not govern; `None` if it does.
fn not_governed<R: Recorder>(
    plan: &Plan,
    line: &mut Line<'_, '_, '_, R>,
) -> Option<(Outcome, ReasonCodes, MissingFacts)> {
    let effective = plan.effective?;
    match line.value(effective.by) {
        Ok(Some(Value::Quantity(at))) if effective.governs(*at) => None,
        Ok(Some(_)) | Err(_) => {
            Some((Outcome::ManualReview, ReasonCodes::of(&[ReasonCode::PolicyNotInForce]), MissingFacts::new()))
        }
        Ok(None) => {
            Some((Outcome::MoreInfoRequired, ReasonCodes::of(&[ReasonCode::FactMissing]), smallvec![effective.by]))
        }
    }
}

/// Does what the deciding rule says.
fn apply_effect<R: Recorder>(
    claim: &Claim<'_, '_, '_>,
    place: u16,
    rule: RuleRef,
    line: &mut Line<'_, '_, '_, R>,
    decided: &mut Decided,
) -> Evaluated {
    let effect = effect_of(claim.plan, rule);
    let (outcome, codes) = match &effect.action {
        Action::Deny(reasons) => (Outcome::Denied, *reasons),
        Action::Ask(reasons) => (Outcome::MoreInfoRequired, *reasons),
        Action::Review(reasons) => match unmet(claim, effect) {
            lacking if lacking.is_empty() => (Outcome::ManualReview, *reasons),
            lacking => (Outcome::MoreInfoRequired, lacking),
        },
        // It is asked about for a component alone: it would be refunded, or lacks something.
        Action::Refund(_) if claim.facts.claim.lines == Coverage::NotClaimed => match unmet(claim, effect) {
            lacking if lacking.is_empty() => (Outcome::ApprovedFull, lacking),
            lacking => (Outcome::MoreInfoRequired, lacking),
        },
        Action::Refund(_) if effect.is_shared() => return Evaluated::Together(rule),
        Action::Refund(steps) => {
            let deducted = deduct(steps, rule, claim.currency, line)
                .map_err(|no_amount| with_beside(no_amount, claim, place, effect, line));
            decided.push(refunded(claim, place, rule, deducted, line));
            return Evaluated::Alone;
        }
    };
    decided.push(undecided(place, rule, outcome, codes, liable(line)));
    Evaluated::Alone
}

/// Decides all claimed lines. Where components are claimed alone, no line is: then the lines that these belong to only
/// say which of their rules would refund.
pub fn lines<R: Recorder>(claim: &Claim<'_, '_, '_>, recorder: &mut R) -> Decided {
    let mut decided = Decided::new();
    let mut shared: SmallVec<[(u16, RuleRef); 4]> = SmallVec::new();
    for (place, facts) in claim.facts.lines.iter().enumerate() {
        let place = u16::try_from(place).unwrap_or(u16::MAX);
        if facts.coverage == Coverage::NotClaimed && !claim.asks_by_component(place) {
            continue;
        }
        recorder.line(place);
        if let Evaluated::Together(rule) = line(claim, place, facts, recorder, &mut decided) {
            shared.push((place, rule));
        }
    }
    if !shared.is_empty() {
        decide_together(claim, &shared, &mut decided, recorder);
    }
    decided
}
