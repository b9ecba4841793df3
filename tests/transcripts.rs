//! Recorded provider streams, replayed through the decoders.
//!
//! The recordings are not part of the repository: `TOKENWAY_TRANSCRIPTS` names their directory. Each has the result that
//! the provider's official SDK makes of it; ours must be the same, however the bytes are cut.

#![allow(
    clippy::disallowed_methods,
    reason = "a test reads its own settings and owns its own tasks"
)]
#![expect(clippy::print_stdout, reason = "the table is what a person runs this for")]

#[path = "common/recordings.rs"]
mod common;

use std::collections::BTreeMap;

use bytes::Bytes;
use common::{Call, Folded, Recording, cut, differences};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::Value;
use tokenway::{
    dialect::{Asked, Dialect, Ending, Flow, openai},
    event::{Event, Failed, FinishReason, Finished, Kind, Started},
    provider::sse::{self, Item},
};

/// Up to this size a stream is cut at every single place.
const EVERY_PLACE_BYTES_MAX: usize = 4096;
/// Beyond it, and in addition, it is cut at random this many times.
const RANDOM_CUTS: usize = 50;

fn fold(events: &[Event]) -> Folded {
    let mut folded = Folded::default();
    for event in events {
        assert_eq!(folded.end, None, "nothing after the last event: {event:?}");
        let choice = folded.choices.entry(event.choice).or_default();
        match &event.kind {
            Kind::Text(text) => choice.text += text,
            Kind::Reasoning(part) => {
                choice.reasoning += &part.text;
                choice.signature += &part.signature;
                choice.encrypted += &part.encrypted;
            }
            Kind::Refusal(text) => choice.refusal += text,
            Kind::ToolCall(call) => {
                assert_eq!(call.index as usize, choice.calls.len(), "counted from 0 as they begin");
                let (id, name) = (call.id.clone(), call.name.clone());
                choice.calls.push(Call { id, name, arguments: String::new() });
            }
            Kind::ToolArguments(part) => {
                choice.calls[part.index as usize].arguments += &part.arguments;
            }
            Kind::Citation(_) => folded.citations += 1,
            Kind::Media(media) => {
                folded.images += usize::from(media.last && media.mime.starts_with("image/"));
            }
            Kind::Usage(usage) => folded.usage = Some(usage.clone()),
            Kind::ChoiceFinished(end) => choice.finished = Some(end.clone()),
            Kind::Finished(end) => {
                choice.finished.get_or_insert(end.clone());
                folded.end = Some(Ok(end.clone()));
            }
            Kind::Failed(failed) => folded.end = Some(Err(failed.clone())),
            Kind::Started(_) | Kind::Resumed(_) | Kind::Custom(_) | Kind::Native(_) => {}
        }
    }
    folded
}

/// The events of a stream whose bytes arrive as `chunks`.
fn decode(chunks: impl IntoIterator<Item = Bytes>) -> Vec<Event> {
    let mut frames = sse::Decoder::new();
    let mut decoder = Dialect::OpenAi.decoder("gen_AAAAAAAAAAAAAAAAAAAAAA");
    let mut out = Vec::new();
    for chunk in chunks {
        frames.push(chunk);
        while let Some(item) = frames.next().expect("within the bound") {
            let Item::Payload(payload) = item else { continue };
            if decoder.decode(&payload, &mut out).flow == Flow::Ended {
                decoder.finish(Ending::Terminator, &mut out);
                return out;
            }
        }
    }
    let mut ending = Ending::Eof;
    if let Some(payload) = frames.finish()
        && decoder.decode(&payload, &mut out).flow == Flow::Ended
    {
        ending = Ending::Terminator;
    }
    decoder.finish(ending, &mut out);
    out
}

/// A generation's first event, which its decoder does not say.
fn started() -> Event {
    Event::new(Kind::Started(Started {
        id: "gen_AAAAAAAAAAAAAAAAAAAAAA".into(),
        model: "fast".into(),
        provider: "p".into(),
        dialect: "openai".into(),
        created_ms: 1_790_000_000_000,
    }))
}

/// What our own encoding of `events` decodes to.
fn encoded_and_decoded(events: &[Event]) -> Folded {
    let mut encoder = openai::Encoder::new(&Asked { usage: true, ..Asked::default() });
    let mut payloads = Vec::new();
    for event in [&started()].into_iter().chain(events) {
        encoder.encode(event, &mut payloads);
    }
    let framed: Vec<Bytes> = payloads
        .iter()
        .map(|payload| [b"data: ", &payload.data[..], b"\n\n"].concat().into())
        .collect();
    fold(&decode(framed))
}

