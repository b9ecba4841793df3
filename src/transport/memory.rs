//! The carrier's twin without a network: seeded latency, loss, re-ordering across streams, and cuts.
//!
//! Behaves like WebTransport seen from above: each lane is a stream in order, a lost packet delays its own stream only
//! (loss shows as the time of a retransmission), and each stream takes as many bytes as its window allows. Driven by
//! tokio's clock, so that a paused one runs hours in milliseconds.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::time::{Instant, Sleep};

use super::{Gone, Lane, Transport};
use crate::frame::{Form, Outgoing};

/// The largest datagram of this carrier, in bytes.
const DATAGRAM_BYTES: usize = 1_200;

/// How the path behaves.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// One way.
    pub latency: Duration,
    /// Up to this much is added, each time anew.
    pub jitter: Duration,
    /// The share of packets that are lost, 0 to 1.
    pub loss: f64,
    /// How long until a lost packet is sent again.
    pub retransmission: Duration,
    /// How many bytes a stream holds that the client has not read.
    pub window_bytes: usize,
    /// What the randomness starts from.
    pub seed: u64,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            retransmission: Duration::ZERO,
            window_bytes: 256 * 1024,
            seed: 0,
        }
    }
}

/// A connection: the gateway's end and the client's.
pub fn connect(conditions: Conditions) -> (Memory, MemoryClient) {
    let link = Arc::new(Mutex::new(Link {
        conditions,
        random: StdRng::seed_from_u64(conditions.seed),
        cut: false,
        up: Stream::default(),
        down: BTreeMap::new(),
        lanes: HashMap::new(),
        opened: 0,
        datagrams_down: BTreeMap::new(),
        datagrams_up: BTreeMap::new(),
        sent: 0,
        gateway: None,
        client: None,
    }));
    let timer = || Box::pin(tokio::time::sleep(Duration::ZERO));
    let gateway = Memory { link: Arc::clone(&link), timer: timer(), datagram_timer: timer() };
    (gateway, MemoryClient { link, timer: timer() })
}

/// The gateway's end.
#[derive(Debug)]
pub struct Memory {
    link: Arc<Mutex<Link>>,
    timer: Pin<Box<Sleep>>,
    datagram_timer: Pin<Box<Sleep>>,
}

/// The client's end. Dropping it cuts the connection.
#[derive(Debug)]
pub struct MemoryClient {
    link: Arc<Mutex<Link>>,
    timer: Pin<Box<Sleep>>,
}

/// A piece of a stream, as it reached the client.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrival {
    /// The stream, numbered as they were opened.
    pub stream: u64,
    /// Whether it is the control stream.
    pub is_control: bool,
    /// Whether it is no stream's, but a whole datagram.
    pub is_datagram: bool,
    /// The next of its bytes.
    pub bytes: Bytes,
}

#[derive(Debug)]
struct Link {
    conditions: Conditions,
    random: StdRng,
    cut: bool,
    up: Stream,
    down: BTreeMap<u64, Stream>,
    lanes: HashMap<Lane, u64>,
    opened: u64,
    /// Datagrams on their way, in the order of their arrival.
    datagrams_down: BTreeMap<(Instant, u64), Bytes>,
    datagrams_up: BTreeMap<(Instant, u64), Bytes>,
    sent: u64,
    gateway: Option<Waker>,
    client: Option<Waker>,
}

#[derive(Debug, Default)]
struct Stream {
    is_control: bool,
    flights: VecDeque<(Instant, Bytes)>,
    in_flight: usize,
    /// What the window did not take yet: at most one frame.
    rest: VecDeque<Bytes>,
    finished: bool,
}

impl Stream {
    /// When its next bytes arrive.
    fn next(&self) -> Option<Instant> {
        self.flights.front().map(|(at, _)| *at)
    }

    fn take(&mut self) -> Bytes {
        let (_, bytes) = self.flights.pop_front().expect("something has arrived");
        self.in_flight -= bytes.len();
        bytes
    }
}

