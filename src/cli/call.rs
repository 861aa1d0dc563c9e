//! `call`: one request to a server that runs, by any of its methods.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::api::json;
use crate::api::pb::batch_item::Answer as ItemAnswer;
use crate::api::pb::{EvaluateRefundRequest, ExplainLevel};
use crate::cli::exit::Exit;
use crate::cli::input::{BATCH_BYTES_MAX, Format, Input, REQUEST_BYTES_MAX, address, message, patience, request};
use crate::cli::output::{Answer, answer, chain, say};
use crate::cli::show::decision;
use crate::client::{self, CallError};

/// Send one request to a server
#[derive(Debug, Args)]
#[command(
    long_about = "Send one request to a server.\n\n\
        The request is an EvaluateRefundRequest in the JSON form of proto3, the answer an \
        EvaluateRefundResponse in the same form, as for `eval`; `--output text` prints it for people. `--method` \
        calls another method: FILE holds its request, then, and the answer is its response. `get-server-info` \
        takes no FILE.",
    after_long_help = "Examples:\n  requite call policies/standard/requests/platform-late-partial.json\n  \
        requite call --addr 127.0.0.1:50051 --output text --explain request.json\n  \
        requite call --language en --timeout 500ms request.json\n  \
        requite call --method batch-evaluate-refund batch.json       (`{ \"requests\": [...] }`)\n  \
        requite call --method validate-evidence claim.json           (`{ \"claim\": {...} }`)\n  \
        requite call --method get-server-info --output text\n\n\
        Exit codes:\n  0  it was decided, whatever the decision\n  \
        1  the server cannot be reached or did not decide (of a batch: not all)\n  \
        2  the request is wrong; every bad field is named"
)]
pub(super) struct Call {
    /// Address of the server
    #[arg(long, value_name = "HOST:PORT", env = "REQUITE_ADDR", default_value = "127.0.0.1:50051", value_parser = address)]
    addr: String,
    /// The method to call
    #[arg(long, value_enum, default_value_t = Method::EvaluateRefund)]
    method: Method,
    /// The request: a file, or `-` for standard input
    #[arg(value_name = "FILE")]
    file: Option<Input>,
    /// Format of the answer
    #[arg(long, value_enum, default_value_t = Format::Json)]
    output: Format,
    /// Time to wait for the answer: 1ms to 60s
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = patience)]
    timeout: Duration,
    /// Ask also what the decision rests on: facts, and the rules that nearly matched
    #[arg(long)]
    explain: bool,
    /// The language of labels, such as `en`, in place of what the request says
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<String>,
}

/// A method of the data service.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Method {
    /// One order and one claim in, one decision out
    EvaluateRefund,
    /// Up to 1000 at once, all by the same policies
    BatchEvaluateRefund,
    /// Check if the evidence of a claim is sufficient
    ValidateEvidence,
    /// Show the version of the server, its policies and their digest
    GetServerInfo,
}

/// An answer in both forms, and how the verb ends.
struct Answered {
    json: String,
    text: String,
    exit: Exit,
}

