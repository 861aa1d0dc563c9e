//! Requite: the table as a policy, admitted as a server would admit it.

use requite::decision::explain::Silent;
use requite::decision::{Purpose, decide, intake};
use requite::domain::decision::{Decision, RuleRef};
use requite::domain::facts::Facts;
use requite::domain::request::{Claim, Fraction, Line, Money, Order as OrderSaid, Request};
use requite::engine::admit::admit;
use requite::plan::Plan;
use requite::policy::bundle::{Bundle, BundleFile};

use crate::engines::Engine;
use crate::order::Order;
use crate::tables::{Row, policy};

pub struct Requite {
    plan: Plan,
    percents: Vec<u64>,
}

impl Requite {
    pub fn new(rows: &[Row]) -> Self {
        let file = BundleFile { path: "table.policy.yaml".to_owned(), bytes: policy(rows).into_bytes() };
        let admission = admit(&Bundle::new(vec![file]).expect("one file")).expect("the table is a policy");
        let plan = admission.plans.into_iter().next().expect("one policy");
        Self { plan, percents: rows.iter().map(|row| row.percent).collect() }
    }

    /// The row; that its percentage was kept of the price is checked on the way.
    fn row(&self, decision: &Decision) -> Option<usize> {
        let line = decision.lines.first().expect("one line");
        match line.rule {
            RuleRef::Rule(row) => {
                let row = row as usize;
                let kept = line.base.minor() - decision.refund.minor();
                assert_eq!(kept * 100, line.base.minor() * self.percents[row] as i64, "the row says how much is kept");
                Some(row)
            }
            RuleRef::Otherwise => None,
        }
    }
}

impl Engine for Requite {
    type Input<'o> = Facts<'o>;

    fn input<'o>(&self, order: &'o Order) -> Facts<'o> {
        let paid = Money { currency: "CNY", units: order.price_units, nanos: 0 };
        let request = Request {
            order: OrderSaid {
                id: "order-1",
                placed_at: Some(order.placed_at),
                lines: vec![Line {
                    id: "line-1",
                    product_type: &order.product,
                    paid: Some(paid),
                    completed: Some(Fraction { numerator: order.share_hundredths, denominator: 100 }),
                    ..Line::default()
                }],
                ..OrderSaid::default()
            },
            claim: Claim {
                reason: &order.reason,
                channel: "app",
                requested_at: Some(order.requested_at),
                ..Claim::default()
            },
        };
        intake(&self.plan, &request, Purpose::Decision).expect("the request fits the policy")
    }

    fn decide(&mut self, input: &Facts<'_>) -> Option<usize> {
        self.row(&decide(&self.plan, input, &mut Silent))
    }
}
