//! Recorded provider streams through a dialect's framing and decoder, against what the provider's own SDK made of them.
//!
//! The recordings are not part of the repository: `TOKENWAY_TRANSCRIPTS` names their directory.
#![allow(clippy::disallowed_methods, reason = "a test reads its own settings")]

use std::{
    env, fs,
    io::{Write, stderr},
    path::Path,
};

use bytes::Bytes;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::{Dialect, Ending, Flow};
use crate::{
    event::{Event, Kind, RunBy},
    provider::framing::{Framing, Item},
};

/// Up to this size a stream is cut at every single place.
const EVERY_PLACE_BYTES_MAX: usize = 4096;
const RANDOM_CUTS: usize = 50;

/// Replays every recording under `directory`, cut and uncut. None where nobody tells where they are.
pub(super) fn check(dialect: Dialect, directory: &str, extension: &str, content_type: &str) {
    let Ok(root) = env::var("TOKENWAY_TRANSCRIPTS") else {
        let said = "LEFT OUT: recorded streams (TOKENWAY_TRANSCRIPTS names no directory)";
        assert_ne!(env::var("TOKENWAY_NOTHING_SKIPPED").as_deref(), Ok("1"), "{said}");
        // Not by a macro: those are captured, and this is to be seen.
        writeln!(stderr(), "{said}").expect("stderr is open");
        return;
    };
    let mut seen = 0;
    for entry in fs::read_dir(Path::new(&root).join(directory)).expect("the recordings") {
        let path = entry.expect("an entry").path();
        let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
        if kind != extension && kind != "err" {
            continue;
        }
        seen += 1;
        let name = path.display().to_string();
        let body = Bytes::from(fs::read(&path).expect("a recording"));
        let read = |path: &Path| -> Value {
            serde_json::from_slice(&fs::read(path).expect("its facts")).expect("JSON")
        };
        let expected = read(&path.with_extension("expected.json"));
        if kind == "err" {
            let status = read(&path.with_extension("json"))["http"]["status"].as_u64();
            let status = u16::try_from(status.expect("a status")).expect("an HTTP status");
            let failed = dialect.failure(status, &body);
            assert_eq!(
                (failed.message.as_str(), failed.status),
                (error(&expected), status),
                "{name}"
            );
            continue;
        }
        let whole = decode(dialect, content_type, [body.clone()]);
        compare(&whole, &expected, &name);
        let framed = joined(&whole);
        let mut cuts: Vec<Vec<usize>> = Vec::new();
        if body.len() <= EVERY_PLACE_BYTES_MAX {
            cuts.extend((1..body.len()).map(|place| vec![place]));
        }
        let mut random = StdRng::seed_from_u64(body.len() as u64);
        for _ in 0..RANDOM_CUTS {
            let places = (0..9).map(|_| random.random_range(0..=body.len()));
            cuts.push(places.collect());
        }
        for mut places in cuts {
            places.extend([0, body.len()]);
            places.sort_unstable();
            let chunks = places.windows(2).map(|pair| body.slice(pair[0]..pair[1]));
            assert_eq!(
                joined(&decode(dialect, content_type, chunks)),
                framed,
                "{name} cut at {places:?}"
            );
        }
    }
    assert!(seen > 0, "no recordings under {directory}");
}

fn decode(
    dialect: Dialect,
    content_type: &str,
    chunks: impl IntoIterator<Item = Bytes>,
) -> Vec<Event> {
    let mut framing = Framing::of(content_type, false).expect("a stream");
    let (mut decoder, mut out) = (dialect.decoder("gen_AAAAAAAAAAAAAAAAAAAAAA"), Vec::new());
    for chunk in chunks {
        framing.push(chunk);
        while let Some(item) = framing.next().expect("well framed") {
            let Item::Payload(payload) = item else { continue };
            if decoder.decode(&payload, &mut out).flow == Flow::Ended {
                decoder.finish(Ending::Terminator, &mut out);
                return out;
            }
        }
    }
    if let Some(payload) = framing.finish() {
        decoder.decode(&payload, &mut out);
    }
    decoder.finish(Ending::Eof, &mut out);
    out
}

