//! What one part of a candidate's content says.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{NAME, base64, calls::Calls, fields::Fields};
use crate::{
    dialect::{TooLarge, split},
    event::{Event, Kind, Media, Native, Reasoning},
};

/// One choice, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Choice {
    pub index: u32,
    pub calls: Calls,
    /// What ids made up for its calls begin with.
    pub id_stem: String,
    /// Code is running at the provider: its result is still to come, even after a finishReason.
    pub runs_code: bool,
}

/// Where a choice's words go.
#[derive(Debug)]
pub(super) struct Voice<'o> {
    pub out: &'o mut Vec<Event>,
    pub choice: u32,
    /// The first event that was too large to say.
    pub too_large: Option<TooLarge>,
}

/// What a part did to its choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It holds nothing.
    Nothing,
    /// It said something.
    Something,
    /// It cannot be read without losing what it says.
    Unreadable,
}

impl Voice<'_> {
    pub(super) fn say(&mut self, kind: Kind) {
        let refused = split(Event::new(kind).of_choice(self.choice), self.out).err();
        self.too_large = self.too_large.or(refused);
    }

    /// A signature; an empty one is none.
    pub(super) fn signature(&mut self, signature: String) {
        if !signature.is_empty() {
            self.say(Kind::Reasoning(Reasoning { signature, ..Reasoning::default() }));
        }
    }

    /// A part of a payload that the other words cannot say, under its name there.
    pub(super) fn native(&mut self, name: &str, data: impl Into<Bytes>) {
        let (dialect, name, data) = (NAME.to_owned(), name.to_owned(), data.into());
        self.say(Kind::Native(Native { dialect, name, data }));
    }
}

/// Says what a part says. `media`: how many media the generation has said.
pub(super) fn part(
    raw: &RawValue,
    choice: &mut Choice,
    media: &mut u32,
    to: &mut Voice<'_>,
) -> Said {
    let Some(part) = Fields::of(raw) else { return Said::Nothing };
    let signature = part.text("thoughtSignature").unwrap_or_default();
    let signed = !signature.is_empty();
    if let Some(call) = part.object("functionCall") {
        return match choice.calls.add(&call, signature, &choice.id_stem, to) {
            Some(()) => Said::Something,
            None => Said::Unreadable,
        };
    }
    if let Some(code) = part.get("executableCode") {
        to.signature(signature);
        choice.calls.add_code(code, &choice.id_stem, to);
        to.native("executableCode", copy(code));
        choice.runs_code = true;
    } else if let Some(result) = part.get("codeExecutionResult") {
        to.signature(signature);
        to.native("codeExecutionResult", copy(result));
        choice.runs_code = false;
    } else if let Some(text) = part.text("text") {
        let empty = text.is_empty();
        if !empty && part.is_true("thought") {
            to.say(Kind::Reasoning(Reasoning { text, ..Reasoning::default() }));
        } else if !empty {
            to.say(Kind::Text(text));
        }
        to.signature(signature);
        if empty && !signed {
            return Said::Nothing;
        }
    } else if let Some(image) = inline(&part, *media) {
        to.signature(signature);
        to.say(Kind::Media(image));
        *media += 1;
    } else if part.iter().any(|(name, _)| !matches!(name, "thought" | "thoughtSignature")) {
        // Of a kind of its own: as it came, its signature within.
        to.native("part", copy(raw));
    } else {
        to.signature(signature);
        return if signed { Said::Something } else { Said::Nothing };
    }
    Said::Something
}

/// The medium in a part. A picture that is only a thought is no part of the answer, and passes as it came.
fn inline(part: &Fields<'_>, index: u32) -> Option<Media> {
    let blob = part.object("inlineData").filter(|_| !part.is_true("thought"))?;
    let data: Bytes = base64::decode(&blob.text("data")?)?.into();
    let mime = blob.text("mimeType").unwrap_or_else(|| "application/octet-stream".to_owned());
    Some(Media { mime, data, index, part: 0, last: true })
}

pub(super) fn copy(raw: &RawValue) -> Bytes {
    Bytes::copy_from_slice(raw.get().as_bytes())
}
