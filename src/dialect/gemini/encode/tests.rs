use proptest::prelude::*;

use super::*;
use crate::{
    dialect::{
        Dialect, Ending, Sealed,
        gemini::{Decoder, decode_whole, encode_whole},
        seal,
    },
    event::{
        Failed, FailureCode, FinishReason, Finished, Kind, Media, Native, Reasoning, Resumed,
        RunBy, Started, ToolArguments, ToolCall, Usage,
    },
    provider::sse::Payload,
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

fn end(reason: FinishReason, native: &str) -> Event {
    Event::new(Kind::Finished(Finished { reason, native_reason: Some(native.into()) }))
}

fn thought(text: &str, signature: &str) -> Event {
    let (text, signature) = (text.to_owned(), signature.to_owned());
    Event::new(Kind::Reasoning(Reasoning { text, signature, encrypted: String::new() }))
}

/// The payloads of `events`, each without what all chunks repeat.
fn encode(events: &[Event]) -> Vec<String> {
    let mut encoder = Encoder::new(&Asked::default());
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.encode(event, &mut out));
    let text = |wire: Wire| {
        let text = String::from_utf8(wire.data.to_vec()).expect("UTF-8");
        let tail = r#","modelVersion":"fast","responseId":"gen_x"}"#;
        assert!(text.ends_with(tail) || text.starts_with(r#"{"error""#), "{text}");
        text.replace(tail, "}")
    };
    out.into_iter().map(text).collect()
}

/// A chunk of one part.
fn part(part: &str) -> String {
    format!(r#"{{"candidates":[{{"content":{{"parts":[{part}],"role":"model"}},"index":0}}]}}"#)
}

/// A chunk that ends it.
fn last(word: &str, rest: &str) -> String {
    format!(
        r#"{{"candidates":[{{"content":{{"parts":[{{"text":""}}],"role":"model"}},"finishReason":"{word}",{rest}"#
    )
}

#[test]
fn an_answer_of_another_dialect_is_said_in_googles_words() {
    let usage = Usage { input: 7, output: 5, reasoning: 2, cached_input: 1, ..Usage::default() };
    let said = encode(&[
        started("anthropic"),
        thought("hm", ""),
        thought("", "s+/=="),
        Event::text("Hi \"you\""),
        call(0, "search", RunBy::Server),
        arguments(0, "{}"),
        call(1, "add", RunBy::Client),
        arguments(1, "{\"x\":"),
        arguments(1, " 1e400}"),
        call(2, "now", RunBy::Client),
        Event::new(Kind::Citation(r#"{"url":"https://a"}"#.into())),
        Event::new(Kind::Usage(usage)),
        end(FinishReason::ToolCalls, "tool_use"),
    ]);
    let sealed = seal(Dialect::Anthropic, Sealed::Signature, "s+/==");
    let usage = r#""index":0}],"usageMetadata":{"promptTokenCount":7,"cachedContentTokenCount":1,"candidatesTokenCount":3,"thoughtsTokenCount":2,"totalTokenCount":12}}"#;
    assert_eq!(
        said,
        [
            part(r#"{"text":"hm","thought":true}"#),
            part(&format!(r#"{{"text":"","thought":true,"thoughtSignature":"{sealed}"}}"#)),
            part(r#"{"text":"Hi \"you\""}"#),
            part(r#"{"functionCall":{"id":"call_add","name":"add","args":{"x": 1e400}}}"#),
            r#"{"candidates":[{"groundingMetadata":{"groundingChunks":[{"web":{"uri":"https://a"}}]},"index":0}]}"#.to_owned(),
            part(r#"{"functionCall":{"id":"call_now","name":"now","args":{}}}"#),
            last("STOP", usage),
        ]
    );
}

#[test]
fn signatures_of_its_own_are_where_they_were() {
    let said = encode(&[
        started("gemini"),
        thought("hm", "a"),
        Event::text("Hi"),
        thought("", "b"),
        thought("", "c"),
        call(0, "add", RunBy::Client),
        arguments(0, "{}"),
        thought("", "d"),
        Event::new(Kind::Native(Native {
            dialect: "gemini".into(),
            name: "executableCode".into(),
            data: "{\n\"code\":\"1\"}".into(),
        })),
        thought("", "e"),
        end(FinishReason::Stop, "STOP"),
    ]);
    assert_eq!(
        said,
        [
            part(r#"{"text":"hm","thought":true}"#),
            part(r#"{"text":"","thought":true,"thoughtSignature":"a"}"#),
            part(r#"{"text":"Hi"}"#),
            part(r#"{"text":"","thoughtSignature":"b"}"#),
            part(
                r#"{"functionCall":{"id":"call_add","name":"add","args":{}},"thoughtSignature":"c"}"#
            ),
            part(r#"{"executableCode":{ "code":"1"},"thoughtSignature":"d"}"#),
            part(r#"{"text":"","thoughtSignature":"e"}"#),
            last("STOP", r#""index":0}]}"#),
        ]
    );
}

#[test]
fn a_call_that_was_cut_off_is_never_run_and_that_is_said() {
    let cut = |reason| {
        let begun = [started("openai"), call(0, "add", RunBy::Client), arguments(0, "{\"x\":")];
        encode(&[&begun[..], &[end(reason, "x")]].concat())
    };
    let message = r#""finishMessage":"the arguments of the call to add are not a JSON object and were left out","index":0}]}"#;
    assert_eq!(cut(FinishReason::Length), [last("MAX_TOKENS", message)]);
    assert_eq!(cut(FinishReason::ToolCalls), [last("MALFORMED_FUNCTION_CALL", message)]);
    let failed = Event::new(Kind::Failed(Failed::new(FailureCode::UpstreamCut, "cut")));
    let said =
        encode(&[started("openai"), call(0, "add", RunBy::Client), failed, Event::text("x")]);
    assert_eq!(said.len(), 1, "nothing follows a failure");
    assert!(said[0].starts_with(r#"{"error":{"code":503,"message":"cut","status":"UNAVAILABLE""#));
}

#[test]
fn what_a_broken_target_had_half_said_is_void() {
    let said = encode(&[
        started("openai"),
        call(0, "add", RunBy::Client),
        arguments(0, "{\"x\":"),
        Event::new(Kind::Resumed(Resumed::default())),
        call(1, "add", RunBy::Client),
        arguments(1, "{}"),
        end(FinishReason::ToolCalls, "tool_calls"),
    ]);
    let whole = r#"{"functionCall":{"id":"call_add","name":"add","args":{}}}"#;
    assert_eq!(said, [part(whole), last("STOP", r#""index":0}]}"#)]);
}

#[test]
fn a_medium_comes_whole_and_one_without_end_is_a_limit() {
    let medium = |part, data: Vec<u8>, last| {
        let media = Media { mime: "image/png".into(), data: data.into(), index: 0, part, last };
        Event::new(Kind::Media(media))
    };
    let said = encode(&[started("x"), medium(0, vec![0x89], false), medium(1, vec![0x50], true)]);
    assert_eq!(said, [part(r#"{"inlineData":{"mimeType":"image/png","data":"iVA="}}"#)]);
    let mut encoder = Encoder::new(&Asked::default());
    let mut out = Vec::new();
    for number in 0..200 {
        encoder.encode(&medium(number, vec![0; 256 * 1024], false), &mut out);
    }
    assert_eq!(out.len(), 1);
    assert!(out[0].data.starts_with(br#"{"error":{"code":429"#));
}

#[test]
fn a_blocked_prompt_is_told_as_it_came() {
    let feedback = r#"{"blockReason":"OTHER"}"#;
    let said = encode(&[
        started("gemini"),
        Event::new(Kind::Native(Native {
            dialect: "gemini".into(),
            name: "promptFeedback".into(),
            data: feedback.into(),
        })),
        end(FinishReason::ContentFilter, "OTHER"),
    ]);
    assert_eq!(said, [format!(r#"{{"promptFeedback":{feedback}}}"#)]);
    let said = encode(&[started("openai"), end(FinishReason::ContentFilter, "content_filter")]);
    assert_eq!(said, [last("SAFETY", r#""index":0}]}"#)]);
}

#[test]
fn a_body_joins_what_a_stream_says_in_pieces() {
    let events = [
        started("gemini"),
        thought("h", ""),
        thought("m", "a"),
        Event::text("H"),
        Event::text("i"),
        Event::text("b").of_choice(1),
        Event::new(Kind::Usage(Usage { native: "{\"x\":1}".into(), ..Usage::default() })),
        end(FinishReason::Stop, "STOP"),
    ];
    let body = encode_whole(&events, &Asked::default()).expect("it ended well");
    assert_eq!(
        body,
        r#"{"candidates":[{"content":{"parts":[{"text":"hm","thought":true,"thoughtSignature":"a"},{"text":"Hi"}],"role":"model"},"finishReason":"STOP","index":0},{"content":{"parts":[{"text":"b"}],"role":"model"},"index":1}],"usageMetadata":{"x":1},"modelVersion":"fast","responseId":"gen_x"}"#
    );
    let failed = Failed::new(FailureCode::Timeout, "late");
    let events = [started("gemini"), Event::new(Kind::Failed(failed.clone()))];
    assert_eq!(encode_whole(&events, &Asked::default()), Err(failed));
    assert!(encode_whole(&events[..1], &Asked::default()).is_err());
}

fn event() -> impl Strategy<Value = Event> {
    let text = "[a-z \"\\\\é😀\n]{1,5}";
    let kind = prop_oneof![
        4 => text.prop_map(Kind::Text),
        2 => (text, "[a-z]{0,3}", "[a-z]{0,2}").prop_map(|(text, signature, encrypted)| {
            Kind::Reasoning(Reasoning { text, signature, encrypted })
        }),
        1 => "[a-z]{1,3}".prop_map(|signature| {
            Kind::Reasoning(Reasoning { signature, ..Reasoning::default() })
        }),
        2 => (0u32..4, "[a-z]{1,3}", any::<bool>()).prop_map(|(index, name, server)| {
            let run_by = if server { RunBy::Server } else { RunBy::Client };
            Kind::ToolCall(ToolCall { index, id: format!("c{index}"), name, run_by })
        }),
        3 => (0u32..4, "[{}\"a:1]{1,4}").prop_map(|(index, arguments)| {
            Kind::ToolArguments(ToolArguments { index, arguments })
        }),
        1 => text.prop_map(|text| Kind::Citation(json(&text).into())),
        1 => any::<u8>().prop_map(|byte| Kind::Media(Media {
            mime: "image/png".into(), data: vec![byte].into(), index: 0, part: 0, last: true,
        })),
        1 => Just(Kind::Resumed(Resumed::default())),
        1 => text.prop_map(|name| Kind::Native(Native {
            dialect: "gemini".into(), name, data: "{}".into(),
        })),
    ];
    (kind, 0u32..2).prop_map(|(kind, choice)| Event::new(kind).of_choice(choice))
}

/// Text, reasoning and media of the first choice.
fn heard(events: &[Event]) -> (String, String, usize) {
    let mut heard = (String::new(), String::new(), 0);
    for event in events.iter().filter(|event| event.choice == 0) {
        match &event.kind {
            Kind::Text(text) => heard.0 += text,
            Kind::Reasoning(part) => heard.1 += &part.text,
            Kind::Media(_) => heard.2 += 1,
            _ => {}
        }
    }
    heard
}

proptest! {
    #[test]
    fn a_stream_is_a_function_of_its_events_and_says_what_they_say(
        events in prop::collection::vec(event(), 0..12),
        dialect in prop::sample::select(&["gemini", "anthropic", "responses"][..]),
        at: prop::sample::Index,
    ) {
        let ends = (0..2).map(|choice| {
            let end = Finished { reason: FinishReason::Stop, native_reason: None };
            Event::new(Kind::ChoiceFinished(end)).of_choice(choice)
        });
        let events: Vec<_> = [started(dialect)].into_iter().chain(events).chain(ends)
            .chain([end(FinishReason::Stop, "STOP")]).collect();
        let encode = |events: &[Event]| {
            let mut encoder = Encoder::new(&Asked::default());
            let mut out = Vec::new();
            events.iter().for_each(|event| encoder.encode(event, &mut out));
            out
        };
        let all = encode(&events);
        prop_assert_eq!(&encode(&events), &all);
        // Whatever the place, what comes before it says a beginning of the same payloads.
        let before = encode(&events[..at.index(events.len() + 1)]);
        prop_assert_eq!(&before[..], &all[..before.len()]);

        let mut decoder = Decoder::new("gen_x");
        let mut again = Vec::new();
        for wire in all {
            prop_assert!(!wire.data.contains(&b'\n'));
            decoder.decode(&Payload::of(wire.data), &mut again);
        }
        decoder.finish(Ending::Eof, &mut again);
        prop_assert!(matches!(again.last().map(|it| &it.kind), Some(Kind::Finished(_) | Kind::Failed(_))));
        prop_assert_eq!(heard(&again), heard(&events));
        let body = encode_whole(&events, &Asked::default()).expect("it ended well");
        let mut whole = Vec::new();
        decode_whole("gen_x", body, &mut whole);
        prop_assert_eq!(heard(&whole), heard(&events));
    }
}
