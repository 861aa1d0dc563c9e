//! The expectation of a case, read as strictly as a policy: of the right form, in known words, and not empty.

use crate::domain::money::{Amount, Currency};
use crate::domain::request::Request;
use crate::domain::time::Date;
use crate::domain::words::{DeductionKind, LiableParty, Outcome, ReasonCode, RefundMethod};
use crate::plan::Plan;
use crate::plan::fact::Dimension;
use crate::plan::rule::{Extra, RuleEffect};
use crate::plan::vocabulary::VocabularyId;
use crate::policy::diagnostics::{Diagnostics, quoted_list};
use crate::policy::literal;
use crate::policy::source::{Located, Span};
use crate::policy::tree::{Node, NodeKind};
use crate::policy::unknown::unknown_word;

/// A value that is expected or came out, in the shape in which a case writes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Value {
    /// `none`, or an empty list or mapping.
    Nothing,
    Text(String),
    Money(Amount),
    List(Vec<String>),
    /// Several lists, of which the order does not matter.
    Lists(Vec<Vec<String>>),
    /// Sums by name.
    Amounts(Vec<(String, Amount)>),
    /// Texts by name.
    Pairs(Vec<(String, String)>),
}

/// Form in which an expectation is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// One word.
    Word(Vocabulary),
    /// Words in order; one word alone is a list of one.
    Words(Vocabulary),
    /// Lists of words; one list alone is a list of one.
    WordLists(Vocabulary),
    /// Texts that are no words of anything.
    Texts,
    /// An amount of the order's currency.
    Money,
    /// Amounts by name.
    Amounts(Vocabulary),
    /// Reason codes by the ids of pieces of evidence.
    Problems,
    /// The first and the last day.
    Window,
}

/// The words that an expectation can be written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Vocabulary {
    Outcome,
    ReasonCode,
    Version,
    Rule,
    Party,
    Deduction,
    RuleEffect,
    EvidenceKind,
    Evidence,
    Fact,
    NextStep,
    Method,
    Tender,
    Component,
    Compensation,
    AmountDue,
}

/// Keys that can be expected of a decision, and of an invalid request.
pub(super) const KEYS: [(&str, Form); 22] = [
    ("outcome", Form::Word(Vocabulary::Outcome)),
    ("reason", Form::Word(Vocabulary::ReasonCode)),
    ("reasons", Form::Words(Vocabulary::ReasonCode)),
    ("refund", Form::Money),
    ("rule", Form::Word(Vocabulary::Rule)),
    ("liable", Form::Word(Vocabulary::Party)),
    ("deductions", Form::Amounts(Vocabulary::Deduction)),
    ("compensations", Form::Amounts(Vocabulary::Compensation)),
    ("amounts_due", Form::Amounts(Vocabulary::AmountDue)),
    ("missing_facts", Form::Words(Vocabulary::Fact)),
    ("version", Form::Word(Vocabulary::Version)),
    ("components", Form::Amounts(Vocabulary::Component)),
    ("evidence", Form::Word(Vocabulary::RuleEffect)),
    ("missing_evidence", Form::WordLists(Vocabulary::EvidenceKind)),
    ("satisfied_by", Form::Words(Vocabulary::Evidence)),
    ("rejected", Form::Problems),
    ("vague", Form::Texts),
    ("next", Form::Words(Vocabulary::NextStep)),
    ("method", Form::Word(Vocabulary::Method)),
    ("review", Form::Window),
    ("payout", Form::Window),
    ("tenders", Form::Amounts(Vocabulary::Tender)),
];

/// Number of these keys that can be expected of one line: the first ones.
pub(super) const LINE_KEYS: usize = 10;

/// Words that are expected.
#[derive(Clone, Copy)]
pub(super) struct Scope<'s, 'a> {
    /// All versions of the policy: a case may name what only another one has.
    pub(super) versions: &'s [&'s Plan],
    /// The request.
    pub(super) request: &'s Request<'a>,
}

