//! `grpc.health.v1`, with an end: a watch lasts until the server says GOAWAY.
//!
//! The library's watch never ends by itself, so one watching client would hold every stop up for
//! the whole time of draining.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio_stream::Stream;
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status, async_trait};
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_health::server::{HealthReporter, HealthService};

use crate::api::limits::SMALL_MESSAGE_BYTES_MAX;
use crate::server::transport::stop::{Stage, StopSignal};

/// The reported health of this server.
#[derive(Clone, Debug)]
pub(crate) struct Reported {
    reporter: HealthReporter,
    services: &'static [&'static str],
}

impl Reported {
    /// Serving: the server as a whole, and these services.
    pub(crate) async fn serving(services: &'static [&'static str]) -> Self {
        let reported = Self { reporter: HealthReporter::new(), services };
        reported.set(ServingStatus::Serving).await;
        reported
    }

    /// From now on: not serving.
    pub(crate) async fn not_serving(&self) {
        self.set(ServingStatus::NotServing).await;
    }

    async fn set(&self, status: ServingStatus) {
        // The empty name stands for the server as a whole.
        for service in std::iter::once("").chain(self.services.iter().copied()) {
            self.reporter.set_service_status(service, status).await;
        }
    }

    /// The service that tells it.
    pub(crate) fn server(&self, stop: StopSignal) -> HealthServer<impl Health> {
        let inner = HealthService::from_health_reporter(self.reporter.clone());
        HealthServer::new(EndingHealth { inner, stop }).max_decoding_message_size(SMALL_MESSAGE_BYTES_MAX)
    }
}

struct EndingHealth {
    inner: HealthService,
    stop: StopSignal,
}

#[async_trait]
impl Health for EndingHealth {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        self.inner.check(request).await
    }

    type WatchStream = EndingWatch;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let stages = WatchStream::new(self.stop.stages());
        Ok(self.inner.watch(request).await?.map(|inner| EndingWatch { inner: Some(inner), stages }))
    }
}

/// A watch that ends when the server drains.
pub(crate) struct EndingWatch {
    inner: Option<tonic_health::server::WatchStream>,
    stages: WatchStream<Stage>,
}

impl Stream for EndingWatch {
    type Item = Result<HealthCheckResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        // News first: a watcher hears NOT_SERVING before its stream ends.
        if let Poll::Ready(news) = Pin::new(inner).poll_next(cx) {
            return Poll::Ready(news);
        }
        loop {
            match Pin::new(&mut this.stages).poll_next(cx) {
                Poll::Ready(Some(Stage::Serving)) => {}
                Poll::Ready(Some(Stage::Draining) | None) => {
                    this.inner = None;
                    return Poll::Ready(Some(Err(Status::unavailable("the server is stopping"))));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
