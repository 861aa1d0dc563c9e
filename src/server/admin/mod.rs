//! `PolicyAdminService`: what is in force, putting it in force, and taking it back.

pub mod desk;
