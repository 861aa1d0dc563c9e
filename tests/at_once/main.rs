//! The tests of the code that decides money, as one program: `scripts/mutants` builds it for each change, and eleven
//! programs take longer to link than their tests to run. `cargo test` runs each of them by itself, and not this.
#![allow(dead_code, unused_imports, unreachable_pub, missing_docs, reason = "each part allows what it needs")]
#![allow(clippy::duplicate_mod, reason = "the parts share their support, each a copy of its own")]

#[path = "../broken_policies.rs"]
mod broken_policies;
#[path = "../examples.rs"]
mod examples;
#[path = "../index.rs"]
mod index;
#[path = "../invariants.rs"]
mod invariants;
#[path = "../layers_and_versions.rs"]
mod layers_and_versions;
#[path = "../money.rs"]
mod money;
#[path = "../random_policies.rs"]
mod random_policies;
#[path = "../request_bounds.rs"]
mod request_bounds;
#[path = "../shipped_invariants.rs"]
mod shipped_invariants;
#[path = "../standard_policy.rs"]
mod standard_policy;
