//! `serve`: the service.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use http::HeaderName;

use crate::app::config::Config;
use crate::app::run::{Ended, RunError, run};
use crate::cli::check::further_help;
use crate::cli::durations::duration;
use crate::cli::exit::Exit;
use crate::cli::input::address;
use crate::cli::output::{chain, colour_of_reports, say, say_and_end, unreadable};
use crate::cli::source::SourceArgs;
use crate::policy::diagnostic::render;
use crate::reload::bootstrap::BootstrapError;
use crate::reload::{GoodAfter, ReloadConfig};
use crate::server::admin::limits::ADMIN_CONNECTIONS_MAX;
use crate::server::admin::{AdminAddress, AdminConfig, AdminLimits, DEFAULT_ADDRESS, OpenError, TlsFiles};
use crate::server::limits::CONNECTIONS_MAX;
use crate::server::pages::{PAGES_CONNECTIONS_MAX, PagesConfig};
use crate::server::{OverloadConfig, ServerConfig};
use crate::telemetry::InitError;
use crate::telemetry::log_format::LogFormat;
use crate::telemetry::logs::LogSettings;
use crate::telemetry::settings::Export;

/// Log filter by default.
const DEFAULT_FILTER: &str = "info";

/// Serve decisions over gRPC
#[derive(Debug, Args)]
#[command(
    long_about = "Serve decisions over gRPC.\n\n\
        Policies are watched: a change to the directory is checked and put in force within two seconds, \
        without a restart; so does SIGHUP. Policies with mistakes are reported and the ones before keep \
        serving. With a state directory, a start on broken policies serves the last ones known to be good. \
        SIGTERM or Ctrl-C finishes what has begun, a second one stops at once.\n\n\
        With --admin-tokens, admins are served on an address of their own: status, reload, candidates, rollback. \
        With --http-listen, pages for probes and metrics are.\n\n\
        Where it listens is printed on standard output, logs go to standard error. Traces and metrics are \
        sent by OTLP over gRPC when OTEL_EXPORTER_OTLP_ENDPOINT is set, by the other OTEL_* variables as \
        usual.",
    after_long_help = "Examples:\n  requite serve\n  requite serve --listen 0.0.0.0:50051 --policies my-policies --log-format json\n  \
        requite serve --policies my-policies --http-listen 127.0.0.1:9090\n  \
        requite serve --policies my-policies --state-dir state --admin-tokens admin.tokens\n\n\
        Exit codes:\n  0  stopped as asked\n  1  it could not listen or use the state directory, or stopped at once while \
        requests were in flight\n  \
        2  the command line, an OTEL_* variable, or the tokens or certificates for admins are wrong\n  3  the policies are invalid or cannot be read"
)]
pub(super) struct Serve {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", env = "REQUITE_LISTEN", default_value = "127.0.0.1:50051", value_parser = address)]
    listen: String,
    #[command(flatten)]
    source: SourceArgs,
    /// Directory that keeps policies that were in force over restarts; without it, a start needs good policies
    #[arg(long, value_name = "DIR", env = "REQUITE_STATE_DIR")]
    state_dir: Option<PathBuf>,
    /// Number of policies that can be rolled back to, the ones in force included: 2 to 100
    #[arg(long, value_name = "N", env = "REQUITE_REVISIONS_MAX", default_value_t = 10, value_parser = clap::value_parser!(u8).range(2..=100))]
    revisions_max: u8,
    /// Policies are known as good when they have served for so long, such as `90s` or `10m`, …
    #[arg(long, value_name = "TIME", env = "REQUITE_KNOWN_GOOD_AFTER", default_value = "10m", value_parser = duration)]
    known_good_after: Duration,
    /// … and have decided so many claims
    #[arg(long, value_name = "N", env = "REQUITE_KNOWN_GOOD_DECISIONS", default_value_t = 100)]
    known_good_decisions: u64,
    /// Address for admins [default: 127.0.0.1:50052]; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT|unix:/PATH", env = "REQUITE_ADMIN_LISTEN", requires = "admin_tokens")]
    admin_listen: Option<AdminAddress>,
    /// File of admins, a line `NAME RIGHTS TOKEN` for each; without it, admins are not served
    #[arg(long, value_name = "FILE", env = "REQUITE_ADMIN_TOKENS")]
    admin_tokens: Option<PathBuf>,
    /// The certificate for admins, as PEM; needed where other hosts can connect
    #[arg(long, value_name = "FILE", env = "REQUITE_ADMIN_TLS_CERT", requires_all = ["admin_tokens", "admin_tls_key"])]
    admin_tls_cert: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", env = "REQUITE_ADMIN_TLS_KEY", requires_all = ["admin_tokens", "admin_tls_cert"])]
    admin_tls_key: Option<PathBuf>,
    /// The roots of the certificates of admins, for those who show one instead of a token
    #[arg(long, value_name = "FILE", env = "REQUITE_ADMIN_CLIENT_CA", requires_all = ["admin_tls_cert", "admin_tls_key"])]
    admin_client_ca: Option<PathBuf>,
    /// Address of the pages for probes and metrics; without it, they are not served
    #[arg(long, value_name = "HOST:PORT", env = "REQUITE_HTTP_LISTEN", value_parser = address)]
    http_listen: Option<String>,
    /// Calls of the data service in progress at most; without it, calls are refused by how long they wait
    #[arg(long, value_name = "N", env = "REQUITE_CONCURRENCY_LIMIT")]
    concurrency_limit: Option<NonZeroUsize>,
    /// The header whose value names the caller, such as `x-caller`; without it, a caller is an address
    #[arg(long, value_name = "NAME", env = "REQUITE_CALLER_HEADER", value_parser = header)]
    caller_header: Option<HeaderName>,
    /// Maximum number of open connections of callers; never more than half of the open files that the process may have
    #[arg(long, value_name = "N", env = "REQUITE_MAX_CONNECTIONS", default_value_t = CONNECTIONS_MAX, value_parser = count)]
    max_connections: usize,
    /// Maximum number of them for one peer, an address or an IPv6 network of 64 bits [default: nine of ten]
    #[arg(long, value_name = "N", env = "REQUITE_MAX_CONNECTIONS_PER_PEER", value_parser = count)]
    max_connections_per_peer: Option<usize>,
    /// Maximum age of a connection of a caller, a tenth more or less
    #[arg(long, value_name = "TIME", env = "REQUITE_MAX_CONNECTION_AGE", default_value = "1h", value_parser = some_time)]
    max_connection_age: Duration,
    /// Maximum time of a connection of a caller without a call
    #[arg(long, value_name = "TIME", env = "REQUITE_MAX_CONNECTION_IDLE", default_value = "15m", value_parser = some_time)]
    max_connection_idle: Duration,
    /// Maximum number of open connections of admins
    #[arg(long, value_name = "N", env = "REQUITE_ADMIN_MAX_CONNECTIONS", default_value_t = ADMIN_CONNECTIONS_MAX, value_parser = count)]
    admin_max_connections: usize,
    /// Maximum number of open connections to the pages
    #[arg(long, value_name = "N", env = "REQUITE_HTTP_MAX_CONNECTIONS", default_value_t = PAGES_CONNECTIONS_MAX, value_parser = count)]
    http_max_connections: usize,
    /// Format of the logs
    #[arg(long, value_enum, env = "REQUITE_LOG_FORMAT", default_value_t = Format::Text)]
    log_format: Format,
    /// Log level, or a filter such as `warn,requite=debug` [default: RUST_LOG, or info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Lines for people
    Text,
    /// One JSON object per line
    Json,
}

