//! What docs/admin.md says of two admins at once, as a small program of its own: what is in force, what may be gone
//! back to, what was rolled back from, what the source holds, and which candidate is staged. It knows no digest, no
//! file and no clock; a version is a letter.

pub mod served;

use std::collections::BTreeSet;

/// The content of a bundle: one that may be put in force, by its letter, or one with mistakes. A large letter says the
/// same as the small one, in another layout.
pub type Version = char;

/// What a version says.
pub const fn says(version: Version) -> Version {
    version.to_ascii_lowercase()
}

/// The content with mistakes.
pub const BROKEN: Version = '!';

/// The reason of what nobody asked for, where it replaces what an admin put in force.
pub const REPLACES: &str = "replaces";

/// A reason as the model has it: what is replaced is not repeated.
pub fn reason_of(actor: &str, reason: &str) -> String {
    if actor.is_empty() && reason.starts_with("replaces blake3:") { REPLACES.to_owned() } else { reason.to_owned() }
}

/// What an admin or a file change does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verb {
    /// `candidate stage`, of these policies or, without, of what the source holds.
    Stage { version: Option<Version>, replace: bool },
    /// Someone asks for a refund, and the candidate is asked as well.
    Ask,
    /// `candidate discard`.
    Discard { version: Option<Version> },
    /// `candidate promote`.
    Promote { version: Version, expected: Version, untried: bool, rolled_back: bool },
    /// `rollback`.
    Rollback { to: Option<Version>, expected: Version },
    /// `rollback` that names nothing.
    PlainRollback,
    /// `reload`.
    Reload { expected: Option<Version> },
    /// The source holds something else, and it is noticed.
    Change { version: Version },
    /// SIGHUP.
    Signal,
    /// The server is stopped and started again.
    Restart,
}

/// What a verb comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It is done; what is in force afterwards.
    Done(Version),
    /// Something else is in force than was expected.
    OtherInForce,
    /// A colleague's candidate is staged.
    StagedByOther,
    /// Another candidate is staged, or none.
    OtherCandidate,
    /// The candidate was asked about nothing.
    Untried,
    /// The candidate was rolled back from.
    RolledBack,
    /// All that there is to go back to was rolled back from.
    AllWithdrawn,
    /// There is no such revision.
    NoRevision,
    /// What the source holds is kept out.
    HeldBack,
    /// A colleague changed what is in force, and may not have been noticed.
    Unnoticed,
    /// The policies have mistakes.
    Rejected,
}

/// What put something in force.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Cause {
    Start,
    FileChange,
    Signal,
    Admin,
    Rollback,
    Promotion,
}

/// One entry of the history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub version: Version,
    pub cause: Cause,
    pub actor: &'static str,
    pub reason: String,
}

/// Where a replica should stand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Model {
    pub source: Version,
    /// Revisions, the latest first; each once, the first one in force.
    pub revisions: Vec<Version>,
    /// What was rolled back from, by what it says.
    pub withdrawn: BTreeSet<Version>,
    /// What the source held when an admin put something else in force, by what it says; where it was broken then, what it
    /// was before, and what was replaced since.
    pub out: BTreeSet<Version>,
    /// What the source held when it was last good.
    pub last_good: Version,
    pub candidate: Option<(Version, &'static str)>,
    /// Whether the candidate was asked about a request beside what is in force.
    pub tried: bool,
    /// The latest first.
    pub history: Vec<Entry>,
    /// Whether the last attempt came to what was asked for.
    pub successful: bool,
    pub generation: u64,
    pub revisions_max: usize,
}

impl Model {
    /// A first start on this version.
    pub fn start(version: Version, revisions_max: usize) -> Self {
        let mut model = Self {
            source: version,
            revisions: Vec::new(),
            withdrawn: BTreeSet::new(),
            out: BTreeSet::new(),
            last_good: version,
            candidate: None,
            tried: false,
            history: Vec::new(),
            successful: true,
            generation: 0,
            revisions_max,
        };
        model.put(version, Cause::Start, "", "");
        model
    }

    pub fn in_force(&self) -> Version {
        self.revisions[0]
    }

