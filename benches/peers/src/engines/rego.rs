//! Rego by regorus: either a body of one rule for each row, or the rows as data, looked up by
//! product and reason as Rego's guides to speed advise. Both are compiled for its virtual machine,
//! which is kept between the evaluations; where the machine cannot hold the rules, the interpreter
//! runs them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::num::{NonZeroU32, NonZeroUsize};

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::RegoVM;
use regorus::utils::limits::PolicyLengthConfig;
use regorus::{Engine as Regorus, Rc, Value};

use crate::engines::Engine;
use crate::order::Order;
use crate::tables::{self, REASONS, Row};

const ENTRY: &str = "data.table.row";

const LOOKUP: &str = "package table
row := r.row if {
    some r in data.rows[input.product][input.reason]
    r.age_from <= input.age
    input.age < r.age_below
    r.price_from <= input.price
    input.price < r.price_below
    r.share_from <= input.share
    input.share < r.share_below
}
";

pub enum Rego {
    /// Compiled for the virtual machine.
    Machine(Box<RegoVM>),
    /// Interpreted: the machine takes no program of more than 65 535 instructions.
    Interpreter(Box<Regorus>),
}

impl Rego {
    pub fn of_rules(rows: &[Row]) -> Self {
        let mut text = String::from("package table\n");
        for (place, row) in rows.iter().enumerate() {
            let reason = match row.reason {
                Some(reason) => format!("input.reason == \"{}\"", tables::reason(reason)),
                None => {
                    let all: Vec<String> =
                        (0..REASONS).map(|reason| format!("\"{}\"", tables::reason(reason))).collect();
                    format!("input.reason in {{{}}}", all.join(", "))
                }
            };
            let range =
                |name: &str, (from, below): (u64, u64)| format!("input.{name} >= {from}; input.{name} < {below}");
            writeln!(
                text,
                "row := {place} if {{ input.product == \"{}\"; {reason}; {}; {}; {} }}",
                tables::product(row.product),
                range("age", row.age_hours),
                range("price", row.price_units),
                range("share", row.share_hundredths),
            )
            .expect("a string takes everything");
        }
        Self::new(text, None)
    }

    pub fn of_data(rows: &[Row]) -> Self {
        let mut products: BTreeMap<String, BTreeMap<String, Vec<serde_json::Value>>> = BTreeMap::new();
        for (place, row) in rows.iter().enumerate() {
            let (age, price, share) = (row.age_hours, row.price_units, row.share_hundredths);
            let cells = serde_json::json!({
                "row": place, "age_from": age.0, "age_below": age.1, "price_from": price.0, "price_below": price.1,
                "share_from": share.0, "share_below": share.1,
            });
            for reason in row.reason.map_or(0..REASONS, |reason| reason..reason + 1) {
                let reasons = products.entry(tables::product(row.product)).or_default();
                reasons.entry(tables::reason(reason)).or_default().push(cells.clone());
            }
        }
        let data = Value::from(serde_json::json!({ "rows": products }));
        Self::new(LOOKUP.to_owned(), Some(data))
    }

    fn new(text: String, data: Option<Value>) -> Self {
        let mut engine = Regorus::new();
        engine.set_policy_length_config(PolicyLengthConfig {
            max_col: NonZeroU32::new(4096).expect("not zero"),
            max_file_bytes: NonZeroUsize::new(64 << 20).expect("not zero"),
            max_lines: NonZeroUsize::new(1 << 20).expect("not zero"),
        });
        engine.add_policy("table.rego".to_owned(), text).expect("a policy");
        let compiled = engine.compile_with_entrypoint(&Rc::from(ENTRY)).expect("it compiles");
        let program = match Compiler::compile_from_policy(&compiled, &[ENTRY]) {
            Ok(program) => program,
            Err(error) => {
                assert!(error.to_string().contains("max instructions"), "{error}");
                return Self::Interpreter(Box::new(engine));
            }
        };
        let mut machine = RegoVM::new();
        machine.load_program(program);
        machine.set_max_instructions(usize::MAX);
        if let Some(data) = data {
            machine.set_data(data).expect("data and rules have different names");
        }
        Self::Machine(Box::new(machine))
    }
}

impl Engine for Rego {
    type Input<'o> = Value;

    fn input<'o>(&self, order: &'o Order) -> Value {
        Value::from(BTreeMap::from([
            (Value::from("product"), Value::from(order.product.as_str())),
            (Value::from("reason"), Value::from(order.reason.as_str())),
            (Value::from("age"), Value::from(order.age_hours)),
            (Value::from("price"), Value::from(order.price_units)),
            (Value::from("share"), Value::from(order.share_hundredths)),
        ]))
    }

    fn decide(&mut self, input: &Value) -> Option<usize> {
        let row = match self {
            Self::Machine(machine) => {
                machine.set_input(input.clone());
                machine.execute().expect("it evaluates")
            }
            Self::Interpreter(engine) => {
                engine.set_input(input.clone());
                engine.eval_rule(ENTRY.to_owned()).expect("it evaluates")
            }
        };
        match row {
            Value::Undefined => None,
            row => Some(usize::try_from(row.as_u64().expect("a row")).expect("a row")),
        }
    }
}
