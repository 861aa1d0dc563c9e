//! What attacks came to: one row each, and below them what was broken.

use std::collections::BTreeMap;
use std::time::Duration;

/// One attack, done.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) before_kib: u64,
    pub(crate) peak_kib: u64,
    pub(crate) after_kib: u64,
    pub(crate) threads: u64,
    pub(crate) descriptors: u64,
    pub(crate) alone: Duration,
    pub(crate) beside: Duration,
    pub(crate) calls: u64,
    pub(crate) errors: u64,
    pub(crate) shed: u64,
    pub(crate) log_lines: u64,
    pub(crate) moved: Vec<String>,
    pub(crate) took: Duration,
    pub(crate) broken: Vec<String>,
    pub(crate) notes: Vec<String>,
}

/// Broken expectations of one attack that are shown.
const BROKEN_SHOWN_MAX: usize = 40;

/// Series that moved and are shown.
const MOVED_SHOWN_MAX: usize = 4;

const HEAD: [&str; 13] = [
    "attack",
    "MiB before",
    "peak",
    "after",
    "threads",
    "fds",
    "p99 alone",
    "beside",
    "honest",
    "errors",
    "shed",
    "log",
    "verdict",
];

/// Prints the table.
pub(crate) fn print_table(rows: &[Row]) {
    let mib = |kib: u64| format!("{:.1}", kib as f64 / 1024.0);
    let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1_000.0);
    let mut table: Vec<Vec<String>> = vec![HEAD.map(str::to_owned).to_vec()];
    for row in rows {
        let verdict = if row.broken.is_empty() { "holds" } else { "BROKEN" };
        table.push(vec![
            row.name.to_owned(),
            mib(row.before_kib),
            mib(row.peak_kib),
            mib(row.after_kib),
            row.threads.to_string(),
            row.descriptors.to_string(),
            ms(row.alone),
            ms(row.beside),
            row.calls.to_string(),
            row.errors.to_string(),
            row.shed.to_string(),
            row.log_lines.to_string(),
            verdict.to_owned(),
        ]);
    }
    let widths: Vec<usize> =
        (0..HEAD.len()).map(|column| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    for row in &table {
        let cells = row.iter().zip(&widths).enumerate().map(|(place, (cell, width))| {
            if place == 0 || place + 1 == HEAD.len() { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

/// Prints what is worth a line about one attack, and what was broken.
pub(crate) fn print_details(row: &Row) {
    let verdict = if row.broken.is_empty() { "holds" } else { "BROKEN" };
    println!("{}: {verdict} ({:.0} s)", row.name, row.took.as_secs_f64());
    for what in &row.notes {
        println!("  {what}");
    }
    if !row.moved.is_empty() {
        let shown = row.moved.iter().take(MOVED_SHOWN_MAX).cloned().collect::<Vec<_>>().join(", ");
        println!("  {} series moved, such as {shown}", row.moved.len());
    }
    for what in row.broken.iter().take(BROKEN_SHOWN_MAX) {
        println!("  BROKEN: {what}");
    }
    if BROKEN_SHOWN_MAX < row.broken.len() {
        println!("  BROKEN: and {} more", row.broken.len() - BROKEN_SHOWN_MAX);
    }
}

/// Metrics that move by themselves, or say how the process fares.
fn moves_anyway(series: &str) -> bool {
    let name = series.split('{').next().unwrap_or(series);
    name.starts_with("process_")
        || name.ends_with("_bucket")
        || name.ends_with("_sum")
        || name.contains("memory")
        || name.contains("connections_open")
        || name.contains("in_flight")
        || name.contains("uptime")
        || name.contains("seconds_since")
}

/// Series that moved in the second stretch and not in the first.
pub(crate) fn moved(
    first: &BTreeMap<String, f64>,
    second: &BTreeMap<String, f64>,
    third: &BTreeMap<String, f64>,
) -> Vec<String> {
    let changed = |before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>, series: &String| {
        before.get(series).copied().unwrap_or(0.0) != after.get(series).copied().unwrap_or(0.0)
    };
    third
        .keys()
        .filter(|series| !moves_anyway(series) && !changed(first, second, series) && changed(second, third, series))
        .cloned()
        .collect()
}
