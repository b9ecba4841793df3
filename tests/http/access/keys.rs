//! Keys: whoever shows none is refused in its own dialect, and two that name the same channel never meet.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::Method;
use serde_json::{Value, json};
use tokenway::config::{Endpoint, OnDisconnect};

use super::{ADMIN, OTHER, SECRET, WEB, keyed, keyed_with, spoken_on, status, token};
use crate::gateway::{asked, body, header, refusal, send, sent, stream_of};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_each_app_is_refused_in_its_own_dialect() {
    let (gateway, upstream) = keyed().await;
    let gemini = "/v1beta/models/fast:generateContent";
    for key in [None, Some("wrong"), Some("")] {
        for (path, code, at) in [
            ("/v1/chat/completions", json!("unauthorized"), "/error/code"),
            ("/v1/responses", json!("unauthorized"), "/error/code"),
            ("/v1/messages", json!("authentication_error"), "/error/type"),
            (gemini, json!("UNAUTHENTICATED"), "/error/status"),
            ("/v1/embeddings", json!("unauthorized"), "/error/code"),
            ("/v1/tokens", json!("unauthorized"), "/error/code"),
        ] {
            let request = gateway.post(path, asked(false));
            let request = match key {
                Some(key) => request.bearer_auth(key).header("x-api-key", key),
                None => request,
            };
            let (status, body) = refusal(request).await;
            assert_eq!((status, body.pointer(at)), (401, Some(&code)), "{path}: {body}");
            assert!(!body.to_string().contains("wrong"), "{body}");
        }
        for (method, path) in [
            (Method::GET, "/v1/models"),
            (Method::GET, "/v1/files"),
            (Method::GET, "/v1/channels/a"),
            (Method::GET, "/v1/channels/a/events"),
            (Method::DELETE, "/v1/channels/a"),
            (Method::GET, "/v1/channels/a/ui-message-stream"),
            (Method::GET, "/v1/responses/resp_1"),
            (Method::GET, "/none"),
        ] {
            let request = gateway.http.request(method.clone(), gateway.url(path));
            assert_eq!(
                status(request.bearer_auth(key.unwrap_or("x"))).await,
                401,
                "{method} {path}"
            );
        }
    }
    // What opens nothing: the console's page, health, and where a session would connect.
    for path in ["/", "/healthz", "/readyz", "/v1/connect/info"] {
        assert_eq!(status(gateway.get(path)).await, 200, "{path}");
    }
    assert!(upstream.is_idle().await);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_taken_where_each_sdk_puts_it_and_goes_no_further() {
    let (gateway, upstream) = keyed().await;
    for (name, value) in [
        ("authorization", format!("Bearer {WEB}")),
        ("authorization", format!("bearer  {WEB} ")),
        ("x-api-key", WEB.to_owned()),
        ("x-goog-api-key", WEB.to_owned()),
        ("tokenway-token", WEB.to_owned()),
    ] {
        // A name that only open mode minds, and a dummy beside it.
        let call = gateway.chat(asked(false)).header("host", "gateway.example");
        let call = sent(call.header(name, &value).header("api-key", "dummy"));
        let provider = upstream.call().await;
        let head = provider.head.to_ascii_lowercase();
        assert!(!head.contains(WEB) && head.contains("sk-upstream-secret"), "{head}");
        provider.answer("200 OK", "content-type: application/json\r\n", "{}").await;
        assert_eq!(call.await.expect("a response").status(), 200, "{name}");
    }
    let by_query = gateway.get(&format!("/v1beta/files?pageSize=1&key={WEB}"));
    // No provider here speaks Gemini's dialect; the key was taken all the same.
    assert_eq!(status(by_query).await, 404);
    let passing = sent(gateway.get(&format!("/v1/files?limit=1&key={WEB}")));
    let provider = upstream.call().await;
    assert_eq!(provider.line(), "GET /v1/files?limit=1 HTTP/1.1");
    provider.answer("200 OK", "content-type: application/json\r\n", "{}").await;
    assert_eq!(passing.await.expect("a response").status(), 200);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_keys_that_name_the_same_channel_never_meet() {
    let (gateway, _upstream) = keyed().await;
    spoken_on(&gateway, WEB, "chat-1").await;
    let theirs = send(gateway.get("/v1/channels/chat-1").bearer_auth(WEB)).await;
    assert_eq!(theirs.status(), 200);
    for (method, path) in [
        (Method::GET, "/v1/channels/chat-1"),
        (Method::GET, "/v1/channels/chat-1/events"),
        (Method::POST, "/v1/channels/chat-1/cancel"),
        (Method::DELETE, "/v1/channels/chat-1"),
    ] {
        let request = gateway.http.request(method.clone(), gateway.url(path)).bearer_auth(OTHER);
        let (status, body) = refusal(request).await;
        assert_eq!(status, 404, "{method} {path}");
        assert_eq!(body["error"]["code"], "channel_not_found");
    }
    let nothing = gateway.get("/v1/channels/chat-1/ui-message-stream").bearer_auth(OTHER);
    assert_eq!(status(nothing).await, 204, "as of a channel that is not there");
    let note = gateway.post("/v1/channels/chat-1/events", r#"{"type":"note"}"#);
    assert_eq!(status(note.bearer_auth(OTHER)).await, 404);
    // The same name is another channel.
    spoken_on(&gateway, OTHER, "chat-1").await;
    let state = body(send(gateway.get("/v1/channels/chat-1").bearer_auth(OTHER)).await).await;
    assert_eq!(state["generations"].as_array().map(Vec::len), Some(1));
    // A token of the other's for the same name reads the other's.
    let other = token(&gateway, OTHER, json!({ "channel": "*" })).await;
    let state = send(gateway.get("/v1/channels/chat-1").bearer_auth(other)).await;
    let seen = body(state).await["generations"][0]["generation"].clone();
    let mine = body(send(gateway.get("/v1/channels/chat-1").bearer_auth(WEB)).await).await;
    assert_ne!(seen, mine["generations"][0]["generation"]);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_found_again_by_its_own_key_only() {
    let (gateway, upstream) = keyed().await;
    let call = sent(gateway.streamed().bearer_auth(WEB));
    let mut provider = upstream.call().await;
    provider.begin().await;
    provider.text_delta("Hi").await;
    provider.finish().await;
    let mut app = stream_of(call).await;
    let first = app.rest().await[0].json();
    let generation = header(&app.headers, "tokenway-generation").to_owned();
    for id in [first["id"].as_str().expect("an id"), &generation] {
        let path = format!("/v1/chat/completions/{id}?stream=true");
        assert_eq!(status(gateway.get(&path).bearer_auth(OTHER)).await, 404, "{id}");
        let path = format!("/v1/chat/completions/{id}");
        assert_eq!(status(gateway.get(&path).bearer_auth(OTHER)).await, 404, "{id}");
    }
    let path = format!("/v1/chat/completions/{generation}?stream=true");
    assert_eq!(status(gateway.get(&path).bearer_auth(WEB)).await, 200);
    assert!(upstream.is_idle().await, "nobody asked the provider for it");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_uses_its_models_and_names_channels_if_it_may() {
    let (gateway, upstream) = keyed_with(|config| {
        let web = &mut config.access.keys[0];
        web.models = Some(vec!["si*".to_owned()]);
        web.names_channels = false;
        web.on_disconnect = Some(OnDisconnect::Cancel);
    })
    .await;
    let (status_of, error) = refusal(gateway.chat(asked(false)).bearer_auth(WEB)).await;
    assert_eq!((status_of, &error["error"]["param"]), (403, &json!("model")));
    assert_eq!(error["error"]["code"], "forbidden");
    for (path, call) in [
        ("/v1/embeddings", json!({ "model": "fast", "input": "x" })),
        ("/v1/messages/count_tokens", json!({ "model": "fast", "messages": [] })),
        ("/v1/files", json!({})),
        ("/v1beta/models/fast:countTokens", json!({})),
    ] {
        assert_eq!(status(gateway.post(path, call).bearer_auth(WEB)).await, 403, "{path}");
    }
    let call = json!({ "model": "sim", "messages": [{ "role": "user", "content": "Hi" }] });
    let named = gateway.chat(call.clone()).bearer_auth(WEB).header("tokenway-channel", "mine");
    let (status_of, error) = refusal(named).await;
    assert_eq!((status_of, &error["error"]["param"]), (403, &json!("tokenway-channel")));
    assert_eq!(status(gateway.chat(call).bearer_auth(WEB)).await, 200);
    let names = |list: &Value| -> Vec<String> {
        let list = list["data"].as_array().expect("a list").iter();
        list.map(|model| model["id"].as_str().expect("an id").to_owned()).collect()
    };
    let mine = body(send(gateway.get("/v1/models").bearer_auth(WEB)).await).await;
    assert_eq!(names(&mine), ["sim"]);
    let all = body(send(gateway.get("/v1/models").bearer_auth(OTHER)).await).await;
    assert_eq!(names(&all), ["fast", "sim"]);
    // Leaving cancels at once, where the model would wait.
    let call = json!({ "model": "sim", "stream": true, "max_tokens": 100_000,
                       "messages": [{ "role": "user", "content": "Hi" }] });
    let response = send(gateway.chat(call).bearer_auth(WEB)).await;
    let channel = header(response.headers(), "tokenway-channel").to_owned();
    drop(response);
    let path = format!("/v1/channels/{channel}");
    crate::soon("it ends", async {
        loop {
            let state = body(send(gateway.get(&path).bearer_auth(WEB)).await).await;
            if state["generations"][0]["state"] != "running" {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(upstream.is_idle().await);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_are_refused_with_a_key_too() {
    let allowed = "https://app.example";
    let (gateway, _upstream) =
        keyed_with(|config| config.access.allowed_origins = vec![allowed.to_owned()]).await;
    let models = || gateway.get("/v1/models").bearer_auth(WEB);
    assert_eq!(status(models().header("origin", "https://evil.example")).await, 403);
    assert_eq!(status(models().header("origin", "null")).await, 403);
    let response = send(models().header("origin", allowed)).await;
    assert_eq!(header(response.headers(), "access-control-allow-origin"), allowed);
    let exposed = header(response.headers(), "access-control-expose-headers");
    assert!(exposed.contains("tokenway-channel-token"), "{exposed}");
    // Its own page, by whatever name it was reached.
    let own =
        models().header("host", "gateway.example").header("origin", "https://gateway.example");
    assert_eq!(status(own).await, 200);
    // A browser asks first, without the key.
    let preflight = gateway.http.request(Method::OPTIONS, gateway.url("/v1/chat/completions"));
    let preflight = preflight.header("origin", allowed);
    let preflight = preflight.header("access-control-request-method", "POST");
    assert_eq!(
        status(preflight.header("access-control-request-headers", "authorization")).await,
        200
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callers_own_key_goes_only_where_the_operator_lets_it() {
    let (gateway, upstream) = keyed_with(|config| {
        let Endpoint::Http(http) = &mut config.providers[0].endpoint else { panic!("over HTTP") };
        http.forward_caller_key = true;
    })
    .await;
    let own = "sk-of-the-callers-own";
    for path in ["/v1/chat/completions", "/v1/moderations"] {
        let call = gateway.post(path, asked(false)).header("tokenway-token", WEB);
        let call = sent(call.bearer_auth(own));
        let provider = upstream.call().await;
        assert_eq!(
            provider.header("authorization"),
            Some("Bearer sk-of-the-callers-own"),
            "{path}"
        );
        assert!(!provider.head.contains(WEB) && !provider.head.contains("sk-upstream-secret"));
        provider.answer("200 OK", "content-type: application/json\r\n", "{}").await;
        assert_eq!(call.await.expect("a response").status(), 200);
    }
    // What the gateway itself gave out does not, whether or not it holds.
    let stale = encode(
        &Header::new(Algorithm::HS256),
        &json!({ "owner": "web", "channels": "*", "allow": ["read"], "exp": 1_000_000_000 }),
        &EncodingKey::from_secret(SECRET.as_bytes()),
    );
    let stale = stale.expect("a token");
    let foreign = encode(
        &Header::new(Algorithm::HS256),
        &json!({ "owner": "web", "channels": "*", "allow": ["read"], "exp": 4_000_000_000_u64 }),
        &EncodingKey::from_secret(b"the secret of before, of thirty-two bytes"),
    );
    let foreign = foreign.expect("a token");
    for shown in [stale.as_str(), foreign.as_str(), ADMIN] {
        let call = gateway.chat(asked(false)).header("x-api-key", WEB);
        let call = sent(call.bearer_auth(shown));
        let provider = upstream.call().await;
        assert_eq!(provider.header("authorization"), Some("Bearer sk-upstream-secret"));
        assert!(!provider.head.contains(shown));
        provider.answer("200 OK", "content-type: application/json\r\n", "{}").await;
        assert_eq!(call.await.expect("a response").status(), 200);
    }
    // Whoever brings none goes with the provider's.
    let call = sent(gateway.chat(asked(false)).bearer_auth(WEB));
    let provider = upstream.call().await;
    assert_eq!(provider.header("authorization"), Some("Bearer sk-upstream-secret"));
    provider.answer("200 OK", "content-type: application/json\r\n", "{}").await;
    assert_eq!(call.await.expect("a response").status(), 200);
    gateway.stop().await;
}
