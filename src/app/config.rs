//! Configuration of this process, as typed values. Their origin (flags, variables) is not known here.

use std::path::PathBuf;
use std::sync::Arc;

use crate::reload::ReloadConfig;
use crate::server::ServerConfig;
use crate::server::admin::AdminConfig;
use crate::server::pages::PagesConfig;
use crate::source::Source;
use crate::telemetry::logs::LogSettings;
use crate::telemetry::settings::Export;

/// Configuration of this process.
#[derive(Debug)]
pub struct Config {
    /// Address to listen on, `HOST:PORT`; port 0 takes a free one.
    pub listen: String,
    /// Source of the policies.
    pub source: Arc<dyn Source>,
    /// Format and filter of the log.
    pub logs: LogSettings,
    /// Endpoints for traces and metrics.
    pub export: Export,
    /// Directory that keeps revisions over restarts, if any.
    pub state_dir: Option<PathBuf>,
    /// Settings of the reloader.
    pub handles: ReloadConfig,
    /// The limits of the server.
    pub server: ServerConfig,
    /// Settings of the admin service; `None`: it is not served.
    pub admin: Option<AdminConfig>,
    /// Address of the pages, `HOST:PORT`; `None`: they are not served.
    pub pages: Option<String>,
    /// The limits of the pages.
    pub pages_config: PagesConfig,
}
