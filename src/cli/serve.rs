//! `serve`: the service.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::app::config::{Config, Policies};
use crate::app::run::{Ended, RunError, run};
use crate::cli::exit::Exit;
use crate::cli::input::address;
use crate::cli::output::{chain, say, say_unreadable};
use crate::server::ServerConfig;
use crate::source::watch::Timing;
use crate::telemetry::logs::{LogFormat, LogSettings};
use crate::telemetry::settings::Export;

/// What is logged unless someone asks for more or less.
const DEFAULT_FILTER: &str = "info";

/// Serve decisions over gRPC
#[derive(Debug, Args)]
#[command(
    long_about = "Serve decisions over gRPC.\n\n\
        Policies are watched: a change to the directory is checked and put in force within two seconds, \
        without a restart; so does SIGHUP. Policies with mistakes are reported and the ones before keep \
        serving. SIGTERM or Ctrl-C finishes what has begun, a second one stops at once.\n\n\
        Where it listens is printed on standard output, logs go to standard error. Traces and metrics are \
        sent by OTLP over gRPC when OTEL_EXPORTER_OTLP_ENDPOINT is set, by the other OTEL_* variables as \
        usual.",
    after_long_help = "Examples:\n  requite serve\n  requite serve --listen 0.0.0.0:50051 --policies /etc/requite/policies --log-format json\n\n\
        Exit codes:\n  0  stopped as asked\n  1  it could not listen, or stopped at once while requests were in flight\n  \
        2  the command line or an OTEL_* variable is wrong\n  3  the policies are invalid or cannot be read"
)]
pub(super) struct Serve {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", env = "REQUITE_LISTEN", default_value = "127.0.0.1:50051", value_parser = address)]
    listen: String,
    /// The directory of the policies; without it, the ones that come with the program
    #[arg(long, value_name = "DIR", env = "REQUITE_POLICIES")]
    policies: Option<PathBuf>,
    /// How logs are written
    #[arg(long, value_enum, env = "REQUITE_LOG_FORMAT", default_value_t = Format::Text)]
    log_format: Format,
    /// What is logged: a level or a filter such as `warn,requite=debug` [default: RUST_LOG, or info]
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
        let filter = self.log_level.or_else(|| variable("RUST_LOG")).filter(|filter| !filter.trim().is_empty());
        let logs = LogSettings {
            format: match self.log_format {
                Format::Text => LogFormat::Text,
                Format::Json => LogFormat::Json,
            },
            filter: filter.unwrap_or_else(|| DEFAULT_FILTER.to_owned()),
        };
        let ended = run(Config {
            listen: self.listen,
            policies: self.policies.map_or(Policies::Embedded, Policies::Directory),
            logs,
            export,
            timing: Timing::default(),
            server: ServerConfig::default(),
        });
        match ended {
            Ok(Ended::Stopped) => Exit::Done,
            Ok(Ended::Overdue | Ended::Cut) => Exit::Unexpected,
            Err(error) => failed(&error),
        }
    }
}

fn failed(error: &RunError) -> Exit {
    match error {
        RunError::Unreadable(error) => say_unreadable(error),
        RunError::Rejected { report } => {
            say(&format!("{report}\nerror: {error}"));
            Exit::PolicyInvalid
        }
        RunError::Telemetry(error) => {
            say(&format!("error: {}", chain(error)));
            Exit::Usage
        }
        RunError::Listen { .. } => {
            say(&format!(
                "error: {}\n  help: choose another address with `--listen`, port 0 takes a free one",
                chain(error)
            ));
            Exit::Unexpected
        }
        RunError::Runtime(_) | RunError::Serve(_) | RunError::Bug(_) => {
            say(&format!("error: {}", chain(error)));
            Exit::Unexpected
        }
    }
}
