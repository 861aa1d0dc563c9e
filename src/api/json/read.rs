//! From a JSON text to a message, led by the descriptors: every mistake is noted, and nothing is
//! skipped in silence.
//!
//! Each mistake is worded only where it is kept: a text of a million of them costs no more than reading it.

use std::collections::HashMap;

use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind as Type, MapKey, MessageDescriptor, Value as Field,
};

use crate::api::bounds::list_max;
use crate::api::json::document::{Document, Kind, Member, Value};
use crate::api::json::mistake::{JsonError, JsonMistake};
use crate::api::json::values::{self, Decimal};
use crate::api::path::Path;
use crate::policy::diagnostics::{nearest, quoted_list};

const MONEY: &str = "google.type.Money";
const FRACTION: &str = "google.type.Fraction";
const TIMESTAMP: &str = "google.protobuf.Timestamp";
const DURATION: &str = "google.protobuf.Duration";

/// Longest part of a text that a message repeats, in characters.
const QUOTED_CHARACTERS_MAX: usize = 60;

const HALF_OF_A_CHARACTER: &str = "has an escape that is half of a character";

/// Reads a message.
///
/// # Errors
///
/// Every mistake, in the order of the text.
pub(super) fn message(document: &Document<'_>, descriptor: &MessageDescriptor) -> Result<DynamicMessage, JsonError> {
    let mut reader = Reader { document, error: JsonError { mistakes: Vec::new(), further: 0 } };
    let message = reader.message(descriptor, document.root(), &Path::Root);
    match message {
        Some(message) if reader.error.mistakes.is_empty() => Ok(message),
        Some(_) | None => Err(reader.error),
    }
}

struct Reader<'d, 't> {
    document: &'d Document<'t>,
    error: JsonError,
}

