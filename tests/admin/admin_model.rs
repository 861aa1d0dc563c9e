//! Two admins at once, with every verb in every order: the road against a small program that says what docs/admin.md
//! says. No change is lost, and nothing that was rolled back from comes back unless someone names it.

use std::collections::BTreeSet;

use requite::domain::money::{Amount, Currency};
use requite::domain::words;
use requite::engine::candidate::Observed;
use requite::engine::status::{Hold, Refusal};
use requite::policy::bundle::Digest;
use requite::reload::ReloadConfig;
use requite::reload::handle::{Knowing, ReloadCommand, Replace, Requester, Untried, Withdrawn};
use requite::telemetry::labels::{ReloadTrigger, Success};

use crate::support::admin_model::served::Served;
use crate::support::admin_model::{BROKEN, Cause, Entry, Model, Outcome, Verb, Version, came, reason_of, says};
use crate::support::reload::{BY_HAND, Place, Running, bundle, text};

const ADMINS: [&str; 2] = ["alice", "bob"];
const VERSIONS: [Version; 6] = ['a', 'b', 'B', 'c', 'd', 'e'];

/// So many revisions are kept: fewer than there are versions, so that some are let go.
const REVISIONS_MAX: usize = 4;

/// SplitMix64: the same row of numbers for the same seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(bound).unwrap()).unwrap()
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn version(&mut self) -> Version {
        VERSIONS[self.below(VERSIONS.len())]
    }
}

/// What an admin last saw in force, and staged: they may be late.
#[derive(Clone, Copy)]
struct Seen {
    in_force: Version,
    staged: Option<Version>,
}

/// What an admin does next, who acts on what they saw.
fn verb_of_admin(numbers: &mut Numbers, seen: Seen) -> Verb {
    let staged = if numbers.one_in(8) { Some(numbers.version()) } else { seen.staged };
    match numbers.below(14) {
        0..=2 => {
            let version = (!numbers.one_in(4)).then(|| numbers.version());
            Verb::Stage { version, replace: numbers.one_in(3) }
        }
        3 => Verb::Discard { version: staged.filter(|_| numbers.one_in(2)) },
        4..=6 => {
            let version = staged.unwrap_or('a');
            let (untried, rolled_back) = (numbers.one_in(3), numbers.one_in(2));
            Verb::Promote { version, expected: seen.in_force, untried, rolled_back }
        }
        7..=9 => {
            let to = numbers.one_in(3).then(|| numbers.version());
            Verb::Rollback { to, expected: seen.in_force }
        }
        10 | 11 => Verb::PlainRollback,
        _ => Verb::Reload { expected: numbers.one_in(2).then_some(seen.in_force) },
    }
}

/// What happens next that no admin asks for.
fn verb_of_nobody(numbers: &mut Numbers, model: &Model) -> Verb {
    match numbers.below(10) {
        0..=3 => Verb::Change { version: if numbers.one_in(4) { BROKEN } else { numbers.version() } },
        4..=6 => Verb::Ask,
        7 | 8 => Verb::Signal,
        // Without anything known as good a start on broken policies is none.
        _ if model.source == BROKEN => Verb::Change { version: numbers.version() },
        _ => Verb::Restart,
    }
}

fn content(version: Version) -> String {
    let text = text(&says(version).to_string());
    match version {
        BROKEN => "policy: [\n".to_owned(),
        version if version.is_uppercase() => format!("# once more\n{text}"),
        _ => text,
    }
}

fn digest_of(version: Version) -> Digest {
    bundle(&content(version)).digest()
}

fn version_of(digest: Digest) -> Version {
    let all = VERSIONS.into_iter().chain([BROKEN]);
    all.into_iter().find(|version| digest_of(*version) == digest).unwrap()
}

