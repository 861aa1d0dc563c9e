//! The part of a file that a report shows around a place.
//!
//! A file may have 32 MiB and a report two hundred places in it: only the lines around a place go
//! to the renderer, and of a very long line a few words.

use std::ops::Range;

/// Lines shown of a place that goes over several.
const LINES_MAX: usize = 12;

/// Longest line that is shown whole, in bytes: no terminal is wider, and rendering takes many times its size.
const LINE_BYTES_MAX: usize = 8 * 1_024;

/// Characters shown before and after a place in a longer line.
const AROUND_CHARS: usize = 30;

/// Part of a file that a report shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Excerpt<'t> {
    /// Whole lines.
    Lines {
        /// The lines.
        text: &'t str,
        /// The number of the first one, from 1.
        line: usize,
        /// The place within the text.
        span: Range<usize>,
    },
    /// A few words of a line that is too long to be shown.
    LongLine {
        /// The words around the place, with `…` for what is left out.
        around: String,
    },
}

/// The lines of a text in which a place is; `None` where it is outside of the text. The place begins in this line,
/// counted from 1, and is these bytes.
pub(super) fn excerpt(text: &str, line: u32, place: Range<usize>) -> Option<Excerpt<'_>> {
    text.get(place.clone())?;
    let begin = text.get(..place.start)?.rfind('\n').map_or(0, |at| at + 1);
    let mut end = begin;
    for _ in 0..LINES_MAX {
        let rest = text.get(end..)?;
        end += rest.find('\n').map_or(rest.len(), |at| at + 1);
        if place.end <= end {
            break;
        }
    }
    let lines = text.get(begin..end)?;
    if lines.lines().any(|line| LINE_BYTES_MAX < line.len()) {
        return Some(Excerpt::LongLine { around: around(text, place.start) });
    }
    let lines = lines.trim_end_matches('\n');
    let within = |at: usize| at.saturating_sub(begin).min(lines.len());
    Some(Excerpt::Lines { text: lines, line: line as usize, span: within(place.start)..within(place.end) })
}

/// The characters before and after a byte, on its line.
fn around(text: &str, at: usize) -> String {
    let (before, after) = (text.get(..at).unwrap_or(""), text.get(at..).unwrap_or(""));
    let head = before.char_indices().rev().take_while(|&(_, character)| character != '\n').take(AROUND_CHARS).last();
    let head = head.and_then(|(from, _)| before.get(from..)).unwrap_or("");
    let tail: String = after.chars().take_while(|&character| character != '\n').take(AROUND_CHARS).collect();
    let is_cut = |rest: Option<char>| if rest.is_some_and(|next| next != '\n') { "…" } else { "" };
    let left = is_cut(before.get(..before.len() - head.len()).and_then(|rest| rest.chars().next_back()));
    let right = is_cut(after.get(tail.len()..).and_then(|rest| rest.chars().next()));
    format!("{left}{head}{tail}{right}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, start: usize, end: usize) -> Option<Excerpt<'_>> {
        excerpt(text, u32::try_from(text[..start].matches('\n').count() + 1).unwrap(), start..end)
    }

    #[test]
    fn a_place_is_shown_with_its_lines_and_nothing_else() {
        let text = "a: 1\nb: 2\nc: 3\n";
        let lines = shown(text, 5, 6).unwrap();
        assert_eq!(lines, Excerpt::Lines { text: "b: 2", line: 2, span: 0..1 });
        assert_eq!(shown(text, 5, 500), None);
    }

    #[test]
    fn a_place_of_a_million_lines_is_cut() {
        let text = "a\n".repeat(1_000_000);
        let Some(Excerpt::Lines { text: lines, span, .. }) = shown(&text, 0, text.len()) else { panic!("lines") };
        assert_eq!((lines.lines().count(), span), (LINES_MAX, 0..lines.len()));
    }

    #[test]
    fn of_a_very_long_line_the_words_around_are_shown() {
        let text = format!("x: 1\n[{}]\ny: 1\n", "界, ".repeat(100_000));
        let Some(Excerpt::LongLine { around }) = shown(&text, 3_006, 3_009) else { panic!("a long line") };
        assert!(around.starts_with('…') && around.ends_with('…'), "{around}");
        assert_eq!(around.chars().count(), 2 * AROUND_CHARS + 2);
    }
}
