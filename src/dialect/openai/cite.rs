//! A source as a chat names it, whoever gave it: `annotations` of `url_citation`, or the bare URLs that some have.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::chunk::{Number, Text};

/// A source, written.
pub(super) enum Cited {
    /// For the message's `annotations`.
    Annotation(Box<RawValue>),
    /// For the list beside the choices: it stands for no place in the text.
    Source(Box<RawValue>),
}

/// The source as it came where the provider spoke this dialect, else what is known of its URL. `None`: it has none.
pub(super) fn cited(source: &Bytes, native: bool, at: Place) -> Option<Cited> {
    let raw = || serde_json::from_slice::<Box<RawValue>>(source).ok();
    match source.first() {
        Some(b'{') if native => raw().map(Cited::Annotation),
        Some(b'{') => annotation(source, at).map(Cited::Annotation),
        _ => raw().map(Cited::Source),
    }
}

/// Where a source is named that does not say so itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Characters of the answer so far.
    pub characters: u64,
    /// Annotations so far: OpenAI's SDKs put the lists of several chunks together by this.
    pub index: u32,
}

/// What the dialects have: `url` and `title` (Anthropic, Responses), `uri` in a chunk's `web` (Gemini) or beside its place
/// in the text.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Source<'a> {
    #[serde(borrow)]
    url: Text<'a>,
    #[serde(borrow)]
    uri: Text<'a>,
    #[serde(borrow)]
    title: Text<'a>,
    #[serde(borrow)]
    web: Option<Web<'a>>,
    start_index: Number,
    #[serde(rename = "startIndex")]
    start: Number,
    end_index: Number,
    #[serde(rename = "endIndex")]
    end: Number,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Web<'a> {
    #[serde(borrow)]
    uri: Text<'a>,
    #[serde(borrow)]
    title: Text<'a>,
}

#[derive(Serialize)]
struct Annotation<'a> {
    r#type: &'static str,
    url_citation: UrlCitation<'a>,
    index: u32,
}

#[derive(Serialize)]
struct UrlCitation<'a> {
    start_index: u64,
    end_index: u64,
    url: &'a str,
    title: &'a str,
}

fn annotation(source: &[u8], at: Place) -> Option<Box<RawValue>> {
    let source: Source<'_> = serde_json::from_slice(source).ok()?;
    let web = source.web.unwrap_or_default();
    let first = |texts: [&Text<'_>; 3]| {
        texts.into_iter().map(Text::as_str).find(|text| !text.is_empty()).map(str::to_owned)
    };
    let url = first([&source.url, &source.uri, &web.uri])?;
    let title = first([&source.title, &web.title, &web.title]).unwrap_or_default();
    let end = source.end_index.0.or(source.end.0).unwrap_or(at.characters);
    let start = source.start_index.0.or(source.start.0).unwrap_or(end);
    let url_citation = UrlCitation { start_index: start, end_index: end, url: &url, title: &title };
    let annotation = Annotation { r#type: "url_citation", url_citation, index: at.index };
    Some(to_raw_value(&annotation).expect("strings and numbers become JSON"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(source: &'static str) -> Option<String> {
        let at = Place { characters: 9, index: 1 };
        match cited(&Bytes::from_static(source.as_bytes()), false, at)? {
            Cited::Annotation(raw) | Cited::Source(raw) => Some(raw.get().to_owned()),
        }
    }

    #[test]
    fn a_source_of_any_dialect_is_a_url_citation_where_its_url_is_known() {
        let expected = |start, end, title| {
            format!(
                r#"{{"type":"url_citation","url_citation":{{"start_index":{start},"end_index":{end},"url":"https://a.example","title":"{title}"}},"index":1}}"#
            )
        };
        let anthropic = r#"{"type":"web_search_result_location","url":"https://a.example","title":"A","cited_text":"x"}"#;
        assert_eq!(said(anthropic), Some(expected(9, 9, "A")));
        let responses = r#"{"type":"url_citation","url":"https://a.example","title":"A","start_index":2,"end_index":5}"#;
        assert_eq!(said(responses), Some(expected(2, 5, "A")));
        assert_eq!(
            said(r#"{"web":{"uri":"https://a.example","title":"A"}}"#),
            Some(expected(9, 9, "A"))
        );
        let span = r#"{"startIndex":1,"endIndex":4,"uri":"https://a.example"}"#;
        assert_eq!(said(span), Some(expected(1, 4, "")));
        assert_eq!(said(r#"{"type":"char_location","document_index":0}"#), None);
        assert_eq!(said(r#""https://a.example""#).as_deref(), Some(r#""https://a.example""#));
    }
}
