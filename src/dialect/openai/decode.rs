//! A stream of chunks becomes events.
//!
//! The end is `[DONE]`, or a finish_reason on every choice seen and then the stream's close; an error in the stream ends
//! it too, in whichever of its shapes it comes. Usage and the end itself are said last, by [`Decoder::finish`]:
//! providers send usage before, beside, after and in the middle.

use bytes::Bytes;
use serde_json::{Value, value::RawValue};

use super::{
    CHUNK, STRAY,
    chunk::{self, Chunk, is_empty},
    content::{self, Choice, Voice, copy},
    fail,
    finish::{self, Signs},
    media::Gallery,
    mend::mend,
    sources::Sources,
    tools::CALLS_MAX,
    usage,
};
use crate::{
    dialect::{Decoded, Ending, Flow},
    event::{Event, Failed, FailureCode, FinishReason, Finished, Kind},
    provider::sse::Payload,
};

#[cfg(test)]
mod tests;

/// The most choices a generation may have: OpenAI's own bound on `n`.
const CHOICES_MAX: usize = 128;

/// One generation's decoder.
#[derive(Debug, Default)]
pub struct Decoder {
    id_stem: String,
    choices: Vec<Progress>,
    gallery: Gallery,
    sources: Sources,
    /// The provider's last usage object.
    usage: Option<Bytes>,
    /// The first error in the stream.
    failure: Option<Failed>,
    ended: bool,
}

/// A choice and its end.
#[derive(Debug, Default)]
struct Progress {
    choice: Choice,
    /// `finish_reason`; the last one holds.
    word: Option<String>,
    /// What `ChoiceFinished` has said.
    announced: Option<Finished>,
}

