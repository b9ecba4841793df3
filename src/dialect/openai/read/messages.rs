//! The conversation.

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::{
    content,
    members::{Members, inner, list, must_be, string},
    thoughts::Thoughts,
};
use crate::dialect::{
    BadRequest, Call,
    call::{Extra, Part, PartKind, PastCall, Role, ToolResult},
};

/// Calls so far: results name them by id, or in the first form by name alone.
#[derive(Default)]
struct Calls {
    names: HashMap<String, String>,
    last_of_name: HashMap<String, String>,
}

pub(super) fn read(raw: &RawValue, call: &mut Call) -> Result<(), BadRequest> {
    let mut calls = Calls::default();
    for (at, raw) in list(raw, "messages")?.into_iter().enumerate() {
        let path = format!("messages[{at}]");
        message(raw, &path, &mut calls, call)?;
    }
    Ok(())
}

fn message(
    raw: &RawValue,
    path: &str,
    calls: &mut Calls,
    call: &mut Call,
) -> Result<(), BadRequest> {
    let mut members = Members::of(raw, path)?;
    let role = members.string("role", path)?.unwrap_or_default();
    let content = match members.take("content") {
        Some(raw) => content::read(raw, &inner(path, "content"))?,
        None => Vec::new(),
    };
    match &*role {
        "system" | "developer" if call.turns.is_empty() => call.system.extend(content),
        "system" | "developer" => content.into_iter().for_each(|it| call.say(Role::System, it)),
        "user" => content.into_iter().for_each(|it| call.say(Role::User, it)),
        "assistant" => assistant(&mut members, path, content, calls, call)?,
        "tool" => {
            let id = members.string("tool_call_id", path)?;
            let id = id.ok_or_else(|| must_be(&inner(path, "tool_call_id"), "a string"))?;
            let name = calls.names.get(&id).cloned().unwrap_or_default();
            call.say(Role::User, result(id, name, content, path));
        }
        "function" => {
            let name = members.string("name", path)?.unwrap_or_default();
            let id = calls.last_of_name.get(&name).cloned().unwrap_or_else(|| name.clone());
            call.say(Role::User, result(id, name, content, path));
        }
        _ => {
            let roles = "one of `system`, `developer`, `user`, `assistant` and `tool`";
            return Err(must_be(&inner(path, "role"), roles));
        }
    }
    if let Some(name) = members.take("name") {
        let path = inner(path, "name");
        call.extras.push(Extra { path, value: name.to_owned(), harmless: true });
    }
    Ok(())
}

fn result(id: String, name: String, content: Vec<Part>, path: &str) -> Part {
    let result = ToolResult { id, name, content, is_error: false };
    Part::new(PartKind::ToolResult(result), path)
}

/// What the model said: its thoughts, then its text, then its calls.
fn assistant(
    members: &mut Members<'_>,
    path: &str,
    content: Vec<Part>,
    calls: &mut Calls,
    call: &mut Call,
) -> Result<(), BadRequest> {
    let thoughts = Thoughts::read(members, path)?;
    let past = past_calls(members, path, calls)?;
    let signatures: Vec<_> = past.iter().filter_map(|(_, signature)| signature.clone()).collect();
    let (before, after) = thoughts.parts(&signatures, path);
    let mut say = |part| call.say(Role::Assistant, part);
    before.into_iter().for_each(&mut say);
    content.into_iter().for_each(&mut say);
    if let Some(refusal) = members.string("refusal", path)?.filter(|text| !text.is_empty()) {
        say(Part::new(PartKind::Refusal(refusal), inner(path, "refusal")));
    }
    if let Some(images) = members.take("images") {
        let path = inner(path, "images");
        for (at, raw) in list(images, &path)?.into_iter().enumerate() {
            let path = format!("{path}[{at}]");
            let url = Members::of(raw, &path)?.take("image_url");
            let url = url.ok_or_else(|| must_be(&path, "an image with its `image_url`"))?;
            say(Part::new(PartKind::Image(content::image(url, &path)?), path));
        }
    }
    if let Some(audio) = members.take("audio") {
        say(Part::new(PartKind::Native(audio.to_owned()), inner(path, "audio")));
    }
    after.into_iter().for_each(&mut say);
    for (part, signature) in past {
        if let Some(signature) = signature {
            say(super::thoughts::of_call(signature, &part.path));
        }
        say(part);
    }
    Ok(())
}

/// Calls, each with the signature that Google wants back with it.
fn past_calls(
    members: &mut Members<'_>,
    path: &str,
    calls: &mut Calls,
) -> Result<Vec<(Part, Option<String>)>, BadRequest> {
    let mut past = Vec::new();
    if let Some(raw) = members.take("tool_calls") {
        let path = inner(path, "tool_calls");
        for (at, raw) in list(raw, &path)?.into_iter().enumerate() {
            let path = format!("{path}[{at}]");
            let mut tool = Members::of(raw, &path)?;
            let id = tool.string("id", &path)?;
            let id = id.ok_or_else(|| must_be(&inner(&path, "id"), "a string"))?;
            let signature = signature(&mut tool);
            let part = match (tool.take("function"), tool.take("custom")) {
                (Some(function), _) => past_call(function, &inner(&path, "function"), id, calls)?,
                // A custom tool takes plain text, for which others have no word.
                _ => PartKind::Native(raw.to_owned()),
            };
            past.push((Part::new(part, path), signature));
        }
    }
    if let Some(function) = members.take("function_call") {
        let path = inner(path, "function_call");
        let id = format!("call_{}", calls.names.len());
        let part = past_call(function, &path, id, calls)?;
        past.push((Part::new(part, path), None));
    }
    Ok(past)
}

fn past_call(
    raw: &RawValue,
    path: &str,
    id: String,
    calls: &mut Calls,
) -> Result<PartKind, BadRequest> {
    let mut function = Members::of(raw, path)?;
    let name = function.string("name", path)?;
    let name = name.ok_or_else(|| must_be(&inner(path, "name"), "a string"))?;
    let arguments = match function.take("arguments") {
        Some(raw) if raw.get().starts_with('"') => string(raw, &inner(path, "arguments"))?,
        Some(raw) => raw.get().to_owned(),
        None => String::new(),
    };
    calls.names.insert(id.clone(), name.clone());
    calls.last_of_name.insert(name.clone(), id.clone());
    Ok(PartKind::ToolCall(PastCall { id, name, arguments }))
}

/// `extra_content.google.thought_signature`; whatever else is there means nothing here.
fn signature(tool: &mut Members<'_>) -> Option<String> {
    let extra = tool.take("extra_content")?;
    let google = Members::of(extra, "").ok()?.take("google")?;
    let signature = Members::of(google, "").ok()?.take("thought_signature")?;
    string(signature, "").ok().filter(|signature| !signature.is_empty())
}
