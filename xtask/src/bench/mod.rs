//! `cargo xtask bench`: the same paced streams through Tokenway, through nginx without buffering, and direct, in one
//! run; what it prints goes into the README as it is.
//!
//! Three rounds, the paths interleaved in each, every peer started afresh; the medians count. Upstream, peer and load
//! client share the machine's cores, so ratios say more than absolute numbers.

mod chunked;
#[cfg(feature = "delivery")]
mod delivery;
mod figures;
mod load;
mod peer;
mod report;
mod upstream;

use std::{
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use self::{
    figures::{Round, median_of, quantile},
    load::{Load, Streams},
    peer::{Path as Via, Peer},
    upstream::{Shape, Upstream},
};
use crate::{
    process,
    run::Run,
    setup::{BENCH_PACKAGES, Ground},
};

const ROUNDS: usize = 3;
const BUILD: Duration = Duration::from_secs(20 * 60);

/// (a): 50 streams of 200 tokens, one every 20 ms.
const PACED: Streams = Streams {
    count: 50,
    spread: Duration::from_millis(20),
    shape: Shape { tokens: 200, interval: Duration::from_millis(20), batch: 1, plain: false },
};
/// (c): 50 streams of 2,000 tokens as fast as they go, ten events a write, one after another for this long.
const BULK: Streams = Streams {
    count: 50,
    spread: Duration::ZERO,
    shape: Shape { tokens: 2_000, interval: Duration::ZERO, batch: 10, plain: false },
};
const BULK_TIME: Duration = Duration::from_millis(2_500);
/// (d): 1,000 streams that said one token and then nothing for a while, which is when memory is read.
const IDLE: Streams = Streams {
    count: 1_000,
    spread: Duration::from_millis(1_500),
    shape: Shape { tokens: 2, interval: Duration::from_secs(5), batch: 1, plain: false },
};
/// When every idle stream has said its first token and none its second.
const IDLE_LOOK: Duration = Duration::from_millis(3_500);

/// Above this many cores kept busy by others before it begins, a run says that it is not to be published.
const BUSY_MAX: f64 = 0.1;

/// What of the bench is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Part {
    All,
    /// The app path without Tokenway: the harness looks at itself.
    Baseline,
    /// Only delivery to viewers.
    Delivery,
}

impl Part {
    /// As the optimised build of this program is told it.
    fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Baseline => "baseline",
            Self::Delivery => "delivery",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::All, Self::Baseline, Self::Delivery].into_iter().find(|part| part.name() == name)
    }
}

/// Builds what is measured and this program, both optimised, and measures there.
pub(crate) fn build_and_run(root: &Path, part: Part) -> Result<(), String> {
    Ground::new(root).packages(BENCH_PACKAGES)?;
    let package = match part {
        Part::Baseline => "",
        Part::All | Part::Delivery => "--package tokenway --features xtask/delivery",
    };
    Run::new(&format!("cargo build --locked --release --package xtask {package}"), root, BUILD)
        .must()?;
    // Thousands of sockets at once: the soft limit of open files goes up to the hard one.
    let script = "ulimit -n \"$(ulimit -Hn)\" && exec \"$0\" bench --measure $1";
    let status = Command::new("sh")
        .args(["-c", script])
        .arg(root.join("target/release/xtask"))
        .arg(part.name())
        .current_dir(root)
        .status()
        .map_err(|why| why.to_string())?;
    if status.success() { Ok(()) } else { Err("the bench did not finish".into()) }
}

/// Measures. Only the optimised build of this program should.
pub(crate) fn measure(root: &Path, part: Part) -> Result<(), String> {
    let busy = process::busy_cores(Duration::from_secs(2));
    let begun = Instant::now();
    let upstream = Upstream::start(begun)?;
    if part != Part::Delivery {
        println!("\n{}", app_path(root, part, &upstream, begun)?);
    }
    #[cfg(feature = "delivery")]
    if part != Part::Baseline {
        println!("{}", delivery::measure(root, upstream.address, begun)?);
    }
    println!("{}; the bench took {} s.", report::machine(), begun.elapsed().as_secs());
    if busy > BUSY_MAX {
        println!("!! not to be published: other programs kept {busy:.1} cores busy as it began");
    }
    Ok(())
}

/// The table of what stands between an app and its provider.
fn app_path(
    root: &Path,
    part: Part,
    upstream: &Upstream,
    begun: Instant,
) -> Result<String, String> {
    let peers: &[Via] =
        if part == Part::Baseline { &[Via::Nginx] } else { &[Via::Nginx, Via::Tokenway] };
    let mut direct = Vec::new();
    let mut added = vec![Vec::new(); peers.len()];
    for number in 1..=ROUNDS {
        let measure = |via: Via| {
            let peer = Peer::start(via, root, upstream.address)?;
            let round = round(&peer, Load { begun, to: peer.address })?;
            println!("round {number}, {:<8} {round}", via.name());
            Ok(round)
        };
        let named = |via: Via| measure(via).map_err(|why: String| format!("{}: {why}", via.name()));
        let bare = named(Via::Direct)?;
        direct.push(bare);
        for (via, rounds) in peers.iter().zip(&mut added) {
            rounds.push(named(*via)?.added_to(&bare));
        }
    }
    let rows: Vec<(Via, Round)> =
        peers.iter().zip(&added).map(|(via, rounds)| (*via, median_of(rounds))).collect();
    Ok(report::table(&median_of(&direct), &rows))
}

fn round(peer: &Peer, load: Load) -> Result<Round, String> {
    // Connections to the upstream are opened and code paths are warm before anything is counted.
    load.run(&Streams { shape: Shape { tokens: 20, ..PACED.shape }, ..PACED })?;

    let before = peer.usage();
    let paced = load.run(&PACED)?;
    let paced_cpu = peer.usage().cpu - before.cpu;

    let before = peer.usage();
    let idle = thread::spawn(move || load.run(&IDLE));
    thread::sleep(IDLE_LOOK);
    let resident = peer.usage().resident;
    idle.join().map_err(|_| "the load client panicked")??;

    let started = Instant::now();
    let bulk_before = peer.usage();
    let mut bulk_tokens = 0;
    while started.elapsed() < BULK_TIME {
        bulk_tokens += load.run(&BULK)?.latencies.len();
    }
    let bulk_time = started.elapsed();
    let bulk_cpu = peer.usage().cpu - bulk_before.cpu;

    let per_token = |cpu: Duration, tokens: usize| cpu.as_secs_f64() * 1e6 / tokens as f64;
    Ok(Round {
        latency_p50: quantile(&paced.latencies, 0.5),
        latency_p99: quantile(&paced.latencies, 0.99),
        first_token_p50: quantile(&paced.first_tokens, 0.5),
        paced_cpu: per_token(paced_cpu, paced.latencies.len()),
        bulk_cpu: per_token(bulk_cpu, bulk_tokens),
        bulk_rate: bulk_tokens as f64 / bulk_time.as_secs_f64(),
        stream_memory: resident.saturating_sub(before.resident) as f64
            / f64::from(IDLE.count)
            / 1024.0,
        bytes: paced.bytes as f64 / paced.latencies.len() as f64,
    })
}
