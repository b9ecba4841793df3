//! An app's chat request: what the gateway must know of it, and the few edits it makes.
//!
//! Between like and like the body is edited in place. What it means beyond `model`, `stream`, `stream_options` is then the
//! provider's to judge; only thoughts that another dialect's provider had are taken out.

use std::fmt;

use bytes::Bytes;

use super::{
    super::{
        Asked, BadRequest, Call, Streaming, Upstream,
        body::{self, Body, Object},
        call::Dropped,
    },
    read, strip,
};

/// Under the base URL, which ends in `/v1`.
pub(super) const PATH: &str = "/chat/completions";

/// A chat request that has been looked at.
#[derive(Clone)]
pub struct Request {
    body: Body,
    options: Option<Object>,
    model: String,
    streams: bool,
    asks_usage: bool,
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
        let options = body.object(body.top(), "stream_options")?;
        let asks_usage = match &options {
            Some(options) => body.flag(options, "include_usage", "stream_options")?,
            None => false,
        };
        Ok(Self { model, streams, asks_usage, options, body })
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

    /// What its answer depends on.
    pub fn asked(&self) -> Asked {
        Asked { usage: self.asks_usage, request: self.body.bytes().clone() }
    }

    /// The call for a provider of this dialect: its own model name, usage asked for in any stream, and
    /// without thoughts that another dialect's provider had.
    pub fn upstream(&self, model: &str, streaming: Streaming) -> Upstream {
        let mut edits = self.body.edit();
        if model != self.model {
            edits.set(self.body.top(), "model", &body::json(model));
        }
        let streams = self.streams || streaming == Streaming::Always;
        if streams && !self.streams {
            edits.set(self.body.top(), "stream", "true");
        }
        if streams && !self.asks_usage {
            match &self.options {
                Some(options) => edits.set(options, "include_usage", "true"),
                None => {
                    edits.set(self.body.top(), "stream_options", "{\"include_usage\":true}");
                }
            }
        }
        let mut dropped = Dropped::default();
        let messages = strip::without_foreign_thoughts(self.body.bytes(), &mut dropped);
        if let Some(messages) = messages {
            edits.set(self.body.top(), "messages", &messages);
        }
        Upstream { path: PATH.to_owned(), headers: Vec::new(), body: edits.apply(), dropped }
    }

    /// The call in words that all dialects share.
    pub fn call(&self) -> Result<Call, BadRequest> {
        read::read(self.body.bytes())
    }
}

#[cfg(test)]
mod tests;
