//! Amazon's binary event stream (`application/vnd.amazon.eventstream`).
//!
//! A frame is a prelude (total length, headers' length, CRC32 of both), headers, a payload and a CRC32 of it all, big
//! endian. Amazon's own library reads it; here it is cut out of the stream, bounded, and named for the decoder:
//!
//! | frame | payload's name | its data |
//! | --- | --- | --- |
//! | `:message-type: event` | `:event-type`, such as `contentBlockDelta` | the frame's |
//! | `exception` | `exception:` and `:exception-type` | the frame's |
//! | `error` | `error:` and `:error-code` | `{"message": …}` from `:error-message` |
//! | one that the stream's end cut | [`CUT`] | none |

use aws_smithy_eventstream::frame::read_message_from;
use aws_smithy_types::event_stream::Message;
use bytes::{Bytes, BytesMut};

use super::{FramingError, Item, Payload, sse::EVENT_BYTES_MAX};

/// What precedes the type of an exception in a payload's name.
pub const EXCEPTION: &str = "exception:";
/// What precedes the code of an error in a payload's name.
pub const ERROR: &str = "error:";
/// The name of the payload that stands for a frame whose end never came.
pub const CUT: &str = ":cut";

/// Total length, headers' length, and the CRC32 of both.
const PRELUDE_BYTES: usize = 12;
/// A frame without headers and payload: its prelude and its CRC32.
const FRAME_BYTES_MIN: usize = PRELUDE_BYTES + 4;

/// The framing of one stream.
#[derive(Debug)]
pub struct EventStream {
    /// What has come and is not yet handed out.
    held: BytesMut,
    limit: usize,
    failed: Option<FramingError>,
}

impl Default for EventStream {
    fn default() -> Self {
        Self::with_limit(EVENT_BYTES_MAX)
    }
}

impl EventStream {
    /// A framing that refuses frames of more than `limit` bytes.
    pub fn with_limit(limit: usize) -> Self {
        Self { held: BytesMut::new(), limit, failed: None }
    }

    /// Takes the stream's next bytes.
    pub fn push(&mut self, bytes: Bytes) {
        if self.failed.is_none() {
            self.held.extend_from_slice(&bytes);
        }
    }

    /// The next item, or `None` until more bytes are pushed. After an error, every call gives it again.
    #[expect(clippy::should_implement_trait, reason = "more may come after None, and it can fail")]
    pub fn next(&mut self) -> Result<Option<Item>, FramingError> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let found = self.frame();
        if let Err(failed) = &found {
            self.failed = Some(failed.clone());
            self.held = BytesMut::new();
        }
        found
    }

    /// The stream is over: a frame that lacks its end is told as [`CUT`].
    pub fn finish(self) -> Option<Payload> {
        let cut = !self.held.is_empty() && self.failed.is_none();
        let event = Bytes::from_static(CUT.as_bytes());
        cut.then(|| Payload { event, ..Payload::default() })
    }

    fn frame(&mut self) -> Result<Option<Item>, FramingError> {
        let Some((prelude, _)) = self.held.split_first_chunk::<PRELUDE_BYTES>() else {
            return Ok(None);
        };
        let word = |at: usize| {
            u32::from_be_bytes([prelude[at], prelude[at + 1], prelude[at + 2], prelude[at + 3]])
        };
        // Checked at once: a wrong length would have us wait for bytes that never come.
        if crc32fast::hash(&prelude[..8]) != word(8) {
            return Err(malformed("a frame's prelude does not match its checksum"));
        }
        let length = usize::try_from(word(0)).unwrap_or(usize::MAX);
        if length < FRAME_BYTES_MIN {
            return Err(malformed("a frame is shorter than its own frame"));
        }
        if length > self.limit {
            return Err(FramingError::TooLong { limit: self.limit });
        }
        if self.held.len() < length {
            return Ok(None);
        }
        let frame = self.held.split_to(length).freeze();
        let message = read_message_from(frame)
            .map_err(|error| FramingError::Malformed(format!("event stream: {error}")))?;
        payload(message).map(|payload| Some(Item::Payload(payload)))
    }
}

fn payload(message: Message) -> Result<Payload, FramingError> {
    let header = |name: &str| {
        let found = message.headers().iter().find(|header| header.name().as_str() == name)?;
        found.value().as_string().ok().map(|value| value.as_str())
    };
    let named = |prefix: &str, header_name: &str| {
        let name = header(header_name);
        name.map(|name| Bytes::from(format!("{prefix}{name}")))
            .ok_or_else(|| malformed(format!("a frame lacks the header {header_name}")))
    };
    let (event, data) = match header(":message-type") {
        Some("event") => (named("", ":event-type")?, message.payload().clone()),
        Some("exception") => (named(EXCEPTION, ":exception-type")?, message.payload().clone()),
        Some("error") => {
            let said = header(":error-message").unwrap_or_default();
            let data = serde_json::json!({ "message": said }).to_string();
            (named(ERROR, ":error-code")?, data.into())
        }
        _ => return Err(malformed("a frame is neither event, exception nor error")),
    };
    Ok(Payload { event, ..Payload::of(data) })
}

fn malformed(what: impl Into<String>) -> FramingError {
    FramingError::Malformed(what.into())
}

#[cfg(test)]
mod tests;
