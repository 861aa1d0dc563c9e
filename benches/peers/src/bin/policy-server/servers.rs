//! The servers as processes: started with the same table, held to one processor, stopped at the end.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::tables::{self, REASONS, Row};

/// A server that runs, until this is dropped.
pub struct Server {
    process: Child,
    /// Where it answers gRPC.
    pub address: SocketAddr,
}

/// A server that does not answer by then never will.
const START_MAX: Duration = Duration::from_secs(20);

/// `_SC_CLK_TCK`, which is the same on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

impl Server {
    /// Requite, with the table as its policy.
    pub fn requite(program: &Path, folder: &Path, rows: &[Row]) -> Self {
        let policies = folder.join("requite");
        std::fs::create_dir(&policies).expect("a folder");
        std::fs::write(policies.join("table.policy.yaml"), tables::policy(rows)).expect("a file");
        let address = free_address();
        let mut command = on_one_processor(program);
        command.args(["serve", "--log-level", "error", "--listen", &address.to_string(), "--policies"]).arg(policies);
        Self::start(command, address)
    }

    /// Cerbos, with the table as a policy of a resource. Logs, metrics and telemetry are off.
    pub fn cerbos(program: &Path, folder: &Path, rows: &[Row]) -> Self {
        let policies = folder.join("cerbos");
        std::fs::create_dir(&policies).expect("a folder");
        std::fs::write(policies.join("table.yaml"), policy(rows)).expect("a file");
        let (address, http) = (free_address(), free_address());
        let configuration = format!(
            "server:\n  grpcListenAddr: \"{address}\"\n  httpListenAddr: \"{http}\"\n  metricsEnabled: false\n\
             telemetry:\n  disabled: true\naudit:\n  enabled: false\n\
             storage:\n  driver: disk\n  disk:\n    directory: {}\n    watchForChanges: false\n",
            policies.display()
        );
        let file = folder.join("cerbos.yaml");
        std::fs::write(&file, configuration).expect("a file");
        let mut command = on_one_processor(program);
        command.args(["server", "--log-level=error", "--config"]).arg(file);
        Self::start(command, address)
    }

    fn start(mut command: Command, address: SocketAddr) -> Self {
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("the server starts");
        let mut server = Self { process, address };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = server.process.try_wait().expect("a child can be asked");
            assert!(ended.is_none(), "the server ended at once: {ended:?}");
            assert!(begun.elapsed() < START_MAX, "the server does not listen on {address}");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    /// The processor time that it used so far, in its own code and in the kernel, in seconds.
    pub fn processor_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).expect("this needs Linux");
        // The name of the program stands in brackets and may hold anything.
        let (_, fields) = stat.rsplit_once(')').expect("a line of /proc/PID/stat");
        let used: f64 =
            fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<f64>().expect("a number")).sum();
        used / TICKS_PER_SECOND
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, and there is no one left to tell.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `taskset` becomes the program that it starts, so its process is that of the server.
fn on_one_processor(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", "0"]).arg(program);
    command
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address")
}

/// The table as a policy of Cerbos: a rule for each row, whose output says how much is kept.
fn policy(rows: &[Row]) -> String {
    let mut text = String::from(
        "apiVersion: api.cerbos.dev/v1\nresourcePolicy:\n  resource: order\n  version: default\n  rules:\n",
    );
    for (place, row) in rows.iter().enumerate() {
        let reason = match row.reason {
            Some(reason) => format!("R.attr.reason == \"{}\"", tables::reason(reason)),
            None => {
                let all: Vec<String> = (0..REASONS).map(|reason| format!("\"{}\"", tables::reason(reason))).collect();
                format!("R.attr.reason in [{}]", all.join(", "))
            }
        };
        let range =
            |name: &str, (from, below): (u64, u64)| format!("{from} <= R.attr.{name} && R.attr.{name} < {below}");
        writeln!(
            text,
            "    - name: {}\n      actions: [refund]\n      effect: EFFECT_ALLOW\n      roles: [customer]\n      \
             condition: {{ match: {{ expr: 'R.attr.product == \"{}\" && {reason} && {} && {} && {}' }} }}\n      \
             output: {{ when: {{ ruleActivated: '{}' }} }}",
            Row::id(place),
            tables::product(row.product),
            range("age", row.age_hours),
            range("price", row.price_units),
            range("share", row.share_hundredths),
            row.percent,
        )
        .expect("a string takes everything");
    }
    text
}
