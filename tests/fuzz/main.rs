//! Arbitrary and mutated bytes through every framing and decoder, arbitrary JSON through every reader and writer.
//!
//! Nothing panics, everything ends, and what comes out is bounded by what went in: a provider or an app that is broken or
//! hostile costs what it sends and no more.

#![allow(clippy::print_stdout, reason = "seeds are for whoever looks into a failure")]
#![allow(clippy::disallowed_methods, reason = "a test reads its own settings and the clock")]

mod doors;
mod seeds;

use std::ops::Range;

use bytes::Bytes;
use proptest::{collection::vec, prelude::*, sample::Index};
use seeds::{NAMES, WORDS, asked, frame, seeds};
use serde_json::Value;
use tokenway::{
    dialect::{AppDialect, AppRequest, Asked, Dialect, Ending, Flow, Streaming, seal},
    dialect::{Sealed, anthropic, gemini, openai, responses},
    event::{EVENT_BYTES_MAX, Event, Kind, Started},
    provider::{framing::Framing, sse::Item},
};

const APPS: [AppDialect; 4] =
    [AppDialect::OpenAi, AppDialect::Responses, AppDialect::Anthropic, AppDialect::Gemini];
const TYPES: [&str; 4] = [
    "text/event-stream",
    "application/json",
    "application/x-ndjson",
    "application/vnd.amazon.eventstream",
];
const GENERATION: &str = "gen_AAAAAAAAAAAAAAAAAAAAAA";

/// Each byte of input makes at most so many events: the smallest thing that says anything takes more than one byte.
const EVENTS_PER_BYTE: usize = 2;
/// What the last events are, beside those that the bytes said.
const EVENTS_OF_THE_END: usize = 64;
/// A byte of input is at most so many bytes of events: escapes, base64, ids made up, a usage object told again.
const GROWTH: usize = 64;

/// What a generation's events weigh.
fn weight(events: &[Event]) -> usize {
    let of = |event: &Event| match &event.kind {
        Kind::Text(text) | Kind::Refusal(text) => text.len(),
        Kind::Reasoning(part) => part.text.len() + part.signature.len() + part.encrypted.len(),
        Kind::ToolCall(call) => call.id.len() + call.name.len(),
        Kind::ToolArguments(part) => part.arguments.len(),
        Kind::Citation(json) => json.len(),
        Kind::Media(media) => media.mime.len() + media.data.len(),
        Kind::Usage(usage) => usage.native.len(),
        Kind::Native(native) => native.name.len() + native.data.len(),
        Kind::Failed(failed) => failed.message.len(),
        _ => 0,
    };
    events.iter().map(|event| of(event) + 16).sum()
}

/// Runs a whole stream, and holds what comes out against what went in.
fn run(dialect: Dialect, mut framing: Framing, chunks: &[Bytes]) -> Vec<Event> {
    let mut decoder = dialect.decoder(GENERATION);
    let mut out = Vec::new();
    let input: usize = chunks.iter().map(Bytes::len).sum();
    let mut ending = Ending::Eof;
    let mut items = 0;
    'stream: for chunk in chunks {
        framing.push(chunk.clone());
        while let Ok(Some(item)) = framing.next() {
            items += 1;
            assert!(items <= input, "more items than bytes");
            let Item::Payload(payload) = item else { continue };
            if decoder.decode(&payload, &mut out).flow == Flow::Ended {
                ending = Ending::Terminator;
                break 'stream;
            }
        }
    }
    if ending == Ending::Eof
        && let Some(payload) = framing.finish()
    {
        decoder.decode(&payload, &mut out);
    }
    decoder.finish(ending, &mut out);
    held(&out, input);
    out
}

/// What must hold of any generation's events.
fn held(events: &[Event], input: usize) {
    let terminal = events.iter().filter(|event| event.is_terminal()).count();
    assert_eq!(terminal, 1, "exactly one last event");
    assert!(events.last().is_some_and(Event::is_terminal), "and it is the last");
    assert!(events.len() <= input * EVENTS_PER_BYTE + EVENTS_OF_THE_END, "{} events", events.len());
    assert!(weight(events) <= input * GROWTH + 64 * 1024, "{} bytes", weight(events));
    for event in events {
        assert!(weight(std::slice::from_ref(event)) <= EVENT_BYTES_MAX, "an event is too long");
    }
}

