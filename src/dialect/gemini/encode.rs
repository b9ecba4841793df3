//! Events become a stream's chunks: each a `GenerateContentResponse` of its own.
//!
//! A deterministic function of one generation's events. There is no terminator; a failure is a chunk with nothing but an
//! `error`. Gives the payloads only: whether they are framed as SSE or as one JSON array is the caller's matter.

use serde_json::value::RawValue;

use super::{
    super::{Asked, Wire, body::json},
    error::error_wire,
    speech::{self, Content, Part, Piece, Speech},
};
use crate::event::Event;

#[cfg(test)]
mod tests;

/// Writes one generation's stream for one app.
#[derive(Debug)]
pub struct Encoder {
    speech: Speech,
    pieces: Vec<Piece>,
}

impl Encoder {
    /// An encoder for a generation whose events are given from the first on.
    pub fn new(_asked: &Asked) -> Self {
        Self { speech: Speech::new(), pieces: Vec::new() }
    }

    /// Adds the payloads that say `event` to `out`.
    pub fn encode(&mut self, event: &Event, out: &mut Vec<Wire>) {
        let mut pieces = std::mem::take(&mut self.pieces);
        self.speech.say(event, &mut pieces);
        let mut pieces_left = pieces.drain(..).peekable();
        while let Some(piece) = pieces_left.next() {
            match piece {
                Piece::Part(index, part) => {
                    self.candidate(index, &format!("\"content\":{}", content(&part)), out);
                }
                Piece::Member(index, name, data) => {
                    let data = String::from_utf8_lossy(&data);
                    self.candidate(index, &format!("{}:{data}", json(&name)), out);
                }
                Piece::Source(index, chunk) => {
                    let grounding =
                        format!("\"groundingMetadata\":{{\"groundingChunks\":[{chunk}]}}");
                    self.candidate(index, &grounding, out);
                }
                Piece::Top(name, data) => {
                    let data = String::from_utf8_lossy(&data);
                    self.chunk(&format!("{}:{data},", json(&name)), None, out);
                }
                Piece::Finish(index, word, message) => {
                    // The last chunk of a good answer has both.
                    let end = pieces_left.next_if(|next| matches!(next, Piece::End(_)));
                    let usage = end.and_then(|end| match end {
                        Piece::End(usage) => usage,
                        _ => None,
                    });
                    let nothing = Content::Text { text: String::new(), thought: false };
                    let content = content(&Part { content: nothing, signature: String::new() });
                    let message = message
                        .map(|message| format!(",\"finishMessage\":{}", json(&message)))
                        .unwrap_or_default();
                    let candidate = format!(
                        "{{\"content\":{content},\"finishReason\":{}{message},\"index\":{index}}}",
                        json(&word)
                    );
                    let members = format!("\"candidates\":[{candidate}],");
                    self.chunk(&members, usage.as_deref(), out);
                }
                Piece::End(None) => {}
                Piece::End(usage) => self.chunk("", usage.as_deref(), out),
                Piece::Failed(failed) => out.push(error_wire(&failed)),
            }
        }
        drop(pieces_left);
        self.pieces = pieces;
    }

    /// A chunk of one candidate with one member.
    fn candidate(&self, index: u32, member: &str, out: &mut Vec<Wire>) {
        self.chunk(&format!("\"candidates\":[{{{member},\"index\":{index}}}],"), None, out);
    }

    fn chunk(&self, members: &str, usage: Option<&RawValue>, out: &mut Vec<Wire>) {
        let usage =
            usage.map(|usage| format!("\"usageMetadata\":{},", usage.get())).unwrap_or_default();
        let (model, id) = (json(&self.speech.head.model), json(&self.speech.head.id));
        let chunk = format!("{{{members}{usage}\"modelVersion\":{model},\"responseId\":{id}}}");
        // What a provider pretty-printed: a line end can only be between values, and Google's SDKs read a payload as one
        // line.
        out.push(Wire::unnamed(match memchr::memchr2(b'\n', b'\r', chunk.as_bytes()) {
            Some(_) => chunk.replace(['\n', '\r'], " "),
            None => chunk,
        }));
    }
}

/// A candidate's content of one part.
fn content(part: &Part) -> String {
    format!("{{\"parts\":[{}],\"role\":\"model\"}}", speech::part(part))
}
