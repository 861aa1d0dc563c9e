//! What the log says of admins: who, what, before, after; and never a token. One test, because the log
//! is that of the process.
#![cfg(test)]

#[path = "support/mod.rs"]
mod support;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use requite::api::pb::{
    GetPolicyStatusRequest, ReloadPolicyRequest, RollbackPolicyRequest, StageCandidateRequest, WatchPolicyStatusRequest,
};
use serde_json::Value;
use tonic::Code;

use crate::support::admin_service::{
    LEAD, NOBODY, READER, RELOADER, ROLLER, Shows, broken, bundle, credentials, sent, start, until, write_secret,
};

/// The log of this process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn records(&self) -> Vec<Value> {
        let lines: Vec<Value> = self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        lines.into_iter().filter(|line| line["target"] == "requite::audit").collect()
    }

    /// The only record since so many.
    fn record_after(&self, count: usize) -> Value {
        let mut records = self.records();
        assert_eq!(records.len(), count + 1, "{records:#?}");
        records.remove(count)
    }
}

#[tokio::test]
async fn every_call_leaves_a_record_and_no_record_a_token() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .init();
    let server = start().await;
    let mut client = server.client(LEAD).await;
    let (one, two) = (bundle("1").digest().to_string(), bundle("2").digest().to_string());

    // A change: who, what, why, before, after.
    server.hold(bundle("2"));
    let request = ReloadPolicyRequest { expected_digest: one.clone(), reason: "new\nyear \u{1b}[31m".into() };
    client.reload_policy(request.clone()).await.unwrap();
    let record = log.record_after(0);
    assert_eq!((record["actor"].as_str(), record["shown_by"].as_str()), (Some("lea"), Some("token")));
    assert!(record["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{record}");
    assert_eq!((record["method"].as_str(), record["code"].as_str()), (Some("ReloadPolicy"), Some("OK")));
    assert_eq!(record["reason"], "new\nyear \u{1b}[31m");
    assert_eq!(
        (&record["expected"], &record["before"], &record["after"]),
        (&one.clone().into(), &one.clone().into(), &two.clone().into())
    );
    assert_eq!((record["generation"].as_u64(), record["level"].as_str()), (Some(2), Some("INFO")));

    // A change that was not made.
    assert_eq!(client.reload_policy(request).await.unwrap_err().code(), Code::Aborted);
    let record = log.record_after(1);
    assert_eq!(
        (record["code"].as_str(), &record["before"], &record["expected"], &record["found"], record.get("after")),
        (Some("ABORTED"), &two.clone().into(), &one.clone().into(), &two.clone().into(), None)
    );
    server.hold(broken());
    client.reload_policy(ReloadPolicyRequest::default()).await.unwrap_err();
    let record = log.record_after(2);
    assert_eq!((record["code"].as_str(), record.get("after")), (Some("FAILED_PRECONDITION"), None));

    // One that may not be made, and one that nobody can read.
    server.client(READER).await.reload_policy(ReloadPolicyRequest::default()).await.unwrap_err();
    let record = log.record_after(3);
    assert_eq!((record["actor"].as_str(), record["code"].as_str()), (Some("rita"), Some("PERMISSION_DENIED")));
    server.client(ROLLER).await.rollback_policy(RollbackPolicyRequest::default()).await.unwrap_err();
    let record = log.record_after(4);
    assert_eq!((record["actor"].as_str(), record["code"].as_str()), (Some("rolf"), Some("INVALID_ARGUMENT")));

    // A candidate, by its digest.
    let request = StageCandidateRequest {
        files: Some(sent(&bundle("3"))),
        sample_per_thousand: 5,
        replace: true,
        ..StageCandidateRequest::default()
    };
    server.client(RELOADER).await.stage_candidate(request).await.unwrap();
    let record = log.record_after(5);
    assert_eq!(record["digest"], bundle("3").digest().to_string());
    assert_eq!((record["sample_per_thousand"].as_u64(), record["actor"].as_str()), (Some(5), Some("relo")));
    assert_eq!((record["replace"].as_bool(), record.get("untried")), (Some(true), None));

    // Reading, and watching.
    client.get_policy_status(GetPolicyStatusRequest {}).await.unwrap();
    let record = log.record_after(6);
    assert_eq!((record["method"].as_str(), record.get("after")), (Some("GetPolicyStatus"), None));
    drop(client.watch_policy_status(WatchPolicyStatusRequest {}).await.unwrap());
    assert_eq!(log.record_after(7)["method"], "WatchPolicyStatus");

    // Whose caller is gone: it is done, and the record says so.
    server.hold(bundle("4"));
    *server.slowness.lock().unwrap() = Duration::from_millis(300);
    let begun = server.begun();
    let gone = tokio::spawn(async move { client.reload_policy(ReloadPolicyRequest::default()).await });
    server.begins_after(begun).await;
    gone.abort();
    until("the record of it", async || log.records().len() == 9).await;
    let record = log.record_after(8);
    assert_eq!((record["code"].as_str(), &record["after"]), (Some("OK"), &bundle("4").digest().to_string().into()));

    // Two at once: what the first one put in force is no work of the second one, who is refused because of it.
    *server.slowness.lock().unwrap() = Duration::from_millis(300);
    server.hold(bundle("5"));
    let (four, five) = (bundle("4").digest().to_string(), bundle("5").digest().to_string());
    let begun = server.begun();
    let (mut first, mut second) = (server.client(RELOADER).await, server.client(LEAD).await);
    let first = tokio::spawn(async move { first.reload_policy(ReloadPolicyRequest::default()).await });
    server.begins_after(begun).await;
    let request = ReloadPolicyRequest { expected_digest: four.clone(), ..ReloadPolicyRequest::default() };
    assert_eq!(second.reload_policy(request).await.unwrap_err().code(), Code::Aborted);
    first.await.unwrap().unwrap();
    let of = |actor: &str| log.records().into_iter().skip(9).find(|record| record["actor"] == actor).unwrap();
    let record = of("relo");
    assert_eq!((&record["before"], &record["after"]), (&four.clone().into(), &five.clone().into()));
    let record = of("lea");
    assert_eq!((record["code"].as_str(), record.get("after")), (Some("ABORTED"), None), "{record}");
    assert_eq!(
        (&record["before"], &record["expected"], &record["found"]),
        (&four.clone().into(), &four.into(), &five.into())
    );

    // A reader whose caller is gone is given up.
    *server.slowness.lock().unwrap() = Duration::from_secs(60);
    let begun = server.begun();
    let mut client = server.client(READER).await;
    let gone =
        tokio::spawn(
            async move { client.list_policy_revisions(requite::api::pb::ListPolicyRevisionsRequest {}).await },
        );
    server.begins_after(begun).await;
    gone.abort();
    until("the record of it", async || log.records().len() == 12).await;
    let record = log.record_after(11);
    assert_eq!((record["code"].as_str(), record.get("after")), (Some("CANCELLED"), None));

    // Without credentials: told, without the secret, and not for ever.
    let mut nobody = server.client(NOBODY).await;
    for _ in 0..50 {
        nobody.get_policy_status(GetPolicyStatusRequest {}).await.unwrap_err();
    }
    let mut odd = server.client_that(Shows(vec![format!("Basic {NOBODY}")])).await;
    odd.get_policy_status(GetPolicyStatusRequest {}).await.unwrap_err();
    let failed: Vec<_> = log.records().into_iter().filter(|record| record["code"] == "UNAUTHENTICATED").collect();
    assert_eq!(failed.len(), 10);
    assert_eq!((failed[0]["cause"].as_str(), failed[0]["level"].as_str()), (Some("unknown_token"), Some("WARN")));

    // A broken file of credentials is told, without what is in it.
    write_secret(&server.tokens(), &format!("{LEAD} lea read\n{}", credentials()));
    until("the log tells of the broken file", async || log.text().contains("credentials of admins are broken")).await;
    write_secret(&server.tokens(), &credentials());
    until("the log tells of the good file", async || log.text().contains("credentials of admins read again")).await;

    server.stop().await;
    let text = log.text();
    for token in [LEAD, READER, RELOADER, ROLLER, NOBODY] {
        // As it is, and as what it is compared by. The whole log was looked at, at its most detailed level,
        // without the targets that the program never writes there.
        let own: Vec<_> = text
            .lines()
            .filter(|line| {
                !["\"target\":\"h2", "\"target\":\"hyper", "\"target\":\"tonic", "\"target\":\"tower"]
                    .iter()
                    .any(|it| line.contains(it))
            })
            .filter(|line| line.contains(token) || line.contains(blake3::hash(token.as_bytes()).to_hex().as_str()))
            .collect();
        assert!(own.is_empty(), "{own:#?}");
    }
}
