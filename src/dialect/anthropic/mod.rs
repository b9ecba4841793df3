//! Anthropic's Messages, both ways.

use bytes::Bytes;

use super::{Asked, BadRequest, Call, Decoded, Ending, Streaming, Unsayable, Upstream, Wire};
use crate::{
    event::{Event, Failed, FailureCode, Kind},
    provider::sse::Payload,
};

/// Decodes one generation's stream.
#[derive(Debug)]
pub struct Decoder;

impl Decoder {
    /// A decoder at the beginning of a stream.
    pub fn new(_generation: &str) -> Self {
        Self
    }

    /// Reads one payload.
    pub fn decode(&mut self, _payload: &Payload, _out: &mut Vec<Event>) -> Decoded {
        Decoded::default()
    }

    /// Says the last events.
    pub fn finish(self, _ending: Ending, out: &mut Vec<Event>) {
        out.push(Event::new(Kind::Failed(Failed::new(FailureCode::UpstreamError, "SCAFFOLD"))));
    }
}

/// Says what a whole body says.
pub fn decode_whole(_generation: &str, _body: Bytes, out: &mut Vec<Event>) {
    Decoder.finish(Ending::Eof, out);
}

/// Whether an SDK raises an error on this payload.
pub fn tells_failure(_data: &[u8]) -> bool {
    false
}

/// The failure that an HTTP error means.
pub fn failure(status: u16, _body: &[u8]) -> Failed {
    Failed { status, ..Failed::new(FailureCode::UpstreamError, "SCAFFOLD") }
}

/// Writes a call for a provider, to be streamed.
pub fn write(_call: &Call, _model: &str) -> Result<Upstream, Unsayable> {
    Err(Unsayable { path: "$".to_owned(), dialect: "anthropic", why: "SCAFFOLD".to_owned() })
}

/// An app's request that has been looked at.
#[derive(Clone, Debug)]
pub struct Request;

impl Request {
    /// Looks at a body.
    pub fn read(_body: Bytes) -> Result<Self, BadRequest> {
        Err(BadRequest::of("$", "SCAFFOLD"))
    }

    /// The public model name it asks for.
    pub fn model(&self) -> &str {
        ""
    }

    /// Whether the app wants a stream.
    pub fn streams(&self) -> bool {
        false
    }

    /// What its answer depends on.
    pub fn asked(&self) -> Asked {
        Asked::default()
    }

    /// The call in words that all dialects share.
    pub fn call(&self) -> Result<Call, BadRequest> {
        Err(BadRequest::of("$", "SCAFFOLD"))
    }

    /// The call for a provider of this dialect.
    pub fn upstream(&self, _model: &str, _streaming: Streaming) -> Upstream {
        Upstream {
            path: String::new(),
            headers: Vec::new(),
            body: Bytes::new(),
            dropped: super::call::Dropped::default(),
        }
    }
}

/// Writes one generation's stream for one app.
#[derive(Debug)]
pub struct Encoder;

impl Encoder {
    /// An encoder for a generation whose events are given from the first on.
    pub fn new(_asked: &Asked) -> Self {
        Self
    }

    /// Adds the payloads that say `event` to `out`.
    pub fn encode(&mut self, _event: &Event, _out: &mut Vec<Wire>) {}
}

/// The body for an app that asked without streaming.
pub fn encode_whole<'a>(
    _events: impl IntoIterator<Item = &'a Event>,
    _asked: &Asked,
) -> Result<Bytes, Failed> {
    Err(Failed::new(FailureCode::UpstreamError, "SCAFFOLD"))
}

/// The payload that tells an app within its stream that the generation failed.
pub fn error_wire(_failed: &Failed) -> Wire {
    Wire::unnamed("SCAFFOLD")
}

/// The JSON body of an answer with this HTTP status.
pub fn error_body(_status: u16, _error: super::ErrorBody<'_>) -> Bytes {
    Bytes::from_static(b"SCAFFOLD")
}
