//! The history of activations: what came into force, one entry for each time, the latest first, and what was
//! rolled back from.
//!
//! A revision that was rolled back from is *withdrawn*: whoever goes back without saying where to passes it over,
//! a source that holds it is left out, and no start falls back to it. Going back past a revision withdraws it as well.
//! What says the same in another layout is withdrawn with it ([`Content::says_as`]).
//! It is withdrawn until someone puts it in force by its digest, or until it is known as good again; until then it keeps
//! who went back from it first, when and why.

use std::collections::VecDeque;

use crate::domain::time::Timestamp;
use crate::engine::snapshot::Snapshot;
use crate::policy::bundle::Digest;
use crate::policy::diff::{Content, SemanticDigest};
use crate::telemetry::labels::ReloadTrigger;

/// Entries that are kept; the oldest go first.
pub const ACTIVATIONS_MAX: usize = 500;

/// Texts of all entries together, in bytes, before the oldest go: written as JSON they may be six times as long.
pub const ACTIVATIONS_BYTES_MAX: usize = 512 * 1024;

/// Withdrawn digests that are kept; the oldest go first. Many times the revisions that anyone keeps.
pub const WITHDRAWN_MAX: usize = 500;

/// Policies that an entry names; further ones are only counted.
pub const ENTRY_POLICIES_MAX: usize = 16;

/// The kept activations and withdrawals.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Activations {
    /// The latest first.
    entries: VecDeque<Activated>,
    /// The latest last; each content once.
    withdrawn: Vec<Withdrawal>,
}

/// One activation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Activated {
    /// Its number among all activations, over all runs, from 1.
    pub number: u64,
    /// The generation that it was in its run.
    pub generation: u64,
    /// Digest of the activated revision.
    pub digest: Digest,
    /// Semantic digest; `None` where it was not kept.
    pub semantic: Option<SemanticDigest>,
    /// Digest active until then; `None` at a start.
    pub before: Option<Digest>,
    /// A start that fell back to the last revision known to be good.
    pub fallback: bool,
    /// The policies in it, in all their versions; the first [`ENTRY_POLICIES_MAX`].
    pub policies: Vec<PolicyVersion>,
    /// Policies beyond those.
    pub further_policies: usize,
    /// Trigger of the activation.
    pub trigger: ReloadTrigger,
    /// Admin who asked for it; empty where nobody did.
    pub actor: String,
    /// Reason that the admin gave; empty where none was given. Where nobody asked: the admin's activation that this one
    /// replaces ([`Activations::replaced_by`]).
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
    /// Semantic digest; `None` where it was not kept.
    pub semantic: Option<SemanticDigest>,
    /// When.
    pub at: Timestamp,
    /// Admin who rolled back; empty where not known.
    pub actor: String,
    /// Reason that the admin gave; empty where none was given.
    pub reason: String,
}

