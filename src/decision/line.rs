//! One line under a plan: its facts, given and derived, and which of them are missing.
//!
//! A derived fact is worked out when something asks for it, once; so a fact that no remaining
//! rule needs cannot be missing.

use smallvec::SmallVec;

use crate::decision::explain::Recorder;
use crate::decision::machine::{Environment, Evaluated, Fault, run, wanting};
use crate::domain::facts::{FactId, LineFacts, Value};
use crate::domain::limits::DERIVED_FACTS_MAX;
use crate::domain::money::{Amount, Currency};
use crate::domain::ratio::Ratio;
use crate::plan::Plan;
use crate::plan::fact::{Derived, Row};
use crate::plan::formula::Formula;
use crate::plan::test::{Answer, Test};

/// The facts that are missing, each once.
pub type MissingFacts = SmallVec<[FactId; 2]>;

/// One line while it is decided.
pub struct Line<'p, 'f, 'r, R> {
    /// The plan.
    pub plan: &'p Plan,
    /// The line's facts.
    pub facts: &'f LineFacts<'f>,
    /// The order's currency.
    pub currency: &'p Currency,
    /// Hears what is looked at.
    pub recorder: &'r mut R,
    /// Effect of earlier deductions.
    pub standing: Remaining,
    /// Derived facts worked out so far, in the order in which they were asked for.
    derived: SmallVec<[Evaluated; 8]>,
    /// For each derived fact, how many were worked out when it was: one more than its place among them. Zero: not yet.
    worked_out: [u8; DERIVED_FACTS_MAX],
}

const _: () = assert!(DERIVED_FACTS_MAX < u8::MAX as usize, "the derived facts of a line are counted in a byte");

/// Amount left of a line or an order, and amount taken by the step before; `None` where a fact is missing for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Remaining {
    /// Amount left.
    pub left: Option<Amount>,
    /// Amount taken by the step before.
    pub previous: Option<Amount>,
}

/// Combined result of several tests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TestResult {
    /// All of them hold.
    Yes,
    /// One of them does not.
    No,
    /// None fails, but a fact is missing.
    Missing,
    /// None fails, but formulas have no result: the fault of the first of them as written.
    Faulty(Fault),
}

impl TestResult {
    /// The same with one more test that cannot be answered, for a fault or because a fact is missing: the first fault counts,
    /// and any fault before a missing fact.
    const fn beside(self, fault: Option<Fault>) -> Self {
        match (self, fault) {
            (Self::No | Self::Faulty(_), _) => self,
            (Self::Yes | Self::Missing, Some(fault)) => Self::Faulty(fault),
            (Self::Yes | Self::Missing, None) => Self::Missing,
        }
    }
}

impl<R: Recorder> Environment for Line<'_, '_, '_, R> {
    #[inline]
    fn fact(&mut self, fact: FactId) -> Result<Option<&Value>, Fault> {
        self.value(fact)
    }

    fn remaining(&self) -> Option<Ratio> {
        self.standing.left.map(|left| self.currency.nanos(left))
    }

    fn previous(&self) -> Option<Ratio> {
        self.standing.previous.map(|previous| self.currency.nanos(previous))
    }
}

impl<'p, 'f, 'r, R: Recorder> Line<'p, 'f, 'r, R> {
    /// A line of which nothing has been worked out yet.
    pub fn new(plan: &'p Plan, currency: &'p Currency, facts: &'f LineFacts<'f>, recorder: &'r mut R) -> Self {
        let standing = Remaining { left: Some(Amount::ZERO), previous: Some(Amount::ZERO) };
        let worked_out = [0; DERIVED_FACTS_MAX];
        Self { plan, facts, currency, recorder, standing, derived: SmallVec::new(), worked_out }
    }

