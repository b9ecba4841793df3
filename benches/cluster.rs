//! What it costs to keep channels in NATS, next to memory: both in one run, on one machine, as ratios; and what it takes until a
//! viewer at another node has a token.
//!
//! `cargo bench --bench cluster`; with `--quick`, a tenth of it. Needs a `nats-server`, which it starts on a free port. Not by
//! criterion: what is measured are processes and their files.

#![allow(missing_docs, clippy::print_stdout, reason = "a program that prints a table")]
#![expect(clippy::disallowed_methods, reason = "measures real time")]

mod load;

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use load::{Size, TOKEN, begin, channels, cpu, resident, row};
use parking_lot::Mutex;
use tokenway::{
    channel::{Channels, Signal, Step},
    event::Event,
    sequence::From,
    store::{JetStream, Memory, jetstream},
};

#[tokio::main]
async fn main() {
    let quick = std::env::args().any(|it| it == "--quick");
    let size = match quick {
        true => Size { channels: 50, tokens: 400, probes: 200, at_rest: 2_000 },
        false => Size { channels: 200, tokens: 1_000, probes: 1_000, at_rest: 100_000 },
    };
    // Where the files of a build are, so that it is a disk and not memory.
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let dir = tempfile::tempdir_in(target).expect("a directory");
    let nats = Nats::start(dir.path());
    let (mut memory, mut kept) = (Vec::new(), Vec::new());
    for round in 0..3 {
        let channels = channels(Arc::new(Memory::default()));
        memory.push(appending(&channels, &channels, &size, None).await);
        let prefix = format!("round-{round}");
        let (writer, reader) = (nats.node(&prefix).await, nats.node(&prefix).await);
        let before = bytes_of(dir.path());
        let mut figures = appending(&writer, &reader, &size, Some(nats.child.id())).await;
        let tokens = (size.channels * size.tokens) as f64;
        figures.bytes = (bytes_of(dir.path()) - before) as f64 / tokens;
        kept.push(figures);
        writer.close().await;
        reader.close().await;
    }
    let (memory, kept) = (middle(&memory), middle(&kept));
    println!("| | memory | jetstream | ratio |\n| --- | --- | --- | --- |");
    row("tokens a second, as fast as they go", memory.rate, kept.rate);
    row("CPU µs a token, of the gateway", memory.cpu_us, kept.cpu_us);
    println!("| CPU µs a token, of NATS | | {:.2} | |", kept.nats_us);
    row("publish to receive on its node p50, µs", memory.here_us[0], kept.here_us[0]);
    row("publish to receive on its node p99, µs", memory.here_us[1], kept.here_us[1]);
    row("publish to receive on another node p50, µs", memory.here_us[0], kept.there_us[0]);
    row("publish to receive on another node p99, µs", memory.here_us[1], kept.there_us[1]);
    println!("| bytes in NATS a token of {} B | | {:.1} | |", TOKEN.len(), kept.bytes);
    paced(&nats, dir.path(), &size).await;
    at_rest(&nats, &size).await;
}

/// A `nats-server`, until it is dropped.
struct Nats {
    child: Child,
    url: String,
}

impl Nats {
    fn start(dir: &Path) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("bound").port();
        drop(free);
        let debian = "/usr/sbin/nats-server";
        let program = if Path::new(debian).exists() { debian } else { "nats-server" };
        let mut command = Command::new(program);
        command.args(["-js", "-a", "127.0.0.1", "-p", &port.to_string(), "-sd"]).arg(dir);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it is installed");
        let mut said = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        while !line.contains("Server is ready") {
            line.clear();
            assert!(said.read_line(&mut line).expect("text") > 0, "it ended");
        }
        std::thread::spawn(move || said.read_to_end(&mut Vec::new()));
        Self { child, url: format!("nats://127.0.0.1:{port}") }
    }

    async fn node(&self, prefix: &str) -> Channels {
        let settings = jetstream::Settings {
            url: self.url.clone(),
            prefix: prefix.to_owned(),
            replicas: 1,
            lease: Duration::from_secs(3),
            credentials: None,
        };
        channels(Arc::new(JetStream::open(&settings).await.expect("it is there")))
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Clone, Copy, Default)]
struct Figures {
    rate: f64,
    cpu_us: f64,
    nats_us: f64,
    /// p50 and p99.
    here_us: [f64; 2],
    there_us: [f64; 2],
    bytes: f64,
}

/// Producers that wait, as generations do, until each token may be shown; then one that is watched, here and there.
async fn appending(
    writer: &Channels,
    reader: &Channels,
    size: &Size,
    nats: Option<u32>,
) -> Figures {
    let nats_cpu = || nats.map_or(0.0, |pid| cpu(&pid.to_string()));
    let (begun, before, nats_before) = (Instant::now(), cpu("self"), nats_cpu());
    load::say(writer, size).await;
    let count = (size.channels * size.tokens) as f64;
    let rate = count / begun.elapsed().as_secs_f64();
    let cpu_us = (cpu("self") - before) * 1e6 / count;
    let nats_us = (nats_cpu() - nats_before) * 1e6 / count;
    let [here_us, there_us] = latencies(writer, reader, size.probes).await;
    Figures { rate, cpu_us, nats_us, here_us, there_us, bytes: 0.0 }
}

