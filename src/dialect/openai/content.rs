//! What one delta (or one whole message) says, word by word.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    NAME,
    chunk::{Content, Delta, Part, Text, is_empty},
    media::Gallery,
    tools::Calls,
};
use crate::{
    dialect::{TooLarge, split},
    event::{Event, Kind, Native, Reasoning},
};

/// One choice, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Choice {
    pub index: u32,
    pub calls: Calls,
    /// What ids made up for its calls begin with.
    pub id_stem: String,
    /// A delta has been seen: a `message` beside or after it repeats what was said.
    pub streamed: bool,
}

/// Where a choice's words go.
#[derive(Debug)]
pub(super) struct Voice<'o> {
    pub out: &'o mut Vec<Event>,
    pub choice: u32,
    /// The first event that was too large to say.
    pub too_large: Option<TooLarge>,
}

impl Voice<'_> {
    pub(super) fn say(&mut self, kind: Kind) {
        let refused = split(Event::new(kind).of_choice(self.choice), self.out).err();
        self.too_large = self.too_large.or(refused);
    }

    fn text(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !text.is_empty() {
            self.say(Kind::Text(text));
        }
    }

    fn reasoning(&mut self, text: Text<'_>) {
        if let Some(text) = text.some() {
            let text = text.into_owned();
            self.say(Kind::Reasoning(Reasoning { text, ..Reasoning::default() }));
        }
    }

    /// A part of a payload that the other words cannot say, under its name there.
    pub(super) fn native(&mut self, name: impl Into<String>, data: impl Into<Bytes>) {
        let (dialect, name, data) = (NAME.to_owned(), name.into(), data.into());
        self.say(Kind::Native(Native { dialect, name, data }));
    }
}

/// Says what `delta` says.
pub(super) fn delta(
    delta: Delta<'_>,
    state: &mut Choice,
    gallery: &mut Gallery,
    to: &mut Voice<'_>,
) {
    reasoning(delta.reasoning_content, delta.reasoning, delta.reasoning_details, to);
    match delta.content {
        Content::Nothing => {}
        Content::Text(text) => to.text(text),
        Content::Parts(parts) => parts.into_iter().for_each(|raw| part(raw, gallery, to)),
    }
    if let Some(text) = delta.refusal.some() {
        refusal(text.into_owned(), to);
    }
    if let Some(tools) = delta.tool_calls {
        state.calls.add(tools, &state.id_stem, |kind| to.say(kind));
    }
    if let Some(function) = delta.function_call {
        state.calls.add_function(function, &state.id_stem, |kind| to.say(kind));
    }
    for annotation in delta.annotations.into_iter().flatten() {
        to.say(Kind::Citation(copy(annotation)));
    }
    for raw in delta.images.into_iter().flatten() {
        image(raw, gallery, to);
    }
    if let Some(raw) = delta.audio {
        audio(raw, gallery, to);
    }
    for (name, value) in delta.others {
        to.native(format!("delta.{name}"), copy(value));
    }
}

fn refusal(text: String, to: &mut Voice<'_>) {
    to.say(Kind::Refusal(text));
}

/// A part of `reasoning_details`.
#[derive(Deserialize)]
struct Detail<'a> {
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow, default)]
    summary: Text<'a>,
    #[serde(borrow, default)]
    data: Text<'a>,
    #[serde(borrow, default)]
    signature: Text<'a>,
}

/// The same reasoning comes in up to three fields: its text is said once. Signatures and encrypted reasoning are only
/// in the details.
fn reasoning(content: Text<'_>, plain: Text<'_>, details: Option<&RawValue>, to: &mut Voice<'_>) {
    let text = if content.as_str().is_empty() { plain } else { content };
    let said = !text.as_str().is_empty();
    to.reasoning(text);
    let Some(raw) = details.filter(|raw| !is_empty(raw)) else { return };
    let Ok(details) = serde_json::from_str::<Vec<Detail<'_>>>(raw.get()) else {
        return to.native("delta.reasoning_details", copy(raw));
    };
    for Detail { text, summary, data, signature } in details {
        let owned = |text: Text<'_>| text.some().unwrap_or_default().into_owned();
        let mut part =
            Reasoning { text: String::new(), signature: owned(signature), encrypted: owned(data) };
        if !said {
            part.text = owned(text) + summary.as_str();
        }
        if part != Reasoning::default() {
            to.say(Kind::Reasoning(part));
        }
    }
}

