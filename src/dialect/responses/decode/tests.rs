use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::dialect::responses::trial::{Heard, hear, payloads, recordings};
use crate::event::{FinishReason, RunBy};

fn decode(payloads: &[Payload]) -> Vec<Event> {
    let mut decoder = Decoder::new("gen_AbCdEfGhIjKlMnOpQrStUv");
    let mut out = Vec::new();
    let mut ending = Ending::Eof;
    for payload in payloads {
        if decoder.decode(payload, &mut out).flow == Flow::Ended {
            ending = Ending::Terminator;
            break;
        }
    }
    decoder.finish(ending, &mut out);
    out
}

fn heard(list: &[Value]) -> Heard {
    hear(&decode(&payloads(list)))
}

fn completed(output: &[Value]) -> Value {
    json!({"type":"response.completed","response":{"status":"completed","output":output,
        "usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}}})
}

fn text_item(text: &str) -> Value {
    json!({"type":"message","id":"msg_1","role":"assistant",
        "content":[{"type":"output_text","text":text,"annotations":[]}]})
}

#[test]
fn every_recording_is_what_the_official_sdk_makes_of_it() {
    let recordings = recordings(&["openai-responses", "azure-openai/responses-", "xai/responses-"]);
    for recording in recordings {
        let heard = hear(&decode(&recording.payloads));
        let differences = heard.differences(&recording.expected);
        assert!(differences.is_empty(), "{}: {differences:#?}", recording.name);
    }
}

#[test]
fn the_end_is_the_last_payload_and_its_absence_a_cut() {
    let delta = json!({"type":"response.output_text.delta","output_index":0,"delta":"Hi"});
    let end = heard(&[delta.clone(), completed(&[])]);
    assert_eq!((&*end.text, end.end), ("Hi", Ok((FinishReason::Stop, "completed".to_owned()))));
    let cut = heard(&[delta]).end.expect_err("cut");
    assert_eq!(cut.code, FailureCode::UpstreamCut);
    let done = [Payload::of("[DONE]")];
    let cut = hear(&decode(&done)).end.expect_err("cut");
    assert_eq!(cut.code, FailureCode::UpstreamCut);
}

#[test]
fn a_named_end_is_the_end_and_one_without_a_name_waits_for_done() {
    let mut decoder = Decoder::new("gen_x");
    let named = &payloads(&[completed(&[])])[0];
    assert_eq!(decoder.decode(named, &mut Vec::new()).flow, Flow::Ended);
    let mut decoder = Decoder::new("gen_x");
    let unnamed = Payload::of(named.data.clone());
    assert_eq!(decoder.decode(&unnamed, &mut Vec::new()).flow, Flow::FinishSeen);
    assert_eq!(decoder.decode(&Payload::of("[DONE]"), &mut Vec::new()).flow, Flow::Ended);
}

#[test]
fn what_deltas_left_out_is_said_at_the_end_and_nothing_twice() {
    let added = json!({"type":"response.output_item.added","output_index":0,
        "item":{"type":"message","id":"msg_1","content":[]}});
    let delta = |text| json!({"type":"response.output_text.delta","output_index":0,"delta":text});
    let done = json!({"type":"response.output_text.done","output_index":0,"text":"Got it, then"});
    let item = json!({"type":"response.output_item.done","output_index":0,"item":text_item("Got it, then.")});
    for list in [
        vec![added.clone(), delta("Got it"), done.clone(), item.clone(), completed(&[])],
        vec![added.clone(), item.clone(), completed(&[text_item("Got it, then.")])],
        vec![completed(&[text_item("Got it, then.")])],
        vec![added, delta("Got it, then."), completed(&[text_item("Got it, then.")])],
    ] {
        assert_eq!(heard(&list).text, "Got it, then.", "{list:#?}");
    }
}

#[test]
fn parts_that_are_counted_otherwise_are_not_said_twice() {
    let delta = |content, text| json!({"type":"response.output_text.delta","output_index":0,"content_index":content,"delta":text});
    let part = |text| json!({"type":"output_text","text":text,"annotations":[]});
    let item = json!({"type":"response.output_item.done","output_index":0,
        "item":{"type":"message","id":"msg_1","content":[part("one"), part("two.")]}});
    assert_eq!(heard(&[delta(1, "one"), delta(2, "two"), item, completed(&[])]).text, "onetwo.");
}

#[test]
fn items_are_known_by_their_place_whatever_their_ids_are() {
    let list = [
        json!({"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","id":"fc_1","call_id":"call_a","name":"add","arguments":""}}),
        json!({"type":"response.output_item.added","output_index":1,"item":{"type":"function_call","id":"fc_2","call_id":"call_b","name":"mul","arguments":""}}),
        json!({"type":"response.function_call_arguments.delta","item_id":"odd","output_index":1,"delta":"{\"y\""}),
        json!({"type":"response.function_call_arguments.delta","item_id":"other","output_index":0,"delta":"{}"}),
        json!({"type":"response.function_call_arguments.delta","item_id":"third","output_index":1,"delta":":1}"}),
        json!({"type":"response.output_item.done","output_index":0,"item":{"type":"function_call","id":"fc_9","call_id":"call_a","name":"add","arguments":"{}"}}),
        completed(&[
            json!({"type":"function_call","id":"fc_7","call_id":"call_a","name":"add","arguments":"{}"}),
            json!({"type":"function_call","id":"fc_8","call_id":"call_b","name":"mul","arguments":"{\"y\":1}"}),
        ]),
    ];
    let heard = heard(&list);
    let call = |id: &str, name: &str, arguments: &str| (id.into(), name.into(), arguments.into());
    assert_eq!(heard.calls, [call("call_a", "add", "{}"), call("call_b", "mul", "{\"y\":1}")]);
    assert_eq!(heard.end, Ok((FinishReason::ToolCalls, "completed".to_owned())));
}

#[test]
fn only_the_finished_items_encrypted_content_counts() {
    let list = [
        json!({"type":"response.output_item.added","output_index":0,"item":{"type":"reasoning","id":"rs_1","encrypted_content":"short-lived","summary":[]}}),
        json!({"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":0,"delta":"hm"}),
        json!({"type":"response.output_item.done","output_index":0,"item":{"type":"reasoning","id":"rs_1","encrypted_content":"lasting","summary":[{"type":"summary_text","text":"hm"}],"content":[{"type":"reasoning_text","text":"hm indeed"}]}}),
        completed(&[]),
    ];
    let heard = heard(&list);
    assert_eq!((&*heard.reasoning, &*heard.encrypted), ("hm", "lasting"));
}

#[test]
fn tools_of_the_provider_are_not_the_apps_to_run() {
    let item = json!({"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"x"}});
    let list = [
        json!({"type":"response.output_item.added","output_index":0,"item":{"type":"web_search_call","id":"ws_1","status":"in_progress"}}),
        json!({"type":"response.web_search_call.searching","output_index":0,"item_id":"ws_1"}),
        json!({"type":"response.output_item.done","output_index":0,"item":item}),
        json!({"type":"response.something.new","x":1}),
        completed(&[]),
    ];
    let events = decode(&payloads(&list));
    let heard = hear(&events);
    assert_eq!(heard.calls, []);
    assert_eq!(heard.server_items, ["web_search_call"]);
    assert_eq!(heard.end, Ok((FinishReason::Stop, "completed".to_owned())));
    let natives: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.kind {
            Kind::Native(native) => Some(&*native.name),
            _ => None,
        })
        .collect();
    assert_eq!(natives, ["web_search_call", "response.something.new"]);
    let call = events.iter().find_map(|event| match &event.kind {
        Kind::ToolCall(call) => Some(call),
        _ => None,
    });
    assert_eq!(call.map(|call| (&*call.name, call.run_by)), Some(("web_search", RunBy::Server)));
}

#[test]
fn errors_end_it_in_either_shape_and_a_failed_response_may_follow() {
    let nested = json!({"type":"error","error":{"code":"insufficient_quota","message":"no money"}});
    let flat = json!({"type":"error","code":"server_error","message":"no money","param":null});
    let failed = json!({"type":"response.failed","response":{"status":"failed","error":{"code":"server_error","message":"no money"}}});
    for list in [vec![nested, failed.clone()], vec![flat], vec![failed]] {
        let failed = heard(&list).end.expect_err("failed");
        assert_eq!((failed.code, &*failed.message), (FailureCode::UpstreamError, "no money"));
    }
}

#[test]
fn a_keepalive_is_a_ping_and_waiting_is_not_an_end() {
    let mut decoder = Decoder::new("gen_x");
    let mut decode = |value| decoder.decode(&payloads(&[value])[0], &mut Vec::new());
    assert!(decode(json!({"type":"keepalive","sequence_number":7})).ping);
    let queued = decode(json!({"type":"response.queued","response":{"status":"queued"}}));
    assert_eq!(queued, Decoded::default());
}

#[test]
fn a_whole_body_says_what_its_stream_would() {
    let body = json!({"id":"resp_1","object":"response","status":"incomplete","error":null,
        "incomplete_details":{"reason":"max_output_tokens"},
        "output":[{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"hm"}]}, text_item("Hi")],
        "usage":{"input_tokens":3,"output_tokens":4,"total_tokens":7}});
    let mut out = Vec::new();
    decode_whole("gen_x", body.to_string().into(), &mut out);
    let heard = hear(&out);
    assert_eq!((&*heard.reasoning, &*heard.text), ("hm", "Hi"));
    let end = (FinishReason::Length, "incomplete:max_output_tokens".to_owned());
    assert_eq!(heard.end, Ok(end));
    for (body, message) in [
        (r#"{"error":{"message":"no"}}"#, "no"),
        (r#"{"object":"response","status":"failed","error":{"message":"no"}}"#, "no"),
        (r#"{"output":[{"#, "cannot be read"),
        ("", "without response.completed"),
    ] {
        let mut out = Vec::new();
        decode_whole("gen_x", Bytes::from_static(body.as_bytes()), &mut out);
        let failed = hear(&out).end.expect_err(body);
        assert!(failed.message.contains(message), "{body}: {}", failed.message);
    }
}

#[test]
fn a_payload_others_can_read_is_read() {
    let list = [
        Payload::of(r#"{"type":"response.output_text.delta","delta":"a","delta":"x\ud83dy"}"#),
        Payload::of(&b"{\"type\":\"response.output_text.delta\",\"delta\":\"\xff\"}"[..]),
    ];
    assert_eq!(hear(&decode(&list[1..])).text, "\u{fffd}");
    let surrogate = [Payload::of(r#"{"type":"response.output_text.delta","delta":"x\ud83dy"}"#)];
    assert_eq!(hear(&decode(&surrogate)).text, "x\u{fffd}y");
}

#[test]
fn what_is_held_does_not_grow_past_its_bounds() {
    let mut decoder = Decoder::new("gen_x");
    let mut out = Vec::new();
    for index in 0..100_000u64 {
        let payload = json!({"type":"response.output_text.delta","output_index":0,"content_index":index,"delta":"x"});
        if decoder.decode(&payloads(&[payload])[0], &mut out).flow == Flow::Ended {
            break;
        }
    }
    assert!(decoder.slots[0].texts.len() <= TEXTS_MAX + 1);
    let mut decoder = Decoder::new("gen_x");
    for index in 0..100_000u64 {
        let payload = json!({"type":"response.output_text.delta","output_index":index,"delta":"x"});
        if decoder.decode(&payloads(&[payload])[0], &mut out).flow == Flow::Ended {
            break;
        }
    }
    assert!(decoder.slots.len() <= ITEMS_MAX);
    out.clear();
    decoder.finish(Ending::Terminator, &mut out);
    assert_eq!(hear(&out).end.expect_err("a limit").code, FailureCode::Limit);
}

/// Payloads that look like the dialect's, in any order.
fn any_payload() -> impl Strategy<Value = Payload> {
    let kinds = prop::sample::select(vec![
        "response.output_item.added",
        "response.output_item.done",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.reasoning_summary_text.delta",
        "response.output_text.annotation.added",
        "response.completed",
        "response.incomplete",
        "response.audio.delta",
        "error",
    ]);
    let sorts = prop::sample::select(vec![
        "message",
        "reasoning",
        "function_call",
        "custom_tool_call",
        "mcp_call",
        "computer_call",
        "compaction",
    ]);
    let json = (kinds, sorts, 0..3u8, 0..2u8, "[a-c{}\"]{0,3}").prop_map(
        |(kind, sort, output, content, text)| {
            let part = json!([{"type":"output_text","text":text,"annotations":[1]}]);
            let item = json!({"type":sort,"id":"i","call_id":"c","name":"n","arguments":text,"input":text,
                "content":part,"summary":part,"encrypted_content":text,"action":{"a":1}});
            let response = json!({"status":"completed","output":[item],"usage":{"input_tokens":1}});
            json!({"type":kind,"output_index":output,"content_index":content,"delta":text,"text":text,
                "arguments":text,"annotation":1,"item":item,"part":part[0],"response":response})
            .to_string()
        },
    );
    prop_oneof![4 => json.prop_map(Payload::of), 1 => any::<Vec<u8>>().prop_map(Payload::of)]
}

proptest! {
    #[test]
    fn whatever_comes_there_is_one_end_and_calls_are_counted(list in prop::collection::vec(any_payload(), 0..30)) {
        let events = decode(&list);
        let ends = events.iter().filter(|event| event.is_terminal()).count();
        prop_assert_eq!((ends, events.last().map(Event::is_terminal)), (1, Some(true)));
        let mut calls = 0;
        for event in &events {
            match &event.kind {
                Kind::ToolCall(call) => {
                    prop_assert_eq!(call.index, calls);
                    calls += 1;
                }
                Kind::ToolArguments(part) => prop_assert!(part.index < calls),
                _ => {}
            }
        }
    }

    #[test]
    fn text_cut_anywhere_is_the_same_text(text in ".{1,40}", cuts: Vec<prop::sample::Index>) {
        let mut places: Vec<_> = cuts.iter().map(|cut| text.floor_char_boundary(cut.index(text.len() + 1))).collect();
        places.extend([0, text.len()]);
        places.sort_unstable();
        let mut list: Vec<_> = places
            .windows(2)
            .map(|pair| json!({"type":"response.output_text.delta","output_index":0,"delta":&text[pair[0]..pair[1]]}))
            .collect();
        list.push(json!({"type":"response.output_text.done","output_index":0,"text":text}));
        list.push(completed(&[text_item(&text)]));
        prop_assert_eq!(heard(&list).text, text);
    }
}
