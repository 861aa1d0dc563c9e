//! Requests that tests begin with: orders of the standard policy, as callers write them.

use requite::api::json::request_from_json;
use requite::api::pb;
use serde_json::{Value, json};

/// Boosting for 200.00, three eighths done, 16 hours late, with both pieces of evidence: 125.00
/// goes back.
pub fn late_json() -> Value {
    json!({
        "requestId": "r-1",
        "order": {
            "orderId": "o-1",
            "placedAt": "2026-03-02T10:00:00+08:00",
            "paidAt": "2026-03-02T10:01:00+08:00",
            "times": { "promised_at": "2026-03-05T18:00:00+08:00" },
            "lines": [{
                "lineId": "l-1",
                "productType": "boosting",
                "stage": "ORDER_STAGE_IN_PROGRESS",
                "paid": { "currencyCode": "CNY", "units": "200" },
                "completed": { "numerator": "3", "denominator": "8" },
            }],
            "tenders": [
                { "tenderId": "t-1", "method": "alipay", "paid": { "currencyCode": "CNY", "units": "200" } },
            ],
        },
        "claim": {
            "requestType": "REQUEST_TYPE_REFUND",
            "reason": "late_delivery",
            "liableParty": "LIABLE_PARTY_PLATFORM",
            "evidence": [
                { "evidenceId": "e-1", "kind": "order_record" },
                { "evidenceId": "e-2", "kind": "promised_time_record" },
            ],
            "channel": "app",
            "requestedAt": "2026-03-06T10:00:00+08:00",
        },
    })
}

/// The same as a message.
pub fn late() -> pb::EvaluateRefundRequest {
    request_from_json(&late_json().to_string()).unwrap()
}

/// The same with the order record alone.
pub fn without_promised_time() -> pb::EvaluateRefundRequest {
    let mut request = late();
    request.claim.as_mut().unwrap().evidence.truncate(1);
    request
}

/// A plain refund asked for on a finished order.
pub fn completed() -> pb::EvaluateRefundRequest {
    let mut request = late();
    let line = &mut request.order.as_mut().unwrap().lines[0];
    line.set_stage(pb::OrderStage::Completed);
    line.completed = Some(pb::Fraction { numerator: 8, denominator: 8 });
    request
}
