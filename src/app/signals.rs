//! Signals of the operating system to the process.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that are handled. An unhandled SIGHUP would end the process.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// A request made by a signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// To stop: SIGTERM or Ctrl-C.
    Stop,
    /// To read the policies again: SIGHUP.
    Reload,
}

impl Signals {
    /// Handles the signals from now on; those that come before anyone waits are not lost.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next thing that is asked.
    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Reload,
        }
    }

    /// Waits until someone asks to stop; whatever else is asked meanwhile is dropped.
    pub async fn stop(&mut self) {
        while self.next().await != Asked::Stop {}
    }
}