impl Call {
    pub(super) fn run(self) -> Exit {
        if let Err(problem) = self.fits() {
            say(&problem);
            return Exit::Usage;
        }
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                say(&format!("error: cannot start: {error}"));
                return Exit::Unexpected;
            }
        };
        let answered = match self.method {
            Method::EvaluateRefund => self.evaluate(&runtime),
            Method::BatchEvaluateRefund => self.batch(&runtime),
            Method::ValidateEvidence => self.evidence(&runtime),
            Method::GetServerInfo => self.info(&runtime),
        };
        match answered {
            Ok(Answered { json, exit, .. }) if self.output == Format::Json => answer(Answer::Json(json), exit),
            Ok(Answered { text, exit, .. }) => answer(text, exit),
            Err(exit) => exit,
        }
    }

    /// Says which flags do not go with the method, all at once.
    fn fits(&self) -> Result<(), String> {
        let (method, mut problems) = (self.method, Vec::new());
        let name = method.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let takes_file = method != Method::GetServerInfo;
        if takes_file && self.file.is_none() {
            problems.push(format!("`{name}` needs a request\n  help: name its file, or `-` for standard input"));
        }
        if !takes_file && self.file.is_some() {
            problems.push(format!("`{name}` takes no request\n  help: leave the file out"));
        }
        if self.explain && !matches!(method, Method::EvaluateRefund | Method::BatchEvaluateRefund) {
            problems.push(format!("`{name}` explains nothing\n  help: leave `--explain` out"));
        }
        if self.language.is_some() && !takes_file {
            problems.push(format!("`{name}` has no labels\n  help: leave `--language` out"));
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(problems.iter().map(|problem| format!("error: {problem}")).collect::<Vec<_>>().join("\n"))
    }

    /// The file; whether there has to be one has been looked at.
    fn input(&self) -> Input {
        self.file.clone().unwrap_or(Input::Stdin)
    }

    fn told<T>(&self, answered: Result<T, CallError>) -> Result<T, Exit> {
        answered.map_err(|error| {
            let help = match (&error, error.help()) {
                (CallError::Timeout { .. }, Some(help)) => format!("\n  help: {help}, or wait longer with `--timeout`"),
                (_, Some(help)) => format!("\n  help: {help}"),
                (_, None) => String::new(),
            };
            say(&format!("error: {}{help}", chain(&error)));
            if error.is_bad_request() { Exit::Usage } else { Exit::Unexpected }
        })
    }

    /// Puts what the flags say over what the request says.
    fn overlay(&self, request: &mut EvaluateRefundRequest) {
        if self.explain {
            request.explain = ExplainLevel::Full as i32;
        }
        if let Some(language) = &self.language {
            request.language.clone_from(language);
        }
    }

    fn evaluate(&self, runtime: &tokio::runtime::Runtime) -> Result<Answered, Exit> {
        let mut request = request(&self.input())?;
        self.overlay(&mut request);
        let response = self.told(runtime.block_on(client::evaluate(&self.addr, request.clone(), self.timeout)))?;
        let json = json::response_to_json(&response);
        Ok(Answered { json, text: decision::response_to_text(&request, &response), exit: Exit::Done })
    }

    fn batch(&self, runtime: &tokio::runtime::Runtime) -> Result<Answered, Exit> {
        let mut request = message(&self.input(), BATCH_BYTES_MAX, json::batch_from_json)?;
        request.requests.iter_mut().for_each(|request| self.overlay(request));
        let response =
            self.told(runtime.block_on(client::evaluate_batch(&self.addr, request.clone(), self.timeout)))?;
        let decided = response.items.iter().all(|item| matches!(item.answer, Some(ItemAnswer::Response(_))));
        let json = json::message_to_json(&response, "BatchEvaluateRefundResponse");
        let exit = if decided { Exit::Done } else { Exit::Unexpected };
        Ok(Answered { json, text: decision::batch_to_text(&request, &response), exit })
    }

    fn evidence(&self, runtime: &tokio::runtime::Runtime) -> Result<Answered, Exit> {
        let mut request = message(&self.input(), REQUEST_BYTES_MAX, json::evidence_from_json)?;
        if let Some(language) = &self.language {
            request.language.clone_from(language);
        }
        let asked = client::validate_evidence(&self.addr, request.clone(), self.timeout);
        let response = self.told(runtime.block_on(asked))?;
        let json = json::message_to_json(&response, "ValidateEvidenceResponse");
        Ok(Answered { json, text: decision::evidence_to_text(&request, &response), exit: Exit::Done })
    }

    fn info(&self, runtime: &tokio::runtime::Runtime) -> Result<Answered, Exit> {
        let info = self.told(runtime.block_on(client::server_info(&self.addr, self.timeout)))?;
        let json = json::message_to_json(&info, "GetServerInfoResponse");
        Ok(Answered { json, text: decision::info_to_text(&info), exit: Exit::Done })
    }
}
