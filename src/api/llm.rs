//! What all routes for apps share: what counts as an LLM call, and refusals in the caller's dialect.

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::problem::Problem;
use crate::{
    dialect::{AppDialect, ErrorBody},
    event::{Failed, FailureCode},
};

/// Paths under `/v1/` that are the gateway's own; all others are apps' calls and are answered in their dialect.
const OWN: [&str; 3] = ["channels", "connect", "tokens"];

/// OpenAI's SDKs repeat a call by themselves on many a status, 409 and 507 among them, unless this header says not to.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// What must not be repeated by itself: somebody wanted it to stop, or it can only come to the same end.
const NEVER_AGAIN: [&str; 2] = ["cancelled", "limit"];

/// Whether this is an app's call for a provider, which is answered in the app's dialect.
pub(super) fn is_llm_call(method: &Method, path: &str) -> bool {
    let Some(rest) = path.strip_prefix("/v1/").or(path.strip_prefix("/v1beta/")) else {
        return false;
    };
    let first = rest.split('/').next().unwrap_or_default();
    *method != Method::OPTIONS && !OWN.contains(&first)
}

/// Whether a path begins a generation here, and so is always JSON. What passes to the provider may be an upload.
pub(super) fn is_generation(path: &str) -> bool {
    path == "/v1/chat/completions"
}

/// A refusal in the caller's dialect.
pub(super) fn refuse(problem: Problem) -> Response {
    let Problem { status, code, message, param, retry_after, .. } = problem;
    let error = ErrorBody { message: &message, param: param.as_deref(), code: Some(code) };
    let body = AppDialect::OpenAi.error_body(status.as_u16(), error);
    let json = [(header::CONTENT_TYPE, "application/json")];
    let mut response = (status, json, body).into_response();
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if NEVER_AGAIN.contains(&code) {
        response.headers_mut().insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    response
}

/// A path that nothing answers.
pub(super) async fn no_such_route(request: Request) -> Response {
    let message = format!("no such route: {} {}", request.method(), request.uri().path());
    let problem = Problem::new(StatusCode::NOT_FOUND, "not_found", message);
    match is_llm_call(request.method(), request.uri().path()) {
        true => refuse(problem),
        false => problem.into_response(),
    }
}

/// The status of a failed generation for an app that has not been answered yet.
pub(super) fn problem_of(failed: &Failed) -> Problem {
    let status = match failed.code {
        FailureCode::Cancelled => StatusCode::CONFLICT,
        FailureCode::Timeout => StatusCode::GATEWAY_TIMEOUT,
        FailureCode::Limit => StatusCode::INSUFFICIENT_STORAGE,
        FailureCode::GatewayLost => StatusCode::SERVICE_UNAVAILABLE,
        FailureCode::UpstreamCut => StatusCode::BAD_GATEWAY,
        FailureCode::UpstreamError => {
            StatusCode::from_u16(failed.status).unwrap_or(StatusCode::BAD_GATEWAY)
        }
    };
    let status = if status.as_u16() < 400 { StatusCode::BAD_GATEWAY } else { status };
    Problem::new(status, failed.code.as_str(), failed.message.clone())
}
