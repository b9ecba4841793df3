use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    dialect::{Dialect, Sealed, anthropic::encode_whole, seal, unseal},
    event::{
        Custom, Failed, FailureCode, FinishReason, Finished, Kind, Media, Native, Reasoning,
        Resumed, ToolArguments, ToolCall, Usage,
    },
};

fn started(dialect: &str) -> Event {
    Event::new(Kind::Started(Started {
        id: "gen_x".into(),
        model: "fast".into(),
        provider: "p".into(),
        dialect: dialect.into(),
        created_ms: 1_790_000_000_999,
        ..Started::default()
    }))
}

fn call(index: u32, name: &str, run_by: RunBy) -> Event {
    let (id, name) = (format!("call_{name}"), name.to_owned());
    Event::new(Kind::ToolCall(ToolCall { index, id, name, run_by }))
}

fn arguments(index: u32, arguments: &str) -> Event {
    Event::new(Kind::ToolArguments(ToolArguments { index, arguments: arguments.to_owned() }))
}

fn thought(text: &str, signature: &str, encrypted: &str) -> Event {
    let own = str::to_owned;
    let (text, signature, encrypted) = (own(text), own(signature), own(encrypted));
    Event::new(Kind::Reasoning(Reasoning { text, signature, encrypted }))
}

fn native(name: &str, data: &'static str) -> Event {
    let (dialect, name) = ("anthropic".to_owned(), name.to_owned());
    Event::new(Kind::Native(Native { dialect, name, data: data.into() }))
}

fn end(reason: FinishReason, native: &str) -> Event {
    Event::new(Kind::Finished(Finished { reason, native_reason: Some(native.to_owned()) }))
}

fn wires(events: &[Event]) -> Vec<Wire> {
    let mut encoder = Encoder::new(&Asked::default());
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.encode(event, &mut out));
    out
}

/// The payloads of `events`; each has its type as its name.
fn encode(events: &[Event]) -> Vec<Value> {
    let read = |wire: Wire| {
        let value: Value = serde_json::from_slice(&wire.data).expect("JSON");
        assert!(wire.name.is_empty() || value["type"] == wire.name, "{wire:?}");
        value
    };
    wires(events).into_iter().map(read).collect()
}

/// The blocks that a stream comes to, in the order of their indices, and its end; checks that it is well-formed.
fn blocks(payloads: &[Value]) -> (Vec<Value>, Value) {
    assert_eq!(payloads[0]["type"], "message_start");
    let mut blocks: Vec<Value> = Vec::new();
    let mut open = false;
    let mut last = Value::Null;
    for payload in &payloads[1..] {
        assert!(last["type"] != "message_delta" || payload["type"] == "message_stop");
        match payload["type"].as_str().expect("a type") {
            "content_block_start" => {
                assert!(!open, "blocks never interleave");
                assert_eq!(payload["index"], json!(blocks.len()), "the index rises");
                blocks.push(payload["content_block"].clone());
                open = true;
            }
            "content_block_delta" => {
                assert!(open, "no piece outside a block");
                assert_eq!(payload["index"], json!(blocks.len() - 1));
                let (block, delta) =
                    (blocks.last_mut().expect("open"), payload["delta"].as_object());
                for (name, value) in delta.expect("an object").iter().filter(|(n, _)| *n != "type")
                {
                    let held = block.get(name).and_then(Value::as_str).unwrap_or_default();
                    block[name] = match value.as_str() {
                        Some(text) => json!(held.to_owned() + text),
                        None => value.clone(),
                    };
                }
            }
            "content_block_stop" => {
                assert!(open, "a block ends once");
                open = false;
            }
            "message_delta" => assert!(!open, "all blocks have ended"),
            "message_stop" => assert_eq!(last["type"], "message_delta"),
            other => panic!("{other}"),
        }
        last = payload.clone();
    }
    assert_eq!(last["type"], "message_stop");
    (blocks, payloads[payloads.len() - 2].clone())
}

fn conversation() -> Vec<Event> {
    let usage = Usage {
        input: 17,
        output: 5,
        reasoning: 2,
        cached_input: 6,
        cache_write: 4,
        ..Usage::default()
    };
    vec![
        started("openai"),
        thought("hm", "", ""),
        Event::text("Hi \"you\""),
        call(0, "search", RunBy::Server),
        arguments(0, "{}"),
        call(1, "add", RunBy::Client),
        arguments(1, "{\"x\":"),
        arguments(1, "1}"),
        Event::new(Kind::Usage(usage)),
        end(FinishReason::ToolCalls, "tool_calls"),
    ]
}

