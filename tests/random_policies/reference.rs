//! What a policy decides, worked out slowly and in the plainest way.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use requite::domain::request::{InputValue, Line, Money, Refundability, Request};
use requite::domain::words::{DeductionKind, Outcome, ReasonCode};

use crate::ast::{
    Accept, Action, Amount, Back, Binary, Call, Demand, Derived, Expr, Item, KINDS, Policy, REASONS, Step, TAGS,
    TenderOrder, Test, Val,
};
use crate::number::{Mode, Rat};

/// A decision, as far as it is compared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expected {
    pub outcome: Outcome,
    pub codes: Vec<ReasonCode>,
    pub refund: i64,
    pub lines: Vec<ExpectedLine>,
    /// What each component could come to, and what goes back of it.
    pub components: Vec<(i64, i64)>,
    pub tenders: Vec<i64>,
    pub proof_missing: Proofs,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExpectedLine {
    pub line: usize,
    pub outcome: Outcome,
    pub codes: Vec<ReasonCode>,
    /// The rule; `None` is `otherwise`.
    pub rule: Option<usize>,
    pub base: i64,
    pub refund: i64,
    pub deductions: Vec<(DeductionKind, i64)>,
    pub missing: BTreeSet<String>,
}

/// The sets of kinds any one of which would do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Proofs {
    NotRequired,
    Enough,
    Missing(BTreeSet<u64>),
}

/// A formula without a result: a division by zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Fault;

type Value = Result<Option<Val>, Fault>;

const HUNDRED: Rat = Rat::whole(100);
const DAY: i128 = 86_400_000_000_000;

fn hundredths(money: Option<Money<'_>>) -> Option<i64> {
    money.map(|money| money.units * 100 + i64::from(money.nanos) / 10_000_000)
}

fn number(value: i128) -> Val {
    Val::Num(Rat::whole(value))
}

struct Scene<'p> {
    policy: &'p Policy,
    given: HashMap<&'static str, Val>,
    known: RefCell<HashMap<&'static str, Value>>,
    remaining: Option<Rat>,
    previous: Option<Rat>,
}

/// What the tests of a rule, a row or a step come to together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Holds {
    Yes,
    No,
    Missing,
    Faulty,
}

