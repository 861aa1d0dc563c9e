//! The admin service over the wire: who may call what, what it answers, and what it bears.

use std::time::{Duration, Instant};

use prost::Message as _;
use requite::api::pb::{
    DiscardCandidateRequest, GetPolicyRequest, GetPolicyStatusRequest, ListPolicyRevisionsRequest, PolicyFile,
    PolicyFiles, PolicyRejection, PromoteCandidateRequest, ReloadPolicyRequest, ReloadTrigger, RestartForecast,
    RollbackPolicyRequest, StageCandidateRequest, ValidatePolicyRequest, WatchPolicyStatusRequest,
};
use requite::server::admin::AdminLimits;
use tokio::time::timeout;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::admin_service::{
    Client, LEAD, NOBODY, PATIENCE, READER, RELOADER, ROLLER, Running, Shows, VALIDATOR, broken, bundle, candidate,
    sent, start, start_showing, start_with, until, write_secret,
};

/// Every method, with the right that it needs.
const METHODS: [(&str, &str); 10] = [
    ("ValidatePolicy", "validate"),
    ("ReloadPolicy", "reload"),
    ("GetPolicyStatus", "read"),
    ("WatchPolicyStatus", "read"),
    ("ListPolicyRevisions", "read"),
    ("GetPolicy", "read"),
    ("RollbackPolicy", "rollback"),
    ("StageCandidate", "reload"),
    ("PromoteCandidate", "reload"),
    ("DiscardCandidate", "reload"),
];

/// Calls a method with a request that is as good as it can be.
async fn call(method: &str, client: &mut Client, in_force: &str) -> Result<(), Status> {
    let digest = in_force.to_owned();
    match method {
        "ValidatePolicy" => client.validate_policy(ValidatePolicyRequest { files: None }).await.map(drop),
        "ReloadPolicy" => client.reload_policy(ReloadPolicyRequest::default()).await.map(drop),
        "GetPolicyStatus" => client.get_policy_status(GetPolicyStatusRequest {}).await.map(drop),
        "WatchPolicyStatus" => match client.watch_policy_status(WatchPolicyStatusRequest {}).await {
            Ok(stream) => stream.into_inner().message().await.map(drop),
            Err(status) => Err(status),
        },
        "ListPolicyRevisions" => client.list_policy_revisions(ListPolicyRevisionsRequest {}).await.map(drop),
        "GetPolicy" => client.get_policy(GetPolicyRequest::default()).await.map(drop),
        "RollbackPolicy" => {
            let request = RollbackPolicyRequest { expected_digest: digest, ..RollbackPolicyRequest::default() };
            client.rollback_policy(request).await.map(drop)
        }
        "StageCandidate" => client.stage_candidate(StageCandidateRequest::default()).await.map(drop),
        "PromoteCandidate" => client
            .promote_candidate(PromoteCandidateRequest {
                expected_digest: digest.clone(),
                digest,
                ..PromoteCandidateRequest::default()
            })
            .await
            .map(drop),
        "DiscardCandidate" => client.discard_candidate(DiscardCandidateRequest::default()).await.map(drop),
        other => panic!("`{other}` is a method"),
    }
}

fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

fn bad_fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let details = status.get_error_details();
    details.bad_request().unwrap().field_violations.iter().map(|violation| violation.field.clone()).collect()
}

fn rejection(status: &Status) -> PolicyRejection {
    let details = tonic_types::pb::Status::decode(status.details()).unwrap().details;
    let any = details.iter().find(|any| any.type_url == "type.googleapis.com/requite.v1.PolicyRejection").unwrap();
    PolicyRejection::decode(any.value.as_slice()).unwrap()
}

