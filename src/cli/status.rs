//! `status`: where servers stand with their policies, and whether they agree.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::api::json::admin_to_json;
use crate::cli::admin::{Access, Format, Right, Wanted, admin_address, exit_of, explain, runtime, status};
use crate::cli::durations::duration_within;
use crate::cli::exit::Exit;
use crate::cli::output::{Answer, answer, chain, say};
use crate::cli::show::status::{Told, line, lines, page};
use crate::cli::show::{short, visible};
use crate::client::admin::{AdminClient, AdminError, Refused};
use crate::client::credentials::Credentials;

/// Pause between two looks while replicas do not agree.
const PAUSE: Duration = Duration::from_millis(500);

/// Say where servers stand with their policies
#[derive(Debug, Args)]
#[command(
    long_about = "Say where servers stand with their policies.\n\n\
        Of one server everything: what is in force and since when, how its source stands to that, what a restart would come to, \
        the candidate, and the last policies that were rejected with every mistake. Of several a line each.\n\n\
        With `--wait` it looks again until all of them agree: a rollout ends when every replica has the digest that \
        `requite check` printed. Needs the right `read`.",
    after_long_help = "Examples:\n  requite status\n  requite status --addr requite-0:50052 --addr requite-1:50052\n  \
        requite status --addr requite-0:50052 --wait --digest 9fdafd79acd5 --timeout 60s\n  requite status --watch\n\n\
        Exit codes:\n  0  every server answered, and all of them have the same digest in force: the one of `--digest`, if it is given\n  \
        1  a server cannot be reached or refused, or they do not agree (with `--wait`: not in time)\n  \
        2  the command line is wrong"
)]
pub(super) struct Status {
    /// Address of an admin service, `HOST:PORT` or `unix:/PATH`, as often as there are servers
    #[arg(
        long, value_name = "ADDR", env = "REQUITE_ADMIN_ADDR", default_value = "127.0.0.1:50052",
        value_delimiter = ',', value_parser = admin_address, help_heading = "Connection"
    )]
    addr: Vec<String>,
    #[command(flatten)]
    access: Access,
    /// Look again until all servers agree
    #[arg(long)]
    wait: bool,
    /// The digest that they should have in force; its first digits will do
    #[arg(long, value_name = "DIGEST")]
    digest: Option<Wanted>,
    /// Time to wait, such as `30s` or `5m`
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time, requires = "wait")]
    timeout: Duration,
    /// Print a line now and after every change, until it is stopped; for one server
    #[arg(long, conflicts_with_all = ["wait", "digest", "output"])]
    watch: bool,
    /// Format of the status
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// Answer of a server, or the reason why there is none.
type Asked = (String, Result<crate::api::pb::PolicyStatus, AdminError>);

impl Status {
    pub(super) fn run(self) -> Exit {
        let credentials = match self.access.credentials(&self.addr) {
            Ok(credentials) => credentials,
            Err(exit) => return exit,
        };
        let runtime = match runtime() {
            Ok(runtime) => runtime,
            Err(exit) => return exit,
        };
        match (self.watch, self.addr.as_slice()) {
            (false, _) => runtime.block_on(self.told(&credentials)),
            (true, [addr]) => runtime.block_on(watched(addr, &credentials)),
            (true, _) => {
                say("error: `--watch` is for one server\n  help: write one `--addr`, or `--wait` for several");
                Exit::Usage
            }
        }
    }

    async fn told(&self, credentials: &Credentials) -> Exit {
        let until = Instant::now() + if self.wait { self.timeout } else { Duration::ZERO };
        let asked = loop {
            let asked = asked(&self.addr, credentials).await;
            let over = until <= Instant::now() + PAUSE;
            if over || self.agreed(&asked).is_ok() || asked.iter().any(|(_, told)| told.as_ref().is_err_and(is_final)) {
                break asked;
            }
            sleep(PAUSE).await;
        };
        let agreed = self.agreed(&asked);
        let text = match (self.output, asked.as_slice()) {
            (Format::Json, asked) => Answer::Json(json_of(asked, agreed.is_ok())),
            (Format::Text, [(addr, Ok(status))]) => page(addr, status).into(),
            (Format::Text, [(_, Err(error))]) => return explain(error, Right::Read),
            (Format::Text, asked) => lines(&asked.iter().map(for_people).collect::<Vec<_>>()).into(),
        };
        match agreed {
            // One server always agrees with itself.
            Ok(_) if self.addr.len() == 1 && self.digest.is_none() => answer(text, Exit::Done),
            Ok(digest) => {
                let ended = answer(text, Exit::Done);
                say(&format!("all of them have {digest} in force"));
                ended
            }
            Err(problem) => {
                let ended = answer(text, exit(&asked));
                say(&format!("error: {problem}\n  help: {}", self.next_step()));
                ended
            }
        }
    }

