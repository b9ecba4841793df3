//! `cargo xtask test`: installs what is missing, runs every part whatever the ones before it said, and ends with the last
//! words of those that failed and a table.

use std::{
    env,
    ffi::OsString,
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    part::{CARGO_TEST, CARGO_TESTS, Counts, GATEWAY, NEXTEST, PARTS, Part},
    run::{End, Heard, Outcome, Run},
    setup::Ground,
    tally::Tally,
};

/// The whole run's limit; a part that would pass it is killed there.
const WHOLE: Duration = Duration::from_secs(57 * 60);

/// Recorded provider streams: data that does not belong to the repository.
const TRANSCRIPTS: &str = "TOKENWAY_TRANSCRIPTS";

pub(crate) fn run(root: &Path) -> Result<(), String> {
    let started = Instant::now();
    let ground = Ground::new(root);
    let missing = ground.prepare_tests();
    let prepared = Outcome {
        end: if missing.is_empty() { End::Passed } else { End::NotStarted(missing.join("; ")) },
        took: started.elapsed(),
        heard: Heard::default(),
    };
    let envs = environment(root, &ground);
    let mut rows = vec![("prepare", judge(&prepared, Counts::Nothing), prepared)];
    for part in PARTS {
        println!("\n=== {} ===", part.name);
        let left = (started + WHOLE).saturating_duration_since(Instant::now());
        let timeout = Duration::from_secs(part.minutes * 60).min(left);
        let outcome = run_part(part, root, timeout, &envs, &ground);
        let verdict = judge(&outcome, part.counts);
        println!("=== {}: {} ===", part.name, verdict.as_deref().unwrap_or("passed"));
        rows.push((part.name, verdict, outcome));
    }
    print_last_words(&rows);
    print_table(&rows, started.elapsed());
    match rows.iter().filter(|(_, verdict, _)| verdict.is_some()).count() {
        0 => Ok(()),
        failed => Err(format!("{failed} of {} parts failed", rows.len())),
    }
}

fn run_part(
    part: &Part,
    root: &Path,
    timeout: Duration,
    envs: &[(OsString, OsString)],
    ground: &Ground,
) -> Outcome {
    let dir = root.join(part.dir);
    if !dir.is_dir() {
        let end = End::NotStarted(format!("{} does not exist", part.dir));
        return Outcome { end, took: Duration::ZERO, heard: Heard::default() };
    }
    let command = match part.command {
        CARGO_TESTS if ground.has_nextest() => NEXTEST,
        CARGO_TESTS => {
            println!("!! without cargo-nextest: nothing kills a test that hangs");
            CARGO_TEST
        }
        command => command,
    };
    Run::new(command, &dir, timeout).envs(envs.iter().cloned()).show()
}

/// Why the part counts as failed; `None` where it passed.
fn judge(outcome: &Outcome, counts: Counts) -> Option<String> {
    if outcome.end != End::Passed {
        return Some(outcome.end.to_string());
    }
    match (counts, outcome.heard.tally) {
        (Counts::Nothing, _) => None,
        (_, tally) if tally.failed > 0 => Some(format!("{} failed", tally.failed)),
        (_, tally) if tally.left_out > 0 => Some(format!("{} left out", tally.left_out)),
        (Counts::SomeTests, tally) if tally.passed == 0 => Some("no test ran".into()),
        _ => None,
    }
}

fn environment(root: &Path, ground: &Ground) -> Vec<(OsString, OsString)> {
    let mut envs = vec![
        ground.path(),
        ("TOKENWAY_NOTHING_SKIPPED".into(), "1".into()),
        ("TOKENWAY_BIN".into(), root.join(GATEWAY).into()),
    ];
    match env::var_os(TRANSCRIPTS) {
        Some(path) => envs.push((TRANSCRIPTS.into(), path)),
        None => println!(
            "!! {TRANSCRIPTS} is not set: only the streams inside the repository are replayed"
        ),
    }
    envs
}

/// What is said of a failure stands far above the table, and a machine may keep the end of the output only.
fn print_last_words(rows: &[(&str, Option<String>, Outcome)]) {
    for (name, verdict, outcome) in rows {
        let Some(why) = verdict else { continue };
        println!("\n=== {name}: {why}; its last words ===");
        outcome.heard.last.iter().for_each(|line| println!("{line}"));
    }
}

fn print_table(rows: &[(&str, Option<String>, Outcome)], took: Duration) {
    println!("\n{:<14} {:>7}  {:<34} result", "part", "time", "tests");
    println!("{}", "-".repeat(72));
    for (name, verdict, outcome) in rows {
        let counted = outcome.heard.tally != Tally::default();
        let tally = if counted { outcome.heard.tally.to_string() } else { String::new() };
        let verdict = verdict.as_deref().map_or("ok".into(), |why| format!("FAILED: {why}"));
        println!("{name:<14} {:>5} s  {tally:<34} {verdict}", outcome.took.as_secs());
    }
    println!("{}\n{:<14} {:>5} s", "-".repeat(72), "all", took.as_secs());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(end: End, passed: u32, failed: u32, left_out: u32) -> Outcome {
        let tally = Tally { passed, failed, left_out };
        Outcome { end, took: Duration::ZERO, heard: Heard { tally, ..Heard::default() } }
    }

    #[test]
    fn success_with_a_test_left_out_is_a_failure() {
        assert!(judge(&ended(End::Passed, 9, 0, 1), Counts::SomeTests).is_some());
        assert!(judge(&ended(End::Passed, 9, 0, 1), Counts::Tests).is_some());
        assert_eq!(judge(&ended(End::Passed, 9, 0, 0), Counts::SomeTests), None);
    }

    #[test]
    fn success_without_a_test_is_a_failure_where_tests_are_due() {
        assert!(judge(&ended(End::Passed, 0, 0, 0), Counts::SomeTests).is_some());
        assert_eq!(judge(&ended(End::Passed, 0, 0, 0), Counts::Tests), None);
        assert!(judge(&ended(End::Failed(Some(1)), 9, 0, 0), Counts::Nothing).is_some());
    }
}
