//! Deductions: kinds, amounts, tiers without gap or overlap, bounds, rounding.

use std::ops::Bound;

use crate::domain::ratio::Ratio;
use crate::plan::fact::{Dimension, FactType, InputRange, Origin};
use crate::plan::formula::{Formula, Leaf, Op};
use crate::plan::rule::{Step, StepAmount, StepScope, Tier};
use crate::plan::test::Interval;
use crate::policy::check::amounts::{MONEY, bounds, kind, own_rounding};
use crate::policy::check::condition::{self, Seam, lower_key, range, seam};
use crate::policy::check::draft::Draft;
use crate::policy::check::names::Names;
use crate::policy::check::order_amounts;
use crate::policy::check::whole::{adjoin, is_whole};
use crate::policy::diagnostics::Diagnostics;
use crate::policy::document::rules::{StepNode, TiersNode};
use crate::policy::formula::check::formula;
use crate::policy::formula::describe::describe_dimension;
use crate::policy::formula::scope::{Context, Wanted};
use crate::policy::literal;
use crate::policy::read::{Slug, Text};
use crate::policy::unknown::unknown_word;

const NUMBER: Wanted = Wanted::Type(FactType::Quantity(Dimension::Number));

/// Checks the deductions of a rule, in order.
pub fn steps(
    written: &[StepNode],
    names: &Names,
    draft: &mut Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Vec<Step>> {
    let steps: Vec<Option<Step>> = written.iter().map(|step| self::step(step, names, draft, diagnostics)).collect();
    order_amounts::check_order(written, diagnostics);
    steps.into_iter().collect()
}

fn step(written: &StepNode, names: &Names, draft: &mut Draft, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Step> {
    if let Some(name) = &written.order_amount {
        return order_amounts::carried_step(written, name, names, draft, diagnostics);
    }
    let kind = kind(written, names, diagnostics);
    let scope = scope(written.scope.as_ref(), diagnostics);
    let tests = condition::tests(written.when.as_ref(), draft, diagnostics);
    let amount = amount(written, draft, diagnostics);
    let (at_least, at_most) =
        bounds(written.at_least.as_ref(), written.at_most.as_ref(), Context::Deduction, draft, diagnostics)?;
    let (rounding, rounded) = own_rounding(written.round.as_ref(), draft, diagnostics)?;
    let (amount, text) = amount?;
    let (kind, scope, tests) = (kind?, scope?, tests?);
    let step = Step { kind, scope, tests, amount, at_least, at_most, rounding, rounded, text, order_amount: None };
    check_scope(&step, written, draft, diagnostics)?;
    Some(step)
}

fn scope(written: Option<&Slug>, diagnostics: &mut Diagnostics<'_, '_>) -> Option<StepScope> {
    match written.map(|scope| (scope.text(), scope.span())) {
        None | Some(("line", _)) => Some(StepScope::Line),
        Some(("order", _)) => Some(StepScope::Order),
        Some((other, span)) => {
            unknown_word(other, span, "scope", &["line".to_owned(), "order".to_owned()], diagnostics);
            None
        }
    }
}

/// A deduction for the whole order may not depend on which line is asked.
fn check_scope(step: &Step, written: &StepNode, draft: &Draft, diagnostics: &mut Diagnostics<'_, '_>) -> Option<()> {
    if step.scope == StepScope::Line {
        return Some(());
    }
    let of_amount: Vec<&Formula> = match &step.amount {
        StepAmount::Formula(formula) => vec![formula],
        StepAmount::Tiers { on, tiers, of } => tiers.iter().map(|tier| &tier.value).chain([on]).chain(of).collect(),
    };
    let formulas = of_amount.into_iter().chain(&step.at_least).chain(&step.at_most);
    let facts = formulas.flat_map(Formula::facts).chain(step.tests.iter().map(|test| test.fact));
    let Some(name) = draft.of_a_line(facts) else { return Some(()) };
    let message = format!("`{name}` is of a line, but this deduction is of the whole order");
    let help = "use facts of the order, such as `order_paid` or `remaining`, or remove `scope: order`";
    diagnostics.error("line-fact-in-order", written.kind.span(), message, help);
    None
}

/// The amount, and the text that stands for it in an answer.
fn amount(written: &StepNode, draft: &Draft, diagnostics: &mut Diagnostics<'_, '_>) -> Option<(StepAmount, String)> {
    match (&written.amount, &written.tiers) {
        (Some(text), None) => {
            if let Some(of) = &written.of {
                diagnostics.error(
                    "misplaced-key",
                    of.span,
                    "`of` belongs to `tiers`",
                    format!("write it into the formula: `amount: \"{} * {}\"`", of.value, text.value),
                );
                return None;
            }
            let (formula, _) = formula(text, MONEY, &draft.scope(Context::Deduction), diagnostics)?;
            Some((StepAmount::Formula(formula), text.value.clone()))
        }
        (None, Some(tiers)) => self::tiers(tiers, written.of.as_ref(), draft, diagnostics),
        (None, None) => {
            diagnostics.error(
                "missing-key",
                written.kind.span(),
                "a deduction needs `amount`, `tiers` or `order_amount`",
                "write how much is held back: `amount: \"paid * 10%\"`",
            );
            None
        }
        (Some(amount), Some(_)) => {
            diagnostics.error(
                "misplaced-key",
                amount.span,
                "a deduction has `amount` or `tiers`, not both",
                "remove one of them",
            );
            None
        }
    }
}

fn tiers(
    written: &TiersNode,
    of: Option<&Text>,
    draft: &Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<(StepAmount, String)> {
    let scope = draft.scope(Context::Deduction);
    let on = formula(&written.on, Wanted::Any, &scope, diagnostics);
    let written_of = of;
    let of = match of {
        Some(of) => formula(of, MONEY, &scope, diagnostics).map(|(formula, _)| Some(formula)),
        None => Some(None),
    };
    if let (None, Some((_, share))) =
        (written_of, written.steps.entries.iter().find(|(_, value)| is_share(&value.value)))
    {
        diagnostics.error(
            "missing-key",
            share.span,
            format!("the tiers are shares such as `{}`, but nothing says of what", share.value),
            "add the key `of` beside `tiers`: `of: paid`",
        );
        return None;
    }
    let (on, fact_type) = on?;
    let FactType::Quantity(dimension) = fact_type else {
        diagnostics.error(
            "formula-type",
            written.on.span,
            "tiers go by a number",
            "choose a formula that counts something",
        );
        return None;
    };
    let of = of?;
    let wanted = if of.is_some() { NUMBER } else { MONEY };
    let mut tiers: Vec<(Interval, Formula, &Text)> = Vec::new();
    let mut good = true;
    for (key, value) in &written.steps.entries {
        let interval = range(key, dimension, diagnostics);
        let value = formula(value, wanted, &scope, diagnostics);
        match (interval, value) {
            (Some(interval), Some((value, _))) => tiers.push((interval, value, key)),
            (_, _) => good = false,
        }
    }
    if !good || !written.steps.broken.is_empty() {
        return None;
    }
    if tiers.is_empty() {
        diagnostics.error(
            "empty-list",
            written.on.span,
            "there are no tiers",
            "write `steps: { \"< 24h\": 0%, \">= 24h\": 20% }`",
        );
        return None;
    }
    tiers.sort_by_key(|(interval, ..)| lower_key(interval));
    covers_everything(&tiers, written, (&on, dimension), draft, diagnostics)?;
    let text = match &of {
        Some(of) => format!("{} by {}", of.text, on.text),
        None => format!("by {}", on.text),
    };
    let tiers = tiers.into_iter().map(|(range, value, key)| {
        let text = format!("{text}, tier `{}`: {}", key.value, value.text);
        Tier { range, value, text }
    });
    let tiers = tiers.collect();
    Some((StepAmount::Tiers { on, tiers, of }, text))
}

/// Returns `true` if a tier is a share written out: `5%`. A formula may end in one too and be an amount all the same.
fn is_share(text: &str) -> bool {
    text.ends_with('%') && literal::number(text).is_some()
}

/// Every number lies in exactly one tier.
fn covers_everything(
    tiers: &[(Interval, Formula, &Text)],
    written: &TiersNode,
    (on, dimension): (&Formula, Dimension),
    draft: &Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<()> {
    let mut good = true;
    for pair in tiers.windows(2) {
        let [(before, _, before_key), (next, _, next_key)] = pair else { continue };
        let problem = match seam(before, next) {
            Seam::Gap if is_whole(on, dimension, draft) && adjoin(before, next) => continue,
            Seam::Touch => continue,
            Seam::Overlap => (
                "tiers-overlap",
                "overlap",
                "a value lies in both: leave the edge out of one of them, with a round bracket or `<`",
            ),
            Seam::Gap => (
                "tiers-gap",
                "leave a gap",
                "a value lies between them: let one of them include the edge, with a square bracket or `<=`",
            ),
        };
        diagnostics.error(
            problem.0,
            next_key.span,
            format!("the tiers `{}` and `{}` {}", before_key.value, next_key.value, problem.1),
            problem.2,
        );
        good = false;
    }
    let open_below =
        tiers.first().is_some_and(|(first, ..)| first.lower == Bound::Unbounded || begins_at_zero(first, on, draft));
    let open_above = tiers.last().is_some_and(|(last, ..)| last.upper == Bound::Unbounded);
    for (open, missing, example) in
        [(open_below, "below the lowest tier", "<"), (open_above, "above the highest tier", ">=")]
    {
        if !open {
            let message = format!("no tier covers {} {missing}", describe_dimension(dimension));
            diagnostics.error("tiers-gap", written.on.span, message, format!("add a tier with `{example}`"));
            good = false;
        }
    }
    good.then_some(())
}

/// Returns true if a number is never below zero, such as a share that a request sends: its tiers may begin there.
fn begins_at_zero(first: &Interval, on: &Formula, draft: &Draft) -> bool {
    let [Op::Put(Leaf::Fact(fact))] = on.ops.as_slice() else { return false };
    let never_negative = match draft.facts.get(usize::from(fact.0)).map(|fact| (&fact.origin, fact.fact_type)) {
        Some((Origin::BuiltIn(_) | Origin::Component, FactType::Quantity(Dimension::Number | Dimension::Money))) => {
            true
        }
        Some((Origin::Input(input), _)) => match input.range {
            InputRange::NotNegative | InputRange::Ratio | InputRange::Count => true,
            InputRange::Any => false,
        },
        Some((Origin::BuiltIn(_) | Origin::Component | Origin::Anchor | Origin::Derived, _)) | None => false,
    };
    never_negative && first.lower == Bound::Included(Ratio::ZERO)
}
