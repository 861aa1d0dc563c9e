//! Choice of the version of a policy that governs an order.

use crate::domain::ratio::Ratio;
use crate::domain::request::Request;
use crate::domain::time::Timestamp;
use crate::plan::Plan;

/// The version that governs the order of a request: the last to begin at or before the order's
/// moment. Where the moment is not known, or lies before all of them, a version that says so in its
/// decision. `None` only where there is no version at all.
///
/// Versions are sorted by when they begin.
#[must_use]
pub fn governing<'p>(
    versions: impl DoubleEndedIterator<Item = &'p Plan> + Clone,
    request: &Request<'_>,
) -> Option<&'p Plan> {
    let begun = |plan: &Plan| match plan.effective {
        None => true,
        Some(effective) => {
            let name = plan.fact(effective.by).map_or("", |fact| fact.name.as_str());
            moment(name, request).is_some_and(|at| effective.from.nanos() <= at.nanos())
        }
    };
    versions.clone().rev().find(|plan| begun(plan)).or_else(|| versions.clone().next())
}

/// A moment of a request by the name of its fact.
fn moment(name: &str, request: &Request<'_>) -> Option<Timestamp> {
    match name {
        "placed_at" => request.order.placed_at,
        "paid_at" => request.order.paid_at,
        "requested_at" => request.claim.requested_at,
        _ => request.order.times.iter().find(|(known, _)| *known == name).map(|(_, at)| *at),
    }
}

/// When a version begins, as something that sorts: one that says nothing comes first.
#[must_use]
pub fn begins(plan: &Plan) -> Ratio {
    plan.effective.map_or(Ratio::whole(i128::MIN + 1), |effective| Ratio::whole(effective.from.nanos()))
}
