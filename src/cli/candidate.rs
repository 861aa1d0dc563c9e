//! `candidate`: policies tried on live requests before they decide any.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::api::json::admin_to_json;
use crate::api::pb;
use crate::cli::admin::{Change, Format, Replica, Right, Wanted, expected, status};
use crate::cli::check::{exit_of as exit_of_check, say_report};
use crate::cli::exit::Exit;
use crate::cli::output::{Answer, answer, say, say_unreadable};
use crate::cli::show::{activation, candidate, changes, colour, diagnostics, moment, origin, short, visible};
use crate::client::admin::{AdminClient, AdminError, Refused};
use crate::engine::admit::admit;
use crate::policy::bundle::Bundle;
use crate::source::directory;

/// Try policies on live requests before they decide any
#[derive(Debug, Args)]
#[command(
    long_about = "Try policies on live requests before they decide any.\n\n\
        A candidate decides a share of the live requests a second time, beside the policies in force. No answer is changed or \
        made slower by it; where there is no time, it is left out. Its report says how many decisions would be different, by \
        how much money, under which rules and for which reasons.",
    after_long_help = "Examples:\n  requite candidate stage my-policies --sample 10%\n  requite candidate status\n  \
        requite candidate promote --digest 9fdafd79acd5 --reason 'CR-1234'\n  requite candidate discard\n\n\
        Exit codes:\n  0  it is done\n  1  the server cannot be reached, refused, or something else than expected is staged or in \
        force\n  2  the command line is wrong\n  3  the policies were rejected or cannot be read\n  \
        4  the policies are valid, but a case does not come out as expected",
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(super) struct Candidate {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Stage(Stage),
    Status(Report),
    Promote(Promote),
    Discard(Discard),
}

/// Take policies as the candidate
#[derive(Debug, Args)]
#[command(
    long_about = "Take policies as the candidate. Your own that is there is replaced; a colleague's stays, unless you say `--replace`.\n\n\
        They must be good enough to be put in force: mistakes are reported as by `check`. Says what would change of what is in \
        force, rule by rule. Needs the right `reload`.",
    after_long_help = "Examples:\n  requite candidate stage my-policies\n  requite candidate stage my-policies --sample 10%\n  \
        requite candidate stage   # what the server's own source holds, such as after a rollback\n\n\
        Exit codes:\n  0  it is staged\n  1  a colleague's is staged, or the server cannot be reached or refused\n  2  the command line is wrong\n  \
        3  the policies were rejected or cannot be read\n  4  the policies are valid, but a case does not come out as expected"
)]
struct Stage {
    /// The directory of the policies; without it, what the source of the server holds
    dir: Option<PathBuf>,
    /// The share of live requests that it decides as well: `10%`, or `5/1000`
    #[arg(long, value_name = "SHARE", default_value = "100%", value_parser = share)]
    sample: u32,
    /// Take the place of a colleague's candidate
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    change: Change,
}

/// Say how the candidate would have decided so far
#[derive(Debug, Args)]
#[command(
    long_about = "Say how the candidate would have decided so far.\n\n\
        `above` sums the requests for which it would refund more, `below` those for which it would refund less; the difference \
        is what both come to. `not comparable` are requests that it cannot read, such as a reason that it does not know. \
        Needs the right `read`.",
    after_long_help = "Examples:\n  requite candidate status\n  requite candidate status --output json\n\n\
        Exit codes:\n  0  there is a candidate\n  1  there is none, or the server cannot be reached or refused\n  \
        2  the command line is wrong"
)]
struct Report {
    /// Format of the report
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
    #[command(flatten)]
    replica: Replica,
}

/// Put the candidate in force
#[derive(Debug, Args)]
#[command(
    long_about = "Put the candidate in force: the one whose digest you name, so that it is the one that you looked at.\n\n\
        It must have been asked about some request beside what is in force now, unless you say `--untried`. One that was rolled \
        back from, in whatever layout, takes `--rolled-back`. Where something else came into force since it was staged, say over \
        what you put it in force: `--expect`.\n\n\
        What the source of the server holds at that moment stays out until it changes or someone asks for \
        `reload --expect`: bring the source to the same content next, or the next restart takes what it holds. Needs the rights `read` and `reload`.",
    after_long_help = "Examples:\n  requite candidate promote --digest 9fdafd79acd5 --reason 'CR-1234'\n  \
        requite candidate promote --digest 9fdafd79acd5 --untried   # nobody asks for refunds at night\n  \
        requite candidate promote --digest 9fdafd79acd5 --rolled-back   # the incident was another one\n\n\
        Exit codes:\n  0  it is in force\n  1  there is none, another one is staged, it was not tried yet, it was rolled back from, something else is in \
        force than expected or than when it was staged, or the server cannot be reached or refused\n  2  the command line is wrong"
)]
struct Promote {
    /// The candidate meant; its first digits will do
    #[arg(long, value_name = "DIGEST")]
    digest: Wanted,
    /// Put it in force though it was asked about no request yet
    #[arg(long)]
    untried: bool,
    /// Put it in force though it was rolled back from
    #[arg(long)]
    rolled_back: bool,
    /// Replace only this digest, which you saw in force; its first digits will do. Absent: the one that was in force when
    /// the candidate was staged
    #[arg(long, value_name = "DIGEST")]
    expect: Option<Wanted>,
    #[command(flatten)]
    change: Change,
}

