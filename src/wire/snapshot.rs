//! A folded channel to its message and back.

use prost::Message;

use super::{
    BadEvent,
    proto::{self, generation_state},
};
use crate::{
    event::{Finished, Media, Reasoning, Started, ToolCall, Usage},
    snapshot::{Choice, End, Generation, State, Tool},
};

/// The message of a snapshot of everything up to `through`.
pub fn snapshot_to_wire(
    state: &State,
    epoch: String,
    through: u64,
    cause: proto::snapshot::Cause,
) -> proto::Snapshot {
    let generations = (0..).zip(&state.generations).map(generation).collect();
    let customs = state.customs.iter();
    let customs = customs
        .map(|(seq, custom)| proto::CustomState { seq: *seq, custom: Some(custom.into()) })
        .collect();
    proto::Snapshot { epoch, through, generations, customs, cause: cause as i32 }
}

fn generation((index, generation): (u32, &Generation)) -> proto::GenerationState {
    let (state, finished, failed) = match &generation.end {
        None => (generation_state::State::Running, None, None),
        Some(End::Finished(end)) => (generation_state::State::Finished, Some(end.into()), None),
        Some(End::Failed(end)) => (generation_state::State::Failed, None, Some(end.into())),
    };
    let citations = generation.citations.iter();
    proto::GenerationState {
        index,
        started: Some((&generation.started).into()),
        state: state as i32,
        choices: generation.choices.iter().map(choice).collect(),
        citations: citations.map(|data| proto::Citation { data: data.clone() }).collect(),
        media: generation.media.iter().map(proto::Media::from).collect(),
        usage: generation.usage.as_ref().map(proto::Usage::from),
        finished,
        failed,
        evicted: generation.evicted,
    }
}

fn choice(choice: &Choice) -> proto::ChoiceState {
    let finished = choice.finished.as_ref().map(|end| {
        let proto::Finished { reason, native_reason } = end.into();
        proto::ChoiceFinished { reason, native_reason }
    });
    proto::ChoiceState {
        choice: choice.number,
        text: choice.text.clone(),
        reasoning: choice.reasoning.clone(),
        refusal: choice.refusal.clone(),
        tool_calls: choice.tool_calls.iter().map(tool).collect(),
        finished,
        sealed: choice.sealed.iter().map(proto::Reasoning::from).collect(),
    }
}

fn tool(tool: &Tool) -> proto::ToolCallState {
    proto::ToolCallState { call: Some((&tool.call).into()), arguments: tool.arguments.clone() }
}

/// Appends a folded channel's bytes, as a store keeps them.
pub fn encode_state(state: &State, out: &mut Vec<u8>) {
    let message = snapshot_to_wire(state, String::new(), 0, proto::snapshot::Cause::Asked);
    message.encode(out).expect("a Vec grows as needed");
}

/// A folded channel of these bytes. What has no place in a snapshot (the splices) is empty.
pub fn decode_state(bytes: &[u8]) -> Result<State, BadEvent> {
    let message = proto::Snapshot::decode(bytes)?;
    Ok(snapshot_from_wire(message)?.counted())
}

/// The folded channel of a message. What has no place in a snapshot (the splices) is empty.
pub fn snapshot_from_wire(message: proto::Snapshot) -> Result<State, BadEvent> {
    let mut state = State::default();
    let generations = message.generations.into_iter().map(generation_from_wire);
    state.generations = generations.collect::<Result<_, _>>()?;
    let customs = message.customs.into_iter();
    state.customs = customs.map(|one| (one.seq, one.custom.unwrap_or_default().into())).collect();
    Ok(state)
}

fn generation_from_wire(message: proto::GenerationState) -> Result<Generation, BadEvent> {
    let end = match (message.finished, message.failed) {
        (Some(finished), _) => Some(End::Finished(finished.try_into()?)),
        (None, Some(failed)) => Some(End::Failed(failed.try_into()?)),
        (None, None) => None,
    };
    let choices = message.choices.into_iter().map(choice_from_wire);
    Ok(Generation {
        started: message.started.map(Started::from).unwrap_or_default(),
        choices: choices.collect::<Result<_, _>>()?,
        citations: message.citations.into_iter().map(|citation| citation.data).collect(),
        media: message.media.into_iter().map(Media::from).collect(),
        usage: message.usage.map(Usage::from),
        resumed: Vec::new(),
        end,
        evicted: message.evicted,
    })
}

fn choice_from_wire(message: proto::ChoiceState) -> Result<Choice, BadEvent> {
    let finished = message.finished.map(|end| {
        let proto::ChoiceFinished { reason, native_reason } = end;
        Finished::try_from(proto::Finished { reason, native_reason })
    });
    let tool_calls = message.tool_calls.into_iter().map(|tool| Tool {
        call: tool.call.map(ToolCall::from).unwrap_or_default(),
        arguments: tool.arguments,
    });
    Ok(Choice {
        number: message.choice,
        text: message.text,
        reasoning: message.reasoning,
        refusal: message.refusal,
        tool_calls: tool_calls.collect(),
        finished: finished.transpose()?,
        sealed: message.sealed.into_iter().map(Reasoning::from).collect(),
    })
}
