//! One generation's life as telemetry sees it: told of each call and of what was said, it keeps the clocks and counts.
//!
//! What it does for each arrival of tokens is to look at a clock and to make three relaxed additions; whatever takes a lock
//! is done when a call begins or ends. With OTLP there is the library's histogram of gaps as well.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    Telemetry, TraceContext,
    access_log::{Entry, Recording},
    metrics::{Counter, Histogram, Metrics, Present},
    otlp::{End, Spans},
};
use crate::event::{Event, FailureCode, Kind};

/// What is known of a generation before anybody was called.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Its id.
    pub generation: String,
    /// Its channel's id.
    pub channel: String,
    /// An app chose the channel's id.
    pub named: bool,
    /// Whose channel it is: the name of a key.
    pub owner: String,
    /// The public model name that was asked for.
    pub model: String,
    /// The name or pattern in the config that the call came by: unlike `model`, one of few.
    pub route: String,
    /// What the app speaks.
    pub app: &'static str,
    /// The app wants a stream.
    pub streams: bool,
    /// Where the caller is in a trace, if it says so.
    pub caller: Option<TraceContext>,
    /// The call as it goes to the first provider, which is looked at only where prompts are recorded.
    pub request: Bytes,
}

/// A call to a provider.
#[derive(Clone, Copy, Debug)]
pub struct Called<'a> {
    /// Its name in the config.
    pub provider: &'a str,
    /// What it speaks.
    pub dialect: &'static str,
    /// The model's name there.
    pub model: &'a str,
    /// Where it is, unless it is in this process.
    pub server: Option<(&'a str, u16)>,
}

/// Records one generation. Dropped before it was told of an end, it records that the gateway lost it.
#[derive(Debug)]
pub struct Recorder {
    telemetry: Telemetry,
    about: About,
    began: Instant,
    /// Whoever was called last, and the model there.
    provider: String,
    upstream_model: String,
    calls: u32,
    called: Instant,
    call: Option<Present>,
    pace: Pace,
    spans: Option<Spans>,
    recording: Option<Recording>,
    first_token: Option<Duration>,
    running: Option<Present>,
}

/// How fast it is said. Made anew for each provider that is called.
#[derive(Debug)]
struct Pace {
    deltas: Counter,
    gap: Histogram,
    last: Option<Instant>,
    spoke: bool,
}

impl Pace {
    fn of(metrics: &Metrics, route: &str, provider: &str) -> Self {
        Self {
            deltas: metrics.deltas.with([route, provider]),
            gap: metrics.inter_token_gap.with([route, provider]),
            last: None,
            spoke: false,
        }
    }
}

impl Recorder {
    /// Of a generation that is about to begin. `provider` stands for it until somebody was called.
    pub fn new(telemetry: Telemetry, mut about: About, provider: &str, now: Instant) -> Self {
        let request = std::mem::take(&mut about.request);
        let spans = telemetry.otlp.clone().map(|otlp| Spans::begin(otlp, &about));
        let recording = telemetry.access_log.as_ref().and_then(|log| log.recording(request));
        Self {
            began: now,
            provider: provider.to_owned(),
            upstream_model: String::new(),
            calls: 0,
            called: now,
            call: None,
            pace: Pace::of(&telemetry.metrics, &about.route, provider),
            spans,
            recording,
            first_token: None,
            running: None,
            about,
            telemetry,
        }
    }

    /// It has begun. Before that, dropping the recorder records nothing.
    pub fn begun(&mut self) {
        let metrics = &self.telemetry.metrics;
        metrics.generations_started.with([&self.about.route]).inc();
        self.running = Some(Present::in_gauge(metrics.generations_running.only()));
    }

    /// Where the generation is in its trace: its own span, else whatever the caller told.
    pub fn trace(&self) -> Option<TraceContext> {
        self.spans.as_ref().map(Spans::context).or_else(|| self.about.caller.clone())
    }

