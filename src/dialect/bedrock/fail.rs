//! Errors as Bedrock writes them: exceptions in a stream, and HTTP errors with a message for a body.

use std::borrow::Cow;

use serde::Deserialize;

use crate::event::{Failed, FailureCode};

/// Longer messages are cut: they are for people.
const MESSAGE_BYTES_MAX: usize = 4096;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
    /// As some of Amazon's fronts write it.
    #[serde(borrow, rename = "Message")]
    capital_message: Option<Cow<'a, str>>,
    /// The model's own words, where Bedrock has none.
    #[serde(borrow)]
    original_message: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "__type")]
    kind: Option<Cow<'a, str>>,
}

impl Body<'_> {
    fn said(&self) -> Option<&str> {
        let said = [&self.message, &self.capital_message, &self.original_message, &self.kind];
        said.into_iter().flatten().map(AsRef::as_ref).find(|text| !text.trim().is_empty())
    }
}

/// The failure that an HTTP error means: the answer's status and its body. What the error is called stands in a header
/// that is not seen here; the status says the same.
pub fn failure(status: u16, body: &[u8]) -> Failed {
    Failed { status, ..failed(body, None) }
}

/// Whether an SDK raises an error on this payload. No event of a good stream has a `message`.
pub fn tells_failure(data: &[u8]) -> bool {
    let body: Body<'_> = serde_json::from_slice(data).unwrap_or_default();
    body.message.or(body.capital_message).or(body.original_message).is_some()
}

/// The failure that an exception (or error) within a stream means: its type, and its payload.
pub(super) fn exception(kind: &str, data: &[u8]) -> Failed {
    Failed { status: status(kind), ..failed(data, Some(kind)) }
}

/// A payload that is not what it should be. Where, and not what: the library would quote the text.
pub(super) fn unreadable(error: &serde_json::Error) -> Failed {
    let column = error.column();
    let message = format!("the provider sent a payload that cannot be read (column {column})");
    Failed::new(FailureCode::UpstreamError, message)
}

fn failed(body: &[u8], kind: Option<&str>) -> Failed {
    let read: Body<'_> = serde_json::from_slice(body).unwrap_or_default();
    let plain = str::from_utf8(body).map(str::trim).ok();
    let plain = plain.filter(|text| !text.is_empty() && !text.starts_with(['<', '{', '[']));
    let message = read.said().or(plain).or(kind);
    let message = message.unwrap_or("the provider reported an error without a message");
    let message = &message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)];
    Failed::new(FailureCode::UpstreamError, message)
}

/// The status with which the error would have come instead of a stream; 0 if nobody knows.
fn status(kind: &str) -> u16 {
    match kind.to_ascii_lowercase().trim_end_matches("exception") {
        "validation" | "servicequotaexceeded" => 400,
        "accessdenied" => 403,
        "resourcenotfound" => 404,
        "modeltimeout" => 408,
        "modelstreamerror" | "modelerror" => 424,
        "throttling" | "modelnotready" => 429,
        "internalserver" | "internalfailure" | "internalservererror" => 500,
        "serviceunavailable" => 503,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_gives_its_message_and_the_status_of_its_type() {
        for (kind, status) in [
            ("internalServerException", 500),
            ("modelStreamErrorException", 424),
            ("validationException", 400),
            ("throttlingException", 429),
            ("modelTimeoutException", 408),
            ("serviceUnavailableException", 503),
            ("ServiceUnavailableException", 503),
            ("InternalFailure", 500),
            ("somethingNewException", 0),
        ] {
            let failed = exception(kind, br#"{"message":"no","originalStatusCode":500}"#);
            assert_eq!((&*failed.message, failed.status), ("no", status), "{kind}");
            assert_eq!(failed.code, FailureCode::UpstreamError);
        }
        let model = br#"{"message":"","originalStatusCode":529,"originalMessage":"busy"}"#;
        assert_eq!(exception("modelStreamErrorException", model).message, "busy");
        assert_eq!(exception("throttlingException", b"").message, "throttlingException");
    }

    #[test]
    fn every_body_of_an_http_error_gives_its_message() {
        for (body, message) in [
            (r#"{"message":"no"}"#, "no"),
            (r#"{"Message":"no"}"#, "no"),
            (r#"{"__type":"UnrecognizedClientException","message":"no"}"#, "no"),
            (r#"{"__type":"UnknownOperationException"}"#, "UnknownOperationException"),
            ("no\n", "no"),
            ("<html>", "the provider reported an error without a message"),
            ("{}", "the provider reported an error without a message"),
        ] {
            let failed = failure(403, body.as_bytes());
            assert_eq!((&*failed.message, failed.status), (message, 403), "{body}");
        }
        assert_eq!(failure(400, "é".repeat(5000).as_bytes()).message.len(), MESSAGE_BYTES_MAX);
    }

    #[test]
    fn only_an_error_tells_a_failure() {
        assert!(tells_failure(br#"{"message":"Too many tokens"}"#));
        assert!(!tells_failure(br#"{"role":"assistant","p":"abc"}"#));
        assert!(!tells_failure(br#"{"contentBlockIndex":0,"delta":{"text":"message"}}"#));
        assert!(!tells_failure(b"no"));
    }
}
