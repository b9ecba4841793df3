//! The pen of one tenure and what it has written, on its way to NATS: what is said while a message is under way goes with the
//! next one. Each is taken only behind the one before it, so a node that was taken over writes nothing more. Pure, but for the
//! clock.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use prost::encoding::encode_varint;
use tokio::{sync::Notify, time::Instant};

use super::{
    super::{Ack, Commit, Element, Progress, Promise, Slice, StoreError, Times, Writer},
    lease::Lease,
    record::SaidRecord,
};

/// So many bytes of one channel wait for NATS, at most: past it nothing more is taken, and what runs there ends.
const WAITING_BYTES_MAX: usize = 8 << 20;
/// A message holds so many at most, or one record; NATS takes 1 MiB.
const MESSAGE_BYTES: usize = 384 << 10;
/// A record's events have so many bytes at most, or are one event.
const RECORD_BYTES: usize = 256 << 10;

pub(super) struct Outbox {
    state: Mutex<State>,
    /// There is something to do.
    pub(super) wake: Notify,
    /// Something that was said is kept, or nothing more is.
    kept: Notify,
}

#[derive(Default)]
struct State {
    progress: Option<Weak<dyn Progress>>,
    groups: VecDeque<Group>,
    /// When the oldest was said of what is under way.
    under_way: Option<Instant>,
    /// Of what waits and of what is under way.
    bytes: usize,
    /// The last seq that must be acknowledged before anything after it is shown.
    later_through: u64,
    reached: u64,
    /// The time of holding the lease in which something of this tenure was acknowledged last.
    term: Option<u64>,
    /// Nothing more is taken.
    over: bool,
    /// The pen was put down.
    closed: bool,
    /// Another node may have taken over.
    suspect: bool,
}

/// What belongs together.
struct Group {
    record: Vec<u8>,
    how: Standing,
    said: Instant,
}

impl State {
    /// Since when something waits for NATS, or is under way.
    fn waits_since(&self) -> Option<Instant> {
        self.under_way.or_else(|| self.groups.front().map(|group| group.said))
    }
}

/// How a channel stands after something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) last_seq: u64,
    pub(super) last_ms: u64,
    pub(super) generations: u32,
    pub(super) running: u32,
}

/// What is to be sent next.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sending {
    pub(super) payload: Vec<u8>,
    pub(super) how: Standing,
    /// A generation begins or ends in it, or none runs.
    pub(super) turns: bool,
    bytes: usize,
}

/// What the task that sends has to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Send(Sending),
    /// To look whether another node took over.
    Look,
    /// Everything is sent, and nothing more will be said.
    End,
    /// Everything is sent, and something was said that was not taken: the tenure is over.
    Overflown,
    Wait,
}

impl Outbox {
    /// Of a channel that stands so, in a tenure that began in this time of holding the lease.
    pub(super) fn new(reached: u64, term: Option<u64>) -> Arc<Self> {
        let state = State { reached, later_through: reached, term, ..State::default() };
        Arc::new(Self {
            state: Mutex::new(state),
            wake: Notify::default(),
            kept: Notify::default(),
        })
    }

    pub(super) fn next(&self, before: Standing) -> Next {
        let mut state = self.state.lock();
        if std::mem::take(&mut state.suspect) {
            return Next::Look;
        }
        let Some(Group { record: mut payload, mut how, said }) = state.groups.pop_front() else {
            return match (state.over, state.closed) {
                (true, _) => Next::Overflown,
                (false, true) => Next::End,
                (false, false) => Next::Wait,
            };
        };
        state.under_way = Some(said);
        let mut turns = how.running != before.running;
        while let Some(group) =
            state.groups.pop_front_if(|group| payload.len() + group.record.len() <= MESSAGE_BYTES)
        {
            turns |= group.how.running != how.running;
            payload.extend_from_slice(&group.record);
            how = group.how;
        }
        let bytes = payload.len();
        Next::Send(Sending { payload, how, turns: turns || how.running == 0, bytes })
    }

    /// Whether somebody waits for what is to be sent.
    pub(super) fn is_urgent(&self) -> bool {
        let state = self.state.lock();
        state.later_through > state.reached || state.closed || state.suspect || state.over
    }

    /// NATS has it; it was sent in this time of holding the lease.
    pub(super) fn acked(&self, sending: &Sending, term: Option<u64>) {
        let progress = {
            let mut state = self.state.lock();
            state.bytes -= sending.bytes;
            state.under_way = None;
            state.term = term;
            state.reached = sending.how.last_seq;
            state.progress.clone()
        };
        if let Some(progress) = progress.and_then(|it| it.upgrade()) {
            progress.reached(sending.how.last_seq);
        }
        self.kept.notify_waiters();
    }

    /// Another node took over: nothing more is taken. Gives whom to tell.
    pub(super) fn end(&self) -> Option<Weak<dyn Progress>> {
        let progress = {
            let mut state = self.state.lock();
            state.over = true;
            state.groups.clear();
            (state.bytes, state.under_way) = (0, None);
            state.progress.clone()
        };
        self.kept.notify_waiters();
        progress
    }

