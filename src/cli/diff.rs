//! `diff`: what is different between two bundles, rule by rule.

use std::path::Path;

use clap::Args;

use crate::api::json::admin_to_json;
use crate::api::pb;
use crate::cli::admin::{Format, Replica, Right, Wanted, status};
use crate::cli::exit::Exit;
use crate::cli::output::{Answer, answer, say, say_unreadable};
use crate::cli::show::{changes, colour};
use crate::client::admin::{AdminClient, AdminError};
use crate::domain::limits::FILE_BYTES_MAX;
use crate::policy::bundle::{Bundle, BundleError, BundleFile};
use crate::policy::diff::{Change, diff};
use crate::policy::load::role;
use crate::source::directory;

/// Say what is different between two bundles, rule by rule
#[derive(Debug, Args)]
#[command(
    long_about = "Say what is different between two bundles, rule by rule, in the words of their authors.\n\n\
        A and B are directories of policies, single files, or revisions of a server: `in-force`, `candidate`, or a digest. \
        What exists as a path is a path; write `./candidate` for a directory of that name that is not there yet. The server is \
        asked only for revisions, and needs the right `read` then.\n\n\
        Rules are told by their ids, facts and other names by theirs, whatever file they are in. Comments, spaces, quotes, the \
        order of keys and the names of policy files are no difference; where nothing is told, both decide alike. A rule that \
        moved is told with its neighbours: the first rule that matches decides.",
    after_long_help = "Examples:\n  requite diff policies/standard my-policies\n  requite diff in-force my-policies   # what a reload would change\n  \
        requite diff in-force candidate --addr 127.0.0.1:50052\n  requite diff 9fdafd79acd5 in-force --output json\n\n\
        Exit codes:\n  0  nothing is different\n  1  something is\n  2  the command line is wrong\n  \
        3  A or B cannot be read, or the server cannot be reached or refused"
)]
pub(super) struct Diff {
    /// Before: a path, `in-force`, `candidate` or a digest
    a: String,
    /// After: a path, `in-force`, `candidate` or a digest
    b: String,
    /// Format of the differences
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
    #[command(flatten)]
    replica: Replica,
}

/// One of the two sides.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Side {
    Here(Bundle),
    InForce,
    Candidate,
    Revision(Wanted),
}

impl Diff {
    pub(super) fn run(self) -> Exit {
        let (a, b) = match side(&self.a).and_then(|a| Ok((a, side(&self.b)?))) {
            Ok(sides) => sides,
            Err(exit) => return exit,
        };
        match (a, b) {
            (Side::Here(a), Side::Here(b)) => self.tell(&a, &b),
            (a, b) => {
                let sides = self.replica.connected(Right::Read, async |client| {
                    let (a, b) = (fetched(client, a).await?, fetched(client, b).await?);
                    Ok(a.and_then(|a| Ok((a, b?))))
                });
                match sides.and_then(|sides| sides) {
                    Ok((a, b)) => self.tell(&a, &b),
                    Err(Exit::Usage) => Exit::Usage,
                    Err(Exit::Done | Exit::Unexpected | Exit::PolicyInvalid | Exit::CasesFailed) => Exit::PolicyInvalid,
                }
            }
        }
    }

    fn tell(&self, a: &Bundle, b: &Bundle) -> Exit {
        let (a, b) = alike_named(a, b);
        let found = diff(&a, &b);
        let exit = if found.is_empty() { Exit::Done } else { Exit::Unexpected };
        let text = match self.output {
            Format::Json => Answer::Json(json(&found, &a, &b)),
            Format::Text if !found.is_empty() => changes::text(&found, colour()).into(),
            Format::Text if a.digest() == b.digest() => "the same, byte by byte".into(),
            Format::Text => "nothing differs but the layout: comments, spaces, quotes, the order of keys".into(),
        };
        answer(text, exit)
    }
}

