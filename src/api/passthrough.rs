//! Every other `/v1/*` route goes to the default provider as it is, so that nothing breaks when the base URL changes.
//!
//! No channel, no events: these calls are not generations. The body streams both ways.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};

use super::{App, headers, llm, problem::Problem};
use crate::provider;

/// The largest request that is passed on.
const BODY_BYTES_MAX: usize = super::BODY_BYTES_MAX;

pub(super) async fn pass(State(app): State<App>, request: Request) -> Response {
    forward(&app, request).await.unwrap_or_else(llm::refuse)
}

async fn forward(app: &App, request: Request) -> Result<Response, Problem> {
    let provider = app.routes.default_provider().and_then(|name| app.providers.get(name));
    let provider = provider.map(Arc::clone).ok_or_else(|| {
        let message = "no such route here, and no provider to pass it on to";
        Problem::new(StatusCode::NOT_FOUND, "not_found", message)
    })?;
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let path = path.strip_prefix("/v1").unwrap_or(path).to_owned();
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| {
        let message = format!("the body exceeds {BODY_BYTES_MAX} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    })?;
    let call = provider::Request {
        method: parts.method,
        path,
        headers: headers::upstream(&parts.headers),
        body,
        connect_timeout: app.settings.connect_timeout,
    };
    let answer = provider.call(call).await.map_err(|error| {
        Problem::new(StatusCode::BAD_GATEWAY, "upstream_error", error.to_string())
    })?;
    let mut response = Response::new(Body::from_stream(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = headers::downstream(&answer.headers);
    Ok(response)
}
