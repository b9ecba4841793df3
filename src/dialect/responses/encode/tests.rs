mod pictures;
mod random;
mod recorded;

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::{
    dialect::{
        Dialect, Ending, Flow, Sealed,
        responses::{Decoder, encode_whole, items_of, snapshot},
        unseal,
    },
    event::{Media, Native, Reasoning, Resumed, Started, ToolArguments, ToolCall, Usage},
    provider::sse::Payload,
};

fn started(dialect: &str) -> Event {
    Event::new(Kind::Started(Started {
        id: "gen_abc".into(),
        model: "m".into(),
        provider: "p".into(),
        dialect: dialect.into(),
        created_ms: 1_700_000_000_500,
        ..Started::default()
    }))
}

fn asked(request: &Value) -> Asked {
    Asked { usage: false, request: request.to_string().into() }
}

fn wires(events: &[Event]) -> Vec<Wire> {
    let mut encoder = Encoder::new(&Asked::default());
    let mut out = Vec::new();
    for event in events {
        encoder.encode(event, &mut out);
    }
    out
}

fn values(wires: &[Wire]) -> Vec<Value> {
    wires.iter().map(|wire| serde_json::from_slice(&wire.data).expect("JSON")).collect()
}

/// What an app makes of the stream.
fn decoded(wires: &[Wire]) -> Vec<Event> {
    let mut decoder = Decoder::new("gen_other");
    let mut out = Vec::new();
    let mut ending = Ending::Eof;
    for wire in wires {
        let event = Bytes::from_static(wire.name.as_bytes());
        let payload = Payload { event, ..Payload::of(wire.data.clone()) };
        if decoder.decode(&payload, &mut out).flow == Flow::Ended {
            ending = Ending::Terminator;
        }
    }
    decoder.finish(ending, &mut out);
    out
}

fn text(text: &str) -> Event {
    Event::text(text)
}

fn thought(text: &str) -> Event {
    Event::new(Kind::Reasoning(Reasoning { text: text.into(), ..Reasoning::default() }))
}

fn signature(signature: &str) -> Event {
    let signature = signature.into();
    Event::new(Kind::Reasoning(Reasoning { signature, ..Reasoning::default() }))
}

fn encrypted(encrypted: &str) -> Event {
    let encrypted = encrypted.into();
    Event::new(Kind::Reasoning(Reasoning { encrypted, ..Reasoning::default() }))
}

fn call(index: u32, run_by: RunBy) -> Event {
    let (id, name) = (format!("call_{index}"), format!("tool_{index}"));
    Event::new(Kind::ToolCall(ToolCall { index, id, name, run_by }))
}

fn arguments(index: u32, arguments: &str) -> Event {
    let arguments = arguments.into();
    Event::new(Kind::ToolArguments(ToolArguments { index, arguments }))
}

fn finished(reason: FinishReason) -> Event {
    Event::new(Kind::Finished(Finished { reason, native_reason: None }))
}

fn native(name: &str, data: &Value) -> Event {
    let (dialect, name) = (NAME.to_owned(), name.to_owned());
    Event::new(Kind::Native(Native { dialect, name, data: data.to_string().into() }))
}

