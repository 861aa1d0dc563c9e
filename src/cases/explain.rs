//! Explains the result of a case, in a sentence or two: the rule that decided and where it is, the fact that it wants,
//! and what would have let the expected one decide.

use std::collections::BTreeMap;

use crate::cases::expect::Observed;
use crate::decision::decide;
use crate::decision::explain::Recorder;
use crate::domain::decision::{DeductionSource, LineDecision, RuleRef};
use crate::domain::facts::{FactId, Value};
use crate::domain::money::Amount;
use crate::domain::ratio::Ratio;
use crate::plan::Plan;
use crate::plan::test::{Answer, Test};
use crate::plan::vocabulary::VocabularyId;
use crate::policy::diagnostics::quoted_list;
use crate::policy::load::RulePlaces;
use crate::policy::read::{Raw, Table};
use crate::policy::tree::NodeKind;

/// Lines of an order that are explained; the others are decided alike or are as easily found.
const LINES_MAX: usize = 3;

/// Explains why the decision differs from the expected one. Decides once more to find the reason.
pub(super) fn explain(observed: &Observed<'_, '_>, expected: &Table<Raw>, places: &RulePlaces<'_>) -> String {
    let mut tried = Tried::default();
    let decision = decide(observed.plan, observed.facts, &mut tried);
    let mut sentences = Vec::new();
    let of_several = 1 < decision.lines.len();
    for (line, tried) in decision.lines.iter().zip(&tried.lines).take(LINES_MAX) {
        let explained = Explained { observed, line, tried, places };
        let of = if of_several { format!("line {}: ", explained.line_id()) } else { String::new() };
        sentences.push(format!("{of}{}", explained.decided()));
        sentences.extend(explained.wants());
        sentences.extend(explained.held_back());
        sentences.extend(explained.other_rule(wanted_rule(expected)));
    }
    sentences.push("change the policy, what the case gives, or the expectation".to_owned());
    sentences.join("; ")
}

/// The rule that the case expects.
fn wanted_rule(expected: &Table<Raw>) -> Option<&str> {
    expected.entries.iter().find(|(key, _)| key.value == "rule").and_then(|(_, Raw(node))| match &node.kind {
        NodeKind::Scalar(text, _) => Some(text.as_str()),
        NodeKind::List(_) | NodeKind::Mapping(_) => None,
    })
}

struct Explained<'e, 'd, 'a> {
    observed: &'e Observed<'d, 'a>,
    line: &'e LineDecision,
    tried: &'e TriedLine,
    places: &'e RulePlaces<'e>,
}

