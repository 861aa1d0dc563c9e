//! The published policies under `policies/examples` are admitted without warnings, hold their own
//! cases, and between them use every operator of the language.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use requite::cases::rehearse;
use requite::decision::explain::Silent;
use requite::decision::{Purpose, decide, intake};
use requite::domain::decision::{Decision, ExtraAmount, RuleRef};
use requite::domain::request::{Claim, Component, Fraction, InputValue, Line, Money, Order, Request};
use requite::domain::time::Timestamp;
use requite::domain::words::OrderStage;
use requite::engine::admit::admit;
use requite::plan::Plan;
use requite::plan::rule::{Extra, RuleEffect};
use requite::policy::bundle::{Bundle, BundleFile};
use requite::policy::diagnostic::{Colour, render};
use requite::policy::load::load;
use requite::policy::source::Source;
use requite::policy::tree::{Node, NodeKind, parse};

const FOLDER: &str = "policies/examples";

/// Fewer cases than this show no edges.
const CASES_MIN: usize = 10;

/// What a policy must be able to say, and where an example says it: the example, and a line of its policy.
struct Operator {
    says: &'static str,
    examples: &'static [(&'static str, &'static str)],
}

const fn operator(says: &'static str, examples: &'static [(&'static str, &'static str)]) -> Operator {
    Operator { says, examples }
}

