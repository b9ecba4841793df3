//! What it costs to make a subscriber's frame, beside encoding it with prost each time.

#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use prost::Message;
use tokenway::{
    channel::{Found, Log, Slice},
    event::Event,
    frame::{Form, Press},
    wire::proto,
};

fn slice(events: u64) -> Slice {
    let mut log = Log::new(0);
    for at in 0..events {
        log.append(&Event::text("token "), at).expect("small");
    }
    match log.after(0, u64::MAX) {
        Found::Slice(slice) => slice,
        other => panic!("events were appended: {other:?}"),
    }
}

fn frame_encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("frame_encode");
    for events in [1, 16, 256] {
        let slice = slice(events);
        for (form, name) in [(Form::Frame, "stream"), (Form::Message, "message")] {
            group.bench_function(format!("{name}/{events} events"), |b| {
                let mut press = Press::new(form);
                b.iter(|| black_box(press.events(7, slice.clone(), false)));
            });
        }
        group.bench_function(format!("stream with times/{events} events"), |b| {
            let mut press = Press::new(Form::Frame);
            b.iter(|| black_box(press.events(7, slice.clone(), true)));
        });
        group.bench_function(format!("prost/{events} events"), |b| {
            let frame = Press::new(Form::Frame).events(7, slice.clone(), false);
            let bytes = [&frame.header[..], &frame.body[..]].concat();
            let frame = proto::Frame::decode_length_delimited(&bytes[..]).expect("a frame");
            b.iter(|| black_box(frame.encode_length_delimited_to_vec()));
        });
    }
    group.finish();
}

criterion_group!(benches, frame_encode);
criterion_main!(benches);