/// A side as written on the command line.
fn side(text: &str) -> Result<Side, Exit> {
    let path = Path::new(text);
    if path.is_dir() {
        return directory::read(path).map(Side::Here).map_err(|error| say_unreadable(&error));
    }
    if path.exists() {
        return file(path).map(Side::Here);
    }
    match (text, text.parse()) {
        ("in-force", _) => Ok(Side::InForce),
        ("candidate", _) => Ok(Side::Candidate),
        (_, Ok(wanted)) => Ok(Side::Revision(wanted)),
        // What looks like a path is one that is missing.
        (_, Err(_)) => directory::read(path).map(Side::Here).map_err(|error| {
            let exit = say_unreadable(&error);
            say("  help: or write `in-force`, `candidate` or a digest for what a server has");
            exit
        }),
    }
}

/// A bundle of one file, in the folder that says what it is.
fn file(path: &Path) -> Result<Bundle, Exit> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        say(&format!("error: cannot read `{}`: {error}", path.display()));
        return Err(Exit::PolicyInvalid);
    }
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = std::path::absolute(path).ok().and_then(|path| path.parent().map(name)).unwrap_or_default();
    let path = match folder.as_str() {
        "calendars" | "cases" => format!("{folder}/{}", name(path)),
        _ => name(path),
    };
    Bundle::new(vec![BundleFile { path, bytes }]).map_err(|error| {
        say(&format!("error: {error}"));
        Exit::PolicyInvalid
    })
}

/// Two single files are meant to be compared with each other, whatever they are called.
fn alike_named(a: &Bundle, b: &Bundle) -> (Bundle, Bundle) {
    let renamed = match (a.files(), b.files()) {
        ([old], [new]) if role(&old.path) == role(&new.path) => {
            Bundle::new(vec![BundleFile { path: new.path.clone(), bytes: old.bytes.clone() }]).ok()
        }
        _ => None,
    };
    (renamed.unwrap_or_else(|| a.clone()), b.clone())
}

/// A side as a bundle; where the server has none, everything has been said.
async fn fetched(client: &AdminClient, side: Side) -> Result<Result<Bundle, Exit>, AdminError> {
    let digest = match side {
        Side::Here(bundle) => return Ok(Ok(bundle)),
        Side::InForce => String::new(),
        Side::Candidate => match status(client).await?.candidate {
            Some(candidate) => candidate.digest,
            None => {
                say("error: there is no candidate\n  help: `requite candidate stage DIR` takes one");
                return Ok(Err(Exit::Unexpected));
            }
        },
        Side::Revision(wanted) => match wanted.among(&known(client).await?) {
            Ok(digest) => digest,
            Err(exit) => return Ok(Err(exit)),
        },
    };
    let response = client.policy(pb::GetPolicyRequest { digest }).await?;
    let files = response.files.unwrap_or_default().files.into_iter();
    let files = files.map(|pb::PolicyFile { path, content }| BundleFile { path, bytes: content }).collect();
    Ok(Bundle::new(files).map_err(|error: BundleError| {
        say(&format!("error: {} sent no bundle: {error}\n  help: see its log", client.addr()));
        Exit::Unexpected
    }))
}

/// The digests that a server has files of.
async fn known(client: &AdminClient) -> Result<Vec<String>, AdminError> {
    let revisions = client.revisions(pb::ListPolicyRevisionsRequest {}).await?.revisions;
    let candidate = status(client).await?.candidate;
    Ok(revisions.into_iter().map(|revision| revision.digest).chain(candidate.map(|it| it.digest)).collect())
}

/// The differences as a server would tell them, with what was compared with what.
fn json(found: &[Change], a: &Bundle, b: &Bundle) -> String {
    // A reload from the one to the other would say the same, as far as its answer has room.
    let activation = pb::Activation {
        before_digest: a.digest().to_string(),
        after_digest: b.digest().to_string(),
        changes: changes::to_messages(found),
        ..pb::Activation::default()
    };
    admin_to_json(&activation, "Activation")
}
