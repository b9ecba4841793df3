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
use tower_http::timeout::TimeoutError;

use super::{App, access::Caller, limits, pace::Pace, problem::Problem};
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

/// The body, whole, and its part of the memory that all bodies may take.
pub(super) struct Whole(pub(super) Bytes, pub(super) BodyRoom);

/// The most that [`Small`] takes, in bytes.
const SMALL_MAX: usize = 64 * 1024;

/// The body of a request that says little; anybody with a token may make some of them, so that it takes no part of what calls
/// need.
pub(super) struct Small(pub(super) Bytes);

impl FromRequest<App> for Whole {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, app: &App) -> Result<Self, Problem> {
        let caller = request.extensions().get::<Caller>();
        let owner = caller.and_then(|caller| caller.who.app()).cloned();
        let mut room = app.seats.body(owner);
        let body = read(app, request, app.limits.body, |bytes| room.take(bytes)).await?;
        Ok(Self(body, room))
    }
}

impl FromRequest<App> for Small {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, app: &App) -> Result<Self, Problem> {
        let max = SMALL_MAX.min(app.limits.body);
        read(app, request, max, |_| true).await.map(Self)
    }
}

async fn read(
    app: &App,
    request: Request<Body>,
    max: usize,
    mut has_room: impl FnMut(usize) -> bool,
) -> Result<Bytes, Problem> {
    fits_in(app, request.headers(), max)?;
    let mut pace = Pace::new(app.limits.body_timeout);
    let mut parts = request.into_body().into_data_stream();
    // Most bodies come in one part, which is not copied.
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|error| match stood_still(&error) {
            true => too_slow(app),
            false => Problem::bad_request(format!("the body breaks off: {error}")),
        })?;
        if first.len() + rest.len() + part.len() > max {
            return Err(larger_than(app, max));
        }
        if !has_room(part.len()) {
            return Err(no_room(app));
        }
        if !pace.keeps(part.len()) {
            return Err(drips(app));
        }
        if first.is_empty() && rest.is_empty() {
            first = part;
            continue;
        }
        rest.extend_from_slice(&std::mem::take(&mut first));
        rest.extend_from_slice(&part);
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

/// Refuses what is told to be too large before it is sent.
pub(super) fn fits(app: &App, headers: &HeaderMap) -> Result<(), Problem> {
    fits_in(app, headers, app.limits.body)
}

fn fits_in(app: &App, headers: &HeaderMap, max: usize) -> Result<(), Problem> {
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    match length {
        Some(length) if length > max as u64 => Err(larger_than(app, max)),
        _ => Ok(()),
    }
}

/// The body has more bytes than one may have.
pub(super) fn too_large(app: &App) -> Problem {
    larger_than(app, app.limits.body)
}

fn larger_than(app: &App, max: usize) -> Problem {
    Refusal::TooLarge.count(&app.telemetry.metrics);
    let why = if max == app.limits.body { " (limits.body)" } else { "" };
    let message = format!("the body exceeds {max} bytes{why}");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
}

/// All bodies together take the memory that they may.
fn no_room(app: &App) -> Problem {
    Refusal::Overloaded.count(&app.telemetry.metrics);
    limits::full(
        "the bodies of all requests, or of this access key's, take the memory that they may (limits.bodies); try again soon",
    )
}

/// The body comes, and hardly.
pub(super) fn drips(app: &App) -> Problem {
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
