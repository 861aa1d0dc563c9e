//! `schema`: the shape of policy files, for editors.

use clap::Args;

use crate::cli::exit::Exit;
use crate::cli::output::{Answer, answer, chain, say};
use crate::policy::schema::json_schema;

/// Print the JSON Schema of policy files
#[derive(Debug, Args)]
#[command(
    long_about = "Print the JSON Schema of policy files, made from the types that read them.\n\n\
        Editors complete and check policies with it: name it in the first line of a policy, \
        `# yaml-language-server: $schema=policy.schema.json`.",
    after_long_help = "Example:\n  requite schema > policy.schema.json\n\nExit codes:\n  0  it was printed"
)]
pub(super) struct Schema {}

impl Schema {
    pub(super) fn run(self) -> Exit {
        match serde_json::to_string_pretty(&json_schema()) {
            Ok(text) => answer(Answer::Json(text), Exit::Done),
            Err(error) => {
                say(&format!("error: {}", chain(&error)));
                Exit::Unexpected
            }
        }
    }
}
