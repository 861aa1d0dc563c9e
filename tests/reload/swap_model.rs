//! Swap, rollback and concurrent reloads, explored over every interleaving.
//!
//! What runs is the program's own activator and history; only the place that holds the snapshot and
//! the queue before the one task are the model's, so that each access is a point where any other
//! thread may come first.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loom::sync::Mutex;
use loom::thread;
use requite::domain::time::Timestamp;
use requite::engine::admit::Admission;
use requite::engine::history::{History, LoadedBundle};
use requite::engine::snapshot::Snapshot;
use requite::engine::snapshot_cell::SnapshotCell;
use requite::engine::status::{KnownGood, Revision};
use requite::engine::{Activation, Activator, Conflict, Engine, open_in};
use requite::policy::bundle::{Bundle, BundleFile, Digest};
use requite::telemetry::labels::ReloadTrigger;

/// A place where every access may be overtaken.
struct ModelCell(Mutex<Arc<Snapshot>>);

struct Taken(Arc<Snapshot>);

impl Deref for Taken {
    type Target = Arc<Snapshot>;

    fn deref(&self) -> &Arc<Snapshot> {
        &self.0
    }
}

impl SnapshotCell for ModelCell {
    type Taken = Taken;

    fn holding(first: Arc<Snapshot>) -> Self {
        Self(Mutex::new(first))
    }

    fn take(&self) -> Taken {
        Taken(Arc::clone(&self.0.lock().unwrap()))
    }

    fn replace(&self, expected: &Arc<Snapshot>, next: Arc<Snapshot>) -> bool {
        let mut held = self.0.lock().unwrap();
        let same = Arc::ptr_eq(&held, expected);
        if same {
            *held = next;
        }
        same
    }
}

fn held(text: &str) -> LoadedBundle {
    let bundle = Bundle::new(vec![BundleFile { path: "a.policy.yaml".into(), bytes: text.into() }]).unwrap();
    let digest = bundle.digest();
    let admission = Admission {
        digest,
        default_policy: String::new(),
        plans: vec![],
        warnings: vec![],
        stricter_errors: vec![],
        cases_passed: 0,
    };
    LoadedBundle::new(Arc::new(bundle), admission)
}

fn revision(digest: Digest, generation: u64) -> Revision {
    Revision {
        digest,
        semantic: None,
        generation,
        activated_at: Timestamp::EPOCH,
        trigger: ReloadTrigger::Admin,
        actor: String::new(),
        reason: String::new(),
        known_good: KnownGood::NotYet,
    }
}

/// The one task's belongings. Whoever has the lock is the message that is being heeded.
struct ReloaderModel {
    activator: Activator<ModelCell>,
    history: History,
    /// Everything that was ever in force: generation and digest.
    activated: BTreeMap<u64, Digest>,
}

impl ReloaderModel {
    fn put(&mut self, over: &Arc<Snapshot>, held: LoadedBundle) -> Result<Activation, Conflict> {
        let activation = self.activator.activate(over, Arc::clone(&held.plans))?;
        let Activation { after, generation, .. } = activation;
        assert_eq!(self.activated.insert(generation, after), None, "a generation is given once");
        self.history.put(revision(after, generation), held);
        Ok(activation)
    }
}

type Shared = Arc<Mutex<ReloaderModel>>;

fn reloader() -> (Engine<ModelCell>, Shared) {
    let first = held("first");
    let (engine, activator) = open_in(Arc::clone(&first.plans));
    let digest = first.bundle.digest();
    let history = History::new(revision(digest, 1), first, vec![], 10);
    let activated = BTreeMap::from([(1, digest)]);
    (engine, Arc::new(Mutex::new(ReloaderModel { activator, history, activated })))
}

/// A reload: what is in force is taken, the work takes its time, and then it is put in force.
fn reload(shared: &Shared, text: &str) -> Option<Activation> {
    let over = shared.lock().unwrap().activator.current();
    let built = held(text);
    let mut reloader = shared.lock().unwrap();
    let now = reloader.activator.current().generation;
    exactly_when_overtaken(over.generation, now, reloader.put(&over, built))
}

/// Going back to what was in force before.
fn roll_back(shared: &Shared) -> Option<Activation> {
    let over = shared.lock().unwrap().activator.current();
    let mut reloader = shared.lock().unwrap();
    let now = reloader.activator.current().generation;
    let to = reloader.history.before().next()?.held.clone()?;
    let digest = to.bundle.digest();
    let activation = exactly_when_overtaken(over.generation, now, reloader.put(&over, to))?;
    assert_eq!(activation.after, digest);
    Some(activation)
}

