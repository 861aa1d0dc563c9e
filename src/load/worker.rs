//! One thread of the generator: sends its part of the load at the moments meant for it, whatever the
//! answers do, and records what becomes of each request.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinSet, LocalSet, spawn_local, yield_now};
use tokio::time::{sleep, timeout};

use crate::load::answer::{Answer, BatchAnswer, Payload, unframed};
use crate::load::arrivals::Schedule;
use crate::load::connection::{Connection, Mover, Room, connect, receive};
use crate::load::judge::{take, take_batch};
use crate::load::record::{Fault, Recorder};
use crate::load::timer::Timer;
use crate::telemetry::cpu::{self, Clock};

/// Requests that are sent at once before answers get their turn.
const SENDS_PER_TURN: u32 = 32;

/// Before a connection that broke is made again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// Orders to the threads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    /// Connect and wait.
    Ready,
    /// The run begins at this moment.
    Begin(Instant),
    /// Send nothing more; what is in flight may be answered.
    Stop,
    /// End now.
    Cut,
}

/// The method of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Method {
    Single,
    Batch,
}

/// Counts of a run so far, for a watcher: all threads count into it.
#[derive(Default, Debug)]
pub struct Progress {
    /// Requests meant to be sent until now, in warm-up as well.
    pub intended: AtomicU64,
    /// Of those, answered.
    pub answered: AtomicU64,
    /// Of those, failed.
    pub failed: AtomicU64,
}

/// A thread's part.
pub(super) struct Job {
    pub(super) addr: String,
    pub(super) method: Method,
    pub(super) head: Request<()>,
    pub(super) payloads: Arc<[Payload]>,
    /// The first payload; threads begin at different ones.
    pub(super) first_payload: usize,
    pub(super) schedule: Schedule,
    pub(super) connections: usize,
    pub(super) in_flight_max: usize,
    pub(super) warm_up: Duration,
    pub(super) measured: Duration,
    /// Longest wait for answers once nothing more is sent.
    pub(super) patience: Duration,
    pub(super) recorder: Recorder,
    pub(super) progress: Arc<Progress>,
}

/// Result of a thread.
pub(super) struct Done {
    pub(super) recorder: Recorder,
    /// Until when it sent, from the beginning of the run.
    pub(super) until: Duration,
    /// Requests sent, those of the warm-up as well.
    pub(super) sent: u64,
    /// Processor time of the thread while it sent.
    pub(super) cpu: Duration,
}

/// One request: when it is meant to be sent, counted from the beginning of the run.
#[derive(Clone, Copy)]
struct Intent {
    at: Duration,
    payload: usize,
}

struct State {
    job: Job,
    begin: Instant,
    connections: Vec<Rc<Connection>>,
    /// Index of the connection at which the search for a free one begins.
    turn: Cell<usize>,
    /// Requests whose moment has come while no connection had room.
    waiting: RefCell<VecDeque<Intent>>,
    /// Requests sent or waiting, and not answered.
    in_flight: Cell<usize>,
    sent: Cell<u64>,
    recorder: RefCell<Recorder>,
    /// Set once answers are not waited for any more.
    over: Cell<bool>,
    settled: Notify,
}

/// Runs a part to its end. `ready` hears when all connections are made, or why not.
pub(super) async fn work(
    mut job: Job,
    mut orders: watch::Receiver<Order>,
    ready: mpsc::UnboundedSender<io::Result<()>>,
) -> io::Result<Done> {
    let mut made = Vec::new();
    for _ in 0..job.connections {
        match connect(&job.addr).await {
            Ok(connection) => made.push(connection),
            Err(error) => {
                // The one who listens ends the run; if nobody does, it has ended.
                let _ = ready.send(Err(error));
                return Err(io::ErrorKind::NotConnected.into());
            }
        }
    }
    let _ = ready.send(Ok(()));
    let recorder = std::mem::replace(&mut job.recorder, Recorder::new(Duration::ZERO).map_err(io::Error::other)?);
    let local = LocalSet::new();
    let state = local
        .run_until(async {
            let mut keepers = JoinSet::new();
            let keep = |(sender, mover)| {
                let connection = Rc::new(Connection::default());
                connection.opened(sender);
                keepers.spawn_local(keep_open(Rc::clone(&connection), job.addr.clone(), mover));
                connection
            };
            let connections: Vec<Rc<Connection>> = made.into_iter().map(keep).collect();
            let Some(begin) = began(&mut orders).await else { return Err(io::ErrorKind::Interrupted.into()) };
            let state = Rc::new(State::new(job, recorder, begin, connections));
            let done = send_all(&state, &mut orders).await;
            wait_for_answers(&state, &mut orders).await;
            state.over.set(true);
            keepers.shutdown().await;
            done.map(|(until, cpu)| (state, until, cpu))
        })
        .await;
    // Calls that are still open end here, and are recorded as they are dropped.
    drop(local);
    let (state, until, cpu) = state?;
    let recorder = state.recorder.replace(Recorder::new(Duration::ZERO).map_err(io::Error::other)?);
    Ok(Done { recorder, until, sent: state.sent.get(), cpu })
}

