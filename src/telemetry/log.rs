//! Logs: structured lines on standard error, quiet by default; those of one generation share the span `generation` with
//! its id.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

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
    let registry = tracing_subscriber::registry().with(filter);
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
