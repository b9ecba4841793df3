//! Every other `/v1/*` route goes to the default provider as it is, so that nothing breaks when the base URL changes.
//!
//! No channel, no events: these calls are not generations. The body streams both ways.

use std::sync::Arc;

use axum::{
    body::{Body, HttpBody},
    extract::{Request, State},
    http::{StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};

use super::{App, headers, llm, problem::Problem};
use crate::provider;

pub(super) async fn pass(State(app): State<App>, request: Request) -> Response {
    match llm::is_llm_call(request.method(), request.uri().path()) {
        true => forward(&app, request).await.unwrap_or_else(llm::refuse),
        // A route of ours that is not there is nobody else's.
        false => llm::no_such_route(request).await,
    }
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
    let mut headers = headers::upstream(&parts.headers);
    // It is the same body, so it has the same length.
    if let Some(length) = parts.headers.get(header::CONTENT_LENGTH) {
        headers.insert(header::CONTENT_LENGTH, length.clone());
    }
    let call = provider::Request {
        method: parts.method,
        path,
        headers,
        body: Bytes::new(),
        connect_timeout: app.settings.connect_timeout,
    };
    let answer = match body.is_end_stream() {
        true => provider.call(call).await,
        false => provider.pass(call, body.into_data_stream().err_into().boxed()).await,
    };
    let answer = answer.map_err(|error| {
        Problem::new(StatusCode::BAD_GATEWAY, "upstream_error", error.to_string())
    })?;
    let mut response = Response::new(Body::from_stream(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = headers::downstream(&answer.headers);
    Ok(response)
}
