//! The report for people: one fact a line, in the order in which they matter.

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::cli::show::visible;
use crate::domain::count::counted;
use crate::load::report::{Latency, Report, answers_needed, grouped};

/// Width of the names of the lines.
const NAME_WIDTH: usize = 14;

/// The report, without a newline at its end.
pub(super) fn report_to_text(report: &Report) -> String {
    let mut lines = Lines(Vec::new());
    load(&mut lines, report);
    requests(&mut lines, report);
    latency(&mut lines, &report.latency, report.requests.failed);
    outcomes(&mut lines, report);
    policies(&mut lines, report);
    generator(&mut lines, report);
    lines.0.join("\n")
}

/// Likely cause of an error that is seen often.
pub(super) fn hint(report: &Report) -> &'static str {
    let has = |name| report.requests.errors.contains_key(name) || report.requests.item_errors.contains_key(name);
    if has("NOT_FOUND") && report.run.requests_from.starts_with("generated") {
        "\n  help: the generated mix is for the standard policy; name example requests for the policies of this server"
    } else if has("INVALID_ARGUMENT") {
        "\n  help: see what is wrong with an example by `requite call`"
    } else if has("unsent") {
        "\n  help: `unsent` means that the server is behind: lower `--rate`, or raise `--in-flight-max`"
    } else {
        ""
    }
}

struct Lines(Vec<String>);

impl Lines {
    fn add(&mut self, name: &str, text: impl Display) {
        self.0.push(format!("{name:<NAME_WIDTH$}{}", visible(&text.to_string())));
    }
}

fn load(lines: &mut Lines, report: &Report) {
    let run = &report.run;
    lines.add("server", format!("{} (requite {})", run.address, run.server_version));
    let what = match run.batch_items {
        1 => run.method.to_owned(),
        items => format!("{} of {items} requests", run.method),
    };
    lines.add("load", format!("{what}, {}/s, {} arrivals", grouped(report.requests.asked_per_s.into()), run.arrivals));
    lines.add("requests", format!("{} different, {}", run.examples, run.requests_from));
    let (connections, threads) = (counted(run.connections, "connection"), counted(run.threads, "thread"));
    lines.add("from", format!("{connections}, {threads}, at most {} in flight", grouped(run.in_flight_max as u64)));
    let early =
        if run.ended_early { format!(", ended before its {}", seconds(run.duration_asked_ms)) } else { String::new() };
    lines.add("measured", format!("{} after {} of warm-up{early}", seconds(run.duration_ms), seconds(run.warm_up_ms)));
}

fn requests(lines: &mut Lines, report: &Report) {
    let requests = &report.requests;
    lines.add(
        "throughput",
        format!("{:.1}/s answered of {}/s asked", requests.answered_per_s, grouped(requests.asked_per_s.into())),
    );
    if 1 < report.run.batch_items {
        lines.add("decisions", format!("{:.1}/s", requests.decisions_per_s));
    }
    let (intended, answered) = (grouped(requests.intended), grouped(requests.answered));
    lines.add("answered", format!("{answered} of {intended}"));
    if requests.errors.is_empty() && requests.item_errors.is_empty() {
        lines.add("errors", "none");
    } else {
        let share = format!("{:.3} %", requests.error_share * 100.0);
        lines.add("errors", format!("{share}: {}", listed(&requests.errors)));
    }
    if !requests.item_errors.is_empty() {
        lines.add("in batches", listed(&requests.item_errors));
    }
}

fn latency(lines: &mut Lines, latency: &Latency, failed: u64) {
    let note = if failed == 0 { "" } else { " (of what was answered: failed requests are not in it)" };
    lines.add("latency", format!("from the intended moment of sending{note}"));
    let row = |micros: f64| format!("{:>11.3} ms", micros / 1e3);
    for (name, share, micros) in latency.percentiles() {
        let too_few = || format!("needs {} answers", grouped(answers_needed(share)));
        lines.add(&format!("  {name}"), micros.map_or_else(too_few, row));
    }
    lines.add("  max", row(latency.max_us));
}

fn outcomes(lines: &mut Lines, report: &Report) {
    let whole: u64 = report.outcomes.values().sum();
    let share = |count: u64| 100.0 * count as f64 / whole.max(1) as f64;
    for (index, (outcome, count)) in report.outcomes.iter().enumerate() {
        let name = if index == 0 { "outcomes" } else { "" };
        lines.add(name, format!("{:<20}{:>12} {:>6.1} %", outcome.replace('_', " "), grouped(*count), share(*count)));
    }
}

fn policies(lines: &mut Lines, report: &Report) {
    let policies = &report.policies;
    let (generations, digests) =
        (counted(policies.generations_seen, "generation"), counted(policies.digests_seen, "digest"));
    lines.add("policies", format!("{generations} and {digests} in the answers"));
    if let Some(reloads) = &report.reloads {
        let every = format!("every {} ms", grouped(reloads.every_ms));
        lines.add("reloads", format!("{} changes of `{}`, {every}", grouped(reloads.made.into()), reloads.file));
        if let Some(problem) = &reloads.problem {
            lines.add("", format!("ended: {problem}"));
        }
    }
    for text in &policies.mixed_told {
        lines.add("mixed", text);
    }
}

fn generator(lines: &mut Lines, report: &Report) {
    let generator = &report.generator;
    let late = format!("late by p50 {:.3} ms, p99 {:.3} ms", generator.late_p50_us / 1e3, generator.late_p99_us / 1e3);
    lines.add("generator", format!("{late}, max {:.3} ms", generator.late_max_us / 1e3));
    let busy = generator.busiest_thread_share * 100.0;
    lines.add("", format!("{:.1} µs of processor a request, busiest thread {busy:.0} %", generator.cpu_us_per_request));
    for warning in &generator.warnings {
        lines.add("warning", warning);
    }
}

fn listed(counts: &BTreeMap<&'static str, u64>) -> String {
    let parts: Vec<String> = counts.iter().map(|(name, count)| format!("{} {name}", grouped(*count))).collect();
    parts.join(", ")
}

fn seconds(millis: u64) -> String {
    format!("{} s", millis as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::samples;

    #[test]
    fn a_report_tells_what_matters_in_order() {
        let expected = "\
server        127.0.0.1:50051 (requite 0.1.0)
load          EvaluateRefund, 500/s, constant arrivals
requests      240 different, generated for the standard policy, seed 1
from          8 connections, 1 thread, at most 10 000 in flight
measured      2 s after 5 s of warm-up
throughput    499.5/s answered of 500/s asked
answered      999 of 1 000
errors        0.100 %: 1 UNAVAILABLE
latency       from the intended moment of sending (of what was answered: failed requests are not in it)
  p50               0.250 ms
  p90               0.400 ms
  p99         needs 1 000 answers
  p99.9       needs 10 000 answers
  p99.99      needs 100 000 answers
  max              12.000 ms
outcomes      approved full                400   40.0 %
              denied                       599   60.0 %
policies      3 generations and 2 digests in the answers
reloads       2 changes of `policies/shop.policy.yaml`, every 500 ms
generator     late by p50 0.020 ms, p99 0.090 ms, max 0.300 ms
              30.5 µs of processor a request, busiest thread 2 %";
        assert_eq!(report_to_text(&samples::report()), expected);
    }

    #[test]
    fn digits_are_grouped_in_threes() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1 000", "1 234 567"]);
    }
}
