//! Memory: the resident set of a process that puts one bundle after another in force.
//!
//! Every round admits a bundle from its text and activates it, so that the snapshot before is
//! let go. Prints the resident set as it grows, or does not. `cargo bench --bench memory`.
//!
//! `-- SIZE ROUNDS` does so many rounds with a table of that size instead.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a benchmark may panic to fail")]

use std::time::Instant;

use requite::engine::admit::{Admission, admit};
use requite::engine::open;
use requite::policy::bundle::{Bundle, BundleFile};

mod tables;

/// The table of a size; the version differs from round to round, so that no two bundles are alike.
fn admission(text: &str, round: usize) -> Admission {
    let text = text.replacen("version: \"1\"", &format!("version: \"{round}\""), 1);
    let file = BundleFile { path: "table.policy.yaml".to_owned(), bytes: text.into_bytes() };
    admit(&Bundle::new(vec![file]).unwrap()).unwrap()
}

/// A line of `/proc/self/status`, in KiB: `VmRSS` now, `VmHWM` at most so far.
fn status_kib(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this needs Linux");
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn reload(size: usize, rounds: usize) {
    let text = tables::policy(&tables::rows(size));
    println!("{size} rules, {} KiB of text, {rounds} reloads", text.len() / 1024);
    println!("{:>8} {:>12} {:>12} {:>10}", "reloads", "resident KiB", "peak KiB", "seconds");
    let begun = Instant::now();
    let (engine, mut activator) = open(admission(&text, 0));
    let show = |round: usize| {
        println!(
            "{round:>8} {:>12} {:>12} {:>10.1}",
            status_kib("VmRSS"),
            status_kib("VmHWM"),
            begun.elapsed().as_secs_f64()
        );
    };
    show(0);
    for round in 1..=rounds {
        activator.activate(&activator.current(), admission(&text, round)).unwrap();
        if matches!(round, 1 | 10 | 50 | 100 | 200 | 500 | 1000) || round == rounds {
            show(round);
        }
    }
    assert_eq!(engine.current().generation, rounds as u64 + 1);
}

fn main() {
    // Cargo adds `--bench`.
    let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    match numbers.as_slice() {
        [] => {
            println!("{:>21} KiB before anything is admitted", status_kib("VmRSS"));
            reload(960, 1_000);
            reload(9_600, 200);
        }
        &[size, rounds] => reload(size, rounds),
        _ => {
            eprintln!("write `-- SIZE ROUNDS`, such as `-- 9600 1000`");
            std::process::exit(2);
        }
    }
}
