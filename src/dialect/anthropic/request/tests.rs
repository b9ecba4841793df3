use super::*;
use crate::dialect::{
    Dialect, Sealed,
    anthropic::{count_answer, count_body, count_estimate},
    seal,
};

fn request(body: &str) -> Request {
    Request::read(Bytes::copy_from_slice(body.as_bytes())).expect(body)
}

#[test]
fn only_what_must_change_is_changed() {
    let body = r#"{ "max_tokens": 9, "model":"fast", "messages":[{"role":"user","content":"dG9rZW53YXk"}], "x":1e400 }"#;
    let request = request(body);
    assert_eq!((request.model(), request.streams(), request.asked().usage), ("fast", false, true));
    let upstream = request.upstream("claude-haiku-4-5", Streaming::AsAsked);
    assert_eq!(upstream.body, body.replace("fast", "claude-haiku-4-5"));
    assert_eq!(upstream.path, "/v1/messages");
    assert_eq!(upstream.headers, [("anthropic-version", "2023-06-01".to_owned())]);
    let streamed = request.upstream("fast", Streaming::Always);
    assert_eq!(streamed.body, body.replace("1e400 }", "1e400,\"stream\":true }"));
    assert_eq!(request.upstream("fast", Streaming::AsAsked).body, body);
}

#[test]
fn what_is_wrong_is_named() {
    let problem = |body: &'static str| {
        let error = Request::read(Bytes::from_static(body.as_bytes())).expect_err(body);
        (error.param.clone(), error.to_string())
    };
    assert_eq!(problem("{}").0.as_deref(), Some("model"));
    assert_eq!(problem(r#"{"model":"a","stream":7}"#).0.as_deref(), Some("stream"));
    assert!(problem("{").1.contains("not JSON"));
}

#[test]
fn thoughts_of_other_dialects_models_are_left_out() {
    let signature = seal(Dialect::Gemini, Sealed::Signature, "g");
    let encrypted = seal(Dialect::Responses, Sealed::Encrypted, "r");
    let own = seal(Dialect::Anthropic, Sealed::Signature, "a");
    let body = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}},{{"role":"assistant","content":[{{"type":"thinking","thinking":"hm","signature":"{signature}"}},{{"type":"redacted_thinking","data":"{encrypted}"}},{{"type":"thinking","thinking":"own","signature":"{own}"}},{{ "type":"text","text":"é" }}],"x":1}},{{"role":"assistant","content":[{{"type":"redacted_thinking","data":"{encrypted}"}}]}}],"y":2}}"#
    );
    let upstream = request(&body).upstream("m", Streaming::AsAsked);
    let expected = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}},{{"role":"assistant","content":[{{"type":"thinking","thinking":"own","signature":"{own}"}},{{ "type":"text","text":"é" }}],"x":1}}],"y":2}}"#
    );
    assert_eq!(String::from_utf8_lossy(&upstream.body), expected);
    let paths = ["messages[1].content[0]", "messages[1].content[1]", "messages[2].content[0]"];
    assert_eq!(upstream.dropped.paths(), paths);
}

#[test]
fn a_count_goes_on_with_the_providers_model_name() {
    let body = r#"{"model":"fast","messages":[{"role":"user","content":"hi"}]}"#;
    let upstream = count_body(&request(body), "claude-haiku-4-5");
    assert_eq!(upstream.path, "/v1/messages/count_tokens");
    assert_eq!(upstream.body, body.replace("fast", "claude-haiku-4-5"));
    assert_eq!(count_answer(7), "{\"input_tokens\":7}");
}

#[test]
fn an_estimate_counts_everything_that_the_model_reads() {
    let count = |body: &str| count_estimate(&request(body).call().expect(body));
    let plain = r#"{"model":"m","messages":[{"role":"user","content":"12345678"}]}"#;
    assert_eq!(count(plain), 4 + 2);
    let image = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"u"}}]}]}"#;
    assert_eq!(count(image), 4 + 1_600);
    let full = plain.replace(
        "\"m\",",
        r#""m","system":"1234","tools":[{"name":"a","description":"1234","input_schema":{"type":"object"}}],"#,
    );
    assert_eq!(count(&full), 6 + 1 + 4 + 1 + 1 + 5);
}

#[test]
fn a_request_shown_for_debugging_shows_no_prompt() {
    let shown = format!("{:?}", request(r#"{"model":"m","messages":"secret"}"#));
    assert!(!shown.contains("secret"), "{shown}");
}
