//! The largest request that the documented counts allow, asked of a running server: an order of 256 lines claimed once
//! more, with all that earlier answers may have named.

use std::fs;
use std::process::Command;

use prost::Message as _;
use prost_types::Timestamp;
use requite::api::limits::EVALUATION_MESSAGE_BYTES_MAX;
use requite::api::pb::Money;
use requite::api::pb::batch_item::Answer;
use requite::api::pb::refund_policy_service_client::RefundPolicyServiceClient;
use requite::api::{json, pb};
use requite::domain::limits::{EARLIER_MAX, LINES_MAX};
use requite::engine::admit::admit;
use requite::policy::bundle::{Bundle, BundleFile};
use requite::server::{ServerConfig, evaluate};
use tonic::Code;
use tonic::transport::Channel;
use tonic_types::StatusExt as _;

use crate::support::grpc::{Running, start_with};

/// A policy that names four amounts for each line. Names have 20 bytes.
const POLICY: &str = r#"
policy: shop
version: "1"
timezone: UTC
currencies: [EUR]
product_types: [goods_of_every_kind_]
order_amounts:
  fee_for_cancellation: { amount: "order_paid * 10%" }
  voucher_for_goodwill: { amount: "order_paid * 5%" }
rules:
  - id: all
    refund: { deduct: [{ kind: cancellation_fee, order_amount: fee_for_cancellation }] }
    compensate: { voucher_for_goodwill: order_amount, apology_for_lateness: { amount: "remaining * 1%" } }
    amount_due: { cleaning_of_the_item: { amount: 0.50 } }
otherwise: { manual_review: NO_MATCHING_RULE }
"#;

/// What an answer names for each line, and how often it may have been said: one deduction, and seven amounts beside.
const NAMED: [(&str, pb::AmountKind); 8] = [
    ("fee_for_cancellation", pb::AmountKind::Deduction),
    ("voucher_for_goodwill", pb::AmountKind::Compensation),
    ("apology_for_lateness", pb::AmountKind::Compensation),
    ("cleaning_of_the_item", pb::AmountKind::AmountDue),
    ("voucher_for_goodwill", pb::AmountKind::Compensation),
    ("apology_for_lateness", pb::AmountKind::Compensation),
    ("cleaning_of_the_item", pb::AmountKind::AmountDue),
    ("voucher_for_goodwill", pb::AmountKind::Compensation),
];

fn bundle() -> Bundle {
    Bundle::new(vec![BundleFile { path: "shop.policy.yaml".into(), bytes: POLICY.as_bytes().to_vec() }]).unwrap()
}

fn money(cents: i64) -> Option<Money> {
    let nanos = i32::try_from(cents % 100).unwrap() * 10_000_000;
    Some(Money { currency_code: "EUR".into(), units: cents / 100, nanos })
}

/// An id of 36 bytes, as a UUID has.
fn id(place: usize) -> String {
    format!("6f9619ff-8b86-d011-b42d-{place:012}")
}

/// Half of the lines went back before; all are claimed by name once more.
fn largest() -> pb::EvaluateRefundRequest {
    // Amounts with all the bytes that an amount of a usual order has.
    let paid = 1_234_567_899;
    let line = |place: usize| pb::OrderLine {
        line_id: id(place),
        product_type: "goods_of_every_kind_".into(),
        stage: pb::OrderStage::Delivered.into(),
        paid: money(paid),
        list_price: money(paid),
        refunded: if place < LINES_MAX / 2 { None } else { money(paid - 9_999) },
        ..pb::OrderLine::default()
    };
    let earlier = |place: usize| pb::EarlierAmount {
        name: NAMED[place / LINES_MAX].0.into(),
        line_id: id(place % LINES_MAX),
        amount: money(9_999),
        what: NAMED[place / LINES_MAX].1.into(),
    };
    let order = pb::Order {
        order_id: id(999),
        lines: (0..LINES_MAX).map(line).collect(),
        earlier: (0..EARLIER_MAX).map(earlier).collect(),
        ..pb::Order::default()
    };
    let claim = pb::Claim {
        requested_at: Some(Timestamp { seconds: 1_790_000_000, nanos: 0 }),
        line_ids: (0..LINES_MAX).map(id).collect(),
        ..pb::Claim::default()
    };
    pb::EvaluateRefundRequest {
        request_id: id(1_000),
        order: Some(order),
        claim: Some(claim),
        ..pb::EvaluateRefundRequest::default()
    }
}

