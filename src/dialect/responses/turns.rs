//! A call's system prompt and turns, written as instructions and input items.

use base64::Engine;
use serde_json::{Map, Value, json};

use super::{
    super::{
        AppDialect, Call, Dialect, Unsayable,
        call::{Blob, Dropped, Part, PartKind, Role, Source, Thought},
    },
    items::BASE64,
    write::unsayable,
};

/// What the model is told, and what was said.
pub(super) struct Turns {
    pub instructions: Option<String>,
    pub input: Vec<Value>,
}

/// Writes a call's system prompt and turns.
pub(super) fn write(call: &Call, dropped: &mut Dropped) -> Result<Turns, Unsayable> {
    let mut writer = Writer { app: call.app, dropped, input: Vec::new(), message: None };
    let mut said = Vec::new();
    for part in &call.system {
        match &part.kind {
            PartKind::Text(text) => {
                writer.uncached(part);
                said.push(text.as_str());
            }
            _ => writer.part(Role::System, part)?,
        }
    }
    for turn in &call.turns {
        for part in &turn.parts {
            writer.part(turn.role, part)?;
        }
        writer.flush();
    }
    writer.flush();
    let instructions = (!said.is_empty()).then(|| said.join("\n\n"));
    Ok(Turns { instructions, input: writer.input })
}

struct Writer<'d> {
    app: AppDialect,
    dropped: &'d mut Dropped,
    input: Vec<Value>,
    /// The message that is being written: neighbours share one.
    message: Option<(Role, Vec<Value>)>,
}

