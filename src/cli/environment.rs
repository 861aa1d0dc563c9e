//! Variables in place of flags: an empty one is not set, and a message names the one that is wrong.

use std::ffi::{OsStr, OsString};

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, Error};

/// The command line without the variables that are set to nothing.
pub(super) fn without_empty_variables(command: Command) -> Command {
    let command = command.mut_args(|arg| if is_empty(&arg) { arg.env(Resettable::Reset) } else { arg });
    let names: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, without_empty_variables))
}

fn is_empty(arg: &Arg) -> bool {
    arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty())
}

/// Line about the environment variables that a mistake may come from; nothing where the flags were written.
pub(super) fn blamed(command: &Command, words: &[OsString], error: &Error) -> Option<String> {
    let verb = verb_of(command, words)?;
    let humanize: Vec<&Arg> = verb.get_arguments().filter(|arg| speaks(arg, words)).collect();
    let named = |arg: &Arg| Some(arg.get_env()?.to_string_lossy().into_owned());
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(_) | None => None,
    };
    if matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) {
        let flag = text(ContextKind::InvalidArg)?;
        let arg =
            humanize.into_iter().find(|arg| flag_of(arg).is_some_and(|long| flag.split(' ').next() == Some(&long)))?;
        return Some(format!("the value comes from the variable `{}`", named(arg)?));
    }
    if matches!(error.kind(), ErrorKind::MissingRequiredArgument | ErrorKind::ArgumentConflict) {
        let of = |arg: &Arg| Some(format!("`{}` ({})", named(arg)?, flag_of(arg)?));
        let all: Vec<String> = humanize.into_iter().filter_map(of).collect();
        return (!all.is_empty()).then(|| format!("variables that count as flags here: {}", all.join(", ")));
    }
    None
}

/// The verb that the words name, with the verbs below it.
fn verb_of<'c>(command: &'c Command, words: &[OsString]) -> Option<&'c Command> {
    let mut verb = None;
    for word in words.iter().skip(1).filter_map(|word| word.to_str()) {
        match verb.unwrap_or(command).find_subcommand(word) {
            Some(found) => verb = Some(found),
            None if verb.is_some() => break,
            None => {}
        }
    }
    verb
}

/// Returns true if the value of a flag comes from its variable: no word of the command line gives it.
fn speaks(arg: &Arg, words: &[OsString]) -> bool {
    let Some(long) = flag_of(arg) else { return false };
    let written = |word: &OsString| {
        word.to_str()
            .is_some_and(|word| word == long || word.strip_prefix(&long).is_some_and(|rest| rest.starts_with('=')))
    };
    let is_set = |name: &OsStr| std::env::var_os(name).is_some();
    arg.get_env().is_some_and(is_set) && !words.iter().any(written)
}

fn flag_of(arg: &Arg) -> Option<String> {
    arg.get_long().map(|long| format!("--{long}"))
}
