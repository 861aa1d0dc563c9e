//! One run: asks the server what it is, starts the threads, changes policies meanwhile, and adds up.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval_at};

use crate::api::pb;
use crate::client;
use crate::load::answer::{Payload, batches, singles};
use crate::load::arrivals::{Arrivals, Part, Schedule};
use crate::load::connection::head;
use crate::load::record::Recorder;
use crate::load::report::{self, Generator, Policies, Reloads, Report, Run, Seen, rounded};
use crate::load::swap::{Swap, SwapError};
use crate::load::worker::{Done, Job, Method, Order, Progress, work};
use crate::load::{Call, Interrupt, Load, LoadError, Reload};
use crate::telemetry::cpu::{self, Clock};

/// From the moment when all is ready to the first request, so that all threads begin together.
const BEGIN_IN: Duration = Duration::from_millis(20);

/// Lateness of the generator that is told whatever it is a part of.
const LATE_ALWAYS_US: f64 = 1_000.0;

/// Lateness that is told where it is a fourth of the latency or more...
const LATE_FACTOR: f64 = 4.0;

/// ...and at least this: what a timer of the kernel is late by anyway.
const LATE_US_MIN: f64 = 100.0;

/// A thread as busy as this has no room for bursts.
const BUSY_SHARE: f64 = 0.8;

/// Runs a load to its end. `interrupts` may end it before; `progress` is counted up meanwhile.
///
/// # Errors
///
/// Where it cannot begin: the server cannot be reached or does not decide the first example, the examples are
/// too large, the policies cannot be changed. What goes wrong later is in the report.
pub async fn run(
    load: Load,
    progress: Arc<Progress>,
    mut interrupts: mpsc::UnboundedReceiver<Interrupt>,
) -> Result<Report, LoadError> {
    let payloads: Arc<[Payload]> = match load.call {
        Call::Single => singles(&load.examples)?,
        Call::Batch { items } => batches(&load.examples, items)?,
    }
    .into();
    let before = client::server_info(&load.addr, client::CALL_TIMEOUT).await?;
    if let Some(example) = load.examples.first().filter(|_| load.ask_first) {
        client::call(&load.addr, example.clone()).await.map_err(LoadError::First)?;
    }
    let mut reloader = load.reload.clone().map(Reloader::new).transpose()?;
    let mut threads = Threads::start(&load, &payloads, &progress)?;
    // Threads that are still connecting when another one could not end by themselves: nobody orders them.
    threads.ready(&load, &mut interrupts).await?;
    let begin = Instant::now() + BEGIN_IN;
    let cpu = cpu::used(Clock::Process);
    threads.order(Order::Begin(begin));
    let ended_early = threads.watch(begin, reloader.as_mut(), &mut interrupts).await;
    let cpu = cpu::used(Clock::Process).saturating_sub(cpu);
    let reloads = reloader.map(|reloader| reloader.ended(begin + load.warm_up));
    let done = threads.join()?;
    // A server that went away meanwhile says nothing more; the errors tell.
    let after = client::server_info(&load.addr, client::CALL_TIMEOUT).await.ok();
    summed(&load, done, Facts { before, after, reloads, cpu, ended_early })
}

/// The threads of a run.
struct Threads {
    orders: watch::Sender<Order>,
    ready: mpsc::UnboundedReceiver<io::Result<()>>,
    /// Closed once all have ended.
    running: mpsc::Receiver<()>,
    handles: Vec<thread::JoinHandle<io::Result<Done>>>,
}

