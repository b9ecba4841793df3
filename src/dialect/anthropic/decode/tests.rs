use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    dialect::{
        Asked,
        anthropic::{BLOCK_LAST, BLOCK_PART, Encoder},
    },
    event::{EVENT_BYTES_MAX, Native, Reasoning, RunBy, Started, ToolArguments, ToolCall, Usage},
};

/// What a stream of payloads says; an end or an error ends it, else its close.
fn decode(payloads: &[&str]) -> Vec<Event> {
    let mut decoder = Decoder::new("gen_AbCdEfGhIjKlMnOpQrStUv");
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

/// What a message says between its beginning and its end, without usage and end.
fn said(payloads: &[String]) -> Vec<Kind> {
    let start = message_start("msg_1");
    let mut all = vec![start.as_str()];
    all.extend(payloads.iter().map(String::as_str));
    let stop = stop("end_turn");
    all.extend([stop.as_str(), MESSAGE_STOP]);
    let mut kinds: Vec<_> = decode(&all).into_iter().map(|event| event.kind).collect();
    assert!(matches!(kinds.pop(), Some(Kind::Finished(_))), "{kinds:?}");
    assert!(matches!(kinds.pop(), Some(Kind::Usage(_))), "{kinds:?}");
    kinds
}

const MESSAGE_STOP: &str = r#"{"type":"message_stop"}"#;

fn message_start(id: &str) -> String {
    let usage = json!({"input_tokens": 3, "output_tokens": 1});
    json!({"type": "message_start", "message": {"id": id, "usage": usage}}).to_string()
}

fn stop(reason: &str) -> String {
    let delta = json!({"stop_reason": reason, "stop_sequence": null});
    json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 9}}).to_string()
}

