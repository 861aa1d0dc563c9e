//! Several versions of one policy: each governs its stretch of time, without overlap or hole.

use crate::plan::{Effective, Plan};
use crate::policy::diagnostics::Diagnostics;
use crate::policy::document::Document;
use crate::policy::read::Slug;
use crate::policy::source::Located;

/// Data that a policy file gives about itself, with its places.
#[derive(Clone, Debug)]
pub struct Written {
    /// The policy's name.
    pub id: Slug,
    /// The author's label.
    version: Located<String>,
    /// When it governs; `None` where it says nothing, or what it says is wrong.
    effective: Option<Effective>,
    /// True if it says anything.
    says_when: SaysWhen,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum SaysWhen {
    Yes,
    No,
}

impl Written {
    /// Period that a document says it governs.
    #[must_use]
    pub fn new(document: &Document, plan: Option<&Plan>) -> Self {
        let policy = &document.policy;
        Self {
            id: policy.policy.clone(),
            version: policy.version.clone(),
            effective: plan.and_then(|plan| plan.effective),
            says_when: if policy.effective.is_some() { SaysWhen::Yes } else { SaysWhen::No },
        }
    }
}

/// Checks the versions of each policy against each other.
pub fn check(written: &[Written], diagnostics: &mut Diagnostics<'_, '_>) {
    for (place, policy) in written.iter().enumerate() {
        let same = |other: &&Written| other.id.text() == policy.id.text();
        let earlier = written.iter().take(place).find(same);
        let Some(earlier) = earlier else { continue };
        let name = policy.id.text();
        if earlier.says_when == SaysWhen::No && policy.says_when == SaysWhen::No {
            let other = diagnostics.sources.place(earlier.id.span()).file;
            let help = format!(
                "the other one is in `{other}`; choose another name, or say in each version when it governs: `effective: {{ from: …, by: placed_at }}`"
            );
            diagnostics.error("duplicate-policy", policy.id.span(), format!("there are two policies `{name}`"), help);
            continue;
        }
        for one in [earlier, policy] {
            if one.says_when == SaysWhen::No {
                let message =
                    format!("there are several versions of `{name}`, and this one does not say when it governs");
                let help = "add `effective: { from: …, by: placed_at }` to each of them";
                diagnostics.error("version-without-time", one.version.span, message, help);
            }
        }
        if written.iter().take(place).filter(same).any(|other| other.version.value == policy.version.value) {
            let message = format!("there are two versions `{}` of the policy `{name}`", policy.version.value);
            diagnostics.error("duplicate-policy", policy.version.span, message, "give each version its own label");
        }
        if let (Some(a), Some(b)) = (earlier.effective, policy.effective)
            && a.by != b.by
        {
            let message = format!("the versions of `{name}` go by different moments of the order");
            diagnostics.error("version-anchor", policy.version.span, message, "write the same `by` in each of them");
        }
    }
    seams(written, diagnostics);
}

/// Each version ends where the next begins.
fn seams(written: &[Written], diagnostics: &mut Diagnostics<'_, '_>) {
    let mut timed: Vec<(&Written, Effective)> =
        written.iter().filter_map(|policy| Some((policy, policy.effective?))).collect();
    timed.sort_by(|a, b| a.0.id.text().cmp(b.0.id.text()).then(a.1.from.cmp(&b.1.from)));
    for pair in timed.windows(2) {
        let [(before, earlier), (after, later)] = pair else { continue };
        if before.id.text() != after.id.text() {
            continue;
        }
        let name = after.id.text();
        let both = format!("`{}` and `{}` of `{name}`", before.version.value, after.version.value);
        if earlier.from == later.from || earlier.until.is_some_and(|until| later.from < until) {
            let help = "let each version begin where the one before ends";
            diagnostics.error(
                "version-overlap",
                after.version.span,
                format!("the versions {both} govern the same orders"),
                help,
            );
        } else if earlier.until.is_some_and(|until| until < later.from) {
            let help = "let each version begin where the one before ends, or remove `until`";
            diagnostics.error(
                "version-hole",
                after.version.span,
                format!("no version governs the orders between {both}"),
                help,
            );
        }
    }
}
