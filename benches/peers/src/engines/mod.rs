//! What an engine is here, and which there are.

mod cedar;
mod cel;
mod linear;
mod rego;
mod requite;
mod zen;

use std::hint::black_box;
use std::time::Duration;

use crate::measure::processor_time;
use crate::order::Order;
use crate::tables::Row;

/// One engine with one table in it.
pub trait Engine: Sized {
    /// What it is asked with: its own form of an order.
    type Input<'o>;

    /// An order in the engine's own form.
    fn input<'o>(&self, order: &'o Order) -> Self::Input<'o>;

    /// The row that decides, by its place; `None` where no row does.
    fn decide(&mut self, input: &Self::Input<'_>) -> Option<usize>;
}

/// An engine that is ready to be measured.
pub trait Ready {
    /// The row that decides an order.
    fn answer(&mut self, order: &'static Order) -> Option<usize>;

    /// How long it takes so many times, the order being in the engine's own form already.
    fn decide(&mut self, times: u32) -> Duration;

    /// The same from the order as a caller holds it.
    fn convert_and_decide(&mut self, times: u32) -> Duration;
}

struct Table<E: Engine> {
    engine: E,
    order: &'static Order,
    input: E::Input<'static>,
}

impl<E: Engine> Ready for Table<E> {
    fn answer(&mut self, order: &'static Order) -> Option<usize> {
        let input = self.engine.input(order);
        self.engine.decide(&input)
    }

    fn decide(&mut self, times: u32) -> Duration {
        let begun = processor_time();
        for _ in 0..times {
            black_box(self.engine.decide(black_box(&self.input)));
        }
        processor_time().saturating_sub(begun)
    }

    fn convert_and_decide(&mut self, times: u32) -> Duration {
        let begun = processor_time();
        for _ in 0..times {
            let input = self.engine.input(black_box(self.order));
            black_box(self.engine.decide(&input));
        }
        processor_time().saturating_sub(begun)
    }
}

fn ready<E: Engine + 'static>(engine: E, order: &'static Order) -> Box<dyn Ready> {
    let input = engine.input(order);
    Box::new(Table { engine, order, input })
}

/// Whose engine it is: what requite is compared with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Requite.
    Requite,
    /// A loop over structs, which is no engine: as little as a table can cost without an index.
    Baseline,
    /// An engine that others have made, given the table as a table.
    Peer,
    /// Such an engine, given the rows as data that the caller has sorted by product and reason.
    /// That is faster, and no longer a table: which columns to sort by is the caller's work, and
    /// rows that overlap would be a conflict instead of a first and a second.
    Keyed,
}

/// An engine before it has a table.
pub struct Spec {
    /// Its name in the report.
    pub name: &'static str,
    /// What it is asked, in a few words.
    pub how: &'static str,
    /// Whose it is.
    pub side: Side,
    /// Reads a table, ready to be asked about an order.
    pub build: fn(&[Row], &'static Order) -> Box<dyn Ready>,
}

/// All engines, in the order of the report.
pub fn all() -> Vec<Spec> {
    vec![
        Spec {
            name: "requite",
            how: "one rule for each row; every answer holds amounts, deductions and reasons",
            side: Side::Requite,
            build: |rows, order| ready(requite::Requite::new(rows), order),
        },
        Spec {
            name: "scan of structs",
            how: "a Rust loop over plain structs; names the row only",
            side: Side::Baseline,
            build: |rows, order| ready(linear::Linear::new(rows), order),
        },
        Spec {
            name: "zen table",
            how: "one decision table, first hit, compiled; names the row",
            side: Side::Peer,
            build: |rows, order| ready(zen::Zen::new(rows), order),
        },
        Spec {
            name: "cel programs",
            how: "one compiled program for each row, until one is true",
            side: Side::Peer,
            build: |rows, order| ready(cel::Programs::new(rows), order),
        },
        Spec {
            name: "cel keyed rows",
            how: "one program: rows as data, looked up by product and reason, then filtered",
            side: Side::Keyed,
            build: |rows, order| ready(cel::Keyed::new(rows), order),
        },
        Spec {
            name: "cedar policies",
            how: "one policy for each row, product and reason in its scope; the determining policy names the row",
            side: Side::Peer,
            build: |rows, order| ready(cedar::Cedar::new(rows), order),
        },
        Spec {
            name: "rego rules",
            how: "one body of a rule for each row, compiled for regorus' virtual machine",
            side: Side::Peer,
            build: |rows, order| ready(rego::Rego::of_rules(rows), order),
        },
        Spec {
            name: "rego keyed rows",
            how: "one rule: rows as data, looked up by product and reason, then tried; compiled as above",
            side: Side::Keyed,
            build: |rows, order| ready(rego::Rego::of_data(rows), order),
        },
    ]
}
