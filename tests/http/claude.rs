//! Apps of Anthropic's and of OpenAI's newer dialect before providers of the others, and a chat app before Anthropic's.

use serde_json::{Value, json};

use crate::{
    gateway::{KEY, Tokenway, body, header, refusal, send, sent, stream_of},
    sse::Item,
    upstream::{Call, Upstream},
};

/// A gateway with a provider of OpenAI's dialect and one of Anthropic's.
async fn two() -> (Tokenway, Upstream, Upstream) {
    let (openai, anthropic) = (Upstream::bind().await, Upstream::bind().await);
    let yaml = format!(
        r#"
providers:
  oai: {{ dialect: openai, base_url: "http://{}/v1", api_key: {KEY} }}
  ant: {{ dialect: anthropic, base_url: "http://{}", api_key: {KEY} }}
models:
  gpt: {{ targets: [ {{ provider: oai, model: up-model }} ] }}
  claude: {{ targets: [ {{ provider: ant, model: claude-x }} ] }}
"#,
        openai.addr(),
        anthropic.addr()
    );
    let adjust = |config: &mut tokenway::config::Config| {
        config.channels.keep_alive = std::time::Duration::from_millis(500);
        for model in &mut config.models {
            model.failover.retries = 0;
        }
    };
    (Tokenway::of(&yaml, adjust).await, openai, anthropic)
}

fn messages(model: &str, stream: bool) -> Value {
    json!({ "model": model, "max_tokens": 64, "stream": stream, "messages": [{ "role": "user", "content": "Hi" }] })
}

async fn openai_says_hello(mut call: Call) {
    call.begin().await;
    call.text_delta("Hel").await;
    call.text_delta("lo").await;
    call.finish().await;
}

fn events() -> Vec<(&'static str, Value)> {
    let message = json!({ "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": { "input_tokens": 3, "output_tokens": 1 } });
    let block = json!({ "type": "thinking", "thinking": "", "signature": "" });
    let delta = |index: u32, delta: Value| {
        (
            "content_block_delta",
            json!({ "type": "content_block_delta", "index": index, "delta": delta }),
        )
    };
    let stop = |index: u32| {
        ("content_block_stop", json!({ "type": "content_block_stop", "index": index }))
    };
    vec![
        ("message_start", json!({ "type": "message_start", "message": message })),
        (
            "content_block_start",
            json!({ "type": "content_block_start", "index": 0, "content_block": block }),
        ),
        delta(0, json!({ "type": "thinking_delta", "thinking": "hm" })),
        delta(0, json!({ "type": "signature_delta", "signature": "S+/=" })),
        stop(0),
        (
            "content_block_start",
            json!({ "type": "content_block_start", "index": 1, "content_block": { "type": "text", "text": "" } }),
        ),
        delta(1, json!({ "type": "text_delta", "text": "Hello" })),
        stop(1),
        (
            "message_delta",
            json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn", "stop_sequence": null }, "usage": { "output_tokens": 5 } }),
        ),
        ("message_stop", json!({ "type": "message_stop" })),
    ]
}

async fn anthropic_says_hello(mut call: Call) {
    call.begin().await;
    for (name, data) in events() {
        call.say(format!("event: {name}\ndata: {data}\n\n")).await;
    }
    call.end().await;
}

