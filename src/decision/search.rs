//! Search for the rule that decides a line.
//!
//! The index of the plan names the rules that single facts leave, the first one first; the rule's own
//! tests have the last word. A derived fact is worked out when the first rule left asks for it, and
//! joins the index once it has said *no*; so a fact that no remaining rule needs is never worked out.

use std::cmp::Reverse;

use smallvec::SmallVec;

use crate::decision::explain::Recorder;
use crate::decision::line::Line;
use crate::decision::machine::Fault;
use crate::domain::facts::FactId;
use crate::plan::Plan;
use crate::plan::rule::Rule;
use crate::plan::test::Answer;

/// Result of the search for the deciding rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// This rule decides.
    Rule(u32),
    /// No rule speaks of the line.
    Otherwise,
    /// This rule would decide, but facts are missing.
    Missing(u32),
    /// This rule would decide, but formulas have no result: the fault of the first of its tests.
    Faulty(u32, Fault),
}

/// The first rule from a place on without a *no* decides; with an *unknown*, it says what is missing.
pub fn search<R: Recorder>(plan: &Plan, from: u32, line: &mut Line<'_, '_, '_, R>) -> Found {
    let index = plan.rules.index();
    let mut candidates = index.candidates(from);
    candidates.narrow_before(FactId(plan.given_facts), |fact| line.given(fact));
    let mut found = Found::Otherwise;
    while let Some(place) = candidates.take_first() {
        let Some(rule) = plan.rules.get(place as usize) else { break };
        match tried(rule, place, line) {
            Tried::Decides(decides) => {
                found = decides;
                break;
            }
            Tried::Not(fact) if fact.0 < plan.given_facts => {}
            Tried::Not(fact) => {
                if let (Some(column), Ok(value)) = (index.column(fact), line.value(fact)) {
                    candidates.narrow(column, value);
                }
            }
        }
    }
    if 0 < R::NEAR_MISSES_MAX {
        tell(plan, from, found, line);
    }
    found
}

/// Result of a rule's own tests.
enum Tried {
    /// It decides, or would.
    Decides(Found),
    /// The test on this fact says *no*.
    Not(FactId),
}

fn tried<R: Recorder>(rule: &Rule, place: u32, line: &mut Line<'_, '_, '_, R>) -> Tried {
    let mut found = Found::Rule(place);
    for test in &rule.tests {
        match line.answer(test) {
            (Answer::Yes, _) => {}
            (Answer::No, _) => return Tried::Not(test.fact),
            (Answer::Unknown, fault) => {
                found = match (found, fault) {
                    // The first fault as written counts.
                    (Found::Faulty(..) | Found::Otherwise, _) => found,
                    (Found::Rule(place) | Found::Missing(place), Some(fault)) => Found::Faulty(place, fault),
                    (Found::Rule(place) | Found::Missing(place), None) => Found::Missing(place),
                }
            }
        }
    }
    Tried::Decides(found)
}

/// A rule that did not match: the fewer tests are in the way and the more held before, the nearer it is.
type Near = (usize, Reverse<usize>, u32);

/// Tells the recorder what reading the rules from the top would have shown it: every fact that was looked
/// at, and the tests of the deciding rule and of as many of the nearest others as it wants.
fn tell<R: Recorder>(plan: &Plan, from: u32, found: Found, line: &mut Line<'_, '_, '_, R>) {
    let decides = match found {
        Found::Rule(place) | Found::Missing(place) | Found::Faulty(place, _) => Some(place),
        Found::Otherwise => None,
    };
    let passed = (from..).zip(plan.rules.iter().skip(from as usize)).take_while(|(place, _)| Some(*place) != decides);
    let mut nearest: Vec<Near> = Vec::new();
    let mut told: SmallVec<[u64; 4]> = SmallVec::from_elem(0, plan.facts.len().div_ceil(64));
    for (place, rule) in passed {
        let (mut held, mut failed) = (0, 0);
        for test in &rule.tests {
            let (block, bit) = (usize::from(test.fact.0 / 64), test.fact.0 % 64);
            // A fact is told once: of a long table the same few are looked at again and again.
            let answer = match told.get_mut(block) {
                Some(told) if *told >> bit & 1 == 1 => line.answer_untold(test),
                Some(told) => {
                    *told |= 1 << bit;
                    line.answer(test).0
                }
                None => line.answer(test).0,
            };
            match answer {
                Answer::Yes => held += 1,
                Answer::Unknown => failed += 1,
                Answer::No => {
                    failed += 1;
                    break;
                }
            }
        }
        let near = (failed, Reverse(held), place);
        if nearest.len() < R::NEAR_MISSES_MAX || nearest.last().is_some_and(|last| near < *last) {
            nearest.insert(nearest.partition_point(|other| *other < near), near);
            nearest.truncate(R::NEAR_MISSES_MAX);
        }
    }
    nearest.sort_unstable_by_key(|(_, _, place)| *place);
    for place in nearest.into_iter().map(|(_, _, place)| place).chain(decides) {
        let Some(rule) = plan.rules.get(place as usize) else { continue };
        for (test_place, test) in (0..).zip(&rule.tests) {
            let answer = line.answer_untold(test);
            line.recorder.test(place, test_place, answer);
            if answer == Answer::No {
                break;
            }
        }
    }
}
