//! A caller who waits long is told that the gateway is still there, before the provider has answered and after.

use std::time::Duration;

use crate::{
    gateway::{self, header, sent, stream_of},
    upstream,
};

fn often(config: &mut tokenway::config::Config) {
    config.channels.keep_alive = Duration::from_millis(60);
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_come_before_the_provider_has_answered_and_between_its_payloads() {
    let (gateway, upstream) = gateway::with("", often).await;
    let call = sent(gateway.streamed());
    let mut provider = upstream.call().await;
    // The stream begins without the provider.
    let mut app = stream_of(call).await;
    for _ in 0..3 {
        assert!(app.item().await.expect("a comment").is_comment());
    }
    provider.begin().await;
    provider.text_delta("late").await;
    assert_eq!(app.event().await.data, upstream::delta("late"));
    for _ in 0..2 {
        assert!(app.item().await.expect("a comment").is_comment());
    }
    provider.finish().await;
    assert_eq!(app.rest().await.last().expect("an end").data, "[DONE]");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_comes_after_the_stream_has_begun_is_told_in_it() {
    let (gateway, upstream) = gateway::with("", often).await;
    for (status, theirs, message) in [
        ("429 Slow", r#"{"error":{"message":"slow down","type":"requests"}}"#, "slow down"),
        ("500 Oh", "oh", "oh"),
    ] {
        let call = sent(gateway.streamed());
        let provider = upstream.call().await;
        let mut app = stream_of(call).await;
        assert!(app.item().await.expect("a comment").is_comment());
        provider.answer(status, "content-type: application/json\r\n", theirs).await;
        let items = app.rest().await;
        assert_eq!(items.len(), 1, "{items:?}");
        let error = &items[0].json()["error"];
        assert!(error["message"].as_str().expect("text").contains(message), "{error}");
        assert_eq!(error["code"], "upstream_error");
        let channel = header(&app.headers, "tokenway-channel");
        let end = gateway.ended(channel).await;
        assert_eq!(end["error"]["message"], error["message"]);
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_never_answers_is_told_in_the_stream_too() {
    let (gateway, upstream) = gateway::with("first_token: 200ms", often).await;
    let call = sent(gateway.streamed());
    let provider = upstream.call().await;
    let items = stream_of(call).await.rest().await;
    assert_eq!(items.len(), 1, "{items:?}");
    assert_eq!(items[0].json()["error"]["code"], "timeout");
    provider.closed().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_whole_after_the_stream_has_begun_becomes_a_stream() {
    let (gateway, upstream) = gateway::with("", often).await;
    let call = sent(gateway.streamed());
    let provider = upstream.call().await;
    let mut app = stream_of(call).await;
    assert!(app.item().await.expect("a comment").is_comment());
    let whole = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"whole"},"finish_reason":"stop"}]}"#;
    provider.answer("200 OK", "content-type: application/json\r\n", whole).await;
    let items = app.rest().await;
    let text: String = items[..items.len() - 1]
        .iter()
        .map(|item| {
            item.json()["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()
        })
        .collect();
    assert_eq!((text.as_str(), items[items.len() - 1].data.as_str()), ("whole", "[DONE]"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_of_a_quiet_channel_gets_comments() {
    let (gateway, upstream) = gateway::with("", often).await;
    let call = sent(gateway.streamed().header("tokenway-channel", "chat-42"));
    let provider = upstream.call().await;
    let mut view = gateway.view("chat-42").await;
    assert_eq!(view.event().await.event, "started");
    for _ in 0..2 {
        assert!(view.item().await.expect("a comment").is_comment());
    }
    drop((view, provider));
    call.await.expect("a response");
    gateway.stop().await;
}
