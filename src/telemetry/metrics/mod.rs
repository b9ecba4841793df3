//! The numbers that Prometheus fetches: which there are, and their text.
//!
//! Names, labels and help stand in one list, which is the struct, the page `docs/metrics.md` and what `/metrics` says.
//! Labels have bounded values: names from the config, carriers, and words of the code, never a channel, a caller or a model
//! name that an app made up. Nothing is global, so that each gateway of a process has its own.

mod catalogue;
mod histogram;
mod labelled;
mod present;
mod process;

pub use catalogue::{CATALOGUE, Counter, Gauge, Instruments, Sum};
pub use histogram::{Counts, Histogram};
pub use labelled::{Described, Labelled};
pub use present::Present;

use std::{ops::Deref, sync::Arc};

use prometheus_client::{encoding::text, registry::Registry};

/// What [`Metrics::text`] is: OpenMetrics 1.0, which Prometheus and everything that reads its format takes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of one gateway. Clones are the same metrics.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<All>);

#[derive(Debug)]
struct All {
    registry: Registry,
    instruments: Instruments,
}

impl Metrics {
    /// Nothing has happened yet.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let instruments = Instruments::declare(&mut registry);
        instruments.build.with([env!("CARGO_PKG_VERSION")]).set(1);
        Self(Arc::new(All { registry, instruments }))
    }

    /// All of them, as [`CONTENT_TYPE`] says. What is only looked up, the caller has set before.
    pub fn text(&self) -> String {
        process::look(&self.0.instruments);
        let mut out = String::new();
        text::encode(&mut out, &self.0.registry).expect("a string takes everything");
        out
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Metrics {
    type Target = Instruments;

    fn deref(&self) -> &Instruments {
        &self.0.instruments
    }
}
