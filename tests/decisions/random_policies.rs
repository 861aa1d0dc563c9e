//! Random policies and random requests, decided twice: by the program, and by a slow and obvious
//! reference that shares nothing with it but the words of a request and of an answer.
//!
//! `REQUITE_RANDOM_CASES` is the number of policies; each decides [`ORDERS`] requests. `REQUITE_RANDOM_FIRST` is the seed of
//! the first of them, so that a long run can be made in parts. `REQUITE_RANDOM_SEED` tries one policy alone, that of this
//! seed.

pub mod ast;
mod claims;
mod facts;
#[allow(clippy::wildcard_enum_match_arm, reason = "a generator has an answer for every other type")]
pub mod formulas;
mod lines;
pub mod number;
mod order;
mod proofs;
pub mod requests;
#[allow(clippy::wildcard_enum_match_arm, reason = "a generator has an answer for every other type")]
pub mod rules;
mod windows;
pub mod yaml;

use std::collections::BTreeMap;

use requite::decision::explain::Silent;
use requite::decision::version::{begins, governing};
use requite::decision::{Purpose, decide, intake};
use requite::domain::decision::{
    ComponentDecision, DateWindow, Decision, DeductionSource, EvidenceVerdict, ExtraAmount, LineDecision, RuleRef,
};
use requite::domain::request::Request;
use requite::engine::admit::admit;
use requite::plan::rule::{Action, RuleEffect};
use requite::plan::{self, Plan};
use requite::policy::bundle::{Bundle, BundleFile};
use requite::policy::diagnostic::{Colour, render};

use self::ast::{EXTRAS, ORDER_AMOUNTS, Policy, STEPS};
use self::lines::ExpectedLine;
use self::number::Chance;
use self::order::{Expected, ExpectedComponent};
use self::proofs::Proofs;
use self::windows::Days;

const POLICIES: u64 = 2_000;
/// Orders under each policy.
const ORDERS: u64 = 10;
/// How often each kind of answer must be met for the comparison to prove something.
const MET_LEAST: usize = 200;
/// Claims on each order, at most.
const CLAIMS: usize = 5;

/// What was decided how often: a test that meets only denials proves little.
type Met = BTreeMap<String, usize>;

fn plans(policies: &[Policy], seed: u64) -> Vec<Plan> {
    let files = Policy::files(policies).into_iter();
    let files = files.map(|(path, text)| BundleFile { path, bytes: text.into_bytes() }).collect();
    let bundle = Bundle::new(files).unwrap();
    let admission = admit(&bundle).unwrap_or_else(|rejection| {
        panic!("seed {seed}: {}\n{}", render(&rejection.diagnostics, &bundle, Colour::Off), written(policies))
    });
    let mut plans = admission.plans;
    plans.sort_by_key(begins);
    plans
}

fn written(policies: &[Policy]) -> String {
    Policy::files(policies).into_iter().skip(1).map(|(path, text)| format!("# {path}\n{text}\n")).collect()
}

fn days(window: Option<DateWindow>) -> Option<Days> {
    let day = |date: jiff::civil::Date| i128::from(date.since(jiff::civil::date(1970, 1, 1)).unwrap().get_days());
    window.map(|window| match window {
        DateWindow::Dates { earliest, latest } => Days::Between(day(earliest), day(latest)),
        DateWindow::BeyondCalendar => Days::BeyondCalendar,
    })
}

