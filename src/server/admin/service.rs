//! The methods of `PolicyAdminService`: reads the request, sends the command to the reloader, gives its answer.
//!
//! Who calls, whether they may, deadlines and records are the business of
//! [`crate::server::admin::gate`], which stands around this.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tonic::{Extensions, Request, Response, Status, async_trait};

use crate::api::errors::Failure;
use crate::api::pb;
use crate::api::pb::policy_admin_service_server::PolicyAdminService;
use crate::engine::status::{Refusal, Revisions};
use crate::policy::bundle::Digest;
use crate::reload::handle::{
    Files, Knowing, ReloadCommand, ReloadHandle, Replace, Reply, Staged, Untried, Upload, Withdrawn,
};
use crate::server::admin::failure::AdminFailure;
use crate::server::admin::gate::{Call, Share};
use crate::server::admin::keep::Kept;
use crate::server::admin::request::{Fields, SAMPLE_ALL};
use crate::server::admin::watch::StatusStream;
use crate::server::data::evaluation;
use crate::server::transport::stop::StopSignal;
use crate::server::wire::{bundle, candidate, history, scalars, status};

/// Answers the calls of admins.
#[derive(Debug)]
pub(crate) struct Admins {
    pub(crate) reload: ReloadHandle,
    pub(crate) kept: Kept,
    pub(crate) watchers: Arc<Semaphore>,
    pub(crate) stop: StopSignal,
}

impl Admins {
    /// Asks the one task, and waits for what it says.
    async fn ask<T>(&self, ask: impl FnOnce(Reply<T>) -> ReloadCommand) -> Result<T, AdminFailure> {
        let (reply, answer) = oneshot::channel();
        self.reload.commands.send(ask(reply)).await.map_err(|_| AdminFailure::Stopping)?;
        match answer.await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(refusal)) => Err(AdminFailure::Refused(refusal)),
            Err(_) if self.reload.commands.is_closed() => Err(AdminFailure::Stopping),
            Err(_) => {
                tracing::error!("what an admin asked for was dropped without an answer, this is a bug");
                Err(Failure::Bug.into())
            }
        }
    }
}

/// Notes the digest in force for which a change was refused.
fn noted<T>(call: &Call, done: Result<T, AdminFailure>) -> Result<T, AdminFailure> {
    let found = match &done {
        Err(AdminFailure::Refused(Refusal::OtherInForce { found, .. })) => Some(*found),
        Err(AdminFailure::Refused(Refusal::HeldBack(held))) => Some(held.in_force.digest),
        Ok(_) | Err(_) => None,
    };
    call.notes.subject(|subject| subject.found = found.map(text));
    done
}

/// Data that the gate attached to the call.
fn call(extensions: &Extensions) -> Result<Call, AdminFailure> {
    // The gate stands before every method.
    extensions.get().cloned().ok_or(AdminFailure::Call(Failure::Bug))
}

/// The share of the memory for large calls that the gate gave the call.
fn share(extensions: &Extensions) -> Share {
    extensions.get().cloned().unwrap_or(Share(None))
}

/// The bundle of the files that were sent; `None` where none were. Hashing them is not for a
/// thread that answers callers.
async fn sent(
    files: Option<pb::PolicyFiles>,
    Share(share): Share,
    fields: &mut Fields,
) -> Result<Option<Upload>, AdminFailure> {
    let Some(files) = files else { return Ok(None) };
    match tokio::task::spawn_blocking(move || bundle::bundle(files)).await {
        Ok(Ok(bundle)) => Ok(Some(Upload { bundle, share })),
        Ok(Err(violations)) => {
            fields.add_all(violations);
            Ok(None)
        }
        Err(_panicked) => Err(Failure::Bug.into()),
    }
}

fn text(digest: Digest) -> String {
    digest.to_string()
}

#[async_trait]
impl PolicyAdminService for Admins {
    async fn validate_policy(
        &self,
        request: Request<pb::ValidatePolicyRequest>,
    ) -> Result<Response<pb::ValidatePolicyResponse>, Status> {
        let call = call(request.extensions())?;
        let share = share(request.extensions());
        let pb::ValidatePolicyRequest { files } = request.into_inner();
        let mut fields = Fields::default();
        let bundle = sent(files, share, &mut fields).await?;
        fields.done()?;
        call.notes.subject(|subject| subject.digest = bundle.as_ref().map(|upload| text(upload.bundle.digest())));
        let assessment = self.ask(|reply| ReloadCommand::Validate { bundle, reply }).await?;
        call.notes.subject(|subject| subject.digest = Some(text(assessment.digest)));
        Ok(Response::new(status::assessment(assessment)))
    }