const OPERATORS: &[Operator] = &[
    operator("test on the stage", &[("eu-withdrawal", "stage: [not_started, in_progress]")]),
    operator("test on a finer stage", &[("commissioned-work", "sub_stage: revision")]),
    operator("test on the product type", &[("game-store", "product_type: [add_on, in_game_item]")]),
    operator("test on the reason", &[("app-store", "reason: not_authorised")]),
    operator("test on the liable party", &[("commissioned-work", "when: { liable: merchant }")]),
    operator("test on the channel", &[("japan-lessons", "channel: \"not(letter, email)\"")]),
    operator("test on tags", &[("china-7-day-return", "tags: [custom_made, fresh, digital_download, newspaper]")]),
    operator("test on a flag", &[("game-store", "refund_abuse: true")]),
    operator("test on an enum of the policy's own", &[("event-tickets", "seat_class: box")]),
    operator("test on the currency", &[("event-tickets", "currency: POINTS")]),
    operator("tiers on the time before an event", &[("china-rail-12306", "\"[24h..48h)\": 10%")]),
    operator("tiers on the time after an event", &[("marketplace-returns", "\"(0s..30d]\": 20%")]),
    operator("tiers on calendar days in a time zone", &[("japan-rail", "on: days_until(departs_at)")]),
    operator("tiers on an exact ratio", &[("korea-academy-course", "\"[1/3..1/2)\": 1/2")]),
    operator("tiers of amounts, not of shares", &[("japan-rail", "\">= 2 days\": \"340\"")]),
    operator("or of windows", &[("stay-bookings", "in_time_for_arrival or just_booked")]),
    operator(
        "and of windows with different anchors",
        &[
            ("stay-bookings", "since(placed_at) <= 48h and requested_at <= check_in_at - 14 days"),
            ("game-store", "{ since(clock_starts): \"<= 14d\", playtime: \"< 2h\" }"),
        ],
    ),
    operator("anchor: placed", &[("app-store", "since(placed_at): \"<= 120d\"")]),
    operator("anchor: paid", &[("china-prepaid-card", "days_since(paid_at): \"<= 7 days\"")]),
    operator("anchor: delivered, possession", &[("eu-withdrawal", "is: delivered_at")]),
    operator("anchor: released", &[("game-store", "until(released_at): \"> 0s\"")]),
    operator("anchor: day after", &[("event-tickets", "since(next_day(new_date_told_at)): \"< 30d\"")]),
    operator("anchor that a table chooses", &[("game-store", "is: released_at")]),
    operator("a window that is a multiple of another duration", &[("commissioned-work", "2 * estimated_time")]),
    operator("one ratio against another", &[("commissioned-work", "elapsed_share > 1/4 and completed_share < 1/5")]),
    operator("percent", &[("stay-bookings", "paid * 50%")]),
    operator("fixed amount", &[("japan-lessons", "amount: \"20000\"")]),
    operator("unit rate × quantity", &[("stay-bookings", "nightly_rate * units_completed")]),
    operator("started units", &[("commissioned-work", "hourly_rate * ceil(time_worked / 1h)")]),
    operator("max", &[("commissioned-work", "max(paid * completed_share, paid * 25%)")]),
    operator("min", &[("japan-lessons", "value_had + min(20000, (paid - value_had) * 10%)")]),
    operator("clamp", &[("event-tickets", "clamp(paid * 10%, 50, 500)")]),
    operator("a floor under a fee", &[("china-rail-12306", "at_least: \"2.00\"")]),
    operator("a cap at the price", &[("china-rail-12306", "at_most: paid")]),
    operator("sum of fees", &[("marketplace-returns", "- { kind: return_shipping, amount: return_label }")]),
    operator("a fee on what the last step left", &[("event-tickets", "remaining * 3% + 1")]),
    operator("a fee on what the last step took", &[("event-tickets", "previous * 23%")]),
    operator("an amount of the whole order", &[("event-tickets", "order_amount: postage")]),
    operator("pro-rata of units, at the price paid", &[("china-prepaid-card", "paid * completed_share")]),
    operator("pro-rata of units, at the list price", &[("china-prepaid-card", "list_price * completed_share")]),
    operator(
        "pro-rata of time",
        &[
            ("app-store", "since(period_starts_at) / (period_ends_at - period_starts_at)"),
            ("china-prepaid-card", "paid * (days_left / term)"),
        ],
    ),
    operator("rounding of the fee to an increment", &[("china-rail-12306", "round: { to: 0.50, mode: half_up }")]),
    operator("rounding of the refund to an increment, down", &[("event-tickets", "to: 10, mode: down, of: refund")]),
    operator("rounding of the refund, half up", &[("china-prepaid-card", "round: { mode: half_up, of: refund }")]),
    operator("rounding up", &[("commissioned-work", "mode: up")]),
    operator("rounding half down", &[("event-tickets", "mode: half_down")]),
    operator("rounding half to even", &[("event-tickets", "mode: half_even")]),
    operator("rounding inside of a formula", &[("japan-rail", "round(paid * 30%, 10, down)")]),
    operator("component: never", &[("china-7-day-return", "freight: { refund: never }")]),
    operator("component: always", &[("stay-bookings", "cleaning_fee: { refund: always }")]),
    operator("component: when everything goes back", &[("stay-bookings", "pet_fee: { refund: when_full }")]),
    operator("component: in proportion", &[("marketplace-returns", "sales_tax: { refund: in_proportion }")]),
    operator("component, otherwise under a rule", &[("stay-bookings", "components: { service_fee: always }")]),
    operator("an overriding layer that may only improve", &[("shops-under-law", "use: [common]")]),
    operator("the version in force when the order was placed", &[("shops-under-law", "by: placed_at")]),
    operator("counters and quotas", &[("app-store", "refunds_this_year: \">= 3\"")]),
    operator("exclusion tags", &[("marketplace-returns", "tags: [final_sale, hazardous]")]),
    operator("consent flags", &[("eu-withdrawal", "waived: true"), ("china-7-day-return", "deny: CONSENT_WAIVED")]),
    operator("the other party has time to answer", &[("marketplace-returns", "COUNTERPARTY_PENDING")]),
    operator("a fault above the ordinary rules, by order", &[("marketplace-returns", "id: faulty")]),
    operator("method: store credit", &[("marketplace-returns", "method: store_credit")]),
    operator("method: choice", &[("game-store", "method: customer_choice")]),
    operator("method: bank transfer", &[("japan-lessons", "method: bank_transfer")]),
    operator("payout by tender", &[("marketplace-returns", "by_method: { debit_card:")]),
    operator("payout in business days", &[("marketplace-returns", "payout: { business_days: [3, 5]")]),
    operator("payout in calendar days", &[("eu-withdrawal", "payout: { days: [0, 14] }")]),
    operator("payout on a day of the week", &[("commissioned-work", "weekday: friday")]),
    operator("review in calendar days", &[("commissioned-work", "review: { days: [1, 2] }")]),
    operator("end of day", &[("china-7-day-return", "end_of_day(delivered_at + 7 days)")]),
    operator("a period that ends on a business day", &[("eu-withdrawal", "on_or_next_business_day(last_day)")]),
    operator("an assessor's figure, capped", &[("marketplace-returns", "amount: \"paid * damage_share\"")]),
    operator("compensation", &[("air-passengers-eu", "compensate:")]),
    operator("interest", &[("china-prepaid-card", "max(remaining - refunded, 0) * annual_rate * years_since_paid")]),
    operator("amount due", &[("stay-bookings", "amount_due:")]),
    operator("tenders by priority", &[("event-tickets", "order: by_priority, priority: [voucher, card]")]),
    operator("tenders, last paid first", &[("game-store", "order: last_paid_first")]),
    operator("tenders, first paid first", &[("china-prepaid-card", "order: first_paid_first")]),
    operator("tenders that take nothing back", &[("china-7-day-return", "not_refundable: [coupon]")]),
    operator("a unit of account of the policy's own", &[("event-tickets", "{ code: POINTS, decimals: 0 }")]),
    operator("a currency without decimals", &[("japan-rail", "currencies: [JPY]")]),
    operator("in force since", &[("eu-withdrawal", "effective:")]),
    operator("a reason is asked for", &[("app-store", "more_info: REASON_REQUIRED")]),
    operator("evidence of a reason", &[("app-store", "require: reason.evidence")]),
    operator("evidence, so many of several", &[("marketplace-returns", "at_least: 2")]),
    operator("evidence by the time of its capture", &[("china-7-day-return", "captured: { after: delivered_at }")]),
    operator("what is never deducted", &[("china-7-day-return", "never_deduct:")]),
];

