//! The road as admins meet it: what they ask for, what they are told, what stays out.

use std::fs;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ReloadTrigger::{Admin, FileChange, Poll, Rollback, Signal, Start};
use requite::domain::money::{Amount, Currency};
use requite::domain::words::Outcome;
use requite::engine::candidate::Observed;
use requite::engine::status::{Admissible, Hold, KnownGood, Refusal, RestartForecast, StartedFrom, WhyFailed};
use requite::policy::bundle::Digest;
use requite::policy::diff::ChangeKind;
use requite::reload::flap_damper::FlapLimits;
use requite::reload::handle::{Knowing, ReloadCommand, Replace};
use requite::reload::{GoodAfter, ReloadConfig};
use requite::telemetry::labels::{ReloadTrigger, Success};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::support::reload::{BY_HAND, PATIENCE, Place, Running, bundle, digest, text};

#[tokio::test]
async fn a_reload_tells_what_changed_hands() {
    let place = Place::new("1");
    let running = place.run(BY_HAND);
    let status = running.status();
    assert_eq!((status.in_force.trigger, status.started_from), (Start, StartedFrom::Source));
    assert_eq!((status.restart.clone(), status.source.in_sync_at.is_some()), (RestartForecast::Same, true));

    let report = running.put("2").await;
    assert_eq!((report.before, report.after, report.generation), (digest("1"), digest("2"), 2));
    assert_eq!(running.generation(), 2);
    assert!(report.changes.shown.iter().any(|change| change.kind == ChangeKind::Changed), "{:?}", report.changes);
    let status = running.status();
    assert_eq!((status.in_force.digest, status.in_force.generation), (digest("2"), 2));
    assert_eq!((status.in_force.trigger, status.in_force.actor.as_str()), (Admin, "ops"));
    assert_eq!((status.restart.clone(), status.last_failure.clone()), (RestartForecast::Same, None));

    let again = running.reload(Some(digest("2"))).await.unwrap();
    assert_eq!((again.before, again.after, again.generation), (digest("2"), digest("2"), 2));
    assert_eq!((again.changes.shown.len(), again.at), (0, report.at));
    running.end().await;
}

/// What was expected, what is in force, and what put it there.
fn overtaken<T: std::fmt::Debug>(result: Result<T, Refusal>) -> (Digest, Digest, ReloadTrigger) {
    let Err(Refusal::OtherInForce { expected, found, origin }) = result else { panic!("{result:?}") };
    (expected, found, origin.unwrap().trigger)
}

#[tokio::test]
async fn a_reload_that_expects_something_else_reads_nothing() {
    let place = Place::new("1");
    let running = place.run(BY_HAND);
    running.write(&text("2"));
    let refused = running.reload(Some(digest("9"))).await;
    assert_eq!(overtaken(refused), (digest("9"), digest("1"), ReloadTrigger::Start));
    assert_eq!((running.generation(), running.reads.load(Ordering::SeqCst)), (1, 0));
    running.end().await;
}

#[tokio::test]
async fn reloads_that_wait_share_one_read_and_are_held_against_what_they_expect_one_by_one() {
    let place = Place::new("1");
    let laid = place.lay(BY_HAND);
    place.write(&text("2"));
    let (asks, signal) = (laid.handles.reload.commands.clone(), laid.handles.signal.clone());
    let mut answers = Vec::new();
    for expected in [Some(digest("1")), Some(digest("1")), Some(digest("2")), None] {
        let (reply, answer) = oneshot::channel();
        asks.try_send(ReloadCommand::Reload { expected, requester: "ops".into(), reply }).unwrap();
        answers.push(answer);
    }
    signal.notify(FileChange);
    drop(asks);
    let running = laid.run();
    let mut results = Vec::new();
    for answer in answers {
        let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
        results.push(answer.map(|report| (report.before, report.after, report.generation)));
    }
    // All at once expected "2" before it was there: only what was in force then counts.
    assert_eq!(results[0], Ok((digest("1"), digest("2"), 2)));
    assert_eq!(results[3], Ok((digest("2"), digest("2"), 2)));
    assert_eq!(overtaken(results.remove(1)), (digest("1"), digest("2"), ReloadTrigger::Admin));
    assert_eq!(overtaken(results.remove(1)), (digest("2"), digest("1"), ReloadTrigger::Start));
    assert_eq!(running.reads.load(Ordering::SeqCst), 1, "and the hint rode along");
    running.end().await;
}

