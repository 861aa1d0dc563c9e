//! Earlier answers on the same order, as a case gives them.

use crate::cases::given::{Names, find, mapping, money, quantity, scalar};
use crate::domain::request::EarlierAmount;
use crate::domain::words::AmountKind;
use crate::plan::fact::Dimension;
use crate::policy::diagnostics::Diagnostics;
use crate::policy::tree::Node;
use crate::policy::unknown::unknown_word;

impl<'c> Names<'_, 'c> {
    /// The amounts of `earlier`.
    pub(super) fn earlier(&self, diagnostics: &mut Diagnostics<'_, '_>) -> Vec<EarlierAmount<'c>> {
        self.list("earlier", diagnostics).iter().map(|node| self.earlier_amount(node, diagnostics)).collect()
    }

    fn earlier_amount(&self, node: &'c Node, diagnostics: &mut Diagnostics<'_, '_>) -> EarlierAmount<'c> {
        let own = mapping(node, &["name", "line_id", "amount", "what"], "an earlier amount", diagnostics);
        let text = |name: &str, diagnostics: &mut Diagnostics<'_, '_>| {
            find(own, name).and_then(|node| scalar(node, diagnostics))
        };
        let what = text("what", diagnostics).and_then(|(word, span)| {
            let kind = word.parse::<AmountKind>().ok();
            if kind.is_none() {
                let known: Vec<String> = AmountKind::ALL.iter().map(|kind| kind.as_str().to_owned()).collect();
                unknown_word(word, span, "kind of amount", &known, diagnostics);
            }
            kind
        });
        let amount = text("amount", diagnostics)
            .and_then(|(amount, span)| quantity(amount, span, Dimension::Money, diagnostics))
            .and_then(|nanos| money(nanos, self.currency(diagnostics)?));
        EarlierAmount {
            name: text("name", diagnostics).map_or("", |(name, _)| name),
            line_id: text("line_id", diagnostics).map_or("", |(id, _)| id),
            amount,
            what,
        }
    }
}
