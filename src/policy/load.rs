//! From a bundle to plans: which file is what, and all mistakes of all files together.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::limits::DIAGNOSTICS_MAX;
use crate::plan::Plan;
use crate::policy::bundle::{Bundle, BundleFile};
use crate::policy::calendar;
use crate::policy::check::{Calendars, check};
use crate::policy::compile::compile;
use crate::policy::diagnostic::{Diagnostic, Place, Severity};
use crate::policy::document::{BundleKey, CalendarKey, read_policy};
use crate::policy::read::{Read, Reader};
use crate::policy::source::{Located, Source};
use crate::policy::tree::parse;

/// The policies of a bundle, compiled.
#[derive(Debug)]
pub struct Loaded {
    /// The policies, by file.
    pub plans: Vec<Plan>,
    /// The id of the policy that a request without one gets.
    pub default_policy: String,
}

/// What a file of a bundle is, by its path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileRole {
    /// `NAME.policy.yaml`.
    Policy,
    /// `NAME.cases.yaml`, also in `cases/`.
    Cases,
    /// `calendars/NAME.yaml`.
    Calendar,
    /// `bundle.yaml`.
    Manifest,
    /// None of these.
    Unknown,
}

/// What a file is, by its path.
#[must_use]
pub fn role(path: &str) -> FileRole {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    match folder {
        "calendars" if name.ends_with(".yaml") => FileRole::Calendar,
        "" | "cases" if name.ends_with(".cases.yaml") => FileRole::Cases,
        "" if name == "bundle.yaml" => FileRole::Manifest,
        "" if name.ends_with(".policy.yaml") => FileRole::Policy,
        _ => FileRole::Unknown,
    }
}

/// Reads, checks and compiles all policies of a bundle. `None` where anything was an error; the
/// diagnostics are complete in both cases, sorted by place, at most [`DIAGNOSTICS_MAX`] of them.
#[must_use]
pub fn load(bundle: &Bundle) -> (Option<Loaded>, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let of_role = |wanted: FileRole| bundle.files().iter().filter(move |file| role(&file.path) == wanted);
    for file in of_role(FileRole::Unknown) {
        diagnostics.push(whole_file(
            file,
            "unknown-file",
            format!("`{}` has no place in a bundle", file.path),
            "a bundle holds `NAME.policy.yaml`, `NAME.cases.yaml`, `calendars/NAME.yaml` and `bundle.yaml`",
        ));
    }
    let mut calendars = Calendars::new();
    for file in of_role(FileRole::Calendar) {
        let calendar = read_file(file, &mut diagnostics, |node, reader| {
            calendar::check(&CalendarKey::read(node, reader)?, reader)
        });
        let name = file.path.trim_start_matches("calendars/").trim_end_matches(".yaml").to_owned();
        calendars.insert(name, calendar.map(Arc::new));
    }
    let mut plans: Vec<Plan> = Vec::new();
    let mut places: HashMap<String, String> = HashMap::new();
    for file in of_role(FileRole::Policy) {
        let plan = read_file(file, &mut diagnostics, |node, reader| {
            let document = read_policy(node, reader)?;
            let id = &document.policy.policy;
            if let Some(other) = places.insert(id.text().to_owned(), file.path.clone()) {
                reader.error(
                    "duplicate-policy",
                    id.span(),
                    format!("there are two policies `{}`", id.text()),
                    format!("the other one is in `{other}`; choose another name"),
                );
            }
            check(&document, &calendars, reader).map(compile)
        });
        plans.extend(plan);
    }
    if of_role(FileRole::Policy).next().is_none() {
        diagnostics.push(whole_bundle("no-policy", "the bundle holds no policy", "add a file `NAME.policy.yaml`"));
    }
    let default_policy = default_policy(bundle, &places, &mut diagnostics);
    let failed = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    (default_policy.filter(|_| !failed).map(|default_policy| Loaded { plans, default_policy }), sorted(diagnostics))
}

/// Opens, parses and reads one file.
pub fn read_file<T>(
    file: &BundleFile,
    diagnostics: &mut Vec<Diagnostic>,
    read: impl FnOnce(&crate::policy::tree::Node, &mut Reader<'_, '_>) -> Option<T>,
) -> Option<T> {
    let source = match Source::open(file) {
        Ok(source) => source,
        Err(diagnostic) => {
            diagnostics.push(diagnostic);
            return None;
        }
    };
    let mut reader = Reader::new(&source);
    let read = match parse(&source, &mut reader.diagnostics) {
        Some(node) => read(&node, &mut reader),
        None => None,
    };
    diagnostics.append(&mut reader.diagnostics);
    read
}

/// The default policy: named by `bundle.yaml`, or the only one there is.
fn default_policy(
    bundle: &Bundle,
    places: &HashMap<String, String>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<String> {
    if let Some(manifest) = bundle.file("bundle.yaml") {
        return read_file(manifest, diagnostics, |node, reader| {
            let written = BundleKey::read(node, reader)?;
            let Located { value, span } = written.default.0;
            if places.contains_key(&value) {
                return Some(value);
            }
            let mut known: Vec<String> = places.keys().cloned().collect();
            known.sort_unstable();
            crate::policy::formula::check::unknown_word(&value, span, "policy of this bundle", &known, reader);
            None
        });
    }
    let mut ids: Vec<&String> = places.keys().collect();
    ids.sort_unstable();
    match ids.as_slice() {
        [only] => Some((*only).clone()),
        [] => None,
        [first, ..] => {
            diagnostics.push(whole_bundle(
                "no-default-policy",
                &format!("the bundle holds {} policies and does not say which is the default one", ids.len()),
                &format!("add a file `bundle.yaml` with `default: {first}`"),
            ));
            None
        }
    }
}

fn whole_bundle(code: &'static str, message: &str, help: &str) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        code,
        message: message.to_owned(),
        place: None,
        help: Some(help.to_owned()),
    }
}

fn whole_file(file: &BundleFile, code: &'static str, message: String, help: &str) -> Diagnostic {
    let place = Place { file: file.path.clone(), line: 1, column: 1, start: 0, end: 0 };
    Diagnostic { severity: Severity::Error, code, message, place: Some(place), help: Some(help.to_owned()) }
}

/// By place; of very many, the first ones and a count.
#[must_use]
pub fn sorted(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics.sort_by(|a, b| a.place.cmp(&b.place).then_with(|| a.code.cmp(b.code)));
    diagnostics.dedup();
    if let Some(more) = diagnostics.len().checked_sub(DIAGNOSTICS_MAX).filter(|&more| 0 < more) {
        diagnostics.truncate(DIAGNOSTICS_MAX);
        diagnostics.push(whole_bundle(
            "too-many-mistakes",
            &format!("there are {more} more mistakes"),
            "mend those above first",
        ));
    }
    diagnostics
}
