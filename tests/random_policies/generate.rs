//! Random policies, and random requests aimed at their edges.

use requite::domain::request::{
    Claim, Component, Evidence, Fraction, InputValue, Line, Money, Order, Refundability, Request, Tender,
};
use requite::domain::time::{Elapsed, Timestamp};
use requite::domain::words::{DeductionKind, LiableParty, OrderStage, ReasonCode, RequestType};

use crate::ast::{
    Accept, Action, Amount, Back, Binary, CHANNELS, Call, Demand, Derived, Edges, Expr, Input, InputKind, Item, KINDS,
    METHODS, PRODUCTS, Policy, Proof, REASONS, Range, Rule, Step, TAGS, TenderOrder, Test, Type, Val, Words,
};
use crate::number::{Chance, Mode, Rat};

const HOUR: i128 = 3_600_000_000_000;
/// 2026-03-01T00:00:00Z.
const EPOCH: i128 = 1_772_323_200_000_000_000;
const LEVELS: Words = &["low", "mid", "high"];
const SEATS: Words = &["first", "second", "third"];
const STAGES: Words = &["unpaid", "not_started", "in_progress", "delivered", "completed", "redeemed"];
const TYPES: Words = &["refund", "after_sales_appeal", "dispute"];
const PARTIES: Words = &["customer", "merchant", "platform", "third_party", "shared"];
const CODES: [ReasonCode; 6] = [
    ReasonCode::OrderCompleted,
    ReasonCode::WindowExpired,
    ReasonCode::UsageExceeded,
    ReasonCode::NonRefundableItem,
    ReasonCode::ReviewRequired,
    ReasonCode::NoMatchingRule,
];
const DEDUCTIONS: [DeductionKind; 6] = [
    DeductionKind::ConsumedValue,
    DeductionKind::CostRecovery,
    DeductionKind::CancellationFee,
    DeductionKind::ProcessingFee,
    DeductionKind::DiminishedValue,
    DeductionKind::ReturnShipping,
];

/// A fact that formulas may use.
#[derive(Clone, Copy, Debug)]
struct Atom {
    name: &'static str,
    of: Type,
    of_line: bool,
    size: Size,
}

/// How many bits the parts of a number may have, so that neither side's arithmetic overflows.
#[derive(Clone, Copy, Debug)]
struct Size(u32, u32);

/// Where a formula stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Fact,
    Line,
    Order,
}

struct Author<'c> {
    chance: &'c mut Chance,
    atoms: Vec<Atom>,
    edges: Edges,
}

const MONEY: Size = Size(46, 0);
const ELAPSED: Size = Size(56, 0);
const MOMENT: Size = Size(62, 0);
const NUMBER: Size = Size(16, 14);
const SHARE: Size = Size(12, 10);
const SMALL: Size = Size(12, 0);
const NONE: Size = Size(1, 0);

fn built_in() -> Vec<Atom> {
    let atom = |name, of, of_line, size| Atom { name, of, of_line, size };
    vec![
        atom("stage", Type::Word(STAGES), true, NONE),
        atom("product_type", Type::Word(PRODUCTS), true, NONE),
        atom("tags", Type::Tags, true, NONE),
        atom("paid", Type::Money, true, MONEY),
        atom("list_price", Type::Money, true, MONEY),
        atom("refunded", Type::Money, true, MONEY),
        atom("refundable", Type::Money, true, MONEY),
        atom("declared_cost", Type::Money, true, MONEY),
        atom("completed_share", Type::Number, true, SHARE),
        atom("units_completed", Type::Number, true, SMALL),
        atom("units_total", Type::Number, true, SMALL),
        atom("order_paid", Type::Money, false, MONEY),
        atom("requested_amount", Type::Money, false, MONEY),
        atom("placed_at", Type::Moment, false, MOMENT),
        atom("paid_at", Type::Moment, false, MOMENT),
        atom("promised_at", Type::Moment, false, MOMENT),
        atom("delivered_at", Type::Moment, false, MOMENT),
        atom("requested_at", Type::Moment, false, MOMENT),
        atom("customer_caused_delay", Type::Elapsed, false, ELAPSED),
        atom("request_type", Type::Word(TYPES), false, NONE),
        atom("reason", Type::Word(REASONS), false, NONE),
        atom("claimed_liable", Type::Word(PARTIES), false, NONE),
        atom("channel", Type::Word(CHANNELS), false, NONE),
    ]
}

fn boxed(expr: Expr) -> Box<Expr> {
    Box::new(expr)
}

