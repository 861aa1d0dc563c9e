//! Requite against a policy server: the processor time that one decision costs each.
//!
//! Starts both on loopback with the same table of twelve rows, each held to one processor, asks
//! both the same order in the same closed loops, checks every answer, and reads what the
//! processes used from `/proc`. Stops what it started. Needs Linux.

mod load;
mod messages;
#[path = "../../order.rs"]
mod order;
mod servers;
#[path = "../../../../tables/mod.rs"]
mod tables;

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::load::{Cerbos, Requite, Shape};
use crate::order::Order;
use crate::servers::Server;

/// Measures requite against a policy server, both over gRPC.
#[derive(Parser)]
struct Arguments {
    /// The program `cerbos`.
    #[arg(long)]
    cerbos: PathBuf,
    /// The program `requite`, a release build.
    #[arg(long)]
    requite: PathBuf,
    /// How many rows the table has.
    #[arg(long, default_value_t = 12)]
    rows: usize,
    /// How long each server is measured under each load, in seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
}

/// Connections, and requests in flight on each.
const SHAPES: [Shape; 3] = [
    Shape { connections: 8, in_flight: 32 },
    Shape { connections: 1, in_flight: 16 },
    Shape { connections: 64, in_flight: 1 },
];

fn main() {
    let arguments = Arguments::parse();
    let rows = tables::rows(arguments.rows);
    let last = rows.last().expect("a table has rows");
    let order = Order::new(last.asked());
    let folder = tempfile::tempdir().expect("a folder for policies");
    let requite = Server::requite(&arguments.requite, folder.path(), &rows);
    let cerbos = Server::cerbos(&arguments.cerbos, folder.path(), &rows);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let lasting = Duration::from_secs(arguments.seconds);
    println!("{} rows; processor time of the server for one request, in microseconds", rows.len());
    println!(
        "{:>11} {:>9} {:>14} {:>9} {:>14} {:>8}",
        "load", "requite", "requests/s", "cerbos", "requests/s", "ratio"
    );
    runtime.block_on(async {
        for shape in SHAPES {
            let ours = load::measure(&requite, Requite::new(&order, last), shape, lasting).await;
            let theirs = load::measure(&cerbos, Cerbos::new(&order, last), shape, lasting).await;
            println!(
                "{:>11} {:>9.1} {:>14.0} {:>9.1} {:>14.0} {:>6.1} ×",
                format!("{} x {}", shape.connections, shape.in_flight),
                ours.processor_us,
                ours.per_second,
                theirs.processor_us,
                theirs.per_second,
                theirs.processor_us / ours.processor_us,
            );
        }
    });
}