impl Decoder {
    /// A decoder for one generation's stream. Ids that the provider left out are made from `generation`.
    pub fn new(generation: &str) -> Self {
        // Providers take call ids of up to 40 characters back.
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
        } else if payload.event == "error" && !data.is_empty() {
            self.fail(fail::read_bytes(data));
        } else if data.is_empty() || is_ping(payload.name()) {
            decoded.ping = true;
        } else if let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(data) {
            self.chunk(chunk, payload, out, &mut decoded);
        } else {
            self.repair(data, payload, out, &mut decoded);
        }
        decoded.flow = self.flow();
        decoded
    }

    /// Says the last events; see [`dialect::Decoder::finish`](crate::dialect::Decoder::finish).
    pub fn finish(mut self, ending: Ending, out: &mut Vec<Event>) {
        let mut too_large = None;
        for Progress { choice, .. } in &mut self.choices {
            let mut to = Voice { out, choice: choice.index, too_large };
            choice.calls.flush(&choice.id_stem, |kind| to.say(kind));
            too_large = to.too_large;
        }
        for (choice, media) in self.gallery.close() {
            out.push(Event::new(Kind::Media(media)).of_choice(choice));
        }
        self.failure = self.failure.or_else(|| too_large.map(beyond));

        let finished = self.choices.iter().all(|choice| choice.word.is_some());
        let seen = !self.choices.is_empty();
        let failure = self.failure.take().or_else(|| self.bad_word()).or(match ending {
            Ending::Stopped(failed) => Some(failed),
            Ending::Terminator => None,
            Ending::Eof if finished && seen => None,
            Ending::Eof => Some(Failed::new(
                FailureCode::UpstreamCut,
                "the provider's stream closed without a finish_reason or [DONE]",
            )),
        });
        if failure.is_none() {
            for progress in &mut self.choices {
                // `[DONE]` ends what has no reason of its own.
                progress.word.get_or_insert_default();
            }
            self.announce(out);
        }
        out.extend(self.usage.take().map(|native| Event::new(Kind::Usage(usage::read(native)))));
        out.push(Event::new(match failure {
            Some(failed) => Kind::Failed(failed),
            None => Kind::Finished(self.end()),
        }));
    }

    /// Whether any choice has begun.
    pub(super) fn has_choices(&self) -> bool {
        !self.choices.is_empty()
    }

    fn flow(&self) -> Flow {
        let finished = self.choices.iter().all(|choice| choice.word.is_some());
        match (self.ended, finished && !self.choices.is_empty()) {
            (true, _) => Flow::Ended,
            (false, true) => Flow::FinishSeen,
            (false, false) => Flow::More,
        }
    }

    fn fail(&mut self, failed: Failed) {
        self.ended = true;
        self.failure.get_or_insert(failed);
    }

    fn chunk(
        &mut self,
        chunk: Chunk<'_>,
        payload: &Payload,
        out: &mut Vec<Event>,
        decoded: &mut Decoded,
    ) {
        let errors = [chunk.error, usage::groq(&chunk).error];
        let mut error = errors.into_iter().flatten().find(|raw| !is_empty(raw)).map(fail::read);
        if chunk.choices.is_none() {
            if chunk.object.as_str() == "error" || chunk.kind.as_str() == "error" {
                error = error.or_else(|| Some(fail::read_bytes(&payload.data)));
            } else if error.is_none() && is_ping(chunk.kind.as_str()) {
                decoded.ping = true;
                return;
            }
        }
        let usage = usage::find(&chunk);
        self.usage = usage.map(copy).or(self.usage.take());
        let choices = chunk.choices.unwrap_or_default();
        decoded.usage_only = choices.is_empty() && usage.is_some() && error.is_none();

        let said_before = out.len();
        let mut to = Voice { out, choice: 0, too_large: None };
        if let Some(citations) = chunk.citations {
            self.sources.cite(citations, &mut to);
        }
        if let Some(results) = chunk.search_results {
            self.sources.results(results, &mut to);
        }
        // A payload of which nothing else is known passes whole; a part of a known one under its name.
        let mut unspoken = usage.is_none() && error.is_none();
        if let Some(raw) = chunk.moderation.filter(|_| !choices.is_empty() || !unspoken) {
            to.native("moderation", copy(raw));
        }
        let mut changed = false;
        for (position, choice) in choices.into_iter().enumerate() {
            let broken = choice.error.filter(|raw| !is_empty(raw)).map(fail::read);
            error = error.or(broken);
            let (said, ended) = self.choice(choice, position, &mut to);
            unspoken &= !said;
            changed |= ended;
        }
        if unspoken && to.out.len() == said_before {
            to.native(CHUNK, payload.data.clone());
        }
        let too_large = to.too_large;
        if changed && self.choices.len() > 1 {
            self.announce(out);
        }
        if let Some(failed) = error.or_else(|| too_large.map(beyond)) {
            self.fail(failed);
        }
    }

    /// Reads one choice's part. Returns whether it could hold anything the words can say, and whether something changed
    /// about how choices ended.
    fn choice(
        &mut self,
        part: chunk::Choice<'_>,
        position: usize,
        to: &mut Voice<'_>,
    ) -> (bool, bool) {
        let index = part.index.0.and_then(|index| u32::try_from(index).ok());
        let index = index.unwrap_or(u32::try_from(position).unwrap_or(u32::MAX));
        let known = self.choices.iter().position(|progress| progress.choice.index == index);
        if known.is_none() && self.choices.len() == CHOICES_MAX {
            let message = format!("the provider began more than {CHOICES_MAX} choices");
            self.fail(Failed::new(FailureCode::Limit, message));
            return (true, false);
        }
        let at = known.unwrap_or_else(|| {
            let id_stem = format!("{}_{index}", self.id_stem);
            let choice = Choice { index, id_stem, ..Choice::default() };
            self.choices.push(Progress { choice, ..Progress::default() });
            self.choices.len() - 1
        });
        let Progress { choice, word, .. } = &mut self.choices[at];
        to.choice = index;
        let mut said = true;
        if let Some(delta) = part.delta {
            choice.streamed = true;
            content::delta(delta, choice, &mut self.gallery, to);
        } else if let Some(message) = part.message.filter(|_| !choice.streamed) {
            content::delta(message, choice, &mut self.gallery, to);
        } else if let Some(text) = part.text.some() {
            to.say(Kind::Text(text.into_owned()));
        } else {
            said = false;
        }
        if let Some(reason) = part.finish_reason.some() {
            said = true;
            *word = Some(reason.into_owned());
            choice.calls.flush(&choice.id_stem, |kind| to.say(kind));
        }
        let changed = known.is_none() || word.is_some();
        if choice.calls.are_too_many() {
            let message = format!("the provider began more than {CALLS_MAX} tool calls");
            self.fail(Failed::new(FailureCode::Limit, message));
        }
        (said, changed)
    }

    /// Says how choices ended that have not been said, or that ended otherwise after all.
    fn announce(&mut self, out: &mut Vec<Event>) {
        if self.choices.len() < 2 {
            return;
        }
        for progress in &mut self.choices {
            let end = progress.end();
            if end.is_some() && end != progress.announced {
                let kind = end.clone().map(Kind::ChoiceFinished);
                out.extend(kind.map(|kind| Event::new(kind).of_choice(progress.choice.index)));
                progress.announced = end;
            }
        }
    }

    /// A choice that ended in a word for an error.
    fn bad_word(&self) -> Option<Failed> {
        let bad = self.choices.iter().find(|it| it.word.is_some() && it.end().is_none())?;
        let word = bad.word.as_deref().unwrap_or_default();
        let message = format!("the provider ended with finish_reason {word}");
        Some(fail::failed(Some(message.into())))
    }

    /// How the first choice ended.
    fn end(&self) -> Finished {
        let first = self.choices.iter().min_by_key(|progress| progress.choice.index);
        first
            .and_then(Progress::end)
            .unwrap_or(Finished { reason: FinishReason::Stop, native_reason: None })
    }

    /// Reads what is not a chunk: mends what can be mended, passes what says nothing, and fails on what would lose text.
    fn repair(
        &mut self,
        data: &[u8],
        payload: &Payload,
        out: &mut Vec<Event>,
        decoded: &mut Decoded,
    ) {
        if !data.starts_with(b"{") {
            return self.stray(data, out);
        }
        let read = mend(data).and_then(|data| {
            let mended = Payload { data, ..payload.clone() };
            let chunk = serde_json::from_slice::<Chunk<'_>>(&mended.data)?;
            self.chunk(chunk, &mended, out, decoded);
            Ok(())
        });
        if let Err(error) = read {
            // Where, and not what: the library would quote the text.
            let column = error.column();
            let message =
                format!("the provider sent a payload that cannot be read (column {column})");
            self.fail(fail::failed(Some(message.into())));
        }
    }

    fn stray(&mut self, data: &[u8], out: &mut Vec<Event>) {
        let raw = serde_json::from_slice::<&RawValue>(data).ok();
        if raw.is_some_and(|raw| raw.get().starts_with('[') && raw.get().contains("\"error\"")) {
            return self.fail(fail::read_bytes(data));
        }
        let mut to = Voice { out, choice: 0, too_large: None };
        match raw {
            Some(raw) => to.native(STRAY, copy(raw)),
            None => to.native(STRAY, Value::from(String::from_utf8_lossy(data)).to_string()),
        }
        if let Some(too_large) = to.too_large {
            self.fail(beyond(too_large));
        }
    }
}

impl Progress {
    /// How the choice ended; `None` if it has not, or badly.
    fn end(&self) -> Option<Finished> {
        let word = self.word.as_deref()?;
        let signs = Signs { word, called_tools: !self.choice.calls.is_empty() };
        let native_reason = (!word.is_empty()).then(|| word.to_owned());
        finish::reason(signs).map(|reason| Finished { reason, native_reason })
    }
}

fn is_ping(name: &str) -> bool {
    matches!(name, "ping" | "keepalive" | "keep-alive" | "heartbeat")
}

fn beyond(too_large: crate::dialect::TooLarge) -> Failed {
    Failed::new(FailureCode::Limit, too_large.to_string())
}
