//! A claim while it is decided, and what it lacks of what a rule demands.

use std::cell::OnceCell;

use smallvec::SmallVec;

use crate::decision::evidence::{Material, inspect, met_by};
use crate::decision::text::vague_phrases;
use crate::domain::decision::{ReasonCodes, TextFinding};
use crate::domain::facts::{ComponentFacts, Coverage, EarlierFacts, Facts};
use crate::domain::money::{Amount, Currency};
use crate::domain::words::{AmountKind, ReasonCode};
use crate::plan::Plan;
use crate::plan::evidence::Requirement;
use crate::plan::rule::{Demand, RuleEffect};
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

    /// Returns true if the evidence meets a requirement.
    fn is_met(&self, requirement: &Requirement) -> bool {
        met_by(requirement, self.material(), self.facts).is_some()
    }

    /// Returns true if a line is asked about only for components that are claimed alone.
    pub fn asks_by_component(&self, line: u16) -> bool {
        let Facts { claim, components, .. } = self.facts;
        let is_asked =
            |component: &ComponentFacts| component.coverage == Coverage::Claimed && component.belongs_to(line);
        claim.lines == Coverage::NotClaimed && components.iter().any(is_asked)
    }

    /// Amount that earlier answers held back of a line under a name. Of a line that is decided now, other names count only
    /// where its rule carries them; so it is for the caller to see what there is room for.
    pub fn held_back(&self, name: &str, line: u16) -> Amount {
        let place = self.plan.vocabularies.place(VocabularyId::AMOUNT, name);
        let of_it = |of: &&EarlierFacts| (Some(of.name), of.what, of.line) == (place, AmountKind::Deduction, line);
        self.facts.earlier.iter().find(of_it).map_or(Amount::ZERO, |of| of.said)
    }

    /// Amount that earlier answers gave, held back or asked for under a name, on lines for which `counts` is true.
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

/// Reason codes for the demands of a rule that the claim does not meet, in order of precedence.
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