/// Checks a whole stream's lifecycle as strictly as any SDK; the last response.
fn check(payloads: &[Value]) -> Value {
    let mut items: BTreeMap<u64, (Value, bool)> = BTreeMap::new();
    let mut texts: BTreeMap<(u64, String), String> = BTreeMap::new();
    let terminal = ["response.completed", "response.incomplete", "response.failed"];
    for (number, payload) in payloads.iter().enumerate() {
        assert_eq!(payload["sequence_number"], number, "without a gap: {payload}");
        let kind = payload["type"].as_str().expect("a type");
        let last = number + 1 == payloads.len();
        assert_eq!(terminal.contains(&kind), last, "the end is the last: {payload}");
        assert_eq!(kind == "response.created", number == 0, "{payload}");
        assert_eq!(kind == "response.in_progress", number == 1, "{payload}");
        let Some(index) = payload["output_index"].as_u64() else { continue };
        match kind {
            "response.output_item.added" => {
                assert_eq!(index as usize, items.len(), "counted: {payload}");
                items.insert(index, (payload["item"].clone(), false));
            }
            "response.output_item.done" => {
                let (item, done) = items.get_mut(&index).expect("added before");
                assert!(!std::mem::replace(done, true), "done once: {payload}");
                assert_eq!(item["id"], payload["item"]["id"]);
                *item = payload["item"].clone();
            }
            _ => {
                let (item, done) = &items[&index];
                assert!(!done, "within its item: {payload}");
                assert_eq!(item["id"], payload["item_id"], "{payload}");
                let part = payload.get("content_index").or(payload.get("summary_index"));
                let key = (index, part.map(Value::to_string).unwrap_or_default());
                if let Some(delta) = payload["delta"].as_str() {
                    *texts.entry(key).or_default() += delta;
                } else if kind.ends_with(".done") && payload.get("part").is_none() {
                    let whole = ["text", "refusal", "arguments", "input"];
                    let whole = whole.iter().find_map(|name| payload[*name].as_str());
                    assert_eq!(
                        whole.expect("a whole text"),
                        texts.remove(&key).unwrap_or_default()
                    );
                }
            }
        }
    }
    assert!(items.values().all(|(_, done)| *done), "every item ends");
    assert!(texts.is_empty(), "every text ends: {texts:?}");
    let response = payloads.last().expect("an end")["response"].clone();
    let output: Vec<_> = items.into_values().map(|(item, _)| item).collect();
    assert_eq!(response["output"], Value::Array(output), "the end repeats every item");
    response
}

#[test]
fn an_answer_has_the_whole_lifecycle_in_order() {
    let usage = Usage { input: 3, output: 5, reasoning: 2, ..Usage::default() };
    let payloads = values(&wires(&[
        started("anthropic"),
        thought("h"),
        thought("m"),
        signature("sig"),
        text("Hel"),
        text("lo"),
        call(0, RunBy::Client),
        arguments(0, "{\"a\""),
        arguments(0, ":1}"),
        Event::new(Kind::Usage(usage)),
        finished(FinishReason::ToolCalls),
    ]));
    let response = check(&payloads);
    let kinds: Vec<_> = payloads
        .iter()
        .map(|payload| payload["type"].as_str().expect("a type").trim_start_matches("response."))
        .collect();
    assert_eq!(
        kinds,
        [
            "created",
            "in_progress",
            "output_item.added",
            "reasoning_summary_part.added",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.done",
            "reasoning_summary_part.done",
            "output_item.done",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "output_item.done",
            "completed",
        ]
    );
    assert_eq!(response["id"], "resp_abc");
    assert_eq!(response["created_at"], 1_700_000_000);
    assert_eq!((&response["status"], &response["error"]), (&json!("completed"), &Value::Null));
    assert_eq!(response["usage"]["total_tokens"], 8);
    let sealed = response["output"][0]["encrypted_content"].as_str().expect("sealed");
    assert_eq!(unseal(sealed), Some((Dialect::Anthropic, Sealed::Signature, "sig".into())));
    assert_eq!(response["output"][2]["call_id"], "call_0");
    assert_eq!(response["output"][2]["arguments"], "{\"a\":1}");
}

