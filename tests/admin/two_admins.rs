//! What one admin must be told of what another one did, and of what becomes of a change.

use std::fs;

use ReloadTrigger::{FileChange, Poll, Signal};
use requite::domain::money::{Amount, Currency};
use requite::domain::words;
use requite::engine::candidate::Observed;
use requite::engine::status::{ActivationReport, Hold, Refusal, WhyFailed};
use requite::policy::bundle::Digest;
use requite::reload::handle::{Knowing, ReloadCommand, Replace, Requester, Untried, Withdrawn};
use requite::telemetry::labels::{ReloadTrigger, Success};

use crate::support::reload::{BY_HAND, Place, Running, bundle, digest, text};

/// The policy of this version in another layout.
fn again(version: &str) -> String {
    let text = text(version);
    let moved = text.replace("timezone: UTC\ncurrencies: [CNY]", "currencies: CNY\n\ntimezone: UTC");
    assert_ne!(text, moved);
    format!("# once more\n{moved}")
}

/// What the notices say, a line each.
fn said(notices: &[String]) -> String {
    notices.join("\n")
}

async fn gone_back(place: &Place) -> Running {
    let running = place.run(BY_HAND);
    running.put("2").await;
    running.roll_back_because(None, "too dear").await.unwrap();
    running
}

#[tokio::test]
async fn another_layout_of_what_was_rolled_back_from_stays_out_as_well() {
    let place = Place::with_state("1");
    let mut running = gone_back(&place).await;
    let other = bundle(&again("2")).digest();
    assert_ne!(other, digest("2"));
    running.write(&again("2"));
    for trigger in [FileChange, Poll, Signal] {
        running.hint(trigger).await;
        let status = running.status();
        assert_eq!((running.digest(), status.source.hold), (digest("1"), Hold::Overridden), "{trigger:?}");
        assert_eq!(status.source.digest, Some(other));
    }
    for expected in [None, Some(digest("1"))] {
        let Err(Refusal::HeldBack(held)) = running.reload(expected).await else { panic!("it is held back") };
        let withdrawal = held.withdrawal.unwrap();
        assert_eq!((held.source, withdrawal.digest, withdrawal.reason.as_str()), (other, digest("2"), "too dear"));
        assert!(withdrawal.of(other).contains(&digest("2").to_string()), "{}", withdrawal.of(other));
    }
    // The mark outlasts a run, and so does what it is of: a start takes it and says so.
    running.end().await;
    running = place.run(BY_HAND);
    let status = running.status();
    assert_eq!((running.digest(), status.withdrawal.as_ref().unwrap().digest), (other, digest("2")));
    assert!(said(&status.notices).contains("differs only in its layout"), "{:?}", status.notices);
    running.roll_back(Some(digest("1"))).await.unwrap();
    running.write(&text("2"));
    running.hint(FileChange).await;
    assert_eq!(running.digest(), digest("1"));
    // Other words are another policy.
    running.write(&text("3"));
    running.hint(FileChange).await;
    assert_eq!(running.digest(), digest("3"));
    running.end().await;
}

#[tokio::test]
async fn another_layout_of_what_a_promotion_keeps_out_does_not_undo_it() {
    let place = Place::new("1");
    let running = place.run(BY_HAND);
    running.stage("2", "alice").await.unwrap();
    running.promote("2", "1").await.unwrap();
    running.write(&again("1"));
    running.hint(FileChange).await;
    assert_eq!((running.digest(), running.status().source.hold), (digest("2"), Hold::Overridden));
    assert!(matches!(running.reload(None).await, Err(Refusal::HeldBack(_))));
    assert_eq!(running.reload(Some(digest("2"))).await.unwrap().after, bundle(&again("1")).digest());
    running.end().await;
}

