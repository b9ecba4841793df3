//! An app's Messages request: what the gateway must know of it, and the few edits it makes.
//!
//! Between like and like the body is edited in place. What it means beyond `model` and `stream` is then the provider's to
//! judge; only thoughts that another dialect's provider had, which this gateway sealed, are taken out.

use std::fmt;

use bytes::Bytes;

use super::{PATH, VERSION, read, strip};
use crate::dialect::{
    Asked, BadRequest, Call, Streaming, Upstream,
    body::{self, Body},
    call::Dropped,
};

#[cfg(test)]
mod tests;

/// A Messages request that has been looked at.
#[derive(Clone)]
pub struct Request {
    body: Body,
    model: String,
    streams: bool,
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
        let body = Body::read(body)?;
        let model = body.string(body.top(), "model", "name the model")?;
        let streams = body.flag(body.top(), "stream", "stream")?;
        Ok(Self { body, model, streams })
    }

    /// The public model name it asks for.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Whether the app wants a stream.
    pub fn streams(&self) -> bool {
        self.streams
    }

    /// What its answer depends on. Anthropic's answers always have usage.
    pub fn asked(&self) -> Asked {
        Asked { usage: true, request: self.body.bytes().clone() }
    }

    /// The call for a provider of this dialect: its own model name.
    pub fn upstream(&self, model: &str, streaming: Streaming) -> Upstream {
        self.edited(model, PATH.to_owned(), streaming == Streaming::Always && !self.streams)
    }

    /// The body with another model name, for a path of this dialect.
    pub(super) fn edited(&self, model: &str, path: String, stream: bool) -> Upstream {
        let mut edits = self.body.edit();
        let mut dropped = Dropped::default();
        if model != self.model {
            edits.set(self.body.top(), "model", &body::json(model));
        }
        if stream {
            edits.set(self.body.top(), "stream", "true");
        }
        if let Some(stripped) = strip::without_foreign_thoughts(self.body.bytes(), &mut dropped) {
            edits.set(self.body.top(), "messages", &stripped.messages);
            if stripped.cannot_think {
                dropped.note("thinking");
                edits.set(self.body.top(), "thinking", r#"{"type":"disabled"}"#);
            }
        }
        let headers = vec![(VERSION.0, VERSION.1.to_owned())];
        Upstream { path, headers, body: edits.apply(), dropped }
    }

    /// The call in words that all dialects share.
    pub fn call(&self) -> Result<Call, BadRequest> {
        read::call(self.body.bytes())
    }
}
