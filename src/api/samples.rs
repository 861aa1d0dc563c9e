//! A small request, for tests.

use crate::api::pb;

/// An order of one line, a third of it done, paid by card and coupon.
pub(crate) fn order() -> pb::Order {
    let cny = |units, nanos| Some(pb::Money { currency_code: "CNY".into(), units, nanos });
    let tender = |id: &str, units, nanos, not_refundable| pb::Tender {
        tender_id: id.into(),
        method: "card".into(),
        paid: cny(units, nanos),
        refunded: None,
        not_refundable,
    };
    let grade = pb::FactValue { kind: Some(pb::fact_value::Kind::Decimal("12.50".into())) };
    pb::Order {
        order_id: "o-1".into(),
        placed_at: Some(moment(1_000)),
        paid_at: Some(moment(1_001)),
        times: [("promised_at".to_owned(), moment(2_000))].into(),
        customer_caused_delay: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
        lines: vec![pb::OrderLine {
            line_id: "l-1".into(),
            product_type: "boosting".into(),
            stage: pb::OrderStage::InProgress.into(),
            paid: cny(125, 500_000_000),
            completed: Some(pb::Fraction { numerator: 1, denominator: 3 }),
            inputs: [("grade".to_owned(), grade)].into(),
            ..pb::OrderLine::default()
        }],
        tenders: vec![tender("t-1", 100, 0, false), tender("t-2", 25, 500_000_000, true)],
        ..pb::Order::default()
    }
}

/// A claim that the provider was late.
pub(crate) fn claim() -> pb::Claim {
    pb::Claim {
        request_type: pb::RequestType::Refund.into(),
        reason: "late_delivery".into(),
        liable_party: pb::LiableParty::Platform.into(),
        evidence: vec![pb::Evidence {
            evidence_id: "e-1".into(),
            kind: "order_record".into(),
            fields: [("promised".to_owned(), "2026-11-01".to_owned())].into(),
            ..pb::Evidence::default()
        }],
        requested_at: Some(prost_types::Timestamp { seconds: 3_000, nanos: 5 }),
        ..pb::Claim::default()
    }
}

fn moment(seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds, nanos: 0 }
}
