//! YAML as a tree in which everything knows its place.
//!
//! The strict part of YAML that policies are written in: one document of mappings, lists and
//! scalars. Anchors, aliases, tags and merge keys are errors, so a file is as large as it looks.
//! Scalars keep their text as written; nothing here guesses a type.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span as Mark};

use crate::domain::limits::{BUNDLE_NODES_MAX, SCALAR_BYTES_MAX, YAML_DEPTH_MAX, YAML_NODES_MAX};
use crate::policy::diagnostic::{Diagnostic, Noted, Precedent, Severity};
use crate::policy::slip;
use crate::policy::source::{Located, Source, Span};

/// A value and its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Kind of the value.
    pub kind: NodeKind,
    /// Place in the source; of a mapping or list, its first entry.
    pub span: Span,
}

/// Kind of a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NodeKind {
    /// A text as written, without quotes.
    Scalar(String, Quoting),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order written; keys are unique.
    Mapping(Vec<(Located<String>, Node)>),
}

/// Quoting of a scalar: was it written in quotes (or as a block)?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Quoting {
    /// As it stands.
    Plain,
    /// In quotes, or as a block.
    Quoted,
}

impl Node {
    /// Returns `true` if nothing was written: an empty scalar, `~` or `null` without quotes.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        matches!(&self.kind, NodeKind::Scalar(text, Quoting::Plain) if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// Number of values: itself and those in it.
    #[must_use]
    pub fn count(&self) -> usize {
        match &self.kind {
            NodeKind::Scalar(..) => 1,
            NodeKind::List(items) => items.iter().fold(1, |sum, item| sum + item.count()),
            NodeKind::Mapping(entries) => entries.iter().fold(1, |sum, (_, value)| sum + 1 + value.count()),
        }
    }

    /// Bytes of all texts in it, keys and values.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        match &self.kind {
            NodeKind::Scalar(text, _) => text.len(),
            NodeKind::List(items) => items.iter().fold(0, |sum, item| sum + item.text_bytes()),
            NodeKind::Mapping(entries) => {
                entries.iter().fold(0, |sum, (key, value)| sum + key.value.len() + value.text_bytes())
            }
        }
    }

    /// Describes its kind, for a message.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.kind {
            _ if self.is_blank() => "nothing".to_owned(),
            NodeKind::Scalar(text, _) => format!("`{text}`"),
            NodeKind::List(_) => "a list".to_owned(),
            NodeKind::Mapping(_) => "a mapping".to_owned(),
        }
    }
}

/// Reads a file into a tree. The first structural error ends the reading; duplicate keys do not,
/// and are reported as long as there is room for them.
pub fn parse(source: &Source<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Node> {
    parse_within(source, &mut NodeBudget::default(), diagnostics)
}

/// Values that may still be read from the files of one bundle, and mistakes that may still be noted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeBudget {
    left: usize,
    precedent: Precedent,
    noted: Noted,
}

impl Default for NodeBudget {
    /// All of a new bundle.
    fn default() -> Self {
        Self::of(Precedent::New)
    }
}

impl NodeBudget {
    /// All of a bundle of this precedent.
    #[must_use]
    pub fn of(precedent: Precedent) -> Self {
        Self { precedent, ..Self::new(BUNDLE_NODES_MAX) }
    }

    /// So many values, of a new bundle.
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        Self { left: nodes, precedent: Precedent::New, noted: Noted::default() }
    }

    /// The precedent of the bundle.
    #[must_use]
    pub const fn precedent(&self) -> Precedent {
        self.precedent
    }

    /// Takes one value, where there is one left.
    const fn take(&mut self) -> Option<()> {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Some(())
            }
            None => None,
        }
    }

    /// From now on values are not counted.
    const fn lift(&mut self) {
        self.left = usize::MAX;
    }
}

/// [`parse`] of one file of several, which share a budget.
pub fn parse_within(source: &Source<'_>, budget: &mut NodeBudget, diagnostics: &mut Vec<Diagnostic>) -> Option<Node> {
    let mut builder = Builder { source, diagnostics, open: Vec::new(), root: None, nodes: 0, budget };
    for event in Parser::new_from_str(source.text) {
        let (event, mark) = match event {
            Ok(event) => event,
            Err(error) => {
                let marker = error.marker();
                let at = source.offset(marker.line(), marker.col());
                // Anchors end the reading, so every alias is one of an unknown anchor.
                if error.info().contains("unknown anchor") {
                    builder.report("alias", ALIASES.to_owned(), source.span(at, at), ALIAS_HELP);
                    return None;
                }
                match slip::of_syntax(source, error.info(), at) {
                    Some(slip) => builder.report("yaml-syntax", slip.message, slip.span, slip.help),
                    None => {
                        let message = format!("this is not valid YAML: {}", error.info());
                        builder.report("yaml-syntax", message, source.span(at, at), SYNTAX_HELP);
                    }
                }
                return None;
            }
        };
        builder.event(event, mark)?;
    }
    match builder.root {
        Some(root) => Some(root),
        None => {
            builder.report(
                "empty-file",
                "the file is empty".to_owned(),
                source.span(0, 0),
                "write its content, or remove the file",
            );
            None
        }
    }
}

