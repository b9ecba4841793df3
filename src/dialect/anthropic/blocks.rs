//! A message's blocks, from their beginning over their pieces to their end, become words.
//!
//! Text, thoughts and tool calls are said as they come. Any other block is held until it ends and then said whole: results
//! of tools that the provider ran, compactions, fallbacks, and whatever comes tomorrow. Two blocks of one kind in a row, and
//! an empty one, are told apart by a `native` event, so that an encoder can write the same blocks again.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{
    DELTA, EMPTY_TEXT, EMPTY_THINKING,
    held::Held,
    shapes::{Block, Delta, MEMBERS_MAX, arguments, first_members, said},
    voice::Voice,
};
use crate::{
    event::{Failed, FailureCode, Kind, Reasoning, RunBy, ToolArguments, ToolCall},
    provider::sse,
};

/// The most blocks that may be open at once. Anthropic opens one at a time.
const OPEN_MAX: usize = 64;

/// The most bytes of blocks that are held at once: as many as a single event may have.
const HELD_BYTES_MAX: usize = sse::EVENT_BYTES_MAX;

/// A message's blocks, as far as they have come.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    open: Vec<Open>,
    held: usize,
    /// How many calls have begun, whoever runs them.
    calls: u32,
    /// The last block's kind where it is one that two in a row could not be told apart of.
    previous: Option<Plain>,
    /// What ids made up for calls begin with.
    id_stem: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plain {
    Text,
    Thinking,
}

impl Plain {
    fn empty(self) -> &'static str {
        match self {
            Self::Text => EMPTY_TEXT,
            Self::Thinking => EMPTY_THINKING,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Thinking => "thinking",
        }
    }
}

#[derive(Debug)]
struct Open {
    index: Option<u64>,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    /// Text or thinking: whether anything of it was said, and a signature that came with its beginning.
    Plain { plain: Plain, said: bool, signature: String },
    /// A call, and its arguments where they came with its beginning: what comes in pieces replaces them.
    Call { index: u32, whole: String },
    /// Nothing more to say.
    Done,
    /// To be said whole.
    Held { kind: String, held: Held },
}

impl Blocks {
    /// The blocks of a message of which nothing has come. `id_stem` begins the ids made up for calls.
    pub(super) fn new(id_stem: String) -> Self {
        Self { id_stem, ..Self::default() }
    }

    /// A block begins.
    pub(super) fn start(
        &mut self,
        index: Option<u64>,
        raw: &RawValue,
        to: &mut Voice<'_>,
    ) -> Result<(), Failed> {
        self.stop(index, to);
        if self.open.len() == OPEN_MAX {
            let message = format!("the provider began more than {OPEN_MAX} blocks at once");
            return Err(Failed::new(FailureCode::Limit, message));
        }
        let block: Block<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
        let kind = block.kind.as_str();
        let before = self.previous.take();
        let shape = match kind {
            "text" | "thinking" => {
                let plain = if kind == "text" { Plain::Text } else { Plain::Thinking };
                let signature = block.signature.0.into_owned();
                let mut shape = Shape::Plain { plain, said: before == Some(plain), signature };
                if before == Some(plain) {
                    to.block(kind, plain.empty());
                }
                self.previous = Some(plain);
                for citation in said(block.citations).map(list).into_iter().flatten() {
                    shape.speak(Kind::Citation(copy(citation)), to);
                }
                shape.text(block.text.0.into_owned(), to);
                shape.thought(block.thinking.0.into_owned(), to);
                shape
            }
            "redacted_thinking" if !block.data.as_str().is_empty() => {
                let encrypted = block.data.0.into_owned();
                to.say(Kind::Reasoning(Reasoning { encrypted, ..Reasoning::default() }));
                Shape::Done
            }
            _ if kind == "tool_use" || kind.ends_with("_tool_use") => self.call(&block, raw, to),
            _ => {
                let kind = kind.to_owned();
                Shape::Held { kind, held: Held::new(raw) }
            }
        };
        self.open.push(Open { index, shape });
        self.check()
    }

    fn call(&mut self, block: &Block<'_>, raw: &RawValue, to: &mut Voice<'_>) -> Shape {
        let kind = block.kind.as_str();
        let index = self.calls;
        self.calls = self.calls.saturating_add(1);
        let id = match block.id.as_str() {
            "" => format!("{}_{index}", self.id_stem),
            id => id.to_owned(),
        };
        let hollow = |it: &str| it.strip_prefix('{').is_some_and(|it| it.trim_ascii() == "}");
        let whole = said(block.input).map(arguments).filter(|input| !hollow(input));
        let whole = whole.unwrap_or_default();
        let members = first_members(raw, MEMBERS_MAX);
        let known = |name: &str| matches!(name, "type" | "id" | "name" | "input");
        let plain = matches!(kind, "tool_use" | "server_tool_use")
            && members.iter().all(|(name, value)| known(name) || value.get() == "null");
        if !plain {
            let member = |(name, value): &(String, &RawValue)| {
                let value = if name == "input" { "{}" } else { value.get() };
                format!("{}:{value}", serde_json::Value::from(name.as_str()))
            };
            let members: Vec<_> = members.iter().map(member).collect();
            to.block(kind, &format!("{{{}}}", members.join(",")));
        }
        let run_by = if kind == "tool_use" { RunBy::Client } else { RunBy::Server };
        let name = block.name.as_str().to_owned();
        to.say(Kind::ToolCall(ToolCall { index, id, name, run_by }));
        Shape::Call { index, whole }
    }

