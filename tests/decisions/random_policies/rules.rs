//! Random policies: tests, deductions, rules, requirements and derived facts.

use requite::domain::words::{DeductionKind, LiableParty, ReasonCode, RefundMethod};

use super::ast::{
    Accept, Action, Amount, Back, Carried, Demand, Derived, EXTRAS, Edges, Effective, Expr, Extra, Input, InputKind,
    Item, KINDS, Kind, Layer, METHODS, ORDER_AMOUNTS, Payout, Policy, Proof, REASONS, Range, Routes, Rule, STEPS, Step,
    TAGS, TenderOrder, Test, Type, Val, Window, Words,
};
use super::formulas::{
    Atom, Author, ELAPSED, EPOCH, HOUR, MOMENT, MONEY, NONE, NUMBER, PARTIES, Place, SHARE, SMALL, Size, built_in,
    names, size,
};
use super::number::{Chance, Mode, Rat};

pub const LEVELS: Words = &["low", "mid", "high"];
pub const SEATS: Words = &["first", "second", "third"];
pub const CODES: [ReasonCode; 6] = [
    ReasonCode::OrderCompleted,
    ReasonCode::WindowExpired,
    ReasonCode::UsageExceeded,
    ReasonCode::NonRefundableItem,
    ReasonCode::ReviewRequired,
    ReasonCode::NoMatchingRule,
];
pub const DEDUCTIONS: [DeductionKind; 6] = [
    DeductionKind::ConsumedValue,
    DeductionKind::CostRecovery,
    DeductionKind::CancellationFee,
    DeductionKind::ProcessingFee,
    DeductionKind::DiminishedValue,
    DeductionKind::ReturnShipping,
];