impl Author<'_> {
    fn rat(&mut self) -> Rat {
        let value = match self.chance.below(4) {
            0 => Rat::new(i128::from(self.chance.between(1, 7)), self.chance.pick(&[2, 3, 4, 5, 6, 7])),
            1 => Rat::new(i128::from(self.chance.between(0, 20)), 20),
            2 => Rat::whole(i128::from(self.chance.between(0, 12))),
            _ => Rat::new(i128::from(self.chance.between(1, 999)), 100),
        };
        self.edges.numbers.push(value);
        value
    }

    fn cents(&mut self) -> i64 {
        let cents = match self.chance.below(3) {
            0 => self.chance.pick(&[50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000]),
            1 => self.chance.between(0, 300),
            _ => self.chance.between(0, 20_000),
        };
        self.edges.money.push(cents);
        cents
    }

    fn length(&mut self) -> i128 {
        let hours = i128::from(self.chance.pick(&[0, 1, 2, 12, 24, 36, 48, 72, 168]));
        let length = hours * HOUR + self.chance.pick(&[0, 0, 0, HOUR / 2, 1_000_000_000, 250_000_000]);
        self.edges.elapsed.push(length);
        length
    }

    fn quantity(&mut self, of: Type) -> Rat {
        match of {
            Type::Number => self.rat(),
            Type::Money => Rat::whole(i128::from(self.cents())),
            Type::Elapsed => Rat::whole(self.length()),
            Type::Days => {
                let days = self.chance.between(0, 9);
                self.edges.days.push(days);
                Rat::whole(i128::from(days))
            }
            Type::Moment => {
                let at = EPOCH + i128::from(self.chance.between(0, 480)) * (HOUR / 2);
                self.edges.moments.push(at);
                Rat::whole(at)
            }
            Type::Flag | Type::Word(_) | Type::Tags => panic!("{of:?} has no numbers"),
        }
    }

    fn literal(&mut self, of: Type) -> Expr {
        let value = match of {
            Type::Flag => Val::Flag(self.chance.percent(50)),
            Type::Word(words) => Val::Word(self.chance.pick(words)),
            _ => Val::Num(self.quantity(of)),
        };
        Expr::Literal(of, value)
    }

    fn atom(&mut self, of: Type, place: Place) -> Option<Expr> {
        let usable: Vec<&'static str> = self
            .atoms
            .iter()
            .filter(|atom| atom.of == of && !(place == Place::Order && atom.of_line))
            .map(|atom| atom.name)
            .collect();
        let deducting = place != Place::Fact && of == Type::Money;
        if deducting && self.chance.percent(35) {
            return Some(if self.chance.percent(65) { Expr::Remaining } else { Expr::Previous });
        }
        (!usable.is_empty()).then(|| Expr::Fact(self.chance.pick(&usable)))
    }

    /// A formula that is no lone constant and whose numbers stay small.
    fn formula(&mut self, of: Type, place: Place) -> Expr {
        loop {
            let depth = self.chance.below(4);
            let expr = self.open(of, depth, place);
            if size(&expr, &self.atoms).is_some() && expr.text().len() < 600 {
                return expr;
            }
        }
    }

    fn operand(&mut self, of: Type, depth: usize, place: Place) -> Expr {
        if of != Type::Moment && self.chance.percent(40) { self.literal(of) } else { self.open(of, depth, place) }
    }

    fn open(&mut self, of: Type, depth: usize, place: Place) -> Expr {
        if depth == 0
            && let Some(atom) = self.atom(of, place)
        {
            return atom;
        }
        // Where there is no fact of the type, the shortest formula ends it.
        if depth == 0 {
            let atom = |author: &mut Self, of| boxed(author.atom(of, place).expect("every policy has one"));
            match of {
                Type::Number => {
                    let (a, b) = (atom(self, Type::Money), atom(self, Type::Money));
                    return Expr::Binary(Binary::Div, a, b);
                }
                Type::Flag => {
                    let (a, b) = (atom(self, Type::Elapsed), boxed(self.literal(Type::Elapsed)));
                    return Expr::Binary(self.chance.pick(&[Binary::Le, Binary::Gt]), a, b);
                }
                Type::Days => return Expr::Call(Call::DaysSince, atom(self, Type::Moment)),
                Type::Word(_) | Type::Tags | Type::Money | Type::Elapsed | Type::Moment => {}
            }
        }
        let less = depth.saturating_sub(1);
        match of {
            Type::Flag => self.flag(less, place),
            Type::Word(_) | Type::Tags => self.atom(of, place).expect("there is one of each"),
            Type::Moment => match self.chance.below(7) {
                0 | 1 => self.atom(of, place).unwrap(),
                2 => {
                    let operator = if self.chance.percent(50) { Binary::Add } else { Binary::Sub };
                    let (at, length) = (self.open(of, less, place), self.operand(Type::Elapsed, less, place));
                    Expr::Binary(operator, boxed(at), boxed(length))
                }
                3 => Expr::Shift(boxed(self.open(of, less, place)), self.chance.pick(&[-2, 1, 2, 7])),
                4 => Expr::Call(
                    self.chance.pick(&[Call::StartOfDay, Call::EndOfDay, Call::NextDay]),
                    boxed(self.open(of, less, place)),
                ),
                5 => self.several(of, less, place),
                _ => Expr::IfAbsent(boxed(self.atom(of, place).unwrap()), boxed(self.open(of, less, place))),
            },
            Type::Days => match self.chance.below(4) {
                0 if 0 < depth => self.several(of, less, place),
                _ => Expr::Call(
                    self.chance.pick(&[Call::DaysSince, Call::DaysUntil]),
                    boxed(self.open(Type::Moment, less, place)),
                ),
            },
            Type::Number | Type::Money | Type::Elapsed => self.calculation(of, less, place),
        }
    }

    fn several(&mut self, of: Type, depth: usize, place: Place) -> Expr {
        let mut parts = vec![self.open(of, depth, place)];
        for _ in 0..=self.chance.below(2) {
            parts.push(self.operand(of, depth, place));
        }
        if self.chance.percent(50) { Expr::Least(parts) } else { Expr::Most(parts) }
    }

    fn calculation(&mut self, of: Type, less: usize, place: Place) -> Expr {
        match self.chance.below(12) {
            0 => {
                let operator = if self.chance.percent(50) { Binary::Add } else { Binary::Sub };
                let (a, b) = (self.open(of, less, place), self.operand(of, less, place));
                Expr::Binary(operator, boxed(a), boxed(b))
            }
            1 | 2 => {
                let (a, b) = (self.open(of, less, place), self.operand(Type::Number, less, place));
                let (a, b) = if self.chance.percent(60) { (a, b) } else { (b, a) };
                Expr::Binary(Binary::Mul, boxed(a), boxed(b))
            }
            3 => {
                let (a, b) = (self.open(of, less, place), self.operand(Type::Number, less, place));
                let b = if let Expr::Literal(_, Val::Num(Rat { n: 0, .. })) = b {
                    Expr::Literal(Type::Number, Val::Num(Rat::whole(3)))
                } else {
                    b
                };
                Expr::Binary(Binary::Div, boxed(a), boxed(b))
            }
            4 => self.several(of, less, place),
            5 => {
                let parts = [self.open(of, less, place), self.operand(of, less, place), self.operand(of, less, place)];
                Expr::Clamp(Box::new(parts))
            }
            6 => Expr::Negate(boxed(self.open(of, less, place))),
            7 => {
                let step = match of {
                    Type::Number => Rat::new(1, self.chance.pick(&[1, 2, 4, 10, 100])),
                    Type::Money => Rat::whole(self.chance.pick(&[1, 50, 100, 1_000])),
                    _ => Rat::whole(self.chance.pick(&[HOUR, HOUR / 2, 24 * HOUR])),
                };
                let mode = self.chance.percent(80).then(|| self.chance.pick(&Mode::ALL));
                Expr::Round(boxed(self.open(of, less, place)), of, step, mode)
            }
            8 => match self.atom(of, place) {
                Some(fact @ Expr::Fact(_)) => Expr::IfAbsent(boxed(fact), boxed(self.operand(of, less, place))),
                Some(other) => other,
                None => self.open(of, 0, place),
            },
            _ => match of {
                Type::Number => match self.chance.below(4) {
                    0 => {
                        let call = if self.chance.percent(50) { Call::Floor } else { Call::Ceil };
                        Expr::Call(call, boxed(self.open(of, less, place)))
                    }
                    1 => {
                        let kind = self.chance.pick(&[Type::Money, Type::Elapsed]);
                        let (a, b) = (self.open(kind, less, place), self.open(kind, less, place));
                        Expr::Binary(Binary::Div, boxed(a), boxed(b))
                    }
                    2 => {
                        let days = i128::from(self.chance.between(1, 3));
                        let by = Expr::Literal(Type::Days, Val::Num(Rat::whole(days)));
                        Expr::Binary(Binary::Div, boxed(self.open(Type::Days, less, place)), boxed(by))
                    }
                    _ => self
                        .atom(of, place)
                        .unwrap_or_else(|| Expr::Call(Call::Floor, boxed(self.open(Type::Number, 0, place)))),
                },
                Type::Elapsed => match self.chance.below(3) {
                    0 => {
                        let (a, b) = (self.open(Type::Moment, less, place), self.open(Type::Moment, less, place));
                        Expr::Binary(Binary::Sub, boxed(a), boxed(b))
                    }
                    at => {
                        let call = if at == 1 { Call::Since } else { Call::Until };
                        Expr::Call(call, boxed(self.open(Type::Moment, less, place)))
                    }
                },
                _ if self.chance.percent(15) => Expr::Call(Call::Money, boxed(self.operand(Type::Number, less, place))),
                _ => self.atom(of, place).unwrap(),
            },
        }
    }

    fn flag(&mut self, less: usize, place: Place) -> Expr {
        match self.chance.below(8) {
            0 | 1 => {
                let operator = if self.chance.percent(50) { Binary::And } else { Binary::Or };
                let (a, b) = (self.open(Type::Flag, less, place), self.operand(Type::Flag, less, place));
                Expr::Binary(operator, boxed(a), boxed(b))
            }
            2 => Expr::Not(boxed(self.open(Type::Flag, less, place))),
            3 => {
                let words: Vec<Type> =
                    self.atoms.iter().map(|atom| atom.of).filter(|of| matches!(of, Type::Word(_))).collect();
                let of = self.chance.pick(&words);
                let Some(fact) = self.atom(of, place) else { return self.open(Type::Flag, 0, place) };
                let word = self.literal(of);
                let (a, b) = if self.chance.percent(70) { (fact, word) } else { (word, fact) };
                Expr::Binary(self.chance.pick(&[Binary::Eq, Binary::Ne]), boxed(a), boxed(b))
            }
            4 => match self.atom(Type::Flag, place) {
                Some(fact) => Expr::IfAbsent(boxed(fact), boxed(self.literal(Type::Flag))),
                None => self.open(Type::Flag, 0, place),
            },
            _ => {
                let of = self.chance.pick(&[Type::Number, Type::Money, Type::Elapsed, Type::Days, Type::Moment]);
                let operator =
                    self.chance.pick(&[Binary::Lt, Binary::Le, Binary::Gt, Binary::Ge, Binary::Eq, Binary::Ne]);
                let (a, b) = (self.open(of, less, place), self.operand(of, less, place));
                let (a, b) = if self.chance.percent(80) { (a, b) } else { (b, a) };
                Expr::Binary(operator, boxed(a), boxed(b))
            }
        }
    }

    fn range(&mut self, of: Type) -> Range {
        let (mut a, mut b) = (self.quantity(of), self.quantity(of));
        if b < a {
            (a, b) = (b, a);
        }
        let (low, high) = (self.chance.percent(50), self.chance.percent(50));
        match self.chance.below(6) {
            0 => Range { low: None, high: Some((b, high)) },
            1 => Range { low: Some((a, low)), high: None },
            2 => Range { low: Some((a, true)), high: Some((a, true)) },
            _ if a == b => Range { low: Some((a, true)), high: Some((b, true)) },
            _ => Range { low: Some((a, low)), high: Some((b, high)) },
        }
    }

    fn accept(&mut self, of: Type) -> Accept {
        match self.chance.below(16) {
            0 => return Accept::Present,
            1 => return Accept::Absent,
            _ => {}
        }
        let count = 1 + self.chance.below(2);
        match of {
            Type::Flag => Accept::Flag(self.chance.percent(50)),
            Type::Word(words) => {
                let item = |chance: &mut Chance| match chance.percent(75) {
                    true => Item::Is(chance.pick(words)),
                    false => Item::Not(chance.some(words, 1)),
                };
                Accept::Words((0..count).map(|_| item(self.chance)).collect())
            }
            Type::Tags => {
                let tags = self.chance.some(TAGS, 1);
                match self.chance.below(3) {
                    0 => Accept::AnyTag(tags),
                    1 => Accept::AllTags(tags),
                    _ => Accept::NoTag(tags),
                }
            }
            Type::Number | Type::Money | Type::Elapsed | Type::Days | Type::Moment => {
                let mut items = Vec::new();
                for _ in 0..count {
                    items.push(match self.chance.percent(75) {
                        true => Item::Is(self.range(of)),
                        false => Item::Not((0..=self.chance.below(2)).map(|_| self.range(of)).collect()),
                    });
                }
                Accept::Ranges(of, items)
            }
        }
    }

    /// At most so many tests, each of another subject; at least one.
    fn tests(&mut self, most: usize, place: Place) -> Vec<Test> {
        let mut tests: Vec<Test> = Vec::new();
        for _ in 0..=self.chance.below(most) {
            let usable: Vec<Atom> =
                self.atoms.iter().copied().filter(|atom| place != Place::Order || !atom.of_line).collect();
            let of = self.chance.pick(&usable).of;
            let of = if self.chance.percent(10) { Type::Days } else { of };
            // What earlier deductions left means nothing in a test.
            let subject = if self.chance.percent(70) && of != Type::Days {
                let named: Vec<Atom> = usable.into_iter().filter(|atom| atom.of == of).collect();
                Expr::Fact(self.chance.pick(&named).name)
            } else {
                self.subject(of, place)
            };
            if tests.iter().all(|test| test.subject.text() != subject.text()) {
                tests.push(Test { subject, accept: self.accept(of) });
            }
        }
        tests
    }

    /// A formula without `remaining` and `previous`.
    fn subject(&mut self, of: Type, place: Place) -> Expr {
        if place != Place::Order {
            return self.formula(of, Place::Fact);
        }
        let all = self.atoms.clone();
        self.atoms.retain(|atom| !atom.of_line);
        let expr = self.formula(of, Place::Fact);
        self.atoms = all;
        expr
    }

    fn amount(&mut self, place: Place) -> Amount {
        if self.chance.percent(60) {
            return Amount::Formula(self.formula(Type::Money, place));
        }
        let on_type = self.chance.pick(&[Type::Number, Type::Money, Type::Elapsed, Type::Days]);
        let on = self.formula(on_type, place);
        let of = self.chance.percent(70).then(|| self.small(Type::Money, place, 60, 25));
        let tier_type = if of.is_some() { Type::Number } else { Type::Money };
        let mut cuts: Vec<Rat> = (0..=self.chance.below(3)).map(|_| self.quantity(on_type)).collect();
        cuts.sort();
        cuts.dedup();
        let mut tiers = Vec::new();
        let mut low = None;
        let from_zero = matches!(&on, Expr::Fact("completed_share" | "paid" | "order_paid" | "refunded"));
        if from_zero && self.chance.percent(50) {
            cuts.retain(|cut| Rat::ZERO < *cut);
            low = Some((Rat::ZERO, true));
        }
        for cut in cuts {
            let below = self.chance.percent(50);
            tiers.push(Range { low, high: Some((cut, below)) });
            low = Some((cut, !below));
            if !below && self.chance.percent(10) {
                tiers.push(Range { low, high: Some((cut, true)) });
                low = Some((cut, false));
            }
        }
        if low.is_none() {
            let cut = self.quantity(on_type);
            tiers.push(Range { low, high: Some((cut, true)) });
            low = Some((cut, false));
        }
        tiers.push(Range { low, high: None });
        let mut tiers: Vec<(Range, Expr)> = tiers
            .into_iter()
            .map(|range| {
                let value = if self.chance.percent(80) {
                    self.literal(tier_type)
                } else {
                    self.small(tier_type, place, 60, 25)
                };
                (range, value)
            })
            .collect();
        self.chance.shuffle(&mut tiers);
        Amount::Tiers { on, on_type, tiers, of }
    }

    /// A formula whose numbers may still be multiplied.
    fn small(&mut self, of: Type, place: Place, above: u32, below: u32) -> Expr {
        loop {
            let expr = self.formula(of, place);
            if size(&expr, &self.atoms).is_some_and(|Size(n, d)| n <= above && d <= below) {
                return expr;
            }
        }
    }

    fn step(&mut self, may_be_whole: bool) -> Step {
        let whole_order = may_be_whole && self.chance.percent(25);
        let place = if whole_order { Place::Order } else { Place::Line };
        let when = if self.chance.percent(30) { self.tests(2, place) } else { Vec::new() };
        let amount = self.amount(place);
        let bound = |author: &mut Self| match author.chance.percent(60) {
            true => author.literal(Type::Money),
            false => author.formula(Type::Money, place),
        };
        let mut at_least = self.chance.percent(30).then(|| bound(self));
        let at_most = self.chance.percent(30).then(|| bound(self));
        if let (Some(Expr::Literal(_, Val::Num(low))), Some(Expr::Literal(_, Val::Num(high)))) = (&at_least, &at_most)
            && high < low
        {
            at_least = None;
        }
        let round = self.chance.percent(60).then(|| {
            let to = self.chance.percent(70).then(|| self.chance.pick(&[1, 5, 10, 50, 100, 1_000]));
            let mode = self.chance.percent(85).then(|| self.chance.pick(&Mode::ALL));
            (to, mode, self.chance.percent(40))
        });
        Step { kind: self.chance.pick(&DEDUCTIONS), whole_order, when, amount, at_least, at_most, round }
    }

    fn codes(&mut self) -> Vec<ReasonCode> {
        let mut codes = self.chance.some(&CODES, 1);
        codes.truncate(2);
        self.chance.shuffle(&mut codes);
        codes
    }

    fn rule(&mut self, policy: &Policy) -> Rule {
        let when = if self.chance.percent(93) { self.tests(3, Place::Fact) } else { Vec::new() };
        let action = match self.chance.below(12) {
            0 => Action::Deny(self.codes()),
            1 => Action::Ask(self.codes()),
            2 => Action::Review(self.codes()),
            3 | 4 => Action::Refund(Vec::new()),
            _ => {
                let whole = self.chance.percent(40);
                Action::Refund((0..=self.chance.below(3)).map(|_| self.step(whole)).collect())
            }
        };
        let mut require = Vec::new();
        if matches!(action, Action::Refund(_) | Action::Review(_)) && self.chance.percent(40) {
            let mut all = vec![Demand::Reason, Demand::ReasonEvidence];
            all.extend((0..policy.proofs.len()).map(Demand::Named));
            require = self.chance.some(&all, 1);
            self.chance.shuffle(&mut require);
        }
        let mut components = Vec::new();
        if matches!(action, Action::Refund(_)) {
            for (name, _) in &policy.components {
                if self.chance.percent(25) {
                    components.push((*name, self.chance.pick(&Back::ALL)));
                }
            }
        }
        Rule { when, action, require, components }
    }

    fn proof(&mut self, depth: usize) -> Proof {
        if depth == 0 || self.chance.percent(30) {
            return Proof::Kind(self.chance.below(KINDS.len()));
        }
        let parts: Vec<Proof> = (0..=self.chance.below(3)).map(|_| self.proof(depth - 1)).collect();
        match self.chance.below(3) {
            0 => Proof::All(parts),
            1 => Proof::Any(parts),
            _ => Proof::AtLeast(1 + self.chance.below(parts.len()), parts),
        }
    }

    fn derive(&mut self, name: &'static str) -> Derived {
        let of =
            self.chance.pick(&[Type::Number, Type::Money, Type::Elapsed, Type::Flag, Type::Moment, Type::Word(LEVELS)]);
        let derived = match of {
            Type::Word(words) => {
                let mut words: Vec<&'static str> = words.to_vec();
                self.chance.shuffle(&mut words);
                let value = |word| Expr::Literal(of, Val::Word(word));
                let rows = words[1..].iter().map(|word| (self.tests(2, Place::Fact), value(*word))).collect();
                Derived::Table(rows, value(words[0]))
            }
            _ if self.chance.percent(25) => {
                let rows = (0..=self.chance.below(2))
                    .map(|_| {
                        (
                            self.tests(2, Place::Fact),
                            match of {
                                Type::Moment => self.formula(of, Place::Fact),
                                _ if self.chance.percent(50) => self.literal(of),
                                _ => self.formula(of, Place::Fact),
                            },
                        )
                    })
                    .collect();
                Derived::Table(rows, self.formula(of, Place::Fact))
            }
            _ => Derived::Formula(self.formula(of, Place::Fact)),
        };
        let mut used = Vec::new();
        let mut largest = NONE;
        let mut look = |expr: &Expr, atoms: &[Atom], is_value: bool| {
            names(expr, &mut used);
            if let (true, Some(Size(n, d))) = (is_value, size(expr, atoms)) {
                largest = Size(largest.0.max(n), largest.1.max(d));
            }
        };
        match &derived {
            Derived::Formula(formula) => look(formula, &self.atoms, true),
            Derived::Table(rows, otherwise) => {
                for (when, value) in rows {
                    when.iter().for_each(|test| look(&test.subject, &self.atoms, false));
                    look(value, &self.atoms, true);
                }
                look(otherwise, &self.atoms, true);
            }
        }
        let of_line = self.atoms.iter().any(|atom| atom.of_line && used.contains(&atom.name));
        self.atoms.push(Atom { name, of, of_line, size: largest });
        derived
    }
}

