//! `PolicyAdminService`: what is in force, putting it in force, and taking it back.

mod config;
mod credentials;
pub mod desk;
mod files;
mod keep;
pub mod limits;
mod tls;

pub use config::{AdminAddress, AdminConfig, AdminLimits, DEFAULT_ADDRESS, NotAnAddress, OFF, OpenError, TlsError, TlsFiles};
pub use credentials::{CredentialsError, LineProblem, Right};
pub use files::FileError;