#[tokio::test]
async fn a_plain_rollback_passes_over_another_layout_of_what_was_rolled_back_from() {
    let place = Place::new("1");
    let running = place.run(BY_HAND);
    for text in [text("2"), again("2"), text("3")] {
        running.write(&text);
        running.reload(None).await.unwrap();
    }
    running.roll_back(Some(digest("2"))).await.unwrap();
    let listed = running.ask(|reply| ReloadCommand::Revisions { reply }).await.unwrap();
    let marked: Vec<bool> = listed.kept.iter().map(|(_, withdrawal)| withdrawal.is_some()).collect();
    assert_eq!(marked, [false, true, false, false], "to say the same is no way back");
    // From one layout to the other is no way back, either.
    assert_eq!(running.roll_back(None).await.unwrap().after, digest("1"));
    running.end().await;
}

#[tokio::test]
async fn an_edit_just_before_going_back_is_named_as_what_is_held_back() {
    for by_rollback in [true, false] {
        let place = Place::new("1");
        let running = place.run(BY_HAND);
        running.put("2").await;
        running.stage("4", "alice").await.unwrap();
        // Nobody has looked at it yet.
        running.write(&text("3"));
        let report = match by_rollback {
            true => running.roll_back(None).await.unwrap(),
            false => running.promote("4", "2").await.unwrap(),
        };
        let notices = said(&report.notices);
        assert!(notices.contains(&format!("the source holds {}: it stays out", digest("3"))), "{notices}");
        let status = running.status();
        assert_eq!((status.source.digest, status.source.hold), (Some(digest("3")), Hold::Overridden));
        running.end().await;
    }
}

#[tokio::test]
async fn a_source_that_cannot_be_read_when_going_back_is_said_so() {
    let place = Place::new("1");
    let running = place.run(BY_HAND);
    running.put("2").await;
    fs::rename(place.source(), place.dir.path().join("away")).unwrap();
    let notices = said(&running.roll_back(None).await.unwrap().notices);
    let expected =
        format!("cannot be read now; when it last could it held {}, which was rolled back from", digest("2"));
    assert!(notices.contains(&expected), "{notices}");
    assert!(matches!(running.status().last_failure.as_ref().unwrap().why, WhyFailed::Unreadable(_)));
    running.end().await;
}

#[tokio::test]
async fn naming_what_is_in_force_ends_its_mark() {
    for by_rollback in [true, false] {
        let place = Place::with_state("1");
        let running = gone_back(&place).await;
        running.end().await;
        let running = place.run(BY_HAND);
        assert!(running.status().withdrawal.is_some(), "a start took it");
        let report = if by_rollback {
            running.roll_back(Some(digest("2"))).await.unwrap()
        } else {
            running.stage("2", "alice").await.unwrap();
            running.promote("2", "2").await.unwrap()
        };
        assert_eq!(report.before, report.after);
        assert!(
            said(&report.notices).contains("it is not marked as rolled back from any more"),
            "{:?}",
            report.notices
        );
        let status = running.status();
        assert_eq!(status.withdrawal, None);
        assert!(!said(&status.notices).contains("rolled back from"), "{:?}", status.notices);
        running.end().await;
        let running = place.run(BY_HAND);
        assert_eq!(running.status().withdrawal, None, "{by_rollback}");
        running.end().await;
    }
}

#[tokio::test]
async fn going_back_does_not_hide_that_the_source_is_broken() {
    let place = Place::new("1");
    let running = place.run(BY_HAND);
    running.put("2").await;
    running.write("policy: [\n");
    running.hint(FileChange).await;
    let before = running.status().last_failure.clone();
    let notices = said(&running.roll_back(None).await.unwrap().notices);
    assert!(notices.contains("which has mistakes"), "{notices}");
    assert_eq!(running.status().last_failure, before);
    running.hint(Poll).await;
    let status = running.status();
    assert_eq!((status.last_failure.clone(), status.last_attempt.success), (before, Success::No));
    // One that nobody has looked at yet is told as well.
    running.write("policy: [3\n");
    running.roll_back(Some(digest("2"))).await.unwrap();
    let WhyFailed::Rejected { digest: rejected, .. } = running.status().last_failure.clone().unwrap().why.clone()
    else {
        panic!("it has mistakes")
    };
    assert_eq!(rejected, bundle("policy: [3\n").digest());
    running.write(&text("1"));
    running.hint(FileChange).await;
    assert_eq!(running.status().last_failure, None);
    running.end().await;
}

