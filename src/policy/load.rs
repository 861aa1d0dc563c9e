//! From a bundle to plans: which file is what, and all mistakes of all files together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::decision::RuleRef;
use crate::plan::Plan;
use crate::policy::bundle::{Bundle, BundleFile};
use crate::policy::calendar;
use crate::policy::check::{Calendars, check};
use crate::policy::compile::compile;
use crate::policy::diagnostic::{Diagnostic, Precedent, Severity, SourceLocation};
use crate::policy::diagnostics::Diagnostics;
use crate::policy::document::{BundleNode, CalendarNode, Document, read_policy};
use crate::policy::merge::{Fragments, Layer, check_shared, merge, read_fragment, read_layer};
use crate::policy::read::Read;
use crate::policy::source::{Located, Source, Sources, Span};
use crate::policy::tree::{Node, NodeBudget, parse_within};
use crate::policy::unknown::unknown_word;
use crate::policy::versions::{self, Written};

/// The policies of a bundle, compiled.
#[derive(Debug)]
pub struct Loaded {
    /// The policies, by file.
    pub plans: Vec<Plan>,
    /// The id of the policy that a request without one gets.
    pub default_policy: String,
    /// Places of the rules of each plan in the source.
    pub rules: Vec<RuleSpans>,
    /// Precedent of the bundle.
    pub precedent: Precedent,
}

/// Places of the rules of a plan in the source, in its order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleSpans {
    rules: Vec<Span>,
    otherwise: Span,
}

/// The places of rules, for reports on decisions.
#[derive(Clone, Copy, Debug)]
pub struct RulePlaces<'l> {
    bundle: &'l Bundle,
    loaded: &'l Loaded,
}

impl<'l> RulePlaces<'l> {
    /// Those of a bundle that was loaded.
    #[must_use]
    pub const fn new(bundle: &'l Bundle, loaded: &'l Loaded) -> Self {
        Self { bundle, loaded }
    }

    /// `FILE:LINE` of a rule of one of the plans.
    #[must_use]
    pub fn of(&self, plan: &Plan, rule: RuleRef) -> Option<String> {
        let index = self.loaded.plans.iter().position(|known| std::ptr::eq(known, plan))?;
        let spans = self.loaded.rules.get(index)?;
        let span = match rule {
            RuleRef::Rule(rule) => *spans.rules.get(rule as usize)?,
            RuleRef::Otherwise => spans.otherwise,
        };
        let file = self.bundle.files().get(usize::from(span.file))?;
        let lines = file.bytes.get(..span.start as usize)?.iter().filter(|&&byte| byte == b'\n').count() + 1;
        Some(format!("{}:{lines}", file.path))
    }
}

impl RuleSpans {
    /// Those of the layers come first, as in the plan.
    fn of(document: &Document) -> Self {
        let layered = document.layers.iter().flat_map(|layer| &layer.rules);
        let rules = layered.chain(&document.policy.rules).map(|rule| rule.id.span()).collect();
        Self { rules, otherwise: document.otherwise_key }
    }
}

/// Role of a file of a bundle, by its path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileRole {
    /// `NAME.policy.yaml`.
    Policy,
    /// `NAME.fragment.yaml`: declarations that policies share.
    Fragment,
    /// `NAME.layer.yaml`: rules above those of other policies.
    Layer,
    /// `NAME.cases.yaml`, also in `cases/`.
    Cases,
    /// `calendars/NAME.yaml`.
    Calendar,
    /// `bundle.yaml`.
    Manifest,
    /// None of these.
    Unknown,
}

/// Role of a file, by its path.
#[must_use]
pub fn role(path: &str) -> FileRole {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    match folder {
        "calendars" if name.ends_with(".yaml") => FileRole::Calendar,
        "" | "cases" if name.ends_with(".cases.yaml") => FileRole::Cases,
        "" if name == "bundle.yaml" => FileRole::Manifest,
        "" if name.ends_with(".policy.yaml") => FileRole::Policy,
        "" if name.ends_with(".fragment.yaml") => FileRole::Fragment,
        "" if name.ends_with(".layer.yaml") => FileRole::Layer,
        _ => FileRole::Unknown,
    }
}

/// Reads, checks and compiles all policies of a new bundle. `None` where anything was an error; the
/// diagnostics are complete in both cases, and in no order.
#[must_use]
pub fn load(bundle: &Bundle) -> (Option<Loaded>, Vec<Diagnostic>) {
    load_of(bundle, Precedent::New)
}

