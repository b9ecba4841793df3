//! The spans of one generation: one for itself, within the caller's if it told one, and one for each call to a provider.

use std::{sync::Arc, time::Duration};

use opentelemetry::{
    Array, Context, KeyValue, StringValue, Value,
    trace::{Span as _, SpanKind, Status, TraceContextExt, Tracer},
};
use opentelemetry_sdk::trace::Span;

use super::{
    super::{About, Called, TraceContext},
    Conventions, Otlp, names,
};
use crate::event::Usage;

pub(in crate::telemetry) struct Spans {
    otlp: Arc<Otlp>,
    /// The parent of calls.
    within: Context,
    generation: Span,
    call: Option<Call>,
    calls: u32,
}

struct Call {
    span: Span,
    /// Of the metrics.
    attributes: Vec<KeyValue>,
}

/// How a generation or a call ended.
pub(in crate::telemetry) struct End<'a> {
    /// The finish reason, or why it failed.
    pub(in crate::telemetry) end: &'static str,
    pub(in crate::telemetry) failed: bool,
    pub(in crate::telemetry) usage: Option<&'a Usage>,
}

impl std::fmt::Debug for Spans {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spans").field("calls", &self.calls).finish_non_exhaustive()
    }
}

impl Spans {
    pub(in crate::telemetry) fn begin(otlp: Arc<Otlp>, about: &About) -> Self {
        let caller = about.caller.as_ref().map(TraceContext::to_span_context);
        let caller =
            caller.map_or_else(Context::new, |it| Context::new().with_remote_span_context(it));
        let mut attributes = vec![
            KeyValue::new(names::OPERATION, names::CHAT),
            KeyValue::new(names::REQUEST_MODEL, about.model.clone()),
            KeyValue::new(names::REQUEST_STREAM, about.streams),
            KeyValue::new(names::GENERATION, about.generation.clone()),
            KeyValue::new(names::CHANNEL, about.channel.clone()),
        ];
        if about.named {
            attributes.push(KeyValue::new(names::CONVERSATION, about.channel.clone()));
        }
        let name = format!("{} {}", names::CHAT, about.model);
        let builder = otlp.tracer.span_builder(name);
        let builder = builder.with_kind(SpanKind::Server).with_attributes(attributes);
        let generation = otlp.tracer.build_with_context(builder, &caller);
        let own = generation.span_context().clone();
        let within = Context::new().with_remote_span_context(own);
        Self { otlp, within, generation, call: None, calls: 0 }
    }

    /// Where the generation is in its trace.
    pub(in crate::telemetry) fn context(&self) -> TraceContext {
        TraceContext::from(self.generation.span_context())
    }

    /// A call begins; where it is in its trace.
    pub(in crate::telemetry) fn call(&mut self, route: &str, called: &Called<'_>) -> TraceContext {
        let (host, port) = called.server.unwrap_or(("", 0));
        let provider = names::provider(called.dialect, host, called.provider);
        let mut attributes = vec![
            KeyValue::new(names::OPERATION, names::CHAT),
            KeyValue::new(names::PROVIDER, provider),
        ];
        if !host.is_empty() {
            attributes.push(KeyValue::new(names::SERVER_ADDRESS, host.to_owned()));
            attributes.push(KeyValue::new(names::SERVER_PORT, i64::from(port)));
        }
        let mut of_span = attributes.clone();
        of_span.push(KeyValue::new(names::REQUEST_MODEL, called.model.to_owned()));
        of_span.push(KeyValue::new(names::CONFIGURED_PROVIDER, called.provider.to_owned()));
        // A metric's attributes have bounded values.
        attributes.push(KeyValue::new(names::REQUEST_MODEL, route.to_owned()));
        let builder = self.otlp.tracer.span_builder(format!("{} {}", names::CHAT, called.model));
        let builder = builder.with_kind(SpanKind::Client).with_attributes(of_span);
        let span = self.otlp.tracer.build_with_context(builder, &self.within);
        let context = TraceContext::from(span.span_context());
        self.calls += 1;
        self.call = Some(Call { span, attributes });
        context
    }

    /// The call that runs said its first, so long after it began.
    pub(in crate::telemetry) fn first_chunk(&mut self, after: Duration) {
        if let Some(Call { span, attributes }) = &mut self.call {
            span.set_attribute(KeyValue::new(names::TIME_TO_FIRST_CHUNK, after.as_secs_f64()));
            self.otlp.instruments.time_to_first_chunk.record(after.as_secs_f64(), attributes);
        }
    }

    /// And then more, so long after the one before.
    pub(in crate::telemetry) fn chunk(&self, gap: Duration) {
        if let Some(Call { attributes, .. }) = &self.call {
            self.otlp.instruments.time_per_output_chunk.record(gap.as_secs_f64(), attributes);
        }
    }

    /// The call that runs is over.
    pub(in crate::telemetry) fn end_call(&mut self, end: &End<'_>, took: Duration) {
        let Some(Call { mut span, mut attributes }) = self.call.take() else { return };
        finish(&mut span, end, self.otlp.conventions);
        if let Some(usage) = end.usage {
            self.otlp.instruments.used(usage, &attributes);
        }
        if end.failed {
            attributes.push(KeyValue::new(names::ERROR_TYPE, end.end));
        }
        self.otlp.instruments.duration.record(took.as_secs_f64(), &attributes);
    }

    /// The generation is over.
    pub(in crate::telemetry) fn end(mut self, end: &End<'_>) {
        let generation = &mut self.generation;
        finish(generation, end, self.otlp.conventions);
        generation.set_attribute(KeyValue::new(names::ATTEMPTS, i64::from(self.calls)));
        if let Some(cost) = end.usage.and_then(|usage| usage.cost) {
            generation.set_attribute(KeyValue::new(names::COST, cost));
        }
        generation.end();
    }
}

fn finish(span: &mut Span, end: &End<'_>, conventions: Conventions) {
    match end.failed {
        true => {
            span.set_attribute(KeyValue::new(names::ERROR_TYPE, end.end));
            // The words of an error may quote the prompt.
            span.set_status(Status::error(end.end));
        }
        false => {
            let reasons = Array::String(vec![StringValue::from(end.end)]);
            span.set_attribute(KeyValue::new(names::FINISH_REASONS, Value::Array(reasons)));
        }
    }
    let Some(usage) = end.usage else { return };
    let cache_write = match conventions {
        Conventions::Published => names::CACHE_CREATION_TOKENS,
        Conventions::Latest => names::CACHE_WRITE_TOKENS,
    };
    for (name, count, always) in [
        (names::INPUT_TOKENS, usage.input, true),
        (names::OUTPUT_TOKENS, usage.output, true),
        (names::CACHE_READ_TOKENS, usage.cached_input, false),
        (cache_write, usage.cache_write, false),
        (names::REASONING_TOKENS, usage.reasoning, false),
    ] {
        if always || count > 0 {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            span.set_attribute(KeyValue::new(name, count));
        }
    }
}
