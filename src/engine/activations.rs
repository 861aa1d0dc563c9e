//! The history of activations: what came into force, one entry for each time, the latest first, and what was
//! rolled back from.
//!
//! A revision that was rolled back from is *withdrawn*: whoever goes back without saying where to passes it over,
//! a source that holds it is left out, and no start falls back to it. Going back past a revision withdraws it as well.
//! It is withdrawn until someone puts it in force by its digest, or until it is known as good again; until then it keeps
//! who went back from it first, when and why.

use std::collections::VecDeque;

use crate::domain::time::Timestamp;
use crate::engine::snapshot::Snapshot;
use crate::policy::bundle::Digest;
use crate::telemetry::event::ReloadTrigger;

/// Entries that are kept; the oldest go first.
pub const ACTIVATIONS_MAX: usize = 500;

/// Texts of all entries together, in bytes, before the oldest go: written as JSON they may be six times as long.
pub const ACTIVATIONS_BYTES_MAX: usize = 512 * 1024;

/// Withdrawn digests that are kept; the oldest go first. Many times the revisions that anyone keeps.
pub const WITHDRAWN_MAX: usize = 500;

/// Policies that an entry names; further ones are only counted.
pub const ENTRY_POLICIES_MAX: usize = 16;

/// What came into force, and what was withdrawn.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Activations {
    /// The latest first.
    entries: VecDeque<Activated>,
    /// The latest last; each digest once.
    withdrawn: Vec<Withdrawal>,
}

/// One activation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Activated {
    /// Its number among all activations, over all runs, from 1.
    pub number: u64,
    /// The generation that it was in its run.
    pub generation: u64,
    /// What came into force.
    pub digest: Digest,
    /// What was in force until then; `None` at a start.
    pub before: Option<Digest>,
    /// The policies in it, in all their versions; the first [`ENTRY_POLICIES_MAX`].
    pub policies: Vec<PolicyVersion>,
    /// Policies beyond those.
    pub further_policies: usize,
    /// What put it in force.
    pub trigger: ReloadTrigger,
    /// Who asked for it; empty where nobody did.
    pub actor: String,
    /// Why, as they said it; empty where they did not say.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// A policy and the author's label of its version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyVersion {
    /// The policy's slug.
    pub id: String,
    /// The author's label.
    pub version: String,
}

/// That a revision was rolled back from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Withdrawal {
    /// The revision.
    pub digest: Digest,
    /// When.
    pub at: Timestamp,
    /// Who did it; empty where that is not known.
    pub actor: String,
    /// Why, as they said it; empty where they did not say.
    pub reason: String,
}

/// An activation that is about to be entered.
#[derive(Clone, Debug)]
pub struct Entry<'s> {
    /// What came into force.
    pub snapshot: &'s Snapshot,
    /// What was in force until then; `None` at a start.
    pub before: Option<Digest>,
    /// What is rolled back from by it: what was in force, and what came into force after the revision gone back to.
    pub withdraws: Vec<Digest>,
    /// What put it in force.
    pub trigger: ReloadTrigger,
    /// Who asked for it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

impl Activations {
    /// A history as it was kept: the entries with the latest first, the withdrawals with the latest last.
    #[must_use]
    pub fn kept(entries: Vec<Activated>, withdrawn: Vec<Withdrawal>) -> Self {
        let mut kept = Self { entries: entries.into(), withdrawn };
        kept.forget();
        kept
    }

    /// A history of which it is not known any more what was rolled back from: each of these revisions may have been.
    #[must_use]
    pub fn lost(revisions: impl Iterator<Item = Digest>, at: Timestamp) -> Self {
        let withdrawal = |digest| Withdrawal {
            digest,
            at,
            actor: String::new(),
            reason: "the history of activations was damaged: this revision may have been rolled back from".to_owned(),
        };
        Self::kept(Vec::new(), revisions.map(withdrawal).collect())
    }

