//! From figures to places on paper, and the marks along an axis.

/// A logarithmic axis of latencies, upwards, in microseconds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct LogAxis {
    low_us: f64,
    high_us: f64,
    top: f64,
    bottom: f64,
}

impl LogAxis {
    /// An axis that holds all of these, between two round marks.
    pub(super) fn around(micros: impl Iterator<Item = f64>, top: f64, bottom: f64) -> Self {
        let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
        for value in micros.filter(|value| 0.0 < *value) {
            low = low.min(value);
            high = high.max(value);
        }
        if high <= 0.0 {
            (low, high) = (100.0, 1_000.0);
        }
        // At least a decade, or a quiet run looks like a wild one.
        let low_us = round_down(low * 0.95);
        let high_us = round_up((high * 1.05).max(low_us * 10.0));
        Self { low_us, high_us, top, bottom }
    }

    /// Position of a latency; one below the axis is at its foot.
    pub(super) fn y(&self, micros: f64) -> f64 {
        let share = (micros.max(self.low_us) / self.low_us).ln() / (self.high_us / self.low_us).ln();
        self.bottom - share * (self.bottom - self.top)
    }

    /// The marks with a label: 1, 2 and 5 of each decade, or only the decades where there are many.
    pub(super) fn marks(&self) -> Vec<f64> {
        let wide = 1_500.0 < self.high_us / self.low_us;
        let steps: &[f64] = if wide { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let mut marks = Vec::new();
        let mut decade = 10_f64.powf(self.low_us.log10().floor());
        while decade <= self.high_us * 1.001 {
            marks.extend(steps.iter().map(|step| step * decade).filter(|mark| self.holds(*mark)));
            decade *= 10.0;
        }
        marks
    }

    fn holds(&self, micros: f64) -> bool {
        self.low_us * 0.999 <= micros && micros <= self.high_us * 1.001
    }
}

/// The next 1, 2 or 5 of a decade at or below.
fn round_down(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    [5.0, 2.0].into_iter().map(|step| step * decade).find(|mark| *mark <= value).unwrap_or(decade)
}

/// The next 1, 2 or 5 of a decade at or above.
fn round_up(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|step| step * decade).find(|mark| value <= *mark * 1.000_1).unwrap_or(10.0 * decade)
}

/// A latency with its unit, as short as it can be read.
pub(super) fn latency(micros: f64) -> String {
    let (value, unit) = match micros {
        value if value < 999.5 => (value, "µs"),
        value if value < 999_500.0 => (value / 1e3, "ms"),
        value => (value / 1e6, "s"),
    };
    format!("{} {unit}", digits(value))
}

/// Three digits that matter, without zeros behind the point.
fn digits(value: f64) -> String {
    let places = match value {
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// An axis of shares on which each nine is as wide as the one before.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct NinesAxis {
    /// Number of nines on the axis: 2 reaches to 99 %.
    nines: f64,
    left: f64,
    right: f64,
}

impl NinesAxis {
    /// An axis for so many answers: one of them is the last mark.
    pub(super) fn of(answers: u64, left: f64, right: f64) -> Self {
        Self { nines: (answers.max(10) as f64).log10().clamp(1.0, 7.0), left, right }
    }

    /// Position of a share; the highest shares are at the right edge.
    pub(super) fn x(&self, share: f64) -> f64 {
        let nines = if share < 1.0 { -(1.0 - share).log10() } else { self.nines };
        self.left + nines.clamp(0.0, self.nines) / self.nines * (self.right - self.left)
    }

    /// The marks: a share and its label.
    pub(super) fn marks(&self) -> Vec<(f64, String)> {
        let mut marks = vec![(0.0, "0 %".to_owned()), (0.5, "50 %".to_owned()), (0.9, "90 %".to_owned())];
        let mut missing = 0.01;
        let mut label = String::from("99");
        while -f64::log10(missing) <= self.nines + 1e-9 {
            marks.push((1.0 - missing, format!("{label} %")));
            label.push_str(if label.len() == 2 { ".9" } else { "9" });
            missing /= 10.0;
        }
        marks
    }
}

/// An axis of time from its beginning.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct TimeAxis {
    length_s: f64,
    left: f64,
    right: f64,
}

impl TimeAxis {
    /// An axis of so many seconds.
    pub(super) fn of(length_s: f64, left: f64, right: f64) -> Self {
        Self { length_s: length_s.max(0.1), left, right }
    }

    /// Position of a moment.
    pub(super) fn x(&self, at_s: f64) -> f64 {
        self.left + (at_s / self.length_s).clamp(0.0, 1.0) * (self.right - self.left)
    }

    /// About ten marks at round seconds.
    pub(super) fn marks(&self) -> Vec<f64> {
        let rough = self.length_s / 10.0;
        let steps = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];
        let step = steps.into_iter().find(|step| rough <= *step * 1.001).unwrap_or(600.0);
        (0..=12).map(|number| f64::from(number) * step).filter(|mark| *mark <= self.length_s * 1.001).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_have_units_that_fit() {
        let texts = [0.5, 87.46, 100.0, 999.0, 999.9, 1_500.0, 12_340.0, 999_600.0, 2_000_000.0].map(latency);
        assert_eq!(texts, ["0.5 µs", "87.5 µs", "100 µs", "999 µs", "1 ms", "1.5 ms", "12.3 ms", "1 s", "2 s"]);
    }

    #[test]
    fn a_latency_axis_holds_its_values_between_round_marks() {
        let axis = LogAxis::around([120.0, 3_400.0].into_iter(), 0.0, 100.0);
        assert_eq!((axis.low_us, axis.high_us), (100.0, 5_000.0));
        assert!((axis.y(100.0) - 100.0).abs() < 1e-9 && axis.y(5_000.0).abs() < 1e-9);
        assert!(axis.y(3_400.0) < axis.y(120.0));
        assert_eq!(axis.marks(), [100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0]);
        assert_eq!(LogAxis::around([1.0, 9e6].into_iter(), 0.0, 1.0).marks().len(), 8, "only the decades");
        assert!(!LogAxis::around([].into_iter(), 0.0, 1.0).marks().is_empty(), "nothing measured has an axis, too");
    }

    #[test]
    fn each_nine_is_as_wide_as_the_one_before() {
        let axis = NinesAxis::of(10_000, 0.0, 400.0);
        for (share, x) in [(0.0, 0.0), (0.9, 100.0), (0.99, 200.0), (0.999, 300.0), (0.9999, 400.0), (1.0, 400.0)] {
            assert!((axis.x(share) - x).abs() < 1e-6, "{share}");
        }
        let labels: Vec<String> = axis.marks().into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels, ["0 %", "50 %", "90 %", "99 %", "99.9 %", "99.99 %"]);
    }

    #[test]
    fn times_have_few_round_marks() {
        assert_eq!(TimeAxis::of(10.0, 0.0, 1.0).marks().len(), 11);
        assert_eq!(TimeAxis::of(30.0, 0.0, 1.0).marks(), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0]);
        assert_eq!(TimeAxis::of(3_600.0, 0.0, 1.0).marks().last(), Some(&3_600.0));
        assert!(TimeAxis::of(1.0, 0.0, 1.0).marks().len() <= 11);
    }
}
