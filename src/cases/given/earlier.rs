//! What a case says of earlier answers on the same order.

use crate::cases::given::{Names, find, mapping, money, quantity, scalar};
use crate::domain::request::EarlierAmount;
use crate::domain::words::AmountKind;
use crate::plan::fact::Dimension;
use crate::policy::read::Reader;
use crate::policy::tree::Node;
use crate::policy::unknown::unknown_word;

impl<'c> Names<'_, 'c> {
    /// The amounts of `earlier`.
    pub(super) fn earlier(&self, reader: &mut Reader<'_, '_>) -> Vec<EarlierAmount<'c>> {
        self.list("earlier", reader).iter().map(|node| self.earlier_amount(node, reader)).collect()
    }

    fn earlier_amount(&self, node: &'c Node, reader: &mut Reader<'_, '_>) -> EarlierAmount<'c> {
        let own = mapping(node, &["name", "line_id", "amount", "what"], "an earlier amount", reader);
        let text = |name: &str, reader: &mut Reader<'_, '_>| find(own, name).and_then(|node| scalar(node, reader));
        let what = text("what", reader).and_then(|(word, span)| {
            let kind = AmountKind::from_slug(word);
            if kind.is_none() {
                let known: Vec<String> = AmountKind::ALL.iter().map(|kind| kind.slug().to_owned()).collect();
                unknown_word(word, span, "kind of amount", &known, reader);
            }
            kind
        });
        let amount = text("amount", reader)
            .and_then(|(amount, span)| quantity(amount, span, Dimension::Money, reader))
            .and_then(|nanos| money(nanos, self.currency(reader)?));
        EarlierAmount {
            name: text("name", reader).map_or("", |(name, _)| name),
            line_id: text("line_id", reader).map_or("", |(id, _)| id),
            amount,
            what,
        }
    }
}