impl Explained<'_, '_, '_> {
    const fn plan(&self) -> &Plan {
        self.observed.plan
    }

    fn line_id(&self) -> &str {
        self.observed.facts.lines.get(usize::from(self.line.line)).map_or("", |line| line.id)
    }

    fn decided(&self) -> String {
        let place = self.places.of(self.plan(), self.line.rule);
        let at = place.map_or_else(String::new, |place| format!(" ({place})"));
        match self.line.rule {
            RuleRef::Rule(_) => format!("`{}`{at} decided", self.plan().rule_id(self.line.rule)),
            RuleRef::Otherwise => format!("no rule matched, so `otherwise`{at} decided"),
        }
    }

    /// Requirements of the deciding rule that the case does not meet: facts, evidence, clear text.
    fn wants(&self) -> Option<String> {
        let facts = self.line.missing_facts.iter().filter_map(|fact| self.plan().fact(*fact)).map(|fact| &fact.name);
        let facts: Vec<&String> = facts.collect();
        if !facts.is_empty() {
            return Some(format!("it wants {}, which the case does not give", quoted_list(facts)));
        }
        let report = &self.observed.decision.evidence;
        if !report.missing.is_empty() {
            let kinds = report.missing_kinds(0);
            let kinds = kinds.map(|kind| self.plan().vocabularies.word(VocabularyId::EVIDENCE_KIND, kind));
            return Some(format!("it wants evidence that the case does not give: {}", quoted_list(kinds)));
        }
        (!report.text_findings.is_empty()).then(|| "it wants a text without vague phrases".to_owned())
    }

    fn held_back(&self) -> Option<String> {
        let currency = self.plan().currencies.get(usize::from(self.observed.facts.currency))?;
        let amount = |amount: Amount| currency.decimal(amount);
        let held = self.line.deductions.iter().map(|it| format!("{} {}", amount(it.amount), it.kind.as_str()));
        let held: Vec<String> = held.collect();
        (!held.is_empty()).then(|| format!("of {} it holds back {}", amount(self.line.base), held.join(" and ")))
    }

    /// Explains why the expected rule did not decide; without one, names the rule that came nearest.
    fn other_rule(&self, wanted: Option<&str>) -> Option<String> {
        let decided = self.plan().rule_id(self.line.rule);
        if let Some(wanted) = wanted.filter(|wanted| *wanted != decided) {
            let place = self.plan().rules.iter().position(|rule| rule.id == wanted)?;
            let rule = u32::try_from(place).ok()?;
            return Some(match self.tried.rules.get(&rule).map(|tests| self.failed(rule, tests)) {
                Some(failed) if !failed.is_empty() => format!("`{wanted}` did not match: {}", failed.join(", ")),
                Some(_) | None => match self.line.rule {
                    RuleRef::Rule(first) if first < rule => {
                        format!("`{wanted}` comes after it, and the first rule that matches decides")
                    }
                    RuleRef::Rule(_) | RuleRef::Otherwise => format!("`{wanted}` did not match"),
                },
            });
        }
        let failed = self.tried.rules.iter().map(|(rule, tests)| (*rule, self.failed(*rule, tests)));
        let (rule, failed) = failed.filter(|(_, failed)| !failed.is_empty()).min_by_key(|(_, failed)| failed.len())?;
        let id = self.plan().rule_id(RuleRef::Rule(rule));
        Some(format!("the rule nearest to a match was `{id}`: {}", failed.join(", ")))
    }

    /// The tests of a rule that did not hold, each with what was found.
    fn failed(&self, rule: u32, tests: &[u16]) -> Vec<String> {
        let Some(rule) = self.plan().rules.get(rule as usize) else { return Vec::new() };
        let failed = tests.iter().filter_map(|test| rule.tests.get(usize::from(*test)));
        failed.map(|Test { fact, accepts: _, text }| format!("{}, needs {text}", self.found(*fact))).collect()
    }

    fn found(&self, fact: FactId) -> String {
        let name = self.plan().fact(fact).map_or("", |fact| fact.name.as_str());
        match self.tried.facts.get(&fact).copied().flatten() {
            Some(value) => format!("{name} is {}", self.plan().show(fact, value)),
            None => format!("{name} is missing"),
        }
    }
}

/// Rules tried, line by line.
#[derive(Debug, Default)]
struct Tried {
    lines: Vec<TriedLine>,
}

#[derive(Debug, Default)]
struct TriedLine {
    facts: BTreeMap<FactId, Option<Value>>,
    /// The tests that did not hold, by rule.
    rules: BTreeMap<u32, Vec<u16>>,
}

impl Recorder for Tried {
    /// The expected rule may be far away.
    const NEAR_MISSES_MAX: usize = 1_024;

    fn line(&mut self, _line: u16) {
        self.lines.push(TriedLine::default());
    }

    fn fact(&mut self, fact: FactId, value: Option<Value>) {
        if let Some(line) = self.lines.last_mut() {
            line.facts.insert(fact, value);
        }
    }

    fn test(&mut self, rule: u32, test: u16, answer: Answer) {
        if let (Some(line), Answer::No | Answer::Unknown) = (self.lines.last_mut(), answer) {
            line.rules.entry(rule).or_default().push(test);
        }
    }

    fn deduction(&mut self, _source: DeductionSource, _exact: Ratio, _taken: Amount) {}
}
