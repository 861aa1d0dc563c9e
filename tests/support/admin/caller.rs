//! The program as admins call it, and the policies that they do it with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use requite::policy::bundle::Bundle;
use requite::source::directory;
use tempfile::TempDir;

pub const BEFORE: &str = "tests/policy_diff/before";
pub const AFTER: &str = "tests/policy_diff/after";

/// A directory with the files of another one.
pub fn copy(from: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
    }
    dir
}

pub fn bundle(dir: &str) -> Bundle {
    directory::read(Path::new(dir)).unwrap()
}

pub fn digest(dir: &str) -> String {
    bundle(dir).digest().to_string()
}

/// The program, as someone with a token calls it.
pub struct Caller {
    pub dir: tempfile::TempDir,
    addr: String,
    token: PathBuf,
}

/// What a call came to.
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Caller {
    pub fn new(addr: &str, token: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, format!("{token}\n")).unwrap();
        Self { dir, addr: addr.to_owned(), token: file }
    }

    /// Runs the program with where the server is, and whose token it is, in variables.
    pub fn run(&self, arguments: &[&str]) -> Said {
        let variables =
            [("REQUITE_ADMIN_ADDR", self.addr.as_str()), ("REQUITE_ADMIN_TOKEN_FILE", self.token.to_str().unwrap())];
        run_with(arguments, &variables)
    }

    /// The same, which must end well.
    pub fn done(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert_eq!(said.code, Some(0), "{arguments:?}: {}{}", said.out, said.err);
        said.out
    }
}

pub fn run_with(arguments: &[&str], variables: &[(&str, &str)]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_requite"));
    command.args(arguments).env_clear().envs(variables.iter().copied()).stdin(Stdio::null());
    said(&command.output().unwrap())
}

fn said(output: &Output) -> Said {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}
