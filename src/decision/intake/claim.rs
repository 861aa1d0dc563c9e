//! The customer's request and words, and the material that goes with them.

use smallvec::SmallVec;

use crate::decision::field::{Of, Seen, Shown};
use crate::decision::intake::Intake;
use crate::domain::facts::{About, ClaimFacts, Comparison, Coverage, EvidenceFacts};
use crate::domain::limits::ENTRIES_MAX;
use crate::domain::money::Amount;
use crate::domain::printable::is_blank;
use crate::domain::request::{Claim, Evidence, Order, PromisedActual};
use crate::plan::vocabulary::VocabularyId;

impl Intake<'_> {
    /// The claim; `None` only where the moment of the request is missing.
    pub(super) fn claim<'a>(&mut self, order: &Order<'a>, claim: &Claim<'a>) -> Option<ClaimFacts<'a>> {
        let Claim {
            request_type: _,
            reason,
            liable_party: _,
            text,
            promised_actual,
            evidence,
            channel: _,
            requested_at,
            requested_amount,
            line_ids,
            components,
        } = claim;
        if requested_at.is_none() {
            self.bad("claim.requested_at", "is mandatory: the service has no clock of its own");
        }
        let requested_amount = self.amount(*requested_amount, "claim.requested_amount");
        if requested_amount == Some(Amount::ZERO) {
            self.bad("claim.requested_amount", "must be above zero; leave it out to ask for all that can be had");
        }
        let reason = self.word(reason, VocabularyId::REASON, "claim.reason");
        let evidence = self.evidence(order, evidence);
        Some(ClaimFacts {
            requested_at: (*requested_at)?,
            reason,
            text,
            comparison: comparison(promised_actual),
            evidence,
            requested_amount,
            lines: about_lines(line_ids, components),
        })
    }

    fn evidence<'a>(&mut self, order: &Order<'a>, pieces: &[Evidence<'a>]) -> SmallVec<[EvidenceFacts<'a>; 2]> {
        let mut seen = Seen::default();
        let mut facts = SmallVec::new();
        // Which piece of the claim each of the facts is about.
        let mut places: SmallVec<[usize; 8]> = SmallVec::new();
        for (at, piece) in pieces.iter().enumerate() {
            let field = |name| Of { list: "claim.evidence", at, name };
            let Evidence { id, kind, media_type, size_bytes, sha256, captured_at, order_id, source, fields } = piece;
            if !id.is_empty() && !seen.insert(id) {
                self.bad(field("evidence_id"), format_args!("`{}` stands twice", Shown(id)));
            }
            if kind.is_empty() {
                self.bad(field("kind"), "is mandatory");
            }
            if *size_bytes < 0 {
                self.bad(field("size_bytes"), format_args!("must not be negative, got {size_bytes}"));
            }
            let hex = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !sha256.is_empty() && !hex {
                self.bad(field("sha256"), "must be 64 hexadecimal digits");
            }
            self.count(fields.len(), ENTRIES_MAX, field("fields"));
            self.short(id, field("evidence_id"));
            self.short(media_type, field("media_type"));
            self.short(order_id, field("order_id"));
            self.short(source, field("source"));
            let about = if order_id.is_empty() || order.id.is_empty() || *order_id == order.id {
                About::ThisOrder
            } else {
                About::AnotherOrder
            };
            let filled = fields.iter().filter(|(_, value)| !is_blank(value)).map(|(name, _)| *name).collect();
            if let Some(kind) = self.word(kind, VocabularyId::EVIDENCE_KIND, field("kind")) {
                places.push(at);
                facts.push(EvidenceFacts {
                    id,
                    kind,
                    media_type,
                    size_bytes: *size_bytes,
                    file: same_file(sha256, pieces, at, &places),
                    captured_at: *captured_at,
                    about,
                    fields: filled,
                });
            }
        }
        facts
    }
}

/// The first of the pieces so far that is the same file as the last of them: the one with the same digest.
fn same_file(sha256: &str, pieces: &[Evidence<'_>], at: usize, places: &[usize]) -> u16 {
    let same = |other: &usize| {
        pieces
            .get(*other)
            .is_some_and(|piece| *other == at || !sha256.is_empty() && piece.sha256.eq_ignore_ascii_case(sha256))
    };
    places.iter().position(same).and_then(|first| u16::try_from(first).ok()).unwrap_or(u16::MAX)
}

/// Coverage of lines by a claim: it is about all of them where it names none, unless it names components alone.
pub(super) fn about_lines(line_ids: &[&str], components: &[&str]) -> Coverage {
    if line_ids.is_empty() && !components.is_empty() { Coverage::NotClaimed } else { Coverage::Claimed }
}

/// A pair counts where both sides say something.
fn comparison(pairs: &[PromisedActual<'_>]) -> Comparison {
    let both = |pair: &PromisedActual<'_>| !is_blank(pair.promised) && !is_blank(pair.actual);
    if pairs.iter().any(both) { Comparison::Given } else { Comparison::NotGiven }
}