/// Reads an expectation of this form; `None` after a report. Words are not looked up: one that equals what came out is
/// known.
pub(super) fn read(
    key: &Located<String>,
    form: Form,
    node: &Node,
    currency: Option<&Currency>,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Value> {
    if node.is_blank() {
        let help = format!("expected {}", describe(form));
        let message = format!("`{}` has no value", key.value);
        if was_passed_over(form, node) {
            diagnostics.stricter_error("blank-value", key.span, message, help);
        } else {
            diagnostics.error("blank-value", key.span, message, help);
        }
        return None;
    }
    if is_nothing(node) && form != Form::Money {
        return Some(Value::Nothing);
    }
    let value = match form {
        Form::Word(_) => scalar(node).map(|text| Value::Text(text.to_owned())),
        Form::Words(_) | Form::Texts => texts(node).map(Value::List),
        Form::WordLists(_) => lists(node).map(Value::Lists),
        Form::Money => match scalar(node) {
            Some(text) => return money(text, node.span, currency, diagnostics).map(Value::Money),
            None => None,
        },
        Form::Amounts(_) => match pairs(node) {
            Some(pairs) => {
                let mut amounts = Vec::with_capacity(pairs.len());
                for (name, text, span) in pairs {
                    amounts.push((name, money(&text, span, currency, diagnostics)));
                }
                let known = |(name, amount): (String, Option<Amount>)| Some((name, amount?));
                return amounts.into_iter().map(known).collect::<Option<_>>().map(Value::Amounts);
            }
            None => None,
        },
        Form::Problems => {
            pairs(node).map(|pairs| Value::Pairs(pairs.into_iter().map(|(name, text, _)| (name, text)).collect()))
        }
        Form::Window => return window(node, diagnostics),
    };
    if value.is_none() {
        let message = format!("expected for `{}` {}, got {}", key.value, describe(form), node.describe());
        if was_passed_over(form, node) {
            diagnostics.stricter_error("wrong-type", node.span, message, "");
        } else {
            diagnostics.error("wrong-type", node.span, message, "");
        }
    }
    value
}

/// Returns `true` if earlier versions ignored this form, and so let a case pass that expects something else.
fn was_passed_over(form: Form, node: &Node) -> bool {
    match form {
        Form::Amounts(_) | Form::Problems => true,
        // An amount alone in a list was taken for the amount.
        Form::Money => !node.is_blank() && texts(node).is_some_and(|texts| texts.len() == 1),
        Form::Word(_) | Form::Words(_) | Form::WordLists(_) | Form::Texts | Form::Window => false,
    }
}

fn describe(form: Form) -> &'static str {
    match form {
        Form::Word(_) => "one word",
        Form::Words(_) => "a list of words, such as `[one, another]`",
        Form::WordLists(_) => "lists of words, such as `[[photo], [video, receipt]]`",
        Form::Texts => "a list of texts",
        Form::Money => "an amount such as `125.00`",
        Form::Amounts(_) => "amounts by name, such as `{ processing_fee: 2.00 }`, or `none`",
        Form::Problems => "reason codes by the ids of evidence, such as `{ photo-1: EVIDENCE_UNREADABLE }`, or `none`",
        Form::Window => "two days such as `[2026-11-09, 2026-11-10]`, `beyond_calendar` or `none`",
    }
}

