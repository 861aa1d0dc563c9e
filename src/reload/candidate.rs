//! The candidate: policies that were admitted and wait to be put in force or let go.

use std::sync::Arc;

use crate::engine::activations::Activations;
use crate::engine::candidate;
use crate::engine::history::LoadedBundle;
use crate::engine::status::{CandidateReport, Refusal, Revision};
use crate::policy::bundle::Digest;
use crate::reload::clock;
use crate::reload::handle::Files;

/// The candidate: what it says to live requests, and what it is to be put in force.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) held: LoadedBundle,
    pub(super) asked: Arc<candidate::Candidate>,
}

impl Candidate {
    pub(super) fn digest(&self) -> Digest {
        self.held.bundle.digest()
    }

    /// Comparison of its answers to live requests with those of the active revision.
    pub(super) fn report(&self, activations: &Activations, in_force: &Revision) -> CandidateReport {
        let withdrawal = activations.withdrawal(self.held.content).cloned();
        CandidateReport { withdrawal, ..self.asked.report(clock::now(), in_force) }
    }

    pub(super) fn actor(&self) -> &str {
        &self.asked.staging().actor
    }

    /// The no to someone else who did not name it.
    pub(super) fn of_other(&self) -> Refusal {
        let candidate::Staging { at, actor, over: _, sample_per_thousand: _ } = self.asked.staging();
        Refusal::StagedByOther { found: self.digest(), actor: actor.clone(), at: *at }
    }

    /// Its files and policies: as no generation, for it is not in force.
    pub(super) fn files(&self) -> Files {
        Files { bundle: Arc::clone(&self.held.bundle), snapshot: Arc::clone(self.asked.snapshot()) }
    }
}
