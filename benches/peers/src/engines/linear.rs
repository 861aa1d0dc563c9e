//! As little as a table can cost without an index: a loop over plain structs.

use crate::engines::Engine;
use crate::order::Order;
use crate::tables::{Asked, Row};

pub struct Linear(Vec<Row>);

impl Linear {
    pub fn new(rows: &[Row]) -> Self {
        Self(rows.to_vec())
    }
}

impl Engine for Linear {
    type Input<'o> = Asked;

    fn input<'o>(&self, order: &'o Order) -> Asked {
        order.asked
    }

    fn decide(&mut self, input: &Asked) -> Option<usize> {
        self.0.iter().position(|row| row.decides(input))
    }
}
