//! Parts that all verbs of the admin service share: address, credentials, and advice on a refusal.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use tokio::runtime::Runtime;

use crate::api::pb;
use crate::cli::exit::Exit;
use crate::cli::output::{chain, say};
use crate::cli::show::{diagnostics, moment, origin, short, visible};
use crate::client::admin::{AdminClient, AdminError, Refused};
use crate::client::credentials::{CredentialFiles, Credentials};

/// Format of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Credentials of the caller, and TLS of the connection.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct Access {
    /// A file that holds your token, and nothing else
    #[arg(long, value_name = "FILE", env = "REQUITE_ADMIN_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Use TLS, and trust the server if these certificates vouch for it
    #[arg(long, value_name = "FILE", env = "REQUITE_ADMIN_TLS_CA")]
    tls_ca: Option<PathBuf>,
    /// Your certificate, where the server asks for one
    #[arg(long, value_name = "FILE", env = "REQUITE_ADMIN_CALLER_CERT", requires = "tls_key", requires = "tls_ca")]
    tls_cert: Option<PathBuf>,
    /// The key of your certificate
    #[arg(long, value_name = "FILE", env = "REQUITE_ADMIN_CALLER_KEY", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

/// One replica.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct Replica {
    /// Address of the admin service: `HOST:PORT` or `unix:/PATH`
    #[arg(long, value_name = "ADDR", env = "REQUITE_ADMIN_ADDR", default_value = "127.0.0.1:50052", value_parser = admin_address)]
    addr: String,
    #[command(flatten)]
    access: Access,
}

/// A change of one replica: what each takes beside what is to change.
#[derive(Debug, Args)]
pub(super) struct Change {
    /// Reason, at most 256 bytes: for the audit log, and for the history where it puts something in force
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(super) reason: String,
    /// Format of the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) output: Format,
    #[command(flatten)]
    pub(super) replica: Replica,
}

/// Right that a call needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Right {
    Read,
    Reload,
    Rollback,
}

impl Right {
    const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Reload => "reload",
            Self::Rollback => "rollback",
        }
    }
}

impl Access {
    /// The credentials for these addresses; where there are none, everything has been said.
    pub(super) fn credentials(&self, addrs: &[String]) -> Result<Credentials, Exit> {
        let files = CredentialFiles {
            token: self.token_file.clone(),
            tls_ca: self.tls_ca.clone(),
            tls_identity: self.tls_cert.clone().zip(self.tls_key.clone()),
        };
        let credentials = Credentials::read(&files).map_err(|error| {
            say(&format!("error: {error}"));
            Exit::Usage
        })?;
        for addr in addrs.iter().filter(|addr| credentials.token_goes_in_the_clear(addr)) {
            say(&format!(
                "warning: your token goes to {addr} for everyone on the way to read\n  help: use TLS: `--tls-ca FILE`"
            ));
        }
        Ok(credentials)
    }
}

impl Replica {
    /// Connects, does something and ends as it says. A no is explained.
    pub(super) fn run(&self, right: Right, verb: impl AsyncFnOnce(&AdminClient) -> Result<Exit, AdminError>) -> Exit {
        self.connected(right, verb).unwrap_or_else(|exit| exit)
    }

    /// Connects and does something; where that did not work, everything has been said.
    pub(super) fn connected<T>(
        &self,
        right: Right,
        verb: impl AsyncFnOnce(&AdminClient) -> Result<T, AdminError>,
    ) -> Result<T, Exit> {
        let credentials = self.access.credentials(std::slice::from_ref(&self.addr))?;
        runtime()?.block_on(async {
            let client =
                AdminClient::connect(&self.addr, &credentials).await.map_err(|error| explain(&error, right))?;
            match verb(&client).await {
                Ok(done) => Ok(done),
                Err(error) => {
                    let rejection = match error.rejection() {
                        Some(rejection) => Some(all_of(rejection, &client).await),
                        None => None,
                    };
                    if let Some(rejection) = &rejection {
                        say(&diagnostics::rejection(rejection));
                    }
                    let exit = match (explain(&error, right), rejection) {
                        // All of it says more than what had room in the answer.
                        (Exit::PolicyInvalid, Some(all)) if diagnostics::only_cases_failed(&all) => Exit::CasesFailed,
                        (exit, _) => exit,
                    };
                    if let Some(refused @ (Refused::OtherInForce | Refused::Conflict)) = error.refused() {
                        say_in_force(&client, refused).await;
                    }
                    Err(exit)
                }
            }
        })
    }
}