fn names(items: &[Item]) -> Vec<&str> {
    items.iter().map(|item| item.event.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anthropic_app_before_anthropic_gets_its_events_under_their_names() {
    let (gateway, _openai, anthropic) = two().await;
    let request = gateway.post("/v1/messages", messages("claude", true));
    let request = request
        .header("anthropic-version", "2023-06-01")
        .header("anthropic-beta", "context-1m")
        .header("x-api-key", "caller-secret");
    let call = sent(request);
    let provider = anthropic.call().await;
    assert_eq!(provider.line(), "POST /v1/messages HTTP/1.1");
    assert_eq!(provider.header("x-api-key"), Some(KEY));
    assert_eq!(provider.header("anthropic-beta"), Some("context-1m"));
    assert_eq!(provider.json()["model"], "claude-x");
    anthropic_says_hello(provider).await;
    let items = stream_of(call).await.rest().await;
    let said: Vec<_> = items.iter().map(|item| (item.event.as_str(), item.json())).collect();
    assert_eq!(said, events());
    assert!(items.iter().all(|item| item.id.is_some()));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anthropic_app_talks_to_openai_and_is_kept_alive_by_pings() {
    let (gateway, openai, _anthropic) = two().await;
    let request = gateway.post("/v1/messages", messages("gpt", true));
    let call =
        sent(request.header("anthropic-version", "2023-06-01").header("anthropic-beta", "x"));
    let provider = openai.call().await;
    assert_eq!(provider.line(), "POST /v1/chat/completions HTTP/1.1");
    for absent in ["anthropic-version", "anthropic-beta"] {
        assert_eq!(provider.header(absent), None, "{absent}");
    }
    assert_eq!(provider.json()["max_tokens"], 64);
    // It answers only after the app's stream has begun.
    let mut app = stream_of(call).await;
    let ping = app.event().await;
    assert_eq!((ping.event.as_str(), ping.json()), ("ping", json!({ "type": "ping" })));
    openai_says_hello(provider).await;
    let items = app.rest().await;
    let names: Vec<_> = names(&items).into_iter().filter(|name| *name != "ping").collect();
    assert_eq!(names.first(), Some(&"message_start"));
    assert_eq!(names.last(), Some(&"message_stop"));
    assert_eq!(names.iter().filter(|name| **name == "message_start").count(), 1);
    let text: String = items
        .iter()
        .filter_map(|item| item.json()["delta"]["text"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(text, "Hello");
    let call = sent(gateway.post("/v1/messages", messages("gpt", false)));
    openai_says_hello(openai.call().await).await;
    let answer = body(call.await.expect("a response")).await;
    assert_eq!(
        (&answer["type"], &answer["content"][0]["text"]),
        (&json!("message"), &json!("Hello"))
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_app_thinks_with_anthropic_over_two_turns() {
    let (gateway, _openai, anthropic) = two().await;
    let mut ask = json!({ "model": "claude", "messages": [{ "role": "user", "content": "Hi" }] });
    let call = sent(gateway.chat(ask.clone()));
    let provider = anthropic.call().await;
    assert_eq!(provider.header("anthropic-version"), Some("2023-06-01"));
    anthropic_says_hello(provider).await;
    let answer = body(call.await.expect("a response")).await;
    let message = &answer["choices"][0]["message"];
    assert_eq!(
        (&message["reasoning_content"], &message["content"]),
        (&json!("hm"), &json!("Hello"))
    );
    // The app gives back what it got.
    let turns = ask["messages"].as_array_mut().expect("a list");
    turns.extend([message.clone(), json!({ "role": "user", "content": "And?" })]);
    let call = sent(gateway.chat(ask));
    let provider = anthropic.call().await;
    let back = &provider.json()["messages"][1]["content"][0];
    assert_eq!(*back, json!({ "type": "thinking", "thinking": "hm", "signature": "S+/=" }));
    anthropic_says_hello(provider).await;
    call.await.expect("a response");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_responses_app_talks_to_anthropic_in_its_own_lifecycle() {
    let (gateway, _openai, anthropic) = two().await;
    let ask = json!({ "model": "claude", "input": "Hi", "stream": true });
    let call = sent(gateway.post("/v1/responses", ask));
    anthropic_says_hello(anthropic.call().await).await;
    let items = stream_of(call).await.rest().await;
    let names = names(&items);
    assert_eq!(names.first(), Some(&"response.created"));
    assert_eq!(names.last(), Some(&"response.completed"), "{names:?}");
    let numbers: Vec<_> = items
        .iter()
        .map(|item| item.json()["sequence_number"].as_u64().expect("a number"))
        .collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_on_anthropics_routes_have_its_form_and_tokens_are_counted_somehow() {
    let (gateway, openai, anthropic) = two().await;
    for (request, status, word) in [
        (gateway.post("/v1/messages", messages("nope", true)), 404, "not_found_error"),
        (gateway.post("/v1/messages", "{"), 400, "invalid_request_error"),
        (
            gateway.post("/v1/messages", messages("gpt", true)).header("host", "evil.example"),
            403,
            "permission_error",
        ),
    ] {
        let (answered, said) = refusal(request).await;
        assert_eq!((answered, &said["type"]), (status, &json!("error")), "{said}");
        assert_eq!(said["error"]["type"], word);
    }
    let theirs = json!({ "error": { "message": "Slow down.", "type": "requests", "code": "rate_limit_exceeded" } });
    let call = sent(gateway.post("/v1/messages", messages("gpt", true)));
    let headers = "content-type: application/json\r\nretry-after: 7\r\n";
    openai.call().await.answer("429 Slow", headers, &theirs.to_string()).await;
    let response = call.await.expect("a response");
    assert_eq!(response.status(), 429);
    assert_eq!(header(response.headers(), "retry-after"), "7");
    let said = body(response).await;
    assert_eq!(said["error"], json!({ "type": "rate_limit_error", "message": "Slow down." }));

    let ask = json!({ "model": "gpt", "messages": [{ "role": "user", "content": "Hello there" }] });
    let counted = body(send(gateway.post("/v1/messages/count_tokens", ask)).await).await;
    assert!(counted["input_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{counted}");
    assert!(anthropic.is_idle().await);
    gateway.stop().await;
}