    /// A piece of a block comes.
    pub(super) fn delta(
        &mut self,
        index: Option<u64>,
        raw: &RawValue,
        to: &mut Voice<'_>,
    ) -> Result<(), Failed> {
        let delta: Delta<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
        let mut nowhere = Shape::Done;
        let open = self.open.iter_mut().rfind(|open| open.index == index);
        let shape = open.map_or(&mut nowhere, |open| &mut open.shape);
        match (delta.kind.as_str(), &mut *shape) {
            (_, Shape::Held { held, .. }) => {
                held.add(raw);
                return self.check();
            }
            ("text_delta", _) => shape.text(delta.text.0.into_owned(), to),
            ("thinking_delta", _) => shape.thought(delta.thinking.0.into_owned(), to),
            ("signature_delta", _) => shape.sign(delta.signature.0.into_owned(), to),
            ("citations_delta", _) => {
                if let Some(citation) = said(delta.citation) {
                    shape.speak(Kind::Citation(copy(citation)), to);
                }
            }
            ("input_json_delta", Shape::Call { index, whole }) => {
                let (index, arguments) = (*index, delta.partial_json.0.into_owned());
                if !arguments.is_empty() {
                    whole.clear();
                    to.say(Kind::ToolArguments(ToolArguments { index, arguments }));
                }
            }
            (kind, _) => to.native(format!("{DELTA}{kind}"), raw.get()),
        }
        Ok(())
    }

    /// A block ends.
    pub(super) fn stop(&mut self, index: Option<u64>, to: &mut Voice<'_>) {
        if let Some(at) = self.open.iter().rposition(|open| open.index == index) {
            self.open.remove(at).shape.close(to);
        }
    }

    /// Nothing more comes.
    pub(super) fn close(&mut self, to: &mut Voice<'_>) {
        self.open.drain(..).for_each(|open| open.shape.close(to));
    }

    fn check(&mut self) -> Result<(), Failed> {
        self.held = self.open.iter().map(|open| open.shape.length()).sum();
        if self.held <= HELD_BYTES_MAX {
            return Ok(());
        }
        let message = format!("the provider's open blocks exceed {HELD_BYTES_MAX} bytes");
        Err(Failed::new(FailureCode::Limit, message))
    }
}

impl Shape {
    fn speak(&mut self, kind: Kind, to: &mut Voice<'_>) {
        if let Self::Plain { said, .. } = self {
            *said = true;
        }
        to.say(kind);
    }

    fn text(&mut self, text: String, to: &mut Voice<'_>) {
        if !text.is_empty() {
            self.speak(Kind::Text(text), to);
        }
    }

    fn thought(&mut self, text: String, to: &mut Voice<'_>) {
        if !text.is_empty() {
            self.speak(Kind::Reasoning(Reasoning { text, ..Reasoning::default() }), to);
        }
    }

    fn sign(&mut self, signature: String, to: &mut Voice<'_>) {
        if let Self::Plain { signature, .. } = self {
            signature.clear();
        }
        if !signature.is_empty() {
            self.speak(Kind::Reasoning(Reasoning { signature, ..Reasoning::default() }), to);
        }
    }

    fn close(mut self, to: &mut Voice<'_>) {
        if let Self::Plain { signature, .. } = &mut self {
            let signature = std::mem::take(signature);
            self.sign(signature, to);
        }
        match self {
            Self::Plain { plain, said: false, .. } => to.block(plain.name(), plain.empty()),
            Self::Call { index, whole } if !whole.is_empty() => {
                to.say(Kind::ToolArguments(ToolArguments { index, arguments: whole }));
            }
            Self::Held { kind, held } => to.block(&kind, &held.written()),
            Self::Plain { .. } | Self::Call { .. } | Self::Done => {}
        }
    }

    /// The bytes that are held for it.
    fn length(&self) -> usize {
        match self {
            Self::Plain { signature, .. } => signature.len(),
            Self::Call { whole, .. } => whole.len(),
            Self::Done => 0,
            Self::Held { held, .. } => held.length(),
        }
    }
}

/// The elements of a list; of anything else none.
pub(super) fn list(raw: &RawValue) -> Vec<&RawValue> {
    serde_json::from_str(raw.get()).unwrap_or_default()
}

fn copy(raw: &RawValue) -> Bytes {
    Bytes::copy_from_slice(raw.get().as_bytes())
}