#[tokio::test]
async fn a_rejected_reload_is_told_in_full_and_stays_in_the_status_until_one_succeeds() {
    let place = Place::new("1");
    let running = place.run(BY_HAND);
    running.write("policy: [\n");
    let Err(Refusal::Failed(failed)) = running.reload(None).await else { panic!("it is rejected") };
    let WhyFailed::Rejected { digest: rejected, diagnostics, .. } = &failed.why else { panic!("{failed:?}") };
    assert_eq!(*rejected, bundle("policy: [\n").digest());
    assert!(diagnostics.iter().any(|diagnostic| diagnostic.place.is_some()), "{diagnostics:?}");
    let status = running.status();
    assert_eq!((status.in_force.digest, running.generation()), (digest("1"), 1));
    assert_eq!((status.last_failure.as_ref(), status.restart.clone()), (Some(&failed), RestartForecast::Failure));
    assert_eq!((status.last_attempt.success, status.source.digest), (Success::No, Some(*rejected)));

    running.write(&text("1"));
    running.hint(FileChange).await;
    let status = running.status();
    assert_eq!((status.last_failure.clone(), status.restart.clone()), (None, RestartForecast::Same));
    assert_eq!(status.last_attempt.success, Success::Yes);

    fs::remove_dir_all(place.source()).unwrap();
    let Err(Refusal::Failed(failed)) = running.reload(None).await else { panic!("it is unreadable") };
    assert!(matches!(&failed.why, WhyFailed::Unreadable(problems) if problems.len() == 1), "{failed:?}");
    let status = running.status();
    assert_eq!((status.source.digest, status.restart.clone()), (None, RestartForecast::Failure));
    running.end().await;
}

#[tokio::test]
async fn policies_whose_own_cases_fail_are_not_put_in_force() {
    let place = Place::new("1");
    let running = place.run(BY_HAND);
    let cases = "given: { paid: 10.00, requested_at: 2026-06-20T09:00:00+02:00 }\ncases:\n  - case: all of it\n    given: {}\n    expect: { outcome: approved_full }\n";
    fs::write(place.source().join("shop.cases.yaml"), cases).unwrap();
    let Err(Refusal::Failed(failed)) = running.reload(None).await else { panic!("its case fails") };
    let WhyFailed::Rejected { diagnostics, .. } = &failed.why else { panic!("{failed:?}") };
    assert!(diagnostics.iter().any(|diagnostic| diagnostic.code == "case-failed"), "{diagnostics:?}");
    fs::write(place.source().join("shop.cases.yaml"), cases.replace("approved_full", "denied")).unwrap();
    assert_eq!(running.reload(None).await.unwrap().cases_passed, 1);
    running.end().await;
}

#[tokio::test]
async fn going_back_makes_a_new_generation_and_the_source_stays_out() {
    let place = Place::new("1");
    let running = place.run(BY_HAND);
    running.put("2").await;
    let report = running.roll_back(None).await.unwrap();
    assert_eq!((report.before, report.after, report.generation), (digest("2"), digest("1"), 3));
    assert!(!report.changes.shown.is_empty());
    assert_eq!(report.notices[0], format!("marked as rolled back from: {}", digest("2")));
    assert!(report.notices[1].contains("a restart would put it in force"), "{:?}", report.notices);
    let status = running.until("the source is kept out", |status| status.source.hold == Hold::Overridden).await;
    assert_eq!((status.in_force.trigger, status.restart.clone()), (Rollback, RestartForecast::Other(digest("2"))));

    for trigger in [Poll, FileChange] {
        running.hint(trigger).await;
        assert_eq!((running.digest(), running.generation()), (digest("1"), 3), "{trigger:?}");
        assert_eq!(running.status().source.hold, Hold::Overridden);
    }
    // Broken and taken back is still what was rolled back from.
    running.write("policy: [\n");
    running.hint(FileChange).await;
    running.write(&text("2"));
    running.hint(FileChange).await;
    assert_eq!((running.generation(), running.status().source.hold), (3, Hold::Overridden));
    // Something else is not.
    running.write(&text("3"));
    running.hint(FileChange).await;
    assert_eq!((running.digest(), running.generation(), running.status().source.hold), (digest("3"), 4, Hold::None));
    // And then what was rolled back from still stays out, whoever put it there again.
    running.write(&text("2"));
    for trigger in [FileChange, Poll, Signal] {
        running.hint(trigger).await;
        assert_eq!((running.digest(), running.generation()), (digest("3"), 4), "{trigger:?}");
        assert_eq!(running.status().source.hold, Hold::Overridden);
    }
    running.end().await;
}

