//! The head of a policy: time zone, calendar, currencies, languages, and its open sets.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::domain::calendar::Calendar;
use crate::domain::limits::{SET_WORDS_MAX, VOCABULARY_WORDS_MAX};
use crate::domain::money::{Currency, EXPONENT_MAX};
use crate::domain::time::Timestamp;
use crate::domain::words::{LiableParty, OrderStage, RequestType};
use crate::plan::Effective;
use crate::plan::fact::{Dimension, FactType, Origin};
use crate::plan::vocabulary::{Vocabularies, Vocabulary, VocabularyId};
use crate::policy::check::{Calendars, Draft};
use crate::policy::diagnostics::{Diagnostics, quoted_list};
use crate::policy::document::amounts::{CurrencyNode, OwnCurrencyNode};
use crate::policy::document::{EffectiveNode, Policy};
use crate::policy::formula::scope::CalendarUse;
use crate::policy::read::{Slug, Table, Text};
use crate::policy::source::{Located, Span};
use crate::policy::unknown::unknown_word;

/// Content of the head of a policy.
pub struct Header {
    /// Time zone in which calendar days begin and end.
    pub zone: Option<TimeZone>,
    /// Calendar of business days.
    pub calendar: Option<Arc<Calendar>>,
    /// The words, currencies and languages.
    pub draft: Draft,
}

/// Checks the head.
pub fn check(policy: &Policy, calendars: &Calendars, diagnostics: &mut Diagnostics<'_, '_>) -> Header {
    let zone = zone(&policy.timezone, diagnostics);
    let (calendar, calendar_use) = calendar(policy.calendar.as_ref(), calendars, diagnostics);
    let currencies = currencies(&policy.currencies.0, diagnostics);
    let languages = languages(policy.languages.as_ref().map(|written| written.0.as_slice()), diagnostics);
    let vocabularies = vocabularies(policy, &currencies, diagnostics);
    let mut draft = Draft::new(vocabularies, currencies, languages, calendar_use);
    for (vocabulary, broken) in [
        (VocabularyId::REASON, policy.reasons.as_ref().map(|table| &table.broken)),
        (VocabularyId::EVIDENCE_KIND, policy.evidence.as_ref().map(|evidence| &evidence.kinds.broken)),
    ] {
        draft.broken_words.extend(broken.into_iter().flatten().map(|word| (vocabulary.0, word.clone())));
    }
    Header { zone, calendar, draft }
}