impl Threads {
    fn start(load: &Load, payloads: &Arc<[Payload]>, progress: &Arc<Progress>) -> Result<Self, LoadError> {
        let (orders, ordered) = watch::channel(Order::Ready);
        let (ready_sender, ready) = mpsc::unbounded_channel();
        let (running_sender, running) = mpsc::channel(1);
        let mut handles = Vec::new();
        for index in 0..load.threads {
            let job = job(load, index, payloads, progress)?;
            let (ordered, ready, running) = (ordered.clone(), ready_sender.clone(), running_sender.clone());
            let body = move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                let done = runtime.block_on(work(job, ordered, ready));
                drop(running);
                done
            };
            handles.push(thread::Builder::new().name(format!("load-{index}")).spawn(body)?);
        }
        Ok(Self { orders, ready, running, handles })
    }

    /// Waits until all connections are made.
    async fn ready(
        &mut self,
        load: &Load,
        interrupts: &mut mpsc::UnboundedReceiver<Interrupt>,
    ) -> Result<(), LoadError> {
        for _ in 0..self.handles.len() {
            let ready = tokio::select! {
                ready = self.ready.recv() => ready,
                Some(Interrupt::End) = interrupts.recv() => return Err(LoadError::Ended),
            };
            // A thread that ends without a word could not even begin.
            ready.unwrap_or_else(|| Err(io::Error::other("a thread did not start"))).map_err(|source| {
                LoadError::Connect { addr: load.addr.clone(), connections: load.connections, source }
            })?;
        }
        Ok(())
    }

    fn order(&self, order: Order) {
        self.orders.send_replace(order);
    }

    /// Until all have ended. Gives whether someone wanted the end before.
    async fn watch(
        &mut self,
        begin: Instant,
        mut reloader: Option<&mut Reloader>,
        interrupts: &mut mpsc::UnboundedReceiver<Interrupt>,
    ) -> bool {
        let every = reloader.as_ref().map_or(Duration::MAX, |reloader| reloader.reload.every);
        let mut ticks = interval_at((begin + every.min(Duration::from_secs(3_600))).into(), every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut orders = [Order::Cut, Order::Stop].to_vec();
        loop {
            tokio::select! {
                None = self.running.recv() => return orders.len() < 2,
                _ = ticks.tick() => if let Some(reloader) = reloader.as_deref_mut() { reloader.next() },
                Some(Interrupt::End) = interrupts.recv() => {
                    if let Some(order) = orders.pop() { self.order(order) }
                }
            }
        }
    }

    fn join(self) -> Result<Vec<Done>, LoadError> {
        let ended = |handle: thread::JoinHandle<io::Result<Done>>| {
            handle.join().unwrap_or_else(|_panic| Err(io::Error::other("a thread of the generator has ended")))
        };
        Ok(self.handles.into_iter().map(ended).collect::<Result<_, _>>()?)
    }
}

/// The part of one thread. Connections and room in flight are divided, and what is left over goes to
/// the first ones.
fn job(load: &Load, index: usize, payloads: &Arc<[Payload]>, progress: &Arc<Progress>) -> Result<Job, LoadError> {
    let share = |whole: usize| whole / load.threads + usize::from(index < whole % load.threads);
    let part =
        Part { index: u32::try_from(index).unwrap_or(u32::MAX), of: u32::try_from(load.threads).unwrap_or(u32::MAX) };
    let (method, name) = match load.call {
        Call::Single => (Method::Single, "EvaluateRefund"),
        Call::Batch { .. } => (Method::Batch, "BatchEvaluateRefund"),
    };
    let bad = |source| LoadError::Address { addr: load.addr.clone(), source };
    Ok(Job {
        addr: load.addr.clone(),
        method,
        head: head(&load.addr, name, load.timeout).map_err(bad)?,
        payloads: Arc::clone(payloads),
        first_payload: index * payloads.len() / load.threads.max(1),
        schedule: Schedule::new(load.arrivals, load.rate_per_s, part, load.seed),
        connections: share(load.connections),
        in_flight_max: share(load.in_flight_max),
        warm_up: load.warm_up,
        measured: load.duration,
        patience: load.timeout,
        recorder: Recorder::new(load.duration).map_err(io::Error::other)?,
        progress: Arc::clone(progress),
    })
}