#[test]
fn ends_have_the_status_that_says_them() {
    let native = |reason, word: &str| {
        let native_reason = Some(word.to_owned());
        Event::new(Kind::Finished(Finished { reason, native_reason }))
    };
    let failed =
        |code, status| Event::new(Kind::Failed(Failed { status, ..Failed::new(code, "no") }));
    for (dialect, end, kind, status, reason, code) in [
        ("gemini", finished(FinishReason::Stop), "completed", "completed", None, None),
        ("gemini", finished(FinishReason::Pause), "completed", "completed", None, None),
        (
            "gemini",
            finished(FinishReason::Length),
            "incomplete",
            "incomplete",
            Some("max_output_tokens"),
            None,
        ),
        (
            "gemini",
            finished(FinishReason::ContentFilter),
            "incomplete",
            "incomplete",
            Some("content_filter"),
            None,
        ),
        (
            "anthropic",
            finished(FinishReason::Refusal),
            "incomplete",
            "incomplete",
            Some("content_filter"),
            None,
        ),
        (
            "responses",
            native(FinishReason::Pause, "incomplete:steered"),
            "incomplete",
            "incomplete",
            Some("steered"),
            None,
        ),
        (
            "gemini",
            failed(FailureCode::UpstreamError, 429),
            "failed",
            "failed",
            None,
            Some("rate_limit_exceeded"),
        ),
        ("gemini", failed(FailureCode::Timeout, 0), "failed", "failed", None, Some("server_error")),
        (
            "gemini",
            failed(FailureCode::Cancelled, 0),
            "failed",
            "cancelled",
            None,
            Some("server_error"),
        ),
    ] {
        let payloads = values(&wires(&[started(dialect), text("Hi"), end]));
        let response = check(&payloads);
        let last = payloads.last().expect("an end");
        assert_eq!(last["type"], format!("response.{kind}"));
        assert_eq!(response["status"], status);
        assert_eq!(response["incomplete_details"]["reason"].as_str(), reason);
        assert_eq!(response["error"]["code"].as_str(), code);
        assert_eq!(response["error"]["message"].as_str(), code.map(|_| "no"));
    }
    let refused = [
        started("anthropic"),
        Event::new(Kind::Refusal("I can't".into())),
        finished(FinishReason::Refusal),
    ];
    let response = check(&values(&wires(&refused)));
    assert_eq!(response["status"], "completed");
    assert_eq!(response["output"][0]["content"][0], json!({"type":"refusal","refusal":"I can't"}));
}

#[test]
fn tools_that_another_provider_ran_are_not_shown_as_calls() {
    let response = check(&values(&wires(&[
        started("anthropic"),
        call(0, RunBy::Server),
        arguments(0, "{\"query\":\"x\"}"),
        call(1, RunBy::Client),
        arguments(1, "{}"),
        finished(FinishReason::ToolCalls),
    ])));
    assert_eq!(response["output"].as_array().map(Vec::len), Some(1));
    assert_eq!(response["output"][0]["call_id"], "call_1");
}

#[test]
fn interleaved_calls_lose_nothing_and_a_call_without_arguments_has_an_object() {
    let response = check(&values(&wires(&[
        started("openai"),
        call(0, RunBy::Client),
        arguments(0, "{\"a\""),
        call(1, RunBy::Client),
        arguments(1, "{\"b\""),
        arguments(0, ":1}"),
        text("meanwhile"),
        arguments(1, ":2}"),
        call(2, RunBy::Client),
        finished(FinishReason::ToolCalls),
    ])));
    let whole: Vec<_> = response["output"]
        .as_array()
        .expect("items")
        .iter()
        .filter_map(|item| item["arguments"].as_str())
        .collect();
    assert_eq!(whole, ["{\"a\":1}", "{\"b\":2}", "{}"]);
    let cut = check(&values(&wires(&[
        started("openai"),
        call(0, RunBy::Client),
        arguments(0, "{\"a\""),
        finished(FinishReason::Length),
    ])));
    assert_eq!(cut["output"][0]["arguments"], "{\"a\"");
    assert_eq!(cut["output"][0]["status"], "incomplete");
}

