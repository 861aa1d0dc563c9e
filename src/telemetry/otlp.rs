//! The pipelines to a collector: OTLP over gRPC, for traces and for metrics.

use opentelemetry::KeyValue;
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;

use crate::telemetry::InitError;

pub(super) fn tracer_provider(endpoint: &str) -> Result<SdkTracerProvider, InitError> {
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .map_err(|source| InitError::Exporter { signal: "traces", endpoint: endpoint.to_owned(), source })?;
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource()).build())
}

pub(super) fn meter_provider(endpoint: &str) -> Result<SdkMeterProvider, InitError> {
    let exporter = MetricExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .map_err(|source| InitError::Exporter { signal: "metrics", endpoint: endpoint.to_owned(), source })?;
    Ok(SdkMeterProvider::builder().with_periodic_exporter(exporter).with_resource(resource()).build())
}

/// The process as reported. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` come first.
fn resource() -> Resource {
    let builder = || Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    let named = builder().build();
    let unnamed = named.get_ref(&"service.name".into()).is_none_or(|name| name.as_str().starts_with("unknown_service"));
    if unnamed { builder().with_service_name("requite").build() } else { named }
}