/// Runtime for the calls of a verb.
pub(super) fn runtime() -> Result<Runtime, Exit> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        say(&format!("error: cannot start: {error}"));
        Exit::Unexpected
    })
}

/// Says what went wrong and what to do about it.
pub(super) fn explain(error: &AdminError, right: Right) -> Exit {
    let help = match error.refused() {
        None => of_connection(error).to_owned(),
        Some(Refused::Unauthenticated) => {
            "say who you are: `--token-file FILE` or REQUITE_ADMIN_TOKEN_FILE with a file \
             that holds your token; or `--tls-cert` and `--tls-key` where the server takes certificates. Whoever runs the \
             server gives another one for a token that is wrong or has expired"
                .to_owned()
        }
        Some(Refused::Forbidden) => format!(
            "this needs the right `{}`; whoever runs the server gives it, in the file of `--admin-tokens`",
            error.missing_right().map_or_else(|| right.name().to_owned(), |right| visible(&right))
        ),
        Some(Refused::BadRequest) => "fix what is named".to_owned(),
        Some(Refused::OtherInForce) => "nothing was done; what is in force now stands below".to_owned(),
        Some(Refused::Conflict) => "nothing was done; what is staged now stands below: look at it, then decide again".to_owned(),
        Some(Refused::Staged) => "`requite candidate status` shows it; `requite candidate stage --replace` takes its place, \
             `requite candidate discard --digest DIGEST` lets it go"
            .to_owned(),
        Some(Refused::Untried) => {
            "`requite candidate status` says when it was asked about some, and how many it could not read; `--untried` does not wait".to_owned()
        }
        Some(Refused::RolledBack) => {
            "`requite candidate status` says who went back from it, when and why; `--rolled-back` puts it in force all the same".to_owned()
        }
        Some(Refused::Withdrawn) => {
            "`requite revisions` lists them; `requite rollback --to DIGEST` goes back to one all the same".to_owned()
        }
        Some(Refused::HeldBack) => held_back(error),
        Some(Refused::Rejected) => "fix the policies; `requite check DIR` shows each mistake in its line".to_owned(),
        Some(Refused::Unreadable) => "fix the source of the server; what is in force keeps serving".to_owned(),
        Some(Refused::Missing) => {
            "`requite revisions` lists what can be gone back to, `requite status` shows the candidate; what is not kept any more \
             comes back as a candidate: `requite candidate stage DIR` of its files"
                .to_owned()
        }
        Some(Refused::NoService) => "that is another listener of the server; see its `--admin-listen`".to_owned(),
        Some(Refused::Other) => "see the log of the server, and whether it wants TLS there (`--tls-ca`)".to_owned(),
    };
    say(&format!("error: {}\n  help: {help}", visible(&chain(error))));
    exit_of(error)
}

/// Advice where the source is held back: undo what was put in force instead, or name what was rolled back from.
fn held_back(error: &AdminError) -> String {
    match error.put_in_force_instead() {
        Some(digest) => format!(
            "nothing was done; bring the source to what is in force. To have what it holds all the same, in place of that \
             change, type `requite reload --expect {}`",
            visible(short(&digest))
        ),
        None => {
            "nothing was done; fix the source. What was rolled back from comes into force again only by its own name: \
                 `requite rollback --to DIGEST`, or `requite candidate stage` and `promote --rolled-back`"
                .to_owned()
        }
    }
}

