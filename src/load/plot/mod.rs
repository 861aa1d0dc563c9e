//! Draws a report: the curve of percentiles, and latency over time. The same report is the same picture.

mod scale;
mod svg;

use crate::load::plot::scale::{LogAxis, NinesAxis, TimeAxis, latency};
use crate::load::plot::svg::{Anchor, GRID, INK, LABEL, MEDIAN, MUTED, Picture, RELOAD, Style, TAIL, WORST};
use crate::load::report::{Report, SliceFigures, answers_needed, grouped};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 976.0;
const MARGIN: f64 = 32.0;
/// Bounds of the axes of both panels.
const LEFT: f64 = 104.0;
const RIGHT: f64 = WIDTH - MARGIN - 24.0;
const CURVE: (f64, f64) = (236.0, 476.0);
const TIME: (f64, f64) = (592.0, 868.0);
/// Position of the last name in the legend of the panel over time, and the distance to the one at its left.
const LEGEND_X: f64 = RIGHT - 44.0;
const LEGEND_Y: f64 = TIME.0 - 22.0;
const LEGEND_STEP: f64 = 64.0;
/// Space above the axes of the panel over time where reloads are marked in it.
const ROWS: f64 = 36.0;
/// Dots on lines of more points than this are a blur.
const DOTS_MAX: usize = 60;

const TITLE: Style = Style { size: 22.0, colour: INK, weight: 700, anchor: Anchor::Start };
const HEADING: Style = Style { size: 15.0, colour: INK, weight: 600, anchor: Anchor::Start };
const NOTE: Style = Style { size: 13.0, ..LABEL };

/// One line over time: its name, its colour, and its figure of each slice.
type Series = (&'static str, &'static str, fn(&SliceFigures) -> Option<f64>);

const SERIES: [Series; 3] = [
    ("max", WORST, |slice| (0 < slice.answered).then_some(slice.max_us)),
    ("p99", TAIL, |slice| slice.p99_us),
    ("p50", MEDIAN, |slice| slice.p50_us),
];

/// Characters of an address that are shown: more would run out of the picture.
const ADDRESS_CHARACTERS_MAX: usize = 30;

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
    let cut = if ADDRESS_CHARACTERS_MAX < run.address.chars().count() { "…" } else { "" };
    let address: String = run.address.chars().take(ADDRESS_CHARACTERS_MAX).collect();
    format!(
        "{address}{cut} · requite {} · {} connections · {} arrivals · {} s measured after {} s of warm-up",
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
    let told = report.latency.percentiles().into_iter().filter_map(|(name, _, micros)| Some((name, micros?)));
    let told: String = told.map(|(name, micros)| format!("{name} {}, ", latency(micros))).collect();
    format!("{told}max {}; {}", latency(report.latency.max_us), outcome(report))
}

/// The percentiles as figures.
fn tiles(picture: &mut Picture, report: &Report) {
    let max = (0 < report.requests.answered).then_some(report.latency.max_us);
    let percentiles = report.latency.percentiles();
    let tiles: Vec<_> = percentiles.into_iter().chain([("max", 1.0, max)]).collect();
    let gap = 12.0;
    let width = (WIDTH - 2.0 * MARGIN + gap) / tiles.len() as f64 - gap;
    for (index, (name, share, micros)) in tiles.into_iter().enumerate() {
        let x = MARGIN + index as f64 * (width + gap);
        let colour = match name {
            "p50" => MEDIAN,
            "p99" => TAIL,
            "max" => WORST,
            _ => INK,
        };
        picture.field(x, 110.0, width, 62.0);
        let value = Style { size: 20.0, colour, weight: 600, anchor: Anchor::Start };
        let (caption, style, text) = match micros {
            Some(micros) => (name.to_owned(), value, latency(micros)),
            None if share < 1.0 => {
                (format!("{name} needs"), LABEL, format!("{} answers", grouped(answers_needed(share))))
            }
            None => (name.to_owned(), value, "–".to_owned()),
        };
        picture.text(x + 14.0, 131.0, LABEL, &caption);
        picture.text(x + 14.0, 158.0, style, &text);
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
    let max = (0 < report.requests.answered).then_some(figures.max_us);
    for (share, micros, colour) in [(0.5, figures.p50_us, MEDIAN), (0.99, figures.p99_us, TAIL), (1.0, max, WORST)] {
        if let Some(micros) = micros {
            picture.dot(shares.x(share), axis.y(micros), 5.0, colour);
        }
    }
}

fn over_time(picture: &mut Picture, report: &Report) {
    let rows = rows(report);
    let (lower, bottom) = (if rows.is_empty() { 0.0 } else { ROWS }, TIME.1);
    let top = TIME.0 + lower;
    let micros = SERIES.iter().flat_map(|(_, _, figure)| report.slices.iter().filter_map(figure));
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
        let place = |slice| Some((times.x(middle(slice)), axis.y(figure(slice)?)));
        let points: Vec<(f64, f64)> = report.slices.iter().filter_map(place).collect();
        // A line that nothing is known of has no place in the legend.
        if points.is_empty() {
            continue;
        }
        picture.curve(&points, colour, 2.0);
        if points.len() <= DOTS_MAX {
            points.iter().for_each(|(x, y)| picture.dot(*x, *y, 3.0, colour));
        }
        let (x, y) = (LEGEND_X - LEGEND_STEP * index as f64, LEGEND_Y);
        picture.line((x - 26.0, y), (x - 8.0, y), colour, 3.0);
        picture.text(x, y + 4.0, Style { colour: INK, ..LABEL }, name);
    }
}

