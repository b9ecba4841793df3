//! The shapes on the wire, read in one pass and borrowed from it.
//!
//! Whatever may be missing, null or of an unexpected type is read as nothing rather than refused; whatever is needed
//! seldom stays raw until it is.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// A streamed chunk, or a whole completion: the latter's choices have a `message` in place of a `delta`.
#[derive(Debug, Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow)]
    pub choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow)]
    pub usage: Option<&'a RawValue>,
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub object: Text<'a>,
    #[serde(borrow, default, rename = "type")]
    pub kind: Text<'a>,
    #[serde(borrow)]
    pub x_groq: Option<&'a RawValue>,
    #[serde(borrow)]
    pub citations: Option<&'a RawValue>,
    #[serde(borrow)]
    pub search_results: Option<&'a RawValue>,
    #[serde(borrow)]
    pub moderation: Option<&'a RawValue>,
}

/// One choice's part of a chunk.
#[derive(Debug, Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(default)]
    pub index: Number,
    #[serde(borrow)]
    pub delta: Option<Delta<'a>>,
    #[serde(borrow)]
    pub message: Option<Delta<'a>>,
    #[serde(borrow, default)]
    pub text: Text<'a>,
    #[serde(borrow, default)]
    pub finish_reason: Text<'a>,
    #[serde(borrow)]
    pub usage: Option<&'a RawValue>,
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
}

/// What a choice's part says.
#[derive(Debug, Default)]
pub(super) struct Delta<'a> {
    pub content: Content<'a>,
    pub reasoning_content: Text<'a>,
    pub reasoning: Text<'a>,
    pub reasoning_details: Option<&'a RawValue>,
    pub refusal: Text<'a>,
    pub tool_calls: Option<Vec<Tool<'a>>>,
    pub function_call: Option<Function<'a>>,
    pub audio: Option<&'a RawValue>,
    pub annotations: Option<Vec<&'a RawValue>>,
    pub images: Option<Vec<&'a RawValue>>,
    /// Members that are neither known nor null.
    pub others: Vec<(Cow<'a, str>, &'a RawValue)>,
}

/// A tool call's part.
#[derive(Debug, Deserialize)]
pub(super) struct Tool<'a> {
    #[serde(default)]
    pub index: Number,
    #[serde(borrow, default)]
    pub id: Text<'a>,
    #[serde(borrow)]
    pub function: Option<Function<'a>>,
    #[serde(borrow)]
    pub custom: Option<Function<'a>>,
}

/// A function's name and arguments, or a custom tool's name and input.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Function<'a> {
    #[serde(borrow, default)]
    pub name: Text<'a>,
    #[serde(borrow)]
    pub arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    pub input: Option<&'a RawValue>,
}

/// A content part.
#[derive(Debug, Deserialize)]
pub(super) struct Part<'a> {
    #[serde(borrow, default, rename = "type")]
    pub kind: Text<'a>,
    #[serde(borrow, default)]
    pub text: Text<'a>,
    #[serde(borrow, default)]
    pub thinking: Content<'a>,
    #[serde(borrow, default)]
    pub refusal: Text<'a>,
    #[serde(borrow, default)]
    pub signature: Text<'a>,
    #[serde(borrow)]
    pub image_url: Option<&'a RawValue>,
}

/// A string; anything else is none.
#[derive(Debug, Default)]
pub(super) struct Text<'a>(pub Option<Cow<'a, str>>);

impl<'a> Text<'a> {
    /// The text, if there is any.
    pub(super) fn some(self) -> Option<Cow<'a, str>> {
        self.0.filter(|text| !text.is_empty())
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }
}

/// A string, or parts; anything else is nothing.
#[derive(Debug, Default)]
pub(super) enum Content<'a> {
    #[default]
    Nothing,
    Text(Cow<'a, str>),
    Parts(Vec<&'a RawValue>),
}

/// A whole number; anything else is none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Number(pub Option<u64>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Content::deserialize(deserializer)? {
            Content::Text(text) => Self(Some(text)),
            Content::Nothing | Content::Parts(_) => Self(None),
        })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or parts")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Content::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Content::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut parts = Vec::new();
        while let Some(part) = seq.next_element()? {
            parts.push(part);
        }
        Ok(Content::Parts(parts))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Content::Nothing)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Content::Nothing)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Content::Nothing)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Content::Nothing)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Content::Nothing)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Content::Nothing)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        // Some write 12.0; the fraction of a count says nothing.
        let whole = raw.trim_matches('"').split('.').next().unwrap_or_default();
        Ok(Self(whole.parse().ok()))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Delta<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(DeltaVisitor)
    }
}

struct DeltaVisitor;

impl<'de> Visitor<'de> for DeltaVisitor {
    type Value = Delta<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a delta")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut delta = Delta::default();
        while let Some(Text(name)) = map.next_key()? {
            let name = name.unwrap_or_default();
            match &*name {
                "content" => delta.content = map.next_value()?,
                "reasoning_content" => delta.reasoning_content = map.next_value()?,
                "reasoning" => delta.reasoning = map.next_value()?,
                "reasoning_details" => delta.reasoning_details = map.next_value()?,
                "refusal" => delta.refusal = map.next_value()?,
                "tool_calls" => delta.tool_calls = map.next_value()?,
                "function_call" => delta.function_call = map.next_value()?,
                "audio" => delta.audio = map.next_value()?,
                "annotations" => delta.annotations = map.next_value()?,
                "images" => delta.images = map.next_value()?,
                // Envelope: says nothing that the events do not.
                "role" | "channel" | "token_id" | "index" | "obfuscation" => {
                    map.next_value::<IgnoredAny>()?;
                }
                _ => {
                    let value: Option<&RawValue> = map.next_value()?;
                    delta.others.extend(value.filter(|v| !is_empty(v)).map(|value| (name, value)));
                }
            }
        }
        Ok(delta)
    }
}

/// Null, false, zero, or an empty string, array or object: what says nothing in any language.
pub(super) fn is_empty(value: &RawValue) -> bool {
    let text = value.get();
    let inner = |open, close| text.strip_prefix(open).and_then(|t: &str| t.strip_suffix(close));
    let hollow = inner('{', '}').or_else(|| inner('[', ']')).is_some_and(|t| t.trim().is_empty());
    hollow || matches!(text, "null" | "false" | "0" | "\"\"")
}
