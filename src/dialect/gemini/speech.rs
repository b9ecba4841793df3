//! What a generation's events come to in Google's words, piece by piece; `encode` frames the pieces as a stream's chunks,
//! `whole` gathers them.
//!
//! Google's words are coarser than ours: a call comes whole, a signature sits on the part that it signs, a medium is one
//! part. So this holds back what is not complete, within a bound.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{
    NAME, base64, finish,
    pending::{Pending, Queue},
    sources, usage,
};
use crate::{
    dialect::{Dialect, Sealed, seal},
    event::{
        Event, Failed, FailureCode, FinishReason, Finished, Kind, Media, Native, Reasoning, RunBy,
        Started, Usage,
    },
};

/// The most that is held back of calls and media that are not complete: as much as the longest payload.
const HELD_BYTES_MAX: usize = crate::provider::sse::EVENT_BYTES_MAX;

/// What every payload of a generation repeats.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    pub id: String,
    pub model: String,
}

/// Something said.
#[derive(Debug)]
pub(super) enum Piece {
    /// A part of a candidate's content.
    Part(u32, Part),
    /// A member of a candidate, beside its content.
    Member(u32, String, Bytes),
    /// A source, as one of Google's `groundingChunks`.
    Source(u32, String),
    /// A member of the payload itself.
    Top(String, Bytes),
    /// A candidate ended: `finishReason`, and what there is to say about it.
    Finish(u32, String, Option<String>),
    /// The answer ended, with usage.
    End(Option<Box<RawValue>>),
    /// The generation failed. Nothing follows.
    Failed(Failed),
}

/// A part.
#[derive(Debug)]
pub(super) struct Part {
    pub content: Content,
    /// `thoughtSignature`; empty where there is none.
    pub signature: String,
}

/// What a part is.
#[derive(Debug)]
pub(super) enum Content {
    Text {
        text: String,
        thought: bool,
    },
    /// A call; its arguments are a JSON object.
    Call {
        id: String,
        name: String,
        arguments: String,
    },
    Media {
        mime: String,
        data: Bytes,
    },
    /// A member that only this dialect has.
    Member(String, Bytes),
    /// A whole part that only this dialect has.
    Whole(Bytes),
}

/// One generation, as far as it has come.
#[derive(Debug)]
pub(super) struct Speech {
    pub head: Head,
    /// Who speaks, where it is a dialect that is known.
    origin: Option<Dialect>,
    choices: BTreeMap<u32, Choice>,
    /// Media that are still coming, by their index.
    media: BTreeMap<u32, (String, Vec<u8>)>,
    usage: Option<Usage>,
    /// The prompt was not answered, and the app has been told why.
    blocked: bool,
    held_bytes: usize,
    over: bool,
}

#[derive(Debug, Default)]
struct Choice {
    calls: Queue,
    /// A signature whose part is not known yet.
    signature: String,
    /// What was said last was a thought.
    thinking: bool,
    finished: bool,
}

impl Speech {
    pub(super) fn new() -> Self {
        Self {
            head: Head::default(),
            origin: None,
            choices: BTreeMap::new(),
            media: BTreeMap::new(),
            usage: None,
            blocked: false,
            held_bytes: 0,
            over: false,
        }
    }

