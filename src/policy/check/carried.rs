//! Amounts of the order that rules carry: where what is taken or goes back of an order hangs on which lines are claimed first
//! or together.
//!
//! Amounts are taken one after the other as they are declared. Where one of them is carried alone by some lines and with a
//! later one by others, it may be taken of a line that could have borne the later one, or of one that could not. Where the
//! amounts that fewer lines carry are declared first, the order of claims makes no difference.
//!
//! The line that bears an amount has not gone back whole, and which one bears it depends on what is claimed with it. So
//! does what goes back of a component that goes back with the last of its lines, or in proportion to them.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::rule::{Action, ComponentRefund, Extra, Rule, Step};
use crate::plan::test::Test;
use crate::plan::vocabulary::VocabularyId;
use crate::policy::check::draft::Draft;
use crate::policy::diagnostics::Diagnostics;
use crate::policy::document::Document;
use crate::policy::document::rules::RuleNode;

/// The deductions of a rule that are amounts of the order, each with its place among those, in the order in which they are
/// taken.
fn carried(rule: &Rule) -> Vec<(u16, &Step)> {
    let steps = match &rule.effect.action {
        Action::Refund(steps) => steps.as_slice(),
        Action::Deny(_) | Action::Ask(_) | Action::Review(_) => &[],
    };
    let mut carried: Vec<(u16, &Step)> =
        steps.iter().filter_map(|step| step.order_amount.map(|place| (place, step))).collect();
    carried.sort_by_key(|(place, _)| *place);
    // One that stands twice is a mistake of its own.
    carried.dedup_by_key(|(place, _)| *place);
    carried
}

/// Warns where lines carry an amount of the order with and without one that is taken after it.
pub fn warn_of_shifts(written: &[&RuleNode], rules: &[Rule], amounts: &[Extra], diagnostics: &mut Diagnostics<'_, '_>) {
    // For each amount, what the first rule that carries it takes after it.
    let mut after: BTreeMap<u16, (&str, Vec<u16>)> = BTreeMap::new();
    let mut warned: BTreeSet<u16> = BTreeSet::new();
    for rule in rules {
        let carried = carried(rule);
        for (at, (place, step)) in carried.iter().enumerate() {
            if warned.contains(place) {
                continue;
            }
            let later = carried.get(at + 1..).unwrap_or_default();
            let sometimes = later.iter().find(|(_, other)| !other.tests.is_empty() && !same(&other.tests, &step.tests));
            let places: Vec<u16> = later.iter().map(|(place, _)| *place).collect();
            let shifted = match (sometimes, after.get(place)) {
                (Some((later, _)), _) => Some((*later, rule.id.as_str())),
                (None, Some((other, known))) => first_difference(known, &places).map(|later| (later, *other)),
                (None, None) => None,
            };
            match shifted {
                Some((later, other)) => {
                    warned.insert(*place);
                    warn(written, rule, other, (amounts, *place, later), diagnostics);
                }
                None => {
                    after.entry(*place).or_insert((&rule.id, places));
                }
            }
        }
    }
}

/// Returns true if two conditions are written alike.
fn same(first: &[Test], second: &[Test]) -> bool {
    first.len() == second.len() && first.iter().zip(second).all(|(a, b)| (a.fact, &a.text) == (b.fact, &b.text))
}

/// The first place that only one of two sorted lists has.
fn first_difference(first: &[u16], second: &[u16]) -> Option<u16> {
    let alike = first.iter().zip(second).take_while(|(a, b)| a == b).count();
    first.get(alike).into_iter().chain(second.get(alike)).min().copied()
}

fn warn(
    written: &[&RuleNode],
    rule: &Rule,
    other: &str,
    (amounts, place, later): (&[Extra], u16, u16),
    diagnostics: &mut Diagnostics<'_, '_>,
) {
    let name = |place: u16| amounts.get(usize::from(place)).map_or("", |amount| amount.name.as_str());
    let (upper, lower) = (name(place), name(later));
    let Some(at) = written.iter().find(|of| of.id.text() == rule.id) else { return };
    let who = if other == rule.id {
        format!("lines of the rule `{other}` carry")
    } else {
        format!("lines of the rules `{other}` and `{}` carry", rule.id)
    };
    let message = format!("{who} `{upper}` both with and without `{lower}`, which is taken after it");
    let help = format!(
        "which line is claimed first then decides how much both take; declare `{lower}` above `{upper}` under \
         `order_amounts`: what fewer lines carry is taken first"
    );
    diagnostics.warning("order-amount-shifts", at.id.span(), message, help);
}

/// Warns of each component that goes back `when_full` or `in_proportion` under a rule that carries an amount of the order, at
/// the first such rule. `usual` is what goes back of each component where a rule says nothing of it; all rules are without
/// mistakes.
pub fn warn_of_components(
    document: &Document,
    rules: &[Rule],
    usual: &[ComponentRefund],
    amounts: &[Extra],
    draft: &Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) {
    let written = document.layers.iter().flat_map(|layer| &layer.rules).chain(&document.policy.rules);
    // Those that follow their lines by themselves and of which no rule so far was named.
    let mut open: BTreeMap<u16, ComponentRefund> =
        (0u16..).zip(usual.iter().copied()).filter(|(_, refund)| follows_lines(*refund)).collect();
    let mut warned: BTreeSet<u16> = BTreeSet::new();
    for (rule, written) in rules.iter().zip(written) {
        let Some((amount, _)) = carried(rule).first().copied() else { continue };
        let own: BTreeMap<u16, ComponentRefund> = rule.effect.components.iter().copied().collect();
        let mut found: BTreeMap<u16, ComponentRefund> = open.clone();
        found.extend(&own);
        found.retain(|_, refund| follows_lines(*refund));
        for (place, refund) in found {
            open.remove(&place);
            if warned.insert(place) {
                let amount = amounts.get(usize::from(amount)).map_or("", |amount| amount.name.as_str());
                let component = draft.vocabularies.word(VocabularyId::COMPONENT, place);
                warn_of_component(written, component, refund, amount, diagnostics);
            }
        }
    }
}

/// Returns true if what goes back of a component follows what its lines bring.
const fn follows_lines(refund: ComponentRefund) -> bool {
    matches!(refund, ComponentRefund::WhenFull | ComponentRefund::InProportion)
}

fn warn_of_component(
    written: &RuleNode,
    component: &str,
    refund: ComponentRefund,
    amount: &str,
    diagnostics: &mut Diagnostics<'_, '_>,
) {
    let rule = written.id.text();
    let message = if refund == ComponentRefund::InProportion {
        format!(
            "under the rule `{rule}` the component `{component}` goes back `in_proportion`, but the line that bears \
             `{amount}` brings less: of a component of one line, less goes back with the line that bears it"
        )
    } else {
        format!(
            "under the rule `{rule}` the component `{component}` goes back `when_full`, but the line that bears `{amount}` \
             has not gone back whole"
        )
    };
    let help = format!(
        "what goes back of `{component}` then depends on which lines are claimed together; in each rule that carries \
         `{amount}` say `components: {{ {component}: never }}` or `always`, or ask for `{amount}` as an `amount_due`, beside \
         the refund"
    );
    diagnostics.warning("component-shifts", written.id.span(), message, help);
}
