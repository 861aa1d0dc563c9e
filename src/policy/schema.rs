//! The JSON Schema of a policy file, from the types that read it: editors complete and explain
//! every key with the same comments that the reference page shows.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::policy::document::Policy;

/// The schema of `NAME.policy.yaml`, in the 2020-12 dialect.
#[must_use]
pub fn json_schema() -> Value {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Policy>();
    let mut value = schema.to_value();
    if let Some(object) = value.as_object_mut() {
        object.insert("title".to_owned(), json!("A refund policy of requite"));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::document::Policy;
    use crate::policy::document::rules::{RuleNode, StepNode};
    use crate::policy::read::Record;

    #[test]
    fn every_key_is_described() {
        let schema = json_schema();
        for (name, keys, at) in [
            ("Policy", Policy::KEYS, &schema["properties"]),
            ("RuleNode", RuleNode::KEYS, &schema["$defs"]["RuleNode"]["properties"]),
            ("StepNode", StepNode::KEYS, &schema["$defs"]["StepNode"]["properties"]),
        ] {
            for key in keys {
                assert!(at[*key]["description"].is_string(), "{name}.{key} has no description: {}", at[*key]);
            }
        }
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert_eq!(json_schema()["additionalProperties"], json!(false));
    }

    #[test]
    fn what_must_be_there_is_required() {
        let schema = json_schema();
        let required: Vec<&str> = schema["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(required, ["policy", "version", "timezone", "currencies", "rules", "otherwise"]);
    }
}
