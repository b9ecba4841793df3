//! Events become Chat Completions chunks.
//!
//! A deterministic function of one generation's events: fed the same events it writes the same bytes, so a resumed
//! stream is the tail of the same chunks. Gives the payloads only; framing and cursors are the caller's. What OpenAI has
//! no field for travels in the fields its imitators use (`reasoning_content`, `reasoning_details`, `images`,
//! `citations`), which the SDKs pass on.

use std::collections::HashMap;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{
    super::{Asked, Dialect, Wire},
    CHUNK, NAME, STRAY,
    cite::{Cited, Place, cited},
    details::Details,
    error::error_payload,
    media::base64,
};
use crate::event::{
    Event, FinishReason, Finished, Kind, Media, Native, Reasoning, RunBy, Started, Usage,
};

mod shape;

use shape::{ChoicePart, Chunk, Delta, Function, Tool};

pub(super) use shape::Extra;

#[cfg(test)]
mod tests;

/// Writes one generation's stream for one app.
#[derive(Debug)]
pub struct Encoder {
    /// The app asked for the extra usage chunk.
    asks_usage: bool,
    head: Head,
    usage: Option<Usage>,
    choices: HashMap<u32, Choice>,
    /// The parts so far of images that are still coming, by the media's index.
    images: HashMap<u32, Vec<u8>>,
    image_count: u32,
}

/// What every chunk of a generation repeats.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    pub id: String,
    pub created: u64,
    pub model: String,
    /// What the provider speaks; not known any more once another goes on for it.
    pub origin: Option<Dialect>,
}

#[derive(Debug, Default)]
struct Choice {
    finished: bool,
    refused: bool,
    /// Calls that the app is to run, by the event's index: those the provider runs are not told.
    calls: Vec<u32>,
    details: Details,
    /// Google's signature of what comes next, if that is a call.
    signature: String,
    /// Of the answer so far.
    characters: u64,
    annotations: u32,
}

impl Encoder {
    /// An encoder for a generation whose events are given from the first on.
    pub fn new(asked: &Asked) -> Self {
        Self {
            asks_usage: asked.usage,
            head: Head::default(),
            usage: None,
            choices: HashMap::new(),
            images: HashMap::new(),
            image_count: 0,
        }
    }

