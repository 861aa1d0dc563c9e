//! Everything in force at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::decision::version::{begins, governing};
use crate::domain::request::Request;
use crate::engine::admit::Admission;
use crate::plan::Plan;
use crate::policy::bundle::Digest;
use crate::telemetry::sharded::ShardedCounter;

/// Everything in force at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// Our counter of snapshots: larger is later, on this replica.
    pub generation: u64,
    /// The content identity of the bundle.
    pub digest: Digest,
    plans: Arc<Plans>,
    /// Claims decided by it.
    decisions: ShardedCounter,
}

/// The policies of one bundle, compiled. They do not know when or whether they are in force, so
/// every snapshot of the same bundle may share them.
#[derive(Debug)]
pub struct Plans {
    digest: Digest,
    /// The digest as it is written: every answer has it.
    digest_text: String,
    default_policy: String,
    /// The versions of each policy, by when they begin; none of the lists is empty.
    by_id: BTreeMap<String, Vec<Plan>>,
}

impl From<Admission> for Plans {
    fn from(admission: Admission) -> Self {
        let Admission { digest, default_policy, plans, warnings: _, stricter_errors: _, cases_passed: _ } = admission;
        let mut by_id: BTreeMap<String, Vec<Plan>> = BTreeMap::new();
        for plan in plans {
            by_id.entry(plan.id.clone()).or_default().push(plan);
        }
        for versions in by_id.values_mut() {
            versions.sort_by_key(begins);
        }
        Self { digest, digest_text: digest.to_string(), default_policy, by_id }
    }
}

impl From<Admission> for Arc<Plans> {
    fn from(admission: Admission) -> Self {
        Self::new(Plans::from(admission))
    }
}

impl Plans {
    /// The content identity of the bundle.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

impl Snapshot {
    /// The snapshot of an admitted bundle, or of plans that were compiled before.
    #[must_use]
    pub fn new(plans: impl Into<Arc<Plans>>, generation: u64) -> Self {
        let plans = plans.into();
        Self { generation, digest: plans.digest, plans, decisions: ShardedCounter::default() }
    }

    /// The version of a policy that governs the order of a request; for an empty id, of the
    /// bundle's default policy.
    #[must_use]
    pub fn plan_for(&self, policy_id: &str, request: &Request<'_>) -> Option<&Plan> {
        governing(self.versions(policy_id)?.iter(), request)
    }

    /// The newest version of the policy of this id; for an empty id, of the bundle's default policy.
    #[must_use]
    pub fn plan(&self, policy_id: &str) -> Option<&Plan> {
        self.versions(policy_id)?.last()
    }

    fn versions(&self, policy_id: &str) -> Option<&[Plan]> {
        let id = if policy_id.is_empty() { self.default_policy() } else { policy_id };
        self.plans.by_id.get(id).map(Vec::as_slice)
    }

    /// All policies in all versions, by id and by when they begin.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.plans.by_id.values().flatten()
    }

    /// The id of the default policy.
    #[must_use]
    pub fn default_policy(&self) -> &str {
        &self.plans.default_policy
    }

    /// The digest as it is written.
    #[must_use]
    pub fn digest_text(&self) -> &str {
        &self.plans.digest_text
    }

    /// The compiled policies, to be put in force again under another generation.
    #[must_use]
    pub const fn compiled(&self) -> &Arc<Plans> {
        &self.plans
    }

    /// Notes that claims were decided by it: one addition that no other thread waits for.
    pub fn count(&self, decided: u64) {
        self.decisions.add(decided);
    }

    /// Number of claims decided by it.
    #[must_use]
    pub fn decisions(&self) -> u64 {
        self.decisions.total()
    }
}
