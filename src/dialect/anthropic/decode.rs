//! A stream of events, or a whole message, becomes words.
//!
//! The end is `message_stop` and nothing else, but for a `[DONE]` that some put behind a `stop_reason`; an `error` event
//! ends a stream badly, also as its very first. A `message_start` that comes again is skipped; one of another message
//! while the first is open is a splice of two answers by somebody on the way, and fails rather than merges them. Usage
//! and the end itself are said last, by [`Decoder::finish`].

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{
    END, STRAY,
    blocks::{Blocks, list},
    error, finish,
    shapes::{End, Frame, Message, said},
    usage::Counted,
    voice::Voice,
};
use crate::{
    dialect::{Decoded, Ending, Flow},
    event::{Event, Failed, FailureCode, FinishReason, Finished, Kind},
    provider::sse::Payload,
};

#[cfg(test)]
mod tests;

/// A message's id is looked at no further than this.
const ID_BYTES_MAX: usize = 256;

/// One generation's decoder.
#[derive(Debug)]
pub struct Decoder {
    blocks: Blocks,
    counted: Counted,
    /// The id of the message that is open.
    message: Option<String>,
    /// A block has begun.
    begun: bool,
    /// `stop_reason`; the last one holds.
    word: Option<String>,
    /// The first error in the stream.
    failure: Option<Failed>,
    /// The dialect's end has come.
    complete: bool,
    ended: bool,
}

impl Decoder {
    /// A decoder for one generation's stream. Ids that the provider left out are made from `generation`.
    pub fn new(generation: &str) -> Self {
        let plain = generation.strip_prefix("gen_").unwrap_or(generation);
        let id_stem = format!("toolu_{}", &plain[..plain.floor_char_boundary(24)]);
        Self {
            blocks: Blocks::new(id_stem),
            counted: Counted::default(),
            message: None,
            begun: false,
            word: None,
            failure: None,
            complete: false,
            ended: false,
        }
    }

