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
use crate::server::fast_path::writer::Writer;
use crate::server::wire::decision::{Names, amounts_due, compensations, missing_facts, moment};
use crate::server::wire::evidence;
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

/// 128 bits, so that no two ids ever meet.
pub(crate) const DECISION_ID_BYTES: usize = 16;

/// Writes which policy answers: a field that all answers by one version of it have in common.
pub(crate) fn policy(response: &mut Writer<'_>, plan: &Plan, digest: &str, generation: u64) {
    response.message(16, |to| {
        to.text(1, &plan.id);
        to.text(2, &plan.version);
        to.text(3, digest);
        to.count(4, generation);
        if let Some(effective) = plan.effective {
            to.built(5, &moment(effective.from));
        }
        to.count(6, ENGINE_REVISION.into());
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
    response.hex(1, heading.decision_id);
    response.text(2, heading.request_id);
    response.number(3, to_outcome(*outcome) as i32);
    response.number(4, to_primary_reason(*reason_codes));
    response.words(5, reason_codes.iter().map(|code| to_reason_code(code) as i32));
    response.message(6, |to| money(to, *refund, names));
    // Each line tells its deductions once more, in the same words.
    let mut of_lines: SmallVec<[Range<usize>; 1]> = SmallVec::with_capacity(lines.len());
    for line in lines {
        let begins = response.written();
        deductions(response, 7, &line.deductions, names.line_id(line.line), names);
        of_lines.push(begins..response.written());
    }
    for component in components {
        deductions(response, 7, &component.deductions, names.component(component.component).1, names);
    }
    for (line, deductions) in lines.iter().zip(of_lines) {
        response.long_message(8, |to| line_decision(to, line, deductions, names));
    }
    for tender in tenders {
        response.message(9, |to| tender_refund(to, *tender, names));
    }
    response.number(10, to_refund_method(*method) as i32);
    lines.iter().flat_map(|line| compensations(line, names)).for_each(|extra| response.built(11, &extra));
    evidence_report(response, report, names);
    for &place in next_steps {
        let Some(step) = names.plan.next_steps.get(usize::from(place)) else { continue };
        response.message(13, |to| {
            to.text(1, &step.slug);
            to.text(2, step.label.in_language(names.language));
        });
    }
    for (number, window) in [(14, review), (15, payout)] {
        date_window(response, number, *window);
    }
    response.again(heading.policy);
    lines.iter().flat_map(|line| missing_facts(line, names)).for_each(|fact| response.built(18, &fact));
    for component in components {
        response.message(19, |to| component_decision(to, component, names));
    }
    lines.iter().flat_map(|line| amounts_due(line, names)).for_each(|extra| response.built(20, &extra));
}

fn money(to: &mut Writer<'_>, amount: Amount, names: Names<'_>) {
    let (units, nanos) = names.currency.units_and_nanos(amount);
    to.text(1, &names.currency.code);
    to.number(2, units);
    to.number(3, nanos);
}

fn deductions(to: &mut Writer<'_>, number: u32, deductions: &[Deduction], line_id: &str, names: Names<'_>) {
    for deduction in deductions {
        let Deduction { kind, source, base, amount } = *deduction;
        to.message(number, |to| {
            to.number(1, to_deduction_kind(kind) as i32);
            to.text(2, names.deducting_rule(source));
            to.text(3, line_id);
            to.message(4, |to| money(to, base, names));
            to.text(5, names.formula(source));
            to.message(6, |to| money(to, amount, names));
            to.text(7, names.order_amount(source));
        });
    }
}

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
    to.text(1, names.line_id(*line));
    to.number(2, to_outcome(*outcome) as i32);
    to.number(3, to_primary_reason(*reason_codes));
    to.text(4, names.rule_id(*rule));
    to.number(5, liable.map_or(0, |party| to_liable_party(party) as i32));
    to.message(6, |to| money(to, *refund, names));
    to.again_from(taken);
    to.words(8, reason_codes.iter().map(|code| to_reason_code(code) as i32));
    to.message(9, |to| money(to, *base, names));
}

fn component_decision(to: &mut Writer<'_>, decision: &ComponentDecision, names: Names<'_>) {
    let ComponentDecision { component, base, refund, deductions: taken } = decision;
    let (name, line_id) = names.component(*component);
    to.text(1, name);
    to.text(2, line_id);
    to.message(3, |to| money(to, *base, names));
    to.message(4, |to| money(to, *refund, names));
    deductions(to, 5, taken, line_id, names);
}

fn tender_refund(to: &mut Writer<'_>, refund: TenderRefund, names: Names<'_>) {
    let TenderRefund { tender, amount, payout } = refund;
    to.text(1, names.tender_id(tender));
    to.message(2, |to| money(to, amount, names));
    date_window(to, 3, payout);
}

fn evidence_report(to: &mut Writer<'_>, report: &EvidenceReport, names: Names<'_>) {
    let EvidenceReport { verdict, satisfied_by, missing, missing_more: _, rejected, text_findings } = report;
    if missing.is_empty() && rejected.is_empty() && text_findings.is_empty() {
        to.message(12, |to| {
            to.number(1, to_evidence_verdict(*verdict) as i32);
            satisfied_by.iter().for_each(|&place| to.item(2, evidence::piece_id(names.claim, place)));
        });
    } else {
        to.built(12, &evidence::report(report, names.plan, names.claim, names.language));
    }
}

fn date_window(to: &mut Writer<'_>, number: u32, window: Option<DateWindow>) {
    match window {
        Some(DateWindow::Dates { earliest, latest }) => to.message(number, |to| {
            date(to, 1, earliest);
            date(to, 2, latest);
        }),
        Some(DateWindow::BeyondCalendar) => to.message(number, |to| to.number(3, 1)),
        None => {}
    }
}

/// Every answer has several dates, and nearly all of them have this form.
fn date(to: &mut Writer<'_>, number: u8, date: Date) {
    let (year, month, day) = (date.year(), date.month(), date.day());
    match (u16::try_from(year), month.cast_unsigned(), day.cast_unsigned()) {
        // A year of two times seven bits, a month and a day of one byte each: seven bytes.
        (Ok(year @ 0x80..0x4000), month @ 1..0x80, day @ 1..0x80) => {
            let [low, high] = [(year & 0x7f | 0x80).to_le_bytes(), (year >> 7).to_le_bytes()].map(|[low, _]| low);
            to.again(&[number << 3 | 2, 7, 1 << 3, low, high, 2 << 3, month, 3 << 3, day]);
        }
        (_, _, _) => to.message(u32::from(number), |to| {
            to.number(1, year);
            to.number(2, month);
            to.number(3, day);
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
