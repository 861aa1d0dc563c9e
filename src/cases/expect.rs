//! Holds a decision against what a case expects of it.

use crate::cases::expectation::{Form, KEYS, LINE_KEYS, Scope, Value, read, unknown_key, unknown_words, written};
use crate::domain::decision::{
    ComponentDecision, DateWindow, Decision, Deduction, EvidenceVerdict, ExtraAmount, LineDecision,
};
use crate::domain::facts::Facts;
use crate::domain::money::{Amount, Currency};
use crate::domain::request::{FieldViolation, Request};
use crate::plan::Plan;
use crate::plan::rule::{Extra, RuleEffect};
use crate::plan::vocabulary::VocabularyId;
use crate::policy::diagnostics::Diagnostics;
use crate::policy::read::{Raw, Table};
use crate::policy::source::Located;
use crate::policy::tree::{Node, NodeKind};
use crate::policy::unknown::unknown_word;

/// A decision with what it was made from.
pub struct Observed<'d, 'a> {
    /// The plan that decided.
    pub plan: &'d Plan,
    /// All versions of the policy.
    pub versions: &'d [&'d Plan],
    /// The facts.
    pub facts: &'d Facts<'a>,
    /// The decision.
    pub decision: &'d Decision,
    /// The request.
    pub request: &'d Request<'a>,
}

/// The key of an expectation that the request is bad.
const INVALID: &str = "invalid";

/// The key of what is expected line by line.
const LINES: &str = "lines";

