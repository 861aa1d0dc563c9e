//! The decision for people: a handful of aligned lines.

mod methods;

use std::fmt::Write as _;

use crate::api::pb;
pub use crate::cli::show::decision::methods::{batch_to_text, evidence_to_text, info_to_text};
use crate::domain::money::{Amount, Currency, EXPONENT_MAX};
use crate::domain::printable::Printable;

/// Width of the column of captions.
const CAPTION_WIDTH: usize = 12;

/// Hex digits of a digest that tell one from another at a glance.
const SHORT_DIGEST_DIGITS: usize = 12;

/// Writes a decision for people, with its explanation where it has one.
#[must_use]
pub fn response_to_text(request: &pb::EvaluateRefundRequest, response: &pb::EvaluateRefundResponse) -> String {
    let mut page = Page::default();
    let order_id = request.order.as_ref().map_or("", |order| order.order_id.as_str());
    page.row("order", order_id);
    page.row("outcome", &humanize(response.outcome().as_str_name(), "OUTCOME_"));
    page.row("reasons", &reasons(response.reason_codes()));
    page.row("refund", &refund(response));
    for line in &response.lines {
        page.row("line", &line_row(line, response.lines.len(), price(request, &line.line_id)));
    }
    for component in &response.components {
        page.row("component", &component_row(component));
    }
    for deduction in response.lines.iter().flat_map(|line| &line.deductions) {
        page.row("held back", &deduction_row(deduction, ""));
    }
    for component in &response.components {
        for deduction in &component.deductions {
            page.row("held back", &deduction_row(deduction, &component.name));
        }
    }
    for given in &response.compensations {
        page.row("compensation", &beside_row(&given.name, given.amount.as_ref(), &given.rule_id, &given.line_id));
    }
    for owed in &response.amounts_due {
        page.row("amount due", &beside_row(&owed.name, owed.amount.as_ref(), &owed.rule_id, &owed.line_id));
    }
    if !(is_undecided(response) && is_nothing(response.refund.as_ref())) {
        for tender in &response.tenders {
            page.row("to tender", &tender_row(tender));
        }
    }
    for fact in &response.missing_facts {
        page.row("missing fact", &missing_fact_row(fact));
    }
    if let Some(evidence) = &response.evidence {
        evidence_rows(&mut page, evidence);
    }
    page.next_steps(&response.next_steps);
    page.row("review", &window(response.review.as_ref()));
    page.row("payout", &window(response.payout.as_ref()));
    if let Some(policy) = &response.policy {
        page.row("policy", &policy_row(policy));
    }
    page.row("decision", &response.decision_id);
    for line in response.explanation.iter().flat_map(|explanation| &explanation.lines) {
        explanation_rows(&mut page, line);
    }
    page.0
}

/// Lines of caption and text.
#[derive(Default)]
struct Page(String);

impl Page {
    /// One line; nothing where there is nothing to say.
    fn row(&mut self, caption: &str, text: &str) {
        if !text.is_empty() {
            // Writing to a text does not fail.
            let _ = writeln!(self.0, "{caption:<CAPTION_WIDTH$}  {}", Printable(text));
        }
    }

    fn next_steps(&mut self, steps: &[pb::NextStep]) {
        for step in steps {
            self.row("next step", &labelled(&step.action, &step.label));
        }
    }

    /// A heading, with an empty line before it.
    fn heading(&mut self, text: &str) {
        let _ = writeln!(self.0, "\n{}", Printable(text));
    }
}

fn refund(response: &pb::EvaluateRefundResponse) -> String {
    let method = match response.refund_method() {
        pb::RefundMethod::Unspecified => String::new(),
        method @ (pb::RefundMethod::OriginalPayment
        | pb::RefundMethod::StoreCredit
        | pb::RefundMethod::BankTransfer
        | pb::RefundMethod::CustomerChoice) => format!(" by {}", humanize(method.as_str_name(), "REFUND_METHOD_")),
    };
    let amount = money(response.refund.as_ref());
    match (is_undecided(response), is_nothing(response.refund.as_ref())) {
        (true, true) => "not decided yet".to_owned(),
        (true, false) => format!("{amount}{method}, as far as it is decided"),
        (false, true) => amount,
        (false, false) => format!("{amount}{method}"),
    }
}

/// Returns true if the order is not decided yet.
fn is_undecided(response: &pb::EvaluateRefundResponse) -> bool {
    matches!(response.outcome(), pb::Outcome::MoreInfoRequired | pb::Outcome::ManualReview)
}

fn is_nothing(money: Option<&pb::Money>) -> bool {
    money.is_none_or(|money| money.units == 0 && money.nanos == 0)
}

/// The price of a line, as the request sends it.
fn price<'r>(request: &'r pb::EvaluateRefundRequest, line_id: &str) -> Option<&'r pb::Money> {
    let order = request.order.as_ref()?;
    order.lines.iter().find(|line| line.line_id == line_id)?.paid.as_ref()
}

