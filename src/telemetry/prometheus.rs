//! The page of metrics for Prometheus: all counters, and what the operating system says of the process.

use crate::domain::words::ReasonCode;
use crate::telemetry::exposition::{Kind, Page, seconds};
use crate::telemetry::overload;
use crate::telemetry::process::Process;
use crate::telemetry::requests::RequestMethod;
use crate::telemetry::{bad_fields, counts, requests};

/// Everything that is counted here, and what the operating system says of the process. Reads
/// files of the system: not to be called where nothing may block.
#[must_use]
pub fn page() -> Page {
    let mut page = Page::default();
    page.metric("requite_build_info", Kind::Gauge, "The program that runs; always 1.")
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    decisions(&mut page);
    evaluations(&mut page);
    let mut reloads = page.metric(
        "requite_reloads_total",
        Kind::Counter,
        "Attempts to put policies in force, by what asked for it and what came of it.",
    );
    for (trigger, result, count) in counts::reloads() {
        reloads.sample(&[("trigger", trigger.as_str()), ("result", result.as_str())], count);
    }
    page.metric("requite_state_failures_total", Kind::Counter, "Writes of the state directory that failed.")
        .sample(&[], counts::all_not_kept());
    page.metric(
        "requite_source_flaps_total",
        Kind::Counter,
        "Times the source was held down because it changed between good and bad.",
    )
    .sample(&[], counts::all_flaps());
    let help =
        "Log lines that were dropped: an event or an audit record without room, or a log that cannot be written.";
    let mut lost = page.metric("requite_log_lines_dropped_total", Kind::Counter, help);
    for (loss, lines) in counts::all_log_lines_lost() {
        lost.sample(&[("kind", loss.as_str())], lines);
    }
    named(&mut page, "requite_panics_total", "Panics that were caught. Each is a bug.", ["method"], counts::panics());
    named(
        &mut page,
        "requite_admin_calls_total",
        "Calls of admins, by method and status code.",
        ["method", "code"],
        counts::admin_calls(),
    );
    named(
        &mut page,
        "requite_admin_unauthenticated_total",
        "Calls and connections to the admin service without valid credentials, by cause.",
        ["cause"],
        counts::admin_unauthenticated_all(),
    );
    connections(&mut page);
    calls(&mut page);
    Process::read().write(&mut page);
    page
}

fn decisions(page: &mut Page) {
    let help = "Claims decided, by outcome and primary reason code.";
    let mut decisions = page.metric("requite_decisions_total", Kind::Counter, help);
    for (outcome, reason, count) in counts::decisions() {
        let reason = reason.map_or("none", ReasonCode::as_str);
        decisions.sample(&[("outcome", outcome.as_str()), ("reason_code", reason)], count);
    }
}

fn evaluations(page: &mut Page) {
    const NAME: &str = "requite_evaluation_duration_seconds";
    page.head(NAME, "histogram", "Time from facts to decision.");
    let counts::Evaluations { buckets, nanos } = counts::evaluations();
    page.histogram(NAME, &[], &counts::EVALUATION_NANOS, &buckets, nanos);
}

