//! Errors before the first token, in OpenAI's shape.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// An HTTP error and all that its body says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<u64>,
    message: String,
    kind: &'static str,
    param: Option<String>,
    code: Option<&'static str>,
}

impl Refusal {
    /// A request that is wrong, and the member that makes it so.
    pub(super) fn invalid(param: &str, message: impl Into<String>) -> Self {
        let param = Some(param.to_owned()).filter(|param| !param.is_empty());
        Self { param, ..Self::new(StatusCode::BAD_REQUEST, message) }
    }

    pub(super) fn missing(param: &str) -> Self {
        let message = format!("Missing required parameter: '{param}'.");
        Self { code: Some("missing_required_parameter"), ..Self::invalid(param, message) }
    }

    pub(super) fn unknown_model(name: &str) -> Self {
        let message = format!("The model `{name}` does not exist or you do not have access to it.");
        Self { code: Some("model_not_found"), ..Self::new(StatusCode::NOT_FOUND, message) }
    }

    pub(super) fn path(method: &Method, path: &str) -> Self {
        let message = format!("Invalid URL ({method} {path})");
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(super) fn method(method: &Method, path: &str) -> Self {
        let message = format!("Not allowed to {method} on {path}.");
        Self {
            code: Some("method_not_supported"),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, message)
        }
    }

    /// What OpenAI says with a status, for failures that were asked for.
    pub(super) fn with_status(status: StatusCode, retry_after: Option<u64>) -> Self {
        let (message, kind, code) = match status.as_u16() {
            401 => {
                ("Incorrect API key provided.", "invalid_request_error", Some("invalid_api_key"))
            }
            403 => ("Your project may not use this model.", "invalid_request_error", None),
            404 => ("The model does not exist.", "invalid_request_error", Some("model_not_found")),
            429 => ("Rate limit reached for requests.", "requests", Some("rate_limit_exceeded")),
            503 => {
                ("The engine is currently overloaded, please try again later.", OVERLOADED, None)
            }
            400..500 => ("The simulator was asked to refuse.", "invalid_request_error", None),
            _ => ("The server had an error while processing your request.", "server_error", None),
        };
        Self { retry_after, kind, code, ..Self::new(status, message) }
    }

    /// The failure in the middle of a stream, which has no status of its own.
    pub(super) fn midway() -> Self {
        let refusal = Self::with_status(StatusCode::INTERNAL_SERVER_ERROR, None);
        Self {
            message: "The server had an error in the middle of the answer.".to_owned(),
            code: Some("server_error"),
            ..refusal
        }
    }

    pub(super) fn body(&self) -> Value {
        json!({ "error": {
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.code,
        } })
    }

    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            retry_after: None,
            message: message.into(),
            kind: "invalid_request_error",
            param: None,
            code: None,
        }
    }
}

const OVERLOADED: &str = "service_unavailable_error";
