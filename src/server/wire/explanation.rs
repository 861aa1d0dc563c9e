//! The basis of a decision: recorded while it is made, and put into words afterwards.

use std::collections::BTreeMap;

use prost::Message as _;

use crate::api::pb;
use crate::decision::explain::{Explanation, LineExplanation, NEAR_MISSES_MAX, NearMiss, Recorder, WorkedDeduction};
use crate::domain::decision::{Decision, DeductionSource, RuleRef};
use crate::domain::facts::{FactId, Value};
use crate::domain::money::Amount;
use crate::domain::ratio::Ratio;
use crate::plan::fact::Dimension;
use crate::plan::show::show_quantity;
use crate::plan::test::{Answer, Test};
use crate::server::wire::decision::Names;

/// Hears everything, line by line.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    lines: Vec<LineTranscript>,
    /// The line that is spoken of, by its place among them.
    current: usize,
}

#[derive(Debug, Default)]
struct LineTranscript {
    line: u16,
    facts: BTreeMap<FactId, Option<Value>>,
    tries: Vec<Try>,
    deductions: Vec<WorkedDeduction>,
}

/// A rule as it was tried.
#[derive(Debug)]
struct Try {
    rule: u32,
    held: usize,
    failed: Vec<u16>,
}

impl Recorder for Transcript {
    fn line(&mut self, line: u16) {
        let known = self.lines.iter().position(|known| known.line == line);
        self.current = known.unwrap_or(self.lines.len());
        if known.is_none() {
            self.lines.push(LineTranscript { line, ..LineTranscript::default() });
        }
    }

    fn fact(&mut self, fact: FactId, value: Option<Value>) {
        if let Some(line) = self.lines.get_mut(self.current) {
            line.facts.insert(fact, value);
        }
    }

    fn test(&mut self, rule: u32, test: u16, answer: Answer) {
        let Some(line) = self.lines.get_mut(self.current) else { return };
        if line.tries.last().is_none_or(|tried| tried.rule != rule) {
            line.tries.push(Try { rule, held: 0, failed: Vec::new() });
        }
        let Some(tried) = line.tries.last_mut() else { return };
        match answer {
            Answer::Yes => tried.held += 1,
            Answer::No | Answer::Unknown => tried.failed.push(test),
        }
    }

    fn deduction(&mut self, source: DeductionSource, exact: Ratio, taken: Amount) {
        if let Some(line) = self.lines.get_mut(self.current) {
            line.note(WorkedDeduction { source, exact, taken });
        }
    }

    fn part(&mut self, line: u16, source: DeductionSource, taken: Amount) {
        let mut worked = self.lines.iter().flat_map(|line| &line.deductions);
        let Some(exact) = worked.find(|of| of.source == source).map(|of| of.exact) else { return };
        if let Some(line) = self.lines.iter_mut().find(|known| known.line == line)
            && !line.deductions.iter().any(|of| of.source == source)
        {
            line.note(WorkedDeduction { source, exact, taken });
        }
    }
}

/// The rule of a deduction, and the place of its step there; `None` where no rule took it.
const fn step_of(source: DeductionSource) -> Option<(RuleRef, u16)> {
    match source {
        DeductionSource::Step { rule, step, tier: _ } => Some((rule, step)),
        DeductionSource::Component | DeductionSource::NonRefundableTender | DeductionSource::RequestedAmount => None,
    }
}

impl Transcript {
    /// The recording as data.
    pub(crate) fn explanation(self) -> Explanation {
        Explanation { lines: self.lines.into_iter().map(LineTranscript::explanation).collect() }
    }
}

impl LineTranscript {
    /// Notes a deduction: in place of what the same step came to before, or among the steps of its rule where it belongs.
    fn note(&mut self, worked: WorkedDeduction) {
        let step = step_of(worked.source);
        if let Some(known) = self.deductions.iter_mut().find(|known| step_of(known.source) == step) {
            *known = worked;
            return;
        }
        let is_later = |known: &WorkedDeduction| match (step_of(known.source), step) {
            (Some((rule, later)), Some((of, step))) => rule == of && step < later,
            (_, _) => false,
        };
        let at = self.deductions.iter().position(is_later).unwrap_or(self.deductions.len());
        self.deductions.insert(at, worked);
    }

    fn explanation(self) -> LineExplanation {
        let Self { line, facts, mut tries, deductions } = self;
        tries.retain(|tried| !tried.failed.is_empty());
        // The nearest first: the fewest tests in the way, then the most that held. The sort is
        // stable, so of two alike the one that comes first in the policy stays first.
        tries.sort_by_key(|tried| (tried.failed.len(), std::cmp::Reverse(tried.held)));
        tries.truncate(NEAR_MISSES_MAX);
        let near_misses = tries
            .into_iter()
            .map(|Try { rule, held: _, failed }| NearMiss { rule: RuleRef::Rule(rule), failed_tests: failed })
            .collect();
        LineExplanation { line, facts: facts.into_iter().collect(), near_misses, deductions }
    }
}

/// The message of an explanation; `None` where it would have more than so many bytes, and no more of it is built.
pub(crate) fn message(
    explanation: &Explanation,
    decision: &Decision,
    names: Names<'_>,
    bytes_max: usize,
) -> Option<pb::Explanation> {
    let (mut lines, mut bytes) = (Vec::new(), 0_usize);
    for line in &explanation.lines {
        let line = line_message(line, decision, names);
        bytes = bytes.saturating_add(line.encoded_len());
        if bytes_max < bytes {
            return None;
        }
        lines.push(line);
    }
    Some(pb::Explanation { lines })
}

