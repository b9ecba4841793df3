//! `tokenway tail`: follow or replay a channel in the terminal, over WebTransport.
//!
//! What is said goes to standard output as it is said; who says it, and how it ends, to standard error. With `--json`
//! standard output has one line for each event instead, as the SSE view has it.

use std::{
    io::{ErrorKind, IsTerminal, Write, stdout},
    time::Duration,
};

use clap::Args;
use tokio::time::{Instant, sleep_until};

use super::{Failure, printable::printable, say};
use crate::{
    event::{Event, Kind},
    native::{Client, Item, Target},
    sequence::From,
    wire::{json::event_json, proto},
};

/// Follow or replay a channel in the terminal.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tokenway tail chat-42
  tokenway tail chat-42 --after 17
  tokenway tail chat-42 --speed 1 --url http://localhost:8080
  tokenway tail chat-42 --json | jq .text")]
pub(super) struct Tail {
    /// The channel's id.
    channel: String,

    /// Begin after this cursor (EPOCH.SEQ) or seq; without it, at the beginning.
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,

    /// Replay at this multiple of the pace at which it was said: 1 is as it was, 2 twice as fast.
    #[arg(long, value_name = "FACTOR")]
    speed: Option<f64>,

    /// One JSON object a line, for programs.
    #[arg(long)]
    json: bool,

    /// The gateway's HTTP address.
    #[arg(long, env = "TOKENWAY_URL", default_value = "http://localhost:8080")]
    url: String,

    /// A channel token, where the gateway wants one.
    #[arg(long, env = "TOKENWAY_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

impl Tail {
    pub(super) fn run(self) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
        runtime.block_on(self.follow())
    }

    async fn follow(self) -> Result<(), Failure> {
        let from = match &self.after {
            Some(after) => after.parse().map_err(|error| format!("--after: {error}"))?,
            None => From::Beginning,
        };
        if self.speed.is_some_and(|speed| !(speed > 0.0 && speed.is_finite())) {
            return Err("--speed is a number above 0, e.g. 1 or 2.5".to_owned());
        }
        let target = Target::discover(&self.url, self.token.clone())
            .await
            .map_err(|error| format!("{error}; --url or TOKENWAY_URL says where the gateway is"))?;
        let mut client = Client::connect(target).await.map_err(|error| error.to_string())?;
        client.subscribe(&self.channel, from, self.speed.is_some());
        let on_a_terminal = stdout().is_terminal();
        let (json, speed) = (self.json, self.speed);
        let mut screen = Screen { json, speed, on_a_terminal, ..Screen::default() };
        loop {
            let (_, item) = client.next().await.map_err(|error| error.to_string())?;
            match screen.show(item).await {
                Ok(false) => {}
                Ok(true) => return Ok(()),
                // Whoever read our output has had enough: `tail … | head`.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

/// Shows what is said.
#[derive(Default)]
struct Screen {
    json: bool,
    speed: Option<f64>,
    on_a_terminal: bool,
    /// When the first event is shown, and when it was said.
    origin: Option<(Instant, u64)>,
    /// Ids by channel-local index, as `started` events tell them.
    generations: Vec<String>,
    mid_line: bool,
}

impl Screen {
    /// Shows an item; true after the last one.
    async fn show(&mut self, item: Item) -> std::io::Result<bool> {
        match item {
            Item::Events { first_seq, events, times_ms } => {
                for (place, event) in events.iter().enumerate() {
                    if let Some(said_ms) = times_ms.get(place) {
                        self.keep_pace(*said_ms).await;
                    }
                    self.event(first_seq + place as u64, event)?;
                }
                stdout().flush()?;
            }
            Item::Snapshot(snapshot) => self.snapshot(&snapshot)?,
            Item::Rewind { valid_through, epoch } => {
                self.note(&format!("rewound to seq {valid_through}; the epoch is now {epoch}"));
            }
            Item::End { last_seq, .. } => {
                self.note(&format!("end of the channel, seq {last_seq}"));
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Waits until it is time to show what was said at `said_ms`.
    async fn keep_pace(&mut self, said_ms: u64) {
        let Some(speed) = self.speed else { return };
        let (begun, first_ms) = *self.origin.get_or_insert((Instant::now(), said_ms));
        let since = said_ms.saturating_sub(first_ms) as f64 / 1_000.0;
        sleep_until(begun + Duration::from_secs_f64(since / speed)).await;
    }

    fn event(&mut self, seq: u64, event: &Event) -> std::io::Result<()> {
        let index = event.generation as usize;
        if let Kind::Started(started) = &event.kind {
            if self.generations.len() <= index {
                self.generations.resize(index + 1, String::new());
            }
            self.generations[index].clone_from(&started.id);
        }
        if self.json {
            let generation = self.generations.get(index).map_or("", String::as_str);
            let (name, data) = event_json(seq, generation, event);
            // The object begins with its seq; its name goes before it.
            return writeln!(stdout(), "{{\"event\":\"{name}\",{}", &data[1..]);
        }
        match &event.kind {
            Kind::Text(text) | Kind::Refusal(text) => self.text(text)?,
            Kind::Reasoning(reasoning) => self.text(&reasoning.text)?,
            Kind::Started(started) => {
                self.note(&format!("{} · {} · {}", started.id, started.model, started.provider));
            }
            Kind::ToolCall(call) => self.note(&format!("calls {}", call.name)),
            Kind::ToolArguments(fragment) => self.text(&fragment.arguments)?,
            Kind::Usage(usage) => {
                self.note(&format!("{} tokens in, {} out", usage.input, usage.output));
            }
            Kind::Resumed(resumed) => self.note(&format!("goes on at {}", resumed.to)),
            Kind::Finished(end) => self.note(&format!("finished: {}", end.reason.as_str())),
            Kind::Failed(end) => {
                self.note(&format!("failed: {}: {}", end.code.as_str(), end.message));
            }
            Kind::Custom(custom) => {
                let data = String::from_utf8_lossy(&custom.data);
                self.note(&format!("{}: {data}", custom.kind));
            }
            Kind::Citation(_) | Kind::Media(_) | Kind::ChoiceFinished(_) | Kind::Native(_) => {}
        }
        Ok(())
    }

    /// What came before is shown as it stands.
    fn snapshot(&mut self, snapshot: &proto::Snapshot) -> std::io::Result<()> {
        self.note(&format!("everything up to seq {}, as it stands", snapshot.through));
        let started = snapshot.generations.iter().map(|generation| &generation.started);
        self.generations = started
            .map(|started| started.as_ref().map_or_else(String::new, |s| s.id.clone()))
            .collect();
        for choice in snapshot.generations.iter().flat_map(|generation| &generation.choices) {
            self.text(&choice.text)?;
        }
        stdout().flush()
    }

    fn text(&mut self, text: &str) -> std::io::Result<()> {
        if let Some(last) = text.chars().last() {
            self.mid_line = last != '\n';
        }
        match self.on_a_terminal {
            true => write!(stdout(), "{}", printable(text)),
            false => write!(stdout(), "{text}"),
        }
    }

    /// A line about what is said, beside it.
    fn note(&mut self, line: &str) {
        if self.json {
            return;
        }
        if std::mem::take(&mut self.mid_line) {
            // Standard output and standard error usually share the screen.
            let _ = writeln!(stdout());
        }
        say(&format!("── {}", printable(line)));
    }
}
