//! Takes thoughts of other dialects' models out of a conversation that goes on at an Anthropic provider.
//!
//! An app that was answered by another dialect's provider gives back what that one thought, under a seal. Anthropic would
//! refuse the whole request for a signature that is not its own.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::shapes::{Text, members};
use crate::dialect::{Dialect, call::Dropped, unseal};

/// What every seal begins with: base64 of `tokenway:`. Bodies without it are not looked into.
const SEAL_BEGINS: &[u8] = b"dG9rZW53YXk6";

#[derive(Default, Deserialize)]
struct Sealed<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    signature: Text<'a>,
    #[serde(borrow, default)]
    data: Text<'a>,
}

/// The value of `messages` without them; `None` where there are none. All else stays byte for byte.
pub(super) fn without_foreign_thoughts(body: &[u8], dropped: &mut Dropped) -> Option<String> {
    memchr::memmem::find(body, SEAL_BEGINS)?;
    let body = serde_json::from_slice::<&RawValue>(body).ok()?;
    let (_, messages) = members(body).into_iter().find(|(name, _)| name == "messages")?;
    let messages: Vec<&RawValue> = serde_json::from_str(messages.get()).ok()?;
    let mut found = false;
    let mut kept = Vec::with_capacity(messages.len());
    for (at, message) in messages.into_iter().enumerate() {
        let mut written = Vec::new();
        let mut emptied = false;
        for (name, value) in members(message) {
            let blocks = match name.as_str() {
                "content" => serde_json::from_str::<Vec<&RawValue>>(value.get()).ok(),
                _ => None,
            };
            let Some(blocks) = blocks else {
                written.push(member(&name, value.get()));
                continue;
            };
            let mut left = Vec::with_capacity(blocks.len());
            for (part, block) in blocks.into_iter().enumerate() {
                if is_foreign(block) {
                    found = true;
                    emptied = true;
                    dropped.note(format!("messages[{at}].content[{part}]"));
                } else {
                    left.push(block.get());
                }
            }
            emptied &= left.is_empty();
            written.push(member(&name, &format!("[{}]", left.join(","))));
        }
        // A message without content is refused; its neighbours of one role are joined by the provider.
        if !emptied {
            kept.push(format!("{{{}}}", written.join(",")));
        }
    }
    found.then(|| format!("[{}]", kept.join(",")))
}

fn member(name: &str, value: &str) -> String {
    format!("{}:{value}", serde_json::Value::from(name))
}

/// Whether a block is a thought under a seal.
fn is_foreign(block: &RawValue) -> bool {
    let block: Sealed<'_> = serde_json::from_str(block.get()).unwrap_or_default();
    let sealed = match block.kind.as_str() {
        "thinking" => block.signature,
        "redacted_thinking" => block.data,
        _ => return false,
    };
    unseal(sealed.as_str()).is_some_and(|(origin, ..)| origin != Dialect::Anthropic)
}
