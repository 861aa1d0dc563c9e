//! Honest callers beside an attack: steady calls on old connections, calls on new ones, health, and
//! the probe of an orchestrator. They come from another address than the attacker.
//!
//! They live on a thread of their own, so that a busy attacker does not delay them more than the
//! machine must. A call is timed from when it was due.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use hyper::body::Bytes;
use prost::Message as _;
use requite::api::pb::EvaluateRefundResponse;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::time::{Instant, interval, sleep};

use crate::arena::HONEST;
use crate::arena::server::Server;
use crate::arena::wire::{Connection, EVALUATE, HEALTH, STATUS, encoded, honest_request};

/// Calls a second, over all connections.
const RATE: u32 = 200;
const CONNECTIONS: u32 = 2;

/// Between two calls on a new connection, two probes, two looks of an admin.
const NEWCOMERS_EVERY: Duration = Duration::from_millis(250);

/// How long an honest caller waits.
const DEADLINE: Duration = Duration::from_secs(5);

/// What a call that was refused for lack of room is recorded as.
const SHED: &str = "shed";

/// What honest callers saw.
#[derive(Default, Debug)]
pub(crate) struct Seen {
    /// How long calls took on old connections.
    pub(crate) took: Vec<Duration>,
    /// What went wrong, and how often.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Calls that were refused for lack of room, with word of when to come again.
    pub(crate) shed: u64,
    /// Calls of every kind.
    pub(crate) calls: u64,
}

impl Seen {
    /// The time that such a share of the calls did not exceed.
    pub(crate) fn quantile(&mut self, share: f64) -> Duration {
        self.took.sort_unstable();
        let place = (self.took.len().saturating_sub(1) as f64 * share) as usize;
        self.took.get(place).copied().unwrap_or_default()
    }

    pub(crate) fn failed(&self) -> u64 {
        self.errors.values().sum()
    }
}

