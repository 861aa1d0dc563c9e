//! Answers of the admin service for people.

pub(super) mod activation;
pub(super) mod candidate;
pub(super) mod changes;
pub mod decision;
pub(super) mod diagnostics;
pub(super) mod revisions;
pub(super) mod status;

use std::io;

use crate::api::pb;
use crate::cli::output::colour_of;
use crate::domain::money::Currency;
use crate::domain::printable::Printable;
use crate::policy::diagnostic::Colour;

/// Hex digits of a digest that tell one from another at a glance.
const SHORT_DIGEST_DIGITS: usize = 12;

/// Width of the column of captions.
const CAPTION_WIDTH: usize = 12;

/// Returns true if an answer on standard output may be coloured.
pub(super) fn colour() -> Colour {
    colour_of(&io::stdout())
}

/// Meaning of a text that a colour shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ink {
    Heading,
    New,
    Gone,
    Place,
}

/// A text in its colour, where there are colours.
pub(super) fn inked(text: &str, ink: Ink, colour: Colour) -> String {
    let code = match ink {
        Ink::Heading => "1",
        Ink::New => "32",
        Ink::Gone => "31",
        Ink::Place => "36",
    };
    match colour {
        Colour::On => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        Colour::Off => text.to_owned(),
    }
}

/// A text from elsewhere on one line, without anything that a terminal would obey.
pub(super) fn visible(text: &str) -> String {
    Printable(text).to_string()
}

/// The first digits of a digest.
pub(super) fn short(digest: &str) -> &str {
    let hex = digest.strip_prefix("blake3:").unwrap_or(digest);
    hex.get(..SHORT_DIGEST_DIGITS).unwrap_or(hex)
}

/// One line of caption and text; nothing where there is nothing to say.
pub(super) fn row(page: &mut String, caption: &str, text: &str) {
    if !text.is_empty() {
        page.push_str(&format!("{caption:<CAPTION_WIDTH$}  {}\n", visible(text)));
    }
}

/// A moment, in UTC; empty where there is none.
pub(super) fn moment(seconds: Option<i64>) -> String {
    let moment = seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    moment.map(|moment| moment.to_string()).unwrap_or_default()
}

/// A length of time, as far as it matters.
pub(super) fn length(seconds: i64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m {}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h {minutes}m"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}

/// `RELOAD_TRIGGER_FILE_CHANGE` as a person says it.
pub(super) fn humanize(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase().replace('_', " ")
}

/// Trigger, actor and reason of a revision.
pub(super) fn origin(revision: &pb::PolicyRevision) -> String {
    asked(revision.trigger(), &revision.actor, &revision.reason)
}

/// Trigger, actor and reason of an activation.
pub(super) fn asked(trigger: pb::ReloadTrigger, actor: &str, reason: &str) -> String {
    // By its verb: all of those that have an actor are of admins.
    let trigger = if trigger == pb::ReloadTrigger::Admin {
        "reload".to_owned()
    } else {
        humanize(trigger.as_str_name(), "RELOAD_TRIGGER_")
    };
    let actor = if actor.is_empty() { String::new() } else { format!(" by {actor}") };
    let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    format!("{trigger}{actor}{reason}")
}

/// An amount to the last digit: with the places of its currency, or all that are needed. A sum that
/// does not fit into its message is absent.
pub(super) fn decimal(money: Option<&pb::Money>) -> String {
    const NANOS_PER_UNIT: u128 = 1_000_000_000;
    let Some(pb::Money { currency_code, units, nanos }) = money else { return "too large".to_owned() };
    let all = i128::from(*units) * 1_000_000_000 + i128::from(*nanos);
    let (sign, magnitude) = (if all < 0 { "-" } else { "" }, all.unsigned_abs());
    let (whole, rest) = (magnitude / NANOS_PER_UNIT, format!("{:09}", magnitude % NANOS_PER_UNIT));
    let places = Currency::iso(currency_code).map_or(0, |currency| usize::from(currency.exponent));
    let needed = rest.trim_end_matches('0').len().max(places);
    match rest.get(..needed) {
        Some(rest) if 0 < needed => format!("{sign}{whole}.{rest}"),
        Some(_) | None => format!("{sign}{whole}"),
    }
}

/// On which side the texts of a column stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    Left,
    Right,
}

/// Lines of aligned columns, the first one their names.
pub(super) fn table(columns: &[(&str, Side)], rows: &[Vec<String>]) -> Vec<String> {
    let head: Vec<String> = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
    let all: Vec<Vec<String>> =
        std::iter::once(&head).chain(rows).map(|row| row.iter().map(|cell| visible(cell)).collect()).collect();
    let width = |column: usize| {
        all.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(columns).zip(&widths).map(|((cell, (_, side)), &width)| match side {
            Side::Left => format!("{cell:<width$}"),
            Side::Right => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_shown_to_the_last_digit() {
        let shown = |code: &str, units, nanos| decimal(Some(&pb::Money { currency_code: code.into(), units, nanos }));
        assert_eq!(shown("CNY", 0, 0), "0.00");
        assert_eq!(shown("CNY", -12, -500_000_000), "-12.50");
        assert_eq!(shown("CNY", 0, -10_000_000), "-0.01");
        assert_eq!(shown("CNY", i64::MAX, 990_000_000), "9223372036854775807.99");
        assert_eq!(shown("CNY", 1, 1), "1.000000001");
        assert_eq!(shown("JPY", 100, 0), "100");
        assert_eq!(shown("POINTS", 7, 250_000_000), "7.25");
        assert_eq!(decimal(None), "too large");
    }

    #[test]
    fn nothing_from_elsewhere_commands_the_terminal() {
        assert_eq!(visible("a\u{1b}[2Jb\r\nc"), r"a\u{1b}[2Jb\r\nc");
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [vec!["a".to_owned(), "10".to_owned()], vec!["长".to_owned(), "9".to_owned()]];
        assert_eq!(table(&[("name", Side::Left), ("n", Side::Right)], &rows), ["name   n", "a     10", "长      9"]);
    }

    #[test]
    fn lengths_of_time_are_as_precise_as_they_matter() {
        for (seconds, expected) in [(0, "0s"), (59, "59s"), (61, "1m 1s"), (3_660, "1h 1m"), (90_000, "1d 1h")] {
            assert_eq!(length(seconds), expected);
        }
    }
}
