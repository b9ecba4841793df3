//! What the delivery side reports: sessions, subscriptions, frames, and how readers came back.

use std::time::Duration;

use super::metrics::{Counter, Gauge, Histogram, Metrics, Present};

/// One carrier's metrics, found once for each session.
#[derive(Debug)]
pub struct Delivery {
    metrics: Metrics,
    transport: &'static str,
    subscriptions: Gauge,
    frames: Counter,
    bytes: Counter,
    lag: Histogram,
}

impl Delivery {
    /// Of sessions over `webtransport`, `websocket` or `sse`.
    pub fn over(metrics: &Metrics, transport: &'static str) -> Self {
        Self {
            transport,
            subscriptions: metrics.subscriptions.with([transport]),
            frames: metrics.frames.with([transport]),
            bytes: metrics.frame.with([transport]),
            lag: metrics.frame_lag.with([transport]),
            metrics: metrics.clone(),
        }
    }

    /// A session is open until what is returned is dropped.
    pub fn opened(&self) -> Present {
        self.metrics.sessions_opened.with([self.transport]).inc();
        Present::in_gauge(self.metrics.sessions.with([self.transport]))
    }

    /// A session ended: it `left`, or was closed with a code.
    pub fn ended(&self, end: &str) {
        self.metrics.sessions_ended.with([self.transport, end]).inc();
    }

    /// A subscription is open until what is returned is dropped.
    pub fn subscribed(&self) -> Present {
        Present::in_gauge(self.subscriptions.clone())
    }

    /// Somebody came back with a cursor: `continued`, `snapshot`, `rewound` or `refused`.
    pub fn resumed(&self, outcome: &str) {
        self.metrics.resumes.with([self.transport, outcome]).inc();
    }

    /// A snapshot is given: `asked`, `trimmed` or `rewind`.
    pub fn snapshot(&self, cause: &str) {
        self.metrics.snapshots.with([self.transport, cause]).inc();
    }

    /// Frames were written, with so many bytes.
    pub fn wrote(&self, frames: usize, bytes: usize) {
        self.frames.inc_by(frames as u64);
        self.bytes.inc_by(bytes as u64);
    }

    /// A frame is written so long after its first event was said.
    pub fn lags(&self, lag_ms: u64) {
        self.lag.record(Duration::from_millis(lag_ms));
    }
}
