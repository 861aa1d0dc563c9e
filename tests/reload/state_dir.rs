//! Revisions over restarts: what is kept, what a start falls back to, and what a bad disk may do.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use requite::domain::time::Timestamp;
use requite::engine::history::HistoryEntry;
use requite::engine::status::{Hold, KnownGood, Refusal, RestartForecast, Revision, StartedFrom, WhyFailed};
use requite::policy::bundle::Digest;
use requite::reload::handle::ReloadCommand;
use requite::reload::{GoodAfter, ReloadConfig};
use requite::state_dir::{StateDir, StateError};
use requite::telemetry::labels::ReloadTrigger;

use crate::support::reload::{BY_HAND, GOOD_AT_ONCE, Place, Running, bundle, digest, text};
use crate::support::serve::{PATIENCE, Service, serve};

const GOOD: ReloadConfig = ReloadConfig { known_good: GOOD_AT_ONCE, ..BY_HAND };

fn state(place: &Place) -> &Path {
    place.state.as_deref().unwrap()
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn file_of(place: &Place, digest: Digest, extension: &str) -> PathBuf {
    let hex = digest.to_string().replace("blake3:", "");
    state(place).join(format!("{hex}.{extension}"))
}

/// A record by hand.
fn kept(digest: Digest, place: u64, known_good: KnownGood) -> HistoryEntry {
    let revision = Revision {
        digest,
        semantic: None,
        generation: 1,
        activated_at: Timestamp::EPOCH,
        trigger: ReloadTrigger::Signal,
        actor: "ops".into(),
        reason: String::new(),
        known_good,
    };
    HistoryEntry { revision, place, text_bytes: 1, held: None }
}

/// A run that put these versions in force, one after the other, each as good as it may be.
async fn after_a_run(versions: &[&str]) -> Place {
    let place = Place::with_state(versions[0]);
    let running = place.run(GOOD);
    for version in &versions[1..] {
        running.put(version).await;
    }
    is_kept(&running, versions[versions.len() - 1]).await;
    running.end().await;
    place
}

async fn is_kept(running: &Running, version: &str) {
    let good = |revision: &Option<Revision>| revision.as_ref().map(|revision| revision.digest);
    running.until("it is on the disk", |status| good(&status.last_known_good) == Some(digest(version))).await;
}

fn serve_place(place: &Place, more: &[&str]) -> Service {
    let source = place.source();
    serve(&[&["--policies", source.to_str().unwrap(), "--state-dir", state(place).to_str().unwrap()], more].concat())
}

fn try_serve(place: &Place) -> Output {
    let source = place.source();
    Command::new(env!("CARGO_BIN_EXE_requite"))
        .args(["serve", "--listen", "127.0.0.1:0", "--policies", source.to_str().unwrap()])
        .args(["--state-dir", state(place).to_str().unwrap()])
        .env_clear()
        .output()
        .unwrap()
}

#[test]
fn what_is_kept_is_read_back_and_nobody_else_may_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("made/here");
    let opened = StateDir::open(&root).unwrap();
    assert_eq!((opened.revisions.len(), &opened.problems), (0, &vec![]));
    let (a, b) = (bundle(&text("a")), bundle(&text("b")));
    opened.state.keep(&kept(a.digest(), 1, KnownGood::Yes), Some(&a)).unwrap();
    opened.state.keep(&kept(b.digest(), 2, KnownGood::NotYet), Some(&b)).unwrap();
    assert_eq!(fs::metadata(&root).unwrap().permissions().mode() & 0o777, 0o700);
    for name in names(&root) {
        assert_eq!(fs::metadata(root.join(&name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    assert_eq!(opened.state.recall(b.digest()).unwrap(), b);
    drop(opened);
    let again = StateDir::open(&root).unwrap();
    let read: Vec<_> =
        again.revisions.iter().map(|kept| (kept.revision.digest, kept.place, kept.revision.generation)).collect();
    assert_eq!(read, [(b.digest(), 2, 0), (a.digest(), 1, 0)]);
    assert_eq!((again.revisions[1].revision.known_good, again.problems), (KnownGood::Yes, vec![]));
    again.state.forget(a.digest()).unwrap();
    assert_eq!(names(&root).len(), 4, "the lock, the history and one revision");
}

#[test]
fn leftovers_of_a_write_that_was_cut_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let a = bundle(&text("a"));
    let StateDirFiles { record, bundle: whole } = files_of(&dir.path().join("other"), &a);
    let root = dir.path().join("state");
    fs::create_dir(&root).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).unwrap();
    // The bundle is there and its record is not; a record was never renamed.
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    fs::copy(&whole, root.join(name(&whole))).unwrap();
    fs::write(root.join(format!("{}.unfinished", name(&record))), "requite rec").unwrap();
    let opened = StateDir::open(&root).unwrap();
    assert_eq!((opened.revisions.len(), &opened.problems), (0, &vec![]));
    assert_eq!(names(&root), ["activations", "lock"]);
}

struct StateDirFiles {
    record: PathBuf,
    bundle: PathBuf,
}

fn files_of(root: &Path, a: &requite::policy::bundle::Bundle) -> StateDirFiles {
    let opened = StateDir::open(root).unwrap();
    opened.state.keep(&kept(a.digest(), 1, KnownGood::Yes), Some(a)).unwrap();
    let find = |extension: &str| names(root).into_iter().find(|name| name.ends_with(extension)).unwrap();
    StateDirFiles { record: root.join(find(".record")), bundle: root.join(find(".bundle")) }
}

#[test]
fn whatever_is_damaged_is_put_aside_and_never_deleted() {
    let a = bundle(&text("a"));
    for damage in ["cut record", "strange record", "no bundle", "record of another"] {
        let dir = tempfile::tempdir().unwrap();
        let StateDirFiles { record, bundle: whole } = files_of(dir.path(), &a);
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        match damage {
            "cut record" => fs::write(&record, &fs::read(&record).unwrap()[..100]).unwrap(),
            "strange record" => fs::write(&record, "hello").unwrap(),
            "no bundle" => fs::remove_file(&whole).unwrap(),
            _ => {
                let other = dir.path().join(format!("{}.record", "0".repeat(64)));
                fs::rename(&record, other).unwrap();
                fs::rename(&whole, dir.path().join(format!("{}.bundle", "0".repeat(64)))).unwrap();
            }
        }
        let before = names(dir.path()).len();
        let opened = StateDir::open(dir.path()).unwrap();
        assert_eq!((opened.revisions.len(), opened.problems.len()), (0, 1), "{damage}: {:?}", opened.problems);
        let after = names(dir.path());
        assert_eq!(after.len(), before, "{damage}: {after:?}");
        assert!(after.iter().any(|name| name.ends_with(".record.corrupt")), "{damage}: {after:?}");
        drop(opened);
        assert_eq!(StateDir::open(dir.path()).unwrap().problems.len(), 0, "{damage} is told of once");
    }
}

#[test]
fn a_directory_that_others_may_write_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let problems = StateDir::open(dir.path()).unwrap().problems;
    assert!(problems.len() == 1 && problems[0].contains("others may write"), "{problems:?}");
}

#[test]
fn a_lock_that_is_no_file_of_its_own_is_refused() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let lock = dir.path().join("lock");
    let refused = |what: &str| {
        let error = StateDir::open(dir.path()).unwrap_err();
        assert!(matches!(error, StateError::NotAFile { .. }), "{what}: {error}");
        assert!(error.to_string().contains("lock` is not a file of its own: remove it"), "{error}");
    };
    // To the lock of another server, to nothing, and to a file that a server would empty.
    fs::write(other.path().join("precious"), "precious").unwrap();
    for target in ["lock", "nothing", "precious"] {
        std::os::unix::fs::symlink(other.path().join(target), &lock).unwrap();
        refused(target);
        fs::remove_file(&lock).unwrap();
    }
    assert_eq!(names(other.path()), ["precious"]);
    assert_eq!(fs::read_to_string(other.path().join("precious")).unwrap(), "precious");
    fs::create_dir(&lock).unwrap();
    refused("a directory");
    fs::remove_dir(&lock).unwrap();
    assert!(Command::new("mkfifo").arg(&lock).status().unwrap().success());
    refused("a pipe");
    fs::remove_file(&lock).unwrap();
    assert!(StateDir::open(dir.path()).unwrap().problems.is_empty());
}

