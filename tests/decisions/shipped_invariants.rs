//! What always holds of an answer, for the standard policy and every example, on random orders made of their own words:
//! no part gets more than was paid for it, everything adds up, asking again brings nothing, and the order in which
//! lines, tenders and pieces of evidence are written changes nothing.
//!
//! `REQUITE_SHIPPED_ORDERS` is the number of orders under each policy.

use std::path::{Path, PathBuf};

use requite::decision::explain::Silent;
use requite::decision::version::{begins, governing};
use requite::decision::{Purpose, decide, intake};
use requite::domain::decision::{Decision, DeductionSource, LineDecision, RuleRef};
use requite::domain::request::{
    Claim, Component, EarlierAmount, Evidence, Fraction, InputValue, Line, Money, Order, PromisedActual, Refundability,
    Request, Tender,
};
use requite::domain::time::{Elapsed, Timestamp};
use requite::domain::words::{AmountKind, LiableParty, OrderStage, Outcome, RequestType};
use requite::engine::admit::admit;
use requite::plan::fact::{Dimension, FactType, InputRange, InputScope, Origin};
use requite::plan::rule::{Action, RuleEffect};
use requite::plan::vocabulary::VocabularyId;
use requite::plan::{Plan, TenderOrder};
use requite::policy::bundle::{Bundle, BundleFile};

use super::random_policies::number::Chance;

const ORDERS: u64 = 200;
const CLAIMS: usize = 5;
const HOUR: i128 = 3_600_000_000_000;

/// The folders of the standard policy and of the examples.
fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(root.join("examples")).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.push(root.join("standard"));
    folders.retain(|folder| folder.is_dir());
    folders.sort();
    folders
}

/// The policies of a folder, each with its versions by when they begin.
fn policies(folder: &Path) -> Vec<Vec<Plan>> {
    let mut files = Vec::new();
    for folder in [folder.to_owned(), folder.join("calendars")] {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "yaml") {
                let name = path.strip_prefix(folder.parent().unwrap()).unwrap().to_str().unwrap();
                let within = if folder.ends_with("calendars") { name } else { name.split_once('/').unwrap().1 };
                files.push(BundleFile { path: within.to_owned(), bytes: std::fs::read(&path).unwrap() });
            }
        }
    }
    let admission = admit(&Bundle::new(files).unwrap()).unwrap_or_else(|_| panic!("{} is admitted", folder.display()));
    let mut policies: Vec<Vec<Plan>> = Vec::new();
    for plan in admission.plans {
        match policies.iter_mut().find(|versions| versions[0].id == plan.id) {
            Some(versions) => versions.push(plan),
            None => policies.push(vec![plan]),
        }
    }
    policies.iter_mut().for_each(|versions| versions.sort_by_key(begins));
    policies
}

/// Who writes orders in the words of a plan.
struct Customer<'c, 'p> {
    chance: &'c mut Chance,
    plan: &'p Plan,
    currency: &'p str,
    /// Minor units of a unit.
    minor: i64,
}

