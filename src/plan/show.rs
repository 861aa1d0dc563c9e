//! Values of facts as a person reads them.

use crate::domain::facts::{FactId, Value};
use crate::domain::ratio::Ratio;
use crate::domain::time::Timestamp;
use crate::plan::Plan;
use crate::plan::fact::{Dimension, FactType, NANOS_PER_UNIT};

impl Plan {
    /// The value of a fact in the words of the policy: `125.00`, `34h 10m`, `in_progress`.
    #[must_use]
    pub fn show(&self, fact: FactId, value: Value) -> String {
        let fact_type = self.fact(fact).map(|definition| definition.fact_type);
        match (value, fact_type) {
            (Value::Flag(flag), _) => flag.to_string(),
            (Value::Text, _) => "given".to_owned(),
            (Value::Word(word), Some(FactType::Word(vocabulary))) => {
                self.vocabularies.word(vocabulary, word).to_owned()
            }
            (Value::Set(set), Some(FactType::Set(vocabulary))) => {
                let words =
                    (0..64u16).filter(|bit| set >> bit & 1 == 1).map(|bit| self.vocabularies.word(vocabulary, bit));
                words.collect::<Vec<_>>().join(", ")
            }
            (Value::Quantity(number), Some(FactType::Quantity(dimension))) => show_quantity(number, dimension),
            (Value::Word(_) | Value::Set(_) | Value::Quantity(_), _) => String::new(),
        }
    }
}

/// A number with its unit, as policies write it.
#[must_use]
pub fn show_quantity(number: Ratio, dimension: Dimension) -> String {
    match dimension {
        Dimension::Number => number.to_string(),
        Dimension::Money => Ratio::fraction(1, NANOS_PER_UNIT)
            .and_then(|unit| number.times(unit).ok())
            .map_or_else(|| number.to_string(), show_money),
        Dimension::Elapsed => show_elapsed(number),
        Dimension::Days => format!("{number} days"),
        Dimension::BusinessDays => format!("{number} business_days"),
        Dimension::Timestamp => {
            Timestamp::from_nanos(number.floor()).map_or_else(|| number.to_string(), |time| time.to_string())
        }
    }
}

/// At least two decimal places where it is a decimal, so that amounts line up.
fn show_money(units: Ratio) -> String {
    let text = units.to_string();
    match text.split_once('.') {
        Some((whole, places)) => format!("{whole}.{places:0<2}"),
        None if units.is_whole() => format!("{text}.00"),
        None => text,
    }
}

/// `-2d 3h 4m 5s`; fractions of a second as a decimal.
fn show_elapsed(nanos: Ratio) -> String {
    if !nanos.is_whole() {
        return format!("{nanos}ns");
    }
    let total = nanos.numerator();
    let sign = if total < 0 { "-" } else { "" };
    let magnitude = total.unsigned_abs();
    let (seconds, rest) = (magnitude / 1_000_000_000, magnitude % 1_000_000_000);
    let mut parts = Vec::new();
    for (length, unit) in [(3_600, "h"), (60, "m")] {
        let count = match unit {
            "h" => seconds / length,
            _ => seconds % 3_600 / length,
        };
        if count > 0 {
            parts.push(format!("{count}{unit}"));
        }
    }
    let left = seconds % 60;
    match (rest, left) {
        (0, 0) if !parts.is_empty() => {}
        (0, _) => parts.push(format!("{left}s")),
        (_, _) => parts.push(format!("{left}.{}s", format!("{rest:09}").trim_end_matches('0'))),
    }
    format!("{sign}{}", parts.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_like_policy_text() {
        let shown = |number: i128, dimension| show_quantity(Ratio::whole(number), dimension);
        assert_eq!(shown(125_000_000_000, Dimension::Money), "125.00");
        assert_eq!(shown(66_660_000_000, Dimension::Money), "66.66");
        assert_eq!(shown(86_401_000_000_000, Dimension::Elapsed), "24h 1s");
        assert_eq!(shown(0, Dimension::Elapsed), "0s");
        assert_eq!(shown(-3_600_000_000_000, Dimension::Elapsed), "-1h");
        assert_eq!(shown(500_000_000, Dimension::Elapsed), "0.5s");
        assert_eq!(shown(0, Dimension::Timestamp), "1970-01-01T00:00:00Z");
        assert_eq!(show_quantity(Ratio::fraction(1, 3).unwrap(), Dimension::Number), "1/3");
    }
}
