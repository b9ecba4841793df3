//! A call's arguments that come as patches: `partialArgs`, each a JSON path and a value.
//!
//! Strings may come in pieces; everything else comes whole, and keeps its spelling. The document is given out when the
//! call is complete: patches need not come in the order of the text.

use std::fmt::Write as _;

use serde_json::value::RawValue;

use super::fields::{Fields, text};
use crate::dialect::body::json;

/// The most that one call's patches may take. As a tree they take some twenty times that at the worst.
const PATCHES_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How deep a path may go.
const DEPTH_MAX: usize = 128;
/// How far behind an array's end an element may be set: what lies between becomes null.
const GAP_MAX: usize = 16;

/// A document that is being patched together.
#[derive(Debug, Default)]
pub(super) struct Document {
    root: Node,
    bytes: usize,
}

#[derive(Debug, Default)]
enum Node {
    #[default]
    Nothing,
    /// A string; `open`: the next piece for it is its continuation.
    Text {
        text: String,
        open: bool,
    },
    /// JSON that is no string, as it came.
    Raw(String),
    Object(Vec<(String, Node)>),
    Array(Vec<Node>),
}

/// One step of a path.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Member(String),
    Element(usize),
}

impl Document {
    /// Takes a patch in. `None`: it cannot be understood, or there is too much.
    pub(super) fn patch(&mut self, patch: &RawValue) -> Option<()> {
        let patch = Fields::of(patch)?;
        let steps = steps(&patch.text("jsonPath")?)?;
        self.bytes = self.bytes.checked_add(patch.iter().map(|(_, raw)| raw.get().len()).sum())?;
        if self.bytes > PATCHES_BYTES_MAX {
            return None;
        }
        let mut node = &mut self.root;
        for step in steps {
            node = node.step(step)?;
        }
        let open = patch.is_true("willContinue");
        if let Some(piece) = patch.get("stringValue") {
            let piece = text(piece)?;
            match node {
                Node::Text { text, open: is_open @ true } => {
                    text.push_str(&piece);
                    *is_open = open;
                }
                node => *node = Node::Text { text: piece, open },
            }
        } else if let Some(value) = patch.get("numberValue").or(patch.get("boolValue")) {
            *node = Node::Raw(value.get().to_owned());
        } else if patch.iter().any(|(name, _)| name == "nullValue") {
            *node = Node::Raw("null".to_owned());
        } else {
            // A path without a value makes its place, and closes what was open there.
            match node {
                Node::Text { open: is_open, .. } => *is_open = open,
                Node::Nothing | Node::Raw(_) | Node::Object(_) | Node::Array(_) => {}
            }
        }
        Some(())
    }

    /// The document as JSON text.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        match &self.root {
            Node::Nothing => out.push_str("{}"),
            root => root.write(&mut out),
        }
        out
    }
}

impl Node {
    /// The place that a step leads to, made where it is missing.
    fn step(&mut self, step: Step) -> Option<&mut Node> {
        match step {
            Step::Member(name) => {
                if !matches!(self, Self::Object(_)) {
                    *self = Self::Object(Vec::new());
                }
                let Self::Object(members) = self else { return None };
                let at = members.iter().position(|(member, _)| *member == name);
                let at = at.unwrap_or_else(|| {
                    members.push((name, Self::Nothing));
                    members.len() - 1
                });
                Some(&mut members[at].1)
            }
            Step::Element(index) => {
                if !matches!(self, Self::Array(_)) {
                    *self = Self::Array(Vec::new());
                }
                let Self::Array(elements) = self else { return None };
                if index > elements.len() + GAP_MAX {
                    return None;
                }
                if index >= elements.len() {
                    elements.resize_with(index + 1, Self::default);
                }
                Some(&mut elements[index])
            }
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Nothing => out.push_str("null"),
            Self::Text { text, .. } => out.push_str(&json(text)),
            Self::Raw(raw) => out.push_str(raw),
            Self::Object(members) => {
                out.push('{');
                for (number, (name, node)) in members.iter().enumerate() {
                    let comma = if number == 0 { "" } else { "," };
                    write!(out, "{comma}{}:", json(name)).expect("a string grows as needed");
                    node.write(out);
                }
                out.push('}');
            }
            Self::Array(elements) => {
                out.push('[');
                for (number, node) in elements.iter().enumerate() {
                    if number > 0 {
                        out.push(',');
                    }
                    node.write(out);
                }
                out.push(']');
            }
        }
    }
}

