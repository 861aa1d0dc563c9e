//! From the source to policies that may be put in force: everything that takes long. Runs on
//! threads that may block, and changes nothing.

use std::fmt;
use std::sync::Arc;

use crate::engine::admit::{Admission, Rejection};
use crate::engine::history::{LoadedBundle, precedent};
use crate::engine::status::{Admissible, Assessment, WhyFailed};
use crate::policy::bundle::{Bundle, Digest};
use crate::policy::diagnostic::Precedent;
use crate::policy::diff::{Changes, Content, bounded_diff};
use crate::source::{Source, SourceError};
use crate::state_dir::StateDir;

/// Lets a bundle in, or says why not.
pub type Admit = fn(&Bundle, Precedent) -> Result<Admission, Rejection>;

/// Source of bundles, and their admission.
pub struct Loader {
    /// Source of the bundles.
    pub source: Arc<dyn Source>,
    /// Admission check.
    pub admit: Admit,
    /// State directory with earlier revisions, if any.
    pub state: Option<Arc<StateDir>>,
}

/// Context for checking the source, so that nothing is done twice.
#[derive(Clone, Debug)]
pub(super) struct LoadContext {
    /// The active policies.
    pub(super) in_force: LoadedBundle,
    /// Digest found bad, which is not tried again.
    pub(super) bad: Option<Digest>,
    /// Contents that an admin keeps out.
    pub(super) out: Vec<Content>,
    /// Content of the source before, if it was good.
    pub(super) seen: Option<Content>,
    /// Digests that were active, which stricter checks do not refuse.
    pub(super) was_in_force: Arc<[Digest]>,
    /// Contents that were rolled back from, and stay out.
    pub(super) withdrawn: Vec<Content>,
    /// Request for the list of changes.
    pub(super) changes: Wants,
}

/// Request for the list of changes, or for nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wants {
    Changes,
    Nothing,
}

/// Result of a check of the source.
#[derive(Debug)]
pub(super) enum LoadOutcome {
    Unreadable(SourceError),
    InForce(Content),
    /// Found bad before.
    KnownBad(Digest),
    /// An admin keeps it out, or went back from it: from the very same, or from what says the same.
    Out(Content),
    Rejected(Rejection),
    Ready(Ready),
}

/// Policies that may be put in force.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) held: LoadedBundle,
    /// Changes they make; empty where nobody wants to know.
    pub(super) changes: Changes,
}

impl LoadContext {
    fn precedent(&self, bundle: &Bundle) -> Precedent {
        precedent(self.was_in_force.iter().copied(), bundle.digest())
    }

    /// The content of this bundle, if it stays out. The bundle is read only where something is kept out and its digest
    /// is not known already.
    fn kept_out(&self, bundle: &Bundle) -> Option<Content> {
        let mut out = self.withdrawn.iter().chain(&self.out).peekable();
        out.peek()?;
        let known = out.clone().chain(&self.seen).find(|content| content.digest == bundle.digest()).copied();
        let content = known.unwrap_or_else(|| Content::of(bundle));
        out.any(|other| other.says_as(content)).then_some(content)
    }
}

impl Loader {
    /// Judges the result of a read.
    pub(super) fn judge(&self, read: Result<Bundle, SourceError>, known: &LoadContext) -> LoadOutcome {
        let bundle = match read {
            Ok(bundle) => bundle,
            Err(error) => return LoadOutcome::Unreadable(error),
        };
        let digest = bundle.digest();
        if digest == known.in_force.content.digest {
            return LoadOutcome::InForce(known.in_force.content);
        }
        if Some(digest) == known.bad {
            return LoadOutcome::KnownBad(digest);
        }
        if let Some(content) = known.kept_out(&bundle) {
            return LoadOutcome::Out(content);
        }
        match self.build(bundle, known) {
            Ok(ready) => LoadOutcome::Ready(ready),
            Err(rejection) => LoadOutcome::Rejected(rejection),
        }
    }

    /// Policies that may be put in force, or why they may not.
    pub(super) fn build(&self, bundle: Bundle, known: &LoadContext) -> Result<Ready, Rejection> {
        let admission = (self.admit)(&bundle, known.precedent(&bundle))?;
        let changes = match known.changes {
            Wants::Changes => bounded_diff(&known.in_force.bundle, &bundle),
            Wants::Nothing => Changes::default(),
        };
        Ok(Ready { held: LoadedBundle::new(Arc::new(bundle), admission), changes })
    }

    /// A revision of an earlier run, admitted again by this program.
    pub(super) fn recall(&self, digest: Digest, known: &LoadContext) -> Result<Ready, WhyFailed> {
        let Some(state) = &self.state else {
            return Err(WhyFailed::Unreadable(vec!["there is no state directory to read it from".to_owned()]));
        };
        let bundle = state.recall(digest).map_err(|error| WhyFailed::Unreadable(vec![error.to_string()]))?;
        self.build(bundle, known).map_err(WhyFailed::from)
    }

    /// Holds policies, or what the source holds, against everything.
    pub(super) fn assess(&self, bundle: Option<Bundle>, known: &LoadContext) -> Result<Assessment, SourceError> {
        let bundle = match bundle {
            Some(bundle) => bundle,
            None => self.source.read()?,
        };
        let (digest, in_force) = (bundle.digest(), known.in_force.content.digest);
        let (verdict, diagnostics, cases_passed, changes) = match (self.admit)(&bundle, known.precedent(&bundle)) {
            Ok(Admission { mut stricter_errors, warnings, cases_passed, .. }) => {
                let changes = bounded_diff(&known.in_force.bundle, &bundle);
                stricter_errors.extend(warnings);
                (Admissible::Yes, stricter_errors, cases_passed, changes)
            }
            Err(rejection) => (Admissible::No, rejection.diagnostics, rejection.cases_passed, Changes::default()),
        };
        Ok(Assessment { digest, verdict, diagnostics, cases_passed, changes, in_force })
    }
}

impl From<Rejection> for WhyFailed {
    fn from(rejection: Rejection) -> Self {
        let Rejection { digest, diagnostics, cases_passed, only_cases_failed: _ } = rejection;
        Self::Rejected { digest, diagnostics, cases_passed }
    }
}

impl From<&SourceError> for WhyFailed {
    fn from(error: &SourceError) -> Self {
        Self::Unreadable(error.lines().into_iter().map(|(problem, help)| format!("{problem} (help: {help})")).collect())
    }
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader").finish_non_exhaustive()
    }
}
