//! The simulator as its callers see it: requests go in, bytes and times come out.

mod tools;
mod failures;
mod pace;
mod other_routes;

use std::time::Duration;

use futures_util::FutureExt;
use proptest::prelude::*;
use tokio::{runtime, time::timeout};

use super::*;

/// A whole answer: each item of the body with the moment at which it came.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    items: Vec<(Duration, Result<Bytes, CallError>)>,
    /// Whether the body ended within an hour.
    ended: bool,
}

impl Answer {
    fn text(&self) -> String {
        let bytes = self.items.iter().filter_map(|(_, item)| item.as_ref().ok());
        String::from_utf8(bytes.flat_map(|bytes| bytes.to_vec()).collect()).expect("UTF-8")
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text()).expect("a JSON body")
    }

    /// The data of all complete events.
    fn events(&self) -> Vec<String> {
        let text = self.text();
        let complete = text.rsplit_once("\n\n").map_or("", |(complete, _)| complete);
        let events = complete.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
        events.map(str::to_owned).collect()
    }

    fn chunks(&self) -> Vec<Value> {
        let json = |event: &String| serde_json::from_str(event).expect("a chunk is JSON");
        self.events().iter().filter(|event| *event != "[DONE]").map(json).collect()
    }

    /// One member of a choice's deltas, put together.
    fn said(&self, choice: u64, member: &str) -> String {
        let chunks = self.chunks();
        let choices =
            chunks.iter().flat_map(|chunk| chunk["choices"].as_array().into_iter().flatten());
        let of_choice = choices.filter(|said| said["index"] == choice);
        of_choice.filter_map(|said| said["delta"][member].as_str().map(str::to_owned)).collect()
    }

    fn finishes(&self) -> Vec<String> {
        let chunks = self.chunks();
        let reasons =
            chunks.iter().filter_map(|chunk| chunk["choices"][0]["finish_reason"].as_str());
        reasons.map(str::to_owned).collect()
    }

    fn times_of_tokens(&self) -> Vec<Duration> {
        let says =
            |bytes: &Bytes| bytes.windows(11).any(|part| part == br#"{"content":"#.as_slice());
        let tokens = self.items.iter().filter(|(_, item)| item.as_ref().is_ok_and(says));
        tokens.map(|(at, _)| *at).collect()
    }
}

async fn call(method: Method, path: &str, body: Value) -> Answer {
    let request = Request {
        method,
        path: path.to_owned(),
        headers: HeaderMap::new(),
        body: Bytes::from(body.to_string()),
        connect_timeout: Duration::from_secs(10),
    };
    let start = Instant::now();
    let response = Simulator::default().call(request).await.expect("no broken connection");
    let (status, headers, mut body) = (response.status, response.headers, response.body);
    let mut items = Vec::new();
    loop {
        match timeout(Duration::from_secs(3600), body.next()).await {
            Ok(Some(item)) => items.push((start.elapsed(), item)),
            ended => return Answer { status, headers, items, ended: ended.is_ok() },
        }
    }
}

/// A streaming request to a model, with further members.
async fn ask(model: &str, more: Value) -> Answer {
    call(Method::POST, "/chat/completions", body(model, true, more)).await
}