/// It is put in force exactly when nothing else was since the work began, as the next generation.
fn exactly_when_overtaken(began: u64, now: u64, result: Result<Activation, Conflict>) -> Option<Activation> {
    match result {
        Ok(activation) => {
            assert_eq!((began, activation.generation), (now, began + 1));
            Some(activation)
        }
        Err(overtaken) => {
            assert!(began < now && overtaken.generation == now, "{began} {now} {overtaken:?}");
            None
        }
    }
}

/// Two requests, one after the other; gives what they were decided by.
fn ask_twice(engine: &Engine<ModelCell>) -> [(u64, Digest); 2] {
    let decided_by = || {
        let snapshot = engine.current();
        (snapshot.generation, snapshot.digest)
    };
    let asked = [decided_by(), decided_by()];
    assert!(asked[0].0 <= asked[1].0, "generations only grow");
    asked
}

fn explore(name: &str, scenario: impl Fn() + Sync + Send + 'static) {
    let explored = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&explored);
    loom::model(move || {
        count.fetch_add(1, Ordering::Relaxed);
        scenario();
    });
    let explored = explored.load(Ordering::Relaxed);
    println!("{name}: {explored} interleavings");
    assert!(1 < explored);
}

/// After everything: each answer was made by a pair that was activated together, and every
/// activation counts one.
fn settle(engine: &Engine<ModelCell>, shared: &Shared, answers: &[(u64, Digest)], succeeded: usize) {
    let reloader = shared.lock().unwrap();
    for (generation, digest) in answers {
        assert_eq!(reloader.activated.get(generation), Some(digest), "an answer mixes two bundles");
    }
    let last = engine.current();
    assert_eq!(usize::try_from(last.generation).unwrap(), 1 + succeeded);
    assert_eq!(reloader.activated.len(), 1 + succeeded);
    assert_eq!(reloader.activated.get(&last.generation), Some(&last.digest));
    let in_force = reloader.history.in_force();
    assert_eq!((in_force.generation, in_force.digest), (last.generation, last.digest));
}

#[test]
fn two_reloads_and_a_caller() {
    explore("two reloads and a caller", || {
        let (engine, shared) = reloader();
        let workers = ["a", "b"].map(|text| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || reload(&shared, text))
        });
        let answers = ask_twice(&engine);
        let succeeded = workers.into_iter().filter_map(|worker| worker.join().unwrap()).count();
        assert!((1..=2).contains(&succeeded), "one of two always wins");
        settle(&engine, &shared, &answers, succeeded);
    });
}

#[test]
fn a_reload_against_going_back_and_a_caller() {
    explore("a reload against going back and a caller", || {
        let (engine, shared) = reloader();
        reload(&shared, "a").unwrap();
        let reloading = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || reload(&shared, "b"))
        };
        let going_back = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || roll_back(&shared))
        };
        let answers = ask_twice(&engine);
        let reloaded = reloading.join().unwrap();
        let back = going_back.join().unwrap();
        if let Some(back) = back {
            assert!(2 < back.generation, "nothing is resurrected under an old generation");
        }
        let succeeded = 1 + [reloaded, back].into_iter().flatten().count();
        settle(&engine, &shared, &answers, succeeded);
    });
}

#[test]
fn the_same_content_again_does_not_let_an_old_plan_in() {
    let (came_back, kept_out) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (seen, refused) = (Arc::clone(&came_back), Arc::clone(&kept_out));
    explore("the same content again", move || {
        let (engine, shared) = reloader();
        // Work begins on "first", and then "first" may be in force again, as another generation.
        let old = shared.lock().unwrap().activator.current();
        let worker = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || [reload(&shared, "a"), roll_back(&shared)].into_iter().flatten().count())
        };
        let late = {
            let mut reloader = shared.lock().unwrap();
            let now = reloader.activator.current();
            let same_content = now.digest == old.digest && now.generation != old.generation;
            let late = exactly_when_overtaken(old.generation, now.generation, reloader.put(&old, held("late")));
            seen.fetch_add(usize::from(same_content), Ordering::Relaxed);
            refused.fetch_add(usize::from(same_content && late.is_none()), Ordering::Relaxed);
            late
        };
        let succeeded = worker.join().unwrap() + usize::from(late.is_some());
        settle(&engine, &shared, &[], succeeded);
    });
    let (came_back, kept_out) = (came_back.load(Ordering::Relaxed), kept_out.load(Ordering::Relaxed));
    assert!(0 < came_back && came_back == kept_out, "{kept_out} of {came_back}");
}
