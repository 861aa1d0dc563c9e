//! The words that a request may use, as small integers.

use std::collections::HashMap;

/// Identifier of a vocabulary.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct VocabularyId(pub u16);

/// The vocabularies that every plan has, at these places; the enums of inputs and derived facts follow.
impl VocabularyId {
    /// [`crate::domain::words::OrderStage`].
    pub const STAGE: Self = Self(0);
    /// [`crate::domain::words::LiableParty`].
    pub const LIABLE_PARTY: Self = Self(1);
    /// [`crate::domain::words::RequestType`].
    pub const REQUEST_TYPE: Self = Self(2);
    /// Reasons that the policy declares.
    pub const REASON: Self = Self(3);
    /// Channels that the policy declares.
    pub const CHANNEL: Self = Self(4);
    /// Product types that the policy declares.
    pub const PRODUCT_TYPE: Self = Self(5);
    /// Sub-stages that the policy declares.
    pub const SUB_STAGE: Self = Self(6);
    /// Tags that the policy declares.
    pub const TAG: Self = Self(7);
    /// Kinds of evidence that the policy declares.
    pub const EVIDENCE_KIND: Self = Self(8);
    /// Currencies that the policy declares.
    pub const CURRENCY: Self = Self(9);
    /// Components that the policy declares.
    pub const COMPONENT: Self = Self(10);
    /// Amounts of the order, compensations and amounts due, by their names.
    pub const AMOUNT: Self = Self(11);
    /// Number of vocabularies that every plan has.
    pub const FIXED: u16 = 12;
}

/// A set of slugs, each with its place.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Vocabulary {
    /// Name of the vocabulary, for messages: `reason`, `channel`, …
    pub name: String,
    words: Vec<String>,
    places: HashMap<String, u16>,
}

/// All vocabularies of a plan.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Vocabularies(pub Vec<Vocabulary>);

/// A text in each of the policy's languages.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Labels(pub Vec<String>);

/// So many words are looked through one by one.
const FEW_WORDS: usize = 12;

impl Vocabulary {
    /// A vocabulary of these words. A word that stands twice keeps its first place.
    #[must_use]
    pub fn new(name: impl Into<String>, words: impl IntoIterator<Item = String>) -> Self {
        let mut vocabulary = Self { name: name.into(), ..Self::default() };
        for word in words {
            let Ok(place) = u16::try_from(vocabulary.words.len()) else { break };
            if !vocabulary.places.contains_key(&word) {
                vocabulary.places.insert(word.clone(), place);
                vocabulary.words.push(word);
            }
        }
        vocabulary
    }

    /// The place of a word.
    #[must_use]
    pub fn place(&self, word: &str) -> Option<u16> {
        // A handful of words is compared sooner than a hash is taken.
        if self.words.len() <= FEW_WORDS {
            return self.words.iter().position(|known| known == word).and_then(|place| u16::try_from(place).ok());
        }
        self.places.get(word).copied()
    }

    /// The word at a place.
    #[must_use]
    pub fn word(&self, place: u16) -> Option<&str> {
        self.words.get(usize::from(place)).map(String::as_str)
    }

    /// All words, in order.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }
}

impl Vocabularies {
    /// One of the vocabularies.
    #[must_use]
    pub fn get(&self, id: VocabularyId) -> Option<&Vocabulary> {
        self.0.get(usize::from(id.0))
    }

    /// The place of a word in one of the vocabularies.
    #[must_use]
    pub fn place(&self, id: VocabularyId, word: &str) -> Option<u16> {
        self.get(id)?.place(word)
    }

    /// The word at a place of one of the vocabularies; empty where there is none.
    #[must_use]
    pub fn word(&self, id: VocabularyId, place: u16) -> &str {
        self.get(id).and_then(|vocabulary| vocabulary.word(place)).unwrap_or("")
    }
}
