//! What a viewer was sent by datagram and has not acknowledged. Pure.
//!
//! Each datagram repeats what is still open, so that a lost packet costs one frame and not a round trip. What is sent
//! [`SENDS_MAX`] times is left alone; what is not acknowledged in time goes by the stream, which does not lose it. Holds
//! slices of the log, at most a datagram's worth each.

use std::{collections::VecDeque, time::Duration};

use bytes::BytesMut;
use tokio::time::Instant;

use crate::{channel::Slice, wire::FrameHeader};

/// How often events are sent by datagram.
const SENDS_MAX: u8 = 3;

/// How long an acknowledgement is waited for at least, however near the viewer is: it comes with a frame of its screen.
const WAIT_MIN: Duration = Duration::from_millis(100);

/// The largest datagram, in bytes: with QUIC's and UDP's headers it passes every path that QUIC itself passes.
pub const DATAGRAM_BYTES_MAX: usize = 1_100;

/// So many runs of events may be open; beyond them the oldest goes by the stream, however far away the viewer is.
const OPEN_MAX: usize = 64;

/// A frame's header at its longest.
const HEADER_BYTES_MAX: usize = 32;

/// One subscription's events on their way.
#[derive(Debug, Default)]
pub struct Unacknowledged {
    /// Consecutive, oldest first, except where some went by the stream.
    open: VecDeque<Open>,
}

#[derive(Debug)]
struct Open {
    slice: Slice,
    sends: u8,
    /// When it was sent first.
    since: Option<Instant>,
}

impl Unacknowledged {
    /// Whether nothing is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Takes new events over, to be sent with the next datagram of at most `max` bytes. Those that fill more than one are
    /// given back: they go by the stream.
    pub fn push(&mut self, slice: Slice, max: usize) -> Option<Slice> {
        if slice.events.len() + HEADER_BYTES_MAX > max {
            return Some(slice);
        }
        self.open.push_back(Open { slice, sends: 0, since: None });
        None
    }

    /// The viewer has everything up to `seq`.
    pub fn acknowledge(&mut self, seq: u64) {
        while self.open.front().is_some_and(|open| open.slice.last_seq <= seq) {
            self.open.pop_front();
        }
    }

    /// Appends a frame with what is open to `out`, which may grow to `max` bytes: the newest events, for older ones have
    /// had more chances. False if there is nothing to send, or no room.
    pub fn write(&mut self, alias: u32, max: usize, now: Instant, out: &mut BytesMut) -> bool {
        let room = max.saturating_sub(out.len() + HEADER_BYTES_MAX);
        let (mut bytes, mut count, mut next) = (0, 0, None);
        for open in self.open.iter().rev() {
            let Slice { events, last_seq, first_seq, .. } = &open.slice;
            let joins = next.is_none_or(|next| last_seq + 1 == next);
            if open.sends >= SENDS_MAX || !joins || bytes + events.len() > room {
                break;
            }
            bytes += events.len();
            count += 1;
            next = Some(*first_seq);
        }
        let Some(first_seq) = next else { return false };
        FrameHeader { alias, first_seq, times: None }.write(bytes, out);
        let from = self.open.len() - count;
        for open in self.open.range_mut(from..) {
            out.extend_from_slice(&open.slice.events);
            open.sends += 1;
            open.since.get_or_insert(now);
        }
        true
    }

    /// The oldest events, if they are to go by the stream now: they were not acknowledged in time, or no datagram took
    /// them.
    pub fn pop_overdue(&mut self, now: Instant, rtt: Duration) -> Option<Slice> {
        let since = self.open.front()?.since;
        let late = since.is_none_or(|since| now >= since + wait(rtt));
        let overdue = late || self.open.len() > OPEN_MAX;
        if overdue { self.open.pop_front().map(|open| open.slice) } else { None }
    }

    /// The oldest events that are open, to go by the stream before the subscription ends.
    pub fn pop(&mut self) -> Option<Slice> {
        self.open.pop_front().map(|open| open.slice)
    }

    /// When to look again: for the next repetition, `repeat` after `last`, or because something is overdue.
    pub fn due(&self, last: Instant, repeat: Duration, rtt: Duration) -> Option<Instant> {
        let oldest = self.open.front()?;
        let overdue = oldest.since.map_or(last, |since| since + wait(rtt));
        let repeats = self.open.back().is_some_and(|newest| newest.sends < SENDS_MAX);
        Some(if repeats { overdue.min(last + repeat) } else { overdue })
    }
}

fn wait(rtt: Duration) -> Duration {
    WAIT_MIN.max(2 * rtt)
}

#[cfg(test)]
mod tests {
    use bytes::{Buf, Bytes};
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::{
        channel::{Found, Log},
        event::Event,
        wire::proto,
    };

    const MAX: usize = DATAGRAM_BYTES_MAX;

    /// A log that gives slices of one event each.
    fn slices(texts: &[String]) -> Vec<Slice> {
        let mut log = Log::new(1 << 20);
        let mut slices = Vec::new();
        for text in texts {
            log.append(&Event::text(text.clone()), 0).expect("small");
            match log.after(slices.len() as u64, u64::MAX) {
                Found::Slice(slice) => slices.push(slice),
                other => panic!("expected a slice, found {other:?}"),
            }
        }
        slices
    }

