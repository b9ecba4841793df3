//! An answer that is not streamed, both ways.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    super::{Asked, body::json},
    Decoder,
    speech::{self, Content, Part, Piece, Speech},
};
use crate::{
    dialect::Ending,
    event::{Event, Failed, FailureCode},
    provider::sse::Payload,
};

/// Says what a whole body says, its last events included. A body that holds an error, or that cannot be read, ends in
/// `Failed`. A body that is an array is a stream's, read at once.
pub fn decode_whole(generation: &str, body: Bytes, out: &mut Vec<Event>) {
    let mut decoder = Decoder::new(generation);
    let streamed = body.trim_ascii_start().starts_with(b"[");
    decoder.decode(&Payload::of(body), out);
    // A body without a candidate is not an answer.
    let whole = decoder.has_answer() && !streamed;
    decoder.finish(if whole { Ending::Terminator } else { Ending::Eof }, out);
}

/// The body for an app that asked without streaming; a failed generation's failure, or one for a generation without an
/// end.
pub fn encode_whole<'a>(
    events: impl IntoIterator<Item = &'a Event>,
    _asked: &Asked,
) -> Result<Bytes, Failed> {
    let mut speech = Speech::new();
    let mut answer = Answer::default();
    let mut pieces = Vec::new();
    for event in events {
        speech.say(event, &mut pieces);
        for piece in pieces.drain(..) {
            match piece {
                Piece::Failed(failed) => return Err(failed),
                Piece::End(usage) => {
                    if let Some(usage) = usage {
                        answer.top.push(("usageMetadata".to_owned(), usage.get().to_owned()));
                    }
                    return Ok(answer.body(&speech.head));
                }
                piece => answer.add(piece),
            }
        }
    }
    Err(Failed::new(FailureCode::GatewayLost, "the generation has no end"))
}

/// What has been gathered.
#[derive(Default)]
struct Answer {
    candidates: BTreeMap<u32, Candidate>,
    top: Vec<(String, String)>,
}

#[derive(Default)]
struct Candidate {
    parts: Vec<Part>,
    /// The last one of a name holds.
    members: BTreeMap<String, String>,
    sources: Vec<String>,
}

impl Answer {
    fn add(&mut self, piece: Piece) {
        match piece {
            Piece::Part(index, part) => self.candidate(index).part(part),
            Piece::Member(index, name, data) => {
                let data = String::from_utf8_lossy(&data).into_owned();
                self.candidate(index).members.insert(name, data);
            }
            Piece::Source(index, chunk) => self.candidate(index).sources.push(chunk),
            Piece::Finish(index, word, message) => {
                let members = &mut self.candidate(index).members;
                members.insert("finishReason".to_owned(), json(&word));
                let message = message.map(|message| json(&message));
                members.extend(message.map(|message| ("finishMessage".to_owned(), message)));
            }
            Piece::Top(name, data) => {
                self.top.push((name, String::from_utf8_lossy(&data).into_owned()));
            }
            Piece::End(_) | Piece::Failed(_) => {}
        }
    }

    fn candidate(&mut self, index: u32) -> &mut Candidate {
        self.candidates.entry(index).or_default()
    }

    fn body(self, head: &speech::Head) -> Bytes {
        let mut members = Vec::new();
        let candidates: Vec<_> =
            self.candidates.into_iter().map(|(index, it)| it.text(index)).collect();
        if !candidates.is_empty() {
            members.push(format!("\"candidates\":[{}]", candidates.join(",")));
        }
        members.extend(self.top.into_iter().map(|(name, data)| format!("{}:{data}", json(&name))));
        members.push(format!("\"modelVersion\":{}", json(&head.model)));
        members.push(format!("\"responseId\":{}", json(&head.id)));
        format!("{{{}}}", members.join(",")).into()
    }
}

impl Candidate {
    /// Adds a part: to the last one where both are the same kind of text and that is not signed yet.
    fn part(&mut self, part: Part) {
        if let Some(last) = self.parts.last_mut()
            && last.signature.is_empty()
            && let Content::Text { text, thought } = &mut last.content
            && let Content::Text { text: more, thought: is_thought } = &part.content
            && thought == is_thought
        {
            text.push_str(more);
            last.signature = part.signature;
            return;
        }
        self.parts.push(part);
    }

    fn text(mut self, index: u32) -> String {
        if !self.sources.is_empty() {
            let chunks = format!("{{\"groundingChunks\":[{}]}}", self.sources.join(","));
            self.members.entry("groundingMetadata".to_owned()).or_insert(chunks);
        }
        let parts: Vec<_> = self.parts.iter().map(speech::part).collect();
        let mut text =
            format!("{{\"content\":{{\"parts\":[{}],\"role\":\"model\"}}", parts.join(","));
        for (name, data) in self.members {
            text += &format!(",{}:{data}", json(&name));
        }
        text + &format!(",\"index\":{index}}}")
    }
}
