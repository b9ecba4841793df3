//! Canaries: every secret and every prompt is planted with a word that stands nowhere else, and then everything that the
//! gateway says is searched for those words. What its log says is `tests/logs.rs`.

use std::fs;

use reqwest::RequestBuilder;
use serde_json::json;

use crate::{
    gateway::{Tokenway, send, sent, stream_of},
    otlp::Collector,
    upstream::Upstream,
};

const PROMPT: &str = "canary-of-the-prompt";
const ANSWER: &str = "canary-of-the-answer";
const APP: &str = "canary-of-the-app-key";
const OTHER_APP: &str = "canary-of-another-app";
const ADMIN: &str = "canary-of-the-operator";
const SECRETS: [&str; 9] = [
    PROMPT,
    APP,
    OTHER_APP,
    ADMIN,
    "canary-of-the-provider-key",
    "canary-of-the-own-header",
    "canary-of-the-proxy",
    "canary-of-the-token-secret-with-bytes",
    "canary-of-the-collector",
];

async fn planted(up: &Upstream, collector: &str, log: &str) -> Tokenway {
    let [_, app, other, admin, key, header, proxy, secret, of_collector] = SECRETS;
    let yaml = format!(
        r#"
providers:
  up: {{ dialect: openai, base_url: "http://{}/v1", api_key: {key}, headers: {{ x-own-key: {header} }} }}
  far: {{ dialect: anthropic, api_keys: [{key}-2], proxy: "http://me:{proxy}@127.0.0.1:9", base_url: "http://127.0.0.1:9" }}
models:
  fast: {{ targets: [{{ provider: up, model: up-model }}] }}
  far: {{ targets: [{{ provider: far, model: far-model }}] }}
access:
  keys: [{{ name: web, key: {app} }}, {{ name: other, key: {other} }}]
  token_secret: {secret}
  admin_key: {admin}
telemetry:
  otlp: {{ endpoint: "{collector}", headers: {{ x-key: {of_collector} }} }}
  access_log: {{ to: {log} }}
"#,
        up.addr()
    );
    Tokenway::of(&yaml, |_| {}).await
}

/// All that an answer says, its head included.
async fn said(request: RequestBuilder) -> String {
    let response = send(request).await;
    let head = format!("{} {:?}", response.status(), response.headers());
    head + &response.text().await.expect("a body")
}

#[track_caller]
fn clean(what: &str, text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret} is in {what}:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_and_no_prompt_is_in_anything_that_the_gateway_says() {
    let (collector, up) = (Collector::default(), Upstream::bind().await);
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("generations.jsonl");
    let gateway = planted(&up, &collector.listen().await, &log.display().to_string()).await;
    let call = |model: &str, channel: &str| {
        let message = json!({ "role": "user", "content": PROMPT });
        let body = json!({ "model": model, "stream": true, "messages": [message] });
        gateway.chat(body).bearer_auth(APP).header("tokenway-channel", channel)
    };

    // One that ends well.
    let asked = sent(call("fast", "good"));
    let mut provider = up.call().await;
    assert!(provider.text().contains(PROMPT) && provider.head.contains(SECRETS[4]), "planted");
    provider.begin().await;
    provider.text_delta(ANSWER).await;
    provider.finish().await;
    stream_of(asked).await.rest().await;
    // Providers that repeat what they were told, as an error and in a stream that breaks.
    let quoting = json!({ "error": { "message": format!("bad key {}", SECRETS[4]) } }).to_string();
    let asked = sent(call("fast", "refused"));
    up.call().await.answer("401 Unauthorized", "", &quoting).await;
    clean("a refusal", &asked.await.expect("an answer").text().await.expect("a body"));
    let asked = sent(call("fast", "broken"));
    let mut provider = up.call().await;
    provider.begin().await;
    provider.event(&quoting).await;
    provider.close().await;
    let broken = stream_of(asked).await.rest().await;
    clean("a broken stream", &format!("{broken:?}"));
    clean("a provider behind a dead proxy", &said(call("far", "far")).await);
    // Callers who are wrong.
    let wrong = json!({ "model": "nope", "messages": [{ "role": "user", "content": PROMPT }] });
    clean("an unknown model", &said(gateway.chat(wrong).bearer_auth(APP)).await);
    let junk = gateway.post("/v1/chat/completions", format!("{{ \"messages\": {PROMPT}"));
    clean("a body that is no JSON", &said(junk.bearer_auth(APP)).await);
    let stranger = gateway.get("/v1/channels/good").bearer_auth(format!("{APP}x"));
    clean("a refused key", &said(stranger).await);
    clean(
        "a foreign channel",
        &said(gateway.get("/v1/channels/good").bearer_auth(OTHER_APP)).await,
    );
    clean(
        "a token",
        &said(gateway.post("/v1/tokens", json!({ "channel": "good" })).bearer_auth(APP)).await,
    );

    // What anybody, and what operators see.
    for path in
        ["/", "/console.js", "/console/ops", "/ops.js", "/healthz", "/readyz", "/v1/connect/info"]
    {
        clean(path, &said(gateway.get(path)).await);
    }
    for path in [
        "/metrics",
        "/console/ops/state",
        "/console/ops/state?search=good",
        "/console/ops/config",
        "/console/ops/timeline?owner=web&channel=good",
        "/console/ops/timeline?owner=web&channel=refused",
        "/console/ops/timeline?owner=web&channel=broken",
        "/console/ops/timeline?owner=web&channel=far",
    ] {
        let text = said(gateway.get(path).bearer_auth(ADMIN)).await;
        assert!(text.starts_with("200"), "{path}: {text}");
        clean(path, &text);
        // What a model said is in its timeline, and nowhere else.
        assert!(!text.contains(ANSWER) || path.contains("timeline"), "{path}: {text}");
    }
    for path in ["/v1/channels/good", "/v1/channels/broken/events?wait=1s", "/v1/models"] {
        clean(path, &said(gateway.get(path).bearer_auth(APP)).await);
    }
    gateway.stop().await;
    let (lines, sent) = (fs::read_to_string(&log).expect("a log"), collector.text());
    assert!(lines.lines().count() >= 4 && sent.contains("gen_ai"), "there is something to look at");
    for (what, text) in [("the access log", lines), ("what a collector is sent", sent)] {
        clean(what, &text);
        assert!(!text.contains(ANSWER), "{what}: {text}");
    }
}
