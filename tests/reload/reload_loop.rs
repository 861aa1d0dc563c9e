//! Whatever a reload finds, the service goes on serving, and the next good bundle is put in force.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use requite::domain::time::Timestamp;
use requite::engine::activations::Activations;
use requite::engine::admit::{Admission, Rejection};
use requite::engine::history::LoadedBundle;
use requite::engine::status::{Admissible, StartedFrom, WhyFailed};
use requite::engine::{Engine, open, open_in};
use requite::policy::bundle::{Bundle, BundleFile};
use requite::policy::diagnostic::{Diagnostic, Severity};
use requite::reload::handle::{ReloadCommand, ReloadHandle};
use requite::reload::signal::ReloadSignal;
use requite::reload::{InitialState, Loader, ReloadConfig, ReloadHandles};
use requite::source::{Source, SourceError, Watching};
use requite::telemetry::labels::ReloadTrigger;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

fn bundle(text: &str) -> Bundle {
    Bundle::new(vec![BundleFile { path: "a.yaml".to_owned(), bytes: text.into() }]).unwrap()
}

/// What is slow waits as long as this.
static DOOR_IS_SHUT: AtomicBool = AtomicBool::new(false);

/// A door that is shut until this is dropped.
struct Closed;

impl Closed {
    fn shut() -> Self {
        DOOR_IS_SHUT.store(true, Ordering::SeqCst);
        Self
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        DOOR_IS_SHUT.store(false, Ordering::SeqCst);
    }
}

/// How much slow has come to the door.
static DOOR_ASKED: AtomicUsize = AtomicUsize::new(0);

/// Lets everything in but what says that it is bad, waits where it is told to, and panics.
fn admit(bundle: &Bundle) -> Result<Admission, Rejection> {
    let text = bundle.file("a.yaml").map(|file| String::from_utf8_lossy(&file.bytes).into_owned()).unwrap();
    assert!(!text.starts_with("panic"), "told to");
    if text == "slow" {
        DOOR_ASKED.fetch_add(1, Ordering::SeqCst);
        while DOOR_IS_SHUT.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    if text.starts_with("bad") {
        let diagnostic = Diagnostic {
            severity: Severity::Error,
            code: "bad",
            message: "it is bad".to_owned(),
            place: None,
            help: None,
        };
        return Err(Rejection {
            digest: bundle.digest(),
            diagnostics: vec![diagnostic],
            cases_passed: 0,
            only_cases_failed: None,
        });
    }
    Ok(Admission {
        digest: bundle.digest(),
        default_policy: "a".to_owned(),
        plans: vec![],
        warnings: vec![],
        stricter_errors: vec![],
        cases_passed: 0,
    })
}

/// A reload task whose source says what the test wants, one answer after the other; the last one
/// for ever.
struct Service {
    engine: Engine,
    answers: Arc<Mutex<VecDeque<Result<Bundle, SourceError>>>>,
    reads: Arc<AtomicUsize>,
    signal: ReloadSignal,
    reload: ReloadHandle,
    task: JoinHandle<()>,
}

/// A source that gives its answers one after the other, and the last one for ever.
#[derive(Debug)]
struct Script {
    answers: Arc<Mutex<VecDeque<Result<Bundle, SourceError>>>>,
    reads: Arc<AtomicUsize>,
}

impl Source for Script {
    fn read(&self) -> Result<Bundle, SourceError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        let answer = answers.pop_front().unwrap();
        if answers.is_empty() {
            answers.push_back(answer.clone());
        }
        answer
    }

    fn watch(&self, _changed: Box<dyn FnMut() + Send>) -> Watching {
        Box::pin(std::future::ready(()))
    }

    fn location(&self) -> String {
        "test".to_owned()
    }
}

fn service() -> Service {
    service_with(ReloadConfig::default())
}

fn service_with(config: ReloadConfig) -> Service {
    let first = LoadedBundle::new(Arc::new(bundle("first")), admit(&bundle("first")).unwrap());
    let (engine, activator) = open_in(Arc::clone(&first.plans));
    let answers = Arc::new(Mutex::new(VecDeque::from([Ok(bundle("first"))])));
    let reads = Arc::new(AtomicUsize::new(0));
    let source = Script { answers: Arc::clone(&answers), reads: Arc::clone(&reads) };
    let initial = InitialState {
        first,
        started_from: StartedFrom::Source,
        started_at: Timestamp::EPOCH,
        location: "test".to_owned(),
        failure: None,
        earlier: vec![],
        activations: Activations::default(),
        notices: vec![],
    };
    let loader = Loader { source: Arc::new(source), admit: |bundle, _| admit(bundle), state: None };
    let ReloadHandles { reloader, reload, signal, persister: _ } =
        ReloadHandles::new(loader, activator, initial, config);
    let task = tokio::spawn(reloader.run(std::future::pending()));
    Service { engine, answers, reads, signal, reload, task }
}

