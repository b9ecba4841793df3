//! The calling app's own view of its generation: the provider's payloads, untouched, each with the cursor after it.
//!
//! A ring bounded in bytes between the generation's task and the app's response. The task never waits for the app: when
//! an app falls so far behind that the ring is full, the ring is emptied and says so, and the response goes on from the
//! log, encoded again from the events.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use crate::{
    event::{Failed, FailureCode},
    sequence::Cursor,
    telemetry::{
        Metrics,
        metrics::{Counter, Gauge},
    },
};

/// The most an app may be behind before its response is fed from the log instead: some seconds of a fast model, or an answer
/// that a provider's cache gives out at once.
pub const TEE_BYTES_MAX: usize = 1024 * 1024;

/// One payload, released because its events have their seqs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Its SSE event name; empty where it had none.
    pub name: Bytes,
    /// Its data.
    pub data: Bytes,
    /// It came only because the gateway asks every provider for usage.
    pub usage_only: bool,
    /// The channel's cursor after its events.
    pub cursor: Cursor,
}

impl Payload {
    /// What it takes in the ring: of small payloads, the most is not their data.
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.name.len() + self.data.len()
    }
}

/// What the app's side finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// The next payloads, all there are; never none.
    Payloads(Vec<Payload>),
    /// Payloads were given up; what follows the last one taken is in the log.
    Overflowed,
    /// The generation has ended and every payload was taken. With what the payloads did not say: how it failed.
    End(Option<Failed>),
}

/// The writing side.
#[derive(Debug)]
pub(super) struct Tee(Arc<Shared>);

/// The app's side.
#[derive(Debug)]
pub struct TeeReader(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    ring: Mutex<Ring>,
    waker: AtomicWaker,
    /// What waits in all tees.
    waiting: Gauge,
    overflows: Counter,
}

#[derive(Debug, Default)]
struct Ring {
    payloads: Vec<Payload>,
    bytes: usize,
    overflowed: bool,
    /// How it ended, once it has.
    ended: Option<Option<Failed>>,
    /// Nobody reads: nothing is kept.
    unread: bool,
}

/// Both sides of an empty tee.
pub(super) fn tee(metrics: &Metrics) -> (Tee, TeeReader) {
    let shared = Arc::new(Shared {
        ring: Mutex::default(),
        waker: AtomicWaker::new(),
        waiting: metrics.queue.with(["tee"]),
        overflows: metrics.tee_overflows.only(),
    });
    (Tee(Arc::clone(&shared)), TeeReader(shared))
}

impl Tee {
    /// Takes payloads over, in order.
    pub(super) fn push(&self, payloads: impl IntoIterator<Item = Payload>) {
        {
            let mut ring = self.0.ring.lock();
            if ring.unread || ring.overflowed {
                return;
            }
            let before = ring.bytes;
            for payload in payloads {
                ring.bytes += payload.bytes();
                ring.payloads.push(payload);
            }
            self.0.waiting.inc_by((ring.bytes - before) as i64);
            if ring.bytes > TEE_BYTES_MAX && ring.payloads.len() > 1 {
                drop(ring);
                self.0.overflows.inc();
                return self.give_up();
            }
        }
        self.0.waker.wake();
    }
}

impl Tee {
    /// The app is fed from the log.
    pub(super) fn give_up(&self) {
        let mut ring = self.0.ring.lock();
        let ended = ring.ended.take();
        self.0.replace(&mut ring, Ring { overflowed: true, ended, ..Ring::default() });
        drop(ring);
        self.0.waker.wake();
    }

    /// Nothing more will come. `untold` is a failure that no payload has told the app of.
    pub(super) fn end(&self, untold: Option<Failed>) {
        self.0.ring.lock().ended.get_or_insert(untold);
        self.0.waker.wake();
    }
}

impl Shared {
    /// Gives up what waits.
    fn replace(&self, ring: &mut Ring, other: Ring) {
        self.waiting.dec_by(ring.bytes as i64);
        *ring = other;
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        self.end(Some(Failed::new(FailureCode::GatewayLost, "the gateway stopped running it")));
    }
}

