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
mod kept;
mod memory;
mod registry;
mod tenure;
mod tombstones;

pub use desk::{Answer, Ask, Begun, Desk, Refusal};
pub use disk::Disk;
pub use jetstream::JetStream;
pub use kept::{Base, Kept, Slice, Times};
pub use memory::{Memory, nowhere};
pub use registry::{Registered, Registry};
pub use tenure::{Ack, Commit, Element, Following, News, Progress, Promise, Role, Tenure, Writer};

use std::{future::Future, pin::Pin, sync::Weak, time::Duration};

use bytes::Bytes;
use thiserror::Error;

use crate::{
    ident::{ChannelKey, GenerationId, Owner},
    sequence::Epoch,
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
