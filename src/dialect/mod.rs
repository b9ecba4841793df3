//! What providers and apps mean by their bytes: payloads become events, events become payloads.
//!
//! Pure: bytes and events in, events and bytes out; no I/O, no clock. A dialect is a variant of [`Dialect`] and a module
//! of its own. Provider dialects come in as [`Decoder`]; what goes out to apps is [`AppDialect`]'s. No dialect knows
//! another: answers meet in the events, requests in the [`Call`].

pub mod anthropic;
pub mod bedrock;
pub mod call;
pub mod gemini;
pub mod ollama;
pub mod openai;
pub mod responses;

mod app;
mod body;
mod continuation;
mod ledger;
mod named;
mod object;
#[cfg(test)]
mod recorded;
mod seal;
mod split;

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;

use crate::{
    event::{Event, Failed},
    provider::{framing::Framing, sse::Payload},
};

pub use app::{AppDialect, AppRequest, Asked, Encoder, ErrorBody, Wire};
pub use body::BadRequest;
pub use call::{Call, Unsayable, Upstream};
pub use continuation::{Continuation, Joint};
pub use named::Named;
pub use seal::{Sealed, seal, unseal};
pub use split::{TooLarge, split};

/// A wire format for which there is a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI's Chat Completions, as spoken by OpenAI and everybody compatible.
    OpenAi,
    /// OpenAI's Responses.
    Responses,
    /// Anthropic's Messages.
    Anthropic,
    /// Google's Gemini.
    Gemini,
    /// Ollama's own.
    Ollama,
    /// Amazon Bedrock's ConverseStream, and Anthropic's Messages inside Bedrock's InvokeModel.
    Bedrock,
}

/// Whether the provider is to stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streaming {
    /// As the app asked.
    AsAsked,
    /// In any case: the call is detached, or its channel is named.
    Always,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::OpenAi, Self::Responses, Self::Anthropic, Self::Gemini, Self::Ollama, Self::Bedrock];

    /// The word for it in configuration and in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Responses => "responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
            Self::Bedrock => "bedrock",
        }
    }

    /// The dialect of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.as_str() == word)
    }

    /// How a stream of this content type is cut into payloads; `None` if a body of this type is no stream.
    pub fn framing(self, content_type: &str) -> Option<Framing> {
        Framing::of(content_type, self == Self::Gemini)
    }

    /// Says what a whole body says, its last events included.
    pub fn decode_whole(self, generation: &str, body: Bytes, out: &mut Vec<Event>) {
        let body = as_text(&body).unwrap_or(body);
        match self {
            Self::OpenAi => openai::decode_whole(generation, body, out),
            Self::Responses => responses::decode_whole(generation, body, out),
            Self::Anthropic => anthropic::decode_whole(generation, body, out),
            Self::Gemini => gemini::decode_whole(generation, body, out),
            Self::Ollama => ollama::decode_whole(generation, body, out),
            Self::Bedrock => bedrock::decode_whole(generation, body, out),
        }
    }

    /// Whether an app's SDK raises an error on this payload of a stream.
    pub fn tells_failure(self, data: &[u8]) -> bool {
        match self {
            Self::OpenAi => openai::tells_failure(data),
            Self::Responses => responses::tells_failure(data),
            Self::Anthropic => anthropic::tells_failure(data),
            Self::Gemini => gemini::tells_failure(data),
            Self::Ollama => ollama::tells_failure(data),
            Self::Bedrock => bedrock::tells_failure(data),
        }
    }

    /// The failure that an HTTP error means: the answer's status and its body.
    pub fn failure(self, status: u16, body: &[u8]) -> Failed {
        match self {
            Self::OpenAi => openai::failure(status, body),
            Self::Responses => responses::failure(status, body),
            Self::Anthropic => anthropic::failure(status, body),
            Self::Gemini => gemini::failure(status, body),
            Self::Ollama => ollama::failure(status, body),
            Self::Bedrock => bedrock::failure(status, body),
        }
    }

    /// When trying again can help, where the body of an HTTP error says so and not a header.
    pub fn retry_after(self, body: &[u8]) -> Option<Duration> {
        match self {
            Self::Gemini => gemini::retry_after(body),
            _ => None,
        }
    }

    /// A decoder for one generation's stream. Ids that the provider left out are made from the generation's.
    pub fn decoder(self, generation: &str) -> Decoder {
        match self {
            Self::OpenAi => Decoder::OpenAi(openai::Decoder::new(generation)),
            Self::Responses => Decoder::Responses(responses::Decoder::new(generation)),
            Self::Anthropic => Decoder::Anthropic(anthropic::Decoder::new(generation)),
            Self::Gemini => Decoder::Gemini(gemini::Decoder::new(generation)),
            Self::Ollama => Decoder::Ollama(ollama::Decoder::new(generation)),
            Self::Bedrock => Decoder::Bedrock(bedrock::Decoder::new(generation)),
        }
    }
}

/// Turns one generation's payloads into events.
#[derive(Debug)]
pub enum Decoder {
    /// OpenAI's Chat Completions.
    OpenAi(openai::Decoder),
    /// OpenAI's Responses.
    Responses(responses::Decoder),
    /// Anthropic's Messages.
    Anthropic(anthropic::Decoder),
    /// Google's Gemini.
    Gemini(gemini::Decoder),
    /// Ollama's own.
    Ollama(ollama::Decoder),
    /// Amazon Bedrock's.
    Bedrock(bedrock::Decoder),
}

