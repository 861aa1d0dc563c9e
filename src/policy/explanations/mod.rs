//! Explanations of the diagnostic codes: the meaning of each, with a policy that has the mistake and the same fixed.
//!
//! `CODE.md` beside this file explains one code: title, severities, meaning, wrong and fixed. `requite explain` and
//! `docs/diagnostics.md` are made from these files, and `tests/policies/explanations.rs` runs every snippet. A new code needs its
//! file and nothing else.

use std::fmt::Write as _;

use crate::policy::diagnostic::Severity;

/// A diagnostic code in words for authors of policies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// The code, as reports print it.
    pub code: &'static str,
    /// One line in lower case, without a full stop.
    pub title: &'static str,
    /// Severities with which the code is reported, the usual one first.
    pub severities: Vec<Severity>,
    /// Paragraphs of Markdown, in lines of at most 80 characters.
    pub meaning: &'static str,
    /// Files that have the mistake.
    pub wrong: Vec<Snippet>,
    /// The same files without it.
    pub fixed: Vec<Snippet>,
}

/// A file of a bundle, or a part of a policy file.
///
/// A line `…` in a policy file stands for the keys that every policy needs and that are left out. A line that ends with
/// the comment `# and so on, to N` stands for N lines, numbered from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Snippet {
    /// Path within the bundle; `None` for keys of the only policy.
    pub file: Option<&'static str>,
    /// Lines of YAML.
    pub text: &'static str,
}

// `SOURCES`: the codes with the texts of their files, in alphabetical order. The build makes it of the files of this folder.
include!(concat!(env!("OUT_DIR"), "/explanations.rs"));

/// All codes, in alphabetical order.
pub fn codes() -> impl Iterator<Item = &'static str> + Clone {
    SOURCES.iter().map(|(code, _)| *code)
}

/// The explanation of a code; `None` for a text that is no code.
#[must_use]
pub fn explanation(code: &str) -> Option<Explanation> {
    let (code, source) = SOURCES.iter().find(|(known, _)| *known == code)?;
    parse(code, source)
}

/// All explanations, in the order of their codes.
#[must_use]
pub fn explanations() -> Vec<Explanation> {
    SOURCES.iter().filter_map(|(code, source)| parse(code, source)).collect()
}

fn parse(code: &'static str, source: &'static str) -> Option<Explanation> {
    let (title, rest) = source.strip_prefix("# ")?.split_once("\n\nseverity: ")?;
    let (severities, rest) = rest.split_once("\n\n")?;
    let (meaning, rest) = rest.split_once("\n\n## Wrong\n")?;
    let (wrong, fixed) = rest.split_once("\n## Fixed\n")?;
    Some(Explanation {
        code,
        title,
        severities: severities.split(", ").map(severity).collect::<Option<_>>()?,
        meaning,
        wrong: snippets(wrong)?,
        fixed: snippets(fixed)?,
    })
}

fn severity(word: &str) -> Option<Severity> {
    [Severity::Error, Severity::StricterError, Severity::Warning]
        .into_iter()
        .find(|severity| severity_word(*severity) == word)
}

const fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::StricterError => "stricter error",
        Severity::Warning => "warning",
    }
}

/// The fenced blocks of a part; `None` where there is none, or one of another kind than `yaml` or `yaml PATH`.
fn snippets(mut part: &'static str) -> Option<Vec<Snippet>> {
    let mut snippets = Vec::new();
    while let Some((_, rest)) = part.split_once("\n```yaml") {
        let (path, rest) = rest.split_once('\n')?;
        let (text, after) = rest.split_once("```")?;
        let file = if path.is_empty() { None } else { Some(path.strip_prefix(' ')?) };
        snippets.push(Snippet { file, text });
        part = after;
    }
    (!snippets.is_empty()).then_some(snippets)
}

/// The generated parts of `docs/diagnostics.md`, by the names of their markers.
#[must_use]
pub fn generated_sections() -> Vec<(&'static str, String)> {
    let (mut table, mut text) = (String::from("| code | severity | means |\n|---|---|---|\n"), String::from("\n"));
    for explanation in explanations() {
        let Explanation { code, title, severities, meaning, wrong, fixed } = explanation;
        let severities: Vec<&str> = severities.into_iter().map(severity_word).collect();
        let severities = severities.join(", ");
        let escaped = title.replace('|', "\\|");
        // Writing to a text does not fail.
        let _ = writeln!(table, "| [`{code}`](#{code}) | {severities} | {escaped} |");
        let _ = write!(text, "### {code}\n\n**{title}** ({severities})\n\n{meaning}\n\n");
        for (heading, snippets) in [("Wrong", wrong), ("Fixed", fixed)] {
            let _ = write!(text, "{heading}:\n\n");
            for Snippet { file, text: lines } in snippets {
                if let Some(file) = file {
                    let _ = write!(text, "`{file}`\n\n");
                }
                let _ = write!(text, "```yaml\n{lines}```\n\n");
            }
        }
    }
    vec![("codes", table), ("explanations", text)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn every_file_is_listed_and_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/policy/explanations");
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let files: BTreeSet<String> = names.filter_map(|name| name.strip_suffix(".md").map(str::to_owned)).collect();
        assert_eq!(codes().map(str::to_owned).collect::<Vec<_>>(), files.into_iter().collect::<Vec<_>>());
        for code in codes() {
            assert!(explanation(code).is_some(), "`{code}.md` is not an explanation");
        }
    }

    #[test]
    fn explanations_speak_in_one_voice() {
        for Explanation { code, title, meaning, wrong, fixed, .. } in explanations() {
            let first = title.chars().next().unwrap();
            assert!(!first.is_uppercase() && !title.ends_with('.'), "{code}: {title}");
            for text in meaning.lines().chain([title]) {
                assert_eq!(text.matches('`').count() % 2, 0, "{code} has an odd backtick: {text}");
            }
            assert!(meaning.ends_with(['.', ']', '`', ')']), "{code} ends in the middle: {meaning}");
            let snippets = wrong.iter().chain(&fixed).flat_map(|snippet| snippet.text.lines());
            let lines = meaning.lines().map(|line| (line, 80)).chain(snippets.map(|line| (line, 88)));
            for (line, most) in lines {
                assert!(line.chars().count() <= most, "{code}: too long for a terminal: {line}");
            }
            assert_ne!(wrong, fixed, "{code}");
        }
    }
}
