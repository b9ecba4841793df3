//! An [`Event`] to its bytes and back.
//!
//! [`encode_event`] runs once in an event's life, when it gets its seq; from then on its bytes travel. Decoding is for
//! the fold, the JSON views and clients.

use prost::{Message, encoding::encode_varint};
use thiserror::Error;

use super::proto::{self, event::Kind as Wire};
use crate::event::{
    Custom, Event, Failed, FailureCode, FinishReason, Finished, Kind, Media, Native, Reasoning,
    Resumed, RunBy, Started, TimeoutPhase, ToolArguments, ToolCall, Usage,
};

/// Bytes that are not an event of this protocol version.
#[derive(Clone, Debug, Error)]
#[error("not an event: {0}")]
pub struct BadEvent(String);

/// Appends the event's message to `out`, without a length before it.
///
/// Text is nearly all there is, so it is written straight from the borrowed delta; the bytes are what prost writes.
pub fn encode_event(event: &Event, out: &mut Vec<u8>) {
    let Kind::Text(text) = &event.kind else {
        return to_wire(event).encode(out).expect("a Vec grows as needed");
    };
    if !text.is_empty() {
        out.push(TEXT_TAG);
        encode_varint(text.len() as u64, out);
        out.extend_from_slice(text.as_bytes());
    }
    for (tag, number) in [(GENERATION_TAG, event.generation), (CHOICE_TAG, event.choice)] {
        if number != 0 {
            out.push(tag);
            encode_varint(u64::from(number), out);
        }
    }
}

/// `text`: field 1, length-delimited.
const TEXT_TAG: u8 = 1 << 3 | 2;
/// `generation`: field 2, varint.
const GENERATION_TAG: u8 = 2 << 3;
/// `choice`: field 3, varint.
const CHOICE_TAG: u8 = 3 << 3;

/// Reads an event's message.
pub fn decode_event(bytes: &[u8]) -> Result<Event, BadEvent> {
    from_wire(proto::Event::decode(bytes)?)
}

impl From<prost::DecodeError> for BadEvent {
    fn from(error: prost::DecodeError) -> Self {
        Self(error.to_string())
    }
}

/// The message of an event.
fn to_wire(event: &Event) -> proto::Event {
    let (text, kind) = match &event.kind {
        Kind::Text(text) => (text.clone(), None),
        other => (String::new(), Some(kind_to_wire(other))),
    };
    proto::Event { text, generation: event.generation, choice: event.choice, kind }
}

/// The event of a message.
fn from_wire(message: proto::Event) -> Result<Event, BadEvent> {
    let kind = match message.kind {
        None => Kind::Text(message.text),
        Some(kind) => kind_from_wire(kind)?,
    };
    Ok(Event { generation: message.generation, choice: message.choice, kind })
}

fn kind_to_wire(kind: &Kind) -> Wire {
    match kind {
        Kind::Text(_) => unreachable!("text is a direct field of the message"),
        Kind::Started(started) => Wire::Started(started.into()),
        Kind::Reasoning(reasoning) => Wire::Reasoning(reasoning.into()),
        Kind::Refusal(text) => Wire::Refusal(text.clone()),
        Kind::ToolCall(call) => Wire::ToolCall(call.into()),
        Kind::ToolArguments(ToolArguments { index, arguments }) => {
            Wire::ToolArguments(proto::ToolArguments {
                index: *index,
                arguments: arguments.clone(),
            })
        }
        Kind::Citation(data) => Wire::Citation(proto::Citation { data: data.clone() }),
        Kind::Media(media) => Wire::Media(media.into()),
        Kind::Usage(usage) => Wire::Usage(usage.into()),
        Kind::Resumed(Resumed { from, to, reason, dialect }) => Wire::Resumed(proto::Resumed {
            from: from.clone(),
            to: to.clone(),
            reason: reason.clone(),
            dialect: dialect.clone(),
        }),
        Kind::ChoiceFinished(end) => Wire::ChoiceFinished(proto::ChoiceFinished {
            reason: finish_to_wire(end.reason) as i32,
            native_reason: end.native_reason.clone(),
        }),
        Kind::Finished(end) => Wire::Finished(end.into()),
        Kind::Failed(end) => Wire::Failed(end.into()),
        Kind::Custom(custom) => Wire::Custom(custom.into()),
        Kind::Native(Native { dialect, name, data }) => Wire::Native(proto::Native {
            dialect: dialect.clone(),
            name: name.clone(),
            data: data.clone(),
        }),
    }
}