impl Serve {
    pub(super) fn run(self) -> Exit {
        // A variable that is not text cannot ask for anything.
        let variable = |name: &str| std::env::var(name).ok();
        let export = match Export::from_variables(variable) {
            Ok(export) => export,
            Err(error) => {
                say(&format!("error: {error}"));
                return Exit::Usage;
            }
        };
        let admin = self.admin();
        let is_said = |filter: &String| !filter.trim().is_empty();
        let flag = self.log_level.filter(is_said);
        let filter_from = if flag.is_some() { "the flag `--log-level`" } else { "the variable `RUST_LOG`" };
        let filter = flag.or_else(|| variable("RUST_LOG").filter(is_said));
        let logs = LogSettings {
            format: match self.log_format {
                Format::Text => LogFormat::Text,
                Format::Json => LogFormat::Json,
            },
            filter: filter.unwrap_or_else(|| DEFAULT_FILTER.to_owned()),
        };
        let ended = run(Config {
            listen: self.listen,
            source: self.source.source(),
            logs,
            export,
            state_dir: self.state_dir,
            handles: ReloadConfig {
                revisions_max: usize::from(self.revisions_max),
                known_good: GoodAfter { served: self.known_good_after, decisions: self.known_good_decisions },
                ..ReloadConfig::default()
            },
            server: ServerConfig {
                overload: OverloadConfig {
                    concurrency_limit: self.concurrency_limit,
                    caller_header: self.caller_header,
                },
                connections_max: self.max_connections,
                connections_per_peer_max: self.max_connections_per_peer,
                connection_age_max: self.max_connection_age,
                connection_idle_max: self.max_connection_idle,
                ..ServerConfig::default()
            },
            admin,
            pages: self.http_listen,
            pages_config: PagesConfig { connections_max: self.http_max_connections, ..PagesConfig::default() },
        });
        match ended {
            Ok(Ended::Stopped) => Exit::Done,
            Ok(Ended::DrainTimeout | Ended::Aborted) => Exit::Unexpected,
            Err(error) => {
                let (mut said, exit) = failed(&error);
                if matches!(error, RunError::Telemetry(InitError::Filter { .. })) {
                    said.push_str(&format!("\n  help: it comes from {filter_from}"));
                }
                say_and_end(said);
                exit
            }
        }
    }
}

