//! Events become Responses events, in the full lifecycle that strict SDKs want.
//!
//! A deterministic function of one generation's events: fed the same events it writes the same bytes with the same
//! `sequence_number`s, so a resumed stream is the tail of the same payloads. It holds the whole output, because the last
//! payload repeats it. Reasoning is told as summaries. What another provider signed or encrypted travels sealed in
//! `encrypted_content`; a signature that signs what follows it is a reasoning item of its own.

use std::collections::HashMap;

use base64::Engine;
use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};

use super::{
    super::{Asked, Dialect, Sealed, Wire, seal},
    NAME, cite,
    items::BASE64,
    lifecycle::{
        Added, Annotation, ArgumentsDelta, ArgumentsDone, Delta, InputDone, PartStep, Place,
        RefusalDone, Step, SummaryDelta, SummaryDone, SummaryPlace, SummaryStep, TextDelta,
        TextDone,
    },
    output::{COMPLETED, IN_PROGRESS, INCOMPLETE, Item, Output, Part, Summary},
    response::Response,
    usage,
};
use crate::event::{
    EVENT_BYTES_MAX, Event, Failed, FailureCode, FinishReason, Finished, Kind, Media, Native,
    Reasoning, RunBy, ToolCall,
};

#[cfg(test)]
mod tests;

/// A piece as long as this may be cut from something longer: what follows goes on from it.
const PIECE_BYTES_MIN: usize = EVENT_BYTES_MAX - 2048;

/// Sources that came before any text; more than anybody reads.
const CITATIONS_MAX: usize = 1024;

/// Writes one generation's stream for one app.
#[derive(Debug)]
pub struct Encoder {
    pub(super) response: Response,
    next: u64,
    begun: bool,
    ended: bool,
    open: Open,
    calls: Vec<Call>,
    introduced: Option<Introduced>,
    /// Sources that came before the text they belong to.
    citations: Vec<Box<RawValue>>,
    /// The parts so far of images that are still coming, by the media's index.
    images: HashMap<u32, Vec<u8>>,
    /// The members of an image's item, whose image is still to come.
    image: Option<Map<String, Value>>,
    refused: bool,
}

/// The item that text and thoughts go to.
#[derive(Debug)]
enum Open {
    Nothing,
    /// A message at this place of the output; whether its last part is open.
    Message {
        at: usize,
        part: bool,
    },
    /// A thought, and what is known of its maker's marks.
    Thought {
        at: usize,
        part: bool,
        signature: String,
        encrypted: String,
        whole: bool,
    },
}

/// A call that the app is to run.
#[derive(Debug)]
struct Call {
    /// In the events.
    index: u32,
    /// In the output.
    at: usize,
    done: bool,
}

/// What the provider told of an item before it began.
#[derive(Debug, Default)]
struct Introduced {
    sort: String,
    id: Option<String>,
    phase: Option<String>,
}

impl Encoder {
    /// An encoder for a generation whose events are given from the first on.
    pub fn new(asked: &Asked) -> Self {
        Self {
            response: Response::new(asked),
            next: 0,
            begun: false,
            ended: false,
            open: Open::Nothing,
            calls: Vec::new(),
            introduced: None,
            citations: Vec::new(),
            images: HashMap::new(),
            image: None,
            refused: false,
        }
    }

    /// The same for a response that the app knows by this id, because it was served the provider's own payloads.
    #[must_use]
    pub fn of_response(mut self, id: impl Into<String>) -> Self {
        self.response.id = id.into();
        self
    }

    /// Numbers what follows from `next` on: an app that was served the provider's own payloads counts in their numbers.
    pub fn number_from(&mut self, next: u64) {
        self.next = next;
    }

    /// The number of the next payload.
    pub fn next_number(&self) -> u64 {
        self.next
    }

