//! A decision in one's own program, without a server: a bundle, a request in JSON, the refund.
//!
//!     cargo run --example embed -- policies/standard policies/standard/requests/platform-late-partial.json

use std::error::Error;

use requite::api::json::request_from_json;
use requite::engine::{admit::admit, open};
use requite::server::evaluate;
use requite::source::{Directory, Source as _};

fn main() -> Result<(), Box<dyn Error>> {
    let [policies, request] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "expected two paths")?;
    let bundle = Directory::new(policies).read()?;
    let admission = admit(&bundle).map_err(|rejection| format!("{} mistakes", rejection.diagnostics.len()))?;
    let (engine, _activator) = open(admission);
    let response = evaluate(&engine.current(), &request_from_json(&std::fs::read_to_string(request)?)?)?;
    let refund = response.refund.clone().unwrap_or_default();
    println!("{}: {}.{:09} {}", response.outcome().as_str_name(), refund.units, refund.nanos, refund.currency_code);
    Ok(())
}
