//! The claim, with its comparisons and evidence, as a case gives it.

use crate::cases::given::{Names, find, mapping, quantity, scalar};
use crate::domain::request::{Claim, Evidence, PromisedActual};
use crate::domain::words::{LiableParty, RequestType};
use crate::plan::fact::Dimension;
use crate::policy::diagnostics::Diagnostics;
use crate::policy::tree::{Node, NodeKind};

impl<'c> Names<'_, 'c> {
    pub(super) fn claim(&self, diagnostics: &mut Diagnostics<'_, '_>) -> Claim<'c> {
        Claim {
            request_type: self.word("request_type", "request type", RequestType::ALL, RequestType::as_str, diagnostics),
            reason: self.str("reason", diagnostics),
            liable_party: self.word("liable_party", "liable party", LiableParty::ALL, LiableParty::as_str, diagnostics),
            text: self.str("text", diagnostics),
            promised_actual: self
                .list("promised_actual", diagnostics)
                .iter()
                .map(|node| self.pair(node, diagnostics))
                .collect(),
            evidence: self.list("evidence", diagnostics).iter().map(|node| self.evidence(node, diagnostics)).collect(),
            channel: self.str("channel", diagnostics),
            requested_at: self.moment("requested_at", diagnostics),
            requested_amount: self.money("requested_amount", diagnostics),
            line_ids: self.texts("line_ids", diagnostics),
            components: self.texts("claimed_components", diagnostics),
        }
    }

    fn pair(&self, node: &'c Node, diagnostics: &mut Diagnostics<'_, '_>) -> PromisedActual<'c> {
        let own = mapping(node, &["subject", "promised", "actual"], "a promised/actual pair", diagnostics);
        let text = |name: &str, diagnostics: &mut Diagnostics<'_, '_>| {
            find(own, name).and_then(|node| scalar(node, diagnostics)).map_or("", |(text, _)| text)
        };
        PromisedActual {
            subject: text("subject", diagnostics),
            promised: text("promised", diagnostics),
            actual: text("actual", diagnostics),
        }
    }

    /// A kind alone, or a mapping with more about the piece.
    fn evidence(&self, node: &'c Node, diagnostics: &mut Diagnostics<'_, '_>) -> Evidence<'c> {
        if let NodeKind::Scalar(kind, _) = &node.kind {
            return Evidence { id: kind, kind, ..Evidence::default() };
        }
        let own = mapping(
            node,
            &["evidence_id", "kind", "media_type", "size_bytes", "captured_at", "order_id", "fields", "sha256"],
            "a piece of evidence",
            diagnostics,
        );
        let text = |name: &str, diagnostics: &mut Diagnostics<'_, '_>| {
            find(own, name).and_then(|node| scalar(node, diagnostics))
        };
        let kind = text("kind", diagnostics).map_or("", |(kind, _)| kind);
        let fields = match find(own, "fields").map(|node| &node.kind) {
            Some(NodeKind::Mapping(fields)) => fields.as_slice(),
            Some(NodeKind::Scalar(..) | NodeKind::List(_)) | None => &[],
        };
        Evidence {
            id: text("evidence_id", diagnostics).map_or(kind, |(id, _)| id),
            kind,
            media_type: text("media_type", diagnostics).map_or("", |(media, _)| media),
            size_bytes: text("size_bytes", diagnostics)
                .and_then(|(size, span)| quantity(size, span, Dimension::Number, diagnostics))
                .and_then(|size| i64::try_from(size.floor()).ok())
                .unwrap_or(0),
            sha256: text("sha256", diagnostics).map_or("", |(digest, _)| digest),
            captured_at: text("captured_at", diagnostics).and_then(|(at, span)| self.moment_of(at, span, diagnostics)),
            order_id: text("order_id", diagnostics).map_or("", |(id, _)| id),
            source: "",
            fields: fields
                .iter()
                .filter_map(|(name, node)| Some((name.value.as_str(), scalar(node, diagnostics)?.0)))
                .collect(),
        }
    }
}
