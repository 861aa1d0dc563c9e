//! `bench`: load on a server that runs, in an open loop.

mod bounds;
mod examples;
mod progress;
mod signals;
mod text;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::sync::mpsc;

use crate::api::limits::BATCH_ITEMS_MAX;
use crate::api::pb::EvaluateRefundRequest;
use crate::cli::bench::bounds::{duration, period, rate, share, timeout, warm_up};
use crate::cli::bench::signals::Signals;
use crate::cli::exit::Exit;
use crate::cli::input::address;
use crate::cli::output::{Answer, answer, chain, say};
use crate::load::arrivals::Arrivals;
use crate::load::report::Report;
use crate::load::{
    CONNECTIONS_MAX, Call, IN_FLIGHT_DEFAULT, IN_FLIGHT_MAX, Interrupt, Load, LoadError, Progress, Reload, THREADS_MAX,
    plot, run,
};

const LONG: &str = "Load a server and measure its latency.\n\n\
    Requests are sent at the moments meant for them, whatever the answers do (an open loop), and latency \
    counts from those moments: a server that stalls is charged for every request that had to wait. With \
    `--in-flight-max` requests in flight, those that follow are counted as failed (`unsent`), not held back.\n\n\
    FILE is a request in JSON, as `call` takes it, DIR all `*.json` in it; they are sent in turn. Without \
    them the load is a generated mix of 240 requests for the standard policy: its twelve examples (full, \
    partial and denied refunds, missing evidence, manual review; one to three lines) with amounts, progress \
    and ids varied by `--seed`.\n\n\
    Every answer is compared with those before it: the same request under the same digest must get the same \
    version, outcome and decision id, whatever is reloaded meanwhile, and a batch must be of one generation.";

const AFTER: &str = "Examples:\n  \
    requite bench --rate 2000/s --duration 30s\n  \
    requite bench --rate 500/s --arrivals poisson policies/standard/requests\n  \
    requite bench --rate 5000/s --output json --plot latency.svg > report.json\n  \
    requite bench --rate 100/s --batch 100\n  \
    requite bench --rate 1000/s --reload-every 500ms --reload-dir policies\n\n\
    The last one rewrites the version label of a policy in a directory that the server watches, again and \
    again, and puts the file back at the end, also after Ctrl-C, SIGTERM or a lost terminal. A server takes a change once nothing has \
    changed for 0.1 s; below `--reload-every 300ms` give its process id with `--reload-hup`.\n\n\
    How to read the report: docs/load-tests.md.\n\n\
    Exit codes:\n  0  done, and no more errors than `--errors-max`\n  \
    1  the server cannot be reached, there were more errors, or an answer was made of two bundles\n  \
    2  the command line or an example request is wrong";

/// Load a server and measure its latency
#[derive(Debug, Args)]
#[command(long_about = LONG, after_long_help = AFTER)]
pub(super) struct Bench {
    /// Address of the server
    #[arg(long, value_name = "HOST:PORT", env = "REQUITE_ADDR", default_value = "127.0.0.1:50051", value_parser = address)]
    addr: String,
    /// Calls a second, over all connections
    #[arg(long, value_name = "N/s", default_value = "1000/s", value_parser = rate)]
    rate: u32,
    /// Distribution of calls over time
    #[arg(long, value_enum, default_value_t = Spread::Constant)]
    arrivals: Spread,
    /// Connections
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=CONNECTIONS_MAX as i64))]
    connections: u16,
    /// Threads of the generator [default: half of the processors, at most one for each connection]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=THREADS_MAX as i64))]
    threads: Option<u16>,
    /// Time to measure: 100ms to 1h
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    duration: Duration,
    /// Time to send before that, uncounted: 0s to 10m
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = warm_up)]
    warm_up: Duration,
    /// The deadline of a call, and how long the last answers are waited for: 1ms to 60s
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = timeout)]
    timeout: Duration,
    /// Calls in flight at most; those above count as failed
    #[arg(long, value_name = "N", default_value_t = IN_FLIGHT_DEFAULT as u32, value_parser = clap::value_parser!(u32).range(1..=IN_FLIGHT_MAX as i64))]
    in_flight_max: u32,
    /// Send batches of N requests instead of single ones
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=BATCH_ITEMS_MAX as i64))]
    batch: Option<u16>,
    /// The mix to send where no FILE is named
    #[arg(long, value_enum, conflicts_with = "files")]
    mix: Option<Mix>,
    /// Random seed of the generated mix and of the arrivals
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Change a policy of --reload-dir this often
    #[arg(long, value_name = "TIME", value_parser = period, requires = "reload_dir")]
    reload_every: Option<Duration>,
    /// The directory that the server watches
    #[arg(long, value_name = "DIR", requires = "reload_every")]
    reload_dir: Option<PathBuf>,
    /// Send SIGHUP to this process after each change, so that it reads at once
    #[arg(long, value_name = "PID", requires = "reload_every")]
    reload_hup: Option<u32>,
    /// The share of errors that is still well: `0.1%`, or 0 to 1
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    errors_max: f64,
    /// Format of the report
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    output: ReportFormat,
    /// Draw the latencies into this file
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Example requests, or directories of them
    #[arg(value_name = "FILE|DIR")]
    files: Vec<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Spread {
    /// All gaps are the same
    Constant,
    /// As independent callers: gaps vary, and bursts happen
    Poisson,
}

