//! Same dialect in and out: what the app gets is what the provider sent, with a cursor beside it.

use bytes::Bytes;
use eventsource_stream::Eventsource;
use futures_util::StreamExt;
use serde_json::json;

use crate::{
    gateway::{self, asked, header, send, sent, stream_of},
    sse::Item,
    upstream::{self, Call},
};

/// What the provider says in these tests, payload by payload.
fn payloads() -> Vec<String> {
    vec![
        upstream::role(),
        upstream::delta("Hel"),
        r#"{ "choices":[ {"index":0, "delta":{"content":"lo \u00e9 😀"}, "padding":"x"} ], "seed":21515812692109560001 }"#.into(),
        r#"{"object":"something.else","never":"heard of"}"#.into(),
        upstream::finish(),
        upstream::usage(),
        "[DONE]".into(),
    ]
}

async fn play(mut call: Call) {
    call.begin().await;
    for payload in payloads() {
        call.event(payload).await;
    }
    call.end().await;
}

fn data(items: &[Item]) -> Vec<String> {
    items.iter().map(|item| item.data.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_gets_the_providers_payloads_byte_for_byte_but_for_the_usage_it_did_not_ask_for() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let call = sent(gateway.streamed());
    play(upstream.call().await).await;
    let items = stream_of(call).await.rest().await;
    let mut expected = payloads();
    expected.retain(|payload| *payload != upstream::usage());
    assert_eq!(data(&items), expected);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_asks_for_usage_gets_its_chunk_too() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let mut ask = asked(true);
    ask["stream_options"] = json!({ "include_usage": true });
    let call = sent(gateway.chat(ask));
    play(upstream.call().await).await;
    assert_eq!(data(&stream_of(call).await.rest().await), payloads());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_payloads_id_is_the_cursor_after_its_events() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let call = sent(gateway.streamed());
    play(upstream.call().await).await;
    let mut app = stream_of(call).await;
    let channel = header(&app.headers, "tokenway-channel").to_owned();
    let epoch = header(&app.headers, "tokenway-epoch").to_owned();
    let items = app.rest().await;
    let view = gateway.view(&channel).await.rest().await;
    for item in &items {
        let id = item.id.as_deref().expect("every payload has an id");
        assert!(id.starts_with(&format!("{epoch}.")), "{id} is of {epoch}");
    }
    // The text that an app has seen with a payload is the text of the events up to that payload's cursor.
    let mut seen = String::new();
    for item in &items {
        if item.data != "[DONE]" {
            seen += item.json()["choices"][0]["delta"]["content"].as_str().unwrap_or_default();
        }
        let upto = view.iter().filter(|event| event.event == "text" && event.seq() <= item.seq());
        let said: String =
            upto.map(|event| event.json()["text"].as_str().unwrap().to_owned()).collect();
        assert_eq!(seen, said, "at {:?}", item.id);
    }
    let (last, end) = (&items[items.len() - 1], &view[view.len() - 1]);
    assert_eq!((last.data.as_str(), end.event.as_str()), ("[DONE]", "finished"));
    assert_eq!(last.id, end.id, "who has seen [DONE] has seen the end");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_sse_ids_there_is_no_id_line() {
    let (gateway, upstream) = gateway::with("", |config| config.channels.sse_ids = false).await;
    let call = sent(gateway.streamed());
    play(upstream.call().await).await;
    let items = stream_of(call).await.rest().await;
    assert!(items.iter().all(|item| item.id.is_none()), "{items:?}");
    assert_eq!(items.len(), payloads().len() - 1);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_events_and_several_lines_of_data_survive() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let call = sent(gateway.streamed());
    let mut provider = upstream.call().await;
    provider.begin().await;
    provider
        .say("retry: 5\r\nevent: something\r\nid: theirs\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\n")
        .await;
    provider.text_delta("Hi").await;
    provider.finish().await;
    let items = stream_of(call).await.rest().await;
    assert_eq!((items[0].event.as_str(), items[0].data.as_str()), ("something", "{\"a\":\n1}"));
    assert_eq!(items[1].data, upstream::delta("Hi"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_event_stream_library_reads_the_same_payloads() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let call = sent(gateway.streamed());
    play(upstream.call().await).await;
    let body = call.await.expect("a response").bytes_stream();
    let events: Vec<_> =
        body.eventsource().map(|event| event.expect("an event").data).collect().await;
    let mut expected = payloads();
    expected.retain(|payload| *payload != upstream::usage());
    assert_eq!(events, expected);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_the_providers_bytes_are_cut_the_app_gets_the_same() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let wire: String =
        payloads().iter().map(|payload| format!("data: {payload}\r\n\r\n")).collect();
    let wire = Bytes::from(wire);
    let mut expected = payloads();
    expected.retain(|payload| *payload != upstream::usage());
    // Every 7th place, and always within the characters of several bytes.
    let inside = wire.iter().position(|byte| *byte >= 0x80).expect("not only ASCII");
    for place in (0..wire.len()).step_by(7).chain(inside..inside + 8) {
        let call = sent(gateway.streamed());
        let mut provider = upstream.call().await;
        provider.begin().await;
        for part in [wire.slice(..place), wire.slice(place..)] {
            if !part.is_empty() {
                provider.say(part).await;
            }
        }
        provider.end().await;
        assert_eq!(data(&stream_of(call).await.rest().await), expected, "cut at {place}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_does_not_stream_gets_the_providers_body_untouched_and_its_events_are_on_the_channel()
 {
    let (gateway, upstream) = gateway::with_upstream().await;
    let call = sent(gateway.chat(asked(false)));
    let provider = upstream.call().await;
    assert_eq!(
        provider.json().get("stream_options"),
        None,
        "nothing is added: {}",
        provider.text()
    );
    assert_eq!(provider.json()["stream"], false);
    let body = "{\"id\":\"x\", \"choices\": [ {\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hello\"},\
                \"finish_reason\":\"length\"} ],\n \"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}, \"odd\": 1.10 }";
    provider
        .answer("200 OK", "content-type: application/json\r\nx-request-id: req_1\r\n", body)
        .await;
    let response = call.await.expect("a response");
    assert_eq!(header(response.headers(), "x-request-id"), "req_1");
    assert_eq!(header(response.headers(), "content-type"), "application/json");
    let channel = header(response.headers(), "tokenway-channel").to_owned();
    assert_eq!(response.text().await.expect("a body"), body);
    let generation = &gateway.state(&channel).await["generations"][0];
    assert_eq!(generation["text"], "Hello");
    assert_eq!(
        (&generation["state"], &generation["finish_reason"]),
        (&json!("finished"), &json!("length"))
    );
    assert_eq!(generation["usage"]["input"], 3);
    let events = gateway.view(&channel).await.rest().await;
    let names: Vec<_> = events.iter().map(|event| event.event.as_str()).collect();
    assert_eq!(names, ["started", "text", "usage", "finished"]);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_providers_own_headers_reach_the_app_and_its_connections_do_not() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let call = sent(gateway.streamed());
    let mut provider = upstream.call().await;
    provider
        .begin_with("x-ratelimit-remaining: 7\r\nset-cookie: a=b\r\nkeep-alive: timeout=5\r\n")
        .await;
    provider.finish().await;
    let app = stream_of(call).await;
    assert_eq!(header(&app.headers, "x-ratelimit-remaining"), "7");
    assert!(!app.headers.contains_key("set-cookie") && !app.headers.contains_key("keep-alive"));
    assert_eq!(header(&app.headers, "x-accel-buffering"), "no");
    assert!(header(&app.headers, "cache-control").contains("no-cache"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_says_where_it_is_also_when_it_fails_after_its_launch() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let named = ["tokenway-channel", "tokenway-epoch", "tokenway-generation", "tokenway-provider"];
    for (status, stream) in
        [("500 Oh", true), ("401 No", true), ("429 Slow", false), ("200 OK", false)]
    {
        let call = sent(gateway.chat(asked(stream)));
        let body = r#"{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}"#;
        upstream.call().await.answer(status, "content-type: application/json\r\n", body).await;
        let response = call.await.expect("a response");
        for name in named {
            assert!(!header(response.headers(), name).is_empty(), "{status}: {name}");
        }
        assert_eq!(header(response.headers(), "tokenway-provider"), "up");
        let (channel, generation) = (
            header(response.headers(), "tokenway-channel"),
            header(response.headers(), "tokenway-generation"),
        );
        let state = gateway.state(channel).await;
        assert_eq!(state["epoch"], header(response.headers(), "tokenway-epoch"));
        assert_eq!(state["generations"][0]["generation"], generation);
    }
    // One that never was launched has nothing to say.
    let response = send(gateway.chat(json!({ "model": "nope", "messages": [] }))).await;
    assert_eq!(response.status(), 404);
    assert!(!response.headers().contains_key("tokenway-channel"));
    gateway.stop().await;
}

/// What an app that streams is told when the provider answers as `answer` plays it, and the channel's state.
async fn told(answer: impl AsyncFnOnce(Call)) -> (Vec<Item>, serde_json::Value) {
    let (gateway, upstream) = gateway::with_upstream().await;
    let call = sent(gateway.streamed());
    answer(upstream.call().await).await;
    let mut app = stream_of(call).await;
    let channel = header(&app.headers, "tokenway-channel").to_owned();
    let items = app.rest().await;
    let end = gateway.ended(&channel).await;
    gateway.stop().await;
    (items, end)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_streams_gets_a_stream_also_of_a_body_that_came_whole() {
    let theirs = r#"{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}"#;
    let json = "content-type: application/json\r\n";
    let (items, end) = told(async |call| call.answer("200 OK", json, theirs).await).await;
    let said = items.iter().filter(|item| item.data != "[DONE]");
    let said = said.filter_map(|item| {
        item.json()["choices"][0]["delta"]["content"].as_str().map(str::to_owned)
    });
    assert_eq!(said.collect::<String>(), "Hi", "{items:?}");
    assert_eq!(items.last().map(|item| &*item.data), Some("[DONE]"));
    assert_eq!(end["state"], "finished");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_a_body_is_a_failure_to_an_app_that_streams() {
    for status in ["204 No Content", "200 OK"] {
        let (items, end) = told(async |call| call.answer(status, "", "").await).await;
        let error = items.last().expect("an error");
        assert_eq!(error.json()["error"]["code"], "upstream_cut", "{status}");
        assert_eq!(end["error"]["code"], "upstream_cut", "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_comes_compressed_is_refused_and_none_is_asked_for() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let call = sent(gateway.streamed().header("accept-encoding", "gzip, br"));
    let mut provider = upstream.call().await;
    assert_eq!(provider.header("accept-encoding"), Some("identity"));
    provider.begin_with("content-encoding: gzip\r\n").await;
    let response = call.await.expect("a response");
    assert_eq!(response.status(), 502);
    let said = gateway::body(response).await;
    assert_eq!(said["error"]["code"], "upstream_error");
    assert!(said.to_string().contains("compressed"), "{said}");
    gateway.stop().await;
}
