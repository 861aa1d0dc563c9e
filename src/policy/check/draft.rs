//! State of a policy while it is checked: names, and the facts in their order.

use std::collections::{HashMap, HashSet};

use crate::domain::facts::FactId;
use crate::domain::limits::DERIVED_FACTS_MAX;
use crate::domain::money::Currency;
use crate::plan::fact::{BuiltIn, Derived, FactDefinition, FactType, InputScope, Origin};
use crate::plan::vocabulary::{Labels, Vocabularies, Vocabulary, VocabularyId};
use crate::policy::diagnostics::{Diagnostics, quoted_list};
use crate::policy::document::Policy;
use crate::policy::formula::check::formula;
use crate::policy::formula::scope::{CalendarUse, Context, Scope, Wanted};
use crate::policy::read::{Table, Text};
use crate::policy::source::Span;

/// State of the check so far.
#[derive(Debug)]
pub struct Draft {
    /// All words.
    pub vocabularies: Vocabularies,
    /// The currencies.
    pub currencies: Vec<Currency>,
    /// The languages.
    pub languages: Vec<String>,
    /// Use of a calendar: can business days be counted?
    pub calendar: CalendarUse,
    /// All facts: the built-in ones, further moments, inputs, then derived ones.
    pub facts: Vec<FactDefinition>,
    /// The places of facts that have a name.
    pub names: HashMap<String, FactId>,
    /// Derivations of derived facts.
    pub derived: Vec<Derived>,
    /// Number of facts that the request gives.
    pub given_facts: u16,
    /// Names that are declared but could not be read; reported already.
    pub broken_facts: Vec<String>,
    /// Names of facts that are derived only further down.
    pub later_facts: Vec<String>,
    /// Words that are declared but could not be read; reported already.
    pub broken_words: HashSet<(u16, String)>,
    /// The places of formulas that tests are about.
    unnamed: HashMap<String, FactId>,
    /// It says once that there are too many derived facts.
    too_many_facts_reported: bool,
}

impl Draft {
    /// A draft that knows what every policy knows.
    #[must_use]
    pub fn new(
        vocabularies: Vocabularies,
        currencies: Vec<Currency>,
        languages: Vec<String>,
        calendar: CalendarUse,
    ) -> Self {
        let mut draft = Self {
            vocabularies,
            currencies,
            languages,
            calendar,
            facts: Vec::new(),
            names: HashMap::new(),
            derived: Vec::new(),
            given_facts: 0,
            broken_facts: Vec::new(),
            later_facts: Vec::new(),
            broken_words: HashSet::new(),
            unnamed: HashMap::new(),
            too_many_facts_reported: false,
        };
        for &fact in BuiltIn::ALL {
            draft.add(fact.name().to_owned(), fact.fact_type(), Origin::BuiltIn(fact));
        }
        draft
    }

    /// Adds a fact with a name.
    pub fn add(&mut self, name: String, fact_type: FactType, origin: Origin) -> FactId {
        let id = self.push(name.clone(), fact_type, origin);
        self.names.insert(name, id);
        id
    }

    fn push(&mut self, name: String, fact_type: FactType, origin: Origin) -> FactId {
        let id = FactId(u16::try_from(self.facts.len()).unwrap_or(u16::MAX));
        self.facts.push(FactDefinition { name, fact_type, origin });
        id
    }

    /// Adds a vocabulary of a fact's own.
    pub fn add_vocabulary(&mut self, vocabulary: Vocabulary) -> VocabularyId {
        let id = VocabularyId(u16::try_from(self.vocabularies.0.len()).unwrap_or(u16::MAX));
        self.vocabularies.0.push(vocabulary);
        id
    }

    /// The name of a fact among these that may differ from line to line, if there is one.
    pub fn of_a_line(&self, facts: impl IntoIterator<Item = FactId>) -> Option<&str> {
        facts.into_iter().find_map(|fact| {
            let definition = self.facts.get(usize::from(fact.0))?;
            let own = match &definition.origin {
                Origin::BuiltIn(fact) => fact.is_of_a_line(),
                Origin::Component => true,
                Origin::Input(input) => input.scope == InputScope::Line,
                Origin::Anchor => false,
                // A fact uses facts above it only, so this ends.
                Origin::Derived => {
                    let place = usize::from(fact.0.checked_sub(self.given_facts)?);
                    self.derived.get(place).and_then(|derived| self.of_a_line(derived.facts())).is_some()
                }
            };
            own.then_some(definition.name.as_str())
        })
    }

