//! Responses, by OpenAI and by others.

use serde_json::{Value, json};
use tokenway::dialect::Dialect;

use super::{call, expected, sse, usage};
use crate::common::Recording;

/// Events in order, each under its type and numbered; what is no object stands as it is.
fn responses(name: &str, events: Vec<Value>, expected: Value) -> Recording {
    let number = |(at, mut event): (usize, Value)| match event.is_object() {
        true => {
            event["sequence_number"] = at.into();
            (event["type"].as_str().unwrap_or_default().to_owned(), event)
        }
        false => (String::new(), event),
    };
    let events: Vec<_> = events.into_iter().enumerate().map(number).collect();
    let events: Vec<_> = events.iter().map(|(name, event)| (&**name, event.clone())).collect();
    sse(name, Dialect::Responses, &events, expected)
}

fn event(kind: &str, mut members: Value) -> Value {
    members["type"] = format!("response.{kind}").into();
    members
}

fn created() -> Value {
    event(
        "created",
        json!({ "response": { "id": "resp_1", "status": "in_progress", "output": [] } }),
    )
}

fn completed(output: Value) -> Value {
    let counted = json!({ "input_tokens": 5, "output_tokens": 3, "total_tokens": 8, "output_tokens_details": { "reasoning_tokens": 1 } });
    event(
        "completed",
        json!({ "response": { "id": "resp_1", "status": "completed", "output": output, "usage": counted } }),
    )
}

fn function(at: u32, id: &str, call_id: &str, name: &str, arguments: &str) -> Vec<Value> {
    let item = |arguments: &str| json!({ "id": id, "type": "function_call", "call_id": call_id, "name": name, "arguments": arguments });
    vec![
        event("output_item.added", json!({ "output_index": at, "item": item("") })),
        event(
            "function_call_arguments.delta",
            json!({ "output_index": at, "item_id": id, "delta": arguments }),
        ),
        event(
            "function_call_arguments.done",
            json!({ "output_index": at, "item_id": id, "arguments": arguments }),
        ),
        event("output_item.done", json!({ "output_index": at, "item": item(arguments) })),
    ]
}

fn message(at: u32, text: &str) -> Vec<Value> {
    let item = |content: Value| json!({ "id": "msg_1", "type": "message", "role": "assistant", "content": content });
    let whole = json!({ "type": "output_text", "text": text, "annotations": [] });
    let place = |mut members: Value| {
        for (name, value) in
            [("output_index", json!(at)), ("item_id", json!("msg_1")), ("content_index", json!(0))]
        {
            members[name] = value;
        }
        members
    };
    vec![
        event("output_item.added", json!({ "output_index": at, "item": item(json!([])) })),
        event(
            "content_part.added",
            place(json!({ "part": { "type": "output_text", "text": "", "annotations": [] } })),
        ),
        event(
            "output_text.delta",
            place(json!({ "delta": text, "logprobs": [], "obfuscation": "x3f" })),
        ),
        event("output_text.done", place(json!({ "text": text }))),
        event("content_part.done", place(json!({ "part": whole.clone() }))),
        event("output_item.done", json!({ "output_index": at, "item": item(json!([whole])) })),
    ]
}

fn done(text: &str, calls: Value, reason: &str) -> Value {
    expected(json!({
        "text": text, "tool_calls": calls, "finish_reason": "completed", "finish_reason_unified": reason,
        "usage": usage(5, 3, 1),
    }))
}