/// The program's answer, as far as it is compared.
fn said(plan: &Plan, policy: &Policy, decision: &Decision) -> Expected {
    let names = policy.rule_names();
    let rule = |rule: RuleRef| match rule {
        RuleRef::Rule(place) => {
            let id = &plan.rules[usize::try_from(place).unwrap()].id;
            Some(names.iter().position(|name| name == id).unwrap())
        }
        RuleRef::Otherwise => None,
    };
    let named = |source: DeductionSource| {
        let DeductionSource::Step { rule: RuleRef::Rule(place), step, tier: _ } = source else { return None };
        let Action::Refund(steps) = &plan.rules[usize::try_from(place).unwrap()].effect.action else { return None };
        let amount = &plan.order_amounts[usize::from(steps[usize::from(step)].order_amount?)];
        ORDER_AMOUNTS.iter().copied().find(|name| *name == amount.name)
    };
    let extras = |line: &LineDecision, amounts: &[ExtraAmount], of: fn(&RuleEffect) -> &Vec<plan::rule::Extra>| {
        let RuleRef::Rule(place) = line.rule else { return Vec::new() };
        let list = of(&plan.rules[usize::try_from(place).unwrap()].effect);
        let name = |extra: &ExtraAmount| {
            *EXTRAS.iter().chain(ORDER_AMOUNTS).find(|name| **name == list[usize::from(extra.place)].name).unwrap()
        };
        amounts.iter().map(|extra| (name(extra), extra.amount.minor())).collect()
    };
    let lines = decision.lines.iter().map(|line| ExpectedLine {
        line: usize::from(line.line),
        outcome: line.outcome,
        codes: line.reason_codes.iter().collect(),
        rule: rule(line.rule),
        base: line.base.minor(),
        refund: line.refund.minor(),
        deductions: line.deductions.iter().map(|of| (of.kind, named(of.source), of.amount.minor())).collect(),
        compensations: extras(line, &line.compensations, |effect| &effect.compensations),
        amounts_due: extras(line, &line.amounts_due, |effect| &effect.amounts_due),
        missing: line.missing_facts.iter().map(|fact| plan.fact(*fact).unwrap().name.clone()).collect(),
    });
    let component = |of: &ComponentDecision| ExpectedComponent {
        base: of.base.minor(),
        refund: of.refund.minor(),
        held_back: of.deductions.iter().map(|deduction| deduction.amount.minor()).sum(),
    };
    let evidence = &decision.evidence;
    Expected {
        outcome: decision.outcome,
        codes: decision.reason_codes.iter().collect(),
        refund: decision.refund.minor(),
        lines: lines.collect(),
        components: decision.components.iter().map(component).collect(),
        tenders: decision.tenders.iter().map(|tender| (tender.amount.minor(), days(tender.payout))).collect(),
        proofs: match evidence.verdict {
            EvidenceVerdict::NotRequired => Proofs::NotRequired,
            EvidenceVerdict::Sufficient => Proofs::Enough,
            EvidenceVerdict::Insufficient => Proofs::Missing(evidence.missing.iter().copied().collect()),
        },
        rejected: evidence
            .rejected
            .iter()
            .map(|piece| (usize::from(piece.evidence), piece.problem.reason_code()))
            .collect(),
        vague: !evidence.text_findings.is_empty(),
        next: decision.next_steps.iter().map(|step| STEPS[usize::from(*step)]).collect(),
        method: decision.method,
        review: days(decision.review),
        payout: days(decision.payout),
    }
}

/// The policy that governs a request, and its plan.
fn governing_policy<'p>(policies: &'p [Policy], plans: &'p [Plan], request: &Request<'_>) -> (&'p Policy, &'p Plan) {
    let plan = governing(plans.iter(), request).unwrap();
    (&policies[plan.version.parse::<usize>().unwrap()], plan)
}

/// The chance of a policy, of an order under it, or of a claim on that: each has its own, so that what is drawn hangs on
/// the places alone and not on what was answered before.
fn chance_of(places: &[u64]) -> Chance {
    let mix = |chance: Chance, place: &u64| {
        let mut next = Chance(chance.0 ^ place.wrapping_mul(0xd134_2543_de82_ef95));
        Chance(next.next())
    };
    places.iter().fold(Chance(places.len() as u64), mix)
}

