//! The gRPC services and the pages: connections, calls, and the way from messages to decisions and back.

pub mod admin;
pub mod data;
mod fast_path;
pub mod limits;
pub mod overload;
pub mod pages;
pub mod series;
mod transport;
pub(crate) mod wire;

pub use data::evaluation::evaluate;
pub use data::listener::{ServeError, ServerConfig, data_service, serve, serve_routes};
pub use overload::OverloadConfig;
pub use transport::connections::Drained;
