//! Every recording broken off between any two payloads: by a close, and by an error in each of the forms that its dialect
//! has. Whatever the app speaks, it is told of a failure, and what was said before is what the provider had said.

use bytes::Bytes;
use serde_json::{Value, json};
use tokenway::{
    dialect::{AppDialect, Asked, Dialect, Flow},
    event::Event,
    provider::sse::Payload,
};

use super::{
    forms::{payloads, sse},
    streams,
};
use crate::{
    common::{self, Folded, GENERATION, Recording, decode, fold, framed, started},
    pairs::APPS,
};

/// So many places are tried in one stream, evenly spread.
const PLACES: usize = 5;
/// Longer streams are left out: what is told of them was told of shorter ones.
const BYTES_MAX: usize = 40_000;
const SAID: &str = "Overloaded, say we";

/// The forms of an error within a stream.
fn errors(dialect: Dialect) -> Vec<Payload> {
    let named = |name: &'static str, data: Value| Payload {
        event: Bytes::from_static(name.as_bytes()),
        ..Payload::of(data.to_string())
    };
    match dialect {
        Dialect::OpenAi => vec![
            named("", json!({"error": {"message": SAID, "type": "server_error", "code": 503}})),
            named("", json!({"error": SAID})),
            named(
                "",
                json!({"id": "c", "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}], "error": {"code": 502, "message": SAID}}),
            ),
            named(
                "",
                json!({"choices": [{"index": 0, "delta": {}, "error": {"code": 502, "message": SAID}}]}),
            ),
            named(
                "",
                json!({"object": "error", "message": SAID, "type": "internal", "code": "500"}),
            ),
            named("error", json!({"error": {"message": SAID, "status_code": 400}})),
            named("error", json!({"code": 500, "message": SAID})),
        ],
        Dialect::Responses => vec![
            named(
                "error",
                json!({"type": "error", "sequence_number": 9, "error": {"type": "server_error", "code": "x", "message": SAID, "param": null}}),
            ),
            named(
                "error",
                json!({"type": "error", "sequence_number": 9, "code": "x", "message": SAID, "param": null}),
            ),
            named(
                "response.failed",
                json!({"type": "response.failed", "response": {"status": "failed", "error": {"code": "server_error", "message": SAID}, "output": []}}),
            ),
            named("", json!({"error": {"code": "x", "message": SAID}})),
        ],
        Dialect::Anthropic => vec![
            named(
                "error",
                json!({"type": "error", "error": {"details": null, "type": "overloaded_error", "message": SAID}, "request_id": "r"}),
            ),
            named(
                "",
                json!({"type": "error", "error": {"type": "overloaded_error", "message": SAID}}),
            ),
            named("error", json!({"error": {"message": SAID}})),
        ],
        Dialect::Gemini => vec![
            named("", json!({"error": {"code": 503, "message": SAID, "status": "UNAVAILABLE"}})),
            named("", json!([{"error": {"code": 503, "message": SAID, "status": "UNAVAILABLE"}}])),
        ],
        Dialect::Ollama => vec![named("", json!({ "error": SAID }))],
        Dialect::Bedrock => Vec::new(),
    }
}

/// Where a stream can be broken off: before a reason for its end was told.
fn places(recording: &Recording, all: &[Payload]) -> Vec<usize> {
    let (mut decoder, mut out) = (recording.dialect.decoder(GENERATION), Vec::new());
    let mut is_open = |payload: &&Payload| {
        decoder.decode(payload, &mut out).flow == Flow::More
            && memchr::memmem::find(&payload.data, b"\"finishReason\"").is_none()
    };
    let open = all.iter().take_while(|payload| is_open(payload)).count();
    let mut places: Vec<usize> = (0..=PLACES).map(|step| step * open / PLACES).collect();
    places.dedup();
    places
}

fn written(recording: &Recording, payloads: &[Payload]) -> Bytes {
    if recording.dialect == Dialect::Ollama {
        let line = |payload: &Payload| [&payload.data[..], b"\n"].concat();
        return payloads.iter().flat_map(line).collect();
    }
    sse(payloads).into()
}

/// What an app of this dialect is told, streamed and whole.
fn told(app: AppDialect, dialect: Dialect, events: &[Event]) -> (Folded, Result<Bytes, String>) {
    let asked = Asked { usage: true, request: Bytes::from_static(br#"{"model":"fast"}"#) };
    let (mut encoder, mut wires) = (app.encoder(&asked), Vec::new());
    for event in [&started(dialect)].into_iter().chain(events) {
        encoder.encode(event, &mut wires);
    }
    let whole = app.encode_whole([&started(dialect)].into_iter().chain(events), &asked);
    let whole = whole.map_err(|failed| failed.message);
    (fold(&decode(app.into(), "text/event-stream", framed(&wires))), whole)
}

fn check(recording: &Recording, body: Bytes, code: &str, said: Option<&str>) -> Vec<String> {
    let content_type = match recording.dialect {
        Dialect::Ollama => "application/x-ndjson",
        _ => "text/event-stream",
    };
    let events = decode(recording.dialect, content_type, [body]);
    let folded = fold(&events);
    let mut found = Vec::new();
    let Some(Err(failed)) = &folded.end else {
        return vec![format!("it ends well: {:?}", folded.end)];
    };
    if failed.code.as_str() != code || said.is_some_and(|said| failed.message != said) {
        found.push(format!("it fails otherwise: {failed:?}"));
    }
    for app in APPS {
        let (streamed, whole) = told(app, recording.dialect, &events);
        match &streamed.end {
            Some(Err(told)) if told.message == failed.message => {}
            end => found.push(format!("{} is told {end:?}", app.as_str())),
        }
        let heard = streamed.first().text;
        if !(folded.first().text + &folded.first().refusal).starts_with(&heard) {
            found.push(format!("{} is told another text: {heard:?}", app.as_str()));
        }
        if whole != Err(failed.message.clone()) {
            found.push(format!("{} is told a whole answer: {whole:?}", app.as_str()));
        }
    }
    found
}

#[test]
fn an_answer_that_breaks_off_anywhere_is_a_failure_to_every_app() {
    let Some(recordings) = common::recordings() else { return };
    let (mut misses, mut tried) = (Vec::new(), 0);
    for recording in streams(&recordings)
        .filter(|it| it.dialect != Dialect::Bedrock && it.body.len() <= BYTES_MAX)
    {
        let all = payloads(recording);
        for place in places(recording, &all) {
            let before = &all[..place];
            let mut note = |how: &str, found: Vec<String>| {
                tried += 1;
                let line = |it| format!("{recording}, {how} at {place}: {it}");
                misses.extend(found.into_iter().map(line));
            };
            note("closed", check(recording, written(recording, before), "upstream_cut", None));
            for error in errors(recording.dialect) {
                let body = written(recording, &[before, std::slice::from_ref(&error)].concat());
                let how = String::from_utf8_lossy(&error.data).into_owned();
                note(&how, check(recording, body, "upstream_error", Some(SAID)));
            }
        }
    }
    println!("{tried} breaks");
    assert!(misses.is_empty(), "{} misses:\n{}", misses.len(), misses.join("\n"));
}
