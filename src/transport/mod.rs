//! Carriers: how a session's bytes reach its client and come back.
//!
//! One trait, three carriers: `webtransport` (the only place that names the QUIC library), `websocket`, and `memory`,
//! their twin without a network. A carrier moves bytes; it knows no channel and no subscription.

pub mod memory;
pub mod websocket;
pub mod webtransport;

use std::{
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use thiserror::Error;

use crate::frame::{Form, Outgoing};

/// The longest hello, in bytes: a thousand subscriptions with long channel ids and their cursors fit.
pub const HELLO_BYTES_MAX: usize = 1024 * 1024;

/// The longest other client message, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// A place to write to. Nothing on one lane waits for what was lost on another, where the carrier can do that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Answers, and news that concern the whole session.
    Control,
    /// A subscription's own stream, by its slot. A slot is used again only for a new stream.
    Own(u8),
    /// The stream that the other subscriptions share.
    Overflow,
}

/// Why nothing more can be received.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Gone {
    /// The client left, or the path is gone.
    #[error("the connection is gone: {0}")]
    Lost(String),
    /// What the client sent cannot be understood. It can still be told so.
    #[error("not the protocol: {0}")]
    Malformed(String),
    /// The client does not let the gateway open the streams that it asked for. It can still be told so.
    #[error("the client grants too few streams")]
    TooFewStreams,
}

/// A connection to one client.
///
/// A lane holds at most one frame that is partly written. Nothing here waits: what a lane does not take now, the caller
/// keeps, and the task is woken when that changes.
pub trait Transport: Send {
    /// How frames are written on this carrier.
    fn form(&self) -> Form;

    /// The next client message, without its length.
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Gone>>;

    /// Ready when the lane takes a frame. Opens its stream if it has none.
    fn poll_ready(&mut self, lane: Lane, cx: &mut Context<'_>) -> Poll<Result<(), Gone>>;

    /// Writes a frame. Only after [`Transport::poll_ready`] was ready.
    fn start_send(&mut self, lane: Lane, frame: Outgoing);

    /// Ends a lane's stream after what was written. The lane may be used again, for a new stream.
    fn finish(&mut self, lane: Lane);

    /// The largest datagram that the path takes now, in bytes; 0 where the carrier has none.
    fn datagram_max(&self) -> usize {
        0
    }

    /// Sends a datagram, or loses it.
    fn send_datagram(&mut self, _datagram: Bytes) {}

    /// The client's next datagram.
    fn poll_datagram(&mut self, _cx: &mut Context<'_>) -> Poll<Bytes> {
        Poll::Pending
    }

    /// How long a round trip takes, as far as is known.
    fn rtt(&self) -> Duration {
        Duration::ZERO
    }

    /// Pushes out what was written. Ready when nothing is left in this process's own buffers.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>>;

    /// Ends the connection once the client has what was written, or is gone itself. The caller bounds the time.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}