/// The directories of examples.
fn examples() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(FOLDER)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    names
}

fn file(example: &str, ending: &str) -> PathBuf {
    Path::new(FOLDER).join(example).join(format!("{example}.{ending}"))
}

fn policy_text(example: &str) -> String {
    let path = file(example, "policy.yaml");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The `*.yaml` files of an example, and those of its calendars.
fn bundle(example: &str) -> Bundle {
    let root = Path::new(FOLDER).join(example);
    let mut files = Vec::new();
    for below in ["", "calendars/"] {
        let Ok(entries) = fs::read_dir(root.join(below)) else { continue };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        files.extend(names.filter(|name| name.ends_with(".yaml")).map(|name| BundleFile {
            path: format!("{below}{name}"),
            bytes: fs::read(root.join(below).join(&name)).unwrap(),
        }));
    }
    Bundle::new(files).unwrap()
}

fn plan(example: &str) -> Plan {
    let bundle = bundle(example);
    let (loaded, diagnostics) = load(&bundle);
    let loaded = loaded.unwrap_or_else(|| panic!("{example}\n{}", render(&diagnostics, &bundle, Colour::Off)));
    loaded.plans.into_iter().next().unwrap()
}

#[test]
fn every_example_is_admitted_without_warnings() {
    let examples = examples();
    assert!(9 <= examples.len(), "only {examples:?}");
    for example in examples {
        let bundle = bundle(&example);
        let admission = admit(&bundle)
            .unwrap_or_else(|bad| panic!("{example}\n{}", render(&bad.diagnostics, &bundle, Colour::Off)));
        assert!(admission.warnings.is_empty(), "{example}: {:?}", admission.warnings);
        assert!(CASES_MIN <= admission.cases_passed, "{example}: only {} cases", admission.cases_passed);
        assert_eq!(admission.default_policy, example, "a directory has the name of its policy");
    }
}

#[test]
fn every_rule_of_every_example_decides_some_case() {
    for example in examples() {
        let bundle = bundle(&example);
        let (loaded, _) = load(&bundle);
        let loaded = loaded.unwrap();
        let exercised = rehearse(&bundle, &loaded).exercised;
        for plan in &loaded.plans {
            for rule in &plan.rules {
                assert!(
                    exercised.contains(&(plan.id.clone(), rule.id.clone())),
                    "{example}: no case reaches {}",
                    rule.id
                );
            }
        }
    }
}

#[test]
fn every_example_says_where_it_is_published_and_speaks_english() {
    for example in examples() {
        let readme = fs::read_to_string(Path::new(FOLDER).join(&example).join("README.md")).unwrap();
        assert!(readme.contains("How it was read"), "{example}: the README does not say how the rule was read");
        assert!(policy_text(&example).contains("\npublished: "), "{example}: where is it published?");
        assert!(plan(&example).languages.iter().any(|language| language == "en"), "{example}: no labels in English");
    }
}

#[test]
fn every_operator_has_an_example() {
    for Operator { says, examples } in OPERATORS {
        assert!(!examples.is_empty(), "`{says}` has no example");
        for (example, line) in *examples {
            let text = policy_text(example);
            let used = text.lines().any(|written| !written.trim_start().starts_with('#') && written.contains(line));
            assert!(used, "`{says}`: {example} does not say `{line}`");
        }
    }
}

#[test]
fn every_example_is_an_example_of_something() {
    for example in examples() {
        let named = OPERATORS.iter().any(|operator| operator.examples.iter().any(|(name, _)| *name == example));
        assert!(named, "{example} shows no operator of the list");
    }
}

/// The rows of `tests/golden/refunds.json` that an example speaks of.
const GOLDEN: [(&str, &str); 4] = [
    ("CN-RAIL-12306", "china-rail-12306"),
    ("CN-PREPAID time card", "china-prepaid-card"),
    ("AMAZON-US fee", "marketplace-returns"),
    ("EU-CRD Art14(3)", "eu-withdrawal"),
];

#[test]
fn every_figure_worked_out_elsewhere_is_a_case() {
    let text = fs::read_to_string("tests/golden/refunds.json").unwrap();
    let rows: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    for (policy, example) in GOLDEN {
        let expected = expected_refunds(example);
        let rows: Vec<_> = rows.iter().filter(|row| row["policy"] == policy).collect();
        assert!(!rows.is_empty(), "there is no row of {policy}");
        for row in rows {
            let name = format!("golden {}", row["input"].as_str().unwrap());
            let refund = expected.get(&name).unwrap_or_else(|| panic!("{example} has no case `{name}`"));
            assert_eq!(refund, row["refund"].as_str().unwrap(), "{example}: {name}");
        }
    }
}

/// What each case of an example expects to go back.
fn expected_refunds(example: &str) -> BTreeMap<String, String> {
    let text = fs::read_to_string(file(example, "cases.yaml")).unwrap();
    let root = parse(&Source::new(example, &text, 0), &mut Vec::new()).unwrap();
    let NodeKind::List(cases) = &key(&root, "cases").unwrap().kind else { panic!("`cases` is no list") };
    let refund = |case: &Node| Some(scalar(key(key(case, "expect")?, "refund")?));
    cases.iter().filter_map(|case| Some((scalar(key(case, "case")?), refund(case)?))).collect()
}

fn key<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    let NodeKind::Mapping(entries) = &node.kind else { panic!("{} is not a mapping", node.describe()) };
    entries.iter().find(|(key, _)| key.value == name).map(|(_, value)| value)
}

