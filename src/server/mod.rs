//! The gRPC services: the only place that knows tonic and prost.

pub mod admin;
pub mod admin_client;
mod beside_data;
pub mod client;
mod connection;
mod cpu;
mod descriptors;
pub mod errors;
pub mod evaluation;
pub mod guard;
mod health;
mod heavy;
mod identity;
pub mod json;
pub mod limits;
pub mod listener;
pub mod load;
pub mod message_paths;
mod observation;
pub mod overload;
pub mod pages;
pub mod pb;
pub mod series;
mod server_info;
mod service;
mod shadow;
pub mod shown;
mod stop;
pub mod text;
mod transport;
mod unary;
pub(crate) mod wire;

pub use evaluation::evaluate;
pub use listener::{ServeError, ServerConfig, data_service, serve, serve_routes};
pub use overload::OverloadConfig;
pub use transport::connections::Drained;
