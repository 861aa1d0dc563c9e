//! Credentials of an admin, read from their files.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use tonic::metadata::{Ascii, MetadataValue};

/// Largest file of a token or certificate, in bytes.
pub(super) const CREDENTIAL_BYTES_MAX: u64 = 1024 * 1024;

/// Token of a caller, and TLS settings of its connection.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    pub(super) token: Option<Token>,
    pub(super) tls: Option<Tls>,
}

/// A bearer token. It is never shown.
#[derive(Clone)]
pub(super) struct Token(pub(super) MetadataValue<Ascii>);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// A connection with TLS.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) ca: Vec<u8>,
    pub(super) identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(…)")
    }
}

/// The files that hold credentials.
#[derive(Clone, Debug, Default)]
pub struct CredentialFiles {
    /// A token, and nothing else.
    pub token: Option<PathBuf>,
    /// The CA certificates to verify the server with; with them the connection uses TLS.
    pub tls_ca: Option<PathBuf>,
    /// The certificate and the key of the caller.
    pub tls_identity: Option<(PathBuf, PathBuf)>,
}

/// Error in loading credentials.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// A file cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        #[source]
        source: io::Error,
    },
    /// A file does not hold what TLS needs.
    #[error("`{}` holds no {expected} in PEM", path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// The expected content.
        expected: &'static str,
    },
    /// A file does not hold one token.
    #[error("`{}` does not hold one token: {problem}", path.display())]
    NoToken {
        /// The file.
        path: PathBuf,
        /// Its fault.
        problem: &'static str,
    },
}

impl Credentials {
    /// Reads credentials from their files.
    pub fn read(files: &CredentialFiles) -> Result<Self, CredentialError> {
        let token = files.token.as_deref().map(token).transpose()?;
        let identity = |(cert, key): &(PathBuf, PathBuf)| Ok((pem(cert, CERTIFICATE)?, pem(key, PRIVATE_KEY)?));
        let tls = match &files.tls_ca {
            Some(ca) => {
                let identity = files.tls_identity.as_ref().map(identity).transpose()?;
                Some(Tls { ca: pem(ca, CERTIFICATE)?, identity })
            }
            None => None,
        };
        Ok(Self { token, tls })
    }

    /// Returns true if the token would cross the network unencrypted.
    #[must_use]
    pub fn token_goes_in_the_clear(&self, addr: &str) -> bool {
        let host = addr.rsplit_once(':').map_or(addr, |(host, _)| host).trim_matches(['[', ']']);
        let here = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        self.token.is_some() && self.tls.is_none() && !here && !addr.starts_with("unix:")
    }
}

pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, CredentialError> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(CREDENTIAL_BYTES_MAX).read_to_end(&mut bytes));
    read.map_err(|source| CredentialError::Unreadable { path: path.to_owned(), source })?;
    Ok(bytes)
}

/// Common name of a kind of PEM block, and text of its first line.
pub(super) type Pem = (&'static str, &'static str);

pub(super) const CERTIFICATE: Pem = ("certificate", "BEGIN CERTIFICATE-----");

pub(super) const PRIVATE_KEY: Pem = ("private key", "PRIVATE KEY-----");

pub(super) fn pem(path: &Path, (expected, mark): Pem) -> Result<Vec<u8>, CredentialError> {
    let bytes = bytes(path)?;
    match String::from_utf8_lossy(&bytes).contains(mark) {
        true => Ok(bytes),
        false => Err(CredentialError::NotPem { path: path.to_owned(), expected }),
    }
}

pub(super) fn token(path: &Path) -> Result<Token, CredentialError> {
    let problem = |problem| CredentialError::NoToken { path: path.to_owned(), problem };
    let text = String::from_utf8(bytes(path)?).map_err(|_| problem("it is not text"))?;
    let token = text.trim();
    if token.is_empty() {
        return Err(problem("it is empty"));
    }
    if token.contains(char::is_whitespace) {
        return Err(problem("it holds several words; write the token alone, without name and rights"));
    }
    let not_ascii = || problem("a token is plain ASCII");
    if !token.is_ascii() {
        return Err(not_ascii());
    }
    let mut value: MetadataValue<Ascii> = format!("Bearer {token}").parse().map_err(|_| not_ascii())?;
    value.set_sensitive(true);
    Ok(Token(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Credentials, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, text).unwrap();
        let files = CredentialFiles { token: Some(path), ..CredentialFiles::default() };
        Credentials::read(&files).map_err(|error| error.to_string())
    }

    #[test]
    fn a_token_stands_alone_in_its_file_and_is_never_shown() {
        let credentials = read("  s3cret\n").unwrap();
        assert!(!format!("{credentials:?}").contains("s3cret"), "{credentials:?}");
        for (text, expected) in
            [("", "it is empty"), ("alice read s3cret\n", "several words"), ("schlüssel", "plain ASCII")]
        {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected) && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_token_is_in_the_clear_only_where_others_can_listen() {
        let credentials = read("s3cret").unwrap();
        for addr in ["127.0.0.1:1", "[::1]:1", "localhost:1", "unix:/run/requite.sock"] {
            assert!(!credentials.token_goes_in_the_clear(addr), "{addr}");
        }
        assert!(credentials.token_goes_in_the_clear("requite-0.example:50052"));
        assert!(!Credentials::default().token_goes_in_the_clear("requite-0.example:50052"));
    }
}
