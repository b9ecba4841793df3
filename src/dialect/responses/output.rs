//! The items of a response's output, as they stand.

use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};

/// Items and parts that have ended well.
pub(super) const COMPLETED: &str = "completed";
/// Those that have not ended.
pub(super) const IN_PROGRESS: &str = "in_progress";
/// Those that were cut.
pub(super) const INCOMPLETE: &str = "incomplete";

/// An item: one of ours, or one that the provider gave whole.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Output {
    Item(Item),
    Raw(Box<RawValue>),
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Item {
    Message {
        id: String,
        status: &'static str,
        role: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        phase: Option<String>,
        content: Vec<Part>,
    },
    Reasoning {
        id: String,
        status: &'static str,
        summary: Vec<Summary>,
        #[serde(skip_serializing_if = "Option::is_none")]
        encrypted_content: Option<String>,
    },
    FunctionCall {
        id: String,
        status: &'static str,
        call_id: String,
        name: String,
        arguments: String,
    },
    CustomToolCall {
        id: String,
        status: &'static str,
        call_id: String,
        name: String,
        input: String,
    },
    ImageGenerationCall {
        id: String,
        status: &'static str,
        result: Option<String>,
        #[serde(flatten)]
        more: Map<String, Value>,
    },
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Part {
    OutputText { text: String, annotations: Vec<Box<RawValue>>, logprobs: [(); 0] },
    Refusal { refusal: String },
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Summary {
    SummaryText { text: String },
}

impl Part {
    pub(super) fn text() -> Self {
        Self::OutputText { text: String::new(), annotations: Vec::new(), logprobs: [] }
    }

    pub(super) fn refusal() -> Self {
        Self::Refusal { refusal: String::new() }
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self, Self::OutputText { .. })
    }

    /// What it says so far.
    pub(super) fn said(&mut self) -> &mut String {
        match self {
            Self::OutputText { text, .. } => text,
            Self::Refusal { refusal } => refusal,
        }
    }
}

impl Item {
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Message { id, .. }
            | Self::Reasoning { id, .. }
            | Self::FunctionCall { id, .. }
            | Self::CustomToolCall { id, .. }
            | Self::ImageGenerationCall { id, .. } => id,
        }
    }

    pub(super) fn set_status(&mut self, now: &'static str) {
        match self {
            Self::Message { status, .. }
            | Self::Reasoning { status, .. }
            | Self::FunctionCall { status, .. }
            | Self::CustomToolCall { status, .. }
            | Self::ImageGenerationCall { status, .. } => *status = now,
        }
    }

    /// A call's arguments or input so far.
    pub(super) fn arguments(&mut self) -> Option<&mut String> {
        match self {
            Self::FunctionCall { arguments, .. } => Some(arguments),
            Self::CustomToolCall { input, .. } => Some(input),
            _ => None,
        }
    }
}
