//! Lengths of time as people write them: one grammar for every flag.

use std::time::Duration;

use jiff::SignedDuration;

/// Reads a length of time that is not below zero, such as `90s`, `1.5m` or `1h 30m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parsed(text).ok_or_else(|| "expected a length of time, such as `90s`, `10m` or `1h 30m`".to_owned())
}

/// Reads a length of time between these two bounds, both included.
pub(super) fn duration_within(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    parsed(text)
        .filter(|duration| (least..=most).contains(duration))
        .ok_or_else(|| format!("expected {} to {}, such as `30s`, `500ms` or `2m`", written(least), written(most)))
}

fn parsed(text: &str) -> Option<Duration> {
    Duration::try_from(text.parse::<SignedDuration>().ok()?).ok()
}

fn written(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{}s", duration.as_secs()),
        _ => format!("{}ms", duration.as_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_are_not_below_zero() {
        for (text, seconds) in [("90s", 90), ("1.5m", 90), ("1h 30m", 5_400), ("0s", 0)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "s", "30", "-1s", "soon", "99999999999999999999s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bounds_are_included_and_told() {
        let within = |text| duration_within(text, Duration::from_millis(500), Duration::from_secs(60));
        assert_eq!((within("500ms"), within("1m")), (Ok(Duration::from_millis(500)), Ok(Duration::from_secs(60))));
        assert!(within("499ms").is_err_and(|text| text.starts_with("expected 500ms to 60s")));
    }
}
