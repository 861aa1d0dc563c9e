//! Evidence as a plan sees it: kinds with their conditions, requirements written out.

use smallvec::{SmallVec, smallvec};

use crate::domain::facts::FactId;
use crate::domain::time::Elapsed;
use crate::plan::vocabulary::Labels;

/// A kind of evidence.
#[derive(Clone, PartialEq, Debug)]
pub struct EvidenceKind {
    /// Its name for people.
    pub label: Labels,
    /// Conditions for a piece of it to count; `None`: any piece of it counts.
    pub conditions: Option<Conditions>,
}

/// Conditions for a piece of a kind to count.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Conditions {
    /// Media types allowed; empty: any.
    pub media: Vec<MediaRange>,
    /// The largest size allowed, in bytes.
    pub max_bytes: Option<i64>,
    /// It must not be captured before this moment.
    pub captured_after: Option<FactId>,
    /// It must not be captured after this moment.
    pub captured_before: Option<FactId>,
    /// It must not be captured longer than this before the request.
    pub max_age: Option<Elapsed>,
    /// Fields that it must fill.
    pub fields: Vec<String>,
    /// Treatment of a piece that does not say what the other conditions are about.
    pub unstated: Unstated,
}

/// Treatment of a piece that does not say its media type or time of capture where there is a
/// condition on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Unstated {
    /// It counts: only what is said is checked against the condition.
    #[default]
    Accepted,
    /// It does not count.
    Rejected,
}

/// `image/png`, or all of a family: `image/*`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MediaRange {
    /// One type.
    Type(String),
    /// Every type that begins so, up to and including the slash.
    Family(String),
}

/// Evidence required: any one of these sets of pieces suffices.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Requirement {
    /// Its name in the policy.
    pub name: String,
    /// Sets of pieces by their kinds; none contains another; smallest first.
    pub alternatives: Vec<Pieces>,
}

/// So many pieces of some kinds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pieces {
    /// The kinds, one bit each: at least one piece of each.
    pub kinds: u64,
    /// The kinds of which there are several: how many beside the first one; in the order of the kinds.
    pub more: SmallVec<[(u16, u16); 1]>,
}

impl Pieces {
    /// So many pieces of one kind.
    #[must_use]
    pub fn of(kind: u16, pieces: u16) -> Self {
        let kinds = if pieces == 0 { 0 } else { 1u64.checked_shl(u32::from(kind)).unwrap_or(0) };
        let more = if 1 < pieces { smallvec![(kind, pieces - 1)] } else { SmallVec::new() };
        Self { kinds, more }
    }

    /// Number of pieces of a kind.
    #[must_use]
    pub fn count(&self, kind: u16) -> u16 {
        match 1u64.checked_shl(u32::from(kind)) {
            Some(bit) if self.kinds & bit != 0 => {
                1 + self.more.iter().find(|(more, _)| *more == kind).map_or(0, |(_, more)| *more)
            }
            Some(_) | None => 0,
        }
    }

    /// The kinds with their numbers of pieces, in order.
    pub fn counts(&self) -> impl Iterator<Item = (u16, u16)> {
        (0..64u16).filter(|kind| self.kinds >> kind & 1 == 1).map(|kind| (kind, self.count(kind)))
    }

    /// Number of pieces in all.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.kinds.count_ones() + self.more.iter().map(|(_, more)| u32::from(*more)).sum::<u32>()
    }

    /// Returns `true` if it holds all pieces of the other one.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        other.kinds & self.kinds == other.kinds && other.more.iter().all(|(kind, more)| *more < self.count(*kind))
    }

    /// Enough for both: of each kind as many as the one that has more.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let mut both = Self { kinds: self.kinds | other.kinds, more: self.more.clone() };
        for (kind, more) in &other.more {
            match both.more.iter_mut().find(|(known, _)| known == kind) {
                Some((_, known)) => *known = (*known).max(*more),
                None => both.more.push((*kind, *more)),
            }
        }
        both.more.sort_unstable();
        both
    }
}

impl MediaRange {
    /// Finds a media type in the range. Parameters and case do not count; a family alone, such as `image/`, is none.
    #[must_use]
    pub fn contains(&self, media_type: &str) -> bool {
        let essence = media_type.split(';').next().unwrap_or("").trim();
        match self {
            Self::Type(wanted) => essence.eq_ignore_ascii_case(wanted),
            Self::Family(prefix) => essence
                .split_at_checked(prefix.len())
                .is_some_and(|(family, subtype)| family.eq_ignore_ascii_case(prefix) && is_media_token(subtype)),
        }
    }
}

/// Tells the form of a type or subtype of media (RFC 6838, section 4.2): letters, digits and a few signs.
#[must_use]
pub fn is_media_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_holds_the_types_in_it_and_no_part_of_a_name() {
        let images = MediaRange::Family("image/".into());
        for media_type in ["image/png", "IMAGE/PNG", "image/svg+xml", " image/png ; q=1"] {
            assert!(images.contains(media_type), "{media_type}");
        }
        for media_type in ["", "image", "image/", "image/*", "image/ png", "image/a/b", "imagé/png", "video/mp4"] {
            assert!(!images.contains(media_type), "{media_type}");
        }
    }
}
