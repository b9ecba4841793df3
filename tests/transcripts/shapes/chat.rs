//! Chat Completions, and those who are compatible with it.

use serde_json::{Value, json};
use tokenway::dialect::Dialect;

use super::{call, expected, sse, usage};
use crate::common::Recording;

const DONE: &str = "[DONE]";

fn chat(name: &str, chunks: &[Value], expected: Value) -> Recording {
    let events: Vec<_> = chunks.iter().map(|chunk| ("", chunk.clone())).collect();
    sse(name, Dialect::OpenAi, &events, expected)
}

fn delta(delta: Value) -> Value {
    json!({ "id": "c", "object": "chat.completion.chunk", "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] })
}

fn of(index: u32, delta: Value, reason: Option<&str>) -> Value {
    json!({ "id": "c", "choices": [{ "index": index, "delta": delta, "finish_reason": reason }] })
}

fn finish(reason: &str) -> Value {
    of(0, json!({}), Some(reason))
}

fn tool(fragment: Value) -> Value {
    delta(json!({ "tool_calls": [fragment] }))
}

pub(super) fn all() -> Vec<Recording> {
    let text = |content: &str| delta(json!({ "content": content }));
    let counted = json!({ "prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8 });
    let calls = json!({ "finish_reason": "tool_calls", "finish_reason_unified": "tool_calls" });
    let called = |list: Value| {
        let mut members = calls.clone();
        members["tool_calls"] = list;
        expected(members)
    };
    let xai = json!({ "prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 12, "completion_tokens_details": { "reasoning_tokens": 4 } });
    vec![
        chat(
            "three choices, interleaved",
            &[
                of(0, json!({ "role": "assistant", "content": "a" }), None),
                of(2, json!({ "role": "assistant", "content": "x" }), None),
                of(1, json!({ "role": "assistant", "content": "1" }), None),
                of(2, json!({ "content": "y" }), None),
                of(0, json!({ "content": "b" }), None),
                of(1, json!({}), Some("length")),
                of(0, json!({}), Some("stop")),
                of(2, json!({ "content": "z" }), Some("stop")),
                DONE.into(),
            ],
            expected(json!({ "text": "ab", "other_choices": [
                { "text": "1", "finish_reason": "length" }, { "text": "xyz", "finish_reason": "stop" },
            ] })),
        ),
        chat(
            "a call cut by the limit",
            &[
                tool(
                    json!({ "index": 0, "id": "a", "type": "function", "function": { "name": "f", "arguments": "" } }),
                ),
                tool(json!({ "index": 0, "function": { "arguments": "{\"q\":\"ha" } })),
                finish("length"),
                DONE.into(),
            ],
            expected(json!({
                "tool_calls": [call("a", "f", "{\"q\":\"ha")],
                "finish_reason": "length", "finish_reason_unified": "length",
            })),
        ),
        chat(
            "a router whose model changes, and its filter's verdicts",
            &[
                json!({ "choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": [{ "prompt_index": 0, "content_filter_results": {} }] }),
                json!({ "id": "c", "model": "gpt-5-nano-2025", "choices": [{ "index": 0, "delta": { "role": "assistant", "content": "", "refusal": null }, "content_filter_results": {}, "finish_reason": null }] }),
                json!({ "id": "c", "model": "gpt-4.1-2025", "choices": [{ "index": 0, "delta": { "content": "Hi" }, "content_filter_results": { "hate": { "filtered": false } }, "finish_reason": null }] }),
                json!({ "id": "", "model": "", "choices": [{ "index": 0, "content_filter_offsets": { "check_offset": 1 }, "content_filter_results": {}, "finish_reason": null }] }),
                finish("stop"),
                DONE.into(),
            ],
            expected(json!({ "text": "Hi" })),
        ),
        chat(
            "a filter that stops it late",
            &[
                text("Half a"),
                json!({ "choices": [{ "index": 0, "content_filter_results": { "hate": { "filtered": true } }, "finish_reason": "content_filter" }] }),
                DONE.into(),
            ],
            expected(
                json!({ "text": "Half a", "finish_reason": "content_filter", "finish_reason_unified": "content_filter" }),
            ),
        ),
        chat(
            "empty names repeated with each fragment",
            &[
                tool(
                    json!({ "id": "D681PevKs", "index": 0, "function": { "name": "f", "arguments": "" } }),
                ),
                tool(
                    json!({ "id": "D681PevKs", "index": 0, "function": { "name": "", "arguments": "{\"a\":" } }),
                ),
                tool(
                    json!({ "id": "D681PevKs", "index": 0, "function": { "name": "", "arguments": "1}" } }),
                ),
                json!({ "choices": [{ "index": 0, "delta": { "content": "" }, "finish_reason": "tool_calls" }], "usage": counted }),
                DONE.into(),
            ],
            {
                let mut it = called(json!([call("D681PevKs", "f", "{\"a\":1}")]));
                it["usage"] = usage(5, 3, 0);
                it
            },
        ),
        chat(
            "a role chunk that holds the first call",
            &[
                delta(
                    json!({ "role": "assistant", "content": null, "tool_calls": [{ "index": 0, "id": "a", "type": "function", "function": { "name": "f", "arguments": "" } }] }),
                ),
                tool(json!({ "index": 0, "function": { "arguments": "{}" } })),
                tool(
                    json!({ "index": 1, "id": "b", "type": "function", "function": { "name": "g", "arguments": "" } }),
                ),
                tool(json!({ "index": 1, "function": { "arguments": "{\"x\":\"é\"}" } })),
                finish("tool_calls"),
                DONE.into(),
            ],
            called(json!([call("a", "f", "{}"), call("b", "g", "{\"x\":\"é\"}")])),
        ),
        chat(
            "the name only with the second fragment, arguments as an object, no index",
            &[
                tool(json!({ "id": "a", "type": "function", "function": { "arguments": "" } })),
                tool(
                    json!({ "id": "a", "function": { "name": "f", "arguments": { "a": [1, null] } } }),
                ),
                tool(json!({ "id": "b", "function": { "name": "f", "arguments": "{}" } })),
                finish("stop"),
                DONE.into(),
            ],
            expected(json!({
                "tool_calls": [call("a", "f", "{\"a\":[1,null]}"), call("b", "f", "{}")],
                "finish_reason_unified": "tool_calls",
            })),
        ),
        chat(
            "the first form of tools",
            &[
                delta(
                    json!({ "role": "assistant", "content": null, "function_call": { "name": "f", "arguments": "" } }),
                ),
                delta(json!({ "function_call": { "arguments": "{\"a\":1}" } })),
                finish("function_call"),
                DONE.into(),
            ],
            expected(json!({
                "tool_calls": [{ "id": null, "name": "f", "arguments": "{\"a\":1}" }],
                "finish_reason": "function_call", "finish_reason_unified": "tool_calls",
            })),
        ),
        chat(
            "thoughts between marks are text",
            &[
                text("<think>\n"),
                text("hm"),
                text("\n</think>\n\n"),
                text("Hi"),
                finish("stop"),
                DONE.into(),
            ],
            expected(json!({ "text": "<think>\nhm\n</think>\n\nHi" })),
        ),
        chat(
            "reasoning counted apart, and only in the details",
            &[
                delta(
                    json!({ "reasoning_details": [{ "type": "reasoning.text", "text": "hm", "index": 0 }] }),
                ),
                delta(
                    json!({ "reasoning_details": [{ "type": "reasoning.summary", "summary": " so", "index": 0 }] }),
                ),
                text("Hi"),
                finish("stop"),
                json!({ "choices": [], "usage": xai }),
                DONE.into(),
            ],
            {
                let mut it = expected(
                    json!({ "text": "Hi", "reasoning": "hm so", "usage": usage(5, 3, 4) }),
                );
                it["usage_note"] = "output excludes reasoning".into();
                it
            },
        ),
        chat(
            "usage in every chunk, and the end without a mark",
            &[
                json!({ "choices": [{ "index": 0, "delta": { "content": "H" }, "finish_reason": null }], "usage": { "prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6 } }),
                json!({ "choices": [{ "index": 0, "delta": { "content": "i" }, "finish_reason": null }], "usage": { "prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7 } }),
                json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }], "usage": counted }),
            ],
            expected(json!({ "text": "Hi", "usage": usage(5, 3, 0) })),
        ),
        chat(
            "moderation and usage behind the reason",
            &[
                text("Hi"),
                finish("stop"),
                json!({ "id": "c", "choices": [], "moderation": { "input": [], "output": [] } }),
                json!({ "id": "c", "choices": [], "usage": counted }),
                DONE.into(),
            ],
            expected(json!({ "text": "Hi", "usage": usage(5, 3, 0) })),
        ),
        chat(
            "a refusal with the reason stop",
            &[
                delta(json!({ "role": "assistant", "content": null, "refusal": "" })),
                delta(json!({ "refusal": "I can" })),
                delta(json!({ "refusal": "not." })),
                finish("stop"),
                DONE.into(),
            ],
            expected(json!({ "refusal": "I cannot." })),
        ),
        chat(
            "an image among the text",
            &[
                text("Here: "),
                delta(
                    json!({ "content": "", "images": [{ "type": "image_url", "image_url": { "url": "data:image/png;base64,iVBORw0KGgo=" }, "index": 0 }] }),
                ),
                finish("stop"),
                DONE.into(),
            ],
            expected(json!({ "text": "Here: ", "images": 1 })),
        ),
        chat(
            "the whole message once more at the end",
            &[
                text("Hi"),
                json!({ "object": "chat.completion.done", "citations": ["https://a.example"], "choices": [{ "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": "Hi" }, "delta": { "role": "assistant", "content": "" } }], "usage": counted }),
            ],
            expected(json!({ "text": "Hi", "citations": 1, "usage": usage(5, 3, 0) })),
        ),
    ]
}
