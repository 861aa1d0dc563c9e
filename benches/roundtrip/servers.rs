//! The servers: this program again, each in a process of its own, ended with its standard input.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use requite::api::pb;
use requite::api::pb::refund_policy_service_server::{RefundPolicyService, RefundPolicyServiceServer};
use requite::app::config::Config;
use requite::engine::admit::admit;
use requite::engine::open;
use requite::reload::ReloadConfig;
use requite::server::pages::PagesConfig;
use requite::server::{OverloadConfig, ServerConfig, evaluate, serve_routes};
use requite::source::Embedded;
use requite::source::embedded;
use requite::telemetry::log_format::LogFormat;
use requite::telemetry::logs::LogSettings;
use requite::telemetry::settings::Export;
use socket2::{Domain, Socket, Type};
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, async_trait};

/// What a process is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// `requite serve` with the standard policy.
    Requite,
    /// A no-op handler on the library's own server.
    NoOp,
    /// A no-op handler on the accept loop of requite.
    NoOpOnOurLoop,
    /// The services of requite on one runtime of one thread for each core, all on one port.
    RequitePerCore,
}

impl Role {
    pub(crate) const ALL: [Self; 4] = [Self::Requite, Self::NoOp, Self::NoOpOnOurLoop, Self::RequitePerCore];

    pub(crate) const fn argument(self) -> &'static str {
        match self {
            Self::Requite => "serve-requite",
            Self::NoOp => "serve-no-op",
            Self::NoOpOnOurLoop => "serve-no-op-on-our-loop",
            Self::RequitePerCore => "serve-requite-per-core",
        }
    }

    pub(crate) fn from_argument(argument: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.argument() == argument)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Requite => "requite",
            Self::NoOp => "no-op, tonic's server",
            Self::NoOpOnOurLoop => "no-op, our server",
            Self::RequitePerCore => "requite, runtime per core",
        }
    }
}

/// A server that runs.
pub(crate) struct Child {
    pub(crate) role: Role,
    pub(crate) address: SocketAddr,
    process: std::process::Child,
    /// Its end is the end of the process, also where this one is killed.
    _input: ChildStdin,
}

impl Child {
    pub(crate) fn start(role: Role) -> Self {
        // `REQUITE_BENCH_WRAPPER="taskset -c 0"` keeps servers on one core, "valgrind ..." profiles them.
        let wrapper = std::env::var("REQUITE_BENCH_WRAPPER").unwrap_or_default();
        let mut words = wrapper.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        words.push(std::env::current_exe().unwrap().to_str().unwrap().to_owned());
        words.push(role.argument().to_owned());
        let mut process =
            Command::new(&words[0]).args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = process.stdin.take().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("serving on ").and_then(|rest| rest.split(": ").next()).unwrap();
        Self { role, address: address.trim().parse().unwrap(), process, _input: input }
    }

    /// Processor time of its threads. The kernel counts it in nanoseconds for each of them, and in
    /// hundredths of a second for the process.
    pub(crate) fn cpu(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
        let nanos = tasks.filter_map(|task| {
            let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanos.sum())
    }

    /// Memory that it holds.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let row = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        row.split_whitespace().next().unwrap().parse().unwrap()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs a server until standard input ends.
pub(crate) fn run(role: Role) {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    match role {
        Role::Requite => {
            requite::app::run::run(Config {
                listen: "127.0.0.1:0".to_owned(),
                source: Arc::new(Embedded),
                logs: LogSettings { format: LogFormat::Text, filter: "warn".to_owned() },
                export: Export::default(),
                state_dir: None,
                handles: ReloadConfig::default(),
                server: never_overloaded(),
                admin: None,
                pages: None,
                pages_config: PagesConfig::default(),
            })
            .unwrap();
        }
        Role::NoOp => no_op_runtime().block_on(async {
            let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap().with_nodelay(Some(true));
            println!("serving on {}", incoming.local_addr().unwrap());
            tonic::transport::Server::builder().add_service(no_op()).serve_with_incoming(incoming).await.unwrap();
        }),
        Role::NoOpOnOurLoop => no_op_runtime().block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            println!("serving on {}", listener.local_addr().unwrap());
            let routes = Routes::new(no_op()).prepare();
            serve_routes(listener, routes, ServerConfig::default(), std::future::pending()).await;
        }),
        Role::RequitePerCore => per_core(),
    }
}

/// The kernel spreads connections over listeners that share a port.
fn per_core() {
    let (engine, _activator) = open(admit(&embedded::read().unwrap()).unwrap());
    let listen = |address: SocketAddr| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket.bind(&address.into()).unwrap();
        socket.listen(1024).unwrap();
        std::net::TcpListener::from(socket)
    };
    let first = listen("127.0.0.1:0".parse().unwrap());
    let address = first.local_addr().unwrap();
    let cores = std::thread::available_parallelism().unwrap().get();
    let listeners = std::iter::once(first).chain((1..cores).map(|_| listen(address))).collect::<Vec<_>>();
    println!("serving on {address}");
    let serve = |listener: std::net::TcpListener| {
        let engine = engine.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                requite::server::serve(listener, engine, never_overloaded(), std::future::pending()).await.unwrap()
            });
        })
    };
    for thread in listeners.into_iter().map(serve).collect::<Vec<_>>() {
        thread.join().unwrap();
    }
}

fn no_op_runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

fn no_op() -> RefundPolicyServiceServer<NoOp> {
    let (engine, _activator) = open(admit(&embedded::read().unwrap()).unwrap());
    RefundPolicyServiceServer::new(NoOp(evaluate(&engine.current(), &crate::request()).unwrap()))
}

/// Decides nothing: always the same answer.
struct NoOp(pb::EvaluateRefundResponse);

#[async_trait]
impl RefundPolicyService for NoOp {
    async fn evaluate_refund(
        &self,
        _: Request<pb::EvaluateRefundRequest>,
    ) -> Result<Response<pb::EvaluateRefundResponse>, Status> {
        Ok(Response::new(self.0.clone()))
    }

    async fn batch_evaluate_refund(
        &self,
        _: Request<pb::BatchEvaluateRefundRequest>,
    ) -> Result<Response<pb::BatchEvaluateRefundResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn validate_evidence(
        &self,
        _: Request<pb::ValidateEvidenceRequest>,
    ) -> Result<Response<pb::ValidateEvidenceResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_server_info(
        &self,
        _: Request<pb::GetServerInfoRequest>,
    ) -> Result<Response<pb::GetServerInfoResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

/// Takes as much as the load brings: what a saturated server does is what is measured.
fn never_overloaded() -> ServerConfig {
    let concurrency_limit = std::num::NonZeroUsize::new(1_000_000);
    ServerConfig {
        overload: OverloadConfig { concurrency_limit, ..OverloadConfig::default() },
        ..ServerConfig::default()
    }
}