    /// Adds the payloads that say `event` to `out`. To resume after some event, give all before it too and drop what
    /// they say.
    pub fn encode(&mut self, event: &Event, out: &mut Vec<Wire>) {
        if self.ended || (event.choice != 0 && !event.is_terminal()) {
            return;
        }
        if let Kind::Started(started) = &event.kind {
            self.response.start(started);
        }
        self.begin(out);
        let keeps_image = match &event.kind {
            Kind::Media(_) | Kind::ToolArguments(_) | Kind::Usage(_) => true,
            Kind::ToolCall(call) => call.run_by == RunBy::Server,
            _ => false,
        };
        if !keeps_image && let Some(members) = self.image.take() {
            self.picture(members, None, out);
        }
        match &event.kind {
            Kind::Text(text) => self.text(text, true, out),
            Kind::Refusal(text) => {
                self.refused = true;
                self.text(text, false, out);
            }
            Kind::Reasoning(part) => self.reasoning(part, out),
            Kind::ToolCall(call) if call.run_by == RunBy::Client => self.call(call, out),
            Kind::ToolArguments(part) => self.arguments(part.index, &part.arguments, out),
            Kind::Citation(source) => self.cite(source, out),
            Kind::Media(media) => self.media(media, out),
            Kind::Usage(usage) => {
                self.response.usage = Some(usage::object(usage, self.response.own()));
            }
            Kind::Native(native) if native.dialect == NAME => self.native(native, out),
            Kind::Resumed(_) => {
                // What another provider had begun to think or call is not gone on with.
                self.close_thought(out);
                self.close_calls(INCOMPLETE, out);
            }
            Kind::Finished(end) => self.finish(end, out),
            Kind::Failed(failed) => self.fail(failed, out),
            Kind::Started(_)
            | Kind::ToolCall(_)
            | Kind::ChoiceFinished(_)
            | Kind::Custom(_)
            | Kind::Native(_) => {}
        }
    }

    fn begin(&mut self, out: &mut Vec<Wire>) {
        if !std::mem::replace(&mut self.begun, true) {
            self.lifecycle("response.created", out);
            self.lifecycle("response.in_progress", out);
        }
    }

