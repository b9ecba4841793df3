use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{dialect::TooLarge, event::EVENT_BYTES_MAX};

fn decoder() -> Decoder {
    Decoder::new("gen_AbCdEfGhIjKlMnOpQrStUv")
}

/// What a stream of payloads says; `[DONE]` and errors end it, else its close.
fn decode(payloads: &[&str]) -> Vec<Event> {
    let mut decoder = decoder();
    let mut out = Vec::new();
    let mut ending = Ending::Eof;
    for payload in payloads {
        let payload = Payload::of(Bytes::copy_from_slice(payload.as_bytes()));
        if decoder.decode(&payload, &mut out).flow == Flow::Ended {
            ending = Ending::Terminator;
        }
    }
    decoder.finish(ending, &mut out);
    out
}

fn kinds(payloads: &[&str]) -> Vec<Kind> {
    decode(payloads).into_iter().map(|event| event.kind).collect()
}

/// A chunk whose one choice has this delta.
fn delta(delta: &str) -> String {
    format!(r#"{{"choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#)
}

fn finish(word: &str) -> String {
    format!(r#"{{"choices":[{{"index":0,"delta":{{}},"finish_reason":"{word}"}}]}}"#)
}

fn finished(reason: FinishReason, native: Option<&str>) -> Kind {
    Kind::Finished(Finished { reason, native_reason: native.map(str::to_owned) })
}

fn failure(kinds: &[Kind]) -> &Failed {
    match kinds.last() {
        Some(Kind::Failed(failed)) => failed,
        other => panic!("not failed: {other:?}"),
    }
}

#[test]
fn the_end_is_done_or_a_reason_and_the_close() {
    let hi = delta(r#"{"content":"Hi"}"#);
    let text = Kind::Text("Hi".into());
    let stop = finished(FinishReason::Stop, Some("stop"));
    assert_eq!(kinds(&[&hi, &finish("stop"), "[DONE]"]), [text.clone(), stop.clone()]);
    assert_eq!(kinds(&[&hi, &finish("stop")]), [text.clone(), stop]);
    assert_eq!(kinds(&[&hi, "[DONE]"]), [text, finished(FinishReason::Stop, None)]);
    assert_eq!(kinds(&["[DONE]"]), [finished(FinishReason::Stop, None)]);
    assert_eq!(failure(&kinds(&[&hi])).code, FailureCode::UpstreamCut);
    assert_eq!(failure(&kinds(&[])).code, FailureCode::UpstreamCut);
    // One of two choices is still speaking.
    let other = r#"{"choices":[{"index":1,"delta":{"content":"Ho"}}]}"#;
    assert_eq!(failure(&kinds(&[&hi, other, &finish("stop")])).code, FailureCode::UpstreamCut);
}

#[test]
fn each_payload_says_where_the_stream_stands() {
    let mut decoder = decoder();
    let mut out = Vec::new();
    let mut decode = |payload: &str| decoder.decode(&Payload::of(payload.to_owned()), &mut out);
    let usage = r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    let more = Decoded::default();
    let seen = Decoded { flow: Flow::FinishSeen, ..more };
    assert_eq!(decode(r#"{"type":"ping"}"#), Decoded { ping: true, ..more });
    assert_eq!(decode(""), Decoded { ping: true, ..more });
    assert_eq!(decode(&delta(r#"{"role":"assistant","content":""}"#)), more);
    assert_eq!(decode(&finish("stop")), seen);
    let second = r#"{"choices":[{"index":1,"delta":{"content":"late"}}]}"#;
    assert_eq!(decode(second), more);
    assert_eq!(decode(&finish("stop").replace("\"index\":0", "\"index\":1")), seen);
    assert_eq!(decode(usage), Decoded { usage_only: true, ..seen });
    assert_eq!(decode(&usage.replace("[]", r#"[{"index":0,"delta":{}}]"#)), seen);
    assert_eq!(decode(" [DONE] "), Decoded { flow: Flow::Ended, ..more });
    assert_eq!(decode(&delta(r#"{"content":"too late"}"#)), Decoded { flow: Flow::Ended, ..more });
}

#[test]
fn pings_by_name_are_no_progress() {
    let payload = Payload { event: "keepalive".into(), ..Payload::of(r#"{"n":1}"#) };
    let mut out = Vec::new();
    assert!(decoder().decode(&payload, &mut out).ping);
    assert_eq!(out, []);
}

#[test]
fn an_error_in_any_shape_is_the_providers_failure() {
    let hi = delta(r#"{"content":"Hi"}"#);
    let beside = r#"{"error":{"code":502,"message":"no"},"choices":[{"index":0,
        "delta":{"content":"!"},"finish_reason":"error"}]}"#;
    for (payload, status) in [
        (r#"{"error":{"message":"no","type":"t","code":"c"}}"#, 0),
        (r#"{"error":"no"}"#, 0),
        (beside, 502),
        (r#"{"object":"error","message":"no","code":400}"#, 400),
        (r#"{"type":"error","message":"no"}"#, 0),
        (r#"{"choices":[],"x_groq":{"error":"no"}}"#, 0),
        (r#"{"choices":[{"index":0,"error":{"code":503,"message":"no"}}]}"#, 503),
        (r#"[{"error":{"code":500,"message":"no"}}]"#, 500),
    ] {
        let kinds = kinds(&[&hi, payload]);
        let failed = failure(&kinds);
        let expected = (FailureCode::UpstreamError, "no", status);
        assert_eq!((failed.code, &*failed.message, failed.status), expected, "{payload}");
    }
    assert_eq!(kinds(&[&hi, beside])[1], Kind::Text("!".into()), "what was said with it counts");

    for data in [r#"{"error":{"message":"no"}}"#, r#"{"message":"no"}"#, "no"] {
        let mut out = Vec::new();
        let mut decoder = decoder();
        let payload = Payload { event: "error".into(), ..Payload::of(data) };
        assert_eq!(decoder.decode(&payload, &mut out).flow, Flow::Ended);
        decoder.finish(Ending::Terminator, &mut out);
        assert!(matches!(&out[0].kind, Kind::Failed(failed) if failed.message == "no"), "{data}");
    }

    let bad = kinds(&[&hi, &finish("insufficient_system_resource"), "[DONE]"]);
    assert_eq!(failure(&bad).code, FailureCode::UpstreamError);
    assert!(failure(&bad).message.contains("insufficient_system_resource"));
}

#[test]
fn what_no_language_calls_true_is_no_error() {
    for nothing in ["null", "\"\"", "{}", "[]", "false", "{ }"] {
        let payload = format!(r#"{{"error":{nothing},"choices":[{{"index":0,"delta":{{}}}}]}}"#);
        let kinds = kinds(&[&payload, &finish("stop")]);
        assert_eq!(kinds, [finished(FinishReason::Stop, Some("stop"))], "{nothing}");
    }
}

#[test]
fn a_generation_stopped_from_outside_still_gives_what_was_held() {
    let mut decoder = decoder();
    let mut out = Vec::new();
    let call = delta(r#"{"tool_calls":[{"index":0,"function":{"name":"add"}}]}"#);
    decoder.decode(&Payload::of(call), &mut out);
    assert_eq!(out, []);
    let cancelled = Failed::new(FailureCode::Cancelled, "cancelled");
    decoder.finish(Ending::Stopped(cancelled.clone()), &mut out);
    assert!(matches!(&out[0].kind, Kind::ToolCall(call) if call.name == "add"));
    assert_eq!(out[1].kind, Kind::Failed(cancelled));
}

#[test]
fn usage_is_said_once_and_the_last_holds() {
    let with = |n: u32| {
        let usage = json!({ "prompt_tokens": 5, "completion_tokens": n });
        json!({ "choices": [{ "index": 0, "delta": {} }], "usage": usage }).to_string()
    };
    let nothing = r#"{"choices":[],"usage":null}"#;
    let kinds = kinds(&[&with(1), &with(2), nothing, &finish("stop"), "[DONE]"]);
    let [.., Kind::Usage(usage), Kind::Finished(_)] = &kinds[..] else { panic!("{kinds:?}") };
    assert_eq!((usage.input, usage.output), (5, 2));
    assert_eq!(kinds.iter().filter(|kind| matches!(kind, Kind::Usage(_))).count(), 1);
}

#[test]
fn reasoning_in_several_fields_is_said_once_and_its_signature_kept() {
    let both = delta(
        r#"{"reasoning":"hm","reasoning_content":"hm","reasoning_details":[{"type":"reasoning.text",
        "text":"hm","signature":"c2ln+/=="},{"type":"reasoning.encrypted","data":"ZW5j"}]}"#,
    );
    let only = delta(r#"{"reasoning_details":[{"type":"reasoning.summary","summary":"so"}]}"#);
    let part = |text: &str, signature: &str, encrypted: &str| {
        let (text, signature, encrypted) = (text.into(), signature.into(), encrypted.into());
        Kind::Reasoning(crate::event::Reasoning { text, signature, encrypted })
    };
    assert_eq!(
        kinds(&[&both, &only, &finish("stop")])[..4],
        [part("hm", "", ""), part("", "c2ln+/==", ""), part("", "", "ZW5j"), part("so", "", "")]
    );
}

#[test]
fn content_in_parts_is_said_in_order() {
    let parts = delta(
        r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"a"}],"closed":true},
        {"type":"text","text":"b"},{"type":"reference","reference_ids":[1]},{"type":"text","text":"c"}]}"#,
    );
    let kinds = kinds(&[&parts, &finish("stop")]);
    assert!(matches!(
        &kinds[..4],
        [Kind::Reasoning(_), Kind::Text(b), Kind::Citation(source), Kind::Text(c)]
            if b == "b" && c == "c" && source == r#"{"type":"reference","reference_ids":[1]}"#
    ));
}

#[test]
fn several_choices_end_one_by_one_and_the_first_gives_the_reason() {
    let part = |index: u32, delta: &str, finish: &str| {
        format!(r#"{{"choices":[{{"index":{index},"delta":{delta},"finish_reason":{finish}}}]}}"#)
    };
    let events = decode(&[
        &part(0, r#"{"content":"a"}"#, "null"),
        &part(0, "{}", "\"length\""),
        &part(1, r#"{"content":"b"}"#, "null"),
        &part(1, "{}", "\"stop\""),
        &part(1, "{}", "\"stop\""),
        "[DONE]",
    ]);
    let end = |reason, native: &str| Finished { reason, native_reason: Some(native.into()) };
    let length = end(FinishReason::Length, "length");
    let stop = end(FinishReason::Stop, "stop");
    assert_eq!(
        events,
        [
            Event::text("a"),
            Event::text("b").of_choice(1),
            Event::new(Kind::ChoiceFinished(length.clone())),
            Event::new(Kind::ChoiceFinished(stop)).of_choice(1),
            Event::new(Kind::Finished(length)),
        ]
    );
}

#[test]
fn choices_without_end_are_a_limit() {
    let part = |index| format!(r#"{{"choices":[{{"index":{index},"delta":{{"content":"x"}}}}]}}"#);
    let parts: Vec<String> = (0..=CHOICES_MAX).map(part).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    assert_eq!(failure(&kinds(&parts)).code, FailureCode::Limit);
    let within = kinds(&[&parts[..CHOICES_MAX], &["[DONE]"]].concat());
    assert!(matches!(within.last(), Some(Kind::Finished(_))), "{:?}", within.last());
}

#[test]
fn calls_without_end_are_a_limit() {
    let call =
        |id: usize| format!(r#"{{"id":"c{id}","function":{{"name":"f","arguments":"{{}}"}}}}"#);
    let many = |count| {
        let calls: Vec<String> = (0..count).map(call).collect();
        format!(r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":[{}]}}}}]}}"#, calls.join(","))
    };
    // As many as one payload can hold: whoever looks each up among all would not be done today.
    assert_eq!(failure(&kinds(&[&many(500_000)])).code, FailureCode::Limit);
    let within = kinds(&[&many(CALLS_MAX), "[DONE]"]);
    assert!(matches!(within.last(), Some(Kind::Finished(_))), "{:?}", within.last());
}

#[test]
fn citations_repeated_in_every_chunk_are_said_once() {
    let chunk = |list: &str| {
        format!(r#"{{"citations":{list},"choices":[{{"index":0,"delta":{{"content":"x"}}}}]}}"#)
    };
    let kinds =
        kinds(&[&chunk(r#"["a"]"#), &chunk(r#"["a"]"#), &chunk(r#"["a","b"]"#), &finish("stop")]);
    let cited: Vec<_> = kinds.iter().filter(|kind| matches!(kind, Kind::Citation(_))).collect();
    assert_eq!(cited, [&Kind::Citation("\"a\"".into()), &Kind::Citation("\"b\"".into())]);
}

#[test]
fn what_the_words_cannot_say_passes_whole_or_under_its_name() {
    let native = |name: &str, data: &str| {
        let data = Bytes::copy_from_slice(data.as_bytes());
        Kind::Native(crate::event::Native { dialect: "openai".into(), name: name.into(), data })
    };
    let filter = r#"{"choices":[],"prompt_filter_results":[{"prompt_index":0}]}"#;
    let offsets = r#"{"choices":[{"index":0,"content_filter_offsets":{"check_offset":44}}]}"#;
    let executed = delta(r#"{"content":"x","executed_tools":[{"n":9007199254740993}]}"#);
    let kinds = kinds(&[filter, offsets, &executed, "not json", "17", &finish("stop")]);
    assert_eq!(
        kinds[..6],
        [
            native("chat.completion.chunk", filter),
            native("chat.completion.chunk", offsets),
            Kind::Text("x".into()),
            native("delta.executed_tools", r#"[{"n":9007199254740993}]"#),
            native("stray", "\"not json\""),
            native("stray", "17"),
        ]
    );
}

#[test]
fn a_torn_payload_is_no_success() {
    let kinds = kinds(&[r#"{"choices":[{"index":0,"delta":{"con"#, &finish("stop"), "[DONE]"]);
    assert_eq!(failure(&kinds).code, FailureCode::UpstreamError);
}

#[test]
fn odd_types_are_read_as_nothing_and_odd_json_is_mended() {
    for payload in [
        r#"{"choices":[{"index":"0","delta":{"content":7,"refusal":false,"tool_calls":null}}]}"#,
        r#"{"choices":[{"index":null,"delta":{"content":null,"role":{}}}],"object":null}"#,
        r#"{"choices":[{"delta":{"content":{"a":[1]}},"finish_reason":null}],"created":1.5e300}"#,
        r#"{"choices":null,"usage":[],"x_groq":7}"#,
    ] {
        let kinds = kinds(&[payload, "[DONE]"]);
        assert_eq!(kinds.last(), Some(&finished(FinishReason::Stop, None)), "{payload}");
        assert!(!kinds.iter().any(|kind| matches!(kind, Kind::Text(_))), "{payload}");
    }
    let twice = delta(r#"{"content":"a"}"#).replacen('{', r#"{"choices":[],"#, 1);
    assert_eq!(kinds(&[&twice, "[DONE]"])[0], Kind::Text("a".into()));
    let half = delta(r#"{"content":"a\ud83d"}"#);
    assert_eq!(kinds(&[&half, "[DONE]"])[0], Kind::Text("a\u{fffd}".into()));
}

#[test]
fn completions_of_other_shapes_are_read() {
    let legacy = r#"{"choices":[{"index":0,"text":"Hi","finish_reason":"stop"}]}"#;
    assert_eq!(kinds(&[legacy, "[DONE]"])[0], Kind::Text("Hi".into()));
    let whole = r#"{"choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}]}"#;
    assert_eq!(kinds(&[whole])[0], Kind::Text("Hi".into()));
    let function = delta(r#"{"function_call":{"name":"add","arguments":"{}"}}"#);
    let kinds = kinds(&[&function, &finish("function_call")]);
    assert!(matches!(&kinds[0], Kind::ToolCall(call) if call.name == "add" && call.id.len() <= 40));
    assert_eq!(kinds[2], finished(FinishReason::ToolCalls, Some("function_call")));
}

#[test]
fn audio_comes_in_parts_and_its_transcript_apart() {
    let kinds = kinds(&[
        &delta(r#"{"audio":{"id":"a","transcript":"Bon"}}"#),
        &delta(r#"{"audio":{"data":"UklGRiQA"}}"#),
        &delta(r#"{"audio":{"data":"AABX"}}"#),
        &finish("stop"),
        &delta(r#"{"audio":{"expires_at":1790003600}}"#),
        "[DONE]",
    ]);
    let parts: Vec<_> = kinds
        .iter()
        .filter_map(|kind| match kind {
            Kind::Media(it) => Some((&*it.mime, it.index, it.part, it.last, it.data.len())),
            _ => None,
        })
        .collect();
    let wav = "audio/wav";
    assert_eq!(parts, [(wav, 0, 0, false, 6), (wav, 0, 1, false, 3), (wav, 0, 2, true, 0)]);
    assert!(matches!(&kinds[0], Kind::Native(it)
        if it.name == "delta.audio" && it.data == r#"{"transcript":"Bon"}"#));
}

#[test]
fn what_is_too_large_for_an_event_is_split_or_the_limit() {
    let long = delta(&format!(r#"{{"content":"{}"}}"#, "é".repeat(EVENT_BYTES_MAX)));
    let kinds = kinds(&[&long, "[DONE]"]);
    let sizes = kinds.iter().filter_map(|kind| match kind {
        Kind::Text(text) => Some(text.len()),
        _ => None,
    });
    assert_eq!(sizes.clone().sum::<usize>(), 2 * EVENT_BYTES_MAX);
    assert!(sizes.clone().all(|size| size < EVENT_BYTES_MAX));

    let source = format!(r#"{{"annotations":["{}"]}}"#, "x".repeat(EVENT_BYTES_MAX));
    let kinds = self::kinds(&[&delta(&source), "[DONE]"]);
    let too_large = TooLarge { what: "a citation", bytes: EVENT_BYTES_MAX + 2 };
    assert_eq!(failure(&kinds), &Failed::new(FailureCode::Limit, too_large.to_string()));
}

/// JSON of the kind providers might send, right and wrong.
fn payload() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i64>().prop_map(|value| json!(value)),
        "[a-z\"\\\\é😀{}]{0,6}".prop_map(|value| json!(value)),
        Just(json!("data:image/png;base64,AAAA")),
    ];
    const NAMES: [&str; 34] = [
        "choices",
        "index",
        "delta",
        "message",
        "text",
        "finish_reason",
        "native_finish_reason",
        "usage",
        "error",
        "x_groq",
        "citations",
        "search_results",
        "moderation",
        "content",
        "type",
        "thinking",
        "reasoning",
        "reasoning_content",
        "reasoning_details",
        "refusal",
        "tool_calls",
        "function",
        "arguments",
        "name",
        "id",
        "audio",
        "data",
        "transcript",
        "annotations",
        "images",
        "image_url",
        "url",
        "role",
        "other",
    ];
    let tree = leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|list| json!(list)),
            prop::collection::btree_map(prop::sample::select(&NAMES[..]), inner, 0..5)
                .prop_map(|map| json!(map)),
        ]
    });
    let delta = tree.clone().prop_map(|delta| {
        json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] }).to_string()
    });
    let choices = tree.clone().prop_map(|tree| json!({ "choices": [tree] }).to_string());
    prop_oneof![3 => delta, 2 => choices, 1 => tree.prop_map(|tree| tree.to_string()), 1 => ".{0,20}"]
}

proptest! {
    #[test]
    fn whatever_comes_there_is_one_last_event(payloads in prop::collection::vec(payload(), 0..8)) {
        let payloads: Vec<&str> = payloads.iter().map(String::as_str).collect();
        let events = decode(&payloads);
        let last = events.iter().position(Event::is_terminal);
        prop_assert_eq!(last, events.len().checked_sub(1));
    }
}
