//! What one node asks another for, and who does it there: only the node that writes a channel can stop what runs on it, or say
//! more.

use bytes::Bytes;
use thiserror::Error;

use super::Pending;
use crate::{
    event::Custom,
    ident::{ChannelKey, GenerationId},
    sequence::Cursor,
};

/// Does what other nodes ask for, of the channels that this one writes.
pub trait Desk: Send + Sync {
    /// Does it. `None`: the channel is not written here, or nothing is remembered.
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
    /// To begin a generation for the node of this name, of a call as generations leave it for other nodes.
    Begin(String, Bytes),
    /// What it remembers of an answer that it has begun: see [`Registry`](super::Registry).
    Recall(Bytes),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Done,
    /// It is done, and safe: this is the event's place.
    Published(Cursor),
    /// A generation has begun, and that is safe.
    Begun(Begun),
    /// This is remembered.
    Recalled(Bytes),
    /// It was refused.
    Refused(Refusal),
}

/// A generation that another node has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Its id.
    pub generation: GenerationId,
    /// Its channel-local index.
    pub index: u32,
    /// The cursor of its `started`.
    pub cursor: Cursor,
    /// Where it is in a trace, as a header has it; empty where nobody traces.
    pub traceparent: String,
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
    /// The caller's limits do not allow it there.
    #[error("the access key has reached its limits at the gateway that writes this channel")]
    Limited,
    /// That node begins nothing of the kind now.
    #[error("the gateway that writes this channel does not begin another generation on it now")]
    NotBegun,
}
