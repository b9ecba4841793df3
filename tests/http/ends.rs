//! How generations end: the app's stream, the channel's state and the channel's events all tell the same typed end, and
//! it is the generation's last event.

use std::{net::SocketAddr, time::Duration};

use reqwest::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::Instant,
};

use crate::{
    gateway::{self, Tokenway, asked, body, header, send, sent, stream_of},
    sse::{Item, Sse},
    upstream,
};

/// What the channel says of its only generation's end: the same in its state and in its events.
async fn end_of(gateway: &Tokenway, channel: &str) -> Item {
    let generation = gateway.ended(channel).await;
    let events = gateway.view(channel).await.rest().await;
    let (end, before) = events.split_last().expect("a generation has events");
    assert!(before.iter().all(|event| !["finished", "failed"].contains(&event.event.as_str())));
    assert_eq!(generation["state"], end.event, "the state and the events agree");
    let said = end.json();
    match end.event.as_str() {
        "finished" => {
            assert_eq!(generation["finish_reason"], said["reason"]);
            assert_eq!(generation["native_finish_reason"], said["native_reason"]);
            assert_eq!(generation["error"], Value::Null);
        }
        _ => {
            assert_eq!(generation["finish_reason"], Value::Null);
            for member in ["code", "message", "phase", "status"] {
                assert_eq!(generation["error"].get(member), said.get(member), "{member}");
            }
        }
    }
    end.clone()
}

/// Reads the app's stream to its end, which must be an error that an SDK raises, and the same as the channel's.
async fn fails(gateway: &Tokenway, mut app: Sse) -> Value {
    let channel = header(&app.headers, "tokenway-channel").to_owned();
    let items = app.rest().await;
    let last = items.last().expect("at least an error").json();
    assert!(items.iter().all(|item| item.data != "[DONE]"), "a failure is no success: {items:?}");
    let errors = items.iter().filter(|item| item.data.starts_with("{\"error\""));
    assert_eq!(errors.count(), 1, "{items:?}");
    let end = end_of(gateway, &channel).await;
    assert_eq!(end.event, "failed");
    let said = end.json();
    // OpenAI's SDKs raise on a payload with an `error`, and show its `message`.
    assert_eq!(last["error"]["code"], said["code"], "the app and the channel agree: {last}");
    assert_eq!(last["error"]["message"], said["message"]);
    assert!(last["error"]["type"].is_string());
    assert_eq!(items[items.len() - 1].id, end.id, "who was told of the end has seen the end");
    said
}

/// A refusal of a call that was launched, whose channel must say the same.
async fn refused(gateway: &Tokenway, response: reqwest::Response) -> (u16, Value, Value) {
    let channel = header(response.headers(), "tokenway-channel").to_owned();
    let status = response.status().as_u16();
    let body = body(response).await;
    let end = end_of(gateway, &channel).await;
    assert_eq!(end.event, "failed");
    (status, body, end.json())
}

