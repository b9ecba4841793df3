//! JSON put together from pieces that are JSON already: what an app gave goes out in its own spelling.

use serde_json::value::RawValue;

use crate::dialect::{body::json, gemini::fields::Fields};

/// The members of an object, in order.
#[derive(Debug, Default)]
pub(super) struct Members(Vec<String>);

impl Members {
    /// The members of an object, as they are; `None` if it is none.
    pub(super) fn of(raw: &RawValue) -> Option<Self> {
        let mut members = Self::default();
        Fields::verbatim(raw)?.iter().for_each(|(name, value)| members.set(name, value.get()));
        Some(members)
    }

    /// Adds a member.
    pub(super) fn set(&mut self, name: &str, value: impl AsRef<str>) {
        self.0.push(format!("{}:{}", json(name), value.as_ref()));
    }

    /// Adds a member, if there is a value.
    pub(super) fn set_some(&mut self, name: &str, value: Option<impl AsRef<str>>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// The object; `None` if it has no members.
    pub(super) fn some(self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.object())
    }

    /// The object.
    pub(super) fn object(self) -> String {
        format!("{{{}}}", self.0.join(","))
    }
}

/// A list.
pub(super) fn list(elements: &[String]) -> String {
    format!("[{}]", elements.join(","))
}