fn line_message(explanation: &LineExplanation, decision: &Decision, names: Names<'_>) -> pb::LineExplanation {
    let LineExplanation { line, facts, near_misses, deductions } = explanation;
    let decided = decision.lines.iter().find(|decision| decision.line == *line);
    let decided_by = decided.map(|decision| decision.rule);
    // The answer holds back no more than earlier refunds leave, and nothing of a line that it does not refund.
    let held_back = |source| {
        let held_back = decided.into_iter().flat_map(|line| &line.deductions);
        let of_it = held_back.filter(|deduction| step_of(deduction.source) == step_of(source));
        Amount::sum(of_it.map(|deduction| deduction.amount))
    };
    pb::LineExplanation {
        line_id: names.line_id(*line).to_owned(),
        rule_id: decided_by.map_or("", |rule| names.rule_id(rule)).to_owned(),
        facts: facts.iter().map(|&(fact, value)| fact_used(fact, value, *line, names)).collect(),
        near_misses: near_misses.iter().map(|near_miss| near_miss_message(near_miss, facts, names)).collect(),
        deductions: deductions.iter().map(|worked| worked_deduction(worked, held_back(worked.source), names)).collect(),
    }
}

fn fact_used(fact: FactId, value: Option<Value>, line: u16, names: Names<'_>) -> pb::FactUsed {
    pb::FactUsed {
        name: fact_name(fact, names),
        value: value.map(|value| names.plan.show(fact, value)).unwrap_or_default(),
        missing: value.is_none(),
        field: names.field(fact, line),
    }
}

fn fact_name(fact: FactId, names: Names<'_>) -> String {
    names.plan.fact(fact).map(|definition| definition.name.clone()).unwrap_or_default()
}

fn near_miss_message(near_miss: &NearMiss, facts: &[(FactId, Option<Value>)], names: Names<'_>) -> pb::NearMiss {
    let NearMiss { rule, failed_tests } = near_miss;
    let tests = names.rule(*rule).map(|rule| rule.tests.as_slice()).unwrap_or_default();
    let failed = failed_tests.iter().filter_map(|&place| tests.get(usize::from(place)));
    pb::NearMiss {
        rule_id: names.rule_id(*rule).to_owned(),
        failed_tests: failed.map(|test| failed_test(test, facts, names)).collect(),
    }
}

fn failed_test(test: &Test, facts: &[(FactId, Option<Value>)], names: Names<'_>) -> pb::FailedTest {
    let Test { fact, accepts: _, text } = test;
    let found = facts.iter().find(|(id, _)| id == fact).and_then(|&(_, value)| value);
    pb::FailedTest {
        fact: fact_name(*fact, names),
        test: text.clone(),
        found: found.map(|value| names.plan.show(*fact, value)).unwrap_or_default(),
        missing: found.is_none(),
    }
}

fn worked_deduction(worked: &WorkedDeduction, held_back: Amount, names: Names<'_>) -> pb::WorkedDeduction {
    let WorkedDeduction { source, exact, taken: _ } = *worked;
    pb::WorkedDeduction {
        rule_id: names.deducting_rule(source).to_owned(),
        formula: names.formula(source).to_owned(),
        exact: show_quantity(exact, Dimension::Money),
        taken: Some(names.money(held_back)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fact::BuiltIn;
    use crate::server::wire::samples;

    #[test]
    fn near_misses_come_nearest_first_and_say_what_was_found() {
        let (plan, order, claim) = (samples::plan(), samples::order(), samples::claim());
        let said = samples::said(&order, &claim);
        let names = samples::names(&plan, &said);
        let stage = FactId(BuiltIn::Stage as u16);
        let mut transcript = Transcript::default();
        transcript.line(0);
        transcript.fact(stage, Some(Value::Word(2)));
        transcript.fact(FactId(BuiltIn::PlacedAt as u16), None);
        transcript.test(1, 0, Answer::No);
        transcript.test(2, 0, Answer::Yes);
        transcript.test(2, 1, Answer::Unknown);
        transcript.test(0, 0, Answer::Yes);
        let source = DeductionSource::Step { rule: RuleRef::Rule(0), step: 0, tier: None };
        let third = Ratio::fraction(125_500_000_000, 3).unwrap();
        transcript.deduction(source, third, Amount::from_minor(4_183));
        let message = message(&transcript.explanation(), &samples::decision(), names, 10_000).unwrap();
        let line = &message.lines[0];
        assert_eq!((line.line_id.as_str(), line.rule_id.as_str()), ("l-1", "in-progress-late"));
        assert_eq!((line.facts[0].name.as_str(), line.facts[0].value.as_str()), ("stage", "in_progress"));
        assert!(line.facts[1].missing);
        let nearest: Vec<_> = line.near_misses.iter().map(|it| it.rule_id.as_str()).collect();
        assert_eq!(nearest, ["soon-after-order", "not-started"]);
        let test = &line.near_misses[1].failed_tests[0];
        assert_eq!(
            (test.fact.as_str(), test.test.as_str(), test.found.as_str()),
            ("stage", "not_started", "in_progress")
        );
        assert!(line.near_misses[0].failed_tests[0].missing);
        let deduction = &line.deductions[0];
        assert_eq!((deduction.exact.as_str(), deduction.formula.as_str()), ("251/6", "completed_share * refundable"));
    }
}