#[tokio::test]
async fn every_method_needs_its_right_and_no_other() {
    let server = start().await;
    let callers = [
        (READER, vec!["read"]),
        (VALIDATOR, vec!["validate"]),
        (RELOADER, vec!["reload"]),
        (ROLLER, vec!["rollback"]),
        (LEAD, vec!["read", "validate", "reload", "rollback"]),
    ];
    for (token, rights) in callers {
        let mut client = server.client(token).await;
        for (method, right) in METHODS {
            let result = call(method, &mut client, &server.in_force()).await;
            match rights.contains(&right) {
                false => {
                    let status = result.unwrap_err();
                    assert_eq!(status.code(), Code::PermissionDenied, "{token} {method}");
                    assert_eq!(reason(&status), "RIGHT_MISSING");
                    assert_eq!(status.message(), format!("the right `{right}` is missing"));
                }
                // What it does not find, or will not do, is the desk's answer, not the gate's.
                true => match result.map_err(|status| status.code()) {
                    Ok(()) | Err(Code::NotFound | Code::FailedPrecondition) => {}
                    Err(code) => panic!("{token} {method}: {code}"),
                },
            }
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn nobody_calls_anything_without_valid_credentials() {
    let server = start().await;
    let good = format!("Bearer {LEAD}");
    let nothing = "valid credentials are needed: `authorization: Bearer TOKEN`";
    let wrong = "the token is wrong: this server does not know it";
    let bad = "the header `authorization` must stand once, and be `Bearer TOKEN`";
    let shown = [
        (vec![], nothing),
        (vec![format!("Bearer {NOBODY}")], wrong),
        (vec![format!("Bearer {LEAD}x")], wrong),
        (vec![LEAD.to_owned()], bad),
        (vec![format!("Basic {LEAD}")], bad),
        (vec!["Bearer ".to_owned()], bad),
        (vec![good.clone(), good.clone()], bad),
        (vec!["Bearer cert".to_owned()], wrong),
    ];
    for (headers, message) in shown {
        let mut client = server.client_that(Shows(headers.clone())).await;
        for (method, _) in METHODS {
            let status = call(method, &mut client, &server.in_force()).await.unwrap_err();
            assert_eq!(status.code(), Code::Unauthenticated, "{headers:?} {method}");
            assert_eq!(status.message(), message, "{headers:?}");
            assert!(status.details().is_empty());
        }
    }
    assert_eq!(server.status.borrow().in_force.generation, 1);
    assert_eq!(server.status.borrow().candidate, None);
    server.stop().await;
}

#[tokio::test]
async fn a_token_that_has_expired_is_said_to_be_and_ends_a_watch() {
    let server = start().await;
    let mut client = server.client(READER).await;
    let mut watch = client.watch_policy_status(WatchPolicyStatusRequest {}).await.unwrap().into_inner();
    watch.message().await.unwrap().unwrap();
    let good = format!("rita read {READER} until=2999-01-01T00:00:00Z\nlea read,reload {LEAD}\n");
    write_secret(&server.tokens(), &good);
    client.get_policy_status(GetPolicyStatusRequest {}).await.unwrap();
    write_secret(&server.tokens(), &good.replace("2999", "2001"));
    let mut said = String::new();
    until("the file is read again", async || match client.get_policy_status(GetPolicyStatusRequest {}).await {
        Ok(_) => false,
        Err(status) => {
            assert_eq!(status.code(), Code::Unauthenticated);
            said = status.message().to_owned();
            true
        }
    })
    .await;
    assert_eq!(said, "what was shown has expired: it was good until 2001-01-01T00:00:00Z");
    server.hold(bundle("2"));
    server.client(LEAD).await.reload_policy(ReloadPolicyRequest::default()).await.unwrap();
    assert_eq!(watch.message().await.unwrap_err().message(), said);
    server.stop().await;
}

#[tokio::test]
async fn a_reload_says_what_changed_and_only_over_what_was_expected() {
    let server = start().await;
    let mut client = server.client(LEAD).await;
    let before = server.in_force();
    server.hold(bundle("2"));
    let request = ReloadPolicyRequest { expected_digest: before.clone(), reason: "the new year".into() };
    let done = client.reload_policy(request.clone()).await.unwrap().into_inner().activation.unwrap();
    assert_eq!((done.before_digest.as_str(), done.generation), (before.as_str(), 2));
    assert_eq!(done.after_digest, bundle("2").digest().to_string());
    assert!(!done.changes.is_empty() && done.activated_at.is_some());

    let lost = client.reload_policy(request).await.unwrap_err();
    assert_eq!((lost.code(), reason(&lost).as_str()), (Code::Aborted, "POLICY_DIGEST_MISMATCH"));
    let facts = lost.get_error_details().error_info().unwrap().metadata.clone();
    assert_eq!((facts["expected"].clone(), facts["found"].clone()), (before, done.after_digest));
    server.stop().await;
}

#[tokio::test]
async fn a_rejected_reload_carries_the_diagnostics_and_the_status_all_of_them() {
    let server = start().await;
    let mut client = server.client(LEAD).await;
    server.hold(broken());
    let status = client.reload_policy(ReloadPolicyRequest::default()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "POLICY_REJECTED"));
    let found = rejection(&status);
    assert_eq!(found.digest, broken().digest().to_string());
    assert!(found.diagnostics.iter().any(|it| it.code == "unknown-key" && it.line == 2), "{found:?}");
    assert_eq!(server.in_force(), bundle("1").digest().to_string());

    let status = client.get_policy_status(GetPolicyStatusRequest {}).await.unwrap().into_inner().status.unwrap();
    assert_eq!(status.last_rejection.unwrap().diagnostics.len(), found.diagnostics.len());
    server.stop().await;
}

#[tokio::test]
async fn the_status_tells_where_the_replica_stands() {
    let server = start().await;
    let mut client = server.client(READER).await;
    let status = client.get_policy_status(GetPolicyStatusRequest {}).await.unwrap().into_inner().status.unwrap();
    let in_force = status.in_force.clone().unwrap();
    assert_eq!((in_force.generation, in_force.trigger()), (1, ReloadTrigger::Start));
    assert_eq!((status.policies[0].policy_id.as_str(), status.policies[0].digest.clone()), ("guide", in_force.digest));
    assert_eq!((status.decisions, status.restart()), (7, RestartForecast::Same));
    assert_eq!(status.source.unwrap().location, "memory");
    assert_eq!(status.notices, ["the state directory is full"]);
    assert_eq!(status.server_version, env!("CARGO_PKG_VERSION"));
    server.stop().await;
}

#[tokio::test]
async fn the_status_tells_of_the_money_that_a_candidate_moves() {
    let report = candidate(bundle("2").digest(), bundle("1").digest());
    let server = start_showing(|status| status.candidate = Some(report)).await;
    let mut client = server.client(READER).await;
    let status = client.get_policy_status(GetPolicyStatusRequest {}).await.unwrap().into_inner().status.unwrap();
    let candidate = status.candidate.unwrap();
    assert_eq!((candidate.digest, candidate.compared), (bundle("2").digest().to_string(), 10));
    let difference = candidate.money[0].difference.clone().unwrap();
    assert_eq!((difference.units, difference.nanos, difference.currency_code.as_str()), (-7, -500_000_000, "EUR"));
    server.stop().await;
}

#[tokio::test]
async fn a_candidate_is_staged_promoted_and_rolled_back() {
    let server = start().await;
    let mut client = server.client(LEAD).await;
    let before = server.in_force();
    let files = Some(sent(&bundle("2")));
    let request = StageCandidateRequest { files, sample_per_thousand: 250, ..StageCandidateRequest::default() };
    let staged = client.stage_candidate(request).await.unwrap().into_inner();
    let candidate = staged.candidate.unwrap();
    assert_eq!((candidate.sample_per_thousand, candidate.actor.as_str()), (250, "lea"));
    let other = PromoteCandidateRequest {
        digest: before.clone(),
        expected_digest: before.clone(),
        ..PromoteCandidateRequest::default()
    };
    let status = client.promote_candidate(other).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Aborted, "CANDIDATE_DIGEST_MISMATCH"));

    let mut request = PromoteCandidateRequest {
        digest: candidate.digest.clone(),
        expected_digest: before.clone(),
        reason: "CR-1".to_owned(),
        ..PromoteCandidateRequest::default()
    };
    let status = client.promote_candidate(request.clone()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "CANDIDATE_UNTRIED"));
    request.untried = true;
    let promoted = client.promote_candidate(request).await.unwrap().into_inner();
    assert_eq!(promoted.activation.unwrap().after_digest, candidate.digest);
    assert_eq!(promoted.candidate.unwrap().compared, 0);

    let request = RollbackPolicyRequest { expected_digest: candidate.digest, ..RollbackPolicyRequest::default() };
    let back = client.rollback_policy(request).await.unwrap().into_inner().activation.unwrap();
    assert_eq!((&back.after_digest, back.generation), (&before, 3));
    let listed = client.list_policy_revisions(ListPolicyRevisionsRequest {}).await.unwrap().into_inner();
    let (revisions, promotion) = (listed.revisions, &listed.activations[1]);
    assert_eq!((promotion.actor.as_str(), promotion.reason.as_str()), ("lea", "CR-1"));
    assert_eq!((promotion.trigger(), promotion.generation), (ReloadTrigger::Promotion, 2));
    assert_eq!((&promotion.before_digest, promotion.policies[0].version.as_str()), (&before, "2"));
    let recent = client.get_policy_status(GetPolicyStatusRequest {}).await.unwrap().into_inner().status.unwrap();
    assert_eq!(recent.activations, listed.activations);
    let triggers: Vec<_> = revisions.iter().map(|revision| revision.trigger()).collect();
    // What was in force from the start is listed once, as it came into force last.
    assert_eq!(triggers, [ReloadTrigger::Rollback, ReloadTrigger::Promotion]);
    assert_eq!(revisions[0].actor, "lea");

    let gone = client.discard_candidate(DiscardCandidateRequest::default()).await.unwrap_err();
    assert_eq!((gone.code(), reason(&gone).as_str()), (Code::NotFound, "CANDIDATE_NOT_FOUND"));
    server.stop().await;
}

