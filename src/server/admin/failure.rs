//! Calls of admins that end without an answer: each with its standard code and its details.

use std::collections::HashMap;
use std::time::Duration;

use prost::Message as _;
use prost_types::Any;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::api::errors::{ERROR_DOMAIN, Failure, clip};
use crate::api::pb;
use crate::engine::activations::{Activated, Withdrawal};
use crate::engine::status::{Failed, HeldBack, Refusal, Revision, WhyFailed};
use crate::policy::bundle::Digest;
use crate::server::admin::credentials::{Right, Unrecognised};
use crate::server::admin::limits::REJECTION_BYTES_MAX;
use crate::server::wire;

/// Failure that ends a call of an admin without an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum AdminFailure {
    /// A failure that any call can have.
    Call(Failure),
    /// Nobody was recognised.
    Unauthenticated(Unrecognised),
    /// The right is missing.
    NotPermitted {
        /// The right.
        right: Right,
    },
    /// It was not done.
    Refused(Refusal),
    /// The server stops.
    Stopping,
    /// There are as many watchers as there may be.
    TooManyWatchers,
}

/// When a watcher that found no room may come again.
const WATCH_RETRY: Duration = Duration::from_secs(5);

impl From<Failure> for AdminFailure {
    fn from(failure: Failure) -> Self {
        Self::Call(failure)
    }
}

impl From<AdminFailure> for Status {
    fn from(failure: AdminFailure) -> Self {
        failure.status()
    }
}

impl AdminFailure {
    /// The status that the caller gets.
    pub(crate) fn status(&self) -> Status {
        match self {
            Self::Call(failure) => failure.status(),
            Self::Unauthenticated(cause) => Status::new(Code::Unauthenticated, cause.told()),
            Self::NotPermitted { right } => {
                let right = right.as_str();
                let message = format!("the right `{right}` is missing");
                with_info(Code::PermissionDenied, message, "RIGHT_MISSING", &[("right", right.to_owned())])
            }
            Self::Refused(refusal) => refused(refusal),
            Self::Stopping => Status::new(Code::Unavailable, "the server is stopping"),
            Self::TooManyWatchers => Status::with_error_details(
                Code::ResourceExhausted,
                "as many watch as may: try again later, or ask for the status",
                ErrorDetails::with_retry_info(Some(WATCH_RETRY)),
            ),
        }
    }
}

fn refused(refusal: &Refusal) -> Status {
    match refusal {
        Refusal::OtherInForce { expected, found, origin } => other_in_force(*expected, *found, origin.as_deref()),
        Refusal::OtherCandidate { found: Some(found) } => with_info(
            Code::Aborted,
            format!("another candidate is staged: {found}"),
            "CANDIDATE_DIGEST_MISMATCH",
            &[("found", found.to_string())],
        ),
        Refusal::OtherCandidate { found: None } | Refusal::NoCandidate => {
            with_info(Code::NotFound, "no candidate is staged".to_owned(), "CANDIDATE_NOT_FOUND", &[])
        }
        Refusal::StagedByOther { found, actor, at } => with_info(
            Code::Aborted,
            format!(
                "`{}` staged the candidate {found} at {at}: nothing was done; `replace` takes its place, and its digest lets it go",
                clip(actor)
            ),
            "CANDIDATE_STAGED",
            &[("found", found.to_string()), ("actor", clip(actor)), ("staged_at", at.to_string())],
        ),
        Refusal::Untried { candidate, not_comparable } => with_info(
            Code::FailedPrecondition,
            format!(
                "{candidate} was asked about no request yet beside what is in force that both could decide ({not_comparable} \
                 were not comparable): wait for some, or say `untried`"
            ),
            "CANDIDATE_UNTRIED",
            &[("digest", candidate.to_string()), ("not_comparable", not_comparable.to_string())],
        ),
        Refusal::CandidateWithdrawn { candidate, withdrawal } => with_info(
            Code::FailedPrecondition,
            format!(
                "{candidate} {}: {}; say `rolled_back` to put it in force all the same",
                withdrawal.of(*candidate),
                clip(&withdrawal.told())
            ),
            "CANDIDATE_WITHDRAWN",
            &[("digest", candidate.to_string()), ("withdrawn", withdrawal.digest.to_string())],
        ),
        Refusal::AllWithdrawn { choices } => all_withdrawn(choices),
        Refusal::HeldBack(held) => held_back(held),
        Refusal::NoRevision { wanted: Some(wanted) } => with_info(
            Code::NotFound,
            format!("there is no revision {wanted} here: see ListPolicyRevisions"),
            "POLICY_REVISION_NOT_FOUND",
            &[("digest", wanted.to_string())],
        ),
        Refusal::NoRevision { wanted: None } => {
            with_info(Code::NotFound, "there is no revision to go back to".to_owned(), "POLICY_REVISION_NOT_FOUND", &[])
        }
        Refusal::Failed(failed) => failed_status(failed),
        Refusal::NoBundle(problem) => Failure::field("files", problem.clone()).status(),
        Refusal::Bug => Failure::Bug.status(),
    }
}

