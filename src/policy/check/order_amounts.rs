//! Amounts of the order: worked out once, by name, and carried by rules.

use std::collections::BTreeMap;

use crate::plan::formula::Formula;
use crate::plan::rule::{Action, Extra, Rounded, Rule, RuleEffect, Step, StepAmount, StepScope};
use crate::plan::vocabulary::{Vocabulary, VocabularyId};
use crate::policy::check::amounts::{bounds, kind, own_rounding};
use crate::policy::check::condition;
use crate::policy::check::draft::Draft;
use crate::policy::check::names::{Names, OrderAmounts};
use crate::policy::diagnostics::Diagnostics;
use crate::policy::document::amounts::{BesideNode, OrderAmountNode};
use crate::policy::document::rules::{RuleNode, StepNode};
use crate::policy::formula::check::formula;
use crate::policy::formula::scope::Context;
use crate::policy::read::{Slug, Table, Text, check_slug};
use crate::policy::unknown::unknown_word;

impl OrderAmounts {
    /// Checks the amounts of a policy.
    pub fn declare(
        written: Option<&Table<OrderAmountNode>>,
        draft: &Draft,
        diagnostics: &mut Diagnostics<'_, '_>,
    ) -> Self {
        let Some(written) = written else { return Self::default() };
        let mut amounts = Self { good: Vec::new(), broken: written.broken.clone() };
        for (name, amount) in &written.entries {
            match order_amount(name, amount, draft, diagnostics) {
                Some(amount) => amounts.good.push(amount),
                None => amounts.broken.push(name.value.clone()),
            }
        }
        amounts
    }

    /// The amount of a name, with its place.
    fn find(&self, name: &str, at: &Text, diagnostics: &mut Diagnostics<'_, '_>) -> Option<(u16, &Extra)> {
        let found = (0u16..).zip(&self.good).find(|(_, amount)| amount.name == name);
        if found.is_none() && !self.broken.iter().any(|broken| broken == name) {
            let known: Vec<String> = self.good.iter().map(|amount| amount.name.clone()).collect();
            unknown_word(name, at.span, "amount of the order", &known, diagnostics);
        }
        found
    }
}

