use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn read(body: &str) -> Result<Request, BadRequest> {
    Request::read(Bytes::copy_from_slice(body.as_bytes()))
}

fn upstream(body: &str, streaming: Streaming) -> String {
    let request = read(body).expect(body);
    String::from_utf8(request.upstream("up/model", streaming).body.to_vec()).expect("UTF-8")
}

#[test]
fn what_is_not_changed_keeps_its_bytes() {
    assert_eq!(
        upstream(
            "{ \"model\" : \"fast\",\n  \"seed\": 21515812692109560001, \"t\": 1.10 }\n",
            Streaming::AsAsked
        ),
        "{ \"model\" : \"up/model\",\n  \"seed\": 21515812692109560001, \"t\": 1.10 }\n"
    );
}

#[test]
fn usage_is_asked_for_in_every_stream() {
    assert_eq!(
        upstream(r#"{"model":"fast","stream":true,"n":1}"#, Streaming::AsAsked),
        r#"{"model":"up/model","stream":true,"n":1,"stream_options":{"include_usage":true}}"#
    );
    assert_eq!(
        upstream(r#"{"stream_options":{"x":1},"model":"fast","stream":true}"#, Streaming::AsAsked),
        r#"{"stream_options":{"x":1,"include_usage":true},"model":"up/model","stream":true}"#
    );
    assert_eq!(
        upstream(
            r#"{"stream_options":{"include_usage":false, "x":1},"model":"f","stream":true}"#,
            Streaming::AsAsked
        ),
        r#"{"stream_options":{"include_usage":true, "x":1},"model":"up/model","stream":true}"#
    );
    for empty in ["null", "{ }"] {
        let body = format!(r#"{{"model":"f","stream":true,"stream_options":{empty}}}"#);
        let sent: Value = serde_json::from_str(&upstream(&body, Streaming::AsAsked)).expect("JSON");
        assert_eq!(sent["stream_options"], json!({"include_usage": true}), "{body}");
    }
}

#[test]
fn a_detached_call_streams_whatever_was_asked() {
    assert_eq!(
        upstream(r#"{"model":"fast"}"#, Streaming::Always),
        r#"{"model":"up/model","stream":true,"stream_options":{"include_usage":true}}"#
    );
    assert_eq!(
        upstream(r#"{"model":"fast","stream":false}"#, Streaming::Always),
        r#"{"model":"up/model","stream":true,"stream_options":{"include_usage":true}}"#
    );
}

#[test]
fn a_request_that_needs_no_edit_is_not_copied() {
    let request = read(r#"{"model":"up/model"}"#).expect("a request");
    assert_eq!(
        request.upstream("up/model", Streaming::AsAsked).body.as_ptr(),
        request.body.bytes().as_ptr()
    );
    assert!(!request.streams() && !request.asks_usage());
}

#[test]
fn errors_say_what_is_wrong_and_where() {
    for (body, expected) in [
        ("", "the body is not JSON: EOF while parsing a value (line 1, column 0)"),
        ("{\"model\":\n  nope}", "the body is not JSON: expected ident (line 2, column 4)"),
        ("{\"model\":\"a\"} x", "the body is not JSON: trailing characters (line 1, column 15)"),
        ("[1]", "$ must be a JSON object (line 1, column 0)"),
        ("{}", "$.model is missing: name the model"),
        ("{\n \"model\": 7}", "$.model must be a string (line 2, column 11)"),
        ("{\"model\":\"\"}", "$.model must be a string (line 1, column 10)"),
        ("{\"model\":\"a\",\n\"model\":\"b\"}", "$.model is there twice (line 2, column 9)"),
        ("{\"model\":\"a\",\"m\\u006fdel\":\"b\"}", "$.model is there twice (line 1, column 27)"),
        ("{\"model\":\"a\",\"stream\":1}", "$.stream must be true or false (line 1, column 23)"),
        (
            "{\"model\":\"a\",\"stream_options\":[]}",
            "$.stream_options must be an object (line 1, column 31)",
        ),
        (
            "{\"model\":\"a\",\"stream_options\":{\"include_usage\":1}}",
            "$.stream_options.include_usage must be true or false (line 1, column 48)",
        ),
        (
            "{\"model\":\"a\",\"stream_options\":{\"x\":1,\"x\":2}}",
            "$.stream_options.x is there twice (line 1, column 42)",
        ),
    ] {
        assert_eq!(read(body).expect_err(body).to_string(), expected, "{body}");
    }
}

proptest! {
    #[test]
    fn an_edited_body_differs_in_nothing_else(
        others in prop::collection::btree_map("[a-zé\"\\\\]{1,6}", "[ -~é]{0,9}", 0..5),
        stream: Option<bool>,
        usage: Option<bool>,
        pretty: bool,
    ) {
        let mut body = json!({ "model": "fast", "others": others });
        if let Some(stream) = stream {
            body["stream"] = stream.into();
        }
        if let Some(usage) = usage {
            body["stream_options"] = json!({ "include_usage": usage, "kept": 1 });
        }
        let written = if pretty { format!("{body:#}") } else { body.to_string() };
        let sent: Value = serde_json::from_str(&upstream(&written, Streaming::Always)).expect("JSON");
        body["model"] = "up/model".into();
        body["stream"] = true.into();
        body["stream_options"]["include_usage"] = true.into();
        prop_assert_eq!(sent, body);
    }
}