impl Decoder {
    /// Reads one payload. The events it says are added to `out`; the generation's last ones wait for
    /// [`finish`](Self::finish).
    pub fn decode(&mut self, payload: &Payload, out: &mut Vec<Event>) -> Decoded {
        let mended = as_text(&payload.data).map(|data| Payload { data, ..payload.clone() });
        let payload = mended.as_ref().unwrap_or(payload);
        match self {
            Self::OpenAi(decoder) => decoder.decode(payload, out),
            Self::Responses(decoder) => decoder.decode(payload, out),
            Self::Anthropic(decoder) => decoder.decode(payload, out),
            Self::Gemini(decoder) => decoder.decode(payload, out),
            Self::Ollama(decoder) => decoder.decode(payload, out),
            Self::Bedrock(decoder) => decoder.decode(payload, out),
        }
    }

    /// Says the generation's last events: what was held back, usage if the provider gave any, then exactly one
    /// `Finished` or `Failed`.
    pub fn finish(self, ending: Ending, out: &mut Vec<Event>) {
        match self {
            Self::OpenAi(decoder) => decoder.finish(ending, out),
            Self::Responses(decoder) => decoder.finish(ending, out),
            Self::Anthropic(decoder) => decoder.finish(ending, out),
            Self::Gemini(decoder) => decoder.finish(ending, out),
            Self::Ollama(decoder) => decoder.finish(ending, out),
            Self::Bedrock(decoder) => decoder.finish(ending, out),
        }
    }
}

/// The same as UTF-8, what is none being U+FFFD; `None` where it is UTF-8 already. The library does not look into members
/// that nobody reads, and such a payload would pass whole to apps whose parsers do.
fn as_text(data: &Bytes) -> Option<Bytes> {
    match String::from_utf8_lossy(data) {
        Cow::Borrowed(_) => None,
        Cow::Owned(text) => Some(text.into()),
    }
}

/// What a payload was, beside the events it said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Where the stream stands after it.
    pub flow: Flow,
    /// It exists only because usage was asked for: withheld from an app that did not ask.
    pub usage_only: bool,
    /// It is a sign of life and nothing more: no progress to the idle clock.
    pub ping: bool,
}

/// Where a stream stands. Each payload says it anew: `More` may follow `FinishSeen`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// Something is still to come.
    #[default]
    More,
    /// Everything seen so far has ended; usage and the terminator may follow, or the stream may just close.
    FinishSeen,
    /// The dialect's end, or an error in the stream: nothing that follows counts.
    Ended,
}

/// How a stream came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A payload said [`Flow::Ended`].
    Terminator,
    /// The stream closed, or nothing more came in time after [`Flow::FinishSeen`].
    Eof,
    /// It was stopped from outside: cancelled, timed out, a limit.
    Stopped(Failed),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Kind, Native};

    #[test]
    fn what_passes_whole_is_text_whatever_the_provider_sent() {
        let sent = Bytes::from_static(b"{\"later\":\"a\xffb\"}");
        for dialect in Dialect::ALL {
            let (mut decoder, mut out) = (dialect.decoder("gen_x"), Vec::new());
            decoder.decode(&Payload::of(sent.clone()), &mut out);
            decoder.finish(Ending::Eof, &mut out);
            dialect.decode_whole("gen_x", sent.clone(), &mut out);
            for event in out {
                if let Kind::Native(Native { data, .. }) = event.kind {
                    assert!(str::from_utf8(&data).is_ok(), "{}", dialect.as_str());
                }
            }
        }
    }

    #[test]
    fn a_conversation_of_very_many_results_is_read_in_time() {
        const MANY: usize = 40_000;
        let list = |one: &dyn Fn(usize) -> String| {
            let all: Vec<_> = (0..MANY).map(one).collect();
            all.join(",")
        };
        let calls =
            list(&|at| format!(r#"{{"type":"tool_use","id":"c{at}","name":"f","input":{{}}}}"#));
        let results = list(&|at| format!(r#"{{"type":"tool_result","tool_use_id":"r{at}"}}"#));
        let body = format!(
            r#"{{"model":"m","max_tokens":1,"messages":[{{"role":"assistant","content":[{calls}]}},{{"role":"user","content":[{results}]}}]}}"#
        );
        let anthropic = anthropic::Request::read(body.into()).expect("an object").call();
        let calls = list(&|at| {
            format!(r#"{{"type":"function_call","call_id":"c{at}","name":"f","arguments":"{{}}"}}"#)
        });
        let results = list(&|at| {
            format!(r#"{{"type":"function_call_output","call_id":"r{at}","output":""}}"#)
        });
        let body = format!(r#"{{"model":"m","input":[{calls},{results}]}}"#);
        let responses = responses::Request::read(body.into()).expect("an object").call();
        let calls = list(&|_| r#"{"functionCall":{"name":"f","args":{}}}"#.to_owned());
        let results = list(&|_| r#"{"functionResponse":{"name":"f","response":{}}}"#.to_owned());
        let body = format!(
            r#"{{"contents":[{{"role":"model","parts":[{calls}]}},{{"role":"user","parts":[{results}]}}]}}"#
        );
        let gemini = gemini::Request::read("m", false, body.into()).expect("an object").call();
        for call in [anthropic, responses, gemini] {
            assert_eq!(call.expect("a call").turns[1].parts.len(), MANY);
        }
    }
}
