//! From a decision to its message: places in plan and request become names, amounts get their currency.

use std::num::NonZeroU16;

use crate::api::pb;
use crate::decision::ENGINE_REVISION;
use crate::domain::decision::{
    ComponentDecision, DateWindow, Decision, Deduction, DeductionSource, LineDecision, RuleRef, TenderRefund,
};
use crate::domain::facts::FactId;
use crate::domain::money::{Amount, Currency};
use crate::domain::request::{Claim, Order};
use crate::domain::time::Date;
use crate::engine::snapshot::Snapshot;
use crate::plan::Plan;
use crate::plan::fact::{InputScope, Origin};
use crate::plan::rule::{Action, Rule, Step, StepAmount};
use crate::server::wire::evidence;
use crate::server::wire::scalars::moment;
use crate::server::wire::words::{
    to_deduction_kind, to_liable_party, to_outcome, to_primary_reason, to_reason_codes, to_refund_method,
};

/// Formula of a deduction that no step of a rule took.
const COMPONENT_FORMULA: &str = "kept of a component by the policy";
const TENDER_FORMULA: &str = "paid by a tender that money cannot go back to";
const REQUESTED_FORMULA: &str = "beyond the amount asked for";

/// Sources of names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'a> {
    /// The plan that decided.
    pub(crate) plan: &'a Plan,
    /// The order as it was said.
    pub(crate) order: &'a Order<'a>,
    /// The claim as it was said.
    pub(crate) claim: &'a Claim<'a>,
    /// The currency of all amounts.
    pub(crate) currency: &'a Currency,
    /// The language of labels, by its place in the plan.
    pub(crate) language: usize,
}

/// The message of a decision, without what does not follow from it: ids, policy, explanation.
pub(crate) fn response(decision: &Decision, names: Names<'_>) -> pb::EvaluateRefundResponse {
    let Decision {
        outcome,
        reason_codes,
        refund,
        lines,
        components,
        tenders,
        method,
        evidence: report,
        next_steps: steps,
        review,
        payout,
    } = decision;
    let lines_sent: Vec<_> = lines.iter().map(|line| line_decision(line, names)).collect();
    let components_sent: Vec<_> = components.iter().map(|component| component_decision(component, names)).collect();
    pb::EvaluateRefundResponse {
        decision_id: String::new(),
        request_id: String::new(),
        outcome: to_outcome(*outcome).into(),
        reason_code: to_primary_reason(*reason_codes),
        reason_codes: to_reason_codes(*reason_codes),
        refund: Some(names.money(*refund)),
        deductions: lines_sent
            .iter()
            .flat_map(|line| line.deductions.iter())
            .chain(components_sent.iter().flat_map(|component| component.deductions.iter()))
            .cloned()
            .collect(),
        tenders: tenders.iter().map(|tender| tender_refund(tender, names)).collect(),
        refund_method: to_refund_method(*method).into(),
        compensations: lines.iter().flat_map(|line| compensations(line, names)).collect(),
        amounts_due: lines.iter().flat_map(|line| amounts_due(line, names)).collect(),
        components: components_sent,
        evidence: Some(evidence::report(report, names.plan, names.claim, names.language)),
        next_steps: next_steps(steps, names.plan, names.language),
        review: review.map(date_window),
        payout: payout.map(date_window),
        policy: None,
        explanation: None,
        missing_facts: lines.iter().flat_map(|line| missing_facts(line, names)).collect(),
        lines: lines_sent,
    }
}

fn line_decision(decision: &LineDecision, names: Names<'_>) -> pb::LineDecision {
    let LineDecision {
        line,
        outcome,
        reason_codes,
        rule,
        liable,
        base,
        refund,
        due: _,
        deductions,
        compensations: _,
        amounts_due: _,
        missing_facts: _,
    } = decision;
    pb::LineDecision {
        line_id: names.line_id(*line).to_owned(),
        outcome: to_outcome(*outcome).into(),
        reason_code: to_primary_reason(*reason_codes),
        reason_codes: to_reason_codes(*reason_codes),
        rule_id: names.rule_id(*rule).to_owned(),
        liable_party: liable.map_or(pb::LiableParty::Unspecified, to_liable_party).into(),
        base: Some(names.money(*base)),
        refund: Some(names.money(*refund)),
        deductions: deductions.iter().map(|taken| deduction(taken, names.line_id(*line), names)).collect(),
    }
}

