//! JSON written member by member, so that what the app gave as JSON stays as it was.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::dialect::call::Json;

/// An object that is being written.
#[derive(Debug)]
pub(super) struct Object(String);

impl Object {
    pub(super) fn new() -> Self {
        Self("{".to_owned())
    }

    /// An object with its `type`.
    pub(super) fn of(kind: &str) -> Self {
        Self::new().with("type", kind)
    }

    /// Sets a member.
    pub(super) fn set(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        let comma = if self.0.len() > 1 { "," } else { "" };
        self.0 += &format!("{comma}{}:{}", json(name), json(value));
    }

    /// The same object with a member.
    pub(super) fn with(mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Self {
        self.set(name, value);
        self
    }

    /// The same object with a member, if it has a value.
    pub(super) fn with_some(
        mut self,
        name: &str,
        value: Option<&(impl Serialize + ?Sized)>,
    ) -> Self {
        if let Some(value) = value {
            self.set(name, value);
        }
        self
    }

    pub(super) fn end(mut self) -> Json {
        self.0.push('}');
        RawValue::from_string(self.0).expect("written as JSON")
    }
}

fn json(value: &(impl Serialize + ?Sized)) -> Json {
    to_raw_value(value).expect("strings, numbers and JSON become JSON")
}
