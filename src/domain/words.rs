//! The closed sets: words whose meaning the engine knows.
//!
//! Policies, cases and reports write them as slugs (`in_progress`); the wire has an enum for
//! each. Everything open (reasons, channels, product types, …) is declared by a policy instead.

use std::fmt;

/// The error of a text that is no word of a closed set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the set has no such word")]
pub struct UnknownWord;

/// Declares an enum whose variants each have one slug.
macro_rules! closed_set {
    (
        $(#[$meta:meta])*
        pub enum $name:ident { $( $(#[$variant_meta:meta])* $variant:ident = $slug:literal, )+ }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $name { $( $(#[$variant_meta])* $variant, )+ }

        impl $name {
            /// Every word of the set, in the order declared.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word as policies, cases and reports write it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $slug),+ }
            }

            /// The place of the word in [`Self::ALL`].
            #[must_use]
            pub const fn index(self) -> u16 {
                self as u16
            }

            /// The word at a place of [`Self::ALL`].
            #[must_use]
            pub fn from_index(index: u16) -> Option<Self> {
                Self::ALL.get(usize::from(index)).copied()
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::words::UnknownWord;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word { $($slug => Ok(Self::$variant),)+ _ => Err($crate::domain::words::UnknownWord) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

closed_set! {
    /// Progress of an order line.
    pub enum OrderStage {
        /// Placed, not paid.
        Unpaid = "unpaid",
        /// Paid; nothing done yet.
        NotStarted = "not_started",
        /// Service begun, or goods shipped and not activated.
        InProgress = "in_progress",
        /// Handed over, awaiting the customer's acceptance.
        Delivered = "delivered",
        /// Accepted or finished.
        Completed = "completed",
        /// Activated or used up: cannot be taken back.
        Redeemed = "redeemed",
        /// Called off before it was paid or performed.
        Cancelled = "cancelled",
        /// The money went back in full.
        Refunded = "refunded",
    }
}

closed_set! {
    /// Whose responsibility it is that the customer wants money back.
    pub enum LiableParty {
        /// The customer's own reasons.
        Customer = "customer",
        /// The seller or provider of the service.
        Merchant = "merchant",
        /// The marketplace itself.
        Platform = "platform",
        /// Someone outside the contract: a carrier, a payment provider, a game publisher.
        ThirdParty = "third_party",
        /// Nobody's: an event that none of the parties could prevent.
        ForceMajeure = "force_majeure",
        /// More than one party's.
        Shared = "shared",
        /// Not established.
        Undetermined = "undetermined",
    }
}

closed_set! {
    /// Kind of a named amount of an earlier answer.
    pub enum AmountKind {
        /// Held back from a refund.
        Deduction = "deduction",
        /// Given on top of a refund.
        Compensation = "compensation",
        /// Owed by the customer.
        AmountDue = "amount_due",
    }
}

closed_set! {
    /// Kind of request that the claim makes.
    pub enum RequestType {
        /// Money back by the ordinary process.
        Refund = "refund",
        /// A complaint about a finished order, decided by a reviewer.
        AfterSalesAppeal = "after_sales_appeal",
        /// A contested decision.
        Dispute = "dispute",
    }
}

closed_set! {
    /// The answer.
    pub enum Outcome {
        /// All that was asked of the refundable base is refunded.
        ApprovedFull = "approved_full",
        /// A part of it is refunded.
        ApprovedPartial = "approved_partial",
        /// No answer yet: a fact, a reason or evidence is missing.
        MoreInfoRequired = "more_info_required",
        /// A person decides.
        ManualReview = "manual_review",
        /// Nothing is refunded.
        Denied = "denied",
    }
}

closed_set! {
    /// Reason for holding back a part of the refundable base.
    pub enum DeductionKind {
        /// Value of the service or goods that the customer has already had.
        ConsumedValue = "consumed_value",
        /// Cost that was incurred for this order and cannot be recovered otherwise.
        CostRecovery = "cost_recovery",
        /// A fee for calling the order off.
        CancellationFee = "cancellation_fee",
        /// A fee for taking goods back into stock.
        RestockingFee = "restocking_fee",
        /// A fee for handling the refund itself.
        ProcessingFee = "processing_fee",
        /// A part of the price that never goes back (a coupon, a service fee).
        NonRefundableComponent = "non_refundable_component",
        /// Value that the goods lost in the customer's hands.
        DiminishedValue = "diminished_value",
        /// The cost of sending goods back.
        ReturnShipping = "return_shipping",
        /// The difference made by rounding the refund.
        Rounding = "rounding",
        /// The amount that the customer did not ask for.
        NotRequested = "not_requested",
    }
}

closed_set! {
    /// The way the money goes back.
    pub enum RefundMethod {
        /// Each part to where it came from.
        OriginalPayment = "original_payment",
        /// As credit with the shop.
        StoreCredit = "store_credit",
        /// To a bank account that the customer names.
        BankTransfer = "bank_transfer",
        /// As the customer chooses among the above.
        CustomerChoice = "customer_choice",
    }
}

closed_set! {
    /// Reason why the answer is not "all of it". Declared in order of precedence: of several that apply, the first is
    /// the primary one.
    pub enum ReasonCode {
        /// The order was never paid.
        OrderNotPaid = "order_not_paid",
        /// The order was called off.
        OrderCancelled = "order_cancelled",
        /// The order is finished.
        OrderCompleted = "order_completed",
        /// The goods are activated or used up.
        OrderRedeemed = "order_redeemed",
        /// The money went back already.
        AlreadyRefunded = "already_refunded",
        /// The refundable amount comes to zero.
        NothingRefundable = "nothing_refundable",
        /// The time for this request is over.
        WindowExpired = "window_expired",
        /// The time for this request has not come.
        WindowNotOpen = "window_not_open",
        /// This item is sold without refund.
        NonRefundableItem = "non_refundable_item",
        /// Too much of it was used.
        UsageExceeded = "usage_exceeded",
        /// The customer has used up their number of refunds.
        QuotaExceeded = "quota_exceeded",
        /// The request came by a channel that is not allowed.
        ChannelNotAllowed = "channel_not_allowed",
        /// This order has another route: a refund where an appeal is due, or the reverse.
        WrongRequestType = "wrong_request_type",
        /// A reason must be given.
        ReasonRequired = "reason_required",
        /// This reason is not accepted here.
        ReasonNotAllowed = "reason_not_allowed",
        /// The reason's text says nothing that can be checked.
        ReasonTooVague = "reason_too_vague",
        /// Proof is missing.
        EvidenceMissing = "evidence_missing",
        /// Proof was given that cannot be accepted.
        EvidenceInvalid = "evidence_invalid",
        /// Proof was given that is too old.
        EvidenceExpired = "evidence_expired",
        /// It is not established who is liable.
        LiabilityUndetermined = "liability_undetermined",
        /// The customer waived the right in question.
        ConsentWaived = "consent_waived",
        /// The other party has not answered yet.
        CounterpartyPending = "counterparty_pending",
        /// A fact that the policy needs was not sent.
        FactMissing = "fact_missing",
        /// This kind of request is decided by a reviewer.
        ReviewRequired = "review_required",
        /// A formula of the policy has no result on these facts (a division by zero, a number too large).
        NotComputable = "not_computable",
        /// A date lies outside the range that the business calendar covers.
        CalendarNotCovered = "calendar_not_covered",
        /// The policy does not govern this order: it was placed before the policy took effect.
        PolicyNotInForce = "policy_not_in_force",
        /// No rule of the policy speaks of this order.
        NoMatchingRule = "no_matching_rule",
        /// Something is held back; the deductions say what and why.
        DeductionsApplied = "deductions_applied",
        /// Less goes back than was asked for.
        RequestedAmountNotReached = "requested_amount_not_reached",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_lead_back_to_their_words() {
        for &code in ReasonCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(code));
            assert_eq!(ReasonCode::from_index(code.index()), Some(code));
        }
        assert_eq!("shipped".parse::<OrderStage>(), Err(UnknownWord));
    }
}