impl TeeReader {
    /// The next item; pending while there is none yet.
    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Item> {
        self.0.waker.register(cx.waker());
        let mut ring = self.0.ring.lock();
        if !ring.payloads.is_empty() {
            self.0.waiting.dec_by(std::mem::take(&mut ring.bytes) as i64);
            return Poll::Ready(Item::Payloads(std::mem::take(&mut ring.payloads)));
        }
        match (ring.overflowed, &ring.ended) {
            (true, _) => Poll::Ready(Item::Overflowed),
            (false, Some(untold)) => Poll::Ready(Item::End(untold.clone())),
            (false, None) => Poll::Pending,
        }
    }
}

impl Drop for TeeReader {
    fn drop(&mut self) {
        self.0.replace(&mut self.0.ring.lock(), Ring { unread: true, ..Ring::default() });
    }
}

#[cfg(test)]
mod tests {
    use futures_util::task::noop_waker;

    use super::*;
    use crate::sequence::Epoch;

    fn payload(seq: u64, bytes: usize) -> Payload {
        let cursor = Cursor { epoch: Epoch::from_u32(1), seq };
        Payload {
            name: Bytes::new(),
            data: Bytes::from(vec![b'x'; bytes]),
            usage_only: false,
            cursor,
        }
    }

    fn take(reader: &TeeReader) -> Poll<Item> {
        reader.poll_next(&mut Context::from_waker(&noop_waker()))
    }

    #[test]
    fn payloads_come_out_as_they_went_in_and_then_the_end() {
        let (tee, reader) = tee(&Metrics::new());
        assert_eq!(take(&reader), Poll::Pending);
        tee.push([payload(1, 5), payload(2, 5)]);
        tee.end(None);
        let both = Item::Payloads(vec![payload(1, 5), payload(2, 5)]);
        assert_eq!(take(&reader), Poll::Ready(both));
        assert_eq!(take(&reader), Poll::Ready(Item::End(None)));
    }

    #[test]
    fn an_app_that_falls_too_far_behind_is_sent_to_the_log() {
        let (tee, reader) = tee(&Metrics::new());
        tee.push([payload(1, TEE_BYTES_MAX), payload(2, 1)]);
        tee.push([payload(3, 1)]);
        assert_eq!(take(&reader), Poll::Ready(Item::Overflowed));
    }

    #[test]
    fn what_waits_is_counted_and_nothing_else() {
        let metrics = Metrics::new();
        let waiting = metrics.queue.with(["tee"]);
        let (writer, reader) = tee(&metrics);
        writer.push([payload(1, 5)]);
        assert!(waiting.get() > 5);
        assert!(take(&reader).is_ready());
        assert_eq!(waiting.get(), 0, "taken");
        writer.push([payload(2, TEE_BYTES_MAX), payload(3, 1)]);
        assert_eq!((waiting.get(), metrics.tee_overflows.only().get()), (0, 1), "given up");
        let (writer, reader) = tee(&metrics);
        writer.push([payload(1, 5)]);
        drop((reader, writer));
        assert_eq!(waiting.get(), 0, "unread");
    }

    #[test]
    fn payloads_of_a_byte_fill_it_too() {
        let (tee, reader) = tee(&Metrics::new());
        tee.push((1..TEE_BYTES_MAX as u64 / 64).map(|seq| payload(seq, 1)));
        assert_eq!(take(&reader), Poll::Ready(Item::Overflowed));
    }

    #[test]
    fn one_payload_larger_than_the_ring_still_passes() {
        let (tee, reader) = tee(&Metrics::new());
        tee.push([payload(1, 2 * TEE_BYTES_MAX)]);
        let large = Item::Payloads(vec![payload(1, 2 * TEE_BYTES_MAX)]);
        assert_eq!(take(&reader), Poll::Ready(large));
    }
}
