//! The conversation, in turns that alternate; Bedrock refuses blank text.
//!
//! A thought goes back only to whoever signed it. Claude's signatures and redacted thoughts are Anthropic's wherever Claude
//! runs, so what Anthropic's own API gave goes to Claude on Bedrock as well; its redacted thoughts are base64 once more
//! here, because Converse calls them bytes.

use std::{collections::HashSet, fmt::Write};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{Family, media};
use crate::dialect::{
    Dialect, Unsayable,
    call::{Json, Part, PartKind, PastCall, Role, Thought, ToolResult},
    ledger::Ledger,
    object::Object,
};

/// Said for the user where a conversation begins with the model, which Bedrock refuses.
const OPENING: &str = "(The conversation begins with your message.)";

/// The longest id of a tool call.
const ID_BYTES_MAX: usize = 64;

/// What the model is told before the conversation.
pub(super) fn system(family: Family, ledger: &mut Ledger<'_>) -> Result<Vec<Object>, Unsayable> {
    let mut blocks = Vec::new();
    for part in &ledger.call.system {
        match &part.kind {
            PartKind::Text(text) if text.trim().is_empty() => {}
            PartKind::Text(text) => blocks.push(Object::of("text", text)),
            _ => return Err(ledger.refuse(&part.path, "its system prompt is text only")),
        }
        cache(family, part, &mut blocks, ledger);
    }
    Ok(blocks)
}

/// The conversation.
pub(super) fn messages(family: Family, ledger: &mut Ledger<'_>) -> Result<Vec<Object>, Unsayable> {
    let mut messages: Vec<(Role, Vec<Object>)> = Vec::new();
    let mut names = HashSet::new();
    for turn in &ledger.call.turns {
        // Results stand first in their turn, directly behind the calls that they answer: models refuse them elsewhere.
        let (mut blocks, mut said) = (Vec::new(), Vec::new());
        for part in &turn.parts {
            let to = match &part.kind {
                PartKind::ToolResult(_) => &mut blocks,
                _ => &mut said,
            };
            to.extend(block(family, part, &mut names, ledger)?);
            cache(family, part, to, ledger);
        }
        blocks.append(&mut said);
        if blocks.is_empty() {
            continue;
        }
        if messages.is_empty() && turn.role == Role::Assistant {
            messages.push((Role::User, vec![Object::of("text", OPENING)]));
        }
        match messages.last_mut().filter(|(role, _)| *role == turn.role) {
            Some((_, before)) => before.extend(blocks),
            None => messages.push((turn.role, blocks)),
        }
    }
    let message = |(role, content): (Role, Vec<Object>)| {
        let role = match role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        Object::of("role", role).with("content", content)
    };
    Ok(messages.into_iter().map(message).collect())
}

/// A cache point behind what the app marked, with its time to live.
pub(super) fn cache_point(mark: &Json) -> Object {
    let hour = mark.get().contains("\"1h\"");
    let mut point = Object::of("type", "default");
    point.set_some("ttl", hour.then_some("1h"));
    Object::of("cachePoint", point)
}

fn cache(family: Family, part: &Part, blocks: &mut Vec<Object>, ledger: &mut Ledger<'_>) {
    match &part.cache {
        Some(mark) if family.caches() && !blocks.is_empty() => blocks.push(cache_point(mark)),
        mark => ledger.leave_out_cache(mark.as_ref(), &part.path),
    }
}

/// A part as a block; `None` where it says nothing.
fn block(
    family: Family,
    part: &Part,
    names: &mut HashSet<String>,
    ledger: &mut Ledger<'_>,
) -> Result<Option<Object>, Unsayable> {
    let path = &part.path;
    Ok(match &part.kind {
        PartKind::Text(text) | PartKind::Refusal(text) => {
            (!text.trim().is_empty()).then(|| Object::of("text", text))
        }
        PartKind::Image(blob) => {
            ledger.leave_out_detail(blob, path);
            Some(Object::of("image", media::image(blob, path, ledger)?))
        }
        PartKind::Document(blob) => {
            Some(Object::of("document", media::document(blob, path, names, ledger)?))
        }
        PartKind::Audio(blob) => Some(Object::of("audio", media::audio(blob, path, ledger)?)),
        PartKind::Video(blob) => Some(Object::of("video", media::video(blob, path, ledger)?)),
        PartKind::Reasoning(thought) => {
            let said = reasoning(family, thought);
            if said.is_none() {
                ledger.leave_out(path);
            }
            said.map(|said| Object::of("reasoningContent", said))
        }
        PartKind::ToolCall(call) => Some(tool_use(call, path, ledger)?),
        PartKind::ToolResult(result) => Some(tool_result(family, result, path, names, ledger)?),
        PartKind::Native(_) => return Err(ledger.refuse_native(path)),
    })
}

fn reasoning(family: Family, thought: &Thought) -> Option<Object> {
    let claude = matches!(family, Family::Claude { .. });
    let anthropic = match thought.origin? {
        Dialect::Bedrock => false,
        Dialect::Anthropic if claude => true,
        _ => return None,
    };
    if !thought.encrypted.is_empty() {
        let encrypted = match anthropic {
            true => BASE64_STANDARD.encode(&thought.encrypted),
            false => thought.encrypted.clone(),
        };
        return Some(Object::of("redactedContent", encrypted));
    }
    let mut text = Object::of("text", &thought.text);
    let signature = Some(&thought.signature).filter(|signature| !signature.is_empty());
    text.set_some("signature", signature);
    Some(Object::of("reasoningText", text))
}

fn tool_use(call: &PastCall, path: &str, ledger: &Ledger<'_>) -> Result<Object, Unsayable> {
    let arguments = match call.arguments.trim() {
        "" => "{}",
        arguments => arguments,
    };
    let input: &RawValue = serde_json::from_str(arguments)
        .map_err(|_| ledger.refuse(path, "the arguments of a past call must be JSON"))?;
    let call = Object::of("toolUseId", id(&call.id)).with("name", &call.name).with("input", input);
    Ok(Object::of("toolUse", call))
}

fn tool_result(
    family: Family,
    result: &ToolResult,
    path: &str,
    names: &mut HashSet<String>,
    ledger: &mut Ledger<'_>,
) -> Result<Object, Unsayable> {
    let mut content = Vec::new();
    for part in &result.content {
        match part.kind {
            PartKind::Text(_) | PartKind::Image(_) | PartKind::Document(_) | PartKind::Video(_) => {
                content.extend(block(family, part, names, ledger)?);
            }
            _ => {
                let why = "a tool's result is text, images, documents and videos";
                return Err(ledger.refuse(&part.path, why));
            }
        }
        ledger.leave_out_cache(part.cache.as_ref(), &part.path);
    }
    let mut said = Object::of("toolUseId", id(&result.id)).with("content", content);
    if result.is_error && family.takes_status() {
        said.set("status", "error");
    } else if result.is_error {
        ledger.leave_out(format!("{path}.is_error"));
    }
    Ok(Object::of("toolResult", said))
}

/// A call's id. Other providers' may be longer than Bedrock takes, or of other characters: such a one becomes its hash,
/// the same for the call and its result.
fn id(id: &str) -> String {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
    if (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(allowed) {
        return id.to_owned();
    }
    let mut hashed = "call_".to_owned();
    for byte in &Sha256::digest(id)[..16] {
        write!(hashed, "{byte:02x}").expect("text takes text");
    }
    hashed
}