#[tokio::test]
async fn who_says_over_what_gets_what_was_kept_out() {
    for by_signal in [true, false] {
        let place = Place::new("1");
        let running = place.run(BY_HAND);
        running.stage("2", "alice").await.unwrap();
        running.promote("2", "1").await.unwrap();
        running.until("the source is kept out", |status| status.source.hold == Hold::Overridden).await;
        let Err(Refusal::HeldBack(held)) = running.reload(None).await else { panic!("it is held back") };
        assert_eq!((held.source, held.withdrawal.clone(), held.in_force.digest), (digest("1"), None, digest("2")));
        assert_eq!((held.in_force.actor.as_str(), running.generation()), ("ops", 2));
        if by_signal {
            running.hint(Signal).await;
        } else {
            running.reload(Some(digest("2"))).await.unwrap();
        }
        assert_eq!((running.digest(), running.generation()), (digest("1"), 3));
        assert_eq!(running.status().source.hold, Hold::None);
        running.end().await;
    }
}

#[tokio::test]
async fn what_was_gone_back_from_comes_back_by_its_name_only() {
    let place = Place::new("1");
    let running = place.run(BY_HAND);
    running.put("2").await;
    running.roll_back_because(None, "too dear").await.unwrap();
    running.until("the source is kept out", |status| status.source.hold == Hold::Overridden).await;
    for expected in [None, Some(digest("1"))] {
        let Err(Refusal::HeldBack(held)) = running.reload(expected).await else { panic!("it is held back") };
        assert_eq!(held.source, digest("2"));
        assert!(held.withdrawal.unwrap().told().contains("`ops` went back from it"));
    }
    running.hint(Signal).await;
    assert_eq!((running.digest(), running.generation()), (digest("1"), 3));
    // Going back again goes nowhere, and says what there is.
    let Err(Refusal::AllWithdrawn { choices }) = running.roll_back(None).await else { panic!("nothing is left") };
    let told: Vec<_> = choices.iter().map(|choice| (choice.digest, choice.reason.as_str())).collect();
    assert_eq!(told, [(digest("2"), "too dear")]);
    let named = running.roll_back(Some(digest("2"))).await.unwrap();
    assert_eq!((named.after, named.generation), (digest("2"), 4));
    assert!(named.notices[0].contains("was rolled back from before: `ops`"), "{:?}", named.notices);
    assert!(!named.notices.iter().any(|notice| notice.starts_with("marked")), "{:?}", named.notices);
    // The source is what is in force; and the older one is still there to go back to.
    assert_eq!(running.reload(None).await.unwrap().after, digest("2"));
    assert_eq!(running.roll_back(None).await.unwrap().after, digest("1"));
    running.end().await;
}

#[tokio::test]
async fn going_back_twice_goes_further_back() {
    let place = Place::new("1");
    let running = place.run(BY_HAND);
    for version in ["2", "3", "4"] {
        running.put(version).await;
    }
    for (before, after) in [("4", "3"), ("3", "2"), ("2", "1")] {
        let report = running.roll_back(None).await.unwrap();
        assert_eq!((report.before, report.after), (digest(before), digest(after)));
    }
    // What was skipped was rolled back from as well.
    for version in ["5", "6", "7"] {
        running.put(version).await;
    }
    running.roll_back(Some(digest("5"))).await.unwrap();
    assert_eq!(running.roll_back(None).await.unwrap().after, digest("1"));
    let listed = running.ask(|reply| ReloadCommand::Revisions { reply }).await.unwrap();
    let withdrawn =
        |version: &str| listed.kept.iter().any(|(kept, mark)| kept.digest == digest(version) && mark.is_some());
    assert_eq!(["1", "2", "3", "4", "5", "6", "7"].map(withdrawn), [false, true, true, true, true, true, true]);
    let log: Vec<_> = listed.activations.iter().map(|entry| (entry.number, entry.trigger)).collect();
    assert_eq!(log.first(), Some(&(12, Rollback)));
    assert_eq!(log.last(), Some(&(1, ReloadTrigger::Start)));
    assert_eq!(log.len(), 12);
    running.end().await;
}

