//! An attempt that came to nothing: what it was, and what the app is answered with if nothing better follows. Plain values.

use bytes::Bytes;
use reqwest::{StatusCode, header::HeaderMap};

use super::{Answerer, ingest::Carried, trouble::Trouble};
use crate::{
    event::{Event, Failed, FailureCode, Kind, TimeoutPhase},
    provider::{CallError, KeyIndex},
};

/// An attempt that came to nothing.
pub(super) struct Setback {
    pub(super) trouble: Trouble,
    /// The key that it was made with.
    pub(super) key: Option<KeyIndex>,
    /// The HTTP status that it was refused with; 0 where it was not.
    pub(super) status: u16,
    /// Something of it was said; nothing can be made unsaid.
    pub(super) said: bool,
    pub(super) answer: Answer,
}

/// The end of a generation, as its last attempt has it.
pub(super) enum Answer {
    /// A body that is no stream.
    Whole {
        from: Answerer,
        status: StatusCode,
        headers: HeaderMap,
        body: Bytes,
        /// The last events.
        events: Vec<Event>,
    },
    /// The rest of a stream.
    Stream {
        events: Vec<Event>,
        payloads: Vec<Carried>,
        /// A failure that no payload tells.
        untold: Option<Failed>,
    },
    /// No answer.
    Failed {
        failed: Failed,
        /// The last events.
        events: Vec<Event>,
    },
}

impl Setback {
    /// In a word, for counting.
    pub(super) fn kind(&self) -> &'static str {
        let failed = match &self.answer {
            Answer::Whole { status, .. } if !status.is_success() => None,
            Answer::Whole { events, .. } | Answer::Stream { events, .. } => failure_in(events),
            Answer::Failed { failed, .. } => Some(failed),
        };
        let Some(Failed { code, phase, status, .. }) = failed else { return refusal(self.status) };
        match (code, phase) {
            (FailureCode::Timeout, Some(TimeoutPhase::Connect)) => "timeout_connect",
            (FailureCode::Timeout, Some(TimeoutPhase::FirstToken)) => "timeout_first_token",
            (FailureCode::Timeout, Some(TimeoutPhase::Silent)) => "timeout_silent",
            (FailureCode::Timeout, _) => "timeout_idle",
            (FailureCode::UpstreamCut, _) => "cut",
            (FailureCode::UpstreamError, _) if *status != 0 => refusal(*status),
            (FailureCode::UpstreamError, _) if matches!(self.answer, Answer::Failed { .. }) => {
                "connect"
            }
            (FailureCode::UpstreamError, _) => "stream",
            _ => "other",
        }
    }

    /// The gateway found that it came to nothing.
    pub(super) fn of_failure(failed: Failed, events: Vec<Event>) -> Self {
        let trouble = Trouble::of_failure(&failed);
        let answer = Answer::Failed { failed, events };
        Self { trouble, key: None, status: 0, said: false, answer }
    }
}

impl Answer {
    /// The same for an app that has not been given the beginning of the stream.
    pub(super) fn without_stream(self) -> Self {
        match self {
            Self::Stream { events, .. } => match failure_in(&events).cloned() {
                Some(failed) => Self::Failed { failed, events },
                None => Self::Stream { events, payloads: Vec::new(), untold: None },
            },
            other => other,
        }
    }
}

/// A failure that another attempt can mend: not a cancel, nor a limit, nor the end of the whole generation's time.
pub(super) fn is_mendable(failed: &Failed) -> bool {
    match failed.code {
        FailureCode::UpstreamError | FailureCode::UpstreamCut => true,
        FailureCode::Timeout => failed.phase != Some(TimeoutPhase::Total),
        FailureCode::Cancelled | FailureCode::Limit | FailureCode::GatewayLost => false,
    }
}

/// An HTTP status that is no success, in a word.
fn refusal(status: u16) -> &'static str {
    match status {
        401..=403 => "credentials",
        404 => "not_found",
        429 => "rate_limited",
        400..500 => "http_4xx",
        _ => "http_5xx",
    }
}

/// The failure that the events end with.
pub(super) fn failure_in(events: &[Event]) -> Option<&Failed> {
    match events.last().map(|event| &event.kind) {
        Some(Kind::Failed(failed)) => Some(failed),
        _ => None,
    }
}

/// The failure that a call's error means.
pub(super) fn call_failed(error: &CallError) -> Failed {
    tracing::info!(%error, "the provider could not be called");
    match error {
        CallError::Connect(_) | CallError::Unsigned(_) => {
            Failed::new(FailureCode::UpstreamError, error.to_string())
        }
        CallError::Broken(_) => Failed::new(FailureCode::UpstreamCut, error.to_string()),
        CallError::ConnectTimeout(_) => Failed {
            phase: Some(TimeoutPhase::Connect),
            ..Failed::new(FailureCode::Timeout, error.to_string())
        },
    }
}

/// A failure for a limit of the gateway.
pub(super) fn limit(message: String) -> Failed {
    Failed::new(FailureCode::Limit, message)
}