fn kind_from_wire(kind: Wire) -> Result<Kind, BadEvent> {
    Ok(match kind {
        Wire::Started(started) => Kind::Started(started.into()),
        Wire::Reasoning(reasoning) => Kind::Reasoning(reasoning.into()),
        Wire::Refusal(text) => Kind::Refusal(text),
        Wire::ToolCall(call) => Kind::ToolCall(call.into()),
        Wire::ToolArguments(proto::ToolArguments { index, arguments }) => {
            Kind::ToolArguments(ToolArguments { index, arguments })
        }
        Wire::Citation(citation) => Kind::Citation(citation.data),
        Wire::Media(media) => Kind::Media(media.into()),
        Wire::Usage(usage) => Kind::Usage(usage.into()),
        Wire::Resumed(proto::Resumed { from, to, reason, dialect }) => {
            Kind::Resumed(Resumed { from, to, reason, dialect })
        }
        Wire::ChoiceFinished(proto::ChoiceFinished { reason, native_reason }) => {
            Kind::ChoiceFinished(Finished { reason: finish_from_wire(reason)?, native_reason })
        }
        Wire::Finished(end) => Kind::Finished(end.try_into()?),
        Wire::Failed(end) => Kind::Failed(end.try_into()?),
        Wire::Custom(custom) => Kind::Custom(custom.into()),
        Wire::Native(proto::Native { dialect, name, data }) => {
            Kind::Native(Native { dialect, name, data })
        }
    })
}

fn finish_to_wire(reason: FinishReason) -> proto::FinishReason {
    match reason {
        FinishReason::Stop => proto::FinishReason::Stop,
        FinishReason::Length => proto::FinishReason::Length,
        FinishReason::ToolCalls => proto::FinishReason::ToolCalls,
        FinishReason::ContentFilter => proto::FinishReason::ContentFilter,
        FinishReason::Refusal => proto::FinishReason::Refusal,
        FinishReason::Pause => proto::FinishReason::Pause,
    }
}

fn finish_from_wire(reason: i32) -> Result<FinishReason, BadEvent> {
    match proto::FinishReason::try_from(reason) {
        Ok(proto::FinishReason::Stop) => Ok(FinishReason::Stop),
        Ok(proto::FinishReason::Length) => Ok(FinishReason::Length),
        Ok(proto::FinishReason::ToolCalls) => Ok(FinishReason::ToolCalls),
        Ok(proto::FinishReason::ContentFilter) => Ok(FinishReason::ContentFilter),
        Ok(proto::FinishReason::Refusal) => Ok(FinishReason::Refusal),
        Ok(proto::FinishReason::Pause) => Ok(FinishReason::Pause),
        _ => Err(BadEvent(format!("unknown finish reason {reason}"))),
    }
}

fn code_to_wire(code: FailureCode) -> proto::FailureCode {
    match code {
        FailureCode::Cancelled => proto::FailureCode::Cancelled,
        FailureCode::UpstreamError => proto::FailureCode::UpstreamError,
        FailureCode::UpstreamCut => proto::FailureCode::UpstreamCut,
        FailureCode::Timeout => proto::FailureCode::Timeout,
        FailureCode::Limit => proto::FailureCode::Limit,
        FailureCode::GatewayLost => proto::FailureCode::GatewayLost,
    }
}

fn code_from_wire(code: i32) -> Result<FailureCode, BadEvent> {
    match proto::FailureCode::try_from(code) {
        Ok(proto::FailureCode::Cancelled) => Ok(FailureCode::Cancelled),
        Ok(proto::FailureCode::UpstreamError) => Ok(FailureCode::UpstreamError),
        Ok(proto::FailureCode::UpstreamCut) => Ok(FailureCode::UpstreamCut),
        Ok(proto::FailureCode::Timeout) => Ok(FailureCode::Timeout),
        Ok(proto::FailureCode::Limit) => Ok(FailureCode::Limit),
        Ok(proto::FailureCode::GatewayLost) => Ok(FailureCode::GatewayLost),
        _ => Err(BadEvent(format!("unknown failure code {code}"))),
    }
}

