//! Commands of admins on a candidate: stage it, promote it, discard it.

use std::sync::Arc;

use crate::engine::candidate;
use crate::engine::status::{ActivationReport, CandidateReport, Failed, Refusal};
use crate::policy::bundle::Digest;
use crate::policy::diff::Changes;
use crate::reload::Reloader;
use crate::reload::candidate::Candidate;
use crate::reload::clock;
use crate::reload::commands::{run_blocking, unreadable};
use crate::reload::handle::{Knowing, Replace, Requester, Staged, Untried, Upload, Withdrawn};
use crate::reload::loader::{LoadContext, Ready, Wants};
use crate::telemetry::labels::{ReloadResult, ReloadTrigger};

impl Reloader {
    /// Takes a candidate in the place of the one before, which may be a colleague's only if they know.
    pub(super) async fn stage(
        &mut self,
        upload: Option<Upload>,
        sample_per_thousand: u16,
        replace: Replace,
        requester: Requester,
    ) -> Result<Staged, Refusal> {
        let Requester { actor, reason } = requester;
        match (&self.state.candidate, replace) {
            (Some(found), Replace::OwnOnly) if found.actor() != actor => return Err(found.of_other()),
            (Some(_), _) | (None, _) => {}
        }
        let (bundle, _share) = match upload {
            Some(Upload { bundle, share }) => (bundle, share),
            None => match self.read(self.config.read_max).await {
                Ok(Ok(bundle)) => (bundle, None),
                Ok(Err(error)) => return Err(unreadable(&error)),
                Err(_) => return Err(Refusal::Bug),
            },
        };
        let known = LoadContext { bad: None, out: Vec::new(), ..self.known(ReloadTrigger::Admin, Wants::Changes) };
        let loader = Arc::clone(&self.loader);
        let built = run_blocking(move || loader.build(bundle, &known)).await.ok_or(Refusal::Bug)?;
        let Ready { held, changes } = built.map_err(|rejection| {
            Refusal::Failed(Arc::new(Failed { at: clock::now(), trigger: ReloadTrigger::Admin, why: rejection.into() }))
        })?;
        let warnings = held.diagnostics();
        let content = held.content;
        let digest = content.digest;
        let replaced = self.state.candidate.as_ref().map(|candidate| self.state.report_of(candidate));
        let before = replaced.as_ref().map(|replaced| replaced.digest.to_string());
        tracing::info!(%digest, actor, reason, sample_per_thousand, before, "candidate staged");
        let over = self.activator.digest();
        let staging = candidate::Staging { at: clock::now(), actor, over, sample_per_thousand };
        let asked = Arc::new(candidate::Candidate::new(Arc::clone(&held.plans), staging));
        let candidate = Candidate { held, asked };
        let report = self.state.report_of(&candidate);
        self.put_up(Some(candidate));
        let notices =
            replaced.map(|replaced| takes_the_place_of(&replaced)).into_iter().chain(self.gone_back_from(content));
        let notices = notices.collect();
        Ok(Staged { candidate: report, changes, warnings, notices })
    }

    /// Puts the candidate in force.
    pub(super) async fn promote(
        &mut self,
        digest: Digest,
        expected: Digest,
        knowing: Knowing,
        requester: &Requester,
    ) -> Result<(ActivationReport, CandidateReport), Refusal> {
        let candidate = self.candidate_meant(digest)?;
        let over = self.activator.current();
        if expected != over.digest {
            return Err(self.other_in_force(Some(expected)));
        }
        let last = self.state.report_of(&candidate);
        let Knowing { untried, withdrawn } = knowing;
        if let (Withdrawn::Refused, Some(withdrawal)) = (withdrawn, &last.withdrawal) {
            let withdrawal = Box::new(withdrawal.clone());
            return Err(Refusal::CandidateWithdrawn { candidate: digest, withdrawal });
        }
        // What is in force already is as tried as anything can be.
        if digest != over.digest && last.compared == 0 && untried == Untried::Refused {
            return Err(Refusal::Untried { candidate: digest, not_comparable: last.not_comparable });
        }
        let current = self.state.history.current();
        let (before, replaced) = (Arc::clone(&current.bundle), current.content);
        let ready = Ready { held: candidate.held, changes: Changes::default() };
        let mut report = if digest == over.digest {
            let mut report = self.nothing_changed(over.digest);
            report.notices.extend(self.in_force_is_named(requester));
            report
        } else {
            self.put_in_force(&over, &ready, ReloadTrigger::Promotion, requester, Vec::new())?
        };
        self.attempted(ReloadTrigger::Promotion, ReloadResult::Applied);
        self.put_up(None);
        self.changed();
        if digest != over.digest {
            self.leave_source_out(ReloadTrigger::Promotion, replaced).await;
        }
        report.notices.extend(self.still_in_the_source());
        report.changes = self.changes_since(before).await;
        Ok((report, last))
    }

    /// Lets the candidate go: the one named, or the asker's own.
    pub(super) fn discard(
        &mut self,
        digest: Option<Digest>,
        requester: &Requester,
    ) -> Result<CandidateReport, Refusal> {
        let candidate = match (digest, &self.state.candidate) {
            (Some(digest), _) => self.candidate_meant(digest)?,
            (None, None) => return Err(Refusal::NoCandidate),
            (None, Some(found)) if found.actor() != requester.actor => return Err(found.of_other()),
            (None, Some(found)) => found.clone(),
        };
        let Requester { actor, reason } = requester;
        tracing::info!(digest = %candidate.digest(), actor, reason, "candidate discarded");
        self.put_up(None);
        Ok(self.state.report_of(&candidate))
    }

    fn candidate_meant(&self, meant: Digest) -> Result<Candidate, Refusal> {
        match &self.state.candidate {
            None => Err(Refusal::OtherCandidate { found: None }),
            Some(found) if found.digest() != meant => Err(Refusal::OtherCandidate { found: Some(found.digest()) }),
            Some(found) => Ok(found.clone()),
        }
    }

    fn put_up(&mut self, candidate: Option<Candidate>) {
        self.activator.stage(candidate.as_ref().map(|candidate| Arc::clone(&candidate.asked)));
        self.state.candidate = candidate;
        self.publish();
    }
}

/// Notice that a candidate replaces another one, whose figures are lost.
fn takes_the_place_of(replaced: &CandidateReport) -> String {
    let CandidateReport { digest, staged_at, actor, compared, different, not_comparable, .. } = replaced;
    format!(
        "it takes the place of the candidate {digest}, staged by `{actor}` at {staged_at}, which is gone with its figures: \
         {compared} requests compared, {different} of them different, {not_comparable} not comparable"
    )
}
