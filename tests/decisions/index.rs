//! The index of the rules against reading them from the top: the linear search stands here, and nowhere else.

#[path = "../../benches/tables/mod.rs"]
mod tables;

use std::ops::Bound;

use proptest::prelude::*;
use requite::decision::explain::{NEAR_MISSES_MAX, Recorder, Silent};
use requite::decision::{Purpose, decide, intake};
use requite::domain::decision::{Decision, DeductionSource, RuleRef};
use requite::domain::facts::{FactId, Value};
use requite::domain::money::Amount;
use requite::domain::ratio::Ratio;
use requite::domain::request::Request;
use requite::domain::words::{ReasonCode, RefundMethod};
use requite::engine::admit::admit;
use requite::plan::Plan;
use requite::plan::fact::BuiltIn;
use requite::plan::rule::{Action, Rule, RuleEffect};
use requite::plan::rules::Rules;
use requite::plan::test::{Accepts, Answer, Interval, Test, WordSet};
use requite::policy::bundle::{Bundle, BundleFile};

use super::random_policies::number::Chance;
use super::random_policies::{ast, requests, rules};

/// What is known of each fact of a line; a fact that cannot be computed is neither.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fact {
    Known(Option<Value>),
    Faulty,
}

fn rule(tests: Vec<Test>) -> Rule {
    let effect = RuleEffect {
        action: Action::Review(std::iter::once(ReasonCode::NoMatchingRule).collect()),
        demands: Vec::new(),
        next_steps: Vec::new(),
        review: None,
        payout: None,
        method: RefundMethod::OriginalPayment,
        components: Vec::new(),
        compensations: Vec::new(),
        amounts_due: Vec::new(),
    };
    Rule { id: String::new(), layer: None, tests, effect }
}

fn says_no(test: &Test, facts: &[Fact]) -> bool {
    match facts[usize::from(test.fact.0)] {
        Fact::Known(value) => test.accepts.answer(value.as_ref()) == Answer::No,
        Fact::Faulty => false,
    }
}

/// The reference: every rule from a place on of which no test says *no*.
fn without_a_no(rules: &[Rule], from: usize, facts: &[Fact]) -> Vec<u32> {
    let left = (0u32..).zip(rules).skip(from);
    left.filter(|(_, rule)| !rule.tests.iter().any(|test| says_no(test, facts))).map(|(place, _)| place).collect()
}

/// The rules that the index leaves, and those of them of which no test says *no*.
fn left_by_index(rules: &Rules, from: usize, facts: &[Fact]) -> (Vec<u32>, Vec<u32>) {
    let mut candidates = rules.index().candidates(u32::try_from(from).unwrap());
    for column in rules.index().columns() {
        if let Fact::Known(known) = facts[usize::from(column.fact.0)] {
            candidates.narrow(column, known.as_ref());
        }
    }
    let all: Vec<u32> = std::iter::from_fn(|| candidates.take_first()).collect();
    let none = |place: &u32| !rules[*place as usize].tests.iter().any(|test| says_no(test, facts));
    let good = all.iter().copied().filter(none).collect();
    (all, good)
}

fn below(chance: &mut Chance, end: u64) -> u64 {
    chance.below(usize::try_from(end).unwrap()) as u64
}

/// The facts of the random rules below, by the type of their tests.
const FACTS: u64 = 7;

fn accepts(chance: &mut Chance, fact: u16, wide: u64) -> Accepts {
    match below(chance, 8) {
        0 => return Accepts::Present,
        1 => return Accepts::Absent,
        _ => {}
    }
    let mask = |chance: &mut Chance| 1u64 << below(chance, 12) | 1u64 << below(chance, 12);
    match fact {
        0 => Accepts::Flag(below(chance, 2) == 0),
        1 | 2 => {
            let words = 1 + below(chance, 3);
            Accepts::Words(WordSet::new((0..words).map(|_| u16::try_from(below(chance, wide.min(4_000))).unwrap())))
        }
        3 => match below(chance, 3) {
            0 => Accepts::HasAny(mask(chance)),
            1 => Accepts::HasAll(mask(chance)),
            _ => Accepts::HasNone(mask(chance)),
        },
        _ => {
            let pieces = 1 + below(chance, 2);
            let mut edges: Vec<Ratio> = (0..2 * pieces).map(|_| quantity(chance, fact, wide)).collect();
            edges.sort();
            let bound = |chance: &mut Chance, edge| match below(chance, 5) {
                0 | 1 => Bound::Included(edge),
                2 | 3 => Bound::Excluded(edge),
                _ => Bound::Unbounded,
            };
            let interval = |pair: &[Ratio], chance: &mut Chance| Interval {
                lower: bound(chance, pair[0]),
                upper: bound(chance, pair[1]),
            };
            Accepts::Within(edges.chunks(2).map(|pair| interval(pair, chance)).collect())
        }
    }
}

