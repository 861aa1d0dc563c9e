//! A bounded queue between those who log and the one thread that writes: nobody waits for whoever
//! reads the log. Where the queue is full, lines are dropped and counted.
//!
//! `tracing-appender` does this too, but its bound is in lines and not in bytes, it keeps nothing back
//! for audit records, and where the queue is full at the end it prints to standard output, which may be
//! a pipe that nobody reads, either.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

use crate::telemetry::audit;
use crate::telemetry::counts;
use crate::telemetry::labels::LineLoss;
use crate::telemetry::log_escape::printable_json;
use crate::telemetry::log_format::LogFormat;

/// One line, in bytes; what is longer is cut. Collectors of logs split lines at this length.
pub const LINE_BYTES_MAX: usize = 16 * 1024;

/// Lines that wait: a burst of the largest report of mistakes in policies fits many times.
pub const QUEUE_LINES_MAX: usize = 4 * 1024;

/// Bytes of the lines that wait.
pub const QUEUE_BYTES_MAX: usize = 1024 * 1024;

/// Lines kept free for audit records, beyond [`QUEUE_LINES_MAX`].
pub const AUDIT_LINES_MAX: usize = 1024;

/// Bytes kept free for audit records, beyond [`QUEUE_BYTES_MAX`].
pub const AUDIT_BYTES_MAX: usize = 256 * 1024;

/// Bytes given to the system at once; after each piece there is room for new lines.
const PIECE_BYTES: usize = 16 * 1024;

/// The pause where the other side of a log that does not block takes nothing now.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// The target of the line that says how many were dropped.
const TARGET: &str = "requite::log";

/// The kind of a line, as far as the queue tells lines apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LineKind {
    /// Anything but the next.
    Event,
    /// An audit record of an admin call.
    Audit,
}

/// The queue of log lines for the thread that writes them. Clones are the same queue.
#[derive(Clone, Debug)]
pub(super) struct LogQueue {
    shared: Arc<Shared>,
    format: LogFormat,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// There is something to write.
    filled: Condvar,
    /// Everything is written.
    emptied: Condvar,
}

/// The lines that wait. Nothing that is done under the lock blocks or panics.
#[derive(Debug, Default)]
struct Waiting {
    /// Whole lines, one after the other.
    text: Vec<u8>,
    /// Bytes and lines that wait, those included that the thread is writing.
    bytes: usize,
    lines: usize,
    /// Lines dropped since the log last said so.
    dropped: u64,
}

impl LogQueue {
    /// A queue and the thread that writes to `to` what comes in; it ends with the process.
    pub(super) fn start(to: File, format: LogFormat) -> io::Result<Self> {
        let queue = Self { shared: Arc::default(), format };
        let shared = Arc::clone(&queue.shared);
        thread::Builder::new().name("log".to_owned()).spawn(move || shared.write_all_to(to))?;
        Ok(queue)
    }

