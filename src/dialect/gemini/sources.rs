//! Sources: Google's lists become citations, and other providers' citations become Google's.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use serde_json::value::RawValue;

use super::fields::{Fields, text};
use crate::dialect::body::json;

/// So many different sources are remembered as said; an answer has some tens.
const REMEMBERED_MAX: usize = 4096;

/// The sources in a candidate's member: what was searched, and what was quoted. Which pages a URL tool fetched is no
/// citation; where the answer rests on them, `groundingMetadata` says so.
pub(super) fn of<'a>(member: &str, raw: &'a RawValue) -> Vec<&'a RawValue> {
    let fields = Fields::of(raw).unwrap_or_default();
    match member {
        "groundingMetadata" => fields.list("groundingChunks"),
        "citationMetadata" => {
            let mut sources = fields.list("citationSources");
            sources.extend(fields.list("citations"));
            sources
        }
        _ => Vec::new(),
    }
}

/// The sources that were said: some come again in every chunk.
#[derive(Debug, Default)]
pub(super) struct Said(HashSet<u64>);

impl Said {
    /// Whether a source has not been said yet; remembers it.
    pub(super) fn is_new(&mut self, source: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        source.hash(&mut hasher);
        let hash = hasher.finish();
        let has_room = self.0.len() < REMEMBERED_MAX;
        if has_room { self.0.insert(hash) } else { !self.0.contains(&hash) }
    }
}

/// A citation of any dialect as one of Google's `groundingChunks`; `None` if it says neither where nor
/// what.
pub(super) fn chunk(citation: &[u8]) -> Option<String> {
    let raw = serde_json::from_slice::<&RawValue>(citation).ok()?;
    if let Some(url) = text(raw) {
        return Some(web(&url, None));
    }
    let fields = Fields::of(raw)?;
    if ["web", "retrievedContext", "maps"].iter().any(|kind| fields.get(kind).is_some()) {
        return Some(raw.get().to_owned());
    }
    let inner = ["urlCitation", "source"].iter().find_map(|name| fields.object(name));
    let url = |fields: &Fields<'_>| fields.text("url").or_else(|| fields.text("uri"));
    let place = inner.as_ref().filter(|inner| url(inner).is_some()).unwrap_or(&fields);
    match url(place) {
        Some(url) => Some(web(&url, place.text("title").or_else(|| fields.text("title")))),
        None => passage(&fields),
    }
}

/// A passage of a document that has no URL: what it says, and what the document is called.
fn passage(citation: &Fields<'_>) -> Option<String> {
    let first = |names: &[&str]| {
        names.iter().filter_map(|name| citation.text(name)).find(|text| !text.is_empty())
    };
    // Bedrock quotes piece by piece.
    let pieces = citation.list("sourceContent").into_iter().filter_map(Fields::of);
    let quoted: String = pieces.filter_map(|piece| piece.text("text")).collect();
    let text = first(&["citedText"]).or(Some(quoted).filter(|text| !text.is_empty()));
    let title = first(&["documentTitle", "title", "filename"]);
    title.as_ref().or(text.as_ref())?;
    let members = [("uri", first(&["source"])), ("title", title), ("text", text)];
    let members = members.into_iter().filter_map(|(name, text)| Some((name, text?)));
    let members: Vec<_> =
        members.map(|(name, text)| format!("\"{name}\":{}", json(&text))).collect();
    Some(format!("{{\"retrievedContext\":{{{}}}}}", members.join(",")))
}

fn web(uri: &str, title: Option<String>) -> String {
    let title = title.map(|title| format!(",\"title\":{}", json(&title))).unwrap_or_default();
    format!("{{\"web\":{{\"uri\":{}{title}}}}}", json(uri))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn citations_of_every_dialect_become_chunks() {
        let web = r#"{"web":{"uri":"https://a","title":"A"}}"#;
        for citation in [
            web,
            r#"{"type":"url_citation","url_citation":{"url":"https://a","title":"A"}}"#,
            r#"{"type":"url_citation","url":"https://a","title":"A","start_index":1}"#,
            r#"{"type":"web_search_result_location","url":"https://a","title":"A"}"#,
        ] {
            assert_eq!(chunk(citation.as_bytes()).as_deref(), Some(web), "{citation}");
        }
        assert_eq!(chunk(b"\"https://a\"").as_deref(), Some(r#"{"web":{"uri":"https://a"}}"#));
        for (citation, context) in [
            (
                r#"{"type":"char_location","cited_text":"x","document_title":"D","document_index":0}"#,
                r#"{"title":"D","text":"x"}"#,
            ),
            (
                r#"{"type":"search_result_location","cited_text":"x","source":"kb/1","title":"D"}"#,
                r#"{"uri":"kb/1","title":"D","text":"x"}"#,
            ),
            (
                r#"{"title":"D","sourceContent":[{"text":"x"},{"text":"y"}],"location":{}}"#,
                r#"{"title":"D","text":"xy"}"#,
            ),
            (r#"{"type":"file_citation","file_id":"f","filename":"D"}"#, r#"{"title":"D"}"#),
        ] {
            let expected = format!("{{\"retrievedContext\":{context}}}");
            assert_eq!(chunk(citation.as_bytes()), Some(expected), "{citation}");
        }
        assert_eq!(chunk(br#"{"type":"char_location","document_index":0}"#), None);
        assert_eq!(chunk(b"7"), None);
    }
}
