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

/// A citation of any dialect as one of Google's `groundingChunks`; `None` if it points nowhere.
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
    Some(web(&url(place)?, place.text("title").or_else(|| fields.text("title"))))
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
        assert_eq!(chunk(br#"{"type":"char_location","document_index":0}"#), None);
        assert_eq!(chunk(b"7"), None);
    }
}
