//! `GET /v1/channels/{id}/events?after=…&wait=20s`: the long poll, for networks on which nothing streams.
//!
//! Answers as soon as there is anything after the cursor, else with no events when the wait is over. The answer's cursor
//! is the next call's `after`. A closed head answers 204, like the stream.

use std::time::Duration;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use tokio::time::Instant;

use super::{
    App,
    events::{Said, View},
    problem::Problem,
};
use crate::sequence::Cursor;

/// The longest that a poll may wait: what proxies give an answer that does not begin.
const WAIT_MAX: Duration = Duration::from_secs(55);

/// What `wait` says: `20s`, `500ms`, or seconds.
pub(super) fn wait(text: &str) -> Result<Duration, Problem> {
    let (number, unit) = match text.find(|char: char| !char.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let number: Option<u64> = number.parse().ok();
    let wait = match (number, unit) {
        (Some(seconds), "s") => Some(Duration::from_secs(seconds)),
        (Some(millis), "ms") => Some(Duration::from_millis(millis)),
        _ => None,
    };
    wait.filter(|wait| *wait <= WAIT_MAX).ok_or_else(|| {
        let message = format!("`wait` must be a time of at most {WAIT_MAX:?}, such as `20s`");
        Problem::bad_request(message).about("wait")
    })
}

/// What there is after the view's cursor, waited for.
pub(super) async fn poll(app: &App, mut view: View, wait: Duration) -> Response {
    let until = Instant::now() + wait;
    let until = view.until().map_or(until, |end| end.min(until));
    let mut said = view.collect_said();
    while said.is_empty() && !view.is_over() && !app.closing.is_cancelled() {
        if tokio::time::timeout_at(until, view.news()).await.is_err() {
            break;
        }
        said = view.collect_said();
    }
    let head = view.take_head();
    let events: Vec<_> = head.iter().chain(&said).map(event).collect();
    let cursor = Cursor { epoch: view.epoch(), seq: view.seq() };
    let body = format!(
        "{{\"cursor\":\"{cursor}\",\"closed\":{},\"events\":[{}]}}",
        view.is_over(),
        events.join(",")
    );
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, body).into_response()
}

/// The members of an SSE event, as an object.
fn event(Said { cursor, name, data }: &Said) -> String {
    match cursor {
        Some(cursor) => format!("{{\"id\":\"{cursor}\",\"event\":\"{name}\",\"data\":{data}}}"),
        None => format!("{{\"event\":\"{name}\",\"data\":{data}}}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_a_time_within_bounds() {
        for (text, millis) in [("20s", 20_000), ("500ms", 500), ("0", 0), ("55", 55_000)] {
            assert_eq!(wait(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1s", "56s", "20m", "1.5s", "99999999999999999999s"] {
            let problem = wait(text).expect_err(text);
            assert_eq!(problem.param.as_deref(), Some("wait"), "{text}");
        }
    }
}