/// Reads, checks and compiles all policies of a bundle of this precedent, as [`load`]. What only stricter checks refuse
/// of one that has been in force is loaded with what it meant before these, and reported.
#[must_use]
pub fn load_of(bundle: &Bundle, precedent: Precedent) -> (Option<Loaded>, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let sources = open(bundle, &mut diagnostics);
    let trees = parse_all(bundle, &sources, precedent, &mut diagnostics);
    let mut sink = Diagnostics::of(&sources, precedent);
    let calendars = calendars(bundle, &trees, &mut sink);
    let fragments = fragments(bundle, &trees, &mut sink);
    let layers: Vec<Layer> =
        of_role(&trees, FileRole::Layer).filter_map(|(_, node)| read_layer(node, &mut sink)).collect();
    let (mut plans, mut places): (Vec<Plan>, Vec<RuleSpans>) = (Vec::new(), Vec::new());
    let mut written: Vec<Written> = Vec::new();
    let policies: Vec<&Node> = of_role(&trees, FileRole::Policy).map(|(_, node)| node).collect();
    if check_shared(&policies, &fragments, &layers, &mut sink).is_none() {
        diagnostics.append(&mut sink.diagnostics);
        return (None, diagnostics);
    }
    // Each tree ends with its policy: a large one is not held beside the document made of it.
    for (_, node) in trees.into_iter().filter(|(path, _)| role(path) == FileRole::Policy) {
        let (merged, rules) = merge(node, &fragments, &layers, &mut sink);
        let Some(document) = read_policy(merged, rules, &mut sink) else { continue };
        let plan = check(&document, &calendars, &mut sink).map(compile);
        written.push(Written::new(&document, plan.as_ref()));
        if let Some(plan) = plan {
            plans.push(plan);
            places.push(RuleSpans::of(&document));
        }
    }
    check_targets(&layers, &written, &mut sink);
    versions::check(&written, &mut sink);
    diagnostics.append(&mut sink.diagnostics);
    if !bundle.files().iter().any(|file| role(&file.path) == FileRole::Policy) {
        diagnostics.push(whole_bundle("no-policy", "the bundle holds no policy", "add a file `NAME.policy.yaml`"));
    }
    let default_policy = default_policy(bundle, precedent, &written, &mut diagnostics);
    let refused = diagnostics.iter().any(|diagnostic| diagnostic.severity.refuses(precedent));
    let loaded = |default_policy| Loaded { plans, default_policy, rules: places, precedent };
    (default_policy.filter(|_| !refused).map(loaded), diagnostics)
}

type Tree<'b> = (&'b str, Node);

fn of_role<'t>(trees: &'t [Tree<'_>], wanted: FileRole) -> impl Iterator<Item = (&'t str, &'t Node)> {
    trees.iter().filter(move |(path, _)| role(path) == wanted).map(|(path, node)| (*path, node))
}

/// The texts of all files, each under its place in the bundle; those that are no text are reported.
fn open<'b>(bundle: &'b Bundle, diagnostics: &mut Vec<Diagnostic>) -> Sources<'b> {
    let mut sources = Vec::new();
    for (number, file) in (0u16..).zip(bundle.files()) {
        if role(&file.path) == FileRole::Unknown {
            let message = format!("`{}` has no place in a bundle", file.path);
            diagnostics.push(whole_file(file, "unknown-file", message, ROLES_HELP));
        }
        match Source::open(file, number) {
            Ok(source) => sources.push(source),
            Err(diagnostic) => diagnostics.push(diagnostic),
        }
    }
    Sources::new(sources)
}

const ROLES_HELP: &str = "a bundle holds `NAME.policy.yaml`, `NAME.cases.yaml`, `NAME.fragment.yaml`, `NAME.layer.yaml`, `calendars/NAME.yaml` and `bundle.yaml`";

