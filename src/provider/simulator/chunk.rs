//! The bytes of an answer: OpenAI's chunks as server-sent events, and the whole completion as one object.

use bytes::Bytes;
use serde_json::{Value, json};

use super::script::{Choice, Piece, Script};

/// What the chunks of one answer have in common.
#[derive(Clone, Debug)]
pub(super) struct Encoder {
    id: String,
    created: u64,
    model: String,
    fingerprint: String,
    include_usage: bool,
}

/// The end of every stream that ends well.
pub(super) const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");
/// What says only that the provider is still there.
pub(super) const COMMENT: Bytes = Bytes::from_static(b": SIMULATOR PROCESSING\n\n");

impl Encoder {
    pub(super) fn new(script: &Script, include_usage: bool) -> Self {
        let seed = script.seed;
        Self {
            id: format!("chatcmpl-sim{seed:016x}"),
            // Some moment of the year before the simulator was written: derived, so that answers can be compared.
            created: 1_730_000_000 + seed % 30_000_000,
            model: script.model.clone(),
            fingerprint: format!("fp_{:010x}", seed & 0xff_ffff_ffff),
            include_usage,
        }
    }

    pub(super) fn role(&self, choice: usize, first: Option<&Piece>) -> Bytes {
        let delta = match first {
            Some(Piece::Content(_)) | None => {
                json!({ "role": "assistant", "content": "", "refusal": null })
            }
            Some(Piece::Reasoning(_)) => {
                json!({ "role": "assistant", "content": null, "reasoning_content": "" })
            }
            Some(_) => json!({ "role": "assistant", "content": null }),
        };
        self.choice(choice, delta, Value::Null)
    }

    pub(super) fn piece(&self, choice: usize, piece: &Piece) -> Bytes {
        let delta = match piece {
            Piece::Content(text) => json!({ "content": text }),
            Piece::Reasoning(text) => json!({ "content": null, "reasoning_content": text }),
            Piece::Call { index, id, name } => json!({ "tool_calls": [{
                "index": index,
                "id": id,
                "type": "function",
                "function": { "name": name, "arguments": "" },
            }] }),
            Piece::Arguments { index, fragment } => json!({ "tool_calls": [{
                "index": index,
                "function": { "arguments": fragment },
            }] }),
        };
        self.choice(choice, delta, Value::Null)
    }

    pub(super) fn finish(&self, choice: usize, reason: &str) -> Bytes {
        self.choice(choice, json!({}), Value::from(reason))
    }

    pub(super) fn usage(&self, usage: &Value) -> Bytes {
        let mut chunk = self.envelope("chat.completion.chunk");
        chunk["choices"] = json!([]);
        chunk["usage"] = usage.clone();
        event(&chunk)
    }

    /// The same answer for a caller who does not stream.
    pub(super) fn completion(&self, choices: &[Choice], usage: &Value) -> Value {
        let mut completion = self.envelope("chat.completion");
        completion["choices"] = choices.iter().enumerate().map(whole_choice).collect();
        completion["usage"] = usage.clone();
        completion
    }

    fn choice(&self, index: usize, delta: Value, reason: Value) -> Bytes {
        let mut chunk = self.envelope("chat.completion.chunk");
        chunk["choices"] = json!([
            { "index": index, "delta": delta, "logprobs": null, "finish_reason": reason }
        ]);
        if self.include_usage {
            chunk["usage"] = Value::Null;
        }
        event(&chunk)
    }

    fn envelope(&self, object: &str) -> Value {
        json!({
            "id": self.id,
            "object": object,
            "created": self.created,
            "model": self.model,
            "service_tier": "default",
            "system_fingerprint": self.fingerprint,
        })
    }
}

/// One server-sent event.
pub(super) fn event(data: &Value) -> Bytes {
    Bytes::from(format!("data: {data}\n\n"))
}

fn whole_choice((index, choice): (usize, &Choice)) -> Value {
    let (mut content, mut reasoning) = (String::new(), String::new());
    let mut calls: Vec<(&str, &str, String)> = Vec::new();
    for piece in &choice.pieces {
        match piece {
            Piece::Content(text) => content.push_str(text),
            Piece::Reasoning(text) => reasoning.push_str(text),
            Piece::Call { id, name, .. } => calls.push((id, name, String::new())),
            Piece::Arguments { fragment, .. } => {
                calls.last_mut().expect("a call comes before its arguments").2.push_str(fragment);
            }
        }
    }
    let content = match calls.is_empty() {
        true => Value::from(content),
        false => Value::Null,
    };
    let mut message = json!({ "role": "assistant", "content": content, "refusal": null });
    if !reasoning.is_empty() {
        message["reasoning_content"] = reasoning.into();
    }
    if !calls.is_empty() {
        let call = |(id, name, arguments): &(&str, &str, String)| {
            json!({
                "id": id,
                "type": "function",
                "function": { "name": name, "arguments": arguments },
            })
        };
        message["tool_calls"] = calls.iter().map(call).collect();
    }
    json!({
        "index": index,
        "message": message,
        "logprobs": null,
        "finish_reason": choice.finish,
    })
}
