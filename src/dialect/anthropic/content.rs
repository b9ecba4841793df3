//! An app's content blocks become parts.
//!
//! Blocks of tools that a provider ran, of its files' containers and whatever else only Anthropic knows stay as they
//! came.

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::{
    fields::{Fields, list_of, text_of, wrong},
    shapes::{arguments, string},
};
use crate::dialect::{
    BadRequest, Dialect, Sealed,
    call::{Blob, Extra, Part, PartKind, PastCall, Source, Thought, ToolResult},
    unseal,
};

/// What reading blocks needs and adds to.
pub(super) struct Reader<'c> {
    pub extras: &'c mut Vec<Extra>,
    /// The names of the calls so far, by their ids.
    pub calls: &'c HashMap<String, String>,
}

impl Reader<'_> {
    fn extra(&mut self, path: String, raw: &RawValue, harmless: bool) {
        self.extras.push(Extra { path, value: raw.to_owned(), harmless });
    }
}

/// Reads one block, which mostly is one part.
pub(super) fn part(
    raw: &RawValue,
    path: &str,
    reader: &mut Reader<'_>,
    parts: &mut Vec<Part>,
) -> Result<(), BadRequest> {
    let mut fields = Fields::read(raw, path)?;
    let kind = fields.needed("type")?;
    let cache = fields.take("cache_control").map(RawValue::to_owned);
    let kind = match kind.as_str() {
        "text" => {
            let text = fields.needed("text")?;
            if let Some(citations) = fields.take("citations").filter(|raw| raw.get() != "[]") {
                // What an earlier answer was quoted from; the text itself stands.
                reader.extra(fields.at("citations"), citations, true);
            }
            PartKind::Text(text)
        }
        "image" => match blob(&mut fields)? {
            Some(blob) => PartKind::Image(blob),
            None => PartKind::Native(raw.to_owned()),
        },
        "document" => {
            let citations = fields.take("citations");
            // Quotes that were asked for would be missing from another dialect's answer.
            if let Some(raw) = citations.filter(|raw| raw.get().contains("true")) {
                reader.extra(fields.at("citations"), raw, false);
            }
            if let Some(context) = fields.text("context")? {
                parts.push(Part::new(PartKind::Text(context), fields.at("context")));
            }
            match blob(&mut fields)? {
                Some(blob) => PartKind::Document(blob),
                None => PartKind::Native(raw.to_owned()),
            }
        }
        "tool_use" => PartKind::ToolCall(PastCall {
            id: fields.needed("id")?,
            name: fields.needed("name")?,
            arguments: fields.take("input").map_or_else(|| "{}".to_owned(), arguments),
        }),
        "tool_result" => PartKind::ToolResult(result(&mut fields, reader)?),
        "thinking" => {
            let text = fields.text("thinking")?.unwrap_or_default();
            PartKind::Reasoning(thought(text, &fields.text("signature")?.unwrap_or_default()))
        }
        "redacted_thinking" => PartKind::Reasoning(redacted(fields.needed("data")?)),
        _ => PartKind::Native(raw.to_owned()),
    };
    parts.push(Part { kind, cache, path: path.to_owned() });
    Ok(())
}

fn result(fields: &mut Fields<'_>, reader: &mut Reader<'_>) -> Result<ToolResult, BadRequest> {
    let id = fields.needed("tool_use_id")?;
    let name = reader.calls.get(&id).cloned().unwrap_or_default();
    let is_error = fields.flag("is_error")?.unwrap_or(false);
    let path = fields.at("content");
    let mut content = Vec::new();
    match fields.take("content") {
        Some(raw) if raw.get().starts_with('"') => {
            content.push(Part::new(PartKind::Text(text_of(raw, &path)?), path));
        }
        Some(raw) => {
            for (at, raw) in list_of(raw, &path)?.into_iter().enumerate() {
                let path = format!("{path}[{at}]");
                // Results hold no results: what is no content of theirs is said so here.
                if Fields::read(raw, &*path)?.text("type")?.as_deref() == Some("tool_result") {
                    return Err(wrong(&path, "text, an image or a document"));
                }
                part(raw, &path, reader, &mut content)?;
            }
        }
        None => {}
    }
    Ok(ToolResult { id, name, content, is_error })
}

/// A thought with its signature, whoever made it.
fn thought(text: String, signature: &str) -> Thought {
    match unseal(signature) {
        Some((origin, Sealed::Signature, signature)) => {
            Thought { text, signature, origin: Some(origin), ..Thought::default() }
        }
        Some((origin, Sealed::Encrypted, encrypted)) => {
            Thought { text, encrypted, origin: Some(origin), ..Thought::default() }
        }
        None => {
            let signature = signature.to_owned();
            let origin = (!signature.is_empty()).then_some(Dialect::Anthropic);
            Thought { text, signature, origin, ..Thought::default() }
        }
    }
}

fn redacted(data: String) -> Thought {
    match unseal(&data) {
        Some((origin, Sealed::Signature, signature)) => {
            Thought { signature, origin: Some(origin), ..Thought::default() }
        }
        Some((origin, Sealed::Encrypted, encrypted)) => {
            Thought { encrypted, origin: Some(origin), ..Thought::default() }
        }
        None => {
            let origin = Some(Dialect::Anthropic);
            Thought { encrypted: data, origin, ..Thought::default() }
        }
    }
}

/// A binary part; `None` where its source is of a kind that only Anthropic knows.
fn blob(fields: &mut Fields<'_>) -> Result<Option<Blob>, BadRequest> {
    let name = fields.text("title")?;
    let path = fields.at("source");
    let Some(mut source) = fields.object("source")? else {
        return Err(BadRequest::of(path.clone(), format!("{path} is missing")));
    };
    let mime = source.text("media_type")?;
    let source = match source.needed("type")?.as_str() {
        "base64" => Source::Base64(source.needed("data")?),
        "text" => Source::Text(source.needed("data")?),
        "url" => Source::Url(source.needed("url")?),
        "file" => Source::File(source.needed("file_id")?),
        "content" => match source.take("content").and_then(plain) {
            Some(text) => Source::Text(text),
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    let mime = mime.or_else(|| matches!(source, Source::Text(_)).then(|| "text/plain".to_owned()));
    Ok(Some(Blob { mime, source, name, detail: None }))
}

/// A document's own content, where it is nothing but text.
fn plain(raw: &RawValue) -> Option<String> {
    if raw.get().starts_with('"') {
        return Some(string(raw).into_owned());
    }
    let mut texts = Vec::new();
    for block in list_of(raw, "").ok()? {
        let mut block = Fields::read(block, "").ok()?;
        if block.text("type").ok()?.as_deref() != Some("text") {
            return None;
        }
        texts.push(block.text("text").ok()??);
    }
    Some(texts.join("\n"))
}
