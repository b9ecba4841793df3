//! Reads what a test runner says at its end: how many passed, failed, were left out.
//!
//! Pure. Knows nextest, `cargo test`, pytest, vitest and node:test; any other line means nothing to it.

use std::fmt;

/// The counts of one part; of several runs within it, the sum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    pub(crate) left_out: u32,
}

impl Tally {
    /// Takes one line of output into account.
    pub(crate) fn read(&mut self, line: &str) {
        let line = plain(line);
        let line = line.trim().trim_matches('=').trim();
        if let Some(counts) = line.strip_prefix("Summary [") {
            // nextest: `Summary [   1.1s] 12 tests run: 11 passed (1 slow), 1 failed, 2 skipped`
            self.add(counts.split_once("run:").map_or("", |(_, counts)| counts));
        } else if let Some(counts) = line.strip_prefix("test result: ") {
            // cargo test: `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; …`
            self.add(counts);
        } else if let Some(counts) = line.strip_prefix("Tests  ") {
            // vitest: `Tests  1 failed | 4 passed | 1 skipped (6)`
            self.add(counts);
        } else if let Some(count) = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ ")) {
            // node:test: `# pass 4`
            let mut words = count.split(' ');
            if let (Some(word), Some(number), None) = (words.next(), words.next(), words.next()) {
                self.count(word, number);
            }
        } else if let Some((counts, _)) = line.split_once(" in ") {
            // pytest: `4 passed, 1 skipped in 0.12s`; nothing but counts may stand before the time.
            let pairs: Vec<&str> = counts.split(' ').collect();
            let is_count = |pair: &[&str]| {
                pair.len() == 2 && pair[0].parse::<u32>().is_ok() && PYTEST.contains(&trim(pair[1]))
            };
            if pairs.chunks(2).all(is_count) {
                self.add(counts);
            }
        }
    }

    fn add(&mut self, counts: &str) {
        let words: Vec<&str> = counts.split(' ').collect();
        for pair in words.windows(2) {
            self.count(trim(pair[1]), trim(pair[0]));
        }
    }

    fn count(&mut self, word: &str, number: &str) {
        let Ok(number) = number.parse::<u32>() else { return };
        match word {
            "passed" | "pass" => self.passed += number,
            "failed" | "fail" | "error" | "errors" | "timed" | "cancelled" => self.failed += number,
            "skipped" | "ignored" | "todo" | "deselected" | "xfailed" => self.left_out += number,
            _ => {}
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed", self.passed)?;
        if self.failed > 0 {
            write!(f, ", {} failed", self.failed)?;
        }
        if self.left_out > 0 {
            write!(f, ", {} left out", self.left_out)?;
        }
        Ok(())
    }
}

const PYTEST: [&str; 9] = [
    "passed",
    "failed",
    "skipped",
    "error",
    "errors",
    "deselected",
    "xfailed",
    "warning",
    "warnings",
];

fn trim(word: &str) -> &str {
    word.trim_matches(|c: char| matches!(c, ',' | ';' | '|' | '(' | ')'))
}

/// The line without its colours.
fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' {
            rest.by_ref().find(char::is_ascii_alphabetic);
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lines: &[&str], passed: u32, failed: u32, left_out: u32) {
        let mut tally = Tally::default();
        lines.iter().for_each(|line| tally.read(line));
        assert_eq!(tally, Tally { passed, failed, left_out });
    }

    #[test]
    fn every_runner_is_understood() {
        check(
            &[
                "     Summary [   1.198s] 12 tests run: 9 passed (1 slow), 1 failed, 2 timed out, 3 skipped",
            ],
            9,
            3,
            3,
        );
        check(
            &[
                "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s",
                "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
            ],
            4,
            2,
            1,
        );
        check(
            &["\u{1b}[2m      Tests \u{1b}[22m \u{1b}[1m4 passed\u{1b}[22m | 1 skipped (5)"],
            4,
            0,
            1,
        );
        check(
            &["# tests 7", "# pass 4", "# fail 1", "# cancelled 1", "# skipped 1", "# todo 0"],
            4,
            2,
            1,
        );
        check(&["===== 1 failed, 4 passed, 1 skipped, 2 warnings in 0.12s ====="], 4, 1, 1);
        check(&["20 passed in 3.20s"], 20, 0, 0);
    }

    #[test]
    fn a_sentence_with_a_count_is_no_summary() {
        check(
            &["4 passed through the gate in 3 hours", "Compiling in 4 passed", "# a comment"],
            0,
            0,
            0,
        );
    }
}
