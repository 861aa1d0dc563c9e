//! The service as it is run: it says where it serves, takes changes, keeps its policies when a
//! change is bad, and ends when asked.

use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use crate::support::serve::{policy, serve, serve_policies, standard_policies};

#[test]
fn changes_are_taken_and_bad_ones_are_not() {
    let dir = standard_policies();
    let mut service = serve_policies(&dir);
    TcpStream::connect(&service.address).unwrap();
    service.says("serving");
    let first = fs::read_to_string(policy(&dir)).unwrap();

    fs::write(policy(&dir), format!("{first}# a comment\n")).unwrap();
    let applied = service.says("policies applied");
    assert_eq!(applied["generation"], 2);
    assert_eq!(applied["trigger"], "file_change");
    assert_ne!(applied["before"], applied["after"]);

    fs::write(policy(&dir), format!("{first}nonsense: [\n")).unwrap();
    let rejected = service.says("policies rejected");
    assert_eq!(rejected["in_force"], applied["after"]);
    assert_eq!(rejected["level"], "ERROR");

    service.signal("-HUP");
    assert_eq!(service.says("policies rejected")["trigger"], "signal");

    fs::remove_file(policy(&dir)).unwrap();
    fs::remove_dir_all(dir.path()).unwrap();
    service.says("policies unreadable");
    TcpStream::connect(&service.address).unwrap();

    fs::create_dir(dir.path()).unwrap();
    let again = standard_policies();
    fs::rename(again.path(), dir.path()).unwrap();
    assert_eq!(service.says("policies applied")["generation"], 3);

    service.signal("-TERM");
    assert_eq!(service.exit_code(), Some(0));
    service.says("stopped");
}

#[test]
fn the_default_policies_need_no_directory() {
    let mut service = serve(&[]);
    service.signal("-HUP");
    service.says("policies unchanged");
    service.signal("-INT");
    assert_eq!(service.exit_code(), Some(0));
}

#[test]
fn each_change_of_a_file_is_put_in_force() {
    let dir = standard_policies();
    let service = serve_policies(&dir);
    service.says("serving");
    let text = fs::read_to_string(policy(&dir)).unwrap();
    for round in 0..3 {
        let next = dir.path().join(".next");
        fs::write(&next, format!("{text}# round {round}\n")).unwrap();
        fs::rename(&next, policy(&dir)).unwrap();
        assert_eq!(service.says("policies applied")["generation"], round + 2);
    }
}

#[test]
fn bad_policies_at_the_start_are_exit_code_3_and_nothing_is_served() {
    let dir = standard_policies();
    fs::write(policy(&dir), "nonsense: [\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_requite"))
        .args(["serve", "--listen", "127.0.0.1:0", "--policies", dir.path().to_str().unwrap()])
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(output.stdout, b"");
    assert!(String::from_utf8_lossy(&output.stderr).contains("standard.policy.yaml"));
}

#[test]
fn an_address_in_use_is_exit_code_1_with_help() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_requite"))
        .args(["serve", "--listen", &taken.local_addr().unwrap().to_string()])
        .env_clear()
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(text.contains("cannot listen on `127.0.0.1:") && text.contains("help: choose another address"), "{text}");
}
