use proptest::prelude::*;

use super::*;
use crate::event::EVENT_BYTES_MAX;

/// The events of a stream, and whether it ended by itself.
fn decode(lines: &[&str]) -> (Vec<Kind>, bool) {
    let (mut decoder, mut out, mut flow) = (Decoder::new("gen_x"), Vec::new(), Flow::More);
    for line in lines {
        flow = decoder.decode(&Payload::of((*line).to_owned()), &mut out).flow;
    }
    let ended = flow == Flow::Ended;
    decoder.finish(if ended { Ending::Terminator } else { Ending::Eof }, &mut out);
    (out.into_iter().map(|event| event.kind).collect(), ended)
}

const DONE: &str = r#"{"message":{"role":"assistant","content":""},"done":true,"done_reason":"stop",
    "prompt_eval_count":3,"eval_count":4}"#;

#[test]
fn thinking_and_text_are_told_apart_in_both_routes() {
    for line in [
        r#"{"message":{"role":"assistant","content":"Hi","thinking":"hm","tool_calls":null},"done":false}"#,
        r#"{"response":"Hi","thinking":"hm","done":false}"#,
    ] {
        let (kinds, ended) = decode(&[line, DONE]);
        let [Kind::Reasoning(thought), Kind::Text(text), Kind::Usage(usage), Kind::Finished(end)] =
            &kinds[..]
        else {
            panic!("{kinds:#?}")
        };
        assert_eq!((&*thought.text, &**text, ended), ("hm", "Hi", true));
        assert_eq!((usage.input, usage.output), (3, 4));
        assert_eq!((end.reason, end.native_reason.as_deref()), (FinishReason::Stop, Some("stop")));
    }
}