/// Format of the report.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum ReportFormat {
    /// For people: the figures that matter first, a line each
    Text,
    /// For programs: one JSON object with every figure, its unit in its name
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Mix {
    /// Requests for the standard policy
    Generated,
}

impl Bench {
    pub(super) fn run(self) -> Exit {
        let (examples, requests_from) = match self.examples() {
            Ok(examples) => examples,
            Err(exit) => return exit,
        };
        // A plot that cannot be written should not cost a whole run.
        if let Some(path) = self.plot.as_ref().filter(|path| path.is_dir() || !folder(path).is_dir()) {
            let problem = format!("cannot write the plot to `{}`", path.display());
            return refused(&problem, "name a file in a directory that exists");
        }
        let load = match self.load(examples, requests_from) {
            Ok(load) => load,
            Err(exit) => return exit,
        };
        match measured(load) {
            Ok(report) => self.told(&report),
            Err(error) => self.failed(&error),
        }
    }

    fn examples(&self) -> Result<(Vec<EvaluateRefundRequest>, String), Exit> {
        match self.mix {
            Some(Mix::Generated) => examples::generated(self.seed),
            None if self.files.is_empty() => examples::generated(self.seed),
            None => examples::read(&self.files),
        }
    }

    fn load(&self, examples: Vec<EvaluateRefundRequest>, requests_from: String) -> Result<Load, Exit> {
        let connections = usize::from(self.connections);
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = self.threads.map_or((processors / 2).clamp(1, connections.min(THREADS_MAX)), usize::from);
        if connections < threads {
            let problem = format!("{threads} threads need as many connections, got {connections}");
            return Err(refused(&problem, "raise `--connections` or lower `--threads`"));
        }
        let in_flight_max = usize::try_from(self.in_flight_max).unwrap_or(IN_FLIGHT_MAX);
        if in_flight_max < threads {
            let problem = format!("{threads} threads need room for as many calls in flight, got {in_flight_max}");
            return Err(refused(&problem, "raise `--in-flight-max` or lower `--threads`"));
        }
        let reload = self.reload_every.zip(self.reload_dir.clone());
        Ok(Load {
            addr: self.addr.clone(),
            examples,
            requests_from,
            // Where every error is well, one before the run is, too.
            ask_first: self.errors_max < 1.0,
            call: self.batch.map_or(Call::Single, |items| Call::Batch { items: usize::from(items) }),
            rate_per_s: self.rate,
            arrivals: match self.arrivals {
                Spread::Constant => Arrivals::Constant,
                Spread::Poisson => Arrivals::Poisson,
            },
            seed: self.seed,
            connections,
            threads,
            in_flight_max,
            timeout: self.timeout,
            warm_up: self.warm_up,
            duration: self.duration,
            reload: reload.map(|(every, directory)| Reload { every, directory, hang_up: self.reload_hup }),
        })
    }

