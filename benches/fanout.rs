//! What it costs to bring one channel's events to many sessions, a network apart: one event, one tick, all sessions.

#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures_util::FutureExt;
use tokenway::{
    channel::{Channels, Producer, Retention},
    event::{Event, FinishReason, Finished, Kind, Started},
    frame::{Form, Outgoing},
    ident::{ChannelId, ChannelKey, Owner},
    session::{Outbox, Session, Settings},
    store::Memory,
    transport::Lane,
    wire::proto::{self, client_message::Body as Request, subscribe},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Takes everything and keeps nothing.
struct Nowhere;

impl Outbox for Nowhere {
    fn takes(&mut self, _: Lane) -> bool {
        true
    }

    fn put(&mut self, _: Lane, frame: Outgoing) {
        black_box(frame);
    }

    fn finish(&mut self, _: Lane) {}
}

fn scene(sessions: usize) -> (Producer, Vec<Session>) {
    let retention = Retention { after_end: Duration::from_secs(60), max_bytes: 1 << 20 };
    let channels = Arc::new(Channels::new(Arc::new(Memory::default()), retention));
    let id = ChannelId::parse("chat").expect("a channel id");
    let key = ChannelKey { owner: Owner::default(), id };
    let channel =
        channels.open(key).now_or_never().expect("memory does not wait").expect("memory opens");
    let producer = begin(&channel);
    let session = || {
        let settings = Settings::default();
        let mut session =
            Session::new(settings, Arc::clone(&channels), Owner::default(), Form::Frame);
        let from = Some(subscribe::From::Tail(proto::Nothing {}));
        let channel = "chat".into();
        let wanted = proto::Subscribe { alias: 1, channel, from, times: false, delivery: 0 };
        let hello =
            proto::Hello { protocol: 1, subscriptions: vec![wanted], ..proto::Hello::default() };
        session.receive(proto::ClientMessage { request: 0, body: Some(Request::Hello(hello)) });
        session.write_answers(&mut Nowhere);
        session
    };
    (producer, (0..sessions).map(|_| session()).collect())
}

fn begin(channel: &Arc<tokenway::channel::Channel>) -> Producer {
    channel.begin(Started::default(), CancellationToken::new()).expect("open")
}

fn fanout(c: &mut Criterion) {
    let mut group = c.benchmark_group("fanout");
    for subscribers in [1, 100, 1_000] {
        group.throughput(Throughput::Elements(subscribers as u64));
        group.bench_function(format!("{subscribers} subscribers"), |b| {
            let (mut producer, mut sessions) = scene(subscribers);
            let mut event = [Event::text("token ")];
            b.iter(|| {
                if producer.append(&mut event).is_err() {
                    // What a running generation has said cannot be given up: it ends, and the next one goes on.
                    let stop = Finished { reason: FinishReason::Stop, native_reason: None };
                    producer.append(&mut [Event::new(Kind::Finished(stop))]).expect("always fits");
                    producer = begin(&Arc::clone(producer.channel()));
                }
                let now = Instant::now();
                for session in &mut sessions {
                    session.tick(now, &mut Nowhere);
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, fanout);
criterion_main!(benches);
