//! One line of a stream, or a whole body: they are of one shape. Whatever is null is as if it were not there.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    dialect::object::{Object, raw},
    event::Usage,
};

/// A line.
#[derive(Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow)]
    pub(super) message: Option<Message<'a>>,
    /// `/api/generate` has no message.
    #[serde(borrow)]
    pub(super) response: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) thinking: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) image: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "flag")]
    pub(super) done: bool,
    #[serde(borrow)]
    pub(super) done_reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) logprobs: Option<&'a RawValue>,
}

/// What the model says.
#[derive(Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    pub(super) content: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) thinking: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) tool_calls: Option<Vec<Tool<'a>>>,
    #[serde(borrow)]
    pub(super) images: Option<Vec<Cow<'a, str>>>,
}

/// A call, which always comes whole.
#[derive(Deserialize)]
pub(super) struct Tool<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) function: Option<Function<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Function<'a> {
    #[serde(borrow)]
    pub(super) name: Option<Cow<'a, str>>,
    /// An object, where others have text.
    #[serde(borrow)]
    pub(super) arguments: Option<&'a RawValue>,
}

impl Function<'_> {
    /// The arguments as JSON text.
    pub(super) fn json(&self) -> String {
        let text = match self.arguments.map(RawValue::get) {
            None | Some("null") => String::new(),
            Some(text) if text.starts_with('"') => serde_json::from_str(text).unwrap_or_default(),
            Some(json) => json.to_owned(),
        };
        if text.is_empty() { "{}".to_owned() } else { text }
    }
}

fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(false))
}

/// The counts and durations of the last line. Ollama keeps them beside the answer, not in an object of their own: here
/// they are put into one, each as it was. `None` where there is no count. A count that is not there is 0: a prompt that
/// is wholly in the cache is not counted.
pub(super) fn usage(line: &[u8]) -> Option<Usage> {
    let Counts(members) = serde_json::from_slice(line).ok()?;
    let count = |name: &str| {
        let found = members.iter().find(|(known, _)| known == name)?;
        found.1.get().parse::<u64>().ok()
    };
    let (input, output) = (count("prompt_eval_count"), count("eval_count"));
    if input.is_none() && output.is_none() {
        return None;
    }
    let mut native = Object::default();
    for (name, value) in &members {
        native.set(name.to_string(), value);
    }
    let native = Bytes::from(raw(native).get().to_owned());
    let (input, output) = (input.unwrap_or(0), output.unwrap_or(0));
    Some(Usage { input, output, native, ..Usage::default() })
}

/// The members of an object that count or measure, at most a handful.
struct Counts<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// Far more than there are.
const COUNTS_MAX: usize = 32;

impl<'de: 'a, 'a> Deserialize<'de> for Counts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Self::Value = Vec::new();
                while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                    let counts = name.ends_with("_count") || name.ends_with("_duration");
                    let new = members.iter().all(|(known, _)| *known != name);
                    if counts && new && members.len() < COUNTS_MAX {
                        members.push((name, map.next_value()?));
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(Members).map(Counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_gathered_as_they_were() {
        let line =
            br#"{"model":"m","done":true,"context":[1,2],"total_duration":18973856250000000001,
            "prompt_eval_count":17,"eval_count":50,"eval_count":51}"#;
        let usage = usage(line).expect("there are counts");
        assert_eq!((usage.input, usage.output), (17, 50));
        let native =
            r#"{"total_duration":18973856250000000001,"prompt_eval_count":17,"eval_count":50}"#;
        assert_eq!(usage.native, native);
    }

    #[test]
    fn a_prompt_from_the_cache_has_no_count() {
        let found = usage(br#"{"eval_count":58}"#).expect("there is a count");
        assert_eq!((found.input, found.output), (0, 58));
        assert_eq!(usage(br#"{"done":true,"total_duration":5}"#), None);
        assert_eq!(usage(b"[]"), None);
    }
}
