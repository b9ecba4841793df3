//! Answers that a provider keeps are their owners' alone, though it knows one key for all.

use reqwest::Method;
use serde_json::{Value, json};
use tokenway::{config::Endpoint, dialect::Dialect};

use super::{OTHER, WEB, keyed, keyed_with, status};
use crate::gateway::{asked, refusal, sent, stream_of};

const JSON: &str = "content-type: application/json\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_answer_is_its_owners_whatever_is_done_with_it_and_however_it_is_written() {
    let (gateway, upstream) = keyed().await;
    let chat = "/v1/chat/completions";
    // One whole, and one that streams: its provider calls that one `chatcmpl-1`.
    let call = sent(gateway.post(chat, asked(false)).bearer_auth(WEB));
    let body = r#"{"id":"chatcmpl-w","object":"chat.completion","choices":[]}"#;
    upstream.call().await.answer("200 OK", JSON, body).await;
    assert_eq!(call.await.expect("a response").status(), 200);
    let call = sent(gateway.streamed().bearer_auth(WEB));
    let mut provider = upstream.call().await;
    provider.begin().await;
    provider.text_delta("Hello").await;
    let mut app = stream_of(call).await;
    provider.finish().await;
    app.rest().await;
    for id in ["chatcmpl-w", "chatcmpl-1"] {
        for (method, path) in [
            (Method::GET, format!("{chat}/{id}")),
            (Method::GET, format!("{chat}/{id}/messages")),
            (Method::POST, format!("{chat}/{id}")),
            (Method::DELETE, format!("{chat}/{id}")),
            (Method::GET, format!("/v1/chat/%63ompletions/{id}")),
            (Method::GET, format!("/v1//chat/completions/{id}")),
            (Method::DELETE, format!("/v1/chat/%2563ompletions/{id}")),
            (Method::DELETE, format!("{chat}/{}", id.replace('c', "%63"))),
        ] {
            let request = || gateway.http.request(method.clone(), gateway.url(&path));
            let (status, said) = refusal(request().bearer_auth(OTHER)).await;
            assert_eq!((status, &said["error"]["code"]), (404, &"not_found".into()), "{path}");
            let call = sent(request().bearer_auth(WEB));
            let kept = upstream.call().await;
            assert_eq!(kept.line(), format!("{method} {path} HTTP/1.1"));
            kept.answer("200 OK", JSON, "{}").await;
            assert_eq!(call.await.expect("a response").status(), 200, "{method} {path}");
        }
    }
    // What no reader can be sure of is nobody's.
    for path in [
        "/v1/%ff/chat/%63ompletions/%63hatcmpl-1".to_owned(),
        "/v1/%ff/chat/%63ompletions".to_owned(),
        format!("{chat}/%63hatcmpl-1;%ff"),
    ] {
        for key in [WEB, OTHER] {
            assert_eq!(status(gateway.get(&path).bearer_auth(key)).await, 404, "{path}");
        }
    }
    // A list is of what all keys have stored.
    for path in [chat, "/v1/chat/completions/", "/v1/%63hat/completions?limit=1"] {
        assert_eq!(status(gateway.get(path).bearer_auth(OTHER)).await, 403, "{path}");
    }
    assert!(upstream.is_idle().await, "nobody else got through");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_goes_on_from_another_owners_response_nor_reads_one_that_was_deleted() {
    let (gateway, upstream) = keyed_with(|config| {
        let up = config.providers.iter_mut().find(|it| it.name == "up").expect("it is there");
        if let Endpoint::Http(http) = &mut up.endpoint {
            http.dialect = Dialect::Responses;
        }
    })
    .await;
    let call = json!({ "model": "fast", "input": "go" });
    let call = sent(gateway.post("/v1/responses", call).bearer_auth(WEB));
    let body = r#"{"id":"resp_up1","object":"response","status":"completed","output":[]}"#;
    upstream.call().await.answer("200 OK", JSON, body).await;
    assert_eq!(call.await.expect("a response").status(), 200);
    let after = |more: Value| {
        let mut body =
            json!({ "model": "fast", "input": "go", "previous_response_id": "resp_up1" });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
        body
    };
    for (path, body) in [
        ("/v1/responses/compact", after(json!({}))),
        ("/v1/responses/input_tokens", after(json!({}))),
        ("/v1/responses", after(json!({ "conversation": "conv_1" }))),
    ] {
        let refused = status(gateway.post(path, &body).bearer_auth(OTHER)).await;
        assert_eq!(refused, 404, "{path}");
        let call = sent(gateway.post(path, &body).bearer_auth(WEB));
        upstream.call().await.answer("200 OK", JSON, r#"{"id":"resp_2","output":[]}"#).await;
        assert_eq!(call.await.expect("a response").status(), 200, "{path}");
    }
    let path = "/v1/responses/resp_up1";
    let delete = |key: &str| gateway.http.delete(gateway.url(path)).bearer_auth(key.to_owned());
    assert_eq!(status(delete(OTHER)).await, 404);
    assert_eq!(status(delete(WEB)).await, 200);
    for (path, key) in [(path, WEB), (path, OTHER), ("/v1//responses/resp_up1", WEB)] {
        assert_eq!(status(gateway.get(path).bearer_auth(key)).await, 404, "{path}");
    }
    assert!(upstream.is_idle().await, "nobody else got through");
    gateway.stop().await;
}