impl Serve {
    /// Settings of the admin service, if there is one: the tokens and the address.
    fn admin(&self) -> Option<AdminConfig> {
        let tls = self.admin_tls_cert.clone().zip(self.admin_tls_key.clone());
        Some(AdminConfig {
            credentials: self.admin_tokens.clone()?,
            listen: self.admin_listen.clone().unwrap_or_else(|| AdminAddress::Tcp(DEFAULT_ADDRESS.to_owned())),
            tls: tls.map(|(certificate, key)| TlsFiles { certificate, key, client_ca: self.admin_client_ca.clone() }),
            limits: AdminLimits { connections_max: self.admin_max_connections, ..AdminLimits::default() },
        })
    }
}

/// A length of time above zero.
fn some_time(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("expected a length of time above zero, such as `15m`".to_owned()),
        time => Ok(time),
    }
}

/// A number of things, at least one.
fn count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=1_000_000).contains(count));
    count.ok_or_else(|| "expected a number from 1 to 1000000".to_owned())
}

/// The name of a header. Headers of HTTP/2 itself and of gRPC say something else than who calls.
fn header(text: &str) -> Result<HeaderName, String> {
    let name = text.parse::<HeaderName>().ok().filter(|name| !name.as_str().starts_with("grpc-"));
    name.ok_or_else(|| "expected the name of a header, such as `x-caller`".to_owned())
}

/// Report on a run that failed, and its exit code.
fn failed(error: &RunError) -> (String, Exit) {
    let said = format!("error: {}", chain(error));
    match error {
        RunError::Bootstrap(BootstrapError::Unreadable(error)) => (unreadable(error), Exit::PolicyInvalid),
        RunError::Bootstrap(BootstrapError::Rejected { rejection, bundle }) => {
            let report = render(&rejection.diagnostics, bundle, colour_of_reports());
            let help = further_help(&rejection.diagnostics).map_or(String::new(), |help| help + "\n");
            (format!("{report}{help}\nerror: {error}"), Exit::PolicyInvalid)
        }
        RunError::Telemetry(InitError::Log(_)) | RunError::Runtime(_) | RunError::Serve(_) | RunError::Bug(_) => {
            (said, Exit::Unexpected)
        }
        RunError::Telemetry(InitError::Filter { .. } | InitError::Exporter { .. } | InitError::AlreadySetUp) => {
            (said, Exit::Usage)
        }
        RunError::Listen { .. } => (
            format!("{said}\n  help: choose another address with `--listen`, port 0 takes a free one"),
            Exit::Unexpected,
        ),
        RunError::Admin(error) => {
            let help = error.help().map(|help| format!("\n  help: {help}")).unwrap_or_default();
            (format!("{said}{help}"), exit_of(error))
        }
        RunError::Pages(_) => (
            format!("{said}\n  help: choose another address with `--http-listen`, port 0 takes a free one"),
            Exit::Unexpected,
        ),
        RunError::Bootstrap(BootstrapError::State(_)) => (
            format!(
                "{said}\n  help: give each server a state directory of its own with `--state-dir`, on a disk that it may write"
            ),
            Exit::Unexpected,
        ),
    }
}

/// Exit code: the command line is wrong, or the host did not give what was asked for.
const fn exit_of(error: &OpenError) -> Exit {
    match error {
        OpenError::Credentials(_) | OpenError::Tls(_) | OpenError::Exposed { .. } | OpenError::TlsOnUnix { .. } => {
            Exit::Usage
        }
        OpenError::Listen { .. }
        | OpenError::SocketInUse { .. }
        | OpenError::NotASocket { .. }
        | OpenError::Reflection(_) => Exit::Unexpected,
    }
}