/// The facts that a formula names.
fn names(expr: &Expr, into: &mut Vec<&'static str>) {
    match expr {
        Expr::Fact(name) => into.push(name),
        Expr::Literal(..) | Expr::Remaining | Expr::Previous => {}
        Expr::Binary(_, a, b) | Expr::IfAbsent(a, b) => {
            names(a, into);
            names(b, into);
        }
        Expr::Least(parts) | Expr::Most(parts) => parts.iter().for_each(|part| names(part, into)),
        Expr::Clamp(parts) => parts.iter().for_each(|part| names(part, into)),
        Expr::Not(a) | Expr::Negate(a) | Expr::Round(a, ..) | Expr::Call(_, a) | Expr::Shift(a, _) => names(a, into),
    }
}

/// The bits that a formula's number may need; `None` where they are too many.
fn size(expr: &Expr, atoms: &[Atom]) -> Option<Size> {
    let sum = |Size(a, b): Size, Size(c, d): Size| Size((a + d).max(c + b) + 1, b + d);
    let bounded = |Size(n, d): Size| (n <= 100 && d <= 60).then_some(Size(n, d));
    let found = match expr {
        Expr::Fact(name) => atoms.iter().find(|atom| atom.name == *name)?.size,
        Expr::Literal(of, _) => match of {
            Type::Number => Size(12, 10),
            Type::Money => MONEY,
            Type::Elapsed => ELAPSED,
            Type::Days => SMALL,
            Type::Moment => MOMENT,
            Type::Flag | Type::Word(_) | Type::Tags => NONE,
        },
        Expr::Remaining | Expr::Previous => MONEY,
        Expr::Binary(operator, a, b) => {
            let (a, b) = (size(a, atoms)?, size(b, atoms)?);
            match operator {
                Binary::Add | Binary::Sub => sum(a, b),
                Binary::Mul => Size(a.0 + b.0, a.1 + b.1),
                Binary::Div => Size(a.0 + b.1, a.1 + b.0),
                Binary::And | Binary::Or => NONE,
                _ => bounded(sum(a, b)).map(|_| NONE)?,
            }
        }
        Expr::Least(parts) | Expr::Most(parts) => several(parts, atoms)?,
        Expr::Clamp(parts) => several(parts.as_slice(), atoms)?,
        Expr::Not(a) => size(a, atoms)?,
        Expr::Negate(a) => size(a, atoms)?,
        Expr::Round(a, of, ..) => {
            let step = if *of == Type::Number { Size(1, 7) } else { Size(50, 0) };
            let steps = bounded(Size(size(a, atoms)?.0 + step.1, size(a, atoms)?.1 + step.0))?;
            Size(steps.0 + step.0 + 1, step.1)
        }
        Expr::Shift(a, _) => size(a, atoms).map(|_| MOMENT)?,
        Expr::IfAbsent(a, b) => {
            let (a, b) = (size(a, atoms)?, size(b, atoms)?);
            Size(a.0.max(b.0), a.1.max(b.1))
        }
        Expr::Call(call, a) => {
            let a = size(a, atoms)?;
            match call {
                Call::Floor | Call::Ceil => Size(a.0 + 1, 0),
                Call::Since | Call::Until => sum(a, MOMENT),
                Call::DaysSince | Call::DaysUntil => SMALL,
                Call::StartOfDay | Call::EndOfDay | Call::NextDay => MOMENT,
                Call::Money => Size(a.0 + 30, a.1),
            }
        }
    };
    bounded(found)
}

