//! What several tests share: servers, callers, policies and requests to begin with.
#![allow(dead_code, unused_imports, reason = "each program uses a part of it")]

pub mod admin;
pub mod admin_model;
pub mod admin_service;
pub mod decide;
pub mod grpc;
pub mod hostile;
pub mod reload;
pub mod samples;
pub mod saving;
pub mod serve;
