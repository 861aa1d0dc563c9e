//! One line: which rule decides it, what the claim still lacks, how much goes back.

use std::cell::OnceCell;

use smallvec::{SmallVec, smallvec};

use crate::decision::deduct::{
    Deductions, NoAmount, StepResult, Taken, deduct, deduct_together, extra_amount, step_amount,
};
use crate::decision::evidence::{Material, inspect, met_by};
use crate::decision::explain::Recorder;
use crate::decision::line::{Line, MissingFacts};
use crate::decision::machine::Fault;
use crate::decision::search::{Found, search};
use crate::decision::text::vague_phrases;
use crate::domain::decision::{Deduction, ExtraAmount, LineDecision, ReasonCodes, RuleRef, TextFinding};
use crate::domain::facts::{Coverage, Facts, LineFacts, Value};
use crate::domain::money::{Amount, Currency};
use crate::domain::time::Day;
use crate::domain::words::{LiableParty, Outcome, ReasonCode};
use crate::plan::Plan;
use crate::plan::rule::{Action, Demand, Extra, LayerPower, StepScope, Verdict};

/// A claim while it is decided: what all of its lines share is worked out once, when a line
/// first asks for it.
pub struct Claim<'p, 'f, 'a> {
    /// The plan.
    pub plan: &'p Plan,
    /// The facts.
    pub facts: &'f Facts<'a>,
    /// The order's currency.
    pub currency: &'p Currency,
    requested_on: OnceCell<Option<Day>>,
    material: OnceCell<Material>,
    vague: OnceCell<SmallVec<[TextFinding; 1]>>,
}

static NO_CURRENCY: Currency = Currency { code: String::new(), exponent: 0 };

impl<'p, 'f, 'a> Claim<'p, 'f, 'a> {
    /// A claim of which nothing has been looked at yet.
    pub fn new(plan: &'p Plan, facts: &'f Facts<'a>) -> Self {
        // Intake leaves no currency outside of the plan's.
        let currency = plan.currencies.get(usize::from(facts.currency)).unwrap_or(&NO_CURRENCY);
        Self { plan, facts, currency, requested_on: OnceCell::new(), material: OnceCell::new(), vague: OnceCell::new() }
    }

