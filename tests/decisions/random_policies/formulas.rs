//! Random formulas whose numbers stay small.

use super::ast::{Binary, CHANNELS, Call, Edges, Expr, PRODUCTS, REASONS, Type, Val, Words};
use super::number::{Chance, Mode, Rat};

pub const HOUR: i128 = 3_600_000_000_000;
/// 2026-03-01T00:00:00Z.
pub const EPOCH: i128 = 1_772_323_200_000_000_000;
pub const STAGES: Words = &["unpaid", "not_started", "in_progress", "delivered", "completed", "redeemed"];
pub const TYPES: Words = &["refund", "after_sales_appeal", "dispute"];
pub const PARTIES: Words = &["customer", "merchant", "platform", "third_party", "shared"];

/// A fact that formulas may use.
#[derive(Clone, Copy, Debug)]
pub struct Atom {
    pub name: &'static str,
    pub of: Type,
    pub of_line: bool,
    pub size: Size,
}

/// How many bits the parts of a number may have, so that neither side's arithmetic overflows.
#[derive(Clone, Copy, Debug)]
pub struct Size(pub u32, pub u32);

/// Where a formula stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    Fact,
    Line,
    Order,
}

pub struct Author<'c> {
    pub chance: &'c mut Chance,
    pub atoms: Vec<Atom>,
    pub edges: Edges,
}

pub const MONEY: Size = Size(46, 0);
pub const ELAPSED: Size = Size(56, 0);
pub const MOMENT: Size = Size(62, 0);
pub const NUMBER: Size = Size(16, 14);
pub const SHARE: Size = Size(12, 10);
pub const SMALL: Size = Size(12, 0);
pub const NONE: Size = Size(1, 0);

pub fn built_in() -> Vec<Atom> {
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

pub fn boxed(expr: Expr) -> Box<Expr> {
    Box::new(expr)
}

impl Author<'_> {
    pub fn rat(&mut self) -> Rat {
        let value = match self.chance.below(4) {
            0 => Rat::new(i128::from(self.chance.between(1, 7)), self.chance.pick(&[2, 3, 4, 5, 6, 7])),
            1 => Rat::new(i128::from(self.chance.between(0, 20)), 20),
            2 => Rat::whole(i128::from(self.chance.between(0, 12))),
            _ => Rat::new(i128::from(self.chance.between(1, 999)), 100),
        };
        self.edges.numbers.push(value);
        value
    }

    pub fn cents(&mut self) -> i64 {
        let cents = match self.chance.below(3) {
            0 => self.chance.pick(&[50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000]),
            1 => self.chance.between(0, 300),
            _ => self.chance.between(0, 20_000),
        };
        self.edges.money.push(cents);
        cents
    }

    pub fn length(&mut self) -> i128 {
        let hours = i128::from(self.chance.pick(&[0, 1, 2, 12, 24, 36, 48, 72, 168]));
        let length = hours * HOUR + self.chance.pick(&[0, 0, 0, HOUR / 2, 1_000_000_000, 250_000_000]);
        self.edges.elapsed.push(length);
        length
    }

    pub fn quantity(&mut self, of: Type) -> Rat {
        match of {
            Type::Number => self.rat(),
            Type::Money => Rat::whole(i128::from(self.cents())),
            Type::Elapsed => Rat::whole(self.length()),
            Type::Days | Type::BusinessDays => {
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

    pub fn literal(&mut self, of: Type) -> Expr {
        let value = match of {
            Type::Flag => Val::Flag(self.chance.percent(50)),
            Type::Word(words) => Val::Word(self.chance.pick(words)),
            _ => Val::Num(self.quantity(of)),
        };
        Expr::Literal(of, value)
    }

    pub fn atom(&mut self, of: Type, place: Place) -> Option<Expr> {
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
    pub fn formula(&mut self, of: Type, place: Place) -> Expr {
        loop {
            let depth = self.chance.below(4);
            let expr = self.open(of, depth, place);
            if size(&expr, &self.atoms).is_some() && expr.text().len() < 600 {
                return expr;
            }
        }
    }

    pub fn operand(&mut self, of: Type, depth: usize, place: Place) -> Expr {
        if of != Type::Moment && self.chance.percent(40) { self.literal(of) } else { self.open(of, depth, place) }
    }

    pub fn open(&mut self, of: Type, depth: usize, place: Place) -> Expr {
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
                Type::BusinessDays => return Expr::Call(Call::BusinessDaysSince, atom(self, Type::Moment)),
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
                    self.chance.pick(&[Call::StartOfDay, Call::EndOfDay, Call::NextDay, Call::NextWorkedDay]),
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
            Type::BusinessDays => match self.chance.below(4) {
                0 if 0 < depth => self.several(of, less, place),
                _ => Expr::Call(
                    self.chance.pick(&[Call::BusinessDaysSince, Call::BusinessDaysUntil]),
                    boxed(self.open(Type::Moment, less, place)),
                ),
            },
            Type::Number | Type::Money | Type::Elapsed => self.calculation(of, less, place),
        }
    }

    pub fn several(&mut self, of: Type, depth: usize, place: Place) -> Expr {
        let mut parts = vec![self.open(of, depth, place)];
        for _ in 0..=self.chance.below(2) {
            parts.push(self.operand(of, depth, place));
        }
        if self.chance.percent(50) { Expr::Least(parts) } else { Expr::Most(parts) }
    }

    pub fn calculation(&mut self, of: Type, less: usize, place: Place) -> Expr {
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

    pub fn flag(&mut self, less: usize, place: Place) -> Expr {
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
                let of = self.chance.pick(&[
                    Type::Number,
                    Type::Money,
                    Type::Elapsed,
                    Type::Days,
                    Type::BusinessDays,
                    Type::Moment,
                ]);
                let operator =
                    self.chance.pick(&[Binary::Lt, Binary::Le, Binary::Gt, Binary::Ge, Binary::Eq, Binary::Ne]);
                let (a, b) = (self.open(of, less, place), self.operand(of, less, place));
                let (a, b) = if self.chance.percent(80) { (a, b) } else { (b, a) };
                Expr::Binary(operator, boxed(a), boxed(b))
            }
        }
    }
}

pub fn names(expr: &Expr, into: &mut Vec<&'static str>) {
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
pub fn size(expr: &Expr, atoms: &[Atom]) -> Option<Size> {
    let sum = |Size(a, b): Size, Size(c, d): Size| Size((a + d).max(c + b) + 1, b + d);
    let bounded = |Size(n, d): Size| (n <= 100 && d <= 60).then_some(Size(n, d));
    let found = match expr {
        Expr::Fact(name) => atoms.iter().find(|atom| atom.name == *name)?.size,
        Expr::Literal(of, _) => match of {
            Type::Number => Size(12, 10),
            Type::Money => MONEY,
            Type::Elapsed => ELAPSED,
            Type::Days | Type::BusinessDays => SMALL,
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
                Call::DaysSince | Call::DaysUntil | Call::BusinessDaysSince | Call::BusinessDaysUntil => SMALL,
                Call::StartOfDay | Call::EndOfDay | Call::NextDay | Call::NextWorkedDay => MOMENT,
                Call::Money => Size(a.0 + 30, a.1),
            }
        }
    };
    bounded(found)
}

pub fn several(parts: &[Expr], atoms: &[Atom]) -> Option<Size> {
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