/// From the append of a token to viewers that have it, one at the node that writes and one at another; a token every 20 ms.
/// Tokens that a viewer finds together count once.
async fn latencies(writer: &Channels, reader: &Channels, probes: usize) -> [[f64; 2]; 2] {
    let (channel, mut producer) = begin(writer).await;
    let there = reader.find(channel.key()).await.expect("it is there");
    let sent = Arc::new(Mutex::new(Instant::now()));
    let viewers = [&channel, &there].map(|channel| {
        let signal = Signal::default();
        let watch = channel.watch(&signal);
        let mut reader = channel.read(From::Tail).expect("it is there");
        let (sent, seen) = (Arc::clone(&sent), Arc::new(Mutex::new(Vec::new())));
        let told = Arc::clone(&seen);
        let looks = tokio::spawn(async move {
            let _watch = watch;
            loop {
                signal.lower();
                match reader.step() {
                    Step::Slice(_) => told.lock().push(sent.lock().elapsed()),
                    _ => signal.raised().await,
                }
            }
        });
        (looks, seen)
    });
    for _ in 0..probes {
        tokio::time::sleep(Duration::from_millis(20)).await;
        *sent.lock() = Instant::now();
        producer.append(&mut [Event::text(TOKEN)]).expect("room");
        producer.shown().await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    viewers.map(|(looks, seen)| {
        looks.abort();
        let mut seen = std::mem::take(&mut *seen.lock());
        seen.sort_unstable();
        [0.5, 0.99].map(|share| seen[(seen.len() as f64 * share) as usize].as_secs_f64() * 1e6)
    })
}

/// Generations at the pace of a model, followed at one other node and then at two: what a token takes.
async fn paced(nats: &Nats, dir: &Path, size: &Size) {
    let writer = nats.node("paced").await;
    let mut running = Vec::new();
    for _ in 0..size.channels {
        running.push(begin(&writer).await);
    }
    let pid = nats.child.id().to_string();
    println!(
        "\n| paced: {} generations at 80 tokens a second | gateways µs a token | NATS µs a token | bytes a token |",
        size.channels
    );
    println!("| --- | --- | --- | --- |");
    let mut nodes = Vec::new();
    let mut followed = Vec::new();
    for followers in 0..=2 {
        if followers > 0 {
            let reader = nats.node("paced").await;
            for (channel, _) in &running {
                followed.push(reader.find(channel.key()).await.expect("it is there"));
            }
            nodes.push(reader);
        }
        let (before, nats_before) = (cpu("self"), cpu(&pid));
        let bytes_before = bytes_of(dir);
        let mut ticks = tokio::time::interval(Duration::from_micros(12_500));
        let tokens = 400;
        for _ in 0..tokens {
            ticks.tick().await;
            for (_, producer) in &mut running {
                producer.append(&mut [Event::text(TOKEN)]).expect("room");
            }
        }
        let count = (tokens * size.channels) as f64;
        let per = |seconds: f64| seconds * 1e6 / count;
        let (ours, theirs) = (per(cpu("self") - before), per(cpu(&pid) - nats_before));
        let bytes = (bytes_of(dir) - bytes_before) as f64 / count;
        println!("| followed at {followers} others | {ours:.1} | {theirs:.1} | {bytes:.0} |");
    }
}

/// Channels that are finished: how long a start takes, and what they take in memory.
async fn at_rest(nats: &Nats, size: &Size) {
    let writer = nats.node("rest").await;
    load::fill(&writer, size.at_rest, 100).await;
    let (before, begun) = (resident(), Instant::now());
    let another = nats.node("rest").await;
    let (start, memory) = (begun.elapsed(), resident().saturating_sub(before));
    let there = another.health().channels;
    println!("\n| channels at rest | start | memory/channel |\n| --- | --- | --- |");
    println!("| {there} | {:.2} s | {} B |", start.as_secs_f64(), memory / there.max(1));
}

fn middle(rounds: &[Figures]) -> Figures {
    let of = |member: &dyn Fn(&Figures) -> f64| load::median(rounds.iter().map(member).collect());
    Figures {
        rate: of(&|it| it.rate),
        cpu_us: of(&|it| it.cpu_us),
        nats_us: of(&|it| it.nats_us),
        here_us: [0, 1].map(|at| of(&|it| it.here_us[at])),
        there_us: [0, 1].map(|at| of(&|it| it.there_us[at])),
        bytes: of(&|it| it.bytes),
    }
}

/// What a directory's files take, and those of the directories in it.
fn bytes_of(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(it) if it.is_dir() => bytes_of(&entry.path()),
            Ok(it) => it.len(),
            // It was deleted meanwhile.
            Err(_) => 0,
        })
        .sum()
}