/// Let the candidate go
#[derive(Debug, Args)]
#[command(
    long_about = "Let the candidate go. What is in force stays in force. Your own needs no name, a colleague's its digest.\n\nPrints its last report. Needs the right `reload`, and with `--digest` also `read`.",
    after_long_help = "Examples:\n  requite candidate discard\n  requite candidate discard --digest 9fdafd79acd5 --reason 'too dear'\n\n\
        Exit codes:\n  0  it is gone\n  1  there is none, another one or a colleague's is staged, or the server cannot be reached or refused\n  \
        2  the command line is wrong"
)]
struct Discard {
    /// The candidate meant; its first digits will do. Absent: your own
    #[arg(long, value_name = "DIGEST")]
    digest: Option<Wanted>,
    #[command(flatten)]
    change: Change,
}

impl Candidate {
    pub(super) fn run(self) -> Exit {
        match self.verb {
            Verb::Stage(verb) => verb.run(),
            Verb::Status(verb) => verb.run(),
            Verb::Promote(verb) => verb.run(),
            Verb::Discard(verb) => verb.run(),
        }
    }
}

impl Stage {
    fn run(self) -> Exit {
        let bundle = match self.dir.as_deref().map(directory::read).transpose() {
            Ok(bundle) => bundle,
            Err(error) => return say_unreadable(&error),
        };
        self.change.replica.run(Right::Reload, async |client| {
            let request = pb::StageCandidateRequest {
                files: bundle.as_ref().map(files),
                sample_per_thousand: self.sample,
                reason: self.change.reason.clone(),
                replace: self.replace,
            };
            let response = match client.stage(request).await {
                Ok(response) => response,
                Err(error) => return self.rejected(error, bundle.as_ref()),
            };
            let text = match self.change.output {
                Format::Json => Answer::Json(admin_to_json(&response, "StageCandidateResponse")),
                Format::Text => staged(&response).into(),
            };
            Ok(answer(text, Exit::Done))
        })
    }

    /// Mistakes in files that are here are shown in their lines, as by `check`.
    fn rejected(&self, error: AdminError, bundle: Option<&Bundle>) -> Result<Exit, AdminError> {
        let here = bundle.filter(|_| error.refused() == Some(Refused::Rejected));
        let Some((bundle, Err(rejection))) = here.map(|bundle| (bundle, admit(bundle))) else { return Err(error) };
        say_report(&rejection.diagnostics, bundle);
        let dir = self.dir.as_deref().unwrap_or(Path::new("."));
        say(&format!("nothing was staged\n  help: fix the policies; `requite check {}` says the same", dir.display()));
        // What was found here is all of it; an answer has room for some.
        Ok(exit_of_check(&rejection))
    }
}

fn staged(response: &pb::StageCandidateResponse) -> String {
    let pb::StageCandidateResponse { candidate: staged, changes: found, warnings, further_changes, notices } = response;
    let changes = match found.as_slice() {
        [] => "decides as what is in force does: nothing differs but the layout, if anything\n".to_owned(),
        found => changes::text_of_server(found, *further_changes, colour()),
    };
    let warnings = diagnostics::list(warnings);
    let notices: String = notices.iter().map(|notice| format!("note: {}\n", visible(notice))).collect();
    let staged = candidate::staged(staged.as_ref().unwrap_or(&pb::CandidateStatus::default()));
    format!("{changes}{warnings}{notices}{staged}next: `requite candidate status`\n")
}

/// The files of a bundle, to be sent.
fn files(bundle: &Bundle) -> pb::PolicyFiles {
    let file = |file: &crate::policy::bundle::BundleFile| pb::PolicyFile {
        path: file.path.clone(),
        content: file.bytes.clone(),
    };
    pb::PolicyFiles { files: bundle.files().iter().map(file).collect() }
}

impl Report {
    fn run(self) -> Exit {
        self.replica.run(Right::Read, async |client| {
            let Some(found) = status(client).await?.candidate else { return Ok(say_no_candidate()) };
            let text = match self.output {
                Format::Json => Answer::Json(admin_to_json(&found, "CandidateStatus")),
                Format::Text => candidate::text(&found).into(),
            };
            Ok(answer(text, Exit::Done))
        })
    }
}

fn say_no_candidate() -> Exit {
    say("error: there is no candidate\n  help: `requite candidate stage DIR` takes one");
    Exit::Unexpected
}

