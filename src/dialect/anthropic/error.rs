//! Errors in Anthropic's shape, read and written: `{"type":"error","error":{"type","message"}}`.
//!
//! The SDKs choose the exception by the HTTP status; within a stream, where the status was 200, the type is all there is.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::shapes::{Text, said};
use crate::{
    dialect::{ErrorBody, Wire},
    event::{Failed, FailureCode},
};

/// Longer messages are cut: they are for people.
const MESSAGE_BYTES_MAX: usize = 4096;

/// Anthropic's types and the statuses they come with. Of several types with one status the first is written.
const TYPES: [(&str, u16); 12] = [
    ("invalid_request_error", 400),
    ("authentication_error", 401),
    ("billing_error", 402),
    ("permission_error", 403),
    ("not_found_error", 404),
    ("conflict_error", 409),
    ("request_too_large", 413),
    ("rate_limit_error", 429),
    ("api_error", 500),
    ("timeout_error", 504),
    ("overloaded_error", 529),
    ("overloaded_error", 503),
];

/// The type for a status.
fn kind(status: u16) -> &'static str {
    let known = TYPES.iter().find(|(_, of)| *of == status).map(|(kind, _)| *kind);
    known.unwrap_or(match status {
        408 => "timeout_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    })
}

/// The status for a type; 0 where it is not known.
fn status(kind: &str) -> u16 {
    TYPES.iter().find(|(known, _)| *known == kind).map_or(0, |(_, status)| *status)
}

#[derive(Default, Deserialize)]
struct Read<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Text<'a>,
    /// Bedrock and others in front.
    #[serde(borrow, default, rename = "Message")]
    upper: Text<'a>,
    #[serde(borrow, default)]
    detail: Text<'a>,
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
}

/// The failure that an HTTP error means: the answer's status and its body.
pub fn failure(status: u16, body: &[u8]) -> Failed {
    Failed { status, ..read(body) }
}

/// The failure that an error within a stream means, with the status that its type stands for.
pub(super) fn read(body: &[u8]) -> Failed {
    let text = String::from_utf8_lossy(body);
    match serde_json::from_str::<&RawValue>(&text) {
        Ok(raw) => of_raw(raw, 0),
        Err(_) => failed(plain(&text), 0),
    }
}

/// How deep an error is looked for within errors.
const DEPTH_MAX: usize = 3;

fn of_raw(raw: &RawValue, depth: usize) -> Failed {
    if raw.get().starts_with('"') {
        return failed(&super::shapes::string(raw), 0);
    }
    let body: Read<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
    let status = status(body.kind.as_str());
    if let Some(inner) = said(body.error).filter(|_| depth < DEPTH_MAX) {
        let inner = of_raw(inner, depth + 1);
        return Failed { status: if inner.status == 0 { status } else { inner.status }, ..inner };
    }
    let said = [&body.message, &body.upper, &body.detail, &body.kind];
    failed(said.into_iter().map(Text::as_str).find(|text| !text.is_empty()).unwrap_or(""), status)
}

/// A failure in the provider's words, or in ours where it has none.
pub(super) fn failed(message: &str, status: u16) -> Failed {
    let message = match message {
        "" => "the provider reported an error without a message",
        message => &message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)],
    };
    Failed { status, ..Failed::new(FailureCode::UpstreamError, message) }
}

/// A body that is not JSON, if people can read it: not a page of HTML.
fn plain(text: &str) -> &str {
    let text = text.trim();
    if text.starts_with('<') || text.contains(char::REPLACEMENT_CHARACTER) { "" } else { text }
}

/// Whether Anthropic's SDKs raise an error on this payload.
pub fn tells_failure(data: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Payload<'a> {
        #[serde(borrow, default, rename = "type")]
        kind: Text<'a>,
    }
    serde_json::from_slice::<Payload<'_>>(data).is_ok_and(|it| it.kind.as_str() == "error")
}

#[derive(Serialize)]
struct Envelope<'a> {
    r#type: &'static str,
    error: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    r#type: &'a str,
    message: &'a str,
}

