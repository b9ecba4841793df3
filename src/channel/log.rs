//! A channel's log: append-only, encoded once, sliced for ever.
//!
//! Pure and synchronous. The head is a list of sealed segments that readers borrow from; the tail is one small segment
//! that still grows, from which readers copy. What retention trims away is folded into a base state, so that a log
//! whose head is gone still gives a snapshot and the tail. The only place that mints a seq.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use prost::encoding::decode_varint;
use thiserror::Error;

use super::segment::{Segment, take_element};
use crate::{
    event::{EVENT_BYTES_MAX, Event},
    sequence::Sequencer,
    snapshot::State,
    store::{Base, Slice},
    wire,
};

/// The tail is sealed when it holds this many bytes of events: small enough to copy from without thought, large enough
/// that a segment's bookkeeping is nothing beside it. It is also about the largest a frame gets.
pub const SEGMENT_BYTES: usize = 16 * 1024;

/// The log of one channel.
#[derive(Debug)]
pub struct Log {
    sequencer: Sequencer,
    sealed: VecDeque<Arc<Segment<Bytes>>>,
    sealed_bytes: usize,
    tail: Segment<Vec<u8>>,
    /// Everything before the first segment, folded.
    base: Arc<State>,
    trimmed_through: u64,
    /// The last copy made of the tail: a thousand readers at the same place share it.
    last_copy: Option<Slice>,
    scratch: Vec<u8>,
}

/// A log as it stood at one moment.
#[derive(Clone, Debug)]
pub struct View {
    base: Arc<State>,
    trimmed_through: u64,
    sealed: Vec<Arc<Segment<Bytes>>>,
    tail: Segment<Bytes>,
}

impl View {
    /// Everything up to and with `through`, folded. Takes as long as decoding all that is held: not to be done under a
    /// lock.
    pub fn fold(&self, through: u64) -> State {
        let mut state = State::clone(&self.base);
        let sealed = self.sealed.iter().flat_map(|segment| segment.decode());
        let shown = sealed.chain(self.tail.decode()).take_while(|(seq, _)| *seq <= through);
        shown.for_each(|(seq, event)| state.apply(seq, event));
        state
    }

    /// What a store keeps of it: the fold of what was trimmed, and everything after that.
    pub fn kept(&self) -> (Option<Base>, Vec<Slice>) {
        let sealed = self.sealed.iter().map(|it| it.slice(it.first, it.last()));
        let tail =
            (self.tail.count > 0).then(|| self.tail.slice(self.tail.first, self.tail.last()));
        let base = (self.trimmed_through > 0)
            .then(|| Base { through: self.trimmed_through, state: Arc::clone(&self.base) });
        (base, sealed.chain(tail).collect())
    }
}

/// An event that the log has taken.
#[derive(Clone, Copy, Debug)]
pub struct Appended<'a> {
    /// Its seq.
    pub seq: u64,
    /// When it was said: never before the event before it.
    pub at_ms: u64,
    /// Its element of a frame's `events` field.
    pub element: &'a [u8],
}

/// What a reader finds after a seq.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// The events that follow, up to a segment's worth.
    Slice(Slice),
    /// Nothing yet.
    AtHead,
    /// What follows was trimmed away; only a snapshot helps.
    Trimmed,
}

/// An event that the log does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an event of {bytes} bytes exceeds the {EVENT_BYTES_MAX} bytes that one may have")]
pub struct TooLarge {
    /// How long it would be, encoded.
    pub bytes: usize,
}

/// What was kept is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("what was kept is not a run of events")]
pub struct NotWhole;

impl Log {
    /// An empty log; its events' times count from `now_ms`.
    pub fn new(now_ms: u64) -> Self {
        Self {
            sequencer: Sequencer::after(0),
            sealed: VecDeque::new(),
            sealed_bytes: 0,
            tail: Segment::begin(1, now_ms),
            base: Arc::default(),
            trimmed_through: 0,
            last_copy: None,
            scratch: Vec::new(),
        }
    }

