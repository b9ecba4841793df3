//! A generation's events become one `chat.completion` body.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    NAME, STRAY,
    cite::{Cited, Place, cited},
    details::{Detail, Details},
    encode::{self, Head},
    media::base64,
};
use crate::{
    dialect::Dialect,
    event::{Event, Failed, FailureCode, FinishReason, Kind, Media, Native, RunBy},
};

/// The body for an app that asked without `stream`; a failed generation's failure, or one for a generation without an
/// end.
pub fn encode_whole<'a>(events: impl IntoIterator<Item = &'a Event>) -> Result<Bytes, Failed> {
    let mut folded = Folded::default();
    for event in events {
        if let Kind::Failed(failed) = &event.kind {
            return Err(failed.clone());
        }
        folded.add(event);
        if event.is_terminal() {
            return Ok(folded.body());
        }
    }
    Err(Failed::new(FailureCode::GatewayLost, "the generation has no end"))
}

#[derive(Default)]
struct Folded {
    head: Head,
    choices: BTreeMap<u32, Choice>,
    usage: Option<Box<RawValue>>,
    citations: Vec<Box<RawValue>>,
    /// Top-level members that only the provider's dialect has.
    more: BTreeMap<String, Box<RawValue>>,
}

#[derive(Default)]
struct Choice {
    content: String,
    /// Of the content.
    characters: u64,
    reasoning: String,
    details: Details,
    entries: Vec<Detail>,
    /// Google's signature of what comes next, if that is a call.
    signature: String,
    refusal: String,
    calls: Vec<Call>,
    annotations: Vec<Box<RawValue>>,
    media: Vec<(Media, Vec<u8>)>,
    transcript: String,
    reason: Option<FinishReason>,
}

struct Call {
    index: u32,
    id: String,
    name: String,
    arguments: String,
    signature: String,
}

#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<ChoiceBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    citations: &'a [Box<RawValue>],
    #[serde(flatten)]
    more: &'a BTreeMap<String, Box<RawValue>>,
}

#[derive(Serialize)]
struct ChoiceBody<'a> {
    index: u32,
    message: Message<'a>,
    logprobs: Option<()>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<&'a str>,
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    reasoning_content: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    reasoning_details: &'a [Detail],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<CallBody<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    annotations: &'a [Box<RawValue>],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio: Option<Audio<'a>>,
}

#[derive(Serialize)]
struct CallBody<'a> {
    id: &'a str,
    r#type: &'static str,
    function: Function<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<encode::Extra<'a>>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: &'a str,
}

#[derive(Serialize)]
struct Audio<'a> {
    data: String,
    transcript: &'a str,
}

impl Folded {
    fn add(&mut self, event: &Event) {
        let choice = self.choices.entry(event.choice).or_default();
        let signature = std::mem::take(&mut choice.signature);
        match &event.kind {
            Kind::Started(started) => self.head = Head::of(started),
            Kind::Text(text) => {
                choice.content += text;
                choice.characters += text.chars().count() as u64;
            }
            Kind::Refusal(text) => choice.refusal += text,
            Kind::Reasoning(part) => {
                choice.reasoning += &part.text;
                let origin = self.head.origin;
                let pieces = choice.details.of(part, origin);
                pieces.into_iter().for_each(|piece| piece.add_to(&mut choice.entries));
                if origin == Some(Dialect::Gemini) && part.text.is_empty() {
                    choice.signature.clone_from(&part.signature);
                }
            }
            Kind::ToolCall(call) if call.run_by == RunBy::Client => choice.calls.push(Call {
                index: call.index,
                id: call.id.clone(),
                name: call.name.clone(),
                arguments: String::new(),
                signature,
            }),
            Kind::ToolArguments(part) => {
                if let Some(call) = choice.calls.iter_mut().find(|call| call.index == part.index) {
                    call.arguments += &part.arguments;
                }
            }
            Kind::Citation(source) => {
                let characters = choice.characters;
                let index = u32::try_from(choice.annotations.len()).unwrap_or(u32::MAX);
                match cited(source, self.head.is_native(), Place { characters, index }) {
                    Some(Cited::Annotation(raw)) => choice.annotations.push(raw),
                    Some(Cited::Source(raw)) => self.citations.push(raw),
                    None => {}
                }
            }
            Kind::Media(media) => {
                let open = choice.media.iter_mut().find(|(begun, _)| begun.index == media.index);
                match open {
                    Some((_, data)) => data.extend_from_slice(&media.data),
                    None => choice.media.push((media.clone(), media.data.to_vec())),
                }
            }
            Kind::Usage(usage) => self.usage = Some(encode::usage_object(usage, &self.head)),
            Kind::ChoiceFinished(end) => choice.reason = Some(end.reason),
            Kind::Finished(end) => {
                choice.reason.get_or_insert(end.reason);
            }
            Kind::Native(native) if native.dialect == NAME => self.native(event.choice, native),
            Kind::Resumed(resumed) => self.head.origin = Dialect::parse(&resumed.dialect),
            Kind::ToolCall(_) | Kind::Failed(_) | Kind::Custom(_) | Kind::Native(_) => {}
        }
    }

