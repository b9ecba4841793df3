//! What a setback means for the next attempt: whether, where and when another can help. Pure.
//!
//! | what came | the same target again | another target |
//! | --- | --- | --- |
//! | 408, 409, 425, 429, 5xx, 529; no connection; cut; an error in the stream | after a wait | then |
//! | no connection in time; no first token in time; silence | where there is no other | at once |
//! | 401, 402, 403: the operator's key; a 429 for want of money | only with another key | at once |
//! | 404: no such model there | no | at once |
//! | any other 4xx: the app's own fault | no | no |

use std::time::{Duration, UNIX_EPOCH};

use memchr::memmem;
use reqwest::header::HeaderMap;

use crate::{
    clock,
    dialect::Dialect,
    event::{Failed, FailureCode, TimeoutPhase},
    route::Outcome,
};

/// Why an attempt came to nothing, as far as the next one goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) remedy: Remedy,
    /// The same target may be well if it is asked with another key.
    pub(super) key: bool,
    /// How long the provider asks to be left alone.
    pub(super) after: Option<Duration>,
    /// For people, on the channel: a fact, without the provider's own words.
    pub(super) why: String,
    /// What it says of the target's health: one that refuses what is the app's own fault is well.
    pub(super) outcome: Outcome,
}

/// What helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// A short wait; or another target.
    Wait,
    /// Another target; the same one only where there is no other.
    Elsewhere,
    /// Another target; this one cannot answer this call.
    Never,
    /// Nothing: the app's call is at fault.
    Nowhere,
}

/// Words for an account without money or quota, which no wait mends.
const EXHAUSTED: [&str; 5] = [
    "insufficient_quota",
    "credit_balance_exhausted",
    "enforced_spend_limit_reached",
    "billing_hard_limit_reached",
    "billing_error",
];

impl Trouble {
    /// An HTTP answer that is no success.
    pub(super) fn of_status(
        dialect: Dialect,
        status: u16,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Self {
        let after = told_after(headers, clock::now_ms()).or_else(|| dialect.retry_after(body));
        let mut trouble = Self::of(status, body);
        trouble.after = after;
        let word = headers.get("x-should-retry");
        if trouble.remedy == Remedy::Wait && word.is_some_and(|word| word == "false") {
            trouble.remedy = Remedy::Never;
        }
        trouble
    }

    /// An error within a stream; `payload` is what told it.
    pub(super) fn of_payload(failed: &Failed, payload: &[u8]) -> Self {
        // Some tell the app's own fault without a status.
        let fault = failed.status == 0 && has(payload, "\"invalid_request_error\"");
        let trouble = Self::of(if fault { 400 } else { failed.status }, payload);
        Self { why: "the provider reported an error".to_owned(), ..trouble }
    }

    /// A failure that the gateway found: no connection, a cut, a clock.
    pub(super) fn of_failure(failed: &Failed) -> Self {
        let remedy = match failed.code {
            FailureCode::Timeout => Remedy::Elsewhere,
            FailureCode::Limit => Remedy::Never,
            _ => Remedy::Wait,
        };
        let why = why(failed).to_owned();
        Self { remedy, key: false, after: None, why, outcome: Outcome::Bad }
    }

    /// A target that cannot take the call as it would have to be written.
    pub(super) fn unsayable() -> Self {
        let why = "the call cannot be written for it".to_owned();
        Self { remedy: Remedy::Never, key: false, after: None, why, outcome: Outcome::Good }
    }

    fn of(status: u16, body: &[u8]) -> Self {
        let exhausted = EXHAUSTED.iter().any(|word| has(body, word));
        let (remedy, key) = match status {
            _ if exhausted => (Remedy::Never, true),
            401..=403 => (Remedy::Never, true),
            404 => (Remedy::Never, false),
            429 => (Remedy::Wait, true),
            408 | 409 | 425 => (Remedy::Wait, false),
            400..500 => (Remedy::Nowhere, false),
            _ => (Remedy::Wait, false),
        };
        let outcome = match remedy {
            Remedy::Nowhere => Outcome::Good,
            Remedy::Never if status == 404 => Outcome::Good,
            _ => Outcome::Bad,
        };
        let why = format!("the provider answered {status}");
        Self { remedy, key, after: None, why, outcome }
    }
}

fn has(text: &[u8], word: &str) -> bool {
    memmem::find(text, word.as_bytes()).is_some()
}

fn why(failed: &Failed) -> &'static str {
    match (failed.code, failed.phase) {
        (FailureCode::Timeout, Some(TimeoutPhase::Connect)) => "no connection in time",
        (FailureCode::Timeout, Some(TimeoutPhase::FirstToken)) => "no first token in time",
        (FailureCode::Timeout, _) => "the provider fell silent",
        (FailureCode::UpstreamCut, _) => "the provider's stream was cut",
        (FailureCode::Limit, _) => "the provider's answer exceeds a limit",
        _ => "the provider could not be reached",
    }
}

