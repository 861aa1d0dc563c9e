//! Candidate: a staged bundle, and the comparison of its answers to live requests with those given.
//!
//! Pure: there is no clock and no thread here. Who asks a candidate, when, and on how much time is
//! for others; nothing that it says reaches a caller.
//!
//! *Different* is a request with another policy, outcome, primary reason or refund, or with a line
//! that another rule decides or that gets another refund. Rules are known by their ids, so a rule
//! that was only renamed counts as different, with no money. Further reasons, kinds of deductions,
//! the split over tenders, next steps, evidence and dates are not compared.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::decision::{Decision, RuleRef};
use crate::domain::money::{Amount, Currency};
use crate::domain::time::Timestamp;
use crate::domain::words::{Outcome, ReasonCode};
use crate::engine::snapshot::{Plans, Snapshot};
use crate::engine::status::{CandidateReport, MoneyDifference, ReasonDifference, Revision, RuleDifference};
use crate::plan::Plan;
use crate::policy::bundle::Digest;

/// Rows of a report about rules: more than a person reads, little enough for one message.
pub const RULE_ROWS_MAX: usize = 100;

/// Pairs of rules that are told apart while counting; lines of further pairs are only counted. Two
/// tables of [`crate::domain::limits::RULES_MAX`] rules have too many pairs to keep.
const RULE_PAIRS_MAX: usize = 4_096;

/// Panics after which a candidate is not asked any more: it is broken, and each one is in the log.
pub const FAILURES_MAX: u64 = 100;

/// A bundle that may be put in force and is not.
#[derive(Debug)]
pub struct Candidate {
    snapshot: Arc<Snapshot>,
    staging: Staging,
    tally: Mutex<Tally>,
    shed: AtomicU64,
    failed: AtomicU64,
    unnamed: AtomicU64,
}

/// Staging of a candidate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Staging {
    /// When it was staged.
    pub at: Timestamp,
    /// Admin who staged it.
    pub actor: String,
    /// Digest that was active then.
    pub over: Digest,
    /// Sampled orders per thousand: 1 to 1000.
    pub sample_per_thousand: u16,
}

/// Result of sampling a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sampled {
    /// The candidate is asked about it.
    Yes,
    /// It is not asked.
    No,
}

/// The compared part of the answer of one of the two policies to a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observed {
    /// The policy that decided.
    pub policy: String,
    /// The currency of the order.
    pub currency: Currency,
    /// The outcome and its primary reason.
    pub outcome: (Outcome, Option<ReasonCode>),
    /// The refund.
    pub refund: Amount,
    /// Each line: its place, the rule that decided it, what goes back for it.
    pub lines: Vec<(u16, String, Amount)>,
}

impl Candidate {
    /// The candidate of an admitted bundle's policies. Its snapshot has generation 0: it is not in force.
    #[must_use]
    pub fn new(plans: impl Into<Arc<Plans>>, staging: Staging) -> Self {
        Self {
            snapshot: Arc::new(Snapshot::new(plans, 0)),
            staging,
            tally: Mutex::default(),
            shed: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            unnamed: AtomicU64::new(0),
        }
    }

    /// Its staging.
    #[must_use]
    pub const fn staging(&self) -> &Staging {
        &self.staging
    }

