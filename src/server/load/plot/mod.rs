//! Draws a report: the curve of percentiles, and latency over time. The same report is the same picture.

mod scale;
mod svg;

use crate::server::load::plot::scale::{LogAxis, NinesAxis, TimeAxis, latency};
use crate::server::load::plot::svg::{Anchor, GRID, INK, LABEL, MEDIAN, MUTED, Picture, RELOAD, Style, TAIL, WORST};
use crate::server::load::report::{Report, SliceFigures};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 976.0;
const MARGIN: f64 = 32.0;
/// Where the axes of both panels begin and end.
const LEFT: f64 = 104.0;
const RIGHT: f64 = WIDTH - MARGIN - 24.0;
const CURVE: (f64, f64) = (236.0, 476.0);
const TIME: (f64, f64) = (592.0, 868.0);
/// How much lower its axes begin where reloads are marked above them.
const ROWS: f64 = 36.0;
/// Dots on lines of more points than this are a blur.
const DOTS_MAX: usize = 60;

const TITLE: Style = Style { size: 22.0, colour: INK, weight: 700, anchor: Anchor::Start };
const HEADING: Style = Style { size: 15.0, colour: INK, weight: 600, anchor: Anchor::Start };
const NOTE: Style = Style { size: 13.0, ..LABEL };

/// One line over time: its name, its colour, and its figure of each slice.
type Series = (&'static str, &'static str, fn(&SliceFigures) -> f64);

const SERIES: [Series; 3] =
    [("max", WORST, |slice| slice.max_us), ("p99", TAIL, |slice| slice.p99_us), ("p50", MEDIAN, |slice| slice.p50_us)];

/// The picture, as SVG.
#[must_use]
pub fn draw(report: &Report) -> String {
    let title = title(report);
    let mut picture = Picture::new(WIDTH, HEIGHT, &title, &description(report));
    picture.text(MARGIN, 48.0, TITLE, &title);
    picture.text(MARGIN, 72.0, NOTE, &load(report));
    picture.text(MARGIN, 92.0, NOTE, &outcome(report));
    tiles(&mut picture, report);
    curve(&mut picture, report);
    over_time(&mut picture, report);
    footer(&mut picture, report);
    picture.finished()
}

fn title(report: &Report) -> String {
    let rate = report.requests.asked_per_s;
    match report.run.batch_items {
        1 => format!("Latency of {} at {rate} requests/s", report.run.method),
        items => format!("Latency of {} at {rate} batches/s of {items}", report.run.method),
    }
}

fn load(report: &Report) -> String {
    let run = &report.run;
    format!(
        "{} · requite {} · {} connections · {} arrivals · {} s measured after {} s of warm-up",
        run.address,
        run.server_version,
        run.connections,
        run.arrivals,
        run.duration_ms as f64 / 1e3,
        run.warm_up_ms as f64 / 1e3
    )
}

fn outcome(report: &Report) -> String {
    let requests = &report.requests;
    let errors = match requests.failed {
        0 => "no errors".to_owned(),
        failed => format!("{failed} failed ({:.3} %)", requests.error_share * 100.0),
    };
    let count = report.policies.generations_seen;
    let generations = format!("{count} generation{} of policies seen", if count == 1 { "" } else { "s" });
    format!("{:.1}/s answered, {} in all · {errors} · {generations}", requests.answered_per_s, requests.answered)
}

fn description(report: &Report) -> String {
    let figures = &report.latency;
    format!(
        "p50 {}, p99 {}, p99.9 {}, max {}; {}",
        latency(figures.p50_us),
        latency(figures.p99_us),
        latency(figures.p99_9_us),
        latency(figures.max_us),
        outcome(report)
    )
}

/// The percentiles as figures.
fn tiles(picture: &mut Picture, report: &Report) {
    let figures = &report.latency;
    let tiles = [
        ("p50", figures.p50_us, MEDIAN),
        ("p90", figures.p90_us, INK),
        ("p99", figures.p99_us, TAIL),
        ("p99.9", figures.p99_9_us, INK),
        ("p99.99", figures.p99_99_us, INK),
        ("max", figures.max_us, WORST),
    ];
    let gap = 12.0;
    let width = (WIDTH - 2.0 * MARGIN + gap) / tiles.len() as f64 - gap;
    for (index, (name, micros, colour)) in tiles.into_iter().enumerate() {
        let x = MARGIN + index as f64 * (width + gap);
        picture.field(x, 110.0, width, 62.0);
        picture.text(x + 14.0, 131.0, LABEL, name);
        let value = if report.requests.answered == 0 { "–".to_owned() } else { latency(micros) };
        picture.text(x + 14.0, 158.0, Style { size: 20.0, colour, weight: 600, anchor: Anchor::Start }, &value);
    }
}

