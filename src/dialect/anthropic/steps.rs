//! Events become the steps of a message: blocks that begin, go on and end, one after the other, then the end.
//!
//! What a stream and a whole body have in common. Anthropic's blocks never interleave: of parallel calls whose arguments
//! come mixed, the later ones wait until the first is whole. How much waits is bounded by what the channel's log holds.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::Deserialize;

use super::{
    BLOCK, BLOCK_LAST, BLOCK_PART, DELTA, END, NAME, STRAY,
    braces::Braces,
    finish::{self, Signs},
    shapes::Text,
    step::{Block, Delta, End, Step},
    usage,
};
use crate::{
    dialect::{Dialect, Sealed, seal},
    event::{
        Event, Finished, Kind, Native, Reasoning, RunBy, Started, ToolArguments, ToolCall, Usage,
    },
};

/// Where text is quoted from, in Anthropic's own shapes. Others' citations have no place in its blocks: each of these
/// quotes the source's words (`cited_text`), and that of a web page holds an `encrypted_index` that Anthropic must get
/// back. Others give neither, and what we made up would be a false quotation.
const CITATIONS: [&str; 5] = [
    "char_location",
    "page_location",
    "content_block_location",
    "web_search_result_location",
    "search_result_location",
];

/// Turns one generation's events into steps.
#[derive(Debug, Default)]
pub(super) struct Steps {
    pub head: Started,
    /// Who speaks.
    origin: Option<Dialect>,
    begun: bool,
    open: Option<Open>,
    count: u32,
    /// Calls that wait for the open one to be whole.
    waiting: VecDeque<Waiting>,
    /// The provider's own beginning of the next call.
    announced: Option<Bytes>,
    /// What has come of a block that comes in parts.
    parts: String,
    usage: Option<Usage>,
    refused: bool,
    /// Another provider went on: what it calls the end and how it counts may be another dialect's.
    resumed: bool,
    members: Vec<(String, Bytes)>,
}

#[derive(Debug)]
struct Open {
    index: u32,
    holds: Holds,
}

#[derive(Debug)]
enum Holds {
    Text,
    /// A thought, and whether anything of it was said.
    Thinking(bool),
    Call {
        index: u32,
        braces: Braces,
    },
}

#[derive(Debug)]
struct Waiting {
    index: u32,
    block: Block,
    arguments: String,
    braces: Braces,
}

impl Steps {
    /// Adds the steps that say `event` to `out`.
    pub(super) fn take(&mut self, event: &Event, out: &mut Vec<Step>) {
        if event.choice != 0 {
            // A message is one answer.
            return;
        }
        match &event.kind {
            Kind::Started(started) => {
                self.head = started.clone();
                self.origin = Dialect::parse(&started.dialect);
                self.begin(out);
            }
            Kind::Text(text) => self.text(text, out),
            Kind::Refusal(text) => {
                self.refused = true;
                self.text(text, out);
            }
            Kind::Reasoning(part) => self.reasoning(part, out),
            Kind::ToolCall(call) => self.call(call, out),
            Kind::ToolArguments(part) => self.arguments(part, out),
            Kind::Citation(source) if is_own(source) => {
                let index = self.enter_text(out);
                out.push(Step::Delta(index, Delta::Citation(source.clone())));
            }
            Kind::Usage(usage) => self.usage = Some(usage.clone()),
            Kind::Native(native) if native.dialect == NAME && self.own() => {
                self.native(native, out);
            }
            Kind::Resumed(resumed) => {
                // Calls that were not told yet are void; whoever goes on begins its thoughts anew.
                self.resumed = true;
                self.waiting.clear();
                self.announced = None;
                self.parts.clear();
                if matches!(&self.open, Some(Open { holds: Holds::Thinking(_), .. })) {
                    self.close(out);
                }
                self.origin = Dialect::parse(&resumed.dialect).or(self.origin);
            }
            Kind::Finished(end) => {
                self.begin(out);
                self.close_all(out);
                out.push(Step::End(self.end(end)));
            }
            Kind::Failed(failed) => out.push(Step::Failed(failed.clone())),
            Kind::Citation(_)
            | Kind::Media(_)
            | Kind::ChoiceFinished(_)
            | Kind::Custom(_)
            | Kind::Native(_) => {}
        }
    }

