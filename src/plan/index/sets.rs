//! Sets of rules: one word where it holds them all, otherwise three levels of 64.
//!
//! A rule's place is read as three digits of 64: the group, the word in it, the bit in that. Each
//! level has one bit for what is not empty below, and only what is not empty is stored; so an
//! intersection skips thousands of rules with one word, and a small set of many rules is small.

/// The rules that the values of one fact leave.
#[derive(Clone, PartialEq, Debug)]
pub enum Kept {
    /// Of up to [`FEW_RULES`]: one bit each.
    Few {
        /// The rules left where the fact is missing.
        absent: u64,
        /// The rules left by each class.
        of_class: Vec<u64>,
    },
    /// Of more rules: sets, by their places in the rows of the index.
    Many {
        /// The rules left where the fact is missing.
        absent: u32,
        /// The rules left whatever value the fact has.
        always: u32,
        /// For each class, the further rules left.
        of_class: Vec<u32>,
    },
}

/// So many rules are one bit each of a word.
pub const FEW_RULES: usize = 64;

/// Sets of many rules.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Rows {
    rows: Vec<Row>,
    groups: Vec<Group>,
    words: Vec<u64>,
}

/// One set.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Row {
    /// The groups that are not empty.
    filled: u64,
    /// Position at which they begin.
    groups: u32,
}

/// The words of 4096 rules.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Group {
    /// The words that are not empty.
    filled: u64,
    /// Position at which they begin.
    words: u32,
}

/// The most rules that three levels of 64 hold.
pub const RULES_MAX: usize = 64 * 64 * 64;

const _: () = assert!(crate::domain::limits::RULES_MAX <= RULES_MAX, "every rule of a policy has a place");

/// Two sets of which a rule must be in one.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'i> {
    rows: &'i Rows,
    own: Row,
    always: Row,
}

/// The set of the first so many rules.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Full(pub u32);

const NONE: Row = Row { filled: 0, groups: 0 };

impl Kept {
    /// Size in bytes, without the rows.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Few { absent: _, of_class } => size_of_val(of_class.as_slice()),
            Self::Many { absent: _, always: _, of_class } => size_of_val(of_class.as_slice()),
        }
    }
}

impl Rows {
    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        size_of_val(self.rows.as_slice()) + size_of_val(self.groups.as_slice()) + size_of_val(self.words.as_slice())
    }

    /// Adds the set of these words, which are given with their places, in order, without empty ones.
    pub fn add(&mut self, words: impl Iterator<Item = (usize, u64)>) -> u32 {
        let mut row = Row { filled: 0, groups: place(self.groups.len()) };
        for (at, word) in words {
            let (group, bit) = (at / 64, at % 64);
            if row.filled >> group & 1 == 0 {
                row.filled |= 1 << group;
                self.groups.push(Group { filled: 0, words: place(self.words.len()) });
            }
            if let Some(group) = self.groups.last_mut() {
                group.filled |= 1 << bit;
            }
            self.words.push(word);
        }
        self.rows.push(row);
        place(self.rows.len() - 1)
    }

    /// Two sets of which a rule must be in one.
    pub fn pair(&self, own: Option<u32>, always: Option<u32>) -> Pair<'_> {
        let row = |place: Option<u32>| place.and_then(|place| self.rows.get(place as usize)).copied().unwrap_or(NONE);
        Pair { rows: self, own: row(own), always: row(always) }
    }

    fn group(&self, row: Row, group: u32) -> Group {
        if row.filled >> group & 1 == 0 {
            return Group { filled: 0, words: 0 };
        }
        let at = row.groups + before(row.filled, group);
        self.groups.get(at as usize).copied().unwrap_or(Group { filled: 0, words: 0 })
    }

    fn word(&self, group: Group, word: u32) -> u64 {
        if group.filled >> word & 1 == 0 {
            return 0;
        }
        let at = group.words + before(group.filled, word);
        self.words.get(at as usize).copied().unwrap_or(0)
    }
}

/// Number of bits set below one.
fn before(bits: u64, bit: u32) -> u32 {
    (bits & !(u64::MAX << bit)).count_ones()
}

/// The builder's budget keeps every place far below 2^32.
fn place(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

impl Pair<'_> {
    fn groups(&self) -> u64 {
        self.own.filled | self.always.filled
    }

    fn words(&self, group: u32) -> u64 {
        self.rows.group(self.own, group).filled | self.rows.group(self.always, group).filled
    }

    fn word(&self, group: u32, word: u32) -> u64 {
        self.rows.word(self.rows.group(self.own, group), word)
            | self.rows.word(self.rows.group(self.always, group), word)
    }
}

impl Full {
    /// The first rule from a place on that is in every pair.
    pub fn first(self, from: u32, pairs: &[Pair<'_>]) -> Option<u32> {
        if self.0 <= from {
            return None;
        }
        let [first_group, first_word, first_bit] = [from >> 12, from >> 6 & 63, from & 63];
        let groups = pairs.iter().fold(self.groups() & u64::MAX << first_group, |left, pair| left & pair.groups());
        for group in ones(groups) {
            let begin = if group == first_group { first_word } else { 0 };
            let words = pairs.iter().fold(self.words(group) & u64::MAX << begin, |left, pair| left & pair.words(group));
            for word in ones(words) {
                let begin = if (group, word) == (first_group, first_word) { first_bit } else { 0 };
                let all = self.word(group, word) & u64::MAX << begin;
                let bits = pairs.iter().fold(all, |left, pair| left & pair.word(group, word));
                if bits != 0 {
                    return Some(group << 12 | word << 6 | bits.trailing_zeros());
                }
            }
        }
        None
    }

    fn groups(self) -> u64 {
        lowest(self.0.div_ceil(64 * 64))
    }

    fn words(self, group: u32) -> u64 {
        lowest(self.0.saturating_sub(group << 12).div_ceil(64))
    }

    /// One of its words.
    #[inline]
    pub fn word(self, group: u32, word: u32) -> u64 {
        lowest(self.0.saturating_sub(group << 12 | word << 6))
    }
}

/// The lowest so many bits; all where there are more.
#[inline]
fn lowest(count: u32) -> u64 {
    u64::MAX.checked_shl(count).map_or(u64::MAX, |above| !above)
}

/// The places of the bits that are set.
fn ones(bits: u64) -> impl Iterator<Item = u32> {
    let mut left = bits;
    std::iter::from_fn(move || {
        let first = (left != 0).then(|| left.trailing_zeros());
        left &= left.wrapping_sub(1);
        first
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_so_many_rules_are_these_and_none_beyond() {
        for count in [0, 1, 63, 64, 65, 4_095, 4_096, 4_097, 4_160, 9_000] {
            let full = Full(count);
            let after = |place: &u32| full.first(place + 1, &[]);
            let named = std::iter::successors(full.first(0, &[]), after).take(count as usize + 1);
            assert!(named.eq(0..count), "the first {count} rules");
        }
    }

    #[test]
    fn rows_take_room_for_each_row_and_its_groups_and_words() {
        let mut rows = Rows::default();
        assert_eq!(rows.bytes(), 0);
        rows.add([(0, 1), (1, 1), (64, 1)].into_iter());
        rows.add([(4_095, 1)].into_iter());
        assert_eq!(rows.bytes(), 2 * size_of::<Row>() + 3 * size_of::<Group>() + 4 * size_of::<u64>());
    }
}