    /// Enters an activation. What is put in force by its digest is not withdrawn any more.
    pub fn enter(&mut self, entry: Entry<'_>) {
        let Entry { snapshot, before, withdraws, trigger, actor, reason, at } = entry;
        let digest = snapshot.digest;
        for withdrawn in withdraws {
            if self.withdrawal(withdrawn).is_some() {
                continue;
            }
            let (actor, reason) = (actor.clone(), reason.clone());
            self.withdrawn.push(Withdrawal { digest: withdrawn, at, actor, reason });
        }
        if matches!(trigger, ReloadTrigger::Rollback | ReloadTrigger::Promotion) {
            self.reinstate(digest);
        }
        let mut versions =
            snapshot.plans().map(|plan| PolicyVersion { id: plan.id.clone(), version: plan.version.clone() });
        let policies = versions.by_ref().take(ENTRY_POLICIES_MAX).collect();
        let further_policies = versions.count();
        let number = self.entries.front().map_or(0, |latest| latest.number).saturating_add(1);
        let generation = snapshot.generation;
        self.entries.push_front(Activated {
            number,
            generation,
            digest,
            before,
            policies,
            further_policies,
            trigger,
            actor,
            reason,
            at,
        });
        self.forget();
    }

    /// Of what came into force after a revision last did, what going to that revision is a way back from. What had been
    /// gone back to past it is older: going to it takes that rollback back and says nothing against where it led.
    #[must_use]
    pub fn left_by(&self, target: Digest, later: Vec<Digest>) -> Vec<Digest> {
        let came = self.came(target);
        later.into_iter().filter(|digest| came <= self.came(*digest)).collect()
    }

    /// The number of the entry by which a revision came: the latest one by which it came forth, and not again by a rollback
    /// or a start; else its earliest one; 0: none is kept.
    fn came(&self, digest: Digest) -> u64 {
        let again = |entry: &&Activated| matches!(entry.trigger, ReloadTrigger::Rollback | ReloadTrigger::Start);
        let mut of_it = self.entries.iter().filter(|entry| entry.digest == digest);
        let forth = of_it.clone().find(|entry| !again(entry));
        forth.or_else(|| of_it.next_back()).map_or(0, |entry| entry.number)
    }

    /// Takes it back that a revision is withdrawn.
    pub fn reinstate(&mut self, digest: Digest) {
        self.withdrawn.retain(|withdrawal| withdrawal.digest != digest);
    }

    /// Lets go what is beyond the bounds.
    fn forget(&mut self) {
        self.entries.truncate(ACTIVATIONS_MAX);
        let mut bytes = 0_usize;
        let within = self.entries.iter().take_while(|entry| {
            bytes = bytes.saturating_add(entry.text_bytes());
            bytes <= ACTIVATIONS_BYTES_MAX
        });
        let within = within.count().max(1);
        self.entries.truncate(within);
        self.withdrawn.drain(..self.withdrawn.len().saturating_sub(WITHDRAWN_MAX));
    }

    /// Every entry, the latest first.
    pub fn entries(&self) -> impl Iterator<Item = &Activated> {
        self.entries.iter()
    }

    /// Every withdrawal, the latest last.
    #[must_use]
    pub fn withdrawn(&self) -> &[Withdrawal] {
        &self.withdrawn
    }

    /// That this revision is withdrawn; `None`: it is not.
    #[must_use]
    pub fn withdrawal(&self, digest: Digest) -> Option<&Withdrawal> {
        self.withdrawn.iter().find(|withdrawal| withdrawal.digest == digest)
    }

    /// The number of the latest entry; 0: there is none.
    #[must_use]
    pub fn latest(&self) -> u64 {
        self.entries.front().map_or(0, |latest| latest.number)
    }
}

impl Activated {
    fn text_bytes(&self) -> usize {
        let policies: usize = self.policies.iter().map(|policy| policy.id.len() + policy.version.len()).sum();
        self.actor.len() + self.reason.len() + policies
    }
}

