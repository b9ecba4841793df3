//! A stream of Responses events becomes events.
//!
//! Items are known by their `output_index`: some servers rotate every `item_id`. What a `done` says beyond its deltas is
//! said then, and what only the last payload says at the end. The end is that payload; an error in the stream is one too,
//! though the failed response may still follow it.

mod item;
mod whole;

use bytes::Bytes;
use serde_json::Value;

use super::{
    NAME, fail,
    frame::{self, Frame, Part, Raw, copy, list, number, read, text, word},
    items::{BASE64, Sort},
    said::Said,
    usage,
};
use crate::{
    dialect::{Decoded, Ending, Flow, TooLarge, split},
    event::{Event, Failed, FailureCode, Finished, Kind, Media, Native, Reasoning, ToolArguments},
    provider::sse::Payload,
};
use base64::Engine;

pub use whole::decode_whole;

#[cfg(test)]
mod tests;

/// The most items a response may have, and the most texts that may be open in it: what is held does not grow past them.
const ITEMS_MAX: usize = 4096;
const TEXTS_MAX: usize = 16_384;

/// One generation's decoder.
#[derive(Debug, Default)]
pub struct Decoder {
    id_stem: String,
    slots: Vec<Slot>,
    /// Texts noted in all slots.
    texts: usize,
    calls: u32,
    /// The app is to run a tool.
    asks_tools: bool,
    media: u32,
    /// Sound that is still coming: its index and how many parts it has.
    sound: Option<(u32, u32)>,
    usage: Option<Bytes>,
    end: Option<Finished>,
    failure: Option<Failed>,
    ended: bool,
    too_large: Option<TooLarge>,
}

/// An item that has begun.
#[derive(Debug)]
struct Slot {
    index: u64,
    sort: Sort,
    /// The number of its tool call.
    call: Option<u32>,
    /// Its texts by what and where they are. Done items have none.
    texts: Vec<(Place, Said)>,
    /// How many annotations of each part were said. Done items have none.
    annotations: Vec<(u64, usize)>,
    done: bool,
}

/// A text of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Text(u64),
    Refusal(u64),
    Summary(u64),
    Thought(u64),
    Arguments,
}

impl Decoder {
    /// A decoder for one generation's stream. Ids that the provider left out are made from `generation`.
    pub fn new(generation: &str) -> Self {
        let plain = generation.strip_prefix("gen_").unwrap_or(generation);
        let id_stem = format!("call_{}", &plain[..plain.floor_char_boundary(24)]);
        Self { id_stem, ..Self::default() }
    }

