//! Labels of what is counted here for the log itself.

/// The reason why a line never reached the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LineLoss {
    /// There was no room for an event.
    Event,
    /// There was no room for an audit record.
    Audit,
    /// The log could not be written.
    Unwritable,
}

impl LineLoss {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Event, Self::Audit, Self::Unwritable];

    /// The word for it in metrics.
    pub(super) const fn slug(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Audit => "audit",
            Self::Unwritable => "unwritable",
        }
    }
}