fn several(parts: &[Expr], atoms: &[Atom]) -> Option<Size> {
    let mut largest = NONE;
    for part in parts {
        let part = size(part, atoms)?;
        if 120 < part.0 + largest.1 || 120 < largest.0 + part.1 {
            return None;
        }
        largest = Size(largest.0.max(part.0), largest.1.max(part.1));
    }
    Some(largest)
}

/// A random policy.
pub fn policy(chance: &mut Chance) -> Policy {
    let mut author = Author { chance, atoms: built_in(), edges: Edges::default() };
    let times: Vec<&'static str> = author.chance.some(&["event_at", "signed_at"], 0);
    for name in &times {
        author.atoms.push(Atom { name, of: Type::Moment, of_line: false, size: MOMENT });
    }
    let components: Vec<(&'static str, Back)> = author
        .chance
        .some(&["shipping", "tax"], 0)
        .into_iter()
        .map(|name| (name, author.chance.pick(&Back::ALL)))
        .collect();
    for (name, _) in &components {
        author.atoms.push(Atom { name, of: Type::Money, of_line: true, size: MONEY });
    }
    let kinds = [
        ("waived", InputKind::Flag, NONE),
        ("seat", InputKind::Word(SEATS), NONE),
        ("factor", InputKind::Number, NUMBER),
        ("wear", InputKind::Ratio, SHARE),
        ("uses", InputKind::Count, SMALL),
        ("fee", InputKind::Money, MONEY),
        ("playtime", InputKind::Duration, ELAPSED),
        ("begins", InputKind::Timestamp, MOMENT),
    ];
    let mut inputs = Vec::new();
    for (name, kind, size) in author.chance.some(&kinds, 1) {
        let of_line = author.chance.percent(50);
        let default = author.chance.percent(30).then(|| match kind {
            InputKind::Flag => Val::Flag(author.chance.percent(50)),
            InputKind::Word(words) => Val::Word(author.chance.pick(words)),
            InputKind::Ratio => Val::Num(Rat::new(1, author.chance.pick(&[1, 2, 3]))),
            InputKind::Count => Val::Num(Rat::whole(i128::from(author.chance.between(0, 5)))),
            InputKind::Number | InputKind::Money | InputKind::Duration | InputKind::Timestamp => {
                Val::Num(author.quantity(kind.fact_type()))
            }
        });
        author.atoms.push(Atom { name, of: kind.fact_type(), of_line, size });
        inputs.push(Input { name, kind, of_line, default });
    }
    let parties: Vec<LiableParty> = PARTIES.iter().filter_map(|party| LiableParty::from_slug(party)).collect();
    let proofs: Vec<Proof> = (0..=author.chance.below(3)).map(|_| author.proof(2)).collect();
    let reasons = REASONS
        .iter()
        .map(|_| {
            let liable = author.chance.percent(60).then(|| author.chance.pick(&parties));
            (liable, author.chance.percent(60).then(|| author.chance.below(proofs.len())))
        })
        .collect();
    let facts = ["alpha", "beta", "gamma", "delta"];
    let derived = facts[..author.chance.below(5)].iter().map(|name| (*name, author.derive(name))).collect();
    let tender_order = author.chance.pick(&[
        TenderOrder::Proportional,
        TenderOrder::FirstPaidFirst,
        TenderOrder::LastPaidFirst,
        TenderOrder::ByPriority(&["wallet", "card"]),
        TenderOrder::ByPriority(&["card"]),
    ]);
    let not_refundable = if author.chance.percent(50) { vec!["coupon"] } else { Vec::new() };
    let otherwise = match author.chance.below(3) {
        0 => Action::Deny(author.codes()),
        1 => Action::Ask(author.codes()),
        _ => Action::Review(author.codes()),
    };
    let mut policy = Policy {
        zone_hours: author.chance.pick(&[0, 8]),
        times,
        inputs,
        components,
        tender_order,
        not_refundable,
        reasons,
        proofs,
        derived,
        rules: Vec::new(),
        otherwise,
        edges: Edges::default(),
    };
    for _ in 0..=author.chance.below(6) {
        let rule = author.rule(&policy);
        policy.rules.push(rule);
    }
    policy.edges = author.edges;
    policy
}

fn cny(minor: i64) -> Money<'static> {
    Money { currency: "CNY", units: minor / 100, nanos: i32::try_from(minor % 100).unwrap() * 10_000_000 }
}