fn scalar(node: &Node) -> String {
    let NodeKind::Scalar(text, _) = &node.kind else { panic!("{} is not a text", node.describe()) };
    text.clone()
}

// ---- Components and amounts beside the refund, in cents --------------------------------------------------------

fn moment(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn money(cents: i64, currency: &str) -> Money<'_> {
    Money { currency, units: cents / 100, nanos: i32::try_from(cents % 100).unwrap() * 10_000_000 }
}

fn component<'a>(name: &'a str, cents: i64, currency: &'a str) -> Component<'a> {
    Component { name, paid: Some(money(cents, currency)), refunded: None, line_id: "" }
}

fn decided(example: &str, request: &Request<'_>) -> Settled {
    let plan = plan(example);
    let facts = intake(&plan, request, Purpose::Decision).unwrap_or_else(|bad| panic!("{example}: {bad:?}"));
    let decision = decide(&plan, &facts, &mut Silent);
    let line = &decision.lines[0];
    let RuleRef::Rule(rule) = line.rule else { panic!("{example}: no rule decides") };
    let rule = &plan.rules[rule as usize];
    let named = |amounts: &[ExtraAmount], extras: &[Extra]| -> Vec<(String, i64)> {
        amounts.iter().map(|extra| (extras[usize::from(extra.place)].name.clone(), extra.amount.minor())).collect()
    };
    let RuleEffect { compensations, amounts_due, .. } = &rule.effect;
    Settled {
        rule: rule.id.clone(),
        compensations: named(&line.compensations, compensations),
        amounts_due: named(&line.amounts_due, amounts_due),
        components: decision.components.iter().map(|component| component.refund.minor()).collect(),
        decision,
    }
}

