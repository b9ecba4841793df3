//! The conversation as messages.

use super::{
    json::Object,
    parts::{self, text_of},
    unsayable,
};
use crate::dialect::{
    AppDialect, Call, Dialect, Unsayable,
    call::{Dropped, Json, Part, PartKind, Role, Thought, ToolResult, Turn},
};

pub(super) fn write(call: &Call, dropped: &mut Dropped) -> Result<Vec<Json>, Unsayable> {
    let mut messages = Vec::new();
    if !call.system.is_empty() {
        messages.push(system(&call.system, dropped)?);
    }
    // Those who want their thoughts back want them while they work with tools, and refuse them elsewhere.
    let asked = |turn: &Turn| {
        turn.role == Role::User
            && turn.parts.iter().any(|part| !matches!(part.kind, PartKind::ToolResult(_)))
    };
    let at_work = call.turns.iter().rposition(asked).map_or(0, |last| last + 1);
    for (at, turn) in call.turns.iter().enumerate() {
        match turn.role {
            Role::System => messages.push(system(&turn.parts, dropped)?),
            Role::User => user(call, &turn.parts, &mut messages, dropped)?,
            Role::Assistant => {
                messages.extend(assistant(call, &turn.parts, at >= at_work, dropped)?);
            }
        }
    }
    Ok(messages)
}

fn message(role: &str) -> Object {
    Object::new().with("role", role)
}

fn system(parts: &[Part], dropped: &mut Dropped) -> Result<Json, Unsayable> {
    let mut texts = Vec::new();
    for part in parts {
        parts::note_cache(part, dropped);
        match &part.kind {
            PartKind::Text(text) => texts.push(text.as_str()),
            _ => return Err(unsayable(&part.path, "a system message there is text")),
        }
    }
    Ok(message("system").with("content", &texts.join("\n\n")).end())
}

/// Results first, for they must follow the calls; then what the user says.
fn user(
    call: &Call,
    parts: &[Part],
    messages: &mut Vec<Json>,
    dropped: &mut Dropped,
) -> Result<(), Unsayable> {
    let mut said = Vec::new();
    for part in parts {
        parts::note_cache(part, dropped);
        match &part.kind {
            PartKind::ToolResult(result) => {
                messages.push(tool(result, &part.path, &mut said, dropped));
            }
            _ => said.push(part),
        }
    }
    // What results show that is not text is shown after them.
    if !said.is_empty() {
        let content = parts::content(call, &said)?;
        messages.push(message("user").with("content", &content).end());
    }
    Ok(())
}

fn tool<'a>(
    result: &'a ToolResult,
    path: &str,
    shown: &mut Vec<&'a Part>,
    dropped: &mut Dropped,
) -> Json {
    if result.is_error {
        dropped.note(format!("{path}.is_error"));
    }
    let mut text = String::new();
    for part in &result.content {
        match text_of(part) {
            Some(more) => text += more,
            None => shown.push(part),
        }
    }
    message("tool").with("tool_call_id", &result.id).with("content", &text).end()
}

/// One message; none if nothing is left to say.
fn assistant(
    call: &Call,
    parts: &[Part],
    at_work: bool,
    dropped: &mut Dropped,
) -> Result<Option<Json>, Unsayable> {
    let own = call.app == AppDialect::OpenAi;
    let (mut text, mut refusal, mut thoughts) = (String::new(), String::new(), String::new());
    let (mut calls, mut details, mut images) = (Vec::new(), Vec::new(), Vec::new());
    let mut audio = None;
    for part in parts {
        parts::note_cache(part, dropped);
        match &part.kind {
            PartKind::Text(more) => text += more,
            PartKind::Refusal(more) => refusal += more,
            PartKind::ToolCall(past) => {
                let function = Object::new().with("name", &past.name);
                let function = function.with("arguments", &past.arguments).end();
                let tool = Object::new().with("id", &past.id).with("type", "function");
                calls.push(tool.with("function", &function).end());
            }
            PartKind::Reasoning(thought) => {
                let mine = matches!(thought.origin, None | Some(Dialect::OpenAi));
                if !mine || (!at_work && !is_sealed(thought)) {
                    dropped.note(&part.path);
                    continue;
                }
                thoughts += &thought.text;
                if is_sealed(thought) {
                    details.push(detail(thought));
                }
            }
            PartKind::Native(value) if own && part.path.ends_with(".audio") => audio = Some(value),
            PartKind::Native(value) if own && part.path.contains("].tool_calls[") => {
                calls.push(value.clone());
            }
            PartKind::Image(_) if own => images.push(parts::part(call, part)?),
            // What the provider's own tools did in an earlier turn, and what it drew: the text that came of it is there.
            _ => dropped.note(&part.path),
        }
    }
    let silent = text.is_empty() && refusal.is_empty() && audio.is_none();
    if silent && calls.is_empty() && images.is_empty() {
        return Ok(None);
    }
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let list = |list: Vec<Json>| Some(list).filter(|list| !list.is_empty());
    let written = message("assistant")
        .with("content", &some(text))
        .with_some("refusal", some(refusal).as_ref())
        .with_some("reasoning_content", some(thoughts).as_ref())
        .with_some("reasoning_details", list(details).as_ref())
        .with_some("images", list(images).as_ref())
        .with_some("audio", audio)
        .with_some("tool_calls", list(calls).as_ref());
    Ok(Some(written.end()))
}

fn is_sealed(thought: &Thought) -> bool {
    !(thought.signature.is_empty() && thought.encrypted.is_empty())
}

fn detail(thought: &Thought) -> Json {
    let some = |text: &'_ str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let kind = if thought.encrypted.is_empty() { "reasoning.text" } else { "reasoning.encrypted" };
    Object::of(kind)
        .with_some("text", some(&thought.text).as_ref())
        .with_some("signature", some(&thought.signature).as_ref())
        .with_some("data", some(&thought.encrypted).as_ref())
        .with_some("id", thought.id.as_ref())
        .end()
}
