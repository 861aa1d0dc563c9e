//! The result, for people and for machines.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::engines::{Side, Spec};
use crate::measure::{Cell, Sized};

/// Tables of medians and of ratios.
pub fn text(engines: &[Spec], sizes: &[Sized]) -> String {
    let mut text = String::new();
    for spec in engines {
        let _ = writeln!(text, "{:<17} {}", spec.name, spec.how);
    }
    for (title, pick) in MODES {
        let _ = writeln!(text, "\n{title}; median of an answer");
        rows(&mut text, engines, sizes, |_, cell| time(pick(cell)));
        let _ = writeln!(text, "\n{title}; times requite");
        rows(&mut text, engines, sizes, |size, cell| match requite(engines, size) {
            Some(requite) => factor(pick(cell) / pick(requite)),
            None => "-".to_owned(),
        });
        for (name, side) in [("fastest peer", Side::Peer), ("fastest keyed", Side::Keyed)] {
            let _ = write!(text, "{name:<17}");
            for size in sizes {
                let least = least(engines, size, side, *pick);
                let _ = write!(text, " {:>12}", least.map_or("-".to_owned(), |(_, ratio)| factor(ratio)));
            }
            text.push('\n');
        }
    }
    text.push_str("\nreading the table, once\n");
    rows(&mut text, engines, sizes, |_, cell| time(cell.build.as_secs_f64() * 1e9));
    text
}

type Pick = fn(&Cell) -> f64;

const MODES: &[(&str, Pick)] = &[
    ("deciding, the order in the engine's own form", |cell| cell.decide_ns),
    ("converting the order and deciding", |cell| cell.convert_and_decide_ns),
];

fn rows(text: &mut String, engines: &[Spec], sizes: &[Sized], show: impl Fn(&Sized, &Cell) -> String) {
    let _ = write!(text, "{:<17}", "rows");
    for size in sizes {
        let _ = write!(text, " {:>12}", size.rows);
    }
    text.push('\n');
    for (place, spec) in engines.iter().enumerate() {
        let _ = write!(text, "{:<17}", spec.name);
        for size in sizes {
            let cell = size.cells[place].as_ref().map_or_else(|_| "-".to_owned(), |cell| show(size, cell));
            let _ = write!(text, " {cell:>12}");
        }
        text.push('\n');
    }
}

fn requite<'s>(engines: &[Spec], size: &'s Sized) -> Option<&'s Cell> {
    let place = engines.iter().position(|spec| spec.side == Side::Requite)?;
    size.cells[place].as_ref().ok()
}

/// The fastest engine of a side, and how many times as long as requite it takes.
fn least(engines: &[Spec], size: &Sized, side: Side, pick: Pick) -> Option<(&'static str, f64)> {
    let requite = pick(requite(engines, size)?);
    let peers = engines.iter().zip(&size.cells).filter(|(spec, _)| spec.side == side);
    let ratios = peers.filter_map(|(spec, cell)| Some((spec.name, pick(cell.as_ref().ok()?) / requite)));
    ratios.min_by(|(_, a), (_, b)| a.total_cmp(b))
}

fn time(nanos: f64) -> String {
    match nanos {
        ..1e3 => format!("{nanos:.1} ns"),
        ..1e6 => format!("{:.2} µs", nanos / 1e3),
        ..1e9 => format!("{:.2} ms", nanos / 1e6),
        _ => format!("{:.2} s", nanos / 1e9),
    }
}

fn factor(ratio: f64) -> String {
    match ratio {
        ..10.0 => format!("{ratio:.2} ×"),
        ..100.0 => format!("{ratio:.1} ×"),
        _ => format!("{ratio:.0} ×"),
    }
}

/// The same as one object.
pub fn json(engines: &[Spec], sizes: &[Sized]) -> Value {
    let engine = |spec: &Spec| json!({ "name": spec.name, "how": spec.how });
    let one = |size: &Sized| {
        let cells = engines.iter().zip(&size.cells).map(|(spec, cell)| {
            let value = match cell {
                Ok(cell) => json!({
                    "build_ns": cell.build.as_nanos() as u64,
                    "decide_ns": cell.decide_ns,
                    "convert_and_decide_ns": cell.convert_and_decide_ns,
                }),
                Err(problem) => json!({ "left_out": problem }),
            };
            (spec.name.to_owned(), value)
        });
        let fastest = |side: Side| {
            let least = |pick: Pick| {
                let least = least(engines, size, side, pick);
                least.map(|(name, ratio)| json!({ "engine": name, "times_requite": ratio }))
            };
            json!({
                "decide": least(|cell| cell.decide_ns),
                "convert_and_decide": least(|cell| cell.convert_and_decide_ns),
            })
        };
        json!({
            "rows": size.rows,
            "engines": cells.collect::<Map<_, _>>(),
            "fastest_peer": fastest(Side::Peer),
            "fastest_keyed": fastest(Side::Keyed),
        })
    };
    json!({
        "engines": engines.iter().map(engine).collect::<Vec<_>>(),
        "sizes": sizes.iter().map(one).collect::<Vec<_>>(),
    })
}
