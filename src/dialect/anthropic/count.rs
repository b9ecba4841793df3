//! `POST /v1/messages/count_tokens`: handed on to providers of this dialect, estimated for others.

use bytes::Bytes;

use super::{PATH, Request};
use crate::dialect::{
    Upstream,
    call::{Blob, Call, Output, Part, PartKind, Source, Tool},
};

/// Bytes of text that make a token. English prose has between 4 and 5, code and JSON about 3; of other scripts a
/// character has up to 4 bytes, and mostly makes a token or less.
const BYTES_A_TOKEN: u64 = 4;

/// What a turn, a call, a result or a tool costs beside its text.
const FRAME_TOKENS: u64 = 4;

/// An image: the most that one costs Anthropic's models before it is scaled down.
const IMAGE_TOKENS: u64 = 1_600;

/// Bytes of a binary document that make a token: a PDF's page has some 50 kB and costs about 2,000 tokens.
const DOCUMENT_BYTES_A_TOKEN: u64 = 25;

/// A document whose bytes are elsewhere.
const DOCUMENT_TOKENS: u64 = 2_000;

/// The call for a provider of this dialect that counts a request's tokens: its own model name, all else as it came.
pub fn count_body(request: &Request, model: &str) -> Upstream {
    request.edited(model, format!("{PATH}/count_tokens"), false)
}

/// The answer to an app that asked for a count.
pub fn count_answer(tokens: u64) -> Bytes {
    format!("{{\"input_tokens\":{tokens}}}").into()
}

/// About how many tokens of input a call is, for providers that do not count: a quarter of the bytes of all text, rounded
/// up for each part, and fixed sums for what is not text. Deterministic; neither an upper nor a lower bound.
pub fn count_estimate(call: &Call) -> u64 {
    let mut tokens = call.system.iter().map(part).sum::<u64>();
    for turn in &call.turns {
        tokens += FRAME_TOKENS + turn.parts.iter().map(part).sum::<u64>();
    }
    for tool in &call.tools {
        tokens += FRAME_TOKENS;
        tokens += match tool {
            Tool::Function(function) => {
                let description = function.description.as_deref().unwrap_or_default();
                let schema = function.parameters.as_ref().map_or("", |schema| schema.get());
                text(&function.name) + text(description) + text(schema)
            }
            Tool::Native { value, .. } => text(value.get()),
        };
    }
    if let Output::Schema { schema, .. } = &call.output {
        tokens += text(schema.get());
    }
    // No request is free: what it is wrapped in counts.
    tokens.max(1)
}

fn text(text: &str) -> u64 {
    bytes(text).div_ceil(BYTES_A_TOKEN)
}

fn bytes(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

fn part(part: &Part) -> u64 {
    match &part.kind {
        PartKind::Text(said) | PartKind::Refusal(said) => text(said),
        PartKind::Image(_) => IMAGE_TOKENS,
        PartKind::Document(blob) | PartKind::Audio(blob) | PartKind::Video(blob) => document(blob),
        PartKind::Reasoning(thought) => text(&thought.text),
        PartKind::ToolCall(call) => FRAME_TOKENS + text(&call.name) + text(&call.arguments),
        PartKind::ToolResult(result) => {
            FRAME_TOKENS + result.content.iter().map(self::part).sum::<u64>()
        }
        PartKind::Native(raw) => text(raw.get()),
    }
}

fn document(blob: &Blob) -> u64 {
    match &blob.source {
        Source::Text(said) => text(said),
        // Base64 is a third longer than what it stands for.
        Source::Base64(data) => (bytes(data) / 4 * 3).div_ceil(DOCUMENT_BYTES_A_TOKEN),
        Source::Url(_) | Source::File(_) => DOCUMENT_TOKENS,
    }
}
