//! Gemini, Bedrock and Ollama.

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use serde_json::{Value, json};
use tokenway::dialect::Dialect;

use super::{call, expected, sse};
use crate::common::Recording;

fn gemini(name: &str, chunks: &[Value], expected: Value) -> Recording {
    let events: Vec<_> = chunks.iter().map(|chunk| ("", chunk.clone())).collect();
    sse(name, Dialect::Gemini, &events, expected)
}

fn parts(parts: Value, reason: Option<&str>) -> Value {
    let mut candidate = json!({ "content": { "role": "model", "parts": parts }, "index": 0 });
    if let Some(reason) = reason {
        candidate["finishReason"] = reason.into();
    }
    json!({ "candidates": [candidate], "usageMetadata": { "promptTokenCount": 5, "candidatesTokenCount": 3, "totalTokenCount": 8 } })
}

fn counted(mut members: Value) -> Value {
    members["usage"] = json!({ "input": 5, "output": 3, "total": 8, "cached_input": null, "cache_write": null, "reasoning": null });
    members["finish_reason"] = members["finish_reason"].as_str().unwrap_or("STOP").into();
    expected(members)
}

fn bedrock(name: &str, events: &[(&str, Value)], expected: Value) -> Recording {
    let mut body = Vec::new();
    for (event, data) in events {
        let header =
            |name, value: &str| Header::new(name, HeaderValue::String(value.to_owned().into()));
        let message = Message::new(data.to_string())
            .add_header(header(":message-type", "event"))
            .add_header(header(":event-type", event));
        write_message_to(&message, &mut body).expect("a frame");
    }
    let content_type = "application/vnd.amazon.eventstream";
    Recording::by_hand(name, Dialect::Bedrock, content_type, body.into(), expected)
}

fn ollama(name: &str, lines: &[Value], expected: Value) -> Recording {
    let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
    Recording::by_hand(name, Dialect::Ollama, "application/x-ndjson", body.into(), expected)
}