    /// The value of a given fact. It is recorded nowhere.
    #[inline]
    pub fn given(&self, fact: FactId) -> Option<&'f Value> {
        self.facts.values.get(usize::from(fact.0)).and_then(Option::as_ref)
    }

    /// The value of a fact; `None` where it is missing.
    #[inline]
    pub fn value(&mut self, fact: FactId) -> Result<Option<&Value>, Fault> {
        let Some(place) = fact.0.checked_sub(self.plan.given_facts).map(usize::from) else {
            let value = self.given(fact);
            self.recorder.fact(fact, value.copied());
            return Ok(value);
        };
        let nth = match self.worked_out.get(place).and_then(|nth| nth.checked_sub(1)) {
            Some(nth) => usize::from(nth),
            None => self.derive(fact, place),
        };
        self.derived.get(nth).map_or(Ok(None), |known| known.as_ref().map(Option::as_ref).map_err(|fault| *fault))
    }

    /// Works out a derived fact, for the first time; its place among those worked out.
    #[inline(never)]
    fn derive(&mut self, fact: FactId, place: usize) -> usize {
        // A fact uses facts above it only, so this ends after as many steps as there are facts.
        let plan = self.plan;
        let value = match plan.derived.get(place) {
            Some(Derived::Formula(formula)) => run(formula, plan, self),
            Some(Derived::Table { rows, otherwise }) => self.table(rows, otherwise),
            None => Ok(None),
        };
        let nth = self.derived.len();
        self.derived.push(value);
        if let (Some(count), Ok(now)) = (self.worked_out.get_mut(place), u8::try_from(nth + 1)) {
            *count = now;
        }
        self.recorder.fact(fact, value.ok().flatten());
        nth
    }

    fn table(&mut self, rows: &'p [Row], otherwise: &'p Formula) -> Evaluated {
        match self.row(rows) {
            Ok(Some(row)) => run(&row.value, self.plan, self),
            Ok(None) => run(otherwise, self.plan, self),
            Err(TestResult::Faulty(fault)) => Err(fault),
            Err(TestResult::Missing | TestResult::Yes | TestResult::No) => Ok(None),
        }
    }

    /// The first row whose tests hold; an error where that cannot be told.
    fn row(&mut self, rows: &'p [Row]) -> Result<Option<&'p Row>, TestResult> {
        for row in rows {
            match self.holds(&row.tests) {
                TestResult::Yes => return Ok(Some(row)),
                TestResult::No => {}
                unknown @ (TestResult::Missing | TestResult::Faulty(_)) => return Err(unknown),
            }
        }
        Ok(None)
    }

    /// Answer of a test for this line.
    #[inline]
    pub fn answer(&mut self, test: &Test) -> (Answer, Option<Fault>) {
        match self.value(test.fact) {
            Ok(value) => (test.accepts.answer(value), None),
            Err(fault) => (Answer::Unknown, Some(fault)),
        }
    }

    /// Answer of a test for this line, where the fact has been told before.
    pub fn answer_untold(&mut self, test: &Test) -> Answer {
        if test.fact.0 < self.plan.given_facts {
            return test.accepts.answer(self.given(test.fact));
        }
        self.answer(test).0
    }

    /// Combined result of tests: one no decides, whatever else is unknown.
    pub fn holds(&mut self, tests: &[Test]) -> TestResult {
        let mut held = TestResult::Yes;
        for test in tests {
            match self.answer(test) {
                (Answer::Yes, _) => {}
                (Answer::No, _) => return TestResult::No,
                (Answer::Unknown, fault) => held = held.beside(fault),
            }
        }
        held
    }

    /// Adds the given facts that are missing, so that the tests cannot be answered.
    pub fn missing_in_tests(&mut self, tests: &[Test], missing: &mut MissingFacts) {
        for test in tests {
            if self.answer(test).0 == Answer::Unknown {
                self.missing_in_fact(test.fact, missing);
            }
        }
    }

    /// Adds the given facts that are missing, so that a formula has no value.
    pub fn missing_in_formula(&mut self, formula: &Formula, missing: &mut MissingFacts) {
        for fact in wanting(formula, self.plan, self) {
            self.missing_in_fact(fact, missing);
        }
    }

    fn missing_in_fact(&mut self, fact: FactId, missing: &mut MissingFacts) {
        if self.value(fact) != Ok(None) {
            return;
        }
        let plan = self.plan;
        match plan.derivation(fact) {
            None if missing.contains(&fact) => {}
            None => missing.push(fact),
            Some(Derived::Formula(formula)) => self.missing_in_formula(formula, missing),
            Some(Derived::Table { rows, otherwise }) => {
                for row in rows {
                    match self.holds(&row.tests) {
                        TestResult::No => {}
                        TestResult::Yes => return self.missing_in_formula(&row.value, missing),
                        TestResult::Missing | TestResult::Faulty(_) => {
                            return self.missing_in_tests(&row.tests, missing);
                        }
                    }
                }
                self.missing_in_formula(otherwise, missing);
            }
        }
    }
}
