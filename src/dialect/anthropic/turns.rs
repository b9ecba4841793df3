//! A call's conversation in Anthropic's messages.
//!
//! Two sides that take turns, the user first. What the app says in the middle of a conversation (system and developer
//! turns) goes into the user's turn at its place, in `<system>` marks, because Anthropic has one system prompt and that
//! stands before everything. Tool results stand first in their turn, as Anthropic demands. Thoughts go back only to the
//! provider that signed them.

use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Serialize;
use serde_json::value::RawValue;

use super::NAME;
use crate::dialect::{
    Dialect, Unsayable,
    call::{
        Blob, Call, Dropped, Json, Part, PartKind, PastCall, Role, Source, Thought, ToolResult,
    },
};

/// Said for the user where a conversation begins with the model.
const OPENING: &str = "(The conversation begins with your message.)";

/// The images that Anthropic takes.
const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// A side's turn.
#[derive(Debug, Serialize)]
pub(super) struct Message {
    role: &'static str,
    content: Vec<Block>,
}

/// A content block, as JSON.
pub(super) type Block = Box<RawValue>;

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum BlockJson<'c> {
    Text {
        text: &'c str,
    },
    Image {
        source: SourceJson<'c>,
    },
    Document {
        source: SourceJson<'c>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'c str>,
    },
    ToolUse {
        id: String,
        name: &'c str,
        input: Box<RawValue>,
    },
    ToolResult {
        tool_use_id: String,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        content: Vec<Block>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
    },
    Thinking {
        thinking: &'c str,
        signature: &'c str,
    },
    RedactedThinking {
        data: &'c str,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum SourceJson<'c> {
    Base64 { media_type: &'c str, data: &'c str },
    Url { url: &'c str },
    Text { media_type: &'static str, data: Cow<'c, str> },
}

/// What a conversation came to.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    pub messages: Vec<Message>,
    /// It ends with the beginning of the answer.
    pub prefill: bool,
    /// The last turn answers calls before which no thought of this provider stands.
    pub unthought_calls: bool,
    /// Tools that were called in it.
    pub called: Vec<String>,
}

impl Conversation {
    /// The conversation of a call.
    pub(super) fn of(call: &Call, dropped: &mut Dropped) -> Result<Self, Unsayable> {
        let mut all = Self::default();
        // The calls of the last assistant turn, and whether it began with a thought.
        let mut called = (false, false);
        for turn in &call.turns {
            let assistant = turn.role == Role::Assistant;
            let (mut content, mut results) = (Vec::new(), Vec::new());
            if assistant {
                called = (false, false);
            }
            for part in &turn.parts {
                match &part.kind {
                    _ if turn.role == Role::System => content.extend(instruction(part)?),
                    PartKind::ToolResult(result) if !assistant => {
                        results.push(cached(tool_result(result)?, part));
                    }
                    PartKind::Reasoning(thought) if assistant => {
                        called.1 |= content.is_empty() && !thoughts(thought).is_empty();
                        content.extend(thoughts(thought));
                        if thoughts(thought).is_empty() {
                            dropped.note(&part.path);
                        }
                    }
                    PartKind::ToolCall(past) if assistant => {
                        called.0 = true;
                        all.called.push(past.name.clone());
                        content.push(cached(tool_use(past), part));
                    }
                    _ => content.extend(plain(part, assistant)?),
                }
            }
            all.unthought_calls = !assistant && called.0 && !called.1;
            results.append(&mut content);
            all.say(if assistant { "assistant" } else { "user" }, results);
        }
        if all.messages.first().is_none_or(|first| first.role != "user") {
            all.messages.insert(0, Message { role: "user", content: vec![text(OPENING)] });
        }
        all.prefill = all.messages.last().is_some_and(|last| last.role == "assistant");
        if all.prefill {
            all.trim();
        }
        Ok(all)
    }

    fn say(&mut self, role: &'static str, mut content: Vec<Block>) {
        if content.is_empty() {
            // Anthropic refuses empty turns.
            return;
        }
        match self.messages.last_mut().filter(|last| last.role == role) {
            Some(last) => last.content.append(&mut content),
            None => self.messages.push(Message { role, content }),
        }
    }

    /// Anthropic refuses a beginning of an answer that ends in white space.
    fn trim(&mut self) {
        #[derive(serde::Deserialize)]
        struct Ends {
            text: String,
        }
        let Some(block) = self.messages.last_mut().and_then(|last| last.content.last_mut()) else {
            return;
        };
        if let Ok(Ends { text: said }) = serde_json::from_str(block.get()) {
            *block = text(said.trim_end());
        }
    }
}

/// What the model is told before everything.
pub(super) fn system(call: &Call) -> Result<Vec<Block>, Unsayable> {
    let mut blocks = Vec::new();
    for part in &call.system {
        let PartKind::Text(said) = &part.kind else {
            return Err(unsayable(&part.path, "a system prompt holds only text"));
        };
        if !said.trim().is_empty() {
            blocks.push(cached(text(said), part));
        }
    }
    Ok(blocks)
}

/// What the app says in the middle of a conversation.
fn instruction(part: &Part) -> Result<Option<Block>, Unsayable> {
    let PartKind::Text(said) = &part.kind else {
        return Err(unsayable(&part.path, "a system message holds only text"));
    };
    let marked = || cached(text(&format!("<system>\n{said}\n</system>")), part);
    Ok((!said.trim().is_empty()).then(marked))
}

/// A part that is neither a thought nor of a tool.
fn plain(part: &Part, assistant: bool) -> Result<Option<Block>, Unsayable> {
    let path = &part.path;
    let block = match &part.kind {
        // Anthropic refuses text that is empty or nothing but white space.
        PartKind::Text(said) | PartKind::Refusal(said) => {
            return Ok((!said.trim().is_empty()).then(|| cached(text(said), part)));
        }
        PartKind::Image(_) | PartKind::Document(_) if assistant => {
            return Err(unsayable(path, "an assistant's turn holds only text and tool calls"));
        }
        PartKind::Image(blob) => json(&BlockJson::Image { source: image(blob, path)? }),
        PartKind::Document(blob) => {
            let (source, title) = (document(blob, path)?, blob.name.as_deref());
            json(&BlockJson::Document { source, title })
        }
        PartKind::Audio(_) => return Err(unsayable(path, "it takes no sound")),
        PartKind::Video(_) => return Err(unsayable(path, "it takes no moving pictures")),
        PartKind::Native(_) => {
            return Err(unsayable(path, "only the app's own dialect knows this part"));
        }
        PartKind::Reasoning(_) | PartKind::ToolCall(_) => {
            return Err(unsayable(path, "only an assistant's turn holds it"));
        }
        PartKind::ToolResult(_) => return Err(unsayable(path, "only a user's turn holds it")),
    };
    Ok(Some(cached(block, part)))
}

/// A thought as its maker wants it back; nothing where that was somebody else.
fn thoughts(thought: &Thought) -> Vec<Block> {
    let Thought { text, signature, encrypted, origin, .. } = thought;
    let mut blocks = Vec::new();
    if *origin == Some(Dialect::Anthropic) {
        if !signature.is_empty() {
            blocks.push(json(&BlockJson::Thinking { thinking: text, signature }));
        }
        if !encrypted.is_empty() {
            blocks.push(json(&BlockJson::RedactedThinking { data: encrypted }));
        }
    }
    blocks
}

fn tool_use(past: &PastCall) -> Block {
    let given = match past.arguments.trim() {
        "" => "{}",
        given => given,
    };
    let parsed = serde_json::from_str::<Box<RawValue>>(given).ok();
    let object = parsed.filter(|raw| raw.get().starts_with('{'));
    // Arguments that were cut, or are no object: Anthropic's own way to give them back.
    let input = object.unwrap_or_else(|| {
        let cut = format!("{{\"INVALID_JSON\":{}}}", serde_json::Value::from(given));
        RawValue::from_string(cut).expect("written as JSON")
    });
    json(&BlockJson::ToolUse { id: call_id(&past.id), name: &past.name, input })
}

fn tool_result(result: &ToolResult) -> Result<Block, Unsayable> {
    let mut content = Vec::new();
    for part in &result.content {
        match &part.kind {
            PartKind::Text(_) | PartKind::Image(_) | PartKind::Document(_) => {
                content.extend(plain(part, false)?);
            }
            _ => {
                let why = "a tool's result holds text, images and documents";
                return Err(unsayable(&part.path, why));
            }
        }
    }
    let (tool_use_id, is_error) = (call_id(&result.id), result.is_error);
    Ok(json(&BlockJson::ToolResult { tool_use_id, content, is_error }))
}

/// A call's id in the characters that Anthropic takes.
fn call_id(id: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    id.chars().map(plain).collect()
}

fn image<'c>(blob: &'c Blob, path: &str) -> Result<SourceJson<'c>, Unsayable> {
    match &blob.source {
        Source::Url(url) => Ok(SourceJson::Url { url }),
        Source::Base64(data) => {
            let media_type = match blob.mime.as_deref() {
                Some("image/jpg") => "image/jpeg",
                mime => mime.unwrap_or_default(),
            };
            if !IMAGES.contains(&media_type) {
                let why = "its type must be image/jpeg, image/png, image/gif or image/webp";
                return Err(unsayable(path, why));
            }
            Ok(SourceJson::Base64 { media_type, data })
        }
        Source::File(_) => Err(unsayable(path, FILE)),
        Source::Text(_) => Err(unsayable(path, "an image is base64 or a URL")),
    }
}

