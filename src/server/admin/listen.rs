//! Listener for admins: a TCP address or a Unix socket.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::timeout;

use crate::server::admin::config::{AdminAddress, OpenError, TlsFiles};
use crate::server::transport::connections::Accept;
use crate::server::transport::peer::Peer;

/// Time that another server may take to accept a connection before it counts as alive: only a
/// refusal shows that it is gone.
const ALIVE_TIMEOUT: Duration = Duration::from_millis(500);

/// Takes connections of admins.
#[derive(Debug)]
pub(crate) enum Bound {
    /// On an address.
    Tcp(TcpListener),
    /// On a socket in the file system, which is removed at the end.
    Unix(UnixListener, SocketFile),
}

/// A connection of an admin, before anything was said on it.
#[derive(Debug)]
pub(crate) enum Stream {
    /// From an address.
    Tcp(TcpStream, SocketAddr),
    /// From this host.
    Unix(UnixStream),
}

impl Stream {
    /// Address of the other side, for audit records.
    pub(crate) fn peer(&self) -> String {
        match self {
            Self::Tcp(_, address) => address.to_string(),
            Self::Unix(stream) => match stream.peer_cred() {
                Ok(peer) => match peer.pid() {
                    Some(pid) => format!("unix uid={} pid={pid}", peer.uid()),
                    None => format!("unix uid={}", peer.uid()),
                },
                Err(_) => "unix".to_owned(),
            },
        }
    }
}

impl Accept for Bound {
    type Stream = Stream;

    async fn next(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                Ok((Stream::Tcp(stream, address), address.into()))
            }
            Self::Unix(listener, _) => listener.accept().await.map(|(stream, _)| (Stream::Unix(stream), Peer::Local)),
        }
    }
}

impl Bound {
    /// Begins to listen.
    pub(crate) async fn open(address: &AdminAddress, tls: Option<&TlsFiles>) -> Result<Self, OpenError> {
        match (address, tls) {
            (AdminAddress::Tcp(text), tls) => tcp(text, tls).await.map(Self::Tcp),
            (AdminAddress::Unix(path), None) => unix(path).await,
            (AdminAddress::Unix(path), Some(_)) => Err(OpenError::TlsOnUnix { path: path.clone() }),
        }
    }

    /// Address it listens on, with the port chosen for port 0.
    pub(crate) fn address(&self) -> io::Result<String> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(|address| address.to_string()),
            Self::Unix(_, file) => Ok(format!("unix:{}", file.path.display())),
        }
    }
}

async fn tcp(text: &str, tls: Option<&TlsFiles>) -> Result<TcpListener, OpenError> {
    let unheard = |source| OpenError::Listen { address: text.to_owned(), source };
    let addresses: Vec<_> = tokio::net::lookup_host(text).await.map_err(unheard)?.collect();
    if tls.is_none() && !addresses.iter().all(|address| address.ip().is_loopback()) {
        return Err(OpenError::Exposed { address: text.to_owned() });
    }
    TcpListener::bind(addresses.as_slice()).await.map_err(unheard)
}

async fn unix(path: &Path) -> Result<Bound, OpenError> {
    let unheard = |source| OpenError::Listen { address: format!("unix:{}", path.display()), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(unheard(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(OpenError::NotASocket { path: path.to_owned() }),
        Ok(_) => match timeout(ALIVE_TIMEOUT, UnixStream::connect(path)).await {
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                tracing::info!(path = %path.display(), "the socket of a server that is gone is replaced");
                fs::remove_file(path).map_err(unheard)?;
            }
            Ok(Err(error)) => return Err(unheard(error)),
            Ok(Ok(_)) | Err(_) => return Err(OpenError::SocketInUse { path: path.to_owned() }),
        },
    }
    let listener = UnixListener::bind(path).map_err(unheard)?;
    let file = SocketFile::of(path).map_err(unheard)?;
    // Whoever connects before this must show who they are like everyone else.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(unheard)?;
    Ok(Bound::Unix(listener, file))
}

/// The file of our socket; removed when dropped, as long as it is ours.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), identity: (metadata.dev(), metadata.ino()) })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path).is_ok_and(|metadata| {
            (metadata.dev(), metadata.ino()) == self.identity && metadata.file_type().is_socket()
        });
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the socket for admins stays behind");
        }
    }
}
