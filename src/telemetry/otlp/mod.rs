//! Traces and metrics to an OpenTelemetry collector, over OTLP (protobuf over HTTP), by the conventions for generative AI.
//!
//! Off unless an endpoint is configured. Each generation is a span, each call to a provider another within it; their names
//! are in `names`. Spans and numbers wait in the library's own bounded queues, which drop what a collector is too slow for.
//! The library exports from threads of its own; the bytes go out through this process's runtime and TLS.

mod client;
mod instruments;
mod names;
mod spans;

pub(super) use spans::{End, Spans};

use std::{collections::HashMap, sync::Arc, time::Duration};

use opentelemetry::{KeyValue, metrics::MeterProvider, trace::TracerProvider};
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    metrics::SdkMeterProvider,
    resource::EnvResourceDetector,
    trace::{SdkTracer, SdkTracerProvider},
};
use reqwest::header::{HeaderName, HeaderValue};
use tokio::runtime::Handle;

use client::Client;
use instruments::Instruments;

/// How long one export may take.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where to send what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The collector, without `/v1/traces`: `http://127.0.0.1:4318`.
    pub endpoint: String,
    /// Sent with every export, such as a key; the values are marked as sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What the gateway calls itself.
    pub service: String,
    /// Which names.
    pub conventions: Conventions,
}

/// Whose names are used: the conventions for generative AI are still in development, and most tools know the older ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conventions {
    /// Of semantic conventions 1.37 to 1.41: `gen_ai.client.operation.duration`, `gen_ai.client.token.usage`.
    #[default]
    Published,
    /// Of semantic-conventions-genai: `gen_ai.client.inference.duration`, `gen_ai.client.inference.usage.input_tokens`.
    Latest,
}

/// Reports to a collector.
pub struct Otlp {
    tracer: SdkTracer,
    instruments: Instruments,
    conventions: Conventions,
    traces: SdkTracerProvider,
    meters: SdkMeterProvider,
}

impl std::fmt::Debug for Otlp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Otlp")
    }
}

impl Otlp {
    /// Begins to report. Must be called within a runtime, which then carries the exports.
    pub fn start(settings: &Settings) -> Result<Self, String> {
        let cannot = |error: &dyn std::fmt::Display| format!("cannot export by OTLP: {error}");
        let client = Client::new(Handle::current(), EXPORT_TIMEOUT).map_err(|e| cannot(&e))?;
        let client = Arc::new(client);
        let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
        let headers = settings.headers.iter();
        let headers: HashMap<_, _> =
            headers.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        let at = |path: &str| format!("{}{path}", settings.endpoint.trim_end_matches('/'));
        let spans = SpanExporter::builder()
            .with_http()
            .with_shared_http_client(Arc::clone(&client) as _)
            .with_headers(headers.clone())
            .with_endpoint(at("/v1/traces"))
            .with_timeout(EXPORT_TIMEOUT)
            .build();
        let metrics = MetricExporter::builder()
            .with_http()
            .with_shared_http_client(client)
            .with_headers(headers)
            .with_endpoint(at("/v1/metrics"))
            .with_timeout(EXPORT_TIMEOUT)
            .build();
        let resource = Resource::builder_empty()
            .with_service_name(settings.service.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_detector(Box::new(EnvResourceDetector::new()))
            .build();
        let traces = SdkTracerProvider::builder()
            .with_batch_exporter(spans.map_err(|e| cannot(&e))?)
            .with_resource(resource.clone())
            .build();
        let meters = SdkMeterProvider::builder()
            .with_periodic_exporter(metrics.map_err(|e| cannot(&e))?)
            .with_resource(resource)
            .build();
        Ok(Self {
            tracer: traces.tracer("tokenway"),
            instruments: Instruments::new(&meters.meter("tokenway"), settings.conventions),
            conventions: settings.conventions,
            traces,
            meters,
        })
    }

    /// Sends what waits, and ends. Nothing is reported afterwards.
    pub async fn shut_down(&self) {
        let (traces, meters) = (self.traces.clone(), self.meters.clone());
        // The library waits for its threads, and those for this runtime.
        let ended = tokio::task::spawn_blocking(move || (traces.shutdown(), meters.shutdown()));
        match ended.await {
            Ok((Ok(()), Ok(()))) => {}
            Ok((traces, meters)) => {
                for error in [traces.err(), meters.err()].into_iter().flatten() {
                    tracing::warn!(%error, "not everything was exported");
                }
            }
            Err(error) => tracing::error!(%error, "the exporters ended badly"),
        }
    }
}
