//! Cases: orders and claims with the decisions expected of them, as data beside a policy.
//!
//! One format and one runner for authors (`requite test`), for the server before it puts a
//! bundle in force, and for the project's own tests.

mod expect;
mod expectation;
mod explain;
mod given;

use std::collections::HashSet;

use crate::decision::explain::Silent;
use crate::decision::version::{begins, governing};
use crate::decision::{Purpose, decide, intake};
use crate::domain::limits::{DIAGNOSTICS_COLLECTED_MAX, DIAGNOSTICS_MAX};
use crate::plan::Plan;
use crate::policy::bundle::{Bundle, BundleFile};
use crate::policy::diagnostic::Diagnostic;
use crate::policy::diagnostics::Diagnostics;
use crate::policy::load::{FileRole, Loaded, RulePlaces, read_file, role};
use crate::policy::read::{Raw, Read, Slug, Table, Text, record};
use crate::policy::tree::NodeBudget;

record! {
    /// A file of cases.
    pub struct CasesNode = "a file of cases" {
        /// The policy that decides. Absent: the bundle's default one.
        policy: Option<Slug>,
        /// Values that every case of the file begins with.
        given: Option<Table<Raw>>,
        /// The cases.
        cases: Vec<CaseNode>,
    }
}

record! {
    /// A case: an order and a claim, and the decision expected.
    pub struct CaseNode = "a case" {
        /// Name of the case: the behaviour that it shows; unique in the file.
        case: Text,
        /// The rules of the published text that it covers, for readers.
        covers: Option<Vec<Text>>,
        /// The order and the claim, by the names of facts. `absent` takes back what the file gives.
        given: Option<Table<Raw>>,
        /// The lines of an order with several; each adds to `given` or overrides it.
        lines: Option<Vec<Table<Raw>>>,
        /// Tenders by which the order was paid.
        tenders: Option<Vec<Table<Raw>>>,
        /// Components of the order.
        components: Option<Vec<Table<Raw>>>,
        /// The decision expected; what is not named may be anything.
        expect: Table<Raw>,
    }
}

/// The code of the diagnostic for a case with another decision than expected.
pub const CASE_FAILED: &str = "case-failed";

/// Cases in one bundle.
pub const CASES_MAX: usize = 20_000;

/// Result of running cases.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rehearsal {
    /// Number of cases that came out as expected.
    pub passed: usize,
    /// Number of cases that did not.
    pub failed: usize,
    /// Each case that did not, and each mistake in a file of cases.
    pub diagnostics: Vec<Diagnostic>,
    /// The rules that decided a line in some case, as policy id and rule id.
    pub exercised: HashSet<(String, String)>,
}

/// Runs all cases of a bundle against its policies.
#[must_use]
pub fn rehearse(bundle: &Bundle, loaded: &Loaded) -> Rehearsal {
    let places = RulePlaces::new(bundle, loaded);
    let mut rehearsal = Rehearsal::default();
    let mut budget = NodeBudget::of(loaded.precedent);
    for file in bundle.files().iter().filter(|file| role(&file.path) == FileRole::Cases) {
        rehearse_file(file, loaded, &places, &mut budget, &mut rehearsal);
    }
    rehearsal
}

fn rehearse_file(
    file: &BundleFile,
    loaded: &Loaded,
    places: &RulePlaces<'_>,
    budget: &mut NodeBudget,
    rehearsal: &mut Rehearsal,
) {
    let Loaded { plans, default_policy, rules: _, precedent: _ } = loaded;
    let mut diagnostics = Vec::new();
    read_file(file, budget, &mut diagnostics, |node, diagnostics| {
        let written = CasesNode::read(node, diagnostics)?;
        let id = written.policy.as_ref().map_or(default_policy.as_str(), Slug::text);
        let mut versions: Vec<&Plan> = plans.iter().filter(|plan| plan.id == id).collect();
        versions.sort_by_key(|plan| begins(plan));
        if versions.is_empty() {
            let span = written.policy.as_ref().map_or(node.span, Slug::span);
            let known: Vec<String> = plans.iter().map(|plan| plan.id.clone()).collect();
            crate::policy::unknown::unknown_word(id, span, "policy of this bundle", &known, diagnostics);
            return None;
        };
        let mut names = HashSet::new();
        for case in &written.cases {
            if !names.insert(case.case.value.as_str()) {
                diagnostics.error(
                    "duplicate-case",
                    case.case.span,
                    format!("there are two cases `{}`", case.case.value),
                    "say what is different about this one",
                );
            }
            if CASES_MAX <= rehearsal.passed + rehearsal.failed {
                diagnostics.error(
                    "too-many-cases",
                    case.case.span,
                    format!("a bundle holds at most {CASES_MAX} cases"),
                    "keep those at the edges of rules",
                );
                return None;
            }
            run(case, (written.given.as_ref(), &versions, places), rehearsal, diagnostics);
        }
        Some(())
    });
    rehearsal.diagnostics.append(&mut diagnostics);
    // All of them are errors; far fewer are shown.
    rehearsal.diagnostics.truncate(DIAGNOSTICS_COLLECTED_MAX);
}

/// Runs one case; notes what is wrong with it, or what came out differently.
fn run(
    case: &CaseNode,
    (common, versions, places): (Option<&Table<Raw>>, &[&Plan], &RulePlaces<'_>),
    rehearsal: &mut Rehearsal,
    diagnostics: &mut Diagnostics<'_, '_>,
) {
    let mistakes = diagnostics.diagnostics.len();
    if case.expect.entries.is_empty() && case.expect.broken.is_empty() {
        let help = "say what must come out, such as `expect: { outcome: approved_full }`";
        diagnostics.stricter_error("empty-expectation", case.case.span, "the case expects nothing", help);
        return;
    }
    // Names and types are those of the newest version; which one decides follows from the order.
    let Some(newest) = versions.last() else { return };
    let given = given::Given::new(common, case, newest);
    let request = given.request(diagnostics);
    let Some(request) = request.filter(|_| mistakes == diagnostics.diagnostics.len()) else { return };
    let Some(plan) = governing(versions.iter().copied(), &request) else { return };
    let mut why = String::from("change the policy or the expectation");
    let differences = match intake(plan, &request, Purpose::Decision) {
        Ok(facts) => {
            let decision = decide(plan, &facts, &mut Silent);
            for line in &decision.lines {
                rehearsal.exercised.insert((plan.id.clone(), plan.rule_id(line.rule).to_owned()));
            }
            let observed = expect::Observed { plan, versions, facts: &facts, decision: &decision, request: &request };
            let differences = expect::differences(&case.expect, &observed, diagnostics);
            // The others are only counted.
            if !differences.is_empty() && rehearsal.failed < DIAGNOSTICS_MAX {
                why = explain::explain(&observed, &case.expect, places);
            }
            differences
        }
        Err(violations) => expect::of_violations(&case.expect, &violations, diagnostics),
    };
    if mistakes != diagnostics.diagnostics.len() {
        return;
    }
    if differences.is_empty() {
        rehearsal.passed += 1;
    } else {
        rehearsal.failed += 1;
        let list = differences.join("; ");
        diagnostics.error(
            CASE_FAILED,
            case.case.span,
            format!("the case `{}` comes out differently: {list}", case.case.value),
            why,
        );
    }
}
