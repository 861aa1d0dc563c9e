//! Admission: whether a call is taken, and what it holds while it is answered.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Response};
use tonic::body::Body;

use crate::server::overload::Limiter;
use crate::server::overload::caller::{Caller, CallerKey, Payer};
use crate::server::overload::limits::{PLACES_LEFT_DIVISOR, TRANSPORT_NANOS};
use crate::server::overload::refusal::Refused;
use crate::telemetry::caller::CallerLabel;
use crate::telemetry::event::Shed;

/// A caller, and the value of the header that names it.
type Named = (HeaderValue, Arc<Caller>);

/// Admission of the calls of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    limiter: Arc<Limiter>,
    /// The connected peer.
    peer: Arc<Caller>,
    /// The last caller, where a header names callers: the next call is most likely theirs, too.
    named: Arc<Mutex<Option<Named>>>,
    /// The last call was not taken.
    refused: Arc<AtomicBool>,
}

impl Admission {
    /// For a connection of this caller.
    pub(crate) fn new(limiter: &Arc<Limiter>, peer: CallerKey) -> Self {
        let peer = limiter.callers.get(peer, limiter.share());
        Self { limiter: Arc::clone(limiter), peer, named: Arc::default(), refused: Arc::default() }
    }

    /// Takes a call with these headers, or says why not, and to whom.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> Result<Permit, (Refused, CallerLabel)> {
        let Some(name) = &self.limiter.config.caller_header else { return self.admit_from(&self.peer) };
        match headers.get(name) {
            Some(name) => self.admit_from(&self.named(name)),
            None => self.admit_from(&self.peer),
        }
    }

    /// Returns whether the last call was refused, and resets that; asked once after each call.
    pub(crate) fn take_refused(&self) -> bool {
        self.refused.load(Relaxed) && self.refused.swap(false, Relaxed)
    }

    /// The answer to a call that is not taken.
    pub(crate) fn refusal(&self, refused: Refused) -> Response<Body> {
        self.limiter.refusals.response(refused)
    }

    /// The payer for calls without a name.
    pub(crate) fn peer(&self) -> Payer {
        Payer(Arc::clone(&self.peer))
    }

    pub(super) fn limiter(&self) -> &Arc<Limiter> {
        &self.limiter
    }

    /// The caller whose calls come on this connection, as far as is known.
    pub(super) fn caller(&self) -> Arc<Caller> {
        let named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        named.as_ref().map_or_else(|| Arc::clone(&self.peer), |(_, caller)| Arc::clone(caller))
    }

    fn named(&self, name: &HeaderValue) -> Arc<Caller> {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        match named.as_ref() {
            Some((known, caller)) if known == name => Arc::clone(caller),
            Some(_) | None => {
                let caller = self.limiter.callers.get(CallerKey::of_name(name.as_bytes()), self.limiter.share());
                *named = Some((name.clone(), Arc::clone(&caller)));
                caller
            }
        }
    }

    fn admit_from(&self, caller: &Arc<Caller>) -> Result<Permit, (Refused, CallerLabel)> {
        let admitted = match self.limiter.config.concurrency_limit {
            Some(max) => self.admit_one_of(max.get(), caller),
            None => self.admit_by_share(caller),
        };
        admitted.map_err(|refused| {
            caller.refuse();
            self.refused.store(true, Relaxed);
            Shed { reason: refused.shed_reason() }.record();
            (refused, caller.label)
        })
    }

    fn admit_by_share(&self, caller: &Arc<Caller>) -> Result<Permit, Refused> {
        let reserved = match self.limiter.share() {
            None => 0,
            Some(_) => caller.reserve().ok_or(match caller.is_greedy() {
                true => Refused::CallerOverShare,
                false => Refused::Overloaded,
            })?,
        };
        caller.totals.admitted.fetch_add(1, Relaxed);
        Ok(Permit { caller: Arc::clone(caller), kind: PermitKind::Share { reserved }, cost: TRANSPORT_NANOS })
    }

    /// Callers that are active have equal parts of the places. One that is alone leaves some for those who come: its calls
    /// may hold theirs for as long as it pleases.
    fn admit_one_of(&self, max: usize, caller: &Arc<Caller>) -> Result<Permit, Refused> {
        let totals = self.limiter.callers.totals();
        let active = totals.active.load(Relaxed).max(1);
        let part = (max / active).min(max - max / PLACES_LEFT_DIVISOR).max(1);
        if part <= caller.in_flight.load(Relaxed) {
            return Err(if active == 1 { Refused::Overloaded } else { Refused::CallerOverShare });
        }
        // Two threads at once may both see room, so it is taken first and looked at then.
        totals.admitted.fetch_add(1, Relaxed);
        caller.in_flight.fetch_add(1, Relaxed);
        let permit = Permit { caller: Arc::clone(caller), kind: PermitKind::Place, cost: TRANSPORT_NANOS };
        if (max as u64) < totals.in_flight() { Err(Refused::Overloaded) } else { Ok(permit) }
    }
}

