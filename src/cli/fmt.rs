//! `fmt`: the policies of a directory, written one way.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cases::CasesNode;
use crate::cli::check::say_report;
use crate::cli::exit::Exit;
use crate::cli::output::{answer, say, say_unreadable};
use crate::cli::show::visible;
use crate::domain::count::counted;
use crate::policy::bundle::Bundle;
use crate::policy::document::{CalendarNode, Policy};
use crate::policy::format::{FormatError, format};
use crate::policy::load::{FileRole, role};
use crate::policy::merge::{fragment_shape, layer_shape};
use crate::policy::read::{Read, Shape};
use crate::source::directory;

/// Write the policies of a directory in one way
#[derive(Debug, Args)]
#[command(
    long_about = "Write the policies of a directory in one way: keys in the order of the reference, comments \
        with the entry below them, values as they are.\n\n\
        A file is replaced as a whole, and only where what it says stays the same.",
    after_long_help = "Examples:\n  requite fmt policies/standard\n  requite fmt --check policies/standard\n\n\
        Exit codes:\n  0  every file is written so (now)\n  1  with --check: a file is not\n  3  a file cannot be read"
)]
pub(super) struct Fmt {
    /// Change nothing; say which files would change
    #[arg(long)]
    check: bool,
    /// The directory of the policies
    dir: PathBuf,
}

impl Fmt {
    pub(super) fn run(self) -> Exit {
        let bundle = match directory::read(&self.dir) {
            Ok(bundle) => bundle,
            Err(error) => return say_unreadable(&error),
        };
        let changes = match changes(&bundle) {
            Ok(changes) => changes,
            Err(exit) => return exit,
        };
        let files = counted(bundle.files().len(), "file");
        match (changes.as_slice(), self.check) {
            ([], _) => answer(format!("{files}, all of them written so"), Exit::Done),
            (changes, true) => {
                let names: Vec<String> = changes.iter().map(|(path, _)| format!("  {}", visible(path))).collect();
                let next = format!("next: `requite fmt {}`", self.dir.display());
                answer(format!("these files would change:\n{}\n{next}", names.join("\n")), Exit::Unexpected)
            }
            (changes, false) => {
                for (path, text) in changes {
                    if let Err(error) = replace(&self.dir.join(path), text) {
                        say(&format!("error: cannot write `{path}`: {error}\n  help: the file is as it was"));
                        return Exit::Unexpected;
                    }
                }
                let names: Vec<String> = changes.iter().map(|(path, _)| visible(path)).collect();
                answer(format!("{files}; written anew: {}", names.join(", ")), Exit::Done)
            }
        }
    }
}

/// The files that would change, with their new texts.
fn changes(bundle: &Bundle) -> Result<Vec<(String, String)>, Exit> {
    let mut changes = Vec::new();
    let mut diagnostics = Vec::new();
    for file in bundle.files() {
        let (Some(shape), Ok(text)) = (shape(role(&file.path)), std::str::from_utf8(&file.bytes)) else { continue };
        match format(&file.path, text, &shape) {
            Ok(formatted) if formatted == text => {}
            Ok(formatted) => changes.push((file.path.clone(), formatted)),
            Err(FormatError::Unreadable(found)) => diagnostics.extend(found),
            Err(FormatError::Unmovable) => say(&format!(
                "warning: `{}` is left as it is: moving its keys would change what it says\n  help: write each entry on lines of its own",
                file.path
            )),
        }
    }
    if diagnostics.is_empty() {
        return Ok(changes);
    }
    say_report(&diagnostics, bundle);
    Err(Exit::PolicyInvalid)
}

fn shape(role: FileRole) -> Option<Shape> {
    match role {
        FileRole::Policy => Some(Policy::shape()),
        FileRole::Fragment => Some(fragment_shape()),
        FileRole::Layer => Some(layer_shape()),
        FileRole::Cases => Some(CasesNode::shape()),
        FileRole::Calendar => Some(CalendarNode::shape()),
        FileRole::Manifest | FileRole::Unknown => None,
    }
}

/// Puts a new text in the place of a file at one stroke: a reader sees the old one or the new one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let target = fs::canonicalize(path)?;
    let name = target.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let beside = target.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let written = fs::write(&beside, text)
        .and_then(|()| fs::set_permissions(&beside, fs::metadata(&target)?.permissions()))
        .and_then(|()| fs::rename(&beside, &target));
    if written.is_err() {
        // What went wrong is said by the error; the leftover only takes room.
        let _ = fs::remove_file(&beside);
    }
    written
}
