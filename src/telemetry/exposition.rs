//! The text format of Prometheus: metrics of a page with their samples.

use std::fmt::{self, Write as _};
use std::time::Duration;

/// The content type of a page of metrics.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A page of metrics that is being written.
#[derive(Clone, Debug, Default)]
pub struct Page {
    text: String,
}

/// The kind of a metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Only ever grows; its name ends in `_total`.
    Counter,
    /// May go up and down.
    Gauge,
}

/// One metric of a page; its samples follow.
#[derive(Debug)]
pub struct Metric<'p> {
    page: &'p mut Page,
    name: &'static str,
}

impl Page {
    /// Begins a metric. A page has each once.
    pub fn metric(&mut self, name: &'static str, kind: Kind, help: &str) -> Metric<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.head(name, kind, help);
        Metric { page: self, name }
    }

    /// The page as text.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    /// The lines before the samples of a metric.
    pub(super) fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// The samples of a histogram, from its counts between its upper bounds.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        bounds: &[u64],
        buckets: &[u64],
        nanos: u64,
    ) {
        let mut so_far = 0;
        for (place, count) in buckets.iter().enumerate() {
            so_far += count;
            let bound = bounds.get(place).map(|&nanos| Duration::from_nanos(nanos).as_secs_f64());
            let bound = bound.map_or_else(|| "+Inf".to_owned(), |bound| bound.to_string());
            let labels: Vec<_> = labels.iter().copied().chain([("le", bound.as_str())]).collect();
            self.sample(format_args!("{name}_bucket"), &labels, so_far);
        }
        self.sample(format_args!("{name}_sum"), labels, seconds(Duration::from_nanos(nanos)));
        self.sample(format_args!("{name}_count"), labels, so_far);
    }

    fn sample(&mut self, name: impl fmt::Display, labels: &[(&str, &str)], value: impl fmt::Display) {
        let _ = write!(self.text, "{name}");
        for (place, (label, text)) in labels.iter().enumerate() {
            let before = if place == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{label}=\"{}\"", Escaped(text));
        }
        let after = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{after} {value}");
    }
}

impl Metric<'_> {
    /// Adds a sample. A metric has each set of labels once.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl fmt::Display) {
        self.page.sample(self.name, labels, value);
    }
}

/// A label's value: the characters with a meaning in the format are escaped.
struct Escaped<'t>(&'t str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            c => f.write_char(c),
        })
    }
}

/// Seconds as the format writes them, exact to the nanosecond.
#[must_use]
pub fn seconds(length: Duration) -> String {
    format!("{}.{:09}", length.as_secs(), length.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut page = Page::default();
        page.metric("a", Kind::Gauge, "Help.").sample(&[("x", "a\\b\"c\nd"), ("y", "")], 1.5);
        assert_eq!(page.into_text(), "# HELP a Help.\n# TYPE a gauge\na{x=\"a\\\\b\\\"c\\nd\",y=\"\"} 1.5\n");
    }

    #[test]
    fn seconds_are_exact() {
        assert_eq!(seconds(Duration::new(12, 5)), "12.000000005");
    }
}