#[tokio::test]
async fn a_change_that_the_disk_does_not_take_is_said_not_to_be_kept() {
    let place = Place::with_state("1");
    let running = place.run(BY_HAND);
    running.put("2").await;
    // A directory in the place of the file: the next write of the history fails.
    let file = place.state.as_ref().unwrap().join("activations");
    running.until("the history is there", |_| file.exists()).await;
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let notices = said(&running.roll_back(None).await.unwrap().notices);
    assert!(notices.contains("the state directory does not hold this change"), "{notices}");
    assert_eq!(notices.matches("cannot be kept").count(), 1, "{notices}");
    let notices = said(&running.roll_back(Some(digest("2"))).await.unwrap().notices);
    assert!(notices.contains("the state directory does not hold this change"), "{notices}");
    assert_eq!(notices.matches("cannot be kept").count(), 1, "{notices}");
    assert!(said(&running.status().notices).contains("cannot be kept"));
    running.end().await;
}

#[tokio::test]
async fn a_history_that_is_missing_is_told_and_every_revision_may_have_been_rolled_back_from() {
    let place = Place::with_state("1");
    let running = gone_back(&place).await;
    running.end().await;
    fs::remove_file(place.state.as_ref().unwrap().join("activations")).unwrap();
    let running = place.run(BY_HAND);
    let status = running.status();
    assert!(said(&status.notices).contains("is missing. Which revisions"), "{:?}", status.notices);
    assert!(status.withdrawal.as_ref().unwrap().reason.contains("damaged or lost"), "{:?}", status.withdrawal);
    running.write(&again("1"));
    running.hint(FileChange).await;
    assert_eq!((running.digest(), running.status().source.hold), (digest("2"), Hold::Overridden));
    running.end().await;
    let running = place.run(BY_HAND);
    assert_eq!(running.status().notices.len(), 1, "said once: {:?}", running.status().notices);
    running.end().await;
}

async fn promote(running: &Running, digest: Digest, knowing: Knowing) -> Result<ActivationReport, Refusal> {
    let expected = running.digest();
    let ask = |reply| ReloadCommand::Promote { digest, expected, knowing, requester: "bob".into(), reply };
    running.ask(ask).await.map(|(report, _)| report)
}

/// Has the candidate asked about a request.
fn ask_candidate(running: &Running) {
    let said = Observed {
        policy: "shop".into(),
        currency: Currency::iso("CNY").unwrap(),
        outcome: (words::Outcome::Denied, None),
        refund: Amount::from_minor(0),
        lines: vec![],
    };
    running.engine.candidate().unwrap().compare(running.generation(), &said, &said);
}

#[tokio::test]
async fn a_candidate_that_was_rolled_back_from_is_promoted_only_knowingly() {
    for content in [text("2"), again("2")] {
        let place = Place::new("1");
        let running = gone_back(&place).await;
        let candidate = bundle(&content);
        let digest_of_it = candidate.digest();
        let stage = |reply| ReloadCommand::Stage {
            bundle: Some(candidate.into()),
            sample_per_thousand: 1_000,
            replace: Replace::OwnOnly,
            requester: "alice".into(),
            reply,
        };
        running.ask(stage).await.unwrap();
        ask_candidate(&running);
        let shown = running.status().candidate.clone().unwrap();
        let mark = shown.withdrawal.unwrap();
        assert_eq!((mark.digest, mark.actor.as_str(), mark.reason.as_str()), (digest("2"), "ops", "too dear"));
        assert_eq!((shown.staged_over, shown.compared_with), (digest("1"), digest("1")));
        for untried in [Untried::Refused, Untried::Allowed] {
            let knowing = Knowing { untried, withdrawn: Withdrawn::Refused };
            let Err(Refusal::CandidateWithdrawn { candidate, withdrawal }) =
                promote(&running, digest_of_it, knowing).await
            else {
                panic!("it was rolled back from")
            };
            assert_eq!((candidate, *withdrawal), (digest_of_it, mark.clone()));
        }
        let knowing = Knowing { untried: Untried::Refused, withdrawn: Withdrawn::Allowed };
        assert_eq!(promote(&running, digest_of_it, knowing).await.unwrap().after, digest_of_it);
        assert_eq!(running.status().withdrawal, None, "it was named");
        running.end().await;
    }
}

