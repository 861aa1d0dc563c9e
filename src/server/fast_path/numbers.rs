//! Numbers of the fields of an answer, by the names that the proto files give them. A test holds them to the descriptors,
//! so a field that is added there must be added here, and then be written.

/// Key of a field that is a message, where its number is below 16.
pub(crate) const fn bytes_key(number: u32) -> u8 {
    number_key(number) | 2
}

/// Key of a field that is a number, where its number is below 16.
pub(crate) const fn number_key(number: u32) -> u8 {
    let [key, ..] = (number << 3).to_le_bytes();
    key
}

/// Declares a module for each message, with the number of each of its fields.
macro_rules! messages {
    ($($module:ident of $message:literal { $($field:ident = $number:literal,)+ })+) => {
        $(pub(crate) mod $module {
            $(pub(crate) const $field: u32 = $number;)+
        })+

        /// The messages, each with the names and numbers of its fields.
        #[cfg(test)]
        const MESSAGES: &[(&str, &[(&str, u32)])] = &[$(($message, &[$((stringify!($field), $number)),+])),+];
    };
}

messages! {
    batch of "requite.v1.BatchEvaluateRefundResponse" {
        ITEMS = 1,
        GENERATION = 2,
        DIGEST = 3,
    }
    batch_item of "requite.v1.BatchItem" {
        RESPONSE = 1,
        ERROR = 2,
    }
    evaluation of "requite.v1.EvaluateRefundResponse" {
        DECISION_ID = 1,
        REQUEST_ID = 2,
        OUTCOME = 3,
        REASON_CODE = 4,
        REASON_CODES = 5,
        REFUND = 6,
        DEDUCTIONS = 7,
        LINES = 8,
        TENDERS = 9,
        REFUND_METHOD = 10,
        COMPENSATIONS = 11,
        EVIDENCE = 12,
        NEXT_STEPS = 13,
        REVIEW = 14,
        PAYOUT = 15,
        POLICY = 16,
        MISSING_FACTS = 18,
        COMPONENTS = 19,
        AMOUNTS_DUE = 20,
    }
    policy_ref of "requite.v1.PolicyRef" {
        POLICY_ID = 1,
        VERSION = 2,
        DIGEST = 3,
        GENERATION = 4,
        EFFECTIVE_FROM = 5,
        ENGINE_REVISION = 6,
    }
    deduction of "requite.v1.Deduction" {
        KIND = 1,
        RULE_ID = 2,
        LINE_ID = 3,
        BASE = 4,
        FORMULA = 5,
        AMOUNT = 6,
        NAME = 7,
    }
    line_decision of "requite.v1.LineDecision" {
        LINE_ID = 1,
        OUTCOME = 2,
        REASON_CODE = 3,
        RULE_ID = 4,
        LIABLE_PARTY = 5,
        REFUND = 6,
        DEDUCTIONS = 7,
        REASON_CODES = 8,
        BASE = 9,
    }
    component_decision of "requite.v1.ComponentDecision" {
        NAME = 1,
        LINE_ID = 2,
        BASE = 3,
        REFUND = 4,
        DEDUCTIONS = 5,
    }
    tender_refund of "requite.v1.TenderRefund" {
        TENDER_ID = 1,
        AMOUNT = 2,
        PAYOUT = 3,
    }
    evidence_report of "requite.v1.EvidenceReport" {
        VERDICT = 1,
        SATISFIED_BY = 2,
    }
    next_step of "requite.v1.NextStep" {
        ACTION = 1,
        LABEL = 2,
    }
    date_window of "requite.v1.DateWindow" {
        EARLIEST = 1,
        LATEST = 2,
        BEYOND_CALENDAR = 3,
    }
    date of "google.type.Date" {
        YEAR = 1,
        MONTH = 2,
        DAY = 3,
    }
    money of "google.type.Money" {
        CURRENCY_CODE = 1,
        UNITS = 2,
        NANOS = 3,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::api::descriptors;

    /// Fields that the fast path never writes, with the reason.
    const NOT_WRITTEN: [(&str, &str); 4] = [
        ("requite.v1.EvaluateRefundResponse.explanation", "requests for one are not plain"),
        ("requite.v1.EvidenceReport.missing", "a report that has one is built by `wire::evidence`"),
        ("requite.v1.EvidenceReport.rejected", "a report that has one is built by `wire::evidence`"),
        ("requite.v1.EvidenceReport.text_findings", "a report that has one is built by `wire::evidence`"),
    ];

    #[test]
    fn every_field_of_an_answer_has_its_number() {
        let pool = descriptors::pool().unwrap();
        let not_written: BTreeSet<&str> = NOT_WRITTEN.iter().map(|(field, _)| *field).collect();
        for (message, fields) in MESSAGES {
            let message = pool.get_message_by_name(message).unwrap();
            let expected: Vec<(String, u32)> = message
                .fields()
                .filter(|field| !not_written.contains(field.full_name()))
                .map(|field| (field.name().to_uppercase(), field.number()))
                .collect();
            let here: Vec<(String, u32)> = fields.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect();
            assert_eq!(here, expected, "{}", message.full_name());
        }
    }
}
