//! From a decision to the bytes of its message, without the message: the usual answer, which has no
//! explanation. What is rare in it is built as `server::wire::decision` builds it; a test holds the two
//! against each other.

use std::ops::Range;

use smallvec::SmallVec;

use crate::decision::ENGINE_REVISION;
use crate::domain::decision::{
    ComponentDecision, DateWindow, Decision, Deduction, EvidenceReport, LineDecision, TenderRefund,
};
use crate::domain::money::Amount;
use crate::domain::time::Date;
use crate::plan::Plan;
use crate::server::fast_path::numbers::{
    bytes_key, component_decision, date, date_window, deduction, evaluation, evidence_report, line_decision, money,
    next_step, number_key, policy_ref, tender_refund,
};
use crate::server::fast_path::writer::Writer;
use crate::server::wire::decision::{Names, amounts_due, compensations, missing_facts};
use crate::server::wire::evidence;
use crate::server::wire::identity::DECISION_ID_BYTES;
use crate::server::wire::scalars::moment;
use crate::server::wire::words::{
    to_deduction_kind, to_evidence_verdict, to_liable_party, to_outcome, to_primary_reason, to_reason_code,
    to_refund_method,
};

/// The fields that do not follow from the decision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heading<'a> {
    /// To be told in hexadecimal digits.
    pub(crate) decision_id: [u8; DECISION_ID_BYTES],
    pub(crate) request_id: &'a str,
    /// The bytes that [`policy`] has written.
    pub(crate) policy: &'a [u8],
}

/// Writes which policy answers: a field that all answers by one version of it have in common.
pub(crate) fn policy(response: &mut Writer<'_>, plan: &Plan, digest: &str, generation: u64) {
    response.message(evaluation::POLICY, |to| {
        to.text(policy_ref::POLICY_ID, &plan.id);
        to.text(policy_ref::VERSION, &plan.version);
        to.text(policy_ref::DIGEST, digest);
        to.count(policy_ref::GENERATION, generation);
        if let Some(effective) = plan.effective {
            to.built(policy_ref::EFFECTIVE_FROM, &moment(effective.from));
        }
        to.count(policy_ref::ENGINE_REVISION, ENGINE_REVISION.into());
    });
}

/// Writes an `EvaluateRefundResponse`.
pub(crate) fn write(response: &mut Writer<'_>, heading: Heading<'_>, decision: &Decision, names: Names<'_>) {
    let Decision {
        outcome,
        reason_codes,
        refund,
        lines,
        components,
        tenders,
        method,
        evidence: report,
        next_steps,
        review,
        payout,
    } = decision;
    response.hex(evaluation::DECISION_ID, heading.decision_id);
    response.text(evaluation::REQUEST_ID, heading.request_id);
    response.number(evaluation::OUTCOME, to_outcome(*outcome) as i32);
    response.number(evaluation::REASON_CODE, to_primary_reason(*reason_codes));
    response.words(evaluation::REASON_CODES, reason_codes.iter().map(|code| to_reason_code(code) as i32));
    response.message(evaluation::REFUND, |to| money(to, *refund, names));
    // Each line tells its deductions once more, in the same words.
    let mut of_lines: SmallVec<[Range<usize>; 1]> = SmallVec::with_capacity(lines.len());
    for line in lines {
        let begins = response.written();
        deductions(response, evaluation::DEDUCTIONS, &line.deductions, names.line_id(line.line), names);
        of_lines.push(begins..response.written());
    }
    for component in components {
        deductions(
            response,
            evaluation::DEDUCTIONS,
            &component.deductions,
            names.component(component.component).1,
            names,
        );
    }
    for (line, deductions) in lines.iter().zip(of_lines) {
        response.long_message(evaluation::LINES, |to| line_decision(to, line, deductions, names));
    }
    for tender in tenders {
        response.message(evaluation::TENDERS, |to| tender_refund(to, *tender, names));
    }
    response.number(evaluation::REFUND_METHOD, to_refund_method(*method) as i32);
    lines
        .iter()
        .flat_map(|line| compensations(line, names))
        .for_each(|extra| response.built(evaluation::COMPENSATIONS, &extra));
    evidence_report(response, report, names);
    for &place in next_steps {
        let Some(step) = names.plan.next_steps.get(usize::from(place)) else { continue };
        response.message(evaluation::NEXT_STEPS, |to| {
            to.text(next_step::ACTION, &step.slug);
            to.text(next_step::LABEL, step.label.in_language(names.language));
        });
    }
    for (number, window) in [(evaluation::REVIEW, review), (evaluation::PAYOUT, payout)] {
        date_window(response, number, *window);
    }
    response.again(heading.policy);
    lines
        .iter()
        .flat_map(|line| missing_facts(line, names))
        .for_each(|fact| response.built(evaluation::MISSING_FACTS, &fact));
    for component in components {
        response.message(evaluation::COMPONENTS, |to| component_decision(to, component, names));
    }
    lines
        .iter()
        .flat_map(|line| amounts_due(line, names))
        .for_each(|extra| response.built(evaluation::AMOUNTS_DUE, &extra));
}