/// A panel with its heading, and the marks of its latencies.
fn panel(picture: &mut Picture, heading: &str, axis: &LogAxis, (top, bottom): (f64, f64), above: f64) {
    picture.field(MARGIN, top - above, WIDTH - 2.0 * MARGIN, bottom - top + above + 56.0);
    picture.text(MARGIN + 16.0, top - above + 26.0, HEADING, heading);
    for mark in axis.marks() {
        let y = axis.y(mark);
        picture.line((LEFT, y), (RIGHT, y), GRID, 1.0);
        picture.text(LEFT - 10.0, y + 4.0, Style { anchor: Anchor::End, ..LABEL }, &latency(mark));
    }
    picture.line((LEFT, bottom), (RIGHT, bottom), MUTED, 1.0);
}

fn axis_title(picture: &mut Picture, y: f64, text: &str) {
    picture.text((LEFT + RIGHT) / 2.0, y, Style { anchor: Anchor::Middle, ..LABEL }, text);
}

fn curve(picture: &mut Picture, report: &Report) {
    let (top, bottom) = CURVE;
    let axis = LogAxis::around(report.percentile_curve.iter().map(|point| point.latency_us), top, bottom);
    let shares = NinesAxis::of(report.requests.answered, LEFT, RIGHT);
    panel(picture, "Latency by percentile", &axis, CURVE, 44.0);
    for (share, label) in shares.marks() {
        let x = shares.x(share);
        picture.line((x, top), (x, bottom), GRID, 1.0);
        picture.text(x, bottom + 18.0, Style { anchor: Anchor::Middle, ..LABEL }, &label);
    }
    axis_title(
        picture,
        bottom + 40.0,
        "share of answers that took at most so long (each step right: a tenth of those left)",
    );
    let points: Vec<(f64, f64)> =
        report.percentile_curve.iter().map(|point| (shares.x(point.share), axis.y(point.latency_us))).collect();
    picture.below(&points, bottom, MEDIAN);
    picture.curve(&points, MEDIAN, 2.5);
    let figures = &report.latency;
    for (share, micros, colour) in
        [(0.5, figures.p50_us, MEDIAN), (0.99, figures.p99_us, TAIL), (1.0, figures.max_us, WORST)]
    {
        if 0 < report.requests.answered {
            picture.dot(shares.x(share), axis.y(micros), 5.0, colour);
        }
    }
}

fn over_time(picture: &mut Picture, report: &Report) {
    let rows = rows(report);
    let (lower, bottom) = (if rows.is_empty() { 0.0 } else { ROWS }, TIME.1);
    let top = TIME.0 + lower;
    let answered: Vec<&SliceFigures> = report.slices.iter().filter(|slice| 0 < slice.answered).collect();
    let micros = answered.iter().flat_map(|slice| [slice.p50_us, slice.max_us]);
    let axis = LogAxis::around(micros, top, bottom);
    let times = TimeAxis::of(report.run.duration_ms as f64 / 1e3, LEFT, RIGHT);
    panel(picture, "Latency over time", &axis, (top, bottom), 44.0 + lower);
    for mark in times.marks() {
        let x = times.x(mark);
        picture.line((x, bottom), (x, bottom + 5.0), MUTED, 1.0);
        picture.text(
            x,
            bottom + 18.0,
            Style { anchor: Anchor::Middle, ..LABEL },
            &format!("{}", (mark * 10.0).round() / 10.0),
        );
    }
    let width = report.slices.first().map_or(1.0, |slice| slice.length_s);
    axis_title(
        picture,
        bottom + 40.0,
        &format!("seconds since the warm-up; each point: {width} s, by the intended moment of sending"),
    );
    reloads(picture, &rows, &times);
    failures(picture, report, &times);
    for (index, (name, colour, figure)) in SERIES.into_iter().enumerate() {
        let place = |slice: &&SliceFigures| (times.x(slice.start_s + slice.length_s / 2.0), axis.y(figure(slice)));
        let points: Vec<(f64, f64)> = answered.iter().map(place).collect();
        picture.curve(&points, colour, 2.0);
        if points.len() <= DOTS_MAX {
            points.iter().for_each(|(x, y)| picture.dot(*x, *y, 3.0, colour));
        }
        let x = RIGHT - 44.0 - 64.0 * index as f64;
        let y = TIME.0 - 22.0;
        picture.line((x - 26.0, y), (x - 8.0, y), colour, 3.0);
        picture.text(x, y + 4.0, Style { colour: INK, ..LABEL }, name);
    }
}

/// A row of ticks: its name, its colour, and when.
type Row = (&'static str, &'static str, Vec<f64>);