fn outcome<T>(result: Result<T, Refusal>, done: impl FnOnce(T) -> Version) -> Outcome {
    match result {
        Ok(value) => Outcome::Done(done(value)),
        Err(Refusal::OtherInForce { .. }) => Outcome::OtherInForce,
        Err(Refusal::StagedByOther { .. }) => Outcome::StagedByOther,
        Err(Refusal::OtherCandidate { .. } | Refusal::NoCandidate) => Outcome::OtherCandidate,
        Err(Refusal::Untried { .. }) => Outcome::Untried,
        Err(Refusal::CandidateWithdrawn { .. }) => Outcome::RolledBack,
        Err(Refusal::AllWithdrawn { .. }) => Outcome::AllWithdrawn,
        Err(Refusal::NoRevision { .. }) => Outcome::NoRevision,
        Err(Refusal::HeldBack(_)) => Outcome::HeldBack,
        Err(Refusal::Failed(_)) => Outcome::Rejected,
        Err(refusal @ (Refusal::NoBundle(_) | Refusal::Bug)) => panic!("{refusal:?}"),
    }
}

/// Has the road do it, as this admin and for this reason.
async fn admin(running: &Running, who: &str, verb: Verb, reason: &str) -> Outcome {
    let requester = Requester { actor: who.to_owned(), reason: reason.to_owned() };
    let in_force = || version_of(running.digest());
    match verb {
        Verb::Stage { version, replace } => {
            let bundle = version.map(|version| bundle(&content(version)).into());
            let replace = if replace { Replace::Anyones } else { Replace::OwnOnly };
            let ask = |reply| ReloadCommand::Stage { bundle, sample_per_thousand: 1_000, replace, requester, reply };
            outcome(running.ask(ask).await, |_| in_force())
        }
        Verb::Discard { version } => {
            let ask = |reply| ReloadCommand::Discard { digest: version.map(digest_of), requester, reply };
            outcome(running.ask(ask).await, |_| in_force())
        }
        Verb::Promote { version, expected, untried, rolled_back } => {
            let (digest, expected) = (digest_of(version), digest_of(expected));
            let knowing = Knowing {
                untried: if untried { Untried::Allowed } else { Untried::Refused },
                withdrawn: if rolled_back { Withdrawn::Allowed } else { Withdrawn::Refused },
            };
            let ask = |reply| ReloadCommand::Promote { digest, expected, knowing, requester, reply };
            outcome(running.ask(ask).await, |(report, _)| version_of(report.after))
        }
        Verb::Rollback { to, expected } => {
            let (to, expected) = (to.map(digest_of), digest_of(expected));
            let ask = |reply| ReloadCommand::Rollback { to, expected, requester, reply };
            outcome(running.ask(ask).await, |report| version_of(report.after))
        }
        Verb::PlainRollback => {
            let listed = running.ask(|reply| ReloadCommand::Revisions { reply }).await.unwrap();
            if listed.unnoticed_by(who, (running.reload.shown.clock)()).is_some() {
                return Outcome::Unnoticed;
            }
            let (to, expected) = (None, listed.kept[0].0.digest);
            let ask = |reply| ReloadCommand::Rollback { to, expected, requester, reply };
            outcome(running.ask(ask).await, |report| version_of(report.after))
        }
        Verb::Reload { expected } => {
            let ask = |reply| ReloadCommand::Reload { expected: expected.map(digest_of), requester, reply };
            outcome(running.ask(ask).await, |report| version_of(report.after))
        }
        Verb::Ask | Verb::Change { .. } | Verb::Signal | Verb::Restart => {
            panic!("no admin asks for {verb:?}")
        }
    }
}

fn config() -> ReloadConfig {
    let mut config = ReloadConfig { revisions_max: REVISIONS_MAX, ..BY_HAND };
    config.flap.turns = usize::MAX;
    config
}