fn money(to: &mut Writer<'_>, amount: Amount, names: Names<'_>) {
    let (units, nanos) = names.currency.units_and_nanos(amount);
    to.text(money::CURRENCY_CODE, &names.currency.code);
    to.number(money::UNITS, units);
    to.number(money::NANOS, nanos);
}

fn deductions(to: &mut Writer<'_>, number: u32, deductions: &[Deduction], line_id: &str, names: Names<'_>) {
    for deduction in deductions {
        let Deduction { kind, source, base, amount } = *deduction;
        to.message(number, |to| {
            to.number(deduction::KIND, to_deduction_kind(kind) as i32);
            to.text(deduction::RULE_ID, names.deducting_rule(source));
            to.text(deduction::LINE_ID, line_id);
            to.message(deduction::BASE, |to| money(to, base, names));
            to.text(deduction::FORMULA, names.formula(source));
            to.message(deduction::AMOUNT, |to| money(to, amount, names));
            to.text(deduction::NAME, names.order_amount(source));
        });
    }
}

// The bytes of the deductions of a line stand in the answer twice, under the same number.
const _: () = assert!(evaluation::DEDUCTIONS == line_decision::DEDUCTIONS);

/// Writes a line, whose deductions stand at these places already.
fn line_decision(to: &mut Writer<'_>, decision: &LineDecision, taken: Range<usize>, names: Names<'_>) {
    let LineDecision {
        line,
        outcome,
        reason_codes,
        rule,
        liable,
        base,
        refund,
        due: _,
        deductions: _,
        compensations: _,
        amounts_due: _,
        missing_facts: _,
    } = decision;
    to.text(line_decision::LINE_ID, names.line_id(*line));
    to.number(line_decision::OUTCOME, to_outcome(*outcome) as i32);
    to.number(line_decision::REASON_CODE, to_primary_reason(*reason_codes));
    to.text(line_decision::RULE_ID, names.rule_id(*rule));
    to.number(line_decision::LIABLE_PARTY, liable.map_or(0, |party| to_liable_party(party) as i32));
    to.message(line_decision::REFUND, |to| money(to, *refund, names));
    to.again_from(taken);
    to.words(line_decision::REASON_CODES, reason_codes.iter().map(|code| to_reason_code(code) as i32));
    to.message(line_decision::BASE, |to| money(to, *base, names));
}

fn component_decision(to: &mut Writer<'_>, decision: &ComponentDecision, names: Names<'_>) {
    let ComponentDecision { component, base, refund, deductions: taken } = decision;
    let (name, line_id) = names.component(*component);
    to.text(component_decision::NAME, name);
    to.text(component_decision::LINE_ID, line_id);
    to.message(component_decision::BASE, |to| money(to, *base, names));
    to.message(component_decision::REFUND, |to| money(to, *refund, names));
    deductions(to, component_decision::DEDUCTIONS, taken, line_id, names);
}

fn tender_refund(to: &mut Writer<'_>, refund: TenderRefund, names: Names<'_>) {
    let TenderRefund { tender, amount, payout } = refund;
    to.text(tender_refund::TENDER_ID, names.tender_id(tender));
    to.message(tender_refund::AMOUNT, |to| money(to, amount, names));
    date_window(to, tender_refund::PAYOUT, payout);
}

fn evidence_report(to: &mut Writer<'_>, report: &EvidenceReport, names: Names<'_>) {
    let EvidenceReport { verdict, satisfied_by, missing, missing_more: _, rejected, text_findings } = report;
    if missing.is_empty() && rejected.is_empty() && text_findings.is_empty() {
        to.message(evaluation::EVIDENCE, |to| {
            to.number(evidence_report::VERDICT, to_evidence_verdict(*verdict) as i32);
            satisfied_by
                .iter()
                .for_each(|&place| to.item(evidence_report::SATISFIED_BY, evidence::piece_id(names.claim, place)));
        });
    } else {
        to.built(evaluation::EVIDENCE, &evidence::report(report, names.plan, names.claim, names.language));
    }
}