fn write(kind: &str, message: &str) -> Bytes {
    let envelope = Envelope { r#type: "error", error: Inner { r#type: kind, message } };
    serde_json::to_vec(&envelope).expect("strings become JSON").into()
}

/// The JSON body of an answer with this HTTP status. Anthropic has no member for the parameter that is wrong: it begins
/// the message.
pub fn error_body(status: u16, error: ErrorBody<'_>) -> Bytes {
    let ErrorBody { message, param, .. } = error;
    match param.filter(|param| !message.contains(param)) {
        Some(param) => write(kind(status), &format!("{param}: {message}")),
        None => write(kind(status), message),
    }
}

/// The payload that tells an app within its stream that the generation failed. Nothing follows it.
pub fn error_wire(failed: &Failed) -> Wire {
    let kind = match failed.code {
        FailureCode::UpstreamError if failed.status != 0 => kind(failed.status),
        FailureCode::Timeout => "timeout_error",
        _ => "api_error",
    };
    let message = match failed.message.as_str() {
        "" => failed.code.as_str(),
        message => message,
    };
    Wire { name: "error", data: write(kind, message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_gives_its_message_and_status() {
        for (body, message, status) in [
            (
                r#"{"type":"error","error":{"details":null,"type":"overloaded_error","message":"Overloaded"},"request_id":"r"}"#,
                "Overloaded",
                529,
            ),
            (r#"{"error":{"message":"model: x","type":"not_found_error"}}"#, "model: x", 404),
            (r#"{"type":"error","error":{"type":"rate_limit_error"}}"#, "rate_limit_error", 429),
            (r#"{"error":{"type":"of_tomorrow","message":"no"}}"#, "no", 0),
            (r#"{"error":"no"}"#, "no", 0),
            (r#"{"message":"no"}"#, "no", 0),
            ("no\n", "no", 0),
            ("<html>", "the provider reported an error without a message", 0),
            (r#"{"error":{"error":{"error":{"error":{}}}}}"#, "the provider reported", 0),
        ] {
            let failed = read(body.as_bytes());
            assert!(failed.message.starts_with(message), "{body}: {}", failed.message);
            assert_eq!(
                (failed.code, failed.status),
                (FailureCode::UpstreamError, status),
                "{body}"
            );
        }
        let body = br#"{"type":"error","error":{"type":"overloaded_error","message":"no"}}"#;
        assert_eq!(failure(502, body).status, 502, "an answer keeps its own status");
    }

    #[test]
    fn bodies_have_the_type_that_anthropic_gives_with_the_status() {
        for (status, kind) in [
            (400, "invalid_request_error"),
            (401, "authentication_error"),
            (402, "billing_error"),
            (403, "permission_error"),
            (404, "not_found_error"),
            (408, "timeout_error"),
            (409, "conflict_error"),
            (413, "request_too_large"),
            (422, "invalid_request_error"),
            (429, "rate_limit_error"),
            (500, "api_error"),
            (502, "api_error"),
            (503, "overloaded_error"),
            (504, "timeout_error"),
            (529, "overloaded_error"),
        ] {
            let error = ErrorBody { message: "no", ..ErrorBody::default() };
            let expected =
                format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"no"}}}}"#);
            assert_eq!(error_body(status, error), expected, "{status}");
        }
        let error = ErrorBody { message: "no", param: Some("tools[0]"), ..ErrorBody::default() };
        assert!(error_body(400, error).ends_with(br#""message":"tools[0]: no"}}"#));
        let error = ErrorBody { message: "`tools[0]` is wrong", ..error };
        assert!(error_body(400, error).ends_with(br#""message":"`tools[0]` is wrong"}}"#));
    }

    #[test]
    fn a_failure_within_a_stream_is_an_error_event_of_the_right_type() {
        let overloaded =
            Failed { status: 529, ..Failed::new(FailureCode::UpstreamError, "Overloaded") };
        let wire = error_wire(&overloaded);
        assert_eq!(wire.name, "error");
        assert_eq!(
            wire.data,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#
        );
        assert!(tells_failure(&wire.data));
        let cut = error_wire(&Failed::new(FailureCode::UpstreamCut, ""));
        assert_eq!(
            cut.data,
            r#"{"type":"error","error":{"type":"api_error","message":"upstream_cut"}}"#
        );
        assert!(!tells_failure(br#"{"type":"message_delta","delta":{"error":1}}"#));
    }
}