    fn lifecycle(&mut self, name: &'static str, out: &mut Vec<Wire>) {
        #[derive(Serialize)]
        struct Body<'a> {
            response: &'a Response,
        }
        let step = Step {
            r#type: name,
            sequence_number: self.next,
            body: Body { response: &self.response },
        };
        out.push(step.wire());
        self.next += 1;
    }

    fn push(&mut self, name: &'static str, body: impl Serialize, out: &mut Vec<Wire>) {
        out.push(Step { r#type: name, sequence_number: self.next, body }.wire());
        self.next += 1;
    }

    /// The id of the next item: the provider's own where it was told, else one of ours.
    fn next_id(&mut self, sort: &str, prefix: &str) -> (String, Option<String>) {
        let introduced = self.introduced.take_if(|it| it.sort == sort).unwrap_or_default();
        let at = self.response.output.len();
        let ours = || format!("{prefix}_{}_{at}", self.response.stem);
        (introduced.id.unwrap_or_else(ours), introduced.phase)
    }

    fn add(&mut self, item: Item, out: &mut Vec<Wire>) -> usize {
        let at = self.response.output.len();
        self.push("response.output_item.added", Added { output_index: at, item: &item }, out);
        self.response.output.push(Output::Item(item));
        at
    }

    /// An item's last payload.
    fn close(&mut self, at: usize, status: &'static str, out: &mut Vec<Wire>) {
        let Some(Output::Item(item)) = self.response.output.get_mut(at) else { return };
        item.set_status(status);
        let step = Step {
            r#type: "response.output_item.done",
            sequence_number: self.next,
            body: Added { output_index: at, item: &*item },
        };
        out.push(step.wire());
        self.next += 1;
    }

    fn item(&mut self, at: usize) -> &mut Item {
        match &mut self.response.output[at] {
            Output::Item(item) => item,
            Output::Raw(_) => unreachable!("only items of ours are open"),
        }
    }

    // Messages.

    fn text(&mut self, text: &str, is_text: bool, out: &mut Vec<Wire>) {
        if text.is_empty() {
            return;
        }
        let (at, content) = self.message_part(is_text, out);
        let Item::Message { id, content: parts, .. } = self.item(at) else { return };
        parts[content].said().push_str(text);
        let id = id.clone();
        let place = Place { item_id: &id, output_index: at, content_index: content };
        if is_text {
            let body = TextDelta { place, delta: text, logprobs: [] };
            self.push("response.output_text.delta", body, out);
            for source in std::mem::take(&mut self.citations) {
                self.annotate(source, out);
            }
        } else {
            self.push("response.refusal.delta", Delta { place, delta: text }, out);
        }
    }

    /// The open message's open part, which is text or refusal as wanted.
    fn message_part(&mut self, is_text: bool, out: &mut Vec<Wire>) -> (usize, usize) {
        if !matches!(self.open, Open::Message { .. }) {
            self.open_message(out);
        }
        let Open::Message { at, part } = self.open else { unreachable!("just opened") };
        if part {
            let Item::Message { content, .. } = self.item(at) else { unreachable!("a message") };
            if content.last().is_some_and(|part| part.is_text() == is_text) {
                let last = content.len() - 1;
                return (at, last);
            }
            self.close_part(out);
        }
        let new = if is_text { Part::text() } else { Part::refusal() };
        let Item::Message { id, content, .. } = self.item(at) else { unreachable!("a message") };
        content.push(new.clone());
        let (id, last) = (id.clone(), content.len() - 1);
        let place = Place { item_id: &id, output_index: at, content_index: last };
        self.push("response.content_part.added", PartStep { place, part: &new }, out);
        self.open = Open::Message { at, part: true };
        (at, last)
    }

    fn open_message(&mut self, out: &mut Vec<Wire>) {
        self.close_open(COMPLETED, out);
        self.close_calls(IN_PROGRESS, out);
        let (id, phase) = self.next_id("message", "msg");
        let (status, role, content) = (IN_PROGRESS, "assistant", Vec::new());
        let at = self.add(Item::Message { id, status, role, phase, content }, out);
        self.open = Open::Message { at, part: false };
    }

    fn close_part(&mut self, out: &mut Vec<Wire>) {
        let Open::Message { at, part: true } = self.open else { return };
        self.open = Open::Message { at, part: false };
        let Item::Message { id, content, .. } = self.item(at) else { return };
        let (id, last) = (id.clone(), content.len() - 1);
        let part = content[last].clone();
        let place = Place { item_id: &id, output_index: at, content_index: last };
        match &part {
            Part::OutputText { text, .. } => {
                let body = TextDone { place, text, logprobs: [] };
                self.push("response.output_text.done", body, out);
            }
            Part::Refusal { refusal } => {
                self.push("response.refusal.done", RefusalDone { place, refusal }, out);
            }
        }
        self.push("response.content_part.done", PartStep { place, part: &part }, out);
    }

    fn cite(&mut self, source: &[u8], out: &mut Vec<Wire>) {
        let text = match self.open {
            Open::Message { at, part: true } => match self.item(at) {
                Item::Message { content, .. } => content.last().and_then(|part| match part {
                    Part::OutputText { text, .. } => Some(text.as_str()),
                    Part::Refusal { .. } => None,
                }),
                _ => None,
            },
            _ => None,
        };
        let at = text.map(|text| text.chars().count());
        let annotation = match self.response.own() {
            true => serde_json::from_slice(source).ok(),
            false => cite::url_citation(source, at.unwrap_or(0)),
        };
        match (annotation, at) {
            (Some(annotation), Some(_)) => self.annotate(annotation, out),
            (Some(annotation), None) if self.citations.len() < CITATIONS_MAX => {
                self.citations.push(annotation);
            }
            _ => {}
        }
    }

    /// Adds a source to the open text.
    fn annotate(&mut self, annotation: Box<RawValue>, out: &mut Vec<Wire>) {
        let Open::Message { at, part: true } = self.open else { return };
        let Item::Message { id, content, .. } = self.item(at) else { return };
        let last = content.len() - 1;
        let id = id.clone();
        let Part::OutputText { annotations, .. } = &mut content[last] else { return };
        annotations.push(annotation.clone());
        let annotation_index = annotations.len() - 1;
        let place = Place { item_id: &id, output_index: at, content_index: last };
        let body = Annotation { place, annotation_index, annotation: &annotation };
        self.push("response.output_text.annotation.added", body, out);
    }

    // Thoughts.

    fn reasoning(&mut self, part: &Reasoning, out: &mut Vec<Wire>) {
        if !part.text.is_empty() {
            let goes_on = matches!(&self.open, Open::Thought { signature, encrypted, .. }
                if signature.is_empty() && encrypted.is_empty());
            if !goes_on {
                self.open_thought(out);
            }
            self.think(&part.text, out);
        }
        if !part.signature.is_empty() {
            // Gemini signs the part that follows or ended, never the thought: that is an item of its own.
            let own_item = self.response.speaker == Some(Dialect::Gemini);
            let goes_on = matches!(&self.open, Open::Thought { encrypted, part, whole, .. }
                if encrypted.is_empty() && !whole && !(own_item && *part));
            if !goes_on {
                self.open_thought(out);
            }
            if let Open::Thought { signature, whole, .. } = &mut self.open {
                signature.push_str(&part.signature);
                *whole = part.signature.len() < PIECE_BYTES_MIN;
            }
        }
        if !part.encrypted.is_empty() {
            let own = self.response.own();
            let goes_on = matches!(&self.open, Open::Thought { signature, part, whole, .. }
                if !whole && signature.is_empty() && (own || !part));
            if !goes_on {
                self.open_thought(out);
            }
            if let Open::Thought { encrypted, whole, .. } = &mut self.open {
                encrypted.push_str(&part.encrypted);
                *whole = part.encrypted.len() < PIECE_BYTES_MIN;
            }
        }
    }

    fn open_thought(&mut self, out: &mut Vec<Wire>) {
        self.close_open(COMPLETED, out);
        self.close_calls(IN_PROGRESS, out);
        let (id, _) = self.next_id("reasoning", "rs");
        let (status, summary) = (IN_PROGRESS, Vec::new());
        let at = self.add(Item::Reasoning { id, status, summary, encrypted_content: None }, out);
        let (signature, encrypted) = (String::new(), String::new());
        self.open = Open::Thought { at, part: false, signature, encrypted, whole: false };
    }

    fn think(&mut self, said: &str, out: &mut Vec<Wire>) {
        let Open::Thought { at, part, .. } = &mut self.open else { return };
        let (at, begun) = (*at, std::mem::replace(part, true));
        let Item::Reasoning { id, summary, .. } = self.item(at) else { return };
        let id = id.clone();
        if !begun {
            summary.push(Summary::SummaryText { text: String::new() });
        }
        for Summary::SummaryText { text } in summary.iter_mut() {
            text.push_str(said);
        }
        let place = SummaryPlace { item_id: &id, output_index: at, summary_index: 0 };
        if !begun {
            let part = Summary::SummaryText { text: String::new() };
            self.push(
                "response.reasoning_summary_part.added",
                SummaryStep { place, part: &part },
                out,
            );
        }
        let body = SummaryDelta { place, delta: said };
        self.push("response.reasoning_summary_text.delta", body, out);
    }

    fn close_thought(&mut self, out: &mut Vec<Wire>) {
        let Open::Thought { at, signature, encrypted, .. } = &mut self.open else { return };
        let (at, signature, encrypted) =
            (*at, std::mem::take(signature), std::mem::take(encrypted));
        self.open = Open::Nothing;
        let own = self.response.own();
        let speaker = self.response.speaker;
        let Item::Reasoning { id, summary, encrypted_content, .. } = self.item(at) else { return };
        let (what, content) = match signature.is_empty() {
            true => (Sealed::Encrypted, encrypted),
            false => (Sealed::Signature, signature),
        };
        *encrypted_content = match speaker {
            _ if content.is_empty() => None,
            Some(speaker) if !own => Some(seal(speaker, what, &content)),
            _ => Some(content),
        };
        let (id, last) = (id.clone(), summary.last().cloned());
        if let Some(part) = last {
            let Summary::SummaryText { text } = &part;
            let place = SummaryPlace { item_id: &id, output_index: at, summary_index: 0 };
            let body = SummaryDone { place, text };
            self.push("response.reasoning_summary_text.done", body, out);
            let body = SummaryStep { place, part: &part };
            self.push("response.reasoning_summary_part.done", body, out);
        }
        self.close(at, COMPLETED, out);
    }

    fn close_open(&mut self, status: &'static str, out: &mut Vec<Wire>) {
        self.close_thought(out);
        if let Open::Message { at, .. } = self.open {
            self.close_part(out);
            self.open = Open::Nothing;
            self.close(at, status, out);
        }
    }

    // Calls.

    fn call(&mut self, call: &ToolCall, out: &mut Vec<Wire>) {
        let told = |output: &Output| match output {
            Output::Raw(raw) => call_id(raw).as_deref() == Some(&*call.id),
            Output::Item(_) => false,
        };
        if self.response.own() && self.response.output.last().is_some_and(told) {
            // A call of a kind of its own: the provider's item has told it.
            return;
        }
        self.close_open(COMPLETED, out);
        self.close_calls(IN_PROGRESS, out);
        let custom = self.introduced.as_ref().is_some_and(|it| it.sort == "custom_tool_call");
        let (call_id, name, status) = (call.id.clone(), call.name.clone(), IN_PROGRESS);
        let item = if custom {
            let (id, _) = self.next_id("custom_tool_call", "ctc");
            Item::CustomToolCall { id, status, call_id, name, input: String::new() }
        } else {
            let (id, _) = self.next_id("function_call", "fc");
            Item::FunctionCall { id, status, call_id, name, arguments: String::new() }
        };
        let at = self.add(item, out);
        self.calls.push(Call { index: call.index, at, done: false });
    }

    fn arguments(&mut self, index: u32, piece: &str, out: &mut Vec<Wire>) {
        let call = self.calls.iter().find(|call| call.index == index && !call.done);
        let Some(at) = call.map(|call| call.at).filter(|_| !piece.is_empty()) else { return };
        let item = self.item(at);
        let Some(arguments) = item.arguments() else { return };
        arguments.push_str(piece);
        let (id, custom) = (item.id().to_owned(), matches!(item, Item::CustomToolCall { .. }));
        let name = match custom {
            true => "response.custom_tool_call_input.delta",
            false => "response.function_call_arguments.delta",
        };
        self.push(name, ArgumentsDelta { item_id: &id, output_index: at, delta: piece }, out);
    }

    /// Closes calls whose arguments are whole. With [`IN_PROGRESS`] others may still go on; else they have the status.
    fn close_calls(&mut self, status: &'static str, out: &mut Vec<Wire>) {
        for number in 0..self.calls.len() {
            let Call { at, done, index } = self.calls[number];
            if done {
                continue;
            }
            let own = self.response.own();
            let item = self.item(at);
            let custom = matches!(item, Item::CustomToolCall { .. });
            let Some(arguments) = item.arguments() else { continue };
            let is_json = serde_json::from_str::<&RawValue>(arguments).is_ok();
            let whole = custom || is_json;
            let hollow = arguments.is_empty() && !custom && !own;
            if status == COMPLETED && hollow {
                // The SDKs' users parse it.
                self.arguments(index, "{}", out);
            } else if status == IN_PROGRESS && !whole {
                continue;
            }
            let status = if whole || hollow || own { COMPLETED } else { INCOMPLETE };
            self.calls[number].done = true;
            self.call_done(at, status, out);
        }
    }

    fn call_done(&mut self, at: usize, status: &'static str, out: &mut Vec<Wire>) {
        match self.item(at).clone() {
            Item::FunctionCall { id, name, arguments, .. } => {
                let body = ArgumentsDone {
                    item_id: &id,
                    output_index: at,
                    name: &name,
                    arguments: &arguments,
                };
                self.push("response.function_call_arguments.done", body, out);
            }
            Item::CustomToolCall { id, input, .. } => {
                let body = InputDone { item_id: &id, output_index: at, input: &input };
                self.push("response.custom_tool_call_input.done", body, out);
            }
            _ => return,
        }
        self.close(at, status, out);
    }

    // Media and what only the provider knows.

    /// An image goes only whole, audio part by part.
    fn media(&mut self, media: &Media, out: &mut Vec<Wire>) {
        #[derive(Serialize)]
        struct Sound {
            delta: String,
        }
        #[derive(Serialize)]
        struct Done {}
        if media.mime.starts_with("audio/") {
            if !media.data.is_empty() {
                let delta = BASE64.encode(&media.data);
                self.push("response.audio.delta", Sound { delta }, out);
            }
            if media.last {
                self.push("response.audio.done", Done {}, out);
            }
        }
        if !media.mime.starts_with("image/") {
            return;
        }
        self.images.entry(media.index).or_default().extend_from_slice(&media.data);
        if media.last {
            let data = self.images.remove(&media.index).unwrap_or_default();
            let members = self.image.take().unwrap_or_else(|| {
                let format = media.mime.trim_start_matches("image/");
                Map::from_iter([("output_format".to_owned(), format.into())])
            });
            self.picture(members, Some(BASE64.encode(data)), out);
        }
    }

    fn picture(
        &mut self,
        mut more: Map<String, Value>,
        result: Option<String>,
        out: &mut Vec<Wire>,
    ) {
        #[derive(Serialize)]
        struct Body<'a> {
            item_id: &'a str,
            output_index: usize,
        }
        self.close_open(COMPLETED, out);
        self.close_calls(IN_PROGRESS, out);
        let (ours, _) = self.next_id("image_generation_call", "ig");
        let id = more.remove("id").and_then(|id| id.as_str().map(str::to_owned)).unwrap_or(ours);
        more.retain(|name, _| !matches!(name.as_str(), "type" | "status" | "result"));
        let item = Item::ImageGenerationCall {
            id: id.clone(),
            status: IN_PROGRESS,
            result: None,
            more: Map::new(),
        };
        let at = self.add(item, out);
        for name in [
            "response.image_generation_call.in_progress",
            "response.image_generation_call.generating",
            "response.image_generation_call.completed",
        ] {
            self.push(name, Body { item_id: &id, output_index: at }, out);
        }
        *self.item(at) = Item::ImageGenerationCall { id, status: COMPLETED, result, more };
        self.close(at, COMPLETED, out);
    }

    fn native(&mut self, native: &Native, out: &mut Vec<Wire>) {
        let member = |value: &Value, name: &str| value[name].as_str().map(str::to_owned);
        match native.name.as_str() {
            sort @ ("message" | "reasoning" | "function_call" | "custom_tool_call") => {
                let value: Value = serde_json::from_slice(&native.data).unwrap_or_default();
                let (id, phase) = (member(&value, "id"), member(&value, "phase"));
                self.introduced = Some(Introduced { sort: sort.to_owned(), id, phase });
                match sort {
                    "message" => self.open_message(out),
                    "reasoning" => self.open_thought(out),
                    _ => {}
                }
            }
            "image_generation_call" => {
                self.image = serde_json::from_slice(&native.data).ok();
            }
            name if name.starts_with("response.") => self.replay(&native.data, out),
            "stray" => {}
            _ => {
                let Ok(item) = serde_json::from_slice::<Box<RawValue>>(&native.data) else {
                    return;
                };
                self.close_open(COMPLETED, out);
                self.close_calls(IN_PROGRESS, out);
                let output_index = self.response.output.len();
                for name in ["response.output_item.added", "response.output_item.done"] {
                    self.push(name, Added { output_index, item: &item }, out);
                }
                self.response.output.push(Output::Raw(item));
            }
        }
    }

    /// A payload of a kind that nobody here knows, in its place and with its place's number.
    fn replay(&mut self, data: &[u8], out: &mut Vec<Wire>) {
        let Ok(mut members) = serde_json::from_slice::<Map<String, Value>>(data) else { return };
        members.insert("sequence_number".to_owned(), self.next.into());
        out.push(Wire::unnamed(Value::Object(members).to_string()));
        self.next += 1;
    }

    // The end.

    fn finish(&mut self, end: &Finished, out: &mut Vec<Wire>) {
        let told = end.native_reason.as_deref().filter(|_| self.response.own());
        let own = told.and_then(|word| word.strip_prefix("incomplete"));
        let reason = match (own, end.reason) {
            (Some(reason), _) => Some(reason.trim_start_matches(':')),
            (None, FinishReason::Length) => Some("max_output_tokens"),
            (None, FinishReason::ContentFilter) => Some("content_filter"),
            (None, FinishReason::Refusal) if !self.refused => Some("content_filter"),
            _ => None,
        };
        let status = if reason.is_some() { INCOMPLETE } else { COMPLETED };
        self.response.status = status;
        self.response.reason =
            reason.map(|it| if it.is_empty() { "max_output_tokens" } else { it }.to_owned());
        self.close_open(status, out);
        self.close_calls(status, out);
        let name = match status {
            COMPLETED => "response.completed",
            _ => "response.incomplete",
        };
        self.lifecycle(name, out);
        self.ended = true;
    }

    fn fail(&mut self, failed: &Failed, out: &mut Vec<Wire>) {
        self.response.status = match failed.code {
            FailureCode::Cancelled => "cancelled",
            _ => "failed",
        };
        self.response.failed = Some(failed.clone());
        self.close_open(INCOMPLETE, out);
        self.close_calls(INCOMPLETE, out);
        self.lifecycle("response.failed", out);
        self.ended = true;
    }
}

/// The id that a call's result refers to.
fn call_id(item: &RawValue) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Item {
        call_id: Option<String>,
        id: Option<String>,
    }
    let item: Item = serde_json::from_str(item.get()).ok()?;
    item.call_id.or(item.id)
}
