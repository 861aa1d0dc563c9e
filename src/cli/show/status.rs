//! Status of replicas: a page for one of them, a table for several.

use crate::api::pb;
use crate::api::pb::{RestartForecast, SourceHold, StartedFrom};
use crate::cli::show::{Side, asked, candidate, diagnostics, moment, origin, row, short, table};
use crate::domain::count::counted;

/// Everything about one replica.
pub(in crate::cli) fn page(addr: &str, status: &pb::PolicyStatus) -> String {
    let mut page = String::new();
    let started = moment(status.started_at.as_ref().map(|at| at.seconds));
    row(&mut page, "replica", &format!("{addr}, requite {}, started {started}", status.server_version));
    let in_force = status.in_force.clone().unwrap_or_default();
    row(&mut page, "in force", &in_force.digest);
    row(&mut page, "", &format!("generation {}, {}, {}", in_force.generation, since(&in_force), origin(&in_force)));
    row(&mut page, "policies", &policies(status));
    row(&mut page, "decisions", &format!("{} since then", status.decisions));
    if status.started_from() == StartedFrom::LastKnownGood {
        row(&mut page, "started", "from the last known good: the source was broken");
    }
    let source = status.source.clone().unwrap_or_default();
    let checked = moment(source.checked_at.as_ref().map(|at| at.seconds));
    row(&mut page, "source", &format!("{}, read {checked}: {}", source.location, of_source(status)));
    // The detail says the same, and which digest, or why not.
    let restart = match (status.restart(), status.restart_detail.as_str()) {
        (forecast @ RestartForecast::Same, _) | (forecast, "") => of_restart(forecast),
        (
            RestartForecast::Unspecified
            | RestartForecast::Other
            | RestartForecast::LastKnownGood
            | RestartForecast::Failure,
            detail,
        ) => detail,
    };
    row(&mut page, "restart", restart);
    if let Some(revision) = &status.last_known_good {
        row(&mut page, "known good", &format!("{}, {}", revision.digest, since(revision)));
    }
    if let Some(candidate) = &status.candidate {
        let brief = candidate::brief(candidate);
        row(&mut page, "candidate", &format!("{}: {brief}; see `requite candidate status`", candidate.digest));
    }
    // The latest one stands above, as what is in force.
    for (place, entry) in status.activations.iter().skip(1).enumerate() {
        let at = moment(entry.activated_at.as_ref().map(|at| at.seconds));
        let by = asked(entry.trigger(), &entry.actor, &entry.reason);
        let before = format!("{}, generation {}, at {at}, {by}", short(&entry.digest), entry.generation);
        row(&mut page, if place == 0 { "before" } else { "" }, &before);
    }
    for notice in &status.notices {
        row(&mut page, "notice", notice);
    }
    if !status.stricter_errors.is_empty() {
        let errors = counted(status.stricter_errors.len() as u64, "error");
        let text =
            format!("with {errors} that would refuse these policies if they were new: served as before, fix them");
        row(&mut page, "let in", &text);
        page.push('\n');
        page.push_str(&diagnostics::list(&status.stricter_errors));
    }
    if let Some(rejection) = &status.last_rejection {
        let at = moment(rejection.rejected_at.as_ref().map(|at| at.seconds));
        row(&mut page, "rejected", &at);
        page.push('\n');
        page.push_str(&diagnostics::rejection(rejection));
    }
    page
}

/// Status of one replica, or the reason why it is not known.
pub(in crate::cli) type Told = (String, Result<pb::PolicyStatus, String>);

