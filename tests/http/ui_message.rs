//! `GET /v1/channels/{id}/ui-message-stream`: stock `useChat` resumes any running generation.

use serde_json::Value;

use crate::{
    gateway::{self, Tokenway, header, send, sent, stream_of},
    sse::Sse,
};

fn url(channel: &str) -> String {
    format!("/v1/channels/{channel}/ui-message-stream")
}

async fn parts(gateway: &Tokenway, channel: &str) -> Sse {
    Sse::of(send(gateway.get(&url(channel))).await)
}

fn text(parts: &[crate::sse::Item]) -> String {
    let parts = parts.iter().filter(|part| part.data != "[DONE]").map(|part| part.json());
    let deltas = parts.filter(|part| part["type"] == "text-delta");
    deltas.map(|part| part["delta"].as_str().expect("a delta").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_gets_what_was_said_at_once_and_then_the_tail() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let call = sent(gateway.streamed());
    let mut provider = upstream.call().await;
    provider.begin().await;
    let mut app = stream_of(call).await;
    let channel = header(&app.headers, "tokenway-channel").to_owned();
    provider.text_delta("Hel").await;
    provider.text_delta("lo, ").await;
    app.until(|item| item.data.contains("lo, ")).await;

    let mut view = parts(&gateway, &channel).await;
    assert_eq!(header(&view.headers, "x-vercel-ai-ui-message-stream"), "v1");
    let so_far = view.until(|part| part.json()["type"] == "text-delta").await;
    let kinds: Vec<Value> = so_far.iter().map(|part| part.json()["type"].clone()).collect();
    assert_eq!(kinds, ["start", "start-step", "text-start", "text-delta"]);
    assert_eq!(text(&so_far), "Hello, ");

    provider.text_delta("world").await;
    provider.finish().await;
    let rest = view.rest().await;
    assert_eq!(text(&rest), "world");
    let kinds: Vec<&str> = rest.iter().map(|part| part.data.as_str()).collect();
    assert_eq!(kinds.last(), Some(&"[DONE]"));
    let finish = rest[rest.len() - 2].json();
    assert_eq!((&finish["type"], &finish["finishReason"]), (&"finish".into(), &"stop".into()));
    assert_eq!(finish["messageMetadata"]["tokenway"]["usage"]["inputTokens"], 9);

    let again = send(gateway.get(&url(&channel))).await;
    assert_eq!(again.status(), 204, "nothing runs any more");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_it_as_an_abort_and_a_viewer_who_leaves_stops_nothing() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let call = sent(gateway.streamed());
    let mut provider = upstream.call().await;
    provider.begin().await;
    let app = stream_of(call).await;
    let channel = header(&app.headers, "tokenway-channel").to_owned();
    provider.text_delta("Hi").await;
    drop(parts(&gateway, &channel).await);
    let mut view = parts(&gateway, &channel).await;
    view.until(|part| part.json()["type"] == "text-delta").await;
    let cancel = gateway.post(&format!("/v1/channels/{channel}/cancel"), "{}");
    assert_eq!(send(cancel).await.status(), 200);
    let kinds: Vec<String> = view.rest().await.into_iter().map(|part| part.data).collect();
    assert!(kinds.iter().any(|part| part.contains("\"abort\"")), "{kinds:?}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_generations_the_newest_that_runs_is_shown() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let mut providers = Vec::new();
    let mut apps = Vec::new();
    for word in ["one", "two"] {
        let call = sent(gateway.streamed().header("tokenway-channel", "chat"));
        let mut provider = upstream.call().await;
        provider.begin().await;
        let mut app = stream_of(call).await;
        provider.text_delta(word).await;
        app.until(|item| item.data.contains(word)).await;
        providers.push(provider);
        apps.push(app);
    }
    let mut view = parts(&gateway, "chat").await;
    let seen = view.until(|part| part.json()["type"] == "text-delta").await;
    assert_eq!(text(&seen), "two");
    let unknown = send(gateway.get(&url("nobody"))).await;
    assert_eq!(
        unknown.status(),
        204,
        "a chat that was not begun is nothing to resume, and no error"
    );
    drop((providers, apps));
    gateway.stop().await;
}