impl<'p> Scene<'p> {
    fn new(policy: &'p Policy, request: &Request<'static>, line: &Line<'static>) -> Self {
        let mut given = HashMap::new();
        let mut put = |name: &'static str, value: Option<Val>| {
            if let Some(value) = value {
                given.insert(name, value);
            }
        };
        let word = |word: &'static str| (!word.is_empty()).then_some(Val::Word(word));
        let money = |money: Option<Money<'static>>| hundredths(money).map(|amount| number(i128::from(amount)));
        let (order, claim) = (&request.order, &request.claim);
        put("stage", line.stage.map(|stage| Val::Word(stage.slug())));
        put("product_type", word(line.product_type));
        let tags = line.tags.iter().chain(&order.tags);
        let tags = tags.fold(0, |set, tag| set | 1 << TAGS.iter().position(|known| known == tag).unwrap());
        put("tags", Some(Val::Tags(tags)));
        put("paid", money(line.paid));
        put("list_price", money(line.list_price));
        put("declared_cost", money(line.declared_cost));
        let (paid, refunded) = (hundredths(line.paid).unwrap(), hundredths(line.refunded).unwrap_or(0));
        put("refunded", Some(number(i128::from(refunded))));
        put("refundable", Some(number(i128::from(paid - refunded))));
        if let Some(completed) = line.completed {
            let (done, all) = (i128::from(completed.numerator), i128::from(completed.denominator));
            put("completed_share", Some(Val::Num(Rat::new(done, all))));
            put("units_completed", Some(number(done)));
            put("units_total", Some(number(all)));
        }
        let whole: i64 = order.lines.iter().map(|line| hundredths(line.paid).unwrap()).sum();
        let extra: i64 = request.order.components.iter().filter_map(|component| hundredths(component.paid)).sum();
        put("order_paid", Some(number(i128::from(whole + extra))));
        put("placed_at", order.placed_at.map(|at| number(at.nanos())));
        put("paid_at", order.paid_at.map(|at| number(at.nanos())));
        for (name, at) in &order.times {
            put(name, Some(number(at.nanos())));
        }
        put("customer_caused_delay", Some(number(order.customer_caused_delay.map_or(0, |delay| delay.nanos()))));
        put("requested_at", claim.requested_at.map(|at| number(at.nanos())));
        put("request_type", claim.request_type.map(|word| Val::Word(word.slug())));
        put("reason", word(claim.reason));
        let of_reason = REASONS.iter().position(|reason| *reason == claim.reason).and_then(|at| policy.reasons[at].0);
        put("claimed_liable", claim.liable_party.or(of_reason).map(|party| Val::Word(party.slug())));
        put("channel", word(claim.channel));
        put("requested_amount", money(claim.requested_amount));
        for (name, _) in &policy.components {
            let own = order.components.iter().filter(|component| {
                component.name == *name && (component.line_id.is_empty() || component.line_id == line.id)
            });
            put(name, Some(number(own.map(|component| i128::from(hundredths(component.paid).unwrap())).sum())));
        }
        for input in &policy.inputs {
            let sent = if input.of_line { &line.inputs } else { &order.inputs };
            let value = match sent.iter().find(|(name, _)| *name == input.name) {
                Some((_, value)) => Some(match *value {
                    InputValue::Text(word) => Val::Word(word),
                    InputValue::Flag(flag) => Val::Flag(flag),
                    InputValue::Decimal(text) => Val::Num(decimal(text)),
                    InputValue::Money(amount) => number(i128::from(hundredths(Some(amount)).unwrap())),
                    InputValue::Fraction(of) => {
                        Val::Num(Rat::new(i128::from(of.numerator), i128::from(of.denominator)))
                    }
                    InputValue::Timestamp(at) => number(at.nanos()),
                    InputValue::Duration(length) => number(length.nanos()),
                }),
                None => input.default,
            };
            put(input.name, value);
        }
        Self { policy, given, known: RefCell::default(), remaining: Some(Rat::ZERO), previous: Some(Rat::ZERO) }
    }

    fn derived(&self, name: &str) -> Option<&'p Derived> {
        self.policy.derived.iter().find(|(known, _)| *known == name).map(|(_, derived)| derived)
    }

    fn fact(&self, name: &'static str) -> Value {
        let Some(derived) = self.derived(name) else { return Ok(self.given.get(name).copied()) };
        if let Some(known) = self.known.borrow().get(name) {
            return *known;
        }
        let value = match derived {
            Derived::Formula(formula) => self.value(formula),
            Derived::Table(rows, otherwise) => self.row(rows, otherwise),
        };
        self.known.borrow_mut().insert(name, value);
        value
    }

    fn row(&self, rows: &[(Vec<Test>, Expr)], otherwise: &Expr) -> Value {
        for (when, value) in rows {
            match self.holds(when) {
                Holds::Yes => return self.value(value),
                Holds::No => {}
                Holds::Missing => return Ok(None),
                Holds::Faulty => return Err(Fault),
            }
        }
        self.value(otherwise)
    }

    /// The numbers of all parts; `None` where one is missing.
    fn numbers<const N: usize>(&self, parts: [&Expr; N]) -> Result<Option<[Rat; N]>, Fault> {
        let mut numbers = Some([Rat::ZERO; N]);
        for (place, part) in parts.into_iter().enumerate() {
            match (self.value(part)?, &mut numbers) {
                (Some(Val::Num(value)), Some(numbers)) => numbers[place] = value,
                (Some(Val::Num(_)), None) => {}
                (None, numbers) => *numbers = None,
                (Some(other), _) => panic!("{other:?} is no number"),
            }
        }
        Ok(numbers)
    }

    fn extreme(&self, parts: &[Expr], better: fn(Rat, Rat) -> bool) -> Value {
        let mut best: Option<Rat> = None;
        let mut missing = false;
        for part in parts {
            match self.numbers([part])? {
                Some([value]) if best.is_none_or(|best| better(value, best)) => best = Some(value),
                Some(_) => {}
                None => missing = true,
            }
        }
        Ok(best.filter(|_| !missing).map(Val::Num))
    }

    fn value(&self, formula: &Expr) -> Value {
        let some = |value: Rat| Ok(Some(Val::Num(value)));
        match formula {
            Expr::Fact(name) => self.fact(name),
            Expr::Literal(_, value) => Ok(Some(*value)),
            Expr::Remaining => Ok(self.remaining.map(Val::Num)),
            Expr::Previous => Ok(self.previous.map(Val::Num)),
            Expr::Binary(Binary::And, a, b) => self.either(a, b, false),
            Expr::Binary(Binary::Or, a, b) => self.either(a, b, true),
            Expr::Binary(operator @ (Binary::Eq | Binary::Ne), a, b) => {
                let (a, b) = (self.value(a)?, self.value(b)?);
                let (Some(a), Some(b)) = (a, b) else { return Ok(None) };
                Ok(Some(Val::Flag((a == b) == (*operator == Binary::Eq))))
            }
            Expr::Binary(operator, a, b) => {
                let Some([a, b]) = self.numbers([a, b])? else { return Ok(None) };
                match operator {
                    Binary::Add => some(a.plus(b)),
                    Binary::Sub => some(a.minus(b)),
                    Binary::Mul => some(a.times(b)),
                    Binary::Div => some(a.over(b).ok_or(Fault)?),
                    Binary::Lt => Ok(Some(Val::Flag(a < b))),
                    Binary::Le => Ok(Some(Val::Flag(a <= b))),
                    Binary::Gt => Ok(Some(Val::Flag(a > b))),
                    Binary::Ge => Ok(Some(Val::Flag(a >= b))),
                    Binary::Eq | Binary::Ne | Binary::And | Binary::Or => panic!("decided above"),
                }
            }
            Expr::Not(inner) => Ok(match self.value(inner)? {
                Some(Val::Flag(flag)) => Some(Val::Flag(!flag)),
                _ => None,
            }),
            Expr::Negate(inner) => Ok(self.numbers([inner])?.map(|[value]| Val::Num(value.negated()))),
            Expr::Least(parts) => self.extreme(parts, |value, best| value < best),
            Expr::Most(parts) => self.extreme(parts, |value, best| value > best),
            Expr::Clamp(parts) => {
                let [value, low, high] = parts.as_ref();
                let Some([value, low, high]) = self.numbers([value, low, high])? else { return Ok(None) };
                some(if high < low.max(value) { high } else { low.max(value) })
            }
            Expr::Round(inner, _, step, mode) => {
                let mode = mode.unwrap_or(Mode::HalfUp);
                Ok(self.numbers([inner])?.map(|[value]| Val::Num(value.rounded(*step, mode))))
            }
            Expr::Shift(inner, days) => {
                // Without daylight saving, the same time of day is a whole number of days away.
                Ok(self.numbers([inner])?.map(|[at]| number(at.floor() + i128::from(*days) * DAY)))
            }
            Expr::IfAbsent(fact, value) => match self.value(fact)? {
                Some(value) => Ok(Some(value)),
                None => self.value(value),
            },
            Expr::Call(call, inner) => {
                let Some([value]) = self.numbers([inner])? else { return Ok(None) };
                let Some(Val::Num(now)) = self.given.get("requested_at") else { panic!("mandatory") };
                let day = |at: Rat| (at.floor() + self.policy.zone_hours * (DAY / 24)).div_euclid(DAY);
                let start = |day: i128| day * DAY - self.policy.zone_hours * (DAY / 24);
                Ok(Some(match call {
                    Call::Floor => number(value.floor()),
                    Call::Ceil => number(value.ceil()),
                    Call::Since => Val::Num(now.minus(value)),
                    Call::Until => Val::Num(value.minus(*now)),
                    Call::DaysSince => number(day(*now) - day(value)),
                    Call::DaysUntil => number(day(value) - day(*now)),
                    Call::StartOfDay => number(start(day(value))),
                    Call::EndOfDay => number(start(day(value) + 1) - 1),
                    Call::NextDay => number(start(day(value) + 1)),
                    Call::Money => Val::Num(value.times(HUNDRED)),
                }))
            }
        }
    }

    /// `and`, `or`: one decisive side is enough.
    fn either(&self, a: &Expr, b: &Expr, decisive: bool) -> Value {
        let (a, b) = (self.value(a), self.value(b));
        if [a, b].contains(&Ok(Some(Val::Flag(decisive)))) {
            return Ok(Some(Val::Flag(decisive)));
        }
        let both = (a?, b?);
        Ok(if matches!(both, (Some(_), Some(_))) { Some(Val::Flag(!decisive)) } else { None })
    }

    fn test(&self, test: &Test) -> Holds {
        let Ok(value) = self.value(&test.subject) else { return Holds::Faulty };
        let holds = match (&test.accept, value) {
            (Accept::Present, value) => value.is_some(),
            (Accept::Absent, value) => value.is_none(),
            (_, None) => return Holds::Missing,
            (Accept::Flag(wanted), Some(Val::Flag(flag))) => *wanted == flag,
            (Accept::Words(items), Some(Val::Word(word))) => items.iter().any(|item| match item {
                Item::Is(wanted) => *wanted == word,
                Item::Not(others) => !others.contains(&word),
            }),
            (Accept::AnyTag(tags), Some(Val::Tags(set))) => tags.iter().any(|tag| has(set, tag)),
            (Accept::AllTags(tags), Some(Val::Tags(set))) => tags.iter().all(|tag| has(set, tag)),
            (Accept::NoTag(tags), Some(Val::Tags(set))) => !tags.iter().any(|tag| has(set, tag)),
            (Accept::Ranges(_, items), Some(Val::Num(value))) => items.iter().any(|item| match item {
                Item::Is(range) => range.holds(value),
                Item::Not(ranges) => !ranges.iter().any(|range| range.holds(value)),
            }),
            (accept, value) => panic!("{accept:?} of {value:?}"),
        };
        if holds { Holds::Yes } else { Holds::No }
    }

    fn holds(&self, tests: &[Test]) -> Holds {
        let answers: Vec<Holds> = tests.iter().map(|test| self.test(test)).collect();
        [Holds::No, Holds::Faulty, Holds::Missing]
            .into_iter()
            .find(|answer| answers.contains(answer))
            .unwrap_or(Holds::Yes)
    }

    /// The given facts for want of which a formula has no value.
    fn missing(&self, formula: &Expr, into: &mut BTreeSet<String>) {
        if self.value(formula) != Ok(None) {
            return;
        }
        match formula {
            Expr::Fact(name) => match self.derived(name) {
                None => {
                    into.insert((*name).to_owned());
                }
                Some(Derived::Formula(formula)) => self.missing(formula, into),
                Some(Derived::Table(rows, otherwise)) => {
                    for (when, value) in rows {
                        match self.holds(when) {
                            Holds::No => {}
                            Holds::Yes => return self.missing(value, into),
                            Holds::Missing | Holds::Faulty => return self.missing_of(when, into),
                        }
                    }
                    self.missing(otherwise, into);
                }
            },
            Expr::Literal(..) | Expr::Remaining | Expr::Previous => {}
            Expr::Binary(_, a, b) | Expr::IfAbsent(a, b) => {
                self.missing(a, into);
                self.missing(b, into);
            }
            Expr::Least(parts) | Expr::Most(parts) => parts.iter().for_each(|part| self.missing(part, into)),
            Expr::Clamp(parts) => parts.iter().for_each(|part| self.missing(part, into)),
            Expr::Not(inner)
            | Expr::Negate(inner)
            | Expr::Round(inner, ..)
            | Expr::Call(_, inner)
            | Expr::Shift(inner, _) => {
                self.missing(inner, into);
            }
        }
    }

    fn missing_of(&self, tests: &[Test], into: &mut BTreeSet<String>) {
        for test in tests.iter().filter(|test| self.test(test) == Holds::Missing) {
            self.missing(&test.subject, into);
        }
    }

    fn amount(&self, formula: &Expr, missing: &mut BTreeSet<String>) -> Result<Option<Rat>, Fault> {
        self.missing(formula, missing);
        Ok(self.numbers([formula])?.map(|[value]| value))
    }

    /// What a step takes of what is left; `None` where it takes nothing, or a fact is missing.
    fn step(&self, step: &Step, missing: &mut BTreeSet<String>) -> Result<Taken, Fault> {
        match self.holds(&step.when) {
            Holds::Yes => {}
            Holds::No => return Ok(Taken::Nothing),
            Holds::Faulty => return Err(Fault),
            Holds::Missing => {
                self.missing_of(&step.when, missing);
                return Ok(Taken::Unknown);
            }
        }
        let exact = match &step.amount {
            Amount::Formula(formula) => self.amount(formula, missing)?,
            Amount::Tiers { on, on_type: _, tiers, of } => {
                let on = self.amount(on, missing)?;
                let base = match of {
                    Some(of) => self.amount(of, missing)?,
                    None => Some(Rat::ONE),
                };
                match (on, base) {
                    (Some(on), Some(base)) => {
                        let lie: Vec<&Expr> =
                            tiers.iter().filter(|(range, _)| range.holds(on)).map(|(_, tier)| tier).collect();
                        let [tier] = lie.as_slice() else { panic!("{on:?} lies in {} tiers", lie.len()) };
                        self.amount(tier, missing)?.map(|tier| tier.times(base))
                    }
                    _ => None,
                }
            }
        };
        let Some(exact) = exact else { return Ok(Taken::Unknown) };
        let (to, mode, of_refund) = step.round.unwrap_or((None, None, false));
        let (to, mode) = (Rat::whole(i128::from(to.unwrap_or(1))), mode.unwrap_or(Mode::HalfUp));
        let mut taken = match (of_refund, self.remaining) {
            (false, _) => Some(exact.rounded(to, mode)),
            (true, Some(left)) => Some(left.minus(left.minus(exact).rounded(to, mode))),
            (true, None) => None,
        };
        for (bound, is_floor) in [(&step.at_least, true), (&step.at_most, false)] {
            let Some(bound) = bound else { continue };
            let bound = self.amount(bound, missing)?.map(|bound| bound.rounded(Rat::ONE, Mode::HalfUp));
            taken = match (taken, bound) {
                (Some(taken), Some(bound)) => Some(if is_floor { taken.max(bound) } else { taken.min(bound) }),
                (_, None) | (None, _) => None,
            };
        }
        match (taken, self.remaining) {
            (Some(taken), Some(left)) => {
                let taken = taken.max(Rat::ZERO).min(left);
                assert_eq!(taken.d, 1);
                Ok(Taken::Amount(i64::try_from(taken.n).unwrap()))
            }
            _ => Ok(Taken::Unknown),
        }
    }
}

