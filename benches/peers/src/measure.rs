//! One size of table in all engines: built, checked, then measured turn by turn, so that a
//! machine that slows down slows all of them down.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::engines::{Ready, Spec};
use crate::order::Order;
use crate::tables::{self, AGE_HOURS, Asked, Row};

/// An engine that needs longer to read a table is left out.
const BUILD_MAX: Duration = Duration::from_secs(30);
/// An engine that needs longer for an answer is left out.
const ANSWER_MAX: Duration = Duration::from_millis(200);
/// How often each engine has its turn; the median counts.
const TURNS: usize = 15;
/// How long a turn lasts at least.
const TURN: Duration = Duration::from_millis(4);

/// The processor time of this thread: what others do on the machine does not count.
pub fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// What one size came to.
pub struct Sized {
    /// How many rows.
    pub rows: usize,
    /// By engine, in their order.
    pub cells: Vec<Result<Cell, String>>,
}

/// What one engine came to with one table.
#[derive(Clone, Copy)]
pub struct Cell {
    /// How long it took to read the table.
    pub build: Duration,
    /// Median of one answer, the order being in the engine's own form, in nanoseconds.
    pub decide_ns: f64,
    /// Median from the order as a caller holds it, in nanoseconds.
    pub convert_and_decide_ns: f64,
}

/// Measures one size. `before` are the sizes done so far: what was too slow there is too slow here.
pub fn size(rows: usize, engines: &[Spec], before: &[Sized]) -> Sized {
    let table = tables::rows(rows);
    let last = table.last().expect("a table has rows");
    let order: &'static Order = Box::leak(Box::new(Order::new(last.asked())));
    let mut built: Vec<Result<Running, String>> = Vec::new();
    for (place, spec) in engines.iter().enumerate() {
        let smaller = before
            .iter()
            .rev()
            .filter(|smaller| smaller.rows < rows)
            .map(|smaller| (smaller.rows, &smaller.cells[place]));
        let running = expected_in_time(rows, smaller).and_then(|()| build(spec, &table, order));
        if let Err(problem) = &running {
            eprintln!("  {}: {problem}", spec.name);
        }
        built.push(running);
    }
    for _ in 0..TURNS {
        for running in built.iter_mut().flatten() {
            running.turn();
        }
    }
    Sized { rows, cells: built.into_iter().map(|running| running.map(Running::finish)).collect() }
}

/// Whether an engine can be expected to keep the bounds, by the next smaller table.
fn expected_in_time<'c>(
    rows: usize,
    mut smaller: impl Iterator<Item = (usize, &'c Result<Cell, String>)>,
) -> Result<(), String> {
    let Some((fewer, cell)) = smaller.next() else { return Ok(()) };
    let Ok(cell) = cell else { return Err(format!("left out: it was at {fewer} rows")) };
    let times = rows as f64 / fewer as f64;
    if BUILD_MAX.as_secs_f64() < cell.build.as_secs_f64() * times {
        return Err(format!("left out: {fewer} rows took {:.1} s to read", cell.build.as_secs_f64()));
    }
    Ok(())
}

fn build(spec: &Spec, table: &[Row], order: &'static Order) -> Result<Running, String> {
    let begun = Instant::now();
    let mut ready = (spec.build)(table, order);
    let build = begun.elapsed();
    if BUILD_MAX < build {
        return Err(format!("left out: it took {:.1} s to read {} rows", build.as_secs_f64(), table.len()));
    }
    let begun = Instant::now();
    check(spec.name, ready.as_mut(), table);
    let answer = ready.decide(1);
    if ANSWER_MAX < answer {
        return Err(format!("left out: one answer takes {:.0} ms", answer.as_secs_f64() * 1e3));
    }
    eprintln!(
        "  {}: read in {:.3} s, answers checked in {:.3} s",
        spec.name,
        build.as_secs_f64(),
        begun.elapsed().as_secs_f64()
    );
    Ok(Running { ready, build, decide: Vec::new(), convert_and_decide: Vec::new() })
}

/// The first row, one in the middle, the last one, and an order that no row decides.
fn check(name: &str, ready: &mut dyn Ready, table: &[Row]) {
    for place in [0, table.len() / 2, table.len() - 1] {
        let asked = table[place].asked();
        let decides = table.iter().position(|row| row.decides(&asked));
        assert_eq!(decides, Some(place), "rows do not overlap");
        assert_eq!(ready.answer(Box::leak(Box::new(Order::new(asked)))), decides, "{name} decides by another row");
    }
    let too_old = Asked { age_hours: AGE_HOURS, ..table[0].asked() };
    assert!(!table.iter().any(|row| row.decides(&too_old)), "no row is about so old an order");
    assert_eq!(ready.answer(Box::leak(Box::new(Order::new(too_old)))), None, "{name} decides what no row is about");
}

struct Running {
    ready: Box<dyn Ready>,
    build: Duration,
    decide: Vec<f64>,
    convert_and_decide: Vec<f64>,
}

impl Running {
    fn turn(&mut self) {
        self.decide.push(per_answer(|times| self.ready.decide(times)));
        self.convert_and_decide.push(per_answer(|times| self.ready.convert_and_decide(times)));
    }

    fn finish(self) -> Cell {
        Cell {
            build: self.build,
            decide_ns: median(self.decide),
            convert_and_decide_ns: median(self.convert_and_decide),
        }
    }
}

/// Nanoseconds of one answer, over as many answers as a turn needs.
fn per_answer(mut answers: impl FnMut(u32) -> Duration) -> f64 {
    let mut times = 1;
    loop {
        let taken = answers(times);
        if TURN <= taken {
            return taken.as_secs_f64() * 1e9 / f64::from(times);
        }
        let wanted = TURN.as_secs_f64() * 1.2 / taken.as_secs_f64().max(1e-9);
        times = (f64::from(times) * wanted.min(1000.0)).ceil() as u32;
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
