//! Upper bounds on what a policy may declare: lists and tables that are looked through again for each use.

use crate::domain::limits::{CURRENCIES_MAX, LANGUAGES_MAX, VOCABULARY_WORDS_MAX};
use crate::policy::diagnostics::Diagnostics;
use crate::policy::document::Policy;
use crate::policy::document::amounts::CurrencyNode;
use crate::policy::read::{Slug, Table};
use crate::policy::source::Span;

/// Reports each list and table that declares too much; `None` where that refuses the bundle. Earlier versions knew no
/// such bounds and looked through everything.
pub fn check(policy: &Policy, diagnostics: &mut Diagnostics<'_, '_>) -> Option<()> {
    let mut within = Some(());
    let mut bound = |what: &str, most: usize, over: Option<Span>| {
        if let Some(span) = over {
            let message = format!("a policy declares at most {most} {what}");
            within = within.and(diagnostics.stricter_error("too-many-words", span, message, "split the policy"));
        }
    };
    let currency = policy.currencies.0.get(CURRENCIES_MAX).map(|written| match written {
        CurrencyNode::Iso(code) => code.span,
        CurrencyNode::Own(own) => own.code.span,
    });
    bound("currencies", CURRENCIES_MAX, currency);
    let languages = policy.languages.as_ref().and_then(|written| written.0.get(LANGUAGES_MAX));
    bound("languages", LANGUAGES_MAX, languages.map(|language| language.span));
    let tables = [
        ("moments", policy.times.as_deref().and_then(|names| names.get(VOCABULARY_WORDS_MAX)).map(Slug::span)),
        ("components", first_over(policy.components.as_ref())),
        ("inputs", first_over(policy.inputs.as_ref())),
        ("next steps", first_over(policy.next_steps.as_ref())),
        ("facts", first_over(policy.facts.as_ref())),
        ("requirements", first_over(policy.evidence.as_ref().and_then(|written| written.requirements.as_ref()))),
    ];
    for (what, over) in tables {
        bound(what, VOCABULARY_WORDS_MAX, over);
    }
    within
}

fn first_over<T>(table: Option<&Table<T>>) -> Option<Span> {
    table?.entries.get(VOCABULARY_WORDS_MAX).map(|(name, _)| name.span)
}