/// The events also go out again, to every app, without harm.
fn goes_out(dialect: Dialect, events: &[Event]) {
    let started = Event::new(Kind::Started(Started {
        id: GENERATION.into(),
        model: "fast".into(),
        provider: "p".into(),
        dialect: dialect.as_str().into(),
        created_ms: 1_790_000_000_000,
        ..Started::default()
    }));
    let asked = Asked { usage: true, request: Bytes::from_static(b"{}") };
    for app in APPS {
        let (mut encoder, mut wires) = (app.encoder(&asked), Vec::new());
        for event in [&started].into_iter().chain(events) {
            encoder.encode(event, &mut wires);
        }
        let json = |data: &Bytes| data == "[DONE]" || serde_json::from_slice::<Value>(data).is_ok();
        assert!(wires.iter().all(|wire| json(&wire.data)), "{}: no JSON", app.as_str());
        let whole = app.encode_whole([&started].into_iter().chain(events), &asked);
        assert!(whole.is_ok_and(|body| json(&body)) || failed(events), "{}", app.as_str());
    }
}

fn failed(events: &[Event]) -> bool {
    matches!(events.last().map(|event| &event.kind), Some(Kind::Failed(_)))
}

/// Puts something else at a place of a JSON value: another type, another seed's member, something huge.
fn mutate(value: &mut Value, at: usize, with: &Value) {
    let children = match value {
        Value::Array(list) => list.len(),
        Value::Object(map) => map.len(),
        _ => 0,
    };
    if children == 0 || at.is_multiple_of(5) {
        *value = with.clone();
        return;
    }
    let (child, rest) = (at % children, at / children);
    match value {
        Value::Array(list) => mutate(&mut list[child], rest, with),
        Value::Object(map) => {
            map.values_mut().nth(child).into_iter().for_each(|it| mutate(it, rest, with));
        }
        _ => {}
    }
}

/// JSON of any shape, with the words that readers look for as keys.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(WORDS).prop_map(Value::from),
        Just(Value::from(seal(Dialect::Anthropic, Sealed::Signature, "sig"))),
        Just(Value::from(1e300)),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            vec((prop::sample::select(WORDS), inner), 0..6).prop_map(|members| {
                Value::Object(members.into_iter().map(|(key, it)| (key.to_owned(), it)).collect())
            }),
        ]
    })
}

fn chunks(bytes: &[u8], cuts: &[Index]) -> Vec<Bytes> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    let slice =
        |pair: &[usize]| Bytes::copy_from_slice(&bytes[Range { start: pair[0], end: pair[1] }]);
    places.windows(2).map(slice).collect()
}

/// Reads a body as a front door does, and writes it for every provider.
fn read_and_write(app: AppDialect, body: &Value) {
    let body = Bytes::from(body.to_string());
    let request = match app {
        AppDialect::OpenAi => openai::Request::read(body).map(AppRequest::OpenAi),
        AppDialect::Responses => responses::Request::read(body).map(AppRequest::Responses),
        AppDialect::Anthropic => anthropic::Request::read(body).map(AppRequest::Anthropic),
        AppDialect::Gemini => gemini_request(body),
    };
    let Ok(request) = request else { return };
    request.asked();
    for target in Dialect::ALL {
        for streaming in [Streaming::AsAsked, Streaming::Always] {
            let Ok(upstream) = request.upstream(target, "up", streaming) else { continue };
            let json = serde_json::from_slice::<Value>(&upstream.body);
            assert!(json.is_ok_and(|it| it.is_object()), "{} → {}", app.as_str(), target.as_str());
        }
    }
}

