//! An app's chat request: what the gateway must know of it, and the few edits it makes.
//!
//! The body is edited in place: every byte that is not a value we change goes upstream as it came, in its order, with
//! its spaces. What it means beyond `model`, `stream`, `stream_options` is the provider's to judge.

use std::{borrow::Cow, fmt, ops::Range};

use bytes::Bytes;
use serde::{
    Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use thiserror::Error;

#[cfg(test)]
mod tests;

/// A chat request that has been looked at.
#[derive(Clone)]
pub struct Request {
    body: Bytes,
    members: Vec<Member>,
    options: Vec<Member>,
    model: String,
    streams: bool,
    asks_usage: bool,
}

/// Whether the provider is to stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streaming {
    /// As the app asked.
    AsAsked,
    /// In any case: the call is detached, or its channel is named.
    Always,
}

/// What is wrong with a request, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{problem}{place}")]
pub struct BadRequest {
    /// What is wrong.
    pub problem: String,
    /// The top-level member that is wrong, for the error's `param`.
    pub param: Option<&'static str>,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    line: usize,
    column: usize,
}

/// A member of an object, by its places in the body.
#[derive(Clone, Debug)]
struct Member {
    name: String,
    value: Range<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => Ok(()),
            line => write!(f, " (line {line}, column {})", self.column),
        }
    }
}

/// Without the body: it is the prompt.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, streams, .. } = self;
        let mut shown = f.debug_struct("Request");
        shown.field("model", model).field("streams", streams).finish_non_exhaustive()
    }
}

impl Request {
    /// Looks at a body.
    pub fn read(body: Bytes) -> Result<Self, BadRequest> {
        let members = members(&body, 0..body.len(), "$")?;
        let model = match find(&members, "model") {
            None => return Err(bad("$.model is missing: name the model", Some("model"), None)),
            Some(at) => text(&body[at.clone()])
                .filter(|model| !model.is_empty())
                .ok_or_else(|| wrong(&body, &at, "$.model must be a string", "model"))?,
        };
        let flag = |at: Option<Range<usize>>, path: &str, param| match at {
            None => Ok(false),
            Some(at) => match &body[at.clone()] {
                b"true" => Ok(true),
                b"false" | b"null" => Ok(false),
                _ => Err(wrong(&body, &at, &format!("{path} must be true or false"), param)),
            },
        };
        let streams = flag(find(&members, "stream"), "$.stream", "stream")?;
        let options = match find(&members, "stream_options") {
            None => Vec::new(),
            Some(at) => match body[at.start] {
                b'{' => self::members(&body, at, "$.stream_options")?,
                b'n' => Vec::new(),
                _ => {
                    let problem = "$.stream_options must be an object";
                    return Err(wrong(&body, &at, problem, "stream_options"));
                }
            },
        };
        let path = "$.stream_options.include_usage";
        let asks_usage = flag(find(&options, "include_usage"), path, "stream_options")?;
        Ok(Self { model, streams, asks_usage, members, options, body })
    }

    /// The public model name it asks for.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Whether the app wants a stream.
    pub fn streams(&self) -> bool {
        self.streams
    }

    /// Whether the app wants the extra usage chunk.
    pub fn asks_usage(&self) -> bool {
        self.asks_usage
    }

    /// The body for a provider: its own model name, and usage asked for in any stream.
    pub fn upstream(&self, model: &str, streaming: Streaming) -> Bytes {
        let mut edits = Edits { body: &self.body, list: Vec::new() };
        if model != self.model {
            edits.set(&self.members, 0..self.body.len(), "model", &json(model));
        }
        let streams = self.streams || streaming == Streaming::Always;
        if streams && !self.streams {
            edits.set(&self.members, 0..self.body.len(), "stream", "true");
        }
        if streams && !self.asks_usage {
            let place = find(&self.members, "stream_options");
            match place.filter(|at| self.body[at.start] == b'{') {
                Some(at) => edits.set(&self.options, at, "include_usage", "true"),
                None => {
                    let options = "{\"include_usage\":true}";
                    edits.set(&self.members, 0..self.body.len(), "stream_options", options);
                }
            }
        }
        edits.apply()
    }
}

/// Replacements of places in a body.
struct Edits<'a> {
    body: &'a Bytes,
    list: Vec<(Range<usize>, String)>,
}

