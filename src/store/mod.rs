//! Where channels' logs are kept beyond this process's memory: the seam, and the engines behind it.
//!
//! A channel in memory is open at its store: it has a [`Tenure`], the right to append under an epoch, and what was kept
//! so far came with it. The store is given the encoded events as they were made when they got their seqs; nothing is
//! encoded again for it, and it need not know what they say. `memory` keeps nothing beyond the process.
//!
//! **How safe is safe.** Appending never waits. Whoever appends says what is [`Promise`]d of it, and nobody is shown an
//! event before the store has kept its promise: at once ([`Ack::Now`]), or later, through [`Progress::reached`]. A store
//! that fails says [`Progress::orphaned`]; the channel then goes on in memory, in a new epoch, so that no number of the
//! old one ever means two events.
//!
//! **What is in memory.** A channel that rests (nothing runs on it, nobody looks) is let go of where the store keeps it
//! ([`Store::rest`]), and opened again when somebody asks.
//!
//! Knows neither providers nor clients, and of the channel only what [`Progress`] says.

mod coding;
mod desk;
pub mod disk;
pub mod jetstream;
mod memory;
mod registry;
mod tombstones;

pub use desk::{Answer, Ask, Begun, Desk, Refusal};
pub use disk::Disk;
pub use jetstream::JetStream;
pub use memory::{Memory, nowhere};
pub use registry::{Registered, Registry};

use std::{future::Future, pin::Pin, sync::Weak, time::Duration};

use bytes::Bytes;
use prost::encoding::decode_varint;
use thiserror::Error;

use crate::{
    ident::{ChannelKey, GenerationId, Owner},
    sequence::{Epoch, Past},
    snapshot::State,
};

/// What a store will have done.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Keeps channels' logs. It may do I/O wherever it gives a [`Pending`], and nowhere else; it is asked about one channel
/// by one caller at a time.
pub trait Store: Send + Sync + 'static {
    /// Takes over the writing of a channel. Whoever wrote before is fenced off, or it is refused.
    fn open<'a>(
        &'a self,
        key: &'a ChannelKey,
        intent: Intent,
    ) -> Pending<'a, Result<Tenure, NotOpened>>;

    /// Takes over the writing of a channel that is followed here; when it is done, its [`Progress`] knows. Err
    /// [`StoreError::Elsewhere`]: its writer lives, and something runs there.
    fn take_over<'a>(&'a self, _: &'a ChannelKey) -> Pending<'a, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    /// Asks the node that writes a channel that is followed here to do something. `None`: nobody writes it at present.
    fn ask<'a>(
        &'a self,
        _: &'a ChannelKey,
        _: Ask,
    ) -> Pending<'a, Result<Option<Answer>, StoreError>> {
        Box::pin(async { Ok(None) })
    }

    /// Whether other nodes can take over what this one leaves.
    fn is_shared(&self) -> bool {
        false
    }

    /// Whether another node writes a channel, as far as is known without I/O.
    fn is_written_elsewhere(&self, _: &ChannelKey) -> bool {
        false
    }

    /// Keeps what whoever takes a channel over needs to go on with a generation, until it is withdrawn.
    fn deposit<'a>(
        &'a self,
        _: &'a ChannelKey,
        _: &'a GenerationId,
        _: Bytes,
    ) -> Pending<'a, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    /// What was deposited for a generation. `None`: nothing, or it was withdrawn.
    fn deposited<'a>(
        &'a self,
        _: &'a ChannelKey,
        _: &'a GenerationId,
    ) -> Pending<'a, Result<Option<Bytes>, StoreError>> {
        Box::pin(async { Ok(None) })
    }

    /// Forgets what was deposited for a generation.
    fn withdraw<'a>(
        &'a self,
        _: &'a ChannelKey,
        _: &'a GenerationId,
    ) -> Pending<'a, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    /// Where nodes tell each other of answers. `None`: no other node shares this store.
    fn registry(&self) -> Option<&dyn Registry> {
        None
    }

    /// Who does what other nodes ask for. Said once.
    fn serve(&self, _: Weak<dyn Desk>) {}

    /// A channel may take so many bytes of memory from now on: what is kept of one beyond that is given folded.
    fn hold(&self, _bytes_max: usize) {}

    /// Whether channels may be let go of in memory, because they are kept here.
    fn keeps(&self) -> bool;

    /// The channel rests: keeps what is not kept yet. When it is done the tenure is over, unless something was appended
    /// in the meantime, and the channel can be opened again.
    fn rest<'a>(&'a self, key: &'a ChannelKey, kept: Kept) -> Pending<'a, Result<(), StoreError>>;

    /// The open channels that the store would like to keep anew although they do not rest: see [`Store::rest`].
    fn burdens(&self) -> Vec<ChannelKey> {
        Vec::new()
    }

    /// Forgets a channel that is not open any more; when it is done, a restart does not bring it back. Err: it may.
    fn forget<'a>(
        &'a self,
        key: &'a ChannelKey,
        why: Forgotten,
    ) -> Pending<'a, Result<(), StoreError>>;

    /// Forgets the channels at rest whose last event was said longer than `after_end` before `now_ms`, and what was to be
    /// remembered of those long gone.
    fn sweep(&self, now_ms: u64, after_end: Duration) -> Pending<'_, ()>;

    /// The channels on which, as far as is kept, a generation runs whose writer is gone. Opening one, or taking it over, ends
    /// the generation, or another goes on with it.
    fn unfinished(&self) -> Vec<ChannelKey>;

    /// Whether there may be such a channel, as far as can be said without I/O.
    fn may_have(&self, key: &ChannelKey) -> bool;

    /// An owner's channels at rest, in any order.
    fn at_rest(&self, owner: &Owner) -> Vec<AtRest>;

    /// How the store does.
    fn health(&self) -> Health;

    /// Makes safe what is not safe yet: nothing is appended any more.
    fn close(&self) -> Pending<'_, ()>;
}