/// When trying again can help, as an answer's headers say: `retry-after-ms`, or `retry-after` in seconds or as a date.
fn told_after(headers: &HeaderMap, now_ms: u64) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |text: &str| text.parse().ok().filter(|number: &f64| number.is_finite());
    let millis = text("retry-after-ms").and_then(number);
    let seconds = millis.map(|millis| millis / 1000.0).or_else(|| number(text("retry-after")?));
    match seconds {
        Some(seconds) => Duration::try_from_secs_f64(seconds.max(0.0)).ok(),
        None => {
            let date = httpdate::parse_http_date(text("retry-after")?).ok()?;
            let now = UNIX_EPOCH + Duration::from_millis(now_ms);
            Some(date.duration_since(now).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn each_status_has_its_remedy() {
        use Remedy::{Never, Nowhere, Wait};
        for (status, remedy, key) in [
            (400, Nowhere, false),
            (401, Never, true),
            (402, Never, true),
            (403, Never, true),
            (404, Never, false),
            (408, Wait, false),
            (409, Wait, false),
            (413, Nowhere, false),
            (422, Nowhere, false),
            (429, Wait, true),
            (500, Wait, false),
            (503, Wait, false),
            (529, Wait, false),
        ] {
            let trouble = Trouble::of_status(Dialect::OpenAi, status, &HeaderMap::new(), b"{}");
            assert_eq!((trouble.remedy, trouble.key), (remedy, key), "{status}");
        }
    }

    #[test]
    fn an_empty_account_is_not_asked_again() {
        let body = br#"{"error":{"code":"insufficient_quota","message":"m"}}"#;
        let trouble = Trouble::of_status(Dialect::OpenAi, 429, &HeaderMap::new(), body);
        assert_eq!((trouble.remedy, trouble.key), (Remedy::Never, true));
        let failed = Failed::new(FailureCode::UpstreamError, "m");
        assert_eq!(Trouble::of_payload(&failed, body).remedy, Remedy::Never, "nor in a stream");
    }

    #[test]
    fn an_error_in_the_stream_is_the_apps_fault_only_if_it_says_so() {
        let failed = Failed::new(FailureCode::UpstreamError, "m");
        let fault = br#"{"error":{"type":"invalid_request_error"}}"#;
        assert_eq!(Trouble::of_payload(&failed, fault).remedy, Remedy::Nowhere);
        let overloaded = br#"{"type":"error","error":{"type":"overloaded_error"}}"#;
        assert_eq!(Trouble::of_payload(&failed, overloaded).remedy, Remedy::Wait);
    }

    #[test]
    fn the_wait_is_read_from_whichever_header_has_it() {
        let now = 784_111_777_000;
        for (headers, wait) in [
            (vec![("retry-after", "7")], Some(7_000)),
            (vec![("retry-after", "0.5")], Some(500)),
            (vec![("retry-after", "-3")], Some(0)),
            (vec![("retry-after", "7"), ("retry-after-ms", "250")], Some(250)),
            (vec![("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT")], Some(10_000)),
            (vec![("retry-after", "Sun, 06 Nov 1994 08:49:27 GMT")], Some(0)),
            (vec![("retry-after", "soon")], None),
            (vec![("retry-after", "inf")], None),
            (vec![], None),
        ] {
            let map = headers.iter().map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            });
            let told = told_after(&map.collect(), now);
            assert_eq!(told, wait.map(Duration::from_millis), "{headers:?}");
        }
    }

    #[test]
    fn a_provider_that_says_not_to_repeat_is_not_asked_again() {
        let headers = [("x-should-retry", "false")]
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let headers = headers.into_iter().collect();
        let trouble = Trouble::of_status(Dialect::OpenAi, 503, &headers, b"");
        assert_eq!(trouble.remedy, Remedy::Never);
    }
}
