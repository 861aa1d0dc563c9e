//! Pages, checked against what the program is, makes and prints. `tests/admin/` does so for `docs/admin.md`.
#![cfg(test)]

mod architecture;
mod docs;
mod pages;
mod words;

#[path = "../support/mod.rs"]
mod support;
