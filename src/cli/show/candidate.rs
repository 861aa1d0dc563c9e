//! Decisions of the candidate on live requests, for people.

use std::fmt::Write as _;

use crate::api::pb;
use crate::cli::show::revisions::withdrawal;
use crate::cli::show::{Side, decimal, humanize, length, moment, row, short, table, visible};
use crate::domain::count::counted;

/// All of the report.
pub(in crate::cli) fn text(candidate: &pb::CandidateStatus) -> String {
    let mut page = String::new();
    row(&mut page, "candidate", &candidate.digest);
    let by = if candidate.actor.is_empty() { String::new() } else { format!(" by {}", candidate.actor) };
    row(&mut page, "staged", &format!("{}{by}", moment(candidate.staged_at.as_ref().map(|at| at.seconds))));
    let in_force = match candidate.staged_over_digest.as_str() {
        over if over == candidate.compared_with_digest => ", in force".to_owned(),
        over => format!(", in force; when it was staged, {} was", short(over)),
    };
    row(&mut page, "beside", &format!("{}{in_force}", candidate.compared_with_digest));
    if let Some(mark) = &candidate.withdrawal {
        row(&mut page, "rolled back", &format!("from, {}", withdrawal(mark, &candidate.digest)));
    }
    let observed = length(candidate.observed.as_ref().map_or(0, |observed| observed.seconds));
    row(&mut page, "sample", &format!("{} of 1000 requests, for {observed}", candidate.sample_per_thousand));
    row(&mut page, "requests", &requests(candidate));
    if candidate.failed != 0 {
        row(&mut page, "failed", &format!("{} made the candidate panic; that is a bug, see the log", candidate.failed));
    }
    if candidate.compared == 0 {
        row(&mut page, "", "nothing is known yet: no request was decided by both");
        return page;
    }
    money(&mut page, &candidate.money);
    by_rule(&mut page, candidate);
    by_reason(&mut page, &candidate.by_reason);
    page
}

/// The report in a few words.
pub(in crate::cli) fn brief(candidate: &pb::CandidateStatus) -> String {
    let pb::CandidateStatus { compared, different, not_comparable, .. } = candidate;
    let brief = format!("{different} of {compared} different");
    if *not_comparable == 0 { brief } else { format!("{brief}, {not_comparable} not comparable") }
}

fn requests(candidate: &pb::CandidateStatus) -> String {
    let pb::CandidateStatus { compared, different, not_comparable, shed, .. } = candidate;
    format!("{compared} compared: {different} different; {not_comparable} not comparable, {shed} shed")
}

fn block(page: &mut String, heading: &str, lines: &[String]) {
    let _ = writeln!(page, "\n{heading}");
    for line in lines {
        let _ = writeln!(page, "  {line}");
    }
}

/// The sums of money, a row for each currency.
fn money(page: &mut String, rows: &[pb::MoneyDifference]) {
    let columns = [
        ("currency", Side::Left),
        ("live", Side::Right),
        ("candidate", Side::Right),
        ("difference", Side::Right),
        ("above", Side::Right),
        ("below", Side::Right),
    ];
    let cells = |row: &pb::MoneyDifference| {
        let pb::MoneyDifference { live, candidate, difference, above, below } = row;
        let code = live.as_ref().or(candidate.as_ref()).map(|money| money.currency_code.clone()).unwrap_or_default();
        let amounts = [live, candidate, difference, above, below].map(|money| decimal(money.as_ref()));
        std::iter::once(code).chain(amounts).collect()
    };
    let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
    block(page, "refunds of the compared requests", &table(&columns, &rows));
}

fn by_rule(page: &mut String, candidate: &pb::CandidateStatus) {
    if candidate.by_rule.is_empty() {
        return;
    }
    let columns = [
        ("policy", Side::Left),
        ("rule in force", Side::Left),
        ("rule of the candidate", Side::Left),
        ("lines", Side::Right),
        ("difference", Side::Right),
    ];
    let cells = |row: &pb::RuleDifference| {
        let pb::RuleDifference { policy_id, live_rule_id, candidate_rule_id, lines, difference } = row;
        let amounts: Vec<String> =
            difference.iter().map(|money| format!("{} {}", decimal(Some(money)), money.currency_code)).collect();
        vec![policy_id.clone(), live_rule_id.clone(), candidate_rule_id.clone(), lines.to_string(), amounts.join(", ")]
    };
    let rows: Vec<Vec<String>> = candidate.by_rule.iter().map(cells).collect();
    block(page, "lines decided otherwise, by rule", &table(&columns, &rows));
    if candidate.further_rules != 0 {
        let _ = writeln!(page, "  and {} under further rules", counted(candidate.further_rules, "line"));
    }
}

fn by_reason(page: &mut String, rows: &[pb::ReasonDifference]) {
    if rows.is_empty() {
        return;
    }
    let answer = |outcome: pb::Outcome, reason: pb::ReasonCode| {
        let outcome = humanize(outcome.as_str_name(), "OUTCOME_");
        match humanize(reason.as_str_name(), "REASON_CODE_").as_str() {
            "unspecified" => outcome,
            reason => format!("{outcome}: {reason}"),
        }
    };
    let columns = [("in force", Side::Left), ("candidate", Side::Left), ("requests", Side::Right)];
    let cells = |row: &pb::ReasonDifference| {
        let live = answer(row.live_outcome(), row.live_reason());
        vec![live, answer(row.candidate_outcome(), row.candidate_reason()), row.requests.to_string()]
    };
    let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
    block(page, "requests decided otherwise, by outcome and reason", &table(&columns, &rows));
}

/// Result of staging.
pub(in crate::cli) fn staged(candidate: &pb::CandidateStatus) -> String {
    let sample = candidate.sample_per_thousand;
    format!("candidate: {}, beside {sample} of 1000 live requests\n", visible(&candidate.digest))
}