/// A decision, with names in the place of numbers.
struct Settled {
    rule: String,
    components: Vec<i64>,
    compensations: Vec<(String, i64)>,
    amounts_due: Vec<(String, i64)>,
    decision: Decision,
}

/// Five nights at 200.00 in Adelaide; cleaning 80.00, service 140.00, a pet 30.00, tax 100.00.
fn stay<'a>(requested_at: &str, stage: OrderStage, inputs: Vec<(&'a str, InputValue<'a>)>) -> Request<'a> {
    let nights = if stage == OrderStage::InProgress { 2 } else { 0 };
    Request {
        order: Order {
            id: "order-1",
            placed_at: Some(moment("2026-01-10T12:00:00+10:30")),
            times: vec![("check_in_at", moment("2026-04-07T15:00:00+09:30"))],
            lines: vec![Line {
                id: "line-1",
                product_type: "stay",
                stage: Some(stage),
                paid: Some(money(100_000, "AUD")),
                completed: Some(Fraction { numerator: nights, denominator: 5 }),
                inputs: vec![("nightly_rate", InputValue::Money(money(20_000, "AUD")))],
                ..Line::default()
            }],
            components: vec![
                component("cleaning_fee", 8_000, "AUD"),
                component("service_fee", 14_000, "AUD"),
                component("pet_fee", 3_000, "AUD"),
                component("occupancy_tax", 10_000, "AUD"),
            ],
            inputs,
            ..Order::default()
        },
        claim: Claim { requested_at: Some(moment(requested_at)), channel: "web", ..Claim::default() },
    }
}

fn strictness(word: &str) -> (&str, InputValue<'_>) {
    ("strictness", InputValue::Text(word))
}

#[test]
fn components_of_a_stay_go_back_by_rules_of_their_own() {
    let early = "2026-02-01T12:00:00+10:30";
    let with_fee = decided("stay-bookings", &stay(early, OrderStage::NotStarted, vec![strictness("moderate")]));
    assert_eq!(
        (with_fee.rule.as_str(), with_fee.components),
        ("free-with-service-fee", vec![8_000, 14_000, 3_000, 10_000])
    );
    assert_eq!(with_fee.decision.refund.minor(), 135_000);

    let quota = ("service_fee_refunds_this_year", InputValue::Fraction(Fraction { numerator: 3, denominator: 1 }));
    let without = decided("stay-bookings", &stay(early, OrderStage::NotStarted, vec![strictness("moderate"), quota]));
    assert_eq!((without.rule.as_str(), without.components), ("free", vec![8_000, 0, 3_000, 10_000]));

    let half =
        decided("stay-bookings", &stay("2026-03-20T12:00:00+10:30", OrderStage::NotStarted, vec![strictness("firm")]));
    assert_eq!((half.rule.as_str(), half.components), ("firm-half", vec![8_000, 0, 0, 5_000]));
}

#[test]
fn damage_is_due_beside_the_refund_of_a_stay_and_has_a_cap() {
    for (damage, due) in [(5_000, 5_000), (300_000, 300_000), (300_001, 300_000)] {
        let inputs = vec![strictness("moderate"), ("damage", InputValue::Money(money(damage, "AUD")))];
        let during = decided("stay-bookings", &stay("2026-04-09T10:00:00+09:30", OrderStage::InProgress, inputs));
        assert_eq!((during.rule.as_str(), during.components), ("during-the-stay", vec![0, 0, 0, 2_000]));
        assert_eq!(during.decision.refund.minor(), 22_000);
        assert_eq!(during.amounts_due, [("damage".to_owned(), due)]);
    }
}