struct Customer<'c, 'p> {
    chance: &'c mut Chance,
    policy: &'p Policy,
}

impl Customer<'_, '_> {
    /// An amount, often at an edge of the policy or one beside it.
    fn cents(&mut self) -> i64 {
        let edges = &self.policy.edges.money;
        if !edges.is_empty() && self.chance.percent(50) {
            return (self.chance.pick(edges) + self.chance.between(-1, 1)).max(0);
        }
        match self.chance.below(4) {
            0 => self.chance.pick(&[0, 1, 10_000, 100_000]),
            1 => self.chance.between(1, 100),
            _ => self.chance.between(1, 30_000),
        }
    }

    fn length(&mut self) -> i128 {
        let edges = &self.policy.edges.elapsed;
        let days = &self.policy.edges.days;
        let beside = self.chance.pick(&[0, 0, 1, -1, 1_000_000_000, -1_000_000_000]);
        match self.chance.below(5) {
            0 | 1 if !edges.is_empty() => self.chance.pick(edges) + beside,
            2 if !days.is_empty() => i128::from(self.chance.pick(days)) * 24 * HOUR + beside,
            _ => i128::from(self.chance.between(-48, 240)) * (HOUR / 2),
        }
    }

    fn moment(&mut self, now: i128) -> i128 {
        let edges = &self.policy.edges.moments;
        match self.chance.below(4) {
            0 if !edges.is_empty() => self.chance.pick(edges) + self.chance.pick(&[0, 0, 1, -1]),
            // The first moment of a day in the policy's zone.
            1 => {
                let zone = self.policy.zone_hours * HOUR;
                let day = (now + zone).div_euclid(24 * HOUR) - i128::from(self.chance.between(-2, 8));
                day * 24 * HOUR - zone + self.chance.pick(&[0, 0, -1, 1])
            }
            _ if self.chance.percent(70) => now - self.length(),
            _ => now + self.length(),
        }
    }

