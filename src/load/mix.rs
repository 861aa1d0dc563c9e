//! Requests for the standard policy where nobody gave any: its twelve examples with other amounts, other
//! progress and other ids, reproducible from a seed.

use crate::api::json::{JsonError, request_from_json};
use crate::api::pb;
use crate::load::random::Random;

/// Requests of a mix: enough that nothing is fast only because it was just seen, and few enough to keep.
pub const MIX_REQUESTS: usize = 240;

/// Largest factor on the amounts of an example.
const FACTOR_MAX: u64 = 40;

const NANOS_PER_UNIT: i64 = 1_000_000_000;

/// The examples: full, partial and denied refunds, missing material, and cases for a reviewer.
const EXAMPLES: [&str; 12] = [
    include_str!("../../policies/standard/requests/after-sales-appeal.json"),
    include_str!("../../policies/standard/requests/agreed-delay.json"),
    include_str!("../../policies/standard/requests/completed.json"),
    include_str!("../../policies/standard/requests/customer-cancels.json"),
    include_str!("../../policies/standard/requests/missing-evidence.json"),
    include_str!("../../policies/standard/requests/multi-line.json"),
    include_str!("../../policies/standard/requests/not-started-24h.json"),
    include_str!("../../policies/standard/requests/platform-late-partial.json"),
    include_str!("../../policies/standard/requests/shared-liability.json"),
    include_str!("../../policies/standard/requests/two-tenders-with-coupon.json"),
    include_str!("../../policies/standard/requests/unofficial-channel.json"),
    include_str!("../../policies/standard/requests/vague-text.json"),
];

/// The mix of a seed: each example equally often, without explanations.
///
/// # Errors
///
/// None with the examples that the program was built with.
pub fn mix(seed: u64) -> Result<Vec<pb::EvaluateRefundRequest>, JsonError> {
    let examples = EXAMPLES.iter().map(|text| request_from_json(text)).collect::<Result<Vec<_>, _>>()?;
    let mut random = Random::new(seed);
    let mut mix: Vec<_> = examples.iter().cycle().take(MIX_REQUESTS).cloned().collect();
    for (number, request) in mix.iter_mut().enumerate() {
        vary(request, number, &mut random);
    }
    // So that neighbours are not always the same two examples.
    for last in (1..mix.len()).rev() {
        let other = usize::try_from(random.below(last as u64 + 1)).unwrap_or_default();
        mix.swap(last, other);
    }
    Ok(mix)
}

fn vary(request: &mut pb::EvaluateRefundRequest, number: usize, random: &mut Random) {
    request.request_id = format!("bench-{number}");
    request.explain = pb::ExplainLevel::Unspecified.into();
    let factor = i64::try_from(1 + random.below(FACTOR_MAX)).unwrap_or(1);
    let Some(order) = request.order.as_mut() else { return };
    let id = format!("{}-{number}", order.order_id);
    let before = std::mem::replace(&mut order.order_id, id.clone());
    for line in &mut order.lines {
        for amount in [&mut line.paid, &mut line.list_price, &mut line.declared_cost].into_iter().flatten() {
            multiply(amount, factor);
        }
        if let Some(completed) = &mut line.completed
            && 0 < completed.numerator
            && completed.numerator < completed.denominator
        {
            let parts = u64::try_from(completed.denominator - 1).unwrap_or(1);
            completed.numerator = i64::try_from(1 + random.below(parts)).unwrap_or(1);
        }
    }
    for component in &mut order.components {
        component.paid.iter_mut().for_each(|amount| multiply(amount, factor));
    }
    for tender in &mut order.tenders {
        tender.paid.iter_mut().for_each(|amount| multiply(amount, factor));
    }
    let Some(claim) = request.claim.as_mut() else { return };
    claim.requested_amount.iter_mut().for_each(|amount| multiply(amount, factor));
    for evidence in claim.evidence.iter_mut().filter(|evidence| evidence.order_id == before) {
        evidence.order_id.clone_from(&id);
    }
}

/// A whole multiple, so that sums stay sums.
fn multiply(amount: &mut pb::Money, factor: i64) {
    let nanos = i64::from(amount.nanos) * factor;
    amount.units = amount.units.saturating_mul(factor).saturating_add(nanos / NANOS_PER_UNIT);
    amount.nanos = i32::try_from(nanos % NANOS_PER_UNIT).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::engine::admit::admit;
    use crate::engine::open;
    use crate::server::evaluate;
    use crate::source::embedded;

    #[test]
    fn every_request_of_a_mix_is_decided_by_the_standard_policy_with_several_outcomes() {
        let (engine, _activator) = open(admit(&embedded::read().unwrap()).unwrap());
        let mut outcomes: BTreeMap<i32, usize> = BTreeMap::new();
        for seed in [0, 1, u64::MAX] {
            for request in mix(seed).unwrap() {
                let answer = evaluate(&engine.current(), &request);
                let outcome = answer.unwrap_or_else(|failure| panic!("{failure:?} for {request:?}")).outcome;
                *outcomes.entry(outcome).or_default() += 1;
            }
        }
        assert!(4 <= outcomes.len(), "{outcomes:?}");
        assert_eq!(outcomes.values().sum::<usize>(), 3 * MIX_REQUESTS);
    }

    #[test]
    fn a_seed_is_a_mix_and_another_seed_another() {
        assert_eq!(mix(5).unwrap(), mix(5).unwrap());
        assert_ne!(mix(5).unwrap(), mix(6).unwrap());
    }

    #[test]
    fn sums_are_multiplied_without_loss() {
        let mut amount = pb::Money { currency_code: "CNY".into(), units: 10, nanos: 990_000_000 };
        multiply(&mut amount, 3);
        assert_eq!((amount.units, amount.nanos), (32, 970_000_000));
    }
}