/// Changes the policies at a period.
struct Reloader {
    reload: Reload,
    swap: Swap,
    made_at: Vec<Instant>,
    problem: Option<SwapError>,
}

impl Reloader {
    fn new(reload: Reload) -> Result<Self, LoadError> {
        let swap = Swap::new(&reload.directory)?;
        if let Some(pid) = reload.hang_up {
            // A signal that is none asks only whether it could be sent.
            let tested = process(pid).and_then(|pid| Ok(rustix::process::test_kill_process(pid)?));
            tested.map_err(|source| LoadError::HangUp { pid, source })?;
        }
        Ok(Self { reload, swap, made_at: Vec::new(), problem: None })
    }

    /// The next change; none once something went wrong.
    fn next(&mut self) {
        if self.problem.is_some() {
            return;
        }
        match self.swap.change() {
            Err(error) => self.problem = Some(error),
            Ok(()) => {
                self.made_at.push(Instant::now());
                if let Some(pid) = self.reload.hang_up {
                    // A process that has ended shows in the errors of the run.
                    let _ = process(pid).map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::HUP));
                }
            }
        }
    }

    /// Puts everything back.
    fn ended(mut self, measured_from: Instant) -> Reloads {
        let put_back = self.swap.put_back();
        let problem = self.problem.take().or(put_back.err());
        let at = |at: &Instant| rounded(at.checked_duration_since(measured_from)?.as_secs_f64(), 3).into();
        Reloads {
            every_ms: millis(self.reload.every),
            file: self.swap.path().display().to_string(),
            made: self.swap.made(),
            at_s: self.made_at.iter().filter_map(at).collect(),
            problem: problem.map(|error| error.to_string()),
        }
    }
}

fn process(pid: u32) -> io::Result<rustix::process::Pid> {
    let none = || io::Error::new(io::ErrorKind::InvalidInput, "there is no such process");
    i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).ok_or_else(none)
}

/// Facts about a run besides its figures.
struct Facts {
    before: pb::GetServerInfoResponse,
    after: Option<pb::GetServerInfoResponse>,
    reloads: Option<Reloads>,
    cpu: Duration,
    ended_early: bool,
}

fn summed(load: &Load, done: Vec<Done>, facts: Facts) -> Result<Report, LoadError> {
    let mut recorder = Recorder::new(load.duration).map_err(io::Error::other)?;
    for done in &done {
        recorder.add(&done.recorder).map_err(io::Error::other)?;
    }
    let until = done.iter().map(|done| done.until).max().unwrap_or_default();
    let measured = until.saturating_sub(load.warm_up);
    let items = match load.call {
        Call::Single => 1,
        Call::Batch { items } => items,
    };
    Ok(Report {
        run: described(load, &facts, items, measured),
        requests: report::requests(&recorder, load.rate_per_s, items, measured),
        latency: report::latency(&recorder.latency_ns),
        generator: generator(load, &done, &recorder, facts.cpu),
        outcomes: report::outcomes(&recorder),
        policies: policies(&recorder, &facts),
        slices: report::slices(&recorder, measured),
        percentile_curve: report::curve(&recorder.latency_ns),
        reloads: facts.reloads,
    })
}

fn described(load: &Load, facts: &Facts, items: usize, measured: Duration) -> Run {
    Run {
        bench_version: env!("CARGO_PKG_VERSION"),
        address: load.addr.clone(),
        server_version: facts.before.version.clone(),
        method: match load.call {
            Call::Single => "EvaluateRefund",
            Call::Batch { .. } => "BatchEvaluateRefund",
        },
        requests_from: load.requests_from.clone(),
        examples: load.examples.len(),
        arrivals: match load.arrivals {
            Arrivals::Constant => "constant",
            Arrivals::Poisson => "poisson",
        },
        seed: load.seed,
        batch_items: items,
        connections: load.connections,
        threads: load.threads,
        in_flight_max: load.in_flight_max,
        timeout_ms: millis(load.timeout),
        warm_up_ms: millis(load.warm_up),
        duration_asked_ms: millis(load.duration),
        duration_ms: millis(measured),
        ended_early: facts.ended_early,
    }
}

