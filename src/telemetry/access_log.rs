//! The access log: one line of JSON for each generation that ended, in a file or on standard output.
//!
//! A thread writes, so that a slow disk or a full pipe holds up no generation; what waits for it is bounded in bytes, and a
//! line beyond that is dropped and counted. Prompts and answers are in it only if the operator asks for them.

#[cfg(unix)]
use std::os::unix::fs::OpenOptionsExt;
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{About, Metrics, TraceContext, metrics::Counter};
use crate::{
    clock,
    event::{Event, Kind, Usage},
};

/// Lines that wait to be written.
const LINES_MAX: usize = 4_096;
/// And their bytes together.
const WAITING_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Where prompts are recorded: of a call and of an answer, each.
const RECORDED_BYTES_MAX: usize = 1024 * 1024;

/// Where it goes, and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where.
    pub sink: Sink,
    /// Also the app's call and the answer's text.
    pub prompts: bool,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// Standard output.
    Stdout,
    /// A file, which is appended to.
    File(PathBuf),
}

/// Writes lines. Clones write to the same place.
#[derive(Clone, Debug)]
pub struct AccessLog(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    prompts: bool,
    lines: Mutex<Option<SyncSender<Message>>>,
    waiting: Arc<AtomicUsize>,
    thread: Mutex<Option<JoinHandle<()>>>,
    metrics: Metrics,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    Reopen,
}

/// What is recorded of one generation, where prompts are.
#[derive(Debug)]
pub(super) struct Recording {
    request: Bytes,
    answer: String,
}

impl Recording {
    pub(super) fn said(&mut self, events: &[Event]) {
        for event in events {
            if let Kind::Text(text) = &event.kind
                && self.answer.len() + text.len() <= RECORDED_BYTES_MAX
            {
                self.answer += text;
            }
        }
    }
}

/// A generation that ended.
pub(super) struct Entry<'a> {
    pub(super) about: &'a About,
    pub(super) provider: &'a str,
    pub(super) upstream_model: &'a str,
    pub(super) attempts: u32,
    pub(super) end: &'static str,
    pub(super) took: Duration,
    pub(super) first_token: Option<Duration>,
    pub(super) usage: Option<&'a Usage>,
    pub(super) trace: Option<&'a TraceContext>,
    pub(super) recording: Option<Recording>,
}

impl AccessLog {
    /// Opens the file and begins.
    pub fn start(settings: &Settings, metrics: Metrics) -> io::Result<Self> {
        let output = Output::open(&settings.sink)?;
        let (sender, receiver) = sync_channel(LINES_MAX);
        let waiting = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&waiting);
        let dropped = metrics.access_log_dropped.only();
        let thread = std::thread::Builder::new().name("access-log".into());
        let thread = thread.spawn(move || write_all(output, &receiver, &counted, &dropped))?;
        Ok(Self(Arc::new(Shared {
            prompts: settings.prompts,
            lines: Mutex::new(Some(sender)),
            waiting,
            thread: Mutex::new(Some(thread)),
            metrics,
        })))
    }

    /// Opens the file anew, after it was moved away.
    pub fn reopen(&self) {
        self.send(Message::Reopen);
    }

    pub(super) fn recording(&self, request: Bytes) -> Option<Recording> {
        self.0.prompts.then(|| Recording { request, answer: String::new() })
    }

    pub(super) fn write(&self, entry: &Entry<'_>) {
        let mut line = entry.to_json().to_string().into_bytes();
        line.push(b'\n');
        let bytes = line.len();
        if self.0.waiting.fetch_add(bytes, Ordering::Relaxed) + bytes > WAITING_BYTES_MAX
            || !self.send(Message::Line(line))
        {
            self.0.waiting.fetch_sub(bytes, Ordering::Relaxed);
            self.0.metrics.access_log_dropped.only().inc();
        }
    }

    fn send(&self, message: Message) -> bool {
        let sent = self.0.lines.lock().as_ref().map(|lines| lines.try_send(message));
        matches!(sent, Some(Ok(())))
    }

    /// Writes what waits, and ends.
    pub async fn shut_down(&self) {
        let (lines, thread) = (self.0.lines.lock().take(), self.0.thread.lock().take());
        drop(lines);
        if let Some(thread) = thread {
            // It panics nowhere; and if it did, the log is over anyway.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

enum Output {
    Stdout,
    File { path: PathBuf, file: File },
}

impl Output {
    fn open(sink: &Sink) -> io::Result<Self> {
        match sink {
            Sink::Stdout => Ok(Self::Stdout),
            Sink::File(path) => {
                let mut options = OpenOptions::new();
                options.create(true).append(true);
                // It may hold prompts. Whoever lets others read it makes the file before.
                #[cfg(unix)]
                options.mode(0o600);
                let file = options.open(path)?;
                Ok(Self::File { path: path.clone(), file })
            }
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let Self::File { path, .. } = self {
            *self = Self::open(&Sink::File(path.clone()))?;
        }
        Ok(())
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(line).and_then(|()| stdout.flush())
            }
            Self::File { file, .. } => file.write_all(line),
        }
    }
}

fn write_all(
    mut output: Output,
    lines: &Receiver<Message>,
    waiting: &AtomicUsize,
    dropped: &Counter,
) {
    let mut broken = false;
    for message in lines {
        let done = match &message {
            Message::Line(line) => {
                waiting.fetch_sub(line.len(), Ordering::Relaxed);
                output.write(line)
            }
            Message::Reopen => output.reopen(),
        };
        // Said once, and again after it was well.
        match (done, std::mem::take(&mut broken)) {
            (Ok(()), _) => {}
            (Err(error), said) => {
                broken = true;
                dropped.inc();
                if !said {
                    tracing::error!(%error, "the access log cannot be written");
                }
            }
        }
    }
}

impl Entry<'_> {
    fn to_json(&self) -> Value {
        let millis = |duration: Duration| duration.as_micros() as f64 / 1e3;
        let About { generation, channel, owner, model, route, app, streams, .. } = self.about;
        let usage = self.usage.map(|usage| {
            json!({
                "input": usage.input,
                "output": usage.output,
                "cached_input": usage.cached_input,
                "cache_write": usage.cache_write,
                "reasoning": usage.reasoning,
                "estimated": usage.estimated,
            })
        });
        let mut entry = json!({
            "ended_ms": clock::now_ms(),
            "generation": generation,
            "channel": channel,
            "key": Some(owner).filter(|owner| !owner.is_empty()),
            "model": model,
            "route": route,
            "app_dialect": app,
            "stream": streams,
            "provider": self.provider,
            "provider_model": self.upstream_model,
            "attempts": self.attempts,
            "end": self.end,
            "duration_ms": millis(self.took),
            "time_to_first_token_ms": self.first_token.map(millis),
            "usage": usage,
            "cost": self.usage.and_then(|usage| usage.cost),
            "trace_id": self.trace.map(TraceContext::trace_id),
        });
        if let Some(Recording { request, answer }) = &self.recording {
            entry["request"] = match request.len() <= RECORDED_BYTES_MAX {
                true => recorded(request),
                false => Value::String(format!("{} bytes, not recorded", request.len())),
            };
            entry["answer"] = Value::from(answer.as_str());
        }
        entry
    }
}

/// As it is where it is JSON, which an app's call is.
fn recorded(request: &[u8]) -> Value {
    serde_json::from_slice(request).unwrap_or_else(|_| String::from_utf8_lossy(request).into())
}
