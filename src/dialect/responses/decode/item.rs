//! Items as they begin and as they are given whole.

use super::{Decoder, Place};
use crate::{
    dialect::responses::{
        frame::{Item, Part, Raw, list, read, text, word},
        items::{self, Sort},
    },
    event::{Event, Kind, Media, Reasoning, RunBy, ToolCall},
};

impl Decoder {
    /// An item begins.
    pub(super) fn begin(&mut self, index: u64, raw: Raw<'_>, out: &mut Vec<Event>) -> usize {
        let item: Item<'_> = read(raw);
        let sort = Sort::of(&item);
        let known = self.slots.iter().rposition(|slot| slot.index == index && !slot.done);
        let at = match known.filter(|&at| self.slots[at].sort == sort) {
            // Its deltas came before it, or it came twice.
            Some(at) => at,
            None => self.open(index, sort),
        };
        if self.slots[at].call.is_some() {
            return at;
        }
        if matches!(sort, Sort::Message | Sort::Reasoning | Sort::Function | Sort::Custom) {
            self.introduce(&item, out);
        }
        if matches!(sort, Sort::Function | Sort::Custom | Sort::Server) {
            self.call(at, &item, out);
        }
        at
    }

    /// Tells an item's own id, and what else of it only its dialect knows.
    fn introduce(&mut self, item: &Item<'_>, out: &mut Vec<Event>) {
        let members = [("type", item.kind), ("id", item.id), ("phase", item.phase)];
        let given = members.into_iter().filter_map(|(name, raw)| {
            let json = raw.filter(|raw| raw.get().starts_with('"'))?.get();
            Some(format!("\"{name}\":{json}"))
        });
        let given: Vec<_> = given.collect();
        self.native(&word(item.kind), format!("{{{}}}", given.join(",")), out);
    }

    fn call(&mut self, at: usize, item: &Item<'_>, out: &mut Vec<Event>) {
        let run_by = self.slots[at].sort.run_by().unwrap_or_default();
        let index = self.calls;
        self.calls += 1;
        self.asks_tools |= run_by == RunBy::Client;
        self.slots[at].call = Some(index);
        let id = text(item.call_id).or_else(|| text(item.id));
        let id = id.unwrap_or_else(|| format!("{}_{index}", self.id_stem));
        let call = ToolCall { index, id, name: items::tool(item), run_by };
        self.say(Kind::ToolCall(call), out);
    }

    /// An item is given whole: what was not said of it is said now.
    pub(super) fn complete(&mut self, index: u64, raw: Raw<'_>, out: &mut Vec<Event>) {
        let Some(whole) = raw else { return };
        let item: Item<'_> = read(raw);
        let sort = Sort::of(&item);
        let known = self.slots.iter().rposition(|slot| slot.index == index && slot.sort == sort);
        let at = known.unwrap_or_else(|| self.begin(index, raw, out));
        if self.slots[at].done {
            return;
        }
        if matches!(sort, Sort::Special | Sort::Other | Sort::Server) {
            self.native(&word(item.kind), items::told(whole, &item), out);
        }
        if sort.run_by().is_some() && self.slots[at].call.is_none() {
            self.call(at, &item, out);
        }
        match sort {
            Sort::Message => {
                let parts = list(item.content);
                let places = self.places(at, parts.len(), |place| match place {
                    Place::Text(content) | Place::Refusal(content) => Some(content),
                    _ => None,
                });
                for (content, part) in places.into_iter().zip(parts) {
                    self.part(at, content, Some(part), out);
                }
            }
            Sort::Reasoning => self.reasoning(at, &item, out),
            Sort::Function | Sort::Custom | Sort::Special | Sort::Server => {
                if let Some(arguments) = items::arguments(&item) {
                    let rest = self.said(at, Place::Arguments).rest(&arguments).to_owned();
                    self.voice(at, Place::Arguments, rest, out);
                }
                if let Some((mime, data)) = items::image(&item) {
                    let index = self.media;
                    self.media += 1;
                    self.say(Kind::Media(Media { mime, data, index, part: 0, last: true }), out);
                }
            }
            Sort::Other => {}
        }
        let slot = &mut self.slots[at];
        slot.done = true;
        self.texts -= slot.texts.len() + slot.annotations.len();
        slot.texts = Vec::new();
        slot.annotations = Vec::new();
    }

    /// Where the parts of a finished item were when they were streamed. Some servers count them from 1, or over all items:
    /// then the first part is the first that was streamed.
    fn places(&self, at: usize, count: usize, of: fn(Place) -> Option<u64>) -> Vec<u64> {
        let mut streamed: Vec<_> =
            self.slots[at].texts.iter().filter_map(|(place, _)| of(*place)).collect();
        streamed.sort_unstable();
        streamed.dedup();
        let beyond = streamed.last().is_some_and(|last| *last >= count as u64);
        if !beyond {
            return (0..count as u64).collect();
        }
        let after = streamed.last().copied().unwrap_or(0).saturating_add(1);
        streamed.extend((0..count as u64).map(|more| after.saturating_add(more)));
        streamed.truncate(count);
        streamed
    }

    /// The same thought may come as content and as summary: the one that was streamed is told, else the summary. Only
    /// the finished item's encrypted content lasts.
    fn reasoning(&mut self, at: usize, item: &Item<'_>, out: &mut Vec<Event>) {
        let texts = &self.slots[at].texts;
        let said = |wanted: fn(&Place) -> bool| {
            texts.iter().any(|(place, said)| wanted(place) && !said.nothing())
        };
        let thought = said(|place| matches!(place, Place::Thought(_)));
        let summary = said(|place| matches!(place, Place::Summary(_)));
        let summaries = list(item.summary);
        if summary || (!thought && !summaries.is_empty()) {
            let places = self.places(at, summaries.len(), |place| match place {
                Place::Summary(number) => Some(number),
                _ => None,
            });
            for (number, part) in places.into_iter().zip(summaries) {
                let part: Part<'_> = read(Some(part));
                self.rest(at, Place::Summary(number), part.text, out);
            }
        } else {
            let parts = list(item.content);
            let places = self.places(at, parts.len(), |place| match place {
                Place::Thought(number) => Some(number),
                _ => None,
            });
            for (number, part) in places.into_iter().zip(parts) {
                let part: Part<'_> = read(Some(part));
                self.rest(at, Place::Thought(number), part.text, out);
            }
        }
        if let Some(encrypted) = text(item.encrypted_content) {
            self.say(Kind::Reasoning(Reasoning { encrypted, ..Reasoning::default() }), out);
        }
    }
}