/// The candidate that is staged, if it is the one meant, and what is in force.
async fn found(
    client: &AdminClient,
    wanted: &Wanted,
) -> Result<Result<(pb::CandidateStatus, pb::PolicyRevision), Exit>, AdminError> {
    let status = status(client).await?;
    let Some(staged) = status.candidate else { return Ok(Err(say_no_candidate())) };
    if wanted.means(&staged.digest) {
        return Ok(Ok((staged, status.in_force.unwrap_or_default())));
    }
    say(&format!(
        "error: another candidate is staged: {}, by `{}` at {}\n  help: nothing was done; see `requite candidate status`",
        visible(&staged.digest),
        visible(&staged.actor),
        moment(staged.staged_at.as_ref().map(|at| at.seconds))
    ));
    Ok(Err(Exit::Unexpected))
}

/// That something else came into force since the candidate was staged, which nobody is to undo unasked.
fn say_conflict(staged: &pb::CandidateStatus, in_force: &pb::PolicyRevision) -> Exit {
    let digest = visible(short(&in_force.digest)).to_owned();
    say(&format!(
        "error: since the candidate was staged over {}, {digest} came into force: {} at {}\n  help: nothing was done; see what it \
         would change now: `requite candidate status`, `requite diff in-force candidate`; then say over what: `--expect {digest}`",
        visible(short(&staged.staged_over_digest)),
        visible(&origin(in_force)),
        moment(in_force.activated_at.as_ref().map(|at| at.seconds))
    ));
    Exit::Unexpected
}

impl Promote {
    fn run(self) -> Exit {
        self.change.replica.run(Right::Reload, async |client| {
            let (staged, in_force) = match found(client, &self.digest).await? {
                Ok(found) => found,
                Err(exit) => return Ok(exit),
            };
            let expected_digest = match expected(self.expect.as_ref(), &in_force) {
                Ok(digest) => digest,
                Err(exit) => return Ok(exit),
            };
            let outdated = !["", &in_force.digest].contains(&staged.staged_over_digest.as_str());
            if self.expect.is_none() && outdated && staged.digest != in_force.digest {
                return Ok(say_conflict(&staged, &in_force));
            }
            let digest = staged.digest;
            if digest == expected_digest {
                say(&format!("{} is in force already: the candidate ends", short(&digest)));
            } else {
                say(&format!("putting {} in force instead of {}", short(&digest), short(&expected_digest)));
            }
            let reason = self.change.reason.clone();
            let (untried, rolled_back) = (self.untried, self.rolled_back);
            let request = pb::PromoteCandidateRequest { digest, expected_digest, reason, untried, rolled_back };
            let response = client.promote(request).await?;
            let text = match self.change.output {
                Format::Json => Answer::Json(admin_to_json(&response, "PromoteCandidateResponse")),
                Format::Text => {
                    let report = response.candidate.as_ref().map(candidate::text).unwrap_or_default();
                    let activation = response.activation.unwrap_or_default();
                    format!("{}\nits last report:\n{report}", activation::text(&activation, colour())).into()
                }
            };
            Ok(answer(text, Exit::Done))
        })
    }
}

impl Discard {
    fn run(self) -> Exit {
        self.change.replica.run(Right::Reload, async |client| {
            let digest = match &self.digest {
                None => String::new(),
                Some(wanted) => match found(client, wanted).await? {
                    Ok((staged, _)) => staged.digest,
                    Err(exit) => return Ok(exit),
                },
            };
            let request = pb::DiscardCandidateRequest { digest, reason: self.change.reason.clone() };
            let response = client.discard(request).await?;
            let text = match self.change.output {
                Format::Json => Answer::Json(admin_to_json(&response, "DiscardCandidateResponse")),
                Format::Text => {
                    let gone = response.candidate.unwrap_or_default();
                    format!("discarded; its last report:\n{}", candidate::text(&gone)).into()
                }
            };
            Ok(answer(text, Exit::Done))
        })
    }
}

/// A share of live requests: `10%`, `0.5%` or `5/1000`, at least one in a thousand.
fn share(text: &str) -> Result<u32, String> {
    let number = |text: &str| text.chars().all(|digit| digit.is_ascii_digit()).then(|| text.parse::<u32>().ok())?;
    let per_thousand = match (text.strip_suffix('%'), text.strip_suffix("/1000")) {
        (Some(percent), _) => match percent.split_once('.') {
            None => number(percent).and_then(|percent| percent.checked_mul(10)),
            Some((whole, tenth)) if tenth.len() == 1 => {
                number(&format!("{whole}{tenth}")).filter(|_| !whole.is_empty())
            }
            Some(_) => None,
        },
        (None, Some(thousandths)) => number(thousandths),
        (None, None) => None,
    };
    per_thousand
        .filter(|share| (1..=1000).contains(share))
        .ok_or_else(|| "expected a share from `0.1%` to `100%`, or from `1/1000` to `1000/1000`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_whole_thousandths() {
        for (text, expected) in [("100%", 1000), ("10%", 100), ("0.5%", 5), ("12.5%", 125), ("1/1000", 1)] {
            assert_eq!(share(text), Ok(expected), "{text}");
        }
        for text in ["0%", "101%", "0.05%", ".5%", "-1%", "10", "1001/1000", "0/1000", "", "%", "1e1%", "+5%"] {
            assert!(share(text).is_err(), "{text}");
        }
    }
}
