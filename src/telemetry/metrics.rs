//! All instruments of a collector. What is counted stands in [`counts`] and is only read here, when it is exported.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry_sdk::metrics::SdkMeterProvider;

use crate::domain::time::NANOS_PER_SECOND;
use crate::domain::words::ReasonCode;
use crate::telemetry::instruments::Instruments;
use crate::telemetry::labels::Success;
use crate::telemetry::reloads::ConfigGauges;
use crate::telemetry::{InitError, bad_fields, counts, requests};

pub(super) fn install(provider: &SdkMeterProvider) -> Result<(), InitError> {
    let meter = provider.meter("requite");
    let seconds = |nanos: &[u64]| nanos.iter().map(|&nanos| Duration::from_nanos(nanos).as_secs_f64()).collect();
    let instruments = Instruments {
        evaluation_seconds: meter
            .f64_histogram("requite.evaluation.duration")
            .with_unit("s")
            .with_description("Time from facts to decision.")
            .with_boundaries(seconds(&counts::EVALUATION_NANOS))
            .build(),
        request_seconds: meter
            .f64_histogram("requite.request.duration")
            .with_unit("s")
            .with_description("Time from the headers of a call to its answer, by method.")
            .with_boundaries(seconds(&requests::REQUEST_NANOS))
            .build(),
    };
    counters(&meter);
    calls(&meter);
    misuse(&meter);
    gauges(&meter);
    instruments.install()
}

/// Counters that are read when they are exported. The meter keeps what observes them; the handles
/// that it gives back are good for nothing else.
fn counters(meter: &Meter) {
    meter
        .u64_observable_counter("requite.decisions")
        .with_unit("{decision}")
        .with_description("Claims decided, by outcome and primary reason code.")
        .with_callback(|observer| {
            for (outcome, reason, count) in counts::decisions().into_iter().filter(|(_, _, count)| *count != 0) {
                let reason = reason.map_or("none", ReasonCode::as_str);
                let labels = [KeyValue::new("outcome", outcome.as_str()), KeyValue::new("reason_code", reason)];
                observer.observe(count, &labels);
            }
        })
        .build();
    meter
        .u64_observable_counter("requite.reloads")
        .with_unit("{reload}")
        .with_description("Attempts to put policies in force, by trigger and result.")
        .with_callback(|observer| {
            for (trigger, result, count) in counts::reloads().into_iter().filter(|(_, _, count)| *count != 0) {
                let labels = [KeyValue::new("trigger", trigger.as_str()), KeyValue::new("result", result.as_str())];
                observer.observe(count, &labels);
            }
        })
        .build();
    meter
        .u64_observable_counter("requite.panics")
        .with_unit("{panic}")
        .with_description("Panics that were caught. Each is a bug.")
        .with_callback(|observer| {
            for ([method], count) in counts::panics() {
                observer.observe(count, &[KeyValue::new("method", method)]);
            }
        })
        .build();
    meter
        .u64_observable_counter("requite.log_lines.dropped")
        .with_unit("{line}")
        .with_description("Log lines that were dropped, by kind.")
        .with_callback(|observer| {
            for (loss, lines) in counts::all_log_lines_lost() {
                observer.observe(lines, &[KeyValue::new("kind", loss.as_str())]);
            }
        })
        .build();
    meter
        .u64_observable_counter("requite.state.failures")
        .with_unit("{failure}")
        .with_description("Writes of the state directory that failed.")
        .with_callback(|observer| observer.observe(counts::all_not_kept(), &[]))
        .build();
    meter
        .u64_observable_counter("requite.source.flaps")
        .with_unit("{hold}")
        .with_description("Times the source was held down because it changed between good and bad.")
        .with_callback(|observer| observer.observe(counts::all_flaps(), &[]))
        .build();
}

/// Counters of what callers and admins do wrong on connections.
fn misuse(meter: &Meter) {
    meter
        .u64_observable_counter("requite.answers.not_read")
        .with_unit("{answer}")
        .with_description("Answers that were given up because their callers did not read them in time.")
        .with_callback(|observer| observer.observe(counts::answers_not_read(), &[]))
        .build();
    meter
        .u64_observable_counter("requite.headers.refused")
        .with_unit("{call}")
        .with_description("Calls that were refused because their headers are above the limit, by listener.")
        .with_callback(|observer| {
            for (listener, count) in counts::all_headers_refused() {
                observer.observe(count, &[KeyValue::new("listener", listener.as_str())]);
            }
        })
        .build();
    meter
        .u64_observable_counter("requite.not_grpc")
        .with_unit("{request}")
        .with_description("Requests that were refused because they are not gRPC, by listener.")
        .with_callback(|observer| {
            for (listener, count) in counts::all_not_grpc() {
                observer.observe(count, &[KeyValue::new("listener", listener.as_str())]);
            }
        })
        .build();
    meter
        .u64_observable_counter("requite.threads.held")
        .with_unit("{time}")
        .with_description("Times that a call kept a thread that answers others for more than 5 ms.")
        .with_callback(|observer| observer.observe(counts::threads_held(), &[]))
        .build();
    meter
        .u64_observable_counter("requite.admin.unauthenticated")
        .with_unit("{call}")
        .with_description("Calls and connections to the admin service without valid credentials, by cause.")
        .with_callback(|observer| {
            for ([cause], count) in counts::admin_unauthenticated_all() {
                observer.observe(count, &[KeyValue::new("cause", cause)]);
            }
        })
        .build();
}

