//! A frame's bytes: a header made for one subscriber, and a body that all share.

use bytes::{Bytes, BytesMut};

use crate::{
    channel::Slice,
    wire::{self, FrameHeader, proto},
};

/// Headers are cut from pieces of this size, so that a frame costs no allocation of its own.
const PIECE_BYTES: usize = 2 * 1024;

/// What a carrier puts around a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A length-delimited `Frame`, on a stream that holds nothing else.
    Frame,
    /// A length-delimited `ServerMessage`, on a carrier where frames and control share one run.
    Message,
}

/// A frame to write: `header`, then `body`.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// What was made for this subscriber.
    pub header: Bytes,
    /// A slice of the log.
    pub body: Bytes,
}

impl Outgoing {
    /// How long it is, in bytes.
    pub fn len(&self) -> usize {
        self.header.len() + self.body.len()
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Makes one session's frames.
#[derive(Debug)]
pub struct Press {
    form: Form,
    piece: BytesMut,
}

impl Press {
    /// Makes frames of this form.
    pub fn new(form: Form) -> Self {
        Self { form, piece: BytesMut::new() }
    }

    /// A frame of events; nothing is encoded but its header.
    pub fn events(&mut self, alias: u32, slice: Slice, times: bool) -> Outgoing {
        if self.piece.capacity() < 64 {
            self.piece.reserve(PIECE_BYTES);
        }
        let header = FrameHeader {
            alias,
            first_seq: slice.first_seq,
            times: times.then_some((slice.times.base_ms, &slice.times.deltas[..])),
        };
        match self.form {
            Form::Frame => header.write(slice.events.len(), &mut self.piece),
            Form::Message => header.write_in_message(slice.events.len(), &mut self.piece),
        }
        Outgoing { header: self.piece.split().freeze(), body: slice.events }
    }

    /// A frame of news about the subscription.
    pub fn news(&mut self, alias: u32, news: proto::frame::News) -> Outgoing {
        let frame = proto::Frame { alias, news: Some(news), ..proto::Frame::default() };
        let mut header = BytesMut::new();
        match self.form {
            Form::Frame => wire::delimit(&frame, &mut header),
            Form::Message => {
                let body = Some(proto::server_message::Body::Frame(frame));
                wire::delimit(&proto::ServerMessage { body }, &mut header);
            }
        }
        Outgoing { header: header.freeze(), body: Bytes::new() }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::{
        channel::{Found, Log},
        event::Event,
        wire::proto::{frame::News, server_message::Body},
    };

    fn slice() -> Slice {
        let mut log = Log::new(1_000);
        for (text, at) in [("Hel", 1_005), ("lo", 1_012)] {
            log.append(&Event::text(text), at).expect("small");
        }
        match log.after(0, u64::MAX) {
            Found::Slice(slice) => slice,
            other => panic!("expected a slice, found {other:?}"),
        }
    }

    fn joined(frame: &Outgoing) -> Bytes {
        [&frame.header[..], &frame.body[..]].concat().into()
    }

    #[test]
    fn a_frame_borrows_the_log_and_carries_times_only_when_asked() {
        let slice = slice();
        for (times, deltas) in [(false, vec![]), (true, vec![5, 7])] {
            let frame = Press::new(Form::Frame).events(7, slice.clone(), times);
            assert_eq!(frame.body.as_ptr(), slice.events.as_ptr(), "the log's own bytes");
            let read = proto::Frame::decode_length_delimited(joined(&frame)).expect("a frame");
            assert_eq!((read.alias, read.first_seq, read.events.len()), (7, 1, 2));
            assert_eq!(read.time_deltas_ms, deltas);
        }
    }

    #[test]
    fn both_forms_say_the_same() {
        let end = News::End(proto::End { reason: 1, last_seq: 9 });
        let mut plain = Press::new(Form::Frame);
        let mut wrapped = Press::new(Form::Message);
        let pairs = [
            (plain.events(3, slice(), true), wrapped.events(3, slice(), true)),
            (plain.news(3, end.clone()), wrapped.news(3, end)),
        ];
        for (plain, wrapped) in pairs {
            let frame = proto::Frame::decode_length_delimited(joined(&plain)).expect("a frame");
            let message = proto::ServerMessage::decode_length_delimited(joined(&wrapped));
            assert_eq!(message.expect("a message").body, Some(Body::Frame(frame)));
        }
    }
}