pub(super) fn all() -> Vec<Recording> {
    let grounded = json!({ "candidates": [{ "content": { "parts": [{ "text": "" }] }, "index": 0, "finishReason": "STOP",
        "groundingMetadata": { "groundingChunks": [{ "web": { "uri": "https://a", "title": "A" } }], "webSearchQueries": ["q"] } }],
        "usageMetadata": { "promptTokenCount": 5, "candidatesTokenCount": 3, "totalTokenCount": 8 } });
    let server = json!({ "toolUse": { "toolUseId": "t1", "name": "nova_grounding", "type": "server_tool_use" } });
    let at = |index: u32, delta: Value| {
        ("contentBlockDelta", json!({ "contentBlockIndex": index, "delta": delta, "p": "abc" }))
    };
    let stop = |index: u32| ("contentBlockStop", json!({ "contentBlockIndex": index }));
    vec![
        gemini(
            "a signature on an empty text part at the end, and a reason with calls",
            &[
                parts(json!([{ "text": "hm", "thought": true }]), None),
                parts(
                    json!([{ "functionCall": { "name": "f", "args": { "a": 1 } }, "thoughtSignature": "c2ln" }, { "functionCall": { "name": "g", "args": {} } }]),
                    None,
                ),
                parts(json!([{ "text": "", "thoughtSignature": "ZW5k" }]), Some("STOP")),
            ],
            counted(json!({
                "reasoning": "hm", "signatures": 2, "finish_reason_unified": "tool_calls",
                "tool_calls": [{ "id": null, "name": "f", "arguments": "{\"a\":1}" }, { "id": null, "name": "g", "arguments": "{}" }],
            })),
        ),
        gemini(
            "sources that come late",
            &[parts(json!([{ "text": "Hi" }]), None), grounded],
            counted(json!({ "text": "Hi", "citations": 1 })),
        ),
        gemini(
            "an image of several",
            &[
                parts(
                    json!([{ "text": "Two:" }, { "inlineData": { "mimeType": "image/png", "data": "iVBORw0KGgo=" } }]),
                    None,
                ),
                parts(
                    json!([{ "inlineData": { "mimeType": "image/png", "data": "iVBORw0KGgo=" } }, { "future": { "x": 1 } }]),
                    Some("STOP"),
                ),
            ],
            counted(json!({ "text": "Two:", "images": 2 })),
        ),
        gemini(
            "a filter that stops it",
            &[
                parts(json!([{ "text": "Half" }]), None),
                json!({ "candidates": [{ "finishReason": "PROHIBITED_CONTENT", "index": 0 }], "usageMetadata": { "promptTokenCount": 5, "candidatesTokenCount": 3, "totalTokenCount": 8 } }),
            ],
            counted(
                json!({ "text": "Half", "finish_reason": "PROHIBITED_CONTENT", "finish_reason_unified": "content_filter" }),
            ),
        ),
        bedrock(
            "a search that Amazon runs",
            &[
                ("messageStart", json!({ "role": "assistant", "p": "ab" })),
                ("contentBlockStart", json!({ "contentBlockIndex": 0, "start": server })),
                at(0, json!({ "toolUse": { "input": "{\"query\":\"q\"}" } })),
                stop(0),
                (
                    "contentBlockStart",
                    json!({ "contentBlockIndex": 1, "start": { "toolResult": { "toolUseId": "t1", "type": "nova_grounding_result", "status": "success" } } }),
                ),
                at(1, json!({ "toolResult": [{ "json": { "found": 1 } }] })),
                stop(1),
                at(
                    2,
                    json!({ "citation": { "location": { "web": { "url": "https://a", "domain": "a" } } } }),
                ),
                at(2, json!({ "text": "Hé" })),
                stop(2),
                ("messageStop", json!({ "stopReason": "end_turn" })),
                (
                    "metadata",
                    json!({ "usage": { "inputTokens": 5, "outputTokens": 3, "totalTokens": 8 }, "metrics": { "latencyMs": 1 } }),
                ),
            ],
            counted(
                json!({ "text": "Hé", "citations": 1, "finish_reason": "end_turn", "server_items": ["nova_grounding", "toolResult"] }),
            ),
        ),
        ollama(
            "calls without an index, an id or a reason of their own",
            &[
                json!({ "model": "m", "message": { "role": "assistant", "content": "", "thinking": "hm" }, "done": false }),
                json!({ "model": "m", "message": { "role": "assistant", "content": "", "tool_calls": [{ "function": { "name": "f", "arguments": { "a": "é" } } }, { "function": { "index": 0, "name": "g", "arguments": {} } }] }, "done": false }),
                json!({ "model": "m", "message": { "role": "assistant", "content": "" }, "done": true, "done_reason": "stop", "prompt_eval_count": 5, "eval_count": 3 }),
            ],
            {
                let mut it = counted(
                    json!({ "reasoning": "hm", "finish_reason": "stop", "finish_reason_unified": "tool_calls" }),
                );
                it["tool_calls"] = json!([{ "id": null, "name": "f", "arguments": "{\"a\":\"é\"}" }, { "id": null, "name": "g", "arguments": "{}" }]);
                it
            },
        ),
        ollama(
            "a prompt all in the cache is not counted",
            &[
                json!({ "model": "m", "response": "Hi", "done": false }),
                json!({ "model": "m", "response": "", "done": true, "done_reason": "length", "eval_count": 3 }),
            ],
            expected(json!({
                "text": "Hi", "finish_reason": "length", "finish_reason_unified": "length",
                "usage": { "input": 0, "output": 3, "total": null, "cached_input": null, "cache_write": null, "reasoning": null },
            })),
        ),
        gemini(
            "arguments in patches whose end is missing, one call after another",
            &[
                parts(json!([{ "functionCall": { "name": "f", "willContinue": true } }]), None),
                parts(
                    json!([{ "functionCall": { "partialArgs": [{ "jsonPath": "$.a.b[0]", "stringValue": "x", "willContinue": true }], "willContinue": true } }]),
                    None,
                ),
                parts(
                    json!([{ "functionCall": { "partialArgs": [{ "jsonPath": "$.a.b[0]", "stringValue": "y" }], "willContinue": true } }]),
                    None,
                ),
                parts(
                    json!([{ "functionCall": { "name": "g", "id": "own", "willContinue": true } }]),
                    None,
                ),
                parts(
                    json!([{ "functionCall": { "partialArgs": [{ "jsonPath": "$.n", "numberValue": 2 }], "willContinue": true } }]),
                    Some("STOP"),
                ),
            ],
            counted(json!({
                "finish_reason_unified": "tool_calls",
                "tool_calls": [{ "id": null, "name": "f", "arguments": "{\"a\":{\"b\":[\"xy\"]}}" }, call("own", "g", "{\"n\":2}")],
            })),
        ),
    ]
}
