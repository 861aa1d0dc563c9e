//! Taking connections: a bounded number at once, each served by a task that ends with the listener.
//! What is said on them is not known here.

use std::future::Future;
use std::io;
use std::pin::pin;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::server::limits::ACCEPT_PAUSE;
use crate::telemetry::event::{Listener, OpenConnection};

/// What connections come from.
pub(crate) trait Accept {
    /// A connection.
    type Stream: Send + 'static;

    /// The next connection.
    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

/// How the connections that were open at the stop ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Drained {
    /// They finished what was in progress.
    pub connections_closed: usize,
    /// They did not in time.
    pub connections_cut: usize,
}

/// The connections that are open.
#[derive(Debug)]
pub(crate) struct Connections {
    listener: Listener,
    tasks: JoinSet<()>,
    max: usize,
    crowding: Crowding,
}

/// Whether there is room for another connection; kept so that the log hears of changes only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Crowding {
    Room,
    Full,
}

impl Connections {
    /// At most so many, and at least one.
    pub(crate) fn new(listener: Listener, max: usize) -> Self {
        Self { listener, tasks: JoinSet::new(), max: max.max(1), crowding: Crowding::Room }
    }

    /// Takes connections until something is ready.
    pub(crate) async fn accept<A, F>(
        &mut self,
        listener: &A,
        serve: impl Fn(A::Stream) -> F,
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
                Some(_) = self.tasks.join_next() => {}
                accepted = listener.next() => match accepted {
                    Ok(stream) => self.take(|| serve(stream)),
                    Err(error) if concerns_one_connection(&error) => {}
                    Err(error) => {
                        tracing::warn!(%error, listener = self.listener.slug(), "no connection can be taken");
                        tokio::select! {
                            () = until.as_mut() => return,
                            () = sleep(ACCEPT_PAUSE) => {}
                        }
                    }
                },
            }
        }
    }

    /// Serves a connection, or closes it at once where there are too many: a client that is turned
    /// away can go elsewhere, one that waits in the backlog cannot.
    fn take<F>(&mut self, serve: impl FnOnce() -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if self.max <= self.tasks.len() {
            if self.crowding == Crowding::Room {
                let (connections, listener) = (self.tasks.len(), self.listener.slug());
                tracing::warn!(connections, listener, "full: further connections are closed at once");
            }
            self.crowding = Crowding::Full;
            return;
        }
        self.crowding = Crowding::Room;
        let (open, serving) = (OpenConnection::on(self.listener), serve());
        self.tasks.spawn(async move {
            serving.await;
            drop(open);
        });
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

/// Whether an error of `accept` is about the connection that it would have been, and says nothing
/// about the next.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