    /// The digest that all of them have in force, or why there is none.
    fn agreed(&self, asked: &[Asked]) -> Result<String, String> {
        let silent = asked.iter().filter(|(_, told)| told.is_err()).count();
        if silent != 0 {
            return Err(format!("{silent} of {} did not say where they stand", asked.len()));
        }
        let mut digests: Vec<String> = asked
            .iter()
            .filter_map(|(_, told)| told.as_ref().ok())
            .map(|status| status.in_force.clone().unwrap_or_default().digest)
            .collect();
        digests.sort_unstable();
        digests.dedup();
        let shown: Vec<&str> = digests.iter().map(|digest| short(digest)).collect();
        match (digests.as_slice(), &self.digest) {
            ([only], Some(wanted)) if !wanted.means(only) => {
                Err(format!("not the digest asked for is in force, but {}", visible(only)))
            }
            ([only], _) => Ok(visible(only)),
            (_, _) => Err(format!("they do not agree: {} are in force", shown.join(", "))),
        }
    }

    const fn next_step(&self) -> &'static str {
        if self.wait {
            "`requite status --addr ADDR` says of each what keeps it, such as policies that were rejected"
        } else {
            "`--wait` looks again until they agree"
        }
    }
}

/// Status of each of them, asked for at the same time.
async fn asked(addrs: &[String], credentials: &Credentials) -> Vec<Asked> {
    let mut tasks = tokio::task::JoinSet::new();
    for (place, addr) in addrs.iter().enumerate() {
        let (addr, credentials) = (addr.clone(), credentials.clone());
        tasks.spawn(async move {
            let told = match AdminClient::connect(&addr, &credentials).await {
                Ok(client) => status(&client).await,
                Err(error) => Err(error),
            };
            (place, (addr, told))
        });
    }
    // Every task ends: both of its steps have a timeout.
    let mut asked = tasks.join_all().await;
    asked.sort_by_key(|(place, _)| *place);
    asked.into_iter().map(|(_, told)| told).collect()
}

/// Returns true if the same question will be refused again.
fn is_final(error: &AdminError) -> bool {
    match error.refused() {
        Some(Refused::Unauthenticated | Refused::Forbidden | Refused::BadRequest | Refused::NoService) => true,
        Some(
            Refused::OtherInForce
            | Refused::Conflict
            | Refused::Staged
            | Refused::Untried
            | Refused::RolledBack
            | Refused::Withdrawn
            | Refused::HeldBack
            | Refused::Rejected
            | Refused::Unreadable
            | Refused::Missing
            | Refused::Other,
        ) => false,
        None => exit_of(error) == Exit::Usage,
    }
}

fn for_people((addr, told): &Asked) -> Told {
    let told = match told {
        Ok(status) => Ok(status.clone()),
        Err(error) => Err(chain_of(error)),
    };
    (addr.clone(), told)
}

fn chain_of(error: &AdminError) -> String {
    chain(error).replace('\n', " ")
}

fn exit(asked: &[Asked]) -> Exit {
    let usage = asked.iter().filter_map(|(_, told)| told.as_ref().err()).any(|error| exit_of(error) == Exit::Usage);
    if usage { Exit::Usage } else { Exit::Unexpected }
}

fn json_of(asked: &[Asked], agree: bool) -> String {
    let one = |(addr, told): &Asked| match told {
        Ok(status) => {
            let status: Value = serde_json::from_str(&admin_to_json(status, "PolicyStatus")).unwrap_or_default();
            json!({ "address": addr, "status": status })
        }
        Err(error) => json!({ "address": addr, "error": chain_of(error) }),
    };
    let replicas: Vec<Value> = asked.iter().map(one).collect();
    format!("{:#}", json!({ "agree": agree, "replicas": replicas }))
}

/// A line for every status until one of the two ends it.
async fn watched(addr: &str, credentials: &Credentials) -> Exit {
    let watch = async {
        let mut watch = AdminClient::connect(addr, credentials).await?.watch().await?;
        while let Some(response) = watch.next().await? {
            let exit = answer(visible(&line(&response.status.unwrap_or_default())), Exit::Done);
            if exit != Exit::Done {
                return Ok(exit);
            }
        }
        say("the server ended it");
        Ok(Exit::Unexpected)
    };
    match watch.await {
        Ok(exit) => exit,
        Err(error) => explain(&error, Right::Read),
    }
}

/// Reads how long to watch.
fn time(text: &str) -> Result<Duration, String> {
    duration_within(text, Duration::from_secs(1), Duration::from_secs(24 * 60 * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_and_a_bound() {
        assert_eq!(time("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(time("5m"), Ok(Duration::from_secs(300)));
        for bad in ["", "s", "0s", "30", "-1s", "25h", "99999999999999999999s"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
