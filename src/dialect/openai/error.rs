//! The gateway's own errors, in the shape on which OpenAI's SDKs raise their exception types.
//!
//! The SDKs choose the exception by the HTTP status; `type` and `code` are for people and retry logic.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{super::ErrorBody, chunk::is_empty};
use crate::event::{Failed, FailureCode};

#[derive(Serialize)]
struct Envelope<'a> {
    error: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

/// The JSON body of an answer with this HTTP status.
pub fn error_body(status: u16, error: ErrorBody<'_>) -> Bytes {
    let (kind, code) = words(status);
    let ErrorBody { message, param, code: given, .. } = error;
    write(Inner { message, r#type: kind, param, code: given.or(code) })
}

/// The payload that tells an app within its stream that the generation failed. No `[DONE]` follows it.
pub fn error_payload(failed: &Failed) -> Bytes {
    let kind = match failed.code {
        FailureCode::UpstreamError if failed.status != 0 => words(failed.status).0,
        _ => "server_error",
    };
    let message = match failed.message.as_str() {
        "" => failed.code.as_str(),
        message => message,
    };
    write(Inner { message, r#type: kind, param: None, code: Some(failed.code.as_str()) })
}

/// Whether OpenAI's SDKs raise an error on this payload: on nothing but an `error` with something in it.
pub fn tells_failure(data: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Payload<'a> {
        #[serde(borrow)]
        error: Option<&'a RawValue>,
    }
    let payload = serde_json::from_slice::<Payload<'_>>(data);
    payload.is_ok_and(|payload| payload.error.is_some_and(|error| !is_empty(error)))
}

fn write(error: Inner<'_>) -> Bytes {
    serde_json::to_vec(&Envelope { error }).expect("strings become JSON").into()
}

/// OpenAI's `type`, and its `code` where it always gives the same.
fn words(status: u16) -> (&'static str, Option<&'static str>) {
    match status {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        403 => ("request_forbidden", None),
        408 => ("timeout", None),
        429 => ("requests", Some("rate_limit_exceeded")),
        500.. => ("server_error", None),
        _ => ("invalid_request_error", None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_openais_four_members() {
        let body =
            |status, error| String::from_utf8(error_body(status, error).to_vec()).expect("JSON");
        let error = ErrorBody { message: "say \"no\"", ..ErrorBody::default() };
        assert_eq!(
            body(401, error),
            r#"{"error":{"message":"say \"no\"","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#
        );
        let error = ErrorBody {
            message: "no",
            param: Some("model"),
            code: Some("model_not_found"),
            retry_after: None,
        };
        assert_eq!(
            body(404, error),
            r#"{"error":{"message":"no","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#
        );
        for status in [400, 403, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529] {
            let kind = words(status).0;
            assert!(body(status, error).contains(&format!("\"type\":\"{kind}\"")), "{status}");
        }
    }

    #[test]
    fn a_failure_within_a_stream_is_never_empty() {
        let failed = Failed::new(FailureCode::Timeout, "");
        assert_eq!(
            &error_payload(&failed)[..],
            br#"{"error":{"message":"timeout","type":"server_error","param":null,"code":"timeout"}}"#
        );
    }
}
