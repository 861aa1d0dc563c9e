//! Result of a reload, rollback or promotion, for people.

use crate::api::pb;
use crate::cli::show::{changes, diagnostics, moment, short, visible};
use crate::domain::count::counted;
use crate::policy::diagnostic::Colour;

/// Text on the result: the digests, the differences, and what follows.
pub(in crate::cli) fn text(activation: &pb::Activation, colour: Colour) -> String {
    let pb::Activation {
        before_digest,
        after_digest,
        generation,
        activated_at,
        warnings,
        changes,
        cases_passed,
        notices,
        further_changes,
    } = activation;
    let since = moment(activated_at.as_ref().map(|at| at.seconds));
    if before_digest == after_digest {
        let in_force = format!(
            "nothing changed: {} is in force, generation {generation}, since {since}\n",
            visible(short(after_digest))
        );
        return in_force + &notes(warnings, notices);
    }
    let mut page = String::new();
    if changes.is_empty() {
        page.push_str("nothing differs but the layout: comments, spaces, quotes, the order of keys\n");
    } else {
        page.push_str(&changes::text_of_server(changes, *further_changes, colour));
    }
    let passed = counted(u64::from(*cases_passed), "case");
    page.push_str(&format!(
        "in force: {}, generation {generation}, since {since}; before: {}; {passed} passed\n",
        visible(after_digest),
        visible(short(before_digest))
    ));
    page + &notes(warnings, notices)
}

fn notes(warnings: &[pb::PolicyDiagnostic], notices: &[String]) -> String {
    let notices: String = notices.iter().map(|notice| format!("note: {}\n", visible(notice))).collect();
    diagnostics::list(warnings) + &notices
}
