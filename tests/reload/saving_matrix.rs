//! Every way in which a policy is saved, with the state that it must end in.
//!
//! The program runs as it is deployed, with its own timing. From before the save until after its end
//! a caller asks without a pause: every call is answered, by the old policies or by the new ones and by
//! nothing in between, and never by the old ones again. What cannot be put in force is told with its
//! reason, and whatever was found, the next plain save is put in force.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use crate::support::saving::{
    LONG_PAUSE, REJECTED, Served, UNREADABLE, mounted, new_release, new_text, plain, run_by_someone_else, text,
    told_of, with_another_name,
};
use crate::support::serve::copy_standard;

// Ways of saving that end in force.

#[test]
fn truncated_and_written() {
    let served = Served::new();
    fs::write(served.file(), new_text()).unwrap();
    served.ends_in_force();
    served.goes_on();
}

#[test]
fn appended_to() {
    let served = Served::new();
    OpenOptions::new().append(true).open(served.file()).unwrap().write_all(b"# new\n").unwrap();
    served.ends_in_force();
    served.goes_on();
}

#[test]
fn written_in_chunks_with_pauses_longer_than_a_poll() {
    let served = Served::new();
    served.write_slowly(&served.file());
    served.ends_in_force();
    // Each part was looked at, and told as what it is.
    served.service.says(REJECTED);
    served.goes_on();
}

#[test]
fn written_in_many_chunks_without_a_rest() {
    let served = Served::new();
    let text = new_text();
    let mut file = File::create(served.file()).unwrap();
    for chunk in text.as_bytes().chunks(text.len() / 60 + 1) {
        file.write_all(chunk).unwrap();
        sleep(Duration::from_millis(60));
    }
    drop(file);
    served.ends_in_force();
    served.goes_on();
}

#[test]
fn emptied_and_filled_later() {
    let served = Served::new();
    let mut file = File::create(served.file()).unwrap();
    served.ends_kept(REJECTED, "standard.policy.yaml");
    file.write_all(new_text().as_bytes()).unwrap();
    drop(file);
    served.ends_in_force();
    served.goes_on();
}

#[test]
fn renamed_over_within_the_directory() {
    let served = Served::new();
    let next = served.root().join("standard.policy.yaml.tmp");
    fs::write(&next, new_text()).unwrap();
    fs::rename(&next, served.file()).unwrap();
    served.ends_in_force();
    served.goes_on();
}

#[test]
fn renamed_over_from_outside() {
    let served = Served::new();
    let next = served.beside("next");
    fs::write(&next, new_text()).unwrap();
    fs::rename(&next, served.file()).unwrap();
    served.ends_in_force();
    served.goes_on();
}

#[test]
fn saved_by_vim_as_a_new_file() {
    let served = Served::new();
    let root = served.root();
    fs::write(root.join(".standard.policy.yaml.swp"), "what vim recovers from").unwrap();
    fs::write(root.join("4913"), "").unwrap();
    fs::remove_file(root.join("4913")).unwrap();
    fs::rename(served.file(), root.join("standard.policy.yaml~")).unwrap();
    sleep(Duration::from_millis(5));
    fs::write(served.file(), new_text()).unwrap();
    fs::remove_file(root.join("standard.policy.yaml~")).unwrap();
    fs::remove_file(root.join(".standard.policy.yaml.swp")).unwrap();
    served.ends_in_force();
    served.goes_on();
}

#[test]
fn saved_by_vim_in_place_with_a_copy_as_backup() {
    let served = Served::new();
    let backup = served.root().join("standard.policy.yaml~");
    fs::copy(served.file(), &backup).unwrap();
    fs::write(served.file(), new_text()).unwrap();
    fs::remove_file(&backup).unwrap();
    served.ends_in_force();
    served.goes_on();
}

#[test]
fn saved_by_sed() {
    let served = Served::new();
    let sed = Command::new("sed").args(["-i", "$a # new"]).arg(served.file()).status().unwrap();
    assert!(sed.success());
    served.ends_in_force();
    served.goes_on();
}

