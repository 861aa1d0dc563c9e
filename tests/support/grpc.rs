//! A server on a socket of its own, a policy to run it with, and HTTP/2 by hand.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use jiff::tz::TimeZone;
use requite::client;
use requite::domain::decision::ReasonCodes;
use requite::domain::facts::FactId;
use requite::domain::money::Currency;
use requite::domain::text::Fold;
use requite::domain::words::{ReasonCode, RefundMethod};
use requite::domain::zone::Zone;
use requite::engine::admit::Admission;
use requite::engine::{Activator, open};
use requite::plan::rule::{Action, RuleEffect};
use requite::plan::rules::Rules;
use requite::plan::text::{ComparisonExcuses, TextRules};
use requite::plan::vocabulary::{Labels, Vocabularies};
use requite::plan::{Plan, TenderRules};
use requite::policy::bundle::{Bundle, BundleFile};
use requite::server::{Drained, ServerConfig, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::transport::Channel;

/// Longer than anything here may take; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A server that runs.
pub struct Running {
    pub addr: SocketAddr,
    pub activator: Activator,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Drained>,
}

/// More calls than any test has open at once.
const UNLIMITED: usize = 1_000_000;

/// Starts a server on a free port.
pub async fn start(config: ServerConfig) -> Running {
    start_with(config, admission("one")).await
}

/// Starts a server on a free port, with this in force.
///
/// Unless the configuration says otherwise, calls are not refused by how long they wait: on a busy machine
/// a server without optimization is soon overloaded, and rightly says so.
pub async fn start_with(mut config: ServerConfig, admission: Admission) -> Running {
    config.overload.concurrency_limit = config.overload.concurrency_limit.or(NonZeroUsize::new(UNLIMITED));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (engine, activator) = open(admission);
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        serve(listener, engine, config, async { stopped.await.unwrap_or_default() }).await.unwrap()
    });
    Running { addr, activator, stop, task }
}

impl Running {
    /// A client's connection to it.
    pub async fn channel(&self) -> Channel {
        client::connect(&self.addr.to_string()).await.unwrap()
    }

    /// Stops it and waits for its end.
    pub async fn stop(self) -> Drained {
        self.begin_stop().ended().await
    }

    /// Tells it to stop.
    pub fn begin_stop(self) -> Stopping {
        self.stop.send(()).unwrap();
        Stopping(self.task)
    }
}

/// A server that was told to stop.
pub struct Stopping(JoinHandle<Drained>);

impl Stopping {
    /// Waits for its end.
    pub async fn ended(self) -> Drained {
        timeout(PATIENCE, self.0).await.unwrap().unwrap()
    }
}

/// A bundle of one policy, `guide`, that sends everything to a reviewer.
pub fn admission(content: &str) -> Admission {
    let files = vec![BundleFile { path: "guide.policy.yaml".into(), bytes: content.as_bytes().to_vec() }];
    Admission {
        digest: Bundle::new(files).unwrap().digest(),
        default_policy: "guide".into(),
        plans: vec![plan()],
        warnings: Vec::new(),
        stricter_errors: Vec::new(),
        cases_passed: 0,
    }
}

fn plan() -> Plan {
    Plan {
        id: "guide".into(),
        version: "1".into(),
        effective: None,
        zone: Zone::new(TimeZone::UTC),
        calendar: None,
        currencies: vec![Currency::iso("CNY").unwrap()],
        languages: vec!["en".into()],
        vocabularies: Vocabularies::default(),
        facts: Vec::new(),
        given_facts: 0,
        fact_names: HashMap::new(),
        derived: Vec::new(),
        liable: FactId(0),
        reasons: Vec::new(),
        evidence_kinds: Vec::new(),
        evidence_bytes_max: None,
        requirements: Vec::new(),

        components: Vec::new(),
        returned_whole: Vec::new(),
        component_facts: Vec::new(),
        order_amounts: Vec::new(),
        tenders: TenderRules::default(),
        text: TextRules {
            phrases: Vec::new(),
            vague: None,
            checkable: None,
            fold: Fold::default(),
            comparison: ComparisonExcuses::Yes,
            suggestion: Labels::default(),
        },
        next_steps: Vec::new(),
        escalation: Vec::new(),
        supplement_step: None,
        restate_step: None,
        more_info_steps: Vec::new(),
        review_steps: Vec::new(),
        rules: Rules::new(Vec::new()),
        otherwise: RuleEffect {
            action: Action::Review(ReasonCodes::of(&[ReasonCode::NoMatchingRule])),
            demands: Vec::new(),
            next_steps: Vec::new(),
            review: None,
            payout: None,
            method: RefundMethod::OriginalPayment,
            components: Vec::new(),
            compensations: Vec::new(),
            amounts_due: Vec::new(),
        },
    }
}

/// What an HTTP/2 client says first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames.
pub const HEADERS: u8 = 1;
pub const SETTINGS: u8 = 4;
pub const GOAWAY: u8 = 7;

/// Flags of frames: the headers are whole, the stream has no more.
pub const END_HEADERS_AND_STREAM: u8 = 0x05;

/// A frame as it goes over the wire.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A connection that has said hello, with empty settings.
pub async fn greet(addr: SocketAddr) -> TcpStream {
    greet_from(Ipv4Addr::LOCALHOST, addr).await
}

/// The same, from this address of loopback.
pub async fn greet_from(peer: Ipv4Addr, addr: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((peer, 0).into()).unwrap();
    let mut stream = socket.connect(addr).await.unwrap();
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
    stream
}

/// The next frame: type and payload. `None` where the connection is closed.
pub async fn next_frame(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 9];
    if let Err(error) = timeout(PATIENCE, stream.read_exact(&mut head)).await.unwrap() {
        assert!(matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{error}");
        return None;
    }
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    timeout(PATIENCE, stream.read_exact(&mut payload)).await.unwrap().unwrap();
    Some((head[3], payload))
}

/// Whether the peer has closed the connection, without a word.
pub async fn closed(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    match timeout(PATIENCE, stream.read(&mut byte)).await.unwrap() {
        Ok(count) => count == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}
