//! The few elements of SVG that a plot needs, written so that every viewer reads them.

use std::fmt::Write as _;

/// Colours on a background of their own, so that a dark viewer shows them as a light one does.
pub(super) const PAPER: &str = "#fbfaf7";
pub(super) const PANEL: &str = "#ffffff";
pub(super) const INK: &str = "#1d2433";
pub(super) const MUTED: &str = "#5d6677";
pub(super) const GRID: &str = "#e6e4de";
pub(super) const MEDIAN: &str = "#1f77a8";
pub(super) const TAIL: &str = "#d9730d";
pub(super) const WORST: &str = "#b3203f";
pub(super) const RELOAD: &str = "#6b3fa0";

/// A picture that is being drawn.
pub(super) struct Picture(String);

/// Alignment of a text to its position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// Appearance of a text.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Style {
    pub(super) size: f64,
    pub(super) colour: &'static str,
    pub(super) weight: u16,
    pub(super) anchor: Anchor,
}

/// A plain text of axes.
pub(super) const LABEL: Style = Style { size: 12.0, colour: MUTED, weight: 400, anchor: Anchor::Start };

impl Picture {
    /// An empty sheet with a name for those who cannot see it.
    pub(super) fn new(width: f64, height: f64, title: &str, description: &str) -> Self {
        let mut picture = Self(String::new());
        let fonts = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";
        picture.put(format_args!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" font-family="{fonts}">"#
        ));
        picture.put(format_args!("<title>{}</title>", escaped(title)));
        picture.put(format_args!("<desc>{}</desc>", escaped(description)));
        picture.rectangle(0.0, 0.0, width, height, PAPER);
        picture
    }

    pub(super) fn finished(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }

    pub(super) fn text(&mut self, x: f64, y: f64, style: Style, text: &str) {
        let Style { size, colour, weight, anchor } = style;
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.put(format_args!(
            r#"<text x="{x:.1}" y="{y:.1}" font-size="{size}" fill="{colour}" font-weight="{weight}" text-anchor="{anchor}">{}</text>"#,
            escaped(text)
        ));
    }

    pub(super) fn rectangle(&mut self, x: f64, y: f64, width: f64, height: f64, colour: &str) {
        self.put(format_args!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{colour}"/>"#
        ));
    }

    /// A framed field with round corners.
    pub(super) fn field(&mut self, x: f64, y: f64, width: f64, height: f64) {
        self.put(format_args!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="6" fill="{PANEL}" stroke="{GRID}"/>"#
        ));
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, width: f64) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.put(format_args!(
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="{colour}" stroke-width="{width}"/>"#
        ));
    }

    pub(super) fn dot(&mut self, x: f64, y: f64, radius: f64, colour: &str) {
        self.put(format_args!(
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius}" fill="{colour}" stroke="{PANEL}" stroke-width="1"/>"#
        ));
    }

    pub(super) fn curve(&mut self, points: &[(f64, f64)], colour: &str, width: f64) {
        let points = written(points);
        self.put(format_args!(
            r#"<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round" stroke-linecap="round"/>"#
        ));
    }

    /// The field below a curve, faintly.
    pub(super) fn below(&mut self, points: &[(f64, f64)], foot: f64, colour: &str) {
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
        let outline = [points, &[(last.0, foot), (first.0, foot)]].concat();
        let points = written(&outline);
        self.put(format_args!(r#"<polygon points="{points}" fill="{colour}" fill-opacity="0.08"/>"#));
    }

    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a text cannot fail.
        let _ = writeln!(self.0, "{element}");
    }
}

fn written(points: &[(f64, f64)]) -> String {
    let mut text = String::new();
    for (x, y) in points {
        let _ = write!(text, "{x:.1},{y:.1} ");
    }
    text.truncate(text.trim_end().len());
    text
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // XML has no way to write them.
            character if character.is_control() => out.push(' '),
            character => out.push(character),
        }
    }
    out
}
