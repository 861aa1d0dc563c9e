//! Killed at any moment, whatever it was writing, the program starts again with policies that were
//! whole: the old ones or the new ones.
//!
//! 50 times in CI; `REQUITE_KILLS=1000` for more, `REQUITE_SEED` for another row of moments.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use requite::api::pb;
use requite::api::pb::refund_policy_service_client::RefundPolicyServiceClient;
use requite::client;

use crate::support::reload::{Place, digest, text};
use crate::support::serve::{Process, Service, serve};

/// From the start of the process to the first answer. The aim is a second with the release build on
/// a machine of its own.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

/// SplitMix64: the same row of numbers for the same seed.
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn micros(&mut self, bound: u64) -> Duration {
        Duration::from_micros(self.below(bound))
    }
}

/// Changes the policy between A and B by rename, again and again, and has each read at once.
struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Writer {
    fn begin(place: &Place, process: u32, seed: u64, changes: Arc<AtomicU64>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, file) = (Arc::clone(&stop), place.file());
        let thread = thread::spawn(move || {
            let mut seeded = Seeded(seed);
            // Once in any case: a source that was broken is fixed by the next round.
            loop {
                let next = file.with_file_name(".next");
                let version = if seeded.below(2) == 0 { "A" } else { "B" };
                fs::write(&next, text(version)).unwrap();
                fs::rename(&next, &file).unwrap();
                changes.fetch_add(1, Ordering::Relaxed);
                // Nobody to signal is what this test is about.
                let _ = Command::new("kill").args(["-HUP", &process.to_string()]).stderr(Stdio::null()).status();
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                sleep(seeded.micros(15_000));
            }
        });
        Self { stop, thread }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

/// The flags of a server that keeps everything at once.
fn arguments(place: &Place) -> Vec<String> {
    let (source, state) = (place.source(), place.state.clone().unwrap());
    let state = state.to_str().unwrap();
    ["--policies", source.to_str().unwrap(), "--state-dir", state, "--revisions-max", "2"]
        .into_iter()
        .chain(["--known-good-after", "0s", "--known-good-decisions", "0"])
        .map(str::to_owned)
        .collect()
}

fn start(place: &Place) -> Service {
    serve(&arguments(place).iter().map(String::as_str).collect::<Vec<_>>())
}

/// A server that nobody waits for.
fn begin_to_start(place: &Place) -> Process {
    let mut program = Command::new(env!("CARGO_BIN_EXE_requite"));
    program
        .args(["serve", "--listen", "127.0.0.1:0"])
        .args(arguments(place))
        .env_clear()
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Process::start(&mut program)
}

/// Which policies decide, as a caller sees it.
fn in_force(runtime: &tokio::runtime::Runtime, service: &Service) -> String {
    runtime.block_on(async {
        let mut client = RefundPolicyServiceClient::new(client::connect(&service.address).await.unwrap());
        client.get_server_info(pb::GetServerInfoRequest {}).await.unwrap().into_inner().digest
    })
}

fn kill(mut service: Service) -> usize {
    service.signal("-KILL");
    assert_eq!(service.exit_code(), None, "it was killed, and did not end by itself");
    let applied = |line: &serde_json::Value| line["message"] == "policies applied";
    let log = service.whole_log();
    let broken = log.iter().find(|line| line["message"].as_str().is_some_and(|text| text.contains("not used")));
    assert_eq!(broken, None, "what a killed server leaves is never damaged");
    log.iter().filter(|line| applied(line)).count()
}

#[test]
fn a_killed_server_starts_again_with_whole_policies() {
    let (kills, seed) = (number("REQUITE_KILLS", 50), number("REQUITE_SEED", 1));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let expected = ["A", "B"].map(|version| digest(version).to_string());
    let place = Place::with_state("A");
    let changes = Arc::new(AtomicU64::new(0));
    let (mut seeded, mut slowest, mut applied, mut fallen_back, mut early) = (Seeded(seed), Duration::ZERO, 0, 0, 0);

    // Until there is something to fall back to.
    let first = start(&place);
    let records = || {
        fs::read_dir(place.state.as_ref().unwrap())
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "record"))
    };
    let deadline = Instant::now() + ANSWERS_WITHIN;
    while records().count() == 0 {
        assert!(Instant::now() < deadline, "the first revision is kept");
        sleep(Duration::from_millis(2));
    }
    kill(first);

    for round in 0..kills {
        let broken = seeded.below(3) == 0;
        if broken {
            fs::write(place.file().with_file_name(".next"), "policy: [\n").unwrap();
            fs::rename(place.file().with_file_name(".next"), place.file()).unwrap();
        }
        if seeded.below(4) == 0 {
            // Killed while it starts.
            let mut child = begin_to_start(&place);
            sleep(seeded.micros(60_000));
            child.0.kill().unwrap();
            child.0.wait().unwrap();
            early += 1;
        }
        let began = Instant::now();
        let service = start(&place);
        let answered = in_force(&runtime, &service);
        let took = began.elapsed();
        slowest = slowest.max(took);
        assert!(took < ANSWERS_WITHIN, "round {round} of seed {seed}: {took:?}");
        assert!(expected.contains(&answered), "round {round} of seed {seed}: {answered}");
        let from = if broken { "last_known_good" } else { "source" };
        assert_eq!(service.serving["started_from"], from, "round {round} of seed {seed}");
        fallen_back += u64::from(broken);

        let writer = Writer::begin(&place, service.id(), seeded.next(), Arc::clone(&changes));
        sleep(seeded.micros(150_000));
        applied += kill(service);
        writer.end();
        let files = fs::read_dir(place.state.as_ref().unwrap()).unwrap().count();
        assert!(files <= 10, "round {round} of seed {seed}: {files} files are left");
    }
    println!(
        "{kills} kills and {early} during a start (seed {seed}): {} changes, {applied} of them applied; {fallen_back} starts from the last known good; \
         the slowest answer after {slowest:?}",
        changes.load(Ordering::Relaxed)
    );
    assert!(0 < applied && 0 < fallen_back);
}