enum Taken {
    Nothing,
    Unknown,
    Amount(i64),
}

fn has(set: u8, tag: &str) -> bool {
    let place = TAGS.iter().position(|known| *known == tag).unwrap();
    set >> place & 1 == 1
}

fn decimal(text: &str) -> Rat {
    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
    let digits: i128 = format!("{whole}{places}").parse().unwrap();
    Rat::new(digits, 10i128.pow(u32::try_from(places.len()).unwrap()))
}

/// Shares by weight: whole parts first, then one each by the largest rest, the first of equals; what finds no room is
/// offered again.
fn spread(amount: i64, shares: &[(i64, i64)]) -> Vec<i64> {
    let mut parts = vec![0; shares.len()];
    let mut left = amount.min(shares.iter().map(|(_, room)| room).sum());
    while 0 < left {
        let has_room = |place: usize, parts: &[i64]| parts[place] < shares[place].1;
        let weighted = (0..shares.len()).any(|place| has_room(place, &parts) && 0 < shares[place].0);
        let weight = |place: usize| if weighted { i128::from(shares[place].0) } else { 1 };
        let open: Vec<usize> =
            (0..shares.len()).filter(|place| has_room(*place, &parts) && 0 < weight(*place)).collect();
        let all: i128 = open.iter().map(|place| weight(*place)).sum();
        let exact = |place: usize| Rat::new(i128::from(left) * weight(place), all);
        let mut spare = i128::from(left) - open.iter().map(|place| exact(*place).floor()).sum::<i128>();
        let mut by_rest: Vec<usize> = open.clone();
        // A stable sort keeps the earlier of equals first.
        by_rest.sort_by(|a, b| {
            let rest = |place: usize| exact(place).minus(Rat::whole(exact(place).floor()));
            rest(*b).cmp(&rest(*a))
        });
        let mut offers: Vec<(usize, i64)> = Vec::new();
        for place in by_rest {
            let more = i128::from(0 < spare);
            spare -= more;
            offers.push((place, i64::try_from(exact(place).floor() + more).unwrap()));
        }
        for (place, offer) in offers {
            let taken = offer.min(shares[place].1 - parts[place]);
            parts[place] += taken;
            left -= taken;
        }
    }
    parts
}

