//! How bytes become payloads in every dialect: at once, whole whatever TCP cuts, and never without bound.

use serde_json::json;
use tokenway::dialect::{AppDialect, Dialect};

use super::{
    kit::{APPS, Voice, all, ask, error, is_success, text},
    voice::line,
};
use crate::gateway::{header, sent, stream_of};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_says_is_told_before_it_says_more() {
    let (gateway, upstream) = all().await;
    for provider in Dialect::ALL {
        for app in APPS {
            let call = sent(ask(&gateway, app, provider.as_str(), true));
            let (mut answer, voice) = (upstream.call().await, Voice(provider));
            voice.begin(&mut answer).await;
            answer.say(voice.open("one")).await;
            let mut stream = stream_of(call).await;
            // The provider waits: what has not come by now was held back.
            let holds = |word: &'static str| move |item: &crate::sse::Item| item.data.contains(word);
            stream.until(holds("one")).await;
            answer.say(voice.more("two")).await;
            stream.until(holds("two")).await;
            answer.say(voice.end()).await;
            answer.try_end().await;
            assert!(is_success(app, &stream.rest().await), "{provider:?} to {app:?}");
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn characters_that_tcp_cuts_stay_whole_in_every_dialect() {
    const SAID: &str = "né 東京 👩‍👩‍👧 𝄞 \"\\";
    let (gateway, upstream) = all().await;
    for provider in Dialect::ALL {
        for app in APPS {
            let call = sent(ask(&gateway, app, provider.as_str(), true));
            let (mut answer, voice) = (upstream.call().await, Voice(provider));
            voice.begin(&mut answer).await;
            // Byte by byte: every character is cut everywhere.
            for byte in [voice.open(SAID), voice.end()].concat() {
                if answer.try_say([byte]).await.is_err() {
                    break;
                }
            }
            answer.try_end().await;
            let mut stream = stream_of(call).await;
            let items = stream.rest().await;
            assert_eq!(text(app, &items), SAID, "{provider:?} to {app:?}");
            assert!(is_success(app, &items), "{provider:?} to {app:?}");
            let ended = gateway.ended(header(&stream.headers, "tokenway-channel")).await;
            assert_eq!(ended["text"], SAID, "{provider:?} to {app:?}");
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_without_end_is_given_up_in_every_framing() {
    // A payload may be of 32 MiB; what comes beyond is not taken in.
    const MOST: usize = 48 << 20;
    let (gateway, upstream) = all().await;
    for (provider, begins) in [
        (Dialect::OpenAi, b"data: ".to_vec()),
        (Dialect::Ollama, b"{\"message\":{\"content\":\"".to_vec()),
        // A frame that says it has 1 GiB.
        (Dialect::Bedrock, [&(1_u32 << 30).to_be_bytes()[..], &[0; 8]].concat()),
    ] {
        let call = sent(ask(&gateway, AppDialect::OpenAi, provider.as_str(), true));
        let (mut answer, voice) = (upstream.call().await, Voice(provider));
        voice.begin(&mut answer).await;
        answer.say(voice.open("Hel")).await;
        answer.say(begins).await;
        let more = vec![b'x'; 1 << 20];
        let mut written = 0;
        while written <= MOST && answer.try_say(&more).await.is_ok() {
            written += more.len();
        }
        assert!(written <= MOST, "{provider:?}: it is read without end");
        let items = stream_of(call).await.rest().await;
        assert!(error(AppDialect::OpenAi, &items).is_some(), "{provider:?}: {items:?}");
        assert!(!is_success(AppDialect::OpenAi, &items), "{provider:?}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ollamas_last_line_counts_without_its_newline() {
    let (gateway, upstream) = all().await;
    for app in APPS {
        let call = sent(ask(&gateway, app, "ollama", true));
        let (mut answer, voice) = (upstream.call().await, Voice(Dialect::Ollama));
        voice.begin(&mut answer).await;
        answer.say(voice.open("Hello")).await;
        let end = voice.end();
        answer.say(end.trim_ascii_end()).await;
        answer.try_end().await;
        let items = stream_of(call).await.rest().await;
        assert_eq!(text(app, &items), "Hello");
        assert!(is_success(app, &items), "{app:?}: {items:?}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ollama_that_only_thinks_for_a_while_is_heard_thinking() {
    let (gateway, upstream) = all().await;
    let call = sent(ask(&gateway, AppDialect::OpenAi, "ollama", true));
    let (mut answer, voice) = (upstream.call().await, Voice(Dialect::Ollama));
    voice.begin(&mut answer).await;
    let thinks = json!({ "message": { "role": "assistant", "content": "", "thinking": "Hm." }, "done": false });
    answer.say(line(&thinks)).await;
    let mut stream = stream_of(call).await;
    let told = stream.until(|item| item.data.contains("Hm.")).await;
    let delta = &told[told.len() - 1].json()["choices"][0]["delta"];
    assert_eq!(delta["reasoning_content"], "Hm.", "{delta}");
    answer.say([voice.more("Hello"), voice.end()].concat()).await;
    answer.try_end().await;
    assert_eq!(text(AppDialect::OpenAi, &stream.rest().await), "Hello");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn line_ends_ids_and_retry_lines_of_a_provider_say_nothing_to_the_app() {
    let (gateway, upstream) = all().await;
    for provider in [Dialect::OpenAi, Dialect::Responses, Dialect::Anthropic, Dialect::Gemini] {
        for app in APPS {
            let call = sent(ask(&gateway, app, provider.as_str(), true));
            let (mut answer, voice) = (upstream.call().await, Voice(provider));
            voice.begin(&mut answer).await;
            let plain = [voice.open("Hel"), voice.more("lo"), voice.end()].concat();
            let plain = String::from_utf8(plain).expect("text");
            let odd = plain.replace("data: ", "id: 7\nretry: 1\ndata:").replace('\n', "\r\n");
            for part in odd.as_bytes().chunks(7) {
                if answer.try_say(part).await.is_err() {
                    break;
                }
            }
            answer.try_end().await;
            let items = stream_of(call).await.rest().await;
            assert_eq!(text(app, &items), "Hello", "{provider:?} to {app:?}");
            assert!(is_success(app, &items), "{provider:?} to {app:?}");
            assert!(items.iter().all(|item| item.id.as_deref() != Some("7")), "{items:?}");
        }
    }
    gateway.stop().await;
}