fn of_connection(error: &AdminError) -> &'static str {
    match error {
        AdminError::Address { .. } => "write `HOST:PORT`, such as `127.0.0.1:50052`, or `unix:/PATH`",
        AdminError::Tls { .. } => "see whether the files of `--tls-ca`, `--tls-cert` and `--tls-key` are PEM",
        AdminError::Connect { .. } => {
            "see whether a server runs there with `--admin-listen`, and whether it wants TLS (`--tls-ca`)"
        }
        AdminError::Timeout { changes: false, .. } => "see whether the server is overloaded or unreachable",
        AdminError::Timeout { changes: true, .. } => {
            "the change may have been made or not: `requite revisions` and `requite status` tell; the server may be overloaded"
        }
        AdminError::Broken { changes: true, .. } => {
            "the change may have been made or not: `requite revisions` and `requite status` tell. Where every call ends so, see \
             whether the server wants TLS there (`--tls-ca`)"
        }
        AdminError::Broken { changes: false, .. } => {
            "nothing was changed; ask again. Where every call ends so, see whether the server wants TLS there (`--tls-ca`)"
        }
        AdminError::Refused { .. } => "see the log of the server",
    }
}

/// Exit code of a verb that got no answer.
pub(super) fn exit_of(error: &AdminError) -> Exit {
    match error.refused() {
        Some(Refused::Rejected) => match error.rejection() {
            Some(rejection) if diagnostics::only_cases_failed(&rejection) => Exit::CasesFailed,
            Some(_) | None => Exit::PolicyInvalid,
        },
        Some(Refused::Unreadable) => Exit::PolicyInvalid,
        Some(Refused::BadRequest) => Exit::Usage,
        Some(
            Refused::Unauthenticated
            | Refused::Forbidden
            | Refused::OtherInForce
            | Refused::Conflict
            | Refused::Staged
            | Refused::Untried
            | Refused::RolledBack
            | Refused::Withdrawn
            | Refused::HeldBack
            | Refused::Missing
            | Refused::NoService
            | Refused::Other,
        ) => Exit::Unexpected,
        None => match error {
            AdminError::Address { .. } | AdminError::Tls { .. } => Exit::Usage,
            AdminError::Connect { .. }
            | AdminError::Timeout { .. }
            | AdminError::Broken { .. }
            | AdminError::Refused { .. } => Exit::Unexpected,
        },
    }
}

/// Report of what is in force now, for whoever expected something else, and the command to type. If even that is not said, the error
/// before says enough.
async fn say_in_force(client: &AdminClient, refused: Refused) {
    if let Ok(status) = status(client).await {
        let in_force = status.in_force.unwrap_or_default();
        say(&format!("  in force now: {}", is_in_force(&in_force)));
        if let Some(candidate) = status.candidate {
            say(&format!("  candidate now: {}", visible(&candidate.digest)));
        }
        if refused == Refused::OtherInForce {
            say(&format!("  look at what is different. {}", over(&in_force.digest)));
        }
    }
}

/// A rejection with every mistake: in the details of a no there is room for some of them only, and
/// the status has all.
async fn all_of(rejection: pb::PolicyRejection, client: &AdminClient) -> pb::PolicyRejection {
    let last = status(client).await.ok().and_then(|status| status.last_rejection);
    match last.filter(|last| last.digest == rejection.digest && rejection.diagnostics.len() < last.diagnostics.len()) {
        Some(last) => last,
        None => rejection,
    }
}

/// Status of a replica.
pub(super) async fn status(client: &AdminClient) -> Result<pb::PolicyStatus, AdminError> {
    Ok(client.status(pb::GetPolicyStatusRequest {}).await?.status.unwrap_or_default())
}

/// A digest as written on the command line: all of it, or how it begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Wanted(String);

/// Hex digits of which a digest must have at least the first ones to be told from others.
const WANTED_DIGITS_MIN: usize = 8;

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = text.strip_prefix("blake3:").unwrap_or(text);
        let digits = hex.chars().all(|character| character.is_ascii_digit() || matches!(character, 'a'..='f'));
        if digits && (WANTED_DIGITS_MIN..=64).contains(&hex.len()) {
            Ok(Self(hex.to_owned()))
        } else {
            Err(format!("expected a digest, such as `blake3:9fda…`, or at least its first {WANTED_DIGITS_MIN} digits"))
        }
    }
}

