//! The names of callers as labels of metrics: a bounded set, whatever callers say of themselves.

use std::sync::OnceLock;

/// Callers that get a series of their own; the rest share `other`. With every method and status code
/// of the data service, all series of requests stay below two thirds of [`SERIES_MAX`].
pub const NAMED_CALLERS_MAX: usize = 64;

/// Bytes of a name that becomes a label.
pub const CALLER_NAME_BYTES_MAX: usize = 64;

/// Series of the whole page of metrics, whatever callers do: what a collector takes from one process without complaint.
pub const SERIES_MAX: usize = 10_000;

/// Labels of callers: the named ones, `unnamed` and `other`.
pub(super) const LABELS_MAX: usize = NAMED_CALLERS_MAX + 2;

/// The label of callers without a name.
const UNNAMED: &str = "unnamed";

/// The label of callers whose name has no series of its own.
const OTHER: &str = "other";

/// The names, in the order in which they were first seen. A place is filled once and stays.
static NAMES: [OnceLock<Box<str>>; NAMED_CALLERS_MAX] = [const { OnceLock::new() }; NAMED_CALLERS_MAX];

/// The label of a caller in metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallerLabel(u8);

impl CallerLabel {
    /// A caller without a name.
    pub const UNNAMED: Self = Self(0);

    /// A caller whose name has no series of its own.
    pub const OTHER: Self = Self(1);

    const FIRST_NAMED: u8 = 2;

    /// The label of this name: its own for the first [`NAMED_CALLERS_MAX`] names that are at most
    /// [`CALLER_NAME_BYTES_MAX`] long and of printable ASCII, [`Self::OTHER`] for the rest. To be asked
    /// once for a connection or a call; compares the names one by one, without a lock.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        match name {
            "" | UNNAMED => return Self::UNNAMED,
            OTHER => return Self::OTHER,
            _ => {}
        }
        if CALLER_NAME_BYTES_MAX < name.len() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Self::OTHER;
        }
        let index = NAMES.iter().position(|known| **known.get_or_init(|| name.into()) == *name);
        index.and_then(|index| u8::try_from(index).ok()).map_or(Self::OTHER, |index| Self(index + Self::FIRST_NAMED))
    }

    /// The value of the label `caller`.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::UNNAMED => UNNAMED,
            Self(index) => {
                let named = index.checked_sub(Self::FIRST_NAMED).and_then(|index| NAMES.get(usize::from(index)));
                named.and_then(OnceLock::get).map_or(OTHER, |name| name)
            }
        }
    }

    /// The position among all labels.
    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }

    /// The labels in use, by their positions.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let named = NAMES.iter().take_while(|name| name.get().is_some()).count();
        (0..=u8::MAX).map(Self).take(usize::from(Self::FIRST_NAMED) + named)
    }
}

const _: () = assert!(LABELS_MAX <= u8::MAX as usize, "the position of a label fits a byte");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels_until_there_are_too_many() {
        let shop = CallerLabel::of_name("shop");
        assert_eq!((shop, shop.text()), (CallerLabel::of_name("shop"), "shop"));
        for unnamed in ["", "unnamed"] {
            assert_eq!(CallerLabel::of_name(unnamed), CallerLabel::UNNAMED);
        }
        let long = "x".repeat(CALLER_NAME_BYTES_MAX + 1);
        for other in ["other", "a b", "\u{202e}x", "a\nb", "é", long.as_str()] {
            assert_eq!(CallerLabel::of_name(other), CallerLabel::OTHER, "{other:?}");
        }
        for number in 0..2 * NAMED_CALLERS_MAX {
            let name = format!("caller-{number}");
            let label = CallerLabel::of_name(&name);
            assert!(label == CallerLabel::OTHER || label.text() == name, "{name} is {}", label.text());
        }
        assert_eq!(CallerLabel::of_name("one-too-many"), CallerLabel::OTHER);
        assert_eq!(CallerLabel::of_name("shop"), shop);
        let texts: std::collections::BTreeSet<_> = CallerLabel::all().map(CallerLabel::text).collect();
        assert_eq!(texts.len(), LABELS_MAX, "no two labels read the same");
    }
}