/// An activation that is about to be entered.
#[derive(Clone, Debug)]
pub struct Entry<'s> {
    /// Snapshot that was activated.
    pub snapshot: &'s Snapshot,
    /// Its semantic digest.
    pub semantic: Option<SemanticDigest>,
    /// Digest active until then; `None` at a start.
    pub before: Option<Digest>,
    /// Contents that this rolls back from: the active one, and those activated after the revision gone back to.
    pub withdraws: Vec<Content>,
    /// Trigger of the activation.
    pub trigger: ReloadTrigger,
    /// A start that fell back to the last revision known to be good.
    pub fallback: bool,
    /// Admin who asked for it.
    pub actor: String,
    /// Reason.
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

    /// A history that no longer knows which revisions were rolled back from: each of these may have been.
    #[must_use]
    pub fn lost(revisions: impl Iterator<Item = Content>, at: Timestamp) -> Self {
        let withdrawal = |Content { digest, semantic }| Withdrawal {
            digest,
            semantic,
            at,
            actor: String::new(),
            reason: "the history of activations was damaged or lost: this revision may have been rolled back from"
                .to_owned(),
        };
        Self::kept(Vec::new(), revisions.map(withdrawal).collect())
    }

    /// Enters an activation. Content that is put in force by its digest is no longer withdrawn.
    pub fn enter(&mut self, entry: Entry<'_>) {
        let Entry { snapshot, semantic, before, withdraws, trigger, fallback, actor, reason, at } = entry;
        let digest = snapshot.digest;
        for withdrawn in withdraws {
            if self.withdrawal(withdrawn).is_some() {
                continue;
            }
            let (actor, reason) = (actor.clone(), reason.clone());
            let Content { digest, semantic } = withdrawn;
            self.withdrawn.push(Withdrawal { digest, semantic, at, actor, reason });
        }
        if matches!(trigger, ReloadTrigger::Rollback | ReloadTrigger::Promotion) {
            self.reinstate(Content { digest, semantic });
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
            semantic,
            before,
            fallback,
            policies,
            further_policies,
            trigger,
            actor,
            reason,
            at,
        });
        self.forget();
    }

    /// Of the contents activated after `target`, those that going to `target` rolls back from. An older content that a
    /// rollback restored is left out: going to `target` undoes that rollback and withdraws nothing. So is content that
    /// says the same as `target`.
    #[must_use]
    pub fn left_by(&self, target: Content, later: Vec<Content>) -> Vec<Content> {
        let came = self.came(target);
        let left = |content: &Content| came <= self.came(*content) && !content.says_as(target);
        later.into_iter().filter(left).collect()
    }

    /// Number of the entry that introduced this content: the latest that is no rollback or fallback and did not follow
    /// an entry that says the same; else its earliest entry; 0: none is kept.
    fn came(&self, content: Content) -> u64 {
        let before = self.entries.iter().skip(1).map(Some).chain([None]);
        let of_it = self.entries.iter().zip(before).filter(|(entry, _)| entry.content().says_as(content));
        let mut all = of_it.clone();
        let forth = all.find(|(entry, before)| {
            let way_back = entry.trigger == ReloadTrigger::Rollback || entry.fallback;
            let same = before.is_some_and(|before| before.content().says_as(content));
            !way_back && !same
        });
        forth.or_else(|| of_it.last()).map_or(0, |(entry, _)| entry.number)
    }

    /// The activation that introduced the active content: later ones, such as an edit of a comment or a start, say the
    /// same.
    #[must_use]
    pub fn origin(&self) -> Option<&Activated> {
        let in_force = self.entries.front()?.content();
        self.entries.iter().take_while(|entry| entry.content().says_as(in_force)).last()
    }

    /// The reason of an activation that nobody asks for: the admin's activation that it replaces with other content;
    /// `None`: it replaces none.
    #[must_use]
    pub fn replaced_by(&self, content: Content) -> Option<String> {
        let Activated { digest, trigger, actor, at, .. } = self.origin()?;
        let by_admin = matches!(trigger, ReloadTrigger::Rollback | ReloadTrigger::Promotion);
        let same = self.entries.front().is_some_and(|in_force| in_force.content().says_as(content));
        (by_admin && !same).then(|| format!("replaces {digest}: {} by `{actor}` at {at}", trigger.as_str()))
    }

    /// Ends the withdrawal of a revision, and of every revision that says the same.
    pub fn reinstate(&mut self, content: Content) {
        self.withdrawn.retain(|withdrawal| !withdrawal.content().says_as(content));
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

    /// The withdrawal of this content, or else of one that says the same; `None`: it is not withdrawn.
    #[must_use]
    pub fn withdrawal(&self, content: Content) -> Option<&Withdrawal> {
        let itself = self.withdrawn.iter().find(|withdrawal| withdrawal.digest == content.digest);
        itself.or_else(|| self.withdrawn.iter().find(|withdrawal| withdrawal.content().says_as(content)))
    }

    /// The number of the latest entry; 0: there is none.
    #[must_use]
    pub fn latest(&self) -> u64 {
        self.entries.front().map_or(0, |latest| latest.number)
    }
}

impl Activated {
    /// Digest and semantic digest of the revision.
    #[must_use]
    pub const fn content(&self) -> Content {
        Content { digest: self.digest, semantic: self.semantic }
    }

