//! What the store does on this node: reads channels, opens them, and begins to write or to follow them.

use std::{
    collections::HashSet,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    super::{
        Answer, Ask, Desk, Forgotten, Intent, Kept, News, NotOpened, Progress, Role, StoreError,
        Tenure, coding::Head,
    },
    courier::Courier,
    desk,
    follow::Follow,
    index::Index,
    lease::Lease,
    lines::{Line, Lines},
    nats::{AGAIN_AFTER, Nats, NotTaken},
    outbox::{Outbox, Pen},
    record::{self, Record, TenureRecord, Told},
    tail::{Tail, WentBack},
};
use crate::{clock, ident::ChannelKey, sequence::Epoch};

/// How long the next message of a channel that is read may take to come.
const COMES_WITHIN: Duration = Duration::from_secs(5);

/// How often something is tried again that another node came before with.
const TRIES: usize = 8;

pub(super) struct Inner {
    pub(super) nats: Arc<Nats>,
    pub(super) lease: Arc<Lease>,
    pub(super) index: Mutex<Index>,
    pub(super) lines: Lines,
    /// Those whose entries are to be noted.
    pub(super) dirty: Mutex<HashSet<ChannelKey>>,
    pub(super) to_note: Notify,
    /// Some of them were.
    pub(super) noted: Notify,
    pub(super) desk: OnceLock<Weak<dyn Desk>>,
    pub(super) tasks: TaskTracker,
    pub(super) closing: CancellationToken,
    pub(super) damages: AtomicU64,
    /// How often NATS has lost what it had acknowledged.
    pub(super) losses: AtomicU64,
    /// Part of the pens of all tenures that begin here until NATS loses something: only they can be gone on with in their epoch.
    pub(super) era: AtomicU32,
    /// So much of a channel is held as events when it is read; what is before is folded.
    pub(super) bytes_max: AtomicUsize,
}

/// A channel as it was read, and what follows.
pub(super) struct Read {
    pub(super) told: Told,
    pub(super) tail: Tail,
}

pub(super) fn full() -> StoreError {
    StoreError::Unavailable("NATS has no room for more".to_owned())
}

pub(super) fn away() -> StoreError {
    StoreError::Unavailable("NATS is away, or does not answer".to_owned())
}

impl Inner {
    /// Whether this node's lease holds.
    pub(super) fn holds(&self) -> bool {
        self.lease.term(Instant::now()).is_some()
    }

    /// Since when NATS does not take what is said on some channel, if it is longer than a lease; and whether it takes nothing at all.
    pub(super) fn refuses(&self, now: Instant) -> Option<bool> {
        let span = self.lease.span();
        let outboxes = self.lines.outboxes();
        let oldest = outboxes.iter().filter_map(|outbox| outbox.waits_since()).min()?;
        (now >= oldest + span).then(|| now >= self.nats.took() + span)
    }

    /// Everything that a channel's subject holds. `None`: nothing.
    pub(super) async fn read(&self, key: &ChannelKey) -> Result<Option<Read>, StoreError> {
        // Asked before looking: what is heard later may speak of more.
        let known = self.index.lock().get(key).map_or(0, |entry| entry.at);
        let Some(last) = self.nats.last(&self.nats.log_of(key)).await? else {
            if known > 0 {
                self.strike(key, known).await?;
            }
            return Ok(None);
        };
        let mut told = Told::nothing();
        let mut tail = Tail::of(&self.nats, key);
        let bytes_max = self.bytes_max.load(Ordering::Relaxed);
        while told.at < last.at {
            let message = timeout(COMES_WITHIN, tail.next()).await.map_err(|_| away())?;
            let message = message.map_err(|WentBack| away())?;
            told.come_to(&message);
            match record::read(message.payload) {
                Some(records) => records.iter().for_each(|it| {
                    told.apply(it, true);
                }),
                None => told.broken = true,
            }
            if told.broken {
                break;
            }
            told.fold(bytes_max);
        }
        if told.broken {
            self.damages.fetch_add(1, Ordering::Relaxed);
            let what = "its records do not fit one another";
            tracing::error!(channel = %key.id, what, "a channel is damaged");
            // Nobody can end what may run on it.
            self.index.lock().remove(key, u64::MAX);
            return Err(StoreError::Damaged(what.to_owned()));
        }
        if told.at < known {
            self.went_back();
            self.index.lock().correct(told.entry(key));
            self.note(key.clone());
        }
        Ok(Some(Read { told, tail }))
    }

