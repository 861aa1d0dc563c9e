//! The answer, in the plan's own numbering: compact, exact, without texts.
//!
//! Rules, steps, kinds and reasons are places in the plan that decided; whoever shows a decision
//! to someone looks the names up there.

use std::fmt;
use std::num::NonZeroU16;

use smallvec::SmallVec;

use crate::domain::facts::FactId;
use crate::domain::money::Amount;
use crate::domain::time::Date;
use crate::domain::words::{DeductionKind, LiableParty, Outcome, ReasonCode, RefundMethod};

/// Reason codes that apply, each once, in order of precedence: one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct ReasonCodes(u64);

/// The decision on one claim.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// The answer for the order, from the answers for its lines.
    pub outcome: Outcome,
    /// Reasons why the answer is not "all of it"; empty for a full approval. The first is the primary one.
    pub reason_codes: ReasonCodes,
    /// Amount refunded: the sum over lines and components.
    pub refund: Amount,
    /// The claimed lines, in input order.
    pub lines: SmallVec<[LineDecision; 1]>,
    /// Refund of each component, in input order; those of lines that are not claimed get nothing.
    pub components: SmallVec<[ComponentDecision; 1]>,
    /// Refund to each tender, in input order; sums to `refund`.
    pub tenders: SmallVec<[TenderRefund; 2]>,
    /// The way the money goes back.
    pub method: RefundMethod,
    /// State of the evidence.
    pub evidence: EvidenceReport,
    /// Next steps that the customer can take, as places in the plan.
    pub next_steps: SmallVec<[u16; 4]>,
    /// When a reviewer will have looked at it.
    pub review: Option<DateWindow>,
    /// When the money arrives.
    pub payout: Option<DateWindow>,
}

/// The decision on one line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineDecision {
    /// Place of the line in the request.
    pub line: u16,
    /// The answer.
    pub outcome: Outcome,
    /// Reasons why the answer is not "all of it", in order of precedence.
    pub reason_codes: ReasonCodes,
    /// The rule that decided.
    pub rule: RuleRef,
    /// Liable party, as the policy sees it.
    pub liable: Option<LiableParty>,
    /// The refundable base: what was paid less earlier refunds. Zero where no amount was worked
    /// out (denied by rule, more information required, manual review).
    pub base: Amount,
    /// Amount refunded: `base` less all deductions.
    pub refund: Amount,
    /// Amount refunded of the line in all, before and now, as its rule has it: the price less the deductions. Zero
    /// where no amount was worked out.
    pub due: Amount,
    /// Amounts held back, in the order they were taken.
    pub deductions: SmallVec<[Deduction; 2]>,
    /// Amounts given on top of the refund, never netted into it.
    pub compensations: SmallVec<[ExtraAmount; 1]>,
    /// Amounts that the customer owes, never netted into the refund.
    pub amounts_due: SmallVec<[ExtraAmount; 1]>,
    /// The facts that the deciding rule needs and the request lacks.
    pub missing_facts: SmallVec<[FactId; 2]>,
}

/// Refund of a component.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ComponentDecision {
    /// Place of the component in the request.
    pub component: u16,
    /// The refundable base: what it cost less earlier refunds; zero where nothing it belongs to is approved.
    pub base: Amount,
    /// Amount refunded: `base` less all deductions.
    pub refund: Amount,
    /// Amounts held back.
    pub deductions: SmallVec<[Deduction; 2]>,
}

/// An amount beside the refund.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExtraAmount {
    /// Place in the list of the rule that decided the line.
    pub place: u16,
    /// The amount; more than zero.
    pub amount: Amount,
}

/// A part that is held back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deduction {
    /// Kind of the deduction.
    pub kind: DeductionKind,
    /// Source of the deduction.
    pub source: DeductionSource,
    /// Amount it was taken from: the rest of the price after earlier deductions.
    pub base: Amount,
    /// Amount held back; more than zero.
    pub amount: Amount,
}