fn sorted(mut codes: Vec<ReasonCode>) -> Vec<ReasonCode> {
    codes.sort();
    codes.dedup();
    codes
}

/// The good pieces of a claim by kind, and how many are bad.
fn material(request: &Request<'_>) -> (u8, usize) {
    let (mut kinds, mut bad) = (0, 0);
    for piece in &request.claim.evidence {
        let of_another = !piece.order_id.is_empty() && piece.order_id != request.order.id;
        let picture = piece.media_type.is_empty() || piece.media_type.starts_with("image/");
        let place = KINDS.iter().position(|kind| *kind == piece.kind).unwrap();
        if of_another || (place == 1 && !picture) {
            bad += 1;
        } else {
            kinds |= 1 << place;
        }
    }
    (kinds, bad)
}

/// The proof that a demand comes to.
fn wanted(policy: &Policy, request: &Request<'_>, demand: Demand) -> Option<usize> {
    match demand {
        Demand::Reason => None,
        Demand::ReasonEvidence => {
            REASONS.iter().position(|reason| *reason == request.claim.reason).and_then(|at| policy.reasons[at].1)
        }
        Demand::Named(place) => Some(place),
    }
}

/// What the claim lacks of what a rule demands.
fn lacks(policy: &Policy, request: &Request<'_>, demands: &[Demand]) -> Vec<ReasonCode> {
    let (kinds, bad) = material(request);
    let mut codes = Vec::new();
    for demand in demands {
        if *demand == Demand::Reason && request.claim.reason.is_empty() {
            codes.push(ReasonCode::ReasonRequired);
        }
        if wanted(policy, request, *demand).is_some_and(|proof| !policy.proofs[proof].met(kinds)) {
            codes.push(ReasonCode::EvidenceMissing);
            codes.extend((0 < bad).then_some(ReasonCode::EvidenceInvalid));
        }
    }
    sorted(codes)
}

