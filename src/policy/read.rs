//! From a tree to a document: each type says how it is read, and every mistake is reported.
//!
//! `record!` makes the reader of a mapping from the same declaration as its type and its
//! JSON Schema, so the three cannot disagree.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::policy::diagnostics::{Diagnostics, quoted_list};
use crate::policy::source::{Located, Span};
use crate::policy::tree::{Node, NodeKind};

/// Something that can be read from a tree.
pub trait Read: Sized {
    /// Form expected, for messages: `a list`, `a slug`.
    const EXPECTED: &'static str;

    /// Reads it; `None` after a report.
    fn read(node: &Node, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Self>;

    /// Form expected where nothing was written.
    #[must_use]
    fn expected() -> String {
        Self::EXPECTED.to_owned()
    }

    /// Value where its key is absent; `None` where the key is mandatory.
    #[must_use]
    fn absent() -> Option<Self> {
        None
    }

    /// Shape of the value, as far as the order of keys goes.
    #[must_use]
    fn shape() -> Shape {
        Shape::Any
    }
}

/// Shape of a value, as far as the order of keys goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shape {
    /// In no particular way.
    Any,
    /// A mapping with these keys, in this order.
    Record(Vec<(&'static str, Shape)>),
    /// A mapping from names to such values, in the order of the author.
    Table(Box<Shape>),
    /// A list of such values, or one of them.
    List(Box<Shape>),
}

/// Name of a mapping of this type in messages, and its keys.
pub trait Record {
    /// `a rule`, `an input`, …
    const NAME: &'static str;
    /// Its keys, in the order declared.
    const KEYS: &'static [&'static str];
}

/// Declares a mapping: the type, its reader, and its JSON Schema with the comments as descriptions.
macro_rules! record {
    (
        $(#[$meta:meta])*
        pub struct $name:ident = $called:literal {
            $( $(#[$field_meta:meta])* $key:ident $(as $text:literal)? : $kind:ty, )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Debug, schemars::JsonSchema)]
        #[schemars(deny_unknown_fields)]
        pub struct $name { $( $(#[$field_meta])* $(#[schemars(rename = $text)])? pub $key: $kind, )+ }

        impl $crate::policy::read::Record for $name {
            const NAME: &'static str = $called;
            const KEYS: &'static [&'static str] = &[$($crate::policy::read::record!(@key $key $($text)?)),+];
        }

        impl $crate::policy::read::Read for $name {
            const EXPECTED: &'static str = $called;

            fn shape() -> $crate::policy::read::Shape {
                $crate::policy::read::Shape::Record(vec![
                    $(($crate::policy::read::record!(@key $key $($text)?), <$kind as $crate::policy::read::Read>::shape())),+
                ])
            }

            fn expected() -> String {
                use $crate::policy::read::Record;
                format!("a mapping with keys such as {}", $crate::policy::diagnostics::quoted_list(Self::KEYS.iter().take(3)))
            }

            fn read(node: &$crate::policy::tree::Node, diagnostics: &mut $crate::policy::diagnostics::Diagnostics<'_, '_>) -> Option<Self> {
                use $crate::policy::read::Record;
                let entries = $crate::policy::read::entries(node, Self::NAME, Self::KEYS, diagnostics)?;
                $( let $key = $crate::policy::read::field::<$kind>(
                    entries, $crate::policy::read::record!(@key $key $($text)?), node.span, Self::NAME, diagnostics); )+
                Some(Self { $( $key: $key?, )+ })
            }
        }
    };
    (@key $key:ident $text:literal) => { $text };
    (@key $key:ident) => { stringify!($key) };
}
pub(crate) use record;

/// The entries of a mapping, after every key that is not known has been reported.
pub fn entries<'n>(
    node: &'n Node,
    name: &str,
    keys: &[&str],
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<&'n [(Located<String>, Node)]> {
    let NodeKind::Mapping(entries) = &node.kind else {
        let expected = format!("{name} (a mapping with keys such as {})", quoted_list(keys.iter().take(3)));
        let help = match (&node.kind, keys.first()) {
            (NodeKind::Scalar(..), Some(first)) => format!("write its keys and their values: `{{ {first}: … }}`"),
            _ => String::new(),
        };
        diagnostics.error("wrong-type", node.span, format!("expected {expected}, got {}", node.describe()), help);
        return None;
    };
    for (key, _) in entries {
        if !keys.contains(&key.value.as_str()) {
            if diagnostics.is_full() {
                break;
            }
            let help = diagnostics.suggestion(&key.value, keys.iter().copied()).map_or_else(
                || format!("the keys of {name} are {}", quoted_list(keys)),
                |near| format!("did you mean `{near}`?"),
            );
            diagnostics.error("unknown-key", key.span, format!("{name} has no key `{}`", key.value), help);
        }
    }
    Some(entries)
}

/// Reads the value under a key; reports a mandatory key that is absent.
pub fn field<T: Read>(
    entries: &[(Located<String>, Node)],
    key: &str,
    owner: Span,
    name: &str,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<T> {
    match entries.iter().find(|(written, _)| written.value == key) {
        Some((written, node)) if node.is_blank() => {
            let help = match T::absent() {
                Some(_) => format!("expected {}; remove the key if nothing is meant", T::expected()),
                None => format!("expected {}", T::expected()),
            };
            diagnostics.error("blank-value", written.span, format!("`{key}` has no value"), help);
            None
        }
        Some((_, node)) => T::read(node, diagnostics),
        None => T::absent().or_else(|| {
            diagnostics.error(
                "missing-key",
                owner,
                format!("{name} needs the key `{key}`"),
                format!("expected {}", T::expected()),
            );
            None
        }),
    }
}

/// A scalar as written.
pub type Text = Located<String>;

impl Read for Text {
    const EXPECTED: &'static str = "a text";

    fn read(node: &Node, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Self> {
        match &node.kind {
            NodeKind::Scalar(text, _) if !node.is_blank() => Some(Located { value: text.clone(), span: node.span }),
            NodeKind::Scalar(..) | NodeKind::List(_) | NodeKind::Mapping(_) => {
                diagnostics.expected(node, Self::EXPECTED);
                None
            }
        }
    }
}

/// A name: lower-case letters, digits, `_` and `-`, starting with a letter or digit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slug(pub Located<String>);

impl Slug {
    /// The name.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.value
    }

    /// Position in its file.
    #[must_use]
    pub const fn span(&self) -> Span {
        self.0.span
    }
}

/// Longest slug, in bytes: fits the label of a metric and the column of a table.
const SLUG_BYTES_MAX: usize = 64;

impl Read for Slug {
    const EXPECTED: &'static str = "a slug, such as `late_delivery`";

    fn read(node: &Node, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Self> {
        let text = Text::read(node, diagnostics)?;
        check_slug(&text, diagnostics).then_some(Self(text))
    }
}

/// Returns true if a text is a slug; reports it where it is not.
pub fn check_slug(text: &Located<String>, diagnostics: &mut Diagnostics<'_, '_>) -> bool {
    let allowed = |character: char| {
        character.is_ascii_lowercase() || character.is_ascii_digit() || matches!(character, '_' | '-')
    };
    let starts = text.value.starts_with(|character: char| character.is_ascii_lowercase() || character.is_ascii_digit());
    let good = starts && text.value.chars().all(allowed) && text.value.len() <= SLUG_BYTES_MAX;
    if !good {
        diagnostics.error(
            "not-a-slug",
            text.span,
            format!("`{}` is not a slug", text.value),
            if text.value.ends_with('%') {
                "a share cannot stand here, only a word".to_owned()
            } else {
                format!(
                    "use at most {SLUG_BYTES_MAX} lower-case letters, digits, `_` and `-`, starting with a letter or digit"
                )
            },
        );
    }
    good
}

impl Read for Located<bool> {
    const EXPECTED: &'static str = "`true` or `false`";

    fn read(node: &Node, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Self> {
        let text = Text::read(node, diagnostics)?;
        match text.value.as_str() {
            "true" => Some(text.with(true)),
            "false" => Some(text.with(false)),
            _ => {
                diagnostics.expected(node, Self::EXPECTED);
                None
            }
        }
    }
}

impl Read for Located<u32> {
    const EXPECTED: &'static str = "a whole number";

    fn read(node: &Node, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Self> {
        let text = Text::read(node, diagnostics)?;
        let digits = !text.value.is_empty() && text.value.chars().all(|character| character.is_ascii_digit());
        match text.value.parse() {
            Ok(number) if digits => Some(text.with(number)),
            Ok(_) | Err(_) => {
                diagnostics.expected(node, "a whole number from 0 to 4294967295");
                None
            }
        }
    }
}

impl<T: Read> Read for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn expected() -> String {
        T::expected()
    }

    fn read(node: &Node, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Self> {
        T::read(node, diagnostics).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn shape() -> Shape {
        T::shape()
    }
}

/// A list of any length.
impl<T: Read> Read for Vec<T> {
    const EXPECTED: &'static str = "a list";

    fn read(node: &Node, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Self> {
        let NodeKind::List(items) = &node.kind else {
            let help = match &node.kind {
                NodeKind::Scalar(text, _) => format!("write it in brackets: `[{text}]`"),
                NodeKind::List(_) | NodeKind::Mapping(_) => {
                    "begin each item with `- `, or put brackets around the items: `[…]`".to_owned()
                }
            };
            let message = format!("expected a list, each item {}, got {}", T::EXPECTED, node.describe());
            diagnostics.error("wrong-type", node.span, message, help);
            return None;
        };
        // A bad item has been reported, which rejects the bundle; the good ones are still checked.
        let mut read = Vec::new();
        for item in items {
            if diagnostics.is_full() {
                break;
            }
            read.extend(T::read(item, diagnostics));
        }
        Some(read)
    }

    fn shape() -> Shape {
        Shape::List(Box::new(T::shape()))
    }
}

/// Any value, left as it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Raw(pub Node);

impl Read for Raw {
    const EXPECTED: &'static str = "a value";

    fn read(node: &Node, _: &mut Diagnostics<'_, '_>) -> Option<Self> {
        Some(Self(node.clone()))
    }
}

impl JsonSchema for Raw {
    fn schema_name() -> Cow<'static, str> {
        "Value".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!(true)
    }
}

/// One value, or a list of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T: Read> Read for OneOrMany<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn read(node: &Node, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Self> {
        match &node.kind {
            NodeKind::List(items) if items.is_empty() => {
                diagnostics.error("empty-list", node.span, "this list is empty", "write at least one item");
                None
            }
            NodeKind::List(_) => Vec::read(node, diagnostics).map(Self),
            NodeKind::Scalar(..) | NodeKind::Mapping(_) => T::read(node, diagnostics).map(|one| Self(vec![one])),
        }
    }

    fn shape() -> Shape {
        Shape::List(Box::new(T::shape()))
    }
}

/// A mapping from names to values, in the order written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Table<T> {
    /// The names and their values.
    pub entries: Vec<(Located<String>, T)>,
    /// Names whose values could not be read: reported, and known all the same, so that a use of
    /// such a name is not reported as well.
    pub broken: Vec<String>,
}

impl<T: Read> Read for Table<T> {
    const EXPECTED: &'static str = "a mapping from names to values";

    fn read(node: &Node, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Self> {
        let NodeKind::Mapping(entries) = &node.kind else {
            diagnostics.expected(node, &format!("a mapping from names to values, each value {}", T::EXPECTED));
            return None;
        };
        let mut table = Self::default();
        for (key, node) in entries {
            if diagnostics.is_full() {
                break;
            }
            if node.is_blank() {
                diagnostics.error(
                    "blank-value",
                    key.span,
                    format!("`{}` has no value", key.value),
                    format!("expected {}", T::expected()),
                );
                table.broken.push(key.value.clone());
                continue;
            }
            match T::read(node, diagnostics) {
                Some(value) => table.entries.push((key.clone(), value)),
                None => table.broken.push(key.value.clone()),
            }
        }
        Some(table)
    }

    fn shape() -> Shape {
        Shape::Table(Box::new(T::shape()))
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), broken: Vec::new() }
    }
}

impl<T: JsonSchema> JsonSchema for Located<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        // YAML writes numbers and texts alike, so a text may look like a number to an editor.
        match T::schema_name().as_ref() {
            "string" => json_schema!({ "type": ["string", "number", "boolean"] }),
            _ => T::json_schema(generator),
        }
    }
}

impl JsonSchema for Slug {
    fn schema_name() -> Cow<'static, str> {
        "Slug".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$",
            "description": "A name: lower-case letters, digits, `_` and `-`."
        })
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany_{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
    }
}

impl<T: JsonSchema> JsonSchema for Table<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Table_{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        json_schema!({ "type": "object", "additionalProperties": value })
    }
}
