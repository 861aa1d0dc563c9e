//! The program as it is run: its verbs, what it prints, its signals, its log, and faults while it serves.
#![cfg(test)]

mod cli_bench;
mod cli_fmt;
mod cli_usage;
mod cli_verbs;
mod faults;
mod printed_text;
mod telemetry_logs;

#[path = "../support/mod.rs"]
mod support;