fn date_window(to: &mut Writer<'_>, number: u32, window: Option<DateWindow>) {
    match window {
        Some(DateWindow::Dates { earliest, latest }) => to.message(number, |to| {
            date(to, date_window::EARLIEST, earliest);
            date(to, date_window::LATEST, latest);
        }),
        Some(DateWindow::BeyondCalendar) => to.message(number, |to| to.number(date_window::BEYOND_CALENDAR, 1)),
        None => {}
    }
}

/// Every answer has several dates, and nearly all of them have this form.
fn date(to: &mut Writer<'_>, number: u32, date: Date) {
    const YEAR: u8 = number_key(date::YEAR);
    const MONTH: u8 = number_key(date::MONTH);
    const DAY: u8 = number_key(date::DAY);
    let (year, month, day) = (date.year(), date.month(), date.day());
    match (u16::try_from(year), month.cast_unsigned(), day.cast_unsigned()) {
        // A year of two times seven bits, a month and a day of one byte each: seven bytes.
        (Ok(year @ 0x80..0x4000), month @ 1..0x80, day @ 1..0x80) => {
            let [low, high] = [(year & 0x7f | 0x80).to_le_bytes(), (year >> 7).to_le_bytes()].map(|[low, _]| low);
            to.again(&[bytes_key(number), 7, YEAR, low, high, MONTH, month, DAY, day]);
        }
        (_, _, _) => to.message(number, |to| {
            to.number(date::YEAR, year);
            to.number(date::MONTH, month);
            to.number(date::DAY, day);
        }),
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::api::pb;
    use crate::domain::decision::{EvidenceProblem, ReasonCodes, RejectedEvidence, TextFinding};
    use crate::server::wire::decision::response;
    use crate::server::wire::samples;

    fn holds(decision: &Decision) {
        let (plan, order, claim) = (samples::plan(), samples::order(), samples::claim());
        let said = samples::said(&order, &claim);
        let names = samples::names(&plan, &said);
        let mut policy_bytes = Vec::new();
        super::policy(&mut Writer::at_end_of(&mut policy_bytes), &plan, "blake3:00", 7);
        let heading = Heading { decision_id: [0xd1; 16], request_id: "r-1", policy: &policy_bytes };
        let mut bytes = Vec::new();
        write(&mut Writer::at_end_of(&mut bytes), heading, decision, names);
        let policy = pb::PolicyRef {
            policy_id: plan.id.clone(),
            version: plan.version.clone(),
            digest: "blake3:00".into(),
            generation: 7,
            effective_from: None,
            engine_revision: ENGINE_REVISION,
        };
        let expected = pb::EvaluateRefundResponse {
            decision_id: "d1".repeat(16),
            request_id: "r-1".into(),
            policy: Some(policy),
            ..response(decision, names)
        };
        assert_eq!(pb::EvaluateRefundResponse::decode(bytes.as_slice()), Ok(expected.clone()));
        assert_eq!(bytes, expected.encode_to_vec());
    }

    #[test]
    fn a_date_of_any_year_is_written_as_the_message_of_it() {
        for year in [-5, 0, 1, 99, 127, 128, 255, 256, 2026, 9999] {
            for (month, day) in [(1, 1), (2, 28), (12, 31)] {
                let mut bytes = Vec::new();
                date(&mut Writer::at_end_of(&mut bytes), 2, jiff::civil::date(year, month, day));
                let sent = pb::Date { year: year.into(), month: month.into(), day: day.into() };
                let window = pb::DateWindow { latest: Some(sent), ..Default::default() };
                assert_eq!(bytes, window.encode_to_vec(), "{year}-{month}-{day}");
            }
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_message() {
        let mut decision = samples::decision();
        holds(&decision);
        decision.lines[0].missing_facts = samples::facts_of_every_origin(&samples::plan());
        decision.evidence.rejected =
            [RejectedEvidence { evidence: 0, problem: EvidenceProblem::AnotherOrder }].into_iter().collect();
        decision.evidence.text_findings = [TextFinding { phrase: 0, start: 3, end: 12 }].into_iter().collect();
        decision.evidence.missing = [0b11].into_iter().collect();
        holds(&decision);
        let mut second = decision.lines[0].clone();
        second.line = 1;
        second.deductions.push(second.deductions[0]);
        decision.lines.push(second);
        holds(&decision);
        decision.reason_codes = ReasonCodes::default();
        decision.lines[0].deductions.clear();
        decision.review = Some(DateWindow::BeyondCalendar);
        decision.payout = None;
        holds(&decision);
    }
}
