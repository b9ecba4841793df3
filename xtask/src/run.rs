//! Runs one program: its output is shown as it comes, its counts are read, its last lines are kept, and when its time is
//! over it is killed with all its children.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    fmt,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

use crate::{process, tally::Tally};

/// How often a running program is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long output is waited for once the program has ended: a grandchild may still hold the pipe.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Lines that wait to be printed before the program is made to wait.
const LINES: usize = 1024;

/// How many of the last lines are kept: every runner says at its end what failed.
const KEPT: usize = 60;

/// A program, its arguments and how long it may take.
pub(crate) struct Run {
    command: Command,
    shown: String,
    timeout: Duration,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum End {
    Passed,
    Failed(Option<i32>),
    TimedOut(Duration),
    NotStarted(String),
}

/// How it ended, after how long, and what was heard of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) end: End,
    pub(crate) took: Duration,
    pub(crate) heard: Heard,
}

/// What was heard of a program.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Heard {
    pub(crate) tally: Tally,
    /// Its last lines, for whoever reads the end of the output only.
    pub(crate) last: VecDeque<String>,
}

impl Heard {
    /// Shows a line, and takes it into account.
    fn line(&mut self, line: String) {
        println!("{line}");
        self.tally.read(&line);
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }
}

impl Run {
    /// A command line without quoting: words are split at spaces.
    pub(crate) fn new(line: &str, dir: &Path, timeout: Duration) -> Self {
        let mut words = line.split_whitespace();
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).current_dir(dir).stdin(Stdio::null());
        Self { command, shown: line.into(), timeout }
    }

    /// One more argument, which may hold spaces.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.shown = format!("{} {}", self.shown, arg.as_ref().display());
        self.command.arg(arg);
        self
    }

    /// Variables beside those that this process has.
    pub(crate) fn envs(mut self, envs: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        self.command.envs(envs);
        self
    }

    /// One more variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it to its end and shows what it says.
    pub(crate) fn show(mut self) -> Outcome {
        println!("$ {}", self.shown);
        let started = Instant::now();
        let child = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut heard = Heard::default();
        let end = match child {
            Ok(child) => follow(child, started + self.timeout, self.timeout, &mut heard),
            Err(why) => End::NotStarted(why.to_string()),
        };
        Outcome { end, took: started.elapsed(), heard }
    }

    /// Runs it to its end and shows what it says; anything but success is an error.
    pub(crate) fn must(self) -> Result<(), String> {
        let shown = self.shown.clone();
        match self.show().end {
            End::Passed => Ok(()),
            end => Err(format!("{shown}: {end}")),
        }
    }

    /// Runs it silently, without a limit of time; its standard output, where it succeeded.
    pub(crate) fn read(mut self) -> Option<String> {
        let output = self.command.stderr(Stdio::null()).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(text)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => write!(f, "passed"),
            Self::Failed(Some(code)) => write!(f, "failed, exit code {code}"),
            Self::Failed(None) => write!(f, "killed by a signal"),
            Self::TimedOut(after) => write!(f, "killed after {} s", after.as_secs()),
            Self::NotStarted(why) => write!(f, "not started: {why}"),
        }
    }
}

fn follow(mut child: Child, deadline: Instant, timeout: Duration, heard: &mut Heard) -> End {
    let (sender, lines) = sync_channel(LINES);
    forward(child.stdout.take(), sender.clone());
    forward(child.stderr.take(), sender);
    let mut print = |wait: Duration| match lines.recv_timeout(wait) {
        Ok(line) => {
            heard.line(line);
            true
        }
        Err(RecvTimeoutError::Timeout) => true,
        Err(RecvTimeoutError::Disconnected) => {
            thread::sleep(wait);
            false
        }
    };
    let end = loop {
        print(LOOK);
        match child.try_wait() {
            Ok(Some(status)) if status.success() => break End::Passed,
            Ok(Some(status)) => break End::Failed(status.code()),
            Err(why) => break End::NotStarted(why.to_string()),
            Ok(None) if Instant::now() > deadline => {
                process::kill_tree(child.id());
                // It has been killed; its status says no more than that.
                let _ = child.wait();
                break End::TimedOut(timeout);
            }
            Ok(None) => {}
        }
    };
    drain(&lines, heard);
    end
}

/// What was said before the end and has not been shown yet.
fn drain(lines: &Receiver<String>, heard: &mut Heard) {
    let until = Instant::now() + LAST_WORDS;
    while let Ok(line) = lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
        heard.line(line);
    }
}

fn forward(from: Option<impl Read + Send + 'static>, to: SyncSender<String>) {
    let Some(from) = from else { return };
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        while let Ok(Some(line)) = line(&mut from) {
            if to.send(line).is_err() {
                break;
            }
        }
    });
}

/// The next line, whatever bytes it holds.
fn line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    if from.read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&bytes).trim_end().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, timeout: Duration) -> Outcome {
        Run::new("sh -c", Path::new("."), timeout).arg(script).show()
    }

    #[test]
    fn the_counts_of_a_failed_run_are_read_to_its_last_line() {
        let outcome =
            shell("echo '2 failed, 5 passed in 0.1s' >&2; exit 3", Duration::from_secs(60));
        assert_eq!(outcome.end, End::Failed(Some(3)));
        assert_eq!(outcome.heard.tally, Tally { passed: 5, failed: 2, left_out: 0 });
    }

    #[test]
    fn the_last_lines_are_kept_and_no_more() {
        let last = shell("seq 1000", Duration::from_secs(60)).heard.last;
        assert_eq!(last.len(), KEPT);
        assert_eq!(last.back().map(String::as_str), Some("1000"));
        assert_eq!(last.front().map(String::as_str), Some("941"));
    }

    #[test]
    fn a_hung_program_is_killed_with_its_children() {
        let outcome = shell("sleep 600 & echo $!; wait", Duration::from_millis(200));
        assert!(matches!(outcome.end, End::TimedOut(_)));
        assert!(outcome.took < Duration::from_secs(60));
    }
}
