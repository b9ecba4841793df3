//! What metrics count of viewers: frames and how late they are, snapshots, and how whoever was away comes back.

use tokenway::wire::proto::{
    self, Nothing, client_message::Body as Request, control::Body as Answer, frame::News,
    server_message::Body, subscribe::From,
};

use super::{WEB, figure, keyed_with, sessions::Session};
use crate::{
    gateway::{Tokenway, sent, stream_of},
    soon,
};

/// Less than is said on the channel.
const RETAINED: usize = 256 << 10;

/// As slow as a viewer may wish to be told.
const SLOW_MS: u32 = 500;

async fn viewer(gateway: &Tokenway) -> Session {
    let hello = proto::Hello { frame_interval_ms: Some(SLOW_MS), ..proto::Hello::default() };
    let mut session = Session::greeted(gateway, &format!("?token={WEB}"), hello).await;
    assert!(matches!(session.answer().await, Answer::Welcome(_)));
    session
}

async fn subscribe(session: &mut Session, alias: u32, from: From) -> Answer {
    let channel = "chat".to_owned();
    let subscribe = proto::Subscribe { alias, channel, from: Some(from), ..Default::default() };
    session.say(Request::Subscribe(subscribe)).await;
    session.answer().await
}

/// The next frame.
async fn frame(session: &mut Session) -> proto::Frame {
    loop {
        if let Body::Frame(frame) = session.next().await.expect("it goes on") {
            return frame;
        }
    }
}

/// What [`figure`] gives once it is this.
async fn counted(gateway: &Tokenway, series: &str, expected: f64) {
    let looked = async {
        while figure(gateway, series).await != expected {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let in_time = tokio::time::timeout(std::time::Duration::from_secs(10), looked).await;
    assert!(in_time.is_ok(), "{series} is {}, not {expected}", figure(gateway, series).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_over_websocket_move_every_figure_of_delivery() {
    let (gateway, upstream) = keyed_with(|config| {
        config.channels.retention.max_bytes = RETAINED;
    })
    .await;
    let call = sent(gateway.streamed().bearer_auth(WEB).header("tokenway-channel", "chat"));
    let mut provider = upstream.call().await;
    provider.begin().await;
    let mut app = stream_of(call).await;

    // One who is told live, and of what follows at once only when the next frame is due.
    let mut first = viewer(&gateway).await;
    let epoch = match subscribe(&mut first, 1, From::Tail(Nothing {})).await {
        Answer::Subscribed(subscribed) => subscribed.epoch,
        other => panic!("{other:?}"),
    };
    counted(&gateway, r#"tokenway_sessions{transport="websocket"}"#, 1.0).await;
    counted(&gateway, r#"tokenway_subscriptions{transport="websocket"}"#, 1.0).await;
    let mut seen = 0;
    for text in ["Hi", " there"] {
        provider.text_delta(text).await;
        let told = frame(&mut first).await;
        seen = told.first_seq + told.events.len() as u64 - 1;
    }
    counted(&gateway, r#"tokenway_frames_total{transport="websocket"}"#, 2.0).await;
    counted(&gateway, r#"tokenway_frame_lag_seconds_count{transport="websocket"}"#, 2.0).await;
    let late = figure(&gateway, r#"tokenway_frame_lag_seconds_sum{transport="websocket"}"#).await;
    assert!(late > 0.0 && late < 10.0, "the second waited for its turn: {late}");
    let bytes = figure(&gateway, r#"tokenway_frame_bytes_total{transport="websocket"}"#).await;
    assert!(bytes > 10.0, "{bytes}");
    drop(first);
    counted(&gateway, r#"tokenway_sessions{transport="websocket"}"#, 0.0).await;
    counted(&gateway, r#"tokenway_subscriptions{transport="websocket"}"#, 0.0).await;
    counted(&gateway, r#"tokenway_sessions_ended_total{transport="websocket",end="left"}"#, 1.0)
        .await;

    // Back at once: nothing was missed, or what was is there.
    let cursor = |seq| From::Cursor(proto::Cursor { epoch: epoch.clone(), seq });
    let mut second = viewer(&gateway).await;
    assert!(matches!(subscribe(&mut second, 1, cursor(seen)).await, Answer::Subscribed(_)));
    counted(&gateway, r#"tokenway_resumes_total{transport="websocket",outcome="continued"}"#, 1.0)
        .await;
    drop(second);

    // Away while more is said than is kept: there is a gap, and a snapshot in its place.
    provider.finish().await;
    soon("the app is told all", app.rest()).await;
    for _ in 0..4 {
        let call = sent(gateway.streamed().bearer_auth(WEB).header("tokenway-channel", "chat"));
        let mut provider = upstream.call().await;
        provider.begin().await;
        let mut app = stream_of(call).await;
        for _ in 0..10 {
            provider.text_delta(&"z".repeat(8 << 10)).await;
            app.event().await;
        }
        provider.finish().await;
        soon("the app is told all", app.rest()).await;
    }
    let mut third = viewer(&gateway).await;
    assert!(matches!(subscribe(&mut third, 1, cursor(seen)).await, Answer::Subscribed(_)));
    assert!(matches!(frame(&mut third).await.news, Some(News::Snapshot(_))));
    counted(&gateway, r#"tokenway_resumes_total{transport="websocket",outcome="snapshot"}"#, 1.0)
        .await;
    counted(&gateway, r#"tokenway_snapshots_total{transport="websocket",cause="trimmed"}"#, 1.0)
        .await;
    // Whoever asks for one is counted apart, and whoever was never here is refused.
    assert!(matches!(
        subscribe(&mut third, 2, From::Snapshot(Nothing {})).await,
        Answer::Subscribed(_)
    ));
    counted(&gateway, r#"tokenway_snapshots_total{transport="websocket",cause="asked"}"#, 1.0)
        .await;
    let ahead = subscribe(&mut third, 3, cursor(1 << 40)).await;
    assert!(matches!(ahead, Answer::Refused(refused) if refused.code == "cursor_ahead"));
    counted(&gateway, r#"tokenway_resumes_total{transport="websocket",outcome="refused"}"#, 1.0)
        .await;
    counted(&gateway, r#"tokenway_snapshots_total{transport="websocket",cause="trimmed"}"#, 1.0)
        .await;
    counted(&gateway, r#"tokenway_sessions_opened_total{transport="websocket"}"#, 3.0).await;
    drop(third);
    gateway.stop().await;
}
