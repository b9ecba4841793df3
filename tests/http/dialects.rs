//! An app of one dialect before a provider of another: what goes up, what comes down, and in whose words.

use serde_json::{Value, json};

use crate::{
    gateway::{KEY, Tokenway, body, header, refusal, send, sent, stream_of},
    sse::Item,
    upstream::{self, Call, Upstream},
};

/// A gateway with a provider of OpenAI's dialect, one of Gemini's, and models at either and at both.
async fn two() -> (Tokenway, Upstream, Upstream) {
    two_with(|_| {}).await
}

async fn two_with(
    adjust: impl FnOnce(&mut tokenway::config::Config),
) -> (Tokenway, Upstream, Upstream) {
    let (openai, google) = (Upstream::bind().await, Upstream::bind().await);
    let yaml = format!(
        r#"
providers:
  oai: {{ dialect: openai, base_url: "http://{}/v1", api_key: {KEY} }}
  goo: {{ dialect: gemini, base_url: "http://{}", api_key: {KEY} }}
models:
  gpt: {{ targets: [ {{ provider: oai, model: up-model }} ] }}
  gem: {{ targets: [ {{ provider: goo, model: g-model }} ] }}
  both: {{ targets: [ {{ provider: goo, model: g-model }}, {{ provider: oai, model: up-model }} ] }}
  "team/*": {{ targets: [ {{ provider: goo }} ] }}
"#,
        openai.addr(),
        google.addr()
    );
    (Tokenway::of(&yaml, adjust).await, openai, google)
}

fn ask(model: &str, more: Value) -> Value {
    let mut ask = json!({ "model": model, "messages": [{ "role": "user", "content": "Hi" }] });
    ask.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    ask
}

fn contents() -> Value {
    json!({ "contents": [{ "role": "user", "parts": [{ "text": "Hi" }] }] })
}

fn google_text(text: &str) -> String {
    json!({ "candidates": [{ "content": { "parts": [{ "text": text }], "role": "model" }, "index": 0 }] })
        .to_string()
}

