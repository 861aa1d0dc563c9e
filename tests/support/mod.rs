//! What several tests share: servers, callers, policies and requests to begin with.
#![allow(dead_code, unused_imports, reason = "each program uses a part of it")]

pub mod decide;
#[path = "../fake_reloader/mod.rs"]
pub mod fake_reloader;
pub mod grpc;
pub mod hostile;
#[path = "../refund_samples/mod.rs"]
pub mod samples;
#[path = "../serve_support/mod.rs"]
pub mod serve;
