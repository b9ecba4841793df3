//! Takes other dialects' marks out of a conversation that goes on at Google.
//!
//! An app that was answered by another dialect's provider gives back what that one thought, under a seal where Google's
//! signature belongs. Google refuses a request for a signature that is not its own.

use super::{
    fields::{Fields, camel, elements},
    read::origin_of,
    write::{NOT_SIGNED, is_third},
};
use crate::dialect::{Dialect, body::json, call::Dropped};

/// What every seal begins with: base64 of `tokenway:`, the same in both alphabets. Bodies without it are not looked into.
const SEAL_BEGINS: &[u8] = b"dG9rZW53YXk6";

/// The value of `contents` without them, for a provider's model; `None` where there are none. All else stays byte for byte.
pub(super) fn without_foreign_marks(
    body: &[u8],
    model: &str,
    dropped: &mut Dropped,
) -> Option<String> {
    memchr::memmem::find(body, SEAL_BEGINS)?;
    let body = serde_json::from_slice::<Fields<'_>>(body).ok()?;
    let mut found = false;
    let mut contents = Vec::new();
    for (at, content) in elements(body.get("contents")?).into_iter().enumerate() {
        let Some(members) = Fields::verbatim(content) else {
            contents.push(content.get().to_owned());
            continue;
        };
        let (mut written, mut emptied) = (Vec::new(), false);
        for (name, value) in members.iter() {
            if name != "parts" {
                written.push(format!("{}:{}", json(name), value.get()));
                continue;
            }
            let mut parts = Vec::new();
            for (number, part) in elements(value).into_iter().enumerate() {
                match Part::of(part, model) {
                    Part::Own => parts.push(part.get().to_owned()),
                    Part::Foreign(rest) => {
                        found = true;
                        dropped.note(format!("contents[{at}].parts[{number}].thoughtSignature"));
                        parts.extend(rest);
                    }
                }
            }
            emptied = parts.is_empty();
            written.push(format!("\"parts\":[{}]", parts.join(",")));
        }
        // A content without parts is refused.
        if !emptied {
            contents.push(format!("{{{}}}", written.join(",")));
        }
    }
    found.then(|| format!("[{}]", contents.join(",")))
}

enum Part {
    /// Nothing of another dialect is in it.
    Own,
    /// What is left of it, if anything.
    Foreign(Option<String>),
}

impl Part {
    fn of(raw: &serde_json::value::RawValue, model: &str) -> Self {
        let Some(fields) = Fields::of(raw) else { return Self::Own };
        let signature = fields.text("thoughtSignature").unwrap_or_default();
        if signature.is_empty() || origin_of(&signature) == Some(Dialect::Gemini) {
            return Self::Own;
        }
        let hollow = fields.text("text").is_some_and(|text| text.is_empty());
        if fields.is_true("thought") || hollow {
            return Self::Foreign(None);
        }
        let members = Fields::verbatim(raw).unwrap_or_default();
        let mut kept: Vec<_> = members
            .iter()
            .filter(|(name, _)| camel((*name).into()) != "thoughtSignature")
            .map(|(name, value)| format!("{}:{}", json(name), value.get()))
            .collect();
        if fields.get("functionCall").is_some() && is_third(model) {
            kept.push(format!("\"thoughtSignature\":{}", json(NOT_SIGNED)));
        }
        Self::Foreign(Some(format!("{{{}}}", kept.join(","))))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::dialect::{Sealed, seal};

    #[test]
    fn what_another_dialects_provider_thought_stays_here() {
        let sealed = seal(Dialect::Anthropic, Sealed::Signature, "Eq==");
        let body = json!({
            "contents": [
                { "role": "user", "parts": [{ "text": "Hi" }] },
                { "role": "model", "parts": [{ "text": "", "thought": true, "thoughtSignature": sealed }] },
                { "role": "model", "parts": [
                    { "text": "hm", "thought": true },
                    { "text": "", "thought": true, "thought_signature": sealed },
                    { "functionCall": { "name": "f", "args": {} }, "thoughtSignature": sealed },
                    { "functionCall": { "name": "g", "args": {} }, "thoughtSignature": "CiQB" },
                ] },
            ],
        });
        let mut dropped = Dropped::default();
        let body = body.to_string();
        let left = without_foreign_marks(body.as_bytes(), "gemini-2.5-pro", &mut dropped);
        let left: Value = serde_json::from_str(&left.expect("changed")).expect("JSON");
        assert_eq!(
            left,
            json!([
                { "role": "user", "parts": [{ "text": "Hi" }] },
                { "role": "model", "parts": [
                    { "text": "hm", "thought": true },
                    { "functionCall": { "name": "f", "args": {} } },
                    { "functionCall": { "name": "g", "args": {} }, "thoughtSignature": "CiQB" },
                ] },
            ])
        );
        assert_eq!(
            dropped.paths(),
            [
                "contents[1].parts[0].thoughtSignature",
                "contents[2].parts[1].thoughtSignature",
                "contents[2].parts[2].thoughtSignature"
            ]
        );
        let third = without_foreign_marks(body.as_bytes(), "gemini-3-pro", &mut dropped);
        assert!(third.expect("changed").contains(NOT_SIGNED));
        let own = br#"{"contents":[{"parts":[{"text":"","thoughtSignature":"CiQB"}]}]}"#;
        assert_eq!(without_foreign_marks(own, "gemini-3-pro", &mut dropped), None);
    }
}
