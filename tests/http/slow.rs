//! An app that does not read: it slows nobody, and when it reads at last it has everything once.

use serde_json::Value;

use crate::{
    gateway::{self, header, sent},
    sse::{Item, Sse},
    upstream,
};

/// Past what the sockets on the way take (some MB on loopback) and the tee together.
const ROUNDS: usize = 1_500;
const PADDING: usize = 8 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_does_not_read_slows_nobody_and_gets_everything_once() {
    let (gateway, upstream) =
        gateway::with("", |config| config.channels.retention.max_bytes = 64 << 20).await;
    let call = sent(gateway.streamed());
    let mut provider = upstream.call().await;
    provider.begin().await;
    let response = call.await.expect("a response");
    let channel = header(response.headers(), "tokenway-channel").to_owned();
    // It reads nothing at all, and yet the generation comes to its end.
    let mut expected = String::new();
    for round in 0..ROUNDS {
        let text = format!("{round} {}|", "z".repeat(PADDING));
        expected += &text;
        provider.text_delta(&text).await;
    }
    provider.finish().await;
    let generation = gateway.ended(&channel).await;
    assert_eq!(generation["state"], "finished");
    assert!(generation["text"] == expected.clone(), "all of it is in the log");

    let mut app = Sse::of(response);
    let items = app.rest().await;
    assert_eq!(items.last().expect("an end").data, "[DONE]");
    let foreign = items.iter().filter(|item| item.data.contains("x_unknown")).count();
    assert!(foreign < ROUNDS, "it did fall behind, so that this tests something");
    assert!(items.windows(2).all(|pair| pair[0].seq() <= pair[1].seq()), "cursors never go back");
    assert!(content(&items) == expected, "each text once, in order");
    let reasons = items.iter().filter(|item| item.data != "[DONE]").map(Item::json);
    let reasons: Vec<Value> = reasons
        .map(|chunk| chunk["choices"][0]["finish_reason"].clone())
        .filter(|reason| !reason.is_null())
        .collect();
    assert_eq!(reasons, ["stop"]);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_fell_behind_what_is_kept_is_told_so_and_not_given_a_part_as_the_whole() {
    let (gateway, upstream) =
        gateway::with("", |config| config.channels.retention.max_bytes = 16 << 20).await;
    let call = sent(gateway.streamed().header("tokenway-channel", "chat-42"));
    let mut provider = upstream.call().await;
    provider.begin().await;
    let response = call.await.expect("a response");
    for _ in 0..ROUNDS {
        provider.text_delta(&"z".repeat(PADDING)).await;
    }
    provider.finish().await;
    gateway.ended("chat-42").await;
    // More generations take the place of what it has not read.
    for _ in 0..2 {
        let call = sent(gateway.streamed().header("tokenway-channel", "chat-42"));
        let mut provider = upstream.call().await;
        provider.begin().await;
        let mut other = Sse::of(call.await.expect("a response"));
        for _ in 0..90 {
            provider.text_delta(&"y".repeat(100 * 1024)).await;
            other.event().await;
        }
        provider.finish().await;
        other.rest().await;
    }
    assert!(gateway.state("chat-42").await["first_seq"].as_u64() > Some(ROUNDS as u64), "trimmed");
    let items = Sse::of(response).rest().await;
    let last = items.last().expect("an error").json();
    assert_eq!(last["error"]["code"], "limit", "{last}");
    assert!(items.iter().all(|item| item.data != "[DONE]"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_does_not_read_slows_nobody_either() {
    let (gateway, upstream) =
        gateway::with("", |config| config.channels.retention.max_bytes = 64 << 20).await;
    let call = sent(gateway.streamed());
    let mut provider = upstream.call().await;
    provider.begin().await;
    let mut app = Sse::of(call.await.expect("a response"));
    let channel = header(&app.headers, "tokenway-channel").to_owned();
    let mut lazy = gateway.view(&channel).await;
    let mut expected = String::new();
    for round in 0..ROUNDS {
        let text = format!("{round} {}|", "z".repeat(PADDING));
        expected += &text;
        provider.text_delta(&text).await;
        assert_eq!(app.event().await.data, upstream::delta(&text), "the app is not held up");
    }
    provider.finish().await;
    app.rest().await;
    let events = lazy.rest().await;
    let texts = events.iter().filter(|event| event.event == "text").map(Item::json);
    let text: String =
        texts.map(|event| event["text"].as_str().expect("text").to_owned()).collect();
    assert!(text == expected, "each event once, in order");
    gateway.stop().await;
}

fn content(items: &[Item]) -> String {
    let chunks = items.iter().filter(|item| item.data != "[DONE]").map(Item::json);
    let text = |chunk: Value| {
        chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()
    };
    chunks.map(text).collect()
}