/// A part of a content array.
fn part(raw: &RawValue, gallery: &mut Gallery, to: &mut Voice<'_>) {
    let Ok(part) = serde_json::from_str::<Part<'_>>(raw.get()) else {
        // Some arrays hold bare strings.
        return match serde_json::from_str::<Text<'_>>(raw.get()).ok().and_then(Text::some) {
            Some(text) => to.text(text),
            None => to.native("content.part", copy(raw)),
        };
    };
    match part.kind.as_str() {
        "text" | "output_text" => to.text(part.text.some().unwrap_or_default()),
        "refusal" => {
            if let Some(text) = part.refusal.some() {
                refusal(text.into_owned(), to);
            }
        }
        "thinking" => {
            match part.thinking {
                Content::Nothing => to.reasoning(part.text),
                Content::Text(text) => to.reasoning(Text(Some(text))),
                Content::Parts(parts) => {
                    let text = |raw: &RawValue| {
                        let part = serde_json::from_str::<Part<'_>>(raw.get()).ok()?;
                        part.text.some().map(|text| text.into_owned())
                    };
                    let texts = parts.into_iter().filter_map(text);
                    texts.for_each(|text| to.reasoning(Text(Some(text.into()))));
                }
            }
            if let Some(signature) = part.signature.some() {
                let signature = signature.into_owned();
                to.say(Kind::Reasoning(Reasoning { signature, ..Reasoning::default() }));
            }
        }
        "reference" => to.say(Kind::Citation(copy(raw))),
        "image_url" if part.image_url.is_some() => image(raw, gallery, to),
        kind => to.native(format!("content.{kind}"), copy(raw)),
    }
}

#[derive(Deserialize)]
struct Image<'a> {
    #[serde(borrow)]
    image_url: &'a RawValue,
}

#[derive(Deserialize)]
struct Url<'a> {
    #[serde(borrow, default)]
    url: Text<'a>,
}

/// An image is said as its bytes; one that is only pointed at passes as it came.
fn image(raw: &RawValue, gallery: &mut Gallery, to: &mut Voice<'_>) {
    let inner = serde_json::from_str::<Image<'_>>(raw.get()).map_or(raw, |image| image.image_url);
    let url = match inner.get().starts_with('"') {
        true => serde_json::from_str(inner.get()).unwrap_or_default(),
        false => serde_json::from_str::<Url<'_>>(inner.get()).map(|it| it.url).unwrap_or_default(),
    };
    match gallery.image(url.as_str()) {
        Some(media) => to.say(Kind::Media(media)),
        None => to.native("delta.images", [b"[", raw.get().as_bytes(), b"]"].concat()),
    }
}

#[derive(Default, Deserialize)]
struct Audio<'a> {
    #[serde(borrow, default)]
    data: Text<'a>,
    #[serde(borrow)]
    transcript: Option<&'a RawValue>,
}

/// Audio is said as its bytes. Its transcript is not the answer's text, and passes under its own name.
fn audio(raw: &RawValue, gallery: &mut Gallery, to: &mut Voice<'_>) {
    let audio: Audio<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
    if let Some(transcript) = audio.transcript.filter(|text| !is_empty(text)) {
        to.native("delta.audio", format!("{{\"transcript\":{}}}", transcript.get()));
    }
    let Some(data) = audio.data.some() else { return };
    match gallery.audio(to.choice, &data) {
        Some(media) => to.say(Kind::Media(media)),
        None => to.native("delta.audio", copy(raw)),
    }
}

pub(super) fn copy(raw: &RawValue) -> Bytes {
    Bytes::copy_from_slice(raw.get().as_bytes())
}
