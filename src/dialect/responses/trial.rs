//! What tests of this dialect share: what events say together, and recorded streams.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    event::{Event, Failed, FinishReason, Kind, RunBy, Usage},
    provider::sse::{Decoder, Item, Payload},
};

/// What a generation's events say together.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Heard {
    pub text: String,
    pub reasoning: String,
    pub encrypted: String,
    pub signature: String,
    pub refusal: String,
    /// Those of the app: id, name, arguments.
    pub calls: Vec<(String, String, String)>,
    /// The items of `native` events that are the provider's tools.
    pub server_items: Vec<String>,
    pub citations: usize,
    pub images: usize,
    pub usage: Option<Usage>,
    pub end: Result<(FinishReason, String), Failed>,
}

pub(super) fn hear(events: &[Event]) -> Heard {
    let mut heard = Heard {
        text: String::new(),
        reasoning: String::new(),
        encrypted: String::new(),
        signature: String::new(),
        refusal: String::new(),
        calls: Vec::new(),
        server_items: Vec::new(),
        citations: 0,
        images: 0,
        usage: None,
        end: Ok((FinishReason::Pause, "nothing".to_owned())),
    };
    let mut indices = Vec::new();
    for event in events {
        match &event.kind {
            Kind::Text(text) => heard.text += text,
            Kind::Refusal(text) => heard.refusal += text,
            Kind::Reasoning(part) => {
                heard.reasoning += &part.text;
                heard.encrypted += &part.encrypted;
                heard.signature += &part.signature;
            }
            Kind::ToolCall(call) if call.run_by == RunBy::Client => {
                indices.push(call.index);
                heard.calls.push((call.id.clone(), call.name.clone(), String::new()));
            }
            Kind::ToolArguments(part) => {
                if let Some(at) = indices.iter().position(|index| *index == part.index) {
                    heard.calls[at].2 += &part.arguments;
                }
            }
            Kind::Citation(_) => heard.citations += 1,
            Kind::Media(media) => heard.images += usize::from(media.last),
            Kind::Usage(usage) => heard.usage = Some(usage.clone()),
            Kind::Native(native) => {
                let name = &native.name;
                let server = name.ends_with("_call") || name.starts_with("mcp_");
                if server && !matches!(name.as_str(), "function_call" | "custom_tool_call") {
                    heard.server_items.push(name.clone());
                }
            }
            Kind::Finished(end) => {
                heard.end = Ok((end.reason, end.native_reason.clone().unwrap_or_default()));
            }
            Kind::Failed(failed) => heard.end = Err(failed.clone()),
            _ => {}
        }
    }
    heard
}

impl Heard {
    /// Where this is not what an `expected.json` says.
    pub(super) fn differences(&self, expected: &Value) -> Vec<String> {
        let mut found = Vec::new();
        let mut check = |what: &str, ours: Value, theirs: &Value| {
            if ours != *theirs {
                found.push(format!("{what}: {ours} is not {theirs}"));
            }
        };
        check("text", self.text.clone().into(), &expected["text"]);
        check("reasoning", self.reasoning.clone().into(), &expected["reasoning"]);
        let refusal = Some(self.refusal.clone()).filter(|text| !text.is_empty());
        check("refusal", refusal.into(), &expected["refusal"]);
        let calls = self.calls.iter().map(|(id, name, arguments)| {
            serde_json::json!({"id": id, "name": name, "arguments": arguments})
        });
        let theirs = expected["tool_calls"].as_array().cloned().unwrap_or_default();
        let theirs = theirs.into_iter().map(|mut call| {
            call.as_object_mut().expect("a call").remove("custom");
            call
        });
        check("tool_calls", calls.collect(), &theirs.collect());
        check("citations", self.citations.into(), &expected["citations"]);
        check("images", self.images.into(), &expected["images"]);
        let servers = match &expected["server_items"] {
            Value::Null => Value::Array(Vec::new()),
            items => items.clone(),
        };
        check("server_items", self.server_items.clone().into(), &servers);
        match &self.end {
            Ok((reason, native)) => {
                check("finish_reason", native.clone().into(), &expected["finish_reason"]);
                check("unified", reason.as_str().into(), &expected["finish_reason_unified"]);
                check("error", Value::Null, &expected["error"]);
            }
            Err(failed) => {
                let theirs = &expected["error"]["body"]["message"];
                check("error", failed.message.clone().into(), theirs);
            }
        }
        let theirs = &expected["usage"];
        let usage = self.usage.clone().unwrap_or_default();
        let counts = [
            ("input", usage.input),
            ("output", usage.output),
            ("cached_input", usage.cached_input),
            ("cache_write", usage.cache_write),
            ("reasoning", usage.reasoning),
        ];
        for (name, ours) in counts {
            check(name, ours.into(), &theirs[name].as_u64().unwrap_or(0).into());
        }
        found
    }
}

/// Payloads as OpenAI names them.
pub(super) fn payloads(list: &[Value]) -> Vec<Payload> {
    let named = |value: &Value| {
        let event = value["type"].as_str().unwrap_or_default().to_owned().into();
        Payload { event, ..Payload::of(value.to_string()) }
    };
    list.iter().map(named).collect()
}

/// A recorded stream.
pub(super) struct Recording {
    pub name: String,
    pub payloads: Vec<Payload>,
    pub expected: Value,
}

/// The recordings whose names begin so; none where `TOKENWAY_TRANSCRIPTS` is not set.
#[allow(clippy::disallowed_methods, reason = "a test reads its own settings")]
pub(super) fn recordings(beginnings: &[&str]) -> Vec<Recording> {
    let Ok(root) = std::env::var("TOKENWAY_TRANSCRIPTS") else { return Vec::new() };
    let mut found = Vec::new();
    for beginning in beginnings {
        let folder = beginning.split('/').next().unwrap_or_default();
        for entry in fs::read_dir(Path::new(&root).join(folder)).expect("transcripts") {
            let path = entry.expect("an entry").path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let name = format!("{folder}/{stem}");
            let is_stream = path.extension().is_some_and(|end| end == "sse");
            if !is_stream || !name.starts_with(beginning) {
                continue;
            }
            let Ok(expected) = fs::read(path.with_extension("expected.json")) else { continue };
            let expected = serde_json::from_slice(&expected).expect("JSON");
            let payloads = cut(fs::read(&path).expect("a stream"));
            found.push(Recording { name, payloads, expected });
        }
    }
    found
}

fn cut(bytes: Vec<u8>) -> Vec<Payload> {
    let mut decoder = Decoder::new();
    decoder.push(bytes.into());
    let mut payloads = Vec::new();
    while let Some(item) = decoder.next().expect("short enough") {
        if let Item::Payload(payload) = item {
            payloads.push(payload);
        }
    }
    payloads.extend(decoder.finish());
    payloads
}