/// The steps of a JSON path: `$.a.b[0]['c d']`.
fn steps(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if steps.len() == DEPTH_MAX {
            return None;
        }
        if let Some(inner) = rest.strip_prefix('[') {
            let quote = inner.chars().next().filter(|quote| ['"', '\''].contains(quote));
            let Some(quote) = quote else {
                let (index, after) = inner.split_once(']')?;
                steps.push(Step::Element(index.parse().ok()?));
                rest = after;
                continue;
            };
            let (name, after) = quoted(&inner[1..], quote)?;
            steps.push(Step::Member(name));
            rest = after.strip_prefix(']')?;
        } else {
            let name = rest.strip_prefix('.').unwrap_or(rest);
            let end = name.find(['.', '[']).unwrap_or(name.len());
            steps.push(Step::Member(name[..end].to_owned()).filled()?);
            rest = &name[end..];
        }
    }
    Some(steps)
}

impl Step {
    fn filled(self) -> Option<Self> {
        (self != Self::Member(String::new())).then_some(self)
    }
}

/// A name up to its closing quote, and what follows it.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => name.push(letters.next()?.1),
            _ if letter == quote => return Some((name, &text[at + letter.len_utf8()..])),
            _ => name.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn document(patches: &[Value]) -> Option<String> {
        let mut document = Document::default();
        for patch in patches {
            document.patch(&serde_json::value::to_raw_value(patch).expect("JSON"))?;
        }
        Some(document.text())
    }

    #[test]
    fn strings_grow_while_they_go_on_and_other_values_keep_their_spelling() {
        let mut all = Document::default();
        for patch in [
            r#"{"jsonPath":"$.a.b[0]","stringValue":"x","willContinue":true}"#,
            r#"{"jsonPath":"$.a.b[0]","stringValue":"y\"","willContinue":true}"#,
            r#"{"jsonPath":"$.a.b[0]","stringValue":""}"#,
            r#"{"jsonPath":"$.a.b[2].c","numberValue":12345678901234567890.10}"#,
            r#"{"jsonPath":"$['d e']","boolValue":true}"#,
            r#"{"jsonPath":"$.f","nullValue":null}"#,
            r#"{"jsonPath":"$.a.b[0]","stringValue":"z"}"#,
        ] {
            all.patch(serde_json::from_str(patch).expect("JSON")).expect("understood");
        }
        let expected =
            r#"{"a":{"b":["z",null,{"c":12345678901234567890.10}]},"d e":true,"f":null}"#;
        assert_eq!(all.text(), expected);
    }

    #[test]
    fn paths_that_lead_nowhere_are_refused() {
        for path in ["$..a", "$.a[", "$.a[x]", "$['a", "$.a[99999999]", "$.", &"[0]".repeat(200)] {
            let patch = json!({ "jsonPath": path, "stringValue": "x" });
            assert_eq!(document(&[patch]), None, "{path}");
        }
        assert_eq!(document(&[json!({ "stringValue": "x" })]), None);
        assert_eq!(document(&[]), Some("{}".to_owned()));
    }

    /// A document's leaves as patches, strings in two pieces.
    fn patches(path: &str, value: &Value, out: &mut Vec<Value>) {
        match value {
            Value::Object(members) => members
                .iter()
                .for_each(|(name, value)| patches(&format!("{path}['{name}']"), value, out)),
            Value::Array(list) => (0..).zip(list).for_each(|(number, value): (usize, _)| {
                patches(&format!("{path}[{number}]"), value, out);
            }),
            Value::String(text) => {
                let half = text.floor_char_boundary(text.len() / 2);
                let (head, tail) = text.split_at(half);
                out.push(json!({ "jsonPath": path, "stringValue": head, "willContinue": true }));
                out.push(json!({ "jsonPath": path, "stringValue": tail }));
            }
            Value::Number(_) => out.push(json!({ "jsonPath": path, "numberValue": value })),
            Value::Bool(_) => out.push(json!({ "jsonPath": path, "boolValue": value })),
            Value::Null => out.push(json!({ "jsonPath": path, "nullValue": "NULL_VALUE" })),
        }
    }

    proptest! {
        #[test]
        fn a_document_s_patches_make_it_again(list in prop::collection::vec(("[a-z .é]{1,5}", any::<i64>(), ".{0,6}"), 1..4)) {
            let list: Vec<_> = list.iter().map(|(name, number, text)| json!({ name: [number, text, null, true] })).collect();
            let value = json!({ "list": list });
            let mut all = Vec::new();
            patches("$", &value, &mut all);
            let text = document(&all).expect("understood");
            prop_assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), value);
        }

        #[test]
        fn whatever_the_path_nothing_panics(path in "[$.\\[\\]'\"\\\\a0é]{0,12}") {
            let _ = document(&[json!({ "jsonPath": path, "stringValue": "x" })]);
        }
    }
}
