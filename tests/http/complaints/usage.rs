//! What was used is told to every app in its own words, as the provider counted it: late, cumulative or hidden.

use serde_json::{Value, json};
use tokenway::dialect::{AppDialect, Dialect};

use super::{
    kit::{APPS, Voice, all, ask, ask_with, payloads},
    voice::{INPUT, sse},
};
use crate::{
    gateway::{header, sent, stream_of},
    sse::Item,
};

/// Input and output as the last payload that counts has them.
fn counted(app: AppDialect, items: &[Item]) -> (Value, Value) {
    let usage = |payload: Value| match app {
        AppDialect::OpenAi => {
            (payload["usage"]["prompt_tokens"].clone(), payload["usage"]["completion_tokens"].clone())
        }
        AppDialect::Responses => {
            let usage = &payload["response"]["usage"];
            (usage["input_tokens"].clone(), usage["output_tokens"].clone())
        }
        AppDialect::Anthropic if payload["type"] == "message_delta" => {
            (payload["usage"]["input_tokens"].clone(), payload["usage"]["output_tokens"].clone())
        }
        AppDialect::Anthropic => (Value::Null, Value::Null),
        AppDialect::Gemini => {
            let usage = &payload["usageMetadata"];
            (usage["promptTokenCount"].clone(), usage["candidatesTokenCount"].clone())
        }
    };
    let counts = payloads(items).into_iter().map(usage);
    counts.filter(|(_, output)| output.is_u64()).next_back().unwrap_or_default()
}

fn wants_usage(app: AppDialect) -> Value {
    match app {
        AppDialect::OpenAi => json!({ "stream_options": { "include_usage": true } }),
        _ => json!({}),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_reaches_every_app_in_its_own_words_also_where_it_follows_the_reason() {
    let (gateway, upstream) = all().await;
    for provider in Dialect::ALL {
        for app in APPS {
            let case = format!("{provider:?} to {app:?}");
            let call = sent(ask_with(&gateway, app, provider.as_str(), true, &wants_usage(app)));
            let (mut answer, voice) = (upstream.call().await, Voice(provider));
            voice.begin(&mut answer).await;
            answer.say(voice.open("Hello")).await;
            answer.say(voice.end()).await;
            answer.try_end().await;
            let mut stream = stream_of(call).await;
            let items = stream.rest().await;
            let (input, output) = counted(app, &items);
            // Between like and like it is as the provider wrote it: Anthropic's input is in its first event.
            let first = provider == Dialect::Anthropic && app == AppDialect::Anthropic;
            assert!(input == INPUT || first, "{case}: {items:?}");
            assert_eq!(output, 4, "{case}: {items:?}");
            let ended = gateway.ended(header(&stream.headers, "tokenway-channel")).await;
            let usage = &ended["usage"];
            assert_eq!((&usage["input"], &usage["output"]), (&json!(INPUT), &json!(4)), "{case}");
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anthropic_apps_input_tokens_are_put_right_at_the_end() {
    let (gateway, upstream) = all().await;
    let call = sent(ask(&gateway, AppDialect::Anthropic, "openai", true));
    let mut answer = upstream.call().await;
    let asked = &answer.json()["stream_options"]["include_usage"];
    assert_eq!(*asked, true, "or the provider would not count at all");
    answer.begin().await;
    answer.text_delta("Hello").await;
    answer.finish().await;
    let told = payloads(&stream_of(call).await.rest().await);
    // Nobody knew it then.
    assert_eq!(told[0]["message"]["usage"]["input_tokens"], 0, "{}", told[0]);
    let delta = told.iter().find(|it| it["type"] == "message_delta").expect("an end");
    assert_eq!(delta["usage"]["input_tokens"], INPUT, "{delta}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_app_gets_the_usage_chunk_once_and_only_where_it_asked() {
    let (gateway, upstream) = all().await;
    for provider in Dialect::ALL {
        for wanted in [true, false] {
            let more = if wanted { wants_usage(AppDialect::OpenAi) } else { json!({}) };
            let app = AppDialect::OpenAi;
            let call = sent(ask_with(&gateway, app, provider.as_str(), true, &more));
            let (mut answer, voice) = (upstream.call().await, Voice(provider));
            if provider == Dialect::OpenAi {
                assert_eq!(answer.json()["stream_options"]["include_usage"], true);
            }
            voice.begin(&mut answer).await;
            answer.say([voice.open("Hello"), voice.end()].concat()).await;
            answer.try_end().await;
            let items = stream_of(call).await.rest().await;
            let told = payloads(&items);
            let alone = told.iter().filter(|it| it["choices"].as_array().is_some_and(Vec::is_empty));
            assert_eq!(alone.count(), usize::from(wanted), "{provider:?}: {items:?}");
            let counts = told.iter().filter(|it| it["usage"].is_object()).count();
            assert_eq!(counts, usize::from(wanted), "{provider:?}: {items:?}");
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn googles_counts_are_cumulative_and_never_added() {
    let (gateway, upstream) = all().await;
    for app in APPS {
        let call = sent(ask_with(&gateway, app, "gemini", true, &wants_usage(app)));
        let mut answer = upstream.call().await;
        answer.begin().await;
        for (at, reason) in [(1, None), (2, None), (3, Some("STOP"))] {
            let mut candidate =
                json!({ "content": { "parts": [{ "text": "a" }], "role": "model" }, "index": 0 });
            if let Some(reason) = reason {
                candidate["finishReason"] = reason.into();
            }
            let usage = json!({ "promptTokenCount": 7, "candidatesTokenCount": at, "totalTokenCount": 7 + at });
            let payload = json!({ "candidates": [candidate], "usageMetadata": usage });
            answer.say(sse("", &payload.to_string())).await;
        }
        answer.try_end().await;
        let mut stream = stream_of(call).await;
        let items = stream.rest().await;
        assert_eq!(counted(app, &items), (json!(7), json!(3)), "{app:?}: {items:?}");
        let ended = gateway.ended(header(&stream.headers, "tokenway-channel")).await;
        assert_eq!((&ended["usage"]["input"], &ended["usage"]["output"]), (&json!(7), &json!(3)));
    }
    gateway.stop().await;
}
