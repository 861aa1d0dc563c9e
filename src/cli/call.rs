//! `call`: one request to a server that runs.

use clap::Args;

use crate::cli::exit::Exit;
use crate::cli::input::{Format, Input, address, request};
use crate::cli::output::{Answer, answer, chain, say};
use crate::server;

/// Send one request to a server
#[derive(Debug, Args)]
#[command(
    long_about = "Send one request to a server.\n\n\
        The request is an EvaluateRefundRequest in the JSON form of proto3, the answer an \
        EvaluateRefundResponse in the same form, as for `eval`; `--output text` prints it for people.",
    after_long_help = "Examples:\n  requite call policies/standard/requests/platform-late-partial.json\n  \
        requite call --addr 127.0.0.1:50051 --output text request.json\n\n\
        Exit codes:\n  0  it was decided, whatever the decision\n  1  the server cannot be reached or did not decide\n  \
        2  the request is wrong; every bad field is named"
)]
pub(super) struct Call {
    /// Where the server is
    #[arg(long, value_name = "HOST:PORT", env = "REQUITE_ADDR", default_value = "127.0.0.1:50051", value_parser = address)]
    addr: String,
    /// The request: a file, or `-` for standard input
    #[arg(value_name = "FILE")]
    file: Input,
    /// How to print the decision
    #[arg(long, value_enum, default_value_t = Format::Json)]
    output: Format,
}

impl Call {
    pub(super) fn run(self) -> Exit {
        let request = match request(&self.file) {
            Ok(request) => request,
            Err(exit) => return exit,
        };
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                say(&format!("error: cannot start: {error}"));
                return Exit::Unexpected;
            }
        };
        match runtime.block_on(server::client::call(&self.addr, request.clone())) {
            Ok(response) => {
                let text = match self.output {
                    Format::Json => Answer::Json(server::json::response_to_json(&response)),
                    Format::Text => server::text::response_to_text(&request, &response).into(),
                };
                answer(text, Exit::Done)
            }
            Err(error) => {
                let help = error.help().map(|help| format!("\n  help: {help}")).unwrap_or_default();
                say(&format!("error: {}{help}", chain(&error)));
                if error.is_bad_request() { Exit::Usage } else { Exit::Unexpected }
            }
        }
    }
}
