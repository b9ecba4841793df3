//! An image of some MB comes as one line, and may come again: it reaches every app that can be shown one, whole and once.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use rand::{RngCore, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokenway::{
    dialect::{AppDialect, Dialect},
    event::Kind,
};

use super::{
    kit::{Voice, all, ask},
    voice::sse,
};
use crate::{
    common,
    gateway::{header, sent},
    soon,
};

/// As large as an image of a few megapixels.
const BYTES: usize = 2 << 20;

/// The payloads in which a provider shows an image, previews and repetitions included.
fn shows(provider: Dialect, image: &str) -> Vec<Value> {
    match provider {
        Dialect::OpenAi => {
            let url = json!({ "url": format!("data:image/png;base64,{image}") });
            let images = json!([{ "type": "image_url", "image_url": url, "index": 0 }]);
            vec![
                json!({ "id": "c", "choices": [{ "index": 0, "delta": { "role": "assistant", "content": "", "images": images } }] }),
                json!({ "id": "c", "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] }),
            ]
        }
        Dialect::Responses => {
            let item = |result: Value| json!({ "id": "ig_1", "type": "image_generation_call", "status": "completed", "result": result });
            let event = |kind: &str, members: Value| {
                let mut event = members;
                event["type"] = format!("response.{kind}").into();
                event
            };
            let preview = |number: usize| {
                event(
                    "image_generation_call.partial_image",
                    json!({ "output_index": 0, "item_id": "ig_1", "partial_image_index": number, "partial_image_b64": image }),
                )
            };
            let response = |status: &str, output: Value| json!({ "response": { "id": "resp_1", "status": status, "output": output } });
            let mut events = vec![
                event("created", response("in_progress", json!([]))),
                event("output_item.added", json!({ "output_index": 0, "item": item(Value::Null) })),
                preview(0),
                preview(1),
                event("output_item.done", json!({ "output_index": 0, "item": item(json!(image)) })),
                event("completed", response("completed", json!([item(json!(image))]))),
            ];
            for (number, event) in events.iter_mut().enumerate() {
                event["sequence_number"] = number.into();
            }
            events
        }
        _ => {
            let part = json!({ "inlineData": { "mimeType": "image/png", "data": image } });
            vec![
                json!({ "candidates": [{ "index": 0, "content": { "role": "model", "parts": [part] }, "finishReason": "STOP" }] }),
            ]
        }
    }
}

/// The images in what an app was told.
fn seen(app: AppDialect, body: Bytes) -> Vec<Vec<u8>> {
    let mut images: Vec<Vec<u8>> = Vec::new();
    for event in common::decode(app.into(), "text/event-stream", [body]) {
        if let Kind::Media(media) = event.kind {
            images.resize_with(images.len().max(media.index as usize + 1), Vec::new);
            images[media.index as usize].extend_from_slice(&media.data);
        }
    }
    images
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_some_megabytes_reaches_every_app_whole_and_once() {
    let (gateway, upstream) = all().await;
    let mut image = vec![0; BYTES];
    StdRng::seed_from_u64(7).fill_bytes(&mut image);
    image[..8].copy_from_slice(b"\x89PNG\r\n\x1a\n");
    let base64 = BASE64_STANDARD.encode(&image);
    for provider in [Dialect::OpenAi, Dialect::Responses, Dialect::Gemini] {
        for app in [AppDialect::OpenAi, AppDialect::Responses, AppDialect::Gemini] {
            let case = format!("{provider:?} to {app:?}");
            let payloads = shows(provider, &base64);
            let call = sent(ask(&gateway, app, provider.as_str(), true));
            let mut answer = upstream.call().await;
            Voice(provider).begin(&mut answer).await;
            let provides = tokio::spawn(async move {
                for payload in &payloads {
                    let name = payload["type"].as_str().unwrap_or_default();
                    answer.say(sse(name, &payload.to_string())).await;
                }
                if provider == Dialect::OpenAi {
                    answer.say(sse("", "[DONE]")).await;
                }
                answer.try_end().await;
            });
            let response = call.await.expect("a response");
            let channel = header(response.headers(), "tokenway-channel").to_owned();
            let body = soon("the stream ends", response.bytes()).await.expect("a body");
            provides.await.expect("no panic");
            assert!(seen(app, body) == [image.clone()], "{case}: it is another image");
            let ended = gateway.ended(&channel).await;
            assert_eq!(ended["state"], "finished", "{case}");
            assert_eq!(ended["media"].as_array().map(Vec::len), Some(1), "{case}");
        }
    }
    gateway.stop().await;
}
