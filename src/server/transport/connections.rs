//! Taking connections: a bounded number at once, each served by a task that ends with the listener.
//!
//! Where they are crowded, those that are not used make room: first the ones that say nothing, then idle
//! ones, then those whose calls come to no answer; before all, of a peer that holds many. A client whose
//! idle connection is closed opens another; one that is turned away cannot be served at all. Connections
//! that have made no call yet have no right to stay: where no others can go, the oldest of them go, so that
//! whoever calls at once is served, however many others only hold places.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep, timeout_at};

use crate::server::limits::{
    ACCEPT_PAUSE, CROWDED_CLOSED_AT_ONCE, CROWDED_IDLE_MIN, CROWDED_SCAN_INTERVAL, CROWDED_SCANNED_FREELY_MAX,
    CROWDED_SHARE_DIVISOR, CROWDED_SILENT_MIN,
};
use crate::server::transport::peer::Peer;
use crate::server::transport::state::{ConnectionState, Stage};
use crate::telemetry::event::{ConnectionRefused, OpenConnection};
use crate::telemetry::labels::{Listener, Refusal};

/// Sources of connections.
pub(crate) trait Accept {
    /// A connection.
    type Stream: Send + 'static;

    /// The next connection, and where it comes from.
    fn next(&self) -> impl Future<Output = io::Result<(Self::Stream, Peer)>> + Send;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<(TcpStream, Peer)> {
        self.accept().await.map(|(stream, address)| (stream, address.into()))
    }
}

/// Ends of the connections that were open at the stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Drained {
    /// They finished what was in progress.
    pub connections_closed: usize,
    /// They did not in time.
    pub connections_cut: usize,
}

/// Places for connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Places {
    /// All of them.
    pub(crate) max: usize,
    /// Those that one peer may have.
    pub(crate) per_peer_max: usize,
    /// Those that have not shown who they are, where that is asked for. One peer may have half of them.
    pub(crate) unauthenticated_max: Option<usize>,
    /// Time that a connection with open calls may go without an answer, where others want its place.
    pub(crate) unanswered_max: Duration,
}

/// The places that one peer may have unless configured otherwise: nine of ten. A load balancer is one
/// peer, and may have nearly all; the rest is for other peers.
pub(crate) const fn peer_share(max: usize) -> usize {
    max - max / 10
}

/// The connections that are open.
#[derive(Debug)]
pub(crate) struct Connections {
    listener: Listener,
    places: Places,
    tasks: JoinSet<()>,
    /// Those that have a place. One that was told to go has none any more.
    open: HashMap<Id, Arc<ConnectionState>>,
    /// Number of places of each peer.
    held: HashMap<Peer, usize>,
    scanned_at: Option<Instant>,
}

/// Connections that may make room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Among {
    All,
    Of(Peer),
    Unauthenticated,
    UnauthenticatedOf(Peer),
}

impl Connections {
    /// None yet.
    pub(crate) fn new(listener: Listener, places: Places) -> Self {
        Self { listener, places, tasks: JoinSet::new(), open: HashMap::new(), held: HashMap::new(), scanned_at: None }
    }

