//! TLS for admins: from files to what accepts a connection, and the names of a certificate.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::server::admin::config::{TlsError, TlsFiles};
use crate::server::admin::files::{self, FileError, Fingerprint, Readers};
use crate::server::admin::limits::TLS_FILE_BYTES_MAX;

/// The only protocol that is spoken behind TLS.
pub(crate) const ALPN_HTTP2: &[u8] = b"h2";

/// Content of the TLS files.
#[derive(Debug)]
pub(crate) struct TlsTexts {
    certificate: Result<Vec<u8>, FileError>,
    key: Result<Vec<u8>, FileError>,
    client_ca: Option<Result<Vec<u8>, FileError>>,
}

impl TlsTexts {
    /// As they are now.
    pub(crate) fn read(paths: &TlsFiles) -> Self {
        let TlsFiles { certificate, key, client_ca } = paths;
        Self {
            certificate: files::read(certificate, Readers::Everyone, TLS_FILE_BYTES_MAX),
            key: files::read(key, Readers::Group, TLS_FILE_BYTES_MAX),
            client_ca: client_ca.as_ref().map(|path| files::read(path, Readers::Everyone, TLS_FILE_BYTES_MAX)),
        }
    }

    /// Tells whether they changed.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of([&self.certificate, &self.key].into_iter().chain(&self.client_ca))
    }

    /// TLS configuration from these files. Only TLS 1.3 is spoken.
    pub(crate) fn config(self, paths: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
        let Self { certificate, key, client_ca } = self;
        let chain = certificates(&certificate?, &paths.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&key?).map_err(|error| pem_error(error, &paths.key, "private key"))?;
        let provider = Arc::new(ring::default_provider());
        let unusable = |path: &Path, problem: String| TlsError::Unusable { path: path.to_owned(), problem };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| unusable(&paths.certificate, error.to_string()))?;
        let builder = match client_ca.zip(paths.client_ca.as_deref()) {
            None => builder.with_no_client_auth(),
            Some((text, path)) => {
                let mut roots = RootCertStore::empty();
                for root in certificates(&text?, path)? {
                    roots.add(root).map_err(|error| unusable(path, error.to_string()))?;
                }
                // Who has no certificate may still show a token.
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .allow_unauthenticated()
                    .build()
                    .map_err(|error| unusable(path, error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config =
            builder.with_single_cert(chain, key).map_err(|error| unusable(&paths.certificate, error.to_string()))?;
        config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
        Ok(Arc::new(config))
    }
}

/// All certificates of a file, at least one.
pub(crate) fn certificates(text: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    match found {
        Ok(found) if found.is_empty() => Err(TlsError::Empty { path: path.to_owned(), expected: "certificate" }),
        Ok(found) => Ok(found),
        Err(error) => Err(pem_error(error, path, "certificate")),
    }
}

/// Converts the error of a PEM reader.
pub(crate) fn pem_error(error: pem::Error, path: &Path, expected: &'static str) -> TlsError {
    if matches!(error, pem::Error::NoItemsFound) {
        return TlsError::Empty { path: path.to_owned(), expected };
    }
    // The texts of the library name the kind of mistake, and at most a section's title.
    TlsError::Pem { path: path.to_owned(), problem: error.to_string() }
}

/// The names that a certificate is for: DNS names and URIs. The common name is none: certificate
/// authorities have stopped to vouch for it.
pub(crate) fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    match webpki::EndEntityCert::try_from(certificate) {
        Ok(parsed) => parsed.valid_dns_names().chain(parsed.valid_uri_names()).map(str::to_owned).collect(),
        Err(_) => Vec::new(),
    }
}
