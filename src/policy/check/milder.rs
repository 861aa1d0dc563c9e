//! Warnings where splitting or delaying a claim selects a milder rule: a refund where the whole order is looked at
//! by a person, is denied, or needs evidence. Such a policy is put in force, with a warning for each rule.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::domain::facts::FactId;
use crate::domain::ratio::Ratio;
use crate::plan::fact::{BuiltIn, Derived, Origin};
use crate::plan::formula::{Binary, Formula, Leaf, Numeric, Unary};
use crate::plan::rule::{Action, Rule, RuleEffect};
use crate::plan::test::{Accepts, Interval, Test};
use crate::policy::check::draft::Draft;
use crate::policy::diagnostics::Diagnostics;
use crate::policy::source::Span;

/// The way that a fact goes where a claim is smaller, or comes after another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// It stays.
    Stays,
    /// It becomes less, or no longer holds.
    Falls,
    /// It becomes more, or holds by now.
    Rises,
    /// It may go either way.
    Either,
}

impl Way {
    /// The way of something made of two.
    const fn with(self, other: Self) -> Self {
        match (self, other) {
            (way, Self::Stays) | (Self::Stays, way) => way,
            (Self::Falls, Self::Falls) => Self::Falls,
            (Self::Rises, Self::Rises) => Self::Rises,
            (_, _) => Self::Either,
        }
    }

    const fn turned(self) -> Self {
        match self {
            Self::Falls => Self::Rises,
            Self::Rises => Self::Falls,
            Self::Stays | Self::Either => self,
        }
    }

    /// The same where the way is not known.
    const fn unknown(self) -> Self {
        match self {
            Self::Stays => Self::Stays,
            Self::Falls | Self::Rises | Self::Either => Self::Either,
        }
    }
}

/// Effect of a smaller or later claim on a match.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Turn {
    /// A claim that matched matches no more.
    Leaves,
    /// A claim that did not match does.
    Enters,
}

/// Warns of each rule that a smaller or later claim leaves for a milder one, or that it enters in place of a stricter one.
/// `changing` has for each fact the first one that it is made of and that changes from claim to claim; rules in `warned`
/// were named before.
pub fn warn(
    rules: &[Rule],
    otherwise: Option<&RuleEffect>,
    draft: &Draft,
    changing: &[Option<BuiltIn>],
    (places, warned): (&BTreeMap<&str, Span>, &BTreeSet<&str>),
    diagnostics: &mut Diagnostics<'_, '_>,
) {
    let ways = ways(draft);
    for (at, rule) in rules.iter().enumerate().filter(|(_, rule)| !warned.contains(rule.id.as_str())) {
        let later = rules.get(at + 1..).unwrap_or_default();
        let found = rule.tests.iter().find_map(|test| {
            let fact = changing.get(usize::from(test.fact.0)).copied().flatten()?;
            let way = ways.get(usize::from(test.fact.0)).copied()?;
            let below = below(rule, later, otherwise, changing);
            turns(&test.accepts, way, draft, test.fact).into_iter().find_map(|turn| {
                let other = below.iter().find(|(_, effect)| match turn {
                    Turn::Leaves => is_milder(effect, &rule.effect),
                    Turn::Enters => is_milder(&rule.effect, effect),
                });
                Some(match (turn, other?) {
                    (Turn::Leaves, (other, _)) => (fact, rule.id.as_str(), *other),
                    (Turn::Enters, (other, _)) => (fact, *other, rule.id.as_str()),
                })
            })
        });
        if let (Some((fact, strict, mild)), Some(span)) = (found, places.get(rule.id.as_str())) {
            let (message, help) = said(fact, &rule.id, strict, mild);
            diagnostics.warning("claim-again-pays-more", *span, message, help);
        }
    }
}

fn said(fact: BuiltIn, rule: &str, strict: &str, mild: &str) -> (String, String) {
    let name = fact.name();
    if fact == BuiltIn::RequestedAmount {
        let message = format!(
            "the rule `{rule}` is chosen by `{name}`, so a claim that asks for less goes by `{mild}`, where one that asks for \
             more goes by `{strict}`"
        );
        let help = format!(
            "asked for in pieces, an order gets around `{strict}`: with a bound of 100.00, 500.00 at once are above it, and five \
             times 100.00 are not; test what no claim changes, such as `paid`, or `order_paid` for the whole order"
        );
        return (message, help);
    }
    let message = format!(
        "the rule `{rule}` is chosen by `{name}`, so a later claim on the same line goes by `{mild}`, where an earlier one goes by \
         `{strict}`"
    );
    let help = format!(
        "asked for again, what is left of a line gets around `{strict}`; test what no claim changes, such as `paid`, or \
         `order_paid` for the whole order"
    );
    (message, help)
}

