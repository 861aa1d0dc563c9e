//! CEL, which has no tables: either a compiled program for each row, tried from the top, or the
//! rows as data, looked up by product and reason as CEL's maps allow.
//!
//! Variables stand in a scope of their own under one shared context, as the crate advises.

use std::collections::HashMap;

use cel::{Context, Program, Value};

use crate::engines::Engine;
use crate::order::Order;
use crate::tables::{self, REASONS, Row};

type Scope = Context<'static, 'static>;

fn scope(shared: &'static Scope, order: &Order) -> Scope {
    let mut scope = shared.new_inner_scope();
    scope.add_variable_from_value("product", order.product.as_str());
    scope.add_variable_from_value("reason", order.reason.as_str());
    scope.add_variable_from_value("age", order.age_hours);
    scope.add_variable_from_value("price", order.price_units);
    scope.add_variable_from_value("share", order.share_hundredths);
    scope
}

/// A program for each row.
pub struct Programs {
    programs: Vec<Program>,
    shared: &'static Scope,
}

impl Programs {
    pub fn new(rows: &[Row]) -> Self {
        let programs = rows.iter().map(|row| Program::compile(&condition(row)).expect("an expression")).collect();
        Self { programs, shared: Box::leak(Box::default()) }
    }
}

fn condition(row: &Row) -> String {
    let reason = match row.reason {
        Some(reason) => format!("reason == '{}'", tables::reason(reason)),
        None => {
            let all: Vec<String> = (0..REASONS).map(|reason| format!("'{}'", tables::reason(reason))).collect();
            format!("reason in [{}]", all.join(", "))
        }
    };
    let range = |name: &str, (from, below): (u64, u64)| format!("{from} <= {name} && {name} < {below}");
    format!(
        "product == '{}' && {reason} && {} && {} && {}",
        tables::product(row.product),
        range("age", row.age_hours),
        range("price", row.price_units),
        range("share", row.share_hundredths),
    )
}

impl Engine for Programs {
    type Input<'o> = Scope;

    fn input<'o>(&self, order: &'o Order) -> Scope {
        scope(self.shared, order)
    }

    fn decide(&mut self, input: &Scope) -> Option<usize> {
        self.programs.iter().position(|program| match program.execute(input).expect("it evaluates") {
            Value::Bool(matches) => matches,
            other => panic!("a condition is true or false, not {other:?}"),
        })
    }
}

/// The rows as data, and one program.
pub struct Keyed {
    program: Program,
    shared: &'static Scope,
}

const LOOKUP: &str = "rows[product][reason].filter(row, row[0] <= age && age < row[1] && row[2] <= price \
                      && price < row[3] && row[4] <= share && share < row[5])";

impl Keyed {
    pub fn new(rows: &[Row]) -> Self {
        let mut products: HashMap<String, HashMap<String, Vec<Vec<i64>>>> = HashMap::new();
        for (place, row) in rows.iter().enumerate() {
            let (age, price, share) = (row.age_hours, row.price_units, row.share_hundredths);
            let cells = [age.0, age.1, price.0, price.1, share.0, share.1, place as u64].map(|cell| cell as i64);
            for reason in row.reason.map_or(0..REASONS, |reason| reason..reason + 1) {
                let reasons = products.entry(tables::product(row.product)).or_default();
                reasons.entry(tables::reason(reason)).or_default().push(cells.to_vec());
            }
        }
        let mut shared = Scope::default();
        shared.add_variable_from_value("rows", Value::from(products));
        Self { program: Program::compile(LOOKUP).expect("an expression"), shared: Box::leak(Box::new(shared)) }
    }
}

impl Engine for Keyed {
    type Input<'o> = Scope;

    fn input<'o>(&self, order: &'o Order) -> Scope {
        scope(self.shared, order)
    }

    fn decide(&mut self, input: &Scope) -> Option<usize> {
        let Value::List(found) = self.program.execute(input).expect("it evaluates") else {
            panic!("a filter gives a list");
        };
        let Value::List(row) = found.first()? else { panic!("a row is a list") };
        match row.last() {
            Some(&Value::Int(place)) => usize::try_from(place).ok(),
            other => panic!("a row ends with its place, not {other:?}"),
        }
    }
}
