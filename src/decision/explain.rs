//! Grounds of a decision, recorded while it is made.
//!
//! Explaining takes the same road as deciding: [`Recorder`] is passed in, and [`Silent`] costs
//! nothing.

use crate::domain::decision::{DeductionSource, RuleRef};
use crate::domain::facts::{FactId, Value};
use crate::domain::money::Amount;
use crate::domain::ratio::Ratio;
use crate::plan::test::Answer;

/// Rules named that nearly matched. More would be a listing of the policy.
pub const NEAR_MISSES_MAX: usize = 8;

/// Hears what happens while a claim is decided.
pub trait Recorder {
    /// Of how many rules that did not match it wants to hear the tests, for each line; zero: of none at all.
    const NEAR_MISSES_MAX: usize = NEAR_MISSES_MAX;
    /// A line is begun, or gone on with; everything that follows is about it.
    fn line(&mut self, line: u16);
    /// A fact was looked at.
    fn fact(&mut self, fact: FactId, value: Option<Value>);
    /// A test of a rule was answered, by its place in the rule: of the deciding rule, and of those before it that
    /// came nearest to a match.
    fn test(&mut self, rule: u32, test: u16, answer: Answer);
    /// A deduction was worked out: exactly, and as it was taken.
    fn deduction(&mut self, source: DeductionSource, exact: Ratio, taken: Amount);
    /// A part of a deduction that was worked out once for several lines falls on this line.
    fn part(&mut self, _line: u16, _source: DeductionSource, _taken: Amount) {}
}

/// Hears nothing.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Recorder for Silent {
    const NEAR_MISSES_MAX: usize = 0;

    fn line(&mut self, _line: u16) {}
    fn fact(&mut self, _fact: FactId, _value: Option<Value>) {}
    fn test(&mut self, _rule: u32, _test: u16, _answer: Answer) {}
    fn deduction(&mut self, _source: DeductionSource, _exact: Ratio, _taken: Amount) {}
}

/// An explanation as data, without the plan's names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Explanation {
    /// The claimed lines, in input order.
    pub lines: Vec<LineExplanation>,
}

/// Grounds of the decision on one line.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LineExplanation {
    /// Place of the line in the request.
    pub line: u16,
    /// Every fact that was looked at, once, in the order of the plan; with its value.
    pub facts: Vec<(FactId, Option<Value>)>,
    /// The rules that were tried before the deciding one and did not match, nearest first:
    /// with the tests that kept them from matching.
    pub near_misses: Vec<NearMiss>,
    /// The deductions as worked out.
    pub deductions: Vec<WorkedDeduction>,
}

/// A rule that did not match.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NearMiss {
    /// The rule.
    pub rule: RuleRef,
    /// The tests that did not hold, by their places in the rule.
    pub failed_tests: Vec<u16>,
}

/// A deduction as worked out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WorkedDeduction {
    /// Source of the deduction.
    pub source: DeductionSource,
    /// Exact amount, in billionths of a unit.
    pub exact: Ratio,
    /// Amount taken, before it is known what earlier refunds leave to take it from.
    pub taken: Amount,
}