/// Whole numbers, fractions of one kind, and fractions of every kind.
fn quantity(chance: &mut Chance, fact: u16, wide: u64) -> Ratio {
    let number = i128::from(below(chance, wide)) - i128::from(wide / 3);
    match fact {
        4 => Ratio::whole(number),
        5 => Ratio::fraction(number, 100).unwrap(),
        _ if below(chance, 30) == 0 => Ratio::whole(number * (i128::MAX / 1_000_000)),
        _ => Ratio::fraction(number, 1 + i128::from(below(chance, 1_000_003))).unwrap(),
    }
}

fn fact(chance: &mut Chance, fact: u16, wide: u64) -> Fact {
    match below(chance, 12) {
        0 => return Fact::Known(None),
        1 => return Fact::Faulty,
        _ => {}
    }
    Fact::Known(Some(match fact {
        0 => Value::Flag(below(chance, 2) == 0),
        1 | 2 => Value::Word(u16::try_from(below(chance, wide.min(4_000) + 5)).unwrap()),
        3 => Value::Set(below(chance, 1 << 12)),
        _ => Value::Quantity(quantity(chance, fact, wide)),
    }))
}

fn random_rules(chance: &mut Chance, count: usize, wide: u64) -> Rules {
    let tests = |chance: &mut Chance| {
        let tests = below(chance, 5);
        (0..tests)
            .map(|_| {
                let fact = u16::try_from(below(chance, FACTS)).unwrap();
                Test { fact: FactId(fact), accepts: accepts(chance, fact, wide), text: String::new() }
            })
            .collect()
    };
    Rules::new((0..count).map(|_| rule(tests(chance))).collect())
}

