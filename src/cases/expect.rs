//! Holds a decision against what a case expects of it.

use crate::domain::decision::{
    ComponentDecision, DateWindow, Decision, Deduction, EvidenceVerdict, ExtraAmount, LineDecision, RuleRef,
};
use crate::domain::facts::Facts;
use crate::domain::money::{Amount, Currency};
use crate::domain::request::{FieldViolation, Request};
use crate::domain::words::ReasonCode;
use crate::plan::Plan;
use crate::plan::fact::Dimension;
use crate::plan::rule::{Extra, Verdict};
use crate::plan::vocabulary::VocabularyId;
use crate::policy::literal;
use crate::policy::read::{Raw, Reader, Table};
use crate::policy::source::{Located, Span};
use crate::policy::tree::{Node, NodeKind};

/// A decision with what it was made from.
pub struct Observed<'d, 'a> {
    /// The plan that decided.
    pub plan: &'d Plan,
    /// The facts.
    pub facts: &'d Facts<'a>,
    /// The decision.
    pub decision: &'d Decision,
    /// The request.
    pub request: &'d Request<'a>,
}

/// What can be expected of a decision.
const KEYS: [&str; 24] = [
    "version",
    "components",
    "compensations",
    "amounts_due",
    "outcome",
    "reason",
    "reasons",
    "refund",
    "rule",
    "liable",
    "deductions",
    "evidence",
    "missing_evidence",
    "satisfied_by",
    "rejected",
    "vague",
    "missing_facts",
    "next",
    "method",
    "review",
    "payout",
    "tenders",
    "lines",
    "invalid",
];

/// What can be expected of one line.
const LINE_KEYS: [&str; 8] =
    ["outcome", "reason", "reasons", "refund", "rule", "liable", "deductions", "missing_facts"];

/// The id of a rule; `otherwise` for the policy's last word.
pub fn rule_id(plan: &Plan, rule: RuleRef) -> &str {
    match rule {
        RuleRef::Rule(place) => plan.rules.get(place as usize).map_or("", |rule| rule.id.as_str()),
        RuleRef::Otherwise => "otherwise",
    }
}

/// What came out differently, each as a phrase.
pub fn differences(expected: &Table<Raw>, observed: &Observed<'_, '_>, reader: &mut Reader<'_, '_>) -> Vec<String> {
    let mut differences = Vec::new();
    for (key, value) in &expected.entries {
        let got = match key.value.as_str() {
            "lines" => {
                differences.extend(lines(&value.0, observed, reader));
                continue;
            }
            "invalid" => Some(Shape::Text("a decision".to_owned())),
            name => observed.of_order(name),
        };
        match got {
            Some(got) => differences.extend(difference(&key.value, &value.0, &got, observed.currency(), reader)),
            None => unknown_key(key, &KEYS, reader),
        }
    }
    differences
}

/// What came out differently where the request is bad: a case may expect just that.
pub fn of_violations(expected: &Table<Raw>, violations: &[FieldViolation], reader: &mut Reader<'_, '_>) -> Vec<String> {
    let fields = violations.iter().map(|violation| violation.field.clone()).collect();
    match expected.entries.as_slice() {
        [(key, value)] if key.value == "invalid" => {
            difference("invalid", &value.0, &Shape::List(fields), None, reader).into_iter().collect()
        }
        _ => {
            let listed = violations
                .iter()
                .map(|violation| format!("`{}` {}", violation.field, violation.problem))
                .collect::<Vec<_>>()
                .join(", ");
            vec![format!("the request is invalid: {listed}")]
        }
    }
}

fn unknown_key(key: &Located<String>, known: &[&str], reader: &mut Reader<'_, '_>) {
    let help = reader
        .suggestion(&key.value, known.iter().copied())
        .map_or_else(|| format!("known are {}", known.join(", ")), |near| format!("did you mean `{near}`?"));
    reader.error("unknown-key", key.span, format!("nothing called `{}` can be expected", key.value), help);
}

/// What came out, in the shape in which a case writes it.
enum Shape {
    Nothing,
    Text(String),
    Money(Amount),
    List(Vec<String>),
    /// Several lists, of which the order does not matter.
    Lists(Vec<Vec<String>>),
    /// Amounts by name, in order.
    Amounts(Vec<(String, Amount)>),
    /// Texts by name.
    Pairs(Vec<(String, String)>),
}

