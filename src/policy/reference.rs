//! The parts of the reference page that follow from the program: keys, functions, facts, limits.
//!
//! What a key means is said once, where the key is declared. Here it is only laid out as tables.

use std::fmt::Write as _;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::domain::limits;
use crate::plan::fact::{BuiltIn, Dimension, FactType};
use crate::plan::vocabulary::VocabularyId;
use crate::policy::document::{BundleNode, CalendarNode, Policy};
use crate::policy::formula::functions::FUNCTIONS;
use crate::policy::formula::scope::ROUNDING_MODES;

/// Names of the mappings of a policy on the page, and where it describes them.
const MAPPINGS: [(&str, &str, &str); 27] = [
    ("Policy", "policy", "policy"),
    ("EffectiveNode", "effective", "effective"),
    ("OwnCurrencyNode", "own currency", "own-currency"),
    ("ComponentNode", "component", "component"),
    ("TendersNode", "tenders", "tenders"),
    ("InputNode", "input", "input"),
    ("ReasonNode", "reason", "reason"),
    ("EvidenceNode", "evidence", "evidence"),
    ("KindNode", "kind of evidence", "kind"),
    ("CapturedNode", "captured", "captured"),
    ("TreeNode", "tree", "tree"),
    ("TextNode", "text", "text"),
    ("NextStepNode", "next step", "next-step"),
    ("RoutesNode", "routes", "routes"),
    ("FirstNode", "table", "table"),
    ("RowNode", "row", "row"),
    ("RuleNode", "rule", "rule"),
    ("DeductNode", "deductions", "deduct"),
    ("StepNode", "deduction", "deduction"),
    ("TiersNode", "tiers", "tiers"),
    ("RoundNode", "round", "round"),
    ("ExtraNode", "amount", "amount"),
    ("OrderAmountNode", "amount of the order", "amounts-of-the-order"),
    ("WindowNode", "window", "window"),
    ("PayoutNode", "payout", "payout"),
    ("OtherwiseNode", "otherwise", "otherwise"),
    ("CaseNode", "case", "case"),
];

/// Default of a key that is absent, where there is one.
const DEFAULTS: [(&str, &str, &str); 26] = [
    ("Policy", "effective", "all orders"),
    ("Policy", "languages", "`[en]`"),
    ("Policy", "tenders", "`{ order: proportional }`"),
    ("EffectiveNode", "until", "the next version, or never"),
    ("InputNode", "scope", "`order`"),
    ("InputNode", "default", "the fact is missing"),
    ("ReasonNode", "label", "the slug"),
    ("KindNode", "label", "the slug"),
    ("KindNode", "media", "any"),
    ("KindNode", "max_bytes", "any size"),
    ("EvidenceNode", "max_total_bytes", "any size"),
    ("KindNode", "captured", "any time"),
    ("KindNode", "unstated", "`accepted`"),
    ("NextStepNode", "label", "the slug"),
    ("RuleNode", "when", "always"),
    ("RuleNode", "method", "`original_payment`"),
    ("RuleNode", "components", "as under `components`"),
    ("TendersNode", "order", "`proportional`"),
    ("StepNode", "scope", "`line`"),
    ("StepNode", "when", "always"),
    ("ExtraNode", "when", "always"),
    ("RoundNode", "to", "the currency's minor unit"),
    ("RoundNode", "mode", "`half_up`"),
    ("RoundNode", "of", "`deduction`"),
    ("CasesNode", "policy", "the default policy"),
    ("CaseNode", "lines", "one line, of `given`"),
];

/// Every generated part, by the name of its markers on the page.
#[must_use]
pub fn generated_sections() -> Vec<(&'static str, String)> {
    let policy = schema_of::<Policy>();
    let mut sections: Vec<(&'static str, String)> = MAPPINGS
        .iter()
        .filter_map(|(name, _, anchor)| {
            let schema = if *name == "Policy" { &policy } else { policy.get("$defs")?.get(*name)? };
            Some((*anchor, key_table(name, schema)))
        })
        .collect();
    sections.extend([
        ("calendar", keys_of::<CalendarNode>()),
        ("bundle", keys_of::<BundleNode>()),
        ("functions", functions()),
        ("rounding-modes", rounding_modes()),
        ("facts", facts()),
        ("limits", limits_table()),
    ]);
    sections
}

/// The keys of a mapping as a table: type, default, meaning.
#[must_use]
pub fn keys_of<T: JsonSchema>() -> String {
    key_table(&T::schema_name(), &schema_of::<T>())
}

fn schema_of<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value()
}

