//! Credentials of callers and certificates of the server: read at the start, and again
//! whenever the files change. Broken files then change nothing.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::rustls::ServerConfig;

use crate::server::admin::config::{AdminConfig, OpenError, TlsError, TlsFiles};
use crate::server::admin::credentials::{Certificates, Credentials, CredentialsError};
use crate::server::admin::files::{self, Fingerprint, Readers};
use crate::server::admin::limits::CREDENTIALS_BYTES_MAX;
use crate::server::admin::tls::TlsTexts;
use crate::server::transport::stop::StopSignal;

/// Current content of the files. Clones see the same.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    /// Admins who may call.
    pub(crate) credentials: Arc<ArcSwap<Credentials>>,
    /// TLS configuration; `None`: there is no TLS.
    pub(crate) tls: Option<Arc<ArcSwap<ServerConfig>>>,
}

/// Fingerprints of the files last read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    credentials: Fingerprint,
    tls: Option<Fingerprint>,
}

impl Kept {
    /// Reads the files for the first time. Blocks.
    pub(crate) fn open(config: &AdminConfig) -> Result<(Self, Seen), OpenError> {
        let (seen, credentials) = read_credentials(&config.credentials, asked(config.tls.as_ref()));
        let credentials = credentials.map_err(OpenError::Credentials)?;
        let mut kept = Self { credentials: Arc::new(ArcSwap::from_pointee(credentials)), tls: None };
        let mut seen = Seen { credentials: seen, tls: None };
        if let Some(paths) = &config.tls {
            let texts = TlsTexts::read(paths);
            seen.tls = Some(texts.fingerprint());
            kept.tls = Some(Arc::new(ArcSwap::new(texts.config(paths).map_err(OpenError::Tls)?)));
        }
        Ok((kept, seen))
    }

    /// Looks at the files again and again, until the server stops.
    pub(crate) async fn keep(self, config: Arc<AdminConfig>, mut seen: Seen, mut stop: StopSignal) {
        let mut looks = interval(config.limits.reread_interval);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.draining() => return,
                _ = looks.tick() => {}
            }
            let (kept, config) = (self.clone(), Arc::clone(&config));
            match tokio::task::spawn_blocking(move || kept.look(&config, seen)).await {
                Ok(now) => seen = now,
                Err(error) => tracing::error!(%error, "reading the credentials of admins failed, this is a bug"),
            }
        }
    }

    fn look(&self, config: &AdminConfig, seen: Seen) -> Seen {
        let (credentials, found) = read_credentials(&config.credentials, asked(config.tls.as_ref()));
        if credentials != seen.credentials {
            match found {
                Ok(found) => {
                    tracing::info!(admins = found.len(), "credentials of admins read again");
                    self.credentials.store(Arc::new(found));
                }
                Err(error) => say_credentials(&error),
            }
        }
        let tls = config.tls.as_ref().zip(self.tls.as_ref()).map(|(paths, kept)| {
            let texts = TlsTexts::read(paths);
            let now = texts.fingerprint();
            if Some(now) != seen.tls {
                match texts.config(paths) {
                    Ok(config) => {
                        tracing::info!("certificates of the admin service read again");
                        kept.store(config);
                    }
                    Err(error) => say_tls(&error),
                }
            }
            now
        });
        Seen { credentials, tls }
    }
}

fn say_credentials(error: &CredentialsError) {
    let help = error.help();
    tracing::error!(help, "credentials of admins are broken, the ones before still hold: {error}");
}

fn say_tls(error: &TlsError) {
    let help = error.help();
    tracing::error!(help, "certificates of the admin service are broken, the ones before still hold: {error}");
}

/// Tells if TLS asks for certificates.
const fn asked(tls: Option<&TlsFiles>) -> Certificates {
    match tls {
        Some(TlsFiles { client_ca: Some(_), .. }) => Certificates::Asked,
        Some(TlsFiles { client_ca: None, .. }) | None => Certificates::NotAsked,
    }
}

fn read_credentials(path: &Path, certificates: Certificates) -> (Fingerprint, Result<Credentials, CredentialsError>) {
    let bytes = files::read(path, Readers::OwnerOnly, CREDENTIALS_BYTES_MAX);
    (
        Fingerprint::of([&bytes]),
        bytes.map_err(CredentialsError::from).and_then(|bytes| parse(path, bytes, certificates)),
    )
}

fn parse(path: &Path, bytes: Vec<u8>, certificates: Certificates) -> Result<Credentials, CredentialsError> {
    let text = String::from_utf8(bytes).map_err(|_| CredentialsError::NotText { path: path.to_owned() })?;
    let credentials = Credentials::parse(&text, certificates)
        .map_err(|lines| CredentialsError::Lines { path: path.to_owned(), lines })?;
    if credentials.len() == 0 { Err(CredentialsError::Nobody { path: path.to_owned() }) } else { Ok(credentials) }
}