#[test]
fn swapped_as_a_config_map() {
    let served = Served::laid_out(mounted);
    let root = served.root();
    new_release(&root.join("..two"));
    symlink("..two", root.join("..data_tmp")).unwrap();
    fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    fs::remove_dir_all(root.join("..one")).unwrap();
    served.ends_in_force();
    served.goes_on();
}

#[test]
fn deleted_and_created_at_once() {
    let served = Served::new();
    fs::remove_file(served.file()).unwrap();
    fs::write(served.file(), new_text()).unwrap();
    served.ends_in_force();
    served.goes_on();
}

#[test]
fn deleted_and_created_later() {
    let served = Served::new();
    fs::remove_file(served.file()).unwrap();
    served.ends_kept(REJECTED, "polic");
    fs::write(served.file(), new_text()).unwrap();
    served.ends_in_force();
    served.goes_on();
}

#[test]
fn written_with_the_size_and_the_time_of_before() {
    let served = Served::new();
    let before = fs::metadata(served.file()).unwrap();
    let same_size = text().replacen("# ", "#\t", 1);
    assert_eq!(same_size.len() as u64, before.size());
    fs::write(served.file(), same_size).unwrap();
    File::options().write(true).open(served.file()).unwrap().set_modified(before.modified().unwrap()).unwrap();
    served.ends_in_force();
    served.goes_on();
}

#[test]
fn directory_replaced_at_once() {
    let served = Served::new();
    let next = served.beside("next");
    new_release(&next);
    fs::rename(served.root(), served.beside("old")).unwrap();
    fs::rename(&next, served.root()).unwrap();
    served.ends_in_force();
    served.goes_on();
}

#[test]
fn directory_gone_for_a_while_and_another_in_its_place() {
    let served = Served::new();
    fs::rename(served.root(), served.beside("old")).unwrap();
    served.ends_kept(UNREADABLE, "No such file");
    let next = served.beside("next");
    new_release(&next);
    fs::rename(&next, served.root()).unwrap();
    served.ends_in_force();
    served.goes_on();
}

// Ways of which the file system tells nothing, so that only the poll can notice them.

#[test]
fn written_through_another_name_of_the_file() {
    let served = Served::laid_out(with_another_name);
    // Events go by names: the directory that is watched hears nothing of this.
    fs::write(served.beside("elsewhere/other"), new_text()).unwrap();
    served.ends_in_force();
    served.goes_on();
}

#[test]
fn written_in_chunks_through_another_name_of_the_file() {
    let served = Served::laid_out(with_another_name);
    served.write_slowly(&served.beside("elsewhere/other"));
    served.ends_in_force();
    served.goes_on();
}

#[test]
fn link_behind_a_link_swapped() {
    let served = Served::laid_out(|root| {
        let releases = root.with_file_name("releases");
        copy_standard(&releases.join("one"));
        new_release(&releases.join("two"));
        fs::create_dir(root.with_file_name("hidden")).unwrap();
        symlink("../releases/one", root.with_file_name("hidden").join("current")).unwrap();
        fs::remove_dir(root).unwrap();
        symlink("hidden/current", root).unwrap();
    });
    // Neither the directory above nor any that holds a policy has changed.
    symlink("../releases/two", served.beside("hidden/next")).unwrap();
    fs::rename(served.beside("hidden/next"), served.beside("hidden/current")).unwrap();
    served.ends_in_force();
    served.goes_on();
}

// What cannot be put in force is told, and the old policies stay.

#[test]
fn an_empty_file_is_rejected() {
    let served = Served::new();
    let next = served.root().join(".next");
    fs::write(&next, "").unwrap();
    fs::rename(&next, served.file()).unwrap();
    served.ends_kept(REJECTED, "standard.policy.yaml");
    served.goes_on();
}

#[test]
fn a_file_cut_in_the_middle_is_rejected() {
    let served = Served::new();
    let text = text();
    let rules = text.find("\nrules:").unwrap();
    let cut = rules + text[rules..].find("\n  - id: in-progress").unwrap();
    fs::write(served.file(), &text[..=cut]).unwrap();
    served.ends_kept(REJECTED, "otherwise");
    served.goes_on();
}

