//! The requests of a load: from files and directories, or generated.

use std::path::{Path, PathBuf};

use crate::api::pb::EvaluateRefundRequest;
use crate::cli::bench::refused;
use crate::cli::exit::Exit;
use crate::cli::input::{Input, request};
use crate::load::EXAMPLES_MAX;
use crate::load::mix::mix;

/// Requests, and where they are from.
type Examples = (Vec<EvaluateRefundRequest>, String);

/// The mix of a seed.
pub(super) fn generated(seed: u64) -> Result<Examples, Exit> {
    let requests = mix(seed).map_err(|error| refused(&error.to_string(), "name example requests instead"))?;
    Ok((requests, format!("generated for the standard policy, seed {seed}")))
}

/// All files, and all `*.json` of directories in the order of their names. Every file that is no request is
/// told.
pub(super) fn read(paths: &[PathBuf]) -> Result<Examples, Exit> {
    let mut files = Vec::new();
    for path in paths {
        files.extend(below(path)?);
    }
    if EXAMPLES_MAX < files.len() {
        let problem = format!("{} example requests are more than {EXAMPLES_MAX}", files.len());
        return Err(refused(&problem, "name fewer of them"));
    }
    let mut requests = Vec::new();
    let mut worst = None;
    for file in files {
        match request(&file) {
            Ok(request) => requests.push(request),
            Err(exit) => worst = Some(exit),
        }
    }
    let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    worst.map_or(Ok((requests, names.join(", "))), Err)
}

fn below(path: &Path) -> Result<Vec<Input>, Exit> {
    if path == Path::new("-") {
        return Ok(vec![Input::Stdin]);
    }
    if !path.is_dir() {
        return Ok(vec![Input::File(path.to_owned())]);
    }
    let name = path.display();
    let entries = std::fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries =
        entries.map_err(|error| refused(&format!("cannot read `{name}`: {error}"), "name a directory of requests"))?;
    let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    if files.is_empty() {
        return Err(refused(&format!("`{name}` holds no `*.json`"), "name a directory of example requests"));
    }
    Ok(files.into_iter().map(Input::File).collect())
}