impl<'p> Customer<'_, 'p> {
    fn money(&self, minor: i64) -> Money<'p> {
        let nanos = minor % self.minor * (1_000_000_000 / self.minor);
        Money { currency: self.currency, units: minor / self.minor, nanos: i32::try_from(nanos).unwrap() }
    }

    fn price(&mut self) -> i64 {
        match self.chance.below(5) {
            0 => 0,
            1 => self.chance.between(1, 100),
            _ => self.chance.between(1, 200_000),
        }
    }

    fn at(&mut self, now: i128) -> Timestamp {
        let most = self.chance.pick(&[2, 48, 400, 9_000]);
        let hours = i128::from(self.chance.between(-most, most));
        Timestamp::from_nanos(now + hours * HOUR + self.chance.pick(&[0, 0, 1, -1])).unwrap()
    }

    fn word(&mut self, vocabulary: VocabularyId) -> &'p str {
        match self.plan.vocabularies.get(vocabulary).map(|vocabulary| vocabulary.words()) {
            Some(words) if !words.is_empty() => &words[self.chance.below(words.len())],
            _ => "",
        }
    }

    fn words(&mut self, vocabulary: VocabularyId) -> Vec<&'p str> {
        let words = self.plan.vocabularies.get(vocabulary).map_or(&[][..], |vocabulary| vocabulary.words());
        words.iter().map(String::as_str).filter(|_| self.chance.percent(25)).collect()
    }

    fn share(&mut self) -> Fraction {
        let denominator = self.chance.between(1, 12);
        Fraction { numerator: self.chance.between(0, denominator), denominator }
    }

    fn value(&mut self, of: FactType, range: InputRange, now: i128) -> InputValue<'p> {
        match of {
            FactType::Flag => InputValue::Flag(self.chance.percent(50)),
            FactType::Word(vocabulary) => InputValue::Text(self.word(vocabulary)),
            FactType::Quantity(Dimension::Timestamp) => InputValue::Timestamp(self.at(now)),
            FactType::Quantity(Dimension::Money) => {
                let price = self.price();
                InputValue::Money(self.money(price))
            }
            FactType::Quantity(Dimension::Elapsed) => {
                let hours = self.chance.between(0, 300);
                InputValue::Duration(Elapsed::from_seconds(hours * 3_600, 0).unwrap())
            }
            FactType::Quantity(_) => match range {
                InputRange::Count => InputValue::Decimal(self.chance.pick(&["0", "1", "2", "3", "7", "30"])),
                InputRange::Ratio => InputValue::Fraction(self.share()),
                InputRange::Any | InputRange::NotNegative => {
                    InputValue::Decimal(self.chance.pick(&["0", "0.5", "1", "2.25", "40"]))
                }
            },
            FactType::Set(_) | FactType::Text => InputValue::Text("said"),
        }
    }

    fn inputs(&mut self, scope: InputScope, now: i128) -> Vec<(&'p str, InputValue<'p>)> {
        let mut inputs = Vec::new();
        for fact in &self.plan.facts {
            if let Origin::Input(input) = &fact.origin
                && input.scope == scope
                && self.chance.percent(85)
            {
                inputs.push((fact.name.as_str(), self.value(fact.fact_type, input.range, now)));
            }
        }
        inputs
    }

    fn line(&mut self, id: &'static str, now: i128) -> Line<'p> {
        let paid = self.price();
        let dearer = paid + self.chance.between(0, 2_000);
        Line {
            id,
            product_type: self.word(VocabularyId::PRODUCT_TYPE),
            stage: Some(self.chance.pick(OrderStage::ALL)),
            sub_stage: if self.chance.percent(50) { self.word(VocabularyId::SUB_STAGE) } else { "" },
            paid: Some(self.money(paid)),
            list_price: Some(self.money(dearer)),
            completed: Some(self.share()),
            declared_cost: Some(self.money(dearer / 3)),
            tags: self.words(VocabularyId::TAG),
            inputs: self.inputs(InputScope::Line, now),
            ..Line::default()
        }
    }

    fn order(&mut self, now: i128) -> Order<'p> {
        let count = 1 + self.chance.below(4);
        let lines: Vec<Line<'p>> = ["a", "b", "c", "d"].into_iter().take(count).map(|id| self.line(id, now)).collect();
        let mut components = Vec::new();
        let names = self.plan.vocabularies.get(VocabularyId::COMPONENT).map_or(&[][..], |names| names.words());
        for name in names {
            for _ in 0..self.chance.below(3) {
                let paid = self.price();
                let line_id = if self.chance.percent(40) { lines[self.chance.below(count)].id } else { "" };
                components.push(Component { name, paid: Some(self.money(paid)), line_id, refunded: None });
            }
        }
        let of_lines = lines.iter().map(|line| self.cents(line.paid));
        let all: i64 = of_lines.chain(components.iter().map(|component| self.cents(component.paid))).sum();
        let mut tenders = Vec::new();
        let mut left = all;
        for (place, id) in ["t-1", "t-2", "t-3"].into_iter().take(self.chance.below(4)).enumerate() {
            let own = if place == 0 { left - left / 3 } else { left / 2 };
            left -= own;
            let refundability =
                if self.chance.percent(15) { Refundability::NotRefundable } else { Refundability::Refundable };
            let method = self.chance.pick(&["card", "balance", "coupon", "alipay"]);
            tenders.push(Tender { id, method, paid: Some(self.money(own)), refunded: None, refundability });
        }
        if let Some(last) = tenders.last_mut() {
            last.paid = Some(self.money(self.cents(last.paid) + left));
        }
        let anchors = self.plan.facts.iter().filter(|fact| fact.origin == Origin::Anchor);
        let mut names: Vec<&'p str> = anchors.map(|fact| fact.name.as_str()).collect();
        names.extend(["promised_at", "started_at", "delivered_at", "completed_at"]);
        let mut times = Vec::new();
        for name in names {
            if self.chance.percent(80) {
                times.push((name, self.at(now)));
            }
        }
        Order {
            id: "o-1",
            placed_at: Some(self.at(now)),
            paid_at: Some(self.at(now)),
            times,
            lines,
            tenders,
            components,
            tags: self.words(VocabularyId::TAG),
            inputs: self.inputs(InputScope::Order, now),
            ..Order::default()
        }
    }

    fn claim(&mut self, order: &Order<'p>, now: i128) -> Claim<'p> {
        let ids: Vec<&'p str> = order.lines.iter().map(|line| line.id).collect();
        let mut evidence = Vec::new();
        let kinds = self.plan.vocabularies.get(VocabularyId::EVIDENCE_KIND).map_or(&[][..], |kinds| kinds.words());
        for kind in kinds {
            if self.chance.percent(80) {
                evidence.push(Evidence {
                    id: kind,
                    kind,
                    media_type: "image/png",
                    captured_at: Some(Timestamp::from_nanos(now).unwrap()),
                    fields: vec![("committed_at", "today"), ("subject", "lid")],
                    ..Evidence::default()
                });
            }
        }
        Claim {
            request_type: Some(if self.chance.percent(80) {
                RequestType::Refund
            } else {
                self.chance.pick(RequestType::ALL)
            }),
            reason: if self.chance.percent(85) { self.word(VocabularyId::REASON) } else { "" },
            liable_party: self.chance.percent(40).then(|| self.chance.pick(LiableParty::ALL)),
            promised_actual: vec![PromisedActual { subject: "", promised: "red", actual: "blue" }],
            evidence,
            channel: self.word(VocabularyId::CHANNEL),
            requested_at: Some(Timestamp::from_nanos(now).unwrap()),
            line_ids: if self.chance.percent(50) { self.chance.some(&ids, 1) } else { Vec::new() },
            ..Claim::default()
        }
    }

    fn cents(&self, money: Option<Money<'_>>) -> i64 {
        let nanos = |money: Money<'_>| i64::from(money.nanos) / (1_000_000_000 / self.minor);
        money.map_or(0, |money| money.units * self.minor + nanos(money))
    }

    /// Notes in an order what an answer gave, as a careful caller does.
    fn note(&self, order: &mut Order<'p>, decision: &Decision, plan: &'p Plan) {
        let more = |money: Option<Money<'p>>, amount: i64| Some(self.money(self.cents(money) + amount));
        for line in &decision.lines {
            let of = &mut order.lines[usize::from(line.line)];
            of.refunded = more(of.refunded, line.refund.minor());
            let line_id = of.id;
            for (name, amount, what) in named(plan, line) {
                if what == AmountKind::Deduction {
                    order
                        .earlier
                        .retain(|entry| (entry.name, entry.line_id, entry.what) != (name, line_id, Some(what)));
                }
                let amount = Some(self.money(amount));
                order.earlier.push(EarlierAmount { name, line_id, amount, what: Some(what) });
            }
        }
        for (of, component) in order.components.iter_mut().zip(&decision.components) {
            of.refunded = more(of.refunded, component.refund.minor());
        }
        for (of, tender) in order.tenders.iter_mut().zip(&decision.tenders) {
            of.refunded = more(of.refunded, tender.amount.minor());
        }
    }

    /// What always holds; the first thing that does not.
    fn broken(&self, order: &Order<'p>, decision: &Decision) -> Option<String> {
        for line in &decision.lines {
            let of = &order.lines[usize::from(line.line)];
            let left = self.cents(of.paid) - self.cents(of.refunded);
            let held_back: i64 = line.deductions.iter().map(|deduction| deduction.amount.minor()).sum();
            let (base, refund) = (line.base.minor(), line.refund.minor());
            if refund < 0 || left < refund || (base != 0 && base != left) || refund + held_back != base {
                return Some(format!("line {}: {line:?} of {left}", of.id));
            }
        }
        for (of, component) in order.components.iter().zip(&decision.components) {
            let (left, refund) = (self.cents(of.paid) - self.cents(of.refunded), component.refund.minor());
            if refund < 0 || component.base.minor() < refund || left < component.base.minor() {
                return Some(format!("component {}: {component:?} of {left}", of.name));
            }
        }
        for (of, tender) in order.tenders.iter().zip(&decision.tenders) {
            let left = self.cents(of.paid) - self.cents(of.refunded);
            if tender.amount.minor() < 0 || left < tender.amount.minor() {
                return Some(format!("tender {}: {tender:?} of {left}", of.id));
            }
        }
        let of_lines: i64 = decision.lines.iter().map(|line| line.refund.minor()).sum();
        let of_components: i64 = decision.components.iter().map(|component| component.refund.minor()).sum();
        let of_tenders: i64 = decision.tenders.iter().map(|tender| tender.amount.minor()).sum();
        let all = (of_lines + of_components, of_tenders);
        (all != (decision.refund.minor(), decision.refund.minor())).then(|| format!("{all:?}: {:?}", decision.refund))
    }
}

