//! A generation's events become one `message` body.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{
    encode::{block_json, end_members, id},
    shapes::members,
    step::{Block, Delta, End, Step},
    steps::Steps,
};
use crate::{
    dialect::Asked,
    event::{Event, Failed, FailureCode},
};

/// The body for an app that asked without `stream`; a failed generation's failure, or one for a generation without an
/// end.
pub fn encode_whole<'a>(
    events: impl IntoIterator<Item = &'a Event>,
    _asked: &Asked,
) -> Result<Bytes, Failed> {
    let (mut steps, mut said, mut blocks) = (Steps::default(), Vec::new(), Vec::new());
    for event in events {
        steps.take(event, &mut said);
        for step in said.drain(..) {
            match step {
                Step::Open(_, block) => blocks.push(Whole { block, ..Whole::default() }),
                Step::Delta(_, delta) => {
                    if let Some(block) = blocks.last_mut() {
                        block.add(delta);
                    }
                }
                Step::End(end) => return Ok(body(&steps, &blocks, &end)),
                Step::Failed(failed) => return Err(failed),
                Step::Begin | Step::Close(_) | Step::Foreign(_) => {}
            }
        }
    }
    Err(Failed::new(FailureCode::GatewayLost, "the generation has no end"))
}

/// A block that has come to its end.
struct Whole {
    block: Block,
    /// Text, thinking, or arguments.
    text: String,
    signature: String,
    citations: Vec<Box<RawValue>>,
}

impl Default for Whole {
    fn default() -> Self {
        Self {
            block: Block::Text,
            text: String::new(),
            signature: String::new(),
            citations: Vec::new(),
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WholeJson<'a> {
    Text {
        text: &'a str,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        citations: &'a [Box<RawValue>],
    },
    Thinking {
        thinking: &'a str,
        signature: &'a str,
    },
}

impl Whole {
    fn add(&mut self, delta: Delta) {
        match delta {
            Delta::Text(piece) | Delta::Thinking(piece) | Delta::Arguments(piece) => {
                self.text += &piece;
            }
            Delta::Signature(signature) => self.signature = signature,
            Delta::Citation(raw) => self.citations.extend(serde_json::from_slice(&raw).ok()),
            Delta::Raw(_) => {}
        }
    }

    fn json(&self) -> Box<RawValue> {
        let json = match &self.block {
            Block::Text => WholeJson::Text { text: &self.text, citations: &self.citations },
            Block::Thinking => {
                WholeJson::Thinking { thinking: &self.text, signature: &self.signature }
            }
            Block::Redacted(_) => return block_json(&self.block),
            Block::Tool { .. } | Block::Raw(_) => return self.call(),
        };
        to_raw_value(&json).expect("strings and raw JSON become JSON")
    }

    /// A block with its arguments in place of its empty input.
    fn call(&self) -> Box<RawValue> {
        let begun = block_json(&self.block);
        if self.text.is_empty() {
            return begun;
        }
        // Arguments that a token limit cut are no JSON: Anthropic's own way to hand them on.
        let cut = || format!("{{\"INVALID_JSON\":{}}}", serde_json::Value::from(&*self.text));
        let parsed = serde_json::from_str::<&RawValue>(&self.text);
        let input = parsed.map_or_else(|_| cut(), |raw| raw.get().to_owned());
        let member = |(name, value): (String, &RawValue)| {
            let value = if name == "input" { &input } else { value.get() };
            format!("{}:{value}", serde_json::Value::from(name))
        };
        let members: Vec<_> = members(&begun).into_iter().map(member).collect();
        let json = format!("{{{}}}", members.join(","));
        RawValue::from_string(json).unwrap_or(begun)
    }
}

fn body(steps: &Steps, blocks: &[Whole], end: &End) -> Bytes {
    #[derive(Serialize)]
    struct Head<'a> {
        id: String,
        r#type: &'static str,
        role: &'static str,
        model: &'a str,
        content: Vec<Box<RawValue>>,
        stop_reason: &'a str,
    }
    let head = Head {
        id: id(&steps.head),
        r#type: "message",
        role: "assistant",
        model: &steps.head.model,
        content: blocks.iter().map(Whole::json).collect(),
        stop_reason: &end.reason,
    };
    let mut text = serde_json::to_string(&head).expect("strings and raw JSON become JSON");
    text.pop();
    for (name, value) in end_members(end) {
        text += &format!(",{}:{}", serde_json::Value::from(name), value.get());
    }
    text += &format!(",\"usage\":{}}}", String::from_utf8_lossy(&end.usage));
    text.into()
}
