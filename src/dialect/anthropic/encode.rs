//! Events become Anthropic's stream: one `message_start`, blocks one after the other, `message_delta`, `message_stop`.
//!
//! A deterministic function of one generation's events: fed the same events it writes the same bytes, so a resumed
//! stream is the tail of the same payloads. Input tokens, which others count last and Anthropic first, are 0 at the
//! beginning and true in `message_delta`, which is cumulative by definition. Images and sound, which no block of an answer
//! can hold, other dialects' citations, tools that other providers ran, and all choices but the first are left out.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    error::error_wire,
    step::{Block, Delta, End, Step},
    steps::Steps,
    usage,
};
use crate::{
    dialect::{Asked, Wire},
    event::{Event, RunBy, Started},
};

#[cfg(test)]
mod tests;

/// Writes one generation's stream for one app.
#[derive(Debug)]
pub struct Encoder {
    steps: Steps,
}

impl Encoder {
    /// An encoder for a generation whose events are given from the first on.
    pub fn new(_asked: &Asked) -> Self {
        Self { steps: Steps::default() }
    }

    /// Adds the payloads that say `event` to `out`. To resume after some event, give all before it too and drop what they
    /// say.
    pub fn encode(&mut self, event: &Event, out: &mut Vec<Wire>) {
        let mut steps = Vec::new();
        self.steps.take(event, &mut steps);
        for step in steps {
            self.write(step, out);
        }
    }

    fn write(&self, step: Step, out: &mut Vec<Wire>) {
        match step {
            Step::Begin => out.push(message_start(&self.steps.head)),
            Step::Open(index, block) => {
                let content_block = &*block_json(&block);
                out.push(wire("content_block_start", &BlockStart { index, content_block }));
                let no_delta = Some(DeltaJson::InputJsonDelta { partial_json: "" });
                if let Some(delta) = no_delta.filter(|_| matches!(block, Block::Tool { .. })) {
                    out.push(wire("content_block_delta", &BlockDelta { index, delta }));
                }
            }
            Step::Delta(index, delta) => {
                if let Some(delta) = DeltaJson::of(&delta) {
                    out.push(wire("content_block_delta", &BlockDelta { index, delta }));
                }
            }
            Step::Close(index) => out.push(wire("content_block_stop", &BlockStop { index })),
            Step::End(end) => {
                out.push(message_delta(&end));
                out.push(wire("message_stop", &Nothing {}));
            }
            Step::Foreign(data) => out.push(Wire::unnamed(data)),
            Step::Failed(failed) => out.push(error_wire(&failed)),
        }
    }
}

/// An event: its type, which is also its name, and its members.
fn wire(name: &'static str, members: &impl Serialize) -> Wire {
    let tail = serde_json::to_string(members).expect("strings and raw JSON become JSON");
    // The name is one of ours and needs no escape.
    let comma = if tail == "{}" { "" } else { "," };
    Wire { name, data: format!("{{\"type\":\"{name}\"{comma}{}", &tail[1..]).into() }
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct BlockStart<'a> {
    index: u32,
    content_block: &'a RawValue,
}

#[derive(Serialize)]
struct BlockDelta<'a> {
    index: u32,
    delta: DeltaJson<'a>,
}

#[derive(Serialize)]
struct BlockStop {
    index: u32,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum DeltaJson<'a> {
    TextDelta {
        text: &'a str,
    },
    ThinkingDelta {
        thinking: &'a str,
    },
    SignatureDelta {
        signature: &'a str,
    },
    InputJsonDelta {
        partial_json: &'a str,
    },
    CitationsDelta {
        citation: &'a RawValue,
    },
    #[serde(untagged)]
    Raw(&'a RawValue),
}

impl<'a> DeltaJson<'a> {
    /// `None` where it is not JSON.
    fn of(delta: &'a Delta) -> Option<Self> {
        Some(match delta {
            Delta::Text(text) => Self::TextDelta { text },
            Delta::Thinking(thinking) => Self::ThinkingDelta { thinking },
            Delta::Signature(signature) => Self::SignatureDelta { signature },
            Delta::Arguments(partial_json) => Self::InputJsonDelta { partial_json },
            Delta::Citation(raw) => {
                Self::CitationsDelta { citation: serde_json::from_slice(raw).ok()? }
            }
            Delta::Raw(raw) => Self::Raw(serde_json::from_slice(raw).ok()?),
        })
    }
}

/// A block as it begins.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum BlockJson<'a> {
    Text { text: &'a str },
    Thinking { thinking: &'a str, signature: &'a str },
    RedactedThinking { data: &'a str },
    ToolUse { id: &'a str, name: &'a str, input: Nothing },
    ServerToolUse { id: &'a str, name: &'a str, input: Nothing },
}

/// A block as it begins, as JSON.
pub(super) fn block_json(block: &Block) -> Box<RawValue> {
    let input = Nothing {};
    let json = match block {
        Block::Text => BlockJson::Text { text: "" },
        Block::Thinking => BlockJson::Thinking { thinking: "", signature: "" },
        Block::Redacted(data) => BlockJson::RedactedThinking { data },
        Block::Tool { id, name, run_by: RunBy::Client } => BlockJson::ToolUse { id, name, input },
        Block::Tool { id, name, run_by: RunBy::Server } => {
            BlockJson::ServerToolUse { id, name, input }
        }
        Block::Raw(raw) => {
            let raw = serde_json::from_slice(raw);
            return raw.unwrap_or_else(|_| block_json(&Block::Text));
        }
    };
    serde_json::value::to_raw_value(&json).expect("strings become JSON")
}

/// The message's id: the generation's, in Anthropic's form.
pub(super) fn id(started: &Started) -> String {
    format!("msg_{}", started.id.strip_prefix("gen_").unwrap_or(&started.id))
}

fn message_start(started: &Started) -> Wire {
    #[derive(Serialize)]
    struct Start<'a> {
        message: Message<'a>,
    }
    #[derive(Serialize)]
    struct Message<'a> {
        id: String,
        r#type: &'static str,
        role: &'static str,
        model: &'a str,
        content: [(); 0],
        stop_reason: Option<()>,
        stop_sequence: Option<()>,
        usage: Box<RawValue>,
    }
    let message = Message {
        id: id(started),
        r#type: "message",
        role: "assistant",
        model: &started.model,
        content: [],
        stop_reason: None,
        stop_sequence: None,
        usage: usage::object(None, false),
    };
    wire("message_start", &Start { message })
}

fn message_delta(end: &End) -> Wire {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let mut delta = format!("\"stop_reason\":{}", text(&end.reason));
    let mut beside = String::new();
    for (name, value) in end_members(end) {
        let member = format!(",{}:{}", text(name), value.get());
        match name {
            // The only one that the provider writes beside the others.
            "context_management" => beside += &member,
            _ => delta += &member,
        }
    }
    let usage = String::from_utf8_lossy(&end.usage);
    let data =
        format!("{{\"type\":\"message_delta\",\"delta\":{{{delta}}},\"usage\":{usage}{beside}}}");
    Wire { name: "message_delta", data: Bytes::from(data) }
}

/// The members of a message's end beside its reason: `stop_sequence` always, what else the provider gave.
pub(super) fn end_members(end: &End) -> Vec<(&str, &RawValue)> {
    let mut members = vec![("stop_sequence", RawValue::NULL)];
    for (name, value) in &end.members {
        let Ok(value) = serde_json::from_slice(value) else { continue };
        match members.iter_mut().find(|(known, _)| known == name) {
            Some((_, held)) => *held = value,
            None => members.push((name, value)),
        }
    }
    members
}