impl Edits<'_> {
    /// Sets a member of the object at `within`, which has `members`: in its place, or as its last.
    fn set(&mut self, members: &[Member], within: Range<usize>, name: &str, value: &str) {
        if let Some(at) = find(members, name) {
            self.list.push((at, value.to_owned()));
            return;
        }
        let object = &self.body[within.clone()];
        let brace = object.iter().rposition(|&byte| byte == b'}').expect("read as an object");
        let end = members.last().map(|last| last.value.end);
        let at = end.unwrap_or(within.start + brace);
        let comma = if end.is_some() { "," } else { "" };
        self.list.push((at..at, format!("{comma}{}:{value}", json(name))));
    }

    fn apply(mut self) -> Bytes {
        if self.list.is_empty() {
            return self.body.clone();
        }
        // Two members added at one place stay in the order in which they were added: the sort is stable.
        self.list.sort_by_key(|(at, _)| (at.start, at.end));
        let mut edited = Vec::with_capacity(self.body.len() + 64);
        let mut from = 0;
        for (at, text) in &self.list {
            edited.extend_from_slice(&self.body[from..at.start]);
            edited.extend_from_slice(text.as_bytes());
            from = at.end;
        }
        edited.extend_from_slice(&self.body[from..]);
        edited.into()
    }
}

fn json(text: &str) -> String {
    serde_json::to_string(text).expect("a string becomes JSON")
}

fn text(json: &[u8]) -> Option<String> {
    serde_json::from_slice(json).ok()
}

fn find(members: &[Member], name: &str) -> Option<Range<usize>> {
    members.iter().find(|member| member.name == name).map(|member| member.value.clone())
}

/// The members of the object at `within`, whose JSON path is `path`.
fn members(body: &Bytes, within: Range<usize>, path: &str) -> Result<Vec<Member>, BadRequest> {
    let start = within.start;
    let object = &body[within];
    let text = str::from_utf8(object).map_err(|error| {
        let at = start + error.valid_up_to();
        bad("the body is not UTF-8", None, Some(place(body, at)))
    })?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = deserializer.deserialize_map(MembersVisitor { text }).and_then(|members| {
        deserializer.end()?;
        Ok(members)
    });
    let mut members = read.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let problem = match error.is_syntax() || error.is_eof() {
            true => format!("the body is not JSON: {}", without_place(&error)),
            // The library would quote what it found, and that may be the prompt.
            false => format!("{path} must be a JSON object"),
        };
        bad(&problem, None, (start == 0).then_some(Place { line, column }))
    })?;
    for member in &mut members {
        member.value = member.value.start + start..member.value.end + start;
    }
    for (at, member) in members.iter().enumerate() {
        if members[..at].iter().any(|before| before.name == member.name) {
            let problem = format!("{path}.{} is there twice", member.name);
            return Err(bad(&problem, None, Some(place(body, member.value.start))));
        }
    }
    Ok(members)
}

/// The library's message without its own place at the end.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(problem, _)| problem.to_owned())
}

struct MembersVisitor<'a> {
    text: &'a str,
}

impl<'de> Visitor<'de> for MembersVisitor<'de> {
    type Value = Vec<Member>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((name, value)) = map.next_entry::<Cow<'de, str>, &RawValue>()? {
            let value = value.get();
            let start = (value.as_ptr() as usize)
                .checked_sub(self.text.as_ptr() as usize)
                .ok_or_else(|| A::Error::custom("is not where it was read from"))?;
            members.push(Member { name: name.into_owned(), value: start..start + value.len() });
        }
        Ok(members)
    }
}

fn wrong(body: &[u8], at: &Range<usize>, problem: &str, param: &'static str) -> BadRequest {
    bad(problem, Some(param), Some(place(body, at.start)))
}

fn bad(problem: &str, param: Option<&'static str>, place: Option<Place>) -> BadRequest {
    let place = place.unwrap_or(Place { line: 0, column: 0 });
    BadRequest { problem: problem.to_owned(), param, place }
}

/// Line and column of a byte, counted from 1.
fn place(body: &[u8], at: usize) -> Place {
    let before = &body[..at];
    let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
    Place { line: memchr::memchr_iter(b'\n', before).count() + 1, column: at - line_start + 1 }
}
