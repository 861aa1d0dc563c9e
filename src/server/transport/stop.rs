//! Signal for the parts of the server that it stops.

use tokio::sync::watch;

/// Stage of the stop, for the holders of connections and streams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// It has not begun.
    Serving,
    /// Finish what is in progress and begin nothing new.
    Draining,
}

/// Says when to drain.
#[derive(Debug)]
pub(crate) struct StopSwitch(watch::Sender<Stage>);

/// Hears when to drain.
#[derive(Clone, Debug)]
pub(crate) struct StopSignal(watch::Receiver<Stage>);

/// A switch and its signal.
pub(crate) fn stop_signal() -> (StopSwitch, StopSignal) {
    let (sender, receiver) = watch::channel(Stage::Serving);
    (StopSwitch(sender), StopSignal(receiver))
}

impl StopSwitch {
    /// From now on: drain.
    pub(crate) fn drain(&self) {
        self.0.send_replace(Stage::Draining);
    }
}

impl StopSignal {
    /// Waits until it is time to drain; the end of the switch counts as that.
    pub(crate) async fn draining(&mut self) {
        let _ = self.0.wait_for(|&stage| stage == Stage::Draining).await;
    }

    /// The stages as they come.
    pub(crate) fn stages(&self) -> watch::Receiver<Stage> {
        self.0.clone()
    }
}
