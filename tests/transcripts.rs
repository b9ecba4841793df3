//! Recorded provider streams, replayed through the decoders.
//!
//! The recordings are not part of the repository: `TOKENWAY_TRANSCRIPTS` names their directory. Each has the result that
//! the provider's official SDK makes of it; ours must be the same, however the bytes are cut.

#![expect(clippy::print_stdout, reason = "the table is what a person runs this for")]

use std::{
    collections::BTreeMap,
    env, fs,
    io::{Write, stderr},
    path::Path,
};

use bytes::Bytes;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::Value;
use tokenway::{
    dialect::{Dialect, Ending, Flow, openai},
    event::{Event, Failed, FinishReason, Finished, Kind, Started, Usage},
    provider::sse::{self, Item},
};

/// The directories whose streams are Chat Completions, wholly or in part.
const OPENAI: [&str; 9] = [
    "azure-openai",
    "deepseek",
    "groq",
    "mistral",
    "openai-chat",
    "openai-compatible",
    "openrouter",
    "together",
    "xai",
];

/// Up to this size a stream is cut at every single place.
const EVERY_PLACE_BYTES_MAX: usize = 4096;
/// Beyond it, and in addition, it is cut at random this many times.
const RANDOM_CUTS: usize = 50;

/// What a generation's events come to.
#[derive(Clone, Debug, Default, PartialEq)]
struct Folded {
    choices: BTreeMap<u32, Choice>,
    usage: Option<Usage>,
    citations: usize,
    images: usize,
    end: Option<Result<Finished, Failed>>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Choice {
    text: String,
    reasoning: String,
    signature: String,
    encrypted: String,
    refusal: String,
    calls: Vec<Call>,
    finished: Option<Finished>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Call {
    id: String,
    name: String,
    arguments: String,
}

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

/// `body` cut before each of `places`.
fn cut(body: &Bytes, mut places: Vec<usize>) -> Vec<Bytes> {
    places.extend([0, body.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| body.slice(pair[0]..pair[1])).collect()
}

/// Sense, not spelling: arguments are compared as JSON where they are JSON.
fn arguments(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

fn words(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// The unified reason that is expected: the file's own, and `stop` where the provider gave no reason at all.
fn expected_reason(expected: &Value) -> &str {
    expected["finish_reason_unified"].as_str().unwrap_or("stop")
}

/// Compares member by member; gives what differs.
fn differences(folded: &Folded, expected: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut same = |what: &str, ours: Value, theirs: Value| {
        if ours != theirs {
            found.push(format!("{what}: ours {ours}, expected {theirs}"));
        }
    };
    let none = Choice::default();
    let first = folded.choices.get(&0).unwrap_or(&none);
    same("text", first.text.clone().into(), words(&expected["text"]).into());
    same("reasoning", first.reasoning.clone().into(), words(&expected["reasoning"]).into());
    same("refusal", first.refusal.clone().into(), words(&expected["refusal"]).into());
    same("citations", folded.citations.into(), count(&expected["citations"]).into());
    same("images", folded.images.into(), count(&expected["images"]).into());

    let calls: Vec<Value> = first
        .calls
        .iter()
        .map(|call| serde_json::json!([call.id, call.name, arguments(&call.arguments)]))
        .collect();
    let expected_calls: Vec<Value> = expected["tool_calls"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|call| {
            let arguments = arguments(words(&call["arguments"]));
            serde_json::json!([call["id"], call["name"], arguments])
        })
        .collect();
    same("tool_calls", calls.into(), expected_calls.into());

    let error = &expected["error"];
    match &folded.end {
        Some(Err(failed)) => {
            let theirs = &error["body"];
            let message = theirs.as_str().unwrap_or_else(|| words(&theirs["message"]));
            same("error", failed.message.clone().into(), message.into());
            same("error code", failed.code.as_str().into(), "upstream_error".into());
            let number = |value: &Value| value.as_u64().filter(|code| (400..600).contains(code));
            let status = number(&error["status_code"])
                .or_else(|| number(&theirs["status_code"]))
                .or_else(|| number(&theirs["code"]));
            same("status", failed.status.into(), status.unwrap_or(0).into());
            // Beside an error the SDK gives neither reason nor usage; we give the usage that came.
            return found;
        }
        Some(Ok(end)) => {
            same("error", Value::Null, error.clone());
            let native = end.native_reason.clone().map_or(Value::Null, Value::from);
            same("finish_reason", native, expected["finish_reason"].clone());
            let unified = expected_reason(expected);
            same("finish_reason_unified", end.reason.as_str().into(), unified.into());
        }
        None => same("end", "none".into(), "one".into()),
    }

    let theirs = &expected["usage"];
    same("usage there", folded.usage.is_some().into(), (!theirs.is_null()).into());
    if let Some(usage) = &folded.usage {
        // Not harmonised over there: xAI's output leaves reasoning out.
        let apart = words(&expected["usage_note"]).contains("excludes reasoning");
        let output = count(&theirs["output"]) + if apart { count(&theirs["reasoning"]) } else { 0 };
        same("input", usage.input.into(), count(&theirs["input"]).into());
        same("output", usage.output.into(), output.into());
        same("total", (usage.input + usage.output).into(), count(&theirs["total"]).into());
        same("cached_input", usage.cached_input.into(), count(&theirs["cached_input"]).into());
        same("cache_write", usage.cache_write.into(), count(&theirs["cache_write"]).into());
        same("reasoning tokens", usage.reasoning.into(), count(&theirs["reasoning"]).into());
    }

    let others: Vec<Value> = folded
        .choices
        .values()
        .skip(1)
        .map(|choice| {
            let end = choice.finished.as_ref().and_then(|end| end.native_reason.clone());
            serde_json::json!([choice.text, end])
        })
        .collect();
    let theirs: Vec<Value> = expected["other_choices"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|choice| serde_json::json!([choice["text"], choice["finish_reason"]]))
        .collect();
    same("other choices", others.into(), theirs.into());
    found
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
    let mut encoder = openai::Encoder::new(openai::UsageChunk::Asked);
    let mut payloads = Vec::new();
    for event in [&started()].into_iter().chain(events) {
        encoder.encode(event, &mut payloads);
    }
    let framed: Vec<Bytes> =
        payloads.iter().map(|payload| [b"data: ", &payload[..], b"\n\n"].concat().into()).collect();
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

fn check_error(body: &[u8], facts: &Value, expected: &Value) -> Vec<String> {
    let status = u16::try_from(count(&facts["http"]["status"])).expect("an HTTP status");
    let end = Some(Err(openai::failure(status, body)));
    differences(&Folded { end, ..Folded::default() }, expected)
}

fn read_json(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).expect("JSON")
}

#[test]
fn recorded_streams_give_what_the_official_sdks_make_of_them() {
    let Ok(root) = env::var("TOKENWAY_TRANSCRIPTS") else {
        let said = "LEFT OUT: recorded streams (TOKENWAY_TRANSCRIPTS names no directory)";
        assert_ne!(env::var("TOKENWAY_NOTHING_SKIPPED").as_deref(), Ok("1"), "{said}");
        // Not by a macro: those are captured, and this is to be seen.
        writeln!(stderr(), "{said}").expect("stderr is open");
        return;
    };
    let seed = env::var("TOKENWAY_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(rand::random::<u64>);
    println!("seed {seed} (TOKENWAY_SEED repeats it)");

    let mut misses = Vec::new();
    let mut total = 0;
    println!("{:<20} {:>6} {:>6}", "dialect", "passed", "of");
    for dialect in OPENAI {
        let Ok(entries) = fs::read_dir(Path::new(&root).join(dialect)) else { continue };
        let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        files.sort();
        let (mut passed, mut of) = (0, 0);
        for path in files {
            let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            // Responses streams of the same providers are another dialect's.
            let other_dialect = name.starts_with("responses-");
            let expected = path.with_extension("expected.json");
            if !["sse", "err"].contains(&kind) || other_dialect || !expected.exists() {
                continue;
            }
            let body = Bytes::from(fs::read(&path).expect("a recording"));
            let (facts, expected) = (read_json(&path.with_extension("json")), read_json(&expected));
            let found = match kind {
                "sse" => check_stream(&body, &expected, seed),
                _ => check_error(&body, &facts, &expected),
            };
            of += 1;
            passed += usize::from(found.is_empty());
            misses.extend(found.into_iter().map(|miss| format!("{dialect}/{name}: {miss}")));
        }
        total += of;
        println!("{dialect:<20} {passed:>6} {of:>6}");
    }
    assert!(misses.is_empty(), "{} misses:\n{}", misses.len(), misses.join("\n"));
    assert!(total > 0, "no recordings in {root}");
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