pub(super) fn all() -> Vec<Recording> {
    let image = |members: Value| {
        let mut item = json!({ "id": "ig_1", "type": "image_generation_call" });
        item.as_object_mut()
            .expect("an object")
            .extend(members.as_object().cloned().unwrap_or_default());
        item
    };
    let preview = |number: u32| {
        event(
            "image_generation_call.partial_image",
            json!({ "output_index": 0, "item_id": "ig_1", "partial_image_index": number, "partial_image_b64": "iVBORw0KGgo=" }),
        )
    };
    let keepalive = || json!({ "type": "keepalive" });
    let thought = |encrypted: &str, summary: Value| json!({ "id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": encrypted });
    let mut custom = vec![created()];
    let item = |input: &str| json!({ "id": "ctc_1", "type": "custom_tool_call", "call_id": "c1", "name": "sh", "input": input });
    custom.extend([
        event("output_item.added", json!({ "output_index": 0, "item": item("") })),
        event(
            "custom_tool_call_input.delta",
            json!({ "output_index": 0, "item_id": "ctc_1", "delta": "ls " }),
        ),
        event(
            "custom_tool_call_input.delta",
            json!({ "output_index": 0, "item_id": "ctc_1", "delta": "-l" }),
        ),
        event(
            "custom_tool_call_input.done",
            json!({ "output_index": 0, "item_id": "ctc_1", "input": "ls -l" }),
        ),
        event("output_item.done", json!({ "output_index": 0, "item": item("ls -l") })),
        completed(json!([item("ls -l")])),
    ]);
    vec![
        responses(
            "a call's id used again",
            [
                vec![created()],
                function(0, "fc_1", "call_0", "f", "{\"a\":1}"),
                function(1, "fc_2", "call_0", "g", "{\"b\":2}"),
                vec![completed(json!([]))],
            ]
            .concat(),
            done("", json!([call("call_0", "f", "{\"a\":1}"), call("call_0", "g", "{\"b\":2}")]), "tool_calls"),
        ),
        responses(
            "several calls wrapped into one",
            [
                vec![created()],
                function(0, "fc_1", "c1", "multi_tool_use.parallel", "{\"tool_uses\":[{\"recipient_name\":\"functions.f\",\"parameters\":{}}]}"),
                vec![completed(json!([]))],
            ]
            .concat(),
            done("", json!([call("c1", "multi_tool_use.parallel", "{\"tool_uses\":[{\"recipient_name\":\"functions.f\",\"parameters\":{}}]}")]), "tool_calls"),
        ),
        responses(
            "a last response without its output",
            [vec![created()], message(0, "Hé"), vec![completed(json!([]))]].concat(),
            done("Hé", json!([]), "stop"),
        ),
        responses(
            "previews of an image, and signs of life between them",
            vec![
                created(),
                event("output_item.added", json!({ "output_index": 0, "item": image(json!({ "status": "in_progress" })) })),
                event("image_generation_call.in_progress", json!({ "output_index": 0, "item_id": "ig_1" })),
                keepalive(),
                event("image_generation_call.generating", json!({ "output_index": 0, "item_id": "ig_1" })),
                preview(0),
                keepalive(),
                preview(1),
                event("image_generation_call.completed", json!({ "output_index": 0, "item_id": "ig_1" })),
                event("output_item.done", json!({ "output_index": 0, "item": image(json!({ "status": "completed", "result": "iVBORw0KGgo=" })) })),
                completed(json!([image(json!({ "status": "completed", "result": "iVBORw0KGgo=" }))])),
            ],
            {
                let mut it = done("", json!([]), "stop");
                it["images"] = 1.into();
                it
            },
        ),
        responses(
            "a thought whose encrypted content is only final at its end, and a mark behind all",
            [
                vec![
                    created(),
                    event("output_item.added", json!({ "output_index": 0, "item": thought("short", json!([])) })),
                    event("reasoning_summary_part.added", json!({ "output_index": 0, "item_id": "rs_1", "summary_index": 0, "part": { "type": "summary_text", "text": "" } })),
                    event("reasoning_summary_text.delta", json!({ "output_index": 0, "item_id": "rs_1", "summary_index": 0, "delta": "hm" })),
                    event("reasoning_summary_text.done", json!({ "output_index": 0, "item_id": "rs_1", "summary_index": 0, "text": "hm" })),
                    event("output_item.done", json!({ "output_index": 0, "item": thought("lasting", json!([{ "type": "summary_text", "text": "hm" }])) })),
                ],
                message(1, "Hi"),
                vec![completed(json!([])), "[DONE]".into()],
            ]
            .concat(),
            {
                let mut it = done("Hi", json!([]), "stop");
                it["reasoning"] = "hm".into();
                it
            },
        ),
        responses("a tool that takes plain text", custom, done("", json!([call("c1", "sh", "ls -l")]), "tool_calls")),
        responses(
            "an answer that a filter stopped",
            [
                vec![created()],
                message(0, "Half"),
                vec![event("incomplete", json!({ "response": { "status": "incomplete", "incomplete_details": { "reason": "content_filter" }, "output": [] } }))],
            ]
            .concat(),
            expected(json!({ "text": "Half", "finish_reason": "incomplete:content_filter", "finish_reason_unified": "content_filter" })),
        ),
    ]
}
