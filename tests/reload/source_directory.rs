//! A directory is read as one bundle, or every reason why not is named.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use requite::domain::limits::FILE_BYTES_MAX;
use requite::policy::bundle::BundleError;
use requite::source::SourceError;
use requite::source::directory::read;
use tempfile::TempDir;

fn directory(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn names(dir: &Path) -> Vec<String> {
    read(dir).unwrap().files().iter().map(|file| file.path.clone()).collect()
}

fn report(dir: &Path) -> Vec<String> {
    let error = read(dir).unwrap_err();
    error.lines().into_iter().map(|(problem, _)| problem.replace(&dir.display().to_string(), "DIR")).collect()
}

#[test]
fn a_bundle_is_the_yaml_files_of_three_places() {
    let dir = directory(&[
        ("a.policy.yaml", "a"),
        ("calendars/cn.yaml", "cn"),
        ("cases/a.cases.yaml", "cases"),
        ("README.md", "for people"),
        ("requests/one.json", "{}"),
        ("requests/one.yaml", "elsewhere"),
    ]);
    assert_eq!(names(dir.path()), ["a.policy.yaml", "calendars/cn.yaml", "cases/a.cases.yaml"]);
    assert_eq!(read(dir.path()).unwrap().file("calendars/cn.yaml").unwrap().bytes, b"cn");
}

#[test]
fn what_editors_leave_behind_is_not_part_of_it() {
    let dir = directory(&[
        ("a.yaml", "a"),
        (".a.yaml.swp", "x"),
        (".hidden.yaml", "x"),
        ("a.yaml~", "x"),
        ("#a.yaml#", "x"),
        ("4913", "x"),
        (".git/config.yaml", "x"),
    ]);
    // Emacs locks a file by a link that leads nowhere.
    symlink("someone@host:1", dir.path().join(".#a.yaml")).unwrap();
    assert_eq!(names(dir.path()), ["a.yaml"]);
}

#[test]
fn a_kubernetes_config_map_is_read_through_its_links() {
    let dir = directory(&[("..2026_11_01/a.yaml", "a"), ("..2026_11_01/b.yaml", "b")]);
    symlink("..2026_11_01", dir.path().join("..data")).unwrap();
    symlink("..data/a.yaml", dir.path().join("a.yaml")).unwrap();
    symlink("..data/b.yaml", dir.path().join("b.yaml")).unwrap();
    assert_eq!(names(dir.path()), ["a.yaml", "b.yaml"]);
}

#[test]
fn every_file_that_does_not_belong_is_named() {
    let dir = directory(&[("a.yaml", "a"), ("b.yml", "b"), ("c.YAML", "c"), ("d.yaml/inside", "d")]);
    assert_eq!(
        report(dir.path()),
        [
            "expected a name that ends in `.yaml`, got `DIR/b.yml`",
            "expected a name that ends in `.yaml`, got `DIR/c.YAML`",
            "expected a file, got a directory: `DIR/d.yaml`",
        ]
    );
    assert!(!read(dir.path()).unwrap_err().is_transient());
}

#[test]
fn a_pipe_is_refused_and_never_waited_for() {
    let dir = directory(&[("a.yaml", "a")]);
    assert!(Command::new("mkfifo").arg(dir.path().join("pipe.yaml")).status().unwrap().success());
    let _socket = UnixListener::bind(dir.path().join("socket.yaml")).unwrap();
    assert_eq!(
        report(dir.path()),
        [
            "expected a file, got a pipe, socket or device: `DIR/pipe.yaml`",
            "expected a file, got a pipe, socket or device: `DIR/socket.yaml`",
        ]
    );
}

#[test]
fn a_file_of_the_largest_size_is_read_and_one_byte_more_is_not() {
    let dir = directory(&[]);
    let file = fs::File::create(dir.path().join("a.yaml")).unwrap();
    file.set_len(FILE_BYTES_MAX as u64).unwrap();
    assert_eq!(read(dir.path()).unwrap().files()[0].bytes.len(), FILE_BYTES_MAX);
    file.set_len(FILE_BYTES_MAX as u64 + 1).unwrap();
    let bytes = FILE_BYTES_MAX + 1;
    assert_eq!(report(dir.path()), [format!("`DIR/a.yaml` has {bytes} bytes, at most {FILE_BYTES_MAX} are allowed")]);
}

#[test]
fn a_huge_sparse_file_costs_no_memory() {
    let dir = directory(&[]);
    fs::File::create(dir.path().join("a.yaml")).unwrap().set_len(1 << 40).unwrap();
    let told = format!("`DIR/a.yaml` has 1099511627776 bytes, at most {FILE_BYTES_MAX} are allowed");
    assert_eq!(report(dir.path()), [told]);
}

#[test]
fn files_together_have_a_limit_that_is_checked_before_reading() {
    let dir = directory(&[]);
    for name in ["a.yaml", "b.yaml", "c.yaml", "d.yaml", "e.yaml"] {
        fs::File::create(dir.path().join(name)).unwrap().set_len(FILE_BYTES_MAX as u64).unwrap();
    }
    assert_eq!(read(dir.path()), Err(SourceError::Bundle(BundleError::TooLarge(5 * FILE_BYTES_MAX))));
}

#[test]
fn too_many_files_are_an_error() {
    let dir = directory(&[]);
    for number in 0..1_025 {
        fs::write(dir.path().join(format!("{number}.yaml")), "x").unwrap();
    }
    let report = report(dir.path());
    assert_eq!(report.len(), 1);
    assert!(report[0].starts_with("a bundle holds at most 1024 files"), "{report:?}");
}

#[test]
fn a_link_that_leads_nowhere_may_lead_somewhere_later() {
    let dir = directory(&[("a.yaml", "a")]);
    symlink("missing.yaml", dir.path().join("b.yaml")).unwrap();
    assert_eq!(report(dir.path()), ["cannot read `DIR/b.yaml`: No such file or directory (os error 2)"]);
    assert!(read(dir.path()).unwrap_err().is_transient());
}

#[test]
fn an_empty_directory_is_an_error() {
    let dir = directory(&[("README.md", "nothing here")]);
    assert_eq!(read(dir.path()), Err(SourceError::Bundle(BundleError::Empty)));
}

#[test]
fn a_directory_that_is_missing_or_a_file_is_named() {
    let dir = directory(&[("a.yaml", "a")]);
    assert_eq!(report(&dir.path().join("nowhere")), ["cannot read `DIR`: No such file or directory (os error 2)"]);
    assert_eq!(report(&dir.path().join("a.yaml")), ["cannot read `DIR`: Not a directory (os error 20)"]);
    let [(_, help)] = read(&dir.path().join("a.yaml")).unwrap_err().lines().try_into().unwrap();
    assert_eq!(help, "policies are read from a directory: name the one that holds the file");
}

#[test]
fn a_file_without_permission_is_transient() {
    let dir = directory(&[("a.yaml", "a")]);
    let path = dir.path().join("a.yaml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser may read everything.
    if fs::read(&path).is_err() {
        assert!(read(dir.path()).unwrap_err().is_transient());
    }
}

#[test]
fn a_name_that_is_not_text_is_an_error() {
    use std::os::unix::ffi::OsStrExt;
    let dir = directory(&[("a.yaml", "a")]);
    fs::write(dir.path().join(std::ffi::OsStr::from_bytes(b"\xff.yaml")), "x").unwrap();
    assert!(report(dir.path())[0].starts_with("expected a name in UTF-8"));
}

/// Puts two files that say the same number in force, as a ConfigMap is updated: a new directory
/// each time, one rename, and the old directory is deleted.
fn swap(root: &Path, number: u32) {
    let next = root.join(format!("..{number}"));
    fs::create_dir(&next).unwrap();
    for name in ["a.yaml", "b.yaml"] {
        fs::write(next.join(name), number.to_string()).unwrap();
    }
    symlink(format!("..{number}"), root.join("..next")).unwrap();
    fs::rename(root.join("..next"), root.join("..data")).unwrap();
    if let Some(before) = number.checked_sub(1) {
        fs::remove_dir_all(root.join(format!("..{before}"))).unwrap();
    }
}

#[test]
fn a_bundle_is_never_a_mixture_of_two_moments() {
    let dir = directory(&[]);
    swap(dir.path(), 0);
    for name in ["a.yaml", "b.yaml"] {
        symlink(format!("..data/{name}"), dir.path().join(name)).unwrap();
    }
    let root = dir.path().to_owned();
    let swapping = std::thread::spawn(move || (1..2_000).for_each(|number| swap(&root, number)));
    let mut reads = 0;
    while !swapping.is_finished() {
        match read(dir.path()) {
            Ok(bundle) => {
                assert_eq!(bundle.files()[0].bytes, bundle.files()[1].bytes);
                reads += 1;
            }
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
    }
    swapping.join().unwrap();
    assert!(read(dir.path()).unwrap().files()[0].bytes == b"1999", "after {reads} reads");
}