/// A streamed call, and the provider's stream, which has said `Hi`.
async fn begun(gateway: &Tokenway, upstream: &upstream::Upstream) -> (Sse, upstream::Call) {
    let call = sent(gateway.streamed());
    let mut provider = upstream.call().await;
    provider.begin().await;
    provider.text_delta("Hi").await;
    let mut app = stream_of(call).await;
    assert_eq!(app.event().await.data, upstream::delta("Hi"));
    (app, provider)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_closes_without_its_end_is_cut() {
    let (gateway, upstream) = gateway::with_upstream().await;
    for how in 0..4 {
        let (app, provider) = begun(&gateway, &upstream).await;
        match how {
            0 => provider.close().await,
            1 => provider.end().await,
            2 => provider.reset(),
            _ => {
                let mut provider = provider;
                provider.say("data: {\"choices\":[{\"delta\":{\"content\":\"torn").await;
                provider.end().await;
            }
        }
        let end = fails(&gateway, app).await;
        assert_eq!(end["code"], "upstream_cut", "{how}");
        assert_eq!(end.get("phase"), None);
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_says_nothing_at_all_is_cut() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let call = sent(gateway.streamed());
    let mut provider = upstream.call().await;
    provider.begin().await;
    provider.end().await;
    assert_eq!(fails(&gateway, stream_of(call).await).await["code"], "upstream_cut");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_before_any_answer_is_cut() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let call = sent(gateway.streamed());
    upstream.call().await.close().await;
    let (status, body, end) = refused(&gateway, call.await.expect("a response")).await;
    assert_eq!((status, &end["code"]), (502, &json!("upstream_cut")));
    assert_eq!(
        (&body["error"]["code"], &body["error"]["message"]),
        (&end["code"], &end["message"])
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_body_that_breaks_off_is_cut() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let call = sent(gateway.chat(asked(false)));
    let mut provider = upstream.call().await;
    provider.write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"choices\":[").await;
    provider.close().await;
    let (status, _, end) = refused(&gateway, call.await.expect("a response")).await;
    assert_eq!((status, &end["code"]), (502, &json!("upstream_cut")));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_reaches_the_app_as_the_provider_wrote_it() {
    let (gateway, upstream) = gateway::with_upstream().await;
    for (status, stream) in [(401, true), (404, false), (429, true), (500, false), (503, true)] {
        let call = sent(gateway.chat(asked(stream)));
        let theirs = format!(
            "{{\"error\": {{\"message\":\"because {status}\",\"type\":\"t\",\"code\":null}} }}"
        );
        let headers = "content-type: application/json\r\nretry-after: 7\r\nx-theirs: 1\r\n";
        upstream.call().await.answer(&format!("{status} Theirs"), headers, &theirs).await;
        let response = call.await.expect("a response");
        assert_eq!(header(response.headers(), "retry-after"), "7");
        assert_eq!(header(response.headers(), "x-theirs"), "1");
        let (answered, body, end) = refused(&gateway, response).await;
        assert_eq!(answered, status);
        assert_eq!(body, serde_json::from_str::<Value>(&theirs).expect("JSON"));
        assert_eq!((&end["code"], &end["status"]), (&json!("upstream_error"), &json!(status)));
        let message = end["message"].as_str().expect("text");
        // What is said of credentials may quote them, and viewers are not the app.
        assert_eq!(message == format!("because {status}"), status != 401, "{message}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_repeats_its_key_repeats_it_to_nobody() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let call = sent(gateway.streamed());
    let theirs =
        format!("{{\"error\":{{\"message\":\"Incorrect API key provided: {}\"}}}}", gateway::KEY);
    upstream.call().await.answer("400 Bad", "", &theirs).await;
    let (_, body, end) = refused(&gateway, call.await.expect("a response")).await;
    assert!(!format!("{body} {end}").contains(gateway::KEY), "{body} {end}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_repeats_its_key_within_a_stream_repeats_it_to_nobody() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let (mut app, mut provider) = begun(&gateway, &upstream).await;
    let key = gateway::KEY;
    provider.event(format!("{{\"error\":{{\"message\":\"no such key: {key}\"}}}}")).await;
    provider.end().await;
    let channel = header(&app.headers, "tokenway-channel").to_owned();
    let told = format!("{:?}", app.rest().await);
    assert!(told.contains("no such key: [redacted]"), "{told}");
    let state = gateway.ended(&channel).await.to_string();
    assert!(state.contains("no such key: [redacted]"), "{state}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_the_operators_own_headers_is_a_key_too() {
    let (gateway, upstream) = gateway::with("", |config| {
        let tokenway::config::Endpoint::Http(up) = &mut config.providers[0].endpoint else {
            panic!("the first provider is up")
        };
        let header = |name, value| (HeaderName::from_static(name), HeaderValue::from_static(value));
        up.headers = vec![
            header("api-key", "an-azure-key-of-theirs"),
            header("api-version", "2026-10-01-and-a-word"),
        ];
    })
    .await;
    let call = sent(gateway.streamed());
    let theirs = r#"{"error":{"message":"an-azure-key-of-theirs, 2026-10-01-and-a-word"}}"#;
    upstream.call().await.answer("400 Bad", "", theirs).await;
    let (_, body, _) = refused(&gateway, call.await.expect("a response")).await;
    assert_eq!(body["error"]["message"], "[redacted], 2026-10-01-and-a-word");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_in_the_middle_is_passed_on_and_is_the_end() {
    let (gateway, upstream) = gateway::with_upstream().await;
    for (error, after) in [
        (
            "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\",\"code\":503}}\n\n",
            "",
        ),
        (
            "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\",\"code\":503}}\n\n",
            "data: [DONE]\n\n",
        ),
        // The stream closes in the same breath, even before the event's empty line.
        (
            "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\",\"code\":503}}\n",
            "",
        ),
    ] {
        let (mut app, mut provider) = begun(&gateway, &upstream).await;
        provider.say(format!("{error}{after}")).await;
        provider.end().await;
        let channel = header(&app.headers, "tokenway-channel").to_owned();
        let items = app.rest().await;
        assert_eq!(items.len(), 1, "told once: {items:?}");
        assert_eq!(items[0].json()["error"]["message"], "overloaded");
        assert_eq!(items[0].json()["error"]["code"], 503, "as the provider wrote it");
        let end = end_of(&gateway, &channel).await;
        assert_eq!(
            (&end.json()["code"], &end.json()["message"]),
            (&json!("upstream_error"), &json!("overloaded"))
        );
        assert_eq!(items[0].id, end.id);
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_in_a_form_that_no_sdk_raises_on_is_told_in_one_that_it_does() {
    let (gateway, upstream) = gateway::with_upstream().await;
    for theirs in [
        // vLLM's, and a reason that is an error, after which the provider says that all is well.
        "data: {\"object\":\"error\",\"message\":\"out of memory\",\"code\":500}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"error\"}]}\n\ndata: [DONE]\n\n",
    ] {
        let (app, mut provider) = begun(&gateway, &upstream).await;
        provider.say(theirs).await;
        provider.end().await;
        assert_eq!(fails(&gateway, app).await["code"], "upstream_error", "{theirs}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reason_and_then_the_close_is_a_good_end() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let (mut app, mut provider) = begun(&gateway, &upstream).await;
    provider.event(upstream::finish()).await;
    provider.end().await;
    let channel = header(&app.headers, "tokenway-channel").to_owned();
    let items = app.rest().await;
    assert_eq!(items.len(), 1, "what the provider did not say is not added: {items:?}");
    let end = end_of(&gateway, &channel).await;
    assert_eq!((end.event.as_str(), &end.json()["reason"]), ("finished", &json!("stop")));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_reason_two_seconds_are_waited_and_then_it_is_a_good_end() {
    // Idle is shorter than the two seconds and must not make a failure of what was finished.
    let (gateway, upstream) = gateway::with("idle: 300ms", |_| {}).await;
    let (mut app, mut provider) = begun(&gateway, &upstream).await;
    provider.event(upstream::finish()).await;
    let asked_at = Instant::now();
    tokio::time::sleep(Duration::from_millis(600)).await;
    provider.event(upstream::usage()).await;
    let channel = header(&app.headers, "tokenway-channel").to_owned();
    let items = app.rest().await;
    let waited = asked_at.elapsed();
    assert!(waited > Duration::from_millis(1_900) && waited < Duration::from_secs(6), "{waited:?}");
    assert_eq!(items.len(), 1, "{items:?}");
    let end = end_of(&gateway, &channel).await;
    assert_eq!((end.event.as_str(), &end.json()["reason"]), ("finished", &json!("stop")));
    let usage = &gateway.state(&channel).await["generations"][0]["usage"];
    assert_eq!(usage["input"], 9, "what came in the meantime counts");
    // The gateway has let go of the provider.
    provider.closed().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn done_without_any_reason_is_a_stop_without_a_native_reason() {
    let (gateway, upstream) = gateway::with_upstream().await;
    // With its empty line, and cut before it.
    for done in ["data: [DONE]\n\n", "data: [DONE]"] {
        let (mut app, mut provider) = begun(&gateway, &upstream).await;
        provider.say(done).await;
        provider.end().await;
        let channel = header(&app.headers, "tokenway-channel").to_owned();
        let items = app.rest().await;
        assert_eq!(items.iter().map(|item| item.data.as_str()).collect::<Vec<_>>(), ["[DONE]"]);
        let end = end_of(&gateway, &channel).await;
        assert_eq!(
            (end.event.as_str(), &end.json()["reason"]),
            ("finished", &json!("stop")),
            "{done:?}"
        );
        assert_eq!(end.json()["native_reason"], Value::Null);
        assert_eq!(items[0].id, end.id);
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_not_there_is_an_upstream_error() {
    let (gateway, upstream) = gateway::with_upstream().await;
    drop(upstream);
    for stream in [true, false] {
        let response = send(gateway.chat(asked(stream))).await;
        let (status, body, end) = refused(&gateway, response).await;
        assert_eq!((status, &end["code"]), (502, &json!("upstream_error")));
        assert_eq!(body["error"]["message"], end["message"]);
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_does_not_come_about_is_a_timeout_of_connect() {
    let (_full, _waiting, address) = full_listener().await;
    let gateway = Tokenway::start(address, "connect: 200ms", |_| {}).await;
    let response = send(gateway.streamed()).await;
    let (status, body, end) = refused(&gateway, response).await;
    assert_eq!(status, 504, "{body}");
    assert_eq!((&end["code"], &end["phase"]), (&json!("timeout"), &json!("connect")));
    gateway.stop().await;
}

/// An address at which connecting takes for ever: its backlog is full and nobody accepts.
async fn full_listener() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port on loopback");
    let listener = socket.listen(1).expect("listens");
    let address = listener.local_addr().expect("an address");
    let mut waiting = Vec::new();
    let patience = Duration::from_millis(300);
    while let Ok(connected) = tokio::time::timeout(patience, TcpStream::connect(address)).await {
        waiting.push(connected.expect("connects"));
    }
    (listener, waiting, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_does_not_answer_is_a_timeout_of_the_first_token() {
    let (gateway, upstream) = gateway::with("first_token: 150ms", |_| {}).await;
    // It says nothing at all: the app gets a status.
    let call = sent(gateway.streamed());
    let provider = upstream.call().await;
    let (status, body, end) = refused(&gateway, call.await.expect("a response")).await;
    assert_eq!((status, &end["phase"]), (504, &json!("first_token")));
    assert_eq!(body["error"]["code"], "timeout");
    provider.closed().await;
    // It only begins: the app is told in its stream.
    let call = sent(gateway.streamed());
    let mut provider = upstream.call().await;
    provider.begin().await;
    provider.say(": warming up\n\n").await;
    let end = fails(&gateway, stream_of(call).await).await;
    assert_eq!((&end["code"], &end["phase"]), (&json!("timeout"), &json!("first_token")));
    provider.closed().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_is_a_timeout_of_idle_whatever_comments_come() {
    let (gateway, upstream) = gateway::with("idle: 200ms", |_| {}).await;
    let (app, mut provider) = begun(&gateway, &upstream).await;
    let begun_at = Instant::now();
    let app = tokio::spawn(async move { (fails(&gateway, app).await, gateway) });
    // Comments and pings show life, but they say nothing.
    while !app.is_finished() && begun_at.elapsed() < Duration::from_secs(3) {
        let ping = if begun_at.elapsed().as_millis().is_multiple_of(2) {
            ": ping\n\n"
        } else {
            "event: ping\ndata: {}\n\n"
        };
        let mut chunk = format!("{:x}\r\n", ping.len());
        chunk += ping;
        if provider.try_write(&(chunk + "\r\n")).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (end, gateway) = app.await.expect("the app is told");
    assert_eq!((&end["code"], &end["phase"]), (&json!("timeout"), &json!("idle")));
    provider.closed().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_before_idle_is_over_buys_another() {
    let (gateway, upstream) = gateway::with("idle: 700ms", |_| {}).await;
    let (mut app, mut provider) = begun(&gateway, &upstream).await;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        provider.text_delta("still").await;
        assert_eq!(app.event().await.data, upstream::delta("still"));
    }
    provider.finish().await;
    let channel = header(&app.headers, "tokenway-channel").to_owned();
    app.rest().await;
    assert_eq!(end_of(&gateway, &channel).await.event, "finished");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_falls_silent_after_pings_is_a_timeout_of_silent() {
    let (gateway, upstream) = gateway::with("silent: 200ms", |_| {}).await;
    let (app, mut provider) = begun(&gateway, &upstream).await;
    provider.say(": ping\n\n").await;
    let end = fails(&gateway, app).await;
    assert_eq!((&end["code"], &end["phase"]), (&json!("timeout"), &json!("silent")));
    provider.closed().await;
    // Without a ping the same silence is allowed.
    let (mut app, mut provider) = begun(&gateway, &upstream).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    provider.text_delta("slow").await;
    assert_eq!(app.event().await.data, upstream::delta("slow"));
    provider.finish().await;
    app.rest().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_takes_too_long_is_a_timeout_of_total() {
    let (gateway, upstream) = gateway::with("total: 400ms, idle: 300ms", |_| {}).await;
    let (mut app, mut provider) = begun(&gateway, &upstream).await;
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        provider.text_delta("on").await;
        app.event().await;
    }
    let end = fails(&gateway, app).await;
    assert_eq!((&end["code"], &end["phase"]), (&json!("timeout"), &json!("total")));
    provider.closed().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_too_long_for_the_log_is_a_limit_and_the_app_is_told() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let (app, mut provider) = begun(&gateway, &upstream).await;
    // A citation cannot be split.
    let long = "x".repeat(300 * 1024);
    let payload =
        format!("{{\"choices\":[{{\"index\":0,\"delta\":{{}}}}],\"citations\":[\"{long}\"]}}");
    provider.event(payload).await;
    let end = fails(&gateway, app).await;
    assert_eq!(end["code"], "limit");
    provider.closed().await;
    gateway.stop().await;
}

/// A generation that has filled its channel: its text is what cannot be given up while it runs.
async fn full(gateway: &Tokenway, upstream: &upstream::Upstream) -> (Sse, upstream::Call) {
    let (mut app, mut provider) = begun(gateway, upstream).await;
    provider.text_delta(&"x".repeat(200 * 1024)).await;
    app.event().await;
    (app, provider)
}

fn small(config: &mut tokenway::config::Config) {
    config.channels.retention.max_bytes = 64 * 1024;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_can_hold_no_more_is_a_limit_also_where_the_end_came_along() {
    let (gateway, upstream) = gateway::with("", small).await;
    for ending in ["", &format!("data: {}\n\ndata: [DONE]\n\n", upstream::finish())] {
        let (app, mut provider) = full(&gateway, &upstream).await;
        provider.say(format!("data: {}\n\n{ending}", upstream::delta("one more"))).await;
        let (channel, mut app) = (header(&app.headers, "tokenway-channel").to_owned(), app);
        let told = app.rest().await;
        let end = gateway.ended(&channel).await;
        assert_eq!(end["error"]["code"], "limit", "{ending}");
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].json()["error"]["message"], end["error"]["message"]);
        provider.closed().await;
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_channel_still_takes_the_usage_and_the_good_end() {
    let (gateway, upstream) = gateway::with("", small).await;
    let (mut app, provider) = full(&gateway, &upstream).await;
    provider.finish().await;
    let channel = header(&app.headers, "tokenway-channel").to_owned();
    app.rest().await;
    let end = gateway.ended(&channel).await;
    assert_eq!((&end["state"], &end["usage"]["input"]), (&json!("finished"), &json!(9)), "{end}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulators_failures_are_told_the_same_in_every_view() {
    let (gateway, _upstream) = gateway::with("idle: 200ms", |_| {}).await;
    for (scenario, code) in [
        ("cut", "upstream_cut"),
        ("reset", "upstream_cut"),
        ("error-middle", "upstream_error"),
        ("stall", "timeout"),
    ] {
        let mut ask = asked(true);
        ask["model"] = "sim".into();
        ask["simulator"] = json!({ "scenario": scenario, "at": 5 });
        let mut app = Sse::of(send(gateway.chat(ask)).await);
        let channel = header(&app.headers, "tokenway-channel").to_owned();
        let items = app.rest().await;
        assert!(items.last().expect("an error").json()["error"].is_object(), "{items:?}");
        let end = end_of(&gateway, &channel).await;
        assert_eq!(
            (end.event.as_str(), &end.json()["code"]),
            ("failed", &json!(code)),
            "{scenario}"
        );
        assert_eq!(items[items.len() - 1].id, end.id, "{scenario}");
    }
    let mut ask = asked(false);
    ask["model"] = "sim".into();
    ask["simulator"] = json!({ "status": 429, "retry_after": 3 });
    let response = send(gateway.chat(ask)).await;
    assert_eq!(header(response.headers(), "retry-after"), "3");
    let (status, _, end) = refused(&gateway, response).await;
    assert_eq!(
        (status, &end["code"], &end["status"]),
        (429, &json!("upstream_error"), &json!(429))
    );
    gateway.stop().await;
}
