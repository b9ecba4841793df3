//! Encoded events back to back, with a sparse index from seq to place.
//!
//! The elements are those of a frame's repeated `events` field, so any run of them *is* a frame's content. Beside them
//! runs a second array: each event's time as a varint of milliseconds since the event before it.

use bytes::{Buf, Bytes};
use prost::encoding::{decode_varint, encode_varint};

use crate::{
    event::Event,
    store::{Slice, Times},
    wire::{self, EVENTS_TAG},
};

/// Events between two marks of the index: finding a seq walks at most this many lengths.
const EVENTS_PER_MARK: u32 = 64;

/// A run of consecutive events. `B` is a `Vec` while it grows and `Bytes` once it is sealed.
#[derive(Clone, Debug)]
pub(super) struct Segment<B> {
    /// The first event's seq.
    pub(super) first: u64,
    /// How many events there are.
    pub(super) count: u32,
    events: B,
    times: B,
    marks: Vec<Mark>,
    last_ms: u64,
}

/// Where the event at a multiple of [`EVENTS_PER_MARK`] begins.
#[derive(Clone, Copy, Debug)]
struct Mark {
    event_offset: u32,
    time_offset: u32,
    /// The time of the event before it.
    base_ms: u64,
}

/// A place between two events of a segment.
#[derive(Clone, Copy, Debug)]
struct Place {
    event_offset: usize,
    time_offset: usize,
    base_ms: u64,
}

impl Segment<Vec<u8>> {
    /// An empty segment that will begin with `first`; times count from `base_ms`.
    pub(super) fn begin(first: u64, base_ms: u64) -> Self {
        let (events, times) = (Vec::new(), Vec::new());
        Self { first, count: 0, events, times, marks: Vec::new(), last_ms: base_ms }
    }

    /// Appends one encoded event and gives its element.
    pub(super) fn push(&mut self, encoded: &[u8], now_ms: u64) -> &[u8] {
        self.mark(now_ms);
        let before = self.events.len();
        self.events.push(EVENTS_TAG);
        encode_varint(encoded.len() as u64, &mut self.events);
        self.events.extend_from_slice(encoded);
        &self.events[before..]
    }

    /// Appends an element as it was kept.
    pub(super) fn push_element(&mut self, element: &[u8], now_ms: u64) {
        self.mark(now_ms);
        self.events.extend_from_slice(element);
    }

    /// Counts one more event, said now.
    fn mark(&mut self, now_ms: u64) {
        if self.count.is_multiple_of(EVENTS_PER_MARK) {
            self.marks.push(Mark {
                event_offset: self.events.len() as u32,
                time_offset: self.times.len() as u32,
                base_ms: self.last_ms,
            });
        }
        encode_varint(now_ms.saturating_sub(self.last_ms), &mut self.times);
        self.last_ms = self.last_ms.max(now_ms);
        self.count += 1;
    }

    /// The same events, never to change again, in exactly as much memory as they need.
    pub(super) fn seal(self) -> Segment<Bytes> {
        let Self { first, count, events, times, mut marks, last_ms } = self;
        marks.shrink_to_fit();
        let exact = |bytes: Vec<u8>| Bytes::from(bytes.into_boxed_slice());
        Segment { first, count, events: exact(events), times: exact(times), marks, last_ms }
    }

    /// A copy that does not grow.
    pub(super) fn snapshot(&self) -> Segment<Bytes> {
        let Self { first, count, events, times, marks, last_ms } = self;
        Segment {
            first: *first,
            count: *count,
            events: Bytes::copy_from_slice(events),
            times: Bytes::copy_from_slice(times),
            marks: marks.clone(),
            last_ms: *last_ms,
        }
    }

    /// The events from the seq `from` through `through`, copied: the tail is small and still grows.
    pub(super) fn copy(&self, from: u64, through: u64) -> Slice {
        self.cut(from, through, |bytes, from, to| Bytes::copy_from_slice(&bytes[from..to]))
    }
}

impl Segment<Bytes> {
    /// The events from the seq `from` through `through`, borrowed.
    pub(super) fn slice(&self, from: u64, through: u64) -> Slice {
        self.cut(from, through, |bytes, from, to| bytes.slice(from..to))
    }
}

impl<B: AsRef<[u8]>> Segment<B> {
    /// The last event's seq; `first - 1` if there is none.
    pub(super) fn last(&self) -> u64 {
        self.first + u64::from(self.count) - 1
    }

    /// The last event's time.
    pub(super) fn last_ms(&self) -> u64 {
        self.last_ms
    }

    /// The encoded events' length.
    pub(super) fn event_bytes(&self) -> usize {
        self.events.as_ref().len()
    }

    /// How much memory it takes, in bytes, its bookkeeping included.
    pub(super) fn bytes(&self) -> usize {
        self.event_bytes() + self.times.as_ref().len() + self.marks.len() * size_of::<Mark>()
    }

    /// Where the event `seq` begins. It must be one of this segment's.
    fn place(&self, seq: u64) -> Place {
        assert!((self.first..=self.last()).contains(&seq), "the seq is in this segment");
        let nth = (seq - self.first) as u32;
        let mark = self.marks[(nth / EVENTS_PER_MARK) as usize];
        let mut events = &self.events.as_ref()[mark.event_offset as usize..];
        let mut times = &self.times.as_ref()[mark.time_offset as usize..];
        let mut base_ms = mark.base_ms;
        for _ in 0..nth % EVENTS_PER_MARK {
            skip_element(&mut events);
            base_ms += decode_varint(&mut times).expect("one time for each event");
        }
        Place {
            event_offset: self.events.as_ref().len() - events.len(),
            time_offset: self.times.as_ref().len() - times.len(),
            base_ms,
        }
    }

    fn cut(&self, from: u64, through: u64, part: impl Fn(&B, usize, usize) -> Bytes) -> Slice {
        let begin = self.place(from);
        let (events_end, times_end) = match through < self.last() {
            true => {
                let end = self.place(through + 1);
                (end.event_offset, end.time_offset)
            }
            false => (self.event_bytes(), self.times.as_ref().len()),
        };
        Slice {
            first_seq: from,
            last_seq: through.min(self.last()),
            events: part(&self.events, begin.event_offset, events_end),
            times: Times {
                base_ms: begin.base_ms,
                deltas: part(&self.times, begin.time_offset, times_end),
            },
        }
    }

    /// All its events, decoded, with their seqs.
    pub(super) fn decode(&self) -> impl Iterator<Item = (u64, Event)> {
        (self.first..).zip(wire::decode_elements(self.events.as_ref()))
    }
}

/// Takes the next element off, its tag and length included; `None` if what is there is not one.
pub(super) fn take_element<'a>(events: &mut &'a [u8]) -> Option<&'a [u8]> {
    let all = *events;
    let mut rest = all.strip_prefix(&[EVENTS_TAG])?;
    let length = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
    *events = rest.get(length..)?;
    Some(&all[..all.len() - events.len()])
}

fn skip_element(events: &mut &[u8]) {
    events.advance(1);
    let length = decode_varint(events).expect("each element has its length");
    events.advance(length as usize);
}
