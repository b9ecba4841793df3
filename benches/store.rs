//! What it costs to keep channels on disk, next to memory: both in one run, on one machine, as ratios.
//!
//! `cargo bench --bench store`; with `--quick`, a tenth of it. Not by criterion: what is measured is a process and its files.

#![allow(missing_docs, clippy::print_stdout, reason = "a program that prints a table")]
#![expect(clippy::disallowed_methods, reason = "measures real time")]

mod load;

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use load::{Size, TOKEN, begin, channels, cpu, resident, row};
use parking_lot::Mutex;
use tokenway::{
    channel::{Channels, Signal, Step},
    config::LOSS_WINDOW,
    event::Event,
    sequence::From,
    store::{
        Disk, Memory, Store,
        disk::{FILE_BYTES, Settings},
    },
};

fn main() {
    let quick = std::env::args().any(|it| it == "--quick");
    let size = match quick {
        true => Size { channels: 50, tokens: 400, probes: 200, at_rest: 10_000 },
        false => Size { channels: 200, tokens: 1_000, probes: 1_000, at_rest: 100_000 },
    };
    let dir =
        tempfile::tempdir_in(std::env::current_dir().expect("a directory")).expect("a directory");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("one");
    runtime.block_on(async {
        let mut memory = Vec::new();
        let mut disk = Vec::new();
        for round in 0..3 {
            memory.push(appending(channels(Arc::new(Memory::default())), &size).await);
            let path = dir.path().join(format!("append-{round}"));
            let mut figures = appending(channels(Arc::new(open(&path))), &size).await;
            figures.bytes =
                bytes_of(&path, "journal") as f64 / (size.channels * size.tokens) as f64;
            disk.push(figures);
        }
        let (memory, disk) = (middle(&memory), middle(&disk));
        println!("| | memory | disk | ratio |\n| --- | --- | --- | --- |");
        row("tokens a second, as fast as they go", memory.rate, disk.rate);
        row("CPU µs a token", memory.cpu_us, disk.cpu_us);
        row("publish to receive p50, µs", memory.p50_us, disk.p50_us);
        row("publish to receive p99, µs", memory.p99_us, disk.p99_us);
        println!("\njournal: {:.1} B a token of {} B", disk.bytes, TOKEN.len());
    });
    at_rest(&runtime, &dir.path().join("rest"), &size);
}

fn open(path: &Path) -> Disk {
    let (path, loss_window, file_bytes) = (path.to_owned(), LOSS_WINDOW, FILE_BYTES);
    let settings = Settings { path, loss_window, file_bytes };
    Disk::open(settings).expect("the directory can be used")
}

#[derive(Clone, Copy, Default)]
struct Figures {
    rate: f64,
    cpu_us: f64,
    p50_us: f64,
    p99_us: f64,
    bytes: f64,
}

/// Producers that wait, as generations do, until each token may be shown; then one that is watched.
async fn appending(channels: Channels, size: &Size) -> Figures {
    let (begun, before) = (Instant::now(), cpu("self"));
    load::say(&channels, size).await;
    let count = (size.channels * size.tokens) as f64;
    let rate = count / begun.elapsed().as_secs_f64();
    let cpu_us = (cpu("self") - before) * 1e6 / count;
    let mut latencies = latencies(&channels, size.probes).await;
    latencies.sort_unstable();
    let at = |share: f64| latencies[(latencies.len() as f64 * share) as usize].as_secs_f64() * 1e6;
    Figures { rate, cpu_us, p50_us: at(0.5), p99_us: at(0.99), bytes: 0.0 }
}

/// From the append of a token to a viewer that has it, a token every millisecond. Tokens that a viewer finds together count
/// once.
async fn latencies(channels: &Channels, probes: usize) -> Vec<Duration> {
    let (channel, mut producer) = begin(channels).await;
    let (signal, sent) = (Signal::default(), Arc::new(Mutex::new(Instant::now())));
    let watch = channel.watch(&signal);
    let mut reader = channel.read(From::Tail).expect("it is there");
    let (at, latencies) = (Arc::clone(&sent), Arc::new(Mutex::new(Vec::new())));
    let seen = Arc::clone(&latencies);
    let viewer = tokio::spawn(async move {
        let _watch = watch;
        loop {
            signal.lower();
            match reader.step() {
                Step::Slice(_) => seen.lock().push(at.lock().elapsed()),
                _ => signal.raised().await,
            }
        }
    });
    for _ in 0..probes {
        tokio::time::sleep(Duration::from_millis(1)).await;
        *sent.lock() = Instant::now();
        producer.append(&mut [Event::text(TOKEN)]).expect("room");
        producer.shown().await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    viewer.abort();
    std::mem::take(&mut *latencies.lock())
}

/// Channels at rest: how long a start takes, and what they take in memory, with short texts and with long ones.
fn at_rest(runtime: &tokio::runtime::Runtime, dir: &Path, size: &Size) {
    println!("\n| channels at rest | tokens each | on disk / text | start | memory/channel |");
    println!("| --- | --- | --- | --- | --- |");
    for tokens in [100, 1_000] {
        let path = dir.join(format!("{tokens}"));
        runtime.block_on(load::fill(&channels(Arc::new(open(&path))), size.at_rest, tokens));
        let (before, begun) = (resident(), Instant::now());
        let store = open(&path);
        let (start, memory) = (begun.elapsed(), resident().saturating_sub(before));
        assert_eq!(store.health().channels, size.at_rest as u64);
        let text = (size.at_rest * tokens * TOKEN.len()) as f64;
        println!(
            "| {} | {tokens} | {:.2}× | {:.2} s | {} B |",
            size.at_rest,
            bytes_of(&path, "shelf") as f64 / text,
            start.as_secs_f64(),
            memory / size.at_rest as u64
        );
        runtime.block_on(store.close());
        drop(store);
        fs::remove_dir_all(&path).expect("it can be removed");
    }
}

fn middle(rounds: &[Figures]) -> Figures {
    let of = |member: fn(&Figures) -> f64| load::median(rounds.iter().map(member).collect());
    Figures {
        rate: of(|it| it.rate),
        cpu_us: of(|it| it.cpu_us),
        p50_us: of(|it| it.p50_us),
        p99_us: of(|it| it.p99_us),
        bytes: of(|it| it.bytes),
    }
}

fn bytes_of(dir: &Path, suffix: &str) -> u64 {
    let entries = fs::read_dir(dir).expect("the store").flatten();
    let meant = entries.filter(|it| it.path().extension().is_some_and(|it| it == suffix));
    meant.map(|it| it.metadata().map_or(0, |it| it.len())).sum()
}
