//! `GoRules` ZEN: one decision table between an input and an output node, first hit, compiled, so
//! that the engine has its index of equal values and its bytecode.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use serde_json::{Map, Value, json};
use zen_engine::model::DecisionContent;
use zen_engine::{Decision, DecisionEngine, Variable};

use crate::engines::Engine;
use crate::order::Order;
use crate::tables::{self, REASONS, Row};

pub struct Zen(Decision);

impl Zen {
    pub fn new(rows: &[Row]) -> Self {
        let inputs: Vec<Value> = ["product", "reason", "age", "price", "share"]
            .iter()
            .map(|field| json!({ "id": field, "name": field, "field": field }))
            .collect();
        let rules: Vec<Value> = rows.iter().enumerate().map(|(place, row)| rule(place, row)).collect();
        let content = json!({
            "nodes": [
                { "id": "in", "name": "in", "type": "inputNode", "content": {} },
                { "id": "table", "name": "table", "type": "decisionTableNode", "content": {
                    "hitPolicy": "first",
                    "inputs": inputs,
                    "outputs": [{ "id": "row", "name": "row", "field": "row" }],
                    "rules": rules,
                } },
                { "id": "out", "name": "out", "type": "outputNode", "content": {} },
            ],
            "edges": [
                { "id": "1", "sourceId": "in", "targetId": "table" },
                { "id": "2", "sourceId": "table", "targetId": "out" },
            ],
        });
        let content: DecisionContent = serde_json::from_value(content).expect("a decision graph");
        let mut decision = DecisionEngine::default().create_decision(content.into()).expect("a graph, no policy");
        decision.compile();
        Self(decision)
    }
}

fn rule(place: usize, row: &Row) -> Value {
    let quoted = |word: String| format!("'{word}'");
    let range = |(from, below): (u64, u64)| Value::from(format!("[{from}..{below})"));
    let reasons: Vec<String> = match row.reason {
        Some(reason) => vec![quoted(tables::reason(reason))],
        None => (0..REASONS).map(|reason| quoted(tables::reason(reason))).collect(),
    };
    Value::Object(Map::from_iter([
        ("_id".to_owned(), Value::from(Row::id(place))),
        ("product".to_owned(), Value::from(quoted(tables::product(row.product)))),
        ("reason".to_owned(), Value::from(reasons.join(", "))),
        ("age".to_owned(), range(row.age_hours)),
        ("price".to_owned(), range(row.price_units)),
        ("share".to_owned(), range(row.share_hundredths)),
        ("row".to_owned(), Value::from(place.to_string())),
    ]))
}

impl Engine for Zen {
    type Input<'o> = Variable;

    fn input<'o>(&self, order: &'o Order) -> Variable {
        let number = |value: i64| Variable::Number(value.into());
        Variable::from_object(
            [
                ("product", Variable::String(order.product.as_str().into())),
                ("reason", Variable::String(order.reason.as_str().into())),
                ("age", number(order.age_hours)),
                ("price", number(order.price_units)),
                ("share", number(order.share_hundredths)),
            ]
            .into_iter()
            .map(|(key, value)| (key.into(), value))
            .collect(),
        )
    }

    fn decide(&mut self, input: &Variable) -> Option<usize> {
        // A table waits for nothing, so one poll is enough and no runtime adds its own cost.
        let response = pin!(self.0.evaluate(input.clone()));
        let Poll::Ready(response) = response.poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("a table waits for nothing");
        };
        let row = response.expect("the table evaluates").result.dot("row")?;
        row.as_number().and_then(|row| usize::try_from(row).ok())
    }
}
