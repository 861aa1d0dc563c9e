//! Requite: a refund policy decision service.
//!
//! The house has floors; a module uses only lower ones. See `ARCHITECTURE.md`.

pub mod api;
pub mod app;
pub mod cases;
pub mod cli;
pub mod client;
pub mod decision;
pub mod domain;
pub mod engine;
pub mod load;
pub mod plan;
pub mod policy;
pub mod reload;
pub mod server;
pub mod source;
pub mod state_dir;
pub mod telemetry;
