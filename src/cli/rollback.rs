//! `rollback`: put an earlier revision in force again; `revisions`: which ones there are.

use clap::Args;

use crate::cli::admin::{Change, Format, Replica, Right, Wanted, expected};
use crate::cli::exit::Exit;
use crate::cli::output::{Answer, answer, say};
use crate::cli::show::{activation, colour, short, status};
use crate::server::json::admin_to_json;
use crate::server::pb;

/// Put an earlier revision in force again
#[derive(Debug, Args)]
#[command(
    long_about = "Put an earlier revision in force again.\n\n\
        It is a new generation with the content of an old one. What the source of the server holds at that moment stays out \
        until it changes or someone asks for `reload`: mend the source next, or the next restart takes what it holds.\n\n\
        The server goes back only from the digest that was seen just before, which is said first. Needs the rights `read` and `rollback`.",
    after_long_help = "Examples:\n  requite rollback\n  requite rollback --to 9fdafd79acd5 --reason 'refunds too low since noon'\n  \
        requite revisions   # what there is to go back to\n\n\
        Exit codes:\n  0  the earlier revision is in force\n  1  the server cannot be reached, said no, or something else is in \
        force than expected\n  2  the command line is wrong\n  3  the earlier revision may not be put in force any more"
)]
pub(super) struct Rollback {
    /// Where to go back to; its first digits will do. Absent: to what was in force before
    #[arg(long, value_name = "DIGEST")]
    to: Option<Wanted>,
    /// Only if this digest is in force; absent: whichever is seen first
    #[arg(long, value_name = "DIGEST")]
    expect: Option<Wanted>,
    #[command(flatten)]
    change: Change,
}

impl Rollback {
    pub(super) fn run(self) -> Exit {
        self.change.replica.run(Right::Rollback, async |client| {
            let revisions = client.revisions(pb::ListPolicyRevisionsRequest {}).await?.revisions;
            let Some(in_force) = revisions.first() else {
                say("error: the server lists no revision, not even the one in force\n  help: see its log");
                return Ok(Exit::Unexpected);
            };
            let expected_digest = match expected(self.expect.as_ref(), &in_force.digest) {
                Ok(digest) => digest,
                Err(exit) => return Ok(exit),
            };
            let to_digest = match self.target(&revisions) {
                Ok(digest) => digest,
                Err(exit) => return Ok(exit),
            };
            say(&format!(
                "going back from {} (generation {}) to {}",
                short(&expected_digest),
                in_force.generation,
                short(&to_digest)
            ));
            let reason = self.change.reason.clone();
            let response = client.rollback(pb::RollbackPolicyRequest { to_digest, expected_digest, reason }).await?;
            let text = match self.change.output {
                Format::Json => Answer::Json(admin_to_json(&response, "RollbackPolicyResponse")),
                Format::Text => activation::text(&response.activation.unwrap_or_default(), colour()).into(),
            };
            Ok(answer(text, Exit::Done))
        })
    }

    /// What was said, or the revision before. It is sent as seen: what is told is what is done.
    fn target(&self, revisions: &[pb::PolicyRevision]) -> Result<String, Exit> {
        let digests: Vec<String> = revisions.iter().map(|revision| revision.digest.clone()).collect();
        match (&self.to, digests.get(1)) {
            (Some(wanted), _) => wanted.among(&digests),
            (None, Some(before)) => Ok(before.clone()),
            (None, None) => {
                say("error: there is nothing to go back to\n  help: `requite revisions` lists what there is");
                Err(Exit::Unexpected)
            }
        }
    }
}

/// List the revisions that can be gone back to
#[derive(Debug, Args)]
#[command(
    long_about = "List the revisions that can be gone back to, the latest first; the first one is in force.\n\n\
        With `--state-dir` they are those of earlier runs, too. Needs the right `read`.",
    after_long_help = "Examples:\n  requite revisions\n  requite diff 9fdafd79acd5 in-force   # what has changed since then\n\n\
        Exit codes:\n  0  they are listed\n  1  the server cannot be reached or said no\n  2  the command line is wrong"
)]
pub(super) struct Revisions {
    /// How to print them
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
    #[command(flatten)]
    replica: Replica,
}

impl Revisions {
    pub(super) fn run(self) -> Exit {
        self.replica.run(Right::Read, async |client| {
            let response = client.revisions(pb::ListPolicyRevisionsRequest {}).await?;
            let text = match self.output {
                Format::Json => Answer::Json(admin_to_json(&response, "ListPolicyRevisionsResponse")),
                Format::Text => status::revisions(&response.revisions).into(),
            };
            Ok(answer(text, Exit::Done))
        })
    }
}
