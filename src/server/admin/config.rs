//! Configuration of the admin service, and its start errors.

use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::server::admin::credentials::CredentialsError;
use crate::server::admin::files::FileError;
use crate::server::admin::limits::{
    ADMIN_CALL_TIME_MAX, ADMIN_CONNECTIONS_MAX, AUTHENTICATION_TIME_MAX, LARGE_CALLS_MAX, REREAD_INTERVAL, WATCHERS_MAX,
};
use crate::server::limits::{DRAIN_TIME_MAX, FIRST_BYTES_TIMEOUT};

/// Default address of the admin service.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:50052";

/// Log message where the admin service does not run.
pub const OFF: &str = "the admin service is off: nobody could show who they are. To turn it on, write a line `NAME RIGHTS TOKEN` into a file \
     of mode 600 and name it with `--admin-tokens FILE`";

/// Configuration of the admin service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdminConfig {
    /// Address it listens on.
    pub listen: AdminAddress,
    /// The file that says who may do what. Without one there is no admin service.
    pub credentials: PathBuf,
    /// The files of TLS; mandatory where others than this host can connect.
    pub tls: Option<TlsFiles>,
    /// Its bounds.
    pub limits: AdminLimits,
}

/// Address of the admin service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AdminAddress {
    /// `HOST:PORT`; port 0 takes a free one.
    Tcp(String),
    /// A socket in the file system, for its owner only.
    Unix(PathBuf),
}

/// The files of TLS, as PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFiles {
    /// The certificate of the server, and those between it and the root.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The roots of the certificates of admins; `None`: certificates of admins are not asked for.
    pub client_ca: Option<PathBuf>,
}

/// The bounds of the admin service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AdminLimits {
    /// Connections open at once.
    pub connections_max: usize,
    /// Timeout of a new connection for TLS, and then for saying that it speaks HTTP/2; each.
    pub first_bytes_timeout: Duration,
    /// Time that a connection may stay before anybody on it has authenticated.
    pub authentication_time_max: Duration,
    /// Time that a call may take, whatever its deadline.
    pub call_time_max: Duration,
    /// Calls with more than small messages at once.
    pub large_calls_max: usize,
    /// Streams of `WatchPolicyStatus` at once.
    pub watchers_max: usize,
    /// Interval for reading the files of credentials and TLS again.
    pub reread_interval: Duration,
    /// Time that calls in progress may go on once the server stops.
    pub drain_time_max: Duration,
}

impl Default for AdminLimits {
    fn default() -> Self {
        Self {
            connections_max: ADMIN_CONNECTIONS_MAX,
            first_bytes_timeout: FIRST_BYTES_TIMEOUT,
            authentication_time_max: AUTHENTICATION_TIME_MAX,
            call_time_max: ADMIN_CALL_TIME_MAX,
            large_calls_max: LARGE_CALLS_MAX,
            watchers_max: WATCHERS_MAX,
            reread_interval: REREAD_INTERVAL,
            drain_time_max: DRAIN_TIME_MAX,
        }
    }
}

/// A text that is no address of the admin service.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("expected `HOST:PORT` or `unix:/PATH/TO/SOCKET`, got `{0}`")]
pub struct NotAnAddress(String);

impl FromStr for AdminAddress {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let wrong = || NotAnAddress(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            // Relative to what, nobody would know in a year.
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(wrong()) };
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        if host.is_empty() || port.parse::<u16>().is_err() { Err(wrong()) } else { Ok(Self::Tcp(text.to_owned())) }
    }
}

impl std::fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Reason that the admin service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file of credentials is not as it must be.
    #[error("the credentials of admins cannot be taken")]
    Credentials(#[source] CredentialsError),
    /// The files of TLS are not as they must be.
    #[error("TLS for admins cannot be set up")]
    Tls(#[source] TlsError),
    /// Others could read the tokens on their way.
    #[error(
        "admins cannot be served on `{address}`: other hosts can connect to it, and without TLS their tokens can be read on the way"
    )]
    Exposed {
        /// The address as written.
        address: String,
    },
    /// TLS on a Unix socket.
    #[error("TLS is not spoken on the Unix socket `{}`", path.display())]
    TlsOnUnix {
        /// The socket.
        path: PathBuf,
    },
    /// The address cannot be listened on.
    #[error("cannot listen for admins on `{address}`")]
    Listen {
        /// The address as written.
        address: String,
        /// Cause.
        source: io::Error,
    },
    /// Another server answers on the socket.
    #[error("another process listens on `{}`", path.display())]
    SocketInUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something else is where the socket should be.
    #[error("`{}` is there and is no socket", path.display())]
    NotASocket {
        /// Path of that file.
        path: PathBuf,
    },
    /// The descriptors of the services cannot be read.
    #[error("the reflection service for admins cannot be set up")]
    Reflection(#[source] tonic_reflection::server::Error),
}

impl OpenError {
    /// Advice on the error.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Credentials(error) => error.help(),
            Self::Tls(error) => error.help(),
            Self::Exposed { .. } => Some(
                "give `--admin-tls-cert` and `--admin-tls-key`, or listen on `127.0.0.1:PORT` or `unix:/PATH`"
                    .to_owned(),
            ),
            Self::TlsOnUnix { .. } => Some("leave the files of TLS out: nobody is between the two ends".to_owned()),
            Self::Listen { .. } => Some("choose another address with `--admin-listen`".to_owned()),
            Self::SocketInUse { .. } => Some("stop that process, or choose another path".to_owned()),
            Self::NotASocket { .. } => Some("choose another path; nothing but a socket is ever replaced".to_owned()),
            Self::Reflection(_) => None,
        }
    }
}

/// Reason that TLS cannot be set up with these files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file holds nothing of what it should.
    #[error("`{}` holds no {expected} in PEM", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// Expected content.
        expected: &'static str,
    },
    /// A file is not PEM.
    #[error("`{}` is not PEM: {problem}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Problem.
        problem: String,
    },
    /// Certificate, key or roots do not do.
    #[error("`{}` cannot be used: {problem}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Problem.
        problem: String,
    },
}

impl TlsError {
    /// Advice on the error.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::File(error) => error.help(),
            Self::Empty { .. } | Self::Pem { .. } => {
                Some("the file must hold `-----BEGIN …-----` blocks, as `openssl` writes them".to_owned())
            }
            Self::Unusable { .. } => Some("see that certificate and key belong together".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_with_a_port_or_a_socket() {
        assert_eq!("127.0.0.1:0".parse(), Ok(AdminAddress::Tcp("127.0.0.1:0".into())));
        assert_eq!("[::1]:50052".parse(), Ok(AdminAddress::Tcp("[::1]:50052".into())));
        assert_eq!("unix:/run/a.sock".parse(), Ok(AdminAddress::Unix("/run/a.sock".into())));
        for wrong in ["", "localhost", ":1", "h:65536", "unix:", "unix:a.sock", "/run/a.sock"] {
            assert!(wrong.parse::<AdminAddress>().is_err(), "{wrong}");
        }
    }
}
