//! A folded channel to its message.

use super::proto::{self, generation_state};
use crate::snapshot::{Choice, End, Generation, State, Tool};

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
