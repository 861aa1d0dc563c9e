//! Facts: reasons, further moments, inputs, and what is derived from them.

use crate::domain::facts::{FactId, Value};
use crate::domain::limits::VOCABULARY_WORDS_MAX;
use crate::domain::words::LiableParty;
use crate::plan::evidence::Requirement;
use crate::plan::fact::{BuiltIn, Derived, Dimension, FactType, Input, InputRange, InputScope, Origin, Row};
use crate::plan::formula::{Formula, Leaf, Op};
use crate::plan::rule::Reason;
use crate::plan::vocabulary::{Vocabulary, VocabularyId};
use crate::policy::check::condition;
use crate::policy::check::draft::{Draft, broken_requirements};
use crate::policy::check::header::{open, word};
use crate::policy::diagnostics::Diagnostics;
use crate::policy::document::Policy;
use crate::policy::document::facts::{FactNode, InputNode, RowNode};
use crate::policy::formula::check::{finish, formula, typed};
use crate::policy::formula::describe::describe;
use crate::policy::formula::scope::{Context, Kind, Typed, Wanted};
use crate::policy::literal;
use crate::policy::read::{Slug, Table, Text, check_slug};
use crate::policy::unknown::unknown_word;

/// Checks the reasons.
pub fn reasons(
    policy: &Policy,
    requirements: &[Requirement],
    draft: &Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Vec<Reason> {
    let entries = policy.reasons.as_ref().map_or(&[][..], |table| table.entries.as_slice());
    let broken = broken_requirements(policy);
    entries
        .iter()
        .map(|(slug, reason)| {
            let liable = reason
                .liable
                .as_ref()
                .and_then(|liable| word(&liable.0, "liable party", LiableParty::ALL, LiableParty::as_str, diagnostics));
            let requirement =
                reason.evidence.as_ref().and_then(|name| requirement(name, requirements, broken, diagnostics));
            Reason {
                liable,
                requirement,
                label: draft.labels(reason.label.as_ref(), &slug.value, slug.span, diagnostics),
            }
        })
        .collect()
}

fn requirement(
    name: &Slug,
    requirements: &[Requirement],
    broken: &[String],
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<u16> {
    let found = requirements.iter().position(|requirement| requirement.name == name.text());
    if found.is_none() && !broken.iter().any(|broken| broken == name.text()) {
        let known: Vec<String> = requirements.iter().map(|requirement| requirement.name.clone()).collect();
        unknown_word(name.text(), name.span(), "evidence requirement", &known, diagnostics);
    }
    found.and_then(|place| u16::try_from(place).ok())
}

/// Adds what a request may send: further moments and inputs.
pub fn given(policy: &Policy, draft: &mut Draft, diagnostics: &mut Diagnostics<'_, '_>) {
    for name in policy.times.as_deref().unwrap_or(&[]) {
        if is_new(&name.0, draft, diagnostics) && check_fact_name(&name.0, diagnostics) {
            draft.add(name.text().to_owned(), FactType::Quantity(Dimension::Timestamp), Origin::Anchor);
        }
    }
    if let Some(inputs) = &policy.inputs {
        draft.broken_facts.extend(inputs.broken.iter().cloned());
        for (name, input) in &inputs.entries {
            if !is_new(name, draft, diagnostics) || !check_fact_name(name, diagnostics) {
                continue;
            }
            match self::input(name, input, draft, diagnostics) {
                Some((fact_type, origin)) => {
                    draft.add(name.value.clone(), fact_type, origin);
                }
                None => draft.broken_facts.push(name.value.clone()),
            }
        }
    }
    draft.given_facts = u16::try_from(draft.facts.len()).unwrap_or(u16::MAX);
}

/// Checks that a fact may have this name; reports it where it may not.
pub fn is_new_fact(name: &Text, draft: &Draft, diagnostics: &mut Diagnostics<'_, '_>) -> bool {
    is_new(name, draft, diagnostics) && check_fact_name(name, diagnostics)
}

fn is_new(name: &Text, draft: &Draft, diagnostics: &mut Diagnostics<'_, '_>) -> bool {
    let taken = draft.names.contains_key(&name.value);
    if taken {
        let built_in = BuiltIn::ALL.iter().any(|fact| fact.name() == name.value);
        let help =
            if built_in { "every policy knows this fact already; choose another name" } else { "choose another name" };
        diagnostics.error("duplicate-fact", name.span, format!("there is a fact `{}` already", name.value), help);
    }
    !taken
}

/// A fact's name is used in formulas, so it is a slug without `-`.
fn check_fact_name(name: &Text, diagnostics: &mut Diagnostics<'_, '_>) -> bool {
    if !check_slug(name, diagnostics) {
        return false;
    }
    let usable = !name.value.contains('-')
        && !name.value.starts_with(|first: char| first.is_ascii_digit())
        && !RESERVED.contains(&name.value.as_str());
    if !usable {
        diagnostics.error(
            "bad-fact-name",
            name.span,
            format!("a fact cannot be called `{}`", name.value),
            "start with a letter, use `_` instead of `-`, and no word of the formula language",
        );
    }
    usable
}

/// Words that mean something in a formula.
const RESERVED: [&str; 9] = ["and", "or", "not", "true", "false", "remaining", "previous", "present", "absent"];

fn input(
    name: &Text,
    input: &InputNode,
    draft: &mut Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<(FactType, Origin)> {
    let quantity = |dimension, range| Some((FactType::Quantity(dimension), range));
    let (fact_type, range) = match input.kind.text() {
        "flag" => Some((FactType::Flag, InputRange::Any)),
        "text" => Some((FactType::Text, InputRange::Any)),
        "number" => quantity(Dimension::Number, InputRange::Any),
        "ratio" => quantity(Dimension::Number, InputRange::Ratio),
        "count" => quantity(Dimension::Number, InputRange::Count),
        "money" => quantity(Dimension::Money, InputRange::NotNegative),
        "duration" => quantity(Dimension::Elapsed, InputRange::Any),
        "timestamp" => quantity(Dimension::Timestamp, InputRange::Any),
        "enum" => Some((enumeration(name, input, draft, diagnostics)?, InputRange::Any)),
        other => {
            let known = ["flag", "enum", "number", "ratio", "count", "money", "duration", "timestamp", "text"]
                .map(str::to_owned);
            unknown_word(other, input.kind.span(), "input type", &known, diagnostics);
            None
        }
    }?;
    if let (Some([first, ..]), false) = (input.values.as_deref(), matches!(fact_type, FactType::Word(_))) {
        diagnostics.error(
            "misplaced-key",
            first.span(),
            "`values` belongs to an input of type `enum` only",
            "remove it, or make the type `enum`",
        );
    }
    let scope = match input.scope.as_ref().map(|scope| (scope.text(), scope.span())) {
        None | Some(("order", _)) => InputScope::Order,
        Some(("line", _)) => InputScope::Line,
        Some((other, span)) => {
            unknown_word(other, span, "scope", &["order".to_owned(), "line".to_owned()], diagnostics);
            return None;
        }
    };
    let default = match &input.default {
        Some(text) => Some(default(text, fact_type, range, draft, diagnostics)?),
        None => None,
    };
    Some((fact_type, Origin::Input(Input { scope, range, default })))
}

fn enumeration(
    name: &Text,
    input: &InputNode,
    draft: &mut Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<FactType> {
    let Some(values) = input.values.as_deref().filter(|values| !values.is_empty()) else {
        diagnostics.error(
            "missing-key",
            input.kind.span(),
            format!("the enum `{}` needs the key `values`", name.value),
            "list its words: `values: [first, second]`",
        );
        return None;
    };
    let words: Vec<Text> = values.iter().map(|value| value.0.clone()).collect();
    let vocabulary = open(&format!("value of `{}`", name.value), &words, VOCABULARY_WORDS_MAX, diagnostics);
    Some(FactType::Word(draft.add_vocabulary(vocabulary)))
}

fn default(
    text: &Text,
    fact_type: FactType,
    range: InputRange,
    draft: &Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Value> {
    let value = match fact_type {
        FactType::Flag => match text.value.as_str() {
            "true" => Some(Value::Flag(true)),
            "false" => Some(Value::Flag(false)),
            _ => None,
        },
        FactType::Word(vocabulary) => draft.vocabularies.place(vocabulary, &text.value).map(Value::Word),
        FactType::Quantity(dimension) => {
            literal::quantity(&text.value, dimension).filter(|number| range.contains(*number)).map(Value::Quantity)
        }
        FactType::Set(_) | FactType::Text => None,
    };
    if value.is_none() {
        let expected = describe(fact_type, &draft.scope(Context::Fact));
        diagnostics.error(
            "bad-literal",
            text.span,
            format!("`{}` cannot be the default of this input", text.value),
            format!("expected {expected}, {}", range.describe()),
        );
    }
    value
}

/// Adds the derived facts, in order.
pub fn derived(written: Option<&Table<FactNode>>, draft: &mut Draft, diagnostics: &mut Diagnostics<'_, '_>) {
    let Some(written) = written else { return };
    draft.broken_facts.extend(written.broken.iter().cloned());
    draft.later_facts = written.entries.iter().map(|(name, _)| name.value.clone()).collect();
    for (name, fact) in &written.entries {
        let derived = (is_new(name, draft, diagnostics) && check_fact_name(name, diagnostics)).then(|| match fact {
            FactNode::Formula(text) => {
                one(name, text, draft, diagnostics).map(|(formula, fact_type)| (Derived::Formula(formula), fact_type))
            }
            FactNode::Table(table) => self::table(name, &table.first, draft, diagnostics),
        });
        draft.later_facts.retain(|later| *later != name.value);
        match derived.flatten() {
            Some((derived, fact_type)) => {
                if let Some(id) = draft.derive(name, name.value.clone(), fact_type, derived, diagnostics) {
                    draft.names.insert(name.value.clone(), id);
                }
            }
            None => draft.broken_facts.push(name.value.clone()),
        }
    }
}

/// The type that a fact of this name must have.
fn wanted(name: &Text) -> Wanted {
    match name.value.as_str() {
        "liable" => Wanted::Type(FactType::Word(VocabularyId::LIABLE_PARTY)),
        _ => Wanted::Any,
    }
}

fn one(name: &Text, text: &Text, draft: &Draft, diagnostics: &mut Diagnostics<'_, '_>) -> Option<(Formula, FactType)> {
    formula(text, wanted(name), &draft.scope(Context::Fact), diagnostics)
}

/// A table: all values of one type; where they are lone words, the fact gets words of its own.
fn table(
    name: &Text,
    rows: &[RowNode],
    draft: &mut Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<(Derived, FactType)> {
    let (last, before) = rows.split_last().or_else(|| {
        diagnostics.error(
            "empty-list",
            name.span,
            format!("the table of `{}` is empty", name.value),
            "write rows, the last one with `otherwise`",
        );
        None
    })?;
    let mut values = Vec::new();
    let mut tests = Vec::new();
    for row in before {
        let (row_tests, value) = inner_row(name, row, draft, diagnostics)?;
        tests.push(row_tests);
        values.push((value.clone(), typed(value, &draft.scope(Context::Fact), diagnostics)?));
    }
    let otherwise = last_row(name, last, diagnostics)?;
    values.push((otherwise.clone(), typed(otherwise, &draft.scope(Context::Fact), diagnostics)?));
    let fact_type = table_type(name, &values, draft);
    let mut formulas = values.into_iter().map(|(text, typed)| {
        let (ops, _) = finish(typed, Wanted::Type(fact_type), &draft.scope(Context::Fact), diagnostics)?;
        Some(Formula { text: text.value, ops })
    });
    let mut rows = Vec::new();
    for tests in tests {
        rows.push(Row { tests, value: formulas.next()?? });
    }
    Some((Derived::Table { rows, otherwise: formulas.next()?? }, fact_type))
}

fn inner_row<'r>(
    name: &Text,
    row: &'r RowNode,
    draft: &mut Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<(Vec<crate::plan::test::Test>, &'r Text)> {
    match row {
        RowNode { when: Some(when), is: Some(value), otherwise: None } => {
            let tests = condition::tests(Some(when), draft, diagnostics)?;
            Some((tests, value))
        }
        RowNode { when: _, is: _, otherwise: Some(text) } => {
            diagnostics.error(
                "table-row",
                text.span,
                "`otherwise` belongs to the last row, alone",
                "move it to the end, or write `when` and `is`",
            );
            None
        }
        RowNode { when, is, otherwise: None } => {
            let at = is
                .as_ref()
                .map(|is| is.span)
                .or_else(|| when.as_ref().map(crate::policy::check::header::first_span))
                .unwrap_or(name.span);
            diagnostics.error(
                "table-row",
                at,
                format!("a row of `{}` needs both `when` and `is`", name.value),
                "only the last row has `otherwise` instead",
            );
            None
        }
    }
}

fn last_row<'r>(name: &Text, row: &'r RowNode, diagnostics: &mut Diagnostics<'_, '_>) -> Option<&'r Text> {
    match row {
        RowNode { when: None, is: None, otherwise: Some(text) } => Some(text),
        RowNode { when: _, is, otherwise } => {
            let at = otherwise.as_ref().or(is.as_ref()).map_or(name.span, |text| text.span);
            diagnostics.error(
                "table-row",
                at,
                format!("the last row of `{}` must have `otherwise`, alone", name.value),
                "so the fact has a value whatever the order is like",
            );
            None
        }
    }
}

/// The type of a table: that of its first value with one; of lone words, an enum of them.
fn table_type(name: &Text, values: &[(Text, Typed)], draft: &mut Draft) -> FactType {
    if let Wanted::Type(fact_type) = wanted(name) {
        return fact_type;
    }
    let own = values.iter().find_map(|(_, typed)| match typed.kind {
        Kind::Of(fact_type) => Some(fact_type),
        Kind::Constant(_) | Kind::Word(_) => None,
    });
    let words: Vec<String> = values
        .iter()
        .filter_map(|(_, typed)| match &typed.kind {
            Kind::Word(word) => Some(word.clone()),
            Kind::Of(_) | Kind::Constant(_) => None,
        })
        .collect();
    match own {
        Some(fact_type) => fact_type,
        None if words.len() == values.len() => {
            FactType::Word(draft.add_vocabulary(Vocabulary::new(format!("value of `{}`", name.value), words)))
        }
        None => FactType::Quantity(Dimension::Number),
    }
}

/// The fact that says who is liable.
pub fn liable(
    written: Option<&Table<FactNode>>,
    draft: &mut Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<FactId> {
    let own = draft.names.get("liable").copied();
    if let (Some(id), Some(written)) = (own, written) {
        let fact_type = draft.facts.get(usize::from(id.0)).map(|fact| fact.fact_type);
        let at = written.entries.iter().find(|(name, _)| name.value == "liable").map(|(name, _)| name.span);
        if let (Some(fact_type), Some(at)) = (fact_type, at)
            && fact_type != FactType::Word(VocabularyId::LIABLE_PARTY)
        {
            let got = describe(fact_type, &draft.scope(Context::Fact));
            diagnostics.error(
                "formula-type",
                at,
                format!("the fact `liable` must be a liable party, got {got}"),
                "it says who is liable in the answer",
            );
        }
    }
    let claimed = draft.names.get(BuiltIn::ClaimedLiable.name()).copied();
    if let (None, Some(claimed)) = (own, claimed) {
        // A policy that does not derive it means what was claimed.
        draft.names.insert("liable".to_owned(), claimed);
    }
    own.or(claimed)
}

/// The operation that puts a formula's only number, if it is nothing else.
pub fn only_number(formula: &Formula) -> Option<crate::domain::ratio::Ratio> {
    match formula.ops.as_slice() {
        [Op::Put(Leaf::Number(number))] => Some(*number),
        _ => None,
    }
}