    /// NATS has lost what it had acknowledged. Whatever was said since in this node's tenures had numbers that somebody may have seen:
    /// none of them is gone on with in its epoch.
    pub(super) fn went_back(&self) {
        tracing::warn!(
            "NATS has lost the last of what it had acknowledged; was its machine cut off before it had synced?"
        );
        self.losses.fetch_add(1, Ordering::Relaxed);
        self.era.store(rand::random(), Ordering::Relaxed);
    }

    /// Tells a channel here what it is in the log, because it is not what it was told.
    pub(super) async fn tell_anew(
        self: &Arc<Self>,
        key: &ChannelKey,
        progress: &Weak<dyn Progress>,
    ) {
        loop {
            let read = self.read(key).await;
            let Some(progress) = progress.upgrade() else { return };
            let news = match read {
                Ok(Some(Read { told, .. })) if let Some(why) = told.gone => News::Forgotten(why),
                Ok(Some(read)) => News::Replaced(self.follow(key, read)),
                Ok(None) => News::Forgotten(Forgotten::Deleted),
                // It does not get better by waiting.
                Err(StoreError::Damaged(_)) => News::Damaged,
                Err(_) => {
                    drop(progress);
                    sleep(AGAIN_AFTER).await;
                    continue;
                }
            };
            return progress.news(news);
        }
    }

    pub(super) async fn open(
        self: &Arc<Self>,
        key: &ChannelKey,
        intent: Intent,
    ) -> Result<Tenure, NotOpened> {
        // To look at one needs no lease.
        if intent != Intent::Find && !self.holds() {
            return Err(away().into());
        }
        if intent == Intent::Make {
            return Ok(self.make(key, false));
        }
        for _ in 0..TRIES {
            let read = self.read(key).await?;
            let (at, gone) = match read {
                Some(read) if read.told.gone.is_none() => return Ok(self.follow(key, read)),
                Some(Read { told, .. }) => {
                    self.index.lock().learn(told.entry(key));
                    (told.at, told.gone)
                }
                None => {
                    self.give_up_foretold(key).await?;
                    (0, None)
                }
            };
            if intent == Intent::Find {
                return Err(match gone {
                    Some(Forgotten::Expired) => NotOpened::Expired,
                    Some(Forgotten::Deleted) | None => NotOpened::Unknown,
                });
            }
            let kept = Kept::nothing(true, Epoch::random());
            let head = Head { named: true, epoch: kept.epoch, past: Vec::new() };
            let (mut told, mut payload) = (Told::nothing(), Vec::new());
            let tenure = self.tenure(key, head);
            tenure.write(&mut payload);
            (told.bytes, told.kept.last_ms) = (payload.len() as u64, clock::now_ms());
            told.apply(&Record::Tenure(tenure), false);
            match self.nats.append(&self.nats.log_of(key), payload.into(), at).await {
                Ok(at) => {
                    told.at = at;
                    let pen = self.write(key, &told, None);
                    self.stands(told.entry(key));
                    return Ok(Tenure { kept, role: Role::Writes(Box::new(pen)) });
                }
                // Another node made it at the same moment.
                Err(NotTaken::Overtaken) => {}
                Err(NotTaken::Unknown) => return Err(away().into()),
                Err(NotTaken::Full) => return Err(full().into()),
            }
        }
        Err(away().into())
    }