/// A call that was taken; dropped when its answer is sent, or nobody wants it any more.
#[must_use]
#[derive(Debug)]
pub(crate) struct Permit {
    caller: Arc<Caller>,
    kind: PermitKind,
    /// Work done so far, in nanoseconds.
    cost: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum PermitKind {
    /// So much of the caller's credit was taken for it, in nanoseconds.
    Share { reserved: u64 },
    /// It has one of the caller's places.
    Place,
}

impl Permit {
    /// The caller, where a header has named it.
    pub(crate) fn named(&self) -> Option<Payer> {
        (self.caller.label != CallerLabel::UNNAMED).then(|| Payer(Arc::clone(&self.caller)))
    }

    /// Charges work that was done for the call.
    pub(super) fn charge(&mut self, work: Duration) {
        let nanos = u64::try_from(work.as_nanos()).unwrap_or(u64::MAX);
        self.cost = self.cost.saturating_add(nanos);
        self.caller.charge(nanos);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.caller.charge(TRANSPORT_NANOS);
        self.caller.note_cost(self.cost);
        self.caller.totals.finished.fetch_add(1, Relaxed);
        match self.kind {
            PermitKind::Share { reserved: 0 } => {}
            PermitKind::Share { reserved } => self.caller.settle(reserved, self.cost),
            PermitKind::Place => {
                self.caller.in_flight.fetch_sub(1, Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::overload::OverloadConfig;

    fn fixed(max: usize) -> Arc<Limiter> {
        let concurrency_limit = std::num::NonZeroUsize::new(max);
        Limiter::new(OverloadConfig { concurrency_limit, ..OverloadConfig::default() }, 1)
    }

    fn of(limiter: &Arc<Limiter>, name: &str) -> Admission {
        Admission::new(limiter, CallerKey::of_name(name.as_bytes()))
    }

    fn refused(admission: &Admission) -> Option<Refused> {
        admission.admit(&HeaderMap::new()).map_err(|(refused, _)| refused).err()
    }

    #[test]
    fn a_fixed_limit_counts_calls_until_their_answers_are_sent() {
        let limiter = fixed(2);
        let (shop, none) = (of(&limiter, "shop"), HeaderMap::new());
        let first = shop.admit(&none).unwrap();
        let _second = shop.admit(&none).unwrap();
        assert_eq!(refused(&shop), Some(Refused::Overloaded));
        assert_eq!(limiter.callers.totals().in_flight(), 2, "what is refused holds no place");
        drop(first);
        assert!(shop.admit(&none).is_ok());
    }

    #[test]
    fn under_a_fixed_limit_active_callers_have_equal_parts() {
        let limiter = fixed(4);
        let (shop, other, none) = (of(&limiter, "shop"), of(&limiter, "other"), HeaderMap::new());
        let mut held: Vec<_> = (0..4).map(|_| shop.admit(&none).unwrap()).collect();
        assert_eq!(refused(&other), Some(Refused::Overloaded));
        held.iter_mut().for_each(|permit| permit.charge(Duration::from_micros(1)));
        let _ = limiter.callers.end_window();
        held.pop();
        assert_eq!(refused(&shop), Some(Refused::CallerOverShare));
        assert!(other.admit(&none).is_ok());
    }

    #[test]
    fn under_a_fixed_limit_one_caller_never_has_all_places() {
        let limiter = fixed(100);
        let (shop, other, none) = (of(&limiter, "shop"), of(&limiter, "other"), HeaderMap::new());
        let held: Vec<_> = (0..200).map_while(|_| shop.admit(&none).ok()).collect();
        assert_eq!(held.len(), 90);
        let _ = limiter.callers.end_window();
        let held: Vec<_> = (0..200).map_while(|_| other.admit(&none).ok()).collect();
        assert_eq!(held.len(), 10);
        // Whoever holds places is active, whether it calls or not.
        for _ in 0..30 {
            let _ = limiter.callers.end_window();
        }
        assert_eq!(limiter.callers.totals().active.load(Relaxed), 2);
    }

    #[test]
    fn a_header_names_the_caller_and_the_peer_is_the_caller_without_it() {
        let name = http::HeaderName::from_static("x-caller");
        let config =
            OverloadConfig { caller_header: Some(name.clone()), concurrency_limit: std::num::NonZeroUsize::new(1) };
        let admission = of(&Limiter::new(config, 1), "peer");
        let headers = |value: &'static str| HeaderMap::from_iter([(name.clone(), HeaderValue::from_static(value))]);
        let permit = |headers: &HeaderMap| admission.admit(headers).map(|permit| Arc::as_ptr(&permit.caller));
        let (shop, again) = (permit(&headers("shop")).unwrap(), permit(&headers("shop")).unwrap());
        assert_eq!(shop, again);
        assert_ne!(shop, permit(&headers("other")).unwrap());
        assert_eq!(permit(&HeaderMap::new()).unwrap(), Arc::as_ptr(&admission.peer));
    }
}
