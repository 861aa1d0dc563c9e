//! Amounts that rules take or give: their bounds, their rounding, and kinds of deduction.

use crate::domain::ratio::{Ratio, Rounding, RoundingMode};
use crate::domain::words::DeductionKind;
use crate::plan::fact::{Dimension, FactType, NANOS_PER_UNIT};
use crate::plan::formula::Formula;
use crate::plan::rule::{Extra, Rounded};
use crate::policy::check::condition::{self};
use crate::policy::check::draft::Draft;
use crate::policy::check::facts::only_number;
use crate::policy::check::header::word;
use crate::policy::check::names::Names;
use crate::policy::diagnostics::Diagnostics;
use crate::policy::document::amounts::ExtraNode;
use crate::policy::document::rules::StepNode;
use crate::policy::document::shared::RoundNode;
use crate::policy::formula::check::formula;
use crate::policy::formula::scope::{Context, ROUNDING_MODES, Wanted};
use crate::policy::literal;
use crate::policy::read::Text;
use crate::policy::unknown::unknown_word;

pub(super) type Bounds = (Option<Formula>, Option<Formula>);

/// Kinds that only the engine takes.
const ENGINE_KINDS: [DeductionKind; 2] = [DeductionKind::Rounding, DeductionKind::NotRequested];

/// Type of every amount.
pub const MONEY: Wanted = Wanted::Type(FactType::Quantity(Dimension::Money));

/// An amount beside the refund.
pub fn extra(
    name: &Text,
    written: &ExtraNode,
    draft: &mut Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Extra> {
    let named = crate::policy::read::check_slug(name, diagnostics);
    let tests = condition::tests(written.when.as_ref(), draft, diagnostics);
    let amount = formula(&written.amount, MONEY, &draft.scope(Context::Beside), diagnostics);
    let (at_least, at_most) =
        bounds(written.at_least.as_ref(), written.at_most.as_ref(), Context::Beside, draft, diagnostics)?;
    let (rounding, rounded) = own_rounding(written.round.as_ref(), draft, diagnostics)?;
    if let (Rounded::Refund, Some(of)) = (rounded, written.round.as_ref().and_then(|round| round.of.as_ref())) {
        diagnostics.error(
            "misplaced-key",
            of.span(),
            "there is no refund to round here",
            "remove `of`: the amount itself is rounded",
        );
    }
    let (amount, _) = amount?;
    let (name, tests) = (name.value.clone(), tests?);
    named.then_some(Extra { name, tests, amount, at_least, at_most, rounding, order_amount: None })
}

/// Floor and cap; reported where no amount can keep both.
pub fn bounds(
    low: Option<&Text>,
    high: Option<&Text>,
    context: Context,
    draft: &Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Bounds> {
    let bound = |text: Option<&Text>, diagnostics: &mut Diagnostics<'_, '_>| match text {
        Some(text) => formula(text, MONEY, &draft.scope(context), diagnostics).map(|(formula, _)| Some(formula)),
        None => Some(None),
    };
    let (at_least, at_most) = (bound(low, diagnostics), bound(high, diagnostics));
    let (at_least, at_most) = (at_least?, at_most?);
    if let (Some(least), Some(most), Some(text)) =
        (at_least.as_ref().and_then(only_number), at_most.as_ref().and_then(only_number), low)
        && most < least
    {
        diagnostics.error(
            "bounds-crossed",
            text.span,
            "`at_least` is more than `at_most`",
            "no amount can keep both; swap them or change one",
        );
    }
    Some((at_least, at_most))
}

/// The rounding that is written, and what is rounded.
pub fn own_rounding(
    written: Option<&RoundNode>,
    draft: &Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<(Option<Rounding>, Rounded)> {
    match written {
        Some(round) => rounding(round, draft, diagnostics).map(|(rounding, rounded)| (Some(rounding), rounded)),
        None => Some((None, Rounded::Deduction)),
    }
}

/// The kind of a deduction that a rule may take.
pub fn kind(written: &StepNode, names: &Names, diagnostics: &mut Diagnostics<'_, '_>) -> Option<DeductionKind> {
    if let Some(kind) = written.kind.text().parse::<DeductionKind>().ok().filter(|kind| ENGINE_KINDS.contains(kind)) {
        diagnostics.error(
            "unknown-word",
            written.kind.span(),
            format!("`{kind}` is taken by the engine, not by a rule"),
            "choose the kind that says why this is held back",
        );
        return None;
    }
    let kinds: Vec<_> = DeductionKind::ALL.iter().copied().filter(|kind| !ENGINE_KINDS.contains(kind)).collect();
    let kind = word(&written.kind.0, "kind of deduction", &kinds, DeductionKind::as_str, diagnostics)?;
    if names.never_deduct.iter().any(|never| never == kind.as_str()) {
        let message = format!("this policy never deducts a `{kind}`");
        diagnostics.error(
            "forbidden-deduction",
            written.kind.span(),
            message,
            "`never_deduct` lists it; remove it there or the deduction here",
        );
    }
    Some(kind)
}

pub(super) fn rounding(
    written: &RoundNode,
    draft: &Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<(Rounding, Rounded)> {
    let finest = draft.currencies.iter().map(crate::domain::money::Currency::minor_per_unit).min().unwrap_or(1);
    let finest = Ratio::fraction(NANOS_PER_UNIT, i128::from(finest))?;
    let increment = match &written.to {
        None => Some(None),
        Some(text) => increment(text, finest, diagnostics).map(Some),
    };
    let mode = match &written.mode {
        None => Some(RoundingMode::HalfUp),
        Some(mode) => {
            let found = ROUNDING_MODES.iter().find(|(name, _)| *name == mode.text()).map(|(_, mode)| *mode);
            if found.is_none() {
                let known: Vec<String> = ROUNDING_MODES.iter().map(|(name, _)| (*name).to_owned()).collect();
                unknown_word(mode.text(), mode.span(), "rounding mode", &known, diagnostics);
            }
            found
        }
    };
    let rounded = match written.of.as_ref().map(|of| (of.text(), of.span())) {
        None | Some(("deduction", _)) => Some(Rounded::Deduction),
        Some(("refund", _)) => Some(Rounded::Refund),
        Some((other, span)) => {
            unknown_word(other, span, "thing to round", &["deduction".to_owned(), "refund".to_owned()], diagnostics);
            None
        }
    };
    // Without a step of its own, the currency's minor unit is meant; the machine knows which.
    let increment = increment?.unwrap_or(Ratio::ZERO);
    Some((Rounding { increment, mode: mode? }, rounded?))
}

pub(super) fn increment(text: &Text, finest: Ratio, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Ratio> {
    let step = literal::quantity(&text.value, Dimension::Money).filter(|step| Ratio::ZERO < *step);
    let Some(step) = step else {
        diagnostics.error(
            "bad-literal",
            text.span,
            format!("`{}` is not a step to round to", text.value),
            "write an amount above zero, such as `0.50`",
        );
        return None;
    };
    let multiple = step.over(finest).and_then(Result::ok).is_some_and(Ratio::is_whole);
    if !multiple {
        diagnostics.error(
            "amount-too-fine",
            text.span,
            format!("the step `{}` is not a multiple of the minor unit of every currency", text.value),
            "round to whole minor units",
        );
        return None;
    }
    Some(step)
}
