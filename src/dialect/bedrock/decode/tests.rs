use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;

use super::*;
use crate::{
    dialect::Flow,
    event::{EVENT_BYTES_MAX, FinishReason, Kind, RunBy},
};

fn payload(name: &str, data: &str) -> Payload {
    Payload { event: name.to_owned().into(), ..Payload::of(data.to_owned()) }
}

/// The events of a stream, and what each payload was.
fn decode(payloads: &[(&str, &str)]) -> (Vec<Kind>, Vec<Flow>) {
    let (mut decoder, mut out, mut flows) = (Decoder::new("gen_x"), Vec::new(), Vec::new());
    for (name, data) in payloads {
        flows.push(decoder.decode(&payload(name, data), &mut out).flow);
    }
    let terminator = flows.last() == Some(&Flow::Ended);
    decoder.finish(if terminator { Ending::Terminator } else { Ending::Eof }, &mut out);
    (out.into_iter().map(|event| event.kind).collect(), flows)
}

fn failed(kinds: &[Kind]) -> &Failed {
    let Some(Kind::Failed(failed)) = kinds.last() else { panic!("{kinds:?}") };
    failed
}

const TEXT: (&str, &str) =
    ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"Hi"},"p":"ab"}"#);
const STOP: (&str, &str) = ("messageStop", r#"{"stopReason":"end_turn"}"#);
const METADATA: (&str, &str) =
    ("metadata", r#"{"usage":{"inputTokens":3,"outputTokens":4,"totalTokens":7},"trace":{}}"#);

#[test]
fn the_end_is_message_stop_and_metadata_in_whatever_order() {
    let (kinds, flows) = decode(&[TEXT, STOP, METADATA]);
    assert_eq!(flows, [Flow::More, Flow::FinishSeen, Flow::Ended]);
    assert!(matches!(&kinds[..], [Kind::Text(_), Kind::Usage(_), Kind::Finished(_)]), "{kinds:?}");
    let (other, flows) = decode(&[TEXT, METADATA, STOP]);
    assert_eq!((other, flows), (kinds, vec![Flow::More, Flow::More, Flow::Ended]));
    // And a close after messageStop is an end without usage.
    let (kinds, _) = decode(&[TEXT, STOP]);
    assert!(matches!(&kinds[..], [Kind::Text(_), Kind::Finished(_)]), "{kinds:?}");
}

#[test]
fn a_stream_that_closes_without_its_end_was_cut() {
    for payloads in [&[TEXT][..], &[TEXT, METADATA], &[TEXT, STOP, (CUT, "")]] {
        assert_eq!(failed(&decode(payloads).0).code, FailureCode::UpstreamCut, "{payloads:?}");
    }
}

#[test]
fn an_exception_ends_the_stream_with_its_status() {
    let thrown = ("exception:throttlingException", r#"{"message":"Too many tokens"}"#);
    let (kinds, flows) = decode(&[TEXT, thrown]);
    assert_eq!(flows[1], Flow::Ended);
    let failed = failed(&kinds);
    assert_eq!((&*failed.message, failed.status), ("Too many tokens", 429));
    assert_eq!(failed.code, FailureCode::UpstreamError);
}

#[test]
fn a_tool_that_amazon_runs_is_no_call_of_the_app() {
    let (kinds, _) = decode(&[
        (
            "contentBlockStart",
            r#"{"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"s","name":"nova_grounding","type":"server_tool_use"}}}"#,
        ),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"toolUse":{"input":"{\"q\":1}"}}}"#,
        ),
        ("contentBlockStop", r#"{"contentBlockIndex":0}"#),
        (
            "contentBlockStart",
            r#"{"contentBlockIndex":1,"start":{"toolResult":{"toolUseId":"s","status":"success"}}}"#,
        ),
        ("contentBlockDelta", r#"{"contentBlockIndex":1,"delta":{"toolResult":[{"text":"r"}]}}"#),
        ("contentBlockStop", r#"{"contentBlockIndex":1}"#),
        STOP,
        METADATA,
    ]);
    let [
        Kind::ToolCall(call),
        Kind::ToolArguments(_),
        Kind::Native(begun),
        Kind::Native(result),
        ..,
    ] = &kinds[..]
    else {
        panic!("{kinds:#?}")
    };
    assert_eq!((call.run_by, &*begun.name), (RunBy::Server, "contentBlockStart"));
    assert_eq!(&*result.name, "contentBlockDelta");
    let Some(Kind::Finished(end)) = kinds.last() else { panic!("{kinds:?}") };
    assert_eq!(end.reason, FinishReason::Stop, "the app has nothing to run");
}

#[test]
fn calls_are_counted_have_ids_and_arguments_even_where_none_came() {
    let start = |index: u32, tool: &str| {
        format!("{{\"contentBlockIndex\":{index},\"start\":{{\"toolUse\":{tool}}}}}")
    };
    let (first, second) =
        (start(1, r#"{"toolUseId":"a","name":"f"}"#), start(2, r#"{"name":"g"}"#));
    let (kinds, _) = decode(&[
        ("messageStart", r#"{"role":"assistant"}"#),
        ("contentBlockStart", &first),
        ("contentBlockStart", &second),
        ("contentBlockDelta", r#"{"contentBlockIndex":2,"delta":{"toolUse":{"input":"{\"a\""}}}"#),
        ("contentBlockDelta", r#"{"contentBlockIndex":1,"delta":{"toolUse":{"input":""}}}"#),
        ("contentBlockDelta", r#"{"contentBlockIndex":2,"delta":{"toolUse":{"input":":1}"}}}"#),
        ("contentBlockStop", r#"{"contentBlockIndex":1}"#),
        ("contentBlockStop", r#"{"contentBlockIndex":2}"#),
        STOP,
    ]);
    let mut calls = vec![];
    for kind in &kinds {
        match kind {
            Kind::ToolCall(call) => calls.push((call.id.clone(), call.name.clone(), String::new())),
            Kind::ToolArguments(part) => calls[part.index as usize].2 += &part.arguments,
            _ => {}
        }
    }
    let own = |id: &str, name: &str, arguments: &str| (id.into(), name.into(), arguments.into());
    assert_eq!(calls, [own("a", "f", "{}"), own("call_x_1", "g", "{\"a\":1}")]);
    let Some(Kind::Finished(end)) = kinds.last() else { panic!("{kinds:?}") };
    assert_eq!(end.reason, FinishReason::ToolCalls, "whatever word the model ended with");
}

#[test]
fn reasoning_keeps_its_signature_and_what_was_redacted_byte_for_byte() {
    let (kinds, _) = decode(&[
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"hm"}}}"#,
        ),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"E+/=="}}}"#,
        ),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":1,"delta":{"reasoningContent":{"redactedContent":"UnVj/+="}}}"#,
        ),
        ("contentBlockDelta", r#"{"contentBlockIndex":2,"delta":{"text":""}}"#),
        STOP,
    ]);
    let [
        Kind::Reasoning(text),
        Kind::Reasoning(signature),
        Kind::Reasoning(redacted),
        Kind::Finished(_),
    ] = &kinds[..]
    else {
        panic!("{kinds:#?}")
    };
    assert_eq!((&*text.text, &*signature.signature), ("hm", "E+/=="));
    assert_eq!(redacted.encrypted, "UnVj/+=");
}

#[test]
fn an_image_comes_in_parts_and_ends_with_its_block() {
    let long = BASE64_STANDARD.encode(vec![7u8; EVENT_BYTES_MAX]);
    let delta = |bytes: &str| {
        format!(
            "{{\"contentBlockIndex\":0,\"delta\":{{\"image\":{{\"source\":{{\"bytes\":\"{bytes}\"}}}}}}}}"
        )
    };
    let (first, second) = (delta(&long), delta("aW1n"));
    let (kinds, _) = decode(&[
        ("contentBlockStart", r#"{"contentBlockIndex":0,"start":{"image":{"format":"jpeg"}}}"#),
        ("contentBlockDelta", &first),
        ("contentBlockDelta", &second),
        ("contentBlockStop", r#"{"contentBlockIndex":0}"#),
        STOP,
    ]);
    let parts: Vec<_> = kinds
        .iter()
        .filter_map(|kind| match kind {
            Kind::Media(media) => Some((media.part, media.last, media.mime.as_str())),
            _ => None,
        })
        .collect();
    let part = |number, last| (number, last, "image/jpeg");
    assert_eq!(parts, [part(0, false), part(1, false), part(2, false), part(3, true)]);
}

#[test]
fn what_guardrails_and_models_add_passes_as_it_came() {
    let (kinds, _) = decode(&[
        TEXT,
        (
            "messageStop",
            r#"{"stopReason":"guardrail_intervened","additionalModelResponseFields":{"a":1}}"#,
        ),
        ("metadata", r#"{"trace":{"guardrail":{"actionReason":"masked"}}}"#),
        ("somethingNew", r#"{"x":1}"#),
    ]);
    let natives: Vec<_> = kinds
        .iter()
        .filter_map(|kind| match kind {
            Kind::Native(native) => Some((native.name.as_str(), &native.data[..])),
            _ => None,
        })
        .collect();
    assert_eq!(
        natives,
        [
            ("messageStop.additionalModelResponseFields", &b"{\"a\":1}"[..]),
            ("metadata.trace", b"{\"guardrail\":{\"actionReason\":\"masked\"}}"),
            ("somethingNew", b"{\"x\":1}"),
        ]
    );
    let Some(Kind::Finished(end)) = kinds.last() else { panic!("{kinds:?}") };
    assert_eq!(end.reason, FinishReason::ContentFilter);
}

#[test]
fn two_answers_do_not_become_one() {
    let start = ("messageStart", r#"{"role":"assistant"}"#);
    let (kinds, flows) = decode(&[start, start, TEXT, start]);
    assert_eq!(flows, [Flow::More, Flow::More, Flow::More, Flow::Ended]);
    assert!(failed(&kinds).message.contains("second answer"));
}

#[test]
fn malformed_output_is_a_failure_in_the_providers_word() {
    let (kinds, _) = decode(&[TEXT, ("messageStop", r#"{"stopReason":"malformed_tool_use"}"#)]);
    assert!(failed(&kinds).message.contains("malformed_tool_use"));
}

#[test]
fn novas_own_events_come_in_chunks() {
    let chunk = |event: &str| format!("{{\"bytes\":\"{}\",\"p\":\"abc\"}}", BASE64.encode(event));
    let events = [
        r#"{"messageStart":{"role":"assistant"}}"#,
        r#"{"contentBlockDelta":{"delta":{"text":"The"},"contentBlockIndex":0}}"#,
        r#"{"messageStop":{"stopReason":"max_tokens"}}"#,
        r#"{"metadata":{"usage":{"inputTokens":1,"cacheReadInputTokenCount":2}},"amazon-bedrock-invocationMetrics":{}}"#,
    ]
    .map(chunk);
    let payloads: Vec<_> = events.iter().map(|data| ("chunk", &**data)).collect();
    let (kinds, flows) = decode(&payloads);
    let [Kind::Text(_), Kind::Usage(usage), Kind::Finished(end)] = &kinds[..] else {
        panic!("{kinds:#?}")
    };
    assert_eq!((usage.input, end.reason), (3, FinishReason::Length));
    assert_eq!(flows.last(), Some(&Flow::Ended));
}

#[test]
fn blocks_that_are_opened_without_end_are_refused() {
    let mut decoder = Decoder::new("gen_x");
    let (mut out, mut flow) = (Vec::new(), Flow::More);
    for index in 0..2000 {
        let start = format!("{{\"contentBlockIndex\":{index},\"start\":{{\"image\":{{}}}}}}");
        flow = decoder.decode(&payload("contentBlockStart", &start), &mut out).flow;
    }
    assert_eq!(flow, Flow::Ended);
    decoder.finish(Ending::Terminator, &mut out);
    let Some(Kind::Failed(failed)) = out.last().map(|event| &event.kind) else { panic!() };
    assert_eq!(failed.code, FailureCode::Limit);
}

/// Names and data that a broken or hostile provider might send.
fn hostile() -> impl Strategy<Value = (String, String)> {
    let names = prop::sample::select(vec![
        "messageStart",
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
        "chunk",
        "exception:x",
        "error:",
        CUT,
        "",
    ]);
    let inner = prop::sample::select(vec![
        r#"{"text":"a"}"#,
        r#"{"text":null}"#,
        r#"{"toolUse":{"toolUseId":"i","name":"n","input":"{"}}"#,
        r#"{"toolUse":{"input":[1e999]}}"#,
        r#"{"image":{"format":"png","source":{"bytes":"aW"}}}"#,
        r#"{"reasoningContent":{"reasoningText":{"text":"x"}}}"#,
        r#"{"citation":5}"#,
        "[]",
        "\"\\ud800\"",
        "null",
    ]);
    let data = prop_oneof![
        (0u64..4, inner).prop_map(|(index, inner)| format!(
            "{{\"contentBlockIndex\":{index},\"start\":{inner},\"delta\":{inner},\
             \"stopReason\":\"end_turn\",\"usage\":{inner},\"trace\":{inner},\"bytes\":\"e30=\"}}"
        )),
        any::<Vec<u8>>().prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        any::<Vec<u8>>().prop_map(|bytes| format!("{{\"bytes\":\"{}\"}}", BASE64.encode(bytes))),
    ];
    (names.prop_map(str::to_owned), data)
}

proptest! {
    #[test]
    fn whatever_comes_there_is_one_end_and_nothing_after_it(
        payloads in prop::collection::vec(hostile(), 0..12),
        raw in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let (mut decoder, mut out) = (Decoder::new("gen_x"), Vec::new());
        for (name, data) in &payloads {
            decoder.decode(&payload(name, data), &mut out);
        }
        decoder.decode(&Payload::of(raw.clone()), &mut out);
        decoder.finish(Ending::Eof, &mut out);
        let ends = out.iter().filter(|event| event.is_terminal()).count();
        prop_assert_eq!(ends, 1);
        prop_assert!(out.last().is_some_and(Event::is_terminal));
        let mut whole = Vec::new();
        super::super::decode_whole("gen_x", raw.into(), &mut whole);
        prop_assert!(whole.last().is_some_and(Event::is_terminal));
    }
}
