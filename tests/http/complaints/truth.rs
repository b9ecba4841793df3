//! What broke is told as broken, in the form of whoever asked: never a good end that the provider did not say.

use serde_json::json;
use tokenway::dialect::Dialect;

use super::{
    kit::{APPS, Voice, all, all_with, ask, error, is_success, refused, text},
    voice::OVERLOADED,
};
use crate::{
    gateway::{KEY, Tokenway, body, header, sent, stream_of},
    sse::Sse,
    upstream::Upstream,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_off_is_a_success_to_no_app_whoever_broke_it() {
    let (gateway, upstream) = all().await;
    for provider in Dialect::ALL {
        for app in APPS {
            // As HTTP ends a body, as TCP closes, and within a payload.
            for how in 0..3 {
                let case = format!("{provider:?} to {app:?}, {how}");
                let call = sent(ask(&gateway, app, provider.as_str(), true));
                let (mut answer, voice) = (upstream.call().await, Voice(provider));
                voice.begin(&mut answer).await;
                answer.say(voice.open("Hel")).await;
                if how == 2 {
                    let payload = voice.more("lo");
                    answer.say(&payload[..payload.len() / 2]).await;
                }
                match how {
                    1 => answer.close().await,
                    _ => answer.end().await,
                }
                let mut stream = stream_of(call).await;
                let items = stream.rest().await;
                assert!(!is_success(app, &items), "{case}: {items:?}");
                assert!(error(app, &items).is_some(), "{case}: {items:?}");
                assert_eq!(text(app, &items), "Hel", "{case}");
                let ended = gateway.ended(header(&stream.headers, "tokenway-channel")).await;
                assert_eq!(ended["error"]["code"], "upstream_cut", "{case}");
            }
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_answer_that_stops_in_the_middle_of_its_json_is_cut() {
    let (gateway, upstream) = all().await;
    let call = sent(ask(&gateway, tokenway::dialect::AppDialect::OpenAi, "openai", false));
    let mut answer = upstream.call().await;
    // Without a length, the end of the connection looks like the end of the body.
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n";
    answer
        .write(head.to_owned() + "{\"id\":\"c\",\"choices\":[{\"message\":{\"content\":\"Hel")
        .await;
    answer.close().await;
    let response = call.await.expect("a response");
    assert_eq!(response.status(), 502);
    let channel = header(response.headers(), "tokenway-channel").to_owned();
    assert_eq!(gateway.ended(&channel).await["error"]["code"], "upstream_cut");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_a_payload_is_no_empty_success() {
    let (gateway, upstream) = all().await;
    for provider in Dialect::ALL {
        for app in APPS {
            for stream in [true, false] {
                let case = format!("{provider:?} to {app:?}, stream {stream}");
                let call = sent(ask(&gateway, app, provider.as_str(), stream));
                let mut answer = upstream.call().await;
                Voice(provider).begin(&mut answer).await;
                answer.end().await;
                // What has begun to stream to its app is told there; all else by a status.
                let response = call.await.expect("a response");
                let content_type = header(response.headers(), "content-type");
                if stream && content_type.starts_with("text/event-stream") {
                    let items = Sse::of(response).rest().await;
                    assert!(error(app, &items).is_some(), "{case}: {items:?}");
                    assert!(!is_success(app, &items), "{case}: {items:?}");
                } else {
                    assert_eq!(response.status(), 502, "{case}");
                    let said = body(response).await;
                    assert!(refused(app, &said).is_some(), "{case}: {said}");
                }
            }
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_in_the_stream_reaches_every_app_in_its_own_form() {
    let (gateway, upstream) = all().await;
    for provider in Dialect::ALL {
        for app in APPS {
            let case = format!("{provider:?} to {app:?}");
            let call = sent(ask(&gateway, app, provider.as_str(), true));
            let (mut answer, voice) = (upstream.call().await, Voice(provider));
            voice.begin(&mut answer).await;
            answer.say(voice.open("Hel")).await;
            answer.say(voice.fault()).await;
            answer.try_end().await;
            let items = stream_of(call).await.rest().await;
            assert_eq!(error(app, &items).as_deref(), Some(OVERLOADED), "{case}: {items:?}");
            assert!(!is_success(app, &items), "{case}: {items:?}");
            assert_eq!(text(app, &items), "Hel", "{case}");
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_within_a_200_before_the_first_token_goes_to_the_next_target() {
    let (broken, good) = (Upstream::bind().await, Upstream::bind().await);
    let (mut providers, mut models) = (String::new(), String::new());
    for dialect in Dialect::ALL {
        let (name, addr) = (dialect.as_str(), broken.addr());
        providers += &format!(
            "  {name}: {{ dialect: {name}, base_url: \"http://{addr}\", api_key: {KEY} }}\n"
        );
        models += &format!(
            "  {name}: {{ targets: [ {{ provider: {name}, model: up-model }}, {{ provider: good, model: g }} ] }}\n"
        );
    }
    let yaml = format!(
        "providers:\n  good: {{ dialect: openai, base_url: \"http://{}/v1\", api_key: {KEY} }}\n{providers}models:\n{models}",
        good.addr()
    );
    let gateway = Tokenway::of(&yaml, |_| {}).await;
    for dialect in Dialect::ALL {
        for app in APPS {
            let call = sent(ask(&gateway, app, dialect.as_str(), true));
            let mut answer = broken.call().await;
            Voice(dialect).begin(&mut answer).await;
            answer.say(Voice(dialect).fault()).await;
            answer.try_end().await;
            let mut answer = good.call().await;
            answer.begin().await;
            answer.text_delta("Hello").await;
            answer.finish().await;
            let mut stream = stream_of(call).await;
            let items = stream.rest().await;
            assert_eq!(header(&stream.headers, "tokenway-provider"), "good");
            assert_eq!(text(app, &items), "Hello", "{dialect:?} to {app:?}: {items:?}");
            assert!(is_success(app, &items), "{dialect:?} to {app:?}: {items:?}");
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_does_not_stream_is_told_of_a_break_by_a_status_in_its_own_form() {
    let (gateway, upstream) = all().await;
    for provider in Dialect::ALL {
        for app in APPS {
            for fails in [true, false] {
                let case = format!("{provider:?} to {app:?}, fails {fails}");
                let call = sent(ask(&gateway, app, provider.as_str(), false));
                let (mut answer, voice) = (upstream.call().await, Voice(provider));
                voice.begin(&mut answer).await;
                answer.say(voice.open("Hel")).await;
                if fails {
                    answer.say(voice.fault()).await;
                }
                answer.try_end().await;
                let response = call.await.expect("a response");
                assert!(response.status().as_u16() >= 429, "{case}: {}", response.status());
                let said = body(response).await;
                let message = refused(app, &said).unwrap_or_else(|| panic!("{case}: {said}"));
                assert!(!fails || message == OVERLOADED, "{case}: {said}");
            }
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_any_provider_has_the_form_of_the_app_and_says_when_to_come_again() {
    let (gateway, upstream) = all_with("", |_| {}).await;
    let theirs = |provider| match provider {
        Dialect::Anthropic => {
            json!({ "type": "error", "error": { "type": "rate_limit_error", "message": "Slow down." } })
        }
        Dialect::Gemini => {
            json!({ "error": { "code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED" } })
        }
        Dialect::Ollama => json!({ "error": "Slow down." }),
        Dialect::Bedrock => json!({ "message": "Slow down." }),
        Dialect::OpenAi | Dialect::Responses => {
            json!({ "error": { "message": "Slow down.", "type": "requests", "code": "rate_limit_exceeded" } })
        }
    };
    for provider in Dialect::ALL {
        for app in APPS {
            let case = format!("{provider:?} to {app:?}");
            let call = sent(ask(&gateway, app, provider.as_str(), true));
            let headers = "content-type: application/json\r\nretry-after: 7\r\n";
            let answer = upstream.call().await;
            answer.answer("429 Slow", headers, &theirs(provider).to_string()).await;
            let response = call.await.expect("a response");
            assert_eq!(response.status(), 429, "{case}");
            assert_eq!(header(response.headers(), "retry-after"), "7", "{case}");
            let said = body(response).await;
            assert_eq!(refused(app, &said).as_deref(), Some("Slow down."), "{case}: {said}");
        }
    }
    gateway.stop().await;
}
