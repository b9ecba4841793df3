//! `contents` and `systemInstruction`: what has been said.

use std::collections::{HashMap, VecDeque};

use serde_json::value::RawValue;

use super::{strict, string, wrong};
use crate::dialect::{
    BadRequest, Dialect, Sealed,
    call::{Blob, Call, Part, PartKind, PastCall, Role, Source, Thought, ToolResult},
    gemini::{
        base64,
        fields::{Fields, elements, text},
    },
    unseal,
};

/// A call of an earlier turn: its results may name it by its function's name alone.
struct Past {
    id: String,
    name: String,
    answered: bool,
}

struct Reader<'c> {
    call: &'c mut Call,
    past: Vec<Past>,
    /// The first call of an id, and the calls of a name that no result named by it, by their place in `past`.
    by_id: HashMap<String, usize>,
    by_name: HashMap<String, VecDeque<usize>>,
    role: Role,
}

/// Reads `contents`; a single one will do.
pub(super) fn read(raw: &RawValue, call: &mut Call) -> Result<(), BadRequest> {
    let mut reader = Reader {
        call,
        past: Vec::new(),
        by_id: HashMap::new(),
        by_name: HashMap::new(),
        role: Role::User,
    };
    for (number, content) in elements(raw).into_iter().enumerate() {
        let path = format!("contents[{number}]");
        let fields = strict(content, &path)?;
        reader.role = match string(&fields, "role", &path)?.as_deref() {
            None | Some("" | "user" | "function" | "tool") => Role::User,
            Some("model" | "assistant") => Role::Assistant,
            Some("system") => Role::System,
            Some(_) => return Err(wrong(&format!("{path}.role"), "user or model")),
        };
        for (at, part) in fields.list("parts").into_iter().enumerate() {
            reader.part(part, format!("{path}.parts[{at}]"))?;
        }
    }
    Ok(())
}

/// Reads `systemInstruction`: text, and nothing else.
pub(super) fn system(raw: &RawValue, call: &mut Call) -> Result<(), BadRequest> {
    const PATH: &str = "systemInstruction";
    if let Some(text) = text(raw) {
        call.system.push(Part::new(PartKind::Text(text), PATH));
        return Ok(());
    }
    for (at, part) in strict(raw, PATH)?.list("parts").into_iter().enumerate() {
        let path = format!("{PATH}.parts[{at}]");
        let text = string(&strict(part, &path)?, "text", &path)?;
        let text = text.ok_or_else(|| wrong(&path, "text"))?;
        call.system.push(Part::new(PartKind::Text(text), path));
    }
    Ok(())
}

impl Reader<'_> {
    fn say(&mut self, kind: PartKind, path: &str) {
        self.call.say(self.role, Part::new(kind, path));
    }

    fn part(&mut self, raw: &RawValue, path: String) -> Result<(), BadRequest> {
        let part = strict(raw, &path)?;
        let signature = string(&part, "thoughtSignature", &path)?.unwrap_or_default();
        let thought = part.is_true("thought");
        if let Some(said) = string(&part, "text", &path)? {
            if thought {
                self.thought(said, &signature, &path);
                return Ok(());
            }
            // A stream's last part is empty; other dialects refuse such.
            if !said.is_empty() {
                self.say(PartKind::Text(said), &path);
            }
            self.signature(&signature, &path);
        } else if let Some(call) = part.get("functionCall") {
            self.signature(&signature, &path);
            self.tool_call(call, &path)?;
        } else if let Some(response) = part.get("functionResponse") {
            self.tool_result(response, &path)?;
        } else if let Some(kind) = blob(&part, &path)?.filter(|_| !thought) {
            // What is said of a video beside its bytes, only Google's own models understand.
            let kind = match part.get("videoMetadata") {
                Some(_) => PartKind::Native(raw.to_owned()),
                None => kind,
            };
            self.say(kind, &path);
            self.signature(&signature, &path);
        } else {
            self.say(PartKind::Native(raw.to_owned()), &path);
        }
        Ok(())
    }

    /// A signature without text: of the call that follows, or of what came before.
    fn signature(&mut self, signature: &str, path: &str) {
        if !signature.is_empty() {
            self.say(PartKind::Reasoning(open(signature)), path);
        }
    }

    /// A thought. A stream gives it piece by piece, its signature last, and so apps give it back.
    fn thought(&mut self, text: String, signature: &str, path: &str) {
        let opened = if signature.is_empty() { Thought::default() } else { open(signature) };
        let last = self.call.turns.last_mut().filter(|turn| turn.role == self.role);
        if let Some(Part { kind: PartKind::Reasoning(last), .. }) =
            last.and_then(|turn| turn.parts.last_mut())
            && last.origin.is_none()
        {
            last.text += &text;
            *last = Thought { text: std::mem::take(&mut last.text), ..opened };
            return;
        }
        self.say(PartKind::Reasoning(Thought { text, ..opened }), path);
    }

    fn tool_call(&mut self, raw: &RawValue, path: &str) -> Result<(), BadRequest> {
        let path = format!("{path}.functionCall");
        let fields = strict(raw, &path)?;
        let name = string(&fields, "name", &path)?;
        let name = name.ok_or_else(|| wrong(&format!("{path}.name"), "a function's name"))?;
        let id = string(&fields, "id", &path)?.filter(|id| !id.is_empty());
        let id = id.unwrap_or_else(|| format!("call_{}", self.past.len()));
        let arguments = match fields.get("args") {
            None => "{}".to_owned(),
            Some(raw) if raw.get().starts_with('{') => raw.get().to_owned(),
            Some(_) => return Err(wrong(&format!("{path}.args"), "an object")),
        };
        let place = self.past.len();
        self.by_id.entry(id.clone()).or_insert(place);
        self.by_name.entry(name.clone()).or_default().push_back(place);
        self.past.push(Past { id: id.clone(), name: name.clone(), answered: false });
        self.say(PartKind::ToolCall(PastCall { id, name, arguments }), &path);
        Ok(())
    }

    fn tool_result(&mut self, raw: &RawValue, path: &str) -> Result<(), BadRequest> {
        let path = format!("{path}.functionResponse");
        let fields = strict(raw, &path)?;
        let name = string(&fields, "name", &path)?.unwrap_or_default();
        let id = string(&fields, "id", &path)?.filter(|id| !id.is_empty());
        let place = match &id {
            Some(id) => self.by_id.get(id).copied(),
            None => self.by_name.get_mut(&name).and_then(|places| {
                std::iter::from_fn(|| places.pop_front()).find(|&at| !self.past[at].answered)
            }),
        };
        let past = place.map(|at| &mut self.past[at]);
        let mut result = ToolResult {
            id: id.unwrap_or_else(|| format!("call_{name}")),
            name,
            content: Vec::new(),
            is_error: false,
        };
        if let Some(past) = past {
            past.answered = true;
            result.id.clone_from(&past.id);
            if result.name.is_empty() {
                result.name.clone_from(&past.name);
            }
        }
        if let Some(response) = fields.get("response") {
            let (said, is_error) = output(response);
            result.is_error = is_error;
            let part = Part::new(PartKind::Text(said), format!("{path}.response"));
            result.content.push(part);
        }
        for (at, part) in fields.list("parts").into_iter().enumerate() {
            let path = format!("{path}.parts[{at}]");
            let kind = blob(&strict(part, &path)?, &path)?;
            let kind = kind.unwrap_or_else(|| PartKind::Native(part.to_owned()));
            result.content.push(Part::new(kind, path));
        }
        // Results are the app's, whatever role they come in.
        self.call.say(Role::User, Part::new(PartKind::ToolResult(result), path));
        Ok(())
    }
}

