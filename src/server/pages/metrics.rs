//! The page of metrics: what is counted, and where the replica stands with its policies.

use std::time::Duration;

use crate::domain::time::{NANOS_PER_SECOND, Timestamp};
use crate::engine::status::{CandidateReport, Hold, KnownGood, MoneyDifference, RestartForecast, Status};
use crate::server::pages::Readiness;
use crate::telemetry::exposition::{Kind, Page, seconds};
use crate::telemetry::labels::Success;
use crate::telemetry::prometheus;

/// The page. Reads files of the system.
pub(super) fn text(status: &Status, readiness: Readiness) -> String {
    let mut page = prometheus::page();
    let ready = match readiness {
        Readiness::Serving => 1,
        Readiness::Starting | Readiness::Draining => 0,
    };
    page.metric("requite_ready", Kind::Gauge, "Whether callers are served: 1 or 0.").sample(&[], ready);
    config(&mut page, status);
    source(&mut page, status);
    if let Some(candidate) = &status.candidate {
        self::candidate(&mut page, candidate);
    }
    page.into_text()
}

/// In the names that other servers with a configuration use.
fn config(page: &mut Page, status: &Status) {
    let Status {
        in_force,
        withdrawal: _,
        policies: _,
        stricter_errors,
        activations: _,
        decisions,
        started_from: _,
        started_at: _,
        source: _,
        last_failure: _,
        restart,
        last_known_good: _,
        candidate: _,
        last_attempt,
        notices,
    } = status;
    let succeeded = match last_attempt.success {
        Success::Yes => 1,
        Success::No => 0,
    };
    page.metric(
        "requite_config_last_reload_successful",
        Kind::Gauge,
        "Whether the last attempt to put policies in force succeeded: 1 or 0.",
    )
    .sample(&[], succeeded);
    page.metric(
        "requite_config_last_reload_success_timestamp_seconds",
        Kind::Gauge,
        "When the last successful attempt was, in seconds since 1970.",
    )
    .sample(&[], unix(last_attempt.succeeded_at.unwrap_or(in_force.activated_at)));
    let generation = in_force.generation.to_string();
    page.metric("requite_config_info", Kind::Gauge, "The policies in force; always 1.")
        .sample(&[("digest", &in_force.digest.to_string()), ("generation", &generation)], 1);
    page.metric("requite_config_generation", Kind::Gauge, "The generation in force.").sample(&[], in_force.generation);
    page.metric(
        "requite_config_activated_timestamp_seconds",
        Kind::Gauge,
        "When the policies in force came into force, in seconds since 1970.",
    )
    .sample(&[], unix(in_force.activated_at));
    page.metric("requite_config_decisions", Kind::Gauge, "Claims decided since the policies in force came into force.")
        .sample(&[], decisions);
    let known_good = match in_force.known_good {
        KnownGood::Yes => 1,
        KnownGood::NotYet => 0,
    };
    page.metric(
        "requite_config_known_good",
        Kind::Gauge,
        "Whether the policies in force have served long enough to be known as good: 1 or 0.",
    )
    .sample(&[], known_good);
    page.metric(
        "requite_config_stricter_errors",
        Kind::Gauge,
        "Mistakes in the policies in force that would refuse them if they were new; the status says which.",
    )
    .sample(&[], stricter_errors.len());
    restart_forecast(page, restart);
    page.metric("requite_notices", Kind::Gauge, "Things that an admin should look at; the status says which.")
        .sample(&[], notices.len());
}

fn restart_forecast(page: &mut Page, forecast: &RestartForecast) {
    let now = match forecast {
        RestartForecast::Same => "same",
        RestartForecast::Other(_) => "other",
        RestartForecast::LastKnownGood(_) => "last_known_good",
        RestartForecast::Failure => "failure",
    };
    let mut metric = page.metric(
        "requite_config_restart_forecast",
        Kind::Gauge,
        "What a restart would come to now: 1 for it, 0 for the others.",
    );
    for forecast in ["same", "other", "last_known_good", "failure"] {
        metric.sample(&[("forecast", forecast)], u8::from(forecast == now));
    }
}