    /// The day of the request in the policy's zone: where all windows begin.
    pub fn requested_on(&self) -> Option<Day> {
        *self.requested_on.get_or_init(|| self.plan.zone.day_at(self.facts.claim.requested_at))
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

/// Finds the rule of a line and follows it.
fn line<R: Recorder>(claim: &Claim<'_, '_, '_>, place: u16, facts: &LineFacts<'_>, recorder: &mut R) -> Judged {
    let plan = claim.plan;
    let mut line = Line::new(plan, claim.currency, facts, recorder);
    if let Some((outcome, codes, missing)) = not_governed(plan, &mut line) {
        let undecided = undecided(place, RuleRef::Otherwise, outcome, codes, None);
        return Judged::Decided(LineDecision { missing_facts: missing, ..undecided });
    }
    judge(claim, place, 0, &mut line)
}

/// Finds the rule of a line from a place of the policy on, and follows it. A rule of a layer that
/// may only improve is held against what the policy below it decides, and the better one counts.
fn judge<R: Recorder>(claim: &Claim<'_, '_, '_>, place: u16, from: u32, line: &mut Line<'_, '_, '_, R>) -> Judged {
    let found = search(claim.plan, from, line);
    match improved_below(claim.plan, found) {
        None => judged(claim, place, found, line),
        Some(below) => improved(claim, place, found, below, line),
    }
}

/// What was found above, or what the policy below it decides where that is better.
#[inline(never)]
fn improved<R: Recorder>(
    claim: &Claim<'_, '_, '_>,
    place: u16,
    found: Found,
    below: u32,
    line: &mut Line<'_, '_, '_, R>,
) -> Judged {
    let judged = judged(claim, place, found, line);
    let Judged::Decided(above) = &judged else { return judged };
    // Each layer is left behind for good, so this ends after as many steps as there are layers.
    match judge(claim, place, below, line) {
        Judged::Decided(other) if better(above, &other) => judged,
        other @ (Judged::Decided(_) | Judged::Together(..)) => other,
    }
}

/// Does what was found.
#[inline]
fn judged<R: Recorder>(claim: &Claim<'_, '_, '_>, place: u16, found: Found, line: &mut Line<'_, '_, '_, R>) -> Judged {
    match found {
        Found::Rule(rule) => follow(claim, place, RuleRef::Rule(rule), line),
        Found::Otherwise => follow(claim, place, RuleRef::Otherwise, line),
        Found::Missing(rule) => Judged::Decided(unknown(claim, place, rule, line)),
        Found::Faulty(rule, fault) => {
            let codes = ReasonCodes::of(&[fault_code(fault)]);
            let liable = liable(line);
            Judged::Decided(undecided(place, RuleRef::Rule(rule), Outcome::ManualReview, codes, liable))
        }
    }
}

/// The first rule below the layer of a rule, where that layer may only improve.
fn improved_below(plan: &Plan, found: Found) -> Option<u32> {
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

/// Whether the first decision is better for the customer: more money, or else a better answer.
fn better(first: &LineDecision, second: &LineDecision) -> bool {
    let rank = |line: &LineDecision| match line.outcome {
        Outcome::ApprovedFull | Outcome::ApprovedPartial => 3,
        Outcome::MoreInfoRequired => 2,
        Outcome::ManualReview => 1,
        Outcome::Denied => 0,
    };
    (second.refund, rank(second)) < (first.refund, rank(first))
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
        codes = unmet(claim, &rule.verdict);
    }
    codes.insert(ReasonCode::FactMissing);
    let undecided = undecided(place, RuleRef::Rule(rule), Outcome::MoreInfoRequired, codes, liable(line));
    LineDecision { missing_facts: missing, ..undecided }
}

/// Whether the policy does not govern the order, and what follows then.
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

/// A line whose rule is found.
pub enum Judged {
    /// It is decided.
    Decided(LineDecision),
    /// It is to be refunded, less what its rule takes from all of its lines together.
    Together(u16, RuleRef),
}

/// Does what the deciding rule says.
fn follow<R: Recorder>(claim: &Claim<'_, '_, '_>, place: u16, rule: RuleRef, line: &mut Line<'_, '_, '_, R>) -> Judged {
    let verdict = verdict_of(claim.plan, rule);
    let decided = |outcome, codes, line: &mut _| Judged::Decided(undecided(place, rule, outcome, codes, liable(line)));
    let steps = match &verdict.action {
        Action::Deny(reasons) => return decided(Outcome::Denied, *reasons, line),
        Action::Ask(reasons) => return decided(Outcome::MoreInfoRequired, *reasons, line),
        Action::Review(reasons) => {
            let lacking = unmet(claim, verdict);
            return match lacking.is_empty() {
                true => decided(Outcome::ManualReview, *reasons, line),
                false => decided(Outcome::MoreInfoRequired, lacking, line),
            };
        }
        Action::Refund(steps) => steps,
    };
    if steps.iter().any(|step| step.scope == StepScope::Order) {
        return Judged::Together(place, rule);
    }
    let deducted = deduct(steps, rule, claim.currency, line);
    Judged::Decided(refunded(claim, place, rule, deducted, line))
}

/// The decision on a line of which its rule has taken what it takes.
fn refunded<R: Recorder>(
    claim: &Claim<'_, '_, '_>,
    place: u16,
    rule: RuleRef,
    deducted: Result<Deductions, NoAmount>,
    line: &mut Line<'_, '_, '_, R>,
) -> LineDecision {
    let verdict = verdict_of(claim.plan, rule);
    let lacking = unmet(claim, verdict);
    let liable = liable(line);
    let deductions = match deducted {
        Ok(deductions) => deductions,
        Err(no_amount) => return without_amount(no_amount, place, rule, lacking, liable),
    };
    let (base, taken) = (line.facts.refundable(), sum(&deductions));
    let refund = base.less(taken);
    line.standing.left = Some(refund);
    let compensations = match extras(&verdict.compensations, claim.currency, line) {
        Ok(compensations) => compensations,
        Err(no_amount) => return without_amount(no_amount, place, rule, lacking, liable),
    };
    let amounts_due = match extras(&verdict.amounts_due, claim.currency, line) {
        Ok(amounts_due) => amounts_due,
        Err(no_amount) => return without_amount(no_amount, place, rule, lacking, liable),
    };
    if !lacking.is_empty() {
        return undecided(place, rule, Outcome::MoreInfoRequired, lacking, liable);
    }
    let (outcome, reason_codes) = crate::decision::settle::approved(refund, taken);
    LineDecision {
        line: place,
        outcome,
        reason_codes,
        rule,
        liable,
        base,
        refund,
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

fn sum(deductions: &[Deduction]) -> Amount {
    Amount::sum(deductions.iter().map(|deduction| deduction.amount))
}

/// Decides all claimed lines.
pub fn lines<R: Recorder>(claim: &Claim<'_, '_, '_>, recorder: &mut R) -> SmallVec<[LineDecision; 1]> {
    let mut decided = SmallVec::new();
    let mut together: SmallVec<[(u16, RuleRef); 4]> = SmallVec::new();
    for (place, facts) in claim.facts.lines.iter().enumerate() {
        if facts.coverage == Coverage::NotClaimed {
            continue;
        }
        let place = u16::try_from(place).unwrap_or(u16::MAX);
        recorder.line(place);
        match line(claim, place, facts, recorder) {
            Judged::Decided(line) => decided.push(line),
            Judged::Together(place, rule) => together.push((place, rule)),
        }
    }
    while let Some(&(_, rule)) = together.first() {
        let places: SmallVec<[u16; 4]> =
            together.iter().filter(|(_, of)| *of == rule).map(|(place, _)| *place).collect();
        together.retain(|(_, of)| *of != rule);
        decided.extend(rule_together(claim, rule, &places, recorder));
    }
    if 1 < decided.len() {
        decided.sort_by_key(|line: &LineDecision| line.line);
    }
    decided
}

/// Decides the lines of a rule that takes something from all of them together.
fn rule_together<R: Recorder>(
    claim: &Claim<'_, '_, '_>,
    rule: RuleRef,
    places: &[u16],
    recorder: &mut R,
) -> SmallVec<[LineDecision; 1]> {
    let plan = claim.plan;
    let facts: SmallVec<[(u16, &LineFacts<'_>); 4]> =
        places.iter().filter_map(|&place| Some((place, claim.facts.lines.get(usize::from(place))?))).collect();
    let mut taken: Vec<Taken> = facts.iter().map(|(_, facts)| Taken::new(facts.refundable())).collect();
    let steps = match &verdict_of(plan, rule).action {
        Action::Refund(steps) => steps.as_slice(),
        Action::Deny(_) | Action::Ask(_) | Action::Review(_) => &[],
    };
    let outcome = deduct_together(steps, rule, &mut taken, |at, step, source, standing, missing| {
        let Some((place, facts)) = facts.get(at) else { return Ok(StepResult::NotTaken) };
        recorder.line(*place);
        let mut line = Line::new(plan, claim.currency, facts, recorder);
        step_amount(step, source, claim.currency, standing, &mut line, missing)
    });
    facts
        .iter()
        .zip(taken)
        .map(|((place, facts), taken)| {
            let deducted = outcome.clone().map(|()| taken.deductions);
            refunded(claim, *place, rule, deducted, &mut Line::new(plan, claim.currency, facts, recorder))
        })
        .collect()
}

/// What is given or owed beside a refund.
#[inline]
fn extras<R: Recorder>(
    extras: &[Extra],
    currency: &Currency,
    line: &mut Line<'_, '_, '_, R>,
) -> Result<SmallVec<[ExtraAmount; 1]>, NoAmount> {
    let mut amounts = SmallVec::new();
    if extras.is_empty() {
        return Ok(amounts);
    }
    let mut missing = MissingFacts::new();
    for (place, extra) in extras.iter().enumerate() {
        if let Some(amount) = extra_amount(extra, currency, line, &mut missing)?
            && !amount.is_zero()
        {
            amounts.push(ExtraAmount { place: u16::try_from(place).unwrap_or(u16::MAX), amount });
        }
    }
    if missing.is_empty() { Ok(amounts) } else { Err(NoAmount::Missing(missing)) }
}

/// What a rule says, or the policy's `otherwise`.
#[inline]
pub fn verdict_of(plan: &Plan, rule: RuleRef) -> &Verdict {
    match rule {
        RuleRef::Rule(place) => plan.rules.get(place as usize).map_or(&plan.otherwise, |rule| &rule.verdict),
        RuleRef::Otherwise => &plan.otherwise,
    }
}

/// What the claim lacks of what a rule demands, in order of precedence.
fn unmet(claim: &Claim<'_, '_, '_>, verdict: &Verdict) -> ReasonCodes {
    let mut codes = ReasonCodes::default();
    for &demand in &verdict.demands {
        match demand {
            Demand::Reason if claim.facts.claim.reason.is_none() => codes.insert(ReasonCode::ReasonRequired),
            Demand::ClearText if !claim.vague().is_empty() => codes.insert(ReasonCode::ReasonTooVague),
            Demand::Reason | Demand::ClearText => {}
            Demand::ReasonEvidence | Demand::Evidence(_) => {
                let requirement =
                    claim.requirement(demand).and_then(|place| claim.plan.requirements.get(usize::from(place)));
                if requirement.is_some_and(|requirement| met_by(requirement, claim.material().kinds).is_none()) {
                    codes.insert(ReasonCode::EvidenceMissing);
                    claim.material().rejected.iter().for_each(|it| codes.insert(it.problem.reason_code()));
                }
            }
        }
    }
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
        Ok(Some(Value::Word(word))) => LiableParty::from_index(*word),
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
        compensations: SmallVec::new(),
        amounts_due: SmallVec::new(),
        missing_facts: MissingFacts::new(),
    }
}
