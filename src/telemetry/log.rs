//! Logs: structured lines on standard error, quiet by default; those of one generation share the span `generation` with
//! its id. No line holds a key, a token or a prompt: what a library would say of them is left out, whatever the filter.

use std::io::{IsTerminal, stderr};

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, filter::filter_fn, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

/// Says at `debug` with which headers a session comes: its path, and with it the token that may stand in the query.
const TALKATIVE: &str = "wtransport";

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Begins to log. `filter` is in `tracing`'s syntax, e.g. `info` or `tokenway=debug`.
pub fn start(filter: &str, format: LogFormat) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| format!("bad log filter: {error}"))?;
    let discreet = filter_fn(|said| !tells_headers(said));
    let registry = tracing_subscriber::registry().with(filter).with(discreet);
    let started = match format {
        LogFormat::Text => {
            let mut layer = fmt::layer().with_writer(stderr).with_target(false);
            // A file or a journal is read as text. On a terminal NO_COLOR decides.
            if !stderr().is_terminal() {
                layer.set_ansi(false);
            }
            registry.with(layer).try_init()
        }
        LogFormat::Json => registry.with(fmt::layer().json().with_writer(stderr)).try_init(),
    };
    started.map_err(|error| format!("logging was started already: {error}"))
}

fn tells_headers(said: &Metadata<'_>) -> bool {
    said.target().starts_with(TALKATIVE) && *said.level() > Level::INFO
}
