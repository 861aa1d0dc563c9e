//! Rows of figures: medians over the rounds, and ratios taken round by round.

use crate::load::{Sample, Shape};
use crate::servers::Role;

/// One line of the report.
pub(crate) struct Row {
    what: String,
    shape: String,
    figures: Vec<(&'static str, f64)>,
}

/// The servers under one load; the second is what the others are checked against.
pub(crate) fn rows(shape: Shape, roles: &[Role], samples: Vec<Vec<Sample>>) -> Vec<Row> {
    let own: Vec<f64> = samples[0].iter().map(cpu_us).collect();
    roles
        .iter()
        .zip(&samples)
        .map(|(role, samples)| {
            let ratios = own.iter().zip(samples).map(|(own, sample)| own / cpu_us(sample)).collect();
            Row {
                what: role.name().to_owned(),
                shape: shape_name(shape),
                figures: vec![
                    ("cpu us/request", median(samples.iter().map(cpu_us).collect())),
                    ("requite / this", median(ratios)),
                    ("requests/s", median(samples.iter().map(rate).collect())),
                    ("p50 us", median(samples.iter().map(|it| it.p50.as_secs_f64() * 1e6).collect())),
                    ("p99 us", median(samples.iter().map(|it| it.p99.as_secs_f64() * 1e6).collect())),
                ],
            }
        })
        .collect()
}

/// Single calls and batches, taken in turns.
pub(crate) fn batch_row(shape: Shape, items: usize, samples: &[(Sample, Sample)]) -> Row {
    let items = items as f64;
    let in_batch = |batch: &Sample| cpu_us(batch) / items;
    Row {
        what: format!("batch of {items}"),
        shape: shape_name(shape),
        figures: vec![
            ("cpu us/decision", median(samples.iter().map(|(_, batch)| in_batch(batch)).collect())),
            ("alone, cpu us", median(samples.iter().map(|(single, _)| cpu_us(single)).collect())),
            (
                "alone / in batch",
                median(samples.iter().map(|(single, batch)| cpu_us(single) / in_batch(batch)).collect()),
            ),
            ("decisions/s and core", median(samples.iter().map(|(_, batch)| 1e6 / in_batch(batch)).collect())),
        ],
    }
}

/// What a server holds at the end.
pub(crate) fn memory_row(role: Role, resident_kib: u64) -> Row {
    Row {
        what: role.name().to_owned(),
        shape: "at the end".to_owned(),
        figures: vec![("resident MiB", resident_kib as f64 / 1024.0)],
    }
}

pub(crate) fn print(rows: &[Row]) {
    for Row { what, shape, figures } in rows {
        let figures: Vec<String> = figures.iter().map(|(name, value)| format!("{name} {value:.2}")).collect();
        println!("{shape:>10}  {what:<22}  {}", figures.join("  "));
    }
}

pub(crate) fn print_json(rows: &[Row]) {
    let rows: Vec<serde_json::Value> = rows
        .iter()
        .map(|Row { what, shape, figures }| {
            let figures: serde_json::Map<_, _> =
                figures.iter().map(|&(name, value)| (name.to_owned(), value.into())).collect();
            serde_json::json!({ "server": what, "load": shape, "figures": figures })
        })
        .collect();
    println!("{}", serde_json::Value::Array(rows));
}

fn shape_name(shape: Shape) -> String {
    format!("{}x{}", shape.connections, shape.streams)
}

fn cpu_us(sample: &Sample) -> f64 {
    sample.cpu.as_secs_f64() * 1e6 / sample.calls as f64
}

fn rate(sample: &Sample) -> f64 {
    sample.calls as f64 / sample.elapsed.as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
