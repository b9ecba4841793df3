//! The shapes on the wire, read in one pass and borrowed from it.
//!
//! Every member stays raw until it is needed, so one of an unexpected type is read as nothing rather than refused.

use std::{borrow::Cow, fmt};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};
use serde_json::value::RawValue;

/// A member that may be missing.
pub(super) type Raw<'a> = Option<&'a RawValue>;

/// One payload of a stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Frame<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Raw<'a>,
    #[serde(borrow)]
    pub object: Raw<'a>,
    #[serde(borrow)]
    pub output_index: Raw<'a>,
    #[serde(borrow)]
    pub content_index: Raw<'a>,
    #[serde(borrow)]
    pub summary_index: Raw<'a>,
    #[serde(borrow)]
    pub delta: Raw<'a>,
    #[serde(borrow)]
    pub text: Raw<'a>,
    #[serde(borrow)]
    pub refusal: Raw<'a>,
    #[serde(borrow)]
    pub arguments: Raw<'a>,
    #[serde(borrow)]
    pub input: Raw<'a>,
    #[serde(borrow)]
    pub code: Raw<'a>,
    #[serde(borrow)]
    pub item: Raw<'a>,
    #[serde(borrow)]
    pub part: Raw<'a>,
    #[serde(borrow)]
    pub annotation: Raw<'a>,
    #[serde(borrow)]
    pub response: Raw<'a>,
    #[serde(borrow)]
    pub error: Raw<'a>,
}

/// An item of the output.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Item<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Raw<'a>,
    #[serde(borrow)]
    pub id: Raw<'a>,
    #[serde(borrow)]
    pub call_id: Raw<'a>,
    #[serde(borrow)]
    pub name: Raw<'a>,
    #[serde(borrow)]
    pub phase: Raw<'a>,
    #[serde(borrow)]
    pub content: Raw<'a>,
    #[serde(borrow)]
    pub summary: Raw<'a>,
    #[serde(borrow)]
    pub encrypted_content: Raw<'a>,
    #[serde(borrow)]
    pub arguments: Raw<'a>,
    #[serde(borrow)]
    pub input: Raw<'a>,
    #[serde(borrow)]
    pub code: Raw<'a>,
    #[serde(borrow)]
    pub action: Raw<'a>,
    #[serde(borrow)]
    pub operation: Raw<'a>,
    #[serde(borrow)]
    pub queries: Raw<'a>,
    #[serde(borrow)]
    pub environment: Raw<'a>,
    #[serde(borrow)]
    pub result: Raw<'a>,
    #[serde(borrow)]
    pub output_format: Raw<'a>,
}

/// A part of a message, or of a reasoning item's content or summary.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Part<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Raw<'a>,
    #[serde(borrow)]
    pub text: Raw<'a>,
    #[serde(borrow)]
    pub refusal: Raw<'a>,
    #[serde(borrow)]
    pub annotations: Raw<'a>,
}

/// A response: the body of a whole answer, or what a stream's last event holds.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Response<'a> {
    #[serde(borrow)]
    pub status: Raw<'a>,
    #[serde(borrow)]
    pub output: Raw<'a>,
    #[serde(borrow)]
    pub usage: Raw<'a>,
    #[serde(borrow)]
    pub error: Raw<'a>,
    #[serde(borrow)]
    pub incomplete_details: Raw<'a>,
}

/// Why a response is incomplete.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Details<'a> {
    #[serde(borrow)]
    pub reason: Raw<'a>,
}

/// Reads what may be missing or of another type; then it is empty.
pub(super) fn read<'a, T: Deserialize<'a> + Default>(raw: Raw<'a>) -> T {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

/// The members of a list; none where it is no list.
pub(super) fn list(raw: Raw<'_>) -> Vec<&RawValue> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

/// A short word of the protocol; empty where it is no string.
pub(super) fn word(raw: Raw<'_>) -> Cow<'_, str> {
    let Some(raw) = raw else { return Cow::Borrowed("") };
    match raw.get().strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => Cow::Borrowed(plain),
        Some(_) => Cow::Owned(text(Some(raw)).unwrap_or_default()),
        None => Cow::Borrowed(""),
    }
}

/// A string's text, if there is any in it.
pub(super) fn text(raw: Raw<'_>) -> Option<String> {
    let text = serde_json::from_str::<Lossy>(raw?.get()).ok()?.0;
    (!text.is_empty()).then_some(text)
}

/// A string's text; of anything else its JSON, as it came.
pub(super) fn text_or_json(raw: Raw<'_>) -> Option<String> {
    match raw?.get() {
        "null" => None,
        json if json.starts_with('"') => text(raw),
        json => Some(json.to_owned()),
    }
}

/// A whole number, however it is written.
pub(super) fn number(raw: Raw<'_>) -> Option<u64> {
    // Some write 12.0; the fraction of a count says nothing.
    raw?.get().trim_matches('"').split('.').next().unwrap_or_default().parse().ok()
}

pub(super) fn copy(raw: &RawValue) -> Bytes {
    Bytes::copy_from_slice(raw.get().as_bytes())
}

/// Null, false, or nothing within: what says nothing in any language.
pub(super) fn is_empty(raw: &RawValue) -> bool {
    let inner = raw.get().trim_matches(['{', '}', '[', ']', '"']).trim();
    matches!(inner, "" | "null" | "false" | "0")
}

/// A string in which half a surrogate pair costs one character, and not the answer.
struct Lossy(String);

impl<'de> Deserialize<'de> for Lossy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The library checks strings for halves of pairs, but not bytes.
        deserializer.deserialize_bytes(LossyVisitor)
    }
}

struct LossyVisitor;

impl Visitor<'_> for LossyVisitor {
    type Value = Lossy;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Lossy, E> {
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            // One replacement for each lead byte; what continues it is part of the same character.
            let leads = chunk.invalid().iter().filter(|byte| **byte >= 0xC0).count();
            text.extend(std::iter::repeat_n('\u{fffd}', leads));
        }
        Ok(Lossy(text))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn raw(json: &str) -> &RawValue {
        serde_json::from_str(json).expect(json)
    }

    #[test]
    fn strings_are_read_with_their_escapes_and_half_pairs_cost_one_character() {
        assert_eq!(text(Some(raw(r#""a\u0041\ud83d\ude00""#))), Some("aA😀".to_owned()));
        assert_eq!(text(Some(raw(r#""x\ud83dy""#))), Some("x\u{fffd}y".to_owned()));
        assert_eq!(text(Some(raw(r#""""#))), None);
        assert_eq!(text(Some(raw("7"))), None);
        assert_eq!(word(Some(raw(r#""a\u0062""#))), "ab");
        assert_eq!(number(Some(raw("3.0"))), Some(3));
        assert_eq!(number(Some(raw("\"x\""))), None);
        assert_eq!(text_or_json(Some(raw(r#"{"a": 1.10}"#))), Some(r#"{"a": 1.10}"#.to_owned()));
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_it_was_written(given in ".+") {
            let json = serde_json::to_string(&given).expect("JSON");
            prop_assert_eq!(text(Some(raw(&json))), Some(given));
        }
    }
}