impl Author<'_> {
    pub fn range(&mut self, of: Type) -> Range {
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

    pub fn accept(&mut self, of: Type) -> Accept {
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
            Type::Number | Type::Money | Type::Elapsed | Type::Days | Type::BusinessDays | Type::Moment => {
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
    pub fn tests(&mut self, most: usize, place: Place) -> Vec<Test> {
        let mut tests: Vec<Test> = Vec::new();
        for _ in 0..=self.chance.below(most) {
            let usable: Vec<Atom> =
                self.atoms.iter().copied().filter(|atom| place != Place::Order || !atom.of_line).collect();
            let of = self.chance.pick(&usable).of;
            let of = if self.chance.percent(12) { self.chance.pick(&[Type::Days, Type::BusinessDays]) } else { of };
            // What earlier deductions left means nothing in a test.
            let subject = if self.chance.percent(70) && !matches!(of, Type::Days | Type::BusinessDays) {
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
    pub fn subject(&mut self, of: Type, place: Place) -> Expr {
        if place != Place::Order {
            return self.formula(of, Place::Fact);
        }
        let all = self.atoms.clone();
        self.atoms.retain(|atom| !atom.of_line);
        let expr = self.formula(of, Place::Fact);
        self.atoms = all;
        expr
    }

    pub fn amount(&mut self, place: Place) -> Amount {
        if self.chance.percent(60) {
            return Amount::Formula(self.formula(Type::Money, place));
        }
        let on_type = self.chance.pick(&[Type::Number, Type::Money, Type::Elapsed, Type::Days, Type::BusinessDays]);
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
    pub fn small(&mut self, of: Type, place: Place, above: u32, below: u32) -> Expr {
        loop {
            let expr = self.formula(of, place);
            if size(&expr, &self.atoms).is_some_and(|Size(n, d)| n <= above && d <= below) {
                return expr;
            }
        }
    }

    pub fn step(&mut self, may_be_whole: bool) -> Step {
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

    pub fn codes(&mut self) -> Vec<ReasonCode> {
        let mut codes = self.chance.some(&CODES, 1);
        codes.truncate(2);
        self.chance.shuffle(&mut codes);
        codes
    }

    pub fn rule(&mut self, policy: &Policy) -> Rule {
        let when = if self.chance.percent(93) { self.tests(3, Place::Fact) } else { Vec::new() };
        let action = match self.chance.below(12) {
            0 => Action::Deny(self.codes()),
            1 => Action::Ask(self.codes()),
            2 => Action::Review(self.codes()),
            3 | 4 => Action::Refund(Vec::new()),
            _ => {
                // Nothing of the whole order stands beside a layer that improves.
                let whole = !policy.layers.iter().any(|layer| layer.improve) && self.chance.percent(40);
                Action::Refund((0..=self.chance.below(3)).map(|_| self.step(whole)).collect())
            }
        };
        let refunds = matches!(action, Action::Refund(_));
        let mut rule = Rule { when, ..self.verdict(action) };
        if (refunds || matches!(rule.action, Action::Review(_))) && self.chance.percent(40) {
            let mut all = vec![Demand::Reason, Demand::ReasonEvidence];
            all.extend(policy.text.map(|_| Demand::ClearText));
            all.extend((0..policy.proofs.len()).map(Demand::Named));
            rule.require = self.chance.some(&all, 1);
            self.chance.shuffle(&mut rule.require);
        }
        if refunds {
            for (name, _) in &policy.components {
                if self.chance.percent(25) {
                    rule.components.push((*name, self.chance.pick(&Back::ALL)));
                }
            }
            rule.payout = self.chance.percent(35).then(|| Payout {
                window: self.window(),
                by_method: self.chance.some(METHODS, 0).into_iter().map(|method| (method, self.window())).collect(),
            });
            rule.method = self.chance.percent(35).then(|| self.chance.pick(RefundMethod::ALL));
            if self.chance.percent(25) {
                rule.compensate = self.extras();
            }
            if self.chance.percent(20) {
                rule.amount_due = self.extras();
            }
            self.carry(policy, &mut rule);
        }
        rule
    }

    /// A rule of this answer without more.
    pub fn verdict(&mut self, action: Action) -> Rule {
        Rule {
            when: Vec::new(),
            action,
            require: Vec::new(),
            next: if self.chance.percent(30) { self.chance.some(STEPS, 0) } else { Vec::new() },
            review: self.chance.percent(30).then(|| self.window()),
            payout: None,
            method: None,
            components: Vec::new(),
            compensate: Vec::new(),
            amount_due: Vec::new(),
            carries: Vec::new(),
            compensate_order: Vec::new(),
            order_due: Vec::new(),
        }
    }

    /// Lets a rule carry some amounts of the order: none where a layer improves.
    pub fn carry(&mut self, policy: &Policy, rule: &mut Rule) {
        if policy.layers.iter().any(|layer| layer.improve) {
            return;
        }
        for amount in &policy.order_amounts {
            let name = amount.name;
            if self.chance.percent(50) {
                let when = if self.chance.percent(25) { self.tests(2, Place::Fact) } else { Vec::new() };
                rule.carries.push(Carried { kind: self.chance.pick(&DEDUCTIONS), name, when });
            }
            if self.chance.percent(15) {
                rule.compensate_order.push(name);
            }
            if self.chance.percent(15) {
                rule.order_due.push(name);
            }
        }
        self.chance.shuffle(&mut rule.carries);
    }

    /// An amount of the order.
    pub fn order_amount(&mut self, name: &'static str) -> Extra {
        let amount = match self.chance.percent(50) {
            true => self.literal(Type::Money),
            false => self.subject(Type::Money, Place::Order),
        };
        let bound = |author: &mut Self| match author.chance.percent(60) {
            true => author.literal(Type::Money),
            false => author.subject(Type::Money, Place::Order),
        };
        let mut at_least = self.chance.percent(20).then(|| bound(self));
        let at_most = self.chance.percent(30).then(|| bound(self));
        if let (Some(Expr::Literal(..)), Some(Expr::Literal(..))) = (&at_least, &at_most) {
            at_least = None;
        }
        Extra {
            name,
            when: Vec::new(),
            amount,
            at_least,
            at_most,
            round: self.chance.percent(40).then(|| {
                let to = self.chance.percent(70).then(|| self.chance.pick(&[1, 5, 10, 50, 100, 1_000]));
                (to, self.chance.percent(85).then(|| self.chance.pick(&Mode::ALL)))
            }),
        }
    }

    pub fn window(&mut self) -> Window {
        let least = self.chance.between(0, 3);
        Window {
            business: self.chance.percent(60),
            least,
            most: least + self.chance.between(0, 7),
            weekday: self.chance.percent(25).then(|| self.chance.between(0, 6)),
        }
    }

    pub fn extras(&mut self) -> Vec<Extra> {
        let names = self.chance.some(EXTRAS, 1);
        names
            .into_iter()
            .map(|name| Extra {
                name,
                when: if self.chance.percent(30) { self.tests(2, Place::Line) } else { Vec::new() },
                amount: match self.chance.percent(25) {
                    true => self.literal(Type::Money),
                    false => self.extra_formula(),
                },
                at_least: self.chance.percent(20).then(|| self.literal(Type::Money)),
                at_most: self.chance.percent(20).then(|| self.extra_formula()),
                round: self.chance.percent(40).then(|| {
                    let to = self.chance.percent(70).then(|| self.chance.pick(&[1, 5, 10, 50, 100, 1_000]));
                    (to, self.chance.percent(85).then(|| self.chance.pick(&Mode::ALL)))
                }),
            })
            .collect()
    }

    /// A formula without `previous`: no amount beside the refund comes after another.
    pub fn extra_formula(&mut self) -> Expr {
        loop {
            let formula = self.formula(Type::Money, Place::Line);
            if !formula.text().contains("previous") {
                return formula;
            }
        }
    }

    pub fn kind(&mut self) -> Kind {
        if self.chance.percent(40) {
            return Kind::default();
        }
        Kind {
            media: self.chance.percent(40),
            max_bytes: self.chance.percent(25).then(|| self.chance.pick(&[1_000, 5_000])),
            after: self.chance.percent(30),
            before: self.chance.percent(15),
            within: self.chance.percent(25).then(|| self.chance.pick(&[24, 72])),
            field: self.chance.percent(25),
            strict: self.chance.percent(40),
        }
    }

    pub fn routes(&mut self) -> Routes {
        Routes {
            denied: self.chance.some(STEPS, 0),
            supplement: self.chance.percent(50).then(|| self.chance.pick(STEPS)),
            restate: self.chance.percent(50).then(|| self.chance.pick(STEPS)),
            more_info: self.chance.some(STEPS, 0),
            review: self.chance.some(STEPS, 0),
        }
    }

    pub fn otherwise(&mut self) -> Rule {
        let action = match self.chance.below(3) {
            0 => Action::Deny(self.codes()),
            1 => Action::Ask(self.codes()),
            _ => Action::Review(self.codes()),
        };
        self.verdict(action)
    }

    /// A requirement of some of these kinds. Where several parts of a list are needed, each has kinds of its own.
    pub fn proof(&mut self, depth: usize, kinds: &[usize]) -> Proof {
        if depth == 0 || kinds.len() < 2 || self.chance.percent(30) {
            return Proof::Kind(self.chance.pick(kinds));
        }
        if self.chance.percent(30) {
            let mut parts: Vec<Proof> = Vec::new();
            for _ in 0..=self.chance.below(3) {
                let part = self.proof(depth - 1, kinds);
                let is_new = |known: &Proof| !matches!((known, &part), (Proof::Kind(a), Proof::Kind(b)) if a == b);
                if parts.iter().all(is_new) {
                    parts.push(part);
                }
            }
            return Proof::Any(parts);
        }
        let mut kinds = kinds.to_vec();
        self.chance.shuffle(&mut kinds);
        kinds.truncate(1 + self.chance.below(kinds.len()));
        let count = (1 + self.chance.below(3)).min(kinds.len());
        let parts: Vec<Proof> = (0..count)
            .map(|part| {
                let own: Vec<usize> = kinds.iter().copied().skip(part).step_by(count).collect();
                self.proof(depth - 1, &own)
            })
            .collect();
        if self.chance.percent(50) { Proof::All(parts) } else { Proof::AtLeast(1 + self.chance.below(count), parts) }
    }

    pub fn derive(&mut self, name: &'static str) -> Derived {
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

/// A random policy without layers and in one version.
pub fn policy(chance: &mut Chance) -> Policy {
    let mut author = Author { chance, atoms: built_in(), edges: Edges::default() };
    let mut policy = author.vocabulary();
    author.fill(&mut policy);
    policy.edges = author.edges;
    policy
}

/// All versions of a random policy, with the layers above them.
pub fn versions(chance: &mut Chance) -> Vec<Policy> {
    let mut author = Author { chance, atoms: built_in(), edges: Edges::default() };
    let mut first = author.vocabulary();
    for _ in 0..author.chance.pick(&[0, 0, 0, 1, 1, 2]) {
        first.layers.push(Layer { improve: author.chance.percent(60), rules: Vec::new() });
    }
    for place in 0..first.layers.len() {
        let rules = (0..=author.chance.below(2)).map(|_| author.rule(&first)).collect();
        first.layers[place].rules = rules;
    }
    author.fill(&mut first);
    let mut versions = vec![first];
    if author.chance.percent(25) {
        let by = author.chance.pick(&["placed_at", "paid_at"]);
        let begins = |author: &mut Author<'_>| EPOCH + i128::from(author.chance.between(-96, 96)) * HOUR;
        let (from, next) = (begins(&mut author), begins(&mut author));
        versions[0].effective = Some(Effective { from, until: author.chance.percent(30).then_some(next), by });
        if from < next && author.chance.percent(60) {
            let mut second = versions[0].clone();
            second.effective = Some(Effective { from: next, until: None, by });
            author.fill(&mut second);
            versions.push(second);
        } else if next <= from {
            versions[0].effective = Some(Effective { from, until: None, by });
        }
        author.edges.moments.extend([from, next]);
    }
    for version in &mut versions {
        version.edges = author.edges.clone();
    }
    versions
}

impl Author<'_> {
    /// The rules of a policy.
    pub fn fill(&mut self, policy: &mut Policy) {
        policy.rules = (0..=self.chance.below(6)).map(|_| self.rule(policy)).collect();
        policy.otherwise = self.otherwise();
    }

    /// A policy without rules.
    pub fn vocabulary(&mut self) -> Policy {
        let author = self;
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
        let parties: Vec<LiableParty> = PARTIES.iter().filter_map(|party| party.parse::<LiableParty>().ok()).collect();
        let proofs: Vec<Proof> = (0..=author.chance.below(3)).map(|_| author.proof(2, &[0, 1, 2, 3, 4])).collect();
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
        let otherwise = author.otherwise();
        Policy {
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
            effective: None,
            kinds: KINDS.iter().map(|_| author.kind()).collect(),
            text: author.chance.percent(60).then(|| author.chance.percent(50)),
            routes: author.routes(),
            order_amounts: if author.chance.percent(50) {
                let names = author.chance.some(ORDER_AMOUNTS, 1);
                names.into_iter().map(|name| author.order_amount(name)).collect()
            } else {
                Vec::new()
            },
            layers: Vec::new(),
        }
    }
}