    /// Reads one payload; see [`dialect::Decoder::decode`](crate::dialect::Decoder::decode).
    pub fn decode(&mut self, payload: &Payload, out: &mut Vec<Event>) -> Decoded {
        let mut decoded = Decoded::default();
        let text = String::from_utf8_lossy(payload.data.trim_ascii());
        if self.ended || text == "[DONE]" {
            // OpenRouter's mark behind everything, under an event name of its own.
            self.complete |= self.word.is_some();
            self.ended = true;
        } else if text.is_empty() || payload.name() == "ping" {
            decoded.ping = true;
        } else {
            let mut to = Voice::new(out);
            match serde_json::from_str::<Frame<'_>>(&text) {
                Ok(frame) => decoded.ping = self.frame(&frame, &text, payload.name(), &mut to),
                Err(_) if payload.name() == "error" => self.fail(error::read(text.as_bytes())),
                Err(_) if !text.starts_with('{') => stray(&text, &mut to),
                Err(error) => {
                    // Where, and not what: the library would quote the text.
                    let column = error.column();
                    let message = format!(
                        "the provider sent a payload that cannot be read (column {column})"
                    );
                    self.fail(error::failed(&message, 0));
                }
            }
            if let Some(too_large) = to.too_large {
                self.fail(Failed::new(FailureCode::Limit, too_large.to_string()));
            }
        }
        if self.ended {
            decoded.flow = Flow::Ended;
        }
        decoded
    }

    /// Says the last events; see [`dialect::Decoder::finish`](crate::dialect::Decoder::finish).
    pub fn finish(mut self, ending: Ending, out: &mut Vec<Event>) {
        let mut to = Voice::new(out);
        self.blocks.close(&mut to);
        if let Some(too_large) = to.too_large {
            self.fail(Failed::new(FailureCode::Limit, too_large.to_string()));
        }
        let failure = self.failure.or(match ending {
            Ending::Stopped(failed) => Some(failed),
            Ending::Terminator | Ending::Eof if self.complete => None,
            Ending::Terminator | Ending::Eof => Some(Failed::new(
                FailureCode::UpstreamCut,
                "the provider's stream closed without a message_stop",
            )),
        });
        if let Some(usage) = self.counted.usage() {
            Voice::new(out).say(Kind::Usage(usage));
        }
        out.push(Event::new(match failure {
            Some(failed) => Kind::Failed(failed),
            None => Kind::Finished(Finished {
                reason: self.word.as_deref().map_or(FinishReason::Stop, finish::reason),
                native_reason: self.word,
            }),
        }));
    }

    /// Reads one event; says whether it is a ping.
    fn frame(&mut self, frame: &Frame<'_>, text: &str, name: &str, to: &mut Voice<'_>) -> bool {
        let kind = match frame.kind.as_str() {
            // By which of the two the SDKs tell an error.
            _ if name == "error" => "error",
            "" if said(frame.error).is_some() => "error",
            "" => name,
            kind => kind,
        };
        if let Some(metrics) = said(frame.metrics) {
            self.counted.add_metrics(metrics);
        }
        let index = frame.index.0;
        let read = match kind {
            "ping" => return true,
            "message_start" => self.begin(frame),
            "content_block_start" => {
                self.begun = true;
                frame.content_block.map_or(Ok(()), |raw| self.blocks.start(index, raw, to))
            }
            "content_block_delta" => {
                self.begun = true;
                frame.delta.map_or(Ok(()), |raw| self.blocks.delta(index, raw, to))
            }
            "content_block_stop" => {
                self.blocks.stop(index, to);
                Ok(())
            }
            "message_delta" => {
                // `context_management` stands beside `delta`, everything else in it.
                self.end(frame.delta.map_or("{}", RawValue::get), frame.usage, to);
                self.end(text, None, to);
                Ok(())
            }
            "message_stop" => {
                self.complete = true;
                self.ended = true;
                Ok(())
            }
            "error" => Err(error::read(text.as_bytes())),
            "message" => self.whole(text, to),
            "" => {
                stray(text, to);
                Ok(())
            }
            kind => {
                to.native(kind, text);
                Ok(())
            }
        };
        if let Err(failed) = read {
            self.fail(failed);
        }
        false
    }

    fn begin(&mut self, frame: &Frame<'_>) -> Result<(), Failed> {
        let raw = frame.message.map_or("{}", RawValue::get);
        let message: Message<'_> = serde_json::from_str(raw).unwrap_or_default();
        let id = message.id.as_str();
        let id = &id[..id.floor_char_boundary(ID_BYTES_MAX)];
        match self.message.as_deref() {
            Some(open) if open == id && !id.is_empty() => return Ok(()),
            Some(_) if self.begun || self.word.is_some() => {
                let message = "the provider began another message before the first had ended";
                return Err(Failed::new(FailureCode::UpstreamError, message));
            }
            _ => {}
        }
        self.message = Some(id.to_owned());
        self.counted = Counted::default();
        if let Some(usage) = message.usage {
            self.counted.add(usage);
        }
        Ok(())
    }

    fn end(&mut self, text: &str, usage: Option<&RawValue>, to: &mut Voice<'_>) {
        let end: End<'_> = serde_json::from_str(text).unwrap_or_default();
        if !end.stop_reason.as_str().is_empty() {
            self.word = Some(end.stop_reason.0.into_owned());
        }
        if let Some(usage) = usage {
            self.counted.add(usage);
        }
        for (name, value) in [
            ("stop_sequence", end.stop_sequence),
            ("stop_details", end.stop_details),
            ("container", end.container),
            ("context_management", end.context_management),
        ] {
            if let Some(value) = said(value) {
                to.native(format!("{END}{name}"), value.get());
            }
        }
    }

    /// Reads a message that came whole.
    fn whole(&mut self, text: &str, to: &mut Voice<'_>) -> Result<(), Failed> {
        let message: Message<'_> = serde_json::from_str(text).unwrap_or_default();
        let blocks = message.content.map(list).unwrap_or_default();
        for (index, raw) in (0..).zip(blocks) {
            self.blocks.start(Some(index), raw, to)?;
            self.blocks.stop(Some(index), to);
        }
        self.end(text, message.usage, to);
        // Without either it is no answer.
        self.complete = message.content.is_some() || self.word.is_some();
        self.ended = true;
        Ok(())
    }

    fn fail(&mut self, failed: Failed) {
        self.failure.get_or_insert(failed);
        self.ended = true;
    }
}

/// Says what a whole body says, its last events included. A body that holds an error, or that is no message, ends in
/// `Failed`.
pub fn decode_whole(generation: &str, body: Bytes, out: &mut Vec<Event>) {
    let mut decoder = Decoder::new(generation);
    decoder.decode(&Payload::of(body), out);
    decoder.finish(Ending::Eof, out);
}

/// What is no event of the dialect passes, as JSON.
fn stray(text: &str, to: &mut Voice<'_>) {
    match serde_json::from_str::<&RawValue>(text) {
        Ok(raw) => to.native(STRAY, raw.get()),
        Err(_) => to.native(STRAY, &serde_json::Value::from(text).to_string()),
    }
}