impl Service {
    /// The source says this from now on, and something triggers a reload.
    async fn change(&self, answers: impl IntoIterator<Item = Result<Bundle, SourceError>>, trigger: ReloadTrigger) {
        *self.answers.lock().unwrap() = answers.into_iter().collect();
        let reads = self.reads();
        self.signal.notify(trigger);
        self.until("the source is read", || self.reads() > reads).await;
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !holds() {
            assert!(Instant::now() < deadline, "timed out waiting until {what}");
            sleep(Duration::from_millis(2)).await;
        }
    }

    async fn serves(&self, text: &str, generation: u64) {
        let digest = bundle(text).digest();
        self.until(text, || self.engine.current().digest == digest).await;
        assert_eq!(self.engine.current().generation, generation);
    }

    /// Ends the task, which has then finished everything it began.
    async fn end(self) -> Engine {
        drop(self.reload);
        self.task.await.unwrap();
        self.engine
    }
}

use ReloadTrigger::{FileChange, Signal};

#[tokio::test]
async fn a_good_bundle_is_put_in_force() {
    let service = service();
    service.change([Ok(bundle("second"))], FileChange).await;
    service.serves("second", 2).await;
}

#[tokio::test]
async fn an_unchanged_bundle_makes_no_new_generation() {
    let service = service();
    for trigger in [FileChange, Signal] {
        service.change([Ok(bundle("first"))], trigger).await;
    }
    assert_eq!(service.end().await.current().generation, 1);
}

#[tokio::test]
async fn rejected_bundle_leaves_previous_one_serving() {
    let service = service();
    service.change([Ok(bundle("bad"))], FileChange).await;
    service.change([Ok(bundle("bad"))], Signal).await;
    service.serves("first", 1).await;
    service.change([Ok(bundle("second"))], FileChange).await;
    service.serves("second", 2).await;
}

#[tokio::test]
async fn rejected_bundle_is_not_tried_again_by_itself() {
    let service = service();
    service.change([Ok(bundle("bad"))], FileChange).await;
    sleep(Duration::from_millis(500)).await;
    assert_eq!(service.reads(), 1);
}

#[tokio::test]
async fn a_source_that_flaps_does_not_make_the_service_flap() {
    let service = service();
    for _ in 0..10 {
        service.change([Ok(bundle("bad"))], FileChange).await;
        service.change([Ok(bundle("first"))], FileChange).await;
    }
    assert_eq!(service.end().await.current().generation, 1);
}

#[tokio::test]
async fn an_unstable_source_is_read_again_without_another_trigger() {
    let service = service();
    let unstable = || Err(SourceError::Unstable("a.yaml".into()));
    service.change([unstable(), unstable(), Ok(bundle("second"))], FileChange).await;
    service.serves("second", 2).await;
    assert_eq!(service.reads(), 3);
}

#[tokio::test]
async fn an_empty_source_is_not_read_again_by_itself() {
    let service = service();
    service.change([Err(requite::policy::bundle::BundleError::Empty.into())], FileChange).await;
    sleep(Duration::from_millis(500)).await;
    assert_eq!(service.reads(), 1);
    service.serves("first", 1).await;
}

#[tokio::test]
async fn a_panic_does_not_end_reloading() {
    let service = service();
    service.change([Ok(bundle("panic"))], FileChange).await;
    service.change([Ok(bundle("second"))], FileChange).await;
    service.serves("second", 2).await;
}

