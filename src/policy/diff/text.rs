//! A part of a document as text again: the author's words and quotes, no comments, one layout.
//!
//! A value stands on the line of its key where there is room, and below it otherwise. So two texts
//! of the same meaning are the same, and those of another meaning differ in few lines.

use crate::policy::diff::shape::{of_items, under};
use crate::policy::read::Shape;
use crate::policy::source::Located;
use crate::policy::tree::{Node, NodeKind, Quoting};

/// Longest line, in characters, before a value is spread over several.
const WIDTH_CHARACTERS: usize = 120;

/// Spaces by which what belongs to a key is indented.
const INDENT: usize = 2;

type Entry = (Located<String>, Node);

/// A key with its value.
pub(super) fn entry(key: &str, value: &Node, shape: &Shape) -> String {
    let mut page = String::new();
    keyed(&mut page, key, value, shape, 0);
    page
}

/// An item of a list without its dash; each key of a mapping on lines of its own.
pub(super) fn item(value: &Node, shape: &Shape) -> String {
    let mut page = String::new();
    spread(&mut page, value, shape, 0);
    page
}

/// Context of a value, which decides about its quotes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Around {
    /// A line of its own.
    Line,
    /// Brackets or braces.
    Brackets,
}

fn mapping(page: &mut String, entries: &[Entry], shape: &Shape, indent: usize) {
    for (place, (key, value)) in in_order(entries, shape).into_iter().enumerate() {
        if place != 0 {
            line_break(page, indent);
        }
        keyed(page, &key.value, value, under(shape, &key.value), indent);
    }
}

/// Keys of a record come as the reference has them, all others as the author wrote them.
fn in_order<'n>(entries: &'n [Entry], shape: &Shape) -> Vec<&'n Entry> {
    let mut ordered: Vec<&Entry> = entries.iter().collect();
    let record = match shape {
        Shape::List(one) => one,
        Shape::Any | Shape::Record(_) | Shape::Table(_) => shape,
    };
    if let Shape::Record(keys) = record {
        ordered.sort_by_key(|(key, _)| keys.iter().position(|(known, _)| *known == key.value).unwrap_or(keys.len()));
    }
    ordered
}

fn keyed(page: &mut String, key: &str, value: &Node, shape: &Shape, indent: usize) {
    let before = page.len();
    page.push_str(&quoted_key(key));
    page.push(':');
    if value.is_blank() {
        return;
    }
    let used = indent + page.get(before..).map_or(0, |text| text.chars().count()) + 1;
    match &value.kind {
        NodeKind::Scalar(text, Quoting::Quoted) if text.trim_end().contains('\n') && is_block(text) => {
            block_text(page, text, indent + INDENT);
        }
        NodeKind::Scalar(text, quoting) => {
            page.push(' ');
            page.push_str(&scalar(text, *quoting, Around::Line));
        }
        NodeKind::List(_) | NodeKind::Mapping(_) => match on_one_line(value, shape, used) {
            Some(text) => {
                page.push(' ');
                page.push_str(&text);
            }
            None => {
                line_break(page, indent + INDENT);
                spread(page, value, shape, indent + INDENT);
            }
        },
    }
}

/// A mapping or list over several lines.
fn spread(page: &mut String, value: &Node, shape: &Shape, indent: usize) {
    match &value.kind {
        NodeKind::Mapping(entries) => mapping(page, entries, shape, indent),
        NodeKind::List(items) => {
            for (place, item) in items.iter().enumerate() {
                if place != 0 {
                    line_break(page, indent);
                }
                page.push_str("- ");
                match on_one_line(item, of_items(shape), indent + INDENT) {
                    Some(text) => page.push_str(&text),
                    None => spread(page, item, of_items(shape), indent + INDENT),
                }
            }
        }
        NodeKind::Scalar(text, quoting) => page.push_str(&scalar(text, *quoting, Around::Line)),
    }
}

