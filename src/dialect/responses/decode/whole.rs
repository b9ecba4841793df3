//! A whole response: as a stream's last payload, or as a body.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::Decoder;
use crate::{
    dialect::{
        Ending,
        responses::{
            fail,
            frame::{self, Details, Raw, Response, copy, list, read, word},
        },
    },
    event::{Event, FinishReason, Finished},
    provider::sse::Payload,
};

impl Decoder {
    /// The whole response: what was not said of its output, its usage, and how it ended. `kind` is the event's; empty
    /// where the response came without one.
    pub(super) fn respond(&mut self, kind: &str, raw: Raw<'_>, out: &mut Vec<Event>) {
        let response: Response<'_> = read(raw);
        let output = list(response.output);
        let begun = self.slots.len();
        for (index, item) in (0..).zip(&output) {
            let known = self.slots.iter().any(|slot| slot.index == index);
            // Where as many items were streamed as there are, one that is not known by its place is one of them.
            if known || begun < output.len() {
                self.again(index, item, out);
            }
        }
        let usage = response.usage.filter(|usage| usage.get().starts_with('{'));
        self.usage = usage.map(copy).or(self.usage.take());

        let status = word(response.status);
        let status = if status.is_empty() || kind == "failed" { kind } else { &*status };
        let error = response.error.filter(|error| !frame::is_empty(error));
        match status {
            "failed" => self.fail(fail::of_error(error)),
            "cancelled" => self.fail(fail::failed("the provider says that it was cancelled", 0)),
            _ if error.is_some() => self.fail(fail::of_error(error)),
            "incomplete" => {
                let details: Details<'_> = read(response.incomplete_details);
                let reason = word(details.reason);
                let unified = match &*reason {
                    "content_filter" => FinishReason::ContentFilter,
                    "steered" => FinishReason::Pause,
                    _ => FinishReason::Length,
                };
                let separator = if reason.is_empty() { "" } else { ":" };
                let native_reason = Some(format!("incomplete{separator}{reason}"));
                self.end = Some(Finished { reason: unified, native_reason });
            }
            "queued" | "in_progress" if kind.is_empty() => {
                self.end = finished(FinishReason::Pause, status)
            }
            "" => {}
            _ if self.asks_tools => self.end = finished(FinishReason::ToolCalls, "completed"),
            _ => self.end = finished(FinishReason::Stop, "completed"),
        }
    }

    /// An item of the whole response. A stream that began in its middle has no slot for what came before.
    fn again(&mut self, index: u64, raw: &RawValue, out: &mut Vec<Event>) {
        let done = self.slots.iter().any(|slot| slot.index == index && slot.done);
        if !done {
            self.complete(index, Some(raw), out);
        }
    }
}

/// Says what a whole body says, its last events included.
pub fn decode_whole(generation: &str, body: Bytes, out: &mut Vec<Event>) {
    let mut decoder = Decoder::new(generation);
    decoder.decode(&Payload::of(body), out);
    decoder.finish(Ending::Eof, out);
}

fn finished(reason: FinishReason, word: &str) -> Option<Finished> {
    Some(Finished { reason, native_reason: Some(word.to_owned()) })
}