#[tokio::test]
async fn the_last_reload_is_successful_again_once_a_held_source_is_fixed() {
    let place = Place::new("1");
    let running = place.run(BY_HAND);
    running.put("2").await;
    running.roll_back(None).await.unwrap();
    running.until("the source is kept out", |status| status.source.hold == Hold::Overridden).await;
    let away = place.dir.path().join("away");
    for broken in [true, false] {
        if broken {
            running.write("policy: [\n");
        } else {
            fs::rename(place.source(), &away).unwrap();
        }
        running.hint(FileChange).await;
        let status = running.status();
        assert_eq!((status.last_attempt.success, status.last_failure.is_some()), (Success::No, true));
        if broken {
            running.write(&text("2"));
        } else {
            fs::rename(&away, place.source()).unwrap();
        }
        running.hint(FileChange).await;
        let status = running.status();
        assert_eq!((status.last_attempt.success, status.last_failure.is_some()), (Success::Yes, false));
        assert_eq!((running.digest(), status.source.hold), (digest("1"), Hold::Overridden));
    }
    running.end().await;
}

#[tokio::test]
async fn a_colleagues_candidate_is_replaced_and_let_go_only_knowingly() {
    let place = Place::new("1");
    let running = place.run(BY_HAND);
    running.stage("2", "alice").await.unwrap();
    running.stage("3", "alice").await.unwrap();
    for version in ["3", "4"] {
        let Err(Refusal::StagedByOther { found, actor, .. }) = running.stage(version, "bob").await else {
            panic!("it is alice's")
        };
        assert_eq!((found, actor.as_str()), (digest("3"), "alice"));
    }
    let discard = |digest: Option<Digest>, who: &'static str| {
        running.ask(move |reply| ReloadCommand::Discard { digest, requester: who.into(), reply })
    };
    assert!(matches!(discard(None, "bob").await, Err(Refusal::StagedByOther { .. })));
    assert_eq!(running.status().candidate.as_ref().unwrap().digest, digest("3"));
    assert_eq!(discard(Some(digest("3")), "bob").await.unwrap().actor, "alice");

    running.stage("3", "alice").await.unwrap();
    let bundle = Some(bundle(&text("4")).into());
    let replaced = running
        .ask(|reply| ReloadCommand::Stage {
            bundle,
            sample_per_thousand: 500,
            replace: Replace::Anyones,
            requester: "bob".into(),
            reply,
        })
        .await
        .unwrap();
    assert_eq!((replaced.candidate.digest, replaced.candidate.actor.as_str()), (digest("4"), "bob"));
    assert!(matches!(discard(None, "alice").await, Err(Refusal::StagedByOther { .. })));
    assert_eq!(discard(None, "bob").await.unwrap().digest, digest("4"));
    running.end().await;
}

#[tokio::test]
async fn an_untried_candidate_is_promoted_only_knowingly() {
    let place = Place::new("1");
    let running = place.run(BY_HAND);
    running.stage("2", "alice").await.unwrap();
    let promote = || {
        let (digest, expected, knowing) = (digest("2"), running.digest(), Knowing::NOTHING);
        running.ask(move |reply| ReloadCommand::Promote { digest, expected, knowing, requester: "bob".into(), reply })
    };
    let untried = |not_comparable| Err(Refusal::Untried { candidate: digest("2"), not_comparable });
    assert_eq!(promote().await, untried(0));
    let candidate = running.engine.candidate().unwrap();
    let observed = Observed {
        policy: "shop".into(),
        currency: Currency::iso("CNY").unwrap(),
        outcome: (Outcome::Denied, None),
        refund: Amount::from_minor(0),
        lines: vec![],
    };
    // Requests that it could not read say nothing of it, and what it said beside other policies does not count.
    candidate.not_comparable(1);
    assert_eq!(promote().await, untried(1));
    candidate.compare(1, &observed, &observed);
    running.put("3").await;
    assert_eq!(promote().await, untried(0));
    candidate.compare(2, &observed, &observed);
    assert_eq!(promote().await.unwrap().0.after, digest("2"));
    running.end().await;
}