fn effect(plan: &Plan, rule: RuleRef) -> &RuleEffect {
    match rule {
        RuleRef::Rule(place) => &plan.rules[place as usize].effect,
        RuleRef::Otherwise => &plan.otherwise,
    }
}

/// The amounts of a line that have a name.
fn named<'p>(plan: &'p Plan, line: &LineDecision) -> Vec<(&'p str, i64, AmountKind)> {
    let effect = effect(plan, line.rule);
    let mut named = Vec::new();
    for deduction in &line.deductions {
        if let (DeductionSource::Step { step, .. }, Action::Refund(steps)) = (deduction.source, &effect.action)
            && let Some(place) = steps[usize::from(step)].order_amount
        {
            let name = plan.order_amounts[usize::from(place)].name.as_str();
            named.push((name, deduction.amount.minor(), AmountKind::Deduction));
        }
    }
    for (amounts, extras, what) in [
        (&line.compensations, &effect.compensations, AmountKind::Compensation),
        (&line.amounts_due, &effect.amounts_due, AmountKind::AmountDue),
    ] {
        named.extend(amounts.iter().map(|amount| {
            let name = extras[usize::from(amount.place)].name.as_str();
            (name, amount.amount.minor(), what)
        }));
    }
    named
}

/// The decision on a request, and the version that decided.
fn decided<'p>(versions: &'p [Plan], request: &Request<'p>) -> (&'p Plan, Decision) {
    let plan = governing(versions.iter(), request).unwrap();
    let facts = intake(plan, request, Purpose::Decision).unwrap_or_else(|bad| panic!("{bad:?}\n{request:#?}"));
    (plan, decide(plan, &facts, &mut Silent))
}