/// Why an uploaded file cannot be sent.
const FILE: &str = "a file's id means something only to the provider that it was uploaded to";

fn document<'c>(blob: &'c Blob, path: &str) -> Result<SourceJson<'c>, Unsayable> {
    let mime = blob.mime.as_deref().unwrap_or("application/pdf");
    let media_type = "text/plain";
    match &blob.source {
        Source::Url(url) => Ok(SourceJson::Url { url }),
        Source::Text(said) => Ok(SourceJson::Text { media_type, data: said.as_str().into() }),
        Source::Base64(data) if mime == "application/pdf" => {
            Ok(SourceJson::Base64 { media_type: "application/pdf", data })
        }
        Source::Base64(data) if mime.starts_with("text/") || mime == "application/json" => {
            let bytes = BASE64_STANDARD.decode(data).ok();
            let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
            let text = text.ok_or_else(|| unsayable(path, "it must be base64 of UTF-8 text"))?;
            Ok(SourceJson::Text { media_type, data: text.into() })
        }
        Source::Base64(_) => Err(unsayable(path, "its type must be application/pdf or text")),
        Source::File(_) => Err(unsayable(path, FILE)),
    }
}

fn text(said: &str) -> Block {
    json(&BlockJson::Text { text: said })
}

fn json(block: &BlockJson<'_>) -> Block {
    serde_json::value::to_raw_value(block).expect("strings and raw JSON become JSON")
}

/// A block with its part's cache mark.
fn cached(block: Block, part: &Part) -> Block {
    let Some(mark) = &part.cache else { return block };
    let marked = block.get().strip_suffix('}').expect("a block is an object");
    let marked = format!("{marked},\"cache_control\":{}}}", cache(mark));
    RawValue::from_string(marked).expect("written as JSON")
}

/// A cache mark: the app's own where it is one of Anthropic's.
pub(super) fn cache(mark: &Json) -> &str {
    #[derive(serde::Deserialize)]
    struct Mark {
        r#type: String,
    }
    let own = serde_json::from_str::<Mark>(mark.get()).is_ok_and(|it| it.r#type == "ephemeral");
    if own { mark.get() } else { r#"{"type":"ephemeral"}"# }
}

pub(super) fn unsayable(path: &str, why: &str) -> Unsayable {
    Unsayable { path: path.to_owned(), dialect: NAME, why: why.to_owned() }
}
