//! `rollback`: put an earlier revision in force again; `revisions`: which ones there are.

use clap::Args;

use crate::api::json::admin_to_json;
use crate::api::pb;
use crate::cli::admin::{self, Change, Format, Replica, Right, Wanted, expected, is_in_force};
use crate::cli::exit::Exit;
use crate::cli::output::{Answer, answer, chain, say};
use crate::cli::show::{activation, asked, colour, moment, origin, revisions, short, visible};
use crate::client::admin::{AdminClient, AdminError, Refused};

/// Put an earlier revision in force again
#[derive(Debug, Args)]
#[command(
    long_about = "Put an earlier revision in force again.\n\n\
        It is a new generation with the content of an old one. Without `--to` it is the latest one before that nobody went back \
        from: a second rollback goes further back, never forth to what the first one took out of force. Where everything was gone \
        back from, it names the choices and does nothing.\n\n\
        A colleague may have seen the same alarm. Where a colleague has gone back already, or changed what is in force within the last \
        ten minutes and you changed nothing since, a rollback that names nothing is refused. It says what they did and what to type to go back all \
        the same: `--expect` with what is in force. Programs that go back by themselves say `--expect` or `--to` at once.\n\n\
        What the source of the server holds at that moment stays out \
        until it changes; what was rolled back from also where it comes again, until someone names it. Fix the source next, or the \
        next restart takes what it holds.\n\n\
        The server goes back only from the digest that was seen just before, which is said first. Needs the rights `read` and `rollback`.",
    after_long_help = "Examples:\n  requite rollback\n  requite rollback --to 9fdafd79acd5 --reason 'refunds too low since noon'\n  \
        requite revisions   # what there is to go back to\n\n\
        Exit codes:\n  0  the earlier revision is in force\n  1  the server cannot be reached, refused, something else is in \
        force than expected, a colleague changed it and you named nothing, or there is nothing to go back to that was not rolled back from\n  2  the command line is wrong\n  3  the earlier revision may not be put in force any more"
)]
pub(super) struct Rollback {
    /// Digest to go back to; its first digits are enough. Absent: the latest one before that was not rolled back from
    #[arg(long, value_name = "DIGEST")]
    to: Option<Wanted>,
    /// Go back only from this digest, which you saw in force; its first digits will do. Absent: from whichever is in force,
    /// unless a colleague put it there just now
    #[arg(long, value_name = "DIGEST")]
    expect: Option<Wanted>,
    #[command(flatten)]
    change: Change,
}

impl Rollback {
    pub(super) fn run(self) -> Exit {
        self.change.replica.run(Right::Rollback, async |client| {
            let response = client.revisions(pb::ListPolicyRevisionsRequest {}).await?;
            let pb::ListPolicyRevisionsResponse { revisions, caller, origin, unnoticed, activations: _ } = response;
            let Some(in_force) = revisions.first() else {
                say("error: the server lists no revision, not even the one in force\n  help: see its log");
                return Ok(Exit::Unexpected);
            };
            let expected_digest = match expected(self.expect.as_ref(), in_force) {
                Ok(digest) => digest,
                Err(exit) => return Ok(exit),
            };
            let target = match &self.to {
                Some(wanted) => match wanted.among(&digests(&revisions)) {
                    Ok(digest) => Ok(digest),
                    Err(exit) => return Ok(exit),
                },
                None => latest_before(&revisions),
            };
            let names_nothing = self.to.is_none() && self.expect.is_none();
            if let Some(change) = unnoticed.filter(|_| names_nothing) {
                return Ok(say_unnoticed(&change, in_force, target.ok().as_deref()));
            }
            let to_digest = match target {
                Ok(digest) => digest,
                Err(problem) => {
                    say(&problem);
                    return Ok(Exit::Unexpected);
                }
            };
            let (from, generation) = (short(&expected_digest), in_force.generation);
            if to_digest == expected_digest {
                say(&format!("{from} (generation {generation}) is in force already"));
            } else {
                say(&format!("going back from {from} (generation {generation}) to {}", short(&to_digest)));
                if let Some(change) = origin.filter(|origin| ![String::new(), caller].contains(&origin.actor)) {
                    say(&format!("  {from} is a colleague's change, made at {}", told(&change)));
                }
            }
            let reason = self.change.reason.clone();
            let request = pb::RollbackPolicyRequest { to_digest: to_digest.clone(), expected_digest, reason };
            let response = match client.rollback(request).await {
                Ok(response) => response,
                Err(error) if error.refused() == Some(Refused::OtherInForce) => {
                    return say_conflict(client, &error, &to_digest).await;
                }
                Err(error) => return Err(error),
            };
            let text = match self.change.output {
                Format::Json => Answer::Json(admin_to_json(&response, "RollbackPolicyResponse")),
                Format::Text => activation::text(&response.activation.unwrap_or_default(), colour()).into(),
            };
            Ok(answer(text, Exit::Done))
        })
    }
}

