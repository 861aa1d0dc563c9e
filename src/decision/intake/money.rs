//! The order's currency, and amounts as its minor units.

use std::fmt::Display;

use crate::decision::field::{Joined, Shown};
use crate::decision::intake::{Intake, Sums};
use crate::domain::facts::Value;
use crate::domain::money::Amount;
use crate::domain::ratio::Ratio;
use crate::domain::request::{Claim, Money, Order};
use crate::plan::vocabulary::VocabularyId;

impl Intake<'_> {
    /// Takes the currency of the first amount for the order's; every other amount is checked against it.
    pub(super) fn currency(&mut self, order: &Order<'_>, claim: &Claim<'_>) {
        let lines = order.lines.iter().flat_map(|line| [line.paid, line.list_price, line.refunded, line.declared_cost]);
        let rest = order.tenders.iter().map(|tender| tender.paid).chain([claim.requested_amount]);
        // It mostly is the price of the first line.
        let price = order.lines.first().and_then(|line| line.paid);
        let first = price.or_else(|| lines.chain(rest).flatten().next());
        let place = first.and_then(|money| self.plan.vocabularies.place(VocabularyId::CURRENCY, money.currency));
        self.currency = place.and_then(|place| Some((place, self.plan.currencies.get(usize::from(place))?)));
    }

    /// An amount as minor units; `None` where it is absent or bad.
    #[inline]
    pub(in crate::decision) fn amount(
        &mut self,
        money: Option<Money<'_>>,
        field: impl Display + Copy,
    ) -> Option<Amount> {
        let money = money?;
        self.amount_as_usual(money).or_else(|| self.checked_amount(money, field))
    }

    /// A good amount of the order's currency.
    fn amount_as_usual(&self, money: Money<'_>) -> Option<Amount> {
        let (_, currency) = self.currency?;
        if currency.code == money.currency { currency.amount(money.units, money.nanos).ok() } else { None }
    }

    /// Any amount: says what is wrong with a bad one.
    #[cold]
    fn checked_amount(&mut self, money: Money<'_>, field: impl Display + Copy) -> Option<Amount> {
        let amount = self.amount_or_mistake(money, field);
        if amount.is_none() {
            self.sums = Sums::Unknown;
        }
        amount
    }

    fn amount_or_mistake(&mut self, money: Money<'_>, field: impl Display + Copy) -> Option<Amount> {
        let Money { currency: code, units, nanos } = money;
        let plan = self.plan;
        let Some(currency) = plan.currencies.iter().find(|currency| currency.code == code) else {
            let known = Joined(plan.currencies.iter().map(|currency| currency.code.as_str()), ", ");
            self.bad(
                format_args!("{field}.currency_code"),
                format_args!("`{}` is not a currency of this policy, which knows {known}", Shown(code)),
            );
            return None;
        };
        if let Some((_, expected)) = self.currency
            && expected.code != code
        {
            self.bad(
                format_args!("{field}.currency_code"),
                format_args!("must be `{}` like the order's other amounts, got `{code}`", expected.code),
            );
            return None;
        }
        match currency.amount(units, nanos) {
            Ok(amount) => Some(amount),
            Err(error) => {
                self.bad(field, format_args!("{error}, got units {units} and nanos {nanos} of {code}"));
                None
            }
        }
    }

    /// An amount as rules see it.
    pub(super) fn money(&self, amount: Amount) -> Value {
        let nanos = self.currency.map_or(Ratio::ZERO, |(_, currency)| currency.nanos(amount));
        Value::Quantity(nanos)
    }
}
