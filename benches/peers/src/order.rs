//! The order that every engine is asked about, as a caller holds it before it speaks to any.

#![allow(dead_code, reason = "each program uses a part of it")]

use requite::domain::time::Timestamp;

use crate::tables::{self, Asked};

/// An order with the claim on it: slugs and plain numbers.
pub struct Order {
    /// What was bought.
    pub product: String,
    /// Why it goes back.
    pub reason: String,
    /// How old the order is.
    pub age_hours: i64,
    /// What it cost.
    pub price_units: i64,
    /// How much of it was used.
    pub share_hundredths: i64,
    /// When it was placed, so that it is as old as that.
    pub placed_at: Timestamp,
    /// When the customer asked.
    pub requested_at: Timestamp,
    /// The same in numbers.
    pub asked: Asked,
}

/// Any moment will do: only the time in between counts.
const PLACED_AT_SECONDS: i64 = 1_800_000_000;

impl Order {
    /// The order that a table is asked about.
    pub fn new(asked: Asked) -> Self {
        let number = |value: u64| i64::try_from(value).expect("tables hold small numbers");
        let moment = |hours: i64| Timestamp::from_unix(PLACED_AT_SECONDS + hours * 3600, 0).expect("in range");
        Self {
            product: tables::product(asked.product),
            reason: tables::reason(asked.reason),
            age_hours: number(asked.age_hours),
            price_units: number(asked.price_units),
            share_hundredths: number(asked.share_hundredths),
            placed_at: moment(0),
            requested_at: moment(number(asked.age_hours)),
            asked,
        }
    }
}