fn digests(revisions: &[pb::PolicyRevision]) -> Vec<String> {
    revisions.iter().map(|revision| revision.digest.clone()).collect()
}

/// The latest revision before that was not rolled back from; `Err`: why there is none. It is sent as seen: what is told
/// is what is done.
fn latest_before(revisions: &[pb::PolicyRevision]) -> Result<String, String> {
    let says = |revision: &pb::PolicyRevision| Some(revision.semantic_digest.clone()).filter(|says| !says.is_empty());
    let in_force = revisions.first().and_then(says);
    // Another layout of what is in force is no way back.
    let is_other = |revision: &&pb::PolicyRevision| in_force.is_none() || says(revision) != in_force;
    let before: Vec<_> = revisions.iter().skip(1).filter(is_other).collect();
    match (before.iter().find(|revision| revision.withdrawal.is_none()), before.as_slice()) {
        (Some(target), _) => Ok(target.digest.clone()),
        (None, []) => {
            Err("error: there is nothing to go back to\n  help: `requite revisions` lists what there is".to_owned())
        }
        (None, withdrawn) => {
            let choice = |revision: &&pb::PolicyRevision| {
                let mark = revision.withdrawal.clone().unwrap_or_default();
                format!("  {}: {}", visible(&revision.digest), visible(&revisions::withdrawal(&mark, &revision.digest)))
            };
            let choices: Vec<String> = withdrawn.iter().map(choice).collect();
            Err(format!(
                "error: all that there is to go back to was rolled back from\n{}\n  help: nothing was done; name one of \
                 them all the same: `requite rollback --to DIGEST`",
                choices.join("\n")
            ))
        }
    }
}

/// That a colleague has just changed what is in force, which may be all that was wanted, and what to type to go back all
/// the same.
fn say_unnoticed(change: &pb::PolicyActivation, in_force: &pb::PolicyRevision, target: Option<&str>) -> Exit {
    let digest = visible(short(&in_force.digest));
    let done = if change.trigger() == pb::ReloadTrigger::Rollback {
        "has gone back already"
    } else {
        "has changed what is in force"
    };
    let now = if change.digest == in_force.digest {
        String::new()
    } else {
        let since = moment(in_force.activated_at.as_ref().map(|at| at.seconds));
        format!("\n  in force now: {digest}, since {since}: {}", visible(&origin(in_force)))
    };
    let further = match target {
        Some(target) => format!(
            "to go back from {digest} to {} all the same, type `requite rollback --expect {digest}`",
            visible(short(target))
        ),
        None => "all else that there is to go back to was rolled back from, too".to_owned(),
    };
    say(&format!(
        "error: `{}` {done}, to {} at {}{now}\n  help: nothing was done; {further}; to go elsewhere, name one of \
         `requite revisions`: `requite rollback --to DIGEST`",
        visible(&change.actor),
        visible(short(&change.digest)),
        told(change)
    ));
    Exit::Unexpected
}

/// That someone was faster: often with the same rollback, which is then not to be made twice.
async fn say_conflict(client: &AdminClient, error: &AdminError, to: &str) -> Result<Exit, AdminError> {
    let in_force = admin::status(client).await?.in_force.unwrap_or_default();
    let help = if in_force.digest == to {
        "what you wanted to go back to is in force already: there is nothing more to do"
    } else {
        "nothing was done; look at what is in force now, then decide again"
    };
    say(&format!("error: {}\n  help: {help}\n  in force now: {}", visible(&chain(error)), is_in_force(&in_force)));
    Ok(Exit::Unexpected)
}

/// Time at which something came into force, its trigger, its actor and the reason.
fn told(change: &pb::PolicyActivation) -> String {
    let at = moment(change.activated_at.as_ref().map(|at| at.seconds));
    format!("{at}: {}", visible(&asked(change.trigger(), &change.actor, &change.reason)))
}

/// List the revisions that can be gone back to
#[derive(Debug, Args)]
#[command(
    long_about = "List the revisions that can be gone back to, the latest first; the first one is in force.\n\n\
        Below them stands the history of activations: what came into force, the latest first, by whom, and why. With `--state-dir` they are those of earlier runs, too. Needs the right `read`.",
    after_long_help = "Examples:\n  requite revisions\n  requite diff 9fdafd79acd5 in-force   # what has changed since then\n\n\
        Exit codes:\n  0  they are listed\n  1  the server cannot be reached or refused\n  2  the command line is wrong"
)]
pub(super) struct Revisions {
    /// Format of the list
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
                Format::Text => revisions::revisions(&response).into(),
            };
            Ok(answer(text, Exit::Done))
        })
    }
}
