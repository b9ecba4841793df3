//! Amazon Bedrock's ConverseStream; from providers only.

use bytes::Bytes;

use super::{Call, Decoded, Ending, Unsayable, Upstream};
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
    Err(Unsayable { path: "$".to_owned(), dialect: "bedrock", why: "SCAFFOLD".to_owned() })
}
