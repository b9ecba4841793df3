//! An app that lost its stream comes back for the rest of it, in Chat's dialect.

use serde_json::{Value, json};

use crate::{
    gateway::{self, body, header, refusal, send, sent, stream_of},
    sse::{Item, Sse},
};

fn text(items: &[Item]) -> String {
    let chunks = items.iter().filter(|item| item.data != "[DONE]").map(Item::json);
    chunks
        .filter_map(|it| it["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_after_the_last_seen_seq_comes_again_and_goes_on_live() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let call = sent(gateway.streamed());
    let mut provider = upstream.call().await;
    provider.begin().await;
    provider.text_delta("one ").await;
    let mut app = stream_of(call).await;
    let generation = header(&app.headers, "tokenway-generation").to_owned();
    let epoch = header(&app.headers, "tokenway-epoch").to_owned();
    let seen = app.event().await;
    // The app is killed in the middle.
    drop(app);
    provider.text_delta("two ").await;
    let mut streams = Vec::new();
    for id in [format!("chatcmpl-{generation}"), generation.clone(), "chatcmpl-1".to_owned()] {
        let seq = seen.seq();
        for after in [format!("{seq}"), format!("{epoch}.{seq}")] {
            let path = format!("/v1/chat/completions/{id}?stream=true&starting_after={after}");
            let response = send(gateway.get(&path)).await;
            assert_eq!(response.status(), 200, "{path}");
            assert_eq!(header(response.headers(), "tokenway-generation"), generation);
            streams.push(Sse::of(response));
        }
    }
    provider.text_delta("three").await;
    provider.finish().await;
    for mut stream in streams {
        let items = stream.rest().await;
        assert_eq!(text(&items), "two three");
        assert_eq!(items.last().expect("an end").data, "[DONE]");
        assert!(items.iter().all(|item| item.seq() > seen.seq()), "numbers go on: {items:?}");
        assert_eq!(items[0].json()["id"], format!("chatcmpl-{generation}"));
    }
    // And from the beginning, after the end.
    let path = format!("/v1/chat/completions/{generation}?stream=true");
    let items = Sse::of(send(gateway.get(&path)).await).rest().await;
    assert_eq!(text(&items), "one two three");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completion_is_had_whole_once_it_has_ended() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let call = sent(gateway.streamed());
    let mut provider = upstream.call().await;
    provider.begin().await;
    provider.text_delta("Hello").await;
    let mut app = stream_of(call).await;
    let path =
        format!("/v1/chat/completions/chatcmpl-{}", header(&app.headers, "tokenway-generation"));
    let response = send(gateway.get(&path)).await;
    assert_eq!(response.status(), 409);
    assert_eq!(header(response.headers(), "retry-after"), "1");
    assert_eq!(body(response).await["error"]["code"], "generation_running");
    provider.finish().await;
    app.rest().await;
    let whole = body(send(gateway.get(&path)).await).await;
    assert_eq!(whole["choices"][0]["message"]["content"], "Hello");
    assert_eq!(whole["usage"]["total_tokens"], 13);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_refused_or_the_providers_to_know() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let call = sent(gateway.streamed());
    let mut provider = upstream.call().await;
    provider.begin().await;
    provider.text_delta("Hi").await;
    let app = stream_of(call).await;
    let id = header(&app.headers, "tokenway-generation").to_owned();
    for (path, status, code, param) in [
        ("chatcmpl-gen_none?stream=true".to_owned(), 404, "not_found", Value::Null),
        ("gen_none".to_owned(), 404, "not_found", Value::Null),
        (
            format!("{id}?stream=true&starting_after=999"),
            400,
            "bad_request",
            json!("starting_after"),
        ),
        (format!("{id}?stream=true&starting_after=x"), 400, "bad_cursor", json!("starting_after")),
        (
            format!("{id}?stream=true&starting_after=00000001.1"),
            409,
            "epoch_changed",
            json!("starting_after"),
        ),
        (format!("{id}?stream=perhaps"), 400, "bad_request", Value::Null),
    ] {
        let (answered, said) = refusal(gateway.get(&format!("/v1/chat/completions/{path}"))).await;
        assert_eq!((answered, &said["error"]["code"]), (status, &json!(code)), "{path}: {said}");
        assert_eq!(said["error"]["param"], param, "{path}");
    }
    // A provider that stores completions is asked for its own; a stream of one that nobody here knows, too.
    for path in ["/v1/chat/completions/chatcmpl-1", "/v1/chat/completions/chatcmpl-9?stream=true"] {
        let call = sent(gateway.get(path));
        let stored = upstream.call().await;
        assert_eq!(stored.line(), format!("GET {path} HTTP/1.1"));
        stored.answer("200 OK", "", "{}").await;
        assert_eq!(call.await.expect("a response").status(), 200);
    }
    provider.finish().await;
    gateway.stop().await;
}
