//! Calls over a socket: answers, statuses, health, reflection.

use std::time::{Duration, Instant};

use prost::Message as _;
use prost_types::FileDescriptorProto;
use requite::api::limits::OPEN_ENDED_CALLS_MAX;
use requite::api::pb;
use requite::api::pb::batch_item::Answer;
use requite::api::pb::refund_policy_service_client::RefundPolicyServiceClient;
use requite::client;
use requite::server::ServerConfig;
use tokio_stream::StreamExt as _;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_types::StatusExt as _;

use crate::support::grpc::{PATIENCE, Running, admission, start};

const SERVICE: &str = "requite.v1.RefundPolicyService";

async fn policy_client(server: &Running) -> RefundPolicyServiceClient<Channel> {
    RefundPolicyServiceClient::new(server.channel().await)
}

/// Sends any message to any method, whatever the method takes.
async fn send<M>(server: &Running, method: &'static str, message: M) -> Status
where
    M: prost::Message + Send + Sync + 'static,
{
    let channel = server.channel().await;
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<M, ()>::default();
    let path = PathAndQuery::from_maybe_shared(format!("/{SERVICE}/{method}")).unwrap();
    grpc.unary(Request::new(message), path, codec).await.unwrap_err()
}

#[tokio::test]
async fn server_info_follows_what_is_in_force() {
    let mut server = start(ServerConfig::default()).await;
    let mut client = policy_client(&server).await;
    let before = client.get_server_info(pb::GetServerInfoRequest {}).await.unwrap().into_inner();
    assert_eq!((before.default_policy_id.as_str(), before.generation), ("guide", 1));
    let over = server.activator.current();
    let activation = server.activator.activate(&over, admission("two")).unwrap();
    let after = client.get_server_info(pb::GetServerInfoRequest {}).await.unwrap().into_inner();
    assert_eq!((after.generation, after.digest), (2, activation.after.to_string()));
    assert_ne!(before.digest, activation.after.to_string());
    server.stop().await;
}

#[tokio::test]
async fn unknown_policies_and_pins_that_do_not_hold_end_with_their_reasons() {
    let server = start(ServerConfig::default()).await;
    let mut client = policy_client(&server).await;
    let request = pb::EvaluateRefundRequest { policy_id: "other".into(), ..pb::EvaluateRefundRequest::default() };
    let status = client.evaluate_refund(request).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(status.get_error_details().error_info().unwrap().reason, "POLICY_NOT_FOUND");
    let pinned = pb::EvaluateRefundRequest { min_generation: 2, ..pb::EvaluateRefundRequest::default() };
    let status = client.evaluate_refund(pinned).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    let details = status.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!(info.reason, "POLICY_REVISION_NOT_AVAILABLE");
    assert_eq!(info.metadata["generation"], "1");
    assert!(info.metadata["digest"].starts_with("blake3:"));
    server.stop().await;
}

#[tokio::test]
async fn every_item_of_a_batch_has_its_own_status() {
    let server = start(ServerConfig::default()).await;
    let mut client = policy_client(&server).await;
    let unknown = pb::EvaluateRefundRequest { policy_id: "other".into(), ..pb::EvaluateRefundRequest::default() };
    let pinned = pb::EvaluateRefundRequest { policy_digest: "none".into(), ..pb::EvaluateRefundRequest::default() };
    let requests = vec![unknown.clone(), pinned];
    let response =
        client.batch_evaluate_refund(pb::BatchEvaluateRefundRequest { requests }).await.unwrap().into_inner();
    let codes: Vec<_> = response
        .items
        .iter()
        .map(|item| match item.answer.as_ref().unwrap() {
            Answer::Error(error) => Code::from(error.code),
            Answer::Response(_) => Code::Ok,
        })
        .collect();
    assert_eq!(codes, [Code::NotFound, Code::FailedPrecondition]);
    assert_eq!(response.generation, 1);
    let too_many = pb::BatchEvaluateRefundRequest { requests: vec![unknown; 1_001] };
    let status = client.batch_evaluate_refund(too_many).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.get_error_details().bad_request().unwrap().field_violations[0].field, "requests");
    server.stop().await;
}

#[tokio::test]
async fn messages_that_cannot_be_read_have_standard_statuses_and_fixed_texts() {
    let server = start(ServerConfig::default()).await;
    // A number where a text belongs.
    let status = send(&server, "EvaluateRefund", prost_types::Timestamp { seconds: 5, nanos: 0 }).await;
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.message(), "the message is not a valid request of this method");
    let large = |bytes| pb::EvaluateRefundRequest { request_id: "x".repeat(bytes), ..Default::default() };
    let status = send(&server, "EvaluateRefund", large(256 * 1024 + 1)).await;
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.message(), "the message is larger than this method accepts");
    let status = send(&server, "ValidateEvidence", large(1024 * 1024 + 1)).await;
    assert_eq!(status.code(), Code::ResourceExhausted);
    let status = send(&server, "NoSuchMethod", ()).await;
    assert_eq!(status.code(), Code::Unimplemented);
    server.stop().await;
}

#[tokio::test]
async fn evidence_has_more_room_than_one_evaluation() {
    let server = start(ServerConfig::default()).await;
    let mut client = policy_client(&server).await;
    let request = pb::ValidateEvidenceRequest {
        request_id: "x".repeat(512 * 1024),
        policy_id: "other".into(),
        ..pb::ValidateEvidenceRequest::default()
    };
    assert_eq!(client.validate_evidence(request).await.unwrap_err().code(), Code::NotFound);
    server.stop().await;
}

