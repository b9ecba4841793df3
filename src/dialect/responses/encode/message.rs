//! Messages: text, refusals and their sources.

use serde_json::value::RawValue;

use super::{CITATIONS_MAX, Encoder, Open};
use crate::dialect::{
    Wire,
    responses::{
        cite,
        lifecycle::{Annotation, Delta, PartStep, Place, RefusalDone, TextDelta, TextDone},
        output::{COMPLETED, IN_PROGRESS, Item, Part},
    },
};

impl Encoder {
    pub(super) fn text(&mut self, text: &str, is_text: bool, out: &mut Vec<Wire>) {
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

    pub(super) fn open_message(&mut self, out: &mut Vec<Wire>) {
        self.close_open(COMPLETED, out);
        self.close_calls(IN_PROGRESS, out);
        let (id, phase) = self.next_id("message", "msg");
        let (status, role, content) = (IN_PROGRESS, "assistant", Vec::new());
        let at = self.add(Item::Message { id, status, role, phase, content }, out);
        self.open = Open::Message { at, part: false };
    }

    pub(super) fn close_part(&mut self, out: &mut Vec<Wire>) {
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

    pub(super) fn cite(&mut self, source: &[u8], out: &mut Vec<Wire>) {
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
}
