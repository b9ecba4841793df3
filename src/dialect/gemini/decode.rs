//! A stream of answers becomes events.
//!
//! There is no terminator: the end is a finishReason on every candidate seen and then the stream's close. A finishReason
//! may also come in the middle, with more after it; then only what comes after counts. An error in the stream ends it.
//! Usage is cumulative and in every chunk: the last is said, at the end.

use bytes::Bytes;
use serde_json::{Value, value::RawValue};

use super::{
    content::{self, Choice, Said, Voice, copy},
    fail,
    fields::{Fields, elements, is_empty},
    finish, sources, usage,
};
use crate::{
    dialect::{Decoded, Ending, Flow, TooLarge},
    event::{Event, Failed, FailureCode, FinishReason, Finished, Kind},
    provider::sse::Payload,
};

#[cfg(test)]
mod tests;

/// The most choices a generation may have; Google's own bound on `candidateCount` is 8.
const CHOICES_MAX: usize = 128;

/// Of what a candidate has beside its content, what is worth passing; the rest is envelope.
const MEMBERS: [&str; 4] =
    ["groundingMetadata", "citationMetadata", "urlContextMetadata", "logprobsResult"];

/// One generation's decoder.
#[derive(Debug, Default)]
pub struct Decoder {
    id_stem: String,
    choices: Vec<Progress>,
    /// How many media have been said.
    media: u32,
    /// The provider's last usage object.
    usage: Option<Bytes>,
    /// Why the prompt was not answered at all.
    blocked: Option<String>,
    /// The first error in the stream.
    failure: Option<Failed>,
    ended: bool,
}

/// A choice and its end.
#[derive(Debug, Default)]
struct Progress {
    choice: Choice,
    /// `finishReason`; the last one holds, and none does after which there was more.
    word: Option<String>,
    /// What `ChoiceFinished` has said.
    announced: Option<Finished>,
    /// Members that were passed, because mostly they come again as they were.
    members: Vec<(&'static str, Bytes)>,
    cited: sources::Said,
}

impl Decoder {
    /// A decoder for one generation's stream. Ids that the provider left out are made from `generation`.
    pub fn new(generation: &str) -> Self {
        // Providers of other dialects take call ids of up to 40 characters back.
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
        } else {
            match serde_json::from_slice::<&RawValue>(data) {
                Ok(raw) if raw.get().starts_with(['{', '[']) => {
                    for raw in elements(raw) {
                        self.chunk(raw, out);
                    }
                }
                Ok(raw) => self.stray(copy(raw), out),
                Err(error) if data.starts_with(b"{") || data.starts_with(b"[") => {
                    // Where, and not what: the library would quote the text.
                    let column = error.column();
                    let message = "the provider sent a payload that cannot be read";
                    self.fail(fail::failed(Some(format!("{message} (column {column})"))));
                }
                Err(_) => {
                    let text = Value::from(String::from_utf8_lossy(data)).to_string();
                    self.stray(text.into(), out);
                }
            }
        }
        decoded.flow = self.flow();
        decoded
    }