#[test]
fn a_calendar_cut_at_the_end_of_a_line_fails_its_cases() {
    let served = Served::new();
    let calendar = served.root().join("calendars/cn.yaml");
    let whole = fs::read_to_string(&calendar).unwrap();
    // Still a calendar, with fewer holidays: only the cases of the bundle can tell.
    fs::write(&calendar, &whole[..whole.find("  - 2025-01").unwrap()]).unwrap();
    served.ends_kept(REJECTED, "comes out differently");
    served.repair_with(|_| fs::write(&calendar, &whole).unwrap());
}

#[test]
fn a_link_that_leads_nowhere_is_unreadable_until_it_leads_somewhere() {
    let served = Served::new();
    fs::remove_file(served.file()).unwrap();
    symlink("../target", served.file()).unwrap();
    served.ends_kept(UNREADABLE, "No such file");
    fs::write(served.beside("target"), new_text()).unwrap();
    served.ends_in_force();
    served.goes_on();
}

#[test]
fn links_in_a_circle_are_unreadable() {
    let served = Served::new();
    fs::remove_file(served.file()).unwrap();
    symlink("standard.policy.yaml", served.file()).unwrap();
    served.ends_kept(UNREADABLE, "symbolic links");
    served.goes_on();
}

#[test]
fn a_pipe_in_the_place_of_the_file_hangs_nothing() {
    let served = Served::new();
    fs::remove_file(served.file()).unwrap();
    assert!(Command::new("mkfifo").arg(served.file()).status().unwrap().success());
    served.ends_kept(UNREADABLE, "got a pipe, socket or device");
    served.service.signal("-HUP");
    assert_eq!(served.service.says(UNREADABLE)["trigger"], "signal");
    served.goes_on();
}

#[test]
fn a_socket_in_the_place_of_the_file_is_unreadable() {
    let served = Served::new();
    fs::remove_file(served.file()).unwrap();
    let _socket = UnixListener::bind(served.file()).unwrap();
    served.ends_kept(UNREADABLE, "got a pipe, socket or device");
    served.goes_on();
}

#[test]
fn a_device_without_end_in_the_place_of_the_file_is_unreadable() {
    let served = Served::new();
    fs::remove_file(served.file()).unwrap();
    symlink("/dev/zero", served.file()).unwrap();
    served.ends_kept(UNREADABLE, "got a pipe, socket or device");
    served.goes_on();
}

#[test]
fn a_directory_in_the_place_of_the_file_is_unreadable() {
    let served = Served::new();
    fs::remove_file(served.file()).unwrap();
    fs::create_dir(served.file()).unwrap();
    served.ends_kept(UNREADABLE, "got a directory");
    served.repair_with(|served| fs::remove_dir(served.file()).unwrap());
}

#[test]
fn a_file_in_the_place_of_the_directory_is_unreadable() {
    let served = Served::new();
    fs::rename(served.root(), served.beside("old")).unwrap();
    fs::write(served.root(), "a file").unwrap();
    served.ends_kept(UNREADABLE, "Not a directory");
    served.repair_with(|served| {
        fs::remove_file(served.root()).unwrap();
        fs::rename(served.beside("old"), served.root()).unwrap();
    });
}

#[test]
fn a_name_that_is_no_text_is_unreadable() {
    let served = Served::new();
    let stray = served.root().join(OsStr::from_bytes(b"\xff\xfe.policy.yaml"));
    fs::copy(served.file(), &stray).unwrap();
    served.ends_kept(UNREADABLE, "expected a name in UTF-8");
    served.repair_with(|_| fs::remove_file(&stray).unwrap());
}

#[test]
fn a_policy_with_a_name_of_two_lines_is_rejected_like_any_other() {
    let served = Served::new();
    let stray = served.root().join("two\nlines.policy.yaml");
    fs::write(&stray, "nonsense: [\n").unwrap();
    served.ends_kept(REJECTED, "lines.policy.yaml");
    served.repair_with(|_| fs::remove_file(&stray).unwrap());
}

