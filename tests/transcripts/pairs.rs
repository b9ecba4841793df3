//! Every recording through every app's encoder and back through the decoder of the app's dialect.
//!
//! What the app reads must be what the provider said, but for what `LOSSES` lists.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tokenway::{
    dialect::{AppDialect, Asked, Dialect},
    event::Event,
};

use crate::common::{
    self, Folded, GENERATION, LOSSES, Member, Recording, allowed, decode, differences, fold,
    framed, seam, started,
};

pub(crate) const APPS: [AppDialect; 4] =
    [AppDialect::OpenAi, AppDialect::Responses, AppDialect::Anthropic, AppDialect::Gemini];

fn asked() -> Asked {
    Asked { usage: true, request: Bytes::from_static(br#"{"model":"fast"}"#) }
}

/// What our encoding of `events` says to an app of this dialect.
fn streamed(app: AppDialect, dialect: Dialect, events: &[Event]) -> Folded {
    let mut encoder = app.encoder(&asked());
    let mut wires = Vec::new();
    for event in [&started(dialect)].into_iter().chain(events) {
        encoder.encode(event, &mut wires);
    }
    fold(&decode(app.into(), "text/event-stream", framed(&wires)))
}

/// What our whole body says to an app of this dialect.
fn whole(app: AppDialect, dialect: Dialect, events: &[Event]) -> Folded {
    match app.encode_whole([&started(dialect)].into_iter().chain(events), &asked()) {
        Ok(body) => {
            let mut out = Vec::new();
            Dialect::from(app).decode_whole(GENERATION, body, &mut out);
            fold(&out)
        }
        // Its text is lost with it, as HTTP has it.
        Err(failed) => Folded { end: Some(Err(failed)), ..fold(&events[..events.len() - 1]) },
    }
}

/// The losses that occurred, and what differs beside them.
pub(crate) fn check(
    recording: &Recording,
    app: AppDialect,
    lost: &mut BTreeSet<usize>,
) -> Vec<String> {
    let dialect = recording.dialect;
    let events = decode(dialect, recording.content_type(), [recording.body.clone()]);
    let said = fold(&events);
    let mut misses = differences(recording, &said, true);
    for (way, told) in
        [("streamed", streamed(app, dialect, &events)), ("whole", whole(app, dialect, &events))]
    {
        for (member, difference) in seam(&said, &told) {
            // A whole body has no place for payloads that came between others.
            if way == "whole" && member == Member::Natives {
                continue;
            }
            match allowed(dialect, app, member) {
                Some(line) => _ = lost.insert(line),
                None => misses.push(format!("{way}: {difference}")),
            }
        }
    }
    misses
}

#[test]
fn what_any_app_reads_is_what_the_provider_said() {
    let Some(recordings) = common::recordings() else { return };
    let mut lost = BTreeSet::new();
    let mut misses = Vec::new();
    let mut table: BTreeMap<&str, [(usize, usize); APPS.len()]> = BTreeMap::new();
    for recording in recordings.iter().filter(|it| it.is_stream && !it.expected.is_null()) {
        for (column, app) in APPS.into_iter().enumerate() {
            let found = check(recording, app, &mut lost);
            let (passed, of) = &mut table.entry(recording.dialect.as_str()).or_default()[column];
            *of += 1;
            *passed += usize::from(found.is_empty());
            let app = app.as_str();
            misses.extend(found.into_iter().map(|miss| format!("{recording} → {app}: {miss}")));
        }
    }
    print!("{:<12}", "from \\ app");
    APPS.iter().for_each(|app| print!("{:>12}", app.as_str()));
    println!();
    for (dialect, row) in table {
        print!("{dialect:<12}");
        row.iter().for_each(|(passed, of)| print!("{:>12}", format!("{passed}/{of}")));
        println!();
    }
    let never = LOSSES.iter().enumerate().filter(|(line, _)| !lost.contains(line));
    misses.extend(never.map(|(_, loss)| format!("listed, and yet nothing loses it: {loss:?}")));
    assert!(misses.is_empty(), "{} misses:\n{}", misses.len(), misses.join("\n"));
}

/// Replaying the same events repeats the same payloads: a resumed stream is their tail.
#[test]
fn an_encoder_says_the_same_of_the_same_events() {
    let Some(recordings) = common::recordings() else { return };
    for recording in recordings.iter().filter(|it| it.is_stream && it.body.len() < 60_000) {
        let events = decode(recording.dialect, recording.content_type(), [recording.body.clone()]);
        for app in APPS {
            let say = || {
                let (mut encoder, mut wires) = (app.encoder(&asked()), Vec::new());
                for event in [&started(recording.dialect)].into_iter().chain(&events) {
                    encoder.encode(event, &mut wires);
                }
                wires
            };
            assert_eq!(say(), say(), "{recording} → {}", app.as_str());
        }
    }
}
