//! A message's content: a string, or parts of text, images, sound and files.

use serde_json::value::RawValue;

use super::members::{Members, inner, list, must_be, string};
use crate::dialect::{
    BadRequest,
    call::{Blob, Part, PartKind, Source},
};

/// The parts of a content at `path`; an empty string is none.
pub(super) fn read(raw: &RawValue, path: &str) -> Result<Vec<Part>, BadRequest> {
    match raw.get().as_bytes().first() {
        Some(b'"') => {
            let text = string(raw, path)?;
            let part = Part::new(PartKind::Text(text), path);
            Ok(if matches!(&part.kind, PartKind::Text(text) if text.is_empty()) {
                Vec::new()
            } else {
                vec![part]
            })
        }
        Some(b'[') => {
            let parts = list(raw, path)?.into_iter().enumerate();
            parts.map(|(at, raw)| part(raw, format!("{path}[{at}]"))).collect()
        }
        _ => Err(must_be(path, "a string or a list of parts")),
    }
}

fn part(raw: &RawValue, path: String) -> Result<Part, BadRequest> {
    if raw.get().starts_with('"') {
        let text = string(raw, &path)?;
        return Ok(Part::new(PartKind::Text(text), path));
    }
    let mut members = Members::of(raw, &path)?;
    let cache = members.take("cache_control").map(ToOwned::to_owned);
    let kind = members.string("type", &path)?;
    let mut within = |name: &str| {
        let path = inner(&path, name);
        let raw = members.take(name).ok_or_else(|| must_be(&path, "there"))?;
        Ok::<_, BadRequest>((raw, path))
    };
    let kind = match kind.as_deref() {
        Some("text" | "input_text" | "output_text") => {
            let (raw, path) = within("text")?;
            PartKind::Text(string(raw, &path)?)
        }
        Some("refusal") => {
            let (raw, path) = within("refusal")?;
            PartKind::Refusal(string(raw, &path)?)
        }
        Some("image_url") => {
            let (raw, path) = within("image_url")?;
            PartKind::Image(image(raw, &path)?)
        }
        Some("input_audio") => {
            let (raw, path) = within("input_audio")?;
            let mut audio = Members::of(raw, &path)?;
            let data = audio.string("data", &path)?.unwrap_or_default();
            let mime = audio.string("format", &path)?.map(|format| match &*format {
                "mp3" => "audio/mpeg".to_owned(),
                format => format!("audio/{format}"),
            });
            PartKind::Audio(Blob { mime, source: Source::Base64(data), name: None, detail: None })
        }
        Some("video_url") => {
            let (raw, path) = within("video_url")?;
            PartKind::Video(image(raw, &path)?)
        }
        Some("file") => {
            let (raw, path) = within("file")?;
            PartKind::Document(file(raw, &path)?)
        }
        _ => PartKind::Native(raw.to_owned()),
    };
    Ok(Part { kind, cache, path })
}

/// `{"url":…,"detail":…}`, or the URL itself as imitators take it.
pub(super) fn image(raw: &RawValue, path: &str) -> Result<Blob, BadRequest> {
    let (url, detail) = match raw.get().starts_with('"') {
        true => (string(raw, path)?, None),
        false => {
            let mut image = Members::of(raw, path)?;
            let at = inner(path, "url");
            let url = image.take("url").ok_or_else(|| must_be(&at, "a string"))?;
            (string(url, &at)?, image.string("detail", path)?)
        }
    };
    let (mime, source) = located(url);
    Ok(Blob { mime, source, name: None, detail })
}

fn file(raw: &RawValue, path: &str) -> Result<Blob, BadRequest> {
    let mut file = Members::of(raw, path)?;
    let name = file.string("filename", path)?;
    let (mime, source) = match (file.string("file_data", path)?, file.string("file_id", path)?) {
        (Some(data), _) if data.starts_with("data:") || data.starts_with("http") => located(data),
        (Some(data), _) => (None, Source::Base64(data)),
        (None, Some(id)) => (None, Source::File(id)),
        (None, None) => return Err(must_be(path, "a file with `file_data` or `file_id`")),
    };
    // Chat's own files are PDFs, and those that say nothing of themselves are too.
    let is_bytes = matches!(source, Source::Base64(_));
    let mime = mime.or_else(|| is_bytes.then(|| "application/pdf".to_owned()));
    Ok(Blob { mime, source, name, detail: None })
}

/// A `data:` URL's MIME type and bytes, or the URL.
fn located(url: String) -> (Option<String>, Source) {
    let data = url.strip_prefix("data:").and_then(|data| data.split_once(','));
    match data.and_then(|(head, data)| Some((head.strip_suffix(";base64")?, data))) {
        Some((head, data)) => {
            let mime = head.split(';').next().filter(|mime| !mime.is_empty());
            (mime.map(str::to_owned), Source::Base64(data.to_owned()))
        }
        None => (None, Source::Url(url)),
    }
}
