//! Errors as providers write them, in a stream or as an HTTP answer: an object, a string, flat, or in an array.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::chunk::{Number, Text, is_empty};
use crate::event::{Failed, FailureCode};

/// Longer messages are cut: they are for people.
const MESSAGE_BYTES_MAX: usize = 4096;

#[derive(Default, Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Text<'a>,
    /// FastAPI servers.
    #[serde(borrow, default)]
    detail: Text<'a>,
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default, rename = "code")]
    word: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    status_code: Number,
    status: Number,
    raw_status_code: Number,
    http_code: Number,
    code: Number,
}

/// The failure that an HTTP error means: the answer's status and its body.
pub fn failure(status: u16, body: &[u8]) -> Failed {
    let mut failed = match serde_json::from_slice::<&RawValue>(body) {
        Ok(raw) => read(raw),
        Err(_) => failed(plain(body)),
    };
    failed.status = status;
    failed
}

/// How deep an error is looked for within errors and lists: deeper ones are nobody's, and each costs stack.
const DEPTH_MAX: usize = 4;

/// The failure that an error within a stream means; `raw` is the error or what holds it.
pub(super) fn read(raw: &RawValue) -> Failed {
    read_at(raw, 0)
}

fn read_at(raw: &RawValue, depth: usize) -> Failed {
    let text = raw.get();
    if depth > DEPTH_MAX {
        return failed(None);
    }
    if text.starts_with('[') {
        let first =
            serde_json::from_str::<Vec<&RawValue>>(text).ok().and_then(|all| all.first().copied());
        return first.map_or_else(|| failed(None), |first| read_at(first, depth + 1));
    }
    if text.starts_with('"') {
        return failed(serde_json::from_str::<Text<'_>>(text).ok().and_then(Text::some));
    }
    let body: Body<'_> = serde_json::from_str(text).unwrap_or_default();
    let status: Status = serde_json::from_str(text).unwrap_or_default();
    let mut found = match body.error.filter(|error| !is_empty(error)) {
        Some(inner) => read_at(inner, depth + 1),
        None => {
            let said = [body.message, body.detail, body.kind, body.word];
            failed(said.into_iter().find_map(Text::some))
        }
    };
    let numbers =
        [status.status_code, status.status, status.raw_status_code, status.http_code, status.code];
    let status = numbers.into_iter().filter_map(|n| n.0).find(|n| (400..600).contains(n));
    if found.status == 0 {
        found.status = status.and_then(|status| u16::try_from(status).ok()).unwrap_or(0);
    }
    found
}

/// The failure that an error within a stream means, where it need not be JSON.
pub(super) fn read_bytes(data: &[u8]) -> Failed {
    match serde_json::from_slice::<&RawValue>(data) {
        Ok(raw) => read(raw),
        Err(_) => failed(plain(data)),
    }
}

/// A failure in the provider's words, or in ours where it has none.
pub(super) fn failed(message: Option<Cow<'_, str>>) -> Failed {
    let message = message.as_deref().unwrap_or("the provider reported an error without a message");
    let message = &message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)];
    Failed::new(FailureCode::UpstreamError, message)
}

/// A body that is not JSON, if people can read it: not a page of HTML.
fn plain(body: &[u8]) -> Option<Cow<'_, str>> {
    let text = str::from_utf8(body).ok()?.trim();
    (!text.is_empty() && !text.starts_with('<')).then_some(Cow::Borrowed(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, message: &str, status: u16) {
        let failed = read_bytes(body.as_bytes());
        assert_eq!((&*failed.message, failed.status), (message, status), "{body}");
        assert_eq!(failed.code, FailureCode::UpstreamError);
    }

    #[test]
    fn every_shape_gives_its_message_and_status() {
        check(r#"{"error":{"message":"no","type":"t","code":"c"}}"#, "no", 0);
        check(r#"{"error":{"code":429,"message":"no"}}"#, "no", 429);
        check(
            r#"{"error":{"message":"no","code":"tool_use_failed","status_code":400}}"#,
            "no",
            400,
        );
        check(r#"{"error":"no"}"#, "no", 0);
        check(
            r#"{"object":"error","message":"no","type":"t","code":"3051","raw_status_code":400}"#,
            "no",
            400,
        );
        check(r#"{"error":"no","status":503}"#, "no", 503);
        check(r#"[{"error":{"code":404,"message":"no"}}]"#, "no", 404);
        check(r#"{"detail":"no"}"#, "no", 0);
        check(r#""no""#, "no", 0);
        check("no\n", "no", 0);
        check("<html>", "the provider reported an error without a message", 0);
        check(r#"{"error":{"code":"overloaded"}}"#, "overloaded", 0);
    }

    #[test]
    fn an_answer_keeps_its_own_status() {
        assert_eq!(failure(502, br#"{"error":{"code":400,"message":"no"}}"#).status, 502);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let failed = read_bytes("é".repeat(5000).as_bytes());
        assert_eq!(failed.message.len(), MESSAGE_BYTES_MAX);
    }

    #[test]
    fn errors_nested_without_end_cost_neither_the_stack_nor_time() {
        let levels = 200_000;
        for (open, close) in [("{\"error\":", "}"), ("[", "]")] {
            let body = format!("{}\"no\"{}", open.repeat(levels), close.repeat(levels));
            let failed = failure(500, body.as_bytes());
            assert_eq!((failed.code, failed.status), (FailureCode::UpstreamError, 500));
            assert_eq!(failed.message, "the provider reported an error without a message");
        }
    }
}
