//! How this process runs, as typed values. Where they were written (flags, variables) is not
//! known here.

use std::path::PathBuf;
use std::sync::Arc;

use crate::reload::ReloadConfig;
use crate::server::ServerConfig;
use crate::server::admin::AdminConfig;
use crate::server::pages::PagesConfig;
use crate::source::Source;
use crate::telemetry::logs::LogSettings;
use crate::telemetry::settings::Export;

/// How this process runs.
#[derive(Debug)]
pub struct Config {
    /// Where to listen: `HOST:PORT`; port 0 takes a free one.
    pub listen: String,
    /// Where the policies come from.
    pub source: Arc<dyn Source>,
    /// What is logged, and how.
    pub logs: LogSettings,
    /// Where traces and metrics go.
    pub export: Export,
    /// Where revisions are kept over restarts, if anywhere.
    pub state_dir: Option<PathBuf>,
    /// How policies are put in force.
    pub handles: ReloadConfig,
    /// The limits of the server.
    pub server: ServerConfig,
    /// How admins are served; `None`: they are not.
    pub admin: Option<AdminConfig>,
    /// Where the pages are served, as `HOST:PORT`; `None`: they are not.
    pub pages: Option<String>,
    /// The limits of the pages.
    pub pages_config: PagesConfig,
}
