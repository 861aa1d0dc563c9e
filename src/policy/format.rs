//! One way to write a policy: keys in the order of the reference, everything else as it was.
//!
//! Formatting moves whole entries with the comments above them, and never touches a value. What
//! comes out is read again and must say the same; otherwise nothing comes out.

use crate::policy::diagnostic::Diagnostic;
use crate::policy::read::Shape;
use crate::policy::source::{Located, Source};
use crate::policy::tree::{Node, NodeKind, parse};

/// Reason why a text is not formatted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FormatError {
    /// It cannot be read.
    Unreadable(Vec<Diagnostic>),
    /// It is written in a way that cannot be moved around without changing what it says.
    Unmovable,
}

/// Formats a text of this shape.
pub fn format(path: &str, text: &str, shape: &Shape) -> Result<String, FormatError> {
    let before = read(path, text)?;
    let source = Source::new(path, text, 0);
    let lines: Vec<&str> = text.lines().collect();
    let page = Page { source: &source, lines: &lines };
    let mut written = page.node(&before, shape, 0, lines.len());
    tidy(&mut written);
    let formatted = written.join("\n") + "\n";
    let after = read(path, &formatted)?;
    if same(&before, &after) { Ok(formatted) } else { Err(FormatError::Unmovable) }
}

fn read(path: &str, text: &str) -> Result<Node, FormatError> {
    let mut diagnostics = Vec::new();
    match parse(&Source::new(path, text, 0), &mut diagnostics) {
        Some(node) if diagnostics.is_empty() => Ok(node),
        Some(_) | None => Err(FormatError::Unreadable(diagnostics)),
    }
}

/// No spaces at the ends of lines, no two blank lines together, none at the edges.
fn tidy(lines: &mut Vec<String>) {
    for line in lines.iter_mut() {
        line.truncate(line.trim_end().len());
    }
    lines.dedup_by(|next, before| next.is_empty() && before.is_empty());
    let blank = lines.iter().take_while(|line| line.is_empty()).count();
    lines.drain(..blank);
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
}

/// Returns `true` if two trees say the same, whatever the order of their keys.
fn same(a: &Node, b: &Node) -> bool {
    match (&a.kind, &b.kind) {
        (NodeKind::Scalar(a, quoted), NodeKind::Scalar(b, other)) => a == b && quoted == other,
        (NodeKind::List(a), NodeKind::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (NodeKind::Mapping(a), NodeKind::Mapping(b)) => {
            let has = |(key, value): &(Located<String>, Node)| {
                b.iter().any(|(other, node)| other.value == key.value && same(value, node))
            };
            a.len() == b.len() && a.iter().all(has)
        }
        (NodeKind::Scalar(..) | NodeKind::List(_) | NodeKind::Mapping(_), _) => false,
    }
}

/// The place of a key in the canonical order; unknown ones come last and keep their order.
fn rank(shape: &Shape, key: &str) -> usize {
    match shape {
        Shape::Record(keys) => keys.iter().position(|(known, _)| *known == key).unwrap_or(keys.len()),
        Shape::Any | Shape::Table(_) | Shape::List(_) => 0,
    }
}

/// The shape of the value under a key.
fn under<'s>(shape: &'s Shape, key: &str) -> &'s Shape {
    match shape {
        Shape::Record(keys) => keys.iter().find(|(known, _)| *known == key).map_or(&Shape::Any, |(_, shape)| shape),
        Shape::Table(value) => value,
        // One value where a list of them may stand.
        Shape::List(one) => under(one, key),
        Shape::Any => &Shape::Any,
    }
}

fn item(shape: &Shape) -> &Shape {
    match shape {
        Shape::List(one) => one,
        Shape::Any | Shape::Record(_) | Shape::Table(_) => &Shape::Any,
    }
}

/// The shape of a mapping: a list of one is that one.
fn of_mapping(shape: &Shape) -> &Shape {
    match shape {
        Shape::List(one) => one,
        Shape::Any | Shape::Record(_) | Shape::Table(_) => shape,
    }
}

struct Page<'p> {
    source: &'p Source<'p>,
    lines: &'p [&'p str],
}