    fn value(&mut self, kind: InputKind, now: i128) -> InputValue<'static> {
        let numbers = &self.policy.edges.numbers;
        let fraction = |value: Rat| {
            InputValue::Fraction(Fraction {
                numerator: i64::try_from(value.n).unwrap(),
                denominator: i64::try_from(value.d).unwrap(),
            })
        };
        match kind {
            InputKind::Flag => InputValue::Flag(self.chance.percent(50)),
            InputKind::Word(words) => InputValue::Text(self.chance.pick(words)),
            InputKind::Number if !numbers.is_empty() && self.chance.percent(60) => {
                fraction(self.chance.pick(numbers).plus(Rat::new(self.chance.pick(&[0, 0, 1, -1]), 100)))
            }
            InputKind::Number => InputValue::Decimal(self.chance.pick(&["0", "1", "2.5", "-3", "0.01", "12.75", "7"])),
            InputKind::Ratio => {
                let within: Vec<Rat> = numbers.iter().copied().filter(|value| *value <= Rat::ONE).collect();
                if !within.is_empty() && self.chance.percent(60) {
                    return fraction(self.chance.pick(&within));
                }
                InputValue::Decimal(self.chance.pick(&["0", "0.5", "1", "0.33", "0.125"]))
            }
            InputKind::Count => InputValue::Decimal(self.chance.pick(&["0", "1", "2", "3", "5", "8", "12"])),
            InputKind::Money => InputValue::Money(cny(self.cents())),
            InputKind::Duration => InputValue::Duration(self.elapsed()),
            InputKind::Timestamp => InputValue::Timestamp(at(self.moment(now))),
        }
    }

    fn elapsed(&mut self) -> Elapsed {
        let nanos = self.length();
        let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
        Elapsed::from_seconds(i64::try_from(seconds).unwrap(), i32::try_from(rest).unwrap()).unwrap()
    }

    fn inputs(&mut self, of_line: bool, now: i128) -> Vec<(&'static str, InputValue<'static>)> {
        let mut sent = Vec::new();
        for input in self.policy.inputs.iter().filter(|input| input.of_line == of_line) {
            if self.chance.percent(85) {
                sent.push((input.name, self.value(input.kind, now)));
            }
        }
        sent
    }

    fn completed(&mut self) -> Fraction {
        let shares: Vec<Rat> = self.policy.edges.numbers.iter().copied().filter(|value| *value <= Rat::ONE).collect();
        if !shares.is_empty() && self.chance.percent(50) {
            let share = self.chance.pick(&shares);
            let times = self.chance.between(1, 3);
            return Fraction {
                numerator: i64::try_from(share.n).unwrap() * times,
                denominator: i64::try_from(share.d).unwrap() * times,
            };
        }
        let denominator = self.chance.between(1, 12);
        Fraction { numerator: self.chance.between(0, denominator), denominator }
    }

    fn line(&mut self, place: usize, now: i128) -> Line<'static> {
        let stages: Vec<OrderStage> = STAGES.iter().filter_map(|stage| OrderStage::from_slug(stage)).collect();
        let paid = self.cents();
        let refunded = (paid != 0 && self.chance.percent(25)).then(|| self.cents().min(paid));
        Line {
            id: ["l1", "l2", "l3"][place],
            product_type: if self.chance.percent(90) { self.chance.pick(PRODUCTS) } else { "" },
            stage: Some(self.chance.pick(&stages)),
            sub_stage: "",
            paid: Some(cny(paid)),
            list_price: self.chance.percent(80).then(|| cny(paid + self.chance.pick(&[0, 1, 1_000]))),
            refunded: refunded.map(cny),
            completed: self.chance.percent(85).then(|| self.completed()),
            declared_cost: self.chance.percent(80).then(|| cny(self.cents())),
            tags: self.tags(),
            inputs: self.inputs(true, now),
            ..Line::default()
        }
    }

    fn tags(&mut self) -> Vec<&'static str> {
        if self.chance.percent(50) { Vec::new() } else { self.chance.some(TAGS, 0) }
    }

    /// Tenders that paid, and took back, exactly so much; none where one would be enough.
    fn tenders(&mut self, paid: i64, refunded: i64) -> Option<Vec<Tender<'static>>> {
        let count = self.chance.below(4);
        let mut tenders: Vec<Tender<'static>> = Vec::new();
        let (mut paid_left, mut refunded_left) = (paid, refunded);
        for place in 0..count {
            let last = place + 1 == count;
            let own = if last { paid_left } else { self.chance.between(0, paid_left) };
            let method = self.chance.pick(METHODS);
            let dead = self.chance.percent(10);
            let refundability = if dead { Refundability::NotRefundable } else { Refundability::Refundable };
            let takes = !dead && !self.policy.not_refundable.contains(&method);
            let back = if takes { refunded_left.min(own) } else { 0 };
            paid_left -= own;
            refunded_left -= back;
            let (paid, refunded) = (Some(cny(own)), (back != 0).then(|| cny(back)));
            tenders.push(Tender { id: ["t1", "t2", "t3"][place], method, paid, refunded, refundability });
        }
        (count == 0 || refunded_left == 0).then_some(tenders)
    }
}