    /// Another node may have taken over.
    pub(super) fn suspect(&self) {
        self.state.lock().suspect = true;
        self.wake.notify_one();
    }

    /// Waits until everything that was said is kept, or will not be.
    pub(super) async fn emptied(&self) {
        loop {
            let kept = self.kept.notified();
            if self.is_empty() {
                return;
            }
            kept.await;
        }
    }

    /// Since when something that was said waits for NATS.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        self.state.lock().waits_since()
    }

    /// Whether everything that was said is kept, or will not be.
    pub(super) fn is_empty(&self) -> bool {
        self.state.lock().bytes == 0
    }
}

/// The pen.
pub(super) struct Pen {
    outbox: Arc<Outbox>,
    lease: Arc<Lease>,
    pen: u64,
    /// Records' worth of events that are full, and the one that is being filled.
    full: Vec<Batch>,
    batch: Batch,
    generations: u32,
    running: u32,
}

#[derive(Default)]
struct Batch {
    first_seq: u64,
    count: u64,
    base_ms: u64,
    last_ms: u64,
    deltas: Vec<u8>,
    events: Vec<u8>,
}

impl Pen {
    /// The pen of this number, on a channel that stands so.
    pub(super) fn new(outbox: Arc<Outbox>, lease: Arc<Lease>, pen: u64, how: Standing) -> Self {
        let Standing { generations, running, .. } = how;
        let (full, batch) = (Vec::new(), Batch::default());
        Self { outbox, lease, pen, full, batch, generations, running }
    }
}

impl Batch {
    fn into_group(self, pen: u64, generations: u32, running: u32, said: Instant) -> Group {
        let Self { first_seq, count, base_ms, last_ms, deltas, events } = self;
        let last_seq = first_seq + count - 1;
        let times = Times { base_ms, deltas: deltas.into() };
        let slice = Slice { first_seq, last_seq, events: events.into(), times };
        let mut record = Vec::new();
        SaidRecord { pen, generations, running, slice }.write(&mut record);
        Group { record, how: Standing { last_seq, last_ms, generations, running }, said }
    }
}

impl Writer for Pen {
    fn report_to(&mut self, progress: Weak<dyn Progress>) -> Result<(), StoreError> {
        self.outbox.state.lock().progress = Some(progress);
        Ok(())
    }

    fn append(&mut self, Element { seq, at_ms, bytes }: Element<'_>) {
        if self.batch.count > 0 && self.batch.events.len() + bytes.len() > RECORD_BYTES {
            self.full.push(std::mem::take(&mut self.batch));
        }
        let batch = &mut self.batch;
        if batch.count == 0 {
            (batch.first_seq, batch.base_ms, batch.last_ms) = (seq, at_ms, at_ms);
        }
        encode_varint(at_ms - batch.last_ms, &mut batch.deltas);
        batch.events.extend_from_slice(bytes);
        batch.last_ms = at_ms;
        batch.count += 1;
    }

    fn commit(&mut self, commit: Commit) -> Result<Ack, StoreError> {
        let Commit { promise, generations, running } = commit;
        let (full, batch) = (std::mem::take(&mut self.full), std::mem::take(&mut self.batch));
        if batch.count == 0 {
            return Ok(Ack::Later);
        }
        // Where only a part of it comes to be kept, what may run then does.
        let runs = running.max(self.running);
        let (pen, now) = (self.pen, Instant::now());
        let full = full.into_iter().map(|batch| batch.into_group(pen, generations, runs, now));
        let mut groups: Vec<Group> = full.collect();
        groups.push(batch.into_group(pen, generations, running, now));
        let bytes: usize = groups.iter().map(|group| group.record.len()).sum();
        let last_seq = groups.last().map_or(0, |group| group.how.last_seq);
        (self.generations, self.running) = (generations, running);
        let ack = {
            let mut state = self.outbox.state.lock();
            if state.over {
                return Err(StoreError::Fenced);
            }
            if state.bytes + bytes > WAITING_BYTES_MAX {
                state.over = true;
                drop(state);
                self.outbox.wake.notify_one();
                let why = "NATS is away, and no more can wait for it";
                return Err(StoreError::Unavailable(why.to_owned()));
            }
            // While the lease holds nobody takes over, so what is under way will be there: unless NATS, which takes this node's words of
            // life, does not take what is said.
            let late = state.waits_since().is_some_and(|since| now >= since + self.lease.span());
            let term = self.lease.term(now);
            let holds = term.is_some() && term == state.term && !late;
            state.bytes += bytes;
            state.groups.extend(groups);
            let waits = state.later_through > state.reached;
            match promise == Promise::Written && holds && !waits {
                true => Ack::Now,
                false => {
                    state.later_through = last_seq;
                    Ack::Later
                }
            }
        };
        self.outbox.wake.notify_one();
        Ok(ack)
    }
}

impl Drop for Pen {
    fn drop(&mut self) {
        self.outbox.state.lock().closed = true;
        self.outbox.wake.notify_one();
    }
}

#[cfg(test)]
mod tests;
