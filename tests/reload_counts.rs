//! What the road counts. The counters are those of the process, so there is one test here and no other
//! beside it.
#![cfg(test)]

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::time::Duration;

use requite::reload::ReloadConfig;
use requite::reload::flap_damper::FlapLimits;
use requite::telemetry::labels::ReloadTrigger::{FileChange, Signal};
use requite::telemetry::prometheus;

use crate::support::reload::{BY_HAND, Place, text};

/// The reloads that were counted, each as `trigger result count`.
fn reloads() -> Vec<String> {
    let page = prometheus::page().into_text();
    let labels = |line: &str| line.strip_prefix("requite_reloads_total{trigger=\"").map(str::to_owned);
    let counted = page.lines().filter_map(labels).filter(|line| !line.ends_with(" 0"));
    counted.map(|line| line.replace("\",result=\"", " ").replace("\"}", "")).collect()
}

fn counter(name: &str) -> u64 {
    let page = prometheus::page().into_text();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{page}")).parse().unwrap()
}

#[tokio::test]
async fn every_attempt_hold_and_failed_write_is_counted_once() {
    let place = Place::with_state("1");
    let flap = FlapLimits { turns: 2, window: Duration::from_secs(600), ..BY_HAND.flap };
    let running = place.run(ReloadConfig { flap, ..BY_HAND });
    assert_eq!(reloads(), ["start applied 1"]);
    running.put("2").await;
    running.put("2").await;
    running.roll_back(None).await.unwrap();
    assert_eq!(reloads(), ["start applied 1", "admin applied 1", "admin unchanged 1", "rollback applied 1"]);

    // Good, bad, and good again: two turns.
    for written in [text("3"), "policy: [\n".to_owned(), text("4"), text("5")] {
        running.write(&written);
        assert_eq!(counter("requite_source_flaps_total"), u64::from(written == text("5")));
        running.hint(FileChange).await;
    }
    assert_eq!(counter("requite_source_flaps_total"), 1, "it is held down already");
    fs::remove_dir_all(place.source()).unwrap();
    running.hint(Signal).await;
    let counted = [
        "start applied 1",
        "file_change applied 1",
        "file_change rejected 1",
        "signal unreadable 1",
        "admin applied 1",
        "admin unchanged 1",
        "rollback applied 1",
    ];
    assert_eq!(reloads(), counted, "what is held down is no attempt");

    assert_eq!(counter("requite_state_failures_total"), 0);
    fs::rename(place.state.as_ref().unwrap(), place.dir.path().join("unplugged")).unwrap();
    running.roll_back(None).await.unwrap();
    running.until("it is told", |status| !status.notices.is_empty()).await;
    // Each further try, the next after a second, is one more.
    let failed = counter("requite_state_failures_total");
    assert!((1..=3).contains(&failed), "{failed}");
    running.end().await;
}
