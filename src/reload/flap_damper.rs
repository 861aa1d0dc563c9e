//! Holds down a source that changes between good and bad again and again.
//!
//! A turn is a look that finds good after bad, or bad after good. After a number of turns within a
//! window, what the source holds is taken only once it has stayed the same for a while. The while
//! doubles when it turns meanwhile, and when it is needed again soon. Whoever asks by name is heard
//! at once. What good and bad mean, and what is done about it, is not known here.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::policy::bundle::Digest;

/// When a source is held down, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlapLimits {
    /// So many turns within the window are too many.
    pub turns: usize,
    /// The window.
    pub window: Duration,
    /// Initial time that it must stay the same.
    pub hold_min: Duration,
    /// Longest time that it must stay the same.
    pub hold_max: Duration,
}

impl Default for FlapLimits {
    /// Four times broken and fixed within a minute is no author at work.
    fn default() -> Self {
        Self {
            turns: 8,
            window: Duration::from_secs(60),
            hold_min: Duration::from_secs(5),
            hold_max: Duration::from_secs(300),
        }
    }
}

/// Result of a check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Quality {
    /// It may be put in force, or is.
    Good,
    /// It may not.
    Bad,
}

/// Decision on taking the content found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HoldState {
    /// It may be taken.
    Open,
    /// It has stayed the same for long enough: it may be taken again.
    Lifted,
    /// From now on it may not be taken.
    Begun,
    /// It still may not be taken.
    Held,
}

/// Behaviour of a source over time.
#[derive(Debug)]
pub struct FlapDamper {
    limits: FlapLimits,
    last: Option<Quality>,
    turns: VecDeque<Instant>,
    hold: Duration,
    held: Option<Hold>,
    lifted: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Hold {
    digest: Digest,
    until: Instant,
}

/// A hold within this time after the last one begins where that one ended.
const RELAPSE: Duration = Duration::from_secs(600);

impl FlapDamper {
    /// A source of which nothing is known yet.
    #[must_use]
    pub const fn new(limits: FlapLimits) -> Self {
        Self { limits, last: None, turns: VecDeque::new(), hold: limits.hold_min, held: None, lifted: None }
    }

    /// Takes a look into account.
    pub fn look(&mut self, now: Instant, digest: Digest, quality: Quality) -> HoldState {
        let turned = self.last.is_some_and(|last| last != quality);
        self.last = Some(quality);
        if turned {
            self.turns.push_back(now);
            self.turns.retain(|turn| now.saturating_duration_since(*turn) <= self.limits.window);
        }
        match &mut self.held {
            None if turned && self.limits.turns <= self.turns.len() => {
                let relapse = self.lifted.is_some_and(|lifted| now.saturating_duration_since(lifted) <= RELAPSE);
                self.hold = if relapse { self.longer() } else { self.limits.hold_min };
                self.held = Some(Hold { digest, until: now + self.hold });
                HoldState::Begun
            }
            None => HoldState::Open,
            Some(held) if held.digest == digest && held.until <= now => {
                self.reset();
                self.last = Some(quality);
                self.lifted = Some(now);
                HoldState::Lifted
            }
            Some(held) if held.digest == digest => HoldState::Held,
            Some(_) => {
                if turned {
                    self.hold = self.longer();
                }
                self.held = Some(Hold { digest, until: now + self.hold });
                HoldState::Held
            }
        }
    }

    fn longer(&self) -> Duration {
        self.hold.saturating_mul(2).min(self.limits.hold_max)
    }

    /// Lets it be as if nothing had happened: someone has asked by name.
    pub fn reset(&mut self) {
        self.held = None;
        self.turns.clear();
        self.last = None;
    }

    /// After each look: one at the end of the hold that saw nothing is followed by another hold.
    pub fn looked(&mut self, now: Instant) {
        if let Some(held) = &mut self.held
            && held.until <= now
        {
            held.until = now + self.hold;
        }
    }

    /// When to look again, while it is held down.
    #[must_use]
    pub fn until(&self) -> Option<Instant> {
        self.held.map(|held| held.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::bundle::{Bundle, BundleFile};
    use Quality::{Bad, Good};

    const LIMITS: FlapLimits = FlapLimits {
        turns: 4,
        window: Duration::from_secs(60),
        hold_min: Duration::from_secs(5),
        hold_max: Duration::from_secs(15),
    };

    fn digest(text: &str) -> Digest {
        Bundle::new(vec![BundleFile { path: text.into(), bytes: vec![] }]).unwrap().digest()
    }

    /// A source and its clock, in seconds.
    struct Source(FlapDamper, Instant);

    impl Source {
        fn at(&mut self, seconds: u64, text: &str, quality: Quality) -> HoldState {
            self.0.look(self.1 + Duration::from_secs(seconds), digest(text), quality)
        }

        fn until(&self) -> Option<u64> {
            self.0.until().map(|until| (until - self.1).as_secs())
        }
    }

    /// Held since second 4.
    fn held() -> Source {
        let mut source = Source(FlapDamper::new(LIMITS), Instant::now());
        for (second, text, quality) in [(0, "a", Good), (1, "b", Bad), (2, "c", Good), (3, "d", Bad)] {
            assert_eq!(source.at(second, text, quality), HoldState::Open);
        }
        assert_eq!(source.at(4, "e", Good), HoldState::Begun);
        source
    }

    #[test]
    fn what_stays_the_same_is_taken_after_the_hold() {
        let mut source = held();
        assert_eq!(source.until(), Some(9));
        assert_eq!(source.at(8, "e", Good), HoldState::Held);
        assert_eq!(source.at(9, "e", Good), HoldState::Lifted);
        assert_eq!((source.until(), source.at(10, "f", Good)), (None, HoldState::Open));
    }

    #[test]
    fn a_change_begins_the_hold_anew_and_a_turn_doubles_it_up_to_a_bound() {
        let mut source = held();
        assert_eq!((source.at(6, "f", Good), source.until()), (HoldState::Held, Some(11)));
        assert_eq!((source.at(7, "g", Bad), source.until()), (HoldState::Held, Some(17)));
        assert_eq!((source.at(8, "h", Good), source.until()), (HoldState::Held, Some(23)));
        assert_eq!((source.at(9, "i", Bad), source.until()), (HoldState::Held, Some(24)));
    }

    #[test]
    fn who_turns_again_soon_is_held_for_longer() {
        let mut source = held();
        assert_eq!(source.at(9, "e", Good), HoldState::Lifted);
        for (second, quality) in [(10, Bad), (11, Good), (12, Bad)] {
            assert_eq!(source.at(second, "f", quality), HoldState::Open);
        }
        assert_eq!((source.at(13, "g", Good), source.until()), (HoldState::Begun, Some(23)));
    }

    #[test]
    fn many_good_changes_and_slow_turns_are_no_flapping() {
        let mut source = Source(FlapDamper::new(LIMITS), Instant::now());
        for second in 0..1_000 {
            assert_eq!(source.at(second, &second.to_string(), Good), HoldState::Open);
        }
        for minute in 0..100 {
            let quality = if minute % 2 == 0 { Bad } else { Good };
            assert_eq!(source.at(1_000 + minute * 30, "x", quality), HoldState::Open);
        }
    }

    #[test]
    fn who_asks_by_name_lifts_the_hold() {
        let mut source = held();
        source.0.reset();
        assert_eq!((source.until(), source.at(5, "f", Good)), (None, HoldState::Open));
    }
}
