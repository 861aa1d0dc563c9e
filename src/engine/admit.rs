//! Admission of a bundle. Pure: the same bundle gets the same answer everywhere,
//! from the server, the command line and the tests.

use crate::cases::{CASE_FAILED, Rehearsal, rehearse};
use crate::plan::Plan;
use crate::policy::bundle::{Bundle, Digest};
use crate::policy::diagnostic::{Diagnostic, Precedent, Severity, sorted};
use crate::policy::load::{Loaded, load_of};

/// A bundle that may be put in force.
#[derive(Debug)]
pub struct Admission {
    /// The content identity of the bundle.
    pub digest: Digest,
    /// The id of the policy that a request without one gets.
    pub default_policy: String,
    /// The policies, compiled.
    pub plans: Vec<Plan>,
    /// Warnings for the author.
    pub warnings: Vec<Diagnostic>,
    /// Errors that would refuse the bundle if it were new: mistakes that earlier versions accepted, and its own cases
    /// that cannot be read or now give another result. None where it is new.
    pub stricter_errors: Vec<Diagnostic>,
    /// Number of the bundle's own cases that passed: all of them, where it is new.
    pub cases_passed: usize,
}

/// A bundle that may not be put in force, and every reason why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejection {
    /// The content identity of the bundle.
    pub digest: Digest,
    /// Everything that is wrong, errors and warnings, by place; at least one error. A case that
    /// fails is an error of code [`crate::cases::CASE_FAILED`] at the case's place.
    pub diagnostics: Vec<Diagnostic>,
    /// Number of the bundle's own cases that passed; 0 where the policies themselves are wrong.
    pub cases_passed: usize,
    /// Number of cases that failed, where nothing else is wrong; `None` where there are other mistakes.
    pub only_cases_failed: Option<usize>,
}

/// Reads, checks, compiles and rehearses a new bundle.
pub fn admit(bundle: &Bundle) -> Result<Admission, Rejection> {
    admit_of(bundle, Precedent::New)
}

/// Reads, checks, compiles and rehearses a bundle of this precedent. One that has been in force is let in wherever it
/// can be compiled: with what it meant before the checks became stricter, and whatever becomes of its cases, which
/// decide nothing.
pub fn admit_of(bundle: &Bundle, precedent: Precedent) -> Result<Admission, Rejection> {
    let digest = bundle.digest();
    let (loaded, mut diagnostics) = load_of(bundle, precedent);
    let Some(loaded) = loaded else {
        return Err(Rejection { digest, diagnostics: sorted(diagnostics), cases_passed: 0, only_cases_failed: None });
    };
    let Rehearsal { passed, failed, diagnostics: mut found, exercised: _ } = rehearse(bundle, &loaded);
    if precedent == Precedent::InForce {
        // Its cases were good to the version that put it in force.
        for diagnostic in found.iter_mut().filter(|diagnostic| diagnostic.severity == Severity::Error) {
            diagnostic.severity = Severity::StricterError;
        }
    }
    diagnostics.extend(found);
    let mut refusing = diagnostics.iter().filter(|diagnostic| diagnostic.severity.refuses(precedent)).peekable();
    if refusing.peek().is_some() {
        let only_cases_failed = refusing.all(|error| error.code == CASE_FAILED).then_some(failed);
        return Err(Rejection { digest, diagnostics: sorted(diagnostics), cases_passed: passed, only_cases_failed });
    }
    let (stricter_errors, warnings): (Vec<_>, Vec<_>) = diagnostics.into_iter().partition(|it| it.severity.is_error());
    let (stricter_errors, warnings) = (sorted(stricter_errors), sorted(warnings));
    let Loaded { plans, default_policy, rules: _, precedent: _ } = loaded;
    Ok(Admission { digest, default_policy, plans, warnings, stricter_errors, cases_passed: passed })
}
