//! How a provider's bytes are cut into payloads, without I/O.
//!
//! Server-sent events mostly; a JSON array from Gemini, lines from Ollama, Amazon's binary event stream from Bedrock. What
//! a payload means is `dialect`'s.

pub mod event_stream;
mod json_array;
mod lines;

use bytes::Bytes;
use thiserror::Error;

use super::sse;
pub use super::sse::{Item, Payload};

pub use event_stream::EventStream;
pub use json_array::JsonArray;
pub use lines::Lines;

/// One stream's framing.
#[derive(Debug)]
pub enum Framing {
    /// `text/event-stream`.
    Sse(sse::Decoder),
    /// `application/json` whose elements come one by one.
    JsonArray(JsonArray),
    /// `application/x-ndjson`.
    Lines(Lines),
    /// `application/vnd.amazon.eventstream`.
    EventStream(EventStream),
}

/// Why a stream cannot be read on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FramingError {
    /// A payload is longer than the bound.
    #[error("an event of the provider's stream exceeds {limit} bytes")]
    TooLong {
        /// The bound, in bytes.
        limit: usize,
    },
    /// The bytes are not in this framing.
    #[error("the provider's stream cannot be read: {0}")]
    Malformed(String),
}

impl From<sse::EventTooLong> for FramingError {
    fn from(error: sse::EventTooLong) -> Self {
        Self::TooLong { limit: error.limit }
    }
}

impl Framing {
    /// The framing of a content type; `None` if a body of this type is no stream. `arrays`: a stream may be a JSON array.
    pub fn of(content_type: &str, arrays: bool) -> Option<Self> {
        let mime = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match mime.as_str() {
            "text/event-stream" => Some(Self::Sse(sse::Decoder::new())),
            "application/x-ndjson" => Some(Self::Lines(Lines::default())),
            "application/vnd.amazon.eventstream" => Some(Self::EventStream(EventStream::default())),
            "application/json" if arrays => Some(Self::JsonArray(JsonArray::default())),
            _ => None,
        }
    }

    /// Takes the stream's next bytes. Call [`next`](Self::next) until it gives nothing before the next push.
    pub fn push(&mut self, bytes: Bytes) {
        match self {
            Self::Sse(framing) => framing.push(bytes),
            Self::JsonArray(framing) => framing.push(bytes),
            Self::Lines(framing) => framing.push(bytes),
            Self::EventStream(framing) => framing.push(bytes),
        }
    }

    /// The next item, or `None` until more bytes are pushed. After an error, every call gives it again.
    #[expect(clippy::should_implement_trait, reason = "more may come after None, and it can fail")]
    pub fn next(&mut self) -> Result<Option<Item>, FramingError> {
        match self {
            Self::Sse(framing) => Ok(framing.next()?),
            Self::JsonArray(framing) => framing.next(),
            Self::Lines(framing) => framing.next(),
            Self::EventStream(framing) => framing.next(),
        }
    }

    /// The stream is over: a last payload that lacks only its terminator, or the sign that a frame was cut.
    pub fn finish(self) -> Option<Payload> {
        match self {
            Self::Sse(framing) => framing.finish(),
            Self::Lines(framing) => framing.finish(),
            Self::EventStream(framing) => framing.finish(),
            Self::JsonArray(_) => None,
        }
    }

    /// Whether the framing has an end of its own and that is still to come: a stream that closes now was cut, whatever
    /// its payloads said.
    pub fn is_open(&self) -> bool {
        match self {
            Self::JsonArray(framing) => framing.is_open(),
            Self::Sse(_) | Self::Lines(_) | Self::EventStream(_) => false,
        }
    }
}