#[test]
fn a_revision_behind_a_link_is_put_aside() {
    let place = Place::with_state("1");
    let server = serve_place(&place, &[]);
    let is_record = |name: &String| name.ends_with(".record");
    let deadline = Instant::now() + PATIENCE;
    while !names(state(&place)).iter().any(is_record) {
        assert!(Instant::now() < deadline, "the revision is recorded");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(server);
    let record = names(state(&place)).into_iter().find(is_record);
    let record = state(&place).join(record.unwrap());
    let elsewhere = tempfile::tempdir().unwrap();
    fs::rename(&record, elsewhere.path().join("record")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path().join("record"), &record).unwrap();
    let opened = StateDir::open(state(&place)).unwrap();
    assert!(opened.revisions.is_empty());
    assert!(opened.problems.len() == 1 && opened.problems[0].contains("is not used"), "{:?}", opened.problems);
}

#[test]
fn two_servers_do_not_share_a_state_directory() {
    let place = Place::with_state("1");
    let first = serve_place(&place, &[]);
    let refused = StateDir::open(state(&place)).unwrap_err();
    assert!(matches!(refused, StateError::InUse { .. }), "{refused}");
    let output = try_serve(&place);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    assert!(said.contains(&format!("is in use by another server (process {})", first.id())), "{said}");
    assert!(said.contains("help: give each server a state directory of its own"), "{said}");
    drop(first);
    serve_place(&place, &[]);
}

#[tokio::test]
async fn what_was_in_force_is_listed_by_the_next_run_and_can_be_gone_back_to() {
    let place = after_a_run(&["1", "2", "3"]).await;
    let running = place.run(GOOD);
    let revisions = running.ask(|reply| ReloadCommand::Revisions { reply }).await.unwrap();
    let revisions: Vec<_> = revisions.kept.into_iter().map(|(revision, _)| revision).collect();
    let listed: Vec<_> = revisions.iter().map(|revision| (revision.digest, revision.generation)).collect();
    assert_eq!(listed, [(digest("3"), 1), (digest("2"), 0), (digest("1"), 0)]);
    assert_eq!((revisions[1].trigger, revisions[1].actor.as_str()), (ReloadTrigger::Admin, "ops"));
    let files = running.ask(|reply| ReloadCommand::Files { digest: Some(digest("1")), reply }).await.unwrap();
    assert_eq!((&*files.bundle, files.snapshot.generation), (&bundle(&text("1")), 0));

    let report = running.roll_back(None).await.unwrap();
    assert_eq!((report.before, report.after, report.generation), (digest("3"), digest("2"), 2));
    let status = running.until("the source is kept out", |status| status.source.hold == Hold::Overridden).await;
    assert_eq!(status.in_force.known_good, KnownGood::Yes);
    running.end().await;
}

#[tokio::test]
async fn broken_policies_at_the_start_give_way_to_the_last_known_good() {
    let place = after_a_run(&["1", "2"]).await;
    place.write("policy: [\n");
    let running = place.run(GOOD);
    let status = running.status();
    assert_eq!((running.digest(), status.started_from), (digest("2"), StartedFrom::LastKnownGood));
    assert_eq!(status.restart, RestartForecast::LastKnownGood(digest("2")));
    assert!(matches!(&status.last_failure.as_ref().unwrap().why, WhyFailed::Rejected { .. }));
    // It goes on trying.
    running.hint(ReloadTrigger::FileChange).await;
    assert_eq!(running.digest(), digest("2"));
    running.write(&text("3"));
    running.hint(ReloadTrigger::FileChange).await;
    assert_eq!((running.digest(), running.status().restart.clone()), (digest("3"), RestartForecast::Same));
    running.end().await;
}

#[tokio::test]
async fn no_start_falls_back_to_what_was_rolled_back_from() {
    let place = after_a_run(&["1", "2"]).await;
    let running = place.run(GOOD);
    running.roll_back(Some(digest("1"))).await.unwrap();
    is_kept(&running, "1").await;
    running.end().await;
    place.write("policy: [\n");
    let running = place.run(BY_HAND);
    assert_eq!((running.digest(), running.status().started_from), (digest("1"), StartedFrom::LastKnownGood));
    running.end().await;
    // A good source is taken whatever was rolled back from, and that is said.
    place.write(&text("2"));
    let running = place.run(BY_HAND);
    assert_eq!(running.digest(), digest("2"));
    let status = running.status();
    let [replaces, rolled_back_from] = status.notices.as_slice() else { panic!("{:?}", status.notices) };
    assert!(replaces.starts_with("what is in force came from the source (start) and replaces"), "{replaces}");
    assert!(rolled_back_from.starts_with("what is in force was rolled back from: `ops`"), "{rolled_back_from}");
    assert_eq!(running.roll_back(None).await.unwrap().after, digest("1"));
    running.end().await;
}

#[tokio::test]
async fn the_history_of_activations_outlives_restarts_with_every_reason() {
    let place = Place::with_state("1");
    let running = place.run(BY_HAND);
    running.put("2").await;
    running.roll_back_because(None, "too dear: \u{202e}").await.unwrap();
    running.end().await;
    let running = place.run(BY_HAND);
    let listed = running.ask(|reply| ReloadCommand::Revisions { reply }).await.unwrap();
    let history: Vec<_> = listed
        .activations
        .iter()
        .map(|entry| (entry.number, entry.generation, entry.digest, entry.trigger, entry.reason.as_str()))
        .collect();
    let replaces = format!("replaces {}: rollback by `ops` at {}", digest("1"), listed.activations[1].at);
    assert_eq!(
        history,
        [
            (4, 1, digest("2"), ReloadTrigger::Start, replaces.as_str()),
            (3, 3, digest("1"), ReloadTrigger::Rollback, "too dear: \u{202e}"),
            (2, 2, digest("2"), ReloadTrigger::Admin, ""),
            (1, 1, digest("1"), ReloadTrigger::Start, ""),
        ]
    );
    assert_eq!((listed.activations[1].before, listed.activations[0].before), (Some(digest("2")), None));
    assert_eq!(listed.activations[1].policies[0].version, "1");
    let withdrawn: Vec<_> = listed.kept.iter().filter_map(|(_, withdrawal)| withdrawal.clone()).collect();
    assert_eq!((withdrawn.len(), withdrawn[0].digest, withdrawn[0].actor.as_str()), (1, digest("2"), "ops"));
    assert_eq!(running.status().activations, listed.activations);
    running.end().await;
}

#[tokio::test]
async fn a_damaged_history_is_put_aside_and_a_rollback_must_name_its_target() {
    for damage in ["cut", "strange", "a link"] {
        let place = after_a_run(&["1", "2"]).await;
        let file = state(&place).join("activations");
        match damage {
            "cut" => fs::write(&file, &fs::read(&file).unwrap()[..100]).unwrap(),
            "strange" => fs::write(&file, "hello").unwrap(),
            _ => {
                fs::rename(&file, place.dir.path().join("elsewhere")).unwrap();
                std::os::unix::fs::symlink(place.dir.path().join("elsewhere"), &file).unwrap();
            }
        }
        let running = place.run(BY_HAND);
        let notice = running.status().notices[0].clone();
        assert!(
            notice.contains("kept as `activations.corrupt`") && notice.contains("name the one"),
            "{damage}: {notice}"
        );
        assert!(state(&place).join("activations.corrupt").symlink_metadata().is_ok(), "{damage}");
        let Err(Refusal::AllWithdrawn { choices }) = running.roll_back(None).await else { panic!("it is not known") };
        assert_eq!(choices.len(), 1, "{damage}");
        assert_eq!(running.roll_back(Some(digest("1"))).await.unwrap().after, digest("1"));
        running.end().await;
        let running = place.run(BY_HAND);
        assert!(!running.status().notices.iter().any(|notice| notice.contains("corrupt")), "{damage} is told of once");
        running.end().await;
    }
}

#[tokio::test]
async fn a_missing_source_gives_way_too_and_the_program_says_so_loudly() {
    let place = after_a_run(&["1"]).await;
    let away = place.dir.path().join("away");
    fs::rename(place.source(), &away).unwrap();
    let service = serve_place(&place, &[]);
    assert_eq!(service.serving["started_from"], "last_known_good");
    assert_eq!(service.serving["digest"], digest("1").to_string());
    let said = service.says("policies unreadable: serving the last known good instead");
    assert_eq!(said["level"], "ERROR");
    // And takes the source when it is back, by itself.
    place_back(&away, &place, "2");
    assert_eq!(service.says("policies applied")["after"], digest("2").to_string());
}

fn place_back(away: &Path, place: &Place, version: &str) {
    fs::write(away.join("shop.policy.yaml"), text(version)).unwrap();
    fs::rename(away, place.source()).unwrap();
}

#[tokio::test]
async fn without_anything_known_good_it_does_not_start() {
    let place = Place::with_state("1");
    let running = place.run(BY_HAND);
    running.until("it is there", |_| file_of(&place, digest("1"), "record").exists()).await;
    assert_eq!(running.status().last_known_good, None);
    running.end().await;
    place.write("policy: [\n");
    let output = try_serve(&place);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(3), 0), "{said}");
    assert!(said.contains("holds no revision known to be good") && said.contains("shop.policy.yaml"), "{said}");
}