impl Link {
    /// When a packet sent now arrives; never before the one ahead of it.
    fn arrival(&mut self, ahead: Option<Instant>) -> Instant {
        let Conditions { latency, jitter, loss, retransmission, .. } = self.conditions;
        let mut at = Instant::now() + latency + jitter.mul_f64(self.random.random());
        while self.random.random_bool(loss) {
            at += retransmission;
        }
        ahead.map_or(at, |ahead| ahead.max(at))
    }

    /// Sends what the windows take.
    fn push_out(&mut self) {
        let ids: Vec<u64> = self.down.keys().copied().collect();
        for id in ids {
            let mut stream = self.down.remove(&id).expect("listed above");
            while let Some(next) = stream.rest.front_mut() {
                let room = self.conditions.window_bytes.saturating_sub(stream.in_flight);
                if room == 0 {
                    break;
                }
                let bytes = next.split_to(room.min(next.len()));
                let emptied = !next.has_remaining();
                let at = self.arrival(stream.flights.back().map(|(at, _)| *at));
                stream.in_flight += bytes.len();
                stream.flights.push_back((at, bytes));
                if emptied {
                    stream.rest.pop_front();
                }
            }
            let done = stream.finished && stream.rest.is_empty() && stream.flights.is_empty();
            if !done {
                self.down.insert(id, stream);
            }
        }
        self.client.take().into_iter().for_each(Waker::wake);
    }

    /// When a datagram sent now arrives, if it does; it may overtake others.
    fn datagram(&mut self) -> Option<(Instant, u64)> {
        let Conditions { latency, jitter, loss, .. } = self.conditions;
        self.sent += 1;
        let at = Instant::now() + latency + jitter.mul_f64(self.random.random());
        (!self.random.random_bool(loss)).then_some((at, self.sent))
    }

    fn stream(&mut self, lane: Lane) -> &mut Stream {
        let id = *self.lanes.entry(lane).or_insert_with(|| {
            self.opened += 1;
            self.opened
        });
        let is_control = lane == Lane::Control;
        self.down.entry(id).or_insert_with(|| Stream { is_control, ..Stream::default() })
    }

    fn cut(&mut self) {
        self.cut = true;
        self.down.clear();
        self.up = Stream::default();
        self.datagrams_down.clear();
        self.datagrams_up.clear();
        self.client.take().into_iter().for_each(Waker::wake);
        self.gateway.take().into_iter().for_each(Waker::wake);
    }
}

fn gone() -> Gone {
    Gone::Lost("cut".into())
}