#[tokio::test]
async fn files_come_back_as_they_went() {
    let server = start().await;
    let mut client = server.client(READER).await;
    let got = client.get_policy(GetPolicyRequest::default()).await.unwrap().into_inner();
    assert_eq!(got.files.unwrap(), sent(&bundle("1")));
    assert_eq!(got.policies[0].rule_count, 1);
    let nowhere = bundle("9").digest().to_string();
    let status = client.get_policy(GetPolicyRequest { digest: nowhere }).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "POLICY_REVISION_NOT_FOUND"));

    let mut client = server.client(VALIDATOR).await;
    let checked = client.validate_policy(ValidatePolicyRequest { files: Some(sent(&bundle("2"))) }).await.unwrap();
    assert!(checked.get_ref().admissible && !checked.get_ref().changes.is_empty());
    let checked = client.validate_policy(ValidatePolicyRequest { files: Some(sent(&broken())) }).await.unwrap();
    assert!(!checked.get_ref().admissible && checked.get_ref().changes.is_empty());
    assert_eq!(checked.get_ref().in_force_digest, server.in_force());
    server.stop().await;
}

#[tokio::test]
async fn every_bad_field_is_named_at_once() {
    let server = start().await;
    let mut client = server.client(LEAD).await;
    let (bad, long) = (|| "blake3:12".to_owned(), "x".repeat(257));
    let request = RollbackPolicyRequest { to_digest: bad(), expected_digest: String::new(), reason: long.clone() };
    let status = client.rollback_policy(request).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["to_digest", "expected_digest", "reason"]);
    let request = PromoteCandidateRequest { reason: long.clone(), ..PromoteCandidateRequest::default() };
    assert_eq!(
        bad_fields(&client.promote_candidate(request).await.unwrap_err()),
        ["digest", "expected_digest", "reason"]
    );
    let request =
        PromoteCandidateRequest { expected_digest: bad(), reason: long.clone(), ..PromoteCandidateRequest::default() };
    assert_eq!(
        bad_fields(&client.promote_candidate(request).await.unwrap_err()),
        ["digest", "expected_digest", "reason"]
    );
    let request = ReloadPolicyRequest { expected_digest: server.in_force().to_uppercase(), reason: long.clone() };
    assert_eq!(bad_fields(&client.reload_policy(request).await.unwrap_err()), ["expected_digest", "reason"]);
    let file = |path: &str| PolicyFile { path: path.into(), content: vec![] };
    let files = Some(PolicyFiles { files: vec![file("../up.yaml"), file("a.yaml"), file("a.yaml")] });
    let request = StageCandidateRequest {
        files: files.clone(),
        sample_per_thousand: 1_001,
        reason: long,
        ..StageCandidateRequest::default()
    };
    let status = client.stage_candidate(request).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["sample_per_thousand", "reason", "files.files[0].path", "files.files[2].path"]);
    let status = client.validate_policy(ValidatePolicyRequest { files }).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["files.files[0].path", "files.files[2].path"]);
    let empty = ValidatePolicyRequest { files: Some(PolicyFiles::default()) };
    assert_eq!(bad_fields(&client.validate_policy(empty).await.unwrap_err()), ["files.files"]);
    assert_eq!(bad_fields(&client.get_policy(GetPolicyRequest { digest: bad() }).await.unwrap_err()), ["digest"]);
    let request = DiscardCandidateRequest { digest: bad(), reason: String::new() };
    assert_eq!(bad_fields(&client.discard_candidate(request).await.unwrap_err()), ["digest"]);
    server.stop().await;
}