    fn words(count: usize) -> Vec<Slice> {
        slices(&(0..count).map(|n| format!("word {n} ")).collect::<Vec<_>>())
    }

    fn frames(datagram: BytesMut) -> Vec<proto::Frame> {
        let mut rest: Bytes = datagram.freeze();
        let mut frames = Vec::new();
        while rest.has_remaining() {
            frames.push(proto::Frame::decode_length_delimited(&mut rest).expect("a frame"));
        }
        frames
    }

    fn datagram(open: &mut Unacknowledged, now: Instant) -> Vec<proto::Frame> {
        let mut out = BytesMut::new();
        open.write(1, MAX, now, &mut out);
        assert!(out.len() <= MAX);
        frames(out)
    }

    #[tokio::test(start_paused = true)]
    async fn a_datagram_repeats_what_is_open_and_no_more_than_three_times() {
        let (mut open, now) = (Unacknowledged::default(), Instant::now());
        let mut slices = words(5).into_iter();
        let mut spans = Vec::new();
        for _ in 0..4 {
            assert_eq!(open.push(slices.next().expect("a slice"), MAX), None);
            let frame = datagram(&mut open, now).pop().expect("a frame");
            spans.push((frame.first_seq, frame.events.len()));
        }
        assert_eq!(spans, [(1, 1), (1, 2), (1, 3), (2, 3)], "the first was sent three times");
        open.acknowledge(3);
        assert_eq!(open.push(slices.next().expect("a slice"), MAX), None);
        let frame = datagram(&mut open, now).pop().expect("a frame");
        assert_eq!((frame.first_seq, frame.events.len()), (4, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_acknowledged_in_time_goes_by_the_stream_once() {
        let (mut open, start) = (Unacknowledged::default(), Instant::now());
        let rtt = Duration::from_millis(80);
        for slice in words(2) {
            open.push(slice, MAX);
        }
        datagram(&mut open, start);
        assert_eq!(open.pop_overdue(start + Duration::from_millis(159), rtt), None);
        let late = start + Duration::from_millis(160);
        assert_eq!(open.pop_overdue(late, rtt).map(|slice| slice.first_seq), Some(1));
        assert_eq!(open.pop_overdue(late, rtt).map(|slice| slice.first_seq), Some(2));
        assert_eq!(open.pop_overdue(late, rtt), None);
        assert!(datagram(&mut open, late).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_datagram_takes_goes_by_the_stream_at_once() {
        let (mut open, now) = (Unacknowledged::default(), Instant::now());
        let big = slices(&["x".repeat(MAX)]).remove(0);
        assert!(open.push(big, MAX).is_some());
        for slice in slices(&["a".repeat(700), "b".repeat(700)]) {
            assert_eq!(open.push(slice, MAX), None);
        }
        let frame = datagram(&mut open, now).pop().expect("a frame");
        assert_eq!(frame.first_seq, 2, "the newest");
        assert_eq!(open.pop_overdue(now, Duration::ZERO).map(|slice| slice.first_seq), Some(1));
        assert_eq!(open.pop_overdue(now, Duration::ZERO), None);
    }

    proptest! {
        /// Whatever the network does, the viewer gets every event by one way or the other, and within the wait.
        #[test]
        fn nothing_is_lost(
            losses in prop::collection::vec(any::<bool>(), 1..60),
            lengths in prop::collection::vec(1usize..900, 1..40),
        ) {
            let start = Instant::now();
            let texts: Vec<_> = lengths.iter().map(|length| "x".repeat(*length)).collect();
            let mut open = Unacknowledged::default();
            let mut seen = std::collections::BTreeSet::new();
            let mut take = |frame: &proto::Frame| {
                seen.extend(frame.first_seq..frame.first_seq + frame.events.len() as u64);
            };
            let mut losses = losses.iter().cycle();
            let mut slices = slices(&texts).into_iter();
            for tick in 0..(lengths.len() as u64 + 20) {
                let now = start + Duration::from_millis(16 * tick);
                let by_stream = |slice: Slice| proto::Frame {
                    first_seq: slice.first_seq,
                    events: vec![proto::Event::default(); (slice.last_seq - slice.first_seq + 1) as usize],
                    ..proto::Frame::default()
                };
                if let Some(slice) = slices.next()
                    && let Some(slice) = open.push(slice, MAX)
                {
                    take(&by_stream(slice));
                }
                let sent = datagram(&mut open, now);
                if !losses.next().expect("it cycles") {
                    sent.iter().for_each(&mut take);
                }
                while let Some(slice) = open.pop_overdue(now, Duration::ZERO) {
                    take(&by_stream(slice));
                }
            }
            prop_assert!(open.is_empty());
            let all: Vec<u64> = (1..=lengths.len() as u64).collect();
            prop_assert_eq!(seen.into_iter().collect::<Vec<_>>(), all);
        }
    }
}
