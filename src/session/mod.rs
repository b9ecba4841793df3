//! Sessions: one client's connection, carrying many subscriptions.
//!
//! `state` is the whole session as a machine without I/O: client messages and `now` go in, and on each tick frames come
//! out into an [`Outbox`]. `driver` is the thin task that joins it to a transport. Knows channels, not providers.

mod aliases;
mod answers;
mod driver;
mod host;
mod lanes;
mod reach;
mod refusals;
mod rights;
mod search;
mod seated;
mod state;
mod subscription;

pub use driver::{Outcome, Shutdown, refuse, run};
pub use host::{Host, Listed};
pub use lanes::{OWN_LANES_MAX, PROTOCOL};
pub use refusals::Closing;
pub use rights::{LAPSE_WAIT, Rights, TOKENS_MAX};
pub use state::{HELLO_WAIT, SUBSCRIPTIONS_MAX, Session, Settings};

use std::time::Duration;

use bytes::Bytes;

use crate::{frame::Outgoing, transport::Lane};

/// Where a session writes. It asks before each frame, and keeps for itself what is not taken.
pub trait Outbox {
    /// Whether the lane takes a frame now. If not, the session's task is woken when it does.
    fn takes(&mut self, lane: Lane) -> bool;

    /// Writes a frame on a lane that takes one.
    fn put(&mut self, lane: Lane, frame: Outgoing);

    /// The largest datagram, in bytes; 0 where the carrier has none.
    fn datagram_max(&self) -> usize {
        0
    }

    /// Sends a datagram, or loses it.
    fn datagram(&mut self, _datagram: Bytes) {}

    /// How long a round trip takes, as far as is known.
    fn rtt(&self) -> Duration {
        Duration::ZERO
    }

    /// Ends the lane's stream after what was written.
    fn finish(&mut self, lane: Lane);
}
