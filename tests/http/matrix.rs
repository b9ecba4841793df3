//! Recorded streams of every dialect through every front door: whatever the app speaks, it reads what the provider said,
//! and the channel tells viewers the same.

use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokenway::dialect::{AppDialect, Dialect};

use crate::{
    common::{self, Folded, Recording, state},
    gateway::{KEY, Tokenway, header, sent},
    upstream::{Call, Upstream},
};

pub(crate) const APPS: [AppDialect; 4] =
    [AppDialect::OpenAi, AppDialect::Responses, AppDialect::Anthropic, AppDialect::Gemini];

/// A model and a provider for each dialect, named as it is.
fn config(upstream: &Upstream) -> String {
    let (mut providers, mut models) = ("providers:\n".to_owned(), "models:\n".to_owned());
    for dialect in Dialect::ALL {
        let name = dialect.as_str();
        let path = match dialect {
            Dialect::OpenAi | Dialect::Responses => "/v1",
            _ => "",
        };
        let url = format!("http://{}{path}", upstream.addr());
        providers +=
            &format!("  {name}: {{ dialect: {name}, base_url: \"{url}\", api_key: {KEY} }}\n");
        models +=
            &format!("  {name}: {{ targets: [ {{ provider: {name}, model: up-model }} ] }}\n");
    }
    providers + &models
}

/// A call for a stream, from an app of this dialect to the model that is named as the provider's dialect is.
pub(crate) fn ask(gateway: &Tokenway, app: AppDialect, model: &str) -> reqwest::RequestBuilder {
    let messages = json!([{ "role": "user", "content": "Hi" }]);
    match app {
        AppDialect::OpenAi => gateway.chat(json!({
            "model": model, "stream": true, "messages": messages,
            "stream_options": { "include_usage": true },
        })),
        AppDialect::Responses => {
            let body = json!({ "model": model, "stream": true, "input": "Hi" });
            gateway.post("/v1/responses", body)
        }
        AppDialect::Anthropic => {
            let body =
                json!({ "model": model, "stream": true, "max_tokens": 99, "messages": messages });
            gateway.post("/v1/messages", body)
        }
        AppDialect::Gemini => {
            let path = format!("/v1beta/models/{model}:streamGenerateContent?alt=sse");
            gateway.post(
                &path,
                json!({ "contents": [{ "role": "user", "parts": [{ "text": "Hi" }] }] }),
            )
        }
    }
}

async fn play(mut provider: Call, recording: &Recording, random: &mut StdRng) {
    let content_type = recording.content_type();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\
         connection: close\r\n\r\n"
    );
    provider.write(head).await;
    for part in common::cut(&recording.body, common::places(&recording.body, 30, random)) {
        // The gateway may have seen the end, and gone, before the last bytes.
        if !part.is_empty() && provider.try_say(part).await.is_err() {
            break;
        }
    }
    provider.try_end().await;
}

async fn check(
    gateway: &Tokenway,
    upstream: &Upstream,
    recording: &Recording,
    app: AppDialect,
    random: &mut StdRng,
) -> Vec<String> {
    let call = sent(ask(gateway, app, recording.dialect.as_str()));
    play(upstream.call().await, recording, random).await;
    let response = call.await.expect("a response");
    let channel = header(response.headers(), "tokenway-channel").to_owned();
    // Ids that the provider left out are made from the generation's.
    let generation = header(response.headers(), "tokenway-generation").to_owned();
    let status = response.status().as_u16();
    let body = crate::soon("the stream ends", response.bytes()).await.expect("a body");
    let ended = gateway.ended(&channel).await;
    let mut found = common::differences(recording, &state(&ended), false);
    if status != 200 {
        // An error that came first is an HTTP error, with the provider's words.
        let message = ended["error"]["message"].as_str().unwrap_or_default();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        if body["error"]["message"] != message {
            found.push(format!("status {status}: {body}"));
        }
        return found;
    }
    let whole = [recording.body.clone()];
    let said = common::fold(&common::decode_as(
        &generation,
        recording.dialect,
        recording.content_type(),
        whole,
    ));
    let told: Folded =
        common::fold(&common::decode_as(&generation, app.into(), "text/event-stream", [body]));
    for (member, difference) in common::seam(&said, &told) {
        if common::allowed(recording.dialect, app, member).is_none() {
            found.push(difference);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_streams_reach_apps_of_every_dialect_and_the_channel_says_the_same() {
    let Some(recordings) = common::recordings() else { return };
    let mut random = StdRng::seed_from_u64(common::seed());
    let upstream = Upstream::bind().await;
    let gateway = Tokenway::of(&config(&upstream), |_| {}).await;
    let mut misses = Vec::new();
    let mut table = vec![[(0, 0); APPS.len()]; Dialect::ALL.len()];
    for recording in recordings.iter().filter(|it| it.is_stream && !it.expected.is_null()) {
        let row = Dialect::ALL.iter().position(|it| *it == recording.dialect).expect("a dialect");
        for (column, app) in APPS.into_iter().enumerate() {
            let found = check(&gateway, &upstream, recording, app, &mut random).await;
            table[row][column].0 += usize::from(found.is_empty());
            table[row][column].1 += 1;
            let app = app.as_str();
            misses.extend(found.into_iter().map(|miss| format!("{recording} → {app}: {miss}")));
        }
    }
    for (dialect, row) in Dialect::ALL.iter().zip(table) {
        println!("{:<12} {row:?}", dialect.as_str());
    }
    assert!(misses.is_empty(), "{} misses:\n{}", misses.len(), misses.join("\n"));
    gateway.stop().await;
}