/// Puts up to five claims on each of [`ORDERS`] orders under the policy of a seed.
fn compare(seed: u64, met: &mut Met) {
    let mut chance = chance_of(&[seed]);
    let policies = rules::versions(&mut chance);
    let plans = plans(&policies, seed);
    let repeats = !claims::looks_at_refunds(&policies);
    for order in 0..ORDERS {
        let mut chance = chance_of(&[seed, order]);
        let mut request = requests::request(&mut chance, &policies[0]);
        for claim in 0..=chance.below(CLAIMS) as u64 {
            let mut chance = chance_of(&[seed, order, claim]);
            if claim != 0 {
                claims::next_claim(&mut chance, &policies[0], &mut request);
            }
            let scene = |request: &Request<'_>| {
                format!("seed {seed}, order {order}, claim {claim}\n{}\n{request:#?}", written(&policies))
            };
            let Some(said) = decided(&policies, &plans, &request, met, &scene) else { continue };
            if !claims::is_decided(&said) {
                continue;
            }
            let before = request.clone();
            let (policy, _) = governing_policy(&policies, &plans, &request);
            let other = claims::permuted(&mut chance, policy, &request);
            let otherwise = decided(&policies, &plans, &other, met, &scene).expect("the same request is accepted");
            if let Some(difference) = claims::differ((policy, &request, &said), (&other, &otherwise)) {
                panic!("{difference}\n{other:#?}\n{}", scene(&request));
            }
            claims::note_answer(&mut request, &said);
            let bounded = claims::is_bounded(&before, &said);
            let Some(again) = decided(&policies, &plans, &request, met, &scene) else { continue };
            if repeats && !bounded {
                assert!(!claims::gives_more(&again), "asked again, it gives more: {again:#?}\n{}", scene(&before));
                *met.entry("asked again".to_owned()).or_default() += 1;
            }
        }
    }
}

