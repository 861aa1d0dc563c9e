//! The command line: one file per verb.
//!
//! A verb reads its arguments, calls one thing below and prints what came of it. No verb knows a
//! rule of its own: what `check` says is what `serve` does.

mod admin;
mod bench;
mod call;
mod candidate;
mod check;
mod diff;
mod durations;
mod environment;
mod eval;
mod exit;
mod explain;
mod fmt;
mod input;
mod output;
mod reload;
mod rollback;
mod schema;
mod serve;
pub mod show;
mod source;
mod status;
mod test;
mod version;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::cli::environment::{blamed, without_empty_variables};
pub use exit::Exit;

/// Decides refunds by policies that are data.
#[derive(Debug, Parser)]
#[command(
    name = "requite",
    version,
    about = "Decides refunds by policies that are data",
    long_about = "Decides refunds by policies that are data.\n\n\
        A policy is a YAML file; a directory of them is a bundle. Write one, `check` it, `test` it \
        against its own cases, try a single request with `eval`, then `serve` it.",
    after_long_help = EXIT_CODES,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Serve(serve::Serve),
    Check(check::Check),
    Test(test::Test),
    Explain(explain::Explain),
    Fmt(fmt::Fmt),
    Eval(eval::Eval),
    Call(call::Call),
    Bench(bench::Bench),
    Diff(diff::Diff),
    Status(status::Status),
    Reload(reload::Reload),
    Rollback(rollback::Rollback),
    Revisions(rollback::Revisions),
    Candidate(candidate::Candidate),
    Schema(schema::Schema),
    Version(version::Version),
}

const EXIT_CODES: &str = "\
Exit codes:
  0  it worked
  1  something unexpected happened, such as a server that cannot be reached (or `fmt --check` or `diff` found something)
  2  the command line, or the request it names, is wrong
  3  the policies are invalid or cannot be read
  4  the policies are valid, but a case does not come out as expected";

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let command = without_empty_variables(Arguments::command());
    let read = command.clone().try_get_matches_from(&words).and_then(|it| Arguments::from_arg_matches(&it));
    match read {
        Ok(Arguments { verb }) => run(verb).into(),
        Err(error) => {
            // Help is no mistake; it may go to a pipe that nobody reads to the end.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            let _ = error.print();
            if let Some(blamed) = blamed(&command, &words, &error) {
                output::say(&format!("  help: {blamed}"));
            }
            exit.into()
        }
    }
}

fn run(verb: Verb) -> Exit {
    match verb {
        Verb::Serve(verb) => verb.run(),
        Verb::Check(verb) => verb.run(),
        Verb::Test(verb) => verb.run(),
        Verb::Explain(verb) => verb.run(),
        Verb::Fmt(verb) => verb.run(),
        Verb::Eval(verb) => verb.run(),
        Verb::Call(verb) => verb.run(),
        Verb::Bench(verb) => verb.run(),
        Verb::Diff(verb) => verb.run(),
        Verb::Status(verb) => verb.run(),
        Verb::Reload(verb) => verb.run(),
        Verb::Rollback(verb) => verb.run(),
        Verb::Revisions(verb) => verb.run(),
        Verb::Candidate(verb) => verb.run(),
        Verb::Schema(verb) => verb.run(),
        Verb::Version(verb) => verb.run(),
    }
}
