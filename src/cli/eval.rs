//! `eval`: one request, decided here, without a server.

use clap::Args;

use crate::api::limits::EVALUATION_MESSAGE_BYTES_MAX;
use crate::api::{json, pb};
use crate::cli::check::{exit_of, say_report};
use crate::cli::exit::Exit;
use crate::cli::input::{Format, Input, request};
use crate::cli::output::{Answer, answer, say, say_unreadable};
use crate::cli::show::decision;
use crate::cli::show::visible;
use crate::cli::source::SourceArgs;
use crate::engine::admit::admit;
use crate::engine::{Engine, open};
use crate::server::data::evaluation;
use crate::source::Source;

/// Decide one request here, without a server
#[derive(Debug, Args)]
#[command(
    long_about = "Decide one request here, without a server.\n\n\
        The request is an EvaluateRefundRequest in the JSON form of proto3, the answer an \
        EvaluateRefundResponse in the same form; `--output text` prints it for people. The decision is the \
        one that a server with the same policies gives.",
    after_long_help = "Examples:\n  \
        requite eval --output text policies/standard/requests/platform-late-partial.json\n  \
        requite eval --policies my-policies --explain request.json\n  \
        requite eval - < request.json\n\n\
        Exit codes:\n  0  it was decided, whatever the decision\n  2  the request is wrong; every bad field is named\n  \
        3  there are mistakes in the policies, or they cannot be read\n  4  a case of the policies does not come out as expected"
)]
pub(super) struct Eval {
    #[command(flatten)]
    source: SourceArgs,
    /// The request: a file, or `-` for standard input
    #[arg(value_name = "FILE")]
    file: Input,
    /// Format of the decision
    #[arg(long, value_enum, default_value_t = Format::Json)]
    output: Format,
    /// Say also what the decision rests on: facts, and the rules that nearly matched
    #[arg(long)]
    explain: bool,
}

impl Eval {
    pub(super) fn run(self) -> Exit {
        let mut request = match request(&self.file) {
            Ok(request) => request,
            Err(exit) => return exit,
        };
        if self.explain {
            request.explain = pb::ExplainLevel::Full as i32;
        }
        let bytes = pb::message_bytes(&request);
        if EVALUATION_MESSAGE_BYTES_MAX < bytes {
            say(&format!(
                "error: the request in {} has {bytes} bytes as a message, at most {EVALUATION_MESSAGE_BYTES_MAX} are allowed\n  \
                 help: a request is one order and one claim: leave out what is not about them",
                self.file
            ));
            return Exit::Usage;
        }
        let engine = match engine(&*self.source.source()) {
            Ok(engine) => engine,
            Err(exit) => return exit,
        };
        match evaluation::answer(&engine.current(), &request) {
            Ok(evaluated) => {
                let text = match self.output {
                    Format::Json => Answer::Json(json::response_to_json(&evaluated.response)),
                    Format::Text => decision::response_to_text(&request, &evaluated.response).into(),
                };
                answer(text, Exit::Done)
            }
            Err(failure) => {
                let lines = failure.lines().iter().map(|line| visible(line)).collect::<Vec<_>>().join("\n  ");
                say(&format!("error: the request in {} cannot be decided:\n  {lines}", self.file));
                Exit::Usage
            }
        }
    }
}

fn engine(source: &dyn Source) -> Result<Engine, Exit> {
    let bundle = source.read().map_err(|error| say_unreadable(&error))?;
    match admit(&bundle) {
        Ok(admission) => Ok(open(admission).0),
        Err(rejection) => {
            say_report(&rejection.diagnostics, &bundle);
            Err(exit_of(&rejection))
        }
    }
}
