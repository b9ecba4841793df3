//! An app's Responses request: what the gateway must know of it, and the few edits it makes.
//!
//! Between like and like the body is edited in place. The gateway keeps responses itself, for every provider alike: work
//! in the background is its own, so no provider is asked for it, and a previous response that it keeps is written into
//! the input.

use std::fmt;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{
    super::{
        Asked, BadRequest, Call, Streaming, Upstream,
        body::{self, Body},
        call::Dropped,
        unseal,
    },
    ask,
    frame::{self, Item, read, text, word},
};

/// Under the base URL, which ends in `/v1`.
pub(super) const PATH: &str = "/responses";

/// What every sealed string begins with.
const SEAL: &[u8] = b"dG9rZW53YXk6MT";

/// A Responses request that has been looked at.
#[derive(Clone)]
pub struct Request {
    body: Body,
    model: String,
    streams: bool,
    background: bool,
    stores: bool,
    previous: Option<String>,
    conversation: bool,
}

/// Without the body: it is the prompt.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, streams, background, .. } = self;
        let mut shown = f.debug_struct("Request");
        shown.field("model", model).field("streams", streams).field("background", background);
        shown.finish_non_exhaustive()
    }
}

impl Request {
    /// Looks at a body.
    pub fn read(body: Bytes) -> Result<Self, BadRequest> {
        #[derive(Default, serde::Deserialize)]
        #[serde(default)]
        struct Members<'a> {
            #[serde(borrow)]
            store: frame::Raw<'a>,
            #[serde(borrow)]
            previous_response_id: frame::Raw<'a>,
            #[serde(borrow)]
            conversation: frame::Raw<'a>,
        }
        let body = Body::read(body)?;
        let model = body.string(body.top(), "model", "name the model")?;
        let streams = body.flag(body.top(), "stream", "stream")?;
        let background = body.flag(body.top(), "background", "background")?;
        body.flag(body.top(), "store", "store")?;
        let members: Members<'_> = serde_json::from_slice(body.bytes()).unwrap_or_default();
        let stores = members.store.is_none_or(|store| store.get() != "false");
        let given = |raw: frame::Raw<'_>| raw.is_some_and(|raw| raw.get() != "null");
        if given(members.previous_response_id) {
            body.string(body.top(), "previous_response_id", "name the response")?;
        }
        let previous = text(members.previous_response_id);
        let conversation = given(members.conversation);
        Ok(Self { model, streams, background, stores, previous, conversation, body })
    }

    /// The public model name it asks for.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Whether the app wants a stream.
    pub fn streams(&self) -> bool {
        self.streams
    }

    /// Whether the work is to go on without the app.
    pub fn background(&self) -> bool {
        self.background
    }

    /// Whether its input may be kept for a later turn (`store`, by default true).
    pub fn stores(&self) -> bool {
        self.stores
    }

    /// The response that it goes on from.
    pub fn previous_response_id(&self) -> Option<&str> {
        self.previous.as_deref()
    }

    /// Whether it names a conversation that only the provider keeps.
    pub fn conversation(&self) -> bool {
        self.conversation
    }

    /// What its answer depends on.
    pub fn asked(&self) -> Asked {
        Asked { usage: true, request: self.body.bytes().clone() }
    }

    /// The call for a provider of this dialect: its own model name, in the foreground, without thoughts that another
    /// dialect's provider sealed.
    pub fn upstream(&self, model: &str, streaming: Streaming) -> Upstream {
        let top = self.body.top();
        let mut edits = self.body.edit();
        let mut dropped = Dropped::default();
        if model != self.model {
            edits.set(top, "model", &body::json(model));
        }
        if !self.streams && (streaming == Streaming::Always || self.background) {
            edits.set(top, "stream", "true");
        }
        if self.background {
            edits.set(top, "background", "false");
        }
        if memchr::memmem::find(self.body.bytes(), SEAL).is_some() {
            let items = self.items();
            let kept: Vec<_> = (0..)
                .zip(&items)
                .filter(|(at, item)| {
                    let sealed = is_sealed(item);
                    if sealed {
                        dropped.note(format!("input[{at}]"));
                    }
                    !sealed
                })
                .map(|(_, item)| item.get())
                .collect();
            if kept.len() < items.len() {
                edits.set(top, "input", &format!("[{}]", kept.join(",")));
            }
        }
        Upstream { path: PATH.to_owned(), headers: Vec::new(), body: edits.apply(), dropped }
    }

    /// The items of its input, each as it came; a string is a message of the user.
    pub fn items(&self) -> Vec<Box<RawValue>> {
        let input = self.input();
        let raw = input.as_deref();
        match raw.filter(|raw| raw.get().starts_with('"')) {
            Some(text) => {
                let item = format!(r#"{{"role":"user","content":{}}}"#, text.get());
                vec![RawValue::from_string(item).expect("JSON")]
            }
            None => frame::list(raw).into_iter().map(ToOwned::to_owned).collect(),
        }
    }

    fn input(&self) -> Option<Box<RawValue>> {
        #[derive(serde::Deserialize)]
        struct Members {
            input: Option<Box<RawValue>>,
        }
        serde_json::from_slice::<Members>(self.body.bytes()).ok()?.input
    }

    /// The request with the items of earlier turns before its own input, and no `previous_response_id`. What the answer
    /// repeats is still the app's: take [`asked`](Self::asked) from the request as it came.
    #[must_use]
    pub fn with_input(&self, previous: &[Box<RawValue>]) -> Self {
        let items: Vec<_> = previous.iter().cloned().chain(self.items()).collect();
        let mut edits = self.body.edit();
        if self.previous.is_some() {
            edits.set(self.body.top(), "previous_response_id", "null");
        }
        let edited = Body::read(edits.apply()).expect("an edited object is an object");
        Self { body: edited, previous: None, ..self.clone() }.with_items(&items)
    }

    /// The request with these items as its input.
    #[must_use]
    pub fn with_items(&self, items: &[Box<RawValue>]) -> Self {
        let items: Vec<_> = items.iter().map(|item| item.get()).collect();
        let mut edits = self.body.edit();
        edits.set(self.body.top(), "input", &format!("[{}]", items.join(",")));
        let edited = Body::read(edits.apply()).expect("an edited object is an object");
        Self { body: edited, ..self.clone() }
    }

    /// The call in words that all dialects share.
    pub fn call(&self) -> Result<Call, BadRequest> {
        ask::call(self.body.bytes())
    }
}

/// Whether an item is a thought that another dialect's provider made.
fn is_sealed(raw: &RawValue) -> bool {
    let item: Item<'_> = read(Some(raw));
    word(item.kind) == "reasoning"
        && text(item.encrypted_content).is_some_and(|content| unseal(&content).is_some())
}

#[cfg(test)]
mod tests;
