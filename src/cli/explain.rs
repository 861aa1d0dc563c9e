//! `explain`: the meaning of a diagnostic code.

use clap::Args;

use crate::cli::exit::Exit;
use crate::cli::output::{answer, say};
use crate::cli::show::visible;
use crate::policy::diagnostic::{STRICTER_NOTE, Severity};
use crate::policy::diagnostics::{nearest, quoted_list};
use crate::policy::explanations::{Explanation, Snippet, codes, explanation, explanations};

/// Explain a diagnostic code
#[derive(Debug, Args)]
#[command(
    long_about = "Explain a diagnostic code, with a policy that has the mistake and the same fixed.\n\n\
        Reports of `check` and of other verbs print the code of each mistake and warning in brackets: \
        `error[unknown-word]`. Without CODE, all codes are listed. Keys that every policy needs and that do not matter \
        are left out of the policies shown. The same texts are in docs/diagnostics.md.",
    after_long_help = "Examples:\n  requite explain tiers-gap\n  requite explain\n\n\
        Exit codes:\n  0  it was printed\n  2  there is no such code"
)]
pub(super) struct Explain {
    /// The code, such as `unknown-word`
    code: Option<String>,
}

impl Explain {
    pub(super) fn run(self) -> Exit {
        let Some(written) = self.code else { return answer(list(), Exit::Done) };
        let code = bare(&written);
        match explanation(&code) {
            Some(explanation) => answer(text(&explanation), Exit::Done),
            None => {
                let help = match near(&code).as_slice() {
                    [] => "`requite explain` lists all codes".to_owned(),
                    near => format!("did you mean {}? `requite explain` lists all codes", quoted_list(near)),
                };
                say(&format!("error: there is no code `{}`\n  help: {help}", visible(&written)));
                Exit::Usage
            }
        }
    }
}

/// The code of `error[unknown-word]`, as a report prints it.
fn bare(written: &str) -> String {
    let code = written.split_once('[').map_or(written, |(_, code)| code);
    code.trim_end_matches([']', ':']).to_ascii_lowercase()
}

/// Codes that may have been meant: the nearest one, or those with this word in them.
fn near(wrong: &str) -> Vec<&'static str> {
    if let Some(near) = nearest(wrong, codes()) {
        return vec![near];
    }
    let has_it = |code: &&str| code.split('-').any(|word| word == wrong);
    codes().filter(has_it).collect()
}

/// All codes with their titles.
fn list() -> String {
    let width = codes().map(str::len).max().unwrap_or(0);
    let line = |Explanation { code, title, .. }: Explanation| format!("{code:width$}  {title}\n");
    explanations().into_iter().map(line).collect()
}

fn text(explanation: &Explanation) -> String {
    let Explanation { code, title, severities, meaning, wrong, fixed } = explanation;
    let word = match severities.first() {
        Some(Severity::Warning) => "warning",
        Some(Severity::Error | Severity::StricterError) | None => "error",
    };
    let mut text = format!("{word}[{code}]: {title}\n\n{meaning}\n");
    for (heading, snippets) in [("Wrong", wrong), ("Fixed", fixed)] {
        for Snippet { file, text: lines } in snippets {
            let of = file.map_or(String::new(), |file| format!(", `{file}`"));
            text.push_str(&format!("\n{heading}{of}:\n\n"));
            lines.lines().for_each(|line| text.push_str(&format!("    {line}\n")));
        }
    }
    let is_cut = wrong.iter().chain(fixed).any(|snippet| snippet.text.lines().any(|line| line == "…"));
    let cut = is_cut.then(|| "`…` stands for keys that every policy needs and that do not matter here".to_owned());
    for note in cut.into_iter().chain(note(severities)) {
        text.push_str(&format!("\nnote: {note}\n"));
    }
    text
}

/// The consequence of the severities that is not plain from the word `error`.
fn note(severities: &[Severity]) -> Option<String> {
    match severities {
        [Severity::Warning] => Some("a warning keeps no policy from being put in force".to_owned()),
        [Severity::StricterError] => Some(STRICTER_NOTE.to_owned()),
        severities if severities.contains(&Severity::StricterError) => {
            Some(format!("of some of these mistakes the report says that {STRICTER_NOTE}"))
        }
        _ => None,
    }
}