    /// A new tenure of this node's.
    fn tenure(&self, key: &ChannelKey, head: Head) -> TenureRecord {
        let era = u64::from(self.era.load(Ordering::Relaxed));
        let pen = era << 32 | u64::from(rand::random::<u32>());
        TenureRecord { pen, node: self.lease.node().to_owned(), key: key.clone(), head }
    }

    /// Begins a tenure of this node's on a channel that stands so in the log. `anew`: in a new epoch, whoever was the last to write.
    pub(super) async fn begin_tenure(
        &self,
        key: &ChannelKey,
        told: &mut Told,
        anew: bool,
    ) -> Result<(), NotTaken> {
        let mut head = told.head();
        // What was shown while nothing runs is kept: where this node was the last to write, and NATS has lost nothing since, it goes on
        // in its epoch.
        let era = u64::from(self.era.load(Ordering::Relaxed));
        let ours = told.node == self.lease.node() && told.pen >> 32 == era;
        if anew || !ours || told.kept.running > 0 {
            head.succeed(told.kept.last_seq());
        }
        let tenure = self.tenure(key, head);
        let mut payload = Vec::new();
        tenure.write(&mut payload);
        let bytes = payload.len() as u64;
        told.at = self.nats.append(&self.nats.log_of(key), payload.into(), told.at).await?;
        told.bytes += bytes;
        told.apply(&Record::Tenure(tenure), true);
        Ok(())
    }

    /// Makes a channel whose id nobody else has: its tenure begins with the first that is said.
    fn make(self: &Arc<Self>, key: &ChannelKey, named: bool) -> Tenure {
        let kept = Kept::nothing(named, Epoch::random());
        let head = Head { named, epoch: kept.epoch, past: Vec::new() };
        let (mut told, mut first) = (Told::nothing(), Vec::new());
        let tenure = self.tenure(key, head);
        tenure.write(&mut first);
        told.apply(&Record::Tenure(tenure), false);
        let pen = self.write(key, &told, Some(first));
        Tenure { kept, role: Role::Writes(Box::new(pen)) }
    }

    /// Begins to write a channel that stands so: the pen of its tenure.
    pub(super) fn write(
        self: &Arc<Self>,
        key: &ChannelKey,
        told: &Told,
        first: Option<Vec<u8>>,
    ) -> Pen {
        let (how, term) = (told.standing(), self.lease.term(Instant::now()));
        let outbox = Outbox::new(how.last_seq, term);
        let line = self.lines.open(key, Line::Writes(Arc::clone(&outbox)));
        let courier = Courier {
            inner: Arc::clone(self),
            line,
            subject: self.nats.log_of(key),
            outbox: Arc::clone(&outbox),
            pen: told.pen,
            first,
            how,
            entry: told.entry(key),
            sent: None,
        };
        self.tasks.spawn(courier.run());
        Pen::new(outbox, Arc::clone(&self.lease), told.pen, how)
    }

    /// Begins to follow a channel that was read.
    pub(super) fn follow(self: &Arc<Self>, key: &ChannelKey, read: Read) -> Tenure {
        let Read { mut told, tail } = read;
        self.hears(told.entry(key));
        // Of what was said only the last is needed to go on.
        let last = told.kept.slices.last().cloned();
        let slices = std::mem::replace(&mut told.kept.slices, last.into_iter().collect());
        let kept = Kept { base: told.kept.base.take(), slices, ..told.kept.clone() };
        let following = Follow::begin(self, key, told, tail);
        Tenure { kept, role: Role::Follows(Box::new(following)) }
    }

    /// Asks a node to do something.
    pub(super) async fn ask(
        &self,
        node: &str,
        key: &ChannelKey,
        ask: &Ask,
        within: Duration,
    ) -> Result<Option<Answer>, StoreError> {
        let (subject, question) = (self.nats.node(node, "ask"), desk::write_ask(key, ask));
        match self.nats.ask(subject, question, within).await? {
            None => Ok(None),
            Some(answer) => desk::read_answer(&answer).ok_or_else(|| {
                StoreError::Unavailable("another node answers with what is no answer".into())
            }),
        }
    }
}