#[tokio::test]
async fn a_watch_hears_of_changes_and_ends_with_the_server() {
    let server = start().await;
    let mut reader = server.client(READER).await;
    let mut news = reader.watch_policy_status(WatchPolicyStatusRequest {}).await.unwrap().into_inner();
    let generation = |it: requite::api::pb::WatchPolicyStatusResponse| it.status.unwrap().in_force.unwrap().generation;
    assert_eq!(generation(news.message().await.unwrap().unwrap()), 1);
    server.hold(bundle("2"));
    server.client(RELOADER).await.reload_policy(ReloadPolicyRequest::default()).await.unwrap();
    assert_eq!(generation(timeout(PATIENCE, news.message()).await.unwrap().unwrap().unwrap()), 2);
    let begun = Instant::now();
    let ended = server.begin_stop();
    let status = timeout(PATIENCE, news.message()).await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    drop((news, reader));
    timeout(PATIENCE, ended).await.unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(8), "a watch does not hold the stop up");
}

#[tokio::test]
async fn a_watch_ends_at_its_deadline_and_with_its_right() {
    let server = start().await;
    let mut client = server.client(READER).await;
    let mut request = tonic::Request::new(WatchPolicyStatusRequest {});
    request.metadata_mut().insert("grpc-timeout", "200m".parse().unwrap());
    let mut news = client.watch_policy_status(request).await.unwrap().into_inner();
    assert!(news.message().await.unwrap().is_some());
    let over = timeout(PATIENCE, news.message()).await.unwrap().unwrap_err();
    assert_eq!(over.code(), Code::DeadlineExceeded);

    let mut news = client.watch_policy_status(WatchPolicyStatusRequest {}).await.unwrap().into_inner();
    assert!(news.message().await.unwrap().is_some());
    write_secret(&server.tokens(), &format!("lea read,reload {LEAD}\n"));
    until("the token is gone", async || {
        client.get_policy_status(GetPolicyStatusRequest {}).await.is_err_and(|it| it.code() == Code::Unauthenticated)
    })
    .await;
    server.hold(bundle("2"));
    server.client(LEAD).await.reload_policy(ReloadPolicyRequest::default()).await.unwrap();
    let over = timeout(PATIENCE, news.message()).await.unwrap().unwrap_err();
    assert_eq!(over.code(), Code::Unauthenticated);
    server.stop().await;
}

