//! Attacks on a server that runs, with honest callers beside them.
//!
//! Each attack gets a server of its own: the release binary, on free ports of loopback. Before it,
//! honest callers are alone for a while; during it, they go on. What is judged: memory, what the
//! attack itself expects, errors of honest callers, whether metrics and log tell of it, whether the
//! server stops afterwards, and, in the full version, how long honest callers waited.
//!
//! `cargo bench --bench attack -- --help` says the rest; `docs/attacks.md` lists the figures.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark may panic to fail"
)]

mod arena;
mod bodies;
mod bundles;
mod connections;
mod floods;
mod manners;
mod mutations;
mod requests;
mod slow;
mod table;
mod unread_answers;
mod unread_log;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;

use crate::arena::honest::Honest;
use crate::arena::report::{Row, moved, print_details, print_table};
use crate::arena::server::{Addresses, Server, Watch, get};
use crate::arena::wire::{Connection, HEALTH};
use crate::arena::{Arena, HONEST, Size};
use crate::table::{ATTACKS, Attack, Patience};

/// What may stay after an attack: caches of the allocator, descriptors, counters.
const KEPT_KIB_MAX: u64 = 64 * 1024;

/// How much longer than alone an honest caller may wait, where nothing else is said.
const WAITS_MORE: Duration = Duration::from_millis(20);

/// One honest call of so many may be refused for lack of room, with word of when to come again.
const SHED_DIVISOR: u64 = 100;

/// How long an attack may take beyond the time that it was given, until it counts as hung.
const HANGS_AFTER: Duration = Duration::from_secs(240);

/// SIGTERM ends the server within this.
const STOPS_WITHIN: Duration = Duration::from_secs(15);

/// Attacks a requite server on loopback, with honest callers beside the attack.
///
/// Without addresses each attack starts a server of its own and ends it. With them, it attacks the
/// server that runs there: give all three, and its process where memory is to be judged. Attack
/// nothing that is not yours.
#[derive(Parser, Debug)]
#[command(
    name = "attack",
    after_help = "Examples:\n  cargo build --release && cargo bench --bench attack            everything, about 20 minutes\n  \
                  cargo bench --bench attack -- --quick                          the small version of the gate\n  \
                  cargo bench --bench attack -- --only rapid-reset --seconds 30  one attack, longer\n  \
                  cargo bench --bench attack -- --list                           what there is, and the figures\n\n\
                  Exit codes:\n  0  everything holds\n  1  something is broken: see the lines that say BROKEN\n  \
                  2  the command line is wrong, or there is no server to attack"
)]
struct Arguments {
    /// The program to attack; build it with `cargo build --release`
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/target/release/requite"))]
    server: PathBuf,
    /// The small version: less of everything, and no judgement of times
    #[arg(long)]
    quick: bool,
    /// Only attacks of these names, with commas between them
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// All attacks but those of these names
    #[arg(long, value_name = "NAME", value_delimiter = ',', conflicts_with = "only")]
    except: Vec<String>,
    /// How long a flood or a hold lasts [default: 1 with --quick, 10 without]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: Option<u64>,
    /// Where random messages begin
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Lists the attacks and the memory that each may take
    #[arg(long)]
    list: bool,
    /// Attack the server whose callers are served here
    #[arg(long, value_name = "HOST:PORT", requires = "pages", requires = "admin")]
    data: Option<SocketAddr>,
    /// Its pages
    #[arg(long, value_name = "HOST:PORT", requires = "data")]
    pages: Option<SocketAddr>,
    /// Its admins
    #[arg(long, value_name = "HOST:PORT", requires = "data")]
    admin: Option<SocketAddr>,
    /// The token of an admin who may read and validate
    #[arg(long, value_name = "TOKEN", default_value = "", hide_default_value = true)]
    token: String,
    /// Its process, for memory
    #[arg(long, value_name = "PID", requires = "data")]
    pid: Option<u32>,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    fn addresses(&self) -> Option<Addresses> {
        let (data, pages, admin) = (self.data?, self.pages?, self.admin?);
        Some(Addresses { data, pages, admin, token: self.token.clone(), process: self.pid })
    }