#[test]
fn a_generation_becomes_the_events_that_anthropic_would_send() {
    let payloads: Vec<_> = wires(&conversation())
        .into_iter()
        .map(|wire| String::from_utf8(wire.data.to_vec()).expect("UTF-8"))
        .collect();
    let sealed = seal(Dialect::OpenAi, Sealed::Signature, "");
    let expected = [
        r#"{"type":"message_start","message":{"id":"msg_x","type":"message","role":"assistant","model":"fast","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
        &format!(
            r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"signature_delta","signature":"{sealed}"}}}}"#
        ),
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Hi \"you\""}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"call_add","name":"add","input":{}}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":""}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"x\":"}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"1}"}}"#,
        r#"{"type":"content_block_stop","index":2}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":7,"cache_creation_input_tokens":4,"cache_read_input_tokens":6,"output_tokens":5,"output_tokens_details":{"thinking_tokens":2}}}"#,
        r#"{"type":"message_stop"}"#,
    ];
    assert_eq!(payloads, expected);
    blocks(&encode(&conversation()));
}

#[test]
fn a_folded_generation_is_one_message() {
    let body = encode_whole(&conversation(), &Asked::default()).expect("it ended well");
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let sealed = seal(Dialect::OpenAi, Sealed::Signature, "");
    let expected = json!({
        "id": "msg_x", "type": "message", "role": "assistant", "model": "fast",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": sealed},
            {"type": "text", "text": "Hi \"you\""},
            {"type": "tool_use", "id": "call_add", "name": "add", "input": {"x": 1}},
        ],
        "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {
            "input_tokens": 7, "cache_creation_input_tokens": 4, "cache_read_input_tokens": 6,
            "output_tokens": 5, "output_tokens_details": {"thinking_tokens": 2},
        },
    });
    assert_eq!(body, expected);
    let cut = conversation();
    assert!(encode_whole(&cut[..cut.len() - 1], &Asked::default()).is_err(), "an end is needed");
}

#[test]
fn an_answer_that_is_only_a_call_begins_with_message_start() {
    let payloads = encode(&[
        started("openai"),
        call(0, "now", RunBy::Client),
        end(FinishReason::ToolCalls, "tool_calls"),
    ]);
    let (blocks, end) = blocks(&payloads);
    assert_eq!(blocks.len(), 1);
    assert_eq!(blocks[0]["input"], json!({}));
    assert_eq!(end["usage"]["output_tokens"], 0);
}

#[test]
fn a_call_is_closed_before_text_opens() {
    let (blocks, _) = blocks(&encode(&[
        started("openai"),
        call(0, "add", RunBy::Client),
        arguments(0, "{}"),
        Event::text("and"),
        Event::text(" more"),
        end(FinishReason::Stop, "stop"),
    ]));
    assert_eq!(blocks[1], json!({"type": "text", "text": "and more"}));
}

#[test]
fn parallel_calls_whose_arguments_come_mixed_stay_apart() {
    let (blocks, _) = blocks(&encode(&[
        started("openai"),
        call(0, "add", RunBy::Client),
        call(1, "mul", RunBy::Client),
        call(2, "now", RunBy::Client),
        arguments(1, "{\"b\":"),
        arguments(0, "{\"a\":"),
        arguments(1, "2}"),
        arguments(0, "1}"),
        end(FinishReason::ToolCalls, "tool_calls"),
    ]));
    let told: Vec<_> = blocks.iter().map(|it| (&it["name"], &it["partial_json"])).collect();
    let expected = [("add", "{\"a\":1}"), ("mul", "{\"b\":2}"), ("now", "")]
        .map(|(n, a)| (json!(n), json!(a)));
    assert_eq!(told, expected.iter().map(|(n, a)| (n, a)).collect::<Vec<_>>());
}

#[test]
fn anthropics_own_signatures_pass_byte_for_byte_and_others_under_a_seal() {
    let events = |dialect| {
        [
            started(dialect),
            thought("hm", "", ""),
            thought("", "s+/==", ""),
            thought("", "", "r+/=="),
            end(FinishReason::Stop, "end_turn"),
        ]
    };
    let (own, _) = blocks(&encode(&events("anthropic")));
    assert_eq!(own[0], json!({"type": "thinking", "thinking": "hm", "signature": "s+/=="}));
    assert_eq!(own[1], json!({"type": "redacted_thinking", "data": "r+/=="}));
    let (bedrock, _) = blocks(&encode(&events("bedrock")));
    let opened = |it: &Value| unseal(it.as_str().expect("a string")).expect("a seal");
    assert_eq!(
        opened(&bedrock[0]["signature"]),
        (Dialect::Bedrock, Sealed::Signature, "s+/==".to_owned())
    );
    let (openrouter, _) = blocks(&encode(&events("openai")));
    assert_eq!(openrouter[0]["thinking"], "hm", "signed where it was thought, and once");
    assert_eq!(opened(&openrouter[0]["signature"]).2, "s+/==");
    let (gemini, _) = blocks(&encode(&events("gemini")));
    assert_eq!(gemini[0]["thinking"], "hm");
    assert_eq!(gemini[1]["thinking"], "", "what may sign the next part stands alone");
    let sealed = (Dialect::Gemini, Sealed::Signature, "s+/==".to_owned());
    assert_eq!(opened(&gemini[1]["signature"]), sealed);
    let sealed = (Dialect::Gemini, Sealed::Encrypted, "r+/==".to_owned());
    assert_eq!(opened(&gemini[2]["data"]), sealed);
}

