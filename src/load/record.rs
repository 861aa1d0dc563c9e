//! Figures of the requests and their results. Times are counted from the moment a request was meant to be sent, so that
//! a request that had to wait for its turn counts its wait.
//!
//! One recorder per thread, none shared; they are added up at the end. Nothing here knows the network.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::{Counter, Histogram};

use crate::load::revisions::Revisions;
use crate::telemetry::codes::code_name;

/// Digits of a time that are kept: 0.1 %.
const DIGITS: u8 = 3;

/// Digits of a time within a slice: 1 %, for a sixteenth of the memory.
const SLICE_DIGITS: u8 = 2;

/// Slices at most: the width of a plot has no room for more, and each has a histogram.
pub const SLICES_MAX: u32 = 600;

/// The narrowest slice.
const SLICE_MIN: Duration = Duration::from_secs(1);

/// Outcomes on the wire, counted from zero, which is never sent.
pub const OUTCOMES: usize = 6;

/// Reasons why a request has no answer that counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fault {
    /// The server ended it with this code of gRPC.
    Status(Code),
    /// The connection broke before the answer.
    ConnectionLost,
    /// There was no connection to send it on.
    NotConnected,
    /// It was sent and not answered by the end.
    Unanswered,
    /// It was not sent: too many were in flight.
    Unsent,
    /// The answer cannot be read.
    Unreadable,
    /// The answer is made of two bundles.
    Mixed,
}

/// A code of gRPC, by its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Code(pub &'static str);

impl Code {
    /// The code of a number above zero; what is no code of gRPC counts as UNKNOWN, as everywhere.
    #[must_use]
    pub fn of(number: i32) -> Self {
        Self(code_name(number))
    }
}

impl Fault {
    /// Codes of gRPC in capitals, as always; our own words in small letters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Status(Code(name)) => name,
            Self::ConnectionLost => "connection_lost",
            Self::NotConnected => "not_connected",
            Self::Unanswered => "unanswered",
            Self::Unsent => "unsent",
            Self::Unreadable => "unreadable_answer",
            Self::Mixed => "mixed_answer",
        }
    }
}

/// A part of the time measured.
#[derive(Clone, Debug)]
pub struct Slice {
    /// Times of the answers to what was meant to be sent in it, in nanoseconds.
    pub latency_ns: Histogram<u32>,
    /// Requests meant to be sent in it that failed.
    pub faults: u64,
}

/// The figures of one thread, or of all once added up.
#[derive(Clone, Debug)]
pub struct Recorder {
    /// From the intended moment to the answer, of answered requests, in nanoseconds.
    pub latency_ns: Histogram<u64>,
    /// From the intended moment to the moment of sending, as far as the generator itself was late, in nanoseconds.
    pub lateness_ns: Histogram<u64>,
    /// In order of time; each as wide as the others.
    pub slices: Vec<Slice>,
    /// Width of each slice.
    pub slice_width: Duration,
    /// Requests that were meant to be sent.
    pub intended: u64,
    /// Decisions in the answers: one for a single request.
    pub decisions: u64,
    /// Decisions by the number of their outcome.
    pub outcomes: [u64; OUTCOMES],
    /// Items of batches that have an error for an answer, by code.
    pub item_errors: BTreeMap<Code, u64>,
    /// Requests without an answer that counts, by what went wrong.
    pub faults: BTreeMap<Fault, u64>,
    /// Policies, as the answers name them.
    pub revisions: Revisions,
    /// The last answer, from the beginning of what is measured.
    pub last_answer: Duration,
}