/// The moment to begin at; none where the run ends before.
async fn began(orders: &mut watch::Receiver<Order>) -> Option<Instant> {
    match *orders.wait_for(|order| *order != Order::Ready).await.ok()? {
        Order::Begin(begin) => Some(begin),
        Order::Ready | Order::Stop | Order::Cut => None,
    }
}

/// Moves the bytes of a connection, and makes another one when it breaks. Until it is dropped.
async fn keep_open(connection: Rc<Connection>, addr: String, mover: Mover) {
    let mut mover = Some(mover);
    loop {
        if let Some(mover) = mover.take() {
            // How it ended is told by the calls that were open on it.
            let _ = mover.await;
            connection.closed();
        }
        sleep(RECONNECT_PAUSE).await;
        if let Ok((sender, next)) = connect(&addr).await {
            connection.opened(sender);
            mover = Some(next);
        }
    }
}

/// Sends until the end of the schedule. Gives until when, and the processor time it took.
async fn send_all(state: &Rc<State>, orders: &mut watch::Receiver<Order>) -> io::Result<(Duration, Duration)> {
    let mut timer = Timer::new()?;
    let end = state.job.warm_up + state.job.measured;
    let mut schedule = state.job.schedule.clone();
    let mut payload = state.job.first_payload;
    let (mut burst, cpu) = (0, cpu::used(Clock::Thread));
    loop {
        let next = schedule.next();
        if end <= next {
            let rest = timer.until(state.begin + end);
            tokio::select! {
                ended = rest => ended?,
                _ = orders.changed() => {}
            }
            break;
        }
        // Before the beginning nothing has elapsed either, and nothing is due.
        if Instant::now().checked_duration_since(state.begin).is_some_and(|elapsed| next <= elapsed) {
            state.intend(Intent { at: next, payload: payload % state.job.payloads.len().max(1) });
            payload = payload.wrapping_add(1);
            schedule.advance();
            burst += 1;
            if burst % SENDS_PER_TURN == 0 {
                yield_now().await;
                if matches!(*orders.borrow(), Order::Stop | Order::Cut) {
                    break;
                }
            }
            continue;
        }
        tokio::select! {
            biased;
            _ = orders.changed() => break,
            waited = timer.until(state.begin + next) => waited?,
        }
    }
    Ok((state.begin.elapsed().min(end), cpu::used(Clock::Thread).saturating_sub(cpu)))
}

async fn wait_for_answers(state: &Rc<State>, orders: &mut watch::Receiver<Order>) {
    let settled = async {
        while 0 < state.in_flight.get() {
            state.settled.notified().await;
        }
    };
    let cut = orders.wait_for(|order| *order == Order::Cut);
    tokio::select! {
        _ = timeout(state.job.patience, settled) => {}
        _ = cut => {}
    }
    // What never got its turn was never sent.
    for intent in state.waiting.take() {
        state.failed(intent, Fault::Unsent);
    }
}

impl State {
    fn new(job: Job, recorder: Recorder, begin: Instant, connections: Vec<Rc<Connection>>) -> Self {
        Self {
            job,
            begin,
            connections,
            turn: Cell::new(0),
            waiting: RefCell::default(),
            in_flight: Cell::new(0),
            sent: Cell::new(0),
            recorder: RefCell::new(recorder),
            over: Cell::new(false),
            settled: Notify::new(),
        }
    }

    /// The moment of a request has come.
    fn intend(self: &Rc<Self>, intent: Intent) {
        self.job.progress.intended.fetch_add(1, Ordering::Relaxed);
        if let Some(mut recorder) = self.measured(intent.at) {
            recorder.intended += 1;
            recorder.late_by(self.begin.elapsed().saturating_sub(intent.at));
        }
        if self.job.in_flight_max <= self.in_flight.get() {
            return self.failed(intent, Fault::Unsent);
        }
        // First come, first served.
        let free = if self.waiting.borrow().is_empty() { self.free() } else { Err(Room::Full) };
        match free {
            Ok(connection) => self.send(connection, intent),
            Err(Room::Gone) => self.failed(intent, Fault::NotConnected),
            Err(Room::Full | Room::Free) => {
                self.in_flight.set(self.in_flight.get() + 1);
                self.waiting.borrow_mut().push_back(intent);
                self.send_waiting();
            }
        }
    }

