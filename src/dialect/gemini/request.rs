//! An app's `generateContent` request: what the gateway must know of it, and the few edits it makes.
//!
//! Model, method and framing are in the path, not in the body. Between like and like the body goes upstream as it came, but
//! for thoughts that another dialect's provider had.

use std::fmt::{self, Write as _};

use bytes::Bytes;

use super::{
    super::{
        Asked, BadRequest, Call, Streaming, Upstream,
        body::{self, Body},
        call::Dropped,
    },
    read, strip,
};

/// How an app wants its stream framed: `?alt=sse`, or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AppFraming {
    /// Server-sent events.
    #[default]
    Sse,
    /// One JSON array, its elements one by one.
    Array,
}

/// A request that has been looked at.
#[derive(Clone)]
pub struct Request {
    body: Body,
    model: String,
    streams: bool,
    framing: AppFraming,
}

/// Without the body: it is the prompt.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, streams, framing, .. } = self;
        let mut shown = f.debug_struct("Request");
        shown.field("model", model).field("streams", streams).field("framing", framing);
        shown.finish_non_exhaustive()
    }
}

impl Request {
    /// Looks at a body; model and method are the path's.
    pub fn read(model: &str, streams: bool, body: Bytes) -> Result<Self, BadRequest> {
        let body = Body::read(body)?;
        Ok(Self { body, model: model.to_owned(), streams, framing: AppFraming::default() })
    }

    /// The same, to be streamed in this framing.
    pub fn framed(self, framing: AppFraming) -> Self {
        Self { framing, ..self }
    }

    /// How the app wants its stream framed.
    pub fn framing(&self) -> AppFraming {
        self.framing
    }

    /// The public model name it asks for.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Whether the app wants a stream.
    pub fn streams(&self) -> bool {
        self.streams
    }

    /// What its answer depends on. Usage is in every answer of this dialect.
    pub fn asked(&self) -> Asked {
        Asked { usage: true, request: self.body.bytes().clone() }
    }

    /// The call for a provider of this dialect: its own model name, in the app's own framing, without thoughts that
    /// another dialect's provider had.
    pub fn upstream(&self, model: &str, streaming: Streaming) -> Upstream {
        let method = match (self.streams, self.framing, streaming) {
            (true, AppFraming::Array, _) => Method::StreamArray,
            (true, ..) | (false, _, Streaming::Always) => Method::StreamSse,
            (false, _, Streaming::AsAsked) => Method::Whole,
        };
        let mut edits = self.body.edit();
        if model != self.model && self.body.top().has("model") {
            edits.set(self.body.top(), "model", &body::json(&resource(model)));
        }
        let mut dropped = Dropped::default();
        let bytes = self.body.bytes();
        let contents = strip::without_foreign_thoughts(bytes, model, &mut dropped);
        if let Some(contents) = contents {
            edits.set(self.body.top(), "contents", &contents);
        }
        Upstream { path: method.path(model), headers: Vec::new(), body: edits.apply(), dropped }
    }

    /// The call in words that all dialects share.
    pub fn call(&self) -> Result<Call, BadRequest> {
        read::call(self.body.bytes())
    }
}

/// How a model is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Whole,
    StreamArray,
    StreamSse,
}

impl Method {
    /// The path under a provider's base URL, which is the origin.
    pub(super) fn path(self, model: &str) -> String {
        let method = match self {
            Self::Whole => "generateContent",
            Self::StreamArray => "streamGenerateContent",
            Self::StreamSse => "streamGenerateContent?alt=sse",
        };
        format!("/v1beta/{}:{method}", resource(model))
    }
}

/// A model's resource name, fit for a path: `models/gemini-2.5-flash`, `tunedModels/mine`.
pub fn resource(model: &str) -> String {
    let collections = ["models/", "tunedModels/", "projects/", "publishers/"];
    // A name may be an app's: it must not lead elsewhere.
    let climbs = model.split('/').any(|step| step == "..");
    let named = !climbs && collections.iter().any(|it| model.starts_with(it));
    let mut name = if named { String::new() } else { "models/".to_owned() };
    for byte in model.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'@' => {
                name.push(char::from(byte));
            }
            b'/' if named => name.push('/'),
            _ => write!(name, "%{byte:02X}").expect("a string grows as needed"),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_goes_upstream_as_it_came_and_the_path_says_the_rest() {
        let body = "{ \"contents\" : [ ],\r\n\"other\":1e400}";
        let read = |streams| Request::read("fast", streams, body.into()).expect("a request");
        for (request, streaming, path) in [
            (read(false), Streaming::AsAsked, ":generateContent"),
            (read(false), Streaming::Always, ":streamGenerateContent?alt=sse"),
            (read(true), Streaming::AsAsked, ":streamGenerateContent?alt=sse"),
            (read(true).framed(AppFraming::Array), Streaming::Always, ":streamGenerateContent"),
            (
                read(false).framed(AppFraming::Array),
                Streaming::Always,
                ":streamGenerateContent?alt=sse",
            ),
        ] {
            let upstream = request.upstream("gemini-2.5-pro", streaming);
            assert_eq!(upstream.path, format!("/v1beta/models/gemini-2.5-pro{path}"));
            assert_eq!(upstream.body, body);
        }
        let named = Request::read("fast", true, r#"{"model":"models/fast"}"#.into());
        let upstream = named.expect("a request").upstream("m", Streaming::AsAsked);
        assert_eq!(upstream.body, r#"{"model":"models/m"}"#);
    }

    #[test]
    fn names_are_fit_for_a_path() {
        for (model, expected) in [
            ("gemini-2.5-flash", "models/gemini-2.5-flash"),
            ("models/gemini-2.5-flash", "models/gemini-2.5-flash"),
            ("tunedModels/my model", "tunedModels/my%20model"),
            ("google/gemini?x", "models/google%2Fgemini%3Fx"),
            ("é:b", "models/%C3%A9%3Ab"),
        ] {
            assert_eq!(resource(model), expected);
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for body in ["[]", "{", "7"] {
            assert!(Request::read("m", true, body.into()).is_err(), "{body}");
        }
    }
}