    /// Text for people: the trigger, the admin, the time, the reason.
    #[must_use]
    pub fn told(&self) -> String {
        let Self { trigger, actor, reason, at, .. } = self;
        let by = if actor.is_empty() { String::new() } else { format!(" by `{actor}`") };
        let why = match (reason.as_str(), actor.as_str()) {
            ("", _) => String::new(),
            (reason, "") => format!(", which {reason}"),
            (reason, _) => format!(", because: {reason}"),
        };
        format!("{}{by} at {at}{why}", trigger.words())
    }

    fn text_bytes(&self) -> usize {
        let policies: usize = self.policies.iter().map(|policy| policy.id.len() + policy.version.len()).sum();
        self.actor.len() + self.reason.len() + policies
    }
}

impl Withdrawal {
    /// The withdrawn content.
    #[must_use]
    pub const fn content(&self) -> Content {
        Content { digest: self.digest, semantic: self.semantic }
    }

    /// Words about this digest, which is the withdrawn one or says the same, to follow "which" or "it".
    #[must_use]
    pub fn of(&self, digest: Digest) -> String {
        if self.digest == digest {
            "was rolled back from".to_owned()
        } else {
            format!("differs only in its layout or its cases from {}, which was rolled back from", self.digest)
        }
    }

    /// Text for people: the admin, the time, the reason.
    #[must_use]
    pub fn told(&self) -> String {
        let Self { digest: _, semantic: _, at, actor, reason } = self;
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

    fn bundle(text: &str) -> Bundle {
        Bundle::new(vec![BundleFile { path: "a.policy.yaml".into(), bytes: text.into() }]).unwrap()
    }

    fn digest(text: &str) -> Digest {
        bundle(text).digest()
    }

    fn content(text: &str) -> Content {
        Content::of(&bundle(text))
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
        let before = content(before);
        let withdraws = if trigger == ReloadTrigger::Rollback { vec![before] } else { vec![] };
        let (before, semantic) = (Some(before.digest), content(text).semantic);
        let fallback = false;
        activations.enter(Entry {
            snapshot: &snapshot,
            semantic,
            before,
            withdraws,
            trigger,
            fallback,
            actor,
            reason,
            at,
        });
    }

    #[test]
    fn what_is_rolled_back_from_is_withdrawn_until_it_is_named() {
        let mut history = Activations::default();
        enter(&mut history, "b", "a", ReloadTrigger::Admin, "");
        enter(&mut history, "a", "b", ReloadTrigger::Rollback, "too dear");
        assert_eq!(history.withdrawal(content("b")).unwrap().reason, "too dear");
        assert_eq!(history.withdrawal(content("a")), None);
        for trigger in [ReloadTrigger::Start, ReloadTrigger::FileChange, ReloadTrigger::Signal, ReloadTrigger::Admin] {
            enter(&mut history, "b", "a", trigger, "");
            assert!(history.withdrawal(content("b")).is_some(), "{trigger:?}");
        }
        for trigger in [ReloadTrigger::Promotion, ReloadTrigger::Rollback] {
            let mut history = history.clone();
            enter(&mut history, "b", "a", trigger, "");
            assert_eq!(history.withdrawal(content("b")), None, "{trigger:?}");
        }
        history.reinstate(content("b"));
        assert_eq!(history.withdrawn(), []);
    }

    #[test]
    fn what_says_the_same_is_withdrawn_and_reinstated_with_it() {
        let mut history = Activations::default();
        enter(&mut history, "version: b", "version: a", ReloadTrigger::Admin, "");
        enter(&mut history, "version: a", "version: b", ReloadTrigger::Rollback, "too dear");
        let again = content("# once more\nversion: b\n");
        let withdrawal = history.withdrawal(again).unwrap();
        assert_eq!((withdrawal.reason.as_str(), withdrawal.digest), ("too dear", digest("version: b")));
        assert!(withdrawal.of(again.digest).contains("its layout"), "{}", withdrawal.of(again.digest));
        assert_eq!(history.withdrawal(Content { semantic: None, ..again }), None);
        let bytes_alone = Content { semantic: None, ..content("version: b") };
        assert!(history.withdrawal(bytes_alone).is_some());
        assert_eq!(history.left_by(content("version: b"), vec![again]), []);
        enter(&mut history, "# once more\nversion: b\n", "version: a", ReloadTrigger::Promotion, "");
        assert_eq!(history.withdrawn(), []);
    }

    #[test]
    fn a_withdrawal_keeps_its_first_reason_until_it_ends() {
        let mut history = Activations::default();
        enter(&mut history, "b", "a", ReloadTrigger::Admin, "");
        enter(&mut history, "a", "b", ReloadTrigger::Rollback, "too dear");
        enter(&mut history, "b", "a", ReloadTrigger::Start, "");
        enter(&mut history, "a", "b", ReloadTrigger::Rollback, "again");
        assert_eq!(history.withdrawal(content("b")).unwrap().reason, "too dear");
        enter(&mut history, "b", "a", ReloadTrigger::Promotion, "fixed");
        enter(&mut history, "a", "b", ReloadTrigger::Rollback, "still too dear");
        assert_eq!(history.withdrawal(content("b")).unwrap().reason, "still too dear");
    }

    #[test]
    fn taking_a_rollback_back_is_no_way_back() {
        let mut history = Activations::default();
        enter(&mut history, "a", "0", ReloadTrigger::Start, "");
        enter(&mut history, "b", "a", ReloadTrigger::Admin, "");
        assert_eq!(history.left_by(content("a"), vec![content("b")]), [content("b")]);
        enter(&mut history, "a", "b", ReloadTrigger::Rollback, "a false alarm");
        assert_eq!(history.left_by(content("b"), vec![content("a")]), []);
        // What came forth in between is rolled back from, too.
        enter(&mut history, "c", "a", ReloadTrigger::FileChange, "");
        assert_eq!(history.left_by(content("b"), vec![content("c"), content("a")]), [content("c")]);
        // And so is what came forth again.
        enter(&mut history, "a", "c", ReloadTrigger::Promotion, "");
        assert_eq!(history.left_by(content("b"), vec![content("a")]), [content("a")]);
    }

    #[test]
    fn a_start_that_takes_something_else_from_the_source_comes_forth() {
        let mut history = Activations::default();
        enter(&mut history, "a", "0", ReloadTrigger::Start, "");
        enter(&mut history, "b", "a", ReloadTrigger::FileChange, "");
        enter(&mut history, "c", "b", ReloadTrigger::Promotion, "");
        let mut same = history.clone();
        enter(&mut same, "c", "0", ReloadTrigger::Start, "");
        assert_eq!(same.left_by(content("b"), vec![content("c")]), [content("c")]);
        assert_eq!(same.left_by(content("c"), vec![content("b")]), [], "it came before");
        enter(&mut history, "b", "0", ReloadTrigger::Start, "");
        assert_eq!(history.left_by(content("c"), vec![content("b")]), [content("b")]);
        // To fall back is no way forth.
        if let Some(start) = history.entries.front_mut() {
            start.fallback = true;
        }
        assert_eq!(history.left_by(content("c"), vec![content("b")]), []);
    }

    #[test]
    fn another_layout_comes_with_what_it_says() {
        let mut history = Activations::default();
        let (other, again) = ("version: b", "# again\nversion: a\n");
        enter(&mut history, "version: a", "0", ReloadTrigger::Start, "");
        enter(&mut history, other, "version: a", ReloadTrigger::Promotion, "");
        enter(&mut history, "version: a", other, ReloadTrigger::Rollback, "too dear");
        enter(&mut history, again, "version: a", ReloadTrigger::FileChange, "");
        assert_eq!(history.left_by(content(other), vec![content(again), content("version: a")]), []);
        let origin = history.origin().unwrap();
        assert_eq!((origin.number, origin.trigger, origin.reason.as_str()), (3, ReloadTrigger::Rollback, "too dear"));
        assert_eq!(history.replaced_by(content("version: a")), None);
        assert!(history.replaced_by(content("version: c")).unwrap().contains(": rollback by `ops` at "));
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
        assert!(history.withdrawal(content("1999")).is_some());
        assert_eq!((history.entries().count(), history.latest()), (ACTIVATIONS_BYTES_MAX / 2_051, 4_000));
    }
}
