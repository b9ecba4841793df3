//! What the delivery side reports: sessions, subscriptions, frames, and how readers came back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

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
    /// Of this session alone.
    own: Own,
}

/// What one session carries.
#[derive(Debug, Default)]
struct Own {
    subscriptions: AtomicUsize,
    frames: AtomicU64,
    bytes: AtomicU64,
}

/// A subscription that is open.
#[derive(Debug)]
pub struct Subscribed {
    delivery: Arc<Delivery>,
    _present: Present,
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        self.delivery.own.subscriptions.fetch_sub(1, Relaxed);
    }
}

/// What one session has carried so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    /// `webtransport` or `websocket`.
    pub transport: &'static str,
    /// Subscriptions open now.
    pub subscriptions: usize,
    /// Frames written.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
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
            own: Own::default(),
        }
    }

    /// What this session has carried.
    pub fn carried(&self) -> Carried {
        let Own { subscriptions, frames, bytes } = &self.own;
        Carried {
            transport: self.transport,
            subscriptions: subscriptions.load(Relaxed),
            frames: frames.load(Relaxed),
            bytes: bytes.load(Relaxed),
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
    pub fn subscribed(self: &Arc<Self>) -> Subscribed {
        self.own.subscriptions.fetch_add(1, Relaxed);
        let present = Present::in_gauge(self.subscriptions.clone());
        Subscribed { delivery: Arc::clone(self), _present: present }
    }

    /// Somebody came back with a cursor: `continued`, `snapshot`, `rewound` or `refused`.
    pub fn resumed(&self, outcome: &str) {
        self.metrics.resumes.with([self.transport, outcome]).inc();
    }

    /// Somebody was refused.
    pub fn refused(&self, reason: &str) {
        self.metrics.refusals.with([reason]).inc();
    }

    /// A snapshot is given: `asked`, `trimmed` or `rewind`.
    pub fn snapshot(&self, cause: &str) {
        self.metrics.snapshots.with([self.transport, cause]).inc();
    }

    /// Frames were written, with so many bytes.
    pub fn wrote(&self, frames: usize, bytes: usize) {
        self.frames.inc_by(frames as u64);
        self.bytes.inc_by(bytes as u64);
        self.own.frames.fetch_add(frames as u64, Relaxed);
        self.own.bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// A frame is written so long after its first event was said.
    pub fn lags(&self, lag_ms: u64) {
        self.lag.record(Duration::from_millis(lag_ms));
    }
}
