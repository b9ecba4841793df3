//! Recorded provider streams, replayed as a provider over HTTP, their bytes cut at random places.

use bytes::Bytes;
use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokenway::dialect::Dialect;

use crate::{
    common::{self, Recording, state},
    gateway::{self, Tokenway, asked, header, sent, stream_of},
    sse::Item,
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