fn component_decision(decision: &ComponentDecision, names: Names<'_>) -> pb::ComponentDecision {
    let ComponentDecision { component, base, refund, deductions } = decision;
    let (name, line_id) = names.component(*component);
    pb::ComponentDecision {
        name: name.to_owned(),
        base: Some(names.money(*base)),
        refund: Some(names.money(*refund)),
        deductions: deductions.iter().map(|taken| deduction(taken, line_id, names)).collect(),
        line_id: line_id.to_owned(),
    }
}

/// A step with the tier that it went by, where it has tiers.
fn tier_text(step: &Step, tier: Option<NonZeroU16>) -> Option<&str> {
    match &step.amount {
        StepAmount::Tiers { tiers, .. } => {
            let tier = tiers.get(usize::from(tier?.get()).checked_sub(1)?)?;
            Some(tier.text.as_str())
        }
        StepAmount::Formula(_) => None,
    }
}

/// Compensations for a line.
pub(crate) fn compensations<'a>(
    decision: &'a LineDecision,
    names: Names<'a>,
) -> impl Iterator<Item = pb::Compensation> + 'a {
    let rule = names.rule(decision.rule);
    decision.compensations.iter().map(move |extra| {
        let written = rule.and_then(|rule| rule.effect.compensations.get(usize::from(extra.place)));
        pb::Compensation {
            name: written.map(|written| written.name.clone()).unwrap_or_default(),
            amount: Some(names.money(extra.amount)),
            rule_id: names.rule_id(decision.rule).to_owned(),
            line_id: names.line_id(decision.line).to_owned(),
        }
    })
}

/// Amounts that the customer owes for a line.
pub(crate) fn amounts_due<'a>(
    decision: &'a LineDecision,
    names: Names<'a>,
) -> impl Iterator<Item = pb::AmountDue> + 'a {
    let rule = names.rule(decision.rule);
    decision.amounts_due.iter().map(move |extra| {
        let written = rule.and_then(|rule| rule.effect.amounts_due.get(usize::from(extra.place)));
        pb::AmountDue {
            name: written.map(|written| written.name.clone()).unwrap_or_default(),
            amount: Some(names.money(extra.amount)),
            rule_id: names.rule_id(decision.rule).to_owned(),
            line_id: names.line_id(decision.line).to_owned(),
        }
    })
}

fn deduction(deduction: &Deduction, line_id: &str, names: Names<'_>) -> pb::Deduction {
    let Deduction { kind, source, base, amount } = deduction;
    pb::Deduction {
        kind: to_deduction_kind(*kind).into(),
        rule_id: names.deducting_rule(*source).to_owned(),
        line_id: line_id.to_owned(),
        base: Some(names.money(*base)),
        formula: names.formula(*source).to_owned(),
        amount: Some(names.money(*amount)),
        name: names.order_amount(*source).to_owned(),
    }
}

fn tender_refund(refund: &TenderRefund, names: Names<'_>) -> pb::TenderRefund {
    let TenderRefund { tender, amount, payout } = *refund;
    pb::TenderRefund {
        tender_id: names.tender_id(tender).to_owned(),
        amount: Some(names.money(amount)),
        payout: payout.map(date_window),
    }
}

/// Facts that the rule of a line needs and the request lacks.
pub(crate) fn missing_facts<'a>(
    decision: &'a LineDecision,
    names: Names<'a>,
) -> impl Iterator<Item = pb::MissingFact> + 'a {
    decision.missing_facts.iter().map(move |&fact| pb::MissingFact {
        name: names.plan.fact(fact).map(|definition| definition.name.clone()).unwrap_or_default(),
        field: names.field(fact, decision.line),
        line_id: names.line_id(decision.line).to_owned(),
    })
}

