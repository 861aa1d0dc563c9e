//! The share under load, with a clock that is made up: what callers get, and how soon all is normal again.
//!
//! A server of one thread is simulated: in each window it does what callers ask for within their shares, as
//! far as there is time; what it cannot do waits, as far as a caller's streams have room for it.

use std::time::Duration;

use crate::server::overload::limits::{CALM_WINDOWS, SHARE_MIN, WINDOW};
use crate::server::overload::share::{Controller, Share, Window};

/// Work that one thread does in a second.
const CAPACITY: f64 = 1e9;

/// Work that waits for one caller at most: the streams of its connections.
const WAITING_MAX: f64 = 0.03 * CAPACITY;

struct Server {
    controller: Controller,
    share: Option<Share>,
    /// Work that was taken and not done, by caller.
    queues: Vec<f64>,
}

impl Server {
    fn new(callers: usize) -> Self {
        Self { controller: Controller::default(), share: None, queues: vec![0.0; callers] }
    }

    /// One window in which each caller asks for so much work per second. Says what each of them gets per second.
    fn window(&mut self, asked: &[f64]) -> Vec<f64> {
        let seconds = WINDOW.as_secs_f64();
        let taken: Vec<f64> =
            asked.iter().map(|asked| self.share.map_or(*asked, |share| asked.min(share as f64))).collect();
        let refused: f64 = asked.iter().zip(&taken).map(|(asked, taken)| asked - taken).sum();
        for (queue, taken) in self.queues.iter_mut().zip(&taken) {
            *queue = (*queue + taken * seconds).min(CAPACITY * seconds + WAITING_MAX);
        }
        // All wait in one queue, as connections wait for a thread.
        let waiting: f64 = self.queues.iter().sum();
        let done = (CAPACITY * seconds).min(waiting);
        let part = if waiting == 0.0 { 0.0 } else { done / waiting };
        let got: Vec<f64> = self.queues.iter().map(|queue| queue * part / seconds).collect();
        self.queues.iter_mut().for_each(|queue| *queue *= 1.0 - part);
        let wait = Duration::from_secs_f64((waiting - done) / CAPACITY);
        self.share = self.controller.update(&Window {
            utilization: done / (CAPACITY * seconds),
            call_work: done / (CAPACITY * seconds),
            lag: wait,
            delay: wait,
            heavy_crowded: 0.0,
            heavy_delay: Duration::ZERO,
            refused: (refused / 10_000.0) as u64,
            busiest: got.iter().copied().fold(0.0, f64::max) as Share,
            fair: 0,
        });
        got
    }

    /// So many seconds of the same; says what each caller got per second in the last one.
    fn run(&mut self, seconds: usize, asked: &[f64]) -> Vec<f64> {
        let windows = 20;
        let mut last = vec![0.0; asked.len()];
        for second in 0..seconds {
            for _ in 0..windows {
                let got = self.window(asked);
                if second + 1 == seconds {
                    last.iter_mut().zip(got).for_each(|(last, got)| *last += got / windows as f64);
                }
            }
        }
        last
    }

    fn wait(&self) -> Duration {
        Duration::from_secs_f64(self.queues.iter().sum::<f64>() / CAPACITY)
    }
}

#[test]
fn below_capacity_nobody_is_limited() {
    let mut server = Server::new(2);
    server.run(10, &[0.5 * CAPACITY, 0.4 * CAPACITY]);
    assert_eq!(server.share, None);
}

#[test]
fn after_a_burst_of_one_window_nothing_is_refused() {
    let mut server = Server::new(1);
    let usual = 0.3 * CAPACITY;
    server.run(1, &[usual]);
    server.window(&[2.0 * CAPACITY]);
    for _ in 0..20 {
        assert!(server.share.is_none_or(|share| usual < share as f64), "{:?}", server.share);
        server.window(&[usual]);
    }
}

#[test]
fn under_a_step_of_load_the_queue_goes_away_and_the_thread_stays_busy() {
    for load in [1.15, 2.0, 10.0] {
        let mut server = Server::new(1);
        server.run(2, &[0.5 * CAPACITY]);
        let got = server.run(5, &[load * CAPACITY]);
        assert!(0.9 * CAPACITY < got[0], "{load} ×: {} of capacity", got[0] / CAPACITY);
        assert!(server.wait() < Duration::from_millis(25), "{load} ×: calls wait {:?}", server.wait());
    }
}

