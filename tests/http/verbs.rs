//! Cancel, delete, publish, and how a channel is forgotten.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    gateway::{self, Tokenway, body, header, refusal, send, sent, stream_of},
    soon,
    sse::Sse,
    upstream::{Call, Upstream},
};

/// A generation that has said `Hi`, on a channel of this name.
async fn begun(gateway: &Tokenway, upstream: &Upstream, channel: &str) -> (Sse, Call) {
    let call = sent(gateway.streamed().header("tokenway-channel", channel));
    let mut provider = upstream.call().await;
    provider.begin().await;
    provider.text_delta("Hi").await;
    let mut app = stream_of(call).await;
    app.event().await;
    (app, provider)
}

/// A channel with one finished generation.
async fn finished(gateway: &Tokenway, upstream: &Upstream, channel: &str) {
    let (mut app, provider) = begun(gateway, upstream, channel).await;
    provider.finish().await;
    app.rest().await;
}

async fn cancel(gateway: &Tokenway, channel: &str, body: impl ToString) -> reqwest::Response {
    send(gateway.post(&format!("/v1/channels/{channel}/cancel"), body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_stops_all_that_run_and_answers_with_how_it_ended() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let (mut one, first) = begun(&gateway, &upstream, "chat-42").await;
    let (mut two, second) = begun(&gateway, &upstream, "chat-42").await;
    let response = cancel(&gateway, "chat-42", "").await;
    assert_eq!(response.status(), 200);
    let state = body(response).await;
    for generation in state["generations"].as_array().expect("two") {
        assert_eq!(
            (&generation["state"], &generation["error"]["code"]),
            (&json!("failed"), &json!("cancelled"))
        );
    }
    assert_eq!(state, gateway.state("chat-42").await);
    first.closed().await;
    second.closed().await;
    for app in [&mut one, &mut two] {
        let items = app.rest().await;
        assert_eq!(items[items.len() - 1].json()["error"]["code"], "cancelled", "{items:?}");
    }
    // Once more changes nothing.
    let again = cancel(&gateway, "chat-42", "{}").await;
    assert_eq!(again.status(), 200);
    assert_eq!(body(again).await, state);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_of_one_generation_leaves_the_others() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let (one, first) = begun(&gateway, &upstream, "chat-42").await;
    let (mut two, second) = begun(&gateway, &upstream, "chat-42").await;
    let id = header(&one.headers, "tokenway-generation");
    let state = body(cancel(&gateway, "chat-42", json!({ "generation": id })).await).await;
    assert_eq!(state["generations"][0]["error"]["code"], "cancelled");
    assert_eq!(state["generations"][1]["state"], "running");
    first.closed().await;
    second.finish().await;
    assert_eq!(two.rest().await.last().expect("an end").data, "[DONE]");
    // Of an ended one it changes nothing.
    let again = body(cancel(&gateway, "chat-42", json!({ "generation": id })).await).await;
    assert_eq!(again, gateway.state("chat-42").await);
    for (channel, ask, status, code) in [
        ("chat-42", r#"{"generation":"gen_none"}"#, 404, "generation_not_found"),
        ("chat-43", "", 404, "channel_not_found"),
        ("chat-42", "{", 400, "bad_request"),
        ("chat-42", r#"{"generatoin":"x"}"#, 400, "bad_request"),
        ("a%20b", "", 400, "bad_channel_id"),
    ] {
        let path = format!("/v1/channels/{channel}/cancel");
        let (answered, problem) = refusal(gateway.post(&path, ask)).await;
        assert_eq!((answered, &problem["error"]["code"]), (status, &json!(code)), "{ask}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_call_is_not_repeated_by_the_apps_sdk() {
    let (gateway, upstream) = gateway::with_upstream().await;
    for stream in [true, false] {
        let channel = format!("c-{stream}");
        let call = sent(gateway.chat(gateway::asked(stream)).header("tokenway-channel", &channel));
        let provider = upstream.call().await;
        assert_eq!(cancel(&gateway, &channel, "").await.status(), 200);
        let response = call.await.expect("a response");
        assert_eq!(response.status(), 409);
        // OpenAI's SDKs repeat what is answered 409, unless this header says otherwise.
        assert_eq!(header(response.headers(), "x-should-retry"), "false");
        assert_eq!(body(response).await["error"]["code"], "cancelled");
        provider.closed().await;
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_forgets_what_does_not_run_and_only_cancel_stops_what_does() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let delete = |path: &str| gateway.http.delete(gateway.url(&format!("/v1/channels/{path}")));
    let (mut app, provider) = begun(&gateway, &upstream, "chat-42").await;
    let (status, problem) = refusal(delete("chat-42")).await;
    assert_eq!((status, &problem["error"]["code"]), (409, &json!("generation_running")));
    let (status, _) = refusal(delete("chat-42?cancel=false")).await;
    assert_eq!(status, 409);
    let (status, problem) = refusal(delete("chat-42?cancel=perhaps")).await;
    assert_eq!((status, &problem["error"]["code"]), (400, &json!("bad_request")));
    let mut view = gateway.view("chat-42").await;
    assert_eq!(send(delete("chat-42?cancel=true")).await.status(), 204);
    provider.closed().await;
    assert_eq!(app.rest().await.last().expect("an end").json()["error"]["code"], "cancelled");
    // Its viewers are told how it ended before their streams end.
    let seen = view.rest().await;
    assert_eq!(seen.last().expect("an end").json()["code"], "cancelled", "{seen:?}");
    for request in [
        gateway.get("/v1/channels/chat-42"),
        gateway.get("/v1/channels/chat-42/events"),
        gateway.post("/v1/channels/chat-42/cancel", ""),
        gateway.post("/v1/channels/chat-42/events", r#"{"type":"a"}"#),
        delete("chat-42"),
        delete("chat-42?cancel=true"),
    ] {
        let (status, problem) = refusal(request).await;
        assert_eq!((status, &problem["error"]["code"]), (404, &json!("channel_not_found")));
    }
    // The name can be used again, and that is another channel.
    finished(&gateway, &upstream, "chat-42").await;
    let state = gateway.state("chat-42").await;
    assert_eq!(
        (state["generations"].as_array().map(Vec::len), &state["first_seq"]),
        (Some(1), &json!(1))
    );
    assert_eq!(send(delete("chat-42")).await.status(), 204);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_channel_is_gone_and_its_name_can_be_used_again() {
    let (gateway, upstream) = gateway::with("", |config| {
        config.channels.retention.after_end = Duration::from_millis(300)
    })
    .await;
    let (app, provider) = begun(&gateway, &upstream, "runs").await;
    finished(&gateway, &upstream, "chat-42").await;
    let mut view = gateway.view("chat-42").await;
    view.until(|event| event.event == "finished").await;
    // A viewer who is there when it expires is let go.
    assert_eq!(view.next().await, None);
    for request in [
        gateway.get("/v1/channels/chat-42"),
        gateway.get("/v1/channels/chat-42/events"),
        gateway.get("/v1/channels/chat-42/events").header("last-event-id", "00000001.1"),
        gateway.post("/v1/channels/chat-42/cancel", ""),
        gateway.post("/v1/channels/chat-42/events", r#"{"type":"a"}"#),
        gateway.http.delete(gateway.url("/v1/channels/chat-42")),
    ] {
        let (status, problem) = refusal(request).await;
        assert_eq!((status, &problem["error"]["code"]), (410, &json!("channel_evicted")));
    }
    finished(&gateway, &upstream, "chat-42").await;
    assert_eq!(gateway.state("chat-42").await["generations"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        gateway.state("runs").await["generations"][0]["state"],
        "running",
        "what runs does not expire"
    );
    drop((app, provider));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publish_puts_a_custom_event_between_the_others() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let (mut app, provider) = begun(&gateway, &upstream, "chat-42").await;
    let mut view = gateway.view("chat-42").await;
    let path = "/v1/channels/chat-42/events";
    let response =
        send(gateway.post(path, "{ \"type\":\"note\", \"data\": {\"n\": 1.10,\n \"s\":\"é\"} }"))
            .await;
    assert_eq!(response.status(), 200);
    let answer = body(response).await;
    assert_eq!(answer, json!({ "epoch": header(&app.headers, "tokenway-epoch"), "seq": 3 }));
    let events = view.until(|event| event.event == "custom").await;
    let custom = events.last().expect("it");
    assert_eq!(custom.data, r#"{"seq":3,"type":"note","data":{"n": 1.10,  "s":"é"}}"#);
    assert_eq!(custom.seq(), 3);
    // Without data there is null; the app's own stream has no place for it.
    assert_eq!(send(gateway.post(path, r#"{"type":"bare"}"#)).await.status(), 200);
    assert_eq!(view.event().await.json(), json!({ "seq": 4, "type": "bare", "data": null }));
    provider.finish().await;
    assert_eq!(app.rest().await.len(), 2, "the reason and [DONE]");
    let state = gateway.state("chat-42").await;
    assert_eq!(
        state["customs"][0],
        json!({ "seq": 3, "type": "note", "data": { "n": 1.10, "s": "é" } })
    );
    drop(view);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publish_never_makes_a_channel_and_refuses_what_it_cannot_keep() {
    let (gateway, upstream) = gateway::with_upstream().await;
    finished(&gateway, &upstream, "chat-42").await;
    let call = sent(gateway.streamed());
    let mut provider = upstream.call().await;
    provider.begin().await;
    provider.finish().await;
    let mut app = stream_of(call).await;
    let closed = header(&app.headers, "tokenway-channel").to_owned();
    app.rest().await;
    let large = json!({ "type": "a", "data": "x".repeat(300 * 1024) }).to_string();
    let long = json!({ "type": "x".repeat(129) }).to_string();
    for (channel, ask, status, code) in [
        ("chat-43", r#"{"type":"a"}"#, 404, "channel_not_found"),
        (&closed, r#"{"type":"a"}"#, 409, "channel_closed"),
        ("chat-42", "", 400, "bad_request"),
        ("chat-42", "[]", 400, "bad_request"),
        ("chat-42", r#"{"data":1}"#, 400, "bad_request"),
        ("chat-42", r#"{"type":""}"#, 400, "bad_request"),
        ("chat-42", r#"{"type":7}"#, 400, "bad_request"),
        ("chat-42", r#"{"type":"a","date":1}"#, 400, "bad_request"),
        ("chat-42", &long, 400, "bad_request"),
        ("chat-42", &large, 413, "event_too_large"),
    ] {
        let (answered, problem) =
            refusal(gateway.post(&format!("/v1/channels/{channel}/events"), ask)).await;
        assert_eq!((answered, &problem["error"]["code"]), (status, &json!(code)), "{:.40}", ask);
        assert!(problem["error"]["message"].is_string());
    }
    let (status, _) = refusal(gateway.get("/v1/channels/chat-43")).await;
    assert_eq!(status, 404, "nothing was made");
    let before = gateway.state("chat-42").await["last_seq"].clone();
    assert_eq!(before, json!(4), "nothing was kept");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_problems_have_our_own_shape() {
    let (gateway, _upstream) = gateway::with_upstream().await;
    for (request, status, code) in [
        (gateway.get("/v1/channels/none"), 404, "channel_not_found"),
        (gateway.get("/v1/channels/a%20b"), 400, "bad_channel_id"),
        (gateway.get("/v1/channels/none/events?after=1&after=2"), 400, "bad_request"),
        (gateway.http.put(gateway.url("/v1/channels/none")), 405, "method_not_allowed"),
        (gateway.http.put(gateway.url("/healthz")), 405, "method_not_allowed"),
        (gateway.get("/none"), 404, "not_found"),
    ] {
        let (answered, problem) = refusal(request).await;
        assert_eq!((answered, &problem["error"]["code"]), (status, &json!(code)), "{problem}");
        let members: Vec<_> = problem["error"].as_object().expect("an object").keys().collect();
        assert_eq!(members, ["code", "message"]);
        assert_ne!(problem["error"]["message"], Value::Null);
    }
    assert_eq!(send(gateway.get("/healthz")).await.status(), 200);
    assert_eq!(send(gateway.get("/readyz")).await.status(), 200);
    soon("it stops", gateway.stop()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_who_is_behind_when_its_channel_is_deleted_is_still_told_the_end() {
    let (gateway, upstream) =
        gateway::with("", |config| config.channels.retention.max_bytes = 64 << 20).await;
    let (mut app, mut provider) = begun(&gateway, &upstream, "chat-42").await;
    let mut view = gateway.view("chat-42").await;
    // More than the sockets on the way to it take.
    for _ in 0..1_500 {
        provider.text_delta(&"z".repeat(8 * 1024)).await;
        app.event().await;
    }
    let url = gateway.url("/v1/channels/chat-42?cancel=true");
    assert_eq!(send(gateway.http.delete(url)).await.status(), 204);
    let seen = view.rest().await;
    assert_eq!(seen.last().expect("an end").event, "failed", "of {} events", seen.len());
    gateway.stop().await;
}