/// The events as text, to compare.
fn joined(events: &[Event]) -> String {
    format!("{events:?}")
}

fn error(expected: &Value) -> &str {
    let body = &expected["error"]["body"];
    let said = [body, &body["message"], &body["Message"], &body["error"]];
    said.into_iter().find_map(Value::as_str).unwrap_or_default()
}

fn compare(events: &[Event], expected: &Value, name: &str) {
    let (mut text, mut thought, mut calls) = (String::new(), String::new(), Vec::new());
    let (mut citations, mut signatures, mut redacted, mut images) = (0, 0, 0, 0);
    let (mut servers, mut usage) = (Vec::new(), None);
    for event in events {
        match &event.kind {
            Kind::Text(part) => text += part,
            Kind::Reasoning(part) => {
                thought += &part.text;
                signatures += usize::from(!part.signature.is_empty());
                redacted += usize::from(!part.encrypted.is_empty());
            }
            Kind::ToolCall(call) => calls.push((call.clone(), String::new())),
            Kind::ToolArguments(part) => calls[part.index as usize].1 += &part.arguments,
            Kind::Citation(_) => citations += 1,
            Kind::Media(media) => images += usize::from(media.last),
            Kind::Usage(counted) => usage = Some(counted.clone()),
            Kind::Native(native) => servers.push(native.name.clone()),
            _ => {}
        }
    }
    assert_eq!(text, expected["text"].as_str().unwrap_or_default(), "{name}");
    assert_eq!(thought, expected["reasoning"].as_str().unwrap_or_default(), "{name}");
    let counts = [
        ("citations", citations),
        ("images", images),
        ("signatures", signatures),
        ("redacted_blocks", redacted),
    ];
    for (what, count) in counts {
        assert_eq!(count as u64, expected[what].as_u64().unwrap_or(0), "{name}: {what}");
    }
    let is_client = |call: &&(crate::event::ToolCall, String)| call.0.run_by == RunBy::Client;
    let client: Vec<_> = calls.iter().filter(is_client).collect();
    let theirs = expected["tool_calls"].as_array().expect("a list");
    assert_eq!(client.len(), theirs.len(), "{name}: {client:?}");
    for ((call, arguments), theirs) in client.into_iter().zip(theirs) {
        // Ollama's SDK has no word for the id.
        let id = theirs["id"].as_str().unwrap_or(&call.id);
        let as_json = |text: &str| serde_json::from_str(text).unwrap_or(json!(text));
        let wanted = theirs["arguments"].as_str().expect("a string");
        assert_eq!((&*call.id, call.name.as_str()), (id, theirs["name"].as_str().expect("a name")));
        assert_eq!(as_json(arguments), as_json(wanted), "{name}");
    }
    for item in expected["server_items"].as_array().into_iter().flatten() {
        let item = item.as_str().expect("a name");
        let run = calls.iter().any(|(call, _)| call.name == item && call.run_by == RunBy::Server);
        assert!(run || !servers.is_empty(), "{name}: {item}");
    }
    match &events.last().expect("an end").kind {
        Kind::Finished(end) => {
            assert_eq!(json!(end.native_reason), expected["finish_reason"], "{name}");
            assert_eq!(end.reason.as_str(), expected["finish_reason_unified"], "{name}");
            assert_eq!(expected["error"], Value::Null, "{name}");
        }
        Kind::Failed(failed) => assert_eq!(failed.message, error(expected), "{name}"),
        other => panic!("{name}: {other:?} is no end"),
    }
    let theirs = &expected["usage"];
    assert_eq!(usage.is_some(), !theirs.is_null(), "{name}: usage");
    if let Some(usage) = usage {
        let count = |what: &str| theirs[what].as_u64().unwrap_or(0);
        // Theirs leaves the cache out of the input.
        let input = count("input") + count("cached_input") + count("cache_write");
        assert_eq!((usage.input, usage.output), (input, count("output")), "{name}");
        let cache = (usage.cached_input, usage.cache_write);
        assert_eq!(cache, (count("cached_input"), count("cache_write")), "{name}");
    }
}
