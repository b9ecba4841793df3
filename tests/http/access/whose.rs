//! Answers that a provider keeps are their owners' alone, though it knows one key for all.

use reqwest::Method;

use super::{OTHER, WEB, keyed, status};
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
    // A list is of what all keys have stored.
    for path in [chat, "/v1/chat/completions/", "/v1/%63hat/completions?limit=1"] {
        assert_eq!(status(gateway.get(path).bearer_auth(OTHER)).await, 403, "{path}");
    }
    assert!(upstream.is_idle().await, "nobody else got through");
    gateway.stop().await;
}
