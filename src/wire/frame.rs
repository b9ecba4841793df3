//! Frames and length-delimited messages, as bytes.
//!
//! A frame with events is a header of a few bytes and a slice of the log, written one after the other: the slice is
//! never copied into a message. [`Framing`] is the other direction: a stream of bytes, cut anywhere, back to messages.

use bytes::{Buf, Bytes, BytesMut};
use prost::encoding::{decode_varint, encode_varint, encoded_len_varint};
use thiserror::Error;

use super::event::decode_event;
use crate::event::Event;

/// The tag of an element of a frame's `events`: field 3, length-delimited.
pub const EVENTS_TAG: u8 = 3 << 3 | 2;

const ALIAS_TAG: u8 = 1 << 3;
const FIRST_SEQ_TAG: u8 = 2 << 3;
const TIME_BASE_TAG: u8 = 4 << 3;
const TIME_DELTAS_TAG: u8 = 5 << 3 | 2;
/// `ServerMessage.frame`: field 2, length-delimited.
const SERVER_FRAME_TAG: u8 = 2 << 3 | 2;

/// What precedes a frame's events.
#[derive(Clone, Copy, Debug)]
pub struct FrameHeader<'a> {
    /// The subscription.
    pub alias: u32,
    /// The first event's seq.
    pub first_seq: u64,
    /// The events' times, where they are wanted: a base and one varint delta for each.
    pub times: Option<(u64, &'a [u8])>,
}

impl FrameHeader<'_> {
    /// Appends the length-delimited frame's beginning; `events` bytes of elements are to follow.
    pub fn write(&self, events: usize, out: &mut BytesMut) {
        encode_varint((self.fields_len() + events) as u64, out);
        self.write_fields(out);
    }

    /// The same inside a length-delimited `ServerMessage`.
    pub fn write_in_message(&self, events: usize, out: &mut BytesMut) {
        let frame = self.fields_len() + events;
        encode_varint((1 + encoded_len_varint(frame as u64) + frame) as u64, out);
        out.extend_from_slice(&[SERVER_FRAME_TAG]);
        encode_varint(frame as u64, out);
        self.write_fields(out);
    }

    fn fields_len(&self) -> usize {
        let times = self.times.map_or(0, |(base_ms, deltas)| {
            let deltas = deltas.len();
            2 + encoded_len_varint(base_ms) + encoded_len_varint(deltas as u64) + deltas
        });
        2 + encoded_len_varint(self.alias.into()) + encoded_len_varint(self.first_seq) + times
    }

    fn write_fields(&self, out: &mut BytesMut) {
        out.extend_from_slice(&[ALIAS_TAG]);
        encode_varint(self.alias.into(), out);
        out.extend_from_slice(&[FIRST_SEQ_TAG]);
        encode_varint(self.first_seq, out);
        if let Some((base_ms, deltas)) = self.times {
            out.extend_from_slice(&[TIME_BASE_TAG]);
            encode_varint(base_ms, out);
            out.extend_from_slice(&[TIME_DELTAS_TAG]);
            encode_varint(deltas.len() as u64, out);
            out.extend_from_slice(deltas);
        }
    }
}

/// Appends a message with its length before it.
pub fn delimit(message: &impl prost::Message, out: &mut BytesMut) {
    message.encode_length_delimited(out).expect("a BytesMut grows as needed");
}

/// Reads elements of a frame's `events` that this gateway wrote itself.
pub fn decode_elements(mut elements: &[u8]) -> impl Iterator<Item = Event> {
    std::iter::from_fn(move || {
        if elements.is_empty() {
            return None;
        }
        elements.advance(1);
        let length = decode_varint(&mut elements).expect("the log's elements are whole") as usize;
        let (element, rest) = elements.split_at(length);
        elements = rest;
        Some(decode_event(element).expect("the log's events are ours"))
    })
}

/// A stream of bytes, cut anywhere, back to the messages that were delimited into it.
#[derive(Debug)]
pub struct Framing {
    buffer: BytesMut,
    bytes_max: usize,
}

