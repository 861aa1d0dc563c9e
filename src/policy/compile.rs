//! From a checked policy to a plan. Cannot fail: everything that could was checked.

use crate::domain::zone::Zone;
use crate::plan::Plan;
use crate::plan::rules::Rules;
use crate::policy::check::CheckedPolicy;

/// Compiles a policy.
#[must_use]
pub fn compile(policy: CheckedPolicy) -> Plan {
    let CheckedPolicy {
        id,
        version,
        effective,
        zone,
        calendar,
        draft,
        liable,
        reasons,
        evidence_kinds,
        evidence_bytes_max,
        requirements,
        components,
        returned_whole,
        component_facts,
        order_amounts,
        tenders,
        text,
        next_steps,
        routes,
        rules,
        otherwise,
    } = policy;
    Plan {
        id,
        version,
        effective,
        zone: Zone::new(zone),
        calendar,
        currencies: draft.currencies,
        languages: draft.languages,
        vocabularies: draft.vocabularies,
        facts: draft.facts,
        given_facts: draft.given_facts,
        fact_names: draft.names,
        derived: draft.derived,
        liable,
        reasons,
        evidence_kinds,
        evidence_bytes_max,
        requirements,
        components,
        returned_whole,
        component_facts,
        order_amounts,
        tenders,
        text,
        next_steps,
        escalation: routes.denied,
        supplement_step: routes.supplement,
        restate_step: routes.restate,
        more_info_steps: routes.more_info,
        review_steps: routes.review,
        rules: Rules::new(rules),
        otherwise,
    }
}