fn start(index: u32, block: &str) -> String {
    format!(r#"{{"type":"content_block_start","index":{index},"content_block":{block}}}"#)
}

fn delta(index: u32, kind: &str, name: &str, value: &str) -> String {
    let delta = json!({"type": kind, name: value});
    json!({"type": "content_block_delta", "index": index, "delta": delta}).to_string()
}

fn end(index: u32) -> String {
    format!(r#"{{"type":"content_block_stop","index":{index}}}"#)
}

fn text(text: &str) -> Kind {
    Kind::Text(text.to_owned())
}

fn native(name: &str, data: &str) -> Kind {
    let (dialect, name) = ("anthropic".to_owned(), name.to_owned());
    Kind::Native(Native { dialect, name, data: Bytes::copy_from_slice(data.as_bytes()) })
}

fn call(index: u32, id: &str, name: &str, run_by: RunBy) -> Kind {
    Kind::ToolCall(ToolCall { index, id: id.to_owned(), name: name.to_owned(), run_by })
}

fn arguments(index: u32, arguments: &str) -> Kind {
    Kind::ToolArguments(ToolArguments { index, arguments: arguments.to_owned() })
}

fn failure(events: &[Event]) -> &Failed {
    match events.last().map(|event| &event.kind) {
        Some(Kind::Failed(failed)) => failed,
        other => panic!("not failed: {other:?}"),
    }
}

#[test]
fn only_message_stop_ends_a_message() {
    let (begin, stop) = (message_start("m"), stop("end_turn"));
    let good = decode(&[&begin, &stop, MESSAGE_STOP]);
    let finished = |event: &Event| matches!(event.kind, Kind::Finished(_));
    assert!(good.last().is_some_and(finished));
    // OpenRouter's mark, which comes behind a reason.
    assert!(decode(&[&begin, &stop, "[DONE]"]).last().is_some_and(finished));
    for cut in [vec![], vec![&*begin], vec![&begin, &stop], vec![&begin, "[DONE]"]] {
        assert_eq!(failure(&decode(&cut)).code, FailureCode::UpstreamCut, "{cut:?}");
    }
}

#[test]
fn nothing_after_the_end_counts() {
    let begin = message_start("m");
    let late = delta(0, "text_delta", "text", "late");
    let events = decode(&[&begin, &stop("end_turn"), MESSAGE_STOP, &late, "[DONE]"]);
    assert_eq!(events.len(), 2, "{events:?}");
}

#[test]
fn an_error_ends_the_stream_even_as_its_first_event() {
    let error = r#"{"type":"error","error":{"details":null,"type":"overloaded_error","message":"Overloaded"}}"#;
    for before in [&[][..], &[message_start("m"), delta(0, "text_delta", "text", "Hi")]] {
        let mut all: Vec<_> = before.iter().map(String::as_str).collect();
        all.extend([error, MESSAGE_STOP]);
        let events = decode(&all);
        let failed = failure(&events);
        assert_eq!((failed.code, failed.status), (FailureCode::UpstreamError, 529));
        assert_eq!(failed.message, "Overloaded");
    }
    let mut decoder = Decoder::new("gen_x");
    let payload = Payload { event: "error".into(), data: "gone wrong".into(), raw: Bytes::new() };
    assert_eq!(decoder.decode(&payload, &mut Vec::new()).flow, Flow::Ended);
}

#[test]
fn a_ping_is_a_sign_of_life_and_nothing_more() {
    let mut decoder = Decoder::new("gen_x");
    let mut out = Vec::new();
    for data in [r#"{"type": "ping"}"#, ""] {
        assert!(decoder.decode(&Payload::of(data), &mut out).ping);
    }
    assert!(!decoder.decode(&Payload::of(message_start("m")), &mut out).ping);
    assert_eq!(out, []);
}

#[test]
fn a_message_start_again_is_skipped_and_anothers_is_a_splice() {
    let hi = delta(0, "text_delta", "text", "Hi");
    let (first, second) = (message_start("msg_a"), message_start("msg_b"));
    let stop = stop("end_turn");
    let good = decode(&[&first, &first, &hi, &first, &stop, MESSAGE_STOP]);
    assert_eq!(good[0].kind, text("Hi"));
    assert!(matches!(good.last().map(|it| &it.kind), Some(Kind::Finished(_))), "{good:?}");
    // Nothing was said by the first: a retry, and harmless.
    let retried = decode(&[&first, &second, &hi, &stop, MESSAGE_STOP]);
    assert!(matches!(retried.last().map(|it| &it.kind), Some(Kind::Finished(_))));
    let spliced = decode(&[&first, &hi, &second, &hi, &stop, MESSAGE_STOP]);
    assert_eq!(spliced[0].kind, text("Hi"));
    assert_eq!(spliced.iter().filter(|it| it.kind == text("Hi")).count(), 1, "never merged");
    assert_eq!(failure(&spliced).code, FailureCode::UpstreamError);
}

#[test]
fn text_thoughts_and_signatures_are_said_as_they_come() {
    let reasoning = |text: &str, signature: &str, encrypted: &str| {
        let own = str::to_owned;
        let (text, signature, encrypted) = (own(text), own(signature), own(encrypted));
        Kind::Reasoning(Reasoning { text, signature, encrypted })
    };
    let kinds = said(&[
        start(0, r#"{"type":"thinking","thinking":"","signature":""}"#),
        delta(0, "thinking_delta", "thinking", "hm"),
        delta(0, "thinking_delta", "thinking", ""),
        delta(0, "signature_delta", "signature", "s+/=="),
        end(0),
        start(1, r#"{"type":"redacted_thinking","data":"r+/=="}"#),
        end(1),
        start(2, r#"{"type":"text","text":"","citations":null}"#),
        delta(2, "text_delta", "text", "naïve ☕"),
        end(2),
    ]);
    let expected = [
        reasoning("hm", "", ""),
        reasoning("", "s+/==", ""),
        reasoning("", "", "r+/=="),
        text("naïve ☕"),
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn a_thought_that_is_only_a_signature_or_nothing_at_all_survives() {
    let signed =
        said(&[start(0, r#"{"type":"thinking","thinking":"","signature":"early"}"#), end(0)]);
    let signature = Reasoning { signature: "early".into(), ..Reasoning::default() };
    assert_eq!(signed, [Kind::Reasoning(signature)]);
    let empty = said(&[start(0, r#"{"type":"thinking","thinking":""}"#), end(0)]);
    let block = r#"{"type":"thinking","thinking":"","signature":""}"#;
    assert_eq!(empty, [native("content_block.thinking", block)]);
}

#[test]
fn citations_come_before_or_after_their_text() {
    let citation =
        r#"{"type":"char_location","cited_text":"x","end_char_index":90071992547409931}"#;
    let cite = format!(
        r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"citations_delta","citation":{citation}}}}}"#
    );
    let kinds = said(&[
        start(0, r#"{"citations":[],"type":"text","text":""}"#),
        cite.clone(),
        delta(0, "text_delta", "text", "x"),
        cite,
        end(0),
    ]);
    let citation = Kind::Citation(Bytes::from_static(citation.as_bytes()));
    assert_eq!(kinds, [citation.clone(), text("x"), citation]);
}

#[test]
fn tools_that_the_provider_runs_are_told_from_those_of_the_app() {
    let mcp = r#"{"type":"mcp_tool_use","id":"m","name":"ask","input":{},"server_name":"wiki"}"#;
    let result = r#"{"type":"web_search_tool_result","tool_use_id":"s","content":[{"x":1e400}]}"#;
    let kinds = said(&[
        start(0, r#"{"type":"server_tool_use","id":"s","name":"web_search","input":{}}"#),
        delta(0, "input_json_delta", "partial_json", ""),
        delta(0, "input_json_delta", "partial_json", "{\"q\":1}"),
        end(0),
        start(1, result),
        end(1),
        start(2, mcp),
        end(2),
        start(3, r#"{"type":"tool_use","id":"t","name":"add","input":{}}"#),
        delta(3, "input_json_delta", "partial_json", "{\"x\":"),
        delta(3, "input_json_delta", "partial_json", "1}"),
        end(3),
    ]);
    let expected = [
        call(0, "s", "web_search", RunBy::Server),
        arguments(0, "{\"q\":1}"),
        native("content_block.web_search_tool_result", result),
        native("content_block.mcp_tool_use", mcp),
        call(1, "m", "ask", RunBy::Server),
        call(2, "t", "add", RunBy::Client),
        arguments(2, "{\"x\":"),
        arguments(2, "1}"),
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn arguments_that_come_with_the_blocks_beginning_are_said_once() {
    let block = r#"{"type":"tool_use","id":"t","name":"add","input":{"x": 1.10}}"#;
    let kinds = said(&[start(0, block), end(0)]);
    assert_eq!(kinds, [call(0, "t", "add", RunBy::Client), arguments(0, "{\"x\": 1.10}")]);
    let kinds =
        said(&[start(0, block), delta(0, "input_json_delta", "partial_json", "{}"), end(0)]);
    assert_eq!(kinds, [call(0, "t", "add", RunBy::Client), arguments(0, "{}")]);
    let kinds = said(&[start(0, r#"{"type":"tool_use","name":"now","input": { } }"#), end(0)]);
    let id = "toolu_AbCdEfGhIjKlMnOpQrStUv_0";
    assert_eq!(kinds, [call(0, id, "now", RunBy::Client)]);
}

#[test]
fn a_block_of_unknown_kind_is_said_whole_with_its_pieces_joined() {
    let kinds = said(&[
        start(0, r#"{"type":"compaction","content":null}"#),
        delta(0, "compaction_delta", "content", "so \"far"),
        delta(0, "compaction_delta", "content", "\" so good"),
        delta(0, "text_delta", "text", "not the answer's"),
        end(0),
        start(1, r#"{"type":"fallback","from":{"model":"a"},"to":{"model":"b"}}"#),
        end(1),
    ]);
    let compaction =
        r#"{"type":"compaction","content":"so \"far\" so good","text":"not the answer's"}"#;
    let fallback = r#"{"type":"fallback","from":{"model":"a"},"to":{"model":"b"}}"#;
    let expected = [
        native("content_block.compaction", compaction),
        native("content_block.fallback", fallback),
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn two_texts_in_a_row_are_told_apart() {
    let kinds = said(&[
        start(0, r#"{"type":"text","text":""}"#),
        delta(0, "text_delta", "text", "a"),
        end(0),
        start(1, r#"{"type":"text","text":""}"#),
        delta(1, "text_delta", "text", "b"),
        end(1),
    ]);
    let between = native("content_block.text", r#"{"type":"text","text":""}"#);
    assert_eq!(kinds, [text("a"), between, text("b")]);
}

#[test]
fn what_nobody_knows_passes() {
    let unknown = r#"{"type":"of_tomorrow","x":1}"#;
    let kinds = said(&[unknown.to_owned(), "[1]".to_owned(), "words".to_owned()]);
    let expected =
        [native("of_tomorrow", unknown), native("stray", "[1]"), native("stray", "\"words\"")];
    assert_eq!(kinds, expected);
}

#[test]
fn a_refusal_keeps_its_details_and_a_stop_sequence_its_text() {
    let end = r#"{"type":"message_delta","delta":{"stop_reason":"refusal","stop_sequence":null,"stop_details":{"type":"refusal"}},"usage":{}}"#;
    let events = decode(&[&message_start("m"), end, MESSAGE_STOP]);
    assert_eq!(events[0].kind, native("message_delta.stop_details", "{\"type\":\"refusal\"}"));
    let native_reason = Some("refusal".to_owned());
    let refused = Finished { reason: FinishReason::Refusal, native_reason };
    assert_eq!(events.last().map(|it| &it.kind), Some(&Kind::Finished(refused)));
}

#[test]
fn a_block_too_long_for_one_event_comes_in_parts_that_join() {
    let long = "é\"".repeat(200 * 1024);
    let block = json!({"type": "web_fetch_tool_result", "content": long}).to_string();
    let events = said(&[start(0, &block), end(0)]);
    let mut joined = String::new();
    for (at, kind) in events.iter().enumerate() {
        let Kind::Native(part) = kind else { panic!("{kind:?}") };
        let last = at + 1 == events.len();
        assert_eq!(part.name, if last { BLOCK_LAST } else { BLOCK_PART });
        assert!(part.data.len() < EVENT_BYTES_MAX - 1024);
        joined += &serde_json::from_slice::<String>(&part.data).expect("a JSON string");
    }
    assert_eq!(joined, block);
}

#[test]
fn what_a_provider_may_open_and_hold_is_bounded() {
    let blocks: Vec<_> = (0..65).map(|at| start(at, r#"{"type":"x"}"#)).collect();
    let blocks: Vec<_> = blocks.iter().map(String::as_str).collect();
    assert_eq!(failure(&decode(&blocks)).code, FailureCode::Limit);
    let long = "x".repeat(8 * 1024 * 1024);
    let piece = delta(0, "compaction_delta", "content", &long);
    let begin = start(0, r#"{"type":"compaction","content":null}"#);
    let events = decode(&[&begin, &piece, &piece, &piece, &piece, &piece]);
    assert_eq!(failure(&events).code, FailureCode::Limit);
}

#[test]
fn what_cannot_be_read_fails_without_quoting_it() {
    let events = decode(&[&message_start("m"), r#"{"type":"content_block_delta","delta":{"se"#]);
    let failed = failure(&events);
    assert_eq!(failed.code, FailureCode::UpstreamError);
    assert!(failed.message.contains("cannot be read") && !failed.message.contains("\"se"));
}

#[test]
fn bedrocks_last_event_ends_the_message_too() {
    let last = r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":8,"outputTokenCount":2}}"#;
    let events = decode(&[r#"{"type":"message_start","message":{}}"#, last]);
    let [Kind::Usage(usage), Kind::Finished(_)] = [&events[0].kind, &events[1].kind] else {
        panic!("{events:?}")
    };
    assert_eq!((usage.input, usage.output), (8, 2));
}

#[test]
fn a_whole_body_says_what_its_stream_would() {
    let body = r#"{"id":"m","type":"message","role":"assistant","content":[
        {"type":"thinking","thinking":"hm","signature":"s"},
        {"type":"text","text":"Hi","citations":[{"type":"char_location"}]},
        {"type":"tool_use","id":"t","name":"add","input":{"x":1}}],
        "stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":4}}"#;
    let mut out = Vec::new();
    decode_whole("gen_x", Bytes::from_static(body.as_bytes()), &mut out);
    let reasoning = |text: &str, signature: &str| {
        let (text, signature) = (text.to_owned(), signature.to_owned());
        Kind::Reasoning(Reasoning { text, signature, ..Reasoning::default() })
    };
    let kinds: Vec<_> = out.into_iter().map(|event| event.kind).collect();
    let expected = [
        reasoning("hm", ""),
        reasoning("", "s"),
        Kind::Citation(r#"{"type":"char_location"}"#.into()),
        text("Hi"),
        call(0, "t", "add", RunBy::Client),
        arguments(0, "{\"x\":1}"),
    ];
    assert_eq!(kinds[..6], expected);
    let [Kind::Usage(usage), Kind::Finished(end)] = &kinds[6..] else { panic!("{kinds:?}") };
    assert_eq!((usage.input, usage.output), (3, 4));
    assert_eq!(end.reason, FinishReason::ToolCalls);
}

#[test]
fn a_body_without_an_answer_is_no_success() {
    for (body, code, message) in [
        (
            r#"{"type":"error","error":{"type":"api_error","message":"no"}}"#,
            FailureCode::UpstreamError,
            "no",
        ),
        (r#"{"type":"message"}"#, FailureCode::UpstreamCut, "message_stop"),
        ("", FailureCode::UpstreamCut, "message_stop"),
        (r#"{"content":[{"ty"#, FailureCode::UpstreamError, "cannot be read"),
    ] {
        let mut out = Vec::new();
        decode_whole("gen_x", Bytes::from_static(body.as_bytes()), &mut out);
        let failed = failure(&out);
        assert_eq!(failed.code, code, "{body}");
        assert!(failed.message.contains(message), "{body}: {}", failed.message);
    }
}

/// Payloads that look like a provider's, in any order and nesting.
fn payload() -> impl Strategy<Value = String> {
    let block = prop_oneof![
        Just(r#"{"type":"text","text":""}"#.to_owned()),
        Just(r#"{"type":"text","text":"x","citations":[{"type":"char_location"}]}"#.to_owned()),
        Just(r#"{"type":"thinking","thinking":"","signature":""}"#.to_owned()),
        Just(r#"{"type":"redacted_thinking","data":"r"}"#.to_owned()),
        Just(r#"{"type":"tool_use","id":"t","name":"n","input":{}}"#.to_owned()),
        Just(r#"{"type":"tool_use","id":"t","name":"n","input":{"a":1},"caller":{}}"#.to_owned()),
        Just(r#"{"type":"server_tool_use","id":"s","name":"n","input":{}}"#.to_owned()),
        Just(r#"{"type":"web_search_tool_result","content":[]}"#.to_owned()),
        Just(r#"{"type":"compaction","content":null}"#.to_owned()),
        Just("7".to_owned()),
    ];
    let piece = prop_oneof![
        Just(("text_delta", "text")),
        Just(("thinking_delta", "thinking")),
        Just(("signature_delta", "signature")),
        Just(("input_json_delta", "partial_json")),
        Just(("compaction_delta", "content")),
        Just(("x_delta", "x")),
    ];
    prop_oneof![
        (0..3u32, block).prop_map(|(index, block)| start(index, &block)),
        (0..3u32, piece, "[a-z{}\"]{0,3}")
            .prop_map(|(index, (kind, name), value)| delta(index, kind, name, &value)),
        (0..3u32).prop_map(end),
        Just(message_start("m")),
        Just(message_start("other")),
        Just(stop("end_turn")),
        Just(stop("tool_use")),
        Just(MESSAGE_STOP.to_owned()),
        Just(r#"{"type":"ping"}"#.to_owned()),
        Just(r#"{"type":"error","error":"x"}"#.to_owned()),
        Just(r#"{"type":"of_tomorrow"}"#.to_owned()),
        "[ -~]{0,20}",
    ]
}

/// What our own encoding of `events` decodes to.
fn there_and_back(events: &[Event]) -> Vec<Event> {
    let started = Started { dialect: "anthropic".into(), ..Started::default() };
    let mut encoder = Encoder::new(&Asked::default());
    let mut wires = Vec::new();
    encoder.encode(&Event::new(Kind::Started(started)), &mut wires);
    events.iter().for_each(|event| encoder.encode(event, &mut wires));
    let payloads: Vec<_> = wires.iter().map(|it| String::from_utf8_lossy(&it.data)).collect();
    decode(&payloads.iter().map(|it| &**it).collect::<Vec<_>>())
}

/// Everything that a round must keep: what was said, by whom, and how it ended. A usage object is written where the
/// provider gave none, and what was no event of the dialect is not written again.
fn kept(events: &[Event]) -> Vec<Kind> {
    let mut kept: Vec<Kind> = Vec::new();
    for event in events {
        match (event.kind.clone(), kept.last_mut()) {
            (Kind::Usage(_), _) => {}
            (Kind::Native(it), _) if it.name == STRAY => {}
            (Kind::Text(more), Some(Kind::Text(text))) => text.push_str(&more),
            (kind, _) => kept.push(kind),
        }
    }
    kept
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn nothing_harms_the_decoder(payloads in prop::collection::vec(payload(), 0..24)) {
        let payloads: Vec<_> = payloads.iter().map(String::as_str).collect();
        let events = decode(&payloads);
        prop_assert_eq!(events.iter().filter(|event| event.is_terminal()).count(), 1);
        prop_assert!(events.last().is_some_and(Event::is_terminal));
        let mut calls = 0;
        for event in &events {
            if let Kind::ToolCall(call) = &event.kind {
                prop_assert_eq!(call.index, calls);
                calls += 1;
            }
        }
        prop_assert_eq!(&decode(&payloads), &events, "deterministic");
    }

    #[test]
    fn no_bytes_harm_the_decoder(payloads in prop::collection::vec(any::<Vec<u8>>(), 0..8)) {
        let mut decoder = Decoder::new("gen_x");
        let mut out = Vec::new();
        for data in payloads {
            decoder.decode(&Payload::of(data.clone()), &mut out);
            let failed = crate::dialect::anthropic::failure(500, &data);
            prop_assert!(!failed.message.is_empty());
            decode_whole("gen_x", data.into(), &mut Vec::new());
        }
        decoder.finish(Ending::Eof, &mut out);
        prop_assert!(out.last().is_some_and(Event::is_terminal));
    }

    #[test]
    fn what_was_said_well_is_said_again_by_our_own_encoding(
        blocks in prop::collection::vec((0..8usize, "[a-z]{1,4}"), 0..8),
        reason in prop_oneof![Just("end_turn"), Just("pause_turn"), Just("refusal")],
    ) {
        let mut payloads = vec![message_start("m")];
        for (index, (kind, word)) in (0..).zip(&blocks) {
            let json = |text: String| serde_json::Value::from(text).to_string();
            let (block, pieces) = match kind {
                0 => (r#"{"type":"text","text":""}"#.to_owned(), vec![("text_delta", "text")]),
                1 => (r#"{"type":"text","text":""}"#.to_owned(), vec![]),
                2 => (
                    r#"{"type":"thinking","thinking":"","signature":""}"#.to_owned(),
                    vec![("thinking_delta", "thinking"), ("signature_delta", "signature")],
                ),
                3 => (
                    r#"{"type":"thinking","thinking":"","signature":""}"#.to_owned(),
                    vec![("thinking_delta", "thinking")],
                ),
                4 => (format!(r#"{{"type":"redacted_thinking","data":"{word}"}}"#), vec![]),
                5 => (
                    format!(r#"{{"type":"tool_use","id":"{word}","name":"n","input":{{}}}}"#),
                    vec![("input_json_delta", "partial_json")],
                ),
                6 => (
                    format!(r#"{{"type":"mcp_tool_use","id":"{word}","name":"n","input":{{}},"server_name":"w"}}"#),
                    vec![],
                ),
                _ => (format!(r#"{{"type":"x_tool_result","content":{}}}"#, json(word.clone())), vec![]),
            };
            payloads.push(start(index, &block));
            payloads.extend(pieces.iter().map(|(kind, name)| delta(index, kind, name, word)));
            payloads.push(end(index));
        }
        payloads.extend([stop(reason), MESSAGE_STOP.to_owned()]);
        let events = decode(&payloads.iter().map(String::as_str).collect::<Vec<_>>());
        let usage = |events: &[Event]| -> Option<Usage> {
            events.iter().find_map(|event| match &event.kind {
                Kind::Usage(usage) => Some(usage.clone()),
                _ => None,
            })
        };
        let again = there_and_back(&events);
        prop_assert_eq!(kept(&again), kept(&events));
        let (ours, theirs) = (usage(&again), usage(&events));
        prop_assert_eq!(ours.map(|it| (it.input, it.output)), theirs.map(|it| (it.input, it.output)));
    }
}
