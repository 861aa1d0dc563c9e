//! Policies that change while they are served: where they come from, what comes into force, what is kept, and what a
//! restart, a kill or a stricter version leaves of it.
#![cfg(test)]

mod kill_nine;
mod reload_commands;
mod reload_loop;
mod reload_many;
mod reload_serve;
mod reload_under_load;
mod saving_matrix;
mod source_directory;
mod source_watch;
mod state_dir;
mod stricter_checks;
mod swap_model;

#[path = "../support/mod.rs"]
mod support;