impl<'t> Reader<'_, 't> {
    /// Notes a mistake, worded as `say` does if it is among those that are kept; there is no value then.
    fn wrong<T>(&mut self, value: Value<'t>, at: &Path<'_>, say: impl FnOnce() -> Said) -> Option<T> {
        let (document, field) = (self.document, || at.to_string());
        self.error.add(|| {
            let (line, column) = document.place(value);
            let Said { problem, help } = say();
            JsonMistake { line, column, field: field(), problem, help }
        });
        None
    }

    /// Notes that a value is of another kind than its field.
    fn expected<T>(&mut self, what: &str, value: Value<'t>, at: &Path<'_>, help: impl FnOnce() -> String) -> Option<T> {
        self.wrong(value, at, || said(format!("expected {what}, got {}", shown(value)), help()))
    }

    /// Notes that a name stands there again.
    fn repeated(&mut self, name: Value<'t>, first: Value<'t>, at: &Path<'_>) {
        let document = self.document;
        self.wrong::<()>(name, at, || {
            let (line, column) = document.place(first);
            let name = quoted(&name.text().unwrap_or_default());
            said(format!("{name} stands twice; the first is on line {line}, column {column}"), "keep one of them")
        });
    }

    fn message(&mut self, descriptor: &MessageDescriptor, value: Value<'t>, at: &Path<'_>) -> Option<DynamicMessage> {
        match descriptor.full_name() {
            TIMESTAMP => return self.moment(descriptor, value, at),
            DURATION => return self.duration(descriptor, value, at),
            _ => {}
        }
        if value.kind() != Kind::Object {
            return self.expected("an object", value, at, || help_for_message(descriptor, value));
        }
        let mut message = DynamicMessage::new(descriptor.clone());
        // Every field that stands there, with its name and its value: as many as there are fields at most.
        let mut seen: Vec<(FieldDescriptor, Member<'t>)> = Vec::new();
        for member @ Member { name, value } in value.members() {
            let Some(written) = name.text() else {
                self.wrong::<()>(name, at, || said(format!("the name {HALF_OF_A_CHARACTER}"), ""));
                continue;
            };
            let Some(field) = field_of(descriptor, &written) else {
                self.wrong::<()>(name, at, || {
                    said(format!("there is no field {}", quoted(&written)), help_for_name(descriptor, &written))
                });
                continue;
            };
            let place = at.field(field.name());
            if let Some((_, first)) = seen.iter().find(|(other, _)| *other == field) {
                self.repeated(name, first.name, &place);
                continue;
            }
            seen.push((field.clone(), member));
            // As if it were not there, as the mapping has it.
            if value.kind() == Kind::Null {
                continue;
            }
            let other = seen.iter().find(|(other, member)| {
                *other != field
                    && other.containing_oneof().is_some_and(|choice| Some(choice) == field.containing_oneof())
                    && member.value.kind() != Kind::Null
            });
            if let Some((other, _)) = other {
                self.wrong::<()>(name, &place, || {
                    let problem = format!("`{}` and `{}` exclude each other", other.json_name(), field.json_name());
                    said(problem, "keep one of them")
                });
                continue;
            }
            if let Some(content) = self.field(&field, value, &place) {
                message.set_field(&field, content);
            }
        }
        Some(message)
    }

    fn field(&mut self, field: &FieldDescriptor, value: Value<'t>, at: &Path<'_>) -> Option<Field> {
        if field.is_map() {
            self.map(field, value, at)
        } else if field.is_list() {
            self.list(field, value, at)
        } else {
            self.single(&field.kind(), value, at)
        }
    }

    fn list(&mut self, field: &FieldDescriptor, value: Value<'t>, at: &Path<'_>) -> Option<Field> {
        if value.kind() != Kind::List {
            return self.expected("a list", value, at, || "write it in `[` and `]`".to_owned());
        }
        let items = value.items();
        self.within_bound(field, items.len(), value, at)?;
        let (kind, mut read) = (field.kind(), Vec::with_capacity(items.len()));
        for (place, item) in items.into_iter().enumerate() {
            read.extend(self.single(&kind, item, &at.item(place)));
        }
        Some(Field::List(read))
    }

    fn map(&mut self, field: &FieldDescriptor, value: Value<'t>, at: &Path<'_>) -> Option<Field> {
        let Type::Message(entry) = field.kind() else { return None };
        if value.kind() != Kind::Object {
            return self.expected("an object", value, at, || "write it as `{\"name\": value}`".to_owned());
        }
        let members = value.members();
        self.within_bound(field, members.len(), value, at)?;
        let kind = entry.map_entry_value_field().kind();
        let (mut seen, mut read) = (HashMap::new(), HashMap::new());
        for Member { name, value } in members {
            let Some(key) = name.text() else {
                self.wrong::<()>(name, at, || said(format!("the name {HALF_OF_A_CHARACTER}"), ""));
                continue;
            };
            let shown = cut(&key);
            let place = at.key(&shown);
            if let Some(first) = seen.get(&key) {
                self.repeated(name, *first, &place);
                continue;
            }
            seen.insert(key.clone(), name);
            if let Some(content) = self.single(&kind, value, &place) {
                read.insert(MapKey::String(key), content);
            }
        }
        Some(Field::Map(read))
    }

    /// Lists above their bound are not looked into.
    fn within_bound(&mut self, field: &FieldDescriptor, count: usize, value: Value<'t>, at: &Path<'_>) -> Option<()> {
        let most = list_max(field.full_name());
        if count <= most {
            Some(())
        } else {
            self.wrong(value, at, || said(format!("at most {most} are allowed, got {count}"), ""))
        }
    }

    fn single(&mut self, kind: &Type, value: Value<'t>, at: &Path<'_>) -> Option<Field> {
        match kind {
            Type::Message(descriptor) => self.message(descriptor, value, at).map(Field::Message),
            Type::Enum(words) => self.word(words, value, at).map(Field::EnumNumber),
            Type::String => self.text(value, at).map(Field::String),
            Type::Bool => match value.kind() {
                Kind::Flag(flag) => Some(Field::Bool(flag)),
                Kind::Object | Kind::List | Kind::Text | Kind::Number | Kind::Null => {
                    self.expected("`true` or `false`", value, at, || "write it without quotes".to_owned())
                }
            },
            Type::Int32 | Type::Sint32 | Type::Sfixed32 => {
                let number = self.whole(i128::from(i32::MIN), i128::from(i32::MAX), value, at)?;
                i32::try_from(number).ok().map(Field::I32)
            }
            Type::Int64 | Type::Sint64 | Type::Sfixed64 => {
                let number = self.whole(i128::from(i64::MIN), i128::from(i64::MAX), value, at)?;
                i64::try_from(number).ok().map(Field::I64)
            }
            Type::Uint32 | Type::Fixed32 => {
                let number = self.whole(0, i128::from(u32::MAX), value, at)?;
                u32::try_from(number).ok().map(Field::U32)
            }
            Type::Uint64 | Type::Fixed64 => {
                let number = self.whole(0, i128::from(u64::MAX), value, at)?;
                u64::try_from(number).ok().map(Field::U64)
            }
            // No request has one; a test holds the descriptors to that.
            Type::Double | Type::Float | Type::Bytes => {
                self.wrong(value, at, || said("this field cannot be written as JSON", ""))
            }
        }
    }

    fn text(&mut self, value: Value<'t>, at: &Path<'_>) -> Option<String> {
        match value.kind() {
            Kind::Text => {
                let text = value.text();
                if text.is_none() {
                    self.wrong::<()>(value, at, || said(format!("the text {HALF_OF_A_CHARACTER}"), ""));
                }
                text
            }
            Kind::Number | Kind::Flag(_) => {
                self.expected("a text", value, at, || format!("write it in double quotes: `\"{}\"`", cut(value.raw())))
            }
            Kind::Object | Kind::List | Kind::Null => self.expected("a text", value, at, String::new),
        }
    }

    fn whole(&mut self, least: i128, most: i128, value: Value<'t>, at: &Path<'_>) -> Option<i128> {
        let decimal = match value.kind() {
            Kind::Number => Decimal::parse(value.raw()),
            Kind::Text => value.text().and_then(|text| Decimal::parse(&text)),
            Kind::Object | Kind::List | Kind::Flag(_) | Kind::Null => None,
        };
        let Some(decimal) = decimal else {
            return self.expected("a whole number", value, at, || "write it in digits, such as `10`".to_owned());
        };
        match decimal.whole() {
            Some(number) if (least..=most).contains(&number) => Some(number),
            Some(_) => self.wrong(value, at, || {
                said(format!("{} is out of range", shown(value)), format!("write {least} to {most}"))
            }),
            None => self.expected("a whole number", value, at, || match (at, decimal.units_and_nanos()) {
                (Path::Field(_, "units"), Some((units, nanos))) => format!(
                    "an amount is whole units and billionths: write `\"units\": \"{units}\", \"nanos\": {nanos}`"
                ),
                _ => String::new(),
            }),
        }
    }

    /// A word of a closed set, by its name or number.
    fn word(&mut self, words: &EnumDescriptor, value: Value<'t>, at: &Path<'_>) -> Option<i32> {
        let name = value.text();
        let known = match value.kind() {
            Kind::Text => name.as_deref().and_then(|name| words.get_value_by_name(name)),
            Kind::Number => Decimal::parse(value.raw())
                .and_then(|decimal| i32::try_from(decimal.whole()?).ok())
                .and_then(|number| words.get_value(number)),
            Kind::Object | Kind::List | Kind::Flag(_) | Kind::Null => None,
        };
        match known {
            Some(word) => Some(word.number()),
            None => self.wrong(value, at, || {
                let help = help_for_word(words, name.as_deref().unwrap_or_default());
                said(format!("{} is no word of {}", shown(value), words.name()), help)
            }),
        }
    }

    fn moment(&mut self, descriptor: &MessageDescriptor, value: Value<'t>, at: &Path<'_>) -> Option<DynamicMessage> {
        const EXAMPLE: &str = "write it as text, such as `\"2026-06-01T10:00:00Z\"`";
        match value.kind() {
            Kind::Text => match values::moment(&value.text().unwrap_or_default()) {
                Ok(parts) => Some(seconds_and_nanos(descriptor, parts)),
                Err((problem, help)) => self.wrong(value, at, || said(format!("{problem}: {}", shown(value)), help)),
            },
            Kind::Number => self.wrong(value, at, || {
                let seconds = Decimal::parse(value.raw()).and_then(|decimal| decimal.whole());
                let help = seconds.and_then(values::moment_of_seconds).map_or_else(
                    || EXAMPLE.to_owned(),
                    |text| format!("if it counts seconds since 1970, write `\"{text}\"`"),
                );
                said("expected a moment as text, got a number", help)
            }),
            Kind::Object | Kind::List | Kind::Flag(_) | Kind::Null => {
                self.expected("a moment as text", value, at, || EXAMPLE.to_owned())
            }
        }
    }

    fn duration(&mut self, descriptor: &MessageDescriptor, value: Value<'t>, at: &Path<'_>) -> Option<DynamicMessage> {
        match value.text().as_deref().and_then(values::duration) {
            Some(parts) => Some(seconds_and_nanos(descriptor, parts)),
            None => self.expected("a length of time", value, at, || {
                "write it in seconds, with at most nine decimals, such as `\"3600s\"`".to_owned()
            }),
        }
    }
}