    /// Adds what `event` says to `out`.
    pub(super) fn say(&mut self, event: &Event, out: &mut Vec<Piece>) {
        if self.over {
            return;
        }
        let choice = event.choice;
        match &event.kind {
            Kind::Started(Started { id, model, dialect, .. }) => {
                self.head = Head { id: id.clone(), model: model.clone() };
                self.origin = Dialect::parse(dialect);
            }
            Kind::Text(text) | Kind::Refusal(text) => {
                self.part(choice, Content::Text { text: text.clone(), thought: false }, out);
            }
            Kind::Reasoning(part) => self.reasoning(choice, part, out),
            Kind::ToolCall(call) if call.run_by == RunBy::Client => {
                let state = self.choices.entry(choice).or_default();
                let pending = Pending::new(call, std::mem::take(&mut state.signature));
                let bytes = pending.bytes();
                state.calls.push(pending);
                self.hold(bytes, out);
            }
            Kind::ToolArguments(part) => {
                let state = self.choices.entry(choice).or_default();
                if state.calls.add(part) {
                    self.hold(part.arguments.len(), out);
                    self.calls(choice, out);
                }
            }
            Kind::Media(media) => self.media(choice, media, out),
            // Google's own come in their place in `groundingMetadata`, which passes whole.
            Kind::Citation(source) if self.origin != Some(Dialect::Gemini) => {
                out.extend(sources::chunk(source).map(|chunk| Piece::Source(choice, chunk)));
            }
            Kind::Usage(usage) => self.usage = Some(usage.clone()),
            Kind::ChoiceFinished(end) => self.finish(choice, end, out),
            Kind::Finished(end) => {
                let told = self.blocked && self.choices.is_empty();
                if !told && !self.choices.get(&choice).is_some_and(|it| it.finished) {
                    self.finish(choice, end, out);
                }
                let own = self.origin == Some(Dialect::Gemini);
                let usage = self.usage.take().map(|usage| usage::write(&usage, own));
                out.push(Piece::End(usage));
                self.over = true;
            }
            Kind::Failed(failed) => self.fail(failed.clone(), out),
            Kind::Native(native) if native.dialect == NAME => self.native(choice, native, out),
            Kind::Resumed(resumed) => {
                self.void();
                self.origin = Dialect::parse(&resumed.dialect);
            }
            Kind::ToolCall(_) | Kind::Citation(_) | Kind::Custom(_) | Kind::Native(_) => {}
        }
    }

    /// Another target goes on: what the broken one had only half said is void.
    fn void(&mut self) {
        for choice in self.choices.values_mut() {
            choice.calls = Queue::default();
            choice.signature = String::new();
        }
        self.media = BTreeMap::new();
        self.held_bytes = 0;
    }

    /// A part, with the signature that was waiting for one if it can have it.
    fn part(&mut self, choice: u32, content: Content, out: &mut Vec<Piece>) {
        let state = self.choices.entry(choice).or_default();
        let mut signature = std::mem::take(&mut state.signature);
        let takes = matches!(content, Content::Member(..) | Content::Media { .. });
        if !signature.is_empty() && !takes {
            // It signed what came before: a stream says that with an empty part.
            let text = Content::Text { text: String::new(), thought: state.thinking };
            let signature = std::mem::take(&mut signature);
            out.push(Piece::Part(choice, Part { content: text, signature }));
        }
        state.thinking = matches!(content, Content::Text { thought: true, .. });
        out.push(Piece::Part(choice, Part { content, signature }));
    }

    /// The waiting signature is that of what was said last.
    fn flush_signature(&mut self, choice: u32, out: &mut Vec<Piece>) {
        let state = self.choices.entry(choice).or_default();
        let signature = std::mem::take(&mut state.signature);
        if !signature.is_empty() {
            let content = Content::Text { text: String::new(), thought: state.thinking };
            out.push(Piece::Part(choice, Part { content, signature }));
        }
    }

    fn reasoning(&mut self, choice: u32, part: &Reasoning, out: &mut Vec<Piece>) {
        if !part.text.is_empty() {
            let text = part.text.clone();
            self.part(choice, Content::Text { text, thought: true }, out);
        }
        let own = self.origin == Some(Dialect::Gemini);
        for (what, content) in
            [(Sealed::Signature, &part.signature), (Sealed::Encrypted, &part.encrypted)]
        {
            if content.is_empty() {
                continue;
            }
            self.flush_signature(choice, out);
            if own {
                // Directly before a call it is that call's; wait and see.
                self.choices.entry(choice).or_default().signature = content.clone();
            } else if let Some(origin) = self.origin {
                // Others sign thoughts only.
                let signature = seal(origin, what, content);
                let content = Content::Text { text: String::new(), thought: true };
                out.push(Piece::Part(choice, Part { content, signature }));
                self.choices.entry(choice).or_default().thinking = true;
            }
        }
    }

    /// Says the calls that are complete, in their order.
    fn calls(&mut self, choice: u32, out: &mut Vec<Piece>) {
        let state = self.choices.entry(choice).or_default();
        while let Some(call) = state.calls.next_complete() {
            self.held_bytes = self.held_bytes.saturating_sub(call.bytes());
            state.thinking = false;
            out.push(Piece::Part(choice, call.part()));
        }
    }

