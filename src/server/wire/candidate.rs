//! Decisions of a candidate, as a message.

use std::time::Duration;

use crate::api::pb;
use crate::domain::money::Currency;
use crate::domain::words::{Outcome, ReasonCode};
use crate::engine::status::{CandidateReport, MoneyDifference, ReasonDifference, RuleDifference};
use crate::server::wire::history;
use crate::server::wire::scalars::moment;
use crate::server::wire::words::{to_outcome, to_reason_code};

/// The message of a candidate.
pub(crate) fn report(report: &CandidateReport) -> pb::CandidateStatus {
    let CandidateReport {
        digest,
        staged_at,
        actor,
        staged_over,
        compared_with,
        withdrawal,
        sample_per_thousand,
        observed,
        compared,
        different,
        not_comparable,
        shed,
        failed,
        money,
        by_rule,
        further_rules,
        by_reason,
    } = report;
    pb::CandidateStatus {
        digest: digest.to_string(),
        staged_at: Some(moment(*staged_at)),
        actor: actor.clone(),
        sample_per_thousand: u32::from(*sample_per_thousand),
        observed: Some(duration(*observed)),
        compared: *compared,
        different: *different,
        not_comparable: *not_comparable,
        shed: *shed,
        failed: *failed,
        money: money.iter().map(money_difference).collect(),
        by_rule: by_rule.iter().map(rule_difference).collect(),
        further_rules: *further_rules,
        by_reason: by_reason.iter().map(reason_difference).collect(),
        withdrawal: withdrawal.as_ref().map(history::withdrawal),
        staged_over_digest: staged_over.to_string(),
        compared_with_digest: compared_with.to_string(),
    }
}

fn money_difference(difference: &MoneyDifference) -> pb::MoneyDifference {
    let MoneyDifference { currency, live, candidate, above, below } = difference;
    pb::MoneyDifference {
        live: money(currency, Some(*live)),
        candidate: money(currency, Some(*candidate)),
        difference: money(currency, candidate.checked_sub(*live)),
        above: money(currency, Some(*above)),
        below: money(currency, Some(*below)),
    }
}

fn rule_difference(difference: &RuleDifference) -> pb::RuleDifference {
    let RuleDifference { policy, live, candidate, lines, difference } = difference;
    pb::RuleDifference {
        policy_id: policy.clone(),
        live_rule_id: live.clone(),
        candidate_rule_id: candidate.clone(),
        lines: *lines,
        difference: difference.iter().filter_map(|(currency, minor)| money(currency, Some(*minor))).collect(),
    }
}

fn reason_difference(difference: &ReasonDifference) -> pb::ReasonDifference {
    let ReasonDifference { live, candidate, requests } = difference;
    let ((live_outcome, live_reason), (candidate_outcome, candidate_reason)) = (words(*live), words(*candidate));
    pb::ReasonDifference { live_outcome, live_reason, candidate_outcome, candidate_reason, requests: *requests }
}

fn words((outcome, reason): (Outcome, Option<ReasonCode>)) -> (i32, i32) {
    let reason = reason.map_or(pb::ReasonCode::Unspecified, to_reason_code);
    (to_outcome(outcome).into(), reason.into())
}

/// A sum over many orders, in minor units; `None` where its whole units are beyond 64 bits.
fn money(currency: &Currency, minor: Option<i128>) -> Option<pb::Money> {
    let minor = minor?;
    let per_unit = i128::from(currency.minor_per_unit());
    let units = i64::try_from(minor.checked_div(per_unit)?).ok()?;
    let nanos =
        i32::try_from(minor.checked_rem(per_unit)?.checked_mul(i128::from(currency.nanos_per_minor()))?).ok()?;
    Some(pb::Money { currency_code: currency.code.clone(), units, nanos })
}

fn duration(length: Duration) -> prost_types::Duration {
    prost_types::Duration {
        // A candidate is watched for less than 292 thousand million years.
        seconds: i64::try_from(length.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(length.subsec_nanos()).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_keep_their_sign_and_their_fraction() {
        let cny = Currency::iso("CNY").unwrap();
        let sent = |minor| money(&cny, Some(minor)).map(|money| (money.units, money.nanos));
        assert_eq!(sent(-12_345), Some((-123, -450_000_000)));
        assert_eq!(sent(99), Some((0, 990_000_000)));
        assert_eq!(sent(i128::from(i64::MAX) * 100 + 99), Some((i64::MAX, 990_000_000)));
    }

    #[test]
    fn a_sum_beyond_the_wire_is_left_out_and_not_cut() {
        let yen = Currency::iso("JPY").unwrap();
        assert_eq!(money(&yen, Some(i128::from(i64::MAX) + 1)), None);
        assert_eq!(money(&yen, None), None);
    }
}