    /// Prints the report, draws the plot, and says whether it went well.
    fn told(&self, report: &Report) -> Exit {
        let mut exit = self.verdict(report);
        if let Some(path) = &self.plot
            && let Err(error) = std::fs::write(path, plot::draw(report))
        {
            say(&format!("error: cannot write the plot to `{}`: {error}", path.display()));
            exit = Exit::Unexpected;
        }
        let text = match self.output {
            ReportFormat::Text => text::report_to_text(report).into(),
            // Maps of texts and numbers always become JSON.
            ReportFormat::Json => Answer::Json(serde_json::to_string_pretty(report).unwrap_or_default()),
        };
        answer(text, exit)
    }

    fn verdict(&self, report: &Report) -> Exit {
        let mut exit = Exit::Done;
        let mut wrong = |text: &str| {
            say(&format!("error: {text}"));
            exit = Exit::Unexpected;
        };
        let share = report.requests.error_share;
        if self.errors_max < share {
            let (failed, allowed) = (share * 100.0, self.errors_max * 100.0);
            wrong(&format!("{failed:.3} % failed, and at most {allowed:.3} % were allowed{}", text::hint(report)));
        }
        if 0 < report.policies.mixed_answers {
            wrong(&format!("{} answers disagree about what decided them", report.policies.mixed_answers));
        }
        if let Some(problem) = report.reloads.as_ref().and_then(|reloads| reloads.problem.as_ref()) {
            wrong(problem);
        }
        if report.requests.answered == 0 && report.requests.failed == 0 {
            wrong("nothing was measured");
        }
        exit
    }

    /// Says why there is no report, and what to do about it.
    fn failed(&self, error: &LoadError) -> Exit {
        let (help, exit) = match error {
            LoadError::Server(error) => {
                (error.help().unwrap_or("see whether a requite server listens there"), Exit::Unexpected)
            }
            LoadError::First(error) => {
                let exit = if error.is_bad_request() { Exit::Usage } else { Exit::Unexpected };
                (error.help().unwrap_or(self.help_on_requests()), exit)
            }
            LoadError::Connect { .. } => {
                ("lower `--connections`: a server takes 1024 unless configured otherwise", Exit::Unexpected)
            }
            LoadError::Payload(_) => ("send smaller requests, or fewer in a batch", Exit::Usage),
            LoadError::Reload(_) => {
                ("name the directory given to `requite serve --policies`; it must be writable", Exit::Usage)
            }
            LoadError::HangUp { .. } => ("give the process id of the server, on this machine", Exit::Usage),
            LoadError::Address { .. } => ("write host and port, such as `127.0.0.1:50051`", Exit::Usage),
            LoadError::Ended => ("run it again", Exit::Unexpected),
            LoadError::Generator(_) => {
                ("see whether there are enough file descriptors (`ulimit -n`) and memory", Exit::Unexpected)
            }
        };
        say(&format!("error: {}\n  help: {help}", chain(error)));
        exit
    }

    /// Advice on requests that a server does not decide.
    fn help_on_requests(&self) -> &'static str {
        if self.files.is_empty() {
            "the generated mix is for the standard policy; name example requests for the policies of this server"
        } else {
            "see what is wrong with it by `requite call`; `--errors-max 100%` sends it anyway"
        }
    }
}

/// Runs the load on a runtime of its own, watched by a terminal and ended by Ctrl-C.
fn measured(load: Load) -> Result<Report, LoadError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let progress = Arc::new(Progress::default());
        let (sender, interrupts) = mpsc::unbounded_channel();
        let ended = run(load.clone(), Arc::clone(&progress), interrupts);
        tokio::pin!(ended);
        let mut signals = Signals::new()?;
        let mut line = progress::Line::new(&load);
        loop {
            tokio::select! {
                report = &mut ended => {
                    line.clear();
                    return report;
                }
                () = signals.next() => {
                    line.clear();
                    say("ending: the last answers are waited for; again to stop at once");
                    // A run that has just ended needs no end.
                    let _ = sender.send(Interrupt::End);
                }
                () = line.tick() => line.draw(&progress),
            }
        }
    })
}

/// The directory that a file is in.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn refused(problem: &str, help: &str) -> Exit {
    say(&format!("error: {problem}\n  help: {help}"));
    Exit::Usage
}
