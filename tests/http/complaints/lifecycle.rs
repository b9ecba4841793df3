//! The order in which each dialect's SDKs need to be told: what begins, begins once; what was opened is closed; one after
//! the other.

use serde_json::{Value, json};
use tokenway::dialect::{AppDialect, Dialect};

use super::{
    kit::{APPS, Voice, all, ask, payloads, text},
    tools::{begins, calls_of},
    voice::sse,
};
use crate::{
    fault::{Stage, Then, good, torn},
    gateway::{sent, stream_of},
    sse::Sse,
    upstream,
};

/// Fails where Anthropic's blocks are not one after the other, or the message has not one beginning and one end.
pub(super) fn is_a_message(told: &[Value]) {
    let kinds: Vec<_> = told.iter().map(|it| it["type"].as_str().expect("a type")).collect();
    assert_eq!(kinds.first(), Some(&"message_start"), "{kinds:?}");
    assert_eq!(kinds.last(), Some(&"message_stop"), "{kinds:?}");
    for once in ["message_start", "message_delta", "message_stop"] {
        assert_eq!(kinds.iter().filter(|kind| **kind == once).count(), 1, "{kinds:?}");
    }
    let (mut open, mut next) = (None, 0);
    for payload in told {
        let index = payload["index"].as_u64();
        match payload["type"].as_str().expect("a type") {
            "content_block_start" => {
                assert_eq!((open, index), (None, Some(next)), "{payload}");
                open = index;
                next += 1;
            }
            "content_block_delta" => assert_eq!(open, index, "{payload}"),
            "content_block_stop" => {
                assert_eq!(open, index, "{payload}");
                open = None;
            }
            _ => assert_eq!(open, None, "{payload}"),
        }
    }
}

