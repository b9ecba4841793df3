//! Where something is in a trace that goes through several systems: W3C Trace Context, <https://www.w3.org/TR/trace-context/>.

use std::str::FromStr;

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use reqwest::header::{HeaderMap, HeaderValue};

/// The header that names a trace and a place in it.
const TRACEPARENT: &str = "traceparent";
/// The header in which systems keep what is theirs.
const TRACESTATE: &str = "tracestate";

/// A place in a trace. Always valid.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceContext(SpanContext);

impl TraceContext {
    /// What a caller told; `None` where it told none, or not as the standard has it.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let state = text(TRACESTATE).and_then(|state| TraceState::from_str(state).ok());
        Self::parse(text(TRACEPARENT)?, state.unwrap_or_default())
    }

    fn parse(traceparent: &str, state: TraceState) -> Option<Self> {
        let lower = |part: &str| part.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
        let mut parts = traceparent.trim().split('-');
        let (version, trace, span, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let whole = [(version, 2), (trace, 32), (span, 16), (flags, 2)];
        let formed = whole.iter().all(|(part, length)| part.len() == *length && lower(part));
        // Later versions may say more; this one does not.
        let ends = version != "00" || parts.next().is_none();
        if !formed || !ends || version == "ff" {
            return None;
        }
        let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
        let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
        let context = SpanContext::new(trace, span, flags, true, state);
        context.is_valid().then_some(Self(context))
    }

    pub(super) fn to_span_context(&self) -> SpanContext {
        self.0.clone()
    }

    /// Its trace's id.
    pub fn trace_id(&self) -> String {
        self.0.trace_id().to_string()
    }

    /// As a header has it.
    pub fn traceparent(&self) -> String {
        let (trace, span) = (self.0.trace_id(), self.0.span_id());
        format!("00-{trace}-{span}-{:02x}", self.0.trace_flags().to_u8())
    }

    /// Tells whoever is called.
    pub fn tell(&self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(&self.traceparent()) {
            headers.insert(TRACEPARENT, value);
        }
        match HeaderValue::from_str(&self.0.trace_state().header()) {
            Ok(value) if !value.is_empty() => drop(headers.insert(TRACESTATE, value)),
            _ => drop(headers.remove(TRACESTATE)),
        }
    }
}

impl From<&SpanContext> for TraceContext {
    fn from(context: &SpanContext) -> Self {
        Self(context.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn parse(text: &str) -> Option<TraceContext> {
        TraceContext::parse(text, TraceState::default())
    }

    #[test]
    fn what_is_told_is_what_was_read() {
        let context = parse(PARENT).expect("the standard's own example");
        assert_eq!(context.traceparent(), PARENT);
        assert_eq!(context.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        let mut headers = HeaderMap::new();
        headers.insert(TRACESTATE, HeaderValue::from_static("old=1"));
        context.tell(&mut headers);
        assert_eq!(headers[TRACEPARENT], PARENT);
        assert!(!headers.contains_key(TRACESTATE), "another trace's");
    }

    #[test]
    fn what_is_not_of_the_standard_is_none() {
        let later = PARENT.replacen("00-", "01-", 1) + "-more";
        assert!(parse(&later).is_some(), "a later version may say more");
        for wrong in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
