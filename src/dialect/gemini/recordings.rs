//! Recorded streams, replayed through both ways of the dialect. `TOKENWAY_TRANSCRIPTS` names their directory; whoever
//! runs the tests without it is told so by `tests/transcripts.rs`.

use std::{collections::BTreeMap, fs, path::Path};

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Decoder, Encoder, decode_whole, encode_whole, failure};
use crate::{
    dialect::{Asked, Dialect, Ending, Flow},
    event::{Event, Kind, RunBy, Started},
    provider::{framing::Framing, sse::Item},
};

/// Up to this size a stream is cut at every single place; else at some.
const EVERY_PLACE_BYTES_MAX: usize = 1000;

/// The events of a body whose bytes arrive in `chunks`.
fn decode(framing: &str, chunks: &[&[u8]]) -> Vec<Event> {
    let content_type = if framing == "sse" { "text/event-stream" } else { "application/json" };
    let mut framing = Dialect::Gemini.framing(content_type).expect("a stream");
    let mut decoder = Decoder::new("gen_AAAAAAAAAAAAAAAAAAAAAA");
    let mut out = Vec::new();
    for chunk in chunks {
        framing.push(Bytes::copy_from_slice(chunk));
        while let Some(item) = framing.next().expect("within the bound") {
            let Item::Payload(payload) = item else { continue };
            if decoder.decode(&payload, &mut out).flow == Flow::Ended {
                decoder.finish(Ending::Terminator, &mut out);
                return out;
            }
        }
    }
    assert!(!framing.is_open(), "the recordings are whole");
    if let Some(payload) = Framing::finish(framing) {
        decoder.decode(&payload, &mut out);
    }
    decoder.finish(Ending::Eof, &mut out);
    out
}

/// What events come to, in the recordings' own words.
fn fold(events: &[Event]) -> Value {
    let (mut text, mut reasoning) = (String::new(), String::new());
    let mut calls: BTreeMap<u32, (String, String, String)> = BTreeMap::new();
    let (mut citations, mut images) = (0, 0);
    let mut signatures: Vec<&str> = Vec::new();
    let (mut usage, mut end, mut native) = (Value::Null, Value::Null, Value::Null);
    for event in events {
        assert_eq!(end, Value::Null, "nothing after the end");
        match &event.kind {
            Kind::Text(it) => text += it,
            Kind::Reasoning(it) => {
                reasoning += &it.text;
                if !it.signature.is_empty() {
                    signatures.push(&it.signature);
                }
            }
            Kind::ToolCall(it) if it.run_by == RunBy::Client => {
                calls.insert(it.index, (it.id.clone(), it.name.clone(), String::new()));
            }
            Kind::ToolArguments(it) => {
                if let Some(call) = calls.get_mut(&it.index) {
                    call.2 += &it.arguments;
                }
            }
            Kind::Citation(_) => citations += 1,
            Kind::Media(it) => images += i32::from(it.last && it.mime.starts_with("image/")),
            Kind::Usage(it) => {
                usage = json!([it.input, it.output, it.cached_input, it.reasoning]);
            }
            Kind::Finished(it) => {
                end = it.reason.as_str().into();
                native = it.native_reason.clone().into();
            }
            Kind::Failed(it) => end = it.message.clone().into(),
            _ => {}
        }
    }
    let calls: Vec<_> = calls
        .into_values()
        .map(|(_, name, arguments)| {
            let arguments: Value = serde_json::from_str(&arguments).expect("JSON");
            json!({ "name": name, "arguments": arguments })
        })
        .collect();
    json!({
        "text": text, "reasoning": reasoning, "tool_calls": calls, "citations": citations, "images": images,
        "signatures": signatures, "usage": usage, "finish_reason_unified": end, "finish_reason": native,
    })
}

