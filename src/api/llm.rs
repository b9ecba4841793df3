//! What all routes for apps share: what counts as an LLM call, whose dialect it is in, and refusals in that dialect.

use std::borrow::Cow;

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use percent_encoding::percent_decode_str;

use super::{doors, form, problem::Problem};
use crate::{
    dialect::{AppDialect, Dialect, ErrorBody},
    event::{Failed, FailureCode},
    provider::Provider,
};

/// Paths under `/v1/` that are the gateway's own; all others are apps' calls and are answered in their dialect.
const OWN: [&str; 3] = ["channels", "connect", "tokens"];

/// Google's versions of its API that are nobody else's.
const GOOGLES: [&str; 2] = ["/v1beta/", "/v1alpha/"];

/// OpenAI's and Anthropic's SDKs repeat a call by themselves on many a status, 409 and 507 among them, unless this header
/// says not to.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// What must not be repeated by itself: somebody wanted it to stop, or it can only come to the same end.
const NEVER_AGAIN: [&str; 3] = ["cancelled", "limit", "budget_exceeded"];

/// Whether this is an app's call for a provider, which is answered in the app's dialect.
pub(super) fn is_llm_call(method: &Method, path: &str) -> bool {
    let Some((version, rest)) = versioned(path) else { return false };
    let first = rest.split('/').next().unwrap_or_default();
    *method != Method::OPTIONS && !(version == "/v1/" && OWN.contains(&first))
}

/// What an app speaks that calls this path with these headers.
pub(super) fn dialect_of(path: &str, headers: &HeaderMap) -> AppDialect {
    let path = &decoded(path);
    let Some((version, rest)) = versioned(path) else { return AppDialect::OpenAi };
    let of_gemini = rest.strip_prefix("models/").is_some_and(|rest| rest.contains(':'));
    let first = rest.split('/').next().unwrap_or_default();
    match first {
        _ if GOOGLES.contains(&version) => AppDialect::Gemini,
        "messages" => AppDialect::Anthropic,
        "responses" => AppDialect::Responses,
        // A model's name may hold a colon, and such a one may be asked for by its name.
        "models" if of_gemini && is_verb(rest) => AppDialect::Gemini,
        "chat" | "embeddings" => AppDialect::OpenAi,
        _ if headers.contains_key("anthropic-version") => AppDialect::Anthropic,
        _ if ["x-goog-api-key", "x-goog-api-client"].iter().any(|it| headers.contains_key(*it)) => {
            AppDialect::Gemini
        }
        _ => AppDialect::OpenAi,
    }
}

fn is_verb(path: &str) -> bool {
    let verb = path.rsplit(':').next().unwrap_or_default();
    ["Content", "Contents", "Tokens", "Message", "Text", "predict"]
        .iter()
        .any(|end| verb.ends_with(end))
}

fn versioned(path: &str) -> Option<(&str, &str)> {
    let mut versions = ["/v1/"].into_iter().chain(GOOGLES);
    versions.find_map(|version| Some((version, path.strip_prefix(version)?)))
}

/// Whether a path begins a generation here, and so is always JSON. What passes to the provider may be an upload.
pub(super) fn is_generation(path: &str) -> bool {
    let path = &*decoded(path);
    match path {
        "/v1/chat/completions" | "/v1/responses" | "/v1/messages" => true,
        _ => versioned(path)
            .and_then(|(_, rest)| rest.strip_prefix("models/"))
            .is_some_and(|rest| doors::generates(rest).is_some()),
    }
}

/// A path, decoded as the routes are; what is no UTF-8 stays as it is.
pub(super) fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8().map_or_else(|_| text.to_owned(), Cow::into_owned)
}

/// What somebody wrote, short enough to repeat.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

/// What a provider speaks.
pub(super) fn spoken_by(provider: &Provider) -> Dialect {
    // The simulator's name for itself is no dialect's; it speaks OpenAI's.
    Dialect::parse(provider.dialect_name()).unwrap_or(Dialect::OpenAi)
}

