//! What waits to be written on the control lane, bounded in bytes. Pure.

use bytes::BytesMut;

use super::Outbox;
use crate::{
    frame::Outgoing,
    transport::Lane,
    wire::{
        self,
        proto::{self, control::Body},
    },
};

/// Above this many waiting bytes no further subscription of a hello is answered yet.
const AMPLE_BYTES: usize = 64 * 1024;

/// Above this many waiting bytes the client is asking without reading, and its session closes.
const WAITING_BYTES_MAX: usize = 256 * 1024;

/// The answers that wait.
#[derive(Debug, Default)]
pub(super) struct Answers {
    waiting: BytesMut,
}

impl Answers {
    /// Puts a control message in the queue; `request` is what it answers, 0 for news.
    pub(super) fn push(&mut self, request: u64, body: Body) {
        let control = proto::Control { request, body: Some(body) };
        let body = Some(proto::server_message::Body::Control(control));
        wire::delimit(&proto::ServerMessage { body }, &mut self.waiting);
    }

    /// Writes what waits, if the lane takes it, and says whether anything was written.
    pub(super) fn write(&mut self, outbox: &mut impl Outbox) -> bool {
        let writes = !self.waiting.is_empty() && outbox.takes(Lane::Control);
        if writes {
            let header = self.waiting.split().freeze();
            outbox.put(Lane::Control, Outgoing { header, body: bytes::Bytes::new() });
        }
        writes
    }

    /// Whether there is room for many more.
    pub(super) fn is_ample(&self) -> bool {
        self.waiting.len() < AMPLE_BYTES
    }

    /// Whether the client has asked too much without reading.
    pub(super) fn is_flooded(&self) -> bool {
        self.waiting.len() > WAITING_BYTES_MAX
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Gives up what waits.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }
}
