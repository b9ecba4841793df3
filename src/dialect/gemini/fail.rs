//! Errors as Google writes them, in a stream or as an HTTP answer: an object with `error`, alone or in an array.

use std::time::Duration;

use serde_json::value::RawValue;

use super::fields::{Fields, elements, is_empty, text};
use crate::event::{Failed, FailureCode};

/// Longer messages are cut: they are for people.
const MESSAGE_BYTES_MAX: usize = 4096;

/// The longest wait that is believed.
const RETRY_SECONDS_MAX: f64 = 86_400.0;

/// The failure that an HTTP error means: the answer's status and its body.
pub fn failure(status: u16, body: &[u8]) -> Failed {
    let body = payload(body);
    let mut failed = match serde_json::from_slice::<&RawValue>(body) {
        Ok(raw) => read(raw),
        Err(_) => failed(plain(body)),
    };
    failed.status = status;
    failed
}

/// When trying again can help: `RetryInfo` in the error's details.
pub fn retry_after(body: &[u8]) -> Option<Duration> {
    let raw = serde_json::from_slice::<&RawValue>(payload(body)).ok()?;
    let error = Fields::of(elements(raw).first()?)?.object("error")?;
    error.list("details").into_iter().find_map(|detail| {
        let delay = Fields::of(detail)?.text("retryDelay")?;
        let seconds: f64 = delay.strip_suffix('s')?.parse().ok()?;
        (0.0..=RETRY_SECONDS_MAX).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
    })
}

/// Whether Google's SDKs raise an error on this payload: on nothing but an `error` with something in it.
pub fn tells_failure(data: &[u8]) -> bool {
    let raw = serde_json::from_slice::<&RawValue>(data).ok();
    raw.is_some_and(|raw| elements(raw).into_iter().any(|raw| error(raw).is_some()))
}

/// The `error` of an object, if there is something in it.
pub(super) fn error(raw: &RawValue) -> Option<&RawValue> {
    Fields::of(raw)?.get("error").filter(|error| !is_empty(error))
}

/// The failure that an error means; `raw` is the error or what holds it.
pub(super) fn read(raw: &RawValue) -> Failed {
    let Some(&first) = elements(raw).first() else { return failed(None) };
    // Not deeper: nobody may nest errors without end.
    let error = error(first).unwrap_or(first);
    let Some(error) = Fields::of(error) else { return failed(text(error)) };
    let message = error.text("message").filter(|text| !text.is_empty());
    let mut found = failed(message.or_else(|| error.text("status")));
    let code = error.count("code").filter(|code| (400..600).contains(code));
    found.status = code.and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
    found
}

/// A failure in the provider's words, or in ours where it has none.
pub(super) fn failed(message: Option<String>) -> Failed {
    let message = message.filter(|text| !text.is_empty());
    let mut message =
        message.unwrap_or_else(|| "the provider reported an error without a message".to_owned());
    message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
    Failed::new(FailureCode::UpstreamError, message)
}

/// Asked for SSE, Google frames even the body of an HTTP error as an event.
fn payload(body: &[u8]) -> &[u8] {
    let body = body.trim_ascii();
    body.strip_prefix(b"data:").unwrap_or(body).trim_ascii()
}

/// A body that is not JSON, if people can read it: not a page of HTML.
fn plain(body: &[u8]) -> Option<String> {
    let text = str::from_utf8(body).ok()?;
    (!text.starts_with('<')).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: &str = r#"{"error":{"code":429,"message":"no","status":"RESOURCE_EXHAUSTED","details":[
        {"@type":"type.googleapis.com/google.rpc.Help"},
        {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.4s"}]}}"#;

    #[test]
    fn every_shape_gives_its_message() {
        for (body, message) in [
            (QUOTA.to_owned(), "no"),
            (format!("[{QUOTA}]"), "no"),
            (format!("data: {QUOTA}\r\n\r\n"), "no"),
            (r#"{"error":"no"}"#.to_owned(), "no"),
            (r#"{"error":{"status":"INTERNAL"}}"#.to_owned(), "INTERNAL"),
            ("no".to_owned(), "no"),
            ("<html>".to_owned(), "the provider reported an error without a message"),
            ("[]".to_owned(), "the provider reported an error without a message"),
        ] {
            let failed = failure(503, body.as_bytes());
            assert_eq!((&*failed.message, failed.status), (message, 503), "{body}");
        }
        assert_eq!(failure(400, "é".repeat(5000).as_bytes()).message.len(), MESSAGE_BYTES_MAX);
    }

    #[test]
    fn the_wait_is_in_the_details() {
        for body in [QUOTA.to_owned(), format!("[{QUOTA}]"), format!("data: {QUOTA}")] {
            assert_eq!(retry_after(body.as_bytes()), Some(Duration::from_millis(34_400)), "{body}");
        }
        for delay in ["-1s", "NaNs", "1e300s", "4", ""] {
            let body = QUOTA.replace("34.4s", delay);
            assert_eq!(retry_after(body.as_bytes()), None, "{delay}");
        }
        assert_eq!(retry_after(b"no"), None);
    }

    #[test]
    fn only_an_error_with_something_in_it_is_one() {
        assert!(tells_failure(QUOTA.as_bytes()));
        assert!(tells_failure(format!("[{QUOTA}]").as_bytes()));
        for no in [r#"{"error":null}"#, r#"{"error":{}}"#, r#"{"candidates":[]}"#, "x", "[]"] {
            assert!(!tells_failure(no.as_bytes()), "{no}");
        }
    }
}
