//! Agreement of answers with each other while policies change.
//!
//! The service is a pure function of request and policies. So the same request under the same digest
//! has one answer: one version, one outcome, one decision id, whatever was reloaded meanwhile. Two
//! different ones mean that an answer was made of two bundles.

use std::collections::BTreeMap;
use std::time::Duration;

/// Disagreements that are kept as text; all of them are counted.
pub const DISAGREEMENTS_TOLD_MAX: usize = 10;

/// The part of an answer about the policy that made it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Saying<'a> {
    /// The author's label.
    pub version: &'a [u8],
    /// The identity of all policy files.
    pub digest: &'a [u8],
    /// The server's counter.
    pub generation: u64,
    /// The number of the outcome on the wire.
    pub outcome: i32,
    /// The identity of the decision.
    pub decision_id: &'a [u8],
}

/// Everything that answers said about their policies.
#[derive(Clone, Default, Debug)]
pub struct Revisions {
    /// When each generation was first seen, from the beginning of what is measured.
    generations: BTreeMap<u64, Duration>,
    digests: Vec<Digest>,
    /// The digest of the last answer: most answers have the one of the answer before.
    latest: usize,
    disagreements: u64,
    told: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Digest {
    digest: Vec<u8>,
    /// The answer to each example, by its number.
    answers: Vec<Option<Answer>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Answer {
    version: Vec<u8>,
    outcome: i32,
    decision_id: Vec<u8>,
}

impl Answer {
    fn is(&self, saying: &Saying<'_>) -> bool {
        self.version == saying.version && self.outcome == saying.outcome && self.decision_id == saying.decision_id
    }

    fn of(saying: &Saying<'_>) -> Self {
        Self { version: saying.version.to_vec(), outcome: saying.outcome, decision_id: saying.decision_id.to_vec() }
    }

    fn text(&self) -> String {
        let (version, id) = (String::from_utf8_lossy(&self.version), String::from_utf8_lossy(&self.decision_id));
        format!("version `{version}`, outcome {}, decision {id}", self.outcome)
    }
}

/// Agreement of an answer with those before it.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Agreement {
    /// It does.
    Same,
    /// It was made of something else under the same digest.
    Different,
}

impl Revisions {
    /// Notes the answer to an example.
    pub fn note(&mut self, example: usize, saying: &Saying<'_>, at: Duration) -> Agreement {
        let first = self.generations.entry(saying.generation).or_insert(at);
        *first = at.min(*first);
        let Some(entry) = self.entry(saying.digest) else { return Agreement::Same };
        if entry.answers.len() <= example {
            entry.answers.resize(example + 1, None);
        }
        let Some(slot) = entry.answers.get_mut(example) else { return Agreement::Same };
        let before = slot.get_or_insert_with(|| Answer::of(saying));
        if before.is(saying) {
            return Agreement::Same;
        }
        let text = told(saying.digest, example, before, &Answer::of(saying));
        self.disagree(text);
        Agreement::Different
    }

    /// Notes an answer that contradicts itself.
    pub fn disagree(&mut self, text: String) {
        self.disagreements += 1;
        if self.told.len() < DISAGREEMENTS_TOLD_MAX {
            self.told.push(text);
        }
    }

    /// Adds what another thread saw, and what it disagrees about.
    pub fn add(&mut self, other: &Self) {
        for (generation, at) in &other.generations {
            let first = self.generations.entry(*generation).or_insert(*at);
            *first = (*at).min(*first);
        }
        for theirs in &other.digests {
            self.add_digest(theirs);
        }
        self.disagreements += other.disagreements;
        let room = DISAGREEMENTS_TOLD_MAX.saturating_sub(self.told.len());
        self.told.extend(other.told.iter().take(room).cloned());
    }

    /// When each generation was first seen.
    #[must_use]
    pub const fn generations(&self) -> &BTreeMap<u64, Duration> {
        &self.generations
    }

    /// Number of digests seen.
    #[must_use]
    pub const fn digests(&self) -> usize {
        self.digests.len()
    }

