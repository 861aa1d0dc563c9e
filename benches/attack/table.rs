//! The attacks, and what each must stay within.

use std::pin::Pin;

use crate::arena::Arena;
use crate::arena::server::Setup;
use crate::{bodies, bundles, connections, floods, manners, mutations, requests, slow, unread_answers, unread_log};

/// How long honest callers may wait beside an attack, at p99.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Patience {
    /// 20 ms longer than alone.
    TwentyMore,
    /// Twice as long, and at least 20 ms longer.
    Twice,
    /// The attack judges it itself.
    Any,
}

/// The work of an attack.
pub(crate) type Run = for<'a> fn(&'a Arena) -> Pin<Box<dyn Future<Output = Result<(), String>> + 'a>>;

/// One attack.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// How much more memory than before it the server may take, in MiB.
    pub(crate) memory_mib: u64,
    pub(crate) patience: Patience,
    /// Whether a metric and a log line must tell of it.
    pub(crate) leaves_traces: bool,
    /// Whether the attack itself ends the server.
    pub(crate) ends_the_server: bool,
    pub(crate) setup: Setup,
    pub(crate) run: Run,
}

impl Attack {
    /// Whether it cannot be made on a server that runs already.
    pub(crate) fn needs_own_server(&self) -> bool {
        self.ends_the_server || self.setup.address_space_kib.is_some() || self.setup.log_unread
    }

    const fn new(name: &'static str, about: &'static str, memory_mib: u64, patience: Patience, run: Run) -> Self {
        let setup = Setup { flags: &[], address_space_kib: None, log_unread: false };
        Self { name, about, memory_mib, patience, leaves_traces: true, ends_the_server: false, setup, run }
    }

    /// It is no fault that anybody must be told of.
    const fn quiet(mut self) -> Self {
        self.leaves_traces = false;
        self
    }

    /// The server may have so much address space.
    const fn within_gib(mut self, gib: u64) -> Self {
        self.setup.address_space_kib = Some(gib * 1024 * 1024);
        self
    }

    /// It may have no more connections than the attack can take.
    const fn with_few_places(mut self) -> Self {
        self.setup.flags = &["--max-connections", "1000"];
        self
    }

    /// It may have more connections than it has by itself.
    const fn with_room_for_many(mut self) -> Self {
        self.setup.flags = &["--max-connections", "12000"];
        self
    }

    /// Nobody reads the log, and it has much to say.
    const fn with_unread_log(mut self) -> Self {
        self.setup.log_unread = true;
        self.setup.flags = &["--log-level", "debug"];
        self.ending_the_server()
    }

    const fn ending_the_server(mut self) -> Self {
        self.ends_the_server = true;
        self
    }
}

