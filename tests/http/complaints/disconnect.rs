//! An app that leaves: its provider is let go at once where the operator wants that, whatever the app speaks, and what was
//! used is counted either way.

use serde_json::json;
use tokenway::{config::OnDisconnect, dialect::Dialect};

use super::kit::{APPS, Voice, all_with, ask};
use crate::{
    gateway::{Tokenway, sent, stream_of},
    upstream::Upstream,
};

/// Longer than what a provider counts at its very beginning.
const SAID: &str = "Once upon a time there was a gateway that lost nothing.";

const PROVIDERS: [Dialect; 4] =
    [Dialect::OpenAi, Dialect::Responses, Dialect::Anthropic, Dialect::Gemini];

async fn under(policy: OnDisconnect) -> (Tokenway, Upstream) {
    let set = |config: &mut tokenway::config::Config| {
        config.models.iter_mut().for_each(|model| model.on_disconnect = policy);
    };
    all_with("", set).await
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_before_the_first_token_stops_the_provider_streaming_or_not() {
    let (gateway, upstream) = under(OnDisconnect::Cancel).await;
    for app in APPS {
        for provider in PROVIDERS {
            for (stream, begins) in [(true, false), (true, true), (false, false)] {
                let name = format!("{}-{}-{stream}-{begins}", app.as_str(), provider.as_str());
                let request = ask(&gateway, app, provider.as_str(), stream);
                let call = sent(request.header("tokenway-channel", &name));
                let mut answer = upstream.call().await;
                if begins {
                    Voice(provider).begin(&mut answer).await;
                }
                // Where it was answered already, its connection is the answer's, and goes with it.
                call.abort();
                drop(call);
                answer.closed().await;
                let generation = gateway.ended(&name).await;
                assert_eq!(generation["error"]["code"], "cancelled", "{name}");
                // The provider has read the prompt, and charges for it.
                let usage = &generation["usage"];
                assert_eq!((&usage["estimated"], &usage["output"]), (&json!(true), &json!(0)));
                assert!(
                    usage["input"].as_u64().is_some_and(|tokens| tokens > 0),
                    "{name}: {usage}"
                );
            }
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_in_the_middle_stops_the_provider_and_what_was_used_is_estimated() {
    let (gateway, upstream) = under(OnDisconnect::Cancel).await;
    for app in APPS {
        for provider in Dialect::ALL {
            let name = format!("{}-{}", app.as_str(), provider.as_str());
            let request = ask(&gateway, app, provider.as_str(), true);
            let call = sent(request.header("tokenway-channel", &name));
            let mut answer = upstream.call().await;
            Voice(provider).begin(&mut answer).await;
            answer.say(Voice(provider).open(SAID)).await;
            gateway.state_when(&name, |it| it["generations"][0]["text"] == SAID).await;
            let app = stream_of(call).await;
            drop(app);
            answer.closed().await;
            let generation = gateway.ended(&name).await;
            assert_eq!(generation["error"]["code"], "cancelled", "{name}");
            let usage = &generation["usage"];
            assert_eq!(usage["estimated"], true, "{name}: {usage}");
            assert_eq!(usage["output"], SAID.len().div_ceil(4), "{name}: {usage}");
            assert!(usage["input"].as_u64().is_some_and(|tokens| tokens > 0), "{name}: {usage}");
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_drain_what_the_provider_counts_after_the_app_has_left_is_the_usage() {
    let (gateway, upstream) = under(OnDisconnect::Drain).await;
    for app in APPS {
        for provider in Dialect::ALL {
            let name = format!("{}-{}", app.as_str(), provider.as_str());
            let request = ask(&gateway, app, provider.as_str(), true);
            let call = sent(request.header("tokenway-channel", &name));
            let mut answer = upstream.call().await;
            Voice(provider).begin(&mut answer).await;
            answer.say(Voice(provider).open("Hel")).await;
            drop(stream_of(call).await);
            answer.say([Voice(provider).more("lo"), Voice(provider).end()].concat()).await;
            answer.try_end().await;
            let generation = gateway.ended(&name).await;
            assert_eq!(
                (&generation["state"], &generation["text"]),
                (&json!("finished"), &json!("Hello"))
            );
            let usage = &generation["usage"];
            assert_eq!((&usage["input"], &usage["output"]), (&json!(9), &json!(4)), "{name}");
            assert_ne!(usage["estimated"], true, "{name}: {usage}");
        }
    }
    gateway.stop().await;
}