/// Has what nobody asks for happen.
async fn nobody(place: &Place, running: Running, verb: &Verb) -> Running {
    match *verb {
        Verb::Change { version } => {
            running.write(&content(version));
            running.hint(ReloadTrigger::FileChange).await;
        }
        Verb::Signal => running.hint(ReloadTrigger::Signal).await,
        Verb::Ask => {
            if let Some(candidate) = running.engine.candidate() {
                let said = Observed {
                    policy: "shop".into(),
                    currency: Currency::iso("CNY").unwrap(),
                    outcome: (words::Outcome::Denied, None),
                    refund: Amount::from_minor(0),
                    lines: vec![],
                };
                candidate.compare(running.generation(), &said, &said);
            }
        }
        Verb::Restart => {
            running.end().await;
            return place.run(config());
        }
        Verb::Stage { .. }
        | Verb::Discard { .. }
        | Verb::Promote { .. }
        | Verb::Rollback { .. }
        | Verb::PlainRollback
        | Verb::Reload { .. } => panic!("{verb:?} is asked for by someone"),
    }
    running
}

/// Where the replica stands, in the words of the model; asked on the road, so that what was begun is done.
async fn stands(running: &Running, model: &Model) -> Model {
    let listed = running.ask(|reply| ReloadCommand::Revisions { reply }).await.unwrap();
    let status = running.status();
    let cause = |trigger: ReloadTrigger| match trigger {
        ReloadTrigger::Start => Cause::Start,
        ReloadTrigger::FileChange => Cause::FileChange,
        ReloadTrigger::Signal => Cause::Signal,
        ReloadTrigger::Admin => Cause::Admin,
        ReloadTrigger::Rollback => Cause::Rollback,
        ReloadTrigger::Promotion => Cause::Promotion,
        ReloadTrigger::Poll => panic!("there is no poll"),
    };
    let known = |name: &str| ADMINS.into_iter().find(|admin| *admin == name).unwrap_or("");
    let entries = listed.activations.iter().map(|entry| Entry {
        version: version_of(entry.digest),
        cause: cause(entry.trigger),
        actor: known(&entry.actor),
        reason: reason_of(&entry.actor, &entry.reason),
    });
    let withdrawn = listed.kept.iter().filter(|(_, withdrawal)| withdrawal.is_some());
    assert_eq!(status.source.hold == Hold::Overridden, model.held_back(), "{:?}", status.source);
    assert_eq!(listed.kept[0].0.generation, running.generation());
    assert_eq!(listed.kept[0].0.digest, running.digest());
    let generations: Vec<u64> = listed.activations.iter().map(|entry| entry.number).collect();
    assert!(generations.iter().zip(generations.iter().skip(1)).all(|(later, earlier)| *later == earlier + 1));
    Model {
        revisions: listed.kept.iter().map(|(revision, _)| version_of(revision.digest)).collect(),
        withdrawn: withdrawn.map(|(revision, _)| version_of(revision.digest)).collect(),
        candidate: status.candidate.as_ref().map(|staged| (version_of(staged.digest), known(&staged.actor))),
        history: entries.collect(),
        successful: status.last_attempt.success == Success::Yes,
        generation: running.generation(),
        // What is not told, but shows in what is done next.
        ..model.clone()
    }
}

/// The model without what nobody can see: of what was rolled back from, the revisions that are kept.
fn shown(model: &Model) -> Model {
    let withdrawn = model.revisions.iter().copied().filter(|version| model.is_withdrawn(*version));
    Model { withdrawn: withdrawn.collect(), ..model.clone() }
}

/// What admins named, by its place in the history.
#[derive(Default)]
struct Named {
    /// May have come there because of it.
    put: Vec<(usize, Version)>,
    /// Was in force already.
    again: Vec<(usize, Version)>,
}

/// Nothing that was rolled back from came into force but by its name, or by a start, which says so; told by the
/// history alone.
fn nothing_bad_came_back(history: &[Entry], Named { put, again }: &Named) {
    let mut bad = BTreeSet::new();
    for (place, pair) in history.iter().rev().collect::<Vec<_>>().windows(2).enumerate() {
        let [before, entry] = pair else { panic!("windows of two") };
        let by_name = put.contains(&(place + 1, entry.version));
        if matches!(entry.cause, Cause::Rollback | Cause::Promotion) && by_name {
            bad.remove(&says(entry.version));
        }
        assert!(!bad.contains(&says(entry.version)) || entry.cause == Cause::Start, "{entry:?} in {history:#?}");
        let until_then = &history[history.len() - 1 - place..];
        let back = came(until_then, entry.version) < came(until_then, before.version);
        if entry.cause == Cause::Rollback && back && says(before.version) != says(entry.version) {
            bad.insert(says(before.version));
        }
        if again.contains(&(place + 1, entry.version)) {
            bad.remove(&says(entry.version));
        }
    }
}