/// What the program says of a claim, checked against the reference and what always holds; `None` where it is refused, or
/// no version governs it.
fn decided(
    policies: &[Policy],
    plans: &[Plan],
    request: &Request<'static>,
    met: &mut Met,
    scene: &dyn Fn(&Request<'_>) -> String,
) -> Option<Expected> {
    let (policy, plan) = governing_policy(policies, plans, request);
    let most = order::most_asked(policy, request);
    let asks_too_much =
        requests::hundredths(request.claim.requested_amount).is_some_and(|asked| most < asked && most != 0);
    let facts = match intake(plan, request, Purpose::Decision) {
        Ok(facts) => facts,
        Err(bad) => {
            let fields: Vec<&str> = bad.iter().map(|bad| bad.field.as_str()).collect();
            assert!(asks_too_much && fields == ["claim.requested_amount"], "{bad:?}\n{}", scene(request));
            *met.entry("asked for too much".to_owned()).or_default() += 1;
            return None;
        }
    };
    assert!(!asks_too_much, "at most {most} is left: {}", scene(request));
    let decision = decide(plan, &facts, &mut Silent);
    if let Some(outcome) = order::not_in_force(policy, request) {
        assert_eq!((decision.outcome, decision.refund.minor()), (outcome, 0), "{}", scene(request));
        *met.entry(format!("not in force {outcome:?}")).or_default() += 1;
        return None;
    }
    let expected = order::decide(policy, request);
    let said = said(plan, policy, &decision);
    assert!(said == expected, "{}\n{}", differences(&said, &expected), scene(request));
    if let Some(broken) = claims::broken(policy, request, &said) {
        panic!("{broken}: {said:#?}\n{}", scene(request));
    }
    note(policy, &expected, met);
    Some(said)
}

/// The lines in which two answers differ.
fn differences(said: &Expected, expected: &Expected) -> String {
    let (said, expected) = (format!("{said:#?}"), format!("{expected:#?}"));
    let changes = similar::TextDiff::from_lines(&said, &expected);
    format!("the program (-) and the reference (+)\n{}", changes.unified_diff().context_radius(3))
}

/// Counts what a decision shows.
fn note(policy: &Policy, expected: &Expected, met: &mut Met) {
    let mut note = |key: String| *met.entry(key).or_default() += 1;
    note(format!("order {:?}", expected.outcome));
    note(format!("by {}", expected.method));
    for (name, days) in [("review", expected.review), ("payout", expected.payout)] {
        match days {
            Some(Days::Between(..)) => note(format!("{name} between days")),
            Some(Days::BeyondCalendar) => note(format!("{name} beyond the calendar")),
            None => {}
        }
    }
    if expected.vague {
        note("vague".to_owned());
    }
    for (_, code) in &expected.rejected {
        note(format!("evidence {code}"));
    }
    for line in &expected.lines {
        let codes = line.codes.iter().map(|code| format!("code {code}"));
        let kinds = line.deductions.iter().map(|(kind, _, _)| format!("deduction {kind}"));
        let amounts = line.compensations.iter().map(|_| "compensation".to_owned());
        let due = line.amounts_due.iter().map(|_| "amount due".to_owned());
        codes.chain(kinds).chain(amounts).chain(due).for_each(&mut note);
        note(format!("line {:?}", line.outcome));
        let above: usize = policy.layers.iter().map(|layer| layer.rules.len()).sum();
        note(format!("rule of {}", if line.rule.is_some_and(|rule| rule < above) { "a layer" } else { "the policy" }));
    }
    if let Proofs::Missing(sets) = &expected.proofs {
        note(format!("proof missing, {} ways", sets.len().min(3)));
    }
}

#[test]
fn the_program_decides_random_policies_as_the_reference_does() {
    if let Ok(seed) = std::env::var("REQUITE_RANDOM_SEED") {
        return compare(seed.parse().unwrap(), &mut Met::new());
    }
    let number = |name: &str| std::env::var(name).ok().map(|number| number.parse::<u64>().unwrap());
    let policies = number("REQUITE_RANDOM_CASES").unwrap_or(POLICIES);
    let first = number("REQUITE_RANDOM_FIRST").unwrap_or(0);
    let workers = std::thread::available_parallelism().map_or(1, |count| count.get() as u64).min(8);
    let mut all = Met::new();
    std::thread::scope(|scope| {
        let of_worker = |worker| {
            move || {
                let mut met = Met::new();
                let places = (worker..policies).step_by(usize::try_from(workers).unwrap());
                places.for_each(|place| compare(first + place, &mut met));
                met
            }
        };
        let running: Vec<_> = (0..workers).map(|worker| scope.spawn(of_worker(worker))).collect();
        for worker in running {
            // The worker's own message names the seed.
            for (key, count) in worker.join().expect("a policy is decided in two ways") {
                *all.entry(key).or_default() += count;
            }
        }
    });
    let decided: usize = all
        .iter()
        .filter(|(key, _)| key.starts_with("order ") || key.starts_with("not in force"))
        .map(|(_, count)| count)
        .sum();
    println!("{decided} decisions: {all:#?}");
    assert!(policies * ORDERS <= u64::try_from(decided).unwrap());
    if POLICIES <= policies {
        for key in [
            "line ApprovedFull",
            "line ApprovedPartial",
            "line Denied",
            "line ManualReview",
            "line MoreInfoRequired",
            "code fact_missing",
            "code not_computable",
            "code evidence_missing",
            "code reason_required",
            "code nothing_refundable",
            "deduction non_refundable_component",
            "deduction not_requested",
            "proof missing, 3 ways",
            "code calendar_not_covered",
            "code reason_too_vague",
            "code evidence_invalid",
            "evidence evidence_expired",
            "vague",
            "compensation",
            "amount due",
            "by store_credit",
            "review between days",
            "review beyond the calendar",
            "payout between days",
            "payout beyond the calendar",
            "rule of a layer",
            "not in force ManualReview",
            "not in force MoreInfoRequired",
            "code already_refunded",
            "asked again",
            "asked for too much",
        ] {
            assert!(MET_LEAST <= all.get(key).copied().unwrap_or(0), "too rare: {key} in {all:#?}");
        }
    }
}