/// The same with an id that fills it up to so many bytes. No id may be so long: it is a bad field.
fn filled(bytes: usize) -> pb::EvaluateRefundRequest {
    let mut request = largest();
    request.request_id = String::new();
    let head = 1 + prost::length_delimiter_len(EVALUATION_MESSAGE_BYTES_MAX / 8);
    request.request_id = "x".repeat(bytes - request.encoded_len() - head);
    assert_eq!(request.encoded_len(), bytes);
    request
}

async fn server() -> (Running, RefundPolicyServiceClient<Channel>) {
    let server = start_with(ServerConfig::default(), admit(&bundle()).unwrap()).await;
    let client = RefundPolicyServiceClient::new(server.channel().await);
    (server, client)
}

#[tokio::test]
async fn an_order_of_as_many_lines_and_earlier_amounts_as_may_be_is_decided() {
    let (server, mut client) = server().await;
    let request = largest();
    let kibibytes = request.encoded_len().div_ceil(1024);
    assert_eq!(kibibytes, 195, "the figure in `limits.rs` and operations.md");
    let answer = client.evaluate_refund(request.clone()).await.unwrap().into_inner();
    let decided = evaluate(&server.activator.current(), &request).unwrap();
    assert_eq!(answer, decided);
    assert_eq!(answer.lines.len(), LINES_MAX);
    let batch = pb::BatchEvaluateRefundRequest { requests: vec![request; 2] };
    let batch = client.batch_evaluate_refund(batch).await.unwrap().into_inner();
    for item in batch.items {
        assert_eq!(item.answer, Some(Answer::Response(answer.clone())));
    }
    server.stop().await;
}

#[tokio::test]
async fn one_byte_above_the_bound_is_refused_alone_and_in_a_batch() {
    let (server, mut client) = server().await;
    let (fits, above) = (filled(EVALUATION_MESSAGE_BYTES_MAX), filled(EVALUATION_MESSAGE_BYTES_MAX + 1));
    let status = client.evaluate_refund(fits.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.get_error_details().bad_request().unwrap().field_violations[0].field, "request_id");
    let status = client.evaluate_refund(above.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.get_error_details().error_info().unwrap().reason, "MESSAGE_TOO_LARGE");
    let batch = pb::BatchEvaluateRefundRequest { requests: vec![fits, above] };
    let batch = client.batch_evaluate_refund(batch).await.unwrap().into_inner();
    let codes = batch.items.into_iter().map(|item| match item.answer.unwrap() {
        Answer::Error(error) => Code::from(error.code),
        Answer::Response(_) => Code::Ok,
    });
    assert_eq!(codes.collect::<Vec<_>>(), [Code::InvalidArgument, Code::ResourceExhausted]);
    server.stop().await;
}

/// What `eval` says of a request, and how it ends.
fn eval(request: &pb::EvaluateRefundRequest) -> (Option<i32>, String, String) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("shop.policy.yaml"), POLICY).unwrap();
    // The file of a request is no part of the bundle.
    let file = dir.path().join("request.json");
    fs::write(&file, json::request_to_json(request)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_requite"));
    let output = command.arg("eval").arg("--policies").arg(dir.path()).arg(&file).env_clear().output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_request_is_decided_without_a_server_exactly_where_a_server_decides_it() {
    let (code, out, err) = eval(&largest());
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains("\"decisionId\""), "{out}");
    let (code, out, err) = eval(&filled(EVALUATION_MESSAGE_BYTES_MAX + 1));
    assert_eq!((code, out.as_str()), (Some(2), ""));
    let above = format!(
        " has {} bytes as a message, at most {EVALUATION_MESSAGE_BYTES_MAX} are allowed\n  help: a request is one",
        EVALUATION_MESSAGE_BYTES_MAX + 1
    );
    assert!(err.contains(&above), "{err}");
}
