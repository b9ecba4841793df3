//! One generation's life as telemetry sees it: told of each call and of what was said, it keeps the clocks and counts.
//!
//! What it does for each arrival of tokens is to look at a clock and to make three relaxed additions; whatever takes a lock
//! is done when a call begins or ends.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Telemetry,
    metrics::{Histogram, Metrics, Present},
};
use crate::event::{Event, FailureCode, Kind, Usage};

/// What is known of a generation before anybody was called.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The name or pattern in the config that the call came by: unlike the name that was asked for, one of few.
    pub route: String,
}

/// Records one generation. Dropped before it was told of an end, it records that the gateway lost it.
#[derive(Debug)]
pub struct Recorder {
    telemetry: Telemetry,
    about: About,
    began: Instant,
    /// Whoever was called last.
    provider: String,
    calls: Option<Present>,
    pace: Pace,
    ended: bool,
    _running: Present,
}

/// How fast it is said. Made anew for each provider that is called.
#[derive(Debug)]
struct Pace {
    deltas: super::metrics::Counter,
    gap: Histogram,
    last: Option<Instant>,
    spoke: bool,
}

impl Pace {
    fn of(metrics: &Metrics, route: &str, provider: &str, spoke: bool) -> Self {
        Self {
            deltas: metrics.deltas.with([route, provider]),
            gap: metrics.inter_token_gap.with([route, provider]),
            last: None,
            spoke,
        }
    }
}

impl Recorder {
    /// A generation begins. `provider` stands for it until somebody was called.
    pub fn begin(telemetry: Telemetry, about: About, provider: &str, now: Instant) -> Self {
        let metrics = &telemetry.metrics;
        metrics.generations_started.with([&about.route]).inc();
        Self {
            began: now,
            provider: provider.to_owned(),
            calls: None,
            pace: Pace::of(metrics, &about.route, provider, false),
            ended: false,
            _running: Present::in_gauge(metrics.generations_running.only()),
            about,
            telemetry,
        }
    }

    /// A provider is called.
    pub fn called(&mut self, provider: &str) {
        let metrics = &self.telemetry.metrics;
        metrics.provider_calls.with([provider]).inc();
        self.calls = None;
        self.calls = Some(Present::in_gauge(metrics.provider_calls_in_flight.with([provider])));
        if self.provider != provider {
            let stage = if self.pace.spoke { "mid_stream" } else { "before_first_token" };
            metrics.fallbacks.with([provider, stage]).inc();
            self.pace = Pace::of(metrics, &self.about.route, provider, self.pace.spoke);
            provider.clone_into(&mut self.provider);
        }
        // What another call needs to begin to speak is no gap between two tokens.
        self.pace.last = None;
    }

    /// The call that ran came to nothing.
    pub fn set_back(&mut self, kind: &str) {
        self.telemetry.metrics.provider_errors.with([&self.provider, kind]).inc();
        self.calls = None;
    }

    /// These events are on the channel.
    pub fn said(&mut self, events: &[Event], now: Instant) {
        let deltas = events.iter().filter(|event| is_delta(&event.kind)).count() as u64;
        if deltas > 0 {
            self.pace.deltas.inc_by(deltas);
            match self.pace.last.replace(now) {
                Some(last) => self.pace.gap.record(now - last),
                None if !self.pace.spoke => self.first_token(now),
                None => {}
            }
        }
        match events.last().map(|event| &event.kind) {
            Some(Kind::Finished(finished)) => self.ended(finished.reason.as_str(), events, now),
            Some(Kind::Failed(failed)) => self.ended(failed.code.as_str(), events, now),
            _ => {}
        }
    }

    fn first_token(&mut self, now: Instant) {
        self.pace.spoke = true;
        let labels = [self.about.route.as_str(), &self.provider];
        self.telemetry.metrics.time_to_first_token.with(labels).record(now - self.began);
    }

    /// Its usage, if it is known, comes with its last events.
    fn ended(&mut self, end: &'static str, events: &[Event], now: Instant) {
        let usage = events.iter().rev().find_map(|event| match &event.kind {
            Kind::Usage(usage) => Some(usage),
            _ => None,
        });
        self.end(end, usage, now - self.began);
    }

    fn end(&mut self, end: &'static str, usage: Option<&Usage>, took: Duration) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.calls = None;
        let metrics = &self.telemetry.metrics;
        let labels = [self.about.route.as_str(), &self.provider];
        metrics.generations_ended.with([labels[0], labels[1], end]).inc();
        metrics.generation_duration.with(labels).record(took);
        let Some(usage) = usage else { return };
        for (kind, count) in [
            ("input", usage.input),
            ("output", usage.output),
            ("cached_input", usage.cached_input),
            ("cache_write", usage.cache_write),
            ("reasoning", usage.reasoning),
        ] {
            if count > 0 {
                metrics.tokens.with([labels[0], labels[1], kind]).inc_by(count);
            }
        }
        if let Some(cost) = usage.cost.filter(|cost| *cost > 0.0) {
            metrics.cost.with(labels).inc_by(cost);
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let took = Instant::now().saturating_duration_since(self.began);
        self.end(FailureCode::GatewayLost.as_str(), None, took);
    }
}

/// Whether it is a piece of what the model says.
fn is_delta(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Text(_)
            | Kind::Reasoning(_)
            | Kind::Refusal(_)
            | Kind::ToolCall(_)
            | Kind::ToolArguments(_)
    )
}