impl Page<'_> {
    /// The lines from `from` up to `to`, in which a value stands, with the value formatted.
    fn node(&self, node: &Node, shape: &Shape, from: usize, to: usize) -> Vec<String> {
        match &node.kind {
            NodeKind::Mapping(entries) if self.is_block(entries.iter().map(|(key, _)| key.span.start)) => {
                self.mapping(entries, of_mapping(shape), from, to)
            }
            NodeKind::List(items) if self.is_list(items) => self.list(items, item(shape), from, to),
            NodeKind::Scalar(..) | NodeKind::List(_) | NodeKind::Mapping(_) => self.copy(from, to),
        }
    }

    fn copy(&self, from: usize, to: usize) -> Vec<String> {
        self.lines.get(from..to).unwrap_or(&[]).iter().map(|line| (*line).to_owned()).collect()
    }

    /// Line and column of a byte, from 0, in bytes.
    fn at(&self, byte: u32) -> (usize, usize) {
        let line = self.source.place(self.source.span(byte as usize, byte as usize)).line as usize;
        (line.saturating_sub(1), (byte as usize).saturating_sub(self.source.offset(line, 0)))
    }

    fn line(&self, line: usize) -> &str {
        self.lines.get(line).copied().unwrap_or("")
    }

    /// Returns `true` if each entry begins its own line, behind nothing but spaces and dashes.
    fn is_block(&self, mut starts: impl Iterator<Item = u32>) -> bool {
        let mut column_of_all = None;
        let mut line_before = None;
        starts.all(|start| {
            let (line, column) = self.at(start);
            let alone =
                self.line(line).get(..column).is_some_and(|before| before.chars().all(|c| matches!(c, ' ' | '-')));
            let good = alone && *column_of_all.get_or_insert(column) == column && line_before != Some(line);
            line_before = Some(line);
            good
        })
    }

    /// Returns `true` if each item begins behind a dash of its own.
    fn is_list(&self, items: &[Node]) -> bool {
        let dash = |item: &Node| {
            let (line, column) = self.at(item.span.start);
            // A mapping in braces begins at its first key, behind the brace.
            self.line(line).get(..column).is_some_and(|before| {
                before.trim_start().starts_with("- ")
                    && before.trim_end_matches(['{', '[', ' ', '"', '\'']).ends_with('-')
            })
        };
        !items.is_empty() && items.iter().all(dash)
    }

    /// First line of an entry: with the comments and blank lines above its own.
    fn with_comments(&self, line: usize, not_before: usize) -> usize {
        let mut first = line;
        while not_before < first {
            let above = self.line(first - 1).trim();
            if !(above.is_empty() || above.starts_with('#')) {
                break;
            }
            first -= 1;
        }
        first
    }

    fn mapping(&self, entries: &[(Located<String>, Node)], shape: &Shape, from: usize, to: usize) -> Vec<String> {
        let keys: Vec<(usize, usize)> = entries.iter().map(|(key, _)| self.at(key.span.start)).collect();
        let mut starts: Vec<usize> = Vec::with_capacity(keys.len());
        let mut floor = from;
        for (place, (line, _)) in keys.iter().enumerate() {
            starts.push(if place == 0 { from } else { self.with_comments(*line, floor) });
            floor = line + 1;
        }
        let dash = keys
            .first()
            .and_then(|&(line, column)| self.line(line).get(..column))
            .filter(|before| before.contains('-'));
        let mut blocks: Vec<(usize, Vec<String>, Vec<String>)> = Vec::new();
        for (place, (key, value)) in entries.iter().enumerate() {
            let (Some(&start), Some(&(line, column))) = (starts.get(place), keys.get(place)) else { continue };
            let end = starts.get(place + 1).copied().unwrap_or(to);
            let above = self.copy(start, line);
            let mut body = self.entry(key, value, under(shape, &key.value), line, end);
            if let (Some(first), true) = (body.first_mut(), dash.is_some()) {
                // The dash stays where the item begins, whichever entry comes first.
                *first = format!("{}{}", " ".repeat(column), first.get(column..).unwrap_or(""));
            }
            blocks.push((rank(shape, &key.value), above, body));
        }
        // Stable: entries of the same rank keep their order.
        blocks.sort_by_key(|(rank, ..)| *rank);
        if let (Some(dash), Some((_, _, body))) = (dash, blocks.first_mut())
            && let Some(first) = body.first_mut()
        {
            *first = format!("{dash}{}", first.get(dash.len()..).unwrap_or(""));
        }
        blocks.into_iter().flat_map(|(_, above, body)| above.into_iter().chain(body)).collect()
    }

    /// The lines of one entry, from that of its key on.
    fn entry(&self, key: &Located<String>, value: &Node, shape: &Shape, line: usize, end: usize) -> Vec<String> {
        let (value_line, _) = self.at(value.span.start);
        if line < value_line {
            let mut lines = self.copy(line, line + 1);
            lines.extend(self.node(value, shape, line + 1, end));
            return lines;
        }
        let mut lines = self.copy(line, end);
        let (_, key_end) = self.at(key.span.end);
        if let Some(first) = lines.first_mut() {
            *first = inline(first, key_end, shape);
        }
        lines
    }

    fn list(&self, items: &[Node], shape: &Shape, from: usize, to: usize) -> Vec<String> {
        let places: Vec<(usize, usize)> = items.iter().map(|item| self.at(item.span.start)).collect();
        let mut lines = Vec::new();
        let mut start = from;
        for (place, node) in items.iter().enumerate() {
            let Some(&(line, column)) = places.get(place) else { continue };
            let end = places.get(place + 1).map_or(to, |&(next, _)| self.with_comments(next, line + 1));
            lines.extend(self.copy(start, line));
            let block = matches!(&node.kind, NodeKind::Mapping(entries) if self.is_block(entries.iter().map(|(key, _)| key.span.start)));
            if block {
                lines.extend(self.node(node, shape, line, end));
            } else {
                let mut own = self.copy(line, end);
                let dash =
                    self.line(line).get(..column).and_then(|before| before.find('-')).map_or(column, |dash| dash + 1);
                if let Some(first) = own.first_mut() {
                    *first = inline(first, dash, shape);
                }
                lines.extend(own);
            }
            start = end;
        }
        lines
    }
}

