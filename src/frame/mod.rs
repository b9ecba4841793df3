//! Frames: when a session writes one, and what its bytes are.
//!
//! `clock` decides when; `press` puts a header of a few bytes before a borrowed slice of the log; `datagram` remembers what
//! was sent without a promise that it arrives. Knows no session and no transport.

mod clock;
mod datagram;
mod press;

pub use clock::{Due, FRAME_INTERVAL_MAX, FrameClock};
pub use datagram::{DATAGRAM_BYTES_MAX, Unacknowledged};
pub use press::{Form, Outgoing, Press};