#[tokio::test]
async fn deadlines_must_be_readable() {
    let server = start(ServerConfig::default()).await;
    let mut client = policy_client(&server).await;
    let mut request = Request::new(pb::GetServerInfoRequest {});
    request.metadata_mut().insert("grpc-timeout", "5x".parse().unwrap());
    assert_eq!(client.get_server_info(request).await.unwrap_err().code(), Code::InvalidArgument);
    let mut request = Request::new(pb::GetServerInfoRequest {});
    request.set_timeout(Duration::from_secs(5));
    client.get_server_info(request).await.unwrap();
    let mut health = HealthClient::new(server.channel().await);
    let mut request = Request::new(HealthCheckRequest::default());
    request.metadata_mut().insert("grpc-timeout", "5x".parse().unwrap());
    assert_eq!(health.check(request).await.unwrap_err().code(), Code::InvalidArgument);
    server.stop().await;
}

#[tokio::test]
async fn health_is_told_for_the_server_and_for_the_service() {
    let server = start(ServerConfig::default()).await;
    let mut client = HealthClient::new(server.channel().await);
    for service in ["", SERVICE] {
        let answer = client.check(HealthCheckRequest { service: service.into() }).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    let status = client.check(HealthCheckRequest { service: "other".into() }).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    server.stop().await;
}

#[tokio::test]
async fn reflection_lists_the_services() {
    let server = start(ServerConfig::default()).await;
    let mut client = ServerReflectionClient::new(server.channel().await);
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let answer = answers.next().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    for name in [SERVICE, "grpc.health.v1.Health"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let ours: Vec<_> = names.iter().filter(|name| name.starts_with("requite.")).collect();
    assert_eq!(ours, [&SERVICE], "what another listener serves is not shown");
    server.stop().await;
}

#[tokio::test]
async fn reflection_tells_what_messages_mean_and_nothing_of_admins() {
    let server = start(ServerConfig::default()).await;
    let mut client = ServerReflectionClient::new(server.channel().await);
    let asked = async |client: &mut ServerReflectionClient<Channel>, symbol: &str| {
        let message_request = Some(MessageRequest::FileContainingSymbol(symbol.to_owned()));
        let request = ServerReflectionRequest { host: String::new(), message_request };
        let mut answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
        answers.next().await.unwrap().map(|answer| answer.message_response.unwrap())
    };
    for (symbol, comment) in [
        ("requite.v1.RefundPolicyService", " Decides one claim on one order."),
        ("requite.v1.Order", " The caller's id of the order."),
    ] {
        let answer = asked(&mut client, symbol).await.unwrap();
        let MessageResponse::FileDescriptorResponse(files) = answer else { panic!("{answer:?}") };
        let file =
            files.file_descriptor_proto.iter().map(|bytes| FileDescriptorProto::decode(bytes.as_slice()).unwrap());
        let comments: Vec<String> = file
            .flat_map(|file| file.source_code_info.unwrap_or_default().location)
            .map(|location| location.leading_comments().to_owned())
            .collect();
        assert!(comments.iter().any(|text| text.starts_with(comment)), "{symbol}: {comments:#?}");
    }
    for symbol in ["requite.v1.PolicyAdminService", "requite.v1.ReloadPolicyRequest"] {
        assert_eq!(asked(&mut client, symbol).await.unwrap_err().code(), Code::NotFound, "{symbol}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_client_says_what_failed_and_what_to_do() {
    let server = start(ServerConfig::default()).await;
    let addr = server.addr.to_string();
    let request = || pb::EvaluateRefundRequest { policy_id: "other".into(), ..pb::EvaluateRefundRequest::default() };
    let error = client::call(&addr, request()).await.unwrap_err();
    assert!(!error.is_transient());
    assert_eq!(error.to_string(), format!("{addr} did not answer: NOT_FOUND: there is no policy `other` here"));
    server.stop().await;
    let error = client::call(&addr, request()).await.unwrap_err();
    assert!(error.is_transient());
    assert_eq!(error.to_string(), format!("cannot connect to {addr}"));
    let error = client::call("not an address", request()).await.unwrap_err();
    assert!(error.to_string().contains("is not an address"), "{error}");
}

#[tokio::test]
async fn calls_without_an_end_are_few_on_one_connection() {
    let server = start(ServerConfig::default()).await;
    let watch = async |health: &HealthClient<Channel>| health.clone().watch(HealthCheckRequest::default()).await;
    let health = HealthClient::new(server.channel().await);
    let mut open = Vec::new();
    for _ in 0..OPEN_ENDED_CALLS_MAX {
        open.push(watch(&health).await.unwrap());
    }
    let refused = watch(&health).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(refused.get_details_error_info().unwrap().reason, "TOO_MANY_OPEN_CALLS");
    // Calls that end, and other connections, are not concerned.
    health.clone().check(HealthCheckRequest::default()).await.unwrap();
    drop(watch(&HealthClient::new(server.channel().await)).await.unwrap());
    // Each has a place until it ends.
    drop(open.pop());
    let begun = Instant::now();
    while watch(&health).await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "its place is free");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(open);
    server.stop().await;
}
