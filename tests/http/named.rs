//! Named channels: a whole conversation on one, several generations one after another and at once.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    gateway::{self, asked, body, header, refusal, send, sent, stream_of},
    sse::{Item, Sse},
    upstream,
};

#[tokio::test(flavor = "multi_thread")]
async fn one_channel_takes_generations_one_after_another() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let mut epochs = Vec::new();
    for text in ["first", "second"] {
        let call = sent(gateway.streamed().header("tokenway-channel", "chat-42"));
        let mut provider = upstream.call().await;
        provider.begin().await;
        provider.text_delta(text).await;
        provider.finish().await;
        let mut app = stream_of(call).await;
        assert_eq!(header(&app.headers, "tokenway-channel"), "chat-42");
        epochs.push(header(&app.headers, "tokenway-epoch").to_owned());
        assert_eq!(app.rest().await.last().expect("an end").data, "[DONE]");
    }
    assert_eq!(epochs[0], epochs[1], "one writer, one epoch");
    let state = gateway.state("chat-42").await;
    assert_eq!((&state["channel"], &state["epoch"]), (&json!("chat-42"), &json!(epochs[0])));
    assert_eq!((&state["first_seq"], &state["last_seq"]), (&json!(1), &json!(8)));
    let texts: Vec<_> =
        state["generations"].as_array().expect("a list").iter().map(|g| &g["text"]).collect();
    assert_eq!(texts, [&json!("first"), &json!("second")]);
    // The channel stays open: its view goes on after what there is.
    let mut view = gateway.view("chat-42").await;
    let events = view.until(|event| event.seq() == 8).await;
    let names: Vec<_> = events.iter().map(|event| event.event.as_str()).collect();
    assert_eq!(
        names,
        ["started", "text", "usage", "finished", "started", "text", "usage", "finished"]
    );
    let response = send(gateway.post("/v1/channels/chat-42/events", r#"{"type":"note"}"#)).await;
    assert_eq!(response.status(), 200);
    assert_eq!(view.event().await.event, "custom");
    drop(view);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_channel_takes_generations_at_once_and_each_app_gets_its_own() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let mut playing = Vec::new();
    for _ in 0..3 {
        let call = sent(gateway.streamed().header("tokenway-channel", "chat-42"));
        let mut provider = upstream.call().await;
        provider.begin().await;
        playing.push((stream_of(call).await, provider));
    }
    for round in 0..20 {
        for (number, (_, provider)) in playing.iter_mut().enumerate() {
            provider.text_delta(&format!("{number}:{round} ")).await;
        }
    }
    let mut expected = BTreeMap::new();
    let mut apps = Vec::new();
    for (number, (app, provider)) in playing.into_iter().enumerate() {
        provider.finish().await;
        let generation = header(&app.headers, "tokenway-generation").to_owned();
        let text: String = (0..20).map(|round| format!("{number}:{round} ")).collect();
        expected.insert(generation, text.clone());
        apps.push((app, text));
    }
    for (mut app, text) in apps {
        let items = app.rest().await;
        assert_eq!(content(&items), text);
        assert!(
            items.windows(2).all(|pair| pair[0].seq() <= pair[1].seq()),
            "cursors never go back"
        );
    }
    let state = gateway.state("chat-42").await;
    let last = state["last_seq"].as_u64().expect("a number");
    let mut view = gateway.view("chat-42").await;
    let events = view.until(|event| event.seq() == last).await;
    drop(view);
    let seqs: Vec<u64> = events.iter().map(Item::seq).collect();
    assert_eq!(seqs, (1..=last).collect::<Vec<_>>(), "no gap");
    let mut said: BTreeMap<String, String> = BTreeMap::new();
    for event in events.iter().filter(|event| event.event == "text") {
        let event = event.json();
        let generation = event["generation"].as_str().expect("an id").to_owned();
        *said.entry(generation).or_default() += event["text"].as_str().expect("text");
    }
    assert_eq!(said, expected);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_does_not_stream_is_streamed_onto_its_named_channel_and_folded() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let call = sent(gateway.chat(asked(false)).header("tokenway-channel", "chat-42"));
    let mut provider = upstream.call().await;
    assert_eq!(provider.json()["stream"], true);
    assert_eq!(provider.json()["stream_options"], json!({ "include_usage": true }));
    provider.begin().await;
    provider.text_delta("Hel").await;
    // Viewers see it grow before the app has its answer.
    let mut view = gateway.view("chat-42").await;
    assert_eq!(
        view.until(|event| event.event == "text").await.last().expect("text").json()["text"],
        "Hel"
    );
    assert!(!call.is_finished());
    provider.text_delta("lo").await;
    provider.finish().await;
    let response = call.await.expect("a response");
    assert_eq!(response.status(), 200);
    assert_eq!(header(response.headers(), "content-type"), "application/json");
    assert_eq!(header(response.headers(), "tokenway-channel"), "chat-42");
    let answer = body(response).await;
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["choices"][0]["message"]["content"], "Hello");
    assert_eq!(answer["choices"][0]["message"]["role"], "assistant");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(
        answer["usage"],
        json!({ "prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13 })
    );
    drop(view);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folded_call_whose_stream_fails_is_refused_with_the_same_end() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let call = sent(gateway.chat(asked(false)).header("tokenway-channel", "chat-42"));
    let mut provider = upstream.call().await;
    provider.begin().await;
    provider.text_delta("Hel").await;
    provider.close().await;
    let response = call.await.expect("a response");
    assert_eq!(response.status(), 502);
    assert_eq!(body(response).await["error"]["code"], "upstream_cut");
    let state = gateway.state("chat-42").await;
    assert_eq!(state["generations"][0]["error"]["code"], "upstream_cut");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_conversation_whose_beginning_was_trimmed_still_answers() {
    let (gateway, upstream) =
        gateway::with("", |config| config.channels.retention.max_bytes = 256 * 1024).await;
    let long = "x".repeat(30 * 1024);
    for round in 0..16 {
        let call = sent(gateway.chat(asked(false)).header("tokenway-channel", "chat-42"));
        let mut provider = upstream.call().await;
        provider.begin().await;
        for _ in 0..2 {
            provider.text_delta(&long[..long.len() / 2]).await;
        }
        provider.finish().await;
        let response = call.await.expect("a response");
        let answer = body(response).await;
        assert_eq!(answer["choices"][0]["message"]["content"], long, "round {round}");
    }
    assert!(gateway.state("chat-42").await["first_seq"].as_u64() > Some(1), "it was trimmed");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn respond_async_answers_at_once_and_the_generation_goes_on_by_itself() {
    // A policy that would stop it at once, were it not detached.
    let (gateway, upstream) = gateway::with("", |config| {
        config.models[0].on_disconnect = tokenway::config::OnDisconnect::Cancel;
    })
    .await;
    for stream in [true, false] {
        let channel = format!("job-{stream}");
        let request = gateway.chat(asked(stream)).header("prefer", "respond-async, wait=1");
        let response = send(request.header("tokenway-channel", &channel)).await;
        assert_eq!(response.status(), 202);
        assert_eq!(header(response.headers(), "preference-applied"), "respond-async");
        let headers = response.headers().clone();
        let accepted = body(response).await;
        assert_eq!(
            accepted,
            json!({
                "channel": channel,
                "epoch": header(&headers, "tokenway-epoch"),
                "token": null,
                "generation": header(&headers, "tokenway-generation"),
            })
        );
        // Answered although the provider has not even been called to the end.
        let mut provider = upstream.call().await;
        assert_eq!(provider.json()["stream"], true);
        provider.begin().await;
        provider.text_delta("alone").await;
        // Somebody looks and leaves; nobody is there any more, and it goes on.
        let mut view = gateway.view(&channel).await;
        view.until(|event| event.event == "text").await;
        drop(view);
        provider.finish().await;
        let generation = gateway.ended(&channel).await;
        assert_eq!(
            (&generation["state"], &generation["text"]),
            (&json!("finished"), &json!("alone"))
        );
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn respond_async_without_a_name_makes_a_channel() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let response = send(gateway.streamed().header("prefer", "respond-async")).await;
    assert_eq!(response.status(), 202);
    let accepted = body(response).await;
    let channel = accepted["channel"].as_str().expect("an id").to_owned();
    let mut view: Sse = gateway.view(&channel).await;
    let mut provider = upstream.call().await;
    provider.begin().await;
    provider.text_delta("Hi").await;
    provider.finish().await;
    let events = view.rest().await;
    assert_eq!(events.last().expect("an end").event, "finished");
    assert_eq!(events[0].json()["generation"], accepted["generation"]);
    let (status, problem) =
        refusal(gateway.chat(json!({ "model": "no" })).header("prefer", "respond-async")).await;
    assert_eq!((status, &problem["error"]["code"]), (404, &json!("model_not_found")));
    gateway.stop().await;
}

fn content(items: &[Item]) -> String {
    let texts = items.iter().filter(|item| item.data != "[DONE]").map(Item::json);
    let text = |chunk: Value| {
        chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()
    };
    texts.map(text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_does_not_stream_although_asked_still_makes_events() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let call = sent(gateway.streamed().header("tokenway-channel", "chat-42"));
    let whole = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"whole"},"finish_reason":"stop"}]}"#;
    upstream.call().await.answer("200 OK", "content-type: application/json\r\n", whole).await;
    let items = stream_of(call).await.rest().await;
    assert_eq!(items[1].json()["choices"][0]["delta"]["content"], "whole", "{items:?}");
    assert_eq!(gateway.state("chat-42").await["generations"][0]["text"], "whole");
    // And one that streams although nobody asked is folded.
    let call = sent(gateway.chat(asked(false)));
    let mut provider = upstream.call().await;
    provider.begin().await;
    provider.event(upstream::delta("streamed")).await;
    provider.finish().await;
    let answer = body(call.await.expect("a response")).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "streamed");
    gateway.stop().await;
}
