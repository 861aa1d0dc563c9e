//! Changes of colleagues that an admin may not have noticed, and would undo with a rollback that names nothing: two
//! people who see the same alarm must not go back twice, nor the second one undo what the first one fixed.

use crate::domain::time::Timestamp;
use crate::engine::activations::Activated;
use crate::engine::status::Revisions;
use crate::telemetry::labels::ReloadTrigger;

/// Time after which everybody is expected to know of a change, in seconds.
pub const NOTICED_AFTER_SECONDS: i64 = 600;

impl Revisions {
    /// The activation that introduced the active content: later ones, such as a start or an edit of a comment, say the
    /// same. `None`: nothing is in force.
    #[must_use]
    pub fn origin(&self) -> Option<&Activated> {
        self.since_origin().first()
    }

    /// The change of a colleague that `caller` may not have noticed; `None`: there is none, or `caller` has no name.
    ///
    /// It is the origin of the active content where that is a colleague's rollback, however old. Else it is the latest
    /// change by a colleague within [`NOTICED_AFTER_SECONDS`], unless `caller` changed something after it. Where the
    /// active revision is marked as rolled back from, as after a start that took it, there is none: to go back from it is
    /// what was wanted.
    #[must_use]
    pub fn unnoticed_by(&self, caller: &str, now: Timestamp) -> Option<&Activated> {
        let withdrawn = self.kept.first().is_some_and(|(_, withdrawal)| withdrawal.is_some());
        if caller.is_empty() || withdrawn {
            return None;
        }
        let of_colleague = |entry: &&Activated| !entry.actor.is_empty() && entry.actor != caller;
        let rollback = self.origin().filter(|origin| origin.trigger == ReloadTrigger::Rollback);
        let since = |entry: &&Activated| now.second().saturating_sub(entry.at.second()) < NOTICED_AFTER_SECONDS;
        let latest = || {
            let since_own = self.since_origin().iter().take_while(|entry| entry.actor != caller);
            since_own.take_while(since).find(of_colleague)
        };
        rollback.filter(of_colleague).or_else(latest)
    }

