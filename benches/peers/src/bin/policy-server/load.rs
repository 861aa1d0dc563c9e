//! Closed loops of requests, every answer checked, and what they cost the server.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use prost_types::value::Kind;
use prost_types::{Timestamp, Value};
use requite::api::pb;
use requite::api::pb::refund_policy_service_client::RefundPolicyServiceClient;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use crate::messages::{ALLOW, CheckResourcesRequest, CheckResourcesResponse, Principal, Resource, ResourceEntry};
use crate::order::Order;
use crate::servers::Server;
use crate::tables::Row;

/// How many connections, and how many requests are in flight on each.
#[derive(Clone, Copy)]
pub struct Shape {
    pub connections: usize,
    pub in_flight: usize,
}

/// What one request cost.
pub struct Cost {
    /// Processor time of the server, in microseconds.
    pub processor_us: f64,
    /// Requests answered in a second, over all connections.
    pub per_second: f64,
}

/// A question to one kind of server.
pub trait Asks: Clone + Send + 'static {
    /// Asks once and checks the answer.
    fn ask(&self, channel: &Channel) -> impl Future<Output = ()> + Send;
}

const WARM_UP: Duration = Duration::from_secs(1);

/// Asks for so long, after a warm-up on the same connections.
pub async fn measure(server: &Server, question: impl Asks, shape: Shape, lasting: Duration) -> Cost {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).expect("an address").tcp_nodelay(true);
    let mut channels = Vec::new();
    for _ in 0..shape.connections {
        channels.push(endpoint.connect().await.expect("the server listens"));
    }
    run(&channels, &question, shape, WARM_UP).await;
    let (begun, used) = (Instant::now(), server.processor_seconds());
    let answers = run(&channels, &question, shape, lasting).await;
    let (elapsed, used) = (begun.elapsed(), server.processor_seconds() - used);
    Cost { processor_us: used * 1e6 / answers as f64, per_second: answers as f64 / elapsed.as_secs_f64() }
}

/// How many answers came.
async fn run(channels: &[Channel], question: &impl Asks, shape: Shape, lasting: Duration) -> u64 {
    let end = Instant::now() + lasting;
    let mut loops = Vec::new();
    for channel in channels {
        for _ in 0..shape.in_flight {
            let (channel, question) = (channel.clone(), question.clone());
            loops.push(tokio::spawn(async move {
                let mut answers = 0;
                while Instant::now() < end {
                    question.ask(&channel).await;
                    answers += 1;
                }
                answers
            }));
        }
    }
    let mut answers = 0;
    for one in loops {
        answers += one.await.expect("every answer is right");
    }
    answers
}

/// A question to requite.
#[derive(Clone)]
pub struct Requite {
    request: pb::EvaluateRefundRequest,
    kept: i64,
}

impl Requite {
    pub fn new(order: &Order, row: &Row) -> Self {
        let moment = |moment: requite::domain::time::Timestamp| {
            let (seconds, nanos) = moment.unix();
            Some(Timestamp { seconds, nanos })
        };
        let money = |units| pb::Money { currency_code: "CNY".to_owned(), units, nanos: 0 };
        let line = pb::OrderLine {
            line_id: "line-1".to_owned(),
            product_type: order.product.clone(),
            paid: Some(money(order.price_units)),
            completed: Some(pb::Fraction { numerator: order.share_hundredths, denominator: 100 }),
            ..pb::OrderLine::default()
        };
        let request = pb::EvaluateRefundRequest {
            request_id: "request-1".to_owned(),
            order: Some(pb::Order {
                order_id: "order-1".to_owned(),
                placed_at: moment(order.placed_at),
                times: BTreeMap::new(),
                lines: vec![line],
                ..pb::Order::default()
            }),
            claim: Some(pb::Claim {
                reason: order.reason.clone(),
                channel: "app".to_owned(),
                requested_at: moment(order.requested_at),
                ..pb::Claim::default()
            }),
            ..pb::EvaluateRefundRequest::default()
        };
        Self { request, kept: order.price_units * i64::try_from(row.percent).expect("a percentage") }
    }
}

impl Asks for Requite {
    async fn ask(&self, channel: &Channel) {
        let mut client = RefundPolicyServiceClient::new(channel.clone());
        let answer = client.evaluate_refund(self.request.clone()).await.expect("requite answers").into_inner();
        let kept = answer.deductions.first().and_then(|deduction| deduction.amount.as_ref()).expect("an amount");
        assert_eq!(kept.units * 100 + i64::from(kept.nanos / 10_000_000), self.kept, "requite keeps as the row says");
    }
}

/// A question to Cerbos.
#[derive(Clone)]
pub struct Cerbos {
    request: CheckResourcesRequest,
    percent: f64,
}

impl Cerbos {
    pub fn new(order: &Order, row: &Row) -> Self {
        let word = |text: &str| Value { kind: Some(Kind::StringValue(text.to_owned())) };
        let number = |number: i64| Value { kind: Some(Kind::NumberValue(number as f64)) };
        let attributes = [
            ("product", word(&order.product)),
            ("reason", word(&order.reason)),
            ("age", number(order.age_hours)),
            ("price", number(order.price_units)),
            ("share", number(order.share_hundredths)),
        ];
        let resource = Resource {
            kind: "order".to_owned(),
            id: "order-1".to_owned(),
            attr: HashMap::from(attributes.map(|(name, value)| (name.to_owned(), value))),
        };
        let request = CheckResourcesRequest {
            request_id: "request-1".to_owned(),
            principal: Some(Principal { id: "customer-1".to_owned(), roles: vec!["customer".to_owned()] }),
            resources: vec![ResourceEntry { actions: vec!["refund".to_owned()], resource: Some(resource) }],
        };
        Self { request, percent: row.percent as f64 }
    }
}

impl Asks for Cerbos {
    async fn ask(&self, channel: &Channel) {
        let mut client = Grpc::new(channel.clone());
        client.ready().await.expect("the connection lasts");
        let path = PathAndQuery::from_static("/cerbos.svc.v1.CerbosService/CheckResources");
        let codec = ProstCodec::<CheckResourcesRequest, CheckResourcesResponse>::default();
        let request = tonic::Request::new(self.request.clone());
        let answer: CheckResourcesResponse =
            client.unary(request, path, codec).await.expect("cerbos answers").into_inner();
        let result = answer.results.first().expect("one result");
        assert_eq!(result.actions.get("refund"), Some(&ALLOW), "the row allows it");
        let outputs: Vec<_> = result.outputs.iter().filter_map(|output| output.val.as_ref()?.kind.clone()).collect();
        assert_eq!(outputs, [Kind::NumberValue(self.percent)], "the row says how much is kept");
    }
}
