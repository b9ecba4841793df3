//! The waist: what was said, in order, for a while.
//!
//! `log` keeps it, `channel` lets one side append and the other read, `reader` is a cursor, `resume` decides where one
//! begins, and this file knows which channels there are. Left of here nothing knows that a client exists; right of here
//! nothing knows that a provider exists.

#[expect(clippy::module_inception, reason = "the module is named for what it holds most")]
mod channel;
mod log;
mod pressure;
mod producer;
mod reader;
mod resume;
mod segment;
mod signal;
mod tombstones;

pub use channel::{Attendance, Brief, Channel, GENERATIONS_MAX, Status, UnknownGeneration, Watch};
pub use log::{Appended, Found, Log, SEGMENT_BYTES, TooLarge, View};
pub use producer::{AppendError, Producer};
pub use reader::{Cause, Ended, Reader, Snapshot, Step};
pub use resume::{CannotResume, Extent, Past, Start, start};
pub use segment::{Slice, Times};
pub use signal::Signal;

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use parking_lot::Mutex;
use thiserror::Error;
use tokio::time::Instant;

use crate::{
    ident::{ChannelId, ChannelKey, Owner},
    store::{Store, StoreError},
};
use tombstones::Tombstones;

/// How long and how much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// How long a channel is kept after its last event, with nothing running.
    pub after_end: Duration,
    /// How much memory one channel may take, in bytes; past it its head is folded.
    pub max_bytes: usize,
}

/// All channels of this gateway.
pub struct Channels {
    store: Arc<dyn Store>,
    retention: Mutex<Retention>,
    inner: Mutex<Inner>,
    /// All logs together take more memory than they may.
    full: AtomicBool,
}

#[derive(Default)]
struct Inner {
    live: HashMap<ChannelKey, Arc<Channel>>,
    tombstones: Tombstones,
}

/// Why there is no channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoChannel {
    /// There never was one, or it was deleted, or it expired long ago.
    #[error("no such channel")]
    Unknown,
    /// It expired.
    #[error("the channel has expired")]
    Evicted,
}

/// Why a channel was not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CannotDelete {
    /// There is none.
    #[error(transparent)]
    NoChannel(#[from] NoChannel),
    /// Generations run on it.
    #[error("a generation is running on this channel")]
    Running,
}

impl Channels {
    /// No channels yet.
    pub fn new(store: Arc<dyn Store>, retention: Retention) -> Self {
        Self {
            store,
            retention: Mutex::new(retention),
            inner: Mutex::default(),
            full: AtomicBool::new(false),
        }
    }

    /// From now on so much is kept: for so long of all channels, and so many bytes of those that are made from now on.
    pub fn retain(&self, retention: Retention) {
        *self.retention.lock() = retention;
    }

    /// A new channel that nobody has named. It closes with its generation.
    pub fn create(&self, owner: Owner) -> Result<Arc<Channel>, StoreError> {
        self.make(ChannelKey { owner, id: ChannelId::random() }, false)
    }

    /// The channel that an app names, made if there is none. It stays open.
    pub fn open(&self, key: ChannelKey) -> Result<Arc<Channel>, StoreError> {
        let known = self.inner.lock().live.get(&key).cloned();
        known.map_or_else(|| self.make(key, true), Ok)
    }

    /// The channel, if there is one.
    pub fn find(&self, key: &ChannelKey) -> Result<Arc<Channel>, NoChannel> {
        self.inner.lock().find(key).map(Arc::clone)
    }

    /// Forgets a channel on which nothing runs.
    pub fn delete(&self, key: &ChannelKey) -> Result<(), CannotDelete> {
        {
            // In one step, so that what is made anew under this id in the meantime is not what is taken away.
            let mut inner = self.inner.lock();
            if !inner.find(key)?.retire(Ended::Deleted, |_| true) {
                return Err(CannotDelete::Running);
            }
            inner.live.remove(key);
        }
        self.forget(key);
        Ok(())
    }

    /// Lets go of what has expired at `now`.
    pub fn sweep(&self, now: Instant) {
        let after_end = self.retention.lock().after_end;
        let old = |since: Instant| now >= since + after_end;
        let expired: Vec<_> = {
            let mut inner = self.inner.lock();
            inner.tombstones.sweep(now);
            let live = &mut inner.live;
            let expired: Vec<_> = live
                .extract_if(|_, channel| channel.retire(Ended::Evicted, old))
                .map(|(key, _)| key)
                .collect();
            expired.iter().for_each(|key| inner.tombstones.bury(key.clone(), now));
            expired
        };
        expired.iter().for_each(|key| self.forget(key));
    }

    /// All that live now.
    pub fn all(&self) -> Vec<Arc<Channel>> {
        self.inner.lock().live.values().cloned().collect()
    }

    /// Tells the store that the channel is gone.
    fn forget(&self, key: &ChannelKey) {
        if let Err(error) = self.store.delete(key) {
            tracing::warn!(channel = %key.id, %error, "the store did not forget a channel");
        }
    }

    fn make(&self, key: ChannelKey, named: bool) -> Result<Arc<Channel>, StoreError> {
        let tenure = self.store.open(&key)?;
        let max_bytes = self.retention.lock().max_bytes;
        let channel = Channel::new(key.clone(), named, tenure, max_bytes);
        let mut inner = self.inner.lock();
        inner.tombstones.raise(&key);
        // Of two that name a new channel at once, the first makes it.
        Ok(Arc::clone(inner.live.entry(key).or_insert_with(|| Arc::new(channel))))
    }
}

impl Inner {
    fn find(&self, key: &ChannelKey) -> Result<&Arc<Channel>, NoChannel> {
        match self.live.get(key) {
            Some(channel) => Ok(channel),
            None if self.tombstones.contains(key) => Err(NoChannel::Evicted),
            None => Err(NoChannel::Unknown),
        }
    }
}
