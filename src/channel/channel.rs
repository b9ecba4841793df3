//! One channel: a log that many may read and, at any time, one store tenure writes.
//!
//! Producers append through it, readers read through it; the lock is held for as long as a slice or an append takes and
//! never across a wait. Knows neither what a provider nor what a client is.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Ended, Reader, Signal,
    log::{Found, Log, SEGMENT_BYTES},
    producer::{AppendError, Producer, Running},
    resume::{CannotResume, Extent, Past},
};
use crate::{
    clock,
    event::{Custom, Event, Kind, Started},
    ident::{ChannelKey, GenerationId},
    sequence::{Cursor, Epoch, From},
    snapshot::State,
    store::{Batch, Tenure, Writer},
};

/// The most generations that one channel takes: each leaves its head here for as long as the channel lives.
pub const GENERATIONS_MAX: usize = 10_000;

/// An append-only log of events, with an id.
pub struct Channel {
    key: ChannelKey,
    named: bool,
    epoch: Epoch,
    past: Vec<Past>,
    bytes_max: usize,
    /// The last seq that readers may see. Written under the lock, read without it.
    head: AtomicU64,
    /// The seq of the last terminal event; 0 while there is none.
    last_end: AtomicU64,
    inner: Mutex<Inner>,
    viewers: watch::Sender<usize>,
}

struct Inner {
    log: Log,
    writer: Box<dyn Writer>,
    signals: Vec<Signal>,
    generations: Vec<Started>,
    running: Vec<Running>,
    life: Life,
    last_event: Instant,
    /// Something that can be given up has come since the log was last condensed.
    spare: bool,
}

/// Whether more can be said here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Open,
    /// An unnamed channel whose generation ended: nothing more will be said.
    Closed,
    Gone(Ended),
}

/// How a channel stands.
#[derive(Clone, Debug)]
pub struct Status {
    /// The epoch of now.
    pub epoch: Epoch,
    /// The first seq still held as an event.
    pub first_seq: u64,
    /// The last seq.
    pub last_seq: u64,
    /// The generations so far, in the order of their channel-local indices.
    pub generations: Vec<Started>,
    /// How many of them run.
    pub running: usize,
    /// Nothing more will be said.
    pub closed: bool,
}

/// How a channel stands, for a list of many.
#[derive(Clone, Debug)]
pub struct Brief {
    /// The first seq still held as an event.
    pub first_seq: u64,
    /// The last seq.
    pub last_seq: u64,
    /// What its log takes in memory.
    pub bytes: usize,
    /// How many generations there were.
    pub generations: usize,
    /// The one that began last.
    pub newest: Option<Started>,
    /// How many of them run.
    pub running: usize,
    /// How many look on.
    pub viewers: usize,
    /// Nothing more will be said.
    pub closed: bool,
    /// Since its last event.
    pub idle: Duration,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").field("key", &self.key).field("epoch", &self.epoch).finish()
    }
}

