//! One line that tells a terminal how far a run is. Nothing where nobody looks at it.

use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::load::{Load, Progress};
use crate::telemetry::terminal::obeys;

/// Between two looks.
const EVERY: Duration = Duration::from_millis(250);

/// Cells of the bar.
const CELLS: u32 = 24;

/// The line, if there is a terminal to draw it on.
pub(super) struct Line {
    ticks: Option<Interval>,
    begun: Option<Instant>,
    warm_up: Duration,
    whole: Duration,
    /// Answers at the last look, for the rate since then.
    last: (Instant, u64),
}

impl Line {
    pub(super) fn new(load: &Load) -> Self {
        let mut ticks = obeys(&io::stderr()).then(|| interval(EVERY));
        if let Some(ticks) = &mut ticks {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        }
        let whole = load.warm_up + load.duration;
        Self { ticks, begun: None, warm_up: load.warm_up, whole, last: (Instant::now(), 0) }
    }

    /// The next moment to draw it at; never without a terminal.
    pub(super) async fn tick(&mut self) {
        match &mut self.ticks {
            Some(ticks) => drop(ticks.tick().await),
            None => std::future::pending().await,
        }
    }

    pub(super) fn draw(&mut self, progress: &Progress) {
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let (intended, answered, failed) =
            (count(&progress.intended), count(&progress.answered), count(&progress.failed));
        if intended == 0 {
            return;
        }
        let now = Instant::now();
        let gone = now.duration_since(*self.begun.get_or_insert(now));
        let since = now.duration_since(self.last.0).as_secs_f64().max(f64::MIN_POSITIVE);
        let rate = answered.saturating_sub(self.last.1) as f64 / since;
        self.last = (now, answered);
        let open = intended.saturating_sub(answered).saturating_sub(failed);
        let text = line(gone, self.warm_up, self.whole);
        let counts = format!("{rate:>7.0}/s  in flight {open}  errors {failed}");
        // A terminal that is gone needs no progress.
        let _ = write!(io::stderr(), "\r\x1b[2K{text}  {counts}").and_then(|()| io::stderr().flush());
    }

    /// Makes room for what is said next.
    pub(super) fn clear(&mut self) {
        if self.ticks.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[2K").and_then(|()| io::stderr().flush());
        }
    }
}

/// The bar, the times, and which part of the run it is.
fn line(gone: Duration, warm_up: Duration, whole: Duration) -> String {
    let share = (gone.as_secs_f64() / whole.as_secs_f64().max(f64::MIN_POSITIVE)).min(1.0);
    let full = (share * f64::from(CELLS)) as usize;
    let bar: String = (0..CELLS as usize).map(|cell| if cell < full { '█' } else { '░' }).collect();
    let part = if gone < warm_up {
        "warm-up"
    } else if gone < whole {
        "measuring"
    } else {
        "last answers"
    };
    format!("{bar} {:>3} of {} s  {part}", gone.as_secs(), whole.as_secs_f64().ceil())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_how_far_it_is_and_in_which_part() {
        let at = |gone| line(Duration::from_secs(gone), Duration::from_secs(5), Duration::from_secs(35));
        assert_eq!(at(0), "░░░░░░░░░░░░░░░░░░░░░░░░   0 of 35 s  warm-up");
        assert_eq!(at(21), "██████████████░░░░░░░░░░  21 of 35 s  measuring");
        assert_eq!(at(40), "████████████████████████  40 of 35 s  last answers");
    }
}
