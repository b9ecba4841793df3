//! A user's content: a string where it is only text, else parts.

use serde_json::value::to_raw_value;

use super::{json::Object, unsayable};
use crate::dialect::{
    AppDialect, Call, Unsayable,
    call::{Blob, Dropped, Json, Part, PartKind, Source},
};

/// What a user says.
pub(super) fn content(call: &Call, said: &[&Part]) -> Result<Json, Unsayable> {
    if let [part] = said
        && let Some(text) = text_of(part)
    {
        return Ok(json(&text));
    }
    let parts = said.iter().map(|part| self::part(call, part));
    Ok(json(&parts.collect::<Result<Vec<_>, _>>()?))
}

fn json(value: &impl serde::Serialize) -> Json {
    to_raw_value(value).expect("strings and JSON become JSON")
}

/// A part's text, if that is what it is: a document of plain text, too.
pub(super) fn text_of(part: &Part) -> Option<&str> {
    match &part.kind {
        PartKind::Text(text) => Some(text),
        PartKind::Document(Blob { source: Source::Text(text), .. }) => Some(text),
        _ => None,
    }
}

/// One part.
pub(super) fn part(call: &Call, part: &Part) -> Result<Json, Unsayable> {
    let refuse = |why: &str| Err(unsayable(&part.path, why));
    if let Some(text) = text_of(part) {
        return Ok(Object::of("text").with("text", text).end());
    }
    match &part.kind {
        PartKind::Image(blob) => match url_of(blob, "image/png") {
            Some(url) => {
                let image = Object::new().with("url", &url);
                let image = image.with_some("detail", blob.detail.as_ref()).end();
                Ok(Object::of("image_url").with("image_url", &image).end())
            }
            None => refuse("an image there is its bytes or a URL, not an uploaded file's id"),
        },
        PartKind::Document(blob) => match (&blob.source, url_of(blob, "application/pdf")) {
            // One vendor's two dialects share what was uploaded.
            (Source::File(id), _)
                if matches!(call.app, AppDialect::OpenAi | AppDialect::Responses) =>
            {
                let file = Object::new().with("file_id", id).end();
                Ok(Object::of("file").with("file", &file).end())
            }
            (Source::Base64(_), Some(url)) => {
                let name = blob.name.as_deref().unwrap_or("document.pdf");
                let file = Object::new().with("filename", name).with("file_data", &url).end();
                Ok(Object::of("file").with("file", &file).end())
            }
            _ => refuse("a document there is its bytes, not a URL or an uploaded file's id"),
        },
        PartKind::Audio(blob) => match &blob.source {
            Source::Base64(data) => {
                let audio = Object::new().with("data", data).with("format", audio_format(blob));
                Ok(Object::of("input_audio").with("input_audio", &audio.end()).end())
            }
            _ => refuse("sound there is its bytes, not a URL or an uploaded file's id"),
        },
        PartKind::Native(value) if call.app == AppDialect::OpenAi => Ok(value.clone()),
        PartKind::Video(_) => refuse("it takes no moving pictures"),
        _ => refuse("it has no word for this part"),
    }
}

/// The URL that a blob is at, or is.
fn url_of(blob: &Blob, mime: &str) -> Option<String> {
    match &blob.source {
        Source::Url(url) => Some(url.clone()),
        Source::Base64(data) => {
            Some(format!("data:{};base64,{data}", blob.mime.as_deref().unwrap_or(mime)))
        }
        Source::File(_) | Source::Text(_) => None,
    }
}

fn audio_format(blob: &Blob) -> &str {
    let mime = blob.mime.as_deref().unwrap_or("audio/wav");
    let kind = mime.split(';').next().unwrap_or_default();
    match kind.strip_prefix("audio/").unwrap_or(kind) {
        "mpeg" | "mp3" => "mp3",
        "wav" | "x-wav" | "wave" => "wav",
        other => other,
    }
}

/// Where the app wants things cached: those who speak this dialect decide that themselves.
pub(super) fn note_cache(part: &Part, dropped: &mut Dropped) {
    if part.cache.is_some() {
        dropped.note(format!("{}.cache_control", part.path));
    }
}
