//! JSON objects of Google's, read member by member.
//!
//! Google's servers take and its proxies send proto JSON: `systemInstruction` and `system_instruction` are one member,
//! and where a list belongs a single value will do. What is not asked for stays unread; whatever is missing, null or of
//! an unexpected type is read as nothing, and who must be strict asks what is there.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// The members of an object, by their names in camel case, in order.
#[derive(Debug, Default)]
pub(super) struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// The members of `raw`; `None` if it is no object.
    pub(super) fn of(raw: &'a RawValue) -> Option<Self> {
        let Self(mut members) = Self::verbatim(raw)?;
        for (name, _) in &mut members {
            *name = camel(std::mem::take(name));
        }
        Some(Self(members))
    }

    /// The members of `raw` by the names that they have: an object whose names are somebody's own.
    pub(super) fn verbatim(raw: &'a RawValue) -> Option<Self> {
        raw.get().starts_with('{').then(|| serde_json::from_str(raw.get()).ok())?
    }

    /// A member that is not null.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        let found = self.0.iter().find(|(member, _)| member == name);
        found.map(|(_, raw)| *raw).filter(|raw| raw.get() != "null")
    }

    /// A member that is an object.
    pub(super) fn object(&self, name: &str) -> Option<Fields<'a>> {
        self.get(name).and_then(Self::of)
    }

    /// A member that is a string.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.get(name).and_then(text)
    }

    /// A member that is a whole number, or a string that is one: proto JSON writes 64 bits so.
    pub(super) fn count(&self, name: &str) -> Option<u64> {
        let raw = self.get(name)?.get().trim_matches('"');
        // The fraction of a count says nothing.
        raw.split('.').next().unwrap_or_default().parse().ok()
    }

    /// Whether a member is true.
    pub(super) fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|raw| raw.get() == "true")
    }

    /// A member's elements; of what is no list, itself.
    pub(super) fn list(&self, name: &str) -> Vec<&'a RawValue> {
        self.get(name).map(elements).unwrap_or_default()
    }

    /// All members.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, raw)| (&**name, *raw))
    }

    /// The name of a member that is there more than once.
    pub(super) fn twice(&self) -> Option<&str> {
        // An app may send a million of them.
        let mut before = HashSet::with_capacity(self.0.len());
        self.0.iter().map(|(name, _)| &**name).find(|name| !before.insert(*name))
    }
}

/// A list's elements; of what is no list, itself.
pub(super) fn elements(raw: &RawValue) -> Vec<&RawValue> {
    match raw.get().starts_with('[') {
        true => serde_json::from_str(raw.get()).unwrap_or_default(),
        false => vec![raw],
    }
}

/// A string's text. Halves of surrogate pairs become replacement characters.
pub(super) fn text(raw: &RawValue) -> Option<String> {
    if !raw.get().starts_with('"') {
        return None;
    }
    let text: Option<String> = serde_json::from_str(raw.get()).ok();
    text.or_else(|| {
        let mut lone = serde_json::Deserializer::from_str(raw.get());
        lone.deserialize_bytes(LossyVisitor).ok()
    })
}

/// Null, false, zero, or an empty string, array or object: what says nothing.
pub(super) fn is_empty(raw: &RawValue) -> bool {
    let text = raw.get();
    let inner = |open, close| text.strip_prefix(open).and_then(|t: &str| t.strip_suffix(close));
    let hollow = inner('{', '}').or_else(|| inner('[', ']')).is_some_and(|t| t.trim().is_empty());
    hollow || matches!(text, "null" | "false" | "0" | "\"\"")
}

/// `snake_case` as `camelCase`; a name without underlines, and one that begins with one, as it is.
pub(super) fn camel(name: Cow<'_, str>) -> Cow<'_, str> {
    if !name.contains('_') || name.starts_with('_') {
        return name;
    }
    let mut camel = String::with_capacity(name.len());
    let mut upper = false;
    for letter in name.chars() {
        match letter {
            '_' => upper = true,
            _ if std::mem::take(&mut upper) => camel.push(letter.to_ascii_uppercase()),
            _ => camel.push(letter),
        }
    }
    Cow::Owned(camel)
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        #[derive(Deserialize)]
        struct Name<'n>(#[serde(borrow)] Cow<'n, str>);
        let mut members = Vec::new();
        while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &RawValue>()? {
            members.push((name, value));
        }
        Ok(Fields(members))
    }
}

struct LossyVisitor;

impl Visitor<'_> for LossyVisitor {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<String, E> {
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn both_spellings_are_one_member() {
        for body in [r#"{"max_output_tokens":"7"}"#, r#"{"maxOutputTokens":7.0}"#] {
            assert_eq!(Fields::of(raw(body)).expect("an object").count("maxOutputTokens"), Some(7));
        }
        let both = Fields::of(raw(r#"{"top_p":1,"a":2,"topP":2}"#)).expect("an object");
        assert_eq!(both.twice(), Some("topP"));
        assert_eq!(camel("_responseJsonSchema".into()), "_responseJsonSchema");
    }

    #[test]
    fn a_hundred_thousand_members_are_looked_through_in_time() {
        let members: Vec<_> = (0..100_000).map(|at| format!("\"m{at:06}\":1")).collect();
        let body = format!("{{{}}}", members.join(","));
        assert_eq!(Fields::of(raw(&body)).expect("an object").twice(), None);
    }

    #[test]
    fn half_a_surrogate_pair_loses_only_itself() {
        assert_eq!(
            text(raw(r#""a\ud83db""#)).expect("text").trim_matches('\u{fffd}'),
            "a\u{fffd}\u{fffd}\u{fffd}b"
        );
        assert_eq!(text(raw(r#""\ud83d\ude00""#)).expect("text"), "😀");
        assert_eq!(text(raw("7")), None);
    }
}
