//! Counts with their nouns, for people.

use std::fmt::Display;

/// Writes a count with its noun, which takes an `s` for any count but one: `1 rule`, `0 rules`.
#[must_use]
pub fn counted<N: Display + PartialEq + From<u8>>(count: N, noun: &str) -> String {
    let ending = if count == N::from(1) { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_thing_is_singular() {
        assert_eq!(
            [counted(0_u64, "rule"), counted(1_u64, "rule"), counted(2_u64, "rule")],
            ["0 rules", "1 rule", "2 rules"]
        );
    }
}
