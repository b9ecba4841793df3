//! `tokenway top`: what a gateway does now, in the terminal: the operator's screen without a browser.
//!
//! It reads what the screen reads, `/metrics` and `/console/ops/state`, once a second. `figures` makes numbers of two
//! scrapes, `screen` draws; here they are fetched, and keys are read.

mod figures;
mod screen;

use std::{
    io::{IsTerminal, Write, stdout},
    time::Duration,
};

use clap::Args;
use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers},
};
use reqwest::StatusCode;
use tokio::{runtime::Runtime, time::Instant};

use super::Failure;
use figures::{History, Scrape};
use screen::{State, draw};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(1);

/// How long a gateway may take to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// The size of a picture that no terminal shows.
const PICTURE: (u16, u16) = (120, 36);

/// Watch a gateway in the terminal: tokens, latencies, providers, channels.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tokenway top
  tokenway top --url https://gateway.example --admin-key \"$ADMIN_KEY\"
  tokenway top --once                      one picture, as text

Keys: q quits.")]
pub(super) struct Top {
    /// The gateway's HTTP address.
    #[arg(long, env = "TOKENWAY_URL", default_value = "http://localhost:8080")]
    url: String,

    /// The admin key, where the gateway has keys (access.admin_key).
    #[arg(long, env = "TOKENWAY_ADMIN_KEY", hide_env_values = true)]
    admin_key: Option<String>,

    /// Look twice, a second apart, print what there is as text, and end.
    #[arg(long)]
    once: bool,
}

impl Top {
    pub(super) fn run(self) -> Result<(), Failure> {
        // Installed already, by a gateway in this process: then that one serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
        let client = reqwest::Client::builder().no_proxy().timeout(ANSWER_WAIT).build();
        let client = client.map_err(|error| format!("cannot start: {error}"))?;
        let source =
            Source { client, url: self.url.trim_end_matches('/').to_owned(), key: self.admin_key };
        match self.once || !stdout().is_terminal() {
            true => picture(&runtime, &source),
            false => watch(&runtime, &source),
        }
    }
}

/// Where the numbers come from.
struct Source {
    client: reqwest::Client,
    url: String,
    key: Option<String>,
}

impl Source {
    async fn get(&self, path: &str) -> Result<String, Failure> {
        let mut request = self.client.get(format!("{}{path}", self.url));
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let no_answer = |error: reqwest::Error| {
            let error = error.without_url();
            format!(
                "no gateway answers at {}: {error}; --url or TOKENWAY_URL says where it is",
                self.url
            )
        };
        let response = request.send().await.map_err(no_answer)?;
        match response.status() {
            StatusCode::OK => response.text().await.map_err(no_answer),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(format!(
                "{} wants the admin key of its config (access.admin_key): give it by --admin-key or TOKENWAY_ADMIN_KEY",
                self.url
            )),
            status => Err(format!("{}{path} answered {status}", self.url)),
        }
    }

    async fn look(&self) -> Result<(Scrape, State), Failure> {
        let text = self.get("/metrics").await?;
        let scrape = Scrape::new(Instant::now(), &text);
        let state = self.get("/console/ops/state").await?;
        let state = serde_json::from_str(&state);
        Ok((
            scrape,
            state.map_err(|error| format!("{} is not a gateway's state: {error}", self.url))?,
        ))
    }
}

/// One picture as text, for pipes and reports.
fn picture(runtime: &Runtime, source: &Source) -> Result<(), Failure> {
    let mut history = History::default();
    let (first, _) = runtime.block_on(source.look())?;
    history.add(first);
    let (second, state) = runtime.block_on(async {
        tokio::time::sleep(EVERY).await;
        source.look().await
    })?;
    history.add(second);
    let backend = TestBackend::new(PICTURE.0, PICTURE.1);
    let mut terminal = Terminal::new(backend).map_err(|error| error.to_string())?;
    let drawn = terminal.draw(|frame| draw(frame, &history, &state, &source.url));
    drawn.map_err(|error| error.to_string())?;
    let text = screen::text_of(terminal.backend().buffer());
    write!(stdout(), "{text}").map_err(|error| error.to_string())
}

/// Until somebody has seen enough.
fn watch(runtime: &Runtime, source: &Source) -> Result<(), Failure> {
    let (mut history, mut trouble) = (History::default(), None);
    let (scrape, mut state) = runtime.block_on(source.look())?;
    history.add(scrape);
    let mut terminal = ratatui::try_init().map_err(|error| format!("no terminal: {error}"))?;
    let seen = loop {
        let title = trouble.as_deref().unwrap_or(source.url.as_str());
        if let Err(error) = terminal.draw(|frame| draw(frame, &history, &state, title)) {
            break Err(error.to_string());
        }
        match quits() {
            Ok(true) => break Ok(()),
            Ok(false) => {}
            Err(error) => break Err(error.to_string()),
        }
        match runtime.block_on(source.look()) {
            Ok((scrape, now)) => {
                history.add(scrape);
                (state, trouble) = (now, None);
            }
            // A gateway that restarts is awaited.
            Err(error) => trouble = Some(error),
        }
    };
    ratatui::restore();
    seen
}

/// Waits until it is time to look again, or a key ends it.
fn quits() -> std::io::Result<bool> {
    let until = Instant::now() + EVERY;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || !event::poll(left)? {
            return Ok(false);
        }
        match event::read()? {
            Event::Key(key) if key.kind == KeyEventKind::Press => {
                let interrupt =
                    key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
                if interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) {
                    return Ok(true);
                }
            }
            Event::Resize(..) => return Ok(false),
            _ => {}
        }
    }
}