    /// A provider is called. Gives what it is to be told of the trace; `None`: whatever the caller told.
    pub fn called(&mut self, called: &Called<'_>, now: Instant) -> Option<TraceContext> {
        let metrics = &self.telemetry.metrics;
        let Called { provider, model, .. } = *called;
        metrics.provider_calls.with([provider]).inc();
        self.call = None;
        self.call = Some(Present::in_gauge(metrics.provider_calls_in_flight.with([provider])));
        if self.provider != provider {
            let spoke = self.first_token.is_some();
            let stage = if spoke { "mid_stream" } else { "before_first_token" };
            metrics.fallbacks.with([provider, stage]).inc();
            self.pace = Pace::of(metrics, &self.about.route, provider);
            provider.clone_into(&mut self.provider);
        }
        model.clone_into(&mut self.upstream_model);
        self.calls += 1;
        self.called = now;
        // What another call needs to begin to speak is no gap between two tokens.
        (self.pace.last, self.pace.spoke) = (None, false);
        self.spans.as_mut().map(|spans| spans.call(&self.about.route, called))
    }

    /// The call that ran came to nothing.
    pub fn set_back(&mut self, kind: &'static str, now: Instant) {
        self.telemetry.metrics.provider_errors.with([&self.provider, kind]).inc();
        self.call = None;
        if let Some(spans) = &mut self.spans {
            spans.end_call(&End { end: kind, failed: true, usage: None }, now - self.called);
        }
    }

    /// These events are on the channel.
    pub fn said(&mut self, events: &[Event], now: Instant) {
        let deltas = events.iter().filter(|event| is_delta(&event.kind)).count() as u64;
        if deltas > 0 {
            self.pace.deltas.inc_by(deltas);
            if let Some(last) = self.pace.last.replace(now) {
                self.pace.gap.record(now - last);
                if let Some(spans) = &self.spans {
                    spans.chunk(now - last);
                }
            } else if !std::mem::replace(&mut self.pace.spoke, true) {
                self.spoke(now);
            }
            if let Some(recording) = &mut self.recording {
                recording.said(events);
            }
        }
        match events.last().map(|event| &event.kind) {
            Some(Kind::Finished(finished)) => {
                self.ended(finished.reason.as_str(), false, events, now);
            }
            Some(Kind::Failed(failed)) => self.ended(failed.code.as_str(), true, events, now),
            _ => {}
        }
    }

    /// The call that runs said its first.
    fn spoke(&mut self, now: Instant) {
        if let Some(spans) = &mut self.spans {
            spans.first_chunk(now - self.called);
        }
        if self.first_token.is_none() {
            let after = now - self.began;
            self.first_token = Some(after);
            let labels = [self.about.route.as_str(), &self.provider];
            self.telemetry.metrics.time_to_first_token.with(labels).record(after);
        }
    }

    /// Its usage, if it is known, comes with its last events.
    fn ended(&mut self, end: &'static str, failed: bool, events: &[Event], now: Instant) {
        let usage = events.iter().rev().find_map(|event| match &event.kind {
            Kind::Usage(usage) => Some(usage),
            _ => None,
        });
        self.end(&End { end, failed, usage }, now);
    }

    fn end(&mut self, end: &End<'_>, now: Instant) {
        if self.running.take().is_none() {
            return;
        }
        self.call = None;
        let trace = self.trace();
        let took = now.saturating_duration_since(self.began);
        self.count(end, took);
        if let Some(mut spans) = self.spans.take() {
            // Of several calls nobody's usage is known apart.
            let usage = end.usage.filter(|_| self.calls == 1);
            let of_call = End { usage, ..*end };
            spans.end_call(&of_call, now.saturating_duration_since(self.called));
            spans.end(end);
        }
        if let Some(log) = &self.telemetry.access_log {
            log.write(&Entry {
                about: &self.about,
                provider: &self.provider,
                upstream_model: &self.upstream_model,
                attempts: self.calls,
                end: end.end,
                took,
                first_token: self.first_token,
                usage: end.usage,
                trace: trace.as_ref(),
                recording: self.recording.take(),
            });
        }
    }

    fn count(&self, end: &End<'_>, took: Duration) {
        let metrics = &self.telemetry.metrics;
        let labels = [self.about.route.as_str(), &self.provider];
        metrics.generations_ended.with([labels[0], labels[1], end.end]).inc();
        metrics.generation_duration.with(labels).record(took);
        let Some(usage) = end.usage else { return };
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
        let end = FailureCode::GatewayLost.as_str();
        self.end(&End { end, failed: true, usage: None }, Instant::now());
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