    /// Encodes the event, once and for all, gives it its seq and keeps it.
    pub fn append(&mut self, event: &Event, now_ms: u64) -> Result<Appended<'_>, TooLarge> {
        self.scratch.clear();
        wire::encode_event(event, &mut self.scratch);
        if self.scratch.len() > EVENT_BYTES_MAX {
            let bytes = std::mem::take(&mut self.scratch).len();
            return Err(TooLarge { bytes });
        }
        if self.tail.event_bytes() >= SEGMENT_BYTES {
            self.seal();
        }
        self.last_copy = None;
        let seq = self.sequencer.mint().as_u64();
        let at_ms = self.tail.last_ms().max(now_ms);
        Ok(Appended { seq, at_ms, element: self.tail.push(&self.scratch, now_ms) })
    }

    /// A log whose head was trimmed away; `restore` adds what follows.
    pub fn based(base: Base, now_ms: u64) -> Self {
        Self {
            sequencer: Sequencer::after(base.through),
            tail: Segment::begin(base.through + 1, now_ms),
            trimmed_through: base.through,
            base: base.state,
            ..Self::new(now_ms)
        }
    }

    /// Takes events in as they were kept. Err, and nothing more is taken, where they do not follow what is there or are
    /// not what they should be.
    pub fn restore(&mut self, slice: &Slice) -> Result<(), NotWhole> {
        if slice.first_seq != self.last_seq() + 1 {
            return Err(NotWhole);
        }
        let (mut events, mut deltas) = (&slice.events[..], &slice.times.deltas[..]);
        let mut at_ms = slice.times.base_ms;
        while self.last_seq() < slice.last_seq {
            let element = take_element(&mut events).ok_or(NotWhole)?;
            let delta = decode_varint(&mut deltas).map_err(|_| NotWhole)?;
            at_ms = at_ms.checked_add(delta).ok_or(NotWhole)?;
            if self.tail.event_bytes() >= SEGMENT_BYTES {
                self.seal();
            }
            self.tail.push_element(element, at_ms);
            self.sequencer.mint();
        }
        match events.is_empty() {
            true => Ok(()),
            false => Err(NotWhole),
        }
    }

    /// What follows `seq`, as far as it may be shown: up to and with `through`.
    pub fn after(&mut self, seq: u64, through: u64) -> Found {
        let through = through.min(self.last_seq());
        let next = seq + 1;
        if next > through {
            return Found::AtHead;
        }
        if next < self.first_seq() {
            return Found::Trimmed;
        }
        if next < self.tail.first {
            let segment = self.sealed.partition_point(|segment| segment.last() < next);
            let segment = &self.sealed[segment];
            return Found::Slice(segment.slice(next, through));
        }
        match &self.last_copy {
            Some(copy) if (copy.first_seq, copy.last_seq) == (next, through) => {
                Found::Slice(copy.clone())
            }
            _ => {
                let copy = self.tail.copy(next, through);
                self.last_copy = Some(copy.clone());
                Found::Slice(copy)
            }
        }
    }

    /// Everything so far, as it stands: taking it costs a copy of the tail, and it never changes.
    pub fn view(&self) -> View {
        View {
            base: Arc::clone(&self.base),
            trimmed_through: self.trimmed_through,
            sealed: self.sealed.iter().map(Arc::clone).collect(),
            tail: self.tail.snapshot(),
        }
    }

    /// Trims the oldest segments until the whole, the fold included, is within `bytes_max`. What a running generation
    /// has said stays in the fold; a quarter of the bytes is left to segments even then, so that readers who keep up are
    /// not overtaken. The tail always stays, and so does what was not `shown` yet.
    pub fn trim(&mut self, bytes_max: usize, shown: u64) {
        while self.sealed_bytes + self.tail.bytes() > self.room(bytes_max)
            && self.fold_oldest(bytes_max, shown)
        {}
    }

    /// Folds as much as it takes to get within `bytes_max`, the tail included and without leaving readers anything: for
    /// a log that is full, and of which something can be given up only once it is folded.
    pub fn condense(&mut self, bytes_max: usize, shown: u64) {
        if self.tail.count > 0 {
            self.seal();
        }
        while self.bytes() > bytes_max && self.fold_oldest(bytes_max, shown) {}
    }

    /// Folds the oldest segment, if there is one and all of it was shown.
    fn fold_oldest(&mut self, bytes_max: usize, shown: u64) -> bool {
        let Some(segment) = self.sealed.pop_front_if(|it| it.last() <= shown) else { return false };
        self.sealed_bytes -= segment.bytes();
        self.trimmed_through = segment.last();
        let base = Arc::make_mut(&mut self.base);
        segment.decode().for_each(|(seq, event)| base.apply(seq, event));
        base.evict(bytes_max / 2);
        true
    }

    fn room(&self, bytes_max: usize) -> usize {
        bytes_max.saturating_sub(self.base.bytes()).max(bytes_max / 4)
    }

    /// The first seq still held as an event; one past the last where none is.
    pub fn first_seq(&self) -> u64 {
        self.trimmed_through + 1
    }

    /// When the last event was said; before the first, when the log began.
    pub fn last_ms(&self) -> u64 {
        self.tail.last_ms()
    }

    /// The last seq; 0 before the first.
    pub fn last_seq(&self) -> u64 {
        self.sequencer.last()
    }

    /// How much memory it takes, in bytes, the fold included.
    pub fn bytes(&self) -> usize {
        self.sealed_bytes + self.tail.bytes() + self.base.bytes()
    }

    fn seal(&mut self) {
        let next = Segment::begin(self.tail.last() + 1, self.tail.last_ms());
        let sealed = std::mem::replace(&mut self.tail, next).seal();
        self.sealed_bytes += sealed.bytes();
        self.sealed.push_back(Arc::new(sealed));
    }
}
