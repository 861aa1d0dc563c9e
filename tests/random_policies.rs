//! Random policies and random requests, decided twice: by the program, and by a slow and obvious
//! reference that shares nothing with it but the words of a request and of an answer.
//!
//! `REQUITE_RANDOM_CASES` is the number of policies; each decides [`ORDERS`] requests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a test may panic to fail"
)]

#[path = "random_policies/ast.rs"]
mod ast;
#[path = "random_policies/generate.rs"]
#[allow(clippy::wildcard_enum_match_arm, reason = "a generator has an answer for every other type")]
mod generate;
#[path = "random_policies/number.rs"]
mod number;
#[path = "random_policies/reference.rs"]
mod reference;

use std::collections::BTreeMap;

use requite::decision::explain::Silent;
use requite::decision::{Purpose, decide, intake};
use requite::domain::decision::{Decision, EvidenceVerdict, RuleRef};
use requite::engine::admit::admit;
use requite::plan::Plan;
use requite::policy::bundle::{Bundle, BundleFile};
use requite::policy::diagnostic::{Colour, render};

use crate::number::Chance;
use crate::reference::{Expected, ExpectedLine, Proofs};

const POLICIES: u64 = 2_500;
const ORDERS: usize = 40;

/// What was decided how often: a test that meets only denials proves little.
type Met = BTreeMap<String, usize>;

fn plan(text: &str, seed: u64) -> Plan {
    let file = BundleFile { path: "random.policy.yaml".to_owned(), bytes: text.as_bytes().to_vec() };
    let bundle = Bundle::new(vec![file]).unwrap();
    let admission = admit(&bundle).unwrap_or_else(|rejection| {
        panic!("seed {seed}: {}\n{text}", render(&rejection.diagnostics, &bundle, Colour::Off))
    });
    admission.plans.into_iter().next().unwrap()
}

/// The program's answer, as far as it is compared.
fn said(plan: &Plan, decision: &Decision) -> Expected {
    let lines = decision.lines.iter().map(|line| ExpectedLine {
        line: usize::from(line.line),
        outcome: line.outcome,
        codes: line.reason_codes.iter().collect(),
        rule: match line.rule {
            RuleRef::Rule(place) => Some(usize::try_from(place).unwrap()),
            RuleRef::Otherwise => None,
        },
        base: line.base.minor(),
        refund: line.refund.minor(),
        deductions: line.deductions.iter().map(|deduction| (deduction.kind, deduction.amount.minor())).collect(),
        missing: line.missing_facts.iter().map(|fact| plan.fact(*fact).unwrap().name.clone()).collect(),
    });
    Expected {
        outcome: decision.outcome,
        codes: decision.reason_codes.iter().collect(),
        refund: decision.refund.minor(),
        lines: lines.collect(),
        components: decision.components.iter().map(|of| (of.base.minor(), of.refund.minor())).collect(),
        tenders: decision.tenders.iter().map(|tender| tender.amount.minor()).collect(),
        proof_missing: match decision.evidence.verdict {
            EvidenceVerdict::NotRequired => Proofs::NotRequired,
            EvidenceVerdict::Sufficient => Proofs::Enough,
            EvidenceVerdict::Insufficient => Proofs::Missing(decision.evidence.missing.iter().copied().collect()),
        },
    }
}

/// Decides [`ORDERS`] requests under the policy of a seed.
fn compare(seed: u64, met: &mut Met) {
    let mut chance = Chance(seed.wrapping_mul(0xd134_2543_de82_ef95));
    let policy = generate::policy(&mut chance);
    let text = policy.yaml();
    let plan = plan(&text, seed);
    for place in 0..ORDERS {
        let request = generate::request(&mut chance, &policy);
        let facts = intake(&plan, &request, Purpose::Decision)
            .unwrap_or_else(|bad| panic!("seed {seed}, request {place}: {bad:?}\n{text}\n{request:#?}"));
        let expected = reference::decide(&policy, &request);
        let said = said(&plan, &decide(&plan, &facts, &mut Silent));
        assert!(
            said == expected,
            "seed {seed}, request {place}: the program said\n{said:#?}\ninstead of\n{expected:#?}\n{text}\n{request:#?}"
        );
        *met.entry(format!("order {:?}", expected.outcome)).or_default() += 1;
        for line in &expected.lines {
            let codes = line.codes.iter().map(|code| format!("code {code}"));
            let kinds = line.deductions.iter().map(|(kind, _)| format!("deduction {kind}"));
            for key in codes.chain(kinds).chain([format!("line {:?}", line.outcome)]) {
                *met.entry(key).or_default() += 1;
            }
        }
        if let Proofs::Missing(sets) = &expected.proof_missing {
            *met.entry(format!("proof missing, {} ways", sets.len().min(3))).or_default() += 1;
        }
    }
}

#[test]
fn the_program_decides_random_policies_as_the_reference_does() {
    let policies = std::env::var("REQUITE_RANDOM_CASES").ok().map_or(POLICIES, |count| count.parse().unwrap());
    let workers = std::thread::available_parallelism().map_or(1, |count| count.get() as u64).min(8);
    let mut all = Met::new();
    std::thread::scope(|scope| {
        let of_worker = |worker| {
            move || {
                let mut met = Met::new();
                (worker..policies).step_by(usize::try_from(workers).unwrap()).for_each(|seed| compare(seed, &mut met));
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
    let decided: usize = all.iter().filter(|(key, _)| key.starts_with("order ")).map(|(_, count)| count).sum();
    println!("{decided} decisions: {all:#?}");
    assert_eq!(decided, usize::try_from(policies).unwrap() * ORDERS);
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
        ] {
            assert!(500 <= all.get(key).copied().unwrap_or(0), "too rare: {key} in {all:#?}");
        }
    }
}