fn phase_to_wire(phase: Option<TimeoutPhase>) -> proto::TimeoutPhase {
    match phase {
        None => proto::TimeoutPhase::Unspecified,
        Some(TimeoutPhase::Connect) => proto::TimeoutPhase::Connect,
        Some(TimeoutPhase::FirstToken) => proto::TimeoutPhase::FirstToken,
        Some(TimeoutPhase::Idle) => proto::TimeoutPhase::Idle,
        Some(TimeoutPhase::Total) => proto::TimeoutPhase::Total,
        Some(TimeoutPhase::Silent) => proto::TimeoutPhase::Silent,
    }
}

fn phase_from_wire(phase: i32) -> Option<TimeoutPhase> {
    match proto::TimeoutPhase::try_from(phase) {
        Ok(proto::TimeoutPhase::Connect) => Some(TimeoutPhase::Connect),
        Ok(proto::TimeoutPhase::FirstToken) => Some(TimeoutPhase::FirstToken),
        Ok(proto::TimeoutPhase::Idle) => Some(TimeoutPhase::Idle),
        Ok(proto::TimeoutPhase::Total) => Some(TimeoutPhase::Total),
        Ok(proto::TimeoutPhase::Silent) => Some(TimeoutPhase::Silent),
        _ => None,
    }
}

impl From<&Started> for proto::Started {
    fn from(started: &Started) -> Self {
        let Started { id, model, provider, dialect, created_ms, traceparent } = started.clone();
        Self { id, model, provider, dialect, created_ms, traceparent }
    }
}

impl From<proto::Started> for Started {
    fn from(message: proto::Started) -> Self {
        let proto::Started { id, model, provider, dialect, created_ms, traceparent } = message;
        Self { id, model, provider, dialect, created_ms, traceparent }
    }
}

impl From<&Reasoning> for proto::Reasoning {
    fn from(reasoning: &Reasoning) -> Self {
        let Reasoning { text, signature, encrypted } = reasoning.clone();
        Self { text, signature, encrypted }
    }
}

impl From<proto::Reasoning> for Reasoning {
    fn from(message: proto::Reasoning) -> Self {
        let proto::Reasoning { text, signature, encrypted } = message;
        Self { text, signature, encrypted }
    }
}

impl From<&ToolCall> for proto::ToolCall {
    fn from(call: &ToolCall) -> Self {
        let run_by = match call.run_by {
            RunBy::Client => proto::RunBy::Client,
            RunBy::Server => proto::RunBy::Server,
        };
        let ToolCall { index, id, name, .. } = call.clone();
        Self { index, id, name, run_by: run_by as i32 }
    }
}

impl From<proto::ToolCall> for ToolCall {
    fn from(message: proto::ToolCall) -> Self {
        let run_by = match message.run_by() {
            proto::RunBy::Client => RunBy::Client,
            proto::RunBy::Server => RunBy::Server,
        };
        Self { index: message.index, id: message.id, name: message.name, run_by }
    }
}

impl From<&Media> for proto::Media {
    fn from(media: &Media) -> Self {
        let Media { mime, data, index, part, last } = media.clone();
        Self { mime, data, index, part, last }
    }
}

impl From<proto::Media> for Media {
    fn from(message: proto::Media) -> Self {
        let proto::Media { mime, data, index, part, last } = message;
        Self { mime, data, index, part, last }
    }
}

impl From<&Usage> for proto::Usage {
    fn from(usage: &Usage) -> Self {
        let Usage { input, output, cached_input, cache_write, reasoning, native, estimated, cost } =
            usage.clone();
        Self { input, output, cached_input, cache_write, reasoning, native, estimated, cost }
    }
}

