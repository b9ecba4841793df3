//! The access log: a line for each generation, and what users write only where the operator asks for it.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{
    gateway::{KEY, Tokenway, asked, header, sent, stream_of},
    upstream::Upstream,
};

/// A gateway with a log, which has served one call that ended well and one that was refused; and the generations' ids.
async fn logged(log: &Path, more: &str) -> [String; 2] {
    let up = Upstream::bind().await;
    let yaml = format!(
        "providers:\n  up: {{ dialect: openai, base_url: \"http://{}/v1\", api_key: {KEY} }}\n\
         models: {{ fast: {{ targets: [{{ provider: up, model: up-model }}] }} }}\n\
         prices: {{ fast: {{ input: 1000000, output: 2000000 }} }}\n\
         telemetry: {{ access_log: {{ to: {} {more} }} }}\n",
        up.addr(),
        log.display(),
    );
    let gateway = Tokenway::of(&yaml, |_| {}).await;
    let call = gateway.streamed().header("tokenway-channel", "chat");
    let call =
        sent(call.header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    let mut provider = up.call().await;
    assert!(provider.header("traceparent").expect("passed on").contains("b7ad6b7169203331"));
    provider.begin().await;
    provider.text_delta("Hello").await;
    provider.finish().await;
    let mut app = stream_of(call).await;
    app.rest().await;
    let call = sent(gateway.chat(asked(false)));
    up.call()
        .await
        .answer("400 Bad Request", "", "{\"error\":{\"message\":\"Hi is wrong\"}}")
        .await;
    let refused = call.await.expect("a response");
    let ids =
        [&app.headers, refused.headers()].map(|it| header(it, "tokenway-generation").to_owned());
    gateway.stop().await;
    ids
}

fn lines(log: &Path) -> Vec<Value> {
    let text = fs::read_to_string(log).expect("it was written");
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_generation_leaves_a_line_without_what_was_said() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("generations.jsonl");
    let [good, bad] = logged(&log, "").await;
    let lines = lines(&log);
    assert_eq!(lines.len(), 2);
    let line = &lines[0];
    for (member, expected) in [
        ("generation", json!(good)),
        ("channel", json!("chat")),
        ("model", json!("fast")),
        ("app_dialect", json!("openai")),
        ("stream", json!(true)),
        ("provider", json!("up")),
        ("provider_model", json!("up-model")),
        ("attempts", json!(1)),
        ("end", json!("stop")),
        ("cost", json!(17.0)),
        ("trace_id", json!("0af7651916cd43dd8448eb211c80319c")),
    ] {
        assert_eq!(line[member], expected, "{member}");
    }
    assert_eq!((&line["usage"]["input"], &line["usage"]["output"]), (&json!(9), &json!(4)));
    assert!(line["duration_ms"].as_f64() >= line["time_to_first_token_ms"].as_f64());
    assert_eq!(
        (&lines[1]["generation"], &lines[1]["end"]),
        (&json!(bad), &json!("upstream_error"))
    );
    let text = fs::read_to_string(&log).expect("it was written");
    // As a text of its own: a random id may have these letters.
    for said in ["\"Hi\"", "Hello", KEY] {
        assert!(!text.contains(said), "{said}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prompts_and_answers_are_recorded_where_the_operator_asks_for_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("generations.jsonl");
    logged(&log, ", prompts: true").await;
    let lines = lines(&log);
    assert_eq!(lines[0]["request"]["messages"][0]["content"], "Hi");
    assert_eq!(lines[0]["answer"], "Hello");
    assert_eq!(lines[1]["answer"], "");
}
