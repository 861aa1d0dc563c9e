//! Whether a bundle may be put in force. Pure: the same bundle gets the same answer everywhere,
//! from the server, the command line and the tests.

use crate::cases::{CASE_FAILED, Rehearsal, rehearse};
use crate::plan::Plan;
use crate::policy::bundle::{Bundle, Digest};
use crate::policy::diagnostic::{Diagnostic, Severity, sorted};
use crate::policy::load::{Loaded, load};

/// A bundle that may be put in force.
#[derive(Debug)]
pub struct Admission {
    /// The content identity of the bundle.
    pub digest: Digest,
    /// The id of the policy that a request without one gets.
    pub default_policy: String,
    /// The policies, compiled.
    pub plans: Vec<Plan>,
    /// What the author should look at.
    pub warnings: Vec<Diagnostic>,
    /// How many of the bundle's own cases were run; all of them passed.
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
    /// How many of the bundle's own cases passed; none where the policies themselves are wrong.
    pub cases_passed: usize,
    /// How many of them came out differently, where nothing else is wrong; `None` where there are other mistakes.
    pub only_cases_failed: Option<usize>,
}

/// Reads, checks, compiles and rehearses a bundle.
pub fn admit(bundle: &Bundle) -> Result<Admission, Rejection> {
    let digest = bundle.digest();
    let (loaded, mut diagnostics) = load(bundle);
    let Some(loaded) = loaded else {
        return Err(Rejection { digest, diagnostics: sorted(diagnostics), cases_passed: 0, only_cases_failed: None });
    };
    let Rehearsal { passed, failed, diagnostics: found, exercised: _ } = rehearse(bundle, &loaded);
    diagnostics.extend(found);
    let mut errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).peekable();
    if errors.peek().is_some() {
        let only_cases_failed = errors.all(|error| error.code == CASE_FAILED).then_some(failed);
        return Err(Rejection { digest, diagnostics: sorted(diagnostics), cases_passed: passed, only_cases_failed });
    }
    let diagnostics = sorted(diagnostics);
    let Loaded { plans, default_policy, rules: _ } = loaded;
    Ok(Admission { digest, default_policy, plans, warnings: diagnostics, cases_passed: passed })
}
