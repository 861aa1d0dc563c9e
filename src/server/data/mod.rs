//! The service of callers, `RefundPolicyService`, with health and reflection beside it: its listener, its methods, and
//! what stands around each call.

mod beside;
pub mod comparison;
pub mod evaluation;
pub mod guard;
mod health;
mod heavy;
pub mod listener;
pub(crate) mod method;
mod observation;
mod server_info;
pub(crate) mod service;
mod shadow;