    fn own(&self) -> bool {
        self.origin == Some(Dialect::Anthropic)
    }

    fn begin(&mut self, out: &mut Vec<Step>) {
        if !self.begun {
            self.begun = true;
            out.push(Step::Begin);
        }
    }

    /// Begins a block; the one before it has ended.
    fn push(&mut self, block: Block, out: &mut Vec<Step>) -> u32 {
        self.begin(out);
        let index = self.count;
        self.count += 1;
        out.push(Step::Open(index, block));
        index
    }

    /// Ends the open block.
    fn close(&mut self, out: &mut Vec<Step>) {
        let Some(Open { index, holds }) = self.open.take() else { return };
        if let (Holds::Thinking(true), Some(origin)) = (holds, self.origin)
            && origin != Dialect::Anthropic
        {
            // SDKs leave a thought without a signature out of the next turn; this one says who thought it.
            let signature = seal(origin, Sealed::Signature, "");
            out.push(Step::Delta(index, Delta::Signature(signature)));
        }
        out.push(Step::Close(index));
    }

    /// Ends the open block and says the calls that waited for it.
    fn close_all(&mut self, out: &mut Vec<Step>) {
        self.close(out);
        while self.next_call(out) {
            self.close(out);
        }
    }

    fn enter_text(&mut self, out: &mut Vec<Step>) -> u32 {
        if let Some(Open { index, holds: Holds::Text }) = &self.open {
            return *index;
        }
        self.close_all(out);
        let index = self.push(Block::Text, out);
        self.open = Some(Open { index, holds: Holds::Text });
        index
    }

    fn text(&mut self, text: &str, out: &mut Vec<Step>) {
        let index = self.enter_text(out);
        out.push(Step::Delta(index, Delta::Text(text.to_owned())));
    }

    fn enter_thinking(&mut self, out: &mut Vec<Step>) -> u32 {
        if let Some(Open { index, holds: Holds::Thinking(_) }) = &self.open {
            return *index;
        }
        self.close_all(out);
        let index = self.push(Block::Thinking, out);
        self.open = Some(Open { index, holds: Holds::Thinking(false) });
        index
    }

    fn reasoning(&mut self, part: &Reasoning, out: &mut Vec<Step>) {
        if !part.text.is_empty() {
            let index = self.enter_thinking(out);
            self.open = Some(Open { index, holds: Holds::Thinking(true) });
            out.push(Step::Delta(index, Delta::Thinking(part.text.clone())));
        }
        if !part.signature.is_empty() {
            // A signature is of the thought before it; only Gemini's may be of what follows, so its own stands alone.
            if self.origin == Some(Dialect::Gemini) {
                self.close_all(out);
            }
            let index = self.enter_thinking(out);
            let signature = self.sealed(Sealed::Signature, &part.signature);
            out.push(Step::Delta(index, Delta::Signature(signature)));
            self.open = None;
            out.push(Step::Close(index));
        }
        if !part.encrypted.is_empty() {
            self.close_all(out);
            let data = self.sealed(Sealed::Encrypted, &part.encrypted);
            let index = self.push(Block::Redacted(data), out);
            out.push(Step::Close(index));
        }
    }

    /// What only its maker can read: as it is where that is Anthropic.
    fn sealed(&self, what: Sealed, content: &str) -> String {
        match self.origin {
            None | Some(Dialect::Anthropic) => content.to_owned(),
            Some(origin) => seal(origin, what, content),
        }
    }

    fn call(&mut self, call: &ToolCall, out: &mut Vec<Step>) {
        let announced = self.announced.take();
        if call.run_by == RunBy::Server && !self.own() {
            // Nothing for the app to run, and no block of Anthropic's.
            return;
        }
        let ToolCall { id, name, run_by, .. } = call.clone();
        let block = announced.map_or(Block::Tool { id, name, run_by }, Block::Raw);
        let (index, arguments, braces) = (call.index, String::new(), Braces::default());
        self.waiting.push_back(Waiting { index, block, arguments, braces });
        let own = self.own();
        let unfinished = |open: &Open| match &open.holds {
            Holds::Call { braces, .. } => !own && !braces.closed(),
            Holds::Text | Holds::Thinking(_) => false,
        };
        if !self.open.as_ref().is_some_and(unfinished) {
            self.close(out);
            self.next_call(out);
        }
    }