/// The source of a deduction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeductionSource {
    /// A step of a rule, by its place in the rule.
    Step {
        /// The rule.
        rule: RuleRef,
        /// Place of the step in the rule.
        step: u16,
        /// The tier that it goes by, counted from one; `None`: it has no tiers.
        tier: Option<NonZeroU16>,
    },
    /// The part of a component that the policy keeps.
    Component,
    /// The share of a tender that money cannot go back to.
    NonRefundableTender,
    /// The amount that the customer did not ask for.
    RequestedAmount,
}

/// The rule that decided a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RuleRef {
    /// A rule, by its place in the policy.
    Rule(u32),
    /// The policy's `otherwise`.
    Otherwise,
}

/// Refund to one tender.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TenderRefund {
    /// Place of the tender in the request; zero for the one unnamed tender of an order without any.
    pub tender: u16,
    /// Amount refunded.
    pub amount: Amount,
    /// When it arrives there; `None` where nothing goes back or the policy does not say.
    pub payout: Option<DateWindow>,
}

/// A range of days in which something happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DateWindow {
    /// From the first day to the last, both included.
    Dates {
        /// The first day.
        earliest: Date,
        /// The last day.
        latest: Date,
    },
    /// It reaches beyond the days that the business calendar covers: no date can be named.
    BeyondCalendar,
}

/// Verdict on the evidence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EvidenceVerdict {
    /// All that is asked for was given.
    Sufficient,
    /// Something is missing.
    Insufficient,
    /// None is asked for.
    NotRequired,
}

/// State of the evidence. Kinds and pieces are places in the plan and in the request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EvidenceReport {
    /// Verdict on the evidence.
    pub verdict: EvidenceVerdict,
    /// The pieces that satisfy the requirement, as places in the claim's evidence.
    pub satisfied_by: SmallVec<[u16; 4]>,
    /// The kinds still missing, as bits by kind: any one of these sets would do. Smallest first.
    pub missing: SmallVec<[u64; 4]>,
    /// The kinds of which several pieces are missing.
    pub missing_more: Vec<MissingMore>,
    /// The pieces that cannot be accepted.
    pub rejected: SmallVec<[RejectedEvidence; 1]>,
    /// Phrases of the text that say nothing checkable.
    pub text_findings: SmallVec<[TextFinding; 1]>,
}

/// Further pieces of a kind that are missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MissingMore {
    /// The set, by its place in [`EvidenceReport::missing`].
    pub set: u16,
    /// The kind.
    pub kind: u16,
    /// Number of pieces missing beside the first one.
    pub pieces: u16,
}

/// A piece of evidence that cannot be accepted, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RejectedEvidence {
    /// Place of the piece in the claim's evidence.
    pub evidence: u16,
    /// Problem of the piece.
    pub problem: EvidenceProblem,
}

/// Problem of a piece of evidence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EvidenceProblem {
    /// It names another order.
    AnotherOrder,
    /// Its media type is not among those that the kind allows.
    MediaTypeNotAllowed,
    /// The kind requires a media type and none was said.
    MediaTypeMissing,
    /// It is larger than the kind allows.
    TooLarge,
    /// It is larger than is allowed together with the other pieces.
    TooLargeTogether,
    /// The kind requires a time of capture and none was said.
    CaptureTimeMissing,
    /// It was captured before the kind allows.
    CapturedTooEarly,
    /// It was captured after the kind allows.
    CapturedTooLate,
    /// It is older than the kind allows.
    Expired,
    /// A field that the kind requires is absent or blank; place in the kind's list of fields.
    FieldMissing(u16),
}

impl ReasonCodes {
    /// These codes.
    #[must_use]
    pub const fn of(codes: &[ReasonCode]) -> Self {
        let (mut all, mut left) = (Self(0), codes);
        while let [code, others @ ..] = left {
            all.insert(*code);
            left = others;
        }
        all
    }

    /// Adds a code.
    pub const fn insert(&mut self, code: ReasonCode) {
        self.0 |= 1 << code.index();
    }

    /// Takes a code out.
    pub const fn remove(&mut self, code: ReasonCode) {
        self.0 &= !(1 << code.index());
    }

    /// Adds all of these.
    pub const fn insert_all(&mut self, others: Self) {
        self.0 |= others.0;
    }

    /// Returns true if there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns true if this code is one of them.
    #[must_use]
    pub const fn contains(self, code: ReasonCode) -> bool {
        self.meets(Self::of(&[code]))
    }

