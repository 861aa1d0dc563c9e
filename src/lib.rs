//! Requite: a refund policy decision service.
//!
//! The house has floors; a module uses only lower ones. See `ARCHITECTURE.md`.

pub mod app;
pub mod cases;
pub mod cli;
pub mod decision;
pub mod domain;
pub mod engine;
pub mod plan;
pub mod policy;
pub mod server;
pub mod source;
pub mod telemetry;
