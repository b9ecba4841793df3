//! Our SSE decoder beside `eventsource-stream` on the same bytes, and the events they become.
//!
//! Two ways in which bytes arrive: one event in each chunk, as a provider flushes, and 16 KiB at a time, as after a stall.

use std::{hint::black_box, io};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use eventsource_stream::Eventsource;
use futures_util::{FutureExt, StreamExt, stream};
use tokenway::{
    dialect::{Dialect, Ending},
    provider::sse::{Decoder, Item},
};

const EVENTS: usize = 1000;

/// A text stream of the length and shape that OpenAI sends: about 350 bytes for each token.
fn events() -> Vec<Bytes> {
    let event = |number: usize| {
        let word = ["The", " quick", " brown", " föx", " jumps", "!\\n\\n"][number % 6];
        format!(
            concat!(
                "data: {{\"id\":\"chatcmpl-DuLYkWnz0OixBh4yGRX57RgoH5wVP\",",
                "\"object\":\"chat.completion.chunk\",\"created\":1782321614,",
                "\"model\":\"gpt-5-mini-2025-08-07\",\"service_tier\":\"default\",",
                "\"system_fingerprint\":\"fp_560af6e559\",\"choices\":[{{\"index\":0,",
                "\"delta\":{{\"content\":\"{}\"}},\"logprobs\":null,\"finish_reason\":null}}],",
                "\"usage\":null,\"obfuscation\":\"ZKaqVfYkxq{}\"}}\n\n"
            ),
            word, number
        )
        .into()
    };
    (0..EVENTS).map(event).collect()
}

fn ours(chunks: &[Bytes], mut each: impl FnMut(Item)) {
    let mut decoder = Decoder::new();
    for chunk in chunks {
        decoder.push(chunk.clone());
        while let Some(item) = decoder.next().expect("within the bound") {
            each(item);
        }
    }
}

fn theirs(chunks: &[Bytes]) -> usize {
    stream::iter(chunks.iter().cloned().map(Ok::<_, io::Error>))
        .eventsource()
        .map(|event| black_box(event).is_ok())
        .count()
        .now_or_never()
        .expect("nothing to wait for")
}

fn to_events(chunks: &[Bytes]) -> usize {
    let mut decoder = Dialect::OpenAi.decoder("gen_AAAAAAAAAAAAAAAAAAAAAA");
    let mut out = Vec::new();
    let mut count = 0;
    ours(chunks, |item| {
        if let Item::Payload(payload) = item {
            decoder.decode(&payload, &mut out);
            count += black_box(&out).len();
            out.clear();
        }
    });
    decoder.finish(Ending::Eof, &mut out);
    count
}

fn sse_decode(criterion: &mut Criterion) {
    let single = events();
    let whole: Bytes = single.concat().into();
    let large: Vec<_> = whole.chunks(16 * 1024).map(|chunk| whole.slice_ref(chunk)).collect();
    for (name, chunks) in [("event in each chunk", single), ("16 KiB chunks", large)] {
        let mut group = criterion.benchmark_group(format!("sse_decode/{name}"));
        group.throughput(Throughput::Elements(EVENTS as u64));
        group.bench_function("ours", |bencher| {
            bencher.iter(|| {
                let mut count = 0;
                ours(&chunks, |item| count += usize::from(matches!(item, Item::Payload(_))));
                assert_eq!(count, EVENTS);
            });
        });
        group.bench_function("eventsource-stream", |bencher| {
            bencher.iter(|| assert_eq!(theirs(&chunks), EVENTS));
        });
        group.bench_function("ours, to events", |bencher| {
            bencher.iter(|| assert_eq!(to_events(&chunks), EVENTS));
        });
        group.finish();
    }
}

criterion_group!(benches, sse_decode);
criterion_main!(benches);