/// A refusal in the caller's dialect.
pub(super) fn refuse(dialect: AppDialect, problem: Problem) -> Response {
    let Problem { status, code: word, message, param, retry_after, .. } = problem;
    let (param, code) = (param.as_deref(), Some(word));
    let error = ErrorBody { message: &message, param, code, retry_after };
    let mut response = said(dialect, status, error);
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if NEVER_AGAIN.contains(&word) {
        response.headers_mut().insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    response
}

/// A provider's refusal, said again in the caller's dialect with that dialect's own word for the status.
pub(super) fn say_again(dialect: AppDialect, status: StatusCode, message: &str) -> Response {
    said(dialect, status, ErrorBody { message, ..ErrorBody::default() })
}

fn said(dialect: AppDialect, status: StatusCode, error: ErrorBody<'_>) -> Response {
    let mut response = form::json(dialect.error_body(status.as_u16(), error));
    *response.status_mut() = status;
    response
}

/// What an SDK makes of a base URL that ends too early, or too late.
pub(super) fn misplaced(method: &Method, path: &str) -> Option<Problem> {
    let ended_early =
        matches!(path, "/chat/completions" | "/responses" | "/embeddings" | "/models");
    let twice = versioned(path).is_some_and(|(_, rest)| versioned(&format!("/{rest}")).is_some());
    let right = match (ended_early, twice) {
        (true, _) => "the base URL for the OpenAI SDK ends with /v1",
        (_, true) => "the SDK adds the version itself, so its base URL ends before it",
        (false, false) => return None,
    };
    let message = format!("no such route: {method} {path}; {right}");
    Some(Problem::new(StatusCode::NOT_FOUND, "not_found", message))
}

/// A path that nothing answers.
pub(super) async fn no_such_route(request: Request) -> Response {
    let (method, path) = (request.method(), request.uri().path());
    let problem = misplaced(method, path).unwrap_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "not_found", format!("no such route: {method} {path}"))
    });
    match is_llm_call(method, path) {
        true => refuse(dialect_of(path, request.headers()), problem),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_whose_dialect_it_is_and_where_it_does_not_the_headers_do() {
        let none = HeaderMap::new();
        let mut anthropic = HeaderMap::new();
        anthropic.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
        let mut google = HeaderMap::new();
        google.insert("x-goog-api-key", HeaderValue::from_static("k"));
        for (path, headers, expected) in [
            ("/v1/chat/completions", &anthropic, AppDialect::OpenAi),
            ("/v1/responses/resp_1/cancel", &none, AppDialect::Responses),
            ("/v1/messages/count_tokens", &none, AppDialect::Anthropic),
            ("/v1/files", &none, AppDialect::OpenAi),
            ("/v1/files", &anthropic, AppDialect::Anthropic),
            ("/v1/models", &google, AppDialect::Gemini),
            ("/v1/models/a/b:generateContent", &none, AppDialect::Gemini),
            ("/v1/models/a:countTokens", &none, AppDialect::Gemini),
            ("/v1/models/llama3:8b", &none, AppDialect::OpenAi),
            ("/v1beta/anything", &anthropic, AppDialect::Gemini),
            ("/v1alpha/models/a:generateContent", &none, AppDialect::Gemini),
        ] {
            assert_eq!(dialect_of(path, headers), expected, "{path}");
        }
    }

    #[test]
    fn a_base_url_that_ends_too_early_or_too_late_is_told_apart() {
        for (path, expected) in [
            ("/chat/completions", Some("ends with /v1")),
            ("/v1/v1/messages", Some("ends before it")),
            ("/v1beta/v1beta/models/m:generateContent", Some("ends before it")),
            ("/v1/messages", None),
            ("/v1/files/v1", None),
        ] {
            let told = misplaced(&Method::POST, path).map(|problem| problem.message);
            assert_eq!(told.is_some(), expected.is_some(), "{path}: {told:?}");
            assert!(told.unwrap_or_default().contains(expected.unwrap_or_default()), "{path}");
        }
    }

    #[test]
    fn a_path_is_decoded_once_and_what_is_no_text_stays() {
        assert_eq!(decoded("/a%2Fb%3a%25"), "/a/b:%");
        assert_eq!(decoded("100%"), "100%");
        assert_eq!(decoded("%ff"), "%ff");
    }

    #[test]
    fn generations_are_told_from_what_passes() {
        for path in [
            "/v1/messages",
            "/v1/responses",
            "/v1beta/models/m:generateContent",
            "/v1/models/m:streamGenerateContent",
            "/v1/models/m%3AgenerateContent",
        ] {
            assert!(is_generation(path), "{path}");
        }
        for path in ["/v1/messages/count_tokens", "/v1beta/models/m:countTokens", "/v1/files"] {
            assert!(!is_generation(path), "{path}");
        }
    }
}
