//! Differences between two bundles, for people: a heading for each document, the lines that
//! went and came, a count at the end.

use similar::{ChangeTag, TextDiff};

use crate::api::pb;
use crate::cli::show::{Ink, inked, visible};
use crate::domain::count::counted;
use crate::policy::diagnostic::Colour;
use crate::policy::diff::{Change, ChangeKind};

/// Lines shown around a line that changed.
const CONTEXT_LINES: usize = 3;

/// The differences that a server shows, and how many more it has.
pub(in crate::cli) fn text_of_server(changes: &[pb::PolicyChange], further: u32, colour: Colour) -> String {
    let mut page = text(&of_server(changes), colour);
    if 0 < further {
        let are = counted(further, "further change");
        page.push_str(&format!("and {are} without room here: `requite diff` shows everything\n"));
    }
    page
}

/// Differences as a server tells them.
fn of_server(changes: &[pb::PolicyChange]) -> Vec<Change> {
    changes.iter().map(of_message).collect()
}

fn of_message(change: &pb::PolicyChange) -> Change {
    let pb::PolicyChange { kind: _, document, section, name, before, after } = change;
    let kind = match change.kind() {
        pb::ChangeKind::Added => ChangeKind::Added,
        pb::ChangeKind::Removed => ChangeKind::Removed,
        // A kind that this program does not know is a change all the same.
        pb::ChangeKind::Changed | pb::ChangeKind::Unspecified => ChangeKind::Changed,
        pb::ChangeKind::Moved => ChangeKind::Moved,
    };
    Change {
        kind,
        document: document.clone(),
        section: section.clone(),
        name: name.clone(),
        before: before.clone(),
        after: after.clone(),
    }
}

/// Differences as a server would tell them.
pub(in crate::cli) fn to_messages(changes: &[Change]) -> Vec<pb::PolicyChange> {
    let message = |Change { kind, document, section, name, before, after }: &Change| pb::PolicyChange {
        kind: match kind {
            ChangeKind::Added => pb::ChangeKind::Added,
            ChangeKind::Removed => pb::ChangeKind::Removed,
            ChangeKind::Changed => pb::ChangeKind::Changed,
            ChangeKind::Moved => pb::ChangeKind::Moved,
        }
        .into(),
        document: document.clone(),
        section: section.clone(),
        name: name.clone(),
        before: before.clone(),
        after: after.clone(),
    };
    changes.iter().map(message).collect()
}

/// All differences, document by document.
pub(in crate::cli) fn text(changes: &[Change], colour: Colour) -> String {
    let mut page = String::new();
    for document in changes.chunk_by(|a, b| a.document == b.document) {
        let name = document.first().map(|change| change.document.as_str()).unwrap_or_default();
        page.push_str(&inked(&visible(name), Ink::Heading, colour));
        page.push('\n');
        for change in document {
            one(&mut page, change, colour);
        }
        page.push('\n');
    }
    page.push_str(&summary(changes));
    page.push('\n');
    page
}

fn one(page: &mut String, change: &Change, colour: Colour) {
    let kind = match change.kind {
        ChangeKind::Added => inked("added  ", Ink::New, colour),
        ChangeKind::Removed => inked("removed", Ink::Gone, colour),
        ChangeKind::Changed => inked("changed", Ink::Place, colour),
        ChangeKind::Moved => inked("moved  ", Ink::Place, colour),
    };
    let what = match (change.section.as_str(), change.name.as_str()) {
        ("", _) => "the whole file".to_owned(),
        (section, "") => section.to_owned(),
        (section, name) => format!("{section} `{name}`"),
    };
    let what = visible(&what);
    if change.kind == ChangeKind::Moved {
        let (from, to) = (visible(&change.before), visible(&change.after));
        page.push_str(&format!("  {kind}  {what}: was {from}, is {to}\n"));
        return;
    }
    page.push_str(&format!("  {kind}  {what}\n"));
    lines(page, &change.before, &change.after, colour);
}

/// The lines that went and came, with some around them.
fn lines(page: &mut String, before: &str, after: &str, colour: Colour) {
    let diff = TextDiff::from_lines(before, after);
    for (number, hunk) in diff.grouped_ops(CONTEXT_LINES).iter().enumerate() {
        if number != 0 {
            page.push_str(&format!("    {}\n", inked("…", Ink::Place, colour)));
        }
        for change in hunk.iter().flat_map(|op| diff.iter_changes(op)) {
            let text = visible(change.value().trim_end_matches(['\n', '\r']));
            let line = match change.tag() {
                ChangeTag::Equal => format!("  {text}"),
                ChangeTag::Insert => inked(&format!("+ {text}"), Ink::New, colour),
                ChangeTag::Delete => inked(&format!("- {text}"), Ink::Gone, colour),
            };
            page.push_str(format!("    {line}").trim_end());
            page.push('\n');
        }
    }
}

/// Number of differences of each kind.
pub(in crate::cli) fn summary(changes: &[Change]) -> String {
    let kinds = [
        (ChangeKind::Added, "added"),
        (ChangeKind::Removed, "removed"),
        (ChangeKind::Changed, "changed"),
        (ChangeKind::Moved, "moved"),
    ];
    let count = |kind| changes.iter().filter(|change| change.kind == kind).count();
    let told: Vec<String> = kinds
        .into_iter()
        .map(|(kind, word)| (count(kind), word))
        .filter(|(count, _)| *count != 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    format!("{}: {}", counted(changes.len() as u64, "difference"), told.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(kind: ChangeKind, before: &str, after: &str) -> Change {
        Change {
            kind,
            document: "shop".into(),
            section: "rules".into(),
            name: "late".into(),
            before: before.into(),
            after: after.into(),
        }
    }

    #[test]
    fn only_what_is_near_a_difference_is_shown() {
        let before: String = (1..=20).map(|line| format!("line {line}\n")).collect();
        let after = before.replace("line 2\n", "line two\n").replace("line 19\n", "");
        let shown = text(&[change(ChangeKind::Changed, &before, &after)], Colour::Off);
        let expected = "\
shop
  changed  rules `late`
      line 1
    - line 2
    + line two
      line 3
      line 4
      line 5
    …
      line 16
      line 17
      line 18
    - line 19
      line 20

1 difference: 1 changed
";
        assert_eq!(shown, expected);
    }

    #[test]
    fn colours_are_there_only_where_they_are_wanted() {
        let changes = [change(ChangeKind::Added, "", "id: late"), change(ChangeKind::Moved, "first", "behind `x`")];
        let plain = text(&changes, Colour::Off);
        assert_eq!(
            plain,
            "shop\n  added    rules `late`\n    + id: late\n  moved    rules `late`: was first, is behind `x`\n\n\
             2 differences: 1 added, 1 moved\n"
        );
        let coloured = text(&changes, Colour::On);
        assert!(coloured.contains("\u{1b}[32m+ id: late\u{1b}[0m"), "{coloured:?}");
    }
}