/// The rules below that a claim may go by which a rule would have taken, up to the first that takes all of them.
fn below<'r>(
    rule: &Rule,
    later: &'r [Rule],
    otherwise: Option<&'r RuleEffect>,
    changing: &[Option<BuiltIn>],
) -> Vec<(&'r str, &'r RuleEffect)> {
    let fixed = |test: &&Test| changing.get(usize::from(test.fact.0)).copied().flatten().is_none();
    let own: Vec<&Test> = rule.tests.iter().filter(fixed).collect();
    let mut below = Vec::new();
    for other in later {
        let apart = other
            .tests
            .iter()
            .filter(fixed)
            .any(|test| own.iter().any(|own| own.fact == test.fact && are_apart(&own.accepts, &test.accepts)));
        if apart {
            continue;
        }
        below.push((other.id.as_str(), &other.effect));
        if other.tests.iter().all(|test| own.iter().any(|own| own.fact == test.fact && own.accepts == test.accepts)) {
            return below;
        }
    }
    below.extend(otherwise.map(|effect| ("otherwise", effect)));
    below
}

/// Returns true if no value is accepted by both, as far as that is easily seen.
fn are_apart(first: &Accepts, second: &Accepts) -> bool {
    match (first, second) {
        (Accepts::Flag(a), Accepts::Flag(b)) => a != b,
        (Accepts::Words(a), Accepts::Words(b)) => {
            let last = a.last().min(b.last()).unwrap_or(0);
            !(0..=last).any(|word| a.contains(word) && b.contains(word))
        }
        (Accepts::Within(a), Accepts::Within(b)) => a.iter().all(|a| b.iter().all(|b| are_intervals_apart(a, b))),
        (Accepts::HasNone(none), Accepts::HasAny(any) | Accepts::HasAll(any))
        | (Accepts::HasAny(any) | Accepts::HasAll(any), Accepts::HasNone(none)) => any & !none == 0,
        (Accepts::Absent, other) | (other, Accepts::Absent) => *other != Accepts::Absent,
        (_, _) => false,
    }
}

fn are_intervals_apart(a: &Interval, b: &Interval) -> bool {
    let ends_before =
        |first: &Interval, second: &Interval| Interval { lower: second.lower, upper: first.upper }.is_empty();
    ends_before(a, b) || ends_before(b, a)
}

/// Returns true if money goes back by the first of two effects that by the second does not, or only with more than the first demands.
fn is_milder(first: &RuleEffect, second: &RuleEffect) -> bool {
    match (&first.action, &second.action) {
        (Action::Refund(_), Action::Refund(_)) => second.demands.iter().any(|demand| !first.demands.contains(demand)),
        (Action::Refund(_), Action::Deny(_) | Action::Ask(_) | Action::Review(_)) => true,
        (Action::Deny(_) | Action::Ask(_) | Action::Review(_), _) => false,
    }
}

/// Effect of smaller or later claims on a test of a fact that goes this way.
fn turns(accepts: &Accepts, way: Way, draft: &Draft, fact: FactId) -> Vec<Turn> {
    let (without_low, without_high) = match accepts {
        // Nobody names an amount, or leaves it out, to be paid more.
        Accepts::Present | Accepts::Absent => return Vec::new(),
        Accepts::Flag(holds) => (*holds, !*holds),
        Accepts::Within(intervals) => (leaves_out_low(intervals, way, draft, fact), leaves_out_high(intervals)),
        Accepts::Words(_) | Accepts::HasAny(_) | Accepts::HasAll(_) | Accepts::HasNone(_) => (true, true),
    };
    let (leaves, enters) = match way {
        Way::Stays => return Vec::new(),
        Way::Falls => (without_low, without_high),
        Way::Rises => (without_high, without_low),
        Way::Either => (true, true),
    };
    [(leaves, Turn::Leaves), (enters, Turn::Enters)].into_iter().filter(|(so, _)| *so).map(|(_, turn)| turn).collect()
}

