//! axum's extractors, whose refusals are ours: `{ "error": { "code", "message" } }` rather than a line of text.

use std::error::Error;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, FromRequestParts, Query, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use serde::de::DeserializeOwned;
use tower_http::timeout::TimeoutError;

use super::{App, problem::Problem};
use crate::access::Refusal;

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

/// The body, whole.
pub(super) struct Whole(pub(super) Bytes);

impl FromRequest<App> for Whole {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, app: &App) -> Result<Self, Problem> {
        fits(app, request.headers())?;
        let body = Bytes::from_request(request, app).await;
        body.map(Self).map_err(|error| match error.status() {
            _ if stood_still(&error) => too_slow(app),
            StatusCode::PAYLOAD_TOO_LARGE => too_large(app),
            _ => Problem::bad_request(error.body_text()),
        })
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
