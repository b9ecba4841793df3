//! Signs of life and their absence: pings are no data, no progress and no excuse, and no app is left in silence.

use std::time::Duration;

use tokenway::dialect::{AppDialect, Dialect};
use tokio::time::Instant;

use super::kit::{APPS, Voice, all, all_with, ask, error, is_success, payloads, text};
use crate::{
    gateway::{KEY, Tokenway, header, sent, stream_of},
    upstream::Upstream,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_pings_and_comments_are_data_to_no_app() {
    let (gateway, upstream) = all().await;
    for provider in Dialect::ALL {
        for app in APPS {
            let call = sent(ask(&gateway, app, provider.as_str(), true));
            let (mut answer, voice) = (upstream.call().await, Voice(provider));
            voice.begin(&mut answer).await;
            let opened = voice.open("Hel");
            for part in [voice.ping(), opened, voice.ping(), voice.more("lo"), voice.ping(), voice.end()] {
                if !part.is_empty() {
                    answer.say(part).await;
                }
            }
            answer.try_end().await;
            let mut stream = stream_of(call).await;
            let items = stream.rest().await;
            let case = format!("{provider:?} to {app:?}: {items:?}");
            assert_eq!(text(app, &items), "Hello", "{case}");
            assert!(is_success(app, &items), "{case}");
            let alike = provider == Dialect::from(app);
            for payload in payloads(&items) {
                let kind = payload["type"].as_str().unwrap_or_default();
                let ours = match app {
                    AppDialect::OpenAi => payload["object"] == "chat.completion.chunk",
                    AppDialect::Responses => kind.starts_with("response.") || (alike && kind == "keepalive"),
                    AppDialect::Anthropic => {
                        kind.starts_with("message_") || kind.starts_with("content_block_") || kind == "ping"
                    }
                    AppDialect::Gemini => payload["candidates"].is_array(),
                };
                assert!(ours, "{payload}, {case}");
            }
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_with_nothing_but_pings_ends_in_every_dialect() {
    let (gateway, upstream) = all_with("timeouts: { idle: 250ms }", |_| {}).await;
    for provider in [Dialect::OpenAi, Dialect::Responses, Dialect::Anthropic, Dialect::Gemini, Dialect::Ollama] {
        for app in APPS {
            let call = sent(ask(&gateway, app, provider.as_str(), true));
            let (mut answer, voice) = (upstream.call().await, Voice(provider));
            voice.begin(&mut answer).await;
            answer.say(voice.open("Hel")).await;
            let told = tokio::spawn(async move {
                let mut stream = stream_of(call).await;
                (stream.rest().await, stream)
            });
            let begun = Instant::now();
            while !told.is_finished() && begun.elapsed() < Duration::from_secs(5) {
                if answer.try_say(voice.ping()).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            let (items, stream) = told.await.expect("the app is told");
            let case = format!("{provider:?} to {app:?}: {items:?}");
            assert!(error(app, &items).is_some() && !is_success(app, &items), "{case}");
            let ended = gateway.ended(header(&stream.headers, "tokenway-channel")).await;
            assert_eq!((&ended["error"]["code"], &ended["error"]["phase"]), (&"timeout".into(), &"idle".into()), "{case}");
            answer.closed().await;
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_only_pings_before_its_first_token_is_left_for_the_next() {
    let (stalls, good) = (Upstream::bind().await, Upstream::bind().await);
    for dialect in [Dialect::OpenAi, Dialect::Responses, Dialect::Anthropic, Dialect::Gemini, Dialect::Ollama] {
        let yaml = format!(
            r#"
providers:
  stalls: {{ dialect: {}, base_url: "http://{}", api_key: {KEY} }}
  good: {{ dialect: openai, base_url: "http://{}/v1", api_key: {KEY} }}
models:
  fast: {{ targets: [ {{ provider: stalls, model: s }}, {{ provider: good, model: g }} ], timeouts: {{ first_token: 250ms }} }}
"#,
            dialect.as_str(),
            stalls.addr(),
            good.addr()
        );
        let gateway = Tokenway::of(&yaml, |_| {}).await;
        let call = sent(ask(&gateway, AppDialect::Anthropic, "fast", true));
        let (mut answer, voice) = (stalls.call().await, Voice(dialect));
        voice.begin(&mut answer).await;
        let pings = tokio::spawn(async move {
            while answer.try_say(voice.ping()).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        });
        let mut answer = good.call().await;
        answer.begin().await;
        answer.text_delta("Hello").await;
        answer.finish().await;
        let mut stream = stream_of(call).await;
        let items = stream.rest().await;
        assert_eq!(header(&stream.headers, "tokenway-provider"), "good", "{dialect:?}");
        assert_eq!(text(AppDialect::Anthropic, &items), "Hello", "{dialect:?}: {items:?}");
        pings.await.expect("the one that stalled was let go");
        gateway.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_app_waits_in_silence_for_the_first_token() {
    let set = |config: &mut tokenway::config::Config| {
        config.channels.keep_alive = Duration::from_millis(50);
    };
    let (gateway, upstream) = all_with("", set).await;
    for app in APPS {
        let call = sent(ask(&gateway, app, "openai", true));
        let mut answer = upstream.call().await;
        // Nothing was answered yet, not even a status.
        let mut stream = stream_of(call).await;
        for _ in 0..3 {
            let sign = stream.item().await.expect("a sign of life");
            let is_ping = app == AppDialect::Anthropic && sign.event == "ping";
            assert!(sign.is_comment() || is_ping, "{app:?}: {sign:?}");
        }
        answer.begin().await;
        answer.text_delta("Hello").await;
        answer.finish().await;
        let items = stream.rest().await;
        assert_eq!(text(app, &items), "Hello", "{app:?}");
        assert!(is_success(app, &items), "{app:?}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_stream_outlives_every_timeout_but_the_total() {
    let timeouts = "timeouts: { connect: 300ms, first_token: 300ms, idle: 300ms }";
    let (gateway, upstream) = all_with(timeouts, |_| {}).await;
    let calls = Dialect::ALL.map(|it| sent(ask(&gateway, AppDialect::OpenAi, it.as_str(), true)));
    let mut answers = Vec::new();
    for _ in Dialect::ALL {
        let mut answer = upstream.call().await;
        // Who is called is in the path; the body of all is the same.
        let line = answer.line().to_owned();
        let dialect = Dialect::ALL.into_iter().find(|it| line.contains(path(*it))).expect("known");
        Voice(dialect).begin(&mut answer).await;
        answer.say(Voice(dialect).open("0")).await;
        answers.push((answer, Voice(dialect)));
    }
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        for (answer, voice) in &mut answers {
            answer.say(voice.more("1")).await;
        }
    }
    for (mut answer, voice) in answers {
        answer.say(voice.end()).await;
        answer.try_end().await;
    }
    for call in calls {
        let items = stream_of(call).await.rest().await;
        assert_eq!(text(AppDialect::OpenAi, &items), "01111111111", "{items:?}");
    }
    gateway.stop().await;
}

fn path(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAi => "/v1/chat/completions",
        Dialect::Responses => "/v1/responses",
        Dialect::Anthropic => "/v1/messages",
        Dialect::Gemini => ":streamGenerateContent",
        Dialect::Ollama => "/api/",
        Dialect::Bedrock => "/converse",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_ends_live_streams_with_an_error_in_the_apps_form() {
    let (gateway, upstream) = all().await;
    let mut live = Vec::new();
    for app in APPS {
        let call = sent(ask(&gateway, app, "openai", true));
        let mut answer = upstream.call().await;
        answer.begin().await;
        answer.text_delta("Hi").await;
        let mut stream = stream_of(call).await;
        let begun = stream.until(|item| item.data.contains("\"Hi\"")).await;
        live.push((app, stream, begun, answer));
    }
    let stopped = gateway.begin_stop();
    for (app, mut stream, mut items, answer) in live {
        items.extend(stream.rest().await);
        assert!(error(app, &items).is_some(), "{app:?}: {items:?}");
        assert!(!is_success(app, &items), "{app:?}: {items:?}");
        assert_eq!(text(app, &items), "Hi");
        answer.closed().await;
    }
    stopped.await;
}