impl From<proto::Usage> for Usage {
    fn from(message: proto::Usage) -> Self {
        let proto::Usage {
            input,
            output,
            cached_input,
            cache_write,
            reasoning,
            native,
            estimated,
            cost,
        } = message;
        Self { input, output, cached_input, cache_write, reasoning, native, estimated, cost }
    }
}

impl From<&Finished> for proto::Finished {
    fn from(end: &Finished) -> Self {
        Self { reason: finish_to_wire(end.reason) as i32, native_reason: end.native_reason.clone() }
    }
}

impl TryFrom<proto::Finished> for Finished {
    type Error = BadEvent;

    fn try_from(message: proto::Finished) -> Result<Self, BadEvent> {
        let reason = finish_from_wire(message.reason)?;
        Ok(Self { reason, native_reason: message.native_reason })
    }
}

impl From<&Failed> for proto::Failed {
    fn from(end: &Failed) -> Self {
        Self {
            code: code_to_wire(end.code) as i32,
            message: end.message.clone(),
            phase: phase_to_wire(end.phase) as i32,
            status: u32::from(end.status),
        }
    }
}

impl TryFrom<proto::Failed> for Failed {
    type Error = BadEvent;

    fn try_from(message: proto::Failed) -> Result<Self, BadEvent> {
        Ok(Self {
            code: code_from_wire(message.code)?,
            phase: phase_from_wire(message.phase),
            status: u16::try_from(message.status).unwrap_or(0),
            message: message.message,
        })
    }
}

impl From<&Custom> for proto::Custom {
    fn from(custom: &Custom) -> Self {
        Self { r#type: custom.kind.clone(), data: custom.data.clone() }
    }
}

impl From<proto::Custom> for Custom {
    fn from(message: proto::Custom) -> Self {
        Self { kind: message.r#type, data: message.data }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn samples() -> Vec<Event> {
        let end =
            Finished { reason: FinishReason::Length, native_reason: Some("max_tokens".into()) };
        let mut failed = Failed::new(FailureCode::Timeout, "no token");
        (failed.phase, failed.status) = (Some(TimeoutPhase::Idle), 504);
        let json = Bytes::from_static(b"{\"a\":1}");
        [
            Kind::Text("Hel".into()),
            Kind::Text(String::new()),
            Kind::Started(Started { id: "gen_1".into(), created_ms: 7, ..Started::default() }),
            Kind::Reasoning(Reasoning { signature: "c2ln".into(), ..Reasoning::default() }),
            Kind::Refusal("I can't".into()),
            Kind::ToolCall(ToolCall { index: 1, run_by: RunBy::Server, ..ToolCall::default() }),
            Kind::ToolArguments(ToolArguments { index: 1, arguments: "{".into() }),
            Kind::Citation(json.clone()),
            Kind::Media(Media { mime: "image/png".into(), last: true, ..Media::default() }),
            Kind::Usage(Usage {
                input: 3,
                cost: Some(0.5),
                native: json.clone(),
                ..Usage::default()
            }),
            Kind::Resumed(Resumed {
                from: "a".into(),
                to: "b".into(),
                reason: "cut".into(),
                dialect: "openai".into(),
            }),
            Kind::ChoiceFinished(end.clone()),
            Kind::Finished(end),
            Kind::Failed(failed),
            Kind::Custom(Custom { kind: "note".into(), data: json.clone() }),
            Kind::Native(Native { dialect: "openai".into(), name: "x".into(), data: json }),
        ]
        .into_iter()
        .map(Event::new)
        .collect()
    }

    #[test]
    fn every_kind_survives_the_wire() {
        for event in samples() {
            let mut bytes = Vec::new();
            encode_event(&event, &mut bytes);
            assert_eq!(decode_event(&bytes).expect("our own bytes"), event);
        }
    }

    #[test]
    fn text_written_by_hand_is_what_prost_writes() {
        for (generation, choice, text) in [(0, 0, "Hel"), (300, 0, "ö"), (0, 2, ""), (1, 1, "x")] {
            let event = Event { generation, choice, kind: Kind::Text(text.into()) };
            let mut by_hand = Vec::new();
            encode_event(&event, &mut by_hand);
            assert_eq!(by_hand, to_wire(&event).encode_to_vec());
        }
    }
}