/// Two rows above the lines: changes made, and generations first seen in answers. None where nothing
/// changed.
fn rows(report: &Report) -> Vec<Row> {
    let made: Vec<f64> = report.reloads.iter().flat_map(|reloads| reloads.at_s.iter().copied()).collect();
    // The first generation is no reload.
    let seen: Vec<f64> = report.policies.generations.iter().skip(1).map(|seen| seen.first_seen_s).collect();
    if made.is_empty() && seen.is_empty() {
        return Vec::new();
    }
    vec![("changed", MUTED, made), ("in force", RELOAD, seen)]
}

fn reloads(picture: &mut Picture, rows: &[Row], times: &TimeAxis) {
    for (index, (name, colour, at)) in rows.iter().enumerate() {
        let y = TIME.0 + 18.0 * index as f64;
        picture.line((LEFT, y), (RIGHT, y), GRID, 1.0);
        picture.text(LEFT - 10.0, y + 4.0, Style { anchor: Anchor::End, colour, ..LABEL }, name);
        for at_s in at {
            let x = times.x(*at_s);
            picture.line((x, y - 5.0), (x, y + 5.0), colour, 1.5);
        }
    }
}

/// A red foot under each slice with requests that failed.
fn failures(picture: &mut Picture, report: &Report, times: &TimeAxis) {
    let failed: Vec<&SliceFigures> = report.slices.iter().filter(|slice| 0 < slice.failed).collect();
    for slice in &failed {
        let (from, to) = (times.x(slice.start_s), times.x(slice.start_s + slice.length_s));
        picture.rectangle(from, TIME.1 - 6.0, (to - from).max(1.0), 6.0, WORST);
    }
    if !failed.is_empty() {
        picture.text(LEFT + 6.0, TIME.1 - 12.0, Style { colour: WORST, weight: 600, ..LABEL }, "requests failed");
    }
}

/// What the generator did to the figures.
fn footer(picture: &mut Picture, report: &Report) {
    let generator = &report.generator;
    let text = format!(
        "Latency counts from the intended moment of sending. The generator was late by p99 {}, and its busiest thread used {:.0} % of a processor.",
        latency(generator.late_p99_us),
        generator.busiest_thread_share * 100.0
    );
    picture.text(MARGIN, HEIGHT - 26.0, LABEL, &text);
    if !generator.warnings.is_empty() {
        let text = "Doubt these figures: the generator itself could not keep up (see the warnings of the report).";
        picture.text(MARGIN, HEIGHT - 9.0, Style { colour: WORST, weight: 600, ..LABEL }, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::load::report::samples::report;

    /// Every element that is opened is closed, and texts hold no bare `<` or `&`.
    fn assert_well_formed(svg: &str) {
        let mut open = Vec::new();
        for part in svg.split('<').skip(1) {
            let (tag, text) = part.split_once('>').unwrap_or_else(|| panic!("`<{part}` ends"));
            assert!(!text.contains('>'), "{part}");
            assert!(tag.matches('"').count() % 2 == 0, "{tag}");
            for rest in text.split('&').skip(1) {
                assert!(["amp;", "lt;", "gt;", "quot;"].iter().any(|name| rest.starts_with(name)), "{part}");
            }
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name), "{part}");
            } else if !tag.ends_with('/') {
                open.push(tag.split(' ').next().unwrap());
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    fn assert_has_no_odd_number(svg: &str) {
        for odd in ["NaN", "inf", "=\"-"] {
            assert!(!svg.contains(odd), "{odd} in {svg}");
        }
    }

    #[test]
    fn a_report_becomes_a_picture_with_its_figures() {
        let svg = draw(&report());
        assert_well_formed(&svg);
        assert_has_no_odd_number(&svg);
        for part in [
            "Latency of EvaluateRefund at 500 requests/s",
            ">250 µs<",
            ">12 ms<",
            ">99 %<",
            "3 generations of policies seen",
            ">in force<",
            "requests failed",
            "late by p99 90 µs",
        ] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert_eq!(svg.matches("<polyline").count(), 4, "the curve, p50, p99 and max");
    }

    #[test]
    fn addresses_cannot_write_into_the_picture() {
        let mut report = report();
        report.run.address = "a<script>&\"b\u{7}:1".into();
        let svg = draw(&report);
        assert_well_formed(&svg);
        assert!(svg.contains("a&lt;script&gt;&amp;&quot;b :1"), "{svg}");
    }

    #[test]
    fn nothing_answered_is_a_picture_as_well() {
        let mut report = report();
        report.requests.answered = 0;
        report.percentile_curve.clear();
        report.slices.iter_mut().for_each(|slice| slice.answered = 0);
        report.policies.generations.clear();
        report.reloads = None;
        let svg = draw(&report);
        assert_well_formed(&svg);
        assert_has_no_odd_number(&svg);
        assert!(!svg.contains(">in force<") && svg.contains("–"), "{svg}");
    }
}