    /// Waits until everything is written, but not for longer than this.
    pub(super) fn flush(&self, longest: Duration) {
        let until = Instant::now() + longest;
        let mut waiting = self.shared.lock();
        while 0 < waiting.bytes {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            waiting = self.shared.emptied.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Queues a line, or drops it where there is no room.
    fn push(&self, line: &[u8], kind: LineKind) {
        let line = match self.format {
            // Its values are printable, and its colours are not.
            LogFormat::Text => Cow::Borrowed(line),
            LogFormat::Json => printable_json(line),
        };
        if LINE_BYTES_MAX < line.len() {
            self.shared.push(&cut(&line, self.format), kind);
        } else {
            self.shared.push(&line, kind);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8], kind: LineKind) {
        let (bytes_max, lines_max, loss) = match kind {
            LineKind::Event => (QUEUE_BYTES_MAX, QUEUE_LINES_MAX, LineLoss::Event),
            LineKind::Audit => (QUEUE_BYTES_MAX + AUDIT_BYTES_MAX, QUEUE_LINES_MAX + AUDIT_LINES_MAX, LineLoss::Audit),
        };
        let mut waiting = self.lock();
        let bytes = waiting.bytes + line.len();
        let lines = if bytes <= bytes_max { lines_in(line) } else { 0 };
        if bytes_max < bytes || lines_max < waiting.lines + lines {
            waiting.dropped = waiting.dropped.saturating_add(1);
            counts::log_lines_lost(loss, 1);
            return;
        }
        waiting.text.extend_from_slice(line);
        waiting.bytes = bytes;
        waiting.lines += lines;
        drop(waiting);
        self.filled.notify_one();
    }

    /// Writes what comes in, for ever.
    fn write_all_to(&self, mut to: File) {
        let mut text = Vec::new();
        loop {
            self.take(&mut text);
            let written = self.write(&mut to, &text);
            let dropped = self.finish(written);
            if 0 < dropped {
                // Behind the lines that came before the dropped ones, as far as anybody can know.
                tracing::error!(target: TARGET, dropped, "log lines were dropped: whoever reads the log is too slow");
            }
        }
    }

    /// Waits for lines, and swaps them for the room of those that were written.
    fn take(&self, text: &mut Vec<u8>) {
        text.clear();
        if PIECE_BYTES < text.capacity() {
            text.shrink_to(PIECE_BYTES);
        }
        let mut waiting = self.lock();
        while waiting.text.is_empty() {
            waiting = self.filled.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut waiting.text, text);
    }

    /// Writes lines piece by piece. Lines that cannot be written are lost: there is nobody to tell.
    fn write(&self, to: &mut File, text: &[u8]) -> Written {
        let mut rest = text;
        while !rest.is_empty() {
            let piece = rest.get(..PIECE_BYTES).unwrap_or(rest);
            match to.write(piece) {
                Ok(0) => return Written::Failed { rest: rest.len(), lines: lines_in(rest) },
                Ok(count) => {
                    let (written, left) = rest.split_at(count.min(rest.len()));
                    self.release(written.len(), lines_in(written));
                    rest = left;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(BUSY_PAUSE),
                Err(_) => return Written::Failed { rest: rest.len(), lines: lines_in(rest) },
            }
        }
        Written::All
    }

    fn release(&self, bytes: usize, lines: usize) {
        let mut waiting = self.lock();
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
        waiting.lines = waiting.lines.saturating_sub(lines);
    }

    /// Notes how writing went; gives how many lines the log has not heard of.
    fn finish(&self, written: Written) -> u64 {
        let mut waiting = self.lock();
        let dropped = match written {
            Written::All => std::mem::take(&mut waiting.dropped),
            Written::Failed { rest, lines } => {
                waiting.bytes = waiting.bytes.saturating_sub(rest);
                waiting.lines = waiting.lines.saturating_sub(lines);
                let lost = u64::try_from(lines).unwrap_or(u64::MAX);
                waiting.dropped = waiting.dropped.saturating_add(lost);
                counts::log_lines_lost(LineLoss::Unwritable, lost);
                0
            }
        };
        if waiting.bytes == 0 {
            self.emptied.notify_all();
        }
        dropped
    }
}

/// The result of writing some lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Written {
    All,
    /// The log takes nothing more now: so many bytes and lines are lost.
    Failed {
        rest: usize,
        lines: usize,
    },
}

fn lines_in(text: &[u8]) -> usize {
    text.iter().filter(|&&byte| byte == b'\n').count()
}

/// A line that is too long, cut: as text it ends in how much is missing, as JSON its beginning is the
/// message of an object.
fn cut(line: &[u8], format: LogFormat) -> Vec<u8> {
    // Half, so that escapes have room.
    let shown = line.get(..LINE_BYTES_MAX / 2).unwrap_or(line);
    let shown = String::from_utf8_lossy(shown);
    let shown = shown.trim_end_matches(char::REPLACEMENT_CHARACTER);
    let missing = line.len().saturating_sub(shown.len());
    let mut text = match format {
        LogFormat::Text => format!("{shown}… ({missing} more bytes)"),
        LogFormat::Json => serde_json::json!({
            "level": "WARN", "target": TARGET,
            "message": "a log line was too long and is cut", "line": shown, "missing_bytes": missing,
        })
        .to_string(),
    };
    // Escapes of control characters are six times as long.
    if LINE_BYTES_MAX <= text.len() {
        text = serde_json::json!({
            "level": "WARN", "target": TARGET,
            "message": "a log line was too long and is left out", "missing_bytes": line.len(),
        })
        .to_string();
    }
    text.push('\n');
    text.into_bytes()
}

impl<'q> MakeWriter<'q> for LogQueue {
    type Writer = LineWriter<'q>;

    fn make_writer(&'q self) -> LineWriter<'q> {
        LineWriter { queue: self, kind: LineKind::Event }
    }

    fn make_writer_for(&'q self, meta: &Metadata<'_>) -> LineWriter<'q> {
        // The line about dropped lines has the room of audit records: otherwise it would be the next
        // one that is dropped.
        let kind = if [audit::TARGET, TARGET].contains(&meta.target()) { LineKind::Audit } else { LineKind::Event };
        LineWriter { queue: self, kind }
    }
}

/// Queues what is written; each write is one line. Never fails.
#[derive(Debug)]
pub(super) struct LineWriter<'q> {
    queue: &'q LogQueue,
    kind: LineKind,
}

impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.queue.push(line, self.kind);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, PipeReader, Read as _};
    use std::os::fd::OwnedFd;

    use super::*;

    fn queue(format: LogFormat) -> (LogQueue, PipeReader) {
        let (reader, writer) = io::pipe().unwrap();
        (LogQueue::start(File::from(OwnedFd::from(writer)), format).unwrap(), reader)
    }

    /// The same for a log that takes nothing until it is read.
    fn blocked(format: LogFormat) -> (LogQueue, PipeReader) {
        let (reader, writer) = io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        while (&writer).write(b"xxxxxxxxxxxxxxx\n").is_ok() {}
        rustix::io::ioctl_fionbio(&writer, false).unwrap();
        (LogQueue::start(File::from(OwnedFd::from(writer)), format).unwrap(), reader)
    }

    /// The bytes and lines that wait.
    fn waiting(queue: &LogQueue) -> (usize, usize) {
        let waiting = queue.shared.lock();
        (waiting.bytes, waiting.lines)
    }

    #[test]
    fn lines_are_written_in_their_order() {
        let (queue, reader) = queue(LogFormat::Text);
        for number in 0..1_000 {
            queue.push(format!("line {number}\n").as_bytes(), LineKind::Event);
        }
        let lines: Vec<_> = BufReader::new(reader).lines().take(1_000).map(Result::unwrap).collect();
        assert!(lines.iter().enumerate().all(|(number, line)| *line == format!("line {number}")), "{lines:?}");
        queue.flush(Duration::from_secs(20));
        assert_eq!(waiting(&queue), (0, 0));
    }

    #[test]
    fn nobody_waits_for_a_log_that_is_not_read_and_it_is_bounded_in_lines_and_in_bytes() {
        for line in ["x\n".to_owned(), format!("{}\n", "x".repeat(LINE_BYTES_MAX - 1))] {
            let (queue, mut reader) = blocked(LogFormat::Text);
            let begun = Instant::now();
            for _ in 0..10_000 {
                queue.push(line.as_bytes(), LineKind::Event);
            }
            let (bytes, lines) = waiting(&queue);
            assert!(bytes <= QUEUE_BYTES_MAX && lines <= QUEUE_LINES_MAX, "{bytes} bytes in {lines} lines");
            // An audit record still has room.
            queue.push(b"audit\n", LineKind::Audit);
            assert_eq!(waiting(&queue).1, lines + 1);
            for _ in 0..10_000 {
                queue.push(line.as_bytes(), LineKind::Audit);
            }
            let (bytes, lines) = waiting(&queue);
            assert!(bytes <= QUEUE_BYTES_MAX + AUDIT_BYTES_MAX, "{bytes}");
            assert!(lines <= QUEUE_LINES_MAX + AUDIT_LINES_MAX, "{lines}");
            queue.flush(Duration::from_millis(10));
            assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
            assert!(0 < queue.shared.lock().dropped);
            // Once it is read, there is room again.
            let read = thread::spawn(move || io::copy(&mut reader.by_ref().take(2 * 1024 * 1024), &mut io::sink()));
            let emptied = Instant::now();
            while waiting(&queue).1 != 0 && emptied.elapsed() < Duration::from_secs(20) {
                queue.flush(Duration::from_secs(1));
            }
            assert_eq!(waiting(&queue), (0, 0));
            drop(read);
        }
    }

    #[test]
    fn a_log_that_is_closed_costs_its_lines_and_nothing_else() {
        let (queue, reader) = queue(LogFormat::Text);
        drop(reader);
        for _ in 0..10 {
            queue.push(b"lost\n", LineKind::Event);
            queue.flush(Duration::from_secs(20));
            assert_eq!(waiting(&queue), (0, 0));
        }
        assert_eq!(queue.shared.lock().dropped, 10);
    }

    #[test]
    fn a_long_line_is_cut_and_stays_one_line() {
        let long = |character: &str| format!("{}\n", character.repeat(LINE_BYTES_MAX));
        for line in [long("x"), long("界"), long("\u{1b}"), long("\"")] {
            for format in [LogFormat::Text, LogFormat::Json] {
                let text = String::from_utf8(cut(line.as_bytes(), format)).unwrap();
                assert!(text.len() <= LINE_BYTES_MAX && text.ends_with('\n') && text.lines().count() == 1);
                if format == LogFormat::Json {
                    let object: serde_json::Value = serde_json::from_str(&text).unwrap();
                    assert!(object["missing_bytes"].as_u64().is_some_and(|missing| 1_000 < missing), "{object}");
                }
            }
        }
    }
}