const SYNTAX_HELP: &str = "check the indentation, the quotes and the brackets around here; a text that holds `: `, ` #` or starts with one of `[{*&!|>%@` needs quotes";

type Entry = (Located<String>, Node);

/// A container that is being read.
enum Open {
    List {
        items: Vec<Node>,
        span: Span,
    },
    Mapping {
        entries: Vec<(Located<String>, Node)>,
        seen: HashMap<String, Span>,
        key: Option<Located<String>>,
        span: Span,
    },
}

struct Builder<'s, 't, 'd> {
    source: &'s Source<'t>,
    diagnostics: &'d mut Vec<Diagnostic>,
    open: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
    budget: &'d mut NodeBudget,
}

impl Builder<'_, '_, '_> {
    /// Takes in one event; `None` ends the reading, with a report.
    fn event(&mut self, event: Event<'_>, mark: Mark) -> Option<()> {
        let span = self.span(&mark);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Some(()),
            Event::DocumentStart(_) if self.root.is_none() => Some(()),
            Event::DocumentStart(_) => {
                self.report(
                    "many-documents",
                    "the file holds more than one YAML document".to_owned(),
                    span,
                    "write one file for each",
                );
                None
            }
            Event::Alias(_) => {
                self.report("alias", ALIASES.to_owned(), span, ALIAS_HELP);
                None
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.plain_only(anchor, tag.is_some(), span)?;
                let quoting = if style == ScalarStyle::Plain { Quoting::Plain } else { Quoting::Quoted };
                if SCALAR_BYTES_MAX < text.len() {
                    let message = format!("this text has {} bytes, at most {SCALAR_BYTES_MAX} are allowed", text.len());
                    let help = "shorten it, or look for a quote that is not closed";
                    self.report_stricter("too-large", message, span, help)?;
                }
                // The parser's buffers are many times longer than most texts.
                self.value(Node { kind: NodeKind::Scalar((*text).to_owned(), quoting), span })
            }
            Event::SequenceStart(anchor, tag) => {
                self.plain_only(anchor, tag.is_some(), span)?;
                self.open(Open::List { items: Vec::new(), span })
            }
            Event::MappingStart(anchor, tag) => {
                self.plain_only(anchor, tag.is_some(), span)?;
                self.open(Open::Mapping { entries: Vec::new(), seen: HashMap::new(), key: None, span })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
        }
    }

    fn plain_only(&mut self, anchor: usize, tagged: bool, span: Span) -> Option<()> {
        if anchor != 0 {
            self.report("alias", "anchors are not allowed in a policy".to_owned(), span, ALIAS_HELP);
            return None;
        }
        if tagged {
            self.report("tag", "tags are not allowed in a policy".to_owned(), span, "remove the word after `!`");
            return None;
        }
        Some(())
    }

    fn open(&mut self, container: Open) -> Option<()> {
        if self.open.len() >= YAML_DEPTH_MAX {
            let span = match &container {
                Open::List { span, .. } | Open::Mapping { span, .. } => *span,
            };
            self.report(
                "too-deep",
                format!("this is nested more than {YAML_DEPTH_MAX} levels deep"),
                span,
                "flatten it",
            );
            return None;
        }
        if let (Some(Open::Mapping { key: None, .. }), Open::List { span, .. } | Open::Mapping { span, .. }) =
            (self.open.last(), &container)
        {
            let span = *span;
            self.report(
                "key-not-text",
                "a key must be a text".to_owned(),
                span,
                "put quotes around a key that starts with `[` or `{`, and brackets around several values: `[{ … }, { … }]`",
            );
            return None;
        }
        self.open.push(container);
        Some(())
    }

    fn close(&mut self) -> Option<()> {
        let node = match self.open.pop()? {
            Open::List { items, span } => {
                let span = items.first().map_or(span, |first| first.span);
                Node { kind: NodeKind::List(items), span }
            }
            Open::Mapping { entries, span, .. } => {
                let span = entries.first().map_or(span, |(key, _)| key.span);
                Node { kind: self.rejoined(entries), span }
            }
        };
        self.value(node)
    }

    /// A mapping in braces whose values were cut at a comma, which is reported, put together again: so one slip is one
    /// mistake.
    fn rejoined(&mut self, entries: Vec<Entry>) -> NodeKind {
        let bare = |(key, value): &Entry| {
            let rest = || self.source.text.get(key.span.end as usize..).unwrap_or("").trim_start();
            matches!(&value.kind, NodeKind::Scalar(text, Quoting::Plain) if text.is_empty())
                && rest().starts_with([',', '}'])
        };
        let Some(first) = entries.iter().position(bare) else { return NodeKind::Mapping(entries) };
        let bares: Vec<bool> = entries.iter().map(bare).collect();
        let at = entries.get(first).map_or_else(Span::default, |(key, _)| key.span);
        if bares.iter().all(|&bare| bare) {
            let words: Vec<&str> = entries.iter().map(|(key, _)| key.value.as_str()).collect();
            let help = format!("write a list in brackets: `[{}]`", words.join(", "));
            self.report("comma-in-braces", "braces hold names with values, and these have none".to_owned(), at, &help);
            let item = |(key, _): Entry| Node { kind: NodeKind::Scalar(key.value, Quoting::Plain), span: key.span };
            return NodeKind::List(entries.into_iter().map(item).collect());
        }
        let message = match first.checked_sub(1).and_then(|before| entries.get(before)) {
            Some((key, Node { kind: NodeKind::Scalar(text, _), .. })) => {
                format!("the value `{text}` of `{}` ends at the comma", key.value)
            }
            Some(_) | None => "braces hold names with values, and this has none".to_owned(),
        };
        let help =
            "in braces a comma begins the next key: put quotes around the whole value, or brackets around a list";
        self.report("comma-in-braces", message, at, help);
        let mut joined: Vec<Entry> = Vec::with_capacity(entries.len());
        for ((key, value), bare) in entries.into_iter().zip(bares) {
            match joined.last_mut() {
                Some((_, node)) if bare => go_on(node, key),
                Some(_) | None => joined.push((key, value)),
            }
        }
        NodeKind::Mapping(joined)
    }

    fn value(&mut self, node: Node) -> Option<()> {
        self.nodes += 1;
        if self.nodes > YAML_NODES_MAX {
            self.report(
                "too-large",
                format!("the file holds more than {YAML_NODES_MAX} values"),
                node.span,
                "split the policy",
            );
            return None;
        }
        if self.budget.take().is_none() {
            let message = format!("the files of the bundle hold more than {BUNDLE_NODES_MAX} values together");
            self.report_stricter("too-large", message, node.span, "split the bundle")?;
            self.budget.lift();
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Mapping { entries, seen, key, .. }) => match key.take() {
                None => *key = Some(key_of(node)),
                Some(name) => match seen.insert(name.value.clone(), name.span) {
                    None => entries.push((name, node)),
                    Some(first) => {
                        let line = self.source.place(first).line;
                        let message = format!("the key `{}` stands twice", name.value);
                        self.report(
                            "duplicate-key",
                            message,
                            name.span,
                            &format!("it was first written on line {line}; remove one of them"),
                        );
                    }
                },
            },
        }
        Some(())
    }

    fn span(&self, mark: &Mark) -> Span {
        let start = self.source.offset(mark.start.line(), mark.start.col());
        let end = self.source.offset(mark.end.line(), mark.end.col()).max(start);
        // A plain scalar's end may include what follows it up to the next token.
        let text = self.source.text.get(start..end).unwrap_or("");
        self.source.span(start, start + text.trim_end().len())
    }

    fn report(&mut self, code: &'static str, message: String, span: Span, help: &str) {
        self.note(Severity::Error, code, message, span, help);
    }

    /// Reports what earlier versions of the program took; `None` where that refuses the bundle.
    fn report_stricter(&mut self, code: &'static str, message: String, span: Span, help: &str) -> Option<()> {
        self.note(Severity::StricterError, code, message, span, help);
        (!Severity::StricterError.refuses(self.budget.precedent)).then_some(())
    }

    fn note(&mut self, severity: Severity, code: &'static str, message: String, span: Span, help: &str) {
        // With so many errors, one more says nothing new.
        if self.budget.noted.note(severity) {
            self.diagnostics.push(Diagnostic::new(severity, code, message, Some(self.source.place(span)), help));
        }
    }
}

