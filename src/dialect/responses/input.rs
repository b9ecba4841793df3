//! The items of a request's input, read into turns.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    super::{
        BadRequest, Call, Dialect, Sealed,
        call::{Blob, Part, PartKind, PastCall, Role, Source, Thought, ToolResult},
        unseal,
    },
    frame::{Raw, list, read, text, text_or_json, word},
};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Item<'a> {
    #[serde(borrow, rename = "type")]
    kind: Raw<'a>,
    #[serde(borrow)]
    role: Raw<'a>,
    #[serde(borrow)]
    content: Raw<'a>,
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow)]
    call_id: Raw<'a>,
    #[serde(borrow)]
    name: Raw<'a>,
    #[serde(borrow)]
    arguments: Raw<'a>,
    #[serde(borrow)]
    output: Raw<'a>,
    #[serde(borrow)]
    summary: Raw<'a>,
    #[serde(borrow)]
    encrypted_content: Raw<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Content<'a> {
    #[serde(borrow, rename = "type")]
    kind: Raw<'a>,
    #[serde(borrow)]
    text: Raw<'a>,
    #[serde(borrow)]
    refusal: Raw<'a>,
    #[serde(borrow)]
    image_url: Raw<'a>,
    #[serde(borrow)]
    file_id: Raw<'a>,
    #[serde(borrow)]
    file_url: Raw<'a>,
    #[serde(borrow)]
    file_data: Raw<'a>,
    #[serde(borrow)]
    filename: Raw<'a>,
    #[serde(borrow)]
    detail: Raw<'a>,
    #[serde(borrow)]
    input_audio: Raw<'a>,
}

/// Reads a string or a list of items at `path` into the call.
pub(super) fn items(path: &str, raw: Raw<'_>, call: &mut Call) -> Result<(), BadRequest> {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return Ok(()) };
    if raw.get().starts_with('"') {
        let said = text(Some(raw)).unwrap_or_default();
        call.say(Role::User, Part::new(PartKind::Text(said), path));
        return Ok(());
    }
    if !raw.get().starts_with('[') {
        return Err(wrong(path, "a string or a list of items"));
    }
    let mut names = HashMap::new();
    for (at, raw) in list(Some(raw)).into_iter().enumerate() {
        item(format!("{path}[{at}]"), raw, &mut names, call)?;
    }
    Ok(())
}

fn wrong(path: &str, right: &str) -> BadRequest {
    BadRequest::of(path, format!("$.{path} must be {right}"))
}

fn needed(path: &str, name: &str, raw: Raw<'_>) -> Result<String, BadRequest> {
    text(raw).ok_or_else(|| wrong(&format!("{path}.{name}"), "a string that is not empty"))
}

/// `names`: the tools' of the calls so far, by their ids.
fn item(
    path: String,
    raw: &RawValue,
    names: &mut HashMap<String, String>,
    call: &mut Call,
) -> Result<(), BadRequest> {
    if !raw.get().starts_with('{') {
        return Err(wrong(&path, "an object"));
    }
    let item: Item<'_> = read(Some(raw));
    match &*word(item.kind) {
        "" | "message" if item.role.is_some() => message(&path, &item, call)?,
        "function_call" => {
            let id = needed(&path, "call_id", item.call_id)?;
            let name = needed(&path, "name", item.name)?;
            let arguments = text_or_json(item.arguments).unwrap_or_else(|| "{}".to_owned());
            names.insert(id.clone(), name.clone());
            let past = PastCall { id, name, arguments };
            call.say(Role::Assistant, Part::new(PartKind::ToolCall(past), path));
        }
        "function_call_output" => {
            let id = needed(&path, "call_id", item.call_id)?;
            let at = format!("{path}.output");
            let output = item.output.ok_or_else(|| wrong(&at, "a string or a list"))?;
            let content = match output.get().starts_with('[') {
                true => contents(&at, output)?,
                false => {
                    let said = text_or_json(Some(output)).unwrap_or_default();
                    vec![Part::new(PartKind::Text(said), at)]
                }
            };
            let name = names.get(&id).cloned().unwrap_or_default();
            let result = ToolResult { id, name, content, is_error: false };
            call.say(Role::User, Part::new(PartKind::ToolResult(result), path));
        }
        "reasoning" => {
            let kind = PartKind::Reasoning(thought(&item));
            call.say(Role::Assistant, Part::new(kind, path));
        }
        "item_reference" => {
            let problem = "an item_reference means something only to the provider that keeps the \
                           item: send the item itself";
            return Err(BadRequest::of(path.clone(), format!("$.{path}: {problem}")));
        }
        "" if item.id.is_some() => {
            let problem = "an item without a type is a reference to one that the provider keeps: \
                           send the item itself";
            return Err(BadRequest::of(path.clone(), format!("$.{path}: {problem}")));
        }
        "" | "message" => {
            return Err(wrong(
                &format!("{path}.role"),
                "`user`, `assistant`, `system` or `developer`",
            ));
        }
        kind => {
            // Calls of tools that only this dialect has, and what they gave.
            let role = if kind.ends_with("_output") { Role::User } else { Role::Assistant };
            call.say(role, Part::new(PartKind::Native(raw.to_owned()), path));
        }
    }
    Ok(())
}

