//! Recorded provider streams, replayed as a provider over HTTP, their bytes cut at random places.

use bytes::Bytes;
use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Value, json, value::RawValue};
use tokenway::{
    dialect::{Dialect, Flow},
    provider::sse::Item as Framed,
};

use crate::{
    common::{self, Recording, state},
    gateway::{self, Tokenway, asked, header, sent, stream_of},
    sse::{Item, Sse},
    upstream::Upstream,
};

#[tokio::test(flavor = "multi_thread")]
async fn recorded_streams_reach_the_app_as_they_are_and_the_channel_as_the_sdks_read_them() {
    let Some(recordings) = common::recordings() else { return };
    let mut random = StdRng::seed_from_u64(common::seed());
    let (gateway, upstream) = gateway::with_upstream().await;
    let mut misses = Vec::new();
    let recordings = recordings.iter().filter(|it| it.dialect == Dialect::OpenAi);
    let (mut streams, mut errors) = (0, 0);
    for recording in recordings {
        let found = match recording.is_stream {
            true => stream(&gateway, &upstream, recording, &mut random).await,
            false => refusal(&gateway, &upstream, recording).await,
        };
        *(if recording.is_stream { &mut streams } else { &mut errors }) += 1;
        misses.extend(found.into_iter().map(|miss| format!("{recording}: {miss}")));
    }
    println!("{streams} streams, {errors} errors");
    assert!(misses.is_empty(), "{} misses:\n{}", misses.len(), misses.join("\n"));
    gateway.stop().await;
}

async fn stream(
    gateway: &Tokenway,
    upstream: &Upstream,
    recording: &Recording,
    random: &mut StdRng,
) -> Vec<String> {
    let mut found = Vec::new();
    for wants_usage in [true, false] {
        let mut ask = asked(true);
        if wants_usage {
            ask["stream_options"] = json!({ "include_usage": true });
        }
        let call = sent(gateway.chat(ask));
        let mut provider = upstream.call().await;
        provider.begin().await;
        let places = common::places(&recording.body, 40, random);
        for part in common::cut(&recording.body, places) {
            // The gateway may have seen the end, and gone, before the last bytes.
            if !part.is_empty() && provider.try_say(part).await.is_err() {
                break;
            }
        }
        provider.try_end().await;
        let mut app = stream_of(call).await;
        let items = app.rest().await;
        let ended = gateway.ended(header(&app.headers, "tokenway-channel")).await;
        let expected = payloads(&recording.body, wants_usage, &ended);
        let got: Vec<_> =
            items.iter().map(|item| (item.event.clone(), item.data.clone())).collect();
        if got != expected {
            let differs = got.iter().zip(&expected).position(|(ours, theirs)| ours != theirs);
            let at = differs.unwrap_or(got.len().min(expected.len()));
            found.push(format!(
                "the app's payloads (usage {wants_usage}) differ at {at}: {:?}, expected {:?}",
                got.get(at),
                expected.get(at)
            ));
        }
        found.extend(common::differences(recording, &state(&ended), false));
        found.extend(out_of_order(&items));
    }
    found
}

async fn refusal(gateway: &Tokenway, upstream: &Upstream, recording: &Recording) -> Vec<String> {
    let call = sent(gateway.streamed());
    let text = String::from_utf8(recording.body.to_vec()).expect("errors are text");
    let status = format!("{} Theirs", recording.status());
    upstream.call().await.answer(&status, "content-type: application/json\r\n", &text).await;
    let response = call.await.expect("a response");
    assert_eq!(response.status(), recording.status());
    let ended = gateway.ended(header(response.headers(), "tokenway-channel")).await;
    assert_eq!(response.bytes().await.expect("a body"), recording.body, "{recording}");
    let mut told = state(&ended);
    if [401, 403].contains(&recording.status()) {
        // What is said of credentials is not repeated to viewers.
        let theirs = Dialect::OpenAi.failure(recording.status(), &recording.body).message;
        match &mut told.end {
            Some(Err(failed)) if failed.message != theirs => failed.message = theirs,
            end => return vec![format!("viewers are told of credentials: {end:?}")],
        }
    }
    common::differences(recording, &told, false)
}

fn out_of_order(items: &[Item]) -> Option<String> {
    let ordered = items.windows(2).all(|pair| pair[0].seq() <= pair[1].seq());
    (!ordered).then(|| "cursors go back".to_owned())
}

