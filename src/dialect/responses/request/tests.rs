use serde_json::{Value, json};

use super::*;
use crate::dialect::{Dialect, Sealed, seal};

fn request(body: &Value) -> Request {
    Request::read(body.to_string().into()).expect("good")
}

fn upstream(body: &str, streaming: Streaming) -> String {
    let request = Request::read(Bytes::copy_from_slice(body.as_bytes())).expect(body);
    let upstream = request.upstream("theirs", streaming);
    assert_eq!(upstream.path, "/responses");
    String::from_utf8(upstream.body.to_vec()).expect("UTF-8")
}

#[test]
fn what_must_be_known_is_read() {
    let body = json!({"model":"m","stream":true,"background":true,"store":false,"previous_response_id":"resp_1","input":"x"});
    let request = request(&body);
    assert_eq!((request.model(), request.streams(), request.background()), ("m", true, true));
    assert_eq!((request.stores(), request.previous_response_id()), (false, Some("resp_1")));
    assert!(!request.conversation());
    assert_eq!(request.asked().request, body.to_string());
}

#[test]
fn what_is_left_out_or_null_has_its_default() {
    for body in [
        json!({"model":"m"}),
        json!({"model":"m","stream":null,"store":null,"previous_response_id":null}),
    ] {
        let request = request(&body);
        assert!(!request.streams() && !request.background() && request.stores());
        assert_eq!(request.previous_response_id(), None);
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (body, param) in [
        (json!({"input":"x"}), "model"),
        (json!({"model":"m","stream":"yes"}), "stream"),
        (json!({"model":"m","background":1}), "background"),
        (json!({"model":"m","previous_response_id":7}), "previous_response_id"),
    ] {
        let error = Request::read(body.to_string().into()).expect_err("bad");
        assert_eq!(error.param.as_deref(), Some(param));
    }
}

#[test]
fn between_like_and_like_only_what_must_be_is_edited() {
    let body =
        r#"{ "model" : "m", "input":[ {"role":"user","content":"x"} ], "x":9007199254740993.10 }"#;
    assert_eq!(upstream(body, Streaming::AsAsked), body.replace("\"m\"", "\"theirs\""));
    assert_eq!(
        upstream(r#"{"model":"theirs","input":"x"}"#, Streaming::Always),
        r#"{"model":"theirs","input":"x","stream":true}"#
    );
    // Work in the background is the gateway's own.
    assert_eq!(
        upstream(r#"{"model":"theirs","background":true}"#, Streaming::AsAsked),
        r#"{"model":"theirs","background":false,"stream":true}"#
    );
}

#[test]
fn thoughts_that_others_sealed_do_not_go_to_this_dialects_provider() {
    for what in [Sealed::Signature, Sealed::Encrypted] {
        let sealed = seal(Dialect::Anthropic, what, "x");
        assert!(sealed.as_bytes().starts_with(SEAL), "{sealed}");
        let body = json!({"model":"m","input":[
            {"type":"reasoning","summary":[],"encrypted_content":sealed},
            {"type":"reasoning","summary":[],"encrypted_content":"own"},
            {"role":"user","content":"x"}]});
        let upstream = request(&body).upstream("m", Streaming::AsAsked);
        assert_eq!(upstream.dropped.paths(), ["input[0]"]);
        let sent: Value = serde_json::from_slice(&upstream.body).expect("JSON");
        assert_eq!(sent["input"].as_array().map(Vec::len), Some(2));
        assert_eq!(sent["input"][0]["encrypted_content"], "own");
    }
}

#[test]
fn earlier_turns_come_before_its_own_input() {
    let previous: Vec<Box<RawValue>> = [r#"{"role":"user","content":"a"}"#, r#"{"n": 1.10}"#]
        .map(|item| RawValue::from_string(item.to_owned()).expect("JSON"))
        .into();
    let body = r#"{"model":"m","previous_response_id":"resp_1","input":"b\u00e9"}"#;
    let request = Request::read(Bytes::from_static(body.as_bytes())).expect("good");
    let whole = request.with_input(&previous);
    assert_eq!(
        whole.upstream("m", Streaming::AsAsked).body,
        r#"{"model":"m","previous_response_id":null,"input":[{"role":"user","content":"a"},{"n": 1.10},{"role":"user","content":"b\u00e9"}]}"#
    );
    assert_eq!((whole.previous_response_id(), whole.items().len()), (None, 3));
    assert!(whole.call().is_err(), "an item without a type or role is none");
    let none = Request::read(Bytes::from_static(br#"{"model":"m"}"#)).expect("good");
    assert_eq!(none.with_input(&previous[..1]).call().expect("good").turns.len(), 1);
}
