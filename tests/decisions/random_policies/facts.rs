//! The facts of a line, and what formulas, tests and deductions come to on them.
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use requite::domain::request::{InputValue, Line, Money, Request};

use super::ast::{Accept, Amount, Binary, Call, Derived, Expr, Extra, Item, Policy, REASONS, Step, TAGS, Test, Val};
use super::number::{Mode, Rat};
use super::requests::hundredths;
use super::windows::{next_worked, worked_between};

/// Why a formula has no result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// A division by zero.
    NotComputable,
    /// A day that the calendar does not know.
    NotCovered,
}

pub type Value = Result<Option<Val>, Fault>;

pub const HUNDRED: Rat = Rat::whole(100);
pub const DAY: i128 = 86_400_000_000_000;

pub fn number(value: i128) -> Val {
    Val::Num(Rat::whole(value))
}

pub struct Scene<'p> {
    pub policy: &'p Policy,
    pub given: HashMap<&'static str, Val>,
    pub known: RefCell<HashMap<&'static str, Value>>,
    pub remaining: Option<Rat>,
    pub previous: Option<Rat>,
}

/// What the tests of a rule, a row or a step come to together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holds {
    Yes,
    No,
    Missing,
    Faulty(Fault),
}

impl<'p> Scene<'p> {
    pub fn new(policy: &'p Policy, request: &Request<'static>, line: &Line<'static>) -> Self {
        let mut given = HashMap::new();
        let mut put = |name: &'static str, value: Option<Val>| {
            if let Some(value) = value {
                given.insert(name, value);
            }
        };
        let word = |word: &'static str| (!word.is_empty()).then_some(Val::Word(word));
        let money = |money: Option<Money<'static>>| hundredths(money).map(|amount| number(i128::from(amount)));
        let (order, claim) = (&request.order, &request.claim);
        put("stage", line.stage.map(|stage| Val::Word(stage.as_str())));
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
        put("request_type", claim.request_type.map(|word| Val::Word(word.as_str())));
        put("reason", word(claim.reason));
        let of_reason = REASONS.iter().position(|reason| *reason == claim.reason).and_then(|at| policy.reasons[at].0);
        put("claimed_liable", claim.liable_party.or(of_reason).map(|party| Val::Word(party.as_str())));
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

