//! JSON read by its members, each left as it is until somebody knows what it must be.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::dialect::BadRequest;

/// An object's members, in order.
#[derive(Default)]
pub(in crate::dialect::openai) struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// The members of what must be an object.
    pub(in crate::dialect::openai) fn of(
        raw: &'a RawValue,
        path: &str,
    ) -> Result<Self, BadRequest> {
        serde_json::from_str(raw.get()).map_err(|_| must_be(path, "an object"))
    }

    /// Takes a member out; `None` where it is not there, or null.
    pub(in crate::dialect::openai) fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        let (_, value) = self.0.remove(at);
        (value.get() != "null").then_some(value)
    }

    /// Takes out a member that is a string.
    pub(in crate::dialect::openai) fn string(
        &mut self,
        name: &str,
        path: &str,
    ) -> Result<Option<String>, BadRequest> {
        self.take(name).map(|raw| string(raw, &inner(path, name))).transpose()
    }

    /// Takes out a member that is something plain.
    pub(in crate::dialect::openai) fn plain<T: DeserializeOwned>(
        &mut self,
        name: &str,
        path: &str,
        what: &str,
    ) -> Result<Option<T>, BadRequest> {
        self.take(name).map(|raw| plain(raw, &inner(path, name), what)).transpose()
    }

    /// All members that nobody took, in order.
    pub(in crate::dialect::openai) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (&**name, *value))
    }

    /// What nobody took, without nulls.
    pub(in crate::dialect::openai) fn rest(self) -> impl Iterator<Item = (String, &'a RawValue)> {
        let rest = self.0.into_iter().filter(|(_, value)| value.get() != "null");
        rest.map(|(name, value)| (name.into_owned(), value))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(InOrder).map(Self)
    }
}

/// Where a member is.
pub(in crate::dialect::openai) fn inner(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The items of what must be a list.
pub(in crate::dialect::openai) fn list<'a>(
    raw: &'a RawValue,
    path: &str,
) -> Result<Vec<&'a RawValue>, BadRequest> {
    serde_json::from_str(raw.get()).map_err(|_| must_be(path, "a list"))
}

/// What must be a string.
pub(in crate::dialect::openai) fn string(raw: &RawValue, path: &str) -> Result<String, BadRequest> {
    plain(raw, path, "a string")
}

/// What must be something plain.
pub(in crate::dialect::openai) fn plain<T: DeserializeOwned>(
    raw: &RawValue,
    path: &str,
    what: &str,
) -> Result<T, BadRequest> {
    // The library's own words would quote what is there, and that may be the prompt.
    serde_json::from_str(raw.get()).map_err(|_| must_be(path, what))
}

pub(in crate::dialect::openai) fn must_be(path: &str, what: &str) -> BadRequest {
    BadRequest::of(path, format!("{path} must be {what}"))
}

/// Whether a value says nothing: `false`, or an empty string, list or object.
pub(in crate::dialect::openai) fn says_nothing(raw: &RawValue) -> bool {
    matches!(raw.get(), "false" | "\"\"" | "[]" | "{}")
}
