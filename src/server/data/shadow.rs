//! Asks the candidate what it would have said to live requests.
//!
//! One thread beside those that answer. It decides a request again by the policies that answered
//! it, which gives what was answered, and by the candidate, and notes the difference. Live
//! requests never wait for it: they leave a request in a queue, or drop it where there is no room.
//! The thread works for a twentieth of the time at most and drops what waits while the service is
//! busy; a candidate that panics is a number in its report.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::api::decode::decode;
use crate::api::limits::{BATCH_ITEMS_MAX, MATERIAL_MESSAGE_BYTES_MAX};
use crate::api::pb;
use crate::decision::explain::Silent;
use crate::decision::{Purpose, decide, intake};
use crate::engine::Engine;
use crate::engine::candidate::{Candidate, Observed, Sampled};
use crate::engine::snapshot::Snapshot;
use crate::server::wire::request;
use crate::telemetry::event::Panicked;

/// Requests that wait: those of one full batch.
const QUEUE_MAX: usize = BATCH_ITEMS_MAX;

/// Upper bound for the waiting requests, in bytes on the wire. Only requests that were answered wait,
/// so the bounds of a request hold for them, too.
const QUEUE_BYTES_MAX: usize = 2 * MATERIAL_MESSAGE_BYTES_MAX;

/// Time that the thread works before it rests.
const TURN_TIME_MAX: Duration = Duration::from_millis(1);

/// Ratio of rest to work: nineteen, so that the thread takes a twentieth of one processor, and less
/// where it has to wait for one.
const REST_PER_WORK: u32 = 19;

/// Longest rest, for a candidate that takes half a second and more for one request.
const REST_MAX: Duration = Duration::from_secs(10);

/// Interval for polling an empty queue. A wake-up would be quicker, but costs the threads that
/// answer several microseconds each time.
const LOOK_GAP: Duration = Duration::from_millis(5);

/// Rest of the thread while the service is busy.
const BUSY_REST: Duration = Duration::from_millis(50);

/// Tasks of the service that are ready to run and wait for a thread, from which on it is busy.
const WAITING_TASKS_BUSY: usize = 32;

/// Longest wait for the thread to end: it looks after each request.
const JOIN_TIME_MAX: Duration = Duration::from_millis(500);

/// Queue for requests that were answered.
#[derive(Clone, Debug)]
pub(crate) struct Shadow {
    engine: Engine,
    jobs: SyncSender<Message>,
    shared: Arc<Shared>,
}

/// The thread that asks. Whoever has it ends it.
#[derive(Debug)]
pub(crate) struct ShadowThread {
    thread: Option<JoinHandle<()>>,
    jobs: SyncSender<Message>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    queued_bytes: AtomicUsize,
    stopping: AtomicBool,
}

#[derive(Debug)]
enum Message {
    Ask(Box<Job>),
    /// Look whether the end has come.
    Wake,
}

/// A request, what answered it, and who else is asked.
#[derive(Debug)]
struct Job {
    candidate: Arc<Candidate>,
    live: Arc<Snapshot>,
    /// The request as it came over the wire, or would have.
    message: Vec<u8>,
}

/// Load of the service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Load {
    Calm,
    Busy,
}

/// Starts the thread. To be called on the runtime that answers.
pub(crate) fn start(engine: Engine) -> io::Result<(Shadow, ShadowThread)> {
    let metrics = Handle::current().metrics();
    let load = move || if metrics.global_queue_depth() < WAITING_TASKS_BUSY { Load::Calm } else { Load::Busy };
    start_with(engine, observe, load)
}

fn start_with(
    engine: Engine,
    evaluate: impl Fn(&Snapshot, &pb::EvaluateRefundRequest) -> Option<Observed> + Send + 'static,
    load: impl Fn() -> Load + Send + 'static,
) -> io::Result<(Shadow, ShadowThread)> {
    let (jobs, waiting) = sync_channel(QUEUE_MAX);
    let shared = Arc::<Shared>::default();
    let worker = Worker { engine: engine.clone(), waiting, shared: Arc::clone(&shared), evaluate, load };
    let thread = thread::Builder::new().name("candidate".to_owned()).spawn(move || worker.run())?;
    let owner = ShadowThread { thread: Some(thread), jobs: jobs.clone(), shared: Arc::clone(&shared) };
    Ok((Shadow { engine, jobs, shared }, owner))
}

/// Returns the compared parts of a snapshot's decision on a request; `None` where its policies cannot
/// read the request. The digest or generation that the caller pinned, and the language, make no
/// difference to a decision.
fn observe(snapshot: &Snapshot, message: &pb::EvaluateRefundRequest) -> Option<Observed> {
    let (said, violations) = request::for_decision(message.order.as_ref(), message.claim.as_ref());
    if !violations.is_empty() {
        return None;
    }
    let plan = snapshot.plan_for(&message.policy_id, &said)?;
    let facts = intake(plan, &said, Purpose::Decision).ok()?;
    Observed::of(plan, facts.currency, &decide(plan, &facts, &mut Silent))
}

/// A request that was answered, before anyone knows whether a candidate is asked about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered<'m> {
    pub(crate) order_id: &'m str,
    pub(crate) request_id: &'m str,
    /// Its bytes: an `EvaluateRefundRequest`.
    pub(crate) message: &'m [u8],
}

impl Shadow {
    /// Creates a queue without a reader: requests left here are dropped.
    pub(crate) fn of_nobody(engine: Engine) -> Self {
        let (jobs, _) = sync_channel(0);
        Self { engine, jobs, shared: Arc::default() }
    }