#[tokio::test]
async fn there_are_only_so_many_watchers() {
    let server = start_with(|config| config.limits = AdminLimits { watchers_max: 2, ..config.limits }).await;
    let mut client = server.client(READER).await;
    let watch = async |client: &mut Client| client.watch_policy_status(WatchPolicyStatusRequest {}).await;
    let (first, _second) = (watch(&mut client).await.unwrap(), watch(&mut client).await.unwrap());
    let status = watch(&mut client).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.get_error_details().retry_info().is_some());
    drop(first);
    until("a place is free again", async || watch(&mut client).await.is_ok()).await;
    server.stop().await;
}

/// Files that take as much room as a bundle may.
fn large(bytes: usize) -> PolicyFiles {
    let part = 31 * 1024 * 1024;
    let file = |place: usize, length| PolicyFile { path: format!("{place}.txt"), content: vec![b'#'; length] };
    let files = (0..).map(|place| (place, bytes.saturating_sub(place * part).min(part))).take_while(|it| 0 < it.1);
    PolicyFiles { files: files.map(|(place, length)| file(place, length)).collect() }
}

#[tokio::test]
async fn bundles_of_the_largest_size_pass_and_larger_ones_do_not() {
    let server = start().await;
    let mut client = server.client(LEAD).await;
    let largest = ValidatePolicyRequest { files: Some(large(64 * 1024 * 1024)) };
    let checked = client.validate_policy(largest).await.unwrap().into_inner();
    assert!(!checked.admissible, "a bundle without a policy is none");
    // Within the bound of the message, above that of the bundle: a bad field.
    let above = ValidatePolicyRequest { files: Some(large(64 * 1024 * 1024 + 1)) };
    assert_eq!(bad_fields(&client.validate_policy(above).await.unwrap_err()), ["files.files"]);
    let beyond = ValidatePolicyRequest { files: Some(large(66 * 1024 * 1024)) };
    assert_eq!(client.validate_policy(beyond).await.unwrap_err().code(), Code::ResourceExhausted);
    server.stop().await;
}