#[tokio::test]
async fn a_damaged_known_good_gives_way_to_the_one_before() {
    let place = after_a_run(&["1", "2", "3"]).await;
    place.write("policy: [\n");
    let newest = file_of(&place, digest("3"), "bundle");
    let mut bytes = fs::read(&newest).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&newest, bytes).unwrap();
    fs::write(file_of(&place, digest("2"), "record"), "hello").unwrap();
    let running = place.run(GOOD);
    assert_eq!(running.digest(), digest("1"));
    let status = running.status();
    let told = |what: &str| status.notices.iter().any(|notice| notice.contains(what));
    assert!(told("is damaged") && told("is not used"), "{:?}", status.notices);
    running.end().await;
    let corrupt = names(state(&place)).into_iter().filter(|name| name.ends_with(".corrupt")).count();
    assert_eq!(corrupt, 4, "{:?}", names(state(&place)));
}

#[tokio::test]
async fn a_revision_that_this_program_does_not_let_in_is_not_used_and_told_of() {
    let place = after_a_run(&["1"]).await;
    let strange = bundle("policy: shop\nof: the future\n");
    let opened = StateDir::open(state(&place)).unwrap();
    opened.state.keep(&kept(strange.digest(), 99, KnownGood::Yes), Some(&strange)).unwrap();
    drop(opened);
    place.write("policy: [\n");
    let running = place.run(GOOD);
    assert_eq!(running.digest(), digest("1"));
    assert!(running.status().notices[0].contains("is rejected by this version"), "{:?}", running.status().notices);
    let Err(Refusal::Failed(failed)) = running.roll_back(Some(strange.digest())).await else { panic!("rejected") };
    assert!(matches!(&failed.why, WhyFailed::Rejected { digest, .. } if *digest == strange.digest()), "{failed:?}");
    assert_eq!((running.digest(), running.generation()), (digest("1"), 1));
    assert_eq!(running.status().last_failure.as_ref().unwrap().trigger, ReloadTrigger::Rollback);
    running.end().await;
}

