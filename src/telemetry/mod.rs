//! What the gateway says of itself, to people and to machines.
//!
//! `log` writes structured lines, `metrics` are the numbers that Prometheus fetches, `otlp` sends traces and numbers to a
//! collector, `access_log` has a line for each generation; `recorder` makes all of them of one generation's life, `delivery`
//! of a session's. No prompt text and no key is ever a field, a label or an attribute.

pub mod access_log;
mod delivery;
mod log;
pub mod metrics;
pub mod otlp;
mod recorder;
mod trace_context;

pub use access_log::AccessLog;
pub use delivery::{Carried, Delivery, Subscribed};
pub use log::{LogFormat, start};
pub use metrics::Metrics;
pub use otlp::Otlp;
pub use recorder::{About, Called, Recorder};
pub use trace_context::TraceContext;

use std::sync::Arc;

/// Where a gateway's parts report to. Clones report to the same place.
#[derive(Clone, Debug, Default)]
pub struct Telemetry {
    /// Numbers.
    pub metrics: Metrics,
    /// A collector, if there is one.
    pub otlp: Option<Arc<Otlp>>,
    /// A line for each generation, if asked for.
    pub access_log: Option<AccessLog>,
}

impl Telemetry {
    /// Writes and sends what waits. Nothing is reported afterwards.
    pub async fn shut_down(&self) {
        if let Some(log) = &self.access_log {
            log.shut_down().await;
        }
        if let Some(otlp) = &self.otlp {
            otlp.shut_down().await;
        }
    }
}