/// Returns the influence of the generator on the figures, with reasons to doubt them.
fn generator(load: &Load, done: &[Done], recorder: &Recorder, cpu: Duration) -> Generator {
    let late = |share| report::micros(recorder.lateness_ns.value_at_quantile(share));
    let busy = |done: &Done| done.cpu.as_secs_f64() / done.until.as_secs_f64().max(f64::MIN_POSITIVE);
    let sent: u64 = done.iter().map(|done| done.sent).sum();
    let figures = Generator {
        late_p50_us: late(0.5),
        late_p99_us: late(0.99),
        late_max_us: report::micros(recorder.lateness_ns.max()),
        cpu_us_per_request: if sent == 0 { 0.0 } else { rounded(cpu.as_secs_f64() * 1e6 / sent as f64, 1) },
        busiest_thread_share: rounded(done.iter().map(busy).fold(0.0, f64::max), 3),
        warnings: Vec::new(),
    };
    let warnings = warnings(&figures, recorder.latency_ns.value_at_quantile(0.99), load.threads);
    Generator { warnings, ..figures }
}

/// Reasons to take the figures for those of the generator.
fn warnings(figures: &Generator, latency_p99_ns: u64, threads: usize) -> Vec<String> {
    let mut warnings = Vec::new();
    let (late_us, latency_p99_us) = (figures.late_p99_us, report::micros(latency_p99_ns));
    if LATE_ALWAYS_US < late_us || LATE_US_MIN < late_us && latency_p99_us < LATE_FACTOR * late_us {
        warnings.push(format!(
            "the generator was late by p99 {:.2} ms itself, and the latencies include it: give it more room \
             (`--threads`, another machine, a lower rate)",
            late_us / 1e3
        ));
    }
    if BUSY_SHARE < figures.busiest_thread_share {
        warnings.push(format!(
            "the busiest thread of the generator used {:.0} % of a processor: latencies may be its own; \
             see whether `--threads {}` changes them",
            figures.busiest_thread_share * 100.0,
            threads + 1
        ));
    }
    warnings
}

fn policies(recorder: &Recorder, facts: &Facts) -> Policies {
    let seen = &recorder.revisions;
    let first = |(generation, at): (&u64, &Duration)| Seen {
        generation: *generation,
        first_seen_s: rounded(at.as_secs_f64(), 3),
    };
    Policies {
        default_policy: facts.before.default_policy_id.clone(),
        digest_before: facts.before.digest.clone(),
        digest_after: facts.after.as_ref().map(|info| info.digest.clone()).unwrap_or_default(),
        digests_seen: seen.digests(),
        generations_seen: seen.generations().len(),
        generations: seen.generations().iter().map(first).collect(),
        mixed_answers: seen.disagreements(),
        mixed_told: seen.told().to_vec(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::samples;

    #[test]
    fn a_generator_that_cannot_keep_up_says_so() {
        let late = |late_p99_us, latency_p99_ns| {
            let figures = Generator { late_p99_us, ..samples::report().generator };
            warnings(&figures, latency_p99_ns, 1).len()
        };
        assert_eq!(late(90.0, 100_000), 0, "a timer is late by that");
        assert_eq!(late(150.0, 700_000), 0, "little of the whole");
        assert_eq!(late(150.0, 500_000), 1, "much of the whole");
        assert_eq!(late(1_100.0, 1_000_000_000), 1, "much in itself");
        let busy = Generator { busiest_thread_share: 0.93, ..samples::report().generator };
        assert!(warnings(&busy, 1_000_000, 3).concat().contains("`--threads 4`"));
    }
}
