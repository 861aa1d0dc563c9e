//! Warnings where money depends on how an order is cut into claims: on what went back before, on what one claim asks for, on which of
//! two lines is claimed first. Such a policy is put in force, with a warning for each place.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::facts::FactId;
use crate::plan::fact::{BuiltIn, Origin};
use crate::plan::formula::{Formula, Leaf, Op};
use crate::plan::rule::{Action, ComponentRefund, Extra, Rule, RuleEffect, Step, StepAmount};
use crate::plan::vocabulary::VocabularyId;
use crate::policy::check::draft::Draft;
use crate::policy::check::milder;
use crate::policy::diagnostics::Diagnostics;
use crate::policy::document::amounts::OrderAmountNode;
use crate::policy::document::rules::RuleNode;
use crate::policy::read::Table;
use crate::policy::source::Span;

/// Inputs of the warnings.
struct Checked<'c> {
    draft: &'c Draft,
    /// For each fact, the first one that it is made of and that changes from claim to claim.
    changing: Vec<Option<BuiltIn>>,
    /// Nodes in which each rule is written.
    places: BTreeMap<&'c str, Span>,
}

/// Warns of all such places.
pub fn warn(
    written: &[&RuleNode],
    (rules, otherwise): (&[Rule], Option<&RuleEffect>),
    (declared, amounts): (Option<&Table<OrderAmountNode>>, &[Extra]),
    components: &[ComponentRefund],
    draft: &Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) {
    let places = written.iter().map(|rule| (rule.id.text(), rule.id.span())).collect();
    let checked = Checked { draft, changing: changing(draft), places };
    checked.warn_of_deductions(rules, diagnostics);
    let warned = checked.warn_of_rules(rules, diagnostics);
    milder::warn(rules, otherwise, draft, &checked.changing, (&checked.places, &warned), diagnostics);
    checked.warn_of_order_amounts(declared, amounts, diagnostics);
    checked.warn_of_amounts_beside(rules, amounts, diagnostics);
    checked.warn_of_components(rules, components, diagnostics);
}

/// A fact uses facts above it only, so those it uses are known before it.
fn changing(draft: &Draft) -> Vec<Option<BuiltIn>> {
    let mut changing: Vec<Option<BuiltIn>> = Vec::with_capacity(draft.facts.len());
    for (place, definition) in (0u16..).zip(&draft.facts) {
        let own = match &definition.origin {
            Origin::BuiltIn(fact @ (BuiltIn::Refunded | BuiltIn::Refundable | BuiltIn::RequestedAmount)) => Some(*fact),
            Origin::BuiltIn(_) | Origin::Component | Origin::Input(_) | Origin::Anchor => None,
            Origin::Derived => draft.derivation(FactId(place)).and_then(|derived| {
                derived.facts().into_iter().find_map(|fact| changing.get(usize::from(fact.0)).copied().flatten())
            }),
        };
        changing.push(own);
    }
    changing
}

/// The deductions of a rule that refunds.
fn steps(rule: &Rule) -> Option<&[Step]> {
    match &rule.effect.action {
        Action::Refund(steps) => Some(steps),
        Action::Deny(_) | Action::Ask(_) | Action::Review(_) => None,
    }
}

/// The formulas of a deduction.
fn formulas(step: &Step) -> Vec<&Formula> {
    let amount: Vec<&Formula> = match &step.amount {
        StepAmount::Formula(formula) => vec![formula],
        StepAmount::Tiers { on, tiers, of } => {
            [on].into_iter().chain(of).chain(tiers.iter().map(|it| &it.value)).collect()
        }
    };
    amount.into_iter().chain(&step.at_least).chain(&step.at_most).collect()
}

fn is_of_what_is_left(formula: &Formula) -> bool {
    formula.ops.iter().any(|op| match op {
        Op::Put(leaf) | Op::With(_, leaf) | Op::After(leaf, _) => *leaf == Leaf::Remaining,
        Op::Apply(_) | Op::Join(_) => false,
    })
}