    /// Says the next call that waits, if there is one.
    fn next_call(&mut self, out: &mut Vec<Step>) -> bool {
        let Some(Waiting { index: call, block, arguments, braces }) = self.waiting.pop_front()
        else {
            return false;
        };
        let index = self.push(block, out);
        if !arguments.is_empty() {
            out.push(Step::Delta(index, Delta::Arguments(arguments)));
        }
        self.open = Some(Open { index, holds: Holds::Call { index: call, braces } });
        true
    }

    fn arguments(&mut self, part: &ToolArguments, out: &mut Vec<Step>) {
        if let Some(Open { index, holds: Holds::Call { index: call, braces } }) = &mut self.open
            && *call == part.index
        {
            braces.read(&part.arguments);
            out.push(Step::Delta(*index, Delta::Arguments(part.arguments.clone())));
        } else if let Some(call) = self.waiting.iter_mut().find(|call| call.index == part.index) {
            call.braces.read(&part.arguments);
            call.arguments.push_str(&part.arguments);
        }
        while let Some(Open { holds: Holds::Call { braces, .. }, .. }) = &self.open {
            if self.waiting.is_empty() || !braces.closed() {
                break;
            }
            self.close(out);
            self.next_call(out);
        }
    }

    fn native(&mut self, native: &Native, out: &mut Vec<Step>) {
        if let Some(kind) = native.name.strip_prefix(BLOCK) {
            return self.block(kind, &native.data, out);
        }
        if let Some(name) = native.name.strip_prefix(END) {
            self.members.retain(|(known, _)| known != name);
            return self.members.push((name.to_owned(), native.data.clone()));
        }
        match native.name.as_str() {
            BLOCK_PART | BLOCK_LAST => {
                self.parts += &serde_json::from_slice::<String>(&native.data).unwrap_or_default();
                if native.name == BLOCK_LAST {
                    let whole = Bytes::from(std::mem::take(&mut self.parts));
                    let kind = kind_of(&whole);
                    self.block(&kind, &whole, out);
                }
            }
            STRAY => {}
            name if name.starts_with(DELTA) => {
                if let Some(Open { index, .. }) = &self.open {
                    out.push(Step::Delta(*index, Delta::Raw(native.data.clone())));
                }
            }
            _ => {
                self.begin(out);
                out.push(Step::Foreign(native.data.clone()));
            }
        }
    }

    /// A block of the provider's own.
    fn block(&mut self, kind: &str, data: &Bytes, out: &mut Vec<Step>) {
        let plain = match kind {
            "text" => Some((Block::Text, Holds::Text)),
            "thinking" => Some((Block::Thinking, Holds::Thinking(false))),
            _ => None,
        };
        if kind == "tool_use" || kind.ends_with("_tool_use") {
            self.announced = Some(data.clone());
        } else if let Some((block, holds)) = plain {
            self.close_all(out);
            let index = self.push(block, out);
            self.open = Some(Open { index, holds });
        } else if data.starts_with(b"{") {
            self.close_all(out);
            let index = self.push(Block::Raw(data.clone()), out);
            out.push(Step::Close(index));
        }
    }

    fn end(&mut self, end: &Finished) -> End {
        let own = self.own() && !self.resumed;
        let signs = Signs { own, refused: self.refused };
        let usage = usage::object(self.usage.as_ref(), own);
        End {
            reason: finish::word(end, signs).to_owned(),
            members: std::mem::take(&mut self.members),
            usage: Bytes::copy_from_slice(usage.get().as_bytes()),
        }
    }
}

fn kind_of(json: &[u8]) -> String {
    #[derive(Default, Deserialize)]
    struct Kind<'a> {
        #[serde(borrow, default, rename = "type")]
        kind: Text<'a>,
    }
    let read: Kind<'_> = serde_json::from_slice(json).unwrap_or_default();
    read.kind.0.into_owned()
}

fn is_own(citation: &[u8]) -> bool {
    CITATIONS.contains(&kind_of(citation).as_str())
}
