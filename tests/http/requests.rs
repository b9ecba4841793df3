//! What goes to the provider of what an app asks, and what never does.

use bytes::Bytes;
use futures_util::StreamExt;
use reqwest::Body;
use serde_json::json;

use crate::{
    gateway::{self, KEY, asked, body, header, refusal, send, sent},
    soon,
};

#[tokio::test(flavor = "multi_thread")]
async fn only_the_model_changes_and_usage_is_asked_for_in_a_stream() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let ask = "{ \"stream\" : true, \"model\":\"fast\",\n\t\"seed\": 21515812692109560001, \"t\": 1.10, \"é\": [ ] }\n";
    let call = sent(gateway.post("/v1/chat/completions?x=1", ask));
    let provider = upstream.call().await;
    assert_eq!(provider.line(), "POST /v1/chat/completions HTTP/1.1");
    let expected = ask
        .replace("\"fast\"", "\"up-model\"")
        .replace("[ ] }", "[ ],\"stream_options\":{\"include_usage\":true} }");
    assert_eq!(provider.text(), expected);
    provider.answer("500 Oh", "", "").await;
    call.await.expect("a response");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_callers_credentials_stay_here_and_the_providers_key_goes_up() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let mut ask = gateway.streamed();
    for (name, value) in [
        ("authorization", "Bearer caller-secret"),
        ("x-api-key", "caller-secret"),
        ("api-key", "caller-secret"),
        ("cookie", "session=caller-secret"),
        ("proxy-authorization", "caller-secret"),
        ("x-forwarded-for", "10.0.0.7"),
        ("tokenway-channel", "chat-1"),
        ("connection", "keep-alive, x-of-this-hop"),
        ("x-of-this-hop", "caller-secret"),
        ("openai-organization", "org-1"),
        ("user-agent", "app/1"),
    ] {
        ask = ask.header(name, value);
    }
    let call = sent(ask);
    let provider = upstream.call().await;
    let head = provider.head.to_ascii_lowercase();
    assert!(!head.contains("caller-secret") && !head.contains("10.0.0.7"), "{head}");
    assert!(!head.contains("tokenway-"), "{head}");
    assert_eq!(provider.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(provider.header("openai-organization"), Some("org-1"));
    assert_eq!(provider.header("user-agent"), Some("app/1"));
    assert_eq!(provider.header("host"), Some(upstream.addr().to_string().as_str()));
    provider.answer("500 Oh", "", "").await;
    call.await.expect("a response");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_understood_is_refused_in_the_apps_dialect_and_nobody_is_called() {
    let (gateway, upstream) = gateway::with_upstream().await;
    for (ask, status, code, param) in [
        ("{", 400, "bad_request", json!(null)),
        ("{\"model\":7}", 400, "bad_request", json!("model")),
        ("{}", 400, "bad_request", json!("model")),
        ("{\"model\":\"nope\"}", 404, "model_not_found", json!("model")),
    ] {
        let (answered, body) = refusal(gateway.post("/v1/chat/completions", ask)).await;
        assert_eq!((answered, &body["error"]["code"]), (status, &json!(code)), "{ask}: {body}");
        assert_eq!(body["error"]["param"], param, "{ask}");
        assert_eq!(body["error"]["type"], "invalid_request_error", "{ask}");
        assert!(body["error"]["message"].is_string());
    }
    for id in ["", "a/b", "a b", &"x".repeat(129)] {
        let (status, body) = refusal(gateway.streamed().header("tokenway-channel", id)).await;
        assert_eq!((status, &body["error"]["code"]), (400, &json!("bad_channel_id")), "{id:?}");
    }
    assert!(upstream.is_idle().await);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_listed_as_openai_lists_them() {
    let (gateway, _upstream) = gateway::with_upstream().await;
    let list = body(send(gateway.get("/v1/models")).await).await;
    assert_eq!(list["object"], "list");
    let ids: Vec<_> =
        list["data"].as_array().expect("a list").iter().map(|model| &model["id"]).collect();
    assert_eq!(ids, [&json!("fast"), &json!("sim")]);
    for model in list["data"].as_array().expect("a list") {
        assert_eq!(model["object"], "model");
        assert!(model["created"].is_u64() && model["owned_by"].is_string(), "{model}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_model_can_be_asked_for_by_its_name() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let list = body(send(gateway.get("/v1/models")).await).await;
    let response = send(gateway.get("/v1/models/fast")).await;
    assert_eq!(response.status(), 200);
    assert_eq!(body(response).await, list["data"][0]);
    assert!(upstream.is_idle().await);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_never_quotes_what_was_asked() {
    let (gateway, _upstream) = gateway::with_upstream().await;
    for ask in [
        r#""canary""#,
        r#"["canary"]"#,
        r#"{"model":"fast","messages":"canary"#,
        r#"{"model":["canary"]}"#,
        r#"{"model":"fast","stream":"canary"}"#,
        r#"{"model":"fast","stream_options":"canary"}"#,
    ] {
        let (status, body) = refusal(gateway.post("/v1/chat/completions", ask)).await;
        assert_eq!(status, 400, "{ask}");
        assert!(!body.to_string().contains("canary"), "{body}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_passes_does_not_repeat_the_providers_key() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let call = sent(gateway.post("/v1/embeddings", "{}"));
    let theirs = format!("{{\"error\":\"Incorrect API key provided: {KEY}.\"}}");
    upstream.call().await.answer("401 Unauthorized", "", &theirs).await;
    let response = call.await.expect("a response");
    assert_eq!(response.status(), 401);
    let said = response.text().await.expect("a body");
    assert_eq!(said, "{\"error\":\"Incorrect API key provided: [redacted].\"}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_routes_pass_to_the_default_provider_with_their_query() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let ask = "{ \"model\":\"text-embedding-3\",  \"input\": [1.10] }";
    let request =
        gateway.post("/v1/embeddings?a=1&b=%2F", ask).header("authorization", "Bearer caller");
    let call = sent(request);
    let provider = upstream.call().await;
    assert_eq!(provider.line(), "POST /v1/embeddings?a=1&b=%2F HTTP/1.1");
    assert_eq!(provider.text(), ask);
    assert_eq!(provider.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(provider.header("content-length"), Some(ask.len().to_string().as_str()));
    provider.answer("418 Teapot", "content-type: text/x\r\nx-theirs: 1\r\n", "as it is").await;
    let response = call.await.expect("a response");
    assert_eq!(response.status(), 418);
    assert_eq!(header(response.headers(), "content-type"), "text/x");
    assert_eq!(header(response.headers(), "x-theirs"), "1");
    assert_eq!(response.text().await.expect("a body"), "as it is");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_and_route_that_is_not_ours_passes() {
    let (gateway, upstream) = gateway::with_upstream().await;
    for (method, path) in [
        (reqwest::Method::GET, "/v1/files/file-1/content"),
        (reqwest::Method::DELETE, "/v1/files/file-1"),
        (reqwest::Method::GET, "/v1/chat/completions?limit=2"),
        (reqwest::Method::GET, "/v1/models/theirs"),
        (reqwest::Method::PATCH, "/v1/anything"),
    ] {
        let call = sent(gateway.http.request(method.clone(), gateway.url(path)));
        let provider = upstream.call().await;
        assert_eq!(provider.line(), format!("{method} {path} HTTP/1.1"));
        provider.answer("200 OK", "", "ok").await;
        assert_eq!(call.await.expect("a response").status(), 200, "{method} {path}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ours_never_passes() {
    let (gateway, upstream) = gateway::with_upstream().await;
    for path in ["/v1/channels/a/nope", "/v1/tokens/nope", "/v1/connect/nope", "/nope"] {
        let (status, body) = refusal(gateway.post(path, "{}")).await;
        assert_eq!((status, &body["error"]["code"]), (404, &json!("not_found")), "{path}");
    }
    let (status, body) = refusal(gateway.post("/v1/channels", "{}")).await;
    assert_eq!((status, &body["error"]["code"]), (405, &json!("method_not_allowed")));
    assert!(upstream.is_idle().await);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_pass_stream_both_ways() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let (mut sender, parts) = futures_channel(4);
    let request = gateway.http.post(gateway.url("/v1/files"));
    let request = request.header("content-type", "multipart/form-data; boundary=b");
    let call = sent(request.body(Body::wrap_stream(parts)));
    sender.push("first ").await;
    // The provider has the first part while the app still holds back the second.
    let mut provider = upstream.head().await;
    provider.read_until(b"6\r\nfirst ".len()).await;
    sender.push("second").await;
    drop(sender);
    provider.read_until(b"6\r\nfirst \r\n6\r\nsecond\r\n0\r\n\r\n".len()).await;
    assert_eq!(provider.text(), "6\r\nfirst \r\n6\r\nsecond\r\n0\r\n\r\n");
    assert_eq!(provider.header("content-type"), Some("multipart/form-data; boundary=b"));
    // And the app has the answer's first part while the provider still holds back the second.
    provider.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n").await;
    let mut answer = call.await.expect("a response").bytes_stream();
    let first =
        soon("the first part comes", answer.next()).await.expect("a part").expect("unbroken");
    assert_eq!(first, "one");
    provider.write("3\r\ntwo\r\n0\r\n\r\n").await;
    let second =
        soon("the second part comes", answer.next()).await.expect("a part").expect("unbroken");
    assert_eq!(second, "two");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passed_answer_that_breaks_off_breaks_off_for_the_app() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let call = sent(gateway.get("/v1/files/f/content"));
    let mut provider = upstream.call().await;
    provider.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n").await;
    let mut answer = call.await.expect("a response").bytes_stream();
    let first = soon("the first part comes", answer.next()).await.expect("a part");
    assert_eq!(first.expect("unbroken"), "one");
    provider.close().await;
    let rest = soon("the answer ends", answer.next()).await;
    assert!(matches!(rest, Some(Err(_))), "half an answer must not look whole: {rest:?}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_to_the_provider_is_used_again() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut call = sent(gateway.streamed());
    let mut provider = upstream.call().await;
    for _ in 0..3 {
        provider.write(head).await;
        provider.text_delta("Hi").await;
        provider.event("[DONE]").await;
        // The HTTP end comes after the dialect's end, as it does from real providers.
        let mut app = crate::sse::Sse::of(call.await.expect("a response"));
        assert_eq!(app.rest().await.last().expect("an end").data, "[DONE]");
        provider.write("0\r\n\r\n").await;
        let channel = header(&app.headers, "tokenway-channel").to_owned();
        assert_eq!(gateway.ended(&channel).await["state"], "finished");
        // Until the gateway has read that end, a new call would need a new connection.
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        call = sent(gateway.streamed());
        provider = provider.again().await;
    }
    provider.answer("500 Oh", "", "").await;
    call.await.expect("a response");
    assert!(upstream.is_idle().await, "one connection");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_speaks_http2_is_answered_the_same() {
    let (gateway, upstream) = gateway::with_upstream().await;
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build();
    let client = client.expect("a client");
    let request = client.post(gateway.url("/v1/chat/completions")).body(asked(true).to_string());
    let call = sent(request.header("content-type", "application/json"));
    let mut provider = upstream.call().await;
    assert_eq!(provider.line(), "POST /v1/chat/completions HTTP/1.1");
    provider.begin().await;
    provider.text_delta("Hi").await;
    provider.finish().await;
    let response = call.await.expect("a response");
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    let items = crate::sse::Sse::of(response).rest().await;
    assert_eq!(items[0].data, crate::upstream::delta("Hi"));
    assert_eq!(items[items.len() - 1].data, "[DONE]");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_not_there_is_a_bad_gateway_for_what_passes() {
    let (gateway, upstream) = gateway::with_upstream().await;
    drop(upstream);
    let (status, body) = refusal(gateway.post("/v1/embeddings", asked(false))).await;
    assert_eq!((status, &body["error"]["code"]), (502, &json!("upstream_error")));
    gateway.stop().await;
}

/// A body that the test lets go part by part.
fn futures_channel(
    bound: usize,
) -> (Parts, impl futures_util::Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static) {
    let (sender, receiver) = tokio::sync::mpsc::channel(bound);
    let parts = futures_util::stream::unfold(receiver, |mut receiver| async move {
        let part: Option<Bytes> = receiver.recv().await;
        part.map(|part| (Ok(part), receiver))
    });
    (Parts(sender), parts)
}

struct Parts(tokio::sync::mpsc::Sender<Bytes>);

impl Parts {
    async fn push(&mut self, part: &'static str) {
        self.0.send(Bytes::from_static(part.as_bytes())).await.expect("the body is wanted");
    }
}
