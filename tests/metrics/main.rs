//! What a server counts, while it is called.
//!
//! A program of its own, because what is counted is counted for the process: other calls than those of these tests would
//! be counted as well.
#![cfg(test)]

use tokio::sync::Mutex;

mod grpc_bytes;
mod http_pages;

#[path = "../support/mod.rs"]
mod support;

/// The metrics are those of the process: tests that read them take turns.
static METRICS: Mutex<()> = Mutex::const_new(());
