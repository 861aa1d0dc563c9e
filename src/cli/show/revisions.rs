//! The revisions that can be gone back to, the marks of those that were rolled back from, and the history of activations.

use crate::api::pb;
use crate::cli::show::{Side, asked, moment, origin, short, table};

/// The revisions that can be gone back to, and the history of activations.
pub(in crate::cli) fn revisions(response: &pb::ListPolicyRevisionsResponse) -> String {
    let pb::ListPolicyRevisionsResponse { revisions, activations, caller: _, origin: _, unnoticed: _ } = response;
    let columns = [
        ("digest", Side::Left),
        ("generation", Side::Right),
        ("since", Side::Left),
        ("put in force by", Side::Left),
        ("known good", Side::Left),
        ("rolled back from", Side::Left),
    ];
    let cells = |revision: &pb::PolicyRevision| {
        let generation = match revision.generation {
            0 => "earlier run".to_owned(),
            generation => generation.to_string(),
        };
        let known_good = if revision.known_good { "yes" } else { "not yet" };
        let at = moment(revision.activated_at.as_ref().map(|at| at.seconds));
        let withdrawn =
            revision.withdrawal.as_ref().map_or_else(|| "no".to_owned(), |mark| withdrawal(mark, &revision.digest));
        vec![revision.digest.clone(), generation, at, origin(revision), known_good.to_owned(), withdrawn]
    };
    let rows: Vec<Vec<String>> = revisions.iter().map(cells).collect();
    let revisions = table(&columns, &rows).join("\n");
    format!("{revisions}\n\nhistory of activations\n{}\n", history(activations).join("\n"))
}

/// That the revision of this digest was rolled back from, or which one that says the same: by whom, when and why.
pub(in crate::cli) fn withdrawal(withdrawal: &pb::PolicyWithdrawal, of: &str) -> String {
    let pb::PolicyWithdrawal { withdrawn_at, actor, reason, digest } = withdrawal;
    let same = digest.is_empty() || digest == of;
    let other = if same { String::new() } else { format!("as {}, ", short(digest)) };
    let by = if actor.is_empty() { String::new() } else { format!("by {actor} ") };
    let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    format!("{other}{by}at {}{why}", moment(withdrawn_at.as_ref().map(|at| at.seconds)))
}

/// Revisions, a line each, the latest first.
fn history(activations: &[pb::PolicyActivation]) -> Vec<String> {
    let columns = [
        ("number", Side::Right),
        ("at", Side::Left),
        ("generation", Side::Right),
        ("digest", Side::Left),
        ("policies", Side::Left),
        ("put in force by", Side::Left),
    ];
    let cells = |entry: &pb::PolicyActivation| {
        let mut policies: Vec<String> =
            entry.policies.iter().map(|policy| format!("{} {}", policy.policy_id, policy.version)).collect();
        if entry.further_policies != 0 {
            policies.push(format!("and {} more", entry.further_policies));
        }
        vec![
            entry.number.to_string(),
            moment(entry.activated_at.as_ref().map(|at| at.seconds)),
            entry.generation.to_string(),
            short(&entry.digest).to_owned(),
            policies.join(", "),
            asked(entry.trigger(), &entry.actor, &entry.reason),
        ]
    };
    table(&columns, &activations.iter().map(cells).collect::<Vec<_>>())
}
