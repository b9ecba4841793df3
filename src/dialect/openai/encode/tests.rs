use async_openai::types::chat::{CreateChatCompletionResponse, CreateChatCompletionStreamResponse};

use super::*;
use crate::{
    dialect::openai::encode_whole,
    event::{Failed, FailureCode, ToolArguments, ToolCall},
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

fn end(reason: FinishReason) -> Event {
    Event::new(Kind::Finished(Finished { reason, native_reason: Some("end_turn".into()) }))
}

/// The payloads of `events`, each without what all chunks repeat.
fn encode(events: &[Event], usage: bool) -> Vec<String> {
    let mut encoder = Encoder::new(&Asked { usage, ..Asked::default() });
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.encode(event, &mut out));
    let head = r#""id":"chatcmpl-gen_x","object":"chat.completion.chunk","created":1790000000,"model":"fast","#;
    let text = |Wire { data: payload, .. }: Wire| {
        let text = String::from_utf8(payload.to_vec()).expect("UTF-8");
        assert!(!text.contains("choices") || text.contains(head), "{text}");
        if text.contains("choices") {
            serde_json::from_str::<CreateChatCompletionStreamResponse>(&text).expect(&text);
        }
        text.replace(head, "")
    };
    out.into_iter().map(text).collect()
}

fn conversation() -> Vec<Event> {
    let usage = Usage { input: 7, output: 5, reasoning: 2, cached_input: 1, ..Usage::default() };
    let reasoning =
        Reasoning { text: "hm".into(), signature: "s+/==".into(), encrypted: String::new() };
    vec![
        started("anthropic"),
        Event::new(Kind::Reasoning(reasoning)),
        Event::text("Hi \"you\""),
        call(0, "search", RunBy::Server),
        arguments(0, "{}"),
        call(1, "add", RunBy::Client),
        arguments(1, "{\"x\":"),
        arguments(1, "1}"),
        Event::new(Kind::Usage(usage)),
        end(FinishReason::ToolCalls),
    ]
}

#[test]
fn a_generation_becomes_the_chunks_that_openai_would_send() {
    let choice = |delta: &str| {
        format!(r#"{{"choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#)
    };
    assert_eq!(
        encode(&conversation(), true),
        [
            choice(r#"{"role":"assistant","content":""}"#),
            choice(
                r#"{"reasoning_content":"hm","reasoning_details":[{"type":"reasoning.text","text":"hm","signature":"s+/==","format":"anthropic","index":0}]}"#
            ),
            choice(r#"{"content":"Hi \"you\""}"#),
            choice(
                r#"{"tool_calls":[{"index":0,"id":"call_add","type":"function","function":{"name":"add","arguments":""}}]}"#
            ),
            choice(r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\":"}}]}"#),
            choice(r#"{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}"#),
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#.to_owned(),
            concat!(
                r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12,"#,
                r#""prompt_tokens_details":{"cached_tokens":1,"cache_write_tokens":0},"#,
                r#""completion_tokens_details":{"reasoning_tokens":2}}}"#
            )
            .to_owned(),
            "[DONE]".to_owned(),
        ]
    );
}

#[test]
fn an_app_that_did_not_ask_gets_no_usage_chunk() {
    let payloads = encode(&conversation(), false);
    assert!(!payloads.iter().any(|payload| payload.contains("usage")));
    assert_eq!(payloads.last().map(String::as_str), Some("[DONE]"));
}

#[test]
fn a_failure_is_an_error_and_nothing_after_it() {
    let failed = Failed::new(FailureCode::UpstreamCut, "cut");
    let events = [started("openai"), Event::text("Hi"), Event::new(Kind::Failed(failed.clone()))];
    let payloads = encode(&events, true);
    assert_eq!(
        payloads.last().map(String::as_str),
        Some(
            r#"{"error":{"message":"cut","type":"server_error","param":null,"code":"upstream_cut"}}"#
        )
    );
    assert_eq!(encode_whole(&events), Err(failed));
}

#[test]
fn a_refusal_is_a_stop_where_it_can_be_read_and_a_filter_where_it_cannot() {
    let finish = |events: &[Event]| encode(events, false).iter().rev().nth(1).cloned();
    let refusal = end(FinishReason::Refusal);
    let said = [started("x"), Event::new(Kind::Refusal("No.".into())), refusal.clone()];
    assert!(finish(&said).is_some_and(|chunk| chunk.contains("\"stop\"")));
    let silent = [started("x"), Event::text("Well"), refusal];
    assert!(finish(&silent).is_some_and(|chunk| chunk.contains("\"content_filter\"")));
}

#[test]
fn every_choice_has_a_role_and_an_end() {
    let done = |choice| {
        let end = Finished { reason: FinishReason::Stop, native_reason: None };
        Event::new(Kind::ChoiceFinished(end)).of_choice(choice)
    };
    let other = Event::text("b").of_choice(1);
    let events = [started("x"), Event::text("a"), other, done(1), done(0), end(FinishReason::Stop)];
    let payloads = encode(&events, true);
    for index in [0, 1] {
        let of = |part: &str| {
            let head = format!("\"index\":{index},");
            payloads.iter().filter(|it| it.contains(&head) && it.contains(part)).count()
        };
        assert_eq!((of("assistant"), of("\"stop\"")), (1, 1), "choice {index}");
    }
}

#[test]
fn an_image_goes_out_whole() {
    let part = |part: u32, data: &'static [u8], last| {
        let media = Media { mime: "image/png".into(), data: data.into(), index: 0, part, last };
        Event::new(Kind::Media(media))
    };
    let events = [started("x"), part(0, b"\x89P", false), part(1, b"NG", true)];
    let payloads = encode(&events, true);
    assert_eq!(payloads.len(), 2);
    assert!(payloads[1].contains("data:image/png;base64,iVBORw=="), "{}", payloads[1]);
}

