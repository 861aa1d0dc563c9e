//! Admins: how they get in, what they may, what they are told of each other, and the command line that they call with.
#![cfg(test)]

mod admin_access;
mod admin_certificates;
mod admin_model;
mod admin_page;
mod admin_service;
mod admin_walkthrough;
mod cli_admin;
mod plain_rollback;
mod two_admins;

#[path = "../support/mod.rs"]
mod support;