/// Formats a value in braces that stands in one line, behind `from`.
fn inline(line: &str, from: usize, shape: &Shape) -> String {
    let Some(open) = line.get(from..).and_then(|rest| rest.find(['{', '['])).map(|at| from + at) else {
        return line.to_owned();
    };
    let between = line.get(from..open).unwrap_or("x");
    let close = line.get(open..).and_then(closing).map(|at| open + at + 1);
    match close {
        Some(close) if between.chars().all(|c| matches!(c, ' ' | ':')) => {
            let (before, value, after) = (line.get(..open), line.get(open..close), line.get(close..));
            format!("{}{}{}", before.unwrap_or(""), flow(value.unwrap_or(""), shape), after.unwrap_or(""))
        }
        Some(_) | None => line.to_owned(),
    }
}

/// A value in braces with its keys in order; anything else as it is.
fn flow(text: &str, shape: &Shape) -> String {
    let inside = |open: char, close: char| text.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    if let Some(inside) = inside('[', ']') {
        let items: Vec<String> = split(inside).into_iter().map(|part| flow(part.trim(), item(shape))).collect();
        return format!("[{}]", items.join(", "));
    }
    let Some(inside) = inside('{', '}') else { return text.to_owned() };
    let shape = of_mapping(shape);
    let mut entries: Vec<(usize, String)> = Vec::new();
    for part in split(inside) {
        let part = part.trim();
        let Some((key, value)) = part.split_once(": ") else {
            entries.push((usize::MAX, part.to_owned()));
            continue;
        };
        let value = flow(value.trim(), under(shape, key));
        entries.push((rank(shape, key), format!("{key}: {value}")));
    }
    entries.sort_by_key(|(rank, _)| *rank);
    let entries: Vec<String> = entries.into_iter().map(|(_, entry)| entry).filter(|entry| !entry.is_empty()).collect();
    if entries.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", entries.join(", ")) }
}

/// Walks over a text and tells of each byte how deep in brackets it is, without those in quotes.
fn depths(text: &str) -> impl Iterator<Item = (usize, char, usize)> + '_ {
    let mut quote = None;
    let mut depth = 0usize;
    text.char_indices().map(move |(at, character)| {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
        (at, if quote.is_some() { '"' } else { character }, depth)
    })
}

/// The byte of the bracket that closes the one at the beginning.
fn closing(text: &str) -> Option<usize> {
    depths(text).find(|&(_, character, depth)| depth == 0 && matches!(character, '}' | ']')).map(|(at, ..)| at)
}

/// The parts between commas that are in no brackets.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, character, depth) in depths(text) {
        if character == ',' && depth == 0 {
            parts.extend(text.get(start..at));
            start = at + 1;
        }
    }
    parts.extend(text.get(start..).filter(|rest| !rest.trim().is_empty()));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::document::Policy;
    use crate::policy::read::Read;

    fn formatted(text: &str) -> String {
        format("p.policy.yaml", text, &Policy::shape()).unwrap()
    }

    #[test]
    fn keys_come_in_the_order_of_the_reference_with_their_comments() {
        let before = r#"# The head stays.
version: "1"
policy: shop

# Which money.
currencies: [EUR]   
timezone: UTC


rules:
  # The only rule.
  - when: { stage: unpaid } # why not
    id: unpaid
    # Nothing was paid.
    deny: ORDER_NOT_PAID
  - { deny: ORDER_CANCELLED, when: { stage: cancelled }, id: cancelled }
  - id: fee
    refund:
      deduct:
        - { amount: "max(paid, 1)", kind: cancellation_fee }
otherwise: { next: [], deny: NO_MATCHING_RULE }
"#;
        let after = r#"policy: shop
# The head stays.
version: "1"
timezone: UTC

# Which money.
currencies: [EUR]

rules:
  # The only rule.
  - id: unpaid
    when: { stage: unpaid } # why not
    # Nothing was paid.
    deny: ORDER_NOT_PAID
  - { id: cancelled, when: { stage: cancelled }, deny: ORDER_CANCELLED }
  - id: fee
    refund:
      deduct:
        - { kind: cancellation_fee, amount: "max(paid, 1)" }
otherwise: { deny: NO_MATCHING_RULE, next: [] }
"#;
        assert_eq!(formatted(before), after);
        assert_eq!(formatted(after), after, "formatting twice changes nothing more");
    }

    #[test]
    fn what_cannot_be_read_is_not_formatted() {
        let shape = Policy::shape();
        assert!(matches!(format("p", "a: [1", &shape), Err(FormatError::Unreadable(_))));
    }
}
