//! A stream of statuses, with an end: when the server drains, when the caller's time is over, when
//! their right is taken away.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep_until};
use tokio_stream::Stream;
use tokio_stream::wrappers::WatchStream;
use tonic::Status;

use crate::api::errors::Failure;
use crate::api::pb;
use crate::engine::status;
use crate::reload::status_view::StatusHandle;
use crate::server::admin::credentials::{Credentials, Right};
use crate::server::admin::failure::AdminFailure;
use crate::server::admin::gate::Call;
use crate::server::transport::stop::{Stage, StopSignal};
use crate::server::wire;

/// The status of the replica, now and after every change.
pub(crate) struct StatusStream {
    watch: Option<Watch>,
}

struct Watch {
    shown: StatusHandle,
    news: WatchStream<Arc<status::Status>>,
    stages: WatchStream<Stage>,
    over: Option<Pin<Box<Sleep>>>,
    call: Call,
    credentials: Arc<ArcSwap<Credentials>>,
    _place: OwnedSemaphorePermit,
}

impl StatusStream {
    /// For one caller, who takes one of the places for watchers.
    pub(crate) fn new(
        shown: StatusHandle,
        stop: &StopSignal,
        call: Call,
        credentials: Arc<ArcSwap<Credentials>>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let over = call.asked_until.map(|until| Box::pin(sleep_until(until)));
        let (news, stages) = (WatchStream::new(shown.told.clone()), WatchStream::new(stop.stages()));
        Self { watch: Some(Watch { shown, news, stages, over, call, credentials, _place: place }) }
    }
}

impl Watch {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<pb::WatchPolicyStatusResponse, AdminFailure>> {
        if self.over.as_mut().is_some_and(|over| over.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(Err(Failure::DeadlineExceeded.into()));
        }
        match Pin::new(&mut self.news).poll_next(cx) {
            Poll::Ready(Some(_)) => return Poll::Ready(self.permitted().map(|()| self.message())),
            Poll::Ready(None) => return Poll::Ready(Err(AdminFailure::Stopping)),
            Poll::Pending => {}
        }
        loop {
            match Pin::new(&mut self.stages).poll_next(cx) {
                Poll::Ready(Some(Stage::Serving)) => {}
                Poll::Ready(Some(Stage::Draining) | None) => return Poll::Ready(Err(AdminFailure::Stopping)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn message(&self) -> pb::WatchPolicyStatusResponse {
        pb::WatchPolicyStatusResponse { status: Some(wire::status::status(&self.shown.now())) }
    }

    /// A stream may outlive what its caller was let in for.
    fn permitted(&self) -> Result<(), AdminFailure> {
        match self.credentials.load().recognise(self.call.caller.shown.clone(), (self.shown.clock)()) {
            Err(cause) => Err(AdminFailure::Unauthenticated(cause)),
            Ok(caller) if caller.rights.has(Right::Read) => Ok(()),
            Ok(_) => Err(AdminFailure::NotPermitted { right: Right::Read }),
        }
    }
}

impl Stream for StatusStream {
    type Item = Result<pb::WatchPolicyStatusResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(watch) = &mut self.watch else { return Poll::Ready(None) };
        match watch.poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(message)) => Poll::Ready(Some(Ok(message))),
            Poll::Ready(Err(failure)) => {
                self.watch = None;
                Poll::Ready(Some(Err(failure.status())))
            }
        }
    }
}