impl Wanted {
    /// Returns true if this digest is meant.
    pub(super) fn means(&self, digest: &str) -> bool {
        digest.strip_prefix("blake3:").unwrap_or(digest).starts_with(&self.0)
    }

    /// All of the digest, from those that there are: the only one that is meant, or the digest itself.
    pub(super) fn among(&self, digests: &[String]) -> Result<String, Exit> {
        let meant: Vec<&String> = digests.iter().filter(|digest| self.means(digest)).collect();
        match (meant.as_slice(), self.0.len()) {
            (_, 64) => Ok(format!("blake3:{}", self.0)),
            ([only], _) => Ok((*only).clone()),
            (several, _) => {
                let known: Vec<&str> = digests.iter().map(|digest| short(digest)).collect();
                say(&format!(
                    "error: `{}` means {} of the digests here\n  help: here are {}; write the whole digest for another one",
                    self.0,
                    several.len(),
                    known.join(", ")
                ));
                Err(Exit::Unexpected)
            }
        }
    }
}

/// The digest that must be in force: as given, or as seen. `Err` where something else is.
pub(super) fn expected(wanted: Option<&Wanted>, in_force: &pb::PolicyRevision) -> Result<String, Exit> {
    match wanted {
        Some(wanted) if !wanted.means(&in_force.digest) => {
            say(&format!(
                "error: you expected `{}` to be in force, but it is {}\n  help: nothing was done; see what is different: \
                 `requite diff {} in-force`. {}",
                wanted.0,
                is_in_force(in_force),
                wanted.0,
                over(&in_force.digest)
            ));
            Err(Exit::Unexpected)
        }
        Some(_) | None => Ok(in_force.digest.clone()),
    }
}

/// Text on what is in force: the generation, since when, and whose it is.
pub(super) fn is_in_force(revision: &pb::PolicyRevision) -> String {
    let pb::PolicyRevision { digest, generation, .. } = revision;
    let since = moment(revision.activated_at.as_ref().map(|at| at.seconds));
    format!("{}, generation {generation}, since {since}: {}", visible(digest), visible(&origin(revision)))
}

/// Command that makes a change over what is in force now.
fn over(digest: &str) -> String {
    format!("If you still want the change, type it again with `--expect {}`", visible(short(digest)))
}

/// An address as written: `HOST:PORT` or `unix:/PATH`.
pub(super) fn admin_address(text: &str) -> Result<String, String> {
    match text.strip_prefix("unix:") {
        Some(path) if path.starts_with('/') => Ok(text.to_owned()),
        Some(_) => Err("expected `unix:` and a path that begins with `/`".to_owned()),
        None => crate::cli::input::address(text).map_err(|_| {
            let expected = || "expected HOST:PORT or unix:/PATH, such as `127.0.0.1:50052`".to_owned();
            crate::cli::input::scheme_help(text).unwrap_or_else(expected)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_meant_by_how_it_begins() {
        let all = format!("blake3:{}", "ab".repeat(32));
        let other = format!("blake3:{}", "cd".repeat(32));
        let wanted: Wanted = "abababab".parse().unwrap();
        assert!(wanted.means(&all) && !wanted.means(&other));
        assert_eq!(wanted.among(&[other.clone(), all.clone()]), Ok(all.clone()));
        assert_eq!(wanted.among(std::slice::from_ref(&other)), Err(Exit::Unexpected));
        let whole: Wanted = all.parse().unwrap();
        assert_eq!(whole.among(&[other]), Ok(all));
        for bad in ["abc", "ABABABAB", "blake3:", "zzzzzzzz", "in-force"] {
            assert!(bad.parse::<Wanted>().is_err(), "{bad}");
        }
    }
}
