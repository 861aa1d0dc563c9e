//! The one observer of decisions: it is told of every decision that was answered, with the same summary on both ways of
//! deciding, and passes it on to metrics, spans and the candidate.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::api::errors::Failure;
use crate::api::pb;
use crate::domain::decision::{Decision, ReasonCodes};
use crate::domain::words::Outcome;
use crate::engine::snapshot::Snapshot;
use crate::plan::Plan;
use crate::server::data::shadow::{Answered, Shadow};
use crate::server::wire::decision::rule_id;
use crate::server::wire::hex;
use crate::server::wire::identity::DECISION_ID_BYTES;
use crate::telemetry;
use crate::telemetry::span::{BatchAttributes, DecisionAttributes};

/// A decision that was made, as far as others than its caller need it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct DecisionSummary<'s> {
    pub(crate) decision_id: [u8; DECISION_ID_BYTES],
    pub(crate) request_id: Cow<'s, str>,
    pub(crate) order_id: Cow<'s, str>,
    pub(crate) policy_id: Cow<'s, str>,
    pub(crate) policy_version: Cow<'s, str>,
    /// The rule that decided the first line.
    pub(crate) rule: Cow<'s, str>,
    pub(crate) outcome: Outcome,
    pub(crate) reason_codes: ReasonCodes,
    /// From facts to decision.
    pub(crate) elapsed: Duration,
}

impl<'s> DecisionSummary<'s> {
    /// The summary of a decision by this plan.
    #[inline]
    pub(crate) fn of(
        decision: &Decision,
        plan: &'s Plan,
        decision_id: [u8; DECISION_ID_BYTES],
        (request_id, order_id): (&'s str, &'s str),
        elapsed: Duration,
    ) -> Self {
        Self {
            decision_id,
            request_id: Cow::Borrowed(request_id),
            order_id: Cow::Borrowed(order_id),
            policy_id: Cow::Borrowed(&plan.id),
            policy_version: Cow::Borrowed(&plan.version),
            rule: Cow::Borrowed(decision.lines.first().map_or("", |line| rule_id(plan, line.rule))),
            outcome: decision.outcome,
            reason_codes: decision.reason_codes,
            elapsed,
        }
    }

    /// The same, apart from the request and the plan.
    pub(crate) fn into_owned(self) -> DecisionSummary<'static> {
        let Self { decision_id, request_id, order_id, policy_id, policy_version, rule, outcome, reason_codes, elapsed } =
            self;
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        DecisionSummary {
            decision_id,
            request_id: owned(request_id),
            order_id: owned(order_id),
            policy_id: owned(policy_id),
            policy_version: owned(policy_version),
            rule: owned(rule),
            outcome,
            reason_codes,
            elapsed,
        }
    }
}

/// Whoever is told of every decision that was answered. To be told costs no call more than an addition, unless someone
/// wants spans or a candidate is evaluated.
#[derive(Clone, Debug)]
pub(crate) struct Observer {
    shadow: Shadow,
}

impl Observer {
    /// An observer that leaves what was answered with this shadow.
    pub(crate) const fn new(shadow: Shadow) -> Self {
        Self { shadow }
    }

    /// Notes the one decision of a call; `request` are the bytes of its message.
    #[inline]
    pub(crate) fn observe_call(&self, snapshot: &Arc<Snapshot>, decision: &DecisionSummary<'_>, request: &[u8]) {
        if let Some(span) = telemetry::span::current() {
            DecisionAttributes {
                decision_id: &hex::text(decision.decision_id),
                policy_id: &decision.policy_id,
                policy_version: &decision.policy_version,
                digest: snapshot.digest_text(),
                rule: &decision.rule,
                outcome: decision.outcome,
            }
            .record(&span);
        }
        self.observe(snapshot, decision, request);
    }

    /// Notes the decisions of a batch of so many items, each with the bytes of its message. An item whose answer is an
    /// error is none of them.
    pub(crate) fn observe_batch(
        &self,
        snapshot: &Arc<Snapshot>,
        items: usize,
        decisions: &[(DecisionSummary<'_>, &[u8])],
    ) {
        if let Some(span) = telemetry::span::current() {
            let mut batch = BatchAttributes::of_items(items);
            decisions.iter().for_each(|(decision, _)| batch.add_decided(decision.outcome));
            batch.record(&span, snapshot.digest_text());
        }
        for (decision, request) in decisions {
            self.observe(snapshot, decision, request);
        }
    }

    #[inline]
    fn observe(&self, snapshot: &Arc<Snapshot>, decision: &DecisionSummary<'_>, request: &[u8]) {
        let DecisionSummary { order_id, request_id, outcome, reason_codes, elapsed, .. } = decision;
        snapshot.count(1);
        telemetry::event::Decided { outcome: *outcome, reason: reason_codes.first(), elapsed: *elapsed }.record();
        self.shadow.offer(snapshot, Answered { order_id, request_id, message: request });
    }
}

/// Counts the fields for which a request was not accepted.
pub(crate) fn count_bad_fields(failure: &Failure) {
    if let Failure::BadRequest(violations) = failure {
        telemetry::bad_fields::record(violations.iter().map(|violation| violation.field.as_str()));
    }
}

/// Writes onto the span of a call which policy looked at its evidence.
pub(crate) fn record_policy(policy: Option<&pb::PolicyRef>) {
    let Some(span) = telemetry::span::current() else { return };
    let (id, version) = policy.map_or(("", ""), |policy| (&policy.policy_id, &policy.version));
    telemetry::span::policy(&span, id, version, policy.map_or("", |policy| &policy.digest));
}