    /// Adds the payloads that say `event` to `out`: JSON each, and at a good end `[DONE]`. To resume after some event,
    /// give all before it too and drop what they say.
    pub fn encode(&mut self, event: &Event, out: &mut Vec<Wire>) {
        let choice = event.choice;
        let known = self.choices.get_mut(&choice);
        let signature = known.map(|it| std::mem::take(&mut it.signature)).unwrap_or_default();
        match &event.kind {
            Kind::Started(started) => {
                self.head = Head::of(started);
                self.begin(choice, out);
            }
            Kind::Text(text) => {
                self.delta(choice, Delta { content: Some(text), ..d() }, out);
                let characters = &mut self.choices.entry(choice).or_default().characters;
                *characters += text.chars().count() as u64;
            }
            Kind::Refusal(text) => {
                self.delta(choice, Delta { refusal: Some(text), ..d() }, out);
                self.choices.entry(choice).or_default().refused = true;
            }
            Kind::Reasoning(part) => self.reasoning(choice, part, out),
            Kind::ToolCall(call) if call.run_by == RunBy::Client => {
                self.begin(choice, out);
                let calls = &mut self.choices.entry(choice).or_default().calls;
                calls.push(call.index);
                let tool = Tool {
                    index: calls.len() - 1,
                    id: Some(&call.id),
                    r#type: Some("function"),
                    function: Function { name: Some(&call.name), arguments: "" },
                    extra_content: Extra::of(&signature),
                };
                self.delta(choice, Delta { tool_calls: Some([tool]), ..d() }, out);
            }
            Kind::ToolArguments(part) => {
                let calls = self.choices.get(&choice).map(|choice| &choice.calls);
                let place = calls.and_then(|calls| calls.iter().position(|&i| i == part.index));
                if let Some(index) = place {
                    let function = Function { name: None, arguments: &part.arguments };
                    let tool =
                        Tool { index, id: None, r#type: None, function, extra_content: None };
                    self.delta(choice, Delta { tool_calls: Some([tool]), ..d() }, out);
                }
            }
            Kind::Citation(source) => self.cite(choice, source, out),
            Kind::Media(media) => self.media(choice, media, out),
            Kind::Usage(usage) => self.usage = Some(usage.clone()),
            Kind::ChoiceFinished(end) => self.finish(choice, end, out),
            Kind::Finished(end) => {
                if !self.choices.get(&choice).is_some_and(|choice| choice.finished) {
                    self.finish(choice, end, out);
                }
                self.end(out);
            }
            Kind::Failed(failed) => out.push(Wire::unnamed(error_payload(failed))),
            Kind::Native(native) if native.dialect == NAME => self.native(choice, native, out),
            Kind::Resumed(resumed) => self.head.origin = Dialect::parse(&resumed.dialect),
            Kind::ToolCall(_) | Kind::Custom(_) | Kind::Native(_) => {}
        }
    }

    /// The role chunk, once for each choice.
    fn begin(&mut self, choice: u32, out: &mut Vec<Wire>) {
        if let std::collections::hash_map::Entry::Vacant(vacant) = self.choices.entry(choice) {
            vacant.insert(Choice::default());
            let delta = Delta { role: Some("assistant"), content: Some(""), ..d() };
            self.write(choice, delta, None, out);
        }
    }

    fn delta(&mut self, choice: u32, delta: Delta<'_>, out: &mut Vec<Wire>) {
        self.begin(choice, out);
        self.write(choice, delta, None, out);
    }

    /// A delta with one member, whose JSON is at hand.
    fn raw_delta(&mut self, choice: u32, name: &str, value: &[u8], out: &mut Vec<Wire>) {
        if let Ok(value) = serde_json::from_slice(value) {
            let more = HashMap::from([(name, value)]);
            self.delta(choice, Delta { more, ..d() }, out);
        }
    }

    /// A chunk with one member of its own and no choices.
    fn member(&mut self, name: &str, value: &[u8], out: &mut Vec<Wire>) {
        if let Ok(value) = serde_json::from_slice(value) {
            self.push(&[], None, HashMap::from([(name, value)]), out);
        }
    }

    fn write(
        &self,
        index: u32,
        delta: Delta<'_>,
        finish_reason: Option<&'static str>,
        out: &mut Vec<Wire>,
    ) {
        self.push(&[ChoicePart { index, delta, finish_reason }], None, HashMap::new(), out);
    }

    fn push(
        &self,
        choices: &[ChoicePart<'_>],
        usage: Option<&RawValue>,
        more: HashMap<&str, &RawValue>,
        out: &mut Vec<Wire>,
    ) {
        let Head { id, created, model, .. } = &self.head;
        let chunk = Chunk { id, object: CHUNK, created: *created, model, choices, usage, more };
        let data = serde_json::to_vec(&chunk).expect("strings and numbers become JSON");
        out.push(Wire::unnamed(data));
    }

    fn cite(&mut self, choice: u32, source: &Bytes, out: &mut Vec<Wire>) {
        self.begin(choice, out);
        let native = self.head.is_native();
        let state = self.choices.entry(choice).or_default();
        let at = Place { characters: state.characters, index: state.annotations };
        match cited(source, native, at) {
            Some(Cited::Annotation(raw)) => {
                state.annotations += 1;
                self.raw_delta(choice, "annotations", &list(raw.get().as_bytes()), out);
            }
            Some(Cited::Source(raw)) => {
                self.member("citations", &list(raw.get().as_bytes()), out);
            }
            None => {}
        }
    }

    fn reasoning(&mut self, choice: u32, part: &Reasoning, out: &mut Vec<Wire>) {
        self.begin(choice, out);
        let origin = self.head.origin;
        let state = self.choices.entry(choice).or_default();
        let details = state.details.of(part, origin);
        if origin == Some(Dialect::Gemini) && part.text.is_empty() {
            state.signature.clone_from(&part.signature);
        }
        let delta = Delta {
            reasoning_content: (!part.text.is_empty()).then_some(&part.text),
            reasoning_details: (!details.is_empty()).then_some(details),
            ..d()
        };
        self.delta(choice, delta, out);
    }

    /// Audio goes part by part, an image only whole.
    fn media(&mut self, choice: u32, media: &Media, out: &mut Vec<Wire>) {
        if !media.mime.starts_with("image/") {
            if !media.data.is_empty() {
                let audio = format!("{{\"data\":\"{}\"}}", base64(&media.data));
                self.raw_delta(choice, "audio", audio.as_bytes(), out);
            }
            return;
        }
        let parts = self.images.entry(media.index).or_default();
        parts.extend_from_slice(&media.data);
        if media.last {
            let data = self.images.remove(&media.index).unwrap_or_default();
            let image = image(&media.mime, &data, self.image_count);
            self.image_count += 1;
            self.raw_delta(choice, "images", &list(image.as_bytes()), out);
        }
    }

    /// Whole payloads go out as they came, parts of them in their place.
    fn native(&mut self, choice: u32, native: &Native, out: &mut Vec<Wire>) {
        match native.name.split_once('.') {
            Some(("delta", name)) => self.raw_delta(choice, name, &native.data, out),
            Some(("content", _)) => self.raw_delta(choice, "content", &list(&native.data), out),
            _ if native.name == CHUNK => out.push(Wire::unnamed(native.data.clone())),
            _ if native.name == STRAY => {}
            _ => self.member(&native.name, &native.data, out),
        }
    }

    fn finish(&mut self, choice: u32, end: &Finished, out: &mut Vec<Wire>) {
        self.begin(choice, out);
        let state = self.choices.entry(choice).or_default();
        state.finished = true;
        let word = word(end.reason, state.refused);
        self.write(choice, d(), Some(word), out);
    }

    fn end(&mut self, out: &mut Vec<Wire>) {
        if let Some(usage) = self.usage.take().filter(|_| self.asks_usage) {
            self.push(&[], Some(&usage_object(&usage, &self.head)), HashMap::new(), out);
        }
        out.push(Wire::unnamed(Bytes::from_static(b"[DONE]")));
    }
}

impl Head {
    pub(super) fn of(started: &Started) -> Self {
        Self {
            id: format!("chatcmpl-{}", started.id),
            created: started.created_ms / 1000,
            model: started.model.clone(),
            origin: Dialect::parse(&started.dialect),
        }
    }

    /// Whether the provider speaks this dialect, so that what it said can be handed on.
    pub(super) fn is_native(&self) -> bool {
        self.origin == Some(Dialect::OpenAi)
    }
}

fn d<'a>() -> Delta<'a> {
    Delta::default()
}

/// A JSON value as a list of one.
fn list(json: &[u8]) -> Vec<u8> {
    [b"[", json, b"]"].concat()
}

/// An image as OpenRouter writes it.
pub(super) fn image(mime: &str, data: &[u8], index: u32) -> String {
    let url = serde_json::Value::from(format!("data:{mime};base64,{}", base64(data)));
    format!("{{\"type\":\"image_url\",\"image_url\":{{\"url\":{url}}},\"index\":{index}}}")
}

/// The word for a reason. A refusal is a `stop` where there is a refusal to read.
pub(super) fn word(reason: FinishReason, refused: bool) -> &'static str {
    match reason {
        FinishReason::Stop | FinishReason::Pause => "stop",
        FinishReason::Refusal if refused => "stop",
        FinishReason::Refusal | FinishReason::ContentFilter => "content_filter",
        FinishReason::Length => "length",
        FinishReason::ToolCalls => "tool_calls",
    }
}

/// The provider's own usage object where it spoke this dialect, else one of ours.
pub(super) fn usage_object(usage: &Usage, head: &Head) -> Box<RawValue> {
    #[derive(Serialize)]
    struct Object {
        prompt_tokens: u64,
        completion_tokens: u64,
        total_tokens: u64,
        prompt_tokens_details: Prompt,
        completion_tokens_details: Completion,
    }
    #[derive(Serialize)]
    struct Prompt {
        cached_tokens: u64,
        cache_write_tokens: u64,
    }
    #[derive(Serialize)]
    struct Completion {
        reasoning_tokens: u64,
    }
    let own = head.is_native().then(|| serde_json::from_slice(&usage.native).ok()).flatten();
    own.unwrap_or_else(|| {
        to_raw_value(&Object {
            prompt_tokens: usage.input,
            completion_tokens: usage.output,
            total_tokens: usage.input.saturating_add(usage.output),
            prompt_tokens_details: Prompt {
                cached_tokens: usage.cached_input,
                cache_write_tokens: usage.cache_write,
            },
            completion_tokens_details: Completion { reasoning_tokens: usage.reasoning },
        })
        .expect("numbers become JSON")
    })
}
