//! Which channels there are: those in memory, and behind them those that the store keeps.
//!
//! One in memory is found without a wait. One at rest is opened when somebody asks, once however many ask at a time, and
//! let go of again when nobody holds it any more. What is done on one that another node writes is in `across`, and
//! where other nodes' answers are in `answers`.

mod across;
mod answers;

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, OnceLock, Weak, atomic::AtomicBool},
    time::Duration,
};

use futures_util::{StreamExt, future, stream};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::{
    sync::RwLock,
    time::{Instant, timeout},
};
use tokio_util::task::TaskTracker;

use super::{
    AppendError, Channel, Ended, Successor, UnknownGeneration,
    elsewhere::{Arrivals, Elsewhere},
};
use crate::{
    clock,
    ident::{ChannelId, ChannelKey, Owner, random_id},
    store::{AtRest, Forgotten, Health, Intent, Kept, NotOpened, Refusal, Store, StoreError},
};

/// How long a channel on which nothing is said and that nobody looks at stays in memory, where the store keeps it: whoever
/// reconnects, or asks again in the same conversation, finds it there.
const LINGERS: Duration = Duration::from_secs(10);

/// So many channels are opened, deleted and let go of at the same time, at most.
const TURNS: usize = 256;

/// How long it may take, once nothing runs, to forget what was left for other nodes.
const WITHDRAWN_WITHIN: Duration = Duration::from_secs(1);

/// On so many channels at a time what was lost is ended.
const ENDED_AT_ONCE: usize = 64;

/// How long that may take of one of them.
const ENDED_WITHIN: Duration = Duration::from_secs(5);

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
    pub(super) store: Arc<dyn Store>,
    retention: Mutex<Retention>,
    live: Mutex<HashMap<ChannelKey, Arc<Channel>>>,
    turns: Turns,
    /// All logs together take more memory than they may.
    pub(super) full: AtomicBool,
    pub(super) around: Arc<Around>,
    pub(super) elsewhere: Elsewhere,
    /// This node's among those that share a store.
    pub(super) name: String,
    /// Of what generations leave at the store.
    pub(super) tasks: TaskTracker,
    /// Held by all that other nodes are being told of answers, and alone by what must be the last that they are told.
    pub(super) telling: Arc<RwLock<()>>,
}

/// What all channels can reach.
#[derive(Default)]
pub(super) struct Around {
    /// Who goes on with what lost nodes ran, once it is said.
    pub(super) successor: OnceLock<Weak<dyn Successor>>,
    pub(super) arrivals: Arrivals,
}

/// Why there is no channel.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoChannel {
    /// There never was one, or it was deleted, or it expired long ago.
    #[error("no such channel")]
    Unknown,
    /// It expired.
    #[error("the channel has expired")]
    Evicted,
    /// It may be there, but the store cannot say.
    #[error(transparent)]
    Store(StoreError),
}

