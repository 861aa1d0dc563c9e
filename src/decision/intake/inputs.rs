//! The facts that a policy declares itself: inputs of each type, and further moments.

use std::fmt::Display;

use smallvec::SmallVec;

use crate::decision::field::Shown;
use crate::decision::intake::{Intake, place, set};
use crate::domain::facts::{FactId, Value, Values};
use crate::domain::limits::{DECIMAL_DIGITS_MAX, DECIMAL_PLACES_MAX};
use crate::domain::ratio::Ratio;
use crate::domain::request::{Fraction, InputValue};
use crate::plan::Plan;
use crate::plan::fact::{BuiltIn, Dimension, FactType, Input, InputScope, Origin};

/// The moments that `order.times` may hold, beside the policy's own.
const KNOWN_MOMENTS: [BuiltIn; 4] =
    [BuiltIn::PromisedAt, BuiltIn::StartedAt, BuiltIn::DeliveredAt, BuiltIn::CompletedAt];

/// The names that `order.times` may hold.
pub(super) fn anchors(plan: &Plan) -> impl Iterator<Item = &str> + Clone {
    let own = plan.facts.iter().filter(|fact| fact.origin == Origin::Anchor).map(|fact| fact.name.as_str());
    KNOWN_MOMENTS.iter().map(|fact| fact.name()).chain(own)
}

/// The fact of a name in `order.times`.
pub(super) fn anchor(plan: &Plan, name: &str) -> Option<FactId> {
    // Most are of these few, and what is compared needs no hash.
    if let Some(known) = KNOWN_MOMENTS.iter().find(|known| known.name() == name) {
        return Some(place(*known));
    }
    let fact = plan.fact_names.get(name).copied()?;
    match plan.fact(fact)?.origin {
        Origin::Anchor => Some(fact),
        Origin::BuiltIn(_) | Origin::Component | Origin::Input(_) | Origin::Derived => None,
    }
}

/// Reads the inputs of one scope into the row of values; absent ones get the policy's default.
pub(super) fn read(
    intake: &mut Intake<'_>,
    sent: &[(&str, InputValue<'_>)],
    scope: InputScope,
    field: impl Display + Copy,
    values: &mut Values,
) {
    let plan = intake.plan;
    let mut seen: SmallVec<[FactId; 8]> = SmallVec::new();
    for (name, value) in sent {
        let field = format_args!("{field}[\"{}\"]", Shown(name));
        let fact = plan.fact_names.get(*name).copied();
        let declared = fact.and_then(|fact| Some((fact, plan.fact(fact)?))).and_then(|(fact, definition)| {
            match &definition.origin {
                Origin::Input(input) if input.scope == scope => Some((fact, definition.fact_type, input)),
                Origin::Input(_) | Origin::BuiltIn(_) | Origin::Anchor | Origin::Component | Origin::Derived => None,
            }
        });
        match declared {
            Some((fact, ..)) if seen.contains(&fact) => intake.bad(field, "stands twice"),
            Some((fact, fact_type, input)) => {
                seen.push(fact);
                let value = one(intake, *value, fact_type, input, field);
                set(values, fact, value);
            }
            None => {
                intake.bad(field, format_args!("is not an input that the policy declares for {}", scope_name(scope)))
            }
        }
    }
    // What a policy declares to be given stands between what every policy knows and what it derives.
    let declared = plan.facts.iter().enumerate().take(usize::from(plan.given_facts)).skip(BuiltIn::ALL.len());
    for (fact, definition) in declared {
        let Origin::Input(input) = &definition.origin else { continue };
        let fact = FactId(u16::try_from(fact).unwrap_or(u16::MAX));
        if input.scope == scope && !seen.contains(&fact) {
            set(values, fact, input.default);
        }
    }
}

const fn scope_name(scope: InputScope) -> &'static str {
    match scope {
        InputScope::Order => "orders",
        InputScope::Line => "lines",
    }
}

/// One value, of the type that the policy declares.
fn one(
    intake: &mut Intake<'_>,
    value: InputValue<'_>,
    fact_type: FactType,
    input: &Input,
    field: impl Display + Copy,
) -> Option<Value> {
    match (fact_type, value) {
        (FactType::Flag, InputValue::Flag(flag)) => Some(Value::Flag(flag)),
        (FactType::Word(vocabulary), InputValue::Text(word)) if !word.is_empty() => {
            intake.word(word, vocabulary, field).map(Value::Word)
        }
        (FactType::Text, InputValue::Text(_)) => Some(Value::Text),
        (FactType::Quantity(dimension), value) => {
            let number = quantity(intake, dimension, value, field)?;
            if !input.range.contains(number) {
                intake.bad(field, format_args!("must be {}", input.range.describe()));
                return None;
            }
            Some(Value::Quantity(number))
        }
        (FactType::Flag | FactType::Word(_) | FactType::Set(_) | FactType::Text, _) => {
            intake.bad(field, format_args!("must be {}", wanted(fact_type)));
            None
        }
    }
}

fn quantity(
    intake: &mut Intake<'_>,
    dimension: Dimension,
    value: InputValue<'_>,
    field: impl Display + Copy,
) -> Option<Ratio> {
    match (dimension, value) {
        (Dimension::Number, InputValue::Decimal(text)) => {
            let number = Ratio::parse_decimal(text);
            if number.is_none() {
                intake.bad(field, format_args!("`{}` is not a decimal: write digits, at most {DECIMAL_DIGITS_MAX} before the point and {DECIMAL_PLACES_MAX} after it", Shown(text)));
            }
            number
        }
        (Dimension::Number, InputValue::Fraction(Fraction { numerator, denominator })) => {
            let number =
                (0 < denominator).then(|| Ratio::fraction(i128::from(numerator), i128::from(denominator))).flatten();
            if number.is_none() {
                intake.bad(format_args!("{field}.denominator"), format_args!("must be above zero, got {denominator}"));
            }
            number
        }
        (Dimension::Money, InputValue::Money(money)) => {
            let amount = intake.amount(Some(money), field)?;
            let currency = intake.plan.currencies.iter().find(|currency| currency.code == money.currency)?;
            Some(currency.nanos(amount))
        }
        (Dimension::Elapsed, InputValue::Duration(elapsed)) => Some(Ratio::whole(elapsed.nanos())),
        (Dimension::Timestamp, InputValue::Timestamp(at)) => Some(Ratio::whole(at.nanos())),
        (dimension, _) => {
            intake.bad(field, format_args!("must be {}", wanted(FactType::Quantity(dimension))));
            None
        }
    }
}

/// Form in which a value of a type is sent.
const fn wanted(fact_type: FactType) -> &'static str {
    match fact_type {
        FactType::Flag => "a `flag`",
        FactType::Word(_) => "a `text` that is one of the input's values",
        FactType::Set(_) | FactType::Text => "a `text`",
        FactType::Quantity(Dimension::Number | Dimension::Days | Dimension::BusinessDays) => {
            "a `decimal` or a `fraction`"
        }
        FactType::Quantity(Dimension::Money) => "`money`",
        FactType::Quantity(Dimension::Elapsed) => "a `duration`",
        FactType::Quantity(Dimension::Timestamp) => "a `timestamp`",
    }
}