#[tokio::test]
async fn what_carries_no_files_stays_small_and_nobody_unknown_sends_anything() {
    let server = start().await;
    let mut client = server.client(LEAD).await;
    let huge = || ReloadPolicyRequest { reason: "x".repeat(65 * 1024), ..ReloadPolicyRequest::default() };
    assert_eq!(client.reload_policy(huge()).await.unwrap_err().code(), Code::ResourceExhausted);
    // Who may not is told so before the message is looked at.
    let status = server.client(READER).await.reload_policy(huge()).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let status =
        server.client(NOBODY).await.validate_policy(ValidatePolicyRequest { files: Some(large(8 << 20)) }).await;
    assert_eq!(status.unwrap_err().code(), Code::Unauthenticated);
    server.stop().await;
}

#[tokio::test]
async fn large_calls_wait_for_one_another() {
    let server = start_with(|config| config.limits = AdminLimits { large_calls_max: 1, ..config.limits }).await;
    let mut calls = Vec::new();
    for _ in 0..4 {
        let mut client = server.client(VALIDATOR).await;
        calls.push(tokio::spawn(async move {
            client.validate_policy(ValidatePolicyRequest { files: Some(large(1024 * 1024)) }).await.map(drop)
        }));
    }
    for call in calls {
        timeout(PATIENCE, call).await.unwrap().unwrap().unwrap();
    }
    server.stop().await;
}