/// Only the zones that come with the program count, so that every host gives the same answer.
fn zone(name: &Text, diagnostics: &mut Diagnostics<'_, '_>) -> Option<TimeZone> {
    let database = TimeZoneDatabase::bundled();
    let zone = database.get(&name.value).ok();
    if zone.is_none() {
        let names: Vec<String> = database.available().map(|name| name.as_str().to_owned()).collect();
        // Abbreviations are all alike, and none of them is a place: `CST` is not a misspelt `CET`.
        let near =
            diagnostics.suggestion(&name.value, names.iter().map(String::as_str)).filter(|near| near.contains('/'));
        let help = near.map_or_else(
            || "use a name of the IANA time zone database, such as `Asia/Shanghai` or `UTC`".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        diagnostics.error("unknown-timezone", name.span, format!("there is no time zone `{}`", name.value), help);
    }
    zone
}

fn calendar(
    name: Option<&Slug>,
    calendars: &Calendars,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> (Option<Arc<Calendar>>, CalendarUse) {
    let Some(name) = name else { return (None, CalendarUse::None) };
    let known = calendars.get(name.text());
    if known.is_none() {
        // One that is there but wrong was reported where it is wrong.
        let names = quoted_list(calendars.keys());
        let help = if names.is_empty() {
            "the bundle has no calendars; add `calendars/NAME.yaml`".to_owned()
        } else {
            format!("the calendars of this bundle are {names}")
        };
        diagnostics.error("unknown-calendar", name.span(), format!("there is no calendar `{}`", name.text()), help);
    }
    // Named all the same, so that nothing else is reported for its absence.
    (known.cloned().flatten(), CalendarUse::Named)
}

fn currencies(written: &[CurrencyNode], diagnostics: &mut Diagnostics<'_, '_>) -> Vec<Currency> {
    let mut currencies: Vec<Currency> = Vec::new();
    for key in written {
        let (code, currency) = match key {
            CurrencyNode::Iso(code) => (code, iso(code, diagnostics)),
            CurrencyNode::Own(own) => (&own.code, own_currency(own, diagnostics)),
        };
        let Some(currency) = currency else { continue };
        if currencies.iter().any(|known| known.code == currency.code) {
            diagnostics.error(
                "duplicate-word",
                code.span,
                format!("the currency `{}` stands twice", code.value),
                "remove one of them",
            );
        } else {
            currencies.push(currency);
        }
    }
    currencies
}

fn iso(code: &Text, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Currency> {
    let currency = Currency::iso(&code.value);
    if currency.is_none() {
        let message = format!("`{}` is not a currency of ISO 4217", code.value);
        let help =
            "write its three capital letters, such as `CNY`; a unit of your own is `{ code: POINTS, decimals: 0 }`";
        diagnostics.error("unknown-currency", code.span, message, help);
    }
    currency
}

fn own_currency(own: &OwnCurrencyNode, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Currency> {
    let code = &own.code.value;
    let good =
        (3..=12).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    if !good || Currency::iso(code).is_some() {
        let help = "use 3 to 12 capital letters and digits that are not a code of ISO 4217";
        diagnostics.error("unknown-currency", own.code.span, format!("`{code}` cannot be a unit of your own"), help);
        return None;
    }
    let exponent = u8::try_from(own.decimals.value).ok().filter(|&decimals| decimals <= EXPONENT_MAX);
    if exponent.is_none() {
        let message = format!("a currency cannot have {} decimal places", own.decimals.value);
        diagnostics.error("bad-count", own.decimals.span, message, format!("at most {EXPONENT_MAX}"));
    }
    Some(Currency { code: code.clone(), exponent: exponent? })
}

fn languages(written: Option<&[Text]>, diagnostics: &mut Diagnostics<'_, '_>) -> Vec<String> {
    let Some(written) = written else { return vec!["en".to_owned()] };
    let mut languages: Vec<String> = Vec::new();
    for language in written {
        let good = language.value.len() <= 35
            && language.value.split('-').all(|part| {
                !part.is_empty() && part.len() <= 8 && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
            });
        if !good {
            diagnostics.error(
                "bad-language",
                language.span,
                format!("`{}` is not a language tag", language.value),
                "write it as BCP 47 does, such as `zh`, `en` or `pt-BR`",
            );
        } else if languages.contains(&language.value) {
            diagnostics.error(
                "duplicate-word",
                language.span,
                format!("the language `{}` stands twice", language.value),
                "remove one of them",
            );
        } else {
            languages.push(language.value.clone());
        }
    }
    languages
}

/// The vocabularies at their fixed places.
fn vocabularies(policy: &Policy, currencies: &[Currency], diagnostics: &mut Diagnostics<'_, '_>) -> Vocabularies {
    let closed = |name: &str, words: Vec<&str>| Vocabulary::new(name, words.into_iter().map(str::to_owned));
    let reasons: Vec<Text> = keys(policy.reasons.as_ref());
    let kinds: Vec<Text> = keys(policy.evidence.as_ref().map(|evidence| &evidence.kinds));
    let mut all = vec![Vocabulary::default(); usize::from(VocabularyId::FIXED)];
    let mut put = |id: VocabularyId, vocabulary: Vocabulary| {
        if let Some(place) = all.get_mut(usize::from(id.0)) {
            *place = vocabulary;
        }
    };
    put(VocabularyId::STAGE, closed("stage", OrderStage::ALL.iter().map(|word| word.as_str()).collect()));
    put(
        VocabularyId::LIABLE_PARTY,
        closed("liable party", LiableParty::ALL.iter().map(|word| word.as_str()).collect()),
    );
    put(
        VocabularyId::REQUEST_TYPE,
        closed("request type", RequestType::ALL.iter().map(|word| word.as_str()).collect()),
    );
    put(VocabularyId::REASON, open("reason", &reasons, VOCABULARY_WORDS_MAX, diagnostics));
    put(VocabularyId::CHANNEL, open("channel", &slugs(policy.channels.as_deref()), VOCABULARY_WORDS_MAX, diagnostics));
    put(
        VocabularyId::PRODUCT_TYPE,
        open("product type", &slugs(policy.product_types.as_deref()), VOCABULARY_WORDS_MAX, diagnostics),
    );
    put(
        VocabularyId::SUB_STAGE,
        open("sub-stage", &slugs(policy.sub_stages.as_deref()), VOCABULARY_WORDS_MAX, diagnostics),
    );
    put(VocabularyId::TAG, open("tag", &slugs(policy.tags.as_deref()), SET_WORDS_MAX, diagnostics));
    put(VocabularyId::EVIDENCE_KIND, open("evidence kind", &kinds, SET_WORDS_MAX, diagnostics));
    put(VocabularyId::CURRENCY, Vocabulary::new("currency", currencies.iter().map(|currency| currency.code.clone())));
    put(VocabularyId::COMPONENT, Vocabulary::new("component", []));
    put(VocabularyId::AMOUNT, Vocabulary::new("amount", []));
    Vocabularies(all)
}

fn keys<T>(table: Option<&Table<T>>) -> Vec<Text> {
    table.map_or(Vec::new(), |table| table.entries.iter().map(|(key, _)| key.clone()).collect())
}

fn slugs(written: Option<&[Slug]>) -> Vec<Text> {
    written.unwrap_or(&[]).iter().map(|slug| slug.0.clone()).collect()
}

/// A vocabulary that a policy declares: slugs, each once, not too many.
pub fn open(name: &str, words: &[Text], most: usize, diagnostics: &mut Diagnostics<'_, '_>) -> Vocabulary {
    let mut seen = HashSet::new();
    for word in words {
        crate::policy::read::check_slug(word, diagnostics);
        if !seen.insert(word.value.as_str()) {
            diagnostics.error(
                "duplicate-word",
                word.span,
                format!("the {name} `{}` stands twice", word.value),
                "remove one of them",
            );
        }
    }
    if let Some(first_over) = words.get(most) {
        diagnostics.error(
            "too-many-words",
            first_over.span,
            format!("there are more than {most} words in this set"),
            "fewer words, or several policies",
        );
    }
    Vocabulary::new(name, words.iter().take(most).map(|word| word.value.clone()))
}

/// Checks which orders the policy governs.
pub fn effective(
    written: Option<&EffectiveNode>,
    draft: &Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Effective> {
    let written = written?;
    let from = moment(&written.from, diagnostics);
    let until = match &written.until {
        Some(text) => moment(text, diagnostics).map(Some),
        None => Some(None),
    };
    let by = order_moment(&written.by, draft, diagnostics);
    let (from, until) = (from?, until?);
    if let (Some(end), Some(text)) = (until, &written.until)
        && end <= from
    {
        diagnostics.error(
            "empty-range",
            text.span,
            "the policy ends before it begins",
            "write an `until` after `from`",
        );
        return None;
    }
    Some(Effective { from, until, by: by? })
}

fn moment(text: &Text, diagnostics: &mut Diagnostics<'_, '_>) -> Option<Timestamp> {
    let moment = Timestamp::parse(&text.value);
    if moment.is_none() {
        diagnostics.error(
            "bad-literal",
            text.span,
            format!("`{}` is not a moment", text.value),
            "write it with its offset, such as `2026-11-01T00:00:00+08:00`",
        );
    }
    moment
}

/// A moment that says which version governs. That is worked out before the inputs are read, so it cannot be one of them.
fn order_moment(
    name: &Slug,
    draft: &Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<crate::domain::facts::FactId> {
    let moment = moment_fact(name, draft, diagnostics)?;
    if let Some(Origin::Input(_)) = draft.facts.get(usize::from(moment.0)).map(|fact| &fact.origin) {
        let message = format!(
            "`{}` is an input, but which version governs an order is said by a moment of the order",
            name.text()
        );
        let help = "name a moment such as `placed_at`; a further one is declared in `times` instead of `inputs`, and sent in \
                    `order.times`; of several versions, an input always gets the first";
        // To earlier versions it was a moment that only a policy of one version saw.
        diagnostics.stricter_error("input-in-effective", name.span(), message, help)?;
    }
    Some(moment)
}

/// A moment of the order or the claim, by its name.
pub fn moment_fact(
    name: &Slug,
    draft: &Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<crate::domain::facts::FactId> {
    let moments = || {
        draft.facts.iter().enumerate().filter(|(_, fact)| {
            fact.fact_type == FactType::Quantity(Dimension::Timestamp) && !matches!(fact.origin, Origin::Derived)
        })
    };
    let found = moments().find(|(_, fact)| fact.name == name.text());
    match found {
        Some((place, _)) => Some(crate::domain::facts::FactId(u16::try_from(place).unwrap_or(u16::MAX))),
        None => {
            let known: Vec<String> = moments().map(|(_, fact)| fact.name.clone()).collect();
            unknown_word(name.text(), name.span(), "moment of an order", &known, diagnostics);
            None
        }
    }
}

/// A word of a closed set, by its slug; reported where there is none.
pub fn word<T: Copy>(
    text: &Located<String>,
    what: &str,
    all: &[T],
    slug: fn(T) -> &'static str,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<T> {
    let found = all.iter().copied().find(|&word| slug(word) == text.value);
    if found.is_none() {
        let known: Vec<String> = all.iter().map(|&word| slug(word).to_owned()).collect();
        unknown_word(&text.value, text.span, what, &known, diagnostics);
    }
    found
}

/// A place for what concerns a whole table.
pub fn first_span<T>(table: &Table<T>) -> Span {
    table.entries.first().map_or_else(Span::default, |(key, _)| key.span)
}
