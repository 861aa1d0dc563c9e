//! What a run begins with: what the source holds, or, where that is broken, the last revision that is
//! known to be good. Needs nothing remote.

use std::path::Path;
use std::sync::{Arc, mpsc};

use crate::app::clock;
use crate::app::config::Policies;
use crate::app::reload::{Beginning, READ_MAX, let_in, report};
use crate::app::run::{RunError, colour, read};
use crate::engine::activations::Activations;
use crate::engine::admit::admit_of;
use crate::engine::history::{Held, Kept, precedent};
use crate::engine::status::{KnownGood, StartedFrom, WhyFailed};
use crate::policy::bundle::Bundle;
use crate::policy::diagnostic::{Precedent, render};
use crate::source::directory::ReadError;
use crate::source::state::{Opened, RecallError, StateDir};

/// What a run begins with.
#[derive(Debug)]
pub struct Begun {
    /// What is to be in force, and what is known of it.
    pub beginning: Beginning,
    /// The state directory, if there is one.
    pub state: Option<Arc<StateDir>>,
}

/// A source that gives nothing to put in force.
struct Broken {
    why: WhyFailed,
    error: RunError,
}

/// Reads the source, and falls back where that is of no use.
pub fn begin(policies: &Policies, state_dir: Option<&Path>) -> Result<Begun, RunError> {
    let started_at = clock::now();
    let opened = state_dir.map(StateDir::open).transpose()?;
    let (state, mut earlier, activations, mut notices) = match opened {
        Some(Opened { state, revisions, activations, problems }) => {
            (Some(Arc::new(state)), revisions, activations, problems)
        }
        None => (None, Vec::new(), Activations::default(), Vec::new()),
    };
    notices.iter().for_each(|problem| tracing::error!("{problem}"));
    let (first, started_from, failure) = match from_source(policies, &earlier) {
        Ok(held) => (held, StartedFrom::Source, None),
        Err(broken) => {
            let Broken { why, error } = *broken;
            let Some(state) = &state else { return Err(error) };
            let Some(held) = last_known_good(state, &mut earlier, &mut notices) else {
                tracing::error!("the policies are broken, and the state directory holds no revision known to be good");
                return Err(error);
            };
            say_fallen_back(&held, &why);
            (held, StartedFrom::LastKnownGood, Some(why))
        }
    };
    let_in(&first);
    report(&first.warnings);
    let location = match policies {
        Policies::Embedded => "embedded".to_owned(),
        Policies::Directory(path) => path.display().to_string(),
    };
    let beginning = Beginning { first, started_from, started_at, location, failure, earlier, activations, notices };
    Ok(Begun { beginning, state })
}

fn from_source(policies: &Policies, earlier: &[Kept]) -> Result<Held, Box<Broken>> {
    let bundle = read_in_time(policies)
        .map_err(|error| Box::new(Broken { why: WhyFailed::from(&error), error: RunError::Unreadable(error) }))?;
    let was_in_force = earlier.iter().map(|kept| kept.revision.digest);
    match admit_of(&bundle, precedent(was_in_force, bundle.digest())) {
        Ok(admission) => Ok(Held::new(Arc::new(bundle), admission)),
        Err(rejection) => {
            let report = render(&rejection.diagnostics, &bundle, colour());
            Err(Box::new(Broken { why: rejection.into(), error: RunError::Rejected { report } }))
        }
    }
}

/// Reads the source, unless the file system hangs: then there may be something to fall back to.
fn read_in_time(policies: &Policies) -> Result<Bundle, ReadError> {
    let (sender, receiver) = mpsc::channel();
    let policies = policies.clone();
    std::thread::spawn(move || {
        // Nobody waiting any more is what the bound is for.
        let _ = sender.send(read(&policies));
    });
    receiver.recv_timeout(READ_MAX).unwrap_or(Err(ReadError::Hanging(READ_MAX)))
}

/// The latest revision known to be good that is whole and that this program, too, lets in. One that was rolled back
/// from is not known as good.
fn last_known_good(state: &StateDir, earlier: &mut Vec<Kept>, notices: &mut Vec<String>) -> Option<Held> {
    let good: Vec<_> = earlier
        .iter()
        .filter(|kept| kept.revision.known_good == KnownGood::Yes)
        .map(|kept| kept.revision.digest)
        .collect();
    for digest in good {
        let problem = match state.recall(digest) {
            Ok(bundle) => match admit_of(&bundle, Precedent::InForce) {
                Ok(admission) => return Some(Held::new(Arc::new(bundle), admission)),
                Err(rejection) => {
                    report(&rejection.diagnostics);
                    format!("revision {digest}, known to be good, is not let in by this version of the program")
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

fn say_fallen_back(held: &Held, why: &WhyFailed) {
    let digest = held.bundle.digest();
    match why {
        WhyFailed::Unreadable(problems) => {
            tracing::error!(%digest, "policies unreadable: serving the last known good instead, until they can be read");
            problems.iter().for_each(|problem| tracing::error!("{problem}"));
        }
        WhyFailed::Rejected { digest: rejected, diagnostics, .. } => {
            tracing::error!(%digest, %rejected, "policies rejected: serving the last known good instead, until they are mended");
            report(diagnostics);
        }
    }
}