    fn size(&self) -> Size {
        if self.quick { Size::Quick } else { Size::Full }
    }

    fn lasts(&self) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(if self.quick { 1 } else { 10 }))
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        for attack in ATTACKS {
            println!("{:<24} {:>4} MiB  {}", attack.name, attack.memory_mib, attack.about);
        }
        return ExitCode::SUCCESS;
    }
    let mut named = arguments.only.iter().chain(&arguments.except);
    if let Some(unknown) = named.find(|name| ATTACKS.iter().all(|attack| attack.name != **name)) {
        eprintln!("error: there is no attack `{unknown}`\nhelp: `--list` lists them");
        return ExitCode::from(2);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let among = |names: &[String], attack: &Attack| names.iter().any(|name| name == attack.name);
    let wanted = |attack: &&Attack| {
        (arguments.only.is_empty() || among(&arguments.only, attack)) && !among(&arguments.except, attack)
    };
    let mut rows = Vec::new();
    for attack in ATTACKS.iter().filter(wanted) {
        if arguments.data.is_some() && attack.needs_own_server() {
            eprintln!("{}: skipped, it needs a server of its own", attack.name);
            continue;
        }
        match one(&runtime, &arguments, attack) {
            Ok(row) => {
                print_details(&row);
                rows.push(row);
            }
            Err(error) => {
                eprintln!("error: {}: {error}", attack.name);
                return ExitCode::from(2);
            }
        }
    }
    println!();
    print_table(&rows);
    if rows.iter().all(|row| row.broken.is_empty()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One attack, from the start of its server to its end.
fn one(runtime: &tokio::runtime::Runtime, arguments: &Arguments, attack: &Attack) -> Result<Row, String> {
    let began = Instant::now();
    let server = match arguments.addresses() {
        Some(addresses) => Server::at(addresses, &arguments.server)?,
        None => Server::start(&arguments.server, attack.setup)?,
    };
    let arena = Arc::new(Arena::new(server, arguments.size(), arguments.lasts(), arguments.seed));
    let alone_for = arena.choose(Duration::from_millis(500), Duration::from_secs(3));

    // A lone server, and then honest callers alone.
    let honest = Honest::begin(&arena.server);
    std::thread::sleep(alone_for / 3);
    honest.take();
    let first = arena.server.metrics();
    std::thread::sleep(alone_for);
    let mut alone = honest.take();
    let second = arena.server.metrics();
    let (log_before, _) = arena.server.log();
    let before_kib = arena.server.resident_kib();
    arena.server.reset_peak();

    let watch = Watch::begin(&arena);
    let outcome = runtime.block_on(async {
        let bound = arena.lasts + HANGS_AFTER;
        tokio::time::timeout(bound, (attack.run)(&arena)).await.unwrap_or_else(|_| Err("it hangs".to_owned()))
    });
    let mut beside = honest.end();
    let (threads, descriptors) = watch.end();
    let mut row = Row { name: attack.name, before_kib, threads, descriptors, ..Row::default() };
    row.peak_kib = arena.server.peak_kib();
    (row.alone, row.beside) = (alone.quantile(0.99), beside.quantile(0.99));
    (row.calls, row.errors, row.shed) = (beside.calls, beside.failed(), beside.shed);

    let (broken, notes) = arena.take_records();
    (row.broken, row.notes) = (broken, notes);
    if let Err(error) = outcome {
        row.broken.push(error);
    }
    if 0 < alone.failed() {
        row.broken.push(format!("honest callers fail without an attack: {:?}", alone.errors));
    }
    if !attack.ends_the_server {
        judge_honest(&mut row, attack, &beside.errors, arguments.quick);
        judge_after(&mut row, &arena, attack, &second, &first, log_before);
    }
    row.took = began.elapsed();
    Ok(row)
}

/// Memory and honest callers during the attack.
fn judge_honest(row: &mut Row, attack: &Attack, errors: &BTreeMap<String, u64>, quick: bool) {
    let grown = row.peak_kib.saturating_sub(row.before_kib);
    if attack.memory_mib * 1024 < grown {
        row.broken.push(format!("it takes {} MiB more, {} are allowed", grown / 1024, attack.memory_mib));
    }
    for (error, count) in errors.iter().take(6) {
        row.broken.push(format!("honest callers, {count} times: {error}"));
    }
    if row.calls == 0 {
        row.broken.push("no honest caller was there".to_owned());
    }
    if !quick && row.calls / SHED_DIVISOR < row.shed {
        row.broken.push(format!("{} of {} honest calls are refused for lack of room", row.shed, row.calls));
    }
    let allowed = match attack.patience {
        Patience::TwentyMore => row.alone + WAITS_MORE,
        Patience::Twice => (row.alone * 2).max(row.alone + WAITS_MORE),
        Patience::Any => Duration::MAX,
    };
    if !quick && allowed < row.beside {
        row.broken.push(format!("honest callers wait {:?} at p99, alone {:?}", row.beside, row.alone));
    }
}

/// Whether the server lives, gives memory back, tells of it, and stops.
fn judge_after(
    row: &mut Row,
    arena: &Arena,
    attack: &Attack,
    before: &BTreeMap<String, f64>,
    earlier: &BTreeMap<String, f64>,
    log_before: u64,
) {
    if arena.server.has_ended() {
        let (_, last) = arena.server.log();
        row.broken.push(format!(
            "the server is gone ({:?}): {}",
            arena.server.ended_within(Duration::ZERO),
            last.join(" / ")
        ));
        return;
    }
    let settle = Instant::now() + arena.choose(Duration::from_millis(1_500), Duration::from_secs(6));
    while Instant::now() < settle && row.before_kib + KEPT_KIB_MAX < arena.server.resident_kib() {
        std::thread::sleep(Duration::from_millis(100));
    }
    row.after_kib = arena.server.resident_kib();
    if row.before_kib + KEPT_KIB_MAX.min(attack.memory_mib * 1024) < row.after_kib {
        row.broken.push(format!("it keeps {} MiB afterwards", (row.after_kib - row.before_kib) / 1024));
    }
    if let Err(error) = get(arena.server.pages, "/-/healthy") {
        row.broken.push(format!("the probe afterwards: {error}"));
    }
    let healthy = health(arena);
    if healthy != Ok(Some(0)) {
        row.broken.push(format!("health afterwards: {healthy:?}"));
    }
    row.moved = moved(earlier, before, &arena.server.metrics());
    let (lines, _) = arena.server.log();
    row.log_lines = lines - log_before;
    if attack.leaves_traces && arena.server.is_ours() {
        if row.moved.is_empty() {
            row.broken.push("no metric tells of it".to_owned());
        }
        if row.log_lines == 0 {
            row.broken.push("no log line tells of it".to_owned());
        }
    }
    if arena.server.is_ours() {
        arena.server.terminate();
        match arena.server.ended_within(STOPS_WITHIN) {
            Some(0) => {}
            Some(code) => row.broken.push(format!("stopped, it ends with {code}")),
            None => row.broken.push(format!("SIGTERM does not end it within {} s", STOPS_WITHIN.as_secs())),
        }
    }
}

/// What health says to a new connection.
fn health(arena: &Arena) -> Result<Option<i32>, String> {
    // The runtime ends here, and with it the connection: a stop waits for nobody of ours.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let connection = Connection::open(HONEST, arena.server.data).await?;
        connection.call(HEALTH, &hyper::body::Bytes::new(), Duration::from_secs(5)).await.map(|reply| reply.grpc)
    })
}
