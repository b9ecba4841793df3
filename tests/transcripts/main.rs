//! Recorded provider streams, replayed through the decoders, and through every app's encoder and back.
//!
//! The recordings are not part of the repository: `TOKENWAY_TRANSCRIPTS` names their directory. Each has the result that
//! the provider's official SDK makes of it; ours must be the same, however the bytes are cut.

#![allow(
    clippy::disallowed_methods,
    reason = "a test reads its own settings and owns its own tasks"
)]
#![expect(clippy::print_stdout, reason = "the tables are what a person runs this for")]

#[path = "../common/mod.rs"]
mod common;
mod documented;
mod pairs;
mod shapes;
mod variations;

use std::collections::BTreeMap;

use bytes::Bytes;
use common::{Folded, Recording, cut, decode, differences, fold};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokenway::{
    dialect::Dialect,
    event::{FinishReason, Finished},
};

/// Up to this size a stream is cut at every single place.
const EVERY_PLACE_BYTES_MAX: usize = 4096;
/// Beyond it, and in addition, it is cut at random this many times.
const RANDOM_CUTS: usize = 50;

pub(crate) fn check_stream(recording: &Recording, seed: u64) -> Vec<String> {
    let (body, dialect, content_type) =
        (&recording.body, recording.dialect, recording.content_type());
    let events = decode(dialect, content_type, [body.clone()]);
    let mut found = differences(recording, &fold(&events), true);

    let mut cuttings: Vec<Vec<usize>> = Vec::new();
    if body.len() <= EVERY_PLACE_BYTES_MAX {
        cuttings.extend((0..=body.len()).map(|place| vec![place]));
    }
    // Byte by byte: whatever is cut is cut here.
    cuttings.push((0..=body.len()).collect());
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..RANDOM_CUTS {
        let count = random.random_range(1..=body.len().clamp(1, 64));
        cuttings.push((0..count).map(|_| random.random_range(0..=body.len())).collect());
    }
    for places in cuttings {
        if decode(dialect, content_type, cut(body, places.clone())) != events {
            let few = &places[..places.len().min(64)];
            found.push(format!("cut at {few:?} (seed {seed}): other events"));
            break;
        }
    }
    found
}

fn check_error(recording: &Recording) -> Vec<String> {
    let failed = recording.dialect.failure(recording.status(), &recording.body);
    let end = Some(Err(failed));
    differences(recording, &Folded { end, ..Folded::default() }, true)
}

#[test]
fn recorded_streams_give_what_the_official_sdks_make_of_them() {
    let Some(recordings) = common::recordings() else { return };
    let seed = common::seed();
    let mut misses = Vec::new();
    let mut passed: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for recording in &recordings {
        let found = match recording.is_stream {
            true => check_stream(recording, seed),
            false => check_error(recording),
        };
        let (passed, of) = passed.entry(recording.directory).or_default();
        *of += 1;
        *passed += usize::from(found.is_empty());
        misses.extend(found.into_iter().map(|miss| format!("{recording}: {miss}")));
    }
    println!("{:<20} {:>6} {:>6}", "recorded from", "passed", "of");
    for (directory, (passed, of)) in passed {
        println!("{directory:<20} {passed:>6} {of:>6}");
    }
    assert!(misses.is_empty(), "{} misses:\n{}", misses.len(), misses.join("\n"));
}

#[test]
fn a_stream_without_its_end_is_cut() {
    let said = |text: String| fold(&decode(Dialect::OpenAi, "text/event-stream", [text.into()]));
    let chunk = r#"data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}"#;
    let folded = said(format!("{chunk}\n\n"));
    assert!(matches!(&folded.end, Some(Err(failed)) if failed.code.as_str() == "upstream_cut"));
    let folded = said(format!("{chunk}\n\ndata: [DONE]\n\n"));
    let end = Finished { reason: FinishReason::Stop, native_reason: None };
    assert_eq!(folded.end, Some(Ok(end)));
}

/// In each dialect, some prefix of every good recording lacks the end, and none of them passes for a success of less.
#[test]
fn a_recording_cut_before_its_end_is_never_a_shorter_success() {
    let Some(recordings) = common::recordings() else { return };
    let mut misses = Vec::new();
    for recording in recordings.iter().filter(|it| it.is_stream && !it.expected.is_null()) {
        let body = &recording.body;
        let read =
            |bytes: Bytes| fold(&decode(recording.dialect, recording.content_type(), [bytes]));
        let whole = read(body.clone());
        if !matches!(whole.end, Some(Ok(_))) {
            continue;
        }
        // Anywhere in the first half: no provider says its end there and goes on to say as much again.
        for part in 1..8 {
            let cut = read(body.slice(..body.len() * part / 16));
            let less = cut.first().text.len() < whole.first().text.len();
            if less && matches!(cut.end, Some(Ok(_))) {
                misses.push(format!("{recording}: {part}/16 of it ends well"));
            }
        }
    }
    assert!(misses.is_empty(), "{}", misses.join("\n"));
}
