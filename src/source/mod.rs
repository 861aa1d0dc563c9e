//! Where bundles come from.
