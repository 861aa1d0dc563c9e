//! Places for work that takes long, such as a large explanation: a few at once, given to callers in turn.
//!
//! One queue for all would let the busiest caller keep all others waiting. So each caller has a queue of its
//! own, and a place that becomes free goes to the caller that holds fewest; among those, to the one that has
//! had them for the shortest time (start-time fair queueing, with the time known once a place is given back).

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::server::overload::caller::Payer;

/// Minimum cost of a place, in nanoseconds, so that callers that give places back at once take turns.
const TURN_NANOS_MIN: u64 = 1_000;

/// Places of one kind.
#[derive(Clone, Debug)]
pub(crate) struct FairPlaces(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queues: Mutex<Queues>,
    given: AtomicU64,
    /// Sum of the waits of those that got a place, in nanoseconds.
    waited_nanos: AtomicU64,
}

#[derive(Debug)]
struct Queues {
    /// Nobody waits while there are any.
    free: usize,
    /// Callers that wait for places or hold some.
    callers: HashMap<Payer, Queue>,
    /// The time of the caller that was given a place last: where one begins that comes anew.
    clock: u64,
    /// Since when somebody waits.
    crowded_since: Option<Instant>,
    /// Time in which somebody waited before that, in nanoseconds.
    crowded_nanos: u64,
}

/// Calls waiting and places held, of one caller.
#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<oneshot::Sender<Place>>,
    held: usize,
    /// Time that it has held places, in nanoseconds.
    time: u64,
}

/// A place; given back when dropped.
#[must_use]
#[derive(Debug)]
pub(crate) struct Place {
    /// `None` once nobody was there to take it.
    of: Option<(FairPlaces, Payer)>,
    since: Instant,
}

/// Use of places since the program started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct PlacesUse {
    /// Places that were given.
    pub(super) given: u64,
    /// Sum of the waits of those that got a place.
    pub(super) waited: Duration,
    /// Time in which somebody waited.
    pub(super) crowded: Duration,
}

impl PlacesUse {
    /// The use since `before`.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            given: self.given.wrapping_sub(before.given),
            waited: self.waited.saturating_sub(before.waited),
            crowded: self.crowded.saturating_sub(before.crowded),
        }
    }

    /// Mean wait for a place.
    pub(super) fn mean_wait(self) -> Duration {
        self.waited / u32::try_from(self.given).unwrap_or(u32::MAX).max(1)
    }
}

impl FairPlaces {
    /// So many places, at least one.
    pub(crate) fn new(places: usize) -> Self {
        let queues =
            Queues { free: places.max(1), callers: HashMap::new(), clock: 0, crowded_since: None, crowded_nanos: 0 };
        Self(Arc::new(Shared { queues: Mutex::new(queues), given: AtomicU64::new(0), waited_nanos: AtomicU64::new(0) }))
    }

    /// A place, where one is free.
    pub(crate) fn take(&self, payer: &Payer) -> Option<Place> {
        let mut queues = self.queues();
        queues.free = queues.free.checked_sub(1)?;
        queues.of(payer).begin();
        drop(queues);
        self.0.given.fetch_add(1, Relaxed);
        Some(self.place(payer))
    }