/// A mistake in words: what is wrong, and what to write.
struct Said {
    problem: String,
    help: String,
}

fn said(problem: impl Into<String>, help: impl Into<String>) -> Said {
    Said { problem: problem.into(), help: help.into() }
}

fn seconds_and_nanos(descriptor: &MessageDescriptor, (seconds, nanos): (i64, i32)) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    message.set_field_by_name("seconds", Field::I64(seconds));
    message.set_field_by_name("nanos", Field::I32(nanos));
    message
}

fn field_of(descriptor: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    descriptor.get_field_by_json_name(name).or_else(|| descriptor.get_field_by_name(name))
}

/// A value as a message repeats it: cut where it is long.
fn shown(value: Value<'_>) -> String {
    match value.kind() {
        Kind::Text | Kind::Number => quoted(value.raw()),
        kind @ (Kind::Object | Kind::List | Kind::Flag(_) | Kind::Null) => kind.describe().to_owned(),
    }
}

fn quoted(text: &str) -> String {
    format!("`{}`", cut(text))
}

fn cut(text: &str) -> String {
    let mut characters = text.chars();
    let mut kept: String = characters.by_ref().take(QUOTED_CHARACTERS_MAX).collect();
    if characters.next().is_some() {
        kept.push('…');
    }
    kept
}

