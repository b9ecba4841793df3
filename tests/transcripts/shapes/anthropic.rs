//! Anthropic's Messages, by Anthropic and by those in front of it.

use serde_json::{Value, json};
use tokenway::dialect::Dialect;

use super::{call, expected, sse};
use crate::common::Recording;

fn messages(name: &str, events: &[Value], expected: Value) -> Recording {
    let events: Vec<_> =
        events.iter().map(|it| (it["type"].as_str().unwrap_or("data"), it.clone())).collect();
    sse(name, Dialect::Anthropic, &events, expected)
}

fn start() -> Value {
    let counted = json!({ "input_tokens": 5, "cache_read_input_tokens": 2, "cache_creation_input_tokens": 1, "output_tokens": 1 });
    json!({ "type": "message_start", "message": { "id": "msg_1", "type": "message", "role": "assistant", "content": [], "usage": counted } })
}

fn block(index: u32, block: Value, deltas: &[Value]) -> Vec<Value> {
    let mut events =
        vec![json!({ "type": "content_block_start", "index": index, "content_block": block })];
    let delta =
        |delta: &Value| json!({ "type": "content_block_delta", "index": index, "delta": delta });
    events.extend(deltas.iter().map(delta));
    events.push(json!({ "type": "content_block_stop", "index": index }));
    events
}

fn text(index: u32, said: &str) -> Vec<Value> {
    block(
        index,
        json!({ "type": "text", "text": "" }),
        &[json!({ "type": "text_delta", "text": said })],
    )
}

fn end(reason: &str, more: Value) -> Vec<Value> {
    let mut delta = json!({ "stop_reason": reason, "stop_sequence": null });
    delta.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    vec![
        json!({ "type": "message_delta", "delta": delta, "usage": { "output_tokens": 9 } }),
        json!({ "type": "message_stop" }),
    ]
}

fn done(members: Value) -> Value {
    let mut it = expected(json!({ "finish_reason": "end_turn" }));
    it["usage"] = json!({ "input": 5, "output": 9, "total": null, "cached_input": 2, "cache_write": 1, "reasoning": 0 });
    it["usage_note"] = "input excludes cache".into();
    it.as_object_mut().expect("an object").extend(members.as_object().cloned().unwrap_or_default());
    it
}

pub(super) fn all() -> Vec<Recording> {
    let cited = json!({ "type": "citations_delta", "citation": { "type": "char_location", "cited_text": "x", "document_index": 0, "document_title": "D", "start_char_index": 0, "end_char_index": 1 } });
    let signed = |signature: &str| json!({ "type": "signature_delta", "signature": signature });
    let input = |json: &str| json!({ "type": "input_json_delta", "partial_json": json });
    let mut padded = messages(
        "a refusal in the middle of the text, and padding",
        &[vec![start()], text(0, "Half an"), end("refusal", json!({ "stop_details": { "type": "refusal", "category": "bio", "explanation": null } }))].concat(),
        done(json!({ "text": "Half an", "finish_reason": "refusal", "finish_reason_unified": "refusal" })),
    );
    padded.body = String::from_utf8_lossy(&padded.body).replace("}\n\n", "}        \n\n").into();
    vec![
        padded,
        messages(
            "an adviser that the provider asks",
            &[
                vec![start()],
                block(0, json!({ "type": "thinking", "thinking": "", "signature": "" }), &[signed("c2ln")]),
                block(1, json!({ "type": "server_tool_use", "id": "srvtoolu_1", "name": "advisor", "input": {} }), &[input(""), input("{\"q\":"), input("1}")]),
                block(2, json!({ "type": "advisor_tool_result", "tool_use_id": "srvtoolu_1", "content": { "type": "advisor_result", "text": "yes" } }), &[]),
                text(3, "Hi"),
                end("end_turn", json!({})),
            ]
            .concat(),
            done(json!({ "text": "Hi", "signatures": 1, "server_items": ["server_tool_use", "advisor_tool_result"] })),
        ),
        messages(
            "citations before their text, and null in the beginning",
            &[
                vec![start()],
                block(0, json!({ "type": "text", "text": "", "citations": null }), &[cited.clone(), cited, json!({ "type": "text_delta", "text": "Hé" })]),
                end("end_turn", json!({})),
            ]
            .concat(),
            done(json!({ "text": "Hé", "citations": 2 })),
        ),
        messages(
            "a thought that is not shown",
            &[
                vec![start()],
                block(0, json!({ "type": "thinking", "thinking": "", "signature": "" }), &[json!({ "type": "thinking_delta", "thinking": "" }), signed("YQ=="), ]),
                block(1, json!({ "type": "redacted_thinking", "data": "ZW5j" }), &[]),
                text(2, "Hi"),
                end("end_turn", json!({})),
            ]
            .concat(),
            done(json!({ "text": "Hi", "signatures": 1, "redacted_blocks": 1 })),
        ),
        messages(
            "a mark behind all, under a name of its own",
            &[vec![start()], text(0, "Hi"), end("end_turn", json!({})), vec!["[DONE]".into()]].concat(),
            done(json!({ "text": "Hi" })),
        ),
        messages(
            "calls in parallel, one without arguments, and the provider's own among them",
            &[
                vec![start(), json!({ "type": "ping" })],
                block(0, json!({ "type": "tool_use", "id": "a", "name": "f", "input": {} }), &[input(""), input("")]),
                block(1, json!({ "type": "mcp_tool_use", "id": "m", "name": "look", "server_name": "s", "input": {} }), &[input("{}")]),
                block(2, json!({ "type": "mcp_tool_result", "tool_use_id": "m", "is_error": false, "content": [] }), &[]),
                block(3, json!({ "type": "tool_use", "id": "b", "name": "f", "input": {} }), &[input("{\"a\":\""), input("é\"}")]),
                end("tool_use", json!({})),
            ]
            .concat(),
            done(json!({
                "tool_calls": [call("a", "f", "{}"), call("b", "f", "{\"a\":\"é\"}")],
                "finish_reason": "tool_use", "finish_reason_unified": "tool_calls", "server_items": ["mcp_tool_use", "mcp_tool_result"],
            })),
        ),
        messages(
            "an answer of nothing",
            &[vec![start()], end("end_turn", json!({}))].concat(),
            done(json!({})),
        ),
        messages(
            "a window that is full",
            &[vec![start()], text(0, "Hi"), end("model_context_window_exceeded", json!({}))].concat(),
            done(json!({ "text": "Hi", "finish_reason": "model_context_window_exceeded", "finish_reason_unified": "length" })),
        ),
    ]
}