fn body(model: &str, stream: bool, more: Value) -> Value {
    let messages = json!([{ "role": "user", "content": "Tell me of the sea" }]);
    let mut body = json!({ "model": model, "stream": stream, "messages": messages });
    let more = more.as_object().expect("more members").clone();
    body.as_object_mut().expect("an object").extend(more);
    body
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_and_request_give_the_same_bytes() {
    for (model, _) in MODELS {
        let first = ask(model, json!({})).await;
        let second = ask(model, json!({})).await;
        assert_eq!(first.items, second.items, "{model}");
        assert_eq!(first.headers, second.headers, "{model}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_seed_or_another_question_gives_another_text() {
    let text = |answer: Answer| answer.said(0, "content");
    let plain = text(ask("sim-text", json!({})).await);
    assert_ne!(plain, text(ask("sim-text", json!({ "simulator": { "seed": 7 } })).await));
    assert_ne!(plain, text(ask("sim-text", json!({ "seed": 7 })).await));
    let other = json!({ "messages": [{ "role": "user", "content": "And of rivers?" }] });
    assert_ne!(plain, text(ask("sim-text", other).await));
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_a_role_then_tokens_then_the_finish_the_usage_and_done() {
    let answer = ask("sim-text", json!({ "stream_options": { "include_usage": true } })).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers[CONTENT_TYPE], "text/event-stream; charset=utf-8");
    assert!(answer.headers["x-request-id"].to_str().is_ok_and(|id| id.starts_with("req_")));
    let events = answer.events();
    assert_eq!(events.len(), answer.items.len(), "one event in each piece of the body");
    let chunks = answer.chunks();
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let finish = &chunks[chunks.len() - 2];
    assert_eq!(finish["choices"][0]["finish_reason"], "stop");
    assert_eq!(finish["choices"][0]["delta"], json!({}));
    let usage = &chunks[chunks.len() - 1];
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    let tokens = chunks.len() - 3;
    assert_eq!(usage["usage"]["completion_tokens"], tokens);
    assert_eq!(
        usage["usage"]["total_tokens"].as_u64(),
        usage["usage"]["prompt_tokens"].as_u64().map(|prompt| prompt + tokens as u64),
    );
    assert!((150..900).contains(&tokens), "a page, and not {tokens} tokens");
    let mean = answer.said(0, "content").len() as f64 / tokens as f64;
    assert!((3.0..5.5).contains(&mean), "tokens of {mean} bytes");
    assert!(chunks.iter().all(|chunk| chunk["id"] == chunks[0]["id"]));
}

#[tokio::test(start_paused = true)]
async fn usage_is_left_out_unless_it_is_asked_for() {
    let answer = ask("sim-text", json!({})).await;
    assert!(answer.chunks().iter().all(|chunk| chunk.get("usage").is_none()));
}

#[tokio::test(start_paused = true)]
async fn without_streaming_the_same_words_come_in_one_piece() {
    for model in ["sim-text", "sim-reasoning", "sim-languages"] {
        let streamed = ask(model, json!({})).await;
        let whole = call(Method::POST, "/chat/completions", body(model, false, json!({}))).await;
        assert_eq!(whole.headers[CONTENT_TYPE], "application/json");
        let whole = whole.json();
        let message = &whole["choices"][0]["message"];
        assert_eq!(message["content"], streamed.said(0, "content"), "{model}");
        let reasoning = message["reasoning_content"].as_str().unwrap_or_default();
        assert_eq!(reasoning, streamed.said(0, "reasoning_content"), "{model}");
        assert_eq!(whole["id"], streamed.chunks()[0]["id"]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_tour_of_languages_is_cut_at_code_points_only() {
    for seed in 0..20 {
        let answer = ask("sim-languages", json!({ "simulator": { "seed": seed } })).await;
        for (_, item) in &answer.items {
            let bytes = item.as_ref().expect("nothing breaks");
            assert!(std::str::from_utf8(bytes).is_ok());
        }
        assert!(answer.said(0, "content").contains("日本語"));
        assert!(!answer.text().contains('\u{fffd}'));
    }
}

#[tokio::test(start_paused = true)]
async fn reasoning_comes_before_the_answer() {
    let chunks = ask("sim-reasoning", json!({})).await.chunks();
    let has = |chunk: &Value, member: &str| {
        chunk["choices"][0]["delta"][member].as_str().is_some_and(|text| !text.is_empty())
    };
    let reasoning: Vec<_> = chunks.iter().map(|chunk| has(chunk, "reasoning_content")).collect();
    let first_answer = chunks.iter().position(|chunk| has(chunk, "content")).expect("an answer");
    let last_reasoning = reasoning.iter().rposition(|is| *is).expect("reasoning");
    assert_eq!(last_reasoning + 1, first_answer);
}

#[tokio::test(start_paused = true)]
async fn a_long_answer_has_thousands_of_tokens() {
    let answer = ask("sim-long", json!({ "stream_options": { "include_usage": true } })).await;
    let chunks = answer.chunks();
    let tokens = &chunks.last().expect("a usage chunk")["usage"]["completion_tokens"];
    assert!(tokens.as_u64().is_some_and(|tokens| tokens > 3_000), "{tokens}");
}

#[tokio::test(start_paused = true)]
async fn limits_and_stop_words_end_an_answer() {
    for member in ["max_tokens", "max_completion_tokens"] {
        let mut more = json!({ "stream_options": { "include_usage": true } });
        more[member] = json!(9);
        let answer = ask("sim-text", more).await;
        assert_eq!(answer.finishes(), ["length"]);
        let last = answer.chunks().pop().expect("a usage chunk");
        assert_eq!(last["usage"]["completion_tokens"], 9);
    }
    let more =
        json!({ "stop": ["zzz", "tide"], "simulator": { "text": "The river, the tide, the log" } });
    let answer = ask("sim-text", more).await;
    assert_eq!(answer.said(0, "content"), "The river, the ");
    assert_eq!(answer.finishes(), ["stop"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_text_of_any_length_arrives_whole(
        text in "\\PC{0,120}",
        choices in 1usize..4,
        max in proptest::option::of(1usize..60),
        jitter in 0.0..1.0f64,
        burst in 1u32..9,
    ) {
        let runtime = runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let control = json!({ "text": text, "choices": choices, "jitter": jitter, "burst": burst });
            let answer = ask("sim-text", json!({ "max_tokens": max, "simulator": control })).await;
            let tokens = tokens::count(&text);
            let expected: String = tokens::split(&text).take(max.unwrap_or(usize::MAX)).collect();
            let reason = if max.is_some_and(|max| tokens > max) { "length" } else { "stop" };
            for choice in 0..choices {
                assert_eq!(answer.said(choice as u64, "content"), expected);
            }
            assert_eq!(answer.finishes(), vec![reason; choices]);
            assert!(answer.items.windows(2).all(|pair| pair[0].0 <= pair[1].0));
            assert!(answer.text().ends_with("data: [DONE]\n\n"));
        });
    }
}
