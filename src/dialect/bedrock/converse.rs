//! One answer, as ConverseStream tells it: event by event, or block by block of a whole body.
//!
//! Text and reasoning blocks begin without a word. A tool that Amazon runs is said as a call run by the server; its result
//! passes as it came. Usage comes after `messageStop`, so the end is both, or the close of the stream.

use std::borrow::Cow;

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use serde_json::value::RawValue;

use super::{
    NAME, fail, finish,
    payload::{
        Added, Begun, Block, Delta, Image, MessageStop, Metadata, Start, Stop, Thought, ToolUse,
        is_empty,
    },
    usage,
};
use crate::{
    dialect::{Ending, Flow, split},
    event::{
        Event, Failed, FailureCode, Finished, Kind, Media, Native, Reasoning, RunBy, ToolArguments,
        ToolCall,
    },
};

/// The most blocks that may be open at once. They come one after the other, so this is far from any answer.
const OPEN_MAX: usize = 1024;

/// Padding or none: both are sent.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One answer, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Converse {
    id_stem: String,
    /// Blocks that have more to remember than their text.
    open: Vec<Open>,
    calls: u32,
    /// The app is to run at least one of them.
    client_calls: bool,
    media: u32,
    /// Something was said.
    spoken: bool,
    /// `stopReason`.
    word: Option<String>,
    /// `metadata` has come.
    described: bool,
    /// The provider's usage object.
    usage: Option<Bytes>,
    failure: Option<Failed>,
}

#[derive(Debug)]
struct Open {
    block: u64,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    /// A call, and whether it has arguments yet.
    Call { index: u32, argued: bool },
    /// An image, and how many parts of it were said.
    Image { mime: String, index: u32, parts: u32 },
}

impl Converse {
    /// An answer that has not begun. Ids that the provider left out are made from `generation`.
    pub(super) fn new(generation: &str) -> Self {
        // Providers take call ids of up to 40 characters back.
        let plain = generation.strip_prefix("gen_").unwrap_or(generation);
        let id_stem = format!("call_{}", &plain[..plain.floor_char_boundary(24)]);
        Self { id_stem, ..Self::default() }
    }

    /// Where the stream stands.
    pub(super) fn flow(&self) -> Flow {
        match (&self.failure, &self.word) {
            (Some(_), _) => Flow::Ended,
            (None, Some(_)) if self.described => Flow::Ended,
            (None, Some(_)) => Flow::FinishSeen,
            (None, None) => Flow::More,
        }
    }

    /// It ends badly. The first failure holds.
    pub(super) fn fail(&mut self, failed: Failed) {
        self.failure.get_or_insert(failed);
    }

    /// Takes the failure, for another decoder to end with.
    pub(super) fn take_failure(&mut self) -> Option<Failed> {
        self.failure.take()
    }

    /// Reads an event of this name.
    pub(super) fn event(&mut self, name: &str, data: &[u8], out: &mut Vec<Event>) {
        if let Err(error) = self.read(name, data, out) {
            self.fail(fail::unreadable(&error));
        }
    }

    fn read(&mut self, name: &str, data: &[u8], out: &mut Vec<Event>) -> serde_json::Result<()> {
        match name {
            "messageStart" if self.spoken || self.word.is_some() => {
                // A proxy that tried again: two answers must not become one.
                let message = "the provider began a second answer in the same stream";
                self.fail(Failed::new(FailureCode::UpstreamError, message));
            }
            "messageStart" => {}
            "contentBlockStart" => self.start(serde_json::from_slice(data)?, data, out)?,
            "contentBlockDelta" => self.delta(serde_json::from_slice(data)?, data, out)?,
            "contentBlockStop" => {
                let Stop { content_block_index } = serde_json::from_slice(data)?;
                if let Some(at) = self.open.iter().position(|it| it.block == content_block_index) {
                    let open = self.open.swap_remove(at);
                    self.close(open.what, out);
                }
            }
            "messageStop" => {
                let stop: MessageStop<'_> = serde_json::from_slice(data)?;
                self.stop(stop.stop_reason, stop.additional_model_response_fields, out);
            }
            "metadata" => {
                let Metadata { usage, trace } = serde_json::from_slice(data)?;
                self.describe(usage, trace, out);
            }
            _ => self.native(name, Bytes::copy_from_slice(data), out),
        }
        Ok(())
    }

    fn start(
        &mut self,
        start: Start<'_>,
        data: &[u8],
        out: &mut Vec<Event>,
    ) -> serde_json::Result<()> {
        let begun: Begun<'_> = serde_json::from_str(start.start.get())?;
        let what = if let Some(tool) = begun.tool_use {
            self.call(&tool, out)
        } else if let Some(image) = begun.image {
            self.image(image.format)
        } else {
            // A server-run tool's result, or what Amazon adds next.
            self.native("contentBlockStart", Bytes::copy_from_slice(data), out);
            return Ok(());
        };
        self.open(start.content_block_index, what);
        Ok(())
    }

