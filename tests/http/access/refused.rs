//! What the gateway itself refuses an app for (413, 429, 503), on each route that generates: in the form on which that
//! dialect's SDKs raise, and with when to come again where that helps.

use std::num::NonZeroU32;

use serde_json::{Value, json};

use super::{OTHER, WEB, keyed_with, status};
use crate::gateway::{asked, body, send, sent, stream_of};

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
const MESSAGES: &str = "/v1/messages";
const GEMINI: &str = "/v1beta/models/fast:generateContent";
const GEMINI_STREAM: &str = "/v1beta/models/fast:streamGenerateContent";

/// Each route, with a call that it would serve.
fn routes(text: &str) -> [(&'static str, Value); 5] {
    let messages = json!([{ "role": "user", "content": text }]);
    let contents = json!({ "contents": [{ "role": "user", "parts": [{ "text": text }] }] });
    [
        (CHAT, json!({ "model": "fast", "messages": messages })),
        (RESPONSES, json!({ "model": "fast", "input": text })),
        (MESSAGES, json!({ "model": "fast", "max_tokens": 20, "messages": messages })),
        (GEMINI, contents.clone()),
        (GEMINI_STREAM, contents),
    ]
}

/// What the body says but for its message, which is for people.
fn form(path: &str, status: u16) -> Value {
    let (code, openai, anthropic, google) = match status {
        413 => ("too_large", "invalid_request_error", "request_too_large", "INVALID_ARGUMENT"),
        429 => ("rate_limit_exceeded", "requests", "rate_limit_error", "RESOURCE_EXHAUSTED"),
        503 => ("overloaded", "server_error", "overloaded_error", "UNAVAILABLE"),
        other => panic!("{other}"),
    };
    match path {
        CHAT | RESPONSES => json!({ "error": { "type": openai, "param": null, "code": code } }),
        MESSAGES => json!({ "type": "error", "error": { "type": anthropic } }),
        _ => {
            let info = json!({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": code, "domain": "tokenway" });
            let retry =
                json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "Ns" });
            let details = if status == 413 { json!([info]) } else { json!([info, retry]) };
            json!({ "error": { "code": status, "status": google, "details": details } })
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_large_too_often_and_too_many_are_told_in_every_dialect_and_when_to_come_again() {
    let (gateway, upstream) = keyed_with(|config| {
        config.limits.body = 4_096;
        config.limits.generations = NonZeroU32::new(1);
        config.access.keys[1].limits.requests_per_minute = NonZeroU32::new(1);
    })
    .await;
    // What is full stays so: one runs, and the other key has asked its one time.
    let running = sent(gateway.streamed().bearer_auth(WEB));
    let mut provider = upstream.call().await;
    provider.begin().await;
    let app = stream_of(running).await;
    let mut none = asked(false);
    none["model"] = json!("none");
    assert_eq!(status(gateway.chat(none).bearer_auth(OTHER)).await, 404);

    for (expected, key, text) in
        [(413, WEB, "x".repeat(5_000)), (429, OTHER, "Hi".to_owned()), (503, WEB, "Hi".to_owned())]
    {
        for (path, call) in routes(&text) {
            let response = send(gateway.post(path, call).bearer_auth(key)).await;
            let (told, head) = (response.status().as_u16(), response.headers().clone());
            let mut said = body(response).await;
            assert_eq!(told, expected, "{path}: {said}");
            let after = head.get("retry-after").map(|it| it.to_str().expect("text").to_owned());
            match expected {
                // The same body is never smaller.
                413 => assert_eq!(after, None, "{path}"),
                429 => assert!(
                    after.as_deref().is_some_and(|it| (1..=60).contains(&it.parse().unwrap_or(0))),
                    "{path}: {after:?}"
                ),
                _ => assert_eq!(after.as_deref(), Some("1"), "{path}"),
            }
            if let Some(delay) = said.pointer_mut("/error/details/1/retryDelay") {
                assert_eq!(*delay, format!("{}s", after.expect("it is told in the head, too")));
                *delay = json!("Ns");
            }
            let error = said["error"].as_object_mut().expect("an object");
            let message = error.remove("message").expect("a message");
            assert!(message.as_str().is_some_and(|it| it.len() > 20), "{path}: {message}");
            assert_eq!(said, form(path, expected), "{path}, {expected}");
        }
    }
    assert!(upstream.is_idle().await, "nobody asked the provider");
    provider.finish().await;
    drop(app);
    gateway.stop().await;
}