impl Transport for Memory {
    fn form(&self) -> Form {
        Form::Frame
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Gone>> {
        let mut link = self.link.lock();
        link.gateway = Some(cx.waker().clone());
        if link.cut {
            return Poll::Ready(Err(gone()));
        }
        match link.up.next() {
            Some(at) if at <= Instant::now() => Poll::Ready(Ok(link.up.take())),
            Some(at) => {
                self.timer.as_mut().reset(at);
                let _ = self.timer.as_mut().poll(cx);
                Poll::Pending
            }
            None => Poll::Pending,
        }
    }

    fn poll_ready(&mut self, lane: Lane, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        let mut link = self.link.lock();
        link.gateway = Some(cx.waker().clone());
        if link.cut {
            return Poll::Ready(Err(gone()));
        }
        link.push_out();
        match link.stream(lane).rest.is_empty() {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }

    fn start_send(&mut self, lane: Lane, frame: Outgoing) {
        let mut link = self.link.lock();
        if !link.cut {
            let parts = [frame.header, frame.body].into_iter().filter(|part| !part.is_empty());
            link.stream(lane).rest.extend(parts);
            link.push_out();
        }
    }

    fn finish(&mut self, lane: Lane) {
        let mut link = self.link.lock();
        if let Some(id) = link.lanes.remove(&lane)
            && let Some(stream) = link.down.get_mut(&id)
        {
            stream.finished = true;
        }
    }

    fn datagram_max(&self) -> usize {
        DATAGRAM_BYTES
    }

    fn send_datagram(&mut self, datagram: Bytes) {
        let mut link = self.link.lock();
        if let Some(place) = link.datagram().filter(|_| !link.cut) {
            link.datagrams_down.insert(place, datagram);
            link.client.take().into_iter().for_each(Waker::wake);
        }
    }

    fn poll_datagram(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        let mut link = self.link.lock();
        link.gateway = Some(cx.waker().clone());
        match link.datagrams_up.first_entry() {
            Some(first) if first.key().0 <= Instant::now() => Poll::Ready(first.remove()),
            Some(first) => {
                let at = first.key().0;
                drop(link);
                self.datagram_timer.as_mut().reset(at);
                let _ = self.datagram_timer.as_mut().poll(cx);
                Poll::Pending
            }
            None => Poll::Pending,
        }
    }

    fn rtt(&self) -> Duration {
        2 * self.link.lock().conditions.latency
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        let mut link = self.link.lock();
        link.gateway = Some(cx.waker().clone());
        if link.cut {
            return Poll::Ready(Err(gone()));
        }
        link.push_out();
        match link.down.values().all(|stream| stream.rest.is_empty()) {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut link = self.link.lock();
        link.gateway = Some(cx.waker().clone());
        let read = link.down.values().all(|stream| stream.in_flight == 0);
        if read {
            link.cut();
        }
        if read || link.cut { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl MemoryClient {
    /// Sends a client message, without its length.
    pub fn send(&self, message: Bytes) {
        let mut link = self.link.lock();
        if !link.cut {
            let ahead = link.up.flights.back().map(|(at, _)| *at);
            let at = link.arrival(ahead);
            link.up.in_flight += message.len();
            link.up.flights.push_back((at, message));
            link.gateway.take().into_iter().for_each(Waker::wake);
        }
    }

    /// What arrives next, on whichever stream; `None` once the connection is cut.
    pub async fn recv(&mut self) -> Option<Arrival> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Arrival>> {
        let mut link = self.link.lock();
        link.client = Some(cx.waker().clone());
        if link.cut {
            return Poll::Ready(None);
        }
        if let Some(first) = link.datagrams_down.first_entry()
            && first.key().0 <= Instant::now()
        {
            let bytes = first.remove();
            let arrival = Arrival { stream: 0, is_control: false, is_datagram: true, bytes };
            return Poll::Ready(Some(arrival));
        }
        let datagram = link.datagrams_down.keys().next().map(|(at, _)| *at);
        let streams = link.down.iter_mut();
        let next = streams.filter_map(|(id, stream)| Some((stream.next()?, *id, stream)));
        match next.min_by_key(|(at, id, _)| (*at, *id)) {
            Some((at, id, stream)) if at <= Instant::now() => {
                let (bytes, is_control) = (stream.take(), stream.is_control);
                link.gateway.take().into_iter().for_each(Waker::wake);
                Poll::Ready(Some(Arrival { stream: id, is_control, is_datagram: false, bytes }))
            }
            other => {
                let stream = other.map(|(at, ..)| at);
                if let Some(at) = stream.into_iter().chain(datagram).min() {
                    self.timer.as_mut().reset(at);
                    let _ = self.timer.as_mut().poll(cx);
                }
                Poll::Pending
            }
        }
    }

    /// Sends a datagram, which may be lost.
    pub fn send_datagram(&self, datagram: Bytes) {
        let mut link = self.link.lock();
        if let Some(place) = link.datagram().filter(|_| !link.cut) {
            link.datagrams_up.insert(place, datagram);
            link.gateway.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Cuts the connection: whatever is on its way is lost, in both directions.
    pub fn cut(&self) {
        self.link.lock().cut();
    }
}

impl Drop for MemoryClient {
    fn drop(&mut self) {
        self.cut();
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.link.lock().cut();
    }
}