/// The next steps at these places of the plan.
pub(crate) fn next_steps(places: &[u16], plan: &Plan, language: usize) -> Vec<pb::NextStep> {
    let steps = places.iter().filter_map(|&place| plan.next_steps.get(usize::from(place)));
    steps
        .map(|step| pb::NextStep { action: step.slug.clone(), label: step.label.in_language(language).to_owned() })
        .collect()
}

/// The policy that answers, as answers name it.
pub(crate) fn policy_ref(snapshot: &Snapshot, plan: &Plan) -> pb::PolicyRef {
    pb::PolicyRef {
        policy_id: plan.id.clone(),
        version: plan.version.clone(),
        digest: snapshot.digest_text().to_owned(),
        generation: snapshot.generation,
        effective_from: plan.effective.map(|effective| moment(effective.from)),
        engine_revision: ENGINE_REVISION,
    }
}

fn date_window(window: DateWindow) -> pb::DateWindow {
    match window {
        DateWindow::Dates { earliest, latest } => {
            pb::DateWindow { earliest: Some(date(earliest)), latest: Some(date(latest)), beyond_calendar: false }
        }
        DateWindow::BeyondCalendar => pb::DateWindow { earliest: None, latest: None, beyond_calendar: true },
    }
}

fn date(date: Date) -> pb::Date {
    pb::Date { year: date.year().into(), month: date.month().into(), day: date.day().into() }
}

/// The id of what decided.
pub(crate) fn rule_id(plan: &Plan, rule: RuleRef) -> &str {
    plan.rule_id(rule)
}

impl<'a> Names<'a> {
    /// An amount with its currency.
    pub(crate) fn money(self, amount: Amount) -> pb::Money {
        let (units, nanos) = self.currency.units_and_nanos(amount);
        pb::Money { currency_code: self.currency.code.clone(), units, nanos }
    }