    /// Sends what waits, as far as there is room.
    fn send_waiting(self: &Rc<Self>) {
        while !self.waiting.borrow().is_empty() {
            let Ok(connection) = self.free() else { return };
            let Some(intent) = self.waiting.borrow_mut().pop_front() else { return };
            self.in_flight.set(self.in_flight.get() - 1);
            self.send(connection, intent);
        }
    }

    /// The next connection with room; without one, whether there is any connection at all.
    fn free(&self) -> Result<Rc<Connection>, Room> {
        let (count, turn) = (self.connections.len(), self.turn.get());
        let mut best = Room::Gone;
        for step in 0..count {
            let index = (turn + step) % count;
            let Some(connection) = self.connections.get(index) else { continue };
            match connection.room() {
                Room::Free => {
                    self.turn.set(index + 1);
                    return Ok(Rc::clone(connection));
                }
                Room::Full => best = Room::Full,
                Room::Gone => {}
            }
        }
        Err(best)
    }

    fn send(self: &Rc<Self>, connection: Rc<Connection>, intent: Intent) {
        let Some(payload) = self.job.payloads.get(intent.payload) else { return };
        match connection.begin(self.job.head.clone(), payload.frame.clone()) {
            Err(_) => self.failed(intent, Fault::ConnectionLost),
            Ok(response) => {
                self.sent.set(self.sent.get() + 1);
                self.in_flight.set(self.in_flight.get() + 1);
                let flight = Flight { state: Rc::clone(self), connection, intent, end: Err(Fault::Unanswered) };
                drop(spawn_local(async move {
                    let mut flight = flight;
                    let end = receive(response).await;
                    // What breaks because the run is over was not broken by the server.
                    if !flight.state.over.get() {
                        flight.end = end.map(|body| (body, flight.state.begin.elapsed()));
                    }
                }));
            }
        }
    }

    /// An answer came: counted, and compared with those before it.
    fn answered(&self, connection: &Connection, intent: Intent, body: &Bytes, at: Duration) {
        let outcome = match self.measured(intent.at) {
            None => Ok(()),
            Some(mut recorder) => {
                let ended = self.read(&mut recorder, connection, intent, body, at);
                if ended.is_ok() {
                    recorder.answered(intent.at - self.job.warm_up, at.saturating_sub(self.job.warm_up));
                }
                ended
            }
        };
        match outcome {
            Ok(()) => {
                self.job.progress.answered.fetch_add(1, Ordering::Relaxed);
            }
            Err(fault) => self.failed(intent, fault),
        }
    }

    fn read(
        &self,
        recorder: &mut Recorder,
        connection: &Connection,
        intent: Intent,
        body: &Bytes,
        at: Duration,
    ) -> Result<(), Fault> {
        let examples = self.job.payloads.get(intent.payload).map(|it| it.examples.as_slice()).unwrap_or_default();
        let at = at.saturating_sub(self.job.warm_up);
        match self.job.method {
            Method::Single => {
                let answer: Answer = unframed(body).ok_or(Fault::Unreadable)?;
                let example = examples.first().copied().ok_or(Fault::Unreadable)?;
                take(recorder, connection, example, &answer, at)
            }
            Method::Batch => {
                let batch: BatchAnswer = unframed(body).ok_or(Fault::Unreadable)?;
                take_batch(recorder, connection, examples, &batch, at)
            }
        }
    }

    fn failed(&self, intent: Intent, fault: Fault) {
        self.job.progress.failed.fetch_add(1, Ordering::Relaxed);
        if let Some(mut recorder) = self.measured(intent.at) {
            recorder.failed(intent.at - self.job.warm_up, fault);
        }
    }

    /// The recorder, for what is meant to be sent after the warm-up.
    fn measured(&self, at: Duration) -> Option<std::cell::RefMut<'_, Recorder>> {
        (self.job.warm_up <= at).then(|| self.recorder.borrow_mut())
    }
}

/// A request that was sent. Dropped where it ends, or where nobody waits for it any more; it is recorded
/// either way.
struct Flight {
    state: Rc<State>,
    connection: Rc<Connection>,
    intent: Intent,
    end: Result<(Bytes, Duration), Fault>,
}

impl Drop for Flight {
    fn drop(&mut self) {
        let state = &self.state;
        self.connection.ended();
        state.in_flight.set(state.in_flight.get().saturating_sub(1));
        match &self.end {
            Ok((body, at)) => state.answered(&self.connection, self.intent, body, *at),
            Err(fault) => state.failed(self.intent, *fault),
        }
        if !state.over.get() {
            state.send_waiting();
            if state.in_flight.get() == 0 {
                state.settled.notify_one();
            }
        }
    }
}
