//! A stream of event-stream payloads becomes events.
//!
//! `converse-stream` names its events. `invoke-with-response-stream` wraps the model's own in `chunk`s of base64:
//! Anthropic's are its own decoder's, and Nova's are ConverseStream's under their names. The wrapping's `p` is padding.

use std::borrow::Cow;

use base64::Engine;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    converse::{BASE64, Converse},
    fail,
};
use crate::{
    dialect::{Decoded, Ending, anthropic},
    event::{Event, Failed, FailureCode},
    provider::{
        framing::event_stream::{CUT, ERROR, EXCEPTION},
        sse::Payload,
    },
};

#[cfg(test)]
mod tests;

/// Decodes one generation's stream.
#[derive(Debug)]
pub struct Decoder {
    generation: String,
    converse: Converse,
    /// Once the chunks turned out to be Anthropic's.
    anthropic: Option<Box<anthropic::Decoder>>,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    bytes: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Inner<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
}

/// Nova's events, one in each object.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Nova<'a> {
    #[serde(borrow)]
    message_start: Option<&'a RawValue>,
    #[serde(borrow)]
    content_block_start: Option<&'a RawValue>,
    #[serde(borrow)]
    content_block_delta: Option<&'a RawValue>,
    #[serde(borrow)]
    content_block_stop: Option<&'a RawValue>,
    #[serde(borrow)]
    message_stop: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    pub fn new(generation: &str) -> Self {
        let converse = Converse::new(generation);
        Self { generation: generation.to_owned(), converse, anthropic: None }
    }

    /// Reads one payload.
    pub fn decode(&mut self, payload: &Payload, out: &mut Vec<Event>) -> Decoded {
        let name = payload.name();
        if let Some(kind) = name.strip_prefix(EXCEPTION).or_else(|| name.strip_prefix(ERROR)) {
            self.converse.fail(fail::exception(kind, &payload.data));
        } else if name == CUT {
            let message = "the provider's stream closed in the middle of an event";
            self.converse.fail(Failed::new(FailureCode::UpstreamCut, message));
        } else if name == "chunk" {
            return self.chunk(&payload.data, out);
        } else {
            self.converse.event(name, &payload.data, out);
        }
        self.stands()
    }

    /// Says the last events.
    pub fn finish(mut self, ending: Ending, out: &mut Vec<Event>) {
        match self.anthropic {
            Some(decoder) => {
                let ending = self.converse.take_failure().map_or(ending, Ending::Stopped);
                decoder.finish(ending, out);
            }
            None => self.converse.finish(ending, out),
        }
    }

    fn stands(&self) -> Decoded {
        Decoded { flow: self.converse.flow(), ..Decoded::default() }
    }

    fn chunk(&mut self, data: &[u8], out: &mut Vec<Event>) -> Decoded {
        let chunk = serde_json::from_slice::<Chunk<'_>>(data);
        let bytes = match chunk.map(|chunk| BASE64.decode(&*chunk.bytes.unwrap_or_default())) {
            // What is no text within base64 was not seen to be none before.
            Ok(Ok(bytes)) => match String::from_utf8(bytes) {
                Ok(text) => Bytes::from(text),
                Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned().into(),
            },
            Ok(Err(_)) => {
                let message = "the provider sent a chunk that is not base64";
                self.converse.fail(Failed::new(FailureCode::UpstreamError, message));
                return self.stands();
            }
            Err(error) => {
                self.converse.fail(fail::unreadable(&error));
                return self.stands();
            }
        };
        match serde_json::from_slice::<Inner<'_>>(&bytes) {
            Ok(Inner { kind: Some(kind) }) => {
                let generation = &self.generation;
                let decoder = self
                    .anthropic
                    .get_or_insert_with(|| Box::new(anthropic::Decoder::new(generation)));
                let event = Bytes::copy_from_slice(kind.as_bytes());
                return decoder.decode(&Payload { event, ..Payload::of(bytes.clone()) }, out);
            }
            Ok(Inner { kind: None }) => self.nova(bytes, out),
            Err(error) => self.converse.fail(fail::unreadable(&error)),
        }
        self.stands()
    }

    fn nova(&mut self, bytes: Bytes, out: &mut Vec<Event>) {
        let nova = match serde_json::from_slice::<Nova<'_>>(&bytes) {
            Ok(nova) => nova,
            Err(error) => return self.converse.fail(fail::unreadable(&error)),
        };
        let events = [
            ("messageStart", nova.message_start),
            ("contentBlockStart", nova.content_block_start),
            ("contentBlockDelta", nova.content_block_delta),
            ("contentBlockStop", nova.content_block_stop),
            ("messageStop", nova.message_stop),
            ("metadata", nova.metadata),
        ];
        match events.into_iter().find_map(|(name, event)| event.map(|event| (name, event))) {
            Some((name, event)) => self.converse.event(name, event.get().as_bytes(), out),
            None => self.converse.event("chunk", &bytes, out),
        }
    }
}