#[test]
fn only_anthropics_own_citations_are_told() {
    let own = r#"{"type":"char_location","cited_text":"x"}"#;
    let (blocks, _) = blocks(&encode(&[
        started("anthropic"),
        Event::new(Kind::Citation(own.into())),
        Event::text("x"),
        Event::new(Kind::Citation(r#"{"type":"url_citation","url":"u"}"#.into())),
        Event::new(Kind::Citation("\"u\"".into())),
        end(FinishReason::Stop, "end_turn"),
    ]));
    assert_eq!(blocks.len(), 1);
    assert_eq!(blocks[0]["citation"]["cited_text"], "x");
    assert_eq!(blocks[0]["text"], "x");
}

#[test]
fn the_providers_own_blocks_are_written_again_in_their_places() {
    let mcp =
        r#"{"type":"mcp_tool_use","id":"call_ask","name":"ask","input":{},"server_name":"w"}"#;
    let result = r#"{"type":"mcp_tool_result","tool_use_id":"call_ask","content":[]}"#;
    let events = |dialect| {
        [
            started(dialect),
            native("content_block.mcp_tool_use", mcp),
            call(0, "ask", RunBy::Server),
            arguments(0, "{\"q\":1}"),
            native("content_block.mcp_tool_result", result),
            native("content_block_part", r#""{\"type\":\"x_tool_result\",""#),
            native("content_block_last", r#""\"y\":1}""#),
            Event::text("So."),
            native("content_block.text", r#"{"type":"text","text":""}"#),
            Event::text("Next."),
            native("message_delta.stop_sequence", "\"END\""),
            native("message_delta.context_management", "{\"applied_edits\":[]}"),
            end(FinishReason::Stop, "stop_sequence"),
        ]
    };
    let (own, end) = blocks(&encode(&events("anthropic")));
    let mut asked: Value = serde_json::from_str(mcp).expect("JSON");
    asked["partial_json"] = json!("{\"q\":1}");
    let expected = [
        asked,
        serde_json::from_str(result).expect("JSON"),
        json!({"type": "x_tool_result", "y": 1}),
        json!({"type": "text", "text": "So."}),
        json!({"type": "text", "text": "Next."}),
    ];
    assert_eq!(own, expected);
    assert_eq!(end["delta"], json!({"stop_reason": "stop_sequence", "stop_sequence": "END"}));
    assert_eq!(end["context_management"], json!({"applied_edits": []}));
    let body = encode_whole(&events("anthropic"), &Asked::default()).expect("it ended well");
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(body["content"][0]["input"], json!({"q": 1}));
    assert_eq!(body["content"][0]["server_name"], "w");
    // What another provider ran is never shown, and its blocks mean nothing to Anthropic's SDKs.
    let (foreign, _) = blocks(&encode(&events("gemini")));
    assert_eq!(foreign, [json!({"type": "text", "text": "So.Next."})]);
}

#[test]
fn the_providers_own_usage_is_handed_on() {
    let usage = Usage { native: "{\"input_tokens\":3,\"x\":[1]}".into(), ..Usage::default() };
    let events =
        [started("anthropic"), Event::new(Kind::Usage(usage)), end(FinishReason::Stop, "end_turn")];
    let (_, end) = blocks(&encode(&events));
    assert_eq!(end["usage"], json!({"input_tokens": 3, "x": [1]}));
}

#[test]
fn a_failure_is_an_error_of_its_type_and_nothing_after_it() {
    let failed = Failed { status: 529, ..Failed::new(FailureCode::UpstreamError, "Overloaded") };
    let events = [started("openai"), Event::text("Hi"), Event::new(Kind::Failed(failed.clone()))];
    let payloads = encode(&events);
    let error = json!({"type": "overloaded_error", "message": "Overloaded"});
    assert_eq!(payloads.last(), Some(&json!({"type": "error", "error": error})));
    assert_eq!(encode_whole(&events, &Asked::default()), Err(failed));
    let first = encode(&[Event::new(Kind::Failed(Failed::new(FailureCode::Timeout, "late")))]);
    assert_eq!(first[0]["error"]["type"], "timeout_error");
}

#[test]
fn a_refusals_text_is_text_and_the_reason_says_refusal() {
    let (blocks, end) = blocks(&encode(&[
        started("openai"),
        Event::new(Kind::Refusal("No.".into())),
        end(FinishReason::Stop, "stop"),
    ]));
    assert_eq!(blocks, [json!({"type": "text", "text": "No."})]);
    assert_eq!(end["delta"]["stop_reason"], "refusal");
}

#[test]
fn after_another_provider_went_on_the_end_is_in_our_words() {
    let (blocks, end) = blocks(&encode(&[
        started("anthropic"),
        Event::text("So "),
        Event::new(Kind::Resumed(Resumed::default())),
        Event::text("far."),
        Event::new(Kind::Usage(Usage {
            output: 7,
            native: "{\"total\":7}".into(),
            ..Usage::default()
        })),
        end(FinishReason::Stop, "STOP"),
    ]));
    assert_eq!(blocks, [json!({"type": "text", "text": "So far."})]);
    assert_eq!(end["delta"]["stop_reason"], "end_turn");
    assert_eq!(end["usage"]["output_tokens"], 7);
}

#[test]
fn a_message_is_one_answer_and_an_empty_one_is_legal() {
    let (blocks, _) = blocks(&encode(&[
        started("openai"),
        Event::text("b").of_choice(1),
        end(FinishReason::Stop, "stop"),
    ]));
    assert_eq!(blocks, [] as [Value; 0]);
}

#[test]
fn arguments_that_were_cut_are_handed_on_in_a_whole_body() {
    let events = [
        started("openai"),
        call(0, "add", RunBy::Client),
        arguments(0, "{\"x\":"),
        end(FinishReason::Length, "length"),
    ];
    let body = encode_whole(&events, &Asked::default()).expect("it ended well");
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(body["content"][0]["input"], json!({"INVALID_JSON": "{\"x\":"}));
    assert_eq!(body["stop_reason"], "max_tokens");
}

/// Events as any provider of any dialect may say them.
fn event() -> impl Strategy<Value = Event> {
    let word = "[a-z{}\"]{0,4}";
    prop_oneof![
        word.prop_map(Event::text),
        word.prop_map(|it| Event::new(Kind::Refusal(it))),
        word.prop_map(|it| thought(&it, "", "")),
        word.prop_map(|it| thought("", &it, "")),
        word.prop_map(|it| thought("", "", &it)),
        (0..4u32).prop_map(|index| call(index, "add", RunBy::Client)),
        (0..4u32).prop_map(|index| call(index, "ask", RunBy::Server)),
        (0..4u32, word).prop_map(|(index, it)| arguments(index, &it)),
        Just(Event::new(Kind::Citation(r#"{"type":"page_location"}"#.into()))),
        Just(Event::new(Kind::Citation("{".into()))),
        Just(Event::new(Kind::Media(Media::default()))),
        Just(Event::new(Kind::Custom(Custom::default()))),
        Just(Event::new(Kind::Resumed(Resumed::default()))),
        Just(Event::new(Kind::Usage(Usage { native: "7".into(), ..Usage::default() }))),
        Just(native("content_block.text", "{}")),
        Just(native("content_block.thinking", "{}")),
        Just(native("content_block.x", "{\"type\":\"x\"}")),
        Just(native("content_block.x", "nothing")),
        Just(native("content_block.mcp_tool_use", "{\"type\":\"mcp_tool_use\",\"input\":{}}")),
        Just(native("content_block_part", "\"{\"")),
        Just(native("content_block_last", "\"}\"")),
        Just(native("message_delta.stop_sequence", "\"x\"")),
        Just(native("message_delta.container", "{")),
        Just(Event::text("b").of_choice(1)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_is_said_the_stream_is_well_formed_and_its_tail_resumes(
        said in prop::collection::vec(event(), 0..24),
        dialect in prop_oneof![Just("anthropic"), Just("openai"), Just("gemini"), Just("bedrock")],
    ) {
        let mut events = vec![started(dialect)];
        events.extend(said);
        events.push(end(FinishReason::Stop, "end_turn"));
        let whole = wires(&events);
        blocks(&encode(&events));
        prop_assert_eq!(&wires(&events), &whole);
        for upto in 1..events.len() {
            let begun = wires(&events[..upto]);
            prop_assert_eq!(&begun[..], &whole[..begun.len()]);
        }
        let body = encode_whole(&events, &Asked::default()).expect("it ended well");
        serde_json::from_slice::<Value>(&body).expect("JSON");
    }

    #[test]
    fn no_character_is_lost_or_moved(words in prop::collection::vec("[a-zé😀]{1,5}", 1..8)) {
        let mut events = vec![started("openai")];
        events.extend(words.iter().map(Event::text));
        events.push(end(FinishReason::Stop, "stop"));
        let (blocks, _) = blocks(&encode(&events));
        prop_assert_eq!(&blocks[0]["text"], &json!(words.concat()));
    }
}
