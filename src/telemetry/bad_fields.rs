//! Fields of requests that could not be accepted: the first sign of a caller and a policy that no
//! longer agree. Counted by the field's path, never by what stood in it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::telemetry::log_limit::LogLimiter;

/// The label of a field that is not among the declared ones.
const OTHER: &str = "other";

/// Fields that a log line names.
const FIELDS_SHOWN_MAX: usize = 5;

static COUNTERS: OnceLock<Counters> = OnceLock::new();

/// Fields that are not declared, and all fields before any is.
static OTHERS: AtomicU64 = AtomicU64::new(0);

/// A counter for each declared path, sorted by path.
struct Counters(Box<[(Box<str>, AtomicU64)]>);

/// Names the paths that are counted, without indexes and with `[]` for the key of a map: all others
/// count as `other`. Only the first declaration of a process counts.
pub fn declare(paths: impl IntoIterator<Item = String>) {
    COUNTERS.get_or_init(|| {
        let mut paths: Vec<String> = paths.into_iter().collect();
        paths.sort_unstable();
        paths.dedup();
        Counters(paths.into_iter().map(|path| (path.into_boxed_str(), AtomicU64::new(0))).collect())
    });
}

/// Counts the fields that made one request unacceptable, by their paths as the caller is told them:
/// `order.lines[3].inputs["grade"]`. Writes a line about them unless there were many.
pub fn record<'f>(fields: impl IntoIterator<Item = &'f str>) {
    static LIMITER: LogLimiter = LogLimiter::new();
    let labels: Vec<&'static str> = fields.into_iter().map(count).collect();
    let Some(suppressed) = LIMITER.permit() else { return };
    let mut shown = labels.clone();
    shown.sort_unstable();
    shown.dedup();
    shown.truncate(FIELDS_SHOWN_MAX);
    tracing::info!(fields = shown.join(", "), bad = labels.len(), suppressed, "a request had bad fields");
}

/// Counts one field; gives its label.
fn count(field: &str) -> &'static str {
    let counter = COUNTERS.get().and_then(|counters| counters.find(&without_indexes(field)));
    let (label, counter) = counter.unwrap_or((OTHER, &OTHERS));
    counter.fetch_add(1, Relaxed);
    label
}

impl Counters {
    fn find(&self, path: &str) -> Option<(&str, &AtomicU64)> {
        let found = self.0.binary_search_by(|(known, _)| (**known).cmp(path)).ok();
        found.and_then(|index| self.0.get(index)).map(|(path, counter)| (&**path, counter))
    }
}

/// All fields that are counted, and how often each was bad.
pub(super) fn all() -> Vec<(&'static str, u64)> {
    let declared = COUNTERS.get().map(|counters| counters.0.iter()).into_iter().flatten();
    let declared = declared.map(|(path, counter)| (&**path, counter.load(Relaxed)));
    declared.chain([(OTHER, OTHERS.load(Relaxed))]).collect()
}

/// A path with `[]` for whatever stands in brackets, be it an index or a key in quotes.
fn without_indexes(path: &str) -> String {
    let mut bare = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('[') {
        bare.push_str(before);
        bare.push_str("[]");
        let end = if after.starts_with('"') { "\"]" } else { "]" };
        rest = after.split_once(end).map_or("", |(_, rest)| rest);
    }
    bare.push_str(rest);
    bare
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_and_keys_are_left_out() {
        for (path, bare) in [
            ("claim.reason", "claim.reason"),
            ("order.lines[3].inputs[\"grade\"]", "order.lines[].inputs[]"),
            ("order.times[\"a]b\"]", "order.times[]"),
            ("order.lines[12]", "order.lines[]"),
            ("order.lines[", "order.lines[]"),
            ("", ""),
        ] {
            assert_eq!(without_indexes(path), bare, "{path}");
        }
    }

    #[test]
    fn a_path_that_was_not_declared_is_no_label() {
        declare(["claim.reason".to_owned(), "order.lines[].stage".to_owned()]);
        let others = OTHERS.load(Relaxed);
        record(["claim.reason", "order.lines[7].stage", "<script>", "order.times[\"x\"].y"]);
        let all = all();
        let labels: Vec<_> = all.iter().map(|(label, _)| *label).collect();
        assert!(labels.contains(&"claim.reason") && labels.contains(&"order.lines[].stage"), "{labels:?}");
        assert!(!labels.iter().any(|label| label.contains("script")), "{labels:?}");
        assert!(others + 2 <= OTHERS.load(Relaxed));
        let counted = |name| all.iter().find(|(label, _)| *label == name).map(|(_, count)| *count);
        assert!(counted("claim.reason").is_some_and(|count| 1 <= count));
    }
}