fn source(page: &mut Page, status: &Status) {
    let source = &status.source;
    page.metric(
        "requite_source_checked_timestamp_seconds",
        Kind::Gauge,
        "When the source of the policies was last read, in seconds since 1970.",
    )
    .sample(&[], unix(source.checked_at));
    if let Some(in_sync_at) = source.in_sync_at {
        page.metric(
            "requite_source_in_sync_timestamp_seconds",
            Kind::Gauge,
            "When the source last held what was in force, in seconds since 1970.",
        )
        .sample(&[], unix(in_sync_at));
    }
    let now = match source.hold {
        Hold::None => "none",
        Hold::Flapping { until: _ } => "flapping",
        Hold::Overridden => "overridden",
    };
    let mut metric = page.metric(
        "requite_source_hold",
        Kind::Gauge,
        "Why what the source holds is kept out: 1 for the reason, 0 for the others.",
    );
    for hold in ["none", "flapping", "overridden"] {
        metric.sample(&[("reason", hold)], u8::from(hold == now));
    }
}

/// Each candidate counts from nothing, so its digest is a label.
fn candidate(page: &mut Page, candidate: &CandidateReport) {
    let CandidateReport {
        digest,
        staged_at,
        actor: _,
        staged_over: _,
        compared_with: _,
        withdrawal: _,
        sample_per_thousand,
        observed: _,
        compared,
        different,
        not_comparable,
        shed,
        failed,
        money,
        by_rule: _,
        further_rules: _,
        by_reason: _,
    } = candidate;
    let digest = digest.to_string();
    let digest = digest.as_str();
    page.metric(
        "requite_candidate_staged_timestamp_seconds",
        Kind::Gauge,
        "When the candidate was staged, in seconds since 1970.",
    )
    .sample(&[("digest", digest)], unix(*staged_at));
    page.metric(
        "requite_candidate_sample_ratio",
        Kind::Gauge,
        "The share of live requests that the candidate is asked about.",
    )
    .sample(&[("digest", digest)], f64::from(*sample_per_thousand) / 1_000.0);
    let mut requests = page.metric(
        "requite_candidate_requests_total",
        Kind::Counter,
        "Sampled requests by what came of them: decided the same or otherwise, not readable for the candidate, let go for lack of time, panicked.",
    );
    for (result, count) in [
        ("same", compared.saturating_sub(*different)),
        ("different", *different),
        ("not_comparable", *not_comparable),
        ("shed", *shed),
        ("failed", *failed),
    ] {
        requests.sample(&[("digest", digest), ("result", result)], count);
    }
    candidate_money(page, digest, money);
}

fn candidate_money(page: &mut Page, digest: &str, money: &[MoneyDifference]) {
    let mut difference = page.metric(
        "requite_candidate_money_difference_minor_units",
        Kind::Gauge,
        "The candidate's refunds less the live ones, in minor units of the currency.",
    );
    for MoneyDifference { currency, live, candidate, above: _, below: _ } in money {
        let labels = [("digest", digest), ("currency", currency.code.as_str())];
        difference.sample(&labels, candidate.saturating_sub(*live));
    }
    let mut parts = page.metric(
        "requite_candidate_money_minor_units_total",
        Kind::Counter,
        "By how much the candidate is above or below, over the requests where it is, in minor units of the currency.",
    );
    for MoneyDifference { currency, live: _, candidate: _, above, below } in money {
        for (direction, amount) in [("above", above), ("below", below)] {
            let labels = [("digest", digest), ("currency", currency.code.as_str()), ("direction", direction)];
            parts.sample(&labels, amount);
        }
    }
}

fn unix(at: Timestamp) -> String {
    match u128::try_from(at.nanos()) {
        Ok(_) => {
            let (whole, nanos) = at.unix();
            seconds(Duration::new(whole.unsigned_abs(), nanos.unsigned_abs()))
        }
        // Before 1970: whole seconds are exact enough.
        Err(_) => at.nanos().div_euclid(NANOS_PER_SECOND).to_string(),
    }
}
