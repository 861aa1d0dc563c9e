//! Revisions, the marks of those that were rolled back from, and the history of activations, as messages.

use crate::api::pb;
use crate::engine::activations::{Activated, PolicyVersion, Withdrawal};
use crate::engine::status::{KnownGood, Revision};
use crate::server::wire::scalars::{count, moment};
use crate::telemetry::labels::ReloadTrigger;

/// The message of a revision.
pub(crate) fn revision(revision: &Revision, withdrawal: Option<&Withdrawal>) -> pb::PolicyRevision {
    let Revision { digest, semantic, generation, activated_at, trigger, actor, reason, known_good } = revision;
    pb::PolicyRevision {
        digest: digest.to_string(),
        semantic_digest: semantic.map(|semantic| semantic.to_string()).unwrap_or_default(),
        generation: *generation,
        activated_at: Some(moment(*activated_at)),
        trigger: self::trigger(*trigger).into(),
        actor: actor.clone(),
        known_good: match known_good {
            KnownGood::Yes => true,
            KnownGood::NotYet => false,
        },
        reason: reason.clone(),
        withdrawal: withdrawal.map(self::withdrawal),
    }
}

/// The message of a mark.
pub(crate) fn withdrawal(withdrawal: &Withdrawal) -> pb::PolicyWithdrawal {
    let Withdrawal { digest, semantic: _, at, actor, reason } = withdrawal;
    pb::PolicyWithdrawal {
        withdrawn_at: Some(moment(*at)),
        actor: actor.clone(),
        reason: reason.clone(),
        digest: digest.to_string(),
    }
}

/// The message of an entry of the history.
pub(crate) fn entry(entry: &Activated) -> pb::PolicyActivation {
    let Activated {
        number, generation, digest, before, policies, further_policies, trigger, actor, reason, at, ..
    } = entry;
    let version = |PolicyVersion { id, version }: &PolicyVersion| pb::PolicyVersion {
        policy_id: id.clone(),
        version: version.clone(),
    };
    pb::PolicyActivation {
        number: *number,
        generation: *generation,
        digest: digest.to_string(),
        before_digest: before.map(|before| before.to_string()).unwrap_or_default(),
        policies: policies.iter().map(version).collect(),
        further_policies: count(*further_policies),
        trigger: self::trigger(*trigger).into(),
        actor: actor.clone(),
        reason: reason.clone(),
        activated_at: Some(moment(*at)),
    }
}

/// The message of what asked for a reload.
pub(crate) const fn trigger(trigger: ReloadTrigger) -> pb::ReloadTrigger {
    match trigger {
        ReloadTrigger::Start => pb::ReloadTrigger::Start,
        ReloadTrigger::Poll => pb::ReloadTrigger::Poll,
        ReloadTrigger::FileChange => pb::ReloadTrigger::FileChange,
        ReloadTrigger::Signal => pb::ReloadTrigger::Signal,
        ReloadTrigger::Admin => pb::ReloadTrigger::Admin,
        ReloadTrigger::Rollback => pb::ReloadTrigger::Rollback,
        ReloadTrigger::Promotion => pb::ReloadTrigger::Promotion,
    }
}
