//! A policy as it is run: flat tables, small integers, exact numbers.
//!
//! The one thing that the compiler (`policy`) and the machine (`decision`) share. A plan is
//! made of parts that were checked; nothing in it can be invalid, so running it cannot fail.

pub mod evidence;
pub mod fact;
pub mod formula;
pub mod index;
pub mod rule;
pub mod rules;
pub mod show;
pub mod test;
pub mod text;
pub mod vocabulary;

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::calendar::Calendar;
use crate::domain::decision::RuleRef;
use crate::domain::facts::FactId;
use crate::domain::money::Currency;
use crate::domain::ratio::Ratio;
use crate::domain::time::Timestamp;
use crate::domain::zone::Zone;
use crate::plan::evidence::{EvidenceKind, Requirement};
use crate::plan::fact::{Derived, FactDefinition};
use crate::plan::rule::{ComponentRefund, Extra, NextStep, Reason, Rule, RuleEffect};
use crate::plan::rules::Rules;
use crate::plan::text::TextRules;
use crate::plan::vocabulary::{Labels, Vocabularies};

/// The name of what a policy says where no rule matches.
pub const OTHERWISE: &str = "otherwise";

/// A policy as it is run.
#[derive(Debug)]
pub struct Plan {
    /// The policy's slug.
    pub id: String,
    /// The author's label of this version.
    pub version: String,
    /// Orders that it governs; `None`: all of them.
    pub effective: Option<Effective>,
    /// Time zone in which calendar days begin and end.
    pub zone: Zone,
    /// Calendar of business days.
    pub calendar: Option<Arc<Calendar>>,
    /// The units of account that it knows; at least one.
    pub currencies: Vec<Currency>,
    /// The languages of its labels, the default one first; at least one.
    pub languages: Vec<String>,
    /// All words that a request may use.
    pub vocabularies: Vocabularies,
    /// All facts: first the given ones, then the derived ones in their order.
    pub facts: Vec<FactDefinition>,
    /// Number of `facts` that the request gives.
    pub given_facts: u16,
    /// The place of each fact that has a name.
    pub fact_names: HashMap<String, FactId>,
    /// Derivation of each derived fact, in the order of `facts` after the given ones.
    pub derived: Vec<Derived>,
    /// The fact that says who is liable: the policy's own `liable`, or what was claimed.
    pub liable: FactId,
    /// Reasons, in the order of their vocabulary.
    pub reasons: Vec<Reason>,
    /// Kinds of evidence, in the order of their vocabulary.
    pub evidence_kinds: Vec<EvidenceKind>,
    /// The largest size of all pieces of evidence together, in bytes.
    pub evidence_bytes_max: Option<i64>,
    /// Evidence requirements that rules and reasons refer to.
    pub requirements: Vec<Requirement>,
    /// Refunds of components, in the order of their vocabulary.
    pub components: Vec<ComponentRefund>,
    /// True if a component may go back whole whatever the claim is about of it: `always`, here or in a rule.
    pub returned_whole: Vec<bool>,
    /// The fact that holds what each component cost, in the order of their vocabulary.
    pub component_facts: Vec<FactId>,
    /// Rules for splitting a refund over tenders.
    pub tenders: TenderRules,
    /// Rules for text that is too vague.
    pub text: TextRules,
    /// Next steps that verdicts refer to.
    pub next_steps: Vec<NextStep>,
    /// Next steps that follow every denial.
    pub escalation: Vec<u16>,
    /// The next step that asks for missing evidence or facts, if the policy has one.
    pub supplement_step: Option<u16>,
    /// The next step that asks for a checkable reason, if the policy has one.
    pub restate_step: Option<u16>,
    /// Next steps wherever more is asked for.
    pub more_info_steps: Vec<u16>,
    /// Next steps while a review is under way.
    pub review_steps: Vec<u16>,
    /// Amounts that are worked out once for an order, in the order in which they are taken. Their names are the first
    /// of [`vocabulary::VocabularyId::AMOUNT`].
    pub order_amounts: Vec<Extra>,
    /// The rules; the first that matches decides.
    pub rules: Rules,
    /// Effect where no rule matches.
    pub otherwise: RuleEffect,
}

impl Plan {
    /// The rule at an index; `None` for `otherwise`.
    #[must_use]
    #[inline]
    pub fn rule(&self, rule: RuleRef) -> Option<&Rule> {
        match rule {
            RuleRef::Rule(index) => self.rules.get(index as usize),
            RuleRef::Otherwise => None,
        }
    }

    /// The effect of a rule, or of `otherwise`.
    #[must_use]
    #[inline]
    pub fn effect(&self, rule: RuleRef) -> &RuleEffect {
        self.rule(rule).map_or(&self.otherwise, |rule| &rule.effect)
    }

    /// The id of a rule, or [`OTHERWISE`].
    #[must_use]
    pub fn rule_id(&self, rule: RuleRef) -> &str {
        self.rule(rule).map_or(OTHERWISE, |rule| rule.id.as_str())
    }
}

/// From when on a policy governs an order, and which of the order's moments counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Effective {
    /// The first moment governed.
    pub from: Timestamp,
    /// The first moment not governed any more; `None`: it governs for ever.
    pub until: Option<Timestamp>,
    /// The fact, a timestamp, that is checked against it.
    pub by: FactId,
}

impl Effective {
    /// Returns `true` if it governs an order with this moment, in nanoseconds since 1970.
    #[must_use]
    pub fn governs(&self, at: Ratio) -> bool {
        let at = at.floor();
        self.from.nanos() <= at && self.until.is_none_or(|until| at < until.nanos())
    }
}

/// Rules for splitting a refund over tenders.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TenderRules {
    /// Order of the tenders.
    pub order: TenderOrder,
    /// Methods of tenders that money cannot go back to, whatever the request says.
    pub not_refundable: Vec<String>,
}

/// Order in which tenders get their money back.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum TenderOrder {
    /// All at once, by what each paid.
    #[default]
    Proportional,
    /// The first of the request until it is full, then the next.
    FirstPaidFirst,
    /// The last of the request until it is full, then the one before.
    LastPaidFirst,
    /// By method, in this order; methods that are not named come last. Equal ones by what each paid.
    ByPriority(Vec<String>),
}

impl Plan {
    /// The definition of a fact of this plan.
    #[must_use]
    pub fn fact(&self, id: FactId) -> Option<&FactDefinition> {
        self.facts.get(usize::from(id.0))
    }

    /// Derivation of a fact; `None` for a given fact.
    #[must_use]
    pub fn derivation(&self, id: FactId) -> Option<&Derived> {
        self.derived.get(usize::from(id.0.checked_sub(self.given_facts)?))
    }

    /// The place of a language among those of the policy; the default one for an empty name.
    #[must_use]
    pub fn language(&self, name: &str) -> Option<usize> {
        if name.is_empty() {
            return Some(0);
        }
        self.languages.iter().position(|language| language.eq_ignore_ascii_case(name))
    }
}

impl Labels {
    /// The label in one of the plan's languages, by its place; empty where there is none.
    #[must_use]
    pub fn in_language(&self, language: usize) -> &str {
        self.0.get(language).map_or("", String::as_str)
    }
}