/// Reason why money depends on a fact, and what to write instead.
fn help_for(fact: BuiltIn) -> &'static str {
    if fact == BuiltIn::RequestedAmount {
        "asked for in pieces, an order pays less: 10 % of what is asked for is 10.00 of 100.00 at once, and 1.00 where it is \
         asked for in pieces of 10.00; write `paid`, or `order_paid` for the whole order"
    } else {
        "asking again then pays more: 10 % of `refundable` is 10.00 of 100.00 at first, so 90.00 go back, then 9.00, then \
         0.90, until all is paid; write `paid` or `list_price`, which no claim changes"
    }
}

impl Checked<'_> {
    /// The first of these facts that changes from claim to claim.
    fn changing(&self, facts: impl IntoIterator<Item = FactId>) -> Option<BuiltIn> {
        facts.into_iter().find_map(|fact| self.changing.get(usize::from(fact.0)).copied().flatten())
    }

    fn warn_at(
        &self,
        rule: &Rule,
        code: &'static str,
        message: String,
        help: String,
        diagnostics: &mut Diagnostics<'_, '_>,
    ) {
        if let Some(span) = self.places.get(rule.id.as_str()) {
            diagnostics.warning(code, *span, message, help);
        }
    }

    /// Deductions that become less with what went back, or with what one claim asks for.
    fn warn_of_deductions(&self, rules: &[Rule], diagnostics: &mut Diagnostics<'_, '_>) {
        for rule in rules {
            for step in steps(rule).unwrap_or_default() {
                // The formulas of an amount of the order are reported where it is declared.
                let amount = if step.order_amount.is_some() { Vec::new() } else { formulas(step) };
                let facts = step.tests.iter().map(|test| test.fact).chain(amount.into_iter().flat_map(Formula::facts));
                let Some(fact) = self.changing(facts) else { continue };
                let message = format!(
                    "the `{}` of the rule `{}` is worked out from `{}`, which changes from claim to claim",
                    step.kind,
                    rule.id,
                    fact.name()
                );
                self.warn_at(rule, "claim-again-pays-more", message, help_for(fact).to_owned(), diagnostics);
            }
        }
    }

    /// Rules that refund, of which a later claim takes another one. Returns those that were named.
    fn warn_of_rules<'r>(&self, rules: &'r [Rule], diagnostics: &mut Diagnostics<'_, '_>) -> BTreeSet<&'r str> {
        let mut warned = BTreeSet::new();
        let refunding: Vec<&[Step]> = rules.iter().filter_map(steps).collect();
        let alike = refunding.windows(2).all(|pair| matches!(pair, [one, next] if one == next));
        if alike {
            return warned;
        }
        for rule in rules.iter().filter(|rule| steps(rule).is_some()) {
            let Some(fact) = self.changing(rule.tests.iter().map(|test| test.fact)) else { continue };
            warned.insert(rule.id.as_str());
            let fact = fact.name();
            let message = format!("the rule `{}` is chosen by `{fact}`, which changes from claim to claim", rule.id);
            let help = "a later claim on the same line goes by another rule, with other deductions: with a fee of 10.00 for \
                        `refunded: \"0.00\"` and none below, 90.00 of 100.00 go back, and 10.00 on asking again; test what no \
                        claim changes, such as `paid`";
            self.warn_at(rule, "claim-again-pays-more", message, help.to_owned(), diagnostics);
        }
        warned
    }

    /// Amounts of the order that are made of what one claim asks for.
    fn warn_of_order_amounts(
        &self,
        declared: Option<&Table<OrderAmountNode>>,
        amounts: &[Extra],
        diagnostics: &mut Diagnostics<'_, '_>,
    ) {
        for amount in amounts {
            let formulas = [&amount.amount].into_iter().chain(&amount.at_least).chain(&amount.at_most);
            let Some(fact) = self.changing(formulas.flat_map(Formula::facts)) else { continue };
            let written = declared.and_then(|table| table.entries.iter().find(|(name, _)| name.value == amount.name));
            let Some((name, _)) = written else { continue };
            let (of, fact_name) = (&amount.name, fact.name());
            let message = format!("`{of}` is worked out from `{fact_name}`, which changes from claim to claim");
            diagnostics.warning("claim-again-pays-more", name.span, message, help_for(fact));
        }
    }

    /// Amounts beside the refund that are a part of what is left of a line, where a fee may fall on this line or on another.
    fn warn_of_amounts_beside(&self, rules: &[Rule], amounts: &[Extra], diagnostics: &mut Diagnostics<'_, '_>) {
        // For each amount of the order, the rules that hold it back, until two give different amounts.
        let mut first: BTreeMap<u16, &Rule> = BTreeMap::new();
        let mut warned: BTreeSet<u16> = BTreeSet::new();
        for rule in rules {
            for fee in steps(rule).unwrap_or_default().iter().filter_map(|step| step.order_amount) {
                let other = *first.entry(fee).or_insert(rule);
                let Some((with, extra, without)) = shifting(other, rule) else { continue };
                if !warned.insert(fee) {
                    continue;
                }
                let name = amounts.get(usize::from(fee)).map_or("", |amount| amount.name.as_str());
                let message = match without {
                    Some(without) => format!(
                        "lines of the rules `{}` and `{}` may bear `{name}`, and `{extra}` of the first is made of `remaining`, \
                         what that leaves",
                        with.id, without.id
                    ),
                    None => format!(
                        "lines of the rule `{}` may bear `{name}`, and `{extra}` of some of them is made of `remaining`, what \
                         that leaves",
                        with.id
                    ),
                };
                let help = format!(
                    "which line is claimed first then decides how much `{extra}` is: 20 % of 100.00 are 20.00 where a fee of \
                     50.00 falls on another line, and 10.00 where it falls on this one; make it of `paid`"
                );
                self.warn_at(with, "compensation-shifts", message, help, diagnostics);
            }
        }
    }

    /// Components of which rules say different things that hang on all lines.
    fn warn_of_components(
        &self,
        rules: &[Rule],
        components: &[ComponentRefund],
        diagnostics: &mut Diagnostics<'_, '_>,
    ) {
        for (place, base) in (0u16..).zip(components) {
            // `always` gives all with any line, so it makes no difference when its line is claimed.
            let of = |rule: &Rule| {
                let own = rule.effect.components.iter().find(|(name, _)| *name == place).map(|(_, refund)| *refund);
                Some(own.unwrap_or(*base)).filter(|refund| *refund != ComponentRefund::Always)
            };
            let mut modes =
                rules.iter().filter(|rule| steps(rule).is_some()).filter_map(|rule| Some((rule, of(rule)?)));
            let Some((first, mode)) = modes.next() else { continue };
            let Some((other, _)) = modes.find(|(_, refund)| *refund != mode) else { continue };
            let vocabulary = self.draft.vocabularies.get(VocabularyId::COMPONENT);
            let name = vocabulary.and_then(|known| known.words().get(usize::from(place))).map_or("", String::as_str);
            let message = format!("the rules `{}` and `{}` return `{name}` in different ways", first.id, other.id);
            let help = format!(
                "of an order with lines of both, the line that is claimed last decides about all of it: where one says `never` and \
                 the other `in_proportion`, 20.00 go back or 2.00; say one thing for all lines, under `components` at `{name}`, or \
                 `always` where a rule is to return it"
            );
            self.warn_at(other, "component-modes-differ", message, help, diagnostics);
        }
    }
}

/// An amount beside the refund that is larger or smaller by the line of the two rules that bears a fee: its rule, its name, and
/// the other rule.
fn shifting<'r>(first: &'r Rule, second: &'r Rule) -> Option<(&'r Rule, &'r str, Option<&'r Rule>)> {
    let beside = |rule: &'r Rule| rule.effect.compensations.iter().chain(&rule.effect.amounts_due);
    let left = |extra: &&Extra| extra.order_amount.is_none() && is_of_what_is_left(&extra.amount);
    for (rule, other) in [(first, second), (second, first)] {
        for extra in beside(rule).filter(left) {
            // A share of what is left of all lines is the same whichever of them bears the fee.
            let shared = !beside(other).any(|same| same == extra);
            let sometimes = !extra.tests.is_empty() || extra.at_least.is_some() || extra.at_most.is_some();
            if shared || sometimes {
                return Some((rule, &extra.name, shared.then_some(other)));
            }
        }
    }
    None
}