/// Who asks for what, and for which reason.
type Asking = (&'static str, Verb, String);

/// An admin who looks sees what is there; the other one may not look for a while.
fn look(numbers: &mut Numbers, model: &Model, seen: &mut [Seen; 2]) {
    for seen in seen {
        if !numbers.one_in(3) {
            let staged = model.candidate.map(|(version, _)| version);
            *seen = Seen { in_force: model.in_force(), staged };
        }
    }
}

/// What one of them asks for next, or both at once.
fn asks_of_admins(numbers: &mut Numbers, seen: [Seen; 2], step: usize) -> Vec<Asking> {
    let at_once = if numbers.one_in(2) { 2 } else { 1 };
    let first = numbers.below(2);
    let asking = |other| {
        let admin = (first + other) % 2;
        (ADMINS[admin], verb_of_admin(numbers, seen[admin]), format!("step {step} of {}", ADMINS[admin]))
    };
    (0..at_once).map(asking).collect()
}

/// What is known of a replica after some asks, to tell in which order they were done.
struct Known {
    /// The newest reason of the history.
    newest: String,
    /// The candidate, and who staged it.
    candidate: Option<(Version, String)>,
    /// Whether the last attempt was successful; `None`: it is not known.
    successful: Option<bool>,
}

impl Known {
    fn is_of(&self, model: &Model) -> bool {
        let staged = model.candidate.map(|(version, actor)| (version, actor.to_owned()));
        self.newest == model.history[0].reason
            && self.candidate == staged
            && self.successful.is_none_or(|successful| successful == model.successful)
    }
}

/// The orders of these asks, by their places. A rollback that names nothing is there twice: it looks, and then goes back.
fn orders(asks: &[Asking]) -> Vec<Vec<usize>> {
    let steps = |(_, verb, _): &Asking| if *verb == Verb::PlainRollback { 2 } else { 1 };
    let mut begun: Vec<(Vec<usize>, Vec<usize>)> = vec![(vec![], asks.iter().map(steps).collect())];
    for _ in 0..asks.iter().map(steps).sum() {
        let further = |(order, left): &(Vec<usize>, Vec<usize>)| {
            let places: Vec<usize> = (0..left.len()).filter(|place| 0 < left[*place]).collect();
            let next = |place: usize| {
                let (mut order, mut left) = (order.clone(), left.clone());
                order.push(place);
                left[place] -= 1;
                (order, left)
            };
            places.into_iter().map(next).collect::<Vec<_>>()
        };
        begun = begun.iter().flat_map(further).collect();
    }
    begun.into_iter().map(|(order, _)| order).collect()
}

/// The model after what was asked for, by the answers and what is known; `None`: there is no such order. What two ask at
/// once is done one after the other; who of them is first, nobody says.
fn one_after_the_other(model: &Model, asks: &[Asking], came: &[Outcome], known: &Known) -> Option<Model> {
    let in_order = |order: Vec<usize>| {
        let mut model = model.clone();
        let mut outcomes = vec![Outcome::OtherInForce; asks.len()];
        let mut seen = vec![None; asks.len()];
        for place in order {
            let (who, verb, reason) = &asks[place];
            outcomes[place] = match (verb, seen[place]) {
                (Verb::PlainRollback, None) => {
                    seen[place] = Some((model.is_unnoticed_by(who), model.in_force()));
                    continue;
                }
                (Verb::PlainRollback, Some((true, _))) => Outcome::Unnoticed,
                (Verb::PlainRollback, Some((false, expected))) => {
                    model.does(who, &Verb::Rollback { to: None, expected }, reason)
                }
                (verb, _) => model.does(who, verb, reason),
            };
        }
        (model, outcomes)
    };
    let same = |(model, outcomes): &(Model, Vec<Outcome>)| {
        without_digests(outcomes) == without_digests(came) && known.is_of(model)
    };
    orders(asks).into_iter().map(in_order).find(same).map(|(model, _)| model)
}

impl Named {
    /// Adds what these asks name, of which these came of: they found and left so many entries.
    fn add(&mut self, asks: &[Asking], came: &[Outcome], places: std::ops::Range<usize>) {
        for ((_, verb, _), came) in asks.iter().zip(came) {
            if let (Verb::Promote { version, .. } | Verb::Rollback { to: Some(version), .. }, Outcome::Done(_)) =
                (verb, came)
            {
                self.put.extend(places.clone().map(|place| (place, *version)));
                self.again.extend((places.start - 1..places.end).map(|place| (place, *version)));
            }
        }
    }
}

/// Two admins and what happens beside them, so many steps of it.
async fn work(seed: u64, steps: usize, met: &mut BTreeSet<String>) {
    let mut numbers = Numbers(seed);
    let place = Place::with_state("a");
    let mut running = place.run(config());
    let mut model = Model::start('a', REVISIONS_MAX);
    let mut seen = [Seen { in_force: 'a', staged: None }; 2];
    let mut named = Named::default();
    let mut done: Vec<String> = Vec::new();
    for step in 0..steps {
        // An admin who looks sees what is there; the other one may not look for a while.
        look(&mut numbers, &model, &mut seen);
        let entries = model.history.len();
        if numbers.one_in(3) {
            let verb = verb_of_nobody(&mut numbers, &model);
            done.push(format!("{step}: {verb:?}"));
            running = nobody(&place, running, &verb).await;
            let expected = model.does("", &verb, "");
            assert_eq!(Outcome::Done(version_of(running.digest())), expected, "seed {seed}: {done:#?}");
        } else {
            let asks = asks_of_admins(&mut numbers, seen, step);
            done.push(format!("{step}: {asks:?}"));
            let ask = |(who, verb, reason): &Asking| {
                let (running, who, verb, reason) = (&running, *who, verb.clone(), reason.clone());
                async move { admin(running, who, verb, &reason).await }
            };
            let came = match asks.as_slice() {
                [one] => vec![ask(one).await],
                [one, other] => {
                    let (one, other) = tokio::join!(ask(one), ask(other));
                    vec![one, other]
                }
                _ => panic!("one or two"),
            };
            let now = running.ask(|reply| ReloadCommand::Revisions { reply }).await.unwrap();
            let newest = now.activations.first().map(|entry| reason_of(&entry.actor, &entry.reason)).unwrap();
            let status = running.status();
            let staged = status.candidate.as_ref().map(|staged| (version_of(staged.digest), staged.actor.clone()));
            let successful = Some(status.last_attempt.success == Success::Yes);
            let known = Known { newest, candidate: staged, successful };
            let found = one_after_the_other(&model, &asks, &came, &known);
            let Some(next) = found else { panic!("seed {seed}: {came:?} after {done:#?} of {model:#?}") };
            model = next;
            met.extend(came.iter().zip(&asks).map(|(outcome, (_, verb, _))| {
                let word = |text: String| text.split([' ', '(']).next().unwrap_or("").to_owned();
                format!("{} {}", word(format!("{verb:?}")), word(format!("{outcome:?}")))
            }));
            named.add(&asks, &came, entries..model.history.len());
        }
        assert_eq!(stands(&running, &model).await, shown(&model), "seed {seed}: {done:#?}");
        nothing_bad_came_back(&model.history, &named);
    }
    running.end().await;
}

/// Whether two verbs that were asked for at once came to the same. A no and a yes are told apart; what is in force when
/// an answer is read may be what the other one made of it.
fn without_digests(outcomes: &[Outcome]) -> Vec<Outcome> {
    let plain = |outcome: &Outcome| if matches!(outcome, Outcome::Done(_)) { Outcome::Done('-') } else { *outcome };
    outcomes.iter().map(plain).collect()
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

#[tokio::test]
async fn two_admins_with_every_verb_in_every_order_lose_no_change_and_bring_nothing_bad_back() {
    let (first, runs) = (number("REQUITE_ADMINS_SEED", 1), number("REQUITE_ADMINS_RUNS", 40));
    let mut met = BTreeSet::new();
    for seed in first..first + runs {
        work(seed, 60, &mut met).await;
    }
    // That needs another one between the look and the rollback.
    met.remove("PlainRollback OtherInForce");
    let expected = [
        "Stage Done",
        "Stage StagedByOther",
        "Stage Rejected",
        "Discard Done",
        "Discard StagedByOther",
        "Discard OtherCandidate",
        "Promote Done",
        "Promote OtherInForce",
        "Promote OtherCandidate",
        "Promote Untried",
        "Promote RolledBack",
        "Rollback Done",
        "Rollback OtherInForce",
        "Rollback AllWithdrawn",
        "Rollback NoRevision",
        "PlainRollback Done",
        "PlainRollback Unnoticed",
        "PlainRollback AllWithdrawn",
        "PlainRollback NoRevision",
        "Reload Done",
        "Reload OtherInForce",
        "Reload HeldBack",
        "Reload Rejected",
    ];
    assert_eq!(met, expected.map(str::to_owned).into(), "every answer of every verb was met");
}

/// Times that the source may break: a source that breaks and fixes more often within a minute is held down.
const BREAKS_MAX: usize = 3;

#[test]
fn two_admins_at_the_command_line_meet_what_the_page_says() {
    let (seed, steps) = (number("REQUITE_ADMINS_SEED", 1), number("REQUITE_ADMINS_STEPS", 40));
    let mut numbers = Numbers(seed);
    let mut served = Served::start('a', &VERSIONS, REVISIONS_MAX);
    let mut model = Model::start('a', REVISIONS_MAX);
    let mut seen = [Seen { in_force: 'a', staged: None }; 2];
    let mut named = Named::default();
    let mut done: Vec<String> = Vec::new();
    let mut breaks = 0;
    for step in 0..usize::try_from(steps).unwrap() {
        look(&mut numbers, &model, &mut seen);
        let entries = model.history.len();
        if numbers.one_in(3) {
            let mut verb = verb_of_nobody(&mut numbers, &model);
            if verb == (Verb::Change { version: BROKEN }) {
                breaks += 1;
                if BREAKS_MAX < breaks {
                    verb = Verb::Ask;
                }
            }
            done.push(format!("{step}: {verb:?}"));
            // What was answered or listed is remembered though the process is killed.
            served.nobody(&verb);
            model.does("", &verb, "");
        } else {
            let asks = asks_of_admins(&mut numbers, seen, step);
            done.push(format!("{step}: {asks:?}"));
            let typed = asks.iter().map(|(who, verb, reason)| served.command(who, verb, reason));
            let running: Vec<_> = typed.map(|typed| std::thread::spawn(move || typed.run())).collect();
            let came: Vec<Outcome> = running.into_iter().map(|running| running.join().unwrap()).collect();
            let newest = served.revisions().2[0].reason.clone();
            let known = Known { newest, candidate: served.candidate(), successful: None };
            let found = one_after_the_other(&model, &asks, &came, &known);
            model = found.unwrap_or_else(|| panic!("seed {seed}: {came:?} after {done:#?} of {model:#?}"));
            named.add(&asks, &came, entries..model.history.len());
        }
        let (revisions, withdrawn, history) = served.revisions();
        let withdrawn: BTreeSet<Version> = withdrawn.into_iter().collect();
        let candidate = served.candidate();
        let candidate = candidate.as_ref().map(|(version, actor)| (*version, actor.as_str()));
        let expected = shown(&model);
        assert_eq!(
            (revisions, withdrawn, history, candidate),
            (expected.revisions, expected.withdrawn, expected.history, expected.candidate),
            "seed {seed}: {done:#?}"
        );
        nothing_bad_came_back(&model.history, &named);
    }
}
