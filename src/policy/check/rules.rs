//! Rules: each as it is tested and what follows from it, and what rules must keep among themselves.

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::domain::limits::RULES_MAX;
use crate::domain::words::{DeductionKind, RefundMethod};
use crate::plan::rule::{Action, Demand, Extra, LayerPower, Rule, RuleEffect, RuleLayer};
use crate::policy::check::answers::{Answers, action, has_unknown_key, reason_codes};
use crate::policy::check::carried;
use crate::policy::check::components;
use crate::policy::check::condition;
use crate::policy::check::draft::Draft;
use crate::policy::check::header::word;
use crate::policy::check::names::Names;
use crate::policy::check::next_steps::steps;
use crate::policy::check::order_amounts::{self};
use crate::policy::check::windows::{payout, window};
use crate::policy::diagnostics::Diagnostics;
use crate::policy::document::Document;
use crate::policy::document::amounts::BesideNode;
use crate::policy::document::rules::{OtherwiseNode, RuleNode};
use crate::policy::read::{OneOrMany, Slug, Table, Text};
use crate::policy::source::Span;
use crate::policy::unknown::unknown_word;

/// Checks all rules, in order.
pub fn rules(
    document: &Document,
    names: &Names,
    draft: &mut Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Vec<Rule> {
    let policy = &document.policy;
    for kind in policy.never_deduct.as_deref().unwrap_or(&[]) {
        word(&kind.0, "kind of deduction", DeductionKind::ALL, DeductionKind::as_str, diagnostics);
    }
    if let Some(first_over) = policy.rules.get(RULES_MAX) {
        diagnostics.error(
            "too-many-rules",
            first_over.id.span(),
            format!("there are more than {RULES_MAX} rules"),
            "split the policy",
        );
        return Vec::new();
    }
    let layered: usize = document.layers.iter().map(|layer| layer.rules.len()).sum();
    let mut ids = Ids::default();
    let mut rules = Vec::with_capacity(layered + policy.rules.len());
    let mut below = 0u32;
    for layer in &document.layers {
        below = below.saturating_add(u32::try_from(layer.rules.len()).unwrap_or(u32::MAX));
        let own = RuleLayer { name: layer.name.text().to_owned(), power: layer.power, below };
        let mut last = LastOpen::default();
        for (place, rule) in layer.rules.iter().enumerate() {
            ids.check(rule, diagnostics);
            last.check(rule, diagnostics);
            let next = layer.rules.get(place + 1).map(|next| next.id.span());
            rules.extend(self::rule(rule, next, Some(own.clone()), names, draft, diagnostics));
        }
    }
    let mut last = LastOpen::default();
    for (place, rule) in policy.rules.iter().enumerate() {
        ids.check(rule, diagnostics);
        last.check(rule, diagnostics);
        let next = policy.rules.get(place + 1).map(|next| next.id.span());
        rules.extend(self::rule(rule, next, None, names, draft, diagnostics));
    }
    check_layers(document, &rules, diagnostics);
    let written: Vec<&RuleNode> = document.layers.iter().flat_map(|layer| &layer.rules).chain(&policy.rules).collect();
    order_amounts::warn_of_unnamed(&written, &rules, diagnostics);
    carried::warn_of_shifts(&written, &rules, &names.order_amounts.good, diagnostics);
    rules
}

/// `next` is where the rule after this one begins.
fn rule(
    rule: &RuleNode,
    next: Option<Span>,
    layer: Option<RuleLayer>,
    names: &Names,
    draft: &mut Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Rule> {
    if let Some(when) = &rule.when
        && when.entries.is_empty()
        && when.broken.is_empty()
    {
        let message = format!("the `when` of `{}` tests nothing", rule.id.text());
        diagnostics.error("empty-when", rule.id.span(), message, "remove `when` if the rule always matches");
    }
    let tests = condition::tests(rule.when.as_ref(), draft, diagnostics);
    let effect = effect(rule, next, names, draft, diagnostics);
    Some(Rule { id: rule.id.text().to_owned(), layer, tests: tests?, effect: effect? })
}

/// First place of each rule id.
#[derive(Default)]
struct Ids<'r>(HashMap<&'r str, Span>);

impl<'r> Ids<'r> {
    fn check(&mut self, rule: &'r RuleNode, diagnostics: &mut Diagnostics<'_, '_>) {
        let (id, span) = (rule.id.text(), rule.id.span());
        if let Some(first) = self.0.insert(id, span) {
            let first = diagnostics.sources.place(first);
            let help = format!("the first one is on line {} of `{}`; choose another id", first.line, first.file);
            diagnostics.error("duplicate-rule", span, format!("there are two rules `{id}`"), help);
        }
        if id == "otherwise" {
            let help = "answers use this name where no rule matches; choose another id";
            diagnostics.error("reserved-name", span, "a rule cannot be called `otherwise`", help);
        }
    }
}

/// The first rule that matches everything: nothing below it is ever reached.
#[derive(Default)]
struct LastOpen<'r>(Option<&'r Slug>);