fn line_row(line: &pb::LineDecision, lines: usize, price: Option<&pb::Money>) -> String {
    let liable = match line.liable_party() {
        pb::LiableParty::Unspecified => String::new(),
        party @ (pb::LiableParty::Customer
        | pb::LiableParty::Merchant
        | pb::LiableParty::Platform
        | pb::LiableParty::ThirdParty
        | pb::LiableParty::ForceMajeure
        | pb::LiableParty::Shared
        | pb::LiableParty::Undetermined) => format!(", liable: {}", humanize(party.as_str_name(), "LIABLE_PARTY_")),
    };
    // Where nothing can go back, the price is said and not an amount of nothing.
    let amount = match (is_nothing(line.base.as_ref()), price) {
        (true, Some(price)) => format!("cost {}", money(Some(price))),
        (_, _) => format!("{} of {}", money(line.refund.as_ref()), money(line.base.as_ref())),
    };
    let answer = match lines {
        // The answer for the order is the answer for its only line.
        0 | 1 if !is_nothing(line.base.as_ref()) => String::new(),
        0 | 1 => format!(": {amount}"),
        _ => format!(": {}, {amount}", humanize(line.outcome().as_str_name(), "OUTCOME_")),
    };
    format!("{}{answer} (rule `{}`{liable})", named(&line.line_id), line.rule_id)
}

fn component_row(component: &pb::ComponentDecision) -> String {
    let amounts = format!("{} of {}", money(component.refund.as_ref()), money(component.base.as_ref()));
    let line = of_line(&component.line_id);
    format!("{}: {amounts}{line}", component.name)
}

/// Lines on amounts given or owed beside the refund.
fn beside_row(name: &str, amount: Option<&pb::Money>, rule_id: &str, line_id: &str) -> String {
    format!("{} {name} (rule `{rule_id}`{})", money(amount), of_line(line_id))
}

fn of_line(line_id: &str) -> String {
    if line_id.is_empty() { String::new() } else { format!(", line {line_id}") }
}

/// Lines on deductions of a line, or of a component where one is named.
fn deduction_row(deduction: &pb::Deduction, component: &str) -> String {
    let kind = humanize(deduction.kind().as_str_name(), "DEDUCTION_KIND_");
    let (amount, base) = (money(deduction.amount.as_ref()), money(deduction.base.as_ref()));
    let line = of_line(&deduction.line_id);
    let component = if component.is_empty() { String::new() } else { format!(", component {component}") };
    let name = if deduction.name.is_empty() { String::new() } else { format!(", order amount `{}`", deduction.name) };
    format!("{amount} {kind}: {} (of {base}{component}{line}{name})", deduction.formula)
}

fn tender_row(tender: &pb::TenderRefund) -> String {
    format!("{} {}", money(tender.amount.as_ref()), named(&tender.tender_id))
}

fn missing_fact_row(fact: &pb::MissingFact) -> String {
    match fact.field.as_str() {
        "" => fact.name.clone(),
        field => format!("{}: send `{field}`", fact.name),
    }
}

fn evidence_rows(page: &mut Page, report: &pb::EvidenceReport) {
    page.row("evidence", &humanize(report.verdict().as_str_name(), "EVIDENCE_VERDICT_"));
    for (place, missing) in report.missing.iter().enumerate() {
        let labels = missing.labels.iter().map(String::as_str).chain(std::iter::repeat(""));
        let kinds: Vec<_> = missing.kinds.iter().zip(labels).map(|(kind, label)| labelled(kind, label)).collect();
        page.row(if place == 0 { "missing" } else { "or" }, &kinds.join(" and "));
    }
    for rejected in &report.rejected {
        page.row("rejected", &format!("{}: {}", named(&rejected.evidence_id), rejected.detail));
    }
    for finding in &report.text_findings {
        page.row("too vague", &labelled(&format!("`{}`", finding.phrase), &finding.suggestion));
    }
}

fn policy_row(policy: &pb::PolicyRef) -> String {
    let pb::PolicyRef { policy_id, version, digest, generation, effective_from: _, engine_revision: _ } = policy;
    let hex = digest.strip_prefix("blake3:").unwrap_or(digest);
    let short = hex.get(..SHORT_DIGEST_DIGITS).unwrap_or(hex);
    format!("{policy_id} {version}, digest {short}, generation {generation}")
}

