//! Counts somebody as present for as long as it lives.

use super::catalogue::Gauge;

/// One of a gauge, until it is dropped.
#[derive(Debug)]
pub struct Present(Gauge);

impl Present {
    /// Adds one.
    pub fn in_gauge(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.dec();
    }
}