#[test]
fn calls_are_counted_in_their_order_whatever_their_index_and_have_ids() {
    let (kinds, _) = decode(&[
        r#"{"message":{"content":"","tool_calls":[{"function":{"name":"f","arguments":{"city":"Détroit","n":1.0}}},
            {"id":"given","function":{"index":0,"name":"g","arguments":"{\"a\":1}"}}]},"done":false}"#,
        r#"{"message":{"tool_calls":[{"function":{"index":0,"name":"g"}}]}}"#,
        DONE,
    ]);
    let mut calls = Vec::new();
    for kind in &kinds {
        match kind {
            Kind::ToolCall(call) => calls.push((call.index, &*call.id, &*call.name, "")),
            Kind::ToolArguments(part) => calls[part.index as usize].3 = &part.arguments,
            _ => {}
        }
    }
    assert_eq!(
        calls,
        [
            (0, "call_x_0", "f", r#"{"city":"Détroit","n":1.0}"#),
            (1, "given", "g", r#"{"a":1}"#),
            (2, "call_x_2", "g", "{}"),
        ]
    );
    let Some(Kind::Finished(end)) = kinds.last() else { panic!("{kinds:?}") };
    assert_eq!(end.reason, FinishReason::ToolCalls);
    assert_eq!(end.native_reason.as_deref(), Some("stop"));
}

#[test]
fn a_calls_length_is_a_length_and_a_model_that_was_loaded_has_stopped() {
    for (reason, expected) in [
        ("\"length\"", FinishReason::Length),
        ("\"load\"", FinishReason::Stop),
        ("null", FinishReason::Stop),
    ] {
        let call = r#"{"message":{"tool_calls":[{"function":{"name":"f"}}]}}"#;
        let line = format!("{{\"done\":true,\"done_reason\":{reason}}}");
        let lines = if reason.contains("length") { vec![call, &line] } else { vec![&*line] };
        let (kinds, _) = decode(&lines);
        let Some(Kind::Finished(end)) = kinds.last() else { panic!("{kinds:?}") };
        assert_eq!(end.reason, expected, "{reason}");
        assert!(!kinds.iter().any(|kind| matches!(kind, Kind::Usage(_))), "none was given");
    }
}

#[test]
fn an_error_in_the_stream_ends_it() {
    let (kinds, ended) = decode(&[r#"{"response":"Hi"}"#, r#"{"error":"out of memory"}"#, DONE]);
    let [Kind::Text(_), Kind::Failed(failed)] = &kinds[..] else { panic!("{kinds:#?}") };
    assert_eq!((&*failed.message, failed.code), ("out of memory", FailureCode::UpstreamError));
    assert!(ended);
}

#[test]
fn a_stream_that_is_not_done_was_cut() {
    for lines in [&[][..], &[r#"{"response":"Hi","done":false,"done_reason":"stop"}"#]] {
        let (kinds, _) = decode(lines);
        let Some(Kind::Failed(failed)) = kinds.last() else { panic!("{kinds:?}") };
        assert_eq!(failed.code, FailureCode::UpstreamCut);
    }
}

#[test]
fn images_and_log_probabilities_pass() {
    let (kinds, _) = decode(&[
        r#"{"message":{"images":["iVBORw=="]},"logprobs":[{"token":"a"}]}"#,
        r#"{"image":"/9j/","done":true}"#,
    ]);
    let [Kind::Media(png), Kind::Native(native), Kind::Media(jpeg), Kind::Finished(_)] = &kinds[..]
    else {
        panic!("{kinds:#?}")
    };
    assert_eq!((&*png.mime, png.index, png.last), ("image/png", 0, true));
    assert_eq!((&*jpeg.mime, jpeg.index), ("image/jpeg", 1));
    assert_eq!((&*native.name, &native.data[..]), ("logprobs", &br#"[{"token":"a"}]"#[..]));
}

#[test]
fn a_whole_body_is_a_stream_of_one_line() {
    let mut out = Vec::new();
    let body = r#"{"message":{"content":"Hi"},"done":true,"done_reason":"length","eval_count":1}"#;
    decode_whole("gen_x", Bytes::from_static(body.as_bytes()), &mut out);
    let kinds: Vec<_> = out.into_iter().map(|event| event.kind).collect();
    let [Kind::Text(_), Kind::Usage(_), Kind::Finished(end)] = &kinds[..] else {
        panic!("{kinds:#?}")
    };
    assert_eq!(end.reason, FinishReason::Length);
    for (body, code) in [
        ("", FailureCode::UpstreamError),
        ("{}", FailureCode::UpstreamCut),
        (r#"{"message":{"con"#, FailureCode::UpstreamCut),
        (r#"{"error":"no"}"#, FailureCode::UpstreamError),
    ] {
        let mut out = Vec::new();
        decode_whole("gen_x", Bytes::from_static(body.as_bytes()), &mut out);
        let Kind::Failed(failed) = &out.last().expect("an end").kind else { panic!("{out:?}") };
        assert_eq!(failed.code, code, "{body}");
    }
}

#[test]
fn what_is_longer_than_an_event_is_split_or_refused() {
    let long = "é".repeat(EVENT_BYTES_MAX);
    let (kinds, _) = decode(&[&format!("{{\"response\":\"{long}\"}}"), DONE]);
    let text: String = kinds
        .iter()
        .filter_map(|kind| match kind {
            Kind::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(text, long);
    let call =
        format!("{{\"message\":{{\"tool_calls\":[{{\"function\":{{\"name\":\"{long}\"}}}}]}}}}");
    let (kinds, _) = decode(&[&call]);
    let Some(Kind::Failed(failed)) = kinds.last() else { panic!("no end") };
    assert_eq!(failed.code, FailureCode::Limit);
}

proptest! {
    #[test]
    fn whatever_comes_there_is_one_end_and_nothing_after_it(
        lines in prop::collection::vec(
            prop_oneof![
                any::<Vec<u8>>(),
                prop::sample::select(vec![
                    r#"{"message":null,"done":null}"#,
                    r#"{"message":{"content":null,"tool_calls":[{}]}}"#,
                    r#"{"message":{"tool_calls":[{"function":{"arguments":[1e999]}}]}}"#,
                    r#"{"response":"\ud800"}"#,
                    r#"{"image":"?"}"#,
                    r#"{"error":[]}"#,
                    r#"{"done":true,"eval_count":-1}"#,
                    "null",
                ])
                .prop_map(|line| line.as_bytes().to_vec()),
            ],
            0..8,
        ),
    ) {
        let (mut decoder, mut out) = (Decoder::new("gen_x"), Vec::new());
        for line in &lines {
            decoder.decode(&Payload::of(line.clone()), &mut out);
        }
        decoder.finish(Ending::Eof, &mut out);
        prop_assert_eq!(out.iter().filter(|event| event.is_terminal()).count(), 1);
        prop_assert!(out.last().is_some_and(Event::is_terminal));
    }
}
