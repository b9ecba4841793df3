//! What `/metrics` says: that its text is well formed, that its names are the documented ones, and that it counts what
//! happened.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::Value;
use tokenway::telemetry::metrics::{CATALOGUE, Described};

use crate::{
    gateway::{self, Tokenway, header, send, sent, stream_of},
    upstream,
};

/// The samples by name and labels as they are written, and each family's `# TYPE`.
struct Scrape {
    samples: BTreeMap<String, f64>,
    types: BTreeMap<String, String>,
}

impl Scrape {
    async fn of(gateway: &Tokenway) -> Self {
        let response = send(gateway.get("/metrics")).await;
        assert_eq!(response.status(), 200);
        let content_type = header(response.headers(), "content-type");
        assert!(content_type.starts_with("application/openmetrics-text"), "{content_type}");
        Self::lint(&response.text().await.expect("text"))
    }

    /// Reads the text as a strict parser would: whatever it does not know is a failure.
    fn lint(text: &str) -> Self {
        let body = text.strip_suffix("# EOF\n").expect("it ends with # EOF");
        let (mut samples, mut types) = (BTreeMap::new(), BTreeMap::new());
        let (mut helped, mut family) = (BTreeSet::new(), String::new());
        for line in body.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("a help has a name and a text");
                assert!(helped.insert(name.to_owned()), "{name} has two helps");
                assert!(help.len() > 5 && help.ends_with('.') && !help.ends_with(".."), "{line}");
                family = name.to_owned();
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type has a name and a word");
                assert_eq!(name, family, "help and type stand together");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                types.insert(name.to_owned(), kind.to_owned());
            } else if let Some(rest) = line.strip_prefix("# UNIT ") {
                let (name, unit) = rest.split_once(' ').expect("a unit has a name and a word");
                assert!(name == family && name.ends_with(&format!("_{unit}")), "{line}");
            } else {
                let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
                let name = series.split('{').next().unwrap_or_default();
                let suffix = name.strip_prefix(family.as_str());
                let suffix = suffix.unwrap_or_else(|| panic!("{name} stands under {family}"));
                let allowed: &[&str] = match types[&family].as_str() {
                    "counter" => &["_total"],
                    "gauge" => &[""],
                    _ => &["_sum", "_count", "_bucket"],
                };
                assert!(allowed.contains(&suffix), "{line}");
                let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}: no number"));
                assert!(value.is_finite(), "{line}");
                assert!(
                    samples.insert(series.to_owned(), value).is_none(),
                    "{series} stands twice"
                );
            }
        }
        Self { samples, types }
    }

    /// A sample, 0 where it is not there yet.
    fn get(&self, series: &str) -> f64 {
        self.samples.get(series).copied().unwrap_or_default()
    }
}

