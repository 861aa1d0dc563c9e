//! One line under a plan: its facts, given and derived, and which of them are missing.
//!
//! A derived fact is worked out when something asks for it, once; so a fact that no remaining
//! rule needs cannot be missing.

use smallvec::SmallVec;

use crate::decision::explain::Recorder;
use crate::decision::machine::{Environment, Evaluated, Fault, run, wanting};
use crate::domain::exact::Exact;
use crate::domain::facts::{FactId, LineFacts, Value};
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
    /// Hears what is looked at.
    pub recorder: &'r mut R,
    /// What earlier deductions have left, in billionths of a unit; `None` where one of them is not known.
    pub remaining: Option<Exact>,
    /// What the deduction before took, in billionths of a unit; `None` where it is not known.
    pub previous: Option<Exact>,
    /// Derived facts worked out so far.
    derived: SmallVec<[Option<Evaluated>; 16]>,
}

/// What several tests come to together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Held {
    /// All of them hold.
    Yes,
    /// One of them does not.
    No,
    /// None fails, but a fact is missing.
    Missing,
    /// None fails, but a formula has no result.
    Faulty(Fault),
}

impl<R: Recorder> Environment for Line<'_, '_, '_, R> {
    fn fact(&mut self, fact: FactId) -> Evaluated {
        self.value(fact)
    }

    fn remaining(&self) -> Option<Exact> {
        self.remaining
    }

    fn previous(&self) -> Option<Exact> {
        self.previous
    }
}

impl<'p, 'f, 'r, R: Recorder> Line<'p, 'f, 'r, R> {
    /// A line of which nothing has been worked out yet.
    pub fn new(plan: &'p Plan, facts: &'f LineFacts<'f>, recorder: &'r mut R) -> Self {
        let derived = SmallVec::from_elem(None, plan.derived.len());
        Self { plan, facts, recorder, remaining: Some(Exact::ZERO), previous: Some(Exact::ZERO), derived }
    }

    /// The value of a given fact. Nobody hears of it.
    #[inline]
    pub fn given(&self, fact: FactId) -> Option<Value> {
        self.facts.values.get(usize::from(fact.0)).copied().flatten()
    }

    /// The value of a fact.
    #[inline]
    pub fn value(&mut self, fact: FactId) -> Evaluated {
        let Some(place) = fact.0.checked_sub(self.plan.given_facts).map(usize::from) else {
            let value = self.given(fact);
            self.recorder.fact(fact, value);
            return Ok(value);
        };
        if let Some(Some(known)) = self.derived.get(place) {
            return *known;
        }
        self.derive(fact, place)
    }

    /// Works out a derived fact, for the first time.
    #[inline(never)]
    fn derive(&mut self, fact: FactId, place: usize) -> Evaluated {
        // A fact uses facts above it only, so this ends after as many steps as there are facts.
        let plan = self.plan;
        let value = match plan.derived.get(place) {
            Some(Derived::Formula(formula)) => run(formula, plan, self),
            Some(Derived::Table { rows, otherwise }) => self.table(rows, otherwise),
            None => Ok(None),
        };
        if let Some(memo) = self.derived.get_mut(place) {
            *memo = Some(value);
        }
        self.recorder.fact(fact, value.ok().flatten());
        value
    }

    fn table(&mut self, rows: &'p [Row], otherwise: &'p Formula) -> Evaluated {
        match self.row(rows) {
            Ok(Some(row)) => run(&row.value, self.plan, self),
            Ok(None) => run(otherwise, self.plan, self),
            Err(Held::Faulty(fault)) => Err(fault),
            Err(Held::Missing | Held::Yes | Held::No) => Ok(None),
        }
    }

    /// The first row whose tests hold; an error where that cannot be told.
    fn row(&mut self, rows: &'p [Row]) -> Result<Option<&'p Row>, Held> {
        for row in rows {
            match self.holds(&row.tests) {
                Held::Yes => return Ok(Some(row)),
                Held::No => {}
                unknown @ (Held::Missing | Held::Faulty(_)) => return Err(unknown),
            }
        }
        Ok(None)
    }

    /// What a test says of this line.
    #[inline]
    pub fn answer(&mut self, test: &Test) -> (Answer, Option<Fault>) {
        match self.value(test.fact) {
            Ok(value) => (test.accepts.answer(value), None),
            Err(fault) => (Answer::Unknown, Some(fault)),
        }
    }

    /// What a test says of this line, where the fact has been told before.
    pub fn answer_untold(&mut self, test: &Test) -> Answer {
        if test.fact.0 < self.plan.given_facts {
            return test.accepts.answer(self.given(test.fact));
        }
        self.answer(test).0
    }

    /// What tests come to together: one no decides, whatever else is unknown.
    pub fn holds(&mut self, tests: &[Test]) -> Held {
        let mut held = Held::Yes;
        for test in tests {
            match self.answer(test) {
                (Answer::Yes, _) => {}
                (Answer::No, _) => return Held::No,
                (Answer::Unknown, Some(fault)) => held = Held::Faulty(fault),
                (Answer::Unknown, None) if held == Held::Yes => held = Held::Missing,
                (Answer::Unknown, None) => {}
            }
        }
        held
    }

    /// Adds the given facts for want of which the tests cannot be answered.
    pub fn missing_in_tests(&mut self, tests: &[Test], missing: &mut MissingFacts) {
        for test in tests {
            if self.answer(test).0 == Answer::Unknown {
                self.missing_in_fact(test.fact, missing);
            }
        }
    }

    /// Adds the given facts for want of which a formula has no value.
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
                        Held::No => {}
                        Held::Yes => return self.missing_in_formula(&row.value, missing),
                        Held::Missing | Held::Faulty(_) => return self.missing_in_tests(&row.tests, missing),
                    }
                }
                self.missing_in_formula(otherwise, missing);
            }
        }
    }
}
