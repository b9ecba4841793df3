//! What clients were told over HTTP by any node: one event under one cursor, and nothing twice or missing.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use futures_util::StreamExt;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;

/// How long a gateway may have no answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// An event as a viewer was told it: its name and its data.
type Told = (String, Value);

/// Everything that clients were told by all nodes.
#[derive(Default)]
pub(crate) struct World {
    channels: Mutex<BTreeMap<String, Channel>>,
}

/// What clients were told of one channel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Channel {
    /// By cursor.
    pub(crate) events: HashMap<String, Told>,
    /// The last cursor that each client held.
    pub(crate) cursors: Vec<String>,
    /// Generations that an app was told have finished.
    pub(crate) finished: Vec<String>,
    /// What was published and acknowledged: its cursor and its data.
    pub(crate) published: Vec<(String, Value)>,
}

pub(crate) fn seq_of(cursor: &str) -> u64 {
    cursor.split_once('.').and_then(|(_, seq)| seq.parse().ok()).expect("a cursor")
}

impl World {
    pub(crate) fn of<T>(&self, channel: &str, change: impl FnOnce(&mut Channel) -> T) -> T {
        change(self.channels.lock().entry(channel.to_owned()).or_default())
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.channels.lock().keys().cloned().collect()
    }

    /// How many events were told, in all epochs.
    pub(crate) fn count(&self) -> usize {
        self.channels.lock().values().map(|channel| channel.events.len()).sum()
    }

    fn told(&self, channel: &str, cursor: &str, event: Told) {
        self.of(channel, |it| {
            let before = it.events.entry(cursor.to_owned()).or_insert_with(|| event.clone());
            assert_eq!(*before, event, "{channel}: two events under {cursor}");
        });
    }
}

/// A viewer's place, as what it is told moves it.
pub(crate) struct Place<'a> {
    world: &'a World,
    channel: &'a str,
    seq: u64,
    cursor: Option<String>,
    pub(crate) rewinds: u32,
}

impl<'a> Place<'a> {
    pub(crate) fn new(world: &'a World, channel: &'a str, seq: u64) -> Self {
        Self { world, channel, seq, cursor: None, rewinds: 0 }
    }

    pub(crate) fn take(&mut self, id: Option<&str>, name: &str, data: Value) {
        match (name, id) {
            ("rewind", _) => {
                let valid = data["valid_through"].as_u64().expect("a seq");
                self.seq = self.seq.min(valid);
                self.rewinds += 1;
            }
            ("snapshot", _) => self.seq = data["through"].as_u64().expect("a seq"),
            (_, Some(cursor)) => {
                let channel = self.channel;
                assert_eq!(seq_of(cursor), self.seq + 1, "{channel}: seqs have no gap");
                self.seq += 1;
                self.world.told(channel, cursor, (name.to_owned(), data));
            }
            (name, None) => panic!("{}: {name} without a cursor", self.channel),
        }
        if let Some(cursor) = id {
            self.cursor = Some(cursor.to_owned());
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(cursor) = self.cursor.take() {
            self.world.of(self.channel, |channel| channel.cursors.push(cursor));
        }
    }
}

/// Reads server-sent events to the end; `None` if there was none. A part of an event is none.
pub(crate) async fn sse(
    answer: reqwest::Response,
    mut told: impl FnMut(Option<&str>, &str, &str),
) -> Option<()> {
    let mut body = answer.bytes_stream();
    let mut held = Vec::new();
    while let Some(bytes) = body.next().await {
        held.extend_from_slice(&bytes.ok()?);
        while let Some(end) = held.windows(2).position(|it| it == b"\n\n") {
            let event = String::from_utf8(held.drain(..end + 2).collect()).expect("text");
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
            if let Some(data) = field("data: ") {
                told(field("id: "), field("event: ").unwrap_or_default(), data);
            }
        }
    }
    Some(())
}

/// Events, each with its cursor, its name and its data.
pub(crate) type Replayed = Vec<(Option<String>, String, Value)>;

/// Everything after a cursor, by long polls that do not wait. Err: it was refused.
pub(crate) async fn replay(
    http: &reqwest::Client,
    url: &str,
    channel: &str,
    after: &str,
) -> Result<Replayed, String> {
    let (mut told, mut after) = (Vec::new(), after.to_owned());
    let deadline = Instant::now() + ANSWERS_WITHIN;
    loop {
        let request = http.get(format!("{url}/v1/channels/{channel}/events?after={after}&wait=0s"));
        let response = request.send().await.expect("it answers");
        if response.status() == 204 {
            return Ok(told);
        }
        if response.status() == 503 && Instant::now() < deadline {
            // It has just been cut off, or the machine is too busy for its lease.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        }
        if !response.status().is_success() {
            return Err(format!("{}: {:?}", response.status(), response.text().await));
        }
        let page: Value = response.json().await.expect("JSON");
        let events = page["events"].as_array().expect("a list");
        if events.is_empty() {
            return Ok(told);
        }
        for event in events {
            let id = event["id"].as_str().map(str::to_owned);
            let name = event["event"].as_str().expect("a name").to_owned();
            told.push((id, name, event["data"].clone()));
        }
        after = page["cursor"].as_str().expect("a cursor").to_owned();
    }
}