/// A peer announced a message that is longer than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a message of {bytes} bytes, where at most {bytes_max} are allowed")]
pub struct TooLong {
    /// The announced length.
    pub bytes: u64,
    /// The limit.
    pub bytes_max: usize,
}

impl Framing {
    /// For messages of at most `bytes_max` bytes, which also bounds what is buffered between two calls.
    pub fn new(bytes_max: usize) -> Self {
        Self { buffer: BytesMut::new(), bytes_max }
    }

    /// From now on, messages may have this many bytes.
    pub fn limit(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// Takes more of the stream in.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, without its length.
    pub fn pop(&mut self) -> Result<Option<Bytes>, TooLong> {
        let mut ahead = &self.buffer[..];
        let Ok(length) = decode_varint(&mut ahead) else {
            return match self.buffer.len() {
                0..10 => Ok(None),
                _ => Err(TooLong { bytes: u64::MAX, bytes_max: self.bytes_max }),
            };
        };
        if length > self.bytes_max as u64 {
            return Err(TooLong { bytes: length, bytes_max: self.bytes_max });
        }
        let length = length as usize;
        if ahead.len() < length {
            return Ok(None);
        }
        let prefix = self.buffer.len() - ahead.len();
        self.buffer.advance(prefix);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// Whether a message has begun and not ended.
    pub fn is_mid_message(&self) -> bool {
        !self.buffer.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::wire::{encode_event, proto};

    fn elements(texts: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        for text in texts {
            let mut event = Vec::new();
            encode_event(&Event::text(*text), &mut event);
            out.push(EVENTS_TAG);
            encode_varint(event.len() as u64, &mut out);
            out.extend(event);
        }
        out
    }

    #[test]
    fn a_header_and_a_slice_are_a_frame() {
        let events = elements(&["Hel", "lo"]);
        for times in [None, Some((1_000_u64, &[5_u8, 7][..]))] {
            let header = FrameHeader { alias: 300, first_seq: 99, times };
            let mut bytes = BytesMut::new();
            header.write(events.len(), &mut bytes);
            bytes.extend_from_slice(&events);
            let frame = proto::Frame::decode_length_delimited(bytes).expect("a frame");
            let texts: Vec<_> = frame.events.iter().map(|event| event.text.as_str()).collect();
            assert_eq!((frame.alias, frame.first_seq, texts), (300, 99, vec!["Hel", "lo"]));
            let deltas = if times.is_some() { vec![5, 7] } else { vec![] };
            assert_eq!(frame.time_deltas_ms, deltas);

            let mut bytes = BytesMut::new();
            header.write_in_message(events.len(), &mut bytes);
            bytes.extend_from_slice(&events);
            let message = proto::ServerMessage::decode_length_delimited(bytes).expect("a message");
            assert_eq!(message.body, Some(proto::server_message::Body::Frame(frame)));
        }
    }

    #[test]
    fn what_is_too_long_is_refused_before_it_is_buffered() {
        let mut framing = Framing::new(10);
        framing.push(&[11]);
        assert_eq!(framing.pop(), Err(TooLong { bytes: 11, bytes_max: 10 }));
        let mut framing = Framing::new(10);
        framing.push(&[0xff; 10]);
        assert!(framing.pop().is_err());
    }

    proptest! {
        #[test]
        fn messages_survive_any_cutting(
            texts in prop::collection::vec(".{0,300}", 0..8),
            cuts in prop::collection::vec(1usize..40, 1..200),
        ) {
            let mut stream = BytesMut::new();
            for text in &texts {
                delimit(&proto::Event { text: text.clone(), ..Default::default() }, &mut stream);
            }
            let mut framing = Framing::new(10_000);
            let mut read = Vec::new();
            let mut cuts = cuts.into_iter().cycle();
            while !stream.is_empty() {
                let cut = cuts.next().expect("a cycle has no end").min(stream.len());
                framing.push(&stream.split_to(cut));
                while let Some(message) = framing.pop().expect("within the limit") {
                    read.push(proto::Event::decode(message).expect("an event").text);
                }
            }
            prop_assert_eq!(read, texts);
            prop_assert!(!framing.is_mid_message());
        }
    }
}