fn other_in_force(expected: Digest, found: Digest, origin: Option<&Activated>) -> Status {
    let whose = origin.map(|origin| format!(" ({})", clip(&origin.told()))).unwrap_or_default();
    let message = format!(
        "you expected {expected} to be in force, but {found} is{whose}. Nothing was done. Look at what is in force now; if \
         you still want the change, ask again and expect that"
    );
    let mut facts = vec![("expected", expected.to_string()), ("found", found.to_string())];
    if let Some(Activated { trigger, actor, at, .. }) = origin {
        let (trigger, at) = (trigger.as_str().to_owned(), at.to_string());
        facts.extend([("trigger", trigger), ("actor", clip(actor)), ("activated_at", at)]);
    }
    with_info(Code::Aborted, message, "POLICY_DIGEST_MISMATCH", &facts)
}

/// Revisions that the message of a no names; statuses travel in headers.
const CHOICES_TOLD_MAX: usize = 3;

/// Digests in the details of a no.
const CHOICES_MAX: usize = 16;

fn all_withdrawn(choices: &[Withdrawal]) -> Status {
    let told = |choice: &Withdrawal| format!("{} ({})", choice.digest, clip(&choice.told()));
    let first: Vec<String> = choices.iter().take(CHOICES_TOLD_MAX).map(told).collect();
    let further = match choices.len().saturating_sub(CHOICES_TOLD_MAX) {
        0 => String::new(),
        further => format!("; and {further} more"),
    };
    let digests: Vec<String> = choices.iter().take(CHOICES_MAX).map(|choice| choice.digest.to_string()).collect();
    with_info(
        Code::FailedPrecondition,
        format!("all that there is to go back to was rolled back from, name one of it: {}{further}", first.join("; ")),
        "POLICY_REVISIONS_WITHDRAWN",
        &[("choices", digests.join(","))],
    )
}

fn held_back(held: &HeldBack) -> Status {
    let HeldBack { source, withdrawal, in_force } = held;
    let Revision { digest, trigger, actor, reason, activated_at, .. } = in_force;
    let message = match withdrawal {
        Some(withdrawal) => format!(
            "the source holds {source}, which {}: {}; a rollback or a promotion that names it puts it in force",
            withdrawal.of(*source),
            clip(&withdrawal.told())
        ),
        None => {
            let who = if actor.is_empty() { "nobody in particular".to_owned() } else { format!("`{}`", clip(actor)) };
            let why = if reason.is_empty() { String::new() } else { format!(", because: {}", clip(reason)) };
            format!(
                "the source still holds {source}, and {digest} was put in force instead (by {who}, {}, at \
                 {activated_at}{why}): `expected_digest` replaces it all the same",
                trigger.as_str()
            )
        }
    };
    let why = if withdrawal.is_some() { "withdrawn" } else { "overridden" };
    let facts = [("source", source.to_string()), ("found", digest.to_string()), ("hold", why.to_owned())];
    with_info(Code::FailedPrecondition, message, "POLICY_SOURCE_HELD_BACK", &facts)
}

/// The rejection goes into the details as far as it has room there; the status of the replica has
/// all of it.
fn failed_status(failed: &Failed) -> Status {
    let (reason, message, facts) = match &failed.why {
        WhyFailed::Unreadable(problems) => (
            "POLICY_SOURCE_UNREADABLE",
            format!("the policies cannot be read: {}", clip(problems.first().map_or("", String::as_str))),
            vec![("problems", problems.len().to_string())],
        ),
        WhyFailed::Rejected { digest, diagnostics, cases_passed: _ } => {
            let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity.is_error()).count();
            let first = diagnostics.iter().find(|diagnostic| diagnostic.severity.is_error());
            let first = first.map(|first| clip(&first.to_string())).unwrap_or_default();
            let message = match errors {
                0 | 1 => format!("the policies may not be put in force: {first}"),
                _ => format!("the policies may not be put in force: {first} (and {} more errors)", errors - 1),
            };
            ("POLICY_REJECTED", message, vec![("digest", digest.to_string()), ("errors", errors.to_string())])
        }
    };
    let rejection = clipped(wire::status::rejection(failed));
    let details =
        vec![any("google.rpc.ErrorInfo", &error_info(reason, &facts)), any("requite.v1.PolicyRejection", &rejection)];
    let status = tonic_types::pb::Status { code: Code::FailedPrecondition as i32, message: message.clone(), details };
    Status::with_details(Code::FailedPrecondition, message, status.encode_to_vec().into())
}