/// Whose a signature is.
pub(in crate::dialect::gemini) fn origin_of(signature: &str) -> Option<Dialect> {
    open(signature).origin
}

/// A seal's content, or a signature of this dialect's own.
fn open(signature: &str) -> Thought {
    // Google's SDKs decode signatures, and write them again in the URL-safe alphabet.
    let sealed = unseal(signature).or_else(|| unseal(&base64::standard(signature)?));
    match sealed {
        Some((origin, Sealed::Signature, signature)) => {
            Thought { signature, origin: Some(origin), ..Thought::default() }
        }
        Some((origin, Sealed::Encrypted, encrypted)) => {
            Thought { encrypted, origin: Some(origin), ..Thought::default() }
        }
        None => Thought {
            signature: signature.to_owned(),
            origin: Some(Dialect::Gemini),
            ..Thought::default()
        },
    }
}

/// What a function gave, and whether it failed. Google's documented keys are `output` and `error`, its Python SDK's is
/// `result`; without any the whole object is what it gave.
fn output(response: &RawValue) -> (String, bool) {
    let whole = || response.get().to_owned();
    let Some(fields) = Fields::verbatim(response) else { return (whole(), false) };
    let mut members = fields.iter();
    let (Some((name, value)), None) = (members.next(), members.next()) else {
        return (whole(), false);
    };
    let said = || text(value).unwrap_or_else(|| value.get().to_owned());
    match name {
        "output" | "result" => (said(), false),
        "error" => (said(), true),
        _ => (whole(), false),
    }
}

/// A part that is bytes, or a place where bytes are.
fn blob(part: &Fields<'_>, path: &str) -> Result<Option<PartKind>, BadRequest> {
    let (mime, name, source) = if let Some(raw) = part.get("inlineData") {
        let path = format!("{path}.inlineData");
        let fields = strict(raw, &path)?;
        let data = string(&fields, "data", &path)?.unwrap_or_default();
        let data = base64::standard(&data);
        let data = data.ok_or_else(|| wrong(&format!("{path}.data"), "base64"))?;
        let mime = string(&fields, "mimeType", &path)?;
        (mime, string(&fields, "displayName", &path)?, Source::Base64(data))
    } else if let Some(raw) = part.get("fileData") {
        let path = format!("{path}.fileData");
        let fields = strict(raw, &path)?;
        let uri = string(&fields, "fileUri", &path)?;
        let uri = uri.ok_or_else(|| wrong(&format!("{path}.fileUri"), "a URI"))?;
        let mime = string(&fields, "mimeType", &path)?;
        (mime, string(&fields, "displayName", &path)?, place(uri))
    } else {
        return Ok(None);
    };
    let kind = mime.as_deref().unwrap_or_default().split('/').next().unwrap_or_default();
    let kind = match kind {
        "image" => PartKind::Image,
        "audio" => PartKind::Audio,
        "video" => PartKind::Video,
        // Without a type it is what models fetch by themselves: videos.
        "" if matches!(source, Source::Url(_)) => PartKind::Video,
        _ => PartKind::Document,
    };
    Ok(Some(kind(Blob { mime, source, name, detail: None })))
}

/// Where a URI points: Google's own stores are nobody else's.
fn place(uri: String) -> Source {
    let own = uri.starts_with("https://generativelanguage.googleapis.com/");
    let web = uri.starts_with("https://") || uri.starts_with("http://");
    if web && !own { Source::Url(uri) } else { Source::File(uri) }
}
