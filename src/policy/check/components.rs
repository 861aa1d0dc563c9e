//! Components of an order, and how a refund is split over tenders.

use crate::domain::facts::FactId;
use crate::plan::fact::{Dimension, FactType, Origin};
use crate::plan::rule::{ComponentRefund, Rule};
use crate::plan::vocabulary::{Vocabulary, VocabularyId};
use crate::plan::{TenderOrder, TenderRules};
use crate::policy::check::draft::Draft;
use crate::policy::check::facts::is_new_fact;
use crate::policy::diagnostics::Diagnostics;
use crate::policy::document::amounts::{ComponentNode, TendersNode};
use crate::policy::read::{Slug, Table};
use crate::policy::unknown::unknown_word;

/// Modes of components, by their names.
const REFUNDS: [(&str, ComponentRefund); 4] = [
    ("never", ComponentRefund::Never),
    ("always", ComponentRefund::Always),
    ("when_full", ComponentRefund::WhenFull),
    ("in_proportion", ComponentRefund::InProportion),
];

/// Adds the components: their vocabulary, a fact for each, and what goes back of each.
pub fn declare(
    written: Option<&Table<ComponentNode>>,
    draft: &mut Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> (Vec<ComponentRefund>, Vec<FactId>) {
    let Some(written) = written else { return (Vec::new(), Vec::new()) };
    let mut refunds = Vec::new();
    let mut facts = Vec::new();
    let mut names = Vec::new();
    for (name, component) in &written.entries {
        let refund = refund(&component.refund, diagnostics);
        if is_new_fact(name, draft, diagnostics) {
            facts.push(draft.add(name.value.clone(), FactType::Quantity(Dimension::Money), Origin::Component));
            refunds.push(refund.unwrap_or(ComponentRefund::Never));
            names.push(name.value.clone());
        }
    }
    if let Some(vocabulary) = draft.vocabularies.0.get_mut(usize::from(VocabularyId::COMPONENT.0)) {
        *vocabulary = Vocabulary::new("component", names);
    }
    draft.broken_facts.extend(written.broken.iter().cloned());
    (refunds, facts)
}

fn refund(word: &Slug, diagnostics: &mut Diagnostics<'_, '_>) -> Option<ComponentRefund> {
    let found = REFUNDS.iter().find(|(name, _)| *name == word.text()).map(|(_, refund)| *refund);
    if found.is_none() {
        let known: Vec<String> = REFUNDS.iter().map(|(name, _)| (*name).to_owned()).collect();
        unknown_word(word.text(), word.span(), "refund of a component", &known, diagnostics);
    }
    found
}

/// Modes of components that a rule sets instead.
pub fn overrides(
    written: Option<&Table<Slug>>,
    draft: &Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Vec<(u16, ComponentRefund)> {
    let entries = written.map_or(&[][..], |table| table.entries.as_slice());
    let mut overrides = Vec::new();
    for (name, word) in entries {
        let place = draft.vocabularies.place(VocabularyId::COMPONENT, &name.value);
        if let (None, Some(known)) = (place, draft.vocabularies.get(VocabularyId::COMPONENT)) {
            unknown_word(&name.value, name.span, &known.name, known.words(), diagnostics);
        }
        if let (Some(place), Some(refund)) = (place, refund(word, diagnostics)) {
            overrides.push((place, refund));
        }
    }
    overrides
}

/// For each component, true if it may go back whole by the policy or one of its rules.
pub fn returned_whole(components: &[ComponentRefund], rules: &[Rule]) -> Vec<bool> {
    let mut whole: Vec<bool> = components.iter().map(|refund| *refund == ComponentRefund::Always).collect();
    for (name, refund) in rules.iter().flat_map(|rule| &rule.effect.components) {
        if let Some(whole) = whole.get_mut(usize::from(*name)) {
            *whole |= *refund == ComponentRefund::Always;
        }
    }
    whole
}

/// Checks how a refund is split over tenders.
pub fn tenders(written: Option<&TendersNode>, diagnostics: &mut Diagnostics<'_, '_>) -> TenderRules {
    let Some(written) = written else { return TenderRules::default() };
    let texts =
        |slugs: Option<&[Slug]>| slugs.unwrap_or(&[]).iter().map(|slug| slug.text().to_owned()).collect::<Vec<_>>();
    let priority = texts(written.priority.as_deref());
    let order = match written.order.as_ref().map(|order| (order.text(), order.span())) {
        None | Some(("proportional", _)) => TenderOrder::Proportional,
        Some(("first_paid_first", _)) => TenderOrder::FirstPaidFirst,
        Some(("last_paid_first", _)) => TenderOrder::LastPaidFirst,
        Some(("by_priority", span)) => {
            if priority.is_empty() {
                diagnostics.error(
                    "missing-key",
                    span,
                    "`by_priority` needs the key `priority`",
                    "list the methods: `priority: [card, balance]`",
                );
            }
            TenderOrder::ByPriority(priority.clone())
        }
        Some((other, span)) => {
            let known = ["proportional", "first_paid_first", "last_paid_first", "by_priority"].map(str::to_owned);
            unknown_word(other, span, "order of tenders", &known, diagnostics);
            TenderOrder::Proportional
        }
    };
    if let (false, Some([first, ..])) = (matches!(order, TenderOrder::ByPriority(_)), written.priority.as_deref()) {
        diagnostics.error(
            "misplaced-key",
            first.span(),
            "`priority` belongs to `order: by_priority`",
            "add it, or remove `priority`",
        );
    }
    TenderRules { order, not_refundable: texts(written.not_refundable.as_deref()) }
}