    /// Whether what the source holds is kept out, as the status should say.
    pub fn held_back(&self) -> bool {
        let held = self.source;
        held != BROKEN && held != self.in_force() && (self.is_out(held) || self.is_withdrawn(held))
    }

    fn is_out(&self, held: Version) -> bool {
        self.out.contains(&says(held))
    }

    pub fn is_withdrawn(&self, version: Version) -> bool {
        self.withdrawn.contains(&says(version))
    }

    /// What the page says of a verb.
    pub fn does(&mut self, who: &'static str, verb: &Verb, reason: &str) -> Outcome {
        match *verb {
            Verb::Stage { version, replace } => self.stage(who, version.unwrap_or(self.source), replace),
            Verb::Ask => {
                self.tried = self.candidate.is_some();
                Outcome::Done(self.in_force())
            }
            Verb::Discard { version } => match (self.candidate, version) {
                (None, _) => Outcome::OtherCandidate,
                (Some((found, _)), Some(named)) if found != named => Outcome::OtherCandidate,
                (Some((_, by)), None) if by != who => Outcome::StagedByOther,
                (Some(_), _) => {
                    self.candidate = None;
                    Outcome::Done(self.in_force())
                }
            },
            Verb::Promote { version, expected, untried, rolled_back } => {
                self.promote(who, reason, version, expected, (untried, rolled_back))
            }
            Verb::Rollback { to, expected } => self.roll_back(who, reason, to, expected),
            Verb::PlainRollback if self.is_unnoticed_by(who) => Outcome::Unnoticed,
            Verb::PlainRollback => self.roll_back(who, reason, None, self.in_force()),
            Verb::Reload { expected } => self.reload(who, reason, expected),
            Verb::Change { version } => {
                self.source = version;
                if version != BROKEN {
                    self.last_good = version;
                }
                self.look(Cause::FileChange);
                Outcome::Done(self.in_force())
            }
            Verb::Signal => {
                self.look(Cause::Signal);
                Outcome::Done(self.in_force())
            }
            Verb::Restart => {
                (self.candidate, self.generation, self.successful) = (None, 0, true);
                self.out.clear();
                self.put(self.source, Cause::Start, "", self.replaced());
                Outcome::Done(self.in_force())
            }
        }
    }

    fn stage(&mut self, who: &'static str, version: Version, replace: bool) -> Outcome {
        match self.candidate {
            Some((_, by)) if by != who && !replace => Outcome::StagedByOther,
            _ if version == BROKEN => Outcome::Rejected,
            _ => {
                self.candidate = Some((version, who));
                self.tried = false;
                Outcome::Done(self.in_force())
            }
        }
    }

    fn promote(
        &mut self,
        who: &'static str,
        reason: &str,
        version: Version,
        expected: Version,
        (untried, rolled_back): (bool, bool),
    ) -> Outcome {
        if self.candidate.is_none_or(|(found, _)| found != version) {
            return Outcome::OtherCandidate;
        }
        if expected != self.in_force() {
            return Outcome::OtherInForce;
        }
        if self.is_withdrawn(version) && !rolled_back {
            return Outcome::RolledBack;
        }
        if version != expected && !self.tried && !untried {
            return Outcome::Untried;
        }
        self.candidate = None;
        self.withdrawn.remove(&says(version));
        if version != expected {
            self.put_by_admin(version, Cause::Promotion, who, reason);
        }
        self.successful = true;
        Outcome::Done(version)
    }

    /// Whether a colleague changed what is in force, in whatever layout since, and `who` changed nothing after that. All
    /// of it is within ten minutes. Whatever a start took that was rolled back from may be rolled back from.
    pub fn is_unnoticed_by(&self, who: &str) -> bool {
        let same = self.history.iter().take_while(|entry| says(entry.version) == says(self.in_force())).count();
        let since_own = self.history[same - 1..].iter().take_while(|entry| entry.actor != who);
        !self.is_withdrawn(self.in_force()) && since_own.map(|entry| entry.actor).any(|actor| !actor.is_empty())
    }