fn key_table(name: &str, schema: &Value) -> String {
    let mut table = String::from("| key | type | default | meaning |\n|---|---|---|---|\n");
    let required: Vec<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    for (key, value) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let own = DEFAULTS.iter().find(|(of, known, _)| *of == name && known == key).map(|(.., default)| *default);
        let default = if required.contains(&key.as_str()) { "mandatory" } else { own.unwrap_or("none") };
        let meaning = value.get("description").and_then(Value::as_str).unwrap_or("").replace('\n', " ");
        row(&mut table, &[&format!("`{key}`"), &kind(value), default, &meaning]);
    }
    table
}

/// Describes the values that a schema accepts, in the words of the page.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        return named(reference.rsplit('/').next().unwrap_or(reference));
    }
    if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
        let mut kinds: Vec<String> =
            choices.iter().filter(|choice| choice.get("type") != Some(&Value::from("null"))).map(kind).collect();
        kinds.dedup();
        return kinds.join(" or ");
    }
    let types: Vec<&str> = match schema.get("type") {
        Some(Value::Array(types)) => types.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(one)) => vec![one],
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => Vec::new(),
    };
    let inner = |key: &str| schema.get(key).map_or_else(|| "value".to_owned(), kind);
    match types.iter().find(|name| **name != "null") {
        Some(&"array") => format!("list of {}", inner("items")),
        Some(&"object") => format!("mapping to {}", inner("additionalProperties")),
        Some(&"integer") => "whole number".to_owned(),
        Some(&"string") => "text".to_owned(),
        Some(_) | None => "value".to_owned(),
    }
}

/// A definition of the schema, in the words of the page.
fn named(definition: &str) -> String {
    match definition {
        "Slug" => return "slug".to_owned(),
        "TestNode" => return "[test](#tests)".to_owned(),
        "FactNode" => return "formula or [table](#table)".to_owned(),
        "CurrencyNode" => return "code or [own currency](#own-currency)".to_owned(),
        "RefundNode" => return "`full` or [deductions](#deduct)".to_owned(),
        "RequirementNode" => return "slug or [tree](#tree)".to_owned(),
        "BesideNode" => return "[amount](#amount) or `order_amount`".to_owned(),
        _ => {}
    }
    MAPPINGS
        .iter()
        .find(|(name, ..)| *name == definition)
        .map_or_else(|| definition.to_owned(), |(_, called, anchor)| format!("[{called}](#{anchor})"))
}

fn functions() -> String {
    let mut table = String::from("| call | gives |\n|---|---|\n");
    for function in FUNCTIONS {
        row(&mut table, &[&format!("`{}`", function.usage), function.meaning]);
    }
    table
}

fn rounding_modes() -> String {
    let names: Vec<String> = ROUNDING_MODES.iter().map(|(name, _)| format!("`{name}`")).collect();
    format!("{}\n", names.join(", "))
}

fn facts() -> String {
    let mut table = String::from("| fact | type | field of the request | meaning |\n|---|---|---|---|\n");
    for fact in BuiltIn::ALL {
        let (name, field) = (format!("`{}`", fact.name()), format!("`{}`", fact.field()));
        row(&mut table, &[&name, type_name(fact.fact_type()), &field, fact.meaning()]);
    }
    table
}

fn type_name(fact_type: FactType) -> &'static str {
    match fact_type {
        FactType::Flag => "flag",
        FactType::Text => "text",
        FactType::Quantity(Dimension::Number) => "number",
        FactType::Quantity(Dimension::Money) => "money",
        FactType::Quantity(Dimension::Elapsed) => "elapsed time",
        FactType::Quantity(Dimension::Days) => "calendar days",
        FactType::Quantity(Dimension::BusinessDays) => "business days",
        FactType::Quantity(Dimension::Timestamp) => "moment",
        FactType::Set(_) => "set of the policy's `tags`",
        FactType::Word(VocabularyId::STAGE) => "[stage](#stages)",
        FactType::Word(VocabularyId::LIABLE_PARTY) => "[liable party](#liable-parties)",
        FactType::Word(VocabularyId::REQUEST_TYPE) => "[request type](#request-types)",
        FactType::Word(VocabularyId::REASON) => "one of the policy's `reasons`",
        FactType::Word(VocabularyId::CHANNEL) => "one of the policy's `channels`",
        FactType::Word(VocabularyId::PRODUCT_TYPE) => "one of the policy's `product_types`",
        FactType::Word(VocabularyId::SUB_STAGE) => "one of the policy's `sub_stages`",
        FactType::Word(VocabularyId::CURRENCY) => "one of the policy's `currencies`",
        FactType::Word(_) => "word",
    }
}

