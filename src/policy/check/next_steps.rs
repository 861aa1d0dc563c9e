//! Next steps: those that a policy declares, those that the engine names by itself, and those of a rule.

use crate::plan::rule::NextStep;
use crate::policy::check::draft::Draft;
use crate::policy::check::names::Names;
use crate::policy::diagnostics::Diagnostics;
use crate::policy::document::{NextStepNode, RoutesNode};
use crate::policy::read::{OneOrMany, Slug, Table};

/// Next steps that the engine names by itself.
#[derive(Debug, Default)]
pub struct Routes {
    /// After every denial.
    pub denied: Vec<u16>,
    /// If evidence or a fact is missing.
    pub supplement: Option<u16>,
    /// If a reason is missing or too vague.
    pub restate: Option<u16>,
    /// Wherever more is asked for.
    pub more_info: Vec<u16>,
    /// While a review is under way.
    pub review: Vec<u16>,
}

/// Checks the next steps.
pub fn next_steps(
    written: Option<&Table<NextStepNode>>,
    draft: &Draft,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Vec<NextStep> {
    let entries = written.map_or(&[][..], |table| table.entries.as_slice());
    entries
        .iter()
        .map(|(slug, step)| {
            crate::policy::read::check_slug(slug, diagnostics);
            NextStep {
                slug: slug.value.clone(),
                label: draft.labels(step.label.as_ref(), &slug.value, slug.span, diagnostics),
            }
        })
        .collect()
}

/// Checks the routes.
pub fn routes(written: Option<&RoutesNode>, names: &Names, diagnostics: &mut Diagnostics<'_, '_>) -> Routes {
    let Some(written) = written else { return Routes::default() };
    let mut steps = |written: &Option<Vec<Slug>>| {
        written.as_deref().unwrap_or(&[]).iter().filter_map(|slug| names.step(slug, diagnostics)).collect()
    };
    let (denied, more_info, review) = (steps(&written.denied), steps(&written.more_info), steps(&written.review));
    Routes {
        denied,
        supplement: written.supplement.as_ref().and_then(|slug| names.step(slug, diagnostics)),
        restate: written.restate.as_ref().and_then(|slug| names.step(slug, diagnostics)),
        more_info,
        review,
    }
}

pub(super) fn steps(
    written: Option<&OneOrMany<Slug>>,
    names: &Names,
    diagnostics: &mut Diagnostics<'_, '_>,
) -> Vec<u16> {
    written
        .map_or(&[][..], |slugs| slugs.0.as_slice())
        .iter()
        .filter_map(|slug| names.step(slug, diagnostics))
        .collect()
}