#[test]
fn a_name_of_two_lines_is_told_in_one() {
    let served = Served::new();
    let stray = served.root().join("two\nlines.yaml");
    fs::create_dir(&stray).unwrap();
    served.service.says(UNREADABLE);
    let told = served.service.says("expected a file");
    assert!(told["message"].as_str().unwrap().ends_with("two\\nlines.yaml`"), "{told}");
    served.repair_with(|_| fs::remove_dir(&stray).unwrap());
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_of_100_megabytes_is_refused_unread() {
    let served = Served::new();
    let peak_kib = || told_of(&served.service, "status", "VmHWM:");
    let read_bytes = || told_of(&served.service, "io", "rchar:");
    let (peak_before, read_before) = (peak_kib(), read_bytes());
    let next = served.beside("next");
    let mut file = File::create(&next).unwrap();
    let line = [b'#'; 1_000_000];
    for _ in 0..100 {
        file.write_all(&line).unwrap();
    }
    drop(file);
    fs::rename(&next, served.file()).unwrap();
    served.ends_kept(UNREADABLE, "has 100000000 bytes");
    // The kernel counts resident pages by processor, so the same peak may be told a few pages lower.
    let grown = peak_kib().saturating_sub(peak_before);
    let read = read_bytes() - read_before;
    println!("grown by {grown} KiB, read {read} bytes");
    assert!(grown < 16 * 1024, "memory grew by {grown} KiB");
    assert!(read < 4_000_000, "{read} bytes were read");
    served.goes_on();
}

#[test]
fn permission_to_read_the_file_lost_and_given_back() {
    let (program, dir) = run_by_someone_else();
    let served = Served::run_by(program, dir, plain);
    fs::set_permissions(served.file(), Permissions::from_mode(0o000)).unwrap();
    served.ends_kept(UNREADABLE, "Permission denied");
    fs::remove_file(served.file()).unwrap();
    fs::write(served.file(), new_text()).unwrap();
    fs::set_permissions(served.file(), Permissions::from_mode(0o644)).unwrap();
    served.ends_in_force();
    served.goes_on();
}

#[test]
fn permission_to_list_the_directory_lost_and_given_back() {
    let (program, dir) = run_by_someone_else();
    let served = Served::run_by(program, dir, plain);
    let next = served.beside("next");
    fs::write(&next, new_text()).unwrap();
    fs::rename(&next, served.file()).unwrap();
    fs::set_permissions(served.root(), Permissions::from_mode(0o000)).unwrap();
    served.ends_kept(UNREADABLE, "Permission denied");
    fs::set_permissions(served.root(), Permissions::from_mode(0o755)).unwrap();
    served.ends_in_force();
    served.goes_on();
}

#[test]
fn permission_given_back_without_another_change_is_noticed() {
    let (program, dir) = run_by_someone_else();
    let served = Served::run_by(program, dir, plain);
    fs::set_permissions(served.file(), Permissions::from_mode(0o000)).unwrap();
    served.ends_kept(UNREADABLE, "Permission denied");
    fs::set_permissions(served.file(), Permissions::from_mode(0o644)).unwrap();
    served.service.says("policies are readable again");
    served.goes_on();
}

// What is no change.

#[test]
fn what_editors_leave_behind_and_a_touch_change_nothing() {
    let served = Served::new();
    fs::write(served.root().join(".standard.policy.yaml.swp"), "x").unwrap();
    fs::write(served.root().join("standard.policy.yaml~"), "x").unwrap();
    fs::write(served.root().join("4913"), "x").unwrap();
    fs::write(served.file(), text()).unwrap();
    sleep(LONG_PAUSE);
    served.service.signal("-HUP");
    served.service.says("policies unchanged");
    assert_eq!(served.seen.digests.lock().unwrap().len(), 1);
    served.goes_on();
}
