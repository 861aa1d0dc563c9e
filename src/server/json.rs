//! Requests and responses as JSON: the canonical mapping of proto3.
//!
//! Names are read as `lowerCamelCase` or as the proto files write them, and written as
//! `lowerCamelCase`. A name that is not known is an error: it is most likely a typing mistake, and
//! the fact it was meant to be would silently be missing.

use prost::Message;
use prost_reflect::{DeserializeOptions, DynamicMessage, SerializeOptions};

use crate::server::descriptors::pool;
use crate::server::pb;

/// Why a text is not a message.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct JsonError {
    /// The line, counted from one; zero where the problem has no place.
    pub line: usize,
    /// The column, counted from one; zero where the problem has no place.
    pub column: usize,
    /// What is wrong, and what was expected.
    pub problem: String,
}

/// Reads an `EvaluateRefundRequest`.
pub fn request_from_json(text: &str) -> Result<pb::EvaluateRefundRequest, JsonError> {
    from_json(text, "requite.v1.EvaluateRefundRequest")
}

/// Writes an `EvaluateRefundRequest`, indented.
#[must_use]
pub fn request_to_json(request: &pb::EvaluateRefundRequest) -> String {
    to_json(request, "requite.v1.EvaluateRefundRequest")
}

/// Writes an `EvaluateRefundResponse`, indented.
#[must_use]
pub fn response_to_json(response: &pb::EvaluateRefundResponse) -> String {
    to_json(response, "requite.v1.EvaluateRefundResponse")
}

/// Writes a message of the admin service by its name without a package, indented.
#[must_use]
pub fn admin_to_json(message: &impl Message, name: &str) -> String {
    to_json(message, &format!("requite.v1.{name}"))
}

fn from_json<M: Message + Default>(text: &str, name: &str) -> Result<M, JsonError> {
    let descriptor =
        pool().and_then(|pool| pool.get_message_by_name(name)).ok_or_else(|| without_place("unknown message"))?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    let message = DynamicMessage::deserialize_with_options(descriptor, &mut deserializer, &options)
        .and_then(|message| deserializer.end().map(|()| message))
        .map_err(json_error)?;
    message.transcode_to().map_err(|error| without_place(&error.to_string()))
}

/// An empty text cannot come out: every message here is one of the embedded descriptors.
fn to_json<M: Message>(message: &M, name: &str) -> String {
    let mut text = Vec::new();
    let mut serializer = serde_json::Serializer::pretty(&mut text);
    let written = pool().and_then(|pool| pool.get_message_by_name(name)).and_then(|descriptor| {
        let mut dynamic = DynamicMessage::new(descriptor);
        dynamic.transcode_from(message).ok()?;
        dynamic.serialize_with_options(&mut serializer, &SerializeOptions::new()).ok()
    });
    written.and_then(|()| String::from_utf8(text).ok()).unwrap_or_default()
}

/// The place apart from the text, which repeats it at its end.
fn json_error(error: serde_json::Error) -> JsonError {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let place = format!(" at line {line} column {column}");
    JsonError { line, column, problem: text.strip_suffix(&place).unwrap_or(&text).to_owned() }
}

fn without_place(problem: &str) -> JsonError {
    JsonError { line: 0, column: 0, problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::wire::{decision, samples};

    #[test]
    fn a_request_survives_the_way_to_json_and_back() {
        let request = pb::EvaluateRefundRequest {
            request_id: "r-1".into(),
            explain: pb::ExplainLevel::Full.into(),
            order: Some(samples::order()),
            claim: Some(samples::claim()),
            ..pb::EvaluateRefundRequest::default()
        };
        let text = request_to_json(&request);
        assert!(text.contains("\"requestType\": \"REQUEST_TYPE_REFUND\""), "{text}");
        assert!(text.contains("\"requestedAt\": \"1970-01-01T00:50:00.000000005Z\""), "{text}");
        assert_eq!(request_from_json(&text), Ok(request));
    }

    #[test]
    fn both_spellings_of_a_name_are_read() {
        let camel = request_from_json(r#"{"requestId": "r", "order": {"orderId": "o"}}"#);
        let proto = request_from_json(r#"{"request_id": "r", "order": {"order_id": "o"}}"#);
        assert!(camel.is_ok());
        assert_eq!(camel, proto);
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (text, line, part) in [
            ("{\n  \"requestIdd\": \"r\"\n}", 2, "requestIdd"),
            ("{\n  \"order\": {\"lines\": 5}\n}", 2, "expected"),
            ("{\"claim\":\n {\"requestType\": \"NO_SUCH\"}}", 2, "NO_SUCH"),
            ("{", 1, "EOF"),
            ("{} {}", 1, "trailing"),
        ] {
            let error = request_from_json(text).unwrap_err();
            assert_eq!(error.line, line, "{error}");
            assert!(error.problem.contains(part), "{error}");
        }
    }

    #[test]
    fn a_response_is_written_with_the_names_of_its_words() {
        let (plan, order, claim) = (samples::plan(), samples::order(), samples::claim());
        let response = decision::response(&samples::decision(), samples::names(&plan, &samples::said(&order, &claim)));
        let text = response_to_json(&response);
        assert!(text.contains("\"outcome\": \"OUTCOME_APPROVED_PARTIAL\""), "{text}");
        assert!(text.contains("\"currencyCode\": \"CNY\""), "{text}");
    }
}