    async fn reload_policy(
        &self,
        request: Request<pb::ReloadPolicyRequest>,
    ) -> Result<Response<pb::ReloadPolicyResponse>, Status> {
        let call = call(request.extensions())?;
        let pb::ReloadPolicyRequest { expected_digest, reason } = request.into_inner();
        let mut fields = Fields::default();
        let expected = fields.digest("expected_digest", &expected_digest);
        let reason = fields.reason(reason);
        call.notes.subject(|subject| {
            subject.expected = expected.map(text);
            subject.reason.clone_from(&reason);
        });
        fields.done()?;
        let requester = call.requester(reason);
        let done = self.ask(|reply| ReloadCommand::Reload { expected, requester, reply }).await;
        let report = noted(&call, done)?;
        call.notes.activated(report.before, report.after, report.generation);
        Ok(Response::new(pb::ReloadPolicyResponse { activation: Some(status::activation(report)) }))
    }

    async fn get_policy_status(
        &self,
        request: Request<pb::GetPolicyStatusRequest>,
    ) -> Result<Response<pb::GetPolicyStatusResponse>, Status> {
        let pb::GetPolicyStatusRequest {} = request.into_inner();
        Ok(Response::new(pb::GetPolicyStatusResponse { status: Some(status::status(&self.reload.shown.now())) }))
    }

    type WatchPolicyStatusStream = StatusStream;

    async fn watch_policy_status(
        &self,
        request: Request<pb::WatchPolicyStatusRequest>,
    ) -> Result<Response<StatusStream>, Status> {
        let call = call(request.extensions())?;
        let pb::WatchPolicyStatusRequest {} = request.into_inner();
        let permit: OwnedSemaphorePermit =
            Arc::clone(&self.watchers).try_acquire_owned().map_err(|_| AdminFailure::TooManyWatchers)?;
        let credentials = Arc::clone(&self.kept.credentials);
        Ok(Response::new(StatusStream::new(self.reload.shown.clone(), &self.stop, call, credentials, permit)))
    }

    async fn list_policy_revisions(
        &self,
        request: Request<pb::ListPolicyRevisionsRequest>,
    ) -> Result<Response<pb::ListPolicyRevisionsResponse>, Status> {
        let call = call(request.extensions())?;
        let pb::ListPolicyRevisionsRequest {} = request.into_inner();
        let caller = call.requester(None).actor;
        let listed = self.ask(|reply| ReloadCommand::Revisions { reply }).await?;
        let origin = listed.origin().map(history::entry);
        let unnoticed = listed.unnoticed_by(&caller, (self.reload.shown.clock)()).map(history::entry);
        let Revisions { kept, activations } = listed;
        let revisions = kept.iter().map(|(kept, withdrawal)| history::revision(kept, withdrawal.as_ref())).collect();
        let activations = activations.iter().map(history::entry).collect();
        Ok(Response::new(pb::ListPolicyRevisionsResponse { revisions, activations, caller, origin, unnoticed }))
    }

    async fn get_policy(
        &self,
        request: Request<pb::GetPolicyRequest>,
    ) -> Result<Response<pb::GetPolicyResponse>, Status> {
        let call = call(request.extensions())?;
        let pb::GetPolicyRequest { digest } = request.into_inner();
        let mut fields = Fields::default();
        let digest = fields.digest("digest", &digest);
        call.notes.subject(|subject| subject.digest = digest.map(text));
        fields.done()?;
        let Files { bundle, snapshot } = self.ask(|reply| ReloadCommand::Files { digest, reply }).await?;
        call.notes.subject(|subject| subject.digest = Some(text(bundle.digest())));
        Ok(Response::new(pb::GetPolicyResponse {
            digest: text(bundle.digest()),
            policies: evaluation::server_info(&snapshot).policies,
            files: Some(bundle::files(&bundle)),
        }))
    }

    async fn rollback_policy(
        &self,
        request: Request<pb::RollbackPolicyRequest>,
    ) -> Result<Response<pb::RollbackPolicyResponse>, Status> {
        let call = call(request.extensions())?;
        let pb::RollbackPolicyRequest { to_digest, expected_digest, reason } = request.into_inner();
        let mut fields = Fields::default();
        let to = fields.digest("to_digest", &to_digest);
        let expected = fields.mandatory_digest("expected_digest", &expected_digest);
        let reason = fields.reason(reason);
        call.notes.subject(|subject| {
            subject.digest = to.map(text);
            subject.expected = expected.map(text);
            subject.reason.clone_from(&reason);
        });
        let expected = fields.done_with(expected)?;
        let requester = call.requester(reason);
        let done = self.ask(|reply| ReloadCommand::Rollback { to, expected, requester, reply }).await;
        let report = noted(&call, done)?;
        call.notes.activated(report.before, report.after, report.generation);
        Ok(Response::new(pb::RollbackPolicyResponse { activation: Some(status::activation(report)) }))
    }