impl Recorder {
    /// An empty one for a time of measuring.
    ///
    /// # Errors
    ///
    /// None with the constants above; the library cannot know that.
    pub fn new(measured: Duration) -> Result<Self, hdrhistogram::CreationError> {
        // Whole seconds, as few as leave no more slices than there may be.
        let slice_width = SLICE_MIN.max(Duration::from_secs(measured.as_secs().div_ceil(u64::from(SLICES_MAX))));
        let count = measured.as_nanos().div_ceil(slice_width.as_nanos().max(1));
        let slice = Slice { latency_ns: Histogram::new(SLICE_DIGITS)?, faults: 0 };
        Ok(Self {
            latency_ns: Histogram::new(DIGITS)?,
            lateness_ns: Histogram::new(DIGITS)?,
            slices: vec![slice; usize::try_from(count).unwrap_or(usize::MAX)],
            slice_width,
            intended: 0,
            decisions: 0,
            outcomes: [0; OUTCOMES],
            item_errors: BTreeMap::new(),
            faults: BTreeMap::new(),
            revisions: Revisions::default(),
            last_answer: Duration::ZERO,
        })
    }

    /// A request was answered. Both moments are counted from the beginning of what is measured.
    pub fn answered(&mut self, intended: Duration, answered: Duration) {
        let nanos = nanos(answered.saturating_sub(intended));
        note(&mut self.latency_ns, nanos);
        if let Some(slice) = self.slice(intended) {
            note(&mut slice.latency_ns, nanos);
        }
        self.last_answer = self.last_answer.max(answered);
    }

    /// A request that was meant to be sent at a moment has no answer that counts.
    pub fn failed(&mut self, intended: Duration, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
        if let Some(slice) = self.slice(intended) {
            slice.faults += 1;
        }
    }

    /// The generator got to a request so much after its moment.
    pub fn late_by(&mut self, lateness: Duration) {
        note(&mut self.lateness_ns, nanos(lateness));
    }

    /// A decision was in an answer. An outcome that is not known is counted as the one that is never sent.
    pub fn decided(&mut self, outcome: i32) {
        self.decisions += 1;
        let known = usize::try_from(outcome).ok().filter(|number| *number < OUTCOMES).unwrap_or_default();
        if let Some(count) = self.outcomes.get_mut(known) {
            *count += 1;
        }
    }

    /// All that went wrong with requests.
    #[must_use]
    pub fn faults_total(&self) -> u64 {
        self.faults.values().sum()
    }

    /// Adds what another thread recorded in the same time.
    ///
    /// # Errors
    ///
    /// None between histograms that grow; the library cannot know that.
    pub fn add(&mut self, other: &Self) -> Result<(), hdrhistogram::AdditionError> {
        self.latency_ns.add(&other.latency_ns)?;
        self.lateness_ns.add(&other.lateness_ns)?;
        for (ours, theirs) in self.slices.iter_mut().zip(&other.slices) {
            ours.latency_ns.add(&theirs.latency_ns)?;
            ours.faults += theirs.faults;
        }
        self.intended += other.intended;
        self.decisions += other.decisions;
        for (ours, theirs) in self.outcomes.iter_mut().zip(other.outcomes) {
            *ours += theirs;
        }
        for (code, count) in &other.item_errors {
            *self.item_errors.entry(*code).or_default() += count;
        }
        for (fault, count) in &other.faults {
            *self.faults.entry(*fault).or_default() += count;
        }
        self.revisions.add(&other.revisions);
        self.last_answer = self.last_answer.max(other.last_answer);
        Ok(())
    }

    fn slice(&mut self, intended: Duration) -> Option<&mut Slice> {
        let index = intended.as_nanos() / self.slice_width.as_nanos().max(1);
        self.slices.get_mut(usize::try_from(index).unwrap_or(usize::MAX))
    }
}