    /// Reads one payload; see [`dialect::Decoder::decode`](crate::dialect::Decoder::decode).
    pub fn decode(&mut self, payload: &Payload, out: &mut Vec<Event>) -> Decoded {
        let data = payload.data.trim_ascii();
        let mut decoded = Decoded::default();
        if self.ended || data == b"[DONE]" {
            self.ended = true;
        } else if data.is_empty() {
            decoded.ping = true;
        } else if let Ok(frame) = serde_json::from_slice::<Frame<'_>>(data) {
            decoded.ping = self.frame(&frame, payload, out);
        } else {
            self.repair(data, payload, out);
        }
        if let Some(too_large) = self.too_large.take() {
            self.fail(Failed::new(FailureCode::Limit, too_large.to_string()));
            self.ended = true;
        }
        decoded.flow = match (self.ended, self.end.is_some() || self.failure.is_some()) {
            (true, _) => Flow::Ended,
            (false, true) => Flow::FinishSeen,
            (false, false) => Flow::More,
        };
        decoded
    }

    /// Says the last events; see [`dialect::Decoder::finish`](crate::dialect::Decoder::finish).
    pub fn finish(mut self, ending: Ending, out: &mut Vec<Event>) {
        self.end_sound(out);
        let failure = self.failure.take().or(match ending {
            Ending::Stopped(failed) => Some(failed),
            Ending::Terminator | Ending::Eof if self.end.is_some() => None,
            Ending::Terminator | Ending::Eof => Some(Failed::new(
                FailureCode::UpstreamCut,
                "the provider's stream closed without response.completed",
            )),
        });
        let usage = self.usage.take().map(usage::read_native);
        if let Some(usage) = usage {
            self.say(Kind::Usage(usage), out);
        }
        out.push(Event::new(match (failure, self.end) {
            (Some(failed), _) => Kind::Failed(failed),
            (None, Some(end)) => Kind::Finished(end),
            (None, None) => unreachable!("without an end there is a failure"),
        }));
    }

    fn fail(&mut self, failed: Failed) {
        self.failure.get_or_insert(failed);
    }

    /// Reads one payload; true where it is a sign of life and nothing more.
    fn frame(&mut self, frame: &Frame<'_>, payload: &Payload, out: &mut Vec<Event>) -> bool {
        let kind = match &*word(frame.kind) {
            // Those who leave the member out say it in the event's name.
            "" => payload.name().to_owned(),
            kind => kind.to_owned(),
        };
        let kind = kind.strip_prefix("response.").unwrap_or(&kind);
        let content = number(frame.content_index).unwrap_or(0);
        let summary = number(frame.summary_index).unwrap_or(0);
        match kind {
            "keepalive" | "ping" => return true,
            "created" | "queued" | "in_progress" => {}
            "output_text.delta" => self.delta(Place::Text(content), frame, out),
            "output_text.done" => self.done(Place::Text(content), frame, frame.text, out),
            "refusal.delta" => self.delta(Place::Refusal(content), frame, out),
            "refusal.done" => self.done(Place::Refusal(content), frame, frame.refusal, out),
            "reasoning_text.delta" => self.delta(Place::Thought(content), frame, out),
            "reasoning_text.done" => self.done(Place::Thought(content), frame, frame.text, out),
            "reasoning_summary_text.delta" => self.delta(Place::Summary(summary), frame, out),
            "reasoning_summary_text.done" => {
                self.done(Place::Summary(summary), frame, frame.text, out);
            }
            "function_call_arguments.delta"
            | "custom_tool_call_input.delta"
            | "mcp_call_arguments.delta"
            | "code_interpreter_call_code.delta" => self.delta(Place::Arguments, frame, out),
            "function_call_arguments.done"
            | "custom_tool_call_input.done"
            | "mcp_call_arguments.done"
            | "code_interpreter_call_code.done" => {
                let whole = frame.arguments.or(frame.input).or(frame.code);
                self.done(Place::Arguments, frame, whole, out);
            }
            "content_part.done" => {
                let at = self.slot(frame, Sort::Message);
                self.part(at, content, frame.part, out);
            }
            "output_text.annotation.added" => self.annotation(frame, out),
            "output_item.added" => {
                self.begin(self.index(frame), frame.item, out);
            }
            "output_item.done" => self.complete(self.index(frame), frame.item, out),
            "content_part.added"
            | "reasoning_part.added"
            | "reasoning_part.done"
            | "reasoning_summary_part.added"
            | "reasoning_summary_part.done"
            | "audio.done" => {}
            "audio.delta" => self.sound(frame, payload, out),
            "completed" | "incomplete" | "failed" | "cancelled" => {
                self.respond(kind, frame.response, out);
                // Those who name no events close with `[DONE]`.
                self.ended |= !payload.event.is_empty();
            }
            "error" => self.fail(fail::of_error(raw(payload))),
            "" if frame.error.is_some_and(|error| !frame::is_empty(error)) => {
                self.fail(fail::of_error(raw(payload)));
            }
            "" if word(frame.object) == "response" => self.respond("", raw(payload), out),
            kind if is_progress(kind) => {}
            _ => self.stray(&word(frame.kind), payload, out),
        }
        false
    }

    /// An event of a kind that nobody here knows passes whole. A preview of an image does only where it is small: the
    /// image itself follows.
    fn stray(&mut self, kind: &str, payload: &Payload, out: &mut Vec<Event>) {
        let name = if kind.is_empty() { "stray" } else { kind };
        let data = payload.data.clone();
        let native = Native { dialect: NAME.to_owned(), name: name.to_owned(), data };
        let refused = split(Event::new(Kind::Native(native)), out).err();
        if !kind.ends_with("partial_image") {
            self.too_large = self.too_large.or(refused);
        }
    }

    fn index(&self, frame: &Frame<'_>) -> u64 {
        let last = || self.slots.last().map_or(0, |slot| slot.index);
        number(frame.output_index).unwrap_or_else(last)
    }

    /// The slot of a payload; one that begins in the middle of an item begins a slot of `sort`.
    fn slot(&mut self, frame: &Frame<'_>, sort: Sort) -> usize {
        let index = self.index(frame);
        let known = self.slots.iter().rposition(|slot| slot.index == index);
        known.unwrap_or_else(|| self.open(index, sort))
    }

    fn open(&mut self, index: u64, sort: Sort) -> usize {
        if self.slots.len() == ITEMS_MAX {
            let message = format!("the provider began more than {ITEMS_MAX} items");
            self.fail(Failed::new(FailureCode::Limit, message));
            self.ended = true;
            self.slots.pop();
        }
        let texts = Vec::new();
        self.slots.push(Slot {
            index,
            sort,
            call: None,
            texts,
            annotations: Vec::new(),
            done: false,
        });
        self.slots.len() - 1
    }

    fn delta(&mut self, place: Place, frame: &Frame<'_>, out: &mut Vec<Event>) {
        let Some(delta) = text(frame.delta) else { return };
        let at = self.slot(frame, place.sort());
        if place == Place::Arguments && self.slots[at].call.is_none() {
            // Nobody said which tool; the finished item will, and all of its arguments.
            return;
        }
        self.said(at, place).note(&delta);
        self.voice(at, place, delta, out);
    }

    /// A text that is given whole: what was not said of it is said now.
    fn done(&mut self, place: Place, frame: &Frame<'_>, whole: Raw<'_>, out: &mut Vec<Event>) {
        let at = self.slot(frame, place.sort());
        self.rest(at, place, whole, out);
    }

    fn rest(&mut self, at: usize, place: Place, whole: Raw<'_>, out: &mut Vec<Event>) {
        let Some(whole) = frame::text_or_json(whole).filter(|_| !self.slots[at].done) else {
            return;
        };
        let unnamed = place == Place::Arguments && self.slots[at].call.is_none();
        if !unnamed {
            let rest = self.said(at, place).rest(&whole).to_owned();
            self.voice(at, place, rest, out);
        }
    }

    fn said(&mut self, at: usize, place: Place) -> &mut Said {
        let texts = &mut self.slots[at].texts;
        let known = texts.iter().rposition(|(known, _)| *known == place);
        let known = known.unwrap_or_else(|| {
            self.texts += 1;
            texts.push((place, Said::default()));
            texts.len() - 1
        });
        if self.texts > TEXTS_MAX {
            self.failure.get_or_insert_with(too_many_texts);
            self.ended = true;
        }
        &mut texts[known].1
    }

    fn voice(&mut self, at: usize, place: Place, text: String, out: &mut Vec<Event>) {
        if text.is_empty() {
            return;
        }
        let kind = match place {
            Place::Text(_) => Kind::Text(text),
            Place::Refusal(_) => Kind::Refusal(text),
            Place::Summary(_) | Place::Thought(_) => {
                Kind::Reasoning(Reasoning { text, ..Reasoning::default() })
            }
            Place::Arguments => {
                let index = self.slots[at].call.unwrap_or_default();
                Kind::ToolArguments(ToolArguments { index, arguments: text })
            }
        };
        self.say(kind, out);
    }

    fn say(&mut self, kind: Kind, out: &mut Vec<Event>) {
        let refused = split(Event::new(kind), out).err();
        self.too_large = self.too_large.or(refused);
    }

    fn native(&mut self, name: &str, data: impl Into<Bytes>, out: &mut Vec<Event>) {
        let (dialect, name, data) = (NAME.to_owned(), name.to_owned(), data.into());
        self.say(Kind::Native(Native { dialect, name, data }), out);
    }

    fn part(&mut self, at: usize, content: u64, part: Raw<'_>, out: &mut Vec<Event>) {
        let part: Part<'_> = read(part);
        match &*word(part.kind) {
            "refusal" => self.rest(at, Place::Refusal(content), part.refusal, out),
            "output_text" | "text" => {
                self.rest(at, Place::Text(content), part.text, out);
                self.annotations(at, content, part.annotations, out);
            }
            "reasoning_text" => self.rest(at, Place::Thought(content), part.text, out),
            _ => {}
        }
    }

    fn annotation(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>) {
        let at = self.slot(frame, Sort::Message);
        if let Some(annotation) = frame.annotation {
            *self.cited(at, number(frame.content_index).unwrap_or(0)) += 1;
            self.say(Kind::Citation(copy(annotation)), out);
        }
    }

    /// A part's annotations again: those that no event of their own said.
    fn annotations(&mut self, at: usize, content: u64, all: Raw<'_>, out: &mut Vec<Event>) {
        let all = list(all);
        if self.slots[at].done || all.is_empty() {
            return;
        }
        let cited = self.cited(at, content);
        let before = std::mem::replace(cited, all.len().max(*cited));
        for annotation in all.into_iter().skip(before) {
            self.say(Kind::Citation(copy(annotation)), out);
        }
    }

    fn cited(&mut self, at: usize, content: u64) -> &mut usize {
        let parts = &mut self.slots[at].annotations;
        let known = parts.iter().position(|(part, _)| *part == content);
        let known = known.unwrap_or_else(|| {
            self.texts += 1;
            parts.push((content, 0));
            parts.len() - 1
        });
        if self.texts > TEXTS_MAX {
            self.failure.get_or_insert_with(too_many_texts);
            self.ended = true;
        }
        &mut parts[known].1
    }

    fn sound(&mut self, frame: &Frame<'_>, payload: &Payload, out: &mut Vec<Event>) {
        let Some(Ok(data)) = text(frame.delta).map(|delta| BASE64.decode(delta.trim())) else {
            return self.stray("response.audio.delta", payload, out);
        };
        let (index, part) = self.sound.unwrap_or_else(|| {
            self.media += 1;
            (self.media - 1, 0)
        });
        self.sound = Some((index, part + 1));
        let mime = "audio/pcm".to_owned();
        self.say(Kind::Media(Media { mime, data: data.into(), index, part, last: false }), out);
    }

    fn end_sound(&mut self, out: &mut Vec<Event>) {
        if let Some((index, part)) = self.sound.take() {
            let (mime, data) = ("audio/pcm".to_owned(), Bytes::new());
            out.push(Event::new(Kind::Media(Media { mime, data, index, part, last: true })));
        }
    }

    /// Reads what is not JSON to us: mends what others would read, and fails on what would lose text.
    fn repair(&mut self, data: &[u8], payload: &Payload, out: &mut Vec<Event>) {
        let text = String::from_utf8_lossy(data);
        // Of duplicate keys the last holds, as everywhere.
        let mended = serde_json::from_str::<Value>(&text).map(|value| value.to_string());
        match mended {
            Ok(json) if json.starts_with('{') => {
                let payload = Payload { data: json.into(), ..payload.clone() };
                if let Ok(frame) = serde_json::from_slice::<Frame<'_>>(&payload.data) {
                    self.frame(&frame, &payload, out);
                }
            }
            Ok(json) => self.native("stray", json, out),
            Err(error) if text.starts_with('{') => {
                // Where, and not what: the library would quote the text.
                let column = error.column();
                let message =
                    format!("the provider sent a payload that cannot be read (column {column})");
                self.fail(fail::failed(&message, 0));
                self.ended = true;
            }
            Err(_) => self.native("stray", Value::from(text).to_string(), out),
        }
    }
}

impl Place {
    /// The sort of item that such a text is of.
    fn sort(self) -> Sort {
        match self {
            Self::Text(_) | Self::Refusal(_) => Sort::Message,
            Self::Summary(_) | Self::Thought(_) => Sort::Reasoning,
            Self::Arguments => Sort::Function,
        }
    }
}

fn too_many_texts() -> Failed {
    let message = format!("the provider began more than {TEXTS_MAX} texts in a response");
    Failed::new(FailureCode::Limit, message)
}

fn raw(payload: &Payload) -> Raw<'_> {
    serde_json::from_slice(&payload.data).ok()
}

/// Whether an event only says how far a provider's tool has come; the finished item says what it found.
fn is_progress(kind: &str) -> bool {
    const STEPS: [&str; 7] = [
        "in_progress",
        "searching",
        "interpreting",
        "generating",
        "completed",
        "failed",
        "compacting",
    ];
    kind.rsplit_once('.').is_some_and(|(of, step)| {
        (of.ends_with("_call") || of.starts_with("mcp_") || of == "compaction")
            && STEPS.contains(&step)
    })
}