    async fn stage_candidate(
        &self,
        request: Request<pb::StageCandidateRequest>,
    ) -> Result<Response<pb::StageCandidateResponse>, Status> {
        let call = call(request.extensions())?;
        let share = share(request.extensions());
        let pb::StageCandidateRequest { files, sample_per_thousand, reason, replace } = request.into_inner();
        let mut fields = Fields::default();
        let sample = fields.sample("sample_per_thousand", sample_per_thousand);
        let reason = fields.reason(reason);
        let bundle = sent(files, share, &mut fields).await?;
        call.notes.subject(|subject| {
            subject.digest = bundle.as_ref().map(|upload| text(upload.bundle.digest()));
            subject.sample_per_thousand = sample.map(u32::from);
            subject.replace = Some(replace);
            subject.reason.clone_from(&reason);
        });
        fields.done()?;
        let sample_per_thousand = sample.unwrap_or(SAMPLE_ALL);
        let (replace, requester) = (if replace { Replace::Anyones } else { Replace::OwnOnly }, call.requester(reason));
        let staged =
            self.ask(|reply| ReloadCommand::Stage { bundle, sample_per_thousand, replace, requester, reply }).await?;
        let Staged { candidate, changes, warnings, notices } = staged;
        call.notes.subject(|subject| subject.digest = Some(text(candidate.digest)));
        Ok(Response::new(pb::StageCandidateResponse {
            candidate: Some(candidate::report(&candidate)),
            further_changes: scalars::count(changes.further),
            changes: status::changes(changes),
            warnings: status::diagnostics(&warnings),
            notices,
        }))
    }

    async fn promote_candidate(
        &self,
        request: Request<pb::PromoteCandidateRequest>,
    ) -> Result<Response<pb::PromoteCandidateResponse>, Status> {
        let call = call(request.extensions())?;
        let pb::PromoteCandidateRequest { digest, expected_digest, reason, untried, rolled_back } =
            request.into_inner();
        let mut fields = Fields::default();
        let digest = fields.mandatory_digest("digest", &digest);
        let expected = fields.mandatory_digest("expected_digest", &expected_digest);
        let reason = fields.reason(reason);
        call.notes.subject(|subject| {
            subject.digest = digest.map(text);
            subject.expected = expected.map(text);
            subject.reason.clone_from(&reason);
            (subject.untried, subject.rolled_back) = (Some(untried), Some(rolled_back));
        });
        let (digest, expected) = fields.done_with(digest.zip(expected))?;
        let knowing = Knowing {
            untried: if untried { Untried::Allowed } else { Untried::Refused },
            withdrawn: if rolled_back { Withdrawn::Allowed } else { Withdrawn::Refused },
        };
        let requester = call.requester(reason);
        let done = self.ask(|reply| ReloadCommand::Promote { digest, expected, knowing, requester, reply }).await;
        let (report, candidate) = noted(&call, done)?;
        call.notes.activated(report.before, report.after, report.generation);
        Ok(Response::new(pb::PromoteCandidateResponse {
            activation: Some(status::activation(report)),
            candidate: Some(candidate::report(&candidate)),
        }))
    }

    async fn discard_candidate(
        &self,
        request: Request<pb::DiscardCandidateRequest>,
    ) -> Result<Response<pb::DiscardCandidateResponse>, Status> {
        let call = call(request.extensions())?;
        let pb::DiscardCandidateRequest { digest, reason } = request.into_inner();
        let mut fields = Fields::default();
        let digest = fields.digest("digest", &digest);
        let reason = fields.reason(reason);
        call.notes.subject(|subject| {
            subject.digest = digest.map(text);
            subject.reason.clone_from(&reason);
        });
        fields.done()?;
        let discarded =
            self.ask(|reply| ReloadCommand::Discard { digest, requester: call.requester(reason), reply }).await?;
        call.notes.subject(|subject| subject.digest = Some(text(discarded.digest)));
        Ok(Response::new(pb::DiscardCandidateResponse { candidate: Some(candidate::report(&discarded)) }))
    }
}