#[test]
fn all_is_normal_within_five_seconds() {
    for load in [2.0, 10.0] {
        let mut server = Server::new(1);
        server.run(10, &[load * CAPACITY]);
        assert!(server.share.is_some());
        server.run(5, &[0.5 * CAPACITY]);
        assert_eq!((server.share, server.wait()), (None, Duration::ZERO), "{load} ×");
    }
}

#[test]
fn whoever_asks_for_little_gets_it_whatever_others_do() {
    let mut server = Server::new(2);
    let asked = [10.0 * CAPACITY, 0.01 * CAPACITY];
    server.run(5, &asked);
    for _ in 0..100 {
        server.window(&asked);
        assert!(server.share.is_none_or(|share| asked[1] < share as f64), "{:?}", server.share);
    }
    let got = server.run(1, &asked);
    assert!((got[1] / asked[1] - 1.0).abs() < 0.02, "{got:?}");
}

#[test]
fn callers_who_ask_for_more_get_the_same() {
    let mut server = Server::new(4);
    let got = server.run(10, &[3.0, 1.0, 0.5, 0.05].map(|load| load * CAPACITY));
    assert!((got[3] / CAPACITY - 0.05).abs() < 0.005, "{got:?}");
    assert!((got[0] / got[1] - 1.0).abs() < 0.05 && (got[1] / got[2] - 1.0).abs() < 0.05, "{got:?}");
}

#[test]
fn a_share_is_never_nothing() {
    let mut controller = Controller::default();
    let late = Duration::from_secs(1);
    let window = Window { utilization: 1.0, call_work: 1.0, lag: late, delay: late, refused: 1, ..Window::default() };
    let shares: Vec<_> = (0..1_000).filter_map(|_| controller.update(&window)).collect();
    assert!(shares.iter().all(|share| *share == SHARE_MIN) && !shares.is_empty());
    let calm = Window::default();
    let last = (0..CALM_WINDOWS).map(|_| controller.update(&calm)).last();
    assert_eq!(last, Some(None));
}

#[test]
fn where_only_some_windows_are_pressed_the_share_stays_within_what_is_brought() {
    let mut controller = Controller::default();
    let calm = Window { utilization: 1.0, call_work: 1.0, busiest: 1_000_000_000, ..Window::default() };
    let late = |millis| Window { delay: Duration::from_millis(millis), ..calm };
    let _ = controller.update(&late(10));
    assert!(controller.update(&late(20)).is_some());
    for round in 0..200 {
        // Two windows in which nothing was refused and nobody waited, as on a busy host, and one that is pressed.
        let _ = controller.update(&calm);
        let _ = controller.update(&calm);
        let share = controller.update(&late(30 + round)).unwrap();
        assert!(share < calm.busiest, "{share} after {round} rounds");
    }
}

#[test]
fn heavy_calls_that_wait_are_limited_whatever_else_takes_the_processor() {
    let mut controller = Controller::default();
    let wait = Duration::from_millis(200);
    let window =
        Window { heavy_crowded: 1.0, heavy_delay: wait, call_work: 0.05, busiest: 50_000_000, ..Window::default() };
    assert!((0..2).filter_map(|_| controller.update(&window)).count() == 1);
    let mut controller = Controller::default();
    let some_wait = Window { heavy_crowded: 0.5, ..window };
    assert!((0..100).all(|_| controller.update(&some_wait).is_none()));
}

#[test]
fn a_busy_neighbour_on_the_host_is_no_overload() {
    let mut controller = Controller::default();
    let window = Window { utilization: 0.6, lag: Duration::from_millis(50), busiest: 500_000_000, ..Window::default() };
    assert!((0..100).all(|_| controller.update(&window).is_none()));
}

#[test]
fn threads_that_are_busy_with_other_things_than_calls_are_no_reason_to_refuse_calls() {
    let mut controller = Controller::default();
    let late = Duration::from_millis(50);
    let window =
        Window { utilization: 1.0, call_work: 0.05, lag: late, delay: late, busiest: 50_000_000, ..Window::default() };
    assert!((0..100).all(|_| controller.update(&window).is_none()));
}

#[test]
fn nobody_is_held_to_less_than_a_fair_part_by_the_queue_of_another() {
    let mut controller = Controller::default();
    let late = Duration::from_secs(10);
    let window = Window { utilization: 1.0, call_work: 1.0, delay: late, busiest: 900_000_000, ..Window::default() };
    let window = Window { fair: 125_000_000, ..window };
    let waits = |times: u64| Window { delay: late + Duration::from_millis(50 * times), refused: 1, ..window };
    let least = (0..1_000).filter_map(|times| controller.update(&waits(times))).min();
    assert_eq!(least, Some(125_000_000));
}