impl<'r> LastOpen<'r> {
    fn check(&mut self, rule: &'r RuleNode, diagnostics: &mut Diagnostics<'_, '_>) {
        if let Some(open) = self.0 {
            let message = format!("the rule `{}` can never match", rule.id.text());
            let help = format!("the rule `{}` above matches every order; move it down or remove this one", open.text());
            diagnostics.warning("unreachable-rule", rule.id.span(), message, help);
        }
        if rule.when.is_none() {
            self.0 = self.0.or(Some(&rule.id));
        }
    }
}

/// The better of two decisions is found line by line, so nothing may be taken from lines together.
fn check_layers(document: &Document, rules: &[Rule], diagnostics: &mut Diagnostics<'_, '_>) {
    let Some(layer) = document.layers.iter().find(|layer| layer.power == LayerPower::Improve) else { return };
    if let Some(rule) = rules.iter().find(|rule| rule.effect.is_shared()) {
        let message =
            format!("the rule `{}` has an amount of the whole order, below a layer that may only improve", rule.id);
        let help = "decisions are compared line by line; use `scope: line`, or let the layer replace";
        diagnostics.error("layer-and-order-scope", layer.name.span(), message, help);
    }
}

/// `next` is where the rule after this one begins.
fn effect(
    rule: &RuleNode,
    next: Option<Span>,
    names: &Names,
    draft: &mut Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<RuleEffect> {
    let answers = Answers {
        refund: rule.refund.as_ref(),
        deny: rule.deny.as_ref(),
        more_info: rule.more_info.as_ref(),
        manual_review: rule.manual_review.as_ref(),
    };
    let whole = Span { end: next.map_or(u32::MAX, |next| next.start), ..rule.id.span() };
    let of = format!("the rule `{}`", rule.id.text());
    let action = action(&answers, &of, rule.id.span(), whole, names, draft, diagnostics);
    let demands = demands(rule.require.as_ref(), names, diagnostics);
    let next_steps = steps(rule.next.as_ref(), names, diagnostics);
    let review = window(rule.review.as_ref(), rule.id.span(), draft, diagnostics);
    let payout = payout(rule.payout.as_ref(), rule.id.span(), draft, diagnostics);
    let components = components::overrides(rule.components.as_ref(), draft, diagnostics);
    let mut extras = |written: Option<&Table<BesideNode>>| -> Vec<Extra> {
        let entries = written.map_or(&[][..], |table| table.entries.as_slice());
        entries
            .iter()
            .filter_map(|(name, extra)| order_amounts::beside(name, extra, names, draft, diagnostics))
            .collect()
    };
    let compensations = extras(rule.compensate.as_ref());
    let amounts_due = extras(rule.amount_due.as_ref());
    let method = rule.method.as_ref().map_or(Some(RefundMethod::OriginalPayment), |slug| {
        word(&slug.0, "refund method", RefundMethod::ALL, RefundMethod::as_str, diagnostics)
    });
    let action = action?;
    let misplaced = |key: &str, of: &str, diagnostics: &mut Diagnostics<'_, '_>| {
        diagnostics.error(
            "misplaced-key",
            rule.id.span(),
            format!("`{key}` has no meaning in the rule `{}`, which does not {of}", rule.id.text()),
            "remove it",
        );
    };
    if !matches!(action, Action::Refund(_)) {
        let written = [
            ("payout", rule.payout.is_some()),
            ("method", rule.method.is_some()),
            ("components", rule.components.is_some()),
            ("compensate", rule.compensate.is_some()),
            ("amount_due", rule.amount_due.is_some()),
        ];
        for (key, _) in written.into_iter().filter(|(_, written)| *written) {
            misplaced(key, "refund", diagnostics);
        }
    }
    if matches!(action, Action::Deny(_) | Action::Ask(_)) && rule.require.is_some() {
        misplaced("require", "refund or go to review", diagnostics);
    }
    let method = method?;
    Some(RuleEffect { action, demands, next_steps, review, payout, method, components, compensations, amounts_due })
}

fn demands(written: Option<&OneOrMany<Text>>, names: &Names, diagnostics: &mut Diagnostics<'_, '_>) -> Vec<Demand> {
    let entries = written.map_or(&[][..], |entries| entries.0.as_slice());
    let mut demands = Vec::new();
    for text in entries {
        let demand = match text.value.as_str() {
            "reason" => Some(Demand::Reason),
            "clear_text" => Some(Demand::ClearText),
            "reason.evidence" => Some(Demand::ReasonEvidence),
            name => match names
                .requirements
                .iter()
                .position(|known| known == name)
                .and_then(|place| u16::try_from(place).ok())
            {
                Some(place) => Some(Demand::Evidence(place)),
                None if names.broken.iter().any(|broken| broken == name) => None,
                None => {
                    let known: Vec<String> = ["reason", "clear_text", "reason.evidence"]
                        .into_iter()
                        .map(str::to_owned)
                        .chain(names.requirements.iter().cloned())
                        .collect();
                    unknown_word(name, text.span, "demand", &known, diagnostics);
                    None
                }
            },
        };
        demands.extend(demand.filter(|demand| !demands.contains(demand)));
    }
    demands
}

/// Checks `otherwise`, the key of which stands at `key`.
pub fn otherwise(
    written: &OtherwiseNode,
    key: Span,
    names: &Names,
    draft: &Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<RuleEffect> {
    let OtherwiseNode { deny, more_info, manual_review, next, review } = written;
    let at = [deny, more_info, manual_review]
        .into_iter()
        .flatten()
        .flat_map(|codes| codes.0.first())
        .map(|code| code.span)
        .next()
        .unwrap_or(key);
    let given = [
        deny.as_ref().map(|codes| (codes, 0u8)),
        more_info.as_ref().map(|codes| (codes, 1)),
        manual_review.as_ref().map(|codes| (codes, 2)),
    ];
    let mut given: SmallVec<[_; 3]> = given.into_iter().flatten().collect();
    let action = match (given.pop(), given.pop()) {
        (Some((codes, which)), None) => reason_codes(codes, diagnostics).map(|codes| match which {
            0 => Action::Deny(codes),
            1 => Action::Ask(codes),
            _ => Action::Review(codes),
        }),
        (None, _) if has_unknown_key(Span { end: u32::MAX, ..key }, diagnostics) => None,
        (None, _) => {
            diagnostics.error(
                "no-answer",
                at,
                "`otherwise` gives no answer",
                "add one of `deny`, `more_info`, `manual_review`",
            );
            None
        }
        (Some(_), Some(_)) => {
            diagnostics.error(
                "two-answers",
                at,
                "`otherwise` gives more than one answer",
                "keep one of `deny`, `more_info`, `manual_review`",
            );
            None
        }
    };
    let next_steps = steps(next.as_ref(), names, diagnostics);
    let review = window(review.as_ref(), at, draft, diagnostics);
    Some(RuleEffect {
        action: action?,
        demands: Vec::new(),
        next_steps,
        review,
        payout: None,
        method: RefundMethod::OriginalPayment,
        components: Vec::new(),
        compensations: Vec::new(),
        amounts_due: Vec::new(),
    })
}
