//! Cedar: a policy for each row. What is tested for being equal stands in the scope, which Cedar
//! looks at first; the rest is a condition on the context. The policy that determined the answer
//! names the row.

use std::fmt::Write as _;
use std::str::FromStr as _;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityId, EntityTypeName, EntityUid, PolicySet, Request,
    RestrictedExpression,
};

use crate::engines::Engine;
use crate::order::Order;
use crate::tables::{self, REASONS, Row};

pub struct Cedar {
    authorizer: Authorizer,
    policies: PolicySet,
    entities: Entities,
    customer: EntityUid,
    action: EntityTypeName,
    product: EntityTypeName,
}

impl Cedar {
    pub fn new(rows: &[Row]) -> Self {
        let mut text = String::new();
        for row in rows {
            let action = match row.reason {
                Some(reason) => format!("action == Action::\"{}\"", tables::reason(reason)),
                None => {
                    let all = (0..REASONS).map(|reason| format!("Action::\"{}\"", tables::reason(reason)));
                    format!("action in [{}]", all.collect::<Vec<_>>().join(", "))
                }
            };
            let range =
                |name: &str, (from, below): (u64, u64)| format!("{from} <= context.{name} && context.{name} < {below}");
            writeln!(
                text,
                "permit (principal, {action}, resource == Product::\"{}\") when {{ {} && {} && {} }};",
                tables::product(row.product),
                range("age", row.age_hours),
                range("price", row.price_units),
                range("share", row.share_hundredths),
            )
            .expect("a string takes everything");
        }
        let type_name = |name| EntityTypeName::from_str(name).expect("a type name");
        Self {
            authorizer: Authorizer::new(),
            policies: PolicySet::from_str(&text).expect("policies"),
            entities: Entities::empty(),
            customer: EntityUid::from_type_name_and_id(type_name("Customer"), EntityId::new("c")),
            action: type_name("Action"),
            product: type_name("Product"),
        }
    }
}

impl Engine for Cedar {
    type Input<'o> = Request;

    fn input<'o>(&self, order: &'o Order) -> Request {
        let number = RestrictedExpression::new_long;
        let context = Context::from_pairs([
            ("age".to_owned(), number(order.age_hours)),
            ("price".to_owned(), number(order.price_units)),
            ("share".to_owned(), number(order.share_hundredths)),
        ]);
        let uid = |type_name: &EntityTypeName, id: &str| {
            EntityUid::from_type_name_and_id(type_name.clone(), EntityId::new(id))
        };
        Request::new(
            self.customer.clone(),
            uid(&self.action, &order.reason),
            uid(&self.product, &order.product),
            context.expect("three numbers"),
            None,
        )
        .expect("no schema to offend")
    }

    fn decide(&mut self, input: &Request) -> Option<usize> {
        let response = self.authorizer.is_authorized(input, &self.policies, &self.entities);
        match response.decision() {
            // The ids of policies read from one text are `policy0`, `policy1`, …
            Decision::Allow => {
                let id: &str = response.diagnostics().reason().next().expect("a policy said so").as_ref();
                Some(id.strip_prefix("policy").expect("a numbered policy").parse().expect("a number"))
            }
            Decision::Deny => None,
        }
    }
}
