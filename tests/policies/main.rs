//! Bundles of policies: what is wrong with them, what each mistake is called, and what differs between two of them.
#![cfg(test)]

mod broken_policies;
mod explanations;
mod layers_and_versions;
mod policy_diff;
