//! Lines become events.
//!
//! The end is the line with `done: true`, and nothing else; an error in the stream is a line with `error` and no `done`
//! after it. Tool calls come whole, with an object for arguments, mostly without an id, and under the reason `stop`.

use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;

use super::{
    NAME,
    chunk::{self, Chunk, Tool},
    fail,
};
use crate::{
    dialect::{Decoded, Ending, Flow, split},
    event::{
        Event, Failed, FailureCode, FinishReason, Finished, Kind, Media, Native, Reasoning, RunBy,
        ToolArguments, ToolCall, Usage,
    },
    provider::sse::Payload,
};

#[cfg(test)]
mod tests;

/// Decodes one generation's stream.
#[derive(Debug, Default)]
pub struct Decoder {
    id_stem: String,
    calls: u32,
    media: u32,
    /// `done` has come, with this `done_reason`.
    done: Option<String>,
    usage: Option<Usage>,
    failure: Option<Failed>,
}

impl Decoder {
    /// A decoder at the beginning of a stream. Ids that the provider left out are made from `generation`.
    pub fn new(generation: &str) -> Self {
        // Providers take call ids of up to 40 characters back.
        let plain = generation.strip_prefix("gen_").unwrap_or(generation);
        let id_stem = format!("call_{}", &plain[..plain.floor_char_boundary(24)]);
        Self { id_stem, ..Self::default() }
    }

    /// Reads one payload.
    pub fn decode(&mut self, payload: &Payload, out: &mut Vec<Event>) -> Decoded {
        if self.done.is_none() && self.failure.is_none() {
            match serde_json::from_slice::<Chunk<'_>>(&payload.data) {
                Ok(chunk) => self.chunk(chunk, &payload.data, out),
                Err(error) => self.fail(fail::unreadable(&error)),
            }
        }
        let ended = self.done.is_some() || self.failure.is_some();
        Decoded { flow: if ended { Flow::Ended } else { Flow::More }, ..Decoded::default() }
    }

    /// Says the last events.
    pub fn finish(self, ending: Ending, out: &mut Vec<Event>) {
        out.extend(self.usage.map(|usage| Event::new(Kind::Usage(usage))));
        let failure = self.failure.or(match (ending, &self.done) {
            (Ending::Stopped(failed), _) => Some(failed),
            (_, Some(_)) => None,
            (_, None) => {
                let message = "the provider's stream closed without done: true";
                Some(Failed::new(FailureCode::UpstreamCut, message))
            }
        });
        out.push(Event::new(match failure {
            Some(failed) => Kind::Failed(failed),
            None => {
                let word = self.done.filter(|word| !word.is_empty());
                let reason = match word.as_deref() {
                    Some("length") => FinishReason::Length,
                    _ if self.calls > 0 => FinishReason::ToolCalls,
                    _ => FinishReason::Stop,
                };
                Kind::Finished(Finished { reason, native_reason: word })
            }
        }));
    }

    fn fail(&mut self, failed: Failed) {
        self.failure.get_or_insert(failed);
    }

    fn chunk(&mut self, chunk: Chunk<'_>, line: &[u8], out: &mut Vec<Event>) {
        if let Some(error) = chunk.error.filter(|error| fail::is_error(error)) {
            return self.fail(fail::of(error));
        }
        self.thinking(chunk.thinking, out);
        self.text(chunk.response, out);
        if let Some(message) = chunk.message {
            self.thinking(message.thinking, out);
            self.text(message.content, out);
            for image in message.images.into_iter().flatten() {
                self.image(&image, out);
            }
            for tool in message.tool_calls.into_iter().flatten() {
                self.call(tool, out);
            }
        }
        if let Some(image) = chunk.image {
            self.image(&image, out);
        }
        if let Some(logprobs) = chunk.logprobs.filter(|raw| !matches!(raw.get(), "null" | "[]")) {
            let data = Bytes::copy_from_slice(logprobs.get().as_bytes());
            let (dialect, name) = (NAME.to_owned(), "logprobs".to_owned());
            self.say(Kind::Native(Native { dialect, name, data }), out);
        }
        if chunk.done {
            self.done = Some(chunk.done_reason.unwrap_or_default().into_owned());
            self.usage = chunk::usage(line);
        }
    }

    fn text(&mut self, text: Option<Cow<'_, str>>, out: &mut Vec<Event>) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.say(Kind::Text(text.into_owned()), out);
        }
    }

    fn thinking(&mut self, text: Option<Cow<'_, str>>, out: &mut Vec<Event>) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            let text = text.into_owned();
            self.say(Kind::Reasoning(Reasoning { text, ..Reasoning::default() }), out);
        }
    }

    /// Says a call, which is a new one whatever its index: some servers number every call of a turn with 0.
    fn call(&mut self, tool: Tool<'_>, out: &mut Vec<Event>) {
        let index = self.calls;
        self.calls = self.calls.saturating_add(1);
        let id = tool.id.filter(|id| !id.is_empty()).map(Cow::into_owned);
        let id = id.unwrap_or_else(|| format!("{}_{index}", self.id_stem));
        let function = tool.function.as_ref();
        let name = function.and_then(|function| function.name.as_deref()).unwrap_or_default();
        let arguments = function.map_or_else(|| "{}".to_owned(), |function| function.json());
        let name = name.to_owned();
        self.say(Kind::ToolCall(ToolCall { index, id, name, run_by: RunBy::Client }), out);
        self.say(Kind::ToolArguments(ToolArguments { index, arguments }), out);
    }

    fn image(&mut self, base64: &str, out: &mut Vec<Event>) {
        let Ok(data) = BASE64_STANDARD.decode(base64) else { return };
        if data.is_empty() {
            return;
        }
        let mime = match &data[..] {
            [0xFF, 0xD8, ..] => "image/jpeg",
            [b'R', b'I', b'F', b'F', ..] => "image/webp",
            _ => "image/png",
        };
        let (mime, index) = (mime.to_owned(), self.media);
        self.media = self.media.saturating_add(1);
        self.say(Kind::Media(Media { mime, data: data.into(), index, part: 0, last: true }), out);
    }

    fn say(&mut self, kind: Kind, out: &mut Vec<Event>) {
        if let Err(too_large) = split(Event::new(kind), out) {
            self.fail(Failed::new(FailureCode::Limit, too_large.to_string()));
        }
    }
}

/// Says what a whole body says, its last events included: it is the last line of a stream that has no others.
pub fn decode_whole(generation: &str, body: Bytes, out: &mut Vec<Event>) {
    let mut decoder = Decoder::new(generation);
    decoder.decode(&Payload::of(body), out);
    decoder.finish(Ending::Eof, out);
}