    fn roll_back(&mut self, who: &'static str, reason: &str, to: Option<Version>, expected: Version) -> Outcome {
        if expected != self.in_force() {
            return Outcome::OtherInForce;
        }
        // Another layout of what is in force is no way back.
        let is_other = |version: &Version| says(*version) != says(expected);
        let before: Vec<Version> = self.revisions.iter().copied().filter(is_other).collect();
        let target = match to {
            Some(named) if self.revisions.contains(&named) => named,
            Some(_) => return Outcome::NoRevision,
            None if before.is_empty() => return Outcome::NoRevision,
            None => match before.iter().find(|version| !self.is_withdrawn(**version)) {
                Some(target) => *target,
                None => return Outcome::AllWithdrawn,
            },
        };
        if target != expected {
            // What is in force is rolled back from, and what is gone back past; but for what is older than the target, which
            // was gone back to past it.
            let later: Vec<Version> = self.revisions.iter().copied().take_while(|version| *version != target).collect();
            let came = came(&self.history, target);
            let left = later.into_iter().filter(|version| came < self::came(&self.history, *version));
            self.withdrawn.extend(left.map(says));
        }
        self.withdrawn.remove(&says(target));
        if target != expected {
            self.put_by_admin(target, Cause::Rollback, who, reason);
            self.successful = true;
        }
        Outcome::Done(target)
    }

    fn reload(&mut self, who: &'static str, reason: &str, expected: Option<Version>) -> Outcome {
        if expected.is_some_and(|expected| expected != self.in_force()) {
            return Outcome::OtherInForce;
        }
        let held = self.source;
        if held == BROKEN {
            self.successful = false;
            return Outcome::Rejected;
        }
        if held != self.in_force() {
            if self.is_withdrawn(held) || (expected.is_none() && self.is_out(held)) {
                return Outcome::HeldBack;
            }
            self.out.clear();
            self.put(held, Cause::Admin, who, reason);
        }
        self.successful = true;
        Outcome::Done(held)
    }

    /// Nobody waits for what this comes to.
    fn look(&mut self, cause: Cause) {
        let held = self.source;
        self.successful = held != BROKEN;
        let out = cause != Cause::Signal && self.is_out(held);
        if held != BROKEN && held != self.in_force() && !self.is_withdrawn(held) && !out {
            self.out.clear();
            self.put(held, cause, "", self.replaced());
        }
    }

    /// The reason of what the source puts in force now: an admin had put something else there, in whatever layout since.
    fn replaced(&self) -> &'static str {
        let same = self.history.iter().take_while(|entry| says(entry.version) == says(self.in_force()));
        let by_admin = same.last().is_some_and(|entry| matches!(entry.cause, Cause::Rollback | Cause::Promotion));
        if by_admin && says(self.source) != says(self.in_force()) { REPLACES } else { "" }
    }

    /// Something else than the source holds: that stays out. Where that is broken, what it was before stays out, and what
    /// is replaced.
    fn put_by_admin(&mut self, version: Version, cause: Cause, who: &'static str, reason: &str) {
        let over = self.in_force();
        self.put(version, cause, who, reason);
        if self.source == BROKEN {
            self.out.extend([says(self.last_good), says(over)]);
            self.out.remove(&says(version));
        } else {
            self.out.clear();
            self.out.extend((self.source != version).then_some(says(self.source)));
        }
    }

    fn put(&mut self, version: Version, cause: Cause, actor: &'static str, reason: &str) {
        self.revisions.retain(|revision| *revision != version);
        self.revisions.insert(0, version);
        self.revisions.truncate(self.revisions_max);
        self.history.insert(0, Entry { version, cause, actor, reason: reason.to_owned() });
        self.generation += 1;
        // What it said beside other policies does not count.
        self.tried = false;
    }
}

/// Where in the history, which has the latest first, what a version says came: not again by a rollback or in another
/// layout, where it ever came otherwise, else where it is first told of. Later is more.
pub fn came(history: &[Entry], version: Version) -> usize {
    let says_it = |entry: &Entry| says(entry.version) == says(version);
    let earlier = |place: usize| history.iter().rev().take(place).next_back();
    let of_it = || history.iter().rev().enumerate().filter(|(_, entry)| says_it(entry));
    let forth = of_it().rfind(|(place, entry)| entry.cause != Cause::Rollback && !earlier(*place).is_some_and(says_it));
    forth.or_else(|| of_it().next()).map_or(0, |(place, _)| place + 1)
}