fn calls(page: &mut Page) {
    const NAME: &str = "requite_request_duration_seconds";
    let help = "Calls that have ended, by method, status code and caller.";
    let mut ended = page.metric("requite_requests_total", Kind::Counter, help);
    for requests::Ended { method, code, caller, count } in requests::ended() {
        ended.sample(&[("method", method.text()), ("code", code), ("caller", caller.text())], count);
    }
    page.head(NAME, "histogram", "Time from the headers of a call to its answer, by method.");
    for method in RequestMethod::ALL {
        let requests::Durations { buckets, nanos } = requests::durations(method);
        page.histogram(NAME, &[("method", method.text())], &requests::REQUEST_NANOS, &buckets, nanos);
    }
    let help = "Fields that made a request unacceptable, by their paths.";
    let mut fields = page.metric("requite_bad_fields_total", Kind::Counter, help);
    for (field, count) in bad_fields::all() {
        fields.sample(&[("field", field)], count);
    }
    let help = "Calls that have begun and not ended, by method.";
    let mut in_flight = page.metric("requite_requests_in_flight", Kind::Gauge, help);
    for (method, count) in requests::in_flight() {
        in_flight.sample(&[("method", method.text())], count);
    }
    let help = "Calls turned away for lack of room, by reason.";
    let mut shed = page.metric("requite_requests_shed_total", Kind::Counter, help);
    for (reason, count) in counts::all_shed() {
        shed.sample(&[("reason", reason.as_str())], count);
    }
    let help = "How long calls waited to be answered, in the last window that was measured, in seconds.";
    page.metric("requite_queue_delay_seconds", Kind::Gauge, help).sample(&[], seconds(overload::queue_delay()));
    let help = "Threads that one caller may keep busy; +Inf while there is no limit.";
    page.metric("requite_caller_share_threads", Kind::Gauge, help).sample(&[], overload::share_threads());
    let help = "Bytes held of requests and answers that are under way, by kind.";
    let mut buffered = page.metric("requite_buffered_bytes", Kind::Gauge, help);
    for (kind, bytes) in counts::buffered_bytes() {
        buffered.sample(&[("kind", kind.as_str())], bytes);
    }
    let help = "Calls that were refused because their headers are above the limit, by listener.";
    let mut headers = page.metric("requite_headers_refused_total", Kind::Counter, help);
    for (listener, count) in counts::all_headers_refused() {
        headers.sample(&[("listener", listener.as_str())], count);
    }
    let help = "Requests that were refused because they are not gRPC, by listener.";
    let mut not_grpc = page.metric("requite_not_grpc_total", Kind::Counter, help);
    for (listener, count) in counts::all_not_grpc() {
        not_grpc.sample(&[("listener", listener.as_str())], count);
    }
    let help = "Times that a call kept a thread that answers others for more than 5 ms.";
    page.metric("requite_threads_held_total", Kind::Counter, help).sample(&[], counts::threads_held());
    let help = "Answers that were given up because their callers did not read them in time.";
    page.metric("requite_answers_not_read_total", Kind::Counter, help).sample(&[], counts::answers_not_read());
}

fn named<const N: usize>(
    page: &mut Page,
    name: &'static str,
    help: &str,
    labels: [&'static str; N],
    counts: Vec<([&'static str; N], u64)>,
) {
    let mut metric = page.metric(name, Kind::Counter, help);
    for (words, count) in counts {
        let labels: Vec<_> = labels.into_iter().zip(words).collect();
        metric.sample(&labels, count);
    }
}

fn connections(page: &mut Page) {
    let counted = counts::connections();
    let mut taken = page.metric("requite_connections_total", Kind::Counter, "Connections taken, by listener.");
    for (listener, count, _) in &counted {
        taken.sample(&[("listener", listener.as_str())], count);
    }
    let mut open = page.metric("requite_connections_open", Kind::Gauge, "Connections that are open, by listener.");
    for (listener, _, count) in &counted {
        open.sample(&[("listener", listener.as_str())], count);
    }
    let help = "Connections that were not taken, by listener and reason.";
    let mut refused = page.metric("requite_connections_refused_total", Kind::Counter, help);
    for (listener, refusal, count) in counts::connections_refused() {
        refused.sample(&[("listener", listener.as_str()), ("reason", refusal.as_str())], count);
    }
    let help = "Connections that were closed by the server before the stop, by listener and reason.";
    let mut closed = page.metric("requite_connections_closed_total", Kind::Counter, help);
    for (listener, closure, count) in counts::connections_closed() {
        closed.sample(&[("listener", listener.as_str()), ("reason", closure.as_str())], count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_add_up() {
        let mut page = Page::default();
        evaluations(&mut page);
        let text = page.into_text();
        let value = |line: &str| -> u64 { line.rsplit_once(' ').unwrap().1.parse().unwrap() };
        let buckets: Vec<u64> = text.lines().filter(|line| line.contains("_bucket")).map(value).collect();
        assert_eq!(buckets.len(), counts::EVALUATION_NANOS.len() + 1);
        assert!(buckets.is_sorted());
        let count = text.lines().find(|line| line.contains("_count ")).map(value);
        assert_eq!(buckets.last().copied(), count);
        assert!(
            text.contains("le=\"0.000001\"") && text.contains("le=\"1\"") && text.contains("le=\"+Inf\""),
            "{text}"
        );
    }
}
