//! Calls of tools: several at once, mixed, badly numbered, and nothing but calls.

use serde_json::{Value, json};
use tokenway::dialect::AppDialect;

use super::{
    kit::{APPS, all, ask, payloads},
    lifecycle::{is_a_message, is_a_response},
};
use crate::{
    gateway::{sent, stream_of},
    upstream,
};

/// Whether the first payload is the one that the dialect's SDK needs first.
pub(super) fn begins(app: AppDialect, told: &[Value]) -> bool {
    match app {
        AppDialect::Responses => told[0]["type"] == "response.created",
        AppDialect::Anthropic => told[0]["type"] == "message_start",
        AppDialect::OpenAi | AppDialect::Gemini => true,
    }
}

/// The calls that an app was told: id, name, arguments.
pub(super) fn calls_of(app: AppDialect, told: &[Value]) -> Vec<(String, String, Value)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut calls: Vec<(String, String, String)> = Vec::new();
    for payload in told {
        match app {
            AppDialect::OpenAi => {
                let parts = payload["choices"][0]["delta"]["tool_calls"].as_array();
                for part in parts.into_iter().flatten() {
                    let function = &part["function"];
                    let at =
                        usize::try_from(part["index"].as_u64().expect("an index")).expect("few");
                    if at == calls.len() {
                        calls.push((text(&part["id"]), text(&function["name"]), String::new()));
                    }
                    calls[at].2 += function["arguments"].as_str().unwrap_or_default();
                }
            }
            AppDialect::Responses if payload["type"] == "response.completed" => {
                let output = payload["response"]["output"].as_array().expect("items").iter();
                let output = output.filter(|item| item["type"] == "function_call");
                calls.extend(output.map(|item| {
                    (text(&item["call_id"]), text(&item["name"]), text(&item["arguments"]))
                }));
            }
            AppDialect::Responses => {}
            AppDialect::Anthropic => {
                let block = &payload["content_block"];
                if block["type"] == "tool_use" {
                    calls.push((text(&block["id"]), text(&block["name"]), String::new()));
                }
                if let Some(part) = payload["delta"]["partial_json"].as_str() {
                    calls.last_mut().expect("a call").2 += part;
                }
            }
            AppDialect::Gemini => {
                let parts = payload["candidates"][0]["content"]["parts"].as_array();
                let parts = parts.into_iter().flatten().map(|part| &part["functionCall"]);
                calls.extend(parts.filter(|call| call.is_object()).map(|call| {
                    (text(&call["id"]), text(&call["name"]), call["args"].to_string())
                }));
            }
        }
    }
    let read = |text: &str| serde_json::from_str(if text.is_empty() { "{}" } else { text });
    let calls = calls.into_iter();
    calls.map(|(id, name, said)| (id, name, read(&said).expect("whole arguments"))).collect()
}

/// What an app of each dialect is told where OpenAI's provider says these tool calls, chunk by chunk.
async fn told(chunks: &[Value]) -> Vec<(AppDialect, Vec<Value>)> {
    let (gateway, upstream) = all().await;
    let mut all = Vec::new();
    for app in APPS {
        let call = sent(ask(&gateway, app, "openai", true));
        let mut answer = upstream.call().await;
        answer.begin().await;
        answer.event(upstream::role()).await;
        for chunk in chunks {
            let delta = match chunk {
                Value::String(text) => json!({ "content": text }),
                call => json!({ "tool_calls": [call] }),
            };
            let chunk =
                json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] });
            answer.event(chunk.to_string()).await;
        }
        let end =
            json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "tool_calls" }] });
        answer.event(end.to_string()).await;
        answer.event(upstream::usage()).await;
        answer.event("[DONE]").await;
        answer.try_end().await;
        let items = stream_of(call).await.rest().await;
        let told = payloads(&items);
        match app {
            AppDialect::Anthropic => is_a_message(&told),
            AppDialect::Responses => is_a_response(&told),
            AppDialect::OpenAi | AppDialect::Gemini => {}
        }
        all.push((app, told));
    }
    gateway.stop().await;
    all
}

fn begun(index: u64, id: &str, name: &str) -> Value {
    json!({ "index": index, "id": id, "type": "function", "function": { "name": name, "arguments": "" } })
}

fn more(index: u64, arguments: &str) -> Value {
    json!({ "index": index, "function": { "arguments": arguments } })
}

fn said(calls: &[(String, String, Value)]) -> Vec<(&str, &Value)> {
    calls.iter().map(|(_, name, arguments)| (name.as_str(), arguments)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_only_a_call_begins_and_ends_as_any_other() {
    let chunks = [begun(0, "call_1", "weather"), more(0, "{\"city\":"), more(0, "\"Oslo\"}")];
    for (app, told) in told(&chunks).await {
        assert!(begins(app, &told), "{app:?}: {told:?}");
        assert_eq!(
            said(&calls_of(app, &told)),
            [("weather", &json!({ "city": "Oslo" }))],
            "{app:?}"
        );
        let word = |it: &Value| match app {
            AppDialect::OpenAi => it["choices"][0]["finish_reason"] == "tool_calls",
            AppDialect::Anthropic => it["delta"]["stop_reason"] == "tool_use",
            AppDialect::Responses => it["response"]["status"] == "completed",
            AppDialect::Gemini => it["candidates"][0]["finishReason"] == "STOP",
        };
        assert!(told.iter().any(word), "{app:?}: {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_calls_whose_fragments_interleave_stay_apart_in_every_dialect() {
    let chunks = [
        begun(0, "call_a", "weather"),
        begun(1, "call_b", "time"),
        more(0, "{\"city\":"),
        more(1, "{\"zone\":"),
        more(0, "\"Oslo\"}"),
        more(1, "\"CET\"}"),
    ];
    let (oslo, cet) = (json!({ "city": "Oslo" }), json!({ "zone": "CET" }));
    for (app, told) in told(&chunks).await {
        let calls = calls_of(app, &told);
        assert_eq!(said(&calls), [("weather", &oslo), ("time", &cet)], "{app:?}: {told:?}");
        assert_ne!(calls[0].0, calls[1].0, "{app:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_without_an_index_or_all_with_nought_are_told_apart_by_their_ids() {
    let whole = |id: &str, name: &str, arguments: &str, index: Option<u64>| {
        let mut call = json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } });
        if let Some(index) = index {
            call["index"] = index.into();
        }
        call
    };
    let (oslo, cet) = (json!({ "city": "Oslo" }), json!({ "zone": "CET" }));
    for index in [None, Some(0)] {
        let chunks = [
            whole("call_a", "weather", &oslo.to_string(), index),
            whole("call_b", "time", &cet.to_string(), index),
        ];
        for (app, told) in told(&chunks).await {
            // A chat app before OpenAI's dialect gets what the provider said.
            if app != AppDialect::OpenAi {
                let calls = calls_of(app, &told);
                assert_eq!(said(&calls), [("weather", &oslo), ("time", &cet)], "{app:?}: {told:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_before_and_after_a_call_has_blocks_of_its_own() {
    let chunks =
        [json!("Let me see."), begun(0, "call_a", "weather"), more(0, "{}"), json!("Done.")];
    for (app, told) in told(&chunks).await {
        assert_eq!(said(&calls_of(app, &told)), [("weather", &json!({}))], "{app:?}");
        if app == AppDialect::Anthropic {
            let kinds = told.iter().filter_map(|it| it["content_block"]["type"].as_str());
            assert_eq!(kinds.collect::<Vec<_>>(), ["text", "tool_use", "text"], "{told:?}");
        }
    }
}