    /// The policies in it.
    #[must_use]
    pub const fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The identity of its content.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.snapshot.digest
    }

    /// Tells if the candidate is asked about the request on this order. Orders are sampled, not requests: all
    /// requests on an order are, or none, on every replica alike. Without an order's id, the request's id
    /// counts; without both, each request is drawn by itself.
    #[must_use]
    pub fn samples(&self, order_id: &str, request_id: &str) -> Sampled {
        let lot = match (order_id, request_id) {
            ("", "") => draw(&self.unnamed.fetch_add(1, Ordering::Relaxed).to_le_bytes()),
            ("", request_id) => draw(request_id.as_bytes()),
            (order_id, _) => draw(order_id.as_bytes()),
        };
        if lot < self.staging.sample_per_thousand { Sampled::Yes } else { Sampled::No }
    }

    /// Notes what both said to one request: the policies in force as this generation, and the
    /// candidate. The figures are about one generation: they begin again with each new one, and
    /// what comes late from an earlier one is left out.
    pub fn compare(&self, generation: u64, live: &Observed, own: &Observed) {
        if let Some(mut tally) = self.tally_for(generation) {
            tally.compare(live, own);
        }
    }

    /// Notes that a request which was decided by this generation cannot be read by the candidate.
    pub fn not_comparable(&self, generation: u64) {
        if let Some(mut tally) = self.tally_for(generation) {
            tally.not_comparable = tally.not_comparable.saturating_add(1);
        }
    }

    /// Notes that a sampled request was let go.
    pub fn shed(&self) {
        self.shed.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that it panicked, or that the live answer could not be had again.
    pub fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells if it failed `FAILURES_MAX` times and is not asked any more; further samples are shed.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        FAILURES_MAX <= self.failed.load(Ordering::Relaxed)
    }

    /// Comparison with the active revision. `shed` and `failed` are counted since it was staged,
    /// everything else since it was staged or the policies in force changed, whichever is later.
    #[must_use]
    pub fn report(&self, now: Timestamp, in_force: &Revision) -> CandidateReport {
        let Staging { at, actor, over, sample_per_thousand } = &self.staging;
        let fresh = Tally::default();
        let tally = self.tally();
        let tally = if tally.generation == in_force.generation { &*tally } else { &fresh };
        let (by_rule, further_rules) = tally.by_rule();
        CandidateReport {
            digest: self.digest(),
            staged_at: *at,
            actor: actor.clone(),
            staged_over: *over,
            compared_with: in_force.digest,
            // Who went back from what is not known here.
            withdrawal: None,
            sample_per_thousand: *sample_per_thousand,
            observed: between((*at).max(in_force.activated_at), now),
            compared: tally.compared,
            different: tally.different,
            not_comparable: tally.not_comparable,
            shed: self.shed.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            money: tally.money(),
            by_rule,
            further_rules,
            by_reason: tally.by_reason(),
        }
    }

    /// The tally against this generation; `None` where it is against a later one already.
    fn tally_for(&self, generation: u64) -> Option<MutexGuard<'_, Tally>> {
        let mut tally = self.tally();
        if tally.generation < generation {
            *tally = Tally { generation, ..Tally::default() };
        }
        (tally.generation == generation).then_some(tally)
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        // Figures may be off by the one request during which a thread panicked.
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observed {
    /// The compared part of a plan's answer; `currency` is the index of the order's currency in the plan.
    /// `None` where the plan has no such currency or rule: the decision is of another plan.
    #[must_use]
    pub fn of(plan: &Plan, currency: u16, decision: &Decision) -> Option<Self> {
        let known = |rule| rule == RuleRef::Otherwise || plan.rule(rule).is_some();
        let rule = |rule| known(rule).then(|| plan.rule_id(rule).to_owned());
        let lines = decision.lines.iter().map(|line| Some((line.line, rule(line.rule)?, line.refund)));
        Some(Self {
            policy: plan.id.clone(),
            currency: plan.currencies.get(usize::from(currency))?.clone(),
            outcome: (decision.outcome, decision.reason_codes.first()),
            refund: decision.refund,
            lines: lines.collect::<Option<_>>()?,
        })
    }
}

/// A number below a thousand that follows from an id alone, each as likely as another.
fn draw(id: &[u8]) -> u16 {
    let hash = blake3::hash(id);
    let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
    let wide = u128::from(u64::from_le_bytes([a, b, c, d, e, f, g, h])) * 1_000;
    u16::try_from(wide >> 64).unwrap_or(u16::MAX)
}

