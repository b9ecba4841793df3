//! Frames: when a session writes one, and what its bytes are.
//!
//! `clock` decides when; `press` puts a header of a few bytes before a borrowed slice of the log. Knows no session and
//! no transport.

mod clock;
mod press;

pub use clock::{Due, FRAME_INTERVAL_MAX, FrameClock};
pub use press::{Form, Outgoing, Press};