#[tokio::test]
async fn a_candidate_says_over_what_it_was_staged_and_with_what_it_is_compared() {
    let place = Place::new("1");
    let running = place.run(BY_HAND);
    running.stage("2", "alice").await.unwrap();
    running.put("3").await;
    let shown = running.status().candidate.clone().unwrap();
    assert_eq!((shown.staged_over, shown.compared_with), (digest("1"), digest("3")));
    running.end().await;
}

#[tokio::test]
async fn who_replaces_a_candidate_is_told_what_is_gone() {
    let place = Place::new("1");
    let running = place.run(BY_HAND);
    assert_eq!(running.stage("2", "alice").await.unwrap().notices, Vec::<String>::new());
    ask_candidate(&running);
    running.engine.candidate().unwrap().not_comparable(1);
    let bundle = Some(bundle(&text("3")).into());
    let (sample_per_thousand, replace, requester) = (1_000, Replace::Anyones, "bob".into());
    let staged = running
        .ask(|reply| ReloadCommand::Stage { bundle, sample_per_thousand, replace, requester, reply })
        .await
        .unwrap();
    let said = said(&staged.notices);
    let gone = format!("it takes the place of the candidate {}, staged by `alice` at 2", digest("2"));
    assert!(said.starts_with(&gone), "{said}");
    assert!(said.ends_with("1 requests compared, 0 of them different, 1 not comparable"), "{said}");
    running.end().await;
}

#[tokio::test]
async fn a_start_and_a_signal_say_which_change_of_an_admin_they_replace() {
    for by_start in [true, false] {
        let place = Place::with_state("1");
        let mut running = place.run(BY_HAND);
        running.stage("2", "alice").await.unwrap();
        running.promote("2", "1").await.unwrap();
        if by_start {
            running.end().await;
            running = place.run(BY_HAND);
        } else {
            running.hint(Signal).await;
        }
        assert_eq!(running.digest(), digest("1"));
        let status = running.status();
        let reason = format!("replaces {}: promotion by `ops` at 2", digest("2"));
        assert!(status.in_force.reason.starts_with(&reason), "{}", status.in_force.reason);
        assert_eq!(status.activations[0].reason, status.in_force.reason);
        assert!(said(&status.notices).contains(&reason), "{:?}", status.notices);
        // Once the source says something of its own, there is nothing to be told of.
        running.write(&text("3"));
        running.hint(FileChange).await;
        let status = running.status();
        assert_eq!((status.in_force.reason.as_str(), status.notices.as_slice()), ("", &[] as &[String]));
        running.end().await;
    }
}

#[tokio::test]
async fn a_start_that_comes_to_the_same_replaces_nothing() {
    for content in [text("2"), again("2")] {
        let place = Place::with_state("1");
        let running = place.run(BY_HAND);
        running.stage("2", "alice").await.unwrap();
        running.promote("2", "1").await.unwrap();
        running.write(&content);
        running.end().await;
        let running = place.run(BY_HAND);
        assert_eq!((running.status().in_force.reason.as_str(), running.status().notices.len()), ("", 0));
        running.end().await;
    }
}

#[tokio::test]
async fn of_reloads_at_once_the_one_that_says_over_what_is_answered_as_the_one_that_did_it() {
    let place = Place::new("1");
    let running = place.run(BY_HAND);
    running.stage("2", "alice").await.unwrap();
    running.promote("2", "1").await.unwrap();
    let (plain, knowing) = tokio::join!(running.reload(None), running.reload(Some(digest("2"))));
    let knowing = knowing.unwrap();
    assert_eq!((knowing.before, knowing.after), (digest("2"), digest("1")));
    let plain = plain.unwrap();
    assert_eq!((plain.before, plain.after), (digest("1"), digest("1")));
    running.end().await;
}