/// The trees of all files that make up policies.
fn parse_all<'b>(
    bundle: &'b Bundle,
    sources: &Sources<'b>,
    precedent: Precedent,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Tree<'b>> {
    let (mut trees, mut budget) = (Vec::new(), NodeBudget::of(precedent));
    for file in bundle.files() {
        match role(&file.path) {
            FileRole::Policy | FileRole::Fragment | FileRole::Layer | FileRole::Calendar => {
                let source = sources.iter().find(|source| source.path == file.path);
                let node = source.and_then(|source| parse_within(source, &mut budget, diagnostics));
                trees.extend(node.map(|node| (file.path.as_str(), node)));
            }
            FileRole::Cases | FileRole::Manifest | FileRole::Unknown => {}
        }
    }
    trees
}

/// Contents of the files of a role, by their names. One that is wrong is known all the same, as
/// `None`, so that its use is not reported as well.
fn named<T>(
    bundle: &Bundle,
    trees: &[Tree<'_>],
    wanted: FileRole,
    mut read: impl FnMut(&Node) -> Option<T>,
) -> BTreeMap<String, Option<T>> {
    let files = bundle.files().iter().filter(|file| role(&file.path) == wanted);
    files
        .map(|file| {
            let name =
                file.path.trim_start_matches("calendars/").trim_end_matches(".yaml").trim_end_matches(".fragment");
            let tree = trees.iter().find(|(path, _)| *path == file.path);
            (name.to_owned(), tree.and_then(|(_, node)| read(node)))
        })
        .collect()
}

fn calendars(bundle: &Bundle, trees: &[Tree<'_>], sink: &mut Diagnostics<'_, '_>) -> Calendars {
    named(bundle, trees, FileRole::Calendar, |node| {
        let written = CalendarNode::read(node, sink)?;
        calendar::check(&written, sink).map(Arc::new)
    })
}

fn fragments(bundle: &Bundle, trees: &[Tree<'_>], sink: &mut Diagnostics<'_, '_>) -> Fragments {
    named(bundle, trees, FileRole::Fragment, |node| read_fragment(node, sink))
}

/// Every policy that a layer stands above is there.
fn check_targets(layers: &[Layer], written: &[Written], sink: &mut Diagnostics<'_, '_>) {
    let known: BTreeSet<&str> = written.iter().map(|policy| policy.id.text()).collect();
    for base in layers.iter().flat_map(|layer| &layer.overrides) {
        if sink.is_full() {
            return;
        }
        if !known.contains(base.text()) {
            let known: Vec<String> = written.iter().map(|policy| policy.id.text().to_owned()).collect();
            unknown_word(base.text(), base.span(), "policy of this bundle", &known, sink);
        }
    }
}

/// Opens, parses and reads one file on its own.
pub fn read_file<T>(
    file: &BundleFile,
    budget: &mut NodeBudget,
    diagnostics: &mut Vec<Diagnostic>,
    read: impl FnOnce(&Node, &mut Diagnostics<'_, '_>) -> Option<T>,
) -> Option<T> {
    // A file that is no text has been reported with the others.
    let source = Source::open(file, 0).ok()?;
    let mut structural = Vec::new();
    let node = parse_within(&source, budget, &mut structural);
    let sources = Sources::new(vec![source]);
    let mut sink = Diagnostics::of(&sources, budget.precedent());
    let read = node.and_then(|node| read(&node, &mut sink));
    diagnostics.append(&mut structural);
    diagnostics.append(&mut sink.diagnostics);
    read
}

/// The default policy: named by `bundle.yaml`, or the only one there is.
fn default_policy(
    bundle: &Bundle,
    precedent: Precedent,
    written: &[Written],
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<String> {
    let mut ids: Vec<&str> = written.iter().map(|policy| policy.id.text()).collect();
    ids.sort_unstable();
    ids.dedup();
    if let Some(manifest) = bundle.file("bundle.yaml") {
        return read_file(manifest, &mut NodeBudget::of(precedent), diagnostics, |node, sink| {
            let written = BundleNode::read(node, sink)?;
            let Located { value, span } = written.default.0;
            if ids.contains(&value.as_str()) {
                return Some(value);
            }
            let known: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
            unknown_word(&value, span, "policy of this bundle", &known, sink);
            None
        });
    }
    match ids.as_slice() {
        [only] => Some((*only).to_owned()),
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
    Diagnostic::new(Severity::Error, code, message, None, help)
}

fn whole_file(file: &BundleFile, code: &'static str, message: String, help: &str) -> Diagnostic {
    let place = SourceLocation { file: file.path.clone(), line: 1, column: 1, start: 0, end: 0 };
    Diagnostic::new(Severity::Error, code, message, Some(place), help)
}