#[tokio::test]
async fn a_deadline_ends_the_wait_and_not_what_was_asked() {
    let server = start().await;
    *server.slowness.lock().unwrap() = Duration::from_millis(2_000);
    server.hold(bundle("2"));
    let mut client = server.client(LEAD).await;
    let mut request = tonic::Request::new(ReloadPolicyRequest::default());
    request.metadata_mut().insert("grpc-timeout", "500m".parse().unwrap());
    // The client's own timer says `cancelled`.
    let code = client.reload_policy(request).await.unwrap_err().code();
    assert!(matches!(code, Code::DeadlineExceeded | Code::Cancelled), "{code:?}");
    assert_eq!(server.in_force(), bundle("1").digest().to_string());
    until("it is done all the same", async || server.in_force() == bundle("2").digest().to_string()).await;

    let mut request = tonic::Request::new(ListPolicyRevisionsRequest {});
    request.metadata_mut().insert("grpc-timeout", "soon".parse().unwrap());
    assert_eq!(client.list_policy_revisions(request).await.unwrap_err().code(), Code::InvalidArgument);
    server.stop().await;
}

#[tokio::test]
async fn a_call_outlasts_no_limit() {
    let limit = Duration::from_millis(100);
    let server = start_with(|config| config.limits = AdminLimits { call_time_max: limit, ..config.limits }).await;
    *server.slowness.lock().unwrap() = PATIENCE;
    let mut client = server.client(LEAD).await;
    for method in ["ListPolicyRevisions", "ReloadPolicy"] {
        let begun = Instant::now();
        let status = call(method, &mut client, &server.in_force()).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{method}");
        assert!(limit <= begun.elapsed());
    }
    server.stop().await;
}

#[tokio::test]
async fn without_anyone_at_the_desk_it_is_unavailable() {
    let server = start().await;
    server.queue.abort();
    let mut client = server.client(LEAD).await;
    until("the desk is closed", async || {
        let status = call("ListPolicyRevisions", &mut client, &server.in_force()).await.unwrap_err();
        status.code() == Code::Unavailable
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn what_has_begun_is_finished_at_the_stop() {
    let server = start().await;
    *server.slowness.lock().unwrap() = Duration::from_millis(300);
    server.hold(bundle("2"));
    let mut client = server.client(LEAD).await;
    let reload = tokio::spawn(async move { client.reload_policy(ReloadPolicyRequest::default()).await });
    server.begins_after(0).await;
    server.stop().await;
    let done = reload.await.unwrap().unwrap().into_inner().activation.unwrap();
    assert_eq!(done.generation, 2);
}

#[tokio::test]
async fn reflection_is_for_those_who_may_call() {
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    async fn services(server: &Running, shows: Shows) -> Result<Vec<String>, Status> {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
        let channel = endpoint.connect().await.unwrap();
        let mut client = ServerReflectionClient::with_interceptor(channel, shows);
        let list = MessageRequest::ListServices(String::new());
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(list) };
        let mut answers = client.server_reflection_info(tokio_stream::iter([request])).await?.into_inner();
        let answer = answers.message().await?.unwrap().message_response;
        let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("{answer:?}") };
        Ok(list.service.into_iter().map(|it| it.name).collect())
    }

    let server = start().await;
    let services_seen = services(&server, Shows(vec![format!("Bearer {ROLLER}")])).await.unwrap();
    assert_eq!(services_seen, ["requite.v1.PolicyAdminService"]);
    let status = services(&server, Shows(vec![])).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    server.stop().await;
}

#[tokio::test]
async fn the_service_of_callers_is_not_here() {
    use requite::api::pb::GetServerInfoRequest;
    use requite::api::pb::refund_policy_service_client::RefundPolicyServiceClient;
    let server = start().await;
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    let channel = endpoint.connect().await.unwrap();
    for (shows, code) in
        [(Shows(vec![]), Code::Unauthenticated), (Shows(vec![format!("Bearer {LEAD}")]), Code::Unimplemented)]
    {
        let mut client = RefundPolicyServiceClient::with_interceptor(channel.clone(), shows);
        assert_eq!(client.get_server_info(GetServerInfoRequest {}).await.unwrap_err().code(), code);
    }
    server.stop().await;
}
