//! Rates, times and shares as people write them, each held to its bounds.

use std::time::Duration;

use crate::cli::durations::duration_within;
use crate::load::arrivals::RATE_PER_S_MAX;
use crate::load::{DURATION_MAX, DURATION_MIN, RELOAD_EVERY_MIN, TIMEOUT_MAX, WARM_UP_MAX};

/// A rate: `500/s`, or `500`.
pub(super) fn rate(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    match number.parse() {
        Ok(rate) if (1..=RATE_PER_S_MAX).contains(&rate) => Ok(rate),
        Ok(_) | Err(_) => Err(format!("expected 1/s to {RATE_PER_S_MAX}/s, a whole number such as `500/s`")),
    }
}

/// A time of measuring.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    duration_within(text, DURATION_MIN, DURATION_MAX)
}

/// A time of warming up.
pub(super) fn warm_up(text: &str) -> Result<Duration, String> {
    duration_within(text, Duration::ZERO, WARM_UP_MAX)
}

/// A deadline.
pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    duration_within(text, Duration::from_millis(1), TIMEOUT_MAX)
}

/// A period.
pub(super) fn period(text: &str) -> Result<Duration, String> {
    duration_within(text, RELOAD_EVERY_MIN, DURATION_MAX)
}

/// A share: `0.1%`, or a number from 0 to 1.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let (number, whole) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    match number.trim().parse::<f64>().map(|number| number / whole) {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        Ok(_) | Err(_) => Err("expected 0% to 100%, or a number from 0 to 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_whole_and_bounded() {
        assert_eq!((rate("500/s"), rate("1"), rate("1000000/s")), (Ok(500), Ok(1), Ok(1_000_000)));
        for text in ["0", "0/s", "1000001", "1.5", "-3", "500/m", "many", ""] {
            assert!(rate(text).is_err_and(|text| text.contains("1/s to 1000000/s")), "{text}");
        }
    }

    #[test]
    fn times_have_a_unit_and_bounds() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("1h"), Ok(DURATION_MAX));
        assert_eq!(warm_up("0s"), Ok(Duration::ZERO));
        assert_eq!(timeout("250ms"), Ok(Duration::from_millis(250)));
        for text in ["30", "", "99ms", "2h", "-5s", "soon"] {
            assert!(duration(text).is_err_and(|text| text.contains("100ms to 3600s")), "{text}");
        }
        assert!(period("9ms").is_err() && timeout("0s").is_err() && warm_up("11m").is_err());
    }

    #[test]
    fn shares_are_percent_or_parts_of_one() {
        assert_eq!((share("1%"), share("0.25"), share("0")), (Ok(0.01), Ok(0.25), Ok(0.0)));
        for text in ["1.1", "101%", "-1%", "NaN", "some"] {
            assert!(share(text).is_err(), "{text}");
        }
    }
}
