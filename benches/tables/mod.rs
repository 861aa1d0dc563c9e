//! The same refund table for every engine that is measured, in whatever size.
//!
//! A row names a product, a reason, an age of the order, a price and a share already used, and
//! says how many percent are kept. Rows do not overlap, every row tests all five facts, and the
//! order asked about is that of the last row: an engine that reads from the top has to read
//! everything. Each size divides one more fact: 12 by product, 96 by reason too, then age, price
//! and share.
//!
//! Nothing here knows requite: the crate that measures the peers includes this file as well.
#![allow(dead_code, reason = "each benchmark uses a part of it")]

use std::fmt::Write as _;

/// The sizes measured.
pub const SIZES: [usize; 5] = [12, 96, 960, 9_600, 96_000];

/// Products, one of which every row names.
pub const PRODUCTS: u64 = 12;
/// Reasons that there are.
pub const REASONS: u64 = 8;
/// Equal parts into which a divided range falls.
pub const BANDS: u64 = 10;
/// Ages lie below so many hours.
pub const AGE_HOURS: u64 = 1_000;
/// Prices lie below so many units of money.
pub const PRICE_UNITS: u64 = 10_000;
/// Shares are hundredths; a used-up order has this many.
pub const SHARE_HUNDREDTHS: u64 = 100;

/// From the first number to just below the second.
pub type Range = (u64, u64);

/// One row of the table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// The product it is about.
    pub product: u64,
    /// The reason it is about; `None`: all of them, named one by one.
    pub reason: Option<u64>,
    /// Hours since the order.
    pub age_hours: Range,
    /// The price, in units of money.
    pub price_units: Range,
    /// The share used, in hundredths.
    pub share_hundredths: Range,
    /// How many percent of the price are kept.
    pub percent: u64,
}

/// An order with the claim on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asked {
    /// What was bought.
    pub product: u64,
    /// Why it goes back.
    pub reason: u64,
    /// How old the order is.
    pub age_hours: u64,
    /// What it cost.
    pub price_units: u64,
    /// How much of it was used.
    pub share_hundredths: u64,
}

/// The table of a size, which is one of [`SIZES`].
pub fn rows(size: usize) -> Vec<Row> {
    let size = size as u64;
    let parts = |divided_from: u64, parts: u64| if divided_from <= size { parts } else { 1 };
    let (reasons, ages) = (parts(96, REASONS), parts(960, BANDS));
    let (prices, shares) = (parts(9_600, BANDS), parts(96_000, BANDS));
    assert_eq!(PRODUCTS * reasons * ages * prices * shares, size, "no table has this size");
    let range = |part: u64, parts: u64, whole: u64| (whole * part / parts, whole * (part + 1) / parts);
    (0..size)
        .map(|row| {
            let (row_of, product) = (row, row % PRODUCTS);
            let row = row / PRODUCTS;
            let (reason, row) = (row % reasons, row / reasons);
            let (age, row) = (row % ages, row / ages);
            let (price, share) = (row % prices, row / prices);
            Row {
                product,
                reason: (reasons != 1).then_some(reason),
                age_hours: range(age, ages, AGE_HOURS),
                price_units: range(price, prices, PRICE_UNITS),
                share_hundredths: range(share, shares, SHARE_HUNDREDTHS),
                percent: row_of * 7 % 90 + 1,
            }
        })
        .collect()
}

impl Row {
    /// The id of the row at this place.
    pub fn id(place: usize) -> String {
        format!("r{place}")
    }

    /// Whether it decides an order.
    pub fn decides(&self, asked: &Asked) -> bool {
        let within = |(from, below): Range, number: u64| from <= number && number < below;
        self.product == asked.product
            && self.reason.is_none_or(|reason| reason == asked.reason)
            && within(self.age_hours, asked.age_hours)
            && within(self.price_units, asked.price_units)
            && within(self.share_hundredths, asked.share_hundredths)
    }

    /// An order that it decides.
    pub const fn asked(&self) -> Asked {
        let reason = match self.reason {
            Some(reason) => reason,
            None => REASONS - 1,
        };
        Asked {
            product: self.product,
            reason,
            age_hours: self.age_hours.1 - 1,
            price_units: self.price_units.1 - 1,
            share_hundredths: self.share_hundredths.1 - 1,
        }
    }
}

/// The slug of a product.
pub fn product(number: u64) -> String {
    format!("p{number}")
}

/// The slug of a reason.
pub fn reason(number: u64) -> String {
    format!("q{number}")
}

/// The table as a policy file of requite.
pub fn policy(rows: &[Row]) -> String {
    let words = |count, word: fn(u64) -> String| (0..count).map(word).collect::<Vec<_>>();
    let mut text = String::from("policy: table\nversion: \"1\"\ntimezone: UTC\ncurrencies: [CNY]\nchannels: [app]\n");
    let _ = writeln!(text, "product_types: [{}]\nreasons:", words(PRODUCTS, product).join(", "));
    for reason in words(REASONS, reason) {
        let _ = writeln!(text, "  {reason}: {{ liable: customer }}");
    }
    text.push_str("facts: { age: since(placed_at) }\nrules:\n");
    for (place, row) in rows.iter().enumerate() {
        let reason = match row.reason {
            Some(number) => reason(number),
            None => format!("[{}]", words(REASONS, reason).join(", ")),
        };
        let ((age_from, age_below), (price_from, price_below)) = (row.age_hours, row.price_units);
        let (share_from, share_below) = row.share_hundredths;
        let _ = writeln!(
            text,
            "  - id: {}\n    when: {{ product_type: {}, reason: {reason}, age: \"[{age_from}h..{age_below}h)\", paid: \"[{price_from}.00..{price_below}.00)\", completed_share: \"[{share_from}%..{share_below}%)\" }}\n    refund: {{ deduct: [{{ kind: cancellation_fee, amount: \"paid * {}%\" }}] }}",
            Row::id(place),
            product(row.product),
            row.percent,
        );
    }
    text.push_str("otherwise: { deny: NO_MATCHING_RULE }\n");
    text
}
