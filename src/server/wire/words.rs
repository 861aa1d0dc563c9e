//! The closed sets: core and wire, word by word.

use crate::api::path::Path;
use crate::api::pb;
use crate::domain::decision::{EvidenceVerdict, ReasonCodes};
use crate::domain::violations::Violations;
use crate::domain::words::{
    AmountKind, DeductionKind, LiableParty, OrderStage, Outcome, ReasonCode, RefundMethod, RequestType,
};

/// Words that requests carry: unspecified is "not said", a number without a word is an error.
macro_rules! words_received {
    ($( $function:ident: $word:ident { $($variant:ident),+ $(,)? } )+) => { $(
        /// The word that a number of the wire stands for.
        pub(crate) fn $function(number: i32, at: &Path<'_>, violations: &mut Violations) -> Option<$word> {
            match pb::$word::try_from(number) {
                Ok(pb::$word::Unspecified) => None,
                $( Ok(pb::$word::$variant) => Some($word::$variant), )+
                Err(_) => {
                    violations.add(at, format_args!(concat!("`{}` is not a value of ", stringify!($word)), number));
                    None
                }
            }
        }
    )+ };
}

/// Words that answers carry.
macro_rules! words_sent {
    ($( $function:ident: $word:ident { $($variant:ident),+ $(,)? } )+) => { $(
        /// The word of the wire for a word of the core.
        pub(crate) const fn $function(word: $word) -> pb::$word {
            match word { $( $word::$variant => pb::$word::$variant ),+ }
        }
    )+ };
}

words_received! {
    order_stage: OrderStage {
        Unpaid, NotStarted, InProgress, Delivered, Completed, Redeemed, Cancelled, Refunded,
    }
    liable_party: LiableParty { Customer, Merchant, Platform, ThirdParty, ForceMajeure, Shared, Undetermined }
    request_type: RequestType { Refund, AfterSalesAppeal, Dispute }
    amount_kind: AmountKind { Deduction, Compensation, AmountDue }
}

words_sent! {
    to_liable_party: LiableParty { Customer, Merchant, Platform, ThirdParty, ForceMajeure, Shared, Undetermined }
    to_outcome: Outcome { ApprovedFull, ApprovedPartial, MoreInfoRequired, ManualReview, Denied }
    to_deduction_kind: DeductionKind {
        ConsumedValue, CostRecovery, CancellationFee, RestockingFee, ProcessingFee, NonRefundableComponent,
        DiminishedValue, ReturnShipping, Rounding, NotRequested,
    }
    to_refund_method: RefundMethod { OriginalPayment, StoreCredit, BankTransfer, CustomerChoice }
    to_evidence_verdict: EvidenceVerdict { Sufficient, Insufficient, NotRequired }
    to_reason_code: ReasonCode {
        OrderNotPaid, OrderCancelled, OrderCompleted, OrderRedeemed, AlreadyRefunded, NothingRefundable,
        WindowExpired, WindowNotOpen, NonRefundableItem, UsageExceeded, QuotaExceeded, ChannelNotAllowed,
        WrongRequestType, ReasonRequired, ReasonNotAllowed, ReasonTooVague, EvidenceMissing, EvidenceInvalid,
        EvidenceExpired, LiabilityUndetermined, ConsentWaived, CounterpartyPending, FactMissing, ReviewRequired,
        NotComputable, CalendarNotCovered, PolicyNotInForce, NoMatchingRule, DeductionsApplied,
        RequestedAmountNotReached,
    }
}

/// Reason codes as the wire has them.
pub(crate) fn to_reason_codes(codes: ReasonCodes) -> Vec<i32> {
    codes.iter().map(|code| to_reason_code(code).into()).collect()
}

/// The primary reason; unspecified where there is none.
pub(crate) fn to_primary_reason(codes: ReasonCodes) -> i32 {
    codes.first().map_or(pb::ReasonCode::Unspecified, to_reason_code).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_on_the_wire_are_the_slugs_in_capitals() {
        let name = |prefix: &str, slug: &str| format!("{prefix}_{}", slug.to_uppercase());
        for &word in ReasonCode::ALL {
            assert_eq!(to_reason_code(word).as_str_name(), name("REASON_CODE", word.as_str()));
        }
        for &word in Outcome::ALL {
            assert_eq!(to_outcome(word).as_str_name(), name("OUTCOME", word.as_str()));
        }
        for &word in DeductionKind::ALL {
            assert_eq!(to_deduction_kind(word).as_str_name(), name("DEDUCTION_KIND", word.as_str()));
        }
        for &word in RefundMethod::ALL {
            assert_eq!(to_refund_method(word).as_str_name(), name("REFUND_METHOD", word.as_str()));
        }
        for &word in LiableParty::ALL {
            assert_eq!(to_liable_party(word).as_str_name(), name("LIABLE_PARTY", word.as_str()));
        }
    }

    #[test]
    fn every_word_received_has_its_number() {
        let mut violations = Violations::default();
        let at = Path::Root.field("stage");
        let numbered = |index: u16| i32::from(index) + 1;
        for &word in OrderStage::ALL {
            assert_eq!(order_stage(numbered(word.index()), &at, &mut violations), Some(word));
        }
        for &word in RequestType::ALL {
            assert_eq!(request_type(numbered(word.index()), &at, &mut violations), Some(word));
        }
        for &word in LiableParty::ALL {
            assert_eq!(liable_party(numbered(word.index()), &at, &mut violations), Some(word));
        }
        for &word in AmountKind::ALL {
            assert_eq!(amount_kind(numbered(word.index()), &at, &mut violations), Some(word));
        }
        assert_eq!(order_stage(0, &at, &mut violations), None);
        assert_eq!(violations.into_list(), []);
    }
}