impl Observed<'_, '_> {
    fn currency(&self) -> Option<&Currency> {
        self.plan.currencies.get(usize::from(self.facts.currency))
    }

    fn of_order(&self, key: &str) -> Option<Shape> {
        let Self { plan, facts, decision, request } = self;
        let report = &decision.evidence;
        let evidence_id = |place: &u16| {
            facts.claim.evidence.get(usize::from(*place)).map_or(String::new(), |piece| piece.id.to_owned())
        };
        Some(match key {
            "outcome" => Shape::Text(decision.outcome.to_string()),
            "reason" => decision.reason_codes.first().map_or(Shape::Nothing, |code| Shape::Text(written(code))),
            "reasons" => Shape::List(decision.reason_codes.iter().map(written).collect()),
            "refund" => Shape::Money(decision.refund),
            "method" => Shape::Text(decision.method.to_string()),
            "version" => Shape::Text(plan.version.clone()),
            "components" => Shape::Amounts(decision.components.iter().map(|part| self.component(part)).collect()),
            "compensations" => self.extras(|line| &line.compensations, |verdict| &verdict.compensations),
            "amounts_due" => self.extras(|line| &line.amounts_due, |verdict| &verdict.amounts_due),
            "evidence" => Shape::Text(verdict(report.verdict).to_owned()),
            "missing_evidence" => {
                let set = |set| kinds(plan, report.missing_kinds(set));
                Shape::Lists((0..report.missing.len()).map(set).collect())
            }
            "satisfied_by" => Shape::List(report.satisfied_by.iter().map(evidence_id).collect()),
            "rejected" => {
                let rejected = report
                    .rejected
                    .iter()
                    .map(|rejected| (evidence_id(&rejected.evidence), written(rejected.problem.reason_code())));
                Shape::Pairs(rejected.collect())
            }
            "vague" => Shape::List(
                report
                    .text_findings
                    .iter()
                    .map(|finding| {
                        request.claim.text.get(finding.start as usize..finding.end as usize).unwrap_or("").to_owned()
                    })
                    .collect(),
            ),
            "next" => Shape::List(
                decision
                    .next_steps
                    .iter()
                    .filter_map(|step| plan.next_steps.get(usize::from(*step)))
                    .map(|step| step.slug.clone())
                    .collect(),
            ),
            "review" => window(decision.review),
            "payout" => window(decision.payout),
            "tenders" => Shape::Amounts(
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
                Shape::List(missing)
            }
            "rule" | "liable" => self.of_line(decision.lines.first()?, key)?,
            _ => return None,
        })
    }

    fn of_line(&self, line: &LineDecision, key: &str) -> Option<Shape> {
        Some(match key {
            "outcome" => Shape::Text(line.outcome.to_string()),
            "reason" => line.reason_codes.first().map_or(Shape::Nothing, |code| Shape::Text(written(code))),
            "reasons" => Shape::List(line.reason_codes.iter().map(written).collect()),
            "refund" => Shape::Money(line.refund),
            "rule" => Shape::Text(rule_id(self.plan, line.rule).to_owned()),
            "liable" => line.liable.map_or(Shape::Nothing, |party| Shape::Text(party.to_string())),
            "deductions" => deductions(line.deductions.iter()),
            "missing_facts" => Shape::List(self.missing(line)),
            _ => return None,
        })
    }

    fn component(&self, part: &ComponentDecision) -> (String, Amount) {
        let facts = self.facts.components.get(usize::from(part.component));
        let name = facts.map_or("", |facts| self.plan.vocabularies.word(VocabularyId::COMPONENT, facts.name));
        (name.to_owned(), part.refund)
    }

    /// Amounts beside the refund, by name, over all lines.
    fn extras(&self, given: impl Fn(&LineDecision) -> &[ExtraAmount], written: impl Fn(&Verdict) -> &[Extra]) -> Shape {
        let mut amounts = Vec::new();
        for line in &self.decision.lines {
            let verdict = match line.rule {
                RuleRef::Rule(place) => self.plan.rules.get(place as usize).map(|rule| &rule.verdict),
                RuleRef::Otherwise => Some(&self.plan.otherwise),
            };
            for extra in given(line) {
                let name = verdict.and_then(|verdict| written(verdict).get(usize::from(extra.place)));
                amounts.push((name.map_or(String::new(), |extra| extra.name.clone()), extra.amount));
            }
        }
        Shape::Amounts(amounts)
    }