    /// Derivation of a fact; `None` where it is given.
    #[must_use]
    pub fn derivation(&self, fact: FactId) -> Option<&Derived> {
        self.derived.get(usize::from(fact.0.checked_sub(self.given_facts)?))
    }

    /// The names that a formula may use.
    #[must_use]
    pub fn scope(&self, context: Context) -> Scope<'_> {
        Scope {
            facts: &self.facts,
            names: &self.names,
            broken: &self.broken_facts,
            later: &self.later_facts,
            vocabularies: &self.vocabularies,
            currencies: &self.currencies,
            calendar: self.calendar,
            context,
        }
    }

    /// Returns `true` if a word was declared but could not be read.
    #[must_use]
    pub fn is_broken_word(&self, vocabulary: VocabularyId, word: &str) -> bool {
        self.broken_words.contains(&(vocabulary.0, word.to_owned()))
    }

    /// Subject of a test: a fact by its name, or a formula, which becomes a fact without one.
    pub fn subject(&mut self, text: &Text, diagnostics: &mut Diagnostics<'_, '_>) -> Option<(FactId, FactType)> {
        if self.broken_facts.contains(&text.value) {
            return None;
        }
        if let Some(&id) = self.names.get(&text.value).or_else(|| self.unnamed.get(&text.value)) {
            return Some((id, self.facts.get(usize::from(id.0))?.fact_type));
        }
        let (checked, fact_type) = formula(text, Wanted::Any, &self.scope(Context::Fact), diagnostics)?;
        let id = self.derive(text, text.value.clone(), fact_type, Derived::Formula(checked), diagnostics)?;
        self.unnamed.insert(text.value.clone(), id);
        Some((id, fact_type))
    }

    /// Adds a derived fact without making its name known.
    pub fn derive(
        &mut self,
        at: &Text,
        name: String,
        fact_type: FactType,
        derived: Derived,
        diagnostics: &mut Diagnostics<'_, '_>,
    ) -> Option<FactId> {
        if DERIVED_FACTS_MAX <= self.derived.len() {
            if std::mem::replace(&mut self.too_many_facts_reported, true) {
                return None;
            }
            diagnostics.error(
                "too-many-facts",
                at.span,
                format!("the policy derives more than {DERIVED_FACTS_MAX} facts"),
                "split the policy",
            );
            return None;
        }
        self.derived.push(derived);
        Some(self.push(name, fact_type, Origin::Derived))
    }

    /// Labels in each language of the policy; the slug where there are none.
    pub fn labels(
        &self,
        label: Option<&Table<Text>>,
        slug: &str,
        at: Span,
        diagnostics: &mut Diagnostics<'_, '_>,
    ) -> Labels {
        let Some(label) = label else { return Labels(self.languages.iter().map(|_| slug.to_owned()).collect()) };
        for (language, _) in &label.entries {
            if !self.languages.contains(&language.value) {
                let help =
                    diagnostics.suggestion(&language.value, self.languages.iter().map(String::as_str)).map_or_else(
                        || format!("the policy's `languages` are {}", quoted_list(&self.languages)),
                        |near| format!("did you mean `{near}`?"),
                    );
                diagnostics.error(
                    "unknown-language",
                    language.span,
                    format!("`{}` is not a language of this policy", language.value),
                    help,
                );
            }
        }
        let find = |language: &String| label.entries.iter().find(|(written, _)| written.value == *language);
        let missing: Vec<&String> = self
            .languages
            .iter()
            .filter(|language| find(language).is_none() && !label.broken.contains(language))
            .collect();
        if !missing.is_empty() {
            diagnostics.error(
                "missing-label",
                at,
                format!("the label of `{slug}` lacks {}", quoted_list(missing)),
                "write the label in each of the policy's `languages`",
            );
        }
        Labels(
            self.languages
                .iter()
                .map(|language| find(language).map_or(String::new(), |(_, text)| text.value.clone()))
                .collect(),
        )
    }
}

/// The names of requirements that could not be read.
pub fn broken_requirements(policy: &Policy) -> &[String] {
    let requirements = policy.evidence.as_ref().and_then(|evidence| evidence.requirements.as_ref());
    requirements.map_or(&[], |table| table.broken.as_slice())
}