#[test]
fn makers_marks_stay_apart() {
    let opened = |dialect: &str, events: &[Event]| -> Vec<(String, Option<(Sealed, String)>)> {
        let mut all = vec![started(dialect)];
        all.extend_from_slice(events);
        all.push(finished(FinishReason::Stop));
        let response = check(&values(&wires(&all)));
        let items = response["output"].as_array().expect("items").clone();
        let items = items.into_iter().filter(|item| item["type"] == "reasoning");
        items
            .map(|item| {
                let text = item["summary"][0]["text"].as_str().unwrap_or_default().to_owned();
                let sealed = item["encrypted_content"].as_str();
                let opened = sealed.map(|sealed| match unseal(sealed) {
                    Some((origin, what, content)) => {
                        assert_eq!(origin.as_str(), dialect);
                        (what, content)
                    }
                    None => (Sealed::Encrypted, sealed.to_owned()),
                });
                (text, opened)
            })
            .collect()
    };
    let signed = |content: &str| Some((Sealed::Signature, content.to_owned()));
    let hidden = |content: &str| Some((Sealed::Encrypted, content.to_owned()));
    assert_eq!(
        opened(
            "anthropic",
            &[
                thought("a"),
                signature("s"),
                thought("b"),
                signature("t"),
                encrypted("x"),
                encrypted("y")
            ]
        ),
        [
            ("a".into(), signed("s")),
            ("b".into(), signed("t")),
            (String::new(), hidden("x")),
            (String::new(), hidden("y"))
        ]
    );
    assert_eq!(opened("anthropic", &[signature("s")]), [(String::new(), signed("s"))]);
    // Gemini signs the call that follows.
    assert_eq!(
        opened(
            "gemini",
            &[thought("a"), signature("s"), call(0, RunBy::Client), arguments(0, "{}")]
        ),
        [("a".into(), None), (String::new(), signed("s"))]
    );
    assert_eq!(
        opened("responses", &[thought("a"), encrypted("x"), encrypted("y")]),
        [("a".into(), hidden("x")), (String::new(), hidden("y"))]
    );
}

#[test]
fn the_response_repeats_what_was_asked() {
    let request = json!({"model":"m","instructions":"be kind","temperature":0.1,"background":true,"store":false,
        "metadata":{"a":"b"},"text":{"verbosity":"low"},"tool_choice":null,"previous_response_id":"resp_1","tools":[{"type":"function","name":"f"}]});
    let mut encoder = Encoder::new(&asked(&request));
    let mut out = Vec::new();
    encoder.encode(&started("gemini"), &mut out);
    let response = values(&out)[0]["response"].clone();
    for name in [
        "instructions",
        "temperature",
        "background",
        "store",
        "metadata",
        "previous_response_id",
        "tools",
    ] {
        assert_eq!(response[name], request[name], "{name}");
    }
    assert_eq!(response["text"], json!({"verbosity":"low","format":{"type":"text"}}));
    assert_eq!(
        (&response["tool_choice"], &response["parallel_tool_calls"]),
        (&json!("auto"), &json!(true))
    );
}

