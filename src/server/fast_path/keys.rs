//! Keys of the fields of a request, by the names that the proto files give them. A test holds them to the descriptors,
//! so a field that is added there must be added here, and then be read.

/// Key of a field that is a text, a message, a list or a map.
const fn bytes(number: u8) -> u8 {
    number << 3 | 2
}

/// Key of a field that is a number, a word or a flag.
const fn number(number: u8) -> u8 {
    number << 3
}

/// Declares a module for each message, with the key of each of its fields.
macro_rules! messages {
    ($($module:ident of $message:literal { $($field:ident: $kind:ident($number:literal),)+ })+) => {
        $(pub(crate) mod $module {
            $(pub(crate) const $field: u8 = super::$kind($number);)+
        })+

        /// The messages, each with the names and keys of its fields.
        #[cfg(test)]
        const MESSAGES: &[(&str, &[(&str, u8)])] = &[$(($message, &[$((stringify!($field), $kind($number))),+])),+];
    };
}

messages! {
    evaluation of "requite.v1.EvaluateRefundRequest" {
        REQUEST_ID: bytes(1),
        POLICY_ID: bytes(2),
        POLICY_DIGEST: bytes(3),
        MIN_GENERATION: number(4),
        EXPLAIN: number(5),
        ORDER: bytes(6),
        CLAIM: bytes(7),
        LANGUAGE: bytes(8),
    }
    order of "requite.v1.Order" {
        ORDER_ID: bytes(1),
        PLACED_AT: bytes(2),
        PAID_AT: bytes(3),
        TIMES: bytes(4),
        CUSTOMER_CAUSED_DELAY: bytes(5),
        LINES: bytes(6),
        TENDERS: bytes(7),
        COMPONENTS: bytes(8),
        TAGS: bytes(9),
        INPUTS: bytes(10),
        EARLIER: bytes(11),
    }
    earlier_amount of "requite.v1.EarlierAmount" {
        NAME: bytes(1),
        LINE_ID: bytes(2),
        AMOUNT: bytes(3),
        WHAT: number(4),
    }
    order_line of "requite.v1.OrderLine" {
        LINE_ID: bytes(1),
        PRODUCT_TYPE: bytes(2),
        STAGE: number(3),
        SUB_STAGE: bytes(4),
        PAID: bytes(5),
        LIST_PRICE: bytes(6),
        REFUNDED: bytes(7),
        COMPLETED: bytes(8),
        DECLARED_COST: bytes(9),
        TAGS: bytes(10),
        INPUTS: bytes(11),
        SETTLED: bytes(12),
        QUANTITY: number(13),
        RETURNED_QUANTITY: number(14),
        RETURNED_REFUNDED: bytes(15),
    }
    tender of "requite.v1.Tender" {
        TENDER_ID: bytes(1),
        METHOD: bytes(2),
        PAID: bytes(3),
        REFUNDED: bytes(4),
        NOT_REFUNDABLE: number(5),
    }
    component of "requite.v1.Component" {
        NAME: bytes(1),
        PAID: bytes(2),
        REFUNDED: bytes(3),
        LINE_ID: bytes(4),
    }
    claim of "requite.v1.Claim" {
        REQUEST_TYPE: number(1),
        REASON: bytes(2),
        LIABLE_PARTY: number(3),
        TEXT: bytes(4),
        PROMISED_ACTUAL: bytes(5),
        EVIDENCE: bytes(6),
        CHANNEL: bytes(7),
        REQUESTED_AT: bytes(8),
        REQUESTED_AMOUNT: bytes(9),
        LINE_IDS: bytes(10),
        COMPONENTS: bytes(11),
    }
    promised_actual of "requite.v1.PromisedActual" {
        SUBJECT: bytes(1),
        PROMISED: bytes(2),
        ACTUAL: bytes(3),
    }
    evidence of "requite.v1.Evidence" {
        EVIDENCE_ID: bytes(1),
        KIND: bytes(2),
        MEDIA_TYPE: bytes(3),
        SIZE_BYTES: number(4),
        SHA256: bytes(5),
        CAPTURED_AT: bytes(6),
        ORDER_ID: bytes(7),
        SOURCE: bytes(8),
        FIELDS: bytes(9),
    }
    fact_value of "requite.v1.FactValue" {
        TEXT: bytes(1),
        FLAG: number(2),
        DECIMAL: bytes(3),
        MONEY: bytes(4),
        FRACTION: bytes(5),
        TIMESTAMP: bytes(6),
        DURATION: bytes(7),
    }
    money of "google.type.Money" {
        CURRENCY_CODE: bytes(1),
        UNITS: number(2),
        NANOS: number(3),
    }
    fraction of "google.type.Fraction" {
        NUMERATOR: number(1),
        DENOMINATOR: number(2),
    }
    timestamp of "google.protobuf.Timestamp" {
        SECONDS: number(1),
        NANOS: number(2),
    }
    duration of "google.protobuf.Duration" {
        SECONDS: number(1),
        NANOS: number(2),
    }
}

/// An entry of a map, of any message.
pub(crate) mod entry {
    pub(crate) const KEY: u8 = super::bytes(1);
    /// The value is a text or a message in all of them.
    pub(crate) const VALUE: u8 = super::bytes(2);
}

/// The messages of a request for a decision, without the entries of its maps.
#[cfg(test)]
pub(super) fn every_message() -> Vec<prost_reflect::MessageDescriptor> {
    let root =
        crate::api::descriptors::pool().unwrap().get_message_by_name("requite.v1.EvaluateRefundRequest").unwrap();
    let (mut found, mut open) = (Vec::new(), vec![root]);
    while let Some(message) = open.pop() {
        if found.contains(&message) {
            continue;
        }
        open.extend(message.fields().filter_map(|field| field.kind().as_message().cloned()));
        found.push(message);
    }
    found.retain(|message| !message.is_map_entry());
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prost_reflect::{FieldDescriptor, Kind};

    use super::*;

    fn key(field: &FieldDescriptor) -> u8 {
        let in_bytes =
            field.is_list() || field.is_map() || matches!(field.kind(), Kind::String | Kind::Bytes | Kind::Message(_));
        let number = u8::try_from(field.number()).unwrap();
        if in_bytes { bytes(number) } else { super::number(number) }
    }

    #[test]
    fn every_field_of_a_request_has_its_key() {
        let expected: BTreeMap<String, Vec<(String, u8)>> = every_message()
            .into_iter()
            .map(|message| {
                let fields = message.fields().map(|field| (field.name().to_uppercase(), key(&field)));
                (message.full_name().to_owned(), fields.collect())
            })
            .collect();
        let here: BTreeMap<String, Vec<(String, u8)>> = MESSAGES
            .iter()
            .map(|(message, fields)| {
                let fields = fields.iter().map(|(name, key)| ((*name).to_owned(), *key));
                ((*message).to_owned(), fields.collect())
            })
            .collect();
        assert_eq!(here, expected, "a field of the proto files has no key, or another one");
    }
}