/// Differences from the expected result, each as a phrase.
pub fn differences(
    expected: &Table<Raw>,
    observed: &Observed<'_, '_>,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Vec<String> {
    let mut differences = Vec::new();
    for (key, Raw(value)) in &expected.entries {
        match key.value.as_str() {
            LINES => differences.extend(lines(key, value, observed, diagnostics)),
            INVALID => differences.extend(
                invalid(expected, diagnostics).map(|fields| format!("the request is valid, expected invalid {fields}")),
            ),
            _ => {
                if let Some(form) = form_of(key, &KEYS, &[LINES, INVALID], diagnostics) {
                    let got = observed.of_order(&key.value);
                    differences.extend(difference(&key.value, (key, form, value), got, observed, diagnostics));
                }
            }
        }
    }
    differences
}

/// Differences where the request is invalid: a case may expect just that.
pub fn of_violations(
    expected: &Table<Raw>,
    violations: &[FieldViolation],
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Vec<String> {
    let fields: Vec<&str> = violations.iter().map(|violation| violation.field.as_str()).collect();
    if expected.entries.iter().any(|(key, _)| key.value == INVALID) {
        let got = format!("[{}]", fields.join(", "));
        let differs = invalid(expected, diagnostics).filter(|wanted| *wanted != got);
        return differs.map(|wanted| format!("invalid is {got}, expected {wanted}")).into_iter().collect();
    }
    let listed: Vec<String> =
        violations.iter().map(|violation| format!("`{}` {}", violation.field, violation.problem)).collect();
    vec![format!("the request is invalid: {}", listed.join(", "))]
}

/// The fields that are expected to be bad, as a list; `None` after a report. Nothing else can be expected then.
fn invalid(expected: &Table<Raw>, diagnostics: &mut Diagnostics<'_, '_>) -> Option<String> {
    let others = expected.entries.iter().filter(|(key, _)| key.value != INVALID);
    let before = diagnostics.diagnostics.len();
    for (key, _) in others {
        let message = format!("`{}` cannot be expected beside `{INVALID}`", key.value);
        diagnostics.error("misplaced-key", key.span, message, "a bad request comes to no decision: remove one of them");
    }
    let (key, Raw(node)) = expected.entries.iter().find(|(key, _)| key.value == INVALID)?;
    let fields = read(key, Form::Texts, node, None, diagnostics).filter(|_| before == diagnostics.diagnostics.len())?;
    if let Value::List(fields) = fields {
        return Some(format!("[{}]", fields.join(", ")));
    }
    let help = "name the fields, such as `[order.lines[0].paid]`";
    diagnostics.error("wrong-type", node.span, format!("`{INVALID}` names no field"), help);
    None
}

/// The form of what is expected under a key; `None` after a report that there is no such key.
fn form_of(
    key: &Located<String>,
    keys: &[(&str, Form)],
    others: &[&str],
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<Form> {
    let form = keys.iter().find(|(name, _)| *name == key.value).map(|(_, form)| *form);
    if form.is_none() {
        let known: Vec<&str> = keys.iter().map(|(name, _)| *name).chain(others.iter().copied()).collect();
        unknown_key(key, &known, diagnostics);
    }
    form
}

impl Observed<'_, '_> {
    fn currency(&self) -> Option<&Currency> {
        self.plan.currencies.get(usize::from(self.facts.currency))
    }

    fn scope(&self) -> Scope<'_, '_> {
        Scope { versions: self.versions, request: self.request }
    }

    fn of_order(&self, key: &str) -> Option<Value> {
        let Self { plan, versions: _, facts, decision, request } = self;
        let report = &decision.evidence;
        let evidence_id = |place: &u16| {
            facts.claim.evidence.get(usize::from(*place)).map_or(String::new(), |piece| piece.id.to_owned())
        };
        Some(match key {
            "outcome" => Value::Text(decision.outcome.to_string()),
            "reason" => decision.reason_codes.first().map_or(Value::Nothing, |code| Value::Text(written(code))),
            "reasons" => Value::List(decision.reason_codes.iter().map(written).collect()),
            "refund" => Value::Money(decision.refund),
            "method" => Value::Text(decision.method.to_string()),
            "version" => Value::Text(plan.version.clone()),
            "components" => Value::Amounts(decision.components.iter().map(|part| self.component(part)).collect()),
            "compensations" => self.compensations(&decision.lines),
            "amounts_due" => self.amounts_due(&decision.lines),
            "evidence" => Value::Text(effect(report.verdict).to_owned()),
            "missing_evidence" => {
                let set = |set| kinds(plan, report.missing_kinds(set));
                Value::Lists((0..report.missing.len()).map(set).collect())
            }
            "satisfied_by" => Value::List(report.satisfied_by.iter().map(evidence_id).collect()),
            "rejected" => {
                let rejected = report
                    .rejected
                    .iter()
                    .map(|rejected| (evidence_id(&rejected.evidence), written(rejected.problem.reason_code())));
                Value::Pairs(rejected.collect())
            }
            "vague" => Value::List(
                report
                    .text_findings
                    .iter()
                    .map(|finding| {
                        request.claim.text.get(finding.start as usize..finding.end as usize).unwrap_or("").to_owned()
                    })
                    .collect(),
            ),
            "next" => Value::List(
                decision
                    .next_steps
                    .iter()
                    .filter_map(|step| plan.next_steps.get(usize::from(*step)))
                    .map(|step| step.slug.clone())
                    .collect(),
            ),
            "review" => window(decision.review),
            "payout" => window(decision.payout),
            "tenders" => Value::Amounts(
                decision
                    .tenders
                    .iter()
                    .map(|tender| {
                        (
                            facts
                                .tenders
                                .get(usize::from(tender.tender))
                                .map_or(String::new(), |facts| facts.id.to_owned()),
                            tender.amount,
                        )
                    })
                    .collect(),
            ),
            "deductions" => deductions(decision.lines.iter().flat_map(|line| line.deductions.iter())),
            "missing_facts" => {
                let mut missing: Vec<String> = Vec::new();
                for name in decision.lines.iter().flat_map(|line| self.missing(line)) {
                    if !missing.contains(&name) {
                        missing.push(name);
                    }
                }
                Value::List(missing)
            }
            "rule" | "liable" => match decision.lines.first() {
                Some(line) => self.of_line(line, key)?,
                None => Value::Nothing,
            },
            _ => return None,
        })
    }

    fn of_line(&self, line: &LineDecision, key: &str) -> Option<Value> {
        Some(match key {
            "outcome" => Value::Text(line.outcome.to_string()),
            "reason" => line.reason_codes.first().map_or(Value::Nothing, |code| Value::Text(written(code))),
            "reasons" => Value::List(line.reason_codes.iter().map(written).collect()),
            "refund" => Value::Money(line.refund),
            "rule" => Value::Text(self.plan.rule_id(line.rule).to_owned()),
            "liable" => line.liable.map_or(Value::Nothing, |party| Value::Text(party.to_string())),
            "deductions" => deductions(line.deductions.iter()),
            "compensations" => self.compensations(std::slice::from_ref(line)),
            "amounts_due" => self.amounts_due(std::slice::from_ref(line)),
            "missing_facts" => Value::List(self.missing(line)),
            _ => return None,
        })
    }

    fn component(&self, part: &ComponentDecision) -> (String, Amount) {
        let facts = self.facts.components.get(usize::from(part.component));
        let name = facts.map_or("", |facts| self.plan.vocabularies.word(VocabularyId::COMPONENT, facts.name));
        (name.to_owned(), part.refund)
    }

    fn compensations(&self, lines: &[LineDecision]) -> Value {
        self.extras(lines, |line| &line.compensations, |effect| &effect.compensations)
    }

    fn amounts_due(&self, lines: &[LineDecision]) -> Value {
        self.extras(lines, |line| &line.amounts_due, |effect| &effect.amounts_due)
    }

    /// Amounts beside the refund: sums by name, over these lines.
    fn extras(
        &self,
        lines: &[LineDecision],
        given: impl Fn(&LineDecision) -> &[ExtraAmount],
        written: impl Fn(&RuleEffect) -> &[Extra],
    ) -> Value {
        let mut sums = Vec::new();
        for line in lines {
            let effect = self.plan.effect(line.rule);
            for extra in given(line) {
                let named = written(effect).get(usize::from(extra.place));
                add(&mut sums, named.map_or("", |extra| extra.name.as_str()), extra.amount);
            }
        }
        Value::Amounts(sums)
    }

    fn missing(&self, line: &LineDecision) -> Vec<String> {
        line.missing_facts.iter().filter_map(|fact| self.plan.fact(*fact)).map(|fact| fact.name.clone()).collect()
    }
}

const fn effect(effect: EvidenceVerdict) -> &'static str {
    match effect {
        EvidenceVerdict::Sufficient => "sufficient",
        EvidenceVerdict::Insufficient => "insufficient",
        EvidenceVerdict::NotRequired => "not_required",
    }
}

fn kinds(plan: &Plan, kinds: impl Iterator<Item = u16>) -> Vec<String> {
    kinds.map(|kind| plan.vocabularies.word(VocabularyId::EVIDENCE_KIND, kind).to_owned()).collect()
}

/// Sums by kind, in the order in which the kinds were first taken.
fn deductions<'d>(deductions: impl Iterator<Item = &'d Deduction>) -> Value {
    let mut sums = Vec::new();
    for deduction in deductions {
        add(&mut sums, deduction.kind.as_str(), deduction.amount);
    }
    Value::Amounts(sums)
}

fn add(sums: &mut Vec<(String, Amount)>, name: &str, amount: Amount) {
    match sums.iter_mut().find(|(known, _)| known == name) {
        Some((_, sum)) => *sum = sum.plus(amount),
        None => sums.push((name.to_owned(), amount)),
    }
}

fn window(window: Option<DateWindow>) -> Value {
    match window {
        None => Value::Nothing,
        Some(DateWindow::BeyondCalendar) => Value::Text("beyond_calendar".to_owned()),
        Some(DateWindow::Dates { earliest, latest }) => Value::List(vec![earliest.to_string(), latest.to_string()]),
    }
}

fn lines(
    key: &Located<String>,
    node: &Node,
    observed: &Observed<'_, '_>,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Vec<String> {
    let Some(lines) = filled(key, node, "from line ids to what is expected of them", diagnostics) else {
        return Vec::new();
    };
    let mut differences = Vec::new();
    for (id, expected) in lines {
        let sent: Vec<String> = observed.request.order.lines.iter().map(|line| line.id.to_owned()).collect();
        if !sent.contains(&id.value) {
            unknown_word(&id.value, id.span, "line of this case", &sent, diagnostics);
            continue;
        }
        let Some(expected) = filled(id, expected, "of what is expected of a line", diagnostics) else { continue };
        let decided =
            observed.decision.lines.iter().find(|line| {
                observed.facts.lines.get(usize::from(line.line)).is_some_and(|facts| facts.id == id.value)
            });
        for (key, value) in expected {
            let Some(form) = form_of(key, KEYS.get(..LINE_KEYS).unwrap_or(&[]), &[], diagnostics) else { continue };
            let name = format!("{} of line {}", key.value, id.value);
            match decided {
                Some(line) => {
                    let got = observed.of_line(line, &key.value);
                    differences.extend(difference(&name, (key, form, value), got, observed, diagnostics));
                }
                None => differences.push(format!("the line `{}` is not decided", id.value)),
            }
        }
    }
    differences
}

/// The entries of a mapping that expects something; `None` after a report.
fn filled<'n>(
    key: &Located<String>,
    node: &'n Node,
    what: &str,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<&'n [(Located<String>, Node)]> {
    match &node.kind {
        NodeKind::Mapping(entries) if entries.is_empty() => {
            let message = format!("`{}` expects nothing", key.value);
            diagnostics.stricter_error("empty-expectation", node.span, message, "say what must come out, or remove it");
            None
        }
        NodeKind::Mapping(entries) => Some(entries),
        NodeKind::Scalar(..) | NodeKind::List(_) => {
            diagnostics.expected(node, &format!("a mapping {what}"));
            None
        }
    }
}

/// The difference between what is expected under a key and what came out, as a phrase. What is expected is read, whatever
/// came out, and its words are looked up where it is something else.
fn difference(
    name: &str,
    (key, form, node): (&Located<String>, Form, &Node),
    got: Option<Value>,
    observed: &Observed<'_, '_>,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Option<String> {
    let expected = read(key, form, node, observed.currency(), diagnostics)?;
    let got = got.unwrap_or(Value::Nothing);
    if same(&expected, &got) || unknown_words(form, node, observed.scope(), diagnostics) {
        return None;
    }
    Some(format!("{name} is {}, expected {}", show(&got, observed.currency()), show(&expected, observed.currency())))
}

/// Returns `true` if two values are equal. Nothing is as good as an empty list; amounts, texts by name and lists of
/// lists have no order, and other lists do.
fn same(expected: &Value, got: &Value) -> bool {
    let ordered = |value: &Value| match value.clone() {
        Value::List(list) if list.is_empty() => Value::Nothing,
        Value::Amounts(list) if list.is_empty() => Value::Nothing,
        Value::Pairs(list) if list.is_empty() => Value::Nothing,
        Value::Lists(list) if list.is_empty() => Value::Nothing,
        Value::Amounts(mut list) => {
            list.sort_by(|(one, _), (other, _)| one.cmp(other));
            Value::Amounts(list)
        }
        Value::Pairs(mut list) => {
            list.sort();
            Value::Pairs(list)
        }
        Value::Lists(mut lists) => {
            lists.iter_mut().for_each(|list| list.sort());
            lists.sort();
            Value::Lists(lists)
        }
        other @ (Value::Nothing | Value::Text(_) | Value::Money(_) | Value::List(_)) => other,
    };
    ordered(expected) == ordered(got)
}

fn show(value: &Value, currency: Option<&Currency>) -> String {
    let money =
        |amount: &Amount| currency.map_or_else(|| amount.minor().to_string(), |currency| currency.decimal(*amount));
    match value {
        Value::Nothing => "none".to_owned(),
        Value::Text(text) => text.clone(),
        Value::Money(amount) => money(amount),
        Value::List(list) => bracketed(list),
        Value::Lists(lists) => bracketed(&lists.iter().map(|list| bracketed(list)).collect::<Vec<_>>()),
        Value::Amounts(list) => braced(list.iter().map(|(name, amount)| format!("{name}: {}", money(amount)))),
        Value::Pairs(list) => braced(list.iter().map(|(name, value)| format!("{name}: {value}"))),
    }
}

fn bracketed(list: &[String]) -> String {
    format!("[{}]", list.join(", "))
}

fn braced(parts: impl Iterator<Item = String>) -> String {
    match parts.collect::<Vec<_>>() {
        parts if parts.is_empty() => "none".to_owned(),
        parts => format!("{{{}}}", parts.join(", ")),
    }
}