fn demands(policy: &Policy, rule: Option<usize>) -> &[Demand] {
    rule.map_or(&[], |rule| &policy.rules[rule].require)
}

fn action(policy: &Policy, rule: Option<usize>) -> &Action {
    rule.map_or(&policy.otherwise, |rule| &policy.rules[rule].action)
}

fn undecided(line: usize, rule: Option<usize>, outcome: Outcome, codes: Vec<ReasonCode>) -> ExpectedLine {
    ExpectedLine {
        line,
        outcome,
        codes: sorted(codes),
        rule,
        base: 0,
        refund: 0,
        deductions: Vec::new(),
        missing: BTreeSet::new(),
    }
}

fn answer(refund: i64, held_back: i64) -> (Outcome, Vec<ReasonCode>) {
    if refund == 0 {
        (Outcome::Denied, vec![ReasonCode::NothingRefundable])
    } else if held_back == 0 {
        (Outcome::ApprovedFull, Vec::new())
    } else {
        (Outcome::ApprovedPartial, vec![ReasonCode::DeductionsApplied])
    }
}

/// The rule of a line, or the answer where it cannot be told or it refunds nothing.
fn find(policy: &Policy, request: &Request<'static>, place: usize) -> Result<Option<usize>, ExpectedLine> {
    let scene = Scene::new(policy, request, &request.order.lines[place]);
    let mut found = None;
    for (at, rule) in policy.rules.iter().enumerate() {
        match scene.holds(&rule.when) {
            Holds::No => {}
            Holds::Yes => {
                found = Some(at);
                break;
            }
            Holds::Faulty => {
                return Err(undecided(place, Some(at), Outcome::ManualReview, vec![ReasonCode::NotComputable]));
            }
            Holds::Missing => {
                let mut codes = lacks(policy, request, &rule.require);
                codes.push(ReasonCode::FactMissing);
                let mut line = undecided(place, Some(at), Outcome::MoreInfoRequired, codes);
                scene.missing_of(&rule.when, &mut line.missing);
                return Err(line);
            }
        }
    }
    let lacking = lacks(policy, request, demands(policy, found));
    match action(policy, found) {
        Action::Refund(_) => Ok(found),
        Action::Deny(codes) => Err(undecided(place, found, Outcome::Denied, codes.clone())),
        Action::Ask(codes) => Err(undecided(place, found, Outcome::MoreInfoRequired, codes.clone())),
        Action::Review(codes) if lacking.is_empty() => {
            Err(undecided(place, found, Outcome::ManualReview, codes.clone()))
        }
        Action::Review(_) => Err(undecided(place, found, Outcome::MoreInfoRequired, lacking)),
    }
}

