//! What stands around a call: a panic, a deadline, a failure.

use std::future::{Future, pending};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use requite::api::errors::Failure;
use requite::server::data::guard::{Guard, GuardedCall};
use tokio::time::timeout;
use tonic::Status;
use tonic::body::Body;
use tower::{Service, ServiceExt as _};

/// What a service does when it is called.
#[derive(Clone, Copy)]
enum Behaviour {
    PanicAtOnce,
    PanicLater,
    HangForever,
    Fail,
}

#[derive(Clone)]
struct TestService(Behaviour);

impl Service<GuardedCall<Body>> for TestService {
    type Response = Response<Body>;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: GuardedCall<Body>) -> Self::Future {
        match self.0 {
            Behaviour::PanicAtOnce => panic!("a secret"),
            Behaviour::PanicLater => Box::pin(async {
                tokio::task::yield_now().await;
                panic!("a secret")
            }),
            Behaviour::HangForever => Box::pin(pending()),
            Behaviour::Fail => Box::pin(async { Err(Failure::PolicyNotFound { policy_id: "other".to_owned() }) }),
        }
    }
}

async fn status_of(behaviour: Behaviour, deadline: &str) -> Status {
    let request = Request::builder()
        .uri("/requite.v1.RefundPolicyService/EvaluateRefund")
        .header("grpc-timeout", deadline)
        .body(Body::empty())
        .unwrap();
    let answer = Guard::new(TestService(behaviour)).oneshot(request);
    let response = timeout(Duration::from_secs(5), answer).await.unwrap().unwrap();
    assert!(!format!("{:?}", response.headers()).contains("secret"), "{:?}", response.headers());
    Status::from_header_map(response.headers()).unwrap()
}

#[tokio::test]
async fn a_panic_answers_internal_and_leaks_nothing() {
    for behaviour in [Behaviour::PanicAtOnce, Behaviour::PanicLater] {
        let status = status_of(behaviour, "5S").await;
        assert_eq!((status.code(), status.message()), (tonic::Code::Internal, "internal error"));
    }
}

#[tokio::test]
async fn a_call_that_hangs_ends_at_its_deadline() {
    assert_eq!(status_of(Behaviour::HangForever, "50m").await.code(), tonic::Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_call_whose_deadline_has_passed_does_not_begin() {
    assert_eq!(status_of(Behaviour::PanicAtOnce, "0n").await.code(), tonic::Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_failure_is_answered_by_its_status() {
    let status = status_of(Behaviour::Fail, "5S").await;
    assert_eq!((status.code(), status.message()), (tonic::Code::NotFound, "there is no policy `other` here"));
}
