//! Everything in force at one moment.

use std::collections::BTreeMap;

use crate::engine::admit::Admission;
use crate::plan::Plan;
use crate::policy::bundle::Digest;

/// Everything in force at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// Our counter of snapshots: larger is later, on this replica.
    pub generation: u64,
    /// The content identity of the bundle.
    pub digest: Digest,
    default_policy: String,
    plans: BTreeMap<String, Plan>,
}

impl Snapshot {
    /// The snapshot of an admitted bundle.
    #[must_use]
    pub fn new(admission: Admission, generation: u64) -> Self {
        let Admission { digest, default_policy, plans, warnings: _, cases_passed: _ } = admission;
        let plans = plans.into_iter().map(|plan| (plan.id.clone(), plan)).collect();
        Self { generation, digest, default_policy, plans }
    }

    /// The policy of this id; the bundle's default one for an empty id.
    #[must_use]
    pub fn plan(&self, policy_id: &str) -> Option<&Plan> {
        let id = if policy_id.is_empty() { self.default_policy.as_str() } else { policy_id };
        self.plans.get(id)
    }

    /// All policies, by id.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.plans.values()
    }

    /// The id of the default policy.
    #[must_use]
    pub fn default_policy(&self) -> &str {
        &self.default_policy
    }
}