    /// Says the last events; see [`dialect::Decoder::finish`](crate::dialect::Decoder::finish).
    pub fn finish(mut self, ending: Ending, out: &mut Vec<Event>) {
        let mut too_large = None;
        for Progress { choice, .. } in &mut self.choices {
            let mut to = Voice { out, choice: choice.index, too_large };
            choice.calls.close(&mut to);
            too_large = to.too_large;
        }
        self.failure = self.failure.or_else(|| too_large.map(beyond));

        let finished = self.choices.iter().all(|choice| choice.word.is_some());
        let seen = !self.choices.is_empty() || self.blocked.is_some();
        let failure = self.failure.take().or_else(|| self.bad_word()).or(match ending {
            Ending::Stopped(failed) => Some(failed),
            Ending::Terminator if seen => None,
            Ending::Eof if finished && seen => None,
            Ending::Eof | Ending::Terminator => Some(Failed::new(
                FailureCode::UpstreamCut,
                "the provider's stream closed without a finishReason",
            )),
        });
        if failure.is_none() {
            for progress in &mut self.choices {
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

    /// Whether there is anything that a whole body's end can be the end of.
    pub(super) fn has_answer(&self) -> bool {
        !self.choices.is_empty() || self.blocked.is_some()
    }

    fn flow(&self) -> Flow {
        let ended = |it: &Progress| it.word.is_some() && !it.choice.runs_code;
        match (self.ended, self.has_answer() && self.choices.iter().all(ended)) {
            (true, _) => Flow::Ended,
            (false, true) => Flow::FinishSeen,
            (false, false) => Flow::More,
        }
    }

    fn fail(&mut self, failed: Failed) {
        self.ended = true;
        self.failure.get_or_insert(failed);
    }

    fn chunk(&mut self, raw: &RawValue, out: &mut Vec<Event>) {
        if self.ended {
            return;
        }
        let Some(chunk) = Fields::of(raw) else { return self.stray(copy(raw), out) };
        if chunk.get("eventType").is_some() {
            let message = "the provider speaks Google's Interactions API, which is another dialect: \
                           call generateContent or streamGenerateContent";
            return self.fail(fail::failed(Some(message.to_owned())));
        }
        // Some front ends put the answer into an envelope; one, for nobody may nest them without end.
        if chunk.get("candidates").is_none()
            && let Some(inner) = chunk.get("response")
            && Fields::of(inner).is_some_and(|inner| inner.get("candidates").is_some())
        {
            return self.chunk(inner, out);
        }
        let usage = chunk.get("usageMetadata");
        if let Some(usage) = usage.filter(|raw| usage::counts(raw)) {
            self.usage = Some(copy(usage));
        }
        let said_before = out.len();
        let mut to = Voice { out, choice: 0, too_large: None };
        let feedback = chunk.get("promptFeedback");
        let blocked = feedback.and_then(Fields::of).and_then(|it| it.text("blockReason"));
        if let (Some(feedback), Some(word)) = (feedback, blocked) {
            if self.blocked.is_none() {
                to.native("promptFeedback", copy(feedback));
            }
            self.blocked = Some(word);
        }
        let candidates = chunk.list("candidates");
        let known = usage.is_some() || feedback.is_some() || !candidates.is_empty();
        let mut changed = false;
        for (position, candidate) in candidates.into_iter().enumerate() {
            changed |= self.candidate(candidate, position, &mut to);
        }
        let error = fail::error(raw);
        if !known && error.is_none() && to.out.len() == said_before && chunk.iter().count() > 0 {
            to.native("chunk", copy(raw));
        }
        let too_large = to.too_large;
        if changed && self.choices.len() > 1 {
            self.announce(out);
        }
        if let Some(failed) = error.map(fail::read).or_else(|| too_large.map(beyond)) {
            self.fail(failed);
        }
    }

    /// Reads one candidate's part. Returns whether something changed about how choices ended.
    fn candidate(&mut self, raw: &RawValue, position: usize, to: &mut Voice<'_>) -> bool {
        let Some(candidate) = Fields::of(raw) else { return false };
        let index = candidate.count("index").and_then(|index| u32::try_from(index).ok());
        let index = index.unwrap_or(u32::try_from(position).unwrap_or(u32::MAX));
        let known = self.choices.iter().position(|progress| progress.choice.index == index);
        if known.is_none() && self.choices.len() == CHOICES_MAX {
            let message = format!("the provider began more than {CHOICES_MAX} choices");
            self.fail(Failed::new(FailureCode::Limit, message));
            return false;
        }
        let at = known.unwrap_or_else(|| {
            let id_stem = format!("{}_{index}", self.id_stem);
            let choice = Choice { index, id_stem, ..Choice::default() };
            self.choices.push(Progress { choice, ..Progress::default() });
            self.choices.len() - 1
        });
        let progress = &mut self.choices[at];
        to.choice = index;
        let mut unreadable = false;
        for raw in candidate.object("content").unwrap_or_default().list("parts") {
            match content::part(raw, &mut progress.choice, &mut self.media, to) {
                Said::Nothing => {}
                // A finishReason with more after it was none.
                Said::Something => progress.word = None,
                Said::Unreadable => unreadable = true,
            }
        }
        progress.members(&candidate, to);
        if let Some(word) = candidate.text("finishReason").filter(|word| !is_no_reason(word)) {
            progress.word = Some(word);
            progress.choice.calls.close(to);
        }
        let changed = known.is_none() || progress.word.is_some();
        if unreadable {
            let message = "the provider sent partialArgs that cannot be read";
            self.fail(fail::failed(Some(message.to_owned())));
        }
        changed
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
        Some(fail::failed(Some(format!("the provider ended with finishReason {word}"))))
    }

    /// How the first choice ended.
    fn end(&self) -> Finished {
        let first = self.choices.iter().min_by_key(|progress| progress.choice.index);
        first.and_then(Progress::end).unwrap_or_else(|| match &self.blocked {
            Some(word) => {
                Finished { reason: FinishReason::ContentFilter, native_reason: Some(word.clone()) }
            }
            None => Finished { reason: FinishReason::Stop, native_reason: None },
        })
    }

    fn stray(&mut self, data: Bytes, out: &mut Vec<Event>) {
        let mut to = Voice { out, choice: 0, too_large: None };
        to.native("stray", data);
        if let Some(too_large) = to.too_large {
            self.fail(beyond(too_large));
        }
    }
}

impl Progress {
    /// How the choice ended; `None` if it has not, or badly.
    fn end(&self) -> Option<Finished> {
        let word = self.word.as_deref()?;
        let native_reason = (!word.is_empty()).then(|| word.to_owned());
        let reason = finish::reason(word, self.choice.calls.for_app)?;
        Some(Finished { reason, native_reason })
    }

    /// Says a candidate's sources, and passes what the words cannot say.
    fn members(&mut self, candidate: &Fields<'_>, to: &mut Voice<'_>) {
        for name in MEMBERS {
            let Some(raw) = candidate.get(name).filter(|raw| !is_empty(raw)) else { continue };
            let at = self.members.iter().position(|(passed, _)| *passed == name);
            if at.is_some_and(|at| self.members[at].1 == raw.get()) {
                continue;
            }
            match at {
                Some(at) => self.members[at].1 = copy(raw),
                None => self.members.push((name, copy(raw))),
            }
            for source in sources::of(name, raw) {
                if self.cited.is_new(source.get()) {
                    to.say(Kind::Citation(copy(source)));
                }
            }
            to.native(name, copy(raw));
        }
    }
}

fn is_no_reason(word: &str) -> bool {
    matches!(word, "" | "FINISH_REASON_UNSPECIFIED")
}

fn beyond(too_large: TooLarge) -> Failed {
    Failed::new(FailureCode::Limit, too_large.to_string())
}