#[tokio::test]
async fn policies_that_are_only_looked_into_do_not_hold_up_the_road() {
    let service = service();
    let slow = Closed::shut();
    let asked = DOOR_ASKED.load(Ordering::SeqCst);
    let mut assessments = Vec::new();
    // More than may be looked into at once.
    for _ in 0..4 {
        let (reply, assessment) = oneshot::channel();
        service
            .reload
            .commands
            .send(ReloadCommand::Validate { bundle: Some(bundle("slow").into()), reply })
            .await
            .unwrap();
        assessments.push(assessment);
    }
    service.until("two are looked into", || DOOR_ASKED.load(Ordering::SeqCst) == asked + 2).await;
    service.change([Ok(bundle("second"))], FileChange).await;
    service.serves("second", 2).await;
    assert_eq!(DOOR_ASKED.load(Ordering::SeqCst), asked + 2, "no more than two at once");
    // Nobody waits for this one any more: it is not even begun.
    drop(assessments.pop());
    drop(slow);
    for assessment in assessments {
        let assessment = timeout(Duration::from_secs(10), assessment).await.unwrap().unwrap().unwrap();
        assert_eq!((assessment.verdict, assessment.in_force), (Admissible::Yes, bundle("first").digest()));
    }
    assert_eq!(DOOR_ASKED.load(Ordering::SeqCst), asked + 3);
}

#[tokio::test]
async fn a_source_that_hangs_does_not_keep_anyone_from_going_back() {
    let service = service_with(ReloadConfig { read_max: Duration::from_millis(50), ..ReloadConfig::default() });
    service.change([Ok(bundle("second"))], FileChange).await;
    service.serves("second", 2).await;
    // Whoever reads the source now waits for this.
    let hanging = service.answers.lock().unwrap().clone();
    let (held, release) = std::sync::mpsc::channel::<()>();
    let answers = Arc::clone(&service.answers);
    let locked = std::thread::spawn(move || {
        let answers = answers.lock().unwrap();
        let _ = release.recv();
        drop(answers);
    });
    service.until("it hangs", || service.answers.try_lock().is_err()).await;
    let reads = service.reads();
    service.signal.notify(Signal);
    service.until("it is read", || service.reads() > reads).await;
    let (reply, answer) = oneshot::channel();
    let expected = bundle("second").digest();
    service
        .reload
        .commands
        .send(ReloadCommand::Rollback { to: None, expected, requester: "".into(), reply })
        .await
        .unwrap();
    let report = timeout(Duration::from_secs(10), answer).await.unwrap().unwrap().unwrap();
    assert_eq!((report.after, report.generation), (bundle("first").digest(), 3));
    sleep(Duration::from_millis(500)).await;
    assert_eq!(service.reads(), reads + 1, "one thread hangs, and not one more for each try");
    let problem = service.reload.shown.told.borrow().last_failure.clone();
    assert!(problem.is_none_or(|failed| matches!(failed.why, WhyFailed::Unreadable(_))));
    assert_eq!(service.reload.shown.told.borrow().source.digest, None);
    drop(held);
    locked.join().unwrap();
    service.until("it is read again", || service.reload.shown.told.borrow().source.digest.is_some()).await;
    assert_eq!(
        (service.engine.current().digest, hanging.len()),
        (bundle("first").digest(), 1),
        "what was rolled back from stays out"
    );
}

#[tokio::test(flavor = "current_thread")]
async fn a_burst_is_one_reload() {
    let service = service();
    *service.answers.lock().unwrap() = VecDeque::from([Ok(bundle("second"))]);
    // The task does not run before the test waits: all of them are there at once.
    for trigger in [FileChange, Signal, FileChange, FileChange] {
        service.signal.notify(trigger);
    }
    service.serves("second", 2).await;
    assert_eq!(service.reads(), 1);
}

#[tokio::test]
async fn nobody_left_to_trigger_ends_the_task() {
    let service = service();
    service.change([Err(SourceError::Unstable("a.yaml".into()))], FileChange).await;
    tokio::time::timeout(Duration::from_secs(5), service.end()).await.unwrap();
}

#[tokio::test]
async fn ten_thousand_reloads_give_whole_snapshots_in_order() {
    let (engine, mut activator) = open(admit(&bundle("first")).unwrap());
    let reader = {
        let engine = engine.clone();
        std::thread::spawn(move || {
            let mut last = 0;
            while last < 10_001 {
                let generation = engine.current().generation;
                assert!(last <= generation, "generations only grow");
                last = generation;
            }
        })
    };
    let bundles = ["a", "b"].map(bundle);
    for bundle in bundles.iter().cycle().take(10_000) {
        let over = activator.current();
        activator.activate(&over, admit(bundle).unwrap()).unwrap();
    }
    reader.join().unwrap();
}