    pub fn derived(&self, name: &str) -> Option<&'p Derived> {
        self.policy.derived.iter().find(|(known, _)| *known == name).map(|(_, derived)| derived)
    }

    pub fn fact(&self, name: &'static str) -> Value {
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

    pub fn row(&self, rows: &[(Vec<Test>, Expr)], otherwise: &Expr) -> Value {
        for (when, value) in rows {
            match self.holds(when) {
                Holds::Yes => return self.value(value),
                Holds::No => {}
                Holds::Missing => return Ok(None),
                Holds::Faulty(fault) => return Err(fault),
            }
        }
        self.value(otherwise)
    }

    /// The numbers of all parts; `None` where one is missing.
    pub fn numbers<const N: usize>(&self, parts: [&Expr; N]) -> Result<Option<[Rat; N]>, Fault> {
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

    pub fn extreme(&self, parts: &[Expr], better: fn(Rat, Rat) -> bool) -> Value {
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

    pub fn value(&self, formula: &Expr) -> Value {
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
                    Binary::Div => some(a.over(b).ok_or(Fault::NotComputable)?),
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
                    Call::BusinessDaysSince => number(worked_between(day(value), day(*now)).ok_or(Fault::NotCovered)?),
                    Call::BusinessDaysUntil => number(worked_between(day(*now), day(value)).ok_or(Fault::NotCovered)?),
                    Call::NextWorkedDay => {
                        let later = next_worked(day(value)).ok_or(Fault::NotCovered)? - day(value);
                        number(value.floor() + later * DAY)
                    }
                    Call::StartOfDay => number(start(day(value))),
                    Call::EndOfDay => number(start(day(value) + 1) - 1),
                    Call::NextDay => number(start(day(value) + 1)),
                    Call::Money => Val::Num(value.times(HUNDRED)),
                }))
            }
        }
    }

    /// `and`, `or`: one decisive side is enough.
    pub fn either(&self, a: &Expr, b: &Expr, decisive: bool) -> Value {
        let (a, b) = (self.value(a), self.value(b));
        if [a, b].contains(&Ok(Some(Val::Flag(decisive)))) {
            return Ok(Some(Val::Flag(decisive)));
        }
        let both = (a?, b?);
        Ok(if matches!(both, (Some(_), Some(_))) { Some(Val::Flag(!decisive)) } else { None })
    }

    pub fn test(&self, test: &Test) -> Holds {
        let value = match self.value(&test.subject) {
            Ok(value) => value,
            Err(fault) => return Holds::Faulty(fault),
        };
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

    pub fn holds(&self, tests: &[Test]) -> Holds {
        let answers: Vec<Holds> = tests.iter().map(|test| self.test(test)).collect();
        let faulty = |answer: &Holds| matches!(answer, Holds::Faulty(_));
        let first = |is: &dyn Fn(&Holds) -> bool| answers.iter().copied().find(|answer| is(answer));
        first(&|answer| *answer == Holds::No)
            .or_else(|| first(&faulty))
            .or_else(|| first(&|answer| *answer == Holds::Missing))
            .unwrap_or(Holds::Yes)
    }

    /// The missing facts because of which a formula has no value.
    pub fn missing(&self, formula: &Expr, into: &mut BTreeSet<String>) {
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
                            Holds::Missing | Holds::Faulty(_) => return self.missing_of(when, into),
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

    pub fn missing_of(&self, tests: &[Test], into: &mut BTreeSet<String>) {
        for test in tests.iter().filter(|test| self.test(test) == Holds::Missing) {
            self.missing(&test.subject, into);
        }
    }

    pub fn amount(&self, formula: &Expr, missing: &mut BTreeSet<String>) -> Result<Option<Rat>, Fault> {
        self.missing(formula, missing);
        Ok(self.numbers([formula])?.map(|[value]| value))
    }

    /// What a step takes of what is left; `None` where it takes nothing, or a fact is missing.
    pub fn step(&self, step: &Step, missing: &mut BTreeSet<String>) -> Result<Taken, Fault> {
        match self.holds(&step.when) {
            Holds::Yes => {}
            Holds::No => return Ok(Taken::Nothing),
            Holds::Faulty(fault) => return Err(fault),
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
        let rounded = match (of_refund, self.remaining) {
            (false, _) => Some(exact.rounded(to, mode)),
            (true, Some(left)) => Some(left.minus(left.minus(exact).rounded(to, mode))),
            (true, None) => None,
        };
        let taken = self.bounded(rounded, step.at_least.as_ref(), step.at_most.as_ref(), missing)?;
        match (taken, self.remaining) {
            (Some(taken), Some(left)) => Ok(Taken::Amount(cents(taken.max(Rat::ZERO).min(left)))),
            _ => Ok(Taken::Unknown),
        }
    }

    /// An amount within its bounds, each rounded to the minor unit; where they cross, the upper one counts.
    fn bounded(
        &self,
        amount: Option<Rat>,
        at_least: Option<&Expr>,
        at_most: Option<&Expr>,
        missing: &mut BTreeSet<String>,
    ) -> Result<Option<Rat>, Fault> {
        let mut amount = amount;
        for (bound, is_floor) in [(at_least, true), (at_most, false)] {
            let Some(bound) = bound else { continue };
            let bound = self.amount(bound, missing)?.map(|bound| bound.rounded(Rat::ONE, Mode::HalfUp));
            amount = match (amount, bound) {
                (Some(amount), Some(bound)) => Some(if is_floor { amount.max(bound) } else { amount.min(bound) }),
                (_, None) | (None, _) => None,
            };
        }
        Ok(amount)
    }

    /// What an amount beside the refund comes to.
    pub fn extra(&self, extra: &Extra, missing: &mut BTreeSet<String>) -> Result<Taken, Fault> {
        match self.holds(&extra.when) {
            Holds::Yes => {}
            Holds::No => return Ok(Taken::Nothing),
            Holds::Faulty(fault) => return Err(fault),
            Holds::Missing => {
                self.missing_of(&extra.when, missing);
                return Ok(Taken::Unknown);
            }
        }
        let (to, mode) = extra.round.unwrap_or((None, None));
        let (to, mode) = (Rat::whole(i128::from(to.unwrap_or(1))), mode.unwrap_or(Mode::HalfUp));
        let Some(exact) = self.amount(&extra.amount, missing)? else { return Ok(Taken::Unknown) };
        let bounded =
            self.bounded(Some(exact.rounded(to, mode)), extra.at_least.as_ref(), extra.at_most.as_ref(), missing)?;
        Ok(bounded.map_or(Taken::Unknown, |amount| Taken::Amount(cents(amount.max(Rat::ZERO)))))
    }
}

fn cents(amount: Rat) -> i64 {
    assert_eq!(amount.d, 1);
    i64::try_from(amount.n).unwrap()
}

pub enum Taken {
    Nothing,
    Unknown,
    Amount(i64),
}

pub fn has(set: u8, tag: &str) -> bool {
    let place = TAGS.iter().position(|known| *known == tag).unwrap();
    set >> place & 1 == 1
}

pub fn decimal(text: &str) -> Rat {
    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
    let digits: i128 = format!("{whole}{places}").parse().unwrap();
    Rat::new(digits, 10i128.pow(u32::try_from(places.len()).unwrap()))
}
