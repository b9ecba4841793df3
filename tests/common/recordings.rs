//! The recorded streams of the dialect, and what they come to, for all tests that replay them.
//!
//! The recordings are not part of the repository: `TOKENWAY_TRANSCRIPTS` names their directory.

use std::{
    collections::BTreeMap,
    env, fmt, fs,
    io::{Write, stderr},
    path::Path,
};

use bytes::Bytes;
use serde_json::Value;
use tokenway::event::{Failed, Finished, Usage};

/// The directories whose streams are Chat Completions, wholly or in part.
const DIALECTS: [&str; 9] = [
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

/// A recording, and what the provider's official SDK makes of it.
pub(crate) struct Recording {
    /// Its directory.
    pub(crate) dialect: &'static str,
    name: String,
    /// A stream; else the body of an HTTP error.
    pub(crate) is_stream: bool,
    pub(crate) body: Bytes,
    /// Where it came from, and under which status.
    facts: Value,
    pub(crate) expected: Value,
}

impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.dialect, self.name)
    }
}

impl Recording {
    /// The HTTP status of an error.
    pub(crate) fn status(&self) -> u16 {
        u16::try_from(count(&self.facts["http"]["status"])).expect("an HTTP status")
    }
}

/// All recordings; none, and that is said aloud, where nobody tells where they are.
pub(crate) fn recordings() -> Option<Vec<Recording>> {
    let Ok(root) = env::var("TOKENWAY_TRANSCRIPTS") else {
        let said = "LEFT OUT: recorded streams (TOKENWAY_TRANSCRIPTS names no directory)";
        assert_ne!(env::var("TOKENWAY_NOTHING_SKIPPED").as_deref(), Ok("1"), "{said}");
        // Not by a macro: those are captured, and this is to be seen.
        writeln!(stderr(), "{said}").expect("stderr is open");
        return None;
    };
    let mut recordings = Vec::new();
    for dialect in DIALECTS {
        let Ok(entries) = fs::read_dir(Path::new(&root).join(dialect)) else { continue };
        let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        files.sort();
        for path in files {
            let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            // Responses streams of the same providers are another dialect's.
            let other_dialect = name.starts_with("responses-");
            let expected = path.with_extension("expected.json");
            if !["sse", "err"].contains(&kind) || other_dialect || !expected.exists() {
                continue;
            }
            recordings.push(Recording {
                dialect,
                name: name.to_owned(),
                is_stream: kind == "sse",
                body: Bytes::from(fs::read(&path).expect("a recording")),
                facts: read_json(&path.with_extension("json")),
                expected: read_json(&expected),
            });
        }
    }
    assert!(!recordings.is_empty(), "no recordings in {root}");
    Some(recordings)
}

/// What random cuts derive from; printed, and repeated by `TOKENWAY_SEED`.
pub(crate) fn seed() -> u64 {
    let given = env::var("TOKENWAY_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(rand::random::<u64>);
    println!("seed {seed} (TOKENWAY_SEED repeats it)");
    seed
}

fn read_json(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).expect("JSON")
}

/// What a generation's events come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Folded {
    pub(crate) choices: BTreeMap<u32, Choice>,
    pub(crate) usage: Option<Usage>,
    pub(crate) citations: usize,
    pub(crate) images: usize,
    pub(crate) end: Option<Result<Finished, Failed>>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Choice {
    pub(crate) text: String,
    pub(crate) reasoning: String,
    pub(crate) signature: String,
    pub(crate) encrypted: String,
    pub(crate) refusal: String,
    pub(crate) calls: Vec<Call>,
    pub(crate) finished: Option<Finished>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
}

/// `body` cut before each of `places`.
pub(crate) fn cut(body: &Bytes, mut places: Vec<usize>) -> Vec<Bytes> {
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
pub(crate) fn differences(folded: &Folded, expected: &Value) -> Vec<String> {
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