/// Middle of a slice, where its figures are drawn, in seconds.
fn middle(slice: &SliceFigures) -> f64 {
    slice.start_s + slice.length_s / 2.0
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
        // Beside the other names of what is drawn, where no line runs through it.
        let (x, y) = (LEGEND_X - LEGEND_STEP * 4.0, LEGEND_Y);
        picture.rectangle(x - 26.0, y - 3.0, 18.0, 6.0, WORST);
        picture.text(x, y + 4.0, Style { colour: INK, ..LABEL }, "requests failed");
    }
}

/// Draws the influence of the generator on the figures.
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
    use crate::load::report::samples::report;

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
        assert_eq!(svg.matches("<polyline").count(), 3, "the curve, p50 and max; too few answers for p99");
        assert!(svg.contains(">p99.99 needs<") && svg.contains(">100 000 answers<"), "{svg}");
    }

    /// A text, and the room that it takes at least.
    struct Written {
        text: String,
        from: (f64, f64),
        to: (f64, f64),
    }

    /// The texts of a picture. A character is taken to be about half as wide as it is high.
    fn texts(svg: &str) -> Vec<Written> {
        let texts = svg.lines().filter_map(|line| line.strip_prefix("<text "));
        texts
            .map(|line| {
                let of = |name: &str| line.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap();
                let number = |name: &str| of(name).parse::<f64>().unwrap();
                let text = line.split_once('>').unwrap().1.strip_suffix("</text>").unwrap().to_owned();
                let (x, y, size) = (number("x"), number("y"), number("font-size"));
                let width = text.chars().count() as f64 * size * 0.55;
                let left = match of("text-anchor") {
                    "start" => x,
                    "middle" => x - width / 2.0,
                    _ => x - width,
                };
                Written { text, from: (left, y - size * 0.75), to: (left + width, y + size * 0.2) }
            })
            .collect()
    }

    #[test]
    fn no_text_runs_into_another_or_out_of_the_picture() {
        let answers = [10, 999, 100_000, 9_999_999];
        let scales = [0.01, 1.0, 137.0, 90_000.0];
        for (answered, scale) in answers.into_iter().flat_map(|answers| scales.map(|scale| (answers, scale))) {
            for (seconds, changes) in [(1_u16, 0), (12, 3), (30, 60), (3_600, 7_200)] {
                let mut report = report();
                report.run.address = "a-very-long-name-of-a-host.with.many.parts.example.com:50051".into();
                report.run.duration_ms = u64::from(seconds) * 1_000;
                report.requests.answered = answered;
                report.latency.p50_us = Some(250.0 * scale);
                report.latency.p99_us = Some(900.0 * scale);
                report.latency.max_us *= scale;
                report.percentile_curve.iter_mut().for_each(|point| point.latency_us *= scale);
                let slice = SliceFigures { p99_us: Some(900.0 * scale), max_us: 12e3 * scale, ..report.slices[1] };
                let slices = (0..seconds).map(|second| SliceFigures { start_s: second.into(), ..slice });
                report.slices = slices.collect();
                report.reloads.as_mut().unwrap().at_s = (0..changes).map(|number| f64::from(number) * 0.5).collect();
                report.generator.warnings.push("late".into());
                let texts = texts(&draw(&report));
                assert!(20 <= texts.len());
                for (place, one) in texts.iter().enumerate() {
                    let inside = 0.0 <= one.from.0 && one.to.0 <= WIDTH && one.to.1 <= HEIGHT;
                    assert!(inside, "`{}` ends at {:?}", one.text, one.to);
                    for other in &texts[place + 1..] {
                        let apart = one.to.0 <= other.from.0
                            || other.to.0 <= one.from.0
                            || one.to.1 <= other.from.1
                            || other.to.1 <= one.from.1;
                        assert!(
                            apart,
                            "`{}` and `{}`, {answered} answers × {scale}, {seconds} s",
                            one.text, other.text
                        );
                    }
                }
            }
        }
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
        report.slices.iter_mut().for_each(|slice| (slice.answered, slice.p50_us) = (0, None));
        (report.latency.p50_us, report.latency.p90_us) = (None, None);
        report.policies.generations.clear();
        report.reloads = None;
        let svg = draw(&report);
        assert_well_formed(&svg);
        assert_has_no_odd_number(&svg);
        assert!(!svg.contains(">in force<") && svg.contains("–"), "{svg}");
    }
}
