//! The standard policy comes to the same figures as exact fractions worked out elsewhere; see
//! `tests/golden/README.md`.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use requite::decision::explain::Silent;
use requite::decision::{Purpose, decide, intake};
use requite::domain::decision::Decision;
use requite::domain::money::Amount;
use requite::domain::request::{Claim, Evidence, Fraction, Line, Money, Order, Request};
use requite::domain::time::Timestamp;
use requite::domain::words::{LiableParty, OrderStage, Outcome, RequestType};
use requite::engine::admit::admit;
use requite::plan::Plan;
use requite::policy::bundle::{Bundle, BundleFile};
use serde_json::Value;

/// The rows that the standard policy speaks of.
const POLICY: &str = "SEED in-progress";
const ROWS: usize = 8;

/// A row, read.
struct Row {
    input: String,
    paid: Money<'static>,
    progress: Fraction,
    fault: LiableParty,
    declared_cost: Option<Money<'static>>,
    deduction: Amount,
    refund: Amount,
}

#[test]
fn the_standard_policy_comes_to_the_figures_worked_out_elsewhere() {
    let plan = standard_plan();
    let rows = rows();
    assert_eq!(rows.len(), ROWS);
    for row in &rows {
        let decision = decided(&plan, row);
        let [line] = decision.lines.as_slice() else { panic!("{}: not one line", row.input) };
        let deduction = Amount::sum(line.deductions.iter().map(|deduction| deduction.amount));
        assert_eq!(deduction, row.deduction, "the deduction of {}", row.input);
        assert_eq!(decision.refund, row.refund, "the refund of {}", row.input);
        assert_eq!(decision.outcome, expected_outcome(row), "the outcome of {}", row.input);
    }
}

#[test]
fn every_row_adds_up_to_what_was_paid() {
    for row in rows() {
        assert_eq!(row.deduction.plus(row.refund), fen(row.paid), "{}", row.input);
    }
}

/// Nothing back is a denial, nothing held back a full approval.
fn expected_outcome(row: &Row) -> Outcome {
    match (row.refund.is_zero(), row.deduction.is_zero()) {
        (true, _) => Outcome::Denied,
        (false, true) => Outcome::ApprovedFull,
        (false, false) => Outcome::ApprovedPartial,
    }
}

fn standard_plan() -> Plan {
    let file = |path: &str| BundleFile {
        path: path.into(),
        bytes: fs::read(Path::new("policies/standard").join(path)).unwrap(),
    };
    let bundle =
        Bundle::new(vec![file("standard.policy.yaml"), file("standard.cases.yaml"), file("calendars/cn.yaml")])
            .unwrap();
    let admission = admit(&bundle).unwrap_or_else(|rejection| panic!("{:?}", rejection.diagnostics));
    admission.plans.into_iter().find(|plan| plan.id == "standard").unwrap()
}

fn decided(plan: &Plan, row: &Row) -> Decision {
    let (reason, evidence) = match row.fault {
        LiableParty::Customer => ("no_longer_needed", "chat_record"),
        LiableParty::Merchant | LiableParty::Platform => ("service_interrupted", "order_record"),
        LiableParty::ThirdParty | LiableParty::ForceMajeure | LiableParty::Shared | LiableParty::Undetermined => {
            panic!("{}: the rows know no such fault", row.input)
        }
    };
    let moment = |text: &str| Some(Timestamp::parse(text).unwrap());
    let request = Request {
        order: Order {
            id: "order-1",
            placed_at: moment("2026-03-02T10:00:00+08:00"),
            lines: vec![Line {
                id: "line-1",
                product_type: "boosting",
                stage: Some(OrderStage::InProgress),
                paid: Some(row.paid),
                completed: Some(row.progress),
                declared_cost: row.declared_cost,
                ..Line::default()
            }],
            ..Order::default()
        },
        claim: Claim {
            request_type: Some(RequestType::Refund),
            reason,
            liable_party: Some(row.fault),
            evidence: vec![Evidence { id: "piece-1", kind: evidence, ..Evidence::default() }],
            channel: "app",
            requested_at: moment("2026-03-06T10:00:00+08:00"),
            ..Claim::default()
        },
    };
    let facts = intake(plan, &request, Purpose::Decision).unwrap_or_else(|bad| panic!("{}: {bad:?}", row.input));
    decide(plan, &facts, &mut Silent)
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string("tests/golden/refunds.json").unwrap();
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    rows.iter().filter(|row| row["policy"] == POLICY).map(row_from_json).collect()
}

fn row_from_json(row: &Value) -> Row {
    let text = |name: &str| row[name].as_str().unwrap_or_else(|| panic!("{row} has no text `{name}`"));
    assert_eq!(text("currency"), "CNY");
    let input: HashMap<&str, &str> = text("input").split(' ').map(|pair| pair.split_once('=').unwrap()).collect();
    let fault = input["fault"].to_lowercase().parse::<LiableParty>().unwrap();
    let declared_cost = match (input["declared_cost"], fault) {
        // The larger of the share and no cost: the rule of the rows takes none for zero, and the
        // policy wants to hear of it where it counts.
        ("None", LiableParty::Customer) => Some(money("0")),
        ("None", _) => None,
        (cost, _) => Some(money(cost)),
    };
    Row {
        input: text("input").to_owned(),
        paid: money(input["paid"]),
        progress: fraction(input["progress"]),
        fault,
        declared_cost,
        deduction: fen(money(text("deduction"))),
        refund: fen(money(text("refund"))),
    }
}

/// The digits of a decimal as a whole number, and how many of them stand behind the point.
fn digits(decimal: &str) -> (i64, u32) {
    let (whole, places) = decimal.split_once('.').unwrap_or((decimal, ""));
    (format!("{whole}{places}").parse().unwrap(), u32::try_from(places.len()).unwrap())
}

fn fraction(decimal: &str) -> Fraction {
    let (numerator, places) = digits(decimal);
    Fraction { numerator, denominator: 10i64.pow(places) }
}

fn money(decimal: &str) -> Money<'static> {
    let (number, places) = digits(decimal);
    let nanos = i128::from(number) * 10i128.pow(9 - places);
    Money {
        currency: "CNY",
        units: i64::try_from(nanos / 1_000_000_000).unwrap(),
        nanos: i32::try_from(nanos % 1_000_000_000).unwrap(),
    }
}

fn fen(money: Money<'_>) -> Amount {
    Amount::from_minor(money.units * 100 + i64::from(money.nanos / 10_000_000))
}