/// The native words and the exact usage object are the provider's; everything else must survive our encoding.
fn without_natives(mut folded: Folded) -> Folded {
    let plain = |end: &mut Finished| end.native_reason = None;
    folded.choices.values_mut().filter_map(|choice| choice.finished.as_mut()).for_each(plain);
    if let Some(Ok(end)) = &mut folded.end {
        plain(end);
    }
    if let Some(Err(failed)) = &mut folded.end {
        failed.status = 0;
        failed.code = tokenway::event::FailureCode::UpstreamError;
        // Usage precedes the failure in the log; an app's stream has no place for it.
        folded.usage = None;
    }
    folded
}

/// What our own whole body decodes to.
fn whole_and_back(events: &[Event]) -> Result<Folded, Failed> {
    let body = openai::encode_whole([&started()].into_iter().chain(events))?;
    let mut out = Vec::new();
    openai::decode_whole("gen_AAAAAAAAAAAAAAAAAAAAAA", body, &mut out);
    Ok(fold(&out))
}

fn check_stream(body: &Bytes, expected: &Value, seed: u64) -> Vec<String> {
    let events = decode([body.clone()]);
    let folded = fold(&events);
    let mut found = differences(&folded, expected);

    let back = without_natives(encoded_and_decoded(&events));
    let plain = without_natives(folded.clone());
    if back != plain {
        found.push(format!("encoded and decoded: {back:#?}\nis not {plain:#?}"));
    }
    match whole_and_back(&events).map(without_natives) {
        Ok(back) if back != plain => {
            found.push(format!("as a whole body: {back:#?}\nis not {plain:#?}"));
        }
        Err(failed) if folded.end != Some(Err(failed.clone())) => {
            found.push(format!("as a whole body: {failed:?}"));
        }
        _ => {}
    }

    let mut cuttings: Vec<Vec<usize>> = Vec::new();
    if body.len() <= EVERY_PLACE_BYTES_MAX {
        cuttings.extend((0..=body.len()).map(|place| vec![place]));
        cuttings.push((0..=body.len()).collect());
    }
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..RANDOM_CUTS {
        let count = random.random_range(1..=body.len().clamp(1, 64));
        cuttings.push((0..count).map(|_| random.random_range(0..=body.len())).collect());
    }
    for places in cuttings {
        if decode(cut(body, places.clone())) != events {
            found.push(format!("cut at {places:?} (seed {seed}): other events"));
            break;
        }
    }
    found
}

fn check_error(body: &[u8], status: u16, expected: &Value) -> Vec<String> {
    let end = Some(Err(openai::failure(status, body)));
    differences(&Folded { end, ..Folded::default() }, expected)
}

#[test]
fn recorded_streams_give_what_the_official_sdks_make_of_them() {
    let Some(recordings) = common::recordings() else { return };
    let seed = common::seed();
    let mut misses = Vec::new();
    let mut passed: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for recording in &recordings {
        let Recording { body, expected, .. } = recording;
        let found = match recording.is_stream {
            true => check_stream(body, expected, seed),
            false => check_error(body, recording.status(), expected),
        };
        let (passed, of) = passed.entry(recording.dialect).or_default();
        *of += 1;
        *passed += usize::from(found.is_empty());
        misses.extend(found.into_iter().map(|miss| format!("{recording}: {miss}")));
    }
    println!("{:<20} {:>6} {:>6}", "dialect", "passed", "of");
    for (dialect, (passed, of)) in passed {
        println!("{dialect:<20} {passed:>6} {of:>6}");
    }
    assert!(misses.is_empty(), "{} misses:\n{}", misses.len(), misses.join("\n"));
}

#[test]
fn a_stream_without_its_end_is_cut() {
    let chunk = r#"data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}"#;
    let folded = fold(&decode([Bytes::from(format!("{chunk}\n\n"))]));
    assert!(matches!(&folded.end, Some(Err(failed)) if failed.code.as_str() == "upstream_cut"));
    let folded = fold(&decode([Bytes::from(format!("{chunk}\n\ndata: [DONE]\n\n"))]));
    let end = Finished { reason: FinishReason::Stop, native_reason: None };
    assert_eq!(folded.end, Some(Ok(end)));
}