/// Why a channel is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// To make it, without a name; there is none of this id.
    Make,
    /// Because an app names it: it is made if there is none.
    Name,
    /// To look at it, if there is one.
    Find,
}

/// A channel that is open here.
pub struct Tenure {
    /// Its epoch, and all that was kept before.
    pub kept: Kept,
    /// What is done with it here.
    pub role: Role,
}

/// What a node does with a channel.
pub enum Role {
    /// It writes the channel: this is its pen.
    Writes(Box<dyn Writer>),
    /// Another one does, and what that says comes by [`Progress::news`].
    Follows(Box<dyn Following>),
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

/// A channel as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// Whether an app chose its id.
    pub named: bool,
    /// The epoch of now.
    pub epoch: Epoch,
    /// The tenures before, the oldest first.
    pub past: Vec<Past>,
    /// What retention has trimmed away, folded.
    pub base: Option<Base>,
    /// The events after that, without a gap.
    pub slices: Vec<Slice>,
    /// When the last event was said, in milliseconds since 1970 UTC.
    pub last_ms: u64,
    /// How many generations there were.
    pub generations: u32,
    /// How many of them run.
    pub running: u32,
}

impl std::fmt::Debug for Tenure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tenure").field("epoch", &self.kept.epoch).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for dyn Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writer")
    }
}

impl Kept {
    /// A channel on which nothing was said.
    pub fn nothing(named: bool, epoch: Epoch) -> Self {
        let (past, slices) = (Vec::new(), Vec::new());
        Self { named, epoch, past, base: None, slices, last_ms: 0, generations: 0, running: 0 }
    }

    /// The last seq; 0 before the first.
    pub fn last_seq(&self) -> u64 {
        let base = self.base.as_ref().map_or(0, |base| base.through);
        self.slices.last().map_or(base, |slice| slice.last_seq)
    }
}

/// The head of a log, folded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Base {
    /// The last seq folded in.
    pub through: u64,
    /// What was folded.
    pub state: std::sync::Arc<State>,
}

/// Consecutive events of a channel: a frame's content, and what a store keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Slice {
    /// The first event's seq.
    pub first_seq: u64,
    /// The last event's seq.
    pub last_seq: u64,
    /// The elements of a frame's `events` field, back to back.
    pub events: Bytes,
    /// When they were said.
    pub times: Times,
}

/// The times of a slice's events.
#[derive(Clone, Debug, PartialEq)]
pub struct Times {
    /// Milliseconds since 1970 UTC to which the first delta is added.
    pub base_ms: u64,
    /// One varint for each event: milliseconds since the event before it.
    pub deltas: Bytes,
}

impl Times {
    /// When each event was said, in milliseconds since 1970 UTC.
    pub fn all_ms(&self) -> impl Iterator<Item = u64> + '_ {
        let (mut deltas, mut at) = (&self.deltas[..], self.base_ms);
        std::iter::from_fn(move || {
            at += decode_varint(&mut deltas).ok()?;
            Some(at)
        })
    }

    /// When the first event was said, in milliseconds since 1970 UTC.
    pub fn first_ms(&self) -> u64 {
        self.base_ms + decode_varint(&mut &self.deltas[..]).unwrap_or_default()
    }
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

/// Why a channel is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgotten {
    /// It was deleted: nobody is told that there was one.
    Deleted,
    /// It expired: for a while whoever asks is told so.
    Expired,
}

/// A channel at rest here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtRest {
    /// Its identity.
    pub key: ChannelKey,
    /// Whether an app chose its id.
    pub named: bool,
    /// The epoch of now.
    pub epoch: Epoch,
    /// The last seq; where something runs at another node, that of its last beginning or end of a generation.
    pub last_seq: u64,
    /// When that event was said, in milliseconds since 1970 UTC.
    pub last_ms: u64,
    /// How many generations it has had.
    pub generations: u32,
    /// How many of them run, at another node.
    pub running: u32,
    /// How many bytes it takes where it is kept.
    pub bytes: u64,
}

/// How a store does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Why nothing is kept at present, where that is so: what is said lives in memory only, or waits.
    pub degraded: Option<String>,
    /// Nothing new can begin for it.
    pub refuses: bool,
    /// How many gateways share it and live, this one too; 0 where it is not shared.
    pub nodes: u64,
    /// How many channels are kept.
    pub channels: u64,
    /// How many bytes they take.
    pub bytes: u64,
    /// How often a torn or damaged tail was cut off, since the start.
    pub cuts: u64,
    /// How often something damaged was found and not served, since the start.
    pub damages: u64,
}

/// Why there is no tenure.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotOpened {
    /// There never was such a channel, or it was deleted, or it expired long ago.
    #[error("no such channel")]
    Unknown,
    /// It expired.
    #[error("the channel has expired")]
    Expired,
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a store did not do as asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// Another writer took the channel over.
    #[error("another writer holds this channel")]
    Fenced,
    /// Another node writes the channel, and something runs there.
    #[error(
        "a generation runs on this channel at another node; it takes no other one until that has ended"
    )]
    Elsewhere,
    /// It cannot be reached, or cannot read or write.
    #[error("the store cannot do it: {0}")]
    Unavailable(String),
    /// It is larger than the store takes.
    #[error("{bytes} bytes are more than the store takes at once ({max})")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The most.
        max: usize,
    },
    /// What is kept is damaged and was not served.
    #[error("what is kept of this channel is damaged: {0}")]
    Damaged(String),
}