/// The name of its family, as the text has it.
fn family(described: &Described) -> &'static str {
    described.name.trim_end_matches("_total")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_is_counted_under_the_documented_names() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let call = sent(gateway.streamed().header("tokenway-channel", "chat"));
    let mut provider = upstream.call().await;
    provider.begin().await;
    provider.text_delta("Hi").await;
    let mut app = stream_of(call).await;
    app.event().await;
    let running = Scrape::of(&gateway).await;
    assert_eq!(running.get("tokenway_generations_running"), 1.0);
    assert_eq!(running.get(r#"tokenway_provider_calls_in_flight{provider="up"}"#), 1.0);
    assert_eq!(running.get("tokenway_channels"), 1.0);
    assert!(running.get("tokenway_log_bytes") > 0.0);
    provider.text_delta(" there").await;
    provider.finish().await;
    app.rest().await;

    // A refusal, a viewer who comes back, and one who cannot.
    let call = sent(gateway.streamed());
    upstream.call().await.answer("429 Too Many Requests", "", "{}").await;
    assert_eq!(call.await.expect("a response").status(), 429);
    let viewer = gateway.get("/v1/channels/chat/events?after=1&wait=0s");
    assert_eq!(send(viewer).await.status(), 200);
    let stranger = gateway.get("/v1/channels/chat/events?after=99");
    assert_eq!(send(stranger).await.status(), 416);

    let scrape = Scrape::of(&gateway).await;
    let labels = r#"model="fast",provider="up""#;
    for (series, expected) in [
        ("tokenway_generations_running".to_owned(), 0.0),
        (r#"tokenway_generations_started_total{model="fast"}"#.to_owned(), 2.0),
        (format!(r#"tokenway_generations_ended_total{{{labels},end="stop"}}"#), 1.0),
        (format!(r#"tokenway_generations_ended_total{{{labels},end="upstream_error"}}"#), 1.0),
        (format!("tokenway_generation_duration_seconds_count{{{labels}}}"), 2.0),
        (format!("tokenway_time_to_first_token_seconds_count{{{labels}}}"), 1.0),
        (format!("tokenway_inter_token_gap_seconds_count{{{labels}}}"), 1.0),
        (format!("tokenway_deltas_total{{{labels}}}"), 2.0),
        (format!(r#"tokenway_tokens_total{{{labels},kind="input"}}"#), 9.0),
        (format!(r#"tokenway_tokens_total{{{labels},kind="output"}}"#), 4.0),
        (r#"tokenway_provider_calls_total{provider="up"}"#.to_owned(), 2.0),
        (r#"tokenway_provider_errors_total{provider="up",kind="rate_limited"}"#.to_owned(), 1.0),
        (r#"tokenway_provider_calls_in_flight{provider="up"}"#.to_owned(), 0.0),
        (r#"tokenway_breakers{provider="up",state="closed"}"#.to_owned(), 1.0),
        (r#"tokenway_resumes_total{transport="sse",outcome="continued"}"#.to_owned(), 1.0),
        (r#"tokenway_resumes_total{transport="sse",outcome="refused"}"#.to_owned(), 1.0),
        (r#"tokenway_queue_bytes{queue="tee"}"#.to_owned(), 0.0),
        ("tokenway_tee_overflows_total".to_owned(), 0.0),
        (
            r#"tokenway_http_requests_total{route="/v1/channels/{id}/events",status="4xx"}"#
                .to_owned(),
            1.0,
        ),
    ] {
        assert_eq!(scrape.get(&series), expected, "{series}: {:#?}", scrape.samples);
    }
    assert!(scrape.get("process_resident_memory_bytes") > 1e6);
    for (name, kind) in &scrape.types {
        let described = CATALOGUE.iter().find(|it| family(it) == name);
        let described = described.unwrap_or_else(|| panic!("{name} is not in the catalogue"));
        assert_eq!(kind, described.kind.as_str(), "{name}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_name_that_an_app_makes_up_becomes_a_label() {
    let up = upstream::Upstream::bind().await;
    let yaml = format!(
        "providers:\n  up: {{ dialect: openai, base_url: \"http://{}/v1\" }}\n\
         models: {{ \"any/*\": {{ targets: [{{ provider: up }}] }} }}\n",
        up.addr()
    );
    let gateway = Tokenway::of(&yaml, |_| {}).await;
    let body = serde_json::json!({ "model": "any/made-up", "messages": [] });
    let call = sent(gateway.chat(body).header("tokenway-channel", "made-up-channel"));
    up.call().await.answer("500 Made Up", "", "{}").await;
    assert_eq!(call.await.expect("a response").status(), 500);
    send(gateway.get("/v1beta/made-up/path")).await;
    let scrape = Scrape::of(&gateway).await;
    assert_eq!(scrape.get(r#"tokenway_generations_started_total{model="any/*"}"#), 1.0);
    assert!(scrape.samples.keys().all(|series| !series.contains("made-up")));
    gateway.stop().await;
}

#[test]
fn names_follow_the_conventions() {
    let mut names = BTreeSet::new();
    for Described { name, kind, labels, help } in CATALOGUE {
        let kind = kind.as_str();
        assert!(names.insert(name), "{name} is there twice");
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        assert!(name.bytes().all(plain) && !name.contains("__"), "{name}");
        assert!(name.starts_with("tokenway_") || name.starts_with("process_"), "{name}");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
        assert!(kind != "histogram" || name.ends_with("_seconds"), "{name} has its unit");
        for unit in ["_ms", "_milliseconds", "_kb", "_mib", "_minutes", "_percent"] {
            assert!(!name.contains(unit), "{name} is in a base unit");
        }
        for word in ["_count", "_sum", "_bucket", "_gauge", "_histogram", "_counter"] {
            assert!(!name.ends_with(word), "{name} names its kind or another's suffix");
        }
        assert!(labels.iter().all(|label| !["le", "quantile", "job", "instance"].contains(label)));
        assert!(help.trim().ends_with('.'), "{name}: a help is a sentence");
    }
}

/// `docs/metrics.md`, as it must be.
fn page() -> String {
    let mut page = "# Metrics

`GET /metrics` gives them as OpenMetrics text, which Prometheus and whatever reads its format takes. This page is made from
the list in `src/telemetry/metrics/catalogue.rs`, and a test holds it current; names and labels are stable within a major
version.

Labels come from bounded sets: `provider` and `model` are names of the config, and a model that came by a pattern is counted
under the pattern (`openai/*`); `transport` is `webtransport`, `websocket` or `sse`. No label holds a channel, a caller, or
anything that an app made up.

| name | type | labels | says |
| --- | --- | --- | --- |
"
    .to_owned();
    for Described { name, kind, labels, help } in CATALOGUE {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        let row = format!("| `{name}` | {} | {} |{help} |\n", kind.as_str(), labels.join(", "));
        page += &row;
    }
    page + "
Useful questions:

| question | PromQL |
| --- | --- |
| tokens per second | `sum(rate(tokenway_deltas_total[1m]))` |
| time to first token, 95th percentile, by model | `histogram_quantile(0.95, sum by (model, le) (rate(tokenway_time_to_first_token_seconds_bucket[5m])))` |
| share of generations that failed | `sum(rate(tokenway_generations_ended_total{end=~\"upstream_.*|timeout|limit|gateway_lost\"}[5m])) / sum(rate(tokenway_generations_ended_total[5m]))` |
| share of viewers that came back and missed nothing | `sum(rate(tokenway_resumes_total{outcome=\"continued\"}[5m])) / sum(rate(tokenway_resumes_total[5m]))` |
| providers that are left alone | `sum by (provider) (tokenway_breakers{state=\"open\"}) > 0` |
"
}

fn repository(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn the_page_is_current() {
    let file = repository("docs/metrics.md");
    if std::env::var_os("TOKENWAY_WRITE_DOCS").is_some() {
        fs::write(&file, page()).expect("it can be written");
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == page(),
        "docs/metrics.md is not current: run this test with TOKENWAY_WRITE_DOCS=1"
    );
}

#[test]
fn the_dashboard_names_only_metrics_that_exist() {
    let text = fs::read_to_string(repository("deploy/grafana/tokenway.json")).expect("it is there");
    let dashboard: Value = serde_json::from_str(&text).expect("it is JSON");
    let mut expressions = Vec::new();
    collect(&dashboard, &mut expressions);
    assert!(expressions.len() > 15, "a dashboard shows something");
    let mut used = BTreeSet::new();
    for expression in &expressions {
        let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let named =
            words.filter(|word| word.starts_with("tokenway_") || word.starts_with("process_"));
        for name in named {
            let known = CATALOGUE.iter().find(|it| {
                let suffixes: &[&str] = match it.kind.as_str() {
                    "histogram" => &["_bucket", "_sum", "_count"],
                    _ => &[""],
                };
                suffixes.iter().any(|suffix| format!("{}{suffix}", it.name) == name)
            });
            let known = known.unwrap_or_else(|| panic!("{name} does not exist: {expression}"));
            used.insert(known.name);
            // Its labels exist, too.
            let by = expression.split("by (").skip(1).filter_map(|rest| rest.split(')').next());
            let labels: Vec<_> = by.flat_map(|list| list.split(',')).map(str::trim).collect();
            for label in labels.into_iter().filter(|label| *label != "le" && *label != "instance") {
                assert!(known.labels.contains(&label), "{name} has no {label}: {expression}");
            }
        }
    }
    assert!(used.len() > 15, "{used:?}");
}

/// Every `expr` of a dashboard.
fn collect(value: &Value, expressions: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(expression)) = members.get("expr") {
                expressions.push(expression.clone());
            }
            members.values().for_each(|member| collect(member, expressions));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, expressions)),
        _ => {}
    }
}