/// Fails where a response's events do not nest, or their numbers have a gap.
pub(super) fn is_a_response(told: &[Value]) {
    let kinds: Vec<_> = told.iter().map(|it| it["type"].as_str().expect("a type")).collect();
    assert_eq!(kinds[..2], ["response.created", "response.in_progress"], "{kinds:?}");
    assert_eq!(kinds.last(), Some(&"response.completed"), "{kinds:?}");
    for (number, payload) in (0_u64..).zip(told) {
        assert_eq!(payload["sequence_number"], number, "{payload}");
    }
    let (mut open, mut done) = (Vec::new(), Vec::new());
    for payload in told {
        let item = &payload["output_index"];
        match payload["type"].as_str().expect("a type") {
            "response.output_item.added" => {
                assert_eq!(item.as_u64(), u64::try_from(open.len() + done.len()).ok(), "{payload}");
                open.push(item.clone());
            }
            "response.output_item.done" => {
                assert!(open.contains(item), "{payload}");
                open.retain(|it| it != item);
                done.push(payload["item"].clone());
            }
            "response.completed" => assert_eq!(payload["response"]["output"], json!(done)),
            _ => assert!(item.is_null() || open.contains(item), "{payload}"),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answers_lifecycle_is_complete_and_in_order_whoever_answers() {
    let (gateway, upstream) = all().await;
    for provider in Dialect::ALL {
        for app in [AppDialect::Anthropic, AppDialect::Responses] {
            if Dialect::from(app) == provider {
                continue;
            }
            let call = sent(ask(&gateway, app, provider.as_str(), true));
            let (mut answer, voice) = (upstream.call().await, Voice(provider));
            voice.begin(&mut answer).await;
            answer.say([voice.open("Hel"), voice.more("lo"), voice.end()].concat()).await;
            answer.try_end().await;
            let items = stream_of(call).await.rest().await;
            assert_eq!(text(app, &items), "Hello");
            match app {
                AppDialect::Anthropic => is_a_message(&payloads(&items)),
                _ => is_a_response(&payloads(&items)),
            }
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_splice_makes_no_second_beginning_in_any_dialect() {
    for app in APPS {
        let scripts =
            vec![("a", vec![torn("Once upon ", Then::Cut)]), ("b", vec![good("a time.")])];
        let stage = Stage::set("failover: { retries: 0 }, on_break: continue", scripts).await;
        let response = ask(&stage.gateway, app, "fast", true).send().await.expect("a response");
        let items = Sse::of(response).rest().await;
        assert_eq!(text(app, &items), "Once upon a time.", "{app:?}: {items:?}");
        let told = payloads(&items);
        match app {
            AppDialect::Anthropic => is_a_message(&told),
            AppDialect::Responses => is_a_response(&told),
            AppDialect::OpenAi => {
                let roles = told.iter().filter(|it| it["choices"][0]["delta"]["role"].is_string());
                assert_eq!(roles.count(), 1, "{told:?}");
                assert!(told.iter().all(|it| it["id"] == told[0]["id"]), "{told:?}");
            }
            AppDialect::Gemini => {
                assert!(
                    told.iter().all(|it| it["responseId"] == told[0]["responseId"]),
                    "{told:?}"
                );
            }
        }
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_of_nothing_but_reasoning_opens_a_thought() {
    let (gateway, upstream) = all().await;
    for member in ["reasoning_content", "reasoning"] {
        for app in APPS {
            let call = sent(ask(&gateway, app, "openai", true));
            let mut answer = upstream.call().await;
            answer.begin().await;
            let thinks = json!({ "choices": [{ "index": 0, "delta": { member: "Hm." }, "finish_reason": null }] });
            answer.event(thinks.to_string()).await;
            answer.text_delta("Hello").await;
            answer.finish().await;
            let items = stream_of(call).await.rest().await;
            let told = payloads(&items);
            let case = format!("{member} to {app:?}: {told:?}");
            let thinks = |it: &Value| match app {
                AppDialect::OpenAi => it["choices"][0]["delta"][member] == "Hm.",
                AppDialect::Responses => {
                    it["type"].as_str().is_some_and(|kind| kind.starts_with("response.reasoning"))
                        && it["delta"] == "Hm."
                }
                AppDialect::Anthropic => it["delta"]["thinking"] == "Hm.",
                AppDialect::Gemini => {
                    let part = &it["candidates"][0]["content"]["parts"][0];
                    part["thought"] == true && part["text"] == "Hm."
                }
            };
            assert!(told.iter().any(thinks), "{case}");
            match app {
                AppDialect::Anthropic => is_a_message(&told),
                AppDialect::Responses => is_a_response(&told),
                _ => {}
            }
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reason_has_the_apps_own_word() {
    let (gateway, upstream) = all().await;
    for (reason, words) in [
        ("stop", ["stop", "completed", "end_turn", "STOP"]),
        ("length", ["length", "max_output_tokens", "max_tokens", "MAX_TOKENS"]),
        ("content_filter", ["content_filter", "content_filter", "refusal", "SAFETY"]),
    ] {
        for (app, word) in APPS.into_iter().zip(words) {
            let call = sent(ask(&gateway, app, "openai", true));
            let mut answer = upstream.call().await;
            answer.begin().await;
            answer.text_delta("Hel").await;
            let end = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] });
            answer.event(end.to_string()).await;
            answer.event(upstream::usage()).await;
            answer.event("[DONE]").await;
            answer.try_end().await;
            let told = payloads(&stream_of(call).await.rest().await);
            let said = told.iter().filter_map(|it| match app {
                AppDialect::OpenAi => it["choices"][0]["finish_reason"].as_str(),
                AppDialect::Responses if it["type"] == "response.incomplete" => {
                    it["response"]["incomplete_details"]["reason"].as_str()
                }
                AppDialect::Responses => {
                    it["response"]["status"].as_str().filter(|word| *word != "in_progress")
                }
                AppDialect::Anthropic => it["delta"]["stop_reason"].as_str(),
                AppDialect::Gemini => it["candidates"][0]["finishReason"].as_str(),
            });
            assert_eq!(said.collect::<Vec<_>>(), [word], "{reason} to {app:?}: {told:?}");
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn googles_reason_on_every_chunk_ends_nothing_early_and_its_stop_with_a_call_is_a_call() {
    let (gateway, upstream) = all().await;
    for app in [AppDialect::OpenAi, AppDialect::Responses, AppDialect::Anthropic] {
        let call = sent(ask(&gateway, app, "gemini", true));
        let mut answer = upstream.call().await;
        answer.begin().await;
        for part in [
            json!({ "text": "Let me " }),
            json!({ "text": "see." }),
            json!({ "functionCall": { "name": "weather", "args": { "city": "Oslo" } } }),
        ] {
            let candidate = json!({ "content": { "parts": [part], "role": "model" }, "finishReason": "STOP", "index": 0 });
            answer.say(sse("", &json!({ "candidates": [candidate] }).to_string())).await;
        }
        answer.try_end().await;
        let items = stream_of(call).await.rest().await;
        let told = payloads(&items);
        assert_eq!(text(app, &items), "Let me see.", "{app:?}: {told:?}");
        let calls = calls_of(app, &told);
        assert_eq!(calls.len(), 1, "{app:?}: {told:?}");
        assert_eq!((&*calls[0].1, &calls[0].2), ("weather", &json!({ "city": "Oslo" })));
        let word = match app {
            AppDialect::OpenAi => {
                told.iter().any(|it| it["choices"][0]["finish_reason"] == "tool_calls")
            }
            AppDialect::Anthropic => told.iter().any(|it| it["delta"]["stop_reason"] == "tool_use"),
            _ => true,
        };
        assert!(word, "{app:?}: {told:?}");
        assert!(begins(app, &told), "{app:?}: {told:?}");
    }
    gateway.stop().await;
}