/// Two parcels at 100.00 each in Berlin; delivery 5.00, and 4.00 for a faster one.
fn parcels<'a>(claimed: Vec<&'a str>) -> Request<'a> {
    let parcel = |id| Line {
        id,
        product_type: "goods",
        stage: Some(OrderStage::Delivered),
        paid: Some(money(10_000, "EUR")),
        ..Line::default()
    };
    Request {
        order: Order {
            id: "order-1",
            placed_at: Some(moment("2026-03-01T10:00:00+01:00")),
            times: vec![("delivered_at", moment("2026-03-03T15:00:00+01:00"))],
            lines: vec![parcel("a"), parcel("b")],
            components: vec![component("shipping", 500, "EUR"), component("express_surcharge", 400, "EUR")],
            ..Order::default()
        },
        claim: Claim {
            requested_at: Some(moment("2026-03-10T12:00:00+01:00")),
            channel: "web",
            line_ids: claimed,
            ..Claim::default()
        },
    }
}

#[test]
fn a_withdrawal_brings_the_standard_delivery_back_and_not_the_faster_one() {
    assert_eq!(decided("eu-withdrawal", &parcels(vec![])).components, [500, 0]);
    assert_eq!(decided("eu-withdrawal", &parcels(vec!["b"])).components, [250, 0]);
}

/// An item at 60.00 of a marketplace; shipping 6.00, tax 4.80.
fn item<'a>(reason: &'a str, requested_at: &str) -> Request<'a> {
    let report = requite::domain::request::Evidence { id: "e", kind: "test_report", ..Default::default() };
    Request {
        order: Order {
            id: "order-1",
            placed_at: Some(moment("2026-05-01T09:00:00-07:00")),
            times: vec![("return_due_at", moment("2026-05-27T23:59:59-07:00"))],
            lines: vec![Line {
                id: "line-1",
                product_type: "general",
                stage: Some(OrderStage::Delivered),
                paid: Some(money(6_000, "USD")),
                ..Line::default()
            }],
            components: vec![component("shipping", 600, "USD"), component("sales_tax", 480, "USD")],
            ..Order::default()
        },
        claim: Claim {
            requested_at: Some(moment(requested_at)),
            channel: "web",
            reason,
            evidence: vec![report],
            ..Claim::default()
        },
    }
}

#[test]
fn tax_follows_the_price_and_shipping_follows_the_fault() {
    let in_time = decided("marketplace-returns", &item("no_longer_needed", "2026-05-27T23:59:59-07:00"));
    assert_eq!((in_time.components, in_time.decision.refund.minor()), (vec![0, 480], 6_480));
    let late = decided("marketplace-returns", &item("no_longer_needed", "2026-05-28T00:00:00-07:00"));
    assert_eq!((late.components, late.decision.refund.minor()), (vec![0, 384], 5_184));
    let faulty = decided("marketplace-returns", &item("defective", "2026-05-28T00:00:00-07:00"));
    assert_eq!((faulty.components, faulty.decision.refund.minor()), (vec![600, 480], 7_080));
}

/// Goods at 128.00 with a freight of 10.00.
fn goods(stage: OrderStage) -> Request<'static> {
    Request {
        order: Order {
            id: "order-1",
            times: vec![("delivered_at", moment("2026-03-02T10:00:00+08:00"))],
            lines: vec![Line {
                id: "line-1",
                product_type: "goods",
                stage: Some(stage),
                paid: Some(money(12_800, "CNY")),
                ..Line::default()
            }],
            components: vec![component("freight", 1_000, "CNY")],
            ..Order::default()
        },
        claim: Claim { requested_at: Some(moment("2026-03-05T12:00:00+08:00")), channel: "app", ..Claim::default() },
    }
}

#[test]
fn freight_stays_with_the_seller_unless_nothing_was_signed_for() {
    assert_eq!(decided("china-7-day-return", &goods(OrderStage::Delivered)).components, [0]);
    assert_eq!(decided("china-7-day-return", &goods(OrderStage::InProgress)).components, [1_000]);
}

/// Ten visits for 1200.00, four of them had.
fn visits<'a>(reason: &'a str, paid_at: &str) -> Request<'a> {
    Request {
        order: Order {
            id: "order-1",
            paid_at: Some(moment(paid_at)),
            lines: vec![Line {
                id: "line-1",
                product_type: "visit_card",
                stage: Some(OrderStage::InProgress),
                paid: Some(money(120_000, "CNY")),
                list_price: Some(money(150_000, "CNY")),
                completed: Some(Fraction { numerator: 4, denominator: 10 }),
                ..Line::default()
            }],
            ..Order::default()
        },
        claim: Claim {
            requested_at: Some(moment("2026-09-23T12:00:00+08:00")),
            channel: "shop",
            reason,
            ..Claim::default()
        },
    }
}

