//! Images, documents, sound and moving pictures: their bytes as base64, or an object in S3. Bedrock fetches no other URL.

use std::collections::HashSet;

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::dialect::{
    Unsayable,
    call::{Blob, Source},
    ledger::Ledger,
    object::Object,
};

/// The longest name of a document.
const NAME_BYTES_MAX: usize = 200;

const IMAGES: [(&str, &str); 5] = [
    ("image/png", "png"),
    ("image/jpeg", "jpeg"),
    ("image/jpg", "jpeg"),
    ("image/gif", "gif"),
    ("image/webp", "webp"),
];
const DOCUMENTS: [(&str, &str); 10] = [
    ("application/pdf", "pdf"),
    ("text/csv", "csv"),
    ("application/msword", "doc"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    ("application/vnd.ms-excel", "xls"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    ("text/html", "html"),
    ("text/plain", "txt"),
    ("text/markdown", "md"),
    ("text/x-markdown", "md"),
];
const SOUNDS: [(&str, &str); 14] = [
    ("audio/mpeg", "mp3"),
    ("audio/mp3", "mp3"),
    ("audio/wav", "wav"),
    ("audio/x-wav", "wav"),
    ("audio/wave", "wav"),
    ("audio/aac", "aac"),
    ("audio/flac", "flac"),
    ("audio/ogg", "ogg"),
    ("audio/opus", "opus"),
    ("audio/mp4", "mp4"),
    ("audio/m4a", "m4a"),
    ("audio/x-m4a", "m4a"),
    ("audio/pcm", "pcm"),
    ("audio/webm", "webm"),
];
const VIDEOS: [(&str, &str); 8] = [
    ("video/mp4", "mp4"),
    ("video/quicktime", "mov"),
    ("video/x-matroska", "mkv"),
    ("video/webm", "webm"),
    ("video/x-flv", "flv"),
    ("video/mpeg", "mpeg"),
    ("video/x-ms-wmv", "wmv"),
    ("video/3gpp", "three_gp"),
];
/// What base64 of an image begins with, where nobody says what it is.
const IMAGE_HEADS: [(&str, &str); 4] =
    [("iVBOR", "png"), ("/9j/", "jpeg"), ("R0lG", "gif"), ("UklG", "webp")];

/// An image.
pub(super) fn image(blob: &Blob, path: &str, ledger: &Ledger<'_>) -> Result<Object, Unsayable> {
    let head = |data: &str| IMAGE_HEADS.iter().find(|(head, _)| data.starts_with(head));
    let format = match (&blob.mime, &blob.source) {
        (None, Source::Base64(data)) => head(data).map(|(_, format)| *format),
        _ => None,
    };
    let format = format.map_or_else(|| format_of(&IMAGES, "an image", blob, path, ledger), Ok)?;
    Ok(Object::of("format", format).with("source", source(blob, path, ledger)?))
}

/// Sound.
pub(super) fn audio(blob: &Blob, path: &str, ledger: &Ledger<'_>) -> Result<Object, Unsayable> {
    let format = format_of(&SOUNDS, "sound", blob, path, ledger)?;
    Ok(Object::of("format", format).with("source", source(blob, path, ledger)?))
}

/// Moving pictures.
pub(super) fn video(blob: &Blob, path: &str, ledger: &Ledger<'_>) -> Result<Object, Unsayable> {
    let format = format_of(&VIDEOS, "a video", blob, path, ledger)?;
    Ok(Object::of("format", format).with("source", source(blob, path, ledger)?))
}

/// A document. It must have a name, of few kinds of characters and unlike the others'.
pub(super) fn document(
    blob: &Blob,
    path: &str,
    names: &mut HashSet<String>,
    ledger: &Ledger<'_>,
) -> Result<Object, Unsayable> {
    let format = match (&blob.mime, &blob.source) {
        (None, Source::Text(_)) => "txt",
        _ => format_of(&DOCUMENTS, "a document", blob, path, ledger)?,
    };
    let stem = name(blob.name.as_deref().unwrap_or_default());
    let mut name = stem.clone();
    for number in 2.. {
        if names.insert(name.clone()) {
            break;
        }
        name = format!("{stem} ({number})");
    }
    let source = source(blob, path, ledger)?;
    Ok(Object::of("format", format).with("name", name).with("source", source))
}

fn name(given: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-()[]".contains(c);
    let kept: String = given.chars().map(|c| if allowed(c) { c } else { ' ' }).collect();
    let words: Vec<_> = kept.split_ascii_whitespace().collect();
    let mut name = if words.is_empty() { "document".to_owned() } else { words.join(" ") };
    // Room for a number; all of it is ASCII.
    name.truncate(NAME_BYTES_MAX - 24);
    name.trim_end().to_owned()
}

fn format_of(
    formats: &[(&str, &'static str)],
    what: &str,
    blob: &Blob,
    path: &str,
    ledger: &Ledger<'_>,
) -> Result<&'static str, Unsayable> {
    let mime = blob.mime.as_deref().unwrap_or_default();
    let essence = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let known = formats.iter().find(|(known, _)| *known == essence);
    known.map(|(_, format)| *format).ok_or_else(|| {
        let mut names: Vec<_> = formats.iter().map(|(_, format)| *format).collect();
        names.dedup();
        let found = if essence.is_empty() { "an unknown format".to_owned() } else { essence };
        ledger.refuse(path, format!("it takes {what} as {}, not {found}", names.join(", ")))
    })
}

fn source(blob: &Blob, path: &str, ledger: &Ledger<'_>) -> Result<Object, Unsayable> {
    match &blob.source {
        Source::Base64(data) => Ok(Object::of("bytes", data)),
        Source::Text(text) => Ok(Object::of("bytes", BASE64_STANDARD.encode(text))),
        Source::Url(url) if url.starts_with("s3://") => {
            Ok(Object::of("s3Location", Object::of("uri", url)))
        }
        Source::Url(_) => Err(ledger.refuse(path, "it fetches no URL but `s3://`; send the bytes")),
        Source::File(_) => Err(ledger.refuse(path, "it does not have this file; send the bytes")),
    }
}
