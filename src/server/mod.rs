//! The gRPC services: the only place that knows tonic and prost.

pub mod admin;
pub mod client;
mod connection;
pub mod errors;
pub mod evaluation;
pub mod guard;
mod health;
pub mod json;
pub mod limits;
pub mod listener;
pub mod pb;
mod service;
mod stop;
pub mod text;
mod unary;
pub(crate) mod wire;

pub use evaluation::evaluate;
pub use listener::{Drained, ServeError, ServerConfig, data_service, serve, serve_routes};
