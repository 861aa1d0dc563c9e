//! Revisions that were active, the latest first: bounded, and enough to go back.
//!
//! A revision stands here once, under its last activation. Those of this run are kept compiled, so
//! that going back to them reads and builds nothing. Of those of earlier runs there is only the
//! record; where their files lie is not known here.

use std::sync::Arc;

use crate::engine::admit::Admission;
use crate::engine::snapshot::Plans;
use crate::engine::status::{KnownGood, Revision};
use crate::policy::bundle::{Bundle, Digest};
use crate::policy::diagnostic::{Diagnostic, Precedent};
use crate::policy::diff::Content;

/// Texts of all revisions together, in bytes, before the oldest are let go. The one in force, the
/// one before it and the last one known to be good stay whatever their size.
pub const HISTORY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Revisions that were active, the latest first.
#[derive(Debug)]
pub struct History {
    in_force: HistoryEntry,
    /// The policies of it.
    current: LoadedBundle,
    /// By `place`, the largest first; each digest once, and not the one in force.
    earlier: Vec<HistoryEntry>,
    revisions_max: usize,
}

/// One revision.
#[derive(Clone, Debug)]
pub struct HistoryEntry {
    /// The revision as it is shown.
    pub revision: Revision,
    /// Its place among all activations, over all runs: larger is later.
    pub place: u64,
    /// The size of its texts, in bytes.
    pub text_bytes: usize,
    /// The policies themselves, of a revision of this run.
    pub held: Option<LoadedBundle>,
}

/// The policies of a revision.
#[derive(Clone, Debug)]
pub struct LoadedBundle {
    /// As written.
    pub bundle: Arc<Bundle>,
    /// Digest and semantic digest of the bundle.
    pub content: Content,
    /// As run.
    pub plans: Arc<Plans>,
    /// Warnings for the author.
    pub warnings: Arc<[Diagnostic]>,
    /// Errors that would refuse it if it were new ([`Admission::stricter_errors`]).
    pub stricter_errors: Arc<[Diagnostic]>,
    /// Number of the bundle's own cases that passed.
    pub cases_passed: usize,
}

impl LoadedBundle {
    /// An admitted bundle. Reads all of it once more, for what it says.
    #[must_use]
    pub fn new(bundle: Arc<Bundle>, mut admission: Admission) -> Self {
        let warnings = std::mem::take(&mut admission.warnings).into();
        let stricter_errors = std::mem::take(&mut admission.stricter_errors).into();
        let cases_passed = admission.cases_passed;
        let content = Content::of(&bundle);
        Self { bundle, content, plans: admission.into(), warnings, stricter_errors, cases_passed }
    }

    /// Everything that is wrong or worth a look, the mistakes first.
    #[must_use]
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        self.stricter_errors.iter().chain(self.warnings.iter()).cloned().collect()
    }
}

impl HistoryEntry {
    /// Digest and semantic digest of the revision.
    #[must_use]
    pub const fn content(&self) -> Content {
        self.revision.content()
    }
}

impl History {
    /// A history that begins with what is in force now, after what earlier runs left. Holds as many
    /// revisions as asked for, and at least two: one in force, one to go back to.
    #[must_use]
    pub fn new(first: Revision, held: LoadedBundle, mut earlier: Vec<HistoryEntry>, revisions_max: usize) -> Self {
        earlier.sort_by_key(|kept| std::cmp::Reverse(kept.place));
        let place = earlier.first().map_or(0, |latest| latest.place);
        let in_force = taken_from(&mut earlier, first, held.clone(), place);
        let mut history = Self { in_force, current: held, earlier, revisions_max: revisions_max.max(2) };
        history.forget();
        history
    }

    /// Notes that a revision came into force. Whether it is known as good is known from before, not
    /// from `revision`.
    pub fn put(&mut self, revision: Revision, held: LoadedBundle) {
        self.earlier.insert(0, self.in_force.clone());
        self.in_force = taken_from(&mut self.earlier, revision, held.clone(), self.in_force.place);
        self.current = held;
        self.forget();
    }

    /// Notes that what is in force is known as good.
    pub fn in_force_is_good(&mut self) {
        self.in_force.revision.known_good = KnownGood::Yes;
        self.forget();
    }

    /// Notes that revisions were rolled back from: they are not known as good any more, nor is what says the same.
    pub fn not_good(&mut self, withdrawn: &[Content]) {
        let is_withdrawn = |kept: &&mut HistoryEntry| withdrawn.iter().any(|content| content.says_as(kept.content()));
        for kept in self.earlier.iter_mut().filter(is_withdrawn) {
            kept.revision.known_good = KnownGood::NotYet;
        }
        self.forget();
    }

    /// Lets go what is beyond the bounds.
    fn forget(&mut self) {
        let good = self.last_known_good().map(|kept| kept.place);
        let (mut revisions, mut bytes) = (1_usize, self.in_force.text_bytes);
        let revisions_max = self.revisions_max;
        self.earlier.retain(|kept| {
            revisions = revisions.saturating_add(1);
            bytes = bytes.saturating_add(kept.text_bytes);
            let within = revisions <= revisions_max && (revisions <= 2 || bytes <= HISTORY_BYTES_MAX);
            within || Some(kept.place) == good
        });
    }

    /// Every revision, the latest first; the first one is in force.
    pub fn revisions(&self) -> impl Iterator<Item = &HistoryEntry> {
        std::iter::once(&self.in_force).chain(&self.earlier)
    }

    /// The active revision.
    #[must_use]
    pub const fn in_force(&self) -> &Revision {
        &self.in_force.revision
    }

