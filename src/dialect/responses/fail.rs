//! Errors: the provider's as failures, and failures in the words of OpenAI's SDKs.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    super::{Wire, openai},
    frame::{Raw, is_empty, number, read, text, word},
};
use crate::event::{Failed, FailureCode};

/// Longer messages are cut: they are for people.
const MESSAGE_BYTES_MAX: usize = 4096;

/// The number of a payload that tells of a failure where nobody counted. SDKs want one, it must be above every other, and
/// an app that goes on from it is to be told nothing twice.
const LAST: u32 = i32::MAX.cast_unsigned();

#[derive(Default, Deserialize)]
#[serde(default)]
struct Body<'a> {
    #[serde(borrow)]
    error: Raw<'a>,
    #[serde(borrow)]
    message: Raw<'a>,
    #[serde(borrow)]
    code: Raw<'a>,
    #[serde(borrow, rename = "type")]
    kind: Raw<'a>,
    #[serde(borrow)]
    status: Raw<'a>,
    #[serde(borrow)]
    status_code: Raw<'a>,
}

/// The failure that an HTTP error means: the answer's status and its body.
pub fn failure(status: u16, body: &[u8]) -> Failed {
    openai::failure(status, body)
}

/// The failure that an error within a stream means, nested or flat.
pub(super) fn of_error(raw: Raw<'_>) -> Failed {
    let outer: Body<'_> = read(raw);
    let body = match outer.error.filter(|inner| !is_empty(inner)) {
        Some(inner) if inner.get().starts_with('"') => {
            return failed(&text(Some(inner)).unwrap_or_default(), 0);
        }
        Some(inner) => read(Some(inner)),
        None => outer,
    };
    let code = word(body.code);
    let numbers = [body.status, body.status_code, body.code].into_iter().find_map(number);
    let number = numbers.filter(|n| (400..600).contains(n)).and_then(|n| u16::try_from(n).ok());
    let status = number.unwrap_or_else(|| status(&code, &word(body.kind)));
    let said = text(body.message).or_else(|| text(body.code));
    failed(said.as_deref().unwrap_or("the provider reported an error without a message"), status)
}

pub(super) fn failed(message: &str, status: u16) -> Failed {
    let message = &message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)];
    Failed { status, ..Failed::new(FailureCode::UpstreamError, message) }
}

/// The HTTP status that an error would have had before the stream began.
fn status(code: &str, kind: &str) -> u16 {
    match (code, kind) {
        ("rate_limit_exceeded" | "insufficient_quota", _) | (_, "insufficient_quota") => 429,
        ("server_error", _) | (_, "server_error") => 500,
        ("invalid_prompt", _) | (_, "invalid_request_error") => 400,
        _ => 0,
    }
}

/// Whether an app's SDK raises an error on this payload, or is told that the response failed.
pub fn tells_failure(data: &[u8]) -> bool {
    let body: Body<'_> = serde_json::from_slice(data).unwrap_or_default();
    body.error.is_some_and(|error| !is_empty(error))
        || matches!(&*word(body.kind), "error" | "response.failed" | "response.cancelled")
}

/// The `code` of a response's `error`: a word of the SDKs' closed list.
pub(super) fn code(failed: &Failed) -> &'static str {
    match failed.status {
        429 => "rate_limit_exceeded",
        400 => "invalid_prompt",
        _ => "server_error",
    }
}

/// The failure's text; never empty, because an SDK would then say something of its own.
pub(super) fn message(failed: &Failed) -> &str {
    match failed.message.as_str() {
        "" => failed.code.as_str(),
        message => message,
    }
}

/// The payload that tells an app within its stream that the generation failed, where no encoder runs.
pub fn error_wire(failed: &Failed) -> Wire {
    error_wire_at(failed, LAST)
}

/// The same with the number that follows the stream's last one, for those who counted.
pub fn error_wire_at(failed: &Failed, sequence_number: u32) -> Wire {
    #[derive(Serialize)]
    struct Payload<'a> {
        r#type: &'static str,
        sequence_number: u32,
        // Flat in the SDKs' types, nested on OpenAI's own wire: each reader finds its own.
        code: &'a str,
        message: &'a str,
        param: Option<()>,
        error: Box<RawValue>,
    }
    #[derive(Deserialize)]
    struct Chat {
        error: Box<RawValue>,
    }
    let chat: Chat = serde_json::from_slice(&openai::error_payload(failed)).expect("our own JSON");
    let (code, message) = (failed.code.as_str(), message(failed));
    let error = chat.error;
    let payload = Payload { r#type: "error", sequence_number, code, message, param: None, error };
    let data = serde_json::to_vec(&payload).expect("strings become JSON");
    Wire { name: "error", data: data.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, message: &str, status: u16) {
        let raw: &RawValue = serde_json::from_str(json).expect(json);
        let failed = of_error(Some(raw));
        assert_eq!((&*failed.message, failed.status), (message, status), "{json}");
        assert_eq!(failed.code, FailureCode::UpstreamError);
    }

    #[test]
    fn an_error_is_read_nested_or_flat() {
        check(
            r#"{"type":"error","error":{"type":"insufficient_quota","code":"insufficient_quota","message":"no"}}"#,
            "no",
            429,
        );
        check(r#"{"type":"error","code":"server_error","message":"no","param":null}"#, "no", 500);
        check(r#"{"error":"no"}"#, "no", 0);
        check(r#"{"code":503,"message":"no"}"#, "no", 503);
        check(r#"{"code":"odd"}"#, "odd", 0);
        check("{}", "the provider reported an error without a message", 0);
    }

    #[test]
    fn a_failure_is_told_in_both_shapes_and_told_as_one() {
        let failed = Failed { status: 429, ..Failed::new(FailureCode::UpstreamError, "slow down") };
        let wire = error_wire_at(&failed, 7);
        assert_eq!(wire.name, "error");
        let json: serde_json::Value = serde_json::from_slice(&wire.data).expect("JSON");
        assert_eq!(json["message"], "slow down");
        assert_eq!(json["error"]["message"], "slow down");
        assert_eq!(json["sequence_number"], 7);
        assert!(tells_failure(&wire.data));
        assert!(!tells_failure(br#"{"type":"response.created","error":null}"#));
        assert!(tells_failure(br#"{"type":"response.failed","response":{}}"#));
        assert!(!tells_failure(b"[DONE]"));
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        assert_eq!(failed(&"é".repeat(5000), 0).message.len(), MESSAGE_BYTES_MAX);
    }
}
