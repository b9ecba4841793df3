//! What the benches of the stores share: the same load, and how a process and its time are measured.

#![allow(dead_code, unreachable_pub, reason = "each bench uses its own part")]

use std::{fs, sync::Arc, time::Duration};

use tokenway::{
    channel::{Channel, Channels, Producer, Retention},
    event::{Event, FinishReason, Finished, Kind, Started},
    ident::Owner,
    store::Store,
};

pub const TOKEN: &str = "word ";

/// How much is said.
pub struct Size {
    pub channels: usize,
    pub tokens: usize,
    pub probes: usize,
    pub at_rest: usize,
}

pub fn channels(store: Arc<dyn Store>) -> Channels {
    let retention = Retention { after_end: Duration::from_secs(36_000), max_bytes: 8 << 20 };
    Channels::new(store, retention)
}

pub async fn begin(channels: &Channels) -> (Arc<Channel>, Producer) {
    let channel = channels.create(Owner::default()).await.expect("it opens");
    let started = Started { id: "gen_bench".into(), ..Started::default() };
    let mut producer = channel.begin(started, Default::default()).expect("open");
    producer.shown().await;
    (channel, producer)
}

pub fn finished() -> Event {
    Event::new(Kind::Finished(Finished { reason: FinishReason::Stop, native_reason: None }))
}

/// Producers that wait, as generations do, until each token may be shown.
pub async fn say(channels: &Channels, size: &Size) {
    let mut tasks = Vec::new();
    for _ in 0..size.channels {
        let (_, mut producer) = begin(channels).await;
        let tokens = size.tokens;
        tasks.push(tokio::spawn(async move {
            for _ in 0..tokens {
                producer.append(&mut [Event::text(TOKEN)]).expect("room");
                producer.shown().await;
            }
            producer.append(&mut [finished()]).expect("room");
            producer.shown().await;
        }));
    }
    for task in tasks {
        task.await.expect("it ends");
    }
}

/// Says so many texts of so many tokens, a thousand at a time, and lets go of them.
pub async fn fill(channels: &Channels, count: usize, tokens: usize) {
    for _ in 0..count / 1_000 {
        let mut producers = Vec::new();
        for _ in 0..1_000 {
            let (_, mut producer) = begin(channels).await;
            let mut events: Vec<Event> = (0..tokens).map(|_| Event::text(TOKEN)).collect();
            events.push(finished());
            producer.append(&mut events).expect("room");
            producers.push(producer);
        }
        for mut producer in producers {
            producer.shown().await;
        }
        channels.sweep(tokio::time::Instant::now() + Duration::from_secs(60)).await;
    }
    assert!(channels.all().is_empty(), "all of them are at rest");
    channels.close().await;
}

pub fn row(name: &str, memory: f64, kept: f64) {
    println!("| {name} | {memory:.2} | {kept:.2} | {:.2}× |", kept / memory);
}

/// The middle one.
pub fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// Seconds of a process's CPU, in hundredths.
pub fn cpu(process: &str) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("Linux");
    let fields: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().unwrap_or_default();
    (ticks(11) + ticks(12)) / 100.0
}

/// Bytes of this process in memory.
pub fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() * 1024
}
