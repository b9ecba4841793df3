//! The bench's result as a table in Markdown, with the machine and the date.

use std::{fs, path::Path, time::Duration};

use super::{figures::Round, peer::Path as Via};
use crate::run::Run;

/// The rows of direct, nginx and Tokenway, in this order, what they add already taken against direct.
pub(super) fn table(direct: &Round, peers: &[(Via, Round)]) -> String {
    let nginx = peers.iter().find(|(via, _)| *via == Via::Nginx).map(|(_, round)| *round);
    let against = |value: f64, field: fn(&Round) -> f64| match nginx.as_ref().map(field) {
        Some(nginx) if nginx > 0.0 => format!("{:.2}×", value / nginx),
        _ => "–".into(),
    };
    let mut out = String::from(
        "| app path | added latency p50 | p99 | added time to first token p50 | CPU/token, paced | CPU/token, bulk | \
         bulk tokens/s | memory/idle stream | bytes/token |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    out += &format!(
        "| direct | 0 (is {:.3} ms) | 0 (is {:.3} ms) | 0 (is {:.3} ms) | – | – | {:.0} k | – | {:.0} |\n",
        direct.latency_p50,
        direct.latency_p99,
        direct.first_token_p50,
        direct.bulk_rate / 1e3,
        direct.bytes
    );
    for (via, round) in peers {
        out += &format!(
            "| {} | {:.3} ms | {:.3} ms | {:.3} ms | {:.1} µs | {:.2} µs | {:.0} k | {:.1} KiB | {:.0} |\n",
            via.name(),
            round.latency_p50,
            round.latency_p99,
            round.first_token_p50,
            round.paced_cpu,
            round.bulk_cpu,
            round.bulk_rate / 1e3,
            round.stream_memory,
            round.bytes
        );
    }
    for (via, round) in peers.iter().filter(|(via, _)| *via != Via::Nginx) {
        out += &format!(
            "| **{} / nginx** | {} | {} | {} | {} | {} | {} | {} | {} |\n",
            via.name(),
            against(round.latency_p50, |it| it.latency_p50),
            against(round.latency_p99, |it| it.latency_p99),
            against(round.first_token_p50, |it| it.first_token_p50),
            against(round.paced_cpu, |it| it.paced_cpu),
            against(round.bulk_cpu, |it| it.bulk_cpu),
            against(round.bulk_rate, |it| it.bulk_rate),
            against(round.stream_memory, |it| it.stream_memory),
            against(round.bytes, |it| it.bytes),
        );
    }
    out
}

/// `22 Nov 2026, 2 × AMD EPYC, 24 GiB, Linux 6.18.0, Debian GNU/Linux 12 (bookworm)`.
pub(super) fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, name: &str, between: char| {
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(between)).map(|(_, value)| value);
        value.map_or("unknown".into(), |value| value.trim().trim_matches('"').to_owned())
    };
    let cpus = read("/proc/cpuinfo");
    let memory = value(&read("/proc/meminfo"), "MemTotal", ':');
    let kib: f64 = memory.split(' ').next().and_then(|it| it.parse().ok()).unwrap_or_default();
    let date = Run::new("date -u", Path::new("."), Duration::MAX).arg("+%-d %b %Y").read();
    format!(
        "{}, {} × {}, {:.0} GiB, Linux {}, {}",
        date.unwrap_or("unknown date".into()),
        cpus.lines().filter(|line| line.starts_with("processor")).count(),
        value(&cpus, "model name", ':'),
        kib / 1024.0 / 1024.0,
        read("/proc/sys/kernel/osrelease").trim(),
        value(&read("/etc/os-release"), "PRETTY_NAME", '='),
    )
}