    fn missing(&self, line: &LineDecision) -> Vec<String> {
        line.missing_facts.iter().filter_map(|fact| self.plan.fact(*fact)).map(|fact| fact.name.clone()).collect()
    }
}

/// A reason code as policies write it.
fn written(code: ReasonCode) -> String {
    code.slug().to_ascii_uppercase()
}

const fn verdict(verdict: EvidenceVerdict) -> &'static str {
    match verdict {
        EvidenceVerdict::Sufficient => "sufficient",
        EvidenceVerdict::Insufficient => "insufficient",
        EvidenceVerdict::NotRequired => "not_required",
    }
}

fn kinds(plan: &Plan, kinds: impl Iterator<Item = u16>) -> Vec<String> {
    kinds.map(|kind| plan.vocabularies.word(VocabularyId::EVIDENCE_KIND, kind).to_owned()).collect()
}

/// Sums by kind, in the order in which the kinds were first taken.
fn deductions<'d>(deductions: impl Iterator<Item = &'d Deduction>) -> Shape {
    let mut sums: Vec<(String, Amount)> = Vec::new();
    for deduction in deductions {
        match sums.iter_mut().find(|(kind, _)| kind == deduction.kind.slug()) {
            Some((_, sum)) => *sum = sum.plus(deduction.amount),
            None => sums.push((deduction.kind.slug().to_owned(), deduction.amount)),
        }
    }
    Shape::Amounts(sums)
}

fn window(window: Option<DateWindow>) -> Shape {
    match window {
        None => Shape::Nothing,
        Some(DateWindow::BeyondCalendar) => Shape::Text("beyond_calendar".to_owned()),
        Some(DateWindow::Dates { earliest, latest }) => Shape::List(vec![earliest.to_string(), latest.to_string()]),
    }
}

fn lines(node: &Node, observed: &Observed<'_, '_>, reader: &mut Reader<'_, '_>) -> Vec<String> {
    let NodeKind::Mapping(lines) = &node.kind else {
        reader.expected(node, "a mapping from line ids to what is expected of them");
        return Vec::new();
    };
    let mut differences = Vec::new();
    for (id, expected) in lines {
        let decided =
            observed.decision.lines.iter().find(|line| {
                observed.facts.lines.get(usize::from(line.line)).is_some_and(|facts| facts.id == id.value)
            });
        let (Some(line), NodeKind::Mapping(expected)) = (decided, &expected.kind) else {
            differences.push(format!("the line `{}` is not decided", id.value));
            continue;
        };
        for (key, value) in expected {
            match observed.of_line(line, &key.value) {
                Some(got) => differences.extend(difference(
                    &format!("{} of line {}", key.value, id.value),
                    value,
                    &got,
                    observed.currency(),
                    reader,
                )),
                None => unknown_key(key, &LINE_KEYS, reader),
            }
        }
    }
    differences
}

fn difference(
    key: &str,
    expected: &Node,
    got: &Shape,
    currency: Option<&Currency>,
    reader: &mut Reader<'_, '_>,
) -> Option<String> {
    let shown =
        |amount: Amount| currency.map_or_else(|| amount.minor().to_string(), |currency| currency.decimal(amount));
    let (equal, got_text) = match got {
        Shape::Nothing => (
            matches!(&expected.kind, NodeKind::Scalar(text, _) if text == "none") || is_empty(expected),
            "none".to_owned(),
        ),
        Shape::Text(text) => (matches!(&expected.kind, NodeKind::Scalar(wanted, _) if wanted == text), text.clone()),
        Shape::Money(amount) => {
            let wanted = texts(expected).and_then(|texts| match texts.as_slice() {
                [only] => parse(only, expected.span, currency, reader),
                _ => None,
            });
            (wanted == Some(*amount), shown(*amount))
        }
        Shape::List(list) => (texts(expected).is_some_and(|wanted| wanted == *list), bracketed(list)),
        Shape::Lists(lists) => (
            as_lists(expected).is_some_and(|wanted| same_lists(&wanted, lists)),
            bracketed(&lists.iter().map(|list| bracketed(list)).collect::<Vec<_>>()),
        ),
        Shape::Amounts(amounts) => {
            let text = amounts.iter().map(|(name, amount)| format!("{name}: {}", shown(*amount))).collect::<Vec<_>>();
            let wanted: Vec<(String, Option<Amount>)> = pairs(expected)
                .into_iter()
                .map(|(name, value, span)| (name, parse(&value, span, currency, reader)))
                .collect();
            let equal = wanted.len() == amounts.len()
                && wanted
                    .iter()
                    .zip(amounts)
                    .all(|(wanted, (name, amount))| wanted.0 == *name && wanted.1 == Some(*amount));
            (equal, format!("{{{}}}", text.join(", ")))
        }
        Shape::Pairs(list) => {
            let wanted: Vec<(String, String)> =
                pairs(expected).into_iter().map(|(name, value, _)| (name, value)).collect();
            let text = list.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>();
            (wanted == *list, format!("{{{}}}", text.join(", ")))
        }
    };
    (!equal).then(|| format!("{key} is {got_text}, expected {}", written_as(expected)))
}

