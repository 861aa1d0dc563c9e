//! Composition: configuration, run, the reload loop, shutdown.
