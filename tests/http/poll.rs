//! `GET /v1/channels/{id}/events?wait=…`: the long poll gives what the stream gives, once, in the same order.

use serde_json::Value;

use crate::{
    gateway::{self, Tokenway, body, header, refusal, send, sent, stream_of},
    upstream::Upstream,
};

async fn begun(gateway: &Tokenway, upstream: &Upstream) -> (crate::upstream::Call, String) {
    let call = sent(gateway.streamed());
    let mut provider = upstream.call().await;
    provider.begin().await;
    let app = stream_of(call).await;
    let channel = header(&app.headers, "tokenway-channel").to_owned();
    // The caller may leave: the channel stays.
    (provider, channel)
}

async fn poll(gateway: &Tokenway, channel: &str, query: &str) -> Value {
    body(send(gateway.get(&format!("/v1/channels/{channel}/events?{query}"))).await).await
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_give_every_event_once_and_then_204() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let (mut provider, channel) = begun(&gateway, &upstream).await;
    let (mut events, mut after) = (Vec::new(), String::new());
    for word in ["The ", "brüün ", "🦊"] {
        provider.text_delta(word).await;
        let answer = poll(&gateway, &channel, &format!("wait=20s{after}")).await;
        assert_eq!(answer["closed"], false);
        after = format!("&after={}", answer["cursor"].as_str().expect("a cursor"));
        events.extend(answer["events"].as_array().expect("events").clone());
    }
    provider.finish().await;
    loop {
        let url = format!("/v1/channels/{channel}/events?wait=20s{after}");
        let response = send(gateway.get(&url)).await;
        if response.status() == 204 {
            break;
        }
        let answer = body(response).await;
        after = format!("&after={}", answer["cursor"].as_str().expect("a cursor"));
        events.extend(answer["events"].as_array().expect("events").clone());
    }
    let streamed = gateway.view(&channel).await.rest().await;
    let of_stream: Vec<Value> = streamed
        .iter()
        .map(|item| serde_json::json!({ "id": item.id, "event": item.event, "data": item.json() }))
        .collect();
    assert_eq!(events, of_stream);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_without_news_ends_with_its_wait() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let (provider, channel) = begun(&gateway, &upstream).await;
    let first = poll(&gateway, &channel, "wait=0").await;
    let cursor = first["cursor"].as_str().expect("a cursor").to_owned();
    assert_eq!(first["events"].as_array().map(Vec::len), Some(1), "{first}");
    let second = poll(&gateway, &channel, &format!("wait=10ms&after={cursor}")).await;
    assert_eq!(second["events"], serde_json::json!([]));
    assert_eq!(second["cursor"], cursor);
    provider.finish().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_is_none_is_refused_and_a_stream_needs_none() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let (provider, channel) = begun(&gateway, &upstream).await;
    let url = format!("/v1/channels/{channel}/events");
    let (status, error) = refusal(gateway.get(&format!("{url}?wait=forever"))).await;
    assert_eq!((status, &error["error"]["code"]), (400, &"bad_request".into()), "{error}");
    let request = gateway.get(&format!("{url}?wait=20s")).header("accept", "text/event-stream");
    let mut stream = crate::sse::Sse::of(send(request).await);
    assert_eq!(stream.event().await.event, "started");
    provider.finish().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_tells_how_the_channel_stands_and_from_says_where_to_begin() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let (mut provider, channel) = begun(&gateway, &upstream).await;
    provider.text_delta("before ").await;
    let mut view = gateway.view(&channel).await;
    while view.event().await.event != "text" {}
    let first = poll(&gateway, &channel, "wait=0&head=true").await;
    let events = first["events"].as_array().expect("events");
    let head = &events[0];
    assert_eq!((&head["event"], head.get("id")), (&"head".into(), None), "{first}");
    let head = &head["data"];
    assert_eq!((&head["first_seq"], &head["last_seq"]), (&1.into(), &2.into()), "{head}");
    assert_eq!(format!("{}.2", head["epoch"].as_str().expect("text")), first["cursor"]);
    let (started, told) = (&events[1]["data"], &head["generations"][0]);
    for member in ["generation", "model", "provider", "dialect", "created_ms"] {
        assert_eq!(told[member], started[member], "{member}");
    }
    assert_eq!(events.len(), 3, "{first}");

    let tail = poll(&gateway, &channel, "wait=0&head=true&from=tail").await;
    assert_eq!(tail["events"].as_array().map(Vec::len), Some(1), "{tail}");
    assert_eq!(tail["events"][0]["data"]["last_seq"], 2);
    let whole = poll(&gateway, &channel, "wait=0&from=snapshot").await;
    assert_eq!(whole["events"][0]["event"], "snapshot", "{whole}");
    assert_eq!(whole["events"][0]["data"]["generations"][0]["text"], "before ");

    // The stream begins with it, too, and a cursor says more than `from`.
    let url = format!("/v1/channels/{channel}/events?head=true&from=snapshot&after=1");
    let mut stream = crate::sse::Sse::of(send(gateway.get(&url)).await);
    assert_eq!(stream.event().await.event, "head");
    assert_eq!(stream.event().await.event, "text");
    let url = format!("/v1/channels/{channel}/events?from=nowhere");
    assert_eq!(refusal(gateway.get(&url)).await.0, 400);
    provider.finish().await;
    gateway.stop().await;
}