fn at(nanos: i128) -> Timestamp {
    Timestamp::from_nanos(nanos).unwrap()
}

/// A random request under a policy.
pub fn request(chance: &mut Chance, policy: &Policy) -> Request<'static> {
    let mut customer = Customer { chance, policy };
    let zone = policy.zone_hours * HOUR;
    let now = EPOCH + i128::from(customer.chance.between(0, 480)) * (HOUR / 2);
    let now = if customer.chance.percent(15) { (now + zone) / (24 * HOUR) * (24 * HOUR) - zone } else { now };
    let now = now + customer.chance.pick(&[0, 0, 0, 1, -1, 1_234_567_890]);
    let mut times = Vec::new();
    for name in ["promised_at", "delivered_at"].iter().chain(&policy.times) {
        if customer.chance.percent(80) {
            times.push((*name, at(customer.moment(now))));
        }
    }
    let count = customer.chance.pick(&[1, 1, 2, 3]);
    let mut lines: Vec<Line<'static>> = (0..count).map(|place| customer.line(place, now)).collect();
    let mut components = Vec::new();
    for (name, _) in &policy.components {
        for _ in 0..customer.chance.pick(&[0, 1, 1, 2]) {
            let paid = customer.cents();
            let refunded = customer.chance.percent(20).then(|| cny(customer.cents().min(paid)));
            let line_id = if customer.chance.percent(40) { lines[customer.chance.below(count)].id } else { "" };
            components.push(Component { name, paid: Some(cny(paid)), refunded, line_id });
        }
    }
    let minor = |money: Option<Money<'static>>| {
        money.map_or(0, |money| money.units * 100 + i64::from(money.nanos) / 10_000_000)
    };
    let paid = lines.iter().map(|line| minor(line.paid)).chain(components.iter().map(|own| minor(own.paid))).sum();
    let refunded =
        lines.iter().map(|line| minor(line.refunded)).chain(components.iter().map(|own| minor(own.refunded))).sum();
    let tenders = match customer.tenders(paid, refunded) {
        Some(tenders) => tenders,
        None => {
            lines.iter_mut().for_each(|line| line.refunded = None);
            components.iter_mut().for_each(|component| component.refunded = None);
            customer.tenders(paid, 0).unwrap()
        }
    };
    let mut evidence = Vec::new();
    for (place, kind) in KINDS.iter().enumerate() {
        if customer.chance.percent(40) {
            evidence.push(Evidence {
                id: ["e1", "e2", "e3", "e4", "e5"][place],
                kind,
                media_type: customer.chance.pick(&["", "image/png", "video/mp4"]),
                order_id: customer.chance.pick(&["", "o1", "o1", "o2"]),
                ..Evidence::default()
            });
        }
    }
    let parties: Vec<LiableParty> = PARTIES.iter().filter_map(|party| LiableParty::from_slug(party)).collect();
    let types: Vec<RequestType> = TYPES.iter().filter_map(|word| RequestType::from_slug(word)).collect();
    let line_ids: Vec<&'static str> = if customer.chance.percent(30) {
        let ids: Vec<&'static str> = lines.iter().map(|line| line.id).collect();
        customer.chance.some(&ids, 1)
    } else {
        Vec::new()
    };
    let delay = customer.chance.percent(30).then(|| customer.elapsed()).filter(|delay| 0 <= delay.nanos());
    Request {
        order: Order {
            id: "o1",
            placed_at: customer.chance.percent(92).then(|| at(now - customer.length())),
            paid_at: customer.chance.percent(85).then(|| at(customer.moment(now))),
            times,
            customer_caused_delay: delay,
            lines,
            tenders,
            components,
            tags: customer.tags(),
            inputs: customer.inputs(false, now),
            earlier: Vec::new(),
        },
        claim: Claim {
            request_type: customer.chance.percent(95).then(|| customer.chance.pick(&types)),
            reason: if customer.chance.percent(80) { customer.chance.pick(REASONS) } else { "" },
            liable_party: customer.chance.percent(50).then(|| customer.chance.pick(&parties)),
            text: "",
            promised_actual: Vec::new(),
            evidence,
            channel: if customer.chance.percent(90) { customer.chance.pick(CHANNELS) } else { "" },
            requested_at: Some(at(now)),
            requested_amount: customer.chance.percent(30).then(|| cny(customer.cents().max(1))),
            line_ids,
            components: Vec::new(),
        },
    }
}
