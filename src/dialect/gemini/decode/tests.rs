use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    dialect::gemini::decode_whole,
    event::{EVENT_BYTES_MAX, Reasoning, RunBy},
};

fn decoder() -> Decoder {
    Decoder::new("gen_AAAAAAAAAAAAAAAAAAAAAA")
}

fn decode(payloads: &[&str]) -> Vec<Event> {
    let mut decoder = decoder();
    let mut out = Vec::new();
    let mut ending = Ending::Eof;
    for payload in payloads {
        if decoder.decode(&Payload::of((*payload).to_owned()), &mut out).flow == Flow::Ended {
            ending = Ending::Terminator;
            break;
        }
    }
    decoder.finish(ending, &mut out);
    out
}

fn kinds(payloads: &[&str]) -> Vec<Kind> {
    decode(payloads).into_iter().map(|event| event.kind).collect()
}

/// A chunk of one candidate with these parts.
fn parts(parts: &str) -> String {
    format!(r#"{{"candidates":[{{"content":{{"parts":[{parts}],"role":"model"}},"index":0}}]}}"#)
}

/// A chunk that ends it.
fn stop(word: &str) -> String {
    format!(
        r#"{{"candidates":[{{"content":{{"parts":[{{"text":""}}]}},"finishReason":"{word}"}}]}}"#
    )
}

fn finished(reason: FinishReason, native: &str) -> Kind {
    let native_reason = (!native.is_empty()).then(|| native.to_owned());
    Kind::Finished(Finished { reason, native_reason })
}

fn failure(kinds: &[Kind]) -> &Failed {
    match kinds.last() {
        Some(Kind::Failed(failed)) => failed,
        other => panic!("no failure: {other:?}"),
    }
}

fn signature(signature: &str) -> Kind {
    Kind::Reasoning(Reasoning { signature: signature.into(), ..Reasoning::default() })
}

fn call(kinds: &[Kind]) -> Vec<(u32, String, String, RunBy, String)> {
    let mut calls: Vec<(u32, String, String, RunBy, String)> = Vec::new();
    for kind in kinds {
        match kind {
            Kind::ToolCall(it) => {
                calls.push((it.index, it.id.clone(), it.name.clone(), it.run_by, String::new()));
            }
            Kind::ToolArguments(it) => {
                let call = calls.iter_mut().find(|call| call.0 == it.index);
                call.expect("a call before its arguments").4 += &it.arguments;
            }
            _ => {}
        }
    }
    calls
}

#[test]
fn a_stream_without_its_finish_reason_is_cut() {
    let hi = parts(r#"{"text":"Hi"}"#);
    assert_eq!(failure(&kinds(&[&hi])).code, FailureCode::UpstreamCut);
    assert_eq!(failure(&kinds(&[])).code, FailureCode::UpstreamCut);
    assert_eq!(failure(&kinds(&[r#"{"candidates":[]}"#])).code, FailureCode::UpstreamCut);
    let two = hi.replace("\"index\":0", "\"index\":1");
    assert_eq!(failure(&kinds(&[&hi, &two, &stop("STOP")])).code, FailureCode::UpstreamCut);
    assert_eq!(
        kinds(&[&hi, &stop("STOP")]),
        [Kind::Text("Hi".into()), finished(FinishReason::Stop, "STOP")]
    );
}

#[test]
fn a_finish_reason_with_more_after_it_was_none() {
    let hi = parts(r#"{"text":"Hi"}"#);
    assert_eq!(failure(&kinds(&[&hi, &stop("STOP"), &hi])).code, FailureCode::UpstreamCut);
    let usage =
        r#"{"candidates":[{"groundingMetadata":{}}],"usageMetadata":{"promptTokenCount":1}}"#;
    let late = kinds(&[&hi, &stop("STOP"), &hi, &stop("MAX_TOKENS"), usage]);
    assert_eq!(late.last(), Some(&finished(FinishReason::Length, "MAX_TOKENS")));
}

#[test]
fn each_payload_says_where_the_stream_stands() {
    let mut decoder = decoder();
    let mut out = Vec::new();
    let mut flow = |payload: &str| decoder.decode(&Payload::of(payload.to_owned()), &mut out).flow;
    assert_eq!(flow(&parts(r#"{"text":"Hi"}"#)), Flow::More);
    assert_eq!(flow(&stop("STOP")), Flow::FinishSeen);
    // Code that still runs keeps the stream going, whatever the finishReason says.
    let code = r#"{"executableCode":{"code":"1"}}"#;
    let ends = parts(code).replace("\"index\":0", "\"finishReason\":\"STOP\"");
    assert_eq!(flow(&ends), Flow::More);
    let result = parts(r#"{"codeExecutionResult":{"output":"1"}}"#);
    assert_eq!(flow(&result), Flow::More);
    assert_eq!(flow(&stop("STOP")), Flow::FinishSeen);
    assert_eq!(flow(r#"{"error":{"code":500,"message":"no"}}"#), Flow::Ended);
    assert_eq!(flow(&parts(r#"{"text":"too late"}"#)), Flow::Ended);
    assert!(out.iter().all(|event| event.kind != Kind::Text("too late".into())));
}

#[test]
fn thoughts_and_signatures_keep_their_places() {
    let said = kinds(&[
        &parts(
            r#"{"text":"hm","thought":true},{"text":"","thought":true,"thoughtSignature":"a+/="}"#,
        ),
        &parts(r#"{"text":"Hi","thoughtSignature":"b"},{"text":"!"}"#),
        &parts(r#"{"thoughtSignature":"c","functionCall":{"name":"add","args":{ "x": 1e400 }}}"#),
        &parts(r#"{"text":"","thoughtSignature":"d"}"#),
        &stop("STOP"),
    ]);
    assert_eq!(
        said[..5],
        [
            Kind::Reasoning(Reasoning { text: "hm".into(), ..Reasoning::default() }),
            signature("a+/="),
            Kind::Text("Hi".into()),
            signature("b"),
            Kind::Text("!".into()),
        ]
    );
    assert_eq!(said[5], signature("c"));
    assert!(matches!(&said[6], Kind::ToolCall(call) if call.name == "add"));
    assert!(matches!(&said[7], Kind::ToolArguments(it) if it.arguments == "{ \"x\": 1e400 }"));
    assert_eq!(said[8..], [signature("d"), finished(FinishReason::ToolCalls, "STOP")]);
}

#[test]
fn calls_come_whole_and_several_at_once() {
    let said = kinds(&[
        &parts(
            r#"{"functionCall":{"name":"add","args":{"a":[1]},"id":"x"}},{"functionCall":{"name":"now"}},
            {"functionCall":{"name":"now","args":null}}"#,
        ),
        &stop("STOP"),
    ]);
    let stem = "call_AAAAAAAAAAAAAAAAAAAAAA_0";
    let client = RunBy::Client;
    assert_eq!(
        call(&said),
        [
            (0, "x".into(), "add".into(), client, r#"{"a":[1]}"#.into()),
            (1, format!("{stem}_1"), "now".into(), client, "{}".into()),
            (2, format!("{stem}_2"), "now".into(), client, "{}".into()),
        ]
    );
    assert!(format!("{stem}_10").len() <= 40, "other dialects take no longer id back");
}

#[test]
fn arguments_in_patches_are_said_when_they_are_complete() {
    let function = |call: &str| parts(&format!(r#"{{"functionCall":{call}}}"#));
    let begin = r#"{"name":"get","willContinue":true}"#;
    let piece = r#"{"partialArgs":[{"jsonPath":"$.at","stringValue":"Bos","willContinue":true}],"willContinue":true}"#;
    let rest = r#"{"partialArgs":[{"jsonPath":"$.at","stringValue":"ton"}],"willContinue":true}"#;
    // The second call's end is another call, the third's the end of all.
    let said = kinds(&[
        &function(begin),
        &function(piece),
        &function(rest),
        &function("{}"),
        &function(begin),
        &function(piece),
        &function(begin),
        &function(rest),
        &stop("STOP"),
    ]);
    let arguments: Vec<_> = call(&said).into_iter().map(|call| call.4).collect();
    assert_eq!(arguments, [r#"{"at":"Boston"}"#, r#"{"at":"Bos"}"#, r#"{"at":"ton"}"#]);
    // Cut in the middle, what has come is said, and the generation failed.
    let cut = kinds(&[&function(begin), &function(piece)]);
    assert_eq!(call(&cut)[0].4, r#"{"at":"Bos"}"#);
    assert_eq!(failure(&cut).code, FailureCode::UpstreamCut);
    let bad = piece.replace("$.at", "$.at[");
    let bad = kinds(&[&function(begin), &function(&bad), &stop("STOP")]);
    assert_eq!(failure(&bad).code, FailureCode::UpstreamError);
}

#[test]
fn code_that_google_runs_is_a_tool_of_the_server() {
    let said = kinds(&[
        &parts(
            r#"{"executableCode":{"code":"1+1","language":"PYTHON","id":"c1"},"thoughtSignature":"s"},
            {"codeExecutionResult":{"outcome":"OUTCOME_OK","output":"2"}}"#,
        ),
        &stop("STOP"),
    ]);
    let code = r#"{"code":"1+1","language":"PYTHON","id":"c1"}"#;
    let server = RunBy::Server;
    assert_eq!(call(&said), [(0, "c1".into(), "code_execution".into(), server, code.into())]);
    assert_eq!(said[0], signature("s"));
    assert!(matches!(&said[3], Kind::Native(it) if it.name == "executableCode" && it.data == code));
    assert!(matches!(&said[4], Kind::Native(it) if it.name == "codeExecutionResult"));
    assert_eq!(said.last(), Some(&finished(FinishReason::Stop, "STOP")));
}

#[test]
fn words_for_errors_fail_and_words_for_filters_do_not() {
    for word in ["MALFORMED_FUNCTION_CALL", "TOO_MANY_TOOL_CALLS"] {
        let said = kinds(&[&stop(word)]);
        assert_eq!(failure(&said).code, FailureCode::UpstreamError);
        assert!(failure(&said).message.contains(word));
    }
    for word in ["SAFETY", "IMAGE_SAFETY"] {
        assert_eq!(kinds(&[&stop(word)]), [finished(FinishReason::ContentFilter, word)]);
    }
}

#[test]
fn a_prompt_that_is_blocked_is_filtered() {
    let blocked = r#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{"promptTokenCount":4,"totalTokenCount":4}}"#;
    let said = kinds(&[blocked]);
    let [Kind::Native(native), Kind::Usage(usage), end] = &said[..] else { panic!("{said:?}") };
    assert_eq!((&*native.name, usage.input), ("promptFeedback", 4));
    assert_eq!(*end, finished(FinishReason::ContentFilter, "PROHIBITED_CONTENT"));
    let mut out = Vec::new();
    decode_whole("gen_x", Bytes::from_static(blocked.as_bytes()), &mut out);
    assert_eq!(out.last().map(|event| &event.kind), Some(end));
    let rated = r#"{"promptFeedback":{"safetyRatings":[]}}"#;
    assert_eq!(kinds(&[rated, &stop("STOP")]), [finished(FinishReason::Stop, "STOP")]);
}

#[test]
fn usage_is_cumulative_and_the_last_count_holds() {
    let with =
        |usage: &str| stop("STOP").replacen('{', &format!(r#"{{"usageMetadata":{usage},"#), 1);
    let said = kinds(&[
        &with(r#"{"promptTokenCount":5,"candidatesTokenCount":1,"totalTokenCount":6}"#),
        &with(
            r#"{"promptTokenCount":5,"candidatesTokenCount":3,"thoughtsTokenCount":4,"totalTokenCount":12}"#,
        ),
        &with(r#"{"trafficType":"ON_DEMAND"}"#),
    ]);
    let [Kind::Usage(usage), Kind::Finished(_)] = &said[..] else { panic!("{said:?}") };
    assert_eq!((usage.input, usage.output, usage.reasoning), (5, 7, 4));
    assert!(usage.native.ends_with(b"\"totalTokenCount\":12}"));
}

#[test]
fn an_error_in_the_stream_is_the_providers_failure() {
    let hi = parts(r#"{"text":"Hi"}"#);
    let error = r#"{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}"#;
    let beside = hi.replacen('{', &format!("{{{},", &error[1..error.len() - 1]), 1);
    for payload in [error.to_owned(), format!("[{error}]"), beside] {
        let said = kinds(&[&hi, &stop("STOP"), &payload, &hi]);
        let failed = failure(&said);
        let expected = (FailureCode::UpstreamError, "overloaded", 503);
        assert_eq!((failed.code, &*failed.message, failed.status), expected, "{payload}");
    }
    assert_eq!(kinds(&[r#"{"error":null}"#, &stop("STOP")]).len(), 2, "null is no error");
}

#[test]
fn a_stream_of_another_api_is_recognised() {
    let created = r#"{"interaction":{"id":"v1"},"event_type":"interaction.created"}"#;
    let said = kinds(&[created]);
    assert!(failure(&said).message.contains("Interactions API"), "{said:?}");
}

#[test]
fn several_candidates_are_choices_and_end_one_by_one() {
    let both = r#"{"candidates":[{"index":0,"content":{"parts":[{"text":"a"}]}},{"index":1,"content":{"parts":[{"text":"b"}]},"finishReason":"MAX_TOKENS"}]}"#;
    let end = |reason, native: &str| Finished { reason, native_reason: Some(native.into()) };
    let stop_ = end(FinishReason::Stop, "STOP");
    assert_eq!(
        decode(&[both, &stop("STOP")]),
        [
            Event::text("a"),
            Event::text("b").of_choice(1),
            Event::new(Kind::ChoiceFinished(end(FinishReason::Length, "MAX_TOKENS"))).of_choice(1),
            Event::new(Kind::ChoiceFinished(stop_.clone())),
            Event::new(Kind::Finished(stop_)),
        ]
    );
    let part = |index| {
        format!(r#"{{"candidates":[{{"index":{index},"content":{{"parts":[{{"text":"x"}}]}}}}]}}"#)
    };
    let many: Vec<String> = (0..=CHOICES_MAX).map(part).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(failure(&kinds(&many)).code, FailureCode::Limit);
}

#[test]
fn sources_are_said_once_and_their_metadata_passes_whole() {
    let grounded = r#"{"candidates":[{"groundingMetadata":{"groundingChunks":[{"web":{"uri":"a"}},{"web":{"uri":"b"}}],"webSearchQueries":["q"]},"citationMetadata":{"citationSources":[{"uri":"c"}]},"urlContextMetadata":{"urlMetadata":[{"retrievedUrl":"d"}]}}]}"#;
    let said = kinds(&[grounded, grounded, &stop("STOP")]);
    let cited: Vec<_> = said
        .iter()
        .filter_map(|kind| match kind {
            Kind::Citation(source) => Some(source.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(cited, [r#"{"web":{"uri":"a"}}"#, r#"{"web":{"uri":"b"}}"#, r#"{"uri":"c"}"#]);
    let passed = said.iter().filter(|kind| matches!(kind, Kind::Native(_))).count();
    assert_eq!(passed, 3);
}

#[test]
fn pictures_are_media_and_pictures_of_thoughts_are_not() {
    let picture =
        r#"{"inlineData":{"mimeType":"image/png","data":"iVBORw=="},"thoughtSignature":"s"}"#;
    let thought = r#"{"inlineData":{"mimeType":"image/png","data":"iVBORw=="},"thought":true}"#;
    let bad = r#"{"inlineData":{"mimeType":"image/png","data":"?"}}"#;
    let said = kinds(&[&parts(&[picture, thought, bad, picture].join(",")), &stop("STOP")]);
    let [
        Kind::Reasoning(_),
        Kind::Media(first),
        Kind::Native(native),
        Kind::Native(unread),
        Kind::Reasoning(_),
        Kind::Media(second),
        Kind::Finished(_),
    ] = &said[..]
    else {
        panic!("{said:#?}")
    };
    assert_eq!((&first.data[..], first.index, first.last), (&b"\x89PNG"[..], 0, true));
    assert_eq!(second.index, 1);
    assert_eq!((&*native.name, &native.data[..]), ("part", thought.as_bytes()));
    assert_eq!(unread.data, bad);
}

#[test]
fn what_the_words_cannot_say_passes_whole() {
    let said = kinds(&[
        r#"{"news":[9007199254740993]}"#,
        &parts(r#"{"toolCall":{"toolType":"GOOGLE_SEARCH"},"thoughtSignature":"s"}"#),
        "17",
        "not json",
        &stop("STOP"),
    ]);
    let natives: Vec<_> = said
        .iter()
        .filter_map(|kind| match kind {
            Kind::Native(it) => Some((&*it.name, str::from_utf8(&it.data).expect("UTF-8"))),
            _ => None,
        })
        .collect();
    assert_eq!(
        natives,
        [
            ("chunk", r#"{"news":[9007199254740993]}"#),
            ("part", r#"{"toolCall":{"toolType":"GOOGLE_SEARCH"},"thoughtSignature":"s"}"#),
            ("stray", "17"),
            ("stray", "\"not json\""),
        ]
    );
}

#[test]
fn a_torn_payload_is_no_success() {
    let torn = kinds(&[r#"{"candidates":[{"content":{"pa"#, &stop("STOP")]);
    assert_eq!(failure(&torn).code, FailureCode::UpstreamError);
    let mut out = Vec::new();
    decode_whole("gen_x", "".into(), &mut out);
    assert!(matches!(&out[0].kind, Kind::Failed(it) if it.code == FailureCode::UpstreamCut));
}

#[test]
fn what_is_nested_without_end_is_read_to_a_depth() {
    for member in ["response", "error", "candidates", "promptFeedback"] {
        let nested = format!("{{\"{member}\":").repeat(100_000) + "1" + &"}".repeat(100_000);
        kinds(&[&nested]);
        crate::dialect::gemini::failure(500, nested.as_bytes());
    }
    let inner = &parts(r#"{"text":"Hi"}"#);
    let wrapped = kinds(&[&format!("{{\"response\":{inner}}}"), &stop("STOP")]);
    assert_eq!(wrapped[0], Kind::Text("Hi".into()));
}

#[test]
fn what_is_too_large_for_an_event_is_split_or_the_limit() {
    let long = parts(&format!(r#"{{"text":"{}"}}"#, "é".repeat(EVENT_BYTES_MAX)));
    let sizes: Vec<_> = kinds(&[&long, &stop("STOP")])
        .iter()
        .filter_map(|kind| match kind {
            Kind::Text(text) => Some(text.len()),
            _ => None,
        })
        .collect();
    assert_eq!(sizes.iter().sum::<usize>(), 2 * EVENT_BYTES_MAX);
    assert!(sizes.iter().all(|&size| size < EVENT_BYTES_MAX));
    let news = format!(r#"{{"news":"{}"}}"#, "x".repeat(EVENT_BYTES_MAX));
    assert_eq!(failure(&kinds(&[&news, &stop("STOP")])).code, FailureCode::Limit);
}

/// JSON of the kind providers might send, right and wrong.
fn payload() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i64>().prop_map(|value| json!(value)),
        "[a-z\"\\\\é😀{}]{0,6}".prop_map(|value| json!(value)),
        Just(json!("STOP")),
        Just(json!("$.a[0]")),
        Just(json!("AAAA")),
    ];
    const NAMES: [&str; 28] = [
        "candidates",
        "content",
        "parts",
        "text",
        "thought",
        "thoughtSignature",
        "functionCall",
        "name",
        "args",
        "id",
        "partialArgs",
        "jsonPath",
        "stringValue",
        "numberValue",
        "willContinue",
        "inlineData",
        "mimeType",
        "data",
        "executableCode",
        "codeExecutionResult",
        "finishReason",
        "index",
        "usageMetadata",
        "promptFeedback",
        "blockReason",
        "groundingMetadata",
        "groundingChunks",
        "error",
    ];
    let tree = leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|list| json!(list)),
            prop::collection::btree_map(prop::sample::select(&NAMES[..]), inner, 0..5)
                .prop_map(|map| json!(map)),
        ]
    });
    let part = tree.clone().prop_map(|part| parts(&part.to_string()));
    let candidate = tree.clone().prop_map(|tree| json!({ "candidates": [tree] }).to_string());
    prop_oneof![3 => part, 2 => candidate, 1 => tree.prop_map(|tree| tree.to_string()), 1 => ".{0,20}"]
}

proptest! {
    #[test]
    fn whatever_comes_there_is_one_last_event(payloads in prop::collection::vec(payload(), 0..8)) {
        let payloads: Vec<&str> = payloads.iter().map(String::as_str).collect();
        let events = decode(&payloads);
        let last = events.iter().position(Event::is_terminal);
        prop_assert_eq!(last, events.len().checked_sub(1));
        prop_assert!(call(&events.into_iter().map(|it| it.kind).collect::<Vec<_>>()).len() < 100);
    }
}
