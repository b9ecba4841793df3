//! What `/proc` says of a process and all its children: who they are, the CPU time and the memory they took.

use std::{fs, path::Path, process::Command, thread, time::Duration};

/// The kernel's `USER_HZ`, in which `/proc` counts CPU time on every Linux machine that Rust runs on.
const TICKS_PER_SECOND: u32 = 100;
/// `/proc` counts resident memory in pages.
const PAGE_BYTES: u64 = 4096;

/// What a process tree has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    /// User and system time.
    pub(crate) cpu: Duration,
    /// Resident memory; pages that processes share count once for each.
    pub(crate) resident: u64,
}

/// One line of `/proc/PID/stat`, as far as it matters here.
#[derive(Debug, PartialEq)]
struct Stat {
    parent: u32,
    ticks: u32,
    pages: u64,
}

/// The process and all its living descendants.
pub(crate) fn tree(root: u32) -> Vec<u32> {
    let all: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, stat(pid)?.parent)))
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(all.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found
}

/// What the process and its living descendants have used.
pub(crate) fn usage(root: u32) -> Usage {
    tree(root).into_iter().filter_map(stat).fold(Usage::default(), |sum, stat| Usage {
        cpu: sum.cpu + Duration::from_secs(1) * stat.ticks / TICKS_PER_SECOND,
        resident: sum.resident + stat.pages * PAGE_BYTES,
    })
}

/// The CPU time of one of this process's threads.
#[cfg(feature = "delivery")]
pub(crate) fn thread_cpu(thread: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap_or_default();
    let ticks = parse(&stat).map_or(0, |stat| stat.ticks);
    Duration::from_secs(1) * ticks / TICKS_PER_SECOND
}

/// Kills the process and all its descendants, by number.
pub(crate) fn kill_tree(root: u32) {
    signal("-KILL", &tree(root));
}

/// Asks one process to end.
pub(crate) fn terminate(pid: u32) {
    signal("-TERM", &[pid]);
}

/// How many cores all programs together keep busy, measured over this time.
pub(crate) fn busy_cores(over: Duration) -> f64 {
    let before = busy_ticks();
    thread::sleep(over);
    let ticks = busy_ticks().saturating_sub(before);
    ticks as f64 / f64::from(TICKS_PER_SECOND) / over.as_secs_f64()
}

/// Ticks of all cores that were neither idle nor waiting for a disk.
fn busy_ticks() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks = stat.lines().next().into_iter().flat_map(|line| line.split_whitespace().skip(1));
    let counted = ticks.take(8).enumerate().filter(|(column, _)| !matches!(column, 3 | 4));
    counted.filter_map(|(_, ticks)| ticks.parse::<u64>().ok()).sum()
}

fn signal(which: &str, pids: &[u32]) {
    // A process that has already ended is what was wanted, so kill's own complaint says nothing.
    let _ = Command::new("kill").arg(which).args(pids.iter().map(u32::to_string)).output();
}

fn stat(pid: u32) -> Option<Stat> {
    parse(&fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?)
}

/// The name, in brackets, may hold spaces and brackets of its own: what follows the last bracket counts.
fn parse(line: &str) -> Option<Stat> {
    let (_, after_name) = line.rsplit_once(')')?;
    let field: Vec<&str> = after_name.split_whitespace().collect();
    let number = |index: usize| field.get(index)?.parse::<u64>().ok();
    Some(Stat {
        parent: u32::try_from(number(1)?).ok()?,
        ticks: u32::try_from(number(11)? + number(12)?).ok()?,
        pages: number(21)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let line =
            "77 (a) b (c) S 5 77 77 0 -1 4194304 90 0 0 0 30 12 0 0 20 0 4 0 100 5000 250 99";
        assert_eq!(parse(line), Some(Stat { parent: 5, ticks: 42, pages: 250 }));
    }

    #[test]
    fn a_process_finds_its_own_child() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("sleep is on every machine");
        let found = tree(std::process::id()).contains(&child.id());
        kill_tree(child.id());
        child.wait().expect("the child was spawned above");
        assert!(found);
    }
}
