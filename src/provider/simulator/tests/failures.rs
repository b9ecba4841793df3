//! The exact shape of every failure.

use super::*;

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
        (json!({ "n": 128, "simulator": { "tokens": 100_000 } }), 400, "simulator.tokens"),
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