impl Channel {
    pub(super) fn new(key: ChannelKey, named: bool, tenure: Tenure, bytes_max: usize) -> Self {
        Self {
            key,
            named,
            epoch: tenure.epoch,
            past: Vec::new(),
            bytes_max,
            head: AtomicU64::new(0),
            last_end: AtomicU64::new(0),
            inner: Mutex::new(Inner {
                log: Log::new(clock::now_ms()),
                writer: tenure.writer,
                signals: Vec::new(),
                generations: Vec::new(),
                running: Vec::new(),
                life: Life::Open,
                last_event: Instant::now(),
                spare: false,
            }),
            viewers: watch::Sender::new(0),
        }
    }

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
        let seq = self.append_locked(&mut inner, std::slice::from_ref(&event))?;
        inner.running.push(Running { id: GenerationId::claimed(&started.id), stop });
        inner.generations.push(started);
        let cursor = Cursor { epoch: self.epoch, seq };
        Ok(Producer::new(Arc::clone(self), index, cursor))
    }

    /// Puts a custom event on the channel.
    pub fn publish(&self, custom: Custom) -> Result<Cursor, AppendError> {
        let mut inner = self.inner.lock();
        if inner.life != Life::Open {
            return Err(AppendError::Closed);
        }
        let event = Event::new(Kind::Custom(custom));
        let seq = self.append_locked(&mut inner, std::slice::from_ref(&event))?;
        inner.spare = true;
        Ok(Cursor { epoch: self.epoch, seq })
    }

    /// Stops a generation, or all that run. Stopping one that has ended changes nothing.
    pub fn cancel(&self, generation: Option<&GenerationId>) -> Result<(), UnknownGeneration> {
        let inner = self.inner.lock();
        if let Some(id) = generation
            && !inner.generations.iter().any(|started| started.id == id.as_str())
        {
            return Err(UnknownGeneration);
        }
        let meant = |running: &&Running| generation.is_none_or(|id| *id == running.id);
        inner.running.iter().filter(meant).for_each(|running| running.stop.cancel());
        Ok(())
    }

    /// A reader that begins at `from`.
    pub fn read(self: &Arc<Self>, from: From) -> Result<Reader, CannotResume> {
        Reader::open(self, from)
    }

    /// From now on `signal` is raised whenever there is something new, until it is dropped.
    pub fn watch(self: &Arc<Self>, signal: &Signal) -> Watch {
        self.inner.lock().signals.push(signal.clone());
        Watch { channel: Arc::clone(self), signal: signal.clone() }
    }

    /// Counts somebody as present until it is dropped.
    pub fn attend(self: &Arc<Self>) -> Attendance {
        self.viewers.send_modify(|viewers| *viewers += 1);
        Attendance { channel: Arc::clone(self) }
    }

    /// How many are present, and its changes.
    pub fn viewers(&self) -> watch::Receiver<usize> {
        self.viewers.subscribe()
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
        self.epoch
    }

    /// The last seq that readers may see.
    pub fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire) >> 1
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        let inner = self.inner.lock();
        Status {
            epoch: self.epoch,
            first_seq: inner.log.first_seq(),
            last_seq: inner.log.last_seq(),
            generations: inner.generations.clone(),
            running: inner.running.len(),
            closed: inner.life != Life::Open,
        }
    }

    /// How it stands, in few words and one look.
    pub fn brief(&self, now: Instant) -> Brief {
        let inner = self.inner.lock();
        Brief {
            first_seq: inner.log.first_seq(),
            last_seq: inner.log.last_seq(),
            bytes: inner.log.bytes(),
            generations: inner.generations.len(),
            newest: inner.generations.last().cloned(),
            running: inner.running.len(),
            viewers: *self.viewers.borrow(),
            closed: inner.life != Life::Open,
            idle: now.saturating_duration_since(inner.last_event),
        }
    }

    /// Whether the generation with this id runs.
    pub fn is_running(&self, generation: &str) -> bool {
        self.inner.lock().running.iter().any(|running| running.id.as_str() == generation)
    }

    /// Whether the generation with this channel-local index runs.
    pub fn is_running_at(&self, index: u32) -> bool {
        let inner = self.inner.lock();
        let started = inner.generations.get(index as usize);
        started.is_some_and(|started| {
            inner.running.iter().any(|running| running.id.as_str() == started.id)
        })
    }

    /// Everything so far, folded, with the epoch and the last seq folded in.
    pub fn fold(&self) -> (Epoch, u64, State) {
        let (last_seq, view) = {
            let inner = self.inner.lock();
            (inner.log.last_seq(), inner.log.view())
        };
        (self.epoch, last_seq, view.fold())
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
        let ends = inner.running.is_empty() && quiet(inner.last_event);
        if ends {
            inner.life = Life::Gone(how);
            self.show(&inner);
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
        inner.life == Life::Closed && inner.log.last_seq() == seq
    }

    pub(super) fn with_extent<T>(&self, decide: impl FnOnce(Extent<'_>) -> T) -> T {
        let inner = self.inner.lock();
        decide(Extent {
            epoch: self.epoch,
            past: &self.past,
            first_seq: inner.log.first_seq(),
            last_seq: inner.log.last_seq(),
        })
    }

    pub(super) fn after(&self, seq: u64) -> Found {
        self.inner.lock().log.after(seq)
    }

    /// Appends a producer's events and, with its last one, ends the generation here. Gives the last seq.
    pub(super) fn append(&self, index: u32, events: &[Event]) -> Result<u64, AppendError> {
        let mut inner = self.inner.lock();
        if let Life::Gone(_) = inner.life {
            return Err(AppendError::Closed);
        }
        let seq = self.append_locked(&mut inner, events)?;
        if events.last().is_some_and(Event::is_terminal) {
            self.ended(&mut inner, index);
        }
        Ok(seq)
    }

    /// The generation no longer runs.
    fn ended(&self, inner: &mut Inner, index: u32) {
        let id = GenerationId::claimed(&inner.generations[index as usize].id);
        inner.running.retain(|running| running.id != id);
        inner.spare = true;
        if !self.named && inner.running.is_empty() && inner.life == Life::Open {
            inner.life = Life::Closed;
            self.show(inner);
        }
    }

    fn append_locked(&self, inner: &mut Inner, events: &[Event]) -> Result<u64, AppendError> {
        if self.is_full(inner) && !events.iter().all(ends) {
            // What has ended since can be given up, but only once it is folded.
            if std::mem::take(&mut inner.spare) {
                inner.log.condense(self.bytes_max);
            }
            if self.is_full(inner) {
                return Err(AppendError::Full { bytes_max: self.bytes_max });
            }
        }
        let now_ms = clock::now_ms();
        for event in events {
            let appended = inner.log.append(event, now_ms)?;
            let (first_seq, events) = (appended.seq, appended.element);
            inner.writer.append(&Batch { first_seq, count: 1, events })?;
            if event.is_terminal() {
                self.last_end.store(first_seq, Ordering::Release);
            }
        }
        inner.log.trim(self.bytes_max);
        inner.last_event = Instant::now();
        self.show(inner);
        Ok(inner.log.last_seq())
    }

    /// What a running generation has said cannot be given up; beyond this it can only end.
    fn is_full(&self, inner: &Inner) -> bool {
        inner.log.bytes() > self.bytes_max + 2 * SEGMENT_BYTES
    }

    /// The seq of the last event that ended a generation; 0 while there is none. Takes no lock.
    pub fn last_end(&self) -> u64 {
        self.last_end.load(Ordering::Acquire)
    }

    /// Lets readers see what the log holds, and tells them. The lowest bit says that nothing more will be said.
    fn show(&self, inner: &Inner) {
        let over = u64::from(inner.life != Life::Open);
        self.head.store(inner.log.last_seq() << 1 | over, Ordering::Release);
        inner.signals.iter().for_each(Signal::raise);
    }
}

/// Whether it is a word of a generation's end, for which there is always room.
fn ends(event: &Event) -> bool {
    event.is_terminal() || matches!(event.kind, Kind::Usage(_) | Kind::ChoiceFinished(_))
}

/// The generation named is not one of this channel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such generation on this channel")]
pub struct UnknownGeneration;

/// Raises a signal for a channel's news until it is dropped.
#[derive(Debug)]
pub struct Watch {
    channel: Arc<Channel>,
    signal: Signal,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut inner = self.channel.inner.lock();
        if let Some(place) = inner.signals.iter().position(|signal| signal.is(&self.signal)) {
            inner.signals.swap_remove(place);
        }
    }
}

/// Somebody is present at a channel until it is dropped.
#[derive(Debug)]
pub struct Attendance {
    channel: Arc<Channel>,
}

impl Drop for Attendance {
    fn drop(&mut self) {
        self.channel.viewers.send_modify(|viewers| *viewers -= 1);
    }
}
