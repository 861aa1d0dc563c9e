//! Slips that authors make again and again, and what should have been written.

use crate::plan::fact::Dimension;
use crate::policy::literal;
use crate::policy::source::{Source, Span};

/// Advice on alternatives in a `when`.
pub const ALTERNATIVES: &str = "all tests of a `when` must hold: for alternatives write a rule each, or a list of values, \
                                such as `stage: [unpaid, cancelled]`";

/// Likely mistake in a text that the parser cannot read.
pub struct SyntaxSlip {
    /// The mistake.
    pub message: String,
    /// Place of the mistake.
    pub span: Span,
    /// Advice on how to correct it.
    pub help: &'static str,
}

/// The slip behind an error of the parser at a byte: it tells where it noticed, which is often a line too late.
pub fn of_syntax(source: &Source<'_>, info: &str, at: usize) -> Option<SyntaxSlip> {
    let line_start = source.text.get(..at)?.rfind('\n').map_or(0, |newline| newline + 1);
    let line = source.text.get(line_start..)?.lines().next().unwrap_or("");
    let indentation = line.len() - line.trim_start().len();
    if let Some(tab) = line.get(..indentation).and_then(|blank| blank.find('\t')) {
        let span = source.span(line_start + tab, line_start + tab + 1);
        let message = "this line is indented with a tab".to_owned();
        return Some(SyntaxSlip { message, span, help: "indent with spaces: two for each level" });
    }
    if !info.contains("simple key") {
        return None;
    }
    // The key was begun on the last line with anything on it.
    let before = source.text.get(..line_start)?;
    let of_line = |text: &str, from: usize| -> Option<SyntaxSlip> {
        let trimmed = text.trim();
        let is_key =
            !trimmed.is_empty() && !trimmed.starts_with('#') && !trimmed.contains(": ") && !trimmed.ends_with(':');
        let start = from + text.len() - text.trim_start().len();
        let span = source.span(start, start + trimmed.len());
        let message = format!("`{trimmed}` has no colon");
        is_key.then_some(SyntaxSlip { message, span, help: "write `key: value`" })
    };
    let last = before.trim_end();
    let last_start = last.rfind('\n').map_or(0, |newline| newline + 1);
    of_line(last.get(last_start..)?, last_start).or_else(|| of_line(line, line_start))
}

/// The comparison that was meant by one that policies do not know.
pub fn of_comparison(text: &str) -> Option<(&'static str, &'static str)> {
    const MEANT: [(&str, &str); 8] = [
        ("=<", "<="),
        ("=>", ">="),
        ("≤", "<="),
        ("≥", ">="),
        ("==", ""),
        ("!=", "not(…)"),
        ("<>", "not(…)"),
        ("=", ""),
    ];
    MEANT.into_iter().find(|(wrong, _)| text.starts_with(wrong))
}

/// The spelling that a value should have, where it is nearly right.
pub fn of_literal(text: &str, dimension: Dimension) -> Option<String> {
    let text = text.trim();
    let count = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(count);
    let unit = unit.trim().to_ascii_lowercase();
    let meant = match dimension {
        Dimension::Elapsed => format!("{digits}{}", elapsed_unit(&unit)?),
        Dimension::Days if matches!(unit.as_str(), "" | "d" | "day" | "days" | "calendar days") => {
            format!("{digits} days")
        }
        Dimension::BusinessDays if matches!(unit.as_str(), "" | "business days" | "business day" | "working days") => {
            format!("{digits} business_days")
        }
        Dimension::Money => amount(text),
        Dimension::Number => amount(text.trim_end_matches('%').trim_end()) + if text.ends_with('%') { "%" } else { "" },
        Dimension::Days | Dimension::BusinessDays | Dimension::Timestamp => return None,
    };
    (meant != text && literal::quantity(&meant, dimension).is_some()).then_some(meant)
}

fn elapsed_unit(unit: &str) -> Option<&'static str> {
    const UNITS: [(&str, &[&str]); 6] = [
        ("ms", &["ms", "millis", "millisecond", "milliseconds"]),
        ("s", &["s", "sec", "secs", "second", "seconds"]),
        ("m", &["m", "min", "mins", "minute", "minutes"]),
        ("h", &["h", "hr", "hrs", "hour", "hours"]),
        ("d", &["d", "day", "days"]),
        ("w", &["w", "week", "weeks"]),
    ];
    UNITS.into_iter().find(|(_, names)| names.contains(&unit)).map(|(unit, _)| unit)
}

/// An amount without its currency, with a point: `5 EUR` as `5`, `1,234.50` as `1234.50`, `5,00` as `5.00`.
fn amount(text: &str) -> String {
    let is_part = |character: char| character.is_ascii_digit() || matches!(character, '.' | ',' | '-' | '/');
    let number = text.trim_matches(|character: char| !is_part(character));
    match number.rsplit_once(',') {
        Some((whole, places)) if places.len() <= 2 && !number.contains('.') => {
            format!("{}.{places}", whole.replace(',', ""))
        }
        Some(_) => number.replace(',', ""),
        None if number.starts_with('.') => format!("0{number}"),
        None => number.to_owned(),
    }
}

/// Returns `true` if a quotation in a message begins with a typographic quote, which is a letter to YAML.
pub fn is_of_quotes(message: &str) -> bool {
    ["`“", "`”", "`„", "`‘", "`’", "`«"].iter().any(|begin| message.contains(begin))
}

/// Returns `true` if a text holds a day written out: `2026-11-01`.
pub fn has_day(text: &str) -> bool {
    text.as_bytes().windows(10).any(|window| {
        window.iter().enumerate().all(|(place, byte)| match place {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_spelling_is_found() {
        for (wrong, dimension, right) in [
            ("24 hours", Dimension::Elapsed, Some("24h")),
            ("3 weeks", Dimension::Elapsed, Some("3w")),
            ("24", Dimension::Elapsed, None),
            ("14d", Dimension::Days, Some("14 days")),
            ("3 working days", Dimension::BusinessDays, Some("3 business_days")),
            ("5,00", Dimension::Money, Some("5.00")),
            ("1,234.50", Dimension::Money, Some("1234.50")),
            ("€5", Dimension::Money, Some("5")),
            ("5 EUR", Dimension::Money, Some("5")),
            (".5", Dimension::Number, Some("0.5")),
            ("50 %", Dimension::Number, Some("50%")),
            ("nonsense", Dimension::Number, None),
            ("2026-11-01", Dimension::Timestamp, None),
        ] {
            assert_eq!(of_literal(wrong, dimension).as_deref(), right, "{wrong}");
        }
    }

    #[test]
    fn a_day_is_found_in_a_formula() {
        assert!(has_day("placed_at < 2026-11-01T00:00:00Z"));
        assert!(!has_day("a - 2026 - 11 - 01") && !has_day("x"));
    }
}
