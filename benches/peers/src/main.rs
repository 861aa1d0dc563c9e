//! The same refund tables in requite and in other engines: in one process, in one run, with the
//! same answers.
//!
//! Every engine alone stands in its file below `engines`. Each builds what it runs once, is asked
//! the same orders, and has to name the same row of the table; only then anything is measured.

mod engines;
mod measure;
mod order;
mod report;
#[path = "../../tables/mod.rs"]
mod tables;

use clap::{Parser, ValueEnum};

/// Measures requite against other engines on the same tables.
#[derive(Parser)]
struct Arguments {
    /// Only these numbers of rows.
    #[arg(long, value_delimiter = ',')]
    sizes: Vec<usize>,
    /// Only engines whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Tables for people.
    Text,
    /// One JSON object.
    Json,
}

fn main() {
    let Arguments { sizes, only, output } = Arguments::parse();
    let sizes = if sizes.is_empty() { tables::SIZES.to_vec() } else { sizes };
    let wanted = |name: &str| only.as_deref().is_none_or(|only| name.contains(only));
    let engines: Vec<_> = engines::all().into_iter().filter(|engine| wanted(engine.name)).collect();
    let mut results = Vec::new();
    for size in sizes {
        eprintln!("{size} rows");
        results.push(measure::size(size, &engines, &results));
    }
    match output {
        Output::Text => print!("{}", report::text(&engines, &results)),
        Output::Json => println!("{:#}", report::json(&engines, &results)),
    }
}
