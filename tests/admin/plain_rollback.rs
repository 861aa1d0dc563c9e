//! A rollback that names nothing, beside a colleague: the program as it is served and typed, killed in between.

use crate::support::admin::Said;
use crate::support::admin_model::served::Served;
use crate::support::admin_model::{Verb, Version};

const VERSIONS: [Version; 5] = ['a', 'b', 'c', 'C', 'd'];

fn in_force(served: &Served) -> Version {
    served.revisions().0[0]
}

/// A plain rollback by this admin, which is refused.
fn refused(served: &Served, who: &str) -> Said {
    let (before, said) = (in_force(served), served.run(who, &["rollback", "--reason", "an alarm"]));
    assert_eq!((said.code, in_force(served)), (Some(1), before), "{}{}", said.out, said.err);
    assert!(said.err.contains("help: nothing was done; "), "{}", said.err);
    said
}

fn done(served: &Served, who: &str, arguments: &[&str], expected: Version) -> Said {
    let said = served.run(who, arguments);
    assert_eq!((said.code, in_force(served)), (Some(0), expected), "{arguments:?}: {}{}", said.out, said.err);
    said
}

/// What the program says to type, as words.
fn to_type(said: &Said) -> Vec<&str> {
    let command = said.err.split("type `requite ").nth(1).unwrap_or_else(|| panic!("{}", said.err));
    command.split('`').next().unwrap().split(' ').collect()
}

#[test]
fn two_who_see_the_same_alarm_go_back_once() {
    let mut served = Served::start('a', &VERSIONS, 10);
    for version in ['c', 'b'] {
        served.nobody(&Verb::Change { version });
    }
    done(&served, "alice", &["rollback", "--reason", "b is bad"], 'c');
    let said = refused(&served, "bob");
    assert!(said.err.starts_with("error: `alice` has gone back already, to "), "{}", said.err);
    assert!(said.err.contains(": rollback by alice: b is bad\n"), "{}", said.err);

    // A start takes the bad one again: who rolled back from it undoes nothing, and the next one is refused.
    served.nobody(&Verb::Restart);
    assert_eq!(in_force(&served), 'b');
    done(&served, "bob", &["rollback"], 'c');
    refused(&served, "alice");

    // Neither an edit of a comment nor a start hides it.
    served.nobody(&Verb::Change { version: 'C' });
    assert_eq!(in_force(&served), 'C');
    let said = refused(&served, "alice");
    assert!(said.err.contains("`bob` has gone back already") && said.err.contains(": file change\n"), "{}", said.err);
    served.nobody(&Verb::Restart);
    assert_eq!(in_force(&served), 'C');
    let said = refused(&served, "alice");

    // What it says to type goes back all the same, and says whose change that is.
    let typed = to_type(&said);
    let said = done(&served, "alice", &typed, 'a');
    assert!(
        said.err.contains("is a colleague's change, made at ") && said.err.contains("rollback by bob"),
        "{}",
        said.err
    );
    assert!(said.out.contains("note: this replaces ") && said.out.contains("rollback by `bob`"), "{}", said.out);
    // One's own may be rolled back from, where there is something to go back to.
    let said = served.run("alice", &["rollback"]);
    assert!(said.err.contains("all that there is to go back to was rolled back from"), "{}", said.err);
}

#[test]
fn nobody_undoes_unseen_what_a_colleague_fixed() {
    let mut served = Served::start('a', &VERSIONS, 10);
    served.nobody(&Verb::Change { version: 'b' });
    done(&served, "alice", &["rollback"], 'a');
    // The source is fixed: nobody in particular did it, but a colleague is at work.
    served.nobody(&Verb::Change { version: 'd' });
    let said = refused(&served, "bob");
    assert!(said.err.contains("`alice` has gone back already") && said.err.contains("in force now: "), "{}", said.err);
    served.nobody(&Verb::Restart);
    refused(&served, "bob");
    // Who did it oneself knows.
    done(&served, "alice", &["rollback"], 'a');

    // A promotion, and a start that takes something else in its place.
    let stage = served.command("alice", &Verb::Stage { version: Some('c'), replace: false }, "");
    stage.run();
    let promote = Verb::Promote { version: 'c', expected: 'a', untried: true, rolled_back: false };
    served.command("alice", &promote, "CR-7").run();
    assert_eq!(in_force(&served), 'c');
    let said = refused(&served, "bob");
    assert!(said.err.contains("`alice` has changed what is in force") && said.err.contains("CR-7"), "{}", said.err);
    let said = served.run("bob", &["rollback", "--expect", "00000000"]);
    assert!(said.err.contains("but it is blake3:") && said.err.contains("promotion by alice: CR-7"), "{}", said.err);
    let typed = to_type(&refused(&served, "bob")).join(" ");
    done(&served, "bob", &typed.split(' ').collect::<Vec<_>>(), 'a');
}
