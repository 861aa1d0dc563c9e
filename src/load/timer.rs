//! Waits until a moment, more exactly than the timer of the runtime, whose steps are milliseconds: on
//! a loopback, a millisecond is ten times the latency that is measured.

#[cfg(target_os = "linux")]
pub(super) use linux::Timer;
#[cfg(not(target_os = "linux"))]
pub(super) use portable::Timer;

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::time::{Duration, Instant};

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    };
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    /// A timer of the kernel that the runtime waits for as for a socket.
    pub(in crate::load) struct Timer {
        timer: AsyncFd<OwnedFd>,
    }

    impl Timer {
        #[expect(deprecated, reason = "an owned descriptor keeps the promise that the other way wants as unsafe code")]
        pub(in crate::load) fn new() -> io::Result<Self> {
            let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
            Ok(Self { timer: AsyncFd::with_interest(timer, Interest::READABLE)? })
        }

        /// Waits until the moment has come; it may return earlier.
        pub(in crate::load) async fn until(&mut self, moment: Instant) -> io::Result<()> {
            let left = moment.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return Ok(());
            }
            let none = Timespec { tv_sec: 0, tv_nsec: 0 };
            let value =
                Timespec { tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() };
            // Setting it also forgets an expiry that nobody waited for.
            timerfd_settime(
                &self.timer,
                TimerfdTimerFlags::empty(),
                &Itimerspec { it_interval: none, it_value: value },
            )?;
            self.timer.readable().await?.clear_ready();
            Ok(())
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod portable {
    use std::io;
    use std::time::Instant;

    /// The timer of the runtime. What it is late by is measured and reported.
    pub(in crate::load) struct Timer;

    impl Timer {
        pub(in crate::load) fn new() -> io::Result<Self> {
            Ok(Self)
        }

        /// Waits until the moment has come.
        pub(in crate::load) async fn until(&mut self, moment: Instant) -> io::Result<()> {
            tokio::time::sleep_until(moment.into()).await;
            Ok(())
        }
    }
}
