//! The waist: what was said, in order, for a while.
//!
//! `log` keeps it, `channel` lets one side append and the other read, `reader` is a cursor, `resume` decides where one
//! begins, `channels` knows which channels there are, `elsewhere` who looks on at other nodes, and `succession` who goes on with what a lost node ran. Left of here nothing knows that a client exists; right of here
//! nothing knows that a provider exists.

#[expect(clippy::module_inception, reason = "the module is named for what it holds most")]
mod channel;
mod channels;
mod elsewhere;
mod log;
mod pressure;
mod producer;
mod reader;
mod restored;
mod resume;
mod segment;
mod signal;
mod succession;

pub use channel::{Attendance, Brief, Channel, GENERATIONS_MAX, Status, UnknownGeneration, Watch};
pub use channels::{CannotDelete, Channels, NoChannel, Refused, Retention};
pub use log::{Appended, Found, Log, NotWhole, SEGMENT_BYTES, TooLarge, View};
pub use producer::{AppendError, Producer};
pub use reader::{Cause, Ended, Reader, Snapshot, Step};
pub use resume::{CannotResume, Extent, Start, start};
pub use signal::Signal;
pub use succession::{Deposit, Handover, Orphan, Successor};

pub use crate::store::{Slice, Times};
