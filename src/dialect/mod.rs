//! What providers and apps mean by their bytes: payloads become events, events become payloads.
//!
//! Pure: bytes and events in, events and bytes out; no I/O, no clock. A dialect is a variant of [`Dialect`] and a module
//! of its own. Provider dialects come in as [`Decoder`]; what goes out to apps (and how their requests are edited) is
//! each dialect's own, because no two have the same shape.

pub mod openai;

mod split;

use bytes::Bytes;

use crate::{
    event::{Event, Failed},
    provider::sse::Payload,
};

pub use split::{TooLarge, split};

/// A wire format for which there is a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI's Chat Completions, as spoken by OpenAI and everybody compatible.
    OpenAi,
}

impl Dialect {
    /// The word for it in configuration and in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
        }
    }

    /// Says what a whole body says, its last events included.
    pub fn decode_whole(self, generation: &str, body: Bytes, out: &mut Vec<Event>) {
        match self {
            Self::OpenAi => openai::decode_whole(generation, body, out),
        }
    }

    /// Whether an app's SDK raises an error on this payload of a stream.
    pub fn tells_failure(self, data: &[u8]) -> bool {
        match self {
            Self::OpenAi => openai::tells_failure(data),
        }
    }

    /// The failure that an HTTP error means: the answer's status and its body.
    pub fn failure(self, status: u16, body: &[u8]) -> Failed {
        match self {
            Self::OpenAi => openai::failure(status, body),
        }
    }

    /// A decoder for one generation's stream. Ids that the provider left out are made from the generation's.
    pub fn decoder(self, generation: &str) -> Decoder {
        match self {
            Self::OpenAi => Decoder::OpenAi(openai::Decoder::new(generation)),
        }
    }
}

/// Turns one generation's payloads into events.
#[derive(Debug)]
pub enum Decoder {
    /// OpenAI's Chat Completions.
    OpenAi(openai::Decoder),
}

impl Decoder {
    /// Reads one payload. The events it says are added to `out`; the generation's last ones wait for
    /// [`finish`](Self::finish).
    pub fn decode(&mut self, payload: &Payload, out: &mut Vec<Event>) -> Decoded {
        match self {
            Self::OpenAi(decoder) => decoder.decode(payload, out),
        }
    }

    /// Says the generation's last events: what was held back, usage if the provider gave any, then exactly one
    /// `Finished` or `Failed`.
    pub fn finish(self, ending: Ending, out: &mut Vec<Event>) {
        match self {
            Self::OpenAi(decoder) => decoder.finish(ending, out),
        }
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