/// Histograms grow with what they get. One that cannot any more counts it as the most it holds, so that
/// no request is left out.
fn note<T: Counter>(histogram: &mut Histogram<T>, nanos: u64) {
    if histogram.record(nanos).is_err() {
        histogram.saturating_record(nanos);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::arrivals::{Arrivals, Part, Schedule};

    const MEASURED: Duration = Duration::from_secs(10);

    fn millis(recorder: &Recorder, quantile: f64) -> u64 {
        recorder.latency_ns.value_at_quantile(quantile) / 1_000_000
    }

    /// A server that takes a tenth of a millisecond, one request after the other, and does nothing at
    /// all from `5 s` until `6 s`.
    fn answered_at(sent: Duration, free: Duration) -> Duration {
        let begun = sent.max(free);
        let stall = Duration::from_secs(5)..Duration::from_secs(6);
        (if stall.contains(&begun) { stall.end } else { begun }) + Duration::from_micros(100)
    }

    #[test]
    fn a_stall_shows_in_every_request_that_was_meant_to_be_sent_in_it() {
        let mut recorder = Recorder::new(MEASURED).unwrap();
        let mut schedule = Schedule::new(Arrivals::Constant, 1_000, Part { index: 0, of: 1 }, 1);
        let mut free = Duration::ZERO;
        while schedule.next() < MEASURED {
            free = answered_at(schedule.next(), free);
            recorder.answered(schedule.next(), free);
            schedule.advance();
        }
        // A tenth of all requests fell into the stall and waited half a second on average, and the
        // thousand of them were then worked off in 100 ms while others came.
        assert_eq!(recorder.latency_ns.len(), 10_000);
        assert!(millis(&recorder, 0.5) == 0, "{}", millis(&recorder, 0.5));
        assert!((450..650).contains(&millis(&recorder, 0.95)), "{}", millis(&recorder, 0.95));
        assert!((850..950).contains(&millis(&recorder, 0.99)), "{}", millis(&recorder, 0.99));
        assert!((990..1_010).contains(&(recorder.latency_ns.max() / 1_000_000)));
        let worst = |slice: &Slice| slice.latency_ns.max() / 1_000_000;
        assert_eq!(worst(&recorder.slices[4]), 0);
        assert!(990 <= worst(&recorder.slices[5]), "{}", worst(&recorder.slices[5]));
    }

    #[test]
    fn a_closed_loop_would_have_hidden_the_same_stall() {
        let mut recorder = Recorder::new(MEASURED).unwrap();
        let mut now = Duration::ZERO;
        while now < MEASURED {
            let answered = answered_at(now, now);
            recorder.answered(now, answered);
            now = now.max(answered) + Duration::from_micros(900);
        }
        assert!(millis(&recorder, 0.999) == 0, "one bad answer of thousands: {}", millis(&recorder, 0.999));
    }

    #[test]
    fn recorders_add_up() {
        let mut whole = Recorder::new(MEASURED).unwrap();
        let mut part = Recorder::new(MEASURED).unwrap();
        part.answered(Duration::from_secs(9), Duration::from_millis(9_250));
        part.failed(Duration::from_secs(2), Fault::Status(Code::of(14)));
        part.failed(Duration::from_secs(2), Fault::Unsent);
        part.decided(2);
        part.decided(77);
        part.intended = 3;
        whole.add(&part).unwrap();
        whole.add(&part).unwrap();
        assert_eq!((whole.intended, whole.latency_ns.len(), whole.faults_total()), (6, 2, 4));
        assert_eq!(whole.faults.get(&Fault::Status(Code("UNAVAILABLE"))), Some(&2));
        assert_eq!((whole.decisions, whole.outcomes), (4, [2, 0, 2, 0, 0, 0]));
        assert_eq!((whole.slices[2].faults, whole.slices[9].latency_ns.len()), (4, 2));
        assert_eq!(whole.last_answer, Duration::from_millis(9_250));
    }

    #[test]
    fn slices_are_seconds_until_there_are_too_many() {
        let slices = |secs| {
            let recorder = Recorder::new(Duration::from_secs(secs)).unwrap();
            (recorder.slices.len(), recorder.slice_width.as_secs())
        };
        assert_eq!(slices(30), (30, 1));
        assert_eq!(slices(600), (600, 1));
        assert_eq!(slices(601), (301, 2));
        assert_eq!(slices(3_600), (600, 6));
        assert_eq!(Recorder::new(Duration::from_millis(1_200)).unwrap().slices.len(), 2);
    }
}
