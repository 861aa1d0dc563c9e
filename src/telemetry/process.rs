//! Figures of the operating system about this process: memory, processor, descriptors. They come from `/proc`; without
//! it, there are none.

use std::fs;

use crate::telemetry::exposition::{Kind, Page};

/// Ticks of a second in `/proc`: the same on every architecture that Linux runs on today.
const TICKS_PER_SECOND: f64 = 100.0;

/// Figures of the operating system; `None` for those that it does not give.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Process {
    start_seconds: Option<f64>,
    cpu_seconds: Option<f64>,
    resident_bytes: Option<u64>,
    virtual_bytes: Option<u64>,
    open_fds: Option<u64>,
    max_fds: Option<u64>,
    threads: Option<u64>,
}

impl Process {
    /// As it is now.
    pub(super) fn read() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let stat = Stat::parse(&read("/proc/self/stat"));
        let status = read("/proc/self/status");
        let booted = row(&read("/proc/stat"), "btime").and_then(|seconds| seconds.parse::<f64>().ok());
        let kib = |name| row(&status, name)?.parse::<u64>().ok()?.checked_mul(1_024);
        Self {
            start_seconds: booted.zip(stat).map(|(booted, stat)| booted + stat.started_ticks / TICKS_PER_SECOND),
            cpu_seconds: stat.map(|stat| stat.cpu_ticks / TICKS_PER_SECOND),
            resident_bytes: kib("VmRSS:"),
            virtual_bytes: kib("VmSize:"),
            open_fds: fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as u64),
            max_fds: row(&read("/proc/self/limits"), "Max open files").and_then(|max| max.parse().ok()),
            threads: row(&status, "Threads:").and_then(|count| count.parse().ok()),
        }
    }

    /// In the names that all programs use.
    pub(super) fn write(self, page: &mut Page) {
        let Self { start_seconds, cpu_seconds, resident_bytes, virtual_bytes, open_fds, max_fds, threads } = self;
        let mut decimal = |name, kind, help: &str, value: Option<f64>| {
            if let Some(value) = value {
                page.metric(name, kind, help).sample(&[], value);
            }
        };
        decimal(
            "process_start_time_seconds",
            Kind::Gauge,
            "When the process was started, in seconds since 1970.",
            start_seconds,
        );
        decimal("process_cpu_seconds_total", Kind::Counter, "Processor time taken, in seconds.", cpu_seconds);
        for (name, help, value) in [
            ("process_resident_memory_bytes", "Memory that is resident, in bytes.", resident_bytes),
            ("process_virtual_memory_bytes", "Address space, in bytes.", virtual_bytes),
            ("process_open_fds", "Descriptors that are open.", open_fds),
            ("process_max_fds", "Descriptors that may be open.", max_fds),
            ("process_threads", "Threads.", threads),
        ] {
            if let Some(value) = value {
                page.metric(name, Kind::Gauge, help).sample(&[], value);
            }
        }
    }
}

/// The first word after a name that begins a line.
fn row<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()
}

/// The fields used of `/proc/self/stat`, in ticks.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Stat {
    cpu_ticks: f64,
    started_ticks: f64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name of the program stands in parentheses and may hold anything.
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        // The first one after the name is the third of the line.
        let field = |number: usize| fields.get(number.checked_sub(3)?)?.parse::<f64>().ok();
        Some(Self { cpu_ticks: field(14)? + field(15)?, started_ticks: field(22)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_shifts_nothing() {
        let text = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 1200 1000 200 18446744073709551615";
        assert_eq!(Stat::parse(text), Some(Stat { cpu_ticks: 300.0, started_ticks: 1200.0 }));
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_seen() {
        let process = Process::read();
        assert!(process.resident_bytes.is_some_and(|bytes| 100_000 < bytes), "{process:?}");
        assert!(process.start_seconds.is_some_and(|seconds| 1.6e9 < seconds), "{process:?}");
        assert!(process.open_fds.is_some_and(|count| 2 < count), "{process:?}");
    }
}
