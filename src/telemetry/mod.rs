//! What the process says about itself: the only place that names metrics and spans.

pub mod event;
pub mod span;
