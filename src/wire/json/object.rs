//! Writes one JSON object, member by member, so that JSON given by others goes in as it is.

use base64::{Engine, engine::general_purpose::STANDARD};

/// A JSON object that is being written.
pub(super) struct Object {
    text: String,
    members: usize,
}

impl Object {
    pub(super) fn new() -> Self {
        Self { text: String::from("{"), members: 0 }
    }

    pub(super) fn close(mut self) -> String {
        self.text.push('}');
        self.text
    }

    fn name(&mut self, name: &str) -> &mut String {
        if self.members > 0 {
            self.text.push(',');
        }
        self.members += 1;
        push_string(&mut self.text, name);
        self.text.push(':');
        &mut self.text
    }

    pub(super) fn string(mut self, name: &str, value: &str) -> Self {
        push_string(self.name(name), value);
        self
    }

    /// The string, or nothing where it is empty.
    pub(super) fn string_if(self, name: &str, value: &str) -> Self {
        if value.is_empty() { self } else { self.string(name, value) }
    }

    pub(super) fn string_or_null(mut self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.string(name, value),
            None => {
                self.name(name).push_str("null");
                self
            }
        }
    }

    pub(super) fn number(mut self, name: &str, value: u64) -> Self {
        use std::fmt::Write as _;
        write!(self.name(name), "{value}").expect("a String grows as needed");
        self
    }

    /// The number, or nothing where it is 0.
    pub(super) fn number_if(self, name: &str, value: u64) -> Self {
        if value == 0 { self } else { self.number(name, value) }
    }

    pub(super) fn flag(mut self, name: &str, value: bool) -> Self {
        self.name(name).push_str(if value { "true" } else { "false" });
        self
    }

    pub(super) fn float_or_null(mut self, name: &str, value: Option<f64>) -> Self {
        let text = value.and_then(|value| serde_json::to_string(&value).ok());
        self.name(name).push_str(text.as_deref().unwrap_or("null"));
        self
    }

    pub(super) fn base64(mut self, name: &str, value: &[u8]) -> Self {
        push_string(self.name(name), &STANDARD.encode(value));
        self
    }

    /// JSON as somebody gave it, on one line. What is not JSON goes in as a string.
    pub(super) fn json(mut self, name: &str, value: &[u8]) -> Self {
        let is_json = serde_json::from_slice::<&serde_json::value::RawValue>(value).is_ok();
        let lossy = String::from_utf8_lossy(value);
        match is_json {
            // Outside of strings, where JSON allows no raw line break, one is only layout.
            true => self.name(name).extend(lossy.chars().map(|c| match c {
                '\n' | '\r' => ' ',
                other => other,
            })),
            false => push_string(self.name(name), &lossy),
        }
        self
    }

    /// An array of things that are JSON already.
    pub(super) fn array(mut self, name: &str, items: impl IntoIterator<Item = String>) -> Self {
        let text = self.name(name);
        text.push('[');
        for (place, item) in items.into_iter().enumerate() {
            if place > 0 {
                text.push(',');
            }
            text.push_str(&item);
        }
        text.push(']');
        self
    }

    /// Something that is JSON already, or null.
    pub(super) fn object_or_null(mut self, name: &str, value: Option<String>) -> Self {
        self.name(name).push_str(value.as_deref().unwrap_or("null"));
        self
    }
}

fn push_string(text: &mut String, value: &str) {
    text.push_str(&serde_json::to_string(value).expect("a string is JSON"));
}