/// The bounds that an author or a caller can meet.
fn limits_table() -> String {
    let bounds: [(&str, usize); 33] = [
        ("bytes of one file", limits::FILE_BYTES_MAX),
        ("files of a bundle", limits::BUNDLE_FILES_MAX),
        ("bytes of a bundle", limits::BUNDLE_BYTES_MAX),
        ("levels of nesting in a file", limits::YAML_DEPTH_MAX),
        ("values in a file", limits::YAML_NODES_MAX),
        ("values in a bundle", limits::BUNDLE_NODES_MAX),
        ("values of fragments and layers, once for each policy that uses them", limits::SHARED_NODES_MAX),
        ("bytes of text of fragments and layers, once for each policy that uses them", limits::SHARED_TEXT_BYTES_MAX),
        ("bytes of one text in a file", limits::SCALAR_BYTES_MAX),
        ("rules of a policy", limits::RULES_MAX),
        ("derived facts of a policy, with formulas in tests", limits::DERIVED_FACTS_MAX),
        ("bytes of a formula", limits::FORMULA_BYTES_MAX),
        ("levels of nesting in a formula", limits::FORMULA_DEPTH_MAX),
        ("digits of a number before the point", limits::DECIMAL_DIGITS_MAX),
        ("digits of a number after the point", limits::DECIMAL_PLACES_MAX),
        ("words of an open set", limits::VOCABULARY_WORDS_MAX),
        ("currencies of a policy", limits::CURRENCIES_MAX),
        ("languages of a policy", limits::LANGUAGES_MAX),
        ("tags, and kinds of evidence", limits::SET_WORDS_MAX),
        ("alternatives of an evidence requirement", limits::EVIDENCE_ALTERNATIVES_MAX),
        ("phrases of a text list", limits::PHRASES_MAX),
        ("bytes of a phrase", limits::PHRASE_BYTES_MAX),
        ("days of a window", limits::WINDOW_DAYS_MAX as usize),
        ("mistakes reported at once", limits::DIAGNOSTICS_MAX),
        ("lines of an order", limits::LINES_MAX),
        ("tenders of an order", limits::TENDERS_MAX),
        ("components of an order", limits::COMPONENTS_MAX),
        ("amounts of earlier answers of an order", limits::EARLIER_MAX),
        ("pieces of evidence of a claim", limits::EVIDENCE_MAX),
        ("promised/actual pairs of a claim", limits::PROMISED_ACTUAL_MAX),
        ("bytes of a claim's text", limits::CLAIM_TEXT_BYTES_MAX),
        ("bytes of an id, slug or other short text of a request", limits::SHORT_TEXT_BYTES_MAX),
        ("entries of a map or list of a request", limits::ENTRIES_MAX),
    ];
    let mut table = String::from("| at most | of |\n|---|---|\n");
    for (what, most) in bounds {
        row(&mut table, &[&most.to_string(), what]);
    }
    row(&mut table, &[&limits::AMOUNT_MINOR_UNITS_MAX.to_string(), "minor units in an amount of a request"]);
    table
}

fn row(table: &mut String, cells: &[&str]) {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    // Writing to a text does not fail.
    let _ = writeln!(table, "| {} |", cells.join(" | "));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mapping_of_the_schema_has_its_place() {
        let schema = schema_of::<Policy>();
        for (name, definition) in schema["$defs"].as_object().unwrap() {
            let has_keys = definition.get("properties").is_some();
            assert!(!has_keys || MAPPINGS.iter().any(|(known, ..)| known == name), "`{name}` has no place on the page");
        }
    }

    #[test]
    fn defaults_are_of_keys_that_exist_and_may_be_absent() {
        let policy = schema_of::<Policy>();
        for (name, key, _) in DEFAULTS {
            let schema = if name == "Policy" { &policy } else { &policy["$defs"][name] };
            if schema.is_null() {
                continue;
            }
            assert!(schema["properties"].get(key).is_some(), "`{name}` has no key `{key}`");
            let required = schema["required"].as_array().is_some_and(|keys| keys.contains(&Value::from(key)));
            assert!(!required, "`{key}` of `{name}` is mandatory");
        }
    }

    #[test]
    fn types_are_told_in_words() {
        let table = keys_of::<Policy>();
        assert!(table.contains("| `channels` | list of slug | none |"), "{table}");
        assert!(table.contains("| `inputs` | mapping to [input](#input) | none |"), "{table}");
        assert!(table.contains("| `rules` | list of [rule](#rule) | mandatory |"), "{table}");
        assert!(!table.contains("Key"), "{table}");
    }
}