/// Takes the steps of a rule from these of its lines: all of them where a step is of the whole order, else one.
fn refund(policy: &Policy, request: &Request<'static>, rule: Option<usize>, places: &[usize]) -> Vec<ExpectedLine> {
    let Action::Refund(steps) = action(policy, rule) else { panic!("it refunds") };
    let mut scenes: Vec<Scene<'_>> =
        places.iter().map(|&place| Scene::new(policy, request, &request.order.lines[place])).collect();
    let bases: Vec<i64> = places
        .iter()
        .map(|&place| &request.order.lines[place])
        .map(|line| hundredths(line.paid).unwrap() - hundredths(line.refunded).unwrap_or(0))
        .collect();
    let mut left: Vec<Option<i64>> = bases.iter().map(|base| Some(*base)).collect();
    let mut previous: Vec<Option<i64>> = vec![Some(0); places.len()];
    let mut deductions: Vec<Vec<(DeductionKind, i64)>> = vec![Vec::new(); places.len()];
    let mut missing = BTreeSet::new();
    let mut faulty = false;
    let exact = |amount: Option<i64>| amount.map(|amount| Rat::whole(i128::from(amount)));
    for step in steps {
        let groups: Vec<Vec<usize>> = match step.whole_order {
            true => vec![(0..places.len()).collect()],
            false => (0..places.len()).map(|at| vec![at]).collect(),
        };
        for group in groups {
            let sum = |of: &[Option<i64>]| group.iter().map(|&at| of[at]).sum::<Option<i64>>();
            let scene = &mut scenes[group[0]];
            (scene.remaining, scene.previous) = (exact(sum(&left)), exact(sum(&previous)));
            let parts: Vec<Option<i64>> = match scene.step(step, &mut missing) {
                Ok(Taken::Nothing) => continue,
                Ok(Taken::Unknown) => vec![None; group.len()],
                Ok(Taken::Amount(amount)) => {
                    let shares: Vec<(i64, i64)> =
                        group.iter().map(|&at| (left[at].unwrap(), left[at].unwrap())).collect();
                    spread(amount, &shares).into_iter().map(Some).collect()
                }
                Err(Fault) => {
                    faulty = true;
                    vec![None; group.len()]
                }
            };
            for (&at, part) in group.iter().zip(parts) {
                left[at] = left[at].zip(part).map(|(left, part)| left - part);
                previous[at] = part;
                deductions[at].extend(part.filter(|part| *part != 0).map(|part| (step.kind, part)));
            }
        }
    }
    let lacking = lacks(policy, request, demands(policy, rule));
    let one = |(at, &place): (usize, &usize)| {
        if faulty {
            return undecided(place, rule, Outcome::ManualReview, vec![ReasonCode::NotComputable]);
        }
        if !missing.is_empty() {
            let codes = lacking.iter().copied().chain([ReasonCode::FactMissing]).collect();
            let line = undecided(place, rule, Outcome::MoreInfoRequired, codes);
            return ExpectedLine { missing: missing.clone(), ..line };
        }
        if !lacking.is_empty() {
            return undecided(place, rule, Outcome::MoreInfoRequired, lacking.clone());
        }
        let refund = left[at].expect("nothing is missing");
        let (outcome, codes) = answer(refund, bases[at] - refund);
        let deductions = deductions[at].clone();
        ExpectedLine { base: bases[at], refund, deductions, ..undecided(place, rule, outcome, codes) }
    };
    places.iter().enumerate().map(one).collect()
}

