//! What it costs to give an event its seq and keep it.

#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::FutureExt;
use tokenway::{
    channel::{Channels, Log, Retention, Signal},
    event::{Event, Started},
    ident::Owner,
    store::Memory,
};
use tokio_util::sync::CancellationToken;

const EVENTS: u64 = 1_000;

fn log_append(c: &mut Criterion) {
    let mut group = c.benchmark_group("log_append");
    group.throughput(Throughput::Elements(EVENTS));
    let event = Event::text("token ");
    group.bench_function("log", |b| {
        b.iter_batched_ref(
            || Log::new(0),
            |log| {
                for at in 0..EVENTS {
                    black_box(log.append(&event, at).expect("small").seq);
                }
            },
            BatchSize::SmallInput,
        );
    });
    for viewers in [0, 1, 1_000] {
        group.bench_function(format!("channel/{viewers} viewers"), |b| {
            b.iter_batched_ref(
                || {
                    let after_end = Duration::from_secs(60);
                    let retention = Retention { after_end, max_bytes: 8 << 20 };
                    let channels = Channels::new(Arc::new(Memory::default()), retention);
                    let channel = channels.create(Owner::default());
                    let channel = channel.now_or_never().expect("memory does not wait");
                    let channel = channel.expect("memory opens");
                    let producer = channel.begin(Started::default(), CancellationToken::new());
                    let watches: Vec<_> =
                        (0..viewers).map(|_| channel.watch(&Signal::default())).collect();
                    (producer.expect("open"), watches, [event.clone()])
                },
                |(producer, _, events)| {
                    for _ in 0..EVENTS {
                        black_box(producer.append(events).expect("open"));
                    }
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, log_append);
criterion_main!(benches);
