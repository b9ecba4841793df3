//! One channel: a log that many may read and, at any time, one store tenure writes.
//!
//! Producers append through it, readers read through it; the lock is held for as long as a slice or an append takes and
//! never across a wait. What is appended is shown once the store says so: until then nobody is given it, and a generation
//! whose end is not shown still runs. Knows neither what a provider nor what a client is.

mod keeping;
mod standing;
mod stopping;
mod watching;

pub use standing::{Brief, Status};
pub use stopping::UnknownGeneration;
pub use watching::{Attendance, Watch};

use std::{
    collections::VecDeque,
    sync::{
        Arc, Weak,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Ended, Reader, Signal,
    channels::Around,
    log::{Found, Log, SEGMENT_BYTES, View},
    producer::{AppendError, Producer, Running},
    resume::{CannotResume, Extent},
};
use crate::{
    clock,
    event::{Custom, Event, Kind, Started},
    ident::{ChannelKey, GenerationId},
    sequence::{Cursor, Epoch, From, Past},
    snapshot::State,
    store::{Ack, Commit, Element, Following, Promise, StoreError, Writer},
};

/// The most generations that one channel takes: each leaves its head here for as long as the channel lives.
pub const GENERATIONS_MAX: usize = 10_000;

/// An append-only log of events, with an id.
pub struct Channel {
    this: Weak<Self>,
    key: ChannelKey,
    named: bool,
    /// Written under the lock, read without it, like all that is atomic here.
    epoch: AtomicU32,
    bytes_max: usize,
    /// The last seq that readers may see, and in the lowest bit that nothing more will be said.
    head: AtomicU64,
    /// The seq of the last terminal event; 0 while there is none.
    last_end: AtomicU64,
    inner: Mutex<Inner>,
    viewers: watch::Sender<usize>,
    around: Arc<Around>,
}

struct Inner {
    log: Log,
    /// The tenures before this one, the oldest first.
    past: Vec<Past>,
    writer: Box<dyn Writer>,
    /// There while another node writes.
    following: Option<Box<dyn Following>>,
    /// How often another node took over what was said here: whoever spoke before then says nothing more.
    replaced: u32,
    /// The last seq that is shown.
    shown: u64,
    /// The seqs of last events that are not shown yet, and whose they are.
    ending: VecDeque<(u64, u32)>,
    signals: Vec<Signal>,
    generations: Vec<Started>,
    running: Vec<Running>,
    /// What those that run elsewhere have left, should their node be lost.
    left: Vec<(GenerationId, Bytes)>,
    life: Life,
    last_event: Instant,
    /// When somebody last asked for it, or went away from it.
    sought: Instant,
    /// Something that can be given up has come since the log was last condensed.
    spare: bool,
}

impl Inner {
    /// How many generations run once everything is shown.
    fn will_run(&self) -> u32 {
        self.running.len().saturating_sub(self.ending.len()) as u32
    }
}

/// Whether more can be said here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Open,
    /// An unnamed channel whose generation ended: nothing more will be said.
    Closed,
    Gone(Ended),
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").field("key", &self.key).field("epoch", &self.epoch()).finish()
    }
}

impl Channel {
    /// Begins a generation here: its `started` is appended, and the producer says the rest. `stop` is what
    /// [`Channel::cancel`] pulls.
    pub fn begin(
        self: &Arc<Self>,
        started: Started,
        stop: CancellationToken,
    ) -> Result<Producer, AppendError> {
        let mut inner = self.inner.lock();
        if inner.life != Life::Open {
            return Err(AppendError::Closed);
        }
        if inner.generations.len() == GENERATIONS_MAX {
            return Err(AppendError::TooManyGenerations);
        }
        let index = inner.generations.len() as u32;
        let kind = Kind::Started(started.clone());
        let event = Event { generation: index, choice: 0, kind };
        inner.running.push(Running::new(&started.id, stop));
        inner.generations.push(started);
        let appended = self.append_locked(&mut inner, std::slice::from_ref(&event));
        let seq = match appended {
            Ok(seq) => seq,
            Err(error) => {
                inner.running.pop();
                inner.generations.pop();
                return Err(error);
            }
        };
        let cursor = Cursor { epoch: self.epoch(), seq };
        let replaced = inner.replaced;
        Ok(Producer::new(Arc::clone(self), index, cursor, replaced))
    }

    /// Puts a custom event on the channel. It is done when it is shown: see [`Channel::shown`].
    pub fn publish(&self, custom: Custom) -> Result<Cursor, AppendError> {
        let mut inner = self.inner.lock();
        if inner.life != Life::Open {
            return Err(AppendError::Closed);
        }
        let event = Event::new(Kind::Custom(custom));
        let seq = self.append_locked(&mut inner, std::slice::from_ref(&event))?;
        inner.spare = true;
        Ok(Cursor { epoch: self.epoch(), seq })
    }