    /// Leaves a request that these policies have answered. Never waits.
    pub(crate) fn offer(&self, live: &Arc<Snapshot>, request: Answered<'_>) {
        if let Some(candidate) = self.engine.candidate() {
            self.queue(&candidate, live, request);
        }
    }

    fn queue(&self, candidate: &Arc<Candidate>, live: &Arc<Snapshot>, request: Answered<'_>) {
        let Answered { order_id, request_id, message } = request;
        match candidate.samples(order_id, request_id) {
            Sampled::Yes => {}
            Sampled::No => return,
        }
        let bytes = message.len();
        let queued = &self.shared.queued_bytes;
        if QUEUE_BYTES_MAX < queued.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) {
            queued.fetch_sub(bytes, Ordering::Relaxed);
            return candidate.shed();
        }
        let job = Job { candidate: Arc::clone(candidate), live: Arc::clone(live), message: message.to_vec() };
        if self.jobs.try_send(Message::Ask(Box::new(job))).is_err() {
            queued.fetch_sub(bytes, Ordering::Relaxed);
            candidate.shed();
        }
    }
}

impl ShadowThread {
    /// Ends the thread: after the request it is at. What waits is dropped.
    pub(crate) async fn join(mut self) {
        self.tell_to_stop();
        let Some(thread) = self.thread.take() else { return };
        match timeout(JOIN_TIME_MAX, tokio::task::spawn_blocking(move || thread.join())).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(_)) | Err(_)) => tracing::error!("the thread for candidates panicked, this is a bug"),
            Err(_) => tracing::warn!("the thread for candidates did not end in time"),
        }
    }

    fn tell_to_stop(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        // Where the queue is full the thread does not wait for it.
        let _ = self.jobs.try_send(Message::Wake);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for ShadowThread {
    fn drop(&mut self) {
        self.tell_to_stop();
    }
}

struct Worker<E, L> {
    engine: Engine,
    waiting: Receiver<Message>,
    shared: Arc<Shared>,
    evaluate: E,
    load: L,
}

impl<E, L> Worker<E, L>
where
    E: Fn(&Snapshot, &pb::EvaluateRefundRequest) -> Option<Observed>,
    L: Fn() -> Load,
{
    fn run(self) {
        while let Some(first) = self.next() {
            match (self.load)() {
                Load::Calm => {
                    let began = Instant::now();
                    self.work(*first, began);
                    self.rest(began.elapsed().saturating_mul(REST_PER_WORK).min(REST_MAX));
                }
                Load::Busy => {
                    self.take(*first).candidate.shed();
                    while let Ok(Message::Ask(job)) = self.waiting.try_recv() {
                        self.take(*job).candidate.shed();
                    }
                    self.rest(BUSY_REST);
                }
            }
        }
    }

    /// The next request; `None` at the end.
    fn next(&self) -> Option<Box<Job>> {
        while !self.shared.stopping.load(Ordering::Acquire) {
            match self.waiting.try_recv() {
                Ok(Message::Ask(job)) => return Some(job),
                Ok(Message::Wake) => {}
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) if self.engine.candidate().is_some() => thread::park_timeout(LOOK_GAP),
                // Nobody leaves anything until there is a candidate, so this may last.
                Err(TryRecvError::Empty) => match self.waiting.recv() {
                    Ok(Message::Ask(job)) => return Some(job),
                    Ok(Message::Wake) => {}
                    Err(_) => return None,
                },
            }
        }
        None
    }

    /// One turn: what waits, until the time is over.
    fn work(&self, first: Job, began: Instant) {
        self.ask(self.take(first));
        while began.elapsed() < TURN_TIME_MAX && !self.shared.stopping.load(Ordering::Acquire) {
            match self.waiting.try_recv() {
                Ok(Message::Ask(job)) => self.ask(self.take(*job)),
                Ok(Message::Wake) | Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }

    fn take(&self, job: Job) -> Job {
        self.shared.queued_bytes.fetch_sub(job.message.len(), Ordering::Relaxed);
        job
    }

    fn ask(&self, job: Job) {
        let Job { candidate, live, message } = job;
        // It was left for a candidate that may be gone by now.
        if !self.engine.candidate().is_some_and(|now| Arc::ptr_eq(&now, &candidate)) {
            return;
        }
        if candidate.is_given_up() {
            return candidate.shed();
        }
        let request = decode::<pb::EvaluateRefundRequest>(&message).ok();
        // Nothing of an evaluation is looked at again after it panicked.
        let evaluate = |snapshot| {
            catch_unwind(AssertUnwindSafe(|| request.as_ref().and_then(|request| (self.evaluate)(snapshot, request))))
        };
        match (evaluate(&live), evaluate(candidate.snapshot())) {
            (Ok(Some(said)), Ok(Some(own))) => candidate.compare(live.generation, &said, &own),
            (Ok(Some(_)), Ok(None)) => candidate.not_comparable(live.generation),
            (Ok(None), _) => {
                tracing::error!("a request that was answered cannot be decided again, this is a bug");
                candidate.failed();
            }
            (Err(_), _) | (_, Err(_)) => {
                Panicked { method: "candidate" }.record();
                candidate.failed();
            }
        }
        if candidate.is_given_up() {
            tracing::error!(digest = %candidate.digest(), "the candidate failed too often and is not asked any more");
        }
    }

    /// Leaves the processors to others.
    fn rest(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while !self.shared.stopping.load(Ordering::Acquire) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::park_timeout(left);
        }
    }
}

#[cfg(test)]
mod tests;