fn gemini_request(body: Bytes) -> Result<AppRequest, tokenway::dialect::BadRequest> {
    gemini::Request::read("fast", true, body).map(AppRequest::Gemini)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn noise_does_no_harm(
        bytes in vec(any::<u8>(), 0..600),
        cuts in vec(any::<Index>(), 0..6),
    ) {
        let chunks = chunks(&bytes, &cuts);
        for dialect in Dialect::ALL {
            for content_type in TYPES {
                let framing = Framing::of(content_type, true).expect("a stream");
                run(dialect, framing, &chunks);
            }
            let mut out = Vec::new();
            dialect.decode_whole(GENERATION, Bytes::from(bytes.clone()), &mut out);
            held(&out, bytes.len());
            dialect.tells_failure(&bytes);
            dialect.retry_after(&bytes);
            let failed = dialect.failure(500, &bytes);
            prop_assert!(failed.message.len() <= bytes.len() * GROWTH + 1024);
        }
    }

    #[test]
    fn providers_gone_wrong_do_no_harm(
        picks in vec((any::<Index>(), any::<Index>(), any::<Option<usize>>(), any_json()), 1..24),
        cuts in vec(any::<Index>(), 0..6),
        flip in any::<Option<(Index, u8)>>(),
    ) {
        for dialect in Dialect::ALL {
            let seeds = seeds(dialect);
            for content_type in TYPES {
                let mut bytes = Vec::new();
                for (seed, name, mutation, with) in &picks {
                    let at = seed.index(seeds.len());
                    let mut payload = seeds[at].clone();
                    // Bedrock's seeds are in the order of their names, or not.
                    let name = match dialect {
                        Dialect::Bedrock => NAMES[name.index(NAMES.len())],
                        _ => payload["type"].as_str().unwrap_or_default(),
                    }
                    .to_owned();
                    if let Some(mutation) = mutation {
                        mutate(&mut payload, *mutation, with);
                    }
                    bytes.extend(frame(content_type, &name, payload.to_string().as_bytes()));
                }
                if let Some((at, to)) = &flip {
                    let at = at.index(bytes.len());
                    bytes[at] = *to;
                }
                let framing = Framing::of(content_type, true).expect("a stream");
                let events = run(dialect, framing, &chunks(&bytes, &cuts));
                goes_out(dialect, &events);
            }
        }
    }

    #[test]
    fn whole_bodies_gone_wrong_do_no_harm(body in any_json()) {
        let text = Bytes::from(body.to_string());
        for dialect in Dialect::ALL {
            let mut out = Vec::new();
            dialect.decode_whole(GENERATION, text.clone(), &mut out);
            held(&out, text.len());
            goes_out(dialect, &out);
        }
    }

    #[test]
    fn apps_gone_wrong_do_no_harm(
        mutations in vec((any::<usize>(), any_json()), 0..4),
        noise in any_json(),
    ) {
        for app in APPS {
            let mut body = asked(app);
            for (at, with) in &mutations {
                mutate(&mut body, *at, with);
            }
            read_and_write(app, &body);
            read_and_write(app, &noise);
        }
    }
}

/// Deep nesting is refused before it can exhaust a stack.
#[test]
fn nesting_without_end_does_no_harm() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(20_000), close.repeat(20_000));
        for dialect in Dialect::ALL {
            let mut out = Vec::new();
            dialect.decode_whole(GENERATION, Bytes::from(deep.clone()), &mut out);
            held(&out, deep.len());
            for content_type in TYPES {
                let framing = Framing::of(content_type, true).expect("a stream");
                let name = if dialect == Dialect::Bedrock { "chunk" } else { "" };
                let framed = Bytes::from(frame(content_type, name, deep.as_bytes()));
                run(dialect, framing, &[framed]);
            }
        }
    }
}

/// A stream that never ends a payload costs no more than its bound, and is then said to be no stream.
#[test]
fn a_payload_without_end_is_given_up_at_the_bound() {
    for (content_type, start) in [
        ("text/event-stream", &b"data: {\"x\":\""[..]),
        ("application/json", b"[{\"x\":\""),
        ("application/x-ndjson", b"{\"x\":\""),
        ("application/vnd.amazon.eventstream", b"\x7f\xff\xff\xff\x00\x00\x00\x00"),
    ] {
        let mut framing = Framing::of(content_type, true).expect("a stream");
        framing.push(Bytes::from_static(start));
        let mib = Bytes::from(vec![b'x'; 1024 * 1024]);
        let given_up = (0..40).any(|_| {
            framing.push(mib.clone());
            framing.next().is_err()
        });
        assert!(given_up, "{content_type} takes 40 MiB for one payload");
    }
}
