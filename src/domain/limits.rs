//! The bounds of what one request or one bundle may hold.
//!
//! Every bound has a unit in its name and a reason. A request or a policy past a bound is an
//! error that names the bound; nothing is ever cut to fit.

/// Largest amount of money in one field, in minor units: 10 trillion of a two-decimal currency.
/// Keeps every sum of a whole order (`LINES_MAX` of them) far inside an `i64`.
pub const AMOUNT_MINOR_UNITS_MAX: i64 = 1_000_000_000_000_000;

/// Lines in one order. The largest baskets published by marketplaces stay below two hundred.
pub const LINES_MAX: usize = 256;

/// Ways one order was paid.
pub const TENDERS_MAX: usize = 32;

/// Components (shipping, tax, …) of one order.
pub const COMPONENTS_MAX: usize = 64;

/// Amounts of earlier answers named with one order: eight for each of the most lines.
pub const EARLIER_MAX: usize = 8 * LINES_MAX;

/// Pieces of evidence with one claim.
pub const EVIDENCE_MAX: usize = 256;

/// Promised/actual pairs in one claim.
pub const PROMISED_ACTUAL_MAX: usize = 64;

/// Free text of a claim, in bytes of UTF-8. Longer than any complaint form allows.
pub const CLAIM_TEXT_BYTES_MAX: usize = 16 * 1024;

/// An id, slug or other short string of a request, in bytes of UTF-8.
pub const SHORT_TEXT_BYTES_MAX: usize = 256;

/// Entries of one map or list of short values in a request (inputs, times, tags, evidence fields).
pub const ENTRIES_MAX: usize = 128;

/// Bad fields of one request that are put into words; the rest is counted. Nobody reads more, and to write
/// thousands takes longer than to decide.
pub const VIOLATIONS_MAX: usize = 100;

/// Decimal places of a number in a request or a policy. Exact arithmetic pays for each of them.
pub const DECIMAL_PLACES_MAX: usize = 12;

/// Digits before the decimal point of a number in a request or a policy.
pub const DECIMAL_DIGITS_MAX: usize = 18;

/// Size of one file of a bundle, in bytes: room for [`RULES_MAX`] rules of a table of five columns.
pub const FILE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Size of all files of a bundle together, in bytes.
pub const BUNDLE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Files in one bundle.
pub const BUNDLE_FILES_MAX: usize = 1_024;

/// Nesting of a policy file. The language needs eight levels; the rest is room for evidence trees.
pub const YAML_DEPTH_MAX: usize = 24;

/// Values in one policy file, each scalar, list and mapping counting one.
pub const YAML_NODES_MAX: usize = 4_000_000;

/// Values in all policies, fragments, layers and calendars of a bundle, and as many in all its cases. Each takes about
/// a hundred bytes while a bundle is read.
pub const BUNDLE_NODES_MAX: usize = 6_000_000;

/// Values that fragments and layers come to in a bundle, once for each policy that uses them: a thousand for each of
/// as many policies as there may be files. Each takes one to two hundred bytes, however small the bundle is.
pub const SHARED_NODES_MAX: usize = 1_000_000;

/// Bytes of text that fragments and layers come to in a bundle, once for each policy that uses them. An automaton of
/// phrases takes twenty times its text.
pub const SHARED_TEXT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of one text in a policy file: more than any label, note or claim of a case needs.
pub const SCALAR_BYTES_MAX: usize = 64 * 1024;

/// Rules in one policy.
pub const RULES_MAX: usize = 100_000;

/// Facts that one policy may derive. They live in one fixed table while a line is decided.
pub const DERIVED_FACTS_MAX: usize = 128;

/// Length of one formula, in bytes.
pub const FORMULA_BYTES_MAX: usize = 1_024;

/// Nesting of one formula; also the depth of the stack that evaluates it.
pub const FORMULA_DEPTH_MAX: usize = 32;

/// Words in one open set (reasons, channels, product types, the values of an enum, …).
pub const VOCABULARY_WORDS_MAX: usize = 4_096;

/// Units of account of one policy: all of ISO 4217 fit.
pub const CURRENCIES_MAX: usize = 256;

/// Languages of one policy's labels. Every label is written in each.
pub const LANGUAGES_MAX: usize = 64;

/// Words in an open set that a fact may hold several of at once (tags), and kinds of evidence:
/// they are held as the bits of one `u64`.
pub const SET_WORDS_MAX: usize = 64;

/// Alternatives that one evidence requirement may come to when written out.
pub const EVIDENCE_ALTERNATIVES_MAX: usize = 64;

/// Phrases in a policy's text lists, and characters in its fold table.
pub const PHRASES_MAX: usize = 4_096;

/// One phrase of a text list, in bytes: an automaton has a state for each, and some have a table of a kibibyte for each state.
pub const PHRASE_BYTES_MAX: usize = 256;

/// Business or calendar days in a review or payout window.
pub const WINDOW_DAYS_MAX: u16 = 400;

/// Mistakes reported for one bundle before the rest is only counted.
pub const DIAGNOSTICS_MAX: usize = 200;

/// Errors noted while a bundle is read, and as many warnings; what comes after these is not even counted.
pub const DIAGNOSTICS_COLLECTED_MAX: usize = 2_000;

/// Longest quotation of an author's words in a message, in characters.
pub const QUOTE_CHARS_MAX: usize = 160;

/// Longest message of a diagnostic, and longest help, in characters: a screen of text.
pub const MESSAGE_CHARS_MAX: usize = 2_000;

const _: () = assert!(
    AMOUNT_MINOR_UNITS_MAX < i64::MAX / (2 * (LINES_MAX + COMPONENTS_MAX) as i64),
    "the sum over an order must not overflow"
);
const _: () = assert!(SET_WORDS_MAX <= u64::BITS as usize, "a set is one u64");
const _: () = assert!(FILE_BYTES_MAX <= BUNDLE_BYTES_MAX, "a file is part of a bundle");