/// A rejection as far as a status has room for it: errors come before warnings, and what did not
/// fit is counted.
fn clipped(rejection: pb::PolicyRejection) -> pb::PolicyRejection {
    let pb::PolicyRejection {
        digest,
        rejected_at,
        trigger,
        diagnostics,
        read_problems,
        cases_passed,
        further_diagnostics: _,
    } = rejection;
    let mut room = REJECTION_BYTES_MAX;
    let mut fits = |bytes: usize| {
        let left = room.checked_sub(bytes);
        room = left.unwrap_or(0);
        left.is_some()
    };
    let read_problems: Vec<String> =
        read_problems.iter().map(|problem| clip(problem)).take_while(|problem| fits(problem.len() + 4)).collect();
    let all = diagnostics.len();
    let warning = i32::from(pb::DiagnosticSeverity::Warning);
    let (errors, warnings): (Vec<_>, Vec<_>) =
        diagnostics.into_iter().partition(|diagnostic| diagnostic.severity != warning);
    let short = |diagnostic: pb::PolicyDiagnostic| pb::PolicyDiagnostic {
        message: clip(&diagnostic.message),
        help: clip(&diagnostic.help),
        file: clip(&diagnostic.file),
        ..diagnostic
    };
    let diagnostics: Vec<_> = errors
        .into_iter()
        .chain(warnings)
        .map(short)
        .take_while(|diagnostic| fits(diagnostic.encoded_len() + 4))
        .collect();
    let further = all - diagnostics.len();
    pb::PolicyRejection {
        digest,
        rejected_at,
        trigger,
        diagnostics,
        read_problems,
        cases_passed,
        further_diagnostics: u32::try_from(further).unwrap_or(u32::MAX),
    }
}

fn error_info(reason: &str, facts: &[(&str, String)]) -> tonic_types::pb::ErrorInfo {
    tonic_types::pb::ErrorInfo {
        reason: reason.to_owned(),
        domain: ERROR_DOMAIN.to_owned(),
        metadata: facts.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
    }
}

fn with_info(code: Code, message: String, reason: &str, facts: &[(&str, String)]) -> Status {
    let metadata: HashMap<_, _> = facts.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Status::with_error_details(code, message, ErrorDetails::with_error_info(reason, ERROR_DOMAIN, metadata))
}

fn any(name: &str, message: &impl prost::Message) -> Any {
    Any { type_url: format!("type.googleapis.com/{name}"), value: message.encode_to_vec() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::time::Timestamp;
    use crate::policy::bundle::{Bundle, BundleFile};
    use crate::policy::diagnostic::{Diagnostic, Severity, SourceLocation};
    use crate::telemetry::labels::ReloadTrigger;

    fn rejected(errors: usize, text: &str) -> Refusal {
        let files = vec![BundleFile { path: "a".into(), bytes: Vec::new() }];
        let diagnostic = |severity| Diagnostic {
            severity,
            code: "some-code",
            message: text.to_owned(),
            place: Some(SourceLocation { file: "a.policy.yaml".into(), line: 3, column: 5, start: 0, end: 0 }),
            help: Some(text.to_owned()),
        };
        let warning = diagnostic(Severity::Warning);
        let diagnostics = std::iter::once(warning).chain((0..errors).map(|_| diagnostic(Severity::Error))).collect();
        Refusal::Failed(Arc::new(Failed {
            at: Timestamp::from_unix(1, 0).unwrap(),
            trigger: ReloadTrigger::Admin,
            why: WhyFailed::Rejected { digest: Bundle::new(files).unwrap().digest(), diagnostics, cases_passed: 2 },
        }))
    }

    fn rejection_in(status: &Status) -> pb::PolicyRejection {
        let details = tonic_types::pb::Status::decode(status.details()).unwrap();
        let any = details.details.iter().find(|any| any.type_url.ends_with("/requite.v1.PolicyRejection")).unwrap();
        pb::PolicyRejection::decode(any.value.as_slice()).unwrap()
    }

    #[test]
    fn a_rejection_says_everything_that_has_room() {
        let status = AdminFailure::Refused(rejected(2, "wrong")).status();
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(status.get_error_details().error_info().unwrap().reason, "POLICY_REJECTED");
        let rejection = rejection_in(&status);
        assert_eq!((rejection.diagnostics.len(), rejection.further_diagnostics, rejection.cases_passed), (3, 0, 2));
        assert_eq!(rejection.diagnostics[0].severity, pb::DiagnosticSeverity::Error as i32);
        assert_eq!(rejection.diagnostics[2].severity, pb::DiagnosticSeverity::Warning as i32);
    }

    #[test]
    fn a_huge_rejection_stays_within_what_clients_accept_as_headers() {
        let status = AdminFailure::Refused(rejected(9_999, &"界".repeat(999))).status();
        let headers: usize = status
            .clone()
            .into_http::<()>()
            .headers()
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 32)
            .sum();
        assert!(headers < 8 * 1024, "{headers} bytes of headers");
        let rejection = rejection_in(&status);
        assert!(!rejection.diagnostics.is_empty());
        assert_eq!(rejection.diagnostics.len() + rejection.further_diagnostics as usize, 10_000);
    }
}