/// What goes back of a component: what it could come to, and the refund.
fn component(policy: &Policy, request: &Request<'_>, place: usize, lines: &[ExpectedLine]) -> (i64, i64) {
    let component = &request.order.components[place];
    let (cost, earlier) = (hundredths(component.paid).unwrap(), hundredths(component.refunded).unwrap_or(0));
    let belongs = |line: usize| component.line_id.is_empty() || request.order.lines[line].id == component.line_id;
    let approved: Vec<&ExpectedLine> = lines.iter().filter(|line| belongs(line.line) && line.base != 0).collect();
    let Some(first) = approved.first() else { return (0, 0) };
    let own =
        first.rule.and_then(|rule| policy.rules[rule].components.iter().find(|(name, _)| *name == component.name));
    let usual = policy.components.iter().find(|(name, _)| *name == component.name);
    let back = own.or(usual).unwrap().1;
    let (mut paid, mut gone, mut claimed) = (0, 0, 0);
    for (at, line) in request.order.lines.iter().enumerate().filter(|(at, _)| belongs(*at)) {
        let (line_paid, line_refunded) = (hundredths(line.paid).unwrap(), hundredths(line.refunded).unwrap_or(0));
        let is_claimed = lines.iter().any(|line| line.line == at);
        paid += line_paid;
        gone += line_refunded + lines.iter().filter(|line| line.line == at).map(|line| line.refund).sum::<i64>();
        claimed += if is_claimed { line_paid } else { line_refunded };
    }
    let left = cost - earlier;
    let up_to = |part: i64| {
        let share = Rat::new(i128::from(cost) * i128::from(part), i128::from(paid)).rounded(Rat::ONE, Mode::HalfUp);
        (i64::try_from(share.n).unwrap() - earlier).clamp(0, left)
    };
    let whole = if claimed == paid { left } else { 0 };
    match back {
        Back::Never => (whole, 0),
        Back::Always => (left, left),
        Back::WhenFull if gone == paid => (left, left),
        Back::WhenFull => (whole, 0),
        Back::InProportion => (up_to(claimed), up_to(gone).min(up_to(claimed))),
    }
}

/// A part of the refund: a line or a component.
struct Part {
    refund: i64,
    earlier: i64,
}

/// What to take from each part so that it comes to `amount`, by what goes back of it.
fn taken(amount: i64, parts: &[Part]) -> Vec<i64> {
    let shares: Vec<(i64, i64)> = parts.iter().map(|part| (part.refund, part.refund)).collect();
    spread(amount, &shares)
}

/// Decides a request.
pub fn decide(policy: &Policy, request: &Request<'static>) -> Expected {
    let order = &request.order;
    let claimed = |line: &Line<'_>| request.claim.line_ids.is_empty() || request.claim.line_ids.contains(&line.id);
    let places: Vec<usize> = (0..order.lines.len()).filter(|&place| claimed(&order.lines[place])).collect();
    let mut lines: Vec<ExpectedLine> = Vec::new();
    let mut open: Vec<(Option<usize>, Vec<usize>)> = Vec::new();
    for &place in &places {
        match find(policy, request, place) {
            Err(line) => lines.push(line),
            Ok(rule) => {
                let Action::Refund(steps) = action(policy, rule) else { panic!("it refunds") };
                let together = steps.iter().any(|step| step.whole_order);
                match open.iter_mut().find(|(of, _)| together && *of == rule) {
                    Some((_, places)) => places.push(place),
                    None => open.push((rule, vec![place])),
                }
            }
        }
    }
    for (rule, places) in open {
        lines.extend(refund(policy, request, rule, &places));
    }
    lines.sort_by_key(|line| line.line);

    let mut components: Vec<(i64, i64)> =
        (0..order.components.len()).map(|place| component(policy, request, place, &lines)).collect();
    let mut kept: Vec<i64> = components.iter().map(|(base, refund)| base - refund).collect();

    // Tenders that take nothing back hold back their share.
    let dead = |tender: &requite::domain::request::Tender<'_>| {
        tender.refundability == Refundability::NotRefundable || policy.not_refundable.contains(&tender.method)
    };
    let paid_with = |dead_ones: bool| -> i64 {
        order
            .tenders
            .iter()
            .filter(|tender| dead(tender) == dead_ones)
            .map(|tender| hundredths(tender.paid).unwrap())
            .sum()
    };
    let parts = |lines: &[ExpectedLine], components: &[(i64, i64)]| -> Vec<Part> {
        let of_lines = lines.iter().map(|line| Part {
            refund: line.refund,
            earlier: hundredths(order.lines[line.line].refunded).unwrap_or(0),
        });
        let of_components = components.iter().zip(&order.components).map(|((_, refund), component)| Part {
            refund: *refund,
            earlier: hundredths(component.refunded).unwrap_or(0),
        });
        of_lines.chain(of_components).collect()
    };
    let lost = paid_with(true);
    if lost != 0 {
        let parts = parts(&lines, &components);
        let all = i128::from(lost + paid_with(false));
        let share = |part: &Part| {
            let share = Rat::new(i128::from(part.refund + part.earlier) * i128::from(lost), all).floor();
            i64::try_from(share).unwrap().min(part.refund)
        };
        let room: i64 = order
            .tenders
            .iter()
            .filter(|tender| !dead(tender))
            .map(|tender| hundredths(tender.paid).unwrap() - hundredths(tender.refunded).unwrap_or(0))
            .sum();
        let mut taken: Vec<i64> = parts.iter().map(share).collect();
        let left: Vec<(i64, i64)> =
            parts.iter().zip(&taken).map(|(part, kept)| (part.refund - kept, part.refund - kept)).collect();
        let over = (left.iter().map(|(left, _)| left).sum::<i64>() - room).max(0);
        for (kept, more) in taken.iter_mut().zip(spread(over, &left)) {
            *kept += more;
        }
        for (line, taken) in lines.iter_mut().zip(&taken) {
            if *taken != 0 {
                line.refund -= taken;
                line.deductions.push((DeductionKind::NonRefundableComponent, *taken));
            }
            if matches!(line.outcome, Outcome::ApprovedFull | Outcome::ApprovedPartial) {
                (line.outcome, line.codes) = answer(line.refund, line.base - line.refund);
            }
        }
        for (place, taken) in taken[lines.len()..].iter().enumerate() {
            components[place].1 -= taken;
            kept[place] += taken;
        }
    }

    // What was not asked for.
    if let Some(asked) = hundredths(request.claim.requested_amount) {
        let parts = parts(&lines, &components);
        let refund: i64 = parts.iter().map(|part| part.refund).sum();
        let taken = taken((refund - asked).max(0), &parts);
        for (line, taken) in lines.iter_mut().zip(&taken).filter(|(_, taken)| **taken != 0) {
            line.refund -= taken;
            line.deductions.push((DeductionKind::NotRequested, *taken));
        }
        for (component, taken) in components.iter_mut().zip(&taken[lines.len()..]) {
            component.1 -= taken;
        }
    }

    let refund =
        lines.iter().map(|line| line.refund).sum::<i64>() + components.iter().map(|(_, refund)| refund).sum::<i64>();
    let any = |outcome: Outcome| lines.iter().any(|line| line.outcome == outcome);
    let all = |outcome: Outcome| lines.iter().all(|line| line.outcome == outcome);
    let mut codes: Vec<ReasonCode> = lines.iter().flat_map(|line| line.codes.clone()).collect();
    let keeps = kept.iter().any(|kept| *kept != 0);
    let outcome = if any(Outcome::ManualReview) {
        Outcome::ManualReview
    } else if any(Outcome::MoreInfoRequired) {
        Outcome::MoreInfoRequired
    } else if all(Outcome::Denied) && components.iter().all(|(_, refund)| *refund == 0) {
        Outcome::Denied
    } else if all(Outcome::ApprovedFull) && !keeps {
        Outcome::ApprovedFull
    } else {
        codes.extend(keeps.then_some(ReasonCode::DeductionsApplied));
        Outcome::ApprovedPartial
    };
    Expected {
        outcome,
        codes: sorted(codes),
        refund,
        components,
        tenders: tenders(policy, request, refund),
        proof_missing: proofs(policy, request, &lines),
        lines,
    }
}