/// Adds to a value what came after the comma that cut it: the rest of a call or a number, or an item of a list.
fn go_on(node: &mut Node, rest: Located<String>) {
    let span = rest.span;
    let item = |text: String, span: Span| Node { kind: NodeKind::Scalar(text, Quoting::Plain), span };
    match &mut node.kind {
        NodeKind::Scalar(text, _) if text.contains('(') && !text.ends_with(')') => {
            text.push_str(", ");
            text.push_str(&rest.value);
        }
        NodeKind::Scalar(text, _) if text.ends_with(|end: char| end.is_ascii_digit()) => {
            text.push('.');
            text.push_str(&rest.value);
        }
        NodeKind::Scalar(text, _) => {
            let first = item(std::mem::take(text), node.span);
            node.kind = NodeKind::List(vec![first, item(rest.value, span)]);
        }
        NodeKind::List(items) => items.push(item(rest.value, span)),
        // What a mapping should go on with nobody knows.
        NodeKind::Mapping(_) => {}
    }
}

const ALIASES: &str = "aliases are not allowed in a policy";

const ALIAS_HELP: &str =
    "write the value out, or name it once (as a fact or a requirement) and refer to it by its name";

fn key_of(node: Node) -> Located<String> {
    let span = node.span;
    match node.kind {
        NodeKind::Scalar(text, _) => Located { value: text, span },
        // `open` turns containers away before they become keys.
        NodeKind::List(_) | NodeKind::Mapping(_) => Located { value: String::new(), span },
    }
}

#[cfg(test)]
mod tests;
