//! The conversation: a message has one text, its images beside it, and its tool calls; each tool's result is a message.
//!
//! Several texts of a user or of the system are paragraphs of one; those of the model are joined as they are, because it
//! said them in one breath.

use serde_json::value::RawValue;

use crate::dialect::{
    Dialect, Unsayable,
    call::{Blob, Part, PartKind, PastCall, Role, Source, Thought, ToolResult},
    ledger::Ledger,
    object::Object,
};

/// A message that is being written.
#[derive(Default)]
struct Message {
    text: String,
    thinking: String,
    images: Vec<String>,
    calls: Vec<Object>,
}

impl Message {
    fn is_empty(&self) -> bool {
        self.text.is_empty()
            && self.thinking.is_empty()
            && self.images.is_empty()
            && self.calls.is_empty()
    }

    fn paragraph(&mut self, text: &str) {
        if !self.text.is_empty() && !text.is_empty() {
            self.text.push_str("\n\n");
        }
        self.text.push_str(text);
    }

    fn written(self, role: &'static str) -> Object {
        let mut message = Object::of("role", role).with("content", self.text);
        if !self.thinking.is_empty() {
            message.set("thinking", self.thinking);
        }
        if !self.images.is_empty() {
            message.set("images", self.images);
        }
        if !self.calls.is_empty() {
            message.set("tool_calls", self.calls);
        }
        message
    }
}

/// The conversation, what the model is told before it included.
pub(super) fn messages(ledger: &mut Ledger<'_>) -> Result<Vec<Object>, Unsayable> {
    let call = ledger.call;
    let mut messages = Vec::new();
    say("system", Role::System, &call.system, &mut messages, ledger)?;
    for turn in &call.turns {
        let role = match turn.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        say(role, turn.role, &turn.parts, &mut messages, ledger)?;
    }
    Ok(messages)
}

fn say(
    role: &'static str,
    speaker: Role,
    parts: &[Part],
    messages: &mut Vec<Object>,
    ledger: &mut Ledger<'_>,
) -> Result<(), Unsayable> {
    let mut message = Message::default();
    for part in parts {
        let path = &part.path;
        ledger.leave_out_cache(part.cache.as_ref(), path);
        match &part.kind {
            PartKind::Text(text) | PartKind::Refusal(text) => match speaker {
                Role::Assistant => message.text.push_str(text),
                Role::User | Role::System => message.paragraph(text),
            },
            PartKind::Image(blob) => message.images.push(image(blob, path, ledger)?),
            PartKind::Document(Blob { source: Source::Text(text), .. }) => message.paragraph(text),
            PartKind::Document(_) => {
                let why = "it reads no documents but plain text; send the text";
                return Err(ledger.refuse(path, why));
            }
            PartKind::Audio(_) | PartKind::Video(_) => {
                return Err(ledger.refuse(path, "it takes text and images only"));
            }
            PartKind::Reasoning(thought) => match readable(thought) {
                Some(text) => message.thinking.push_str(text),
                None => ledger.leave_out(path),
            },
            PartKind::ToolCall(call) => message.calls.push(tool_call(call, path, ledger)?),
            PartKind::ToolResult(result) => {
                if !message.is_empty() {
                    messages.push(std::mem::take(&mut message).written(role));
                }
                messages.push(tool_result(result, path, ledger)?);
            }
            PartKind::Native(_) => return Err(ledger.refuse_native(path)),
        }
    }
    if !message.is_empty() {
        messages.push(message.written(role));
    }
    Ok(())
}

/// A thought that nobody signed goes back as it was, and so does one that an app had to give back sealed because its
/// dialect wants thoughts signed. One that is another's is its maker's alone.
fn readable(thought: &Thought) -> Option<&str> {
    let ours = matches!(thought.origin, None | Some(Dialect::Ollama));
    (ours && !thought.text.is_empty()).then_some(&thought.text)
}

fn image(blob: &Blob, path: &str, ledger: &mut Ledger<'_>) -> Result<String, Unsayable> {
    ledger.leave_out_detail(blob, path);
    match &blob.source {
        Source::Base64(data) => Ok(data.clone()),
        Source::Url(_) => Err(ledger.refuse(path, "it fetches no URL; send the image as base64")),
        Source::File(_) => {
            Err(ledger.refuse(path, "it does not have this file; send the image as base64"))
        }
        Source::Text(_) => Err(ledger.refuse(path, "an image must be base64")),
    }
}

fn tool_call(call: &PastCall, path: &str, ledger: &Ledger<'_>) -> Result<Object, Unsayable> {
    let arguments = match call.arguments.trim() {
        "" => "{}",
        arguments => arguments,
    };
    let object = serde_json::from_str::<&RawValue>(arguments).ok();
    let object = object.filter(|raw| raw.get().starts_with('{'));
    let Some(arguments) = object else {
        let why = "the arguments of a past call must be a JSON object";
        return Err(ledger.refuse(path, why));
    };
    let function = Object::of("name", &call.name).with("arguments", arguments);
    let mut said = Object::default();
    if !call.id.is_empty() {
        said.set("id", &call.id);
    }
    said.set("function", function);
    Ok(said)
}

fn tool_result(
    result: &ToolResult,
    path: &str,
    ledger: &mut Ledger<'_>,
) -> Result<Object, Unsayable> {
    if result.is_error {
        // The result's own text says so.
        ledger.leave_out(format!("{path}.is_error"));
    }
    let mut message = Message::default();
    for part in &result.content {
        ledger.leave_out_cache(part.cache.as_ref(), &part.path);
        match &part.kind {
            PartKind::Text(text) => message.paragraph(text),
            PartKind::Document(Blob { source: Source::Text(text), .. }) => message.paragraph(text),
            PartKind::Image(blob) => message.images.push(image(blob, &part.path, ledger)?),
            _ => return Err(ledger.refuse(&part.path, "a tool's result is text and images")),
        }
    }
    let mut said = message.written("tool");
    said.set("tool_name", &result.name);
    if !result.id.is_empty() {
        said.set("tool_call_id", &result.id);
    }
    Ok(said)
}