    /// Waits for a place, behind others of the same caller only.
    pub(crate) async fn wait(&self, payer: &Payer) -> Option<Place> {
        let asked = Instant::now();
        let place = match self.ask(payer) {
            Ok(place) => place,
            // Whoever gives places is there as long as this is.
            Err(given) => given.await.ok()?,
        };
        let waited = u64::try_from(asked.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.0.waited_nanos.fetch_add(waited, Relaxed);
        Some(place)
    }

    /// Reads the sum of the waits for a place, and the time in which somebody waited.
    pub(super) fn measure(&self) -> PlacesUse {
        let queues = self.queues();
        let now = queues.crowded_since.map_or(Duration::ZERO, |since| since.elapsed());
        PlacesUse {
            given: self.0.given.load(Relaxed),
            waited: Duration::from_nanos(self.0.waited_nanos.load(Relaxed)),
            crowded: Duration::from_nanos(queues.crowded_nanos) + now,
        }
    }

    /// A place, or where it will be given.
    fn ask(&self, payer: &Payer) -> Result<Place, oneshot::Receiver<Place>> {
        if let Some(place) = self.take(payer) {
            return Ok(place);
        }
        let (give, given) = oneshot::channel();
        let mut queues = self.queues();
        queues.of(payer).wait(give);
        queues.crowded_since.get_or_insert_with(Instant::now);
        // One may have become free meanwhile.
        self.give(&mut queues);
        Err(given)
    }

    fn place(&self, payer: &Payer) -> Place {
        Place { of: Some((self.clone(), payer.clone())), since: Instant::now() }
    }

    /// Gives free places to those who wait.
    fn give(&self, queues: &mut Queues) {
        while queues.free != 0 {
            let Some((payer, queue)) = queues.next() else { break };
            let Some(give) = queue.waiting.pop_front() else { break };
            match give.send(self.place(payer)) {
                Ok(()) => {
                    let time = queue.time;
                    queue.begin();
                    (queues.free, queues.clock) = (queues.free - 1, time);
                    self.0.given.fetch_add(1, Relaxed);
                }
                // Whoever does not wait any more is passed over: the place was not theirs yet.
                Err(mut place) => place.of = None,
            }
        }
        queues.callers.retain(|_, queue| queue.held != 0 || !queue.waiting.is_empty());
        if queues.callers.values().all(|queue| queue.waiting.is_empty())
            && let Some(since) = queues.crowded_since.take()
        {
            queues.crowded_nanos = queues.crowded_nanos.saturating_add(nanos(since.elapsed()));
        }
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.0.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queues {
    /// The queue of a caller; one that comes anew begins where the others are.
    fn of(&mut self, payer: &Payer) -> &mut Queue {
        let time = self.clock;
        self.callers.entry(payer.clone()).or_insert_with(|| Queue { time, ..Queue::default() })
    }

    /// The queue whose turn it is.
    fn next(&mut self) -> Option<(&Payer, &mut Queue)> {
        let waiting = self.callers.iter_mut().filter(|(_, queue)| !queue.waiting.is_empty());
        waiting.min_by_key(|(_, queue)| (queue.held, queue.time))
    }
}

impl Queue {
    fn begin(&mut self) {
        self.held += 1;
        self.time = self.time.saturating_add(TURN_NANOS_MIN);
    }

    fn wait(&mut self, give: oneshot::Sender<Place>) {
        // Those who went away are let go now and then, so that they do not collect.
        if self.waiting.len().is_power_of_two() {
            self.waiting.retain(|waiting| !waiting.is_closed());
        }
        self.waiting.push_back(give);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((places, payer)) = self.of.take() else { return };
        let mut queues = places.queues();
        queues.free += 1;
        if let Some(queue) = queues.callers.get_mut(&payer) {
            queue.held = queue.held.saturating_sub(1);
            queue.time = queue.time.saturating_add(nanos(self.since.elapsed()));
        }
        places.give(&mut queues);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::server::overload::caller::{CallerKey, Callers};

    type Waiting<'p> = Pin<Box<dyn Future<Output = Option<Place>> + 'p>>;

    fn payers<const N: usize>() -> [Payer; N] {
        let callers = Callers::new(1);
        std::array::from_fn(|number| {
            let address = std::net::Ipv4Addr::from_bits(u32::try_from(number).unwrap());
            Payer(callers.get(CallerKey::of_address(address.into()), None))
        })
    }

    fn given(waiting: &mut Waiting<'_>) -> Option<Place> {
        match waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(place) => Some(place.unwrap()),
            Poll::Pending => None,
        }
    }

    /// One that waits because no place is free.
    fn wait<'p>(places: &'p FairPlaces, payer: &'p Payer) -> Waiting<'p> {
        let mut waiting: Waiting<'_> = Box::pin(places.wait(payer));
        assert!(given(&mut waiting).is_none());
        waiting
    }

    /// Free places, and callers that wait or hold one.
    fn free_and_known(places: &FairPlaces) -> (usize, usize) {
        let queues = places.queues();
        (queues.free, queues.callers.len())
    }

    #[test]
    fn whoever_comes_with_one_call_is_not_behind_the_hundred_of_another() {
        let ([greedy, modest], places) = (payers(), FairPlaces::new(1));
        let held = places.take(&greedy).unwrap();
        let mut waiting: Vec<_> = (0..100).map(|_| wait(&places, &greedy)).collect();
        let mut one = wait(&places, &modest);
        drop(held);
        assert!(waiting.iter_mut().all(|waiting| given(waiting).is_none()));
        let place = given(&mut one).unwrap();
        drop(place);
        // Within a caller, they come in the order in which they were asked for.
        for waiting in &mut waiting {
            drop(given(waiting).unwrap());
        }
        assert_eq!(free_and_known(&places), (1, 0));
    }

    #[test]
    fn a_free_place_goes_to_the_caller_that_holds_fewest() {
        let ([greedy, modest], places) = (payers(), FairPlaces::new(3));
        let mut held: Vec<_> = (0..3).map(|_| places.take(&greedy).unwrap()).collect();
        assert!(places.take(&modest).is_none());
        let mut again = wait(&places, &greedy);
        let mut first = wait(&places, &modest);
        let mut second = wait(&places, &modest);
        held.pop();
        let first = given(&mut first).unwrap();
        held.pop();
        // Each holds one: the turn is of the one that had them for less time.
        assert_eq!(given(&mut again).is_some(), given(&mut second).is_none());
        drop((held, first));
        assert_eq!(places.queues().free, 2);
    }

    #[test]
    fn whoever_does_not_wait_any_more_is_passed_over_and_let_go() {
        let ([greedy, modest], places) = (payers(), FairPlaces::new(1));
        let held = places.take(&greedy).unwrap();
        for _ in 0..1_000 {
            drop(wait(&places, &greedy));
        }
        assert!(places.queues().callers.values().all(|queue| queue.waiting.len() < 4));
        let mut last = wait(&places, &modest);
        let given_but_not_taken = wait(&places, &greedy);
        assert_eq!(places.measure().given, 1);
        drop(held);
        drop(given(&mut last).unwrap());
        drop(given_but_not_taken);
        assert_eq!(free_and_known(&places), (1, 0));
        assert_eq!(places.queues().crowded_since, None);
        assert!(Duration::ZERO < places.measure().crowded);
    }
}