    /// Returns true if they have a code in common.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The primary one.
    #[must_use]
    pub fn first(self) -> Option<ReasonCode> {
        u16::try_from(self.0.trailing_zeros()).ok().and_then(ReasonCode::from_index)
    }

    /// All of them, in order of precedence.
    pub fn iter(self) -> impl Iterator<Item = ReasonCode> + Clone {
        let mut left = self;
        std::iter::from_fn(move || {
            let code = left.first()?;
            left.0 &= left.0.wrapping_sub(1);
            Some(code)
        })
    }
}

impl FromIterator<ReasonCode> for ReasonCodes {
    fn from_iter<I: IntoIterator<Item = ReasonCode>>(codes: I) -> Self {
        let mut all = Self::default();
        codes.into_iter().for_each(|code| all.insert(code));
        all
    }
}

impl fmt::Debug for ReasonCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

const _: () = assert!(ReasonCode::ALL.len() < u64::BITS as usize, "a set of codes is one u64");

impl EvidenceProblem {
    /// The reason code that stands for it.
    #[must_use]
    pub const fn reason_code(self) -> ReasonCode {
        match self {
            Self::Expired => ReasonCode::EvidenceExpired,
            Self::AnotherOrder
            | Self::MediaTypeNotAllowed
            | Self::MediaTypeMissing
            | Self::TooLarge
            | Self::TooLargeTogether
            | Self::CaptureTimeMissing
            | Self::CapturedTooEarly
            | Self::CapturedTooLate
            | Self::FieldMissing(_) => ReasonCode::EvidenceInvalid,
        }
    }
}

/// A phrase of the claim's text that says nothing checkable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TextFinding {
    /// Place of the phrase in the policy's list.
    pub phrase: u16,
    /// First byte of it in the text as sent.
    pub start: u32,
    /// First byte after it.
    pub end: u32,
}

impl EvidenceReport {
    /// The kinds of a missing set, each as often as pieces of it are missing.
    pub fn missing_kinds(&self, set: usize) -> impl Iterator<Item = u16> {
        let kinds = self.missing.get(set).copied().unwrap_or(0);
        let more = move |kind: u16| {
            let of_it = self.missing_more.iter().find(|more| usize::from(more.set) == set && more.kind == kind);
            usize::from(of_it.map_or(0, |more| more.pieces))
        };
        let missing = (0..64u16).filter(move |kind| kinds >> kind & 1 == 1);
        missing.flat_map(move |kind| std::iter::repeat_n(kind, 1 + more(kind)))
    }

    /// None is asked for and none was looked at.
    #[must_use]
    pub fn not_required() -> Self {
        Self {
            verdict: EvidenceVerdict::NotRequired,
            satisfied_by: SmallVec::new(),
            missing: SmallVec::new(),
            missing_more: Vec::new(),
            rejected: SmallVec::new(),
            text_findings: SmallVec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_named_once_in_order_of_precedence() {
        let mut codes =
            ReasonCodes::of(&[ReasonCode::DeductionsApplied, ReasonCode::WindowExpired, ReasonCode::OrderNotPaid]);
        codes.insert(ReasonCode::WindowExpired);
        let named = [ReasonCode::OrderNotPaid, ReasonCode::WindowExpired, ReasonCode::DeductionsApplied];
        assert_eq!(codes.iter().collect::<Vec<_>>(), named);
        assert_eq!(codes, named.into_iter().rev().collect());
        assert_eq!(codes.first(), Some(ReasonCode::OrderNotPaid));
        assert!(ReasonCodes::of(ReasonCode::ALL).iter().eq(ReasonCode::ALL.iter().copied()));
        assert!(ReasonCodes::default().is_empty() && ReasonCodes::default().first().is_none());
        assert!(codes.contains(ReasonCode::WindowExpired) && !codes.contains(ReasonCode::FactMissing));
        assert!(codes.meets(ReasonCodes::of(&[ReasonCode::OrderNotPaid, ReasonCode::FactMissing])));
        assert!(!codes.meets(ReasonCodes::of(&[ReasonCode::FactMissing])));
    }
}
