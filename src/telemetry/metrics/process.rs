//! What the operating system says of this process, looked up at each scrape, under the names that every Prometheus client
//! gives. Linux only: elsewhere they stay 0.

use std::fs;

use super::Instruments;

/// How the kernel counts CPU time in `/proc`, whatever its own clock: `USER_HZ` is 100 on every architecture that Rust has.
const TICKS_PER_SECOND: f64 = 100.0;

pub(super) fn look(instruments: &Instruments) {
    let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    if let Some(bytes) = resident_bytes(&read("status")) {
        instruments.process_resident_memory.only().set(bytes);
    }
    if let Some(seconds) = cpu_seconds(&read("stat")) {
        let counter = instruments.process_cpu.only();
        counter.inc_by((seconds - counter.get()).max(0.0));
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        instruments.process_open_fds.only().set(open.count() as i64);
    }
}

/// Of `/proc/self/status`.
fn resident_bytes(status: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Of `/proc/self/stat`: the 14th and 15th field, counted behind the name in brackets, which may hold anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_read() {
        assert_eq!(resident_bytes("VmPeak:\t  9 kB\nVmRSS:\t   12 kB\n"), Some(12 * 1024));
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 9 0 1 2 3";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!((resident_bytes(""), cpu_seconds("")), (None, None));
    }
}
