//! The answers of the other methods for people: batches, evidence, what a server is.

use crate::api::pb;
use crate::cli::show::decision::{Page, evidence_rows, policy_row, reasons, response_to_text};
use crate::telemetry::codes::code_name;

/// Writes the answers to a batch, one after the other, each under its place.
#[must_use]
pub fn batch_to_text(request: &pb::BatchEvaluateRefundRequest, response: &pb::BatchEvaluateRefundResponse) -> String {
    let mut page = Page::default();
    let whole = response.items.len();
    for (place, item) in response.items.iter().enumerate() {
        if 0 < place {
            page.0.push('\n');
        }
        page.row("request", &format!("{} of {whole}", place + 1));
        match (&item.answer, request.requests.get(place)) {
            (Some(pb::batch_item::Answer::Response(decision)), Some(asked)) => {
                page.0.push_str(&response_to_text(asked, decision));
            }
            (Some(pb::batch_item::Answer::Error(error)), _) => error_rows(&mut page, error),
            (None, _) | (Some(_), None) => page.row("error", "the answer holds neither a decision nor an error"),
        }
    }
    if response.items.is_empty() {
        page.row("requests", "none");
    }
    page.0
}

fn error_rows(page: &mut Page, error: &pb::BatchError) {
    page.row("error", &format!("{}: {}", code_name(error.code), error.message));
    for violation in &error.field_violations {
        page.row("field", &format!("{}: {}", violation.field, violation.description));
    }
}

/// Writes whether the material of a claim is enough.
#[must_use]
pub fn evidence_to_text(request: &pb::ValidateEvidenceRequest, response: &pb::ValidateEvidenceResponse) -> String {
    let mut page = Page::default();
    page.row("order", request.order.as_ref().map_or("", |order| order.order_id.as_str()));
    if let Some(evidence) = &response.evidence {
        evidence_rows(&mut page, evidence);
    }
    page.row("reasons", &reasons(response.reason_codes()));
    page.next_steps(&response.next_steps);
    if let Some(policy) = &response.policy {
        page.row("policy", &policy_row(policy));
    }
    page.0
}

/// Writes what a server is and what is in force there.
#[must_use]
pub fn info_to_text(info: &pb::GetServerInfoResponse) -> String {
    let mut page = Page::default();
    page.row("requite", &format!("{}, engine revision {}", info.version, info.engine_revision));
    page.row("in force", &info.digest);
    page.row("generation", &info.generation.to_string());
    page.row("default", &info.default_policy_id);
    for policy in &info.policies {
        let named = policy.policy.clone().unwrap_or_default();
        let rules = if policy.rule_count == 1 { "rule" } else { "rules" };
        page.row("policy", &format!("{} {}, {} {rules}", named.policy_id, named.version, policy.rule_count));
        for (caption, words) in [
            ("  languages", &policy.languages),
            ("  currencies", &policy.currency_codes),
            ("  products", &policy.product_types),
            ("  reasons", &policy.reasons),
            ("  channels", &policy.channels),
            ("  evidence", &policy.evidence_kinds),
        ] {
            page.row(caption, &words.join(", "));
        }
        page.row("  time zone", &policy.time_zone);
    }
    page.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_tells_each_answer_under_its_place() {
        let decided = pb::EvaluateRefundResponse {
            outcome: pb::Outcome::Denied as i32,
            decision_id: "d-1".into(),
            ..pb::EvaluateRefundResponse::default()
        };
        let wrong = pb::BatchError {
            code: 3,
            message: "1 field is wrong".into(),
            field_violations: vec![pb::FieldViolation { field: "claim.reason".into(), description: "no word".into() }],
        };
        let item = |answer| pb::BatchItem { answer: Some(answer) };
        let response = pb::BatchEvaluateRefundResponse {
            items: vec![item(pb::batch_item::Answer::Response(decided)), item(pb::batch_item::Answer::Error(wrong))],
            ..pb::BatchEvaluateRefundResponse::default()
        };
        let request = pb::BatchEvaluateRefundRequest { requests: vec![pb::EvaluateRefundRequest::default(); 2] };
        let text = batch_to_text(&request, &response);
        for part in [
            "request       1 of 2\noutcome       denied\n",
            "decision      d-1\n\nrequest       2 of 2\nerror         INVALID_ARGUMENT: 1 field is wrong\n",
            "field         claim.reason: no word\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let none = (pb::BatchEvaluateRefundRequest::default(), pb::BatchEvaluateRefundResponse::default());
        assert_eq!(batch_to_text(&none.0, &none.1), "requests      none\n");
    }
}
