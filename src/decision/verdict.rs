//! One line: which rule decides it, what the claim still lacks, how much goes back.

use std::cell::OnceCell;

use smallvec::{SmallVec, smallvec};

use crate::decision::deduct::{NoAmount, deduct};
use crate::decision::evidence::{Material, inspect, met_by};
use crate::decision::explain::Recorder;
use crate::decision::line::{Line, MissingFacts};
use crate::decision::machine::Fault;
use crate::decision::text::vague_phrases;
use crate::domain::decision::{LineDecision, ReasonCodes, RuleRef, TextFinding};
use crate::domain::facts::{Facts, LineFacts, Value};
use crate::domain::money::{Amount, Currency};
use crate::domain::words::{LiableParty, Outcome, ReasonCode};
use crate::plan::Plan;
use crate::plan::rule::{Action, Demand, Verdict};
use crate::plan::test::Answer;

/// A claim while it is decided: what all of its lines share is worked out once, when a line
/// first asks for it.
pub struct Claim<'p, 'f, 'a> {
    /// The plan.
    pub plan: &'p Plan,
    /// The facts.
    pub facts: &'f Facts<'a>,
    /// The order's currency.
    pub currency: Currency,
    material: OnceCell<Material>,
    vague: OnceCell<SmallVec<[TextFinding; 1]>>,
}

impl<'p, 'f, 'a> Claim<'p, 'f, 'a> {
    /// A claim of which nothing has been looked at yet.
    pub fn new(plan: &'p Plan, facts: &'f Facts<'a>) -> Self {
        let currency = plan.currencies.get(usize::from(facts.currency)).cloned();
        // Intake leaves no currency outside of the plan's.
        let currency = currency.unwrap_or(Currency { code: String::new(), exponent: 0 });
        Self { plan, facts, currency, material: OnceCell::new(), vague: OnceCell::new() }
    }

    /// The material, inspected.
    pub fn material(&self) -> &Material {
        self.material.get_or_init(|| inspect(self.plan, self.facts))
    }

    /// The vague phrases of the text.
    pub fn vague(&self) -> &[TextFinding] {
        self.vague.get_or_init(|| vague_phrases(&self.plan.text, &self.facts.claim))
    }

    /// The requirement that a demand comes to for this claim, as a place in the plan.
    pub fn requirement(&self, demand: Demand) -> Option<u16> {
        match demand {
            Demand::Reason | Demand::ClearText => None,
            Demand::ReasonEvidence => self.plan.reasons.get(usize::from(self.facts.claim.reason?))?.requirement,
            Demand::Evidence(requirement) => Some(requirement),
        }
    }
}

/// What the search for the deciding rule found.
enum Found {
    /// This rule decides.
    Rule(u32),
    /// No rule speaks of the line.
    Otherwise,
    /// This rule would decide, but facts are missing.
    Missing(u32),
    /// This rule would decide, but a formula has no result.
    Faulty(u32, Fault),
}

/// Decides a line.
pub fn line<R: Recorder>(
    claim: &Claim<'_, '_, '_>,
    place: u16,
    facts: &LineFacts<'_>,
    recorder: &mut R,
) -> LineDecision {
    let plan = claim.plan;
    let mut line = Line::new(plan, facts, recorder);
    if let Some(decided) = not_governed(plan, &mut line) {
        let (outcome, codes, missing) = decided;
        return LineDecision { missing_facts: missing, ..undecided(place, RuleRef::Otherwise, outcome, codes, None) };
    }
    match search(plan, &mut line) {
        Found::Rule(rule) => follow(claim, place, RuleRef::Rule(rule), &mut line),
        Found::Otherwise => follow(claim, place, RuleRef::Otherwise, &mut line),
        Found::Missing(rule) => {
            let mut missing = MissingFacts::new();
            if let Some(rule) = plan.rules.get(rule as usize) {
                line.missing_in_tests(&rule.tests, &mut missing);
            }
            let mut codes =
                plan.rules.get(rule as usize).map_or_else(ReasonCodes::new, |rule| unmet(claim, &rule.verdict));
            codes.push(ReasonCode::FactMissing);
            codes.sort_unstable();
            let liable = liable(&mut line);
            LineDecision {
                missing_facts: missing,
                ..undecided(place, RuleRef::Rule(rule), Outcome::MoreInfoRequired, codes, liable)
            }
        }
        Found::Faulty(rule, fault) => {
            let liable = liable(&mut line);
            undecided(place, RuleRef::Rule(rule), Outcome::ManualReview, smallvec![fault_code(fault)], liable)
        }
    }
}

/// Whether the policy does not govern the order, and what follows then.
fn not_governed<R: Recorder>(
    plan: &Plan,
    line: &mut Line<'_, '_, '_, R>,
) -> Option<(Outcome, ReasonCodes, MissingFacts)> {
    let effective = plan.effective?;
    match line.value(effective.by) {
        Ok(Some(Value::Quantity(at))) if effective.from.nanos() <= at.floor() => None,
        Ok(Some(_)) | Err(_) => {
            Some((Outcome::ManualReview, smallvec![ReasonCode::PolicyNotInForce], MissingFacts::new()))
        }
        Ok(None) => Some((Outcome::MoreInfoRequired, smallvec![ReasonCode::FactMissing], smallvec![effective.by])),
    }
}

