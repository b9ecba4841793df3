//! `on_disconnect`: what becomes of a generation when its caller and its viewers come and go. Leaving is not cancelling.

use std::time::Duration;

use tokenway::config::OnDisconnect;
use tokio::time::Instant;

use crate::{
    gateway::{self, Tokenway, asked, header, sent, stream_of},
    sse::Sse,
    upstream::{Call, Upstream},
};

async fn under(policy: OnDisconnect) -> (Tokenway, Upstream) {
    gateway::with("", |config| config.models[0].on_disconnect = policy).await
}

/// A stream that has said `Hi` to its app, and its channel.
async fn begun(gateway: &Tokenway, upstream: &Upstream) -> (Sse, Call, String) {
    let call = sent(gateway.streamed());
    let mut provider = upstream.call().await;
    provider.begin().await;
    provider.text_delta("Hi").await;
    let mut app = stream_of(call).await;
    app.event().await;
    let channel = header(&app.headers, "tokenway-channel").to_owned();
    (app, provider, channel)
}

async fn cancelled(gateway: &Tokenway, channel: &str, provider: Call) {
    // The provider is let go, so that it stops counting tokens.
    provider.closed().await;
    let generation = gateway.ended(channel).await;
    assert_eq!(generation["state"], "failed");
    assert_eq!(generation["error"]["code"], "cancelled");
    assert_eq!(generation["text"], "Hi", "what was said stays said");
}

#[tokio::test(flavor = "multi_thread")]
async fn under_cancel_the_callers_leaving_stops_it() {
    let (gateway, upstream) = under(OnDisconnect::Cancel).await;
    let (app, provider, channel) = begun(&gateway, &upstream).await;
    drop(app);
    cancelled(&gateway, &channel, provider).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_cancel_a_caller_that_leaves_before_the_answer_stops_it_too() {
    let (gateway, upstream) = under(OnDisconnect::Cancel).await;
    for stream in [true, false] {
        let request = gateway.chat(asked(stream)).header("tokenway-channel", format!("c-{stream}"));
        let call = sent(request);
        let provider = upstream.call().await;
        call.abort();
        provider.closed().await;
        let generation = gateway.ended(&format!("c-{stream}")).await;
        assert_eq!(generation["error"]["code"], "cancelled");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_cancel_a_viewer_keeps_it_alive_until_the_last_one_leaves() {
    let (gateway, upstream) = under(OnDisconnect::Cancel).await;
    let (app, mut provider, channel) = begun(&gateway, &upstream).await;
    let (mut one, mut two) = (gateway.view(&channel).await, gateway.view(&channel).await);
    for view in [&mut one, &mut two] {
        view.until(|event| event.event == "text").await;
    }
    drop((app, one));
    for _ in 0..10 {
        provider.text_delta("").await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(gateway.state(&channel).await["generations"][0]["state"], "running");
    drop(two);
    cancelled(&gateway, &channel, provider).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_grace_it_is_stopped_when_nobody_has_come_back() {
    let grace = Duration::from_millis(300);
    let (gateway, upstream) = under(OnDisconnect::Grace(grace)).await;
    let (app, provider, channel) = begun(&gateway, &upstream).await;
    drop(app);
    let left = Instant::now();
    cancelled(&gateway, &channel, provider).await;
    assert!(left.elapsed() >= grace, "{:?}", left.elapsed());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_grace_somebody_who_comes_in_time_keeps_it_and_the_next_absence_counts_anew() {
    let grace = Duration::from_millis(600);
    let (gateway, upstream) = under(OnDisconnect::Grace(grace)).await;
    let (app, mut provider, channel) = begun(&gateway, &upstream).await;
    drop(app);
    tokio::time::sleep(grace / 3).await;
    let mut view = gateway.view(&channel).await;
    view.until(|event| event.event == "text").await;
    tokio::time::sleep(grace * 3 / 2).await;
    provider.text_delta("").await;
    assert_eq!(gateway.state(&channel).await["generations"][0]["state"], "running");
    drop(view);
    let left = Instant::now();
    cancelled(&gateway, &channel, provider).await;
    assert!(left.elapsed() >= grace, "{:?}", left.elapsed());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_drain_it_goes_on_to_its_end_with_nobody_there() {
    let (gateway, upstream) = under(OnDisconnect::Drain).await;
    let (app, mut provider, channel) = begun(&gateway, &upstream).await;
    drop(app);
    for _ in 0..10 {
        provider.text_delta("!").await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    provider.finish().await;
    let generation = gateway.ended(&channel).await;
    assert_eq!(
        (&generation["state"], &generation["text"]),
        (&"finished".into(), &"Hi!!!!!!!!!!".into())
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_looks_at_the_state_is_not_there() {
    let (gateway, upstream) = under(OnDisconnect::Cancel).await;
    let (app, provider, channel) = begun(&gateway, &upstream).await;
    gateway.state(&channel).await;
    drop(app);
    cancelled(&gateway, &channel, provider).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_whose_answer_waits_for_the_fold_counts_as_there() {
    let (gateway, upstream) = under(OnDisconnect::Cancel).await;
    let call = sent(gateway.chat(asked(false)).header("tokenway-channel", "chat-42"));
    let mut provider = upstream.call().await;
    provider.begin().await;
    provider.text_delta("Hi").await;
    let mut view = gateway.view("chat-42").await;
    view.until(|event| event.event == "text").await;
    drop(view);
    for _ in 0..10 {
        provider.text_delta("!").await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    provider.finish().await;
    assert_eq!(call.await.expect("a response").status(), 200);
    gateway.stop().await;
}