#[tokio::test]
async fn a_rejected_candidate_is_no_promotion() {
    let place = Place::new("1");
    let running = place.run(BY_HAND);
    running.write("policy: [\n");
    let (sample_per_thousand, replace, requester) = (1_000, Replace::OwnOnly, "alice".into());
    let ask = |reply| ReloadCommand::Stage { bundle: None, sample_per_thousand, replace, requester, reply };
    let Err(Refusal::Failed(failed)) = running.ask(ask).await else { panic!("it has mistakes") };
    assert_eq!(failed.trigger, ReloadTrigger::Admin);
    running.end().await;
}

async fn marked(running: &Running) -> Vec<Digest> {
    let listed = running.ask(|reply| ReloadCommand::Revisions { reply }).await.unwrap();
    let marked = listed.kept.iter().filter(|(_, withdrawal)| withdrawal.is_some());
    marked.map(|(kept, _)| kept.digest).collect()
}

#[tokio::test]
async fn a_rollback_marks_what_a_start_took_over_a_promotion() {
    for to in [None, Some(digest("3"))] {
        let place = Place::with_state("1");
        let running = place.run(BY_HAND);
        running.put("2").await;
        running.stage("3", "bob").await.unwrap();
        running.promote("3", "2").await.unwrap();
        running.end().await;
        let running = place.run(BY_HAND);
        assert_eq!(running.digest(), digest("2"), "the start took what the source holds");
        let report = running.roll_back_because(to, "2 is bad").await.unwrap();
        assert_eq!((report.after, marked(&running).await), (digest("3"), vec![digest("2")]));
        for version in ["1", "2"] {
            running.write(&text(version));
            running.hint(FileChange).await;
        }
        assert_ne!(running.digest(), digest("2"), "{to:?}");
        assert_eq!(running.status().source.hold, Hold::Overridden);
        running.end().await;
    }
}

#[tokio::test]
async fn a_rollback_marks_what_a_start_brought_back_from_before_a_promotion() {
    for to in [None, Some(digest("2"))] {
        let place = Place::with_state("1");
        let running = place.run(BY_HAND);
        running.stage("2", "bob").await.unwrap();
        running.promote("2", "1").await.unwrap();
        running.end().await;
        let running = place.run(BY_HAND);
        assert_eq!(running.digest(), digest("1"));
        let report = running.roll_back(to).await.unwrap();
        assert_eq!((report.after, marked(&running).await), (digest("2"), vec![digest("1")]), "{to:?}");
        running.end().await;
    }
}

#[tokio::test]
async fn a_source_that_is_fixed_to_what_was_in_force_does_not_undo_what_was_put_in_force_since() {
    for by_rollback in [true, false] {
        let place = Place::new("1");
        let running = place.run(BY_HAND);
        running.put("2").await;
        running.write("policy: [\n");
        running.hint(FileChange).await;
        running.stage("3", "bob").await.unwrap();
        running.promote("3", "2").await.unwrap();
        let last = if by_rollback {
            running.roll_back(Some(digest("1"))).await.unwrap();
            "1"
        } else {
            running.stage("4", "bob").await.unwrap();
            running.promote("4", "3").await.unwrap();
            "4"
        };
        // What it was when it broke, in whatever layout, and what was replaced while it was broken.
        for fixed in [text("2"), again("2"), text("3")] {
            running.write(&fixed);
            running.hint(FileChange).await;
            let status = running.status();
            assert_eq!((running.digest(), status.source.hold), (digest(last), Hold::Overridden), "{fixed}");
            assert_eq!(status.last_failure, None);
            assert!(matches!(running.reload(None).await, Err(Refusal::HeldBack(_))));
        }
        running.write(&text("5"));
        running.hint(FileChange).await;
        assert_eq!(running.digest(), digest("5"), "something new is taken");
        running.end().await;
    }
}