/// Callers at work, until dropped.
pub(crate) struct Honest {
    seen: Arc<Mutex<Seen>>,
    enough: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

#[derive(Clone)]
struct Caller {
    data: SocketAddr,
    admin: SocketAddr,
    pages: SocketAddr,
    token: String,
    seen: Arc<Mutex<Seen>>,
    enough: Arc<AtomicBool>,
    /// Steady calls that have no answer yet.
    waiting: Arc<AtomicUsize>,
}

impl Honest {
    pub(crate) fn begin(server: &Server) -> Self {
        let (seen, enough) = (Arc::new(Mutex::new(Seen::default())), Arc::new(AtomicBool::new(false)));
        let caller = Caller {
            data: server.data,
            admin: server.admin,
            pages: server.pages,
            token: server.token.clone(),
            seen: Arc::clone(&seen),
            enough: Arc::clone(&enough),
            waiting: Arc::default(),
        };
        let prober = caller.clone();
        let threads = vec![
            thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(caller.calls());
            }),
            thread::spawn(move || prober.probe()),
        ];
        Self { seen, enough, threads }
    }

    /// What was seen since it was last asked.
    pub(crate) fn take(&self) -> Seen {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    /// Ends them, with what they saw last.
    pub(crate) fn end(self) -> Seen {
        self.enough.store(true, Ordering::Relaxed);
        for thread in self.threads {
            // A caller that panics is a fault of this program.
            thread.join().unwrap();
        }
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

impl Caller {
    fn record(&self, kind: &str, outcome: Result<Option<Duration>, String>) {
        // A call that ends after the end was cut by it.
        if self.enough.load(Ordering::Relaxed) {
            return;
        }
        let mut seen = self.seen.lock().unwrap();
        seen.calls += 1;
        match outcome {
            Ok(took) => seen.took.extend(took),
            Err(error) if error == SHED => seen.shed += 1,
            Err(error) => *seen.errors.entry(format!("{kind}: {error}")).or_default() += 1,
        }
    }

    fn goes_on(&self) -> bool {
        !self.enough.load(Ordering::Relaxed)
    }

    async fn calls(self) {
        let request = encoded(&honest_request());
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..CONNECTIONS {
            tasks.spawn(self.clone().steady(request.clone()));
        }
        tasks.spawn(self.clone().newcomers(request));
        tasks.spawn(self.clone().looks_of_an_admin());
        while self.goes_on() {
            sleep(Duration::from_millis(20)).await;
        }
        tasks.shutdown().await;
        // A server counts calls that are cut, and these are not the attack.
        let end = Instant::now() + DEADLINE;
        while 0 < self.waiting.load(Ordering::Relaxed) && Instant::now() < end {
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Calls at a steady rate on one connection, each when it is due.
    async fn steady(self, request: Bytes) {
        let mut due = interval(Duration::from_secs(1) * CONNECTIONS / RATE);
        let mut connection: Option<Arc<Connection>> = None;
        loop {
            let at = due.tick().await;
            if connection.as_ref().is_none_or(|it| !it.is_open()) {
                match Connection::open(HONEST, self.data).await {
                    Ok(opened) => connection = Some(Arc::new(opened)),
                    Err(error) => {
                        self.record("call", Err(error));
                        connection = None;
                        continue;
                    }
                }
            }
            let Some(connection) = connection.clone() else { continue };
            let (caller, request) = (self.clone(), request.clone());
            self.waiting.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let outcome = match decide(&connection, &request).await {
                    // The connection was told to go: a proper client makes another one.
                    Err(error) if error.starts_with("connection: ") => {
                        match Connection::open(HONEST, caller.data).await {
                            Ok(connection) => decide(&connection, &request).await,
                            Err(error) => Err(error),
                        }
                    }
                    outcome => outcome,
                };
                caller.record("call", outcome.map(|()| Some(at.elapsed())));
                caller.waiting.fetch_sub(1, Ordering::Relaxed);
            });
        }
    }

    /// Callers that were not here before.
    async fn newcomers(self, request: Bytes) {
        let mut due = interval(NEWCOMERS_EVERY);
        loop {
            due.tick().await;
            let outcome = async {
                let connection = Connection::open(HONEST, self.data).await?;
                decide(&connection, &request).await?;
                let reply = connection.call(HEALTH, &Bytes::new(), DEADLINE).await?;
                if reply.grpc == Some(0) && reply.body.ends_with(&[8, 1]) {
                    Ok(())
                } else {
                    Err("not healthy".to_owned())
                }
            };
            self.record("newcomer", outcome.await.map(|()| None));
        }
    }

    async fn looks_of_an_admin(self) {
        let mut due = interval(NEWCOMERS_EVERY * 2);
        loop {
            due.tick().await;
            let outcome = async {
                let connection = Connection::open(HONEST, self.admin).await?;
                let reply = connection.admin_call(STATUS, &self.token, &Bytes::new(), DEADLINE).await?;
                if reply.grpc == Some(0) { Ok(()) } else { Err(format!("status {:?} {}", reply.grpc, reply.text)) }
            };
            self.record("admin", outcome.await.map(|()| None));
        }
    }

    /// The probe of an orchestrator: a new connection each time.
    fn probe(self) {
        while self.goes_on() {
            let began = Instant::now();
            self.record("probe", probe(self.pages).map(|()| None));
            thread::sleep(NEWCOMERS_EVERY.saturating_sub(began.elapsed()));
        }
    }
}

async fn decide(connection: &Connection, request: &Bytes) -> Result<(), String> {
    let reply = connection.call(EVALUATE, request, DEADLINE).await?;
    // RESOURCE_EXHAUSTED: an answer that comes at once, and no fault of its own.
    if reply.grpc == Some(8) {
        return Err(SHED.to_owned());
    }
    if reply.grpc != Some(0) {
        return Err(format!("status {:?} {}", reply.grpc, reply.text));
    }
    let message = reply.body.get(5..).ok_or("an answer without a message")?;
    let answer = EvaluateRefundResponse::decode(message).map_err(|error| error.to_string())?;
    match answer.refund {
        Some(refund) if refund.units == 125 && refund.nanos == 0 => Ok(()),
        other => Err(format!("another refund: {other:?}")),
    }
}

fn probe(pages: SocketAddr) -> Result<(), String> {
    let work = || -> std::io::Result<bool> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        let std::net::IpAddr::V4(from) = HONEST else { return Ok(false) };
        socket.bind(&SockAddr::from(SocketAddrV4::new(from, 0)))?;
        socket.connect_timeout(&pages.into(), DEADLINE)?;
        socket.set_read_timeout(Some(DEADLINE))?;
        let mut stream = std::net::TcpStream::from(socket);
        stream.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text.starts_with("HTTP/1.1 200") && text.ends_with("healthy\n"))
    };
    match work() {
        Ok(true) => Ok(()),
        Ok(false) => Err("no proper answer".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