#[tokio::test]
async fn a_source_that_cannot_be_read_for_a_while_does_not_undo_going_back() {
    let place = Place::new("1");
    let running = place.run(BY_HAND);
    running.put("2").await;
    let away = place.dir.path().join("away");
    fs::rename(place.source(), &away).unwrap();
    running.roll_back(None).await.unwrap();
    running.until("it is seen to be away", |status| status.source.digest.is_none()).await;
    fs::rename(&away, place.source()).unwrap();
    let status = running.until("it is back", |status| status.source.digest.is_some()).await;
    assert_eq!((running.digest(), status.source.hold), (digest("1"), Hold::Overridden));
    running.end().await;
}

#[tokio::test]
async fn going_back_needs_to_know_from_what_and_to_what() {
    let place = Place::new("1");
    let running = place.run(BY_HAND);
    assert_eq!(running.roll_back(None).await, Err(Refusal::NoRevision { wanted: None }));
    assert_eq!(running.roll_back(Some(digest("7"))).await, Err(Refusal::NoRevision { wanted: Some(digest("7")) }));
    running.put("2").await;
    let ask = |reply| ReloadCommand::Rollback { to: None, expected: digest("1"), requester: "ops".into(), reply };
    assert_eq!(overtaken(running.ask(ask).await), (digest("1"), digest("2"), ReloadTrigger::Admin));
    let same = running.roll_back(Some(digest("2"))).await.unwrap();
    assert_eq!((same.before, same.after, same.generation), (digest("2"), digest("2"), 2));
    assert_eq!(same.notices, ["it is in force already"]);
    running.end().await;
}

#[tokio::test]
async fn revisions_are_listed_and_their_files_given() {
    let place = Place::new("1");
    let running = place.run(ReloadConfig { revisions_max: 3, ..BY_HAND });
    for version in ["2", "3", "4", "2"] {
        running.put(version).await;
    }
    let revisions = running.ask(|reply| ReloadCommand::Revisions { reply }).await.unwrap();
    let listed: Vec<_> = revisions.kept.iter().map(|(revision, _)| (revision.digest, revision.generation)).collect();
    assert_eq!(listed, [(digest("2"), 5), (digest("4"), 4), (digest("3"), 3)]);
    for (wanted, version, generation) in [(None, "2", 5), (Some(digest("3")), "3", 3)] {
        let files = running.ask(|reply| ReloadCommand::Files { digest: wanted, reply }).await.unwrap();
        assert_eq!(*files.bundle, bundle(&text(version)));
        assert_eq!((files.snapshot.digest, files.snapshot.generation), (digest(version), generation));
    }
    let gone = running.ask(|reply| ReloadCommand::Files { digest: Some(digest("1")), reply }).await;
    assert_eq!(gone.unwrap_err(), Refusal::NoRevision { wanted: Some(digest("1")) });
    running.end().await;
}

#[tokio::test]
async fn policies_are_held_against_everything_without_being_put_in_force() {
    let place = Place::new("1");
    let running = place.run(BY_HAND);
    let validate = |policies: Option<&str>| {
        let bundle = policies.map(|text| bundle(text).into());
        running.ask(|reply| ReloadCommand::Validate { bundle, reply })
    };
    let good = validate(Some(&text("2"))).await.unwrap();
    assert_eq!((good.verdict, good.digest, good.in_force), (Admissible::Yes, digest("2"), digest("1")));
    assert!(!good.changes.shown.is_empty());
    let bad = validate(Some("policy: [\n")).await.unwrap();
    assert_eq!((bad.verdict, bad.changes.shown.len(), bad.diagnostics.is_empty()), (Admissible::No, 0, false));
    running.write(&text("3"));
    assert_eq!(validate(None).await.unwrap().digest, digest("3"));
    fs::remove_dir_all(place.source()).unwrap();
    assert!(matches!(validate(None).await, Err(Refusal::Failed(_))));
    assert_eq!((running.generation(), running.status().last_failure.clone()), (1, None));
    running.end().await;
}

/// Held down after two turns, for so long that a test can see it and wait for its end.
const NERVOUS: ReloadConfig = ReloadConfig {
    flap: FlapLimits {
        turns: 4,
        window: Duration::from_secs(600),
        hold_min: Duration::from_secs(2),
        hold_max: Duration::from_secs(60),
    },
    ..BY_HAND
};

