//! An app's JSON body, read by places and edited in place.
//!
//! Every byte that is not a value we change goes upstream as it came, in its order, with its spaces. Only the members of
//! the top level, and of objects in it that are asked for, are looked at; what is in their values is not parsed.

use std::{borrow::Cow, fmt, ops::Range};

use bytes::Bytes;
use serde::{
    Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use thiserror::Error;

use super::call::Unsayable;

/// What is wrong with a request, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{problem}{place}")]
pub struct BadRequest {
    /// What is wrong.
    pub problem: String,
    /// The member that is wrong, for the error's `param`.
    pub param: Option<String>,
    place: Place,
}

impl BadRequest {
    /// A member that is not what it must be: `problem` names it, says what is wrong and what would be right.
    pub fn of(param: impl Into<String>, problem: impl Into<String>) -> Self {
        let (problem, param) = (problem.into(), Some(param.into()));
        Self { problem, param, place: Place { line: 0, column: 0 } }
    }
}

impl From<Unsayable> for BadRequest {
    fn from(error: Unsayable) -> Self {
        let problem = error.to_string();
        Self::of(error.path, problem)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    line: usize,
    column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => Ok(()),
            line => write!(f, " (line {line}, column {})", self.column),
        }
    }
}

/// A member of an object, by its places in the body.
#[derive(Clone, Debug)]
struct Member {
    name: String,
    value: Range<usize>,
}

/// A body that is a JSON object, and the places of its members.
#[derive(Clone)]
pub(super) struct Body {
    bytes: Bytes,
    top: Object,
}

/// An object within a body.
#[derive(Clone, Debug)]
pub(super) struct Object {
    within: Range<usize>,
    members: Vec<Member>,
    /// Its JSON path: `$`, `$.stream_options`.
    path: String,
}

impl Body {
    /// Looks at a body.
    pub(super) fn read(bytes: Bytes) -> Result<Self, BadRequest> {
        let within = 0..bytes.len();
        let members = members(&bytes, within.clone(), "$")?;
        Ok(Self { bytes, top: Object { within, members, path: "$".to_owned() } })
    }

    /// The body as it came.
    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The object that the body is.
    pub(super) fn top(&self) -> &Object {
        &self.top
    }

    /// A string that must be there and hold something; `what` ends the error's sentence.
    pub(super) fn string(
        &self,
        object: &Object,
        name: &str,
        what: &str,
    ) -> Result<String, BadRequest> {
        let path = format!("{}.{name}", object.path);
        let Some(at) = find(&object.members, name) else {
            return Err(BadRequest::of(name, format!("{path} is missing: {what}")));
        };
        let text: Option<String> = serde_json::from_slice(&self.bytes[at.clone()]).ok();
        let text = text.filter(|text| !text.is_empty());
        text.ok_or_else(|| self.wrong(&at, &format!("{path} must be a string"), name))
    }

    /// A member that is true, false, null or not there; `param` is what an error is about.
    pub(super) fn flag(
        &self,
        object: &Object,
        name: &str,
        param: &str,
    ) -> Result<bool, BadRequest> {
        match find(&object.members, name) {
            None => Ok(false),
            Some(at) => match &self.bytes[at.clone()] {
                b"true" => Ok(true),
                b"false" | b"null" => Ok(false),
                _ => {
                    let problem = format!("{}.{name} must be true or false", object.path);
                    Err(self.wrong(&at, &problem, param))
                }
            },
        }
    }

    /// An object that may be null or not there.
    pub(super) fn object(&self, object: &Object, name: &str) -> Result<Option<Object>, BadRequest> {
        let Some(at) = find(&object.members, name) else { return Ok(None) };
        let path = format!("{}.{name}", object.path);
        match self.bytes[at.start] {
            b'{' => {
                let members = members(&self.bytes, at.clone(), &path)?;
                Ok(Some(Object { within: at, members, path }))
            }
            b'n' => Ok(None),
            _ => Err(self.wrong(&at, &format!("{path} must be an object"), name)),
        }
    }

    /// Begins to edit.
    pub(super) fn edit(&self) -> Edits<'_> {
        Edits { body: &self.bytes, list: Vec::new() }
    }

    fn wrong(&self, at: &Range<usize>, problem: &str, param: &str) -> BadRequest {
        bad(problem, Some(param), Some(place(&self.bytes, at.start)))
    }
}

impl Object {
    /// Whether it has a member of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        find(&self.members, name).is_some()
    }
}

/// Replacements of places in a body.
pub(super) struct Edits<'a> {
    body: &'a Bytes,
    list: Vec<(Range<usize>, String)>,
}

impl Edits<'_> {
    /// Sets a member of an object to a JSON value: in its place, or as its last.
    pub(super) fn set(&mut self, object: &Object, name: &str, value: &str) {
        let Object { within, members, .. } = object;
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

    /// The edited body.
    pub(super) fn apply(mut self) -> Bytes {
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

/// A string as JSON.
pub(super) fn json(text: &str) -> String {
    serde_json::to_string(text).expect("a string becomes JSON")
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

fn bad(problem: &str, param: Option<&str>, place: Option<Place>) -> BadRequest {
    let place = place.unwrap_or(Place { line: 0, column: 0 });
    BadRequest { problem: problem.to_owned(), param: param.map(str::to_owned), place }
}

/// Line and column of a byte, counted from 1.
fn place(body: &[u8], at: usize) -> Place {
    let before = &body[..at];
    let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
    Place { line: memchr::memchr_iter(b'\n', before).count() + 1, column: at - line_start + 1 }
}
