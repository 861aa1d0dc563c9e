//! Random requests, aimed at the edges of a policy.

use requite::domain::request::{
    Claim, Component, EarlierAmount, Evidence, Fraction, InputValue, Line, Money, Order, PromisedActual, Refundability,
    Request, Tender,
};
use requite::domain::time::{Elapsed, Timestamp};
use requite::domain::words::{AmountKind, LiableParty, OrderStage, RequestType};

use super::ast::{CHANNELS, InputKind, KINDS, METHODS, PRODUCTS, Policy, REASONS, TAGS};
use super::formulas::{EPOCH, HOUR, PARTIES, STAGES, TYPES};
use super::number::{Chance, Rat};

pub fn cny(minor: i64) -> Money<'static> {
    Money { currency: "CNY", units: minor / 100, nanos: i32::try_from(minor % 100).unwrap() * 10_000_000 }
}

/// So many hundredths of a CNY, read back.
pub fn hundredths(money: Option<Money<'_>>) -> Option<i64> {
    money.map(|money| money.units * 100 + i64::from(money.nanos) / 10_000_000)
}

pub struct Customer<'c, 'p> {
    pub chance: &'c mut Chance,
    pub policy: &'p Policy,
}

impl Customer<'_, '_> {
    /// An amount, often at an edge of the policy or one beside it.
    pub fn cents(&mut self) -> i64 {
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

    pub fn length(&mut self) -> i128 {
        let edges = &self.policy.edges.elapsed;
        let days = &self.policy.edges.days;
        let beside = self.chance.pick(&[0, 0, 1, -1, 1_000_000_000, -1_000_000_000]);
        match self.chance.below(5) {
            0 | 1 if !edges.is_empty() => self.chance.pick(edges) + beside,
            2 if !days.is_empty() => i128::from(self.chance.pick(days)) * 24 * HOUR + beside,
            _ => i128::from(self.chance.between(-48, 240)) * (HOUR / 2),
        }
    }

    pub fn moment(&mut self, now: i128) -> i128 {
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

    pub fn value(&mut self, kind: InputKind, now: i128) -> InputValue<'static> {
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

    pub fn elapsed(&mut self) -> Elapsed {
        let nanos = self.length();
        let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
        Elapsed::from_seconds(i64::try_from(seconds).unwrap(), i32::try_from(rest).unwrap()).unwrap()
    }

    pub fn inputs(&mut self, of_line: bool, now: i128) -> Vec<(&'static str, InputValue<'static>)> {
        let mut sent = Vec::new();
        for input in self.policy.inputs.iter().filter(|input| input.of_line == of_line) {
            if self.chance.percent(85) {
                sent.push((input.name, self.value(input.kind, now)));
            }
        }
        sent
    }

    pub fn completed(&mut self) -> Fraction {
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

    pub fn line(&mut self, place: usize, now: i128) -> Line<'static> {
        let stages: Vec<OrderStage> = STAGES.iter().filter_map(|stage| stage.parse::<OrderStage>().ok()).collect();
        let paid = if self.chance.percent(12) { 0 } else { self.cents() };
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

    pub fn tags(&mut self) -> Vec<&'static str> {
        if self.chance.percent(50) { Vec::new() } else { self.chance.some(TAGS, 0) }
    }

    pub fn evidence(&mut self, now: i128) -> Vec<Evidence<'static>> {
        let mut evidence = Vec::new();
        for (place, kind) in KINDS.iter().enumerate() {
            for again in 0..self.chance.pick(&[0, 0, 0, 1, 1, 2]) {
                let captured_at = self.chance.percent(60).then(|| at(self.captured(now)));
                evidence.push(Evidence {
                    id: [["e1", "e2", "e3", "e4", "e5"], ["f1", "f2", "f3", "f4", "f5"]][again][place],
                    kind,
                    media_type: self.chance.pick(&["", "image/png", "image/png", "video/mp4"]),
                    size_bytes: self.chance.pick(&[0, 1, 1_000, 1_001, 5_000, 5_001]),
                    captured_at,
                    order_id: self.chance.pick(&["", "o1", "o1", "o2"]),
                    fields: self
                        .chance
                        .pick(&[None, Some(("subject", "lid")), Some(("subject", " ")), Some(("other", "x"))])
                        .into_iter()
                        .collect(),
                    ..Evidence::default()
                });
            }
        }
        self.chance.shuffle(&mut evidence);
        evidence
    }

    /// A moment at or beside the bounds of kinds of evidence.
    pub fn captured(&mut self, now: i128) -> i128 {
        let hours = i128::from(self.chance.pick(&[0, 1, 24, 72, 200]));
        now - hours * HOUR + self.chance.pick(&[0, 0, 1, -1, HOUR])
    }

    pub fn words(&mut self) -> (&'static str, Vec<PromisedActual<'static>>) {
        let text = self.chance.pick(&[
            "",
            "",
            "the lid is torn",
            "bad",
            "B A D !",
            "ｂａｄ",
            "so bad, really",
            "bad 3 times",
            "bad, not as Promised",
            "I don't like it",
            "ba",
            "i DON'T... like it, promised",
        ]);
        let pair = |promised, actual| PromisedActual { subject: "", promised, actual };
        let pairs = self.chance.pick(&[
            None,
            None,
            None,
            Some(pair("red", "blue")),
            Some(pair("red", "")),
            Some(pair(" ", "blue")),
        ]);
        (text, pairs.into_iter().collect())
    }

    /// Some of the lines; none: all of them.
    pub fn line_ids(&mut self, lines: &[Line<'static>]) -> Vec<&'static str> {
        let ids: Vec<&'static str> = lines.iter().map(|line| line.id).collect();
        if self.chance.percent(40) { self.chance.some(&ids, 1) } else { Vec::new() }
    }

    /// Some of the components by name; none: all of them.
    pub fn claimed_components(&mut self, components: &[Component<'static>]) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = components.iter().map(|component| component.name).collect();
        names.dedup();
        if self.chance.percent(15) { self.chance.some(&names, 0) } else { Vec::new() }
    }

    /// What earlier answers are said to have been, whether or not there were such answers.
    pub fn earlier(&mut self, lines: &[Line<'static>]) -> Vec<EarlierAmount<'static>> {
        let of_order = self.policy.order_amounts.iter().map(|amount| amount.name);
        let mut earlier = Vec::new();
        for name in of_order {
            for line in lines {
                if self.chance.percent(8) {
                    let what = self.chance.pick(AmountKind::ALL);
                    let most = if what == AmountKind::Deduction { hundredths(line.paid).unwrap() } else { i64::MAX };
                    let amount = Some(cny(self.cents().min(most)));
                    earlier.push(EarlierAmount { name, line_id: line.id, amount, what: Some(what) });
                }
            }
        }
        earlier
    }

    /// Tenders that paid, and took back, exactly so much; none where one would be enough.
    pub fn tenders(&mut self, paid: i64, refunded: i64) -> Option<Vec<Tender<'static>>> {
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

pub fn at(nanos: i128) -> Timestamp {
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
            let paid = if customer.chance.percent(8) { 0 } else { customer.cents() };
            let refunded = customer.chance.percent(20).then(|| cny(customer.cents().min(paid)));
            let line_id = if customer.chance.percent(40) { lines[customer.chance.below(count)].id } else { "" };
            components.push(Component { name, paid: Some(cny(paid)), refunded, line_id });
        }
    }
    let minor = |money: Option<Money<'static>>| hundredths(money).unwrap_or(0);
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
    let evidence = customer.evidence(now);
    let (text, promised_actual) = customer.words();
    let parties: Vec<LiableParty> = PARTIES.iter().filter_map(|party| party.parse::<LiableParty>().ok()).collect();
    let types: Vec<RequestType> = TYPES.iter().filter_map(|word| word.parse::<RequestType>().ok()).collect();
    let line_ids = customer.line_ids(&lines);
    let named = customer.claimed_components(&components);
    let earlier = customer.earlier(&lines);
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
            earlier,
        },
        claim: Claim {
            request_type: customer.chance.percent(95).then(|| customer.chance.pick(&types)),
            reason: if customer.chance.percent(80) { customer.chance.pick(REASONS) } else { "" },
            liable_party: customer.chance.percent(50).then(|| customer.chance.pick(&parties)),
            text,
            promised_actual,
            evidence,
            channel: if customer.chance.percent(90) { customer.chance.pick(CHANNELS) } else { "" },
            requested_at: Some(at(now)),
            requested_amount: customer.chance.percent(30).then(|| cny(customer.cents().max(1))),
            line_ids,
            components: named,
        },
    }
}
