//! `requite fmt`: one way to write policies, nothing said differently, nothing lost.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use requite::engine::admit::admit;
use requite::source::directory;

fn fmt(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_requite")).arg("fmt").args(arguments).output().unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &target) } else { fs::copy(&path, &target).map(|_| ()).unwrap() }
    }
}

#[test]
fn the_policies_of_the_project_are_written_so() {
    let mut bundles = vec!["policies/standard".to_owned()];
    let examples = fs::read_dir("policies/examples").into_iter().flatten().map(|entry| entry.unwrap().path());
    bundles.extend(examples.filter(|path| path.is_dir()).map(|path| path.to_string_lossy().into_owned()));
    for bundle in bundles {
        let output = fmt(&["--check", &bundle]);
        assert!(
            output.status.success(),
            "{bundle}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn a_policy_with_its_keys_mixed_up_says_the_same_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    copy(Path::new("policies/standard"), folder.path());
    let path = folder.path().join("standard.policy.yaml");
    let text = fs::read_to_string(&path).unwrap();
    // Rules with their answers before their ids, and the head in another order.
    let mixed = text
        .replace(
            "  - id: unpaid\n    note: \"R24: there is nothing to refund at this status\"\n    when: { stage: unpaid }\n    deny: ORDER_NOT_PAID\n",
            "  # no money\n  - deny: ORDER_NOT_PAID\n    # yet\n    when: { stage: unpaid }\n    id: unpaid\n",
        )
        .replace("timezone: Asia/Shanghai\ncalendar: cn\n", "calendar: cn # of China\ntimezone: Asia/Shanghai\n");
    assert_ne!(mixed, text);
    fs::write(&path, &mixed).unwrap();
    let before = admit(&directory::read(folder.path()).unwrap()).unwrap().cases_passed;
    let dir = folder.path().to_str().unwrap();

    let check = fmt(&["--check", dir]);
    assert_eq!(check.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&check.stdout).contains("standard.policy.yaml"));
    assert_eq!(fs::read_to_string(&path).unwrap(), mixed, "--check changes nothing");

    assert!(fmt(&[dir]).status.success());
    let after = fs::read_to_string(&path).unwrap();
    for comment in ["# no money", "# yet", "# of China"] {
        assert!(after.contains(comment), "{comment} is lost");
    }
    assert!(after.find("id: unpaid").unwrap() < after.find("deny: ORDER_NOT_PAID").unwrap());
    assert_eq!(admit(&directory::read(folder.path()).unwrap()).unwrap().cases_passed, before);
    assert!(fmt(&["--check", dir]).status.success(), "formatting twice changes nothing more");
}

#[test]
fn a_file_that_cannot_be_read_is_reported_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.policy.yaml");
    fs::write(&path, "policy: [a\n").unwrap();
    let output = fmt(&[folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("a.policy.yaml"));
    assert_eq!(fs::read_to_string(&path).unwrap(), "policy: [a\n");
}
