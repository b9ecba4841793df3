//! Where a channel's log is kept beyond this process's memory.
//!
//! A store hands out [`Tenure`]s: the right of one writer to append to one channel, under an epoch. It is given the
//! encoded bytes as they were made when the events got their seqs; nothing is encoded again for it. `memory` keeps
//! nothing beyond the process. Knows neither providers nor clients.

mod memory;

pub use memory::Memory;

use thiserror::Error;

use crate::{ident::ChannelKey, sequence::Epoch};

/// Keeps channels' logs.
pub trait Store: Send + Sync + 'static {
    /// Takes over the writing of a channel. Whoever wrote before is fenced off.
    fn open(&self, key: &ChannelKey) -> Result<Tenure, StoreError>;

    /// Forgets a channel.
    fn delete(&self, key: &ChannelKey) -> Result<(), StoreError>;
}

/// One writer's tenure of a channel's log.
pub struct Tenure {
    /// Its epoch.
    pub epoch: Epoch,
    /// Its pen.
    pub writer: Box<dyn Writer>,
}

/// Appends to one channel's log. There is one at a time, and a fenced one learns so here.
pub trait Writer: Send {
    /// Writes events that have their seqs. Nobody is shown them before this returns.
    fn append(&mut self, batch: &Batch<'_>) -> Result<(), StoreError>;
}

/// Consecutive events, encoded.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// The first one's seq.
    pub first_seq: u64,
    /// How many there are.
    pub count: u32,
    /// The elements of a frame's `events` field, back to back.
    pub events: &'a [u8],
}

/// Why a store did not do as asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// Another writer took the channel over.
    #[error("another writer holds this channel")]
    Fenced,
}
