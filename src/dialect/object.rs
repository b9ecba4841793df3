//! JSON objects, written member by member: in order, and with the app's own JSON kept byte for byte.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

/// An object that is being written.
#[derive(Clone, Debug, Default)]
pub(super) struct Object(Vec<(Cow<'static, str>, Box<RawValue>)>);

impl Object {
    /// An object with this one member.
    pub(super) fn of(name: &'static str, value: impl Serialize) -> Self {
        Self::default().with(name, value)
    }

    /// The same object with one more member.
    pub(super) fn with(mut self, name: &'static str, value: impl Serialize) -> Self {
        self.set(name, value);
        self
    }

    /// Adds a member. Its name must be new.
    pub(super) fn set(&mut self, name: impl Into<Cow<'static, str>>, value: impl Serialize) {
        self.0.push((name.into(), raw(value)));
    }

    /// Adds a member if there is a value.
    pub(super) fn set_some(&mut self, name: &'static str, value: Option<impl Serialize>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// Adds a member if the object that it would be has any.
    pub(super) fn set_filled(&mut self, name: &'static str, value: Self) {
        if !value.is_empty() {
            self.set(name, value);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// A value as JSON.
pub(super) fn raw(value: impl Serialize) -> Box<RawValue> {
    to_raw_value(&value).expect("text, numbers and JSON become JSON")
}