#[test]
fn interest_stands_beside_the_refund_of_a_card() {
    let interest = |reason, paid_at| {
        let settled = decided("china-prepaid-card", &visits(reason, paid_at));
        (settled.decision.refund.minor(), settled.compensations)
    };
    // 720.00 at 3 % for a year, for 73 days, for none.
    let named = |cents: i64| vec![("interest".to_owned(), cents)];
    assert_eq!(interest("shop_closed", "2025-09-23T09:00:00+08:00"), (72_000, named(2_160)));
    assert_eq!(interest("shop_closed", "2026-07-12T09:00:00+08:00"), (72_000, named(432)));
    assert_eq!(interest("shop_closed", "2026-09-23T09:00:00+08:00"), (72_000, vec![]));
    assert_eq!(interest("no_longer_wanted", "2025-09-23T09:00:00+08:00"), (60_000, vec![]));
}

/// A flight for 180.00.
fn flight<'a>(reason: &'a str, kilometres: i64, flags: &[&'a str], told_at: &str) -> Request<'a> {
    let distance = InputValue::Fraction(Fraction { numerator: kilometres, denominator: 1 });
    let flags = flags.iter().map(|&flag| (flag, InputValue::Flag(true)));
    Request {
        order: Order {
            id: "order-1",
            times: vec![("departs_at", moment("2026-05-20T08:00:00+02:00")), ("told_at", moment(told_at))],
            lines: vec![Line {
                id: "line-1",
                product_type: "flight",
                stage: Some(OrderStage::NotStarted),
                paid: Some(money(18_000, "EUR")),
                ..Line::default()
            }],
            inputs: [("distance_km", distance)].into_iter().chain(flags).collect(),
            ..Order::default()
        },
        claim: Claim {
            requested_at: Some(moment("2026-05-20T09:00:00+02:00")),
            channel: "web",
            reason,
            ..Claim::default()
        },
    }
}

#[test]
fn compensation_of_passengers_goes_by_distance_and_notice() {
    let day_before = "2026-05-19T18:00:00+02:00";
    type Row<'r> = (&'r str, i64, &'r [&'r str], &'r str, &'r [(&'r str, i64)]);
    let rows: &[Row<'_>] = &[
        ("cancelled", 1_499, &[], day_before, &[("compensation", 25_000)]),
        ("cancelled", 1_500, &[], day_before, &[("compensation", 25_000)]),
        ("cancelled", 1_501, &[], day_before, &[("compensation", 40_000)]),
        ("cancelled", 3_500, &[], day_before, &[("compensation", 40_000)]),
        ("cancelled", 3_501, &[], day_before, &[("compensation", 60_000)]),
        ("cancelled", 3_501, &["within_union"], day_before, &[("compensation", 40_000)]),
        ("cancelled", 1_200, &["extraordinary"], day_before, &[]),
        ("denied_boarding", 1_200, &["extraordinary"], day_before, &[("compensation", 25_000)]),
        ("cancelled", 1_200, &["prefers_voucher"], day_before, &[("compensation", 25_000)]),
        ("cancelled", 1_200, &[], "2026-05-06T07:59:59+02:00", &[]),
        ("cancelled", 1_200, &[], "2026-05-06T08:00:00+02:00", &[]),
        ("cancelled", 1_200, &[], "2026-05-06T08:00:01+02:00", &[("compensation", 25_000)]),
    ];
    for &(reason, kilometres, flags, told_at, expected) in rows {
        let settled = decided("air-passengers-eu", &flight(reason, kilometres, flags, told_at));
        let expected: Vec<(String, i64)> = expected.iter().map(|&(name, cents)| (name.to_owned(), cents)).collect();
        assert_eq!(settled.compensations, expected, "{reason}, {kilometres} km, {flags:?}, told {told_at}");
        assert_eq!(settled.decision.refund.minor(), 18_000, "the compensation is not netted into the refund");
    }
}