    /// The id of a line as it was said.
    pub(crate) fn line_id(self, line: u16) -> &'a str {
        self.order.lines.get(usize::from(line)).map_or("", |line| line.id)
    }

    /// The id of a tender as it was said.
    pub(crate) fn tender_id(self, tender: u16) -> &'a str {
        self.order.tenders.get(usize::from(tender)).map_or("", |tender| tender.id)
    }

    /// The name of a component and the id of its line as they were said.
    pub(crate) fn component(self, component: u16) -> (&'a str, &'a str) {
        self.order.components.get(usize::from(component)).map_or(("", ""), |said| (said.name, said.line_id))
    }

    /// The id of what decided.
    pub(crate) fn rule_id(self, rule: RuleRef) -> &'a str {
        rule_id(self.plan, rule)
    }

    /// The rule at a place; `None` for `otherwise`.
    pub(crate) fn rule(self, rule: RuleRef) -> Option<&'a Rule> {
        self.plan.rule(rule)
    }

    /// The id of the rule that took a deduction; empty where no rule did.
    pub(crate) fn deducting_rule(self, source: DeductionSource) -> &'a str {
        match source {
            DeductionSource::Step { rule, step: _, tier: _ } => self.rule_id(rule),
            DeductionSource::Component | DeductionSource::NonRefundableTender | DeductionSource::RequestedAmount => "",
        }
    }

    /// Formula of a deduction, as the author wrote it.
    pub(crate) fn formula(self, source: DeductionSource) -> &'a str {
        match source {
            DeductionSource::Step { rule, step, tier } => {
                self.step(rule, step).map_or("", |step| tier_text(step, tier).unwrap_or(&step.text))
            }
            DeductionSource::Component => COMPONENT_FORMULA,
            DeductionSource::NonRefundableTender => TENDER_FORMULA,
            DeductionSource::RequestedAmount => REQUESTED_FORMULA,
        }
    }

    /// The name of the amount of the order that a deduction is; empty where it is none.
    pub(crate) fn order_amount(self, source: DeductionSource) -> &'a str {
        let DeductionSource::Step { rule, step, tier: _ } = source else { return "" };
        let order_amount = self.step(rule, step).and_then(|step| step.order_amount);
        let declared = order_amount.and_then(|place| self.plan.order_amounts.get(usize::from(place)));
        declared.map_or("", |amount| amount.name.as_str())
    }

    fn step(self, rule: RuleRef, step: u16) -> Option<&'a Step> {
        match &self.plan.effect(rule).action {
            Action::Refund(steps) => steps.get(usize::from(step)),
            Action::Deny(_) | Action::Ask(_) | Action::Review(_) => None,
        }
    }

    /// Path in the request of a fact of a line; empty for a fact that the policy derives.
    pub(crate) fn field(self, fact: FactId, line: u16) -> String {
        let Some(definition) = self.plan.fact(fact) else { return String::new() };
        match &definition.origin {
            Origin::BuiltIn(built_in) => built_in.field().replace("lines[]", &format!("lines[{line}]")),
            Origin::Anchor => format!("order.times[{:?}]", definition.name),
            Origin::Input(input) => match input.scope {
                InputScope::Order => format!("order.inputs[{:?}]", definition.name),
                InputScope::Line => format!("order.lines[{line}].inputs[{:?}]", definition.name),
            },
            Origin::Component => "order.components".to_owned(),
            Origin::Derived => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::words::{Outcome, ReasonCode};
    use crate::plan::OTHERWISE;
    use crate::server::wire::samples;

    #[test]
    fn places_become_names_and_amounts_get_their_currency() {
        let (plan, order, claim) = (samples::plan(), samples::order(), samples::claim());
        let said = samples::said(&order, &claim);
        let names = samples::names(&plan, &said);
        let response = response(&samples::decision(), names);
        assert_eq!(response.outcome(), pb::Outcome::ApprovedPartial);
        assert_eq!(response.reason_code(), pb::ReasonCode::DeductionsApplied);
        let money = |units, nanos| Some(pb::Money { currency_code: "CNY".into(), units, nanos });
        assert_eq!(response.refund, money(83, 670_000_000));
        let line = &response.lines[0];
        assert_eq!((line.line_id.as_str(), line.rule_id.as_str()), ("l-1", "in-progress-late"));
        assert_eq!(line.liable_party(), pb::LiableParty::Platform);
        let deduction = &line.deductions[0];
        assert_eq!(
            (deduction.rule_id.as_str(), deduction.formula.as_str()),
            ("in-progress-late", "completed_share * refundable")
        );
        assert_eq!(deduction.amount, money(41, 830_000_000));
        assert_eq!(response.deductions, line.deductions);
        assert_eq!((response.tenders[0].tender_id.as_str(), response.tenders[1].tender_id.as_str()), ("t-1", "t-2"));
        assert_eq!(response.next_steps, [pb::NextStep { action: "complaint".into(), label: "Complain".into() }]);
        assert_eq!(response.review.unwrap().earliest, Some(pb::Date { year: 2026, month: 11, day: 3 }));
        assert!(response.payout.unwrap().beyond_calendar);
    }

    #[test]
    fn missing_facts_name_the_field_to_fill() {
        let (plan, order, claim) = (samples::plan(), samples::order(), samples::claim());
        let said = samples::said(&order, &claim);
        let names = samples::names(&plan, &said);
        let mut decision = samples::decision();
        decision.outcome = Outcome::MoreInfoRequired;
        decision.reason_codes = [ReasonCode::FactMissing].into_iter().collect();
        decision.lines[0].missing_facts = samples::facts_of_every_origin(&plan);
        let response = response(&decision, names);
        let fields: Vec<_> = response.missing_facts.iter().map(|fact| fact.field.as_str()).collect();
        assert_eq!(
            fields,
            ["order.lines[0].completed", "order.times[\"released_at\"]", "order.lines[0].inputs[\"grade\"]", ""]
        );
        assert_eq!(response.missing_facts[0].line_id, "l-1");
    }

    #[test]
    fn deductions_without_a_rule_say_where_they_come_from() {
        let (plan, order, claim) = (samples::plan(), samples::order(), samples::claim());
        let said = samples::said(&order, &claim);
        let names = samples::names(&plan, &said);
        assert_eq!(names.deducting_rule(DeductionSource::RequestedAmount), "");
        assert_eq!(names.formula(DeductionSource::NonRefundableTender), TENDER_FORMULA);
        assert_eq!(names.rule_id(RuleRef::Otherwise), OTHERWISE);
    }
}
