//! What is decided on an order: amounts worked out by hand, invariants, references, random policies and orders.
//!
//! `scripts/mutants` builds this program and `policies` for each change of the code that decides money.
#![cfg(test)]

mod claims_in_sequence;
mod exactness;
mod examples;
mod golden;
mod index;
mod invariants;
mod money;
mod random_policies;
mod reference;
mod request_bounds;
mod shipped_invariants;
mod standard_policy;

#[path = "../support/mod.rs"]
mod support;
