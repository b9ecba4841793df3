//! Channel tokens over HTTP: how they are had, what they open, and how they end.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::{Value, json};

use super::{OTHER, WEB, keyed, minted, spoken_on, status, token};
use crate::{
    gateway::{self, asked, body, header, refusal, send, sent, stream_of},
    soon,
    sse::Sse,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_what_it_says_wherever_it_travels() {
    let (gateway, _upstream) = keyed().await;
    spoken_on(&gateway, WEB, "chat-42").await;
    let wish = json!({ "channel": "chat-*", "ttl": "10m", "allow": ["read"] });
    let answer = minted(&gateway, WEB, wish).await;
    let members: Vec<_> = answer.as_object().expect("an object").keys().collect();
    assert_eq!(members, ["token", "expires_at"]);
    let left = answer["expires_at"].as_u64().expect("seconds") * 1_000 - tokenway::clock::now_ms();
    assert!((590_000..=601_000).contains(&left), "{left}");
    let read = answer["token"].as_str().expect("a token");
    let path = "/v1/channels/chat-42";
    for request in [
        gateway.get(path).bearer_auth(read),
        gateway.get(path).header("tokenway-token", read),
        gateway.get(&format!("{path}?token={read}")),
        // Beside a credential that is somebody else's.
        gateway.get(path).bearer_auth("of-a-proxy").header("tokenway-token", read),
    ] {
        assert_eq!(status(request).await, 200);
    }
    let view = Sse::of(send(gateway.get(&format!("{path}/events?token={read}"))).await);
    assert_eq!({ view }.event().await.event, "started");
    // What it does not say.
    let note = || gateway.post(&format!("{path}/events"), r#"{"type":"note"}"#);
    let stop = || gateway.post(&format!("{path}/cancel"), "");
    for request in [
        note().bearer_auth(read),
        stop().bearer_auth(read),
        gateway.http.request(Method::DELETE, gateway.url(path)).bearer_auth(read),
        gateway.get("/v1/channels/other").bearer_auth(read),
        gateway.post("/v1/tokens", json!({ "channel": "chat-42" })).bearer_auth(read),
    ] {
        let (status, error) = refusal(request).await;
        assert_eq!((status, &error["error"]["code"]), (403, &json!("forbidden")));
    }
    for path in ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/embeddings"] {
        let (status, error) = refusal(gateway.post(path, asked(false)).bearer_auth(read)).await;
        assert_eq!(status, 403, "{path}: {error}");
    }
    assert_eq!(status(gateway.get("/v1/models").bearer_auth(read)).await, 403);
    // Others say other things.
    let wish = json!({ "channel": "chat-42", "ttl": 60, "allow": ["publish", "cancel"] });
    let write = token(&gateway, WEB, wish).await;
    assert_eq!(status(note().bearer_auth(&write)).await, 200);
    let stopped = send(stop().bearer_auth(&write)).await;
    assert_eq!(stopped.status(), 200);
    assert_eq!(body(stopped).await, json!({ "channel": "chat-42" }), "it may not read");
    assert_eq!(status(gateway.get(path).bearer_auth(&write)).await, 403);
    // A channel of this owner's that is not there, and one that is another's.
    spoken_on(&gateway, OTHER, "chat-7").await;
    for path in ["/v1/channels/chat-7", "/v1/channels/chat-8"] {
        assert_eq!(status(gateway.get(path).bearer_auth(read)).await, 404);
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_good_token_is_refused_and_said_so() {
    let (gateway, _upstream) = keyed().await;
    spoken_on(&gateway, WEB, "chat-1").await;
    let good = token(&gateway, WEB, json!({ "channel": "chat-1" })).await;
    let parts: Vec<_> = good.split('.').collect();
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    let more = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[1]).expect("base64")).expect("JSON");
    let more = URL_SAFE_NO_PAD.encode(more.replace("chat-1", "*"));
    for (what, bad, told) in [
        ("unsigned", format!("{none}.{}.", parts[1]), "HS256"),
        ("tampered with", format!("{}.{more}.{}", parts[0], parts[2]), "signature"),
        ("cut", good[..good.len() - 2].to_owned(), "signature"),
        ("oversized", format!("{good}.{}", "x".repeat(5_000)).replacen('.', "", 1), "at most"),
    ] {
        let (status, error) = refusal(gateway.get("/v1/channels/chat-1").bearer_auth(&bad)).await;
        assert_eq!(status, 401, "{what}");
        let message = error["error"]["message"].as_str().expect("a message");
        assert!(message.contains(told) && !message.contains(parts[2]), "{what}: {message}");
    }
    for (wish, param) in [
        (json!({ "channel": "a/b" }), "channel"),
        (json!({ "channel": [] }), "channel"),
        (json!({ "channel": "a", "ttl": "0s" }), "ttl"),
        (json!({ "channel": "a", "ttl": "25h" }), "ttl"),
        (json!({ "channel": "a", "ttl": "soon" }), "ttl"),
        (json!({ "channel": "a", "allow": ["write"] }), "allow"),
        (json!({ "channel": "a", "allow": [] }), "allow"),
        (json!({ "channel": "a", "for": "me" }), ""),
        (json!({}), ""),
    ] {
        let (status, error) = refusal(gateway.post("/v1/tokens", &wish).bearer_auth(WEB)).await;
        assert_eq!(status, 400, "{wish}: {error} {param}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_ends_with_its_token() {
    let (gateway, upstream) = keyed().await;
    let call = gateway.streamed().bearer_auth(WEB).header("tokenway-channel", "chat-1");
    let call = sent(call);
    let mut provider = upstream.call().await;
    provider.begin().await;
    let _app = stream_of(call).await;
    let short = token(&gateway, WEB, json!({ "channel": "chat-1", "ttl": "1s" })).await;
    let view = gateway.get("/v1/channels/chat-1/events").bearer_auth(&short);
    let message = gateway.get("/v1/channels/chat-1/ui-message-stream").bearer_auth(&short);
    let poll = gateway.get("/v1/channels/chat-1/events?after=99999999&wait=20s");
    let (mut view, mut message) = (Sse::of(send(view).await), Sse::of(send(message).await));
    assert_eq!(status(poll.bearer_auth(&short)).await, 416);
    let last = soon("the view ends", view.rest()).await.pop().expect("a last event");
    assert_eq!(
        (last.event.as_str(), &last.json()["error"]["code"]),
        ("forbidden", &json!("forbidden"))
    );
    let mut rest = soon("the message ends", message.rest()).await;
    assert_eq!(rest.pop().expect("an end").data, "[DONE]");
    assert_eq!(rest.pop().expect("why").json()["type"], "error");
    // An EventSource that comes again is told that it need not.
    let again = gateway.get("/v1/channels/chat-1/events").bearer_auth(&short);
    let (status, error) = refusal(again).await;
    assert_eq!(status, 401);
    assert!(error["error"]["message"].as_str().is_some_and(|it| it.contains("expired")), "{error}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_brings_its_own_token_where_that_is_wanted() {
    let (gateway, upstream) = keyed().await;
    let call = sent(gateway.streamed().bearer_auth(WEB).header("tokenway-want-token", "1"));
    let mut provider = upstream.call().await;
    assert_eq!(provider.header("tokenway-want-token"), None);
    provider.begin().await;
    let app = stream_of(call).await;
    let (channel, own) =
        (header(&app.headers, "tokenway-channel"), header(&app.headers, "tokenway-channel-token"));
    let path = format!("/v1/channels/{channel}");
    assert_eq!(status(gateway.get(&path).bearer_auth(own)).await, 200);
    let other = gateway.post(&format!("{path}/cancel"), json!({ "generation": "gen_other" }));
    assert_eq!(status(other.bearer_auth(own)).await, 403, "it is narrowed to its own");
    let stop = gateway.post(&format!("{path}/cancel"), "").bearer_auth(own);
    let stopped = body(send(stop).await).await;
    assert_eq!(stopped["generations"][0]["error"]["code"], "cancelled");
    // One that nobody asked for is not there.
    let call = sent(gateway.streamed().bearer_auth(WEB));
    let mut provider = upstream.call().await;
    provider.begin().await;
    assert!(!stream_of(call).await.headers.contains_key("tokenway-channel-token"));
    // A detached one is useless without.
    let detached = gateway.streamed().bearer_auth(WEB).header("prefer", "respond-async");
    let accepted = send(detached).await;
    assert_eq!(accepted.status(), 202);
    let accepted = body(accepted).await;
    let own = accepted["token"].as_str().expect("a token").to_owned();
    let path = format!("/v1/channels/{}", accepted["channel"].as_str().expect("an id"));
    assert_eq!(status(gateway.get(&path).bearer_auth(own)).await, 200);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_gateway_is_open_no_token_is_needed_and_none_is_made() {
    let (gateway, _upstream) = gateway::with_upstream().await;
    let wish = json!({ "channel": "chat-42", "ttl": "10m", "allow": ["read"] });
    let response = send(gateway.post("/v1/tokens", wish)).await;
    assert_eq!(response.status(), 200);
    assert_eq!(body(response).await, json!({ "token": null, "expires_at": null }));
    let call = json!({ "model": "sim", "messages": [{ "role": "user", "content": "Hi" }] });
    let call = gateway.chat(call).header("tokenway-want-token", "1");
    let response = send(call.header("authorization", "Bearer unused")).await;
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key("tokenway-channel-token"));
    let call = json!({ "model": "sim", "messages": [{ "role": "user", "content": "Hi" }] });
    let accepted = send(gateway.chat(call).header("prefer", "respond-async")).await;
    assert_eq!(body(accepted).await["token"], Value::Null);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_mints_what_the_gateway_takes() {
    let (gateway, _upstream) = keyed().await;
    spoken_on(&gateway, WEB, "chat-42").await;
    let run = |variables: &[(&str, &str)], args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tokenway"));
        command.arg("token").args(["--channel", "chat-*"]).args(args).env_clear();
        command.envs(variables.iter().copied());
        let output = command.output().expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let url = gateway.url("");
    let offline = [("TOKENWAY_TOKEN_SECRET", super::SECRET)];
    let online = [("TOKENWAY_TOKEN", WEB), ("TOKENWAY_URL", &url)];
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("tokenway.yaml");
    let yaml = format!(
        "version: 1\nproviders: {{ sim: {{ dialect: simulator }} }}\nmodels: {{ sim: {{ targets: [{{ provider: sim }}] }} }}\n\
         access:\n  keys: [{{ name: web, key: {WEB} }}]\n  token_secret: \"{}\"\n",
        super::SECRET
    );
    std::fs::write(&file, yaml).expect("a file");
    let by_file = ["--config", file.to_str().expect("a path")];
    for (variables, args) in [
        (&offline[..], &["--owner", "web", "--ttl", "1m"][..]),
        (&online[..], &[]),
        (&[], &by_file),
    ] {
        let (done, token, said) = run(variables, args);
        assert!(done && said.is_empty(), "{args:?}: {said}");
        let request = gateway.get("/v1/channels/chat-42").bearer_auth(token.trim());
        assert_eq!(status(request).await, 200, "{args:?}");
    }
    let (done, _, said) = run(&offline, &[]);
    assert!(!done && said.contains("--owner"), "{said}");
    let (done, _, said) = run(&[("TOKENWAY_TOKEN", "wrong"), ("TOKENWAY_URL", &url)], &[]);
    assert!(!done && said.contains("401") && !said.contains("wrong"), "{said}");
    let (done, _, said) = run(&offline, &["--owner", "web", "--ttl", "25h"]);
    assert!(!done && said.contains("24h"), "{said}");
    gateway.stop().await;
}