fn is_acted_on(decision: &Decision) -> bool {
    !matches!(decision.outcome, Outcome::ManualReview | Outcome::MoreInfoRequired)
}

fn gives(decision: &Decision) -> bool {
    let beside = decision.lines.iter().any(|line| !line.compensations.is_empty() || !line.amounts_due.is_empty());
    decision.refund.minor() != 0 || beside
}

/// Puts claims on one order after the other; counts the answers that gave something.
fn try_order(versions: &[Plan], seed: u64, given: &mut usize) {
    let mut chance = Chance(seed);
    let newest = versions.last().unwrap();
    let currency = &newest.currencies[chance.below(newest.currencies.len())];
    let minor = 10i64.pow(u32::from(currency.exponent));
    let mut customer = Customer { chance: &mut chance, plan: newest, currency: &currency.code, minor };
    let now = Timestamp::parse("2026-05-04T09:00:00Z").unwrap().nanos();
    let now = now + i128::from(customer.chance.between(0, 2_400)) * HOUR / 10;
    let mut order = customer.order(now);
    for _ in 0..CLAIMS {
        let request = Request { claim: customer.claim(&order, now), order: order.clone() };
        let (plan, decision) = decided(versions, &request);
        if let Some(broken) = customer.broken(&order, &decision) {
            panic!("{}, seed {seed}: {broken}\n{request:#?}", plan.id);
        }
        if !is_acted_on(&decision) {
            continue;
        }
        *given += usize::from(gives(&decision));
        customer.note(&mut order, &decision, plan);
        let again = Request { claim: request.claim.clone(), order: order.clone() };
        let (_, second) = decided(versions, &again);
        assert!(!gives(&second), "{}, seed {seed}: asked again it gives {second:#?}\n{request:#?}", plan.id);
        permute(versions, &request, &decision, &mut customer);
    }
}