/// One line for each replica.
pub(in crate::cli) fn lines(replicas: &[Told]) -> String {
    let columns = [
        "address",
        "version",
        "policies",
        "digest",
        "generation",
        "since",
        "source",
        "candidate",
        "rejected",
        "restart",
    ]
    .map(|name| (name, if name == "generation" { Side::Right } else { Side::Left }));
    let cells = |(addr, told): &Told| match told {
        Err(problem) => vec![addr.clone(), problem.clone()],
        Ok(status) => {
            let in_force = status.in_force.clone().unwrap_or_default();
            let rejected = status.last_rejection.as_ref().map_or_else(
                || "-".to_owned(),
                |rejection| moment(rejection.rejected_at.as_ref().map(|at| at.seconds)),
            );
            vec![
                addr.clone(),
                status.server_version.clone(),
                policies(status),
                short(&in_force.digest).to_owned(),
                in_force.generation.to_string(),
                moment(in_force.activated_at.as_ref().map(|at| at.seconds)),
                of_source(status),
                status.candidate.as_ref().map_or_else(|| "-".to_owned(), |it| short(&it.digest).to_owned()),
                rejected,
                of_restart(status.restart()).to_owned(),
            ]
        }
    };
    // What is wrong with a replica is no column: it would make all of them wide.
    let rows: Vec<Vec<String>> = replicas.iter().filter(|(_, told)| told.is_ok()).map(cells).collect();
    let mut lines = if rows.is_empty() { Vec::new() } else { table(&columns, &rows) };
    lines.extend(replicas.iter().filter(|(_, told)| told.is_err()).map(|told| cells(told).join(": ")));
    lines.join("\n") + "\n"
}

/// One line about one replica, for whoever watches it.
pub(in crate::cli) fn line(status: &pb::PolicyStatus) -> String {
    let in_force = status.in_force.clone().unwrap_or_default();
    let candidate =
        status.candidate.as_ref().map(|it| format!("; candidate {}: {}", short(&it.digest), candidate::brief(it)));
    let rejected = status
        .last_rejection
        .as_ref()
        .map(|it| format!("; rejected {}: {}", short(&it.digest), counted(it.diagnostics.len() as u64, "diagnostic")));
    let let_in = match status.stricter_errors.len() {
        0 => String::new(),
        errors => format!("; let in with {}", counted(errors as u64, "error")),
    };
    format!(
        "{} generation {}, {}, {}; source: {}{let_in}{}{}",
        short(&in_force.digest),
        in_force.generation,
        since(&in_force),
        origin(&in_force),
        of_source(status),
        candidate.unwrap_or_default(),
        rejected.unwrap_or_default()
    )
}

fn since(revision: &pb::PolicyRevision) -> String {
    format!("since {}", moment(revision.activated_at.as_ref().map(|at| at.seconds)))
}

fn policies(status: &pb::PolicyStatus) -> String {
    let names: Vec<String> =
        status.policies.iter().map(|policy| format!("{} {}", policy.policy_id, policy.version)).collect();
    names.join(", ")
}

/// Relation of the source to what is in force.
fn of_source(status: &pb::PolicyStatus) -> String {
    let source = status.source.clone().unwrap_or_default();
    let in_force = status.in_force.as_ref().map_or("", |revision| revision.digest.as_str());
    match (source.hold(), source.digest.as_str()) {
        (SourceHold::Flapping, _) => {
            let until = moment(source.held_until.as_ref().map(|at| at.seconds));
            format!("held back: it flaps between good and bad; tried again at {until}")
        }
        (SourceHold::Overridden, digest) => {
            format!("held back: an admin put something else in force than its {}", short(digest))
        }
        (SourceHold::Unspecified, "") => "cannot be read".to_owned(),
        (SourceHold::Unspecified, digest) if digest == in_force => "in force".to_owned(),
        (SourceHold::Unspecified, digest) => format!("holds {}, which is not in force", short(digest)),
    }
}

const fn of_restart(forecast: RestartForecast) -> &'static str {
    match forecast {
        RestartForecast::Unspecified => "not known",
        RestartForecast::Same => "the same policies",
        RestartForecast::Other => "what the source holds",
        RestartForecast::LastKnownGood => "the last known good",
        RestartForecast::Failure => "would fail",
    }
}
