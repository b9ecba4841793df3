//! Providers of the six dialects: how each says a text, an end, a failure and a sign of life.

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use serde_json::{Value, json};
use tokenway::dialect::Dialect;

use crate::upstream::{self, Call};

/// What every provider says where it fails in its stream.
pub(super) const OVERLOADED: &str = "The model is overloaded.";
/// What it counted, once it has ended well.
pub(super) const INPUT: u64 = 9;

/// A provider's way of speaking; what it says comes framed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Voice(pub(super) Dialect);

impl Voice {
    pub(super) fn content_type(self) -> &'static str {
        match self.0 {
            Dialect::Ollama => "application/x-ndjson",
            Dialect::Bedrock => "application/vnd.amazon.eventstream",
            _ => "text/event-stream",
        }
    }

    /// Begins to answer with a stream.
    pub(super) async fn begin(self, call: &mut Call) {
        let content_type = self.content_type();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\
             connection: close\r\n\r\n"
        );
        call.write(head).await;
    }

    /// The beginning of an answer of text, up to its first delta.
    pub(super) fn open(self, text: &str) -> Vec<u8> {
        let opening = match self.0 {
            Dialect::OpenAi => sse("", &upstream::role()),
            Dialect::Responses => {
                let item = json!({ "id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": [] });
                let part = json!({ "type": "output_text", "text": "", "annotations": [] });
                [
                    response(0, "response.created", &json!({ "response": whole("in_progress", &json!([])) })),
                    response(1, "response.output_item.added", &json!({ "output_index": 0, "item": item })),
                    response(2, "response.content_part.added", &json!({ "item_id": "msg_1", "output_index": 0, "content_index": 0, "part": part })),
                ]
                .concat()
            }
            Dialect::Anthropic => {
                let message = json!({ "id": "msg_1", "type": "message", "role": "assistant", "model": "up-model", "content": [],
                    "stop_reason": null, "stop_sequence": null, "usage": { "input_tokens": INPUT, "output_tokens": 1 } });
                let block = json!({ "type": "text", "text": "" });
                [
                    anthropic("message_start", &json!({ "message": message })),
                    anthropic(
                        "content_block_start",
                        &json!({ "index": 0, "content_block": block }),
                    ),
                ]
                .concat()
            }
            Dialect::Bedrock => event("messageStart", &json!({ "role": "assistant" })),
            Dialect::Gemini | Dialect::Ollama => Vec::new(),
        };
        [opening, self.more(text)].concat()
    }

    /// Another delta of the text.
    pub(super) fn more(self, text: &str) -> Vec<u8> {
        match self.0 {
            Dialect::OpenAi => sse("", &upstream::delta(text)),
            Dialect::Responses => {
                let delta = json!({ "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": text });
                response(3, "response.output_text.delta", &delta)
            }
            Dialect::Anthropic => {
                let delta = json!({ "type": "text_delta", "text": text });
                anthropic("content_block_delta", &json!({ "index": 0, "delta": delta }))
            }
            Dialect::Gemini => {
                let content = json!({ "parts": [{ "text": text }], "role": "model" });
                sse("", &json!({ "candidates": [{ "content": content, "index": 0 }] }).to_string())
            }
            Dialect::Ollama => ollama(text, &json!({ "done": false })),
            Dialect::Bedrock => {
                let delta = json!({ "contentBlockIndex": 0, "delta": { "text": text } });
                event("contentBlockDelta", &delta)
            }
        }
    }

    /// A good end: the reason, what was counted, the terminator.
    pub(super) fn end(self) -> Vec<u8> {
        match self.0 {
            Dialect::OpenAi => [upstream::finish(), upstream::usage(), "[DONE]".to_owned()]
                .map(|it| sse("", &it))
                .concat(),
            Dialect::Responses => {
                let output = json!([{ "id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [] }]);
                let mut last = whole("completed", &output);
                last["usage"] =
                    json!({ "input_tokens": INPUT, "output_tokens": 4, "total_tokens": INPUT + 4 });
                response(4, "response.completed", &json!({ "response": last }))
            }
            Dialect::Anthropic => {
                let delta = json!({ "stop_reason": "end_turn", "stop_sequence": null });
                [
                    anthropic("content_block_stop", &json!({ "index": 0 })),
                    anthropic(
                        "message_delta",
                        &json!({ "delta": delta, "usage": { "output_tokens": 4 } }),
                    ),
                    anthropic("message_stop", &json!({})),
                ]
                .concat()
            }
            Dialect::Gemini => {
                let content = json!({ "parts": [{ "text": "" }], "role": "model" });
                let end = json!({
                    "candidates": [{ "content": content, "finishReason": "STOP", "index": 0 }],
                    "usageMetadata": { "promptTokenCount": INPUT, "candidatesTokenCount": 4, "totalTokenCount": INPUT + 4 },
                });
                sse("", &end.to_string())
            }
            Dialect::Ollama => ollama(
                "",
                &json!({ "done": true, "done_reason": "stop", "prompt_eval_count": INPUT, "eval_count": 4 }),
            ),
            Dialect::Bedrock => {
                let usage =
                    json!({ "inputTokens": INPUT, "outputTokens": 4, "totalTokens": INPUT + 4 });
                [
                    event("contentBlockStop", &json!({ "contentBlockIndex": 0 })),
                    event("messageStop", &json!({ "stopReason": "end_turn" })),
                    event("metadata", &json!({ "usage": usage })),
                ]
                .concat()
            }
        }
    }

    /// A failure within the stream, after its status was 200.
    pub(super) fn fault(self) -> Vec<u8> {
        match self.0 {
            Dialect::OpenAi => sse(
                "",
                &json!({ "error": { "message": OVERLOADED, "type": "server_error" } }).to_string(),
            ),
            Dialect::Responses => {
                let error = json!({ "code": "server_error", "message": OVERLOADED, "param": null });
                response(9, "error", &error)
            }
            Dialect::Anthropic => {
                let error = json!({ "type": "overloaded_error", "message": OVERLOADED });
                anthropic("error", &json!({ "error": error }))
            }
            Dialect::Gemini => {
                let error = json!({ "code": 503, "message": OVERLOADED, "status": "UNAVAILABLE" });
                sse("", &json!({ "error": error }).to_string())
            }
            Dialect::Ollama => line(&json!({ "error": OVERLOADED })),
            Dialect::Bedrock => {
                frame("exception", "throttlingException", &json!({ "message": OVERLOADED }))
            }
        }
    }

    /// A sign of life that says nothing.
    pub(super) fn ping(self) -> Vec<u8> {
        match self.0 {
            Dialect::OpenAi | Dialect::Gemini => b": OPENROUTER PROCESSING\n\nretry: 3000\n\n".to_vec(),
            Dialect::Responses => b": keep-alive\n\nevent: keepalive\ndata: {\"type\":\"keepalive\",\"sequence_number\":3}\n\n".to_vec(),
            Dialect::Anthropic => anthropic("ping", &json!({})),
            Dialect::Ollama => b"\n".to_vec(),
            // It has none of its own; this is the one that passes through for Anthropic's models.
            Dialect::Bedrock => Vec::new(),
        }
    }
}

/// A payload of server-sent events.
pub(super) fn sse(name: &str, data: &str) -> Vec<u8> {
    let name = if name.is_empty() { String::new() } else { format!("event: {name}\n") };
    format!("{name}data: {data}\n\n").into_bytes()
}

/// A payload of Anthropic's, whose type is its name.
pub(super) fn anthropic(name: &str, members: &Value) -> Vec<u8> {
    sse(name, &typed(name, members).to_string())
}

/// A payload of Responses.
pub(super) fn response(number: u64, name: &str, members: &Value) -> Vec<u8> {
    let mut payload = typed(name, members);
    payload["sequence_number"] = number.into();
    sse(name, &payload.to_string())
}

fn typed(name: &str, members: &Value) -> Value {
    let mut payload = members.clone();
    payload["type"] = name.into();
    payload
}

fn whole(status: &str, output: &Value) -> Value {
    json!({ "id": "resp_1", "object": "response", "created_at": 1_790_000_000, "status": status, "model": "up-model",
        "output": output, "error": null, "incomplete_details": null, "usage": null })
}

/// A line of JSON.
pub(super) fn line(payload: &Value) -> Vec<u8> {
    format!("{payload}\n").into_bytes()
}

fn ollama(text: &str, members: &Value) -> Vec<u8> {
    let mut payload = members.clone();
    payload["model"] = "up-model".into();
    payload["created_at"] = "2026-01-01T00:00:00Z".into();
    payload["message"] = json!({ "role": "assistant", "content": text });
    line(&payload)
}

/// An event of Bedrock's.
pub(super) fn event(name: &str, payload: &Value) -> Vec<u8> {
    frame("event", name, payload)
}

fn frame(kind: &str, name: &str, payload: &Value) -> Vec<u8> {
    let text = |value: &str| HeaderValue::String(value.to_owned().into());
    let message = Message::new(payload.to_string())
        .add_header(Header::new(":message-type", text(kind)))
        .add_header(Header::new(format!(":{kind}-type"), text(name)));
    let mut frame = Vec::new();
    write_message_to(&message, &mut frame).expect("a message that can be written");
    frame
}