/// The order in which things are written changes nothing.
fn permute<'p>(versions: &'p [Plan], request: &Request<'p>, decision: &Decision, customer: &mut Customer<'_, 'p>) {
    let mut other = request.clone();
    customer.chance.shuffle(&mut other.order.lines);
    customer.chance.shuffle(&mut other.claim.evidence);
    customer.chance.shuffle(&mut other.claim.line_ids);
    // Some policies look at the order in which tenders are written.
    if matches!(customer.plan.tenders.order, TenderOrder::Proportional | TenderOrder::ByPriority(_)) {
        customer.chance.shuffle(&mut other.order.tenders);
    }
    let (plan, permuted) = decided(versions, &other);
    let spreads = plan.rules.iter().any(|rule| rule.effect.is_shared())
        || request.order.tenders.iter().any(|tender| {
            tender.refundability == Refundability::NotRefundable
                || plan.tenders.not_refundable.iter().any(|method| method == tender.method)
        });
    let near = |a: i64, b: i64, cents: i64| (a - b).abs() <= if spreads { cents } else { 0 };
    let lines = i64::try_from(request.order.lines.len()).unwrap();
    let what = || format!("{}: {decision:#?}\nbecame\n{permuted:#?}\n{request:#?}", plan.id);
    assert_eq!(decision.outcome, permuted.outcome, "{}", what());
    assert_eq!(decision.reason_codes, permuted.reason_codes, "{}", what());
    assert!(near(decision.refund.minor(), permuted.refund.minor(), lines), "{}", what());
    assert_eq!((decision.review, decision.payout), (permuted.review, permuted.payout), "{}", what());
    assert_eq!(decision.evidence.verdict, permuted.evidence.verdict, "{}", what());
    assert_eq!(decision.evidence.missing, permuted.evidence.missing, "{}", what());
    for (tender, of) in decision.tenders.iter().zip(&request.order.tenders) {
        let same = permuted.tenders.iter().zip(&other.order.tenders).find(|(_, same)| same.id == of.id).unwrap().0;
        // Cents of equal remainders go to the tender that is written first.
        assert!((tender.amount.minor() - same.amount.minor()).abs() <= lines, "{}", what());
    }
    for line in &decision.lines {
        let id = request.order.lines[usize::from(line.line)].id;
        let same = permuted.lines.iter().find(|same| other.order.lines[usize::from(same.line)].id == id).unwrap();
        assert!((line.rule, line.outcome) == (same.rule, same.outcome), "{}", what());
        assert!(near(line.refund.minor(), same.refund.minor(), 1), "{}", what());
    }
}

#[test]
fn shipped_policies_pay_no_part_twice() {
    let orders = std::env::var("REQUITE_SHIPPED_ORDERS").ok().map_or(ORDERS, |count| count.parse().unwrap());
    for folder in folders() {
        for versions in policies(&folder) {
            let mut given = 0;
            for seed in 0..orders {
                try_order(&versions, seed, &mut given);
            }
            println!("{}: {given} answers of {orders} orders gave something", versions[0].id);
            assert!(usize::try_from(orders).unwrap() / 20 <= given, "too few: {given} of {}", versions[0].id);
        }
    }
}
