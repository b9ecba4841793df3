//! Reasoning items: thoughts, and their makers' marks.

use super::{Encoder, Open, PIECE_BYTES_MIN};
use crate::{
    dialect::{
        Dialect, Sealed, Wire,
        responses::{
            lifecycle::{SummaryDelta, SummaryDone, SummaryPlace, SummaryStep},
            output::{COMPLETED, IN_PROGRESS, Item, Summary},
        },
        seal,
    },
    event::Reasoning,
};

impl Encoder {
    pub(super) fn reasoning(&mut self, part: &Reasoning, out: &mut Vec<Wire>) {
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

    pub(super) fn open_thought(&mut self, out: &mut Vec<Wire>) {
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

    pub(super) fn close_thought(&mut self, out: &mut Vec<Wire>) {
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
}
