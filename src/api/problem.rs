//! What went wrong, as HTTP: the gateway's own routes answer `{ "error": { "code", "message" } }`.
//!
//! The only place where errors of the waist become statuses. LLM routes put the same problem into the caller's dialect.

use axum::{
    Json,
    extract::Request,
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::{
    channel::{AppendError, CannotDelete, CannotResume, NoChannel, Refused, UnknownGeneration},
    ident::BadChannelId,
    sequence::BadCursor,
    store::{Refusal, StoreError},
};

/// A refusal: its status, its code, what it says to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// The HTTP status.
    pub(super) status: StatusCode,
    /// A stable code.
    pub(super) code: &'static str,
    /// For people: what is wrong, where, and what would be right.
    pub(super) message: String,
    /// The request's member or header that is meant, where there is one.
    pub(super) param: Option<String>,
    /// The channel's epoch now, where a cursor was refused.
    pub(super) epoch: Option<String>,
    /// When trying again can help, in seconds.
    pub(super) retry_after: Option<u64>,
}

impl Problem {
    /// A problem without further members.
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status, code, message, param: None, epoch: None, retry_after: None }
    }

    /// The request cannot be understood.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// The method is not the route's.
    pub(super) fn no_such_method(method: &Method, path: &str) -> Self {
        let message = format!("{path} is not for {method}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    /// The same, about one member of the request.
    pub(super) fn about(self, param: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..self }
    }

    fn at_epoch(self, epoch: impl ToString) -> Self {
        Self { epoch: Some(epoch.to_string()), ..self }
    }
}

/// A route of ours that is there, but not with this method. Those for apps have none that they do not pass on.
pub(super) async fn no_such_method(request: Request) -> Problem {
    Problem::no_such_method(request.method(), request.uri().path())
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(epoch) = self.epoch {
            error["epoch"] = epoch.into();
        }
        let mut response = (self.status, Json(json!({ "error": error }))).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<NoChannel> for Problem {
    fn from(error: NoChannel) -> Self {
        match error {
            NoChannel::Unknown => {
                Self::new(StatusCode::NOT_FOUND, "channel_not_found", error.to_string())
            }
            NoChannel::Evicted => Self::new(StatusCode::GONE, "channel_evicted", error.to_string()),
            NoChannel::Store(error) => error.into(),
        }
    }
}

impl From<CannotDelete> for Problem {
    fn from(error: CannotDelete) -> Self {
        match error {
            CannotDelete::NoChannel(error) => error.into(),
            CannotDelete::NotForGood(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", error.to_string())
            }
            CannotDelete::Running => Self::new(
                StatusCode::CONFLICT,
                "generation_running",
                format!("{error}; add ?cancel=true to stop it first"),
            ),
        }
    }
}

impl From<CannotResume> for Problem {
    fn from(error: CannotResume) -> Self {
        let message = error.to_string();
        match error {
            CannotResume::EpochChanged { now } => {
                Self::new(StatusCode::CONFLICT, "epoch_changed", message).at_epoch(now)
            }
            CannotResume::CursorAhead { now, .. } => {
                Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "cursor_ahead", message).at_epoch(now)
            }
        }
    }
}

impl From<BadCursor> for Problem {
    fn from(error: BadCursor) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_cursor", error.to_string())
    }
}

impl From<BadChannelId> for Problem {
    fn from(error: BadChannelId) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_channel_id", error.to_string())
    }
}

impl From<UnknownGeneration> for Problem {
    fn from(error: UnknownGeneration) -> Self {
        Self::new(StatusCode::NOT_FOUND, "generation_not_found", error.to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let (status, code) = match error {
            StoreError::Elsewhere => (StatusCode::CONFLICT, "generation_running"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<Refused> for Problem {
    fn from(error: Refused) -> Self {
        match error {
            Refused::Generation(error) => error.into(),
            Refused::Append(error) => error.into(),
            Refused::Store(error) => error.into(),
            Refused::There(refusal) => refusal.into(),
        }
    }
}

/// Another node's refusal, as if it were this one's.
impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, code) = match refusal {
            Refusal::UnknownGeneration => (StatusCode::NOT_FOUND, "generation_not_found"),
            Refusal::Closed => (StatusCode::CONFLICT, "channel_closed"),
            Refusal::Full => (StatusCode::INSUFFICIENT_STORAGE, "channel_full"),
            Refusal::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "event_too_large"),
            Refusal::Store => (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable"),
            Refusal::Limited => (StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded"),
            Refusal::NotBegun => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
        };
        let retry_after = matches!(refusal, Refusal::Limited | Refusal::NotBegun).then_some(1);
        Self { retry_after, ..Self::new(status, code, refusal.to_string()) }
    }
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        let message = error.to_string();
        match error {
            AppendError::Closed => Self::new(StatusCode::CONFLICT, "channel_closed", message),
            AppendError::Full { .. } => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "channel_full", message)
            }
            AppendError::TooManyGenerations => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "limit", message)
            }
            AppendError::TooLarge(_) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "event_too_large", message)
            }
            AppendError::Store(error) => error.into(),
        }
    }
}
