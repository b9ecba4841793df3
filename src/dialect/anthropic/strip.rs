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

/// A conversation without them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stripped {
    /// The value of `messages`. All else in it stays byte for byte.
    pub messages: String,
    /// The model's last turn calls tools without a thought before, and the app wants thinking by a budget: Anthropic
    /// refuses that.
    pub cannot_think: bool,
}

/// The body's conversation without foreign thoughts; `None` where there are none.
pub(super) fn without_foreign_thoughts(body: &[u8], dropped: &mut Dropped) -> Option<Stripped> {
    memchr::memmem::find(body, SEAL_BEGINS)?;
    let body = serde_json::from_slice::<&RawValue>(body).ok()?;
    let top = members(body);
    let member_of = |wanted: &str| Some(top.iter().find(|(name, _)| name == wanted)?.1);
    let messages = member_of("messages")?;
    let by_budget = member_of("thinking").is_some_and(|raw| kind_of(raw) == "enabled");
    let mut unthought = false;
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
                unthought &= name != "content";
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
                    left.push(block);
                }
            }
            emptied &= left.is_empty();
            let calls = left.iter().any(|block| kind_of(block) == "tool_use");
            let thought = left.first().is_some_and(|block| kind_of(block).ends_with("thinking"));
            match left.iter().any(|block| kind_of(block) == "tool_result") {
                // The app's own turn: the model's before it counts.
                true => {}
                false => unthought = calls && !thought,
            }
            let left: Vec<_> = left.into_iter().map(RawValue::get).collect();
            written.push(member(&name, &format!("[{}]", left.join(","))));
        }
        // A message without content is refused; its neighbours of one role are joined by the provider.
        if !emptied {
            kept.push(format!("{{{}}}", written.join(",")));
        }
    }
    let messages = found.then(|| format!("[{}]", kept.join(",")))?;
    Some(Stripped { messages, cannot_think: by_budget && unthought })
}

fn member(name: &str, value: &str) -> String {
    format!("{}:{value}", serde_json::Value::from(name))
}

/// The `type` of an object.
fn kind_of(raw: &RawValue) -> String {
    let read: Sealed<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
    read.kind.0.into_owned()
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::dialect::{Sealed as Kind, seal};

    fn stripped(thinking: Value, after: Value) -> (Value, bool) {
        let signature = seal(Dialect::Gemini, Kind::Signature, "CiQB");
        let call = json!({ "type": "tool_use", "id": "c", "name": "f", "input": {} });
        let thought = json!({ "type": "thinking", "thinking": "hm", "signature": signature });
        let body = json!({
            "thinking": thinking,
            "messages": [
                { "role": "user", "content": "Hi" },
                { "role": "assistant", "content": [thought, call] },
                { "role": "user", "content": after },
            ],
        });
        let body = body.to_string();
        let stripped = without_foreign_thoughts(body.as_bytes(), &mut Dropped::default());
        let Stripped { messages, cannot_think } = stripped.expect("changed");
        let messages: Value = serde_json::from_str(&messages).expect("JSON");
        (messages[1]["content"].clone(), cannot_think)
    }

    #[test]
    fn calls_that_lost_their_thought_are_answered_without_thinking() {
        let result = json!([{ "type": "tool_result", "tool_use_id": "c", "content": "1" }]);
        let budget = json!({ "type": "enabled", "budget_tokens": 1024 });
        let (content, cannot_think) = stripped(budget.clone(), result.clone());
        assert_eq!(content.as_array().map(Vec::len), Some(1));
        assert!(cannot_think);
        // Who decides for itself may begin with a call, and a new question is thought about anew.
        assert!(!stripped(json!({ "type": "adaptive" }), result).1);
        assert!(!stripped(budget, json!("Well?")).1);
    }
}