impl Withdrawal {
    /// What it says to people: who, when, why.
    #[must_use]
    pub fn told(&self) -> String {
        let Self { digest: _, at, actor, reason } = self;
        let who = if actor.is_empty() { "someone".to_owned() } else { format!("`{actor}`") };
        let why = if reason.is_empty() { "without a reason".to_owned() } else { format!("because: {reason}") };
        format!("{who} went back from it at {at}, {why}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::admit::Admission;
    use crate::policy::bundle::{Bundle, BundleFile};

    fn digest(text: &str) -> Digest {
        Bundle::new(vec![BundleFile { path: "a".into(), bytes: text.into() }]).unwrap().digest()
    }

    fn enter(activations: &mut Activations, text: &str, before: &str, trigger: ReloadTrigger, reason: &str) {
        let admission = Admission {
            digest: digest(text),
            default_policy: String::new(),
            plans: vec![],
            warnings: vec![],
            stricter_errors: vec![],
            cases_passed: 0,
        };
        let snapshot = Snapshot::new(admission, 7);
        let (actor, reason, at) = ("ops".to_owned(), reason.to_owned(), Timestamp::EPOCH);
        let before = digest(before);
        let withdraws = if trigger == ReloadTrigger::Rollback { vec![before] } else { vec![] };
        activations.enter(Entry { snapshot: &snapshot, before: Some(before), withdraws, trigger, actor, reason, at });
    }

    #[test]
    fn what_is_rolled_back_from_is_withdrawn_until_it_is_named() {
        let mut history = Activations::default();
        enter(&mut history, "b", "a", ReloadTrigger::Admin, "");
        enter(&mut history, "a", "b", ReloadTrigger::Rollback, "too dear");
        assert_eq!(history.withdrawal(digest("b")).unwrap().reason, "too dear");
        assert_eq!(history.withdrawal(digest("a")), None);
        for trigger in [ReloadTrigger::Start, ReloadTrigger::FileChange, ReloadTrigger::Signal, ReloadTrigger::Admin] {
            enter(&mut history, "b", "a", trigger, "");
            assert!(history.withdrawal(digest("b")).is_some(), "{trigger:?}");
        }
        for trigger in [ReloadTrigger::Promotion, ReloadTrigger::Rollback] {
            let mut history = history.clone();
            enter(&mut history, "b", "a", trigger, "");
            assert_eq!(history.withdrawal(digest("b")), None, "{trigger:?}");
        }
        history.reinstate(digest("b"));
        assert_eq!(history.withdrawn(), []);
    }

    #[test]
    fn a_withdrawal_keeps_its_first_reason_until_it_ends() {
        let mut history = Activations::default();
        enter(&mut history, "b", "a", ReloadTrigger::Admin, "");
        enter(&mut history, "a", "b", ReloadTrigger::Rollback, "too dear");
        enter(&mut history, "b", "a", ReloadTrigger::Start, "");
        enter(&mut history, "a", "b", ReloadTrigger::Rollback, "again");
        assert_eq!(history.withdrawal(digest("b")).unwrap().reason, "too dear");
        enter(&mut history, "b", "a", ReloadTrigger::Promotion, "mended");
        enter(&mut history, "a", "b", ReloadTrigger::Rollback, "still too dear");
        assert_eq!(history.withdrawal(digest("b")).unwrap().reason, "still too dear");
    }

    #[test]
    fn taking_a_rollback_back_is_no_way_back() {
        let mut history = Activations::default();
        enter(&mut history, "a", "0", ReloadTrigger::Start, "");
        enter(&mut history, "b", "a", ReloadTrigger::Admin, "");
        assert_eq!(history.left_by(digest("a"), vec![digest("b")]), [digest("b")]);
        enter(&mut history, "a", "b", ReloadTrigger::Rollback, "a false alarm");
        assert_eq!(history.left_by(digest("b"), vec![digest("a")]), []);
        // What came forth in between is gone back from all the same.
        enter(&mut history, "c", "a", ReloadTrigger::FileChange, "");
        assert_eq!(history.left_by(digest("b"), vec![digest("c"), digest("a")]), [digest("c")]);
        // And so is what came forth again.
        enter(&mut history, "a", "c", ReloadTrigger::Promotion, "");
        assert_eq!(history.left_by(digest("b"), vec![digest("a")]), [digest("a")]);
    }

    #[test]
    fn no_number_of_activations_and_no_length_of_reasons_is_too_much() {
        let mut history = Activations::default();
        for number in 0..2_000 {
            enter(&mut history, &number.to_string(), "before", ReloadTrigger::Rollback, "");
        }
        assert_eq!((history.entries().count(), history.latest()), (ACTIVATIONS_MAX, 2_000));
        assert_eq!(history.withdrawn().len(), 1);
        for number in 0..2_000 {
            enter(&mut history, "a", &number.to_string(), ReloadTrigger::Rollback, &"x".repeat(2_048));
        }
        assert_eq!(history.withdrawn().len(), WITHDRAWN_MAX);
        assert!(history.withdrawal(digest("1999")).is_some());
        assert_eq!((history.entries().count(), history.latest()), (ACTIVATIONS_BYTES_MAX / 2_051, 4_000));
    }
}
