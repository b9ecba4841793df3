//! One JSON value a line.

use bytes::Bytes;

use super::{FramingError, Item};

/// The framing of one stream.
#[derive(Debug, Default)]
pub struct Lines;

impl Lines {
    /// Takes the stream's next bytes.
    pub fn push(&mut self, _bytes: Bytes) {}

    /// The next item, or `None` until more bytes are pushed.
    #[expect(clippy::should_implement_trait, reason = "more may come after None, and it can fail")]
    pub fn next(&mut self) -> Result<Option<Item>, FramingError> {
        Err(FramingError::Malformed("SCAFFOLD".to_owned()))
    }
}

impl Lines {
    /// The stream is over: a last line without its end.
    pub fn finish(self) -> Option<super::Payload> {
        None
    }
}