/// An amount of the order, from facts that all of its lines have in common.
fn order_amount(
    name: &Text,
    written: &OrderAmountNode,
    draft: &Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Extra> {
    let named = check_slug(name, diagnostics);
    let amount = formula(&written.amount, super::amounts::MONEY, &draft.scope(Context::Fact), diagnostics);
    let bounds = bounds(written.at_least.as_ref(), written.at_most.as_ref(), Context::Fact, draft, diagnostics);
    let rounding = own_rounding(written.round.as_ref(), draft, diagnostics);
    if let (Some((_, Rounded::Refund)), Some(of)) =
        (rounding, written.round.as_ref().and_then(|round| round.of.as_ref()))
    {
        let help = "remove `of`: the amount itself is rounded";
        diagnostics.error("misplaced-key", of.span(), "an amount of the order has no refund to round", help);
        return None;
    }
    let ((amount, _), (at_least, at_most), (rounding, _)) = (amount?, bounds?, rounding?);
    let facts = [&amount].into_iter().chain(&at_least).chain(&at_most).flat_map(Formula::facts);
    if let Some(fact) = draft.of_a_line(facts) {
        let message = format!("`{fact}` is of a line, but this amount is of the whole order");
        let help = "use facts of the order, such as `order_paid`, or write the amount into the rules, for each line";
        diagnostics.error("line-fact-in-order", written.amount.span, message, help);
        return None;
    }
    named.then(|| Extra {
        name: name.value.clone(),
        tests: Vec::new(),
        amount,
        at_least,
        at_most,
        rounding,
        order_amount: None,
    })
}

/// A deduction that carries an amount of the order.
pub fn carried_step(
    written: &StepNode,
    name: &Slug,
    names: &Names,
    draft: &mut Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Step> {
    let kind = kind(written, names, diagnostics);
    let tests = condition::tests(written.when.as_ref(), draft, diagnostics);
    let beside = [
        ("scope", written.scope.is_some()),
        ("amount", written.amount.is_some()),
        ("tiers", written.tiers.is_some()),
        ("of", written.of.is_some()),
        ("at_least", written.at_least.is_some()),
        ("at_most", written.at_most.is_some()),
        ("round", written.round.is_some()),
    ];
    let mut good = true;
    for (key, _) in beside.into_iter().filter(|(_, written)| *written) {
        let message = format!("`{key}` stands beside `order_amount`, which says how much it is");
        let help = format!("write it under `order_amounts`, at `{}`, or remove it", name.text());
        diagnostics.error("misplaced-key", name.span(), message, help);
        good = false;
    }
    let (place, declared) = names.order_amounts.find(name.text(), &name.0, diagnostics)?;
    let text = declared.amount.text.clone();
    good.then_some(Step {
        kind: kind?,
        scope: StepScope::Order,
        tests: tests?,
        amount: StepAmount::Formula(declared.amount.clone()),
        at_least: None,
        at_most: None,
        rounding: None,
        rounded: Rounded::Deduction,
        text,
        order_amount: Some(place),
    })
}

/// What is carried comes last in a rule, and once.
pub fn check_order(written: &[StepNode], diagnostics: &mut Diagnostics<'_, '_>) {
    let mut seen: Vec<&str> = Vec::new();
    for step in written {
        match &step.order_amount {
            Some(name) if seen.contains(&name.text()) => {
                let message = format!("this rule carries `{}` twice", name.text());
                diagnostics.error(
                    "duplicate-word",
                    name.span(),
                    message,
                    "remove one of them: it is taken once for an order",
                );
            }
            Some(name) => seen.push(name.text()),
            None if !seen.is_empty() => {
                let message = "this deduction stands below an amount of the order";
                let help = "amounts of the order are taken last, from what all other deductions leave; move it up";
                diagnostics.error("order-amount-not-last", step.kind.span(), message, help);
            }
            None => {}
        }
    }
}

/// An amount of the order that is given or asked for beside a refund.
pub fn carried_extra(name: &Text, word: &Text, names: &Names, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Extra> {
    if word.value != "order_amount" {
        let message = format!("expected a mapping with `amount`, or `order_amount`, got `{}`", word.value);
        let help = "write `{ amount: 5.00 }`, or `order_amount` for an amount that stands under `order_amounts`";
        diagnostics.error("wrong-type", word.span, message, help);
        return None;
    }
    let (place, declared) = names.order_amounts.find(&name.value, name, diagnostics)?;
    Some(Extra { order_amount: Some(place), ..declared.clone() })
}

/// Makes the vocabulary of all amounts that an answer names: those of the order first.
pub fn vocabulary(rules: &[Rule], names: &Names, draft: &mut Draft) {
    let beside = rules.iter().flat_map(|rule| rule.effect.compensations.iter().chain(&rule.effect.amounts_due));
    let all = names.order_amounts.good.iter().chain(beside).map(|amount| amount.name.clone());
    if let Some(amounts) = draft.vocabularies.0.get_mut(usize::from(VocabularyId::AMOUNT.0)) {
        *amounts = Vocabulary::new("amount", all);
    }
}

/// Warns where two rules take a deduction of the whole order that has no name: lines under both pay both.
pub fn warn_of_unnamed(written: &[&RuleNode], rules: &[Rule], diagnostics: &mut Diagnostics<'_, '_>) {
    let mut first: BTreeMap<&'static str, &str> = BTreeMap::new();
    for rule in rules {
        for kind in unnamed_kinds(&rule.effect) {
            match first.get(kind) {
                Some(other) if *other != rule.id => {
                    let Some(at) = written.iter().find(|of| of.id.text() == rule.id) else { continue };
                    let message =
                        format!("the rules `{other}` and `{}` both take a `{kind}` of the whole order", rule.id);
                    let help = "a claim on lines of both takes both, and each claim takes them again; declare it once \
                                under `order_amounts` and carry it in both rules";
                    diagnostics.warning("order-deduction-twice", at.id.span(), message, help);
                }
                Some(_) => {}
                None => {
                    first.insert(kind, &rule.id);
                }
            }
        }
    }
}

fn unnamed_kinds(effect: &RuleEffect) -> impl Iterator<Item = &'static str> {
    let steps = match &effect.action {
        Action::Refund(steps) => steps.as_slice(),
        Action::Deny(_) | Action::Ask(_) | Action::Review(_) => &[],
    };
    let unnamed = |step: &&Step| step.scope == StepScope::Order && step.order_amount.is_none();
    steps.iter().filter(unnamed).map(|step| step.kind.as_str())
}

/// Checks one amount beside the refund: its own, or one of the order.
pub fn beside(
    name: &Text,
    written: &BesideNode,
    names: &Names,
    draft: &mut Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Extra> {
    match written {
        BesideNode::Carried(word) => carried_extra(name, word, names, diagnostics),
        BesideNode::Own(own) => super::amounts::extra(name, own, draft, diagnostics),
    }
}
