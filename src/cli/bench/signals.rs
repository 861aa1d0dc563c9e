//! The signals that end a run early, with the policies put back and the report so far.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ctrl-C, SIGTERM, and SIGHUP unless the process was started to ignore it.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Option<Signal>,
}

impl Signals {
    /// Handles the signals from now on.
    pub(super) fn new() -> io::Result<Self> {
        // Asked first: handling a signal is the end of ignoring it.
        let hang_up = if hang_ups_are_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())?, hang_up })
    }

    /// Waits for the next of them.
    pub(super) async fn next(&mut self) {
        let hang_up = async {
            match &mut self.hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = hang_up => {}
        }
    }
}

/// True where the process was started by `nohup` or its like, and is to outlive its terminal. Only
/// Linux tells; elsewhere a hang-up always ends a run.
fn hang_ups_are_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hang_ups(&status))
}

/// Reads the mask of ignored signals, in which SIGHUP (1) is the lowest bit.
fn ignores_hang_ups(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_bit_of_the_mask_is_the_hang_up() {
        for (status, ignored) in [
            ("SigBlk:\t0000000000000001\nSigIgn:\t0000000000001000\n", false),
            ("SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n", true),
            ("SigIgn:\tunreadable\n", false),
            ("", false),
        ] {
            assert_eq!(ignores_hang_ups(status), ignored, "{status:?}");
        }
    }
}
