//! Labels of events and metrics: closed sets of words, known when the program was built.

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
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Audit => "audit",
            Self::Unwritable => "unwritable",
        }
    }
}

/// Triggers of a reload. A later one is the stronger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ReloadTrigger {
    /// The program starts.
    Start,
    /// The slow poll, which trusts no notice.
    Poll,
    /// The source may have changed.
    FileChange,
    /// Someone sent SIGHUP.
    Signal,
    /// An admin asked for a reload.
    Admin,
    /// An admin went back to an earlier revision.
    Rollback,
    /// An admin put the candidate in force.
    Promotion,
}

/// The result of reading the bundle again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReloadResult {
    /// It is in force now.
    Applied,
    /// It says what it said before.
    Unchanged,
    /// It may not be put in force; the one before stays.
    Rejected,
    /// It could not be read; the one before stays.
    Unreadable,
}

/// Success of an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Success {
    /// It did.
    Yes,
    /// It did not.
    No,
}

/// A listener, by its purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Listener {
    /// For callers.
    Data,
    /// For admins.
    Admin,
    /// For pages: metrics and readiness.
    Pages,
}

/// The reason for refusing a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// As many as there may be are open.
    Full,
    /// The peer has its share of them.
    PeerShare,
    /// The system gives no descriptor or no memory for it.
    System,
}

/// The reason why a connection is closed from here, or broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Closure {
    /// It did not say in time, or at all, that it speaks the protocol.
    NoGreeting,
    /// It broke the protocol or one of its bounds.
    Protocol,
    /// It was lost: its peer or the way to it broke off.
    Lost,
    /// It had no call for as long as one may be without.
    Idle,
    /// Others wanted its place, and it was not used.
    Crowded,
    /// It was open for as long as one may be.
    Age,
    /// Its peer did not take what was sent.
    Stalled,
    /// Nobody on it showed in time who they are.
    Unauthenticated,
}

/// The reason for turning a call away at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShedReason {
    /// There is more work than can be done in time.
    Overloaded,
    /// Its caller has had its share.
    CallerOverShare,
    /// As many bytes as there may be are held for other calls.
    BytesHeld,
}

/// The purpose of bytes that are held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BufferKind {
    /// Requests that are not read to their end.
    Requests,
    /// Answers that their callers have not taken.
    Answers,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Full, Self::PeerShare, Self::System];

    /// The word for it in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::PeerShare => "peer_share",
            Self::System => "system",
        }
    }
}

impl Closure {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::NoGreeting,
        Self::Protocol,
        Self::Lost,
        Self::Idle,
        Self::Crowded,
        Self::Age,
        Self::Stalled,
        Self::Unauthenticated,
    ];

    /// The word for it in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoGreeting => "no_greeting",
            Self::Protocol => "protocol",
            Self::Lost => "lost",
            Self::Idle => "idle",
            Self::Crowded => "crowded",
            Self::Age => "age",
            Self::Stalled => "stalled",
            Self::Unauthenticated => "unauthenticated",
        }
    }
}

impl ShedReason {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Overloaded, Self::CallerOverShare, Self::BytesHeld];

    /// The word for it in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Overloaded => "overloaded",
            Self::CallerOverShare => "caller_over_share",
            Self::BytesHeld => "bytes_held",
        }
    }
}

impl BufferKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Requests, Self::Answers];

    /// The word for it in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Answers => "answers",
        }
    }
}

impl Listener {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Data, Self::Admin, Self::Pages];

    /// The word for it in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Admin => "admin",
            Self::Pages => "pages",
        }
    }
}

impl ReloadTrigger {
    /// All of them, the weakest first.
    pub const ALL: [Self; 7] =
        [Self::Start, Self::Poll, Self::FileChange, Self::Signal, Self::Admin, Self::Rollback, Self::Promotion];

    /// The trigger of this word.
    #[must_use]
    pub fn of_slug(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trigger| trigger.as_str() == slug)
    }

    /// The word for it in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Poll => "poll",
            Self::FileChange => "file_change",
            Self::Signal => "signal",
            Self::Admin => "admin",
            Self::Rollback => "rollback",
            Self::Promotion => "promotion",
        }
    }

    /// The words for it in sentences; what an admin asks for by its verb.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Admin => "reload",
            Self::FileChange => "file change",
            Self::Start | Self::Poll | Self::Signal | Self::Rollback | Self::Promotion => self.as_str(),
        }
    }
}

impl ReloadResult {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Applied, Self::Unchanged, Self::Rejected, Self::Unreadable];

    /// Returns [`Success::Yes`] if the bundle that was asked for is in force now.
    #[must_use]
    pub const fn success(self) -> Success {
        match self {
            Self::Applied | Self::Unchanged => Success::Yes,
            Self::Rejected | Self::Unreadable => Success::No,
        }
    }

    /// The word for it in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Rejected => "rejected",
            Self::Unreadable => "unreadable",
        }
    }
}
