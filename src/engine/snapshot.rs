//! Everything in force at one moment.

use std::collections::BTreeMap;

use crate::decision::version::{begins, governing};
use crate::domain::request::Request;
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
    /// The versions of each policy, by when they begin; none of the lists is empty.
    plans: BTreeMap<String, Vec<Plan>>,
}

impl Snapshot {
    /// The snapshot of an admitted bundle.
    #[must_use]
    pub fn new(admission: Admission, generation: u64) -> Self {
        let Admission { digest, default_policy, plans, warnings: _, cases_passed: _ } = admission;
        let mut by_id: BTreeMap<String, Vec<Plan>> = BTreeMap::new();
        for plan in plans {
            by_id.entry(plan.id.clone()).or_default().push(plan);
        }
        for versions in by_id.values_mut() {
            versions.sort_by_key(begins);
        }
        Self { generation, digest, default_policy, plans: by_id }
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
        let id = if policy_id.is_empty() { self.default_policy.as_str() } else { policy_id };
        self.plans.get(id).map(Vec::as_slice)
    }

    /// All policies in all versions, by id and by when they begin.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.plans.values().flatten()
    }

    /// The id of the default policy.
    #[must_use]
    pub fn default_policy(&self) -> &str {
        &self.default_policy
    }
}