/// Why something was not done on a channel.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// There is no such generation.
    #[error(transparent)]
    Generation(#[from] UnknownGeneration),
    /// It was not appended.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The node that writes it said so.
    #[error(transparent)]
    There(#[from] Refusal),
}

/// Why a channel was not deleted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CannotDelete {
    /// There is none.
    #[error(transparent)]
    NoChannel(#[from] NoChannel),
    /// Generations run on it.
    #[error("a generation is running on this channel")]
    Running,
    /// It is gone, but the store could not make sure of it.
    #[error("the channel is gone, but may come back when the gateway is started again: {0}")]
    NotForGood(StoreError),
}

impl From<NotOpened> for NoChannel {
    fn from(error: NotOpened) -> Self {
        match error {
            NotOpened::Unknown => Self::Unknown,
            NotOpened::Expired => Self::Evicted,
            NotOpened::Store(error) => Self::Store(error),
        }
    }
}

impl From<NoChannel> for StoreError {
    fn from(error: NoChannel) -> Self {
        match error {
            NoChannel::Store(error) => error,
            // What is to be made is made.
            error => Self::Unavailable(error.to_string()),
        }
    }
}

impl Channels {
    /// The channels that a store keeps.
    pub fn new(store: Arc<dyn Store>, retention: Retention) -> Self {
        store.hold(retention.max_bytes);
        Self {
            store,
            retention: Mutex::new(retention),
            live: Mutex::default(),
            turns: Turns::default(),
            full: AtomicBool::new(false),
            around: Arc::default(),
            elsewhere: Elsewhere::default(),
            name: random_id("viewers"),
            tasks: TaskTracker::new(),
            telling: Arc::default(),
        }
    }

    /// Who goes on with what lost nodes ran. Said once; until then it ends.
    pub fn succeed_by(&self, successor: Weak<dyn Successor>) {
        let _ = self.around.successor.set(successor);
    }

    /// Whether other nodes can go on with what this one runs.
    pub fn are_shared(&self) -> bool {
        self.store.is_shared()
    }

    /// From now on so much is kept: for so long of all channels, and so many bytes of those that are opened from now on.
    pub fn retain(&self, retention: Retention) {
        self.store.hold(retention.max_bytes);
        *self.retention.lock() = retention;
    }

    /// Takes over what an earlier process or a dead node left running: it goes on here, if it left what that needs, or ends as
    /// `failed: gateway_lost`. Says on how many channels. To be done before anything is served, and now and then.
    pub async fn recover(&self) -> usize {
        let unfinished = stream::iter(self.store.unfinished());
        let ended = unfinished.map(|key| async move {
            // One that takes longer keeps the others waiting, and is tried again.
            let ended = timeout(ENDED_WITHIN, self.end_lost(&key)).await;
            ended.unwrap_or_else(|_| {
                tracing::warn!(channel = %key.id, "a lost generation was not ended yet");
                false
            })
        });
        // All of them are made safe together.
        let ended = ended.buffer_unordered(ENDED_AT_ONCE).filter(|ended| future::ready(*ended));
        ended.count().await
    }

    /// Ends what runs on a channel whose writer is gone. Says whether it did.
    async fn end_lost(&self, key: &ChannelKey) -> bool {
        let channel = match self.find(key).await {
            Ok(channel) => channel,
            Err(error) => {
                tracing::error!(channel = %key.id, %error, "a lost generation was not ended");
                return false;
            }
        };
        // One that was opened to write it has ended what was lost.
        if channel.follows()
            && let Err(error) = self.take_over(&channel).await
        {
            tracing::debug!(channel = %key.id, %error, "not taken over");
            return false;
        }
        let last_seq = channel.last_seq();
        channel.shown(last_seq).await;
        true
    }

    /// A new channel that nobody has named. It closes with its generation.
    pub async fn create(&self, owner: Owner) -> Result<Arc<Channel>, StoreError> {
        let key = ChannelKey { owner, id: ChannelId::random() };
        Ok(self.load(&key, Intent::Make).await?)
    }

    /// The channel that an app names, made if there is none. It stays open, and this node writes it.
    pub async fn open(&self, key: ChannelKey) -> Result<Arc<Channel>, StoreError> {
        let channel = self.find_or(&key, Intent::Name).await?;
        if channel.follows() {
            self.take_over(&channel).await?;
        }
        Ok(channel)
    }

    /// The channel, if there is one.
    pub async fn find(&self, key: &ChannelKey) -> Result<Arc<Channel>, NoChannel> {
        self.find_or(key, Intent::Find).await
    }

    /// The channel, if it is in memory.
    pub fn live(&self, key: &ChannelKey) -> Option<Arc<Channel>> {
        self.live.lock().get(key).cloned()
    }

    /// Whether there may be such a channel, as far as can be said without a wait.
    pub fn may_have(&self, key: &ChannelKey) -> bool {
        self.live.lock().contains_key(key) || self.store.may_have(key)
    }

    /// Forgets a channel on which nothing runs. When it is done, a restart does not bring it back.
    pub async fn delete(&self, key: &ChannelKey) -> Result<(), CannotDelete> {
        let channel = match self.find(key).await {
            Ok(channel) => Some(channel),
            // What cannot be read can be forgotten.
            Err(NoChannel::Store(StoreError::Damaged(_))) => None,
            Err(error) => return Err(error.into()),
        };
        let _turn = self.turns.take(key).await;
        if let Some(channel) = channel {
            // In one step, so that what is made anew under this id in the meantime is not what is taken away.
            let mut live = self.live.lock();
            if !live.get(key).is_some_and(|it| Arc::ptr_eq(it, &channel)) {
                return Err(CannotDelete::NoChannel(NoChannel::Unknown));
            }
            if !channel.retire(Ended::Deleted, |_| true) {
                return Err(CannotDelete::Running);
            }
            live.remove(key);
        }
        match self.store.forget(key, Forgotten::Deleted).await {
            // It began at another node in this very moment.
            Err(StoreError::Elsewhere) => Err(CannotDelete::Running),
            other => other.map_err(CannotDelete::NotForGood),
        }
    }

    /// Lets go of what has expired at `now`, for good, and of what rests, in memory.
    pub async fn sweep(&self, now: Instant) {
        let after_end = self.retention.lock().after_end;
        let old = |since: Instant| now >= since + after_end;
        for key in self.live_where(|channel| channel.is_quiet(old) && !channel.follows()) {
            self.expire(&key, old).await;
        }
        for key in self.live_where(|channel| channel.gone().is_some()) {
            // Forgotten by another node.
            self.live.lock().remove(&key);
        }
        if self.store.keeps() {
            for key in self.store.burdens() {
                let _turn = self.turns.take(&key).await;
                if let Some(channel) = self.live(&key) {
                    self.rest(&key, channel.kept()).await;
                }
            }
            for key in self.live_where(|channel| channel.rests(now, LINGERS, 1)) {
                self.let_go(&key, now, LINGERS).await;
            }
        }
        let ahead = now.saturating_duration_since(Instant::now()).as_millis() as u64;
        self.store.sweep(clock::now_ms() + ahead, after_end).await;
    }

    /// Lets go of a channel for good, unless something runs on it or `old` does not agree with the time of its last event.
    /// Says whether it is gone.
    pub(super) async fn expire(&self, key: &ChannelKey, old: impl FnOnce(Instant) -> bool) -> bool {
        let _turn = self.turns.take(key).await;
        let expired = {
            let mut live = self.live.lock();
            let expired = live.get(key).is_some_and(|it| it.retire(Ended::Evicted, old));
            if expired {
                live.remove(key);
            }
            expired
        };
        if expired && let Err(error) = self.store.forget(key, Forgotten::Expired).await {
            tracing::warn!(channel = %key.id, %error, "the store did not forget a channel");
        }
        expired
    }

    /// Lets the store keep a channel, and keeps it no longer here. Says whether it is gone from here.
    pub(super) async fn let_go(&self, key: &ChannelKey, now: Instant, idle: Duration) -> bool {
        let _turn = self.turns.take(key).await;
        let Some(channel) = self.live(key) else { return false };
        let kept = channel.kept();
        let last_seq = kept.last_seq();
        if !self.rest(key, kept).await {
            return false;
        }
        let mut live = self.live.lock();
        // Somebody may have come in the meantime.
        let rests = channel.last_seq() == last_seq && channel.rests(now, idle, 2);
        if rests {
            live.remove(key);
        }
        rests
    }

    /// Whether the store keeps it.
    async fn rest(&self, key: &ChannelKey, kept: Kept) -> bool {
        let rests = self.store.rest(key, kept).await;
        if let Err(error) = &rests {
            tracing::warn!(channel = %key.id, %error, "a channel stays in memory");
        }
        rests.is_ok()
    }

    /// All that live now.
    pub fn all(&self) -> Vec<Arc<Channel>> {
        self.live.lock().values().cloned().collect()
    }

    /// What the store keeps of an owner's channels. Some of them may be in memory, and further on there.
    pub fn at_rest(&self, owner: &Owner) -> Vec<AtRest> {
        self.store.at_rest(owner)
    }

    /// How the store does.
    pub fn health(&self) -> Health {
        self.store.health()
    }

    /// Makes safe what was said; nothing is said any more.
    pub async fn close(&self) {
        self.tasks.close();
        if timeout(WITHDRAWN_WITHIN, self.tasks.wait()).await.is_err() {
            tracing::debug!("what was left for other gateways stays for a while");
        }
        self.store.close().await;
    }

    /// Does what other nodes ask for.
    pub fn serve(self: &Arc<Self>) {
        let desk: Weak<Self> = Arc::downgrade(self);
        self.store.serve(desk);
    }

    pub(super) fn live_where(
        &self,
        mut is_meant: impl FnMut(&Arc<Channel>) -> bool,
    ) -> Vec<ChannelKey> {
        let live = self.live.lock();
        live.iter().filter(|(_, it)| is_meant(it)).map(|(key, _)| key.clone()).collect()
    }

    async fn find_or(&self, key: &ChannelKey, intent: Intent) -> Result<Arc<Channel>, NoChannel> {
        match self.live(key) {
            Some(channel) => {
                channel.seek();
                Ok(channel)
            }
            None => {
                let _turn = self.turns.take(key).await;
                match self.live(key) {
                    Some(channel) => Ok(channel),
                    None => self.load(key, intent).await,
                }
            }
        }
    }

    async fn load(&self, key: &ChannelKey, intent: Intent) -> Result<Arc<Channel>, NoChannel> {
        let tenure = self.store.open(key, intent).await?;
        let max_bytes = self.retention.lock().max_bytes;
        let channel = Channel::open(key.clone(), tenure, max_bytes, Arc::clone(&self.around));
        let channel =
            channel.map_err(|error| NoChannel::Store(StoreError::Damaged(error.to_string())))?;
        self.live.lock().insert(key.clone(), Arc::clone(&channel));
        Ok(channel)
    }
}

/// Sees to it that a channel is opened, deleted or let go of by one at a time. These are turns and no locks: they are held
/// while the store does its I/O, and nobody who appends or reads waits for one.
struct Turns {
    of: Vec<tokio::sync::Mutex<()>>,
    hasher: RandomState,
}

impl Default for Turns {
    fn default() -> Self {
        let of = (0..TURNS).map(|_| tokio::sync::Mutex::default()).collect();
        Self { of, hasher: RandomState::new() }
    }
}

impl Turns {
    /// Two channels may have to share one.
    async fn take(&self, key: &ChannelKey) -> tokio::sync::MutexGuard<'_, ()> {
        let place = self.hasher.hash_one(key) as usize % TURNS;
        self.of[place].lock().await
    }
}