/// The first rule without a *no* decides; with an *unknown*, it says what is missing.
fn search<R: Recorder>(plan: &Plan, line: &mut Line<'_, '_, '_, R>) -> Found {
    for (place, rule) in plan.rules.iter().enumerate() {
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        let mut found = Found::Rule(place);
        let mut matches = true;
        for (test_place, test) in rule.tests.iter().enumerate() {
            let (answer, fault) = line.answer(test);
            line.recorder.test(place, u16::try_from(test_place).unwrap_or(u16::MAX), answer);
            match (answer, fault) {
                (Answer::Yes, _) => {}
                (Answer::No, _) => {
                    matches = false;
                    break;
                }
                (Answer::Unknown, Some(fault)) => found = Found::Faulty(place, fault),
                (Answer::Unknown, None) => {
                    found = match found {
                        Found::Faulty(place, fault) => Found::Faulty(place, fault),
                        Found::Rule(place) | Found::Missing(place) => Found::Missing(place),
                        Found::Otherwise => Found::Otherwise,
                    }
                }
            }
        }
        if matches {
            return found;
        }
    }
    Found::Otherwise
}

/// Does what the deciding rule says.
fn follow<R: Recorder>(
    claim: &Claim<'_, '_, '_>,
    place: u16,
    rule: RuleRef,
    line: &mut Line<'_, '_, '_, R>,
) -> LineDecision {
    let verdict = verdict_of(claim.plan, rule);
    let liable = liable(line);
    let mut codes = unmet(claim, verdict);
    let steps = match &verdict.action {
        Action::Deny(reasons) => return undecided(place, rule, Outcome::Denied, reasons.clone(), liable),
        Action::Ask(reasons) => return undecided(place, rule, Outcome::MoreInfoRequired, reasons.clone(), liable),
        Action::Review(reasons) if codes.is_empty() => {
            return undecided(place, rule, Outcome::ManualReview, reasons.clone(), liable);
        }
        Action::Review(_) => return undecided(place, rule, Outcome::MoreInfoRequired, codes, liable),
        Action::Refund(steps) => steps,
    };
    let base = line.facts.refundable();
    match deduct(steps, rule, base, &claim.currency, line) {
        // A fault is for a person, whatever the claim still lacks.
        Err(NoAmount::Faulty(fault)) => {
            undecided(place, rule, Outcome::ManualReview, smallvec![fault_code(fault)], liable)
        }
        Err(NoAmount::Missing(missing)) => {
            codes.push(ReasonCode::FactMissing);
            codes.sort_unstable();
            LineDecision { missing_facts: missing, ..undecided(place, rule, Outcome::MoreInfoRequired, codes, liable) }
        }
        Ok(_) if !codes.is_empty() => undecided(place, rule, Outcome::MoreInfoRequired, codes, liable),
        Ok(deductions) => {
            let held_back = Amount::sum(deductions.iter().map(|deduction| deduction.amount));
            let refund = base.less(held_back);
            let (outcome, reason_codes) = crate::decision::settle::approved(refund, held_back);
            LineDecision {
                line: place,
                outcome,
                reason_codes,
                rule,
                liable,
                base,
                refund,
                deductions,
                missing_facts: MissingFacts::new(),
            }
        }
    }
}

/// What a rule says, or the policy's `otherwise`.
pub fn verdict_of(plan: &Plan, rule: RuleRef) -> &Verdict {
    match rule {
        RuleRef::Rule(place) => plan.rules.get(place as usize).map_or(&plan.otherwise, |rule| &rule.verdict),
        RuleRef::Otherwise => &plan.otherwise,
    }
}

/// What the claim lacks of what a rule demands, in order of precedence.
fn unmet(claim: &Claim<'_, '_, '_>, verdict: &Verdict) -> ReasonCodes {
    let mut codes = ReasonCodes::new();
    for &demand in &verdict.demands {
        match demand {
            Demand::Reason if claim.facts.claim.reason.is_none() => codes.push(ReasonCode::ReasonRequired),
            Demand::ClearText if !claim.vague().is_empty() => codes.push(ReasonCode::ReasonTooVague),
            Demand::Reason | Demand::ClearText => {}
            Demand::ReasonEvidence | Demand::Evidence(_) => {
                let requirement =
                    claim.requirement(demand).and_then(|place| claim.plan.requirements.get(usize::from(place)));
                if requirement.is_some_and(|requirement| met_by(requirement, claim.material().kinds).is_none()) {
                    codes.push(ReasonCode::EvidenceMissing);
                    codes.extend(claim.material().rejected.iter().map(|rejected| rejected.problem.reason_code()));
                }
            }
        }
    }
    codes.sort_unstable();
    codes.dedup();
    codes
}

fn fault_code(fault: Fault) -> ReasonCode {
    match fault {
        Fault::NotComputable => ReasonCode::NotComputable,
        Fault::BeyondCalendar => ReasonCode::CalendarNotCovered,
    }
}

fn liable<R: Recorder>(line: &mut Line<'_, '_, '_, R>) -> Option<LiableParty> {
    match line.value(line.plan.liable) {
        Ok(Some(Value::Word(word))) => LiableParty::from_index(word),
        Ok(Some(Value::Flag(_) | Value::Set(_) | Value::Quantity(_) | Value::Text) | None) | Err(_) => None,
    }
}

/// A line for which no amount was worked out.
fn undecided(
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
        deductions: SmallVec::new(),
        missing_facts: MissingFacts::new(),
    }
}