    /// How often another node took over what was said here. What was not shown by then never is.
    pub fn replaced(&self) -> u32 {
        self.inner.lock().replaced
    }

    /// A reader that begins at `from`.
    pub fn read(self: &Arc<Self>, from: From) -> Result<Reader, CannotResume> {
        Reader::open(self, from)
    }

    /// Its identity.
    pub fn key(&self) -> &ChannelKey {
        &self.key
    }

    /// Whether an app chose its id; then it outlives its generations.
    pub fn is_named(&self) -> bool {
        self.named
    }

    /// The epoch of now.
    pub fn epoch(&self) -> Epoch {
        Epoch::from_u32(self.epoch.load(Ordering::Acquire))
    }

    /// The last seq, whether or not it is shown yet.
    pub(super) fn last_seq(&self) -> u64 {
        self.inner.lock().log.last_seq()
    }

    /// Whether nothing runs and `quiet` agrees with the time of the last event.
    pub(super) fn is_quiet(&self, quiet: impl FnOnce(Instant) -> bool) -> bool {
        let inner = self.inner.lock();
        inner.running.is_empty() && quiet(inner.last_event)
    }

    /// The last seq that readers may see.
    pub fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire) >> 1
    }

    /// Everything so far, folded, with the epoch and the last seq folded in.
    pub fn fold(&self) -> (Epoch, u64, State) {
        let (epoch, shown, view) = self.view();
        (epoch, shown, view.fold(shown))
    }

    fn view(&self) -> (Epoch, u64, View) {
        let inner = self.inner.lock();
        (self.epoch(), inner.shown, inner.log.view())
    }

    /// Whether nothing runs here, nothing was said in the last `idle`, and nobody but so many `holders` has it: each reader
    /// and each producer does. Where another node writes it, what is said there does not count, but who asked for it here.
    pub(super) fn rests(self: &Arc<Self>, now: Instant, idle: Duration, holders: usize) -> bool {
        let inner = self.inner.lock();
        let (quiet, since) = match inner.following {
            Some(_) => (true, inner.sought),
            None => (inner.running.is_empty(), inner.last_event),
        };
        let quiet = quiet && inner.shown == inner.log.last_seq();
        quiet && Arc::strong_count(self) <= holders && now >= since + idle
    }

    /// Since when nothing was said on it, if nothing runs.
    pub fn quiet_since(&self) -> Option<Instant> {
        let inner = self.inner.lock();
        inner.running.is_empty().then_some(inner.last_event)
    }

    /// How much memory its log takes, in bytes.
    pub fn bytes(&self) -> usize {
        self.inner.lock().log.bytes()
    }

    /// Ends it for good, and tells its readers, if nothing runs on it and `quiet` agrees with the time of its last
    /// event. In one step, so that no generation can begin in between.
    pub(super) fn retire(&self, how: Ended, quiet: impl FnOnce(Instant) -> bool) -> bool {
        let mut inner = self.inner.lock();
        let all_shown = inner.shown == inner.log.last_seq();
        let ends = inner.running.is_empty() && all_shown && quiet(inner.last_event);
        if ends {
            inner.life = Life::Gone(how);
            let shown = inner.shown;
            self.show(&mut inner, shown);
        }
        ends
    }

    pub(super) fn gone(&self) -> Option<Ended> {
        if !self.is_over() {
            return None;
        }
        match self.inner.lock().life {
            Life::Gone(how) => Some(how),
            Life::Open | Life::Closed => None,
        }
    }

    /// Whether nothing more will be said. Takes no lock.
    pub(super) fn is_over(&self) -> bool {
        self.head.load(Ordering::Acquire) & 1 == 1
    }

    pub(super) fn is_closed_at(&self, seq: u64) -> bool {
        let inner = self.inner.lock();
        inner.life == Life::Closed && inner.shown == seq
    }

    pub(super) fn with_extent<T>(&self, decide: impl FnOnce(Extent<'_>) -> T) -> T {
        decide(self.extent(&self.inner.lock()))
    }

    fn extent<'a>(&self, inner: &'a Inner) -> Extent<'a> {
        Extent {
            epoch: self.epoch(),
            past: &inner.past,
            first_seq: inner.log.first_seq(),
            last_seq: inner.shown,
        }
    }

    /// What follows `seq`, for a reader in `epoch`. Err: the epoch is another now, or not all of it is there any more, and this
    /// is what is kept of the reader's.
    pub(super) fn after(&self, epoch: Epoch, seq: u64) -> Result<Found, Past> {
        let mut inner = self.inner.lock();
        if epoch != self.epoch() {
            let past = self.extent(&inner).past(epoch);
            return Err(past.unwrap_or(Past { epoch, valid_through: 0 }));
        }
        let shown = inner.shown;
        if seq > shown {
            // A store that is shared has lost what it had acknowledged; nothing else is said under those numbers.
            return Err(Past { epoch, valid_through: shown });
        }
        Ok(inner.log.after(seq, shown))
    }

    /// Appends a producer's events. With its last one the generation ends as soon as that is shown. Gives the last seq.
    pub(super) fn append(&self, events: &[Event], replaced: u32) -> Result<u64, AppendError> {
        let mut inner = self.inner.lock();
        if let Life::Gone(_) = inner.life {
            return Err(AppendError::Closed);
        }
        if inner.replaced != replaced {
            return Err(StoreError::Fenced.into());
        }
        self.append_locked(&mut inner, events)
    }

    fn append_locked(&self, inner: &mut Inner, events: &[Event]) -> Result<u64, AppendError> {
        if inner.following.is_some() {
            return Err(StoreError::Fenced.into());
        }
        if self.is_full(inner) && !events.iter().all(ends) {
            // What has ended since can be given up, but only once it is folded.
            if std::mem::take(&mut inner.spare) {
                let shown = inner.shown;
                inner.log.condense(self.bytes_max, shown);
            }
            if self.is_full(inner) {
                return Err(AppendError::Full { bytes_max: self.bytes_max });
            }
        }
        let now_ms = clock::now_ms();
        let mut promise = Promise::Written;
        for event in events {
            let appended = match inner.log.append(event, now_ms) {
                Ok(appended) => appended,
                Err(error) => {
                    // Those before it have their seqs.
                    self.commit(inner, promise)?;
                    return Err(error.into());
                }
            };
            let (seq, at_ms, bytes) = (appended.seq, appended.at_ms, appended.element);
            inner.writer.append(Element { seq, at_ms, bytes });
            if event.is_terminal() {
                inner.ending.push_back((seq, event.generation));
            }
            promise = promise.max(promise_of(event));
        }
        self.commit(inner, promise)?;
        Ok(inner.log.last_seq())
    }

    /// What was appended is to be kept, and shown when it is.
    fn commit(&self, inner: &mut Inner, promise: Promise) -> Result<(), AppendError> {
        let last_seq = inner.log.last_seq();
        inner.last_event = Instant::now();
        let generations = inner.generations.len() as u32;
        let commit = Commit { promise, generations, running: inner.will_run() };
        if inner.writer.commit(commit)? == Ack::Now {
            self.show(inner, last_seq);
        }
        let shown = inner.shown;
        inner.log.trim(self.bytes_max, shown);
        Ok(())
    }

    /// What a running generation has said cannot be given up; beyond this it can only end.
    fn is_full(&self, inner: &Inner) -> bool {
        inner.log.bytes() > self.bytes_max + 2 * SEGMENT_BYTES
    }

    /// The seq of the last event that ended a generation; 0 while there is none. Takes no lock.
    pub fn last_end(&self) -> u64 {
        self.last_end.load(Ordering::Acquire)
    }

    /// Lets readers see everything up to and with `seq`, and tells them. What ends with it runs no more.
    fn show(&self, inner: &mut Inner, seq: u64) {
        inner.shown = seq.max(inner.shown);
        while let Some((end, index)) = inner.ending.pop_front_if(|(end, _)| *end <= inner.shown) {
            self.last_end.store(end, Ordering::Release);
            let id = GenerationId::claimed(&inner.generations[index as usize].id);
            inner.running.retain(|running| running.id != id);
            inner.spare = true;
            if !self.named && inner.running.is_empty() && inner.life == Life::Open {
                inner.life = Life::Closed;
            }
        }
        let over = u64::from(inner.life != Life::Open);
        self.head.store(inner.shown << 1 | over, Ordering::Release);
        inner.signals.iter().for_each(Signal::raise);
    }
}

/// Whether it is a word of a generation's end, for which there is always room.
fn ends(event: &Event) -> bool {
    event.is_terminal() || matches!(event.kind, Kind::Usage(_) | Kind::ChoiceFinished(_))
}

/// How safe it must be before it is shown.
fn promise_of(event: &Event) -> Promise {
    match event.kind {
        Kind::Started(_) | Kind::Custom(_) => Promise::Durable,
        _ if event.is_terminal() => Promise::Durable,
        _ => Promise::Written,
    }
}
