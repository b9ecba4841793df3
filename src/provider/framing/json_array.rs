//! A JSON array whose elements come one by one: Gemini without `alt=sse`.
//!
//! Bytes go in as they arrive, cut anywhere; each element comes out exactly as it was written. A body that is one object
//! (an error, an answer that was not streamed) is one payload. It checks no more than it must to find where an element
//! ends: whether that is JSON is for whoever reads it.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr2;

use super::{FramingError, Item, Payload};
use crate::provider::sse::EVENT_BYTES_MAX;

#[cfg(test)]
mod tests;

/// The framing of one stream.
#[derive(Debug)]
pub struct JsonArray {
    /// The begun element's bytes from earlier chunks.
    carry: BytesMut,
    /// What is not yet consumed of the last chunk; the begun element is `carry` followed by it.
    chunk: Bytes,
    /// How much of `chunk` belongs to the begun element and has been looked at.
    scanned: usize,
    state: State,
    limit: usize,
    failed: Option<FramingError>,
}

/// Where in the stream the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before anything.
    Start,
    /// In the array, between elements.
    Between,
    /// In an element.
    Element(Element),
    /// Behind the end. What follows does not count.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Element {
    /// How many objects and arrays are open.
    depth: usize,
    in_string: bool,
    /// The last byte was a backslash.
    escaped: bool,
    /// There is an array around it.
    listed: bool,
}

impl Default for JsonArray {
    fn default() -> Self {
        Self::with_limit(EVENT_BYTES_MAX)
    }
}

impl JsonArray {
    /// A framing that refuses elements of more than `limit` bytes.
    pub fn with_limit(limit: usize) -> Self {
        Self {
            carry: BytesMut::new(),
            chunk: Bytes::new(),
            scanned: 0,
            state: State::Start,
            limit,
            failed: None,
        }
    }

    /// Takes the stream's next bytes. Call [`next`](Self::next) until it gives nothing before the next push: what is
    /// left over is copied.
    pub fn push(&mut self, bytes: Bytes) {
        if self.state == State::Closed || self.failed.is_some() {
            return;
        }
        if self.chunk.is_empty() {
            self.chunk = bytes;
        } else {
            let mut rest = BytesMut::from(&self.chunk[..]);
            rest.extend_from_slice(&bytes);
            self.chunk = rest.freeze();
        }
    }

    /// The next item, or `None` until more bytes are pushed. After an error, every call gives it again.
    #[expect(clippy::should_implement_trait, reason = "more may come after None, and it can fail")]
    pub fn next(&mut self) -> Result<Option<Item>, FramingError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let found = self.find();
        if let Err(error) = &found {
            self.failed = Some(error.clone());
            self.carry = BytesMut::new();
            self.chunk = Bytes::new();
        }
        found
    }

    /// Whether the array's, or the one object's, end is still to come: a stream that closes now was cut.
    pub fn is_open(&self) -> bool {
        self.state != State::Closed
    }

    fn find(&mut self) -> Result<Option<Item>, FramingError> {
        loop {
            match self.state {
                State::Closed => {
                    self.chunk = Bytes::new();
                    return Ok(None);
                }
                State::Element(element) => return self.element(element),
                State::Start | State::Between => {
                    let Some(&byte) = self.chunk.first() else { return Ok(None) };
                    self.between(byte)?;
                }
            }
        }
    }

    /// Looks at a byte outside of any element.
    fn between(&mut self, byte: u8) -> Result<(), FramingError> {
        let listed = self.state == State::Between;
        match byte {
            b'{' => {
                self.state =
                    State::Element(Element { depth: 0, in_string: false, escaped: false, listed });
                return Ok(());
            }
            b' ' | b'\t' | b'\r' | b'\n' => {}
            // A byte-order mark may stand before everything.
            0xEF | 0xBB | 0xBF if !listed => {}
            b'[' if !listed => self.state = State::Between,
            b',' if listed => {}
            b']' if listed => self.state = State::Closed,
            _ => {
                let place = if listed { "between elements" } else { "at its beginning" };
                let problem = format!("byte 0x{byte:02x} {place}, where a JSON array of objects");
                return Err(FramingError::Malformed(problem + " has none"));
            }
        }
        self.chunk.advance(1);
        Ok(())
    }

    /// Goes on through the begun element.
    fn element(&mut self, mut element: Element) -> Result<Option<Item>, FramingError> {
        let end = element.end(&self.chunk[self.scanned..]).map(|end| self.scanned + end);
        let seen = end.unwrap_or(self.chunk.len());
        if self.carry.len() + seen > self.limit {
            return Err(FramingError::TooLong { limit: self.limit });
        }
        if end.is_none() {
            self.carry.extend_from_slice(&std::mem::take(&mut self.chunk));
            self.scanned = 0;
            self.state = State::Element(element);
            return Ok(None);
        }
        let here = self.chunk.split_to(seen);
        self.scanned = 0;
        self.state = if element.listed { State::Between } else { State::Closed };
        let data = match self.carry.is_empty() {
            true => here,
            false => {
                self.carry.extend_from_slice(&here);
                std::mem::take(&mut self.carry).freeze()
            }
        };
        Ok(Some(Item::Payload(Payload::of(data))))
    }
}

impl Element {
    /// Where it ends in `bytes`, its last byte included; `None` if it does not.
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            if std::mem::take(&mut self.escaped) {
                at += 1;
                continue;
            }
            if self.in_string {
                // Most of a stream is inside of strings, and an image is one of several MB.
                at += memchr2(b'"', b'\\', &bytes[at..])?;
                self.in_string = bytes[at] == b'\\';
                self.escaped = self.in_string;
                at += 1;
                continue;
            }
            match bytes[at] {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth -= 1,
                _ => {}
            }
            at += 1;
            if self.depth == 0 {
                return Some(at);
            }
        }
        None
    }
}
