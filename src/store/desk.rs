//! What one node asks another for, and who does it there: only the node that writes a channel can stop what runs on it, or say
//! more.

use thiserror::Error;

use super::Pending;
use crate::{
    event::Custom,
    ident::{ChannelKey, GenerationId},
    sequence::Cursor,
};

/// Does what other nodes ask for, of the channels that this one writes.
pub trait Desk: Send + Sync {
    /// Does it. `None`: the channel is not written here.
    fn asked<'a>(&'a self, key: &'a ChannelKey, ask: Ask) -> Pending<'a, Option<Answer>>;
}

/// What one node asks another for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// To stop a generation, or all that run.
    Cancel(Option<GenerationId>),
    /// To put a custom event on the channel.
    Publish(Custom),
    /// To count somebody at the node of this name as present, for a while.
    Attend(String),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Done,
    /// It is done, and safe: this is the event's place.
    Published(Cursor),
    /// It was refused.
    Refused(Refusal),
}

/// Why a node did not do what another asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The generation named is not one of this channel's.
    #[error("no such generation on this channel")]
    UnknownGeneration,
    /// The channel is closed, deleted or expired.
    #[error("the channel takes no more events")]
    Closed,
    /// The channel has no room for it.
    #[error("the channel has no room for more")]
    Full,
    /// The event is larger than one may be.
    #[error("the event is larger than one may be")]
    TooLarge,
    /// The store did not take it.
    #[error("the store did not take it")]
    Store,
}