#[tokio::test]
async fn a_plain_promotion_of_what_is_in_force_does_not_end_its_mark() {
    let place = Place::with_state("1");
    let running = gone_back(&place).await;
    running.end().await;
    let running = place.run(BY_HAND);
    running.stage("2", "alice").await.unwrap();
    let knowing = Knowing { untried: Untried::Allowed, withdrawn: Withdrawn::Refused };
    let refused = promote(&running, digest("2"), knowing).await;
    assert!(matches!(refused, Err(Refusal::CandidateWithdrawn { .. })), "{refused:?}");
    assert!(running.status().withdrawal.is_some());
    let knowing = Knowing { withdrawn: Withdrawn::Allowed, ..knowing };
    let report = promote(&running, digest("2"), knowing).await.unwrap();
    assert!(said(&report.notices).contains("it is not marked as rolled back from any more"), "{:?}", report.notices);
    running.end().await;
}

#[tokio::test]
async fn a_change_of_the_source_says_which_change_of_an_admin_it_replaces() {
    let place = Place::new("1");
    let running = place.run(BY_HAND);
    running.stage("2", "bob").await.unwrap();
    running.promote("2", "1").await.unwrap();
    // Another layout of it replaces nothing; what comes after that does.
    running.write(&again("2"));
    running.hint(FileChange).await;
    assert_eq!(running.status().in_force.reason, "");
    running.write(&text("3"));
    running.hint(FileChange).await;
    let status = running.status();
    let reason = format!("replaces {}: promotion by `ops` at 2", digest("2"));
    assert!(status.in_force.reason.starts_with(&reason), "{}", status.in_force.reason);
    assert_eq!(status.activations[0].reason, status.in_force.reason);
    assert!(said(&status.notices).contains(&reason), "{:?}", status.notices);
    running.end().await;
}

#[tokio::test]
async fn taking_a_rollback_back_after_an_edit_of_a_comment_marks_nothing() {
    let place = Place::new("1");
    let running = place.run(BY_HAND);
    running.put("2").await;
    running.roll_back(None).await.unwrap();
    running.write(&again("1"));
    running.hint(FileChange).await;
    assert_eq!(running.digest(), bundle(&again("1")).digest());
    running.roll_back(Some(digest("2"))).await.unwrap();
    assert_eq!(marked(&running).await, []);
    running.end().await;
}

#[tokio::test]
async fn the_end_of_a_mark_that_the_disk_does_not_take_is_said_not_to_be_kept() {
    let place = Place::with_state("1");
    let running = gone_back(&place).await;
    running.end().await;
    let running = place.run(BY_HAND);
    let file = place.state.as_ref().unwrap().join("activations");
    // An answer waits until the disk holds what the start changed.
    running.reload(None).await.unwrap();
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let notices = said(&running.roll_back(Some(digest("2"))).await.unwrap().notices);
    assert!(notices.contains("it is not marked as rolled back from any more"), "{notices}");
    assert!(notices.contains("the state directory does not hold this change"), "{notices}");
    running.end().await;
}

/// The colleague's change that `caller` may not have noticed: by whom, and what it put in force.
async fn unnoticed(running: &Running, caller: &str) -> Option<(String, Digest)> {
    let listed = running.ask(|reply| ReloadCommand::Revisions { reply }).await.unwrap();
    let found = listed.unnoticed_by(caller, (running.reload.shown.clock)())?;
    Some((found.actor.clone(), found.digest))
}

#[tokio::test]
async fn a_colleagues_rollback_is_known_after_an_edit_of_a_comment_and_after_a_start() {
    let place = Place::with_state("1");
    let mut running = gone_back(&place).await;
    let expected = Some(("ops".to_owned(), digest("1")));
    assert_eq!((unnoticed(&running, "bob").await, unnoticed(&running, "ops").await), (expected.clone(), None));
    running.write(&again("1"));
    running.hint(FileChange).await;
    assert_eq!((running.digest(), unnoticed(&running, "bob").await), (bundle(&again("1")).digest(), expected.clone()));
    for content in [again("1"), text("1")] {
        running.end().await;
        place.write(&content);
        running = place.run(BY_HAND);
        assert_eq!(unnoticed(&running, "bob").await, expected, "{content}");
    }
    // A start that takes what was rolled back from is what to go back from.
    running.end().await;
    place.write(&text("2"));
    running = place.run(BY_HAND);
    assert_eq!((running.digest(), unnoticed(&running, "bob").await), (digest("2"), None));
    running.end().await;
}

