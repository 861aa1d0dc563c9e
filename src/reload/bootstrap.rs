//! Start of a run: from the content of the source, or, where that is broken, from the last revision known
//! to be good. Needs nothing remote.

use std::path::Path;
use std::sync::{Arc, mpsc};

use crate::engine::activations::Activations;
use crate::engine::admit::Rejection;
use crate::engine::history::{HistoryEntry, LoadedBundle, precedent};
use crate::engine::status::{KnownGood, StartedFrom, WhyFailed};
use crate::policy::bundle::Bundle;
use crate::policy::diagnostic::Precedent;
use crate::reload::clock;
use crate::reload::loader::Admit;
use crate::reload::{InitialState, Loader, READ_MAX, let_in, report};
use crate::source::{Source, SourceError};
use crate::state_dir::{Opened, RecallError, StateDir, StateError};

/// Result of a start.
#[derive(Debug)]
pub struct Bootstrapped {
    /// Policies to activate first, with their history.
    pub initial: InitialState,
    /// Loader of later bundles.
    pub loader: Loader,
}

/// Reason that a start has no policies.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The policies cannot be read.
    #[error("the policies cannot be read")]
    Unreadable(#[source] SourceError),
    /// The policies may not be put in force.
    #[error("the policies may not be put in force")]
    Rejected {
        /// Every mistake, with its place.
        rejection: Box<Rejection>,
        /// The policies as they are written.
        bundle: Bundle,
    },
}

/// Reads the source, and falls back where that is of no use.
pub fn bootstrap(
    source: Arc<dyn Source>,
    admit: Admit,
    state_dir: Option<&Path>,
) -> Result<Bootstrapped, BootstrapError> {
    let started_at = clock::now();
    let opened = state_dir.map(StateDir::open).transpose()?;
    let (state, mut earlier, activations, mut notices) = match opened {
        Some(Opened { state, revisions, activations, problems }) => {
            (Some(Arc::new(state)), revisions, activations, problems)
        }
        None => (None, Vec::new(), Activations::default(), Vec::new()),
    };
    notices.iter().for_each(|problem| tracing::error!("{problem}"));
    let loader = Loader { source, admit, state };
    let (first, started_from, failure) = match loader.first(&earlier) {
        Ok(held) => (held, StartedFrom::Source, None),
        Err(error) => {
            let Some(state) = &loader.state else { return Err(*error) };
            let Some(held) = last_known_good(&loader, state, &mut earlier, &mut notices) else {
                tracing::error!("the policies are broken, and the state directory holds no revision known to be good");
                return Err(*error);
            };
            let why = why_failed(*error);
            if let Some(why) = &why {
                say_fallen_back(&held, why);
            }
            (held, StartedFrom::LastKnownGood, why)
        }
    };
    let_in(&first);
    report(&first.warnings);
    let location = loader.source.location();
    let initial = InitialState { first, started_from, started_at, location, failure, earlier, activations, notices };
    Ok(Bootstrapped { initial, loader })
}

impl Loader {
    /// Policies of the source that may be put in force at the start of a run.
    fn first(&self, earlier: &[HistoryEntry]) -> Result<LoadedBundle, Box<BootstrapError>> {
        let bundle = self.read_in_time().map_err(BootstrapError::Unreadable)?;
        let was_in_force = earlier.iter().map(|kept| kept.revision.digest);
        match (self.admit)(&bundle, precedent(was_in_force, bundle.digest())) {
            Ok(admission) => Ok(LoadedBundle::new(Arc::new(bundle), admission)),
            Err(rejection) => Err(Box::new(BootstrapError::Rejected { rejection: Box::new(rejection), bundle })),
        }
    }

    /// Reads the source, unless it hangs: then there may be something to fall back to.
    fn read_in_time(&self) -> Result<Bundle, SourceError> {
        let (sender, receiver) = mpsc::channel();
        let source = Arc::clone(&self.source);
        std::thread::spawn(move || {
            // Nobody waiting any more is what the bound is for.
            let _ = sender.send(source.read());
        });
        receiver.recv_timeout(READ_MAX).unwrap_or(Err(SourceError::Hanging(READ_MAX)))
    }
}

/// Reason that a start does not use the source.
fn why_failed(error: BootstrapError) -> Option<WhyFailed> {
    match error {
        BootstrapError::Unreadable(error) => Some(WhyFailed::from(&error)),
        BootstrapError::Rejected { rejection, bundle: _ } => Some((*rejection).into()),
        BootstrapError::State(_) => None,
    }
}

/// The latest revision known to be good that is whole and that this program, too, lets in. One that was rolled back
/// from is not known as good.
fn last_known_good(
    loader: &Loader,
    state: &StateDir,
    earlier: &mut Vec<HistoryEntry>,
    notices: &mut Vec<String>,
) -> Option<LoadedBundle> {
    let good: Vec<_> = earlier
        .iter()
        .filter(|kept| kept.revision.known_good == KnownGood::Yes)
        .map(|kept| kept.revision.digest)
        .collect();
    for digest in good {
        let problem = match state.recall(digest) {
            Ok(bundle) => match (loader.admit)(&bundle, Precedent::InForce) {
                Ok(admission) => return Some(LoadedBundle::new(Arc::new(bundle), admission)),
                Err(rejection) => {
                    report(&rejection.diagnostics);
                    format!("revision {digest}, known to be good, is rejected by this version of the program")
                }
            },
            Err(error @ RecallError::Io { .. }) => format!("revision {digest}, known to be good: {error}"),
            Err(error @ RecallError::Damaged { .. }) => {
                earlier.retain(|kept| kept.revision.digest != digest);
                let aside = match state.put_aside(digest) {
                    Ok(()) => "it was put aside".to_owned(),
                    Err(error) => format!("it cannot be put aside: {error}"),
                };
                format!("revision {digest}, known to be good: {error}; {aside}")
            }
        };
        tracing::error!("{problem}: trying the one before");
        notices.push(problem);
    }
    None
}

fn say_fallen_back(held: &LoadedBundle, why: &WhyFailed) {
    let digest = held.bundle.digest();
    match why {
        WhyFailed::Unreadable(problems) => {
            tracing::error!(%digest, "policies unreadable: serving the last known good instead, until they can be read");
            problems.iter().for_each(|problem| tracing::error!("{problem}"));
        }
        WhyFailed::Rejected { digest: rejected, diagnostics, .. } => {
            tracing::error!(%digest, %rejected, "policies rejected: serving the last known good instead, until they are fixed");
            report(diagnostics);
        }
    }
}