/// The payloads of a body, read as the standard has it, up to the end: `[DONE]`, or the error that ended it.
fn payloads(body: &Bytes, with_usage: bool, state: &Value) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(body).replace("\r\n", "\n").replace('\r', "\n");
    let mut payloads = Vec::new();
    let blocks: Vec<&str> = text.split("\n\n").collect();
    for (number, block) in blocks.iter().enumerate() {
        let mut event = String::new();
        let mut data: Option<String> = None;
        for line in block.trim_matches('\n').split('\n') {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "event" => value.clone_into(&mut event),
                "data" => {
                    data = Some(data.map_or(value.to_owned(), |before| before + "\n" + value))
                }
                "error" => (event, data) = ("error".to_owned(), Some(value.to_owned())),
                _ => {}
            }
        }
        let Some(data) = data else { continue };
        let json: Value = serde_json::from_str(&data).unwrap_or_default();
        let unfinished = number + 1 == blocks.len();
        if unfinished && json.is_null() && data != "[DONE]" {
            continue;
        }
        let no_choice = json["choices"].as_array().is_none_or(Vec::is_empty);
        if with_usage || json["usage"].is_null() || !no_choice || !json["error"].is_null() {
            payloads.push((event, data.clone()));
        }
        let broken = !json["error"].is_null() || json["object"] == "error";
        if data == "[DONE]" || (broken && state["state"] == "failed") {
            break;
        }
    }
    payloads
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_of_the_providers_own_dialect_gets_what_it_said_payload_for_payload() {
    let Some(recordings) = common::recordings() else { return };
    let mut random = StdRng::seed_from_u64(common::seed());
    let (mut misses, mut counts) = (Vec::new(), Vec::new());
    for dialect in [Dialect::Anthropic, Dialect::Responses, Dialect::Gemini] {
        let (upstream, name) = (Upstream::bind().await, dialect.as_str());
        let yaml = format!(
            "providers:\n  up: {{ dialect: {name}, base_url: \"http://{}\", api_key: {} }}\n\
             models:\n  m: {{ targets: [ {{ provider: up, model: up-model }} ] }}\n",
            upstream.addr(),
            gateway::KEY
        );
        let gateway = Tokenway::of(&yaml, |_| {}).await;
        let recordings = recordings.iter().filter(|it| it.dialect == dialect && it.is_stream);
        let mut streams = 0;
        for recording in recordings.filter(|it| !it.expected.is_null()) {
            let miss = alike(&gateway, &upstream, recording, &mut random).await;
            misses.extend(miss.map(|miss| format!("{recording}: {miss}")));
            streams += 1;
        }
        counts.push((name, streams));
        gateway.stop().await;
    }
    println!("{counts:?}");
    assert!(counts.iter().all(|(_, streams)| *streams > 0), "{counts:?}");
    assert!(misses.is_empty(), "{} misses:\n{}", misses.len(), misses.join("\n"));
}

/// A dialect's call for a stream, in the framing of a recording.
fn ask(gateway: &Tokenway, recording: &Recording) -> reqwest::RequestBuilder {
    let said = json!([{ "role": "user", "content": "Hi" }]);
    match recording.dialect {
        Dialect::Responses => {
            gateway.post("/v1/responses", json!({ "model": "m", "stream": true, "input": said }))
        }
        Dialect::Anthropic => {
            let body = json!({ "model": "m", "stream": true, "max_tokens": 9, "messages": said });
            gateway.post("/v1/messages", body)
        }
        _ => {
            let framed = recording.content_type().starts_with("text/event-stream");
            let alt = if framed { "?alt=sse" } else { "" };
            let path = format!("/v1beta/models/m:streamGenerateContent{alt}");
            let said = json!([{ "role": "user", "parts": [{ "text": "Hi" }] }]);
            gateway.post(&path, json!({ "contents": said }))
        }
    }
}

/// A body's payloads, named, up to the one that ends it.
fn said(recording: &Recording) -> Vec<(String, String)> {
    let mut framing = recording.dialect.framing(recording.content_type()).expect("a stream");
    let mut decoder = recording.dialect.decoder(common::GENERATION);
    framing.push(recording.body.clone());
    let mut found = Vec::new();
    while let Ok(Some(item)) = framing.next() {
        if let Framed::Payload(payload) = item {
            found.push(payload);
        }
    }
    found.extend(framing.finish());
    let mut payloads = Vec::new();
    for payload in found {
        let data = String::from_utf8(payload.data.to_vec()).expect("text");
        payloads.push((payload.name().to_owned(), data));
        if decoder.decode(&payload, &mut Vec::new()).flow == Flow::Ended {
            break;
        }
    }
    payloads
}

/// Where what the app got is not what the provider said.
async fn alike(
    gateway: &Tokenway,
    upstream: &Upstream,
    recording: &Recording,
    random: &mut StdRng,
) -> Option<String> {
    let call = sent(ask(gateway, recording));
    let mut provider = upstream.call().await;
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {}\r\ntransfer-encoding: chunked\r\n\
         connection: close\r\n\r\n",
        recording.content_type()
    );
    provider.write(head).await;
    for part in common::cut(&recording.body, common::places(&recording.body, 40, random)) {
        // The gateway may have seen the end, and gone, before the last bytes.
        if !part.is_empty() && provider.try_say(part).await.is_err() {
            break;
        }
    }
    provider.try_end().await;
    let response = call.await.expect("a response");
    let channel = header(response.headers(), "tokenway-channel").to_owned();
    let mut expected = said(recording);
    let ended = gateway.ended(&channel).await;
    // A stream whose first payload is an error may be refused by a status.
    if response.status() != 200 {
        let refused = ended["state"] == "failed" && expected.len() <= 1;
        return (!refused).then(|| format!("status {}", response.status()));
    }
    let mut got: Vec<(String, String)>;
    if header(response.headers(), "content-type").starts_with("text/event-stream") {
        let items = Sse::of(response).rest().await;
        got = items.into_iter().map(|item| (item.event, item.data)).collect();
    } else {
        // In an array, spaces between its elements are nobody's.
        let told = response.text().await.expect("a body");
        let told: Vec<Box<RawValue>> = serde_json::from_str(&told).expect("an array");
        got = told.iter().map(|it| (String::new(), it.get().to_owned())).collect();
        expected.iter_mut().for_each(|(_, data)| *data = data.trim().to_owned());
    }
    // That it broke off is ours to say.
    if ended["state"] == "failed" && got.len() == expected.len() + 1 {
        got.pop();
    }
    let differs = got.iter().zip(&expected).position(|(ours, theirs)| ours != theirs);
    let at = differs.or((got.len() != expected.len()).then(|| got.len().min(expected.len())))?;
    Some(format!("differs at {at}: {:?}, expected {:?}", got.get(at), expected.get(at)))
}
