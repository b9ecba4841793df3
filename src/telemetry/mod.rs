//! What the gateway says of itself, to people and to machines.
//!
//! `log` writes structured lines, `metrics` are the numbers that Prometheus fetches, and `recorder` makes both of one
//! generation's life, `delivery` of a session's. No prompt text and no key is ever a field, a label or an attribute.

mod delivery;
mod log;
pub mod metrics;
mod recorder;

pub use delivery::Delivery;
pub use log::{LogFormat, start};
pub use metrics::Metrics;
pub use recorder::{About, Recorder};

/// Where a gateway's parts report to. Clones report to the same place.
#[derive(Clone, Debug, Default)]
pub struct Telemetry {
    /// Numbers.
    pub metrics: Metrics,
}
