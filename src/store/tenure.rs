//! The right to say or to follow what is said on one channel, from its opening at the store to its end.
//!
//! Whoever writes has a [`Writer`]; whoever follows another node's channel hears [`News`]; both are told what is kept by
//! [`Progress`]. What a store is asked otherwise is [`Store`](super::Store)'s.

use std::sync::Weak;

use super::{Forgotten, Kept, Slice, StoreError};
use crate::sequence::{Epoch, Past};

/// A channel that is open here.
pub struct Tenure {
    /// Its epoch, and all that was kept before.
    pub kept: Kept,
    /// What is done with it here.
    pub role: Role,
}

impl std::fmt::Debug for Tenure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tenure").field("epoch", &self.kept.epoch).finish_non_exhaustive()
    }
}

/// What a node does with a channel.
pub enum Role {
    /// It writes the channel: this is its pen.
    Writes(Box<dyn Writer>),
    /// Another one does, and what that says comes by [`Progress::news`].
    Follows(Box<dyn Following>),
}

/// Appends to one channel's log. There is one at a time, and a fenced one learns so here. Called under the channel's lock:
/// it does no I/O, waits for nothing, and calls nobody back from here.
pub trait Writer: Send {
    /// Whom to tell what was reached. Said once, before anything is appended. Err: the tenure is over already, and nobody
    /// is told so again.
    fn report_to(&mut self, progress: Weak<dyn Progress>) -> Result<(), StoreError>;

    /// Takes one more event in.
    fn append(&mut self, element: Element<'_>);

    /// What was appended since the last time belongs together, and is to be kept.
    fn commit(&mut self, commit: Commit) -> Result<Ack, StoreError>;
}

impl std::fmt::Debug for dyn Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writer")
    }
}

/// An event that has its seq.
#[derive(Clone, Copy, Debug)]
pub struct Element<'a> {
    /// Its seq.
    pub seq: u64,
    /// When it was said, in milliseconds since 1970 UTC; never before the event before it.
    pub at_ms: u64,
    /// Its element of a frame's `events` field.
    pub bytes: &'a [u8],
}

/// What ends a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// What must hold before it is shown.
    pub promise: Promise,
    /// How many generations there were, with it.
    pub generations: u32,
    /// How many of them run after it.
    pub running: u32,
}

/// How safe an event must be before anybody is shown it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// It outlives this process; a loss window is left to the machine.
    Written,
    /// It outlives the machine: it ends or begins a generation, or somebody is told that it is done.
    Durable,
}

/// Whether a batch may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// Now.
    Now,
    /// When [`Progress::reached`] says so.
    Later,
}

/// What a store tells the channel that it keeps. May be told from any thread, but not from within a [`Writer`]'s call.
pub trait Progress: Send + Sync {
    /// Everything up to and with `seq` may be shown.
    fn reached(&self, seq: u64);

    /// Nothing after `through` is kept, nor will be: the channel goes on in memory only.
    fn orphaned(&self, through: u64);

    /// What another node did.
    fn news(&self, _: News) {}
}

/// A channel that another node writes, for as long as this is held.
pub trait Following: Send {
    /// Whom to tell what came since the channel was opened, and what comes.
    fn report_to(&mut self, progress: Weak<dyn Progress>);
}

/// What another node did to a channel that is followed here.
#[derive(Debug)]
pub enum News {
    /// It has said this.
    Said(Slice),
    /// A tenure has begun elsewhere.
    Succeeded {
        /// Its epoch.
        epoch: Epoch,
        /// The tenures before.
        past: Vec<Past>,
    },
    /// This node writes from now on, in a tenure of its own.
    Appointed {
        /// Its epoch.
        epoch: Epoch,
        /// The tenures before.
        past: Vec<Past>,
        /// Its pen.
        writer: Box<dyn Writer>,
    },
    /// Another node took over what this one wrote: this is the channel now, and what follows it.
    Replaced(Tenure),
    /// It was forgotten.
    Forgotten(Forgotten),
    /// What is kept of it is damaged: nothing more of it is served.
    Damaged,
}