/// Reports each word that is not known; whether there is one.
pub(super) fn unknown_words(
    form: Form,
    node: &Node,
    scope: Scope<'_, '_>,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> bool {
    let before = diagnostics.diagnostics.len();
    match form {
        Form::Word(vocabulary) | Form::Words(vocabulary) | Form::WordLists(vocabulary) => {
            scope.look_up_all(vocabulary, node, diagnostics);
        }
        Form::Amounts(vocabulary) => scope.look_up_keys(vocabulary, node, diagnostics),
        Form::Problems => {
            scope.look_up_keys(Vocabulary::Evidence, node, diagnostics);
            scope.look_up_all(Vocabulary::ReasonCode, node, diagnostics);
        }
        Form::Texts | Form::Money | Form::Window => {}
    }
    before != diagnostics.diagnostics.len()
}

impl Scope<'_, '_> {
    fn look_up_all(&self, vocabulary: Vocabulary, node: &Node, diagnostics: &mut Diagnostics<'_, '_>) {
        match &node.kind {
            NodeKind::Scalar(word, _) => self.look_up(vocabulary, word, node.span, diagnostics),
            NodeKind::List(items) => items.iter().for_each(|item| self.look_up_all(vocabulary, item, diagnostics)),
            NodeKind::Mapping(entries) => {
                entries.iter().for_each(|(_, value)| self.look_up_all(vocabulary, value, diagnostics));
            }
        }
    }

    fn look_up_keys(&self, vocabulary: Vocabulary, node: &Node, diagnostics: &mut Diagnostics<'_, '_>) {
        let NodeKind::Mapping(entries) = &node.kind else { return };
        for (key, _) in entries {
            self.look_up(vocabulary, &key.value, key.span, diagnostics);
        }
    }

    fn look_up(&self, vocabulary: Vocabulary, word: &str, span: Span, diagnostics: &mut Diagnostics<'_, '_>) {
        let is_rule = |plan: &&Plan| plan.rules.iter().any(|rule| rule.id == word);
        // There may be a hundred thousand rules, and a failed case for each.
        if word == NOTHING
            || diagnostics.is_full()
            || (vocabulary == Vocabulary::Rule && self.versions.iter().any(is_rule))
        {
            return;
        }
        let known = self.words(vocabulary);
        if known.iter().any(|known| known == word) {
            return;
        }
        let noun = vocabulary.noun();
        let message = format!("`{word}` is not a known {noun}");
        let capitals = word.to_ascii_uppercase();
        if vocabulary == Vocabulary::ReasonCode && known.contains(&capitals) {
            diagnostics.error("unknown-word", span, message, format!("write `{capitals}`"));
        } else if known.is_empty() && matches!(vocabulary, Vocabulary::Evidence | Vocabulary::Tender) {
            diagnostics.error("unknown-word", span, message, format!("the case gives no {noun}"));
        } else {
            unknown_word(word, span, noun, &known, diagnostics);
        }
    }

    fn words(&self, vocabulary: Vocabulary) -> Vec<String> {
        let slugs = |all: Vec<&'static str>| all.into_iter().map(str::to_owned).collect();
        match vocabulary {
            Vocabulary::Outcome => slugs(Outcome::ALL.iter().map(|word| word.as_str()).collect()),
            Vocabulary::ReasonCode => ReasonCode::ALL.iter().map(|code| written(*code)).collect(),
            Vocabulary::Party => slugs(LiableParty::ALL.iter().map(|word| word.as_str()).collect()),
            Vocabulary::Deduction => slugs(DeductionKind::ALL.iter().map(|word| word.as_str()).collect()),
            Vocabulary::Method => slugs(RefundMethod::ALL.iter().map(|word| word.as_str()).collect()),
            Vocabulary::RuleEffect => slugs(vec!["sufficient", "insufficient", "not_required"]),
            Vocabulary::Evidence => self.request.claim.evidence.iter().map(|piece| piece.id.to_owned()).collect(),
            Vocabulary::Tender => self.request.order.tenders.iter().map(|tender| tender.id.to_owned()).collect(),
            Vocabulary::Version => self.of_plans(|plan| vec![plan.version.clone()]),
            Vocabulary::Fact => self.of_plans(|plan| plan.facts.iter().map(|fact| fact.name.clone()).collect()),
            Vocabulary::NextStep => {
                self.of_plans(|plan| plan.next_steps.iter().map(|step| step.slug.clone()).collect())
            }
            Vocabulary::Rule => {
                let mut rules = self.of_plans(|plan| plan.rules.iter().map(|rule| rule.id.clone()).collect());
                rules.push("otherwise".to_owned());
                rules
            }
            Vocabulary::EvidenceKind => self.of_vocabulary(VocabularyId::EVIDENCE_KIND),
            Vocabulary::Component => self.of_vocabulary(VocabularyId::COMPONENT),
            Vocabulary::Compensation => self.extras(|effect| &effect.compensations),
            Vocabulary::AmountDue => self.extras(|effect| &effect.amounts_due),
        }
    }

    fn of_plans(&self, words: impl Fn(&Plan) -> Vec<String>) -> Vec<String> {
        let mut all: Vec<String> = self.versions.iter().flat_map(|plan| words(plan)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn of_vocabulary(&self, id: VocabularyId) -> Vec<String> {
        self.of_plans(|plan| plan.vocabularies.get(id).map_or_else(Vec::new, |words| words.words().to_vec()))
    }

    fn extras(&self, of: impl Fn(&RuleEffect) -> &[Extra]) -> Vec<String> {
        self.of_plans(|plan| {
            let verdicts = plan.rules.iter().map(|rule| &rule.effect).chain([&plan.otherwise]);
            verdicts.flat_map(&of).map(|extra| extra.name.clone()).collect()
        })
    }
}

impl Vocabulary {
    /// Name of one of its words, for messages.
    const fn noun(self) -> &'static str {
        match self {
            Self::Outcome => "outcome",
            Self::ReasonCode => "reason code",
            Self::Version => "version",
            Self::Rule => "rule",
            Self::Party => "liable party",
            Self::Deduction => "kind of deduction",
            Self::RuleEffect => "verdict on evidence",
            Self::EvidenceKind => "kind of evidence",
            Self::Evidence => "piece of evidence",
            Self::Fact => "fact",
            Self::NextStep => "next step",
            Self::Method => "refund method",
            Self::Tender => "tender",
            Self::Component => "component",
            Self::Compensation => "compensation",
            Self::AmountDue => "amount due",
        }
    }
}

/// A reason code as policies write it.
pub(super) fn written(code: ReasonCode) -> String {
    code.as_str().to_ascii_uppercase()
}

/// Reports a key that means nothing here.
pub(super) fn unknown_key(key: &Located<String>, known: &[&str], diagnostics: &mut Diagnostics<'_, '_>) {
    let help = diagnostics
        .suggestion(&key.value, known.iter().copied())
        .map_or_else(|| format!("known are {}", quoted_list(known)), |near| format!("did you mean `{near}`?"));
    diagnostics.error("unknown-key", key.span, format!("nothing called `{}` can be expected", key.value), help);
}

/// The word for nothing.
const NOTHING: &str = "none";

fn is_nothing(node: &Node) -> bool {
    match &node.kind {
        NodeKind::Scalar(text, _) => text == NOTHING,
        NodeKind::List(items) => items.is_empty(),
        NodeKind::Mapping(entries) => entries.is_empty(),
    }
}

fn scalar(node: &Node) -> Option<&str> {
    match &node.kind {
        NodeKind::Scalar(text, _) => Some(text),
        NodeKind::List(_) | NodeKind::Mapping(_) => None,
    }
}

/// The scalars of a list, or the one scalar.
fn texts(node: &Node) -> Option<Vec<String>> {
    match &node.kind {
        NodeKind::Scalar(text, _) => Some(vec![text.clone()]),
        NodeKind::List(items) => items.iter().map(|item| scalar(item).map(str::to_owned)).collect(),
        NodeKind::Mapping(_) => None,
    }
}

/// A list of lists; a plain list is one of them.
fn lists(node: &Node) -> Option<Vec<Vec<String>>> {
    match &node.kind {
        NodeKind::List(items) if items.iter().all(|item| matches!(item.kind, NodeKind::List(_))) => {
            items.iter().map(texts).collect()
        }
        NodeKind::List(_) | NodeKind::Scalar(..) => texts(node).map(|one| vec![one]),
        NodeKind::Mapping(_) => None,
    }
}

/// The entries of a mapping whose values are scalars.
fn pairs(node: &Node) -> Option<Vec<(String, String, Span)>> {
    let NodeKind::Mapping(entries) = &node.kind else { return None };
    let pair = |(name, value): &(Located<String>, Node)| {
        scalar(value).map(|text| (name.value.clone(), text.to_owned(), value.span))
    };
    entries.iter().map(pair).collect()
}

fn money(text: &str, span: Span, currency: Option<&Currency>, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Amount> {
    let nanos = literal::quantity(text, Dimension::Money);
    let amount = nanos.and_then(|nanos| currency?.from_nanos(nanos).ok());
    if amount.is_none() {
        let message = format!("`{text}` is not an amount of the order's currency");
        diagnostics.error("bad-literal", span, message, "write it like `125.00`");
    }
    amount
}

fn window(node: &Node, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Value> {
    match &node.kind {
        NodeKind::Scalar(text, _) if text == "beyond_calendar" => Some(Value::Text(text.clone())),
        NodeKind::List(_) => match texts(node) {
            Some(days) if days.len() == 2 && days.iter().all(|day| is_day(day)) => Some(Value::List(days)),
            Some(_) | None => {
                diagnostics.error(
                    "bad-literal",
                    node.span,
                    "a window is a first and a last day",
                    "write `[2026-11-09, 2026-11-10]`, `beyond_calendar` or `none`",
                );
                None
            }
        },
        NodeKind::Scalar(..) | NodeKind::Mapping(_) => {
            diagnostics.expected(node, describe(Form::Window));
            None
        }
    }
}

fn is_day(text: &str) -> bool {
    text.len() == 10 && text.parse::<Date>().is_ok()
}