fn is_empty(node: &Node) -> bool {
    match &node.kind {
        NodeKind::List(items) => items.is_empty(),
        NodeKind::Mapping(entries) => entries.is_empty(),
        NodeKind::Scalar(..) => false,
    }
}

fn bracketed(list: &[String]) -> String {
    format!("[{}]", list.join(", "))
}

fn parse(text: &str, span: Span, currency: Option<&Currency>, reader: &mut Reader<'_, '_>) -> Option<Amount> {
    let nanos = literal::quantity(text, Dimension::Money);
    let amount = nanos.and_then(|nanos| currency?.from_nanos(nanos).ok());
    if amount.is_none() {
        reader.error(
            "bad-literal",
            span,
            format!("`{text}` is not an amount of the order's currency"),
            "write it like `125.00`",
        );
    }
    amount
}

/// The scalars of a list, or the one scalar.
fn texts(node: &Node) -> Option<Vec<String>> {
    match &node.kind {
        NodeKind::Scalar(text, _) => Some(vec![text.clone()]),
        NodeKind::List(items) => items
            .iter()
            .map(|item| match &item.kind {
                NodeKind::Scalar(text, _) => Some(text.clone()),
                NodeKind::List(_) | NodeKind::Mapping(_) => None,
            })
            .collect(),
        NodeKind::Mapping(_) => None,
    }
}

/// A list of lists; a plain list is one of them.
fn as_lists(node: &Node) -> Option<Vec<Vec<String>>> {
    match &node.kind {
        NodeKind::List(items) if items.is_empty() => Some(Vec::new()),
        NodeKind::List(items) if items.iter().all(|item| matches!(item.kind, NodeKind::List(_))) => {
            items.iter().map(texts).collect()
        }
        NodeKind::List(_) | NodeKind::Scalar(..) => texts(node).map(|one| vec![one]),
        NodeKind::Mapping(_) => None,
    }
}

fn same_lists(a: &[Vec<String>], b: &[Vec<String>]) -> bool {
    let sorted = |lists: &[Vec<String>]| {
        let mut lists: Vec<Vec<String>> = lists
            .iter()
            .map(|list| {
                let mut list = list.clone();
                list.sort();
                list
            })
            .collect();
        lists.sort();
        lists
    };
    sorted(a) == sorted(b)
}

fn pairs(node: &Node) -> Vec<(String, String, Span)> {
    let NodeKind::Mapping(entries) = &node.kind else { return Vec::new() };
    entries
        .iter()
        .filter_map(|(name, value)| match &value.kind {
            NodeKind::Scalar(text, _) => Some((name.value.clone(), text.clone(), value.span)),
            NodeKind::List(_) | NodeKind::Mapping(_) => None,
        })
        .collect()
}

fn written_as(node: &Node) -> String {
    match &node.kind {
        NodeKind::Scalar(text, _) => text.clone(),
        NodeKind::List(items) => bracketed(&items.iter().map(written_as).collect::<Vec<_>>()),
        NodeKind::Mapping(entries) => format!(
            "{{{}}}",
            entries
                .iter()
                .map(|(name, value)| format!("{}: {}", name.value, written_as(value)))
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}