impl Writer<'_> {
    /// Caching needs no marks here.
    fn uncached(&mut self, part: &Part) {
        if part.cache.is_some() {
            self.dropped.note(format!("{}.cache_control", part.path));
        }
    }

    fn part(&mut self, role: Role, part: &Part) -> Result<(), Unsayable> {
        self.uncached(part);
        match &part.kind {
            PartKind::Reasoning(thought) => self.thought(thought, &part.path),
            PartKind::ToolCall(past) => {
                let arguments = match past.arguments.as_str() {
                    "" => "{}",
                    arguments => arguments,
                };
                let (id, name) = (&past.id, &past.name);
                let item = json!({"type": "function_call", "call_id": id, "name": name, "arguments": arguments});
                self.item(item);
            }
            PartKind::ToolResult(result) => {
                if result.is_error {
                    self.dropped.note(format!("{}.is_error", part.path));
                }
                let output = match &result.content[..] {
                    [] => Value::from(""),
                    [Part { kind: PartKind::Text(text), .. }] => text.as_str().into(),
                    parts => {
                        let parts = parts.iter().map(|part| {
                            self.uncached(part);
                            self.content(Role::User, part)
                        });
                        parts.collect::<Result<Vec<_>, _>>()?.into()
                    }
                };
                if let [only] = &result.content[..] {
                    self.uncached(only);
                }
                let id = &result.id;
                self.item(json!({"type": "function_call_output", "call_id": id, "output": output}));
            }
            _ => {
                let content = self.content(role, part)?;
                match &mut self.message {
                    Some((open, parts)) if *open == role => parts.push(content),
                    _ => {
                        self.flush();
                        self.message = Some((role, vec![content]));
                    }
                }
            }
        }
        Ok(())
    }

    fn item(&mut self, item: Value) {
        self.flush();
        self.input.push(item);
    }

    fn flush(&mut self) {
        if let Some((role, content)) = self.message.take() {
            let role = match role {
                Role::System => "developer",
                Role::User => "user",
                Role::Assistant => "assistant",
            };
            self.input.push(json!({"type": "message", "role": role, "content": content}));
        }
    }

    /// Only whoever made a thought can read it, and this dialect's only encrypted.
    fn thought(&mut self, thought: &Thought, path: &str) {
        if thought.origin != Some(Dialect::Responses) || thought.encrypted.is_empty() {
            return self.dropped.note(path);
        }
        let mut summary = Vec::new();
        if !thought.text.is_empty() {
            summary.push(json!({"type": "summary_text", "text": thought.text}));
        }
        let encrypted = &thought.encrypted;
        self.item(json!({"type": "reasoning", "summary": summary, "encrypted_content": encrypted}));
    }

    fn content(&self, role: Role, part: &Part) -> Result<Value, Unsayable> {
        let path = &part.path;
        Ok(match &part.kind {
            PartKind::Text(text) if role == Role::Assistant => {
                json!({"type": "output_text", "text": text})
            }
            PartKind::Text(text) => json!({"type": "input_text", "text": text}),
            PartKind::Refusal(text) => json!({"type": "refusal", "refusal": text}),
            PartKind::Image(_) | PartKind::Document(_) | PartKind::Audio(_)
                if role == Role::Assistant =>
            {
                return Err(unsayable(path, "what the model said before can only be text here"));
            }
            PartKind::Image(blob) => self.image(blob, path)?,
            PartKind::Document(blob) => self.document(blob, path)?,
            PartKind::Audio(blob) => sound(blob, path)?,
            PartKind::Video(_) => return Err(unsayable(path, "this dialect has no video")),
            PartKind::Native(_) => {
                return Err(unsayable(path, "it is a part of another dialect: leave it out"));
            }
            PartKind::Reasoning(_) | PartKind::ToolCall(_) | PartKind::ToolResult(_) => {
                return Err(unsayable(path, "it cannot be within a tool's result"));
            }
        })
    }

    fn image(&self, blob: &Blob, path: &str) -> Result<Value, Unsayable> {
        let mut image = Map::from_iter([("type".to_owned(), "input_image".into())]);
        let detail = blob.detail.as_deref().unwrap_or("auto");
        image.insert("detail".to_owned(), detail.into());
        let (name, value) = match &blob.source {
            Source::Base64(data) => {
                let mime = blob.mime.as_deref().unwrap_or("image/png");
                ("image_url", format!("data:{mime};base64,{data}"))
            }
            Source::Url(url) => ("image_url", url.clone()),
            Source::File(id) if self.shares_files() => ("file_id", id.clone()),
            Source::File(_) => return Err(elsewhere(path)),
            Source::Text(_) => return Err(unsayable(path, "an image cannot be text")),
        };
        image.insert(name.to_owned(), value.into());
        Ok(image.into())
    }

    fn document(&self, blob: &Blob, path: &str) -> Result<Value, Unsayable> {
        let mime = blob.mime.as_deref().unwrap_or("application/pdf");
        Ok(match &blob.source {
            Source::Text(text) => json!({"type": "input_text", "text": text}),
            Source::Base64(data) if mime.starts_with("text/") => {
                let text = BASE64.decode(data).ok().and_then(|data| String::from_utf8(data).ok());
                let text = text.ok_or_else(|| unsayable(path, "it is not text in base64"))?;
                json!({"type": "input_text", "text": text})
            }
            Source::Base64(data) => {
                // A file must have a name here.
                let name = blob.name.as_deref().unwrap_or("document.pdf");
                let data = format!("data:{mime};base64,{data}");
                json!({"type": "input_file", "filename": name, "file_data": data})
            }
            Source::Url(url) => json!({"type": "input_file", "file_url": url}),
            Source::File(id) if self.shares_files() => json!({"type": "input_file", "file_id": id}),
            Source::File(_) => return Err(elsewhere(path)),
        })
    }

    /// Whether files that were uploaded before mean the same to the app and to the provider.
    fn shares_files(&self) -> bool {
        matches!(self.app, AppDialect::OpenAi | AppDialect::Responses)
    }
}

fn elsewhere(path: &str) -> Unsayable {
    unsayable(path, "the file was uploaded to another provider: send its bytes")
}

fn sound(blob: &Blob, path: &str) -> Result<Value, Unsayable> {
    let format = match blob.mime.as_deref() {
        Some("audio/mpeg" | "audio/mp3") => "mp3",
        Some("audio/wav" | "audio/x-wav" | "audio/wave") | None => "wav",
        Some(_) => return Err(unsayable(path, "audio must be `audio/wav` or `audio/mpeg`")),
    };
    match &blob.source {
        Source::Base64(data) => {
            let audio = json!({"data": data, "format": format});
            Ok(json!({"type": "input_audio", "input_audio": audio}))
        }
        _ => Err(unsayable(path, "audio must be sent as its bytes")),
    }
}
