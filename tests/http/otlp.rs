//! What an OpenTelemetry collector receives: spans and metrics by the conventions for generative AI, within the caller's
//! trace, and nothing that users write.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Router, body::Bytes, extract::State, http::Uri, routing::post};
use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::Metric,
    trace::v1::{Span, span::SpanKind},
};
use parking_lot::Mutex;
use prost::Message;
use reqwest::header::HeaderMap;

use crate::{
    gateway::{KEY, Tokenway, header, send, sent, stream_of},
    upstream::Upstream,
};

const PROMPT: &str = "canary-of-the-prompt";
const ANSWER: &str = "canary-of-the-answer";
const COLLECTOR_KEY: &str = "canary-of-the-collector";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A collector that keeps what it is sent.
#[derive(Clone, Default)]
pub(crate) struct Collector(Arc<Mutex<Vec<(String, HeaderMap, Bytes)>>>);

impl Collector {
    pub(crate) async fn listen(&self) -> String {
        let keep =
            async |State(Self(kept)): State<Self>, uri: Uri, head: HeaderMap, body: Bytes| {
                kept.lock().push((uri.path().to_owned(), head, body));
            };
        let routes = Router::new().route("/v1/{signal}", post(keep)).with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        url
    }

    /// All that it was sent, as text.
    pub(crate) fn text(&self) -> String {
        let kept = self.0.lock();
        kept.iter().map(|(_, _, body)| String::from_utf8_lossy(body)).collect()
    }

    fn spans(&self) -> Vec<Span> {
        let mut spans = Vec::new();
        for (_, _, body) in self.0.lock().iter().filter(|(path, ..)| path == "/v1/traces") {
            let request = ExportTraceServiceRequest::decode(body.clone()).expect("OTLP");
            for resource in request.resource_spans {
                let about = attributes(&resource.resource.expect("a resource").attributes);
                assert_eq!(about["service.name"], "tokenway");
                spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
            }
        }
        spans
    }

    fn metrics(&self) -> BTreeMap<String, Metric> {
        let mut metrics = BTreeMap::new();
        for (_, _, body) in self.0.lock().iter().filter(|(path, ..)| path == "/v1/metrics") {
            let request = ExportMetricsServiceRequest::decode(body.clone()).expect("OTLP");
            let scopes = request.resource_metrics.into_iter().flat_map(|it| it.scope_metrics);
            let all = scopes.flat_map(|scope| scope.metrics);
            metrics.extend(all.map(|metric| (metric.name.clone(), metric)));
        }
        metrics
    }
}

/// Values as text.
fn attributes(pairs: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(truth) => truth.to_string(),
        Value::DoubleValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    let value = |pair: &KeyValue| Some(text(pair.value.as_ref()?.value.as_ref()?));
    pairs.iter().filter_map(|pair| Some((pair.key.clone(), value(pair)?))).collect()
}

async fn gateway(collector: &str, up: &Upstream, more: &str) -> Tokenway {
    let yaml = format!(
        "providers:\n  up: {{ dialect: openai, base_url: \"http://{}/v1\", api_key: {KEY} }}\n\
         models: {{ \"any/*\": {{ targets: [{{ provider: up }}] }} }}\n\
         telemetry: {{ otlp: {{ endpoint: \"{collector}\", headers: {{ x-key: {COLLECTOR_KEY} }} {more} }} }}\n",
        up.addr()
    );
    Tokenway::of(&yaml, |_| {}).await
}