fn tenders(policy: &Policy, request: &Request<'_>, refund: i64) -> Vec<i64> {
    let tenders = &request.order.tenders;
    if tenders.is_empty() {
        return vec![refund];
    }
    let rank = |place: usize| -> usize {
        match policy.tender_order {
            TenderOrder::Proportional => 0,
            TenderOrder::FirstPaidFirst => place,
            TenderOrder::LastPaidFirst => tenders.len() - place,
            TenderOrder::ByPriority(methods) => {
                methods.iter().position(|method| *method == tenders[place].method).unwrap_or(methods.len())
            }
        }
    };
    let mut ranks: Vec<usize> = (0..tenders.len()).map(rank).collect();
    ranks.sort_unstable();
    ranks.dedup();
    let mut back = vec![0; tenders.len()];
    let mut left = refund;
    for wanted in ranks {
        let group: Vec<usize> = (0..tenders.len()).filter(|place| rank(*place) == wanted).collect();
        let share = |&place: &usize| {
            let tender = &tenders[place];
            let paid = hundredths(tender.paid).unwrap();
            let dead =
                tender.refundability == Refundability::NotRefundable || policy.not_refundable.contains(&tender.method);
            let room = if dead { 0 } else { paid - hundredths(tender.refunded).unwrap_or(0) };
            (if room == 0 { 0 } else { paid }, room)
        };
        let shares: Vec<(i64, i64)> = group.iter().map(share).collect();
        for (&place, part) in group.iter().zip(spread(left, &shares)) {
            back[place] = part;
            left -= part;
        }
    }
    back
}

/// Every smallest set of kinds that would complete the proofs of all lines, found by trying each set.
fn proofs(policy: &Policy, request: &Request<'_>, lines: &[ExpectedLine]) -> Proofs {
    let asked: Vec<usize> = lines
        .iter()
        .flat_map(|line| demands(policy, line.rule).iter().filter_map(|demand| wanted(policy, request, *demand)))
        .collect();
    let (have, _) = material(request);
    let does = |more: u8| asked.iter().all(|proof| policy.proofs[*proof].met(have | more));
    if asked.is_empty() {
        return Proofs::NotRequired;
    }
    if does(0) {
        return Proofs::Enough;
    }
    let sets = (1..1u8 << KINDS.len()).filter(|set| set & have == 0);
    let without =
        |set: u8| (0..KINDS.len()).filter(move |kind| set >> kind & 1 == 1).map(move |kind| set & !(1 << kind));
    let smallest = sets.filter(|set| does(*set) && !without(*set).any(does));
    Proofs::Missing(smallest.map(u64::from).collect())
}