#[test]
fn the_tail_of_a_resumed_stream_is_the_tail_of_the_whole() {
    let events = conversation();
    let whole = encode(&events, true);
    assert_eq!(encode(&events, true), whole);
    let counts = |upto: usize| encode(&events[..upto], true).len();
    for upto in 1..events.len() {
        assert_eq!(encode(&events[..upto], true), whole[..counts(upto)]);
    }
}

#[test]
fn a_folded_generation_is_one_completion() {
    let events = conversation();
    let body = encode_whole(&events).expect("it ended well");
    let text = str::from_utf8(&body).expect("UTF-8");
    serde_json::from_str::<CreateChatCompletionResponse>(text).expect(text);
    assert_eq!(
        text,
        concat!(
            r#"{"id":"chatcmpl-gen_x","object":"chat.completion","created":1790000000,"model":"fast","#,
            r#""choices":[{"index":0,"message":{"role":"assistant","content":"Hi \"you\"","refusal":null,"#,
            r#""reasoning_content":"hm","reasoning_details":[{"type":"reasoning.text","text":"hm","signature":"s+/==","format":"anthropic","index":0}],"#,
            r#""tool_calls":[{"id":"call_add","type":"function","function":{"name":"add","arguments":"{\"x\":1}"}}]},"#,
            r#""logprobs":null,"finish_reason":"tool_calls"}],"#,
            r#""usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12,"#,
            r#""prompt_tokens_details":{"cached_tokens":1,"cache_write_tokens":0},"#,
            r#""completion_tokens_details":{"reasoning_tokens":2}}}"#
        )
    );
    assert!(encode_whole(&events[..events.len() - 1]).is_err(), "an end is needed");
}

#[test]
fn googles_signature_of_a_call_stands_with_the_call_and_only_there_if_the_call_follows() {
    let sign = |signature: &str| {
        let signature = signature.to_owned();
        Event::new(Kind::Reasoning(Reasoning { signature, ..Reasoning::default() }))
    };
    let events = [
        started("gemini"),
        sign("T"),
        Event::text("Hi"),
        call(0, "f", RunBy::Client),
        sign("G+/="),
        call(1, "g", RunBy::Client),
        arguments(1, "{}"),
        end(FinishReason::ToolCalls),
    ];
    let google = r#""extra_content":{"google":{"thought_signature":"G+/="}}"#;
    let payloads = encode(&events, false);
    let with: Vec<_> = payloads.iter().filter(|payload| payload.contains(google)).collect();
    assert!(matches!(with[..], [one] if one.contains(r#""name":"g""#)), "{payloads:#?}");
    assert_eq!(payloads.iter().filter(|payload| payload.contains("extra_content")).count(), 1);
    let details = payloads.iter().filter(|payload| payload.contains("reasoning_details")).count();
    assert_eq!(details, 2, "and each is among the details");
    let whole = encode_whole(&events).expect("it ended well");
    let whole: serde_json::Value = serde_json::from_slice(&whole).expect("JSON");
    let calls = &whole["choices"][0]["message"]["tool_calls"];
    assert_eq!(calls[0].get("extra_content"), None);
    assert_eq!(calls[1]["extra_content"]["google"]["thought_signature"], "G+/=");
}

#[test]
fn a_source_of_another_dialect_is_a_numbered_annotation() {
    let cite = |source: &'static str| Event::new(Kind::Citation(source.into()));
    let events = [
        started("anthropic"),
        Event::text("né"),
        cite(r#"{"type":"web_search_result_location","url":"https://a.example","title":"A"}"#),
        cite(r#"{"type":"char_location","document_index":0}"#),
        cite(r#"{"url":"https://b.example"}"#),
        end(FinishReason::Stop),
    ];
    let whole = encode_whole(&events).expect("it ended well");
    let whole: serde_json::Value = serde_json::from_slice(&whole).expect("JSON");
    let annotations = whole["choices"][0]["message"]["annotations"].as_array().expect("a list");
    assert_eq!(annotations.len(), 2, "one has no URL");
    assert_eq!(annotations[0]["url_citation"]["url"], "https://a.example");
    assert_eq!(annotations[0]["url_citation"]["end_index"], 2);
    assert_eq!(annotations[1]["index"], 1);
    let streamed = encode(&events, false);
    let streamed = streamed.iter().filter(|payload| payload.contains("annotations"));
    assert_eq!(streamed.count(), 2);
}

#[test]
fn once_another_provider_goes_on_the_numbers_are_ours() {
    let native = r#"{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}"#;
    let usage = Usage { input: 5, output: 6, native: native.into(), ..Usage::default() };
    let resumed = crate::event::Resumed::default();
    let events = [
        started("openai"),
        Event::new(Kind::Resumed(resumed)),
        Event::new(Kind::Usage(usage)),
        end(FinishReason::Stop),
    ];
    let payloads = encode(&events, true);
    let usage =
        payloads.iter().find(|payload| payload.contains("usage")).expect("it was asked for");
    assert!(usage.contains("\"total_tokens\":11"), "{usage}");
}
