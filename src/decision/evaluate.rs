//! One line: which rule decides it, what the claim still lacks, how much goes back.

use std::cell::OnceCell;

use smallvec::{SmallVec, smallvec};

use crate::decision::beside::{beside, with_beside};
use crate::decision::deduct::{Deductions, NoAmount, deduct, within};
use crate::decision::evidence::{Material, inspect, met_by};
use crate::decision::explain::Recorder;
use crate::decision::line::{Line, MissingFacts};
use crate::decision::machine::Fault;
use crate::decision::search::{Found, search};
use crate::decision::text::vague_phrases;
use crate::decision::together::decide_together;
use crate::domain::decision::{LineDecision, ReasonCodes, RuleRef, TextFinding};
use crate::domain::facts::{ComponentFacts, Coverage, EarlierFacts, Facts, LineFacts, Value};
use crate::domain::money::{Amount, Currency};
use crate::domain::words::{AmountKind, LiableParty, Outcome, ReasonCode};
use crate::plan::Plan;
use crate::plan::evidence::Requirement;
use crate::plan::rule::{Action, Demand, LayerPower, RuleEffect};
use crate::plan::vocabulary::VocabularyId;

/// A claim while it is decided: what all of its lines share is worked out once, when a line
/// first asks for it.
pub struct Claim<'p, 'f, 'a> {
    /// The plan.
    pub plan: &'p Plan,
    /// The facts.
    pub facts: &'f Facts<'a>,
    /// The order's currency.
    pub currency: &'p Currency,
    material: OnceCell<Material>,
    vague: OnceCell<SmallVec<[TextFinding; 1]>>,
}

static NO_CURRENCY: Currency = Currency { code: String::new(), exponent: 0 };

impl<'p, 'f, 'a> Claim<'p, 'f, 'a> {
    /// A claim of which nothing has been looked at yet.
    pub fn new(plan: &'p Plan, facts: &'f Facts<'a>) -> Self {
        // Intake leaves no currency outside of the plan's.
        let currency = plan.currencies.get(usize::from(facts.currency)).unwrap_or(&NO_CURRENCY);
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

    /// Whether the material is enough for a requirement.
    fn is_met(&self, requirement: &Requirement) -> bool {
        met_by(requirement, self.material(), self.facts).is_some()
    }

    /// Whether a line is asked about for the sake of components that are claimed alone.
    fn asks_by_component(&self, line: u16) -> bool {
        let Facts { claim, components, .. } = self.facts;
        let is_asked =
            |component: &ComponentFacts| component.coverage == Coverage::Claimed && component.belongs_to(line);
        claim.lines == Coverage::NotClaimed && components.iter().any(is_asked)
    }

    /// What earlier answers held back of a line under a name. Of a line that is decided now, other names count only
    /// where its rule carries them; so it is for the caller to see what there is room for.
    pub fn held_back(&self, name: &str, line: u16) -> Amount {
        let place = self.plan.vocabularies.place(VocabularyId::AMOUNT, name);
        let of_it = |of: &&EarlierFacts| (Some(of.name), of.what, of.line) == (place, AmountKind::Deduction, line);
        self.facts.earlier.iter().find(of_it).map_or(Amount::ZERO, |of| of.said)
    }

    /// What earlier answers gave, held back or asked for under a name, on lines of which `counts` says so.
    #[inline]
    pub fn earlier(&self, name: &str, what: AmountKind, counts: impl Fn(u16) -> bool) -> Amount {
        if self.facts.earlier.is_empty() {
            return Amount::ZERO;
        }
        let place = self.plan.vocabularies.place(VocabularyId::AMOUNT, name);
        let of_it = |of: &&EarlierFacts| Some(of.name) == place && of.what == what && counts(of.line);
        Amount::sum(self.facts.earlier.iter().filter(of_it).map(|of| of.amount))
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

/// The decisions on lines. One is large to move, so each is put here where it is made.
pub type Decided = SmallVec<[LineDecision; 1]>;

/// What is done with a line whose rule is found.
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
/// may only improve is held against what the policy below it decides, and the better one counts.
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

/// What was found above, or what the policy below it decides where that is better.
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

/// Whether the first decision is better for the customer: more money, or else a better answer. What of the money went
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

/// The answer for an amount: all of it, a part of it, or nothing.
pub fn approved(refund: Amount, held_back: Amount) -> (Outcome, ReasonCodes) {
    match (refund.is_zero(), held_back.is_zero()) {
        (true, _) => (Outcome::Denied, ReasonCodes::of(&[ReasonCode::NothingRefundable])),
        (false, true) => (Outcome::ApprovedFull, ReasonCodes::default()),
        (false, false) => (Outcome::ApprovedPartial, ReasonCodes::of(&[ReasonCode::DeductionsApplied])),
    }
}

/// Whether a refunding rule decided a line and everything that it needs was there, be it that nothing is left of the line.
#[inline]
pub fn is_refunding(plan: &Plan, line: &LineDecision) -> bool {
    let decided = match line.outcome {
        Outcome::ApprovedFull | Outcome::ApprovedPartial | Outcome::Denied => true,
        Outcome::MoreInfoRequired | Outcome::ManualReview => false,
    };
    decided && matches!(effect_of(plan, line.rule).action, Action::Refund(_))
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

/// What a rule says, or the policy's `otherwise`.
#[inline]
pub fn effect_of(plan: &Plan, rule: RuleRef) -> &RuleEffect {
    plan.effect(rule)
}

/// What the claim lacks of what a rule demands, in order of precedence.
pub fn unmet(claim: &Claim<'_, '_, '_>, effect: &RuleEffect) -> ReasonCodes {
    let mut codes = ReasonCodes::default();
    for &demand in &effect.demands {
        match demand {
            Demand::Reason if claim.facts.claim.reason.is_none() => codes.insert(ReasonCode::ReasonRequired),
            Demand::ClearText if !claim.vague().is_empty() => codes.insert(ReasonCode::ReasonTooVague),
            Demand::Reason | Demand::ClearText => {}
            Demand::ReasonEvidence | Demand::Evidence(_) => {
                let requirement =
                    claim.requirement(demand).and_then(|place| claim.plan.requirements.get(usize::from(place)));
                if requirement.is_some_and(|requirement| !claim.is_met(requirement)) {
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
        due: Amount::ZERO,
        deductions: SmallVec::new(),
        compensations: SmallVec::new(),
        amounts_due: SmallVec::new(),
        missing_facts: MissingFacts::new(),
    }
}
