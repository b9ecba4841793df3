//! Sources of other dialects, as the one kind of annotation that says what they have in common: a URL and a title.

use serde::Serialize;
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};

/// A source as a `url_citation` that ends at character `at` of the text; `None` where it has no URL.
pub(super) fn url_citation(source: &[u8], at: usize) -> Option<Box<RawValue>> {
    #[derive(Serialize)]
    struct Citation<'a> {
        r#type: &'static str,
        url: &'a str,
        title: &'a str,
        start_index: u64,
        end_index: u64,
    }
    let value: Value = serde_json::from_slice(source).ok()?;
    // OpenAI's chat and Gemini have it one level down.
    let inner = ["url_citation", "web", "source"].into_iter().find_map(|name| value.get(name));
    let inner = inner.filter(|inner| inner.is_object()).unwrap_or(&value);
    let url = value.as_str().or_else(|| {
        let members = ["url", "uri", "link"].into_iter();
        members.clone().find_map(|name| inner.get(name)?.as_str())
    })?;
    let title = ["title", "document_title"].into_iter().find_map(|name| inner.get(name)?.as_str());
    let index = |name| inner.get(name).and_then(Value::as_u64);
    let at = u64::try_from(at).unwrap_or(u64::MAX);
    let end_index = index("end_index").unwrap_or(at);
    let start_index = index("start_index").unwrap_or(end_index);
    let title = title.unwrap_or_default();
    let citation = Citation { r#type: "url_citation", url, title, start_index, end_index };
    to_raw_value(&citation).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_with_a_url_is_cited_whoever_gave_it() {
        for (source, expected) in [
            (
                r#"{"type":"web_search_result_location","url":"https://a","title":"A","cited_text":"x"}"#,
                r#"{"type":"url_citation","url":"https://a","title":"A","start_index":7,"end_index":7}"#,
            ),
            (
                r#"{"type":"url_citation","url_citation":{"url":"https://a","title":"A","start_index":1,"end_index":3}}"#,
                r#"{"type":"url_citation","url":"https://a","title":"A","start_index":1,"end_index":3}"#,
            ),
            (
                r#"{"web":{"uri":"https://a"}}"#,
                r#"{"type":"url_citation","url":"https://a","title":"","start_index":7,"end_index":7}"#,
            ),
            (
                r#""https://a""#,
                r#"{"type":"url_citation","url":"https://a","title":"","start_index":7,"end_index":7}"#,
            ),
        ] {
            let citation = url_citation(source.as_bytes(), 7).expect(source);
            assert_eq!(citation.get(), expected);
        }
        assert!(url_citation(br#"{"type":"char_location","document_index":0}"#, 7).is_none());
    }
}
