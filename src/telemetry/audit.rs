//! Audit records: one event of the log for each call of an admin, with its caller, arguments and result, at a target of
//! its own, so that it can be kept where the rest is not.

use crate::telemetry::counts;

/// The target of audit records, for log filters: `warn,requite::audit=info` keeps them.
pub const TARGET: &str = "requite::audit";

/// A call of the admin service that has ended, or was given up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdminCalled<'a> {
    /// The name in the file of credentials; empty where nobody was recognised.
    pub actor: &'a str,
    /// Kind of the credentials: `token` or `certificate`.
    pub shown_by: &'static str,
    /// Origin of the call: an address, or a user and process.
    pub peer: &'a str,
    /// The name of the method.
    pub method: &'static str,
    /// The arguments of the call that matter.
    pub subject: &'a Subject,
    /// The digest that the call replaced or confirmed; of a call that did neither, the digest in force when it came.
    pub before: &'a str,
    /// The digest that the call put in force or found in force as asked for; `None` where it did neither, or nobody
    /// knows yet. What a colleague put in force meanwhile never stands here.
    pub after: Option<&'a str>,
    /// The status code, as in `FAILED_PRECONDITION`; `CANCELLED` where the caller went away.
    pub code: &'static str,
    /// Treatment of the call: written, or only counted.
    pub mention: Mention,
}

/// The arguments of a call that matter.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Subject {
    /// The digest that was asked for, sent or staged.
    pub digest: Option<String>,
    /// The digest that had to be in force.
    pub expected: Option<String>,
    /// The digest in force for which the call was refused.
    pub found: Option<String>,
    /// The reason that the caller gives.
    pub reason: Option<String>,
    /// Requests of a thousand on which a candidate is evaluated.
    pub sample_per_thousand: Option<u32>,
    /// True if a candidate may replace one that a colleague staged.
    pub replace: Option<bool>,
    /// True if a candidate may be put in force that was evaluated on no request.
    pub untried: Option<bool>,
    /// True if a candidate may be put in force that was rolled back from.
    pub rolled_back: Option<bool>,
    /// The generation that the call made.
    pub generation: Option<u64>,
}

/// Someone reached the admin service without valid credentials.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unauthenticated<'a> {
    /// Origin of the call, as in [`AdminCalled::peer`].
    pub peer: &'a str,
    /// The name of the method, or `connection` where there was no call yet.
    pub method: &'static str,
    /// The fault of the credentials.
    pub cause: &'static str,
    /// Treatment of the event: written, or only counted.
    pub mention: Mention,
}

/// Treatment of an event: written or only counted. A flood must not fill the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mention {
    /// Write it, and how many were left out since the last one.
    Write {
        /// Number of events left out since the last one that was written.
        left_out: u64,
    },
    /// Only count it.
    Count,
}

impl AdminCalled<'_> {
    /// Writes the record, and counts the call.
    pub fn record(&self) {
        let Self { actor, shown_by, peer, method, subject, before, after, code, mention } = self;
        let Subject { digest, expected, found, reason, sample_per_thousand, replace, untried, rolled_back, generation } =
            subject;
        counts::admin_called(method, code);
        let Mention::Write { left_out } = mention else { return };
        tracing::info!(
            target: TARGET,
            actor,
            shown_by,
            peer,
            method,
            digest = digest.as_deref(),
            expected = expected.as_deref(),
            found = found.as_deref(),
            reason = reason.as_deref(),
            sample_per_thousand,
            replace,
            untried,
            rolled_back,
            before,
            after,
            generation,
            code,
            left_out = Some(left_out).filter(|&&left_out| 0 < left_out),
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
