//! From a document to a checked policy: every name known, every type right, every bound kept.
//!
//! All mistakes are reported at once. What comes out holds only parts that cannot fail later.

mod amounts;
mod answers;
mod bounds;
mod carried;
mod components;
mod condition;
mod deductions;
mod draft;
mod evidence;
mod facts;
mod header;
mod milder;
mod names;
mod next_steps;
mod order_amounts;
mod repeated;
mod rules;
mod text;
mod whole;
mod windows;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::domain::calendar::Calendar;
use crate::domain::facts::FactId;
use crate::plan::evidence::{EvidenceKind, Requirement};
use crate::plan::rule::{ComponentRefund, Extra, NextStep, Reason, Rule, RuleEffect};
use crate::plan::text::TextRules;
use crate::plan::{Effective, TenderRules};
use crate::policy::check::names::OrderAmounts;
use crate::policy::diagnostics::Diagnostics;
use crate::policy::document::Document;

pub use draft::Draft;

/// The business calendars of a bundle, by name; `None` is one that has mistakes of its own.
pub type Calendars = BTreeMap<String, Option<Arc<Calendar>>>;

/// A document without errors. Only [`check`] makes one.
#[derive(Debug)]
pub struct CheckedPolicy {
    pub(super) id: String,
    pub(super) version: String,
    pub(super) effective: Option<Effective>,
    pub(super) zone: TimeZone,
    pub(super) calendar: Option<Arc<Calendar>>,
    pub(super) draft: Draft,
    pub(super) liable: FactId,
    pub(super) reasons: Vec<Reason>,
    pub(super) evidence_kinds: Vec<EvidenceKind>,
    pub(super) evidence_bytes_max: Option<i64>,
    pub(super) requirements: Vec<Requirement>,
    pub(super) components: Vec<ComponentRefund>,
    pub(super) returned_whole: Vec<bool>,
    pub(super) component_facts: Vec<FactId>,
    pub(super) order_amounts: Vec<Extra>,
    pub(super) tenders: TenderRules,
    pub(super) text: TextRules,
    pub(super) next_steps: Vec<NextStep>,
    pub(super) routes: next_steps::Routes,
    pub(super) rules: Vec<Rule>,
    pub(super) otherwise: RuleEffect,
}

/// Checks a document; what is wrong is left with the reader. `None` where anything was an error.
pub fn check(
    document: &Document,
    calendars: &Calendars,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<CheckedPolicy> {
    let refusals_before = diagnostics.refusals();
    let policy = &document.policy;
    if document.last_key.value != "otherwise" {
        diagnostics.error(
            "otherwise-not-last",
            document.last_key.span,
            format!("`otherwise` must be the last key, but `{}` comes after it", document.last_key.value),
            "move `otherwise` to the end: so a file that was cut off is noticed",
        );
    }
    bounds::check(policy, diagnostics)?;
    let header = header::check(policy, calendars, diagnostics);
    let mut draft = header.draft;
    let requirements = evidence::requirements(policy.evidence.as_ref(), &draft, diagnostics);
    let reasons = facts::reasons(policy, &requirements, &draft, diagnostics);
    let (components, component_facts) = components::declare(policy.components.as_ref(), &mut draft, diagnostics);
    let tenders = components::tenders(policy.tenders.as_ref(), diagnostics);
    facts::given(policy, &mut draft, diagnostics);
    let evidence_bytes_max = evidence::bytes_max(policy.evidence.as_ref());
    let evidence_kinds = evidence::kinds(policy.evidence.as_ref(), &draft, diagnostics);
    let effective = header::effective(policy.effective.as_ref(), &draft, diagnostics);
    facts::derived(policy.facts.as_ref(), &mut draft, diagnostics);
    let liable = facts::liable(policy.facts.as_ref(), &mut draft, diagnostics);
    let text = text::check(policy.text.as_ref(), &draft, diagnostics);
    let next_steps = next_steps::next_steps(policy.next_steps.as_ref(), &draft, diagnostics);
    let order_amounts = OrderAmounts::declare(policy.order_amounts.as_ref(), &draft, diagnostics);
    let names = names::Names::new(policy, &requirements, &next_steps, order_amounts);
    let routes = next_steps::routes(policy.routes.as_ref(), &names, diagnostics);
    let rules = rules::rules(document, &names, &mut draft, diagnostics);
    let written: Vec<_> = document.layers.iter().flat_map(|layer| &layer.rules).chain(&policy.rules).collect();
    let declared = (policy.order_amounts.as_ref(), names.order_amounts.good.as_slice());
    order_amounts::vocabulary(&rules, &names, &mut draft);
    let otherwise = rules::otherwise(&policy.otherwise, document.otherwise_key, &names, &draft, diagnostics);
    repeated::warn(&written, (&rules, otherwise.as_ref()), declared, &components, &draft, diagnostics);
    if refusals_before < diagnostics.refusals() {
        return None;
    }
    let returned_whole = components::returned_whole(&components, &rules);
    let order_amounts = names.order_amounts.good;
    carried::warn_of_components(document, &rules, &components, &order_amounts, &draft, diagnostics);
    Some(CheckedPolicy {
        id: policy.policy.text().to_owned(),
        version: policy.version.value.clone(),
        effective,
        zone: header.zone?,
        calendar: header.calendar,
        draft,
        liable: liable?,
        reasons,
        evidence_kinds,
        evidence_bytes_max,
        requirements,
        components,
        returned_whole,
        component_facts,
        tenders,
        order_amounts,
        text: text?,
        next_steps,
        routes,
        rules,
        otherwise: otherwise?,
    })
}
