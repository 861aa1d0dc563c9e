//! From the state of the evidence to its message.

use crate::api::pb;
use crate::domain::decision::{EvidenceProblem, EvidenceReport, RejectedEvidence, TextFinding};
use crate::domain::facts::FactId;
use crate::domain::ratio::Ratio;
use crate::domain::request::Claim;
use crate::plan::Plan;
use crate::plan::evidence::{Conditions, MediaRange};
use crate::plan::fact::Dimension;
use crate::plan::show::show_quantity;
use crate::plan::vocabulary::VocabularyId;
use crate::server::wire::words::{to_evidence_verdict, to_reason_code};

/// The message of a report, with the names of kinds and pieces.
pub(crate) fn report(report: &EvidenceReport, plan: &Plan, claim: &Claim<'_>, language: usize) -> pb::EvidenceReport {
    let EvidenceReport { verdict, satisfied_by, missing, missing_more: _, rejected, text_findings } = report;
    let sets = 0..missing.len();
    pb::EvidenceReport {
        verdict: to_evidence_verdict(*verdict).into(),
        satisfied_by: satisfied_by.iter().map(|&place| piece_id(claim, place).to_owned()).collect(),
        missing: sets.map(|set| missing_evidence(report, set, plan, language)).collect(),
        rejected: rejected.iter().map(|rejected| rejected_evidence(rejected, plan, claim)).collect(),
        text_findings: text_findings.iter().map(|finding| text_finding(finding, plan, language)).collect(),
    }
}

/// The id of a piece as it was said.
pub(crate) fn piece_id<'a>(claim: &Claim<'a>, place: u16) -> &'a str {
    claim.evidence.get(usize::from(place)).map_or("", |piece| piece.id)
}

fn missing_evidence(report: &EvidenceReport, set: usize, plan: &Plan, language: usize) -> pb::MissingEvidence {
    let places = || report.missing_kinds(set);
    let label = |place: u16| {
        let kind = plan.evidence_kinds.get(usize::from(place));
        kind.map(|kind| kind.label.in_language(language).to_owned()).unwrap_or_default()
    };
    pb::MissingEvidence {
        kinds: places().map(|place| plan.vocabularies.word(VocabularyId::EVIDENCE_KIND, place).to_owned()).collect(),
        labels: places().map(label).collect(),
    }
}

fn rejected_evidence(rejected: &RejectedEvidence, plan: &Plan, claim: &Claim<'_>) -> pb::RejectedEvidence {
    let RejectedEvidence { evidence, problem } = *rejected;
    let conditions = claim
        .evidence
        .get(usize::from(evidence))
        .and_then(|piece| plan.vocabularies.place(VocabularyId::EVIDENCE_KIND, piece.kind))
        .and_then(|kind| plan.evidence_kinds.get(usize::from(kind))?.conditions.as_ref());
    pb::RejectedEvidence {
        evidence_id: piece_id(claim, evidence).to_owned(),
        reason_code: to_reason_code(problem.reason_code()).into(),
        detail: detail(problem, conditions, plan),
    }
}

/// Text on a problem of a piece, with the limit that it does not meet.
fn detail(problem: EvidenceProblem, of: Option<&Conditions>, plan: &Plan) -> String {
    match problem {
        EvidenceProblem::AnotherOrder => "it is about another order".to_owned(),
        EvidenceProblem::MediaTypeNotAllowed => format!("its media type must be {}", media(of)),
        EvidenceProblem::MediaTypeMissing => format!("its media type is not said; it must be {}", media(of)),
        EvidenceProblem::TooLarge => match of.and_then(|of| of.max_bytes) {
            Some(bytes) => format!("it must have at most {bytes} bytes"),
            None => "it is too large".to_owned(),
        },
        EvidenceProblem::TooLargeTogether => match plan.evidence_bytes_max {
            Some(bytes) => format!("all pieces together must have at most {bytes} bytes"),
            None => "all pieces together are too large".to_owned(),
        },
        EvidenceProblem::CaptureTimeMissing => "its time of capture is not said".to_owned(),
        EvidenceProblem::CapturedTooEarly => {
            format!("it must not be captured before {}", moment(of.and_then(|of| of.captured_after), plan))
        }
        EvidenceProblem::CapturedTooLate => {
            format!("it must not be captured after {}", moment(of.and_then(|of| of.captured_before), plan))
        }
        EvidenceProblem::Expired => match of.and_then(|of| of.max_age) {
            Some(age) => {
                let age = show_quantity(Ratio::whole(age.nanos()), Dimension::Elapsed);
                format!("it must be captured at most {age} before the request")
            }
            None => "it is too old".to_owned(),
        },
        EvidenceProblem::FieldMissing(place) => {
            let field = of.and_then(|of| of.fields.get(usize::from(place)));
            format!("its field `{}` is absent or blank", field.map_or("", String::as_str))
        }
    }
}

fn media(of: Option<&Conditions>) -> String {
    let ranges = of.map(|of| of.media.as_slice()).unwrap_or_default();
    let shown: Vec<_> = ranges
        .iter()
        .map(|range| match range {
            MediaRange::Type(media_type) => media_type.clone(),
            MediaRange::Family(prefix) => format!("{prefix}*"),
        })
        .collect();
    shown.join(" or ")
}

fn moment(fact: Option<FactId>, plan: &Plan) -> &str {
    fact.and_then(|fact| plan.fact(fact)).map_or("the moment that the policy names", |fact| fact.name.as_str())
}

fn text_finding(finding: &TextFinding, plan: &Plan, language: usize) -> pb::TextFinding {
    let TextFinding { phrase, start, end } = *finding;
    pb::TextFinding {
        phrase: plan.text.phrases.get(usize::from(phrase)).cloned().unwrap_or_default(),
        start_byte: start,
        end_byte: end,
        suggestion: plan.text.suggestion.in_language(language).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::decision::{EvidenceVerdict, MissingMore};
    use crate::server::wire::samples;

    #[test]
    fn missing_and_rejected_evidence_is_named() {
        let (plan, order, claim) = (samples::plan(), samples::order(), samples::claim());
        let said = samples::said(&order, &claim);
        let report = super::report(
            &EvidenceReport {
                verdict: EvidenceVerdict::Insufficient,
                satisfied_by: [].into_iter().collect(),
                missing: [0b11].into_iter().collect(),
                missing_more: vec![MissingMore { set: 0, kind: 0, pieces: 1 }],
                rejected: [RejectedEvidence { evidence: 0, problem: EvidenceProblem::MediaTypeNotAllowed }]
                    .into_iter()
                    .collect(),
                text_findings: [TextFinding { phrase: 0, start: 3, end: 12 }].into_iter().collect(),
            },
            &plan,
            &said.claim,
            1,
        );
        assert_eq!(report.missing[0].kinds, ["order_record", "order_record", "chat_record"]);
        assert_eq!(report.missing[0].labels, ["Order record", "Order record", "Chat record"]);
        assert_eq!(report.rejected[0].evidence_id, "e-1");
        assert_eq!(report.rejected[0].reason_code(), pb::ReasonCode::EvidenceInvalid);
        assert_eq!(report.rejected[0].detail, "its media type must be image/* or application/pdf");
        assert_eq!(report.text_findings[0].phrase, "不好用");
        assert_eq!(report.text_findings[0].suggestion, "Say what was promised");
    }
}
