//! One JSON value a line (NDJSON).
//!
//! Lines end in LF or CRLF, cut anywhere; an empty one is a sign of life. The last line may lack its end. Whether a line
//! is JSON is the dialect's to say.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;

use super::{FramingError, Item, Payload, sse::EVENT_BYTES_MAX};

/// The framing of one stream.
#[derive(Debug)]
pub struct Lines {
    /// What has come and is not yet handed out.
    held: BytesMut,
    /// How much of `held` is known to hold no LF.
    scanned: usize,
    limit: usize,
}

impl Default for Lines {
    fn default() -> Self {
        Self::with_limit(EVENT_BYTES_MAX)
    }
}

impl Lines {
    /// A framing that refuses lines of more than `limit` bytes.
    pub fn with_limit(limit: usize) -> Self {
        Self { held: BytesMut::new(), scanned: 0, limit }
    }

    /// Takes the stream's next bytes.
    pub fn push(&mut self, bytes: Bytes) {
        self.held.extend_from_slice(&bytes);
    }

    /// The next item, or `None` until more bytes are pushed. After an error, every call gives it again.
    #[expect(clippy::should_implement_trait, reason = "more may come after None, and it can fail")]
    pub fn next(&mut self) -> Result<Option<Item>, FramingError> {
        let end = memchr(b'\n', &self.held[self.scanned..]).map(|found| self.scanned + found);
        if end.unwrap_or(self.held.len()) > self.limit {
            return Err(FramingError::TooLong { limit: self.limit });
        }
        let Some(end) = end else {
            self.scanned = self.held.len();
            return Ok(None);
        };
        let line = self.held.split_to(end).freeze();
        self.held.advance(1);
        self.scanned = 0;
        let line = trimmed(line);
        Ok(Some(if line.is_empty() { Item::Comment } else { Item::Payload(Payload::of(line)) }))
    }

    /// The stream is over: a last line without its end.
    pub fn finish(self) -> Option<Payload> {
        if self.held.len() > self.limit {
            return None;
        }
        let line = trimmed(self.held.freeze());
        (!line.is_empty()).then(|| Payload::of(line))
    }
}

/// A line without the white space around its value, its CR included.
fn trimmed(line: Bytes) -> Bytes {
    line.slice_ref(line.trim_ascii())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(chunks: impl IntoIterator<Item = Bytes>) -> (Vec<Bytes>, usize) {
        let (mut lines, mut found, mut comments) = (Lines::default(), Vec::new(), 0);
        for chunk in chunks {
            lines.push(chunk);
            while let Some(item) = lines.next().expect("within the bound") {
                match item {
                    Item::Payload(payload) => found.push(payload.data),
                    Item::Comment => comments += 1,
                }
            }
        }
        found.extend(lines.finish().map(|payload| payload.data));
        (found, comments)
    }

    #[test]
    fn lines_end_in_lf_or_crlf_and_the_last_may_lack_its_end() {
        let (found, comments) = read(["{\"a\":1}\n\n{\"b\":2}\r\n\r\n{\"c\":3}".into()]);
        assert_eq!(found, ["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"]);
        assert_eq!(comments, 2);
    }

    #[test]
    fn a_line_beyond_the_bound_is_refused_and_stays_so() {
        let mut lines = Lines::with_limit(4);
        lines.push("1234\n".into());
        assert!(matches!(lines.next(), Ok(Some(Item::Payload(_)))));
        for more in ["1234", "5", "\n"] {
            lines.push(more.into());
            let refused = lines.next();
            let expected = (more != "1234").then_some(FramingError::TooLong { limit: 4 });
            assert_eq!(refused.err(), expected);
        }
        assert_eq!(lines.finish(), None);
    }

    proptest! {
        #[test]
        fn bytes_may_be_cut_anywhere(
            body in prop::collection::vec(prop::sample::select(&b"a{}\"\r\n \xC3\xA9"[..]), 0..60),
            cuts: Vec<prop::sample::Index>,
        ) {
            let body = Bytes::from(body);
            let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
            places.extend([0, body.len()]);
            places.sort_unstable();
            let pieces = places.windows(2).map(|pair| body.slice(pair[0]..pair[1]));
            prop_assert_eq!(read(pieces), read([body.clone()]));
        }
    }
}
