//! What several tests share: servers, callers, policies and requests to begin with.
#![allow(dead_code, unused_imports, reason = "each program uses a part of it")]

pub mod decide;
