//! The arena of one attack: a server of its own, honest callers beside it, and what the attack found.

pub(crate) mod honest;
pub(crate) mod raw;
pub(crate) mod report;
pub(crate) mod server;
pub(crate) mod wire;

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::arena::server::Server;

/// Where attackers come from.
pub(crate) const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));

/// Where honest callers come from: another peer than the attacker.
pub(crate) const HONEST: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// How much is attacked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Size {
    /// The small version of the gate.
    Quick,
    /// Everything.
    Full,
}

/// One attack at work.
#[derive(Debug)]
pub(crate) struct Arena {
    pub(crate) server: Server,
    pub(crate) size: Size,
    /// How long a flood or a hold lasts.
    pub(crate) lasts: Duration,
    pub(crate) seed: u64,
    broken: Mutex<Vec<String>>,
    notes: Mutex<Vec<String>>,
}

impl Arena {
    pub(crate) fn new(server: Server, size: Size, lasts: Duration, seed: u64) -> Self {
        Self { server, size, lasts, seed, broken: Mutex::default(), notes: Mutex::default() }
    }

    /// Records something that should not have happened.
    pub(crate) fn broken(&self, what: impl Display) {
        self.broken.lock().unwrap().push(what.to_string());
    }

    /// Records something worth a line that is not judged.
    pub(crate) fn note(&self, what: impl Display) {
        self.notes.lock().unwrap().push(what.to_string());
    }

    /// Takes what was recorded: what is broken, and the notes.
    pub(crate) fn take_records(&self) -> (Vec<String>, Vec<String>) {
        (std::mem::take(&mut *self.broken.lock().unwrap()), std::mem::take(&mut *self.notes.lock().unwrap()))
    }

    /// `quick` in the small version, `full` otherwise.
    pub(crate) fn choose<T>(&self, quick: T, full: T) -> T {
        match self.size {
            Size::Quick => quick,
            Size::Full => full,
        }
    }

    /// When floods and holds end.
    pub(crate) fn end(&self) -> Instant {
        Instant::now() + self.lasts
    }
}

/// SplitMix64: the same row of numbers for the same seed.
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}