/// Calls and connections.
fn calls(meter: &Meter) {
    meter
        .u64_observable_counter("requite.requests")
        .with_unit("{request}")
        .with_description("Calls that have ended, by method, status code and caller.")
        .with_callback(|observer| {
            for requests::Ended { method, code, caller, count } in requests::ended() {
                let labels = [("method", method.text()), ("code", code), ("caller", caller.text())];
                observer.observe(count, &labels.map(|(label, text)| KeyValue::new(label, text)));
            }
        })
        .build();
    meter
        .u64_observable_counter("requite.bad_fields")
        .with_unit("{field}")
        .with_description("Fields that made a request unacceptable, by their paths.")
        .with_callback(|observer| {
            for (field, count) in bad_fields::all().into_iter().filter(|(_, count)| *count != 0) {
                observer.observe(count, &[KeyValue::new("field", field)]);
            }
        })
        .build();
    meter
        .u64_observable_gauge("requite.requests.in_flight")
        .with_unit("{request}")
        .with_description("Calls that have begun and not ended, by method.")
        .with_callback(|gauge| {
            for (method, count) in requests::in_flight() {
                gauge.observe(count, &[KeyValue::new("method", method.text())]);
            }
        })
        .build();
    meter
        .u64_observable_counter("requite.requests.shed")
        .with_unit("{request}")
        .with_description("Calls turned away for lack of room, by reason.")
        .with_callback(|observer| {
            for (reason, count) in counts::all_shed() {
                observer.observe(count, &[KeyValue::new("reason", reason.as_str())]);
            }
        })
        .build();
    meter
        .u64_observable_counter("requite.connections.refused")
        .with_unit("{connection}")
        .with_description("Connections that were not taken, by listener and reason.")
        .with_callback(|observer| {
            for (listener, refusal, count) in counts::connections_refused() {
                let labels = [KeyValue::new("listener", listener.as_str()), KeyValue::new("reason", refusal.as_str())];
                observer.observe(count, &labels);
            }
        })
        .build();
    meter
        .u64_observable_counter("requite.connections.closed")
        .with_unit("{connection}")
        .with_description("Connections that were closed by the server before the stop, by listener and reason.")
        .with_callback(|observer| {
            for (listener, closure, count) in counts::connections_closed() {
                let labels = [KeyValue::new("listener", listener.as_str()), KeyValue::new("reason", closure.as_str())];
                observer.observe(count, &labels);
            }
        })
        .build();
    meter
        .u64_observable_gauge("requite.buffered_bytes")
        .with_unit("By")
        .with_description("Bytes held of requests and answers that are under way, by kind.")
        .with_callback(|gauge| {
            for (kind, bytes) in counts::buffered_bytes() {
                gauge.observe(bytes, &[KeyValue::new("kind", kind.as_str())]);
            }
        })
        .build();
}

/// Gauges that are read when they are exported: of the digests only the one in force is shown.
fn gauges(meter: &Meter) {
    meter
        .u64_observable_gauge("requite.config.last_reload.successful")
        .with_description("Whether the last attempt to put policies in force succeeded: 1 or 0.")
        .with_callback(|gauge| {
            if let Some(shown) = ConfigGauges::shown() {
                gauge.observe(u64::from(shown.last_attempt.success == Success::Yes), &[]);
            }
        })
        .build();
    meter
        .f64_observable_gauge("requite.config.last_reload.success.timestamp")
        .with_unit("s")
        .with_description("When the last successful attempt was, in seconds since 1970.")
        .with_callback(|gauge| {
            if let Some(at) = ConfigGauges::shown().and_then(|shown| shown.last_attempt.succeeded_at) {
                gauge.observe(at.nanos() as f64 / NANOS_PER_SECOND as f64, &[]);
            }
        })
        .build();
    meter
        .u64_observable_gauge("requite.config.stricter_errors")
        .with_description("Mistakes in the policies in force that would refuse them if they were new.")
        .with_callback(|gauge| {
            if let Some(shown) = ConfigGauges::shown() {
                gauge.observe(shown.stricter_errors, &[]);
            }
        })
        .build();
    meter
        .u64_observable_gauge("requite.config.info")
        .with_description("1, with the digest of the policies in force.")
        .with_callback(|gauge| {
            if let Some(shown) = ConfigGauges::shown() {
                gauge.observe(1, &[KeyValue::new("digest", shown.digest)]);
            }
        })
        .build();
}