    fn native(&mut self, choice: u32, native: &Native) {
        #[derive(serde::Deserialize)]
        struct Spoken {
            transcript: String,
        }
        if native.name == "delta.audio" {
            if let Ok(Spoken { transcript }) = serde_json::from_slice(&native.data) {
                self.choices.entry(choice).or_default().transcript += &transcript;
            }
        } else if !native.name.contains('.')
            && native.name != STRAY
            && let Ok(value) = serde_json::from_slice(&native.data)
        {
            self.more.insert(native.name.clone(), value);
        }
    }

    fn body(&self) -> Bytes {
        let Head { id, created, model, .. } = &self.head;
        let body = Body {
            id,
            object: "chat.completion",
            created: *created,
            model,
            choices: self.choices.iter().map(|(&index, choice)| choice.body(index)).collect(),
            usage: self.usage.as_deref(),
            citations: &self.citations,
            more: &self.more,
        };
        serde_json::to_vec(&body).expect("strings and numbers become JSON").into()
    }
}

impl Call {
    fn body(&self) -> CallBody<'_> {
        let function = Function { name: &self.name, arguments: &self.arguments };
        let extra_content = encode::Extra::of(&self.signature);
        CallBody { id: &self.id, r#type: "function", function, extra_content }
    }
}

impl Choice {
    fn body(&self, index: u32) -> ChoiceBody<'_> {
        let some = |text| Some(text).filter(|text: &&str| !text.is_empty());
        let (images, sounds): (Vec<_>, Vec<_>) =
            self.media.iter().partition(|(media, _)| media.mime.starts_with("image/"));
        let image = |(number, (media, data)): (u32, &(Media, Vec<u8>))| {
            let text = encode::image(&media.mime, data, number);
            RawValue::from_string(text).expect("written as JSON")
        };
        let audio = sounds.first().map(|(_, data)| base64(data));
        let audio = audio.or_else(|| some(&self.transcript).map(|_| String::new()));
        let refused = !self.refusal.is_empty();
        // Without an end of its own a choice ended with the generation.
        let reason = self.reason.unwrap_or(FinishReason::Stop);
        ChoiceBody {
            index,
            message: Message {
                role: "assistant",
                content: some(&self.content),
                refusal: some(&self.refusal),
                reasoning_content: &self.reasoning,
                reasoning_details: &self.entries,
                tool_calls: self.calls.iter().map(Call::body).collect(),
                annotations: &self.annotations,
                images: (0..).zip(images).map(image).collect(),
                audio: audio.map(|data| Audio { data, transcript: &self.transcript }),
            },
            logprobs: None,
            finish_reason: encode::word(reason, refused),
        }
    }
}
