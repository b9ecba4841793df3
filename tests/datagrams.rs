//! Delivery by datagram over a network that loses packets, in paused time: nothing is lost, nothing is out of order once it
//! is put in order, and the newest is there soon, where a stream would wait for what was lost.

#![allow(clippy::print_stdout, reason = "the figures are what a person runs this for")]
#![allow(clippy::disallowed_methods, reason = "a test owns its own tasks")]

mod support;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::{Buf, Bytes};
use prost::Message;
use rand::{Rng, SeedableRng, rngs::StdRng};
use support::{begin, channels, finished, request, unnamed};
use tokenway::{
    channel::Channel,
    event::Event,
    frame::Form,
    ident::Owner,
    session::{self, Session, Settings, Shutdown},
    transport::memory::{self, Conditions, MemoryClient},
    wire::{
        self, Framing,
        proto::{
            self, Delivery, client_message::Body as Request, control::Body, end::Reason,
            frame::News, server_message::Body as Said, subscribe::From,
        },
    },
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const FRAME: Duration = Duration::from_millis(16);

/// A client that puts frames in order by their seqs.
struct Viewer {
    client: MemoryClient,
    streams: BTreeMap<u64, Framing>,
    /// What came ahead of its turn.
    early: BTreeMap<u64, Vec<proto::Event>>,
    events: Vec<(Instant, proto::Event)>,
    granted: Option<i32>,
    datagrams: usize,
    over: bool,
}

impl Viewer {
    fn new(client: MemoryClient, channel: &str, delivery: Delivery) -> Self {
        let subscribe = proto::Subscribe {
            alias: 1,
            channel: channel.into(),
            from: Some(From::Beginning(proto::Nothing {})),
            times: false,
            delivery: delivery.into(),
        };
        let hello = proto::Hello {
            protocol: 1,
            client: "test".into(),
            max_streams: 0,
            frame_interval_ms: Some(16),
            tokens: Vec::new(),
            subscriptions: vec![subscribe],
        };
        client.send(request(0, Request::Hello(hello)));
        Self {
            client,
            streams: BTreeMap::new(),
            early: BTreeMap::new(),
            events: Vec::new(),
            granted: None,
            datagrams: 0,
            over: false,
        }
    }

    fn seq(&self) -> u64 {
        self.events.len() as u64
    }

    fn take_frame(&mut self, frame: proto::Frame) {
        if let Some(News::End(end)) = &frame.news {
            assert_eq!((end.last_seq, end.reason()), (self.seq(), Reason::Complete));
            self.over = true;
        }
        if !frame.events.is_empty() {
            self.early.insert(frame.first_seq, frame.events);
        }
        // What overlaps was seen before.
        while let Some(first) = self.early.first_entry() {
            let (first_seq, next) = (*first.key(), self.events.len() as u64 + 1);
            if first_seq > next {
                break;
            }
            let events = first.remove();
            let seen = usize::try_from(next - first_seq).expect("small");
            let now = Instant::now();
            self.events.extend(events.into_iter().skip(seen).map(|event| (now, event)));
        }
    }

    async fn run(mut self) -> Self {
        let mut acks = tokio::time::interval(FRAME);
        while !self.over {
            tokio::select! {
                arrival = self.client.recv() => {
                    let arrival = arrival.expect("the connection holds");
                    if arrival.is_datagram {
                        self.datagrams += 1;
                        let mut rest = arrival.bytes;
                        while rest.has_remaining() {
                            let frame = proto::Frame::decode_length_delimited(&mut rest);
                            self.take_frame(frame.expect("a frame"));
                        }
                        continue;
                    }
                    let framing = self.streams.entry(arrival.stream);
                    let framing = framing.or_insert_with(|| Framing::new(1 << 20));
                    framing.push(&arrival.bytes);
                    let mut messages = Vec::new();
                    while let Some(message) = framing.pop().expect("within bounds") {
                        messages.push(message);
                    }
                    for message in messages {
                        self.take_message(arrival.is_control, message);
                    }
                }
                _ = acks.tick() => {
                    let ack = proto::Ack { alias: 1, seq: self.seq() };
                    let acks = proto::Acks { acks: vec![ack] };
                    self.client.send_datagram(acks.encode_to_vec().into());
                }
            }
        }
        self
    }

    fn take_message(&mut self, is_control: bool, message: Bytes) {
        if !is_control {
            return self.take_frame(proto::Frame::decode(message).expect("a frame"));
        }
        let message = proto::ServerMessage::decode(message).expect("a message");
        if let Some(Said::Control(proto::Control { body: Some(Body::Subscribed(news)), .. })) =
            message.body
        {
            self.granted = Some(news.delivery);
        }
    }
}

/// 80 tokens a second for a while; gives when each was said.
async fn speak(channel: Arc<Channel>, count: usize, random: &mut StdRng) -> Vec<(Instant, Event)> {
    let mut producer = begin(&channel, "gen");
    let mut said = Vec::new();
    for word in 0..count {
        tokio::time::sleep(Duration::from_micros(random.random_range(11_000..14_000))).await;
        let event = Event::text(format!("{word} "));
        producer.append(&mut [event.clone()]).expect("room");
        said.push((Instant::now(), event));
    }
    producer.append(&mut [finished()]).expect("room");
    said
}

/// How long each token took from being said to being there, the shortest first.
async fn delays(delivery: Delivery, conditions: Conditions, tokens: usize) -> Vec<Duration> {
    let channels = channels(8 << 20);
    let channel = unnamed(&channels);
    let id = channel.key().id.to_string();
    let (gateway, client) = memory::connect(conditions);
    let session =
        Session::new(Settings::default(), Arc::clone(&channels), Owner::default(), Form::Frame);
    let shutdown = Shutdown { begins: CancellationToken::new(), grace: Duration::from_secs(1) };
    let serving = tokio::spawn(session::run(gateway, session, shutdown));
    let viewer = tokio::spawn(Viewer::new(client, &id, delivery).run());
    let mut random = StdRng::seed_from_u64(conditions.seed);
    let said = speak(channel, tokens, &mut random).await;
    let viewer = tokio::time::timeout(Duration::from_secs(60), viewer);
    let viewer = viewer.await.expect("it ends").expect("it does not panic");
    assert_eq!(viewer.granted, Some(delivery.into()));
    assert_eq!(viewer.datagrams > 0, delivery == Delivery::Datagram);
    let texts = viewer.events.iter().filter(|(_, event)| event.kind.is_none());
    let texts: Vec<_> = texts.collect();
    assert_eq!(texts.len(), said.len(), "every token once");
    let mut delays = Vec::new();
    for ((said_at, event), (seen_at, seen)) in said.iter().zip(texts) {
        assert_eq!(wire::decode_event(&seen.encode_to_vec()).expect("ours"), *event, "in order");
        delays.push(*seen_at - *said_at);
    }
    drop(viewer.client);
    serving.await.expect("it does not panic");
    delays.sort_unstable();
    delays
}

fn lossy(loss: f64, seed: u64) -> Conditions {
    Conditions {
        latency: Duration::from_millis(25),
        jitter: Duration::from_millis(2),
        loss,
        // A sender notices a loss a round trip later, and sends again.
        retransmission: Duration::from_millis(60),
        seed,
        ..Conditions::default()
    }
}

fn percentile(sorted: &[Duration], share: f64) -> Duration {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

#[tokio::test(start_paused = true)]
async fn on_a_lossy_path_datagrams_are_there_within_two_frames_of_one_way() {
    println!("{:>6} {:>10} {:>8} {:>8} {:>8}", "loss", "delivery", "p50", "p99", "max");
    for loss in [0.02, 0.05] {
        for delivery in [Delivery::Stream, Delivery::Datagram] {
            let delays = delays(delivery, lossy(loss, 7), 4_000).await;
            let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| percentile(&delays, share));
            println!("{loss:>6} {delivery:>10?} {p50:>8.1?} {p99:>8.1?} {max:>8.1?}");
            if delivery == Delivery::Datagram && loss < 0.03 {
                let one_way = Duration::from_millis(27);
                assert!(p99 <= one_way + 2 * FRAME, "{p99:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_however_bad_the_path_is() {
    for seed in 0..12 {
        let loss = f64::from(seed as u32) * 0.06;
        let conditions = Conditions { jitter: Duration::from_millis(60), ..lossy(loss, seed) };
        delays(Delivery::Datagram, conditions, 300).await;
    }
}
