//! The gateway's own errors, in the shape on which Google's SDKs raise their exception types.

use bytes::Bytes;
use serde::Serialize;

use super::super::{ErrorBody, Wire};
use crate::event::{Failed, FailureCode};

#[derive(Serialize)]
struct Envelope<'a> {
    error: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    code: u16,
    message: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Detail<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "@type")]
enum Detail<'a> {
    #[serde(rename = "type.googleapis.com/google.rpc.ErrorInfo")]
    Info { reason: &'a str, domain: &'static str },
    #[serde(rename = "type.googleapis.com/google.rpc.BadRequest", rename_all = "camelCase")]
    Fields { field_violations: [Violation<'a>; 1] },
    #[serde(rename = "type.googleapis.com/google.rpc.RetryInfo", rename_all = "camelCase")]
    Retry { retry_delay: String },
}

#[derive(Serialize)]
struct Violation<'a> {
    field: &'a str,
    description: &'a str,
}

/// Who speaks in an `ErrorInfo`.
const DOMAIN: &str = "tokenway";

/// The JSON body of an answer with this HTTP status.
pub fn error_body(status: u16, error: ErrorBody<'_>) -> Bytes {
    let ErrorBody { message, param, code, retry_after } = error;
    let info = code.map(|reason| Detail::Info { reason, domain: DOMAIN });
    let field = param.map(|field| Detail::Fields {
        field_violations: [Violation { field, description: message }],
    });
    let retry = retry_after.map(|seconds| Detail::Retry { retry_delay: format!("{seconds}s") });
    write(status, message, info.into_iter().chain(field).chain(retry).collect())
}

/// The payload that tells an app within its stream that the generation failed. Nothing follows it.
pub fn error_wire(failed: &Failed) -> Wire {
    let word = failed.code.as_str();
    let message = if failed.message.is_empty() { word } else { &failed.message };
    let detail = Detail::Info { reason: word, domain: DOMAIN };
    Wire::unnamed(write(status(failed), message, vec![detail]))
}

/// The HTTP status that a failure would have had.
fn status(failed: &Failed) -> u16 {
    match (failed.status, failed.code) {
        (400.., _) => failed.status,
        // Google's own for a call whose caller has gone.
        (_, FailureCode::Cancelled) => 499,
        (_, FailureCode::Timeout) => 504,
        (_, FailureCode::Limit) => 429,
        (_, FailureCode::GatewayLost | FailureCode::UpstreamCut) => 503,
        (_, FailureCode::UpstreamError) => 500,
    }
}

fn write(code: u16, message: &str, details: Vec<Detail<'_>>) -> Bytes {
    let error = Inner { code, message, status: word(code), details };
    serde_json::to_vec(&Envelope { error }).expect("strings become JSON").into()
}

/// Google's word for a status (google/rpc/code.proto).
fn word(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        408 | 504 => "DEADLINE_EXCEEDED",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        500 => "INTERNAL",
        501 => "UNIMPLEMENTED",
        502 | 503 | 529 => "UNAVAILABLE",
        400..=499 => "INVALID_ARGUMENT",
        _ => "UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_googles_members() {
        let body =
            |status, error| String::from_utf8(error_body(status, error).to_vec()).expect("JSON");
        let error = ErrorBody { message: "say \"no\"", ..ErrorBody::default() };
        assert_eq!(
            body(401, error),
            r#"{"error":{"code":401,"message":"say \"no\"","status":"UNAUTHENTICATED"}}"#
        );
        let error = ErrorBody {
            message: "no",
            param: Some("contents"),
            code: Some("bad"),
            retry_after: None,
        };
        assert_eq!(
            body(400, error),
            r#"{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"bad","domain":"tokenway"},{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"contents","description":"no"}]}]}}"#
        );
        assert!(body(529, error).contains("UNAVAILABLE"));
        let later = ErrorBody { message: "no", retry_after: Some(12), ..ErrorBody::default() };
        let later = body(429, later);
        assert!(
            later.ends_with(
                r#""details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"12s"}]}}"#
            ),
            "{later}"
        );
    }

    #[test]
    fn a_failure_within_a_stream_is_never_empty_and_has_a_status() {
        for (code, status) in [
            (FailureCode::Timeout, 504),
            (FailureCode::UpstreamCut, 503),
            (FailureCode::Limit, 429),
        ] {
            let wire = error_wire(&Failed::new(code, ""));
            let text = String::from_utf8(wire.data.to_vec()).expect("UTF-8");
            let start = format!(r#"{{"error":{{"code":{status},"message":"{}""#, code.as_str());
            assert!(text.starts_with(&start), "{text}");
            assert!(super::super::tells_failure(&wire.data));
        }
        let mut failed = Failed::new(FailureCode::UpstreamError, "no");
        failed.status = 429;
        let text = error_wire(&failed).data;
        assert!(text.starts_with(br#"{"error":{"code":429,"message":"no","status":"RESOURCE_EX"#));
    }
}