fn ask() -> serde_json::Value {
    let message = serde_json::json!({ "role": "user", "content": PROMPT });
    serde_json::json!({ "model": "any/m-1", "stream": true, "messages": [message] })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_is_a_span_of_its_callers_trace_and_its_calls_are_spans_within() {
    let (collector, up) = (Collector::default(), Upstream::bind().await);
    let gateway = gateway(&collector.listen().await, &up, "").await;
    let call = gateway.chat(ask()).header("traceparent", CALLER).header("tracestate", "x=1");
    let call = sent(call.header("tokenway-channel", "chat-7"));
    let mut provider = up.call().await;
    let upstream = provider.header("traceparent").expect("the provider is told").to_owned();
    assert_eq!(provider.header("tracestate"), Some("x=1"));
    provider.begin().await;
    provider.text_delta(ANSWER).await;
    let mut app = stream_of(call).await;
    app.event().await;
    provider.text_delta(" there").await;
    provider.finish().await;
    app.rest().await;
    let generation = header(&app.headers, "tokenway-generation").to_owned();
    let told = header(&app.headers, "traceparent").to_owned();
    let started = gateway.view("chat-7").await.event().await;
    assert_eq!(started.json()["traceparent"], told.as_str(), "viewers know it, too");

    // And one that fails.
    let call = sent(gateway.chat(ask()));
    up.call().await.answer("429 Too Many Requests", "", PROMPT).await;
    assert_eq!(call.await.expect("a response").status(), 429);
    gateway.stop().await;

    let spans = collector.spans();
    let of = |kind: SpanKind, failed: bool| {
        let found = spans.iter().find(|span| {
            let attributes = attributes(&span.attributes);
            span.kind == kind as i32 && attributes.contains_key("error.type") == failed
        });
        found.unwrap_or_else(|| panic!("no {kind:?} that failed: {failed}: {spans:#?}"))
    };
    let (server, client) = (of(SpanKind::Server, false), of(SpanKind::Client, false));
    let id = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(spans.len(), 4);
    assert_eq!((server.name.as_str(), client.name.as_str()), ("chat any/m-1", "chat m-1"));
    assert_eq!(id(&server.trace_id), TRACE);
    assert_eq!(id(&server.parent_span_id), "b7ad6b7169203331");
    assert_eq!(told, format!("00-{TRACE}-{}-01", id(&server.span_id)));
    assert_eq!(id(&client.parent_span_id), id(&server.span_id));
    assert_eq!(upstream, format!("00-{TRACE}-{}-01", id(&client.span_id)));
    let (server, client) = (attributes(&server.attributes), attributes(&client.attributes));
    for (name, expected) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.request.model", "any/m-1"),
        ("gen_ai.request.stream", "true"),
        ("gen_ai.conversation.id", "chat-7"),
        ("gen_ai.usage.input_tokens", "9"),
        ("gen_ai.usage.output_tokens", "4"),
        ("tokenway.generation", &generation),
        ("tokenway.attempts", "1"),
    ] {
        assert_eq!(server[name], expected, "{name}");
    }
    let port = up.addr().port().to_string();
    for (name, expected) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "up"),
        ("gen_ai.request.model", "m-1"),
        ("gen_ai.usage.output_tokens", "4"),
        ("server.address", "127.0.0.1"),
        ("server.port", &port),
    ] {
        assert_eq!(client[name], expected, "{name}");
    }
    assert!(client["gen_ai.response.finish_reasons"].contains("stop"));
    assert!(client.contains_key("gen_ai.response.time_to_first_chunk"));
    let failed = attributes(&of(SpanKind::Client, true).attributes);
    assert_eq!(failed["error.type"], "rate_limited");
    assert_ne!(id(&of(SpanKind::Server, true).trace_id), TRACE, "who tells no trace begins one");

    let metrics = collector.metrics();
    for name in [
        "gen_ai.client.operation.duration",
        "gen_ai.client.operation.time_to_first_chunk",
        "gen_ai.client.operation.time_per_output_chunk",
        "gen_ai.client.token.usage",
    ] {
        assert!(metrics.contains_key(name), "{name}: {:?}", metrics.keys());
    }
    for (_, head, body) in collector.0.lock().iter() {
        assert_eq!(head["x-key"], COLLECTOR_KEY);
        assert_eq!(head["content-type"], "application/x-protobuf");
        let text = String::from_utf8_lossy(body);
        for secret in [PROMPT, ANSWER, KEY, COLLECTOR_KEY] {
            assert!(!text.contains(secret), "{secret} reached the collector");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_latest_names_are_had_on_request() {
    let (collector, up) = (Collector::default(), Upstream::bind().await);
    let gateway = gateway(&collector.listen().await, &up, ", conventions: latest").await;
    let call = sent(gateway.chat(ask()));
    let mut provider = up.call().await;
    provider.begin().await;
    provider.text_delta("Hi").await;
    provider.finish().await;
    stream_of(call).await.rest().await;
    gateway.stop().await;
    let metrics = collector.metrics();
    let names: Vec<_> = metrics.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "gen_ai.client.inference.duration",
            "gen_ai.client.inference.time_to_first_chunk",
            "gen_ai.client.inference.usage.input_tokens",
            "gen_ai.client.inference.usage.output_tokens",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_not_there_holds_nobody_up() {
    let up = Upstream::bind().await;
    let gateway = gateway("http://127.0.0.1:9", &up, "").await;
    let call = sent(gateway.chat(ask()));
    let mut provider = up.call().await;
    provider.begin().await;
    provider.finish().await;
    assert_eq!(stream_of(call).await.rest().await.last().expect("an end").data, "[DONE]");
    assert_eq!(send(gateway.get("/readyz")).await.status(), 200);
    gateway.stop().await;
}