    /// Answers that disagreed.
    #[must_use]
    pub const fn disagreements(&self) -> u64 {
        self.disagreements
    }

    /// The first of them, for people.
    #[must_use]
    pub fn told(&self) -> &[String] {
        &self.told
    }

    fn add_digest(&mut self, theirs: &Digest) {
        let Some(ours) = self.entry(&theirs.digest) else { return };
        let mut different = Vec::new();
        for (example, answer) in theirs.answers.iter().enumerate() {
            if ours.answers.len() <= example {
                ours.answers.resize(example + 1, None);
            }
            let (Some(slot), Some(answer)) = (ours.answers.get_mut(example), answer) else { continue };
            let before = slot.get_or_insert_with(|| answer.clone());
            if before != answer {
                different.push(told(&theirs.digest, example, before, answer));
            }
        }
        for text in different {
            self.disagree(text);
        }
    }

    fn entry(&mut self, digest: &[u8]) -> Option<&mut Digest> {
        if self.digests.get(self.latest).is_none_or(|latest| latest.digest != digest) {
            self.latest = self.digests.iter().position(|known| known.digest == digest).unwrap_or(self.digests.len());
            if self.latest == self.digests.len() {
                self.digests.push(Digest { digest: digest.to_vec(), answers: Vec::new() });
            }
        }
        self.digests.get_mut(self.latest)
    }
}

fn told(digest: &[u8], example: usize, before: &Answer, now: &Answer) -> String {
    let digest = String::from_utf8_lossy(digest);
    format!("example {} under {digest} was {}; and {}", example + 1, before.text(), now.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saying() -> Saying<'static> {
        Saying { version: b"v1", digest: b"blake3:aa", generation: 1, outcome: 2, decision_id: b"d1" }
    }

    const AT: Duration = Duration::from_secs(1);

    #[test]
    fn the_same_digest_with_another_version_is_a_disagreement() {
        let mut seen = Revisions::default();
        assert_eq!(seen.note(0, &saying(), AT), Agreement::Same);
        assert_eq!(seen.note(0, &saying(), AT), Agreement::Same);
        assert_eq!(seen.note(1, &Saying { decision_id: b"d2", ..saying() }, AT), Agreement::Same);
        assert_eq!(seen.note(0, &Saying { version: b"v2", ..saying() }, AT), Agreement::Different);
        assert_eq!(seen.note(0, &Saying { outcome: 5, ..saying() }, AT), Agreement::Different);
        assert_eq!(seen.disagreements(), 2);
        assert!(seen.told()[0].contains("`v1`") && seen.told()[0].contains("`v2`"), "{:?}", seen.told());
    }

    #[test]
    fn a_reload_is_another_generation_and_no_disagreement() {
        let mut seen = Revisions::default();
        let reloaded = Saying { version: b"v2", digest: b"blake3:bb", generation: 2, decision_id: b"d9", ..saying() };
        for (saying, at) in [(saying(), 1), (reloaded, 2), (saying(), 3), (reloaded, 4)] {
            assert_eq!(seen.note(0, &saying, Duration::from_secs(at)), Agreement::Same);
        }
        assert_eq!((seen.digests(), seen.disagreements()), (2, 0));
        let first: Vec<_> = seen.generations().iter().map(|(generation, at)| (*generation, at.as_secs())).collect();
        assert_eq!(first, [(1, 1), (2, 2)]);
    }

    #[test]
    fn threads_that_disagree_are_found_out_when_added() {
        let (mut one, mut other) = (Revisions::default(), Revisions::default());
        assert_eq!(one.note(0, &saying(), AT), Agreement::Same);
        assert_eq!(other.note(0, &Saying { version: b"v2", ..saying() }, AT / 2), Agreement::Same);
        one.add(&other);
        assert_eq!((one.digests(), one.disagreements()), (1, 1));
        assert_eq!(one.generations().get(&1), Some(&(AT / 2)));
    }
}
