//! Errors as Ollama writes them: a string, in a line of the stream or as the body of an HTTP error.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::{Failed, FailureCode};

/// Longer messages are cut: they are for people.
const MESSAGE_BYTES_MAX: usize = 4096;

#[derive(Default, Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// Servers that imitate it, and its own other dialect, have an object.
#[derive(Default, Deserialize)]
struct Nested<'a> {
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
}

/// The failure that an HTTP error means: the answer's status and its body.
pub fn failure(status: u16, body: &[u8]) -> Failed {
    let read: Body<'_> = serde_json::from_slice(body).unwrap_or_default();
    let mut failed = match read.error {
        Some(error) => of(error),
        None => {
            let plain = str::from_utf8(body).map(str::trim).ok();
            said(plain.filter(|text| !text.is_empty() && !text.starts_with(['<', '{', '['])))
        }
    };
    failed.status = status;
    failed
}

/// Whether an SDK raises an error on this payload.
pub fn tells_failure(data: &[u8]) -> bool {
    let read: Body<'_> = serde_json::from_slice(data).unwrap_or_default();
    read.error.is_some_and(is_error)
}

/// Whether the value of `error` is one.
pub(super) fn is_error(error: &RawValue) -> bool {
    !matches!(error.get(), "null" | "\"\"")
}

/// The failure that the value of `error` means.
pub(super) fn of(error: &RawValue) -> Failed {
    if let Ok(text) = serde_json::from_str::<Cow<'_, str>>(error.get()) {
        return said(Some(&*text).filter(|text| !text.is_empty()));
    }
    let nested: Nested<'_> = serde_json::from_str(error.get()).unwrap_or_default();
    said(nested.message.as_deref())
}

/// A payload that is not what it should be. Where, and not what: the library would quote the text.
pub(super) fn unreadable(error: &serde_json::Error) -> Failed {
    let column = error.column();
    // A line that lacks its rest is the last one of a stream that broke off.
    if error.is_eof() && column > 0 {
        let message = format!("the provider's stream broke off within a line (column {column})");
        return Failed::new(FailureCode::UpstreamCut, message);
    }
    let message = format!("the provider sent a payload that cannot be read (column {column})");
    Failed::new(FailureCode::UpstreamError, message)
}

fn said(message: Option<&str>) -> Failed {
    let message = message.unwrap_or("the provider reported an error without a message");
    let message = &message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)];
    Failed::new(FailureCode::UpstreamError, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_gives_its_message_and_the_answers_status() {
        for (body, message) in [
            (r#"{"error":"model 'x' not found"}"#, "model 'x' not found"),
            (r#"{"error":{"message":"no","type":"t"}}"#, "no"),
            ("404 page not found\n", "404 page not found"),
            (r#"{"error":""}"#, "the provider reported an error without a message"),
            ("<html>", "the provider reported an error without a message"),
        ] {
            let failed = failure(404, body.as_bytes());
            assert_eq!((&*failed.message, failed.status), (message, 404), "{body}");
            assert_eq!(failed.code, FailureCode::UpstreamError);
        }
        assert_eq!(failure(500, "é".repeat(5000).as_bytes()).message.len(), MESSAGE_BYTES_MAX);
    }

    #[test]
    fn only_an_error_tells_a_failure() {
        assert!(tells_failure(br#"{"error":"no"}"#));
        assert!(!tells_failure(br#"{"error":null,"message":{"content":"error"}}"#));
        assert!(!tells_failure(b"error"));
    }
}