fn google_end() -> String {
    let end = json!({
        "candidates": [{ "content": { "parts": [{ "text": "" }], "role": "model" }, "finishReason": "STOP", "index": 0 }],
        "usageMetadata": { "promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5 },
    });
    end.to_string()
}

/// Google's provider says `Hello` and ends well.
async fn google_says_hello(mut call: Call) {
    call.begin().await;
    for payload in [google_text("Hel"), google_text("lo"), google_end()] {
        call.event(payload).await;
    }
    call.end().await;
}

async fn openai_says_hello(mut call: Call) {
    call.begin().await;
    call.text_delta("Hel").await;
    call.text_delta("lo").await;
    call.finish().await;
}

fn chat_text(items: &[Item]) -> String {
    let chunks = items.iter().filter(|item| item.data != "[DONE]").map(Item::json);
    chunks
        .filter_map(|it| it["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect()
}

fn google_said(payloads: &[Value]) -> String {
    let parts = payloads.iter().flat_map(|it| it["candidates"][0]["content"]["parts"].as_array());
    parts.flatten().filter_map(|part| part["text"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_app_talks_to_google_and_never_notices() {
    let (gateway, _openai, google) = two().await;
    let more =
        json!({ "stream": true, "stream_options": { "include_usage": true }, "store": true });
    let request = gateway.chat(ask("gem", more));
    let request = request
        .header("authorization", "Bearer caller-secret")
        .header("openai-organization", "org")
        .header("x-stainless-lang", "js")
        .header("traceparent", "00-1-2-01");
    let call = sent(request);
    let provider = google.call().await;
    let line = "POST /v1beta/models/g-model:streamGenerateContent?alt=sse HTTP/1.1";
    assert_eq!(provider.line(), line);
    assert_eq!(provider.header("x-goog-api-key"), Some(KEY));
    assert_eq!(provider.header("traceparent"), Some("00-1-2-01"));
    assert_eq!(provider.header("content-type"), Some("application/json"));
    for absent in ["authorization", "openai-organization", "x-stainless-lang"] {
        assert_eq!(provider.header(absent), None, "{absent}");
    }
    assert_eq!(provider.json()["contents"][0]["parts"][0]["text"], "Hi");
    google_says_hello(provider).await;
    let mut app = stream_of(call).await;
    assert_eq!(header(&app.headers, "tokenway-provider"), "goo");
    assert_eq!(header(&app.headers, "tokenway-attempts"), "1");
    assert_eq!(header(&app.headers, "tokenway-dropped"), "store");
    let channel = header(&app.headers, "tokenway-channel").to_owned();
    let items = app.rest().await;
    assert_eq!(chat_text(&items), "Hello");
    let [.., reason, usage, done] = &items[..] else { panic!("{items:?}") };
    assert_eq!(reason.json()["choices"][0]["finish_reason"], "stop");
    assert_eq!(usage.json()["usage"]["total_tokens"], 5);
    assert_eq!(done.data, "[DONE]");
    let state = gateway.state(&channel).await;
    assert_eq!(state["generations"][0]["text"], "Hello");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_app_that_does_not_stream_gets_googles_answer_folded() {
    let (gateway, _openai, google) = two().await;
    let call = sent(gateway.chat(ask("gem", json!({}))));
    google_says_hello(google.call().await).await;
    let answer = body(call.await.expect("a response")).await;
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["choices"][0]["message"]["content"], "Hello");
    assert_eq!(answer["usage"]["prompt_tokens"], 3);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn googles_app_talks_to_openai_in_both_framings_and_under_every_version() {
    let (gateway, openai, _google) = two().await;
    for (path, framed) in [
        ("/v1beta/models/gpt:streamGenerateContent?alt=sse", true),
        ("/v1/models/gpt:streamGenerateContent?alt=sse", true),
        ("/v1beta/models/gpt:streamGenerateContent", false),
        ("/v1alpha/models/gpt:streamGenerateContent?key=caller-secret", false),
    ] {
        let call = sent(gateway.post(path, contents()).header("x-goog-api-key", "caller-secret"));
        let provider = openai.call().await;
        assert_eq!(provider.line(), "POST /v1/chat/completions HTTP/1.1");
        assert!(!provider.head.contains("caller-secret"), "{}", provider.head);
        assert_eq!(provider.json()["stream"], true);
        openai_says_hello(provider).await;
        let response = call.await.expect("a response");
        let content_type = header(response.headers(), "content-type").to_owned();
        let text = response.text().await.expect("a body");
        let payloads: Vec<Value> = match framed {
            true => {
                assert!(content_type.starts_with("text/event-stream"), "{content_type}");
                let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
                let data = |line: &&str| line.strip_prefix("data: ").expect("data").to_owned();
                lines.iter().map(|line| serde_json::from_str(&data(line)).expect("JSON")).collect()
            }
            false => {
                assert!(content_type.starts_with("application/json"), "{content_type}");
                assert!(text.starts_with('[') && text.contains(",\r\n"), "{text}");
                serde_json::from_str(&text).expect("an array")
            }
        };
        assert_eq!(google_said(&payloads), "Hello", "{path}");
        let last = payloads.last().expect("an end");
        assert_eq!(last["candidates"][0]["finishReason"], "STOP", "{path}");
        assert_eq!(last["usageMetadata"]["promptTokenCount"], 9, "{path}");
    }
    let call = sent(gateway.post("/v1beta/models/gpt:generateContent", contents()));
    openai_says_hello(openai.call().await).await;
    let answer = body(call.await.expect("a response")).await;
    assert_eq!(google_said(std::slice::from_ref(&answer)), "Hello");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn google_before_google_gets_what_google_said_in_its_own_framing() {
    let (gateway, _openai, google) = two().await;
    let said = [google_text("Hel"), google_text("lo"), google_end()];
    let json = |text: &String| serde_json::from_str::<Value>(text).expect("JSON");
    let said: Vec<Value> = said.iter().map(json).collect();
    let path = "/v1beta/models/team%2Fg-2:streamGenerateContent";
    let call = sent(gateway.post(path, contents()));
    let mut provider = google.call().await;
    assert_eq!(
        provider.line(),
        "POST /v1beta/models/g-2:streamGenerateContent HTTP/1.1",
        "the name behind the prefix, and the app's framing"
    );
    provider
        .write("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n")
        .await;
    provider.say(format!("[{},\r\n{},\r\n{:#}]", said[0], said[1], said[2])).await;
    provider.end().await;
    let text = call.await.expect("a response").text().await.expect("a body");
    assert_eq!(serde_json::from_str::<Vec<Value>>(&text).expect("an array"), said);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_target_cannot_be_told_goes_to_another_or_is_refused_by_its_name() {
    let (gateway, openai, google) = two().await;
    let unsayable = json!({ "web_search_options": { "search_context_size": "low" } });
    let (status, said) = refusal(gateway.chat(ask("gem", unsayable.clone()))).await;
    assert_eq!((status, &said["error"]["param"]), (400, &json!("web_search_options")), "{said}");
    assert!(said["error"]["message"].as_str().expect("text").contains("gemini"), "{said}");
    let call = sent(gateway.chat(ask("both", unsayable)));
    let provider = openai.call().await;
    assert!(provider.json()["web_search_options"].is_object());
    provider.answer("500 Oh", "", "{}").await;
    assert_eq!(header(call.await.expect("a response").headers(), "tokenway-provider"), "oai");
    assert!(google.is_idle().await);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_in_the_callers_dialect() {
    let (gateway, openai, google) = two().await;
    let path = "/v1beta/models/gpt:generateContent";
    for (request, status, word) in [
        (gateway.post("/v1beta/models/nope:generateContent", contents()), 404, "NOT_FOUND"),
        (gateway.post("/v1/models/nope:streamGenerateContent", contents()), 404, "NOT_FOUND"),
        (gateway.post(path, "{"), 400, "INVALID_ARGUMENT"),
        (gateway.post(path, contents()).header("tokenway-channel", "a b"), 400, "INVALID_ARGUMENT"),
        (gateway.post(path, contents()).header("host", "evil.example"), 403, "PERMISSION_DENIED"),
        (gateway.get("/v1beta/nope").header("host", "evil.example"), 403, "PERMISSION_DENIED"),
    ] {
        let (answered, said) = refusal(request).await;
        assert_eq!((answered, &said["error"]["status"]), (status, &json!(word)), "{said}");
        assert_eq!(said["error"]["code"], status);
    }
    let (status, said) = refusal(gateway.chat(ask("nope", json!({})))).await;
    assert_eq!((status, &said["error"]["code"]), (404, &json!("model_not_found")));
    assert!(openai.is_idle().await && google.is_idle().await);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_refusal_is_said_again_in_the_callers_words() {
    let (gateway, openai, google) = two_with(|config| {
        for model in &mut config.models {
            model.failover.retries = 0;
        }
    })
    .await;
    let theirs = json!({ "error": { "code": 429, "message": "Quota exceeded.", "status": "RESOURCE_EXHAUSTED" } });
    for stream in [true, false] {
        let call = sent(gateway.chat(ask("gem", json!({ "stream": stream }))));
        let headers = "content-type: application/json\r\nretry-after: 7\r\nx-theirs: 1\r\n";
        google.call().await.answer("429 Too Many", headers, &theirs.to_string()).await;
        let response = call.await.expect("a response");
        assert_eq!(response.status(), 429);
        assert_eq!(header(response.headers(), "retry-after"), "7");
        assert!(!response.headers().contains_key("x-theirs"));
        let said = body(response).await;
        assert_eq!(said["error"]["message"], "Quota exceeded.");
        assert_eq!(said["error"]["code"], "rate_limit_exceeded", "{said}");
    }
    // What is said of credentials is not repeated to an app of another dialect.
    let call = sent(gateway.post("/v1beta/models/gpt:generateContent", contents()));
    let theirs = json!({ "error": { "message": "Incorrect API key provided: sk-up*****ret." } });
    openai.call().await.answer("401 No", "", &theirs.to_string()).await;
    let (status, said) = (401, body(call.await.expect("a response")).await);
    assert_eq!(said["error"]["code"], status);
    assert!(!said.to_string().contains("sk-up"), "{said}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_within_the_stream_is_the_callers_too() {
    let (gateway, openai, google) = two().await;
    let call = sent(gateway.chat(ask("gem", json!({ "stream": true }))));
    let mut provider = google.call().await;
    provider.begin().await;
    provider.event(google_text("Hel")).await;
    provider
        .event(
            r#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#,
        )
        .await;
    provider.end().await;
    let items = stream_of(call).await.rest().await;
    let last = items.last().expect("an error").json();
    assert_eq!(last["error"]["message"], "The model is overloaded.", "{items:?}");
    assert!(!items.iter().any(|item| item.data == "[DONE]"));

    let call = sent(gateway.post("/v1beta/models/gpt:streamGenerateContent", contents()));
    let mut provider = openai.call().await;
    provider.begin().await;
    provider.text_delta("Hel").await;
    provider.end().await;
    let text = call.await.expect("a response").text().await.expect("a body");
    let payloads: Vec<Value> = serde_json::from_str(&text).expect("an array, whatever happened");
    assert_eq!(google_said(&payloads), "Hel");
    assert!(payloads.last().expect("an error")["error"]["code"].is_u64(), "{text}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_stream_is_kept_alive_in_a_way_that_the_caller_ignores() {
    let (gateway, openai, google) = two_with(|config| {
        config.channels.keep_alive = std::time::Duration::from_millis(30);
    })
    .await;
    let call = sent(gateway.post("/v1beta/models/gpt:streamGenerateContent", contents()));
    let mut provider = openai.call().await;
    // The app's stream begins before the provider has answered at all.
    let response = call.await.expect("a response");
    assert_eq!(header(response.headers(), "tokenway-provider"), "oai");
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    provider.begin().await;
    provider.text_delta("Hello").await;
    provider.finish().await;
    let text = response.text().await.expect("a body");
    assert!(text.starts_with("\r\n"), "{text:?}");
    let payloads: Vec<Value> = serde_json::from_str(&text).expect("an array");
    assert_eq!(google_said(&payloads), "Hello");
    // A refusal that comes after the beginning is an error in the stream, in the caller's words.
    let call = sent(gateway.chat(ask("gem", json!({ "stream": true }))));
    let provider = google.call().await;
    let mut app = stream_of(call).await;
    let theirs = r#"{"error":{"code":400,"message":"No.","status":"INVALID_ARGUMENT"}}"#;
    provider.answer("400 Bad", "content-type: application/json\r\n", theirs).await;
    let items = app.rest().await;
    assert_eq!(items.last().expect("an error").json()["error"]["message"], "No.");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_another_may_continue_is_told_from_the_log() {
    let (gateway, openai, _google) = two_with(|config| {
        for model in &mut config.models {
            model.failover.on_break = tokenway::generation::OnBreak::Continue;
        }
    })
    .await;
    let call = sent(gateway.chat(ask("gpt", json!({ "stream": true }))));
    openai_says_hello(openai.call().await).await;
    let items = stream_of(call).await.rest().await;
    assert_eq!(chat_text(&items), "Hello");
    assert_ne!(items[1].data, upstream::delta("Hel"), "said again, not passed on");
    // One that does not stream is streamed upstream all the same.
    let call = sent(gateway.chat(ask("gpt", json!({}))));
    let provider = openai.call().await;
    assert_eq!(provider.json()["stream"], true);
    openai_says_hello(provider).await;
    let answer = body(call.await.expect("a response")).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "Hello");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_listed_in_the_shape_of_whoever_asks() {
    let (gateway, _openai, _google) = two().await;
    let google = body(send(gateway.get("/v1beta/models")).await).await;
    assert_eq!(google["models"][0]["name"], "models/gpt");
    let one = body(send(gateway.get("/v1beta/models/gem")).await).await;
    assert_eq!(one, google["models"][1]);
    let request = gateway.get("/v1/models").header("anthropic-version", "2023-06-01");
    let anthropic = body(send(request).await).await;
    assert_eq!(
        (&anthropic["first_id"], &anthropic["last_id"], &anthropic["has_more"]),
        (&json!("gpt"), &json!("both"), &json!(false))
    );
    assert_eq!(anthropic["data"][1]["type"], "model");
    assert_eq!(body(send(gateway.get("/v1/models")).await).await["object"], "list");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_google_answers_whole_comes_as_it_is() {
    let (gateway, _openai, google) = two().await;
    let call = sent(gateway.post("/v1beta/models/gem:generateContent", contents()));
    let provider = google.call().await;
    assert_eq!(provider.line(), "POST /v1beta/models/g-model:generateContent HTTP/1.1");
    let whole = format!("{{ \"x_unknown\": 1.10,\n{}", &google_end()[1..]);
    provider.answer("200 OK", "content-type: application/json\r\n", &whole).await;
    let response = call.await.expect("a response");
    let channel = header(response.headers(), "tokenway-channel").to_owned();
    assert_eq!(response.text().await.expect("a body"), whole);
    assert_eq!(gateway.ended(&channel).await["state"], "finished");
    gateway.stop().await;
}