/// From one moment to another; nothing where the clock was set back.
fn between(from: Timestamp, to: Timestamp) -> Duration {
    let nanos = to.nanos().saturating_sub(from.nanos()).max(0);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Counts against one generation.
#[derive(Debug, Default)]
struct Tally {
    generation: u64,
    compared: u64,
    different: u64,
    not_comparable: u64,
    money: Vec<MoneyDifference>,
    rules: HashMap<RulePair, Lines>,
    further_lines: u64,
    reasons: HashMap<(Answer, Answer), u64>,
}

type Answer = (Outcome, Option<ReasonCode>);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct RulePair {
    policy: String,
    live: String,
    candidate: String,
}

#[derive(Debug, Default)]
struct Lines {
    count: u64,
    difference: Vec<(Currency, i128)>,
}

impl Tally {
    fn compare(&mut self, live: &Observed, own: &Observed) {
        self.compared = self.compared.saturating_add(1);
        self.note_money(live, own);
        if live == own {
            return;
        }
        self.different = self.different.saturating_add(1);
        *self.reasons.entry((live.outcome, own.outcome)).or_default() += 1;
        for (_, [before, after]) in lines_of_both(live, own) {
            if before != after || live.policy != own.policy || live.currency != own.currency {
                self.note_line(live, own, before.unwrap_or_default(), after.unwrap_or_default());
            }
        }
    }

    /// No sum overflows: each refund is an `i64`, and there are fewer than 2^64 of them.
    fn note_money(&mut self, live: &Observed, own: &Observed) {
        let (before, after) = (i128::from(live.refund.minor()), i128::from(own.refund.minor()));
        if live.currency == own.currency {
            let row = self.money_row(&live.currency);
            row.live += before;
            row.candidate += after;
            row.above += (after - before).max(0);
            row.below += (before - after).max(0);
        } else {
            // Declared otherwise by the two policies: what one gives is all that there is of it.
            let row = self.money_row(&live.currency);
            row.live += before;
            row.below += before;
            let row = self.money_row(&own.currency);
            row.candidate += after;
            row.above += after;
        }
    }

    fn money_row(&mut self, currency: &Currency) -> &mut MoneyDifference {
        let rows = &mut self.money;
        let place = rows.iter().position(|row| row.currency == *currency).unwrap_or(rows.len());
        if place == rows.len() {
            rows.push(MoneyDifference { currency: currency.clone(), live: 0, candidate: 0, above: 0, below: 0 });
        }
        #[expect(clippy::indexing_slicing, reason = "the place is that of a row, or of the one just added")]
        &mut rows[place]
    }

    fn note_line(&mut self, live: &Observed, own: &Observed, before: (&str, Amount), after: (&str, Amount)) {
        // Where the request named no policy, two may have decided: the rules of one are not the other's.
        let candidate =
            if live.policy == own.policy { after.0.to_owned() } else { format!("{}/{}", own.policy, after.0) };
        let pair = RulePair { policy: live.policy.clone(), live: before.0.to_owned(), candidate };
        if RULE_PAIRS_MAX <= self.rules.len() && !self.rules.contains_key(&pair) {
            self.further_lines = self.further_lines.saturating_add(1);
            return;
        }
        let lines = self.rules.entry(pair).or_default();
        lines.count = lines.count.saturating_add(1);
        lines.add(&live.currency, -i128::from(before.1.minor()));
        lines.add(&own.currency, i128::from(after.1.minor()));
    }

    fn money(&self) -> Vec<MoneyDifference> {
        let mut rows = self.money.clone();
        rows.sort_by(|a, b| by_currency(&a.currency, &b.currency));
        rows
    }

    /// The rows with most lines, and how many lines the others have.
    fn by_rule(&self) -> (Vec<RuleDifference>, u64) {
        let mut pairs: Vec<_> = self.rules.iter().collect();
        pairs.sort_by(|a, b| b.1.count.cmp(&a.1.count).then_with(|| a.0.cmp(b.0)));
        let rest = pairs.split_off(RULE_ROWS_MAX.min(pairs.len()));
        let further = rest.iter().fold(self.further_lines, |sum, (_, lines)| sum.saturating_add(lines.count));
        let rows = pairs.into_iter().map(|(RulePair { policy, live, candidate }, lines)| RuleDifference {
            policy: policy.clone(),
            live: live.clone(),
            candidate: candidate.clone(),
            lines: lines.count,
            difference: lines.sorted(),
        });
        (rows.collect(), further)
    }

    fn by_reason(&self) -> Vec<ReasonDifference> {
        let row = |(&(live, candidate), &requests)| ReasonDifference { live, candidate, requests };
        let mut rows: Vec<ReasonDifference> = self.reasons.iter().map(row).collect();
        rows.sort_by_key(|row| (std::cmp::Reverse(row.requests), row.live, row.candidate));
        rows
    }
}

impl Lines {
    fn add(&mut self, currency: &Currency, amount: i128) {
        match self.difference.iter_mut().find(|(known, _)| known == currency) {
            Some((_, sum)) => *sum += amount,
            None => self.difference.push((currency.clone(), amount)),
        }
    }

    fn sorted(&self) -> Vec<(Currency, i128)> {
        let mut difference = self.difference.clone();
        difference.sort_by(|a, b| by_currency(&a.0, &b.0));
        difference
    }
}

fn by_currency(a: &Currency, b: &Currency) -> std::cmp::Ordering {
    a.code.cmp(&b.code).then(a.exponent.cmp(&b.exponent))
}

/// Each line by its place, with what the two said of it. Both decide the lines that are claimed,
/// so they have the same ones; a line of only one would be one without rule or money in the other.
fn lines_of_both<'a>(live: &'a Observed, own: &'a Observed) -> BTreeMap<u16, [Option<(&'a str, Amount)>; 2]> {
    let mut lines: BTreeMap<u16, [Option<(&str, Amount)>; 2]> = BTreeMap::new();
    for (line, rule, refund) in &live.lines {
        let [before, _] = lines.entry(*line).or_default();
        *before = Some((rule, *refund));
    }
    for (line, rule, refund) in &own.lines {
        let [_, after] = lines.entry(*line).or_default();
        *after = Some((rule, *refund));
    }
    lines
}

#[cfg(test)]
mod tests;