    /// The policies in force.
    #[must_use]
    pub const fn current(&self) -> &LoadedBundle {
        &self.current
    }

    /// Earlier revisions, the latest first.
    pub fn before(&self) -> impl Iterator<Item = &HistoryEntry> {
        self.earlier.iter()
    }

    /// The revision of this digest.
    #[must_use]
    pub fn find(&self, digest: Digest) -> Option<&HistoryEntry> {
        self.revisions().find(|kept| kept.revision.digest == digest)
    }

    /// Contents activated after this place, the active one included: those that going back to it leaves behind.
    #[must_use]
    pub fn after(&self, place: u64) -> Vec<Content> {
        self.revisions().filter(|kept| place < kept.place).map(HistoryEntry::content).collect()
    }

    /// The latest revision that is known as good.
    #[must_use]
    pub fn last_known_good(&self) -> Option<&HistoryEntry> {
        self.revisions().find(|kept| kept.revision.known_good == KnownGood::Yes)
    }
}

/// The precedent of a bundle of this digest, by the digests that were in force.
pub fn precedent(was_in_force: impl IntoIterator<Item = Digest>, digest: Digest) -> Precedent {
    if was_in_force.into_iter().any(|other| other == digest) { Precedent::InForce } else { Precedent::New }
}

/// The entry of a revision that comes into force after this place: as good as it was before.
fn taken_from(earlier: &mut Vec<HistoryEntry>, revision: Revision, held: LoadedBundle, after: u64) -> HistoryEntry {
    let digest = revision.digest;
    let before = earlier.iter().find(|kept| kept.revision.digest == digest);
    let known_good = before.map_or(KnownGood::NotYet, |kept| kept.revision.known_good);
    earlier.retain(|kept| kept.revision.digest != digest);
    let text_bytes = held.bundle.files().iter().map(|file| file.bytes.len()).sum();
    let revision = Revision { known_good, ..revision };
    HistoryEntry { revision, place: after.saturating_add(1), text_bytes, held: Some(held) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;
    use crate::policy::bundle::BundleFile;
    use crate::telemetry::labels::ReloadTrigger;

    fn revision(text: &str, generation: u64) -> (Revision, LoadedBundle) {
        let files = vec![BundleFile { path: "a.policy.yaml".into(), bytes: text.into() }];
        let bundle = Arc::new(Bundle::new(files).unwrap());
        let digest = bundle.digest();
        let admission = Admission {
            digest,
            default_policy: String::new(),
            plans: vec![],
            warnings: vec![],
            stricter_errors: vec![],
            cases_passed: 0,
        };
        let revision = Revision {
            digest,
            semantic: Content::of(&bundle).semantic,
            generation,
            activated_at: Timestamp::from_unix(0, 0).unwrap(),
            trigger: ReloadTrigger::FileChange,
            actor: String::new(),
            reason: String::new(),
            known_good: KnownGood::NotYet,
        };
        (revision, LoadedBundle::new(bundle, admission))
    }

    fn history(texts: &[&str], revisions_max: usize) -> History {
        let (first, held) = revision(texts[0], 1);
        let mut history = History::new(first, held, vec![], revisions_max);
        for (text, generation) in texts.iter().zip(1..).skip(1) {
            let (revision, held) = revision(text, generation);
            history.put(revision, held);
        }
        history
    }

    fn generations(history: &History) -> Vec<u64> {
        history.revisions().map(|kept| kept.revision.generation).collect()
    }

    #[test]
    fn a_revision_stands_once_under_its_last_activation() {
        let history = history(&["a", "b", "a", "c", "b"], 10);
        assert_eq!(generations(&history), [5, 4, 3]);
        assert_eq!(history.before().next().unwrap().revision.generation, 4);
    }

    #[test]
    fn ten_thousand_activations_leave_no_more_than_the_bound() {
        let texts: Vec<String> = (0..10_000).map(|n| n.to_string()).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        assert_eq!(generations(&history(&texts, 3)), [10_000, 9_999, 9_998]);
    }

    #[test]
    fn the_last_known_good_stays_beyond_the_bound_until_a_later_one_is_good() {
        let mut history = history(&["a"], 2);
        history.in_force_is_good();
        for (text, generation) in [("b", 2), ("c", 3), ("d", 4)] {
            let (revision, held) = revision(text, generation);
            history.put(revision, held);
        }
        assert_eq!(generations(&history), [4, 3, 1]);
        assert_eq!(history.last_known_good().unwrap().revision.generation, 1);
        history.in_force_is_good();
        assert_eq!(generations(&history), [4, 3]);
    }

    #[test]
    fn a_revision_that_was_good_is_good_when_it_comes_back() {
        let mut history = history(&["a"], 10);
        history.in_force_is_good();
        for (text, generation) in [("b", 2), ("a", 3)] {
            let (revision, held) = revision(text, generation);
            history.put(revision, held);
        }
        assert_eq!(history.last_known_good().unwrap().revision.generation, 3);
    }

    #[test]
    fn large_texts_are_let_go_before_small_ones_are_many() {
        let earlier = (1..=20).map(|place| {
            let (revision, _) = revision(&place.to_string(), place);
            HistoryEntry { revision, place, text_bytes: 24 * 1024 * 1024, held: None }
        });
        let (first, held) = revision("first", 21);
        let history = History::new(first, held, earlier.collect(), 100);
        let bytes: usize = history.revisions().map(|kept| kept.text_bytes).sum();
        assert!(bytes <= HISTORY_BYTES_MAX, "{bytes}");
        assert_eq!(generations(&history), (11..=21).rev().collect::<Vec<u64>>());
    }
}