/// The advice for a field that is not known: the name that was most likely meant, or all there are.
fn help_for_name(descriptor: &MessageDescriptor, written: &str) -> String {
    if descriptor.full_name() == MONEY && matches!(written, "amount" | "value" | "currency" | "cents" | "minorUnits") {
        return "an amount has `currencyCode`, whole `units` and `nanos`, billionths: `{\"currencyCode\": \"CNY\", \"units\": \"10\", \"nanos\": 500000000}`".to_owned();
    }
    let fields: Vec<FieldDescriptor> = descriptor.fields().collect();
    // A name of any length could be compared; no field is as long as this.
    let near = if written.len() <= QUOTED_CHARACTERS_MAX {
        nearest(written, fields.iter().map(FieldDescriptor::json_name))
    } else {
        None
    };
    match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", quoted_list(fields.iter().map(FieldDescriptor::json_name))),
    }
}

/// The advice for a word that is not known.
fn help_for_word(words: &EnumDescriptor, written: &str) -> String {
    let names: Vec<String> = words.values().map(|word| word.name().to_owned()).collect();
    // Every name begins with that of the set, which is what a short one lacks.
    let short = names.iter().find(|name| {
        let ending = written.to_ascii_uppercase().replace(['-', ' '], "_");
        !ending.is_empty()
            && (**name == ending || name.strip_suffix(&ending).is_some_and(|prefix| prefix.ends_with('_')))
    });
    let near = || {
        if written.len() <= QUOTED_CHARACTERS_MAX { nearest(written, names.iter().map(String::as_str)) } else { None }
    };
    match short.map(String::as_str).or_else(near) {
        Some(name) => format!("write `\"{name}\"`"),
        None => format!("known are {}", quoted_list(&names)),
    }
}

/// The advice where a message is given as something else than an object.
fn help_for_message(descriptor: &MessageDescriptor, value: Value<'_>) -> String {
    let text = value.text().unwrap_or_else(|| value.raw().to_owned());
    match descriptor.full_name() {
        MONEY => {
            let mut words = text.split_whitespace();
            let number = words.clone().find_map(Decimal::parse).and_then(|decimal| decimal.units_and_nanos());
            let currency = words.find(|word| word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_uppercase()));
            let write = if number.is_some() && currency.is_some() { "write" } else { "write it as in" };
            let (units, nanos) = number.unwrap_or((10, 500_000_000));
            let currency = currency.unwrap_or("CNY");
            format!("{write} `{{\"currencyCode\": \"{currency}\", \"units\": \"{units}\", \"nanos\": {nanos}}}`")
        }
        FRACTION => {
            let parts = text
                .split_once('/')
                .and_then(|(part, whole)| Some((part.trim().parse::<u32>().ok()?, whole.trim().parse::<u32>().ok()?)));
            let write = if parts.is_some() { "write" } else { "write it as in" };
            let (part, whole) = parts.unwrap_or((3, 8));
            format!("{write} `{{\"numerator\": \"{part}\", \"denominator\": \"{whole}\"}}`")
        }
        _ => String::new(),
    }
}