fn message(path: &str, item: &Item<'_>, call: &mut Call) -> Result<(), BadRequest> {
    let role = match &*word(item.role) {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" | "developer" => Role::System,
        _ => {
            let right = "`user`, `assistant`, `system` or `developer`";
            return Err(wrong(&format!("{path}.role"), right));
        }
    };
    let at = format!("{path}.content");
    let content = item.content.ok_or_else(|| wrong(&at, "a string or a list of parts"))?;
    let parts = match content.get().as_bytes().first() {
        Some(b'"') => {
            let said = text(Some(content)).unwrap_or_default();
            vec![Part::new(PartKind::Text(said), at)]
        }
        Some(b'[') => contents(&at, content)?,
        _ => return Err(wrong(&at, "a string or a list of parts")),
    };
    for part in parts {
        match role {
            // What comes before anybody has spoken is the system prompt.
            Role::System if call.turns.is_empty() => call.system.push(part),
            role => call.say(role, part),
        }
    }
    Ok(())
}

fn contents(path: &str, raw: &RawValue) -> Result<Vec<Part>, BadRequest> {
    let parts = list(Some(raw)).into_iter().enumerate();
    parts.map(|(at, raw)| content(format!("{path}[{at}]"), raw)).collect()
}

fn content(path: String, raw: &RawValue) -> Result<Part, BadRequest> {
    let part: Content<'_> = read(Some(raw));
    let blob = |mime, source| {
        let (name, detail) = (text(part.filename), text(part.detail));
        Blob { mime, source, name, detail }
    };
    let kind = match &*word(part.kind) {
        "input_text" | "output_text" | "text" | "summary_text" => {
            PartKind::Text(text(part.text).unwrap_or_default())
        }
        "refusal" => PartKind::Refusal(text(part.refusal).unwrap_or_default()),
        "input_image" => {
            let (mime, source) = match (text(part.image_url), text(part.file_id)) {
                (Some(url), _) => located(url),
                (None, Some(id)) => (None, Source::File(id)),
                _ => return Err(wrong(&format!("{path}.image_url"), "a URL")),
            };
            PartKind::Image(blob(mime, source))
        }
        "input_file" => {
            let sources = (text(part.file_data), text(part.file_url), text(part.file_id));
            let (mime, source) = match sources {
                (Some(data), ..) => data_or_base64(data),
                (_, Some(url), _) => located(url),
                (.., Some(id)) => (None, Source::File(id)),
                _ => return Err(wrong(&format!("{path}.file_data"), "a file's data")),
            };
            PartKind::Document(blob(mime, source))
        }
        "input_audio" => PartKind::Audio(sound(&path, part.input_audio)?),
        _ => PartKind::Native(raw.to_owned()),
    };
    Ok(Part::new(kind, path))
}

fn sound(path: &str, raw: Raw<'_>) -> Result<Blob, BadRequest> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Sound<'a> {
        #[serde(borrow)]
        data: Raw<'a>,
        #[serde(borrow)]
        format: Raw<'a>,
    }
    let sound: Sound<'_> = read(raw);
    let data = needed(&format!("{path}.input_audio"), "data", sound.data)?;
    let mime = match &*word(sound.format) {
        "mp3" => Some("audio/mpeg".to_owned()),
        "" => None,
        format => Some(format!("audio/{format}")),
    };
    Ok(Blob { mime, source: Source::Base64(data), name: None, detail: None })
}

/// What is at a URL: its bytes where it is a `data:` URL.
fn located(url: String) -> (Option<String>, Source) {
    match url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
        Some((mime, data)) => (Some(mime.to_owned()), Source::Base64(data.to_owned())),
        None => (None, Source::Url(url)),
    }
}

/// A file's data, as a `data:` URL or as base64 alone.
fn data_or_base64(data: String) -> (Option<String>, Source) {
    match data.starts_with("data:") {
        true => located(data),
        false => (None, Source::Base64(data)),
    }
}

/// A thought of an earlier turn. What is no seal is this dialect's own.
fn thought(item: &Item<'_>) -> Thought {
    let parts = |raw| {
        let texts = list(raw).into_iter().filter_map(|part| {
            let part: Content<'_> = read(Some(part));
            text(part.text)
        });
        texts.collect::<Vec<_>>().join("\n\n")
    };
    let summary = parts(item.summary);
    let text_said = if summary.is_empty() { parts(item.content) } else { summary };
    let mut thought = Thought { text: text_said, id: text(item.id), ..Thought::default() };
    if let Some(content) = text(item.encrypted_content) {
        let opened = unseal(&content);
        let (origin, what, content) =
            opened.unwrap_or((Dialect::Responses, Sealed::Encrypted, content));
        thought.origin = Some(origin);
        match what {
            Sealed::Signature => thought.signature = content,
            Sealed::Encrypted => thought.encrypted = content,
        }
    }
    thought
}