    fn open(&mut self, block: u64, what: What) {
        if self.open.len() == OPEN_MAX {
            let message = format!("the provider opened more than {OPEN_MAX} blocks at once");
            return self.fail(Failed::new(FailureCode::Limit, message));
        }
        self.open.push(Open { block, what });
    }

    fn delta(
        &mut self,
        delta: Delta<'_>,
        data: &[u8],
        out: &mut Vec<Event>,
    ) -> serde_json::Result<()> {
        let block = delta.content_block_index;
        // The latest, should a block's number come twice without its stop.
        let at = self.open.iter().rposition(|open| open.block == block);
        let added: Added<'_> = serde_json::from_str(delta.delta.get())?;
        if let Some(text) = added.text {
            self.text(text, out);
        } else if let Some(thought) = added.reasoning_content {
            self.thought(thought, out);
        } else if let Some(citation) = added.citation {
            self.say(Kind::Citation(copy(citation)), out);
        } else if let (Some(tool), Some(at)) = (&added.tool_use, at)
            && let What::Call { index, .. } = self.open[at].what
        {
            let said = tool.input.is_some_and(|input| self.arguments(index, input, out));
            if let (true, What::Call { argued, .. }) = (said, &mut self.open[at].what) {
                *argued = true;
            }
        } else if let Some(Image { format, source: Some(source) }) = added.image
            && let Some(data) = source.bytes.and_then(|bytes| BASE64.decode(&*bytes).ok())
        {
            let at = at.filter(|&at| matches!(self.open[at].what, What::Image { .. }));
            let at = match at {
                Some(at) => at,
                None => {
                    let what = self.image(format);
                    self.open(block, what);
                    self.open.len() - 1
                }
            };
            let mut what = self.open[at].what.clone();
            self.picture(&mut what, data.into(), out);
            self.open[at].what = what;
        } else {
            self.native("contentBlockDelta", Bytes::copy_from_slice(data), out);
        }
        Ok(())
    }

