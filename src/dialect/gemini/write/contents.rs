//! `contents` and `systemInstruction`.

use serde_json::value::RawValue;

use super::{Members, Writer, list, unsayable};
use crate::dialect::{
    Dialect, Unsayable,
    body::json,
    call::{Blob, Part, PartKind, PastCall, Role, Source, Thought, ToolResult, Turn},
    gemini::base64,
};

/// What Google documents for calls that no signature can come for, because another model made them: without it Gemini 3
/// refuses them.
pub(in crate::dialect::gemini) const NOT_SIGNED: &str = "skip_thought_signature_validator";

/// The parts of one content so far.
#[derive(Default)]
struct Parts {
    list: Vec<Members>,
    /// A signature of a call that follows.
    signature: Option<String>,
    /// The last one is text that is not signed yet.
    ends_in_text: bool,
    /// There has been a call: only a turn's first must be signed.
    has_call: bool,
}

impl Parts {
    fn push(&mut self, part: Members) {
        self.ends_in_text = false;
        self.list.push(part);
    }
}

impl Writer<'_> {
    /// System prompts are text here.
    pub(super) fn system(&mut self) -> Result<Option<String>, Unsayable> {
        let mut parts = Vec::new();
        for part in &self.call.system {
            self.uncached(part);
            match &part.kind {
                PartKind::Text(text) if text.is_empty() => {}
                PartKind::Text(text) => parts.push(text_part(text).object()),
                _ => return Err(unsayable(&part.path, "its system instruction is only text")),
            }
        }
        Ok((!parts.is_empty()).then(|| format!("{{\"parts\":{}}}", list(&parts))))
    }

    pub(super) fn contents(&mut self) -> Result<String, Unsayable> {
        let mut contents: Vec<(&str, Parts)> = Vec::new();
        for turn in &self.call.turns {
            // There is no system in the middle: it is said in the user's place, where it stood.
            let role = match turn.role {
                Role::Assistant => "model",
                Role::User | Role::System => "user",
            };
            if contents.last().is_none_or(|(last, _)| *last != role) {
                contents.push((role, Parts::default()));
            }
            let (_, parts) = contents.last_mut().expect("one was just added");
            self.turn(turn, parts)?;
        }
        let write = |(role, parts): (&str, Parts)| {
            let parts: Vec<_> = parts.list.into_iter().map(Members::object).collect();
            let content = format!("{{\"role\":{},\"parts\":{}}}", json(role), list(&parts));
            (!parts.is_empty()).then_some(content)
        };
        let contents: Vec<_> = contents.into_iter().filter_map(write).collect();
        Ok(list(&contents))
    }

    fn turn(&mut self, turn: &Turn, parts: &mut Parts) -> Result<(), Unsayable> {
        for (at, part) in turn.parts.iter().enumerate() {
            self.uncached(part);
            match &part.kind {
                // Google refuses a part in which nothing is said.
                PartKind::Text(text) | PartKind::Refusal(text) if text.is_empty() => {}
                PartKind::Text(text) | PartKind::Refusal(text) => {
                    parts.push(text_part(text));
                    parts.ends_in_text = true;
                }
                PartKind::Image(blob)
                | PartKind::Document(blob)
                | PartKind::Audio(blob)
                | PartKind::Video(blob) => parts.push(self.blob(blob, &part.path)?),
                PartKind::Reasoning(thought) => {
                    let next = turn.parts.get(at + 1).map(|next| &next.kind);
                    self.thought(thought, &part.path, next, parts);
                }
                PartKind::ToolCall(call) => self.tool_call(call, &part.path, parts)?,
                PartKind::ToolResult(result) => {
                    let (result, shown) = self.tool_result(result, &part.path)?;
                    parts.push(result);
                    shown.into_iter().for_each(|it| parts.push(it));
                }
                PartKind::Native(raw) => {
                    let why = "it is a part that only the app's own dialect knows; leave it out";
                    let own = self.is_own().then(|| Members::of(raw)).flatten();
                    parts.push(own.ok_or_else(|| unsayable(&part.path, why))?);
                }
            }
        }
        Ok(())
    }

    /// A thought of ours goes back in its place; nobody else's means anything here.
    fn thought(
        &mut self,
        thought: &Thought,
        path: &str,
        next: Option<&PartKind>,
        parts: &mut Parts,
    ) {
        let Thought { text, signature, origin, .. } = thought;
        let unsigned_own = origin.is_none() && self.is_own() && !text.is_empty();
        if *origin != Some(Dialect::Gemini) && !unsigned_own {
            self.dropped.note(path);
            return;
        }
        if text.is_empty() && matches!(next, Some(PartKind::ToolCall(_))) {
            parts.signature = Some(signature.clone());
        } else if text.is_empty() && parts.ends_in_text {
            let last = parts.list.last_mut().expect("it ends in text");
            last.set("thoughtSignature", json(signature));
            parts.ends_in_text = false;
        } else {
            let mut part = text_part(text);
            if !text.is_empty() {
                part.set("thought", "true");
            }
            if !signature.is_empty() {
                part.set("thoughtSignature", json(signature));
            }
            parts.push(part);
        }
    }

    fn tool_call(
        &mut self,
        call: &PastCall,
        path: &str,
        parts: &mut Parts,
    ) -> Result<(), Unsayable> {
        let PastCall { id, name, arguments } = call;
        let arguments = match arguments.trim() {
            "" => "{}",
            text => text,
        };
        let raw = serde_json::from_str::<&RawValue>(arguments);
        if !raw.is_ok_and(|raw| raw.get().starts_with('{')) {
            return Err(unsayable(path, "a call's arguments must be a JSON object"));
        }
        let mut function = Members::default();
        function.set_some("id", (!id.is_empty()).then(|| json(id)));
        function.set("name", json(name));
        function.set("args", arguments);
        let mut part = Members::default();
        part.set("functionCall", function.object());
        let signature = parts.signature.take();
        let first = !std::mem::replace(&mut parts.has_call, true);
        let stand_in = || (first && self.is_third()).then(|| NOT_SIGNED.to_owned());
        let signature = signature.or_else(stand_in);
        part.set_some("thoughtSignature", signature.map(|signature| json(&signature)));
        parts.push(part);
        Ok(())
    }

    /// A tool's result, and what of it is shown behind it: bytes within a result only Gemini 3 understands, and files
    /// nobody.
    fn tool_result(
        &mut self,
        result: &ToolResult,
        path: &str,
    ) -> Result<(Members, Vec<Members>), Unsayable> {
        let ToolResult { id, name, content, is_error } = result;
        let past = self.call.turns.iter().flat_map(|turn| &turn.parts);
        let mut calls = past.filter_map(|part| match &part.kind {
            PartKind::ToolCall(call) => Some(call),
            _ => None,
        });
        let known = || calls.find(|call| call.id == *id).map(|call| &call.name);
        let name = Some(name).filter(|name| !name.is_empty()).or_else(known).ok_or_else(|| {
            unsayable(path, "no tool call before it has its id, and results go by the tool's name")
        })?;
        let mut texts = Vec::new();
        let (mut media, mut shown) = (Vec::new(), Vec::new());
        for part in content {
            self.uncached(part);
            match &part.kind {
                PartKind::Text(text) => texts.push(text.as_str()),
                PartKind::Image(blob)
                | PartKind::Document(blob)
                | PartKind::Audio(blob)
                | PartKind::Video(blob) => {
                    let written = self.blob(blob, &part.path)?;
                    let has_bytes = matches!(blob.source, Source::Base64(_) | Source::Text(_));
                    match self.is_own() || (self.is_third() && has_bytes) {
                        true => media.push(written.object()),
                        false => shown.push(written),
                    }
                }
                PartKind::Native(raw) if self.is_own() => media.push(raw.get().to_owned()),
                _ => return Err(unsayable(&part.path, "a tool's result is text, images or files")),
            }
        }
        let text = texts.join("\n");
        // An object is what it gave; anything else goes under Google's documented keys. An app of this dialect gave
        // values; others give text, which stays text.
        let value = serde_json::from_str::<&RawValue>(&text).ok().map(RawValue::get);
        let object = value.filter(|value| value.starts_with('{'));
        let value = value.filter(|value| self.is_own() && !value.starts_with('"')).or(object);
        let key = if *is_error { "error" } else { "output" };
        let response = match (object, value) {
            (Some(object), _) if !is_error => object.to_owned(),
            (_, Some(value)) => format!("{{\"{key}\":{value}}}"),
            (_, None) => format!("{{\"{key}\":{}}}", json(&text)),
        };
        let mut function = Members::default();
        function.set_some("id", (!id.is_empty()).then(|| json(id)));
        function.set("name", json(name));
        function.set("response", response);
        if !media.is_empty() {
            function.set("parts", list(&media));
        }
        let mut part = Members::default();
        part.set("functionResponse", function.object());
        Ok((part, shown))
    }

    fn blob(&mut self, blob: &Blob, path: &str) -> Result<Members, Unsayable> {
        let Blob { mime, source, name, detail } = blob;
        if detail.is_some() {
            self.dropped.note(format!("{path}.detail"));
        }
        if name.is_some() && !self.is_own() {
            self.dropped.note(format!("{path}.filename"));
        }
        let mut inner = Members::default();
        let mime = match source {
            Source::Text(_) => Some(mime.as_deref().unwrap_or("text/plain")),
            _ => mime.as_deref(),
        };
        inner.set_some("mimeType", mime.map(json));
        let kind = match source {
            Source::Base64(_) | Source::Text(_) if mime.is_none() => {
                return Err(unsayable(path, "the MIME type of its bytes is not known; name it"));
            }
            Source::Base64(data) => {
                inner.set("data", json(data));
                "inlineData"
            }
            Source::Text(text) => {
                inner.set("data", json(&base64::encode(text.as_bytes())));
                "inlineData"
            }
            Source::Url(uri) => {
                inner.set("fileUri", json(uri));
                "fileData"
            }
            Source::File(uri) if self.is_own() => {
                inner.set("fileUri", json(uri));
                "fileData"
            }
            Source::File(_) => {
                let why = "the file is at another provider's; give its bytes or a URL";
                return Err(unsayable(path, why));
            }
        };
        if self.is_own() {
            inner.set_some("displayName", name.as_deref().map(json));
        }
        let mut part = Members::default();
        part.set(kind, inner.object());
        Ok(part)
    }

    /// Google caches by itself; where, is not the caller's to say.
    fn uncached(&mut self, part: &Part) {
        if part.cache.is_some() {
            self.dropped.note(format!("{}.cache_control", part.path));
        }
    }
}

fn text_part(text: &str) -> Members {
    let mut part = Members::default();
    part.set("text", json(text));
    part
}
