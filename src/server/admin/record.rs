//! Audit record of one call of an admin, written when the call ends, however it ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tonic::Code;

use crate::policy::bundle::Digest;
use crate::server::admin::credentials::{Caller, Right};
use crate::server::admin::limits::{MENTION_WINDOW, MENTIONS_MAX};
use crate::server::admin::method::Method;
use crate::telemetry::audit::{AdminCalled, Mention, Subject};
use crate::telemetry::codes::code_name;

/// The record of one call. Written when dropped, so that a caller who goes away is in it too.
#[derive(Debug)]
pub(crate) struct Record {
    caller: Caller,
    peer: Arc<str>,
    method: Method,
    /// Digest in force when the call came.
    in_force: Digest,
    notes: Notes,
    end: End,
    reads: Arc<ReadMentions>,
}

/// End of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// The caller went away before there was an answer.
    GivenUp,
    /// With a status.
    Answered(Code),
}

/// Notes of the handler of a call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    subject: Subject,
    /// Digests before and after what the call did.
    done: Option<(Digest, Digest)>,
}

impl Record {
    /// A call that begins now.
    pub(crate) fn begin(
        caller: Caller,
        peer: Arc<str>,
        method: Method,
        in_force: Digest,
        reads: Arc<ReadMentions>,
    ) -> Self {
        Self { caller, peer, method, in_force, notes: Notes::default(), end: End::GivenUp, reads }
    }

    /// For the handler.
    pub(crate) fn notes(&self) -> Notes {
        self.notes.clone()
    }

    /// The caller.
    pub(crate) const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The call has ended with this.
    pub(crate) fn answered(mut self, code: Code) {
        self.end = End::Answered(code);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let noted = self.notes.lock();
        let (before, after) = match noted.done {
            Some((before, after)) => (before, Some(after)),
            // What is in force now may be a colleague's doing.
            None => (self.in_force, None),
        };
        let code = match self.end {
            End::GivenUp => Code::Cancelled,
            End::Answered(code) => code,
        };
        let mention = match (self.method.right(), code) {
            (Some(Right::Read), Code::Ok) => self.reads.next(&self.caller.name, self.method.name(), Instant::now()),
            _ => Mention::Write { left_out: 0 },
        };
        AdminCalled {
            actor: &self.caller.name,
            shown_by: self.caller.shown.as_str(),
            peer: &self.peer,
            method: self.method.name(),
            subject: &noted.subject,
            before: &before.to_string(),
            after: after.map(|after| after.to_string()).as_deref(),
            code: code_name(code as i32),
            mention,
        }
        .record();
    }
}

impl Notes {
    /// Notes what the call is about.
    pub(crate) fn subject(&self, note: impl FnOnce(&mut Subject)) {
        note(&mut self.lock().subject);
    }

    /// Notes what was put in force in place of what, and as what generation.
    pub(crate) fn activated(&self, before: Digest, after: Digest, generation: u64) {
        let mut noted = self.lock();
        noted.done = Some((before, after));
        noted.subject.generation = Some(generation);
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Decides which failed authentications are written into the log.
#[derive(Debug, Default)]
pub(crate) struct Mentions(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    began: Option<Instant>,
    written: u32,
    left_out: u64,
}

impl Mentions {
    /// Decides if a failure now is logged.
    pub(crate) fn next(&self, now: Instant) -> Mention {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next(now)
    }
}

/// Decides which reads that went well are written into the log: of each admin and method as many as of failed
/// authentications. Whoever may only read must not be able to push out the records of changes.
#[derive(Debug, Default)]
pub(crate) struct ReadMentions(Mutex<BTreeMap<(String, &'static str), Window>>);

impl ReadMentions {
    /// Decides if a read now is logged.
    pub(crate) fn next(&self, actor: &str, method: &'static str, now: Instant) -> Mention {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        windows.entry((actor.to_owned(), method)).or_default().next(now)
    }
}

impl Window {
    fn next(&mut self, now: Instant) -> Mention {
        let window = self;
        if window.began.is_none_or(|began| MENTION_WINDOW <= now.saturating_duration_since(began)) {
            window.began = Some(now);
            window.written = 0;
        }
        if MENTIONS_MAX <= window.written {
            window.left_out = window.left_out.saturating_add(1);
            return Mention::Count;
        }
        window.written += 1;
        Mention::Write { left_out: std::mem::take(&mut window.left_out) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_not_written() {
        let (mentions, begun) = (Mentions::default(), Instant::now());
        let first: Vec<_> = (0..1_000).map(|_| mentions.next(begun)).collect();
        assert_eq!(first.iter().filter(|mention| **mention != Mention::Count).count(), MENTIONS_MAX as usize);
        let left_out = 1_000 - u64::from(MENTIONS_MAX);
        assert_eq!(mentions.next(begun + MENTION_WINDOW), Mention::Write { left_out });
        assert_eq!(mentions.next(begun + MENTION_WINDOW), Mention::Write { left_out: 0 });
    }

    #[test]
    fn reads_of_one_admin_leave_those_of_others_their_lines() {
        let (reads, now) = (ReadMentions::default(), Instant::now());
        for _ in 0..1_000 {
            reads.next("dashboard", "GetPolicy", now);
        }
        assert_eq!(reads.next("dashboard", "GetPolicy", now), Mention::Count);
        assert_eq!(reads.next("dashboard", "GetPolicyStatus", now), Mention::Write { left_out: 0 });
        assert_eq!(reads.next("alice", "GetPolicy", now), Mention::Write { left_out: 0 });
        let left_out = 1_001 - u64::from(MENTIONS_MAX);
        assert_eq!(reads.next("dashboard", "GetPolicy", now + MENTION_WINDOW), Mention::Write { left_out });
    }
}
