//! Names of the fields of a request in messages, and ids that were met: nothing is written or hashed
//! for a request without mistakes.

use std::collections::HashSet;
use std::fmt::{self, Display, Write as _};

use smallvec::SmallVec;

use crate::domain::printable::write_character;

/// A caller's text as far as a message shows it, written only where there is a message.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a>(pub(super) &'a str);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_CHARACTERS_MAX: usize = 64;
        for character in self.0.chars().take(SHOWN_CHARACTERS_MAX) {
            write_character(f, character)?;
        }
        if self.0.chars().nth(SHOWN_CHARACTERS_MAX).is_some() {
            f.write_char('…')?;
        }
        Ok(())
    }
}

/// Reason why a second one cannot have this id.
pub(super) struct Twice<'a> {
    pub(super) id: &'a str,
    /// Kind of things that have such ids.
    pub(super) of: &'a str,
}

impl Display for Twice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, of } = self;
        if id.is_empty() {
            write!(f, "must be given where there are several {of}")
        } else {
            write!(f, "`{}` stands twice", Shown(id))
        }
    }
}

/// Several texts, with something between them.
pub(super) struct Joined<'a, I>(pub(super) I, pub(super) &'a str);

impl<'t, I: Iterator<Item = &'t str> + Clone> Display for Joined<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(texts, between) = self;
        for (place, text) in texts.clone().enumerate() {
            write!(f, "{}{text}", if place == 0 { "" } else { between })?;
        }
        Ok(())
    }
}

/// A field of one entry of a list, written only where there is a message.
#[derive(Clone, Copy)]
pub(super) struct Of<'a> {
    /// The list, by its path.
    pub(super) list: &'a str,
    /// The place of the entry.
    pub(super) at: usize,
    /// The field of the entry.
    pub(super) name: &'a str,
}

impl Display for Of<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { list, at, name } = self;
        write!(f, "{list}[{at}].{name}")
    }
}

/// The ids met so far. A handful is compared one by one; only of more are hashes taken.
#[derive(Default)]
pub(super) struct Seen<'a> {
    few: SmallVec<[&'a str; 8]>,
    many: Option<HashSet<&'a str>>,
}

impl<'a> Seen<'a> {
    /// Adds an id; says whether it is new.
    pub(super) fn insert(&mut self, id: &'a str) -> bool {
        if self.few.len() < self.few.inline_size() {
            let new = !self.contains(id);
            if new {
                self.few.push(id);
            }
            return new;
        }
        !self.few.contains(&id) && self.many.get_or_insert_default().insert(id)
    }

    /// Returns true if an id was met.
    pub(super) fn contains(&self, id: &str) -> bool {
        self.few.contains(&id) || self.many.as_ref().is_some_and(|many| many.contains(id))
    }
}
