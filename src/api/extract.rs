//! axum's extractors, whose refusals are ours: `{ "error": { "code", "message" } }` rather than a line of text.

use std::error::Error;

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Query, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tower_http::timeout::TimeoutError;

use super::{App, limits, problem::Problem};
use crate::access::{BodyRoom, Refusal};

/// The query, read.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let query = Query::try_from_uri(&parts.uri);
        let Query(asked) = query.map_err(|error| Problem::bad_request(error.body_text()))?;
        Ok(Self(asked))
    }
}

/// The least that a body comes at, in bytes in a second, beyond the time that it may stand still.
const BODY_RATE_MIN: f64 = 1024.0;

/// The body, whole, and its part of the memory that all bodies may take.
pub(super) struct Whole(pub(super) Bytes, pub(super) BodyRoom);

impl FromRequest<App> for Whole {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, app: &App) -> Result<Self, Problem> {
        fits(app, request.headers())?;
        let (begun, mut room) = (Instant::now(), app.seats.body());
        let mut parts = request.into_body().into_data_stream();
        // Most bodies come in one part, which is not copied.
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        while let Some(part) = parts.next().await {
            let part = part.map_err(|error| match stood_still(&error) {
                true => too_slow(app),
                false => Problem::bad_request(format!("the body breaks off: {error}")),
            })?;
            let length = first.len() + rest.len() + part.len();
            if length > app.limits.body {
                return Err(too_large(app));
            }
            if !room.take(part.len()) {
                return Err(no_room(app));
            }
            let in_time = app.limits.body_timeout.as_secs_f64() + length as f64 / BODY_RATE_MIN;
            if begun.elapsed().as_secs_f64() > in_time {
                return Err(drips(app));
            }
            if first.is_empty() && rest.is_empty() {
                first = part;
                continue;
            }
            rest.extend_from_slice(&std::mem::take(&mut first));
            rest.extend_from_slice(&part);
        }
        Ok(Self(if rest.is_empty() { first } else { rest.freeze() }, room))
    }
}

/// Refuses what is told to be too large before it is sent.
pub(super) fn fits(app: &App, headers: &HeaderMap) -> Result<(), Problem> {
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    match length {
        Some(length) if length > app.limits.body as u64 => Err(too_large(app)),
        _ => Ok(()),
    }
}

/// The body has more bytes than one may have.
pub(super) fn too_large(app: &App) -> Problem {
    Refusal::TooLarge.count(&app.telemetry.metrics);
    let message = format!("the body exceeds {} bytes (limits.body)", app.limits.body);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
}

/// All bodies together take the memory that they may.
fn no_room(app: &App) -> Problem {
    Refusal::Overloaded.count(&app.telemetry.metrics);
    limits::full(
        "the bodies of all requests take the memory that they may (limits.bodies); try again soon",
    )
}

/// The body comes, and hardly.
fn drips(app: &App) -> Problem {
    Refusal::TooSlow.count(&app.telemetry.metrics);
    let message = "the body comes at less than a kilobyte in a second (limits.body_timeout)";
    Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", message)
}

/// The body stood still.
pub(super) fn too_slow(app: &App) -> Problem {
    Refusal::TooSlow.count(&app.telemetry.metrics);
    let waited = app.limits.body_timeout;
    let message = format!("nothing of the body came for {waited:?} (limits.body_timeout)");
    Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", message)
}

/// Whether a body was given up because it stood still.
pub(super) fn stood_still(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<TimeoutError>() {
            return true;
        }
        cause = error.source();
    }
    false
}
