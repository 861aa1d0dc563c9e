//! The series of metrics that are known before anything happens: where panics are caught, the methods
//! of admins, and the fields of requests. Each is there at 0 from the start, so that an alert on an
//! increase sees the first one.

use prost_reflect::{DescriptorPool, MessageDescriptor};

use crate::api::pb::FILE_DESCRIPTOR_SET;
use crate::server::admin;
use crate::server::data::method::Method;
use crate::telemetry::requests::RequestMethod;
use crate::telemetry::{self, KnownSeries};

/// Messages whose fields callers fill in.
const REQUESTS: [&str; 3] =
    ["requite.v1.EvaluateRefundRequest", "requite.v1.BatchEvaluateRefundRequest", "requite.v1.ValidateEvidenceRequest"];

/// Places beside calls where panics are caught.
pub(crate) const PANICS_BESIDE_CALLS: [&str; 5] = ["candidate", "connection", "metrics", "reload", "task"];

/// Messages within messages that a path goes through at most. No message of a request holds itself;
/// were that to change, the paths would still end.
const DEPTH_MAX: usize = 8;

/// Puts every known series at 0. To be called before anything is served; calling it again changes
/// nothing.
pub fn declare_series() {
    let data = Method::ALL.into_iter().chain([Method::Unknown]).map(Method::full_name);
    let beside_data = RequestMethod::ALL.into_iter().map(RequestMethod::text);
    let panics = data.chain(beside_data).chain(admin::method_full_names()).chain(PANICS_BESIDE_CALLS);
    telemetry::declare(KnownSeries {
        panics: panics.collect(),
        admin_methods: admin::method_names(),
        admin_causes: admin::unauthenticated_causes(),
        request_fields: request_fields(),
    });
}

/// The path of every field of a request, without indexes, with `[]` for an entry of a list or a map.
/// The path of a batch's item begins at the item.
fn request_fields() -> Vec<String> {
    let mut paths = Vec::new();
    // The descriptors were embedded by the build: they can be read.
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).ok();
    let messages = REQUESTS.iter().filter_map(|name| pool.as_ref()?.get_message_by_name(name));
    messages.for_each(|message| add_fields(&mut paths, "", &message, DEPTH_MAX));
    paths.sort_unstable();
    paths.dedup();
    paths
}

fn add_fields(paths: &mut Vec<String>, parent: &str, message: &MessageDescriptor, depth: usize) {
    for field in message.fields() {
        let dot = if parent.is_empty() { "" } else { "." };
        let path = format!("{parent}{dot}{}", field.name());
        let entry = if field.is_list() || field.is_map() { format!("{path}[]") } else { path.clone() };
        let kind = field.kind();
        let inner = match kind.as_message() {
            Some(pair) if field.is_map() => pair.map_entry_value_field().kind().as_message().cloned(),
            message => message.cloned(),
        };
        // An item of a batch is a request like one that comes alone.
        let is_request = |message: &MessageDescriptor| REQUESTS.contains(&message.full_name());
        paths.push(path);
        paths.push(entry.clone());
        if let (Some(inner), 1..) = (inner, depth)
            && !is_request(&inner)
        {
            add_fields(paths, &entry, &inner, depth - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_requests_are_known_by_their_paths() {
        let fields = request_fields();
        for path in [
            "claim.reason",
            "claim.evidence[].fields[]",
            "order.lines",
            "order.lines[].stage",
            "order.lines[].inputs[]",
            "order.lines[].paid.units",
            "order.times[]",
            "requests",
            "request_id",
        ] {
            assert!(fields.iter().any(|field| field == path), "{path} in {fields:?}");
        }
        assert!(fields.len() < 300, "{} paths are series of the page", fields.len());
        assert!(!fields.iter().any(|field| field.contains("requests[].")), "{fields:?}");
    }
}
