//! The facts that all lines have in common: those of the order and of the claim.

use smallvec::SmallVec;

use crate::decision::field::{Joined, Shown};
use crate::decision::intake::{Intake, Rows, inputs, moment, place, set};
use crate::domain::facts::{ClaimFacts, FactId, Value, Values};
use crate::domain::ratio::Ratio;
use crate::domain::request::{Claim, Order};
use crate::plan::fact::{BuiltIn, InputScope};
use crate::plan::vocabulary::VocabularyId;

impl Intake<'_> {
    /// The facts of the order and the claim: a row of values that every line begins with.
    pub(super) fn shared(
        &mut self,
        order: &Order<'_>,
        claim: &Claim<'_>,
        claim_facts: Option<&ClaimFacts<'_>>,
        rows: &mut Rows,
    ) -> Values {
        let plan = self.plan;
        let mut values = rows.take();
        values.resize(usize::from(plan.given_facts), None);
        let mut put = |fact, value| set(&mut values, place(fact), value);
        put(BuiltIn::PlacedAt, moment(order.placed_at));
        put(BuiltIn::PaidAt, moment(order.paid_at));
        put(BuiltIn::RequestedAt, moment(claim.requested_at));
        // Most orders have no such delay: the API says that absent means none.
        let delay = order.customer_caused_delay.map_or(0, |delay| delay.nanos());
        put(BuiltIn::CustomerCausedDelay, Some(Value::Quantity(Ratio::whole(delay))));
        put(BuiltIn::RequestType, claim.request_type.map(|word| Value::Word(word.index())));
        put(BuiltIn::Currency, self.currency.map(|(place, _)| Value::Word(place)));
        if delay < 0 {
            self.bad("order.customer_caused_delay", "must not be negative");
        }
        let reason = claim_facts.and_then(|claim| claim.reason);
        let requested = claim_facts.and_then(|claim| claim.requested_amount);
        let usual = reason.and_then(|reason| plan.reasons.get(usize::from(reason))).and_then(|reason| reason.liable);
        put(BuiltIn::Reason, reason.map(Value::Word));
        put(BuiltIn::ClaimedLiable, claim.liable_party.or(usual).map(|word| Value::Word(word.index())));
        let channel = self.word(claim.channel, VocabularyId::CHANNEL, "claim.channel");
        put(BuiltIn::Channel, channel.map(Value::Word));
        put(BuiltIn::RequestedAmount, requested.map(|amount| self.money(amount)));
        self.times(order, &mut values);
        inputs::read(self, &order.inputs, InputScope::Order, "order.inputs", &mut values);
        values
    }

    fn times(&mut self, order: &Order<'_>, values: &mut Values) {
        // As few as a request may have are compared sooner than hashed.
        let mut seen: SmallVec<[FactId; 8]> = SmallVec::new();
        for (name, at) in &order.times {
            let field = format_args!("order.times[\"{}\"]", Shown(name));
            match inputs::anchor(self.plan, name) {
                Some(fact) if !seen.contains(&fact) => {
                    seen.push(fact);
                    set(values, fact, moment(Some(*at)));
                }
                Some(_) => self.bad(field, "stands twice"),
                None => {
                    let known = Joined(inputs::anchors(self.plan), "`, `");
                    self.bad(field, format_args!("is not a known moment of an order; known are `{known}`"));
                }
            }
        }
    }
}