    /// The activations without those that say the same as an earlier one in a row, up to the active one: the first is
    /// the origin of the active content.
    fn since_origin(&self) -> &[Activated] {
        let Some(in_force) = self.activations.first() else { return &[] };
        let same = self.activations.iter().take_while(|entry| entry.content().says_as(in_force.content())).count();
        self.activations.get(same.saturating_sub(1)..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::activations::Withdrawal;
    use crate::engine::status::{KnownGood, Revision};
    use crate::policy::bundle::{Bundle, BundleFile};
    use crate::policy::diff::Content;

    const NOW: i64 = 1_800_000_000;

    fn content(text: &str) -> Content {
        Content::of(&Bundle::new(vec![BundleFile { path: "a.policy.yaml".into(), bytes: text.into() }]).unwrap())
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_unix(second, 0).unwrap()
    }

    /// An activation of this text so many seconds ago.
    fn entry(text: &str, trigger: ReloadTrigger, actor: &str, ago: i64) -> Activated {
        let Content { digest, semantic } = content(text);
        Activated {
            number: 1,
            generation: 1,
            digest,
            semantic,
            before: None,
            fallback: false,
            policies: vec![],
            further_policies: 0,
            trigger,
            actor: actor.into(),
            reason: String::new(),
            at: at(NOW - ago),
        }
    }

    /// The latest first.
    fn revisions(activations: Vec<Activated>) -> Revisions {
        let Activated { digest, semantic, trigger, ref actor, at, .. } = activations[0];
        let revision = Revision {
            digest,
            semantic,
            generation: 1,
            activated_at: at,
            trigger,
            actor: actor.clone(),
            reason: String::new(),
            known_good: KnownGood::NotYet,
        };
        Revisions { kept: vec![(revision, None)], activations }
    }

    fn unnoticed(activations: &[Activated], caller: &str) -> Option<(String, ReloadTrigger)> {
        let revisions = revisions(activations.to_vec());
        let found = revisions.unnoticed_by(caller, at(NOW))?;
        Some((found.actor.clone(), found.trigger))
    }

    use ReloadTrigger::{Admin, FileChange, Promotion, Rollback, Start};

    #[test]
    fn a_colleagues_rollback_is_never_old() {
        for ago in [0, 599, 600, 1_000_000] {
            let history = [entry("a", Rollback, "bob", ago), entry("b", FileChange, "", ago)];
            assert_eq!(unnoticed(&history, "alice"), Some(("bob".into(), Rollback)), "{ago}");
            assert_eq!(unnoticed(&history, "bob"), None, "one's own is known");
            assert_eq!(unnoticed(&history, ""), None, "without names there are no colleagues");
        }
    }

    #[test]
    fn a_rollback_is_still_one_after_an_edit_of_a_comment_and_a_start() {
        let (rolled_back, bad) =
            (entry("version: a", Rollback, "bob", 5_000), entry("version: b", Admin, "bob", 6_000));
        let later = [entry("# again\nversion: a\n", FileChange, "", 2_000), entry("version: a", Start, "", 1_000)];
        for later in [&later[..1], &later[1..], &later[..]] {
            let history: Vec<_> = later.iter().rev().chain([&rolled_back, &bad]).cloned().collect();
            assert_eq!(unnoticed(&history, "alice"), Some(("bob".into(), Rollback)));
        }
        // Also where it was one's own edit: whoever makes it need not know of the rollback.
        let edit = entry("# again\nversion: a\n", Admin, "alice", 10);
        assert_eq!(unnoticed(&[edit, rolled_back.clone()], "alice"), Some(("bob".into(), Rollback)));
        // Something else in force is another matter.
        assert_eq!(unnoticed(&[entry("version: c", FileChange, "", 10), rolled_back], "alice"), None);
    }

    #[test]
    fn any_other_change_of_a_colleague_is_noticed_after_a_while() {
        for trigger in [Admin, Promotion] {
            for (ago, expected) in [(-60, true), (0, true), (599, true), (600, false), (1_000_000, false)] {
                let history = [entry("b", trigger, "bob", ago), entry("a", Start, "", 2_000_000)];
                assert_eq!(unnoticed(&history, "alice").is_some(), expected, "{trigger:?} {ago}");
            }
        }
        assert_eq!(unnoticed(&[entry("b", FileChange, "", 0), entry("a", Start, "", 60)], "alice"), None);
    }

    #[test]
    fn what_replaced_a_colleagues_change_unasked_does_not_hide_it() {
        let fixed = entry("c", FileChange, "", 30);
        let rolled_back = entry("a", Rollback, "bob", 200);
        let history = [fixed.clone(), rolled_back.clone(), entry("b", FileChange, "", 300)];
        assert_eq!(unnoticed(&history, "alice"), Some(("bob".into(), Rollback)));
        // A start over a promotion: to go back is to go forth to it.
        let history = [entry("a", Start, "", 30), entry("b", Promotion, "bob", 200), entry("a", Start, "", 300)];
        assert_eq!(unnoticed(&history, "alice"), Some(("bob".into(), Promotion)));
        // Who changed something since has noticed.
        let own = entry("d", Promotion, "alice", 20);
        assert_eq!(unnoticed(&[own, fixed, rolled_back], "alice"), None);
    }

    #[test]
    fn what_was_rolled_back_from_may_be_gone_back_from() {
        let history = vec![entry("b", Start, "", 10), entry("a", Rollback, "bob", 20), entry("b", Admin, "bob", 30)];
        let mut marked = revisions(history);
        assert!(marked.unnoticed_by("alice", at(NOW)).is_some());
        let Content { digest, semantic } = content("b");
        let (actor, reason) = ("bob".to_owned(), String::new());
        marked.kept[0].1 = Some(Withdrawal { digest, semantic, at: at(NOW), actor, reason });
        assert_eq!(marked.unnoticed_by("alice", at(NOW)), None);
    }

    #[test]
    fn the_origin_is_the_first_of_those_that_say_the_same() {
        let history = vec![
            entry("# again\nversion: a\n", FileChange, "", 10),
            entry("version: a", Rollback, "bob", 20),
            entry("version: b", Admin, "bob", 30),
            entry("version: a", Start, "", 40),
        ];
        assert_eq!(revisions(history.clone()).origin(), Some(&history[1]));
        assert_eq!(Revisions { kept: vec![], activations: vec![] }.origin(), None);
    }
}