/// All of them.
pub(crate) const ATTACKS: &[Attack] = &[
    Attack::new("one-request", "each hostile request alone", 32, Patience::TwentyMore, |arena| {
        Box::pin(requests::one(arena))
    }),
    Attack::new(
        "many-requests",
        "all hostile requests at once, over several connections",
        256,
        Patience::TwentyMore,
        |arena| Box::pin(requests::many(arena)),
    ),
    Attack::new(
        "many-requests-in-1-gib",
        "the same, where the process may have 1 GiB",
        256,
        Patience::TwentyMore,
        |arena| Box::pin(requests::many(arena)),
    )
    .within_gib(1),
    Attack::new("unread-log", "a log that nobody reads, then SIGTERM", 64, Patience::Any, |arena| {
        Box::pin(unread_log::once(arena))
    })
    .with_unread_log(),
    Attack::new("unread-log-twice", "a log that nobody reads, then SIGTERM twice", 64, Patience::Any, |arena| {
        Box::pin(unread_log::twice(arena))
    })
    .with_unread_log(),
    Attack::new("unread-answers", "answers into windows of zero", 256, Patience::TwentyMore, |arena| {
        Box::pin(unread_answers::window_zero(arena))
    }),
    Attack::new("tiny-windows", "answers into windows of one byte", 256, Patience::TwentyMore, |arena| {
        Box::pin(unread_answers::window_one(arena))
    }),
    Attack::new("deaf-peers", "answers that stay in the socket", 256, Patience::TwentyMore, |arena| {
        Box::pin(unread_answers::socket_unread(arena))
    }),
    Attack::new("stop-beside-unread", "SIGTERM while answers wait to be read", 256, Patience::Any, |arena| {
        Box::pin(unread_answers::stop(arena))
    })
    .ending_the_server(),
    Attack::new("endless-bodies", "bodies that trickle", 256, Patience::TwentyMore, |arena| {
        Box::pin(bodies::endless(arena))
    }),
    Attack::new("stopped-bodies", "bodies that claim 1 MiB and stop", 256, Patience::TwentyMore, |arena| {
        Box::pin(bodies::stopped(arena))
    }),
    Attack::new("tiny-frames", "bodies in small frames", 32, Patience::TwentyMore, |arena| {
        Box::pin(bodies::tiny_frames(arena))
    })
    .quiet(),
    Attack::new("held-places", "one peer holds connections of callers", 64, Patience::TwentyMore, |arena| {
        Box::pin(connections::one_peer(arena))
    })
    .with_few_places(),
    Attack::new("held-places-many-peers", "200 peers hold connections of callers", 64, Patience::TwentyMore, |arena| {
        Box::pin(connections::many_peers(arena))
    })
    .with_few_places(),
    Attack::new("held-pages", "one peer holds connections to the pages", 64, Patience::TwentyMore, |arena| {
        Box::pin(connections::pages(arena))
    }),
    Attack::new(
        "held-pages-many-peers",
        "100 peers hold connections to the pages",
        64,
        Patience::TwentyMore,
        |arena| Box::pin(connections::pages_many_peers(arena)),
    ),
    Attack::new("held-admin", "one peer holds connections of admins", 64, Patience::TwentyMore, |arena| {
        Box::pin(connections::admin(arena))
    }),
    Attack::new("held-admin-many-peers", "100 peers hold connections of admins", 64, Patience::TwentyMore, |arena| {
        Box::pin(connections::admin_many_peers(arena))
    }),
    Attack::new("silent-connections", "connections that do not say enough", 64, Patience::TwentyMore, |arena| {
        Box::pin(connections::silent(arena))
    }),
    Attack::new("idle-connections", "idle connections, up to 10 000", 300, Patience::TwentyMore, |arena| {
        Box::pin(connections::idle(arena))
    })
    .quiet()
    .with_room_for_many(),
    Attack::new("slow-pages", "heads and pages byte by byte", 64, Patience::TwentyMore, |arena| {
        Box::pin(slow::pages(arena))
    }),
    Attack::new("slow-admin", "prefaces byte by byte, at the admins", 64, Patience::TwentyMore, |arena| {
        Box::pin(slow::admin(arena))
    }),
    Attack::new("slow-callers", "prefaces byte by byte, at the callers", 64, Patience::TwentyMore, |arena| {
        Box::pin(slow::data(arena))
    })
    .with_few_places(),
    Attack::new("manners", "what is no gRPC or no HTTP/2", 32, Patience::TwentyMore, |arena| {
        Box::pin(manners::all(arena))
    }),
    Attack::new("bundles-by-call", "hostile bundles, by ValidatePolicy", 256, Patience::TwentyMore, |arena| {
        Box::pin(bundles::validate(arena))
    }),
    Attack::new("bundles-by-check", "hostile bundles, by `requite check` in 1 GiB", 32, Patience::Any, |arena| {
        Box::pin(bundles::check(arena))
    })
    .quiet(),
    Attack::new("mutations", "requests with bytes changed at random", 64, Patience::TwentyMore, |arena| {
        Box::pin(mutations::all(arena))
    }),
    Attack::new("rapid-reset", "streams opened and reset", 16, Patience::Twice, |arena| {
        Box::pin(floods::rapid_reset(arena))
    }),
    Attack::new("made-you-reset", "streams that the server must reset", 16, Patience::Twice, |arena| {
        Box::pin(floods::made_you_reset(arena))
    }),
    Attack::new("continuation", "headers that never end", 16, Patience::Twice, |arena| {
        Box::pin(floods::continuation(arena))
    }),
    Attack::new("empty-continuation", "headers that never end, of nothing", 16, Patience::Twice, |arena| {
        Box::pin(floods::empty_continuation(arena))
    }),
    Attack::new("empty-data", "DATA without a byte", 16, Patience::Twice, |arena| Box::pin(floods::empty_data(arena))),
    Attack::new("padding", "DATA of padding", 16, Patience::Twice, |arena| Box::pin(floods::padding(arena))),
    Attack::new("malformed-headers", "headers that HTTP/2 forbids", 16, Patience::Twice, |arena| {
        Box::pin(floods::malformed_headers(arena))
    }),
    Attack::new("large-headers", "header lists above the limit", 16, Patience::Twice, |arena| {
        Box::pin(floods::large_headers(arena))
    }),
    Attack::new("header-bomb", "one long header, referred to again and again", 16, Patience::Twice, |arena| {
        Box::pin(floods::header_bomb(arena))
    }),
    Attack::new("ping", "PING", 16, Patience::Twice, |arena| Box::pin(floods::ping(arena))).quiet(),
    Attack::new("settings", "SETTINGS", 16, Patience::Twice, |arena| Box::pin(floods::settings_frames(arena))).quiet(),
    Attack::new("priority", "PRIORITY", 16, Patience::Twice, |arena| Box::pin(floods::priority(arena))).quiet(),
    Attack::new("window-update", "WINDOW_UPDATE", 16, Patience::Twice, |arena| Box::pin(floods::window_update(arena)))
        .quiet(),
    Attack::new("unknown-frames", "frames of an unknown type", 16, Patience::Twice, |arena| {
        Box::pin(floods::unknown_frames(arena))
    })
    .quiet(),
    Attack::new("unknown-method", "calls of a method that is not there", 16, Patience::Twice, |arena| {
        Box::pin(floods::unknown_method(arena))
    }),
    Attack::new("churn", "connections made and given up", 16, Patience::Twice, |arena| Box::pin(floods::churn(arena)))
        .quiet(),
];
