//! `reload`: put in force what the source of a server holds now.

use clap::Args;

use crate::api::json::admin_to_json;
use crate::api::pb;
use crate::cli::admin::{Change, Format, Right, Wanted, expected, status};
use crate::cli::exit::Exit;
use crate::cli::output::{Answer, answer};
use crate::cli::show::{activation, colour};

/// Have a server read its policies again
#[derive(Debug, Args)]
#[command(
    long_about = "Have a server read its policies again and put them in force.\n\n\
        A server does so by itself when a file changes. `reload` asks for it now, waits until it is done, and says what \
        changed, rule by rule. Policies with mistakes change nothing; each mistake is told with its place.\n\n\
        After a promotion or a rollback the source may still hold what it held before. A plain `reload` would undo that change, so it is \
        refused until the source says something new. To undo it all the same, name the digest that is in force now: `--expect`. What was rolled \
        back from is not taken even then: `requite rollback --to` puts it in force by its name.\n\n\
        Needs the right `reload`, and with `--expect` also `read`.",
    after_long_help = "Examples:\n  requite reload\n  requite reload --reason 'CR-1234: fee for late cancellations'\n  \
        requite reload --expect 9fdafd79acd5   # replace this and nothing else\n\n\
        Exit codes:\n  0  what the source holds is in force, whether anything changed or not\n  \
        1  the server cannot be reached, refused, keeps out what the source holds, or something else than expected is in force\n  2  the command line is wrong\n  \
        3  the policies were rejected or cannot be read\n  4  the policies are valid, but a case does not come out as expected"
)]
pub(super) struct Reload {
    /// Replace only this digest, which you saw in force in `requite status`; its first 8 digits will do. Where something else
    /// is in force by now, nothing is done
    #[arg(long, value_name = "DIGEST")]
    expect: Option<Wanted>,
    #[command(flatten)]
    change: Change,
}

impl Reload {
    pub(super) fn run(self) -> Exit {
        self.change.replica.run(Right::Reload, async |client| {
            let mut expected_digest = String::new();
            if let Some(wanted) = &self.expect {
                let in_force = status(client).await?.in_force.unwrap_or_default();
                expected_digest = match expected(Some(wanted), &in_force) {
                    Ok(digest) => digest,
                    Err(exit) => return Ok(exit),
                };
            }
            let reason = self.change.reason.clone();
            let response = client.reload(pb::ReloadPolicyRequest { expected_digest, reason }).await?;
            let text = match self.change.output {
                Format::Json => Answer::Json(admin_to_json(&response, "ReloadPolicyResponse")),
                Format::Text => activation::text(&response.activation.unwrap_or_default(), colour()).into(),
            };
            Ok(answer(text, Exit::Done))
        })
    }
}
