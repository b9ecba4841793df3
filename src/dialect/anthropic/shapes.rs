//! The shapes on the wire, borrowed from it: a stream's events, a whole message, and the blocks of both.
//!
//! Whatever may be missing, null or of an unexpected type is read as nothing rather than refused; what is needed seldom,
//! or must stay as it came, stays raw.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// One event of a stream, a whole message, or an error.
#[derive(Debug, Deserialize)]
pub(super) struct Frame<'a> {
    #[serde(borrow, default, rename = "type")]
    pub kind: Text<'a>,
    #[serde(default)]
    pub index: Number,
    #[serde(borrow)]
    pub message: Option<&'a RawValue>,
    #[serde(borrow)]
    pub content_block: Option<&'a RawValue>,
    #[serde(borrow)]
    pub delta: Option<&'a RawValue>,
    #[serde(borrow)]
    pub usage: Option<&'a RawValue>,
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
    /// Bedrock's last event.
    #[serde(borrow, rename = "amazon-bedrock-invocationMetrics")]
    pub metrics: Option<&'a RawValue>,
}

/// A message, at its beginning or whole.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow, default)]
    pub id: Text<'a>,
    #[serde(borrow)]
    pub content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub usage: Option<&'a RawValue>,
}

/// What a `message_delta` or a whole message says of the end.
#[derive(Debug, Default, Deserialize)]
pub(super) struct End<'a> {
    #[serde(borrow, default)]
    pub stop_reason: Text<'a>,
    #[serde(borrow)]
    pub stop_sequence: Option<&'a RawValue>,
    #[serde(borrow)]
    pub stop_details: Option<&'a RawValue>,
    #[serde(borrow)]
    pub container: Option<&'a RawValue>,
    #[serde(borrow)]
    pub context_management: Option<&'a RawValue>,
}

/// A content block, empty as in a stream or full as in a whole message.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Block<'a> {
    #[serde(borrow, default, rename = "type")]
    pub kind: Text<'a>,
    #[serde(borrow, default)]
    pub text: Text<'a>,
    #[serde(borrow, default)]
    pub thinking: Text<'a>,
    #[serde(borrow, default)]
    pub signature: Text<'a>,
    #[serde(borrow, default)]
    pub data: Text<'a>,
    #[serde(borrow, default)]
    pub id: Text<'a>,
    #[serde(borrow, default)]
    pub name: Text<'a>,
    #[serde(borrow)]
    pub input: Option<&'a RawValue>,
    #[serde(borrow)]
    pub citations: Option<&'a RawValue>,
}

/// A piece of a block.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Delta<'a> {
    #[serde(borrow, default, rename = "type")]
    pub kind: Text<'a>,
    #[serde(borrow, default)]
    pub text: Text<'a>,
    #[serde(borrow, default)]
    pub thinking: Text<'a>,
    #[serde(borrow, default)]
    pub signature: Text<'a>,
    #[serde(borrow, default)]
    pub partial_json: Text<'a>,
    #[serde(borrow)]
    pub citation: Option<&'a RawValue>,
}

/// A string; anything else is an empty one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Text<'a>(pub Cow<'a, str>);

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(string(<&RawValue>::deserialize(deserializer)?)))
    }
}

/// A whole number; anything else is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Number(pub Option<u64>);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        // Some write 12.0; the fraction of a count says nothing.
        Ok(Self(raw.split('.').next().and_then(|whole| whole.parse().ok())))
    }
}

/// A string's text, empty where it is none. Half a surrogate pair becomes U+FFFD, as it does to other parsers.
pub(super) fn string(raw: &RawValue) -> Cow<'_, str> {
    let text = raw.get();
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Cow::Borrowed("");
    };
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Cow::Borrowed(inner);
    }
    let read = serde_json::from_str(text).or_else(|_| serde_json::from_str(&without_halves(text)));
    Cow::Owned(read.unwrap_or_default())
}

/// A JSON string's text in which every half of a surrogate pair that stands alone has become U+FFFD.
fn without_halves(text: &str) -> String {
    let unit = |at: usize| {
        text.get(at..at + 6).and_then(|it| u16::from_str_radix(it.strip_prefix("\\u")?, 16).ok())
    };
    let (mut mended, mut at) = (String::with_capacity(text.len()), 0);
    while let Some(next) = text[at..].chars().next() {
        let length = match (next, unit(at), unit(at + 6)) {
            ('\\', Some(0xD800..0xDC00), Some(0xDC00..0xE000)) => 12,
            ('\\', Some(0xD800..0xE000), _) => 0,
            ('\\', Some(_), _) => 6,
            ('\\', None, _) => 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
            (plain, ..) => plain.len_utf8(),
        };
        mended.push_str(if length == 0 { "\\ufffd" } else { &text[at..at + length] });
        at += if length == 0 { 6 } else { length };
    }
    mended
}

/// Whether a value says something: it is there and not null.
pub(super) fn said(raw: Option<&RawValue>) -> Option<&RawValue> {
    raw.filter(|raw| raw.get() != "null")
}

/// A call's arguments as they were: under `INVALID_JSON` Anthropic keeps those that were cut.
pub(super) fn arguments(input: &RawValue) -> String {
    let cut = match &first_members(input, 2)[..] {
        [(name, value)] if name == "INVALID_JSON" => string(value).into_owned(),
        _ => String::new(),
    };
    if cut.is_empty() { input.get().to_owned() } else { cut }
}

/// The most members of a provider's object that are looked at: none has more than a few dozen.
pub(super) const MEMBERS_MAX: usize = 256;

/// The members of an app's object, in their order; of anything else none.
pub(super) fn members(raw: &RawValue) -> Vec<(String, &RawValue)> {
    first_members(raw, usize::MAX)
}

/// The first `most` members of an object, in their order; of anything else none.
pub(super) fn first_members(raw: &RawValue, most: usize) -> Vec<(String, &RawValue)> {
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    Deserializer::deserialize_map(&mut deserializer, Members { most }).unwrap_or_default()
}

struct Members {
    most: usize,
}

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while members.len() < self.most {
            let Some(member) = map.next_entry()? else { return Ok(members) };
            members.push(member);
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).expect(text)
    }

    #[test]
    fn half_a_surrogate_pair_costs_one_character_and_no_more() {
        assert_eq!(string(raw(r#""x\ud83dy""#)), "x\u{fffd}y");
        assert_eq!(string(raw(r#""\ude00\ud83d\n""#)), "\u{fffd}\u{fffd}\n");
        assert_eq!(string(raw(r#""\ud83d\ude00\\ud83d""#)), "😀\\ud83d");
        assert_eq!(string(raw("17")), "");
    }

    #[test]
    fn members_come_in_order_up_to_a_bound() {
        let names = |most| {
            let found = first_members(raw(r#"{"b":1,"a":{},"c":null}"#), most);
            found.into_iter().map(|(name, _)| name).collect::<String>()
        };
        assert_eq!((names(2).as_str(), names(9).as_str()), ("ba", "bac"));
        assert!(members(raw("[1]")).is_empty());
    }

    proptest! {
        #[test]
        fn nothing_harms_it(text in "[\\\\ud83Ee0é\"]{0,20}", good: String) {
            without_halves(&text);
            let json = serde_json::Value::from(good.clone()).to_string();
            prop_assert_eq!(string(raw(&json)), good.clone());
            prop_assert_eq!(without_halves(&json), json);
        }
    }
}