/// A road whose source was good and bad by turns, and now holds something good that is not in force.
async fn flapping(place: &Place, config: ReloadConfig) -> Running {
    let running = place.run(config);
    for version in ["2", "3", "4"] {
        running.write(&text(version));
        running.hint(FileChange).await;
        running.write(&format!("policy: [{version}\n"));
        running.hint(FileChange).await;
    }
    running.write(&text("5"));
    running.hint(FileChange).await;
    running
}

#[tokio::test]
async fn a_source_that_flaps_is_held_down_until_it_stays_the_same() {
    let place = Place::new("1");
    let running = flapping(&place, NERVOUS).await;
    let status = running.status();
    let in_force = digest("3");
    assert_eq!((running.digest(), running.generation()), (in_force, 3), "what came after the fourth turn stays out");
    assert!(matches!(status.source.hold, Hold::Flapping { .. }), "{:?}", status.source);
    assert_eq!(status.restart, RestartForecast::Other(digest("5")));
    // Nobody hints any more: it is taken by itself.
    running.until("it has stayed the same", |status| status.in_force.digest == digest("5")).await;
    assert_eq!(running.status().source.hold, Hold::None);
    running.end().await;
}

#[tokio::test]
async fn who_asks_by_name_is_not_held_down() {
    let long = FlapLimits { hold_min: Duration::from_secs(60), ..NERVOUS.flap };
    for by_signal in [true, false] {
        let place = Place::new("1");
        let running = flapping(&place, ReloadConfig { flap: long, ..NERVOUS }).await;
        assert!(matches!(running.status().source.hold, Hold::Flapping { .. }));
        if by_signal {
            running.hint(Signal).await;
        } else {
            running.reload(None).await.unwrap();
        }
        assert_eq!((running.digest(), running.status().source.hold), (digest("5"), Hold::None));
        running.end().await;
    }
}

#[tokio::test]
async fn a_held_source_that_cannot_be_read_is_not_looked_at_without_a_pause() {
    let place = Place::new("1");
    let hold = FlapLimits { hold_min: Duration::from_millis(100), ..NERVOUS.flap };
    let running = flapping(&place, ReloadConfig { flap: hold, ..NERVOUS }).await;
    fs::remove_dir_all(place.source()).unwrap();
    let before = running.reads.load(Ordering::SeqCst);
    sleep(Duration::from_millis(600)).await;
    let looks = running.reads.load(Ordering::SeqCst) - before;
    assert!((1..=12).contains(&looks), "{looks} looks");
    running.end().await;
}

#[tokio::test]
async fn the_slow_poll_finds_what_nobody_noticed() {
    let place = Place::new("1");
    let running = place.run(ReloadConfig { poll: Duration::from_millis(50), ..BY_HAND });
    running.write(&text("2"));
    let status = running.until("the poll finds it", |status| status.in_force.digest == digest("2")).await;
    assert_eq!(status.in_force.trigger, Poll);
    running.end().await;
}

#[tokio::test]
async fn who_watches_hears_of_changes_and_not_of_looks() {
    let place = Place::new("1");
    let running = place.run(ReloadConfig { poll: Duration::from_millis(30), ..BY_HAND });
    let mut watching = running.reload.shown.told.clone();
    watching.mark_unchanged();
    let checked = running.status().source.checked_at;
    running.until("it is polled again", |status| status.source.checked_at != checked).await;
    running.engine.current().count(1);
    running.until("the decision is counted", |status| status.decisions == 1).await;
    assert!(!watching.has_changed().unwrap(), "nothing to tell");
    running.write(&text("2"));
    timeout(PATIENCE, watching.changed()).await.unwrap().unwrap();
    assert_eq!(watching.borrow().in_force.digest, digest("2"));
    running.end().await;
}

#[tokio::test]
async fn known_as_good_takes_time_and_decisions() {
    let place = Place::new("1");
    let good = GoodAfter { served: Duration::from_millis(100), decisions: 3 };
    let running = place.run(ReloadConfig { known_good: good, ..BY_HAND });
    running.engine.current().count(2);
    // It is looked at once a second.
    sleep(Duration::from_millis(1_500)).await;
    let status = running.status();
    assert_eq!((status.decisions, status.in_force.known_good), (2, KnownGood::NotYet));
    running.engine.current().count(1);
    running.until("it is good", |status| status.in_force.known_good == KnownGood::Yes).await;
    assert_eq!(running.status().last_known_good, None, "there is no state directory to fall back to");
    running.put("2").await;
    assert_eq!((running.status().in_force.known_good, running.status().decisions), (KnownGood::NotYet, 0));
    running.roll_back(None).await.unwrap();
    assert_eq!(running.status().in_force.known_good, KnownGood::Yes);
    running.end().await;
}