/// Returns true if a number below one that is accepted is not. Where nothing is asked for, or nothing is left, nothing is gained.
fn leaves_out_low(intervals: &[Interval], way: Way, draft: &Draft, fact: FactId) -> bool {
    let given = draft.facts.get(usize::from(fact.0)).is_some_and(|fact| matches!(fact.origin, Origin::BuiltIn(_)));
    let first = intervals.iter().map(|interval| interval.lower).next();
    let from_the_least = match first {
        None | Some(Bound::Unbounded) => true,
        Some(Bound::Included(low)) => given && low <= Ratio::ZERO,
        Some(Bound::Excluded(low)) => given && (low < Ratio::ZERO || low == Ratio::ZERO && way == Way::Falls),
    };
    !from_the_least || has_holes(intervals)
}

/// Returns true if a number above one that is accepted is not.
fn leaves_out_high(intervals: &[Interval]) -> bool {
    intervals.last().is_some_and(|interval| interval.upper != Bound::Unbounded) || has_holes(intervals)
}

const fn has_holes(intervals: &[Interval]) -> bool {
    1 < intervals.len()
}

/// The way of every fact. A fact uses facts above it only, so those it uses are known before it.
fn ways(draft: &Draft) -> Vec<Way> {
    let mut ways: Vec<Way> = Vec::with_capacity(draft.facts.len());
    for (place, definition) in (0u16..).zip(&draft.facts) {
        let own = match &definition.origin {
            Origin::BuiltIn(BuiltIn::RequestedAmount | BuiltIn::Refundable) => Way::Falls,
            Origin::BuiltIn(BuiltIn::Refunded) => Way::Rises,
            Origin::BuiltIn(_) | Origin::Component | Origin::Input(_) | Origin::Anchor => Way::Stays,
            Origin::Derived => draft.derivation(FactId(place)).map_or(Way::Stays, |derived| of_derived(derived, &ways)),
        };
        ways.push(own);
    }
    ways
}

fn of_derived(derived: &Derived, ways: &[Way]) -> Way {
    match derived {
        Derived::Formula(formula) => of_formula(formula, ways),
        Derived::Table { rows, otherwise } => {
            let values = rows.iter().map(|row| &row.value).chain([otherwise]).map(|value| of_formula(value, ways));
            let tests = rows.iter().flat_map(|row| &row.tests).map(|test| of_fact(test.fact, ways).unknown());
            values.chain(tests).fold(Way::Stays, Way::with)
        }
    }
}

fn of_fact(fact: FactId, ways: &[Way]) -> Way {
    ways.get(usize::from(fact.0)).copied().unwrap_or(Way::Stays)
}

fn of_formula(formula: &Formula, ways: &[Way]) -> Way {
    let leaf = |leaf: &Leaf| match leaf {
        Leaf::Fact(fact) => of_fact(*fact, ways),
        Leaf::Number(_) | Leaf::Word(_) | Leaf::Flag(_) | Leaf::Remaining | Leaf::Previous => Way::Stays,
    };
    let one = |op, way: Way| match op {
        Unary::Not | Unary::Negate => way.turned(),
        Unary::Floor
        | Unary::Ceil
        | Unary::StartOfDay
        | Unary::EndOfDay
        | Unary::NextDay
        | Unary::OnOrNextBusinessDay => way,
    };
    let two = |op, first: Way, second: Way| match op {
        Binary::Numbers(op) => of_numbers(op, first, second),
        Binary::Equal => first.with(second).unknown(),
        Binary::And | Binary::Or | Binary::IfAbsent => first.with(second),
    };
    formula.run(leaf, one, two).unwrap_or(Way::Either)
}

/// The way of an operation. What is multiplied or divided by is taken to be above zero, as amounts and shares are.
const fn of_numbers(op: Numeric, first: Way, second: Way) -> Way {
    match op {
        Numeric::Add | Numeric::Multiply | Numeric::Min | Numeric::Max | Numeric::Round(_) | Numeric::AddDays => {
            first.with(second)
        }
        Numeric::Subtract | Numeric::Divide | Numeric::SubtractDays => first.with(second.turned()),
        Numeric::Less | Numeric::LessOrEqual | Numeric::DaysBetween | Numeric::BusinessDaysBetween => {
            first.turned().with(second)
        }
    }
}