    fn media(&mut self, choice: u32, media: &Media, out: &mut Vec<Piece>) {
        self.hold(media.data.len(), out);
        if self.over {
            return;
        }
        let empty = || (media.mime.clone(), Vec::new());
        self.media.entry(media.index).or_insert_with(empty).1.extend_from_slice(&media.data);
        if !media.last {
            return;
        }
        if let Some((mime, data)) = self.media.remove(&media.index) {
            self.held_bytes = self.held_bytes.saturating_sub(data.len());
            self.part(choice, Content::Media { mime, data: data.into() }, out);
        }
    }

    /// Parts and members go out as they came, in their place.
    fn native(&mut self, choice: u32, native: &Native, out: &mut Vec<Piece>) {
        if serde_json::from_slice::<&RawValue>(&native.data).is_err() {
            return;
        }
        let (name, data) = (native.name.clone(), native.data.clone());
        match &*native.name {
            "executableCode" | "codeExecutionResult" => {
                self.part(choice, Content::Member(name, data), out);
            }
            "part" => self.part(choice, Content::Whole(data), out),
            "promptFeedback" => {
                self.blocked = true;
                out.push(Piece::Top(name, data));
            }
            "chunk" | "stray" => {}
            _ => out.push(Piece::Member(choice, name, data)),
        }
    }

    fn finish(&mut self, choice: u32, end: &Finished, out: &mut Vec<Piece>) {
        self.calls(choice, out);
        let state = self.choices.entry(choice).or_default();
        let mut broken = None;
        while let Some(call) = state.calls.take() {
            self.held_bytes = self.held_bytes.saturating_sub(call.bytes());
            match call.is_bare() || call.is_object() {
                true => out.push(Piece::Part(choice, call.part())),
                false => broken = Some(call.name),
            }
        }
        state.finished = true;
        self.flush_signature(choice, out);
        let own = end.native_reason.as_ref().filter(|_| self.origin == Some(Dialect::Gemini));
        let mut word = own.map_or_else(|| finish::word(end.reason).to_owned(), String::clone);
        // A call that was cut off must not run, and is not passed over in silence.
        let message = broken.map(|name| {
            if end.reason != FinishReason::Length {
                finish::MALFORMED_CALL.clone_into(&mut word);
            }
            format!("the arguments of the call to {name} are not a JSON object and were left out")
        });
        out.push(Piece::Finish(choice, word, message));
    }

    fn hold(&mut self, bytes: usize, out: &mut Vec<Piece>) {
        self.held_bytes += bytes;
        if self.held_bytes > HELD_BYTES_MAX {
            let message = format!("an incomplete call or medium exceeds {HELD_BYTES_MAX} bytes");
            self.fail(Failed::new(FailureCode::Limit, message), out);
        }
    }

    fn fail(&mut self, failed: Failed, out: &mut Vec<Piece>) {
        self.over = true;
        self.media = BTreeMap::new();
        self.choices = BTreeMap::new();
        out.push(Piece::Failed(failed));
    }
}

/// A part as JSON.
pub(super) fn part(part: &Part) -> String {
    use crate::dialect::body::json;
    let Part { content, signature } = part;
    let mut text = match content {
        Content::Text { text, thought: false } => format!("{{\"text\":{}", json(text)),
        Content::Text { text, thought: true } => {
            format!("{{\"text\":{},\"thought\":true", json(text))
        }
        Content::Call { id, name, arguments } => format!(
            "{{\"functionCall\":{{\"id\":{},\"name\":{},\"args\":{arguments}}}",
            json(id),
            json(name)
        ),
        Content::Media { mime, data } => format!(
            "{{\"inlineData\":{{\"mimeType\":{},\"data\":\"{}\"}}",
            json(mime),
            base64::encode(data)
        ),
        Content::Member(name, data) => {
            format!("{{{}:{}", json(name), String::from_utf8_lossy(data))
        }
        Content::Whole(data) => return String::from_utf8_lossy(data).into_owned(),
    };
    if !signature.is_empty() {
        text += &format!(",\"thoughtSignature\":{}", json(signature));
    }
    text + "}"
}