    /// Takes connections until something is ready.
    pub(crate) async fn accept<A, F>(
        &mut self,
        listener: &A,
        open: impl Fn(Peer) -> ConnectionState,
        serve: impl Fn(A::Stream, Arc<ConnectionState>) -> F,
        until: impl Future<Output = ()>,
    ) where
        A: Accept,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut until = pin!(until);
        loop {
            tokio::select! {
                biased;
                () = until.as_mut() => return,
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended),
                accepted = listener.next() => match accepted {
                    Ok((stream, peer)) => self.take(peer, &open, |state| serve(stream, state)),
                    Err(error) if concerns_one_connection(&error) => {}
                    Err(error) => {
                        tracing::debug!(%error, listener = self.listener.as_str(), "no connection can be taken");
                        ConnectionRefused { listener: self.listener, refusal: Refusal::System }.record();
                        tokio::select! {
                            () = until.as_mut() => return,
                            () = sleep(ACCEPT_PAUSE) => {}
                        }
                    }
                },
            }
        }
    }

    fn ended(&mut self, ended: Result<(Id, ()), tokio::task::JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => error.id(),
        };
        self.leave(id);
    }

    /// Gives a place back.
    fn leave(&mut self, id: Id) -> Option<Arc<ConnectionState>> {
        let state = self.open.remove(&id)?;
        if let Entry::Occupied(mut held) = self.held.entry(state.peer()) {
            *held.get_mut() -= 1;
            if *held.get() == 0 {
                held.remove();
            }
        }
        Some(state)
    }

    /// Serves a connection, or closes it at once where there is no place for it: a client that is
    /// turned away can go elsewhere, one that waits in the backlog cannot.
    fn take<F>(
        &mut self,
        peer: Peer,
        open: impl Fn(Peer) -> ConnectionState,
        serve: impl FnOnce(Arc<ConnectionState>) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        if let Err(refusal) = self.make_room(peer) {
            ConnectionRefused { listener: self.listener, refusal }.record();
            return;
        }
        let state = Arc::new(open(peer));
        let (counted, serving) = (OpenConnection::on(self.listener), serve(Arc::clone(&state)));
        let task = self.tasks.spawn(async move {
            serving.await;
            drop(counted);
        });
        self.open.insert(task.id(), state);
        *self.held.entry(peer).or_default() += 1;
    }

    /// Sees that there is a place for a connection of this peer.
    fn make_room(&mut self, peer: Peer) -> Result<(), Refusal> {
        let Places { max, per_peer_max, unauthenticated_max, unanswered_max: _ } = self.places;
        if let Some(unauthenticated_max) = unauthenticated_max {
            self.room_among(Among::UnauthenticatedOf(peer), unauthenticated_max.div_ceil(2), Refusal::PeerShare)?;
            self.room_among(Among::Unauthenticated, unauthenticated_max, Refusal::Full)?;
        }
        self.room_among(Among::Of(peer), per_peer_max, Refusal::PeerShare)?;
        self.room_among(Among::All, max, Refusal::Full)?;
        // Those that are closing still have a descriptor.
        if max + max / 2 < self.tasks.len() { Err(Refusal::Full) } else { Ok(()) }
    }

    fn room_among(&mut self, among: Among, max: usize, refusal: Refusal) -> Result<(), Refusal> {
        let count = match among {
            Among::All => self.open.len(),
            Among::Of(peer) => self.held.get(&peer).copied().unwrap_or(0),
            // Asked for where there are few of them all.
            Among::Unauthenticated | Among::UnauthenticatedOf(_) => {
                self.open.values().filter(|state| is_among(state, among)).count()
            }
        };
        if count < max.max(1) || self.close_unused(among) { Ok(()) } else { Err(refusal) }
    }

    /// Closes some unused connections; returns true if there were any. Scanning many takes a while, so it
    /// is not done for each new one.
    fn close_unused(&mut self, among: Among) -> bool {
        let now = Instant::now();
        let many = CROWDED_SCANNED_FREELY_MAX < self.open.len();
        if many && self.scanned_at.is_some_and(|at| now < at + CROWDED_SCAN_INTERVAL) {
            return false;
        }
        self.scanned_at = Some(now);
        let unused: Vec<_> = self
            .open
            .iter()
            .filter(|(_, state)| is_among(state, among))
            .filter_map(|(id, state)| Some((state.peer(), self.usage(state, now)?, *id)))
            .collect();
        let mut of_peer = HashMap::<Peer, usize>::new();
        for (peer, _, _) in &unused {
            *of_peer.entry(*peer).or_default() += 1;
        }
        let tolerated = self.places.max / CROWDED_SHARE_DIVISOR;
        let holds_many = |peer: &Peer| of_peer.get(peer).is_some_and(|count| tolerated < *count);
        let mut first: Vec<_> = unused.into_iter().map(|(peer, usage, id)| ((!holds_many(&peer), usage), id)).collect();
        let count = (self.places.max / 8).clamp(1, CROWDED_CLOSED_AT_ONCE);
        if count < first.len() {
            first.select_nth_unstable_by_key(count, |(order, _)| *order);
            first.truncate(count);
        }
        for (_, id) in &first {
            if let Some(state) = self.leave(*id) {
                state.close();
            }
        }
        !first.is_empty()
    }

    /// Returns how little a connection is used; `None`: enough.
    fn usage(&self, state: &ConnectionState, now: Instant) -> Option<Usage> {
        let unknown = self.places.unauthenticated_max.is_some() && !state.has_reached(Stage::Authenticated);
        let silent = !state.has_reached(Stage::Greeted) || (unknown && state.is_idle());
        let (opened, answered) = (state.opened(), state.answered_at());
        let (disuse, since) = if silent && opened + CROWDED_SILENT_MIN <= now {
            (Disuse::Silent, opened)
        } else if state.is_idle() && answered + CROWDED_IDLE_MIN <= now {
            (Disuse::Idle, answered)
        } else if silent || !state.has_reached(Stage::Called) {
            (Disuse::New, opened)
        } else if !state.is_idle() && answered + self.places.unanswered_max <= now {
            (Disuse::Unanswered, answered)
        } else {
            return None;
        };
        Some((!unknown, disuse, since))
    }

    /// Waits for the connections to end; cuts those that have not by then.
    pub(crate) async fn drain(mut self, by: Instant) -> Drained {
        let mut connections_closed = 0;
        while let Ok(Some(_)) = timeout_at(by, self.tasks.join_next()).await {
            connections_closed += 1;
        }
        let connections_cut = self.tasks.len();
        self.tasks.shutdown().await;
        Drained { connections_closed, connections_cut }
    }
}

/// Rank of a connection, the least used first: whether the peer is known, the way in which it is idle,
/// since when.
type Usage = (bool, Disuse, Instant);

/// Ways not to be used, the least use first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Disuse {
    Silent,
    Idle,
    Unanswered,
    /// It has made no call yet, but it has only just come.
    New,
}

fn is_among(state: &ConnectionState, among: Among) -> bool {
    let unauthenticated = || !state.has_reached(Stage::Authenticated);
    match among {
        Among::All => true,
        Among::Of(peer) => state.peer() == peer,
        Among::Unauthenticated => unauthenticated(),
        Among::UnauthenticatedOf(peer) => state.peer() == peer && unauthenticated(),
    }
}

/// Returns true if an error of `accept` concerns only the connection that it would have been, not
/// the next.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