#[tokio::test]
async fn no_more_is_kept_than_asked_for_and_the_last_known_good_in_any_case() {
    let place = Place::with_state("0");
    let good = GoodAfter { decisions: 1, ..GOOD_AT_ONCE };
    let running = place.run(ReloadConfig { revisions_max: 3, known_good: good, ..BY_HAND });
    running.engine.current().count(1);
    is_kept(&running, "0").await;
    for version in ["1", "2", "3", "4", "5"] {
        running.put(version).await;
    }
    let there = |version: &str| file_of(&place, digest(version), "record").exists();
    running.until("the old ones are let go", |_| there("5") && !there("1") && !there("2")).await;
    assert!(there("3") && there("4") && there("0"));
    assert_eq!(running.status().last_known_good.as_ref().unwrap().digest, digest("0"));
    running.end().await;
    assert_eq!(names(state(&place)).len(), 10, "{:?}", names(state(&place)));
}

#[tokio::test]
async fn a_disk_that_cannot_be_written_fails_no_reload() {
    let place = Place::with_state("1");
    let running = place.run(GOOD);
    is_kept(&running, "1").await;
    let away = place.dir.path().join("unplugged");
    fs::rename(state(&place), &away).unwrap();
    let report = running.put("2").await;
    assert_eq!((report.after, report.generation), (digest("2"), 2));
    let status = running.until("it is told", |status| !status.notices.is_empty()).await;
    assert!(status.notices[0].contains("cannot be kept in the state directory"), "{:?}", status.notices);
    assert_eq!(status.last_known_good.as_ref().unwrap().digest, digest("1"), "only what is on the disk counts");
    assert!(!running.put("3").await.notices.is_empty(), "who asks is told, too");
    fs::rename(&away, state(&place)).unwrap();
    // Nobody has to do anything.
    running.until("it is kept after all", |status| status.notices.is_empty()).await;
    is_kept(&running, "3").await;
    running.end().await;
    assert_eq!(StateDir::open(state(&place)).unwrap().revisions.len(), 3);
}

#[tokio::test]
async fn going_back_to_a_revision_that_was_lost_says_so_and_changes_nothing() {
    let place = after_a_run(&["1", "2"]).await;
    let running = place.run(GOOD);
    fs::remove_file(file_of(&place, digest("1"), "bundle")).unwrap();
    let Err(Refusal::Failed(failed)) = running.roll_back(None).await else { panic!("it is lost") };
    assert!(
        matches!(&failed.why, WhyFailed::Unreadable(problems) if problems[0].contains("cannot be read")),
        "{failed:?}"
    );
    assert_eq!((running.digest(), running.generation()), (digest("2"), 1));
    running.end().await;
}