/// The value on one line, behind so many characters, if there is room.
fn on_one_line(value: &Node, shape: &Shape, used: usize) -> Option<String> {
    let mut line = String::new();
    let fits = flow(&mut line, value, shape, Around::Line) == Fits::Yes;
    (fits && used + line.chars().count() <= WIDTH_CHARACTERS).then_some(line)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fits {
    Yes,
    No,
}

/// Writes a value in brackets and braces; gives up, unfinished, on one far too long for a line.
fn flow(line: &mut String, value: &Node, shape: &Shape, around: Around) -> Fits {
    match &value.kind {
        NodeKind::Scalar(text, quoting) => line.push_str(&scalar(text, *quoting, around)),
        NodeKind::List(items) => {
            line.push('[');
            for (place, item) in items.iter().enumerate() {
                line.push_str(if place == 0 { "" } else { ", " });
                if is_too_long(line) || flow(line, item, of_items(shape), Around::Brackets) == Fits::No {
                    return Fits::No;
                }
            }
            line.push(']');
        }
        NodeKind::Mapping(entries) if entries.is_empty() => line.push_str("{}"),
        NodeKind::Mapping(entries) => {
            line.push_str("{ ");
            for (place, (key, value)) in in_order(entries, shape).into_iter().enumerate() {
                line.push_str(if place == 0 { "" } else { ", " });
                line.push_str(&quoted_key(&key.value));
                line.push_str(": ");
                if is_too_long(line) || flow(line, value, under(shape, &key.value), Around::Brackets) == Fits::No {
                    return Fits::No;
                }
            }
            line.push_str(" }");
        }
    }
    Fits::Yes
}

/// A character has at most four bytes.
fn is_too_long(line: &str) -> bool {
    4 * WIDTH_CHARACTERS < line.len()
}

/// A text with the quotes that its author gave it, and those that it needs where it stands now.
fn scalar(text: &str, quoting: Quoting, around: Around) -> String {
    let bracket = |character: char| matches!(character, ',' | '[' | ']' | '{' | '}');
    let needs = around == Around::Brackets && (text.is_empty() || text.contains(bracket));
    match quoting {
        Quoting::Plain if !needs => text.to_owned(),
        Quoting::Plain | Quoting::Quoted => quoted(text),
    }
}

/// A key in quotes unless it surely needs none. How its author wrote it is not known any more.
fn quoted_key(key: &str) -> String {
    let begins = key.starts_with(|character: char| character.is_alphanumeric() || character == '_');
    let special = |character: char| matches!(character, ',' | '[' | ']' | '{' | '}' | '#' | '"' | '\\' | ':');
    if begins && !key.contains(special) && key.trim() == key { key.to_owned() } else { quoted(key) }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// Returns `true` if a text of several lines can be written as a block that reads as the same text.
fn is_block(text: &str) -> bool {
    let lines = || text.lines();
    !text.starts_with([' ', '\n'])
        && !text.ends_with("\n\n")
        && lines().all(|line| line.trim_end() == line && !line.contains(['\t', '\r']))
}

fn block_text(page: &mut String, text: &str, indent: usize) {
    page.push_str(if text.ends_with('\n') { " |" } else { " |-" });
    for line in text.lines() {
        if line.is_empty() {
            page.push('\n')
        } else {
            line_break(page, indent)
        }
        page.push_str(line);
    }
}

fn line_break(page: &mut String, indent: usize) {
    page.push('\n');
    page.extend(std::iter::repeat_n(' ', indent));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::diff::parts::parts;
    use crate::policy::diff::shape::{same, shape_of};
    use crate::policy::load::FileRole;
    use crate::policy::source::Source;
    use crate::policy::tree::parse;

    fn read(text: &str) -> Node {
        let mut diagnostics = Vec::new();
        let node = parse(&Source::new("p", text, 0), &mut diagnostics);
        assert!(diagnostics.is_empty(), "{text}\n{diagnostics:?}");
        node.unwrap()
    }

    /// The value that a text of a part says.
    fn said(text: &str, key: Option<&str>) -> Node {
        let node = read(text);
        match (node.kind, key) {
            (NodeKind::Mapping(mut entries), Some(key)) if entries.len() == 1 && entries[0].0.value == key => {
                entries.remove(0).1
            }
            (kind, None) => Node { kind, span: node.span },
            (_, Some(_)) => panic!("{text}"),
        }
    }

    #[test]
    fn what_is_written_reads_as_what_was_written() {
        let tricky = "
note: |
  Two lines

  and # no comment: at all
label: { a: 'it''s', b: \"x, y\", \"[1..2)\": \"]\", c: '', d: ~, \">= 7d\": 0% }
description: a plain text, with commas and [brackets]
use: [\"a\\nb\", '', plain]
tags: [{ plain: 'a, b', other: [] }, {}]
rules:
  - id: x
    note: \"a
      b\"
    when: { since(delivered_at): \"(..30d]\" }
  - just a text, with a comma
  - [a, [b, { c: d }]]
";
        let long = format!("channels: [{}]\ntext: {{ vague: [{}] }}\n", "abc, ".repeat(90), "'x y', ".repeat(90));
        let standard = include_str!("../../../policies/standard/standard.policy.yaml");
        let shape = shape_of(FileRole::Policy);
        for text in [tricky, &long, standard] {
            let tree = read(text);
            for part in parts(&tree, FileRole::Policy, &shape).unwrap() {
                let written = part.text();
                let key =
                    (part.section != "rules").then_some(if part.name.is_empty() { &part.section } else { &part.name });
                let again = said(&written, key.map(String::as_str));
                assert!(same(part.value, &again, part.shape), "{written}\n{:?}\n{again:?}", part.value);
            }
        }
    }

    #[test]
    fn a_value_that_is_too_long_for_a_line_is_spread() {
        let text = format!("text:\n  vague: [{}]\n", ["a phrase"; 20].join(", "));
        let tree = read(&text);
        let shape = shape_of(FileRole::Policy);
        let written = parts(&tree, FileRole::Policy, &shape).unwrap().remove(0).text();
        assert_eq!(written, format!("vague:{}", "\n  - a phrase".repeat(20)));
    }
}
