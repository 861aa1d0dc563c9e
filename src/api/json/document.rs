//! A JSON text whose form is right, and the values in it with their places.
//!
//! Values are parts of the text, so each has a place, and the names of an object are seen as often as
//! they stand there. An object or list is taken apart only when it is asked for: what is skipped costs
//! nothing, and no value is looked at more often than messages are nested.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::api::json::mistake::{JsonError, JsonMistake};

/// A text that is one JSON value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Document<'t> {
    text: &'t str,
    root: Value<'t>,
}

/// A value in a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'t>(&'t str);

/// A name of an object and its value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'t> {
    pub(super) name: Value<'t>,
    pub(super) value: Value<'t>,
}

/// The kinds of JSON values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Object,
    List,
    Text,
    Number,
    Flag(bool),
    Null,
}

impl Kind {
    /// Its name in messages.
    pub(super) const fn describe(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::List => "a list",
            Self::Text => "a text",
            Self::Number => "a number",
            Self::Flag(true) => "`true`",
            Self::Flag(false) => "`false`",
            Self::Null => "`null`",
        }
    }
}

impl<'t> Document<'t> {
    /// Checks the form of a text. A mistake of form hides what follows it, so only the first is named.
    pub(super) fn open(text: &'t str) -> Result<Self, JsonError> {
        if text.starts_with('\u{feff}') {
            return Err(form_mistake(
                text,
                0,
                "the text starts with a byte order mark",
                "save it as UTF-8 without a byte order mark",
            ));
        }
        let root: &RawValue = serde_json::from_str(text).map_err(|error| syntax_mistake(text, &error))?;
        Ok(Self { text, root: Value(root.get()) })
    }

    /// The whole value.
    pub(super) const fn root(&self) -> Value<'t> {
        self.root
    }

    /// The line and column of a value of this document, both counted from one.
    pub(super) fn place(&self, value: Value<'t>) -> (usize, usize) {
        place(self.text, value.0.as_ptr().addr().saturating_sub(self.text.as_ptr().addr()))
    }
}

impl<'t> Value<'t> {
    /// Its kind. The form of the whole text was checked, so the first character tells.
    pub(super) fn kind(self) -> Kind {
        match self.0.as_bytes().first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::List,
            Some(b'"') => Kind::Text,
            Some(b't') => Kind::Flag(true),
            Some(b'f') => Kind::Flag(false),
            Some(b'n') => Kind::Null,
            _ => Kind::Number,
        }
    }

    /// As it is written.
    pub(super) const fn raw(self) -> &'t str {
        self.0
    }

    /// The content of a text; `None` for another value, or where an escape is half of a character.
    pub(super) fn text(self) -> Option<String> {
        serde_json::from_str(self.0).ok()
    }

    /// The members of an object, as often as they stand there.
    pub(super) fn members(self) -> Vec<Member<'t>> {
        let mut deserializer = serde_json::Deserializer::from_str(self.0);
        deserializer.deserialize_map(Members(PhantomData)).unwrap_or_default()
    }

    /// The items of a list.
    pub(super) fn items(self) -> Vec<Value<'t>> {
        let mut deserializer = serde_json::Deserializer::from_str(self.0);
        deserializer.deserialize_seq(Items(PhantomData)).unwrap_or_default()
    }
}

struct Members<'t>(PhantomData<&'t str>);

impl<'t> Visitor<'t> for Members<'t> {
    type Value = Vec<Member<'t>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            members.push(Member { name: Value(name.get()), value: Value(value.get()) });
        }
        Ok(members)
    }
}

struct Items<'t>(PhantomData<&'t str>);

impl<'t> Visitor<'t> for Items<'t> {
    type Value = Vec<Value<'t>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element::<&RawValue>()? {
            items.push(Value(item.get()));
        }
        Ok(items)
    }
}

/// The line and column of a byte.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
    (line, column)
}

fn form_mistake(text: &str, at: usize, problem: &str, help: &str) -> JsonError {
    let (line, column) = place(text, at);
    let (problem, help) = (problem.to_owned(), help.to_owned());
    JsonError::one(JsonMistake { line, column, field: String::new(), problem, help })
}

/// The place apart from the text of the library, which repeats it at its end, and what to write instead.
fn syntax_mistake(text: &str, error: &serde_json::Error) -> JsonError {
    let (line, column) = (error.line(), error.column());
    let said = error.to_string();
    let said = said.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&said);
    // The library counts the end of a line as before the next one's first column.
    let column = column.max(1);
    let row = line.checked_sub(1).and_then(|line| text.lines().nth(line)).unwrap_or_default();
    let found = column.checked_sub(1).and_then(|at| row.get(at..)).and_then(|rest| rest.chars().next());
    let before = column.checked_sub(1).and_then(|at| row.get(..at)).unwrap_or_default();
    let (problem, help) = match (said, found) {
        (_, Some('}' | ']')) if before.trim_end().ends_with(',') => {
            ("a comma stands before the closing bracket", "leave out the comma")
        }
        ("trailing comma", _) => (said, "leave out the comma before the closing bracket"),
        ("trailing characters", _) => ("something follows the end of the message", "write one message"),
        (_, _) if said.starts_with("EOF") => ("the text ends in the middle", "close what is open: `\"`, `]` or `}`"),
        (_, Some('\'' | '\u{2018}'..='\u{201f}')) => (said, "names and texts stand in straight double quotes: `\"`"),
        (_, Some('/' | '#')) => (said, "JSON has no comments"),
        ("key must be a string", _) => ("expected a name in double quotes", "write it as `\"name\": value`"),
        ("expected value", _) => {
            ("expected a value", "a value is an object, a list, a text in double quotes, a number, `true` or `false`")
        }
        _ => (said, ""),
    };
    let (problem, help) = (problem.to_owned(), help.to_owned());
    JsonError::one(JsonMistake { line, column, field: String::new(), problem, help })
}