fn agree(rules: &Rules, chance: &mut Chance, lines: usize, wide: u64) {
    for _ in 0..lines {
        let facts: Vec<Fact> = (0..FACTS).map(|of| fact(chance, u16::try_from(of).unwrap(), wide)).collect();
        let from = usize::try_from(below(chance, rules.len() as u64 + 2)).unwrap() * usize::from(below(chance, 3) == 0);
        let (_, found) = left_by_index(rules, from, &facts);
        assert_eq!(found, without_a_no(rules, from, &facts), "{facts:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn the_index_leaves_what_reading_from_the_top_leaves(
        seed in proptest::num::u64::ANY,
        count in prop_oneof![0usize..=3, 60usize..=68, 0usize..=200],
        wide in 2u64..400,
    ) {
        let mut chance = Chance(seed);
        agree(&random_rules(&mut chance, count, wide), &mut chance, 20, wide);
    }
}

#[test]
fn the_index_of_thousands_of_rules_leaves_what_reading_from_the_top_leaves() {
    for (seed, count) in [4_095, 4_096, 4_097, 5_000, 9_000].into_iter().enumerate() {
        let mut chance = Chance(seed as u64 + 1);
        let rules = random_rules(&mut chance, count, 100_000);
        agree(&rules, &mut chance, 40, 100_000);
    }
}

/// One test on one fact for each rule, each with edges of its own.
fn ranges(count: u64, range: impl Fn(u64) -> (u64, u64)) -> Rules {
    let of = |at: u64| {
        let (from, to) = range(at);
        let edge = |edge: u64| Ratio::whole(edge.into());
        let interval = Interval { lower: Bound::Included(edge(from)), upper: Bound::Excluded(edge(to)) };
        Test { fact: FactId(0), accepts: Accepts::Within([interval].into_iter().collect()), text: String::new() }
    };
    Rules::new((0..count).map(|at| rule(vec![of(at)])).collect())
}

/// Nested ranges put half of all rules into each set: written out, the sets of twenty thousand rules would take half a
/// gigabyte.
#[test]
fn an_index_of_ranges_that_overlap_keeps_to_its_room_and_its_answers() {
    const COUNT: u64 = 20_000;
    type Shape<'a> = &'a dyn Fn(u64) -> (u64, u64);
    let shapes: [(&str, Shape<'_>); 3] = [
        ("nested", &|at| (at, 4 * COUNT - at)),
        ("side by side", &|at| (at, at + 1)),
        ("staggered", &|at| (at * 7 % COUNT, at * 7 % COUNT + COUNT / 3)),
    ];
    for (name, shape) in shapes {
        let rules = ranges(COUNT, shape);
        let per_rule = rules.index().bytes() / usize::try_from(COUNT).unwrap();
        assert!(per_rule <= 256, "{name}: {per_rule} bytes for each rule");
        for value in (0..4 * COUNT).step_by(1_777) {
            let facts = [Fact::Known(Some(Value::Quantity(Ratio::whole(value.into()))))];
            let (left, found) = left_by_index(&rules, 0, &facts);
            assert_eq!(found, without_a_no(&rules, 0, &facts), "{name} at {value}");
            let more = left.len() - found.len();
            assert!(more <= 2_000, "{name} at {value}: {more} rules are left that say no");
        }
    }
}

/// The rules of a table, without the way through a file.
fn table(rows: &[tables::Row]) -> Rules {
    let words = |fact, words: Vec<u64>| {
        let words = WordSet::new(words.into_iter().map(|word| u16::try_from(word).unwrap()));
        Test { fact: FactId(fact), accepts: Accepts::Words(words), text: String::new() }
    };
    let within = |fact, (from, below): tables::Range, per_one: u64| {
        let edge = |edge: u64| Ratio::fraction(edge.into(), per_one.into()).unwrap();
        let interval = Interval { lower: Bound::Included(edge(from)), upper: Bound::Excluded(edge(below)) };
        Test { fact: FactId(fact), accepts: Accepts::Within([interval].into_iter().collect()), text: String::new() }
    };
    let tests = |row: &tables::Row| {
        vec![
            words(0, vec![row.product]),
            words(1, row.reason.map_or_else(|| (0..tables::REASONS).collect(), |reason| vec![reason])),
            within(2, row.age_hours, 1),
            within(3, row.price_units, 1),
            within(4, row.share_hundredths, 100),
        ]
    };
    Rules::new(rows.iter().map(|row| rule(tests(row))).collect())
}

#[test]
fn every_row_of_every_table_is_found_at_once() {
    for size in tables::SIZES {
        let rows = tables::rows(size);
        let rules = table(&rows);
        for at in (0..size).step_by(size / 12).chain([size - 1]) {
            let asked = rows[at].asked();
            let quantity = |number: u64, per_one| Value::Quantity(Ratio::fraction(number.into(), per_one).unwrap());
            let values = [
                Value::Word(u16::try_from(asked.product).unwrap()),
                Value::Word(u16::try_from(asked.reason).unwrap()),
                quantity(asked.age_hours, 1),
                quantity(asked.price_units, 1),
                quantity(asked.share_hundredths, 100),
            ];
            let facts = values.map(|value| Fact::Known(Some(value)));
            let (left, found) = left_by_index(&rules, 0, &facts);
            assert_eq!((left.as_slice(), found.len()), ([u32::try_from(at).unwrap()].as_slice(), 1), "{size}");
        }
        let per_rule = rules.index().bytes() / size;
        assert!(size < 960 || per_rule <= 256, "{size}: {per_rule} bytes for each rule");
    }
}

/// A rule that looks like another and never decides: the moment of the request, which every request has, says no.
fn filler(like: &Rule, chance: &mut Chance) -> Rule {
    let never = Interval { lower: Bound::Unbounded, upper: Bound::Included(Ratio::whole(0)) };
    let never = Test {
        fact: FactId(BuiltIn::RequestedAt as u16),
        accepts: Accepts::Within([never].into_iter().collect()),
        text: String::new(),
    };
    let mut rule = like.clone();
    let at = usize::try_from(below(chance, rule.tests.len() as u64 + 1)).unwrap();
    rule.tests.insert(at, never);
    rule
}

/// A decision in which every rule has the place that `places` gives it.
fn renumbered(mut decision: Decision, places: &[u32]) -> Decision {
    let renumber = |rule: &mut RuleRef| {
        if let RuleRef::Rule(place) = rule {
            *place = places[*place as usize];
        }
    };
    for line in &mut decision.lines {
        renumber(&mut line.rule);
        for deduction in &mut line.deductions {
            if let DeductionSource::Step { rule, .. } = &mut deduction.source {
                renumber(rule);
            }
        }
    }
    decision
}

fn plan(policy: &ast::Policy) -> Plan {
    let files = ast::Policy::files(std::slice::from_ref(policy)).into_iter();
    let files = files.map(|(path, text)| BundleFile { path, bytes: text.into_bytes() }).collect();
    admit(&Bundle::new(files).unwrap()).unwrap().plans.remove(0)
}

/// A random request that asks for no more than there is.
fn accepted(plan: &Plan, chance: &mut Chance, policy: &ast::Policy) -> Request<'static> {
    loop {
        let request = requests::request(chance, policy);
        if intake(plan, &request, Purpose::Decision).is_ok() {
            return request;
        }
    }
}

/// Random policies are small; a hundred rules that never decide between any two of theirs make them large without
/// changing an answer. What they decide is checked against a reference elsewhere.
#[test]
fn rules_that_never_decide_change_no_decision() {
    for seed in 0..60 {
        let mut chance = Chance(seed);
        let policy = rules::policy(&mut chance);
        let (small, mut large) = (plan(&policy), plan(&policy));
        let (mut rules, mut places) = (Vec::new(), Vec::new());
        for rule in &small.rules {
            let fillers = if seed % 10 == 0 { 1_500 } else { 100 };
            rules.extend((0..fillers).map(|_| filler(rule, &mut chance)));
            places.push(u32::try_from(rules.len()).unwrap());
            rules.push(rule.clone());
        }
        large.rules = Rules::new(rules);
        for _ in 0..40 {
            let request: Request<'_> = accepted(&small, &mut chance, &policy);
            let decided = |plan: &Plan| decide(plan, &intake(plan, &request, Purpose::Decision).unwrap(), &mut Silent);
            assert_eq!(decided(&large), renumbered(decided(&small), &places), "seed {seed}\n{request:#?}");
        }
    }
}

/// The tests heard of, rule by rule, and the facts; of so many rules that did not match.
#[derive(Default)]
struct Heard<const NEAR: usize> {
    rules: Vec<Vec<(u32, Vec<Answer>)>>,
    facts: std::collections::BTreeSet<(usize, FactId)>,
}

impl<const NEAR: usize> Recorder for Heard<NEAR> {
    const NEAR_MISSES_MAX: usize = NEAR;

    fn line(&mut self, _line: u16) {
        self.rules.push(Vec::new());
    }
    fn fact(&mut self, fact: FactId, _value: Option<Value>) {
        self.facts.insert((self.rules.len(), fact));
    }
    fn test(&mut self, rule: u32, _test: u16, answer: Answer) {
        let rules = self.rules.last_mut().unwrap();
        match rules.last_mut() {
            Some((last, answers)) if *last == rule => answers.push(answer),
            Some(_) | None => rules.push((rule, vec![answer])),
        }
    }
    fn deduction(&mut self, _source: DeductionSource, _exact: Ratio, _taken: Amount) {}
}

/// The nearest rules of those heard of: the fewest tests in the way, then the most that held.
fn nearest(mut rules: Vec<(u32, Vec<Answer>)>) -> Vec<(u32, Vec<Answer>)> {
    let failed = |answers: &[Answer]| answers.iter().filter(|answer| **answer != Answer::Yes).count();
    rules.retain(|(_, answers)| 0 < failed(answers));
    rules.sort_by_key(|(_, answers)| (failed(answers), std::cmp::Reverse(answers.len() - failed(answers))));
    rules.truncate(NEAR_MISSES_MAX);
    rules
}

#[test]
fn a_recorder_of_few_near_misses_hears_of_the_nearest_and_of_every_fact() {
    let mut cut = 0;
    for seed in 0..60 {
        let mut chance = Chance(seed);
        let policy = rules::policy(&mut chance);
        let mut plan = plan(&policy);
        // Several times the same rules: many are equally near, and the first of them are the ones named.
        let rules = plan.rules.to_vec();
        let again = rules.iter().map(|rule| filler(rule, &mut chance)).collect::<Vec<_>>();
        plan.rules = Rules::new(again.iter().chain(&again).chain(&rules).cloned().collect());
        for _ in 0..20 {
            let request = accepted(&plan, &mut chance, &policy);
            let facts = intake(&plan, &request, Purpose::Decision).unwrap();
            let (mut few, mut all) = (Heard::<NEAR_MISSES_MAX>::default(), Heard::<{ usize::MAX }>::default());
            let silent = decide(&plan, &facts, &mut Silent);
            assert_eq!((decide(&plan, &facts, &mut few), decide(&plan, &facts, &mut all)), (silent.clone(), silent));
            assert_eq!(few.facts, all.facts);
            for (few, all) in few.rules.into_iter().zip(all.rules) {
                cut += usize::from(few.len() < all.len());
                assert_eq!(nearest(few), nearest(all), "seed {seed}");
            }
        }
    }
    assert!(100 < cut, "only {cut} lines have more near misses than are named");
}