#[test]
fn sources_are_annotations_of_the_text_they_follow() {
    let source =
        |json: &'static str| Event::new(Kind::Citation(Bytes::from_static(json.as_bytes())));
    let response = check(&values(&wires(&[
        started("gemini"),
        source(r#"{"web":{"uri":"https://a","title":"A"}}"#),
        text("Hé"),
        source("\"https://b\""),
        source(r#"{"type":"char_location"}"#),
        finished(FinishReason::Stop),
    ])));
    let annotations = response["output"][0]["content"][0]["annotations"].as_array().expect("some");
    assert_eq!(annotations.len(), 2);
    assert_eq!(
        (&annotations[0]["url"], &annotations[0]["end_index"]),
        (&json!("https://a"), &json!(0))
    );
    assert_eq!(
        (&annotations[1]["url"], &annotations[1]["end_index"]),
        (&json!("https://b"), &json!(2))
    );
}

#[test]
fn a_call_half_said_before_another_provider_goes_on_is_incomplete() {
    let resumed = Event::new(Kind::Resumed(Resumed::default()));
    let response = check(&values(&wires(&[
        started("openai"),
        text("Hel"),
        call(0, RunBy::Client),
        arguments(0, "{\"a"),
        resumed,
        call(1, RunBy::Client),
        arguments(1, "{}"),
        finished(FinishReason::ToolCalls),
    ])));
    let status = |at: usize| response["output"][at]["status"].as_str();
    assert_eq!((status(1), status(2)), (Some("incomplete"), Some("completed")));
}

#[test]
fn the_providers_own_items_keep_their_ids_and_kinds() {
    let search = json!({"type":"web_search_call","id":"ws_1","status":"completed"});
    let response = check(&values(&wires(&[
        started("responses"),
        native("message", &json!({"type":"message","id":"msg_9","phase":"commentary"})),
        text("first"),
        call(0, RunBy::Server),
        native("web_search_call", &search),
        native("message", &json!({"type":"message","id":"msg_8","phase":"final_answer"})),
        text("then"),
        native("custom_tool_call", &json!({"id":"ctc_1"})),
        call(1, RunBy::Client),
        arguments(1, "SELECT 1"),
        native(
            "image_generation_call",
            &json!({"type":"image_generation_call","id":"ig_1","revised_prompt":"p"}),
        ),
        call(2, RunBy::Server),
        Event::new(Kind::Media(Media {
            mime: "image/png".into(),
            data: "x".into(),
            index: 0,
            part: 0,
            last: true,
        })),
        finished(FinishReason::ToolCalls),
    ])));
    let output = response["output"].as_array().expect("items");
    let ids: Vec<_> = output.iter().map(|item| item["id"].as_str().expect("an id")).collect();
    assert_eq!(ids, ["msg_9", "ws_1", "msg_8", "ctc_1", "ig_1"]);
    assert_eq!(output[0]["phase"], "commentary");
    assert_eq!(output[1], search);
    assert_eq!(output[3]["input"], "SELECT 1");
    assert_eq!((&output[4]["revised_prompt"], &output[4]["result"]), (&json!("p"), &json!("eA==")));
}

#[test]
fn a_snapshot_is_the_response_at_any_moment() {
    let request = asked(&json!({"background":true}));
    let mut events = vec![started("gemini")];
    let at = |events: &[Event]| -> Value {
        serde_json::from_slice(&snapshot(events, &request)).expect("JSON")
    };
    assert_eq!(
        (&at(&events)["status"], &at(&events)["id"]),
        (&json!("queued"), &json!("resp_abc"))
    );
    events.push(text("Hel"));
    let now = at(&events);
    assert_eq!(now["status"], "in_progress");
    assert_eq!(now["output"][0]["content"][0]["text"], "Hel");
    assert_eq!(now["output"][0]["status"], "in_progress");
    assert!(encode_whole(&events, &request).is_err());
    events.push(finished(FinishReason::Stop));
    assert_eq!(at(&events)["status"], "completed");
    let whole: Value =
        serde_json::from_slice(&encode_whole(&events, &request).expect("an end")).expect("JSON");
    assert_eq!(whole, at(&events));
    *events.last_mut().expect("an end") =
        Event::new(Kind::Failed(Failed::new(FailureCode::Cancelled, "stopped")));
    assert_eq!(at(&events)["status"], "cancelled");
    assert_eq!(encode_whole(&events, &request).expect_err("failed").message, "stopped");
}

#[test]
fn the_next_turn_begins_with_what_was_put_out() {
    let items = items_of(&[
        started("anthropic"),
        thought("hm"),
        signature("s"),
        text("Hi"),
        call(0, RunBy::Client),
        arguments(0, "{}"),
        call(1, RunBy::Client),
        arguments(1, "{\"cut"),
        Event::new(Kind::Failed(Failed::new(FailureCode::Timeout, ""))),
    ]);
    let items: Vec<Value> =
        items.iter().map(|item| serde_json::from_str(item.get()).expect("JSON")).collect();
    let kinds: Vec<_> = items.iter().map(|item| item["type"].as_str().expect("a type")).collect();
    assert_eq!(kinds, ["reasoning", "message", "function_call"]);
    assert!(items.iter().all(|item| item.get("id").is_none()));
    let own = [started("responses"), thought("hm"), text("Hi"), finished(FinishReason::Stop)];
    assert_eq!(items_of(&own).len(), 1, "its own thoughts are worth nothing unencrypted");
}

#[test]
fn the_app_may_know_another_id_and_other_numbers() {
    let mut encoder = Encoder::new(&Asked::default()).of_response("resp_provider");
    let mut out = Vec::new();
    encoder.encode(&started("responses"), &mut out);
    encoder.number_from(40);
    encoder.encode(&text("Hi"), &mut out);
    let payloads = values(&out);
    assert_eq!(payloads[0]["response"]["id"], "resp_provider");
    assert_eq!(payloads[2]["sequence_number"], 40);
    assert_eq!(encoder.next_number(), 43);
}
