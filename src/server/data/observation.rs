//! Answers of the data service as telemetry is told of them: what is counted of each, and what the
//! span of a call says of all of them, once.

use std::time::Duration;

use crate::api::errors::Failure;
use crate::api::pb;
use crate::domain::words::{Outcome, ReasonCode};
use crate::engine::snapshot::Snapshot;
use crate::server::data::evaluation::DecisionSummary;
use crate::server::wire::hex;
use crate::telemetry;
use crate::telemetry::span::{BatchAttributes, DecisionAttributes};

/// Counts a decision.
pub(crate) fn count(snapshot: &Snapshot, outcome: Outcome, reason: Option<ReasonCode>, elapsed: Duration) {
    snapshot.count(1);
    telemetry::event::Decided { outcome, reason, elapsed }.record();
}

/// Counts the fields for which a request was not accepted.
pub(crate) fn count_bad_fields(failure: &Failure) {
    if let Failure::BadRequest(violations) = failure {
        telemetry::bad_fields::record(violations.iter().map(|violation| violation.field.as_str()));
    }
}

/// Tells the span of a call of its one decision.
pub(crate) fn record_written(snapshot: &Snapshot, written: &DecisionSummary<'_>) {
    let Some(span) = telemetry::span::current() else { return };
    let DecisionSummary { decision_id, policy_id, policy_version, rule, counted } = *written;
    let (decision_id, digest) = (&hex::text(decision_id), snapshot.digest_text());
    let outcome = counted.outcome;
    DecisionAttributes { decision_id, policy_id, policy_version, digest, rule, outcome }.record(&span);
}

/// The same for a decision whose answer was built.
pub(crate) fn record_decision(snapshot: &Snapshot, decision: &pb::EvaluateRefundResponse, outcome: Outcome) {
    let Some(span) = telemetry::span::current() else { return };
    let (policy_id, policy_version) = policy_names(decision.policy.as_ref());
    DecisionAttributes {
        decision_id: &decision.decision_id,
        policy_id,
        policy_version,
        digest: snapshot.digest_text(),
        rule: decision.lines.first().map_or("", |line| &line.rule_id),
        outcome,
    }
    .record(&span);
}

/// Tells the span of a call of its batch: so many items, and the outcomes of those that were decided.
pub(crate) fn record_batch(snapshot: &Snapshot, items: usize, outcomes: impl Iterator<Item = Outcome>) {
    let Some(span) = telemetry::span::current() else { return };
    let mut batch = BatchAttributes::of_items(items);
    outcomes.for_each(|outcome| batch.add_decided(outcome));
    batch.record(&span, snapshot.digest_text());
}

/// Tells the span of a call which policy looked at its evidence.
pub(crate) fn record_policy(policy: Option<&pb::PolicyRef>) {
    let Some(span) = telemetry::span::current() else { return };
    let (id, version) = policy_names(policy);
    telemetry::span::policy(&span, id, version, policy.map_or("", |policy| &policy.digest));
}

fn policy_names(policy: Option<&pb::PolicyRef>) -> (&str, &str) {
    policy.map_or(("", ""), |policy| (&policy.policy_id, &policy.version))
}
