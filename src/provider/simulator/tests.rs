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
    for (model, _) in MODELS.iter().filter(|(name, _)| !["sim-reset"].contains(name)) {
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

/// The calls of a stream, put together: name and arguments.
fn calls(answer: &Answer) -> Vec<(String, String)> {
    let mut calls: Vec<(String, String)> = Vec::new();
    for chunk in answer.chunks() {
        for call in chunk["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let index = call["index"].as_u64().expect("an index") as usize;
            if let Some(name) = call["function"]["name"].as_str() {
                assert_eq!(index, calls.len());
                assert!(call["id"].as_str().is_some_and(|id| id.starts_with("call_")));
                calls.push((name.to_owned(), String::new()));
            }
            calls[index].1 += call["function"]["arguments"].as_str().expect("a fragment");
        }
    }
    calls
}

#[tokio::test(start_paused = true)]
async fn tools_are_called_with_arguments_in_fragments() {
    let answer = ask("sim-tools", json!({ "simulator": { "tool_calls": 3 } })).await;
    let called = calls(&answer);
    assert_eq!(called.len(), 3);
    for (name, arguments) in &called {
        assert_eq!(name, "get_weather");
        let arguments: Value = serde_json::from_str(arguments).expect("valid arguments");
        assert!(arguments["city"].is_string());
    }
    assert!(answer.chunks().len() > 20, "in fragments");
    assert_eq!(answer.finishes(), ["tool_calls"]);
}

#[tokio::test(start_paused = true)]
async fn the_requests_own_tools_are_called_as_their_schema_says() {
    let parameters = json!({
        "type": "object",
        "properties": {
            "query": { "type": "string", "minLength": 3, "maxLength": 30 },
            "sort": { "enum": ["new", "old"] },
            "limit": { "type": "integer", "minimum": 1, "maximum": 5 },
            "tags": { "type": "array", "items": { "type": "string" }, "minItems": 1 },
            "within": { "anyOf": [{ "$ref": "#/$defs/area" }, { "type": "null" }] },
        },
        "required": ["query", "sort", "limit", "tags", "within"],
        "additionalProperties": false,
        "$defs": { "area": {
            "type": "object",
            "properties": { "km": { "type": "number", "exclusiveMinimum": 0 } },
            "required": ["km"],
        } },
    });
    let tool =
        json!({ "type": "function", "function": { "name": "find", "parameters": parameters } });
    for seed in 0..30 {
        let more = json!({ "tools": [tool], "simulator": { "seed": seed } });
        for (name, arguments) in calls(&ask("sim-tools", more).await) {
            assert_eq!(name, "find");
            let arguments: Value = serde_json::from_str(&arguments).expect("valid arguments");
            if let Err(error) = jsonschema::validate(&parameters, &arguments) {
                panic!("{arguments} is not of the schema: {error}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_is_demanded_is_called_by_any_model() {
    let tool = json!({ "type": "function", "function": { "name": "find" } });
    let choice = json!({ "type": "function", "function": { "name": "find" } });
    let more = json!({ "tools": [tool], "tool_choice": choice, "parallel_tool_calls": false });
    let answer = ask("sim-text", more).await;
    assert_eq!(calls(&answer), [("find".to_owned(), "{}".to_owned())]);
    let more = json!({ "tools": [tool], "tool_choice": "none" });
    assert!(calls(&ask("sim-tools", more).await).is_empty());
    let more = json!({ "tool_choice": "required" });
    assert_eq!(ask("sim-text", more).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test(start_paused = true)]
async fn the_results_of_tools_are_used_in_the_answer() {
    let messages = json!([
        { "role": "user", "content": "Weather?" },
        { "role": "assistant", "content": null, "tool_calls": [] },
        { "role": "tool", "tool_call_id": "call_1", "content": "{\"city\":\"Lisboa\",\"degrees\":21}" },
        { "role": "tool", "tool_call_id": "call_2", "content": "rain in Zürich" },
    ]);
    let answer = ask("sim-tools", json!({ "messages": messages })).await;
    let text = answer.said(0, "content");
    assert!(text.contains("Lisboa") && text.contains("21") && text.contains("rain in Zürich"));
    assert_eq!(answer.finishes(), ["stop"]);
}

#[tokio::test(start_paused = true)]
async fn an_error_first_is_an_http_error_of_the_wanted_status() {
    let answer = ask("sim-error-first", json!({})).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.json()["error"]["type"], "server_error");
    for (status, code) in [(401, "invalid_api_key"), (429, "rate_limit_exceeded")] {
        let more = json!({ "simulator": { "status": status, "retry_after": 3 } });
        let answer = ask("sim-text", more).await;
        assert_eq!(answer.status.as_u16(), status);
        assert_eq!(answer.headers["retry-after"], "3");
        assert_eq!(answer.headers[CONTENT_TYPE], "application/json");
        assert_eq!(answer.json()["error"]["code"], code);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_in_the_middle_is_the_last_event_and_nothing_finishes() {
    let answer = ask("sim-error-middle", json!({ "simulator": { "at": 12 } })).await;
    let chunks = answer.chunks();
    assert_eq!(chunks.len(), 1 + 12 + 1);
    assert!(chunks.last().expect("an error")["error"]["message"].is_string());
    assert!(answer.finishes().is_empty() && !answer.text().contains("[DONE]") && answer.ended);
}

#[tokio::test(start_paused = true)]
async fn a_cut_ends_the_body_inside_an_event() {
    let answer = ask("sim-cut", json!({ "simulator": { "at": 12 } })).await;
    assert_eq!(answer.chunks().len(), 1 + 12);
    assert!(!answer.text().ends_with("\n\n") && answer.ended);
    assert!(answer.items.iter().all(|(_, item)| item.is_ok()));
}

#[tokio::test(start_paused = true)]
async fn a_reset_breaks_the_connection() {
    let answer = ask("sim-reset", json!({ "simulator": { "at": 12 } })).await;
    assert_eq!(answer.chunks().len(), 1 + 12);
    assert!(matches!(answer.items.last(), Some((_, Err(CallError::Broken(_))))));
}

#[tokio::test(start_paused = true)]
async fn a_stall_says_nothing_for_ever() {
    let answer = ask("sim-stall", json!({ "simulator": { "at": 12 } })).await;
    assert_eq!(answer.chunks().len(), 1 + 12);
    assert!(!answer.ended);
}

#[tokio::test(start_paused = true)]
async fn a_failure_comes_at_the_latest_in_place_of_the_last_token() {
    for model in ["sim-error-middle", "sim-cut", "sim-reset", "sim-stall"] {
        let control = json!({ "at": 999, "text": "one two three" });
        let answer = ask(model, json!({ "simulator": control })).await;
        assert_eq!(answer.said(0, "content"), "one two", "{model}");
        assert!(answer.finishes().is_empty(), "{model}");
        let answer = ask(model, json!({ "simulator": { "text": "" } })).await;
        assert!(answer.finishes().is_empty(), "{model} fails even with nothing to say");
    }
}

#[tokio::test(start_paused = true)]
async fn without_streaming_failures_are_failures_too() {
    let path = "/chat/completions";
    let answer = call(Method::POST, path, body("sim-error-middle", false, json!({}))).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    let answer = call(Method::POST, path, body("sim-cut", false, json!({}))).await;
    assert!(answer.status.is_success() && serde_json::from_str::<Value>(&answer.text()).is_err());
    let never = call(Method::POST, path, body("sim-stall", false, json!({})));
    assert!(timeout(Duration::from_secs(3600), never).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_slow_start_sends_comments_before_the_first_token() {
    let answer = ask("sim-slow-start", json!({ "simulator": { "first_token_ms": 3500 } })).await;
    let comments: Vec<_> =
        answer.items.iter().filter(|(_, item)| *item == Ok(chunk::COMMENT)).collect();
    assert_eq!(comments.iter().map(|(at, _)| at.as_secs()).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert!(answer.times_of_tokens()[0] >= Duration::from_millis(3500));
    assert_eq!(answer.finishes(), ["stop"]);
}

#[tokio::test(start_paused = true)]
async fn eighty_tokens_come_in_every_second() {
    let answer = ask("sim-long", json!({ "simulator": { "first_token_ms": 1000 } })).await;
    let times = answer.times_of_tokens();
    assert_eq!(times[0].as_secs(), 1);
    for second in 1..20 {
        let count = times.iter().filter(|at| at.as_secs() == second).count();
        assert!((78..=82).contains(&count), "{count} tokens in second {second}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_comes_together_at_the_same_rate() {
    let control = json!({ "burst": 10, "jitter": 0, "tokens": 200, "tokens_per_second": 100 });
    let times = ask("sim-text", json!({ "simulator": control })).await.times_of_tokens();
    assert_eq!(times.len(), 200);
    let moments: std::collections::BTreeSet<_> = times.iter().collect();
    assert_eq!(moments.len(), 20);
    let spread = times[199] - times[0];
    assert!((1890..=1910).contains(&spread.as_millis()), "{spread:?}");
}

#[tokio::test(start_paused = true)]
async fn choices_are_interleaved_and_each_keeps_the_rate() {
    let more = json!({ "n": 3, "simulator": { "tokens": 160, "jitter": 0 } });
    let answer = ask("sim-text", more).await;
    let order: Vec<_> =
        answer.chunks().iter().filter_map(|chunk| chunk["choices"][0]["index"].as_u64()).collect();
    assert_eq!(order[..9], [0, 1, 2, 0, 1, 2, 0, 1, 2]);
    assert_eq!(answer.finishes(), ["stop", "stop", "stop"]);
    assert_ne!(answer.said(0, "content"), answer.said(1, "content"));
    let times = answer.times_of_tokens();
    assert_eq!(times.len(), 480);
    assert_eq!((times[479] - times[0]).as_secs(), 1, "160 tokens of each at 80 in a second");
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

#[tokio::test(start_paused = true)]
async fn a_json_answer_is_json_of_the_wanted_schema() {
    let answer = ask("sim-text", json!({ "response_format": { "type": "json_object" } })).await;
    let value: Value = serde_json::from_str(&answer.said(0, "content")).expect("JSON");
    assert!(value.is_object());
    let schema = json!({
        "type": "object",
        "properties": { "steps": { "type": "array", "items": { "type": "string" } } },
        "required": ["steps"],
    });
    let format = json!({ "type": "json_schema", "json_schema": { "name": "x", "schema": schema } });
    let answer = ask("sim-text", json!({ "response_format": format })).await;
    let value: Value = serde_json::from_str(&answer.said(0, "content")).expect("JSON");
    assert!(jsonschema::is_valid(&schema, &value), "{value}");
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_request_is_named() {
    let cases = [
        (json!({ "model": "gpt-9" }), 404, "gpt-9"),
        (json!({ "model": null }), 400, "model"),
        (json!({ "messages": null }), 400, "messages"),
        (json!({ "messages": [] }), 400, "messages"),
        (json!({ "messages": ["hello"] }), 400, "messages"),
        (json!({ "n": 0 }), 400, "'n'"),
        (json!({ "stream": "yes" }), 400, "'stream'"),
        (json!({ "stream": false, "stream_options": {} }), 400, "stream_options"),
        (json!({ "stop": [""] }), 400, "'stop'"),
        (json!({ "max_tokens": -1 }), 400, "max_tokens"),
        (json!({ "response_format": { "type": "xml" } }), 400, "response_format"),
        (json!({ "simulator": 1 }), 400, "simulator"),
        (
            json!({ "simulator": { "sed": 1, "speed": 2 } }),
            400,
            "'simulator.sed', 'simulator.speed'",
        ),
        (json!({ "simulator": { "seed": "x" } }), 400, "invalid type"),
        (json!({ "simulator": { "scenario": "tornado" } }), 400, "tornado"),
        (json!({ "simulator": { "tokens_per_second": 0 } }), 400, "tokens_per_second"),
        (json!({ "simulator": { "jitter": 2 } }), 400, "jitter"),
        (json!({ "simulator": { "status": 200 } }), 400, "status"),
        (json!({ "simulator": { "status": 500, "scenario": "cut" } }), 400, "error-first"),
        (json!({ "simulator": { "at": 5 } }), 400, "error-middle"),
    ];
    for (more, status, named) in cases {
        let answer = ask("sim-text", more.clone()).await;
        assert_eq!(answer.status.as_u16(), status, "{more}");
        let error = answer.json()["error"].clone();
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains(named), "{more} got {message}");
        assert!(error["type"].is_string() && error.get("param").is_some());
    }
    let answer = ask("sim-text", json!({ "messages": null })).await;
    assert_eq!(answer.json()["error"]["param"], "messages");
}

#[tokio::test(start_paused = true)]
async fn models_are_listed_and_found_by_name() {
    let list = call(Method::GET, "/models?limit=2", json!(null)).await.json();
    assert_eq!(list["data"].as_array().map(Vec::len), Some(MODELS.len() + 1));
    let one = call(Method::GET, "/models/sim-cut", json!(null)).await;
    assert_eq!(one.json()["id"], "sim-cut");
    let none = call(Method::GET, "/models/gpt-9", json!(null)).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    assert_eq!(call(Method::GET, "/batches", json!(null)).await.status, StatusCode::NOT_FOUND);
    let wrong = call(Method::GET, "/chat/completions", json!(null)).await;
    assert_eq!(wrong.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test(start_paused = true)]
async fn embeddings_are_unit_vectors_of_the_text() {
    let body = json!({ "model": EMBEDDING_MODEL, "input": ["tide", "log", "tide"] });
    let answer = call(Method::POST, "/embeddings", body).await.json();
    let vector = |index: usize| -> Vec<f32> {
        let values = answer["data"][index]["embedding"].as_array().expect("a vector");
        values.iter().filter_map(Value::as_f64).map(|x| x as f32).collect()
    };
    assert_eq!(vector(0).len(), 8);
    assert_eq!(vector(0), vector(2));
    assert_ne!(vector(0), vector(1));
    let length: f32 = vector(0).iter().map(|x| x * x).sum();
    assert!((length - 1.0).abs() < 1e-5);

    let body = json!({ "model": EMBEDDING_MODEL, "input": "tide", "encoding_format": "base64" });
    let answer = call(Method::POST, "/embeddings", body).await.json();
    let text = answer["data"][0]["embedding"].as_str().expect("base64");
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).expect("base64");
    let floats = bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().expect("four")));
    assert_eq!(floats.collect::<Vec<_>>(), vector(0));

    for (body, status) in [
        (json!({ "model": "other", "input": "x" }), 404),
        (json!({ "model": EMBEDDING_MODEL }), 400),
        (json!({ "model": EMBEDDING_MODEL, "input": "" }), 400),
        (json!({ "model": EMBEDDING_MODEL, "input": "x", "dimensions": 0 }), 400),
    ] {
        assert_eq!(call(Method::POST, "/embeddings", body).await.status.as_u16(), status);
    }
}

#[test]
fn a_call_that_is_dropped_leaves_nothing_behind() {
    let runtime = runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let body = Bytes::from(body("sim-long", true, json!({})).to_string());
        let request = Request {
            method: Method::POST,
            path: "/chat/completions".to_owned(),
            headers: HeaderMap::new(),
            body,
            connect_timeout: Duration::from_secs(1),
        };
        let mut response = Simulator::default().call(request).await.expect("an answer");
        assert!(response.body.next().now_or_never().is_none(), "the first token takes its time");
        drop(response);
        assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
    });
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