#[tokio::test]
async fn a_candidate_is_staged_and_promoted_or_let_go() {
    let place = Place::new("1");
    let running = place.run(BY_HAND);
    let stage = |text: &str| {
        let bundle = Some(bundle(text).into());
        running.ask(|reply| ReloadCommand::Stage {
            bundle,
            sample_per_thousand: 500,
            replace: Replace::OwnOnly,
            requester: "ops".into(),
            reply,
        })
    };
    let promote = |version: &str, expected: &str| {
        let (digest, expected) = (digest(version), digest(expected));
        running.ask(move |reply| ReloadCommand::Promote {
            digest,
            expected,
            knowing: Knowing::ALL,
            requester: "ops".into(),
            reply,
        })
    };
    assert_eq!(promote("2", "1").await, Err(Refusal::OtherCandidate { found: None }));
    assert_eq!(
        running.ask(|reply| ReloadCommand::Discard { digest: None, requester: "ops".into(), reply }).await,
        Err(Refusal::NoCandidate)
    );
    assert!(matches!(stage("policy: [\n").await, Err(Refusal::Failed(_))));
    assert_eq!(running.status().candidate, None);

    let staged = stage(&text("2")).await.unwrap();
    assert_eq!((staged.candidate.digest, staged.candidate.sample_per_thousand), (digest("2"), 500));
    assert!(!staged.changes.shown.is_empty());
    assert_eq!(running.status().candidate.as_ref().unwrap().digest, digest("2"));
    let files = running.ask(|reply| ReloadCommand::Files { digest: Some(digest("2")), reply }).await.unwrap();
    assert_eq!((&*files.bundle, files.snapshot.generation), (&bundle(&text("2")), 0));
    assert_eq!(promote("3", "1").await, Err(Refusal::OtherCandidate { found: Some(digest("2")) }));
    assert_eq!(overtaken(promote("2", "9").await), (digest("9"), digest("1"), ReloadTrigger::Start));
    assert_eq!(running.generation(), 1);

    let (report, last) = promote("2", "1").await.unwrap();
    assert_eq!((report.before, report.after, report.generation), (digest("1"), digest("2"), 2));
    assert_eq!((last.digest, report.changes.shown.is_empty()), (digest("2"), false));
    let status = running.until("the source is kept out", |status| status.source.hold == Hold::Overridden).await;
    assert_eq!((status.in_force.trigger, status.candidate.clone()), (ReloadTrigger::Promotion, None));
    running.hint(Poll).await;
    assert_eq!(running.digest(), digest("2"));

    stage(&text("3")).await.unwrap();
    assert_eq!(
        running
            .ask(|reply| ReloadCommand::Discard { digest: None, requester: "ops".into(), reply })
            .await
            .unwrap()
            .digest,
        digest("3")
    );
    assert_eq!((running.status().candidate.clone(), running.generation()), (None, 2));
    running.end().await;
}

#[tokio::test]
async fn the_status_has_the_figures_of_the_moment_it_is_asked_for() {
    let place = Place::new("1");
    let running = place.run(BY_HAND);
    let stage = async |version: &str| {
        let bundle = Some(bundle(&text(version)).into());
        running
            .ask(|reply| ReloadCommand::Stage {
                bundle,
                sample_per_thousand: 1_000,
                replace: Replace::OwnOnly,
                requester: "ops".into(),
                reply,
            })
            .await
            .unwrap()
    };
    stage("2").await;
    let candidate = running.engine.candidate().unwrap();
    for asked in 1..=3 {
        running.engine.current().count(1);
        candidate.not_comparable(1);
        let now = running.reload.shown.now();
        assert_eq!((now.decisions, now.candidate.unwrap().not_comparable), (asked, asked), "without waiting");
    }
    // Figures of another candidate, or of another generation, are none of a status.
    let shown = running.status();
    stage("3").await;
    running.put("4").await;
    running.engine.current().count(9);
    let then = (*shown).clone().as_of(shown.started_at, &running.engine);
    assert_eq!(then, *shown);
    running.end().await;
}
