//! Calls on their way to an app: held until their arguments are whole.

use std::collections::VecDeque;

use serde_json::value::RawValue;

use super::speech::{Content, Part};
use crate::event::{ToolArguments, ToolCall};

/// One choice's calls that have not been said, in order.
#[derive(Debug, Default)]
pub(super) struct Queue(VecDeque<Pending>);

/// A call whose arguments are coming.
#[derive(Debug)]
pub(super) struct Pending {
    index: u32,
    id: String,
    pub name: String,
    pub arguments: String,
    signature: String,
    /// How many objects and arrays of the arguments are open.
    depth: usize,
    in_string: bool,
    escaped: bool,
    complete: bool,
}

impl Queue {
    pub(super) fn push(&mut self, call: Pending) {
        self.0.push_back(call);
    }

    /// Takes a fragment in; whether it belongs to a call here.
    pub(super) fn add(&mut self, part: &ToolArguments) -> bool {
        let Some(call) = self.0.iter_mut().find(|call| call.index == part.index) else {
            return false;
        };
        call.add(&part.arguments);
        true
    }

    /// The first call, if it is complete.
    pub(super) fn next_complete(&mut self) -> Option<Pending> {
        self.0.pop_front_if(|call| call.complete && call.is_object())
    }

    /// The first call, whatever it is.
    pub(super) fn take(&mut self) -> Option<Pending> {
        self.0.pop_front()
    }
}

impl Pending {
    pub(super) fn new(call: &ToolCall, signature: String) -> Self {
        Self {
            index: call.index,
            id: call.id.clone(),
            name: call.name.clone(),
            arguments: String::new(),
            signature,
            depth: 0,
            in_string: false,
            escaped: false,
            complete: false,
        }
    }

    /// About what it takes while it is held.
    pub(super) fn bytes(&self) -> usize {
        let Self { id, name, arguments, signature, .. } = self;
        size_of::<Self>() + id.len() + name.len() + arguments.len() + signature.len()
    }

    /// Whether the arguments are a JSON object, which is all that Google's words can say.
    pub(super) fn is_object(&self) -> bool {
        let raw = serde_json::from_str::<&RawValue>(&self.arguments);
        raw.is_ok_and(|raw| raw.get().starts_with('{'))
    }

    /// Whether there are no arguments: a provider of Chat Completions may write `null` for that.
    pub(super) fn is_bare(&self) -> bool {
        matches!(self.arguments.trim(), "" | "null")
    }

    pub(super) fn part(self) -> Part {
        let is_bare = self.is_bare();
        let Self { id, name, mut arguments, signature, .. } = self;
        if is_bare {
            "{}".clone_into(&mut arguments);
        }
        Part { content: Content::Call { id, name, arguments }, signature }
    }

    /// Looks at every byte once: whether an object has closed must not be found out by parsing it anew each time.
    fn add(&mut self, fragment: &str) {
        self.arguments += fragment;
        for byte in fragment.bytes() {
            if std::mem::take(&mut self.escaped) {
                continue;
            }
            match (self.in_string, byte) {
                (true, b'\\') => self.escaped = true,
                (_, b'"') => self.in_string = !self.in_string,
                (false, b'{' | b'[') => self.depth += 1,
                (false, b'}' | b']') => {
                    self.depth = self.depth.saturating_sub(1);
                    self.complete = self.depth == 0;
                }
                _ => {}
            }
        }
    }
}
