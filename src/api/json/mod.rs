//! Requests and responses as JSON: the canonical mapping of proto3, read strictly.
//!
//! Names are read as `lowerCamelCase` or as the proto files write them, and written as
//! `lowerCamelCase`. What is stricter than the mapping asks for: a name that is not known, a name that
//! stands twice, two members of a choice, and the number of a word that does not exist are mistakes. Each
//! of them is most likely a slip, and a fact would silently be missing or another one than was meant.

mod document;
mod mistake;
mod read;
mod values;

use prost::Message;
use prost_reflect::{DynamicMessage, SerializeOptions};

use crate::api::descriptors::pool;
use crate::api::json::document::Document;
pub use crate::api::json::mistake::{JsonError, JsonMistake};
use crate::api::pb;

/// Reads an `EvaluateRefundRequest`.
///
/// # Errors
///
/// Every mistake with its place and its field; of a text that is no JSON the first.
pub fn request_from_json(text: &str) -> Result<pb::EvaluateRefundRequest, JsonError> {
    from_json(text, "requite.v1.EvaluateRefundRequest")
}

/// Reads a `BatchEvaluateRefundRequest`.
///
/// # Errors
///
/// As for one request.
pub fn batch_from_json(text: &str) -> Result<pb::BatchEvaluateRefundRequest, JsonError> {
    from_json(text, "requite.v1.BatchEvaluateRefundRequest")
}

/// Reads a `ValidateEvidenceRequest`.
///
/// # Errors
///
/// As for one request.
pub fn evidence_from_json(text: &str) -> Result<pb::ValidateEvidenceRequest, JsonError> {
    from_json(text, "requite.v1.ValidateEvidenceRequest")
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

/// Writes a message of the API by its name without a package, indented.
#[must_use]
pub fn message_to_json(message: &impl Message, name: &str) -> String {
    to_json(message, &format!("requite.v1.{name}"))
}

/// Writes a message of the admin service by its name without a package, indented.
#[must_use]
pub fn admin_to_json(message: &impl Message, name: &str) -> String {
    to_json(message, &format!("requite.v1.{name}"))
}

fn from_json<M: Message + Default>(text: &str, name: &str) -> Result<M, JsonError> {
    let descriptor = pool()
        .and_then(|pool| pool.get_message_by_name(name))
        .ok_or_else(|| JsonError::without_place("unknown message"))?;
    let message = read::message(&Document::open(text)?, &descriptor)?;
    message.transcode_to().map_err(|error| JsonError::without_place(&error.to_string()))
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

#[cfg(test)]
mod tests;
