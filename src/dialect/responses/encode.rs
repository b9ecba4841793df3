//! Events become Responses events, in the full lifecycle that strict SDKs want.
//!
//! A deterministic function of one generation's events: fed the same events it writes the same bytes with the same
//! `sequence_number`s, so a resumed stream is the tail of the same payloads. It holds the whole output, because the last
//! payload repeats it. Reasoning is told as summaries. What another provider signed or encrypted travels sealed in
//! `encrypted_content`; a signature that signs what follows it is a reasoning item of its own.

mod calls;
mod message;
mod other;
mod picture;
mod thought;

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};

use super::{
    super::{Asked, Wire},
    NAME,
    lifecycle::{Added, Step},
    output::{COMPLETED, INCOMPLETE, Item, Output},
    response::Response,
    usage,
};
use crate::event::{
    EVENT_BYTES_MAX, Event, Failed, FailureCode, FinishReason, Finished, Kind, RunBy,
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
    pub(super) response: Box<Response>,
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
    /// Images of which there are previews.
    drawings: Vec<picture::Drawing>,
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
            response: Box::new(Response::new(asked)),
            next: 0,
            begun: false,
            ended: false,
            open: Open::Nothing,
            calls: Vec::new(),
            introduced: None,
            citations: Vec::new(),
            images: HashMap::new(),
            drawings: Vec::new(),
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
            Kind::Resumed(resumed) => {
                // What another provider had begun to think or call is not gone on with.
                self.close_thought(out);
                self.close_calls(INCOMPLETE, out);
                self.close_drawings(out);
                self.response.follow(&resumed.dialect);
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

    fn close_open(&mut self, status: &'static str, out: &mut Vec<Wire>) {
        self.close_thought(out);
        if let Open::Message { at, .. } = self.open {
            self.close_part(out);
            self.open = Open::Nothing;
            self.close(at, status, out);
        }
    }

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
        self.close_drawings(out);
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
        self.close_drawings(out);
        self.lifecycle("response.failed", out);
        self.ended = true;
    }
}
