//! Admission: how long a bundle takes from its texts to plans that may be put in force.
//!
//! Parse, check, compile and rehearse, all on one core: the standard bundle with its cases, and
//! tables of every size. `cargo bench --bench admit`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a benchmark may panic to fail")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use requite::engine::admit::admit;
use requite::policy::bundle::{Bundle, BundleFile};

mod tables;

fn standard() -> Bundle {
    let file = |path: &str| BundleFile {
        path: path.to_owned(),
        bytes: std::fs::read(format!("{}/policies/standard/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap(),
    };
    Bundle::new(["standard.policy.yaml", "standard.cases.yaml", "calendars/cn.yaml"].map(file).to_vec()).unwrap()
}

fn table(size: usize) -> Bundle {
    let text = tables::policy(&tables::rows(size));
    Bundle::new(vec![BundleFile { path: "table.policy.yaml".to_owned(), bytes: text.into_bytes() }]).unwrap()
}

fn benchmark(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("admit");
    group.sample_size(10).warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_secs(1));
    let bundle = standard();
    let admission = admit(&bundle).unwrap();
    assert!(0 < admission.cases_passed, "the standard bundle is rehearsed");
    group.bench_function("standard", |bencher| bencher.iter(|| admit(black_box(&bundle)).unwrap()));
    for size in tables::SIZES {
        let bundle = table(size);
        let admission = admit(&bundle).unwrap();
        assert_eq!(admission.plans.first().unwrap().rules.len(), size);
        group.bench_function(format!("rules/{size}"), |bencher| bencher.iter(|| admit(black_box(&bundle)).unwrap()));
    }
    group.finish();
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