    /// Says a block of a whole body.
    pub(super) fn block(&mut self, raw: &RawValue, out: &mut Vec<Event>) {
        match serde_json::from_str::<Block<'_>>(raw.get()) {
            Ok(Block { text: Some(text), .. }) => self.text(text, out),
            Ok(Block { reasoning_content: Some(thought), .. }) => self.thought(thought, out),
            Ok(Block { tool_use: Some(tool), .. }) => {
                let mut what = self.call(&tool, out);
                if let (What::Call { index, argued }, Some(input)) = (&mut what, tool.input) {
                    *argued = self.arguments(*index, input, out);
                }
                self.close(what, out);
            }
            Ok(Block { citations_content: Some(cited), .. }) => {
                for part in cited.content {
                    self.text(part.text.unwrap_or_default(), out);
                }
                for citation in cited.citations {
                    self.say(Kind::Citation(copy(citation)), out);
                }
            }
            Ok(Block { image: Some(Image { format, source: Some(source) }), .. })
                if source.bytes.as_deref().is_some_and(|bytes| BASE64.decode(bytes).is_ok()) =>
            {
                let data = source.bytes.and_then(|bytes| BASE64.decode(&*bytes).ok());
                let mut what = self.image(format);
                self.picture(&mut what, data.unwrap_or_default().into(), out);
                self.close(what, out);
            }
            Ok(_) => self.native("content", copy(raw), out),
            Err(error) => self.fail(fail::unreadable(&error)),
        }
    }

    /// Takes the reason of the end.
    pub(super) fn stop(
        &mut self,
        word: Option<Cow<'_, str>>,
        fields: Option<&RawValue>,
        out: &mut Vec<Event>,
    ) {
        self.word = Some(word.unwrap_or_default().into_owned());
        if let Some(fields) = fields.filter(|fields| !is_empty(fields)) {
            self.native("messageStop.additionalModelResponseFields", copy(fields), out);
        }
    }

    /// Takes usage and the guardrail's trace.
    pub(super) fn describe(
        &mut self,
        usage: Option<&RawValue>,
        trace: Option<&RawValue>,
        out: &mut Vec<Event>,
    ) {
        self.described = true;
        self.usage = usage.filter(|usage| !is_empty(usage)).map(copy).or(self.usage.take());
        if let Some(trace) = trace.filter(|trace| !is_empty(trace)) {
            // It comes behind an answer that is whole: one that is too long to say must not spoil it.
            let (dialect, name) = (NAME.to_owned(), "metadata.trace".to_owned());
            let native = Native { dialect, name, data: copy(trace) };
            let _ = split(Event::new(Kind::Native(native)), out);
        }
    }

    fn text(&mut self, text: Cow<'_, str>, out: &mut Vec<Event>) {
        if !text.is_empty() {
            self.say(Kind::Text(text.into_owned()), out);
        }
    }

    fn thought(&mut self, thought: Thought<'_>, out: &mut Vec<Event>) {
        if let Some(inner) = thought.reasoning_text {
            self.thought(*inner, out);
        }
        let owned = |text: Option<Cow<'_, str>>| text.unwrap_or_default().into_owned();
        let part = Reasoning {
            text: owned(thought.text),
            signature: owned(thought.signature),
            encrypted: owned(thought.redacted_content),
        };
        if part != Reasoning::default() {
            self.say(Kind::Reasoning(part), out);
        }
    }

    fn call(&mut self, tool: &ToolUse<'_>, out: &mut Vec<Event>) -> What {
        let index = self.calls;
        self.calls = self.calls.saturating_add(1);
        let run_by = match tool.kind.as_deref() {
            Some("server_tool_use") => RunBy::Server,
            _ => RunBy::Client,
        };
        self.client_calls |= run_by == RunBy::Client;
        let id = tool.tool_use_id.as_deref().filter(|id| !id.is_empty());
        let id = id.map_or_else(|| format!("{}_{index}", self.id_stem), str::to_owned);
        let name = tool.name.as_deref().unwrap_or_default().to_owned();
        self.say(Kind::ToolCall(ToolCall { index, id, name, run_by }), out);
        What::Call { index, argued: false }
    }

    /// Says a call's arguments: a fragment of their text, or the whole of them as JSON. Whether there were any.
    fn arguments(&mut self, index: u32, input: &RawValue, out: &mut Vec<Event>) -> bool {
        let arguments = match input.get() {
            "null" => return false,
            text if text.starts_with('"') => serde_json::from_str(text).unwrap_or_default(),
            json => json.to_owned(),
        };
        if arguments.is_empty() {
            return false;
        }
        self.say(Kind::ToolArguments(ToolArguments { index, arguments }), out);
        true
    }

    fn image(&mut self, format: Option<Cow<'_, str>>) -> What {
        let index = self.media;
        self.media = self.media.saturating_add(1);
        let mime = format!("image/{}", format.as_deref().unwrap_or("png"));
        What::Image { mime, index, parts: 0 }
    }

    fn picture(&mut self, what: &mut What, data: Bytes, out: &mut Vec<Event>) {
        let What::Image { mime, index, parts } = what else { return };
        let before = out.len();
        let media = Media { mime: mime.clone(), data, index: *index, part: *parts, last: false };
        self.say(Kind::Media(media), out);
        // A long one was said in several parts.
        *parts += u32::try_from(out.len() - before).unwrap_or(u32::MAX);
    }

    /// A block is over: a call without arguments has none, and an image has had its last part.
    fn close(&mut self, what: What, out: &mut Vec<Event>) {
        match what {
            What::Call { index, argued: false } => {
                let arguments = "{}".to_owned();
                self.say(Kind::ToolArguments(ToolArguments { index, arguments }), out);
            }
            What::Call { .. } => {}
            What::Image { mime, index, parts: part } => {
                let media = Media { mime, data: Bytes::new(), index, part, last: true };
                self.say(Kind::Media(media), out);
            }
        }
    }

    fn native(&mut self, name: &str, data: Bytes, out: &mut Vec<Event>) {
        let (dialect, name) = (NAME.to_owned(), name.to_owned());
        self.say(Kind::Native(Native { dialect, name, data }), out);
    }

    fn say(&mut self, kind: Kind, out: &mut Vec<Event>) {
        self.spoken = true;
        if let Err(too_large) = split(Event::new(kind), out) {
            self.fail(Failed::new(FailureCode::Limit, too_large.to_string()));
        }
    }

    /// Says the last events.
    pub(super) fn finish(mut self, ending: Ending, out: &mut Vec<Event>) {
        for open in std::mem::take(&mut self.open) {
            // A call that was cut has no arguments; what an image has, it has.
            if matches!(open.what, What::Image { .. }) || self.word.is_some() {
                self.close(open.what, out);
            }
        }
        let reason = self.word.as_deref().map(|word| finish::reason(word, self.client_calls));
        let word = self.word.filter(|word| !word.is_empty());
        let failure = match (self.failure, ending, reason) {
            (Some(failed), ..) | (None, Ending::Stopped(failed), _) => Err(failed),
            (None, _, Some(Some(reason))) => Ok(Finished { reason, native_reason: word }),
            (None, _, Some(None)) => {
                let word = word.unwrap_or_default();
                let message = format!("the provider ended with stopReason {word}");
                Err(Failed::new(FailureCode::UpstreamError, message))
            }
            (None, _, None) => {
                let message = "the provider's stream closed without a messageStop";
                Err(Failed::new(FailureCode::UpstreamCut, message))
            }
        };
        out.extend(self.usage.map(|native| Event::new(Kind::Usage(usage::read(native)))));
        out.push(Event::new(match failure {
            Ok(finished) => Kind::Finished(finished),
            Err(failed) => Kind::Failed(failed),
        }));
    }
}

fn copy(raw: &RawValue) -> Bytes {
    Bytes::copy_from_slice(raw.get().as_bytes())
}