#[tokio::test]
async fn what_a_colleague_put_in_force_is_named_by_whatever_replaces_it() {
    let place = Place::new("1");
    let running = place.run(BY_HAND);
    let expected = |notices: &[String], version: &str, what: &str| {
        let start = format!("this replaces {}, a colleague's change: {what} by `", digest(version));
        notices.iter().filter(|notice| notice.starts_with(&start)).count()
    };
    let ask = |over: &str, who: &str| {
        let requester = Requester { actor: who.to_owned(), reason: format!("as {who} likes it") };
        (digest(over), requester)
    };
    let roll_back = async |over: &str, who: &str| {
        let (expected, requester) = ask(over, who);
        running.ask(|reply| ReloadCommand::Rollback { to: None, expected, requester, reply }).await.unwrap()
    };
    running.write(&text("2"));
    running.reload(None).await.unwrap();
    assert_eq!(expected(&roll_back("2", "bob").await.notices, "2", "reload"), 1);
    running.stage("3", "alice").await.unwrap();
    let promoted = running.promote("3", "1").await.unwrap();
    assert_eq!(expected(&promoted.notices, "1", "rollback"), 1, "{:?}", promoted.notices);
    assert!(said(&promoted.notices).contains(", because: as bob likes it"), "{:?}", promoted.notices);
    running.write(&text("4"));
    let (expected_digest, requester) = ask("3", "alice");
    let ask_reload = |reply| ReloadCommand::Reload { expected: Some(expected_digest), requester, reply };
    assert_eq!(expected(&running.ask(ask_reload).await.unwrap().notices, "3", "promotion"), 1);
    // One's own is nobody else's, and another layout replaces nothing.
    assert!(!said(&roll_back("4", "alice").await.notices).contains("this replaces"));
    running.write(&text("3").replace("version", "# \nversion"));
    assert!(!said(&running.reload(None).await.unwrap().notices).contains("this replaces"));
    running.end().await;
}

#[tokio::test]
async fn who_expected_something_else_is_told_whose_is_in_force() {
    let place = Place::new("1");
    let running = gone_back(&place).await;
    running.write(&again("1"));
    running.hint(FileChange).await;
    let Err(Refusal::OtherInForce { expected, found, origin }) = running.reload(Some(digest("1"))).await else {
        panic!("another layout is in force")
    };
    assert_eq!((expected, found), (digest("1"), bundle(&again("1")).digest()));
    let told = origin.unwrap().told();
    assert!(told.starts_with("rollback by `ops` at 2") && told.ends_with(", because: too dear"), "{told}");
    running.end().await;
}

#[tokio::test]
async fn what_is_listed_is_on_the_disk() {
    let place = Place::with_state("1");
    for (run, version) in (1_u64..).zip(["2", "3", "4"]) {
        let running = place.run(BY_HAND);
        let on_disk = || {
            let bytes = fs::read(place.state.as_ref().unwrap().join("activations")).unwrap();
            requite::state_dir::activations::read(&bytes).unwrap().latest()
        };
        let listed = running.ask(|reply| ReloadCommand::Revisions { reply }).await.unwrap();
        assert_eq!((listed.activations[0].number, on_disk()), (2 * run - 1, 2 * run - 1), "the start");
        running.write(&text(version));
        running.hint(FileChange).await;
        let listed = running.ask(|reply| ReloadCommand::Revisions { reply }).await.unwrap();
        assert_eq!((listed.activations[0].number, on_disk()), (2 * run, 2 * run), "the change");
        running.end().await;
    }
}
