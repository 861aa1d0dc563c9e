//! Who asked for what as an admin, and what came of it: one event of the log for each call, at a
//! target of its own, so that it can be kept where the rest is not.

use crate::telemetry::counts;

/// The target of audit records, for log filters: `warn,requite::audit=info` keeps them.
pub const TARGET: &str = "requite::audit";

/// A call of the admin service that has ended, or was given up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdminCalled<'a> {
    /// The name in the file of credentials; empty where nobody was recognised.
    pub actor: &'a str,
    /// How that was shown: `token`, `certificate`; `none`.
    pub shown_by: &'static str,
    /// Where the call came from: an address, or a user and process.
    pub peer: &'a str,
    /// The name of the method.
    pub method: &'static str,
    /// What it was about.
    pub subject: &'a Subject,
    /// The digest in force when the call came.
    pub before: &'a str,
    /// The digest in force when it ended; `None` where it was given up and nobody knows.
    pub after: Option<&'a str>,
    /// The status code, as in `FAILED_PRECONDITION`; `CANCELLED` where the caller went away.
    pub code: &'static str,
}

/// What a call was about: the arguments that matter.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Subject {
    /// The digest that was asked for, sent or staged.
    pub digest: Option<String>,
    /// The digest that had to be in force.
    pub expected: Option<String>,
    /// Why, as the caller says.
    pub reason: Option<String>,
    /// How many of a thousand requests a candidate is asked about.
    pub sample_per_thousand: Option<u32>,
    /// Whether a candidate may take the place of a colleague's.
    pub replace: Option<bool>,
    /// Whether a candidate may be put in force that was asked about nothing.
    pub untried: Option<bool>,
    /// Whether a candidate may be put in force that was rolled back from.
    pub rolled_back: Option<bool>,
    /// The generation that the call made.
    pub generation: Option<u64>,
}

/// Someone reached the admin service without valid credentials.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unauthenticated<'a> {
    /// Where from.
    pub peer: &'a str,
    /// What was called, or `connection` where it did not come to a call.
    pub method: &'static str,
    /// What was wrong.
    pub cause: &'static str,
    /// What becomes of the event.
    pub mention: Mention,
}

/// Whether something is written into the log. A flood must not fill it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mention {
    /// Write it, and how many were left out since the last one.
    Write {
        /// How many.
        left_out: u64,
    },
    /// Only count it.
    Count,
}

impl AdminCalled<'_> {
    /// Writes the record, and counts the call.
    pub fn record(&self) {
        let Self { actor, shown_by, peer, method, subject, before, after, code } = self;
        let Subject { digest, expected, reason, sample_per_thousand, replace, untried, rolled_back, generation } =
            subject;
        counts::admin_called(method, code);
        tracing::info!(
            target: TARGET,
            actor,
            shown_by,
            peer,
            method,
            digest = digest.as_deref(),
            expected = expected.as_deref(),
            reason = reason.as_deref(),
            sample_per_thousand,
            replace,
            untried,
            rolled_back,
            before,
            after,
            generation,
            code,
            "admin call"
        );
    }
}

impl Unauthenticated<'_> {
    /// Counts it, and writes it where it is to be mentioned.
    pub fn record(self) {
        let Self { peer, method, cause, mention } = self;
        counts::admin_unauthenticated(cause);
        match mention {
            Mention::Write { left_out } => tracing::warn!(
                target: TARGET,
                peer,
                method,
                cause,
                left_out,
                code = "UNAUTHENTICATED",
                "admin call without valid credentials"
            ),
            Mention::Count => {}
        }
    }
}
