//! One decision over loopback gRPC, and beside it, in the same run, a call that decides nothing:
//! the difference is what requite adds to its transport. `cargo bench --bench roundtrip`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a benchmark may panic to fail")]

use criterion::{Criterion, criterion_group, criterion_main};
use requite::engine::admit::admit;
use requite::engine::open;
use requite::policy::bundle::{Bundle, BundleFile};
use requite::server::client::connect;
use requite::server::pb::refund_policy_service_client::RefundPolicyServiceClient;
use requite::server::{ServerConfig, json, serve};

fn file(path: &str) -> Vec<u8> {
    std::fs::read(format!("{}/policies/standard/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn benchmark(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let paths = ["standard.policy.yaml", "standard.cases.yaml", "calendars/cn.yaml"];
    let bundle =
        Bundle::new(paths.map(|path| BundleFile { path: path.to_owned(), bytes: file(path) }).to_vec()).unwrap();
    let (engine, _activator) = open(admit(&bundle).unwrap());
    let text = String::from_utf8(file("requests/platform-late-partial.json")).unwrap();
    let request = json::request_from_json(&text).unwrap();

    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (address, server) = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(serve(listener, engine, ServerConfig::default(), async {
            let _ = stopped.await;
        }));
        (address, server)
    });
    let client = runtime.block_on(async { RefundPolicyServiceClient::new(connect(&address).await.unwrap()) });

    let mut group = criterion.benchmark_group("roundtrip");
    group.bench_function("evaluate_refund", |bencher| {
        bencher.to_async(&runtime).iter(|| {
            let (mut client, request) = (client.clone(), request.clone());
            async move { client.evaluate_refund(request).await.unwrap() }
        });
    });
    group.bench_function("get_server_info", |bencher| {
        bencher.to_async(&runtime).iter(|| {
            let mut client = client.clone();
            async move { client.get_server_info(requite::server::pb::GetServerInfoRequest::default()).await.unwrap() }
        });
    });
    group.finish();
    let _ = stop.send(());
    runtime.block_on(server).unwrap().unwrap();
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