fn check(name: &str, folded: &Value, expected: &Value, usage: Option<&Value>) {
    for member in
        ["text", "reasoning", "citations", "images", "finish_reason", "finish_reason_unified"]
    {
        assert_eq!(folded[member], expected[member], "{name}: {member}");
    }
    let calls: Vec<_> = expected["tool_calls"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|call| {
            let arguments = call["arguments"].as_str().expect("a string");
            let arguments: Value = serde_json::from_str(arguments).expect("JSON");
            json!({ "name": call["name"], "arguments": arguments })
        })
        .collect();
    assert_eq!(folded["tool_calls"], Value::from(calls), "{name}: tool_calls");
    let count = |name: &str| expected["usage"][name].as_u64().unwrap_or(0);
    let apart = usage.map_or(0, |usage| usage["toolUsePromptTokenCount"].as_u64().unwrap_or(0));
    let counts = [
        count("input") + apart,
        count("output") + count("reasoning"),
        count("cached_input"),
        count("reasoning"),
    ];
    assert_eq!(folded["usage"], json!(counts), "{name}: usage");
    let signatures = folded["signatures"].as_array().map_or(0, Vec::len);
    let expected = expected["signatures"].as_u64();
    assert!(
        expected.is_none_or(|count| count == signatures as u64),
        "{name}: {signatures} signatures"
    );
}

fn started(dialect: &str) -> Event {
    let (id, model) = ("gen_x".to_owned(), "fast".to_owned());
    let dialect = dialect.to_owned();
    Event::new(Kind::Started(Started { id, model, dialect, ..Started::default() }))
}

/// What our own stream, and our own body, of these events come to again.
fn again(events: &[Event], dialect: &str) -> [Value; 2] {
    let asked = Asked::default();
    let mut encoder = Encoder::new(&asked);
    let mut wires = Vec::new();
    let all: Vec<_> = [started(dialect)].into_iter().chain(events.iter().cloned()).collect();
    all.iter().for_each(|event| encoder.encode(event, &mut wires));
    let stream: Vec<_> =
        wires.iter().map(|wire| [b"data: ", &wire.data[..], b"\r\n\r\n"].concat()).collect();
    let stream: Vec<&[u8]> = stream.iter().map(Vec::as_slice).collect();
    let body = encode_whole(&all, &asked).expect("it ended well");
    let mut whole = Vec::new();
    decode_whole("gen_AAAAAAAAAAAAAAAAAAAAAA", body, &mut whole);
    [fold(&decode("sse", &stream)), fold(&whole)]
}

#[test]
fn recorded_streams_come_to_what_the_sdk_makes_of_them_and_survive_our_own_encoding() {
    #[expect(clippy::disallowed_methods, reason = "a test reads its own settings")]
    let Ok(root) = std::env::var("TOKENWAY_TRANSCRIPTS") else { return };
    let mut replayed = 0;
    for entry in fs::read_dir(Path::new(&root).join("gemini")).expect("recordings") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let framing = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
        let expected = fs::read(path.with_extension("expected.json"));
        if !["sse", "jsonarr", "err"].contains(&framing) {
            continue;
        }
        let body = fs::read(&path).expect("a recording");
        let Ok(expected) = expected else {
            // Another API's stream: said to be one, and not taken for an answer.
            assert!(
                fold(&decode(framing, &[&body]))["finish_reason_unified"]
                    .as_str()
                    .is_some_and(|end| end.contains("Interactions"))
            );
            continue;
        };
        let expected: Value = serde_json::from_slice(&expected).expect("JSON");
        replayed += 1;
        if !expected["error"].is_null() {
            let status = expected["error"]["code"].as_u64().unwrap_or(0);
            let failed = failure(u16::try_from(status).expect("a status"), &body);
            let message = expected["error"]["message"].as_str().expect("a message");
            assert!(message.contains(&failed.message) && failed.message.len() > 9, "{name}");
            continue;
        }
        let events = decode(framing, &[&body]);
        let folded = fold(&events);
        let native = events.iter().find_map(|event| match &event.kind {
            Kind::Usage(usage) => serde_json::from_slice::<Value>(&usage.native).ok(),
            _ => None,
        });
        check(&name, &folded, &expected, native.as_ref());
        let step = body.len().div_ceil(EVERY_PLACE_BYTES_MAX);
        for cut in (0..body.len()).step_by(step) {
            assert_eq!(
                decode(framing, &[&body[..cut], &body[cut..]]),
                events,
                "{name} cut at {cut}"
            );
        }
        for again in again(&events, "gemini") {
            assert_eq!(again, folded, "{name} encoded and decoded");
        }
        for mut again in again(&events, "openai") {
            // Of another dialect, signatures are sealed and native words unknown.
            let mut folded = folded.clone();
            for value in [&mut again, &mut folded] {
                value["signatures"] = Value::Null;
                value["finish_reason"] = Value::Null;
            }
            assert_eq!(again, folded, "{name} encoded as another's and decoded");
        }
    }
    assert!(replayed > 0, "no recordings in {root}");
}
