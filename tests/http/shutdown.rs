//! Shutting down: what runs may come to its end, whoever looks on is told, and nothing is left behind.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    gateway::{self, asked, header, sent, stream_of},
    soon,
    sse::Sse,
};

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_may_come_to_its_end_and_nothing_new_begins() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let call = sent(gateway.streamed());
    let mut provider = upstream.call().await;
    provider.begin().await;
    provider.text_delta("Hi").await;
    let mut app = stream_of(call).await;
    app.event().await;
    let mut view = gateway.view(header(&app.headers, "tokenway-channel")).await;
    view.until(|event| event.event == "text").await;
    let (http, url) = (gateway.http.clone(), gateway.url("/v1/chat/completions"));
    let ended = gateway.begin_stop();
    // Refused once the doors are closed; a call that slipped in before that would be served.
    soon("the doors are closed", async {
        loop {
            let call = http.post(&url).header("content-type", "application/json").body("{}");
            match call.send().await {
                Err(_) => return,
                Ok(response) => assert_eq!(response.status(), 400),
            }
        }
    })
    .await;
    provider.text_delta(" there").await;
    provider.finish().await;
    assert_eq!(app.rest().await.last().expect("an end").data, "[DONE]");
    assert_eq!(view.rest().await.last().expect("an end").event, "finished");
    ended.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_come_to_its_end_is_given_up_and_everybody_is_told() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let call = sent(gateway.streamed().header("tokenway-channel", "chat-42"));
    let mut provider = upstream.call().await;
    provider.begin().await;
    provider.text_delta("Hi").await;
    let mut app = stream_of(call).await;
    app.event().await;
    let mut view = gateway.view("chat-42").await;
    view.until(|event| event.event == "text").await;
    let begun = Instant::now();
    let ended = gateway.begin_stop();
    let told = app.rest().await;
    assert!(begun.elapsed() >= Duration::from_secs(9), "it had its grace: {:?}", begun.elapsed());
    let error = told.last().expect("an error").json();
    assert_eq!(error["error"]["code"], "gateway_lost");
    // A named channel's view would stay open: it is ended, but not before the end was told.
    let last = view.rest().await;
    assert_eq!(last.last().expect("an end").json()["code"], "gateway_lost");
    provider.closed().await;
    ended.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn open_views_do_not_hold_it_up() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let call = sent(gateway.streamed().header("tokenway-channel", "chat-42"));
    let mut provider = upstream.call().await;
    provider.begin().await;
    provider.finish().await;
    stream_of(call).await.rest().await;
    let mut views = Vec::new();
    for _ in 0..10 {
        let mut view = gateway.view("chat-42").await;
        view.until(|event| event.event == "finished").await;
        views.push(view);
    }
    let begun = Instant::now();
    gateway.stop().await;
    assert!(begun.elapsed() < Duration::from_millis(1_500), "{:?}", begun.elapsed());
    for view in &mut views {
        assert_eq!(view.next().await, None, "ended in good order");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_never_reads_is_let_go() {
    let (gateway, upstream) =
        gateway::with("", |config| config.channels.retention.max_bytes = 64 << 20).await;
    let call = sent(gateway.streamed());
    let mut provider = upstream.call().await;
    provider.begin().await;
    let response = call.await.expect("a response");
    for _ in 0..1_500 {
        provider.text_delta(&"z".repeat(8 * 1024)).await;
    }
    provider.finish().await;
    // And a call that passes and is never answered.
    let passed = sent(gateway.post("/v1/embeddings", asked(false)));
    let unanswered = upstream.call().await;
    gateway.stop().await;
    // Nothing is left of their connections: neither to the apps nor to the provider.
    unanswered.closed().await;
    let passed = soon("the call that passed ends", passed).await;
    assert!(passed.is_err(), "it could not be answered");
    let mut app = Sse::of(response);
    let rest = tokio::spawn(async move { app.rest().await });
    assert!(
        soon("the app's connection ends", rest).await.is_err(),
        "half an answer is no whole one"
    );
}