fn explanation_rows(page: &mut Page, line: &pb::LineExplanation) {
    page.heading(&format!("{}: why rule `{}` decided", named(&line.line_id), line.rule_id));
    for fact in &line.facts {
        page.row("fact", &format!("{} = {}", fact.name, found((!fact.missing).then_some(&fact.value))));
    }
    for deduction in &line.deductions {
        let (exact, taken) = (&deduction.exact, money(deduction.taken.as_ref()));
        page.row("worked out", &format!("{} = {exact}, taken {taken}", deduction.formula));
    }
    for near_miss in &line.near_misses {
        let tests: Vec<_> = near_miss
            .failed_tests
            .iter()
            .map(|test| {
                format!("{} is {}, needs {}", test.fact, found((!test.missing).then_some(&test.found)), test.test)
            })
            .collect();
        page.row("no match", &format!("`{}`: {}", near_miss.rule_id, tests.join("; ")));
    }
}

/// A value as policies write it; a missing one has none.
fn found(value: Option<&str>) -> &str {
    match value {
        None => "missing",
        Some("") => "none",
        Some(value) => value,
    }
}

fn reasons(codes: impl Iterator<Item = pb::ReasonCode>) -> String {
    codes.map(|code| humanize(code.as_str_name(), "REASON_CODE_")).collect::<Vec<_>>().join(", ")
}

/// `OUTCOME_APPROVED_FULL` as a person says it.
fn humanize(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase().replace('_', " ")
}

fn labelled(slug: &str, label: &str) -> String {
    if label.is_empty() { slug.to_owned() } else { format!("{slug} ({label})") }
}

fn named(id: &str) -> &str {
    if id.is_empty() { "the order" } else { id }
}

fn window(window: Option<&pb::DateWindow>) -> String {
    match window {
        None => String::new(),
        Some(pb::DateWindow { beyond_calendar: true, .. }) => {
            "beyond the days that the policy's calendar covers".to_owned()
        }
        Some(pb::DateWindow { earliest, latest, beyond_calendar: false }) => {
            let (earliest, latest) = (date(earliest.as_ref()), date(latest.as_ref()));
            if earliest == latest { earliest } else { format!("{earliest} to {latest}") }
        }
    }
}

fn date(date: Option<&pb::Date>) -> String {
    date.map(|date| format!("{:04}-{:02}-{:02}", date.year, date.month, date.day)).unwrap_or_default()
}

/// The amount with as many places as its currency has; all that are needed for a currency that is
/// not of the standard.
fn money(money: Option<&pb::Money>) -> String {
    let Some(pb::Money { currency_code, units, nanos }) = money else { return String::new() };
    let known = Currency::iso(currency_code);
    let currency = known.unwrap_or_else(|| Currency { code: currency_code.clone(), exponent: EXPONENT_MAX });
    let decimal = currency.amount(*units, *nanos).map(|amount: Amount| currency.decimal(amount));
    let decimal = decimal.unwrap_or_else(|_| format!("{units}.{nanos:09}"));
    let shown = match (Currency::iso(currency_code), decimal.split_once('.')) {
        (None, Some(_)) => decimal.trim_end_matches('0').trim_end_matches('.'),
        (Some(_), _) | (None, None) => decimal.as_str(),
    };
    format!("{shown} {currency_code}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::wire::{decision, samples};

    #[test]
    fn a_decision_reads_from_top_to_bottom() {
        let (plan, order, claim) = (samples::plan(), samples::order(), samples::claim());
        let mut response =
            decision::response(&samples::decision(), samples::names(&plan, &samples::said(&order, &claim)));
        response.decision_id = "5f".into();
        response.policy = Some(pb::PolicyRef {
            policy_id: "guide".into(),
            version: "2026-11".into(),
            digest: "blake3:0123456789abcdef".into(),
            generation: 3,
            effective_from: None,
            engine_revision: 1,
        });
        let request = pb::EvaluateRefundRequest { order: Some(order.clone()), ..pb::EvaluateRefundRequest::default() };
        let expected = "\
order         o-1
outcome       approved partial
reasons       deductions applied
refund        83.67 CNY by original payment
line          l-1 (rule `in-progress-late`, liable: platform)
held back     41.83 CNY consumed value: completed_share * refundable (of 125.50 CNY, line l-1)
to tender     83.67 CNY t-1
to tender     0.00 CNY t-2
evidence      not required
next step     complaint (Complain)
review        2026-11-03 to 2026-11-04
payout        beyond the days that the policy's calendar covers
policy        guide 2026-11, digest 0123456789ab, generation 3
decision      5f
";
        assert_eq!(response_to_text(&request, &response), expected);
    }

    #[test]
    fn amounts_have_the_places_of_their_currency() {
        let shown = |code: &str, units, nanos| money(Some(&pb::Money { currency_code: code.into(), units, nanos }));
        assert_eq!(shown("CNY", 1, 500_000_000), "1.50 CNY");
        assert_eq!(shown("JPY", 100, 0), "100 JPY");
        assert_eq!(shown("POINTS", 7, 0), "7 POINTS");
        assert_eq!(shown("POINTS", 7, 250_000_000), "7.25 POINTS");
    }
}
